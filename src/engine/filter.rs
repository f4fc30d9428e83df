//! What rules in the format of Gitleaks are limited to and let pass: paths, allowlists, stopwords. Judges no secret.

use regex_automata::meta::Regex;

use super::matcher::Found;
use crate::rules::{self, AllowTarget};

/// The bytes around a match in which its line is looked for.
const LINE: usize = 4096;

/// The compiled form of [`rules::Filter`].
pub(super) struct Filter {
    path: Option<Regex>,
    allow: Vec<Allow>,
}

struct Allow {
    regexes: Vec<Regex>,
    target: AllowTarget,
    paths: Vec<Regex>,
    stopwords: Vec<Vec<u8>>,
    needs_all: bool,
}

impl Filter {
    pub(super) fn new(filter: &rules::Filter) -> Self {
        let allow = filter.allow.iter().map(|allow| Allow {
            regexes: allow.regexes.iter().map(|source| compiled(source)).collect(),
            target: allow.target,
            paths: allow.paths.iter().map(|source| compiled(source)).collect(),
            stopwords: allow.stopwords.clone(),
            needs_all: allow.needs_all,
        });
        Self {
            path: filter.path.as_deref().map(compiled),
            allow: allow.collect(),
        }
    }

    /// Whether a match counts.
    pub(super) fn lets(&self, region: &[u8], found: &Found, path: &[u8]) -> bool {
        let is_there = self.path.as_ref().is_none_or(|regex| regex.is_match(path));
        is_there && !self.allow.iter().any(|allow| allow.allows(region, found, path))
    }
}

impl Allow {
    fn allows(&self, region: &[u8], found: &Found, path: &[u8]) -> bool {
        let secret = &region[found.secret.clone()];
        let target = match self.target {
            AllowTarget::Secret => secret,
            AllowTarget::Match => &region[found.whole.clone()],
            AllowTarget::Line => line(region, found),
        };
        let lower = secret.to_ascii_lowercase();
        let conditions = [
            (
                !self.regexes.is_empty(),
                self.regexes.iter().any(|regex| regex.is_match(target)),
            ),
            (
                !self.paths.is_empty(),
                self.paths.iter().any(|regex| regex.is_match(path)),
            ),
            (
                !self.stopwords.is_empty(),
                self.stopwords
                    .iter()
                    .any(|word| memchr::memmem::find(&lower, word).is_some()),
            ),
        ];
        let mut given = conditions
            .iter()
            .filter(|(is_given, _)| *is_given)
            .map(|(_, holds)| *holds)
            .peekable();
        match self.needs_all {
            true => given.peek().is_some() && given.all(|holds| holds),
            false => given.any(|holds| holds),
        }
    }
}

fn compiled(source: &str) -> Regex {
    rules::compile(source).expect("the loader compiled it")
}

/// The line a match begins in, as far as it is near.
fn line<'r>(region: &'r [u8], found: &Found) -> &'r [u8] {
    let at = found.whole.start;
    let before = &region[at.saturating_sub(LINE)..at];
    let start = at - before.len() + memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let behind = &region[at..region.len().min(at + LINE)];
    let end = at + memchr::memchr(b'\n', behind).unwrap_or(behind.len());
    &region[start..end]
}
