//! The framer of tar archives, on whole archives, on PAX records and on sparse maps.

use std::collections::HashSet;

use layersift::limits::Limits;
use layersift::tar::{Entry, Framer, Framing, Oddity, Region, RegionKind, Sink};

use super::{Pieces, Target};
use crate::support::tar::{archive, directory, file, hard_link, member, symlink, verbatim, whiteout};

pub const FRAMER: Target = Target {
    name: "tar_framer",
    body: framer,
    seeds: archives,
    words: WORDS,
    longest: 16 * 1024,
};

pub const PAX: Target = Target {
    name: "tar_pax",
    body: pax,
    seeds: || {
        [
            &b"21 path=etc/password\n20 linkpath=target/\n"[..],
            b"12 size=512\n13 uid=70000\n25 mtime=1700000000.25\n",
            b"30 mtime=-1.999999999999999999\n",
            b"22 path=a\n17 path=b\n\n",
            b"39 SCHILY.xattr.security.capability=\x01\n\n",
            b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n21 GNU.sparse.name=a\n",
        ]
        .map(<[u8]>::to_vec)
        .to_vec()
    },
    words: WORDS,
    longest: 2048,
};

pub const SPARSE: Target = Target {
    name: "tar_sparse",
    body: sparse,
    seeds: || {
        let pair = |offset: u64, length: u64| format!("{offset:011o}\0{length:011o}\0").into_bytes();
        let old = [&b"S"[..], &pair(0, 512), &pair(4096, 100)].concat();
        let numbers = "2\n0\n512\n4096\n100\n";
        let text = format!("T{numbers:\0<512}{}", "x".repeat(612));
        vec![old, text.into_bytes(), b"L0,512,4096,100".to_vec()]
    },
    words: WORDS,
    longest: 4096,
};

const WORDS: &[&[u8]] = &[
    b"ustar\x0000",
    b"ustar  \0",
    b"path=",
    b"linkpath=",
    b"size=",
    b"mtime=",
    b"GNU.sparse.major=1\n",
    b"GNU.sparse.minor=0\n",
    b"GNU.sparse.map=",
    b"GNU.sparse.numblocks=",
    b"GNU.sparse.realsize=",
    b"././@LongLink",
    b"\x80\0\0\0\0\0\0\0\0\0\0\x10",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"00000001000\0",
    b"77777777777\0",
    b"9223372036854775807",
    b"\0\0\0\0\0\0\0\0",
    b".wh..wh..opq",
    b"../",
    b"\n",
];

/// Archives with every kind of member.
pub(super) fn archives() -> Vec<Vec<u8>> {
    let plain = archive(&[
        directory("etc"),
        file("etc/config", "a = b\n"),
        file("./../../etc/shadow", [b'x'; 700]),
        symlink("etc/link", "/etc/config"),
        hard_link("etc/hard", "etc/config"),
        whiteout("etc/gone"),
    ]);
    let extended = archive(&[
        file("short", "x")
            .record("path", "long/name")
            .record("mtime", "1.5"),
        member(b'g', "pax_global_header", "21 comment=something\n"),
        member(b'L', "././@LongLink", [b'n'; 200]),
        file("cut", "content"),
        member(b'5', "directory-with-body/", file("hidden", "").bytes()),
        member(b'3', "dev/null", ""),
        member(b'Z', "unknown", "body"),
        file("truncated", "x").claim_size(5000),
    ]);
    let sparse = archive(&[file("GNUSparseFile.0/a", "1\n0\n4\n")
        .record("GNU.sparse.major", "1")
        .record("GNU.sparse.minor", "0")
        .record("GNU.sparse.name", "a")
        .record("GNU.sparse.realsize", "4096")]);
    let twice = [&plain[..], &plain[..], b"and a tail"].concat();
    let cut = plain[..plain.len() / 2 + 100].to_vec();
    let broken = archive(&[file("a", "b"), verbatim([b'?'; 512]), file("c", "d")]);
    vec![plain, extended, sparse, twice, cut, broken]
}

fn framer(bytes: &[u8]) {
    let small = Limits {
        tar_header_bytes: 40,
        sparse_runs: 2,
        ..Limits::default()
    };
    for limits in [Limits::default(), small] {
        let whole = Recorder::of([bytes].into_iter(), &limits);
        whole.check(bytes, &limits);
        let pieces = Recorder::of(Pieces::of(bytes), &limits);
        assert_eq!(whole.log, pieces.log, "what is found depends on the cuts");
        assert_eq!(whole.framing, pieces.framing);
    }
}

/// The input is the body of an extended header.
fn pax(bytes: &[u8]) {
    framer(&archive(&[
        member(b'x', "PaxHeaders/a", bytes),
        file("a", [b'c'; 600]),
    ]));
}

/// The first byte says which kind of sparse map the rest is.
fn sparse(bytes: &[u8]) {
    let Some((kind, map)) = bytes.split_first() else {
        return;
    };
    let stored = [b'd'; 700];
    let sparse = match kind {
        b'S' => {
            // Four pairs in the header, the others in blocks behind it.
            let (first, more) = map.split_at(map.len().min(96));
            let size = b"\x80\0\0\0\0\0\x01\0\0\0\0\0";
            let header = member(b'S', "old", [more, &stored].concat())
                .patch(257, *b"ustar  \0")
                .patch(386, first)
                .patch(482, [u8::from(!more.is_empty())])
                .patch(483, *size);
            vec![header]
        }
        b'T' => vec![
            file("GNUSparseFile.0/text", map)
                .record("GNU.sparse.major", "1")
                .record("GNU.sparse.minor", "0")
                .record("GNU.sparse.name", "text")
                .record("GNU.sparse.realsize", "1099511627776"),
        ],
        _ => {
            let pairs = map.split(|byte| *byte == b',').count() / 2;
            vec![
                file("list", stored)
                    .record("GNU.sparse.map", map)
                    .record("GNU.sparse.numblocks", pairs.to_string())
                    .record("GNU.sparse.size", "1099511627776"),
            ]
        }
    };
    framer(&archive(sparse.iter().chain(&[file("next", "content")])));
}

/// Everything the framer told, in order.
#[derive(Default)]
struct Recorder {
    regions: Vec<Region>,
    entries: Vec<Entry>,
    log: Vec<String>,
    /// Headers of members that something is odd about.
    odd: HashSet<u64>,
    framing: Framing,
}

impl Recorder {
    fn of<'p>(pieces: impl Iterator<Item = &'p [u8]>, limits: &Limits) -> Self {
        let mut recorder = Self::default();
        let mut framer = Framer::new(limits);
        let (mut pushed, mut settled) = (0, 0);
        for piece in pieces {
            framer.push(piece, &mut recorder);
            pushed += piece.len() as u64;
            assert!(framer.settled() >= settled, "the position moved back");
            settled = framer.settled();
            assert!(settled <= pushed && pushed - settled < 512);
        }
        recorder.framing = framer.finish(&mut recorder);
        recorder
    }

    fn check(&self, bytes: &[u8], limits: &Limits) {
        let end = bytes.len() as u64;
        assert_eq!(self.framing.end, end);
        assert_eq!(self.framing.entries, self.entries.len() as u64);
        // A member takes a block, so that no short archive has many.
        assert!(self.entries.len() <= bytes.len().div_ceil(512));

        let mut position = 0;
        let mut data = vec![0; self.entries.len()];
        let starts = self.regions.iter().map(|region| region.span.start).skip(1);
        for (region, next) in self.regions.iter().zip(starts.chain([end])) {
            assert_eq!(region.span.start, position, "a gap before {region:?}");
            let ends = region.span.end.min(next).min(end);
            assert!(ends > position, "{region:?} is empty");
            if matches!(region.kind, RegionKind::Body | RegionKind::SparseRun) {
                let entry = region.entry.expect("content belongs to an entry") as usize;
                data[entry] += ends - position;
                let size = self.entries[entry].size;
                let reach = region.file_offset.checked_add(ends - position);
                // What is stored of a sparse member is told as it stands where its map is of no use.
                let is_odd = self.odd.contains(&self.entries[entry].offset);
                assert!(
                    is_odd || reach.is_some_and(|reach| reach <= size),
                    "{region:?} leaves {size}"
                );
            }
            position = ends;
        }
        assert_eq!(position, end, "bytes in no region");
        for (entry, data) in self.entries.iter().zip(data) {
            assert!(data <= entry.size || self.odd.contains(&entry.offset));
            let components = entry.path.as_bytes().split(|byte| *byte == b'/');
            let odd = |part: &[u8]| part.is_empty() || part == b"." || part == b"..";
            assert!(entry.path.is_root() || !components.into_iter().any(odd));
            let longest = limits.tar_header_bytes.max(512) as usize;
            assert!(entry.path.as_bytes().len() <= longest && entry.link.len() <= longest);
            assert!(entry.offset < end);
        }
    }
}

impl Sink for Recorder {
    fn region(&mut self, region: Region) {
        self.log.push(format!("{region:?}"));
        self.regions.push(region);
    }

    fn entry(&mut self, number: u32, entry: Entry) {
        assert_eq!(number as usize, self.entries.len());
        self.log.push(format!("{entry:?}"));
        self.entries.push(entry);
    }

    fn oddity(&mut self, oddity: Oddity, offset: u64) {
        self.log.push(format!("{oddity:?} at {offset}"));
        if matches!(oddity, Oddity::MalformedExtension | Oddity::OversizeSparseMap) {
            self.odd.insert(offset);
        }
    }
}
