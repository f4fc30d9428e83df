//! A package and its destination → GitHub's receipt, over HTTP. Knows what may be tried again; what answers mean is in
//! `answer`. The asynchronous side stays inside.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use url::Url;

use super::answer::{self, Accepted, Analysis, Complaint, Progress};
use super::destination::{self, Destination};
use super::{Package, Receipt, State, Token, UploadError};
use crate::source::registry;

/// How long answers are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The pause before the first question whether the file was read; each next one is twice as long, up to 30 s.
    pub pause: Duration,
    /// After this time a file that is still not read is left to GitHub.
    pub wait: Duration,
}

impl Default for Patience {
    /// Three minutes; GitHub is done in seconds unless it is busy.
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(1),
            wait: Duration::from_secs(180),
        }
    }
}

/// Uploads a package and waits until GitHub has read it. `authorities` are PEM files with certificates to trust besides
/// the system's.
///
/// What fails in passing (429, 500, 502, 503, 504, a connection that breaks) is tried three times: the same file sent
/// twice replaces itself. *Errors*: `Refused` for an answer that is an error, `Failed` where GitHub could not read the file,
/// `Unreachable` where nothing answers.
pub fn upload(
    package: &Package,
    destination: &Destination,
    token: &Token,
    patience: Patience,
    authorities: &[PathBuf],
) -> Result<Receipt, UploadError> {
    let unreachable = |why: String| UploadError::Unreachable {
        host: host(&destination.api),
        why,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreachable(error.to_string()))?;
    let session = Session {
        client: client(&destination.api, authorities)?,
        destination,
        token,
        patience,
    };
    runtime.block_on(session.upload(package))
}

/// What is sent. GitHub takes no other fields.
#[derive(Serialize)]
struct Body<'a> {
    commit_sha: &'a str,
    #[serde(rename = "ref")]
    reference: &'a str,
    sarif: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkout_uri: Option<&'a str>,
    tool_name: &'a str,
}

struct Session<'a> {
    client: Client,
    destination: &'a Destination,
    token: &'a Token,
    patience: Patience,
}

impl Session<'_> {
    async fn upload(&self, package: &Package) -> Result<Receipt, UploadError> {
        let body = Body {
            commit_sha: &self.destination.commit,
            reference: &self.destination.reference,
            sarif: &package.sarif,
            checkout_uri: self.destination.checkout.as_ref().map(Url::as_str),
            tool_name: &package.tool,
        };
        let body = serde_json::to_vec(&body).expect("texts are JSON");
        let sent = Question {
            name: "the upload",
            path: "sarifs".to_owned(),
            body: Some(body),
        };
        let Accepted { id } = self.ask(&sent).await?;
        // It becomes a part of the next path.
        if id.is_empty()
            || id.len() > 100
            || !id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(self.unreadable("the upload", "its id is none"));
        }
        let state = self.wait(&id, package.is_unfinished).await?;
        let warnings = match state {
            State::Processed => self.warnings(&id).await,
            State::Pending | State::ScanFailed => Vec::new(),
        };
        Ok(Receipt { id, state, warnings })
    }

    /// Asks until the file was read, or the wait is over.
    async fn wait(&self, id: &str, is_unfinished: bool) -> Result<State, UploadError> {
        let end = Instant::now() + self.patience.wait;
        let mut pause = self.patience.pause;
        loop {
            if Instant::now() + pause > end {
                return Ok(State::Pending);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let question = Question {
                name: "the question whether it was read",
                path: format!("sarifs/{id}"),
                body: None,
            };
            let progress: Progress = match self.ask(&question).await {
                // An upload that was just made may not be known everywhere yet.
                Err(UploadError::Refused { status: 404, .. }) => continue,
                progress => progress?,
            };
            let errors = progress.errors.unwrap_or_default();
            match progress.processing_status.as_str() {
                "complete" => return Ok(State::Processed),
                "failed" if is_unfinished && answer::is_unfinished_scan(&errors) => {
                    return Ok(State::ScanFailed);
                }
                "failed" => {
                    return Err(UploadError::Failed {
                        explanation: answer::failure(&errors),
                        errors: match errors.is_empty() {
                            true => vec!["it does not say why".to_owned()],
                            false => errors.iter().map(|error| self.shown(error)).collect(),
                        },
                    });
                }
                _ => {}
            }
        }
    }

    /// What GitHub says of the analyses it made. That it cannot be asked is no reason to call the upload failed.
    async fn warnings(&self, id: &str) -> Vec<String> {
        let question = Question {
            name: "the question what was read",
            path: format!("analyses?sarif_id={id}"),
            body: None,
        };
        let analyses: Vec<Analysis> = match self.ask(&question).await {
            Ok(analyses) => analyses,
            Err(error) => {
                tracing::debug!(%error, "cannot ask for the analyses");
                return Vec::new();
            }
        };
        let said = analyses.iter().flat_map(|analysis| {
            let texts = [&analysis.warning, &analysis.error];
            let of = &analysis.category;
            texts
                .into_iter()
                .filter(|text| !text.is_empty())
                .map(move |text| format!("{of}: {text}"))
        });
        said.map(|text| self.shown(&text)).collect()
    }

    /// Asks, and asks again what fails in passing.
    async fn ask<T: DeserializeOwned>(&self, question: &Question) -> Result<T, UploadError> {
        let mut tries = 1;
        loop {
            let (error, pause) = match self.once(question).await {
                Ok(bytes) => {
                    return serde_json::from_slice(&bytes).map_err(|_| {
                        self.unreadable(question.name, "it is not in the form GitHub documents")
                    });
                }
                Err(Fault::Lasting(error)) => return Err(error),
                Err(Fault::Passing(error, pause)) => (error, pause),
            };
            let pause = pause.unwrap_or(self.patience.pause * tries);
            if tries == TRIES || pause > LONGEST_PAUSE {
                return Err(error);
            }
            tracing::debug!(%error, ?pause, "asks again");
            sleep(pause).await;
            tries += 1;
        }
    }

    async fn once(&self, question: &Question) -> Result<Vec<u8>, Fault> {
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", self.token.0)).expect("a token is printable ASCII");
        authorization.set_sensitive(true);
        let url = format!(
            "{}/repos/{}/code-scanning/{}",
            self.destination.api.as_str().trim_end_matches('/'),
            self.destination.repository,
            question.path
        );
        let method = match question.body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let mut request = self
            .client
            .request(method, url)
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        if let Some(body) = &question.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let unreachable = |error: reqwest::Error| {
            Fault::Passing(
                UploadError::Unreachable {
                    host: host(&self.destination.api),
                    why: registry::without_url(error),
                },
                None,
            )
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES {
                return Err(Fault::Lasting(self.unreadable(question.name, "it is too long")));
            }
            bytes.extend_from_slice(&chunk);
        }
        if (200..300).contains(&status) {
            return Ok(bytes);
        }
        let complaint: Complaint = serde_json::from_slice(&bytes).unwrap_or_default();
        let error = self.refused(status, question.name, &complaint.message);
        // GitHub's limit of calls at a time is told by 403 with a time to wait.
        match matches!(status, 429 | 500 | 502 | 503 | 504) || (status == 403 && after.is_some()) {
            true => Err(Fault::Passing(error, after)),
            false => Err(Fault::Lasting(error)),
        }
    }

    fn refused(&self, status: u16, request: &'static str, said: &str) -> UploadError {
        let explanation = match status {
            300..400 => Some(
                "the repository may have moved: name it with `--github-repository OWNER/NAME`".to_owned(),
            ),
            _ => answer::refusal(status, said, self.destination.reader),
        };
        UploadError::Refused {
            status,
            request,
            said: match said.is_empty() {
                true => "it does not say why".to_owned(),
                false => self.shown(said),
            },
            explanation,
        }
    }

    fn unreadable(&self, request: &'static str, why: &str) -> UploadError {
        UploadError::Refused {
            status: 200,
            request,
            said: format!("the answer cannot be understood: {why}"),
            explanation: Some("GITHUB_API_URL may not be the address of an API".to_owned()),
        }
    }

    fn shown(&self, said: &str) -> String {
        answer::shown(said, self.token)
    }
}

struct Question {
    /// For messages.
    name: &'static str,
    /// Below `code-scanning/`.
    path: String,
    body: Option<Vec<u8>>,
}

enum Fault {
    Lasting(UploadError),
    /// It may pass, after this time where one was told.
    Passing(UploadError, Option<Duration>),
}

/// Follows no redirect: the token is for one host.
fn client(api: &Url, authorities: &[PathBuf]) -> Result<Client, UploadError> {
    let unusable = |why: String| UploadError::Unusable {
        what: "the set-up of TLS".to_owned(),
        why,
    };
    let tls = registry::tls(authorities, None).map_err(|error| unusable(error.with_causes()))?;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(concat!("layersift/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(ANSWER);
    if destination::is_loopback(api) {
        // A proxy cannot reach this machine's own ports.
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| unusable(registry::without_url(error)))
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// Bytes of an answer that are read; analyses are a few hundred bytes each, and there are up to 20.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(30);

/// Time for one answer, the sending of 13 MB included.
const ANSWER: Duration = Duration::from_secs(300);

/// The longest pause between two questions; a server that wants more is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Tries of one question.
const TRIES: u32 = 3;
