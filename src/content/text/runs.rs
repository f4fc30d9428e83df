//! Finds maximal runs of an alphabet, and the lines that continue one. Decodes nothing.

use std::ops::Range;

/// Which bytes belong to an alphabet.
pub(super) type Alphabet = [bool; 256];

/// An alphabet of letters, digits and a few more.
pub(super) const fn alphabet(members: &[u8]) -> Alphabet {
    let mut table = [false; 256];
    let mut at = 0;
    while at < members.len() {
        table[members[at] as usize] = true;
        at += 1;
    }
    table
}

/// The next run of at least `least` members that begins at `from` or behind it.
///
/// Looks at every `least`-th byte and goes back from there: a byte that is no member rules out every run that would
/// hold it. *Cost*: about a third of a look per byte of usual text.
pub(super) fn next(bytes: &[u8], from: usize, least: usize, alphabet: &Alphabet) -> Option<Range<usize>> {
    let mut start = from;
    // Everything from `start` to here is known to be members.
    let mut known = from;
    loop {
        let probe = start.checked_add(least)?.checked_sub(1)?;
        let ahead = bytes.get(known..=probe)?;
        match ahead.iter().rposition(|&byte| !alphabet[byte as usize]) {
            Some(stranger) => {
                start = known + stranger + 1;
                known = probe + 1;
            }
            None => return Some(start..end(bytes, probe + 1, alphabet)),
        }
    }
}

/// Where the members that stand from `from` on end.
pub(super) fn end(bytes: &[u8], from: usize, alphabet: &Alphabet) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let length = rest.iter().position(|&byte| !alphabet[byte as usize]);
    from + length.unwrap_or(rest.len())
}

/// Shorter lines are words, not the folded lines of an encoder. The usual widths are 60 to 80.
const LEAST_WIDTH: usize = 40;

/// The run `first` and the lines that continue it: each as long as the first, the last one at most.
///
/// `is_cut` says that `first` is the end of a line whose begin is not in sight.
pub(super) fn lines(
    bytes: &[u8],
    first: Range<usize>,
    is_cut: bool,
    alphabet: &Alphabet,
) -> Vec<Range<usize>> {
    let mut width = first.len();
    let mut is_open = is_cut || width >= LEAST_WIDTH;
    let mut at = first.end;
    let mut lines = vec![first];
    while is_open {
        let Some(gap) = fold(&bytes[at..]) else { break };
        let line = at + gap..end(bytes, at + gap, alphabet);
        let length = line.len();
        if lines.len() == 1 && is_cut && length >= LEAST_WIDTH.max(width) {
            width = length;
        }
        if length == 0 || length > width || width < LEAST_WIDTH {
            break;
        }
        is_open = length == width;
        at = line.end;
        lines.push(line);
    }
    lines
}

/// The length of what folds a line here: a line break, real or escaped, with the indentation behind it and the quotes
/// that end and begin the pieces of a text in a program.
fn fold(bytes: &[u8]) -> Option<usize> {
    /// Deeper indentation is not looked through.
    const MOST: usize = 64;
    let bytes = &bytes[..bytes.len().min(MOST)];
    let skip = |mut at: usize, set: &[u8]| {
        while bytes.get(at).is_some_and(|byte| set.contains(byte)) {
            at += 1;
        }
        at
    };
    let quote = bytes.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
    if let Some(quote) = quote {
        let broken = skip(1, b" \t+.,\\\r\n");
        let is_piece = bytes[1..broken].contains(&b'\n') && bytes.get(broken) == Some(&quote);
        return is_piece.then_some(broken + 1);
    }
    if let Some(b'\r' | b'\n') = bytes.first() {
        let indented = skip(0, b"\r\n");
        // An empty line ends a block.
        let is_one = bytes[..indented].iter().filter(|&&byte| byte == b'\n').count() == 1;
        return is_one.then(|| skip(indented, b" \t"));
    }
    let mut at = 0;
    for letter in [b'r', b'n'] {
        let backslashes = skip(at, b"\\") - at;
        if (1..=2).contains(&backslashes) && bytes.get(at + backslashes) == Some(&letter) {
            at += backslashes + 1;
        }
    }
    (at > 0).then(|| skip(at, b" \t"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LETTERS: Alphabet = alphabet(b"abcdefghijklmnopqrstuvwxyz");

    fn folded(text: &str, width: usize, fold: &str) -> String {
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(width)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        lines.join(fold)
    }

    #[test]
    fn lines_of_one_width_are_one_run_however_they_are_folded() {
        let text = "abcdefghij".repeat(21);
        for fold in [
            "\n", "\r\n", "\n    ", "\\n", "\\\\n", "\\r\\n", "\"\n  \"", "\" +\n\"", "' \\\n '",
        ] {
            let bytes = format!("x: {}\n", folded(&text, 64, fold));
            let first = next(bytes.as_bytes(), 0, 16, &LETTERS).unwrap();
            let joined: Vec<u8> = lines(bytes.as_bytes(), first, false, &LETTERS)
                .into_iter()
                .flat_map(|line| bytes.as_bytes()[line].to_vec())
                .collect();
            assert_eq!(String::from_utf8(joined).unwrap(), text, "{fold:?}");
        }
    }

    #[test]
    fn an_empty_line_or_a_longer_one_ends_the_run() {
        let line = "abcdefgh".repeat(8);
        for text in [
            format!("{line}\n\n{line}"),
            format!("{line}\n{line}a"),
            format!("{line} {line}"),
            "abcdefgh\nabcdefgh".to_owned(),
        ] {
            let first = next(text.as_bytes(), 0, 8, &LETTERS).unwrap();
            assert_eq!(lines(text.as_bytes(), first, false, &LETTERS).len(), 1, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_line_whose_begin_is_out_of_sight_is_continued() {
        let text = format!("abc\n{0}\n{0}\nabc", "abcdefgh".repeat(8));
        assert_eq!(lines(text.as_bytes(), 0..3, true, &LETTERS).len(), 4);
    }

    proptest! {
        #[test]
        fn runs_are_what_a_plain_loop_finds(text in "[a-c1]{0,200}", least in 1_usize..9) {
            let bytes = text.as_bytes();
            let mut expected = Vec::new();
            let mut at = 0;
            for piece in text.split('1') {
                if piece.len() >= least {
                    expected.push(at..at + piece.len());
                }
                at += piece.len() + 1;
            }
            let mut found = Vec::new();
            let mut from = 0;
            while let Some(run) = next(bytes, from, least, &LETTERS) {
                from = run.end;
                found.push(run);
            }
            prop_assert_eq!(found, expected);
        }
    }
}
