//! RPM: one binary header for each package, kept in SQLite (`rpmdb.sqlite`), in a file of its own kind on SUSE
//! (`Packages.db`), or until 2020 in Berkeley DB (`Packages`). Verifies no signature of a header. *Source*: rpm,
//! documentation of the header format.

mod berkeley;
mod ndb;

use crate::content::sqlite;

use super::content::first;
use super::{Notes, Owner, Promise, System, is_open_licence};

/// Reads the packages of a database of any of the three kinds; what it is shows in its first bytes.
pub(super) fn read(bytes: &[u8], notes: &mut Notes<'_>) {
    let visit = &mut |header: &[u8]| read_header(header, notes);
    sqlite::blobs(bytes, b"Packages", visit);
    ndb::blobs(bytes, visit);
    berkeley::values(bytes, visit);
}

/// Notes the files of one package that have a hash: folders, links and files that come to be when it runs have none.
fn read_header(bytes: &[u8], notes: &mut Notes<'_>) {
    let Some(header) = Header::new(bytes) else { return };
    let promise: fn(&[u8]) -> Option<Promise> = match header.number(FILE_DIGEST_ALGORITHM).unwrap_or(1) {
        1 => |digest| (digest.len() == 16).then(|| Promise::Md5(first(digest))),
        2 => |digest| (digest.len() == 20).then(|| Promise::Sha1(first(digest))),
        8 => |digest| (digest.len() == 32).then(|| Promise::Sha256(first(digest))),
        _ => return,
    };
    let text = |tag| header.texts(tag).next().unwrap_or_default();
    let (version, release) = (text(VERSION), text(RELEASE));
    notes.package(Owner {
        system: System::Rpm,
        name: text(NAME).to_vec(),
        version: match release {
            b"" => version.to_vec(),
            release => [version, b"-", release].concat(),
        },
        is_open: is_open_licence(text(LICENCE)),
        notes: Vec::new(),
    });
    let folders: Vec<&[u8]> = header.texts(FOLDER_NAMES).collect();
    let files = header
        .texts(BASE_NAMES)
        .zip(header.numbers(FOLDER_INDEXES))
        .zip(header.texts(FILE_DIGESTS));
    for ((name, folder), digest) in files {
        if let Some(folder) = folders.get(folder as usize)
            && let Some(promise) = unhex(digest).and_then(|digest| promise(&digest))
        {
            let folder = folder.strip_prefix(b"/").unwrap_or(folder);
            notes.file(&[folder, name].concat(), promise);
        }
    }
}

/// The index of a header and what it points into.
struct Header<'h> {
    index: &'h [u8],
    store: &'h [u8],
}

impl<'h> Header<'h> {
    fn new(bytes: &'h [u8]) -> Option<Self> {
        let (entries, rest) = bytes.split_first_chunk::<4>()?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let entries = (u32::from_be_bytes(*entries) as usize).checked_mul(16)?;
        let (index, store) = rest.split_at_checked(entries)?;
        let store = store.get(..u32::from_be_bytes(*size) as usize)?;
        Some(Self { index, store })
    }

    /// Where the values of a tag begin, if they are of this type, and how many there are.
    fn values(&self, tag: u32, types: &[u32]) -> (&'h [u8], usize) {
        for entry in self.index.chunks_exact(16) {
            let field = |from: usize| {
                entry[from..]
                    .first_chunk()
                    .map_or(0, |word| u32::from_be_bytes(*word))
            };
            if field(0) == tag && types.contains(&field(4)) {
                let values = self.store.get(field(8) as usize..).unwrap_or_default();
                return (values, field(12) as usize);
            }
        }
        (&[], 0)
    }

    fn texts(&self, tag: u32) -> impl Iterator<Item = &'h [u8]> + use<'h> {
        let (values, count) = self.values(tag, &[STRING, STRING_ARRAY]);
        values.split(|byte| *byte == 0).take(count)
    }

    fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> + use<'h> {
        let (values, count) = self.values(tag, &[INT32]);
        let words = values.as_chunks::<4>().0.iter();
        words.map(|word| u32::from_be_bytes(*word)).take(count)
    }

    fn number(&self, tag: u32) -> Option<u32> {
        self.numbers(tag).next()
    }
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8))
        .collect()
}

const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const LICENCE: u32 = 1014;
const FILE_DIGESTS: u32 = 1035;
const FOLDER_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const FOLDER_NAMES: u32 = 1118;
const FILE_DIGEST_ALGORITHM: u32 = 5011;
