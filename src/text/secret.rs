//! Secrets that cannot be printed by accident, and their sealed form, in which nothing is left of them but what a
//! redacted report shows and a keyed hash to know them again by.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The bytes of a secret, or what was kept of them. `Debug` and `Display` show a redacted form; serde knows sealed ones
/// only. Whoever wants the bytes must ask for them by name.
///
/// A plain and a sealed secret are never equal: what is compared must all be one or the other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(Form);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Plain(Vec<u8>),
    Sealed(Arc<Sealed>),
}

/// Whether a report may show secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reveal {
    /// As they are: only on demand.
    Plain,
    /// Only enough to recognise one's own.
    #[default]
    Redacted,
}

/// Makes secrets unreadable by a key. Whoever has the key can still try guesses.
#[derive(Clone)]
pub struct Sealer(Arc<Keys>);

struct Keys {
    key: Vec<u8>,
    /// Whether findings are named by a hash without a key, which must then be kept.
    unkeyed: bool,
}

/// What a secret is, as far as it decides what may be kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Made by a machine: nobody finds it by trying.
    Generated,
    /// Chosen by a person.
    Guessable,
    /// Not secret by itself: the id that goes with a secret. Its text is kept.
    Identifier,
}

/// What is left of a secret.
#[derive(Clone, Serialize, Deserialize)]
struct Sealed {
    /// The HMAC-SHA256 of the bytes.
    identity: [u8; 32],
    /// The SHA-256 of the bytes, where findings are named by it.
    hash: Option<[u8; 32]>,
    length: u64,
    redacted: String,
    /// The bytes that the redacted form begins with.
    head: Vec<u8>,
    extent: Extent,
    text: Option<Vec<u8>>,
    /// What made it. Not stored.
    #[serde(skip)]
    sealer: Option<Sealer>,
}

/// How far a text reaches: what is needed to tell where it ends from where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Line breaks in it.
    pub breaks: u64,
    /// UTF-16 code units behind the last of them.
    pub last_units: u64,
}

impl Sealer {
    /// A sealer whose key also names the findings.
    pub fn keyed(key: Vec<u8>) -> Self {
        Self(Arc::new(Keys { key, unkeyed: false }))
    }

    /// A sealer for findings that are named without a key. Of generated secrets a plain hash is kept.
    pub fn unkeyed(key: Vec<u8>) -> Self {
        Self(Arc::new(Keys { key, unkeyed: true }))
    }

    /// The hash by which a sealed secret is known again.
    pub fn identity(&self, bytes: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0.key).expect("HMAC takes keys of any length");
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    /// The sealed form of `secret`; of a sealed one, itself.
    pub fn seal(&self, secret: &Secret, nature: Nature) -> Secret {
        let Form::Plain(bytes) = &secret.0 else {
            return secret.clone();
        };
        let generated = self.0.unkeyed && nature != Nature::Guessable;
        Secret(Form::Sealed(Arc::new(Sealed {
            identity: self.identity(bytes),
            hash: generated.then(|| Sha256::digest(bytes).into()),
            length: bytes.len() as u64,
            redacted: secret.redacted(),
            head: bytes[..shown(bytes.len())].to_vec(),
            extent: secret.extent(),
            text: (nature == Nature::Identifier).then(|| bytes.clone()),
            sealer: Some(self.clone()),
        })))
    }

    /// Ties a secret that was read from somewhere to the key it was sealed with, so that texts can be compared with it.
    pub fn adopt(&self, secret: &mut Secret) {
        if let Form::Sealed(sealed) = &mut secret.0 {
            Arc::make_mut(sealed).sealer = Some(self.clone());
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

/// Who is equal by the hash is equal.
impl PartialEq for Sealed {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Sealed {}

impl PartialOrd for Sealed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sealed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.identity.cmp(&other.identity)
    }
}

impl std::hash::Hash for Sealed {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

/// *Errors*: of a plain one always.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Form::Plain(_) => Err(serde::ser::Error::custom(
                "a secret is not stored before it is sealed",
            )),
            Form::Sealed(sealed) => sealed.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sealed = Sealed::deserialize(deserializer)?;
        Ok(Self(Form::Sealed(Arc::new(sealed))))
    }
}

/// How much of either end of a secret of so many bytes is shown.
fn shown(length: usize) -> usize {
    match length {
        0..16 => 0,
        16..40 => 2,
        _ => 4,
    }
}

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Form::Plain(bytes))
    }

    /// The bytes themselves. Of a sealed one nothing is left, unless it is an identifier: see [`Secret::known`].
    pub fn expose(&self) -> &[u8] {
        self.known().unwrap_or_default()
    }

    /// The bytes, where they were kept: of a sealed one, those of an identifier.
    pub fn known(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Plain(bytes) => Some(bytes),
            Form::Sealed(sealed) => sealed.text.as_deref(),
        }
    }

    /// Whether its bytes are these. Of a sealed one that was not adopted, false.
    pub fn is(&self, bytes: &[u8]) -> bool {
        match &self.0 {
            Form::Plain(own) => own == bytes,
            Form::Sealed(sealed) => {
                sealed.length == bytes.len() as u64
                    && bytes.starts_with(&sealed.head)
                    && (sealed.sealer.as_ref())
                        .is_some_and(|sealer| sealer.identity(bytes) == sealed.identity)
            }
        }
    }

    /// The bytes it begins with, as far as a report may show them.
    pub fn head(&self) -> &[u8] {
        match &self.0 {
            Form::Plain(bytes) => &bytes[..shown(bytes.len())],
            Form::Sealed(sealed) => &sealed.head,
        }
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match &self.0 {
            Form::Plain(bytes) => bytes.len() as u64,
            Form::Sealed(sealed) => sealed.length,
        }
    }

    /// The keyed hash a sealed one is known again by.
    pub fn identity(&self) -> Option<&[u8; 32]> {
        match &self.0 {
            Form::Plain(_) => None,
            Form::Sealed(sealed) => Some(&sealed.identity),
        }
    }

    /// The SHA-256 of the bytes, where it is known.
    pub fn hash(&self) -> Option<[u8; 32]> {
        match &self.0 {
            Form::Plain(bytes) => Some(Sha256::digest(bytes).into()),
            Form::Sealed(sealed) => sealed.hash,
        }
    }

    /// Where it ends, told from where it begins.
    pub fn extent(&self) -> Extent {
        match &self.0 {
            Form::Plain(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let last_line = text.rsplit('\n').next().unwrap_or_default();
                Extent {
                    breaks: text.bytes().filter(|byte| *byte == b'\n').count() as u64,
                    last_units: last_line.encode_utf16().count() as u64,
                }
            }
            Form::Sealed(sealed) => sealed.extent,
        }
    }

    /// A few characters from both ends, never more than a quarter of it, and its length: `GOOG1E…CCID (61)`.
    ///
    /// Secrets under 16 bytes show nothing of themselves. Of a PEM block the first line is shown, which names its kind and
    /// is no secret.
    pub fn redacted(&self) -> String {
        let bytes = match &self.0 {
            Form::Plain(bytes) => bytes,
            Form::Sealed(sealed) => return sealed.redacted.clone(),
        };
        if let Some(label) = pem_label(bytes) {
            return format!("{} … ({})", super::escape(label), bytes.len());
        }
        let shown = shown(bytes.len());
        let head = super::escape(&bytes[..shown]);
        let tail = super::escape(&bytes[bytes.len() - shown..]);
        format!("{head}…{tail} ({})", bytes.len())
    }

    /// The text a report shows.
    pub fn shown(&self, reveal: Reveal) -> String {
        match reveal {
            Reveal::Plain => self.known().map_or_else(|| self.redacted(), super::escape),
            Reveal::Redacted => self.redacted(),
        }
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

/// The BEGIN line of a PEM block, up to its closing hyphens.
fn pem_label(bytes: &[u8]) -> Option<&[u8]> {
    const OPEN: &[u8] = b"-----BEGIN ";
    const LONGEST: usize = 80;
    let rest = bytes.strip_prefix(OPEN)?;
    let end = rest.windows(5).take(LONGEST).position(|five| five == b"-----")?;
    let is_label = rest[..end]
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
    is_label.then(|| &bytes[..OPEN.len() + end + 5])
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.redacted())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        Secret::new(text.as_bytes().to_vec()).redacted()
    }

    #[test]
    fn little_is_shown_of_long_secrets_and_nothing_of_short_ones() {
        assert_eq!(redacted("hunter2"), "… (7)");
        assert_eq!(redacted("0123456789abcdef"), "01…ef (16)");
        assert_eq!(redacted(&"0123456789".repeat(4)), "0123…6789 (40)");
    }

    #[test]
    fn a_pem_block_is_named_by_its_first_line() {
        let label = ["-----BEGIN ", "PRIVATE KEY-----"].concat();
        assert_eq!(redacted(&format!("{label}\nMIIE\n")), format!("{label} … (33)"));
        assert_eq!(redacted("-----BEGIN my password-----"), "--…-- (27)");
    }

    #[test]
    fn a_sealed_secret_is_known_again_and_holds_nothing_of_it() {
        let sealer = Sealer::keyed(b"a key".to_vec());
        let plain = Secret::new(b"correct horse\nbattery staple".to_vec());
        let sealed = sealer.seal(&plain, Nature::Guessable);
        assert_eq!(sealed.redacted(), plain.redacted());
        assert_eq!(
            (sealed.length(), sealed.extent()),
            (plain.length(), plain.extent())
        );
        assert!(sealed.is(b"correct horse\nbattery staple") && !sealed.is(b"correct horse\nbattery stable"));
        assert_eq!((sealed.known(), sealed.hash()), (None, None));
        let stored = serde_json::to_string(&sealed).unwrap();
        assert!(!stored.contains("horse"));
        let mut read: Secret = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, sealed);
        assert!(!read.is(plain.expose()), "it has no key yet");
        sealer.adopt(&mut read);
        assert!(read.is(plain.expose()));
        assert_ne!(
            Sealer::keyed(b"other".to_vec()).seal(&plain, Nature::Guessable),
            sealed
        );
    }

    #[test]
    fn a_plain_secret_cannot_be_stored() {
        let plain = Secret::new(b"correct horse battery staple".to_vec());
        assert!(serde_json::to_string(&plain).is_err());
    }

    #[test]
    fn of_a_guessable_secret_no_plain_hash_is_kept() {
        let sealer = Sealer::unkeyed(b"a key".to_vec());
        let secret = Secret::new(b"correct horse battery staple".to_vec());
        assert_eq!(sealer.seal(&secret, Nature::Guessable).hash(), None);
        assert_eq!(sealer.seal(&secret, Nature::Generated).hash(), secret.hash());
        assert_eq!(sealer.seal(&secret, Nature::Identifier).expose(), secret.expose());
    }

    #[test]
    fn neither_debug_nor_display_shows_it() {
        let secret = Secret::new(b"correct horse battery staple".to_vec());
        assert!(!format!("{secret:?} {secret}").contains("horse"));
    }
}
