//! Tokens with an inner structure: decodes them, and fails what does not decode.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::{Verdict, is_placeholder, key};
use crate::rules::Evidence;

/// An AWS access key id. Ids made since about 2019 hold the account number; earlier ones, which have `I` or `J`
/// after the prefix, do not, and pass without evidence.
pub fn aws_access_key_id(id: &[u8]) -> Verdict {
    let Some(body) = id.get(4..20).filter(|_| id.len() == 20) else {
        return Verdict::Fail;
    };
    let mut number = 0u128;
    for byte in body {
        let Some(value) = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
            .iter()
            .position(|digit| digit == byte)
        else {
            return Verdict::filter(body.iter().all(u8::is_ascii_alphanumeric));
        };
        number = number << 5 | value as u128;
    }
    // The first 48 of 80 bits; of those, 40 bits are the account.
    let account = (number >> 32 & 0x7fff_ffff_ff80) >> 7;
    Verdict::hint(
        !matches!(body[0], b'I' | b'J') && (1..1_000_000_000_000).contains(&account),
        Evidence::Parsed,
    )
}

/// Text of the form `prefix_` + base64 of a JSON object, or base64 of one alone.
pub fn base64_json(token: &[u8]) -> Verdict {
    let Some(start) = memchr::memmem::find(token, b"eyJ") else {
        return Verdict::Fail;
    };
    let end = token[start..]
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !b"+/-_=".contains(byte))
        .map_or(token.len(), |length| start + length);
    // A signature may follow after an underscore, which is also a digit of base64url: try both readings.
    let whole = &token[start..end];
    let before_signature = whole.rsplitn(2, |&byte| byte == b'_').last().unwrap_or(whole);
    let parsed = [whole, before_signature]
        .into_iter()
        .any(|text| decode_base64(text).is_some_and(|bytes| json_object(&bytes).is_some()));
    Verdict::proof(parsed, Evidence::Parsed)
}

/// Base64 of at least 16 bytes that are not text.
pub fn base64_random(text: &[u8]) -> Verdict {
    let Some(bytes) = decode_base64(text).filter(|bytes| bytes.len() >= 16) else {
        return Verdict::Fail;
    };
    let printable = bytes
        .iter()
        .filter(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t'))
        .count();
    // Of random bytes, 38 % are printable; of text, all.
    Verdict::filter(printable * 10 < bytes.len() * 8)
}

/// A Discord bot token: its first segment is base64 of the bot's number.
pub fn discord_token(token: &[u8]) -> Verdict {
    let user = token.split(|&byte| byte == b'.').next().and_then(decode_base64);
    Verdict::proof(
        user.is_some_and(|user| (17..=20).contains(&user.len()) && user.iter().all(u8::is_ascii_digit)),
        Evidence::Parsed,
    )
}

/// Base64 of `user:password`, as in Docker's `auths` and in HTTP Basic.
pub fn docker_auth(auth: &[u8]) -> Verdict {
    let Some(decoded) = decode_base64(auth) else {
        return Verdict::Fail;
    };
    if !decoded
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t'))
    {
        return Verdict::Fail;
    }
    let Some(colon) = decoded.iter().position(|&byte| byte == b':') else {
        return Verdict::Fail;
    };
    match credentials(&decoded[..colon], &decoded[colon + 1..]) {
        Login::None => Verdict::Fail,
        Login::Documented => Verdict::Pass(vec![Evidence::Sample]),
        Login::Real if colon == 0 => Verdict::Fail,
        Login::Real => Verdict::Pass(vec![Evidence::Parsed]),
    }
}

/// A Google service-account file, also with its quotes escaped as inside a string, or a string in a string.
pub fn gcp_service_account(object: &[u8]) -> Verdict {
    let mut text = object.to_vec();
    for _ in 0..=ESCAPED {
        if let Some(account) = json_object(&text) {
            return service_account(&account);
        }
        let Ok(Value::String(inner)) = serde_json::from_slice(&[b"\"", &text[..], b"\""].concat()) else {
            break;
        };
        text = inner.into_bytes();
    }
    Verdict::Fail
}

fn service_account(account: &Map<String, Value>) -> Verdict {
    let text = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("type") != "service_account" || !text("client_email").contains('@') {
        return Verdict::Fail;
    }
    key::private_key(text("private_key").as_bytes())
}

/// A JSON Web Token: header and payload are JSON objects and the header names an algorithm.
///
/// Supabase's `anon` keys are meant to be public and fail. `exp` is not compared with anything.
pub fn jwt(token: &[u8]) -> Verdict {
    let mut segments = token.split(|&byte| byte == b'.');
    let mut object = || json_object(&decode_base64(segments.next()?)?);
    let (Some(header), Some(payload)) = (object(), object()) else {
        return Verdict::Fail;
    };
    let is_public = payload.get("role").and_then(Value::as_str) == Some("anon");
    Verdict::proof(
        !is_public && header.get("alg").is_some_and(Value::is_string),
        Evidence::Parsed,
    )
}

/// A macaroon, version 2, after a prefix that ends in a hyphen: version, location, identifier, caveats and a
/// signature of 32 bytes. The signature cannot be checked without the issuer's key.
pub fn macaroon(token: &[u8]) -> Verdict {
    let start = token
        .iter()
        .position(|&byte| byte == b'-')
        .map_or(0, |hyphen| hyphen + 1);
    let parsed = decode_base64(&token[start..]).is_some_and(|bytes| macaroon_v2(&bytes).is_some());
    Verdict::proof(parsed, Evidence::Parsed)
}

/// A password that stands alone: no placeholder; what every tutorial uses passes as a sample.
pub fn password(secret: &[u8]) -> Verdict {
    match credentials(b"", secret) {
        Login::None => Verdict::Fail,
        Login::Documented => Verdict::Pass(vec![Evidence::Sample]),
        Login::Real => Verdict::Pass(Vec::new()),
    }
}

/// The password of a URI (`secret`) within the URI (`whole`).
///
/// A placeholder fails; a password that equals its user, that every tutorial uses, or that opens a host reserved
/// for documentation (RFC 2606) passes as a sample.
pub fn uri_password(secret: &[u8], whole: &[u8]) -> Verdict {
    let authority = memchr::memmem::find(whole, b"://").map_or(whole, |scheme| &whole[scheme + 3..]);
    let at = memchr::memmem::rfind(authority, b"@").unwrap_or(authority.len());
    let user = authority[..at]
        .split(|&byte| byte == b':')
        .next()
        .unwrap_or_default();
    let host = authority.get(at + 1..).unwrap_or_default();
    let host = host
        .split(|byte| !byte.is_ascii_alphanumeric() && !b".-_".contains(byte))
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let documented_host = RESERVED_HOSTS.iter().any(|reserved| {
        host.strip_suffix(*reserved)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
    });
    // `%DB_PASSWORD%` is no escape.
    if is_placeholder(secret) {
        return Verdict::Fail;
    }
    match credentials(&percent_decode(user), &percent_decode(secret)) {
        Login::None => Verdict::Fail,
        Login::Real if !documented_host && (host.is_empty() || !is_placeholder(&host)) => {
            Verdict::Pass(Vec::new())
        }
        Login::Real | Login::Documented => Verdict::Pass(vec![Evidence::Sample]),
    }
}

/// What a user and a password are worth.
enum Login {
    /// No secret at all.
    None,
    /// What an image or a manual uses by default.
    Documented,
    Real,
}

fn credentials(user: &[u8], password: &[u8]) -> Login {
    let (user, password) = (user.to_ascii_lowercase(), password.to_ascii_lowercase());
    let is_usual = USUAL.contains(&password.as_slice());
    let is_sample = SAMPLE_USERS.contains(&user.as_slice()) && (is_usual || says_password(&password));
    if is_placeholder(&password) || is_sample {
        Login::None
    } else if user == password || is_usual {
        Login::Documented
    } else {
        Login::Real
    }
}

/// Whether a password says no more than that it is one: `pass#1`, `P4ssw0rd`. Next to a sample user, that is a sample.
fn says_password(password: &[u8]) -> bool {
    let letters: Vec<u8> = password
        .iter()
        .map(|byte| match byte {
            b'4' | b'@' => b'a',
            b'0' => b'o',
            b'5' | b'$' => b's',
            other => *other,
        })
        .filter(u8::is_ascii_lowercase)
        .collect();
    memchr::memmem::find(&letters, b"pass").is_some()
}

fn macaroon_v2(bytes: &[u8]) -> Option<()> {
    let mut rest = bytes.strip_prefix(&[2])?;
    let field = |rest: &mut &[u8], kind: u8| -> Option<usize> {
        let (&found, after) = rest.split_first()?;
        if found != kind {
            return None;
        }
        let (length, after) = varint(after)?;
        *rest = after.get(length..)?;
        Some(length)
    };
    if rest.first() == Some(&1) {
        field(&mut rest, 1)?; // location
    }
    field(&mut rest, 2)?; // identifier
    rest = rest.strip_prefix(&[0])?;
    while rest.first() != Some(&0) {
        if rest.first() == Some(&1) {
            field(&mut rest, 1)?;
        }
        field(&mut rest, 2)?; // caveat
        if rest.first() == Some(&4) {
            field(&mut rest, 4)?; // verification id of a third party
        }
        rest = rest.strip_prefix(&[0])?;
    }
    rest = rest.strip_prefix(&[0])?;
    (field(&mut rest, 6)? == 32 && rest.is_empty()).then_some(())
}

fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().take(3).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

fn json_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let hex = |byte: u8| char::from(byte).to_digit(16);
        match after {
            [high, low, ..] if byte == b'%' && hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).zip(hex(*low)).map_or(0, |(high, low)| high << 4 | low);
                decoded.push(value as u8);
                rest = &after[2..];
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

/// Either alphabet, padded or not.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let standard: Vec<u8> = text
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    LENIENT.decode(standard).ok()
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// How often JSON may be escaped: a file in a variable in the configuration of an image is escaped twice.
const ESCAPED: usize = 3;

/// Users that stand for a user.
const SAMPLE_USERS: [&[u8]; 12] = [
    b"user",
    b"username",
    b"usr",
    b"foo",
    b"name",
    b"login",
    b"myuser",
    b"u",
    b"aladdin",
    b"alice",
    b"bob",
    b"someuser",
];

/// Passwords that manuals and stock images use.
const USUAL: [&[u8]; 22] = [
    b"password",
    b"passwd",
    b"pass",
    b"pwd",
    b"pw",
    b"p",
    b"secret",
    b"mypassword",
    b"mypass",
    b"bar",
    b"foo",
    b"root",
    b"admin",
    b"guest",
    b"postgres",
    b"mysql",
    b"redis",
    b"open sesame",
    b"opensesame",
    b"prisma",
    b"bitnami",
    b"hunter2",
];

/// Host names set apart for documentation and tests (RFC 2606, RFC 6761).
const RESERVED_HOSTS: [&[u8]; 6] = [
    b"example.com",
    b"example.net",
    b"example.org",
    b"example",
    b"invalid",
    b"test",
];

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    const PARSED: &[Evidence] = &[Evidence::Parsed];

    fn passes(verdict: Verdict, evidence: &[Evidence]) -> bool {
        verdict == Verdict::Pass(evidence.to_vec())
    }

    #[test]
    fn aws_id_of_a_known_account_is_parsed() {
        // 48 bits that begin with account 581039954779, as AWS lays them out.
        let account = 581_039_954_779u128;
        let bits = (1u128 << 47 | account << 7 | 5) << 32 | 0xdead_beef;
        let body: String = (0..16)
            .rev()
            .map(|digit| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(bits >> (5 * digit)) as usize & 31]))
            .collect();
        assert!(passes(
            aws_access_key_id(format!("AKIA{body}").as_bytes()),
            PARSED
        ));
        assert!(passes(
            aws_access_key_id(format!("AKIAI{}", &body[1..]).as_bytes()),
            &[]
        ));
        assert_eq!(aws_access_key_id(&body.as_bytes()[..15]), Verdict::Fail);
    }

    #[test]
    fn docker_auth_needs_a_user_and_a_real_password() {
        let auth = |login: &str| docker_auth(STANDARD.encode(login).as_bytes());
        assert!(passes(auth("ci-bot:Zq81-vbnT"), PARSED));
        assert!(passes(auth("deploy:p:with:colons9"), PARSED));
        assert!(passes(auth("admin:admin"), &[Evidence::Sample]));
        for login in [
            "user:pass",
            "username:password",
            "bot:",
            ":token99x",
            "bot:${TOKEN}",
            "no colon here",
            "a:\u{1}bcdefg",
        ] {
            assert_eq!(auth(login), Verdict::Fail, "{login}");
        }
        assert_eq!(docker_auth(b"not/base64!"), Verdict::Fail);
    }

    #[test]
    fn jwt_needs_two_objects_and_an_algorithm() {
        let token = |header: &str, payload: &str| {
            let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
            jwt(format!("{}.{}.c2lnbmF0dXJl", encode(header), encode(payload)).as_bytes())
        };
        assert!(passes(
            token(r#"{"alg":"HS256"}"#, r#"{"sub":"7","exp":1}"#),
            PARSED
        ));
        assert_eq!(token(r#"{"typ":"JWT"}"#, r#"{"sub":"7"}"#), Verdict::Fail);
        assert_eq!(token(r#"{"alg":"HS256"}"#, r#"[1]"#), Verdict::Fail);
        assert_eq!(token(r#"{"alg":"HS256"}"#, r#"{"role":"anon"}"#), Verdict::Fail);
        assert_eq!(jwt(b"eyJhbGciOiJIUzI1NiJ9"), Verdict::Fail);
    }

    #[test]
    fn macaroon_needs_its_fields_in_order_and_a_signature() {
        let mut bytes = vec![
            2, 1, 3, b'a', b'.', b'b', 2, 2, b'i', b'd', 0, 2, 1, b'c', 0, 0, 6, 32,
        ];
        bytes.extend([7; 32]);
        let token = |bytes: &[u8]| macaroon(format!("pypi-{}", URL_SAFE_NO_PAD.encode(bytes)).as_bytes());
        assert!(passes(token(&bytes), PARSED));
        assert_eq!(token(&bytes[..bytes.len() - 1]), Verdict::Fail, "a cut signature");
        bytes[0] = 1;
        assert_eq!(token(&bytes), Verdict::Fail, "another version");
    }

    #[test]
    fn uri_passwords_are_graded() {
        let grade = |uri: &str| {
            let (user, rest) = uri.split_once("://").unwrap().1.split_once(':').unwrap();
            let _ = user;
            uri_password(rest.rsplit_once('@').unwrap().0.as_bytes(), uri.as_bytes())
        };
        for real in [
            "postgres://app:Tr41n-set@db.internal:5432/x",
            "redis://:qW3rt9zz@cache/0",
            "mysql://root:a%40b9x@10.0.0.7",
        ] {
            assert!(passes(grade(real), &[]), "{real}");
        }
        for sample in [
            "postgres://postgres:postgres@localhost/db",
            "amqp://guest:guest@mq",
            "https://ci:s3cr3t-9@db.example.com/",
            "postgres://app:password@db",
        ] {
            assert!(passes(grade(sample), &[Evidence::Sample]), "{sample}");
        }
        for none in [
            "postgres://user:password@host",
            "mysql://u:${PASS}@host",
            "redis://:<password>@host",
            "mongodb://a:%24%7BPW%7D@h",
            "https://user:P4ss%20word@git.acme.io",
        ] {
            assert_eq!(grade(none), Verdict::Fail, "{none}");
        }
    }

    #[test]
    fn discord_token_names_its_bot() {
        let token = |user: &str| discord_token(format!("{}.Gh1jk2.abc", STANDARD.encode(user)).as_bytes());
        assert!(passes(token("112233445566778899"), PARSED));
        assert_eq!(token("11223344556677889x"), Verdict::Fail);
        assert_eq!(token("1122"), Verdict::Fail);
    }

    #[test]
    fn base64_of_text_is_not_random() {
        assert_eq!(
            base64_random(STANDARD.encode("a plain sentence of text").as_bytes()),
            Verdict::Fail
        );
        assert_eq!(
            base64_random(STANDARD.encode([0x9c; 8]).as_bytes()),
            Verdict::Fail,
            "too short"
        );
        let bytes: Vec<u8> = (0..32u8).map(|place| place.wrapping_mul(71) ^ 0x95).collect();
        assert!(passes(base64_random(STANDARD.encode(bytes).as_bytes()), &[]));
    }

    #[test]
    fn base64_json_reads_past_prefix_and_before_signature() {
        let body = STANDARD.encode(r#"{"iat":1,"url":"https://sentry.invalid"}"#);
        assert!(passes(base64_json(format!("glc_{body}").as_bytes()), PARSED));
        assert!(passes(
            base64_json(format!("sntrys_{body}_Zm9vYmFy").as_bytes()),
            PARSED
        ));
        assert_eq!(base64_json(b"glc_eyJub3QganNvbg"), Verdict::Fail);
    }
}
