//! GitLab's secret detection report, schema 15.2: one vulnerability per finding. Shows no secret, whatever the reveal.
//!
//! *Source*: the fields of GitLab's security report schemas. GitLab has no field for an image or a
//! layer, so both stand in the description; it asks for times and a commit, which a report does not have: the times are
//! those the images state, and the commit is zeros for the pipeline to fill in (docs/ci.md).

use std::io;

use serde_json::{Value, json};

use super::{Reporter, Settings, Sink, json as form, sentences, wire};
use crate::finding::{Report, Reveal};
use crate::policy::Verdict;
use crate::rules::Severity;

/// Writes GitLab's report.
pub struct Gitlab<'a>(pub Settings<'a>);

impl Reporter for Gitlab<'_> {
    fn write(&self, report: &Report, verdict: &Verdict, _: Reveal, sink: &mut dyn Sink) -> io::Result<()> {
        let report = wire::Report::new(report, verdict, Reveal::Redacted);
        let tool = json!({
            "id": "layersift",
            "name": "layersift",
            "version": report.tool.version,
            "vendor": {"name": "layersift"},
        });
        let time = time(&report);
        let status = if report.verdict.incomplete {
            "failure"
        } else {
            "success"
        };
        let skips = report.coverage.skips.iter().map(|skip| {
            let level = match skip.kind {
                wire::SkipSort::Incomplete => "fatal",
                wire::SkipSort::Note => "info",
                wire::SkipSort::Opaque => "warn",
            };
            json!({"level": level, "value": format!("{} in {}: {}", skip.reason, skip.place, skip.detail)})
        });
        let failures = report.targets.iter().filter_map(|target| {
            let failure = target.failure.as_ref()?;
            Some(json!({"level": "fatal", "value": format!("{}: {failure}", target.name)}))
        });
        let remarks = report.verdict.remarks.iter().map(|remark| {
            let level = match remark.weight.as_str() {
                "note" => "info",
                _ => "fatal",
            };
            json!({"level": level, "value": format!("{}: {}", remark.kind, remark.text)})
        });
        let document = json!({
            "version": "15.2.4",
            "scan": {
                "analyzer": tool,
                "scanner": tool,
                "type": "secret_detection",
                "start_time": time,
                "end_time": time,
                "status": status,
                "messages": skips.chain(failures).chain(remarks).collect::<Vec<Value>>(),
            },
            "vulnerabilities": report
                .findings
                .iter()
                .map(|finding| self.vulnerability(&report, finding))
                .collect::<Vec<Value>>(),
        });
        sink.part("gl-secret-detection-report.json", &mut |out| {
            form::write_pretty(&document, out)?;
            out.write_all(b"\n")
        })
    }
}

impl Gitlab<'_> {
    fn vulnerability(&self, report: &wire::Report, finding: &wire::Finding) -> Value {
        let places: Vec<String> = finding
            .occurrences
            .iter()
            .filter_map(|occurrence| {
                let image = report.images.get(occurrence.image)?;
                Some(format!(
                    "{} in {}: {}; {}.",
                    occurrence.place(),
                    sentences::subject(report, image),
                    sentences::added(image, occurrence),
                    sentences::fate(image, occurrence)
                ))
            })
            .collect();
        let judgement = sentences::judgement(finding).map_or(String::new(), |text| format!(" It {text}."));
        let mut location = json!({"commit": {"sha": "0".repeat(40)}});
        if let Some(first) = finding.occurrences.first() {
            location["file"] = first.place().into();
            if let Some(line) = first.location.line {
                location["start_line"] = line.into();
            }
        }
        let mut vulnerability = json!({
            "id": finding.fingerprint,
            "name": finding.title,
            "description": format!("Secret {}, redacted.{judgement} {}", finding.secret.redacted, places.join(" ")),
            "severity": match finding.severity {
                Severity::Low => "Low",
                Severity::Medium => "Medium",
                Severity::High => "High",
                Severity::Critical => "Critical",
            },
            "identifiers": [{
                "type": "layersift_rule_id",
                "name": format!("layersift rule {}", finding.rule),
                "value": finding.rule,
            }],
            "location": location,
        });
        let mut solution: Vec<String> = Vec::new();
        if let Some(note) = self.0.rules.get(&finding.rule) {
            solution.push(note.revoke.clone());
        }
        for change in finding.occurrences.iter().filter_map(sentences::to_change) {
            if solution.len() <= MOST_CHANGES && !solution.contains(&change) {
                solution.push(change);
            }
        }
        if !solution.is_empty() {
            vulnerability["solution"] = solution.join("\n\n").into();
        }
        vulnerability
    }
}

/// Instructions in a solution.
const MOST_CHANGES: usize = 10;

/// The latest time an image states, in GitLab's form, or the beginning of all times.
fn time(report: &wire::Report) -> String {
    let is_time = |text: &&str| {
        text.len() == 19
            && text
                .bytes()
                .zip("0000-00-00T00:00:00".bytes())
                .all(|(byte, form)| match form {
                    b'0' => byte.is_ascii_digit(),
                    form => byte == form,
                })
    };
    let stated = report
        .images
        .iter()
        .filter_map(|image| image.created.as_deref()?.get(..19));
    stated
        .filter(is_time)
        .max()
        .unwrap_or("1970-01-01T00:00:00")
        .to_owned()
}
