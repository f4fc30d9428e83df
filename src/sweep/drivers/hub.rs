//! Docker Hub's own lists: repositories of a namespace, tags with digests and times. Its public API names no untagged
//! manifests: those that a tag left behind are known from earlier sweeps. *Source*: Docker Hub API reference.

use serde::Deserialize;

use super::{Contents, Driver, Pages, Tagged, listing, numbered, read, seconds, unnamed};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions, Shown};

/// Docker Hub, or what speaks as it does.
pub(super) struct Hub {
    pub(super) host: String,
}

#[derive(Deserialize)]
struct Page<T> {
    next: Option<String>,
    results: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tag {
    name: String,
    /// Of the index or the manifest; those below it are in `images`, and not asked about.
    digest: Option<Digest>,
    tag_last_pushed: Option<String>,
    last_updated: Option<String>,
}

impl Hub {
    /// A token for the login is asked for where there is one; what is public is listed to anybody.
    fn lists(&self, options: &RegistryOptions) -> Result<NativeLists, SourceError> {
        let service = match self.host.as_str() {
            host if host == "docker.io" || host.ends_with(".docker.io") => "hub.docker.com",
            host => host,
        };
        NativeLists::elsewhere(service, &self.host, Shown::Exchanged("/v2/auth/token"), options)
    }
}

impl Driver for Hub {
    fn kind(&self) -> &'static str {
        "hub"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let Some((namespace, _)) = prefix.split_once('/') else {
            let why = "Docker Hub lists the repositories of a namespace: name `docker.io/NAMESPACE/`";
            return Ok(unnamed(&self.host, why));
        };
        let lists = self.lists(options)?;
        let mut names = Vec::new();
        let asked = numbered(|number| {
            let mut has_more = false;
            let path = format!("/v2/namespaces/{namespace}/repositories?page_size=100&page={number}");
            lists.pages(&path, |bytes| {
                let page: Page<Repository> = read("the list of repositories", bytes)?;
                let found = page.results.unwrap_or_default();
                has_more = page.next.is_some() && !found.is_empty();
                names.extend(
                    found
                        .into_iter()
                        .map(|found| format!("{namespace}/{}", found.name)),
                );
                Ok(())
            })?;
            Ok(has_more)
        });
        Ok(listing(&self.host, names, asked))
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = self.lists(options)?;
        let (namespace, name) = repository.split_once('/').unwrap_or(("library", repository));
        let mut pages = Pages::default();
        let asked = numbered(|number| {
            let mut has_more = false;
            let path =
                format!("/v2/namespaces/{namespace}/repositories/{name}/tags?page_size=100&page={number}");
            lists.pages(&path, |bytes| {
                let page: Page<Tag> = read("the list of tags", bytes)?;
                let found = page.results.unwrap_or_default();
                has_more = page.next.is_some() && !found.is_empty();
                pages.tags.extend(found.into_iter().map(|tag| Tagged {
                    name: tag.name,
                    digest: tag.digest,
                    pushed: seconds(tag.tag_last_pushed.or(tag.last_updated).as_deref()),
                }));
                Ok(())
            })?;
            Ok(has_more)
        });
        Ok(pages.contents(&self.host, repository, asked))
    }
}
