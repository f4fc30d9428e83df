//! Base images by proof: which layers of an image are those of an image somebody named, one after the other from the first.
//! Guesses nothing by history or age, and reads nothing: it compares what was read.

use crate::finding::{Finding, ImageSummary, Occurrence, Origin, Report, Secret, Verification};
use crate::oci::{ClaimedBy, ConfigField, DiffId, Digest, Image, ImageId, Platform};
use crate::text::conceal::stands_in;

use super::{Remark, RemarkKind, Weight};

/// An image that was named as a base, and what became of reading it.
#[derive(Clone, Debug)]
pub struct NamedBase {
    /// Its name; escaped.
    pub name: String,
    /// Who named it.
    pub by: NamedBy,
    /// Its images, one for each platform, or why they could not be had; escaped.
    pub images: Result<Vec<BaseImage>, String>,
}

/// Who named a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamedBy {
    /// The command line or the policy.
    User,
    /// The annotations of the image; counts only because the policy trusts the repository.
    Annotation,
    /// A provenance of the image; the same holds.
    Provenance,
}

/// What is compared of one image of a base. Its layers need not be read: they are those of the image, or it is no base.
#[derive(Clone, Debug)]
pub struct BaseImage {
    /// The platform.
    pub platform: Option<Platform>,
    /// The digest of its manifest.
    pub manifest: Option<Digest>,
    /// The digest of its configuration.
    pub image_id: Option<ImageId>,
    /// For each layer, its blob and its content, as its documents say.
    pub layers: Vec<(Option<Digest>, Option<DiffId>)>,
    /// The texts of its configuration.
    pub texts: Vec<ConfigField>,
}

/// A base that was proved for an image.
#[derive(Clone, Debug)]
pub struct ProvedBase {
    /// The image, by its place in [`Report::images`].
    pub image: usize,
    /// The base's name; escaped.
    pub name: String,
    /// Who named it.
    pub named_by: NamedBy,
    /// The digest of its manifest.
    pub manifest: Option<Digest>,
    /// How many layers, from the first, are its own.
    pub layers: usize,
    /// What they were recognised by.
    pub by: Proof,
    /// The texts of its configuration.
    texts: Vec<ConfigField>,
}

/// What layers were recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    /// The content of at least one is the same, stored in another way.
    DiffId,
    /// Every one is the same blob.
    LayerDigest,
}

/// Why an image is not the base of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// It has no layers.
    #[error("it has no layers")]
    Empty,
    /// It is the image itself.
    #[error("it is the image itself")]
    Itself,
    /// It has more layers.
    #[error("it has {base} layers, and the image {image}")]
    Longer {
        /// Its number of layers.
        base: usize,
        /// That of the image.
        image: usize,
    },
    /// A layer is another one.
    #[error("its layer {0} is not layer {0} of the image")]
    Other(usize),
    /// A layer of the image was not verified, so nobody knows what it is.
    #[error("layer {0} of the image could not be verified")]
    Unverified(usize),
}

impl From<ClaimedBy> for NamedBy {
    fn from(by: ClaimedBy) -> Self {
        match by {
            ClaimedBy::Annotation => Self::Annotation,
            ClaimedBy::Provenance => Self::Provenance,
        }
    }
}

impl From<&Image> for BaseImage {
    fn from(image: &Image) -> Self {
        Self {
            platform: image.platform.clone(),
            manifest: image.manifest.clone(),
            image_id: image.image_id.clone(),
            layers: image
                .layers
                .iter()
                .map(|layer| {
                    let digest = layer
                        .descriptor
                        .as_ref()
                        .map(|descriptor| descriptor.digest.clone());
                    (digest, layer.diff_id.clone())
                })
                .collect(),
            texts: image.config.fields.clone(),
        }
    }
}

/// Proves that `base` is the beginning of `image`: every layer of it is the layer of the same place, verified, by the digest of
/// the blob or by its DiffID.
///
/// *Errors*: the first thing that speaks against it.
pub fn prove(image: &ImageSummary, base: &BaseImage) -> Result<Proof, Unproved> {
    if base.layers.is_empty() {
        return Err(Unproved::Empty);
    }
    let is_same_document = base.manifest.is_some() && base.manifest == image.manifest
        || base.image_id.is_some() && base.image_id == image.image_id;
    if is_same_document {
        return Err(Unproved::Itself);
    }
    if base.layers.len() > image.layers.len() {
        return Err(Unproved::Longer {
            base: base.layers.len(),
            image: image.layers.len(),
        });
    }
    let mut by = Proof::LayerDigest;
    for ((digest, diff_id), layer) in base.layers.iter().zip(&image.layers) {
        let is_blob = digest.is_some() && *digest == layer.digest;
        let is_content = diff_id.is_some() && *diff_id == layer.diff_id;
        if !is_blob && !is_content {
            return Err(Unproved::Other(layer.ordinal));
        }
        if layer.verification != Verification::Verified {
            return Err(Unproved::Unverified(layer.ordinal));
        }
        if !is_blob {
            by = Proof::DiffId;
        }
    }
    Ok(by)
}

/// The base of each image, the one with the most layers where several are proved; and what is to be said of the others.
pub(super) fn prove_all(report: &Report, named: &[NamedBase], remarks: &mut Vec<Remark>) -> Vec<ProvedBase> {
    let mut proved: Vec<ProvedBase> = Vec::new();
    for base in named {
        let images = match &base.images {
            Ok(images) => images,
            Err(why) => {
                let asked_for = base.by == NamedBy::User;
                remarks.push(Remark {
                    weight: if asked_for {
                        Weight::Incomplete
                    } else {
                        Weight::Note
                    },
                    kind: RemarkKind::BaseUnreadable,
                    text: format!("the base image `{}` could not be read: {why}", base.name),
                });
                continue;
            }
        };
        for (index, image) in report.images.iter().enumerate() {
            if image.artifact_type.is_some() {
                continue;
            }
            let same_platform = images.iter().filter(|base| {
                base.platform.is_none() || image.platform.is_none() || base.platform == image.platform
            });
            let tried: Vec<(&BaseImage, Result<Proof, Unproved>)> =
                same_platform.map(|base| (base, prove(image, base))).collect();
            let best = tried
                .iter()
                .filter_map(|(base, proof)| Some((*base, proof.as_ref().ok().copied()?)))
                .max_by_key(|(base, _)| base.layers.len());
            let Some((found, by)) = best else {
                let why = tried.iter().find_map(|(_, proof)| proof.as_ref().err());
                let why = why.map_or_else(
                    || "it has no image of this platform".to_owned(),
                    ToString::to_string,
                );
                let of = match &image.platform {
                    Some(platform) if report.images.len() > 1 => format!(" of {platform}"),
                    _ => String::new(),
                };
                remarks.push(Remark {
                    weight: Weight::Note,
                    kind: RemarkKind::BaseNotProved,
                    text: format!(
                        "`{}` is not the base image{of}: {why}; all layers count as own",
                        base.name
                    ),
                });
                continue;
            };
            let found = ProvedBase {
                image: index,
                name: base.name.clone(),
                named_by: base.by,
                manifest: found.manifest.clone(),
                layers: found.layers.len(),
                by,
                texts: found.texts.clone(),
            };
            match proved.iter_mut().find(|other| other.image == index) {
                Some(other) if other.layers >= found.layers => {}
                Some(other) => *other = found,
                None => proved.push(found),
            }
        }
    }
    // What was not proved of one name is of no interest where another name was.
    remarks.retain(|remark| remark.kind != RemarkKind::BaseNotProved || proved.len() < report.images.len());
    proved.sort_by_key(|base| base.image);
    proved
}

/// The base that all of a finding stands in, where there is one.
pub(super) fn inherited_from<'b>(finding: &Finding, bases: &'b [ProvedBase]) -> Option<&'b ProvedBase> {
    if finding.more_occurrences > 0 {
        return None;
    }
    let mut of = None;
    for occurrence in &finding.occurrences {
        let base = bases.iter().find(|base| base.image == occurrence.image)?;
        if !base.holds(finding, occurrence) {
            return None;
        }
        of = Some(base);
    }
    of
}

impl ProvedBase {
    /// Whether a place, and all that goes with it, is the base's.
    fn holds(&self, finding: &Finding, occurrence: &Occurrence) -> bool {
        self.holds_at(&occurrence.origin, &finding.secret)
            && occurrence
                .companions
                .iter()
                .all(|companion| self.holds_at(&companion.origin, &companion.secret))
    }

    fn holds_at(&self, origin: &Origin, secret: &Secret) -> bool {
        match origin {
            Origin::File { layer, .. } | Origin::Layer { layer, .. } => *layer <= self.layers,
            // The layers prove nothing about the configuration: the base's own must have the secret in the same field.
            Origin::Config { field, .. } => self.texts.iter().any(|text| {
                kind_of(&text.place) == kind_of(field) && stands_in(secret, text.text.as_bytes())
            }),
            Origin::Manifest { .. } | Origin::Attestation { .. } => false,
        }
    }
}

/// `history` of `history[3].created_by`: the number is another one in every image.
fn kind_of(place: &str) -> &str {
    place.split('[').next().unwrap_or(place)
}

impl NamedBy {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Annotation => "annotation",
            Self::Provenance => "provenance",
        }
    }
}

impl Proof {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::DiffId => "diff-id",
            Self::LayerDigest => "layer-digest",
        }
    }
}

/// Where a name in the image's own documents leads, before anybody is asked.
pub fn not_asked(name: &str) -> Remark {
    Remark {
        weight: Weight::Note,
        kind: RemarkKind::BaseNotAsked,
        text: format!(
            "the image names `{name}` as its base, which was not asked: an image could name anything. `--base` names it, \
             or `[base] trusted` in the policy"
        ),
    }
}
