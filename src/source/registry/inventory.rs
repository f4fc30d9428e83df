//! What of this machine a registry would be spoken to with: stored logins, credential helpers, proxies, trusted roots.
//! Asks no helper and sends nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::credentials::{self, LoginFile, Origin};
use super::{RegistryOptions, TrustedRoots, environment, helper, tls};

/// What was found. It holds no secret.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Variables that hold a login for some registry, by name.
    pub variables: Vec<String>,
    /// The files in which logins are looked for, in that order.
    pub files: Vec<LoginFile>,
    /// Credential helpers, by name: those that a file names, and those on `PATH`.
    pub helpers: Vec<Helper>,
    /// The variables for proxies that are set.
    pub proxies: Vec<Proxy>,
    /// Whose certificates are trusted.
    pub roots: TrustedRoots,
}

/// A credential helper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// The name of the program.
    pub program: String,
    /// Where it is; `None` where it is not on `PATH`.
    pub path: Option<PathBuf>,
    /// Whether a file names it.
    pub is_named: bool,
}

/// A variable that says which requests go through which proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its name.
    pub variable: &'static str,
    /// What it says, escaped, without user names and passwords.
    pub value: String,
}

/// Looks around. Cost: reading a few files and the folders of `PATH`.
pub fn inventory(options: &RegistryOptions) -> Inventory {
    let files = credentials::listed(options.docker_config.as_deref());
    Inventory {
        variables: environment::variables(),
        helpers: helpers(&files),
        files,
        proxies: proxies(),
        roots: tls::trusted().1,
    }
}

fn helpers(files: &[LoginFile]) -> Vec<Helper> {
    let mut found = installed();
    let logins = files
        .iter()
        .filter_map(|file| file.logins.as_ref().ok()?.as_ref());
    let mut named: Vec<String> = logins
        .flatten()
        .filter_map(|login| match &login.origin {
            Origin::Helper { program, .. } => Some(program.clone()),
            _ => None,
        })
        .collect();
    named.sort();
    named.dedup();
    let mut helpers: Vec<Helper> = named
        .into_iter()
        .map(|program| Helper {
            path: found.remove(&program),
            program,
            is_named: true,
        })
        .collect();
    helpers.extend(found.into_iter().map(|(program, path)| Helper {
        program,
        path: Some(path),
        is_named: false,
    }));
    helpers.sort_by(|one, other| one.program.cmp(&other.program));
    helpers
}

/// The helpers on `PATH`, each where it would be started from.
fn installed() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    for folder in std::env::split_paths(&path) {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().into_string().unwrap_or_default();
            if name.starts_with(helper::PREFIX) && is_program(&entry.path()) {
                found.entry(name).or_insert_with(|| entry.path());
            }
        }
    }
    found
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

fn proxies() -> Vec<Proxy> {
    const VARIABLES: [&str; 8] = [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ];
    VARIABLES
        .into_iter()
        .filter_map(|variable| {
            let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
            Some(Proxy {
                variable,
                value: without_user(&value.to_string_lossy()),
            })
        })
        .collect()
}

/// An address, or a list of them, with `***` in place of whatever stands before its last `@`: a password may hold any
/// character that somebody forgot to encode. Escaped.
fn without_user(value: &str) -> String {
    let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (scheme, rest) = match value.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}://"), rest),
        _ => (String::new(), value),
    };
    let shown = match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}"),
        None => format!("{scheme}{rest}"),
    };
    crate::text::escape(shown.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_user() {
        for (value, shown) in [
            ("http://proxy.example.com:3128", "http://proxy.example.com:3128"),
            ("http://me:pw@proxy.example.com/", "http://***@proxy.example.com/"),
            (
                "http://me:p/w@,x@proxy.example.com",
                "http://***@proxy.example.com",
            ),
            ("me:pw@proxy.example.com", "***@proxy.example.com"),
            ("me:p://w@proxy.example.com", "***@proxy.example.com"),
            (
                "localhost,.example.com,10.0.0.0/8",
                "localhost,.example.com,10.0.0.0/8",
            ),
            ("a\u{1b}b", "a\\u{1b}b"),
        ] {
            assert_eq!(without_user(value), shown, "{value}");
        }
    }
}
