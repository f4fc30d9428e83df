//! What is wanted of one repository → requests to its registry, logged in and tried again where that helps. Judges
//! no document and verifies no digest.

use std::collections::HashSet;
use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LINK, WARNING};
use tokio::sync::OnceCell;
use url::Url;

use super::RegistryOptions;
use super::address::{self, Reach};
use super::auth::Auth;
use super::challenge;
use super::credentials::Account;
use super::native::Shown;
use super::notes::{self, Notes};
use super::retry::{Backoff, Fault, Gates, Tries};
use super::session::{Kind, Session};
use super::transport::{self, Answer, Document, Request, Transport};
use crate::limits::{LimitHit, Limits};
use crate::oci::{Digest, Hasher, Reference};
use crate::source::SourceError;

/// Pages of a list of names. With a hundred names on a page, which is the least that registries give, that is as many
/// as [`Limits::names`].
const MAX_PAGES: usize = 10_000;

/// Pages of a list of referrers, each of which takes a request. [`Limits::referrers_bytes`] bounds what they hold.
const MAX_REFERRERS_PAGES: usize = 1000;

/// Names to ask for on a page of a list. Registries that allow fewer give fewer.
const PAGE: &str = "1000";

/// The registries known to count what is fetched.
const METERED: &str = "registry-1.docker.io";

/// One repository of one registry, or of a mirror.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) limits: Limits,
    pub(super) transport: Arc<Transport>,
    pub(super) gates: Arc<Gates>,
    session: Option<Session>,
    backoff: Backoff,
    pub(super) auth: Auth,
    account: Account,
    /// How the login is shown to lists of the registry's own.
    shown: Shown,
    /// The registry that this is a mirror of. *Source*: distribution-spec, "Proxying".
    mirrored: Option<String>,
    notes: Arc<Notes>,
    /// Whether each manifest counts against a quota.
    metered: bool,
    /// Where the registry may be: with and without TLS where both are allowed, in the order of trying.
    candidates: Vec<Url>,
    base: OnceCell<Url>,
    host: String,
}

impl Received {
    /// Whether the bytes have the digest they came with.
    pub(super) fn is_as_stated(&self) -> bool {
        let stated = self.stated.as_ref();
        stated.is_none_or(|stated| Wanted::Blob(stated.clone()).is_proven_by(&self.bytes))
    }

    /// Whether it is a page for people, such as the form to log in at a captive portal.
    pub(super) fn is_web_page(&self) -> bool {
        is_web_page(self.media_type.as_deref(), &self.bytes)
    }
}

/// Whether an answer is a page for people.
pub(super) fn is_web_page(media_type: Option<&str>, bytes: &[u8]) -> bool {
    media_type == Some("text/html") || bytes.trim_ascii_start().first() == Some(&b'<')
}

/// What of a repository is wanted.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// Whether there is a registry, and whether it lets us in.
    Api,
    Blob(Digest),
    /// The list of all repositories.
    Catalog,
    /// By tag or digest.
    Manifest(String),
    /// A list of the registry's own, by its path and query.
    Native(String),
    /// A further page of a list.
    Page(Url),
    /// The list of what refers to a manifest.
    Referrers(Digest),
    /// The list of the tags.
    Tags,
}

impl Wanted {
    /// What a request for it counts as.
    fn kind(&self, head: bool) -> Kind {
        match self {
            _ if head => Kind::Head,
            Self::Blob(_) => Kind::Blob,
            Self::Manifest(_) => Kind::Manifest,
            Self::Api | Self::Catalog | Self::Native(_) | Self::Page(_) | Self::Referrers(_) | Self::Tags => {
                Kind::List
            }
        }
    }

    fn digest(&self) -> Option<Digest> {
        match self {
            Self::Blob(digest) => Some(digest.clone()),
            Self::Manifest(reference) => Digest::parse(reference).ok(),
            Self::Api | Self::Catalog | Self::Native(_) | Self::Page(_) | Self::Referrers(_) | Self::Tags => {
                None
            }
        }
    }

    /// Whether `bytes` can be the whole of what is wanted.
    fn may_be(&self, bytes: &[u8]) -> bool {
        match self.digest() {
            Some(_) => self.is_proven_by(bytes),
            // Whatever has no digest is JSON, which is not whole before its last bracket.
            None => {
                bytes.trim_ascii_end().last() == Some(&b'}')
                    || bytes.trim_ascii_start().first() != Some(&b'{')
            }
        }
    }

    /// Whether `bytes` are what is wanted, where that has a digest that can be computed.
    pub(super) fn is_proven_by(&self, bytes: &[u8]) -> bool {
        let Some(digest) = self.digest() else {
            return true;
        };
        let Some(algorithm) = digest.algorithm() else {
            return true;
        };
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish() == digest
    }
}

/// What is left of a quota. *Source*: the IETF's draft of `RateLimit` headers, as Docker Hub sends them: `76;w=21600`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quota {
    pulls: u64,
    /// In seconds.
    window: u64,
}

impl Quota {
    fn parse(value: &str) -> Option<Self> {
        let (pulls, window) = value.split_once(";w=").unwrap_or((value, "0"));
        Some(Self {
            pulls: pulls.trim().parse().ok()?,
            window: window.trim().parse().ok()?,
        })
    }
}

/// A document as the registry sent it.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: Option<String>,
    /// The digest that the registry says it has (`Docker-Content-Digest`).
    pub(super) stated: Option<Digest>,
    /// Where the next page of a list is, as the registry wrote it.
    next: Option<String>,
}

impl Client {
    pub(super) fn new(
        reference: &Reference,
        options: &RegistryOptions,
        notes: &Arc<Notes>,
    ) -> Result<Self, SourceError> {
        let account = Account::new(reference.registry(), reference.repository());
        Self::for_account(account, options, notes)
    }

    pub(super) fn for_account(
        account: Account,
        options: &RegistryOptions,
        notes: &Arc<Notes>,
    ) -> Result<Self, SourceError> {
        let candidates = candidates(&account.registry, &options.insecure)?;
        Self::at(candidates, account, options, notes)
    }

    /// What lists the repositories of a registry, which may be another host: it is shown the login of the registry, and not
    /// its certificate.
    pub(super) fn for_lists(
        service: &str,
        account: Account,
        shown: Shown,
        options: &RegistryOptions,
    ) -> Result<Self, SourceError> {
        let candidates = candidates(service, &options.insecure)?;
        let mut options = options.clone();
        if service != account.registry {
            options.client_certificate = None;
        }
        Ok(Self {
            shown,
            ..Self::at(candidates, account, &options, &Arc::default())?
        })
    }

    /// The same repository at a mirror, which is sent neither the login nor the certificate of the registry.
    pub(super) fn mirror(
        &self,
        url: &Url,
        options: &RegistryOptions,
        notes: &Arc<Notes>,
    ) -> Result<Self, SourceError> {
        let host = transport::host(url);
        let malformed = |why: &str| SourceError::Malformed {
            what: format!("the mirror `{host}`"),
            why: why.to_owned(),
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(malformed("it is not an http or https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed(
                "a login in a URL is not used: store it for the mirror's host",
            ));
        }
        let path = url.path().trim_matches('/');
        let account = Account {
            registry: host,
            repository: match path {
                "" => self.account.repository.clone(),
                path => format!("{path}/{}", self.account.repository),
            },
        };
        let mut options = RegistryOptions {
            credentials: None,
            client_certificate: None,
            ..options.clone()
        };
        // There is somewhere else to go.
        options.limits.tries = options.limits.tries.min(2);
        let mut base = url.clone();
        base.set_path("/");
        base.set_query(None);
        base.set_fragment(None);
        let mut client = Self::at(vec![base], account, &options, notes)?;
        client.mirrored = Some(self.account.registry.clone());
        Ok(client)
    }

    fn at(
        candidates: Vec<Url>,
        account: Account,
        options: &RegistryOptions,
        notes: &Arc<Notes>,
    ) -> Result<Self, SourceError> {
        let first = candidates.last().expect("there is at least one candidate");
        let host = transport::host(first);
        Ok(Self {
            limits: options.limits.clone(),
            transport: match &options.session {
                Some(session) => session.transport(options, first)?,
                None => Arc::new(Transport::new(options, first)?),
            },
            gates: (options.session.as_ref()).map_or_else(Arc::default, Session::gates),
            session: options.session.clone(),
            backoff: options.backoff,
            auth: Auth::new(account.clone(), options),
            account,
            shown: Shown::default(),
            mirrored: None,
            notes: Arc::clone(notes),
            metered: host == METERED || options.metered.contains(&host),
            host,
            candidates,
            base: OnceCell::new(),
        })
    }

    /// Whether this is the registry that `host` names.
    pub(super) fn is_called(&self, host: &str) -> bool {
        host == self.account.registry || host == self.host
    }

    /// Reads a document of at most `cap` bytes: one that has a tag by its digest, where fetching it costs something.
    pub(super) async fn document(&self, wanted: &Wanted, cap: u64) -> Result<Received, SourceError> {
        if let Some(pinned) = self.pinned(wanted).await? {
            match self.fetch(&pinned, cap).await {
                Ok(received) if pinned.is_proven_by(&received.bytes) => return Ok(received),
                // The header was wrong: many are, so the tag itself decides.
                Ok(_) | Err(SourceError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.fetch(wanted, cap).await
    }

    /// What a tag points at, asked for by HEAD, which no registry is known to count. `None` where that is not worth it
    /// or the registry does not say.
    ///
    /// *Errors*: where the registry says that none of its quota is left.
    async fn pinned(&self, wanted: &Wanted) -> Result<Option<Wanted>, SourceError> {
        if !self.metered || wanted.digest().is_some() {
            return Ok(None);
        }
        let mut tries = self.tries();
        let answer = loop {
            let fault = match self.ask(wanted, None, true).await {
                Ok(answer) => break answer,
                Err(fault) => fault,
            };
            match tries.wait(fault, &self.gates, self.host()).await {
                Ok(()) => {}
                // Whatever else is wrong with HEAD may be right with GET.
                Err(SourceError::Status { status, .. }) if status != 429 => return Ok(None),
                Err(SourceError::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        };
        let headers = answer.response.headers();
        let remaining = headers.get("ratelimit-remaining");
        let remaining = remaining.and_then(|value| Quota::parse(value.to_str().ok()?));
        tracing::debug!(host = self.host(), ?remaining, "quota");
        if let Some(Quota { pulls: 0, window }) = remaining {
            return Err(SourceError::Status {
                host: self.host().to_owned(),
                what: wanted.to_string(),
                status: StatusCode::TOO_MANY_REQUESTS.as_u16(),
                why: format!("none of the pulls it allows in {} min is left", window / 60),
            });
        }
        Ok(stated_digest(headers).map(|digest| Wanted::Manifest(digest.to_string())))
    }

    /// One page of a list of the registry's own, and the path of the next one.
    pub(super) async fn native(
        &self,
        path: &str,
        cap: u64,
    ) -> Result<(Vec<u8>, Option<String>), SourceError> {
        let wanted = Wanted::Native(path.to_owned());
        let received = self.fetch(&wanted, cap).await?;
        if received.is_web_page() {
            return Err(SourceError::Malformed {
                what: wanted.to_string(),
                why: format!("`{}` answered with a web page", self.host()),
            });
        }
        let base = self.base.get().expect("a request found it");
        let here = self.url(base, &wanted);
        let Some(link) = received.next else {
            return Ok((received.bytes, None));
        };
        // The login must not follow it elsewhere. The path may change: GitHub's does, from a name to a number.
        let next = here
            .join(&link)
            .ok()
            .filter(|next| next.origin() == here.origin());
        let next = next.ok_or_else(|| SourceError::Malformed {
            what: wanted.to_string(),
            why: "its next page is somewhere else".to_owned(),
        })?;
        let query = next.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok((received.bytes, Some(format!("{}{query}", next.path()))))
    }

    /// The digest of a manifest, asked for by HEAD. `None` where the registry does not say it.
    pub(super) async fn head(&self, wanted: &Wanted) -> Result<Option<Digest>, SourceError> {
        let mut tries = self.tries();
        loop {
            match self.ask(wanted, None, true).await {
                Ok(answer) => return Ok(stated_digest(answer.response.headers())),
                Err(fault) => match tries.wait(fault, &self.gates, self.host()).await {
                    Ok(()) => {}
                    // A registry that knows no HEAD may know GET.
                    Err(SourceError::Status {
                        status: 400 | 405 | 501,
                        ..
                    }) => return Ok(None),
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// The pages of the list of what refers to the manifest `digest`: by the API, or by the tag that stands in for it
    /// where the registry has none. *Source*: distribution-spec, "Listing Referrers" and "Unavailable Referrers API".
    pub(super) async fn referrers(&self, digest: &Digest, cap: u64) -> Result<Vec<Vec<u8>>, SourceError> {
        let first = Wanted::Referrers(digest.clone());
        let mut pages: Vec<Vec<u8>> = Vec::new();
        let mut room = self.limits.referrers_bytes;
        let read = self.pages(&first, cap, |page| {
            let left = room.checked_sub(page.len() as u64);
            room = left.ok_or_else(|| SourceError::Limit {
                what: first.to_string(),
                limit: LimitHit::Document,
            })?;
            pages.push(page);
            Ok(())
        });
        match read.await {
            Err(
                SourceError::NotFound { .. }
                | SourceError::Status {
                    status: 400 | 405 | 501,
                    ..
                },
            ) if pages.is_empty() => {
                let encoded = digest.encoded();
                let tag = format!(
                    "{}-{}",
                    digest.algorithm_name(),
                    &encoded[..encoded.len().min(64)]
                );
                match self.fetch(&Wanted::Manifest(tag), cap).await {
                    Ok(received) => Ok(vec![received.bytes]),
                    Err(SourceError::NotFound { .. }) => Ok(pages),
                    Err(error) => Err(error),
                }
            }
            read => read.map(|()| pages),
        }
    }

    /// Reads a list to its end and hands each of its pages to `take`. *Errors*: those of `take` too, and a list that
    /// goes on at another host or without end.
    pub(super) async fn pages(
        &self,
        first: &Wanted,
        cap: u64,
        mut take: impl FnMut(Vec<u8>) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let mut received = self.fetch(first, cap).await?;
        let mut at = self.base.get().map(|base| self.url(base, first));
        let mut seen = HashSet::new();
        loop {
            take(received.bytes)?;
            let Some(next) = received.next else {
                return Ok(());
            };
            let next = at.as_ref().and_then(|at| page_behind(at, &next));
            let next = next.ok_or("its next page is somewhere else");
            let most = match first {
                Wanted::Referrers(_) => MAX_REFERRERS_PAGES,
                _ => MAX_PAGES,
            };
            let next = next.and_then(|next| match seen.len() < most && seen.insert(next.clone()) {
                true => Ok(next),
                false => Err("it does not end"),
            });
            received = match next {
                Ok(next) => {
                    at = Some(next.clone());
                    self.fetch(&Wanted::Page(next), cap).await?
                }
                Err(why) => {
                    return Err(SourceError::Malformed {
                        what: first.to_string(),
                        why: why.to_owned(),
                    });
                }
            };
        }
    }

    /// Reads a document. A body that breaks off is read again from its beginning.
    async fn fetch(&self, wanted: &Wanted, cap: u64) -> Result<Received, SourceError> {
        let what = wanted.to_string();
        let mut tries = self.tries();
        loop {
            let fault = match self.request(wanted, None).await {
                Ok(answer) => {
                    let media_type = media_type(answer.response.headers());
                    let stated = stated_digest(answer.response.headers());
                    let next = next_page(answer.response.headers());
                    let document = Document { what: &what, cap };
                    let is_whole = |bytes: &[u8]| wanted.may_be(bytes);
                    match self.transport.document(answer, document, is_whole).await {
                        Ok(bytes) => {
                            return Ok(Received {
                                bytes,
                                media_type,
                                stated,
                                next,
                            });
                        }
                        Err(fault) => fault,
                    }
                }
                Err(fault) => fault,
            };
            tries.wait(fault, &self.gates, self.host()).await?;
        }
    }

    pub(super) fn tries(&self) -> Tries {
        Tries::new(&self.limits, self.backoff)
    }

    /// The host as its gate and messages call it.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Sends one request, logged in where the registry asks for it, and returns an answer that is a success.
    pub(super) async fn request(&self, wanted: &Wanted, from: Option<u64>) -> Result<Answer, Fault> {
        self.ask(wanted, from, false).await
    }

    async fn ask(&self, wanted: &Wanted, from: Option<u64>, head: bool) -> Result<Answer, Fault> {
        let base = self.base.get_or_try_init(|| self.find_base()).await?;
        let mut request = Request {
            url: self.url(base, wanted),
            head,
            what: wanted.to_string(),
            accept: match wanted {
                Wanted::Blob(_) => None,
                Wanted::Catalog | Wanted::Native(_) | Wanted::Tags => Some("application/json"),
                _ => Some(MANIFESTS),
            },
            authorization: match (self.auth.standing().await, wanted) {
                (None, Wanted::Native(_)) => self.auth.unasked(&self.transport, base, self.shown).await?,
                (standing, _) => standing,
            },
            form: None,
            from,
            reach: Reach::Named,
            redirects: Some(Reach::Network),
        };
        let mut challenged = 0;
        loop {
            self.gates.pass(self.host()).await;
            if let Some(session) = &self.session {
                session
                    .turn(wanted.kind(head), self.host(), &request.what)
                    .await?;
            }
            if self.transport.is_local(base) {
                request.redirects = Some(Reach::Local);
            }
            let answer = self.transport.send(&request).await?;
            self.note_warnings(&answer);
            self.note_quota(&answer);
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

    /// Keeps the warnings that the registry wants its users to read. Stores that it redirects to have nothing to say.
    fn note_warnings(&self, answer: &Answer) {
        let values = answer.response.headers().get_all(WARNING).iter();
        for value in values.filter(|_| answer.home) {
            if let Some(warning) = notes::warning(value.as_bytes()) {
                self.notes.add("registry-warning", self.host(), warning);
            }
        }
    }

    /// Keeps what the registry says is left of its quota.
    fn note_quota(&self, answer: &Answer) {
        let remaining = answer.response.headers().get("ratelimit-remaining");
        let remaining = remaining.and_then(|value| Quota::parse(value.to_str().ok()?));
        if let (Some(session), Some(quota), true) = (&self.session, remaining, answer.home) {
            session.left(quota.pulls);
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
                head: false,
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
        let repository = &self.account.repository;
        url.set_path(&match wanted {
            Wanted::Api => "/v2/".to_owned(),
            Wanted::Page(url) => return url.clone(),
            Wanted::Native(path) => {
                let (path, query) = path
                    .split_once('?')
                    .map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
                url.set_path(path);
                url.set_query(query);
                return url;
            }
            Wanted::Referrers(digest) => format!("/v2/{repository}/referrers/{digest}"),
            Wanted::Blob(digest) => format!("/v2/{repository}/blobs/{digest}"),
            Wanted::Catalog => "/v2/_catalog".to_owned(),
            Wanted::Manifest(reference) => format!("/v2/{repository}/manifests/{reference}"),
            Wanted::Tags => format!("/v2/{repository}/tags/list"),
        });
        if matches!(wanted, Wanted::Catalog | Wanted::Tags) {
            url.query_pairs_mut().append_pair("n", PAGE);
        }
        if let Some(registry) = &self.mirrored {
            url.query_pairs_mut().append_pair("ns", registry);
        }
        url
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Api => f.write_str("the registry API"),
            Self::Blob(digest) => write!(f, "blob `{digest}`"),
            Self::Catalog => f.write_str("the list of repositories"),
            Self::Manifest(reference) => write!(f, "manifest `{reference}`"),
            Self::Native(path) => write!(f, "the list `{}`", path.split('?').next().unwrap_or_default()),
            Self::Page(_) => f.write_str("the next page of a list"),
            Self::Referrers(digest) => write!(f, "the referrers of `{digest}`"),
            Self::Tags => f.write_str("the list of tags"),
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

/// The URL of the page behind the one at `page`, which must be at the registry itself too.
pub(super) fn page_behind(page: &Url, link: &str) -> Option<Url> {
    let mut url = page.join(link).ok()?;
    url.set_fragment(None);
    let is_here = url.origin() == page.origin() && url.path().starts_with("/v2/");
    (is_here && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// The target of `Link: <…>; rel="next"`. *Source*: RFC 8288; distribution-spec.
pub(super) fn next_page(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().find_map(|value| {
        let (target, parameters) = value.to_str().ok()?.trim().strip_prefix('<')?.split_once('>')?;
        let mut parameters = parameters.split(';').map(str::trim);
        let is_next = parameters.any(|parameter| matches!(parameter, "rel=next" | "rel=\"next\""));
        is_next.then(|| target.to_owned())
    })
}

/// *Source*: distribution-spec, pulling manifests: where the header is there, it is to be verified.
fn stated_digest(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get("docker-content-digest")?.to_str().ok()?;
    Digest::parse(value.trim()).ok()
}

pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
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
        let malformed = |why: String| SourceError::Unusable {
            what: format!("the registry name `{}`", crate::text::escape(host.as_bytes())),
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
    fn a_quota_is_a_number_with_or_without_its_window() {
        let parse = |value| Quota::parse(value).map(|quota| (quota.pulls, quota.window));
        assert_eq!(parse("76;w=21600"), Some((76, 21_600)));
        assert_eq!(parse("0"), Some((0, 0)));
        for garbage in ["", "-1;w=5", "x;w=5", "5;w=x", ";w=1", "99999999999999999999999"] {
            assert_eq!(parse(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn the_next_page_is_that_of_the_link_called_next() {
        let next = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, value.parse().unwrap());
            next_page(&headers)
        };
        assert_eq!(next("</v2/a?n=1>; rel=\"next\"").unwrap(), "/v2/a?n=1");
        assert_eq!(next("<https://x/;a>;title=b;rel=next").unwrap(), "https://x/;a");
        for none in ["", "<", "</v2/a>", "</v2/a>; rel=prev", "/v2/a; rel=next"] {
            assert_eq!(next(none), None, "{none}");
        }
    }

    #[test]
    fn a_registry_name_is_a_host_and_a_port() {
        for name in ["user@host", "host/path", "host?x", "", "ho st", "host:port"] {
            assert!(candidates(name, &[]).is_err(), "{name}");
        }
    }
}
