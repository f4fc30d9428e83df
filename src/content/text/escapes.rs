//! Text in which some characters are written as escapes: percent, backslash, character references. What stands between
//! the escapes is text already, so only their neighbourhood is decoded, and only where an escape stands for a visible
//! ASCII character, since no secret holds another one, or begins a line that gives something a name: a file of settings
//! in one string.

use std::ops::Range;

use memchr::memchr3_iter;

use super::{Allowance, Decoded, Encoding, Places, backslash, entity, percent};

/// How far from an escape text is decoded with it: as far as a name usually stands from its value. Escapes that are
/// no farther apart are decoded together.
const NEAR: usize = 256;

/// Deeper indentation and longer names in a string are not taken for a setting's; more of a value is decoded only as far
/// as [`NEAR`] reaches.
const LONGEST_INDENT: usize = 32;
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 2048;

/// What one kind of escape is.
struct Kind {
    encoding: Encoding,
    /// The length of the escape that text begins with, and what it stands for.
    read: fn(&[u8]) -> Option<(usize, char)>,
    /// Whether an escape is reason enough to decode, by what stands before it and at it.
    counts: fn(&[u8], &[u8], char) -> bool,
}

const KINDS: [Kind; 3] = [
    Kind {
        encoding: Encoding::Backslash,
        read: backslash::read,
        counts: backslash::counts,
    },
    Kind {
        encoding: Encoding::Entity,
        read: entity::read,
        counts: |_, _, character| !matches!(character, '<' | '>') && character.is_ascii_graphic(),
    },
    Kind {
        encoding: Encoding::Percent,
        read: percent::read,
        counts: |_, _, character| character.is_ascii_graphic(),
    },
];

/// By byte and kind: whether it may stand behind the sign of an escape. In programs and in binary files most signs are
/// none.
static LEADS: [[bool; 3]; 256] = {
    let mut leads = [[false; 3]; 256];
    let mut byte = 0_u8;
    loop {
        leads[byte as usize] = [
            matches!(
                byte,
                b'n' | b'r' | b't' | b'"' | b'\'' | b'/' | b'\\' | b'x' | b'U' | b'u' | b'0'..=b'3'
            ),
            matches!(byte, b'#' | b'a' | b'g' | b'l' | b'q'),
            byte.is_ascii_hexdigit(),
        ];
        if byte == u8::MAX {
            break leads;
        }
        byte += 1;
    }
};

/// Adds what stands around escapes, with all escapes of that kind decoded.
pub(super) fn find(bytes: &[u8], allowance: &mut Allowance, out: &mut Vec<Decoded>) {
    // The first and the last escape of each kind that belong together, and where the kind's last one ended.
    let mut groups: [Option<Range<usize>>; 3] = Default::default();
    let mut read_to = [0; 3];
    for at in memchr3_iter(b'\\', b'&', b'%', bytes) {
        let number = match bytes[at] {
            b'\\' => 0,
            b'&' => 1,
            _ => 2,
        };
        if at < read_to[number]
            || !bytes
                .get(at + 1)
                .is_some_and(|&next| LEADS[usize::from(next)][number])
        {
            continue;
        }
        let kind = &KINDS[number];
        let Some((length, character)) = (kind.read)(&bytes[at..]) else {
            continue;
        };
        read_to[number] = at + length;
        let end = if number == 0 && matches!(character, '\n' | '\\') {
            match line(&bytes[at..]) {
                Line::Setting { length } => at + length,
                // It goes on with a document, and begins none.
                Line::Other if groups[0].as_ref().is_some_and(|group| at <= group.end + NEAR) => at + length,
                _ if (kind.counts)(&bytes[..at], &bytes[at..], character) => at + length,
                _ => continue,
            }
        } else if (kind.counts)(&bytes[..at], &bytes[at..], character) {
            at + length
        } else {
            continue;
        };
        match &mut groups[number] {
            Some(group) if at <= group.end + NEAR => group.end = group.end.max(end),
            group => {
                if let Some(done) = group.replace(at..end) {
                    out.extend(decode(bytes, done, kind, allowance));
                }
            }
        }
    }
    for (group, kind) in groups.into_iter().zip(&KINDS) {
        out.extend(group.and_then(|group| decode(bytes, group, kind, allowance)));
    }
}

/// What begins behind an escaped line break.
enum Line {
    /// `name: value` or `name = value`, with the length of both and the break before it.
    Setting { length: usize },
    /// Something else.
    Other,
    /// Nothing: no line break, or the string ends.
    None,
}

/// What the escape that `text` begins with does to the lines of a string: `\n`, or `\\n` in a string in a string.
fn line(text: &[u8]) -> Line {
    let skip = |from: usize, most: usize, is_member: fn(u8) -> bool| {
        let rest = text[from..].iter().take(most);
        from + rest.take_while(|&&byte| is_member(byte)).count()
    };
    let escaped = skip(0, 8, |byte| byte == b'\\');
    if text.get(escaped) != Some(&b'n') {
        return Line::None;
    }
    let start = escaped + 1;
    if matches!(text.get(start), None | Some(b'"' | b'\'' | b'`' | b'\n' | b'\r')) {
        return Line::None;
    }
    let name = skip(start, LONGEST_INDENT, |byte| {
        matches!(byte, b' ' | b'\t' | b'-' | b'"' | b'\'' | b'\\')
    });
    let named = skip(name, LONGEST_NAME, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
    });
    let sign = skip(named, 8, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'\\'));
    if named < name + 2 || !matches!(text.get(sign), Some(b':' | b'=')) {
        return Line::Other;
    }
    let value = skip(sign + 1, 8, |byte| matches!(byte, b' ' | b'\\' | b'"' | b'\''));
    let rest = &text[value..text.len().min(value + LONGEST_VALUE)];
    let is_end = |at: &usize| match rest[*at] {
        b'"' | b'\'' | b'\n' | b'\r' | 0 => true,
        b'\\' => matches!(rest.get(at + 1), Some(b'n' | b'r' | b'"' | b'\'')),
        _ => false,
    };
    let length = (0..rest.len()).find(is_end).unwrap_or(rest.len());
    Line::Setting {
        length: value + length,
    }
}

fn decode(bytes: &[u8], group: Range<usize>, kind: &Kind, allowance: &mut Allowance) -> Option<Decoded> {
    let at = neighbourhood(bytes, group);
    if !allowance.take(at.len()) {
        return None;
    }
    let text = &bytes[at.clone()];
    let sign = bytes_sign(kind.encoding);
    let mut decoded = Vec::with_capacity(text.len());
    let mut steps = vec![(0, at.start)];
    let mut from = 0;
    while let Some(next) = memchr::memchr(sign, &text[from..]) {
        let escape = from + next;
        decoded.extend_from_slice(&text[from..escape]);
        match (kind.read)(&text[escape..]) {
            Some((length, character)) => {
                steps.push((decoded.len(), at.start + escape));
                decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                from = escape + length;
                steps.push((decoded.len(), at.start + from));
            }
            None => {
                decoded.push(sign);
                from = escape + 1;
            }
        }
    }
    decoded.extend_from_slice(&text[from..]);
    Some(Decoded {
        at,
        encoding: kind.encoding,
        bytes: decoded,
        places: Places::Steps(steps),
    })
}

fn bytes_sign(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Backslash => b'\\',
        Encoding::Entity => b'&',
        _ => b'%',
    }
}

/// The text around escapes, up to what is no text.
fn neighbourhood(bytes: &[u8], group: Range<usize>) -> Range<usize> {
    let is_foreign = |&byte: &u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    let before = &bytes[group.start.saturating_sub(NEAR)..group.start];
    let after = &bytes[group.end..bytes.len().min(group.end + NEAR)];
    let reach_before = before.iter().rev().position(is_foreign).unwrap_or(before.len());
    let reach_after = after.iter().position(is_foreign).unwrap_or(after.len());
    group.start - reach_before..group.end + reach_after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Vec<Decoded> {
        let mut out = Vec::new();
        find(text.as_bytes(), &mut Allowance::new(1 << 20), &mut out);
        out
    }

    fn texts(text: &str) -> Vec<(Encoding, String)> {
        decoded(text)
            .into_iter()
            .map(|found| (found.encoding, String::from_utf8_lossy(&found.bytes).into_owned()))
            .collect()
    }

    #[test]
    fn each_kind_of_escape_is_decoded() {
        use Encoding::{Backslash, Entity, Percent};
        for (encoding, text, plain) in [
            (Percent, "a%2Fb%2bc", "a/b+c"),
            (Percent, "a%3D%C3%A4 %zz %", "a=\u{c3}\u{a4} %zz %"),
            (Backslash, r"\x41\u0042\u{43}\U00000044\105", "ABCDE"),
            (Backslash, r#"{\"a\":\"\u003d\"}\n"#, "{\"a\":\"=\"}\n"),
            (Backslash, r"wJal\/rXUt", "wJal/rXUt"),
            (Backslash, r"\\u0041b", r"\u0041b"),
            (Entity, "a&#61;&#x41;&quot;b&quot;&lt;&amp;c", "a=A\"b\"<&c"),
        ] {
            let found = texts(text);
            // A percent sign stands for a byte, which as a character of its own takes two.
            assert_eq!(found, [(encoding, plain.to_owned())], "{text}");
        }
    }

    #[test]
    fn escapes_of_invisible_and_foreign_characters_are_left_alone() {
        for text in [
            r"\x00\x01\u4e2d\n\t\\",
            "%20%0A%d%s 100%",
            "&nbsp;&lt;p&gt;&unknown;&#0;&",
            r"C:\Users\x\u12",
            r"a\/ b",
        ] {
            assert_eq!(texts(text), [], "{text}");
        }
    }

    #[test]
    fn escapes_far_from_each_other_are_decoded_apart_with_the_text_around_them() {
        let text = format!("\0key=%41{}%42=value\0", "-".repeat(NEAR + 1));
        let found = decoded(&text);
        assert_eq!(found.len(), 2);
        assert!(found[0].bytes.starts_with(b"key=A-") && found[1].bytes.ends_with(b"-B=value"));
    }

    #[test]
    fn a_file_of_settings_in_one_string_is_decoded_as_a_whole() {
        let value = "v".repeat(2 * NEAR);
        for (text, plain) in [
            (r#""[peer]\nkey = abc""#.to_owned(), "[peer]\nkey = abc"),
            (
                format!(r#"{{"app.yaml":"acme:\n  - token: {value}x\n\n  x: y\n"}}"#),
                "acme:\n  - token: ",
            ),
            (
                r#"'{\n  \"a\": {\n    \"key\": 1\n  }\n}'"#.to_owned(),
                "{\n  \"a\": {\n    \"key\": 1\n  }\n}",
            ),
        ] {
            let found = decoded(&text);
            assert_eq!(found.len(), 1, "{text}");
            let decoded = String::from_utf8_lossy(&found[0].bytes);
            assert!(decoded.contains(plain), "{decoded}");
            assert!(!text.contains(&value) || decoded.contains(&format!("{value}x\n\n  x: y")));
        }
    }

    #[test]
    fn a_file_in_a_string_in_a_string_takes_two_steps() {
        let text = r#"{"log":"{\"file\":\"a\\nkey: b\\n\"}"}"#;
        let once = decoded(text).remove(0);
        let twice = decoded(&String::from_utf8_lossy(&once.bytes)).remove(0);
        assert!(String::from_utf8_lossy(&twice.bytes).contains("a\nkey: b\n"));
    }

    #[test]
    fn messages_of_programs_are_no_files() {
        for text in [
            r#"puts("error: no file\n");"#,
            r#"a="x: y\n"+"z: 1\n""#,
            r"C:\new\node_modules\name",
            r#""one line\nand another one\n""#,
        ] {
            assert_eq!(texts(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_place_in_the_text_leads_to_where_it_is_written(
            pieces in prop::collection::vec(("[a-z]{0,5}", any::<bool>()), 1..20),
        ) {
            let mut text = String::from("%41");
            let mut places = vec![std::ops::Range { start: 0, end: 3 }];
            for (plain, is_escaped) in &pieces {
                for byte in plain.bytes() {
                    let start = text.len();
                    match is_escaped {
                        true => text.push_str(&format!("%{byte:02X}")),
                        false => text.push(char::from(byte)),
                    }
                    places.push(start..text.len());
                }
            }
            let found = decoded(&text);
            prop_assert_eq!(found.len(), 1);
            for (at, place) in places.iter().enumerate() {
                prop_assert_eq!(&found[0].source(at..at + 1), place);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in r"([\\&%;#xu{}0-9a-f]|quot|\\n[a-f]{2}[=:]|\PC|[\x00-\x20]){0,100}") {
            for found in decoded(&text) {
                prop_assert!(found.at.end <= text.len());
                let source = found.source(0..found.bytes.len());
                prop_assert_eq!(source, found.at.clone());
            }
        }
    }
}
