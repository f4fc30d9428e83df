//! JUnit XML: a suite per image, a failed case per finding, for the CI systems that draw nothing else. Shows no secret,
//! whatever the reveal.

use std::fmt::Write as _;
use std::io;

use super::markup::entities;
use super::{Reporter, Sink, sentences, wire};
use crate::finding::{Report, Reveal};
use crate::policy::Verdict;

/// Writes JUnit XML.
pub struct Junit;

impl Reporter for Junit {
    fn write(&self, report: &Report, verdict: &Verdict, _: Reveal, sink: &mut dyn Sink) -> io::Result<()> {
        let report = wire::Report::new(report, verdict, Reveal::Redacted);
        let suites: Vec<Suite> = suites(&report);
        let failures: usize = suites.iter().map(|suite| suite.failures).sum();
        let errors: usize = suites.iter().map(|suite| suite.errors).sum();
        let tests: usize = suites.iter().map(|suite| suite.tests).sum();
        let skipped: usize = suites.iter().map(|suite| suite.skipped).sum();
        sink.part("junit.xml", &mut |out| {
            writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
            writeln!(
                out,
                "<testsuites name=\"layersift\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" \
                 skipped=\"{skipped}\">"
            )?;
            for suite in &suites {
                writeln!(
                    out,
                    "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n{}</testsuite>",
                    entities(&suite.name),
                    suite.tests,
                    suite.failures,
                    suite.errors,
                    suite.skipped,
                    suite.cases
                )?;
            }
            writeln!(out, "</testsuites>")
        })
    }
}

/// One image, or a target that could not be resolved.
#[derive(Default)]
struct Suite {
    name: String,
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    /// Markup.
    cases: String,
}

fn suites(report: &wire::Report) -> Vec<Suite> {
    let mut suites = Vec::new();
    for (index, image) in report.images.iter().enumerate() {
        let mut suite = Suite {
            name: sentences::subject(report, image),
            ..Suite::default()
        };
        for finding in &report.findings {
            let mut here = finding
                .occurrences
                .iter()
                .filter(|place| place.image == index)
                .peekable();
            let Some(first) = here.peek().map(|place| place.place()) else {
                continue;
            };
            let mut text = format!(
                "Secret {}, redacted. Fingerprint {}.",
                finding.secret.redacted, finding.fingerprint.0
            );
            for place in here {
                let _ = write!(
                    text,
                    " {}: {}; {}.",
                    place.place(),
                    sentences::added(image, place),
                    sentences::fate(image, place)
                );
                if let Some(change) = sentences::to_change(place) {
                    let _ = write!(text, " {change}.");
                }
            }
            match &finding.judgement {
                Some(judgement) if !judgement.counts => {
                    let why = sentences::judgement(finding).unwrap_or_default();
                    suite.skip(finding, &first, &why);
                }
                _ => suite.failure(finding, &first, &text),
            }
        }
        let skips = report
            .coverage
            .skips
            .iter()
            .filter(|skip| skip.image.is_none_or(|image| image == index));
        suite.coverage(image.complete, skips);
        suites.push(suite);
    }
    for target in &report.targets {
        if let Some(failure) = &target.failure {
            let mut suite = Suite {
                name: target.name.clone(),
                ..Suite::default()
            };
            suite.error("resolve the target", failure);
            suites.push(suite);
        }
    }
    suites.extend(policy(report));
    suites
}

/// What a policy says besides, and what it left out; `None` where there is no such thing.
fn policy(report: &wire::Report) -> Option<Suite> {
    if report.verdict.remarks.is_empty() && report.suppressed.is_empty() {
        return None;
    }
    let mut suite = Suite {
        name: "policy".to_owned(),
        ..Suite::default()
    };
    for remark in &report.verdict.remarks {
        let kind = entities(&remark.kind);
        let text = entities(&remark.text);
        let _ = writeln!(
            suite.cases,
            "<testcase classname=\"layersift\" name=\"{kind}\">{}</testcase>",
            match remark.weight.as_str() {
                "fails" => format!("<failure message=\"{text}\" type=\"{kind}\"/>"),
                "incomplete" => format!("<error message=\"{text}\"/>"),
                _ => format!("<system-out>{text}</system-out>"),
            }
        );
        suite.tests += 1;
        suite.failures += usize::from(remark.weight == "fails");
        suite.errors += usize::from(remark.weight == "incomplete");
    }
    for suppressed in &report.suppressed {
        let finding = &suppressed.finding;
        let place = finding.occurrences.first().map(wire::Occurrence::place);
        suite.skip(finding, &place.unwrap_or_default(), &suppressed.by.shown());
    }
    Some(suite)
}

impl Suite {
    fn failure(&mut self, finding: &wire::Finding, place: &str, text: &str) {
        let severity = finding.severity.to_string().to_uppercase();
        let _ = writeln!(
            self.cases,
            "<testcase classname=\"{}\" name=\"[{severity}] {} in {}\"><failure message=\"{}\" type=\"{}\">{}</failure></testcase>",
            entities(&finding.rule.0),
            entities(&finding.title),
            entities(place),
            entities(&finding.title),
            entities(&finding.rule.0),
            entities(text)
        );
        self.tests += 1;
        self.failures += 1;
    }

    /// A finding that does not count, and why.
    fn skip(&mut self, finding: &wire::Finding, place: &str, why: &str) {
        let severity = finding.severity.to_string().to_uppercase();
        let _ = writeln!(
            self.cases,
            "<testcase classname=\"{}\" name=\"[{severity}] {} in {}\"><skipped message=\"{}\">Fingerprint {}.</skipped></testcase>",
            entities(&finding.rule.0),
            entities(&finding.title),
            entities(place),
            entities(why),
            entities(&finding.fingerprint.0)
        );
        self.tests += 1;
        self.skipped += 1;
    }

    fn error(&mut self, name: &str, text: &str) {
        let _ = writeln!(
            self.cases,
            "<testcase classname=\"layersift\" name=\"{name}\"><error message=\"{}\"/></testcase>",
            entities(text)
        );
        self.tests += 1;
        self.errors += 1;
    }

    /// Whether everything was read is a case of its own: a suite without failures must not look like a scan.
    fn coverage<'a>(&mut self, complete: bool, skips: impl Iterator<Item = &'a wire::Skip>) {
        let skips: Vec<String> = skips
            .map(|skip| format!("{} in {}: {}", skip.reason, skip.place, skip.detail))
            .collect();
        let name = "every byte was read and searched";
        if !complete {
            self.error(name, &format!("something was not: {}", skips.join("; ")));
            return;
        }
        let _ = writeln!(
            self.cases,
            "<testcase classname=\"layersift\" name=\"{name}\"><system-out>{}</system-out></testcase>",
            entities(&skips.join("; "))
        );
        self.tests += 1;
    }
}
