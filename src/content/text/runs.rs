//! Finds maximal runs of an alphabet, and the lines that continue one. Decodes nothing.

use std::ops::Range;

/// Members of the shortest run that can be looked for.
pub(super) const LEAST: usize = 16;

/// Bytes that are looked at together: one bit of a word for each.
const STRETCH: usize = 64;

/// Finds the runs of members of an alphabet, in order.
///
/// Usual text holds words, so where runs end cannot be predicted: stretches become words of bits, in which a run of
/// [`LEAST`] shows by shifting, without a branch for each.
pub(super) struct Runs<'b, F> {
    bytes: &'b [u8],
    least: usize,
    is_member: F,
    /// Where the stretch in hand begins, a bit for each of its bytes, and the bits of the stretch before it.
    stretch_at: usize,
    members: u64,
    before: u64,
}

impl<'b, F: Fn(u8) -> bool + Copy> Runs<'b, F> {
    /// The runs of at least `least` members, which is at least [`LEAST`].
    pub(super) fn new(bytes: &'b [u8], least: usize, is_member: F) -> Self {
        debug_assert!(least >= LEAST);
        let mut runs = Self {
            bytes,
            least,
            is_member,
            stretch_at: 0,
            members: 0,
            before: 0,
        };
        runs.load(0);
        runs
    }

    /// Leaves out what begins before `at`.
    pub(super) fn skip_to(&mut self, at: usize) {
        self.before = 0;
        match at.checked_sub(self.stretch_at) {
            Some(seen) if seen < STRETCH => self.members &= u64::MAX << seen,
            Some(_) => self.load(at),
            None => {}
        }
    }

    fn load(&mut self, at: usize) {
        let rest = self.bytes.get(at..).unwrap_or_default();
        self.stretch_at = at;
        self.members = match rest.first_chunk::<STRETCH>() {
            Some(stretch) => bits(stretch, self.is_member),
            None => {
                let mut last = [0; STRETCH];
                last[..rest.len()].copy_from_slice(rest);
                // What fills it up is behind the end.
                bits(&last, self.is_member) & ((1 << rest.len()) - 1)
            }
        };
    }
}

impl<F: Fn(u8) -> bool + Copy> Iterator for Runs<'_, F> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while self.stretch_at < self.bytes.len() {
            // From the stretch before, or within this one.
            let open = self.before.leading_ones() as usize;
            let mut begins = self.members;
            for shift in [1, 2, 4, 8] {
                begins &= begins >> shift;
            }
            let start = if open > 0 && open + self.members.trailing_ones() as usize >= LEAST {
                self.stretch_at - open
            } else if begins != 0 {
                self.stretch_at + begins.trailing_zeros() as usize
            } else {
                self.before = self.members;
                self.load(self.stretch_at + STRETCH);
                continue;
            };
            // Most runs end in the stretch, where that is known already.
            let seen = start.saturating_sub(self.stretch_at);
            let in_stretch = seen + (self.members >> seen).trailing_ones() as usize;
            let end = match in_stretch {
                STRETCH => end(self.bytes, self.stretch_at + STRETCH, self.is_member),
                _ => self.stretch_at + in_stretch,
            };
            let run = start..end;
            self.skip_to(run.end);
            if run.len() >= self.least {
                return Some(run);
            }
        }
        None
    }
}

/// A bit for each byte, the first one lowest: whether it is a member.
fn bits(stretch: &[u8; STRETCH], is_member: impl Fn(u8) -> bool) -> u64 {
    // A loop over a fixed length becomes vector instructions.
    let mut members = [0_u8; STRETCH];
    for (member, &byte) in members.iter_mut().zip(stretch) {
        *member = u8::from(is_member(byte));
    }
    let mut bits = 0;
    for (number, eight) in members.as_chunks::<8>().0.iter().enumerate() {
        // Moves the lowest bit of each of eight bytes to one of the highest eight bits.
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (8 * number);
    }
    bits
}

/// Where the members that stand from `from` on end.
pub(super) fn end(bytes: &[u8], from: usize, is_member: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let length = rest.iter().position(|&byte| !is_member(byte));
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
    is_member: impl Fn(u8) -> bool + Copy,
) -> Vec<Range<usize>> {
    let mut width = first.len();
    let mut is_open = is_cut || width >= LEAST_WIDTH;
    let mut at = first.end;
    let mut lines = vec![first];
    while is_open {
        let Some(gap) = fold(&bytes[at..]) else { break };
        let line = at + gap..end(bytes, at + gap, is_member);
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

    fn is_letter(byte: u8) -> bool {
        byte.is_ascii_lowercase()
    }

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
            let first = Runs::new(bytes.as_bytes(), 16, is_letter).next().unwrap();
            let joined: Vec<u8> = lines(bytes.as_bytes(), first, false, is_letter)
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
            "abcdefghijklmnop\nabcdefghijklmnop".to_owned(),
        ] {
            let first = Runs::new(text.as_bytes(), LEAST, is_letter).next().unwrap();
            assert_eq!(lines(text.as_bytes(), first, false, is_letter).len(), 1, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_line_whose_begin_is_out_of_sight_is_continued() {
        let text = format!("abc\n{0}\n{0}\nabc", "abcdefgh".repeat(8));
        assert_eq!(lines(text.as_bytes(), 0..3, true, is_letter).len(), 4);
    }

    proptest! {
        #[test]
        fn runs_are_what_a_plain_loop_finds(text in "([a-c]{0,40}[1 ]{0,3}){0,12}", least in LEAST..24) {
            let bytes = text.as_bytes();
            let mut expected = Vec::new();
            let mut at = 0;
            for piece in text.split(['1', ' ']) {
                if piece.len() >= least {
                    expected.push(at..at + piece.len());
                }
                at += piece.len() + 1;
            }
            let found: Vec<_> = Runs::new(bytes, least, is_letter).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
