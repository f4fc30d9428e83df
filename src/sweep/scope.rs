//! What a sweep is about: registries, namespaces, repositories, single images, and which of their names. Asks nobody.

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

use super::drivers::Tagged;
use crate::oci::{Digest, PlatformSelector, Reference};

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

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image {
                host,
                repository,
                reference,
            } => {
                let mark = if Digest::parse(reference).is_ok() {
                    '@'
                } else {
                    ':'
                };
                write!(f, "{host}/{repository}{mark}{reference}")
            }
            Self::Namespace { host, prefix } => write!(f, "{host}/{prefix}"),
            Self::Repository { host, repository } => write!(f, "{host}/{repository}"),
        }
    }
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

/// What the regular expressions among patterns begin with.
const REGEX: &str = "regex:";

/// What whole names are held against.
#[derive(Clone, Debug)]
enum Pattern {
    Glob(GlobMatcher),
    Regex(Regex),
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        match text.strip_prefix(REGEX) {
            Some(regex) => Regex::new(&format!("^(?:{regex})$"))
                .map(Self::Regex)
                .map_err(|_| {
                    format!(
                        "`{}` is no regular expression",
                        crate::text::escape(text.as_bytes())
                    )
                }),
            None => GlobBuilder::new(text)
                .build()
                .map(|glob| Self::Glob(glob.compile_matcher()))
                .map_err(|error| error.to_string()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.is_match(name),
            Self::Regex(regex) => regex.is_match(name),
        }
    }
}

/// What of what a registry has is swept.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    repositories: Vec<Pattern>,
    tags: Vec<Pattern>,
    /// Layers of no more bytes, as stored. Of larger ones it is noted that they were not read.
    pub max_layer: Option<u64>,
    /// Of each repository, so many tags at most: those that were pushed last, or, where the registry does not say when,
    /// sort last as versions do.
    pub newest: Option<usize>,
    /// What was put into the registry since, in seconds since 1970, as far as the registry says when.
    pub pushed_since: Option<i64>,
    /// Which platforms of an index.
    pub platforms: PlatformSelector,
    /// The texts, to tell one choice from another.
    texts: Vec<String>,
}

impl Choice {
    /// Repositories and tags that match one of these globs, or regular expressions (`regex:…`); all where there is none.
    ///
    /// *Errors*: where one is neither; they say which.
    pub fn new(repositories: &[String], tags: &[String]) -> Result<Self, String> {
        let patterns = |texts: &[String]| {
            texts
                .iter()
                .map(|text| Pattern::new(text))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            repositories: patterns(repositories)?,
            tags: patterns(tags)?,
            texts: [repositories, &["|".to_owned()], tags].concat(),
            ..Self::default()
        })
    }

    pub(super) fn wants_repository(&self, name: &str) -> bool {
        self.repositories.is_empty() || self.repositories.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether what was pushed then is wanted. What nobody knows the time of is.
    pub(super) fn wants_pushed(&self, pushed: Option<i64>) -> bool {
        match (self.pushed_since, pushed) {
            (Some(since), Some(pushed)) => pushed >= since,
            _ => true,
        }
    }

    /// The tags that are wanted of these, by name.
    pub(super) fn wanted<'t>(&self, tags: &'t [Tagged]) -> Vec<&'t Tagged> {
        let is_wanted = |tag: &&Tagged| {
            let is_named = self.tags.is_empty() || self.tags.iter().any(|pattern| pattern.matches(&tag.name));
            is_named && self.wants_pushed(tag.pushed)
        };
        let mut wanted: Vec<&Tagged> = tags.iter().filter(is_wanted).collect();
        if let Some(newest) = self.newest {
            let has_times = wanted.iter().all(|tag| tag.pushed.is_some());
            let age = |tag: &Tagged| tag.pushed.filter(|_| has_times);
            wanted.sort_by(|a, b| (age(b), natural(&b.name)).cmp(&(age(a), natural(&a.name))));
            wanted.truncate(newest);
        }
        wanted.sort_by(|a, b| a.name.cmp(&b.name));
        wanted
    }

    /// What tells it from another choice.
    pub(super) fn text(&self) -> String {
        format!(
            "{} newest {:?} since {:?} layers {:?} {:?}",
            self.texts.join(" "),
            self.newest,
            self.pushed_since,
            self.max_layer,
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
            // What is shown of it means the same.
            assert_eq!(Scope::parse(&expected.to_string()).unwrap(), expected, "{text}");
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
        let tags = ["1.9", "1.10", "1.2", "latest", "0.30"].map(|name| tagged(name, None));
        let mut choice = Choice::new(&[], &["1.*".to_owned()]).unwrap();
        assert_eq!(names(&choice, &tags), ["1.10", "1.2", "1.9"]);
        choice.newest = Some(2);
        assert_eq!(names(&choice, &tags), ["1.10", "1.9"]);
        for wrong in ["[", "regex:("] {
            assert!(Choice::new(&[wrong.to_owned()], &[]).is_err());
        }
    }

    fn tagged(name: &str, pushed: Option<i64>) -> Tagged {
        Tagged {
            name: name.to_owned(),
            digest: None,
            pushed,
        }
    }

    fn names<'t>(choice: &Choice, tags: &'t [Tagged]) -> Vec<&'t str> {
        choice
            .wanted(tags)
            .into_iter()
            .map(|tag| tag.name.as_str())
            .collect()
    }

    #[test]
    fn where_the_registry_says_when_tags_were_pushed_the_newest_are_those() {
        let tags = [("2", 10), ("1", 30), ("3", 20)].map(|(name, pushed)| tagged(name, Some(pushed)));
        let mut choice = Choice {
            newest: Some(2),
            ..Choice::default()
        };
        assert_eq!(names(&choice, &tags), ["1", "3"]);
        choice.pushed_since = Some(30);
        assert_eq!(names(&choice, &tags), ["1"]);
        // One whose time is not known is wanted, and then versions decide.
        let mixed = [tagged("2", Some(10)), tagged("9", None), tagged("1", Some(30))];
        assert_eq!(names(&choice, &mixed), ["1", "9"]);
        choice.newest = Some(1);
        assert_eq!(names(&choice, &mixed), ["9"]);
    }

    #[test]
    fn expressions_are_held_against_whole_names() {
        let choice = Choice::new(
            &["regex:team/(a|b)".to_owned(), "other/*".to_owned()],
            &["regex:v[0-9]+".to_owned()],
        )
        .unwrap();
        for (name, is_wanted) in [
            ("team/a", true),
            ("team/ab", false),
            ("x/team/a", false),
            ("other/x/y", true),
        ] {
            assert_eq!(choice.wants_repository(name), is_wanted, "{name}");
        }
        let tags = ["v1", "v1-rc", "latest"].map(|name| tagged(name, None));
        assert_eq!(names(&choice, &tags), ["v1"]);
    }
}
