//! What is kept of an image besides its layers' records, and the report that both give together. Reads no source.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::finding::Report;
use crate::layer::stored::{StoredError, pack, unpack};
use crate::layer::{Claims, LayerReader, LayerRecord, Progress};
use crate::limits::Budget;
use crate::oci::{
    BlobKey, ConfigField, Descriptor, DiffId, Digest, History, Image, ImageConfig, ImageId, Layer, Platform,
};
use crate::source::{Problem, Resolved, SourceError};
use crate::text::conceal::{Concealer, LEAST_IN_TEXT};
use crate::text::name::Name;
use crate::text::secret::{Sealer, Secret};

use super::assemble::Assembler;
use super::gather::Gathered;
use super::metadata::{ImageTexts, Searched};
use super::{Scan, ScanError};

/// An image or an artifact of one manifest, without its secrets: what its documents say, what was found in their texts,
/// and which layers it has. *Cost*: a few kilobytes.
#[derive(Clone, Serialize, Deserialize)]
pub struct ImageRecord {
    manifest: Option<Digest>,
    platform: Option<Platform>,
    image_id: Option<ImageId>,
    artifact_type: Option<String>,
    created: Option<String>,
    history: Vec<History>,
    /// The layers, base first.
    pub layers: Vec<StoredLayer>,
    /// Labels that say where the image is from: `org.opencontainers.image.source`, `…authors`.
    pub labels: BTreeMap<String, String>,
    texts: ImageTexts,
    problems: Vec<StoredProblem>,
}

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLayer {
    /// The digest of its blob.
    pub digest: Digest,
    /// What the manifest says its size is.
    pub size: u64,
    /// What the manifest says it is.
    pub media_type: String,
    /// What the configuration says its uncompressed tar is.
    pub diff_id: Option<DiffId>,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredProblem {
    what: String,
    why: String,
    #[serde(with = "crate::text::name")]
    reason: Name,
}

/// An image whose records are at hand.
pub struct StoredImage {
    /// `registry/repository`.
    pub repository: String,
    /// `registry/repository:tag@digest`, or what else it is to be called.
    pub name: String,
    /// What is known of it.
    pub image: Arc<ImageRecord>,
    /// The records of its layers, by their digests, as far as they were read.
    pub layers: HashMap<Digest, Arc<LayerRecord>>,
    /// Why the others were not.
    pub unread: HashMap<Digest, String>,
}

/// Reads one layer.
pub type ReadLayer<'r> = dyn Fn(&mut (dyn Read + Send), Claims, &dyn Progress) -> LayerRecord + Sync + 'r;

/// Labels that name whom to ask about an image. *Source*: image-spec `annotations.md`.
const LABELS: [&str; 4] = [
    "org.opencontainers.image.authors",
    "org.opencontainers.image.source",
    "org.opencontainers.image.vendor",
    "maintainer",
];

impl ImageRecord {
    /// The bytes of it, made with the rules of this hash.
    ///
    /// *Errors*: [`StoredError::NotSealed`].
    pub fn to_bytes(&self, rule_set: &str) -> Result<Vec<u8>, StoredError> {
        let bytes = serde_json::to_vec(self).map_err(|_| StoredError::NotSealed)?;
        Ok(pack(&bytes, rule_set))
    }

    /// The record of these bytes, whose secrets `sealer` had sealed.
    ///
    /// *Errors*: where they were made with other rules, or are no record.
    pub fn from_bytes(bytes: &[u8], rule_set: &str, sealer: &Sealer) -> Result<Self, StoredError> {
        let bytes = unpack(bytes, rule_set)?;
        let mut record: Self = serde_json::from_slice(&bytes).map_err(|error| StoredError::Damaged {
            // The text of the error could repeat what stands there.
            why: format!("line {}", error.line()),
        })?;
        record.texts.adopt(sealer);
        Ok(record)
    }

    /// The record of an image whose own was lost.
    pub(crate) fn damaged(why: String) -> Self {
        Self {
            manifest: None,
            platform: None,
            image_id: None,
            artifact_type: None,
            created: None,
            history: Vec::new(),
            layers: Vec::new(),
            labels: BTreeMap::new(),
            texts: ImageTexts::default(),
            problems: vec![StoredProblem {
                what: "the record of the image".to_owned(),
                why,
                reason: "damaged",
            }],
        }
    }

    /// Whether all that belongs to it could be read, its layers apart.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }

    /// Its platform, for people.
    pub fn platform(&self) -> Option<String> {
        self.platform.as_ref().map(ToString::to_string)
    }

    /// The image as a source would have given it, without any of its texts.
    fn image(&self, name: &str) -> Image {
        let steps: Vec<&History> = self.history.iter().filter(|step| !step.empty_layer).collect();
        let layers = self.layers.iter().enumerate().map(|(index, layer)| Layer {
            ordinal: index + 1,
            blob: BlobKey::Digest(layer.digest.clone()),
            descriptor: Some(Descriptor::new(
                &layer.media_type,
                layer.digest.clone(),
                layer.size,
            )),
            diff_id: layer.diff_id.clone(),
            history: steps
                .get(index)
                .filter(|_| steps.len() == self.layers.len())
                .map(|step| (*step).clone()),
        });
        Image {
            names: vec![name.to_owned()],
            platform: self.platform.clone(),
            manifest: self.manifest.clone(),
            image_id: self.image_id.clone(),
            artifact_type: self.artifact_type.clone(),
            config: ImageConfig {
                created: self.created.clone(),
                history: self.history.clone(),
                ..ImageConfig::default()
            },
            fields: Vec::new(),
            layers: layers.collect(),
            attestations: Vec::new(),
        }
    }
}

impl Scan {
    /// Searches the texts of an image and keeps what is to be kept of it. The scan must seal: see [`Scan::sealer`].
    pub fn image_record(&self, image: &Image, problems: Vec<Problem>) -> ImageRecord {
        let mut assembler = Assembler::new(self);
        let mut metadata = assembler.search(image);
        let mut history = image.config.history.clone();
        let mut labels = labels(&image.config.fields);
        {
            let secrets = secrets_of(&metadata);
            let concealer = Concealer::new(secrets.iter(), LEAST_IN_TEXT);
            for step in &mut history {
                let texts = [&mut step.created_by, &mut step.comment, &mut step.author];
                texts.into_iter().flatten().for_each(|text| concealer.text(text));
            }
            labels.values_mut().for_each(|text| concealer.text(text));
        }
        metadata.skips.truncate(1000);
        let mut texts = ImageTexts {
            metadata,
            ..ImageTexts::default()
        };
        if let Some(sealer) = &self.sealer {
            texts.seal(sealer, self.rules());
        }
        // The statements of an attestation are read as blobs: two images may share one.
        let attested = image.attestations.iter().map(|attestation| Layer {
            ordinal: 0,
            blob: attestation.blob.clone(),
            descriptor: Some(attestation.descriptor.clone()),
            diff_id: None,
            history: None,
        });
        let layers = image.layers.iter().cloned().chain(attested).filter_map(|layer| {
            let BlobKey::Digest(digest) = &layer.blob else {
                return None;
            };
            let descriptor = layer.descriptor.as_ref();
            Some(StoredLayer {
                digest: digest.clone(),
                size: descriptor.map_or(0, |descriptor| descriptor.size),
                media_type: descriptor
                    .map(|descriptor| descriptor.media_type.clone())
                    .unwrap_or_default(),
                diff_id: layer.diff_id.clone(),
            })
        });
        ImageRecord {
            manifest: image.manifest.clone(),
            platform: image.platform.clone(),
            image_id: image.image_id.clone(),
            artifact_type: image.artifact_type.clone(),
            created: image.config.created.clone(),
            history,
            layers: layers.collect(),
            labels,
            texts,
            problems: problems
                .into_iter()
                .map(|problem| StoredProblem {
                    what: problem.what,
                    why: problem.why,
                    reason: problem.reason,
                })
                .collect(),
        }
    }

    /// Reads layers, as many at a time as `work` likes, with the threads and the budget of this scan. Their secrets are
    /// sealed.
    ///
    /// *Errors*: where no thread can be started.
    pub fn with_reader<T>(&self, work: impl FnOnce(&ReadLayer<'_>) -> T) -> Result<T, ScanError> {
        let pool = self.pool()?;
        let budget = Budget::new(self.limits.in_flight_bytes);
        let reader = LayerReader::new(&self.matcher, &self.limits, &budget, &pool, &self.cancelled);
        Ok(work(&|blob, claims, progress| {
            self.sealed(reader.read(blob, claims, progress))
        }))
    }

    /// The report of images whose layers were read before. What it says of findings is what a scan of the same images
    /// would say.
    pub fn assemble(&self, images: Vec<StoredImage>) -> Report {
        let mut assembler = Assembler::new(self);
        for stored in images {
            let image = stored.image.image(&stored.name);
            let key = |digest: Digest| BlobKey::Digest(digest);
            let unread = stored.unread.into_iter().map(|(digest, why)| {
                let what = format!("`{digest}` ({why})");
                (key(digest), SourceError::NotFound { what })
            });
            let problems = stored.image.problems.iter().map(|problem| Problem {
                what: problem.what.clone(),
                why: problem.why.clone(),
                reason: problem.reason,
            });
            let gathered = Gathered {
                resolved: Resolved {
                    repository: Some(stored.repository.clone()),
                    digest: stored.image.manifest.clone(),
                    images: vec![image],
                    problems: problems.collect(),
                    ..Resolved::default()
                },
                records: stored
                    .layers
                    .into_iter()
                    .map(|(digest, record)| (key(digest), record))
                    .collect(),
                unread: unread.collect(),
                attestations: HashMap::new(),
                searched: HashMap::from([(0, stored.image.texts.clone())]),
                unused: 0,
                notes: Vec::new(),
            };
            assembler.add(&stored.name, Some(stored.repository), "registry", &gathered);
        }
        assembler.finish(false)
    }
}

/// The secrets of what was searched, in the clear.
fn secrets_of(searched: &Searched) -> Vec<Secret> {
    let candidates = searched.candidates.iter().map(|found| &found.found.candidate);
    candidates
        .flat_map(|candidate| {
            let companions = candidate.companions.iter().map(|companion| &companion.text);
            std::iter::once(&candidate.text).chain(companions)
        })
        .cloned()
        .collect()
}

fn labels(fields: &[ConfigField]) -> BTreeMap<String, String> {
    let labels = fields
        .iter()
        .filter(|field| field.place.starts_with("config.Labels"));
    labels
        .filter_map(|field| field.text.split_once('='))
        .filter(|(name, _)| LABELS.contains(name))
        .map(|(name, value)| (name.to_owned(), value.chars().take(200).collect()))
        .collect()
}
