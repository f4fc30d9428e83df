//! Google's registries: the list of tags is a map of all manifests, and names what lies below a repository. *Source*:
//! go-containerregistry, `pkg/v1/google/list.go`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Contents, Driver, Pages, listing, read, unnamed};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::registry::{Listing, NativeLists, RegistryOptions, Shown};

/// How deep folders are followed.
const MAX_DEPTH: usize = 32;

/// A registry at `host`.
pub(super) struct Google {
    pub(super) host: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tags {
    child: Option<Vec<String>>,
    manifest: Option<BTreeMap<String, Manifest>>,
    tags: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Manifest {
    tag: Option<Vec<String>>,
    /// A number, or a number in quotes.
    #[serde(rename = "timeUploadedMs")]
    uploaded: Option<serde_json::Value>,
}

impl Manifest {
    fn pushed(&self) -> Option<i64> {
        let uploaded = self.uploaded.as_ref()?;
        let milliseconds = uploaded.as_i64().or_else(|| uploaded.as_str()?.parse().ok())?;
        // Some have zero for what they do not know.
        Some(milliseconds / 1000).filter(|seconds| *seconds > 0)
    }
}

impl Google {
    fn tags(
        &self,
        repository: &str,
        options: &RegistryOptions,
        take: &mut dyn FnMut(Tags),
    ) -> Result<(), SourceError> {
        let lists = NativeLists::open(&self.host, repository, Shown::OnDemand, options)?;
        lists.pages(&format!("/v2/{repository}/tags/list"), |bytes| {
            take(read("the list of tags", bytes)?);
            Ok(())
        })
    }
}

impl Driver for Google {
    fn kind(&self) -> &'static str {
        "google"
    }

    fn host(&self) -> &str {
        &self.host
    }

    /// Walks down from the prefix: there is no list of all.
    fn repositories(&self, prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        let root = prefix.trim_end_matches('/');
        if root.is_empty() {
            let why = "this registry lists no repositories but those of a project: name `HOST/PROJECT/`";
            return Ok(unnamed(&self.host, why));
        }
        let mut names = Vec::new();
        let mut todo = vec![(root.to_owned(), 0)];
        let mut failure = Ok(());
        while let Some((name, depth)) = todo.pop() {
            let mut is_repository = false;
            let asked = self.tags(&name, options, &mut |tags| {
                is_repository |= tags.manifest.is_some_and(|manifest| !manifest.is_empty())
                    || tags.tags.is_some_and(|tags| !tags.is_empty());
                let children = tags.child.unwrap_or_default().into_iter();
                let children =
                    children.filter(|child| !child.is_empty() && !child.contains('/') && depth < MAX_DEPTH);
                todo.extend(children.map(|child| (format!("{name}/{child}"), depth + 1)));
            });
            if let Err(error) = asked {
                failure = Err(error);
            }
            if is_repository {
                names.push(name);
            }
        }
        Ok(listing(&self.host, names, failure))
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let mut pages = Pages::default();
        let asked = self.tags(repository, options, &mut |tags| {
            for (digest, manifest) in tags.manifest.unwrap_or_default() {
                let Ok(digest) = Digest::parse(&digest) else {
                    continue;
                };
                let pushed = manifest.pushed();
                pages.manifest(digest, manifest.tag.unwrap_or_default(), pushed);
            }
        });
        Ok(pages.contents(&self.host, repository, asked))
    }
}
