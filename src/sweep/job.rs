//! What is asked of whoever reads layers, and what became of it: plain values that may travel. Neither holds a login or a
//! secret.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use crate::engine::LiteralSet;
use crate::oci::Digest;

/// The reason of a loss that is the layer's own doing, and took workers with it.
pub const POISONED: &str = "poisoned";

/// A layer that is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its blob.
    pub digest: Digest,
    /// What manifests say its size is; nothing where nobody asked them.
    pub size: Option<u64>,
    /// What they say it is.
    pub media_type: String,
    /// Where it can be had, the best first.
    pub places: Vec<Place>,
}

/// A repository of a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// `host[:port]`.
    pub host: String,
    /// The repository.
    pub repository: String,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its blob.
    pub digest: Digest,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of reading a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It could not be had.
    Lost(Loss),
    /// It was read.
    Read(Reading),
    /// Whoever read it was asked to stop.
    Returned,
}

/// Why a layer could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The stable name of the reason.
    pub reason: String,
    /// The cause for a person.
    pub why: String,
    /// Whether somebody else, or later, might have had it.
    pub passing: bool,
}

/// What reading a layer gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Whether all of it was read.
    pub whole: bool,
    /// Bytes as stored.
    pub bytes_in: u64,
    /// Bytes of the archive.
    pub bytes_out: u64,
    /// Its members.
    pub entries: u64,
    /// Where not all of it was read, the stable name of the reason, and the cause.
    pub gap: Option<(String, String)>,
    /// Its record, sealed and tied to the rules: [`crate::layer::LayerRecord::to_bytes`].
    pub record: Vec<u8>,
    /// Literals that stand in it, by their numbers in the outline of the rules.
    pub literals: LiteralSet,
}

/// Does something for one repository, layer or image. A panic in it is the loss of that one: it must not end a sweep of days.
pub(super) fn survived<T>(act: impl FnOnce() -> T) -> Result<T, Loss> {
    catch_unwind(AssertUnwindSafe(act))
        .map_err(|_| Loss::lasting("panic", "an internal error ended the work on it"))
}

impl Job {
    /// The registry whose burden it is.
    pub fn host(&self) -> &str {
        self.places.first().map_or("", |place| &place.host)
    }
}

impl Loss {
    /// The loss of a layer that so many readers died over.
    pub fn poisoned(deaths: u32) -> Self {
        let why = format!("{deaths} workers that read it died or hung over it");
        Self::lasting(POISONED, &why)
    }

    /// A loss that is one for everybody.
    pub fn lasting(reason: &str, why: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            why: why.to_owned(),
            passing: false,
        }
    }
}
