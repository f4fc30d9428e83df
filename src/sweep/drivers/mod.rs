//! How registries say what they have: one trait, a file for each kind. A driver reads lists, and neither manifests nor
//! blobs.

mod artifactory;
mod azure;
mod ecr;
mod gitea;
mod github;
mod gitlab;
mod google;
mod harbor;
mod hub;
mod nexus;
mod oci;
mod quay;
mod zot;

use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::{Iso8601, Rfc3339};

use crate::oci::{Digest, Reference};
use crate::source::SourceError;
use crate::source::registry::{self, Listing, NativeLists, RegistryOptions, Shown};

/// A tag as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tagged {
    pub(super) name: String,
    /// What it points at, where the list says so.
    pub(super) digest: Option<Digest>,
    /// When it was put there, in seconds since 1970, where the list says so.
    pub(super) pushed: Option<i64>,
}

/// A manifest that no tag leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Untagged {
    pub(super) digest: Digest,
    /// As for a tag.
    pub(super) pushed: Option<i64>,
}

/// What a repository has.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) tags: Vec<Tagged>,
    /// Manifests that no tag leads to, where the registry can name them.
    pub(super) untagged: Vec<Untagged>,
    /// Names that no image can be asked for by.
    pub(super) invalid: u64,
    /// Why there may be more.
    pub(super) failure: Option<SourceError>,
    /// Why the registry's own lists were not used, where it has some.
    pub(super) plain_because: Option<SourceError>,
}

/// One kind of registry. Where it has no lists of its own, those of distribution-spec are asked for: names of
/// repositories, names of tags.
pub(super) trait Driver: Send + Sync {
    /// Its name in the state.
    fn kind(&self) -> &'static str;

    /// `host[:port]`.
    fn host(&self) -> &str;

    /// The repositories that the login may see, those whose names begin with `prefix` at least.
    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let _ = prefix;
        registry::repositories(self.host(), options)
    }

    /// What a repository has.
    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        plain(self.host(), repository, options)
    }
}

/// The tags of a repository by distribution-spec.
fn plain(host: &str, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
    let name = format!("{host}/{repository}");
    let reference = Reference::parse(&name).map_err(|error| SourceError::NoTarget {
        what: format!("`{}`", crate::source::printable(&name)),
        why: error.reason,
    })?;
    let listing = registry::tags(&reference, options)?;
    let tagged = |name| Tagged {
        name,
        digest: None,
        pushed: None,
    };
    Ok(Contents {
        tags: listing.names.into_iter().map(tagged).collect(),
        invalid: listing.invalid,
        failure: listing.failure,
        ..Contents::default()
    })
}

/// The tags of a repository whose registry does not give its own lists, and says so.
fn plain_because(
    host: &str,
    repository: &str,
    options: &RegistryOptions,
    why: SourceError,
) -> Result<Contents, SourceError> {
    Ok(Contents {
        plain_because: Some(why),
        ..plain(host, repository, options)?
    })
}

/// The kinds of registries that are known, by the names that `--kind` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JFrog Artifactory.
    Artifactory,
    /// By the host's name, or what it answers.
    Auto,
    /// Azure Container Registry.
    Azure,
    /// Amazon Elastic Container Registry.
    Ecr,
    /// Gitea and Forgejo.
    Gitea,
    /// GitHub's container registry.
    Github,
    /// GitLab.
    Gitlab,
    /// Google Artifact Registry and Container Registry.
    Google,
    /// Harbor.
    Harbor,
    /// Docker Hub.
    Hub,
    /// Sonatype Nexus Repository.
    Nexus,
    /// distribution-spec and nothing more.
    Oci,
    /// Quay.
    Quay,
    /// zot.
    Zot,
}

/// What makes the driver of a registry by its host.
type Make = fn(String) -> Box<dyn Driver>;

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Artifactory,
        Self::Auto,
        Self::Azure,
        Self::Ecr,
        Self::Gitea,
        Self::Github,
        Self::Gitlab,
        Self::Google,
        Self::Harbor,
        Self::Hub,
        Self::Nexus,
        Self::Oci,
        Self::Quay,
        Self::Zot,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Artifactory => "artifactory",
            Self::Auto => "auto",
            Self::Azure => "azure",
            Self::Ecr => "ecr",
            Self::Gitea => "gitea",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Google => "google",
            Self::Harbor => "harbor",
            Self::Hub => "hub",
            Self::Nexus => "nexus",
            Self::Oci => "oci",
            Self::Quay => "quay",
            Self::Zot => "zot",
        }
    }

    /// The kind of a public registry, or one of a cloud, by its name.
    fn of_name(host: &str) -> Option<Self> {
        let name = host.split(':').next().unwrap_or(host);
        let is_below = |domain: &str| name == domain || name.ends_with(&format!(".{domain}"));
        let is_ecr =
            name.contains(".dkr.ecr.") && (is_below("amazonaws.com") || is_below("amazonaws.com.cn"));
        Some(match () {
            () if is_below("azurecr.io") => Self::Azure,
            () if is_ecr => Self::Ecr,
            () if is_below("gcr.io") || is_below("pkg.dev") => Self::Google,
            () if is_below("ghcr.io") => Self::Github,
            () if is_below("jfrog.io") => Self::Artifactory,
            () if is_below("docker.io") => Self::Hub,
            () if is_below("quay.io") => Self::Quay,
            () if is_below("registry.gitlab.com") => Self::Gitlab,
            () => return None,
        })
    }

    /// The kind of a registry. One of one's own may be Harbor, which says so to whoever asks.
    fn of(host: &str, options: &RegistryOptions) -> Self {
        if let Some(kind) = Self::of_name(host) {
            return kind;
        }
        let mut is_harbor = false;
        // A registry that is something else answers 404, or with its own page.
        let asked = NativeLists::open(host, "", Shown::Password, options).and_then(|lists| {
            lists.pages("/api/v2.0/ping", |bytes| {
                is_harbor = bytes.trim_ascii() == b"Pong";
                Ok(())
            })
        });
        match asked {
            Ok(()) if is_harbor => Self::Harbor,
            _ => Self::Oci,
        }
    }

    /// The driver for a registry.
    pub(super) fn driver(self, host: &str, options: &RegistryOptions) -> Box<dyn Driver> {
        let make: Make = match self {
            Self::Artifactory => |host| Box::new(artifactory::Artifactory { host }),
            Self::Auto => return Self::of(host, options).driver(host, options),
            Self::Azure => |host| Box::new(azure::Azure { host }),
            Self::Ecr => |host| Box::new(ecr::Ecr { host }),
            Self::Gitea => |host| Box::new(gitea::Gitea { host }),
            Self::Github => |host| Box::new(github::Github { host }),
            Self::Gitlab => |host| Box::new(gitlab::Gitlab { host }),
            Self::Google => |host| Box::new(google::Google { host }),
            Self::Harbor => |host| Box::new(harbor::Harbor { host }),
            Self::Hub => |host| Box::new(hub::Hub { host }),
            Self::Nexus => |host| Box::new(nexus::Nexus { host }),
            Self::Oci => |host| Box::new(oci::PlainOci { host }),
            Self::Quay => |host| Box::new(quay::Quay { host }),
            Self::Zot => |host| Box::new(zot::Zot { host }),
        };
        make(host.to_owned())
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or_else(|| format!("expected {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// What pages of a list gave.
#[derive(Default)]
struct Pages {
    tags: Vec<Tagged>,
    untagged: Vec<Untagged>,
}

impl Pages {
    /// A manifest as most lists have it: with all its tags, or none.
    fn manifest(&mut self, digest: Digest, tags: Vec<String>, pushed: Option<i64>) {
        if tags.is_empty() {
            self.untagged.push(Untagged { digest, pushed });
            return;
        }
        self.tags.extend(tags.into_iter().map(|name| Tagged {
            name,
            digest: Some(digest.clone()),
            pushed,
        }));
    }

    /// Without names that no image can be asked for by, and nothing twice.
    fn contents(self, host: &str, repository: &str, asked: Result<(), SourceError>) -> Contents {
        let all = self.tags.len();
        let mut tags = self.tags;
        tags.retain(|tag| {
            Reference::parse(&format!("{host}/{repository}:{}", tag.name))
                .is_ok_and(|parsed| parsed.tag() == Some(tag.name.as_str()))
        });
        let invalid = (all - tags.len()) as u64;
        tags.sort_by(|a, b| a.name.cmp(&b.name));
        tags.dedup_by(|a, b| a.name == b.name);
        let mut untagged = self.untagged;
        untagged.sort();
        untagged.dedup_by(|a, b| a.digest == b.digest);
        // That a list is not there says nothing of what it would list.
        let failure = asked.err().map(|error| match error {
            SourceError::NotFound { what } => SourceError::Unusable {
                what,
                why: "it is not there".to_owned(),
            },
            error => error,
        });
        Contents {
            tags,
            untagged,
            invalid,
            failure,
            plain_because: None,
        }
    }
}

/// A list whose pages have numbers, from 1: `ask` asks for one and says whether there is another.
fn numbered(mut ask: impl FnMut(usize) -> Result<bool, SourceError>) -> Result<(), SourceError> {
    for number in 1..=MAX_PAGES {
        if !ask(number)? {
            return Ok(());
        }
    }
    Err(SourceError::Malformed {
        what: "a list".to_owned(),
        why: "it does not end".to_owned(),
    })
}

/// Pages of a list that has numbers for them, or marks of the registry's own.
const MAX_PAGES: usize = 10_000;

/// A list each of whose pages has a mark for the next one, which goes back as it came.
fn marked(
    mut ask: impl FnMut(Option<&str>) -> Result<Option<String>, SourceError>,
) -> Result<(), SourceError> {
    let mut seen = std::collections::HashSet::new();
    let mut mark: Option<String> = None;
    while let Some(next) = ask(mark.as_deref())?.filter(|next| !next.is_empty()) {
        if seen.len() >= MAX_PAGES || !seen.insert(next.clone()) {
            return Err(SourceError::Malformed {
                what: "a list".to_owned(),
                why: "it does not end".to_owned(),
            });
        }
        mark = Some(next);
    }
    Ok(())
}

/// Text as a part of a query, or of a path where a slash is not one.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A time as lists have it, in seconds since 1970: RFC 3339, or ISO 8601 with other forms of its offset.
fn seconds(text: Option<&str>) -> Option<i64> {
    let text = text?;
    let parsed = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(text, &Iso8601::DEFAULT))
        .ok()?;
    Some(parsed.unix_timestamp())
}

/// The names of repositories, without those that no image can be asked for by.
fn listing(host: &str, names: Vec<String>, asked: Result<(), SourceError>) -> Listing {
    let all = names.len();
    let mut names = names;
    names.retain(|name| {
        Reference::parse(&format!("{host}/{name}"))
            .is_ok_and(|parsed| parsed.tag() == Some("latest") && parsed.digest().is_none())
    });
    let invalid = (all - names.len()) as u64;
    names.sort();
    names.dedup();
    Listing {
        names,
        invalid,
        failure: asked.err(),
    }
}

/// No repositories, of a registry that lists them only below something that was not named.
fn unnamed(host: &str, why: &str) -> Listing {
    Listing {
        failure: Some(SourceError::Unusable {
            what: format!("`{host}`"),
            why: why.to_owned(),
        }),
        ..Listing::default()
    }
}

/// A page of a list. Fields that are missing or unknown do no harm; what is no list at all does.
fn read<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, SourceError> {
    serde_json::from_slice(bytes).map_err(|error| SourceError::Malformed {
        what: what.to_owned(),
        // The text of the error could repeat what the registry sent.
        why: format!("it is not JSON of the expected form (line {})", error.line()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_public_registries_tell_their_kind_and_lookalikes_do_not() {
        for (host, kind) in [
            ("docker.io", Some(Kind::Hub)),
            ("ghcr.io", Some(Kind::Github)),
            ("quay.io", Some(Kind::Quay)),
            ("eu.gcr.io", Some(Kind::Google)),
            ("europe-west1-docker.pkg.dev", Some(Kind::Google)),
            ("acme.azurecr.io", Some(Kind::Azure)),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", Some(Kind::Ecr)),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                Some(Kind::Ecr),
            ),
            ("acme.jfrog.io", Some(Kind::Artifactory)),
            ("registry.gitlab.com", Some(Kind::Gitlab)),
            ("registry.example.com:5000", None),
            ("evil-ghcr.io", None),
            ("ghcr.io.example.com", None),
            ("1.dkr.ecr.us-east-1.amazonaws.com.example.com", None),
        ] {
            assert_eq!(Kind::of_name(host), kind, "{host}");
        }
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }

    #[test]
    fn times_of_lists_are_seconds() {
        for (text, expected) in [
            ("2026-01-31T10:00:00Z", Some(1_769_853_600)),
            ("2026-01-31T10:00:00.1234567Z", Some(1_769_853_600)),
            ("2026-01-31T12:00:00.000+02:00", Some(1_769_853_600)),
            ("2026-01-31T12:00:00.000+0200", Some(1_769_853_600)),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(seconds(Some(text)), expected, "{text}");
        }
        assert_eq!(seconds(None), None);
    }

    #[test]
    fn a_list_that_repeats_its_mark_or_never_ends_is_an_error() {
        let mut asked = 0;
        let looping = marked(|_| {
            asked += 1;
            Ok(Some("next".to_owned()))
        });
        assert!(matches!(looping, Err(SourceError::Malformed { .. })));
        assert_eq!(asked, 2);
        assert!(matches!(
            numbered(|_| Ok(true)),
            Err(SourceError::Malformed { .. })
        ));
        assert!(marked(|mark| Ok(mark.is_none().then(|| "last".to_owned()))).is_ok());
        assert!(numbered(|number| Ok(number < 3)).is_ok());
    }
}
