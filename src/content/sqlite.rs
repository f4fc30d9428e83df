//! Reads the rows of a SQLite database in memory (the database file format, sections 1.3 to 2.6): each text and blob
//! as `column = 'value'`, put together from its overflow pages, UTF-16 as UTF-8. Reads no index, no log and no free page;
//! what is there is searched as the bytes it is.
//!
//! Written here because a scanner goes on behind a damaged page, and needs no more of the format than its rows.

use std::borrow::Cow;

use super::archive::{Format, Members, OpenError, Refusal, Step};
use crate::limits::Limits;

/// The first bytes of a database.
pub(super) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Rows are handed over together up to so many bytes: most are a few dozen, and each text costs a search.
const TEXT_BYTES: usize = 32 * 1024;

/// Bytes of the name of a column or a table.
const NAME_BYTES: usize = 256;

/// Columns of a table: what SQLite itself can be built for.
const MOST_COLUMNS: usize = 32_767;

/// Hands the rows of all tables over, named `<table>/<row>` or `<table>/<first row>-<last row>`.
pub(super) fn open(bytes: &[u8], limits: &Limits, members: &mut dyn Members) -> Result<(), OpenError> {
    let mut database = Database::new(bytes)?;
    let mut tables = Vec::new();
    database.rows(1, &mut |_, row| {
        tables.extend(table(row));
        Ok(())
    })?;
    tables.truncate(usize::try_from(limits.archive_members).unwrap_or(usize::MAX));
    for table in tables {
        let mut texts = Texts {
            table: &table,
            text: Vec::new(),
            rows: None,
            members,
        };
        database.rows(table.root, &mut |number, row| texts.add(number, row))?;
        texts.hand_over()?;
    }
    match database.is_odd {
        true => Err(Refusal::malformed("a page of it is damaged").into()),
        false => Ok(()),
    }
}

/// Hands over each blob of the table of this name. Goes on behind damaged pages, and says nothing of them.
pub fn blobs(bytes: &[u8], name: &[u8], visit: &mut dyn FnMut(&[u8])) {
    let Ok(mut database) = Database::new(bytes) else {
        return;
    };
    let mut root = None;
    let found = database.rows(1, &mut |_, row| {
        root = root.or(table(row)
            .filter(|table| table.name == name)
            .map(|table| table.root));
        Ok(())
    });
    let (Ok(()), Some(root)) = (found, root) else {
        return;
    };
    let handed_over = database.rows(root, &mut |_, row| {
        for value in &row {
            if let Value::Blob(value) = value {
                visit(value);
            }
        }
        Ok(())
    });
    debug_assert!(handed_over.is_ok(), "only what visits rows fails");
}

struct Database<'a> {
    bytes: &'a [u8],
    page_bytes: usize,
    /// Without what is reserved at the end of each page.
    usable_bytes: usize,
    encoding: Encoding,
    /// Pages that were read, so that none is read twice.
    seen: Vec<bool>,
    /// Bytes of rows that may still come: in a sound database they do not overlap.
    left: usize,
    is_odd: bool,
}

#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Utf16Be,
    Utf16Le,
}

/// A value of a row; numbers and NULL are none.
enum Value<'r> {
    Blob(&'r [u8]),
    Text(Cow<'r, [u8]>),
    Number(i64),
    None,
}

/// A table, as the schema has it.
struct Table {
    name: Vec<u8>,
    root: u32,
    columns: Vec<Vec<u8>>,
}

/// What is done with a row: its number, if it has one, and its values.
type Visit<'v> = dyn FnMut(Option<i64>, Vec<Value<'_>>) -> Result<(), OpenError> + 'v;

impl<'a> Database<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let head = bytes.first_chunk::<100>().ok_or(Refusal::Truncated)?;
        let page_bytes = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 0x1_0000,
            size => usize::from(size),
        };
        let usable_bytes = page_bytes.saturating_sub(usize::from(head[20]));
        if !page_bytes.is_power_of_two() || page_bytes < 512 || usable_bytes < 480 {
            return Err(Refusal::malformed("its pages have no possible size"));
        }
        Ok(Self {
            bytes,
            page_bytes,
            usable_bytes,
            encoding: match head[59] {
                2 => Encoding::Utf16Le,
                3 => Encoding::Utf16Be,
                _ => Encoding::Utf8,
            },
            seen: vec![false; bytes.len() / page_bytes + 1],
            left: bytes.len(),
            is_odd: false,
        })
    }

    /// The page of this number, from 1 on, the first time it is asked for.
    fn page(&mut self, number: u32) -> Option<&'a [u8]> {
        let place = (number as usize).checked_sub(1)?;
        let start = place.checked_mul(self.page_bytes)?;
        let page = self.bytes.get(start..start.checked_add(self.usable_bytes)?)?;
        let seen = self.seen.get_mut(place)?;
        (!std::mem::replace(seen, true)).then_some(page)
    }

    /// Goes through the rows of a b-tree, of a table or of one without row numbers.
    fn rows(&mut self, root: u32, visit: &mut Visit<'_>) -> Result<(), OpenError> {
        let mut waiting = vec![root];
        while let Some(number) = waiting.pop() {
            let Some(page) = self.page(number) else {
                self.is_odd = true;
                continue;
            };
            let head = if number == 1 { 100 } else { 0 };
            let kind = page[head];
            let (is_leaf, is_table) = match kind {
                2 => (false, false),
                5 => (false, true),
                10 => (true, false),
                13 => (true, true),
                _ => {
                    self.is_odd = true;
                    continue;
                }
            };
            let count = usize::from(u16::from_be_bytes([page[head + 3], page[head + 4]]));
            let pointers = head + if is_leaf { 8 } else { 12 };
            let mut children = Vec::new();
            for cell in 0..count {
                let pointer = page.get(pointers + 2 * cell..pointers + 2 * cell + 2);
                let start = pointer.map(|pointer| usize::from(u16::from_be_bytes([pointer[0], pointer[1]])));
                let Some(mut rest) = start.and_then(|start| page.get(start..)) else {
                    self.is_odd = true;
                    break;
                };
                if !is_leaf {
                    let Some((child, after)) = rest.split_first_chunk::<4>() else {
                        self.is_odd = true;
                        continue;
                    };
                    children.push(u32::from_be_bytes(*child));
                    rest = after;
                }
                if is_leaf || !is_table {
                    let Some((row, payload)) = self.payload(rest, is_table) else {
                        self.is_odd = true;
                        continue;
                    };
                    visit(row, values(&payload, self.encoding))?;
                }
            }
            if !is_leaf {
                let last = page[head + 8..].first_chunk::<4>();
                children.extend(last.map(|last| u32::from_be_bytes(*last)));
            }
            // No sound tree has more pages than there are.
            if waiting.len() + children.len() > self.seen.len() {
                self.is_odd = true;
                continue;
            }
            waiting.extend(children.into_iter().rev());
        }
        Ok(())
    }

    /// The number and the content of the row that a cell holds (sections 1.6 and 2.3).
    fn payload(&mut self, mut cell: &'a [u8], is_table: bool) -> Option<(Option<i64>, Cow<'a, [u8]>)> {
        let length = usize::try_from(varint(&mut cell)?).ok()?;
        let row = if is_table { Some(varint(&mut cell)?) } else { None };
        self.left = self.left.checked_sub(length)?;
        let usable = self.usable_bytes;
        let most = if is_table {
            usable - 35
        } else {
            (usable - 12) * 64 / 255 - 23
        };
        if length <= most {
            return Some((row, Cow::Borrowed(cell.get(..length)?)));
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let local = match least + (length - least) % (usable - 4) {
            local if local <= most => local,
            _ => least,
        };
        let mut payload = cell.get(..local)?.to_vec();
        let mut next = u32::from_be_bytes(*cell[local..].first_chunk()?);
        while payload.len() < length {
            let Some((following, content)) = self.page(next).and_then(<[u8]>::split_first_chunk::<4>) else {
                // What there is of it is searched.
                self.is_odd = true;
                break;
            };
            let count = content.len().min(length - payload.len());
            payload.extend_from_slice(&content[..count]);
            next = u32::from_be_bytes(*following);
        }
        Some((row, Cow::Owned(payload)))
    }
}

/// The values of a row (section 2.1); fewer where it is cut.
fn values(record: &[u8], encoding: Encoding) -> Vec<Value<'_>> {
    let mut head = record;
    let Some(length) = varint(&mut head).and_then(|length| usize::try_from(length).ok()) else {
        return Vec::new();
    };
    let Some(body) = record.get(length..) else {
        return Vec::new();
    };
    let head_bytes = length.saturating_sub(record.len() - head.len());
    let mut types = &head[..head_bytes.min(head.len())];
    let mut rest = body;
    let mut values = Vec::new();
    while values.len() < MOST_COLUMNS
        && let Some(kind) = varint(&mut types)
    {
        let kind = kind.cast_unsigned();
        let length = match kind {
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            _ => kind.saturating_sub(12) / 2,
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        let (value, after) = rest.split_at(length);
        rest = after;
        values.push(match kind {
            1..=6 => Value::Number(
                value
                    .iter()
                    .fold(0, |number, byte| number << 8 | i64::from(*byte)),
            ),
            8 | 9 => Value::Number(kind.cast_signed() - 8),
            12.. if kind % 2 == 0 => Value::Blob(value),
            12.. => Value::Text(text(value, encoding)),
            _ => Value::None,
        });
    }
    values
}

fn text(value: &[u8], encoding: Encoding) -> Cow<'_, [u8]> {
    let unit = match encoding {
        Encoding::Utf8 => return Cow::Borrowed(value),
        Encoding::Utf16Be => u16::from_be_bytes,
        Encoding::Utf16Le => u16::from_le_bytes,
    };
    let units = value.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let characters = char::decode_utf16(units).map(|character| character.unwrap_or('\u{fffd}'));
    Cow::Owned(characters.collect::<String>().into_bytes())
}

/// A number of one to nine bytes, seven bits each but for the last (section 1.6).
fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for place in 0..9 {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        if place == 8 {
            value = value << 8 | u64::from(byte);
        } else {
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    Some(value.cast_signed())
}

/// A table of the schema: type, name, name of the table, first page, statement.
fn table(row: Vec<Value<'_>>) -> Option<Table> {
    let [
        Value::Text(kind),
        Value::Text(name),
        _,
        Value::Number(root),
        Value::Text(statement),
    ] = row.as_slice()
    else {
        return None;
    };
    if kind.as_ref() != b"table" {
        return None;
    }
    Some(Table {
        name: name[..name.len().min(NAME_BYTES)].to_vec(),
        root: u32::try_from(*root).ok().filter(|root| *root > 1)?,
        columns: columns(statement),
    })
}

/// The names of the columns in the order they are stored; none where the statement does not tell it.
fn columns(statement: &[u8]) -> Vec<Vec<u8>> {
    let upper = statement.to_ascii_uppercase();
    let has = |word: &[u8]| memchr::memmem::find(&upper, word).is_some();
    let Some(start) = memchr::memchr(b'(', statement) else {
        return Vec::new();
    };
    // The key comes first there, and what is computed is not stored.
    if has(b"WITHOUT ROWID") || has(b"GENERATED") || has(b" AS (") {
        return Vec::new();
    }
    let mut columns = Vec::new();
    let (mut depth, mut quote, mut from) = (0_usize, None, start + 1);
    for (at, &byte) in statement.iter().enumerate().skip(start + 1) {
        match (quote, byte) {
            (Some(end), _) if byte == end => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'' | b'`') => quote = Some(byte),
            (None, b'[') => quote = Some(b']'),
            (None, b'(') => depth += 1,
            (None, b',' | b')') if depth == 0 => {
                let definition = statement[from..at].trim_ascii();
                let name = match definition.split_first() {
                    Some((&open @ (b'"' | b'\'' | b'`' | b'['), rest)) => {
                        let close = if open == b'[' { b']' } else { open };
                        rest.split(|byte| *byte == close).next()
                    }
                    _ => definition
                        .split(|byte| byte.is_ascii_whitespace() || *byte == b'(')
                        .next(),
                };
                let name = name.unwrap_or_default();
                let is_constraint = [&b"CONSTRAINT"[..], b"PRIMARY", b"UNIQUE", b"CHECK", b"FOREIGN"]
                    .iter()
                    .any(|word| name.eq_ignore_ascii_case(word));
                if is_constraint || byte == b')' && name.is_empty() {
                    break;
                }
                columns.push(name[..name.len().min(NAME_BYTES)].to_vec());
                from = at + 1;
                if byte == b')' || columns.len() == MOST_COLUMNS {
                    break;
                }
            }
            (None, b')') => depth -= 1,
            _ => {}
        }
    }
    columns
}

/// Gathers rows of one table.
struct Texts<'t> {
    table: &'t Table,
    text: Vec<u8>,
    /// The numbers of the first and the last row.
    rows: Option<(i64, i64)>,
    members: &'t mut dyn Members,
}

impl Texts<'_> {
    fn add(&mut self, number: Option<i64>, row: Vec<Value<'_>>) -> Result<(), OpenError> {
        for (place, value) in row.iter().enumerate() {
            let value = match value {
                Value::Blob(value) => value,
                Value::Text(value) => value.as_ref(),
                Value::Number(_) | Value::None => continue,
            };
            if value.is_empty() {
                continue;
            }
            let fallback = format!("column {}", place + 1);
            let column = self
                .table
                .columns
                .get(place)
                .map_or(fallback.as_bytes(), Vec::as_slice);
            if let Some(number) = number
                && Format::of(&value[..value.len().min(Format::HEAD_BYTES)]).is_some()
            {
                let name = [&self.table.name[..], format!("/{number}/").as_bytes(), column].concat();
                self.members
                    .member(Step::Member(&name), &mut &*value)
                    .map_err(OpenError::Content)?;
                continue;
            }
            assignment(&mut self.text, column, value);
        }
        self.setting(&row);
        let number = number.unwrap_or(0);
        let (first, _) = self.rows.unwrap_or((number, number));
        self.rows = Some((first, number));
        if self.text.len() >= TEXT_BYTES {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Writes a row of a table of settings once more as what it means: the text of its column `name` is given the text
    /// of its column `value`.
    fn setting(&mut self, row: &[Value<'_>]) {
        let text = |words: &[&[u8]]| {
            let place = self.table.columns.iter().position(|column| {
                let last = column.rsplit(|&byte| byte == b'_').next().unwrap_or_default();
                words.iter().any(|word| last.eq_ignore_ascii_case(word))
            })?;
            match row.get(place)? {
                Value::Text(text) if !text.is_empty() => Some(text),
                _ => None,
            }
        };
        if let (Some(name), Some(value)) = (text(&NAME_COLUMNS), text(&VALUE_COLUMNS))
            && name.len() <= NAME_BYTES
        {
            // The sign that assigns is kept with the name in some.
            let end = name
                .iter()
                .rposition(|&byte| byte != b'=' && byte != b':')
                .map_or(0, |last| last + 1);
            assignment(&mut self.text, &name[..end], value);
        }
    }

    fn hand_over(&mut self) -> Result<(), OpenError> {
        let text = std::mem::take(&mut self.text);
        let rows = match self.rows.take() {
            Some((0, 0)) | None => String::new(),
            Some((first, last)) if first == last => format!("/{first}"),
            Some((first, last)) => format!("/{first}-{last}"),
        };
        if text.is_empty() {
            return Ok(());
        }
        let name = [&self.table.name[..], rows.as_bytes()].concat();
        self.members
            .member(Step::Member(&name), &mut text.as_slice())
            .map_err(OpenError::Content)
    }
}

/// What the columns of a table of settings are called, or end in after `_`.
const NAME_COLUMNS: [&[u8]; 6] = [b"name", b"key", b"setting", b"option", b"parameter", b"variable"];
const VALUE_COLUMNS: [&[u8]; 3] = [b"value", b"val", b"content"];

/// Writes a line that gives a value to a name, quoted where that changes nothing of it.
pub(super) fn assignment(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let quote: &[u8] = match value.iter().any(|byte| matches!(byte, b'\'' | b'\\' | b'\n')) {
        true => b"",
        false => b"'",
    };
    for piece in [name, b" = ", quote, value, quote, b"\n"] {
        text.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{self, Read};

    use super::*;

    struct Kept(HashMap<String, String>);

    impl Members for Kept {
        fn member(&mut self, step: Step<'_>, content: &mut dyn Read) -> io::Result<()> {
            let Step::Member(name) = step else {
                panic!("databases have members only")
            };
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            let name = String::from_utf8_lossy(name).into_owned();
            self.0.insert(name, String::from_utf8_lossy(&bytes).into_owned());
            Ok(())
        }

        fn refused(&mut self, name: &[u8], refusal: Refusal) {
            panic!("{name:?}: {refusal}");
        }
    }

    #[test]
    fn columns_are_read_off_the_statement_or_not_at_all() {
        let told = |statement: &str| {
            let columns = columns(statement.as_bytes());
            columns
                .iter()
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(
                "CREATE TABLE t(id INTEGER PRIMARY KEY, \"a, b\" TEXT DEFAULT ',', [c d] NUMERIC(1,2), e, CHECK (e > 1))"
            ),
            ["id", "a, b", "c d", "e"]
        );
        assert_eq!(told("CREATE TABLE t(a,b)"), ["a", "b"]);
        assert_eq!(told("CREATE TABLE t(a PRIMARY KEY, b) WITHOUT ROWID"), [""; 0]);
        assert_eq!(told("CREATE TABLE t"), [""; 0]);
        assert_eq!(told("CREATE TABLE t(a"), [""; 0]);
    }

    #[test]
    fn a_row_of_settings_is_an_assignment_whatever_sign_its_name_ends_in() {
        let table = Table {
            name: b"settings".to_vec(),
            root: 2,
            columns: vec![b"option_name".to_vec(), b"option_value".to_vec()],
        };
        let mut kept = Kept(HashMap::new());
        let mut texts = Texts {
            table: &table,
            text: Vec::new(),
            rows: None,
            members: &mut kept,
        };
        for (row, name) in [(1, "APP_ENV"), (2, "APP_ENV="), (3, "app.env:"), (4, "=")] {
            let cells = [name, "prod"].map(|text| Value::Text(Cow::Borrowed(text.as_bytes())));
            texts.add(Some(row), cells.into()).unwrap();
            texts.hand_over().unwrap();
        }
        for (row, name) in [(1, "APP_ENV"), (2, "APP_ENV"), (3, "app.env"), (4, "")] {
            let last = kept.0[&format!("settings/{row}")]
                .lines()
                .last()
                .unwrap()
                .to_owned();
            assert_eq!(last, format!("{name} = 'prod'"));
        }
    }

    #[test]
    fn pages_that_lead_to_themselves_and_rows_that_overlap_end() {
        // An inner page whose only child is itself, behind a schema that names it.
        let mut bytes = vec![0; 1024];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..18].copy_from_slice(&512_u16.to_be_bytes());
        let mut record = vec![6, 23, 15, 15, 1, 21];
        record.extend(b"tablett\x02CREATE");
        record.resize(record.len() + 4, b' ');
        record[1] = 13 + 2 * 5;
        record[5] = 13 + 2 * 10;
        let cell = [&[record.len() as u8, 1][..], &record].concat();
        let start = 512 - cell.len();
        bytes[start..512].copy_from_slice(&cell);
        bytes[100] = 13;
        bytes[103..105].copy_from_slice(&1_u16.to_be_bytes());
        bytes[108..110].copy_from_slice(&(start as u16).to_be_bytes());
        bytes[512] = 5;
        bytes[520..524].copy_from_slice(&2_u32.to_be_bytes());
        let mut kept = Kept(HashMap::new());
        let refused = open(&bytes, &Limits::default(), &mut kept);
        assert!(
            matches!(refused, Err(OpenError::Refused(Refusal::Malformed(_)))),
            "{refused:?}"
        );
        // Thousands of cells that are all the same one.
        bytes[103..105].copy_from_slice(&100_u16.to_be_bytes());
        for cell in 0..100 {
            bytes[108 + 2 * cell..110 + 2 * cell].copy_from_slice(&(start as u16).to_be_bytes());
        }
        assert!(open(&bytes, &Limits::default(), &mut kept).is_err());
        assert!(kept.0.is_empty());
    }
}
