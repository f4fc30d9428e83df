//! One HTTP request → its answer: which client it goes through, time-outs, redirects, capped bodies, and errors
//! without URLs. Knows nothing of manifests or blobs. Sends GET and HEAD, and POST for the one form a token server
//! takes.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE,
    RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::time::Instant;
use url::Url;

use super::RegistryOptions;
use super::address::{self, Reach, Resolver, Seen};
use super::retry::{self, Fault};
use super::tls::Certificates;
use crate::limits::{LimitHit, Limits};
use crate::source::SourceError;
use crate::text;

/// Sends requests, by way of a client for each reach and each host that has certificates of its own.
#[derive(Debug)]
pub(super) struct Transport {
    limits: Limits,
    certificates: Certificates,
    seen: Seen,
    clients: Mutex<HashMap<Route, Client>>,
}

/// What requests have in common that may go through one client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Route {
    /// The host, where connections to it are like no others.
    host: Option<String>,
    reach: Reach,
    /// Past any proxy.
    direct: bool,
}

/// Bytes that have to arrive within one idle time-out, lest a drip of single bytes hold a scan up for ever.
const DRIP_BYTES: u64 = 16 * 1024;

/// What to send.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) url: Url,
    /// Whether only the headers are wanted.
    pub(super) head: bool,
    /// For messages: `manifest app:1`.
    pub(super) what: String,
    pub(super) accept: Option<&'static str>,
    /// Sent to the exact scheme, host and port of `url` and nowhere else.
    pub(super) authorization: Option<HeaderValue>,
    /// Sent as the body of a POST to `url`, which then may not redirect.
    pub(super) form: Option<Form>,
    /// The first byte wanted, where that is not the first of all.
    pub(super) from: Option<u64>,
    /// Where the host of `url` may be.
    pub(super) reach: Reach,
    /// Where redirects to other hosts may go; `None` where they may not leave `url`'s scheme, host and port.
    pub(super) redirects: Option<Reach>,
}

/// What a login is sent with. `Debug` does not show it.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) body: String,
    /// What the body is in.
    pub(super) media_type: &'static str,
    /// What of it must not be quoted.
    pub(super) secret: String,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Form")
    }
}

/// A document that is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'d> {
    /// For messages.
    pub(super) what: &'d str,
    /// The bytes it may have.
    pub(super) cap: u64,
}

/// An answer that is not a redirect.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    /// Whether it comes from the scheme, host and port that were asked, and not from where they redirected to.
    pub(super) home: bool,
    /// What to call the host that gave it.
    pub(super) host: String,
}

impl Transport {
    /// Prepares to ask the registry at `registry`.
    pub(super) fn new(options: &RegistryOptions, registry: &Url) -> Result<Self, SourceError> {
        let registry = host(registry);
        let transport = Self {
            limits: options.limits.clone(),
            certificates: Certificates::read(options, &registry)?,
            seen: Seen::default(),
            clients: Mutex::default(),
        };
        // What is wrong with a file is told at once rather than with the first request.
        if transport.certificates.has(&registry) {
            transport.certificates.config(Some(&registry))?;
        }
        Ok(transport)
    }

    /// Whether the host of `url` is on a loopback or private address, as far as is known.
    pub(super) fn is_local(&self, url: &Url) -> bool {
        self.seen.is_local(url)
    }

    /// Sends a request and follows its redirects.
    pub(super) async fn send(&self, request: &Request) -> Result<Answer, Fault> {
        let mut url = request.url.clone();
        for _ in 0..=self.limits.redirects {
            let home = url.origin() == request.url.origin();
            let reach = match request.redirects {
                Some(redirects) if !home => redirects,
                _ => request.reach,
            };
            let response = self.hop(request, &url, home, reach).await?;
            if !is_redirect(&response) {
                return Ok(Answer {
                    response,
                    home,
                    host: host(&url),
                });
            }
            url = next(request, &url, response.headers())?;
        }
        Err(refused(
            &request.url,
            &request.what,
            &format!("it redirects more than {} times", self.limits.redirects),
        )
        .into())
    }

    async fn hop(&self, request: &Request, url: &Url, home: bool, reach: Reach) -> Result<Response, Fault> {
        address::check(url, reach).map_err(|error| refused_redirect(request, url, &error.to_string()))?;
        let mut headers = HeaderMap::new();
        // Blobs are wanted as they are stored: their digest is over those bytes.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(accept) = request.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(from) = request.from {
            let value = HeaderValue::try_from(format!("bytes={from}-")).expect("digits are a header value");
            headers.insert(RANGE, value);
        }
        if let Some(authorization) = request.authorization.as_ref().filter(|_| home) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let client = self.client(url, reach)?;
        let builder = match &request.form {
            None if request.head => client.head(url.clone()),
            None => client.get(url.clone()),
            Some(form) => client
                .post(url.clone())
                .header(CONTENT_TYPE, form.media_type)
                .body(form.body.clone()),
        };
        let sent = builder.headers(headers).send();
        match tokio::time::timeout(self.limits.connect_timeout + self.limits.idle_timeout, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unreachable(url, error)),
            Err(_) => Err(stalled(url, self.limits.idle_timeout)),
        }
    }

    fn client(&self, url: &Url, reach: Reach) -> Result<Client, SourceError> {
        // A proxy cannot reach this machine's own ports, whatever the environment says of it.
        let direct = address::is_loopback(url);
        let name = host(url);
        let route = Route {
            host: Some(name).filter(|name| url.scheme() == "https" && self.certificates.has(name)),
            reach: if direct { Reach::Local } else { reach },
            direct,
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&route) {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .tls_backend_preconfigured(self.certificates.config(route.host.as_deref())?)
            .dns_resolver(Arc::new(Resolver {
                reach: route.reach,
                seen: self.seen.clone(),
            }))
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .user_agent(concat!("layersift/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.limits.connect_timeout);
        if direct {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| SourceError::Unreachable {
            host: host(url),
            why: describe(error),
        })?;
        clients.insert(route, client.clone());
        Ok(client)
    }

    /// Reads a body that is a document, up to `cap` bytes, and lets `is_whole` judge one whose end could as well be
    /// that of the connection.
    pub(super) async fn document(
        &self,
        answer: Answer,
        document: Document<'_>,
        is_whole: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Fault> {
        let Document { what, cap } = document;
        let too_large = || SourceError::Limit {
            what: what.to_owned(),
            limit: LimitHit::Document,
        };
        let mut body = Body::new(answer, self.limits.idle_timeout);
        body.refuse_encoding(what)?;
        if body.length.is_some_and(|length| length > cap) {
            return Err(too_large().into());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = body.chunk().await? {
            if bytes.len() as u64 + chunk.len() as u64 > cap {
                return Err(too_large().into());
            }
            bytes.extend_from_slice(&chunk);
        }
        if body.end_is_ambiguous() && !is_whole(&bytes) {
            return Err(broken_off(host(&body.url), what));
        }
        Ok(bytes)
    }

    /// Turns an answer that is no success into a fault, with what its body says of the cause.
    pub(super) async fn failure(&self, answer: Answer, request: &Request) -> Fault {
        let (status, home, host) = (answer.response.status(), answer.home, answer.host.clone());
        let headers = answer.response.headers();
        // Docker Hub's own lists have told it under this name.
        let after = headers
            .get(RETRY_AFTER)
            .or_else(|| headers.get("x-retry-after"))
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry::retry_after(value, std::time::SystemTime::now()));
        let told = self.told(answer, request).await;
        let what = request.what.clone();
        let or = |otherwise: &str| told.clone().unwrap_or_else(|| otherwise.to_owned());
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SourceError::Refused {
                host,
                what,
                why: or(&format!("it answered {}", status.as_u16())),
            },
            StatusCode::NOT_FOUND => SourceError::NotFound {
                what: format!("{what} on `{host}`"),
            },
            _ => SourceError::Status {
                host,
                what,
                status: status.as_u16(),
                why: or(status.canonical_reason().unwrap_or("no reason given")),
            },
        };
        // A signed URL that has expired is refused where it points to; the next try gets a new one.
        let expired = !home && matches!(status.as_u16(), 400 | 401 | 403);
        match retry::may_pass(status) || expired {
            true => Fault::Passing { error, after },
            false => Fault::Lasting(error),
        }
    }

    /// What an error body says, where it is in distribution-spec's form: escaped, cut, and without our credentials.
    async fn told(&self, answer: Answer, request: &Request) -> Option<String> {
        let mut body = Body::new(answer, self.limits.idle_timeout);
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = body.chunk().await {
            let room = (self.limits.error_bytes as usize).saturating_sub(bytes.len());
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                break;
            }
        }
        let said = errors(&bytes)?;
        let said = match &request.form {
            Some(form) => said.replace(&form.secret, "***"),
            None => said,
        };
        Some(cut(&without(&said, request.authorization.as_ref())))
    }
}

/// A body that is being read, with a watch on its pace.
#[derive(Debug)]
pub(super) struct Body {
    response: Response,
    url: Url,
    idle: Duration,
    /// The length the server stated.
    pub(super) length: Option<u64>,
    total: u64,
    /// Time spent waiting and bytes received since the pace was last judged.
    waited: Duration,
    received: u64,
}

impl Body {
    pub(super) fn new(answer: Answer, idle: Duration) -> Self {
        Self {
            length: answer.response.content_length(),
            url: answer.response.url().clone(),
            response: answer.response,
            idle,
            total: 0,
            waited: Duration::ZERO,
            received: 0,
        }
    }

    /// The next bytes, or `None` at the end that the protocol marks.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let asked = Instant::now();
        let chunk = match tokio::time::timeout(self.idle, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            // HTTP/2 streams that are reset without an error look as if they had ended.
            Ok(Ok(None)) if self.length.is_some_and(|length| self.total < length) => {
                return Err(broken_off(host(&self.url), "a body"));
            }
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => return Err(unreachable(&self.url, error)),
            Err(_) => return Err(stalled(&self.url, self.idle)),
        };
        // Only waiting counts: a reader that takes its time is not the server's fault.
        self.waited += asked.elapsed();
        self.received += chunk.len() as u64;
        self.total += chunk.len() as u64;
        if self.waited >= self.idle {
            if self.received < DRIP_BYTES {
                return Err(stalled(&self.url, self.idle));
            }
            (self.waited, self.received) = (Duration::ZERO, 0);
        }
        Ok(Some(chunk))
    }

    /// Whether the end of the body could also be a transfer that broke: without a length, and without chunks in
    /// HTTP/1.
    pub(super) fn end_is_ambiguous(&self) -> bool {
        let is_chunked = self
            .response
            .headers()
            .contains_key(reqwest::header::TRANSFER_ENCODING);
        self.length.is_none() && !is_chunked
    }

    /// Refuses a body that was encoded although `identity` was asked for: its bytes are not those of the digest.
    pub(super) fn refuse_encoding(&self, what: &str) -> Result<(), SourceError> {
        let encodings = self.response.headers().get_all(reqwest::header::CONTENT_ENCODING);
        match encodings
            .iter()
            .find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            None => Ok(()),
            Some(value) => Err(SourceError::Malformed {
                what: what.to_owned(),
                why: format!(
                    "`{}` sent it with Content-Encoding `{}`, which was not asked for",
                    host(&self.url),
                    cut(&text::escape(value.as_bytes()))
                ),
            }),
        }
    }
}

fn is_redirect(response: &Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
        && response.headers().contains_key(LOCATION)
}

fn next(request: &Request, from: &Url, headers: &HeaderMap) -> Result<Url, SourceError> {
    let refuse = |why: &str| refused(from, &request.what, why);
    let location = headers
        .get(LOCATION)
        .and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
        .ok_or_else(|| refuse("it redirects to something that is not a URL"))?;
    if request.form.is_some() {
        return Err(refuse("a token server must answer itself"));
    }
    let mut url = from
        .join(location)
        .map_err(|_| refuse("it redirects to something that is not a URL"))?;
    url.set_fragment(None);
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refuse("it redirects to something other than http or https"));
    }
    if from.scheme() == "https" && url.scheme() == "http" {
        return Err(refused_redirect(request, &url, "it is not https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused_redirect(request, &url, "it holds a user name"));
    }
    if request.redirects.is_none() && url.origin() != request.url.origin() {
        return Err(refused_redirect(
            request,
            &url,
            "a token server must answer itself",
        ));
    }
    Ok(url)
}

fn refused_redirect(request: &Request, to: &Url, why: &str) -> SourceError {
    if to.origin() == request.url.origin() {
        return refused(to, &request.what, why);
    }
    refused(
        &request.url,
        &request.what,
        &format!("its redirect to `{}` is not followed: {why}", host(to)),
    )
}

pub(super) fn refused(url: &Url, what: &str, why: &str) -> SourceError {
    SourceError::Refused {
        host: host(url),
        what: what.to_owned(),
        why: why.to_owned(),
    }
}

/// Host and port of a URL, for people.
pub(super) fn host(url: &Url) -> String {
    let name = text::escape(url.host_str().unwrap_or("no host").as_bytes());
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name,
    }
}

/// The fault of a transfer whose connection was closed before its end.
pub(super) fn broken_off(host: String, what: &str) -> Fault {
    Fault::Passing {
        error: SourceError::Unreachable {
            host,
            why: format!("the transfer of {what} broke off"),
        },
        after: None,
    }
}

fn stalled(url: &Url, idle: Duration) -> Fault {
    Fault::Passing {
        error: SourceError::Unreachable {
            host: host(url),
            why: format!("it sent next to nothing for {} s", idle.as_secs_f32()),
        },
        after: None,
    }
}

pub(super) fn unreachable(url: &Url, error: reqwest::Error) -> Fault {
    let lasting = is_lasting(&error);
    let error = SourceError::Unreachable {
        host: host(url),
        why: describe(error),
    };
    match lasting {
        true => Fault::Lasting(error),
        false => Fault::Passing { error, after: None },
    }
}

/// Whether a connection failed for a cause that stays: a certificate, or an address out of reach.
fn is_lasting(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        matches!(
            tls_error(cause),
            Some(
                rustls::Error::InvalidCertificate(_)
                    | rustls::Error::NoCertificatesPresented
                    | rustls::Error::AlertReceived(_)
                    | rustls::Error::PeerIncompatible(_)
            )
        ) || cause.is::<address::OutOfReach>()
    })
}

/// The TLS error inside of `error`, which the layers between wrap in I/O errors that do not name it as their source.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    let io: &'e std::io::Error = error.downcast_ref()?;
    tls_error(io.get_ref()?)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// The cause of a failed request in one line, without its URL.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let cause = causes(&error)
        .last()
        .map_or_else(|| error.to_string(), |cause| cause.to_string());
    cut(&text::escape(cause.as_bytes()))
}

/// The messages of a distribution-spec error body.
fn errors(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<Error>,
    }
    #[derive(serde::Deserialize)]
    struct Error {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Errors { errors } = serde_json::from_slice(body).ok()?;
    let lines: Vec<String> = errors
        .iter()
        .take(3)
        .map(|error| format!("{}: {}", error.code, error.message))
        .collect();
    let said = text::escape(lines.join("; ").as_bytes());
    (!said.is_empty()).then_some(said)
}

/// `said` without the credentials of a header: some servers repeat what they were sent.
fn without(said: &str, authorization: Option<&HeaderValue>) -> String {
    use base64::Engine as _;
    let Some((scheme, value)) = authorization
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
    else {
        return said.to_owned();
    };
    let mut said = said.replace(value, "***");
    if scheme == "Basic"
        && let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(value)
        && let Ok(decoded) = String::from_utf8(decoded)
        && let Some((_, password)) = decoded.split_once(':')
        && !password.is_empty()
    {
        said = said.replace(password, "***");
        said = said.replace(&text::escape(password.as_bytes()), "***");
    }
    said
}

/// At most 200 characters of `said`.
fn cut(said: &str) -> String {
    const LONGEST: usize = 200;
    match said.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_is_shown_escaped_and_cut_and_nothing_else_is() {
        assert_eq!(
            errors(br#"{"errors":[{"code":"DENIED","message":"no\u001b[2J"}]}"#).unwrap(),
            "DENIED: no\\u{1b}[2J"
        );
        assert_eq!(errors(br#"{"errors":[]}"#), None);
        for body in [&b"<html>Sign in</html>"[..], b"", b"null", b"{\"errors\":7}"] {
            assert_eq!(errors(body), None);
        }
        assert_eq!(cut(&"é".repeat(300)).chars().count(), 201);
    }

    #[test]
    fn a_server_that_repeats_our_credentials_is_not_quoted() {
        let bearer = HeaderValue::from_static("Bearer abc.def");
        assert_eq!(without("bad token abc.def!", Some(&bearer)), "bad token ***!");
        let basic = HeaderValue::from_static("Basic dXNlcjpwOnc=");
        assert_eq!(without("dXNlcjpwOnc= is p:w", Some(&basic)), "*** is ***");
    }
}
