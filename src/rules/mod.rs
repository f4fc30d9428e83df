//! Rules are data: TOML in, a checked [`RuleSet`] out. Nothing here matches anything.

mod builtin;
pub mod example;
pub mod grade;
mod lead;
mod load;
mod rule;

pub use grade::{Confidence, Evidence, RuleId, Severity};
pub(crate) use load::parse_regex;
pub use load::{COMPILED_BYTES, ENGINE, LoadError, Problem, compile};
pub use rule::{
    Allow, AllowTarget, Boundary, Check, Context, Example, Extractor, Filter, KeyName, Literal, MAX_MATCH,
    Part, Pattern, REACH, Rule, RuleSet, SecretKind,
};
