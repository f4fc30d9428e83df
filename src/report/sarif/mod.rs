//! SARIF 2.1.0 for code scanning: one run per image, results that are alerts, layers with their results. Never shows
//! a secret, whatever the reveal: the file is made to be uploaded.
//!
//! *Source*: SARIF 2.1.0 (OASIS); GitHub's "SARIF support for code scanning" for what is asked beyond it and for the
//! limits. The log has no times, no machine paths and no random identifiers.

mod lines;
mod place;
mod rule;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use serde::Serialize;
use serde_json::{Value, json};
use serde_sarif::sarif::{
    self, Invocation, Location, LogicalLocation, Message, Notification, PropertyBag, ResultLevel, Run,
    RunAutomationDetails, Suppression, Tool, ToolComponent, VersionControlDetails,
};
use sha2::{Digest as _, Sha256};

use crate::finding::{
    Chain, Dockerfile, Finding, ImageSummary, LayerSummary, Link, MetadataUse, Occurrence, Origin, Report,
    Reveal, Secret, Skip, SkipKind, Status, TargetSummary, Verification,
};
use crate::policy::{Verdict, Weight};
use crate::rules::Severity;
use crate::text;

use super::{Reporter, Settings, Sink, instruction, json, wire};
use lines::Lines;
use place::Place;
pub use place::{Standing, TrackedFiles};

/// Where results stand, and under which name they are uploaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// What the first location of a result is. It is part of an alert's identity, so that it must stay the same for a
    /// category.
    pub standing: Standing,
    /// The category, in place of one made from repository and platform.
    pub category: Option<&'a str>,
    /// The files of the checkout, for [`Standing::File`].
    pub tracked: Option<&'a TrackedFiles>,
    /// Whether what the policy suppresses is in the log too, marked as such. GitHub makes alerts of that all the same.
    pub with_suppressed: bool,
    /// The repository that holds the Dockerfile, where that is known.
    pub version_control: Option<&'a VersionControl>,
}

/// The revision of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionControl {
    /// An absolute URI, without user or password.
    pub repository: String,
    /// The commit.
    pub revision: Option<String>,
    /// The branch.
    pub branch: Option<String>,
}

/// Writes SARIF: one log, or one per image into a sink that is divided.
pub struct Sarif<'a>(pub Settings<'a>);

impl Reporter for Sarif<'_> {
    fn write(
        &self,
        report: &Report,
        verdict: &Verdict,
        _reveal: Reveal,
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        let subjects = subjects(report, self.0.sarif.category);
        let runs = subjects.iter().map(|subject| self.run(report, verdict, subject));
        if sink.is_divided() {
            let mut names = HashSet::new();
            for (subject, run) in subjects.iter().zip(runs) {
                let name = subject.file_name(&mut names);
                write_log(sink, &name, vec![run])?;
            }
            return Ok(());
        }
        let mut runs: Vec<Run> = runs.collect();
        if let (Some(first), Some(text)) = (runs.first_mut(), too_many_runs(report)) {
            notify(first, notification(ResultLevel::Warning, "too-many-runs", &text));
        }
        write_log(sink, "report.sarif", runs)
    }
}

/// What is wrong with one log of all images where GitHub takes no such log.
pub fn too_many_runs(report: &Report) -> Option<String> {
    let count = subjects(report, None).len();
    (count > MOST_RUNS).then(|| {
        format!(
            "This log has {count} runs, and GitHub takes {MOST_RUNS}: write one log per image with --format \
             sarif=DIR/ instead."
        )
    })
}

fn write_log(sink: &mut dyn Sink, name: &str, runs: Vec<Run>) -> io::Result<()> {
    let log = sarif::Sarif::builder()
        .schema("https://json.schemastore.org/sarif-2.1.0.json")
        .version(json!("2.1.0"))
        .runs(runs)
        .build();
    sink.part(name, &mut |out| {
        json::write_pretty(&log, out)?;
        out.write_all(b"\n")
    })
}

/// What one run is about: an image, or a target that could not be resolved to one.
struct Subject<'a> {
    target: &'a TargetSummary,
    image: Option<(usize, &'a ImageSummary)>,
    /// `linux-amd64`; unique within the repository.
    slug: String,
    /// The category that was asked for.
    category: Option<String>,
}

/// The subjects in order of the report. Two runs of one category are refused by GitHub, so a second image of the same
/// repository and platform gets a number.
fn subjects<'a>(report: &'a Report, category: Option<&'a str>) -> Vec<Subject<'a>> {
    let mut subjects = Vec::new();
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    for (index, target) in report.targets.iter().enumerate() {
        let images = report
            .images
            .iter()
            .enumerate()
            .filter(|(_, image)| image.target == index);
        let mut slugs: Vec<(String, Option<(usize, &ImageSummary)>)> = images
            .map(|(index, image)| (slug(image), Some((index, image))))
            .collect();
        if slugs.is_empty() {
            slugs.push(("unresolved".to_owned(), None));
        }
        for (slug, image) in slugs {
            let count = seen.entry((target.repository.clone(), slug.clone())).or_default();
            *count += 1;
            let slug = if *count == 1 {
                slug
            } else {
                format!("{slug}-{count}")
            };
            subjects.push(Subject {
                target,
                image,
                slug,
                category: category.map(|name| name.trim_matches('/').to_owned()),
            });
        }
    }
    // Two runs of one category are refused: where there are several, each adds its platform to the category.
    if subjects.len() > 1 {
        for subject in &mut subjects {
            let slug = &subject.slug;
            subject.category = subject
                .category
                .take()
                .map(|category| format!("{category}/{slug}"));
        }
    }
    subjects
}

fn slug(image: &ImageSummary) -> String {
    match &image.platform {
        Some(platform) => {
            let parts = [
                platform.os.as_str(),
                platform.architecture.as_str(),
                platform.variant.as_deref().unwrap_or_default(),
            ];
            let parts: Vec<String> = parts
                .into_iter()
                .filter(|part| !part.is_empty())
                .map(|part| plain_name(part, &['.']))
                .collect();
            parts.join("-")
        }
        None if image.artifact_type.is_some() => "artifact".to_owned(),
        None => "no-platform".to_owned(),
    }
}

/// Letters, digits, `-`, `_` and those of `also`; every other character becomes `-`. At most 100 bytes.
fn plain_name(text: &str, also: &[char]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || also.contains(&c);
    text.chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .take(100)
        .collect()
}

impl Subject<'_> {
    /// GitHub's category is what stands before the last slash. No tag, no digest: an upload for the rebuilt image must
    /// replace this one's.
    fn category(&self) -> String {
        if let Some(category) = &self.category {
            return format!("{}/", text::escape(category.trim_matches('/').as_bytes()));
        }
        format!(
            "layersift/{}/{}/",
            text::escape(self.target.repository.as_bytes()),
            self.slug
        )
    }

    fn file_name(&self, taken: &mut HashSet<String>) -> String {
        let repository = plain_name(&self.target.repository, &['.']);
        let stem = format!("{}_{}", repository.trim_start_matches('.'), self.slug);
        let mut name = format!("{stem}.sarif");
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{stem}-{number}.sarif");
            number += 1;
        }
        name
    }

    /// The last part of the repository, under which in-image paths are shown.
    fn root(&self) -> String {
        self.target
            .repository
            .rsplit('/')
            .find(|part| !part.is_empty())
            .unwrap_or("image")
            .to_owned()
    }

    fn full_name(&self) -> String {
        let repository = text::escape(self.target.repository.as_bytes());
        match self.image.and_then(|(_, image)| image.manifest.as_ref()) {
            Some(digest) => format!("{repository}@{digest}"),
            None => repository,
        }
    }
}

impl Sarif<'_> {
    fn run(&self, report: &Report, verdict: &Verdict, subject: &Subject<'_>) -> Run {
        let mut results = Results::new(subject, self.0.sarif);
        if let Some((index, image)) = subject.image {
            for finding in ranked(&report.findings, index) {
                results.add(finding, index, image);
            }
            if self.0.sarif.with_suppressed {
                for suppressed in &verdict.suppressed {
                    let before = results.results.len();
                    results.add(&suppressed.finding, index, image);
                    let by = wire::SuppressedBy::from(&suppressed.by).shown();
                    for result in &mut results.results[before..] {
                        let suppression = Suppression::builder()
                            .kind("external")
                            .status("accepted")
                            .justification(by.clone());
                        result.suppressions = Some(vec![suppression.build()]);
                    }
                }
            }
        }
        let rules = results
            .rules
            .values()
            .map(|finding| rule::descriptor(finding, self.0.rules.get(&finding.rule)))
            .collect::<Vec<_>>();
        let mut driver = ToolComponent::builder()
            .name("layersift")
            .full_name(format!("layersift {}", report.version))
            .semantic_version(report.version.clone())
            .rules(rules)
            .properties(bag([("ruleSet", json!(report.rule_set))]))
            .build();
        driver.information_uri = Some(REPOSITORY.to_owned()).filter(|uri| !uri.is_empty());
        let mut run = Run::builder()
            .tool(Tool::builder().driver(driver).build())
            .automation_details(RunAutomationDetails {
                id: Some(subject.category()),
                ..Default::default()
            })
            .invocations(vec![invocation(report, verdict, subject)])
            .original_uri_base_ids(base_ids(subject))
            .column_kind(json!("utf16CodeUnits"))
            .properties(run_properties(report, verdict, subject, &results))
            .build();
        let ids = run.original_uri_base_ids.as_ref();
        if let Some(known) = self.0.sarif.version_control
            && ids.is_some_and(|ids| ids.contains_key(place::CHECKOUT))
        {
            run.version_control_provenance = Some(vec![version_control(known)]);
        }
        if !results.logical.is_empty() {
            run.logical_locations = Some(results.logical);
        }
        if results.cut > 0 {
            let text = format!(
                "{} more results are left out: GitHub takes {MOST_RESULTS} of one run. These are the most severe and \
                 most certain ones; the JSON report has all.",
                results.cut
            );
            notify(
                &mut run,
                notification(ResultLevel::Warning, "too-many-results", &text),
            );
        }
        run.results = Some(results.results);
        run
    }
}

/// Of which revision the Dockerfile is.
fn version_control(known: &VersionControl) -> VersionControlDetails {
    VersionControlDetails {
        repository_uri: known.repository.clone(),
        revision_id: known.revision.clone(),
        branch: known.branch.clone(),
        mapped_to: Some(sarif::ArtifactLocation {
            uri_base_id: Some(place::CHECKOUT.to_owned()),
            ..Default::default()
        }),
        as_of_time_utc: None,
        properties: None,
        revision_tag: None,
    }
}

/// What URIs are relative to. No address: where a checkout or an image lies on this machine is nobody's business.
fn base_ids(subject: &Subject<'_>) -> BTreeMap<String, sarif::ArtifactLocation> {
    let described = |text: String| sarif::ArtifactLocation {
        description: Some(message(text)),
        ..Default::default()
    };
    let repository = text::escape(subject.target.repository.as_bytes());
    let image = described(format!("Root file system of image {repository}."));
    let mut ids = BTreeMap::from([(place::IMAGE.to_owned(), image)]);
    if subject
        .image
        .is_some_and(|(_, image)| checked_out(image).is_some())
    {
        let checkout = described("Root of the repository that holds the Dockerfile.".to_owned());
        ids.insert(place::CHECKOUT.to_owned(), checkout);
    }
    ids
}

/// The Dockerfile of an image, where it is a file that a viewer can show.
fn checked_out(image: &ImageSummary) -> Option<&Dockerfile> {
    image
        .dockerfile
        .as_ref()
        .filter(|dockerfile| dockerfile.is_checked_out)
}

/// The findings of an image, the most severe and most certain first.
fn ranked(findings: &[Finding], image: usize) -> Vec<&Finding> {
    let mut findings: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.occurrences.iter().any(|o| o.image == image))
        .collect();
    findings.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.confidence)));
    findings
}

/// The results of a run and what they share.
struct Results<'a> {
    subject: &'a Subject<'a>,
    options: Options<'a>,
    results: Vec<sarif::Result>,
    cut: u64,
    /// The first finding of each rule, by the rule's place in the log.
    rules: BTreeMap<usize, &'a Finding>,
    rule_places: HashMap<&'a str, usize>,
    logical: Vec<LogicalLocation>,
    logical_places: HashMap<String, i64>,
    /// Fingerprints of the results.
    ids: HashSet<&'a str>,
}

impl<'a> Results<'a> {
    fn new(subject: &'a Subject<'a>, options: Options<'a>) -> Self {
        Self {
            subject,
            options,
            results: Vec::new(),
            cut: 0,
            rules: BTreeMap::new(),
            rule_places: HashMap::new(),
            logical: Vec::new(),
            logical_places: HashMap::new(),
            ids: HashSet::new(),
        }
    }

    fn add(&mut self, finding: &'a Finding, index: usize, image: &ImageSummary) {
        if self.results.len() >= MOST_RESULTS {
            self.cut += 1;
            return;
        }
        let mut occurrences: Vec<&Occurrence> =
            finding.occurrences.iter().filter(|o| o.image == index).collect();
        // What a container sees is what somebody can go and look at.
        occurrences.sort_by_key(|occurrence| reach(&occurrence.status));
        let Some((primary, others)) = occurrences.split_first() else {
            return;
        };
        let next = self.rule_places.len();
        let rule_index = *self.rule_places.entry(&finding.rule.0).or_insert(next);
        self.rules.entry(rule_index).or_insert(finding);
        self.ids.insert(&finding.fingerprint.0);

        let root = self.subject.root();
        let lines = Lines::of(image, primary);
        let at_instruction = lines.dockerfile.map(|dockerfile| lines.primary(dockerfile));
        let in_image = || Place::of(&root, primary, &finding.secret).location();
        let tracked = self.options.tracked;
        let in_file = || Some(Place::of_tracked(primary, &finding.secret, tracked?)?.location());
        let (mut location, is_at_instruction) = match (self.options.standing, at_instruction) {
            (Standing::Image, _) | (_, None) => (in_image(), false),
            (Standing::Dockerfile, Some(location)) => (location, true),
            (Standing::File, Some(location)) => in_file().map_or((location, true), |file| (file, false)),
        };
        location.logical_locations = Some(vec![self.logical(primary)]);
        location.message = Some(message(format!("{}.", capitalised(&standing(primary)))));
        let (cause, mut related) = lines.told(primary, is_at_instruction);
        let kept = MOST_RELATED - related.len();
        related.extend(
            if self.options.standing == Standing::Image {
                others_in_image(&root, &finding.secret, primary, others)
            } else {
                others_in_checkout(image, primary, others)
            }
            .take(kept),
        );
        for (index, location) in related.iter_mut().enumerate() {
            location.id = Some(number(index as u64 + 1));
        }
        let shown = others.len().min(MOST_OCCURRENCES - 1);
        let more = finding
            .more_occurrences
            .saturating_add((others.len() - shown) as u64);
        let mut alert = message(alert_text(
            finding,
            primary,
            image,
            &self.subject.target.repository,
        ));
        if let Some(text) = &mut alert.text {
            text.push_str(&cause);
            text.push_str(&format!(
                " Secret {}, redacted.",
                escaped(&finding.secret.redacted())
            ));
            text.push_str(&places_text(others.len() as u64, finding.more_occurrences));
        }
        let properties = ResultProperties {
            severity: finding.severity.to_string(),
            confidence: finding.confidence.to_string(),
            evidence: finding.evidence.iter().map(ToString::to_string).collect(),
            status: primary.status.name(),
            secret: finding.secret.redacted(),
            identifier: finding.identifier.as_deref(),
            occurrences: std::iter::once(primary)
                .chain(&others[..shown])
                .map(|occurrence| {
                    wire::Occurrence::new(occurrence, image.dockerfile.as_ref(), Reveal::Redacted)
                })
                .collect(),
            more_occurrences: more,
            dockerfile_mapping: lines.mapping(),
        };
        let mut result = sarif::Result::builder()
            .rule_id(finding.rule.0.clone())
            .rule_index(number(rule_index as u64))
            .level(level(finding.severity))
            .message(alert)
            .locations(vec![location])
            .fingerprints(BTreeMap::from([(
                "layersift/v1".to_owned(),
                finding.fingerprint.0.clone(),
            )]))
            .partial_fingerprints(BTreeMap::from([(
                "primaryLocationLineHash".to_owned(),
                alert_identity(finding),
            )]))
            .properties(bag_of(&properties))
            .build();
        result.code_flows = lines.life(primary).map(|flow| vec![flow]);
        if !related.is_empty() {
            result.related_locations = Some(related);
        }
        self.results.push(result);
    }

    /// The place in the tree image > layer > path.
    fn logical(&mut self, occurrence: &Occurrence) -> LogicalLocation {
        let root = self.subject.full_name();
        let image = self.logical_node(&root, root.clone(), "module", None);
        let (parent, prefix) = match occurrence.origin.layer() {
            Some(layer) => {
                let name = format!("{root}/layers/{layer}");
                let parent =
                    self.logical_node(&format!("layer {layer}"), name.clone(), "namespace", Some(image));
                (parent, name)
            }
            None => (image, root),
        };
        let name = display(&occurrence.origin, &occurrence.within);
        let separator = if name.starts_with('/') { "" } else { "/" };
        let full_name = format!("{prefix}{separator}{name}");
        let index = self.logical_node(&name, full_name.clone(), "resource", Some(parent));
        LogicalLocation {
            index: Some(index),
            fully_qualified_name: Some(full_name),
            ..Default::default()
        }
    }

    fn logical_node(&mut self, name: &str, full_name: String, kind: &str, parent: Option<i64>) -> i64 {
        if let Some(index) = self.logical_places.get(&full_name) {
            return *index;
        }
        let index = number(self.logical.len() as u64);
        self.logical_places.insert(full_name.clone(), index);
        self.logical.push(LogicalLocation {
            name: Some(name.to_owned()),
            fully_qualified_name: Some(full_name),
            kind: Some(kind.to_owned()),
            parent_index: parent,
            ..Default::default()
        });
        index
    }
}

/// What other tools and our own comparison read; GitHub ignores it. Occurrences are in the form of `docs/report.md`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultProperties<'a> {
    severity: String,
    confidence: String,
    evidence: Vec<String>,
    status: &'a str,
    secret: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<&'a str>,
    occurrences: Vec<wire::Occurrence>,
    more_occurrences: u64,
    /// How the line was found: `provenance`, `exact`, `fuzzy`, `positional`, or `none`.
    dockerfile_mapping: &'a str,
}

/// The other halves of the credential and its other places, by their paths in the image.
fn others_in_image<'a>(
    root: &'a str,
    secret: &'a Secret,
    primary: &'a Occurrence,
    others: &'a [&'a Occurrence],
) -> Box<dyn Iterator<Item = Location> + 'a> {
    let companions = primary.companions.iter().map(move |companion| {
        let part = text::escape(companion.part.as_bytes());
        let text = format!(
            "The other half, {part} {}, in {}.",
            companion.secret.redacted(),
            display(&companion.origin, &companion.within)
        );
        (Place::of_companion(root, companion), text)
    });
    let others = others.iter().map(move |occurrence| {
        let text = format!("{}.", capitalised(&standing(occurrence)));
        (Place::of(root, occurrence, secret), text)
    });
    Box::new(companions.chain(others).map(|(place, text)| Location {
        message: Some(message(text)),
        ..place.location()
    }))
}

/// The instructions that brought the other places. Those that are not known are left out: a place in an image is no file
/// that a viewer could show.
fn others_in_checkout<'a>(
    image: &'a ImageSummary,
    primary: &'a Occurrence,
    others: &'a [&'a Occurrence],
) -> Box<dyn Iterator<Item = Location> + 'a> {
    let dockerfile = checked_out(image);
    Box::new(others.iter().filter_map(move |occurrence| {
        let made_by = occurrence.made_by?;
        // The history repeats what the instruction set.
        if primary.made_by == Some(made_by)
            && display(&primary.origin, &primary.within) == display(&occurrence.origin, &occurrence.within)
        {
            return None;
        }
        let location = place::instruction(dockerfile?, made_by)?;
        Some(Location {
            message: Some(message(format!("{}.", capitalised(&standing(occurrence))))),
            ..location
        })
    }))
}

/// The alert's title and first sentence, then how it came about.
fn alert_text(finding: &Finding, occurrence: &Occurrence, image: &ImageSummary, repository: &str) -> String {
    let title = text::escape(finding.title.as_bytes());
    let repository = text::escape(repository.as_bytes());
    let place = display(&occurrence.origin, &occurrence.within);
    let in_layer = match occurrence.origin.layer() {
        Some(layer) => format!(" (layer {layer} of {})", image.layers.len()),
        None => String::new(),
    };
    let mut text = format!("{title} in {place}{in_layer} of image {repository}");
    text.push_str(&match &occurrence.status {
        Status::Deleted { by, .. } => {
            format!(" can still be recovered although layer {by} deletes the file.")
        }
        Status::Overwritten { by } => {
            format!(" can still be recovered although layer {by} replaces the file.")
        }
        Status::Present => " is visible in every container.".to_owned(),
        Status::Metadata(MetadataUse::Effective) => " is given to every container.".to_owned(),
        Status::Metadata(MetadataUse::History) => {
            " can be read by everyone who can pull the image.".to_owned()
        }
        Status::Unlisted => " can be recovered although no container shows these bytes.".to_owned(),
        Status::Unknown { unread } => {
            format!(" is in the image; layer {unread} could not be read and may hide it.")
        }
    });
    if occurrence
        .within
        .links()
        .iter()
        .any(|link| !matches!(link, Link::Encoding(_)))
        && occurrence.location.line > 0
    {
        let (line, column) = (occurrence.location.line, occurrence.location.column_utf16);
        text.push_str(&format!(" It stands in line {line}, column {column} there."));
    }
    let origin = occurrence.origin.layer();
    for layer in origin.into_iter().chain(occurrence.status.hidden_by()) {
        let created_by = image
            .layers
            .iter()
            .find(|summary| summary.ordinal == layer)
            .and_then(|summary| summary.created_by.as_deref());
        if let Some(created_by) = created_by {
            let shown = cut(&instruction(created_by), MOST_INSTRUCTION);
            text.push_str(&format!(" Layer {layer} was created by: {shown}."));
        }
    }
    text
}

fn places_text(others: u64, more: u64) -> String {
    match others.saturating_add(more) {
        0 => String::new(),
        1 => " It stands in 1 other place too.".to_owned(),
        count => format!(" It stands in {count} other places too."),
    }
}

/// ``in /root/.boto (layer 3), which layer 5 deletes``.
fn standing(occurrence: &Occurrence) -> String {
    let place = display(&occurrence.origin, &occurrence.within);
    let layer = match occurrence.origin.layer() {
        Some(layer) => format!(" (layer {layer})"),
        None => String::new(),
    };
    let fate = match &occurrence.status {
        Status::Deleted { by, .. } => format!(", which layer {by} deletes"),
        Status::Overwritten { by } => format!(", which layer {by} replaces"),
        _ => String::new(),
    };
    format!("in {place}{layer}{fate}")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// The place for people, escaped: an absolute path, or the field of a document, and the way into it.
fn display(origin: &Origin, within: &Chain) -> String {
    match origin {
        Origin::File { path, .. } => format!("/{}{within}", path.escaped()),
        other => format!("{}{within}", wire::Origin::from(other).place()),
    }
}

/// Lower is nearer to whoever runs the image.
fn reach(status: &Status) -> u8 {
    match status {
        Status::Present => 0,
        Status::Metadata(MetadataUse::Effective) => 1,
        Status::Unknown { .. } => 2,
        Status::Overwritten { .. } | Status::Deleted { .. } => 3,
        Status::Metadata(MetadataUse::History) => 4,
        Status::Unlisted => 5,
    }
}

/// What GitHub knows an alert by, in place of its own hash of the lines: that one changes with the lines below the
/// secret, is the same for two secrets on one line, and is not computed at all for files outside of the checkout.
fn alert_identity(finding: &Finding) -> String {
    let mut hash = Sha256::new();
    for part in [
        "layersift/alert1",
        &finding.rule.0,
        &finding.repository,
        &finding.fingerprint.0,
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("{}:1", &text::hex(&hash.finalize())[..16])
}

fn invocation(report: &Report, verdict: &Verdict, subject: &Subject<'_>) -> Invocation {
    let image = subject.image.map(|(index, _)| index);
    let skips: Vec<&Skip> = report
        .coverage
        .skips
        .iter()
        .filter(|skip| skip.image.is_none() || skip.image == image)
        .collect();
    let mut notifications: Vec<Notification> = skips.iter().map(|skip| skip_notification(skip)).collect();
    if let Some(failure) = &subject.target.failure {
        let text = format!("{}: {failure}", subject.target.name);
        notifications.push(notification(ResultLevel::Error, "unresolved-target", &text));
    }
    for remark in &verdict.remarks {
        let level = match remark.weight {
            Weight::Fails | Weight::Incomplete => ResultLevel::Warning,
            Weight::Note => ResultLevel::Note,
        };
        notifications.push(notification(level, remark.kind.name(), &remark.text));
    }
    if report.interrupted {
        let text = "The run was ended before its time; results may be missing.";
        notifications.push(notification(ResultLevel::Error, "interrupted", text));
    }
    let is_incomplete =
        |skip: &&Skip| skip.kind == SkipKind::Incomplete || (verdict.strict && skip.kind == SkipKind::Opaque);
    let is_successful = !report.interrupted
        && subject.target.failure.is_none()
        && !skips.iter().any(is_incomplete)
        && subject.image.is_none_or(|(_, image)| {
            let is_failed = |layer: &LayerSummary| layer.verification == Verification::Failed;
            image.complete && !image.layers.iter().any(is_failed)
        });
    let mut invocation = Invocation::builder().execution_successful(is_successful).build();
    if !notifications.is_empty() {
        invocation.tool_execution_notifications = Some(notifications);
    }
    invocation
}

fn skip_notification(skip: &Skip) -> Notification {
    let level = match skip.kind {
        SkipKind::Incomplete => ResultLevel::Error,
        SkipKind::Note => ResultLevel::Note,
        SkipKind::Opaque => ResultLevel::Warning,
    };
    let bytes = skip.bytes.map(|count| format!(" ({})", text::bytes(count)));
    let text = format!(
        "{} in {}: {}{}",
        skip.reason,
        skip.place,
        skip.detail,
        bytes.unwrap_or_default()
    );
    notification(level, skip.reason, &text)
}

fn notification(level: ResultLevel, reason: &str, text: &str) -> Notification {
    Notification::builder()
        .level(json!(level))
        .message(message(text.to_owned()))
        .properties(bag([("reason", json!(reason))]))
        .build()
}

fn notify(run: &mut Run, notification: Notification) {
    let first = run.invocations.iter_mut().flatten().next();
    if let Some(invocation) = first {
        invocation
            .tool_execution_notifications
            .get_or_insert_default()
            .push(notification);
    }
}

fn run_properties(
    report: &Report,
    verdict: &Verdict,
    subject: &Subject<'_>,
    results: &Results<'_>,
) -> PropertyBag {
    let listed = |fingerprints: &[crate::finding::Fingerprint]| -> Vec<String> {
        fingerprints
            .iter()
            .filter(|fingerprint| results.ids.contains(fingerprint.0.as_str()))
            .map(|fingerprint| fingerprint.0.clone())
            .collect()
    };
    let mut properties = vec![
        ("fingerprintScheme", json!(report.scheme.name())),
        (
            "coverage",
            json!({
                "scope": "all images of the scan",
                "seenBytes": report.coverage.seen_bytes,
                "scannedBytes": report.coverage.scanned_bytes,
                "skippedBytes": report.coverage.skipped_bytes,
                "complete": report.coverage.is_complete(),
            }),
        ),
        (
            "leftOut",
            verdict
                .left_out
                .iter()
                .map(|left_out| json!({"filter": left_out.filter.name(), "findings": left_out.findings}))
                .collect(),
        ),
        ("target", json!(subject.target.name)),
        (
            "digests",
            json!({
                "index": subject.target.index,
                "manifest": subject.image.and_then(|(_, image)| image.manifest.as_ref()),
                "config": subject.image.and_then(|(_, image)| image.image_id.as_ref()),
            }),
        ),
    ];
    if let Some((_, image)) = subject.image {
        let layers: Vec<LayerProperties<'_>> = image
            .layers
            .iter()
            .map(|layer| LayerProperties {
                ordinal: layer.ordinal,
                digest: layer.digest.as_ref().map(ToString::to_string),
                diff_id: layer.diff_id.as_ref().map(ToString::to_string),
                created_by: layer.created_by.as_deref(),
                compression: &layer.compression,
                stored_bytes: layer.stored_bytes,
                decoded_bytes: layer.decoded_bytes,
                entries: layer.entries,
                verification: layer.verification.into(),
                result_ids: listed(&layer.findings),
                hides: listed(&layer.hides),
            })
            .collect();
        properties.push((
            "image",
            json!({
                "repository": subject.target.repository,
                "platform": image.platform.as_ref().map(ToString::to_string),
                "manifest": image.manifest,
                "imageId": image.image_id,
                "complete": image.complete,
            }),
        ));
        properties.push(("layers", json!(layers)));
    }
    bag(properties)
}

/// One layer; its `resultIds` are the `fingerprints["layersift/v1"]` of results.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerProperties<'a> {
    ordinal: usize,
    digest: Option<String>,
    diff_id: Option<String>,
    created_by: Option<&'a str>,
    compression: &'a str,
    stored_bytes: u64,
    decoded_bytes: u64,
    entries: u64,
    verification: wire::Integrity,
    result_ids: Vec<String>,
    hides: Vec<String>,
}

fn level(severity: Severity) -> ResultLevel {
    match severity {
        Severity::Critical | Severity::High => ResultLevel::Error,
        Severity::Medium => ResultLevel::Warning,
        Severity::Low => ResultLevel::Note,
    }
}

/// A message of this text, in which nothing from the image is markup.
///
/// *Source*: SARIF 2.1.0, 3.11.5 (`{0}` is a placeholder, braces are doubled to mean themselves) and 3.11.6
/// (`[text](1)` is a link, brackets are escaped). Other braces are left as they are: viewers do not undouble them, and
/// validators accept them.
fn message(text: String) -> Message {
    Message {
        text: Some(escaped(&text)),
        ..Default::default()
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let behind = &text[at + c.len_utf8()..];
        let before = &text[..at];
        let is_placeholder = match c {
            '{' => {
                behind
                    .trim_start_matches(|c: char| c.is_ascii_digit())
                    .starts_with('}')
                    && !behind.starts_with('}')
            }
            '}' => {
                before
                    .trim_end_matches(|c: char| c.is_ascii_digit())
                    .ends_with('{')
                    && !before.ends_with('{')
            }
            _ => false,
        };
        match c {
            '[' | ']' => out.push('\\'),
            '{' | '}' if is_placeholder => out.push(c),
            _ => {}
        }
        out.push(c);
    }
    out
}

fn bag<'a>(properties: impl IntoIterator<Item = (&'a str, Value)>) -> PropertyBag {
    PropertyBag {
        tags: None,
        additional_properties: properties
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

fn bag_of<T: Serialize>(properties: &T) -> PropertyBag {
    match json!(properties) {
        Value::Object(object) => PropertyBag {
            tags: None,
            additional_properties: object.into_iter().collect(),
        },
        _ => PropertyBag::default(),
    }
}

/// SARIF's numbers are signed; some readers hold them in 32 bits.
fn number(value: u64) -> i64 {
    value.min(i32::MAX as u64) as i64
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Where to learn more; empty until the package names a repository.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
/// More results of one run are refused by GitHub.
const MOST_RESULTS: usize = 25_000;
/// More runs in one file are refused by GitHub.
const MOST_RUNS: usize = 20;
/// GitHub keeps 100 locations of a result and refuses 1,000.
const MOST_RELATED: usize = 99;
/// Occurrences in the properties of one result; the JSON report has all.
const MOST_OCCURRENCES: usize = 100;
/// Characters of an instruction in a message.
const MOST_INSTRUCTION: usize = 200;
