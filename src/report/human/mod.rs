//! The report as text for people, drawn from [`wire::Report`]. Does not end early or page; everything that is left out
//! is counted where it would have stood.

mod gate;
mod page;
mod stack;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::finding::{self, Reveal};
use crate::policy;
use crate::rules::{Confidence, Evidence, Severity};
use crate::text::{self, counted};

use super::wire::{self, SkipSort, Status};
use super::{Reporter, Settings, Sink, instruction, sentences};
use page::{Ink, Page};

/// Writes text.
pub struct Human<'a>(pub Settings<'a>);

impl Reporter for Human<'_> {
    fn write(
        &self,
        report: &finding::Report,
        verdict: &policy::Verdict,
        reveal: Reveal,
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        let text = render(&wire::Report::new(report, verdict, reveal), &self.0);
        sink.part("report.txt", &mut |out| out.write_all(text.as_bytes()))
    }
}

/// The whole report. Its last line is the verdict.
pub fn render(report: &wire::Report, settings: &Settings<'_>) -> String {
    let mut page = Page::new(settings.width, settings.colour);
    header(&mut page, report);
    for (title, findings) in gate::groups(report) {
        page.heading(&title);
        for (index, finding) in findings {
            page.blank();
            write_finding(&mut page, report, finding, Some(index + 1));
        }
    }
    layers(&mut page, report);
    if !report.findings.is_empty() {
        next_steps(&mut page, report, settings);
    }
    coverage(&mut page, report);
    left_out(&mut page, report);
    gate::suppressed(&mut page, report);
    gate::changes(&mut page, report);
    gate::carriers(&mut page, report);
    gate::remarks(&mut page, report);
    verdict(&mut page, report);
    page.finish()
}

/// One finding of a report, as `layersift show` prints it.
pub fn render_finding(report: &wire::Report, finding: &wire::Finding, settings: &Settings<'_>) -> String {
    let mut page = Page::new(settings.width, settings.colour);
    write_finding(&mut page, report, finding, None);
    if let Some(note) = settings.rules.get(&finding.rule) {
        page.blank();
        page.labelled(4, LABEL, "about", &[(Ink::Plain, &note.description)]);
        page.labelled(4, LABEL, "revoke", &[(Ink::Plain, &note.revoke)]);
    }
    page.finish()
}

fn header(page: &mut Page, report: &wire::Report) {
    let version = format!("layersift {}", escape(&report.tool.version));
    page.flow(
        0,
        2,
        &[
            (Ink::Bold, &version),
            (Ink::Dim, "  rules "),
            (Ink::Dim, &escape(&report.tool.rule_set)),
        ],
    );
    for (index, target) in report.targets.iter().enumerate() {
        page.blank();
        // A target that could not be opened has none.
        let source = match target.source.as_str() {
            "" => String::new(),
            source => format!("  ({})", escape(source)),
        };
        page.flow(0, 2, &[(Ink::Bold, &target.name), (Ink::Dim, &source)]);
        if let Some(digest) = target.index.as_ref().or(target.digest.as_ref()) {
            let label = if target.index.is_some() {
                "index"
            } else {
                "manifest"
            };
            page.labelled(2, HEADER_LABEL, label, &[(Ink::Plain, digest.as_str())]);
        }
        gate::digests(page, report, index);
        if let Some(failure) = &target.failure {
            page.labelled(2, HEADER_LABEL, "FAILED", &[(Ink::Red, failure)]);
            if let Some(hint) = &target.hint {
                page.labelled(2, HEADER_LABEL, "hint", &[(Ink::Plain, hint)]);
            }
        }
        let images = report.images.iter().enumerate();
        for (place, image) in images.filter(|(_, image)| image.target == index) {
            let mut text = image_name(image);
            let size = image
                .layers
                .iter()
                .fold(0_u64, |sum, layer| sum.saturating_add(layer.decoded_bytes));
            text.push_str(&format!(
                ", {}, {}",
                counted(image.layers.len() as u64, "layer"),
                text::bytes(size)
            ));
            if !image.complete {
                text.push_str(", NOT SCANNED TO THE END");
            }
            page.labelled(2, HEADER_LABEL, "image", &[(Ink::Plain, &text)]);
            let manifest = image
                .manifest
                .as_ref()
                .filter(|_| target.index.is_some() || target.digest.is_none());
            let config = image.image_id.as_ref().map(|id| &id.0);
            for (label, digest) in [("manifest", manifest), ("config", config)] {
                if let Some(digest) = digest {
                    page.labelled(2, HEADER_LABEL, label, &[(Ink::Dim, digest.as_str())]);
                }
            }
            gate::base(page, report, place);
        }
        if !target.not_chosen.is_empty() {
            let names: Vec<String> = target.not_chosen.iter().map(ToString::to_string).collect();
            page.labelled(2, HEADER_LABEL, "not chosen", &[(Ink::Plain, &names.join(", "))]);
        }
    }
}

fn write_finding(page: &mut Page, report: &wire::Report, finding: &wire::Finding, number: Option<usize>) {
    let severity = finding.severity.to_string().to_uppercase();
    let number = number.map(|number| format!("[{number}] ")).unwrap_or_default();
    let title = escape(&finding.title);
    page.flow(
        0,
        4,
        &[
            (Ink::Bold, &number),
            (severity_ink(finding.severity), &severity),
            (Ink::Bold, "  "),
            (Ink::Bold, &title),
        ],
    );
    page.labelled(4, LABEL, "secret", &[(Ink::Plain, &finding.secret.shown())]);
    if let Some(identifier) = &finding.identifier {
        page.labelled(4, LABEL, "identifier", &[(Ink::Plain, &escape(identifier))]);
    }
    let fingerprint = escape(&finding.fingerprint.0);
    page.labelled(4, LABEL, "fingerprint", &[(Ink::Plain, &fingerprint)]);
    page.labelled(4, LABEL, "rule", &[(Ink::Plain, &escape(&finding.rule.0))]);
    let reasons: Vec<&str> = finding
        .evidence
        .iter()
        .map(|evidence| reason(*evidence))
        .collect();
    let confidence = finding.confidence.to_string();
    let because = if reasons.is_empty() {
        ": its shape".to_owned()
    } else {
        format!(": {}", reasons.join("; "))
    };
    page.labelled(
        4,
        LABEL,
        "confidence",
        &[(Ink::Bold, &confidence), (Ink::Plain, &because)],
    );
    gate::judgement(page, finding);

    let groups = grouped(&finding.occurrences);
    for (occurrence, images) in groups.iter().take(MOST_PLACES) {
        page.blank();
        write_occurrence(page, report, occurrence, images);
    }
    let folded = groups.len().saturating_sub(MOST_PLACES) as u64;
    if folded > 0 {
        page.blank();
        let text = format!(
            "and {} (`--format json` lists them)",
            counted(folded, "more place")
        );
        page.flow(4, 6, &[(Ink::Dim, &text)]);
    }
    if finding.more_occurrences > 0 {
        page.blank();
        let text = format!(
            "and {} that were counted only",
            counted(finding.more_occurrences, "more place")
        );
        page.flow(4, 6, &[(Ink::Dim, &text)]);
    }
}

/// Occurrences that are the same in several images, with those images: the platforms of an index share files.
fn grouped(occurrences: &[wire::Occurrence]) -> Vec<(&wire::Occurrence, BTreeSet<usize>)> {
    let mut groups: Vec<(&wire::Occurrence, BTreeSet<usize>)> = Vec::new();
    let mut by_place: BTreeMap<(String, Option<usize>, u64), Vec<usize>> = BTreeMap::new();
    for occurrence in occurrences {
        let place = (
            occurrence.place(),
            occurrence.origin.layer(),
            occurrence.location.offset,
        );
        let candidates = by_place.entry(place).or_default();
        let same = candidates.iter().copied().find(|index| {
            let other = groups[*index].0;
            other.origin == occurrence.origin
                && other.within == occurrence.within
                && other.status == occurrence.status
                && other.location == occurrence.location
                && !groups[*index].1.contains(&occurrence.image)
        });
        match same {
            Some(index) => {
                groups[index].1.insert(occurrence.image);
            }
            None => {
                candidates.push(groups.len());
                groups.push((occurrence, BTreeSet::from([occurrence.image])));
            }
        }
    }
    groups
}

fn write_occurrence(
    page: &mut Page,
    report: &wire::Report,
    occurrence: &wire::Occurrence,
    images: &BTreeSet<usize>,
) {
    let place = at(&occurrence.place(), &occurrence.location);
    let names: Vec<String> = images
        .iter()
        .filter_map(|index| report.images.get(*index))
        .map(image_name)
        .collect();
    let mut spans = vec![(Ink::Cyan, place.as_str())];
    let of = format!("  {}", names.join(", "));
    if report.images.len() > 1 {
        spans.push((Ink::Dim, &of));
    }
    page.flow(4, 6, &spans);

    let image = report.images.get(occurrence.image);
    let (label, text) = match (&occurrence.origin, occurrence.origin.layer()) {
        (wire::Origin::Config { .. }, None) => ("stands in", "the configuration of the image".to_owned()),
        (wire::Origin::Config { .. }, Some(layer)) => ("written by", layer_name(image, layer)),
        (wire::Origin::Manifest { .. }, _) => (
            "stands in",
            "a manifest, its annotations or descriptors".to_owned(),
        ),
        (wire::Origin::Attestation { predicate_type, .. }, _) => {
            ("stands in", format!("an attestation, {}", escape(predicate_type)))
        }
        (_, Some(layer)) => ("added by", layer_name(image, layer)),
        (_, None) => ("added by", "an unknown layer".to_owned()),
    };
    page.labelled(4, LABEL, label, &[(Ink::Plain, &text)]);
    // What the layer does not tell already: of variables and labels, and of one instruction of several.
    let ordinal = occurrence.origin.layer();
    let of_layer = image.and_then(|image| image.layers.iter().find(|layer| Some(layer.ordinal) == ordinal));
    if let Some(instruction) = &occurrence.instruction
        && of_layer.is_none_or(|layer| layer.instruction.as_ref() != Some(instruction))
    {
        let text = format!("{} {}", escape(&instruction.keyword), instruction.place());
        page.labelled(4, LABEL, "written in", &[(Ink::Plain, &text)]);
    }
    let (label, ink, text) = fate(image, occurrence);
    page.labelled(4, LABEL, label, &[(ink, &text)]);
    if let wire::Origin::File {
        mode,
        uid,
        gid,
        mtime,
        size,
        ..
    } = &occurrence.origin
    {
        let facts = format!(
            "mode {}, owner {uid}:{gid}, {}, modified {}",
            escape(mode),
            text::bytes(*size),
            utc(*mtime)
        );
        page.labelled(4, LABEL, "file", &[(Ink::Plain, &facts)]);
    }
    if let Some(class) = &occurrence.class
        && class.is_remarkable()
    {
        page.labelled(4, LABEL, "class", &[(Ink::Plain, &class.reason)]);
    }
    if occurrence.integrity == wire::Integrity::Failed {
        let text = "NOT VERIFIED: these bytes are not what the manifest promises";
        page.labelled(4, LABEL, "bytes", &[(Ink::Red, text)]);
    }
    for companion in &occurrence.companions {
        let mut text = format!("{} {}", escape(&companion.part), companion.secret.shown());
        if companion.origin == occurrence.origin && companion.within == occurrence.within {
            if let Some(line) = companion.location.line {
                text.push_str(&format!(" in line {line}"));
            }
        } else {
            text.push_str(&format!(" in {}", at(&companion.place(), &companion.location)));
            if let Some(layer) = companion.origin.layer() {
                text.push_str(&format!(" of layer {layer}"));
            }
        }
        page.labelled(4, LABEL, "goes with", &[(Ink::Plain, &text)]);
    }
    context(page, &occurrence.context);
}

fn context(page: &mut Page, lines: &[wire::Line]) {
    if lines.is_empty() {
        return;
    }
    page.blank();
    let digits = lines
        .iter()
        .map(|line| line.number.to_string().len())
        .max()
        .unwrap_or(1)
        .min(8);
    for line in lines {
        let (mark, ink) = if line.here {
            (">", Ink::Bold)
        } else {
            (" ", Ink::Dim)
        };
        let lead = format!(
            "      {mark} {} │ ",
            page::right(&line.number.to_string(), digits)
        );
        let room = page.width().saturating_sub(lead.chars().count());
        page.line(&[(Ink::Dim, &lead), (ink, &page::fit(&line.text, room))]);
    }
}

/// What became of an occurrence: a label, and the rest of the sentence.
fn fate(image: Option<&wire::Image>, occurrence: &wire::Occurrence) -> (&'static str, Ink, String) {
    let from = match occurrence.origin.layer() {
        Some(layer) => format!("from layer {layer}"),
        None => "from the image".to_owned(),
    };
    match &occurrence.status {
        Status::Deleted { by, how } => {
            let how = match how {
                wire::Removal::Opaque => " (the folder was emptied)",
                wire::Removal::ReplacedParent => " (a folder above it was replaced)",
                wire::Removal::Whiteout => "",
            };
            let text = format!("{}{how}: still recoverable {from}", layer_name(image, *by));
            ("deleted by", Ink::Yellow, text)
        }
        Status::Overwritten { by } => {
            let text = if occurrence.origin.layer() == Some(*by) {
                format!("layer {by} itself, in a later member of its archive: still recoverable {from}")
            } else {
                format!("{}: still recoverable {from}", layer_name(image, *by))
            };
            ("replaced by", Ink::Yellow, text)
        }
        Status::Present => ("status", Ink::Red, "present: every container sees it".to_owned()),
        Status::Metadata => (
            "status",
            Ink::Red,
            "metadata: every container gets it, and `docker inspect` shows it".to_owned(),
        ),
        Status::History => (
            "status",
            Ink::Yellow,
            "history: no container gets it, but everyone who can pull the image can read it".to_owned(),
        ),
        Status::Unlisted => (
            "status",
            Ink::Yellow,
            format!("unlisted: no container shows these bytes, but they can be read {from}"),
        ),
        Status::Unknown { unread } => (
            "status",
            Ink::Yellow,
            format!("unknown: layer {unread} could not be read, so nobody can say if it hides this"),
        ),
    }
}

/// ``layer 3 `COPY a /b`, Dockerfile:12``.
fn layer_name(image: Option<&wire::Image>, ordinal: usize) -> String {
    let layer = image.and_then(|image| image.layers.iter().find(|layer| layer.ordinal == ordinal));
    let mut name = match layer.and_then(|layer| layer.created_by.as_deref()) {
        Some(created_by) => format!(
            "layer {ordinal} `{}`",
            page::fit(&instruction(created_by), MOST_INSTRUCTION)
        ),
        None => format!("layer {ordinal}"),
    };
    if let Some(instruction) = layer.and_then(|layer| layer.instruction.as_ref()) {
        name.push_str(&format!(", {}", instruction.place()));
    }
    name
}

fn at(place: &str, location: &wire::Location) -> String {
    match (location.line, location.column) {
        (Some(line), Some(column)) => format!("{place}:{line}:{column}"),
        (Some(line), None) => format!("{place}:{line}"),
        _ => format!("{place} at byte {}", location.file_offset),
    }
}

fn image_name(image: &wire::Image) -> String {
    let platform = image.platform.as_ref().map(ToString::to_string);
    let artifact = image.artifact_type.as_deref().map(escape);
    match (platform, artifact) {
        (Some(platform), _) => platform,
        (None, Some(artifact)) => artifact,
        (None, None) => "no platform named".to_owned(),
    }
}

/// Draws each image in which something was found; images of the same drawing share one, as platforms often do.
fn layers(page: &mut Page, report: &wire::Report) {
    let mut drawings: Vec<(Vec<String>, String)> = Vec::new();
    let mut quiet = Vec::new();
    for (index, image) in report.images.iter().enumerate() {
        let places = stack::Places::of(report, index);
        if places.is_empty() {
            quiet.push(image_name(image));
            continue;
        }
        let mut drawing = page.fresh();
        stack::draw(&mut drawing, image, &places);
        let drawing = drawing.finish();
        match drawings.iter_mut().find(|(_, other)| *other == drawing) {
            Some((names, _)) => names.push(image_name(image)),
            None => drawings.push((vec![image_name(image)], drawing)),
        }
    }
    for (names, drawing) in drawings {
        let title = if report.images.len() > 1 {
            format!("layers of {}", names.join(", "))
        } else {
            "layers".to_owned()
        };
        page.heading(&title);
        page.append(&drawing);
    }
    if !quiet.is_empty() && quiet.len() < report.images.len() {
        page.blank();
        page.flow(
            2,
            4,
            &[(Ink::Dim, &format!("nothing found in {}", quiet.join(", ")))],
        );
    }
}

fn next_steps(page: &mut Page, report: &wire::Report, settings: &Settings<'_>) {
    page.heading("what to do");
    page.flow(
        0,
        3,
        &[
            (Ink::Bold, "1. Revoke, before anything else. "),
            (Ink::Plain, "Whoever could pull the image has had these."),
        ],
    );
    let mut by_rule: BTreeMap<&str, (BTreeSet<usize>, &wire::Finding)> = BTreeMap::new();
    for (index, finding) in report.findings.iter().enumerate() {
        let entry = by_rule
            .entry(&finding.rule.0)
            .or_insert_with(|| (BTreeSet::new(), finding));
        entry.0.insert(index + 1);
    }
    let mut rules: Vec<_> = by_rule.into_values().collect();
    rules.sort_by_key(|(numbers, _)| numbers.first().copied());
    for (numbers, finding) in rules {
        let shown: Vec<String> = numbers
            .iter()
            .take(MOST_NUMBERS)
            .map(|n| format!("[{n}]"))
            .collect();
        let more = numbers.len().saturating_sub(MOST_NUMBERS);
        let more = if more > 0 {
            format!("+{more}")
        } else {
            String::new()
        };
        let numbers = format!("{}{more} ", shown.concat());
        let note = settings.rules.get(&finding.rule);
        let revoke = match note {
            Some(note) if !note.revoke.is_empty() => note.revoke.clone(),
            _ => format!(
                "{}: revoke it where it was issued, and issue another.",
                escape(&finding.title)
            ),
        };
        page.flow(3, 7, &[(Ink::Bold, &numbers), (Ink::Plain, &revoke)]);
    }

    page.blank();
    page.flow(
        0,
        3,
        &[
            (Ink::Bold, "2. Rebuild without it. "),
            (
                Ink::Plain,
                "A build secret is there for one step and never becomes part of a layer:",
            ),
        ],
    );
    let (mount, pass) = secret_mount(report);
    page.flow(5, 7, &[(Ink::Cyan, &mount)]);
    page.flow(5, 7, &[(Ink::Cyan, &pass)]);
    instructions_to_change(page, report);
    let in_metadata = report
        .findings
        .iter()
        .flat_map(|finding| &finding.occurrences)
        .any(|occurrence| {
            !matches!(
                occurrence.origin,
                wire::Origin::File { .. } | wire::Origin::Layer { .. }
            )
        });
    if in_metadata {
        page.flow(3, 3, &[(
            Ink::Plain,
            "ENV, ARG and LABEL values stay in the configuration and the history for good: give what the running \
             container needs at run time instead.",
        )]);
    }

    page.blank();
    page.flow(0, 3, &[
        (Ink::Bold, "3. Replace what was pushed. "),
        (
            Ink::Plain,
            "A `RUN rm` or a later COPY only hides a file: every layer is stored and pulled on its own, and the one \
             that brought the secret stays as it is. Push the rebuilt image, delete the old digests from the \
             registry, and look for images that were built FROM this one.",
        ),
    ]);
    for (index, target) in report.targets.iter().enumerate() {
        let own = target.index.as_ref().or(target.digest.as_ref());
        let manifests = report.images.iter().filter(|image| image.target == index);
        let digests: BTreeSet<&str> = own
            .into_iter()
            .chain(manifests.filter_map(|image| image.manifest.as_ref()))
            .map(|d| d.as_str())
            .collect();
        // Only what lies in a registry can be deleted there.
        if target.source == "registry" && !digests.is_empty() {
            let digests: Vec<&str> = digests.into_iter().take(MOST_PLACES).collect();
            let text = format!("{} and its digests {}", target.name, digests.join(", "));
            page.flow(3, 5, &[(Ink::Plain, "Of this: "), (Ink::Plain, &text)]);
        }
    }
}

/// The instructions that brought something, each once, and what to write there.
fn instructions_to_change(page: &mut Page, report: &wire::Report) {
    type Change<'a> = (BTreeSet<usize>, &'a wire::Instruction, Option<&'a str>);
    let mut changes: BTreeMap<(&str, u64), Change<'_>> = BTreeMap::new();
    for (index, finding) in report.findings.iter().enumerate() {
        for occurrence in &finding.occurrences {
            if let Some(instruction) = &occurrence.instruction {
                let place = (instruction.file.as_str(), instruction.line);
                let change = changes
                    .entry(place)
                    .or_insert((BTreeSet::new(), instruction, None));
                change.0.insert(index + 1);
                change.2 = change.2.or(sentences::plain_path(occurrence));
            }
        }
    }
    let inherited: Vec<String> = (report.findings.iter().zip(1..))
        .filter(|(finding, _)| {
            let judgement = finding.judgement.as_ref();
            judgement.is_some_and(|judgement| judgement.has(policy::ReasonKind::Inherited))
        })
        .take(MOST_NUMBERS)
        .map(|(_, number)| format!("[{number}]"))
        .collect();
    if !inherited.is_empty() {
        let numbers = format!("{} ", inherited.concat());
        let text = "of the base image: rebuild that, or take another";
        page.flow(3, 7, &[(Ink::Bold, &numbers), (Ink::Plain, text)]);
    }
    let folded = changes.len().saturating_sub(MOST_CHANGES) as u64;
    for (numbers, instruction, path) in changes.into_values().take(MOST_CHANGES) {
        let numbers: Vec<String> = numbers
            .iter()
            .take(MOST_NUMBERS)
            .map(|n| format!("[{n}]"))
            .collect();
        let what = sentences::change(&instruction.keyword, path);
        let place = format!("{} {} ", instruction.place(), escape(&instruction.keyword));
        let numbers = format!("{} ", numbers.concat());
        page.flow(
            3,
            7,
            &[(Ink::Bold, &numbers), (Ink::Cyan, &place), (Ink::Plain, &what)],
        );
    }
    if folded > 0 {
        let text = format!(
            "and {} (`--format json` lists them)",
            counted(folded, "more instruction")
        );
        page.flow(3, 7, &[(Ink::Dim, &text)]);
    }
}

/// A mount for the first file found and the flag that goes with it.
fn secret_mount(report: &wire::Report) -> (String, String) {
    let occurrences = report.findings.iter().flat_map(|finding| &finding.occurrences);
    sentences::mount_of(occurrences.into_iter().find_map(sentences::plain_path))
}

fn coverage(page: &mut Page, report: &wire::Report) {
    page.heading("coverage");
    let coverage = &report.coverage;
    let ledger = format!(
        "{} seen = {} scanned + {} skipped",
        text::bytes(coverage.seen_bytes),
        text::bytes(coverage.scanned_bytes),
        text::bytes(coverage.skipped_bytes)
    );
    let counts = format!(
        " ({}, {})",
        counted(report.counters.blobs, "blob"),
        counted(report.counters.entries, "file")
    );
    let opened = match coverage.expanded_bytes {
        0 => String::new(),
        expanded => format!(", and {} inside archives", text::bytes(expanded)),
    };
    page.flow(
        2,
        4,
        &[(Ink::Plain, &ledger), (Ink::Plain, &opened), (Ink::Dim, &counts)],
    );
    let accounted = coverage.scanned_bytes.checked_add(coverage.skipped_bytes);
    if accounted != Some(coverage.seen_bytes) {
        page.flow(
            2,
            4,
            &[(Ink::Red, "the ledger does not add up: report this as a bug")],
        );
    }
    if report.counters.unused_blobs > 0 {
        let text = format!(
            "{} belong to no chosen image",
            counted(report.counters.unused_blobs, "blob")
        );
        page.flow(2, 4, &[(Ink::Plain, &text)]);
    }
    let mut reasons: BTreeMap<(SkipSort, &str), Vec<&wire::Skip>> = BTreeMap::new();
    for skip in &coverage.skips {
        reasons.entry((skip.kind, &skip.reason)).or_default().push(skip);
    }
    for ((kind, reason), skips) in reasons {
        let (word, ink) = match kind {
            SkipSort::Incomplete => ("INCOMPLETE", Ink::Red),
            SkipSort::Note => ("note", Ink::Dim),
            SkipSort::Opaque => ("opaque", Ink::Yellow),
        };
        for skip in skips.iter().take(MOST_SKIPS) {
            let bytes = skip.bytes.map(|count| format!(" ({})", text::bytes(count)));
            let text = format!(
                " {}: {}: {}{}",
                escape(reason),
                skip.place,
                skip.detail,
                bytes.unwrap_or_default()
            );
            page.flow(2, 6, &[(ink, word), (Ink::Plain, &text)]);
        }
        let more = skips.len().saturating_sub(MOST_SKIPS) as u64;
        if more > 0 {
            let text = format!(
                "{word} {}: {} (`--format json` lists them)",
                escape(reason),
                counted(more, "more place")
            );
            page.flow(2, 6, &[(Ink::Dim, &text)]);
        }
    }
}

fn left_out(page: &mut Page, report: &wire::Report) {
    let verdict = &report.verdict;
    if verdict.left_out.is_empty() && verdict.occurrences_left_out == 0 {
        return;
    }
    page.heading("not shown");
    for left_out in &verdict.left_out {
        let findings = |what: &str| counted(left_out.findings, &format!("{what}finding"));
        let text = match left_out.filter.as_str() {
            "min-confidence" => format!(
                "{} below {} confidence: `--min-confidence low` shows all",
                findings(""),
                verdict.min_confidence
            ),
            "severity" => format!(
                "{} below {} severity: `--severity low` shows all",
                findings(""),
                verdict.min_severity
            ),
            "path" => format!("{} by `--include` or `--exclude`", findings("")),
            "rule" => format!("{} by `--rule` or `--no-rule`", findings("")),
            other => format!("{} by `--{}`", findings(""), escape(other)),
        };
        page.flow(2, 4, &[(Ink::Plain, &text)]);
    }
    if verdict.occurrences_left_out > 0 {
        let text = format!(
            "{} of the findings above, by `--status`, `--include` or `--exclude`",
            counted(verdict.occurrences_left_out, "place")
        );
        page.flow(2, 4, &[(Ink::Plain, &text)]);
    }
}

fn verdict(page: &mut Page, report: &wire::Report) {
    page.blank();
    let verdict = &report.verdict;
    let failing = verdict.failing.len() as u64;
    let unread = if verdict.interrupted {
        "the run was ended before its time"
    } else if report.lacks_only_what_the_policy_names() {
        "something that was asked for could not be read, see policy"
    } else {
        "not everything could be scanned, see coverage"
    };
    let bar = match (verdict.min_confidence, verdict.min_severity) {
        (Confidence::Low, Severity::Low) => "leaked secret".to_owned(),
        (confidence, severity) if confidence.to_string() == severity.to_string() => {
            format!("leaked secret of {confidence} or higher confidence and severity")
        }
        (confidence, severity) => {
            format!("leaked secret of {confidence} or higher confidence and {severity} or higher severity")
        }
    };
    let (word, ink, text) = match verdict.outcome.as_str() {
        "findings" | "incomplete-with-findings" if failing == 0 => {
            let unread = if verdict.incomplete {
                format!(", and {unread}")
            } else {
                String::new()
            };
            let text = format!("nothing found counts, but the policy says no{unread}.");
            ("FAIL", Ink::Alarm, text)
        }
        "clean" if !report.findings.is_empty() => {
            let text = format!("no {bar} that counts; everything was scanned.");
            ("PASS", Ink::Green, text)
        }
        "clean" => ("PASS", Ink::Green, format!("no {bar}; everything was scanned.")),
        "findings" => (
            "FAIL",
            Ink::Alarm,
            format!("{}; everything was scanned.", failures(report, failing)),
        ),
        "incomplete" => (
            "INCOMPLETE",
            Ink::Alarm,
            format!("no {bar} so far, but {unread}."),
        ),
        "incomplete-with-findings" => (
            "FAIL, INCOMPLETE",
            Ink::Alarm,
            format!("{}, and {unread}.", failures(report, failing)),
        ),
        _ => (
            "NOTHING SCANNED",
            Ink::Alarm,
            "no target could be read.".to_owned(),
        ),
    };
    page.flow(0, 2, &[(ink, word), (Ink::Bold, ": "), (Ink::Bold, &text)]);
}

/// `2 leaked secrets (1 critical, 1 high), 1 of them only in what a later layer hides`.
fn failures(report: &wire::Report, count: u64) -> String {
    let failing: BTreeSet<_> = report.verdict.failing.iter().collect();
    let failing = report
        .findings
        .iter()
        .filter(|finding| failing.contains(&finding.fingerprint));
    let mut severities: BTreeMap<Severity, u64> = BTreeMap::new();
    let mut hidden = 0_u64;
    for finding in failing {
        *severities.entry(finding.severity).or_default() += 1;
        let is_hidden = |occurrence: &wire::Occurrence| occurrence.status.hidden_by().is_some();
        hidden += u64::from(!finding.occurrences.is_empty() && finding.occurrences.iter().all(is_hidden));
    }
    let severities: Vec<String> = severities
        .iter()
        .rev()
        .map(|(severity, count)| format!("{count} {severity}"))
        .collect();
    let mut text = format!("{} ({})", counted(count, "leaked secret"), severities.join(", "));
    if hidden > 0 {
        let of = if hidden == count {
            "all of them".to_owned()
        } else {
            format!("{hidden} of them")
        };
        let of = if count == 1 {
            String::new()
        } else {
            format!("{of} ")
        };
        text.push_str(&format!(", {of}only in what a later layer hides"));
    }
    text
}

fn reason(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Checksum => "its checksum is right",
        Evidence::Context => "a word that belongs to it stands near",
        Evidence::DefaultPassword => "a default password opens it",
        Evidence::Deleted => "a later layer deletes its file",
        Evidence::Entropy => "as random as it must be",
        Evidence::Encrypted => "encrypted, its passphrase not in sight",
        Evidence::Generic => "a name that any service may use",
        Evidence::Expired => "expired by its own date",
        Evidence::Packaged => "in a file that a package brought",
        Evidence::Paired => "its other half was found",
        Evidence::Parsed => "its inner structure decodes",
        Evidence::Path => "in a file where such secrets live",
        Evidence::Patterned => "it reads like words, or repeats itself",
        Evidence::PublicTestKey => "a published test key",
        Evidence::Sample => "a value that documentation prints",
        Evidence::Shared => "in a layer that other repositories share",
        Evidence::TestMode => "it says it is for a test mode",
        Evidence::Unpaired => "its other half was not found",
    }
}

fn severity_ink(severity: Severity) -> Ink {
    match severity {
        Severity::Critical => Ink::Alarm,
        Severity::High => Ink::Red,
        Severity::Medium => Ink::Yellow,
        Severity::Low => Ink::Plain,
    }
}

fn escape(text: &str) -> String {
    text::escape(text.as_bytes())
}

/// Seconds since the epoch as a date and time, `2026-01-31 10:00:00Z`; outside of years 0 to 9999, the number.
///
/// *Source*: the days-to-civil computation over 400-year eras of 146,097 days that begin on a first of March.
fn utc(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    if !(-719_528..2_932_897).contains(&days) {
        return format!("{seconds} seconds after 1970");
    }
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The column at which the text beside a label begins.
const LABEL: usize = 17;
const HEADER_LABEL: usize = 14;
/// Places of one finding that are shown each.
const MOST_PLACES: usize = 8;
/// Skips of one reason that are shown each.
const MOST_SKIPS: usize = 5;
/// Instructions that are listed to be changed.
const MOST_CHANGES: usize = 12;
/// Findings of one rule that are named.
const MOST_NUMBERS: usize = 8;
/// Columns of an instruction inside a sentence.
const MOST_INSTRUCTION: usize = 120;

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_civil_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00Z"),
            (-1, "1969-12-31 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_709_251_199, "2024-02-29 23:59:59Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
            (253_402_300_799, "9999-12-31 23:59:59Z"),
            (-62_167_219_200, "0000-01-01 00:00:00Z"),
            (i64::MAX, "9223372036854775807 seconds after 1970"),
            (i64::MIN, "-9223372036854775808 seconds after 1970"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
    }
}
