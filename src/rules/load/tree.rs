//! TOML as the loader reads it: values and where they stand. Knows no fields of rules.
//!
//! The build script turns the files of `rules/` into such trees and these into bytes, since parsing TOML was a third of
//! what a small scan took; files of users are parsed when they are loaded.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use toml::de::{DeInteger, DeTable, DeValue};

/// A table: its fields in the order they are written in.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Fields<'a>(#[serde(borrow)] Vec<Field<'a>>);

/// A field.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Field<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    /// Where the name stands, in bytes from the begin of the file.
    pub(super) at: u32,
    #[serde(borrow)]
    pub(super) value: Placed<'a>,
}

/// A value and where it stands.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Placed<'a> {
    #[serde(borrow)]
    pub(super) value: Value<'a>,
    pub(super) at: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Value<'a> {
    Boolean(bool),
    /// A date or a time, which no field takes.
    Datetime,
    Float(f32),
    /// `None` where it is negative or larger than any field takes.
    Integer(Option<u32>),
    #[serde(borrow)]
    List(Vec<Placed<'a>>),
    #[serde(borrow)]
    Table(Fields<'a>),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

impl<'a> Fields<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Field<'a>> {
        self.0.iter()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Placed<'a>> {
        self.iter()
            .find(|field| field.name == name)
            .map(|field| &field.value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

impl<'a> From<&DeTable<'a>> for Fields<'a> {
    fn from(table: &DeTable<'a>) -> Self {
        let field = |(name, value): (&toml::Spanned<Cow<'a, str>>, &toml::Spanned<DeValue<'a>>)| Field {
            name: name.get_ref().clone(),
            at: place(name),
            value: Placed::from(value),
        };
        Self(table.iter().map(field).collect())
    }
}

impl<'a> From<&toml::Spanned<DeValue<'a>>> for Placed<'a> {
    fn from(spanned: &toml::Spanned<DeValue<'a>>) -> Self {
        let number = |integer: &DeInteger<'_>| u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let value = match spanned.get_ref() {
            DeValue::Array(items) => Value::List(items.iter().map(Placed::from).collect()),
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f32::NAN)),
            DeValue::Integer(integer) => Value::Integer(number(integer)),
            DeValue::String(text) => Value::Text(text.clone()),
            DeValue::Table(table) => Value::Table(Fields::from(table)),
        };
        Self {
            value,
            at: place(spanned),
        }
    }
}

impl Value<'_> {
    /// What TOML calls its type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "boolean",
            Self::Datetime => "datetime",
            Self::Float(_) => "float",
            Self::Integer(_) => "integer",
            Self::List(_) => "array",
            Self::Table(_) => "table",
            Self::Text(_) => "string",
        }
    }
}

/// A file of rules is far smaller than 4 GiB; of a larger one only the places in messages are wrong.
fn place<T>(spanned: &toml::Spanned<T>) -> u32 {
    u32::try_from(spanned.span().start).unwrap_or(u32::MAX)
}
