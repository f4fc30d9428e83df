//! The registries a sweep or a worker speaks to: one session each, and their repositories as sources. Decides nothing
//! about what is asked of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::oci::Reference;
use crate::source::SourceError;
use crate::source::registry::{self, Counts, Pace, RegistryOptions, RegistrySource, Session};

/// Repositories of one registry that are kept open, at about 50 KiB each. Lists and manifests are read repository by repository.
const OPEN_REPOSITORIES: usize = 64;

/// Registries, each opened when it is first spoken to.
pub(super) struct Hosts {
    options: RegistryOptions,
    pace: Pace,
    open: Mutex<HashMap<String, Arc<Host>>>,
}

/// One registry.
pub(super) struct Host {
    /// How it is spoken to: with its session.
    pub(super) options: RegistryOptions,
    pub(super) session: Session,
    sources: Mutex<HashMap<String, Arc<RegistrySource>>>,
}

impl Hosts {
    pub(super) fn new(options: RegistryOptions, pace: Pace) -> Self {
        Self {
            options,
            pace,
            open: Mutex::default(),
        }
    }

    /// A registry, kept for the next time.
    ///
    /// *Errors*: where the machine gives no threads.
    pub(super) fn host(&self, name: &str) -> Result<Arc<Host>, SourceError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = open.get(name) {
            return Ok(Arc::clone(host));
        }
        let session = Session::start(self.pace).map_err(|source| SourceError::Io {
            what: "the network: no threads".to_owned(),
            source,
        })?;
        let host = Arc::new(Host {
            options: RegistryOptions {
                session: Some(session.clone()),
                ..self.options.clone()
            },
            session,
            sources: Mutex::default(),
        });
        open.insert(name.to_owned(), Arc::clone(&host));
        Ok(host)
    }

    /// A repository as a source.
    pub(super) fn source(&self, host: &str, repository: &str) -> Result<Arc<RegistrySource>, SourceError> {
        let site = self.host(host)?;
        let mut sources = site.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(repository) {
            return Ok(Arc::clone(source));
        }
        let full = format!("{host}/{repository}");
        let reference = Reference::parse(&full).map_err(|error| SourceError::NoTarget {
            what: format!("`{}`", crate::source::printable(&full)),
            why: error.reason,
        })?;
        let source = Arc::new(registry::open(&reference, &site.options)?);
        if sources.len() >= OPEN_REPOSITORIES {
            sources.clear();
        }
        sources.insert(repository.to_owned(), Arc::clone(&source));
        Ok(source)
    }

    /// The requests that were sent to all of them.
    pub(super) fn counts(&self) -> Counts {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = Counts::default();
        for host in open.values() {
            let of_host = host.session.counts();
            counts.lists += of_host.lists;
            counts.heads += of_host.heads;
            counts.manifests += of_host.manifests;
            counts.blobs += of_host.blobs;
        }
        counts
    }
}
