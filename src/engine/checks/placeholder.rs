//! Tells values that stand for a secret from secrets: `changeme`, `${VAR}`, `<password>`, `xxxxxxxx`.
//!
//! Words are looked for as whole words, or where they are too long to turn up in random text by chance, so that a
//! random token is not dropped for holding `test`. Whether a password is merely weak is not asked here.

/// Whether `value` is a placeholder, a template or a sample and no secret. Cost: one pass per word list, on values
/// of at most a few hundred bytes; longer ones are random or not, but no placeholders.
pub fn is_placeholder(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    if value.is_empty() {
        return true;
    }
    if value.len() > LONGEST {
        return false;
    }
    let lower = value.to_ascii_lowercase();
    is_filler(&lower)
        || is_template(value, &lower)
        || is_sequence(&lower)
        || NOTHING.contains(&lower.as_slice())
        || LONG_WORDS.iter().any(|word| holds(&lower, word))
        || words(&lower).any(|word| SHORT_WORDS.contains(&word))
}

/// One character repeated, a mask, or a run of one character that no random value has.
fn is_filler(value: &[u8]) -> bool {
    value.iter().all(|byte| b"*.x0-_#".contains(byte)) || value.iter().all(|&byte| byte == value[0]) || {
        let is_long = |run: &[u8]| {
            run.len()
                >= if run[0].is_ascii_hexdigit() {
                    REPEATED_DIGITS
                } else {
                    REPEATED
                }
        };
        value.chunk_by(|left, right| left == right).any(is_long)
    }
}

/// Whether `value` says where a secret is to be taken from, or is one that some program must decrypt first. No rule is
/// after such a value, whatever it is for.
///
/// Shell and templates (`${DB_PASSWORD}`, `#{ENV['X']}`), what builds replace (`@db.password@`, `%DB_PASSWORD%`,
/// `__DB_PASSWORD__`), tags of YAML (`!vault |`), values that SOPS or jasypt encrypted (`ENC[AES256_GCM,…]`, `ENC(…)`).
pub fn is_reference(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    if value.len() > LONGEST {
        return false;
    }
    let between = |open: &[u8], close: &[u8]| {
        let inner = value.strip_prefix(open)?.strip_suffix(close)?;
        (!inner.is_empty()).then_some(inner)
    };
    let is_named = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let is_name =
        |text: &[u8]| text.iter().all(is_named) && text.first().is_some_and(|byte| !byte.is_ascii_digit());
    let tag = value.strip_prefix(b"!").map(|tag| {
        let length = tag.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        (length, tag.get(length).copied())
    });
    REFERENCES.iter().any(|mark| holds(value, mark))
        || [
            (&b"@"[..], &b"@"[..]),
            (b"%", b"%"),
            (b"__", b"__"),
            (b"@@", b"@@"),
        ]
        .iter()
        .any(|(open, close)| between(open, close).is_some_and(is_name))
        || value.starts_with(b"ENC[")
        || value.starts_with(b"$(")
        || between(b"ENC(", b")").is_some()
        || value.starts_with(b"%env(")
        || tag.is_some_and(|(length, next)| length >= 3 && matches!(next, None | Some(b' ' | b'|' | b'/')))
}

/// Texts that only a reference holds.
const REFERENCES: [&[u8]; 4] = [b"${", b"{{", b"#{", b"<%"];

/// A reference that some program replaces: shell, templates, format strings, angle brackets.
fn is_template(value: &[u8], lower: &[u8]) -> bool {
    let enclosed = |open: u8, close: u8| value.first() == Some(&open) && value.last() == Some(&close);
    let name = |text: &[u8]| {
        text.iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && text.first().is_some_and(|byte| !byte.is_ascii_digit())
    };
    is_reference(value)
        || TEMPLATE_MARKS.iter().any(|mark| holds(lower, mark))
        || enclosed(b'<', b'>')
        || enclosed(b'[', b']')
        || enclosed(b'{', b'}')
        || value.strip_prefix(b"$").is_some_and(name)
        || matches!(lower, b"%s" | b"%d" | b"%v" | b"%r" | b"?" | b"...")
}

/// `12345678`, `abcdefgh`: ascending runs that are the whole of a short value, or longer than chance allows.
fn is_sequence(value: &[u8]) -> bool {
    let longest = value
        .chunk_by(|left, right| left.wrapping_add(1) == *right || (*left == b'9' && *right == b'0'))
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    longest >= ASCENDING || (longest >= 6 && longest * 2 > value.len())
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphanumeric())
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// Bytes beyond which a value is no placeholder.
const LONGEST: usize = 1024;

/// Six equal characters in a row: in a random token of 40 base62 characters, once in 20 million.
const REPEATED: usize = 6;

/// Eight equal digits, or letters of hexadecimal: of twelve decimal digits, five in ten million hold that.
const REPEATED_DIGITS: usize = 8;

/// Nine ascending characters in a row.
const ASCENDING: usize = 9;

/// Values that say there is none.
const NOTHING: [&[u8]; 12] = [
    b"true",
    b"false",
    b"null",
    b"none",
    b"nil",
    b"undefined",
    b"nan",
    b"empty",
    b"string",
    b"yes",
    b"no",
    b"default",
];

/// Words that random text of this length does not hold by chance.
const LONG_WORDS: [&[u8]; 24] = [
    b"example",
    b"changeme",
    b"change-me",
    b"change_me",
    b"changeit",
    b"placeholder",
    b"redacted",
    b"replaceme",
    b"replace-me",
    b"replace_me",
    b"not-a-real",
    b"notareal",
    b"yourpassword",
    b"your-",
    b"your_",
    b"xxxxx",
    b"lorem",
    b"foobar",
    // Manual pages come in many languages.
    b"passwort",
    b"wachtwoord",
    b"contrase",
    b"motdepasse",
    b"mot-de-passe",
    b"mot_de_passe",
];

/// Words that count only where something other than a letter or digit stands on both sides.
const SHORT_WORDS: [&[u8]; 10] = [
    b"sample",
    b"dummy",
    b"fake",
    b"your",
    b"insert",
    b"todo",
    b"test",
    b"xxx",
    b"testing",
    b"placeholder",
];

/// Texts that only templates and source code hold.
const TEMPLATE_MARKS: [&[u8]; 11] = [
    b"$(",
    b"}}",
    b"%(",
    b"{0}",
    b"process.env",
    b"os.environ",
    b"getenv",
    b"env(",
    b"env.",
    b"$env:",
    b"system.get",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_every_kind_are_recognised() {
        for value in [
            "",
            "  ",
            "********",
            "xxxxxxxx",
            "XXXX-XXXX",
            "........",
            "aaaaaaaa",
            "0000000000",
            "changeme",
            "CHANGE_ME_PLEASE",
            "<password>",
            "${DB_PASSWORD}",
            "$DB_PASSWORD",
            "$(cat /run/secret)",
            "%DB_PASS%",
            "{{ password }}",
            "@PASSWORD@",
            "@db.password@",
            "__DB_PASSWORD__",
            "!vault",
            "!vault |",
            "ENC[AES256_GCM",
            "ENC(Zm9vYmFy)",
            "%env(APP_SECRET)%",
            "%s",
            "{0}",
            "{password}",
            "#{secret}",
            "[secret]",
            "process.env.TOKEN",
            "os.environ['A']",
            "your-api-key",
            "my-test-password",
            "YOUR_TOKEN_HERE",
            "example",
            "null",
            "None",
            "12345678",
            "1234567890",
            "abcdef",
            "sk_0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz",
            "dummy",
            "A7f9wwwwwwQq",
            "A7f9aaaaaaaaQq",
            "xoxb-111111111111-Q9r",
            "AKIAIOSFODNN7EXAMPLE",
        ] {
            assert!(is_placeholder(value.as_bytes()), "{value:?}");
        }
    }

    #[test]
    fn secrets_are_not_taken_for_placeholders() {
        for value in [
            "hunter2",
            "correct horse battery",
            "p4ss",
            "tr0ub4dor&3",
            "qtestQ9rTESTx0aZ",
            "$6$rounds",
            "a$b",
            "x",
            "Zm9vQmFyMTIz+/aZ0testQ",
            "yourself1",
            "s3cr3t<x",
            "12345a",
            "7hK[2]x",
            "xoxb-840000007193-Q9r",
        ] {
            assert_eq!(is_placeholder(value.as_bytes()), value == "x", "{value:?}");
        }
    }

    #[test]
    fn a_long_value_is_no_placeholder() {
        assert!(!is_placeholder(&[b'a'; LONGEST + 1]));
    }

    #[test]
    fn hardly_one_random_token_in_50_000_is_dropped() {
        // `/xxx/` turns up in a few base64 tokens of a million; a generator of its own makes the same tokens each time.
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut state = 11_u64;
        let mut token = || {
            [(); 40].map(|()| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ALPHABET[(state >> 58) as usize]
            })
        };
        let dropped = (0..100_000).filter(|_| is_placeholder(&token())).count();
        assert!(dropped <= 2, "{dropped} of 100000");
    }
}
