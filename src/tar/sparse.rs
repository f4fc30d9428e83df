//! Sparse maps: turns what old GNU tar and the PAX versions 0.0, 0.1 and 1.0 write into runs of stored bytes.
//! Never makes a hole into bytes.

use super::header::{self, Format, Header};
use super::pax::{self, Number, Records, SparseRecords};

/// Bytes of one pair of numbers in an old GNU map.
const PAIR: usize = 24;

/// Pairs of an old GNU map that are in the header itself.
const PAIRS_IN_HEADER: usize = 4;

/// 8 GiB, the first size that a header cannot say in octal.
const MAX_OCTAL: u64 = 1 << 33;

/// The longest number of a version 1.0 map. 64 bits need twenty; leading zeros beyond this make the map malformed.
const DIGITS: usize = 64;

/// In which way a member is sparse.
#[derive(Debug)]
pub(super) struct Sparse {
    pub version: Version,
    /// Logical size.
    pub size: u64,
    /// Bytes in the archive.
    pub stored: u64,
}

impl Sparse {
    /// What the headers say of it. `None` where the member is not sparse; an error where Go refuses it.
    pub fn of(
        header: &Header,
        typeflag: u8,
        records: &Records,
        stored: u64,
    ) -> Result<Option<Self>, MapError> {
        let sparse = &records.sparse;
        let version = match (sparse.major, sparse.minor) {
            _ if typeflag == b'S' => Version::OldGnu,
            (b"0", b"0" | b"1") => Version::List,
            (b"1", b"0") => Version::Text,
            // 0.0 and 0.1 did not always name their version.
            (b"", b"") if !sparse.map.is_empty() => Version::List,
            _ => return Ok(None),
        };
        let size = match version {
            // STAR has another format under the same type.
            Version::OldGnu if header.format != Format::Gnu => return Err(MapError::Malformed),
            Version::OldGnu => header::numeric(header.real_size()),
            Version::List | Version::Text => match (sparse.size, sparse.real_size) {
                (b"", b"") => i64::try_from(stored).ok(),
                (b"", size) | (size, _) => pax::decimal(size),
            },
        };
        let size = size.and_then(|size| u64::try_from(size).ok());
        match size {
            Some(size) if !header::is_bodiless(typeflag) => Ok(Some(Self {
                version,
                size,
                stored,
            })),
            _ => Err(MapError::Malformed),
        }
    }

    /// Whether other readers than Go see other holes in a member of this header and these records, which Go takes as
    /// `sparse` says: they go by other records than the version, or by the size of the wrong one.
    pub fn is_ambiguous(sparse: Option<&Self>, header: &Header, records: &Records) -> bool {
        let said = &records.sparse;
        let has_two_sizes =
            !said.size.is_empty() && !said.real_size.is_empty() && said.size != said.real_size;
        // Where the header has no room for the stored size, the record has to be there.
        let is_large = sparse.is_some_and(|sparse| sparse.stored >= MAX_OCTAL);
        let has_stray_size = records.size != Number::Absent && !is_large;
        match sparse.map(|sparse| sparse.version) {
            None => said.is_any(),
            Some(Version::OldGnu) => {
                said.is_any() || has_stray_size || header::is_ambiguous(header.real_size())
            }
            Some(Version::List) => {
                has_two_sizes || has_stray_size || (said.has_pairs && said.size.is_empty())
            }
            Some(Version::Text) => has_stray_size || !said.map.is_empty() || !said.size.is_empty(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// PAX 0.0 and 0.1: the map is a list in the extended header.
    List,
    /// The map is in the header, and in blocks behind it.
    OldGnu,
    /// PAX 1.0: the map is text at the start of the body.
    Text,
}

/// Bytes that are stored one after the other and lie at one place of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub file_offset: u64,
    pub len: u64,
}

/// Why a map cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapError {
    /// A number cannot be read, or runs overlap, are out of order or leave the file.
    Malformed,
    /// It has more runs, or is longer, than allowed.
    Oversize,
}

/// A map under construction.
#[derive(Debug)]
pub(super) struct Map {
    /// Logical size of the file.
    size: u64,
    /// Where the last run ended.
    end: u64,
    /// Runs as the archive counts them, empty ones included.
    count: usize,
    limit: usize,
    runs: Vec<Run>,
    /// Whether other readers than Go read other pairs.
    is_ambiguous: bool,
}

impl Map {
    /// A map without runs for a file of `size` bytes that may have `limit` of them.
    pub fn new(size: u64, limit: usize) -> Self {
        Self {
            size,
            end: 0,
            count: 0,
            limit,
            runs: Vec::new(),
            is_ambiguous: false,
        }
    }

    /// Reads a map of version 0.1.
    pub fn read_list(mut self, records: &SparseRecords) -> Result<Self, MapError> {
        let blocks = pax::decimal(records.blocks).ok_or(MapError::Malformed)?;
        let mut numbers = records.map.split(|byte| *byte == b',');
        if records.map.is_empty() {
            numbers.next();
        }
        while let Some(offset) = numbers.next() {
            let length = numbers.next().ok_or(MapError::Malformed)?;
            self.add(pax::decimal(offset), pax::decimal(length))?;
        }
        if i64::try_from(self.count) != Ok(blocks) {
            return Err(MapError::Malformed);
        }
        Ok(self)
    }

    /// Reads pairs of an old GNU map, up to the first that is empty.
    pub fn read_pairs(mut self, pairs: &[u8]) -> Result<Self, MapError> {
        let is_in_header = pairs.len() == PAIRS_IN_HEADER * PAIR;
        for (number, pair) in pairs.chunks_exact(PAIR).enumerate() {
            if pair[0] == 0 {
                self.is_ambiguous |= !header::is_zero(&pairs[number * PAIR..]);
                break;
            }
            let (offset, len) = pair.split_at(PAIR / 2);
            self.is_ambiguous |= header::is_ambiguous(offset) || header::is_ambiguous(len);
            let (offset, len) = (header::numeric(offset), header::numeric(len));
            // Some readers pass over what begins at 0 and stands behind the header.
            self.is_ambiguous |= !is_in_header && offset == Some(0) && len != Some(0);
            self.add(offset, len)?;
        }
        Ok(self)
    }

    /// Whether other readers than Go read other runs.
    pub fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// Bytes that are stored.
    pub fn stored(&self) -> u64 {
        self.runs.iter().map(|run| run.len).sum()
    }

    /// The runs in order: none empty, and none that goes on where another ended.
    pub fn into_runs(self) -> Vec<Run> {
        self.runs
    }

    fn add(&mut self, offset: Option<i64>, length: Option<i64>) -> Result<(), MapError> {
        let number = |number: Option<i64>| {
            number
                .and_then(|number| u64::try_from(number).ok())
                .ok_or(MapError::Malformed)
        };
        let (offset, len) = (number(offset)?, number(length)?);
        // Two numbers below 2^63 do not overflow.
        let end = offset + len;
        if offset < self.end || end > self.size {
            return Err(MapError::Malformed);
        }
        if self.count == self.limit {
            return Err(MapError::Oversize);
        }
        self.count += 1;
        match self.runs.last_mut() {
            _ if len == 0 => {}
            Some(last) if last.file_offset + last.len == offset => last.len += len,
            _ => self.runs.push(Run {
                file_offset: offset,
                len,
            }),
        }
        self.end = end;
        Ok(())
    }
}

/// A map of version 1.0: decimal numbers, one per line, in the first blocks of the body. The first is the number of
/// pairs.
#[derive(Debug)]
pub(super) struct TextMap {
    map: Map,
    digits: Vec<u8>,
    /// Numbers still to come; `None` before the first.
    left: Option<u64>,
    offset: Option<i64>,
    failed: Option<MapError>,
    /// Bytes the whole map may still have.
    room: u64,
}

impl TextMap {
    /// A map that may have `room` bytes.
    pub fn new(map: Map, room: u64) -> Self {
        Self {
            map,
            digits: Vec::new(),
            left: None,
            offset: None,
            failed: None,
            room,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.is_complete() {
                return;
            }
            match byte {
                b'\n' => self.number(),
                _ if self.digits.len() == DIGITS => self.failed = Some(MapError::Malformed),
                byte => self.digits.push(*byte),
            }
            match self.room.checked_sub(1) {
                Some(room) => self.room = room,
                None => self.failed = Some(MapError::Oversize),
            }
        }
    }

    /// Whether no more bytes are needed: the last number is read, or it makes no sense to go on.
    pub fn is_complete(&self) -> bool {
        self.left == Some(0) || self.failed.is_some()
    }

    /// The map.
    pub fn finish(self) -> Result<Map, MapError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.left == Some(0) => Ok(self.map),
            None => Err(MapError::Malformed),
        }
    }

    fn number(&mut self) {
        let number = pax::decimal(&self.digits);
        self.digits.clear();
        let Some(left) = self.left else {
            let pairs = number.and_then(|pairs| u64::try_from(pairs).ok());
            match pairs.and_then(|pairs| pairs.checked_mul(2)) {
                Some(left) => self.left = Some(left),
                None => self.failed = Some(MapError::Malformed),
            }
            return;
        };
        if left % 2 == 0 {
            self.offset = number;
            if number.is_none() {
                self.failed = Some(MapError::Malformed);
            }
        } else if let Err(error) = self.map.add(self.offset, number) {
            self.failed = Some(error);
        }
        self.left = Some(left - 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(file_offset: u64, len: u64) -> Run {
        Run { file_offset, len }
    }

    fn text_map(text: &[u8], size: u64) -> Result<Vec<Run>, MapError> {
        let mut map = TextMap::new(Map::new(size, 10), 1000);
        map.push(text);
        map.finish().map(Map::into_runs)
    }

    #[test]
    fn runs_that_touch_are_one_and_empty_ones_are_none() {
        let runs = text_map(b"5\n0\n2\n2\n3\n5\n0\n6\n0\n9\n1\n", 10);
        assert_eq!(runs, Ok(vec![run(0, 5), run(9, 1)]));
    }

    #[test]
    fn maps_that_make_no_sense_are_malformed() {
        for text in [
            &b"x\n"[..],
            b"-1\n",
            b"1\n0\n",
            b"1\n0\nx\n",
            b"1\n-1\n2\n",
            b"1\n0\n11\n",
            b"2\n0\n5\n4\n1\n",
            b"2\n5\n1\n0\n1\n",
            b"1\n9223372036854775807\n9223372036854775807\n",
            b"9223372036854775807\n",
            b"1",
            b"",
        ] {
            assert_eq!(
                text_map(text, 10),
                Err(MapError::Malformed),
                "{}",
                text.escape_ascii()
            );
        }
        assert_eq!(text_map(&[b'0'; 65], 10), Err(MapError::Malformed));
    }

    #[test]
    fn a_map_is_capped_in_runs_and_in_bytes() {
        let many = [&b"11\n"[..], &b"0\n0\n".repeat(11)].concat();
        assert_eq!(text_map(&many, 10), Err(MapError::Oversize));
        let mut map = TextMap::new(Map::new(10, 10), 5);
        map.push(b"2\n0\n0\n0\n0\n");
        assert_eq!(map.finish().map(Map::into_runs), Err(MapError::Oversize));
    }

    #[test]
    fn a_list_has_as_many_pairs_as_it_says() {
        let list = |blocks: &'static [u8], map: &'static [u8]| {
            let records = SparseRecords {
                blocks,
                map: map.into(),
                ..SparseRecords::default()
            };
            Map::new(10, 10).read_list(&records).map(Map::into_runs)
        };
        assert_eq!(list(b"2", b"0,1,5,2"), Ok(vec![run(0, 1), run(5, 2)]));
        assert_eq!(list(b"0", b""), Ok(vec![]));
        for (blocks, map) in [
            (&b"1"[..], &b"0,1,5,2"[..]),
            (b"2", b"0,1,5"),
            (b"", b"0,1"),
            (b"1", b""),
            (b"1", b"0,"),
        ] {
            assert_eq!(list(blocks, map), Err(MapError::Malformed));
        }
    }

    #[test]
    fn pairs_end_at_the_first_empty_one() {
        let pairs = b"00000000001\x0000000000002\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let map = Map::new(100, 10).read_pairs(&pairs[..48]).unwrap();
        assert_eq!(map.into_runs(), [run(1, 2)]);
    }

    proptest! {
        #[test]
        fn runs_are_ordered_inside_the_file(text in "[0-9\n-]{0,60}", size in 0..200_u64) {
            let mut end = None;
            for run in text_map(text.as_bytes(), size).unwrap_or_default() {
                prop_assert!(run.len > 0);
                prop_assert!(end.is_none_or(|end| run.file_offset > end));
                end = Some(run.file_offset + run.len);
                prop_assert!(end <= Some(size));
            }
        }
    }
}
