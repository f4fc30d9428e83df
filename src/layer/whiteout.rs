//! Tells whiteouts from the names of members. *Source*: image-spec `layer.md#whiteouts`.

use crate::tar::{Entry, EntryKind};

/// What a member does to the layers below its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Puts itself in its place.
    Entry,
    /// A bare `.wh.`, or a name reserved for the storage driver (`.wh..wh.…`): no effect.
    Ignored,
    /// Hides everything below its directory that comes from lower layers.
    Opaque,
    /// Hides this name in its directory, and everything below it, where it comes from lower layers.
    Whiteout(Vec<u8>),
}

/// What `entry` does.
///
/// Two forms are known: the names image-spec gives (`.wh.NAME`, `.wh..wh..opq`), and overlayfs' character device 0/0
/// under the name itself, which some builders write into layers.
pub fn mark(entry: &Entry) -> Mark {
    if entry.kind == (EntryKind::Character { zero: true }) {
        return Mark::Whiteout(entry.path.as_bytes().to_vec());
    }
    let name = entry.path.file_name();
    let Some(hidden) = name.strip_prefix(b".wh.") else {
        return Mark::Entry;
    };
    match hidden {
        b".wh..opq" => Mark::Opaque,
        // `.wh...` and `.wh....` would hide `.` and `..`: the directory itself and its parent.
        b"" | b"." | b".." => Mark::Ignored,
        hidden if hidden.starts_with(b".wh.") => Mark::Ignored,
        hidden => {
            let path = entry.path.as_bytes();
            let mut target = path[..path.len() - name.len()].to_vec();
            target.extend_from_slice(hidden);
            Mark::Whiteout(target)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::EntryPath;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry {
            path: EntryPath::normalise(path.as_bytes()),
            kind,
            link: Vec::new(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            size: 0,
            offset: 0,
        }
    }

    #[test]
    fn names_with_the_prefix_hide_their_namesake_and_reserved_ones_hide_nothing() {
        let whiteout = |path: &str| Mark::Whiteout(path.as_bytes().to_vec());
        for (path, expected) in [
            ("a/.wh.b", whiteout("a/b")),
            (".wh.b", whiteout("b")),
            ("./a/.wh.b.txt", whiteout("a/b.txt")),
            ("a/.wh..wh..opq", Mark::Opaque),
            (".wh..wh..opq", Mark::Opaque),
            ("a/.wh.", Mark::Ignored),
            ("a/.wh..", Mark::Ignored),
            ("a/.wh...", Mark::Ignored),
            ("a/.wh..wh.plnk", Mark::Ignored),
            ("a/b.wh.c", Mark::Entry),
            ("a/.whb", Mark::Entry),
        ] {
            assert_eq!(mark(&entry(path, EntryKind::File)), expected, "{path}");
        }
    }

    #[test]
    fn an_overlayfs_character_device_hides_its_own_name() {
        assert_eq!(
            mark(&entry("a/b", EntryKind::Character { zero: true })),
            Mark::Whiteout(b"a/b".to_vec())
        );
        assert_eq!(
            mark(&entry("a/b", EntryKind::Character { zero: false })),
            Mark::Entry
        );
    }
}
