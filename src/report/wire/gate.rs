//! What a policy says of a run, in the documented form: why a finding counts, what was suppressed, bases, changes, digests.

use serde::{Deserialize, Serialize};

use crate::finding::{self, Fingerprint, Reveal};
use crate::oci::{Digest, Platform};
use crate::policy;
use crate::rules::{RuleId, Severity};

use super::Finding;

/// Whether a finding counts, and why or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Whether it fails the run.
    pub counts: bool,
    /// The reasons.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `thresholds`, `life`, `inherited`, `new`, `unchanged` or `ignore-expired`.
    pub kind: String,
    /// The reason for a person, escaped.
    pub text: String,
}

/// A finding that was ignored or known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// Who said so, and why.
    pub by: SuppressedBy,
    /// The finding.
    pub finding: Finding,
}

/// Why a finding was suppressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SuppressedBy {
    /// A baseline names it.
    Baseline {
        /// The file, escaped.
        file: String,
    },
    /// An entry of the policy covers it.
    Ignore {
        /// Where the entry stands: file and line, escaped.
        entry: String,
        /// Its reason.
        reason: String,
        /// Its owner.
        owner: String,
        /// The last day it holds.
        expires: String,
    },
}

/// Something the policy has to say besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// `fails`, `incomplete` or `note`.
    pub weight: String,
    /// Its name.
    pub kind: String,
    /// For a person, escaped.
    pub text: String,
}

/// A base image that was proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The image, by its place in [`super::Report::images`].
    pub image: usize,
    /// The base's name, escaped.
    pub name: String,
    /// `user`, `annotation` or `provenance`.
    pub named_by: String,
    /// The digest of its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// How many layers, from the first, are its own.
    pub layers: usize,
    /// `layer-digest` or `diff-id`.
    pub proof: String,
}

/// What became of the earlier image's findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The earlier image, escaped.
    pub since: String,
    /// What its name pointed at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Whether all of it was read.
    pub complete: bool,
    /// Whether the image was read to its end; if not, nothing is called fixed.
    pub certain: bool,
    /// Findings of the report that it did not have.
    pub new: u64,
    /// Findings of the report that it had.
    pub unchanged: u64,
    /// Its findings that are gone.
    pub fixed: Vec<Gone>,
}

/// A finding that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// Its rule.
    pub rule: RuleId,
    /// The rule's title.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// The first place it stood in, escaped.
    pub place: String,
    /// The blobs of the earlier image that carry it.
    pub blobs: Vec<Digest>,
}

/// A digest that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The target, by its place in [`super::Report::targets`].
    pub target: usize,
    /// What was expected.
    pub expected: Digest,
    /// Where it is said, escaped.
    pub place: String,
    /// `index`, `manifest` or `config`; absent where the target has no such digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// Another tag that carries blobs which leak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// `registry/repository:tag`, escaped.
    pub reference: String,
    /// What the tag points at.
    pub digest: Digest,
    /// The manifest that lists the blobs.
    pub manifest: Digest,
    /// Its platform, where an index names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The blobs.
    pub blobs: Vec<Digest>,
}

impl From<&policy::Judgement> for Judgement {
    fn from(judgement: &policy::Judgement) -> Self {
        let reason = |reason: &policy::Reason| Reason {
            kind: reason.kind.name().to_owned(),
            text: reason.text.clone(),
        };
        Self {
            counts: judgement.counts,
            reasons: judgement.reasons.iter().map(reason).collect(),
        }
    }
}

impl Judgement {
    /// Whether there is more to say than that the finding is at or above the thresholds.
    pub fn is_remarkable(&self) -> bool {
        !self.counts || self.reasons.iter().any(|reason| reason.kind != "thresholds")
    }

    /// Whether this is among the reasons.
    pub fn has(&self, kind: policy::ReasonKind) -> bool {
        self.reasons.iter().any(|reason| reason.kind == kind.name())
    }
}

impl Suppressed {
    /// The documented form of a suppressed finding.
    pub fn new(suppressed: &policy::Suppressed, images: &[finding::ImageSummary], reveal: Reveal) -> Self {
        Self {
            by: SuppressedBy::from(&suppressed.by),
            finding: Finding::new(&suppressed.finding, images, reveal),
        }
    }
}

impl From<&policy::SuppressedBy> for SuppressedBy {
    fn from(by: &policy::SuppressedBy) -> Self {
        match by {
            policy::SuppressedBy::Baseline { file } => SuppressedBy::Baseline { file: file.clone() },
            policy::SuppressedBy::Ignore {
                entry,
                reason,
                owner,
                expires,
            } => SuppressedBy::Ignore {
                entry: entry.clone(),
                reason: reason.clone(),
                owner: owner.clone(),
                expires: expires.to_string(),
            },
        }
    }
}

impl SuppressedBy {
    /// For a person, escaped.
    pub fn shown(&self) -> String {
        let escape = |text: &str| crate::text::escape(text.as_bytes());
        match self {
            Self::Baseline { file } => format!("known by the baseline `{}`", escape(file)),
            Self::Ignore {
                entry,
                reason,
                owner,
                expires,
            } => format!(
                "ignored until {} by {}: {} (`{}`)",
                escape(expires),
                escape(owner),
                escape(reason),
                escape(entry)
            ),
        }
    }
}

impl From<&policy::Remark> for Remark {
    fn from(remark: &policy::Remark) -> Self {
        Self {
            weight: remark.weight.name().to_owned(),
            kind: remark.kind.name().to_owned(),
            text: remark.text.clone(),
        }
    }
}

impl From<&policy::ProvedBase> for Base {
    fn from(base: &policy::ProvedBase) -> Self {
        Self {
            image: base.image,
            name: base.name.clone(),
            named_by: base.named_by.name().to_owned(),
            manifest: base.manifest.clone(),
            layers: base.layers,
            proof: base.by.name().to_owned(),
        }
    }
}

impl Changes {
    /// The documented form, with the counts of the judgements.
    pub fn new(changes: &policy::Changes, judgements: &[policy::Judgement]) -> Self {
        let counted = |kind: policy::ReasonKind| {
            let has =
                |judgement: &&policy::Judgement| judgement.reasons.iter().any(|reason| reason.kind == kind);
            judgements.iter().filter(has).count() as u64
        };
        let gone = |gone: &policy::since::Gone| Gone {
            fingerprint: gone.fingerprint.clone(),
            rule: gone.rule.clone(),
            title: gone.title.clone(),
            severity: gone.severity,
            place: gone.place.clone(),
            blobs: gone.blobs.clone(),
        };
        Self {
            since: changes.name.clone(),
            digest: changes.digest.clone(),
            complete: changes.complete,
            certain: changes.certain,
            new: counted(policy::ReasonKind::New),
            unchanged: counted(policy::ReasonKind::Unchanged),
            fixed: changes.fixed.iter().map(gone).collect(),
        }
    }
}

impl From<&policy::digests::Compared> for Compared {
    fn from(compared: &policy::digests::Compared) -> Self {
        Self {
            target: compared.target,
            expected: compared.expected.clone(),
            place: compared.place.clone(),
            of: compared.of.map(str::to_owned),
        }
    }
}

impl From<&policy::Carrier> for Carrier {
    fn from(carrier: &policy::Carrier) -> Self {
        Self {
            reference: carrier.reference.clone(),
            digest: carrier.digest.clone(),
            manifest: carrier.manifest.clone(),
            platform: carrier.platform.clone(),
            blobs: carrier.blobs.clone(),
        }
    }
}
