//! How bad and how sure: the words that rules, findings and reports share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a rule: lower-case words joined by hyphens, at most 80 bytes. It never changes its meaning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub String);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a live credential of this kind opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Little, or nothing without more.
    Low,
    /// A narrow or read-only access.
    Medium,
    /// An account or a service.
    High,
    /// Cloud, code, money or whole systems.
    Critical,
}

/// How sure it is that this is a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A shape that other things have too, a documented sample, a public test key.
    Low,
    /// A shape with a name, an entropy or a place that fits.
    Medium,
    /// A distinctive shape, a checksum, a parsed structure, or a complete pair.
    High,
}

/// One reason for a confidence. Each verdict of a check stays on the finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A checksum inside the credential is right.
    Checksum,
    /// A word that belongs to this kind of credential stands near it.
    Context,
    /// A password that manuals print opens it.
    DefaultPassword,
    /// A later layer deletes the file, which no package brought: somebody did not want it to stay. Confidence was raised
    /// for it.
    Deleted,
    /// The value is as random as such a credential must be.
    Entropy,
    /// It is encrypted; the passphrase is not in sight.
    Encrypted,
    /// Its time of validity, written inside it, was over when the rules were made.
    Expired,
    /// The rule describes no one credential: a value that has the name of one.
    Generic,
    /// It stands in a file that a package or a language's standard library brought; confidence was lowered for it.
    Packaged,
    /// Its other half was found.
    Paired,
    /// Its inner structure was decoded.
    Parsed,
    /// It reads like words, or repeats itself, more than a random value of its length and alphabet would. Only of generic
    /// rules.
    Patterned,
    /// The file's path is one where such credentials live.
    Path,
    /// A private key whose public key is known to belong to a published test key.
    PublicTestKey,
    /// A value that documentation prints.
    Sample,
    /// Its layer is part of images of several repositories, so that it comes from a common base; confidence was lowered
    /// for it.
    Shared,
    /// It says itself that it is for a test mode.
    TestMode,
    /// Its other half was not found.
    Unpaired,
}

macro_rules! lowercase_display {
    ($($name:ident { $($variant:ident => $text:literal),+ $(,)? })+) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $text),+ })
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!(concat!("expected one of", $(" `", $text, "`"),+))),
                }
            }
        }
    )+};
}

pub(super) use lowercase_display;

lowercase_display! {
    Severity { Low => "low", Medium => "medium", High => "high", Critical => "critical" }
    Confidence { Low => "low", Medium => "medium", High => "high" }
    Evidence {
        Checksum => "checksum", Context => "context", DefaultPassword => "default-password", Deleted => "deleted",
        Entropy => "entropy", Encrypted => "encrypted",
        Expired => "expired", Generic => "generic", Packaged => "packaged", Paired => "paired", Parsed => "parsed", Path => "path", Patterned => "patterned",
        PublicTestKey => "public-test-key", Sample => "sample", Shared => "shared", TestMode => "test-mode", Unpaired => "unpaired",
    }
}
