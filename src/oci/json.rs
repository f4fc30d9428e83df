//! Reads JSON the way Go programs do, and tells where another parser would see something else.
//!
//! Registries and runtimes are written in Go: keys of a structure match in any letter case and the last one
//! wins, bytes that are not UTF-8 become U+FFFD. A document may be built so that a strict parser reads another
//! image out of it than the one that runs. This reader keeps every member of every object, duplicates included,
//! and does not choose among them; [`Reader`] does, and says so.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::Descriptor;

/// A JSON value with all members of its objects, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Array(Vec<Json>),
    Bool(bool),
    Float(f64),
    Negative,
    Null,
    Object(Vec<(String, Json)>),
    Text(String),
    Unsigned(u64),
}

impl Json {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> &[Json] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    pub(super) fn members(&self) -> &[(String, Json)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// Whether there is nothing in it: `null`, `[]`, `{}`.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Array(items) => items.is_empty(),
            Self::Null => true,
            Self::Object(members) => members.is_empty(),
            _ => false,
        }
    }
}

/// Something about a document that parsers disagree on, or that the specification forbids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum DocumentOddity {
    /// It begins with a byte order mark.
    #[error("it begins with a byte order mark")]
    ByteOrderMark,
    /// A key of a structure is written in other letter case, or several times in different ones.
    #[error("the key `{key}` is written in another letter case, which not every parser accepts")]
    CaseVariantKey {
        /// The key as the specification writes it.
        key: &'static str,
    },
    /// An object has the same key more than once.
    #[error("a key occurs more than once in `{place}`")]
    DuplicateKey {
        /// The object.
        place: String,
    },
    /// A text is not UTF-8, or has half a surrogate pair; it was read with replacement characters.
    #[error("it holds text that is not Unicode")]
    InvalidText,
    /// A descriptor has no digest, or none by the grammar: its blob cannot be named.
    #[error("`{place}` is not a descriptor with a valid digest")]
    MalformedDescriptor {
        /// Which one.
        place: String,
    },
    /// A size is missing, negative, fractional, too large, or no number.
    #[error("`{place}` has no valid size")]
    MalformedSize {
        /// Whose size.
        place: String,
    },
    /// Content-Type, `mediaType` and content do not agree on what the document is.
    #[error("its media type says it is another kind of document than its content does")]
    MediaTypeConflict,
    /// Bytes follow the JSON value.
    #[error("{count} bytes follow the document")]
    TrailingBytes {
        /// How many.
        count: u64,
    },
    /// A field is not of the type that the specification gives it.
    #[error("`{place}` is not of the type it should be")]
    WrongType {
        /// Which field.
        place: String,
    },
}

impl DocumentOddity {
    /// The stable name of the reason: `malformed-descriptor` where something cannot be found by it,
    /// `ambiguous-manifest` otherwise.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MalformedDescriptor { .. } | Self::MalformedSize { .. } | Self::WrongType { .. } => {
                "malformed-descriptor"
            }
            _ => "ambiguous-manifest",
        }
    }
}

/// A document, and what was odd about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The document as Go reads it: the last one of several equal keys wins.
    pub value: T,
    /// What other parsers may see otherwise. Each kind and place once, sorted.
    pub oddities: Vec<DocumentOddity>,
    /// Descriptors that only another reading of the document names.
    pub alternatives: Vec<Descriptor>,
}

/// A value with the oddities of its text, and the bytes that follow it.
#[derive(Debug)]
pub(super) struct Read<'b> {
    pub(super) json: Json,
    pub(super) oddities: Vec<DocumentOddity>,
    pub(super) trailing: &'b [u8],
}

/// Reads one value. *Errors*: the parser's words, which hold no text of the document.
pub(super) fn read(bytes: &[u8]) -> Result<Read<'_>, String> {
    let mut oddities = Vec::new();
    let mut body = bytes;
    if let Some(rest) = body.strip_prefix(b"\xEF\xBB\xBF") {
        body = rest;
        oddities.push(DocumentOddity::ByteOrderMark);
    }
    let repaired = repair(body);
    if repaired.is_some() {
        oddities.push(DocumentOddity::InvalidText);
    }
    let text = repaired.as_deref().unwrap_or(body);
    let budget = Cell::new(VALUES);
    let mut parser = serde_json::Deserializer::from_slice(text);
    let json = Value(&budget)
        .deserialize(&mut parser)
        .map_err(|error| describe(&error))?;
    let mut values = parser.into_iter::<serde::de::IgnoredAny>();
    // The offset of an iterator that was not asked for a value yet is where the value before it ended.
    let end = values.byte_offset();
    let rest = text.get(end..).unwrap_or_default();
    let mut trailing: &[u8] = &[];
    if rest.iter().any(|byte| !byte.is_ascii_whitespace()) {
        oddities.push(DocumentOddity::TrailingBytes {
            count: rest.len() as u64,
        });
        // Repairing a text that is not UTF-8 changes its length, so the tail is counted from the end.
        trailing = match repaired {
            Some(_) => body,
            None => body.get(end..).unwrap_or_default(),
        };
    }
    let _ = values.next();
    duplicates(&json, "", &mut oddities);
    Ok(Read {
        json,
        oddities,
        trailing,
    })
}

/// Whether Go takes `key` for the structure field `name`: letter case does not matter, and two letters outside
/// of ASCII fold into it (`encoding/json`, `foldName`).
pub(super) fn same_key(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(name.chars().map(fold))
}

/// A key as it may appear in a place. Keys of maps are free text: what is long, or looks made by a machine,
/// becomes `*`, so that a place never shows what a report redacts.
pub(super) fn component(key: &str) -> &str {
    const LONGEST: usize = 48;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '#');
    let mechanical = |word: &str| {
        word.len() >= 16
            && word.bytes().any(|b| b.is_ascii_digit())
            && word.bytes().any(|b| b.is_ascii_alphabetic())
    };
    let shown = !key.is_empty()
        && key.len() <= LONGEST
        && key.chars().all(plain)
        && !key.split(|c: char| !c.is_ascii_alphanumeric()).any(mechanical);
    if shown { key } else { "*" }
}

/// `parent.key`, or `key` at the top; cut where it grows beyond what a person reads.
pub(super) fn join(parent: &str, key: &str) -> String {
    const LONGEST: usize = 240;
    let key = component(key);
    if parent.is_empty() {
        key.to_owned()
    } else if parent.len() + key.len() > LONGEST {
        parent.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// Looks fields of structures up, and notes what other parsers would see otherwise.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) oddities: Vec<DocumentOddity>,
    pub(super) alternatives: Vec<Descriptor>,
}

impl Reader {
    /// All values that Go could take for the field `key`, without nulls; the last one is the one it takes.
    pub(super) fn all<'j>(&mut self, object: &'j Json, key: &'static str) -> Vec<&'j Json> {
        let mut found = Vec::new();
        for (name, value) in object.members() {
            if name != key && same_key(name, key) {
                self.oddities.push(DocumentOddity::CaseVariantKey { key });
            }
            if *value != Json::Null && same_key(name, key) {
                found.push(value);
            }
        }
        found
    }

    pub(super) fn last<'j>(&mut self, object: &'j Json, key: &'static str) -> Option<&'j Json> {
        self.all(object, key).pop()
    }

    /// The last value of `key` as text. Another type is noted.
    pub(super) fn text(&mut self, object: &Json, key: &'static str) -> Option<String> {
        let value = self.last(object, key)?;
        if value.text().is_none() {
            self.oddities.push(DocumentOddity::WrongType {
                place: key.to_owned(),
            });
        }
        value.text().map(str::to_owned)
    }

    pub(super) fn finish<T>(mut self, value: T, named: &[Descriptor]) -> Parsed<T> {
        self.oddities.sort();
        self.oddities.dedup();
        self.alternatives.sort_by(|a, b| a.digest.cmp(&b.digest));
        self.alternatives.dedup_by(|a, b| a.digest == b.digest);
        self.alternatives
            .retain(|other| named.iter().all(|named| named.digest != other.digest));
        Parsed {
            value,
            oddities: self.oddities,
            alternatives: self.alternatives,
        }
    }
}

/// 4 million values: a provenance of 40 MiB has fewer. Beyond it a document is scanned as text: a tree of
/// nothing but brackets would take 24 times its size in memory.
const VALUES: usize = 4_000_000;

/// Oddities of one kind that are kept; a document with more is odd enough.
const DUPLICATES: usize = 16;

fn duplicates(json: &Json, place: &str, oddities: &mut Vec<DocumentOddity>) {
    match json {
        Json::Array(items) => {
            for item in items {
                duplicates(item, place, oddities);
            }
        }
        Json::Object(members) => {
            let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
            keys.sort_unstable();
            let repeats = keys.windows(2).any(|pair| pair[0] == pair[1]);
            if repeats && oddities.len() < DUPLICATES {
                let place = if place.is_empty() { "the document" } else { place };
                oddities.push(DocumentOddity::DuplicateKey { place: place.into() });
            }
            for (key, value) in members {
                if matches!(value, Json::Array(_) | Json::Object(_)) {
                    duplicates(value, &join(place, key), oddities);
                }
            }
        }
        _ => {}
    }
}

/// The bytes with what Go would replace replaced, if there is anything.
fn repair(bytes: &[u8]) -> Option<Vec<u8>> {
    let valid = std::str::from_utf8(bytes).is_ok();
    if valid && memchr::memmem::find(bytes, b"\\u").is_none() {
        return None;
    }
    let mut out = if valid {
        bytes.to_vec()
    } else {
        String::from_utf8_lossy(bytes).into_owned().into_bytes()
    };
    let mut changed = !valid;
    let mut at = 0;
    while at < out.len() {
        if out[at] != b'\\' {
            at += 1;
            continue;
        }
        match surrogate(&out, at) {
            // An escaped pair stands for one character: step over both halves.
            Some(0xD800..=0xDBFF) if matches!(surrogate(&out, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(_) => {
                out[at + 2..at + 6].copy_from_slice(b"FFFD");
                changed = true;
                at += 6;
            }
            None => at += 2,
        }
    }
    changed.then_some(out)
}

/// The half of a surrogate pair that is escaped at `at`, if one is.
fn surrogate(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}

fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "too many values",
        serde_json::error::Category::Eof => "the document ends early",
        serde_json::error::Category::Io => "it cannot be read",
        serde_json::error::Category::Syntax => "invalid JSON",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

#[derive(Clone, Copy)]
struct Value<'c>(&'c Cell<usize>);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let Some(left) = self.0.get().checked_sub(1) else {
            return Err(D::Error::custom("too many values"));
        };
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(u64::try_from(number).map_or(Json::Negative, Json::Unsigned))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(number))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Float(number))
    }
    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(key) = members.next_key::<String>()? {
            object.push((key, members.next_value_seed(self)?));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_member_of_an_object() {
        let read = read(br#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(read.json.members().len(), 2);
        assert_eq!(
            read.oddities,
            [DocumentOddity::DuplicateKey {
                place: "the document".into()
            }]
        );
    }

    #[test]
    fn tells_bytes_behind_the_value() {
        let read = read(b"{} \n{\"x\":1}").unwrap();
        assert_eq!(read.json, Json::Object(Vec::new()));
        assert_eq!(read.trailing, b" \n{\"x\":1}");
        assert!(super::read(b"{} \r\n\t").unwrap().oddities.is_empty());
        assert_eq!(super::read(b"{}\0").unwrap().trailing, b"\0");
    }

    #[test]
    fn reads_what_go_repairs() {
        let read =
            read(b"\xEF\xBB\xBF{\"a\":\"x\\uD800y\",\"b\":\"\xFF\",\"c\":\"\\uD83D\\uDE00\"}").unwrap();
        let texts: Vec<_> = read
            .json
            .members()
            .iter()
            .map(|(_, value)| value.text().unwrap())
            .collect();
        assert_eq!(texts, ["x\u{FFFD}y", "\u{FFFD}", "\u{1F600}"]);
        assert_eq!(
            read.oddities,
            [DocumentOddity::ByteOrderMark, DocumentOddity::InvalidText]
        );
    }

    #[test]
    fn an_escaped_backslash_does_not_begin_a_surrogate() {
        let read = read(br#"{"a":"\\ud800"}"#).unwrap();
        assert!(read.oddities.is_empty());
        assert_eq!(read.json.members()[0].1.text(), Some("\\ud800"));
    }

    #[test]
    fn refuses_what_is_nested_too_deep_or_broken() {
        let deep = [b"[".repeat(5000), b"]".repeat(5000)].concat();
        assert!(read(&deep).is_err());
        for broken in [&b""[..], b"{", b"{\"a\":}", b"<html>", b"nul", b"\"\n\""] {
            assert!(read(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn keys_match_as_in_go() {
        for key in ["layers", "Layers", "LAYERS", "layer\u{17F}"] {
            assert!(same_key(key, "layers"), "{key}");
        }
        assert!(!same_key("layers ", "layers"));
    }

    #[test]
    fn places_do_not_show_keys_that_may_be_secret() {
        for key in [
            "config",
            "org.opencontainers.image.title",
            "build-arg:TOKEN",
            "step12",
        ] {
            assert_eq!(component(key), key);
        }
        for key in ["", "a b", "0123456789abcdef0123", "x\u{1b}[31m", &"a".repeat(60)] {
            assert_eq!(component(key), "*");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn never_panics_on_text_like_json(text in "[\\[\\]{}\":,a\\\\uDd8Cc0 -]{0,60}") {
            let _ = read(text.as_bytes());
        }
    }
}
