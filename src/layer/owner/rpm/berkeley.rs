//! The values of a hash table of Berkeley DB, as rpm kept its `Packages` until 2020: the pages of the table in the order of
//! the file, values that have pages of their own put together. Looks up no key, and reads neither trees nor duplicates,
//! which rpm does not make of its packages. *Source*: Berkeley DB, the page layouts of `db_page.h`.

/// Hands over each value of at most the size of the file. A damaged page is passed over; values that share their pages,
/// which no sound file has, end it once more was handed over than the file holds.
pub(super) fn values(bytes: &[u8], visit: &mut dyn FnMut(&[u8])) {
    let Some(file) = File::new(bytes) else { return };
    let mut left = bytes.len();
    for page in (1..).map_while(|number| file.page(number)) {
        if !matches!(page[TYPE], HASH | HASH_UNSORTED) {
            continue;
        }
        for item in file.items(page) {
            let value = match item {
                [KEY_DATA, value @ ..] => value.to_vec(),
                [OFF_PAGE, ..] => file.chain(item),
                _ => continue,
            };
            let Some(rest) = left.checked_sub(value.len()) else {
                return;
            };
            left = rest;
            visit(&value);
        }
    }
}

struct File<'a> {
    bytes: &'a [u8],
    page_bytes: usize,
    is_big_endian: bool,
}

impl<'a> File<'a> {
    /// A file whose first page says that it is a hash table that is not encrypted.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let magic = bytes.get(12..)?.first_chunk::<4>()?;
        let mut file = Self {
            bytes,
            page_bytes: 0,
            is_big_endian: u32::from_be_bytes(*magic) == MAGIC,
        };
        file.page_bytes = file.word(bytes, 20)? as usize;
        let is_table =
            file.word(bytes, 12)? == MAGIC && *bytes.get(24)? == 0 && *bytes.get(TYPE)? == HASH_META;
        // What Berkeley DB allows.
        (is_table && file.page_bytes.is_power_of_two() && (512..=64 * 1024).contains(&file.page_bytes))
            .then_some(file)
    }

    fn page(&self, number: u32) -> Option<&'a [u8]> {
        let at = (number as usize).checked_mul(self.page_bytes)?;
        self.bytes.get(at..)?.get(..self.page_bytes)
    }

    /// The second of each two items of a page: the first is the key. Items are laid from the end of the page to its
    /// begin, so that each ends where the one before it begins.
    fn items(&self, page: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let count = usize::from(self.half(page, ENTRIES).unwrap_or(0));
        let offset = move |item: usize| self.half(page, HEAD + 2 * item).map(usize::from);
        (1..count)
            .step_by(2)
            .filter_map(move |item| page.get(offset(item)?..offset(item - 1)?))
    }

    /// A value on pages of its own, as far as they go: the item says the number of the first one, and how many bytes there
    /// are. At least one byte for each page that was looked at.
    fn chain(&self, item: &[u8]) -> Vec<u8> {
        let mut value = Vec::new();
        let length = self.word(item, 8).unwrap_or(0) as usize;
        let mut next = self.word(item, 4);
        while let Some(page) = next.filter(|next| *next != 0).and_then(|next| self.page(next)) {
            let left = length.min(self.bytes.len()).saturating_sub(value.len());
            let here = self
                .half(page, USED)
                .map_or(0, |used| left.min(usize::from(used)));
            match page.get(HEAD..HEAD + here) {
                Some(bytes) if !bytes.is_empty() && page[TYPE] == OVERFLOW => value.extend(bytes),
                _ => break,
            }
            next = self.word(page, NEXT);
        }
        value
    }

    fn word(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let word = *bytes.get(at..)?.first_chunk()?;
        Some(match self.is_big_endian {
            true => u32::from_be_bytes(word),
            false => u32::from_le_bytes(word),
        })
    }

    fn half(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let half = *bytes.get(at..)?.first_chunk()?;
        Some(match self.is_big_endian {
            true => u16::from_be_bytes(half),
            false => u16::from_le_bytes(half),
        })
    }
}

const MAGIC: u32 = 0x0006_1561;

/// Offsets in the head of a page.
const NEXT: usize = 16;
const ENTRIES: usize = 20;
/// Of a page of a value: how many bytes of it there are.
const USED: usize = 22;
const TYPE: usize = 25;
const HEAD: usize = 26;

/// Types of pages.
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH_META: u8 = 8;
const HASH: u8 = 13;

/// Types of items.
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;
