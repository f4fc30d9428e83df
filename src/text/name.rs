//! Names that stand in the program, written and read by serde: a name that was read becomes one of the program's again.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize as _, Deserializer, Serializer};

/// A name of the program.
pub type Name = &'static str;

/// Names that were read and are in no code: a program of another version wrote them. More than these are all called
/// [`UNKNOWN`].
const MOST: usize = 256;

/// The longest name that is kept.
const LONGEST: usize = 64;

/// What a name is called that is not kept.
pub const UNKNOWN: &str = "unknown";

/// For `serialize_with`.
pub fn serialize<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

/// For `deserialize_with`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    String::deserialize(deserializer).map(|name| known(&name))
}

/// `name`, for as long as the process runs. Each is kept once, and not too many are.
fn known(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(name) {
        Some(known) => known,
        None if names.len() >= MOST || name.len() > LONGEST => UNKNOWN,
        None => {
            let kept: &'static str = Box::leak(name.into());
            names.insert(kept);
            kept
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_not_any_number_is() {
        assert!(std::ptr::eq(known("digest-mismatch"), known("digest-mismatch")));
        assert_eq!(known(&"x".repeat(LONGEST + 1)), UNKNOWN);
    }
}
