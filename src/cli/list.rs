//! `layersift list NAME`: one line for each tag of a repository, or for each repository of a registry, as `layersift scan`
//! and `layersift list` take them. Scans nothing.

use std::io::Write as _;

use anyhow::{Context as _, anyhow};

use super::args::ListArgs;
use super::exit::Exit;
use super::login;
use super::messages::Messages;
use crate::oci::Reference;
use crate::source::registry::{self, Listing};
use crate::text;

pub(super) fn run(args: &ListArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let options = login::options(&args.registry, false)?;
    let name = args.name.strip_prefix("docker://").unwrap_or(&args.name);
    let (listing, prefix) = if is_registry(name) {
        let name = name.trim_end_matches('/');
        (registry::repositories(name, &options), format!("{name}/"))
    } else {
        let reference = Reference::parse(name).map_err(|error| anyhow!(error))?;
        let prefix = format!("{}:", reference.name());
        (registry::tags(&reference, &options), prefix)
    };
    // What fails here is the command line's fault; what a registry does wrong is told behind what it listed.
    let Listing {
        names,
        invalid,
        failure,
    } = listing.map_err(|error| anyhow!(error.with_causes()).context("cannot list"))?;
    let mut lines = String::new();
    for name in &names {
        lines.push_str(&format!("{prefix}{name}\n"));
    }
    std::io::stdout()
        .write_all(lines.as_bytes())
        .context("cannot write to standard output")?;
    if invalid > 0 {
        messages.note(format!(
            "left out: {} that no image can be asked for by",
            text::counted(invalid, "name")
        ));
    }
    let Some(failure) = failure else {
        return Ok(Exit::Clean);
    };
    let what = text::escape(args.name.as_bytes());
    messages.error(&anyhow::Error::new(failure).context(match names.is_empty() {
        true => format!("cannot list `{what}`"),
        false => format!(
            "cannot list all of `{what}`: these were the first {}",
            names.len()
        ),
    }));
    Ok(match names.is_empty() {
        true => Exit::Unresolved,
        false => Exit::Incomplete,
    })
}

/// Whether a name is that of a registry. A repository of Docker Hub has neither dot nor colon, all others have a slash.
fn is_registry(name: &str) -> bool {
    let (host, rest) = name.split_once('/').unwrap_or((name, ""));
    rest.is_empty() && (host.contains(['.', ':']) || host == "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_told_from_repositories() {
        for name in [
            "localhost",
            "localhost:5000",
            "registry.example.com",
            "docker.io",
            "[::1]:5000",
            "ghcr.io/",
        ] {
            assert!(is_registry(name), "{name}");
        }
        for name in [
            "alpine",
            "library/alpine",
            "registry.example.com/app",
            "localhost/app",
        ] {
            assert!(!is_registry(name), "{name}");
        }
    }
}
