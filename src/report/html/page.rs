//! A page under construction: markup that stands in this program, and text that does not. The types keep them apart: only a
//! literal is written as it is.

use crate::report::markup::entities;

/// HTML so far.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Writes markup. A text from a report has no such lifetime.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Writes a style sheet, which holds nothing of a report but numbers.
    pub(super) fn sheet(&mut self, sheet: &str) -> &mut Self {
        self.0.push_str(sheet);
        self
    }

    /// Writes text, also inside the quotes of an attribute.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&entities(text));
        self
    }

    pub(super) fn number(&mut self, number: usize) -> &mut Self {
        self.0.push_str(&number.to_string());
        self
    }

    /// An element with nothing but text in it.
    pub(super) fn element(&mut self, open: &'static str, text: &str, close: &'static str) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}
