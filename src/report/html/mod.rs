//! One page that needs nothing else: no network, no script, no font. The image as strata, each finding with its life, what
//! was read and what was not. Shows no secret, whatever the reveal: pages are sent around.
//!
//! Its Content-Security-Policy allows the one style sheet, by its hash, and nothing else. Filters are check boxes and a list
//! that the style sheet asks about, so that keyboards and screen readers know them.

mod page;
mod strata;

use std::io;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use super::{Reporter, Settings, Sink, sentences, wire};
use crate::finding::{Report, Reveal};
use crate::policy::Verdict;
use crate::rules::Severity;
use crate::text;
use page::Page;

/// Writes the page.
pub struct Html<'a>(pub Settings<'a>);

/// Findings of a page, and places of a finding; a browser has to lay them out. What is left out is counted.
const MOST_FINDINGS: usize = 2000;
const MOST_PLACES: usize = 50;

/// Layers that can be chosen in the filter: as many as an image can have under overlayfs.
const MOST_LAYERS: usize = 128;

const STYLE: &str = include_str!("style.css");

impl Reporter for Html<'_> {
    fn write(&self, report: &Report, verdict: &Verdict, _: Reveal, sink: &mut dyn Sink) -> io::Result<()> {
        let report = wire::Report::new(report, verdict, Reveal::Redacted);
        let mut page = Page::default();
        head(&mut page, &report);
        summary(&mut page, &report);
        policy(&mut page, &report);
        filters(&mut page, &report);
        for (index, image) in report.images.iter().enumerate() {
            page.element("<section><h2>", &sentences::subject(&report, image), "</h2>");
            image_facts(&mut page, image);
            strata::draw(&mut page, &report, index, image);
            page.raw("</section>");
        }
        self.findings(&mut page, &report);
        coverage(&mut page, &report);
        page.raw("</main></body></html>\n");
        let bytes = page.into_bytes();
        sink.part("report.html", &mut |out| out.write_all(&bytes))
    }
}

/// The style sheet: what is written for every page, and a rule for each layer that can be filtered by.
fn style(layers: usize, statuses: &[&str]) -> String {
    let mut style = STYLE.to_owned();
    for class in ["critical", "high", "medium", "low"] {
        style.push_str(&format!(
            "body:has(#s-{class}:not(:checked)) article.s-{class}{{display:none}}\n"
        ));
    }
    for status in statuses {
        style.push_str(&format!(
            "body:has(#l-{status}:not(:checked)) .l-{status}{{display:none}}\n"
        ));
    }
    // A finding goes where none of its lives is wanted: a rule for each choice, of which there are at most 127.
    for choice in 1_u32..1 << statuses.len() {
        let (mut unwanted, mut without) = (String::new(), String::new());
        for (status, bit) in statuses.iter().zip(0..) {
            match choice >> bit & 1 {
                1 => unwanted.push_str(&format!(":has(#l-{status}:not(:checked))")),
                _ => without.push_str(&format!(":not(:has(.l-{status}))")),
            }
        }
        style.push_str(&format!("body{unwanted} article{without}{{display:none}}\n"));
    }
    for lanes in 0..=strata::MOST_LANES {
        let room = strata::room(lanes);
        style.push_str(&format!(
            ".w{lanes}{{min-width:calc(15rem + {room}px)}}.strata .w{lanes} li{{padding-right:{room}px}}\n"
        ));
    }
    for layer in 0..=layers {
        style.push_str(&format!(
            "body:has(#layer option[value=\"{layer}\"]:checked) .place:not(.in-{layer}),\
             body:has(#layer option[value=\"{layer}\"]:checked) article:not(:has(.in-{layer})){{display:none}}\n"
        ));
    }
    style
}

const STATUSES: [&str; 7] = [
    "present",
    "metadata",
    "deleted",
    "overwritten",
    "history",
    "unlisted",
    "unknown",
];

/// The lives there are in a report.
fn statuses(report: &wire::Report) -> Vec<&'static str> {
    let places = || report.findings.iter().flat_map(|finding| &finding.occurrences);
    let is_there = |status: &&str| places().any(|place| sentences::status_name(&place.status) == *status);
    STATUSES.into_iter().filter(is_there).collect()
}

fn head(page: &mut Page, report: &wire::Report) {
    let layers = report
        .images
        .iter()
        .map(|image| image.layers.len())
        .max()
        .unwrap_or_default();
    let style = style(layers.min(MOST_LAYERS), &statuses(report));
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&style));
    page.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-");
    // Base64 has no character of markup.
    page.text(&hash).raw("'; base-uri 'none'; form-action 'none'\">");
    page.raw("<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"referrer\" content=\"no-referrer\">");
    page.raw("<title>layersift: ");
    page.text(
        report
            .targets
            .first()
            .map_or("report", |target| target.name.as_str()),
    );
    page.raw("</title><style>")
        .sheet(&style)
        .raw("</style></head><body><main>");
}

fn summary(page: &mut Page, report: &wire::Report) {
    let count = report.findings.len();
    let recoverable = report.findings.iter().filter(|finding| {
        let mut places = finding.occurrences.iter();
        places.any(|place| place.status.hidden_by().is_some())
    });
    page.raw("<h1>layersift report</h1><p class=\"verdict\">");
    match count {
        _ if report.verdict.outcome == "unresolved" => page.raw("<b class=\"bad\">Nothing was scanned.</b>"),
        0 => page.raw("<b class=\"good\">No secrets were found.</b>"),
        1 => page.raw("<b class=\"bad\">1 secret</b>"),
        count => page.raw("<b class=\"bad\">").number(count).raw(" secrets</b>"),
    };
    if count > 0 {
        page.raw(", ")
            .number(recoverable.count())
            .raw(" of them hidden by a later layer and still recoverable.");
    }
    match report.verdict.incomplete {
        true if report.lacks_only_what_the_policy_names() => {
            page.raw(" <b class=\"bad\">Something that was asked for could not be read.</b>")
        }
        true => page.raw(" <b class=\"bad\">Not everything was scanned: there may be more.</b>"),
        false => page.raw(" Everything was scanned."),
    };
    let failing = report.verdict.failing.len();
    if failing != count {
        page.raw(" <b>").number(failing).raw(" of them count.</b>");
    }
    page.raw("</p>");
    for target in &report.targets {
        page.element("<p><code>", &target.name, "</code>");
        page.element(" <span class=\"quiet\">from ", &target.source, "</span>");
        if let Some(digest) = &target.digest {
            page.element("<br><code class=\"quiet\">", &digest.to_string(), "</code>");
        }
        if let Some(failure) = &target.failure {
            page.element("<br><b class=\"bad\">could not be resolved: ", failure, "</b>");
        }
        if !target.not_chosen.is_empty() {
            let platforms: Vec<String> = target.not_chosen.iter().map(ToString::to_string).collect();
            page.element(
                "<br><span class=\"quiet\">platforms not scanned: ",
                &platforms.join(", "),
                "</span>",
            );
        }
        page.raw("</p>");
    }
}

/// What a policy says besides, and what it left out: a run may fail without a finding.
fn policy(page: &mut Page, report: &wire::Report) {
    if !report.verdict.remarks.is_empty() {
        page.raw("<ul class=\"policy\">");
        for remark in report.verdict.remarks.iter().take(MOST_FINDINGS) {
            page.raw("<li>").raw(match remark.weight.as_str() {
                "fails" => "<b class=\"bad\">fails</b> ",
                "incomplete" => "<b class=\"bad\">incomplete</b> ",
                _ => "<span class=\"quiet\">note</span> ",
            });
            page.element("<code>", &remark.kind, "</code> ");
            page.text(&remark.text).raw("</li>");
        }
        page.raw("</ul>");
    }
    if !report.suppressed.is_empty() {
        page.raw("<details><summary>").number(report.suppressed.len());
        page.raw(" suppressed</summary><ul>");
        for suppressed in report.suppressed.iter().take(MOST_FINDINGS) {
            let finding = &suppressed.finding;
            let place = finding.occurrences.first().map(wire::Occurrence::place);
            page.element("<li>", &finding.title, " in ");
            page.element("<code>", &place.unwrap_or_default(), "</code>, ");
            page.element("<code>", &finding.fingerprint.0, "</code>: ");
            page.text(&suppressed.by.shown()).raw("</li>");
        }
        page.raw("</ul></details>");
    }
}

fn filters(page: &mut Page, report: &wire::Report) {
    if report.findings.is_empty() {
        return;
    }
    page.raw("<div class=\"filters\" role=\"group\" aria-label=\"Filter the findings\"><fieldset><legend>Severity</legend>");
    for class in ["critical", "high", "medium", "low"] {
        let is_there = |finding: &wire::Finding| severity_class(finding.severity) == class;
        check_box(page, ("s-", class), report.findings.iter().any(is_there));
    }
    page.raw("</fieldset><fieldset><legend>Life</legend>");
    for status in statuses(report) {
        check_box(page, ("l-", status), true);
    }
    page.raw("</fieldset><label>Layer <select id=\"layer\"><option value=\"all\">all</option>");
    let layers = report
        .images
        .iter()
        .map(|image| image.layers.len())
        .max()
        .unwrap_or_default();
    for layer in 1..=layers.min(MOST_LAYERS) {
        page.raw("<option value=\"")
            .number(layer)
            .raw("\">")
            .number(layer)
            .raw("</option>");
    }
    page.raw("<option value=\"0\">none: metadata</option></select></label></div>");
}

fn check_box(page: &mut Page, (prefix, name): (&'static str, &'static str), is_there: bool) {
    if is_there {
        page.raw("<label><input type=\"checkbox\" checked autocomplete=\"off\" id=\"")
            .raw(prefix)
            .raw(name)
            .raw("\"> ");
        page.raw(name).raw("</label>");
    }
}

fn image_facts(page: &mut Page, image: &wire::Image) {
    let bytes = image.layers.iter().map(|layer| layer.decoded_bytes).sum();
    page.raw("<p class=\"quiet\">")
        .number(image.layers.len())
        .raw(" layers, ")
        .text(&text::bytes(bytes));
    if let Some(created) = &image.created {
        page.raw(", built ").text(created);
    }
    if let Some(manifest) = &image.manifest {
        page.element(", <code>", &manifest.to_string(), "</code>");
    }
    if !image.complete {
        page.raw(" <b class=\"bad\">not read to its end</b>");
    }
    page.raw("</p>");
}

impl Html<'_> {
    fn findings(&self, page: &mut Page, report: &wire::Report) {
        if report.findings.is_empty() {
            return;
        }
        page.raw("<section><h2>Findings</h2>");
        for (finding, number) in report.findings.iter().zip(1..).take(MOST_FINDINGS) {
            self.finding(page, report, finding, number);
        }
        if report.findings.len() > MOST_FINDINGS {
            page.raw("<p>").number(report.findings.len() - MOST_FINDINGS);
            page.raw(" more findings are in the JSON report.</p>");
        }
        page.raw("</section>");
    }

    fn finding(&self, page: &mut Page, report: &wire::Report, finding: &wire::Finding, number: usize) {
        let class = severity_class(finding.severity);
        page.raw("<article id=\"f")
            .number(number)
            .raw("\" class=\"s-")
            .raw(class)
            .raw("\"><header><h3>")
            .number(number);
        page.raw(". ")
            .text(&finding.title)
            .raw("</h3><span class=\"severity ")
            .raw(class)
            .raw("\">")
            .raw(class);
        page.element(
            "</span><span class=\"quiet\">",
            &finding.confidence.to_string(),
            " confidence</span></header><dl>",
        );
        page.element(
            "<dt>Secret</dt><dd><code>",
            &finding.secret.redacted,
            "</code></dd>",
        );
        if let Some(identifier) = &finding.identifier {
            page.element("<dt>Goes with</dt><dd><code>", identifier, "</code></dd>");
        }
        if let Some(note) = self.0.rules.get(&finding.rule) {
            page.raw("<dt>Revoke it</dt><dd>");
            // Every second piece stands between backticks.
            for (piece, is_code) in note.revoke.split('`').zip([false, true].into_iter().cycle()) {
                match is_code {
                    true => page.element("<code>", piece, "</code>"),
                    false => page.text(piece),
                };
            }
            page.raw("</dd>");
        }
        if let Some(judgement) = sentences::judgement(finding) {
            page.element("<dt>Verdict</dt><dd>", &judgement, "</dd>");
        }
        page.element("<dt>Rule</dt><dd><code>", &finding.rule.0, "</code></dd>");
        page.element(
            "<dt>Fingerprint</dt><dd><code>",
            &finding.fingerprint.0,
            "</code></dd></dl>",
        );
        for occurrence in finding.occurrences.iter().take(MOST_PLACES) {
            if let Some(image) = report.images.get(occurrence.image) {
                place(page, image, occurrence);
            }
        }
        let left = finding.occurrences.len().saturating_sub(MOST_PLACES) as u64 + finding.more_occurrences;
        if left > 0 {
            page.raw("<p class=\"quiet\">")
                .text(&left.to_string())
                .raw(" more places.</p>");
        }
        page.raw("</article>");
    }
}

fn place(page: &mut Page, image: &wire::Image, occurrence: &wire::Occurrence) {
    let status = sentences::status_name(&occurrence.status);
    page.raw("<div class=\"place l-")
        .raw(status)
        .raw(" in-")
        .number(occurrence.origin.layer().unwrap_or_default());
    page.element("\"><p><code>", &occurrence.place(), "</code>");
    if let Some(line) = occurrence.location.line {
        page.element(" <span class=\"quiet\">line ", &line.to_string(), "</span>");
    }
    if let Some(platform) = &image.platform {
        page.element(" <span class=\"quiet\">", &platform.to_string(), "</span>");
    }
    page.element("</p><p>", &sentences::added(image, occurrence), "</p>");
    page.raw("<p><span class=\"life\">").raw(status).raw("</span>");
    let fate = sentences::fate(image, occurrence);
    match fate.strip_prefix(status) {
        Some(rest) => page.text(rest),
        None => page.raw(": ").text(&fate),
    };
    page.raw("</p>");
    if let Some(change) = sentences::to_change(occurrence) {
        let (what, mount) = change.split_once(": RUN ").unwrap_or((&change, ""));
        page.element("<p>to change: ", what, "");
        if !mount.is_empty() {
            page.element(": <code>RUN ", mount, "</code>");
        }
        page.raw("</p>");
    }
    if let Some(class) = occurrence.class.as_ref().filter(|class| class.is_remarkable()) {
        page.element("<p class=\"quiet\">", &class.reason, "</p>");
    }
    if !occurrence.context.is_empty() {
        page.raw("<pre>");
        for line in &occurrence.context {
            page.element(
                "<span class=\"quiet\">",
                &format!("{:>5} ", line.number),
                "</span>",
            );
            match line.here {
                true => page.element("<b>", &line.text, "</b>"),
                false => page.text(&line.text),
            };
            page.raw("\n");
        }
        page.raw("</pre>");
    }
    page.raw("</div>");
}

fn coverage(page: &mut Page, report: &wire::Report) {
    let coverage = &report.coverage;
    page.raw("<section><h2>What was read</h2><p>")
        .text(&text::bytes(coverage.scanned_bytes))
        .raw(" of ");
    page.text(&text::bytes(coverage.seen_bytes)).raw(" searched, ");
    page.text(&text::bytes(coverage.skipped_bytes))
        .raw(" skipped.</p>");
    if !coverage.skips.is_empty() {
        page.raw("<table><thead><tr><th>What</th><th>Where</th><th>Why</th></tr></thead><tbody>");
        for skip in coverage.skips.iter().take(MOST_FINDINGS) {
            let kind = match skip.kind {
                wire::SkipSort::Incomplete => "<b class=\"bad\">incomplete</b>",
                wire::SkipSort::Note => "note",
                wire::SkipSort::Opaque => "opaque",
            };
            page.raw("<tr><td>").raw(kind).element(
                "<br><span class=\"quiet\">",
                &skip.reason,
                "</span></td><td><code>",
            );
            page.text(&skip.place)
                .element("</code></td><td>", &skip.detail, "</td></tr>");
        }
        page.raw("</tbody></table>");
    }
    let tool = format!(
        "layersift {}, rules {}",
        report.tool.version, report.tool.rule_set
    );
    page.element("<p class=\"quiet\"><small>", &tool, "</small></p></section>");
}

fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
