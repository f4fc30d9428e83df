//! What a sweep is about: registries, namespaces, repositories, single images, and which of their names. Asks nobody.

use globset::{GlobBuilder, GlobMatcher};

use crate::oci::{PlatformSelector, Reference};

/// Something to sweep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One image, by a tag or a digest.
    Image {
        /// `host[:port]`.
        host: String,
        /// Its repository.
        repository: String,
        /// The tag or the digest.
        reference: String,
    },
    /// All repositories whose names begin so; all of the registry where the prefix is empty.
    Namespace {
        /// `host[:port]`.
        host: String,
        /// The beginning, with its slash.
        prefix: String,
    },
    /// One repository.
    Repository {
        /// `host[:port]`.
        host: String,
        /// Its name.
        repository: String,
    },
}

/// Why a text names nothing to sweep.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no registry, namespace, repository or image: {why}")]
pub struct ScopeError {
    text: String,
    why: String,
}

impl Scope {
    /// Reads `HOST`, `HOST/NAMESPACE/`, `HOST/REPOSITORY` or a full reference.
    ///
    /// *Errors*: where it is none of them.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let text = text.strip_prefix("docker://").unwrap_or(text);
        let error = |why: &str| ScopeError {
            text: crate::source::printable(text),
            why: why.to_owned(),
        };
        let (host, rest) = text.split_once('/').unwrap_or((text, ""));
        let is_host = host.contains(['.', ':']) || host == "localhost";
        if rest.is_empty() && is_host {
            return match host.contains(['@', '?', '#']) {
                true => Err(error("it is no host")),
                false => Ok(Self::Namespace {
                    host: host.to_owned(),
                    prefix: String::new(),
                }),
            };
        }
        if let Some(prefix) = rest.strip_suffix('/').or_else(|| rest.strip_suffix("/*")) {
            // A namespace has the grammar of a repository.
            return match Reference::parse(&format!("{host}/{prefix}/x")) {
                Ok(_) if is_host => Ok(Self::Namespace {
                    host: host.to_owned(),
                    prefix: format!("{prefix}/"),
                }),
                _ => Err(error("it is no namespace of a registry")),
            };
        }
        let parsed = Reference::parse(text).map_err(|wrong| error(&wrong.reason))?;
        let host = parsed.registry().to_owned();
        let repository = parsed.repository().to_owned();
        let is_tagged = text.rsplit('/').next().unwrap_or_default().contains([':', '@']);
        Ok(match (parsed.digest(), parsed.tag()) {
            (Some(digest), _) => Self::Image {
                host,
                repository,
                reference: digest.to_owned(),
            },
            (None, Some(tag)) if is_tagged => Self::Image {
                host,
                repository,
                reference: tag.to_owned(),
            },
            _ => Self::Repository { host, repository },
        })
    }

    /// Its registry.
    pub fn host(&self) -> &str {
        match self {
            Self::Image { host, .. } | Self::Namespace { host, .. } | Self::Repository { host, .. } => host,
        }
    }
}

/// Which names of what a registry has are swept.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    repositories: Vec<GlobMatcher>,
    tags: Vec<GlobMatcher>,
    /// Of each repository, so many tags at most: those that sort last as versions do.
    pub newest: Option<usize>,
    /// Which platforms of an index.
    pub platforms: PlatformSelector,
    /// The texts, to tell one choice from another.
    texts: Vec<String>,
}

impl Choice {
    /// Repositories and tags that match one of these globs; all where there is none.
    ///
    /// *Errors*: where one is no glob; they say which.
    pub fn new(repositories: &[String], tags: &[String]) -> Result<Self, String> {
        let globs = |texts: &[String]| {
            let glob = |text: &String| {
                GlobBuilder::new(text)
                    .build()
                    .map(|glob| glob.compile_matcher())
                    .map_err(|error| error.to_string())
            };
            texts.iter().map(glob).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            repositories: globs(repositories)?,
            tags: globs(tags)?,
            texts: [repositories, &["|".to_owned()], tags].concat(),
            ..Self::default()
        })
    }

    pub(super) fn wants_repository(&self, name: &str) -> bool {
        self.repositories.is_empty() || self.repositories.iter().any(|glob| glob.is_match(name))
    }

    /// The tags that are wanted of these, sorted.
    pub(super) fn wanted<'t>(&self, tags: &'t [String]) -> Vec<&'t String> {
        let is_wanted =
            |tag: &&String| self.tags.is_empty() || self.tags.iter().any(|glob| glob.is_match(tag));
        let mut wanted: Vec<&String> = tags.iter().filter(is_wanted).collect();
        if let Some(newest) = self.newest {
            wanted.sort_by(|a, b| natural(b).cmp(&natural(a)));
            wanted.truncate(newest);
        }
        wanted.sort();
        wanted
    }

    /// What tells it from another choice.
    pub(super) fn text(&self) -> String {
        format!(
            "{} newest {:?} {:?}",
            self.texts.join(" "),
            self.newest,
            self.platforms
        )
    }
}

/// A name in its parts, numbers as numbers: `1.10` is behind `1.9`.
fn natural(name: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_digit = |c: char| c.is_ascii_digit();
        let end = rest
            .find(|c| is_digit(c) != is_digit(first))
            .unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        parts.push((part.parse().unwrap_or_default(), part));
        rest = behind;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_registry_a_namespace_a_repository_or_an_image() {
        let host = || "registry.example.com:5000".to_owned();
        let namespace = |prefix: &str| Scope::Namespace {
            host: host(),
            prefix: prefix.to_owned(),
        };
        let repository = |name: &str| Scope::Repository {
            host: host(),
            repository: name.to_owned(),
        };
        let image = |name: &str, reference: &str| Scope::Image {
            host: host(),
            repository: name.to_owned(),
            reference: reference.to_owned(),
        };
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, expected) in [
            ("registry.example.com:5000".to_owned(), namespace("")),
            ("registry.example.com:5000/".to_owned(), namespace("")),
            ("registry.example.com:5000/team/".to_owned(), namespace("team/")),
            ("registry.example.com:5000/team/*".to_owned(), namespace("team/")),
            (
                "registry.example.com:5000/team/app".to_owned(),
                repository("team/app"),
            ),
            (
                "registry.example.com:5000/app:1.2".to_owned(),
                image("app", "1.2"),
            ),
            (
                format!("registry.example.com:5000/app@{digest}"),
                image("app", &digest),
            ),
        ] {
            assert_eq!(Scope::parse(&text).unwrap(), expected, "{text}");
        }
        for wrong in [
            "registry.example.com/UPPER",
            "me@registry.example.com",
            "",
            "a b",
            "team/*",
        ] {
            assert!(Scope::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_newest_tags_are_those_of_the_highest_versions() {
        let tags: Vec<String> = ["1.9", "1.10", "1.2", "latest", "0.30"].map(str::to_owned).into();
        let mut choice = Choice::new(&[], &["1.*".to_owned()]).unwrap();
        assert_eq!(choice.wanted(&tags), ["1.10", "1.2", "1.9"]);
        choice.newest = Some(2);
        assert_eq!(choice.wanted(&tags), ["1.10", "1.9"]);
        assert!(Choice::new(&["[".to_owned()], &[]).is_err());
    }
}
