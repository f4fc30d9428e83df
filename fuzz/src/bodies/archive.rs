//! Archives inside of files: bounded members, no member without its name, the same from memory and from a stream.

use std::io::{self, Read};

use layersift::content::archive::{Format, Members, OpenError, Refusal, Source, Step, open};
use layersift::limits::Limits;

use super::{Pieces, Target, decode};
use crate::support::packed;

pub const ZIP: Target = Target {
    name: "zip",
    body: |bytes| opened(Format::Zip, bytes),
    seeds: || {
        let text = b"key = value\n".repeat(40);
        let several = packed::zip(&[
            ("META-INF/MANIFEST.MF", b"Main-Class: App\n", false, 0),
            ("app.properties", &text, true, 0),
            ("secret", b"xxxxxxxxxxxxxxxx", false, 1),
            ("", b"", false, 0),
        ]);
        let script = [&b"#!/bin/sh\n"[..], &several].concat();
        vec![packed::zip(&[]), packed::zip_of("a", &text), several, script]
    },
    words: &[
        b"PK\x01\x02",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"PK\x06\x06",
        b"PK\x06\x07",
        b"PK\x07\x08",
        b"\x01\0\x10\0",
        b"\xff\xff\xff\xff",
        b"\xff\xff",
    ],
    longest: 8 * 1024,
};

pub const AR: Target = Target {
    name: "ar",
    body: |bytes| opened(Format::Ar, bytes),
    seeds: || {
        let member = |name: &str, content: &str| {
            let header = format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                "100644",
                content.len()
            );
            format!(
                "{header}{content}{}",
                if content.len() % 2 == 1 { "\n" } else { "" }
            )
        };
        let package = [
            "!<arch>\n".to_owned(),
            member("debian-binary", "2.0\n"),
            member("//", "a-very-long-name-of-a-member.o/\n"),
            member("/0", "odd"),
            member("#1/8", "bsd-namecontent"),
        ];
        vec![package.concat().into_bytes(), b"!<arch>\n".to_vec()]
    },
    words: &[
        b"!<arch>\n",
        b"`\n",
        b"//              ",
        b"#1/20",
        b"/0",
        b"9999999999",
    ],
    longest: 4 * 1024,
};

pub const CPIO: Target = Target {
    name: "cpio",
    body: |bytes| opened(Format::Cpio, bytes),
    seeds: || vec![cpio("070701"), cpio("070702"), old_cpio()],
    words: &[
        b"070701",
        b"070702",
        b"070707",
        b"TRAILER!!!\0",
        b"\xc7\x71",
        b"\x71\xc7",
        b"FFFFFFFF",
        b"000081A4",
        b"000041ED",
    ],
    longest: 4 * 1024,
};

pub const RPM: Target = Target {
    name: "rpm",
    body: |bytes| opened(Format::Rpm, bytes),
    seeds: || {
        let payload = cpio("070701");
        vec![
            rpm(&packed::gzip(&payload)),
            rpm(&packed::xz(&payload)),
            rpm(&decode::zstd_frame(&payload, 3)),
        ]
    },
    words: &[
        b"\xed\xab\xee\xdb",
        b"\x8e\xad\xe8\x01\0\0\0\0",
        b"\0\0\0\x01\0\0\0\x01",
        b"\x1f\x8b\x08",
        b"\xff\xff\xff\xff",
        b"070701",
    ],
    longest: 8 * 1024,
};

fn cpio(magic: &str) -> Vec<u8> {
    let member = |name: &str, content: &str, mode: u32| {
        let fields = [
            1,
            mode,
            0,
            0,
            1,
            0,
            content.len() as u32,
            0,
            0,
            0,
            0,
            name.len() as u32 + 1,
            0,
        ];
        let fields: String = fields.iter().map(|field| format!("{field:08X}")).collect();
        let mut bytes = format!("{magic}{fields}{name}\0").into_bytes();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    [
        member("etc", "", 0o040_755),
        member("./etc/config", "key = value\n", 0o100_644),
        member("TRAILER!!!", "", 0),
    ]
    .concat()
}

fn old_cpio() -> Vec<u8> {
    let member = |name: &str, content: &str| {
        let header = format!(
            "070707{}{:06o}{:011o}",
            "0".repeat(47),
            name.len() + 1,
            content.len()
        );
        format!("{header}{name}\0{content}").into_bytes()
    };
    [member("config", "key = value\n"), member("TRAILER!!!", "")].concat()
}

/// Lead, signature, header without a tag, payload.
fn rpm(payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xed\xab\xee\xdb\x03\0\0\0".to_vec();
    bytes.resize(96, 0);
    let header = b"\x8e\xad\xe8\x01\0\0\0\0\0\0\0\x00\0\0\0\x00";
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(payload);
    bytes
}

/// Opens an input from memory and as a stream that arrives in pieces.
pub(super) fn opened(format: Format, bytes: &[u8]) {
    let whole = Opened::of(format, Source::Whole(bytes), bytes.len());
    if !format.is_sequential() {
        return;
    }
    let once = Opened::of(format, Source::Once(&mut Pieces::of(bytes)), bytes.len());
    assert_eq!(whole.log, once.log, "members depend on how the archive is read");
    assert_eq!(
        whole.ended, once.ended,
        "the end depends on how the archive is read"
    );
}

/// Bytes after which no member is read on.
const ENOUGH: u64 = 4 * 1024 * 1024;
const TOO_MUCH: &str = "more than the target reads";

#[derive(Default)]
struct Opened {
    log: Vec<String>,
    members: usize,
    refused: usize,
    read: u64,
    ended: String,
}

impl Opened {
    fn of(format: Format, source: Source<'_>, length: usize) -> Self {
        let mut opened = Self::default();
        opened.ended = match open(format, source, &Limits::default(), &mut opened) {
            Ok(()) => "read".to_owned(),
            Err(OpenError::Content(error)) => {
                assert_eq!(error.to_string(), TOO_MUCH, "no other source fails");
                assert!(opened.read >= ENOUGH);
                TOO_MUCH.to_owned()
            }
            Err(OpenError::Refused(refusal)) => {
                assert!(!refusal.name().is_empty());
                format!("{refusal:?}")
            }
        };
        // The shortest header of all is that of a member of an old cpio, 26 bytes and a name; but a pack has objects of
        // one byte before an empty stream of eight.
        let shortest = if format == Format::GitPack { 9 } else { 26 };
        // One whose data is damaged is handed over and then refused.
        for count in [opened.members, opened.refused] {
            assert!(count <= 2 + length / shortest, "{count} members");
        }
        opened
    }
}

impl Members for Opened {
    fn member(&mut self, step: Step<'_>, content: &mut dyn Read) -> io::Result<()> {
        self.members += 1;
        let name = match step {
            Step::Member(name) => {
                assert!(name.len() <= Limits::default().path_bytes);
                name.escape_ascii().to_string()
            }
            Step::Stream(codec) => codec.to_owned(),
            Step::Version(name, age) => format!("{}@{age}", name.escape_ascii()),
        };
        // Every third is passed over, as those are that nobody wants.
        if self.members.is_multiple_of(3) {
            self.log.push(format!("{name}: passed over"));
            return Ok(());
        }
        let mut digest = crc32fast::Hasher::new();
        let mut block = [0; 8192];
        let mut length = 0;
        let end = loop {
            match content.read(&mut block) {
                Ok(0) => break "end".to_owned(),
                Ok(count) => {
                    digest.update(&block[..count]);
                    length += count as u64;
                    self.read += count as u64;
                    if self.read >= ENOUGH {
                        return Err(io::Error::other(TOO_MUCH));
                    }
                }
                Err(error) => break error.to_string(),
            }
        };
        let digest = digest.finalize();
        self.log
            .push(format!("{name}: {length} bytes {digest:08x}, then {end}"));
        Ok(())
    }

    fn refused(&mut self, name: &[u8], refusal: Refusal) {
        self.refused += 1;
        self.log.push(format!("{}: {refusal:?}", name.escape_ascii()));
    }
}
