//! Key stores of Java (JKS, JCEKS) and PKCS#12 (RFC 7292): from bytes to whether one holds a private key, and whether
//! a password that manuals print opens it. Decrypts no key and keeps no part of one.
//!
//! A store says how often its password is to be hashed. What is spent on it is bounded by its own size instead, so
//! that a store which asks for more is called encrypted, not worked on.

use der::asn1::AnyRef;
use der::{Class, Decode as _, Tag, Tagged as _};
use ring::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};

use super::Verdict;
use super::key::{elements, integer, sequence};
use crate::rules::Evidence;

/// Passwords that manuals, images and tools have as their default, the most usual first.
const PASSWORDS: [&str; 20] = [
    "changeit",
    "",
    "password",
    "changeme",
    "secret",
    "android",
    "keystore",
    "tomcat",
    "123456",
    "storepass",
    "keypass",
    "test123",
    "testpass",
    "pass",
    "test",
    "admin",
    "default",
    "server",
    "wso2carbon",
    "mypassword",
];

/// Blocks that are hashed for each byte of a store, over all passwords: what tools write (10,000 rounds) is tried with
/// most of them. As dear as what an archive may expand to.
const BLOCKS_PER_BYTE: u64 = 64;

/// Blocks that are hashed for the largest store: about a tenth of a second.
const MOST_BLOCKS: u64 = 500_000;

/// A key store in base64, possibly wrapped or with escaped line breaks.
pub fn key_store(text: &[u8]) -> Verdict {
    use base64::Engine as _;
    use base64::engine::{GeneralPurpose, general_purpose};
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        general_purpose::NO_PAD.with_decode_allow_trailing_bits(true),
    );
    let mut digits = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' => {
                rest.next();
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => digits.push(byte),
            _ => {}
        }
    }
    // What follows may look like more of it: a store says itself where it ends.
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    match LENIENT.decode(&digits) {
        Ok(bytes) => verdict(&bytes),
        Err(_) => Verdict::Fail,
    }
}

/// Says what a key store is worth: fails where it is none, is cut off, or holds no key but certificates.
pub fn verdict(bytes: &[u8]) -> Verdict {
    let mut effort = Effort {
        left: (bytes.len() as u64)
            .saturating_mul(BLOCKS_PER_BYTE)
            .min(MOST_BLOCKS),
    };
    let lock = match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => java(bytes, &mut effort),
        [0x30, ..] => pkcs12(bytes, &mut effort),
        _ => None,
    };
    Verdict::Pass(match lock {
        None => return Verdict::Fail,
        Some(Lock::None) => vec![Evidence::Parsed],
        Some(Lock::DefaultPassword) => vec![Evidence::DefaultPassword, Evidence::Parsed],
        Some(Lock::Password) => vec![Evidence::Encrypted, Evidence::Parsed],
    })
}

/// What keeps a private key from whoever has the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    None,
    /// A password from [`PASSWORDS`].
    DefaultPassword,
    /// None that was tried.
    Password,
}

/// Blocks that may still be hashed.
struct Effort {
    left: u64,
}

impl Effort {
    fn take(&mut self, blocks: u64) -> bool {
        match self.left.checked_sub(blocks) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

/// A store in the form of Java: entries, and a digest of the password and all of them. `None` without a private key.
///
/// *Source*: there is no specification; the form is that of `sun.security.provider.JavaKeyStore`.
fn java(bytes: &[u8], effort: &mut Effort) -> Option<Lock> {
    const DIGEST: usize = 20;
    let mut input = Input(bytes);
    let is_jceks = input.number()? == 0xcece_cece;
    let version = input.number()?;
    let count = input.number()?;
    let mut protected = Vec::new();
    let mut has_secret = false;
    for _ in 0..count {
        let tag = input.number()?;
        let length = input.short()?;
        input.bytes(usize::from(length))?;
        input.bytes(8)?;
        match tag {
            1 => {
                let length = input.number()? as usize;
                protected.push(input.bytes(length)?);
                for _ in 0..input.number()? {
                    input.certificate(version)?;
                }
            }
            2 => input.certificate(version)?,
            // A serialised object of which nothing says where it ends.
            3 if is_jceks => {
                has_secret = true;
                break;
            }
            _ => return None,
        }
    }
    if protected.is_empty() && !has_secret {
        return None;
    }
    let left = if has_secret { DIGEST } else { input.0.len() };
    let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(left)?)?;
    let digest = digest.get(..DIGEST)?;
    let is_open = PASSWORDS.iter().any(|password| {
        let password: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let blocks = bytes.len() as u64 / 64 + 2;
        if !effort.take(blocks) {
            return false;
        }
        // The key may have a password of its own.
        let is_sealed = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[&password, b"Mighty Aphrodite", body]) == digest;
        is_sealed || (!is_jceks && protected.iter().any(|key| opens_java_key(&password, key, effort)))
    });
    Some(if is_open {
        Lock::DefaultPassword
    } else {
        Lock::Password
    })
}

/// Longer entries are no keys: one of RSA with 16,384 bits has 9 KiB.
const LARGEST_KEY: usize = 64 * 1024;

/// Whether a password opens a private key of a JKS store: a salt, the key under a chain of digests, and a digest of
/// password and key.
fn opens_java_key(password: &[u8], protected: &[u8], effort: &mut Effort) -> bool {
    let blocks = 2 * (protected.len() as u64 / 20) + 4;
    if protected.len() > LARGEST_KEY || !effort.take(blocks) {
        return false;
    }
    let opens = || {
        let parts = sequence(protected)?;
        let octets = parts.get(1)?.value();
        let (salt, rest) = octets.split_at_checked(20)?;
        let (sealed, digest) = rest.split_at_checked(rest.len().checked_sub(20)?)?;
        let mut link = salt.to_vec();
        let mut plain = Vec::with_capacity(sealed.len());
        for block in sealed.chunks(20) {
            link = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password, &link]);
            plain.extend(block.iter().zip(&link).map(|(sealed, key)| sealed ^ key));
        }
        Some(hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password, &plain]) == digest)
    };
    opens().unwrap_or(false)
}

/// A PFX. `None` without a private key. Keys in a part that is encrypted as a whole do not show.
fn pkcs12(bytes: &[u8], effort: &mut Effort) -> Option<Lock> {
    if bytes.len() > LARGEST_PFX {
        return None;
    }
    let (pfx, _) = AnyRef::from_der_partial(bytes).ok()?;
    let parts = elements(pfx.value()).filter(|_| pfx.tag() == Tag::Sequence)?;
    let [version, content, mac @ ..] = parts.as_slice() else {
        return None;
    };
    if integer(version)? != [3] {
        return None;
    }
    let safe = octets(content)?;
    let mut lock = None;
    for part in sequence(safe)?.iter().take(MOST_PARTS) {
        let Some(contents) = octets(part) else { continue };
        for bag in sequence(contents)?.iter().take(MOST_PARTS) {
            match bag_kind(bag) {
                Some(1) => return Some(Lock::None),
                Some(2) => lock = Some(Lock::Password),
                _ => {}
            }
        }
    }
    lock?;
    let is_open = mac.first().is_some_and(|mac| {
        Mac::read(mac).is_some_and(|mac| PASSWORDS.iter().any(|password| mac.fits(password, safe, effort)))
    });
    Some(if is_open {
        Lock::DefaultPassword
    } else {
        Lock::Password
    })
}

/// Larger ones are not looked into: parsed, they would take many times their size.
const LARGEST_PFX: usize = 1024 * 1024;

/// Parts of a PFX, and bags of a part, that are looked at.
const MOST_PARTS: usize = 1000;

/// The content of a ContentInfo of the type `data`.
fn octets<'a>(content: &AnyRef<'a>) -> Option<&'a [u8]> {
    let parts = (content.tag() == Tag::Sequence).then(|| elements(content.value()))??;
    let [kind, content] = parts.as_slice() else {
        return None;
    };
    let is_data = kind.tag() == Tag::ObjectIdentifier && kind.value() == OID_DATA;
    if !is_data || content.tag().class() != Class::ContextSpecific {
        return None;
    }
    let octets = AnyRef::from_der(content.value()).ok()?;
    (octets.tag() == Tag::OctetString).then(|| octets.value())
}

/// What a SafeBag is: 1 for a key as it stands, 2 for an encrypted one, 3 for a certificate.
fn bag_kind(bag: &AnyRef<'_>) -> Option<u8> {
    let parts = (bag.tag() == Tag::Sequence).then(|| elements(bag.value()))??;
    let kind = parts.first()?;
    match kind.value().strip_prefix(OID_BAG)? {
        [kind] => Some(*kind),
        _ => None,
    }
}

/// How a PFX knows its password.
struct Mac<'a> {
    algorithm: &'static Algorithm,
    digest: &'a [u8],
    salt: &'a [u8],
    rounds: u64,
}

impl<'a> Mac<'a> {
    fn read(mac: &AnyRef<'a>) -> Option<Self> {
        let parts = elements(mac.value())?;
        let [info, salt, rounds @ ..] = parts.as_slice() else {
            return None;
        };
        let info = elements(info.value())?;
        let [algorithm, digest] = info.as_slice() else {
            return None;
        };
        let algorithm = match elements(algorithm.value())?.first()?.value() {
            [0x2b, 0x0e, 3, 2, 0x1a] => &SHA1_FOR_LEGACY_USE_ONLY,
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, kind] => match kind {
                1 => &SHA256,
                2 => &SHA384,
                3 => &SHA512,
                _ => return None,
            },
            _ => return None,
        };
        let rounds = match rounds.first() {
            None => 1,
            Some(rounds) => {
                let digits = integer(rounds).filter(|digits| digits.len() <= 4)?;
                digits
                    .iter()
                    .fold(0, |number, &byte| number << 8 | u64::from(byte))
            }
        };
        Some(Self {
            algorithm,
            digest: digest.value(),
            salt: salt.value(),
            rounds: rounds.max(1),
        })
    }

    /// Whether the password is the one. No password at all is written in two ways.
    fn fits(&self, password: &str, content: &[u8], effort: &mut Effort) -> bool {
        let mut units: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
        units.extend([0, 0]);
        self.fits_units(&units, content, effort)
            || (password.is_empty() && self.fits_units(&[], content, effort))
    }

    /// RFC 7292, appendix B, for a key as long as the digest; then RFC 2104.
    fn fits_units(&self, password: &[u8], content: &[u8], effort: &mut Effort) -> bool {
        let block = self.algorithm.block_len();
        let blocks = |bytes: usize| bytes as u64 / 64 + 2;
        let filled = self.salt.len().next_multiple_of(block) + password.len().next_multiple_of(block);
        if !effort.take(self.rounds + blocks(filled) + blocks(content.len()) + 4) {
            return false;
        }
        let fill = |bytes: &[u8]| -> Vec<u8> {
            let length = bytes.len().next_multiple_of(block);
            bytes.iter().copied().cycle().take(length).collect()
        };
        let purpose = vec![3; block];
        let mut key = hash(self.algorithm, &[&purpose, &fill(self.salt), &fill(password)]);
        for _ in 1..self.rounds {
            key = hash(self.algorithm, &[&key]);
        }
        let padded = |pad: u8| -> Vec<u8> {
            let key = key.iter().copied().chain(std::iter::repeat(0)).take(block);
            key.map(|byte| byte ^ pad).collect()
        };
        let inner = hash(self.algorithm, &[&padded(0x36), content]);
        hash(self.algorithm, &[&padded(0x5c), &inner]) == self.digest
    }
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// What is left of a store.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    fn short(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    /// Passes over a certificate, which has the name of its type in front since version 2.
    fn certificate(&mut self, version: u32) -> Option<()> {
        if version > 1 {
            let length = self.short()?;
            self.bytes(usize::from(length))?;
        }
        let length = self.number()?;
        self.bytes(length as usize)?;
        Some(())
    }
}

const OID_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
/// Of the bags, but for its last number.
const OID_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::example::{Rng, structures};

    fn store(form: &[&str]) -> Vec<u8> {
        use base64::Engine as _;
        let text = structures::structure("key-store", form, &mut Rng::new(7)).unwrap();
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = match content.len() {
            short @ 0..=0x7f => vec![short as u8],
            long => vec![0x81, u8::try_from(long).unwrap()],
        };
        [&[tag], &length[..], content].concat()
    }

    /// A PFX with an encrypted key and a MAC of so many rounds.
    fn pfx(rounds: u32) -> Vec<u8> {
        let data = |content: &[u8]| {
            let content = tlv(0xa0, &tlv(4, content));
            tlv(0x30, &[tlv(6, OID_DATA), content].concat())
        };
        let bag = [OID_BAG, &[2]].concat();
        let bag = tlv(0x30, &[tlv(6, &bag), tlv(0xa0, &tlv(0x30, &[]))].concat());
        let safe = tlv(0x30, &data(&tlv(0x30, &bag)));
        let algorithm = tlv(0x30, &tlv(6, &[0x2b, 0x0e, 3, 2, 0x1a]));
        let info = tlv(0x30, &[algorithm, tlv(4, &[7; 20])].concat());
        let mac = [info, tlv(4, &[1; 8]), tlv(2, &rounds.to_be_bytes())].concat();
        tlv(0x30, &[tlv(2, &[3]), data(&safe), tlv(0x30, &mac)].concat())
    }

    fn lock(bytes: &[u8]) -> Option<Vec<Evidence>> {
        match verdict(bytes) {
            Verdict::Fail => None,
            Verdict::Pass(evidence) => Some(evidence),
        }
    }

    #[test]
    fn a_store_is_worth_what_opens_it() {
        let open = vec![Evidence::DefaultPassword, Evidence::Parsed];
        let sealed = vec![Evidence::Encrypted, Evidence::Parsed];
        assert_eq!(lock(&store(&["open"])), Some(open));
        assert_eq!(lock(&store(&[])), Some(sealed));
        assert_eq!(lock(&store(&["certificates"])), None);
        assert_eq!(
            lock(&pfx(2000)),
            Some(vec![Evidence::Encrypted, Evidence::Parsed])
        );
        assert_eq!(
            lock(&pfx(0x7fff_ffff)),
            Some(vec![Evidence::Encrypted, Evidence::Parsed])
        );
    }

    #[test]
    fn text_may_be_folded_and_go_on_behind_the_store() {
        use base64::Engine as _;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let sealed = Verdict::Pass(vec![Evidence::Encrypted, Evidence::Parsed]);
        for store in [store(&[]), pfx(2000), [pfx(2000), vec![5, 0]].concat()] {
            let text = encode(&store);
            let folded = text.as_bytes().chunks(64).collect::<Vec<_>>();
            for fold in [&b""[..], b"\n    ", b"\\n", b"\\r\\n"] {
                for behind in [&b""[..], b"\n  other", b"A"] {
                    let text = [&folded.join(fold), behind].concat();
                    assert_eq!(key_store(&text), sealed, "{}", String::from_utf8_lossy(&text));
                }
            }
        }
    }

    #[test]
    fn a_store_that_is_cut_off_is_none() {
        let whole = store(&["open"]);
        for length in 0..whole.len() {
            assert_eq!(lock(&whole[..length]), None, "cut at {length}");
        }
    }

    #[test]
    fn numbers_that_lie_cost_nothing() {
        let mut many = store(&[]);
        many[8..12].copy_from_slice(&[0xff; 4]);
        assert_eq!(lock(&many), None);
        let mut long = store(&[]);
        long[29..33].copy_from_slice(&[0xff; 4]);
        assert_eq!(lock(&long), None);
        let mut effort = Effort { left: MOST_BLOCKS };
        let mac = Mac {
            algorithm: &SHA1_FOR_LEGACY_USE_ONLY,
            digest: &[0; 20],
            salt: &[0; 8],
            rounds: u64::from(u32::MAX),
        };
        assert!(!mac.fits("changeit", b"", &mut effort));
        assert_eq!(effort.left, MOST_BLOCKS);
    }

    #[test]
    fn the_effort_is_bounded_over_all_passwords() {
        let mut effort = Effort { left: 10_000 };
        let mac = Mac {
            algorithm: &SHA256,
            digest: &[0; 32],
            salt: &[0; 8],
            rounds: 3000,
        };
        let tried = PASSWORDS.iter().filter(|_| {
            let before = effort.left;
            mac.fits("password", b"", &mut effort);
            effort.left < before
        });
        assert_eq!(tried.count(), 3);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            is_java in any::<bool>(),
        ) {
            let mut bytes = if is_java { store(&["open"]) } else { pfx(2) };
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = verdict(&bytes);
        }
    }
}
