//! The options for a queue, as a sweep and its workers have them. Passwords come from the environment and files only: others
//! can read arguments.

use anyhow::{Context as _, bail};

use super::args::QueueArgs;
use crate::source::registry::ClientCertificate;
use crate::sweep::{QueueLogin, QueueOptions};

/// The user, the password, the token.
const USER: &str = "LAYERSIFT_QUEUE_USER";
const PASSWORD: &str = "LAYERSIFT_QUEUE_PASSWORD";
const TOKEN: &str = "LAYERSIFT_QUEUE_TOKEN";

/// How the queue at `server` is spoken to.
pub(super) fn queue_options(server: &str, args: &QueueArgs) -> anyhow::Result<QueueOptions> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let login = match (
        &args.queue_creds,
        variable(USER),
        variable(PASSWORD),
        variable(TOKEN),
    ) {
        (Some(path), None, None, None) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the credentials `{}`", path.display()))?;
            Some(QueueLogin::Credentials(text))
        }
        (None, Some(user), Some(password), None) => Some(QueueLogin::Password { user, password }),
        (None, None, None, Some(token)) => Some(QueueLogin::Token(token)),
        (None, None, None, None) => None,
        _ => bail!(
            "the login for the queue is --queue-creds, or {USER} with {PASSWORD}, or {TOKEN}: one of them"
        ),
    };
    Ok(QueueOptions {
        login,
        authorities: args.queue_ca.clone(),
        certificate: args
            .queue_cert
            .clone()
            .zip(args.queue_key.clone())
            .map(|(certificate, key)| ClientCertificate { certificate, key }),
        plain: args.queue_insecure,
        ..QueueOptions::at(server)
    })
}
