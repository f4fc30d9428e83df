//! Azure Container Registry: a list of manifests with their tags beside that of distribution-spec. *Source*: what
//! `az acr manifest list-metadata` asks for.

use serde::Deserialize;

use super::{Contents, Driver, Pages, read, seconds};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{NativeLists, RegistryOptions, Shown};

/// A registry at `host`.
pub(super) struct Azure {
    pub(super) host: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    manifests: Option<Vec<Manifest>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Manifest {
    digest: Option<Digest>,
    last_update_time: Option<String>,
    tags: Option<Vec<String>>,
}

impl Driver for Azure {
    fn kind(&self) -> &'static str {
        "azure"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, Shown::OnDemand, options)?;
        let mut pages = Pages::default();
        let asked = lists.pages(&format!("/acr/v1/{repository}/_manifests?n=100"), |bytes| {
            let page: Page = read("the list of manifests", bytes)?;
            for manifest in page.manifests.unwrap_or_default() {
                let Some(digest) = manifest.digest else { continue };
                let pushed = seconds(manifest.last_update_time.as_deref());
                pages.manifest(digest, manifest.tags.unwrap_or_default(), pushed);
            }
            Ok(())
        });
        Ok(pages.contents(&self.host, repository, asked))
    }
}
