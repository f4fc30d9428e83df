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
