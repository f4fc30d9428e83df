//! Reads layers for a sweep whose state is elsewhere: those of a list, or whatever a queue hands out. Writes no file.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::layer::Progress;
use crate::limits::Limits;
use crate::scan::{Scan, ScanError};
use crate::source::registry::{Pace, RegistryOptions};
use crate::text::secret::Sealer;

use super::hosts::Hosts;
use super::job::{Job, Outcome, Verdict};
use super::queue::{LayerQueue, Local, Nats, QueueError, QueueOptions};
use super::run::DEATHS;
use super::terms::Terms;
use super::worker::{self, Reader};

/// How long an outcome is waited for at a time.
const PATIENCE: Duration = Duration::from_millis(100);

/// The time between two exchanges with the other workers.
const EXCHANGE: Duration = Duration::from_millis(200);

/// Whoever reads layers for a sweep that is elsewhere.
pub struct Apart {
    /// How layers are scanned. Its fingerprints must be keyed.
    pub scan: Scan,
    /// Seals what is given back: the fingerprinter's own, with the key of the sweep.
    pub sealer: Sealer,
    /// The limits of the scan.
    pub limits: Limits,
    /// How registries are spoken to.
    pub registry: RegistryOptions,
    /// How much of them is asked.
    pub pace: Pace,
    /// Layers at a time.
    pub parallel: usize,
    /// Ends it soon after it is set.
    pub cancelled: Arc<AtomicBool>,
}

/// Why layers are not read.
#[derive(Debug, thiserror::Error)]
pub enum ApartError {
    /// The queue cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// No threads.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

impl Apart {
    /// The terms on which it reads.
    pub fn terms(&self) -> Terms {
        Terms::of(&self.scan, &self.limits, &self.sealer)
    }

    /// Reads the layers of a list, several at a time, and gives what became of each as soon as it is known. An error of
    /// `each` ends it, and is given back.
    ///
    /// *Errors*: where there are no threads.
    pub fn read<E>(
        &self,
        jobs: Vec<Job>,
        progress: &(dyn Progress + Sync),
        mut each: impl FnMut(Outcome) -> Result<(), E>,
    ) -> Result<Result<(), E>, ApartError> {
        let queue = Local::new(self.parallel, DEATHS);
        let mut left = VecDeque::from(jobs);
        let hosts = Hosts::new(self.registry.clone(), self.pace);
        let threads = left.len();
        self.with_readers(&queue, &hosts, threads, progress, || {
            let mut out = HashSet::new();
            while !self.is_over() && (!left.is_empty() || !out.is_empty()) {
                while out.len() < queue.room()
                    && let Some(job) = left.pop_front()
                {
                    queue.put(&job)?;
                    out.insert(job.digest);
                }
                let Some(delivery) = queue.outcome(PATIENCE)? else {
                    continue;
                };
                let outcome = delivery.outcome().clone();
                delivery.settle()?;
                out.remove(&outcome.digest);
                if outcome.verdict != Verdict::Returned
                    && let Err(error) = each(outcome)
                {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        })
    }

    /// Reads whatever the sweeps of a queue put there on the same terms, until it is cancelled or there was nothing to read
    /// for `idle`, and gives the number of layers.
    ///
    /// *Errors*: where the queue cannot be reached, or there are no threads.
    pub fn serve(
        &self,
        options: QueueOptions,
        idle: Option<Duration>,
        progress: &(dyn Progress + Sync),
    ) -> Result<u64, ApartError> {
        let cancelled = Arc::clone(&self.cancelled);
        let queue = Nats::join(options, self.terms(), self.sealer.clone(), cancelled)?;
        let hosts = Hosts::new(self.registry.clone(), self.pace);
        let layers = self.with_readers(&queue, &hosts, self.parallel, progress, || {
            while !self.is_over() && idle.is_none_or(|idle| queue.idle() < idle) {
                queue.exchange(&hosts);
                std::thread::sleep(EXCHANGE);
            }
            Ok(())
        });
        layers.map(|()| queue.layers())
    }

    fn is_over(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Does something while so many threads at most read layers of a queue, which is closed in the end.
    fn with_readers<T>(
        &self,
        queue: &dyn LayerQueue,
        hosts: &Hosts,
        threads: usize,
        progress: &(dyn Progress + Sync),
        act: impl FnOnce() -> Result<T, QueueError>,
    ) -> Result<T, ApartError> {
        let acted = self.scan.with_reader(|read| {
            let reader = Reader {
                hosts,
                read,
                rules: self.scan.rules().hash(),
                cancelled: &self.cancelled,
            };
            let threads = self.parallel.max(1).min(threads);
            worker::with_threads(queue, &reader, threads, progress, act)
        })?;
        Ok(acted?)
    }
}
