//! Flags, the environment of GitHub Actions and git → where an upload goes and which commit it is about. Reads none of
//! them itself: it is given functions that do.

use serde::Deserialize;
use url::Url;

use super::UploadError;
use crate::text;

/// Where an upload goes, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The API, without a slash at its end.
    pub(super) api: Url,
    /// `owner/name`.
    pub repository: String,
    /// The commit, 40 or 64 hex digits.
    pub commit: String,
    /// The full name of the branch, tag or pull request: `refs/heads/main`.
    pub reference: String,
    /// The folder that relative paths of the file are relative to, as a `file` URI.
    pub(super) checkout: Option<Url>,
    /// Why the token may be one that only reads.
    pub(super) reader: Option<Reader>,
}

/// Whose workflow run is given a token that only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Dependabot,
    Fork,
}

/// What the command line says. Each wins over what is found.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `owner/name`.
    pub repository: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The full name of the branch, tag or pull request.
    pub reference: Option<String>,
    /// The folder of the checkout, absolute.
    pub checkout: Option<std::path::PathBuf>,
}

/// Where to look for what was not given.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The first line git prints for these arguments, where it succeeds.
    pub git: &'a dyn Fn(&[&str]) -> Option<String>,
    /// The beginning of a file.
    pub file: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

impl Surroundings<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

impl Destination {
    /// Finds out where to: what was given, else what GitHub Actions says, else git.
    ///
    /// For a pull request, Actions checks out a commit that merges it and says so in GITHUB_SHA and GITHUB_REF. Where
    /// the pull request's own head is checked out instead, that is what alerts are for: its commit and
    /// `refs/pull/N/head`.
    ///
    /// *Errors*: `NotGiven` for what nobody says, `Unusable` for what is of no use.
    pub fn find(given: &Given, around: Surroundings<'_>) -> Result<Self, UploadError> {
        let api = api(around.variable("GITHUB_API_URL"))?;
        let event = around
            .variable("GITHUB_EVENT_PATH")
            .and_then(|path| (around.file)(&path))
            .and_then(|bytes| serde_json::from_slice::<Event>(&bytes).ok())
            .unwrap_or_default();
        let repository = match &given.repository {
            Some(repository) => repository.clone(),
            None => around
                .variable("GITHUB_REPOSITORY")
                .or_else(|| origin(&(around.git)(&["remote", "get-url", "origin"])?, &api))
                .ok_or(UploadError::NotGiven {
                    what: "which repository the alerts are for",
                    hint: "name it with `--github-repository OWNER/NAME`, or set GITHUB_REPOSITORY",
                })?,
        };
        let (commit, reference) = about(given, around, &event)?;
        let is_actions = around.variable("GITHUB_ACTIONS").is_some();
        let checkout = match &given.checkout {
            Some(folder) => Some(folder.clone()),
            // Of a folder on somebody's own machine GitHub need not know.
            None if is_actions => around.variable("GITHUB_WORKSPACE").map(Into::into),
            None => None,
        };
        let reader = if event.is_of_fork(&repository) {
            Some(Reader::Fork)
        } else {
            (around.variable("GITHUB_ACTOR").as_deref() == Some("dependabot[bot]"))
                .then_some(Reader::Dependabot)
        };
        Ok(Self {
            api,
            repository: checked(
                "the repository",
                repository,
                is_repository,
                "it is no `owner/name`",
            )?,
            commit: checked(
                "the commit",
                commit,
                is_commit,
                "it is not 40 or 64 hexadecimal digits",
            )?,
            reference: checked(
                "the ref",
                reference,
                is_reference,
                "it does not begin with `refs/heads/`, `refs/tags/` or `refs/pull/`",
            )?,
            checkout: checkout.map(|folder| file_uri(&folder)).transpose()?,
            reader,
        })
    }
}

/// The commit and the ref.
fn about(given: &Given, around: Surroundings<'_>, event: &Event) -> Result<(String, String), UploadError> {
    if let (Some(commit), Some(reference)) = (&given.commit, &given.reference) {
        return Ok((commit.clone(), reference.clone()));
    }
    let head = (around.git)(&["rev-parse", "HEAD"]);
    let (mut commit, mut reference) = (around.variable("GITHUB_SHA"), around.variable("GITHUB_REF"));
    let own = event.pull_request.as_ref().map(|request| &request.head.sha);
    let merge = reference
        .as_deref()
        .and_then(|reference| reference.strip_suffix("/merge"));
    if let (Some(stem), Some(own)) = (merge, own)
        && stem.starts_with("refs/pull/")
        && head.as_ref() == Some(own)
        && commit.as_ref() != Some(own)
    {
        reference = Some(format!("{stem}/head"));
        commit = head.clone();
    }
    Ok((
        given
            .commit
            .clone()
            .or(commit)
            .or(head)
            .ok_or(UploadError::NotGiven {
                what: "which commit the image was built from",
                hint: "name it with `--commit SHA`, or run this where git has it checked out",
            })?,
        given
            .reference
            .clone()
            .or(reference)
            .or_else(|| (around.git)(&["symbolic-ref", "--quiet", "HEAD"]))
            .ok_or(UploadError::NotGiven {
                what: "which branch or tag the image was built from",
                hint: "name it with `--ref refs/heads/BRANCH`",
            })?,
    ))
}

/// What of a workflow's event is looked at.
#[derive(Default, Deserialize)]
struct Event {
    pull_request: Option<PullRequest>,
}

#[derive(Deserialize)]
struct PullRequest {
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    sha: String,
    /// `null` where the fork was deleted.
    repo: Option<HeadRepository>,
}

#[derive(Deserialize)]
struct HeadRepository {
    full_name: String,
}

impl Event {
    fn is_of_fork(&self, repository: &str) -> bool {
        let of = |request: &PullRequest| match &request.head.repo {
            Some(of) => !of.full_name.eq_ignore_ascii_case(repository),
            None => true,
        };
        self.pull_request.as_ref().is_some_and(of)
    }
}

/// Where the API is. The token goes there: in clear to this machine alone.
fn api(variable: Option<String>) -> Result<Url, UploadError> {
    let text = variable.unwrap_or_else(|| "https://api.github.com".to_owned());
    let unusable = |why: &str| UploadError::Unusable {
        what: "GITHUB_API_URL".to_owned(),
        why: why.to_owned(),
    };
    let url: Url = text
        .trim_end_matches('/')
        .parse()
        .map_err(|_| unusable("it is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(unusable("it has more than scheme, host and path"));
    }
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
        return Ok(url);
    }
    Err(unusable("it is not https, and the token would be sent in clear"))
}

/// Whether a host is this machine by its very name.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `owner/name` of a remote of git on the host of the API: `https://HOST/o/n.git`, `ssh://git@HOST/o/n`,
/// `git@HOST:o/n.git`.
fn origin(remote: &str, api: &Url) -> Option<String> {
    let (host, path) = match Url::parse(remote) {
        Ok(url) if url.has_host() => (url.host_str()?.to_owned(), url.path().to_owned()),
        _ => {
            let (host, path) = remote.split_once(':')?;
            (host.rsplit('@').next()?.to_owned(), path.to_owned())
        }
    };
    let of_api = api.host_str()?;
    let is_same = host == of_api || of_api.strip_prefix("api.") == Some(&host);
    let path = path.trim_matches('/');
    let name = path.strip_suffix(".git").unwrap_or(path);
    (is_same && is_repository(name)).then(|| name.to_owned())
}

fn checked(
    what: &str,
    value: String,
    is_good: impl Fn(&str) -> bool,
    why: &str,
) -> Result<String, UploadError> {
    if is_good(&value) {
        return Ok(value);
    }
    Err(UploadError::Unusable {
        what: format!("{what} `{}`", text::escape(value.as_bytes())),
        why: why.to_owned(),
    })
}

fn is_repository(text: &str) -> bool {
    let is_name = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !name.is_empty() && name != "." && name != ".." && name.len() <= 100 && name.bytes().all(is_plain)
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_reference(text: &str) -> bool {
    ["refs/heads/", "refs/tags/", "refs/pull/"]
        .iter()
        .any(|prefix| text.len() > prefix.len() && text.starts_with(prefix))
}

fn file_uri(folder: &std::path::Path) -> Result<Url, UploadError> {
    Url::from_file_path(folder).map_err(|()| UploadError::Unusable {
        what: format!(
            "the checkout `{}`",
            text::escape(folder.as_os_str().as_encoded_bytes())
        ),
        why: "it is no absolute path".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const MERGE: &str = "1111111111111111111111111111111111111111";
    const HEAD: &str = "2222222222222222222222222222222222222222";

    fn find(
        given: &Given,
        variables: &[(&str, &str)],
        git: &[(&str, &str)],
        event: &str,
    ) -> Result<Destination, UploadError> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        let git: HashMap<_, _> = git.iter().copied().collect();
        Destination::find(
            given,
            Surroundings {
                variable: &|name| variables.get(name).map(|value| (*value).to_owned()),
                git: &|arguments| git.get(arguments[0]).map(|value| (*value).to_owned()),
                file: &|path| (path == "/event.json").then(|| event.as_bytes().to_vec()),
            },
        )
    }

    const ACTIONS: [(&str, &str); 6] = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REPOSITORY", "acme/app"),
        ("GITHUB_SHA", MERGE),
        ("GITHUB_REF", "refs/pull/7/merge"),
        ("GITHUB_WORKSPACE", "/home/runner/work/app"),
        ("GITHUB_EVENT_PATH", "/event.json"),
    ];

    fn event(repository: &str) -> String {
        format!(r#"{{"pull_request": {{"head": {{"sha": "{HEAD}", "repo": {repository}}}}}}}"#)
    }

    #[test]
    fn a_pull_request_is_uploaded_for_what_is_checked_out() {
        let own = event(r#"{"full_name": "acme/app"}"#);
        for (checked_out, commit, reference) in [
            (Some(MERGE), MERGE, "refs/pull/7/merge"),
            (Some(HEAD), HEAD, "refs/pull/7/head"),
            (
                Some("3333333333333333333333333333333333333333"),
                MERGE,
                "refs/pull/7/merge",
            ),
            (None, MERGE, "refs/pull/7/merge"),
        ] {
            let git: Vec<_> = checked_out.iter().map(|commit| ("rev-parse", *commit)).collect();
            let found = find(&Given::default(), &ACTIONS, &git, &own).unwrap();
            assert_eq!(
                (found.commit.as_str(), found.reference.as_str()),
                (commit, reference)
            );
            assert_eq!(found.checkout.unwrap().as_str(), "file:///home/runner/work/app");
            assert_eq!(found.reader, None);
        }
    }

    #[test]
    fn a_fork_and_dependabot_are_known() {
        for repository in [r#"{"full_name": "someone/app"}"#, "null"] {
            let found = find(&Given::default(), &ACTIONS, &[], &event(repository)).unwrap();
            assert_eq!(found.reader, Some(Reader::Fork));
        }
        let mut variables = ACTIONS.to_vec();
        variables.push(("GITHUB_ACTOR", "dependabot[bot]"));
        let found = find(&Given::default(), &variables, &[], "{}").unwrap();
        assert_eq!(found.reader, Some(Reader::Dependabot));
    }

    #[test]
    fn without_actions_git_says_it_and_flags_win() {
        let git = [
            ("remote", "git@github.com:acme/app.git"),
            ("rev-parse", HEAD),
            ("symbolic-ref", "refs/heads/main"),
        ];
        let found = find(&Given::default(), &[], &git, "").unwrap();
        assert_eq!(
            (
                found.repository.as_str(),
                found.commit.as_str(),
                found.reference.as_str()
            ),
            ("acme/app", HEAD, "refs/heads/main")
        );
        assert_eq!(
            (found.checkout, found.api.as_str()),
            (None, "https://api.github.com/")
        );
        let given = Given {
            repository: Some("other/app".to_owned()),
            commit: Some(MERGE.to_owned()),
            reference: Some("refs/tags/v1".to_owned()),
            checkout: Some("/src/a b".into()),
        };
        let found = find(&given, &ACTIONS, &git, "").unwrap();
        assert_eq!(
            (
                found.repository.as_str(),
                found.commit.as_str(),
                found.reference.as_str()
            ),
            ("other/app", MERGE, "refs/tags/v1")
        );
        assert_eq!(found.checkout.unwrap().as_str(), "file:///src/a%20b");
    }

    #[test]
    fn what_is_not_known_is_asked_for() {
        let git = [("remote", "https://github.com/acme/app"), ("rev-parse", HEAD)];
        for (git, expected) in [
            (&git[..0], "which repository"),
            (&git[..1], "which commit"),
            (&git[..2], "which branch"),
        ] {
            let error = find(&Given::default(), &[], git, "").unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn only_a_remote_on_the_same_host_counts() {
        let github = Url::parse("https://api.github.com").unwrap();
        let enterprise = Url::parse("https://github.example.com/api/v3").unwrap();
        for (remote, api, expected) in [
            ("https://github.com/acme/app.git", &github, Some("acme/app")),
            ("https://user@github.com/acme/app", &github, Some("acme/app")),
            ("ssh://git@github.com/acme/app.git", &github, Some("acme/app")),
            ("git@github.com:acme/app.git", &github, Some("acme/app")),
            ("git@github.example.com:acme/app", &enterprise, Some("acme/app")),
            ("git@github.com:acme/app", &enterprise, None),
            ("https://gitlab.example.com/acme/app", &github, None),
            ("https://evilgithub.com/acme/app", &github, None),
            ("/srv/git/app.git", &github, None),
            ("git@github.com:acme/group/app", &github, None),
        ] {
            assert_eq!(origin(remote, api).as_deref(), expected, "{remote}");
        }
    }

    #[test]
    fn a_token_is_not_sent_in_clear_nor_a_strange_value_at_all() {
        for (variable, value, expected) in [
            ("GITHUB_API_URL", "http://github.example.com/api/v3", "in clear"),
            (
                "GITHUB_API_URL",
                "https://user:pass@github.example.com",
                "more than scheme",
            ),
            ("GITHUB_API_URL", "github.example.com", "no URL"),
            ("GITHUB_REPOSITORY", "acme/app/../../user", "no `owner/name`"),
            ("GITHUB_REPOSITORY", "acme/..", "no `owner/name`"),
            ("GITHUB_SHA", "main", "hexadecimal"),
            ("GITHUB_REF", "main", "refs/heads/"),
            ("GITHUB_REF", "refs/heads/", "refs/heads/"),
        ] {
            let mut variables = ACTIONS.to_vec();
            variables.retain(|(name, _)| *name != variable);
            variables.push((variable, value));
            let error = find(&Given::default(), &variables, &[], "{}")
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("pass"), "{error}");
        }
        assert!(api(Some("http://127.0.0.1:8080/".to_owned())).is_ok());
        assert!(api(Some("https://github.example.com/api/v3/".to_owned())).is_ok());
    }
}
