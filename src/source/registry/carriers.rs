//! Blobs → the tags of a repository that carry them. Reads manifests and indexes, no blob; says nothing of manifests without a
//! tag, which no registry lists.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{Received, Wanted};
use super::{RegistryOptions, RegistrySource, open, tags};
use crate::limits::{LimitHit, Limits};
use crate::oci::{Digest, Document, Manifest, Platform, Reference};
use crate::source::SourceError;

/// Where blobs were found.
#[derive(Debug, Default)]
pub struct Carriers {
    /// The manifests that carry at least one, by tag.
    pub found: Vec<Carried>,
    /// How many tags were looked at.
    pub tags: usize,
    /// What could not be read, and why.
    pub failures: Vec<(String, SourceError)>,
}

/// A manifest that carries blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The tag.
    pub tag: String,
    /// What the tag points at.
    pub root: Digest,
    /// The manifest.
    pub manifest: Digest,
    /// Its platform, where an index names it.
    pub platform: Option<Platform>,
    /// The blobs, sorted.
    pub blobs: Vec<Digest>,
}

/// Looks for `blobs` in the tags of the repository of `reference` that `wants` takes.
///
/// *Errors*: where nothing can be asked. What fails on the way is in [`Carriers::failures`]. *Cost*: the list of tags, and
/// a request for each tag and for each manifest of an index, none twice.
pub fn carriers(
    reference: &Reference,
    options: &RegistryOptions,
    blobs: &BTreeSet<Digest>,
    wants: &dyn Fn(&str) -> bool,
) -> Result<Carriers, SourceError> {
    let listing = tags(reference, options)?;
    let mut carriers = Carriers::default();
    if let Some(failure) = listing.failure {
        carriers
            .failures
            .push((format!("the tags of `{}`", reference.name()), failure));
    }
    let source = open(reference, options)?;
    let mut search = Search {
        source: &source,
        limits: &options.limits,
        blobs,
        seen: BTreeMap::new(),
    };
    for tag in listing.names.iter().filter(|tag| wants(tag)) {
        carriers.tags += 1;
        if let Err(error) = search.tag(tag, &mut carriers.found) {
            let what = format!("{}:{tag}", reference.name());
            carriers.failures.push((what, error));
        }
    }
    Ok(carriers)
}

/// A search, with what it has read.
struct Search<'s> {
    source: &'s RegistrySource,
    limits: &'s Limits,
    blobs: &'s BTreeSet<Digest>,
    /// By the digest of a manifest or index: what below it carries any of the blobs.
    seen: BTreeMap<Digest, Vec<Found>>,
}

/// A manifest that carries some of the blobs.
#[derive(Clone)]
struct Found {
    manifest: Digest,
    platform: Option<Platform>,
    blobs: Vec<Digest>,
}

impl Search<'_> {
    fn tag(&mut self, tag: &str, carried: &mut Vec<Carried>) -> Result<(), SourceError> {
        let wanted = Wanted::Manifest(tag.to_owned());
        let received = self.source.receive(&wanted, self.limits.manifest_bytes)?;
        let root = Digest::of(&received.bytes);
        let found = self.document(&root, &received, 0)?;
        carried.extend(found.into_iter().map(|found| Carried {
            tag: tag.to_owned(),
            root: root.clone(),
            manifest: found.manifest,
            platform: found.platform,
            blobs: found.blobs,
        }));
        Ok(())
    }

    /// What a document, and those it lists, carry.
    fn document(
        &mut self,
        digest: &Digest,
        received: &Received,
        depth: usize,
    ) -> Result<Vec<Found>, SourceError> {
        if let Some(found) = self.seen.get(digest) {
            return Ok(found.clone());
        }
        let what = || format!("manifest {digest}");
        let document = Document::parse(&received.bytes, received.media_type.as_deref());
        let document = document.map_err(|error| SourceError::Malformed {
            what: what(),
            why: error.to_string(),
        })?;
        let mut found = Vec::new();
        let index = match document.value {
            Document::Manifest(manifest) => {
                found.extend(self.manifest(digest, &manifest));
                None
            }
            Document::Index(index) => Some(index),
            Document::Ambiguous(manifest, index) => {
                found.extend(self.manifest(digest, &manifest));
                Some(index)
            }
        };
        for child in index.iter().flat_map(|index| &index.manifests) {
            if depth >= self.limits.index_depth || self.seen.len() >= self.limits.manifests {
                let limit = if depth >= self.limits.index_depth {
                    LimitHit::IndexDepth
                } else {
                    LimitHit::Manifests
                };
                return Err(SourceError::Limit { what: what(), limit });
            }
            let wanted = Wanted::Manifest(child.digest.to_string());
            let received = self.source.receive(&wanted, self.limits.manifest_bytes)?;
            for mut below in self.document(&child.digest, &received, depth + 1)? {
                below.platform = below.platform.or_else(|| child.platform.clone());
                found.push(below);
            }
        }
        self.seen.insert(digest.clone(), found.clone());
        Ok(found)
    }

    fn manifest(&self, digest: &Digest, manifest: &Manifest) -> Option<Found> {
        let listed = manifest.layers.iter().chain(&manifest.config);
        let own = std::iter::once(digest).chain(listed.map(|descriptor| &descriptor.digest));
        let blobs: BTreeSet<Digest> = own
            .filter(|digest| self.blobs.contains(digest))
            .cloned()
            .collect();
        (!blobs.is_empty()).then(|| Found {
            manifest: digest.clone(),
            platform: None,
            blobs: blobs.into_iter().collect(),
        })
    }
}
