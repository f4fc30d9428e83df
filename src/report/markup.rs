//! Text as it may stand in HTML, XML and Markdown. Everything that comes from an image goes through one of these, whatever
//! was done to it before; nothing here writes markup.

use std::fmt::Write as _;

use crate::text::is_unprintable;

/// For the content and the quoted attributes of HTML and XML: the five characters of markup become references, and what is
/// invisible, moves text or may not stand in XML becomes a visible escape.
pub(super) fn entities(text: &str) -> String {
    replaced(text, |c| matches!(c, '&' | '<' | '>' | '"' | '\''))
}

/// For one line of GitHub's Markdown, in a table too: every character that could begin something becomes a reference.
pub(super) fn markdown(text: &str) -> String {
    replaced(text, |c| {
        c.is_ascii_punctuation() && !matches!(c, '-' | '.' | ',' | '/' | '=' | '%' | '+' | ';' | '?')
    })
    .replace("www.", "www&#46;")
}

fn replaced(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let number = u32::from(c);
        if is_unprintable(c) || number & 0xfffe == 0xfffe {
            let _ = write!(out, "\\u{{{number:x}}}");
        } else if is_special(c) {
            let _ = write!(out, "&#{number};");
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_begins_anything() {
        let text = "<b a='1' c=\"2\">&amp;]]>\u{1b}[2J\n\u{202e}\u{ffff}";
        let shown = entities(text);
        assert!(
            !shown.contains(['<', '>', '"', '\'', '\u{1b}', '\n', '\u{202e}', '\u{ffff}']),
            "{shown}"
        );
        assert!(
            shown.starts_with("&#60;b a=&#39;1&#39;") && shown.contains("&#38;amp;"),
            "{shown}"
        );
        let shown = markdown("| `x` [a](b) ![c] *d* _e_ ~f~ #g @h <i> http://j\n");
        assert!(
            !shown.contains(['|', '`', '[', '(', '!', '*', '_', '~', '@', '<', ':', '\n']),
            "{shown}"
        );
        assert_eq!(
            markdown("COPY ci/boto.cfg /root/.boto"),
            "COPY ci/boto.cfg /root/.boto"
        );
    }
}
