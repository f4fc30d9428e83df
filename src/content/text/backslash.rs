//! Backslash escapes as in JSON (RFC 8259, section 7), C, Rust, JavaScript, Python and shells.

/// The escape that `text` begins with.
pub(super) fn read(text: &[u8]) -> Option<(usize, char)> {
    let [b'\\', sign, rest @ ..] = text else {
        return None;
    };
    let plain = match sign {
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'"' | b'\'' | b'/' | b'\\' => char::from(*sign),
        b'x' => return number(rest, 2).map(|character| (4, character)),
        b'U' => return number(rest, 8).map(|character| (10, character)),
        b'u' if rest.first() == Some(&b'{') => {
            let digits = rest[1..].iter().take(7).position(|&byte| byte == b'}')?;
            return number(&rest[1..], digits).map(|character| (digits + 4, character));
        }
        b'u' => return number(rest, 4).map(|character| (6, character)),
        b'0'..=b'3' => {
            let digits: Option<u32> = [*sign, *rest.first()?, *rest.get(1)?]
                .iter()
                .try_fold(0, |value, &digit| {
                    Some(value * 8 + char::from(digit).to_digit(8)?)
                });
            return char::from_u32(digits?).map(|character| (4, character));
        }
        _ => return None,
    };
    Some((2, plain))
}

fn number(text: &[u8], digits: usize) -> Option<char> {
    if digits == 0 {
        return None;
    }
    let digits = text.get(..digits)?.iter();
    let value = digits.clone().try_fold(0_u32, |value, &digit| {
        Some(value << 4 | char::from(digit).to_digit(16)?)
    })?;
    char::from_u32(value)
}

/// Whether an escape hides something. Quotes do not: rules know them escaped. A slash does inside of what could be a
/// key, as PHP writes it; a backslash where it belongs to an escape that is escaped itself.
pub(super) fn counts(before: &[u8], text: &[u8], character: char) -> bool {
    let in_key = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'+');
    match text.get(1) {
        Some(b'/') => in_key(before.last()) && in_key(text.get(2)),
        Some(b'\\') => {
            let backslashes = text.iter().take(8).take_while(|&&byte| byte == b'\\').count();
            let inner = read(&text[backslashes - 1..]);
            inner.is_some_and(|(length, inner)| length > 2 && inner.is_ascii_graphic())
        }
        Some(b'"' | b'\'') => false,
        _ => character.is_ascii_graphic(),
    }
}
