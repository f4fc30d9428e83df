//! Tells whiteouts from the names of members. *Source*: image-spec `layer.md#whiteouts`.

use crate::tar::{Entry, EntryKind, OverlayMark};

const PREFIX: &[u8] = b".wh.";

/// What a member does to the layers below its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing but what it puts in its place, if anything.
    None,
    /// Hides everything that lower layers have in its directory; in itself, where it is a directory that is shown.
    Opaque,
    /// Hides this path, and everything below it, where it comes from lower layers.
    Whiteout(Vec<u8>),
}

/// What a member does, as far as its path does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Puts itself in its place.
    None,
    /// A bare `.wh.`, or a name reserved for the storage driver (`.wh..wh.…`): no effect.
    Nothing,
    /// `.wh..wh..opq`.
    Opaque,
    /// A directory that hides what lower layers have in it.
    OpaqueSelf,
    /// `.wh.NAME`.
    Whiteout,
    /// What hides its own name.
    WhiteoutSelf,
}

/// What `entry` does.
///
/// Three forms are known: the names image-spec gives (`.wh.NAME`, `.wh..wh..opq`), and those of overlayfs, which some
/// builders write into layers: a character device 0/0 under the name itself, and extended attributes on a directory or
/// an empty file. *Source*: Linux `filesystems/overlayfs.rst`, "whiteouts and opaque directories".
pub(super) fn effect(entry: &Entry) -> Effect {
    match (entry.kind, entry.overlay) {
        (EntryKind::Character { zero: true }, _) => return Effect::WhiteoutSelf,
        (EntryKind::File, Some(OverlayMark::Whiteout)) if entry.size == 0 => return Effect::WhiteoutSelf,
        (EntryKind::Directory, Some(OverlayMark::Opaque)) => return Effect::OpaqueSelf,
        _ => {}
    }
    match entry.path.file_name().strip_prefix(PREFIX) {
        None => Effect::None,
        Some(b".wh..opq") => Effect::Opaque,
        // `.wh...` and `.wh....` would hide `.` and `..`: the directory itself and its parent.
        Some(b"" | b"." | b"..") => Effect::Nothing,
        Some(hidden) if hidden.starts_with(PREFIX) => Effect::Nothing,
        Some(_) => Effect::Whiteout,
    }
}

/// What a member of this path and effect hides.
pub(super) fn mark(effect: Effect, path: &[u8]) -> Mark {
    let name = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    match effect {
        Effect::None | Effect::Nothing => Mark::None,
        Effect::Opaque | Effect::OpaqueSelf => Mark::Opaque,
        Effect::Whiteout => {
            let hidden = path[name..].strip_prefix(PREFIX).unwrap_or(&path[name..]);
            Mark::Whiteout([&path[..name], hidden].concat())
        }
        Effect::WhiteoutSelf => Mark::Whiteout(path.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::EntryPath;

    fn entry(path: &str, kind: EntryKind, overlay: Option<OverlayMark>, size: u64) -> Entry {
        Entry {
            path: EntryPath::normalise(path.as_bytes()),
            kind,
            link: Vec::new(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            size,
            offset: 0,
            overlay,
        }
    }

    fn done(entry: &Entry) -> (bool, Mark) {
        let effect = effect(entry);
        let is_shown = matches!(effect, Effect::None | Effect::OpaqueSelf);
        (is_shown, mark(effect, entry.path.as_bytes()))
    }

    #[test]
    fn names_with_the_prefix_hide_their_namesake_and_reserved_ones_hide_nothing() {
        let whiteout = |path: &str| (false, Mark::Whiteout(path.as_bytes().to_vec()));
        for (path, expected) in [
            ("a/.wh.b", whiteout("a/b")),
            (".wh.b", whiteout("b")),
            ("./a/.wh.b.txt", whiteout("a/b.txt")),
            ("a/.wh..wh..opq", (false, Mark::Opaque)),
            (".wh..wh..opq", (false, Mark::Opaque)),
            ("a/.wh.", (false, Mark::None)),
            ("a/.wh..", (false, Mark::None)),
            ("a/.wh...", (false, Mark::None)),
            ("a/.wh..wh.plnk", (false, Mark::None)),
            ("a/b.wh.c", (true, Mark::None)),
            ("a/.whb", (true, Mark::None)),
        ] {
            assert_eq!(done(&entry(path, EntryKind::File, None, 0)), expected, "{path}");
        }
    }

    #[test]
    fn an_overlayfs_character_device_hides_its_own_name() {
        let device = |zero| done(&entry("a/b", EntryKind::Character { zero }, None, 0));
        assert_eq!(device(true), (false, Mark::Whiteout(b"a/b".to_vec())));
        assert_eq!(device(false), (true, Mark::None));
    }

    #[test]
    fn overlayfs_attributes_count_on_directories_and_on_empty_files_alone() {
        use OverlayMark::{Opaque, Whiteout};
        let (file, directory) = (EntryKind::File, EntryKind::Directory);
        let path = || b"a/b".to_vec();
        for (kind, overlay, size, expected) in [
            (directory, Opaque, 0, (true, Mark::Opaque)),
            (directory, Whiteout, 0, (true, Mark::None)),
            (file, Opaque, 0, (true, Mark::None)),
            (file, Whiteout, 0, (false, Mark::Whiteout(path()))),
            (file, Whiteout, 1, (true, Mark::None)),
        ] {
            let found = done(&entry("a/b", kind, Some(overlay), size));
            assert_eq!(found, expected, "{kind:?} {overlay:?} {size}");
        }
    }
}
