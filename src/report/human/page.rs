//! Lines of text of a given width: wrapped, cut, coloured, and safe to print. Knows nothing of reports.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::text;

/// Text under construction.
pub(super) struct Page {
    width: usize,
    colour: bool,
    text: String,
}

/// How a piece of text is set off. The words say everything without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
    Green,
    Cyan,
    /// White on red.
    Alarm,
}

/// A piece of text and its ink.
pub(super) type Span<'a> = (Ink, &'a str);

impl Page {
    pub(super) fn new(width: usize, colour: bool) -> Self {
        Self {
            width: width.max(LEAST_WIDTH),
            colour,
            text: String::new(),
        }
    }

    /// An empty page of the same kind.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.width, self.colour)
    }

    /// Adds what another page of the same kind holds.
    pub(super) fn append(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    pub(super) fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A heading with a rule to the right edge.
    pub(super) fn heading(&mut self, title: &str) {
        self.blank();
        let title = fit(title, self.width - 4);
        let rule = "─".repeat(self.width - 4 - title.width());
        self.line(&[
            (Ink::Dim, "── "),
            (Ink::Bold, &title),
            (Ink::Dim, &format!(" {rule}")),
        ]);
        self.blank();
    }

    /// A paragraph under a label: `label` stands at `indent`, the text begins at `column` and is wrapped there. Where
    /// a word of it has no room there, the text follows on lines of its own.
    pub(super) fn labelled(&mut self, indent: usize, column: usize, label: &str, spans: &[Span<'_>]) {
        let gap = column.saturating_sub(indent + label.width());
        let room = self.width.saturating_sub(column);
        let is_tight = spans
            .iter()
            .flat_map(|(_, text)| text.split(' '))
            .any(|word| word.width() > room);
        if gap == 0 || is_tight {
            let indent = indent.min(4);
            self.flow(indent, indent, &[(Ink::Dim, label)]);
            self.flow(indent + 2, indent + 2, spans);
            return;
        }
        let label = format!("{label}{}", " ".repeat(gap));
        let mut all = vec![(Ink::Dim, label.as_str())];
        all.extend_from_slice(spans);
        self.flow(indent, column, &all);
    }

    /// A paragraph, broken at spaces, or anywhere in a word that is wider than the page.
    pub(super) fn flow(&mut self, first: usize, rest: usize, spans: &[Span<'_>]) {
        let spans: Vec<(Ink, String)> = spans.iter().map(|(ink, text)| (*ink, clean(text))).collect();
        let chars: Vec<(Ink, char)> = spans
            .iter()
            .flat_map(|(ink, text)| text.chars().map(|c| (*ink, c)))
            .collect();
        let mut start = 0;
        let mut indent = first;
        while start < chars.len() {
            let indent_now = indent.min(self.width / 2);
            let end = line_end(&chars[start..], self.width - indent_now) + start;
            let mut line = chars[start..end].to_vec();
            while line.last().is_some_and(|(_, c)| *c == ' ') {
                line.pop();
            }
            self.chars(indent_now, &line);
            start = end;
            while chars.get(start).is_some_and(|(_, c)| *c == ' ') {
                start += 1;
            }
            indent = rest;
        }
    }

    /// One line as it is; the caller has made it fit.
    pub(super) fn line(&mut self, spans: &[Span<'_>]) {
        let spans: Vec<(Ink, String)> = spans.iter().map(|(ink, text)| (*ink, clean(text))).collect();
        let chars: Vec<(Ink, char)> = spans
            .iter()
            .flat_map(|(ink, text)| text.chars().map(|c| (*ink, c)))
            .collect();
        self.chars(0, &chars);
    }

    fn chars(&mut self, indent: usize, chars: &[(Ink, char)]) {
        self.text.push_str(&" ".repeat(indent));
        let mut ink_now = Ink::Plain;
        let end = chars
            .iter()
            .rposition(|(_, c)| *c != ' ')
            .map_or(0, |last| last + 1);
        let mut is_start = true;
        for (index, (ink, c)) in chars[..end].iter().enumerate() {
            if self.colour && *ink != ink_now {
                self.text.push_str(sgr(*ink));
                ink_now = *ink;
            }
            // GitHub's runner takes `::name` as a command at the start of a line even behind spaces, and `##[name]`
            // anywhere in one. Only the finished line shows where a wrapped text begins.
            let begins = |command: &str| {
                chars[index..]
                    .iter()
                    .map(|(_, c)| *c)
                    .take(command.len())
                    .eq(command.chars())
            };
            if (is_start && begins("::")) || begins("##[") {
                self.text.push_str(&format!("\\u{{{:x}}}", u32::from(*c)));
            } else {
                self.text.push(*c);
            }
            is_start &= *c == ' ';
        }
        if ink_now != Ink::Plain {
            self.text.push_str(sgr(Ink::Plain));
        }
        self.text.push('\n');
    }
}

/// Cut to `width` columns, the cut shown by `…`.
pub(super) fn fit(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.width() <= width {
        return text;
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// Cut or filled to exactly `width` columns, text at the left.
pub(super) fn left(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let fill = " ".repeat(width.saturating_sub(text.width()));
    text + &fill
}

/// Cut or filled to exactly `width` columns, text at the right.
pub(super) fn right(text: &str, width: usize) -> String {
    let text = fit(text, width);
    " ".repeat(width.saturating_sub(text.width())) + &text
}

/// The last net under every text: whatever should have been escaped already and was not. Unlike [`text::escape`] it
/// leaves backslashes, so escaped text stays as it is.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if text::is_unprintable(c) {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// How many of `chars` go on a line of `width` columns.
fn line_end(chars: &[(Ink, char)], width: usize) -> usize {
    let mut used = 0;
    let mut last_space = None;
    for (index, (_, c)) in chars.iter().enumerate() {
        if *c == ' ' && index > 0 {
            last_space = Some(index);
        }
        used += c.width().unwrap_or(0);
        if used > width {
            // A line takes at least one character, however wide, or there would be no end.
            return last_space.unwrap_or(index).max(1);
        }
    }
    chars.len()
}

fn sgr(ink: Ink) -> &'static str {
    match ink {
        Ink::Plain => "\x1b[0m",
        Ink::Bold => "\x1b[0;1m",
        Ink::Dim => "\x1b[0;2m",
        Ink::Red => "\x1b[0;1;31m",
        Ink::Yellow => "\x1b[0;33m",
        Ink::Green => "\x1b[0;32m",
        Ink::Cyan => "\x1b[0;36m",
        Ink::Alarm => "\x1b[0;1;97;41m",
    }
}

const LEAST_WIDTH: usize = 20;
