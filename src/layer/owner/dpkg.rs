//! Debian's dpkg: `info/PACKAGE.md5sums` for the files of a package, `status` for its configuration files. Distroless
//! images have the former in `status.d`. *Source*: Debian Policy, `md5sums` in the control archive; dpkg(1), status.

use super::content::first;
use super::{Notes, Owner, Promise, System};

/// One line a file: 32 hexadecimal digits, two spaces, the path from the root.
pub(super) fn read_sums(path: &[u8], bytes: &[u8], notes: &mut Notes<'_>) {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let name = name.strip_suffix(b".md5sums").unwrap_or(name);
    // `libc6:amd64`: several architectures of one package can be installed.
    let name = name.split(|byte| *byte == b':').next().unwrap_or_default();
    notes.package(owner(name, b""));
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some((sum, rest)) = line.split_at_checked(32)
            && let Some(md5) = md5(sum)
            && let Some(file) = rest.strip_prefix(b"  ")
        {
            notes.file(file, md5);
        }
    }
}

/// Paragraphs of fields. `Conffiles:` is followed by a line for each: a space, the path, the MD5, perhaps `obsolete`.
pub(super) fn read_status(bytes: &[u8], notes: &mut Notes<'_>) {
    let mut is_conffiles = false;
    let mut name: &[u8] = b"";
    let mut version: &[u8] = b"";
    let mut is_noted = false;
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.first() == Some(&b' ') {
            let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
            if is_conffiles
                && let (Some(path), Some(sum)) = (words.next(), words.next())
                && let Some(md5) = md5(sum)
            {
                if !is_noted {
                    notes.package(owner(name, version));
                    is_noted = true;
                }
                notes.file(path, md5);
            }
            continue;
        }
        is_conffiles = line == b"Conffiles:";
        if let Some(value) = line.strip_prefix(b"Package: ") {
            (name, version, is_noted) = (value, b"", false);
        } else if let Some(value) = line.strip_prefix(b"Version: ") {
            version = value;
        }
    }
}

fn owner(name: &[u8], version: &[u8]) -> Owner {
    Owner {
        system: System::Dpkg,
        name: name.to_vec(),
        version: version.to_vec(),
        is_open: false,
        notes: Vec::new(),
    }
}

fn md5(digits: &[u8]) -> Option<Promise> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    let nibbles: Option<Vec<u8>> = digits.iter().map(digit).collect();
    let nibbles = nibbles.filter(|nibbles| nibbles.len() == 32)?;
    let bytes: Vec<u8> = nibbles.chunks(2).map(|two| two[0] << 4 | two[1]).collect();
    Some(Promise::Md5(first(&bytes)))
}
