//! The registry source against scripted servers and real ones.

mod blobs;
mod certificates;
mod faults;
mod http2;
mod lists;
mod logins;
mod manifests;
mod mirrors;
mod quotas;
mod real;
mod redirects;
mod referrers;

use std::io::Read as _;
use std::time::Duration;

use layersift::limits::Limits;
use layersift::oci::{BlobKey, Descriptor, Digest, Reference};
use layersift::source::registry::{self, Backoff, Credentials, RegistryOptions, RegistrySource, Root};
use layersift::source::{Source as _, SourceError};

use crate::support::scripted::Server;

/// Options that know no login and wait for nothing long.
pub fn options() -> RegistryOptions {
    RegistryOptions {
        docker_config: Some(std::env::temp_dir().join("layersift-tests-without-docker-config")),
        limits: Limits {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_millis(500),
            retry_after: Duration::from_secs(3),
            ..Limits::default()
        },
        backoff: Backoff {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(5),
        },
        ..RegistryOptions::default()
    }
}

/// The options with the login of `someone`, whose password is [`password`].
pub fn with_login() -> RegistryOptions {
    RegistryOptions {
        credentials: Some(Credentials {
            username: "someone".into(),
            password: password(),
        }),
        ..options()
    }
}

/// A password nobody has.
pub fn password() -> String {
    ["not", "a", "password"].join("-")
}

/// The `Authorization` that [`with_login`] makes.
pub fn basic() -> String {
    use base64::Engine as _;
    let text = format!("someone:{}", password());
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

pub fn source(server: &Server, options: &RegistryOptions) -> RegistrySource {
    named(&format!("{}/app:1", server.host()), options)
}

pub fn named(reference: &str, options: &RegistryOptions) -> RegistrySource {
    registry::open(&Reference::parse(reference).unwrap(), options).unwrap()
}

/// Reads a blob to its end.
pub fn read(source: &RegistrySource, digest: &Digest, size: Option<usize>) -> Result<Vec<u8>, String> {
    let descriptor = size.map(|size| Descriptor::new("", digest.clone(), size as u64));
    let mut reader = source
        .blob(&BlobKey::Digest(digest.clone()), descriptor.as_ref())
        .map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

/// What the reference points at.
pub fn root(source: &RegistrySource) -> Result<Root, SourceError> {
    source.fetch_root(Limits::default().manifest_bytes)
}

/// The error of fetching the root, and its text.
pub fn root_error(source: &RegistrySource) -> (SourceError, String) {
    let error = root(source).expect_err("the root must not be had");
    let text = error.to_string();
    for secret in [
        password(),
        basic(),
        "secret-token".into(),
        "Signature".into(),
        "\u{1b}".into(),
    ] {
        assert!(!text.contains(&secret), "{text}");
    }
    (error, text)
}

/// Bytes that differ everywhere.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
