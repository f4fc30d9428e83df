//! What a package brought is quieter than what was put there, and never hidden: through the built program, on images
//! whose package databases are made here.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::Digest as _;

use crate::support::command::layersift;
use crate::support::image::{Image, image};
use crate::support::secrets::secrets;
use crate::support::tar::{Member, file, whiteout};

fn key() -> String {
    secrets(7).private_key()
}

fn app() -> Image {
    image().named("app:1")
}

/// One finding or none, as confidence, class and kind of evidence tell.
#[derive(Debug)]
struct Told {
    /// Findings at the default confidence.
    shown: usize,
    /// Findings that are counted only.
    left_out: u64,
    /// Everything, of any confidence.
    all: Value,
}

impl Told {
    #[track_caller]
    fn of(image: &Image) -> Self {
        let report = |args: &[&str]| {
            let archive = image.oci_archive();
            let run = layersift(["scan", "image.tar", "--format", "json"]).file("image.tar", archive);
            let run = args.iter().fold(run, |run, arg| run.arg(arg)).run();
            assert!(matches!(run.code, Some(0 | 1)), "{}", run.stderr);
            run.json()
        };
        let shown = report(&[]);
        let left_out = shown["verdict"]["left_out"].as_array().unwrap().iter();
        Self {
            shown: shown["findings"].as_array().unwrap().len(),
            left_out: left_out.map(|filter| filter["findings"].as_u64().unwrap()).sum(),
            all: report(&["--min-confidence", "low", "--severity", "low"]),
        }
    }

    /// The reason of the class of the first occurrence, with its confidence.
    #[track_caller]
    fn first(&self) -> (String, String) {
        let occurrence = &self.all["findings"][0]["occurrences"][0];
        let text = |value: &Value| {
            value
                .as_str()
                .unwrap_or_else(|| panic!("{occurrence:#}"))
                .to_owned()
        };
        (
            text(&occurrence["confidence"]),
            text(&occurrence["class"]["reason"]),
        )
    }

    #[track_caller]
    fn is_reported(&self, reason: &str) {
        assert_eq!((self.shown, self.left_out), (1, 0), "{:#}", self.all);
        assert_eq!(self.first(), ("high".to_owned(), reason.to_owned()));
    }

    #[track_caller]
    fn is_counted_only(&self, reason: &str) {
        assert_eq!((self.shown, self.left_out), (0, 1), "{:#}", self.all);
        assert_eq!(self.first(), ("low".to_owned(), reason.to_owned()));
        assert!(
            self.all["findings"][0]["evidence"]
                .to_string()
                .contains("packaged")
        );
    }
}

const DEBIAN_TEST: &str = "usr/lib/python3/dist-packages/twisted/test/server.pem";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// dpkg's database of a package with one file.
fn dpkg(path: &str, content: impl AsRef<[u8]>) -> Member {
    let sums = format!("{}  {path}\n", hex(&md5::Md5::digest(content)));
    file("var/lib/dpkg/info/python3-twisted.md5sums", sums)
}

fn record(folder: &str, path: &str, content: &str) -> Member {
    let hash = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(content));
    let lines = format!(
        "{path},sha256={hash},{}\ntornado-6.4.dist-info/RECORD,,\n",
        content.len()
    );
    file(format!("{folder}/tornado-6.4.dist-info/RECORD"), lines)
}

#[test]
fn a_key_in_an_application_file_is_reported() {
    let told = Told::of(&app().layer([file("srv/app/test/server.pem", key())]));
    told.is_reported("file of no known package, test data");
}

#[test]
fn a_key_in_an_archive_of_a_package_is_of_the_class_of_the_archive() {
    let path = "usr/lib/python3/dist-packages/twisted/test/keys.pem.gz";
    let packed = crate::support::packed::gzip(key().as_bytes());
    let told = Told::of(&app().layer([dpkg(path, &packed), file(path, &packed)]));
    told.is_counted_only("unmodified file of Debian package python3-twisted, test data");
    let told = Told::of(&app().layer([dpkg(path, "another"), file(path, &packed)]));
    told.is_reported("file that is not as it came with Debian package python3-twisted, test data");
}

#[test]
fn a_key_in_an_unmodified_debian_test_is_counted_only() {
    let told = Told::of(&app().layer([dpkg(DEBIAN_TEST, key()), file(DEBIAN_TEST, key())]));
    told.is_counted_only("unmodified file of Debian package python3-twisted, test data");
    let class = &told.all["findings"][0]["occurrences"][0]["class"];
    assert_eq!(class["kind"], "package");
    assert_eq!(class["area"], "test");
    assert_eq!(class["package"]["name"], "python3-twisted");
    assert_eq!(class["package"]["system"], "dpkg");
    assert_eq!(class["package"]["state"], "unmodified");
}

#[test]
fn people_are_told_of_what_is_not_shown_and_why() {
    let archive = app()
        .layer([dpkg(DEBIAN_TEST, key()), file(DEBIAN_TEST, key())])
        .oci_archive();
    let run = |args: &[&str]| {
        let run = layersift(["scan", "image.tar"]).file("image.tar", &archive);
        args.iter().fold(run, |run, arg| run.arg(arg)).run()
    };
    let quiet = run(&[]).expect_code(0);
    assert!(
        quiet.text().contains("1 finding below medium confidence"),
        "{}",
        quiet.text()
    );
    let all = run(&["--min-confidence", "low"]).expect_code(1);
    assert!(
        all.text()
            .contains("unmodified file of Debian package python3-twisted"),
        "{}",
        all.text()
    );
    assert!(
        all.text().contains("in a file that a package brought"),
        "{}",
        all.text()
    );
}

#[test]
fn a_key_in_an_ordinary_file_of_a_package_loses_one_step() {
    let path = "usr/share/twisted/server.pem";
    let told = Told::of(&app().layer([dpkg(path, key()), file(path, key())]));
    assert_eq!((told.shown, told.left_out), (1, 0));
    assert_eq!(told.first().0, "medium");
}

#[test]
fn a_key_in_what_an_open_package_published_is_counted_only() {
    let path = "usr/share/twisted/server.pem";
    let copyright = || file("usr/share/doc/python3-twisted/copyright", "License: Expat\n");
    Told::of(&app().layer([dpkg(path, key()), copyright(), file(path, key())]))
        .is_counted_only("unmodified file of Debian package python3-twisted");
    Told::of(&app().layer([dpkg(path, "other"), copyright(), file(path, key())]))
        .is_reported("file that is not as it came with Debian package python3-twisted");

    let python = |fields: &str| {
        app().layer([
            file(format!("{SITE}/tornado/server.pem"), key()),
            record(SITE, "tornado/server.pem", &key()),
            file(
                format!("{SITE}/tornado-6.4.dist-info/METADATA"),
                format!("Name: tornado\n{fields}\n\n"),
            ),
        ])
    };
    Told::of(&python("License-Expression: Apache-2.0"))
        .is_counted_only("unmodified file of Python distribution tornado 6.4");
    let own = Told::of(&python("Summary: what Acme runs"));
    assert_eq!(
        own.first().0,
        "medium",
        "it may be what a company built for itself"
    );
}

#[test]
fn a_test_of_a_language_is_counted_only() {
    let folder = "usr/local/lib/python3.12";
    let test = || file(format!("{folder}/test/keycert.pem"), key());
    Told::of(&app().layer([file(format!("{folder}/os.py"), ""), test()]))
        .is_counted_only("file of the standard library of Python, test data");
    Told::of(&app().layer([test()])).is_reported("file of no known package, test data");
}

#[test]
fn settings_in_a_module_lose_one_step_only() {
    let module = "srv/app/node_modules/acme";
    let password = secrets(11).password(20);
    let line = format!("DATABASE_URL=postgres://acme:{password}@db.acme.internal:5432/acme\n");
    let confidence = |name: &str| {
        let package = file(format!("{module}/package.json"), "{}");
        let told = Told::of(&app().layer([package, file(format!("{module}/{name}"), &line)]));
        told.first().0
    };
    assert_eq!(confidence(".env"), "medium");
    assert_eq!(confidence("index.js"), "low");
}

#[test]
fn a_modified_file_of_a_package_is_reported() {
    let told = Told::of(&app().layer([dpkg(DEBIAN_TEST, "another key\n"), file(DEBIAN_TEST, key())]));
    told.is_reported("file that is not as it came with Debian package python3-twisted, test data");
}

#[test]
fn a_key_in_an_alpine_test_is_counted_only_unless_modified() {
    let installed = |content: &str| {
        let hash = STANDARD.encode(sha1::Sha1::digest(content));
        let text = format!("P:py3-tornado\nV:6.4-r1\nF:usr/lib/tornado/test\nR:test.key\nZ:Q1{hash}\n\n");
        file("lib/apk/db/installed", text)
    };
    let key_file = || file("usr/lib/tornado/test/test.key", key());
    Told::of(&app().layer([installed(&key()), key_file()]))
        .is_counted_only("unmodified file of Alpine package py3-tornado 6.4-r1, test data");
    Told::of(&app().layer([installed("other"), key_file()]))
        .is_reported("file that is not as it came with Alpine package py3-tornado 6.4-r1, test data");
}

const SITE: &str = "usr/local/lib/python3.12/site-packages";

#[test]
fn a_python_record_counts_only_if_it_matches() {
    let path = "tornado/test/test.key";
    let member = || file(format!("{SITE}/{path}"), key());
    Told::of(&app().layer([member(), record(SITE, path, &key())]))
        .is_counted_only("unmodified file of Python distribution tornado 6.4, test data");
    Told::of(&app().layer([member(), record(SITE, path, "other")]))
        .is_reported("file that is not as it came with Python distribution tornado 6.4, test data");
}

#[test]
fn a_distribution_that_was_installed_from_a_folder_may_be_the_application() {
    let path = "tornado/test/test.key";
    let direct_url = format!("{SITE}/tornado-6.4.dist-info/direct_url.json");
    let image = app().layer([
        file(format!("{SITE}/{path}"), key()),
        record(SITE, path, &key()),
        file(direct_url, r#"{"dir_info": {}, "url": "file:///src"}"#),
    ]);
    Told::of(&image)
        .is_reported("file of Python distribution tornado 6.4, which did not come from an index, test data");
}

#[test]
fn a_compiled_module_is_as_its_source() {
    let source = format!("KEY = '''{}'''\n", key());
    let compiled = || {
        file(
            format!("{SITE}/tornado/test/__pycache__/keys.cpython-312.pyc"),
            key(),
        )
    };
    let members = |promised: &str| {
        app().layer([
            file(format!("{SITE}/tornado/test/keys.py"), &source),
            compiled(),
            record(SITE, "tornado/test/keys.py", promised),
        ])
    };
    let quiet = Told::of(&members(&source));
    assert_eq!((quiet.shown, quiet.left_out), (0, 1), "{:#}", quiet.all);
    let loud = Told::of(&members("other"));
    assert_eq!((loud.shown, loud.left_out), (1, 0), "{:#}", loud.all);
    // Without a source there is nothing it could be compiled from.
    let orphan = app().layer([compiled(), record(SITE, "tornado/test/keys.py", &source)]);
    Told::of(&orphan).is_reported("file of no known package, test data");
}

#[test]
fn the_database_may_come_in_an_earlier_or_a_later_layer() {
    let reason = "unmodified file of Debian package python3-twisted, test data";
    let earlier = app()
        .layer([dpkg(DEBIAN_TEST, key())])
        .layer([file(DEBIAN_TEST, key())]);
    Told::of(&earlier).is_counted_only(reason);
    let later = app()
        .layer([file(DEBIAN_TEST, key())])
        .layer([dpkg(DEBIAN_TEST, key())]);
    Told::of(&later).is_counted_only(reason);
}

#[test]
fn a_test_of_an_npm_module_is_counted_only() {
    let module = "srv/app/node_modules/public-encrypt";
    let package = || file(format!("{module}/package.json"), r#"{"name": "public-encrypt"}"#);
    let test = || file(format!("{module}/test/ec.priv"), key());
    let reason = "file of npm module public-encrypt, which keeps no hash of it, test data";
    Told::of(&app().layer([package(), test()])).is_counted_only(reason);
    let ordinary = Told::of(&app().layer([package(), file(format!("{module}/ec.priv"), key())]));
    assert_eq!(ordinary.first().0, "medium");
    // A folder that only lies there is no module.
    Told::of(&app().layer([test()])).is_reported("file of no known package, test data");
}

#[test]
fn what_a_later_layer_deletes_is_never_lowered() {
    let image = app()
        .layer([dpkg(DEBIAN_TEST, key()), file(DEBIAN_TEST, key())])
        .layer([whiteout(DEBIAN_TEST)]);
    Told::of(&image).is_reported("unmodified file of Debian package python3-twisted, test data");
}

#[test]
fn what_a_later_layer_overwrites_is_lowered_only_if_the_package_did_it() {
    let base = || app().layer([dpkg(DEBIAN_TEST, key()), file(DEBIAN_TEST, key())]);
    let by_hand = base().layer([file(DEBIAN_TEST, "")]);
    Told::of(&by_hand).is_reported("unmodified file of Debian package python3-twisted, test data");
    let upgraded = base().layer([dpkg(DEBIAN_TEST, "new"), file(DEBIAN_TEST, "new")]);
    Told::of(&upgraded).is_counted_only("unmodified file of Debian package python3-twisted, test data");
}

#[test]
fn the_same_key_in_an_application_file_keeps_its_confidence() {
    let told = Told::of(&app().layer([
        dpkg(DEBIAN_TEST, key()),
        file(DEBIAN_TEST, key()),
        file("srv/app/server.pem", key()),
    ]));
    assert_eq!((told.shown, told.left_out), (1, 0));
    let finding = &told.all["findings"][0];
    assert_eq!(finding["confidence"], "high");
    assert!(
        !finding["evidence"].to_string().contains("packaged"),
        "{finding:#}"
    );
    let places = finding["occurrences"].as_array().unwrap();
    let paths: Vec<_> = places
        .iter()
        .map(|place| &place["origin"]["path"]["text"])
        .collect();
    assert_eq!(
        paths,
        ["srv/app/server.pem", DEBIAN_TEST],
        "what counts comes first"
    );
}

#[test]
fn a_token_whose_checksum_is_right_loses_one_step_only() {
    let text = format!("token = {}\n", secrets(8).github_token());
    let told = Told::of(&app().layer([dpkg(DEBIAN_TEST, &text), file(DEBIAN_TEST, &text)]));
    assert_eq!((told.shown, told.left_out), (1, 0), "{:#}", told.all);
    assert_eq!(told.first().0, "medium");
}

#[test]
fn a_file_that_spans_windows_is_compared_and_one_that_is_too_large_is_not() {
    // Windows bring 1 MiB each; 4 MiB are compared.
    for (before, size, reason) in [
        (
            1_000_000,
            100_000,
            "unmodified file of Debian package python3-twisted, test data",
        ),
        (
            500_000,
            3_500_000,
            "unmodified file of Debian package python3-twisted, test data",
        ),
        (
            0,
            5_000_000,
            "file of Debian package python3-twisted, too large to be compared, test data",
        ),
    ] {
        for at in [0, size - 5_000] {
            let mut content = "a line of text\n".repeat(size / 15);
            content.insert_str(at / 15 * 15, &key());
            let image = app().layer([
                file("filler", vec![b'.'; before]),
                file(DEBIAN_TEST, &content),
                dpkg(DEBIAN_TEST, &content),
            ]);
            let told = Told::of(&image);
            assert_eq!(
                told.first().1,
                reason,
                "{size} bytes behind {before}, the key at {at}"
            );
        }
    }
}

#[test]
fn a_manual_that_is_too_large_to_be_compared_is_as_its_package_brought_it() {
    let content = "a line of text\n".repeat(350_000) + &key();
    for (path, is_shown) in [("usr/share/man/man7/acme.7", false), ("etc/acme/rules", true)] {
        let told = Told::of(&app().layer([file(path, &content), dpkg(path, &content)]));
        assert_eq!(told.shown == 1, is_shown, "{path}: {:#}", told.all);
        assert!(
            told.first().1.contains("too large to be compared"),
            "{path}: {:?}",
            told.first()
        );
    }
}

#[test]
fn a_key_in_a_go_module_with_a_licence_is_counted_only() {
    let of = |root: &str, others: &[&str]| {
        let mut files = vec![file(format!("{root}/conn/server.pem"), key())];
        files.extend(others.iter().map(|name| file(format!("{root}/{name}"), "text\n")));
        Told::of(&app().layer(files))
    };
    let standard = "root/go/pkg/mod/example.com/acme/lib@v1.2.3";
    of(standard, &["LICENSE"])
        .is_counted_only("file of Go module example.com/acme/lib v1.2.3, which keeps no hash of it");
    assert_eq!(
        of(standard, &[]).first().0,
        "medium",
        "it may be what a company built for itself"
    );
    let elsewhere = "var/cache/mod/example.com/acme/lib@v1.2.3";
    of(elsewhere, &["LICENSE", "go.mod"])
        .is_counted_only("file of Go module example.com/acme/lib v1.2.3, which keeps no hash of it");
    of(elsewhere, &["LICENSE"]).is_reported("file of no known package");
}

#[test]
fn a_database_that_spans_windows_is_read() {
    let content = key();
    let mut sums = String::new();
    for number in 0..20_000 {
        sums.push_str(&format!("{:032x}  usr/share/filler/{number}\n", 7));
    }
    sums.push_str(&format!("{}  {DEBIAN_TEST}\n", hex(&md5::Md5::digest(&content))));
    let image = app().layer([
        file("filler", vec![b'.'; 800_000]),
        file("var/lib/dpkg/info/python3-twisted.md5sums", sums),
        file(DEBIAN_TEST, content),
    ]);
    Told::of(&image).is_counted_only("unmodified file of Debian package python3-twisted, test data");
}

#[test]
fn configuration_has_no_class() {
    let token = secrets(9).github_token();
    let told = Told::of(&app().layer([dpkg("a", "")]).env(&format!("TOKEN={token}")));
    let finding = &told.all["findings"][0];
    assert_eq!(finding["confidence"], "high");
    for occurrence in finding["occurrences"].as_array().unwrap() {
        assert!(occurrence.get("class").is_none(), "{occurrence:#}");
    }
}

#[test]
fn a_token_in_what_a_distribution_published_is_counted_only_unless_modified() {
    let path = "usr/share/harbour/settings.php";
    let token = format!("token = {}{}\n", "glpat-", secrets(9).password(20));
    let copyright = || file("usr/share/doc/python3-twisted/copyright", "License: Expat\n");
    let layer =
        |published: &str| app().layer([dpkg(path, published), copyright(), file(path, token.as_str())]);
    let told = Told::of(&layer(&token));
    assert_eq!((told.shown, told.first().0.as_str()), (0, "low"));
    let told = Told::of(&layer("another\n"));
    assert_eq!((told.shown, told.first().0.as_str()), (1, "high"));
    // Without a licence it may be a company's own package.
    let told = Told::of(&app().layer([dpkg(path, &token), file(path, token.as_str())]));
    assert_eq!((told.shown, told.first().0.as_str()), (1, "medium"));
}

/// Confidence and evidence of the only finding of a report.
#[track_caller]
fn confidence_of(report: &Value) -> (String, String) {
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{report:#}");
    let confidence = findings[0]["confidence"].as_str().unwrap().to_owned();
    (confidence, findings[0]["evidence"].to_string())
}

fn variable() -> String {
    let value = secrets(3).password(40);
    format!("HARBOUR_API_TOKEN={value}\n")
}

#[test]
fn what_a_later_layer_deletes_is_surer_where_somebody_put_it() {
    let confidence = |path: &str| {
        let kept = app().layer([file(path, variable())]);
        let deleted = app().layer([file(path, variable())]).layer([whiteout(path)]);
        [kept, deleted].map(|image| confidence_of(&Told::of(&image).all))
    };
    let [kept, deleted] = confidence("srv/app/.env");
    assert_eq!(kept.0, "medium");
    assert!(!kept.1.contains("deleted"), "{}", kept.1);
    assert_eq!(deleted.0, "high");
    assert!(deleted.1.contains("deleted"), "{}", deleted.1);
    let [_, in_test] = confidence("srv/app/test/.env");
    assert_eq!(in_test.0, "medium", "an example of a test may be deleted with it");
}

#[test]
fn a_layer_of_several_repositories_is_less_sure_unless_proven_and_never_hidden() {
    let report = |text: &str, other: &str| {
        let base = |name: &str| {
            let base = file("etc/settings", text);
            image().named(name).layer([base]).oci_archive()
        };
        let run = layersift(["scan", "a.tar", "b.tar", "--format", "json"])
            .file("a.tar", base("acme/a:1"))
            .file("b.tar", base(other))
            .run()
            .expect_code(1);
        let mut report = run.json();
        // Findings are told apart by repository; they are the same otherwise.
        report["findings"].as_array_mut().unwrap().truncate(1);
        confidence_of(&report)
    };
    let mut secrets = secrets(5);
    let plain = format!("token = {}{}\n", "glpat-", secrets.password(20));
    assert_eq!(report(&plain, "acme/a:2").0, "high", "tags of one repository");
    let shared = report(&plain, "acme/b:1");
    assert_eq!(shared.0, "medium");
    assert!(shared.1.contains("shared"), "{}", shared.1);
    let proven = format!("token = {}\n", secrets.github_token());
    assert_eq!(report(&proven, "acme/b:1").0, "high");
}
