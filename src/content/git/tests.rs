//! Packs and loose objects made by hand: as git writes them, and as it never would. The real git is asked in the
//! integration tests.

use std::io::{self, Read, Write as _};

use proptest::prelude::*;

use super::{Kind, Loose, ObjectId, delta, names, open_object, open_pack};
use crate::content::archive::{Members, OpenError, Refusal, Step};
use crate::limits::{LimitHit, Limits};

#[derive(Default)]
struct Kept {
    members: Vec<(String, Vec<u8>)>,
    refused: Vec<(String, &'static str)>,
}

impl Members for Kept {
    fn member(&mut self, step: Step<'_>, content: &mut dyn Read) -> io::Result<()> {
        let (Step::Member(name) | Step::Version(name, _)) = step else {
            panic!("git has members only")
        };
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        self.members
            .push((String::from_utf8_lossy(name).into_owned(), bytes));
        Ok(())
    }

    fn refused(&mut self, name: &[u8], refusal: Refusal) {
        let name = String::from_utf8_lossy(name).into_owned();
        self.refused.push((name, refusal.name()));
    }
}

fn opened(pack: &[u8], limits: &Limits) -> (Kept, Option<&'static str>) {
    let mut kept = Kept::default();
    let refusal = match open_pack(pack, limits, &mut kept) {
        Ok(()) => None,
        Err(OpenError::Refused(refusal)) => Some(refusal.name()),
        Err(OpenError::Content(error)) => panic!("memory can be read: {error}"),
    };
    kept.members.sort();
    (kept, refusal)
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// What the head of an object in a pack says of the base.
enum Head<'h> {
    Id(&'h [u8]),
    None,
    Offset(usize),
}

/// An object of a pack, the size in its head as given.
fn object(code: u8, size: usize, head: &Head<'_>, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![code << 4 | (size & 15) as u8];
    let mut rest = size >> 4;
    while rest > 0 {
        *bytes.last_mut().expect("there is one") |= 0x80;
        bytes.push((rest & 0x7f) as u8);
        rest >>= 7;
    }
    match head {
        Head::Id(id) => bytes.extend(*id),
        Head::None => {}
        Head::Offset(distance) => {
            let mut digits = vec![(distance & 0x7f) as u8];
            let mut rest = distance >> 7;
            while rest > 0 {
                rest -= 1;
                digits.push(0x80 | (rest & 0x7f) as u8);
                rest >>= 7;
            }
            bytes.extend(digits.iter().rev());
        }
    }
    bytes.extend(zlib(content));
    bytes
}

fn plain(code: u8, content: &[u8]) -> Vec<u8> {
    object(code, content.len(), &Head::None, content)
}

fn pack_of(objects: &[Vec<u8>], id_bytes: usize) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend((objects.len() as u32).to_be_bytes());
    pack.extend(objects.concat());
    pack.extend(vec![0; id_bytes]);
    pack
}

fn id(kind: Kind, content: &[u8], id_bytes: usize) -> ObjectId {
    let mut hasher = super::IdHasher::new(id_bytes, kind, content.len() as u64);
    hasher.update(content);
    hasher.finish()
}

fn raw(id: &ObjectId) -> &[u8] {
    &id.bytes[..usize::from(id.length)]
}

/// A delta that keeps all of its base and puts text behind it.
fn longer(base: &[u8], more: &[u8]) -> Vec<u8> {
    assert!(base.len() < 128 && base.len() + more.len() < 128 && more.len() < 128);
    let mut delta = vec![base.len() as u8, (base.len() + more.len()) as u8];
    delta.extend([0x90, base.len() as u8, more.len() as u8]);
    delta.extend(more);
    delta
}

/// A repository of one commit with `etc/app.conf`, of which a delta in the pack is another version that nothing names.
fn repository(id_bytes: usize) -> (Vec<u8>, String, String) {
    let blob = b"key = first\n";
    let blob_id = id(Kind::Blob, blob, id_bytes);
    let inner = [b"100644 app.conf\0", raw(&blob_id)].concat();
    let inner_id = id(Kind::Tree, &inner, id_bytes);
    let root = [b"40000 etc\0", raw(&inner_id)].concat();
    let root_id = id(Kind::Tree, &root, id_bytes);
    let commit = format!("tree {root_id}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nfirst\n");
    let commit_id = id(Kind::Commit, commit.as_bytes(), id_bytes);
    let second = longer(blob, b"key = second\n");
    let third = longer(&[&blob[..], b"key = second\n"].concat(), b"key = third\n");
    let second_id = id(Kind::Blob, &[&blob[..], b"key = second\n"].concat(), id_bytes);
    let base = plain(3, blob);
    let by_offset = object(6, second.len(), &Head::Offset(base.len()), &second);
    let pack = pack_of(
        &[
            // Of a base that comes later.
            object(7, third.len(), &Head::Id(raw(&second_id)), &third),
            plain(1, commit.as_bytes()),
            plain(2, &inner),
            plain(2, &root),
            base,
            by_offset,
        ],
        id_bytes,
    );
    (pack, commit_id.to_string(), second_id.to_string())
}

#[test]
fn objects_and_deltas_are_named_by_commit_and_path_or_by_id() {
    for id_bytes in [20, 32] {
        let (pack, commit, second) = repository(id_bytes);
        let (kept, refusal) = opened(&pack, &Limits::default());
        assert_eq!(refusal, None);
        assert_eq!(kept.refused, []);
        let mut texts: Vec<(&str, String)> = kept
            .members
            .iter()
            .map(|(name, content)| (name.as_str(), String::from_utf8_lossy(content).into_owned()))
            .collect();
        texts.retain(|(name, _)| *name != commit);
        assert_eq!(texts.len(), 3, "{texts:?}");
        let named = format!("{commit}:etc/app.conf");
        assert!(texts.contains(&(&named, "key = first\n".to_owned())), "{texts:?}");
        assert!(texts.contains(&(&second, "key = first\nkey = second\n".to_owned())));
        assert!(texts.iter().any(|(_, text)| text.ends_with("key = third\n")));
    }
}

#[test]
fn a_delta_whose_base_is_elsewhere_or_itself_is_told_and_the_rest_is_read() {
    let delta = longer(b"base", b"more");
    let blob = plain(3, b"text");
    for head in [
        Head::Id(&[7; 20]),
        Head::Offset(0),
        Head::Offset(5),
        Head::Offset(1 << 40),
    ] {
        let code = if matches!(head, Head::Id(_)) { 7 } else { 6 };
        let pack = pack_of(&[object(code, delta.len(), &head, &delta), blob.clone()], 20);
        let (kept, refusal) = opened(&pack, &Limits::default());
        assert_eq!(refusal, None);
        assert_eq!(kept.refused, [("offset 12".to_owned(), "malformed-archive")]);
        assert_eq!(kept.members.len(), 1);
    }
}

#[test]
fn a_size_that_lies_ends_the_pack_and_what_was_before_it_is_read() {
    for size in [0, 3, 5, 1 << 40] {
        let lie = object(3, size, &Head::None, b"text");
        let pack = pack_of(&[plain(3, b"before"), lie, plain(3, b"behind")], 20);
        let (kept, refusal) = opened(&pack, &Limits::default());
        assert_eq!(refusal, Some("malformed-archive"));
        assert_eq!(kept.members.len(), 1);
    }
    let mut pack = pack_of(&[plain(3, b"before")], 20);
    pack[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(opened(&pack, &Limits::default()).1, Some("malformed-archive"));
}

/// Deltas of deltas, each sixteen times its base.
fn bomb() -> Vec<u8> {
    let mut objects = vec![plain(3, &[b'a'; 64])];
    let mut size = 64_usize;
    let number = |value: usize| {
        let mut bytes = vec![];
        let mut rest = value;
        while rest >= 128 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    };
    while size < 1 << 40 {
        let mut delta = [number(size), number(size * 16)].concat();
        let length = (size as u32).to_le_bytes();
        for _ in 0..16 {
            delta.extend([0xf0, length[0], length[1], length[2]]);
        }
        let distance = objects.last().map_or(0, Vec::len);
        objects.push(object(6, delta.len(), &Head::Offset(distance), &delta));
        size *= 16;
    }
    pack_of(&objects, 20)
}

#[test]
fn what_deltas_expand_to_is_bounded_by_memory_and_by_work() {
    let limits = Limits {
        archive_bytes: 1 << 20,
        ..Limits::default()
    };
    let (kept, refusal) = opened(&bomb(), &limits);
    assert_eq!(refusal, None);
    let reasons: Vec<&str> = kept.refused.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(reasons[0], "needs-random-access");
    assert_eq!(kept.members.len(), 4, "64 bytes, then 1, 16 and 256 KiB");

    let limits = Limits {
        archive_ratio: 1,
        archive_ratio_from_bytes: 100_000,
        ..Limits::default()
    };
    let (kept, _) = opened(&bomb(), &limits);
    assert_eq!(kept.refused[0].1, LimitHit::ArchiveRatio.name());
    let limits = Limits {
        archive_members: 2,
        ..Limits::default()
    };
    assert_eq!(opened(&bomb(), &limits).1, Some("archive-members"));
}

#[test]
fn trees_beyond_the_limit_are_no_names_and_that_is_told() {
    let (pack, commit, _) = repository(20);
    let limits = Limits {
        git_tree_entries: 2,
        ..Limits::default()
    };
    let (kept, _) = opened(&pack, &limits);
    assert_eq!(kept.refused, [("trees".to_owned(), "git-names")]);
    assert_eq!(kept.members.len(), 4);
    assert!(
        kept.members
            .iter()
            .all(|(name, _)| !name.starts_with(&format!("{commit}:")))
    );
}

#[test]
fn loose_objects_name_each_other() {
    let blob = b"key\n";
    let blob_id = id(Kind::Blob, blob, 20);
    let tree = [b"100755 run\0", raw(&blob_id), b"160000 other\0", &[9; 20]].concat();
    let tree_id = id(Kind::Tree, &tree, 20);
    let commit = |parent: &str, time: u32| {
        format!("tree {tree_id}\n{parent}author A <a> 9 +0000\ncommitter A B <a> {time} +0000\n\nm\n")
            .into_bytes()
    };
    // The child claims to be older.
    let first = commit("", 20);
    let first_id = id(Kind::Commit, &first, 20);
    let second = commit(&format!("parent {first_id}\n"), 10);
    let stored = |kind: Kind, content: &[u8]| {
        let head = format!("{} {}\0", kind.name(), content.len());
        zlib(&[head.as_bytes(), content].concat())
    };
    let files = [
        (
            id(Kind::Commit, &second, 20).to_string(),
            stored(Kind::Commit, &second),
        ),
        (blob_id.to_string(), stored(Kind::Blob, blob)),
        (tree_id.to_string(), stored(Kind::Tree, &tree)),
        (first_id.to_string(), stored(Kind::Commit, &first)),
        ("no id".to_owned(), b"no object".to_vec()),
    ];
    let loose: Vec<Loose<'_>> = files
        .iter()
        .map(|(id, bytes)| Loose {
            id: id.as_bytes(),
            bytes,
        })
        .collect();
    let (told, is_over) = names(&loose, &Limits::default());
    assert!(!is_over);
    let told: Vec<&str> = told
        .iter()
        .map(|name| std::str::from_utf8(name).expect("text"))
        .collect();
    assert_eq!(told[1], format!("{first_id}:run"));
    assert_eq!([told[0], told[3], told[4]], [&files[0].0, &files[3].0, "no id"]);
    let mut kept = Kept::default();
    for (_, bytes) in &files[..4] {
        open_object(&mut bytes.as_slice(), &mut kept).expect("it is whole");
    }
    let kinds: Vec<&str> = kept.members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(kinds, ["commit", "blob", "commit"], "trees are for names");
    assert_eq!(kept.members[1].1, blob);
}

#[test]
fn a_delta_writes_no_more_than_it_says_and_reads_no_more_than_there_is() {
    for broken in [
        &b""[..],
        b"\x04",
        b"\x04\x04\x91\x01\x04",
        b"\x04\x08\x90\x04",
        b"\x04\x03\x90\x04",
        b"\x04\x02\x05ab",
        b"\x04\x02\0\x02ab",
        b"\x05\x01\x01a",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert!(delta::apply(b"base", broken, 100).is_err(), "{broken:?}");
    }
    assert_eq!(
        delta::apply(b"base", b"\x04\x06\x90\x04\x02!!", 100),
        Ok(b"base!!".to_vec())
    );
    assert_eq!(
        delta::apply(b"base", b"\x04\x06\x90\x04\x02!!", 5),
        Err(Refusal::Limit(LimitHit::RandomAccess))
    );
}

proptest! {
    #[test]
    fn a_pack_with_flipped_bytes_ends(flips in proptest::collection::vec((0..4096_usize, any::<u8>()), 1..8)) {
        let (mut pack, _, _) = repository(20);
        for (at, byte) in flips {
            let at = at % pack.len();
            pack[at] = byte;
        }
        let (kept, _) = opened(&pack, &Limits::default());
        prop_assert!(kept.members.len() <= 6);
    }
}
