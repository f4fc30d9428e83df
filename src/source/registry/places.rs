//! The places that have one repository, its mirrors and at last its registry → whatever the first that is any use
//! gives. A mirror is believed only where a digest proves it right, or where it resolves a tag; what is wrong with
//! one is a note, never an error. Sends no request itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::RegistryOptions;
use super::client::{Client, Received, Wanted};
use super::download::Download;
use super::notes::Notes;
use crate::oci::{Descriptor, Digest, Document, Reference};
use crate::source::SourceError;

/// The mirrors of a registry and the registry.
#[derive(Debug)]
pub(super) struct Places {
    mirrors: Vec<Mirror>,
    registry: Arc<Client>,
    pub(super) notes: Arc<Notes>,
    /// One permit for each download at a time.
    slots: Arc<Semaphore>,
    /// Which mirror gave a blob last.
    gave: Mutex<HashMap<Digest, usize>>,
}

#[derive(Debug)]
struct Mirror {
    client: Arc<Client>,
    /// Whether it has failed and is not asked again.
    off: AtomicBool,
}

impl Places {
    pub(super) fn new(reference: &Reference, options: &RegistryOptions) -> Result<Self, SourceError> {
        let notes = Arc::new(Notes::default());
        let registry = Arc::new(Client::new(reference, options, &notes)?);
        let mut mirrors = Vec::new();
        for (_, url) in options
            .mirrors
            .iter()
            .filter(|(host, _)| registry.is_called(host))
        {
            mirrors.push(Mirror {
                client: Arc::new(registry.mirror(url, options, &notes)?),
                off: AtomicBool::new(false),
            });
        }
        Ok(Self {
            mirrors,
            registry,
            notes,
            slots: Arc::new(Semaphore::new(options.limits.downloads_per_host.max(1))),
            gave: Mutex::default(),
        })
    }

    /// The registry's host as messages call it.
    pub(super) fn host(&self) -> &str {
        self.registry.host()
    }

    /// Reads a document of at most `cap` bytes. What has a digest has it, where it comes from a mirror.
    pub(super) async fn document(&self, wanted: &Wanted, cap: u64) -> Result<Received, SourceError> {
        for at in 0..self.mirrors.len() {
            let Some(client) = self.mirror(at) else { continue };
            match client.document(wanted, cap).await {
                Ok(received) if received.is_web_page() => {
                    self.turn_off(at, "it answered with a web page");
                }
                Ok(received) if !wanted.is_proven_by(&received.bytes) || !received.is_as_stated() => {
                    self.turn_off(at, WRONG);
                }
                Ok(received) => return Ok(received),
                Err(error) => self.failed(at, &error),
            }
        }
        self.registry.document(wanted, cap).await
    }

    /// The digest of a manifest, asked for by HEAD: of the registry alone, for a tag may have moved since a mirror saw it.
    pub(super) async fn head(&self, wanted: &Wanted) -> Result<Option<Digest>, SourceError> {
        self.registry.head(wanted).await
    }

    /// The pages of the list of what refers to the manifest `digest`. Only the registry is asked: nothing proves a list
    /// complete.
    pub(super) async fn referrers(&self, digest: &Digest, cap: u64) -> Result<Vec<Vec<u8>>, SourceError> {
        let pages = self.registry.referrers(digest, cap).await?;
        let is_empty = |page: &Vec<u8>| {
            let parsed = Document::parse(page, None).ok();
            let index = parsed.as_ref().and_then(|parsed| parsed.value.index());
            index.is_some_and(|index| index.manifests.is_empty())
        };
        if pages.iter().all(is_empty) {
            self.notes.add(
                "no-referrers",
                format!("manifest `{digest}`"),
                "nothing refers to it",
            );
        }
        Ok(pages)
    }

    /// Opens a blob; it is then read by the returned download.
    pub(super) async fn open(
        self: &Arc<Self>,
        digest: &Digest,
        descriptor: Option<&Descriptor>,
    ) -> Result<Download, SourceError> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let size = descriptor.map(|descriptor| descriptor.size);
        Download::open(Arc::clone(self), digest.clone(), size, slot).await
    }

    /// The first place that has not failed, from the place `at` on.
    pub(super) fn from(&self, at: usize) -> Place {
        for at in at..self.mirrors.len() {
            if let Some(client) = self.mirror(at) {
                return Place {
                    at,
                    client: Arc::clone(client),
                };
            }
        }
        Place {
            at: self.mirrors.len(),
            client: Arc::clone(&self.registry),
        }
    }

    /// The place after `place`, which failed; the error where there is none.
    pub(super) fn after(&self, place: &Place, error: SourceError) -> Result<Place, SourceError> {
        if place.at >= self.mirrors.len() {
            return Err(error);
        }
        self.failed(place.at, &error);
        Ok(self.from(place.at + 1))
    }

    /// Keeps in mind where a blob comes from.
    pub(super) fn gives(&self, place: &Place, digest: &Digest) {
        let mut gave = self.gave.lock().unwrap_or_else(PoisonError::into_inner);
        match place.at < self.mirrors.len() {
            true => gave.insert(digest.clone(), place.at),
            false => gave.remove(digest),
        };
    }

    /// Takes a mirror that gave wrong bytes as `digest` out of use. False where no mirror gave them.
    pub(super) fn distrust(&self, digest: &Digest) -> bool {
        let mut gave = self.gave.lock().unwrap_or_else(PoisonError::into_inner);
        match gave.remove(digest) {
            Some(at) => {
                self.turn_off(at, WRONG);
                true
            }
            None => false,
        }
    }

    fn mirror(&self, at: usize) -> Option<&Arc<Client>> {
        let mirror = self.mirrors.get(at)?;
        (!mirror.off.load(Ordering::Relaxed)).then_some(&mirror.client)
    }

    fn failed(&self, at: usize, error: &SourceError) {
        match error {
            // It need not have everything.
            SourceError::NotFound { .. } => {
                let host = self.mirrors[at].client.host();
                self.notes.add(
                    REASON,
                    format!("the mirror `{host}`"),
                    "it does not have all of the image",
                );
            }
            error => self.turn_off(at, &error.with_causes()),
        }
    }

    fn turn_off(&self, at: usize, why: &str) {
        let mirror = &self.mirrors[at];
        // Told once, by whichever download was the first to fail.
        if !mirror.off.swap(true, Ordering::Relaxed) {
            let why = format!("it was not used any more: {why}");
            self.notes
                .add(REASON, format!("the mirror `{}`", mirror.client.host()), why);
        }
    }
}

/// One of the places, for as long as it is any use.
#[derive(Debug)]
pub(super) struct Place {
    at: usize,
    pub(super) client: Arc<Client>,
}

const REASON: &str = "mirror";

const WRONG: &str = "it gave other bytes than the digest says";
