//! Compares with Python's `tarfile` every archive in which our framer calls nothing odd: of what it reads otherwise than
//! Go, from whose family runtimes take their readers, nothing may go unsaid. Does not give it the others, of which there
//! are some that it never ends to read (CVE-2025-8194). Watched with Python 3.6 to 3.13.
//!
//! Two differences are Python's own faults. Each is one function here, which tolerates exactly it:
//! [`PythonMember::has_time_for_prefix`] and [`PythonListing::is_broken_by_charset`]. An archive that Python has an error
//! for when no member is left ([`is_wanting_at_its_end`]) is none.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use layersift::tar::{Entry, EntryKind, EntryPath, RegionKind};

use super::{
    CONTENT_LIMIT, Framed, Random, compare, go_testdata, hostile, hostile_seeds, ordinary, run, unhex,
};

#[test]
fn ordinary_archives_agree_with_python_too() {
    let mut streams: Vec<_> = (0..60)
        .map(|seed| (format!("ordinary {seed}"), ordinary(&mut Random(seed))))
        .collect();
    streams.extend(python_testdata());
    streams.extend(go_testdata());
    let comparison = PythonComparison::of(streams);
    comparison.print("ordinary");
    assert!(comparison.archives > 50, "{} are too few", comparison.archives);
    assert_eq!(comparison.disagreements, Vec::<String>::new());
}

#[test]
fn hostile_archives_agree_with_python_or_are_called_odd() {
    let (seed, cases) = hostile_seeds();
    let mut comparison = PythonComparison::default();
    for first in (seed..seed + cases).step_by(1500) {
        let streams = (first..(seed + cases).min(first + 1500))
            .map(|seed| (format!("hostile {seed}"), hostile(&mut Random(seed))));
        comparison.add(PythonComparison::of(streams.collect()));
    }
    comparison.print("hostile");
    assert_eq!(comparison.disagreements, Vec::<String>::new());
    // Those that are called odd are not compared. A framer that calls all of them so would pass as well.
    assert!(
        comparison.archives * 6 > cases,
        "{} are too few",
        comparison.archives
    );
}

#[test]
fn archives_of_gnu_tar_and_python_agree_with_both_and_nothing_is_odd() {
    let streams = written();
    let comparison = compare(&streams);
    comparison.print("of GNU tar and Python");
    assert_eq!(comparison.disagreements, Vec::<String>::new());
    assert_eq!(comparison.oddities, BTreeMap::new());
    let comparison = PythonComparison::of(streams);
    comparison.print("of GNU tar and Python");
    assert_eq!(comparison.archives, 16);
    assert_eq!(comparison.disagreements, Vec::<String>::new());
}

/// What came of comparing the archives that we call nothing odd in with Python's reader.
#[derive(Debug, Default)]
struct PythonComparison {
    version: String,
    archives: u64,
    members: u64,
    disagreements: Vec<String>,
}

impl PythonComparison {
    fn of(mut streams: Vec<(String, Vec<u8>)>) -> Self {
        streams.retain(|(_, stream)| {
            let ours = Framed::of(stream);
            ours.framing.is_tar && ours.framing.oddities.is_empty()
        });
        let (version, listings) = python_listings(&streams);
        let mut comparison = Self {
            version,
            archives: streams.len() as u64,
            ..Self::default()
        };
        for ((name, stream), theirs) in streams.iter().zip(&listings) {
            let ours = Framed::of(stream);
            comparison.members += theirs.members.len() as u64;
            let found = theirs.differences(stream, &ours);
            let lines = found
                .into_iter()
                .map(|difference| format!("{name}: {difference}"));
            comparison.disagreements.extend(lines);
        }
        comparison
    }

    fn add(&mut self, other: Self) {
        self.version = other.version;
        self.archives += other.archives;
        self.members += other.members;
        self.disagreements.extend(other.disagreements);
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} archives without oddities compared with Python {}, {} members, {} disagreements",
            self.archives,
            self.version,
            self.members,
            self.disagreements.len(),
        );
    }
}

/// What Python read of one archive.
#[derive(serde::Deserialize)]
struct PythonListing {
    members: Vec<PythonMember>,
    error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
struct PythonMember {
    name: String,
    link: String,
    kind: String,
    size: i64,
    content: String,
}

impl PythonListing {
    /// Whether the reader itself broke, with an error that is none of its own: older ones (3.11.7 is one) do on a record
    /// that says the charset of names in bytes that are no text.
    fn is_broken_by_charset(&self, stream: &[u8]) -> bool {
        let is_of_text = |error: &String| error.starts_with("UnicodeDecodeError");
        let mut windows = stream.windows(12);
        self.error.as_ref().is_some_and(is_of_text) && windows.any(|text| text == b" hdrcharset=")
    }

    fn differences(&self, stream: &[u8], ours: &Framed) -> Vec<String> {
        let mut found = Vec::new();
        for (at, theirs) in self.members.iter().enumerate() {
            let Some(entry) = ours.entries.get(at) else {
                found.push(format!("member {at} is missing: {theirs:?}"));
                break;
            };
            let ours = PythonMember::of(stream, ours, at, entry);
            if ours != *theirs && !theirs.has_time_for_prefix(stream, entry, &ours) {
                found.push(format!("member {at}: ours {ours:?}, Python's {theirs:?}"));
            }
        }
        let more = ours.entries.len().saturating_sub(self.members.len());
        if self.is_broken_by_charset(stream) {
            return found;
        }
        if more > 0 {
            found.push(format!(
                "{more} members more than Python, which says {:?}",
                self.error
            ));
        } else if let Some(error) = &self.error
            && !is_wanting_at_its_end(stream, ours)
        {
            found.push(format!("Python refuses it: {error}"));
        }
        found
    }
}

/// Whether what an archive ends with is nothing to Go and an error to Python, which read the same members before:
/// there is nothing at all, the last body is not padded, or a global header has no member behind it (as git makes one
/// of an empty tree).
fn is_wanting_at_its_end(stream: &[u8], ours: &Framed) -> bool {
    let mut regions = ours.regions.iter().rev();
    let last = regions.find(|region| region.kind != RegionKind::End);
    last.is_none_or(|last| {
        let is_content = matches!(
            last.kind,
            RegionKind::Body | RegionKind::SparseRun | RegionKind::Padding
        );
        last.entry.is_none() || (is_content && !stream.len().is_multiple_of(512))
    })
}

impl PythonMember {
    /// Whether the difference to ours is the one that Python makes of an incremental archive of GNU tar: it takes the
    /// time of the last access, which that has where POSIX has a prefix, for a prefix.
    fn has_time_for_prefix(&self, stream: &[u8], entry: &Entry, ours: &Self) -> bool {
        let header = &stream[entry.offset as usize..][..512];
        let text = |field: &'_ [u8]| field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let (time, name) = (text(&header[345..500]), text(&header[..100]));
        let is_time = !time.is_empty() && time.iter().all(|byte| matches!(byte, b'0'..=b'7'));
        let name = EntryPath::normalise(&[time, name].join(&b'/'));
        let renamed = Self {
            name: name.as_bytes().escape_ascii().to_string(),
            ..ours.clone()
        };
        &header[257..265] == b"ustar  \0" && is_time && *self == renamed
    }

    /// Ours, as Python would tell it.
    fn of(stream: &[u8], framed: &Framed, at: usize, entry: &Entry) -> Self {
        let kind = match entry.kind {
            EntryKind::Block => "block",
            EntryKind::Character { zero: true } => "zero",
            EntryKind::Character { zero: false } => "character",
            EntryKind::Directory => "directory",
            EntryKind::Fifo => "fifo",
            EntryKind::File => "file",
            EntryKind::HardLink => "hardlink",
            EntryKind::Symlink => "symlink",
        };
        let content = match entry.kind {
            EntryKind::File => hex(&framed.content(stream, at)),
            _ => String::new(),
        };
        Self {
            name: entry.path.as_bytes().escape_ascii().to_string(),
            link: entry.link.escape_ascii().to_string(),
            kind: kind.to_owned(),
            size: i64::try_from(entry.size).unwrap_or(-1),
            content,
        }
    }

    /// With the name as we normalise it, and both as text.
    fn readable(mut self) -> Self {
        let path = EntryPath::normalise(&unhex(&self.name));
        self.name = path.as_bytes().escape_ascii().to_string();
        self.link = unhex(&self.link).escape_ascii().to_string();
        self
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lets Python read the streams, all in one run. Its version, and what it read.
fn python_listings(streams: &[(String, Vec<u8>)]) -> (String, Vec<PythonListing>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (number, (_, stream)) in streams.iter().enumerate() {
        std::fs::write(folder.path().join(number.to_string()), stream).expect("the archive is written");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/tarlist.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(folder.path());
    command.args([streams.len().to_string(), CONTENT_LIMIT.to_string()]);
    let output = run(&mut command);
    let mut lines = output.lines();
    let version = lines.next().expect("its version").to_owned();
    let listings: Vec<_> = lines
        .map(|line| {
            let listing: PythonListing = serde_json::from_str(line).expect("JSON");
            PythonListing {
                members: listing.members.into_iter().map(PythonMember::readable).collect(),
                ..listing
            }
        })
        .collect();
    assert_eq!(listings.len(), streams.len());
    (version, listings)
}

/// Ways to write an archive. The first two formats have no room for long names.
const GNU_TAR: [&str; 13] = [
    "--format=v7 --exclude=long*",
    "--format=ustar --exclude=long*",
    "--format=oldgnu",
    "--format=oldgnu --sparse",
    "--format=oldgnu --sparse --listed-incremental=oldgnu.snar",
    "--format=gnu",
    "--format=gnu --sparse",
    "--format=gnu --sparse --listed-incremental=gnu.snar",
    "--format=posix",
    "--format=posix --sparse --sparse-version=0.0",
    "--format=posix --sparse --sparse-version=0.1",
    "--format=posix --sparse --sparse-version=1.0",
    "--format=posix --sparse --listed-incremental=posix.snar --label=label",
];

/// Archives of one folder in every format that GNU tar and Python write.
fn written() -> Vec<(String, Vec<u8>)> {
    let version = run(Command::new("tar").arg("--version"));
    assert!(version.contains("GNU tar"), "`tar` is another one: {version}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, tree) = (folder.path(), folder.path().join("tree"));
    make_tree(&tree);
    let mut streams: Vec<_> = GNU_TAR
        .iter()
        .map(|options| {
            let mut command = Command::new("tar");
            command.current_dir(folder).args(options.split(' '));
            run(command.args(["-C", "tree", "-cf", "made.tar", "."]));
            let stream = std::fs::read(folder.join("made.tar")).expect("an archive");
            (format!("tar {options}"), stream)
        })
        .collect();
    let script = "import tarfile
for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    with tarfile.open(str(format), 'w', format=format) as archive:
        keep = lambda m: None if format == tarfile.USTAR_FORMAT and 'long' in m.name else m
        archive.add('tree', '.', filter=keep)";
    run(Command::new("python3").current_dir(folder).args(["-c", script]));
    for format in ["0", "1", "2"] {
        let stream = std::fs::read(folder.join(format)).expect("an archive");
        streams.push((format!("tarfile {format}"), stream));
    }
    streams
}

/// Files of every kind that an archive may have something special for.
fn make_tree(tree: &Path) {
    let deep = tree.join("long").join("directory/".repeat(30));
    std::fs::create_dir_all(&deep).expect("folders");
    std::fs::write(deep.join("file"), "deep").expect("a file");
    std::fs::write(tree.join("caf\u{e9}"), "text").expect("a file");
    std::fs::hard_link(tree.join("caf\u{e9}"), tree.join("hard")).expect("a link");
    std::os::unix::fs::symlink("caf\u{e9}", tree.join("soft")).expect("a link");
    std::os::unix::fs::symlink("directory/".repeat(30), tree.join("long-soft")).expect("a link");
    for (name, runs) in [("hole", 0), ("few", 3), ("many", 60)] {
        let file = std::fs::File::create(tree.join(name)).expect("a file");
        file.set_len(runs * 50_000 + 9000).expect("a hole");
        for run in 0..runs {
            file.write_all_at(b"content", run * 50_000 + 7).expect("content");
        }
    }
}

/// The archives with which Python tests its own reader, where they are installed.
fn python_testdata() -> Vec<(String, Vec<u8>)> {
    let folder = run(Command::new("python3").args([
        "-c",
        "import os, sysconfig; print(os.path.join(sysconfig.get_paths()['stdlib'], 'test'))",
    ]));
    let folder = Path::new(folder.trim());
    let files = ["testtar.tar", "recursion.tar"];
    let places = files
        .iter()
        .flat_map(|file| [folder.join(file), folder.join("archivetestdata").join(file)]);
    let found: Vec<_> = places
        .filter_map(|path| Some((path.display().to_string(), std::fs::read(path).ok()?)))
        .collect();
    if found.is_empty() {
        println!(
            "this Python comes without its test archives; install the package of its test suite to compare them"
        );
    }
    found
}
