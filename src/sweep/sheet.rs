//! An outcome as bytes that travel: in a file of a folder, or over a bus. Sealed, compressed, with a checksum, and tied to
//! the terms it was made on. Believes nothing it reads back.

use serde::{Deserialize, Serialize};

use crate::layer::LayerRecord;
use crate::layer::stored::{StoredError, pack, unpack};
use crate::text::secret::Sealer;

use super::job::{Outcome, Verdict};
use super::terms::{Difference, Terms};

/// Why bytes are no outcome that can be entered.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// They are damaged, or something else.
    #[error("it is damaged: {why}")]
    Damaged {
        /// What is wrong.
        why: String,
    },
    /// They were made on other terms.
    #[error("it was made with {0}")]
    Foreign(Difference),
}

#[derive(Serialize, Deserialize)]
struct Sheet {
    terms: Terms,
    outcome: Outcome,
}

impl Outcome {
    /// The bytes of it, made on these terms.
    pub fn to_bytes(&self, terms: &Terms) -> Vec<u8> {
        let sheet = Sheet {
            terms: terms.clone(),
            outcome: self.clone(),
        };
        let bytes = postcard::to_stdvec(&sheet).expect("plain values in memory can be written");
        pack(&bytes, &terms.rules)
    }

    /// The outcome of these bytes. The record in it is one that can be read, and is of the blob that it is said to be of.
    ///
    /// *Errors*: where they were made on other terms, or are no outcome.
    pub fn from_bytes(bytes: &[u8], terms: &Terms, sealer: &Sealer) -> Result<Self, SheetError> {
        let damaged = |why: &str| SheetError::Damaged { why: why.to_owned() };
        let bytes = unpack(bytes, &terms.rules).map_err(|error| match error {
            StoredError::Damaged { why } => SheetError::Damaged { why },
            StoredError::Foreign | StoredError::NotSealed => SheetError::Foreign(Difference::Rules),
        })?;
        let sheet: Sheet = postcard::from_bytes(&bytes).map_err(|error| damaged(&error.to_string()))?;
        terms.agree(&sheet.terms).map_err(SheetError::Foreign)?;
        let outcome = sheet.outcome;
        if let Verdict::Read(reading) = &outcome.verdict {
            let record = LayerRecord::from_bytes(&reading.record, &terms.rules, sealer)
                .map_err(|error| damaged(&error.to_string()))?;
            if outcome.digest.algorithm().is_some() && record.digest != outcome.digest {
                return Err(damaged("its record is that of another layer"));
            }
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::super::job::{Loss, Reading};
    use super::*;
    use crate::engine::LiteralSet;
    use crate::oci::Digest;

    fn terms(key: &str) -> Terms {
        Terms {
            rules: "rules".to_owned(),
            key: key.to_owned(),
            limits: "limits".to_owned(),
        }
    }

    #[test]
    fn no_changed_byte_changes_what_is_read() {
        let sealer = Sealer::keyed(b"a key".to_vec());
        let outcome = Outcome {
            digest: Digest::of(b"a layer"),
            verdict: Verdict::Lost(Loss::lasting("not-found", "it is gone")),
        };
        let bytes = outcome.to_bytes(&terms("one"));
        let read = |bytes: &[u8], key: &str| Outcome::from_bytes(bytes, &terms(key), &sealer);
        assert_eq!(read(&bytes, "one").unwrap(), outcome);
        assert!(matches!(
            read(&bytes, "two"),
            Err(SheetError::Foreign(Difference::Key))
        ));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            assert!(
                read(&changed, "one").map_or(true, |read| read == outcome),
                "byte {at}"
            );
            assert!(read(&bytes[..at], "one").is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_record_that_is_none_is_refused() {
        let sealer = Sealer::keyed(b"a key".to_vec());
        let outcome = Outcome {
            digest: Digest::of(b"a layer"),
            verdict: Verdict::Read(Reading {
                whole: true,
                bytes_in: 1,
                bytes_out: 1,
                entries: 1,
                gap: None,
                record: b"not a record".to_vec(),
                literals: LiteralSet::default(),
            }),
        };
        let bytes = outcome.to_bytes(&terms("one"));
        let read = Outcome::from_bytes(&bytes, &terms("one"), &sealer);
        assert!(matches!(read, Err(SheetError::Damaged { .. })));
    }
}
