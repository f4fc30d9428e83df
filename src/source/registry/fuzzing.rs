//! The parsers of what registries, token servers, credential helpers and login files say, one function each, for the
//! fuzz targets: bytes in, plain values out. No part of the interface, and asks nobody.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, LINK, WWW_AUTHENTICATE};
use tokio::time::Instant;
use url::Url;

use super::credentials::{self, Account, KnownLogin};
use super::{auth, challenge, client, download, helper, retry};

/// A login that was read: user name and secret, or an identity token alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ReadLogin {
    /// Empty for an identity token.
    pub username: String,
    /// The password or the token.
    pub secret: String,
}

/// The Bearer challenges of a `WWW-Authenticate` header, as realm, service and scope; `None` for Basic.
pub fn challenges(value: &[u8]) -> Vec<Option<[Option<String>; 3]>> {
    let found = challenge::challenges(&header(WWW_AUTHENTICATE, value));
    let plain = |challenge| match challenge {
        challenge::Challenge::Basic => None,
        challenge::Challenge::Bearer(bearer) => Some([Some(bearer.realm), bearer.service, bearer.scope]),
    };
    found.into_iter().map(plain).collect()
}

/// The page behind `page` that a `Link` header names.
pub fn next_page(page: &Url, value: &[u8]) -> Option<Url> {
    client::page_behind(page, &client::next_page(&header(LINK, value))?)
}

/// Whether an answer with this `Content-Range` goes on with a blob of `size` bytes at byte `from`.
pub fn continues(value: &[u8], from: u64, size: Option<u64>) -> bool {
    download::continues(&header(CONTENT_RANGE, value), from, size)
}

/// What a `Retry-After` header asks for.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    retry::retry_after(value, now)
}

/// Whether a token server's answer holds a token that can be used, and for how long it is.
pub fn token(bytes: &[u8]) -> Option<Duration> {
    let asked = Instant::now();
    Some(auth::parse(bytes, asked)?.lifetime(asked))
}

/// The login that a helper printed.
pub fn helper_answer(bytes: &[u8]) -> Option<ReadLogin> {
    helper::parse(bytes).ok()?.map(plain)
}

/// What a `config.json` keeps, and the login in it for `repository` of `registry`. `None` where it is not read.
pub fn docker_config(
    bytes: &[u8],
    registry: &str,
    repository: &str,
) -> Option<(Vec<KnownLogin>, Option<ReadLogin>)> {
    let config = credentials::DockerConfig::parse(bytes).ok()?;
    let login = config.written(&Account::new(registry, repository));
    Some((config.listed(), login.held.map(plain)))
}

fn plain(held: credentials::Held) -> ReadLogin {
    match held {
        credentials::Held::Identity(secret) => ReadLogin {
            username: String::new(),
            secret,
        },
        credentials::Held::Password(login) => ReadLogin {
            username: login.username,
            secret: login.password,
        },
    }
}

fn header(name: HeaderName, value: &[u8]) -> HeaderMap {
    let value = HeaderValue::from_bytes(value).ok();
    value.into_iter().map(|value| (name.clone(), value)).collect()
}
