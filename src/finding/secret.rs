//! Secrets that cannot be printed by accident.

use std::fmt;

/// The bytes of a secret. `Debug` and `Display` show a redacted form, and there is no serde: whoever wants the
/// bytes must ask for them by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(Vec<u8>);

/// Whether a report may show secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reveal {
    /// As they are: only on demand.
    Plain,
    /// Only enough to recognise one's own.
    #[default]
    Redacted,
}

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// A few characters from both ends, never more than a quarter of it, and its length: `GOOG1E…CCID (61)`.
    ///
    /// Secrets under 16 bytes show nothing of themselves.
    pub fn redacted(&self) -> String {
        let shown = match self.0.len() {
            0..16 => 0,
            16..40 => 2,
            _ => 4,
        };
        let head = crate::text::escape(&self.0[..shown]);
        let tail = crate::text::escape(&self.0[self.0.len() - shown..]);
        format!("{head}…{tail} ({})", self.0.len())
    }

    /// The text a report shows.
    pub fn shown(&self, reveal: Reveal) -> String {
        match reveal {
            Reveal::Plain => crate::text::escape(&self.0),
            Reveal::Redacted => self.redacted(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.redacted())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}
