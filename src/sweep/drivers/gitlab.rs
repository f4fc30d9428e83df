//! GitLab's container registry: a list of tags with their digests. Untagged manifests are not listed; GitLab removes
//! them by itself. *Source*: the registry's HTTP API, `docs/spec/gitlab/api.md` of container-registry.

use serde::Deserialize;

use super::{Contents, Driver, Pages, Tagged, read, seconds};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{NativeLists, RegistryOptions, Shown};

/// A registry at `host[:port]`.
pub(super) struct Gitlab {
    pub(super) host: String,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default)]
    name: String,
    digest: Option<Digest>,
    created_at: Option<String>,
    published_at: Option<String>,
}

impl Driver for Gitlab {
    fn kind(&self) -> &'static str {
        "gitlab"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, Shown::OnDemand, options)?;
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
                        pushed: seconds(tag.published_at.or(tag.created_at).as_deref()),
                    }));
                Ok(())
            },
        );
        Ok(pages.contents(&self.host, repository, asked))
    }
}
