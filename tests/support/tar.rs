//! Tar archives byte by byte: members as a tool would write them, and any byte of them changed. Does not read
//! archives and refuses nothing.

use std::borrow::Cow;

/// One member: a header block and what follows it, padded to whole blocks.
#[derive(Clone)]
pub struct Member {
    name: Vec<u8>,
    link: Vec<u8>,
    header: ::tar::Header,
    body: Vec<u8>,
    records: Vec<(String, Vec<u8>)>,
    patches: Vec<(usize, Vec<u8>)>,
    keeps_checksum: bool,
    /// Instead of all of the above.
    verbatim: Option<Vec<u8>>,
}

/// A regular file of mode 0644 that belongs to root and was modified in 2024.
pub fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Member {
    member(b'0', path, content)
}

/// A directory.
pub fn directory(path: &str) -> Member {
    member(b'5', format!("{}/", path.trim_end_matches('/')), "").mode(0o755)
}

/// The whiteout of a file or directory: `.wh.` before its last component (image-spec `layer.md#whiteouts`).
pub fn whiteout(path: &str) -> Member {
    match path.rsplit_once('/') {
        Some((parent, name)) => file(format!("{parent}/.wh.{name}"), ""),
        None => file(format!(".wh.{path}"), ""),
    }
}

/// The opaque marker of a directory: nothing below it in lower layers is left. `""` is the root.
pub fn opaque(directory: &str) -> Member {
    match directory.trim_end_matches('/') {
        "" => file(".wh..wh..opq", ""),
        directory => file(format!("{directory}/.wh..wh..opq"), ""),
    }
}

/// A symbolic link.
pub fn symlink(path: &str, target: &str) -> Member {
    member(b'2', path, "").mode(0o777).link(target)
}

/// A hard link.
pub fn hard_link(path: &str, target: &str) -> Member {
    member(b'1', path, "").link(target)
}

/// A member of any type. `path` and `content` are taken as they are.
pub fn member(kind: u8, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Member {
    let content = content.as_ref();
    let mut header = ::tar::Header::new_ustar();
    header.set_entry_type(::tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_704_067_200);
    header.set_size(content.len() as u64);
    Member {
        name: path.as_ref().to_vec(),
        link: Vec::new(),
        header,
        body: content.to_vec(),
        records: Vec::new(),
        patches: Vec::new(),
        keeps_checksum: false,
        verbatim: None,
    }
}

/// Any bytes between two members. No padding is added.
pub fn verbatim(bytes: impl Into<Vec<u8>>) -> Member {
    let mut member = file("", "");
    member.verbatim = Some(bytes.into());
    member
}

impl Member {
    /// Permission bits.
    pub fn mode(mut self, mode: u32) -> Self {
        self.header.set_mode(mode);
        self
    }

    /// User and group.
    pub fn owner(mut self, user: u64, group: u64) -> Self {
        self.header.set_uid(user);
        self.header.set_gid(group);
        self
    }

    /// Time of modification, in seconds since 1970.
    pub fn mtime(mut self, seconds: u64) -> Self {
        self.header.set_mtime(seconds);
        self
    }

    /// Where a link points.
    pub fn link(mut self, target: impl AsRef<[u8]>) -> Self {
        self.link = target.as_ref().to_vec();
        self
    }

    /// What the header says the size is, whatever follows.
    pub fn claim_size(mut self, bytes: u64) -> Self {
        self.header.set_size(bytes);
        self
    }

    /// A PAX record, in an extended header before this member.
    pub fn record(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.records.push((key.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Bytes written over the header at `offset`, last of all; the checksum is computed after them.
    pub fn patch(mut self, offset: usize, bytes: impl Into<Vec<u8>>) -> Self {
        self.patches.push((offset, bytes.into()));
        self
    }

    /// Leaves the checksum as `patch` made it.
    pub fn keep_checksum(mut self) -> Self {
        self.keeps_checksum = true;
        self
    }

    /// The member as it stands in an archive. Names over 100 bytes become PAX records.
    pub fn bytes(&self) -> Vec<u8> {
        if let Some(bytes) = &self.verbatim {
            return bytes.clone();
        }
        let mut records = Cow::Borrowed(&self.records);
        for (key, value) in [("path", &self.name), ("linkpath", &self.link)] {
            if value.len() > 100 {
                records.to_mut().push((key.to_owned(), value.clone()));
            }
        }
        let mut bytes = Vec::new();
        if !records.is_empty() {
            let body: Vec<u8> = records
                .iter()
                .flat_map(|(key, value)| record(key, value))
                .collect();
            bytes.extend(member(b'x', "PaxHeaders.0/member", body).bytes());
        }
        let mut header = self.header.clone();
        let block = header.as_mut_bytes();
        for (field, text) in [(0, &self.name), (157, &self.link)] {
            let length = text.len().min(100);
            block[field..field + length].copy_from_slice(&text[..length]);
        }
        for (offset, patch) in &self.patches {
            block[*offset..offset + patch.len()].copy_from_slice(patch);
        }
        if !self.keeps_checksum {
            header.set_cksum();
        }
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// An archive of these members, with the two zero blocks that end it.
pub fn archive<'a>(members: impl IntoIterator<Item = &'a Member>) -> Vec<u8> {
    let mut bytes: Vec<u8> = members.into_iter().flat_map(Member::bytes).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself (POSIX pax, extended header).
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}
