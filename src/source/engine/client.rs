//! Two questions of the Docker Engine API: what is this image, and its export. Asks nothing that could change
//! anything.

use std::error::Error as _;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{ClientBuilder, Response, StatusCode, redirect};
use serde::Deserialize;

use super::EngineOptions;
use super::address::{Address, LOCALHOST};
use crate::limits::{LimitHit, Limits};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::network::{Runtime, Writer, bridge};
use crate::text;

/// Asks one engine.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    address: String,
    /// For messages.
    engine: String,
    limits: Limits,
    cancelled: Arc<AtomicBool>,
    runtime: Arc<Runtime>,
}

/// An image as an engine describes it; none of it is verified.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Description {
    id: String,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

impl Description {
    /// The image's names, sorted.
    pub(super) fn tags(&self) -> Vec<String> {
        let mut tags = self.repo_tags.clone().unwrap_or_default();
        tags.retain(|tag| !tag.starts_with("<none>"));
        tags.sort();
        tags
    }

    /// `repository@digest` for each manifest it was pulled or pushed by, sorted.
    pub(super) fn digests(&self) -> Vec<String> {
        let mut digests = self.repo_digests.clone().unwrap_or_default();
        digests.sort();
        digests
    }
}

impl Client {
    pub(super) fn new(address: &Address, options: &EngineOptions) -> Result<Self, SourceError> {
        let engine = format!("the engine at `{address}`");
        let cannot = |why: String| SourceError::Engine {
            engine: engine.clone(),
            why,
            kind: io::ErrorKind::Other,
        };
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(no_tls().map_err(|error| cannot(error.to_string()))?)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .user_agent(concat!("layersift/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.limits.connect_timeout);
        let (builder, base) = match address {
            // The name is a loopback address whatever the resolver says of it.
            Address::Loopback(host) => {
                let loopback = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
                let builder = builder.resolve_to_addrs(LOCALHOST, &loopback);
                (builder, format!("http://{host}"))
            }
            Address::Socket(path) => (at_socket(builder, path), format!("http://{LOCALHOST}")),
        };
        let http = builder.build().map_err(|error| cannot(error.to_string()))?;
        let runtime = Runtime::start().map_err(|error| cannot(error.to_string()))?;
        Ok(Self {
            http,
            base,
            limits: options.limits.clone(),
            cancelled: Arc::clone(&options.cancelled),
            runtime,
            address: address.to_string(),
            engine,
        })
    }

    /// What messages call the engine.
    pub(super) fn engine(&self) -> &str {
        &self.engine
    }

    /// Describes the image that the engine calls `name`, which must fit into a URL. `None` where it has none.
    ///
    /// *Errors*: also where the whole answer is not there `within` this time.
    pub(super) fn describe(&self, name: &str, within: Duration) -> Result<Option<Description>, SourceError> {
        let what = format!("image `{name}`");
        let question = async {
            let response = self.get(&format!("/images/{name}/json")).await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if response.status() != StatusCode::OK {
                return Err(self.failure(response, &what).await);
            }
            let bytes = self.document(response, &what).await?;
            match serde_json::from_slice(&bytes) {
                Ok(description) => Ok(Some(description)),
                Err(error) => Err(SourceError::Malformed {
                    what: format!("what {} says of {what}", self.engine),
                    why: error.to_string(),
                }),
            }
        };
        let answer = async { tokio::time::timeout(within, question).await };
        match self.runtime.block_on(answer) {
            Ok(answer) => answer,
            Err(_) => Err(self.silent(within)),
        }
    }

    /// Opens the export of an image: a tar in the form of `docker save`. Blocks until its first byte is there, which
    /// takes an engine as long as it takes to write the image to its own disk.
    pub(super) fn export(&self, image: &Description) -> Result<Box<dyn Read + Send>, SourceError> {
        let what = "the export of an image";
        // Not by its name: `names=app` may be all tags of `app`, and a tag may have moved since.
        let id = match Digest::parse(&image.id) {
            Ok(id) => id.to_string(),
            Err(_) => {
                return Err(SourceError::Malformed {
                    what: format!("what {} says of an image", self.engine),
                    why: "its id is no digest".to_owned(),
                });
            }
        };
        let wait = self.limits.engine_export_timeout;
        let question = async {
            let response = self.get(&format!("/images/get?names={id}")).await?;
            match response.status() {
                StatusCode::OK => Ok(response),
                _ => Err(self.failure(response, what).await),
            }
        };
        let answer = async {
            tokio::select! {
                answer = tokio::time::timeout(wait, question) => answer.unwrap_or_else(|_| Err(self.silent(wait))),
                () = set(&self.cancelled) => Err(SourceError::Engine {
                    engine: self.engine.clone(),
                    why: "the scan was ended while it wrote the export".to_owned(),
                    kind: io::ErrorKind::Interrupted,
                }),
            }
        };
        let response = self.runtime.block_on(answer)?;
        let (writer, receiver) = bridge();
        let pump = pump(response, writer, self.engine.clone(), self.limits.idle_timeout);
        let task = self.runtime.spawn(pump);
        Ok(Box::new(receiver.into_reader(task, Arc::clone(&self.runtime))))
    }

    async fn get(&self, path: &str) -> Result<Response, SourceError> {
        let sent = self.http.get(format!("{}{path}", self.base)).send().await;
        sent.map_err(|error| unreachable(&self.engine, &error))
    }

    async fn document(&self, mut response: Response, what: &str) -> Result<Vec<u8>, SourceError> {
        let cap = self.limits.config_bytes;
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| unreachable(&self.engine, &error))?
        {
            if bytes.len() as u64 + chunk.len() as u64 > cap {
                return Err(SourceError::Limit {
                    what: format!("what {} says of {what}", self.engine),
                    limit: LimitHit::Document,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// An answer that is no success, with what the engine says of the cause.
    async fn failure(&self, response: Response, what: &str) -> SourceError {
        #[derive(Deserialize)]
        struct Failure {
            message: String,
        }
        let status = response.status();
        let told = tokio::time::timeout(self.limits.idle_timeout, self.document(response, what)).await;
        let told = told
            .ok()
            .and_then(Result::ok)
            .and_then(|bytes| serde_json::from_slice::<Failure>(&bytes).ok())
            .map(|failure| cut(&text::escape(failure.message.as_bytes())))
            .filter(|message| !message.is_empty());
        SourceError::Status {
            host: self.address.clone(),
            what: what.to_owned(),
            status: status.as_u16(),
            why: told.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned()),
        }
    }

    fn silent(&self, wait: Duration) -> SourceError {
        silent(&self.engine, wait)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

/// Hands the body of `response` over until it ends or nothing comes for `idle`.
async fn pump(mut response: Response, writer: Writer, engine: String, idle: Duration) {
    loop {
        match tokio::time::timeout(idle, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                if writer.write(chunk).await.is_err() {
                    return;
                }
            }
            Ok(Ok(None)) => return writer.finish(),
            Ok(Err(error)) => return writer.fail(unreachable(&engine, &error)),
            Err(_) => return writer.fail(silent(&engine, idle)),
        }
    }
}

/// Comes to its end soon after `flag` is set.
async fn set(flag: &AtomicBool) {
    while !flag.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(unix)]
fn at_socket(builder: ClientBuilder, path: &std::path::Path) -> ClientBuilder {
    builder.unix_socket(path)
}

/// No address is parsed as a socket here.
#[cfg(not(unix))]
fn at_socket(builder: ClientBuilder, _: &std::path::Path) -> ClientBuilder {
    builder
}

/// A client cannot be made without; nobody is trusted by it, and no address asks for it.
fn no_tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

fn silent(engine: &str, wait: Duration) -> SourceError {
    SourceError::Engine {
        engine: engine.to_owned(),
        why: format!("it sent nothing for {} s", wait.as_secs_f32()),
        kind: io::ErrorKind::TimedOut,
    }
}

fn unreachable(engine: &str, error: &reqwest::Error) -> SourceError {
    let causes = || std::iter::successors(error.source(), |&cause| cause.source());
    let kind = causes()
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map_or(io::ErrorKind::Other, io::Error::kind);
    let why = match kind {
        io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        // The last cause says it; those before it hold the URL.
        _ => causes().last().map_or_else(
            || "the connection failed".to_owned(),
            |cause| cut(&text::escape(cause.to_string().as_bytes())),
        ),
    };
    SourceError::Engine {
        engine: engine.to_owned(),
        why,
        kind,
    }
}

/// At most 200 characters of `said`.
fn cut(said: &str) -> String {
    match said.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}
