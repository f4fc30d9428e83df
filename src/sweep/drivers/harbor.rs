//! Harbor: lists of artifacts that give digests with their tags, and those without a tag. *Source*: Harbor's API
//! description, `api/v2.0/swagger.yaml`.

use serde::Deserialize;

use super::{Contents, Driver, Pages, Tagged, listing, read, seconds};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions, Shown};

/// Harbor at `host[:port]`.
pub(super) struct Harbor {
    pub(super) host: String,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Artifact {
    digest: Option<Digest>,
    push_time: Option<String>,
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default)]
    name: String,
    push_time: Option<String>,
}

impl Driver for Harbor {
    fn kind(&self) -> &'static str {
        "harbor"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let lists = NativeLists::open(&self.host, "", Shown::Password, options)?;
        // All that the login may see, or those of one project.
        let path = match prefix.split_once('/') {
            Some((project, _)) => format!("/api/v2.0/projects/{project}/repositories?page_size=100"),
            None => "/api/v2.0/repositories?page_size=100".to_owned(),
        };
        let mut names = Vec::new();
        let read = lists.pages(&path, |bytes| {
            let page: Vec<Repository> = read("the list of repositories", bytes)?;
            names.extend(page.into_iter().map(|repository| repository.name));
            Ok(())
        });
        Ok(listing(&self.host, names, read))
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, Shown::Password, options)?;
        let (project, rest) = repository.split_once('/').unwrap_or((repository, ""));
        // A slash in the name is encoded twice: once for the path, once for the proxy before it.
        let rest = rest.replace('/', "%252F");
        let path =
            format!("/api/v2.0/projects/{project}/repositories/{rest}/artifacts?page_size=100&with_tag=true");
        let mut pages = Pages::default();
        let read = lists.pages(&path, |bytes| {
            let page: Vec<Artifact> = read("the list of artifacts", bytes)?;
            for artifact in page {
                let pushed = seconds(artifact.push_time.as_deref());
                let tags = artifact.tags.unwrap_or_default();
                match artifact.digest {
                    Some(digest) if tags.is_empty() => pages.manifest(digest, Vec::new(), pushed),
                    digest => pages.tags.extend(tags.into_iter().map(|tag| Tagged {
                        name: tag.name,
                        digest: digest.clone(),
                        pushed: seconds(tag.push_time.as_deref()).or(pushed),
                    })),
                }
            }
            Ok(())
        });
        Ok(pages.contents(&self.host, repository, read))
    }
}
