//! `layersift login --check HOST`, and what all commands take from the options for registries. Stores no login: that is
//! left to `docker login` and `podman login`, whose files are read.

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};

use super::args::{LoginArgs, RegistryArgs};
use super::exit::Exit;
use super::messages::Messages;
use crate::source::SourceError;
use crate::source::registry::{
    self, Check, ClientCertificate, Credentials, KnownLogin, Origin, RegistryOptions, User, Verdict,
};
use crate::text;

/// Bytes of a password that are read.
const PASSWORD_BYTES: u64 = 64 * 1024;

pub(super) fn run(args: &LoginArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let options = options(&args.registry, false)?;
    // What fails here is the command line's fault; what a registry says is a verdict.
    let check = registry::check(&args.host, &options)
        .map_err(|error| anyhow!(error.with_causes()).context("cannot check the login"))?;
    std::io::stdout()
        .write_all(shown(&check).as_bytes())
        .context("cannot write to standard output")?;
    Ok(match check.verdict {
        Verdict::Accepted | Verdict::Anonymous => Exit::Clean,
        Verdict::Failed(error) => {
            if let Some(hint) = hint(&error, check.login.is_some()) {
                messages.hint(hint);
            }
            Exit::Unresolved
        }
    })
}

/// What to do next, where there is something.
fn hint(error: &SourceError, has_login: bool) -> Option<&'static str> {
    Some(match (error, has_login) {
        (SourceError::Refused { .. }, false) => {
            "log in with `docker login` or `podman login`; `layersift login --help` lists where logins are looked for"
        }
        (SourceError::Refused { .. }, true) => {
            "the login may be wrong or have expired: log in again where it is kept"
        }
        (SourceError::Unreachable { .. }, _) => {
            "check the name, the port and the network; `layersift doctor` shows proxies and certificates"
        }
        _ => return None,
    })
}

/// How registries are spoken to. Reads the password that is given on standard input, unless that `is_taken`.
pub(super) fn options(args: &RegistryArgs, is_taken: bool) -> anyhow::Result<RegistryOptions> {
    let credentials = match &args.username {
        None => None,
        Some(_) if is_taken => {
            bail!("standard input cannot be both an image (`-`) and a password (`--password-stdin`)")
        }
        Some(username) => Some(Credentials {
            username: username.clone(),
            password: password()?,
        }),
    };
    let mirrors = args.mirror.iter();
    Ok(RegistryOptions {
        credentials,
        docker_config: args.docker_config.clone(),
        authorities: args.ca_cert.clone(),
        insecure: args.insecure.clone(),
        trusted_realms: args.trusted_realm.clone(),
        mirrors: mirrors
            .map(|mirror| (mirror.host.clone(), mirror.url.clone()))
            .collect(),
        client_certificate: args
            .client_cert
            .clone()
            .zip(args.client_key.clone())
            .map(|(certificate, key)| ClientCertificate { certificate, key }),
        certificates: args.certs_dir.clone(),
        ..RegistryOptions::default()
    })
}

fn password() -> anyhow::Result<String> {
    let mut password = String::new();
    std::io::stdin()
        .take(PASSWORD_BYTES)
        .read_to_string(&mut password)
        .context("cannot read the password from standard input")?;
    Ok(password.trim_end_matches(['\r', '\n']).to_owned())
}

fn shown(check: &Check) -> String {
    let (verdict, why) = match &check.verdict {
        Verdict::Accepted => ("ok", None),
        Verdict::Anonymous => ("anonymous only", None),
        Verdict::Failed(error) => {
            let verdict = match error {
                SourceError::Refused { .. } => "refused",
                SourceError::Unreachable { .. } => "unreachable",
                _ => "failed",
            };
            (verdict, Some(error.with_causes()))
        }
    };
    let registry = text::escape(check.registry.as_bytes());
    let login = match &check.login {
        None => "none was found".to_owned(),
        Some(login) => described(login),
    };
    let mut lines = format!("{registry}: {verdict}\n  login   {login}\n");
    // A refusal says it already.
    let note = check
        .note
        .as_ref()
        .filter(|note| !why.as_ref().is_some_and(|why| why.contains(*note)));
    for (label, line) in [("note", note), ("answer", why.as_ref())] {
        if let Some(line) = line {
            lines.push_str(&format!("  {label:<7} {line}\n"));
        }
    }
    if matches!(check.verdict, Verdict::Anonymous) && check.login.is_some() {
        lines.push_str("  answer  the registry does not ask for a login, so it was not tried\n");
    }
    lines
}

/// Whose login it is and where it is kept, for people.
pub(super) fn described(login: &KnownLogin) -> String {
    let user = match &login.user {
        User::IdentityToken => "an identity token ",
        User::Named(name) => &format!("user `{}` ", text::escape(name.as_bytes())),
        User::Unasked => "",
        User::Unreadable => "something that is no login ",
    };
    let origin = match &login.origin {
        Origin::Caller => "from `--username`".to_owned(),
        Origin::Environment { variable } => format!("from `{variable}`"),
        Origin::File { path } => format!("from `{}`", printable(path)),
        Origin::Helper { program, path } => {
            let program = text::escape(program.as_bytes());
            format!("from `{program}`, named in `{}`", printable(path))
        }
    };
    format!("{user}{origin}")
}

/// A path as it may be printed.
pub(super) fn printable(path: &Path) -> String {
    text::escape(path.as_os_str().as_encoded_bytes())
}
