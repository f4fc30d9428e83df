//! Applies a delta of a pack (gitformat-pack, "Deltified representation") to its base. Trusts no size that it names.

use crate::content::archive::Refusal;
use crate::limits::LimitHit;

/// The object that `delta` makes of `base`, of at most `most` bytes.
pub(super) fn apply(base: &[u8], delta: &[u8], most: usize) -> Result<Vec<u8>, Refusal> {
    let malformed = || Refusal::malformed("a delta cannot be read");
    let mut rest = delta;
    let base_size = size(&mut rest).ok_or_else(malformed)?;
    let result_size = size(&mut rest).ok_or_else(malformed)?;
    if base_size != base.len() as u64 {
        return Err(Refusal::malformed("a delta has another base"));
    }
    if result_size > most as u64 {
        return Err(Refusal::Limit(LimitHit::RandomAccess));
    }
    let mut result = Vec::with_capacity(result_size as usize);
    while let Some((&command, after)) = rest.split_first() {
        rest = after;
        let piece = if command & 0x80 != 0 {
            let start = number(&mut rest, command, 0..4).ok_or_else(malformed)?;
            let length = match number(&mut rest, command, 4..7).ok_or_else(malformed)? {
                0 => 0x1_0000,
                length => length,
            };
            base.get(start..start + length)
        } else if command != 0 {
            let (piece, after) = rest
                .split_at_checked(usize::from(command))
                .ok_or_else(malformed)?;
            rest = after;
            Some(piece)
        } else {
            None
        };
        let piece = piece.ok_or_else(malformed)?;
        if result.len() + piece.len() > result_size as usize {
            return Err(malformed());
        }
        result.extend_from_slice(piece);
    }
    if result.len() as u64 != result_size {
        return Err(malformed());
    }
    Ok(result)
}

/// A number of the head: seven bits a byte, the lowest first.
fn size(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A number of a copy command: of its bytes those are there whose bit of the command is set.
fn number(rest: &mut &[u8], command: u8, bits: std::ops::Range<u32>) -> Option<usize> {
    let mut value = 0;
    for (place, bit) in bits.enumerate() {
        if command >> bit & 1 == 1 {
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            value |= usize::from(byte) << (8 * place);
        }
    }
    Some(value)
}
