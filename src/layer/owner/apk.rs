//! Alpine's apk: one file of paragraphs, one for each package. *Source*: apk-installed(5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::content::first;
use super::{Notes, Owner, Promise, System, is_open_licence};

/// Reads lines of a letter and a value: `P:` and `V:` name a package, `L:` its licence, `F:` a folder, `R:` a file in it, `Z:` the hash
/// of that file, which a folder's access line or the next file may not have.
pub(super) fn read(bytes: &[u8], notes: &mut Notes<'_>) {
    let mut name: &[u8] = b"";
    let mut folder: &[u8] = b"";
    let mut file: Option<&[u8]> = None;
    let mut version: &[u8] = b"";
    let mut is_open = false;
    let mut is_noted = false;
    let lines = bytes.split(|byte| *byte == b'\n').chain([&b""[..]]);
    for line in lines {
        let (letter, value) = match line {
            [letter, b':', value @ ..] => (*letter, value),
            _ => (0, &b""[..]),
        };
        // A file ends where the next line is none of its own.
        if !matches!(letter, b'a' | b'Z')
            && let Some(file) = file.take()
        {
            notes.file(&[folder, b"/", file].concat(), Promise::Any);
        }
        match letter {
            0 => (name, version, folder, is_open, is_noted) = (b"", b"", b"", false, false),
            b'P' => name = value,
            b'L' => is_open = is_open_licence(value),
            b'V' => version = value,
            b'F' => folder = value,
            b'R' => {
                if !is_noted {
                    notes.package(Owner {
                        system: System::Apk,
                        name: name.to_vec(),
                        version: version.to_vec(),
                        is_open,
                        notes: Vec::new(),
                    });
                    is_noted = true;
                }
                file = Some(value);
            }
            b'Z' => {
                if let Some(file) = file.take() {
                    notes.file(&[folder, b"/", file].concat(), promise(value));
                }
            }
            _ => {}
        }
    }
}

/// `Q1` and base64 of a SHA-1, `Q2` and base64 of a SHA-256.
fn promise(value: &[u8]) -> Promise {
    let decoded = |digits: &[u8], length: usize| {
        let bytes = STANDARD.decode(digits).ok()?;
        (bytes.len() == length).then(|| first(&bytes))
    };
    let promise = match value {
        [b'Q', b'1', digits @ ..] => decoded(digits, 20).map(Promise::Sha1),
        [b'Q', b'2', digits @ ..] => decoded(digits, 32).map(Promise::Sha256),
        _ => None,
    };
    promise.unwrap_or(Promise::Any)
}
