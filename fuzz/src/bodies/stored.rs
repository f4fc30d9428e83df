//! Formats of programs that keep values: git objects, SQLite, compiled Python, 7z, key stores. What is read of them is
//! bounded, and none that points into itself is read for ever.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layersift::content::archive::Format;
use layersift::engine::checks::{self, Verdict};
use layersift::rules::Check;

use super::archive::opened;
use super::{Draw, Target};

pub const GIT_PACK: Target = Target {
    name: "git_pack",
    body: git_pack,
    seeds: || {
        let blob = b"key = first\n";
        let mut delta = vec![12, 23, 0x90, 12, 11];
        delta.extend(b"key = more\n");
        let tree = [&b"100644 app.conf\0"[..], &[7; 20]].concat();
        let commit = format!("tree {}\nauthor A <a> 1 +0000\n\nfirst\n", "07".repeat(20));
        let recipe = [
            &[3, 0, blob.len() as u8][..],
            blob,
            &[6, 21, delta.len() as u8],
            &delta,
            &[2, 0, tree.len() as u8],
            &tree,
            &[1, 0, commit.len() as u8],
            commit.as_bytes(),
        ];
        let recipe = recipe.concat();
        vec![pack_of(&recipe), recipe]
    },
    words: &[
        b"PACK\0\0\0\x02\0\0\0\x01",
        b"tree ",
        b"parent ",
        b"author ",
        b"100644 a\0",
        b"40000 a\0",
        b"160000 a\0",
        b"\x78\x9c",
        b"\x06\x01",
        b"\x07\x14",
        b"\xff\xff\xff\x7f",
    ],
    longest: 4 * 1024,
};

pub const GIT_OBJECT: Target = Target {
    name: "git_object",
    body: |bytes| {
        opened(Format::GitObject, bytes);
        opened(Format::GitObject, &zlib(bytes));
    },
    seeds: || {
        [
            &b"blob 12\0key = value\n"[..],
            b"commit 15\0tree 07\n\nfirst\n",
            b"tree 0\0",
            b"tag 3\0tag",
        ]
        .map(<[u8]>::to_vec)
        .to_vec()
    },
    words: &[
        b"blob ",
        b"commit ",
        b"tree ",
        b"tag ",
        b"\0",
        b"18446744073709551616",
        b"\x78\x01",
    ],
    longest: 2 * 1024,
};

pub const SQLITE: Target = Target {
    name: "sqlite",
    body: |bytes| opened(Format::Sqlite, bytes),
    seeds: || vec![database()],
    words: &[
        b"SQLite format 3\0",
        b"\x0d\0\0\0\x01",
        b"\x05\0\0\0\x01",
        b"\x0a\0\0\0\x01",
        b"CREATE TABLE t(a, b)",
        b"WITHOUT ROWID",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\0\0\x02",
        b"\x02\0",
        b"\0\x01",
    ],
    longest: 8 * 1024,
};

pub const PYC: Target = Target {
    name: "pyc",
    body: |bytes| opened(Format::Pyc, bytes),
    seeds: || vec![MODULE.to_vec()],
    words: &[
        b"\xa7\x0d\x0d\x0a",
        b"\xf3\x0d\x0d\x0a",
        b"\x03\xf3\x0d\x0a",
        b"\x42\x0d\x0d\x0a",
        b"\xe3\0\0\0\0",
        b"\x64\0\x5a\0",
        b")\x02",
        b"(\xff\xff\xff\x7f",
        b"\xda\x05token",
        b"r\0\0\0\0",
        b"l\xff\xff\xff\x7f",
        b"{0",
    ],
    longest: 4 * 1024,
};

pub const SEVEN_ZIP: Target = Target {
    name: "seven_zip",
    body: |bytes| {
        opened(Format::SevenZip, bytes);
        opened(Format::SevenZip, &sealed(bytes));
    },
    seeds: || vec![seven_zip(), sealed(&seven_zip())],
    words: &[
        b"7z\xbc\xaf\x27\x1c\0\x04",
        b"\x01\x04\x06",
        b"\x07\x0b\x01\0",
        b"\x08\0\0\x05",
        b"\x17\x06",
        b"\x03\x01\x01",
        b"\x21\x01\x18",
        b"\x23\x03\x01\x01\x05",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x0e\x01\x80",
        b"\x11\x05\0a\0\0\0",
    ],
    longest: 4 * 1024,
};

pub const KEY_STORE: Target = Target {
    name: "key_store",
    body: key_store,
    seeds: || {
        let entry = [
            &b"\0\0\0\x01\0\x01a"[..],
            &[0; 8],
            b"\0\0\0\x20",
            &[0x30; 32],
            &[0; 4],
        ]
        .concat();
        let java = [&b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01"[..], &entry, &[0; 20]].concat();
        let content = b"\x30\x1e\x02\x01\x03\x30\x19\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x0c\x04\x0a\x30\x08\x30\x06\x06\x01\x2a\xa0\x01\x05";
        vec![java, content.to_vec()]
    },
    words: &[
        b"\xfe\xed\xfe\xed\0\0\0\x02",
        b"\xce\xce\xce\xce\0\0\0\x02",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d",
        b"\x30\x80",
        b"\x30\x84\x7f\xff\xff\xff",
        b"\x02\x04\x7f\xff\xff\xff",
        b"\0\0\0\x01",
        b"\0\0\0\x02",
    ],
    longest: 4 * 1024,
};

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// A pack as it is, or one that an input is the recipe of, so that a change of an object is not lost in its compression.
fn git_pack(bytes: &[u8]) {
    opened(Format::GitPack, bytes);
    if !bytes.starts_with(b"PACK") {
        opened(Format::GitPack, &pack_of(bytes));
    }
}

/// Objects out of lines of a recipe: the kind and a lie about the size, the distance to the base, a length, the content.
fn pack_of(recipe: &[u8]) -> Vec<u8> {
    let (mut objects, mut count) = (Vec::new(), 0_u32);
    let mut rest = recipe;
    while let [kind, distance, length, more @ ..] = rest {
        let (content, behind) = more.split_at(usize::from(*length).min(more.len()));
        rest = behind;
        let size = content.len() + usize::from(kind >> 4);
        let code = (kind & 7) << 4;
        match size {
            0..16 => objects.push(code | size as u8),
            _ => objects.extend([0x80 | code | (size & 15) as u8, (size >> 4) as u8 & 0x7f]),
        }
        match kind & 7 {
            6 => objects.push(distance & 0x7f),
            7 => objects.extend([*distance; 20]),
            _ => {}
        }
        objects.extend(zlib(content));
        count += 1;
    }
    [&b"PACK\0\0\0\x02"[..], &count.to_be_bytes(), &objects, &[0; 20]].concat()
}

/// Three pages of 512 bytes: a schema, a table of two rows, and what the second row does not hold on its page.
fn database() -> Vec<u8> {
    let page = |head: &[u8], start: usize, cells: &[Vec<u8>]| {
        let mut page = head.to_vec();
        page.extend([13, 0, 0, 0, cells.len() as u8]);
        let mut at = 512;
        let places: Vec<u8> = (cells.iter())
            .flat_map(|cell| {
                at -= cell.len();
                (at as u16).to_be_bytes()
            })
            .collect();
        page.extend((at as u16).to_be_bytes());
        page.push(0);
        page.extend(places);
        page.resize(at - start, 0);
        page.extend(cells.iter().rev().flatten());
        page
    };
    let row = |number: u8, types: &[u8], values: &[u8]| {
        let size = 1 + types.len() + values.len();
        assert!(size < 128, "a size of one byte");
        [&[size as u8, number, 1 + types.len() as u8], types, values].concat()
    };
    let mut head = b"SQLite format 3\0\x02\0\x01\x01\0\x40\x20\x20".to_vec();
    head.extend([0, 0, 0, 1, 0, 0, 0, 3]);
    head.resize(44, 0);
    head.extend([0, 0, 0, 4]);
    head.resize(56, 0);
    head.extend([0, 0, 0, 1]);
    head.resize(100, 0);
    let statement = b"CREATE TABLE t(name, value)";
    let text = |length: usize| 13 + 2 * length as u8;
    let schema = row(
        1,
        &[text(5), text(1), text(1), 1, text(statement.len())],
        &[&b"tablett\x02"[..], statement].concat(),
    );
    let short = row(1, &[text(3), text(5)], b"keyvalue");
    // 700 bytes of payload, of which 192 are on the page.
    let mut long = vec![0x85, 0x3c, 2, 5, text(3), 0x8a, 0x79];
    long.extend(b"key");
    long.resize(3 + 192, b'x');
    long.extend([0, 0, 0, 3]);
    let mut overflow = vec![0; 4];
    overflow.resize(512, b'y');
    [page(&head, 0, &[schema]), page(&[], 0, &[short, long]), overflow].concat()
}

/// What CPython 3.11 compiles of four lines that give texts to names.
const MODULE: &[u8] = b"\xa7\r\r\n\0\0\0\0\0\0\0\0\0\0\0\0\xe3\0\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\xf3<\0\0\0\x97\0d\0Z\0\x02\0e\x01d\x01d\x02\xac\x03\xa6\x02\0\0\xab\x02\0\0\0\0\0\0\0\0\x01\0d\x04d\x05d\x06\x9c\x02Z\x02d\x07e\x03_\x04\0\0\0\0\0\0\0\0d\x08S\0)\t\xda\x08abcdefghz\x0cvalue-of-key\xe9\x01\0\0\0)\x02\xda\x03key\xda\x05other\xda\x07bcdefghs\x07\0\0\0defghij)\x02\xda\x01a\xda\x01cz\theld hereN)\x05\xda\x05token\xda\x06client\xda\x08settings\xda\x04self\xda\x04name\xa9\0\xf3\0\0\0\0\xfa\x06app.py\xfa\x08<module>r\x11\0\0\0\x01\0\0\0s\0\0\0\0r\x0f\0\0\0";

/// One file of four bytes, stored.
fn seven_zip() -> Vec<u8> {
    let header = b"\x01\x04\x06\0\x01\x09\x04\0\x07\x0b\x01\0\x01\x01\0\x0c\x04\0\x08\0\0\x05\x01\x11\x05\0a\0\0\0\0\0";
    let mut bytes = b"7z\xbc\xaf\x27\x1c\0\x04\0\0\0\0".to_vec();
    bytes.extend(4_u64.to_le_bytes());
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(b"text");
    bytes.extend(header);
    bytes
}

/// The same with checksums that hold, so that what is behind them is reached.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() < 32 {
        return bytes;
    }
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize;
    let (start, length) = (number(12).saturating_add(32), number(20));
    if let Some(header) = bytes.get(start..start.saturating_add(length)) {
        let sum = crc32fast::hash(header);
        bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = crc32fast::hash(&bytes[12..32]);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// A store and a part of it, in base64 as the engine hands it over.
fn key_store(bytes: &[u8]) {
    let mut draw = Draw::of(bytes);
    let part = &bytes[..draw.below(bytes.len() + 1)];
    for bytes in [bytes, part] {
        let text = STANDARD.encode(bytes);
        let verdict = checks::run(Check::KeyStore, text.as_bytes(), text.as_bytes());
        if let Verdict::Pass(evidence) = &verdict {
            assert!(evidence.len() < 8, "{evidence:?}");
        }
        let again = checks::run(Check::KeyStore, text.as_bytes(), text.as_bytes());
        assert_eq!(again, verdict, "the verdict depends on the time");
    }
}
