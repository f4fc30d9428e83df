//! Reads loose objects: one file each, compressed, with kind and size in front. What commits call them only the other
//! objects of the repository tell: [`names`] is given all that were seen.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress};

use super::history::History;
use super::{Kind, ObjectId};
use crate::content::archive::{Inflated, Members, OpenError, Refusal, Step};
use crate::limits::Limits;

/// Bytes of the header at most: the longest kind, twenty digits and what is between.
const HEADER_BYTES: usize = 32;

/// The kind of the object that begins with `head`, if one does.
pub(in crate::content) fn kind_of(head: &[u8]) -> Option<Kind> {
    let mut out = [0; HEADER_BYTES];
    let mut inflate = Decompress::new(true);
    // What is damaged counts as far as it goes.
    let _ = inflate.decompress(head, &mut out, FlushDecompress::None);
    header(&out[..inflate.total_out() as usize]).map(|(kind, _, _)| kind)
}

/// Kind and size of an object, and the length of the header that says so.
fn header(bytes: &[u8]) -> Option<(Kind, u64, usize)> {
    let end = memchr::memchr(0, &bytes[..bytes.len().min(HEADER_BYTES)])?;
    let header = std::str::from_utf8(&bytes[..end]).ok()?;
    let (kind, size) = header.split_once(' ')?;
    let kind = [Kind::Blob, Kind::Commit, Kind::Tag, Kind::Tree]
        .into_iter()
        .find(|known| known.name() == kind)?;
    Some((kind, size.parse().ok()?, end + 1))
}

/// Hands over what the object holds, as a member that is called by its kind; nothing of a tree.
pub(in crate::content) fn open(source: &mut dyn Read, members: &mut dyn Members) -> Result<(), OpenError> {
    let mut inflated = Inflated::new(source, true);
    let taken = hand_over(&mut inflated, members);
    inflated.outcome(taken)?;
    Ok(())
}

fn hand_over(content: &mut dyn Read, members: &mut dyn Members) -> io::Result<()> {
    let mut head = Vec::with_capacity(HEADER_BYTES);
    content.take(HEADER_BYTES as u64).read_to_end(&mut head)?;
    let Some((kind, _, length)) = header(&head) else {
        members.refused(b"object", Refusal::malformed("it has no header"));
        return Ok(());
    };
    if kind == Kind::Tree {
        return Ok(());
    }
    let mut content = head[length..].chain(content);
    members.member(Step::Member(kind.name().as_bytes()), &mut content)
}

/// A loose object as it lies in a folder.
#[derive(Clone, Debug)]
pub struct Loose<'a> {
    /// The digits that its path makes: the name of its folder and its own.
    pub id: &'a [u8],
    /// The file.
    pub bytes: &'a [u8],
}

/// What commits call each of these objects of one repository, `<commit>:<path>`, else its id.
///
/// Inflates commits and trees only, of 16 MiB at most each. *Limits*: [`Limits::git_tree_entries`]; beyond it names are
/// missing, which the second value says.
pub fn names(objects: &[Loose<'_>], limits: &Limits) -> (Vec<Vec<u8>>, bool) {
    const MOST: u64 = 16 << 20;
    let mut history = History::new(limits.git_tree_entries);
    let mut left = limits.archive_expanded_bytes;
    let mut is_over = false;
    for object in objects {
        let Some(id) = ObjectId::from_hex(object.id) else {
            continue;
        };
        let Some(kind @ (Kind::Commit | Kind::Tree)) = kind_of(object.bytes) else {
            continue;
        };
        let mut content = Vec::new();
        let mut inflated = Inflated::new(object.bytes, true).take(MOST.min(left));
        // What is damaged counts as far as it goes.
        let _ = inflated.read_to_end(&mut content);
        left -= content.len() as u64;
        is_over |= left == 0;
        let Some((_, _, length)) = header(&content) else {
            continue;
        };
        match kind {
            Kind::Commit => history.add_commit(id, &content[length..]),
            _ => history.add_tree(id, &content[length..]),
        }
    }
    is_over |= history.is_over();
    let names = history.names(limits.path_bytes);
    let named = objects.iter().map(|object| match ObjectId::from_hex(object.id) {
        Some(id) => names.name(&id).0,
        None => object.id.to_vec(),
    });
    (named.collect(), is_over)
}
