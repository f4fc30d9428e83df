//! Runs of base64 and base64url (RFC 4648, sections 4 and 5), also folded into lines, also with other text glued to
//! their front. A run that does not decode to something worth searching is passed over.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::inflate::USTAR;
use super::runs::{self, Runs};
use super::{Allowance, Decoded, Encoding, Places, hex, is_text, is_utf16, is_worth};

/// Whether a byte is of one of the two alphabets: which one shows later. Comparisons become vector instructions, which a
/// table does not; the fewer, the faster: `/` stands before the digits, and `-` two behind `+`.
fn is_member(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit_or_slash = byte.wrapping_sub(b'/') < 11;
    let plus_or_minus = byte.wrapping_sub(b'+') & !2 == 0;
    letter | digit_or_slash | plus_or_minus | (byte == b'_')
}

/// Characters of the shortest run: twelve bytes. Shorter ones hide no secret that could be told from a word.
const LEAST: usize = 16;

/// Characters from which on a run may have lost its padding, or have something glued to it.
const LEAST_OF_ANY_LENGTH: usize = 24;

/// Characters that are decoded to see whether a run is worth it.
const LOOK: usize = 32;

/// What six bits each character is, or [`NONE`].
const SEXTETS: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut value = 0_u8;
    while value < 26 {
        table[(b'A' + value) as usize] = value;
        table[(b'a' + value) as usize] = value + 26;
        value += 1;
    }
    value = 0;
    while value < 10 {
        table[(b'0' + value) as usize] = value + 52;
        value += 1;
    }
    table[b'+' as usize] = 62;
    table[b'-' as usize] = 62;
    table[b'/' as usize] = 63;
    table[b'_' as usize] = 63;
    table
};
const NONE: u8 = 0xff;

/// Adds what the runs of base64, and of hex among them, decode to.
pub(super) fn find(bytes: &[u8], is_cut: bool, allowance: &mut Allowance, out: &mut Vec<Decoded>) {
    let mut runs = Runs::new(bytes, LEAST, is_member);
    while let Some(run) = runs.next() {
        let found = out.len();
        hex::find(bytes, run.clone(), allowance, out);
        // Digits among other letters may be a part of base64: a row of `w` is `d3d3…`.
        let digits: usize = out[found..].iter().map(|decoded| decoded.at.len()).sum();
        if digits + 1 < run.len() {
            out.extend(read(bytes, run, is_cut, allowance));
        }
        if let Some(end) = out[found..].iter().map(|decoded| decoded.at.end).max() {
            runs.skip_to(end);
        }
    }
}

fn read(bytes: &[u8], run: Range<usize>, is_cut: bool, allowance: &mut Allowance) -> Option<Decoded> {
    let is_cut = is_cut && run.start == 0;
    let padded = run.len() + padding(bytes, run.end);
    // Three words of four are not as long as encoded bytes are.
    if run.len() < LEAST_OF_ANY_LENGTH && !is_cut && !padded.is_multiple_of(4) {
        return None;
    }
    let skipped = begin(&bytes[run.clone()], is_cut)?;
    let lines = runs::lines(bytes, run.start + skipped..run.end, is_cut, is_member);
    let length = lines.iter().map(Range::len).sum::<usize>();
    if !allowance.take(length / 4 * 3 + 3) {
        return None;
    }
    let mut text = Vec::with_capacity(length);
    for line in &lines {
        text.extend_from_slice(&bytes[line.clone()]);
    }
    // The sign of one alphabet is a stranger in the other.
    let is_url = |byte: &u8| matches!(byte, b'-' | b'_');
    let is_plain = |byte: &u8| matches!(byte, b'+' | b'/');
    let first = text.iter().find(|byte| is_url(byte) || is_plain(byte));
    let encoding = match first {
        Some(byte) if is_url(byte) => Encoding::Base64Url,
        _ => Encoding::Base64,
    };
    let stranger = match encoding {
        Encoding::Base64Url => text.iter().position(is_plain),
        _ => text.iter().position(is_url),
    };
    text.truncate(stranger.unwrap_or(text.len()));
    // Six bits are no byte.
    if text.len() % 4 == 1 {
        text.pop();
    }
    let engine = match encoding {
        Encoding::Base64Url => &URL_SAFE,
        _ => &STANDARD,
    };
    let decoded = engine.decode(&text).ok()?;
    let places = Places::units(lines, text.len(), (4, 3));
    let mut at = places.extent();
    at.end += padding(bytes, at.end);
    Some(Decoded {
        at,
        encoding,
        bytes: decoded,
        places,
    })
}

/// How many padding signs stand at `at`.
fn padding(bytes: &[u8], at: usize) -> usize {
    let signs = bytes[at..].iter().take(2).take_while(|&&byte| byte == b'=');
    signs.count()
}

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG);

/// How many characters at the front of a run are not part of what is encoded: none where it begins with something worth
/// searching. Else a name, a path or the letter of an escape is glued to its front, or its begin is out of sight, and
/// the four possible alignments are tried in its middle.
fn begin(run: &[u8], is_cut: bool) -> Option<usize> {
    if !is_cut && look(run).is_some_and(|seen| is_worth(seen.bytes())) {
        return Some(0);
    }
    if !is_cut && is_tar(run) {
        return Some(0);
    }
    let spots = [0, run.len() / 2];
    for spot in &spots[usize::from(!is_cut)..] {
        for phase in 0..4 {
            let from = spot + phase;
            let Some(ahead) = run.get(from..).filter(|ahead| ahead.len() >= LEAST) else {
                break;
            };
            let Some(seen) = look(ahead) else { continue };
            let wide = is_utf16(seen.bytes());
            if wide || is_text(seen.bytes()) {
                let mut begin = from;
                while begin >= 4
                    && let Some(bytes) = run[..begin].last_chunk::<4>().and_then(quad)
                    && bytes
                        .iter()
                        .all(|&byte| is_printable(byte) || (wide && byte == 0))
                {
                    begin -= 4;
                }
                return Some(begin);
            }
        }
    }
    None
}

/// Whether the header of a tar archive stands at the begin of what a run decodes to. Its name is text, but the bytes that
/// fill its field are not.
fn is_tar(run: &[u8]) -> bool {
    let quads = run.as_chunks::<4>().0.iter().skip(USTAR / 3);
    let bytes: Vec<u8> = quads.take(3).filter_map(quad).flatten().collect();
    bytes
        .get(USTAR % 3..)
        .is_some_and(|bytes| bytes.starts_with(b"ustar"))
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

/// What the first characters of a run decode to.
struct Look {
    bytes: [u8; LOOK / 4 * 3],
    length: usize,
}

impl Look {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// `None` where that is neither text nor compressed: for most runs, which are words, the first three bytes tell.
fn look(run: &[u8]) -> Option<Look> {
    let mut look = Look {
        bytes: [0; LOOK / 4 * 3],
        length: 0,
    };
    let is_wrong = |&byte: &u8| byte != 0 && byte < 0x80 && !is_printable(byte);
    let mut is_packed = false;
    for four in run.as_chunks::<4>().0.iter().take(LOOK / 4) {
        let bytes = quad(four)?;
        if look.length == 0 {
            // Bytes that begin no character of UTF-8, but for a byte order mark.
            is_packed = matches!(
                bytes,
                [0x1f, 0x8b, _]
                    | [0x28, 0xb5, _]
                    | [0x78, ..]
                    | [0xfd, b'7', _]
                    | [b'P', b'K', 3]
                    | [b'B', b'Z', b'h']
            );
            if !is_packed && matches!(bytes[0], 0x80..=0xc1 | 0xf5..=0xfd) {
                return None;
            }
        }
        if !is_packed && bytes.iter().any(is_wrong) {
            return None;
        }
        look.bytes[look.length..look.length + 3].copy_from_slice(&bytes);
        look.length += 3;
    }
    Some(look)
}

/// Three bytes from four characters.
fn quad(four: &[u8; 4]) -> Option<[u8; 3]> {
    let [a, b, c, d] = four.map(|character| u32::from(SEXTETS[character as usize]));
    if (a | b | c | d) == u32::from(NONE) {
        return None;
    }
    let bits = a << 18 | b << 12 | c << 6 | d;
    let [_, bytes @ ..] = bits.to_be_bytes();
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_like_hex_within_does_not_hide_the_rest() {
        let plain = format!("password = hunter2hunter2 {} and more", "w".repeat(60));
        let text = base64::engine::general_purpose::STANDARD.encode(&plain);
        let found = decoded(text.as_bytes(), false);
        assert!(
            found.iter().any(|found| found.bytes == plain.as_bytes()),
            "{found:?}"
        );
    }

    #[test]
    fn members_are_those_of_both_alphabets() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_member(byte), SEXTETS[usize::from(byte)] != NONE, "{byte}");
        }
    }

    fn decoded(text: &[u8], is_cut: bool) -> Vec<Decoded> {
        let mut out = Vec::new();
        find(text, is_cut, &mut Allowance::new(1 << 20), &mut out);
        out
    }

    const PLAIN: &str = "user = alice, password = hunter2; subject? >>> ~~~ and a few words more";

    #[test]
    fn both_alphabets_are_read_with_padding_and_without() {
        for (encoded, encoding) in [
            (base64::prelude::BASE64_STANDARD.encode(PLAIN), Encoding::Base64),
            (
                base64::prelude::BASE64_STANDARD_NO_PAD.encode(PLAIN),
                Encoding::Base64,
            ),
            (
                base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(PLAIN),
                Encoding::Base64Url,
            ),
        ] {
            let text = format!("x: {encoded}\n");
            let found = decoded(text.as_bytes(), false);
            assert_eq!(found.len(), 1, "{encoded}");
            assert_eq!(found[0].bytes, PLAIN.as_bytes());
            assert_eq!(found[0].encoding, encoding);
            assert_eq!(&text[found[0].at.clone()], encoded);
        }
    }

    #[test]
    fn what_is_glued_to_its_front_is_left_out() {
        let encoded = base64::prelude::BASE64_STANDARD.encode(PLAIN);
        for prefix in ["\\n", "a/path/", "%3D", "key_", "\\u003d"] {
            let text = format!("{prefix}{encoded}");
            let found = decoded(text.as_bytes(), false);
            assert_eq!(found.len(), 1, "{prefix}");
            let at = found[0]
                .bytes
                .windows(PLAIN.len())
                .position(|window| window == PLAIN.as_bytes());
            assert!(at.is_some_and(|at| at < 6), "{prefix}");
        }
    }

    #[test]
    fn words_paths_and_digests_are_passed_over() {
        for text in [
            "usr/share/doc/libstdc-6-dev/examples/changelog",
            "internationalizationOfTheAbstractFactoryBeanProvider",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        ] {
            let found = decoded(text.as_bytes(), false);
            assert!(found.is_empty(), "{text}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn encoded_text_is_found_wherever_it_stands(
            before in "([^A-Za-z0-9+/_-]|[ -~]{0,9}[ :=\"]){0,20}", plain in "[ -~]{24,300}", after in "([ ,;\"][ -~]{0,30})?",
        ) {
            let encoded = base64::prelude::BASE64_STANDARD.encode(&plain);
            let text = format!("{before} {encoded}{after}");
            let at = before.len() + 1;
            let found = decoded(text.as_bytes(), false);
            let mine = found.iter().find(|found| found.at.start == at);
            prop_assert!(mine.is_some_and(|mine| mine.bytes == plain.as_bytes()), "{text}");
            let source = mine.map(|mine| mine.source(0..plain.len()));
            prop_assert_eq!(source, Some(at..at + encoded.trim_end_matches('=').len()));
        }

        #[test]
        fn text_is_found_wherever_its_run_was_cut(plain in "[a-z0-9 =:]{300,600}", cut in 0_usize..200) {
            let encoded = base64::prelude::BASE64_STANDARD.encode(&plain);
            let found = decoded(&encoded.as_bytes()[cut..], true);
            prop_assert_eq!(found.len(), 1);
            let tail = &plain.as_bytes()[cut.div_ceil(4) * 3..];
            prop_assert!(found[0].bytes.ends_with(tail));
            let inner = found[0].bytes.len() - tail.len()..found[0].bytes.len();
            let source = found[0].source(inner);
            prop_assert_eq!(source.start + cut, cut.div_ceil(4) * 4);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), is_cut: bool) {
            for found in decoded(&bytes, is_cut) {
                prop_assert!(found.at.end <= bytes.len());
            }
        }

        #[test]
        fn random_bytes_are_not_taken_for_text(bytes in prop::collection::vec(any::<u8>(), 48..600)) {
            prop_assume!(!is_worth(&bytes[..24]));
            let encoded = base64::prelude::BASE64_STANDARD.encode(&bytes);
            prop_assert!(decoded(encoded.as_bytes(), false).is_empty());
        }
    }
}
