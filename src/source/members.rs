//! The members of an outer archive, one after the other, from a file or a stream: where each body lies, and the
//! links among names. Frames by Go's rules like every other reader of tar here; does not know what an image is.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek};

use crate::limits::Limits;
use crate::tar::{Entry, EntryKind, Framer, Oddity, Region, RegionKind, Sink};

/// One member of an outer archive.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) entry: Entry,
    /// Where its body begins in the archive.
    pub(super) offset: u64,
    /// Whether the body is the file: not so for sparse members.
    pub(super) is_whole: bool,
}

impl Member {
    pub(super) fn is_file(&self) -> bool {
        self.entry.kind == EntryKind::File
    }
}

/// Reads an archive member by member.
pub(super) struct Members<R> {
    input: R,
    /// Passes over bytes of the input that nobody wants; returns how many there were.
    skip: fn(&mut R, u64) -> io::Result<u64>,
    framer: Option<Framer>,
    found: Found,
    position: u64,
    /// The first byte of the present body: the framer tells a body only when it sees it.
    first: Option<u8>,
    /// What is left of the present body, the first byte not counted.
    left: u64,
    is_tar: bool,
}

/// What the framer told last.
#[derive(Default)]
struct Found {
    entry: Option<Entry>,
    /// The first region after the entry.
    region: Option<Region>,
    oddities: Vec<Oddity>,
}

impl Sink for Found {
    fn region(&mut self, region: Region) {
        if self.region.is_none() && self.entry.is_some() {
            self.region = Some(region);
        }
    }
    fn entry(&mut self, _: u32, entry: Entry) {
        self.entry = Some(entry);
        self.region = None;
    }
    fn oddity(&mut self, oddity: Oddity, _: u64) {
        if !self.oddities.contains(&oddity) {
            self.oddities.push(oddity);
        }
    }
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(input: R, skip: fn(&mut R, u64) -> io::Result<u64>, limits: &Limits) -> Self {
        Self {
            input,
            skip,
            framer: Some(Framer::new(limits)),
            found: Found::default(),
            position: 0,
            first: None,
            left: 0,
            is_tar: true,
        }
    }

    /// The next member; what was not read of the body before is passed over. `None` at the end.
    ///
    /// *Errors*: those of the input. An archive that ends within a member is none: see [`Self::is_truncated`].
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        self.pass_over_body()?;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(self.finish());
            }
            // A body begins with a block, and must be noticed before any more of it is taken.
            let until_block = BLOCK - self.position % BLOCK;
            let wanted = if until_block == BLOCK { 1 } else { until_block };
            let count = available.len().min(wanted as usize);
            let first = available[0];
            let Some(framer) = &mut self.framer else {
                return Ok(None);
            };
            framer.push(&available[..count], &mut self.found);
            self.input.consume(count);
            self.position += count as u64;
            if let Some(member) = self.member(first) {
                return Ok(Some(member));
            }
        }
    }

    /// The member that the bytes pushed so far complete, if they do.
    fn member(&mut self, first: u8) -> Option<Member> {
        let entry = self.found.entry.as_ref()?;
        let has_body = entry.kind == EntryKind::File && entry.size > 0;
        let region = self.found.region.as_ref();
        if has_body && region.is_none() {
            return None;
        }
        let body =
            region.filter(|region| has_body && region.kind == RegionKind::Body && region.file_offset == 0);
        let body = body.filter(|region| region.span.end - region.span.start == entry.size);
        let is_whole = body.is_some() || !has_body;
        let offset = region.map_or(self.position, |region| region.span.start);
        if body.is_some() {
            self.first = Some(first);
            self.left = entry.size - 1;
        }
        let entry = self.found.entry.take()?;
        self.found.region = None;
        Some(Member {
            entry,
            offset,
            is_whole,
        })
    }

    /// Reads on in the body of the member that came last.
    ///
    /// *Errors*: `UnexpectedEof` where the archive ends before the body.
    pub(super) fn read_body(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(slot) = out.first_mut() else {
            return Ok(0);
        };
        if let Some(first) = self.first.take() {
            *slot = first;
            return Ok(1);
        }
        if self.left == 0 {
            return Ok(0);
        }
        let room = usize::try_from(self.left).map_or(out.len(), |left| out.len().min(left));
        let count = self.input.read(&mut out[..room])?;
        if count == 0 {
            self.left = 0;
            return Err(ends_within());
        }
        self.advance(count as u64);
        Ok(count)
    }

    /// The first byte of the present body, where nothing of it was read yet.
    pub(super) fn first_byte(&self) -> Option<u8> {
        self.first
    }

    fn pass_over_body(&mut self) -> io::Result<()> {
        self.first = None;
        let skipped = (self.skip)(&mut self.input, self.left)?;
        self.advance(skipped.min(self.left));
        self.left = 0;
        Ok(())
    }

    /// Moves the framer over bytes of a body. It does not look at them, so zeros stand for them.
    fn advance(&mut self, count: u64) {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        self.left -= count;
        self.position += count;
        let mut ahead = count;
        while ahead > 0 {
            let piece = ahead.min(ZEROS.len() as u64);
            if let Some(framer) = &mut self.framer {
                framer.push(&ZEROS[..piece as usize], &mut self.found);
            }
            ahead -= piece;
        }
    }

    /// Ends the archive. The last member comes now if its body never did.
    fn finish(&mut self) -> Option<Member> {
        if let Some(framer) = self.framer.take() {
            self.is_tar = framer.finish(&mut self.found).is_tar;
        }
        let entry = self.found.entry.take()?;
        Some(Member {
            offset: self.position,
            is_whole: entry.size == 0,
            entry,
        })
    }

    /// Whether the input is a tar archive. Known at its end.
    pub(super) fn is_tar(&self) -> bool {
        self.is_tar
    }

    /// Whether there was nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.position == 0
    }

    /// Whether the archive ended within a member.
    pub(super) fn is_truncated(&self) -> bool {
        self.found.oddities.contains(&Oddity::Truncated)
    }

    /// Whether a header could not be read, so that members may have been missed.
    pub(super) fn is_damaged(&self) -> bool {
        let lossy = [Oddity::MalformedExtension, Oddity::MalformedHeader];
        lossy.iter().any(|oddity| self.found.oddities.contains(oddity))
    }
}

/// The error of a body that the archive ends before.
pub(super) fn ends_within() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the archive ends within this member",
    )
}

/// Passes over bytes of a file by seeking.
pub(super) fn skip_in_file(input: &mut BufReader<std::fs::File>, count: u64) -> io::Result<u64> {
    if count == 0 {
        return Ok(0);
    }
    let left = input
        .get_ref()
        .metadata()?
        .len()
        .saturating_sub(input.stream_position()?);
    let count = count.min(left).min(i64::MAX as u64);
    input.seek_relative(count.cast_signed())?;
    Ok(count)
}

/// Passes over bytes of a stream by reading them.
pub(super) fn skip_in_stream<R: Read>(input: &mut R, count: u64) -> io::Result<u64> {
    io::copy(&mut input.take(count), &mut io::sink())
}

/// Whether a file with this first block is an archive.
pub(super) fn begins_archive(block: &[u8], limits: &Limits) -> bool {
    let mut framer = Framer::new(limits);
    framer.push(block, &mut Found::default());
    framer.finish(&mut Found::default()).is_tar
}

/// The names of an archive: files, each with what is known of it, and links to them.
#[derive(Debug)]
pub(super) struct Names<T> {
    held: HashMap<Vec<u8>, Held<T>>,
    /// Names that came more than once; the last one counts, as for whoever unpacks the archive.
    pub(super) duplicates: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Held<T> {
    File(T),
    /// A link, with the path it points at from the root; `None` where it points outside of the archive.
    Link(Option<Vec<u8>>),
}

impl<T> Names<T> {
    pub(super) fn new() -> Self {
        Self {
            held: HashMap::new(),
            duplicates: Vec::new(),
        }
    }

    /// Adds a file.
    pub(super) fn file(&mut self, name: &[u8], known: T) {
        self.put(name, Held::File(known));
    }

    /// Adds what `entry` is, if it is a link.
    pub(super) fn link(&mut self, entry: &Entry) {
        let name = entry.path.as_bytes();
        let from = match entry.kind {
            EntryKind::HardLink => &[][..],
            EntryKind::Symlink => name
                .iter()
                .rposition(|b| *b == b'/')
                .map_or(&[][..], |end| &name[..end]),
            _ => return,
        };
        self.put(name, Held::Link(target(from, &entry.link)));
    }

    fn put(&mut self, name: &[u8], held: Held<T>) {
        // Nobody writes so many names twice; the first ones tell enough.
        const TOLD: usize = 32;
        if self.held.insert(name.to_vec(), held).is_some() && self.duplicates.len() < TOLD {
            self.duplicates.push(name.to_vec());
        }
    }

    /// The name and value of the file that `name` leads to. `None` where it leads nowhere, outside, or in a circle.
    pub(super) fn find(&self, name: &[u8]) -> Option<(&[u8], &T)> {
        // As many as Linux follows.
        const LINKS: usize = 40;
        let mut name = target(&[], name)?;
        for _ in 0..LINKS {
            let (key, held) = self.held.get_key_value(&name)?;
            match held {
                Held::File(known) => return Some((key, known)),
                Held::Link(to) => name = to.clone()?,
            }
        }
        None
    }

    /// The names of all files, sorted.
    pub(super) fn files(&self) -> Vec<&[u8]> {
        let files = self.held.iter().filter(|(_, held)| matches!(held, Held::File(_)));
        let mut names: Vec<&[u8]> = files.map(|(name, _)| name.as_slice()).collect();
        names.sort_unstable();
        names
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name.as_bytes()).is_some()
    }
}

/// `link` seen from the directory `from`, lexically. `None` where it leaves the archive.
fn target(from: &[u8], link: &[u8]) -> Option<Vec<u8>> {
    let from = if link.starts_with(b"/") { &[][..] } else { from };
    let mut parts: Vec<&[u8]> = from
        .split(|b| *b == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    for part in link.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

const BLOCK: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, body) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(body.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *body).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// Names, offsets and bodies, read with buffers of `step` bytes.
    fn read_all(bytes: &[u8], step: usize) -> (Vec<(String, Vec<u8>)>, bool) {
        let input = BufReader::with_capacity(step, bytes);
        let mut members = Members::new(input, skip_in_stream, &Limits::default());
        let mut found = Vec::new();
        while let Some(member) = members.next().unwrap() {
            let mut body = Vec::new();
            let mut piece = vec![0; step];
            while let Ok(count @ 1..) = members.read_body(&mut piece) {
                body.extend_from_slice(&piece[..count]);
            }
            if body.len() as u64 == member.entry.size {
                assert_eq!(bytes[member.offset as usize..][..body.len()], body);
            }
            found.push((
                String::from_utf8(member.entry.path.as_bytes().to_vec()).unwrap(),
                body,
            ));
        }
        (found, members.is_truncated())
    }

    #[test]
    fn members_come_with_their_bodies_however_the_input_is_cut() {
        let long = "d/".repeat(80) + "name";
        let bytes = archive(&[("a", b"1"), (&long, &[7; 1500]), ("empty", b""), ("b", &[1; 512])]);
        for step in [1, 3, 511, 512, 513, 8192] {
            let (found, truncated) = read_all(&bytes, step);
            let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["a", &long, "empty", "b"], "{step}");
            assert_eq!(found[1].1, [7; 1500]);
            assert!(!truncated);
        }
    }

    #[test]
    fn a_body_that_is_not_read_is_passed_over() {
        let bytes = archive(&[("a", &[b'x'; 5000]), ("b", b"2")]);
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), &bytes).unwrap();
        let file = BufReader::new(std::fs::File::open(path.path()).unwrap());
        let mut members = Members::new(file, skip_in_file, &Limits::default());
        let names = std::iter::from_fn(|| members.next().unwrap().map(|member| member.entry.path));
        assert_eq!(
            names.map(|path| path.as_bytes().to_vec()).collect::<Vec<_>>(),
            [b"a", b"b"]
        );
    }

    #[test]
    fn an_archive_that_ends_within_a_member_says_so() {
        let bytes = archive(&[("a", b"1"), ("b", &[2; 2000])]);
        for length in [1024 + 600, 1024 + 512, 1024 + 100] {
            let (found, truncated) = read_all(&bytes[..length], 512);
            assert!(truncated, "{length}");
            assert_eq!(found[0].1, b"1");
        }
    }

    #[test]
    fn what_is_no_archive_is_told() {
        let text = [b'x'; 3000];
        let mut members = Members::new(&text[..], skip_in_stream, &Limits::default());
        assert!(members.next().unwrap().is_none() && !members.is_tar());
    }

    #[test]
    fn links_are_followed_inside_of_the_archive_only() {
        let mut names = Names::new();
        names.file(b"id/layer.tar", 1);
        for (name, kind, link) in [
            ("other/layer.tar", EntryKind::Symlink, "../id/layer.tar"),
            ("hard", EntryKind::HardLink, "id/layer.tar"),
            ("twice", EntryKind::Symlink, "other/layer.tar"),
            ("out", EntryKind::Symlink, "../../etc/passwd"),
            ("x", EntryKind::Symlink, "y"),
            ("y", EntryKind::Symlink, "x"),
            ("dangling", EntryKind::Symlink, "nothing"),
        ] {
            names.link(&Entry {
                path: crate::tar::EntryPath::normalise(name.as_bytes()),
                kind,
                link: link.into(),
                mode: 0,
                uid: 0,
                gid: 0,
                mtime: 0,
                size: 0,
                offset: 0,
                overlay: None,
            });
        }
        for name in [
            "id/layer.tar",
            "./id//layer.tar",
            "other/layer.tar",
            "hard",
            "twice",
        ] {
            assert_eq!(
                names.find(name.as_bytes()),
                Some((&b"id/layer.tar"[..], &1)),
                "{name}"
            );
        }
        for name in ["out", "x", "dangling", "missing", "../id/layer.tar"] {
            assert!(names.find(name.as_bytes()).is_none(), "{name}");
        }
        assert!(names.duplicates.is_empty());
        names.file(b"hard", 2);
        assert_eq!(names.duplicates, [b"hard"]);
    }
}
