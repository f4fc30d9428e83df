//! Gitea and Forgejo: packages of an owner, whose versions are tags and, for what no tag leads to, digests. *Source*:
//! Gitea's API, `GET /api/v1/packages/{owner}`.

use serde::Deserialize;

use super::{Contents, Driver, Pages, PlainOci, Tagged, read};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions};

/// Packages on a page.
const PAGE: usize = 50;

/// Pages of one list.
const MAX_PAGES: usize = 10_000;

/// Gitea at `host[:port]`.
pub(in crate::sweep) struct Gitea {
    pub(in crate::sweep) host: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Package {
    name: String,
    version: String,
}

impl Driver for Gitea {
    fn kind(&self) -> &'static str {
        "gitea"
    }

    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let host = self.host.clone();
        PlainOci { host }.repositories(prefix, options)
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, options)?;
        let (owner, name) = repository.split_once('/').unwrap_or((repository, ""));
        let mut pages = Pages::default();
        let mut asked = Ok(());
        for number in 1..=MAX_PAGES {
            let mut found = 0;
            let query: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
            let path =
                format!("/api/v1/packages/{owner}?type=container&q={query}&page={number}&limit={PAGE}");
            asked = lists.pages(&path, |bytes| {
                let page: Option<Vec<Package>> = read("the list of packages", bytes)?;
                let page = page.unwrap_or_default();
                found = page.len();
                // The search finds other packages too, whose names hold this one.
                for package in page.into_iter().filter(|package| package.name == name) {
                    match Digest::parse(&package.version) {
                        Ok(digest) => pages.untagged.push(digest),
                        // What it points at is asked for.
                        Err(_) => pages.tags.push(Tagged {
                            name: package.version,
                            digest: None,
                        }),
                    }
                }
                Ok(())
            });
            if asked.is_err() || found < PAGE {
                break;
            }
        }
        Ok(pages.contents(&self.host, repository, asked))
    }
}
