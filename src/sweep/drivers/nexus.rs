//! Sonatype Nexus Repository: components are tags, or manifests by their digests, with the checksums of their assets.
//! Where its REST API is not at the host and port of the images, as with a port of their own, only tags are known.
//! *Source*: Nexus Repository's REST API, "Search".

use serde::Deserialize;

use super::{Contents, Driver, Pages, Tagged, Untagged, encoded, marked, plain_because, read, seconds};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{NativeLists, RegistryOptions, Shown};

/// Nexus at `host[:port]`.
pub(super) struct Nexus {
    pub(super) host: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Page {
    items: Option<Vec<Component>>,
    continuation_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Component {
    name: String,
    /// A tag or a digest.
    version: String,
    assets: Option<Vec<Asset>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Asset {
    path: String,
    last_modified: Option<String>,
    checksum: Checksum,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Checksum {
    sha256: Option<String>,
}

impl Driver for Nexus {
    fn kind(&self) -> &'static str {
        "nexus"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, Shown::Password, options)?;
        let mut pages = Pages::default();
        let name = encoded(repository);
        let asked = marked(|mark| {
            let next = mark.map(|mark| format!("&continuationToken={}", encoded(mark)));
            let next = next.unwrap_or_default();
            let mut further = None;
            let path = format!("/service/rest/v1/search?format=docker&name={name}{next}");
            lists.pages(&path, |bytes| {
                let page: Page = read("the list of components", bytes)?;
                further = page.continuation_token;
                let components = page.items.unwrap_or_default().into_iter();
                // The search takes `*` and `?` for any characters; names have none.
                for component in components.filter(|component| component.name == repository) {
                    take(&mut pages, component);
                }
                Ok(())
            })?;
            Ok(further)
        });
        match asked {
            Err(why @ SourceError::NotFound { .. }) => plain_because(&self.host, repository, options, why),
            asked => Ok(pages.contents(&self.host, repository, asked)),
        }
    }
}

fn take(pages: &mut Pages, component: Component) {
    let Component { version, assets, .. } = component;
    let ending = format!("/manifests/{version}");
    let mut assets = assets.unwrap_or_default().into_iter();
    let asset = assets.rfind(|asset| asset.path.ends_with(&ending));
    let pushed = seconds(asset.as_ref().and_then(|asset| asset.last_modified.as_deref()));
    match Digest::parse(&version) {
        Ok(digest) => pages.untagged.push(Untagged { digest, pushed }),
        Err(_) => {
            let sha256 = asset.and_then(|asset| asset.checksum.sha256);
            pages.tags.push(Tagged {
                name: version,
                digest: sha256.and_then(|sha256| Digest::parse(&format!("sha256:{sha256}")).ok()),
                pushed,
            });
        }
    }
}
