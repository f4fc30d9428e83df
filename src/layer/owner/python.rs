//! Python distributions: `RECORD` of a `.dist-info`, and the older `installed-files.txt` of an `.egg-info`, which has
//! no hashes. *Source*: PyPA, "Recording installed projects".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::content::first;
use super::{Notes, Owner, Promise, System, is_open_licence};

/// One line a file: path, hash, size, as CSV. Compiled modules and `RECORD` itself have no hash; nothing is said of
/// them.
pub(super) fn read_record(path: &[u8], bytes: &[u8], notes: &mut Notes<'_>) {
    notes.package(owner(path, b".dist-info"));
    for line in bytes.split(|byte| *byte == b'\n') {
        // From the right: only a path can have commas.
        let line = line.trim_ascii_end();
        let mut fields = line.rsplitn(3, |byte| *byte == b',');
        let (_size, hash, file) = (fields.next(), fields.next(), fields.next());
        let (Some(hash), Some(file)) = (hash, file) else {
            continue;
        };
        if hash.is_empty() {
            continue;
        }
        let promise = hash
            .strip_prefix(b"sha256=")
            .and_then(|digits| URL_SAFE_NO_PAD.decode(digits).ok())
            .filter(|digest| digest.len() == 32)
            .map_or(Promise::Any, |digest| Promise::Sha256(first(&digest)));
        let file = unquoted(file);
        notes.file(&file, promise);
        // `pip install --target` moves what belongs beside the folder of distributions into it, and lets the record be.
        let mut beside = &file[..];
        while let Some(inner) = beside.strip_prefix(b"../") {
            beside = inner;
        }
        if beside.len() < file.len() && promise != Promise::Any {
            notes.file(beside, promise);
        }
    }
}

/// One path a line, from the folder of the list.
pub(super) fn read_egg(path: &[u8], bytes: &[u8], notes: &mut Notes<'_>) {
    notes.package(owner(path, b".egg-info"));
    for line in bytes.split(|byte| *byte == b'\n') {
        let file = line.trim_ascii();
        if !file.is_empty() && !file.ends_with(b".pyc") {
            let below = [&b"/"[..], file].concat();
            notes.file(&below, Promise::Any);
        }
    }
}

/// Whether the fields of a `METADATA` name an open licence. *Source*: PyPA, "Core metadata specifications".
pub(super) fn is_open(bytes: &[u8]) -> bool {
    let fields = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
        // What follows the empty line is a description.
        .take_while(|line| !line.is_empty());
    let mut is_open = false;
    for field in fields {
        if field.starts_with(b"Classifier: Private ::")
            || field == b"Classifier: License :: Other/Proprietary License"
        {
            return false;
        }
        let licence = field
            .strip_prefix(b"License-Expression: ")
            .or_else(|| field.strip_prefix(b"License: "))
            .or_else(|| field.strip_prefix(b"Classifier: License :: OSI Approved"));
        is_open |= licence.is_some_and(|licence| licence.is_empty() || is_open_licence(licence));
    }
    is_open
}

/// The distribution by the folder of its notes: `twisted-24.3.0.dist-info`.
fn owner(path: &[u8], ending: &[u8]) -> Owner {
    let notes = &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)];
    let folder = notes.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let folder = folder.strip_suffix(ending).unwrap_or(folder);
    let mut words = folder.splitn(3, |byte| *byte == b'-');
    Owner {
        system: System::Python,
        name: words.next().unwrap_or_default().to_vec(),
        version: words.next().unwrap_or_default().to_vec(),
        is_open: false,
        notes: notes.to_vec(),
    }
}

fn unquoted(field: &[u8]) -> Vec<u8> {
    match field {
        [b'"', inner @ .., b'"'] => {
            let mut plain = Vec::with_capacity(inner.len());
            let mut bytes = inner.iter().copied();
            while let Some(byte) = bytes.next() {
                plain.push(byte);
                if byte == b'"' {
                    bytes.next();
                }
            }
            plain
        }
        field => field.to_vec(),
    }
}
