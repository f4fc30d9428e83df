//! The verdict, and what filters leave out.

use layersift::finding::{Report, Skip, SkipKind, Status, Verification};
use layersift::policy::{Filter, Outcome, Policy, Verdict};
use layersift::rules::{Confidence, RuleId, Severity};

use super::fixture;

fn judge(policy: &Policy) -> (Report, Verdict) {
    policy.judge(fixture::sample())
}

fn rules(report: &Report) -> Vec<&str> {
    report
        .findings
        .iter()
        .map(|finding| finding.rule.0.as_str())
        .collect()
}

#[test]
fn by_default_deleted_and_metadata_findings_count_and_low_confidence_does_not() {
    let (report, verdict) = judge(&Policy::default());
    assert_eq!(rules(&report), ["gcs-hmac-key", "npm-token", "private-key"]);
    assert_eq!(verdict.failing, [0, 1, 2]);
    assert_eq!(verdict.outcome(), Outcome::Findings);
    assert_eq!(verdict.left_out.len(), 1);
    assert_eq!(
        (verdict.left_out[0].filter, verdict.left_out[0].findings),
        (Filter::MinConfidence, 1)
    );
    assert_eq!(verdict.occurrences_left_out, 0);
}

#[test]
fn each_filter_leaves_out_counts_and_tells() {
    let default = Policy::default;
    let paths = |globs: &[&str]| globs.iter().map(|glob| glob.parse().unwrap()).collect();
    let id = |id: &str| vec![RuleId(id.to_owned())];
    type Case<'a> = (Policy, &'a [&'a str], &'a [(Filter, u64)], u64);
    let cases: [Case<'_>; 9] = [
        (
            Policy {
                min_confidence: Confidence::Low,
                ..default()
            },
            &["gcs-hmac-key", "npm-token", "private-key", "generic-assignment"],
            &[],
            0,
        ),
        (
            Policy {
                min_severity: Severity::Critical,
                ..default()
            },
            &["gcs-hmac-key"],
            &[(Filter::MinConfidence, 1), (Filter::Severity, 2)],
            0,
        ),
        (
            Policy {
                statuses: vec!["present".parse().unwrap()],
                ..default()
            },
            &["private-key"],
            &[(Filter::MinConfidence, 1), (Filter::Status, 2)],
            1,
        ),
        (
            Policy {
                statuses: vec!["deleted".parse().unwrap(), "history".parse().unwrap()],
                ..default()
            },
            &["gcs-hmac-key", "npm-token"],
            &[(Filter::MinConfidence, 1), (Filter::Status, 1)],
            1,
        ),
        (
            Policy {
                include: paths(&["/root/**"]),
                ..default()
            },
            &["gcs-hmac-key"],
            &[(Filter::MinConfidence, 1), (Filter::Path, 2)],
            0,
        ),
        (
            Policy {
                exclude: paths(&["*.bak"]),
                ..default()
            },
            &["gcs-hmac-key", "npm-token", "private-key"],
            &[(Filter::MinConfidence, 1)],
            1,
        ),
        (
            Policy {
                exclude: paths(&["etc/*", "config.*", "history*"]),
                ..default()
            },
            &["gcs-hmac-key", "private-key"],
            &[(Filter::MinConfidence, 1), (Filter::Path, 1)],
            0,
        ),
        (
            Policy {
                rules: id("npm-token"),
                ..default()
            },
            &["npm-token"],
            &[(Filter::Rule, 3)],
            0,
        ),
        (
            Policy {
                no_rules: id("npm-token"),
                ..default()
            },
            &["gcs-hmac-key", "private-key"],
            &[(Filter::Rule, 1), (Filter::MinConfidence, 1)],
            0,
        ),
    ];
    for (policy, kept, left_out, occurrences) in cases {
        let (report, verdict) = judge(&policy);
        assert_eq!(rules(&report), kept, "{policy:?}");
        let counted: Vec<(Filter, u64)> = verdict
            .left_out
            .iter()
            .map(|left_out| (left_out.filter, left_out.findings))
            .collect();
        assert_eq!(counted, left_out, "{policy:?}");
        assert_eq!(verdict.occurrences_left_out, occurrences, "{policy:?}");
        assert_eq!(verdict.failing.len(), report.findings.len());
    }
}

#[test]
fn layers_list_only_what_is_still_in_the_report() {
    let policy = Policy {
        statuses: vec!["present".parse().unwrap()],
        ..Policy::default()
    };
    let (report, _) = judge(&policy);
    for (image, layer) in report
        .images
        .iter()
        .flat_map(|i| i.layers.iter().map(move |l| (i, l)))
    {
        let is_bak = layer.ordinal == 6 && image.platform.as_ref().unwrap().architecture == "amd64";
        assert_eq!(
            layer.findings.len(),
            usize::from(is_bak),
            "layer {}",
            layer.ordinal
        );
        assert!(layer.hides.is_empty(), "layer {}", layer.ordinal);
    }
}

#[test]
fn whatever_was_not_read_or_not_verified_makes_the_verdict_incomplete() {
    type Damage = fn(&mut Report);
    let damages: [(&str, Damage, bool); 6] = [
        ("an interrupted run", |report| report.interrupted = true, true),
        (
            "an image that is not complete",
            |report| report.images[1].complete = false,
            true,
        ),
        (
            "a layer with a wrong digest",
            |report| report.images[0].layers[2].verification = Verification::Failed,
            true,
        ),
        (
            "a skip that lost bytes",
            |report| report.coverage.skips.push(skip(SkipKind::Incomplete)),
            true,
        ),
        (
            "an opaque skip",
            |report| report.coverage.skips.push(skip(SkipKind::Opaque)),
            false,
        ),
        (
            "a note",
            |report| report.coverage.skips.push(skip(SkipKind::Note)),
            false,
        ),
    ];
    for (what, damage, is_incomplete) in damages {
        let mut clean = fixture::clean();
        damage(&mut clean);
        let (_, verdict) = Policy::default().judge(clean);
        let expected = if is_incomplete {
            Outcome::Incomplete
        } else {
            Outcome::Clean
        };
        assert_eq!(verdict.outcome(), expected, "{what}");

        let mut found = fixture::sample();
        damage(&mut found);
        let (_, verdict) = Policy::default().judge(found);
        let expected = if is_incomplete {
            Outcome::IncompleteWithFindings
        } else {
            Outcome::Findings
        };
        assert_eq!(verdict.outcome(), expected, "{what}");
    }
}

#[test]
fn strict_raises_opaque_content_to_incomplete() {
    let mut report = fixture::clean();
    report.coverage.skips.push(skip(SkipKind::Opaque));
    let strict = Policy {
        strict: true,
        ..Policy::default()
    };
    assert_eq!(strict.judge(report.clone()).1.outcome(), Outcome::Incomplete);
    report.coverage.skips[0].kind = SkipKind::Note;
    assert_eq!(strict.judge(report).1.outcome(), Outcome::Clean);
}

#[test]
fn one_failed_target_is_incomplete_and_all_of_them_are_unresolved() {
    let failed = fixture::unresolved();
    assert_eq!(
        Policy::default().judge(failed.clone()).1.outcome(),
        Outcome::Unresolved
    );
    let mut both = fixture::clean();
    both.targets.extend(failed.targets);
    assert_eq!(Policy::default().judge(both).1.outcome(), Outcome::Incomplete);
}

#[test]
fn every_status_name_is_taken_and_others_are_refused() {
    let report = fixture::every_shape();
    for occurrence in &report.findings[0].occurrences {
        let policy = Policy {
            statuses: vec![Status::name(&occurrence.status).parse().unwrap()],
            ..Policy::default()
        };
        let (judged, _) = policy.judge(report.clone());
        assert!(judged.findings[0].occurrences.contains_status(&occurrence.status));
    }
    let error = "gone".parse::<layersift::policy::StatusName>().unwrap_err();
    assert!(error.contains("`deleted`"), "{error}");
}

#[test]
fn a_bad_glob_is_named() {
    let error = "a/{b".parse::<layersift::policy::PathGlob>().unwrap_err();
    assert_eq!(error.to_string(), "`a/{b` is not a path glob");
}

#[test]
fn globs_match_paths_of_any_bytes() {
    let mut report = fixture::sample();
    report.findings.truncate(1);
    for occurrence in &mut report.findings[0].occurrences {
        if let layersift::finding::Origin::File { path, .. } = &mut occurrence.origin {
            path.0 = b"srv/\xff\x1b/key.pem".to_vec();
        }
    }
    for (glob, matches) in [
        ("*.pem", true),
        ("srv/*/key.pem", true),
        ("srv/*", false),
        ("srv/**", true),
        ("key.pem", true),
    ] {
        let policy = Policy {
            include: vec![glob.parse().unwrap()],
            ..Policy::default()
        };
        assert_eq!(
            policy.judge(report.clone()).0.findings.len(),
            usize::from(matches),
            "{glob}"
        );
    }
}

#[test]
fn secrets_are_concealed_in_instructions_paths_and_context() {
    let mut report = fixture::sample();
    let secret = report.findings[1].secret.clone();
    let low = report.findings[3].secret.clone();
    let text = |secret: &layersift::finding::Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
    report.images[0].layers[1].created_by = Some(format!("RUN T={} L={} make", text(&secret), text(&low)));
    report.findings[2].occurrences[0].context[0].text = format!("T={}", text(&secret));
    if let layersift::finding::Origin::File { path, .. } = &mut report.findings[2].occurrences[0].origin {
        path.0 = format!("tmp/{}", text(&secret)).into_bytes();
    }
    let (judged, _) = Policy::default().judge(report);
    let created_by = judged.images[0].layers[1].created_by.clone().unwrap();
    assert_eq!(
        created_by,
        format!("RUN T={secret} L={low} make"),
        "the second is of a finding that was left out"
    );
    let occurrence = &judged.findings[2].occurrences[0];
    assert_eq!(occurrence.context[0].text, format!("T={secret}"));
    let layersift::finding::Origin::File { path, .. } = &occurrence.origin else {
        panic!("the occurrence is in a file");
    };
    assert_eq!(path.escaped(), format!("tmp/{secret}"));
}

fn skip(kind: SkipKind) -> Skip {
    Skip {
        kind,
        reason: "truncated",
        place: "layer 2".to_owned(),
        bytes: Some(10),
        detail: "the stream ends in a file".to_owned(),
        image: Some(0),
    }
}

trait ContainsStatus {
    fn contains_status(&self, status: &Status) -> bool;
}

impl ContainsStatus for Vec<layersift::finding::Occurrence> {
    fn contains_status(&self, status: &Status) -> bool {
        self.iter().any(|occurrence| occurrence.status == *status)
            && self
                .iter()
                .all(|occurrence| occurrence.status.name() == status.name())
    }
}
