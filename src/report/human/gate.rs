//! What a policy says of a run, as text for people. Of a run without a policy there is nothing to say, and nothing is written.

use crate::policy::ReasonKind;
use crate::report::wire::{self, Judgement};
use crate::text::counted;

use super::page::{Ink, Page};
use super::{HEADER_LABEL, LABEL, escape, severity_ink};

/// The findings with their places in the report, in groups with a title: those that are own, those of the base image.
pub(super) fn groups(report: &wire::Report) -> Vec<(String, Vec<(usize, &wire::Finding)>)> {
    let has = |finding: &wire::Finding, kind| {
        let judgement = finding.judgement.as_ref();
        judgement.is_some_and(|judgement| judgement.has(kind))
    };
    let (inherited, own): (Vec<_>, Vec<_>) = (report.findings.iter())
        .enumerate()
        .partition(|(_, finding)| has(finding, ReasonKind::Inherited));
    let mut groups = Vec::new();
    if !own.is_empty() {
        groups.push((counted(own.len() as u64, "finding"), own));
    }
    if !inherited.is_empty() {
        let title = format!("{} of the base image", counted(inherited.len() as u64, "finding"));
        groups.push((title, inherited));
    }
    groups
}

/// Whether a finding counts, where there is more to it than the thresholds.
pub(super) fn judgement(page: &mut Page, finding: &wire::Finding) {
    let Some(judgement) = finding.judgement.as_ref().filter(|it| it.is_remarkable()) else {
        return;
    };
    let label = if judgement.counts {
        "counts"
    } else {
        "does not count"
    };
    page.labelled(4, LABEL, label, &[(Ink::Plain, &reasons(judgement))]);
}

fn reasons(judgement: &Judgement) -> String {
    let reasons = judgement
        .reasons
        .iter()
        .filter(|reason| reason.kind != "thresholds");
    let reasons: Vec<&str> = reasons.map(|reason| reason.text.as_str()).collect();
    reasons.join("; ")
}

/// The base of one image.
pub(super) fn base(page: &mut Page, report: &wire::Report, image: usize) {
    for base in report.verdict.bases.iter().filter(|base| base.image == image) {
        let by = match base.proof.as_str() {
            "layer-digest" => "by their digests",
            _ => "by their DiffIDs",
        };
        let layers = match base.layers {
            1 => "layer 1".to_owned(),
            count => format!("layers 1 to {count}"),
        };
        let mut text = format!("{}, {layers}, proved {by}", base.name);
        if let Some(digest) = &base.manifest {
            text.push_str(&format!(", {digest}"));
        }
        page.labelled(2, HEADER_LABEL, "base", &[(Ink::Plain, &text)]);
    }
}

/// The digests that were compared with those of one target.
pub(super) fn digests(page: &mut Page, report: &wire::Report, target: usize) {
    for compared in report
        .verdict
        .digests
        .iter()
        .filter(|compared| compared.target == target)
    {
        let (ink, text) = match &compared.of {
            Some(of) => {
                let what = match of.as_str() {
                    "config" => "the configuration",
                    "index" => "the index",
                    _ => "the manifest",
                };
                (Ink::Plain, format!("{}, which {what} has", compared.expected))
            }
            None => (Ink::Red, format!("{}, AND IT IS ANOTHER", compared.expected)),
        };
        let place = format!(" ({})", compared.place);
        page.labelled(2, HEADER_LABEL, "expected", &[(ink, &text), (Ink::Dim, &place)]);
    }
}

/// What was ignored or known.
pub(super) fn suppressed(page: &mut Page, report: &wire::Report) {
    if report.suppressed.is_empty() {
        return;
    }
    page.heading(&format!(
        "{} suppressed",
        counted(report.suppressed.len() as u64, "finding")
    ));
    for suppressed in report.suppressed.iter().take(MOST) {
        let finding = &suppressed.finding;
        let severity = finding.severity.to_string().to_uppercase();
        let place = finding
            .occurrences
            .first()
            .map(wire::Occurrence::place)
            .unwrap_or_default();
        let text = format!(
            "  {} in {place}, {}: {}",
            escape(&finding.title),
            escape(&finding.fingerprint.0),
            suppressed.by.shown()
        );
        page.flow(
            2,
            6,
            &[(severity_ink(finding.severity), &severity), (Ink::Plain, &text)],
        );
    }
    more(page, report.suppressed.len());
}

/// What is new, fixed and unchanged.
pub(super) fn changes(page: &mut Page, report: &wire::Report) {
    let Some(changes) = &report.verdict.changes else {
        return;
    };
    page.heading(&format!("since {}", changes.since));
    if let Some(digest) = &changes.digest {
        page.flow(2, 4, &[(Ink::Dim, digest.as_str())]);
    }
    let mut text = format!("{} new, {} unchanged, ", changes.new, changes.unchanged);
    text.push_str(&if changes.certain {
        format!("{} fixed", changes.fixed.len())
    } else {
        "nothing is called fixed: not everything was scanned".to_owned()
    });
    page.flow(2, 4, &[(Ink::Bold, &text)]);
    if !changes.complete {
        let text = "the earlier image was not read to its end: something may be called new that it had";
        page.flow(2, 4, &[(Ink::Yellow, text)]);
    }
    for gone in changes.fixed.iter().take(MOST) {
        let blobs: Vec<&str> = gone.blobs.iter().map(|digest| digest.as_str()).collect();
        let text = format!(
            "  {} in {}, {}; revoke it all the same: whoever has {} has it",
            escape(&gone.title),
            gone.place,
            escape(&gone.fingerprint.0),
            if blobs.is_empty() {
                "the earlier image".to_owned()
            } else {
                blobs.join(", ")
            }
        );
        page.flow(2, 6, &[(Ink::Green, "fixed"), (Ink::Plain, &text)]);
    }
    more(page, changes.fixed.len());
}

/// Other tags that carry what leaks.
pub(super) fn carriers(page: &mut Page, report: &wire::Report) {
    let carriers = &report.verdict.carriers;
    if carriers.is_empty() {
        return;
    }
    page.heading("also carried by");
    for carrier in carriers.iter().take(MOST) {
        let platform = carrier.platform.as_ref().map(|platform| format!(" {platform}"));
        let blobs: Vec<&str> = carrier.blobs.iter().map(|digest| digest.as_str()).collect();
        let text = format!(
            "{} of {}: {}",
            platform.unwrap_or_default(),
            carrier.digest,
            blobs.join(", ")
        );
        page.flow(2, 6, &[(Ink::Bold, &carrier.reference), (Ink::Plain, &text)]);
    }
    more(page, carriers.len());
}

/// What the policy has to say besides.
pub(super) fn remarks(page: &mut Page, report: &wire::Report) {
    let remarks = &report.verdict.remarks;
    if remarks.is_empty() {
        return;
    }
    page.heading("policy");
    for remark in remarks.iter().take(MOST) {
        let (word, ink) = match remark.weight.as_str() {
            "fails" => ("FAILS", Ink::Red),
            "incomplete" => ("INCOMPLETE", Ink::Red),
            _ => ("note", Ink::Dim),
        };
        let text = format!(" {}: {}", escape(&remark.kind), remark.text);
        page.flow(2, 6, &[(ink, word), (Ink::Plain, &text)]);
    }
    more(page, remarks.len());
}

fn more(page: &mut Page, count: usize) {
    let more = count.saturating_sub(MOST) as u64;
    if more > 0 {
        let text = format!("and {more} more (`--format json` lists them)");
        page.flow(2, 6, &[(Ink::Dim, &text)]);
    }
}

/// Lines of one kind.
const MOST: usize = 50;
