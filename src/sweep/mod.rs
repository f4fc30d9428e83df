//! A registry over and over: every repository, every tag, every manifest, each layer once, and what was found in which.
//!
//! ```text
//! target ─ drivers ─▶ repositories, tags ─┐
//!                                         ├▶ journal ─▶ state (SQLite) ─▶ answer, report
//! manifests, layers ─ scan ─▶ records ────┘
//! ```
//!
//! All that is known is in the state. A sweep that ends early, in whatever way, goes on from there, and what it says in
//! the end is what it would have said. Secrets reach the state sealed: as keyed hashes and what a redacted report shows.

pub mod answer;
mod drivers;
mod hosts;
mod job;
mod journal;
mod queue;
mod run;
mod scope;
mod state;
mod worker;

pub use drivers::Kind;
pub use queue::QueueError;
pub use run::{Halt, Stage, Summary, Sweep, SweepError, Tell, key_check};
pub use scope::{Choice, Scope, ScopeError};
pub use state::{State, StateError};
