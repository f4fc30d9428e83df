//! What a record depends on besides the bytes of its layer. Whoever reads for somebody else must agree in all of it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::limits::Limits;
use crate::scan::Scan;
use crate::text::secret::Sealer;

/// Digits of a hash that tell two terms apart.
const DIGITS: usize = 16;

/// Rules, key and limits, by their hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The hash of the rules, the build of the program included.
    pub rules: String,
    /// Which key secrets are sealed with. Not the key.
    pub key: String,
    /// The hash of the limits.
    pub limits: String,
}

/// In which of them two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The rules, or the version.
    #[error("other rules, or another version of layersift")]
    Rules,
    /// The key.
    #[error("another fingerprint key")]
    Key,
    /// The limits.
    #[error("other limits (--limit)")]
    Limits,
}

impl Terms {
    /// The terms of a scan.
    pub fn of(scan: &Scan, limits: &Limits, sealer: &Sealer) -> Self {
        Self {
            rules: scan.rules().hash().to_owned(),
            key: digits(&super::key_check(sealer)),
            limits: digits(format!("{:?}", of_content(limits)).as_bytes()),
        }
    }

    /// In what `other` differs, if it does.
    ///
    /// *Errors*: the first difference.
    pub fn agree(&self, other: &Self) -> Result<(), Difference> {
        if self.rules != other.rules {
            return Err(Difference::Rules);
        }
        if self.key != other.key {
            return Err(Difference::Key);
        }
        match self.limits == other.limits {
            true => Ok(()),
            false => Err(Difference::Limits),
        }
    }

    /// All of them in one word.
    pub fn token(&self) -> String {
        digits(format!("{}\n{}\n{}", self.rules, self.key, self.limits).as_bytes())
    }
}

/// The first digits of the hash of something.
pub(super) fn digits(bytes: &[u8]) -> String {
    let mut digits = crate::text::hex(&Sha256::digest(bytes));
    digits.truncate(DIGITS);
    digits
}

/// The limits without those of networks and threads, which decide how long something takes and not what it gives.
fn of_content(limits: &Limits) -> Limits {
    let usual = Limits::default();
    Limits {
        connect_timeout: usual.connect_timeout,
        idle_timeout: usual.idle_timeout,
        tries: usual.tries,
        retry_after: usual.retry_after,
        redirects: usual.redirects,
        downloads_per_host: usual.downloads_per_host,
        list_bytes: usual.list_bytes,
        names: usual.names,
        token_bytes: usual.token_bytes,
        error_bytes: usual.error_bytes,
        engine_answer_timeout: usual.engine_answer_timeout,
        engine_export_timeout: usual.engine_export_timeout,
        in_flight_bytes: usual.in_flight_bytes,
        ..limits.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::rules::RuleSet;

    #[test]
    fn terms_differ_in_rules_key_and_limits_and_not_in_the_network() {
        let terms = |rules: &str, key: &str, limits: &Limits| {
            let rules = RuleSet::load(&[("test.toml".to_owned(), rules.to_owned())]).unwrap();
            let scan = Scan::new(Arc::new(rules)).jobs(1);
            Terms::of(&scan, limits, &Sealer::keyed(key.as_bytes().to_vec()))
        };
        let usual = Limits::default();
        let one = terms("", "key", &usual);
        assert_eq!(one.agree(&one), Ok(()));
        let slow = Limits {
            tries: 9,
            idle_timeout: Duration::from_secs(1),
            ..usual.clone()
        };
        assert_eq!(terms("", "key", &slow), one);
        assert_eq!(one.agree(&terms("", "other", &usual)), Err(Difference::Key));
        let tight = Limits {
            layer_bytes: 1,
            ..usual.clone()
        };
        let tight = terms("", "key", &tight);
        assert_eq!(one.agree(&tight), Err(Difference::Limits));
        assert_ne!(one.token(), tight.token());
        let other = Terms {
            rules: "others".to_owned(),
            ..one.clone()
        };
        assert_eq!(one.agree(&other), Err(Difference::Rules));
        assert!(!format!("{one:?}").contains("key\"}"));
    }
}
