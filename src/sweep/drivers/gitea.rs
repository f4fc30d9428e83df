//! Gitea and Forgejo: packages of an owner, whose versions are tags and, for what no tag leads to, digests. *Source*:
//! Gitea's API, `GET /api/v1/packages/{owner}`.

use serde::Deserialize;

use super::{Contents, Driver, Pages, Tagged, Untagged, encoded, numbered, read, seconds};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{NativeLists, RegistryOptions, Shown};

/// Packages on a page.
const PAGE: usize = 50;

/// Gitea at `host[:port]`.
pub(super) struct Gitea {
    pub(super) host: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Package {
    name: String,
    version: String,
    created_at: Option<String>,
}

impl Driver for Gitea {
    fn kind(&self) -> &'static str {
        "gitea"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, Shown::Password, options)?;
        let (owner, name) = repository.split_once('/').unwrap_or((repository, ""));
        let query = encoded(name);
        let mut pages = Pages::default();
        let asked = numbered(|number| {
            let mut found = 0;
            let path =
                format!("/api/v1/packages/{owner}?type=container&q={query}&page={number}&limit={PAGE}");
            lists.pages(&path, |bytes| {
                let page: Option<Vec<Package>> = read("the list of packages", bytes)?;
                let page = page.unwrap_or_default();
                found = page.len();
                // The search finds other packages too, whose names hold this one.
                for package in page.into_iter().filter(|package| package.name == name) {
                    let pushed = seconds(package.created_at.as_deref());
                    match Digest::parse(&package.version) {
                        Ok(digest) => pages.untagged.push(Untagged { digest, pushed }),
                        // What it points at is asked for.
                        Err(_) => pages.tags.push(Tagged {
                            name: package.version,
                            digest: None,
                            pushed,
                        }),
                    }
                }
                Ok(())
            })?;
            Ok(found >= PAGE)
        });
        Ok(pages.contents(&self.host, repository, asked))
    }
}
