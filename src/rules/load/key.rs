//! The names of a key (`key`, `key_words`, `key_names`) → the literals that lead to it and the expression of what stands
//! before its value. Knows nothing of the value.
//!
//! A key is written in a hundred ways: `ACME_API_KEY=`, `acme.api-key: "`, `acme:` with an indented `token:` below it,
//! `config["acme"]["secret"] = '`, `{"name": "ACME_TOKEN", "value": "`, the same inside a string with its quotes escaped.
//! One expression for all rules, so that what is learned of one is learned of all.

use crate::rules::rule::Literal;

use super::{LITERAL_BYTES, Reader, Table};

/// What the three fields say.
pub(super) struct Key {
    /// Texts that the name of the key begins with, as they are.
    begins: Vec<String>,
    /// Expressions of words that it ends in.
    words: Vec<String>,
    /// Whole names, as they are.
    names: Vec<String>,
}

impl Key {
    /// Texts one of which stands in every match.
    pub(super) fn literals(&self) -> Vec<Literal> {
        let mut literals: Vec<Literal> = Vec::new();
        for text in self.begins.iter().chain(&self.names) {
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
        let escaped = |texts: &[String]| -> Vec<String> {
            texts.iter().map(|text| regex_syntax::escape(text)).collect()
        };
        let mut names = Vec::new();
        if !self.begins.is_empty() {
            names.push(format!(
                "(?:{}){BETWEEN}(?:{}){SUFFIX}",
                escaped(&self.begins).join("|"),
                self.words.join("|")
            ));
        }
        names.extend(escaped(&self.names));
        let value = if value.contains("(?P<secret>") {
            value.to_owned()
        } else {
            format!("(?P<secret>{value})")
        };
        format!("(?i:{}){ASSIGNED}{value}", names.join("|"))
    }
}

impl Reader<'_> {
    /// The key of a part, where it has one.
    pub(super) fn key(&mut self, table: Table<'_>) -> Option<Key> {
        let has = |field: &str| table.fields.contains_key(field);
        if !has("key") && !has("key_names") {
            if has("key_words") {
                let hint = "say what such a key begins with".to_owned();
                self.say(table.at("key_words"), "`key_words` without `key`", Some(hint));
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
            if has(field) {
                let hint = "the names of the key lead to it, and `regex` is its value".to_owned();
                self.say(table.at(field), format!("both a key and `{field}`"), Some(hint));
            }
        }
        (!key.begins.is_empty() || !key.names.is_empty()).then_some(key)
    }

    fn names(&mut self, table: Table<'_>, field: &str) -> Vec<String> {
        let mut names = self.texts(table, field);
        if table.fields.contains_key(field) && names.is_empty() {
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

/// Between how a name begins and its last word: the rest of the name, or a step into a table (`"acme": {`, `acme:` and
/// a new line, `["acme"]["`).
const BETWEEN: &str = r#"[a-z0-9_.-]{0,24}(?:\\{0,3}["']?(?:\]\[|[ \t]{0,4}:[ \t]{0,4}\{?\s{1,20}|[ \t]{0,2}[:=]>?[ \t]{0,2}\{\s{0,20})\\{0,3}["']?[a-z0-9_.-]{0,24})?"#;

/// What may be hung on a name.
const SUFFIX: &str = "(?:_?(?:value|prod|production|live|staging|dev|string|[0-9]{1,2}))?";

/// Between a name and its value: quotes, also escaped ones, and an assignment of some language, a default (`|| "`), or
/// `"value":` of a list of names and values.
const ASSIGNED: &str = r#"\\{0,3}["'\]]{0,2}(?:[ \t]{0,8}(?:=>|:=|\|\||\?\?|[:=,> ])|,?\s{1,40}\\{0,3}["']?(?i:value)\\{0,3}["']?[ \t]{0,4}[:=])[ \t]{0,8}\\{0,3}["']?"#;
