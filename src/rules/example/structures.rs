//! Generated structures for examples: keys, tokens with inner checks, encoded credentials. Nothing is stored.
//!
//! Checksums are written here a second time, on purpose: an example made by the code that checks it proves nothing.
//! Keys are sound in structure alone: an RSA modulus is a product of two odd numbers that are hardly prime, and the
//! point of an EC key is not on its curve. They open nothing.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};

use super::Rng;

/// The structure of this name, or `None` where there is none or the arguments do not fit.
///
/// PEM blocks take `escaped` as their last argument: line breaks are then written `\n`. `cut` leaves a third of
/// the body away: a counter-example.
pub fn structure(name: &str, args: &[&str], rng: &mut Rng) -> Option<Vec<u8>> {
    let text = match (name, args) {
        ("age-identity", []) => age_identity(rng),
        ("aws-key-id", []) => aws_key_id("AKIA", rng),
        ("aws-key-id", [prefix]) => aws_key_id(prefix, rng),
        ("azure-devops-pat", []) => azure_devops_pat(rng),
        ("azure-entra-secret", []) => azure_entra_secret(rng),
        ("azure-marvin32", [seed, signature, bytes]) => azure_key(seed, signature, bytes.parse().ok()?, rng)?,
        ("base58check", [version, bytes]) => base58check(version, bytes.parse().ok()?, "", rng)?,
        ("base58check", [version, bytes, suffix]) => base58check(version, bytes.parse().ok()?, suffix, rng)?,
        ("base64", [bytes]) => {
            STANDARD.encode(random(rng, bytes.parse().ok().filter(|&bytes| bytes <= 4096)?))
        }
        ("base64-json", []) => base64_json(rng),
        ("base64-json", ["k"]) => {
            STANDARD.encode(format!(r#"{{"k":"{}","n":"ci","id":1}}"#, text(rng, BASE62, 32)))
        }
        ("bip39", [words]) => bip39(words.parse().ok()?, rng)?,
        ("discord-token", []) => discord_token(rng),
        ("docker-auth", []) => docker_auth("ci-robot", rng),
        ("docker-auth", [user]) => docker_auth(user, rng),
        ("dsa-pem", form) => pem("DSA PRIVATE KEY", &[], &dsa(rng), form)?,
        ("ec-sec1-pem", form) => pem("EC PRIVATE KEY", &[], &sec1(rng, true), form)?,
        ("gcp-service-account", form) => gcp_service_account(rng, form)?,
        ("github-fine-grained", []) => github_fine_grained(rng),
        ("jwt", []) => jwt(r#"{"alg":"HS256","typ":"JWT"}"#, rng),
        ("jwt-without-alg", []) => jwt(r#"{"kid":"7","typ":"JWT"}"#, rng),
        ("key-store", form @ ([] | ["certificates" | "open"])) => key_store(rng, form),
        ("legacy-encrypted-pem", form) => legacy_encrypted(rng, form)?,
        ("macaroon", ["index"]) => macaroon(&["pypi", "org"].join("."), rng),
        ("macaroon", ["test-index"]) => macaroon(&["test", "pypi", "org"].join("."), rng),
        ("openssh-pem", ["encrypted", form @ ..]) => {
            pem("OPENSSH PRIVATE KEY", &[], &openssh(rng, true), form)?
        }
        ("openssh-pem", form) => pem("OPENSSH PRIVATE KEY", &[], &openssh(rng, false), form)?,
        ("pgp-pem", form) => pgp(rng, form)?,
        ("pkcs8-encrypted-pem", form) => pem("ENCRYPTED PRIVATE KEY", &[], &pkcs8_encrypted(rng), form)?,
        ("pkcs8-pem", ["ec", form @ ..]) => {
            pem("PRIVATE KEY", &[], &pkcs8(OID_EC_P256, &sec1(rng, false)), form)?
        }
        ("pkcs8-pem", ["ed25519", form @ ..]) => pem(
            "PRIVATE KEY",
            &[],
            &pkcs8(OID_ED25519, &tlv(4, &random(rng, 32))),
            form,
        )?,
        ("pkcs8-pem", ["labelled", label, form @ ..]) => {
            pem(label, &[], &pkcs8(OID_ED25519, &tlv(4, &random(rng, 32))), form)?
        }
        ("pkcs8-pem", form) => pem("PRIVATE KEY", &[], &pkcs8(OID_RSA, &pkcs1(rng)), form)?,
        ("rsa-pkcs1-pem", form) => pem("RSA PRIVATE KEY", &[], &pkcs1(rng), form)?,
        ("stellar-seed", []) => stellar_seed(rng),
        _ => return None,
    };
    Some(text.into_bytes())
}

fn random(rng: &mut Rng, length: usize) -> Vec<u8> {
    (0..length).map(|_| rng.number() as u8).collect()
}

fn text(rng: &mut Rng, alphabet: &[u8], length: usize) -> String {
    (0..length)
        .map(|_| char::from(alphabet[rng.below(alphabet.len())]))
        .collect()
}

/// A positive odd number that has its highest bit set.
fn odd(rng: &mut Rng, bytes: usize) -> Vec<u8> {
    let mut number = random(rng, bytes);
    number[0] |= 0x80;
    number[bytes - 1] |= 1;
    number
}

fn product(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut product = vec![0u8; left.len() + right.len()];
    for (row, &digit) in left.iter().rev().enumerate() {
        let mut carry = 0;
        for (column, &other) in right.iter().rev().enumerate() {
            let place = product.len() - 1 - row - column;
            let sum = u32::from(product[place]) + u32::from(digit) * u32::from(other) + carry;
            product[place] = sum as u8;
            carry = sum >> 8;
        }
        let place = product.len() - 1 - row - right.len();
        product[place] = carry as u8;
    }
    product
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        short @ 0..=0x7f => vec![short as u8],
        long @ 0x80..=0xff => vec![0x81, long as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    [&[tag], &length[..], content].concat()
}

fn integer(number: &[u8]) -> Vec<u8> {
    let number = &number[number
        .iter()
        .take_while(|&&byte| byte == 0)
        .count()
        .min(number.len() - 1)..];
    tlv(
        2,
        &if number[0] & 0x80 == 0 {
            number.to_vec()
        } else {
            [&[0], number].concat()
        },
    )
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn pkcs1(rng: &mut Rng) -> Vec<u8> {
    let (first, second) = (odd(rng, 128), odd(rng, 128));
    let mut parts = vec![
        integer(&[0]),
        integer(&product(&first, &second)),
        integer(&[1, 0, 1]),
    ];
    parts.push(integer(&odd(rng, 256)));
    parts.extend([integer(&first), integer(&second)]);
    parts.extend((0..3).map(|_| integer(&odd(rng, 128))));
    sequence(&parts)
}

fn sec1(rng: &mut Rng, with_curve: bool) -> Vec<u8> {
    let mut parts = vec![integer(&[1]), tlv(4, &odd(rng, 32))];
    if with_curve {
        parts.push(tlv(0xa0, OID_P256));
    }
    let point = [&[0, 4], &random(rng, 64)[..]].concat();
    parts.push(tlv(0xa1, &tlv(3, &point)));
    sequence(&parts)
}

fn dsa(rng: &mut Rng) -> Vec<u8> {
    let sizes = [256, 32, 256, 256, 32];
    let mut parts = vec![integer(&[0])];
    parts.extend(sizes.map(|bytes| integer(&odd(rng, bytes))));
    sequence(&parts)
}

fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    sequence(&[integer(&[0]), tlv(0x30, algorithm), tlv(4, key)])
}

fn pkcs8_encrypted(rng: &mut Rng) -> Vec<u8> {
    let salt = tlv(4, &random(rng, 8));
    let algorithm = sequence(&[OID_PBES2.to_vec(), sequence(&[salt, integer(&[8, 0])])]);
    sequence(&[algorithm, tlv(4, &random(rng, 160))])
}

fn ssh_string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn openssh(rng: &mut Rng, encrypted: bool) -> Vec<u8> {
    let seed = random(rng, 32);
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
    let public = pair.public_key().as_ref();
    let kind = ssh_string(b"ssh-ed25519");
    let private = if encrypted {
        random(rng, 144)
    } else {
        let number = random(rng, 4);
        let pair = ssh_string(&[&seed, public].concat());
        let mut private = [
            &number,
            &number,
            &kind,
            &ssh_string(public),
            &pair,
            &ssh_string(b"root@build"),
        ]
        .map(|part| &part[..])
        .concat();
        private.extend((1..).take((8 - private.len() % 8) % 8));
        private
    };
    let (cipher, kdf) = if encrypted {
        ("aes256-ctr", "bcrypt")
    } else {
        ("none", "none")
    };
    let options = if encrypted {
        [ssh_string(&random(rng, 16)), vec![0, 0, 0, 24]].concat()
    } else {
        Vec::new()
    };
    [
        b"openssh-key-v1\0".to_vec(),
        ssh_string(cipher.as_bytes()),
        ssh_string(kdf.as_bytes()),
        ssh_string(&options),
        vec![0, 0, 0, 1],
        ssh_string(&[kind, ssh_string(public)].concat()),
        ssh_string(&private),
    ]
    .concat()
}

/// An Ed25519 key and its user id, as OpenPGP packets with the checksum of the armour.
fn pgp(rng: &mut Rng, form: &[&str]) -> Option<String> {
    let (encrypted, form) = match form {
        ["encrypted", rest @ ..] => (true, rest),
        _ => (false, form),
    };
    let mut key = vec![
        4, 0x65, 1, 2, 3, 22, 9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 0x0f, 1, 1, 7, 0x40,
    ];
    key.extend(random(rng, 32));
    if encrypted {
        key.extend([254, 9, 3, 8]);
        key.extend(random(rng, 8 + 1 + 16 + 36));
    } else {
        key.extend([0, 1, 0]);
        key.extend(odd(rng, 32));
        key.extend(random(rng, 2));
    }
    let user = b"Build <build@example.com>";
    let packets = [
        &[0xc5, key.len() as u8],
        &key[..],
        &[0xcd, user.len() as u8],
        user,
    ]
    .concat();
    let mut sum = 0x00b7_04ceu32;
    for byte in &packets {
        sum ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            sum = (sum << 1) ^ if sum & 0x0080_0000 == 0 { 0 } else { 0x0186_4cfb };
        }
    }
    let checksum = format!("={}", STANDARD.encode(&sum.to_be_bytes()[1..]));
    let block = pem("PGP PRIVATE KEY BLOCK", &[""], &packets, form)?;
    let (body, end) = block.rsplit_once("-----END")?;
    let line_break = if form.contains(&"escaped") { "\\n" } else { "\n" };
    Some(format!("{body}{checksum}{line_break}-----END{end}"))
}

fn legacy_encrypted(rng: &mut Rng, form: &[&str]) -> Option<String> {
    let cipher = format!("DEK-Info: AES-128-CBC,{}", text(rng, b"0123456789ABCDEF", 32));
    pem(
        "RSA PRIVATE KEY",
        &["Proc-Type: 4,ENCRYPTED", &cipher, ""],
        &random(rng, 1200),
        form,
    )
}

fn pem(label: &str, headers: &[&str], body: &[u8], form: &[&str]) -> Option<String> {
    let (mut line_break, mut kept) = ("\n", body.len());
    for &form in form {
        match form {
            "escaped" => line_break = "\\n",
            "crlf" => line_break = "\r\n",
            "indented" => line_break = "\n    ",
            "cut" => kept = body.len() / 3 * 2,
            _ => return None,
        }
    }
    let encoded = STANDARD.encode(&body[..kept]);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    lines.extend(headers.iter().map(|header| (*header).to_owned()));
    lines.extend(
        encoded
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line).into_owned()),
    );
    lines.push(format!("-----END {label}-----"));
    Some(lines.join(line_break))
}

/// A key store of Java in base64, whose key is random octets: with a password nobody knows, with the one of manuals, or
/// with a certificate only.
fn key_store(rng: &mut Rng, form: &[&str]) -> String {
    let certificate = |rng: &mut Rng| {
        let octets = random(rng, 300);
        [&b"\0\x05X.509\0\0\x01\x2c"[..], &octets].concat()
    };
    let mut store = b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01".to_vec();
    let is_trusted = form == ["certificates"];
    store.extend([0, 0, 0, 1 + u8::from(is_trusted), 0, 3]);
    store.extend(b"app\0\0\x01\x90\0\0\0\0");
    if !is_trusted {
        let algorithm = tlv(0x30, &[6, 10, 0x2b, 6, 1, 4, 1, 0x2a, 2, 0x11, 1, 1, 5, 0]);
        let key = tlv(0x30, &[algorithm, tlv(4, &random(rng, 520))].concat());
        store.extend((key.len() as u32).to_be_bytes());
        store.extend(key);
        store.extend([0, 0, 0, 1]);
    }
    store.extend(certificate(rng));
    let digest = match form {
        ["open"] => {
            let password = "changeit".bytes().flat_map(|byte| [0, byte]);
            let sealed: Vec<u8> = password
                .chain(*b"Mighty Aphrodite")
                .chain(store.iter().copied())
                .collect();
            sha1::Sha1::digest(&sealed).to_vec()
        }
        _ => random(rng, 20),
    };
    STANDARD.encode([store, digest].concat())
}

fn gcp_service_account(rng: &mut Rng, form: &[&str]) -> Option<String> {
    let (quote, form) = match form {
        ["quoted", rest @ ..] => ("\\\"", rest),
        _ => ("\"", form),
    };
    let cut = form.contains(&"cut");
    let mut key = pem(
        "PRIVATE KEY",
        &[],
        &pkcs8(OID_RSA, &pkcs1(rng)),
        if cut { &["escaped", "cut"] } else { &["escaped"] },
    )?;
    if quote.len() == 2 {
        key = key.replace('\\', "\\\\");
    }
    let id = text(rng, b"0123456789abcdef", 40);
    let file = format!(
        "{{ 'type': 'service_account', 'project_id': 'acme-build', 'private_key_id': '{id}', 'private_key': '{key}', \
         'client_email': 'ci@acme-build.iam.gserviceaccount.com', 'client_id': '10{}', \
         'token_uri': 'https://oauth2.googleapis.com/token' }}",
        text(rng, b"0123456789", 19)
    );
    Some(file.replace('\'', quote))
}

fn jwt(header: &str, rng: &mut Rng) -> String {
    let payload = format!(
        r#"{{"sub":"{}","iss":"build","exp":{}}}"#,
        text(rng, b"0123456789abcdef", 24),
        4_000_000_000u64
    );
    let signature = URL_SAFE_NO_PAD.encode(random(rng, 32));
    format!(
        "{}.{}.{signature}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    )
}

fn base64_json(rng: &mut Rng) -> String {
    let key = text(rng, BASE62, 32);
    STANDARD.encode(format!(
        r#"{{"o":"{}","n":"build-{}","k":"{key}"}}"#,
        text(rng, b"123456789", 6),
        rng.below(1000)
    ))
}

fn docker_auth(user: &str, rng: &mut Rng) -> String {
    STANDARD.encode(format!("{user}:{}", text(rng, BASE62, 24)))
}

fn macaroon(location: &str, rng: &mut Rng) -> String {
    let mut bytes = vec![2, 1, location.len() as u8];
    bytes.extend(location.bytes());
    bytes.extend([2, 36]);
    bytes.extend(text(rng, b"0123456789abcdef", 36).bytes());
    bytes.push(0);
    let caveat = r#"[1,["layersift"]]"#;
    bytes.extend([2, caveat.len() as u8]);
    bytes.extend(caveat.bytes());
    bytes.extend([0, 0, 6, 32]);
    bytes.extend(random(rng, 32));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Random bytes between a version and a suffix, both in hex, with the checksum of all.
fn base58check(version: &str, bytes: usize, suffix: &str, rng: &mut Rng) -> Option<String> {
    const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let unhex = |hex: &str| -> Option<Vec<u8>> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
            .collect()
    };
    let mut body = unhex(version)?;
    body.extend(random(rng, Some(bytes).filter(|&bytes| bytes <= 80)?));
    body.extend(unhex(suffix)?);
    let checksum = Sha256::digest(Sha256::digest(&body));
    body.extend(&checksum[..4]);
    let zeros = body.iter().take_while(|&&byte| byte == 0).count();
    let mut text = vec![DIGITS[0]; zeros];
    // Long division: the remainders are the digits, the last one first.
    let mut digits = Vec::new();
    while body.iter().any(|&byte| byte > 0) {
        let rest = body.iter_mut().fold(0u32, |rest, byte| {
            let number = rest << 8 | u32::from(*byte);
            *byte = (number / 58) as u8;
            number % 58
        });
        digits.push(DIGITS[rest as usize]);
    }
    text.extend(digits.iter().rev());
    String::from_utf8(text).ok()
}

/// Random bits, as many of their digest as are missing to whole words, and a word for each eleven.
fn bip39(words: usize, rng: &mut Rng) -> Option<String> {
    if !words.is_multiple_of(3) || !(12..=24).contains(&words) {
        return None;
    }
    let entropy = random(rng, words / 3 * 4);
    let binary = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:08b}")).collect() };
    let bits = binary(&entropy) + &binary(&Sha256::digest(&entropy))[..words / 3];
    let list: Vec<&str> = include_str!("../../../rules/bip39-english.txt").lines().collect();
    let word = |word: usize| list.get(usize::from_str_radix(&bits[word * 11..][..11], 2).ok()?);
    let phrase: Option<Vec<&str>> = (0..words).map(|number| word(number).copied()).collect();
    Some(phrase?.join(" "))
}

/// A version, 32 bytes and their CRC-16, bit by bit.
fn stellar_seed(rng: &mut Rng) -> String {
    let mut bytes = vec![0x90];
    bytes.extend(random(rng, 32));
    let mut sum = 0u16;
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
    {
        let top = sum >> 15;
        sum <<= 1;
        if top != u16::from(bit) {
            sum ^= 0x1021;
        }
    }
    bytes.extend(sum.to_le_bytes());
    (0..bytes.len() * 8 / 5)
        .map(|place| {
            let digit = (0..5).fold(0, |digit, bit| {
                let at = place * 5 + bit;
                digit << 1 | bytes[at / 8] >> (7 - at % 8) & 1
            });
            char::from(BASE32[usize::from(digit)])
        })
        .collect()
}

fn discord_token(rng: &mut Rng) -> String {
    let user = URL_SAFE_NO_PAD.encode(format!("1{}", text(rng, b"0123456789", 18)));
    format!("{user}.{}.{}", text(rng, BASE62, 6), text(rng, BASE62, 38))
}

/// A prefix and 80 bits that hold a random account number, with a letter that says so first.
fn aws_key_id(prefix: &str, rng: &mut Rng) -> String {
    let account = u128::from(rng.number() % 999_999_999_999 + 1);
    let bits = (0b1001 << 44 | account << 7 & 0x7fff_ffff_ff80) << 32 | u128::from(rng.number() as u32);
    let body: String = (0..16)
        .rev()
        .map(|place| char::from(BASE32[(bits >> (5 * place)) as usize & 31]))
        .collect();
    format!("{prefix}{body}")
}

fn github_fine_grained(rng: &mut Rng) -> String {
    let body = format!("github_pat_{}_{}", text(rng, BASE62, 22), text(rng, BASE62, 43));
    let digest = Sha256::digest(&body);
    let bits = digest[..5]
        .iter()
        .fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    let checksum: String = (0..8)
        .rev()
        .map(|place| char::from(BASE32[(bits >> (5 * place)) as usize & 31]))
        .collect();
    format!("{body}{checksum}{}", text(rng, BASE62, 8))
}

/// Base64 of random bytes with `signature` before the six characters that hold their checksum. `bytes` counts
/// those without the checksum. Keys of 52 characters are made of letters and digits but for the signature.
fn azure_key(seed: &str, signature: &str, bytes: usize, rng: &mut Rng) -> Option<String> {
    let seed = seed.as_bytes().try_into().ok()?;
    let place = match bytes {
        28 => 33,
        35 => 42,
        36 => 44,
        60 => 76,
        _ => return None,
    };
    loop {
        let mut encoded = STANDARD.encode(random(rng, bytes + 4)).into_bytes();
        encoded[place..place + 4].copy_from_slice(signature.as_bytes().first_chunk::<4>()?);
        let mut key = STANDARD.decode(encoded).ok()?;
        let checksum = marvin32(seed, &key[..bytes]);
        key[bytes..].copy_from_slice(&checksum.to_le_bytes());
        let key = STANDARD.encode(key);
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let upper = |byte: u8| byte.is_ascii_uppercase();
        if bytes != 35
            || (plain(&key[..place]) && plain(&key[place + 4..]) && upper(key.as_bytes()[place + 4]))
        {
            return Some(key);
        }
    }
}

fn azure_entra_secret(rng: &mut Rng) -> String {
    const DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890.-_~";
    let body = format!("{}8Q~{}", text(rng, BASE62, 3), text(rng, BASE62, 31));
    let checksum = marvin32(*b"AadPwd00", body.as_bytes());
    let leading: String = [5, 4, 3]
        .map(|place| char::from(DIGITS[checksum as usize / 66usize.pow(place) % 66]))
        .iter()
        .collect();
    format!("{body}{leading}")
}

fn azure_devops_pat(rng: &mut Rng) -> String {
    let mut bytes = random(rng, 32);
    let mut others = bytes.clone();
    for place in [22, 8, 7, 2] {
        others.remove(place);
    }
    let checksum = (crc32fast::hash(&others) ^ 0xE0B9_692D).to_be_bytes();
    for (place, byte) in [2, 7, 8, 22].into_iter().zip(checksum) {
        bytes[place] = byte;
    }
    let bit = |place: usize| {
        bytes
            .get(place / 8)
            .is_some_and(|byte| byte >> (7 - place % 8) & 1 == 1)
    };
    let digit =
        |group: usize| (0..5).fold(0, |value, place| value << 1 | usize::from(bit(5 * group + place)));
    (0..52)
        .map(|group| char::from(BASE32[digit(group)].to_ascii_lowercase()))
        .collect()
}

fn age_identity(rng: &mut Rng) -> String {
    const DIGITS: &[u8] = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let prefix = "age-secret-key-";
    let values: Vec<u8> = (0..52).map(|_| rng.number() as u8 & 31).collect();
    // The last of 52 digits holds one bit of the key; the others of it are zero.
    let values = [&values[..51], &[values[51] & 16]].concat();
    let expanded: Vec<u8> = (prefix.bytes().map(|byte| byte >> 5))
        .chain([0])
        .chain(prefix.bytes().map(|byte| byte & 31))
        .chain(values.iter().copied())
        .chain([0; 6])
        .collect();
    let mut sum = 1u64;
    for value in expanded {
        let top = sum >> 25;
        sum = (sum & 0x1ff_ffff) << 5 ^ u64::from(value);
        for (bit, generator) in [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3]
            .into_iter()
            .enumerate()
        {
            sum ^= if top >> bit & 1 == 1 { generator } else { 0 };
        }
    }
    let checksum = (0..6).map(|place| ((sum ^ 1) >> (5 * (5 - place))) as u8 & 31);
    let digits: String = values
        .into_iter()
        .chain(checksum)
        .map(|value| char::from(DIGITS[usize::from(value)]))
        .collect();
    format!("{}1{digits}", prefix.to_ascii_uppercase())
}

fn marvin32(seed: [u8; 8], bytes: &[u8]) -> u32 {
    let mut state = [
        u32::from_be_bytes([seed[4], seed[5], seed[6], seed[7]]),
        u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]),
    ];
    let mut padded = [bytes, &[0x80]].concat();
    padded.resize(padded.len().next_multiple_of(4) + 4, 0);
    for word in padded.chunks(4) {
        state[0] = state[0].wrapping_add(
            word.iter()
                .rev()
                .fold(0, |word, &byte| word << 8 | u32::from(byte)),
        );
        for (first, second) in [(20, 9), (27, 19)] {
            state[1] ^= state[0];
            state[0] = state[0].rotate_left(first).wrapping_add(state[1]);
            state[1] = state[1].rotate_left(second);
        }
    }
    state[0] ^ state[1]
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const OID_EC_P256: &[u8] = &[
    6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
];
const OID_ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];
const OID_P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const OID_PBES2: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const OID_RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
