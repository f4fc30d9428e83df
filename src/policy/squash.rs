//! Whether content that an image is said to have lost is out of reach: what its layers still hold, and which blobs must not be
//! found anywhere else. Says nothing of what a registry keeps without a tag, which no registry lists.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Finding, Fingerprint, Origin, Report};
use crate::oci::{Digest, Platform};

use super::base::ProvedBase;
use super::{Remark, RemarkKind, Suppressed, Verdict, Weight};

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

/// What speaks against an image's being squashed: more than one layer above the base that was proved, and what one layer hides
/// of another.
pub(super) fn unsquashed(report: &Report, suppressed: &[Suppressed], bases: &[ProvedBase]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for (index, image) in report.images.iter().enumerate() {
        if image.artifact_type.is_some() {
            continue;
        }
        let of = match &image.platform {
            Some(platform) if report.images.len() > 1 => format!(" of {platform}"),
            _ => String::new(),
        };
        let inherited = bases
            .iter()
            .find(|base| base.image == index)
            .map_or(0, |base| base.layers);
        let own = image.layers.len().saturating_sub(inherited);
        let above = match bases.iter().find(|base| base.image == index) {
            Some(base) => format!("above its base `{}`", base.name),
            None => "and no base was proved".to_owned(),
        };
        let hidden: BTreeSet<String> = (report.findings.iter())
            .chain(suppressed.iter().map(|suppressed| &suppressed.finding))
            .flat_map(|finding| &finding.occurrences)
            .filter(|occurrence| occurrence.image == index)
            .filter_map(|occurrence| {
                let layer = occurrence.origin.layer()?;
                let path = crate::text::escape(super::path_of(&occurrence.origin));
                let by = occurrence.status.hidden_by()?;
                Some(format!("`{path}` of layer {layer}, which layer {by} hides"))
            })
            .collect();
        let mut fails = |text: String| {
            remarks.push(Remark {
                weight: Weight::Fails,
                kind: RemarkKind::NotSquashed,
                text,
            });
        };
        if own > 1 {
            fails(format!(
                "the image{of} is not squashed: it has {own} layers, {above}; what one of them deletes can be had from \
                 the others"
            ));
        }
        for place in hidden.iter().take(MOST_PLACES) {
            fails(format!(
                "earlier content of the image{of} is within reach: {place}"
            ));
        }
        if hidden.len() > MOST_PLACES {
            let more = hidden.len() - MOST_PLACES;
            fails(format!(
                "earlier content of the image{of} is within reach: {more} more places"
            ));
        }
        if own <= 1 && hidden.is_empty() {
            remarks.push(Remark {
                weight: Weight::Note,
                kind: RemarkKind::Squashed,
                text: format!("the image{of} is squashed as it was said to be: it has {own} layer, {above}"),
            });
        }
    }
    remarks
}

/// Places that are told each.
const MOST_PLACES: usize = 5;
