//! Key stores as `keytool` and OpenSSL write them: said to be there where they hold a private key, and whether a default
//! password opens them. No report shows any part of one.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::support::command::layersift;
use crate::support::image::image;
use crate::support::packed::{gzip, zip_of};
use crate::support::tar::{self, Member, file};

/// A password that is in no list.
const OWN: &str = "Vq7-rather-long-81";

/// A folder that tools write to.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn run(&self, program: &str, args: &str) {
        let args: Vec<&str> = args
            .split(' ')
            .map(|arg| if arg == "''" { "" } else { arg })
            .collect();
        let run = Command::new(program)
            .args(&args)
            .current_dir(self.0.path())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}; tests/setup installs it"));
        assert!(
            run.status.success(),
            "{program} {args:?}: {}{}",
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr)
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }
}

/// Of each occurrence: path and way, confidence, severity and evidence of the finding.
fn found(members: impl IntoIterator<Item = Member>) -> Vec<(String, String)> {
    let archive = image().named("app:1").layer(members).oci_archive();
    let run = layersift(["scan", "image.tar", "--format", "json", "--min-confidence", "low"])
        .file("image.tar", archive)
        .run();
    let report: Value = run.json();
    let mut found = Vec::new();
    for finding in report["findings"].as_array().unwrap() {
        let rule = finding["rule"].as_str().or(finding["rule"]["id"].as_str());
        assert_eq!(rule, Some("key-store"), "{finding:#}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let evidence: Vec<String> = finding["evidence"].as_array().unwrap().iter().map(text).collect();
        let verdict = format!(
            "{} {} {}",
            text(&finding["severity"]),
            text(&finding["confidence"]),
            evidence.join(" ")
        );
        for occurrence in finding["occurrences"].as_array().unwrap() {
            let way = occurrence["within"].as_array().cloned().unwrap_or_default();
            let names: Vec<String> = way
                .iter()
                .map(|link| {
                    link["name"]
                        .as_str()
                        .or(link["path"]["text"].as_str())
                        .unwrap_or("?")
                        .to_owned()
                })
                .collect();
            let path = text(&occurrence["origin"]["path"]["text"]);
            found.push((
                format!("{path} {}", names.join(" ")).trim().to_owned(),
                verdict.clone(),
            ));
        }
    }
    found.sort();
    found
}

const OPEN: &str = "critical high default-password parsed";
const SEALED: &str = "high medium encrypted parsed";

#[test]
fn stores_of_keytool_are_found_and_trust_stores_are_not() {
    let folder = Folder::new();
    let mut members = Vec::new();
    let mut expected = Vec::new();
    for (number, (kind, password, verdict)) in [
        ("JKS", "changeit", OPEN),
        ("JKS", OWN, SEALED),
        ("JCEKS", "changeit", OPEN),
        ("JCEKS", OWN, SEALED),
        ("PKCS12", "changeit", OPEN),
        ("PKCS12", OWN, SEALED),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("store{number}");
        folder.run(
            "keytool",
            &format!(
                "-genkeypair -alias app -keyalg EC -dname CN=app -storetype {kind} -keystore {name} \
                 -storepass {password} -keypass {password}"
            ),
        );
        members.push(file(format!("srv/{name}"), folder.read(&name)));
        expected.push((format!("srv/{name}"), verdict.to_owned()));
        folder.run(
            "keytool",
            &format!("-exportcert -alias app -keystore {name} -storepass {password} -file {name}.cer"),
        );
        folder.run(
            "keytool",
            &format!(
                "-importcert -noprompt -alias ca -file {name}.cer -storetype {kind} -keystore trust{number} \
                 -storepass {password}"
            ),
        );
        members.push(file(
            format!("etc/trust{number}.jks"),
            folder.read(format!("trust{number}")),
        ));
    }
    // A password for the store that nobody knows, and a usual one for the key.
    folder.run(
        "keytool",
        &format!(
            "-genkeypair -alias app -keyalg EC -dname CN=app -storetype JKS -keystore own -storepass {OWN} \
             -keypass changeit"
        ),
    );
    members.push(file("srv/stores", folder.read("own")));
    expected.push(("srv/stores".to_owned(), OPEN.to_owned()));
    // A secret key, which is a serialised object.
    folder.run(
        "keytool",
        "-genseckey -alias hmac -keyalg HmacSHA256 -keysize 256 -storetype JCEKS -keystore secret \
         -storepass changeit -keypass changeit",
    );
    members.push(file("srv/symmetric", folder.read("secret")));
    expected.push(("srv/symmetric".to_owned(), OPEN.to_owned()));
    assert_eq!(found(members), expected);
}

#[test]
fn stores_of_openssl_are_found_whatever_protects_them() {
    let folder = Folder::new();
    folder.run(
        "openssl",
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=app -keyout key.pem -out cert.pem",
    );
    let mut members = Vec::new();
    let mut expected = Vec::new();
    for (name, form, verdict) in [
        ("a-usual", "-passout pass:changeit", OPEN),
        ("b-empty", "-passout pass:", OPEN),
        ("c-own", "-passout pass:Vq7-rather-long-81", SEALED),
        ("d-sha1", "-passout pass:password -macalg sha1", OPEN),
        ("e-sha512", "-passout pass:secret -macalg sha512", OPEN),
        (
            "f-plain",
            "-passout pass:changeit -keypbe NONE -certpbe NONE -nomac",
            "critical high parsed",
        ),
        // More rounds than are tried.
        ("g-dear", "-passout pass:changeit -iter 1000000", SEALED),
    ] {
        folder.run(
            "openssl",
            &format!("pkcs12 -export -inkey key.pem -in cert.pem -out {name} {form}"),
        );
        members.push(file(format!("srv/{name}"), folder.read(name)));
        expected.push((format!("srv/{name}"), verdict.to_owned()));
    }
    folder.run(
        "openssl",
        "pkcs12 -export -nokeys -in cert.pem -out trust -passout pass:changeit",
    );
    members.push(file("etc/trust.p12", folder.read("trust")));
    assert!(folder.path("trust").exists());
    assert_eq!(found(members), expected);
}

#[test]
fn stores_in_archives_and_in_base64_are_found_too() {
    let folder = Folder::new();
    folder.run(
        "keytool",
        "-genkeypair -alias app -keyalg RSA -dname CN=app -storetype PKCS12 -keystore store -storepass changeit",
    );
    let store = folder.read("store");
    let archive = gzip(&tar::archive(&[file("conf/keystore", &store)]));
    let text = BASE64_STANDARD.encode(&store);
    let folded: String = text
        .as_bytes()
        .chunks(76)
        .map(|line| format!("    {}\n", std::str::from_utf8(line).unwrap()))
        .collect();
    let found = found([
        file("srv/app.jar", zip_of("BOOT-INF/classes/server.p12", &store)),
        file("srv/backup.tgz", archive),
        file(
            "srv/folded.yaml",
            format!("data:\n  keystore.p12: |\n{folded}  other: value\n"),
        ),
        file(
            "srv/secret.yaml",
            format!("data:\n  keystore.p12: {text}\n  other: value\n"),
        ),
    ]);
    let places: Vec<&str> = found.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(
        places,
        [
            "srv/app.jar BOOT-INF/classes/server.p12",
            "srv/backup.tgz gzip conf/keystore",
            "srv/folded.yaml",
            "srv/secret.yaml"
        ]
    );
    assert!(found.iter().all(|(_, verdict)| verdict == OPEN), "{found:#?}");
}

#[test]
fn no_part_of_a_store_is_shown_even_where_secrets_are() {
    let folder = Folder::new();
    folder.run(
        "keytool",
        "-genkeypair -alias app -keyalg EC -dname CN=app -storetype JKS -keystore store -storepass changeit \
         -keypass changeit",
    );
    let store = folder.read("store");
    let archive = image()
        .named("app:1")
        .layer([file("srv/store", &store)])
        .oci_archive();
    let run = layersift(["scan", "image.tar", "--format", "json", "--show-secrets"])
        .file("image.tar", archive)
        .run()
        .expect_code(1);
    let (hex, base64) = (layersift::text::hex(&store), BASE64_STANDARD.encode(&store));
    for piece in [&hex[40..80], &base64[40..80], "changeit"] {
        assert!(!run.text().contains(piece));
    }
}
