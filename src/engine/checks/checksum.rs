//! Checksums that vendors put into their credentials: from the bytes of a token to whether its last characters fit.
//!
//! A checksum whose rule is published or was confirmed on published samples must hold; one that is only known from
//! shape is a hint and never drops a match.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::Verdict;
use crate::rules::Evidence;

/// CRC-32 of what stands between the first underscore and the last six characters, in base62: GitHub's tokens of
/// 2021 and npm's.
pub fn crc32_base62(token: &[u8]) -> Verdict {
    let holds = (|| {
        let start = token.iter().position(|&byte| byte == b'_')? + 1;
        let (body, checksum) = token.get(start..)?.split_last_chunk::<6>()?;
        Some(!body.is_empty() && in_base(crc32fast::hash(body), BASE62, 6) == checksum)
    })();
    Verdict::proof(holds == Some(true), Evidence::Checksum)
}

/// CRC-32 of everything before the last seven characters, in base36: GitLab's routable tokens, known by their
/// dot. The older form has no dot and no checksum, and passes without evidence.
pub fn crc32_base36(token: &[u8]) -> Verdict {
    if !token.contains(&b'.') {
        return Verdict::Pass(Vec::new());
    }
    let holds = token
        .split_last_chunk::<7>()
        .is_some_and(|(body, checksum)| in_base(crc32fast::hash(body), BASE36, 7) == checksum);
    Verdict::proof(holds, Evidence::Checksum)
}

/// CRC-32 of everything before the last underscore, its bytes in little-endian order as hex: Grafana.
pub fn crc32_hex_le(token: &[u8]) -> Verdict {
    let holds = token
        .split_last_chunk::<8>()
        .and_then(|(head, checksum)| {
            let body = head.strip_suffix(b"_")?;
            let hex = format!("{:08x}", crc32fast::hash(body).swap_bytes());
            Some(hex.as_bytes() == checksum)
        })
        .unwrap_or(false);
    Verdict::proof(holds, Evidence::Checksum)
}

/// CRC-32 of what stands between the first underscore and the last one, as hex behind the latter: Zuplo.
pub fn crc32_hex_be(token: &[u8]) -> Verdict {
    let holds = (|| {
        let start = token.iter().position(|&byte| byte == b'_')? + 1;
        let (head, checksum) = token.get(start..)?.split_last_chunk::<8>()?;
        let body = head.strip_suffix(b"_")?;
        Some(!body.is_empty() && format!("{:08x}", crc32fast::hash(body)).as_bytes() == checksum)
    })();
    Verdict::proof(holds == Some(true), Evidence::Checksum)
}

/// XOR of the 31 characters before the last one, modulo 62, which names that one: the temporary tokens of the crate
/// registry.
pub fn xor_base62(token: &[u8]) -> Verdict {
    const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let holds = token.split_last_chunk::<32>().is_some_and(|(_, random)| {
        let sum = random[..31].iter().fold(0, |sum, byte| sum ^ byte);
        DIGITS[usize::from(sum) % DIGITS.len()] == random[31]
    });
    Verdict::proof(holds, Evidence::Checksum)
}

/// Base58Check: the last four bytes are the first ones of SHA-256 of SHA-256 over the others. Private keys of
/// Bitcoin and of many that took after it.
pub fn base58check(text: &[u8]) -> Verdict {
    let holds = base58(text).is_some_and(|bytes| {
        bytes.split_last_chunk::<4>().is_some_and(|(body, checksum)| {
            !body.is_empty() && Sha256::digest(Sha256::digest(body)).starts_with(checksum)
        })
    });
    Verdict::proof(holds, Evidence::Checksum)
}

/// A seed of Stellar: base32 of a byte that says so, 32 bytes and their CRC-16 (XMODEM), the low byte first.
pub fn stellar_seed(text: &[u8]) -> Verdict {
    let holds = (|| {
        let bytes = base32_lower(text).filter(|bytes| bytes.len() == 35 && bytes[0] == 0x90)?;
        let (body, checksum) = bytes.split_last_chunk::<2>()?;
        let sum = body.iter().fold(0u16, |sum, &byte| {
            (0..8).fold(sum ^ u16::from(byte) << 8, |sum, _| {
                sum << 1 ^ if sum & 0x8000 == 0 { 0 } else { 0x1021 }
            })
        });
        Some(sum.to_le_bytes() == *checksum)
    })();
    Verdict::proof(holds == Some(true), Evidence::Checksum)
}

/// A seed phrase: 12, 15, 18, 21 or 24 words of the English list, eleven bits each, of which one in 33 is the begin of the
/// SHA-256 of the others. *Source*: BIP-39.
pub fn bip39(phrase: &[u8]) -> Verdict {
    let holds = (|| {
        let mut bits = Vec::new();
        for word in phrase
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
        {
            let word = str::from_utf8(word).ok()?;
            let index = BIP39_WORDS.binary_search(&word).ok()?;
            bits.extend((0..11).rev().map(|bit| index >> bit & 1 == 1));
        }
        if !matches!(bits.len() / 11, 12 | 15 | 18 | 21 | 24) {
            return None;
        }
        let (entropy, checksum) = bits.split_at(bits.len() / 33 * 32);
        let bytes: Vec<u8> = entropy
            .chunks(8)
            .map(|bits| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit)))
            .collect();
        let first = Sha256::digest(bytes)[0];
        Some(
            (0..8)
                .rev()
                .map(|bit| first >> bit & 1 == 1)
                .zip(checksum)
                .all(|(right, bit)| right == *bit),
        )
    })();
    Verdict::proof(holds == Some(true), Evidence::Checksum)
}

/// The 2048 words of the English list of BIP-39, sorted, from the reference implementation.
static BIP39_WORDS: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../../../rules/bip39-english.txt").lines().collect());

/// Eight characters of base32 of SHA-256 over the first 77: GitHub's fine-grained tokens. GitHub does not document
/// it, so a mismatch proves nothing.
pub fn github_fine_grained(token: &[u8]) -> Verdict {
    let holds = (|| {
        let digest = Sha256::digest(token.get(..77)?);
        Some(base32_40_bits(&digest) == *token.get(77..85)?)
    })();
    Verdict::hint(holds == Some(true), Evidence::Checksum)
}

/// Azure's "highly identifiable" keys: the last four bytes of the decoded key are Marvin32 of the others, seeded
/// with a label of the service.
///
/// Only the Storage layout (`+ASt`) was confirmed on published samples, so only there does a mismatch fail; a
/// service may use a seed that is not in the list.
pub fn azure_identifiable(key: &[u8]) -> Verdict {
    let trimmed = key.trim_ascii_end();
    let unpadded = &trimmed[..trimmed
        .iter()
        .rposition(|&byte| byte != b'=')
        .map_or(0, |last| last + 1)];
    let Ok(decoded) = STANDARD_NO_PAD
        .decode(unpadded)
        .or_else(|_| URL_SAFE_NO_PAD.decode(unpadded))
    else {
        return Verdict::Fail;
    };
    let Some((body, checksum)) = decoded.split_last_chunk::<4>() else {
        return Verdict::Fail;
    };
    let expected = u32::from_le_bytes(*checksum);
    let holds = AZURE_SEEDS.iter().any(|seed| marvin32(seed, body) == expected);
    if unpadded.get(76..80) == Some(b"+ASt") {
        return Verdict::proof(holds, Evidence::Checksum);
    }
    Verdict::hint(holds, Evidence::Checksum)
}

/// Entra client secrets of the eighth generation (`8Q~`): the last three characters are the leading three of
/// Marvin32 over the rest, in a base of 66. Other generations have none.
pub fn azure_entra_secret(secret: &[u8]) -> Verdict {
    let holds = secret.get(3..6) == Some(b"8Q~")
        && secret.split_last_chunk::<3>().is_some_and(|(body, checksum)| {
            in_base(marvin32(b"AadPwd00", body), ENTRA_BASE66, 6)[..3] == *checksum
        });
    Verdict::hint(holds, Evidence::Checksum)
}

/// Azure DevOps tokens of 52 characters: four bytes inside the decoded 32 are CRC-32 of the others, with a mask
/// for the kind of token. Known from Microsoft's source, not from a sample: a mismatch proves nothing.
pub fn azure_devops_pat(token: &[u8]) -> Verdict {
    let holds = base32_lower(token).is_some_and(|bytes| {
        let Some(bytes) = bytes.get(..32) else {
            return false;
        };
        let stored = u32::from_be_bytes([bytes[2], bytes[7], bytes[8], bytes[22]]);
        let others: Vec<u8> = (0..32)
            .filter(|place| ![2, 7, 8, 22].contains(place))
            .map(|place| bytes[place])
            .collect();
        let crc = crc32fast::hash(&others);
        [0xE0B9_692D, 0x1019_F92E].iter().any(|mask| crc ^ mask == stored)
    });
    Verdict::hint(holds, Evidence::Checksum)
}

/// Bech32 with its checksum (BIP-173), as in age identities.
pub fn bech32(text: &[u8]) -> Verdict {
    let holds = (|| {
        let lower = text.to_ascii_lowercase();
        if lower != text && text.to_ascii_uppercase() != text {
            return None; // BIP-173: mixed case is invalid
        }
        let separator = lower.iter().rposition(|&byte| byte == b'1')?;
        let (prefix, values) = (&lower[..separator], &lower[separator + 1..]);
        if prefix.is_empty() || values.len() < 6 {
            return None;
        }
        let mut state = 1;
        for &byte in prefix {
            state = bech32_step(state, u32::from(byte >> 5));
        }
        state = bech32_step(state, 0);
        for &byte in prefix {
            state = bech32_step(state, u32::from(byte & 31));
        }
        for byte in values {
            let value = BECH32.iter().position(|digit| digit == byte)?;
            state = bech32_step(state, value as u32);
        }
        Some(state == 1)
    })();
    Verdict::proof(holds == Some(true), Evidence::Checksum)
}

/// One round of the polynomial of BIP-173.
fn bech32_step(state: u32, value: u32) -> u32 {
    let top = state >> 25;
    let mut next = ((state & 0x01ff_ffff) << 5) ^ value;
    for (bit, generator) in [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3]
        .into_iter()
        .enumerate()
    {
        if top >> bit & 1 == 1 {
            next ^= generator;
        }
    }
    next
}

/// Marvin32 with a seed of eight ASCII characters, read big-endian.
pub fn marvin32(seed: &[u8; 8], bytes: &[u8]) -> u32 {
    let seed = u64::from_be_bytes(*seed);
    let (mut low, mut high) = (seed as u32, (seed >> 32) as u32);
    let mut mix = |word: u32| {
        low = low.wrapping_add(word);
        high ^= low;
        low = low.rotate_left(20).wrapping_add(high);
        high = high.rotate_left(9) ^ low;
        low = low.rotate_left(27).wrapping_add(high);
        high = high.rotate_left(19);
    };
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        mix(u32::from_le_bytes(*word));
    }
    let mut last = [0; 4];
    last[..tail.len()].copy_from_slice(tail);
    last[tail.len()] = 0x80;
    mix(u32::from_le_bytes(last));
    mix(0);
    low ^ high
}

/// A number in a base, most significant digit first, padded to `width`.
fn in_base(mut number: u32, digits: &[u8], width: usize) -> Vec<u8> {
    let mut text = vec![digits[0]; width];
    for place in text.iter_mut().rev() {
        *place = digits[number as usize % digits.len()];
        number /= digits.len() as u32;
    }
    text
}

/// The first 40 bits in upper-case base32 (RFC 4648).
fn base32_40_bits(bytes: &[u8]) -> [u8; 8] {
    let number = bytes[..5]
        .iter()
        .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    std::array::from_fn(|place| BASE32[(number >> (35 - 5 * place)) as usize & 31])
}

/// Lower-case base32 without padding; spare bits are ignored.
fn base32_lower(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::new());
    for byte in text {
        let value = BASE32.iter().position(|digit| digit.eq_ignore_ascii_case(byte))?;
        bits = bits << 5 | value as u32;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

/// Base58 with the digits of Bitcoin; `None` for other characters and for more than [`BASE58_LONGEST`].
fn base58(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > BASE58_LONGEST {
        return None;
    }
    let mut number: Vec<u8> = Vec::new(); // least significant byte first
    for byte in text {
        let mut carry = BASE58.iter().position(|digit| digit == byte)?;
        for byte in &mut number {
            carry += usize::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            number.push(carry as u8);
        }
    }
    let zeros = text.iter().take_while(|&&byte| byte == BASE58[0]).count();
    number.resize(number.len() + zeros, 0);
    number.reverse();
    Some(number)
}

/// Extended private keys have 111 characters; the work grows with the square.
const BASE58_LONGEST: usize = 128;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const ENTRA_BASE66: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890.-_~";

/// Labels of the services whose keys are made this way.
const AZURE_SEEDS: [&[u8; 8]; 21] = [
    b"ACRDflt0",
    b"AbAcct00",
    b"Access00",
    b"Classic0",
    b"Default0",
    b"Device00",
    b"DpsKey00",
    b"Functi00",
    b"Gatewy00",
    b"GitKey00",
    b"IoTHub00",
    b"Listen00",
    b"Manage00",
    b"MastRO00",
    b"MastRW00",
    b"Master00",
    b"PAdmin00",
    b"Query000",
    b"Send0000",
    b"System00",
    b"Tenant00",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::example::{Rng, structures};

    const CHECKSUM: &[Evidence] = &[Evidence::Checksum];

    fn passes(verdict: Verdict, evidence: &[Evidence]) -> bool {
        verdict == Verdict::Pass(evidence.to_vec())
    }

    fn generated(name: &str, args: &[&str]) -> Vec<u8> {
        structures::structure(name, args, &mut Rng::new(3)).unwrap()
    }

    fn changed(text: &[u8], place: usize) -> Vec<u8> {
        let mut text = text.to_vec();
        text[place] = if text[place] == b'a' { b'b' } else { b'a' };
        text
    }

    // CRC-32 of "123456789" is cbf43926 in every catalogue of checksums: 3jZRME in base62, 1kl8mjq in base36.

    #[test]
    fn crc32_in_base62_leaves_the_prefix_out() {
        assert!(passes(crc32_base62(b"x_1234567893jZRME"), CHECKSUM));
        assert_eq!(crc32_base62(b"x_1234567893jZRMF"), Verdict::Fail);
        assert_eq!(crc32_base62(b"1234567893jZRME"), Verdict::Fail, "no prefix");
        assert_eq!(crc32_base62(b"x_3jZRME"), Verdict::Fail, "no body");
    }

    #[test]
    fn crc32_in_base36_is_for_tokens_with_a_dot() {
        let body = "glpat-abcdefghijklmnopqrstuvwxyz0.0w";
        let right = format!(
            "{body}{}",
            String::from_utf8(in_base(crc32fast::hash(body.as_bytes()), BASE36, 7)).unwrap()
        );
        assert!(passes(crc32_base36(right.as_bytes()), CHECKSUM));
        assert_eq!(crc32_base36(format!("{body}0000000").as_bytes()), Verdict::Fail);
        assert!(passes(crc32_base36(b"glpat-0123456789abcdefghij"), &[]));
        assert_eq!(in_base(0xcbf4_3926, BASE36, 7), b"1kl8mjq");
    }

    #[test]
    fn crc32_in_hex_is_little_endian() {
        assert!(passes(crc32_hex_le(b"123456789_2639f4cb"), CHECKSUM));
        assert_eq!(crc32_hex_le(b"123456789_cbf43926"), Verdict::Fail);
        assert_eq!(crc32_hex_le(b"1234567892639f4cb"), Verdict::Fail);
    }

    #[test]
    fn crc32_in_hex_is_big_endian_between_underscores() {
        assert!(passes(crc32_hex_be(b"x_123456789_cbf43926"), CHECKSUM));
        assert_eq!(crc32_hex_be(b"x_123456789_2639f4cb"), Verdict::Fail);
        assert_eq!(crc32_hex_be(b"123456789_cbf43926"), Verdict::Fail, "no prefix");
        assert_eq!(crc32_hex_be(b"x__00000000"), Verdict::Fail, "no body");
    }

    #[test]
    fn xor_of_31_characters_names_the_last() {
        // 31 times the same character leaves it: `a` is 97, and 97 - 62 = 35 is `j`.
        let right = [&b"x_"[..], &[b'a'; 31], b"j"].concat();
        assert!(passes(xor_base62(&right), CHECKSUM));
        assert_eq!(xor_base62(&changed(&right, 20)), Verdict::Fail);
        assert_eq!(xor_base62(b"short"), Verdict::Fail);
    }

    #[test]
    fn base58_of_the_draft_and_its_checksum() {
        // Vectors of the Internet draft on base58.
        assert_eq!(base58(b"2NEpo7TZRRrLZSi2U").unwrap(), b"Hello World!");
        assert_eq!(base58(b"11233QC4").unwrap(), [0, 0, 0x28, 0x7f, 0xb4, 0xcd]);
        assert_eq!(base58(b"0OIl"), None);
        for (version, bytes, suffix) in [("80", "32", ""), ("80", "32", "01"), ("0488ade4", "74", "")] {
            let right = generated("base58check", &[version, bytes, suffix]);
            assert!(passes(base58check(&right), CHECKSUM));
            assert_eq!(base58check(&changed(&right, 20)), Verdict::Fail);
        }
        assert_eq!(base58check(b""), Verdict::Fail);
        assert_eq!(base58check(&[b'2'; 20_000]), Verdict::Fail, "too long");
    }

    #[test]
    fn seeds_of_stellar_have_their_version_and_checksum() {
        let right = generated("stellar-seed", &[]);
        assert!(passes(stellar_seed(&right), CHECKSUM));
        assert_eq!(stellar_seed(&changed(&right, 20)), Verdict::Fail);
        assert_eq!(stellar_seed(&[b'S'; 10]), Verdict::Fail);
        assert_eq!(stellar_seed(b""), Verdict::Fail);
    }

    #[test]
    fn seed_phrases_are_of_the_list_and_have_their_checksum() {
        assert_eq!(BIP39_WORDS.len(), 2048);
        assert!(BIP39_WORDS.is_sorted());
        for words in ["12", "15", "18", "21", "24"] {
            let right = generated("bip39", &[words]);
            assert!(passes(bip39(&right), CHECKSUM));
            let mut words: Vec<&[u8]> = right.split(|byte| *byte == b' ').collect();
            let last = words.pop().unwrap();
            assert_eq!(bip39(&words.join(&b' ')), Verdict::Fail, "a word too few");
            words.push(if last == b"zoo" { b"zone" } else { b"zoo" });
            // Both may have the same checksum, but not of the phrases that the seed of this test makes.
            assert_eq!(bip39(&words.join(&b' ')), Verdict::Fail, "another last word");
            words.pop();
            words.push(b"secret-word");
            assert_eq!(bip39(&words.join(&b' ')), Verdict::Fail, "a word of no list");
        }
        // The first of the published vectors: sixteen bytes of zero.
        let zeros = [["abandon"; 11].join(" "), "about".to_owned()].join(" ");
        assert!(passes(bip39(zeros.as_bytes()), CHECKSUM));
        assert_eq!(bip39(b""), Verdict::Fail);
    }

    #[test]
    fn marvin32_of_the_published_vectors() {
        // The vectors of .NET's own test of Marvin: the two halves of its 64-bit result.
        let seed = &0x004f_b61a_001b_dbccu64.to_be_bytes();
        assert_eq!(marvin32(seed, b""), 0x30ed_35c1 ^ 0x00cd_3c7d);
        assert_eq!(marvin32(seed, &[0xaf]), 0x48e7_3fc7 ^ 0x7d75_ddc1);
        assert_eq!(marvin32(seed, &[0xe7, 0x0f]), 0xb5f6_e1fc ^ 0x485d_bff8);
    }

    #[test]
    fn azure_keys_are_known_by_their_checksum_and_only_storage_must_have_it() {
        let storage = generated("azure-marvin32", &["Default0", "+ASt", "60"]);
        assert!(passes(azure_identifiable(&storage), CHECKSUM));
        assert_eq!(azure_identifiable(&changed(&storage, 10)), Verdict::Fail);
        let search = generated("azure-marvin32", &["Query000", "AzSe", "35"]);
        assert!(passes(azure_identifiable(&search), CHECKSUM));
        assert!(passes(azure_identifiable(&changed(&search, 10)), &[]));
        assert_eq!(azure_identifiable(b"not base64!"), Verdict::Fail);
    }

    #[test]
    fn hints_never_fail() {
        for (name, check) in [
            ("azure-entra-secret", azure_entra_secret as fn(&[u8]) -> Verdict),
            ("azure-devops-pat", azure_devops_pat),
            ("github-fine-grained", github_fine_grained),
        ] {
            let right = generated(name, &[]);
            assert!(passes(check(&right), CHECKSUM), "{name}");
            assert!(passes(check(&changed(&right, 13)), &[]), "{name}");
            assert!(passes(check(b"short"), &[]), "{name}");
        }
    }

    #[test]
    fn bech32_of_the_standard_and_of_age() {
        // Valid and invalid strings of BIP-173 itself.
        for valid in [
            "A12UEL5L",
            "a12uel5l",
            "?1ezyfcl",
            "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
        ] {
            assert!(passes(bech32(valid.as_bytes()), CHECKSUM), "{valid}");
        }
        for invalid in [
            "A1G7SGD8",
            "1qzzfhee",
            "10a06t8",
            "A12uEL5L",
            "li1dgmt3",
            "x1b4n0q5v",
            "",
        ] {
            assert_eq!(bech32(invalid.as_bytes()), Verdict::Fail, "{invalid}");
        }
        let identity = generated("age-identity", &[]);
        assert!(passes(bech32(&identity), CHECKSUM));
        assert_eq!(bech32(&changed(&identity, 40)), Verdict::Fail);
    }
}
