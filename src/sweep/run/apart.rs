//! A sweep whose layers are read elsewhere, without a queue: its layers as a plan, and what was read of them entered.

use std::sync::atomic::Ordering;

use super::super::job::{Job, Outcome, Verdict};
use super::super::journal::{Journal, Wanted};
use super::super::state::State;
use super::super::terms::Terms;
use super::{Halt, Stage, Summary, Sweep, SweepError, Tell};

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Layers that were entered.
    pub layers: u64,
    /// Layers that could not be had, and were entered as such.
    pub lost: u64,
    /// Outcomes that were known, or of layers that no image has.
    pub known: u64,
    /// Layers of the sweep that are still to be read.
    pub left: u64,
}

/// Why a merge ended, besides what ends a sweep.
#[derive(Debug, thiserror::Error)]
pub enum MergeError<E> {
    /// The outcomes could not be read.
    #[error("cannot read what is to be merged")]
    Outcomes(E),
    /// The state cannot be used.
    #[error(transparent)]
    Sweep(#[from] SweepError),
}

impl Sweep {
    /// The terms on which layers of this sweep are read.
    pub fn terms(&self) -> Terms {
        Terms::of(&self.scan, &self.limits, &self.sealer)
    }

    /// Reads lists and manifests, and says which layers are to be read. [`Sweep::merge`] enters what they give.
    ///
    /// *Errors*: those of [`Sweep::run`].
    pub fn plan(&self, state: State, tell: &dyn Tell) -> Result<(Summary, Vec<Job>), SweepError> {
        let (run, resumed) = self.start(state, tell)?;
        run.lists()?;
        run.documents()?;
        let layers = run.unread_layers()?;
        let mut jobs = Vec::new();
        let mut bytes = 0;
        for layer in layers {
            let layer = run.journal().layer(layer.blob)?;
            match run.job(&layer)? {
                Ok(job) => {
                    bytes += layer.size;
                    jobs.push(job);
                }
                Err(loss) => run.lost(&layer, &loss)?,
            }
        }
        let left = (jobs.len() as u64, bytes);
        if jobs.is_empty() {
            run.images()?;
        }
        let halt = match jobs.is_empty() && !run.is_over() {
            true => Halt::Done,
            false => Halt::Stopped,
        };
        Ok((run.end(halt, resumed, left)?, jobs))
    }

    /// Enters what was read elsewhere for the last sweep of a state, and puts images together whose layers are all there.
    /// What is known already changes nothing, and of two outcomes of one layer the one in which it was read counts.
    ///
    /// *Errors*: those of the state; the first of the outcomes.
    pub fn merge<E>(
        &self,
        state: State,
        outcomes: impl Iterator<Item = Result<Outcome, E>>,
        tell: &dyn Tell,
    ) -> Result<Merged, MergeError<E>> {
        let journal = Journal::last(state, self.scan.rules().hash()).map_err(SweepError::from)?;
        let run = self.run_of(journal, tell);
        let mut merged = Merged::default();
        let mut lost = Vec::new();
        for outcome in outcomes {
            let Outcome { digest, verdict } = outcome.map_err(MergeError::Outcomes)?;
            if run.is_over() {
                break;
            }
            match verdict {
                Verdict::Read(reading) => {
                    let mut journal = run.journal();
                    let wanted = journal.wanted(digest.as_str()).map_err(SweepError::from)?;
                    let Some((blob, _)) = wanted else {
                        merged.known += 1;
                        continue;
                    };
                    journal.read(blob, &reading).map_err(SweepError::from)?;
                    drop(journal);
                    merged.layers += 1;
                    tell.step(Stage::Layers, merged.layers, merged.layers);
                }
                // Another file may have it.
                Verdict::Lost(loss) => lost.push((digest, loss)),
                Verdict::Returned => {}
            }
        }
        for (digest, loss) in lost {
            let mut journal = run.journal();
            match journal.wanted(digest.as_str()).map_err(SweepError::from)? {
                Some((blob, Wanted::Unread)) => {
                    tell.problem(&format!("layer {digest}"), &loss.why);
                    journal
                        .lost(blob, digest.as_str(), &loss.reason, &loss.why)
                        .map_err(SweepError::from)?;
                    merged.lost += 1;
                }
                Some((_, Wanted::Lost)) | None => merged.known += 1,
            }
        }
        run.images()?;
        merged.left = run.journal().unread_layers().map_err(SweepError::from)?.len() as u64;
        let is_over = run.sweep.cancelled.load(Ordering::Relaxed);
        let is_done = run.journal().is_done().map_err(SweepError::from)?;
        if merged.left == 0 && !is_over && !is_done {
            run.end(Halt::Done, true, (0, 0))?;
        }
        Ok(merged)
    }
}
