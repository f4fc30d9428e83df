//! From a word in the name of a key to the whole name, what encloses it and the value, however they are written:
//! `password: x` below `datasource:` below `spring:` is the key `spring.datasource.password` with the value `x`. Judges
//! neither.
//!
//! An expression cannot see what a line of YAML is part of, nor how a name is spelled everywhere. Here that is read once
//! for all rules that say what their key is called.

use std::ops::Range;

use memchr::{memchr, memmem, memrchr};

/// Words of which one stands in every name that is looked at, in lower case and without what joins two words. Each
/// costs a look wherever it stands in a layer.
const WORDS: [&str; 35] = [
    "password",
    "passwd",
    "passphrase",
    "authtok",
    "secret",
    "token",
    "credential",
    "mnemonic",
    "seed phrase",
    "recovery phrase",
    "api key",
    "app key",
    "access key",
    "account key",
    "admin key",
    "application key",
    "auth key",
    "cookie key",
    "encryption key",
    "fernet key",
    "hash key",
    "hmac key",
    "key base",
    "integration key",
    "license key",
    "master key",
    "primary key",
    "private key",
    "secondary key",
    "service key",
    "session key",
    "shared key",
    "sas key",
    "signing key",
    "storage key",
];

/// Words that are too short or too common to be looked at wherever they stand.
const SIGNED: [&str; 8] = [
    "_pass", "pass:", "pass\"", "_pwd", "pwd=", "pwd =", "key:", "key\"",
];

/// What joins two words of a name.
const JOINTS: [&str; 4] = ["_", "-", ".", ""];

/// The words in every spelling.
pub(super) fn words() -> impl Iterator<Item = Vec<u8>> {
    let spelled = |word: &'static str| {
        let joints = if word.contains(' ') {
            &JOINTS[..]
        } else {
            &JOINTS[..1]
        };
        joints.iter().map(|joint| word.replace(' ', joint).into_bytes())
    };
    let signed = SIGNED.into_iter().map(|word| word.as_bytes().to_vec());
    WORDS.into_iter().flat_map(spelled).chain(signed)
}

/// What the name of a file says of how its keys and values are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    Any,
    /// Properties of Java: a colon needs no space behind it.
    Properties,
}

impl Form {
    /// The form of the file at `path`.
    pub(super) fn of(path: &[u8]) -> Self {
        match path.ends_with(b".properties") {
            true => Self::Properties,
            false => Self::Any,
        }
    }
}

/// A key and its value, in offsets of the region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The name as it is written, without quotes.
    pub(super) name: Range<usize>,
    /// The value, without quotes.
    pub(super) value: Range<usize>,
    /// The value up to what would end it if it stood among others: `a` of `a;b=c`. As `value` where nothing does.
    pub(super) first: Range<usize>,
}

/// The assignment to the key in whose name `word` stands, if it is one. *Cost*: some ten bytes around the word, where it
/// is none.
pub(super) fn assignment(region: &[u8], word: &Range<usize>, form: Form) -> Option<Assignment> {
    let signs = region[word.clone()]
        .iter()
        .rev()
        .take_while(|&&byte| !is_name(byte))
        .count();
    let name = name(region, &(word.start..word.end - signs))?;
    let (value, is_quoted) = value(region, &name, form)?;
    let mut first = value.clone();
    if !is_quoted && !starts_line(region, name.start) {
        let ends = region[value.clone()]
            .iter()
            .position(|byte| b",;&|)}]".contains(byte));
        first.end = ends
            .filter(|&length| length >= SHORTEST)
            .map_or(value.end, |length| value.start + length);
    }
    (first.len() >= SHORTEST).then_some(Assignment { name, value, first })
}

impl Assignment {
    /// The words of the name and of what encloses it, outermost first, in lower case: those of one name are joined by
    /// `_`, names by a dot.
    pub(super) fn key(&self, region: &[u8]) -> Vec<u8> {
        let from = self.name.start.saturating_sub(LOOKBACK);
        let mut key = Vec::new();
        for part in enclosing(region, from, self.name.start).iter().rev() {
            let before = key.len();
            add_words(&region[part.clone()], &mut key);
            // A name of signs alone has no word.
            if key.len() > before {
                key.push(b'.');
            }
        }
        add_words(&region[self.name.clone()], &mut key);
        key
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

fn name(region: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let before = &region[word.start.saturating_sub(NAME_BYTES)..word.start];
    let taken = before.iter().rev().take_while(|&&byte| is_name(byte)).count();
    if taken == NAME_BYTES {
        return None;
    }
    let mut start = word.start - taken;
    // `\nDB_PASSWORD=`: the letter of an escape is no part of the name.
    let is_escaped =
        start > 0 && region[start - 1] == b'\\' && matches!(region.get(start), Some(b'n' | b'r' | b't'));
    start += usize::from(is_escaped && start < word.start);
    while start < word.start && matches!(region[start], b'-' | b'.') {
        start += 1;
    }
    let after = region[word.end..]
        .iter()
        .take(NAME_BYTES)
        .take_while(|&&byte| is_name(byte))
        .count();
    (after < NAME_BYTES).then_some(start..word.end + after)
}

/// A place in a region that only moves forward.
struct Cursor<'a> {
    region: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.region.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn eat(&mut self, text: &[u8]) -> bool {
        let is_there = self.rest().starts_with(text);
        self.at += if is_there { text.len() } else { 0 };
        is_there
    }

    fn skip(&mut self, most: usize, is_skipped: impl Fn(u8) -> bool) -> usize {
        let skipped = self
            .rest()
            .iter()
            .take(most)
            .take_while(|&&byte| is_skipped(byte))
            .count();
        self.at += skipped;
        skipped
    }

    /// A quote with the backslashes before it.
    fn quote(&mut self) -> Option<Quote> {
        let escapes = self
            .rest()
            .iter()
            .take(8)
            .take_while(|&&byte| byte == b'\\')
            .count();
        let byte = *self.rest().get(escapes)?;
        if !is_quote(byte) {
            return None;
        }
        self.at += escapes + 1;
        Some(Quote { byte, escapes })
    }
}

/// How a string is delimited: inside of another string with backslashes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Quote {
    byte: u8,
    escapes: usize,
}

/// How a name and its value are held together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    /// `=`, `:` and the like.
    Sign,
    /// `>` of an XML element, whose end ends the value.
    Element,
    /// Nothing but space.
    Space,
    /// A number of bytes, as in the constants of a class file of Java.
    Length,
}

/// The value, and whether it is quoted.
fn value(region: &[u8], name: &Range<usize>, form: Form) -> Option<(Range<usize>, bool)> {
    let mut cursor = Cursor { region, at: name.end };
    let joined = joined(&mut cursor, name)?;
    if joined != Joined::Length {
        cursor.skip(GAP, is_blank);
    }
    if joined == Joined::Element {
        let text = &cursor.rest()[..cursor.rest().len().min(LONGEST)];
        let end = memchr(b'<', text)?;
        let is_line = text[..end].iter().all(|byte| (b' '..=b'~').contains(byte));
        return is_line.then_some((cursor.at..cursor.at + end, true));
    }
    if joined == Joined::Length {
        let length = cursor
            .rest()
            .get(..2)
            .map(|bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]))?;
        let text = cursor
            .rest()
            .get(2..2 + length)
            .filter(|text| text.len() <= LONGEST)?;
        let is_line = text.iter().all(|byte| (b' '..=b'~').contains(byte));
        // Constants of a class are names of properties, fields and methods as often as values.
        let is_named = is_code(text) || memmem::find(text, b"$anonfun$").is_some();
        return (is_line && !is_named).then_some((cursor.at + 2..cursor.at + 2 + length, true));
    }
    // A list of one value.
    if matches!(cursor.peek(), Some(b'[' | b'(')) && cursor.rest().get(1).is_some_and(|&byte| is_quote(byte))
    {
        cursor.at += 1;
    }
    // Prefixes of strings in Python, C#, C++ and so on.
    if cursor.peek().is_some_and(|byte| b"rRbBuUfFL@N".contains(&byte))
        && cursor.rest().get(1).is_some_and(|&byte| is_quote(byte))
    {
        cursor.at += 1;
    }
    match cursor.quote() {
        Some(quote) => Some((quoted(&mut cursor, quote)?, true)),
        None => {
            // `x-access-token:abc` is a user and a password, but in files that are made of keys and values.
            let is_joined_by_colon = cursor.at.checked_sub(1).map(|at| region[at]) == Some(b':');
            let is_key = form == Form::Properties && starts_line(region, name.start);
            (!is_joined_by_colon || is_key).then_some(())?;
            Some((unquoted(&cursor, joined, name)?, false))
        }
    }
}

/// Moves behind what stands between a name and its value.
fn joined(cursor: &mut Cursor<'_>, name: &Range<usize>) -> Option<Joined> {
    let region = cursor.region;
    let before = name.start.checked_sub(1).map(|at| region[at]);
    let is_quoted = cursor.quote().is_some();
    // `["name"] = `, `{name} = `.
    cursor.skip(2, |byte| matches!(byte, b']' | b'}'));
    let gap = cursor.skip(GAP, is_blank);
    let rest = cursor.rest();
    match rest {
        [b'=', b'>', ..] | [b':', b'=', ..] | [b'?', b'=', ..] => cursor.at += 2,
        [b'|', b'|', ..] | [b'?', b'?', ..] => cursor.at += 2 + usize::from(rest.get(2) == Some(&b'=')),
        // A comparison, where it is no value that begins with the sign.
        [b'=', b'=', next, ..]
            if gap == 0
                && next.is_ascii_graphic()
                && !is_quote(*next)
                && (starts_line(region, name.start) || is_variable(&region[name.clone()], before)) =>
        {
            cursor.at += 1;
            return Some(Joined::Sign);
        }
        [b'=', b'=', ..] | [b':', b':', ..] => return None,
        [b':', ..] => {
            cursor.at += 1;
            skip_type(cursor);
        }
        [b'=', ..] => cursor.at += 1,
        [b',', ..] if is_quoted || starts_line(region, name.start) => {
            cursor.at += 1;
            // `{"name": "ACME_TOKEN", "value": "…"}`
            if !skip_value_key(cursor) {
                // `"password",autoFocus:!0`: what follows in the middle of a line is a value in quotes or none.
                let begin = name.start - usize::from(before.is_some_and(is_quote));
                let follows = cursor.rest().trim_ascii_start();
                let is_text = follows.iter().take(2).any(|&byte| is_quote(byte));
                (is_text || starts_line(region, begin)).then_some(())?;
            }
        }
        [b'>', ..] if is_quoted || before == Some(b'<') => {
            cursor.at += 1;
            return Some(Joined::Element);
        }
        [1 | 8, ..] => return in_class_file(cursor),
        // Terraform: `variable "name" {`, and the value behind `default =`.
        [b'{', ..] if is_quoted => {
            let block = &rest[..rest.len().min(BLOCK)];
            let block = &block[..memchr(b'}', block).unwrap_or(block.len())];
            cursor.at += memmem::find(block, b"default")? + 7;
            cursor.skip(GAP, is_blank);
            cursor.eat(b"=").then_some(())?;
        }
        // `<key>name</key><string>value</string>`
        [b'<', b'/', ..] if before == Some(b'>') => {
            cursor.skip(TAG, |byte| byte != b'>');
            cursor.at += 1;
            cursor.skip(GAP, |byte| byte.is_ascii_whitespace());
            if cursor.peek() != Some(b'<') {
                return None;
            }
            cursor.skip(TAG, |byte| byte != b'>');
            cursor.at += 1;
            return Some(Joined::Element);
        }
        // `- name: ACME_TOKEN` and `value: …` on the next line; `key="name" value="…"`.
        _ if skip_value_key(cursor) => {}
        _ if gap > 0 && !is_quoted => {
            // Go: `password string = "…"`.
            let typed = cursor.at;
            if cursor.eat(b"string") && cursor.skip(GAP, is_blank) > 0 && cursor.eat(b"=") {
                return Some(Joined::Sign);
            }
            cursor.at = typed;
            let is_option = before == Some(b'-');
            // `SetEnv NAME "value"`, `#define NAME "value"`.
            let is_string = cursor.peek().is_some_and(is_quote);
            (is_option || is_string || starts_line(region, name.start)).then_some(())?;
            return Some(Joined::Space);
        }
        _ => return None,
    }
    Some(Joined::Sign)
}

/// The Java Virtual Machine Specification, 4.4: the text of a constant comes behind the name of its field, with the type
/// of the field and a reference between; so do two texts that a method is called with. Without the reference they are a
/// name and its type, or any two names.
fn in_class_file(cursor: &mut Cursor<'_>) -> Option<Joined> {
    let mut is_text = false;
    for _ in 0..4 {
        match cursor.rest() {
            [8, _, _, ..] => {
                cursor.at += 3;
                is_text = true;
            }
            [1, 0, 18, text @ ..] if text.starts_with(b"Ljava/lang/String;") => cursor.at += 3 + 18,
            [1, 0, 13, text @ ..] if text.starts_with(b"ConstantValue") => cursor.at += 3 + 13,
            [1, ..] if is_text => {
                cursor.at += 1;
                return Some(Joined::Length);
            }
            _ => return None,
        }
    }
    None
}

/// Moves behind a type and a sign of assignment, where both are there: `: string = `, `: &'static str = `.
fn skip_type(cursor: &mut Cursor<'_>) {
    let begin = cursor.at;
    cursor.skip(2, is_blank);
    let length = cursor.skip(24, |byte| {
        byte.is_ascii_alphabetic() || matches!(byte, b'&' | b'\'' | b'?' | b' ' | b'|' | b'<' | b'>')
    });
    if length == 0 || !cursor.eat(b"=") {
        cursor.at = begin;
    }
}

/// Moves behind `value:` or `value=` with space before it, where it is there.
fn skip_value_key(cursor: &mut Cursor<'_>) -> bool {
    let begin = cursor.at;
    cursor.skip(GAP, |byte| byte.is_ascii_whitespace() || byte == b',');
    cursor.quote();
    let is_value = cursor
        .rest()
        .get(..5)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"value"));
    if is_value {
        cursor.at += 5;
        cursor.quote();
        cursor.skip(GAP, is_blank);
        if cursor.eat(b":") || cursor.eat(b"=") {
            return true;
        }
    }
    cursor.at = begin;
    false
}

/// Whether nothing but space, or what sets a variable, stands before `at` in its line.
fn starts_line(region: &[u8], at: usize) -> bool {
    let before = &region[at.saturating_sub(GAP)..at];
    let line = memrchr(b'\n', before).map_or(before, |newline| &before[newline + 1..]);
    let line = line.trim_ascii_start();
    let line = line.strip_prefix(b"-").unwrap_or(line).trim_ascii();
    line.is_empty() || [&b"ENV"[..], b"ARG", b"export", b"set", b"env"].contains(&line)
}

/// Whether `name` is written as variables of an environment are: a word of its own, of two parts, in capitals.
fn is_variable(name: &[u8], before: Option<u8>) -> bool {
    let is_capital = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    before.is_some_and(|byte| byte.is_ascii_whitespace())
        && name.contains(&b'_')
        && name.iter().all(is_capital)
}

fn quoted(cursor: &mut Cursor<'_>, quote: Quote) -> Option<Range<usize>> {
    // `"""`: three of them delimit a string of Python, TOML or Java.
    if cursor.rest().starts_with(&[quote.byte, quote.byte]) {
        cursor.at += 2;
        cursor.skip(2, |byte| matches!(byte, b'\r' | b'\n'));
    }
    let text = &cursor.rest()[..cursor.rest().len().min(LONGEST)];
    for at in memchr::memchr_iter(quote.byte, text) {
        let before = text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
        // A backslash that is part of the string is written as twice as many as an escape has at this depth.
        if before % (2 * (quote.escapes + 1)) != quote.escapes {
            continue;
        }
        let value = text[..at - before].trim_ascii_end();
        let is_line = value.iter().all(|&byte| byte >= b' ' && byte != 0x7f);
        return is_line.then_some(cursor.at..cursor.at + value.len());
    }
    None
}

fn unquoted(cursor: &Cursor<'_>, joined: Joined, name: &Range<usize>) -> Option<Range<usize>> {
    let text = &cursor.rest()[..cursor.rest().len().min(LONGEST)];
    let ends = |byte: u8| !(b'!'..=b'~').contains(&byte) || is_quote(byte) || matches!(byte, b'<' | b'\\');
    let length = text.iter().position(|&byte| ends(byte)).unwrap_or(text.len());
    // A quote that a page of HTML escapes: what is decoded of it tells where the value ends.
    let is_escaped_quote = [&b"&#"[..], b"&quot;", b"&apos;"]
        .iter()
        .any(|quote| text.starts_with(quote));
    if length == LONGEST || is_escaped_quote {
        return None;
    }
    if joined == Joined::Space {
        // Prose goes on; a setting ends with its line.
        let line = &text[length..];
        let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
        let is_option = name.start.checked_sub(1).map(|at| cursor.region[at]) == Some(b'-');
        if !is_option && !line.trim_ascii().is_empty() {
            return None;
        }
    }
    let mut value = &text[..length];
    // What ends a statement is no part of the value.
    while let Some(shorter) = value.strip_suffix(b";").or(value.strip_suffix(b",")) {
        value = shorter;
    }
    (!is_code(value)).then_some(cursor.at..cursor.at + value.len())
}

/// `read(x)`, `os.environ.get(`, `settings.db.password`: code, and no value.
fn is_code(value: &[u8]) -> bool {
    let mut names = value.split(|&byte| byte == b'.');
    let count = |is: fn(&u8) -> bool| value.iter().filter(|byte| is(byte)).count();
    // A random text has more of both.
    let is_worded = count(u8::is_ascii_digit) < 2
        && (count(u8::is_ascii_uppercase) * 5 <= value.len() || count(u8::is_ascii_lowercase) == 0);
    let is_path = value.contains(&b'.')
        && is_worded
        && names.all(|name| {
            (1..=32).contains(&name.len())
                && !name[0].is_ascii_digit()
                && name
                    .iter()
                    .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
        });
    if is_path {
        return true;
    }
    let name = value
        .iter()
        .take_while(|&&byte| is_name(byte) || byte == b':')
        .count();
    let arguments = &value[name..];
    // `a.slice(b+1)),c.password=d(`: minified code goes on behind the call.
    let is_word = |word: &[u8]| {
        word.first()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
    };
    let is_member = value[..name].contains(&b'.') && value[..name].split(|&byte| byte == b'.').all(is_word);
    name > 0
        && arguments.first() == Some(&b'(')
        && (arguments.len() == 1 || arguments.ends_with(b")") || is_member)
}

/// The names of what encloses the place `at`, innermost first.
fn enclosing(region: &[u8], from: usize, at: usize) -> Vec<Range<usize>> {
    let line = from + memrchr(b'\n', &region[from..at]).map_or(0, |newline| newline + 1);
    let prefix = &region[line..at];
    let mut names = Vec::new();
    if prefix
        .iter()
        .all(|&byte| is_blank(byte) || is_quote(byte) || byte == b'-' || byte == b':')
    {
        let indent = prefix.iter().take_while(|&&byte| is_indent(byte)).count();
        if indent == 0 {
            names.extend(section(region, from, line));
        } else if by_indent(region, from..line, indent, &mut names) {
            return names;
        }
    }
    if names.is_empty() {
        by_braces(region, at.saturating_sub(BRACES)..at, &mut names);
    }
    names
}

fn is_indent(byte: u8) -> bool {
    is_blank(byte) || byte == b'-'
}

/// The keys of YAML that the lines of `before` show to hold what is indented by `indent`. Whether there is one.
fn by_indent(region: &[u8], before: Range<usize>, mut indent: usize, names: &mut Vec<Range<usize>>) -> bool {
    let mut end = before.end;
    while end > before.start && indent > 0 && names.len() < DEPTH {
        let begin =
            before.start + memrchr(b'\n', &region[before.start..end - 1]).map_or(0, |newline| newline + 1);
        let line = region[begin..end].trim_ascii_end();
        end = begin;
        let lead = line.iter().take_while(|&&byte| is_indent(byte)).count();
        let text = &line[lead..];
        // An empty line or a comment, at whatever place; what is beside, not above.
        if text.is_empty() || text[0] == b'#' || lead >= indent {
            continue;
        }
        let Some(key) = text.strip_suffix(b":") else {
            break;
        };
        let open = usize::from(key.first().is_some_and(|&byte| is_quote(byte)));
        let key = &key[open..key.len() - usize::from(open > 0 && key.len() > 1)];
        if key.is_empty() || !key.iter().all(|&byte| is_name(byte)) {
            break;
        }
        let start = begin + lead + open;
        names.push(start..start + key.len());
        indent = lead;
    }
    !names.is_empty()
}

/// The name in the last `[section]` before a line.
fn section(region: &[u8], from: usize, line: usize) -> Option<Range<usize>> {
    let before = &region[from..line];
    let at = match memmem::rfind(before, b"\n[") {
        Some(at) => at + 2,
        None if before.first() == Some(&b'[') => 1,
        None => return None,
    };
    let length = before[at..]
        .iter()
        .position(|&byte| matches!(byte, b']' | b'\n'))?;
    Some(from + at..from + at + length).filter(|name| name.len() < NAME_BYTES)
}

/// The names before the brackets that are open at the end of `before`: `"acme": {`, `acme = {`, `config["acme"]["`,
/// `provider "acme" {`.
fn by_braces(region: &[u8], before: Range<usize>, names: &mut Vec<Range<usize>>) {
    let mut depth = 0_usize;
    let mut at = before.end;
    while at > before.start && names.len() < DEPTH {
        at -= 1;
        match region[at] {
            b'}' | b']' | b')' => depth += 1,
            b'{' | b'[' | b'(' if depth > 0 => depth -= 1,
            b'{' | b'[' | b'(' => {
                let text = region[before.start..at].trim_ascii_end();
                let joint = |byte: &u8| b"=>: \t]\"'\\".contains(byte);
                let end =
                    before.start + text.len() - text.iter().rev().take_while(|byte| joint(byte)).count();
                let length = region[before.start..end]
                    .iter()
                    .rev()
                    .take(NAME_BYTES)
                    .take_while(|&&byte| is_name(byte))
                    .count();
                if (1..NAME_BYTES).contains(&length) {
                    names.push(end - length..end);
                    at = end - length;
                }
            }
            _ => {}
        }
    }
}

/// Adds the words of a name: `acmeApiKey`, `ACME-API-KEY` and `acme.api.key` are all `acme_api_key`.
fn add_words(name: &[u8], key: &mut Vec<u8>) {
    for (at, &byte) in name.iter().enumerate() {
        let previous = at.checked_sub(1).map(|at| name[at]);
        let next = name.get(at + 1);
        let begins = byte.is_ascii_uppercase()
            && previous.is_some_and(|previous| {
                !previous.is_ascii_uppercase() || next.is_some_and(u8::is_ascii_lowercase)
            });
        let is_joint = !byte.is_ascii_alphanumeric();
        if (begins || is_joint) && key.last().is_some_and(|last| !b"_.".contains(last)) {
            key.push(b'_');
        }
        if !is_joint {
            key.push(byte.to_ascii_lowercase());
        }
    }
}

/// Bytes of a value, at least.
const SHORTEST: usize = 4;

/// Bytes of a value, at most; longer ones are no single credential.
const LONGEST: usize = 1024;

/// Bytes of a name before and behind the word in it. More is base64 or code.
const NAME_BYTES: usize = 80;

/// Blanks between a name, a sign and a value: columns of a formatted file.
const GAP: usize = 48;

/// Bytes of a block in which its default is looked for.
const BLOCK: usize = 300;

/// Bytes of an XML tag.
const TAG: usize = 48;

/// Bytes before a name in which the lines that enclose it are looked for.
const LOOKBACK: usize = 4096;

/// Bytes before a name in which open brackets are looked for: each is a step back.
const BRACES: usize = 1024;

/// Steps outwards.
const DEPTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the value around `word`.
    fn read(text: &str, word: &str) -> Option<(String, String)> {
        read_as(Form::Any, text, word)
    }

    fn read_as(form: Form, text: &str, word: &str) -> Option<(String, String)> {
        let at = text.find(word).unwrap();
        let found = assignment(text.as_bytes(), &(at..at + word.len()), form)?;
        let key = String::from_utf8(found.key(text.as_bytes())).unwrap();
        Some((key, text[found.first].to_owned()))
    }

    #[test]
    fn two_names_in_a_class_file_and_an_escaped_quote_are_no_assignment() {
        for text in [
            "\x01\0\x08password\x01\0\x12Ljava/lang/String;\x01\0\x04Code",
            "\x01\0\x08password\x01\0\x15(Ljava/lang/String;)V\x01\0\x04Code",
            "const password = &#39;Password1 used to make a key&#39;;",
            "const password = &quot;Password1 used to make a key&quot;;",
        ] {
            assert_eq!(read(text, "password"), None, "{text:?}");
        }
    }

    #[test]
    fn a_colon_joins_without_space_in_properties_only() {
        let of = |path: &str, text: &str| read_as(Form::of(path.as_bytes()), text, "password");
        let text = "a=b\ndb.password:hunter22\n";
        let expected = ("db_password".to_owned(), "hunter22".to_owned());
        assert_eq!(of("srv/app/db.properties", text), Some(expected));
        assert_eq!(of("srv/app/users.txt", text), None);
        assert_eq!(
            of("db.properties", "url=https://password:hunter22@acme.io\n"),
            None
        );
    }

    #[test]
    fn a_key_and_its_value_are_read_however_they_are_written() {
        for text in [
            "DB_PASSWORD=hunter22",
            "export DB_PASSWORD='hunter22'",
            "ENV DB_PASSWORD hunter22\nRUN x",
            "db-password: hunter22\n",
            "db.password = hunter22\r\n",
            r#"dbPassword: "hunter22","#,
            r#""DbPassword": "hunter22""#,
            r#"{\"DB_PASSWORD\": \"hunter22\"}"#,
            "'db_password' => 'hunter22',",
            ":db_password => 'hunter22',",
            "$env:DB_PASSWORD = \"hunter22\"",
            "os.environ[\"DB_PASSWORD\"] = \"hunter22\"",
            "define('DB_PASSWORD', 'hunter22');",
            "setProperty(\"db.password\", \"hunter22\")",
            "const dbPassword string = \"hunter22\"",
            "const dbPassword: string = \"hunter22\"",
            "const DB_PASSWORD: &str = \"hunter22\";",
            "<dbPassword>hunter22</dbPassword>",
            "<entry key=\"db.password\">hunter22</entry>",
            "<add key=\"DbPassword\" value=\"hunter22\"/>",
            "<name>db.password</name>\n  <value>hunter22</value>",
            "- name: DB_PASSWORD\n  value: hunter22\n",
            "{\"name\": \"DB_PASSWORD\", \"value\": \"hunter22\"}",
            "run --db-password hunter22 --port 80",
            "run --db-password=hunter22 --port 80",
            "A=b,DB_PASSWORD=hunter22,C=d",
            "name,value\nDB_PASSWORD,\"hunter22\"\n",
            "(1,'db_password','hunter22','2024')",
            "db_password = b'hunter22'",
            "db_password = [\"hunter22\"]",
            "db_password = \"\"\"\nhunter22\"\"\"",
            "A=b\\nDB_PASSWORD=hunter22\\n",
            "x?dbPassword=hunter22&y=z",
            "$ENV{DB_PASSWORD} = 'hunter22';",
            "SetEnv DB_PASSWORD \"hunter22\"",
            "#define DB_PASSWORD \"hunter22\"",
            "variable \"db_password\" {\n  type = string\n  default = \"hunter22\"\n}",
            "\x01\0\x0bDB_PASSWORD\x01\0\x12Ljava/lang/String;\x01\0\x0dConstantValue\x08\0\x1c\x01\0\x08hunter22\x01",
            "\x01\0\x0bdb.password\x08\0\x12\x01\0\x08hunter22\n",
        ] {
            let word = ["PASSWORD", "Password", "password"]
                .into_iter()
                .find(|word| text.contains(word))
                .unwrap();
            let (key, value) = read(text, word).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(value, "hunter22", "{text}");
            assert!(key.ends_with("db_password"), "{text}: {key}");
        }
    }

    #[test]
    fn what_encloses_a_key_is_part_of_its_name() {
        for (text, key) in [
            (
                "spring:\n  datasource:\n    url: x\n    password: hunter22\n",
                "spring.datasource.password",
            ),
            ("a:\n  b: c\nd:\n  - e: f\n    password: hunter22\n", "d.password"),
            ("a:\n  password: hunter22\n", "a.password"),
            ("a:\n  b: c\npassword: hunter22\n", "password"),
            (
                "{\"smtp\": {\"host\": \"x\", \"password\": \"hunter22\"}}",
                "smtp.password",
            ),
            (
                "{\"a\": {\"b\": [1]}, \"smtp\": {\n  \"password\": \"hunter22\"",
                "smtp.password",
            ),
            (
                "config[\"smtp\"][\"password\"] = \"hunter22\"",
                "config.smtp.password",
            ),
            (
                "['smtp' => ['host' => 'x', 'password' => 'hunter22']]",
                "smtp.password",
            ),
            ("provider \"acme\" {\n  password = \"hunter22\"", "acme.password"),
            (
                "[a]\nb = c\n[smtp]\nhost = x\npassword = hunter22\n",
                "smtp.password",
            ),
        ] {
            assert_eq!(read(text, "password").unwrap().0, key, "{text}");
        }
    }

    #[test]
    fn a_value_may_begin_with_the_sign_that_assigns_it() {
        for text in ["DB_PASSWORD==hunter22", "2026-01-02 start DB_PASSWORD==hunter22"] {
            assert_eq!(read(text, "PASSWORD").unwrap().1, "=hunter22", "{text}");
        }
        for text in [
            "if PASSWORD==hunter22",
            "if db_PASSWORD==hunter22",
            "if(DB_PASSWORD==hunter22)",
        ] {
            assert_eq!(read(text, "PASSWORD"), None, "{text}");
        }
    }

    #[test]
    fn what_assigns_nothing_is_none() {
        for text in [
            "the password is hunter22",
            "the password hunter22 is weak",
            "if password == \"hunter22\"",
            "password==\"hunter22\"",
            "password::new(x)",
            "f({placeholder:\"password\",autoFocus:!0})",
            "x-access-token-password:hunter22",
            "password = read(x)",
            "password = settings.db.password;",
            "a.password=b.auth.slice(c+1)),d.user=e",
            "\x01\0\x08password\x01\0\x12Ljava/lang/String;\x01\0\x0dConstantValue\x08\0\x1c\x01\0\x0eoauth.userName\x01",
            "\x01\0\x08password\x08\0\x12\x01\0\x16$anonfun$hunterConfig$7\x01",
            "password",
            "password=",
            "password: abc",
            "password_file",
        ] {
            assert_eq!(read(text, "password"), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            text in r#"(password|value|[ \n\t=:>,"'`\\<\[\](){}a-zA-Z-]){0,120}"#,
            start in proptest::prelude::any::<proptest::sample::Index>(),
            length in 0_usize..9,
        ) {
            let start = start.index(text.len() + 1);
            let word = start..(start + length).min(text.len());
            if let Some(found) = assignment(text.as_bytes(), &word, Form::Any) {
                let key = found.key(text.as_bytes());
                proptest::prop_assert!(!key.windows(2).any(|pair| pair == b"__" || pair == b".."));
                proptest::prop_assert!(found.name.end <= found.value.start && found.value.end <= text.len());
            }
        }
    }
}
