//! Whether content that an image is said to have lost is out of reach: what its layers still hold, and which blobs must not be
//! found anywhere else. Says nothing of what a registry keeps without a tag, which no registry lists.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Finding, Fingerprint, Origin, Report};
use crate::oci::{Digest, Platform};

use super::base::ProvedBase;
use super::{Remark, RemarkKind, Verdict, Weight};

/// Another tag of the repository, or a manifest below it, that carries blobs which leak.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carrier {
    /// `registry/repository:tag`; escaped.
    pub reference: String,
    /// What the tag points at.
    pub digest: Digest,
    /// The manifest that lists the blobs, and its platform.
    pub manifest: Digest,
    /// The platform, where an index names it.
    pub platform: Option<Platform>,
    /// The blobs, sorted.
    pub blobs: Vec<Digest>,
}

/// The blobs that hold a finding: whoever has one of them has the secret.
pub fn blobs_of(report: &Report, finding: &Finding) -> BTreeSet<Digest> {
    let blob = |occurrence: &crate::finding::Occurrence| {
        let image = report.images.get(occurrence.image)?;
        match &occurrence.origin {
            Origin::File { layer, .. } | Origin::Layer { layer, .. } => {
                image.layers.get(layer.checked_sub(1)?)?.digest.clone()
            }
            Origin::Config { .. } => image.image_id.as_ref().map(|id| id.0.clone()),
            Origin::Manifest { .. } => image.manifest.clone(),
            Origin::Attestation { .. } => None,
        }
    };
    finding.occurrences.iter().filter_map(blob).collect()
}

/// Every blob that holds a finding of the report, or one that is fixed since the earlier image; with those findings.
pub fn leaking(report: &Report, verdict: &Verdict) -> BTreeMap<Digest, BTreeSet<Fingerprint>> {
    let mut leaking: BTreeMap<Digest, BTreeSet<Fingerprint>> = BTreeMap::new();
    for finding in &report.findings {
        for blob in blobs_of(report, finding) {
            leaking
                .entry(blob)
                .or_default()
                .insert(finding.fingerprint.clone());
        }
    }
    for gone in verdict.changes.iter().flat_map(|changes| &changes.fixed) {
        for blob in &gone.blobs {
            leaking
                .entry(blob.clone())
                .or_default()
                .insert(gone.fingerprint.clone());
        }
    }
    leaking
}

/// Whether earlier content of the images is out of reach: in the layers above the base that was proved, every file is one that a
/// container shows. Then layers hold no more than one would that they were squashed into.
pub(super) fn unsquashed(report: &Report, bases: &[ProvedBase]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for (index, image) in report.images.iter().enumerate() {
        let Some(hidden) = image.hidden.as_ref().filter(|_| image.artifact_type.is_none()) else {
            continue;
        };
        let of = match &image.platform {
            Some(platform) if report.images.len() > 1 => format!(" of {platform}"),
            _ => String::new(),
        };
        let base = bases.iter().find(|base| base.image == index);
        let inherited = base.map_or(0, |base| base.layers);
        let above = match base {
            Some(base) => format!("above its base `{}`", base.name),
            None => "with no base proved".to_owned(),
        };
        let own: Vec<_> = hidden.iter().filter(|files| files.layer > inherited).collect();
        for files in own.iter().take(MOST_PLACES) {
            let more = match files.files - 1 {
                0 => String::new(),
                more => format!(" and {more} more of layer {}", files.layer),
            };
            let by = if files.by == files.layer {
                "which a later member of its archive replaces".to_owned()
            } else {
                format!("hidden by layer {}", files.by)
            };
            remarks.push(Remark {
                weight: Weight::Fails,
                kind: RemarkKind::NotSquashed,
                text: format!(
                    "earlier content of the image{of} is within reach: layer {} still has `{}`{more}, {by}",
                    files.layer,
                    files.example.escaped()
                ),
            });
        }
        if own.len() > MOST_PLACES {
            let more = own.len() - MOST_PLACES;
            remarks.push(Remark {
                weight: Weight::Fails,
                kind: RemarkKind::NotSquashed,
                text: format!(
                    "earlier content of the image{of} is within reach: so have {more} more pairs of layers"
                ),
            });
        }
        if own.is_empty() {
            let layers = match image.layers.len().saturating_sub(inherited) {
                1 => "its one layer".to_owned(),
                count => format!("its {count} layers"),
            };
            remarks.push(Remark {
                weight: Weight::Note,
                kind: RemarkKind::Squashed,
                text: format!(
                    "earlier content of the image{of} is out of reach: every file of {layers}, {above}, is one that a \
                     container shows"
                ),
            });
        }
    }
    remarks
}

/// Places that are told each.
const MOST_PLACES: usize = 5;
