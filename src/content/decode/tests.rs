//! What every codec owes its caller, over all codecs, cuts and sizes. Real tools are asked in `tests/decode.rs`.

use std::cell::Cell;
use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;

/// What came out of a blob, pieces joined.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    stream: Vec<u8>,
    asides: Vec<(AsideKind, Vec<u8>)>,
    end: Result<(), String>,
}

/// A reader that gives as many bytes at a time as the list says, over and over.
struct Chopped<'a> {
    blob: &'a [u8],
    sizes: &'a [usize],
    turn: usize,
}

impl Read for Chopped<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()];
        self.turn += 1;
        let count = size.min(out.len()).min(self.blob.len());
        out[..count].copy_from_slice(&self.blob[..count]);
        self.blob = &self.blob[count..];
        Ok(count)
    }
}

const WHOLE: &[usize] = &[usize::MAX];

fn decode(blob: &[u8]) -> Outcome {
    decode_cut(blob, WHOLE, &[1 << 20])
}

fn decode_cut(blob: &[u8], reads: &[usize], outs: &[usize]) -> Outcome {
    let reader = Chopped {
        blob,
        sizes: reads,
        turn: 0,
    };
    drain(Decoder::open(reader, &Limits::default()).expect("reads"), outs)
}

fn drain<R: Read>(mut decoder: Decoder<R>, outs: &[usize]) -> Outcome {
    let mut outcome = Outcome {
        stream: Vec::new(),
        asides: Vec::new(),
        end: Ok(()),
    };
    let mut out = vec![0; outs.iter().copied().max().expect("a size")];
    let mut open = None;
    for turn in 0.. {
        let mut aside = Vec::new();
        match decoder.step(&mut out[..outs[turn % outs.len()]], &mut aside) {
            Ok(Step::Data(count)) => {
                assert_ne!(count, 0, "data that is none");
                assert!(aside.is_empty() && open.is_none());
                outcome.stream.extend_from_slice(&out[..count]);
            }
            Ok(Step::Aside { kind, last }) => {
                assert!(aside.len() <= ASIDE_BYTES);
                match open {
                    Some(begun) => {
                        assert_eq!(begun, kind, "a field in one go");
                        let (_, field) = outcome.asides.last_mut().expect("begun");
                        field.append(&mut aside);
                    }
                    None => outcome.asides.push((kind, aside)),
                }
                open = (!last).then_some(kind);
            }
            Ok(Step::End) => {
                assert!(matches!(decoder.step(&mut out, &mut aside), Ok(Step::End)));
                assert_eq!(open, None);
                return outcome;
            }
            Err(error) => {
                let again = decoder.step(&mut out, &mut aside).expect_err("an error stays");
                assert_eq!(error.to_string(), again.to_string());
                outcome.end = Err(error.to_string());
                return outcome;
            }
        }
    }
    unreachable!("ends by itself")
}

/// Text that compresses, but not to nothing.
fn text(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{} line\n", state >> 12)
    });
    words.flat_map(String::into_bytes).take(length).collect()
}

/// One member of a codec around `content`.
fn member(codec: Codec, content: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Gzip => {
            let mut encoder = flate2::GzBuilder::new()
                .extra(b"extra".as_slice())
                .filename("name")
                .comment("comment")
                .write(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Lz4 | Codec::Plain => content.to_vec(),
        Codec::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Zstd => {
            let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn skippable(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&[0x5a, 0x2a, 0x4d, 0x18], &length[..], payload].concat()
}

/// A gzip member by hand: fixed header with these flags, what follows it, deflate data and trailer of `content`.
fn gzip_with(flags: u8, fields: &[u8], content: &[u8]) -> Vec<u8> {
    let plain = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3], fields, &plain[10..]].concat()
}

const CODECS: [Codec; 4] = [Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd];

#[test]
fn every_codec_gives_its_members_as_one_stream() {
    for codec in CODECS {
        for members in 1..=3 {
            for length in [0, 1, 511, 300_000] {
                let content = text(length);
                let blob = member(codec, &content).repeat(members);
                for (reads, outs) in [
                    (WHOLE, &[1 << 20][..]),
                    (&[1], &[1 << 16]),
                    (WHOLE, &[1]),
                    (&[7, 1000], &[3, 4096]),
                ] {
                    let outcome = decode_cut(&blob, reads, outs);
                    assert_eq!(outcome.end, Ok(()), "{codec:?} {members} {length}");
                    assert!(
                        outcome.stream == content.repeat(members),
                        "{codec:?} {members} {length}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_zstd_block_that_is_cut_gives_all_that_came_whatever_the_room() {
    // A frame of 32 bytes in one stored block, of which three are there.
    let blob = b"\x28\xb5\x2f\xfd\x20\x20\x01\x01\x00abc";
    for outs in [&[1][..], &[2], &[3], &[100]] {
        let outcome = decode_cut(blob, &[100], outs);
        assert_eq!(outcome.stream, b"abc", "{outs:?}");
        assert!(outcome.end.is_err());
    }
}

#[test]
fn a_blob_without_magic_passes_through() {
    for blob in [
        &b""[..],
        b"\x1f",
        b"\x1f\x8b",
        b"BZh9 is a title",
        b"(\xb5/",
        &text(600_000),
    ] {
        let outcome = decode_cut(blob, &[2, 70_000], &[5, 9000]);
        assert_eq!(outcome.end, Ok(()));
        assert!(outcome.stream == blob && outcome.asides.is_empty());
    }
}

#[test]
fn gzip_header_fields_come_out_beside_the_stream() {
    let outcome = decode(&member(Codec::Gzip, b"content"));
    assert_eq!(
        outcome.asides,
        [
            (AsideKind::GzipExtra, b"extra".to_vec()),
            (AsideKind::GzipName, b"name".to_vec()),
            (AsideKind::GzipComment, b"comment".to_vec()),
        ]
    );
    assert_eq!(outcome.stream, b"content");
}

#[test]
fn gzip_fields_of_any_length_are_handed_over_whole() {
    let (extra, name) = (text(0xffff), text(300_000));
    let mut fields = vec![0xff, 0xff];
    fields.extend_from_slice(&extra);
    fields.extend_from_slice(&name);
    fields.extend_from_slice(b"\0\0");
    let outcome = decode(&gzip_with(FEXTRA | FNAME | FCOMMENT, &fields, b"content"));
    assert_eq!(outcome.end, Ok(()));
    assert_eq!(outcome.stream, b"content");
    // The comment is empty: there is nothing to hand over.
    assert!(outcome.asides == [(AsideKind::GzipExtra, extra), (AsideKind::GzipName, name)]);
}

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;

#[test]
fn a_gzip_header_that_go_reads_is_read() {
    // A header checksum, and flags that RFC 1952 reserves.
    assert_eq!(decode(&gzip_with(FHCRC, b"\0\0", b"content")).stream, b"content");
    assert_eq!(decode(&gzip_with(0xe0, b"", b"content")).stream, b"content");
}

#[test]
fn a_wrong_length_or_checksum_of_a_gzip_member_is_damage() {
    let whole = member(Codec::Gzip, &text(1000));
    for (from_end, checked, unchecked) in [(1, true, true), (8, true, false)] {
        let mut blob = whole.clone();
        let at = blob.len() - from_end;
        blob[at] ^= 1;
        let outcome = decode(&blob);
        assert_eq!(outcome.end.is_err(), checked);
        assert!(
            outcome.stream == text(1000),
            "what was decompressed is handed over"
        );
        let decoder = Decoder::open(&blob[..], &Limits::default())
            .unwrap()
            .without_checksum();
        assert_eq!(drain(decoder, &[4096]).end.is_err(), unchecked);
    }
}

#[test]
fn zero_padding_is_nothing_and_garbage_is_trailing() {
    for codec in CODECS {
        let blob = member(codec, b"content");
        let padded = [&blob[..], &[0; 300_000]].concat();
        assert_eq!(decode(&padded), decode(&blob), "{codec:?}");

        let garbage = text(200_000);
        let outcome = decode(&[&blob[..], &[0; 5], &garbage].concat());
        assert_eq!(outcome.end, Ok(()), "{codec:?}");
        assert_eq!(outcome.stream, b"content");
        assert!(outcome.asides.last() == Some(&(AsideKind::Trailing, garbage)));

        let again = decode(&[&blob[..], &[0; 512], &blob].concat());
        assert_eq!(
            again.stream, b"contentcontent",
            "{codec:?} goes on behind padding"
        );
    }
}

#[test]
fn another_codec_behind_a_member_is_trailing() {
    let blob = [member(Codec::Zstd, b"content"), member(Codec::Gzip, b"hidden")].concat();
    let outcome = decode(&blob);
    assert_eq!(outcome.stream, b"content");
    assert_eq!(
        outcome.asides,
        [(AsideKind::Trailing, member(Codec::Gzip, b"hidden"))]
    );
}

#[test]
fn skippable_frames_come_out_wherever_they_stand() {
    let (large, frame) = (text(200_000), member(Codec::Zstd, b"content"));
    let blob = [
        skippable(b"first"),
        frame.clone(),
        skippable(b""),
        skippable(&large),
        frame,
        skippable(b"last"),
    ]
    .concat();
    let outcome = decode(&blob);
    assert_eq!(outcome.end, Ok(()));
    assert_eq!(outcome.stream, b"contentcontent");
    let payloads = outcome.asides.iter().map(|(kind, payload)| {
        assert_eq!(*kind, AsideKind::SkippableFrame);
        payload.as_slice()
    });
    assert!(payloads.eq([&b"first"[..], &large, b"last"]));
}

#[test]
fn a_zstd_window_over_the_limit_is_named() {
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(20).unwrap();
    encoder.write_all(&text(3 << 20)).unwrap();
    let blob = encoder.finish().unwrap();
    for (window_log, is_met) in [(19, true), (20, false)] {
        let limits = Limits {
            zstd_window_log: window_log,
            ..Limits::default()
        };
        let outcome = drain(Decoder::open(&blob[..], &limits).unwrap(), &[65_536]);
        let expected = DecodeError::Limit(LimitHit::ZstdWindow).to_string();
        assert_eq!(outcome.end, if is_met { Err(expected) } else { Ok(()) });
    }
}

#[test]
fn an_unsupported_codec_is_seen_raw_before_the_error() {
    let blob = [&[0x04, 0x22, 0x4d, 0x18][..], &text(100_000)].concat();
    let outcome = decode(&blob);
    assert!(outcome.asides == [(AsideKind::Trailing, blob)]);
    assert_eq!(outcome.end, Err(DecodeError::Unsupported(Codec::Lz4).to_string()));
}

#[test]
fn a_cut_blob_gives_what_came_before_and_says_so() {
    let content = text(400);
    for codec in CODECS {
        let blob = member(codec, &content);
        for length in Codec::MAGIC_BYTES..blob.len() {
            let outcome = decode_cut(&blob[..length], &[17], &[64]);
            let decoded = outcome.stream.len() as u64;
            let expected = DecodeError::Truncated { codec, decoded };
            assert_eq!(
                outcome.end,
                Err(expected.to_string()),
                "{codec:?} cut to {length}"
            );
            assert!(content.starts_with(&outcome.stream), "{codec:?} cut to {length}");
        }
    }
    let frame = skippable(b"a payload");
    for length in 4..frame.len() {
        assert!(decode(&frame[..length]).end.is_err(), "cut to {length}");
    }
}

#[test]
fn zstd_blocks_before_damage_are_handed_over() {
    let content = text(1 << 20);
    let mut blob = member(Codec::Zstd, &content);
    let at = blob.len() - 1000;
    blob[at..].fill(0xff);
    let outcome = decode(&blob);
    assert!(outcome.end.is_err());
    assert!(content.starts_with(&outcome.stream));
    assert!(
        outcome.stream.len() >= (1 << 20) - (128 << 10),
        "all blocks but the last"
    );
}

#[test]
fn the_end_comes_after_the_last_byte() {
    struct Counted<'a>(&'a [u8], &'a Cell<usize>);
    impl Read for Counted<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(out)?;
            self.1.set(self.1.get() + count);
            Ok(count)
        }
    }
    for codec in [Codec::Bzip2, Codec::Gzip, Codec::Plain, Codec::Xz, Codec::Zstd] {
        for tail in [&b""[..], &[0; 400_000], &text(400_000)] {
            let blob = [&member(codec, b"content")[..], tail].concat();
            let read = Cell::new(0);
            let outcome = drain(
                Decoder::open(Counted(&blob, &read), &Limits::default()).unwrap(),
                &[64],
            );
            assert_eq!(outcome.end, Ok(()));
            assert_eq!(read.get(), blob.len(), "{codec:?}");
        }
    }
}

#[test]
fn a_reader_that_fails_is_an_io_error_after_what_came_before() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let blob = member(Codec::Gzip, &text(100_000));
    let reader = blob[..blob.len() / 2].chain(Broken);
    let mut decoder = Decoder::open(reader, &Limits::default()).unwrap();
    let (mut out, mut aside, mut decoded) = (vec![0; 1 << 20], Vec::new(), 0);
    let error = loop {
        match decoder.step(&mut out, &mut aside) {
            Ok(Step::Data(count)) => decoded += count,
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, DecodeError::Io(error) if error.kind() == io::ErrorKind::ConnectionReset));
    assert!(decoded > 10_000);
}

/// A blob of a few members, with things between and behind them.
fn blobs() -> impl Strategy<Value = Vec<u8>> {
    let content = (0..3000_usize).prop_map(text);
    let part = (prop::sample::select(&CODECS), content, 0..4_u8);
    prop::collection::vec(part, 1..4).prop_map(|parts| {
        let first = parts[0].0;
        let mut blob = Vec::new();
        for (codec, content, between) in parts {
            // Mostly of one codec; sometimes another one is in the way.
            let codec = if between == 3 { codec } else { first };
            blob.extend(member(codec, &content));
            match between {
                1 => blob.extend([0; 7]),
                2 if codec == Codec::Zstd => blob.extend(skippable(&content)),
                _ => {}
            }
        }
        blob
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn cuts_and_sizes_change_nothing(
        blob in blobs(),
        reads in prop::collection::vec(1..5000_usize, 1..5),
        outs in prop::collection::vec(1..5000_usize, 1..5),
    ) {
        prop_assert_eq!(decode_cut(&blob, &reads, &outs), decode(&blob));
    }

    #[test]
    fn damage_is_an_error_or_data_but_no_panic(
        blob in blobs(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut blob = blob;
        for (at, value) in flips {
            let at = at.index(blob.len());
            blob[at] = value;
        }
        blob.truncate(cut.index(blob.len() * 2) + 1);
        let whole = decode(&blob);
        let pieces = decode_cut(&blob, &[61], &[97]);
        prop_assert!(whole.stream.starts_with(&pieces.stream) || pieces.stream.starts_with(&whole.stream));
        prop_assert_eq!(whole.end.is_err(), pieces.end.is_err());
    }
}
