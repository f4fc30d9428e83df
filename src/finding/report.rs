//! The result of a run as plain values, in an order that depends on the images alone.

use serde::{Deserialize, Serialize};

use crate::oci::{BaseClaim, DiffId, Digest, ImageId, Platform};
use crate::rules::{Confidence, Evidence, RuleId, Severity};
use crate::text::chain::Chain;
use crate::text::name::Name;
use crate::text::{Location, Lossless};

use super::{BuildFacts, Coverage, Dockerfile, FileClass, Fingerprint, MadeBy, Scheme, Secret, Status};

/// Everything a run found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// The version of layersift.
    pub version: String,
    /// The hash of the rules in force.
    pub rule_set: String,
    /// How fingerprints were made; reports of different schemes cannot be compared.
    pub scheme: Scheme,
    /// The targets in the order of the command line.
    pub targets: Vec<TargetSummary>,
    /// The images of all targets.
    pub images: Vec<ImageSummary>,
    /// The findings, most severe first, then by rule, place and fingerprint.
    pub findings: Vec<Finding>,
    /// The ledger.
    pub coverage: Coverage,
    /// Counts.
    pub counters: Counters,
    /// Whether the run was ended before its time, by a signal or a time limit.
    pub interrupted: bool,
}

/// One target of the command line.
#[derive(Clone, Debug)]
pub struct TargetSummary {
    /// As given, userinfo and signatures removed, escaped.
    pub name: String,
    /// Which source read it: `registry`, `docker-daemon`, `podman`, `docker-archive`, `oci-layout`,
    /// `oci-archive`, `stdin`.
    pub source: String,
    /// `registry/repository`, or a name made from the image's own; what fingerprints are bound to.
    pub repository: String,
    /// The manifest or index the name pointed at.
    pub digest: Option<Digest>,
    /// The index, where it is one.
    pub index: Option<Digest>,
    /// Why it could not be resolved at all; then it has no image.
    pub failure: Option<String>,
    /// What to do about the failure, where there is something.
    pub hint: Option<String>,
    /// Platforms that were not chosen.
    pub not_chosen: Vec<Platform>,
}

/// One image of one platform, or one artifact.
#[derive(Clone, Debug)]
pub struct ImageSummary {
    /// The target, by its place in [`Report::targets`].
    pub target: usize,
    /// Names the source holds it under.
    pub names: Vec<String>,
    /// The platform.
    pub platform: Option<Platform>,
    /// The digest of its manifest.
    pub manifest: Option<Digest>,
    /// The digest of its configuration.
    pub image_id: Option<ImageId>,
    /// What it is, where it is no image.
    pub artifact_type: Option<String>,
    /// When it was made, as it says.
    pub created: Option<String>,
    /// The images it names as its base. Claims, not proof.
    pub base_claims: Vec<BaseClaim>,
    /// The files that no container shows, by their layer and the one that hides them; `None` where nobody asked.
    pub hidden: Option<Vec<HiddenFiles>>,
    /// Its layers, base first.
    pub layers: Vec<LayerSummary>,
    /// What the image says of how it was built. No report shows it.
    pub build: BuildFacts,
    /// The Dockerfile its instructions stand in, where one is known; see [`crate::dockerfile`].
    pub dockerfile: Option<Dockerfile>,
    /// Whether everything of it was read, verified and searched.
    pub complete: bool,
}

/// Files of one layer that another one deletes or overwrites, or a later member of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenFiles {
    /// The layer that has them.
    pub layer: usize,
    /// The layer that hides them.
    pub by: usize,
    /// How many.
    pub files: u64,
    /// The path of one of them.
    pub example: Lossless,
}

/// One layer of an image.
#[derive(Clone, Debug)]
pub struct LayerSummary {
    /// From 1 at the base.
    pub ordinal: usize,
    /// The digest of the blob as it was stored and read.
    pub digest: Option<Digest>,
    /// The DiffID as computed.
    pub diff_id: Option<DiffId>,
    /// `gzip`, `zstd`, `none`, …
    pub compression: String,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Bytes decompressed.
    pub decoded_bytes: u64,
    /// Members of the archive.
    pub entries: u64,
    /// The instruction that made it, where the history says so.
    pub created_by: Option<String>,
    /// When.
    pub created: Option<String>,
    /// The instruction of the image's [`Dockerfile`] that made it.
    pub made_by: Option<MadeBy>,
    /// Whether digest, size and DiffID are what the documents say.
    pub verification: Verification,
    /// The findings with an occurrence in it.
    pub findings: Vec<Fingerprint>,
    /// The findings with an occurrence in an earlier layer that this one deletes or overwrites.
    pub hides: Vec<Fingerprint>,
}

/// Whether content is what it was said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verification {
    /// Something does not match: findings are kept, the scan is incomplete.
    Failed,
    /// Nothing was there to compare with, or it was not read to its end.
    Unverified,
    /// Everything the documents claim is true.
    Verified,
}

/// One leaked credential, wherever it occurs.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its name across rebuilds.
    pub fingerprint: Fingerprint,
    /// The names it had while its rule was called otherwise.
    pub former_fingerprints: Vec<Fingerprint>,
    /// Which rule.
    pub rule: RuleId,
    /// The rule's title.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// How sure: the highest of its occurrences.
    pub confidence: Confidence,
    /// Why, of all occurrences, sorted.
    pub evidence: Vec<Evidence>,
    /// The repository it was found in.
    pub repository: String,
    /// The secret.
    pub secret: Secret,
    /// The identifier that goes with it (an access key id), which is not secret by itself.
    pub identifier: Option<String>,
    /// Every place, sorted: by image, layer, path, offset.
    pub occurrences: Vec<Occurrence>,
    /// Occurrences beyond [`crate::limits::Limits::findings_per_file`], which are counted only.
    pub more_occurrences: u64,
}

impl Finding {
    /// Whether this is its name, or was.
    pub fn is_called(&self, fingerprint: &Fingerprint) -> bool {
        self.fingerprint == *fingerprint || self.former_fingerprints.contains(fingerprint)
    }
}

/// One place where a credential stands.
#[derive(Clone, Debug)]
pub struct Occurrence {
    /// The image, by its place in [`Report::images`].
    pub image: usize,
    /// Where in it.
    pub origin: Origin,
    /// The way from there to the content it stands in; empty for what stands there itself.
    pub within: Chain,
    /// What became of it.
    pub status: Status,
    /// Where exactly; in nested content, in its innermost member or stream.
    pub location: Location,
    /// The other halves of the credential, where it has several, and where they stand.
    pub companions: Vec<Companion>,
    /// The lines around it, redacted.
    pub context: Vec<Line>,
    /// Confidence of this occurrence, lowered for its class where that is due.
    pub confidence: Confidence,
    /// What the image knows of the file it stands in, where it stands in one.
    pub class: Option<FileClass>,
    /// Whether the bytes it stands in were verified.
    pub verification: Verification,
    /// The instruction of the image's [`Dockerfile`] that brought it. Where several instructions made one layer, it may be
    /// known here though not for the layer.
    pub made_by: Option<MadeBy>,
}

/// Another half of a credential.
#[derive(Clone, Debug)]
pub struct Companion {
    /// The name of the part: `id`, `secret`, `session-token`.
    pub part: String,
    /// Its value.
    pub secret: Secret,
    /// Where it is.
    pub origin: Origin,
    /// The way from there to the content it stands in.
    pub within: Chain,
    /// Where exactly.
    pub location: Location,
}

/// What part of an image an occurrence is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// A file of a layer.
    File {
        /// The layer, from 1.
        layer: usize,
        /// Its path, normalised, without a leading slash.
        path: Lossless,
        /// What the archive says of the file.
        entry: EntryFacts,
    },
    /// Bytes of a layer outside of any file's content.
    Layer {
        /// The layer, from 1.
        layer: usize,
        /// `tar-header`, `tar-extension`, `tar-padding`, `tar-tail`, `gzip-comment`, `skippable-frame`, `blob`, …
        #[serde(with = "crate::text::name")]
        region: Name,
        /// The member it belongs to, where there is one.
        path: Option<Lossless>,
    },
    /// A text of the configuration: `config.Env`, `history[3].created_by`.
    Config {
        /// Its place.
        field: String,
        /// For history, the layer the step made.
        layer: Option<usize>,
    },
    /// A text of a manifest, an index or a descriptor.
    Manifest {
        /// Its place: `manifest.annotations`, `index.manifests[0].annotations`.
        field: String,
    },
    /// An in-toto statement about the image.
    Attestation {
        /// The predicate type.
        predicate_type: String,
        /// The place in it, as a JSON path, or `Dockerfile` for the embedded one.
        field: String,
    },
}

impl Report {
    /// The instruction that brought an occurrence, with the file it is in.
    pub fn added_by(&self, occurrence: &Occurrence) -> Option<(&Dockerfile, MadeBy)> {
        let dockerfile = self.images.get(occurrence.image)?.dockerfile.as_ref()?;
        Some((dockerfile, occurrence.made_by?))
    }

    /// The instruction that deleted or replaced an occurrence, with the file it is in.
    pub fn hidden_by(&self, occurrence: &Occurrence) -> Option<(&Dockerfile, MadeBy)> {
        let image = self.images.get(occurrence.image)?;
        let layer = image.layers.get(occurrence.status.hidden_by()?.checked_sub(1)?)?;
        Some((image.dockerfile.as_ref()?, layer.made_by?))
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
}

/// What the archive says of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryFacts {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Modification time in seconds since the epoch.
    pub mtime: i64,
    /// Size in bytes.
    pub size: u64,
    /// The first 128 bits of the SHA-256 of its content, where it was hashed: see
    /// [`crate::limits::Limits::compared_file_bytes`].
    pub sha256: Option<[u8; 16]>,
}

/// One line of context, secrets replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Its text, escaped and cut.
    pub text: String,
    /// Whether the secret begins in it.
    pub here: bool,
}

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Distinct blobs read.
    pub blobs: u64,
    /// Bytes read as stored.
    pub stored_bytes: u64,
    /// Members of all distinct layers.
    pub entries: u64,
    /// Blobs of a stream that no chosen image uses.
    pub unused_blobs: u64,
    /// Findings below the confidence that is shown; they are in the report all the same.
    pub low_confidence: u64,
}
