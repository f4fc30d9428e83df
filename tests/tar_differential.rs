//! Frames archives, ordinary and hostile, and compares every member with what Go's `archive/tar` reads, and those in
//! which nothing is called odd with what Python's `tarfile` does. Does not skip itself where either is missing: it fails
//! and says so.
//!
//! `LAYERSIFT_DIFFERENTIAL_CASES` sets the number of hostile archives, for a longer run, and
//! `LAYERSIFT_DIFFERENTIAL_SEED` which is the first, for another one.

#![expect(
    clippy::print_stdout,
    reason = "what was compared belongs into the log of a test run"
)]

mod python;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use base64::Engine;
use layersift::limits::Limits;
use layersift::tar::{Entry, EntryKind, EntryPath, Framer, Framing, Oddity, Region, RegionKind, Sink};
use sha2::{Digest, Sha256};

/// As in the oracle: how much of a member's logical content is compared.
const CONTENT_LIMIT: u64 = 1 << 20;

/// Hostile archives of an ordinary run.
const CASES: u64 = 1500;

#[test]
fn ordinary_archives_agree_with_go_and_nothing_is_odd() {
    let streams: Vec<_> = (0..60)
        .map(|seed| (format!("ordinary {seed}"), ordinary(&mut Random(seed))))
        .collect();
    let comparison = compare(&streams);
    assert_eq!(comparison.disagreements, Vec::<String>::new());
    for (name, stream) in &streams {
        let ours = Framed::of(stream);
        assert_eq!(ours.framing.oddities, [], "{name}");
    }
    comparison.print("ordinary");
}

#[test]
fn hostile_archives_agree_with_go_or_are_called_odd() {
    let (seed, cases) = hostile_seeds();
    let mut comparison = Comparison::default();
    // In portions: each archive is a file for the oracle.
    for first in (seed..seed + cases).step_by(1500) {
        let streams: Vec<_> = (first..(seed + cases).min(first + 1500))
            .map(|seed| (format!("hostile {seed}"), hostile(&mut Random(seed))))
            .collect();
        comparison.add(compare(&streams));
    }
    comparison.print("hostile");
    assert_eq!(comparison.disagreements, Vec::<String>::new());
    // The generator is of no use if it makes only rubbish, or nothing that is.
    assert!(comparison.refused * 10 > cases && comparison.refused * 10 < cases * 9);
    assert!(comparison.members > cases);
    for oddity in [
        Oddity::AmbiguousKind,
        Oddity::AmbiguousNumber,
        Oddity::AmbiguousSparse,
        Oddity::BodyOfBodiless,
        Oddity::ConcatenatedArchive,
        Oddity::DanglingExtension,
        Oddity::DuplicateExtension,
        Oddity::EmptyExtension,
        Oddity::GlobalOverride,
        Oddity::MalformedExtension,
        Oddity::MalformedHeader,
        Oddity::MixedLongNames,
        Oddity::NulInName,
        Oddity::PaddedExtension,
        Oddity::SolarisExtension,
        Oddity::StrayFields,
        Oddity::TrailingData,
        Oddity::Truncated,
    ] {
        assert!(
            comparison.oddities.contains_key(&oddity),
            "no archive has {oddity:?}"
        );
    }
}

#[test]
fn the_test_archives_of_go_agree_with_go() {
    let streams = go_testdata();
    let comparison = compare(&streams);
    comparison.print("Go's testdata");
    assert_eq!(comparison.disagreements, Vec::<String>::new());
}

/// The first of the hostile archives, and their number.
fn hostile_seeds() -> (u64, u64) {
    let number = |name: &str, default| {
        let number = std::env::var(name);
        number.map_or(default, |number| number.parse().expect("a number"))
    };
    (
        number("LAYERSIFT_DIFFERENTIAL_SEED", 0),
        number("LAYERSIFT_DIFFERENTIAL_CASES", CASES),
    )
}

/// What came of a number of archives.
#[derive(Debug, Default)]
struct Comparison {
    archives: u64,
    /// Archives Go reads only in part.
    refused: u64,
    /// Members both read.
    members: u64,
    oddities: BTreeMap<Oddity, u64>,
    disagreements: Vec<String>,
}

impl Comparison {
    fn add(&mut self, other: Self) {
        self.archives += other.archives;
        self.refused += other.refused;
        self.members += other.members;
        for (oddity, count) in other.oddities {
            *self.oddities.entry(oddity).or_default() += count;
        }
        self.disagreements.extend(other.disagreements);
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} archives, {} refused by {}, {} members compared, {} disagreements, oddities {:?}",
            self.archives,
            self.refused,
            *GO_VERSION,
            self.members,
            self.disagreements.len(),
            self.oddities
        );
    }
}

fn compare(streams: &[(String, Vec<u8>)]) -> Comparison {
    let mut comparison = Comparison::default();
    for ((name, stream), theirs) in streams.iter().zip(go_listings(streams)) {
        let ours = Framed::of(stream);
        comparison.archives += 1;
        comparison.members += theirs.members.len() as u64;
        comparison.refused += u64::from(theirs.error().is_some());
        for oddity in &ours.framing.oddities {
            *comparison.oddities.entry(*oddity).or_default() += 1;
        }
        let disagreements = disagreements(stream, &ours, &theirs);
        let lines = disagreements
            .into_iter()
            .map(|disagreement| format!("{name}: {disagreement}"));
        comparison.disagreements.extend(lines);
    }
    comparison
}

/// What other readers stumble over, but not Go.
const OF_OTHERS: [Oddity; 7] = [
    Oddity::AmbiguousKind,
    Oddity::AmbiguousNumber,
    Oddity::AmbiguousSparse,
    Oddity::EmptyExtension,
    Oddity::PaddedExtension,
    Oddity::SolarisExtension,
    Oddity::StrayFields,
];

/// Everything in which our reading of an archive differs from Go's without being called odd.
fn disagreements(stream: &[u8], ours: &Framed, theirs: &Listing) -> Vec<String> {
    let mut found = Vec::new();
    let is_of_go = |oddity: &Oddity| !OF_OTHERS.contains(oddity);
    let is_called_odd = !ours.framing.is_tar || ours.framing.oddities.iter().any(is_of_go);
    for (at, member) in theirs.members.iter().enumerate() {
        let Some(entry) = ours.entries.get(at) else {
            found.push(format!("member {at} is missing: {member:?}"));
            break;
        };
        let (our_view, their_view) = (View::of_entry(entry), View::of_member(member));
        if our_view != their_view {
            found.push(format!("member {at}: ours {our_view:?}, Go's {their_view:?}"));
        }
        if member.error.is_none() && ours.content(stream, at) != member.content {
            found.push(format!("member {at} `{}` has other content", our_view.path));
        }
    }
    let odd = |oddities: &[Oddity]| {
        let odd = |oddity| ours.framing.oddities.contains(oddity);
        oddities.iter().any(odd)
    };
    let more = ours.entries.len().saturating_sub(theirs.members.len());
    match theirs.error() {
        Some(error) if !is_called_odd => found.push(format!("Go refuses it, we call nothing odd: {error}")),
        Some(_) => {}
        None if more > 0 && !odd(&[Oddity::ConcatenatedArchive]) => {
            found.push(format!("{more} members more than Go without a second archive"));
        }
        None if odd(&[Oddity::ConcatenatedArchive]) => {}
        None if !ours.framing.is_tar => found.push("Go reads it, we call it no tar".to_owned()),
        None => {
            let refusals = [
                Oddity::MalformedHeader,
                Oddity::OversizeExtension,
                Oddity::OversizeSparseMap,
                Oddity::Truncated,
            ];
            if odd(&refusals) {
                found.push(format!("Go reads it, we refuse: {:?}", ours.framing.oddities));
            }
            // Go allows a plus sign, and sees a map that does not fit only if it reads the file to its end.
            let is_read = ours.entries.iter().all(|entry| entry.size <= CONTENT_LIMIT);
            if odd(&[Oddity::MalformedExtension]) && is_read && !stream.contains(&b'+') {
                found.push("Go reads every extended header, we do not".to_owned());
            }
        }
    }
    found
}

/// What must be equal of a member.
#[derive(Debug, PartialEq, Eq)]
struct View {
    path: String,
    link: String,
    kind: EntryKind,
    size: u64,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: i64,
}

impl View {
    fn of_entry(entry: &Entry) -> Self {
        Self {
            path: entry.path.as_bytes().escape_ascii().to_string(),
            link: entry.link.escape_ascii().to_string(),
            kind: entry.kind,
            size: entry.size,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
        }
    }

    fn of_member(member: &Member) -> Self {
        let kind = match member.typeflag {
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::Character {
                zero: member.major == 0 && member.minor == 0,
            },
            b'4' => EntryKind::Block,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            _ => EntryKind::File,
        };
        let is_link = matches!(kind, EntryKind::HardLink | EntryKind::Symlink);
        let path = EntryPath::normalise(&member.name);
        Self {
            path: path.as_bytes().escape_ascii().to_string(),
            link: if is_link {
                member.link.escape_ascii().to_string()
            } else {
                String::new()
            },
            kind,
            // Go keeps the size field of what has no content, and reads none.
            size: if kind == EntryKind::File {
                u64::try_from(member.size).expect("Go refuses negative sizes")
            } else {
                0
            },
            mode: (member.mode & 0o7777) as u32,
            uid: member.uid.cast_unsigned(),
            gid: member.gid.cast_unsigned(),
            mtime: member.mtime,
        }
    }
}

/// What our framer found in a stream, pushed in uneven pieces.
#[derive(Default)]
struct Framed {
    entries: Vec<Entry>,
    regions: Vec<Region>,
    framing: Framing,
}

impl Framed {
    fn of(stream: &[u8]) -> Self {
        let mut framed = Self::default();
        let mut framer = Framer::new(&Limits::default());
        let mut random = Random(stream.len() as u64);
        let mut rest = stream;
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(rest.len().min(1 + random.below(5000)));
            framer.push(piece, &mut framed);
            rest = left;
        }
        framed.framing = framer.finish(&mut framed);
        framed
    }

    /// The hash of the beginning of a member's logical content, made from the regions.
    fn content(&self, stream: &[u8], entry: usize) -> Vec<u8> {
        let size = self.entries[entry].size.min(CONTENT_LIMIT);
        let mut content = vec![0; size as usize];
        for region in &self.regions {
            let is_content = matches!(region.kind, RegionKind::Body | RegionKind::SparseRun);
            if !is_content || region.entry != Some(entry as u32) || region.file_offset >= size {
                continue;
            }
            let Range { start, end } = region.span;
            let end = end.min(self.framing.end).min(start + size - region.file_offset);
            let at = region.file_offset as usize;
            let bytes = &stream[start as usize..end as usize];
            content[at..at + bytes.len()].copy_from_slice(bytes);
        }
        Sha256::digest(&content).to_vec()
    }
}

impl Sink for Framed {
    fn region(&mut self, region: Region) {
        self.regions.push(region);
    }

    fn entry(&mut self, _number: u32, entry: Entry) {
        self.entries.push(entry);
    }

    fn oddity(&mut self, _oddity: Oddity, _offset: u64) {}
}

/// What Go read of one archive.
#[derive(Default)]
struct Listing {
    members: Vec<Member>,
    /// Why Go stopped before the end.
    end_error: Option<String>,
}

impl Listing {
    fn error(&self) -> Option<&str> {
        let of_member = self.members.iter().find_map(|member| member.error.as_deref());
        of_member.or(self.end_error.as_deref())
    }
}

#[derive(Debug)]
struct Member {
    name: Vec<u8>,
    link: Vec<u8>,
    typeflag: u8,
    size: i64,
    mode: i64,
    uid: i64,
    gid: i64,
    mtime: i64,
    major: i64,
    minor: i64,
    content: Vec<u8>,
    error: Option<String>,
}

impl Member {
    fn of(line: &serde_json::Value) -> Self {
        let number = |field: &str| line[field].as_i64().expect("the oracle prints numbers");
        let bytes = |field: &str| unhex(line[field].as_str().expect("the oracle prints hexadecimal"));
        Self {
            name: bytes("name"),
            link: bytes("link"),
            typeflag: number("typeflag") as u8,
            size: number("size"),
            mode: number("mode"),
            uid: number("uid"),
            gid: number("gid"),
            mtime: number("mtime"),
            major: number("major"),
            minor: number("minor"),
            content: bytes("content"),
            error: line["error"].as_str().map(str::to_owned),
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// Lets Go read the streams, all in one run.
fn go_listings(streams: &[(String, Vec<u8>)]) -> Vec<Listing> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut paths = Vec::new();
    for (number, (_, stream)) in streams.iter().enumerate() {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, stream).expect("the archive is written");
        paths.push(path);
    }
    let output = run(Command::new(&*ORACLE).args(&paths));
    let mut listings = Vec::new();
    let mut listing = Listing::default();
    for line in output.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("the oracle prints JSON");
        if line["end"].as_bool() == Some(true) {
            listing.end_error = line["error"].as_str().map(str::to_owned);
            listings.push(std::mem::take(&mut listing));
        } else if line["typeflag"].as_u64() != Some(u64::from(b'g')) {
            listing.members.push(Member::of(&line));
        }
    }
    assert_eq!(listings.len(), streams.len());
    listings
}

/// The oracle's program, built once.
static ORACLE: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tarlist");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/tarlist");
    run(Command::new("go")
        .current_dir(source)
        .env("GOTOOLCHAIN", "local")
        .args(["build", "-o"])
        .arg(&program)
        .arg("main.go"));
    program
});

static GO_VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = run(Command::new("go").args(["env", "GOVERSION"]));
    version.trim().to_owned()
});

/// The archives with which Go tests its own reader, unpacked.
fn go_testdata() -> Vec<(String, Vec<u8>)> {
    let root = run(Command::new("go").args(["env", "GOROOT"]));
    let folder = Path::new(root.trim()).join("src/archive/tar/testdata");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("this Go comes without its test archives; install its source package to compare them");
        return Vec::new();
    };
    let mut streams = Vec::new();
    for file in files {
        let path = file.expect("the folder is readable").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).expect("the file is readable");
        let stream = match name.rsplit('.').next() {
            Some("tar") => bytes,
            Some("base64") => {
                let text: Vec<u8> = bytes
                    .into_iter()
                    .filter(|byte| !byte.is_ascii_whitespace())
                    .collect();
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .expect("base64")
            }
            Some("bz2") => {
                let mut stream = Vec::new();
                let mut decoder = bzip2::read::BzDecoder::new(&bytes[..]);
                decoder.read_to_end(&mut stream).expect("bzip2");
                stream
            }
            _ => continue,
        };
        streams.push((name, stream));
    }
    assert!(!streams.is_empty());
    streams
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "cannot run {}: {error}\nthis test compares with Go's archive/tar and Python's tarfile: install both \
             (`golang` and `python3` of most systems), so that `go` and `python3` are on PATH",
            command.get_program().display()
        )
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// An archive as the `tar` crate writes it: files, folders, links, long names.
fn ordinary(random: &mut Random) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for number in 0..1 + random.below(12) {
        let is_gnu = random.one_in(2);
        let mut header = if is_gnu {
            tar::Header::new_gnu()
        } else {
            tar::Header::new_ustar()
        };
        header.set_mode(random.pick(&[0o644, 0o755, 0o4755]));
        header.set_uid(random.below(1 << 18) as u64);
        header.set_gid(random.below(1 << 18) as u64);
        header.set_mtime(random.below(1 << 31) as u64);
        let depth = if is_gnu { random.below(20) } else { random.below(8) };
        let name = format!(
            "{}{}file-{number}",
            random.pick(&["", "./"]),
            "directory/".repeat(depth)
        );
        let result = match random.below(5) {
            0 => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                builder.append_data(&mut header, format!("{name}/"), &[][..])
            }
            1 => {
                header.set_entry_type(random.pick(&[tar::EntryType::Symlink, tar::EntryType::Link]));
                header.set_size(0);
                let up = if is_gnu {
                    random.below(60)
                } else {
                    random.below(20)
                };
                builder.append_link(&mut header, name, format!("{}target", "../".repeat(up)))
            }
            2 if !is_gnu => {
                let text = b"a value\nof two lines";
                let records = [("SCHILY.xattr.user.note", &text[..]), ("path", name.as_bytes())];
                builder.append_pax_extensions(records).expect("records");
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(3);
                builder.append_data(&mut header, "short", &b"abc"[..])
            }
            _ => {
                header.set_entry_type(tar::EntryType::Regular);
                let len = random.pick(&[0, 1, 511, 512, 513, 9000]);
                let body = random.bytes(len);
                header.set_size(body.len() as u64);
                builder.append_data(&mut header, name, &body[..])
            }
        };
        result.expect("an ordinary member");
    }
    builder.into_inner().expect("an archive")
}

/// A few pieces, most of them whole, then some damage; or an ordinary archive with some damage.
fn hostile(random: &mut Random) -> Vec<u8> {
    if random.one_in(3) {
        let mut stream = ordinary(random);
        for _ in 0..1 + random.below(3) {
            damage(random, &mut stream);
        }
        return stream;
    }
    let mut stream = Vec::new();
    for _ in 0..1 + random.below(5) {
        piece(random, &mut stream);
    }
    let zeros = random.pick(&[0, 1, 2, 2, 2, 2, 3, 20]);
    stream.resize(stream.len() + zeros * 512, 0);
    match random.below(12) {
        0 => piece(random, &mut stream),
        1 => {
            let len = random.pick(&[1, 511, 512, 600, 1024]);
            stream.extend(random.bytes(len));
        }
        2 => stream.resize(stream.len() + random.below(600), 0),
        _ => {}
    }
    damage(random, &mut stream);
    stream
}

fn damage(random: &mut Random, stream: &mut Vec<u8>) {
    let blocks = stream.len() / 512;
    if blocks == 0 {
        return;
    }
    let at = random.below(blocks) * 512;
    match random.below(12) {
        0 => stream.truncate(random.below(stream.len())),
        1 => drop(stream.drain(at..at + 512)),
        2 => {
            let block = stream[at..at + 512].to_vec();
            stream.splice(at..at, block);
        }
        3 => {
            let at = random.below(stream.len());
            stream[at] = random.next() as u8;
        }
        4 => stream[at..at + 512].fill(0),
        5..7 => {
            // A wrong byte in what may be a header, with a right checksum.
            let field = at + random.below(512);
            stream[field] = random.pick(&[0, b' ', b'/', b'7', b'8', b'x', b'S', 0x80, 0xff]);
            seal(&mut stream[at..at + 512]);
        }
        _ => {}
    }
}

fn seal(block: &mut [u8]) {
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(block);
    header.set_cksum();
    block.copy_from_slice(header.as_bytes());
}

fn piece(random: &mut Random, stream: &mut Vec<u8>) {
    match random.below(16) {
        0..6 => {
            extension(random, stream);
            while random.one_in(3) {
                extension(random, stream);
            }
        }
        6 => pax_sparse(random, stream),
        7 => old_sparse(random, stream),
        8 => {
            // A body that is an archive itself, behind a type that may or may not have one.
            let mut inner = Vec::new();
            member(random, &mut inner);
            let typeflag = random.pick(b"0123456\0Z");
            header(random, typeflag, inner.len() as u64, stream);
            stream.extend(inner);
            return;
        }
        _ => {}
    }
    member(random, stream);
}

fn member(random: &mut Random, stream: &mut Vec<u8>) {
    let typeflag = random.pick(b"0000000\0\0\x00123456757ZDS");
    let is_bodiless = matches!(typeflag, b'1'..=b'6') && !random.one_in(8);
    let len = random.pick(&[0, 0, 1, 5, 511, 512, 513, 1500]);
    let body = random.bytes(if is_bodiless { 0 } else { len });
    header(random, typeflag, body.len() as u64, stream);
    padded(&body, stream);
}

fn padded(body: &[u8], stream: &mut Vec<u8>) {
    stream.extend_from_slice(body);
    stream.resize(stream.len().next_multiple_of(512), 0);
}

fn header(random: &mut Random, typeflag: u8, size: u64, stream: &mut Vec<u8>) {
    let mut header = match random.below(6) {
        0..3 => tar::Header::new_ustar(),
        3..5 => tar::Header::new_gnu(),
        _ => tar::Header::new_old(),
    };
    header.set_mode(0o644);
    header.set_uid(1000);
    header.set_gid(100);
    header.set_mtime(1_700_000_000);
    header.set_size(size);
    let is_gnu = header.as_gnu().is_some();
    let block = header.as_mut_bytes();
    let name = self::name(random);
    block[..name.len()].copy_from_slice(name);
    if random.one_in(20) {
        // As a long name is cut, right or wrong.
        let cut = "directory/".repeat(11);
        let at = random.below(10);
        block[..100].copy_from_slice(&cut.as_bytes()[at..at + 100]);
    }
    block[156] = typeflag;
    if matches!(typeflag, b'1' | b'2') || random.one_in(10) {
        let link = self::name(random);
        block[157..157 + link.len()].copy_from_slice(link);
    }
    if matches!(typeflag, b'3' | b'4') && random.one_in(2) {
        block[329..345].copy_from_slice(b"0000001\x000000003\0");
    }
    if random.one_in(8) {
        let prefix = self::name(random);
        block[345..345 + prefix.len()].copy_from_slice(prefix);
    }
    if is_gnu && random.one_in(8) {
        // As GNU tar does in incremental archives.
        block[345..369].copy_from_slice(b"14217423705\x0014217423706\0");
    }
    if random.one_in(30) {
        block[508..512].copy_from_slice(b"tar\0");
    }
    if random.one_in(25) {
        let (at, len) = random.pick(&[
            (100, 8),
            (108, 8),
            (116, 8),
            (124, 12),
            (136, 12),
            (329, 8),
            (337, 8),
        ]);
        let number = random.pick(NUMBERS);
        block[at..at + len].fill(random.pick(b"\0 "));
        let len = len.min(number.len());
        block[at..at + len].copy_from_slice(&number[..len]);
    }
    header.set_cksum();
    let sum = header.cksum().expect("a sum");
    let block = header.as_mut_bytes();
    match random.below(100) {
        0 => block[150] ^= 1,
        3 => block[148..156].rotate_right(1),
        4 => {
            block[148..152].copy_from_slice(b"\x80\0\0\0");
            block[152..156].copy_from_slice(&sum.to_be_bytes());
        }
        1 => {
            let sum: i64 = (0..512)
                .filter(|at| !(148..156).contains(at))
                .map(|at| i64::from(block[at].cast_signed()))
                .sum();
            block[148..156].copy_from_slice(format!("{:06o}\0 ", (sum + 256).max(0)).as_bytes());
        }
        2 => block[148..156].copy_within(0..6, 2),
        _ => {}
    }
    stream.extend_from_slice(block);
}

fn extension(random: &mut Random, stream: &mut Vec<u8>) {
    let typeflag = random.pick(b"LLLKKxxxxxxxxggX");
    let body = match typeflag {
        b'x' | b'g' | b'X' => {
            let mut text = Vec::new();
            for _ in 0..random.pick(&[0, 1, 1, 2, 3]) {
                record(random, &mut text);
            }
            text
        }
        _ => {
            let mut name = self::name(random).to_vec();
            name.extend_from_slice(random.pick(&[&b"\0"[..], b"", b"\0\0", b"\0hidden"]));
            if random.one_in(4) {
                name.splice(0..0, b"long/".repeat(random.pick(&[30, 110])));
            }
            name
        }
    };
    header(random, typeflag, body.len() as u64, stream);
    let end = stream.len() + body.len();
    padded(&body, stream);
    if random.one_in(12) {
        // Behind its end, for whoever reads whole blocks.
        let more = random.pick(&[&b"17 path=smuggled\n"[..], b"smuggled", b" "]);
        let len = more.len().min(stream.len() - end);
        stream[end..end + len].copy_from_slice(&more[..len]);
    }
}

fn record(random: &mut Random, text: &mut Vec<u8>) {
    let key = random.pick(&[
        "path",
        "path",
        "linkpath",
        "size",
        "size",
        "uid",
        "gid",
        "mtime",
        "atime",
        "ctime",
        "uname",
        "comment",
        "SCHILY.xattr.user.a",
        "GNU.sparse.name",
        "GNU.sparse.major",
        "GNU.sparse.offset",
        "GNU.sparse.size",
        "GNU.sparse.realsize",
        "hdrcharset",
    ]);
    let key = if random.one_in(40) {
        random.pick(&["k\0y", ""])
    } else {
        key
    };
    let value = match key {
        "mtime" | "atime" | "ctime" if random.one_in(2) => {
            random.pick(&[&b"1.5"[..], b"-1", b"-1.25", b"-0.5", b"7.", b"-1.0000000009"])
        }
        "size" | "uid" | "gid" | "mtime" | "atime" | "ctime" if !random.one_in(25) => {
            random.pick(&[&b"0"[..], b"5", b"512", b"1500", b"512", b"77", b"+5", b"05"])
        }
        "GNU.sparse.size" | "GNU.sparse.realsize" => random.pick(&[&b"5"[..], b"512", b"0"]),
        "hdrcharset" => b"BINARY",
        _ if random.one_in(4) => {
            random.pick(&[&b""[..], b"1\n17 path=smuggled\n", b"\xff\xfe", b"a=b", b"12x"])
        }
        _ if random.one_in(20) => b"a\0b",
        _ => name(random),
    };
    let len = pax_len(key, value);
    let len = match random.below(60) {
        0 => random
            .pick(&["0", "4", "999", "-9", "9999999999999999999999", "", "x"])
            .to_owned(),
        1 => format!("0{}", len + 1),
        2 => format!("+{}", len + 1),
        3 => (len - 1).to_string(),
        _ => len.to_string(),
    };
    text.extend_from_slice(format!("{len} {key}=").as_bytes());
    text.extend_from_slice(value);
    text.push(b'\n');
}

fn pax_len(key: &str, value: &[u8]) -> usize {
    let rest = key.len() + value.len() + 3;
    let mut len = rest;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    len
}

/// Runs of a sparse file, its logical size and the number of stored bytes, not always in agreement.
struct Holes {
    runs: Vec<(u64, u64)>,
    size: u64,
    stored: u64,
}

impl Holes {
    fn new(random: &mut Random) -> Self {
        let mut runs = Vec::new();
        let mut size: u64 = 0;
        for _ in 0..random.pick(&[0, 1, 2, 4, 5, 30, 90]) {
            let offset = size + random.pick(&[0, 0, 1, 100, 5000, 1 << 40]);
            let len = random.pick(&[0, 1, 5, 512]);
            runs.push((offset, len));
            size = offset + len;
        }
        let mut stored: u64 = runs.iter().map(|(_, len)| len).sum();
        size += random.pick(&[0, 0, 7, 1 << 33]);
        match random.below(12) {
            0 => stored += 1,
            1 => stored = stored.saturating_sub(1),
            2 => size = size.saturating_sub(1),
            3 => runs.reverse(),
            _ => {}
        }
        Self { runs, size, stored }
    }
}

fn pax_sparse(random: &mut Random, stream: &mut Vec<u8>) {
    let holes = Holes::new(random);
    let size = holes.size.to_string();
    let count = (holes.runs.len() + usize::from(random.one_in(15))).to_string();
    let numbers: Vec<String> = holes
        .runs
        .iter()
        .flat_map(|(offset, len)| [offset.to_string(), len.to_string()])
        .collect();
    let mut body = Vec::new();
    let mut records: Vec<(&str, &str)> = Vec::new();
    let list = numbers.join(",");
    let size_key = random.pick(&["GNU.sparse.size", "GNU.sparse.realsize"]);
    if !random.one_in(15) {
        records.push((size_key, if random.one_in(20) { "many" } else { &size }));
    }
    if !random.one_in(4) {
        records.push(("GNU.sparse.name", "real/name"));
    }
    if random.one_in(8) {
        records.push(random.pick(&[
            ("path", "real/name"),
            ("path", "other/name"),
            ("size", "512"),
            ("GNU.sparse.size", "5"),
            ("GNU.sparse.realsize", "512"),
            ("GNU.sparse.map", "0,5"),
            ("linkpath", "a"),
            ("mtime", "1.5"),
        ]));
    }
    let version = random.below(4);
    let minor = random.pick(&["0", "0", "0", "0", "1", "7"]);
    match version {
        0 => {
            records.push(("GNU.sparse.numblocks", &count));
            for (at, number) in numbers.iter().enumerate() {
                let key = if at % 2 == 0 {
                    "GNU.sparse.offset"
                } else {
                    "GNU.sparse.numbytes"
                };
                records.push((key, number));
            }
        }
        1 => {
            records.push(("GNU.sparse.numblocks", &count));
            records.push(("GNU.sparse.map", &list));
            if random.one_in(2) {
                records.extend([("GNU.sparse.major", "0"), ("GNU.sparse.minor", minor)]);
            }
        }
        _ => {
            records.extend([("GNU.sparse.major", "1"), ("GNU.sparse.minor", minor)]);
            writeln!(body, "{count}").expect("memory");
            for number in &numbers {
                writeln!(body, "{number}").expect("memory");
            }
            if !random.one_in(15) {
                body.resize(body.len().next_multiple_of(512), b'\0');
            }
        }
    }
    if random.one_in(8) {
        let by = random.below(records.len().max(1));
        records.rotate_left(by);
    }
    let mut text = Vec::new();
    for (key, value) in records {
        text.extend_from_slice(format!("{} {key}={value}\n", pax_len(key, value.as_bytes())).as_bytes());
    }
    header(random, b'x', text.len() as u64, stream);
    padded(&text, stream);
    body.extend(random.bytes(holes.stored as usize));
    let typeflag = random.pick(b"0000000\x0075");
    header(random, typeflag, body.len() as u64, stream);
    padded(&body, stream);
}

fn old_sparse(random: &mut Random, stream: &mut Vec<u8>) {
    let holes = Holes::new(random);
    let start = stream.len();
    header(random, b'S', holes.stored, stream);
    let block = &mut stream[start..];
    if !random.one_in(10) {
        block[257..265].copy_from_slice(b"ustar  \0");
        block[345..386].fill(0);
    }
    block[483..495].copy_from_slice(&base256(holes.size));
    let (first, rest) = holes.runs.split_at(holes.runs.len().min(4));
    pairs(first, &mut block[386..482]);
    block[482] = u8::from(!rest.is_empty());
    if random.one_in(10) && first.len() < 3 {
        // Behind where the map ends.
        block[458..482].copy_from_slice(b"00000000010\x0000000000005\0");
    }
    seal(block);
    for (number, runs) in rest.chunks(21).enumerate() {
        let mut block = [0; 512];
        pairs(runs, &mut block[..504]);
        let is_last = (number + 1) * 21 >= rest.len();
        block[504] = u8::from(!is_last || random.one_in(20));
        stream.extend_from_slice(&block);
    }
    let body = random.bytes(holes.stored as usize);
    padded(&body, stream);
}

fn pairs(runs: &[(u64, u64)], field: &mut [u8]) {
    for ((offset, len), pair) in runs.iter().zip(field.chunks_exact_mut(24)) {
        pair[..12].copy_from_slice(&base256(*offset));
        pair[12..].copy_from_slice(&base256(*len));
    }
}

/// A number in base 256, or in octal where it fits.
fn base256(number: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if number < 1 << 33 {
        field.copy_from_slice(format!("{number:011o}\0").as_bytes());
    } else {
        field[4..].copy_from_slice(&number.to_be_bytes());
        field[0] = 0x80;
    }
    field
}

fn name(random: &mut Random) -> &'static [u8] {
    match random.below(60) {
        0 => b"n\0hidden",
        1 => b"",
        _ => random.pick(NAMES),
    }
}

const NAMES: &[&[u8]] = &[
    b"a",
    b"b/c",
    b"dir/",
    b"./a/../b",
    b"/etc/passwd",
    b"../../root/.ssh/key",
    b"caf\xc3\xa9",
    b"\xff",
    b"a/.wh.b",
];

const NUMBERS: &[&[u8]] = &[
    b"",
    b"7",
    b" 7 ",
    b"0000007",
    b"garbage",
    b"8",
    b"-1",
    b"7\x008",
    b"7 7",
    b"\x007",
    b" \x007",
    b"0o7",
    b"0_7",
    b"\t7",
    b"7\t",
    b"\x81\0\0\0\0\0\0\x05",
    b"\xc0\0\0\0\0\0\0\x05",
    b"\x80\0\0\0\0\0\0\x05",
    b"\x80\0\0\0\0\0\0\0\0\0\0\x05",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
];

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} members, {:?}", self.members.len(), self.error())
    }
}
