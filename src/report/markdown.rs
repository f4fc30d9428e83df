//! Markdown for people in a hurry: the summary of a CI job. Shows no secret, whatever the reveal.

use std::fmt::Write as _;
use std::io;

use super::markup::markdown;
use super::{Reporter, Settings, Sink, sentences, wire};
use crate::finding::{Report, Reveal};
use crate::policy::Verdict;
use crate::text;

/// Writes Markdown.
pub struct Markdown<'a>(pub Settings<'a>);

/// Rows of a table. GitHub cuts a summary at 1 MiB; what is left out is counted.
const MOST_ROWS: usize = 300;

impl Reporter for Markdown<'_> {
    fn write(&self, report: &Report, verdict: &Verdict, _: Reveal, sink: &mut dyn Sink) -> io::Result<()> {
        let report = wire::Report::new(report, verdict, Reveal::Redacted);
        let mut page = String::from("## layersift\n\n");
        let _ = writeln!(page, "{}\n", verdict_text(&report));
        policy(&mut page, &report);
        targets(&mut page, &report);
        self.findings(&mut page, &report);
        coverage(&mut page, &report);
        sink.part("summary.md", &mut |out| out.write_all(page.as_bytes()))
    }
}

fn verdict_text(report: &wire::Report) -> String {
    let found = match report.findings.len() {
        0 => "**No secrets were found.**".to_owned(),
        1 => "**1 secret was found.**".to_owned(),
        count => format!("**{count} secrets were found.**"),
    };
    let failing = report.verdict.failing.len();
    let found = match report.findings.len() {
        count if count == failing => found,
        _ => format!("{found} {failing} of them count."),
    };
    let outcome = report.verdict.outcome.as_str();
    match (report.verdict.incomplete, outcome) {
        (_, "unresolved") => "**Nothing was scanned.**".to_owned(),
        (true, _) if report.lacks_only_what_the_policy_names() => {
            format!("{found} Everything was scanned, but something that was asked for could not be read.")
        }
        (true, _) => format!("{found} Not everything was scanned, so there may be more."),
        (false, _) => format!("{found} Everything was scanned."),
    }
}

/// What a policy says besides, and what it left out: a run may fail without a finding.
fn policy(page: &mut String, report: &wire::Report) {
    for remark in report.verdict.remarks.iter().take(MOST_ROWS) {
        let weight = match remark.weight.as_str() {
            "fails" => "**FAILS** ",
            "incomplete" => "**INCOMPLETE** ",
            _ => "",
        };
        let _ = writeln!(
            page,
            "- {weight}{}: {}",
            markdown(&remark.kind),
            markdown(&remark.text)
        );
    }
    if let Some(changes) = &report.verdict.changes {
        let fixed = match changes.certain {
            true => format!("{} fixed", changes.fixed.len()),
            false => "nothing is called fixed".to_owned(),
        };
        let (since, new, unchanged) = (markdown(&changes.since), changes.new, changes.unchanged);
        let _ = writeln!(page, "- since {since}: {new} new, {unchanged} unchanged, {fixed}");
    }
    if !report.suppressed.is_empty() {
        let count = report.suppressed.len();
        let _ = writeln!(page, "\n<details><summary>{count} suppressed</summary>\n");
        for suppressed in report.suppressed.iter().take(MOST_ROWS) {
            let finding = &suppressed.finding;
            let place = finding.occurrences.first().map(wire::Occurrence::place);
            let _ = writeln!(
                page,
                "- {} {} in {}, `{}`: {}",
                finding.severity,
                markdown(&finding.title),
                code(&place.unwrap_or_default()),
                finding.fingerprint.0,
                markdown(&suppressed.by.shown())
            );
        }
        page.push_str("\n</details>\n\n");
    }
}

fn targets(page: &mut String, report: &wire::Report) {
    for target in &report.targets {
        let _ = write!(page, "- {}", code(&target.name));
        if let Some(failure) = &target.failure {
            let _ = write!(page, ": could not be resolved: {}", markdown(failure));
        }
        page.push('\n');
    }
    for image in &report.images {
        let bytes = image.layers.iter().map(|layer| layer.decoded_bytes).sum();
        let platform = image
            .platform
            .as_ref()
            .map_or("image".to_owned(), ToString::to_string);
        let digest = image.manifest.as_ref().map_or(String::new(), ToString::to_string);
        let _ = writeln!(
            page,
            "- {}: {} layers, {} {}",
            markdown(&platform),
            image.layers.len(),
            text::bytes(bytes),
            code(&digest)
        );
    }
    page.push('\n');
}

impl Markdown<'_> {
    fn findings(&self, page: &mut String, report: &wire::Report) {
        if report.findings.is_empty() {
            return;
        }
        page.push_str(
            "| severity | secret | where | what became of it | fingerprint |\n|---|---|---|---|---|\n",
        );
        let rows = report.findings.iter().flat_map(|finding| {
            let places = finding.occurrences.iter();
            places.map(move |occurrence| (finding, occurrence))
        });
        let count = rows.clone().count();
        for (finding, occurrence) in rows.take(MOST_ROWS) {
            let Some(image) = report.images.get(occurrence.image) else {
                continue;
            };
            let platform = image.platform.as_ref().map_or(String::new(), ToString::to_string);
            let line = occurrence
                .location
                .line
                .map_or(String::new(), |line| format!(":{line}"));
            let _ = writeln!(
                page,
                "| {}{} | {} {} | {}{line}<br>{} {} | {} | `{}` |",
                finding.severity,
                sentences::judgement(finding)
                    .map_or(String::new(), |text| format!("<br>{}", markdown(&text))),
                markdown(&finding.title),
                code(&finding.secret.redacted),
                code(&occurrence.place()),
                markdown(&sentences::brought_by(image, occurrence)),
                markdown(&platform),
                [
                    Some(sentences::fate(image, occurrence)),
                    sentences::to_change(occurrence)
                ]
                .iter()
                .flatten()
                .map(|text| markdown(text))
                .collect::<Vec<String>>()
                .join("<br>"),
                finding.fingerprint.0
            );
        }
        if count > MOST_ROWS {
            let _ = writeln!(
                page,
                "\n{} more places are in the other reports.",
                count - MOST_ROWS
            );
        }
        page.push_str("\n**Deleting a secret in a later layer does not remove it.** Revoke it, then build without it.\n\n");
        let mut rules: Vec<_> = report.findings.iter().map(|finding| &finding.rule).collect();
        rules.dedup();
        for rule in rules {
            if let Some(note) = self.0.rules.get(rule) {
                let _ = writeln!(page, "- {}: {}", markdown(&note.title), markdown(&note.revoke));
            }
        }
        page.push('\n');
    }
}

fn coverage(page: &mut String, report: &wire::Report) {
    let coverage = &report.coverage;
    let _ = writeln!(
        page,
        "<details><summary>{} of {} searched, {} notes</summary>\n",
        text::bytes(coverage.scanned_bytes),
        text::bytes(coverage.seen_bytes),
        coverage.skips.len()
    );
    for skip in coverage.skips.iter().take(MOST_ROWS) {
        let _ = writeln!(
            page,
            "- {}: {}: {}",
            skip.reason,
            code(&skip.place),
            markdown(&skip.detail)
        );
    }
    page.push_str("\n</details>\n");
}

/// Text in the type of code. Not in backticks: inside those no reference is read.
fn code(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!("<code>{}</code>", markdown(text)),
    }
}
