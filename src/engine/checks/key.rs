//! Private keys: from an armoured block to whether it parses as one, is encrypted, or belongs to a public test key.
//!
//! A header without a body, or with a body that is no key, fails. That a key is mathematically sound is not shown:
//! primality is not tested, and a key of an algorithm that is not known here is only parsed to its octets.

use std::collections::HashSet;
use std::sync::LazyLock;

use der::asn1::AnyRef;
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};

use super::{Verdict, armor, openpgp};
use crate::rules::Evidence;

/// A private key in any of its armours.
pub fn private_key(text: &[u8]) -> Verdict {
    let Some(start) = memchr::memmem::find(text, b"-----BEGIN ") else {
        return Verdict::Fail;
    };
    let Some(block) = armor::read(&text[start..]) else {
        return Verdict::Fail;
    };
    match parse(&block) {
        None => Verdict::Fail,
        Some(key) => {
            let mut evidence = vec![Evidence::Parsed];
            if key.encrypted {
                evidence.push(Evidence::Encrypted);
            }
            if key.identity.as_ref().is_some_and(is_public_test_key) {
                evidence.push(Evidence::PublicTestKey);
            }
            Verdict::Pass(evidence)
        }
    }
}

/// Whether a key, by what `Key::identity` says, or a key store, by the SHA-256 of its file, is published on purpose.
pub fn is_public_test_key(identity: &[u8; 32]) -> bool {
    PUBLIC_TEST_KEYS.contains(identity)
}

/// What a block turned out to be.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    encrypted: bool,
    /// SHA-256 of the key's SubjectPublicKeyInfo (DER), the same whichever form the private key stands in; for a
    /// key that does not hold or give its public half, SHA-256 of its private octets. `None` where neither is in
    /// the clear.
    identity: Option<[u8; 32]>,
}

impl Key {
    fn plain(identity: impl AsRef<[u8]>) -> Self {
        Self {
            encrypted: false,
            identity: Some(Sha256::digest(identity).into()),
        }
    }

    fn encrypted() -> Self {
        Self {
            encrypted: true,
            identity: None,
        }
    }
}

fn parse(block: &armor::Block) -> Option<Key> {
    let body = block.body.as_slice();
    if block.label == "PGP PRIVATE KEY BLOCK" {
        if block.crc24.is_some_and(|crc| crc != openpgp::crc24(body)) {
            return None;
        }
        return Some(match openpgp::protection(body)? {
            openpgp::Protection::Passphrase => Key::encrypted(),
            openpgp::Protection::None => Key {
                encrypted: false,
                identity: None,
            },
        });
    }
    if block
        .headers
        .iter()
        .any(|header| header.starts_with("Proc-Type:") && header.ends_with("ENCRYPTED"))
    {
        // RFC 1421 ciphers work in blocks of eight bytes; nothing else can be said of the body.
        return (body.len() >= 32 && body.len().is_multiple_of(8)).then(Key::encrypted);
    }
    match block.label.as_str() {
        "ENCRYPTED PRIVATE KEY" => pkcs8_encrypted(body),
        "OPENSSH PRIVATE KEY" => openssh(body),
        // Labels are often wrong: many libraries read any of these under any label.
        _ => pkcs8(body)
            .or_else(|| pkcs1(body))
            .or_else(|| sec1(body, None))
            .or_else(|| dsa(body)),
    }
}

/// RFC 8017 A.1.2.
fn pkcs1(bytes: &[u8]) -> Option<Key> {
    let parts = sequence(bytes)?;
    let integers = parts.iter().take(9).map(integer).collect::<Option<Vec<_>>>()?;
    let [version, modulus, exponent, private, first, second, ..] = integers.as_slice() else {
        return None;
    };
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    // The low 64 bits of a product need only those of its factors.
    let low = |number: &[u8]| {
        number
            .iter()
            .rev()
            .take(8)
            .rev()
            .fold(0u64, |low, &byte| low << 8 | u64::from(byte))
    };
    let sound = integers.len() == 9
        && modulus.len() >= 64
        && is_odd(modulus)
        && is_odd(exponent)
        && !private.is_empty()
        && (!version.is_empty() || low(first).wrapping_mul(low(second)) == low(modulus));
    sound.then(|| Key::plain(rsa_public(modulus, exponent)))
}

/// RFC 5915. `parameters` are those of the PKCS#8 wrapper, which the key itself then need not have.
fn sec1(bytes: &[u8], parameters: Option<&[u8]>) -> Option<Key> {
    let parts = sequence(bytes)?;
    let [version, private, optional @ ..] = parts.as_slice() else {
        return None;
    };
    let scalar = private.value();
    if integer(version)? != [1]
        || private.tag() != Tag::OctetString
        || !(16..=72).contains(&scalar.len())
        || scalar.iter().all(|&byte| byte == 0)
    {
        return None;
    }
    let field = |number: u8| {
        optional.iter().find(|part| {
            part.tag().number().value() == u32::from(number)
                && part.tag().class() == der::Class::ContextSpecific
        })
    };
    let own = field(0).map(|part| part.value().to_vec());
    let curve = own.or_else(|| parameters.map(<[u8]>::to_vec))?;
    let point = field(1)
        .and_then(|part| AnyRef::from_der(part.value()).ok())
        .filter(|part| part.tag() == Tag::BitString);
    Some(match point {
        Some(point) => Key::plain(public_key_info(
            &[OID_EC, &curve].concat(),
            &point.value()[1.min(point.value().len())..],
        )),
        None => Key::plain(scalar),
    })
}

/// What OpenSSL writes under `DSA PRIVATE KEY`: version, p, q, g, public, private.
fn dsa(bytes: &[u8]) -> Option<Key> {
    let integers = sequence(bytes)?.iter().map(integer).collect::<Option<Vec<_>>>()?;
    let [version, prime, order, generator, public, private] = integers.as_slice() else {
        return None;
    };
    let sound = version.is_empty() && prime.len() >= 64 && order.len() >= 20 && !private.is_empty();
    sound.then(|| Key::plain(dsa_public([prime, order, generator], public)))
}

/// RFC 5958.
fn pkcs8(bytes: &[u8]) -> Option<Key> {
    let parts = sequence(bytes)?;
    let [version, algorithm, private, optional @ ..] = parts.as_slice() else {
        return None;
    };
    if integer(version)?.len() > 1 || algorithm.tag() != Tag::Sequence || private.tag() != Tag::OctetString {
        return None;
    }
    let identifier = elements(algorithm.value())?;
    let (name, octets) = (
        identifier
            .first()
            .filter(|part| part.tag() == Tag::ObjectIdentifier)?,
        private.value(),
    );
    let parameters = algorithm.value().get(2 + name.value().len()..)?;
    match &tlv(6, name.value())[..] {
        OID_RSA | OID_RSA_PSS => pkcs1(octets),
        OID_EC => sec1(octets, Some(parameters)),
        OID_ED25519 => {
            let seed = AnyRef::from_der(octets)
                .ok()
                .filter(|part| part.value().len() == 32)?;
            let pair = Ed25519KeyPair::from_seed_unchecked(seed.value()).ok()?;
            Some(Key::plain(public_key_info(
                OID_ED25519,
                pair.public_key().as_ref(),
            )))
        }
        _ => {
            let well_formed = optional
                .iter()
                .all(|part| part.tag().class() == der::Class::ContextSpecific);
            (well_formed && octets.len() >= 16 && octets.iter().any(|&byte| byte != 0))
                .then(|| Key::plain(octets))
        }
    }
}

/// RFC 5958 section 3.
fn pkcs8_encrypted(bytes: &[u8]) -> Option<Key> {
    let parts = sequence(bytes)?;
    let [algorithm, octets] = parts.as_slice() else {
        return None;
    };
    let named = algorithm.tag() == Tag::Sequence
        && elements(algorithm.value())?.first()?.tag() == Tag::ObjectIdentifier
        && octets.tag() == Tag::OctetString
        && octets.value().len() >= 32;
    named.then(Key::encrypted)
}

/// OpenSSH's PROTOCOL.key. The public half is in the clear even where the private one is encrypted.
fn openssh(bytes: &[u8]) -> Option<Key> {
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let cipher = ssh_string(&mut rest)?;
    let _kdf = ssh_string(&mut rest)?;
    let _options = ssh_string(&mut rest)?;
    let (count, after) = rest.split_first_chunk::<4>()?;
    rest = after;
    if u32::from_be_bytes(*count) == 0 {
        return None;
    }
    let public = ssh_string(&mut rest)?;
    let mut private = rest;
    // Several public keys may stand here; the private part is the last string.
    for _ in 0..u32::from_be_bytes(*count).min(16) {
        private = ssh_string(&mut rest)?;
    }
    let encrypted = cipher != b"none";
    if !encrypted {
        // The same random number twice: how ssh knows that it decrypted well.
        let (first, after) = private.split_first_chunk::<4>()?;
        let (second, mut secret) = after.split_first_chunk::<4>()?;
        let kind = ssh_string(&mut secret)?;
        if first != second || !public.get(4..)?.starts_with(kind) || secret.len() < 32 {
            return None;
        }
    } else if private.len() < 32 {
        return None;
    }
    let identity = ssh_public(public).map(|info| Sha256::digest(info).into());
    Some(Key { encrypted, identity })
}

/// The SubjectPublicKeyInfo of a public key in SSH's form (RFC 4253, 5656, 8709).
fn ssh_public(mut blob: &[u8]) -> Option<Vec<u8>> {
    fn number<'a>(blob: &mut &'a [u8]) -> Option<&'a [u8]> {
        Some(trim(ssh_string(blob)?))
    }
    match ssh_string(&mut blob)? {
        b"ssh-rsa" => {
            let exponent = number(&mut blob)?;
            Some(rsa_public(number(&mut blob)?, exponent))
        }
        b"ssh-dss" => {
            let domain = [number(&mut blob)?, number(&mut blob)?, number(&mut blob)?];
            Some(dsa_public(domain, number(&mut blob)?))
        }
        b"ssh-ed25519" => Some(public_key_info(OID_ED25519, ssh_string(&mut blob)?)),
        _ => {
            let curve = match ssh_string(&mut blob)? {
                b"nistp256" => OID_P256,
                b"nistp384" => OID_P384,
                b"nistp521" => OID_P521,
                _ => return None,
            };
            Some(public_key_info(&[OID_EC, curve].concat(), ssh_string(&mut blob)?))
        }
    }
}

fn ssh_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (string, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(string)
}

fn rsa_public(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = tlv(0x30, &[unsigned(modulus), unsigned(exponent)].concat());
    public_key_info(&[OID_RSA, &[5, 0]].concat(), &key)
}

fn dsa_public(domain: [&[u8]; 3], public: &[u8]) -> Vec<u8> {
    let parameters = tlv(0x30, &domain.map(unsigned).concat());
    public_key_info(&[OID_DSA, &parameters].concat(), &unsigned(public))
}

/// A SubjectPublicKeyInfo (RFC 5280), from the inside of its algorithm and its key.
fn public_key_info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = tlv(3, &[&[0], key].concat());
    tlv(0x30, &[tlv(0x30, algorithm), bits].concat())
}

fn unsigned(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_none_or(|byte| byte & 0x80 != 0) {
        &[0]
    } else {
        &[]
    };
    tlv(2, &[sign, number].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        short @ 0..=0x7f => vec![short as u8],
        long @ 0x80..=0xff => vec![0x81, long as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8], // an armoured block is at most 16 KiB
    };
    [&[tag], &length[..], content].concat()
}

pub(super) fn sequence(bytes: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let outer = AnyRef::from_der(bytes).ok()?;
    elements(outer.value()).filter(|_| outer.tag() == Tag::Sequence)
}

pub(super) fn elements(content: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(content).ok()?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(found)
}

/// The bytes of a non-negative INTEGER without leading zeros; none at all for zero.
pub(super) fn integer<'a>(part: &AnyRef<'a>) -> Option<&'a [u8]> {
    let is_negative = part.value().first().is_none_or(|byte| byte & 0x80 != 0);
    (part.tag() == Tag::Integer && !is_negative).then(|| trim(part.value()))
}

fn trim(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|&&byte| byte == 0).count()..]
}

/// Identities of private keys that are published on purpose, from the table in `rules/`.
static PUBLIC_TEST_KEYS: LazyLock<HashSet<[u8; 32]>> = LazyLock::new(|| {
    include_str!("../../../rules/public-test-keys.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let hex = line
                .split_ascii_whitespace()
                .next()
                .expect("a line that is not empty has a word");
            let mut identity = [0; 32];
            for (place, byte) in identity.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).expect("the table holds hex");
            }
            identity
        })
        .collect()
});

const OID_DSA: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
const OID_EC: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const OID_ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];
const OID_P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const OID_P384: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x22];
const OID_P521: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x23];
const OID_RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const OID_RSA_PSS: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::rules::example::{Rng, structures};

    fn generated(name: &str, args: &[&str]) -> String {
        String::from_utf8(structures::structure(name, args, &mut Rng::new(7)).unwrap()).unwrap()
    }

    fn block(label: &str, body: &[u8]) -> armor::Block {
        armor::Block {
            label: label.to_owned(),
            headers: Vec::new(),
            body: body.to_vec(),
            crc24: None,
        }
    }

    fn identity(text: &str) -> Option<[u8; 32]> {
        parse(&armor::read(text.as_bytes())?)?.identity
    }

    fn body(text: &str) -> Vec<u8> {
        armor::read(text.as_bytes()).unwrap().body
    }

    #[test]
    fn identity_is_the_hash_of_the_public_key_info() {
        for algorithm in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ED25519,
        ] {
            use rcgen::PublicKeyData as _;
            let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let expected: [u8; 32] = Sha256::digest(pair.subject_public_key_info()).into();
            assert_eq!(identity(&pair.serialize_pem()), Some(expected), "{algorithm:?}");
        }
    }

    #[test]
    fn identity_is_the_same_in_every_form() {
        let rsa = body(&generated("rsa-pkcs1-pem", &[]));
        let wrapped = tlv(
            0x30,
            &[
                tlv(2, &[0]),
                tlv(0x30, &[OID_RSA, &[5, 0]].concat()),
                tlv(4, &rsa),
            ]
            .concat(),
        );
        let plain = parse(&block("RSA PRIVATE KEY", &rsa)).unwrap();
        assert_eq!(parse(&block("PRIVATE KEY", &wrapped)).unwrap(), plain);
        assert!(plain.identity.is_some());

        let sec1 = body(&generated("ec-sec1-pem", &[]));
        let curve = tlv(0x30, &[OID_EC, OID_P256].concat());
        let wrapped = tlv(0x30, &[tlv(2, &[0]), curve, tlv(4, &sec1)].concat());
        assert_eq!(
            parse(&block("EC PRIVATE KEY", &sec1)),
            parse(&block("PRIVATE KEY", &wrapped))
        );

        // A seed, an Ed25519 key: the same in OpenSSH's form and in PKCS#8.
        let openssh = body(&generated("openssh-pem", &[]));
        let at = memchr::memmem::rfind(&openssh, b"\0\0\0\x40").unwrap() + 4;
        let seed = tlv(4, &openssh[at..at + 32]);
        let pkcs8 = tlv(
            0x30,
            &[tlv(2, &[0]), tlv(0x30, OID_ED25519), tlv(4, &seed)].concat(),
        );
        assert_eq!(
            parse(&block("OPENSSH PRIVATE KEY", &openssh)),
            parse(&block("PRIVATE KEY", &pkcs8))
        );
    }

    #[test]
    fn an_rsa_key_whose_factors_do_not_fit_is_none() {
        let mut rsa = body(&generated("rsa-pkcs1-pem", &[]));
        assert!(parse(&block("RSA PRIVATE KEY", &rsa)).is_some());
        let modulus_end = 4 + 3 + 4 + 257;
        rsa[modulus_end - 3] ^= 1;
        assert_eq!(parse(&block("RSA PRIVATE KEY", &rsa)), None);
    }

    #[test]
    fn encrypted_keys_are_said_to_be() {
        for (name, args) in [
            ("pkcs8-encrypted-pem", &[][..]),
            ("legacy-encrypted-pem", &[]),
            ("openssh-pem", &["encrypted"]),
            ("pgp-pem", &["encrypted"]),
        ] {
            let text = generated(name, args);
            let Verdict::Pass(evidence) = private_key(text.as_bytes()) else {
                panic!("{name} is no key");
            };
            assert_eq!(evidence, [Evidence::Parsed, Evidence::Encrypted], "{name}");
        }
    }

    #[test]
    fn no_cut_key_parses() {
        for name in [
            "rsa-pkcs1-pem",
            "ec-sec1-pem",
            "dsa-pem",
            "pkcs8-pem",
            "openssh-pem",
        ] {
            let whole = armor::read(generated(name, &[]).as_bytes()).unwrap();
            for length in (0..whole.body.len()).step_by(7) {
                assert_eq!(
                    parse(&block(&whole.label, &whole.body[..length])),
                    None,
                    "{name} {length}"
                );
            }
        }
    }

    #[test]
    fn a_wrong_armour_checksum_is_no_pgp_key() {
        let mut whole = armor::read(generated("pgp-pem", &[]).as_bytes()).unwrap();
        assert!(parse(&whole).is_some());
        whole.crc24 = whole.crc24.map(|crc| crc ^ 1);
        assert_eq!(parse(&whole), None);
    }

    #[test]
    fn a_public_test_key_is_recognised_in_any_form() {
        // A key is public once its identity is in the table; the table itself cannot be tested with private keys
        // that may not stand here.
        assert!(
            PUBLIC_TEST_KEYS.len() >= 10,
            "the table holds the ten of GnuTLS at least"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200), label in 0..4usize) {
            let label = ["PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK"][label];
            let _ = parse(&block(label, &body));
            let _ = parse(&block(label, &[b"openssh-key-v1\0", &body[..]].concat()));
            let text = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", STANDARD.encode(&body));
            prop_assert!(private_key(&text.as_bytes()[..text.len() / 2]) == Verdict::Fail);
        }
    }

    /// Not a test: makes the table of `rules/public-test-keys.txt` from the files that the environment names. See
    /// `rules/public-test-keys.sh`.
    #[test]
    #[ignore = "makes a table from files that are not here"]
    fn recompute_public_test_keys() {
        let files = env::var("LAYERSIFT_KEY_FILES").expect("lines of ORIGIN=FILE");
        let mut lines = Vec::new();
        for (origin, file) in files.lines().filter_map(|line| line.split_once('=')) {
            let bytes = fs::read(file).expect("the file is there");
            for start in memchr::memmem::find_iter(&bytes, b"-----BEGIN ") {
                let text = &bytes[start..bytes.len().min(start + 16 * 1024)];
                // Armour is text, though the file around it need not be.
                let end = text
                    .iter()
                    .position(|byte| !byte.is_ascii())
                    .unwrap_or(text.len());
                let Some(found) = armor::read(&text[..end]) else {
                    continue;
                };
                let Some(identity) = parse(&found).and_then(|key| key.identity) else {
                    continue;
                };
                lines.push(format!(
                    "{}  {origin}, {}",
                    crate::text::hex(&identity),
                    found.label
                ));
            }
        }
        lines.sort();
        lines.dedup_by(|one, next| one[..64] == next[..64]);
        lines.sort_by(|one, next| one[66..].cmp(&next[66..]));
        let table = env::var("LAYERSIFT_KEY_TABLE").expect("the file to write");
        fs::write(table, lines.join("\n") + "\n").expect("the table can be written");
    }
}
