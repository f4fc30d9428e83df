//! The queue of a sweep on one machine: in memory, gone with the process. Everything in it is in the state too.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::oci::Digest;

use super::super::job::{Job, Loss, Outcome, Verdict};
use super::{Delivery, LayerQueue, Lease, Put, QueueError};

/// Layers that wait at a time. The state has the others.
const ROOM: usize = 256;

/// Outcomes that wait at a time: they hold records. Who has more waits with them.
const OUTCOMES: usize = 16;

/// A queue in memory.
pub(in super::super) struct Local {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Layers of one registry that are read at a time.
    parallel: usize,
    /// Readers that may die over a layer.
    deaths: u32,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    /// Waiting and taken ones.
    known: HashSet<Digest>,
    in_flight: HashMap<String, usize>,
    outcomes: VecDeque<Outcome>,
    closed: bool,
}

struct Waiting {
    job: Job,
    deaths: u32,
}

impl Local {
    /// A queue that hands out so many layers of a registry at a time, and gives a layer up over which so many readers
    /// died.
    pub(in super::super) fn new(parallel: usize, deaths: u32) -> Self {
        Self {
            inner: Mutex::default(),
            changed: Condvar::new(),
            parallel: parallel.max(1),
            deaths: deaths.max(1),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `find` gives, as soon as it gives something; nothing after `patience`, or where the queue was closed.
    fn wait<T>(&self, patience: Duration, mut find: impl FnMut(&mut Inner) -> Option<T>) -> Option<T> {
        let until = Instant::now() + patience;
        let mut inner = self.inner();
        loop {
            if let Some(found) = find(&mut inner) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || inner.closed {
                return None;
            }
            let waited = self.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl LayerQueue for Local {
    fn put(&self, job: &Job) -> Result<Put, QueueError> {
        let mut inner = self.inner();
        if !inner.known.insert(job.digest.clone()) {
            return Ok(Put::AlreadyThere);
        }
        inner.waiting.push_back(Waiting {
            job: job.clone(),
            deaths: 0,
        });
        self.changed.notify_all();
        Ok(Put::Accepted)
    }

    fn take(&self, patience: Duration) -> Result<Option<Box<dyn Lease + '_>>, QueueError> {
        let taken = self.wait(patience, |inner| {
            let at = inner.waiting.iter().position(|waiting| {
                let in_flight = inner.in_flight.get(waiting.job.host());
                in_flight.is_none_or(|count| *count < self.parallel)
            })?;
            let taken = inner.waiting.remove(at)?;
            *inner.in_flight.entry(taken.job.host().to_owned()).or_default() += 1;
            Some(taken)
        });
        Ok(taken.map(|taken| {
            let lease = Taken {
                queue: self,
                taken: Some(taken),
            };
            Box::new(lease) as Box<dyn Lease>
        }))
    }

    fn outcome(&self, patience: Duration) -> Result<Option<Box<dyn Delivery + '_>>, QueueError> {
        let outcome = self.wait(patience, |inner| inner.outcomes.pop_front());
        self.changed.notify_all();
        Ok(outcome.map(|outcome| {
            let held = Held {
                queue: self,
                outcome: Some(outcome),
            };
            Box::new(held) as Box<dyn Delivery>
        }))
    }

    fn room(&self) -> usize {
        ROOM
    }

    fn tries(&self) -> u32 {
        1
    }

    fn horizon(&self) -> Option<Duration> {
        None
    }

    fn close(&self) {
        self.inner().closed = true;
        self.changed.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.inner().closed
    }
}

struct Taken<'q> {
    queue: &'q Local,
    /// Nothing once it came to its end.
    taken: Option<Waiting>,
}

impl Lease for Taken<'_> {
    fn job(&self) -> &Job {
        let taken = self.taken.as_ref();
        &taken.expect("a lease has its layer until it ends").job
    }

    fn beat(&self) -> Option<Duration> {
        None
    }

    fn progress(&self) {}

    fn finish(mut self: Box<Self>, verdict: Verdict) -> Result<(), QueueError> {
        let mut inner = self.queue.inner();
        while inner.outcomes.len() >= OUTCOMES && !inner.closed {
            let waited = self.queue.changed.wait(inner);
            inner = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(Waiting { job, .. }) = self.taken.take() {
            inner.end(&job);
            inner.outcomes.push_back(Outcome {
                digest: job.digest,
                verdict,
            });
        }
        self.queue.changed.notify_all();
        Ok(())
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Some(Waiting { job, deaths }) = self.taken.take() else {
            return;
        };
        let deaths = deaths + 1;
        let mut inner = self.queue.inner();
        inner.end(&job);
        match deaths < self.queue.deaths {
            true => {
                inner.known.insert(job.digest.clone());
                inner.waiting.push_front(Waiting { job, deaths });
            }
            false => inner.outcomes.push_back(Outcome {
                digest: job.digest,
                verdict: Verdict::Lost(Loss::poisoned(deaths)),
            }),
        }
        self.queue.changed.notify_all();
    }
}

impl Inner {
    fn end(&mut self, job: &Job) {
        self.known.remove(&job.digest);
        if let Some(count) = self.in_flight.get_mut(job.host()) {
            *count -= 1;
        }
    }
}

struct Held<'q> {
    queue: &'q Local,
    /// Nothing once it was entered.
    outcome: Option<Outcome>,
}

impl Delivery for Held<'_> {
    fn outcome(&self) -> &Outcome {
        let outcome = self.outcome.as_ref();
        outcome.expect("a delivery has its outcome until it is settled")
    }

    fn settle(mut self: Box<Self>) -> Result<(), QueueError> {
        self.outcome = None;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.queue.inner().outcomes.push_front(outcome);
            self.queue.changed.notify_all();
        }
    }
}
