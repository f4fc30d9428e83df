//! Unix ar archives (System V, GNU and BSD names), of which Debian packages are a case.

use std::io::Read;

use super::{Input, Members, OpenError, Refusal};
use crate::limits::Limits;

/// The header of a member: name 16, time 12, owner 6, group 6, mode 8, size 10, end 2.
const HEADER: usize = 60;

pub(super) fn open(
    source: &mut dyn Read,
    limits: &Limits,
    members: &mut dyn Members,
) -> Result<(), OpenError> {
    let mut input = Input(source);
    input.skip(8)?;
    let mut long_names = Vec::new();
    loop {
        let mut header = [0; HEADER];
        match input.fill(&mut header)? {
            0 => return Ok(()),
            // Writers differ on whether the last member is padded.
            1 if header[0] == b'\n' => return Ok(()),
            HEADER => {}
            _ => return Err(Refusal::Truncated.into()),
        }
        if !header.ends_with(b"`\n") {
            return Err(Refusal::malformed("a member of the ar archive has no header").into());
        }
        let size = number(&header[48..58])
            .ok_or_else(|| Refusal::malformed("a member of the ar archive has no size"))?;
        let short = header[..16].trim_ascii_end();
        let padding = size & 1;
        match short {
            // The symbol table.
            b"/" | b"/SYM64/" => input.skip(size)?,
            // GNU: names that do not fit, each ended by a slash and a newline.
            b"//" => long_names = input.name(size, limits.tar_header_bytes)?,
            _ if short.starts_with(b"#1/") => {
                // BSD: the name comes before the content and counts as such.
                let length = number(&short[3..]).filter(|length| *length <= size);
                let length = length.ok_or_else(|| Refusal::malformed("a name is longer than its member"))?;
                let name = input.name(length, limits.path_bytes as u64)?;
                let name = name.trim_ascii_end();
                let name = &name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())];
                input.member(name, size - length, members)?;
            }
            _ => {
                let long = short
                    .strip_prefix(b"/")
                    .and_then(number)
                    .and_then(|at| long_names.get(usize::try_from(at).ok()?..))
                    .map(|names| {
                        &names[..names
                            .iter()
                            .position(|byte| *byte == b'\n')
                            .unwrap_or(names.len())]
                    });
                let name = long.unwrap_or(short);
                let name = name.strip_suffix(b"/").unwrap_or(name);
                input.member(name, size, members)?;
            }
        }
        let mut byte = [0; 1];
        if padding == 1 {
            input.fill(&mut byte)?;
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits.trim_ascii()).ok()?.parse().ok()
}
