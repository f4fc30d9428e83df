//! The checkout the command is run in: its Dockerfile, and the files git tracks. Reads; changes nothing and asks no remote.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::args::{SarifLocation, ScanArgs};
use super::messages::Messages;
use super::upload::git;
use crate::dockerfile::{Known, Located, Source};
use crate::finding::{Origin, Report};
use crate::limits::Limits;
use crate::oci::Provenance;
use crate::report::sarif::{Standing, TrackedFiles, VersionControl};

/// A git work tree.
struct Checkout {
    root: PathBuf,
    /// Paths of tracked files from the root, `/` between names.
    files: Vec<String>,
}

impl Checkout {
    /// The work tree that holds `folder`. `None` outside of one, or where git cannot list its files.
    fn around(folder: &Path) -> Option<Self> {
        let root = work_tree(folder)?;
        let listed = Command::new("git")
            .arg("-C")
            .arg(&root)
            .args(["ls-files", "-z"])
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let names = listed.stdout.split(|byte| *byte == 0);
        // A name that is not UTF-8 cannot be written into a URI that a viewer would find.
        let names = names.filter_map(|name| std::str::from_utf8(name).ok());
        Some(Self {
            files: names.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            root,
        })
    }

    fn dockerfiles(&self) -> Vec<&String> {
        let is_dockerfile = |path: &&String| {
            let name = path.rsplit('/').next().unwrap_or_default();
            matches!(name, "Dockerfile" | "Containerfile")
                || name.starts_with("Dockerfile.")
                || name.to_ascii_lowercase().ends_with(".dockerfile")
        };
        self.files.iter().filter(is_dockerfile).collect()
    }
}

/// The nearest folder with a `.git` in it. *Source*: gitrepository-layout; a linked work tree has a file of that name.
fn work_tree(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let root = folder.ancestors().find(|folder| folder.join(".git").exists());
    root.map(Path::to_path_buf)
}

/// Reads what the arguments name: the Dockerfile and provenances. Without a Dockerfile, the only one of the checkout is
/// taken as a guess.
pub(super) fn known(args: &ScanArgs) -> anyhow::Result<Known> {
    let mut known = Known::default();
    for path in &args.provenance {
        let name = path.display();
        let bytes = read(path, Limits::default().attestation_bytes)
            .with_context(|| format!("cannot read the provenance `{name}`"))?;
        let read =
            Provenance::parse_all(&bytes).with_context(|| format!("cannot read the provenance `{name}`"))?;
        if read.is_empty() {
            bail!(
                "`{name}` tells of no lines: build with `--provenance mode=max` (for a metadata file, with \
                 BUILDX_METADATA_PROVENANCE=max in the environment)"
            );
        }
        known.provenances.extend(read);
    }
    let wants_lines = !matches!(args.sarif_location, None | Some(SarifLocation::Image));
    match &args.dockerfile {
        Some(path) => known.source = Some(named(path)?),
        None => {
            known.source = only_one(wants_lines)?;
            known.is_guess = !wants_lines;
        }
    }
    let is_shown = known.source.as_ref().is_some_and(|source| source.is_checked_out);
    if args.sarif_location == Some(SarifLocation::Dockerfile) && !is_shown {
        bail!(
            "`--sarif-location dockerfile` needs a Dockerfile of this checkout: name it with `--dockerfile`"
        );
    }
    Ok(known)
}

/// The Dockerfile at `path`.
fn named(path: &Path) -> anyhow::Result<Source> {
    let name = path.display();
    let bytes =
        read(path, MOST_DOCKERFILE).with_context(|| format!("cannot read the Dockerfile `{name}`"))?;
    let text = String::from_utf8_lossy(&bytes);
    // Viewers do not follow links.
    let full = path
        .canonicalize()
        .with_context(|| format!("cannot read the Dockerfile `{name}`"))?;
    let here = std::env::current_dir().unwrap_or_default();
    let roots = [
        work_tree(&here),
        full.parent().and_then(work_tree),
        here.canonicalize().ok(),
    ];
    let relative = roots
        .into_iter()
        .flatten()
        .find_map(|root| slashed(full.strip_prefix(root).ok()?));
    let (shown, is_checked_out) = match relative {
        Some(relative) => (relative, true),
        None => (crate::text::escape(name.to_string().as_bytes()), false),
    };
    Source::parse(&shown, is_checked_out, &text)
        .with_context(|| format!("cannot use the Dockerfile `{name}`"))
}

/// The only Dockerfile of the work tree. Where it is `needed`, it is an error that there is none, or more than one.
fn only_one(needed: bool) -> anyhow::Result<Option<Source>> {
    let Some(checkout) = std::env::current_dir()
        .ok()
        .and_then(|here| Checkout::around(&here))
    else {
        return Ok(None);
    };
    match checkout.dockerfiles().as_slice() {
        [path] => {
            let full = checkout.root.join(path);
            let text = read(&full, MOST_DOCKERFILE).ok();
            let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let source = text.map(|text| Source::parse(path, true, &text));
            match source {
                Some(Err(error)) if needed => {
                    let path = crate::text::escape(path.as_bytes());
                    Err(error).with_context(|| format!("cannot use the Dockerfile `{path}`"))
                }
                source => Ok(source.and_then(Result::ok)),
            }
        }
        several if needed && several.len() > 1 => bail!(
            "this checkout has {} Dockerfiles: say with `--dockerfile` which one the image is built from",
            several.len()
        ),
        _ => Ok(None),
    }
}

/// Where SARIF puts its results. By what was asked for alone, so that it does not change from run to run.
pub(super) fn standing(args: &ScanArgs) -> Standing {
    match args.sarif_location {
        Some(SarifLocation::Dockerfile) => Standing::Dockerfile,
        Some(SarifLocation::File) => Standing::File,
        Some(SarifLocation::Image) => Standing::Image,
        None if args.dockerfile.is_some() => Standing::Dockerfile,
        None => Standing::Image,
    }
}

/// The tracked files that have the content of a file with a finding. Only files of the same size are read.
pub(super) fn tracked(report: &Report) -> TrackedFiles {
    let mut wanted: BTreeMap<u64, BTreeSet<[u8; 16]>> = BTreeMap::new();
    for occurrence in report.findings.iter().flat_map(|finding| &finding.occurrences) {
        if let Origin::File { entry, .. } = &occurrence.origin
            && let Some(hash) = entry.sha256
        {
            wanted.entry(entry.size).or_default().insert(hash);
        }
    }
    let mut tracked = TrackedFiles::new();
    let checkout = std::env::current_dir()
        .ok()
        .and_then(|here| Checkout::around(&here));
    let Some(checkout) = checkout.filter(|_| !wanted.is_empty()) else {
        return tracked;
    };
    for path in &checkout.files {
        let full = checkout.root.join(path);
        let Some(hashes) = std::fs::symlink_metadata(&full)
            .ok()
            .filter(|metadata| metadata.is_file())
            .and_then(|metadata| wanted.get(&metadata.len()))
        else {
            continue;
        };
        let hash = read(&full, Limits::default().compared_file_bytes)
            .ok()
            .and_then(|bytes| Sha256::digest(bytes).first_chunk::<16>().copied());
        if let Some(hash) = hash.filter(|hash| hashes.contains(hash)) {
            // Of equal files the first one in the order of git: always the same.
            tracked.entry(hash).or_insert_with(|| path.clone());
        }
    }
    tracked
}

/// The repository and the commit of the checkout: as GitHub Actions or GitLab CI say it, or else as git does. `None` where
/// the repository has no address that others could use.
pub(super) fn version_control() -> Option<VersionControl> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let branch = |reference: String| reference.strip_prefix("refs/heads/").map(str::to_owned);
    if let (Some(server), Some(name)) = (variable("GITHUB_SERVER_URL"), variable("GITHUB_REPOSITORY")) {
        return Some(VersionControl {
            repository: address(&format!("{server}/{name}"))?,
            revision: variable("GITHUB_SHA"),
            branch: variable("GITHUB_HEAD_REF").or_else(|| branch(variable("GITHUB_REF")?)),
        });
    }
    if let Some(url) = variable("CI_PROJECT_URL") {
        return Some(VersionControl {
            repository: address(&url)?,
            revision: variable("CI_COMMIT_SHA"),
            branch: variable("CI_COMMIT_BRANCH"),
        });
    }
    Some(VersionControl {
        repository: address(&git(&["config", "--get", "remote.origin.url"])?)?,
        revision: git(&["rev-parse", "--verify", "--quiet", "HEAD"]),
        branch: git(&["symbolic-ref", "--quiet", "HEAD"]).and_then(branch),
    })
}

/// The URI of a remote without user, password and query. Paths of this machine are no address.
fn address(remote: &str) -> Option<String> {
    if let Some((scheme, _)) = remote.split_once("://") {
        if !matches!(scheme, "git" | "http" | "https" | "ssh") {
            return None;
        }
        let mut url = Url::parse(remote).ok()?;
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        return Some(url.into());
    }
    // As of scp: `git@example.com:acme/app.git`.
    let (host, path) = remote.split_once(':')?;
    let host = host.rsplit('@').next().unwrap_or(host);
    let is_host = host.len() > 1 && !host.contains(['/', '\\']);
    let url = is_host.then(|| Url::parse(&format!("ssh://{host}/{}", path.trim_start_matches('/'))));
    url?.ok().map(Into::into)
}

/// Says what could not be tied to lines, and why.
pub(super) fn tell(report: &Report, known: &Known, located: &Located, messages: &Messages) {
    if !known.provenances.is_empty() && !located.uses_provenance && !report.images.is_empty() {
        messages
            .warning("the provenance of `--provenance` is of another image: it made none of these layers");
    }
    let mut told = BTreeSet::new();
    for (image, note) in &located.notes {
        let image = report.images.get(*image);
        let path = image
            .and_then(|image| image.dockerfile.as_ref())
            .map(|dockerfile| &dockerfile.path);
        let path = crate::text::escape(path.map_or(&b""[..], |path| path.as_bytes()));
        let target = image.and_then(|image| report.targets.get(image.target));
        let target = target.map_or("the image", |target| &target.name);
        if told.insert((path.clone(), target, note)) {
            messages.warning(format!("`{path}` and `{target}`: {note}"));
        }
    }
}

/// A path from the root of a checkout.
fn slashed(path: &Path) -> Option<String> {
    let names: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    names.map(|names| names.join("/")).filter(|path| !path.is_empty())
}

fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(std::io::Error::other(format!(
            "more than {}",
            crate::text::bytes(most)
        )));
    }
    Ok(bytes)
}

/// 4 MiB, as [`Source::parse`] takes.
const MOST_DOCKERFILE: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_login_and_is_no_path() {
        for (remote, expected) in [
            (
                "https://u:p@example.com/acme/app.git?t=1#x",
                Some("https://example.com/acme/app.git"),
            ),
            (
                "git@example.com:acme/app.git",
                Some("ssh://example.com/acme/app.git"),
            ),
            (
                "example.com:/acme/app.git",
                Some("ssh://example.com/acme/app.git"),
            ),
            (
                "ssh://git@example.com:22/acme/app",
                Some("ssh://example.com:22/acme/app"),
            ),
            ("/srv/git/app.git", None),
            ("../app:1", None),
            ("C:\\work\\app", None),
            ("file:///srv/git/app.git", None),
            ("https://", None),
            ("", None),
        ] {
            assert_eq!(address(remote).as_deref(), expected, "{remote}");
        }
    }
}
