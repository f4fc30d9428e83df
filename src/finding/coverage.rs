//! The ledger: what was read, what was not, and why. It is part of every report.

/// Bytes of a scan. `seen = scanned + skipped` always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Decompressed bytes that arrived.
    pub seen_bytes: u64,
    /// Those that were searched.
    pub scanned_bytes: u64,
    /// Those that were not, by the sum of [`Skip::bytes`] where known.
    pub skipped_bytes: u64,
    /// Bytes that archives inside layers expanded to. They were searched besides, and are in none of the sums above.
    pub expanded_bytes: u64,
    /// What was not read, not verified or not opened.
    pub skips: Vec<Skip>,
}

impl Coverage {
    /// Whether every byte of the image was read, verified and searched.
    pub fn is_complete(&self) -> bool {
        self.skips.iter().all(|skip| skip.kind != SkipKind::Incomplete)
    }
}

/// One thing that was not scanned as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skip {
    /// Whether the scan is incomplete by it.
    pub kind: SkipKind,
    /// Why.
    pub reason: SkipReason,
    /// Where: `layer 3 (sha256:…)`, `manifest sha256:…`; escaped.
    pub place: String,
    /// How many bytes, where that is known.
    pub bytes: Option<u64>,
    /// The cause for a person, without a secret; escaped.
    pub detail: String,
    /// The image it concerns, by its place in [`super::Report::images`].
    pub image: Option<usize>,
}

/// How bad a skip is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipKind {
    /// Bytes of the image were not read or not verified: the exit code says so.
    Incomplete,
    /// Something odd that lost no byte: a second archive behind the first, a member of a strange type.
    Note,
    /// Nested content that was searched raw but could not be opened.
    Opaque,
}

/// The stable name of a reason: kebab-case, as `digest-mismatch`, `truncated`, `unsupported-compression`.
pub type SkipReason = &'static str;
