//! Reports: every format from the same `Report` values, built in code.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its functions too"
)]

mod fixture;
mod html;
mod human;
mod interchange;
mod json;
mod policy;
mod properties;
mod sarif;
mod sink;

use layersift::finding::{Report, Reveal};
use layersift::policy::Policy;
use layersift::report::{Buffer, Settings, TABLE, format};

/// What `name` writes of `report` under the default policy, without colour, 100 columns wide.
fn written(name: &str, report: &Report, reveal: Reveal) -> Vec<u8> {
    let (report, verdict) = Policy::default().judge(report.clone());
    let mut buffer = Buffer::default();
    let rules = fixture::notes();
    let settings = Settings {
        rules: &rules,
        width: 100,
        colour: false,
        sarif: Default::default(),
    };
    (format(name).unwrap().reporter)(settings)
        .write(&report, &verdict, reveal, &mut buffer)
        .unwrap();
    assert_eq!(buffer.parts.len(), 1, "an undivided sink takes one part");
    buffer.parts.remove(0).1
}

/// Compares with `testdata/reports/NAME`; `UPDATE_GOLDEN=1` writes it anew.
fn assert_golden(name: &str, actual: &[u8]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/reports")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read(&path).unwrap_or_default();
    assert!(
        expected == actual,
        "{} differs; look at it, then run with UPDATE_GOLDEN=1:\n{}",
        path.display(),
        String::from_utf8_lossy(actual)
    );
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[test]
fn every_format_matches_its_golden_file() {
    for (format, file) in [
        ("human", "sample.txt"),
        ("json", "sample.json"),
        ("jsonl", "sample.jsonl"),
        ("sarif", "sample.sarif"),
        ("gitlab", "sample.gitlab.json"),
        ("junit", "sample.junit.xml"),
        ("markdown", "sample.md"),
    ] {
        assert_golden(file, &written(format, &fixture::sample(), Reveal::Redacted));
    }
}

#[test]
fn every_format_keeps_every_secret_to_itself() {
    let report = fixture::sample();
    let secrets = fixture::secrets(&report);
    assert!(secrets.len() > 3);
    for format in TABLE {
        let text = written(format.name, &report, Reveal::Redacted);
        for secret in &secrets {
            assert!(!contains(&text, secret), "{} shows a secret", format.name);
        }
    }
}

#[test]
fn every_format_names_every_finding_and_both_layers() {
    let report = fixture::sample();
    for format in TABLE {
        let text = String::from_utf8(written(format.name, &report, Reveal::Redacted)).unwrap();
        for finding in report
            .findings
            .iter()
            .filter(|finding| finding.rule.0 != fixture::LOW_RULE)
        {
            assert!(
                text.contains(&finding.fingerprint.0),
                "{} lacks {}",
                format.name,
                finding.fingerprint
            );
        }
        assert!(text.contains("COPY ci/boto.cfg /root/.boto"), "{}", format.name);
        assert!(text.contains("rm -f /root/.boto"), "{}", format.name);
    }
}

#[test]
fn every_format_tells_what_was_skipped() {
    for format in TABLE {
        let text = String::from_utf8(written(format.name, &fixture::sample(), Reveal::Redacted)).unwrap();
        assert!(text.contains("encrypted"), "{}", format.name);
        assert!(text.contains("opt/app/vendor/bundle.zip"), "{}", format.name);
    }
}

#[test]
fn only_formats_for_files_show_secrets_and_only_on_demand() {
    let report = fixture::sample();
    for (format, shows) in [("human", true), ("json", true), ("jsonl", true), ("sarif", false)] {
        let text = written(format, &report, Reveal::Plain);
        assert_eq!(
            contains(&text, report.findings[0].secret.expose()),
            shows,
            "{format}"
        );
    }
}
