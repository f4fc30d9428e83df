//! Tells which credentials of a container stand again in its content, so that each is told once, by its place there.
//! Compares what was found, never bytes.

use std::collections::HashMap;

use crate::text::chain::{Chain, Link};
use crate::text::secret::Secret;

use super::LayerCandidate;

/// Drops candidates that stand in the bytes of a container and again in the content that these bytes are: what a zip
/// stores, what tar, ar and cpio hold.
pub(super) fn drop_stored(candidates: &mut Vec<LayerCandidate>) {
    let inner = Inner::of(candidates);
    candidates.retain(|found| !inner.has(found));
}

/// Drops candidates in later versions of a file that an earlier one has: `commits` says by age in which commit each
/// version is first. Returns how many.
pub(super) fn drop_later_versions(
    candidates: &mut Vec<LayerCandidate>,
    commits: &HashMap<Chain, u32>,
) -> u64 {
    if commits.is_empty() {
        return 0;
    }
    // The file, whatever its version, and the credential.
    let version = |found: &LayerCandidate| {
        let links = found.within.links();
        (0..links.len()).find_map(|place| {
            let chain: Chain = links[..=place].iter().cloned().collect();
            let commit = *commits.get(&chain)?;
            let Link::Member(name) = &links[place] else {
                return None;
            };
            let path = name.0.splitn(2, |byte| *byte == b':').nth(1)?;
            let mut file = links.to_vec();
            file[place] = Link::Member(path.into());
            Some(((file, key(found)), commit))
        })
    };
    let mut first = HashMap::new();
    for (file, commit) in candidates.iter().filter_map(version) {
        let known = first.entry(file).or_insert(commit);
        *known = commit.min(*known);
    }
    let before = candidates.len();
    candidates.retain(|found| version(found).is_none_or(|(file, commit)| first.get(&file) == Some(&commit)));
    (before - candidates.len()) as u64
}

/// The credentials of nested content and where they are, to compare with those of its containers.
pub(in crate::layer) struct Inner(HashMap<Key, Vec<(Option<u32>, Chain)>>);

/// Rule, part, text and the texts of the companions.
type Key = (u32, Option<u32>, Secret, Vec<Secret>);

impl Inner {
    pub(in crate::layer) fn of(candidates: &[LayerCandidate]) -> Self {
        let mut inner: HashMap<Key, Vec<(Option<u32>, Chain)>> = HashMap::new();
        for found in candidates
            .iter()
            .filter(|found| !containers(&found.within).is_empty())
        {
            let places = inner.entry(key(found)).or_default();
            places.push((found.entry, found.within.clone()));
        }
        Self(inner)
    }

    /// Whether the same stands deeper in what `found` stands in.
    pub(in crate::layer) fn has(&self, found: &LayerCandidate) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let own = containers(&found.within);
        self.0.get(&key(found)).is_some_and(|places| {
            places.iter().any(|(entry, chain)| {
                let chain = containers(chain);
                *entry == found.entry && chain.len() > own.len() && chain.starts_with(own)
            })
        })
    }
}

fn key(found: &LayerCandidate) -> Key {
    let candidate = &found.candidate;
    let companions = candidate.companions.iter();
    (
        candidate.rule,
        candidate.part,
        candidate.text.clone(),
        companions.map(|companion| companion.text.clone()).collect(),
    )
}

/// The steps before any text was decoded.
fn containers(chain: &Chain) -> &[Link] {
    let links = chain.links();
    let encoded = links.iter().position(|link| matches!(link, Link::Encoding(_)));
    &links[..encoded.unwrap_or(links.len())]
}
