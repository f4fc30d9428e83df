//! How registries say what they have: one trait, a file for each kind. A driver reads lists, and neither manifests nor
//! blobs.

mod azure;
mod gitea;
mod gitlab;
mod google;
mod harbor;
mod oci;
mod quay;

use serde::de::DeserializeOwned;

use crate::oci::{Digest, Reference};
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions};

pub(super) use oci::PlainOci;

/// A tag as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tagged {
    pub(super) name: String,
    /// What it points at, where the list says so.
    pub(super) digest: Option<Digest>,
}

/// What a repository has.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) tags: Vec<Tagged>,
    /// Manifests that no tag leads to, where the registry can name them.
    pub(super) untagged: Vec<Digest>,
    /// Names that no image can be asked for by.
    pub(super) invalid: u64,
    /// Why there may be more.
    pub(super) failure: Option<SourceError>,
}

/// One kind of registry.
pub(super) trait Driver: Send + Sync {
    /// Its name in the state.
    fn kind(&self) -> &'static str;

    /// The repositories that the login may see, those whose names begin with `prefix` at least.
    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError>;

    /// What a repository has.
    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError>;
}

/// The kinds of registries that are known, by the names that `--kind` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By the host's name, or what it answers.
    Auto,
    /// Azure Container Registry.
    Azure,
    /// Gitea and Forgejo.
    Gitea,
    /// GitLab.
    Gitlab,
    /// Google Artifact Registry and Container Registry.
    Google,
    /// Harbor.
    Harbor,
    /// distribution-spec and nothing more.
    Oci,
    /// Quay.
    Quay,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Auto,
        Self::Azure,
        Self::Gitea,
        Self::Gitlab,
        Self::Google,
        Self::Harbor,
        Self::Oci,
        Self::Quay,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Azure => "azure",
            Self::Gitea => "gitea",
            Self::Gitlab => "gitlab",
            Self::Google => "google",
            Self::Harbor => "harbor",
            Self::Oci => "oci",
            Self::Quay => "quay",
        }
    }

    /// The kind of a registry by its name. One of one's own may be Harbor, which says so to whoever asks.
    fn of(host: &str, options: &RegistryOptions) -> Self {
        let name = host.split(':').next().unwrap_or(host);
        let is_below = |domain: &str| name == domain || name.ends_with(&format!(".{domain}"));
        if is_below("azurecr.io") {
            return Self::Azure;
        }
        if is_below("gcr.io") || is_below("pkg.dev") {
            return Self::Google;
        }
        if is_below("quay.io") {
            return Self::Quay;
        }
        if is_below("registry.gitlab.com") {
            return Self::Gitlab;
        }
        let mut is_harbor = false;
        // A registry that is something else answers 404, or with its own page.
        let asked = NativeLists::open(host, "", options).and_then(|lists| {
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
        let owned = host.to_owned();
        match self {
            Self::Auto => Self::of(host, options).driver(host, options),
            Self::Azure => Box::new(azure::Azure { host: owned }),
            Self::Gitea => Box::new(gitea::Gitea { host: owned }),
            Self::Gitlab => Box::new(gitlab::Gitlab { host: owned }),
            Self::Google => Box::new(google::Google { host: owned }),
            Self::Harbor => Box::new(harbor::Harbor { host: owned }),
            Self::Oci => Box::new(PlainOci { host: owned }),
            Self::Quay => Box::new(quay::Quay { host: owned }),
        }
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
    untagged: Vec<Digest>,
}

impl Pages {
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
        untagged.dedup();
        Contents {
            tags,
            untagged,
            invalid,
            failure: asked.err(),
        }
    }
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

/// A page of a list. Fields that are missing or unknown do no harm; what is no list at all does.
fn read<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, SourceError> {
    serde_json::from_slice(bytes).map_err(|error| SourceError::Malformed {
        what: what.to_owned(),
        // The text of the error could repeat what the registry sent.
        why: format!("it is not JSON of the expected form (line {})", error.line()),
    })
}
