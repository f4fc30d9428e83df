//! GitHub's container registry: packages of an owner, whose versions are manifests with their tags, or without one.
//! Versions that were deleted and could be restored are not asked for: their blobs cannot be pulled. *Source*: GitHub REST
//! API, "Packages".

use serde::Deserialize;

use super::{Contents, Driver, Pages, encoded, listing, plain_because, read, seconds, unnamed};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions, Shown};

/// `ghcr.io`, or the registry of a GitHub of one's own.
pub(super) struct Github {
    pub(super) host: String,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Version {
    /// The digest.
    name: String,
    updated_at: Option<String>,
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    container: Container,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    tags: Option<Vec<String>>,
}

impl Github {
    /// Where the API is: its host and what its paths begin with.
    fn api(&self) -> (&str, &'static str) {
        match self.host.as_str() {
            "ghcr.io" => ("api.github.com", ""),
            host => (host.strip_prefix("containers.").unwrap_or(host), "/api/v3"),
        }
    }

    /// The pages at a path below an organization, or, where there is none of the name, below a user.
    fn pages(
        &self,
        (owner, below): (&str, &str),
        options: &RegistryOptions,
        take: &mut dyn FnMut(&[u8]) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let (service, root) = self.api();
        let lists = NativeLists::elsewhere(service, &self.host, Shown::Token, options)?;
        match lists.pages(&format!("{root}/orgs/{owner}/{below}"), &mut *take) {
            Err(SourceError::NotFound { .. }) => lists.pages(&format!("{root}/users/{owner}/{below}"), take),
            asked => asked,
        }
    }
}

impl Driver for Github {
    fn kind(&self) -> &'static str {
        "github"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let Some((owner, _)) = prefix.split_once('/') else {
            let why = "GitHub lists the packages of an owner: name `HOST/OWNER/`";
            return Ok(unnamed(&self.host, why));
        };
        let mut names = Vec::new();
        let below = "packages?package_type=container&per_page=100";
        let asked = self.pages((owner, below), options, &mut |bytes| {
            let page: Option<Vec<Package>> = read("the list of packages", bytes)?;
            let page = page.unwrap_or_default().into_iter();
            names.extend(page.map(|package| format!("{owner}/{}", package.name)));
            Ok(())
        });
        Ok(listing(&self.host, names, asked))
    }

    /// Without a login that may read packages GitHub lists none: then the tags are asked for as of any registry.
    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let (owner, name) = repository.split_once('/').unwrap_or((repository, ""));
        let mut pages = Pages::default();
        let below = format!("packages/container/{}/versions?per_page=100", encoded(name));
        let asked = self.pages((owner, &below), options, &mut |bytes| {
            let page: Option<Vec<Version>> = read("the list of versions", bytes)?;
            for version in page.unwrap_or_default() {
                if let Ok(digest) = Digest::parse(&version.name) {
                    let tags = version.metadata.container.tags.unwrap_or_default();
                    pages.manifest(digest, tags, seconds(version.updated_at.as_deref()));
                }
            }
            Ok(())
        });
        match asked {
            Err(why @ (SourceError::NotFound { .. } | SourceError::Refused { .. })) => {
                plain_because(&self.host, repository, options, why)
            }
            asked => Ok(pages.contents(&self.host, repository, asked)),
        }
    }
}
