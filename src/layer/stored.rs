//! A layer's record without its secrets, as bytes and back. Keeps no bytes anywhere itself.
//!
//! What is left of a sealed record is what a redacted report would show of it, the paths of its members, and for each
//! secret a keyed hash to know it again by. Findings assembled from it are those of the record it was made of.

use std::collections::BTreeSet;
use std::io::Read;

use sha2::{Digest as _, Sha256};

use crate::engine::Candidate;
use crate::text::chain::{Chain, Link};
use crate::text::conceal::{Concealer, LEAST_IN_PATH, LEAST_IN_TEXT};
use crate::text::secret::{Nature, Sealer, Secret};

use super::record::{LayerCandidate, LayerRecord};

/// Rises with every change of what the bytes mean: a test pins them.
const VERSION: u8 = 2;

/// 2 GiB: a record is decompressed no further. The table of paths of a layer is far smaller, see
/// [`crate::limits::Limits::path_table_bytes`].
const MAX_BYTES: u64 = 1 << 31;

/// Why a record cannot be stored or read back.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The bytes are no record, or are damaged.
    #[error("the stored record is damaged: {why}")]
    Damaged {
        /// What is wrong.
        why: String,
    },
    /// It was made by other rules or another version.
    #[error("the stored record was made by another version or with other rules")]
    Foreign,
    /// It holds a secret in the clear.
    #[error("the record is not sealed")]
    NotSealed,
}

impl LayerRecord {
    /// Replaces every secret by its sealed form, and conceals it in the texts and paths around. `nature` tells what the
    /// text of a candidate is; what stands beside it is never an identifier.
    pub fn seal(&mut self, sealer: &Sealer, nature: &dyn Fn(&Candidate) -> Nature) {
        let concealers = Concealers::of(&self.candidates);
        let is_hidden = |name: &[u8]| concealers.in_path.concealed(name);
        let mut rows = self.paths.rows();
        let mut any = false;
        while let Some(row) = rows.read() {
            any |= is_hidden(&row.path).is_some() || is_hidden(row.link).is_some();
        }
        if any {
            self.paths = self.paths.renamed(is_hidden);
        }
        for skip in &mut self.skips {
            concealers.in_path.text(&mut skip.detail);
        }
        for found in &mut self.candidates {
            concealers.seal(found, sealer, nature);
        }
    }

    /// The bytes of a sealed record that was made with the rules of this hash.
    ///
    /// *Errors*: [`StoredError::NotSealed`].
    pub fn to_bytes(&self, rule_set: &str) -> Result<Vec<u8>, StoredError> {
        let bytes = postcard::to_stdvec(self).map_err(|_| StoredError::NotSealed)?;
        Ok(pack(&bytes, rule_set))
    }

    /// The record of these bytes, whose secrets `sealer` had sealed.
    ///
    /// *Errors*: where they were made with other rules, or are no record.
    pub fn from_bytes(bytes: &[u8], rule_set: &str, sealer: &Sealer) -> Result<Self, StoredError> {
        let mut record: Self = postcard::from_bytes(&unpack(bytes, rule_set)?).map_err(damaged)?;
        for found in &mut record.candidates {
            adopt(found, sealer);
        }
        Ok(record)
    }
}

/// Seals candidates that were found together in texts: the same for what is in no layer.
pub fn seal_all(
    candidates: &mut [&mut LayerCandidate],
    sealer: &Sealer,
    nature: &dyn Fn(&Candidate) -> Nature,
) {
    let found: Vec<LayerCandidate> = candidates.iter().map(|found| (*found).clone()).collect();
    let concealers = Concealers::of(&found);
    for found in candidates {
        concealers.seal(found, sealer, nature);
    }
}

/// Ties what was read to the key it was sealed with.
pub fn adopt(found: &mut LayerCandidate, sealer: &Sealer) {
    sealer.adopt(&mut found.candidate.text);
    for companion in &mut found.candidate.companions {
        sealer.adopt(&mut companion.text);
    }
}

/// Bytes in the form they are stored in: compressed, with a checksum, and tied to the rules they were made with.
pub fn pack(bytes: &[u8], rule_set: &str) -> Vec<u8> {
    let mut packed = head(rule_set);
    packed.extend_from_slice(&Sha256::digest(bytes)[..8]);
    packed.extend(zstd::bulk::compress(bytes, 3).expect("memory can be compressed at a level that exists"));
    packed
}

/// What was packed.
///
/// *Errors*: where it was packed with other rules, or is damaged.
pub fn unpack(packed: &[u8], rule_set: &str) -> Result<Vec<u8>, StoredError> {
    let rest = packed
        .strip_prefix(&head(rule_set)[..])
        .ok_or(StoredError::Foreign)?;
    let (check, compressed) = rest
        .split_first_chunk::<8>()
        .ok_or_else(|| damaged("it is cut off"))?;
    let mut bytes = Vec::new();
    zstd::stream::read::Decoder::new(compressed)
        .and_then(|decoder| decoder.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(damaged)?;
    if Sha256::digest(&bytes)[..8] != *check {
        return Err(damaged("its bytes have changed"));
    }
    Ok(bytes)
}

fn damaged(why: impl ToString) -> StoredError {
    StoredError::Damaged { why: why.to_string() }
}

/// What bytes begin with that were made with these rules.
fn head(rule_set: &str) -> Vec<u8> {
    let rules = Sha256::digest(rule_set);
    [b"lsr", &[VERSION][..], &rules[..12]].concat()
}

/// Finds the secrets of one record in what is told around them.
struct Concealers {
    in_text: Concealer,
    in_path: Concealer,
}

impl Concealers {
    fn of(candidates: &[LayerCandidate]) -> Self {
        let secrets: BTreeSet<&Secret> = candidates
            .iter()
            .flat_map(|found| {
                let companions = found.candidate.companions.iter();
                std::iter::once(&found.candidate.text).chain(companions.map(|companion| &companion.text))
            })
            .collect();
        Self {
            in_text: Concealer::new(secrets.iter().copied(), LEAST_IN_TEXT),
            in_path: Concealer::new(secrets.iter().copied(), LEAST_IN_PATH),
        }
    }

    fn seal(&self, found: &mut LayerCandidate, sealer: &Sealer, nature: &dyn Fn(&Candidate) -> Nature) {
        let own = nature(&found.candidate);
        let beside = match own {
            Nature::Guessable => Nature::Guessable,
            Nature::Generated | Nature::Identifier => Nature::Generated,
        };
        for line in &mut found.context {
            self.in_text.text(&mut line.text);
        }
        if found.within.member().is_some() {
            found.within = self.chain(&found.within);
        }
        found.candidate.text = sealer.seal(&found.candidate.text, own);
        for companion in &mut found.candidate.companions {
            companion.text = sealer.seal(&companion.text, beside);
        }
    }

    fn chain(&self, chain: &Chain) -> Chain {
        let links = chain.links().iter().cloned();
        links
            .map(|mut link| {
                if let Link::Member(path) = &mut link
                    && let Some(concealed) = self.in_path.concealed(&path.0)
                {
                    path.0 = concealed;
                }
                link
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::{LiteralSet, Matcher};
    use crate::layer::{Claims, LayerReader, Silent};
    use crate::limits::{Budget, Limits};
    use crate::oci::Algorithm;
    use crate::rules::RuleSet;

    const RULES: &str = "sha256:rules";

    fn token(number: u64) -> String {
        let scattered = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("tok_{scattered:016x}")
    }

    fn matcher() -> Matcher {
        let rule = super::super::reader::tests::RULE;
        let rules = RuleSet::load(&[("tests.toml".to_owned(), rule.to_owned())]).expect("the rule is right");
        Matcher::new(Arc::new(rules.retain(|rule| rule.id.0 == "test-token")))
    }

    fn read(blob: &[u8]) -> LayerRecord {
        static MATCHER: std::sync::LazyLock<Matcher> = std::sync::LazyLock::new(matcher);
        let matcher = &*MATCHER;
        let limits = Limits::default();
        let budget = Budget::new(limits.in_flight_bytes);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .expect("a thread starts");
        let cancelled = AtomicBool::new(false);
        let reader = LayerReader::new(matcher, &limits, &budget, &pool, &cancelled);
        let claims = Claims {
            digest: Algorithm::Sha256,
            diff_id: None,
            size: None,
        };
        reader.read(&mut &blob[..], claims, &Silent)
    }

    fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, path, content.as_slice())
                .expect("the archive can be written");
        }
        builder.into_inner().expect("the archive can be ended")
    }

    fn holds(bytes: &[u8], text: &str) -> bool {
        memchr::memmem::find(bytes, text.as_bytes()).is_some()
    }

    fn files() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
        let path = prop_oneof![
            "[a-z]{1,8}(/[a-z]{1,8}){0,3}",
            (0_u64..4).prop_map(|n| format!("srv/{}", token(n))),
            Just("var/lib/dpkg/info/acme.md5sums".to_owned()),
            "[a-z]{1,4}/\\.wh\\.[a-z]{1,4}",
        ];
        let content = prop_oneof![
            "[a-z \n]{0,80}".prop_map(String::into_bytes),
            (0_u64..4, "[a-z=\n ]{0,30}").prop_map(|(n, text)| {
                format!("{text}\nkey = '{}' # {}\n{text}", token(n), token(n)).into_bytes()
            }),
            Just(format!("{}  srv/app\n", "0123456789abcdef".repeat(2)).into_bytes()),
        ];
        prop::collection::vec((path, content), 0..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_sealed_record_is_the_same_after_it_was_stored_and_holds_no_secret(files in files()) {
            let sealer = Sealer::keyed(b"a key".to_vec());
            let fresh = read(&tar(&files));
            let mut sealed = read(&tar(&files));
            sealed.seal(&sealer, &|_| Nature::Generated);
            let plain = postcard::to_stdvec(&sealed).expect("it is sealed");
            for number in 0..4 {
                prop_assert!(!holds(&plain, &token(number)));
            }
            let stored = sealed.to_bytes(RULES).expect("it is sealed");
            sealed.seen = LiteralSet::default();
            let read = LayerRecord::from_bytes(&stored, RULES, &sealer).expect("it was stored");
            prop_assert_eq!(format!("{read:?}"), format!("{sealed:?}"));
            prop_assert_eq!(read.to_bytes(RULES).expect("it is sealed"), stored);
            prop_assert_eq!(fresh.candidates.len(), read.candidates.len());
            for (plain, sealed) in fresh.candidates.iter().zip(&read.candidates) {
                prop_assert!(sealed.candidate.text.is(plain.candidate.text.expose()));
                prop_assert_eq!(sealed.location, plain.location);
            }
            prop_assert!(fresh.candidates.is_empty() || fresh.to_bytes(RULES).is_err(), "it is not sealed");
        }
    }

    #[test]
    fn bytes_of_other_rules_or_with_damage_are_refused() {
        let sealer = Sealer::keyed(b"a key".to_vec());
        let mut record = read(&tar(&[("a".to_owned(), token(1).into_bytes())]));
        record.seal(&sealer, &|_| Nature::Generated);
        let stored = record.to_bytes(RULES).unwrap();
        let back = |bytes: &[u8], rules: &str| LayerRecord::from_bytes(bytes, rules, &sealer);
        assert!(back(&stored, RULES).is_ok());
        assert!(matches!(
            back(&stored, "sha256:others"),
            Err(StoredError::Foreign)
        ));
        assert!(matches!(back(b"", RULES), Err(StoredError::Foreign)));
        for at in [20, stored.len() / 2, stored.len() - 1] {
            let mut damaged = stored.clone();
            damaged[at] ^= 0x10;
            assert!(back(&damaged, RULES).is_err(), "{at}");
            assert!(back(&stored[..at], RULES).is_err(), "cut at {at}");
        }
    }

    /// What the bytes mean must not change while [`VERSION`] stays.
    #[test]
    fn the_form_is_that_of_its_version() {
        let sealer = Sealer::keyed(b"a key".to_vec());
        let mut record = read(&tar(&[
            (
                "srv/.env".to_owned(),
                format!("a\nkey = {}\n", token(1)).into_bytes(),
            ),
            ("srv/.wh.old".to_owned(), Vec::new()),
        ]));
        record.seal(&sealer, &|_| Nature::Identifier);
        let bytes = postcard::to_stdvec(&record).unwrap();
        let digest = crate::text::hex(&Sha256::digest(&bytes)[..8]);
        assert_eq!(
            (VERSION, &*digest),
            (2, "6b42ccec4976d06f"),
            "raise VERSION with the form"
        );
    }
}
