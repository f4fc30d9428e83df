//! The words of an instruction: variables replaced by their values where those are known, and by "anything" where the
//! build decided them. Follows the Dockerfile reference's "Environment replacement"; runs no shell.

use std::collections::BTreeMap;

/// A text with gaps that may hold anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Any,
    Text(String),
}

impl Pattern {
    pub(super) fn literal(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    pub(super) fn any_after(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned()), Part::Any])
    }

    /// Several words with a space between.
    pub(super) fn joined(words: Vec<Self>) -> Self {
        let mut joined = Vec::new();
        for word in words {
            if !joined.is_empty() {
                joined.push(Part::Text(" ".to_owned()));
            }
            joined.extend(word.0);
        }
        Self(joined)
    }

    /// Whether the text is one that the pattern stands for.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        let mut is_open = false;
        let count = self.0.len();
        for (index, part) in self.0.iter().enumerate() {
            match part {
                Part::Any => is_open = true,
                Part::Text(part) if part.is_empty() => {}
                Part::Text(part) => {
                    // The last text must be the end: what is before it may be anything.
                    let at = if is_open && index + 1 == count {
                        rest.len()
                            .checked_sub(part.len())
                            .filter(|_| rest.ends_with(part.as_str()))
                    } else if is_open {
                        rest.find(part.as_str())
                    } else {
                        rest.starts_with(part.as_str()).then_some(0)
                    };
                    let Some(at) = at else { return false };
                    rest = &rest[at + part.len()..];
                    is_open = false;
                }
            }
        }
        is_open || rest.is_empty()
    }

    /// Whether something of the text is known.
    pub(super) fn is_telling(&self) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, Part::Text(text) if text.chars().any(char::is_alphanumeric)))
    }

    /// The known parts of the text.
    pub(super) fn known(&self) -> String {
        let texts = self.0.iter().map(|part| match part {
            Part::Any => " ",
            Part::Text(text) => text,
        });
        texts.collect()
    }

    /// The whole text, where all of it is known.
    pub(super) fn text(&self) -> Option<String> {
        let is_known = self.0.iter().all(|part| matches!(part, Part::Text(_)));
        is_known.then(|| self.known())
    }

    fn push(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Part::Text(text)) => text.push(c),
            _ => self.0.push(Part::Text(c.to_string())),
        }
    }

    fn append(&mut self, other: &Self) {
        for part in &other.0 {
            match part {
                Part::Any => self.0.push(Part::Any),
                Part::Text(text) => text.chars().for_each(|c| self.push(c)),
            }
        }
    }
}

/// What is known of variables at one place of a stage.
#[derive(Clone, Debug)]
pub(super) struct Variables {
    escape: char,
    values: BTreeMap<String, Pattern>,
    folder: Pattern,
}

impl Variables {
    pub(super) fn new(escape: char) -> Self {
        Self {
            escape,
            values: BTreeMap::new(),
            // The base image may have entered any folder.
            folder: Pattern(vec![Part::Any]),
        }
    }

    /// Notes an `ARG`: the build may give it any value, unless `ENV` has set it.
    pub(super) fn argument(&mut self, name: &str) {
        let unknown = || Pattern(vec![Part::Any]);
        self.values.entry(name.to_owned()).or_insert_with(unknown);
    }

    /// Notes the values of an `ENV`.
    pub(super) fn environment(&mut self, text: &str) {
        let words = split(text);
        if let Some(first) = words.first()
            && !first.contains('=')
        {
            let value = text.trim_start().get(first.len()..).unwrap_or_default();
            let value = self.expanded(value);
            self.values.insert(fold(first), value);
            return;
        }
        // One instruction sees the values from before it only.
        let values: Vec<(String, Pattern)> = (words.iter())
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (fold(name), self.expanded(value)))
            .collect();
        self.values.extend(values);
    }

    /// Goes to another folder.
    pub(super) fn enter(&mut self, folder: &Pattern) {
        self.folder = folder.clone();
    }

    /// A path from the root.
    pub(super) fn absolute(&self, path: &str) -> Pattern {
        let path = self.expanded(path);
        let starts_at_root = matches!(path.0.first(), Some(Part::Text(text)) if text.starts_with('/'));
        if starts_at_root || matches!(path.0.first(), Some(Part::Any)) {
            return path;
        }
        let mut whole = self.folder.clone();
        if let Some(Part::Text(text)) = whole.0.last_mut() {
            text.truncate(text.trim_end_matches('/').len());
        }
        whole.push('/');
        let mut rest = path.known();
        while let Some(shorter) = rest.strip_prefix("./") {
            rest = shorter.to_owned();
        }
        match path.text() {
            Some(_) if rest == "." => {}
            Some(_) => rest.chars().for_each(|c| whole.push(c)),
            None => whole.append(&path),
        }
        whole
    }

    /// The text with its variables replaced, quotes taken away and white space folded.
    pub(super) fn expanded(&self, text: &str) -> Pattern {
        let mut out = Pattern(vec![Part::Text(String::new())]);
        let mut chars = text.trim().chars().peekable();
        let (mut single, mut space) = (false, false);
        while let Some(c) = chars.next() {
            if c.is_whitespace() {
                space = true;
                continue;
            }
            if std::mem::take(&mut space) {
                out.push(' ');
            }
            match c {
                '\'' => single = !single,
                '"' => {}
                c if c == self.escape && !single => {
                    if let Some(escaped) = chars.next().filter(|c| !matches!(c, '"' | '\'' | '\\')) {
                        if escaped.is_whitespace() {
                            space = true;
                        } else {
                            out.push(escaped);
                        }
                    }
                }
                '\\' => {}
                '$' if !single => {
                    let mut name = String::new();
                    let mut is_plain = true;
                    if chars.peek() == Some(&'{') {
                        chars.next();
                        for c in chars.by_ref().take_while(|c| *c != '}') {
                            is_plain &= c.is_ascii_alphanumeric() || c == '_';
                            name.push(c);
                        }
                    } else {
                        while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                            name.push(c);
                        }
                    }
                    match self.values.get(&name).filter(|_| is_plain) {
                        _ if name.is_empty() => out.push('$'),
                        Some(value) => out.append(value),
                        None => out.0.push(Part::Any),
                    }
                }
                c => out.push(c),
            }
        }
        out
    }
}

/// A text without quotes and backslashes, white space folded: what of it every builder keeps.
pub(super) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace()) {
        let word = word.chars().filter(|c| !matches!(c, '"' | '\'' | '\\' | '`'));
        let before = out.len();
        out.extend(word);
        if out.len() > before {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A command of several lines as builders join them: without comments between its lines.
pub(super) fn fold_command(text: &str) -> String {
    let lines: Vec<&str> = (text.lines().enumerate())
        .filter(|(number, line)| *number == 0 || !line.trim_start().starts_with('#'))
        .map(|(_, line)| line)
        .collect();
    fold(&lines.join("\n"))
}

/// The words of a text; quotes hold a word together and stay in it.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (open, '\\') if open != Some('\'') => {
                word.push(c);
                word.extend(chars.next());
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::new('\\');
        variables.argument("VERSION");
        variables.environment(r#"HOME=/srv/app NAME="two words""#);
        variables
    }

    #[test]
    fn known_variables_are_replaced_and_unknown_ones_may_be_anything() {
        for (text, written, is_match) in [
            ("$HOME/x", "/srv/app/x", true),
            ("${HOME}/x", "/srv/app/y", false),
            ("a-$VERSION.tgz", "a-1.2.tgz", true),
            ("a-${VERSION:-1}.tgz b", "a-1.2.tgz b", true),
            ("a-$VERSION.tgz", "b-1.2.tgz", false),
            ("T=$NAME", "T=two words", true),
            ("'$HOME'", "$HOME", true),
            (r"\$HOME", "$HOME", true),
            ("cost 5$", "cost 5$", true),
        ] {
            let pattern = variables().expanded(text);
            assert_eq!(pattern.matches(&fold(written)), is_match, "{text} {pattern:?}");
        }
    }

    #[test]
    fn relative_paths_are_taken_from_the_working_folder() {
        let mut variables = variables();
        assert!(variables.absolute("x").matches("/anything/x"));
        let folder = variables.absolute("/opt/");
        variables.enter(&folder);
        assert_eq!(variables.absolute("x/").text().as_deref(), Some("/opt/x/"));
        assert_eq!(variables.absolute("./x").text().as_deref(), Some("/opt/x"));
        assert_eq!(variables.absolute(".").text().as_deref(), Some("/opt/"));
        assert_eq!(
            variables.absolute("$HOME/x").text().as_deref(),
            Some("/srv/app/x")
        );
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(split(r#"A=b C="d e" F=g\ h"#), ["A=b", r#"C="d e""#, r"F=g\ h"]);
        assert_eq!(fold("RUN  \"a\"\\\n  'b'"), "RUN a b");
        assert_eq!(fold_command("a \\\n # no\n b"), "a b");
    }
}
