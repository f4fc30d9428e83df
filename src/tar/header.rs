//! Header blocks: turns 512 bytes into the fields of a member, by the rules of Go's `archive/tar`. Does not know
//! what came before; extended headers are applied by the framer.

/// Bytes of a block, the unit of a tar stream.
pub(super) const BLOCK: usize = 512;

/// One block of the stream.
pub(super) type Block = [u8; BLOCK];

/// Which dialect a header block is written in: what its bytes from 257 on mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gnu,
    Star,
    /// POSIX, with or without PAX extended headers.
    Ustar,
    V7,
}

/// A header block whose checksum is right.
#[derive(Debug)]
pub(super) struct Header<'b> {
    block: &'b Block,
    pub format: Format,
    pub typeflag: u8,
    /// `None` where the number cannot be read.
    pub size: Option<i64>,
    pub mode: i64,
    pub uid: i64,
    pub gid: i64,
    pub mtime: i64,
    /// Whether the device number is 0/0, as it is where the format has none.
    pub zero_device: bool,
    /// Whether a number in it cannot be read, for which Go refuses the archive.
    pub malformed: bool,
    /// Whether other readers than Go read another number in a field, or none.
    pub is_ambiguous: bool,
    /// What goes before the name, with a slash between; empty for most.
    prefix: &'b [u8],
}

impl<'b> Header<'b> {
    /// Reads a block. `None` where its checksum is wrong.
    pub fn read(block: &'b Block) -> Option<Self> {
        if !checksum_is_right(block) {
            return None;
        }
        let mut header = Self {
            block,
            format: format(block),
            typeflag: block[156],
            size: numeric(&block[124..136]),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            zero_device: true,
            malformed: false,
            is_ambiguous: is_ambiguous(&block[124..136]) || is_ambiguous(&block[148..156]),
            prefix: b"",
        };
        header.mode = header.number(100, 8);
        header.uid = header.number(108, 8);
        header.gid = header.number(116, 8);
        header.mtime = header.number(136, 12);
        if header.format == Format::V7 {
            // It has none, but others read some, and end the archive where they cannot.
            let is_read = |field: &[u8]| numeric(field).is_some() && !is_ambiguous(field);
            header.is_ambiguous |= !is_read(&block[329..337]) || !is_read(&block[337..345]);
        } else {
            let (major, minor) = (header.number(329, 8), header.number(337, 8));
            header.zero_device = major == 0 && minor == 0;
        }
        match header.format {
            Format::Gnu => header.prefix = gnu_prefix(block),
            Format::Star => {
                header.number(476, 12);
                header.number(488, 12);
                header.prefix = until_nul(&block[345..476]);
            }
            Format::Ustar => header.prefix = until_nul(&block[345..500]),
            Format::V7 => {}
        }
        header.malformed |= header.size.is_none();
        Some(header)
    }

    /// The name, cut at NUL.
    pub fn name(&self) -> Name<'b> {
        Name {
            prefix: self.prefix,
            name: until_nul(self.name_field()),
        }
    }

    /// The whole field of the name.
    pub fn name_field(&self) -> &'b [u8] {
        &self.block[..100]
    }

    /// Whether something stands where POSIX has device numbers and a prefix, and this format has not. Times of GNU tar
    /// are what they should be.
    pub fn has_stray_fields(&self) -> bool {
        let is_number = |at: usize| numeric(&self.block[at..at + 8]) != Some(0);
        match self.format {
            Format::V7 => is_number(329) || is_number(337) || self.block[345] != 0,
            Format::Gnu => !has_times(self.block) && (self.prefix.is_empty() || self.typeflag == b'S'),
            // Behind the prefix there are times, from which a NUL divides it.
            Format::Star => self.prefix.len() == 131,
            Format::Ustar => false,
        }
    }

    /// The whole field of the link's target.
    pub fn link_field(&self) -> &'b [u8] {
        &self.block[157..257]
    }

    /// Old GNU: the logical size of a sparse member.
    pub fn real_size(&self) -> &'b [u8] {
        &self.block[483..495]
    }

    /// Old GNU: the first four pairs of a sparse map.
    pub fn sparse_pairs(&self) -> &'b [u8] {
        &self.block[386..482]
    }

    /// Old GNU: whether blocks with more of the sparse map follow the header.
    pub fn is_sparse_extended(&self) -> bool {
        self.block[482] != 0
    }

    /// Whether it looks like what some tar wrote, for telling a header from bytes that happen to sum up.
    pub fn is_plausible(&self) -> bool {
        !self.malformed && !self.name().name.is_empty() && !is_blank(&self.block[148..156])
    }

    fn number(&mut self, start: usize, len: usize) -> i64 {
        let field = &self.block[start..start + len];
        let number = numeric(field);
        self.is_ambiguous |= is_ambiguous(field);
        self.malformed |= number.is_none();
        number.unwrap_or(0)
    }
}

/// A member's name in up to two pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'b> {
    pub prefix: &'b [u8],
    pub name: &'b [u8],
}

impl<'b> Name<'b> {
    /// A name in one piece.
    pub fn whole(name: &'b [u8]) -> Self {
        Self { prefix: b"", name }
    }

    /// Whether the joined name ends with a slash.
    pub fn ends_with_slash(&self) -> bool {
        self.name.ends_with(b"/") || (self.name.is_empty() && !self.prefix.is_empty())
    }
}

/// Whether a type has no content in the specification, whatever its size field says.
pub(super) fn is_bodiless(typeflag: u8) -> bool {
    matches!(typeflag, b'1'..=b'6')
}

/// Whether every byte is zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // The first byte settles it for nearly every header; the rest is read without branches.
    bytes.first().is_none_or(|first| *first == 0) && bytes.iter().fold(0, |all, byte| all | byte) == 0
}

/// What stands before the first NUL.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, field).unwrap_or(field.len());
    &field[..end]
}

/// Whether anything but NUL stands behind the first NUL.
pub(super) fn hides_behind_nul(field: &[u8]) -> bool {
    !is_zero(&field[until_nul(field).len()..])
}

/// Reads a number in octal, or in base 256 where the first bit is set. Blank is 0. `None` where it is neither, or
/// does not fit. Base 256 may be negative.
pub(super) fn numeric(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base256(field),
        _ => octal(field),
    }
}

/// Two's complement in big-endian order; the first bit only marks the encoding, the second is the sign.
fn base256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let inversion = if negative { 0xff } else { 0 };
    let mut value: u64 = 0;
    for (at, byte) in field.iter().enumerate() {
        let byte = byte ^ inversion;
        let digit = if at == 0 { byte & 0x7f } else { byte };
        value = value.checked_mul(256)? | u64::from(digit);
    }
    let value = i64::try_from(value).ok()?;
    Some(if negative { !value } else { value })
}

fn octal(field: &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for digit in until_nul(trim_blank(field)) {
        if !matches!(digit, b'0'..=b'7') {
            return None;
        }
        value = value.checked_mul(8)? | u64::from(digit - b'0');
    }
    i64::try_from(value).ok()
}

fn trim_blank(mut field: &[u8]) -> &[u8] {
    while let [b' ' | 0, rest @ ..] = field {
        field = rest;
    }
    while let [rest @ .., b' ' | 0] = field {
        field = rest;
    }
    field
}

fn is_blank(field: &[u8]) -> bool {
    trim_blank(field).is_empty()
}

/// Compares with the sum of the bytes, taken as unsigned (POSIX) and as signed (Sun's tar), the checksum's own
/// field counting as spaces.
fn checksum_is_right(block: &Block) -> bool {
    // The field first: it refuses nearly every block that is no header for the price of eight bytes, which
    // counts where a long tail is searched for headers.
    let Some(declared) = octal(&block[148..156]) else {
        return false;
    };
    let (before, after) = (&block[..148], &block[156..]);
    let unsigned = sum(before) + sum(after) + 8 * u32::from(b' ');
    if declared == i64::from(unsigned) {
        return true;
    }
    let high = before.iter().chain(after).filter(|byte| !byte.is_ascii()).count();
    declared == i64::from(unsigned) - 256 * high as i64
}

/// Adds bytes up in 32 bits, which the compiler turns into vector instructions; a block cannot overflow them.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| u32::from(*byte)).sum()
}

fn format(block: &Block) -> Format {
    match (&block[257..263], &block[263..265], &block[508..512]) {
        (b"ustar\0", _, b"tar\0") => Format::Star,
        (b"ustar\0", _, _) => Format::Ustar,
        (b"ustar ", b" \0", _) => Format::Gnu,
        _ => Format::V7,
    }
}

/// GNU has times where POSIX has the prefix. Go before 1.8 wrote a prefix there nonetheless (golang.org/issues/12594):
/// what cannot be a time and is ASCII is taken for one.
fn gnu_prefix(block: &Block) -> &[u8] {
    if has_times(block) {
        return b"";
    }
    let prefix = until_nul(&block[345..500]);
    if prefix.is_ascii() { prefix } else { b"" }
}

fn has_times(block: &Block) -> bool {
    let is_time = |field: &[u8]| field[0] == 0 || numeric(field).is_some();
    is_time(&block[345..357]) && is_time(&block[357..369])
}

/// Whether a number begins with NUL, where others end it, or in a way that only Go takes for base 256.
pub(super) fn is_ambiguous(field: &[u8]) -> bool {
    match field[0] {
        0 | b' ' => is_blank(until_nul(field)) && !is_blank(field),
        first => first > 0x80 && first < 0xff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::testing::{sealed, ustar};

    #[test]
    fn blank_numbers_are_zero_and_padding_is_any_mix_of_nul_and_space() {
        for (field, number) in [
            (&b"\0\0\0\0\0\0\0\0"[..], Some(0)),
            (b"        ", Some(0)),
            (b" \0 17 \0 ", Some(0o17)),
            (b"0000017\0", Some(0o17)),
            (b"0000017", Some(0o17)),
            (b"17\x0099 \0\0", Some(0o17)),
            (b"0000018\0", None),
            (b"-000017\0", None),
            (b"+000017\0", None),
            (b"0o00017\0", None),
            (b"1 7", None),
        ] {
            assert_eq!(numeric(field), number, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn a_number_that_begins_with_nul_or_is_in_a_base_of_its_own_is_ambiguous() {
        for (field, is_odd) in [
            (&b"0000017\0"[..], false),
            (b"\0\0\0\0\0\0\0\0", false),
            (b"        ", false),
            (b" 17\0\0\0\0\0", false),
            (b"17\x0099 \0\0", false),
            (b"\x80\0\0\0\0\0\0\x05", false),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", false),
            (b"\x0000017\0\0", true),
            (b" \0 17 \0 ", true),
            (b"\x81\0\0\0\0\0\0\x05", true),
            (b"\xc0\0\0\0\0\0\0\x05", true),
        ] {
            assert_eq!(is_ambiguous(field), is_odd, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn base_256_numbers_are_signed_and_never_overflow() {
        for (field, number) in [
            (&b"\x80\0\0\0\0\0\0\x05"[..], Some(5)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x81\0\0\0\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN)),
            (b"\xff\xff\xff\xff\x7f\0\0\0\0\0\0\0", None),
        ] {
            assert_eq!(numeric(field), number, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn a_signed_checksum_is_as_good_as_an_unsigned_one() {
        let mut block = ustar(b'0', b"na\xefve", 0);
        assert!(Header::read(&block).is_some());
        let unsigned = octal(&block[148..156]).unwrap();
        block[148..156].copy_from_slice(format!("{:06o}\0 ", unsigned - 256).as_bytes());
        assert!(Header::read(&block).is_some());
        block[148..156].copy_from_slice(format!("{:06o}\0 ", unsigned - 255).as_bytes());
        assert!(Header::read(&block).is_none());
    }

    #[test]
    fn a_buggy_gnu_prefix_is_a_prefix_only_where_it_cannot_be_a_time() {
        let mut block = ustar(b'0', b"name", 0);
        block[257..265].copy_from_slice(b"ustar  \0");
        block[345..351].copy_from_slice(b"prefix");
        let block = sealed(block);
        assert_eq!(Header::read(&block).unwrap().name().prefix, b"prefix");

        let mut block = block;
        block[345..357].copy_from_slice(b"01234567012\0");
        assert_eq!(Header::read(&sealed(block)).unwrap().name().prefix, b"");
    }

    #[test]
    fn each_format_has_its_own_prefix() {
        let mut block = ustar(b'0', b"name", 0);
        block[345..348].copy_from_slice(b"dir");
        assert_eq!(Header::read(&sealed(block)).unwrap().name().prefix, b"dir");
        block[508..512].copy_from_slice(b"tar\0");
        let star = sealed(block);
        let header = Header::read(&star).unwrap();
        assert_eq!((header.format, header.name().prefix), (Format::Star, &b"dir"[..]));
        block[257..265].fill(0);
        let v7 = sealed(block);
        let header = Header::read(&v7).unwrap();
        assert_eq!((header.format, header.name().prefix), (Format::V7, &b""[..]));
    }

    #[test]
    fn a_number_that_cannot_be_read_marks_the_header() {
        for field in [100, 108, 116, 124, 136, 329, 337] {
            let mut block = ustar(b'0', b"name", 0);
            block[field..field + 7].copy_from_slice(b"garbage");
            let block = sealed(block);
            let header = Header::read(&block).unwrap();
            assert!(header.malformed, "field at {field}");
            assert_eq!(header.size.is_none(), field == 124);
        }
    }
}
