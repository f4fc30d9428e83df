//! Paths of members: turns a name as an archive gives it into a path inside a virtual root. Does not look at
//! symbolic links; [`crate::resolve`] does.

/// A path inside an image: no leading slash, no `.` or empty component, `..` resolved without leaving the root.
/// The root itself is empty. Bytes, not text: names in archives have no encoding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryPath(Vec<u8>);

impl EntryPath {
    /// Normalises a name as an archive gives it. Costs one allocation, whatever the depth.
    pub fn normalise(name: &[u8]) -> Self {
        Self::normalise_joined(b"", name)
    }

    /// Normalises `prefix/name`, or `name` alone where the prefix is empty.
    pub(super) fn normalise_joined(prefix: &[u8], name: &[u8]) -> Self {
        let mut path = Vec::with_capacity(prefix.len() + 1 + name.len());
        for part in prefix.split(is_slash).chain(name.split(is_slash)) {
            match part {
                b"" | b"." => {}
                b".." => path.truncate(path.iter().rposition(is_slash).unwrap_or(0)),
                part => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(part);
                }
            }
        }
        Self(path)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory above; `None` for the root.
    pub fn parent(&self) -> Option<EntryPath> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().rposition(is_slash).unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The last component; empty for the root.
    pub fn file_name(&self) -> &[u8] {
        let start = self.0.iter().rposition(is_slash).map_or(0, |slash| slash + 1);
        &self.0[start..]
    }
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalised(name: &[u8]) -> Vec<u8> {
        EntryPath::normalise(name).as_bytes().to_vec()
    }

    #[test]
    fn names_are_normalised_inside_the_root() {
        for (name, path) in [
            (&b""[..], &b""[..]),
            (b"/", b""),
            (b"./", b""),
            (b"a", b"a"),
            (b"./a", b"a"),
            (b"/a/b/", b"a/b"),
            (b"a//b/./c", b"a/b/c"),
            (b"a/../b", b"b"),
            (b"a/b/../../../c", b"c"),
            (b"../../etc/passwd", b"etc/passwd"),
            (b"..", b""),
            (b"...", b"..."),
            (b"a/.wh..wh..opq", b"a/.wh..wh..opq"),
            (b"\xff/\xfe", b"\xff/\xfe"),
        ] {
            assert_eq!(normalised(name), path, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_prefix_is_joined_with_one_slash() {
        assert_eq!(EntryPath::normalise_joined(b"a/b", b"c").as_bytes(), b"a/b/c");
        assert_eq!(EntryPath::normalise_joined(b"a/b", b"../c").as_bytes(), b"a/c");
        assert_eq!(EntryPath::normalise_joined(b"", b"c").as_bytes(), b"c");
    }

    #[test]
    fn parent_and_file_name_split_at_the_last_slash() {
        let path = EntryPath::normalise(b"a/b/c");
        assert_eq!(path.file_name(), b"c");
        let parent = path.parent().unwrap();
        assert_eq!(parent.as_bytes(), b"a/b");
        assert!(parent.parent().unwrap().parent().unwrap().is_root());
        assert_eq!(EntryPath::default().parent(), None);
    }

    proptest! {
        #[test]
        fn a_path_never_leaves_the_root(name in "[a./\\\\]{0,40}", prefix in "[a./]{0,20}") {
            let path = EntryPath::normalise_joined(prefix.as_bytes(), name.as_bytes());
            if !path.is_root() {
                for part in path.as_bytes().split(|byte| *byte == b'/') {
                    prop_assert!(!matches!(part, b"" | b"." | b".."));
                }
            }
            prop_assert_eq!(EntryPath::normalise(path.as_bytes()), path);
        }

        #[test]
        fn normalising_agrees_with_a_stack_of_components(name in "[ab./]{0,40}") {
            let mut parts: Vec<&str> = Vec::new();
            for part in name.split('/') {
                match part {
                    "" | "." => {}
                    ".." => { parts.pop(); }
                    part => parts.push(part),
                }
            }
            prop_assert_eq!(normalised(name.as_bytes()), parts.join("/").into_bytes());
        }
    }
}
