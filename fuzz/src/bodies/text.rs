//! Encoded text, and text that is made safe for a terminal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layersift::content::text::{Allowance, Decoded, decode, inflate};
use layersift::limits::Limits;
use layersift::text::{escape, hex, is_unprintable};

use super::{Target, contains};
use crate::support::packed;

pub const ENCODED: Target = Target {
    name: "encoded_text",
    body: encoded,
    seeds: || {
        let plain = "user = alice, password = something long\nsecond line\n";
        let base64 = format!("data:\n  config: {}\n", STANDARD.encode(plain.repeat(3)));
        let packed = STANDARD.encode(packed::gzip(plain.repeat(4).as_bytes()));
        let folded: Vec<&str> = packed
            .as_bytes()
            .chunks(76)
            .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
            .collect();
        let utf16: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
        vec![
            base64.into_bytes(),
            folded.join("\n").into_bytes(),
            hex(plain.as_bytes()).into_bytes(),
            [b"\xff\xfe", &utf16[..]].concat(),
            plain.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            br"a\nb\x41\u0041\101 password=\u0073ecret&#65;&#x41;&quot;&amp;%41%2f%3D".to_vec(),
            STANDARD.encode(STANDARD.encode(plain)).into_bytes(),
        ]
    },
    words: &[
        b"\\u0041",
        b"\\x41",
        b"\\101",
        b"&#x41;",
        b"&quot;",
        b"%41",
        b"\xff\xfe",
        b"\xfe\xff",
        b"a\0b\0",
        b"\0a\0b",
        b"==",
        b"\r\n  ",
        b"\\n",
        b"H4sIA",
        b"eJw",
        b"LS0tLS1CRUdJTi",
    ],
    longest: 4 * 1024,
};

pub const TERMINAL: Target = Target {
    name: "terminal_text",
    body: terminal,
    seeds: || {
        [
            "\x1b[2J\x1b]0;title\x07",
            "::stop-commands::x",
            "##[add-matcher]x",
            "\u{202e}txt.exe\u{2066}",
            "\u{9b}31m \u{200b}\u{feff}",
            "a\\n\n\r\t\0",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    words: &[
        b"\x1b[",
        b"\xe2\x80\xae",
        b"::",
        b"##[",
        b"\\",
        b"\xc2\x9b",
        b"\xf3\xa0\x81\x81",
        b"\xff",
    ],
    longest: 512,
};

/// Bytes that may be decoded of one input.
const ALLOWED: usize = 64 * 1024;

fn encoded(bytes: &[u8]) {
    for is_cut in [false, true] {
        let mut allowance = Allowance::new(ALLOWED);
        let found = decode(bytes, is_cut, &mut allowance);
        let order = |found: &Decoded| (found.at.start, found.at.end, found.encoding);
        assert!(found.is_sorted_by_key(order));
        let decoded: usize = found.iter().map(|decoded| decoded.bytes.len()).sum();
        assert!(decoded <= ALLOWED, "over the allowance");
        for decoded in &found {
            place(decoded, bytes.len());
            let mut small = Allowance::new(ALLOWED);
            if let Some(inflated) = inflate(&decoded.bytes, &mut small, &Limits::default()) {
                assert!(inflated.bytes.len() <= ALLOWED && !inflated.bytes.is_empty());
                assert!(!(inflated.is_whole && small.is_spent()));
            }
        }
    }
    let mut small = Allowance::new(10);
    let few = decode(bytes, false, &mut small);
    assert!(few.iter().map(|decoded| decoded.bytes.len()).sum::<usize>() <= 10);
    hidden(bytes);
}

/// Every part of what was decoded stands somewhere in what it was decoded from, in the same order.
fn place(decoded: &Decoded, length: usize) {
    let (at, end) = (&decoded.at, decoded.bytes.len());
    assert!(at.start < at.end && at.end <= length, "{:?}", decoded.encoding);
    let mut behind = 0;
    for line in decoded.lines() {
        assert!(line.start >= behind && line.start < line.end && line.end <= length);
        assert!(at.start <= line.start && line.end <= at.end);
        behind = line.end;
    }
    let mut start = 0;
    // The first bytes one by one, the others in steps.
    for byte in (0..end).filter(|byte| *byte < 64 || byte % 97 == 0) {
        let source = decoded.source(byte..byte + 1);
        assert!(
            source.start >= start && source.start < source.end,
            "{source:?} of {byte}"
        );
        assert!(
            at.start <= source.start && source.end <= at.end,
            "{source:?} leaves {at:?}"
        );
        start = source.start;
    }
    if end > 0 {
        let all = decoded.source(0..end);
        assert!(at.start <= all.start && all.end <= at.end);
    }
}

/// A text that somebody encodes comes out again.
fn hidden(bytes: &[u8]) {
    // A line of text, long enough to be told from a word.
    let text: String = bytes
        .iter()
        .filter(|byte| matches!(byte, b' '..=b'~'))
        .map(|byte| char::from(*byte))
        .take(300)
        .collect();
    if text.len() < 40 {
        return;
    }
    let quoted = |encoded: &str| format!("key: \"{encoded}\",\n").into_bytes();
    let base64 = STANDARD.encode(&text);
    // What consists of hexadecimal digits alone, such as that of a row of `w`, is read as those.
    let is_hex = base64
        .trim_end_matches('=')
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit());
    let base64 = (!is_hex).then(|| quoted(&base64));
    for around in base64.into_iter().chain([quoted(&hex(text.as_bytes()))]) {
        let found = decode(&around, false, &mut Allowance::new(ALLOWED));
        let is_there = |decoded: &Decoded| contains(&decoded.bytes, text.as_bytes());
        assert!(found.iter().any(is_there), "{text:?} is not seen in {around:?}");
    }
}

fn terminal(bytes: &[u8]) {
    let escaped = escape(bytes);
    assert!(!escaped.chars().any(is_unprintable));
    assert!(!escaped.starts_with("::") && !escaped.starts_with("##["));
    assert!(escaped.len() <= bytes.len() * 10 + 10);
    assert_eq!(unescaped(&escaped), bytes, "it cannot be read back");
}

/// Reads back what `escape` wrote.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        if next != '\\' {
            bytes.extend(next.to_string().as_bytes());
            continue;
        }
        let kind = rest.chars().next().expect("a backslash stands for something");
        rest = &rest[1..];
        match kind {
            '\\' => bytes.push(b'\\'),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'x' => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).expect("two digits"));
                rest = &rest[2..];
            }
            'u' => {
                let (digits, behind) = rest[1..].split_once('}').expect("braces close");
                let number = u32::from_str_radix(digits, 16).expect("digits");
                let character = char::from_u32(number).expect("a character");
                bytes.extend(character.to_string().as_bytes());
                rest = behind;
            }
            other => panic!("an escape of `{other}`"),
        }
    }
    bytes
}
