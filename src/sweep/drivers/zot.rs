//! zot: a query that gives the tags of a repository with their digests. Its schema names no untagged manifests; where its
//! search is not compiled in or turned off, names of tags are all there is. *Source*: zot,
//! `pkg/extensions/search/schema.graphql`.

use serde::Deserialize;

use super::{Contents, Driver, Pages, Tagged, encoded, numbered, plain_because, read};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{NativeLists, RegistryOptions, Shown};

/// Tags on a page.
const PAGE: usize = 100;

/// zot at `host[:port]`.
pub(super) struct Zot {
    pub(super) host: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    data: Option<Field>,
    errors: Option<Vec<serde_json::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Field {
    image_list: Option<Images>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Images {
    results: Option<Vec<Image>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Image {
    tag: String,
    /// Of the index, where there is one.
    digest: Option<Digest>,
}

impl Driver for Zot {
    fn kind(&self) -> &'static str {
        "zot"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, Shown::Password, options)?;
        let mut pages = Pages::default();
        let asked = numbered(|number| {
            let mut found = 0;
            let offset = (number - 1) * PAGE;
            let query = format!(
                "{{ImageList(repo:\"{repository}\",requestedPage:{{limit:{PAGE},offset:{offset},sortBy:ALPHABETIC_ASC}})\
                 {{Results{{Tag Digest}}}}}}"
            );
            let path = format!("/v2/_zot/ext/search?query={}", encoded(&query));
            lists.pages(&path, |bytes| {
                let answer: Answer = read("the list of images", bytes)?;
                if answer.errors.is_some_and(|errors| !errors.is_empty()) {
                    return Err(SourceError::Malformed {
                        what: "the list of images".to_owned(),
                        why: "the search answered with errors".to_owned(),
                    });
                }
                let images = answer.data.unwrap_or_default().image_list.unwrap_or_default();
                let images = images.results.unwrap_or_default();
                found = images.len();
                // Manifests without a tag may be among them with none.
                let tagged = images.into_iter().filter(|image| !image.tag.is_empty());
                pages.tags.extend(tagged.map(|image| Tagged {
                    name: image.tag,
                    digest: image.digest,
                    // It knows when an image was made, which is not when it was pushed.
                    pushed: None,
                }));
                Ok(())
            })?;
            Ok(found >= PAGE)
        });
        match asked {
            Err(why @ (SourceError::NotFound { .. } | SourceError::Malformed { .. })) => {
                plain_because(&self.host, repository, options, why)
            }
            asked => Ok(pages.contents(&self.host, repository, asked)),
        }
    }
}
