//! What stands around a match: bytes that may not touch it, words that must be near it. Sees one region only, whose
//! ends touch nothing.

use std::ops::Range;

use crate::rules::{Boundary, Context};

/// Whether nothing that `boundary` excludes stands directly before or after `span`.
pub(super) fn is_bounded(boundary: Boundary, region: &[u8], span: &Range<usize>) -> bool {
    is_bounded_before(boundary, region, span.start) && is_bounded_after(boundary, region, span.end)
}

/// Whether a match may begin at `at`. The end of an escape is a boundary though it is a letter or a digit: in `\nabc`,
/// `%3Dabc` and `\u0022abc` the text `abc` begins anew.
pub(super) fn is_bounded_before(boundary: Boundary, region: &[u8], at: usize) -> bool {
    let before = region.get(..at).unwrap_or_default();
    let Some(&last) = before.last() else { return true };
    let excluded = match boundary {
        Boundary::None => false,
        Boundary::Token => is_token(last),
        Boundary::Base64 => is_base64(last),
        // A dot belongs to a value only if more of the value is on its other side; else it ends a sentence.
        Boundary::Dotted => {
            is_token(last) || (last == b'.' && before.iter().rev().nth(1).is_some_and(|&byte| is_token(byte)))
        }
        Boundary::Alnum => last.is_ascii_alphanumeric(),
    };
    !excluded || ends_with_escape(before)
}

fn is_bounded_after(boundary: Boundary, region: &[u8], at: usize) -> bool {
    let after = region.get(at..).unwrap_or_default();
    let Some(&first) = after.first() else { return true };
    let excluded = match boundary {
        Boundary::None => false,
        Boundary::Token => is_token(first),
        Boundary::Base64 => is_base64(first) || first == b'=',
        Boundary::Dotted => {
            is_token(first) || (first == b'.' && after.get(1).is_some_and(|&byte| is_token(byte)))
        }
        Boundary::Alnum => first.is_ascii_alphanumeric(),
    };
    !excluded
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

fn ends_with_escape(before: &[u8]) -> bool {
    let hex = |digits: &[&u8]| digits.iter().all(|byte| byte.is_ascii_hexdigit());
    match before {
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., b'%', a, b] | [.., b'\\', b'x', a, b] if hex(&[a, b]) => true,
        [.., b'\\', b'u', a, b, c, d] => hex(&[a, b, c, d]),
        // The length of a text among the constants of a class file of Java: the JVM Specification, 4.4.7.
        [.., 1, 0..=3, _] => true,
        _ => false,
    }
}

/// Whether one of the words stands in the match outside of the secret, or as near to the match as `context` says.
pub(super) fn has_word(
    context: &Context,
    region: &[u8],
    whole: &Range<usize>,
    secret: &Range<usize>,
) -> bool {
    let begin = whole.start.saturating_sub(context.before as usize);
    let end = whole.end.saturating_add(context.after as usize).min(region.len());
    let before = region.get(begin..secret.start).unwrap_or_default();
    let after = region.get(secret.end..end).unwrap_or_default();
    context
        .any
        .iter()
        .any(|word| contains(before, word) || contains(after, word))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len().max(1))
        .any(|window| window.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(boundary: Boundary, text: &str) -> bool {
        let start = text.find("SECRET").unwrap();
        is_bounded(boundary, text.as_bytes(), &(start..start + 6))
    }

    #[test]
    fn each_boundary_excludes_its_own_bytes() {
        for (boundary, good, bad) in [
            (Boundary::Token, "=SECRET.", "_SECRET"),
            (Boundary::Token, "/SECRET+", "SECRET-"),
            (Boundary::Base64, "=SECRET-", "SECRET="),
            (Boundary::Base64, "_SECRET", "/SECRET"),
            (Boundary::Dotted, ".SECRET. ", "a.SECRET"),
            (Boundary::Dotted, "SECRET.", "SECRET.b"),
            (Boundary::Alnum, "_SECRET-", "0SECRET"),
        ] {
            assert!(bounded(boundary, good), "{boundary}: {good}");
            assert!(!bounded(boundary, bad), "{boundary}: {bad}");
        }
        assert!(bounded(Boundary::None, "aSECRETb"));
        assert!(bounded(Boundary::Token, "SECRET"));
    }

    #[test]
    fn the_end_of_an_escape_is_a_boundary() {
        for text in [
            "\x01\0(SECRET",
            "\x01\0aSECRET",
            r"\nSECRET",
            "%3DSECRET",
            r"\u0022SECRET",
            r"\x3dSECRET",
        ] {
            assert!(bounded(Boundary::Token, text), "{text}");
        }
        for text in ["nSECRET", "%3SECRET", r"\u22SECRET", "D3SECRET"] {
            assert!(!bounded(Boundary::Token, text), "{text}");
        }
    }

    #[test]
    fn a_word_counts_near_the_match_but_not_inside_the_secret() {
        let context = Context {
            any: vec![b"hmac".to_vec()],
            before: 6,
            after: 5,
        };
        let has = |text: &str| {
            let start = text.find('<').unwrap();
            let end = text.find('>').unwrap() + 1;
            has_word(&context, text.as_bytes(), &(start..end), &(start..end))
        };
        assert!(has("HMAC: <x>"));
        assert!(has("<x> hmac"));
        assert!(!has("hmac    <x>"));
        assert!(!has("<x>  hmac"));
        assert!(!has("<hmac>"));
    }
}
