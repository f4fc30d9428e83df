//! JFrog Artifactory: the first part of a name is one of its repositories, below which an image is a folder, a tag a folder
//! in it, and a manifest without a tag a folder that is called by its digest. Whoever's licence or login does not list
//! folders is given the names of tags. *Source*: Artifactory REST API, "Get Repositories", "List Docker Images", "File List".

use serde::Deserialize;

use super::{Contents, Driver, Pages, Tagged, Untagged, listing, plain_because, read, seconds};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions, Shown};

/// Artifactory at `host[:port]`, asked for images by paths and not by ports or subdomains.
pub(super) struct Artifactory {
    pub(super) host: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    key: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Catalog {
    repositories: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Files {
    files: Option<Vec<File>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    /// Its path below the image.
    uri: String,
    last_modified: Option<String>,
    /// Newer ones have it.
    sha2: Option<String>,
}

impl Driver for Artifactory {
    fn kind(&self) -> &'static str {
        "artifactory"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let lists = NativeLists::open(&self.host, "", Shown::Password, options)?;
        let mut keys = Vec::new();
        let mut asked = Ok(());
        match prefix.split_once('/') {
            Some((key, _)) => keys.push(key.to_owned()),
            None => {
                asked = lists.pages("/artifactory/api/repositories?packageType=docker", |bytes| {
                    let page: Vec<Repository> = read("the list of repositories", bytes)?;
                    // What a virtual one has is in others.
                    let page = page.into_iter().filter(|repository| repository.kind != "VIRTUAL");
                    keys.extend(page.map(|repository| repository.key));
                    Ok(())
                });
            }
        }
        let mut names = Vec::new();
        for key in keys {
            let of_key = lists.pages(
                &format!("/artifactory/api/docker/{key}/v2/_catalog?n=1000"),
                |bytes| {
                    let page: Catalog = read("the list of images", bytes)?;
                    let page = page.repositories.unwrap_or_default().into_iter();
                    names.extend(page.map(|name| format!("{key}/{name}")));
                    Ok(())
                },
            );
            asked = asked.and(of_key);
        }
        Ok(listing(&self.host, names, asked))
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let lists = NativeLists::open(&self.host, repository, Shown::Password, options)?;
        let mut pages = Pages::default();
        let path = format!("/artifactory/api/storage/{repository}?list&deep=1&listFolders=0");
        let asked = lists.pages(&path, |bytes| {
            let page: Files = read("the list of files", bytes)?;
            for file in page.files.unwrap_or_default() {
                let Some((folder, name)) = file.uri.trim_start_matches('/').split_once('/') else {
                    continue;
                };
                // What is deeper belongs to an image whose name goes on.
                if !matches!(name, "manifest.json" | "list.manifest.json") {
                    continue;
                }
                let pushed = seconds(file.last_modified.as_deref());
                // Some versions write the folder of a digest with two underscores.
                match Digest::parse(&folder.replacen("sha256__", "sha256:", 1)) {
                    Ok(digest) => pages.untagged.push(Untagged { digest, pushed }),
                    Err(_) => pages.tags.push(Tagged {
                        name: folder.to_owned(),
                        digest: file
                            .sha2
                            .and_then(|sha2| Digest::parse(&format!("sha256:{sha2}")).ok()),
                        pushed,
                    }),
                }
            }
            Ok(())
        });
        match asked {
            Err(
                why @ (SourceError::NotFound { .. }
                | SourceError::Refused { .. }
                | SourceError::Status { status: 400, .. }),
            ) => plain_because(&self.host, repository, options, why),
            asked => Ok(pages.contents(&self.host, repository, asked)),
        }
    }
}
