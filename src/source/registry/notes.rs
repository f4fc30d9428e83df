//! What is worth telling although nothing was lost by it: a mirror that was no use, a warning that a registry sent.
//! Prints nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::source::Problem;
use crate::text;

/// Notes of one source; more say nothing new.
const MAX_NOTES: usize = 50;

/// The characters kept of a warning, of the 4,096 that distribution-spec allows.
const MAX_WARNING: usize = 200;

/// Notes, each once, in the order of their texts.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<BTreeSet<Note>>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Note {
    reason: &'static str,
    what: String,
    why: String,
}

impl Notes {
    pub(super) fn add(&self, reason: &'static str, what: impl Into<String>, why: impl Into<String>) {
        let (what, why) = (what.into(), why.into());
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MAX_NOTES {
            notes.insert(Note { reason, what, why });
        }
    }

    pub(super) fn list(&self) -> Vec<Problem> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = |note: &Note| Problem {
            what: note.what.clone(),
            why: note.why.clone(),
            reason: note.reason,
        };
        notes.iter().map(problem).collect()
    }
}

/// The text of a `Warning` header, escaped and cut; `None` where it is not one for people. *Source*:
/// distribution-spec "Warnings": `299 - "text"`.
pub(super) fn warning(value: &[u8]) -> Option<String> {
    let quoted = value.strip_prefix(b"299 - \"")?.strip_suffix(b"\"")?;
    let plain = String::from_utf8_lossy(quoted)
        .replace("\\\"", "\"")
        .replace("\\\\", "\\");
    let cut: String = plain.chars().take(MAX_WARNING).collect();
    let ellipsis = if cut.len() < plain.len() { "…" } else { "" };
    (!cut.trim().is_empty()).then(|| format!("{}{ellipsis}", text::escape(cut.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_read_in_the_one_form_it_may_have() {
        let told = |value: &str| warning(value.as_bytes());
        assert_eq!(
            told(r#"299 - "use the other name""#).unwrap(),
            "use the other name"
        );
        assert_eq!(
            told(r#"299 - "a \"b\" \\c""#).unwrap(),
            r#"a "b" \\c"#,
            "escaped again"
        );
        assert_eq!(told("299 - \"red \u{1b}[31m\"").unwrap(), r"red \u{1b}[31m");
        assert_eq!(warning(b"299 - \"\xff\"").unwrap(), "\u{fffd}");
        let long = told(&format!(r#"299 - "{}""#, "é".repeat(4000))).unwrap();
        assert_eq!(long.chars().count(), MAX_WARNING + 1);
        for none in [
            "",
            "299 -",
            r#"199 - "x""#,
            r#"299 host "x""#,
            r#"299 - "x"#,
            r#"299 - """#,
            "299 - \"",
        ] {
            assert_eq!(told(none), None, "{none}");
        }
    }

    #[test]
    fn a_note_is_told_once_and_not_all_of_many_are() {
        let notes = Notes::default();
        for n in 0..100 {
            notes.add("registry-warning", "registry.example.com", "deprecated");
            notes.add("registry-warning", "registry.example.com", format!("{n}"));
        }
        assert_eq!(notes.list().len(), MAX_NOTES);
        assert_eq!(
            notes
                .list()
                .iter()
                .filter(|note| note.why == "deprecated")
                .count(),
            1
        );
    }
}
