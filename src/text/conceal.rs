//! Replaces secrets in texts by their redacted forms. Does not know where texts come from.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};

use super::secret::Secret;

/// Shorter secrets are left in texts: `root` as a password would cut every `/root` to pieces.
pub const LEAST_IN_TEXT: usize = 6;

/// Shorter secrets are left in paths, which people need to find the file. A path that holds a whole token is itself
/// the leak.
pub const LEAST_IN_PATH: usize = 16;

/// Whether a text holds a secret. One of which nothing is known but its hash is looked for as [`Concealer`] does.
pub fn stands_in(secret: &Secret, text: &[u8]) -> bool {
    match secret.known() {
        Some(bytes) => memchr::memmem::find(text, bytes).is_some(),
        None => Concealer::new([secret], 0).concealed(text).is_some(),
    }
}

/// Finds secrets in texts, whether their bytes are known or not.
pub struct Concealer {
    /// Those whose text is known, and what stands for each.
    plain: AhoCorasick,
    redacted: Vec<String>,
    /// The others by their lengths, the longest first.
    sealed: Vec<(usize, Vec<Secret>)>,
}

impl Concealer {
    /// Finds those of these secrets that have at least `least` bytes.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s Secret>, least: usize) -> Self {
        let mut texts = Vec::new();
        let mut redacted = Vec::new();
        let mut sealed: BTreeMap<Reverse<usize>, Vec<Secret>> = BTreeMap::new();
        for secret in secrets {
            if secret.length() < least as u64 {
                continue;
            }
            match secret.known() {
                Some(bytes) => {
                    texts.push(bytes);
                    redacted.push(secret.redacted());
                }
                None => (sealed.entry(Reverse(secret.length() as usize)).or_default()).push(secret.clone()),
            }
        }
        Self {
            plain: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(texts)
                .expect("the secrets of a report are far below the automaton's four billion states"),
            redacted,
            sealed: sealed
                .into_iter()
                .map(|(Reverse(length), secrets)| (length, secrets))
                .collect(),
        }
    }

    /// `text` without the secrets, where it holds one.
    pub fn concealed(&self, text: &[u8]) -> Option<Vec<u8>> {
        let plain = self
            .plain
            .is_match(text)
            .then(|| self.plain.replace_all_bytes(text, &self.redacted));
        let unsealed = self.without_sealed(plain.as_deref().unwrap_or(text));
        unsealed.or(plain)
    }

    /// A secret of which nothing is shown is looked for between characters that are no letters and digits: to compare
    /// it costs a hash.
    fn without_sealed(&self, text: &[u8]) -> Option<Vec<u8>> {
        let is_word = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let mut out = Vec::new();
        let mut copied = 0;
        let mut at = 0;
        while !self.sealed.is_empty() && at < text.len() {
            let found = self.sealed.iter().find_map(|(length, secrets)| {
                let piece = text.get(at..at + length)?;
                let inside = at > 0 && is_word(at - 1) && is_word(at);
                let candidates = secrets.iter().filter(|secret| {
                    piece.starts_with(secret.head()) && !(inside && secret.head().is_empty())
                });
                Some((*length, candidates.into_iter().find(|secret| secret.is(piece))?))
            });
            match found {
                Some((length, secret)) => {
                    out.extend_from_slice(&text[copied..at]);
                    out.extend_from_slice(secret.redacted().as_bytes());
                    at += length;
                    copied = at;
                }
                None => at += 1,
            }
        }
        (copied > 0).then(|| {
            out.extend_from_slice(&text[copied..]);
            out
        })
    }

    /// Replaces the secrets in `text` by their redacted forms.
    pub fn text(&self, text: &mut String) {
        if let Some(concealed) = self.concealed(text.as_bytes()) {
            *text = String::from_utf8_lossy(&concealed).into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::secret::{Nature, Sealer};

    #[test]
    fn sealed_secrets_are_replaced_as_plain_ones_are() {
        let sealer = Sealer::keyed(b"key".to_vec());
        let plain: Vec<Secret> = ["hunter2", "hunter2-long", "0123456789abcdefghij", "short"]
            .map(|text| Secret::new(text.as_bytes().to_vec()))
            .into();
        let sealed: Vec<Secret> = plain
            .iter()
            .map(|secret| sealer.seal(secret, Nature::Guessable))
            .collect();
        let text = "PW=hunter2 A='hunter2-long' x0123456789abcdefghijy short hunter2";
        let with = |secrets: &[Secret]| Concealer::new(secrets, LEAST_IN_TEXT).concealed(text.as_bytes());
        let expected = with(&plain).unwrap();
        assert_eq!(with(&sealed), Some(expected.clone()));
        assert_eq!(
            String::from_utf8(expected).unwrap(),
            "PW=… (7) A='… (12)' x01…ij (20)y short … (7)"
        );
        assert_eq!(
            Concealer::new(&sealed, LEAST_IN_TEXT).concealed(b"nothing of it"),
            None
        );
    }
}
