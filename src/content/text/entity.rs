//! Character references of HTML and XML, by number and the few that XML names.

/// The longest that is read: `&#x10FFFF;`.
const LONGEST: usize = 10;

/// The reference that `text` begins with.
pub(super) fn read(text: &[u8]) -> Option<(usize, char)> {
    let end = text.iter().take(LONGEST).position(|&byte| byte == b';')?;
    let character = match &text[..end] {
        b"&amp" => '&',
        b"&apos" => '\'',
        b"&gt" => '>',
        b"&lt" => '<',
        b"&quot" => '"',
        [b'&', b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
        [b'&', b'#', digits @ ..] => number(digits, 10)?,
        _ => return None,
    };
    Some((end + 1, character))
}

fn number(digits: &[u8], radix: u32) -> Option<char> {
    if digits.is_empty() {
        return None;
    }
    // Seven digits at most, which no base makes too large for 32 bits.
    let value = digits.iter().try_fold(0_u32, |value, &digit| {
        Some(value * radix + char::from(digit).to_digit(radix)?)
    })?;
    char::from_u32(value)
}
