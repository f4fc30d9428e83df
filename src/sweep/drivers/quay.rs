//! Quay: tags with their digests, page by page. What tags pointed at before is not asked for. *Source*: Quay,
//! `endpoints/api/{repository,tag}.py`.

use serde::Deserialize;

use super::{Contents, Driver, Pages, Tagged, encoded, listing, marked, numbered, read};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions, Shown};

/// Quay at `host[:port]`.
pub(super) struct Quay {
    pub(super) host: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repositories {
    repositories: Option<Vec<Repository>>,
    next_page: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tags {
    tags: Option<Vec<Tag>>,
    has_additional: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tag {
    name: String,
    manifest_digest: Option<Digest>,
    start_ts: Option<i64>,
}

impl Driver for Quay {
    fn kind(&self) -> &'static str {
        "quay"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let lists = NativeLists::open(&self.host, "", Shown::Password, options)?;
        let namespace = match prefix.trim_end_matches('/') {
            "" => String::new(),
            namespace => format!("&namespace={namespace}"),
        };
        let mut names = Vec::new();
        let asked = marked(|mark| {
            let next = mark.map(|mark| format!("&next_page={}", encoded(mark)));
            let next = next.unwrap_or_default();
            let mut further = None;
            let path = format!("/api/v1/repository?public=true&private=true{namespace}{next}");
            lists.pages(&path, |bytes| {
                let page: Repositories = read("the list of repositories", bytes)?;
                let repositories = page.repositories.unwrap_or_default().into_iter();
                names.extend(repositories.map(|found| format!("{}/{}", found.namespace, found.name)));
                further = page.next_page;
                Ok(())
            })?;
            Ok(further)
        });
        Ok(listing(&self.host, names, asked))
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, Shown::Password, options)?;
        let mut pages = Pages::default();
        let asked = numbered(|number| {
            let mut has_more = false;
            let path =
                format!("/api/v1/repository/{repository}/tag/?limit=100&onlyActiveTags=true&page={number}");
            lists.pages(&path, |bytes| {
                let page: Tags = read("the list of tags", bytes)?;
                let tags = page.tags.unwrap_or_default();
                has_more = page.has_additional && !tags.is_empty();
                pages.tags.extend(tags.into_iter().map(|tag| Tagged {
                    name: tag.name,
                    digest: tag.manifest_digest,
                    pushed: tag.start_ts,
                }));
                Ok(())
            })?;
            Ok(has_more)
        });
        Ok(pages.contents(&self.host, repository, asked))
    }
}
