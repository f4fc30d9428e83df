//! Archives that unpack to themselves: a gzip stream and a zip archive of one member. Made by a stream of DEFLATE that prints its
//! own text, and a CRC-32 that is solved for.
//!
//! *Source*: RFC 1951, 3.2; the order of the opcodes is that of R. Cox, "Zip Files All The Way Down" (2010), derived again for
//! repeats of more than five bytes.

/// Bits as DEFLATE packs them: from the lowest one of each byte.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    /// A number, its lowest bit first.
    fn number(&mut self, value: usize, bits: usize) {
        self.0.extend((0..bits).map(|bit| (value >> bit) & 1 == 1));
    }

    /// A Huffman code, its highest bit first.
    fn code(&mut self, value: usize, bits: usize) {
        self.0.extend((0..bits).rev().map(|bit| (value >> bit) & 1 == 1));
    }

    /// Begins a block of fixed codes that is not the last one.
    fn block(&mut self) {
        self.number(0b010, 3);
    }

    /// The code that ends one.
    fn end(&mut self) {
        self.code(0, 7);
    }

    /// A copy of `length` bytes from as far back as `distance`.
    fn copy(&mut self, length: usize, distance: usize) {
        // Lengths from 3 in groups of four for each number of extra bits, and 258 for itself; distances in groups of two.
        let (symbol, extra, base) = match length {
            3..=10 => (254 + length, 0, length),
            258 => (285, 0, 258),
            _ => {
                let bits = (length - 3).ilog2() as usize - 2;
                let group = ((length - 3) >> bits) - 4;
                (261 + 4 * bits + group, bits, ((4 + group) << bits) + 3)
            }
        };
        if symbol < 280 {
            self.code(symbol - 256, 7);
        } else {
            self.code(0xc0 + symbol - 280, 8);
        }
        self.number(length - base, extra);
        let (code, extra, base) = match distance {
            1..=4 => (distance - 1, 0, distance),
            _ => {
                let bits = (distance - 1).ilog2() as usize - 1;
                let group = ((distance - 1) >> bits) - 2;
                (2 + 2 * bits + group, bits, ((2 + group) << bits) + 1)
            }
        };
        self.code(code, 5);
        self.number(distance - base, extra);
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            bits.iter()
                .rev()
                .fold(0, |byte, &bit| (byte << 1) | u8::from(bit))
        };
        self.0.chunks(8).map(byte).collect()
    }
}

/// A stored block before `length` bytes: prints them.
fn literal(length: usize) -> Vec<u8> {
    let length = u16::try_from(length).expect("it is short");
    [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes()].concat()
}

/// Prints the last `length` bytes again, in just `size` bytes of its own, if there is a way.
fn repeat(length: usize, size: usize) -> Option<Vec<u8>> {
    /// Copies that come to `length` bytes, and leave of the bits what empty blocks fill, of ten bits each.
    fn split(length: usize, distance: usize, bits: usize, most: usize) -> Option<(Vec<usize>, usize)> {
        if length == 0 && bits.is_multiple_of(10) {
            return Some((Vec::new(), bits / 10));
        }
        (3..=length.min(most)).rev().find_map(|first| {
            let mut copy = Bits::default();
            copy.copy(first, distance);
            let (mut lengths, empty) =
                split(length - first, distance, bits.checked_sub(copy.0.len())?, first)?;
            lengths.push(first);
            Some((lengths, empty))
        })
    }
    let (lengths, empty) = split(length, length, size * 8 - 10, 258)?;
    let mut bits = Bits::default();
    for _ in 0..empty {
        bits.block();
        bits.end();
    }
    bits.block();
    for part in lengths {
        bits.copy(part, length);
    }
    bits.end();
    Some(bits.bytes())
}

/// Prints nothing, in `size` bytes.
fn nothing(size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if !size.is_multiple_of(5) {
        // Empty blocks of ten bits each before one that is stored, whose lengths begin at a byte.
        let mut bits = Bits::default();
        while (bits.0.len() + 3).div_ceil(8) < 1 + size % 5 {
            bits.block();
            bits.end();
        }
        bits.number(0, 3);
        bytes = [&bits.bytes()[..], &[0, 0, 0xff, 0xff]].concat();
    }
    while bytes.len() < size {
        bytes.extend(literal(0));
    }
    bytes
}

/// The last block, with nothing in it.
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// A text of `prefix`, a stream of DEFLATE but for its last block, and `suffix`; the stream prints the whole of it.
fn text(prefix: &[u8], suffix: &[u8]) -> Vec<u8> {
    // `copy` prints `length` bytes in `size`, two of it and two literals are as long as what it prints.
    let (copy, length, first) = (5..)
        .find_map(|size| {
            let length = 2 * size + 10;
            Some((
                repeat(length, size)?,
                length,
                repeat(prefix.len() + 5, length - 15)?,
            ))
        })
        .expect("there is a size");
    let finish = (5..)
        .find_map(|size| repeat(suffix.len() + size, size))
        .expect("there is a size");
    let (begin, short, long) = (literal(prefix.len() + 5), literal(first.len()), literal(length));
    let rest = literal(finish.len() + suffix.len());
    let fill = nothing(length - copy.len() - 5);
    let five = literal(5);
    [
        // What is printed is one opcode behind what was written, until the last copy overtakes it.
        &[prefix, &begin, prefix, &begin, &first][..],
        &[&short, &first, &five, &short],
        &[&long, &first, &five, &short, &long, &copy],
        &[&long, &copy, &long, &copy, &long, &copy],
        &[&long, &copy, &fill, &rest],
        &[&copy, &fill, &rest, &finish, suffix],
        &[&finish, suffix],
    ]
    .concat()
    .concat()
}

/// The text whose CRC-32 is the one it holds.
fn with_own_crc(make: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    // The CRC of texts of one length is affine in their bits: what is wanted solves a system of 32 equations.
    let wrong = |crc: u32| crc32fast::hash(&make(crc)) ^ crc;
    let constant = wrong(0);
    let mut rows: Vec<(u32, u32)> = Vec::new();
    let reduce = |rows: &[(u32, u32)], mut value: u32, mut bits: u32| {
        for &(row, of) in rows {
            if value ^ row < value {
                (value, bits) = (value ^ row, bits ^ of);
            }
        }
        (value, bits)
    };
    for bit in 0..32 {
        let row = reduce(&rows, wrong(1 << bit) ^ constant, 1 << bit);
        if row.0 != 0 {
            rows.push(row);
            rows.sort_unstable_by(|left, right| right.cmp(left));
        }
    }
    let (left, crc) = reduce(&rows, constant, 0);
    assert_eq!(left, 0, "no CRC fits: change a byte that is free");
    make(crc)
}

/// A gzip member that unpacks to itself.
pub fn gzip() -> Vec<u8> {
    let make = |crc: u32, size: usize| {
        let header = b"\x1f\x8b\x08\x08\0\0\0\0\0\xffr.gz\0";
        let size = u32::try_from(size).expect("it is short");
        text(
            header,
            &[&LAST[..], &crc.to_le_bytes(), &size.to_le_bytes()].concat(),
        )
    };
    let size = make(0, 0).len();
    with_own_crc(|crc| make(crc, size))
}

/// A zip archive whose one member, `r.zip`, is the archive.
pub fn zip() -> Vec<u8> {
    let name = b"r.zip";
    let make = |crc: u32, size: usize| {
        let number = |value: usize| u32::try_from(value).expect("it is short").to_le_bytes();
        // The archive without its headers: what the member takes.
        let (local, central, end) = (30 + name.len(), 46 + name.len(), 22);
        let packed = size.saturating_sub(local + central + end);
        let common = [
            &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
            &crc.to_le_bytes(),
            &number(packed),
            &number(size),
            &[name.len() as u8, 0, 0, 0],
        ]
        .concat();
        let header = [b"PK\x03\x04", &common[..], name].concat();
        let entry = [b"PK\x01\x02\x14\0", &common[..], &[0; 14], name].concat();
        let end = [
            b"PK\x05\x06\0\0\0\0\x01\0\x01\0",
            &number(entry.len())[..],
            &number(local + packed),
            &[0; 2],
        ]
        .concat();
        text(&header, &[&LAST[..], &entry, &end].concat())
    };
    let size = make(0, 0).len();
    with_own_crc(|crc| make(crc, size))
}
