//! Checks on a matched secret: from bytes to a verdict with its reasons.
//!
//! Every check is a pure function of the match. None looks at the clock, so that a report does not depend on the
//! time of the run: what says until when it holds is compared with the date of the rules.

mod armor;
mod checksum;
mod key;
mod key_store;
mod openpgp;
mod placeholder;
mod token;

pub use key::is_public_test_key;
pub use key_store::verdict as key_store;
pub use placeholder::{is_placeholder, is_reference};
pub use token::decode_base64;

use crate::rules::{Check, Evidence};

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The match is none: drop it.
    Fail,
    /// It holds, for these reasons. A reason may also lower the confidence: see [`crate::rules::Evidence`].
    Pass(Vec<Evidence>),
}

impl Verdict {
    /// Passes for one reason where `holds`, else fails.
    fn proof(holds: bool, evidence: Evidence) -> Self {
        if holds {
            Self::Pass(vec![evidence])
        } else {
            Self::Fail
        }
    }

    /// Passes either way: with a reason where `holds`, without one otherwise. For checksums whose rule is not
    /// published, or which only some generations of a token have: a mismatch proves nothing.
    fn hint(holds: bool, evidence: Evidence) -> Self {
        Self::Pass(if holds { vec![evidence] } else { Vec::new() })
    }

    /// Passes without a reason where `holds`, else fails.
    fn filter(holds: bool) -> Self {
        if holds { Self::Pass(Vec::new()) } else { Self::Fail }
    }
}

/// Runs one check. `secret` is the matched secret, `whole` the match it is in.
pub fn run(check: Check, secret: &[u8], whole: &[u8]) -> Verdict {
    match check {
        Check::AwsAccessKeyId => token::aws_access_key_id(secret),
        Check::AzureDevopsPat => checksum::azure_devops_pat(secret),
        Check::AzureEntraSecret => checksum::azure_entra_secret(secret),
        Check::AzureMarvin32 => checksum::azure_identifiable(secret),
        Check::AzureSas => token::azure_sas(whole),
        Check::Base58Check => checksum::base58check(secret),
        Check::Base64Json => token::base64_json(secret),
        Check::Base64Random => token::base64_random(secret),
        Check::Bech32 => checksum::bech32(secret),
        Check::Bip39 => checksum::bip39(secret),
        Check::Crc32Base36 => checksum::crc32_base36(secret),
        Check::Crc32Base62 => checksum::crc32_base62(secret),
        Check::Crc32HexBe => checksum::crc32_hex_be(secret),
        Check::Crc32HexLe => checksum::crc32_hex_le(secret),
        Check::DiscordToken => token::discord_token(secret),
        Check::DockerAuth => token::docker_auth(secret),
        Check::GcpServiceAccount => token::gcp_service_account(secret),
        Check::GithubFineGrained => checksum::github_fine_grained(secret),
        Check::Jwt => token::jwt(secret),
        Check::KeyStore => key_store::key_store(secret),
        Check::LetterAndDigit => Verdict::filter(
            secret.iter().any(u8::is_ascii_alphabetic) && secret.iter().any(u8::is_ascii_digit),
        ),
        Check::Macaroon => token::macaroon(secret),
        Check::NotHex => Verdict::filter(!secret.iter().all(u8::is_ascii_hexdigit)),
        Check::NotPlaceholder => Verdict::filter(!is_placeholder(secret)),
        Check::Password => token::password(secret),
        Check::PrivateKey => key::private_key(secret),
        Check::StellarSeed => checksum::stellar_seed(secret),
        Check::ThreeClasses => Verdict::filter(
            secret.iter().any(u8::is_ascii_uppercase)
                && secret.iter().any(u8::is_ascii_lowercase)
                && secret.iter().any(u8::is_ascii_digit),
        ),
        Check::TwoCases => Verdict::filter(
            secret.iter().any(u8::is_ascii_uppercase) && secret.iter().any(u8::is_ascii_lowercase),
        ),
        Check::UriPassword => token::uri_password(secret, whole),
        Check::XorBase62 => checksum::xor_base62(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_characters_are_told_apart() {
        assert_eq!(run(Check::NotHex, b"deadBEEF0", b""), Verdict::Fail);
        assert_eq!(run(Check::NotHex, b"deadBEEFg", b""), Verdict::Pass(vec![]));
        assert_eq!(run(Check::ThreeClasses, b"abcDEF", b""), Verdict::Fail);
        assert_eq!(run(Check::ThreeClasses, b"abcDEF1", b""), Verdict::Pass(vec![]));
        assert_eq!(run(Check::LetterAndDigit, b"abcdef", b""), Verdict::Fail);
        assert_eq!(run(Check::LetterAndDigit, b"123456", b""), Verdict::Fail);
        assert_eq!(run(Check::LetterAndDigit, b"abcde6", b""), Verdict::Pass(vec![]));
        assert_eq!(run(Check::TwoCases, b"abcdef1", b""), Verdict::Fail);
        assert_eq!(run(Check::TwoCases, b"abcDEF", b""), Verdict::Pass(vec![]));
    }
}
