//! The names of a key (`key`, `key_words`, `key_names`) → the literals that lead to it, the expression of what stands
//! before its value, and that of its name as the engine reads it. Knows nothing of the value.
//!
//! A key is written in a hundred ways: `ACME_API_KEY=`, `acme.api-key: "`, `acme:` with an indented `token:` below it,
//! `config["acme"]["secret"] = '`, `{"name": "ACME_TOKEN", "value": "`, the same inside a string with its quotes escaped.
//! One expression for all rules, so that what is learned of one is learned of all.

use crate::rules::rule::{KeyName, Literal};

use super::{LITERAL_BYTES, Origin, Reader, Table};

/// What the three fields say.
pub(super) struct Key {
    /// Texts that the name of the key begins with, their words joined by `_`.
    begins: Vec<String>,
    /// Expressions of words that it ends in.
    words: Vec<String>,
    /// Whole names, their words joined by `_`. Other words may stand before them unless they begin with `^`.
    names: Vec<String>,
}

impl Key {
    /// Names that other words may stand before.
    fn parts(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| !name.starts_with('^'))
    }

    /// Texts one of which stands in every match of the expression; none where only the engine reads the name: one that
    /// is given as a whole, or any that ends in one of the words.
    pub(super) fn literals(&self) -> Vec<Literal> {
        let mut literals: Vec<Literal> = Vec::new();
        for text in self
            .begins
            .iter()
            .chain(self.parts())
            .flat_map(|name| spellings(name))
        {
            let literal = Literal {
                text: text.to_ascii_lowercase().into_bytes(),
                ignore_case: true,
            };
            if !literals.contains(&literal) {
                literals.push(literal);
            }
        }
        literals
    }

    /// The expression of a key and of what stands between it and its value, and then the one of the value.
    pub(super) fn before(&self, value: &str) -> String {
        let value = secret(value);
        let spelled = |text: &String| {
            spellings(text)
                .into_iter()
                .map(|text| regex_syntax::escape(&text))
        };
        let mut names = Vec::new();
        if !self.begins.is_empty() {
            let words: Vec<String> = self
                .words
                .iter()
                .map(|word| word.replace("_?", "[_.-]?"))
                .collect();
            names.push(format!(
                "(?:{}){BETWEEN}(?:{}){SUFFIX}",
                self.begins.iter().flat_map(spelled).collect::<Vec<_>>().join("|"),
                words.join("|")
            ));
        }
        names.extend(self.parts().flat_map(spelled));
        match names.is_empty() {
            true => value,
            false => format!("(?i:{}){ASSIGNED}{value}", names.join("|")),
        }
    }

    /// Texts as [`KeyName::leads`] has them.
    fn leads(&self) -> Vec<Vec<u8>> {
        let is_joint = |byte: &u8| b"_-.^".contains(byte);
        let names = self.begins.iter().chain(&self.names);
        let mut leads: Vec<Vec<u8>> = names
            .map(|name| name.bytes().filter(|byte| !is_joint(byte)).collect())
            .collect();
        leads.iter_mut().for_each(|lead| lead.make_ascii_lowercase());
        leads.sort();
        leads.dedup();
        leads
    }

    /// The expression of the name as [`KeyName::names`] has it.
    fn name(&self) -> String {
        let loosely = |text: &String| -> String {
            let words = text.split(['_', '-', '.', '^']).filter(|word| !word.is_empty());
            let words = words.map(|word| regex_syntax::escape(&word.to_ascii_lowercase()));
            words.collect::<Vec<_>>().join("[_.]?")
        };
        let any = |names: &mut dyn Iterator<Item = &String>| names.map(loosely).collect::<Vec<_>>().join("|");
        let words = self.words.join("|").replace("_?", "[_.]?");
        let mut names = Vec::new();
        if !self.begins.is_empty() {
            let begins = any(&mut self.begins.iter());
            names.push(format!("(?:^|[_.])(?:{begins})[a-z0-9_.]*(?:{words})"));
        }
        let whole = any(&mut self.names.iter().filter(|name| name.starts_with('^')));
        if !whole.is_empty() {
            names.push(format!("(?:^|[.])(?:{whole})"));
        }
        let parts = any(&mut self.parts());
        if !parts.is_empty() {
            names.push(format!("(?:^|[_.])(?:{parts})"));
        }
        if names.is_empty() {
            names.push(format!("(?:^|[_.])(?:{words})"));
        }
        format!("(?:{}){SUFFIX}$", names.join("|"))
    }
}

impl Reader<'_> {
    /// The key of a part, where it has one.
    pub(super) fn key(&mut self, table: Table<'_>) -> Option<Key> {
        let has = |field: &str| table.fields.has(field);
        if !["key", "key_names", "key_words"].into_iter().any(has) {
            if has("value") {
                let hint = "say what the key is called whose value it is".to_owned();
                self.say(table.at("value"), "`value` without a key", Some(hint));
            }
            return None;
        }
        let key = Key {
            begins: self.names(table, "key"),
            words: match has("key_words") {
                true => self.texts(table, "key_words"),
                false => WORDS.map(str::to_owned).to_vec(),
            },
            names: self.names(table, "key_names"),
        };
        if has("key_words") && key.words.is_empty() {
            self.say(table.at("key_words"), "`key_words` is empty", None);
        }
        for field in ["literals", "extract"] {
            if has(field) && !has("value") {
                let hint = "the names of the key lead to it, and `regex` is its value; with `value`, `regex` stands \
                            for itself"
                    .to_owned();
                self.say(table.at(field), format!("both a key and `{field}`"), Some(hint));
            }
        }
        Some(key)
    }

    /// What the engine reads of a key, for a part whose fields are good.
    pub(super) fn key_name(&mut self, table: Table<'_>, key: &Key) -> Option<KeyName> {
        let field = match table.fields.has("value") {
            true => "value",
            false => "regex",
        };
        let value = self.text(table, field)?;
        let names = key.name();
        if self.origin == Origin::User
            && let Err(reason) = super::parse_regex(&names)
        {
            self.say(
                table.at("key_words"),
                format!("`key_words` is no expression: {reason}"),
                None,
            );
            return None;
        }
        let value = self.regex(table, field, secret(&value), &[], None)?;
        Some(KeyName {
            names,
            leads: key.leads(),
            value,
        })
    }

    fn names(&mut self, table: Table<'_>, field: &str) -> Vec<String> {
        let mut names = self.texts(table, field);
        if table.fields.has(field) && names.is_empty() {
            self.say(table.at(field), format!("`{field}` is empty"), None);
        }
        names.retain(|name| {
            let fits = (2..=LITERAL_BYTES).contains(&name.len()) && name.is_ascii();
            if !fits {
                let hint = format!("it has 2 to {LITERAL_BYTES} characters of ASCII");
                self.say(
                    table.at(field),
                    format!("`{name}` cannot lead to a key"),
                    Some(hint),
                );
            }
            fits
        });
        names
    }
}

/// The expression of a value with its group.
fn secret(value: &str) -> String {
    if value.contains("(?P<secret>") {
        value.to_owned()
    } else {
        format!("(?P<secret>{value})")
    }
}

/// A name with each of `_`, `-`, `.` and nothing between its words. What it begins or ends with is kept.
fn spellings(name: &str) -> Vec<String> {
    let inner = name.trim_matches('_');
    let at = name.find(inner).unwrap_or(0);
    let (start, end) = (&name[..at], &name[at + inner.len()..]);
    let mut spelled: Vec<String> = ["_", "-", ".", ""]
        .map(|joint| format!("{start}{}{end}", inner.replace('_', joint)))
        .to_vec();
    spelled.sort();
    spelled.dedup();
    spelled
}

/// What the name of a key ends in where the rule does not say.
const WORDS: [&str; 11] = [
    "api_?key",
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "pass",
    "pwd",
    "auth",
    "credentials?",
    "pat",
];

/// Between how a name begins and its last word: the rest of the name, words of prose, or a step into a table
/// (`"acme": {`, `acme:` and a new line, `["acme"]["`).
const BETWEEN: &str = r#"[a-z0-9_.-]{0,24}(?: (?:[a-z]{1,12} ){0,2}|\\{0,3}["']?(?:\]\[|[ \t]{0,4}:[ \t]{0,4}\{?\s{1,20}|[ \t]{0,2}[:=]>?[ \t]{0,2}\{\s{0,20})\\{0,3}["']?[a-z0-9_.-]{0,24})?"#;

/// What may be hung on a name.
const SUFFIX: &str = "(?:_?(?:value|prod|production|live|staging|dev|string|[0-9]{1,2}))?";

/// Between a name and its value: quotes, also escaped ones, and an assignment of some language, a default (`|| "`), or
/// `"value":` of a list of names and values.
const ASSIGNED: &str = r#"\\{0,3}["'\]]{0,2}(?:[ \t]{0,40}(?:=>|:=|\|\||\?\?|[:=,> ])|,?\s{1,40}\\{0,3}["']?(?i:value)\\{0,3}["']?[ \t]{0,4}[:=])[ \t]{0,8}\\{0,3}["']?"#;
