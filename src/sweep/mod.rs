//! A registry over and over: every repository, every tag, every manifest, each layer once, and what was found in which.
//!
//! ```text
//! target ─ drivers ─▶ repositories, tags ──────────────────┐
//! manifests ─ scan ─▶ records ─────────────────────────────┼▶ journal ─▶ state (SQLite) ─▶ answer, report
//! layers ─▶ queue (here, NATS) ─▶ worker ─▶ outcomes ──────┤
//! layers ─▶ plan (files) ─▶ apart ─▶ sheets ─▶ run::apart ─┘
//! ```
//!
//! Whoever reads a layer, here or on another machine, reads it by `worker` and knows no state; whoever writes the state
//! is one, and enters outcomes by `journal` alone.
//!
//! All that is known is in the state. A sweep that ends early, in whatever way, goes on from there, and what it says in
//! the end is what it would have said. Secrets reach the state sealed: as keyed hashes and what a redacted report shows.

pub mod answer;
mod apart;
mod drivers;
mod hosts;
mod job;
mod journal;
mod metrics;
mod plan;
mod queue;
mod run;
mod scope;
mod sheet;
mod state;
mod terms;
mod worker;

pub use apart::{Apart, ApartError};
pub use drivers::Kind;
pub use job::{Job, Loss, Outcome, Place, Reading, Verdict};
pub use metrics::{Metrics, Server};
pub use plan::{PlanError, Shard, whole};
pub use queue::{QueueError, QueueLogin, QueueOptions};
pub use run::{Halt, MergeError, Merged, Met, Stage, Summary, Sweep, SweepError, Tell, key_check};
pub use scope::{Choice, Scope, ScopeError};
pub use sheet::SheetError;
pub use state::{State, StateError};
pub use terms::{Difference, Terms};
