//! The packages of `Packages.db`, which rpm keeps on SUSE: slots that say where in the file the header of a package lies.
//! Reads no index (`Index.db`) and verifies no sum of a blob. *Source*: rpm, the comments and structures of its `ndb`
//! backend.

/// Hands over each header that a slot leads to. A damaged slot or blob is passed over, and slots that lead to one place
/// again and again end it.
pub(super) fn blobs(bytes: &[u8], visit: &mut dyn FnMut(&[u8])) {
    if !bytes.starts_with(MAGIC) {
        return;
    }
    let pages = word(bytes, 12).unwrap_or(0) as usize;
    let slots = bytes.get(..pages.saturating_mul(PAGE)).unwrap_or(bytes);
    // The header of the file takes the place of two slots.
    let slots = slots.as_chunks::<SLOT>().0.iter().skip(2);
    let mut left = bytes.len();
    for slot in slots {
        let field = |at| word(slot, at).unwrap_or(0);
        let (package, block) = (field(4), field(8) as usize);
        if !slot.starts_with(b"Slot") || package == 0 {
            continue;
        }
        let Some(header) = blob(bytes, block.saturating_mul(BLOCK), package) else {
            continue;
        };
        let Some(rest) = left.checked_sub(header.len()) else {
            return;
        };
        left = rest;
        visit(header);
    }
}

/// The blob at `at`, if it is this package's.
fn blob(bytes: &[u8], at: usize, package: u32) -> Option<&[u8]> {
    let blob = bytes.get(at..)?;
    let is_its_own = blob.starts_with(b"BlbS") && word(blob, 4)? == package;
    let length = word(blob, 12)? as usize;
    blob.get(HEAD..)?.get(..length).filter(|_| is_its_own)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*word))
}

const MAGIC: &[u8] = b"RpmP";
const PAGE: usize = 4096;
const SLOT: usize = 16;
const BLOCK: usize = 16;
const HEAD: usize = 16;
