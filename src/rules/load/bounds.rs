//! How long a match of an expression may be and how far into it its literals stand, as worked out beforehand for the
//! built-in rules: parsing their expressions for it was most of what a small scan took. Works nothing out.
//!
//! What is not in the list is worked out when it is loaded, so that a list that lags behind the rules is slower and never
//! wrong. A test holds it to what a load works out; `UPDATE_GOLDEN=1` renews it.

use std::collections::HashMap;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use crate::rules::rule::Literal;

/// What is known of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bounds {
    pub(super) max_bytes: u32,
    pub(super) lead: Option<u32>,
}

impl Bounds {
    /// Those of a built-in expression that literals lead to.
    pub(super) fn known(source: &str, literals: &[Literal]) -> Option<Self> {
        KNOWN.get(&key(source, literals)).copied()
    }
}

/// What stands for an expression and the literals that lead to it.
pub(super) fn key(source: &str, literals: &[Literal]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(source);
    for literal in literals {
        hash.update([0, u8::from(literal.ignore_case)]);
        hash.update(&literal.text);
    }
    let digest: [u8; 32] = hash.finalize().into();
    u64::from_be_bytes(*digest.first_chunk().expect("32 bytes have a first eight"))
}

/// Key, most bytes and, where there is one, the lead, a line each.
const LIST: &str = include_str!("bounds.txt");

static KNOWN: LazyLock<HashMap<u64, Bounds>> = LazyLock::new(|| LIST.lines().filter_map(line).collect());

fn line(line: &str) -> Option<(u64, Bounds)> {
    let mut words = line.split(' ');
    let key = u64::from_str_radix(words.next()?, 16).ok()?;
    let max_bytes = words.next()?.parse().ok()?;
    let lead = words.next().and_then(|lead| lead.parse().ok());
    Some((key, Bounds { max_bytes, lead }))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    use super::*;

    /// Compares the list with what was worked out, or renews it.
    pub(in crate::rules::load) fn compare(worked_out: &BTreeMap<u64, Bounds>) {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let mut list = String::new();
            for (key, Bounds { max_bytes, lead }) in worked_out {
                write!(list, "{key:016x} {max_bytes}").unwrap();
                if let Some(lead) = lead {
                    write!(list, " {lead}").unwrap();
                }
                list.push('\n');
            }
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/rules/load/bounds.txt");
            std::fs::write(file, list).unwrap();
            return;
        }
        for (key, bounds) in worked_out {
            assert!(
                KNOWN.get(key).is_none_or(|known| known == bounds),
                "{key:016x} should be {bounds:?}: run with UPDATE_GOLDEN=1"
            );
        }
        let unknown = worked_out.keys().filter(|key| !KNOWN.contains_key(key)).count();
        assert!(
            unknown * 5 <= worked_out.len(),
            "{unknown} of {} expressions are worked out at every start: run with UPDATE_GOLDEN=1",
            worked_out.len()
        );
    }
}
