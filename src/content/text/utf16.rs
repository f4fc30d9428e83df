//! ASCII text in UTF-16, of either byte order and at any alignment: what Windows programs, .NET assemblies and scripts
//! hold. Other characters end a run; no secret has any.

use super::{Allowance, Decoded, Encoding, Places};

/// Characters of the shortest run.
const LEAST: usize = 8;

/// The bytes at even places of eight.
const EVEN: u64 = u64::from_le_bytes([0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0]);

/// Adds what the runs of UTF-16 say.
///
/// A run of eight characters holds eight bytes in a row, aligned, every other one of them zero: one look for each
/// eight bytes.
pub(super) fn find(bytes: &[u8], allowance: &mut Allowance, out: &mut Vec<Decoded>) {
    let mut from = 0;
    let stretches = (0..bytes.len()).step_by(STRETCH);
    let hopeful = stretches.filter(|&at| bytes[at..].first_chunk().is_none_or(may_hold_run));
    let numbered = hopeful.flat_map(|at| {
        let (eights, _) = bytes[at..bytes.len().min(at + STRETCH)].as_chunks::<8>();
        (at / 8..).zip(eights)
    });
    for (number, eight) in numbered {
        let word = u64::from_le_bytes(*eight);
        if !are_units(word) && !are_units(word.rotate_right(8)) {
            continue;
        }
        let first = number * 8 + usize::from(word & EVEN == 0);
        if number * 8 < from || !eight.iter().skip(first % 8).step_by(2).all(|&byte| is_text(byte)) {
            continue;
        }
        let mut start = first;
        while start >= from + 2 && is_text(bytes[start - 2]) && bytes[start - 1] == 0 {
            start -= 2;
        }
        let mut last = first;
        while bytes.get(last + 1) == Some(&0) && bytes.get(last + 2).is_some_and(|&byte| is_text(byte)) {
            last += 2;
        }
        // Behind the last character of little-endian text stands its other half.
        let is_behind = bytes.get(last + 1) == Some(&0);
        // Before the first character of big-endian text too. Where it is at neither end, half a character was cut off.
        let is_before = !is_behind && start > 0 && bytes[start - 1] == 0;
        let at = start - usize::from(is_before)..last + 1 + usize::from(is_behind);
        from = at.end;
        let count = (last - start) / 2 + 1;
        if count < LEAST || !allowance.take(count) {
            continue;
        }
        let places = Places::units(vec![at.clone()], count * 2, (2, 1));
        out.push(Decoded {
            at,
            encoding: if is_before {
                Encoding::Utf16Be
            } else {
                Encoding::Utf16Le
            },
            bytes: bytes[start..=last].iter().step_by(2).copied().collect(),
            places,
        });
    }
}

/// Bytes that are passed over together.
const STRETCH: usize = 64;

/// Whether two characters stand between zeros anywhere in a stretch, which comes with four bytes of the next one. Text
/// has no zeros, which is seen sooner. Without a branch for each byte both become vector instructions.
fn may_hold_run(stretch: &[u8; STRETCH + 4]) -> bool {
    if stretch.iter().map(|&byte| u8::from(byte == 0)).sum::<u8>() < 4 {
        return false;
    }
    let mut any = 0;
    for at in 0..STRETCH {
        let is_text = |byte: u8| byte.wrapping_sub(9) < 119;
        let is_pair = (stretch[at] | stretch[at + 2] | stretch[at + 4] == 0)
            & is_text(stretch[at + 1])
            & is_text(stretch[at + 3]);
        any |= u8::from(is_pair);
    }
    any != 0
}

/// Whether each of four units is one byte from 9 to 127. Numbers in files of programs have zero bytes too, but seldom
/// nothing beside them.
fn are_units(word: u64) -> bool {
    // Below nine, the subtraction borrows.
    (word | word.wrapping_sub(0x0009_0009_0009_0009)) & 0xff80_ff80_ff80_ff80 == 0
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8]) -> Vec<Decoded> {
        let mut out = Vec::new();
        find(bytes, &mut Allowance::new(1 << 20), &mut out);
        out
    }

    proptest! {
        #[test]
        fn text_is_found_wherever_it_stands(
            before in prop::collection::vec(128_u8.., 0..40), plain in "[ -~\r\n\t]{8,100}",
            after in prop::collection::vec(128_u8.., 0..40), is_little: bool,
        ) {
            let unit = |unit: u16| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() };
            let encoded: Vec<u8> = plain.encode_utf16().flat_map(unit).collect();
            let found = decoded(&[&before[..], &encoded, &after].concat());
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(&found[0].bytes, plain.as_bytes());
            prop_assert_eq!(found[0].at.clone(), before.len()..before.len() + encoded.len());
            let encoding = if is_little { Encoding::Utf16Le } else { Encoding::Utf16Be };
            prop_assert_eq!(found[0].encoding, encoding);
            prop_assert_eq!(found[0].source(2..5), before.len() + 4..before.len() + 10);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..200)) {
            for found in decoded(&bytes) {
                prop_assert!(found.at.end <= bytes.len() && found.bytes.len() >= LEAST);
            }
        }
    }

    #[test]
    fn text_without_its_first_or_last_half_keeps_its_places() {
        let text: Vec<u8> = b"0123456789".iter().flat_map(|&byte| [byte, 0]).collect();
        for (bytes, start) in [
            (&text[..19], 0),
            (&[&b"\xff"[..], &text[..19], b"\xff"].concat(), 1),
        ] {
            let found = decoded(bytes);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].bytes, b"0123456789");
            assert_eq!(found[0].at, start..start + 19);
            assert_eq!(found[0].source(1..2), start + 2..start + 4);
            assert_eq!(found[0].source(9..10), start + 18..start + 19);
        }
    }

    #[test]
    fn small_numbers_and_zeros_are_no_text() {
        let numbers: Vec<u8> = (0..64_u32).flat_map(|n| (n * 3 % 120).to_le_bytes()).collect();
        assert!(decoded(&numbers).is_empty());
        assert!(decoded(&[0; 64]).is_empty());
        assert!(decoded(&[b'A'; 64]).is_empty());
    }
}
