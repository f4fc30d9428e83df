//! Whether a value looks made up by a person and not drawn at random: it reads like words, or it repeats itself more
//! than chance would have it. Says nothing of what the value is for, and knows no word.
//!
//! Both measures are scaled by the length of the value and by its alphabet, so that of values drawn at random hardly one
//! in ten thousand is taken for a pattern, whatever they are made of.

use std::sync::LazyLock;

use super::entropy;

/// Whether `value`, which a program drew if it is a secret, cannot well have been drawn.
///
/// *Cost*: a few steps for each of its bytes, squared at worst; for values of a few hundred bytes.
pub(super) fn is_patterned(value: &[u8]) -> bool {
    is_repeated(value) || is_less_random_than_its_alphabet(value) || bits_of_language(value) >= DRAWN
}

/// Whether `value`, which a person may have made of words, is a name in a program or a sentence rather than a secret.
pub(super) fn is_phrase(value: &[u8]) -> bool {
    bits_of_language(value) >= CHOSEN
}

/// Whether `value` is written out in what stands before it, whatever the case and what joins its words:
/// `AccessTokenSecret = accessTokenSecret`.
pub(super) fn is_of_its_name(name: &[u8], value: &[u8]) -> bool {
    let plain = |text: &[u8]| -> Vec<u8> {
        let letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric());
        letters.map(u8::to_ascii_lowercase).collect()
    };
    let value = plain(value);
    !value.is_empty() && memchr::memmem::find(&plain(name), &value).is_some()
}

/// How much likelier the letters of `value` follow each other as they do in words than by chance, in bits.
///
/// A likelihood ratio: a random text reaches `n` bits at most once in 2ⁿ, however long it is. Hex has too few letters for
/// it and has none.
fn bits_of_language(value: &[u8]) -> f32 {
    if value
        .iter()
        .all(|byte| byte.is_ascii_hexdigit() || !byte.is_ascii_alphanumeric())
    {
        return 0.0;
    }
    let eighths: i32 = value
        .windows(2)
        .filter_map(|pair| {
            let place = |byte: u8| {
                byte.is_ascii_alphabetic()
                    .then(|| usize::from(byte.to_ascii_lowercase() - b'a'))
            };
            let row = PAIRS.get(place(pair[0])?)?;
            row.get(place(pair[1])?).copied()
        })
        .sum();
    eighths as f32 / 8.0
}

/// Whether `value` is a shorter text over and over.
fn is_repeated(value: &[u8]) -> bool {
    (1..=value.len() / 2).any(|period| value[period..] == value[..value.len() - period])
}

/// Whether the letters and digits of `value` are less evenly spread than those of almost any random text of as many of
/// the same alphabet. Other characters join words and groups of digits, and are left out.
fn is_less_random_than_its_alphabet(value: &[u8]) -> bool {
    let drawn: Vec<u8> = value.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    if drawn.is_empty() {
        return false;
    }
    let least = entropy::expected(drawn.len(), alphabet(&drawn)) - SPREAD / (drawn.len() as f32).sqrt();
    entropy::shannon(&drawn) < least
}

/// How many characters the alphabet of most of `drawn` has, by what turns up in it. A part in another one, such as a prefix,
/// makes a text less evenly spread than the larger alphabet would have it, and is no pattern.
fn alphabet(drawn: &[u8]) -> usize {
    let count = |is_of: fn(&u8) -> bool| drawn.iter().filter(|byte| is_of(byte)).count();
    let digits = count(u8::is_ascii_digit);
    if digits == drawn.len() {
        return 10;
    }
    let of_hex = [
        digits + count(|byte| matches!(byte, b'a'..=b'f')),
        digits + count(|byte| matches!(byte, b'A'..=b'F')),
    ];
    if of_hex.iter().any(|count| count * 4 >= drawn.len() * 3) {
        return 16;
    }
    let classes = [
        (count(u8::is_ascii_lowercase), 26),
        (count(u8::is_ascii_uppercase), 26),
        (digits, 10),
    ];
    let is_of_it = |count: usize| count * 8 >= drawn.len();
    classes
        .iter()
        .filter(|(count, _)| is_of_it(*count))
        .map(|(_, of)| of)
        .sum()
}

/// For each letter and the next: how much likelier than by chance, in eighths of a bit.
///
/// Counted in the names and words of some 6,000 files of open source (Python, JavaScript, C and their documentation), each
/// word once; of a hundred pairs three are taken to be random, so that an odd one refutes nothing.
static PAIRS: LazyLock<Vec<Vec<i32>>> = LazyLock::new(|| {
    let rows = include_str!("letter-pairs.txt").lines();
    rows.map(|row| {
        row.split_whitespace()
            .map(|number| number.parse().expect("the table holds numbers"))
            .collect()
    })
    .collect()
});

/// Bits of language of a value that was not drawn: one in 4096 random ones at most.
const DRAWN: f32 = 12.0;

/// Bits of language of a phrase: some twenty letters of plain words. Passwords of three words stay below it.
const CHOSEN: f32 = 24.0;

/// The entropy of a random text of n characters strays from what is expected by 0.84/√n at most, whatever the alphabet
/// (simulated for 10 to 90 characters and lengths of 10 to 128); this is almost five times that.
const SPREAD: f32 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_programs_and_prose_are_patterns() {
        for value in [
            "getTokenFromRequest2",
            "UserAccessTokenProvider1",
            "some-words-that-stand-for-a-token",
            "frontend_cookie_secret_value9",
            "de.acme.TokenServiceImpl1",
            "KundenverwaltungZugang1",
        ] {
            assert!(is_patterned(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn repeated_texts_are_patterns() {
        for value in [
            "abcABC123abcABC123abcABC123",
            "aA1aA1aA1aA1aA1aA1aA1aA1",
            "00112233001122330011223300112233",
            "0123abcd0123abcd0123abcd0123abcd",
        ] {
            assert!(is_patterned(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn a_part_of_another_alphabet_makes_no_pattern() {
        let hex = "7f3a9c0be451d28640fb97ce13a5d862";
        for value in [
            format!("SK{hex}"),
            format!("patQ7xWm2LkZ9bRtv.{hex}{}", &hex[3..]),
            format!("Acme-{hex}"),
        ] {
            assert!(!is_patterned(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn a_value_may_be_the_name_of_its_key() {
        assert!(is_of_its_name(b"x.AccessTokenSecret = ", b"accessTokenSecret"));
        assert!(is_of_its_name(b"ACCESS_TOKEN_SECRET=", b"access-token-secret"));
        assert!(!is_of_its_name(
            b"ACCESS_TOKEN_SECRET=",
            b"access-token-secret-7hK2"
        ));
        assert!(!is_of_its_name(b"password=", b"..."));
    }

    #[test]
    fn passwords_of_words_are_no_phrases() {
        for value in [
            "CorrectHorseBattery9",
            "Summer2024!Winter",
            "Sup3rS3cretPassw0rd!",
            "MeinGeheimesPasswort2023",
        ] {
            assert!(!is_phrase(value.as_bytes()), "{value}");
        }
        assert!(is_phrase(b"UserAccessTokenProvider1"));
        assert!(is_phrase(b"some-words-that-stand-for-a-token"));
    }

    #[test]
    fn the_table_has_a_distribution_for_each_letter() {
        assert_eq!(PAIRS.len(), 26);
        for row in PAIRS.iter() {
            let sum: f32 = row.iter().map(|eighths| (*eighths as f32 / 8.0).exp2()).sum();
            assert!((0.97..1.03).contains(&(sum / 26.0)), "{sum}");
        }
    }

    #[test]
    fn hardly_one_random_text_in_a_thousand_is_a_pattern() {
        // The measure promises one in 4096 and does better; a generator of its own makes the same texts each time.
        let mut state = 7_u64;
        let mut below = |most: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % most
        };
        for alphabet in [
            &b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[..],
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            b"abcdefghijklmnopqrstuvwxyz0123456789",
            b"0123456789abcdef",
        ] {
            let patterned = (0..5000)
                .filter(|_| {
                    let length = 20 + below(60);
                    let value: Vec<u8> = (0..length).map(|_| alphabet[below(alphabet.len())]).collect();
                    is_patterned(&value)
                })
                .count();
            assert!(patterned <= 5, "{patterned} of 5000");
        }
    }
}
