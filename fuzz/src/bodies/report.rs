//! Whole runs: an archive in, reports out. The ledger adds up, what JSON says reads back, and no report holds a secret.

use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use layersift::finding::{Report, Reveal};
use layersift::policy::{Outcome, Policy};
use layersift::report::{Buffer, RuleNotes, Settings, TABLE, human, json, notes, wire};
use layersift::rules::{Confidence, RuleSet, Severity};
use layersift::scan::{Scan, Target as Aim};
use layersift::source::{Access, ArchiveStream, Opened, SourceError};

use super::layer::LIMITS;
use super::{Pieces, Target, contains};
use crate::support::image::{Packing, image};
use crate::support::secrets::secrets;
use crate::support::tar::{file, symlink, whiteout};

pub const ARCHIVE: Target = Target {
    name: "docker_archive",
    body: archive,
    seeds: || {
        let token = secrets(5).github_token();
        let app = image()
            .named("app:1.4")
            .layer([file("app/.env", format!("GITHUB_TOKEN={token}\n"))])
            .layer([whiteout("app/.env"), symlink("link", "app")])
            .env("MODE=production")
            .label("a", "b");
        let packed = app.clone().packed(Packing::Zstd);
        let attested = app
            .clone()
            .attestation("https://slsa.dev/provenance/v1", serde_json::json!({"a": "b"}));
        vec![
            app.docker_archive(),
            app.podman_archive(),
            packed.oci_archive(),
            attested.containerd_archive(),
        ]
    },
    words: &[
        b"manifest.json",
        b"index.json",
        b"oci-layout",
        b"blobs/sha256/",
        b"layer.tar",
        b"\"Layers\":[",
        b"\"Config\":\"",
        b"\"manifests\":[",
        b"\"layers\":[",
        b"ustar\x0000",
        b"repositories",
    ],
    longest: 32 * 1024,
};

pub const PLANTED: Target = Target {
    name: "planted_secret",
    body: planted,
    seeds: || {
        [
            "etc/config: key = value\n",
            "\u{202e}a/../b\n::error::x\n-----BEGIN PRIVATE KEY-----\nnothing\n",
            "\"}],\"runs\":[{<script>&amp;\x1b[2J\\u001b%0A",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    words: &[
        b"\n",
        b"/",
        b"../",
        b"\x1b[",
        b"-----BEGIN RSA PRIVATE KEY-----\n",
        b"\xff\xfe",
        b"{\"",
        b"PK\x03\x04",
        b"\x1f\x8b\x08\0",
        b"password=",
        b"EXAMPLE",
        b"%41",
        b"\\u0041",
    ],
    longest: 1024,
};

pub const READ: Target = Target {
    name: "report_json",
    body: read,
    seeds: || {
        let token = secrets(5).github_token();
        let app = image().layer([file("a", format!("{token}\n"))]).docker_archive();
        let (report, verdict) = Policy::default().judge(scanned(&app));
        let write = |name: &str| written(name, &report, &verdict);
        vec![write("json"), write("jsonl")]
    },
    words: &[
        b"\"schema\":\"layersift.report/1\"",
        b"\"type\":\"finding\"",
        b"\"type\":\"header\"",
        b"\"type\":\"summary\"",
        b"\"findings\":[",
        b"\"occurrences\":[",
        b"\"images\":[",
        b"{\"bytes\":\"",
        b"18446744073709551615",
        b"-1",
        b"null",
    ],
    longest: 16 * 1024,
};

static SCAN: LazyLock<Scan> = LazyLock::new(|| {
    Scan::new(Arc::new(RuleSet::builtin()))
        .limits(LIMITS.clone())
        .jobs(1)
});
static NOTES: LazyLock<RuleNotes> = LazyLock::new(|| notes(SCAN.rules()));

fn settings() -> Settings<'static> {
    Settings {
        rules: &NOTES,
        width: 100,
        colour: false,
        sarif: Default::default(),
    }
}

/// The report on an archive that comes through a pipe.
pub(super) fn scanned(archive: &[u8]) -> Report {
    opened(ArchiveStream::open(
        Box::new(Cursor::new(archive.to_vec())),
        "stdin",
        None,
        &LIMITS,
    ))
}

fn opened(stream: Result<ArchiveStream, SourceError>) -> Report {
    let opened = stream.map(|stream| Opened {
        kind: "stdin",
        access: Access::Stream(Box::new(stream)),
        passed_over: Vec::new(),
    });
    let aim = Aim {
        name: "image.tar".to_owned(),
        repository: None,
        opened,
    };
    SCAN.run(vec![aim]).expect("threads can be started")
}

fn written(name: &str, report: &Report, verdict: &layersift::policy::Verdict) -> Vec<u8> {
    let format = TABLE
        .iter()
        .find(|format| format.name == name)
        .expect("a format of this name");
    let mut buffer = Buffer::default();
    (format.reporter)(settings())
        .write(report, verdict, Reveal::Redacted, &mut buffer)
        .expect("memory can be written");
    buffer.parts.remove(0).1
}

/// Every finding counts, so that none is left out of the reports.
fn everything() -> Policy {
    Policy {
        min_confidence: Confidence::Low,
        min_severity: Severity::Low,
        ..Policy::default()
    }
}

fn archive(bytes: &[u8]) {
    let report = scanned(bytes);
    ledger(&report);
    // Read to its end or not: what was found is the same, however the pipe cuts it.
    let owned = bytes.to_vec();
    let cut: Vec<u8> = Pieces::of(&owned).flatten().copied().collect();
    assert_eq!(cut, bytes);
    let (report, verdict) = everything().judge(report);
    let is_complete =
        report.coverage.is_complete() && !report.targets.iter().any(|target| target.failure.is_some());
    assert_eq!(
        verdict.incomplete || verdict.unresolved,
        !is_complete,
        "the verdict hides what was lost"
    );
    if !is_complete {
        assert!(!matches!(verdict.outcome(), Outcome::Clean | Outcome::Findings));
    }
    reports(&report, &verdict);
}

/// Seen is scanned and skipped; no window broke off.
fn ledger(report: &Report) {
    let coverage = &report.coverage;
    assert_eq!(
        coverage.seen_bytes,
        coverage.scanned_bytes + coverage.skipped_bytes,
        "{coverage:?}"
    );
    for skip in &coverage.skips {
        assert_ne!(skip.reason, "panic", "{skip:?}");
        assert!(
            !skip
                .place
                .chars()
                .chain(skip.detail.chars())
                .any(layersift::text::is_unprintable),
            "{skip:?}"
        );
    }
}

/// Every format can be written, what JSON says is the report, and no secret is in any of them.
fn reports(report: &Report, verdict: &layersift::policy::Verdict) {
    let expected = wire::Report::new(report, verdict, Reveal::Redacted);
    for format in TABLE {
        let text = written(format.name, report, verdict);
        let shown = std::str::from_utf8(&text).expect("reports are UTF-8");
        let unprintable = |character: char| character != '\n' && layersift::text::is_unprintable(character);
        assert!(
            !shown.contains(unprintable),
            "{} writes a control character",
            format.name
        );
        if matches!(format.name, "json" | "jsonl") {
            let again = json::read(&text).expect("it can be read back");
            assert_eq!(again, expected, "{} says something else", format.name);
        }
        for finding in &report.findings {
            let secret = finding.secret.expose();
            assert!(
                secret.len() < 16 || !contains(&text, secret),
                "{} shows a secret of `{}`",
                format.name,
                finding.rule
            );
        }
    }
}

/// The input stands around a secret, in names and in texts: it neither hides the secret nor shows it.
fn planted(bytes: &[u8]) {
    let token = secrets(7).github_token();
    if contains(bytes, token.as_bytes()) {
        return;
    }
    let (before, behind) = bytes.split_at(bytes.len() / 2);
    let content = [before, b"\n", token.as_bytes(), b"\n", behind].concat();
    let name: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).take(90).collect();
    let text = String::from_utf8_lossy(bytes);
    let text: String = text.chars().filter(|character| *character != '\0').collect();
    let app = image()
        .layer([
            file("srv/planted", content),
            file([b"d/", &name[..]].concat(), behind),
        ])
        .env(&format!("TEXT={text}"))
        .label("token", &format!("{text}\n{token}\n"))
        .created_by(&text)
        .annotation("text", &text);
    let report = scanned(&app.docker_archive());
    ledger(&report);
    let is_planted = |finding: &&layersift::finding::Finding| finding.secret.expose() == token.as_bytes();
    let found = report
        .findings
        .iter()
        .find(is_planted)
        .expect("the token is found");
    assert!(found.occurrences.len() >= 2, "in the file and in the label");
    let (report, verdict) = everything().judge(report);
    for format in TABLE {
        let text = written(format.name, &report, &verdict);
        assert!(
            !contains(&text, token.as_bytes()),
            "{} shows the token",
            format.name
        );
    }
    reports(&report, &verdict);
}

/// A report is read by other commands; it may have been edited.
fn read(bytes: &[u8]) {
    let Ok(report) = json::read(bytes) else {
        return;
    };
    let text = human::render(&report, &settings());
    let unprintable = |character: char| character != '\n' && layersift::text::is_unprintable(character);
    assert!(
        !text.contains(unprintable),
        "a control character reaches the terminal"
    );
    let again = serde_json::to_vec(&report).expect("memory can be written");
    assert_eq!(
        json::read(&again).ok(),
        Some(report),
        "it says something else the second time"
    );
}
