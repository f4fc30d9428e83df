//! 7z archives, with LZMA, LZMA2, bzip2, the filters for programs, or stored. Decrypts none and looks for none behind
//! another file: a 7z file begins with its signature.
//!
//! The decoder's memory follows what comes out of it, but for what stands here: a header may be packed, so its size is
//! read and bounded before it is unpacked, and so are dictionaries before a block is.

use std::io::{self, Cursor, Read};

use sevenz_rust2::{Archive, ArchiveEntry, Block, BlockDecoder, Error, Password};

use super::{Members, OpenError, Refusal, Step};
use crate::limits::{LimitHit, Limits};

/// Where the headers that the first one points to are counted from.
const START: usize = 32;

/// Bytes of the header that lists the files, unpacked: some ten thousand of them. In memory an entry takes about a
/// hundred times the byte that is enough to announce one.
const MOST_HEADER: u64 = 1024 * 1024;

const LZMA: &[u8] = &[3, 1, 1];
const LZMA2: &[u8] = &[0x21];
const AES: &[u8] = &[6, 0xf1, 7, 1];
/// Copied, delta, BCJ of several processors in both of its numbers, BCJ2, bzip2.
const OTHERS: [&[u8]; 17] = [
    &[0],
    &[3],
    &[4],
    &[5],
    &[6],
    &[7],
    &[8],
    &[9],
    &[0xa],
    &[3, 3, 1, 3],
    &[3, 3, 1, 0x1b],
    &[3, 3, 2, 5],
    &[3, 3, 4, 1],
    &[3, 3, 5, 1],
    &[3, 3, 7, 1],
    &[3, 3, 8, 5],
    &[4, 2, 2],
];

pub(super) fn open(bytes: &[u8], limits: &Limits, members: &mut dyn Members) -> Result<(), OpenError> {
    match header(bytes)? {
        // An archive of nothing.
        [] => return Ok(()),
        [PACKED, packed @ ..] => check_packed(packed)?,
        _ => {}
    }
    let password = Password::empty();
    let mut source = Cursor::new(bytes);
    let archive = Archive::read(&mut source, &password).map_err(|error| refusal(&error))?;
    let mut first = None;
    for (number, block) in archive.blocks.iter().enumerate() {
        let opened = check(block, limits).map_err(OpenError::Refused).and_then(|()| {
            let decoder = BlockDecoder::new(1, number, &archive, &password, &mut source);
            open_block(decoder, limits, members)
        });
        // Another block may be well.
        match opened {
            Err(OpenError::Refused(refusal)) => {
                first.get_or_insert(refusal);
            }
            opened => opened?,
        }
    }
    first.map_or(Ok(()), |refusal| Err(refusal.into()))
}

fn open_block(
    decoder: BlockDecoder<'_, Cursor<&[u8]>>,
    limits: &Limits,
    members: &mut dyn Members,
) -> Result<(), OpenError> {
    let mut ended = None;
    let opened = decoder.for_each_entries(&mut |entry: &ArchiveEntry, content: &mut dyn Read| {
        let name = entry.name().as_bytes();
        if name.len() > limits.path_bytes {
            ended = Some(Refusal::malformed("a name is too long").into());
            return Ok(false);
        }
        let mut content = Content {
            inner: content,
            has_failed: false,
        };
        let taken = members.member(Step::Member(name), &mut content);
        let has_failed = content.has_failed;
        match taken {
            Ok(()) if !has_failed => return Ok(true),
            // What comes behind it in the block is packed with it.
            _ if has_failed => {
                members.refused(name, Refusal::malformed("a member of the 7z archive is damaged"))
            }
            Err(error) => ended = Some(OpenError::Content(error)),
            Ok(()) => {}
        }
        Ok(false)
    });
    match (ended, opened) {
        (Some(ended), _) => Err(ended),
        (None, Ok(_)) => Ok(()),
        (None, Err(error)) => Err(refusal(&error).into()),
    }
}

/// A member that remembers whether it could not be unpacked.
struct Content<'c> {
    inner: &'c mut dyn Read,
    has_failed: bool,
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out);
        self.has_failed |= read
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

/// The header at the end of the archive, as it is stored. *Source*: 7zFormat.txt of the LZMA SDK.
fn header(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let number = |at: usize| -> Option<u64> { Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)) };
    let (Some(offset), Some(size)) = (number(12), number(20)) else {
        return Err(Refusal::Truncated);
    };
    if size > MOST_HEADER {
        return Err(Refusal::Limit(LimitHit::ArchiveMembers));
    }
    // Without a header the decoder would look for one everywhere.
    let start = usize::try_from(offset)
        .ok()
        .and_then(|offset| offset.checked_add(START));
    let header = start.and_then(|start| bytes.get(start..start.checked_add(size as usize)?));
    header.ok_or(Refusal::Truncated)
}

const PACKED: u8 = 0x17;

/// Looks what a packed header unpacks to. Writers pack it as one stream.
fn check_packed(header: &[u8]) -> Result<(), Refusal> {
    let mut header = Header(header);
    let mut has_password = false;
    let sizes = header.unpacked_sizes(&mut has_password);
    if has_password {
        return Err(Refusal::Encrypted);
    }
    match sizes {
        None => Err(Refusal::malformed(
            "the header of the 7z archive is packed in a way of its own",
        )),
        Some(sizes) if sizes.iter().any(|size| *size > MOST_HEADER) => {
            Err(Refusal::Limit(LimitHit::ArchiveMembers))
        }
        Some(_) => Ok(()),
    }
}

/// What is left of a header.
struct Header<'h>(&'h [u8]);

impl<'h> Header<'h> {
    fn bytes(&mut self, count: u64) -> Option<&'h [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|byte| byte[0])
    }

    fn is(&mut self, expected: u8) -> Option<()> {
        (self.byte()? == expected).then_some(())
    }

    /// As many bytes follow the first one as it has leading ones; its other bits are the highest.
    fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        let count = first.leading_ones();
        let low = self.bytes(u64::from(count))?;
        let low = low
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte));
        let high = if count < 7 {
            u64::from(first) & (0x7f >> count)
        } else {
            0
        };
        Some(high.checked_shl(8 * count).unwrap_or(0) | low)
    }

    /// What each coder of the one block of a packed header gives.
    fn unpacked_sizes(&mut self, has_password: &mut bool) -> Option<Vec<u64>> {
        const PACK_INFO: u8 = 6;
        const UNPACK_INFO: u8 = 7;
        const SIZES: u8 = 9;
        const DIGESTS: u8 = 10;
        const FOLDERS: u8 = 11;
        const UNPACKED_SIZES: u8 = 12;
        self.is(PACK_INFO)?;
        self.number()?;
        (self.number()? == 1).then_some(())?;
        loop {
            match self.byte()? {
                0 => break,
                SIZES => {
                    self.number()?;
                }
                DIGESTS => {
                    self.is(1)?;
                    self.bytes(4)?;
                }
                _ => return None,
            }
        }
        self.is(UNPACK_INFO)?;
        self.is(FOLDERS)?;
        (self.number()? == 1).then_some(())?;
        self.is(0)?;
        let coders = self.number().filter(|coders| (1..=4).contains(coders))?;
        for _ in 0..coders {
            let flags = self.byte()?;
            *has_password |= self.bytes(u64::from(flags & 15))? == AES;
            if flags & 0x10 != 0 {
                (self.number()? == 1 && self.number()? == 1).then_some(())?;
            }
            if flags & 0x20 != 0 {
                let length = self.number()?;
                self.bytes(length)?;
            }
            (flags & 0xc0 == 0).then_some(())?;
        }
        for _ in 1..coders {
            self.number()?;
            self.number()?;
        }
        self.is(UNPACKED_SIZES)?;
        (0..coders).map(|_| self.number()).collect()
    }
}

/// Whether a block can be unpacked, and in how much memory.
fn check(block: &Block, limits: &Limits) -> Result<(), Refusal> {
    let most = 1_u64 << limits.zstd_window_log;
    let mut dictionaries = 0;
    for coder in &block.coders {
        let properties = coder.properties();
        dictionaries += match coder.encoder_method_id() {
            AES => return Err(Refusal::Encrypted),
            LZMA => {
                let size = properties.get(1..).and_then(<[u8]>::first_chunk);
                u64::from(size.map_or(u32::MAX, |size| u32::from_le_bytes(*size)))
            }
            // A mantissa of one bit and an exponent.
            LZMA2 => match properties.first() {
                Some(size @ 0..40) => (2 | u64::from(size & 1)) << (size / 2 + 11),
                _ => u64::from(u32::MAX),
            },
            other if OTHERS.contains(&other) => 0,
            other => {
                return Err(Refusal::Unsupported(format!("7z method {}", hex(other))));
            }
        };
    }
    if dictionaries > most {
        return Err(Refusal::Limit(LimitHit::ZstdWindow));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::PasswordRequired | Error::MaybeBadPassword(_) => Refusal::Encrypted,
        Error::UnsupportedCompressionMethod(method) => Refusal::Unsupported(format!("7z method {method}")),
        Error::UnsupportedVersion { .. } | Error::Unsupported(_) | Error::ExternalUnsupported => {
            Refusal::Unsupported("this form of 7z".to_owned())
        }
        Error::Io(error, _) if error.kind() == io::ErrorKind::UnexpectedEof => Refusal::Truncated,
        _ => Refusal::malformed("the 7z archive is damaged"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_bytes_as_the_first_one_says() {
        for (bytes, number) in [
            (&[0x7f][..], Some(0x7f)),
            (&[0x80, 0x80], Some(0x80)),
            (&[0xbf, 0xff], Some(0x3fff)),
            (&[0xc0, 1, 2], Some(0x201)),
            (&[0xfe, 1, 2, 3, 4, 5, 6, 7], Some(0x07_0605_0403_0201)),
            (&[0xff, 1, 2, 3, 4, 5, 6, 7, 8], Some(0x0807_0605_0403_0201)),
            (&[0xff, 1, 2], None),
            (&[], None),
        ] {
            assert_eq!(Header(bytes).number(), number, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_packed_header_that_would_be_huge_is_not_unpacked() {
        let packed = |size: &[u8], method: &[u8]| {
            [
                &[6, 0, 1, 9, 20, 0, 7, 11, 1, 0, 1, 0x20 | method.len() as u8],
                method,
                &[1, 24, 12],
                size,
                &[0, 0],
            ]
            .concat()
        };
        assert_eq!(check_packed(&packed(&[0x50], LZMA2)), Ok(()));
        let huge = packed(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1], LZMA2);
        assert_eq!(check_packed(&huge), Err(Refusal::Limit(LimitHit::ArchiveMembers)));
        assert_eq!(check_packed(&packed(&[0x50], AES)), Err(Refusal::Encrypted));
        let whole = packed(&[0x50], LZMA2);
        for length in 0..whole.len() - 2 {
            assert!(check_packed(&whole[..length]).is_err(), "cut at {length}");
        }
    }
}
