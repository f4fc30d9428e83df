//! What many repositories of one registry have in common: threads, connections, a pace, a count. Sends nothing itself.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::RegistryOptions;
use super::retry::Gates;
use super::transport::Transport;
use crate::source::SourceError;
use crate::source::network::Runtime;

/// A long conversation with one registry. Repositories opened with it share threads and connections; what one of them is
/// asked to wait for, all wait for.
#[derive(Clone, Debug)]
pub struct Session(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Arc<Runtime>,
    transports: Mutex<HashMap<String, Arc<Transport>>>,
    gates: Arc<Gates>,
    pace: Pace,
    /// When the next request may be sent.
    next: tokio::sync::Mutex<Instant>,
    counts: [AtomicU64; 4],
    /// Requests that wait for their turn.
    in_line: AtomicU64,
    /// What the registry said is left of its quota; `u64::MAX` where it says nothing.
    left: AtomicU64,
}

/// What a registry may be burdened with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// The time from one request to the next.
    pub apart: Duration,
    /// Pulls of its quota that are left for others.
    pub floor: u64,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    List,
    Head,
    Manifest,
    Blob,
}

/// How many requests were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// For lists of repositories, tags and artifacts.
    pub lists: u64,
    /// For digests only.
    pub heads: u64,
    /// For manifests.
    pub manifests: u64,
    /// For blobs: configurations and layers.
    pub blobs: u64,
}

impl Counts {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.lists + self.heads + self.manifests + self.blobs
    }
}

/// A request that waits, given up or not.
struct InLine<'l>(&'l AtomicU64);

impl<'l> InLine<'l> {
    fn behind(others: &'l AtomicU64) -> Self {
        others.fetch_add(1, Ordering::Relaxed);
        Self(others)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session {
    /// Begins one. *Errors*: where the machine gives no threads.
    pub fn start(pace: Pace) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            runtime: Runtime::start()?,
            transports: Mutex::default(),
            gates: Arc::default(),
            pace,
            next: tokio::sync::Mutex::new(Instant::now()),
            counts: Default::default(),
            in_line: AtomicU64::new(0),
            left: AtomicU64::new(u64::MAX),
        })))
    }

    /// The requests that were sent so far.
    pub fn counts(&self) -> Counts {
        let [lists, heads, manifests, blobs] =
            [0, 1, 2, 3].map(|kind: usize| self.0.counts[kind].load(Ordering::Relaxed));
        Counts {
            lists,
            heads,
            manifests,
            blobs,
        }
    }

    /// Pulls that are left of the registry's quota, where it says so.
    pub fn pulls_left(&self) -> Option<u64> {
        Some(self.0.left.load(Ordering::Relaxed)).filter(|left| *left != u64::MAX)
    }

    /// What it is burdened with.
    pub fn pace(&self) -> Pace {
        self.0.pace
    }

    /// Requests that wait for their turn, as the pace has it.
    pub fn in_line(&self) -> u64 {
        self.0.in_line.load(Ordering::Relaxed)
    }

    /// Whether some host of the registry asked to be left alone for now.
    pub fn is_held_back(&self) -> bool {
        !self.held_back().is_empty()
    }

    /// The hosts of the registry that asked to be left alone, and for how much longer.
    pub fn held_back(&self) -> Vec<(String, Duration)> {
        self.0.runtime.block_on(self.0.gates.closed())
    }

    /// Leaves a host alone for so long, at least.
    pub fn hold_back(&self, host: &str, time: Duration) {
        self.0.runtime.block_on(self.0.gates.close(host, time));
    }

    pub(super) fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.0.runtime)
    }

    pub(super) fn gates(&self) -> Arc<Gates> {
        Arc::clone(&self.0.gates)
    }

    /// The connections to the registry at `url`, which all its repositories share.
    pub(super) fn transport(
        &self,
        options: &RegistryOptions,
        url: &Url,
    ) -> Result<Arc<Transport>, SourceError> {
        let mut transports = self.0.transports.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = transports.get(url.as_str()) {
            return Ok(Arc::clone(transport));
        }
        let transport = Arc::new(Transport::new(options, url)?);
        transports.insert(url.to_string(), Arc::clone(&transport));
        Ok(transport)
    }

    /// Waits for the turn of a request of this kind, and counts it.
    ///
    /// *Errors*: where it would take a pull that is left for others.
    pub(super) async fn turn(&self, kind: Kind, host: &str, what: &str) -> Result<(), SourceError> {
        let left = self.0.left.load(Ordering::Relaxed);
        if kind == Kind::Manifest && left <= self.0.pace.floor {
            return Err(SourceError::Status {
                host: host.to_owned(),
                what: what.to_owned(),
                status: 429,
                why: format!(
                    "{left} of the pulls it allows are left, and {} are to be left for others",
                    self.0.pace.floor
                ),
            });
        }
        if !self.0.pace.apart.is_zero() {
            let mut next = self.0.next.lock().await;
            let at = (*next).max(Instant::now());
            *next = at + self.0.pace.apart;
            drop(next);
            let _in_line = InLine::behind(&self.0.in_line);
            tokio::time::sleep_until(at).await;
        }
        self.0.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Notes what the registry says is left of its quota.
    pub(super) fn left(&self, pulls: u64) {
        self.0.left.store(pulls, Ordering::Relaxed);
    }
}
