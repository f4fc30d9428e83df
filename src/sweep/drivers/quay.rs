//! Quay: tags with their digests, page by page. What tags pointed at before is not asked for. *Source*: Quay,
//! `endpoints/api/{repository,tag}.py`.

use serde::Deserialize;

use super::{Contents, Driver, Pages, Tagged, listing, read};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions};

/// Pages of one list; Quay says on each whether there is another.
const MAX_PAGES: usize = 10_000;

/// Quay at `host[:port]`.
pub(in crate::sweep) struct Quay {
    pub(in crate::sweep) host: String,
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
}

impl Driver for Quay {
    fn kind(&self) -> &'static str {
        "quay"
    }

    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let lists = NativeLists::open(&self.host, "", options)?;
        let namespace = match prefix.trim_end_matches('/') {
            "" => String::new(),
            namespace => format!("&namespace={namespace}"),
        };
        let mut names = Vec::new();
        let mut next = String::new();
        let mut asked = Ok(());
        for _ in 0..MAX_PAGES {
            let mut further = None;
            let path = format!("/api/v1/repository?public=true&private=true{namespace}{next}");
            asked = lists.pages(&path, |bytes| {
                let page: Repositories = read("the list of repositories", bytes)?;
                let repositories = page.repositories.unwrap_or_default().into_iter();
                names.extend(repositories.map(|found| format!("{}/{}", found.namespace, found.name)));
                further = page.next_page;
                Ok(())
            });
            match further {
                // The mark is the server's own; it goes back as it came.
                Some(mark) if asked.is_ok() && !mark.is_empty() => {
                    let mark: String = url::form_urlencoded::byte_serialize(mark.as_bytes()).collect();
                    let following = format!("&next_page={mark}");
                    if following == next {
                        break;
                    }
                    next = following;
                }
                _ => break,
            }
        }
        Ok(listing(&self.host, names, asked))
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, options)?;
        let mut pages = Pages::default();
        let mut asked = Ok(());
        for number in 1..=MAX_PAGES {
            let mut has_more = false;
            let path =
                format!("/api/v1/repository/{repository}/tag/?limit=100&onlyActiveTags=true&page={number}");
            asked = lists.pages(&path, |bytes| {
                let page: Tags = read("the list of tags", bytes)?;
                let tags = page.tags.unwrap_or_default();
                has_more = page.has_additional && !tags.is_empty();
                pages.tags.extend(tags.into_iter().map(|tag| Tagged {
                    name: tag.name,
                    digest: tag.manifest_digest,
                }));
                Ok(())
            });
            if asked.is_err() || !has_more {
                break;
            }
        }
        Ok(pages.contents(&self.host, repository, asked))
    }
}
