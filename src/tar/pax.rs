//! PAX records: turns the body of an extended header into the fields it gives, by the records' declared lengths
//! (a value may hold newlines). Does not apply them to a member, and keeps no record it does not know.

use std::borrow::Cow;

use super::{OverlayMark, header};

/// What an extended header gives. Of two records with one key the last counts; an empty value takes the key back.
#[derive(Debug, Default)]
pub(super) struct Records<'t> {
    pub path: Option<&'t [u8]>,
    pub linkpath: Option<&'t [u8]>,
    pub size: Number,
    pub uid: Number,
    pub gid: Number,
    pub mtime: Number,
    pub atime: Number,
    pub ctime: Number,
    pub sparse: SparseRecords<'t>,
    pub overlay: Option<OverlayMark>,
    /// Whether a record cannot be read. Where its length is wrong, it and what follows is ignored.
    pub is_malformed: bool,
    /// Whether a key that counts is there twice.
    pub is_ambiguous: bool,
    /// Whether a key that counts has an empty value.
    pub is_emptied: bool,
    /// Whether a path, a link or the name of a sparse member goes on behind a NUL.
    pub hides_behind_nul: bool,
}

/// The records with which GNU tar describes a sparse member, as text; empty where absent.
#[derive(Debug, Default)]
pub(super) struct SparseRecords<'t> {
    pub major: &'t [u8],
    pub minor: &'t [u8],
    pub name: &'t [u8],
    pub size: &'t [u8],
    pub real_size: &'t [u8],
    pub blocks: &'t [u8],
    /// Version 0.1: offsets and lengths with commas between. Version 0.0, which gives each in a record, is turned
    /// into it.
    pub map: Cow<'t, [u8]>,
    /// Whether the map is of version 0.0.
    pub has_pairs: bool,
}

impl SparseRecords<'_> {
    /// Whether there is any.
    pub fn is_any(&self) -> bool {
        let texts = [
            self.major,
            self.minor,
            self.name,
            self.size,
            self.real_size,
            self.blocks,
        ];
        !self.map.is_empty() || texts.iter().any(|text| !text.is_empty())
    }
}

/// A record that is a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Number {
    /// There is none.
    #[default]
    Absent,
    /// It cannot be read.
    Bad,
    /// Seconds, bytes or an id.
    Is(i64),
}

impl<'t> Records<'t> {
    /// Reads all records.
    pub fn read(mut text: &'t [u8]) -> Self {
        let mut records = Self::default();
        let mut pairs: Vec<&[u8]> = Vec::new();
        while !text.is_empty() {
            let Some(record) = Record::first(text) else {
                records.is_malformed = true;
                break;
            };
            text = record.rest;
            records.is_malformed |= record.has_plus_sign;
            match record.key_and_value() {
                Some((key @ (b"GNU.sparse.offset" | b"GNU.sparse.numbytes"), value)) => {
                    let is_offset = key == b"GNU.sparse.offset";
                    records.is_malformed |=
                        is_offset != pairs.len().is_multiple_of(2) || value.contains(&b',');
                    pairs.push(value);
                }
                Some((key, value)) => records.set(key, value),
                None => records.is_malformed = true,
            }
        }
        if !pairs.is_empty() {
            records.is_ambiguous |= !records.sparse.map.is_empty();
            records.sparse.has_pairs = true;
            records.sparse.map = Cow::Owned(pairs.join(&b','));
        }
        records
    }

    /// Whether it gives what decides where a member lies and how large it is.
    pub fn overrides(&self) -> bool {
        let is_named = self.path.is_some() || self.linkpath.is_some();
        is_named || self.size != Number::Absent || self.sparse.is_any()
    }

    fn set(&mut self, key: &[u8], value: &'t [u8]) {
        let counts = matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.");
        self.is_emptied |= counts && value.is_empty();
        let was_set = match key {
            b"path" => {
                let value = self.text(value);
                replace(&mut self.path, (!value.is_empty()).then_some(value))
            }
            b"linkpath" => {
                let value = self.text(value);
                replace(&mut self.linkpath, (!value.is_empty()).then_some(value))
            }
            // Not kept, but Go refuses an archive where it holds a NUL.
            b"uname" | b"gname" => {
                self.is_malformed |= value.contains(&0);
                false
            }
            b"size" => self.number(value, decimal, |records| &mut records.size),
            b"uid" => self.number(value, decimal, |records| &mut records.uid),
            b"gid" => self.number(value, decimal, |records| &mut records.gid),
            b"mtime" => self.number(value, seconds, |records| &mut records.mtime),
            b"atime" => self.number(value, seconds, |records| &mut records.atime),
            b"ctime" => self.number(value, seconds, |records| &mut records.ctime),
            b"GNU.sparse.major" => replace(&mut self.sparse.major, value),
            b"GNU.sparse.minor" => replace(&mut self.sparse.minor, value),
            b"GNU.sparse.name" => {
                // Go keeps the NUL here, and then fails to make such a file.
                self.hides_behind_nul |= value.contains(&0);
                replace(&mut self.sparse.name, value)
            }
            b"GNU.sparse.size" => replace(&mut self.sparse.size, value),
            b"GNU.sparse.realsize" => replace(&mut self.sparse.real_size, value),
            b"GNU.sparse.numblocks" => replace(&mut self.sparse.blocks, value),
            b"GNU.sparse.map" => replace(&mut self.sparse.map, Cow::Borrowed(value)),
            _ => {
                self.attribute(key, value);
                false
            }
        };
        self.is_ambiguous |= was_set;
    }

    /// Takes an extended attribute, if it is one that hides files.
    fn attribute(&mut self, key: &[u8], value: &[u8]) {
        let Some(name) = key.strip_prefix(b"SCHILY.xattr.") else {
            return;
        };
        let driver = name.strip_prefix(b"trusted.overlay.");
        match driver.or_else(|| name.strip_prefix(b"user.overlay.")) {
            Some(b"opaque") if value == b"y" => self.overlay = Some(OverlayMark::Opaque),
            Some(b"whiteout") => self.overlay = Some(OverlayMark::Whiteout),
            _ => {}
        }
    }

    fn text(&mut self, value: &'t [u8]) -> &'t [u8] {
        if value.contains(&0) {
            // Go refuses the archive; readers in C end the name here.
            self.is_malformed = true;
            self.hides_behind_nul = true;
        }
        header::until_nul(value)
    }

    fn number(
        &mut self,
        value: &[u8],
        read: fn(&[u8]) -> Option<i64>,
        field: fn(&mut Self) -> &mut Number,
    ) -> bool {
        // Go reads "+3" as 3, others do not.
        self.is_malformed |= value.starts_with(b"+");
        let number = match value {
            b"" => Number::Absent,
            value => read(value).map_or(Number::Bad, Number::Is),
        };
        replace(field(self), number)
    }
}

impl Number {
    /// The number, where there is one.
    pub fn value(self) -> Option<i64> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }
}

/// Sets a field and says whether it was set before.
fn replace<T: Default + PartialEq>(field: &mut T, value: T) -> bool {
    std::mem::replace(field, value) != T::default()
}

/// One record, `LENGTH KEY=VALUE\n`, the length counting itself, and what follows it.
struct Record<'t> {
    text: &'t [u8],
    rest: &'t [u8],
    has_plus_sign: bool,
}

impl<'t> Record<'t> {
    /// Cuts the first record off. `None` where its length cannot be right.
    fn first(text: &'t [u8]) -> Option<Self> {
        let space = memchr::memchr(b' ', text)?;
        let len = usize::try_from(decimal(&text[..space])?).ok()?;
        if len <= space + 1 || len > text.len() {
            return None;
        }
        let (record, rest) = text.split_at(len);
        let text = record[space + 1..].strip_suffix(b"\n")?;
        Some(Self {
            text,
            rest,
            has_plus_sign: record.starts_with(b"+"),
        })
    }

    /// `None` where there is no key, or the key holds a NUL.
    fn key_and_value(&self) -> Option<(&'t [u8], &'t [u8])> {
        let equals = memchr::memchr(b'=', self.text)?;
        let (key, value) = (&self.text[..equals], &self.text[equals + 1..]);
        (!key.is_empty() && !key.contains(&0)).then_some((key, value))
    }
}

/// Reads a decimal number with an optional sign.
pub(super) fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads seconds with an optional fraction, rounded down.
fn seconds(text: &[u8]) -> Option<i64> {
    let dot = memchr::memchr(b'.', text).unwrap_or(text.len());
    let (whole, fraction) = (&text[..dot], text.get(dot + 1..).unwrap_or_default());
    let seconds = decimal(whole)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Go keeps nanoseconds; a fraction below them is nothing.
    let has_fraction = fraction.iter().take(9).any(|digit| *digit != b'0');
    let is_negative = whole.starts_with(b"-");
    Some(seconds.wrapping_sub(i64::from(is_negative && has_fraction)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tar::testing::record;

    fn text(records: &[(&str, &[u8])]) -> Vec<u8> {
        records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect()
    }

    #[test]
    fn a_newline_in_a_value_smuggles_no_record() {
        let text = text(&[("comment", b"x\n17 path=smuggled\n"), ("path", b"a")]);
        let records = Records::read(&text);
        assert_eq!(records.path, Some(&b"a"[..]));
        assert!(!records.is_malformed && !records.is_ambiguous);
    }

    #[test]
    fn the_last_of_two_records_counts_and_an_empty_value_takes_the_key_back() {
        let twice = text(&[("path", b"first"), ("path", b"last")]);
        let records = Records::read(&twice);
        assert_eq!((records.path, records.is_ambiguous), (Some(&b"last"[..]), true));
        let emptied = text(&[("size", b"3"), ("size", b""), ("path", b"")]);
        let records = Records::read(&emptied);
        assert_eq!((records.size, records.path), (Number::Absent, None));
    }

    #[test]
    fn a_record_of_wrong_length_ends_the_reading_and_keeps_what_came_before() {
        for bad in [
            &b"99 path=b\n"[..],
            b"10 path=bc\n",
            b"x path=b\n",
            b"path=b\n",
            b"-10 path=b\n",
            b"0 path=b\n",
            b"99999999999999999999 path=b\n",
            b"\0\0\0\0",
        ] {
            let text = [&b"10 path=a\n"[..], bad].concat();
            let records = Records::read(&text);
            assert_eq!(records.path, Some(&b"a"[..]), "{}", bad.escape_ascii());
            assert!(records.is_malformed, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_record_without_a_key_is_passed_over() {
        let text = [&b"6 =ab\n"[..], b"7 path\n", b"10 path=a\n"].concat();
        let records = Records::read(&text);
        assert_eq!((records.path, records.is_malformed), (Some(&b"a"[..]), true));
    }

    #[test]
    fn a_path_is_cut_at_nul() {
        let text = text(&[("path", b"a\0b")]);
        let records = Records::read(&text);
        assert_eq!(records.path, Some(&b"a"[..]));
        assert!(records.hides_behind_nul && records.is_malformed);
    }

    #[test]
    fn numbers_are_decimal() {
        for (value, size, malformed) in [
            (&b"12"[..], Number::Is(12), false),
            (b"-1", Number::Is(-1), false),
            (b"+3", Number::Is(3), true),
            (b"0x10", Number::Bad, false),
            (b"1_000", Number::Bad, false),
            (b" 1", Number::Bad, false),
            (b"1.5", Number::Bad, false),
            (b"9223372036854775808", Number::Bad, false),
        ] {
            let text = text(&[("size", value)]);
            let records = Records::read(&text);
            assert_eq!((records.size, records.is_malformed), (size, malformed));
        }
    }

    #[test]
    fn times_are_rounded_down_to_the_second() {
        for (text, time) in [
            (&b"1350244992.023960108"[..], Some(1_350_244_992)),
            (b"-1.5", Some(-2)),
            (b"-0.5", Some(-1)),
            (b"-1.0000000001", Some(-1)),
            (b"5.", Some(5)),
            (b".5", None),
            (b"1.x", None),
            (b"1.2.3", None),
            (b"", None),
        ] {
            assert_eq!(seconds(text), time, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn sparse_pairs_of_version_0_0_become_a_map() {
        let records = text(&[
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"5"),
            ("GNU.sparse.offset", b"9"),
            ("GNU.sparse.numbytes", b"1"),
        ]);
        let records = Records::read(&records);
        assert_eq!(&*records.sparse.map, b"0,5,9,1");
        assert!(!records.is_malformed);
        let unordered = text(&[("GNU.sparse.numbytes", b"5")]);
        assert!(Records::read(&unordered).is_malformed);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in proptest::collection::vec(prop_oneof![
            Just(b' '), Just(b'='), Just(b'\n'), Just(0), b'0'..=b'9', any::<u8>()
        ], 0..80)) {
            Records::read(&text);
        }

        #[test]
        fn any_value_of_an_unknown_key_is_passed_over(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = text(&[("SCHILY.xattr.user.x", &value), ("path", b"a")]);
            let records = Records::read(&text);
            prop_assert_eq!(records.path, Some(&b"a"[..]));
            prop_assert!(!records.is_malformed);
        }
    }
}
