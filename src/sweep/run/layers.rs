//! The layers of a sweep: put into a queue, read by whoever takes them, entered when they come back. Reads none itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::job::{Job, Loss, Outcome, Verdict};
use super::super::journal::{Layer, Unread, Wanted};
use super::super::queue::{LayerQueue, Local, Nats, Put, QueueError, QueueOptions};
use super::super::state::StateError;
use super::super::worker::{self, Reader};
use super::{Run, Stage, SweepError, Tell};
use crate::layer::Progress;
use crate::oci::Digest;

/// How long an outcome is waited for before the sweep looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// The time in which whoever gave a layer back has let go of it.
const SOON: Duration = Duration::from_secs(1);

/// Readers that may die over a layer in this process. They die of nothing but a fault of ours.
pub(in super::super) const DEATHS: u32 = 3;

/// A layer that was put and did not come back.
struct Out {
    layer: Layer,
    job: Job,
    /// When it is put again, where nothing was heard of it until then.
    again: Option<Instant>,
    /// How many could not have it.
    losses: u32,
}

impl Run<'_> {
    /// Reads the layers that were not read with these rules.
    pub(super) fn layers(&self) -> Result<(), SweepError> {
        let layers = self.unread_layers()?;
        if layers.is_empty() || self.is_over() {
            return Ok(());
        }
        match &self.sweep.queue {
            None => self.read_here(layers),
            Some(options) => self.read_elsewhere(options.clone(), layers),
        }
    }

    /// Has layers read by the workers of a queue.
    fn read_elsewhere(&self, options: QueueOptions, layers: Vec<Unread>) -> Result<(), SweepError> {
        let hosts: Vec<String> = self.sites.keys().cloned().collect();
        let queue = Nats::lead(
            options,
            self.sweep.terms(),
            self.sweep.sealer.clone(),
            Arc::clone(&self.sweep.cancelled),
            hosts,
            self.sweep.parallel,
        )?;
        let coordinated = self.coordinate(&queue, layers);
        queue.close();
        coordinated
    }

    /// Reads layers in this process.
    fn read_here(&self, layers: Vec<Unread>) -> Result<(), SweepError> {
        let parallel = self.sweep.parallel.max(1);
        let queue = Local::new(parallel, DEATHS);
        let threads = parallel.min(layers.len());
        self.sweep.scan.with_reader(|read| {
            let reader = Reader {
                hosts: &self.hosts,
                read,
                rules: self.sweep.scan.rules().hash(),
                cancelled: &self.sweep.cancelled,
            };
            worker::with_threads(&queue, &reader, threads, &Told(self.tell), || {
                self.coordinate(&queue, layers)
            })
        })?
    }

    /// Puts layers and enters what becomes of them, until all of them came back or the sweep is over.
    fn coordinate(&self, queue: &dyn LayerQueue, layers: Vec<Unread>) -> Result<(), SweepError> {
        let of = layers.len() as u64;
        let mut left = VecDeque::from(layers);
        let mut done = 0;
        if queue.horizon().is_some() {
            done += self.enter_what_is_there(queue, &mut left)?;
        }
        let mut out: HashMap<Digest, Out> = HashMap::new();
        while !self.is_over() && (!left.is_empty() || !out.is_empty()) {
            while out.len() < queue.room()
                && !self.is_over()
                && let Some(unread) = left.pop_front()
            {
                let layer = self.journal().layer(unread.blob)?;
                match self.job(&layer)? {
                    Ok(job) => {
                        queue.put(&job)?;
                        let put = Out {
                            layer,
                            job,
                            again: queue.horizon().map(|horizon| Instant::now() + horizon),
                            losses: 0,
                        };
                        out.insert(put.job.digest.clone(), put);
                    }
                    Err(loss) => {
                        self.lost(&layer, &loss)?;
                        done += 1;
                    }
                }
            }
            if let Some(delivery) = queue.outcome(PATIENCE)? {
                // What nobody waits for any more was entered before.
                if let Some(entry) = out.remove(&delivery.outcome().digest) {
                    match self.enter(queue, entry, delivery.outcome())? {
                        Some(again) => _ = out.insert(again.job.digest.clone(), again),
                        None => done += 1,
                    }
                }
                delivery.settle()?;
                self.tell.step(Stage::Layers, done, of);
            } else if let Some(horizon) = queue.horizon() {
                put_again(queue, &mut out, horizon)?;
            }
        }
        Ok(())
    }

    /// Enters what others read while nobody coordinated, and takes it from what is left.
    fn enter_what_is_there(
        &self,
        queue: &dyn LayerQueue,
        left: &mut VecDeque<Unread>,
    ) -> Result<u64, SweepError> {
        let mut entered = HashSet::new();
        while let Some(delivery) = queue.outcome(PATIENCE)? {
            let Outcome { digest, verdict } = delivery.outcome();
            let mut journal = self.journal();
            if let Verdict::Read(reading) = verdict
                && let Some((blob, Wanted::Unread)) = journal.wanted(digest.as_str())?
            {
                journal.read(blob, reading)?;
                entered.insert(blob);
            }
            drop(journal);
            delivery.settle()?;
            if self.is_over() {
                break;
            }
        }
        left.retain(|layer| !entered.contains(&layer.blob));
        Ok(entered.len() as u64)
    }

    /// What is asked of whoever reads a layer; why there is nothing to ask for.
    pub(super) fn job(&self, layer: &Layer) -> Result<Result<Job, Loss>, StateError> {
        let Ok(digest) = Digest::parse(&layer.digest) else {
            return Ok(Err(Loss::lasting("malformed", "its name is no digest")));
        };
        let mut places = self.journal().places(layer.blob)?;
        places.retain(|place| self.sites.contains_key(&place.host));
        if places.is_empty() {
            return Ok(Err(Loss::lasting("not-found", "no repository has it any more")));
        }
        Ok(Ok(Job {
            digest,
            size: Some(layer.size),
            media_type: layer.media_type.clone(),
            places,
        }))
    }

    /// Enters what became of a layer, or puts it again where that may help.
    fn enter(
        &self,
        queue: &dyn LayerQueue,
        mut entry: Out,
        outcome: &Outcome,
    ) -> Result<Option<Out>, SweepError> {
        match &outcome.verdict {
            Verdict::Read(reading) => {
                self.journal().read(entry.layer.blob, reading)?;
                self.layers.fetch_add(1, Ordering::Relaxed);
                self.stored_bytes.fetch_add(reading.bytes_in, Ordering::Relaxed);
                return Ok(None);
            }
            Verdict::Lost(loss) => {
                entry.losses += 1;
                if !loss.passing || entry.losses >= queue.tries() {
                    self.lost(&entry.layer, loss)?;
                    return Ok(None);
                }
            }
            Verdict::Returned => {}
        }
        if let Some(horizon) = queue.horizon()
            && !self.is_over()
        {
            entry.again = Some(match queue.put(&entry.job)? {
                Put::Accepted => Instant::now() + horizon,
                // Who gave it back has not let go of it yet.
                Put::AlreadyThere => Instant::now() + SOON,
            });
        }
        Ok(Some(entry))
    }

    pub(super) fn lost(&self, layer: &Layer, loss: &Loss) -> Result<(), StateError> {
        self.problems.fetch_add(1, Ordering::Relaxed);
        let Loss { reason, why, .. } = loss;
        self.tell.problem(&format!("layer {}", layer.digest), why);
        self.journal().lost(layer.blob, &layer.digest, reason, why)
    }
}

/// Puts again what was not heard of for long. What the queue still has is there already.
fn put_again(
    queue: &dyn LayerQueue,
    out: &mut HashMap<Digest, Out>,
    horizon: Duration,
) -> Result<(), QueueError> {
    let now = Instant::now();
    for entry in out.values_mut() {
        if entry.again.is_some_and(|again| again <= now) {
            if queue.put(&entry.job)? == Put::Accepted {
                tracing::debug!(digest = %entry.job.digest, "put again");
            }
            entry.again = Some(now + horizon);
        }
    }
    Ok(())
}

/// Hands on how much was read.
struct Told<'t>(&'t dyn Tell);

impl Progress for Told<'_> {
    fn stored(&self, bytes: u64) {
        self.0.stored(bytes);
    }
    fn decoded(&self, bytes: u64) {
        self.0.decoded(bytes);
    }
}
