//! Runs of hexadecimal digits (RFC 4648, section 8), also folded into lines. Digests decode to no text and are passed
//! over.

use std::ops::Range;

use super::runs::{self, Runs};
use super::{Allowance, Decoded, Encoding, Places, is_worth};

pub(super) fn is_digit(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 6 || byte.wrapping_sub(b'0') < 10
}

/// Digits of the shortest run: sixteen bytes.
const LEAST: usize = 32;

/// Adds what the runs of digits in `run` decode to, which is a run of a larger alphabet.
pub(super) fn find(bytes: &[u8], run: Range<usize>, allowance: &mut Allowance, out: &mut Vec<Decoded>) {
    if run.len() < LEAST {
        return;
    }
    let mut runs = Runs::new(&bytes[run.clone()], LEAST, is_digit);
    while let Some(digits) = runs.next() {
        let digits = run.start + digits.start..run.start + digits.end;
        let Some(odd) = (0..2).find(|odd| is_worth(&look(&bytes[digits.start + odd..digits.end]))) else {
            continue;
        };
        let lines = runs::lines(bytes, digits.start + odd..digits.end, false, is_digit);
        let length = lines.iter().map(Range::len).sum::<usize>();
        if !allowance.take(length / 2) {
            return;
        }
        let text: Vec<u8> = lines
            .iter()
            .flat_map(|line| &bytes[line.clone()])
            .copied()
            .collect();
        let decoded: Vec<u8> = text.chunks_exact(2).filter_map(pair).collect();
        let places = Places::units(lines, length / 2 * 2, (2, 1));
        let at = places.extent();
        runs.skip_to(at.end - run.start);
        out.push(Decoded {
            at,
            encoding: Encoding::Hex,
            bytes: decoded,
            places,
        });
    }
}

fn look(digits: &[u8]) -> [u8; LEAST / 2 - 1] {
    let mut look = [0; LEAST / 2 - 1];
    for (byte, digits) in look.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair(digits).unwrap_or_default();
    }
    look
}

/// The byte that two digits are.
pub(super) fn pair(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Vec<Decoded> {
        let mut out = Vec::new();
        super::super::base64::find(text.as_bytes(), false, &mut Allowance::new(1 << 20), &mut out);
        out
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn folded_digits_are_one_run() {
        let plain = "a text that is longer than one line of sixty digits, and more than two of them";
        let lines: Vec<String> = plain.as_bytes().chunks(30).map(hex).collect();
        let found = decoded(&lines.join("\n"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bytes, plain.as_bytes());
        assert_eq!(found[0].source(30..31), 61..63);
    }

    proptest! {
        #[test]
        fn encoded_text_is_found_wherever_it_stands(
            before in "([ -~]{0,30}[ :=\"/_-])?", plain in "[ -~]{16,100}", after in "([ ,;/_-][ -~]{0,30})?", upper: bool,
        ) {
            let encoded = if upper { hex(plain.as_bytes()).to_uppercase() } else { hex(plain.as_bytes()) };
            let text = format!("{before}{encoded}{after}");
            let found = decoded(&text);
            let mine = found.iter().find(|found| found.encoding == Encoding::Hex && found.at.start == before.len());
            prop_assert!(mine.is_some_and(|mine| mine.bytes == plain.as_bytes()), "{text}");
        }

        #[test]
        fn digests_are_passed_over(bytes in prop::collection::vec(any::<u8>(), 32)) {
            let text = hex(&bytes);
            let odd = look(&text.as_bytes()[1..]);
            prop_assume!(!is_worth(&bytes[..15]) && !is_worth(&odd) && !is_worth(&bytes[..24]));
            let found = decoded(&text);
            prop_assert!(found.iter().all(|found| found.encoding != Encoding::Hex));
        }
    }
}
