//! Zip archives in memory (PKWARE APPNOTE 6.3): what the directory lists, then members that it leaves out. Neither is
//! trusted: a member that lies loses only itself, and what stands between members is searched for more of them.
//!
//! Written here because a scanner needs what readers of zip files rightly refuse: to go on behind a bad entry, and to
//! see members that the directory hides. Names are not decoded.

use std::io;
use std::ops::Range;

use super::stream::{self, Decoded, Inflated};
use super::{Members, OpenError, Refusal, Step};
use crate::content::decode::Decoder;
use crate::limits::Limits;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";

/// Bytes of the fixed parts: local header, directory entry, end record, its 64-bit locator.
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;
const LOCATOR_BYTES: usize = 20;

pub(super) fn open(bytes: &[u8], limits: &Limits, members: &mut dyn Members) -> Result<(), OpenError> {
    let archive = Archive { bytes, limits };
    let mut covered = Vec::new();
    let directory = archive.directory();
    let listed = match &directory {
        Some(directory) => archive.listed(directory, members, &mut covered)?,
        None => Some(Refusal::malformed("it has no directory")),
    };
    archive.hidden(covered, members)?;
    match listed {
        Some(refusal) => Err(refusal.into()),
        None => Ok(()),
    }
}

/// Where the directory is, and what its offsets are relative to.
struct Directory {
    span: Range<usize>,
    base: u64,
}

/// A member as its directory entry, or its own header, tells.
#[derive(Clone, Copy)]
struct Member<'a> {
    name: &'a [u8],
    flags: u16,
    method: u16,
    /// `None` where only the data itself tells.
    packed: Option<u64>,
}

struct Archive<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
}

impl<'a> Archive<'a> {
    /// Finds the directory from the end of the archive.
    fn directory(&self) -> Option<Directory> {
        let bytes = self.bytes;
        // The end record is the last thing but for a comment of at most 65,535 bytes.
        let from = bytes.len().saturating_sub(END_BYTES + 0xffff);
        let end = from + memchr::memmem::rfind(&bytes[from..], END)?;
        let record = bytes.get(end..end + END_BYTES)?;
        let (mut size, mut offset) = (u64::from(u32_at(record, 12)?), u64::from(u32_at(record, 16)?));
        let mut behind = end;
        if let Some(at) = end.checked_sub(LOCATOR_BYTES)
            && bytes[at..].starts_with(LOCATOR_64)
            && let Some(at) = memchr::memmem::rfind(&bytes[..at], END_64)
            && let (Some(large_size), Some(large_offset)) = (u64_at(bytes, at + 40), u64_at(bytes, at + 48))
        {
            (size, offset, behind) = (large_size, large_offset, at);
        }
        let start = (behind as u64).checked_sub(size).map(|start| start as usize);
        // What stands before the archive (a script, a loader) moves everything, whether offsets know of it or not.
        if let Some(start) = start
            && (size == 0 || bytes[start..].starts_with(CENTRAL))
        {
            return Some(Directory {
                span: start..behind,
                base: (start as u64).saturating_sub(offset),
            });
        }
        let start = usize::try_from(offset).ok()?;
        bytes
            .get(start..behind)?
            .starts_with(CENTRAL)
            .then_some(Directory {
                span: start..behind,
                base: 0,
            })
    }

    /// Hands over the members of the directory. What is wrong with the directory itself is returned.
    fn listed(
        &self,
        directory: &Directory,
        members: &mut dyn Members,
        covered: &mut Vec<Range<usize>>,
    ) -> Result<Option<Refusal>, OpenError> {
        covered.push(directory.span.clone());
        let mut at = directory.span.start;
        let mut packed_bytes = 0;
        while at < directory.span.end {
            let Some((member, offset, next)) = self.entry(at) else {
                return Ok(Some(Refusal::malformed(
                    "an entry of its directory cannot be read",
                )));
            };
            at = next;
            let packed = member.packed.unwrap_or(0);
            let start = directory
                .base
                .checked_add(offset)
                .and_then(|start| usize::try_from(start).ok());
            let data = start.and_then(|start| Some((start, self.local(start)?.1)));
            let span = data.and_then(|(start, data)| {
                let end = data.checked_add(usize::try_from(packed).ok()?)?;
                (end <= self.bytes.len()).then_some((start, data..end))
            });
            let Some((start, data)) = span else {
                members.refused(
                    member.name,
                    Refusal::malformed("a member is not where the directory says"),
                );
                continue;
            };
            // Members that overlap are how small archives become very large ones.
            packed_bytes += data.len();
            if packed_bytes > self.bytes.len() {
                return Ok(Some(Refusal::malformed("its members overlap")));
            }
            covered.push(start..data.end);
            if member.name.ends_with(b"/") && packed == 0 {
                continue;
            }
            self.hand_over(member, &self.bytes[data], members)?;
        }
        Ok(None)
    }

    /// Hands over members that stand between those of the directory.
    fn hidden(&self, mut covered: Vec<Range<usize>>, members: &mut dyn Members) -> Result<(), OpenError> {
        covered.sort_by_key(|span| (span.start, span.end));
        covered.push(self.bytes.len()..self.bytes.len());
        let mut from = 0;
        for span in covered {
            while from < span.start {
                let Some(found) = memchr::memmem::find(&self.bytes[from..span.start], LOCAL) else {
                    break;
                };
                let start = from + found;
                from = start + LOCAL.len();
                let Some((member, data)) = self.local(start).filter(|(_, data)| *data <= span.start) else {
                    continue;
                };
                let end = match member.packed {
                    Some(packed) => usize::try_from(packed)
                        .ok()
                        .and_then(|packed| data.checked_add(packed)),
                    // Only deflate tells its own end.
                    None => (member.method == 8).then_some(span.start),
                };
                let Some(end) = end.filter(|end| *end <= span.start) else {
                    continue;
                };
                if member.packed.is_some() {
                    from = end;
                }
                self.hand_over(member, &self.bytes[data..end], members)?;
            }
            from = from.max(span.end);
        }
        Ok(())
    }

    /// The directory entry at `at`: the member, the offset of its header, and where the next entry begins.
    fn entry(&self, at: usize) -> Option<(Member<'a>, u64, usize)> {
        let fixed = self.bytes.get(at..at.checked_add(CENTRAL_BYTES)?)?;
        if !fixed.starts_with(CENTRAL) {
            return None;
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(fixed, at).map(usize::from));
        let (name, extra, comment) = (name?, extra?, comment?);
        let name_at = at + CENTRAL_BYTES;
        let extra_at = name_at + name;
        let next = extra_at + extra + comment;
        let mut packed = u64::from(u32_at(fixed, 20)?);
        let unpacked = u32_at(fixed, 24)?;
        let mut offset = u64::from(u32_at(fixed, 42)?);
        let extras = self.bytes.get(extra_at..extra_at + extra)?;
        if let Some(mut large) = field(extras, 1) {
            // 4.5.3: only what did not fit is there, in this order.
            let mut take = || {
                let value = u64_at(large, 0);
                large = large.get(8..).unwrap_or_default();
                value
            };
            if unpacked == u32::MAX {
                take();
            }
            if packed == u64::from(u32::MAX) {
                packed = take()?;
            }
            if offset == u64::from(u32::MAX) {
                offset = take()?;
            }
        }
        let member = Member {
            name: self.bytes.get(name_at..extra_at)?,
            flags: u16_at(fixed, 8)?,
            method: u16_at(fixed, 10)?,
            packed: Some(packed),
        };
        Some((member, offset, next))
    }

    /// The header at `at`, and where the data begins.
    fn local(&self, at: usize) -> Option<(Member<'a>, usize)> {
        let fixed = self.bytes.get(at..at.checked_add(LOCAL_BYTES)?)?;
        if !fixed.starts_with(LOCAL) {
            return None;
        }
        let (name, extra) = (usize::from(u16_at(fixed, 26)?), usize::from(u16_at(fixed, 28)?));
        let data = at + LOCAL_BYTES + name + extra;
        let flags = u16_at(fixed, 6)?;
        let packed = u32_at(fixed, 18)?;
        let member = Member {
            name: self.bytes.get(at + LOCAL_BYTES..at + LOCAL_BYTES + name)?,
            flags,
            method: u16_at(fixed, 8)?,
            packed: (flags & 8 == 0 && packed != u32::MAX).then_some(u64::from(packed)),
        };
        (data <= self.bytes.len()).then_some((member, data))
    }

    fn hand_over(&self, member: Member<'_>, data: &[u8], members: &mut dyn Members) -> Result<(), OpenError> {
        // Bit 0: encrypted; method 99: AES (APPNOTE 4.4.4, appendix E).
        if member.flags & 1 != 0 || member.method == 99 {
            members.refused(member.name, Refusal::Encrypted);
            return Ok(());
        }
        let step = Step::Member(member.name);
        let taken = match member.method {
            0 => members.member(step, &mut &data[..]).map_err(OpenError::Content),
            8 => {
                let mut inflated = Inflated::new(data, false);
                let taken = members.member(step, &mut inflated);
                inflated.outcome(taken)
            }
            // bzip2, zstd, xz (4.4.5).
            12 | 93 | 95 => match Decoder::open_sized(data, data.len(), self.limits) {
                Ok(decoder) => {
                    let mut decoded = Decoded::new(decoder);
                    let taken: io::Result<()> = members.member(step, &mut decoded);
                    match (decoded.fault.take(), taken) {
                        (Some(fault), _) => Err(OpenError::Refused(stream::refusal(fault))),
                        (None, taken) => taken.map_err(OpenError::Content),
                    }
                }
                Err(error) => Err(OpenError::Refused(stream::refusal(error))),
            },
            method => Err(Refusal::Unsupported(format!("zip method {method}")).into()),
        };
        match taken {
            Err(OpenError::Refused(refusal)) => {
                members.refused(member.name, refusal);
                Ok(())
            }
            taken => taken,
        }
    }
}

/// The content of the extra field `id`.
fn field(mut extras: &[u8], id: u16) -> Option<&[u8]> {
    while let (Some(known), Some(length)) = (u16_at(extras, 0), u16_at(extras, 2)) {
        let content = extras.get(4..4 + usize::from(length))?;
        if known == id {
            return Some(content);
        }
        extras = &extras[4 + usize::from(length)..];
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
