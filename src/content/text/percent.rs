//! Percent-encoding (RFC 3986, section 2.1). A `+` for a space is left as it is: keys hold plus signs.

use super::hex;

/// The escape that `text` begins with. Bytes above 127 are taken for a character each; what they are part of is no
/// secret.
pub(super) fn read(text: &[u8]) -> Option<(usize, char)> {
    let [b'%', digits @ ..] = text else { return None };
    let byte = hex::pair(digits.get(..2)?)?;
    Some((3, char::from(byte)))
}
