//! RPM packages: passes over the lead and the two headers, and hands over the payload, which is a compressed cpio
//! archive as a rule. Does not read the headers; they stand in the package as they are.

use std::io::{self, Read};

use super::{Input, Members, OpenError, Refusal, Step};

pub(super) fn open(source: &mut dyn Read, members: &mut dyn Members) -> Result<(), OpenError> {
    let mut input = Input(source);
    input.skip(96)?;
    let signature = header(&mut input)?;
    input.skip((8 - signature % 8) % 8)?;
    header(&mut input)?;
    members
        .member(Step::Member(b"payload"), input.0)
        .map_err(OpenError::Content)?;
    io::copy(input.0, &mut io::sink())
        .map(|_| ())
        .map_err(OpenError::Content)
}

/// Passes over a header structure: magic and version, reserved, number of 16-byte entries, bytes of their store.
fn header(input: &mut Input<'_>) -> Result<u64, OpenError> {
    let mut intro = [0; 16];
    input.exact(&mut intro)?;
    let [0x8e, 0xad, 0xe8, _, _, _, _, _, a, b, c, d, e, f, g, h] = intro else {
        return Err(Refusal::malformed("a header of the package has no magic").into());
    };
    let length =
        u64::from(u32::from_be_bytes([a, b, c, d])) * 16 + u64::from(u32::from_be_bytes([e, f, g, h]));
    input.skip(length)?;
    Ok(length)
}
