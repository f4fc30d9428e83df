//! The name of a registry → which login would be used for it, and what the registry says to that login. Reads no image,
//! stores nothing, and never shows a secret.

use std::sync::Arc;

use super::client::{Client, Wanted, is_web_page};
use super::credentials::Account;
use super::retry::Fault;
use super::transport::Document;
use super::{KnownLogin, RegistryOptions};
use crate::source::SourceError;
use crate::source::network::Runtime;

/// What became of trying a login.
#[derive(Debug)]
pub struct Check {
    /// The registry: `host[:port]`, `docker.io` for Docker Hub.
    pub registry: String,
    /// The login that would be used, where there is one.
    pub login: Option<KnownLogin>,
    /// Why a place where a login may be was not used.
    pub note: Option<String>,
    /// What the registry said.
    pub verdict: Verdict,
}

/// What a registry says to a login.
#[derive(Debug)]
pub enum Verdict {
    /// It took the login.
    Accepted,
    /// It let us in without one: there is none, or it was not asked for.
    Anonymous,
    /// It did not let us in, or could not be asked.
    Failed(SourceError),
}

/// Looks for the login for `registry` and sends `GET /v2/` with it, once, by way of the registry's token server where it
/// has one.
///
/// *Errors*: where `registry` is not `host[:port]`, or a file of `options` cannot be read. *Source*: distribution-spec,
/// determining support.
pub fn check(registry: &str, options: &RegistryOptions) -> Result<Check, SourceError> {
    if registry.contains('@') {
        // Not quoted: what stands there may be a password.
        return Err(SourceError::Unusable {
            what: "the name of the registry".into(),
            why: "it holds a user name".into(),
        });
    }
    let account = Account::new(registry, "");
    let registry = account.registry.clone();
    let client = Client::for_account(account, options, &Arc::default())?;
    let runtime = Runtime::start().map_err(|source| SourceError::Io {
        what: "the network: no threads".into(),
        source,
    })?;
    Ok(runtime.block_on(async {
        let (login, note) = client.auth.known().await;
        let verdict = match ask(&client, options.limits.error_bytes).await {
            Ok(()) if login.is_some() && client.auth.standing().await.is_some() => Verdict::Accepted,
            Ok(()) => Verdict::Anonymous,
            Err(error) => Verdict::Failed(error),
        };
        Check {
            registry,
            login,
            note,
            verdict,
        }
    }))
}

async fn ask(client: &Client, cap: u64) -> Result<(), SourceError> {
    let answer = match client.request(&Wanted::Api, None).await {
        Ok(answer) => answer,
        Err(Fault::Lasting(error) | Fault::Passing { error, .. }) => return Err(error),
        Err(Fault::Range) => unreachable!("no part of anything was asked for"),
    };
    let host = answer.host.clone();
    let media_type = super::client::media_type(answer.response.headers());
    // Registries answer with little or nothing. What is too long to be read is judged by its type alone.
    let document = Document {
        what: "the registry API",
        cap,
    };
    let bytes = client.transport.document(answer, document, |_| true).await;
    match is_web_page(media_type.as_deref(), &bytes.unwrap_or_default()) {
        true => Err(SourceError::Malformed {
            what: "the registry API".into(),
            why: format!("`{host}` answered with a web page"),
        }),
        false => Ok(()),
    }
}
