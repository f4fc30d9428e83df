//! The here-documents of commands like `RUN cat <<EOF > /etc/x`, which the parser knows only where they are the whole
//! command: turned into comments of the same length, so that every place stays where it is.

use std::ops::Range;

/// A text without such documents, and where they were, from the first line of each command's documents to the last.
pub(super) fn masked(text: &str) -> (String, Vec<Range<usize>>) {
    let lines: Vec<Range<usize>> = lines(text);
    let escape = escape(text);
    let mut documents = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let first = at;
        let line = text[lines[first].clone()].trim();
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The rest of the instruction, comments between its lines included.
        let mut last = first;
        while at < lines.len() && text[lines[last].clone()].trim_end().ends_with(escape) {
            let is_comment = text[lines[at].clone()].trim_start().starts_with('#');
            if !is_comment {
                last = at;
            }
            at += 1;
        }
        let command = &text[lines[first].start..lines[last].end];
        let words: Vec<&str> = command
            .split_whitespace()
            .filter(|word| !word.starts_with("--"))
            .take(2)
            .collect();
        let keyword = words.first().copied().unwrap_or_default().to_ascii_uppercase();
        if !matches!(keyword.as_str(), "ADD" | "COPY" | "RUN") {
            continue;
        }
        let is_whole = keyword != "RUN" || words.get(1).is_some_and(|word| word.starts_with("<<"));
        let mut end = at;
        let is_closed = delimiters(command).into_iter().all(|(name, tabs)| {
            while end < lines.len() {
                let line = text[lines[end].clone()].trim_end_matches(['\r', '\n']);
                end += 1;
                if (if tabs { line.trim_start_matches('\t') } else { line }) == name {
                    return true;
                }
            }
            false
        });
        if is_closed && end > at {
            if !is_whole {
                documents.push(lines[at].start..lines[end - 1].end);
            }
            at = end;
        }
    }
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for document in &documents {
        masked.push_str(&text[done..document.start]);
        let hidden = text[document.clone()].bytes();
        masked.extend(hidden.map(|byte| if byte == b'\n' { '\n' } else { '#' }));
        done = document.end;
    }
    masked.push_str(&text[done..]);
    (masked, documents)
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let ranges = text.split_inclusive('\n').map(|line| {
        let range = start..start + line.len();
        start = range.end;
        range
    });
    ranges.collect()
}

/// The escape character, by the directive at the top.
fn escape(text: &str) -> char {
    let directives = text.lines().take_while(|line| line.trim_start().starts_with('#'));
    let values = directives.filter_map(|line| {
        let (name, value) = line.trim_start().trim_start_matches('#').split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("escape")
            .then(|| value.trim().chars().next())?
    });
    values.last().filter(|escape| *escape == '`').unwrap_or('\\')
}

/// The names that end the documents of a command, and whether tabs may stand before them. A document begins a word, as
/// BuildKit has it.
fn delimiters(command: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in command.char_indices() {
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') && before != '\\' => quote = Some(c),
            None if c == '<' && (before.is_whitespace() || before.is_ascii_digit()) => {
                let rest = command[at..]
                    .strip_prefix("<<")
                    .filter(|rest| !rest.starts_with('<'));
                if let Some(rest) = rest {
                    let tabs = rest.starts_with('-');
                    let word = rest
                        .trim_start_matches('-')
                        .split(|c: char| c.is_whitespace() || "|;&)>".contains(c));
                    let name: String = word
                        .take(1)
                        .flat_map(str::chars)
                        .filter(|c| !matches!(c, '"' | '\''))
                        .collect();
                    if !name.is_empty() {
                        found.push((name, tabs));
                    }
                }
            }
            None => {}
        }
        before = c;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_inside_of_commands_become_comments_of_the_same_length() {
        for (text, expected) in [
            (
                "RUN cat <<E > x\na\n\nE\nCMD y\n",
                "RUN cat <<E > x\n#\n\n#\nCMD y\n",
            ),
            (
                "RUN a \\\n # b\n <<-'E' 3<<F\n\tE\nx\nF\n",
                "RUN a \\\n # b\n <<-'E' 3<<F\n##\n#\n#\n",
            ),
            ("RUN <<E\nRUN cat <<F\nF\nE\n", "RUN <<E\nRUN cat <<F\nF\nE\n"),
            ("COPY <<E /x\nRUN cat <<F\nE\n", "COPY <<E /x\nRUN cat <<F\nE\n"),
            ("RUN echo $((1<<2)) '<<E'\n", "RUN echo $((1<<2)) '<<E'\n"),
            ("RUN cat <<E\nnever ends\n", "RUN cat <<E\nnever ends\n"),
            ("RUN cat <<<E\nCMD x\n", "RUN cat <<<E\nCMD x\n"),
        ] {
            assert_eq!(masked(text).0, expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_place_moves(text in "(RUN |COPY |<<E|<<-F |E\n|F\n|x|é|\\\\\n|\n|#|\t){0,30}") {
            let (masked, _) = masked(&text);
            proptest::prop_assert_eq!(masked.len(), text.len());
            proptest::prop_assert_eq!(masked.lines().count(), text.lines().count());
        }
    }
}
