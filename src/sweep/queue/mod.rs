//! Where layers wait to be read, and where what became of them waits to be entered: the one trait that a sweep on one
//! machine and one on many go by. It hands out leases and nothing more: the state is the truth, and what a queue loses is
//! put again.

mod local;
mod nats;
#[cfg(test)]
mod tests;

pub(super) use local::Local;
pub(super) use nats::Nats;
pub use nats::{QueueLogin, QueueOptions};

use std::time::Duration;

use super::job::{Job, Outcome, Verdict};

/// A queue of layers and of what became of them.
pub(super) trait LayerQueue: Send + Sync {
    /// Puts a layer, unless it is there already: waiting, or being read.
    fn put(&self, job: &Job) -> Result<Put, QueueError>;

    /// The next layer that may be read now, so that no registry is read from by more than it is allowed; nothing where
    /// there is none after `patience`.
    fn take(&self, patience: Duration) -> Result<Option<Box<dyn Lease + '_>>, QueueError>;

    /// What became of some layer; nothing where nothing did after `patience`. Of a layer that was given up because
    /// everybody who read it died, the queue tells itself.
    fn outcome(&self, patience: Duration) -> Result<Option<Box<dyn Delivery + '_>>, QueueError>;

    /// How many layers it is to hold at a time.
    fn room(&self) -> usize;

    /// How often another worker is tried with a layer that one could not have.
    fn tries(&self) -> u32;

    /// The time after which a layer of which nothing was heard is put again; nothing where none can be lost.
    fn horizon(&self) -> Option<Duration>;

    /// Tells who waits for layers that there will be no more.
    fn close(&self);

    /// Whether there will be no more layers.
    fn is_closed(&self) -> bool;
}

/// A layer that was taken. Dropped without an end, it is somebody else's after a while: its reader has died.
pub(super) trait Lease: Send + Sync {
    /// Which layer.
    fn job(&self) -> &Job;

    /// How often [`Lease::progress`] wants to be called; nothing where the lease does not run out.
    fn beat(&self) -> Option<Duration>;

    /// Tells that the layer is still being read.
    fn progress(&self);

    /// Hands over what became of it. Returns once that is safe, and waits where it cannot be taken.
    fn finish(self: Box<Self>, verdict: Verdict) -> Result<(), QueueError>;
}

/// An outcome that was not entered yet. Dropped, it comes again.
pub(super) trait Delivery {
    /// What became of which layer.
    fn outcome(&self) -> &Outcome;

    /// It was entered.
    fn settle(self: Box<Self>) -> Result<(), QueueError>;
}

/// Whether a layer was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It was.
    Accepted,
    /// It was there.
    AlreadyThere,
}

/// Why a queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It does not answer, or not as it should.
    #[error("cannot use the queue at `{server}`: {why}")]
    Server {
        /// The server, without userinfo.
        server: String,
        /// What is wrong.
        why: String,
    },
}
