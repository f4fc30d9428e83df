//! Azure Container Registry: a list of manifests with their tags beside that of distribution-spec. *Source*: what
//! `az acr manifest list-metadata` asks for.

use serde::Deserialize;

use super::{Contents, Driver, Pages, PlainOci, Tagged, read};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions};

/// A registry at `host`.
pub(in crate::sweep) struct Azure {
    pub(in crate::sweep) host: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    manifests: Option<Vec<Manifest>>,
}

#[derive(Deserialize)]
struct Manifest {
    digest: Option<Digest>,
    tags: Option<Vec<String>>,
}

impl Driver for Azure {
    fn kind(&self) -> &'static str {
        "azure"
    }

    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let host = self.host.clone();
        PlainOci { host }.repositories(prefix, options)
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, options)?;
        let mut pages = Pages::default();
        let asked = lists.pages(&format!("/acr/v1/{repository}/_manifests?n=100"), |bytes| {
            let page: Page = read("the list of manifests", bytes)?;
            for manifest in page.manifests.unwrap_or_default() {
                let Some(digest) = manifest.digest else { continue };
                match manifest.tags.unwrap_or_default() {
                    names if names.is_empty() => pages.untagged.push(digest),
                    names => pages.tags.extend(names.into_iter().map(|name| Tagged {
                        name,
                        digest: Some(digest.clone()),
                    })),
                }
            }
            Ok(())
        });
        Ok(pages.contents(&self.host, repository, asked))
    }
}
