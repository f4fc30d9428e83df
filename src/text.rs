//! Text for people and for JSON: escaping for terminals, lossless bytes, hex. Knows nothing of images.
//!
//! Names inside an image are written by whoever built it. Nothing from an image reaches a terminal or a log
//! except through [`escape`].

pub mod chain;
pub mod conceal;
pub mod context;
pub mod lines;
pub mod name;
pub mod secret;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Text that is safe to print on one line of a terminal or a CI log.
///
/// Control characters (C0, C1, DEL), line separators, bidirectional controls, zero-width characters and bytes
/// that are not UTF-8 become visible escapes (`\n`, `\u{202e}`, `\xff`); a backslash is doubled, so the result
/// can be read back unambiguously. A leading `::` or `##[` is escaped too: CI systems take it as a command.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if is_unprintable(c) => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    if out.starts_with("::") || out.starts_with("##[") {
        let first = out.remove(0);
        out.insert_str(0, &format!("\\u{{{:x}}}", u32::from(first)));
    }
    out
}

/// Whether `c` is invisible or moves other text: controls, line separators, bidirectional and zero-width characters.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xAD | 0x61C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB
            | 0xE0000..=0xE007F)
}

/// Lower-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// A number of things for people: `1 layer`, `2 layers`. The noun takes an s.
pub fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped_digits(count))
}

/// `18,204`.
fn grouped_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A byte count for people: `412 B`, `1.5 KiB`, `3.2 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Bytes that JSON can carry without loss: `{"text": …}` where they are UTF-8, `{"bytes": base64}` where not.
///
/// The form is ripgrep's; it lets a path of any bytes survive a report.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lossless(pub Vec<u8>);

impl Lossless {
    /// The bytes escaped for display.
    pub fn escaped(&self) -> String {
        escape(&self.0)
    }
}

impl std::fmt::Debug for Lossless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.escaped())
    }
}

impl From<&[u8]> for Lossless {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for Lossless {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// Where in a file or a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// The line, from 1; 0 where lines have no meaning.
    pub line: u64,
    /// The column in bytes, from 1.
    pub column: u64,
    /// The column in UTF-16 code units, from 1.
    pub column_utf16: u64,
    /// Length in bytes.
    pub length: u64,
    /// The offset of the first byte in the uncompressed layer, or in the text.
    pub offset: u64,
    /// The offset in the file.
    pub file_offset: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wire {
    Text(String),
    Bytes(String),
}

impl Serialize for Lossless {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        match std::str::from_utf8(&self.0) {
            Ok(text) => Wire::Text(text.to_owned()),
            Err(_) => Wire::Bytes(base64::engine::general_purpose::STANDARD.encode(&self.0)),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lossless {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine as _;
        match Wire::deserialize(deserializer)? {
            Wire::Text(text) => Ok(Self(text.into_bytes())),
            Wire::Bytes(text) => base64::engine::general_purpose::STANDARD
                .decode(text)
                .map(Self)
                .map_err(|error| serde::de::Error::custom(format!("`bytes` is not base64: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_something_is_no_plural() {
        assert_eq!(counted(0, "layer"), "0 layers");
        assert_eq!(counted(1, "more member"), "1 more member");
        assert_eq!(counted(18_204, "byte"), "18,204 bytes");
    }
}
