//! The text for people: it fits its page, says by words what it says by colour, and ends with the verdict.

use layersift::finding::{Report, Reveal, Status};
use layersift::policy::Policy;
use layersift::report::{Settings, human, wire};
use unicode_width::UnicodeWidthStr as _;

use super::{assert_golden, fixture, written};

fn rendered(report: &Report, width: usize, colour: bool) -> String {
    let (report, verdict) = Policy::default().judge(report.clone());
    let rules = fixture::notes();
    let settings = Settings {
        rules: &rules,
        width,
        colour,
        sarif: Default::default(),
    };
    human::render(&wire::Report::new(&report, &verdict, Reveal::Redacted), &settings)
}

fn last_line(report: &Report) -> String {
    rendered(report, 200, false).lines().last().unwrap().to_owned()
}

#[test]
fn no_line_is_wider_than_the_page_at_any_width() {
    for report in [
        fixture::sample(),
        fixture::clean(),
        fixture::unresolved(),
        fixture::every_shape(),
    ] {
        for width in (0..=260).chain([1_000, 10_000]) {
            for line in rendered(&report, width, false).lines() {
                assert!(line.width() <= width.max(20), "{width}: {line}");
            }
        }
    }
}

#[test]
fn narrow_and_wide_pages_look_as_they_should() {
    assert_golden(
        "sample-48.txt",
        rendered(&fixture::sample(), 48, false).as_bytes(),
    );
    assert_golden(
        "every-shape-140.txt",
        rendered(&fixture::every_shape(), 140, false).as_bytes(),
    );
    assert_golden("clean.txt", rendered(&fixture::clean(), 100, false).as_bytes());
}

#[test]
fn colour_adds_nothing_but_colour() {
    for report in [fixture::sample(), fixture::every_shape()] {
        let coloured = rendered(&report, 100, true);
        assert!(coloured.contains("\x1b["));
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            plain.push_str(before);
            let (codes, after) = after.split_once('m').expect("a colour ends with m");
            assert!(
                codes.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'),
                "{codes}"
            );
            rest = after;
        }
        plain.push_str(rest);
        assert_eq!(plain, rendered(&report, 100, false));
    }
}

#[test]
fn every_line_ends_without_colour() {
    for line in rendered(&fixture::sample(), 100, true).lines() {
        let last = line.rfind("\x1b[").map(|at| &line[at..]);
        assert!(last.is_none_or(|rest| rest.starts_with("\x1b[0m")), "{line:?}");
    }
}

#[test]
fn the_last_line_is_the_verdict_in_words() {
    assert_eq!(
        last_line(&fixture::sample()),
        "FAIL: 3 leaked secrets (1 critical, 2 high), 1 of them only in what a later layer hides; everything was scanned."
    );
    assert_eq!(
        last_line(&fixture::clean()),
        "PASS: no leaked secret of medium or higher confidence and severity; everything was scanned."
    );
    assert_eq!(
        last_line(&fixture::unresolved()),
        "NOTHING SCANNED: no target could be read."
    );
    let mut damaged = fixture::clean();
    damaged.images[0].complete = false;
    assert!(last_line(&damaged).starts_with("INCOMPLETE: no leaked secret of medium"));
    assert!(last_line(&damaged).ends_with("so far, but not everything could be scanned, see coverage."));
    let mut found = fixture::sample();
    found.interrupted = true;
    assert!(last_line(&found).starts_with("FAIL, INCOMPLETE: 3 leaked secrets"));
    assert!(last_line(&found).ends_with("and the run was ended before its time."));
}

#[test]
fn arrows_lead_from_each_layer_to_the_one_that_hides_it() {
    let mut report = fixture::sample();
    let model = report.findings[0].occurrences[0].clone();
    report.findings.truncate(1);
    report.findings[0].occurrences = [(1, 8), (2, 5), (3, 6), (4, 6), (7, 7)]
        .into_iter()
        .map(|(from, by)| layersift::finding::Occurrence {
            origin: fixture::file(from, &format!("file-{from}"), 0o600, 1),
            status: Status::Overwritten { by },
            ..model.clone()
        })
        .collect();
    fixture::fill_layers(&mut report);
    let text = rendered(&report, 120, false);
    let (_, stack) = text.split_once("── layers").unwrap();
    let (stack, _) = stack.split_once("── what to do").unwrap();
    assert_golden("arrows.txt", stack.as_bytes());
}

#[test]
fn many_arrows_leave_room_for_the_instructions() {
    let mut report = fixture::sample();
    let model = report.images[0].layers[0].clone();
    report.images.truncate(1);
    report.images[0].layers = (1..=60)
        .map(|ordinal| layersift::finding::LayerSummary {
            ordinal,
            ..model.clone()
        })
        .collect();
    let occurrence = report.findings[0].occurrences[0].clone();
    report.findings.truncate(1);
    report.findings[0].occurrences = (1..30)
        .map(|from| layersift::finding::Occurrence {
            origin: fixture::file(from, &format!("file-{from}"), 0o600, 1),
            status: Status::Overwritten { by: 61 - from },
            ..occurrence.clone()
        })
        .collect();
    fixture::fill_layers(&mut report);
    let text = rendered(&report, 100, false);
    assert!(text.contains("ADD rootfs"), "{text}");
    assert!(
        text.contains("and 21 more places (`--format json` lists them)"),
        "{text}"
    );
    for line in text.lines() {
        assert!(line.width() <= 100, "{line}");
    }
}

#[test]
fn layers_without_findings_are_folded_and_counted() {
    let mut report = fixture::sample();
    for image in &mut report.images {
        let quiet = image.layers[7].clone();
        for ordinal in 9..=30 {
            image.layers.push(layersift::finding::LayerSummary {
                ordinal,
                ..quiet.clone()
            });
        }
    }
    let text = rendered(&report, 100, false);
    assert!(text.contains(" 8–30 │"), "{text}");
    assert!(text.contains("23 layers without findings"), "{text}");
}

#[test]
fn commands_to_paste_hold_only_plain_paths() {
    let mut report = fixture::sample();
    report.findings.truncate(1);
    for occurrence in &mut report.findings[0].occurrences {
        occurrence.origin = fixture::file(3, "root/$(reboot) ;'\"`x", 0o600, 1);
    }
    let text = rendered(&report, 100, false);
    assert!(
        text.contains("RUN --mount=type=secret,id=NAME,env=NAME COMMAND"),
        "{text}"
    );
    assert!(!text.contains("target=/root"), "{text}");
}

#[test]
fn a_ledger_that_does_not_add_up_is_told() {
    let mut report = fixture::clean();
    report.coverage.scanned_bytes -= 1;
    let text = String::from_utf8(written("human", &report, Reveal::Redacted)).unwrap();
    assert!(text.contains("the ledger does not add up"), "{text}");
}

#[test]
fn words_of_any_width_are_wrapped() {
    let mut report = fixture::sample();
    report.findings[0].title = "漢".repeat(300) + &"e\u{301}".repeat(300) + &"😀".repeat(100);
    report.images[0].layers[2].created_by = Some("字".repeat(500));
    for width in 20..=130 {
        for line in rendered(&report, width, false).lines() {
            assert!(line.width() <= width, "{width}: {line}");
        }
    }
}
