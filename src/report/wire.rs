//! The documented form of a report, schema `layersift.report/1`: what JSON carries and the text is drawn from.
//! `docs/report.md` explains the fields. Does not know where bytes go; see [`super::json`].
//!
//! These types are apart from those of [`crate::finding`] so that neither can break the other: a field here is a
//! promise to whoever reads reports. Within version 1, fields are only added. Secrets are redacted unless the
//! report was written with [`Reveal::Plain`]; paths and values keep their bytes.

mod gate;

use serde::{Deserialize, Serialize};

pub use gate::{Base, Carrier, Changes, Compared, Gone, Judgement, Reason, Remark, Suppressed, SuppressedBy};

use crate::finding::{self, DeletedBy, Fingerprint, MetadataUse, Reveal, Scheme, SkipKind};
use crate::oci::{DiffId, Digest, ImageId, Platform};
use crate::policy;
use crate::rules::{Confidence, Evidence, RuleId, Severity};
use crate::text::Lossless;

/// The name and version of the form.
pub const SCHEMA: &str = "layersift.report/1";

/// A whole report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What made it.
    pub tool: Tool,
    /// Whether it shows secrets.
    pub secrets: Disclosure,
    /// What follows from it.
    pub verdict: Verdict,
    /// The targets in the order of the command line.
    pub targets: Vec<Target>,
    /// The images of all targets.
    pub images: Vec<Image>,
    /// The findings that the filters left, most severe first.
    pub findings: Vec<Finding>,
    /// Findings that were ignored or known; they are not among the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<Suppressed>,
    /// The ledger.
    pub coverage: Coverage,
    /// Counts.
    pub counters: Counters,
}

/// What made a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `layersift`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The hash of the rules in force.
    pub rule_set: String,
    /// How fingerprints were made.
    pub fingerprint_scheme: Scheme,
}

/// Whether a report shows secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disclosure {
    /// It does.
    Plain,
    /// It shows just enough to recognise one's own.
    Redacted,
}

/// What follows from a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// `clean`, `findings`, `incomplete`, `incomplete-with-findings` or `unresolved`.
    pub outcome: String,
    /// Whether something was not read or not verified.
    pub incomplete: bool,
    /// Whether the run was ended before its time.
    pub interrupted: bool,
    /// The findings that fail the policy.
    pub failing: Vec<Fingerprint>,
    /// The least confidence that counted.
    pub min_confidence: Confidence,
    /// The least severity that counted.
    pub min_severity: Severity,
    /// Findings left out by filters.
    pub left_out: Vec<LeftOut>,
    /// Occurrences left out of findings that stayed.
    pub occurrences_left_out: u64,
    /// What the policy has to say besides, the heaviest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    /// Base images that were proved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bases: Vec<Base>,
    /// What became of the earlier image's findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// The digests that were compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<Compared>,
    /// Other tags that carry a blob which leaks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carriers: Vec<Carrier>,
}

/// How many findings a filter left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// `rule`, `min-confidence`, `severity`, `status` or `path`.
    pub filter: String,
    /// How many.
    pub findings: u64,
}

/// One target of the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// As given, userinfo and signatures removed, escaped.
    pub name: String,
    /// Which source read it.
    pub source: String,
    /// `registry/repository`, or a name made from the image's own.
    pub repository: String,
    /// The manifest or index the name pointed at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The index, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Why it could not be resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What to do about the failure, where there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Platforms that were not chosen.
    pub not_chosen: Vec<Platform>,
}

/// One image of one platform, or one artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The target, by its place in [`Report::targets`].
    pub target: usize,
    /// Names the source holds it under.
    pub names: Vec<String>,
    /// The platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The digest of its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// The digest of its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<ImageId>,
    /// What it is, where it is no image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// When it was made, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Whether everything of it was read, verified and searched.
    pub complete: bool,
    /// The Dockerfile its instructions stand in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<Dockerfile>,
    /// Its layers, base first.
    pub layers: Vec<Layer>,
}

/// The Dockerfile of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dockerfile {
    /// From the root of the checkout, or as its provenance names it.
    pub path: String,
    /// How its instructions were tied to the image: `none`, `history` or `provenance`.
    pub mapping: String,
    /// Why nothing could be tied to it, or with which reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// An instruction of the image's Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// The Dockerfile.
    pub file: String,
    /// The first line, from 1.
    pub line: u64,
    /// The last line.
    pub end_line: u64,
    /// `COPY`, `RUN`, …; `FROM` where the base image brought it.
    pub keyword: String,
    /// How sure that is: `positional`, `fuzzy` or `exact`.
    pub certainty: String,
}

impl Instruction {
    /// The documented form; `None` where nothing is known.
    pub fn new(dockerfile: Option<&finding::Dockerfile>, made_by: Option<finding::MadeBy>) -> Option<Self> {
        let (dockerfile, made_by) = (dockerfile?, made_by?);
        let instruction = dockerfile.instruction(made_by)?;
        Some(Self {
            file: dockerfile.path.clone(),
            line: instruction.first_line,
            end_line: instruction.last_line,
            keyword: instruction.keyword.clone(),
            certainty: made_by.certainty.name().to_owned(),
        })
    }

    /// `Dockerfile:12`, with how sure that is where it is not; escaped.
    pub fn place(&self) -> String {
        let file = crate::text::escape(self.file.as_bytes());
        let base = if self.keyword == "FROM" {
            ", the base image"
        } else {
            ""
        };
        match self.certainty.as_str() {
            "exact" => format!("{file}:{}{base}", self.line),
            certainty => format!(
                "{file}:{}{base} ({})",
                self.line,
                crate::text::escape(certainty.as_bytes())
            ),
        }
    }
}

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// From 1 at the base.
    pub ordinal: usize,
    /// The digest of the blob as stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The digest of the uncompressed tar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<DiffId>,
    /// `gzip`, `zstd`, `none`, …
    pub compression: String,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Bytes decompressed.
    pub decoded_bytes: u64,
    /// Members of the archive.
    pub entries: u64,
    /// The instruction that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<Instruction>,
    /// Whether digest, size and DiffID are what the documents say.
    pub integrity: Integrity,
    /// The findings with an occurrence in it.
    pub findings: Vec<Fingerprint>,
    /// The findings with an occurrence in an earlier layer that this one deletes or overwrites.
    pub hides: Vec<Fingerprint>,
}

/// Whether content is what it was said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Integrity {
    /// Something does not match.
    Failed,
    /// There was nothing to compare with, or it was not read to its end.
    Unverified,
    /// Everything the documents claim is true.
    Verified,
}

/// One leaked credential, wherever it occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name across rebuilds.
    pub fingerprint: Fingerprint,
    /// Which rule.
    pub rule: RuleId,
    /// The rule's title.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Why.
    pub evidence: Vec<Evidence>,
    /// The repository it was found in.
    pub repository: String,
    /// The secret.
    pub secret: Secret,
    /// The identifier that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// Whether somebody asked its issuer if it still works.
    #[serde(default)]
    pub verification: Verification,
    /// Every place.
    pub occurrences: Vec<Occurrence>,
    /// Places that are counted only.
    pub more_occurrences: u64,
    /// Whether it counts, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
}

/// Whether a credential still works. layersift never asks; the field is for whoever does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// What is known.
    pub state: VerificationState,
}

/// What is known of whether a credential works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerificationState {
    /// Its issuer accepts it.
    Active,
    /// Its issuer refuses it.
    Inactive,
    /// Nobody asked.
    #[default]
    NotAttempted,
    /// Its issuer was asked and did not say.
    Unknown,
}

/// A secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// A few characters from both ends, and its length.
    pub redacted: String,
    /// Its length in bytes.
    pub length: u64,
    /// Its bytes, where the report shows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain: Option<Lossless>,
}

/// One place where a credential stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The image, by its place in [`Report::images`].
    pub image: usize,
    /// Where in it.
    pub origin: Origin,
    /// The way from there to the content it stands in, the outermost step first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<Link>,
    /// What became of it.
    pub status: Status,
    /// Where exactly.
    pub location: Location,
    /// The other halves of the credential.
    pub companions: Vec<Companion>,
    /// The lines around it, redacted.
    pub context: Vec<Line>,
    /// Confidence of this occurrence.
    pub confidence: Confidence,
    /// What the image knows of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FileClass>,
    /// Whether the bytes it stands in were verified.
    pub integrity: Integrity,
    /// The instruction that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<Instruction>,
}

/// What the image knows of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileClass {
    /// `application`, `package` or `runtime`.
    pub kind: String,
    /// `documentation`, `lock-file`, `package-database` or `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// The package it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// The class for a person, escaped.
    pub reason: String,
}

/// A package, and how well its claim to a file stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// `apk`, `dpkg`, `gem`, `go`, `maven`, `npm` or `python`.
    pub system: String,
    /// Its name, escaped.
    pub name: String,
    /// Its version, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it names an open licence.
    #[serde(default)]
    pub open_licence: bool,
    /// `compiled`, `local`, `modified`, `uncompared`, `unhashed` or `unmodified`.
    pub state: String,
}

impl FileClass {
    /// Whether there is more to say of the file than that it is one.
    pub fn is_remarkable(&self) -> bool {
        self.area.is_some() || self.kind != "application"
    }
}

impl From<&finding::FileClass> for FileClass {
    fn from(class: &finding::FileClass) -> Self {
        let package = match &class.tree {
            finding::Tree::Package { package, state } => Some(Package {
                system: package.system.name().to_owned(),
                name: package.name.clone(),
                version: package.version.clone(),
                open_licence: package.is_open,
                state: state.name().to_owned(),
            }),
            finding::Tree::Application | finding::Tree::Runtime { .. } => None,
        };
        Self {
            kind: class.kind().to_owned(),
            area: class.area.name().map(str::to_owned),
            package,
            reason: class.to_string(),
        }
    }
}

/// Another half of a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// The name of the part.
    pub part: String,
    /// Its value.
    pub secret: Secret,
    /// Where it is.
    pub origin: Origin,
    /// The way from there to the content it stands in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<Link>,
    /// Where exactly.
    pub location: Location,
}

/// One step into nested content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Link {
    /// A text that was decoded.
    Encoding {
        /// From what: `base64`, `utf-16le`, …
        name: String,
    },
    /// A member of an archive.
    Member {
        /// Its name as stored.
        path: Lossless,
    },
    /// A stream that was decompressed.
    Stream {
        /// From what: `gzip`, `xz`, …
        name: String,
    },
}

/// What part of an image an occurrence is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Origin {
    /// An in-toto statement.
    Attestation {
        /// The predicate type.
        predicate_type: String,
        /// The place in it.
        field: String,
    },
    /// A text of the configuration.
    Config {
        /// Its place.
        field: String,
        /// For history, the layer the step made.
        #[serde(skip_serializing_if = "Option::is_none")]
        layer: Option<usize>,
    },
    /// A file of a layer.
    File {
        /// The layer, from 1.
        layer: usize,
        /// Its path, without a leading slash.
        path: Lossless,
        /// Permission bits in octal.
        mode: String,
        /// Owner.
        uid: u64,
        /// Group.
        gid: u64,
        /// Modification time in seconds since the epoch.
        mtime: i64,
        /// Size in bytes.
        size: u64,
    },
    /// Bytes of a layer outside of any file's content.
    Layer {
        /// The layer, from 1.
        layer: usize,
        /// Which.
        region: String,
        /// The member it belongs to.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<Lossless>,
    },
    /// A text of a manifest, an index or a descriptor.
    Manifest {
        /// Its place.
        field: String,
    },
}

/// What became of an occurrence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Status {
    /// The file was removed by a later layer.
    Deleted {
        /// The layer.
        by: usize,
        /// `opaque`, `replaced-parent` or `whiteout`.
        how: Removal,
    },
    /// It stands in metadata that only documents.
    History,
    /// It stands in metadata that a container gets.
    Metadata,
    /// The file was replaced.
    Overwritten {
        /// The layer.
        by: usize,
    },
    /// A container sees it.
    Present,
    /// Not known, because a later layer could not be read.
    Unknown {
        /// The first layer that was not read.
        unread: usize,
    },
    /// Bytes that no runtime shows.
    Unlisted,
}

/// How a file was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// An opaque whiteout of a directory above it.
    Opaque,
    /// A directory above it was replaced by something else.
    ReplacedParent,
    /// A whiteout of the file or of a directory above it.
    Whiteout,
}

/// Where in a file or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The line, from 1, where lines have a meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column in bytes, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The column in UTF-16 code units, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column_utf16: Option<u64>,
    /// Length in bytes.
    pub length: u64,
    /// Offset of the first byte in the uncompressed layer, or in the text.
    pub offset: u64,
    /// Offset in the file.
    pub file_offset: u64,
}

/// One line of context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Its text, escaped and cut, secrets replaced.
    pub text: String,
    /// Whether the secret begins in it.
    pub here: bool,
}

/// The ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Decompressed bytes that arrived: scanned and skipped together.
    pub seen_bytes: u64,
    /// Those that were searched.
    pub scanned_bytes: u64,
    /// Those that were not.
    pub skipped_bytes: u64,
    /// Bytes that archives inside layers expanded to, searched besides.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expanded_bytes: u64,
    /// Whether every byte was read, verified and searched.
    pub complete: bool,
    /// What was not.
    pub skips: Vec<Skip>,
}

/// One thing that was not scanned as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// How bad.
    pub kind: SkipSort,
    /// The stable name of the reason.
    pub reason: String,
    /// Where, escaped.
    pub place: String,
    /// How many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The cause for a person, escaped.
    pub detail: String,
    /// The image, by its place in [`Report::images`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
}

/// How bad a skip is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SkipSort {
    /// Bytes of the image were not read or not verified.
    Incomplete,
    /// Something odd that lost no byte.
    Note,
    /// Nested content that was searched raw but could not be opened.
    Opaque,
}

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Distinct blobs read.
    pub blobs: u64,
    /// Bytes read as stored.
    pub stored_bytes: u64,
    /// Members of all distinct layers.
    pub entries: u64,
    /// Blobs of a stream that no chosen image uses.
    pub unused_blobs: u64,
    /// Findings of low confidence, shown or not.
    pub low_confidence: u64,
}

impl Report {
    /// The documented form of a report.
    pub fn new(report: &finding::Report, verdict: &policy::Verdict, reveal: Reveal) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            tool: Tool {
                name: "layersift".to_owned(),
                version: report.version.clone(),
                rule_set: report.rule_set.clone(),
                fingerprint_scheme: report.scheme,
            },
            secrets: match reveal {
                Reveal::Plain => Disclosure::Plain,
                Reveal::Redacted => Disclosure::Redacted,
            },
            verdict: Verdict {
                outcome: verdict.outcome().name().to_owned(),
                incomplete: verdict.incomplete,
                interrupted: report.interrupted,
                failing: verdict
                    .failing
                    .iter()
                    .filter_map(|index| report.findings.get(*index))
                    .map(|finding| finding.fingerprint.clone())
                    .collect(),
                min_confidence: verdict.min_confidence,
                min_severity: verdict.min_severity,
                left_out: verdict
                    .left_out
                    .iter()
                    .map(|left_out| LeftOut {
                        filter: left_out.filter.name().to_owned(),
                        findings: left_out.findings,
                    })
                    .collect(),
                occurrences_left_out: verdict.occurrences_left_out,
                remarks: verdict.remarks.iter().map(Remark::from).collect(),
                bases: verdict.bases.iter().map(Base::from).collect(),
                changes: (verdict.changes.as_ref()).map(|changes| Changes::new(changes, &verdict.judgements)),
                digests: verdict.digests.iter().map(Compared::from).collect(),
                carriers: verdict.carriers.iter().map(Carrier::from).collect(),
            },
            targets: report.targets.iter().map(Target::from).collect(),
            images: report.images.iter().map(Image::from).collect(),
            findings: report
                .findings
                .iter()
                .enumerate()
                .map(|(index, finding)| Finding {
                    judgement: verdict.judgements.get(index).map(Judgement::from),
                    ..Finding::new(finding, &report.images, reveal)
                })
                .collect(),
            suppressed: (verdict.suppressed.iter())
                .map(|suppressed| Suppressed::new(suppressed, &report.images, reveal))
                .collect(),
            coverage: Coverage::from(&report.coverage),
            counters: Counters {
                blobs: report.counters.blobs,
                stored_bytes: report.counters.stored_bytes,
                entries: report.counters.entries,
                unused_blobs: report.counters.unused_blobs,
                low_confidence: report.counters.low_confidence,
            },
        }
    }
}

impl Report {
    /// Whether all of the targets was read and verified, whatever the policy named besides that could not be.
    pub fn is_scanned(&self) -> bool {
        let is_failed = |layer: &Layer| layer.integrity == Integrity::Failed;
        let is_whole = |image: &Image| image.complete && !image.layers.iter().any(is_failed);
        let is_missing = |skip: &Skip| skip.kind == SkipSort::Incomplete;
        !self.verdict.interrupted
            && self.targets.iter().all(|target| target.failure.is_none())
            && self.images.iter().all(is_whole)
            && !self.coverage.skips.iter().any(is_missing)
    }

    /// Whether the run is incomplete for what the policy named alone.
    pub fn lacks_only_what_the_policy_names(&self) -> bool {
        let mut remarks = self.verdict.remarks.iter();
        self.is_scanned() && remarks.any(|remark| remark.weight == policy::Weight::Incomplete.name())
    }

    /// Takes the plain secrets out.
    pub fn redact(&mut self) {
        self.secrets = Disclosure::Redacted;
        let suppressed = self
            .suppressed
            .iter_mut()
            .map(|suppressed| &mut suppressed.finding);
        for finding in self.findings.iter_mut().chain(suppressed) {
            finding.secret.plain = None;
            let companions = finding.occurrences.iter_mut().flat_map(|o| &mut o.companions);
            companions.for_each(|companion| companion.secret.plain = None);
        }
    }
}

impl From<&finding::TargetSummary> for Target {
    fn from(target: &finding::TargetSummary) -> Self {
        Self {
            name: target.name.clone(),
            source: target.source.clone(),
            repository: target.repository.clone(),
            digest: target.digest.clone(),
            index: target.index.clone(),
            failure: target.failure.clone(),
            hint: target.hint.clone(),
            not_chosen: target.not_chosen.clone(),
        }
    }
}

impl From<&finding::ImageSummary> for Image {
    fn from(image: &finding::ImageSummary) -> Self {
        Self {
            target: image.target,
            names: image.names.clone(),
            platform: image.platform.clone(),
            manifest: image.manifest.clone(),
            image_id: image.image_id.clone(),
            artifact_type: image.artifact_type.clone(),
            created: image.created.clone(),
            complete: image.complete,
            dockerfile: image.dockerfile.as_ref().map(|dockerfile| Dockerfile {
                path: dockerfile.path.clone(),
                mapping: dockerfile.mapping.name().to_owned(),
                note: dockerfile.note.clone(),
            }),
            layers: image
                .layers
                .iter()
                .map(|layer| Layer::new(layer, image.dockerfile.as_ref()))
                .collect(),
        }
    }
}

impl Layer {
    fn new(layer: &finding::LayerSummary, dockerfile: Option<&finding::Dockerfile>) -> Self {
        Self {
            ordinal: layer.ordinal,
            digest: layer.digest.clone(),
            diff_id: layer.diff_id.clone(),
            compression: layer.compression.clone(),
            stored_bytes: layer.stored_bytes,
            decoded_bytes: layer.decoded_bytes,
            entries: layer.entries,
            created_by: layer.created_by.clone(),
            created: layer.created.clone(),
            instruction: Instruction::new(dockerfile, layer.made_by),
            integrity: layer.verification.into(),
            findings: layer.findings.clone(),
            hides: layer.hides.clone(),
        }
    }
}

impl From<finding::Verification> for Integrity {
    fn from(verification: finding::Verification) -> Self {
        match verification {
            finding::Verification::Failed => Self::Failed,
            finding::Verification::Unverified => Self::Unverified,
            finding::Verification::Verified => Self::Verified,
        }
    }
}

impl Finding {
    /// The documented form of a finding.
    pub fn new(finding: &finding::Finding, images: &[finding::ImageSummary], reveal: Reveal) -> Self {
        Self {
            fingerprint: finding.fingerprint.clone(),
            rule: finding.rule.clone(),
            title: finding.title.clone(),
            severity: finding.severity,
            confidence: finding.confidence,
            evidence: finding.evidence.clone(),
            repository: finding.repository.clone(),
            secret: Secret::new(&finding.secret, reveal),
            identifier: finding.identifier.clone(),
            verification: Verification::default(),
            occurrences: finding
                .occurrences
                .iter()
                .map(|occurrence| {
                    let image = images.get(occurrence.image);
                    Occurrence::new(
                        occurrence,
                        image.and_then(|image| image.dockerfile.as_ref()),
                        reveal,
                    )
                })
                .collect(),
            more_occurrences: finding.more_occurrences,
            judgement: None,
        }
    }
}

impl Secret {
    fn new(secret: &finding::Secret, reveal: Reveal) -> Self {
        Self {
            redacted: secret.redacted(),
            length: secret.length(),
            plain: match reveal {
                Reveal::Plain => secret.known().map(Lossless::from),
                Reveal::Redacted => None,
            },
        }
    }

    /// What a report for people shows, on one line.
    pub fn shown(&self) -> String {
        match &self.plain {
            Some(plain) => plain.escaped(),
            None => self.redacted.clone(),
        }
    }
}

impl Occurrence {
    /// The documented form of an occurrence.
    pub fn new(
        occurrence: &finding::Occurrence,
        dockerfile: Option<&finding::Dockerfile>,
        reveal: Reveal,
    ) -> Self {
        Self {
            image: occurrence.image,
            origin: Origin::from(&occurrence.origin),
            within: links(&occurrence.within),
            status: Status::from(&occurrence.status),
            location: Location::from(&occurrence.location),
            companions: occurrence
                .companions
                .iter()
                .map(|companion| Companion {
                    part: companion.part.clone(),
                    secret: Secret::new(&companion.secret, reveal),
                    origin: Origin::from(&companion.origin),
                    within: links(&companion.within),
                    location: Location::from(&companion.location),
                })
                .collect(),
            context: occurrence
                .context
                .iter()
                .map(|line| Line {
                    number: line.number,
                    text: line.text.clone(),
                    here: line.here,
                })
                .collect(),
            confidence: occurrence.confidence,
            class: occurrence.class.as_ref().map(FileClass::from),
            integrity: occurrence.verification.into(),
            instruction: Instruction::new(dockerfile, occurrence.made_by),
        }
    }
}

/// Whether a count need not be told: archives inside layers are no matter of course.
pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn links(chain: &finding::Chain) -> Vec<Link> {
    let links = chain.links().iter();
    links
        .map(|link| match link {
            finding::Link::Encoding(name) => Link::Encoding {
                name: (*name).to_owned(),
            },
            finding::Link::Member(path) => Link::Member { path: path.clone() },
            finding::Link::Stream(name) => Link::Stream {
                name: (*name).to_owned(),
            },
        })
        .collect()
}

impl Occurrence {
    /// A name for people: the path or the field, and the way into it; escaped.
    pub fn place(&self) -> String {
        format!("{}{}", self.origin.place(), chained(&self.within))
    }
}

impl Companion {
    /// A name for people, as of an occurrence.
    pub fn place(&self) -> String {
        format!("{}{}", self.origin.place(), chained(&self.within))
    }
}

/// A chain as it stands behind a path: `!/BOOT-INF/x`, `!(gzip)!/etc/key`; escaped.
fn chained(links: &[Link]) -> String {
    let links = links.iter();
    links
        .map(|link| match link {
            Link::Encoding { name } | Link::Stream { name } => {
                format!("!({})", crate::text::escape(name.as_bytes()))
            }
            Link::Member { path } => format!("!/{}", path.escaped()),
        })
        .collect()
}

impl From<&finding::Origin> for Origin {
    fn from(origin: &finding::Origin) -> Self {
        match origin {
            finding::Origin::File { layer, path, entry } => Self::File {
                layer: *layer,
                path: path.clone(),
                mode: format!("{:04o}", entry.mode),
                uid: entry.uid,
                gid: entry.gid,
                mtime: entry.mtime,
                size: entry.size,
            },
            finding::Origin::Layer { layer, region, path } => Self::Layer {
                layer: *layer,
                region: (*region).to_owned(),
                path: path.clone(),
            },
            finding::Origin::Config { field, layer } => Self::Config {
                field: field.clone(),
                layer: *layer,
            },
            finding::Origin::Manifest { field } => Self::Manifest { field: field.clone() },
            finding::Origin::Attestation {
                predicate_type,
                field,
            } => Self::Attestation {
                predicate_type: predicate_type.clone(),
                field: field.clone(),
            },
        }
    }
}

impl Origin {
    /// The layer it is in, or whose history it is.
    pub fn layer(&self) -> Option<usize> {
        match self {
            Self::File { layer, .. } | Self::Layer { layer, .. } => Some(*layer),
            Self::Config { layer, .. } => *layer,
            Self::Manifest { .. } | Self::Attestation { .. } => None,
        }
    }

    /// A name for people: the path, or the field; escaped.
    pub fn place(&self) -> String {
        let escape = |text: &str| crate::text::escape(text.as_bytes());
        match self {
            Self::File { path, .. } => path.escaped(),
            Self::Layer { region, path, .. } => match path {
                Some(path) => format!("{} ({})", path.escaped(), escape(region)),
                None => escape(region),
            },
            Self::Config { field, .. } | Self::Manifest { field } => escape(field),
            Self::Attestation { field, .. } => format!("attestation {}", escape(field)),
        }
    }
}

impl From<&finding::Status> for Status {
    fn from(status: &finding::Status) -> Self {
        match status {
            finding::Status::Present => Self::Present,
            finding::Status::Overwritten { by } => Self::Overwritten { by: *by },
            finding::Status::Deleted { by, how } => Self::Deleted {
                by: *by,
                how: match how {
                    DeletedBy::Opaque => Removal::Opaque,
                    DeletedBy::ReplacedParent => Removal::ReplacedParent,
                    DeletedBy::Whiteout => Removal::Whiteout,
                },
            },
            finding::Status::Metadata(MetadataUse::Effective) => Self::Metadata,
            finding::Status::Metadata(MetadataUse::History) => Self::History,
            finding::Status::Unlisted => Self::Unlisted,
            finding::Status::Unknown { unread } => Self::Unknown { unread: *unread },
        }
    }
}

impl Status {
    /// The layer that hid it, where one did.
    pub fn hidden_by(&self) -> Option<usize> {
        match self {
            Self::Overwritten { by } | Self::Deleted { by, .. } => Some(*by),
            _ => None,
        }
    }
}

impl From<&finding::Location> for Location {
    fn from(location: &finding::Location) -> Self {
        let known = |number: u64| (location.line > 0).then_some(number);
        Self {
            line: known(location.line),
            column: known(location.column),
            column_utf16: known(location.column_utf16),
            length: location.length,
            offset: location.offset,
            file_offset: location.file_offset,
        }
    }
}

impl From<&finding::Coverage> for Coverage {
    fn from(coverage: &finding::Coverage) -> Self {
        Self {
            seen_bytes: coverage.seen_bytes,
            scanned_bytes: coverage.scanned_bytes,
            skipped_bytes: coverage.skipped_bytes,
            expanded_bytes: coverage.expanded_bytes,
            complete: coverage.is_complete(),
            skips: coverage.skips.iter().map(Skip::from).collect(),
        }
    }
}

impl From<&finding::Skip> for Skip {
    fn from(skip: &finding::Skip) -> Self {
        Self {
            kind: match skip.kind {
                SkipKind::Incomplete => SkipSort::Incomplete,
                SkipKind::Note => SkipSort::Note,
                SkipKind::Opaque => SkipSort::Opaque,
            },
            reason: skip.reason.to_owned(),
            place: skip.place.clone(),
            bytes: skip.bytes,
            detail: skip.detail.clone(),
            image: skip.image,
        }
    }
}
