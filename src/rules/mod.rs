//! Rules are data: TOML in, a checked [`RuleSet`] out. Nothing here matches anything.

mod builtin;
pub mod example;
pub mod grade;
mod load;
mod rule;

pub use grade::{Confidence, Evidence, RuleId, Severity};
pub use load::{LoadError, Problem};
pub use rule::{
    Boundary, Check, Context, Example, Extractor, Literal, Part, Pattern, Rule, RuleSet, SecretKind,
};
