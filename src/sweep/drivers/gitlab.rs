//! GitLab's container registry: a list of tags with their digests. Untagged manifests are not listed; GitLab removes
//! them by itself. *Source*: the registry's HTTP API, `docs/spec/gitlab/api.md` of container-registry.

use serde::Deserialize;

use super::{Contents, Driver, Pages, PlainOci, Tagged, read};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions};

/// A registry at `host[:port]`.
pub(in crate::sweep) struct Gitlab {
    pub(in crate::sweep) host: String,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default)]
    name: String,
    digest: Option<Digest>,
}

impl Driver for Gitlab {
    fn kind(&self) -> &'static str {
        "gitlab"
    }

    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let host = self.host.clone();
        PlainOci { host }.repositories(prefix, options)
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, options)?;
        let mut pages = Pages::default();
        let asked = lists.pages(
            &format!("/gitlab/v1/repositories/{repository}/tags/list/?n=1000"),
            |bytes| {
                let page: Option<Vec<Tag>> = read("the list of tags", bytes)?;
                pages
                    .tags
                    .extend(page.unwrap_or_default().into_iter().map(|tag| Tagged {
                        name: tag.name,
                        digest: tag.digest,
                    }));
                Ok(())
            },
        );
        Ok(pages.contents(&self.host, repository, asked))
    }
}
