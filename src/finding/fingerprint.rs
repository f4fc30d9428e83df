//! The name of a finding across rebuilds, retagging and moved lines.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::rules::{RuleId, SecretKind};
use crate::text::secret::{Sealer, Secret};

/// `ls1:` or `lsk1:` and 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How fingerprints are made. Comparing two schemes is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Without a key. A secret that could be guessed is named by its place instead of its value, since a short
    /// hash of a weak secret tells whoever guesses it.
    Ls1,
    /// With a key: every secret is named by an HMAC of its value.
    Lsk1,
}

impl Scheme {
    /// `ls1` or `lsk1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ls1 => "ls1",
            Self::Lsk1 => "lsk1",
        }
    }
}

/// Makes fingerprints of one scheme.
#[derive(Clone)]
pub struct Fingerprinter {
    key: Option<Vec<u8>>,
}

impl Fingerprinter {
    /// Without a key: [`Scheme::Ls1`].
    pub fn unkeyed() -> Self {
        Self { key: None }
    }

    /// With a key: [`Scheme::Lsk1`].
    pub fn keyed(key: Vec<u8>) -> Self {
        Self { key: Some(key) }
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        if self.key.is_some() {
            Scheme::Lsk1
        } else {
            Scheme::Ls1
        }
    }

    /// Seals secrets so that they get the same fingerprints as before. `key` is used where there is none for the
    /// fingerprints.
    pub fn sealer(&self, key: &[u8]) -> Sealer {
        match &self.key {
            Some(key) => Sealer::keyed(key.clone()),
            None => Sealer::unkeyed(key.to_vec()),
        }
    }

    /// What tells one key from another without telling the key: 8 hex digits; `None` without a key. Fingerprints that were made
    /// with different keys cannot be compared.
    pub fn key_name(&self) -> Option<String> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.as_ref()?).expect("HMAC takes keys of any length");
        mac.update(b"layersift: the name of a fingerprint key");
        Some(crate::text::hex(&mac.finalize().into_bytes()[..4]))
    }

    /// The fingerprint of a secret.
    ///
    /// `repository` has neither tag nor digest, so that a rebuild keeps the name. `place` names a guessable secret in
    /// scheme `ls1`: its path and its number among the findings of that rule there. A sealed secret must be one of
    /// [`Fingerprinter::sealer`].
    pub fn fingerprint(
        &self,
        rule: &RuleId,
        repository: &str,
        kind: SecretKind,
        secret: &Secret,
        place: &str,
    ) -> Fingerprint {
        let scheme = self.scheme().name();
        let identity: Vec<u8> = match (&self.key, kind) {
            (Some(key), _) => match secret.identity() {
                Some(identity) => identity.to_vec(),
                None => Sealer::keyed(key.clone()).identity(secret.expose()).to_vec(),
            },
            (None, SecretKind::Generated) => secret.hash().unwrap_or_default().to_vec(),
            (None, SecretKind::Guessable) => place.as_bytes().to_vec(),
        };
        let mut hash = Sha256::new();
        for part in [
            scheme.as_bytes(),
            rule.0.as_bytes(),
            repository.as_bytes(),
            &identity,
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Fingerprint(format!("{scheme}:{}", &crate::text::hex(&hash.finalize())[..32]))
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprinter({})", self.scheme().name())
    }
}
