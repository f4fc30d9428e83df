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
use layersift::policy::{
    Date, Judgement, Policy, Reason, ReasonKind, Remark, RemarkKind, Suppressed, SuppressedBy, Verdict,
    Weight,
};
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

/// The sample as a policy judges it: one finding is suppressed, one does not count, and two things are said besides.
fn under_a_policy() -> (Report, Verdict) {
    let (mut report, mut verdict) = Policy::default().judge(fixture::sample());
    verdict.judgements[0] = Judgement {
        counts: false,
        reasons: vec![Reason {
            kind: ReasonKind::Inherited,
            text: "stands in debian:12 alone".to_owned(),
        }],
    };
    let finding = report.findings.pop().unwrap();
    verdict.judgements.pop();
    verdict.failing = (1..report.findings.len()).collect();
    verdict.suppressed.push(Suppressed {
        finding,
        by: SuppressedBy::Ignore {
            entry: "layersift.toml:12".to_owned(),
            reason: "revoked in May".to_owned(),
            owner: "team-web".to_owned(),
            expires: Date::parse("2099-01-31").unwrap(),
        },
    });
    for (weight, kind, text) in [
        (Weight::Fails, RemarkKind::DigestDiffers, "the digest is another"),
        (
            Weight::Incomplete,
            RemarkKind::TagsUnread,
            "the tags <b>| were not read",
        ),
    ] {
        verdict.remark(vec![Remark {
            weight,
            kind,
            text: text.to_owned(),
        }]);
    }
    (report, verdict)
}

#[test]
fn every_format_tells_what_the_policy_says() {
    let (report, verdict) = under_a_policy();
    let rules = fixture::notes();
    for format in TABLE {
        let settings = Settings {
            rules: &rules,
            width: 100,
            colour: false,
            sarif: Default::default(),
        };
        let mut buffer = Buffer::default();
        (format.reporter)(settings)
            .write(&report, &verdict, Reveal::Redacted, &mut buffer)
            .unwrap();
        let text = String::from_utf8(buffer.parts.remove(0).1).unwrap();
        for said in ["digest-differs", "the digest is another", "tags-unread"] {
            assert!(text.contains(said), "{} lacks {said}", format.name);
        }
        // What is uploaded becomes an alert or an entry of its own: suppressed findings are none.
        let is_uploaded = matches!(format.name, "gitlab" | "sarif");
        let suppressed = &verdict.suppressed[0].finding.fingerprint.0;
        assert_eq!(text.contains(suppressed), !is_uploaded, "{}", format.name);
        assert_eq!(text.contains("revoked in May"), !is_uploaded, "{}", format.name);
        if format.name != "sarif" {
            assert!(text.contains("stands in debian"), "{}", format.name);
        }
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
