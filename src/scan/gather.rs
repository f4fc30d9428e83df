//! Reads everything a target has: each blob once, the largest first.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::layer::{Claims, LayerReader, LayerRecord, Progress};
use crate::oci::{Algorithm, Attestation, BlobKey, Descriptor, DiffId, Digest, Image};
use crate::source::{Problem, Resolved, Source, SourceError, StreamSource};

use super::assemble::verifies;
use super::metadata::ImageTexts;
use super::{Scan, Watch};

/// What was read of a target.
pub(super) struct Gathered {
    pub(super) resolved: Resolved,
    /// The record of each blob that could be opened.
    pub(super) records: HashMap<BlobKey, Arc<LayerRecord>>,
    /// Why the others could not.
    pub(super) unread: HashMap<BlobKey, SourceError>,
    /// Attestations, whole: they are small documents.
    pub(super) attestations: HashMap<BlobKey, Vec<u8>>,
    /// What was found in the texts of images, by their places, where they were searched before.
    pub(super) searched: HashMap<usize, ImageTexts>,
    /// Blobs of a stream that no chosen image has.
    pub(super) unused: u64,
    /// What is odd about the target and lost nothing.
    pub(super) notes: Vec<Problem>,
}

/// A blob that is to be read.
struct Wanted<'i> {
    key: &'i BlobKey,
    descriptor: Option<&'i Descriptor>,
    diff_id: Option<&'i DiffId>,
}

impl Wanted<'_> {
    fn claims(&self) -> Claims {
        claims(self.key, self.descriptor, self.diff_id)
    }

    fn size(&self) -> u64 {
        self.descriptor.map_or(0, |descriptor| descriptor.size)
    }
}

fn claims(key: &BlobKey, descriptor: Option<&Descriptor>, diff_id: Option<&DiffId>) -> Claims {
    let of_key = match key {
        BlobKey::Digest(digest) => digest.algorithm(),
        BlobKey::Member(_) => descriptor.and_then(|descriptor| descriptor.digest.algorithm()),
    };
    Claims {
        digest: of_key.unwrap_or(Algorithm::Sha256),
        diff_id: diff_id.and_then(|diff_id| diff_id.0.algorithm()),
        size: descriptor.map(|descriptor| descriptor.size),
    }
}

impl Scan {
    /// Reads a source that can be asked for any blob.
    pub(super) fn gather(
        &self,
        source: &dyn Source,
        reader: &LayerReader<'_>,
        known: &mut HashMap<Digest, Arc<LayerRecord>>,
    ) -> Result<Gathered, SourceError> {
        let resolved = source.resolve(&self.platforms, &self.limits)?;
        let mut records = HashMap::new();
        let mut wanted: Vec<Wanted<'_>> = Vec::new();
        for layer in resolved.images.iter().flat_map(|image| &image.layers) {
            if let BlobKey::Digest(digest) = &layer.blob
                && let Some(record) = known.get(digest)
            {
                records.insert(layer.blob.clone(), Arc::clone(record));
            } else if wanted.iter().all(|wanted| *wanted.key != layer.blob) {
                let (descriptor, diff_id) = (layer.descriptor.as_ref(), layer.diff_id.as_ref());
                wanted.push(Wanted {
                    key: &layer.blob,
                    descriptor,
                    diff_id,
                });
            }
        }
        // The largest first: the last reader to finish then has little left.
        wanted.sort_by_key(|wanted| std::cmp::Reverse(wanted.size()));
        self.watch.planned(
            wanted.len(),
            Some(wanted.iter().map(Wanted::size).sum()).filter(|sum| *sum > 0),
        );

        let watched = self.watched(resolved.images.len());
        let next = Mutex::new(wanted.iter());
        let done: Mutex<Vec<(BlobKey, Result<LayerRecord, SourceError>)>> = Mutex::default();
        let readers = self.jobs.min(source.parallel()).min(wanted.len());
        std::thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(|| {
                    while !self.cancelled.load(Ordering::Relaxed) {
                        let Some(wanted) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else {
                            break;
                        };
                        let read = || {
                            let mut blob = source.blob(wanted.key, wanted.descriptor)?;
                            Ok(self.sealed(reader.read(&mut *blob, wanted.claims(), &watched)))
                        };
                        if let Some(record) = self.cached(wanted, &watched) {
                            self.watch.blob_done();
                            done.lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .push((wanted.key.clone(), Ok(record)));
                            continue;
                        }
                        let mut result = read();
                        if let (Ok(record), BlobKey::Digest(digest)) = (&result, wanted.key)
                            && record.digest != *digest
                            && digest.algorithm().is_some()
                            && source.distrust(wanted.key)
                        {
                            result = read();
                        }
                        if let (Ok(record), BlobKey::Digest(digest), Some(cache)) =
                            (&result, wanted.key, &self.cache)
                            && !self.cancelled.load(Ordering::Relaxed)
                        {
                            cache.keep(digest, record);
                        }
                        self.watch.blob_done();
                        done.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((wanted.key.clone(), result));
                    }
                });
            }
        });
        let mut unread = HashMap::new();
        for (key, result) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
            match result {
                Ok(record) => {
                    let record = Arc::new(record);
                    // Only what was verified may stand for the same digest elsewhere.
                    if let BlobKey::Digest(digest) = &key
                        && record.complete
                        && record.digest == *digest
                    {
                        known.insert(digest.clone(), Arc::clone(&record));
                    }
                    records.insert(key, record);
                }
                Err(error) => {
                    unread.insert(key, error);
                }
            }
        }
        let mut attestations = HashMap::new();
        for attestation in attestations_of(&resolved.images) {
            let read = || {
                let blob = source.blob(&attestation.blob, Some(&attestation.descriptor))?;
                self.document(blob, attestation)
            };
            let mut result = read();
            if let Ok(bytes) = &result
                && !verifies(&attestation.descriptor.digest, bytes)
                && source.distrust(&attestation.blob)
            {
                result = read();
            }
            match result {
                Ok(bytes) => {
                    attestations.insert(attestation.blob.clone(), bytes);
                }
                Err(error) => {
                    unread.insert(attestation.blob.clone(), error);
                }
            }
        }
        Ok(Gathered {
            resolved,
            records,
            unread,
            attestations,
            searched: HashMap::new(),
            unused: 0,
            notes: source.notes(),
        })
    }

    /// The record of a blob that was read by an earlier scan, if there is room for what it holds.
    fn cached(&self, wanted: &Wanted<'_>, watched: &Watched<'_>) -> Option<LayerRecord> {
        let (Some(cache), BlobKey::Digest(digest)) = (&self.cache, wanted.key) else {
            return None;
        };
        let record = cache.record(digest)?;
        if !watched.has_room(record.decoded_bytes) {
            return None;
        }
        watched.stored(record.stored_bytes);
        Some(record)
    }

    /// What reads the blobs of so many images is watched by.
    fn watched(&self, images: usize) -> Watched<'_> {
        let room = self.limits.image_bytes.saturating_mul(images.max(1) as u64);
        Watched(&*self.watch, AtomicU64::new(room))
    }

    /// Reads a source that gives each blob once. Every blob is scanned as it arrives, in any order; what belongs to which
    /// image is known only at the end.
    pub(super) fn gather_stream(
        &self,
        stream: &mut dyn StreamSource,
        reader: &LayerReader<'_>,
    ) -> Result<Gathered, SourceError> {
        let mut records: HashMap<BlobKey, Arc<LayerRecord>> = HashMap::new();
        let mut broken = None;
        let watched = self.watched(1);
        while !self.cancelled.load(Ordering::Relaxed) {
            match stream.next_blob() {
                Ok(None) => break,
                Ok(Some(mut blob)) => {
                    let claims = Claims {
                        size: None,
                        ..claims(&blob.key, None, None)
                    };
                    let record = self.sealed(reader.read(&mut *blob.reader, claims, &watched));
                    self.watch.blob_done();
                    records.insert(blob.key, Arc::new(record));
                }
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        let mut resolved = match (stream.resolve(&self.platforms, &self.limits), broken) {
            (Ok(resolved), None) => resolved,
            (Ok(mut resolved), Some(error)) => {
                resolved.problems.push(Problem {
                    what: "the stream".to_owned(),
                    why: error.with_causes(),
                    reason: "truncated",
                });
                resolved
            }
            // Ended by whoever started it: what did not come is no fault of the stream.
            (Err(_), _) if self.cancelled.load(Ordering::Relaxed) => Resolved {
                problems: vec![crate::source::Problem {
                    what: "the stream".to_owned(),
                    why: "the scan was ended before it said what it holds".to_owned(),
                    reason: "interrupted",
                }],
                ..Resolved::default()
            },
            (Err(_), Some(error)) | (Err(error), None) => return Err(error),
        };
        let mut attestations = HashMap::new();
        for attestation in attestations_of(&resolved.images) {
            if let Some(bytes) = stream.document(&attestation.blob) {
                attestations.insert(attestation.blob.clone(), bytes.to_vec());
            }
        }
        // A layer that looks like a small document was kept as one.
        for layer in resolved.images.iter().flat_map(|image| &image.layers) {
            if !records.contains_key(&layer.blob)
                && let Some(mut bytes) = stream.document(&layer.blob)
            {
                let claims = claims(&layer.blob, None, layer.diff_id.as_ref());
                let record = self.sealed(reader.read(&mut bytes, claims, &watched));
                records.insert(layer.blob.clone(), Arc::new(record));
            }
        }
        let used = |key: &BlobKey| {
            resolved.images.iter().any(|image| {
                image.layers.iter().any(|layer| layer.blob == *key)
                    || image
                        .attestations
                        .iter()
                        .any(|attestation| attestation.blob == *key)
            })
        };
        let before = records.len();
        records.retain(|key, _| used(key));
        let unused = (before - records.len()) as u64;
        resolved
            .problems
            .sort_by(|a, b| (&a.what, &a.why).cmp(&(&b.what, &b.why)));
        Ok(Gathered {
            resolved,
            records,
            unread: HashMap::new(),
            attestations,
            searched: HashMap::new(),
            unused,
            notes: Vec::new(),
        })
    }

    /// Reads an attestation whole. Whether it is what its digest names is compared where it is searched.
    fn document(
        &self,
        blob: Box<dyn Read + Send>,
        attestation: &Attestation,
    ) -> Result<Vec<u8>, SourceError> {
        let what = format!("attestation {}", attestation.descriptor.digest);
        let limit = self.limits.attestation_bytes;
        let mut bytes = Vec::new();
        blob.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| SourceError::Io {
                what: what.clone(),
                source,
            })?;
        if bytes.len() as u64 > limit {
            return Err(SourceError::Limit {
                what,
                limit: crate::limits::LimitHit::Document,
            });
        }
        Ok(bytes)
    }
}

fn attestations_of(images: &[Image]) -> impl Iterator<Item = &Attestation> {
    images.iter().flat_map(|image| &image.attestations)
}

/// A watch as the progress of the blobs of one target, with the bytes they may still expand to.
struct Watched<'w>(&'w dyn Watch, AtomicU64);

impl Progress for Watched<'_> {
    fn stored(&self, bytes: u64) {
        self.0.stored(bytes);
    }
    fn decoded(&self, bytes: u64) {
        self.0.decoded(bytes);
    }
    fn has_room(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.1
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}
