//! Reads PEM and OpenPGP armour as it really stands in files: with CRLF, indented, quoted line by line in source
//! code, with line breaks escaped once or twice, or with none at all. Does not interpret the body.

use super::token::decode_base64;

/// One armoured block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// What stands after `BEGIN`, e.g. `RSA PRIVATE KEY`.
    pub label: String,
    /// The header lines, e.g. `Proc-Type: 4,ENCRYPTED`.
    pub headers: Vec<String>,
    /// The decoded body.
    pub body: Vec<u8>,
    /// The checksum of OpenPGP armour, where there is one.
    pub crc24: Option<u32>,
}

/// Reads the block at the start of `text`. `None` where the body is not base64 or the end line is another's.
///
/// *Source*: RFC 7468 (PEM), RFC 1421 (headers), RFC 9580 section 6 (armour).
pub fn read(text: &[u8]) -> Option<Block> {
    let text = std::str::from_utf8(text).ok()?;
    let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (inner, end) = rest.split_once("-----END ")?;
    if !end.starts_with(label)
        || !label
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ')
    {
        return None;
    }
    let unescaped = unescape(inner);
    let (mut headers, mut body, mut crc24) = (Vec::new(), String::new(), None);
    for line in unescaped.lines() {
        let line = bare(line);
        if line.contains(": ") && body.is_empty() {
            headers.push(line.to_owned());
        } else if let (true, Some(checksum)) = (line.len() == 5, line.strip_prefix('=')) {
            let bytes = decode_base64(checksum.as_bytes())?;
            crc24 = Some(bytes.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)));
        } else {
            body.extend(line.split_ascii_whitespace());
        }
    }
    Some(Block {
        label: label.to_owned(),
        headers,
        body: decode_base64(body.as_bytes()).filter(|body| !body.is_empty())?,
        crc24,
    })
}

/// Real line breaks for escaped ones, at any depth of escaping; other escapes lose their backslashes.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        while characters.next_if_eq(&'\\').is_some() {}
        match characters.peek() {
            Some('n' | 'r') => {
                characters.next();
                plain.push('\n');
            }
            Some('t') => {
                characters.next();
            }
            // JSON may escape the slash of base64; a line of source code may end in a backslash.
            _ => {}
        }
    }
    plain
}

/// A line without what source code and configuration put around it: quotes, commas, the sign of concatenation.
fn bare(line: &str) -> &str {
    const QUOTES: [char; 3] = ['"', '\'', '`'];
    let line = line.trim().trim_start_matches(['#', '>', '*', '|', ' ', '\t']);
    let inside = match line.strip_prefix(QUOTES) {
        // A closing quote at the start of a line (its break was an escaped one) is followed by code: `" +`, `",`.
        Some(rest)
            if rest.len() < 2
                || !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || "+/=".contains(next)) =>
        {
            ""
        }
        Some(rest) => rest,
        None => line,
    };
    let inside = inside.split_once(QUOTES).map_or(inside, |(inside, _)| inside);
    inside.trim_end_matches([',', ';']).trim()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn block(join: &str, indent: &str, close: &str) -> String {
        let encoded = STANDARD.encode((0..=150u8).map(|byte| byte.wrapping_mul(91)).collect::<Vec<_>>());
        let lines: Vec<String> = encoded
            .as_bytes()
            .chunks(64)
            .map(|line| format!("{indent}{}{close}", std::str::from_utf8(line).unwrap()))
            .collect();
        let (dashes, kind) = ("-----", "TEST KEY");
        format!(
            "{dashes}BEGIN {kind}{dashes}{close}{join}{}{join}{indent}{dashes}END {kind}{dashes}",
            lines.join(join)
        )
    }

    #[test]
    fn every_way_of_breaking_lines_gives_the_same_body() {
        let expected = read(block("\n", "", "").as_bytes()).unwrap();
        assert_eq!(expected.label, "TEST KEY");
        assert_eq!(expected.body.len(), 151);
        for (join, indent, close) in [
            ("\r\n", "", ""),
            ("\n", "    ", ""),
            ("\\n", "", ""),
            ("\\\\n", "", ""),
            ("\\r\\n", "", ""),
            ("", "", ""),
            (" ", "", ""),
            ("\\n\" +\n", "  \"", ""),
            ("\n", "\t\"", "\\n\""),
            ("\n", "# ", ""),
            ("\n", "'", "',"),
        ] {
            let text = block(join, indent, close);
            let read = read(text.as_bytes());
            assert_eq!(read.as_ref(), Some(&expected), "{text}");
        }
    }

    #[test]
    fn headers_stand_before_the_body() {
        let text = block("\n", "", "").replacen(
            "KEY-----\n",
            "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,0\n\n",
            1,
        );
        assert_eq!(
            read(text.as_bytes()).unwrap().headers,
            ["Proc-Type: 4,ENCRYPTED", "DEK-Info: X,0"]
        );
    }

    #[test]
    fn a_header_without_a_body_is_no_block() {
        assert_eq!(read(b"-----BEGIN TEST KEY----- ... -----END TEST KEY-----"), None);
        assert_eq!(read(b"-----BEGIN TEST KEY-----\n-----END TEST KEY-----"), None);
        assert_eq!(
            read(b"-----BEGIN TEST KEY-----\nAAAA\n-----END OTHER KEY-----"),
            None
        );
    }
}
