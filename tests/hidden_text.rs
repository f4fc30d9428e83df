//! Secrets that stand encoded in a file: found, told with the way to them, and shown in no form.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use layersift::rules::RuleSet;
use serde_json::Value;

use crate::support::command::{Run, layersift};
use crate::support::image::image;
use crate::support::secrets::secrets;
use crate::support::tar::{Member, file};

fn base64(text: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(text)
}

fn folded(text: &str, width: usize, fold: &str) -> String {
    let mut out = String::new();
    for (number, character) in text.chars().enumerate() {
        if number > 0 && number % width == 0 {
            out.push_str(fold);
        }
        out.push(character);
    }
    out
}

fn each(text: &str, write: impl Fn(&mut String, u8)) -> String {
    let mut out = String::new();
    text.bytes().for_each(|byte| write(&mut out, byte));
    out
}

fn percent(text: &str) -> String {
    each(text, |out, byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
        _ => write!(out, "%{byte:02X}").unwrap(),
    })
}

fn unicode(text: &str) -> String {
    each(text, |out, byte| write!(out, "\\u{byte:04x}").unwrap())
}

fn hex(text: &[u8]) -> String {
    layersift::text::hex(text)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Random bytes, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(length)
    .collect()
}

fn scan(members: impl IntoIterator<Item = Member>, format: &str) -> Run {
    let archive = image().named("app:1").layer(members).oci_archive();
    layersift(["scan", "image.tar", "--format", format])
        .file("image.tar", archive)
        .run()
}

/// What the report says of each occurrence: rule, path and the way into it, line.
fn found(members: impl IntoIterator<Item = Member>) -> Vec<(String, String, u64)> {
    let run = scan(members, "json");
    let report = run.json();
    let mut found = Vec::new();
    for finding in report["findings"].as_array().unwrap() {
        for occurrence in finding["occurrences"].as_array().unwrap() {
            let way = occurrence["within"].as_array().cloned().unwrap_or_default();
            let way: Vec<&str> = way
                .iter()
                .map(|link| link["name"].as_str().unwrap())
                .collect::<Vec<_>>();
            let way: Vec<String> = way.into_iter().map(str::to_owned).collect();
            let path = occurrence["origin"]["path"]["text"].as_str().unwrap();
            found.push((
                finding["rule"]
                    .as_str()
                    .or(finding["rule"]["id"].as_str())
                    .unwrap()
                    .to_owned(),
                format!("{path} {}", way.join(" ")),
                occurrence["location"]["line"].as_u64().unwrap_or(0),
            ));
        }
    }
    found.sort();
    found
}

fn token() -> String {
    secrets(71).github_token()
}

fn boto() -> (String, String, String) {
    let (id, secret) = secrets(72).gcs_hmac_pair();
    let text = format!("[Credentials]\ngs_access_key_id = {id}\ngs_secret_access_key = {secret}\n");
    (text, id, secret)
}

#[test]
fn each_encoding_is_looked_through_and_named() {
    let token = token();
    let text = format!("# deployed by hand\nexport GITHUB_TOKEN={token}\n# until the next release\n");
    let rule = "github-personal-access-token";
    for (name, content, way, line) in [
        ("plain", text.clone().into_bytes(), "", 2),
        (
            "once",
            format!("a: b\nfile: {}\n", base64(&text)).into_bytes(),
            "base64",
            2,
        ),
        (
            "url",
            format!(
                "?state={}&x=1",
                BASE64_URL_SAFE_NO_PAD.encode(format!("~~~???{text}"))
            )
            .into_bytes(),
            "base64url",
            1,
        ),
        ("twice", base64(base64(&text)).into_bytes(), "base64 base64", 1),
        (
            "thrice",
            base64(base64(base64(&text))).into_bytes(),
            "base64 base64 base64",
            1,
        ),
        (
            "folded",
            format!("x\n{}\n", folded(&base64(&text), 76, "\n")).into_bytes(),
            "base64",
            2,
        ),
        (
            "block",
            format!("x: |\n  {}\n", folded(&base64(&text), 60, "\n  ")).into_bytes(),
            "base64",
            2,
        ),
        (
            "escaped",
            format!("{{\"x\":\"{}\"}}", folded(&base64(&text), 64, "\\n")).into_bytes(),
            "base64",
            1,
        ),
        (
            "hex",
            format!("x={}", hex(text.as_bytes())).into_bytes(),
            "hex",
            1,
        ),
        (
            "json",
            format!("{{\"x\":\n\"{}\"}}", unicode(&text)).into_bytes(),
            "backslash",
            2,
        ),
        (
            "utf16",
            [&[0xff, 0xfe][..], &utf16(&text)].concat(),
            "utf-16le",
            2,
        ),
        ("gzip", base64(gzip(&text)).into_bytes(), "base64 gzip", 2),
        (
            "helm",
            base64(base64(gzip(&text))).into_bytes(),
            "base64 base64 gzip",
            2,
        ),
        (
            "ps1",
            format!("powershell -EncodedCommand {}", base64(utf16(&text))).into_bytes(),
            "base64 utf-16le",
            1,
        ),
    ] {
        let found = found([file(name, content)]);
        // Where lines are of UTF-16 or in one line of base64, the line is that of what is encoded.
        let place = format!("{name} {way}");
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!(
            (&found[0].0[..], &found[0].1[..]),
            (rule, place.trim_end_matches('\0')),
            "{name}"
        );
        assert_eq!(found[0].2, line, "{name}");
    }
}

#[test]
fn both_halves_of_a_key_in_a_kubernetes_secret_stay_together() {
    let (text, id, secret) = boto();
    let whole = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: storage\ndata:\n  .boto: {}\n",
        base64(&text)
    );
    let halves = format!(
        "apiVersion: v1\nkind: Secret\ndata:\n  id: {}\n  value: {}\n",
        base64(&id),
        base64(&secret)
    );
    for (name, text) in [("whole.yaml", whole), ("halves.yaml", halves)] {
        let report = scan([file(name, text)], "json").expect_code(1).json();
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{name}: {report:#}");
        assert_eq!(findings[0]["confidence"], "high", "{name}");
        assert!(
            findings[0]["evidence"]
                .as_array()
                .unwrap()
                .contains(&"paired".into()),
            "{name}"
        );
        let occurrence = &findings[0]["occurrences"][0];
        assert_eq!(occurrence["companions"][0]["part"], "id");
        assert_eq!(occurrence["within"][0]["name"], "base64");
    }
}

#[test]
fn the_name_of_an_encoded_value_counts_as_its_context() {
    let (_, _, secret) = boto();
    let text = format!("data:\n  gs_secret_access_key: {}\n", base64(&secret));
    assert_eq!(
        found([file("secret.yaml", text)]),
        [("gcs-hmac-key".to_owned(), "secret.yaml base64".to_owned(), 2)]
    );
}

#[test]
fn percent_signs_and_references_hide_no_part_of_a_key() {
    let (text, _, secret) = boto();
    let line = text.lines().skip(1).collect::<Vec<_>>().join("&");
    assert!(secret.contains('/') && secret.contains('+'));
    let php = text.replace('/', "\\/").replace('\n', "\\n");
    let html = text.replace('+', "&#43;").replace('/', "&#x2F;");
    for (name, content, way) in [
        (
            "access.log",
            format!("GET /login?{} HTTP/1.1\n", percent(&line)),
            "percent",
        ),
        ("cache.json", format!("{{\"boto\":\"{php}\"}}"), "backslash"),
        ("page.html", format!("<pre>{html}</pre>"), "html-entity"),
    ] {
        let found = found([file(name, content)]);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!(found[0].1, format!("{name} {way}"));
        assert_eq!(found[0].0, "gcs-hmac-key");
    }
}

#[test]
fn text_of_two_bytes_per_character_is_found_in_a_program() {
    let mut program = [&b"\x7fELF\x02\x01\x01\0"[..], &noise(1, 3001)].concat();
    program.extend([0, 0, 0]);
    program.extend(utf16(&format!("token={}", token())));
    program.extend([0, 0]);
    program.extend(noise(2, 5000));
    let found = found([file("app.dll", program)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].1, "app.dll utf-16le");
}

#[test]
fn a_text_that_reaches_over_windows_is_found_where_it_is() {
    // Encoded text of almost 2 MiB, with a token here and there.
    let mut plain = String::new();
    let mut expected = 0;
    for number in 0..60_000_u64 {
        if number % 9973 == 5 {
            writeln!(plain, "token={}", secrets(9000 + number).github_token()).unwrap();
            expected += 1;
        } else {
            writeln!(plain, "line {number} says nothing").unwrap();
        }
    }
    for text in [base64(&plain), folded(&base64(&plain), 76, "\n")] {
        let found = found([file("big.txt", text)]);
        assert_eq!(found.len(), expected, "{found:?}");
    }
}

#[test]
fn no_report_shows_the_secret_or_what_encodes_it() {
    let (text, _, secret) = boto();
    let token = token();
    let note = format!("export GITHUB_TOKEN={token}\n");
    let forms = [
        base64(&note),
        folded(&base64(&text), 60, "\n    "),
        base64(base64(&note)),
        base64(gzip(&format!("before\n{note}after {}\n", base64(&text)))),
        hex(note.as_bytes()),
        unicode(&note),
        percent(&text),
    ];
    let members = forms.iter().enumerate().map(|(number, form)| {
        file(
            format!("etc/{number}.yaml"),
            format!("a: 1\nb: 2\nvalue: {form}\nc: 3\nd: 4\n"),
        )
    });
    let members: Vec<Member> = members.collect();
    let mut hidden = vec![token.clone(), secret.clone(), base64(&token)[..40].to_owned()];
    for form in &forms {
        hidden.extend(form.lines().map(|line| line.trim().to_owned()));
        // Nor a part of it that is long enough to be decoded.
        let all = form.as_bytes();
        for at in (0..all.len().saturating_sub(24)).step_by(8) {
            hidden.push(String::from_utf8(all[at..at + 24].to_vec()).unwrap());
        }
    }
    // What the percent-encoded form leaves readable is no secret.
    hidden.retain(|part| !percent(&text.replace(&secret, "")).contains(part) && part.len() >= 16);
    for format in ["human", "json", "sarif"] {
        let run = scan(members.clone(), format).expect_code(1);
        let shown = run.text().to_owned() + &run.stderr;
        for part in &hidden {
            assert!(!shown.contains(part), "{format} shows {part}:\n{shown}");
        }
    }
}

#[test]
fn reports_for_people_tell_the_way() {
    let members = [file(
        "etc/secret.yaml",
        format!("x: {}\n", base64(base64(format!("t={}", token())))),
    )];
    let human = scan(members.clone(), "human").expect_code(1);
    assert!(
        human.text().contains("etc/secret.yaml!(base64)!(base64)"),
        "{}",
        human.text()
    );
    let sarif = scan(members, "sarif").expect_code(1);
    assert!(
        sarif.text().contains("etc/secret.yaml!(base64)!(base64)"),
        "{}",
        sarif.text()
    );
}

#[test]
fn configuration_history_annotations_and_attestations_are_decoded_as_files_are() {
    let of = |seed| secrets(seed).github_token();
    let text = |seed| format!("GITHUB_TOKEN={}\n", of(seed));
    let wrap = |text: String| BASE64_URL_SAFE_NO_PAD.encode(format!("~~~???{text}"));
    let archive = image()
        .named("app:1")
        .layer([file("etc/app", "x")])
        .env(&format!("ONCE={}", base64(text(1))))
        .env(&format!("TWICE={}", base64(base64(text(2)))))
        .env(&format!("HEX={}", hex(text(3).as_bytes())))
        .env(&format!("GZIP={}", base64(gzip(&text(4)))))
        .label(
            "url",
            &format!("?next={}", percent(&text(5)).replace("ghp_", "%67hp_")),
        )
        .label("escaped", &unicode(&text(6)))
        .config(
            "Cmd",
            serde_json::json!(["sh", "-c", format!("echo {} | base64 -d", base64(text(7)))]),
        )
        .history(&format!("/bin/sh -c echo {} > /x", base64(text(8))))
        .annotation("note", &wrap(text(9)))
        .attestation(
            "https://example.com/build",
            serde_json::json!({ "args": { "key": base64(text(10)) } }),
        )
        .oci_archive();
    let run = layersift(["scan", "image.tar", "--format", "json"])
        .file("image.tar", archive)
        .run()
        .expect_code(1);
    for seed in 1..=10 {
        assert!(!run.text().contains(&of(seed)) && !run.text().contains(&base64(text(seed))));
    }
    let report = run.json();
    let mut found: Vec<(String, String)> = Vec::new();
    for finding in report["findings"].as_array().unwrap() {
        for occurrence in finding["occurrences"].as_array().unwrap() {
            let way = occurrence["within"].as_array().unwrap();
            let way: Vec<&str> = way.iter().map(|link| link["name"].as_str().unwrap()).collect();
            let field = occurrence["origin"]["field"].as_str().unwrap();
            let field = field.split(['[', '.']).take(2).collect::<Vec<_>>().join(".");
            found.push((field, way.join(" ")));
        }
    }
    found.sort();
    let ways: Vec<&str> = found.iter().map(|(_, way)| way.as_str()).collect();
    assert_eq!(found.len(), 10, "{found:#?}");
    for way in [
        "backslash",
        "base64 base64",
        "base64 gzip",
        "base64url",
        "hex",
        "percent",
    ] {
        assert_eq!(
            ways.iter().filter(|known| **known == way).count(),
            1,
            "{found:#?}"
        );
    }
}

#[test]
fn halves_of_a_credential_that_stand_encoded_in_two_variables_are_one_finding() {
    let (id, secret) = secrets(73).gcs_hmac_pair();
    let archive = image()
        .named("app:1")
        .layer([file("etc/app", "x")])
        .env(&format!("GCS_ID={}", base64(format!("gs_access_key_id={id}"))))
        .env(&format!(
            "GCS_KEY={}",
            base64(format!("gs_secret_access_key={secret}"))
        ))
        .oci_archive();
    let report = layersift(["scan", "image.tar", "--format", "json"])
        .file("image.tar", archive)
        .run()
        .expect_code(1)
        .json();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{report:#}");
    assert_eq!(findings[0]["identifier"].as_str(), Some(id.as_str()));
}

#[test]
fn digests_certificates_and_images_hide_nothing() {
    let integrity: String = (0..300)
        .map(|seed| format!("  \"integrity\": \"sha512-{}\",\n", base64(noise(seed, 64))))
        .collect();
    let sums: String = (0..300)
        .map(|seed| format!("{}  file-{seed}\n", hex(&noise(seed, 32))))
        .collect();
    let certificate = folded(
        &base64([&b"\x30\x82\x03\x5e"[..], &noise(3, 860)].concat()),
        64,
        "\n",
    );
    let certificate = format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
    let picture = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &noise(4, 40_000)].concat();
    let font = [&b"wOF2\0\x01\0\0"[..], &noise(5, 40_000)].concat();
    let page = format!(
        "<img src=\"data:image/png;base64,{}\"><style>@font-face{{src:url(data:font/woff2;base64,{})}}</style>",
        base64(picture),
        base64(font)
    );
    let report = scan(
        [
            file("package-lock.json", integrity),
            file("SHA256SUMS", sums),
            file("ca.pem", certificate),
            file("index.html", page),
            file("blob.b64", base64(noise(6, 300_000))),
        ],
        "json",
    )
    .expect_code(0)
    .json();
    assert_eq!(report["findings"], Value::Array(Vec::new()));
}

#[test]
fn what_is_found_as_it_stands_is_not_told_again() {
    let login = base64(format!("robot:{}", token()));
    let config = format!("{{\"auths\":{{\"registry.example.com\":{{\"auth\":\"{login}\"}}}}}}");
    let report = scan([file("root/.docker/config.json", config)], "json")
        .expect_code(1)
        .json();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{report:#}");
    assert_eq!(
        findings[0]["rule"]
            .as_str()
            .or(findings[0]["rule"]["id"].as_str()),
        Some("docker-config-auth")
    );
}

#[test]
fn a_service_account_is_one_finding_however_it_is_written() {
    let rules = RuleSet::builtin();
    let rule = rules.find("gcp-service-account-key").unwrap();
    let account = String::from_utf8(rule.examples[0].expand(7).unwrap()).unwrap();
    for (name, content) in [
        ("key.json", account.clone()),
        (
            "env",
            format!("GOOGLE_KEY={}\n", serde_json::to_string(&account).unwrap()),
        ),
        (
            "secret.yaml",
            format!("data:\n  key.json: {}\n", base64(&account)),
        ),
    ] {
        let found = found([file(format!("srv/{name}"), content)]);
        let ids: Vec<&str> = found.iter().map(|(rule, _, _)| rule.as_str()).collect();
        assert_eq!(ids, ["gcp-service-account-key"], "{name}");
    }
}

#[test]
fn more_encoded_text_than_is_decoded_is_told() {
    let bomb = base64(gzip(&"A".repeat(20 << 20)));
    let run = scan([file("bomb", bomb)], "json").expect_code(0);
    let skips = run.json()["coverage"]["skips"].to_string();
    assert!(skips.contains("encoded-text"), "{skips}");
}

#[test]
fn every_example_of_every_rule_is_found_encoded_as_it_is_found_plain() {
    type Form = (&'static str, fn(&str) -> Vec<u8>);
    let plain: Form = ("plain", |text| text.as_bytes().to_vec());
    let forms: [Form; 6] = [
        ("base64", |text| base64(text).into_bytes()),
        ("folded", |text| folded(&base64(text), 76, "\n").into_bytes()),
        ("twice", |text| base64(base64(text)).into_bytes()),
        ("hex", |text| hex(text.as_bytes()).into_bytes()),
        ("unicode", |text| unicode(text).into_bytes()),
        ("utf16", utf16),
    ];
    let rules = RuleSet::builtin();
    let found_as = |(_, encode): Form| -> BTreeSet<(String, String)> {
        let mut members = Vec::new();
        for rule in rules.rules() {
            for (number, example) in rule.examples.iter().enumerate() {
                let text = String::from_utf8(example.expand(7).unwrap()).unwrap();
                let path = example.path.as_deref().unwrap_or("app/config");
                // A folder of its own for each: pairs are not joined across them.
                members.push(file(format!("{}-{number}/{path}", rule.id), encode(&text)));
            }
        }
        let found = found(members).into_iter();
        found
            .map(|(rule, place, _)| (rule, place.split(' ').next().unwrap_or_default().to_owned()))
            .collect()
    };
    let wanted = found_as(plain);
    assert!(wanted.len() >= rules.rules().len());
    for form in forms {
        let found = found_as(form);
        let missed: Vec<_> = wanted.difference(&found).collect();
        let surplus: Vec<_> = found.difference(&wanted).collect();
        assert!(
            missed.is_empty() && surplus.is_empty(),
            "{}: missed {missed:#?}, surplus {surplus:#?}",
            form.0
        );
    }
}
