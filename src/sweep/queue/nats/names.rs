//! What things are called on the server. Reserves `LS_…`, `ls.…` and the buckets `ls_ctl` and `ls_big`.

use crate::sweep::terms::digits;

/// The stream of layers.
pub(super) const JOBS: &str = "LS_JOBS";
/// The stream of outcomes.
pub(super) const OUTCOMES: &str = "LS_OUT";
/// The stream of the server's notes.
pub(super) const GIVEN_UP: &str = "LS_ADV";
/// The bucket of keys.
pub(super) const CONTROL: &str = "ls_ctl";
/// The bucket of objects.
pub(super) const BIG: &str = "ls_big";
/// The header that names the object of a large outcome.
pub(super) const OBJECT: &str = "Ls-Object";
/// The header that names the layer of an outcome.
pub(super) const DIGEST: &str = "Ls-Digest";

pub(super) fn all_jobs() -> String {
    "ls.job.v1.>".to_owned()
}

pub(super) fn all_outcomes() -> String {
    "ls.out.v1.>".to_owned()
}

pub(super) fn given_up() -> String {
    format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{JOBS}.>")
}

pub(super) fn jobs(token: &str, host: &str) -> String {
    format!("ls.job.v1.{token}.{}.>", of_host(host))
}

pub(super) fn job(token: &str, host: &str, digest: &str) -> String {
    format!("ls.job.v1.{token}.{}.{}", of_host(host), of_digest(digest))
}

pub(super) fn outcomes(token: &str) -> String {
    format!("ls.out.v1.{token}.>")
}

pub(super) fn outcome(token: &str, digest: &str) -> String {
    format!("ls.out.v1.{token}.{}", of_digest(digest))
}

pub(super) fn worker(token: &str, host: &str) -> String {
    format!("w_{token}_{}", of_host(host))
}

pub(super) fn collector(token: &str) -> String {
    format!("c_{token}")
}

pub(super) fn routes(token: &str) -> String {
    format!("routes.{token}")
}

pub(super) fn leader(token: &str) -> String {
    format!("leader.{token}")
}

pub(super) fn pause(host: &str) -> String {
    format!("pause.{}", of_host(host))
}

/// A name that nobody else has.
pub(super) fn unique() -> String {
    let machine = std::process::id();
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), machine);
    format!("{machine}-{random:016x}")
}

/// A host as a word of a subject: readable, and no two are the same.
fn of_host(host: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let readable: String = host.chars().take(64).map(plain).collect();
    format!("{readable}_{}", &digits(host.as_bytes())[..8])
}

/// A digest as a word of a subject.
pub(super) fn of_digest(digest: &str) -> String {
    match digest.strip_prefix("sha256:") {
        Some(hex) => format!("sha256-{hex}"),
        // Names of other algorithms may have what subjects may not.
        None => format!("other-{}", digits(digest.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_words_and_different_ones_stay_so() {
        let hosts = ["a.b:5000", "a.b_5000", "A.b:5000", "a-b", "x.>", "*"];
        let words: std::collections::BTreeSet<String> = hosts.iter().map(|host| of_host(host)).collect();
        assert_eq!(words.len(), hosts.len());
        for word in words {
            assert!(!word.contains(['.', '*', '>', ' ', ':']), "{word}");
        }
    }
}
