//! What is wanted of one repository → requests to its registry, logged in and tried again where that helps. Judges
//! no document and verifies no digest.

use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use super::address::{self, Reach};
use super::auth::Auth;
use super::challenge;
use super::credentials::Account;
use super::retry::{Backoff, Fault, Gates, Tries};
use super::transport::{Answer, Request, Transport};
use super::{RegistryOptions, download};
use crate::limits::Limits;
use crate::oci::{Descriptor, Digest, Reference};
use crate::source::SourceError;

/// The registry of one repository.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) limits: Limits,
    pub(super) transport: Transport,
    pub(super) gates: Gates,
    backoff: Backoff,
    auth: Auth,
    repository: String,
    /// Where the registry may be: with and without TLS where both are allowed, in the order of trying.
    candidates: Vec<Url>,
    base: OnceCell<Url>,
    /// One permit for each download at a time.
    pub(super) slots: Arc<Semaphore>,
}

/// What of a repository is wanted.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Blob(Digest),
    /// By tag or digest.
    Manifest(String),
}

/// A document as the registry sent it.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: Option<String>,
}

impl Client {
    pub(super) fn new(reference: &Reference, options: &RegistryOptions) -> Result<Self, SourceError> {
        let account = Account {
            registry: match reference.registry() {
                "index.docker.io" | "registry-1.docker.io" => "docker.io".into(),
                registry => registry.into(),
            },
            repository: reference.repository().into(),
        };
        let candidates = candidates(&account.registry, &options.insecure)?;
        Ok(Self {
            limits: options.limits.clone(),
            transport: Transport::new(
                options,
                candidates.last().expect("there is at least one candidate"),
            )?,
            gates: Gates::default(),
            backoff: options.backoff,
            repository: account.repository.clone(),
            auth: Auth::new(account, options),
            candidates,
            base: OnceCell::new(),
            slots: Arc::new(Semaphore::new(options.limits.downloads_per_host.max(1))),
        })
    }

    /// Reads a document of at most `cap` bytes. A body that breaks off is read again from its beginning.
    pub(super) async fn document(&self, wanted: &Wanted, cap: u64) -> Result<Received, SourceError> {
        let what = wanted.to_string();
        let mut tries = self.tries();
        loop {
            let fault = match self.request(wanted, None).await {
                Ok(answer) => {
                    let media_type = media_type(answer.response.headers());
                    match self.transport.document(answer, &what, cap).await {
                        Ok(bytes) => return Ok(Received { bytes, media_type }),
                        Err(fault) => fault,
                    }
                }
                Err(fault) => fault,
            };
            tries.wait(fault, &self.gates, self.host()).await?;
        }
    }

    /// Opens a blob; it is then read by the returned download.
    pub(super) async fn open(
        self: &Arc<Self>,
        digest: &Digest,
        descriptor: Option<&Descriptor>,
    ) -> Result<download::Download, SourceError> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let size = descriptor.map(|descriptor| descriptor.size);
        download::Download::open(Arc::clone(self), Wanted::Blob(digest.clone()), size, slot).await
    }

    pub(super) fn tries(&self) -> Tries {
        Tries::new(&self.limits, self.backoff)
    }

    /// The registry's host as its gate and messages call it.
    pub(super) fn host(&self) -> &str {
        self.candidates[0].host_str().unwrap_or_default()
    }

    /// Sends one request, logged in where the registry asks for it, and returns an answer that is a success.
    pub(super) async fn request(&self, wanted: &Wanted, from: Option<u64>) -> Result<Answer, Fault> {
        let base = self.base.get_or_try_init(|| self.find_base()).await?;
        let mut request = Request {
            url: self.url(base, wanted),
            what: wanted.to_string(),
            accept: matches!(wanted, Wanted::Manifest(_)).then_some(MANIFESTS),
            authorization: self.auth.standing().await,
            form: None,
            from,
            reach: Reach::Named,
            redirects: Some(Reach::Network),
        };
        let mut challenged = 0;
        loop {
            self.gates.pass(self.host()).await;
            if self.transport.is_local(base) {
                request.redirects = Some(Reach::Local);
            }
            let answer = self.transport.send(&request).await?;
            match answer.response.status() {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok(answer),
                // The first time for want of a token, the second because it has expired meanwhile.
                StatusCode::UNAUTHORIZED if answer.home && challenged < 2 => {
                    challenged += 1;
                    let challenges = challenge::challenges(answer.response.headers());
                    let sent = request.authorization.take();
                    let header = self
                        .auth
                        .answer(&self.transport, base, &challenges, sent.as_ref())
                        .await?;
                    request.authorization = Some(header);
                }
                status if from.is_some() && refuses_range(status, answer.home) => return Err(Fault::Range),
                _ => return Err(self.failure(answer, &request).await),
            }
        }
    }

    async fn failure(&self, answer: Answer, request: &Request) -> Fault {
        match self.transport.failure(answer, request).await {
            Fault::Lasting(error) => Fault::Lasting(self.auth.explain(error).await),
            other => other,
        }
    }

    /// Finds out whether the registry speaks TLS, where it does not have to.
    async fn find_base(&self) -> Result<Url, Fault> {
        let mut first_fault = None;
        for base in &self.candidates {
            if self.candidates.len() == 1 {
                return Ok(base.clone());
            }
            let request = Request {
                url: base.join("/v2/").expect("a path joins any base"),
                what: "the registry API".into(),
                accept: None,
                authorization: None,
                form: None,
                from: None,
                reach: Reach::Named,
                redirects: None,
            };
            match self.transport.send(&request).await {
                // A server that wants TLS tells so with this status.
                Ok(answer)
                    if base.scheme() == "http" && answer.response.status() == StatusCode::BAD_REQUEST =>
                {
                    first_fault.get_or_insert(self.transport.failure(answer, &request).await);
                }
                Ok(_) => return Ok(base.clone()),
                // A certificate that is not good says more than plain text on a port that speaks TLS.
                Err(fault @ Fault::Lasting(_)) => first_fault = Some(fault),
                Err(fault) => {
                    first_fault.get_or_insert(fault);
                }
            }
        }
        Err(first_fault.expect("there is at least one candidate"))
    }

    fn url(&self, base: &Url, wanted: &Wanted) -> Url {
        let mut url = base.clone();
        // The grammar of names, tags and digests leaves nothing that would have to be escaped.
        url.set_path(&match wanted {
            Wanted::Blob(digest) => format!("/v2/{}/blobs/{digest}", self.repository),
            Wanted::Manifest(reference) => format!("/v2/{}/manifests/{reference}", self.repository),
        });
        url
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "blob {digest}"),
            Self::Manifest(reference) => write!(f, "manifest {reference}"),
        }
    }
}

/// Whether a status may mean that a part of an object cannot be had. Signed URLs that do not cover the Range header
/// are refused with 400 or 403 by the store they point to.
fn refuses_range(status: StatusCode, home: bool) -> bool {
    matches!(status.as_u16(), 416 | 501) || (!home && matches!(status.as_u16(), 400 | 403))
}

/// The media types of manifests that are understood, in one header: some registries read the first only.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.v1+prettyjws, \
    application/vnd.docker.distribution.manifest.v1+json";

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase(),
    )
}

/// Where a registry may be. TLS always; on this machine without it first, and for hosts that are named as insecure
/// without it where TLS does not work.
fn candidates(registry: &str, insecure: &[String]) -> Result<Vec<Url>, SourceError> {
    let host = match registry {
        "docker.io" => "registry-1.docker.io",
        registry => registry,
    };
    let url = |scheme: &str| -> Result<Url, SourceError> {
        let malformed = |why: String| SourceError::Malformed {
            what: format!("the registry name {}", crate::text::escape(host.as_bytes())),
            why,
        };
        let url: Url = format!("{scheme}://{host}/")
            .parse()
            .map_err(|error: url::ParseError| malformed(error.to_string()))?;
        // These would give it a user, a path, a query or a fragment.
        match host.contains(['/', '\\', '?', '#', '@']) {
            true => Err(malformed("it is not a host and a port".into())),
            false => Ok(url),
        }
    };
    let https = url("https")?;
    let named = |name: &String| name == host || Some(name.as_str()) == https.host_str();
    Ok(match () {
        () if address::is_loopback(&https) => vec![url("http")?, https],
        () if insecure.iter().any(named) => vec![https, url("http")?],
        () => vec![https],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes(registry: &str, insecure: &[&str]) -> Vec<String> {
        let insecure: Vec<String> = insecure.iter().map(|&host| host.to_owned()).collect();
        let urls = candidates(registry, &insecure).unwrap();
        urls.iter().map(Url::to_string).collect()
    }

    #[test]
    fn only_this_machine_and_hosts_named_insecure_may_do_without_tls() {
        assert_eq!(schemes("docker.io", &[]), ["https://registry-1.docker.io/"]);
        assert_eq!(
            schemes("registry.example.com:5000", &[]),
            ["https://registry.example.com:5000/"]
        );
        assert_eq!(
            schemes("localhost:5000", &[]),
            ["http://localhost:5000/", "https://localhost:5000/"]
        );
        assert_eq!(
            schemes("127.1.2.3", &[]),
            ["http://127.1.2.3/", "https://127.1.2.3/"]
        );
        let both = [
            "https://registry.example.com:5000/",
            "http://registry.example.com:5000/",
        ];
        assert_eq!(
            schemes("registry.example.com:5000", &["registry.example.com"]),
            both
        );
        assert_eq!(
            schemes("registry.example.com:5000", &["registry.example.com:5000"]),
            both
        );
        assert_eq!(
            schemes(
                "registry.example.com:5000",
                &["registry.example.com:5001", "example.com"]
            )
            .len(),
            1
        );
        assert_eq!(schemes("10.0.0.1:5000", &[]).len(), 1);
    }

    #[test]
    fn a_registry_name_is_a_host_and_a_port() {
        for name in ["user@host", "host/path", "host?x", "", "ho st", "host:port"] {
            assert!(candidates(name, &[]).is_err(), "{name}");
        }
    }
}
