//! cpio archives in their four forms, one behind another as in an initial RAM disk.

use std::io::Read;

use super::{Input, Members, OpenError, Refusal};
use crate::limits::Limits;

/// What every reader takes for the end.
const TRAILER: &[u8] = b"TRAILER!!!";

/// A header: how long name and content are, and what both are padded to.
struct Header {
    length: u64,
    name_length: u64,
    size: u64,
    alignment: u64,
}

pub(super) fn open(
    source: &mut dyn Read,
    limits: &Limits,
    members: &mut dyn Members,
) -> Result<(), OpenError> {
    let mut input = Input(source);
    loop {
        let Some(magic) = magic(&mut input)? else {
            return Ok(());
        };
        let Some(header) = header(magic, &mut input)? else {
            // An initial RAM disk goes on with another archive, compressed as it may be.
            let mut rest = magic.as_slice().chain(input.0);
            return members
                .member(super::Step::Member(b"trailing"), &mut rest)
                .map_err(OpenError::Content);
        };
        let mut name = input.name(header.name_length, limits.path_bytes as u64)?;
        input.skip(padding(header.length + header.name_length, header.alignment))?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        if name == TRAILER {
            input.skip(header.size)?;
            continue;
        }
        input.member(&name, header.size, members)?;
        // The last padding may be missing.
        let mut filler = [0; 4];
        let count = padding(header.size, header.alignment) as usize;
        input.fill(&mut filler[..count])?;
    }
}

/// The first six bytes of the next header, behind the zero bytes that fill a block.
fn magic(input: &mut Input<'_>) -> Result<Option<[u8; 6]>, OpenError> {
    let mut magic = [0; 6];
    while magic[0] == 0 {
        if input.fill(&mut magic[..1])? == 0 {
            return Ok(None);
        }
    }
    let more = input.fill(&mut magic[1..])?;
    if more < 5 {
        return Err(Refusal::Truncated.into());
    }
    Ok(Some(magic))
}

/// The rest of a header; `None` where the magic is none.
fn header(magic: [u8; 6], input: &mut Input<'_>) -> Result<Option<Header>, OpenError> {
    let bad = || OpenError::from(Refusal::malformed("a number of a cpio header cannot be read"));
    match &magic {
        b"070701" | b"070702" => {
            let mut rest = [0; 104];
            input.exact(&mut rest)?;
            let field = |number: usize| digits(&rest[number * 8..number * 8 + 8], 16).ok_or_else(bad);
            Ok(Some(Header {
                length: 110,
                name_length: field(11)?,
                size: field(6)?,
                alignment: 4,
            }))
        }
        b"070707" => {
            let mut rest = [0; 70];
            input.exact(&mut rest)?;
            Ok(Some(Header {
                length: 76,
                name_length: digits(&rest[53..59], 8).ok_or_else(bad)?,
                size: digits(&rest[59..70], 8).ok_or_else(bad)?,
                alignment: 1,
            }))
        }
        [0xc7, 0x71, ..] | [0x71, 0xc7, ..] => {
            let mut rest = [0; 20];
            input.exact(&mut rest)?;
            let word = |at: usize| {
                let pair = [rest[at], rest[at + 1]];
                u64::from(if magic[0] == 0xc7 {
                    u16::from_le_bytes(pair)
                } else {
                    u16::from_be_bytes(pair)
                })
            };
            Ok(Some(Header {
                length: 26,
                name_length: word(14),
                // The more significant half comes first in either order of bytes.
                size: word(16) << 16 | word(18),
                alignment: 2,
            }))
        }
        _ => Ok(None),
    }
}

fn digits(text: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()
}

fn padding(length: u64, alignment: u64) -> u64 {
    (alignment - length % alignment) % alignment
}
