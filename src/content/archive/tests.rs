//! Archives as their formats describe them, and as nobody should write them.

use std::io::{self, Read, Write};

use super::{Format, Members, OpenError, Refusal, Source, Step, open};
use crate::content::decode::Codec;
use crate::limits::{LimitHit, Limits};

/// Keeps all members and all complaints.
#[derive(Default)]
struct Kept {
    members: Vec<(String, Vec<u8>)>,
    refused: Vec<(String, &'static str)>,
}

impl Members for Kept {
    fn member(&mut self, step: Step<'_>, content: &mut dyn Read) -> io::Result<()> {
        let name = match step {
            Step::Member(name) | Step::Version(name, _) => String::from_utf8_lossy(name).into_owned(),
            Step::Stream(name) => format!("({name})"),
        };
        let mut bytes = Vec::new();
        let read = content.read_to_end(&mut bytes);
        self.members.push((name, bytes));
        read.map(|_| ())
    }

    fn refused(&mut self, name: &[u8], refusal: Refusal) {
        let name = String::from_utf8_lossy(name).into_owned();
        self.refused.push((name, refusal.name()));
    }
}

/// Opens `bytes` by their first bytes: what is in them, and why not more.
fn opened(bytes: &[u8]) -> (Kept, Option<Refusal>) {
    let head = &bytes[..bytes.len().min(Format::HEAD_BYTES)];
    let format = Format::of(head).expect("the format is told");
    let mut kept = Kept::default();
    let refusal = match open(format, Source::Whole(bytes), &Limits::default(), &mut kept) {
        Ok(()) => None,
        Err(OpenError::Refused(refusal)) => Some(refusal),
        Err(OpenError::Content(error)) => panic!("nothing here fails to be read: {error}"),
    };
    (kept, refusal)
}

fn owned(members: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    members
        .iter()
        .map(|(name, content)| ((*name).to_owned(), content.to_vec()))
        .collect()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A member as a zip archive has it.
#[derive(Clone)]
struct Zipped {
    name: &'static str,
    method: u16,
    flags: u16,
    data: Vec<u8>,
    size: usize,
    listed: bool,
}

fn stored(name: &'static str, content: &[u8]) -> Zipped {
    Zipped {
        name,
        method: 0,
        flags: 0,
        data: content.to_vec(),
        size: content.len(),
        listed: true,
    }
}

fn deflated(name: &'static str, content: &[u8]) -> Zipped {
    Zipped {
        method: 8,
        data: deflate(content),
        ..stored(name, content)
    }
}

fn zip(members: &[Zipped]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    let mut count = 0_u16;
    for member in members {
        let offset = bytes.len() as u32;
        let mut fixed = Vec::new();
        for field in [20, member.flags, member.method, 0, 0] {
            fixed.extend_from_slice(&u16::to_le_bytes(field));
        }
        let descriptor = member.flags & 8 != 0;
        let sizes = |known: bool| {
            let sizes = [0, member.data.len() as u32, member.size as u32];
            sizes
                .map(|size| if known { size } else { 0 }.to_le_bytes())
                .concat()
        };
        let lengths = [(member.name.len() as u16).to_le_bytes(), [0, 0]].concat();
        bytes.extend_from_slice(b"PK\x03\x04");
        bytes.extend_from_slice(&fixed);
        bytes.extend_from_slice(&sizes(!descriptor));
        bytes.extend_from_slice(&lengths);
        bytes.extend_from_slice(member.name.as_bytes());
        bytes.extend_from_slice(&member.data);
        if descriptor {
            bytes.extend_from_slice(b"PK\x07\x08");
            bytes.extend_from_slice(&sizes(true));
        }
        if member.listed {
            count += 1;
            directory.extend_from_slice(b"PK\x01\x02\x14\x00");
            directory.extend_from_slice(&fixed);
            directory.extend_from_slice(&sizes(true));
            directory.extend_from_slice(&lengths);
            directory.extend_from_slice(&[0; 10]);
            directory.extend_from_slice(&offset.to_le_bytes());
            directory.extend_from_slice(member.name.as_bytes());
        }
    }
    let start = bytes.len() as u32;
    bytes.extend_from_slice(&directory);
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    bytes.extend_from_slice(&[count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&start.to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes
}

#[test]
fn a_zip_gives_its_members_however_they_are_packed() {
    let text = b"the same text again and again and again".as_slice();
    let mut compressed = zstd::bulk::compress(text, 3).unwrap();
    let by_zstd = Zipped {
        method: 93,
        data: std::mem::take(&mut compressed),
        ..stored("c", text)
    };
    let streamed = Zipped {
        flags: 8,
        ..deflated("d", text)
    };
    let folder = stored("e/", b"");
    let archive = zip(&[stored("a", text), deflated("b", text), by_zstd, streamed, folder]);
    let (kept, refusal) = opened(&archive);
    assert_eq!(refusal, None);
    assert_eq!(kept.refused, []);
    assert_eq!(
        kept.members,
        owned(&[("a", text), ("b", text), ("c", text), ("d", text)])
    );
}

#[test]
fn a_zip_behind_a_script_is_opened_whether_its_offsets_know_of_it_or_not() {
    let archive = zip(&[deflated("a", b"text")]);
    let script = b"#!/usr/bin/env python3\n".as_slice();
    let (kept, refusal) = opened(&[script, &archive].concat());
    assert_eq!((kept.members, refusal), (owned(&[("a", b"text")]), None));
    let (kept, refusal) = opened(&[&archive[..], b"behind the end"].concat());
    assert_eq!((kept.members, refusal), (owned(&[("a", b"text")]), None));
}

#[test]
fn members_that_the_directory_leaves_out_are_found() {
    let hidden = |member: Zipped| Zipped {
        listed: false,
        ..member
    };
    let streamed = Zipped {
        flags: 8,
        ..deflated("c", b"hidden too")
    };
    let members = [
        hidden(deflated("a", b"hidden")),
        deflated("b", b"listed"),
        hidden(streamed),
        hidden(stored("d", b"stored")),
    ];
    let (kept, refusal) = opened(&zip(&members));
    assert_eq!(refusal, None);
    let expected = owned(&[
        ("b", b"listed"),
        ("a", b"hidden"),
        ("c", b"hidden too"),
        ("d", b"stored"),
    ]);
    assert_eq!(kept.members, expected);
}

#[test]
fn a_zip_without_its_end_gives_what_is_there() {
    let archive = zip(&[deflated("a", b"first"), deflated("b", b"second")]);
    let cut = memchr::memmem::find(&archive, b"PK\x01\x02").unwrap();
    let (kept, refusal) = opened(&archive[..cut]);
    assert_eq!(kept.members, owned(&[("a", b"first"), ("b", b"second")]));
    assert_eq!(refusal, Some(Refusal::malformed("it has no directory")));
}

#[test]
fn a_bad_member_costs_only_itself() {
    let mut damaged = deflated("a", &[7; 5000]);
    damaged.data[0] = 0xff;
    let mut cut = deflated("b", &(0..=255).collect::<Vec<u8>>());
    cut.data.truncate(40);
    let locked = Zipped {
        flags: 1,
        ..stored("c", b"cipher text")
    };
    let aes = Zipped {
        method: 99,
        ..stored("d", b"cipher text")
    };
    let implode = Zipped {
        method: 6,
        ..stored("e", b"old")
    };
    let (kept, refusal) = opened(&zip(&[damaged, cut, locked, aes, implode, stored("f", b"well")]));
    assert_eq!(refusal, None);
    let refused: Vec<_> = kept
        .refused
        .iter()
        .map(|(name, why)| (name.as_str(), *why))
        .collect();
    let expected = [
        ("a", "malformed-archive"),
        ("b", "truncated-archive"),
        ("c", "encrypted-archive"),
        ("d", "encrypted-archive"),
        ("e", "unsupported-archive"),
    ];
    assert_eq!(refused, expected);
    assert_eq!(kept.members.last(), owned(&[("f", b"well")]).last());
}

#[test]
fn a_zip_whose_entries_share_their_data_is_stopped() {
    let archive = zip(&[stored("a", &[b'x'; 600])]);
    let central = memchr::memmem::find(&archive, b"PK\x01\x02").unwrap();
    let end = memchr::memmem::find(&archive, b"PK\x05\x06").unwrap();
    let entry = archive[central..end].to_vec();
    let mut bomb = archive[..central].to_vec();
    for _ in 0..50 {
        bomb.extend_from_slice(&entry);
    }
    let mut record = archive[end..].to_vec();
    record[12..16].copy_from_slice(&(50 * entry.len() as u32).to_le_bytes());
    bomb.extend_from_slice(&record);
    let (kept, refusal) = opened(&bomb);
    assert!(kept.members.len() < 10, "{}", kept.members.len());
    assert_eq!(refusal, Some(Refusal::malformed("its members overlap")));
}

#[test]
fn entries_that_point_elsewhere_are_named() {
    let archive = zip(&[stored("a", b"here"), stored("b", b"there")]);
    let central = memchr::memmem::find(&archive, b"PK\x01\x02").unwrap();
    let mut lying = archive.clone();
    lying[central + 42..central + 46].copy_from_slice(&7_u32.to_le_bytes());
    let (kept, _) = opened(&lying);
    assert_eq!(kept.refused, [("a".to_owned(), "malformed-archive")]);
    // The header is still there, and so is the member.
    assert_eq!(kept.members, owned(&[("b", b"there"), ("a", b"here")]));
    let mut endless = archive;
    endless[central + 20..central + 24].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(opened(&endless).0.members[0], owned(&[("b", b"there")])[0]);
}

#[test]
fn nothing_that_is_cut_or_changed_anywhere_makes_a_zip_panic() {
    let archive = zip(&[
        deflated("a", b"some text"),
        Zipped {
            flags: 8,
            ..deflated("b", b"more")
        },
    ]);
    for cut in 4..archive.len() {
        opened(&archive[..cut]);
    }
    for at in 4..archive.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = archive.clone();
            changed[at] = value;
            opened(&changed);
        }
    }
}

#[test]
fn compressed_streams_are_archives_of_one() {
    let text: Vec<u8> = (0..3000_u32).map(|n| (n * n % 251) as u8).collect();
    let mut xz = Vec::new();
    liblzma::read::XzEncoder::new(&text[..], 1)
        .read_to_end(&mut xz)
        .unwrap();
    let mut bzip2 = Vec::new();
    bzip2::read::BzEncoder::new(&text[..], bzip2::Compression::fast())
        .read_to_end(&mut bzip2)
        .unwrap();
    let mut zlib = Vec::new();
    flate2::read::ZlibEncoder::new(&text[..], flate2::Compression::fast())
        .read_to_end(&mut zlib)
        .unwrap();
    for (name, bytes) in [
        ("(gzip)", gzip(&text)),
        ("(xz)", xz),
        ("(bzip2)", bzip2),
        ("(zstd)", zstd::bulk::compress(&text, 1).unwrap()),
        ("(zlib)", zlib),
    ] {
        let (kept, refusal) = opened(&bytes);
        assert_eq!((kept.members, refusal), (owned(&[(name, &text)]), None));
        let (kept, refusal) = opened(&bytes[..bytes.len() - 9]);
        assert!(refusal.is_some(), "{name}");
        assert!(
            kept.members.is_empty() || text.starts_with(&kept.members[0].1),
            "{name}"
        );
    }
}

#[test]
fn what_stands_before_damage_is_handed_over() {
    let text = b"key = value\n".repeat(20);
    let damaged = |head: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(head).unwrap();
        encoder.write_all(&text).unwrap();
        encoder.flush().unwrap();
        // A block of the kind that is reserved.
        let mut bytes = encoder.get_ref().clone();
        bytes.extend([0xff; 20]);
        bytes
    };
    for (name, bytes) in [("(zlib)", damaged(b"")), ("blob", damaged(b"blob 240\0"))] {
        let (kept, refusal) = opened(&bytes);
        assert_eq!(kept.members, owned(&[(name, &text)]));
        assert_eq!(refusal.map(|refusal| refusal.name()), Some("malformed-archive"));
    }
    let mut member = deflated("a", &text);
    member.data = damaged(b"")[2..].to_vec();
    let (kept, refusal) = opened(&zip(&[member, stored("b", b"more")]));
    assert_eq!(kept.members, owned(&[("a", &text), ("b", b"more")]));
    assert_eq!((kept.refused.len(), refusal), (1, None));
}

#[test]
fn formats_that_are_known_but_not_opened_are_told_by_name() {
    let rar = b"Rar!\x1a\x07\x01\0".as_slice();
    for bytes in [rar, b"\x04\x22\x4d\x18\x64\x40"] {
        assert!(matches!(opened(bytes).1, Some(Refusal::Unsupported(_))));
    }
}

#[test]
fn what_only_looks_like_an_archive_is_none() {
    for bytes in [
        &b""[..],
        b"PK",
        b"BZh is how some texts begin",
        b"07070 is the postcode",
        b"x^2 + y^2 = z^2 is not a stream that was deflated",
        b"\x1f\x8b",
        &[0; 512],
        &[b'7'; 512],
    ] {
        assert_eq!(Format::of(bytes), None, "{bytes:?}");
    }
    assert_eq!(Format::of(&gzip(b"")), Some(Format::Compressed(Codec::Gzip)));
}

/// The header of a member of an ar archive.
fn ar_header(name: &str, size: usize) -> String {
    format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644)
}

#[test]
fn ar_members_have_short_long_and_bsd_names() {
    let mut bytes = b"!<arch>\n".to_vec();
    let long = "a-name-of-more-than-sixteen-bytes.o/\n";
    for (name, content) in [
        ("/", "symbols"),
        ("//", long),
        ("short/", "one"),
        ("/0", "two"),
        ("#1/8", "bsd-namethree"),
        ("debian-binary", "2.0\n"),
    ] {
        bytes.extend_from_slice(ar_header(name, content.len()).as_bytes());
        bytes.extend_from_slice(content.as_bytes());
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    let (kept, refusal) = opened(&bytes);
    assert_eq!(refusal, None);
    let expected: [(&str, &[u8]); 4] = [
        ("short", b"one"),
        ("a-name-of-more-than-sixteen-bytes.o", b"two"),
        ("bsd-name", b"three"),
        ("debian-binary", b"2.0\n"),
    ];
    assert_eq!(kept.members, owned(&expected));
    bytes.extend_from_slice(b"no header");
    assert_eq!(opened(&bytes).1, Some(Refusal::Truncated));
}

/// A cpio archive in the new ASCII form.
fn cpio(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in members.iter().chain(&[("TRAILER!!!", &b""[..])]) {
        let mut fields = [0; 13];
        (fields[6], fields[11]) = (content.len(), name.len() + 1);
        bytes.extend_from_slice(b"070701");
        for field in fields {
            bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

#[test]
fn cpio_archives_follow_one_another_and_end_in_a_compressed_one() {
    let mut bytes = cpio(&[("a", b"one"), ("dir/b", b"four")]);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend_from_slice(&cpio(&[("c", b"")]));
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    let rest = gzip(b"the rest");
    bytes.extend_from_slice(&rest);
    let (kept, refusal) = opened(&bytes);
    assert_eq!(refusal, None);
    let expected: [(&str, &[u8]); 4] = [("a", b"one"), ("dir/b", b"four"), ("c", b""), ("trailing", &rest)];
    assert_eq!(kept.members, owned(&expected));
    assert_eq!(opened(&bytes[..130]).1, Some(Refusal::Truncated));
}

#[test]
fn old_forms_of_cpio_are_read_too() {
    let mut portable = b"070707".to_vec();
    portable.extend_from_slice(b"000000".repeat(7).as_slice());
    portable.extend_from_slice(b"00000000000000002");
    portable.extend_from_slice(b"00000000004a\0four");
    assert_eq!(opened(&portable).0.members, owned(&[("a", b"four")]));
    let words: [u16; 13] = [0o70707, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3];
    let little = words.map(u16::to_le_bytes).concat();
    let big = words.map(u16::to_be_bytes).concat();
    for header in [little, big] {
        let bytes = [&header[..], b"a\0", b"odd\0"].concat();
        assert_eq!(opened(&bytes).0.members, owned(&[("a", b"odd")]));
    }
}

#[test]
fn the_payload_of_a_package_is_handed_over() {
    let mut bytes = vec![0; 96];
    bytes[..4].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb]);
    for store in [13_usize, 5] {
        bytes.extend_from_slice(&[0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend_from_slice(&(store as u32).to_be_bytes());
        bytes.resize(bytes.len() + 16 + store, 0);
        if store == 13 {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
    }
    let payload = gzip(b"an archive");
    bytes.extend_from_slice(&payload);
    assert_eq!(opened(&bytes).0.members, owned(&[("payload", &payload)]));
    assert_eq!(opened(&bytes[..150]).1, Some(Refusal::Truncated));
}

#[test]
fn a_zip_that_passes_by_cannot_be_opened() {
    let archive = zip(&[stored("a", b"")]);
    let mut reader = &archive[..];
    let opened = open(
        Format::Zip,
        Source::Once(&mut reader),
        &Limits::default(),
        &mut Kept::default(),
    );
    let Err(OpenError::Refused(Refusal::Limit(LimitHit::RandomAccess))) = opened else {
        panic!("{opened:?}");
    };
}
