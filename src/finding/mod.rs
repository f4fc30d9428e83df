//! What a run returns: plain values. Nothing here scans, prints or decides.

mod class;
mod conceal;
mod coverage;
mod dockerfile;
mod fingerprint;
mod report;
mod status;

pub use crate::text::Location;
pub use crate::text::chain::{Chain, Link};
pub use crate::text::secret::{Reveal, Secret};
pub use class::{Area, FileClass, Package, PackageState, PackageSystem, Tree};
pub use coverage::{Coverage, Skip, SkipKind, SkipReason};
pub use dockerfile::{BuildFacts, Certainty, Dockerfile, Instruction, MadeBy, Mapping};
pub use fingerprint::{Fingerprint, Fingerprinter, Scheme};
pub use report::{
    Companion, Counters, EntryFacts, Finding, HiddenFiles, ImageSummary, LayerSummary, Line, Occurrence,
    Origin, Report, TargetSummary, Verification,
};
pub use status::{DeletedBy, MetadataUse, Status};
