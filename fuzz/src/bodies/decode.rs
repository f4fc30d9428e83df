//! The decoders of layers: what comes out does not depend on how it is read, is bounded, and loses no byte.

use std::io::Write as _;

use layersift::content::decode::{AsideKind, Codec, DecodeError, Decoder, Step};
use layersift::limits::Limits;

use super::{Draw, Pieces, Target};
use crate::support::packed;

pub const GZIP: Target = Target {
    name: "gzip",
    body: gzip,
    seeds: || {
        let mut named = flate2::GzBuilder::new()
            .filename("name")
            .comment("a comment")
            .extra("extra")
            .write(Vec::new(), flate2::Compression::best());
        named.write_all(&text()).expect("memory can be written");
        let named = named.finish().expect("memory can be written");
        let twice = [
            packed::gzip(b"one"),
            packed::gzip(b"two"),
            vec![0; 64],
            b"junk".to_vec(),
        ]
        .concat();
        vec![packed::gzip(b""), packed::gzip(&text()), named, twice]
    },
    words: &[
        b"\x1f\x8b\x08\0",
        b"\x1f\x8b\x08\x1f\0\0\0\0\0\xff",
        b"\x01\x05\0\xfa\xff",
        b"\x03\0",
        b"\0\0\xff\xff",
        b"\0\0\0\0",
    ],
    longest: 8 * 1024,
};

pub const ZSTD: Target = Target {
    name: "zstd",
    body: zstd,
    seeds: || {
        let frame = |bytes: &[u8], level| zstd_frame(bytes, level);
        let skippable = [&b"\x50\x2a\x4d\x18\x04\0\0\0skip"[..]].concat();
        let several = [&frame(b"one", 1)[..], &skippable, &frame(&text(), 19), b"junk"].concat();
        vec![frame(b"", 3), frame(&text(), 3), several]
    },
    words: &[
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18\x04\0\0\0",
        b"\x5f\x2a\x4d\x18\xff\xff\xff\xff",
        b"\x28\xb5\x2f\xfd\x00\x58",
        b"\x28\xb5\x2f\xfd\x00\xff",
        b"\x01\0\0",
    ],
    longest: 8 * 1024,
};

pub const XZ: Target = Target {
    name: "xz",
    body: xz,
    seeds: || {
        let twice = [
            packed::xz(b"one"),
            vec![0; 8],
            packed::xz(b"two"),
            b"junk".to_vec(),
        ]
        .concat();
        vec![packed::xz(b""), packed::xz(&text()), twice]
    },
    words: &[b"\xfd7zXZ\0", b"\0\x04", b"YZ", b"\x21\x01\x16", b"\0\0\0\0"],
    longest: 8 * 1024,
};

pub const BZIP2: Target = Target {
    name: "bzip2",
    body: bzip2,
    seeds: || {
        let packed = |bytes: &[u8]| {
            let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
            encoder.write_all(bytes).expect("memory can be written");
            encoder.finish().expect("memory can be written")
        };
        let twice = [packed(b"one"), packed(b"two"), b"junk".to_vec()].concat();
        vec![packed(b""), packed(&text()), twice]
    },
    words: &[
        b"BZh1",
        b"BZh9",
        b"\x31\x41\x59\x26\x53\x59",
        b"\x17\x72\x45\x38\x50\x90",
    ],
    longest: 4 * 1024,
};

/// Something that compresses, with a long match and a short one.
fn text() -> Vec<u8> {
    let mut text = b"key = value; ".repeat(60);
    text.extend((0..=255).rev());
    text
}

pub(super) fn zstd_frame(bytes: &[u8], level: i32) -> Vec<u8> {
    zstd::bulk::compress(bytes, level).expect("memory can be written")
}

fn gzip(bytes: &[u8]) {
    decoded(Codec::Gzip, bytes, b"\x1f\x8b\x08");
    let out = decode(&packed::gzip(bytes)[..], 777);
    assert!(
        out.failure.is_none() && out.data == bytes,
        "what gzip packs comes out"
    );
}

fn zstd(bytes: &[u8]) {
    decoded(Codec::Zstd, bytes, b"\x28\xb5\x2f\xfd");
    let out = decode(&zstd_frame(bytes, 1)[..], 777);
    assert!(
        out.failure.is_none() && out.data == bytes,
        "what zstd packs comes out"
    );
}

fn xz(bytes: &[u8]) {
    decoded(Codec::Xz, bytes, b"\xfd7zXZ\0");
}

fn bzip2(bytes: &[u8]) {
    decoded(Codec::Bzip2, bytes, b"BZh1\x31\x41\x59\x26\x53\x59");
}

/// Decodes an input as it is, or behind the magic where it has none.
fn decoded(codec: Codec, bytes: &[u8], magic: &[u8]) {
    let with_magic;
    let bytes = if Codec::of(bytes) == codec {
        bytes
    } else {
        with_magic = [magic, bytes].concat();
        &with_magic
    };
    let whole = decode(bytes, 64 * 1024);
    let room = 1 + Draw::of(bytes).below(900);
    let pieces = decode(Pieces::of(bytes), room);
    if whole.is_cut || pieces.is_cut {
        return;
    }
    let is_damaged = whole
        .failure
        .as_ref()
        .is_some_and(|failure| failure.starts_with("corrupt"));
    if codec != Codec::Gzip && is_damaged {
        // Of a block that is damaged the libraries give more or less, as there is room.
        let (less, more) = match whole.data.len() < pieces.data.len() {
            true => (&whole.data, &pieces.data),
            false => (&pieces.data, &whole.data),
        };
        assert!(more.starts_with(less), "the data depends on how it is read");
        return;
    }
    assert_eq!(whole.data, pieces.data, "the data depends on how it is read");
    assert_eq!(
        whole.asides, pieces.asides,
        "what is beside it depends on how it is read"
    );
    assert_eq!(whole.failure, pieces.failure, "its end depends on how it is read");
}

/// All that a decoder gave.
#[derive(Default)]
struct Decoded {
    data: Vec<u8>,
    asides: Vec<(AsideKind, Vec<u8>)>,
    /// Which error, without what says how far it had come.
    failure: Option<String>,
    /// Whether reading was ended early because enough had come out.
    is_cut: bool,
}

/// Bytes after which an input is not decoded on.
const ENOUGH: usize = 4 * 1024 * 1024;

fn decode(input: impl std::io::Read, room: usize) -> Decoded {
    let mut decoded = Decoded::default();
    let mut decoder = match Decoder::open(input, &Limits::default()) {
        Ok(decoder) => decoder,
        Err(error) => {
            decoded.failure = Some(name(&error));
            return decoded;
        }
    };
    let mut out = vec![0; room];
    let (mut aside, mut fresh, mut idle) = (Vec::new(), true, 0);
    while decoded.data.len() < ENOUGH {
        match decoder.step(&mut out, &mut aside) {
            Ok(Step::Data(count)) => {
                assert!(count > 0 && count <= out.len());
                decoded.data.extend_from_slice(&out[..count]);
                idle = 0;
            }
            Ok(Step::Aside { kind, last }) => {
                assert!(aside.len() <= 64 * 1024);
                idle = if aside.is_empty() { idle + 1 } else { 0 };
                // A field may be empty, but each takes a header of the input.
                assert!(idle < 16 * 1024, "steps without progress");
                if fresh {
                    decoded.asides.push((kind, Vec::new()));
                }
                let (known, bytes) = decoded.asides.last_mut().expect("one was begun");
                assert_eq!(*known, kind, "a field of two kinds");
                bytes.append(&mut aside);
                fresh = last;
            }
            Ok(Step::End) => {
                assert!(fresh, "a field without its end");
                assert_eq!(decoder.step(&mut out, &mut aside).ok(), Some(Step::End));
                return decoded;
            }
            Err(error) => {
                let again = decoder
                    .step(&mut out, &mut aside)
                    .expect_err("an error is for ever");
                assert_eq!(name(&error), name(&again));
                decoded.failure = Some(name(&error));
                return decoded;
            }
        }
    }
    decoded.is_cut = true;
    decoded
}

fn name(error: &DecodeError) -> String {
    match error {
        DecodeError::Corrupt { codec, .. } => format!("corrupt {codec:?}"),
        DecodeError::Io(error) => format!("unreadable: {error}"),
        DecodeError::Limit(limit) => limit.to_string(),
        DecodeError::Truncated { codec, .. } => format!("truncated {codec:?}"),
        DecodeError::Unsupported(codec) => format!("unsupported {codec:?}"),
    }
}
