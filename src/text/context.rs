//! The lines around a secret, with every secret in them replaced.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::escape;

/// A line near a secret, safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextLine {
    /// Its distance from the secret's first line.
    pub delta: i64,
    /// Its text, escaped and cut.
    pub text: String,
}

/// Lines shown before and after a secret.
const CONTEXT_LINES: usize = 2;
/// What stands for a secret in a line of context.
const MASK: &str = "****";
/// The shortest run of letters and digits that is masked although no rule took it for a secret: a line next to a
/// secret often holds another one.
const OPAQUE_RUN: usize = 16;

/// The lines around `secret`, at most two before and two after, each at most `columns` characters.
///
/// `text` begins at `offset`, which `secret` and `secrets` (all spans to be replaced) count from too. Binary text has no
/// lines to show. Runs of letters and digits that look like a secret are replaced although nobody named them.
pub fn around(
    text: &[u8],
    secret: &Range<u64>,
    secrets: &[Range<u64>],
    offset: u64,
    columns: usize,
) -> Vec<ContextLine> {
    let bytes = text;
    let place = |at: u64| (at.saturating_sub(offset) as usize).min(bytes.len());
    let (low, high, width) = (0, bytes.len(), columns);
    let (from, to) = (place(secret.start), place(secret.end));

    let reach = width * (CONTEXT_LINES + 1);
    let low = low.max(from.saturating_sub(reach));
    let high = high.min(to + reach);
    let mut first = from;
    for _ in 0..=CONTEXT_LINES {
        first = memchr::memrchr(b'\n', &bytes[low..first]).map_or(low, |newline| low + newline);
        if first == low {
            break;
        }
    }
    if first > low || bytes.get(first) == Some(&b'\n') {
        first += 1;
    }
    let mut first = first.min(from);
    let line_start = memchr::memrchr(b'\n', &bytes[low..from]).map_or(low, |newline| low + newline + 1);
    // Far into a long line (minified code), what precedes the secret matters more than the line's beginning.
    let is_cut = from - line_start > width / 2;
    if is_cut {
        first = from - width / 2;
    }
    let mut last = to;
    for _ in 0..=CONTEXT_LINES {
        last = memchr::memchr(b'\n', &bytes[last..high]).map_or(high, |newline| last + newline + 1);
        if last == high {
            break;
        }
    }

    // Binary content has no lines to show.
    if bytes[first..last]
        .iter()
        .filter(|byte| **byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t'))
        .count()
        > 0
    {
        return Vec::new();
    }
    let mut masks: Vec<Range<usize>> = secrets
        .iter()
        .map(|span| place(span.start)..place(span.end))
        .collect();
    let repeated = repetitions(bytes, &masks, first..last);
    masks.retain(|mask| mask.start < last && mask.end > first);
    masks.extend(repeated);
    let mut lines = Vec::new();
    let mut delta = -(memchr::memchr_iter(b'\n', &bytes[first..from]).count() as i64);
    let mut line: Vec<u8> = Vec::new();
    let mut line_delta = delta;
    let mut at = first;
    let mut push = |line: &mut Vec<u8>, delta: i64| {
        let mut shown = escape(&mask_opaque_runs(std::mem::take(line).trim_ascii_end()));
        if is_cut && lines.is_empty() {
            shown.insert(0, '…');
        }
        lines.push(ContextLine {
            delta,
            text: cut_to(shown, width),
        });
    };
    while at < last {
        if let Some(mask) = masks.iter().find(|mask| mask.contains(&at)) {
            let end = mask.end.min(last);
            line.extend_from_slice(MASK.as_bytes());
            delta += memchr::memchr_iter(b'\n', &bytes[at..end]).count() as i64;
            at = end;
            continue;
        }
        if bytes[at] == b'\n' {
            push(&mut line, line_delta);
            delta += 1;
            line_delta = delta;
        } else {
            line.push(bytes[at]);
        }
        at += 1;
    }
    if !line.is_empty() {
        push(&mut line, line_delta);
    }
    lines
}

/// Where `shown` repeats a secret that stands near it, as a comment does below the line it explains.
fn repetitions(bytes: &[u8], secrets: &[Range<usize>], shown: Range<usize>) -> Vec<Range<usize>> {
    /// Shorter ones are words of their own.
    const LEAST: usize = 6;
    /// Farther ones are left to whoever puts the report together, who knows all of them.
    const NEAR: usize = 64 * 1024;
    /// A file with more has nothing to explain.
    const MOST: usize = 64;
    secrets
        .iter()
        .filter(|secret| secret.start < shown.end + NEAR && secret.end + NEAR > shown.start)
        .filter_map(|secret| bytes.get(secret.clone()))
        .filter(|secret| secret.len() >= LEAST)
        .take(MOST)
        .flat_map(|secret| {
            // One that begins before the first line reaches into it.
            let from = shown.start.saturating_sub(secret.len());
            let to = (shown.end + secret.len()).min(bytes.len());
            memchr::memmem::find_iter(&bytes[from..to], secret)
                .map(move |at| from + at..from + at + secret.len())
        })
        .collect()
}

/// Replaces what looks like a secret: a long run of letters and digits, and the runs that slashes and the like join
/// to it, for those are in the alphabets of secrets too.
fn mask_opaque_runs(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let in_run = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'+';
    let joins = |byte: &u8| in_run(byte) || matches!(byte, b'/' | b'-' | b'_' | b'=');
    let is_mixed = |run: &[u8]| run.iter().any(u8::is_ascii_digit) && run.iter().any(u8::is_ascii_alphabetic);
    for joined in line.chunk_by(|a, b| joins(a) == joins(b)) {
        let runs = || joined.chunk_by(|a, b| in_run(a) == in_run(b));
        let is_opaque = runs().any(|run| run.len() >= OPAQUE_RUN && is_mixed(run));
        for run in runs() {
            let is_part = is_opaque && run.len() >= OPAQUE_RUN / 4 && is_mixed(run);
            out.extend_from_slice(if is_part { MASK.as_bytes() } else { run });
        }
    }
    out
}

fn cut_to(text: String, columns: usize) -> String {
    match text.char_indices().nth(columns) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, secrets: &[&str]) -> Vec<(i64, String)> {
        let spans: Vec<Range<u64>> = secrets
            .iter()
            .map(|secret| {
                let start = text.find(secret).expect("the secret is in the text") as u64;
                start..start + secret.len() as u64
            })
            .collect();
        let offset = 1000;
        let moved: Vec<Range<u64>> = spans
            .iter()
            .map(|span| span.start + offset..span.end + offset)
            .collect();
        let lines = around(text.as_bytes(), &moved[0], &moved, offset, 40);
        lines.into_iter().map(|line| (line.delta, line.text)).collect()
    }

    fn lines(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
        expected
            .iter()
            .map(|(delta, text)| (*delta, (*text).to_owned()))
            .collect()
    }

    #[test]
    fn two_lines_before_and_after_are_shown_with_every_secret_replaced() {
        let text = "one\ntwo\nid = hush-hush\nkey = very-secret\nthree\nfour\nfive\n";
        assert_eq!(
            shown(text, &["very-secret", "hush-hush"]),
            lines(&[
                (-2, "two"),
                (-1, "id = ****"),
                (0, "key = ****"),
                (1, "three"),
                (2, "four")
            ])
        );
    }

    #[test]
    fn a_secret_of_many_lines_becomes_one_and_what_follows_keeps_its_distance() {
        assert_eq!(
            shown("a\nB\nC\nD\ne\n", &["B\nC\nD"]),
            lines(&[(-1, "a"), (0, "****"), (3, "e")])
        );
    }

    #[test]
    fn a_run_that_looks_like_a_secret_is_replaced_unasked() {
        assert_eq!(
            shown("k=x1 t=abcdefgh12345678\n", &["x1"]),
            lines(&[(0, "k=**** t=****")])
        );
    }

    #[test]
    fn a_secret_that_a_comment_repeats_is_replaced_there_too() {
        let secret = "aB3/dE6+gH";
        assert_eq!(
            shown(&format!("key={secret}\n# {secret} {secret}\n"), &[secret]),
            lines(&[(0, "key=****"), (1, "# **** ****")])
        );
    }

    #[test]
    fn what_slashes_join_to_such_a_run_is_replaced_with_it() {
        let other = "Zq7hRxjV0e/utX435bmzIuVu3014f0/tD4g";
        assert_eq!(
            shown(&format!("k=x1 o={other} lib/x86_64\n"), &["x1"]),
            lines(&[(0, "k=**** o=****/****/**** lib/x86_64")])
        );
    }

    #[test]
    fn long_lines_are_cut_and_binary_text_shows_nothing() {
        let long = format!("{}KEY{}", "- ".repeat(400), " -".repeat(400));
        let line = &shown(&long, &["KEY"])[0].1;
        assert_eq!(line.chars().count(), 41);
        assert!(line.starts_with('…') && line.ends_with('…'), "{line}");
        assert_eq!(shown("a\u{1}KEY", &["KEY"]), lines(&[]));
    }
}
