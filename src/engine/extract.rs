//! Matchers written in code, for what an expression cannot bound or describe. They find where something begins and ends;
//! whether it is any good is for the checks.

use std::ops::Range;

use memchr::memmem;

use super::MAX_MATCH;
use crate::rules::Extractor;

/// The match that belongs to the literal at `hit`, at most [`MAX_MATCH`] bytes long.
pub(super) fn extract(extractor: Extractor, region: &[u8], hit: &Range<usize>) -> Option<Range<usize>> {
    match extractor {
        Extractor::JsonObject => json_object(region, hit),
        Extractor::Pem => pem(region, hit),
    }
}

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";

/// Bytes of a label such as `RSA PRIVATE KEY`. The longest in use is `PGP PRIVATE KEY BLOCK`.
const LABEL_BYTES: usize = 40;

/// RFC 7468, section 2. The literal must stand in the BEGIN line. Between the lines everything printable is allowed:
/// escaped line breaks, indentation, the quotes and commas of a list of lines.
fn pem(region: &[u8], hit: &Range<usize>) -> Option<Range<usize>> {
    let furthest = hit.start.saturating_sub(BEGIN.len() + LABEL_BYTES);
    let near = region.get(furthest..region.len().min(hit.start + BEGIN.len()))?;
    let start = furthest + memmem::rfind(near, BEGIN)?;
    let block = &region[start..region.len().min(start + MAX_MATCH)];

    let labelled = &block[BEGIN.len()..];
    let label_end = memmem::find(
        &labelled[..labelled.len().min(LABEL_BYTES + DASHES.len())],
        DASHES,
    )?;
    let label = &labelled[..label_end];
    let head = BEGIN.len() + label_end + DASHES.len();
    if start + head < hit.end
        || !label
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || byte == b' ')
    {
        return None;
    }

    let body = &block[head..];
    let end = memmem::find(body, b"-----END ")?;
    let tail = body[end..]
        .strip_prefix(b"-----END ")?
        .strip_prefix(label)?
        .strip_prefix(DASHES)?;
    let text = &body[..end];
    let printable = text
        .iter()
        .all(|&byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    (printable && memmem::find(text, BEGIN).is_none()).then(|| start..start + block.len() - tail.len())
}

/// Opening braces that are tried, from the literal outwards.
const BRACES: usize = 64;

/// Braces without a closing one that are tried: each costs [`MAX_MATCH`] bytes of reading. A few can be text inside a
/// string; where there are more, the object itself is not closed.
const UNCLOSED: usize = 4;

/// RFC 8259, section 4: the innermost object that encloses the literal.
fn json_object(region: &[u8], hit: &Range<usize>) -> Option<Range<usize>> {
    let furthest = hit.end.saturating_sub(MAX_MATCH);
    let mut unclosed = 0;
    for at in memchr::memrchr_iter(b'{', region.get(furthest..hit.start + 1)?).take(BRACES) {
        let start = furthest + at;
        let text = &region[start..region.len().min(start + MAX_MATCH)];
        match object_length(text) {
            Object::Closed(length) if start + length >= hit.end => return Some(start..start + length),
            Object::Closed(_) | Object::None => {}
            Object::Unclosed => unclosed += 1,
        }
        if unclosed == UNCLOSED {
            break;
        }
    }
    None
}

enum Object {
    Closed(usize),
    None,
    Unclosed,
}

/// How long the object is that `text` begins with. It must begin with a key, or a brace inside a string would do; the
/// rest is only checked for strings and nesting.
///
/// An object may stand in a string of another one, or in one of a shell: then all its quotes have one and the same
/// number of backslashes before them.
fn object_length(text: &[u8]) -> Object {
    let mut depth = 0_usize;
    let mut quote: Option<usize> = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let backslashes = text[at..].iter().take_while(|&&byte| byte == b'\\').count();
        match (byte, text.get(at + backslashes)) {
            (b'"' | b'\\', Some(b'"')) => {
                let is_first = quote.is_none();
                if *quote.get_or_insert(backslashes) != backslashes {
                    return Object::None;
                }
                let begin = at + backslashes + 1;
                let Some(length) = string_length(&text[begin..], backslashes) else {
                    return Object::Unclosed;
                };
                at = begin + length;
                if is_first && text[at..].trim_ascii_start().first() != Some(&b':') {
                    return Object::None;
                }
                continue;
            }
            // An escaped line break between two tokens.
            (b'\\', Some(b'n' | b'r' | b't')) => {
                at += backslashes + 1;
                continue;
            }
            (b'{' | b'[', _) => depth += 1,
            (b'}' | b']', _) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return if byte == b'}' {
                        Object::Closed(at + 1)
                    } else {
                        Object::None
                    };
                }
            }
            _ if quote.is_none() && !byte.is_ascii_whitespace() => return Object::None,
            _ => {}
        }
        at += backslashes.max(1);
    }
    Object::Unclosed
}

/// How long a string is, with its closing quote. `backslashes` stand before the quotes that delimit it: none, one if it
/// is inside a string, three if that is inside another one.
fn string_length(text: &[u8], backslashes: usize) -> Option<usize> {
    memchr::memchr_iter(b'"', text).find_map(|at| {
        let before = text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
        // A backslash that is part of the string is written as twice as many as an escape has at this depth.
        (before % (2 * (backslashes + 1)) == backslashes).then_some(at + 1)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found<'a>(extractor: Extractor, text: &'a str, literal: &str) -> Option<&'a str> {
        let start = text.find(literal).unwrap();
        extract(extractor, text.as_bytes(), &(start..start + literal.len())).map(|span| &text[span])
    }

    #[test]
    fn a_pem_block_goes_from_its_begin_line_to_the_end_line_of_the_same_label() {
        for body in [
            "\nMIIB\nMIIC\n",
            "\r\nMIIB\r\n",
            r"\nMIIB\n",
            r"\\nMIIB\\n",
            "\n    MIIB\n    ",
            "\",\n \"MIIB\",\n\"",
        ] {
            let block = format!("-----BEGIN EC PRIVATE KEY-----{body}-----END EC PRIVATE KEY-----");
            let text = format!("key = \"{block}\" -----");
            assert_eq!(found(Extractor::Pem, &text, "-----BEGIN"), Some(&*block));
            assert_eq!(found(Extractor::Pem, &text, "PRIVATE KEY-----"), Some(&*block));
        }
    }

    #[test]
    fn what_only_looks_like_a_pem_block_is_none() {
        for text in [
            "-----BEGIN A-----\nMIIB\n-----END B-----",
            "-----BEGIN A-----\nMIIB\n",
            "-----BEGIN A-----\nMI\0B\n-----END A-----",
            "-----BEGIN A-----\n-----BEGIN A-----\n",
            "-----BEGIN \nA-----\nMIIB\n-----END A-----",
            "-----BEGIN A----",
        ] {
            assert_eq!(found(Extractor::Pem, text, "-----BEGIN"), None, "{text}");
        }
        let long = format!("-----BEGIN A-----{}-----END A-----", "M".repeat(MAX_MATCH));
        assert_eq!(found(Extractor::Pem, &long, "-----BEGIN"), None);
    }

    #[test]
    fn the_innermost_object_around_the_literal_is_found() {
        let text = r#"x {"a": {"b": "}{", "type": "key", "c": [{"d": 1}]}, "e": 2} y"#;
        assert_eq!(
            found(Extractor::JsonObject, text, "\"type\""),
            Some(r#"{"b": "}{", "type": "key", "c": [{"d": 1}]}"#)
        );
        assert_eq!(
            found(Extractor::JsonObject, text, "\"e\""),
            Some(&text[2..text.len() - 2])
        );
        assert_eq!(
            found(Extractor::JsonObject, r#"{"a": "\"}", "type": 1}"#, "type"),
            Some(r#"{"a": "\"}", "type": 1}"#)
        );
    }

    #[test]
    fn an_object_inside_a_string_is_found_at_its_depth() {
        let plain = r#"{ "a": "x\"}\\", "type": "key" }"#;
        let once = plain.replace('\\', r"\\").replace('"', r#"\""#);
        let twice = once.replace('\\', r"\\").replace('"', r#"\""#);
        for object in [plain, &once, &twice] {
            let text = format!("{{\"env\": [\"KEY={object}\"]}}");
            assert_eq!(found(Extractor::JsonObject, &text, "type"), Some(object));
        }
        let lines = r#"{\n  \"type\": \"key\"\n}"#;
        assert_eq!(found(Extractor::JsonObject, lines, "type"), Some(lines));
    }

    #[test]
    fn an_object_that_does_not_end_is_none() {
        assert_eq!(found(Extractor::JsonObject, r#"{"type": "key""#, "type"), None);
        assert_eq!(found(Extractor::JsonObject, r#"{"a": 1} "type""#, "type"), None);
        assert_eq!(found(Extractor::JsonObject, r#"{ type }"#, "type"), None);
        let long = format!(r#"{{"a": "{}", "type": 1}}"#, "x".repeat(MAX_MATCH));
        assert_eq!(found(Extractor::JsonObject, &long, "type"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_reach_too_far(
            text in r#"([{}"\\:a \n-]|-----BEGIN |-----END |-----|A){0,200}"#,
            start in any::<prop::sample::Index>(),
            length in 0_usize..12,
        ) {
            let start = start.index(text.len() + 1);
            let hit = start..(start + length).min(text.len());
            for extractor in [Extractor::JsonObject, Extractor::Pem] {
                if let Some(span) = extract(extractor, text.as_bytes(), &hit) {
                    prop_assert!(span.end <= text.len() && span.len() <= MAX_MATCH && span.start <= hit.start.max(span.start));
                }
            }
        }
    }
}
