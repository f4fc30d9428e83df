//! A report → a file that names what is known already, by fingerprint; and that file back. Holds no secret, and no time, so
//! that the same image gives the same file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::{Fingerprint, Report, Scheme};
use crate::rules::{RuleId, Severity};

/// The name and version of the form.
pub const SCHEMA: &str = "layersift.baseline/1";

/// Findings that are known.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The file, for reports.
    pub file: String,
    /// What it names.
    pub findings: BTreeMap<Fingerprint, Known>,
}

/// A finding that is known. All but its name is for whoever reviews the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The rule.
    pub rule: RuleId,
    /// How bad.
    pub severity: Severity,
    /// The repository it was found in.
    pub repository: String,
    /// The first place it stood in, escaped.
    pub place: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    fingerprint_scheme: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint_key: Option<String>,
    findings: BTreeMap<Fingerprint, Known>,
}

/// Why a file is no baseline for this run.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It is not of the form.
    #[error("line {line}: it is no baseline: {why}")]
    Form {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// It is of another version, or of something else.
    #[error("its schema is `{found}`, and this version reads `{SCHEMA}`")]
    Schema {
        /// What it says; escaped.
        found: String,
    },
    /// Its fingerprints were made in another way.
    #[error("its fingerprints are of scheme `{found}`, and those of this run of `{wanted}`")]
    Scheme {
        /// What it says; escaped.
        found: String,
        /// That of the run.
        wanted: &'static str,
    },
    /// Its fingerprints were made with another key.
    #[error("its fingerprints were made with another key")]
    Key,
}

impl BaselineError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Form { .. } | Self::Schema { .. } => "write it again with `layersift baseline TARGET`",
            Self::Scheme { .. } => {
                "the scheme is `lsk1` with a fingerprint key and `ls1` without: give the key the baseline was made with, or \
                 write the baseline again"
            }
            Self::Key => {
                "give the key the baseline was made with, or write it again with `layersift baseline TARGET`"
            }
        }
    }
}

impl Baseline {
    /// The file that names every finding of `report`, which [`Report::conceal`] has gone over.
    ///
    /// `key` tells one fingerprint key from another; see [`crate::finding::Fingerprinter::key_name`].
    pub fn write(report: &Report, key: Option<String>) -> String {
        let findings = report.findings.iter().map(|finding| {
            let known = Known {
                rule: finding.rule.clone(),
                severity: finding.severity,
                repository: finding.repository.clone(),
                place: super::place_of(finding),
            };
            (finding.fingerprint.clone(), known)
        });
        let file = File {
            schema: SCHEMA.to_owned(),
            fingerprint_scheme: report.scheme.name().to_owned(),
            fingerprint_key: key,
            findings: findings.collect(),
        };
        let mut text = serde_json::to_string_pretty(&file).expect("a map with keys of text is JSON");
        text.push('\n');
        text
    }

    /// Reads a baseline for a run of this scheme and key.
    ///
    /// *Errors*: where it is none, or its fingerprints cannot be compared with those of the run.
    pub fn read(file: &str, text: &str, scheme: Scheme, key: Option<&str>) -> Result<Self, BaselineError> {
        /// What tells a version from another.
        #[derive(Deserialize)]
        struct Opening {
            schema: Option<String>,
        }
        let form = |error: serde_json::Error| BaselineError::Form {
            line: error.line(),
            why: crate::text::escape(error.to_string().as_bytes()),
        };
        let opening: Opening = serde_json::from_str(text).map_err(form)?;
        if opening.schema.as_deref() != Some(SCHEMA) {
            let found = opening.schema.as_deref().unwrap_or("none");
            return Err(BaselineError::Schema {
                found: crate::text::escape(found.as_bytes()),
            });
        }
        let read: File = serde_json::from_str(text).map_err(form)?;
        if read.fingerprint_scheme != scheme.name() {
            return Err(BaselineError::Scheme {
                found: crate::text::escape(read.fingerprint_scheme.as_bytes()),
                wanted: scheme.name(),
            });
        }
        if read.fingerprint_key.as_deref() != key {
            return Err(BaselineError::Key);
        }
        Ok(Self {
            file: file.to_owned(),
            findings: read.findings,
        })
    }
}
