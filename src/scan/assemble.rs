//! From records to a report: the life of each occurrence, one finding for each credential, the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::finding::{
    BuildFacts, Counters, Coverage, EntryFacts, Finding, Fingerprint, HiddenFiles, ImageSummary,
    LayerSummary, Occurrence, Origin, Report, Secret, Skip, SkipKind, Status, TargetSummary, Verification,
};
use crate::layer::owner::ContentDigest;
use crate::layer::{LayerRecord, LayerSkip, Severeness, TextReader};
use crate::limits::LimitHit;
use crate::oci::{self, BlobKey, DiffId, Image, Layer, Provenance, Reference};
use crate::resolve;
use crate::rules::{Confidence, Evidence, Rule, RuleId, SecretKind, Severity};
use crate::source::SourceError;
use crate::tar::EntryKind;
use crate::text::{self, Lossless};

use super::Scan;
use super::classify;
use super::gather::Gathered;
use super::metadata::{ImageTexts, Searched, TextCandidate, Texts};
use super::pairs::{self, Hit, Sighting};

/// Collects what targets gave until the report is made.
pub(super) struct Assembler<'s> {
    scan: &'s Scan,
    texts: Texts<'s>,
    targets: Vec<TargetSummary>,
    images: Vec<ImageSummary>,
    /// The repository of each image.
    repositories: Vec<String>,
    credentials: HashMap<(String, u32, Secret), Credential>,
    coverage: Coverage,
    counters: Counters,
    /// Blobs whose bytes are in the ledger already.
    counted: BTreeSet<String>,
}

#[derive(Default)]
struct Credential {
    /// Which of all it is, in the order of their first occurrences.
    number: usize,
    identifier: Option<Secret>,
    occurrences: Vec<(Occurrence, Vec<Evidence>)>,
}

impl<'s> Assembler<'s> {
    pub(super) fn new(scan: &'s Scan) -> Self {
        let texts = Texts(TextReader::new(&scan.matcher, &scan.limits));
        Self {
            scan,
            texts,
            targets: Vec::new(),
            images: Vec::new(),
            repositories: Vec::new(),
            credentials: HashMap::new(),
            coverage: Coverage::default(),
            counters: Counters::default(),
            counted: BTreeSet::new(),
        }
    }

    /// Searches what the documents of an image say.
    pub(super) fn search(&mut self, image: &Image) -> Searched {
        self.texts.of_image(image)
    }

    /// Notes a target of which nothing could be had.
    pub(super) fn failed(&mut self, name: &str, repository: Option<String>, kind: &str, error: &SourceError) {
        self.targets.push(TargetSummary {
            name: name.to_owned(),
            source: kind.to_owned(),
            repository: repository.unwrap_or_default(),
            digest: None,
            index: None,
            failure: Some(error.with_causes()),
            hint: error.hint(),
            not_chosen: Vec::new(),
        });
    }

    /// Notes a target that an internal error ended. What of it was added before stays.
    pub(super) fn panicked(&mut self, name: &str) {
        let detail = "an internal error ended the reading of this target".to_owned();
        self.skip(SkipKind::Incomplete, "panic", name.to_owned(), None, detail, None);
    }

    /// Adds everything a target gave.
    pub(super) fn add(&mut self, name: &str, repository: Option<String>, kind: &str, gathered: &Gathered) {
        let resolved = &gathered.resolved;
        let repository = repository
            .or_else(|| resolved.repository.clone())
            .or_else(|| {
                resolved
                    .images
                    .iter()
                    .flat_map(|image| &image.names)
                    .find_map(|name| name_of(name))
            })
            .unwrap_or_else(|| fallback_name(name, kind));
        let target = self.targets.len();
        self.targets.push(TargetSummary {
            name: name.to_owned(),
            source: kind.to_owned(),
            repository: repository.clone(),
            digest: resolved.digest.clone(),
            index: resolved.index.clone(),
            failure: None,
            hint: None,
            not_chosen: resolved.not_chosen.clone(),
        });
        let incomplete = resolved
            .problems
            .iter()
            .map(|problem| (SkipKind::Incomplete, problem));
        let notes = gathered.notes.iter().map(|note| (SkipKind::Note, note));
        for (kind, problem) in incomplete.chain(notes) {
            let same =
                |skip: &Skip| (skip.kind, &skip.place, &skip.detail) == (kind, &problem.what, &problem.why);
            // Several targets of one registry have the same to tell of it.
            if kind == SkipKind::Note && self.coverage.skips.iter().any(same) {
                continue;
            }
            self.skip(
                kind,
                problem.reason,
                problem.what.clone(),
                None,
                problem.why.clone(),
                None,
            );
        }
        self.counters.unused_blobs += gathered.unused;
        for (at, image) in resolved.images.iter().enumerate() {
            let repository = image
                .names
                .iter()
                .find_map(|name| name_of(name))
                .filter(|_| resolved.images.len() > 1);
            let repository = repository
                .filter(|_| resolved.repository.is_none())
                .unwrap_or_else(|| self.targets[target].repository.clone());
            self.image(target, &repository, at, gathered);
        }
    }

    /// Adds the image at place `at` of what was gathered.
    fn image(&mut self, target: usize, repository: &str, at: usize, gathered: &Gathered) {
        let image = &gathered.resolved.images[at];
        let number = self.images.len();
        let records: Vec<Option<&Arc<LayerRecord>>> = image
            .layers
            .iter()
            .map(|layer| gathered.records.get(&layer.blob))
            .collect();
        let mut summaries = Vec::new();
        for (layer, record) in image.layers.iter().zip(&records) {
            summaries.push(self.layer(number, layer, *record, gathered));
        }
        let ImageTexts {
            metadata,
            attested,
            provenances,
        } = match gathered.searched.get(&at) {
            Some(searched) => self.stored_texts(searched, number),
            None => self.image_texts(image, gathered, number),
        };

        let link_bytes = self.scan.limits.symlink_bytes;
        let (lives, links_over) = lives(&records, link_bytes);
        if links_over > 0 {
            let detail = format!(
                "did not follow {} beyond the limit; files behind may have another life",
                text::counted(links_over, "symbolic link")
            );
            let (kind, reason) = (SkipKind::Incomplete, LimitHit::Symlinks.name());
            self.skip(kind, reason, "the image".to_owned(), None, detail, Some(number));
        }
        let sightings = sightings(number, &records, &summaries, &lives, (&metadata, &attested));
        for mut hit in pairs::join(self.scan.rules(), sightings) {
            match self.scan.rules().rules().get(hit.rule as usize) {
                Some(rule) if hit.is_published => classify::lower(rule, &mut hit),
                _ => classify::raise(&mut hit),
            }
            self.hit(repository, hit);
        }
        self.repositories.push(repository.to_owned());
        self.images.push(ImageSummary {
            target,
            names: image.names.clone(),
            platform: image.platform.clone(),
            manifest: image.manifest.clone(),
            image_id: image.image_id.clone(),
            artifact_type: image.artifact_type.clone(),
            created: image.config.created.clone(),
            base_claims: oci::claims(
                image,
                (image.attestations.iter())
                    .filter_map(|attestation| gathered.attestations.get(&attestation.blob))
                    .map(Vec::as_slice),
            ),
            hidden: self.scan.traces_hidden.then(|| hidden(&records, link_bytes)),
            layers: summaries,
            build: BuildFacts {
                history: image.config.history.clone(),
                provenances,
            },
            dockerfile: None,
            complete: true,
        });
    }

    /// Searches all that is said of an image outside of its layers.
    fn image_texts(&mut self, image: &Image, gathered: &Gathered, number: usize) -> ImageTexts {
        let metadata = self.texts.of_image(image);
        self.count_text(&metadata, number);
        let mut attested = Vec::new();
        let mut provenances = Vec::new();
        for attestation in &image.attestations {
            let place = format!("attestation {}", attestation.descriptor.digest);
            match (
                gathered.attestations.get(&attestation.blob),
                gathered.unread.get(&attestation.blob),
            ) {
                (Some(bytes), _) => {
                    let digest = &attestation.descriptor.digest;
                    if !verifies(digest, bytes) {
                        let detail = format!("the content is not what `{digest}` names");
                        let bytes = None;
                        self.skip(
                            SkipKind::Incomplete,
                            "digest-mismatch",
                            place,
                            bytes,
                            detail,
                            Some(number),
                        );
                    }
                    let searched = self
                        .texts
                        .of_attestation(bytes, attestation.predicate_type.as_deref());
                    self.count_text(&searched, number);
                    attested.push(searched);
                    provenances.extend(Provenance::parse_all(bytes).unwrap_or_default());
                }
                (None, unread) => {
                    let detail =
                        unread.map_or_else(|| "it is not there".to_owned(), SourceError::with_causes);
                    self.skip(
                        SkipKind::Incomplete,
                        "unread-attestation",
                        place,
                        None,
                        detail,
                        Some(number),
                    );
                }
            }
        }
        let mut texts = ImageTexts {
            metadata,
            attested,
            provenances,
        };
        if let Some(sealer) = &self.scan.sealer {
            texts.seal(sealer, self.scan.rules());
        }
        texts
    }

    /// The same for texts that were searched before.
    fn stored_texts(&mut self, searched: &ImageTexts, number: usize) -> ImageTexts {
        for searched in std::iter::once(&searched.metadata).chain(&searched.attested) {
            self.count_text(searched, number);
        }
        searched.clone()
    }

    /// Describes a layer, compares it with what the documents say, and enters its bytes in the ledger.
    fn layer(
        &mut self,
        image: usize,
        layer: &Layer,
        record: Option<&Arc<LayerRecord>>,
        gathered: &Gathered,
    ) -> LayerSummary {
        let history = layer.history.as_ref();
        let place = format!("layer {} ({})", layer.ordinal, layer.blob);
        let mut summary = LayerSummary {
            ordinal: layer.ordinal,
            digest: layer
                .descriptor
                .as_ref()
                .map(|descriptor| descriptor.digest.clone()),
            diff_id: layer.diff_id.clone(),
            compression: String::new(),
            stored_bytes: layer.descriptor.as_ref().map_or(0, |descriptor| descriptor.size),
            decoded_bytes: 0,
            entries: 0,
            created_by: history.and_then(|history| history.created_by.clone()),
            created: history.and_then(|history| history.created.clone()),
            made_by: None,
            verification: Verification::Unverified,
            findings: Vec::new(),
            hides: Vec::new(),
        };
        let Some(record) = record else {
            let (reason, detail) = match gathered.unread.get(&layer.blob) {
                Some(error) => ("unreadable-blob", error.with_causes()),
                None => (
                    "not-read",
                    "it is not there, or the scan ended before it was read".to_owned(),
                ),
            };
            let bytes = layer.descriptor.as_ref().map(|descriptor| descriptor.size);
            self.skip(SkipKind::Incomplete, reason, place, bytes, detail, Some(image));
            return summary;
        };
        summary.digest = Some(record.digest.clone());
        summary.diff_id = Some(record.diff_id.clone());
        summary.compression = format!("{:?}", record.codec).to_lowercase();
        summary.stored_bytes = record.stored_bytes;
        summary.decoded_bytes = record.decoded_bytes;
        summary.entries = record.framing.entries;
        summary.verification = self.verify(image, layer, record, &place);
        for skip in &record.skips {
            self.skip_of(skip, &place, image);
        }
        // A digest is the same blob everywhere, a member's name is one in its own archive only.
        let blob = match &layer.blob {
            BlobKey::Digest(digest) => digest.to_string(),
            BlobKey::Member(_) => format!("{} {}", self.targets.len(), layer.blob),
        };
        if self.counted.insert(blob) {
            self.counters.blobs += 1;
            self.counters.stored_bytes += record.stored_bytes;
            self.counters.entries += record.framing.entries;
            self.coverage.seen_bytes += record.decoded_bytes + record.aside_bytes;
            self.coverage.scanned_bytes += record.searched_bytes + record.aside_bytes;
            self.coverage.skipped_bytes += record.decoded_bytes - record.searched_bytes;
            self.coverage.expanded_bytes += record.expanded_bytes;
        }
        summary
    }

    fn verify(&mut self, image: usize, layer: &Layer, record: &LayerRecord, place: &str) -> Verification {
        if !record.complete {
            // The reader stops one byte behind the size it was told.
            if let Some(descriptor) = &layer.descriptor
                && record.stored_bytes > descriptor.size
            {
                let detail = format!(
                    "the descriptor says {}, there are more; they were not read",
                    text::counted(descriptor.size, "byte")
                );
                let place = place.to_owned();
                self.skip(
                    SkipKind::Incomplete,
                    "size-mismatch",
                    place,
                    None,
                    detail,
                    Some(image),
                );
            }
            return Verification::Unverified;
        }
        let digest = match (&layer.blob, &layer.descriptor) {
            (_, Some(descriptor)) => Some(&descriptor.digest),
            (BlobKey::Digest(digest), None) => Some(digest),
            (BlobKey::Member(_), None) => None,
        };
        let mut failures = Vec::new();
        let mut compared = false;
        if let Some(digest) = digest {
            if digest.algorithm().is_none() {
                let detail = format!("`{}` digests cannot be computed", digest.algorithm_name());
                failures.push(("digest-unverifiable", detail));
            } else if *digest != record.digest {
                let (read, bytes) = (&record.digest, record.stored_bytes);
                let bytes = text::counted(bytes, "byte");
                let detail = format!("expected `{digest}`, read `{read}` after {bytes}");
                failures.push(("digest-mismatch", detail));
            }
            compared = true;
        }
        if let Some(descriptor) = &layer.descriptor
            && descriptor.size != record.stored_bytes
        {
            let read = if record.stored_bytes > descriptor.size {
                "more"
            } else {
                "fewer"
            };
            let says = text::counted(descriptor.size, "byte");
            let detail = format!("the descriptor says {says}, there are {read}");
            failures.push(("size-mismatch", detail));
        }
        if let Some(diff_id) = &layer.diff_id {
            if *diff_id != record.diff_id {
                let detail = format!(
                    "expected `{diff_id}`, the uncompressed layer is `{}`",
                    record.diff_id
                );
                failures.push(("diff-id-mismatch", detail));
            }
            compared = true;
        }
        let verification = match (failures.is_empty(), compared) {
            (false, _) => Verification::Failed,
            (true, true) => Verification::Verified,
            (true, false) => Verification::Unverified,
        };
        for (reason, detail) in failures {
            self.skip(
                SkipKind::Incomplete,
                reason,
                place.to_owned(),
                None,
                detail,
                Some(image),
            );
        }
        verification
    }

    fn count_text(&mut self, searched: &Searched, image: usize) {
        self.coverage.seen_bytes += searched.bytes;
        self.coverage.scanned_bytes += searched.bytes - searched.lost_bytes;
        self.coverage.skipped_bytes += searched.lost_bytes;
        for (place, skip) in &searched.skips {
            self.skip_of(skip, place, image);
        }
    }

    /// Notes what the reading of a layer or a text passed over.
    fn skip_of(&mut self, skip: &LayerSkip, place: &str, image: usize) {
        let (bytes, detail) = (skip.bytes, skip.detail.clone());
        let kind = kind(skip.severeness);
        self.skip(kind, skip.reason, place.to_owned(), bytes, detail, Some(image));
    }

    fn skip(
        &mut self,
        kind: SkipKind,
        reason: &'static str,
        place: String,
        bytes: Option<u64>,
        detail: String,
        image: Option<usize>,
    ) {
        self.coverage.skips.push(Skip {
            kind,
            reason,
            place,
            bytes,
            detail,
            image,
        });
    }

    fn hit(&mut self, repository: &str, hit: Hit) {
        let key = (repository.to_owned(), hit.rule, hit.secret);
        let number = self.credentials.len();
        let credential = self.credentials.entry(key).or_insert_with(|| Credential {
            number,
            ..Credential::default()
        });
        credential.identifier = credential.identifier.take().or(hit.identifier);
        credential.occurrences.push((hit.occurrence, hit.evidence));
    }

    /// Makes the report.
    pub(super) fn finish(mut self, interrupted: bool) -> Report {
        let rules = self.scan.rules();
        let mut drafts: Vec<Draft<'_>> = Vec::new();
        let shared = self.shared_layers();
        for ((repository, rule, secret), mut credential) in std::mem::take(&mut self.credentials) {
            let Some(rule) = rules.rules().get(rule as usize) else {
                continue;
            };
            for (occurrence, evidence) in &mut credential.occurrences {
                if let Origin::File { layer, .. } = occurrence.origin
                    && shared.contains(&(occurrence.image, layer))
                {
                    classify::lower_shared(occurrence, evidence);
                }
            }
            drafts.push(draft(rule, repository, secret, credential));
        }
        drafts.sort_unstable_by_key(|draft| draft.number);
        if drafts.len() > self.scan.limits.findings {
            let over = drafts.len() - self.scan.limits.findings;
            drafts.sort_by(|a, b| a.rank().cmp(&b.rank()));
            drafts.truncate(self.scan.limits.findings);
            let over = text::counted(over as u64, "finding");
            let detail = format!("dropped {over} beyond the limit, the least severe");
            self.skip(
                SkipKind::Incomplete,
                "findings",
                "the report".to_owned(),
                None,
                detail,
                None,
            );
        }
        let mut findings = self.name(drafts);
        findings.sort_by(|a, b| order(a).cmp(&order(b)));
        for finding in &findings {
            if finding.confidence == Confidence::Low {
                self.counters.low_confidence += 1;
            }
            for occurrence in &finding.occurrences {
                let image = &mut self.images[occurrence.image];
                let mut note =
                    |ordinal: Option<usize>, list: fn(&mut LayerSummary) -> &mut Vec<Fingerprint>| {
                        let layer = ordinal.and_then(|ordinal| image.layers.get_mut(ordinal.wrapping_sub(1)));
                        if let Some(list) = layer.map(list)
                            && !list.contains(&finding.fingerprint)
                        {
                            list.push(finding.fingerprint.clone());
                        }
                    };
                let layer = match &occurrence.origin {
                    Origin::File { layer, .. } | Origin::Layer { layer, .. } => Some(*layer),
                    _ => None,
                };
                note(layer, |layer| &mut layer.findings);
                note(occurrence.status.hidden_by(), |layer| &mut layer.hides);
            }
        }
        self.coverage.skips.sort();
        self.coverage.skips.dedup();
        for (number, image) in self.images.iter_mut().enumerate() {
            let target_wide = |skip: &Skip| skip.image.is_none();
            image.complete = !interrupted
                && !self.coverage.skips.iter().any(|skip| {
                    skip.kind == SkipKind::Incomplete && (skip.image == Some(number) || target_wide(skip))
                });
        }
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rule_set: rules.hash().to_owned(),
            scheme: self.scan.fingerprinter.scheme(),
            targets: self.targets,
            images: self.images,
            findings,
            coverage: self.coverage,
            counters: self.counters,
            interrupted,
        }
    }

    /// The layers, by image and ordinal, whose content images of another repository have too.
    fn shared_layers(&self) -> BTreeSet<(usize, usize)> {
        let layers = || {
            let images = self.images.iter().zip(&self.repositories).enumerate();
            images.flat_map(|(image, (summary, repository))| {
                let layers = summary.layers.iter();
                layers.filter_map(move |layer| {
                    let place = (image, layer.ordinal);
                    Some((layer.diff_id.as_ref()?, repository, place))
                })
            })
        };
        let mut owners: BTreeMap<&DiffId, BTreeSet<&str>> = BTreeMap::new();
        for (content, repository, _) in layers() {
            owners.entry(content).or_default().insert(repository);
        }
        layers()
            .filter(|(content, _, _)| owners[content].len() > 1)
            .map(|(_, _, place)| place)
            .collect()
    }

    /// Gives each finding its fingerprint.
    fn name(&self, mut drafts: Vec<Draft<'_>>) -> Vec<Finding> {
        // A secret that can be guessed is named by its place and its number there.
        drafts.sort_by(|a, b| a.place_order().cmp(&b.place_order()));
        let mut numbers: HashMap<(String, String, String), usize> = HashMap::new();
        drafts
            .into_iter()
            .map(|draft| {
                let mut finding = draft.finding;
                let place = draft.place;
                let number = numbers
                    .entry((finding.repository.clone(), finding.rule.0.clone(), place.clone()))
                    .and_modify(|number| *number += 1)
                    .or_insert(1);
                let place = format!("{place}#{number}");
                let named = |rule: &RuleId| {
                    let secret = &finding.secret;
                    let fingerprinter = &self.scan.fingerprinter;
                    fingerprinter.fingerprint(rule, &finding.repository, draft.kind, secret, &place)
                };
                let former = draft.rule.formerly.iter().map(named).collect();
                finding.fingerprint = named(&finding.rule);
                finding.former_fingerprints = former;
                finding
            })
            .collect()
    }
}

/// The files of an image that no container shows, by their layer and the one that hides them.
fn hidden(records: &[Option<&Arc<LayerRecord>>], link_bytes: u64) -> Vec<HiddenFiles> {
    let tables: Vec<_> = records
        .iter()
        .map(|record| record.map(|record| &record.paths))
        .collect();
    let mut files: Vec<resolve::Member> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let Some(table) = table else { continue };
        let mut rows = table.rows();
        loop {
            let number = rows.number();
            let Some(row) = rows.read() else { break };
            if row.kind == EntryKind::File && row.is_shown() {
                files.push((index, number));
            }
        }
    }
    let mut hidden: BTreeMap<(usize, usize), (u64, resolve::Member)> = BTreeMap::new();
    for (file, status) in files
        .iter()
        .zip(resolve::lives(&tables, &files, link_bytes).statuses)
    {
        if let Some(by) = status.hidden_by() {
            hidden.entry((file.0 + 1, by)).or_insert((0, *file)).0 += 1;
        }
    }
    let path = |(layer, number): resolve::Member| -> Lossless {
        let row = tables[layer].and_then(|table| table.row(number));
        row.expect("a member of the table").path.as_ref().into()
    };
    let hidden = hidden.into_iter();
    hidden
        .map(|((layer, by), (files, example))| HiddenFiles {
            layer,
            by,
            files,
            example: path(example),
        })
        .collect()
}

fn kind(severeness: Severeness) -> SkipKind {
    match severeness {
        Severeness::Incomplete => SkipKind::Incomplete,
        Severeness::Note => SkipKind::Note,
        Severeness::Opaque => SkipKind::Opaque,
    }
}

/// A finding that has no name yet.
struct Draft<'r> {
    finding: Finding,
    kind: SecretKind,
    place: String,
    /// Where in the first place of all it stands.
    offset: u64,
    rule: &'r Rule,
    number: usize,
}

impl Draft<'_> {
    fn rank(&self) -> (std::cmp::Reverse<(Confidence, Severity)>, &str, &str) {
        (
            std::cmp::Reverse((self.finding.confidence, self.finding.severity)),
            &self.rule.id.0,
            &self.place,
        )
    }

    fn place_order(&self) -> (&str, &str, &str, u64, usize) {
        (
            &self.finding.repository,
            &self.rule.id.0,
            &self.place,
            self.offset,
            self.number,
        )
    }
}

fn draft(rule: &Rule, repository: String, secret: Secret, credential: Credential) -> Draft<'_> {
    let mut occurrences = credential.occurrences;
    let place = |occurrence: &Occurrence| {
        let Occurrence {
            image,
            origin,
            within,
            location,
            ..
        } = occurrence;
        (*image, origin.clone(), within.clone(), *location)
    };
    occurrences.sort_by_cached_key(|(occurrence, _)| place(occurrence));
    occurrences.dedup_by_key(|(occurrence, _)| place(occurrence));
    let confidence = occurrences
        .iter()
        .map(|(occurrence, _)| occurrence.confidence)
        .max()
        .unwrap_or(Confidence::Low);
    let offset = occurrences
        .first()
        .map_or(0, |(occurrence, _)| occurrence.location.offset);
    // What makes it as sure as it is comes first: that is the place to look at.
    occurrences.sort_by_key(|(occurrence, _)| std::cmp::Reverse(occurrence.confidence));
    let evidence: BTreeSet<Evidence> = occurrences
        .iter()
        .filter(|(occurrence, _)| occurrence.confidence == confidence)
        .flat_map(|(_, evidence)| evidence.iter().copied())
        .collect();
    let occurrences: Vec<Occurrence> = occurrences
        .into_iter()
        .map(|(occurrence, _)| occurrence)
        .collect();
    // Of all its places the one that sorts first by name: layers may be added below without renaming the finding.
    let place = occurrences
        .iter()
        .map(|occurrence| format!("{}{}", place_name(&occurrence.origin), occurrence.within))
        .min()
        .unwrap_or_default();
    Draft {
        kind: rule.kind,
        place,
        offset,
        rule,
        number: credential.number,
        finding: Finding {
            fingerprint: Fingerprint(String::new()),
            former_fingerprints: Vec::new(),
            rule: rule.id.clone(),
            title: rule.title.clone(),
            severity: severity(rule, &evidence),
            confidence,
            evidence: evidence.into_iter().collect(),
            repository,
            identifier: credential
                .identifier
                .and_then(|identifier| Some(text::escape(identifier.known()?))),
            secret,
            occurrences,
            more_occurrences: 0,
        },
    }
}

/// The rule's severity, lowered for what cannot be used as it is.
fn severity(rule: &Rule, evidence: &BTreeSet<Evidence>) -> Severity {
    let worthless = [Evidence::PublicTestKey, Evidence::Sample];
    if worthless.iter().any(|worthless| evidence.contains(worthless))
        || (rule.identifier && evidence.contains(&Evidence::Unpaired))
    {
        return Severity::Low;
    }
    let weakened = [Evidence::Encrypted, Evidence::TestMode];
    if weakened.iter().any(|weakened| evidence.contains(weakened)) {
        return match rule.severity {
            Severity::Critical => Severity::High,
            Severity::High => Severity::Medium,
            Severity::Medium | Severity::Low => Severity::Low,
        };
    }
    rule.severity
}

fn order(finding: &Finding) -> impl Ord + use<'_> {
    let first = finding.occurrences.first().map(|occurrence| {
        let Occurrence {
            image,
            origin,
            within,
            location,
            ..
        } = occurrence;
        (*image, origin, within, *location)
    });
    (
        std::cmp::Reverse(finding.severity),
        std::cmp::Reverse(finding.confidence),
        &finding.rule,
        first,
        &finding.fingerprint,
    )
}

/// A place without layer and image, so that a rebuild does not move it.
fn place_name(origin: &Origin) -> String {
    match origin {
        Origin::File { path, .. } => format!("/{}", path.escaped()),
        Origin::Layer { region, path, .. } => {
            format!(
                "{region}:/{}",
                path.as_ref().map(Lossless::escaped).unwrap_or_default()
            )
        }
        Origin::Config { field, .. } => {
            // The number of a history entry changes with every instruction before it.
            field.split('[').next().unwrap_or_default().to_owned()
        }
        Origin::Manifest { field } => format!("manifest:{}", field.split('[').next().unwrap_or_default()),
        Origin::Attestation { field, .. } => {
            format!("attestation:{}", field.split('[').next().unwrap_or_default())
        }
    }
}

/// What became of each file that has a candidate, and how many symbolic links were not followed for want of room.
fn lives(records: &[Option<&Arc<LayerRecord>>], link_bytes: u64) -> (HashMap<resolve::Member, Status>, u64) {
    let mut members = Vec::new();
    for (index, record) in records.iter().enumerate() {
        for candidate in record.iter().flat_map(|record| &record.candidates) {
            if candidate.carrier.is_file()
                && let Some(entry) = candidate.entry
            {
                members.push((index, entry));
            }
        }
    }
    members.sort_unstable();
    members.dedup();
    let tables: Vec<_> = records
        .iter()
        .map(|record| record.map(|record| &record.paths))
        .collect();
    let lives = resolve::lives(&tables, &members, link_bytes);
    (
        members.into_iter().zip(lives.statuses).collect(),
        lives.links_over,
    )
}

/// Every candidate of an image at its place and with its life.
fn sightings<'r>(
    image: usize,
    records: &'r [Option<&Arc<LayerRecord>>],
    summaries: &[LayerSummary],
    lives: &HashMap<resolve::Member, Status>,
    (metadata, attested): (&'r Searched, &'r [Searched]),
) -> Vec<Sighting<'r>> {
    let standings = classify::standings(records, lives);

    let mut sightings = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let Some(record) = record else { continue };
        for found in &record.candidates {
            let row = found.entry.and_then(|entry| record.paths.row(entry));
            let member = found
                .entry
                .map(|entry| (index, entry))
                .filter(|_| found.carrier.is_file());
            let (origin, status) = match row {
                Some(row) if found.carrier.is_file() => {
                    let entry = EntryFacts {
                        mode: row.mode,
                        uid: row.uid,
                        gid: row.gid,
                        mtime: row.mtime,
                        size: row.size,
                        sha256: found
                            .entry
                            .and_then(|entry| record.contents.get(&entry))
                            .map(ContentDigest::sha256),
                    };
                    let path = Lossless(row.path.into_owned());
                    let life = found.entry.and_then(|entry| lives.get(&(index, entry)));
                    (
                        Origin::File {
                            layer: index + 1,
                            path,
                            entry,
                        },
                        life.cloned().unwrap_or(Status::Unlisted),
                    )
                }
                row => {
                    let path = row.map(|row| Lossless(row.path.into_owned()));
                    (
                        Origin::Layer {
                            layer: index + 1,
                            region: found.carrier.name(),
                            path,
                        },
                        Status::Unlisted,
                    )
                }
            };
            sightings.push(Sighting {
                image,
                candidate: &found.candidate,
                origin,
                within: found.within.clone(),
                status,
                location: found.location,
                companions: &found.companions,
                context: &found.context,
                standing: member.and_then(|member| standings.get(&member).cloned()),
                verification: summaries
                    .get(index)
                    .map_or(Verification::Unverified, |layer| layer.verification),
            });
        }
    }
    for found in metadata
        .candidates
        .iter()
        .chain(attested.iter().flat_map(|searched| &searched.candidates))
    {
        let TextCandidate { found, origin, used } = found;
        sightings.push(Sighting {
            image,
            candidate: &found.candidate,
            origin: origin.clone(),
            within: found.within.clone(),
            status: Status::Metadata(*used),
            location: found.location,
            companions: &found.companions,
            context: &found.context,
            verification: Verification::Verified,
            standing: None,
        });
    }
    sightings
}

pub(super) fn verifies(digest: &crate::oci::Digest, bytes: &[u8]) -> bool {
    digest.algorithm().is_some_and(|algorithm| {
        let mut hasher = crate::oci::Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish() == *digest
    })
}

/// `registry/repository` of an image's own name.
fn name_of(name: &str) -> Option<String> {
    Reference::parse(name).ok().map(|reference| reference.name())
}

/// A name for a target that has none: the last part of its path, without an ending.
fn fallback_name(target: &str, kind: &str) -> String {
    let name = target.rsplit('/').next().unwrap_or_default();
    let name = name.split('.').next().unwrap_or_default();
    if name.is_empty() || name == "-" {
        kind.to_owned()
    } else {
        name.to_owned()
    }
}
