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
    /// Secrets under 16 bytes show nothing of themselves. Of a PEM block the first line is shown, which names its kind and
    /// is no secret.
    pub fn redacted(&self) -> String {
        if let Some(label) = self.pem_label() {
            return format!("{} … ({})", crate::text::escape(label), self.0.len());
        }
        let shown = match self.0.len() {
            0..16 => 0,
            16..40 => 2,
            _ => 4,
        };
        let head = crate::text::escape(&self.0[..shown]);
        let tail = crate::text::escape(&self.0[self.0.len() - shown..]);
        format!("{head}…{tail} ({})", self.0.len())
    }

    /// The BEGIN line of a PEM block, up to its closing hyphens.
    fn pem_label(&self) -> Option<&[u8]> {
        const OPEN: &[u8] = b"-----BEGIN ";
        const LONGEST: usize = 80;
        let rest = self.0.strip_prefix(OPEN)?;
        let end = rest.windows(5).take(LONGEST).position(|five| five == b"-----")?;
        let is_label = rest[..end]
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
        is_label.then(|| &self.0[..OPEN.len() + end + 5])
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

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        Secret::new(text.as_bytes().to_vec()).redacted()
    }

    #[test]
    fn little_is_shown_of_long_secrets_and_nothing_of_short_ones() {
        assert_eq!(redacted("hunter2"), "… (7)");
        assert_eq!(redacted("0123456789abcdef"), "01…ef (16)");
        assert_eq!(redacted(&"0123456789".repeat(4)), "0123…6789 (40)");
    }

    #[test]
    fn a_pem_block_is_named_by_its_first_line() {
        let label = ["-----BEGIN ", "PRIVATE KEY-----"].concat();
        assert_eq!(redacted(&format!("{label}\nMIIE\n")), format!("{label} … (33)"));
        assert_eq!(redacted("-----BEGIN my password-----"), "--…-- (27)");
    }

    #[test]
    fn neither_debug_nor_display_shows_it() {
        let secret = Secret::new(b"correct horse battery staple".to_vec());
        assert!(!format!("{secret:?} {secret}").contains("horse"));
    }
}
