//! OCI image layouts in a directory: documents and blobs by their digest from `blobs`. Reads regular files inside
//! of the directory and nothing else, wherever links point.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::docker_archive::{escaped, read_document};
use super::saved;
use super::walk::{self, Documents, Root, Walk};
use super::{Resolved, Source, SourceError};
use crate::limits::Limits;
use crate::oci::{BlobKey, Descriptor, PlatformSelector};

/// A layout in a directory. *Source*: image-spec `image-layout.md`.
#[derive(Debug)]
pub struct LayoutSource {
    /// Without links, to tell what is inside.
    root: PathBuf,
    choice: Option<String>,
}

impl LayoutSource {
    /// Prepares to read the layout at `path`. Of several images, that called `choice` is meant (by
    /// `org.opencontainers.image.ref.name` or digest), all where it is `None`.
    ///
    /// *Errors*: [`SourceError::NotAnImage`] where there is no `index.json`; `oci-layout` may be missing.
    pub fn open(path: &Path, choice: Option<String>) -> Result<Self, SourceError> {
        let root = path.canonicalize().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => SourceError::NoSuchFile { what: escaped(path) },
            _ => SourceError::Io {
                what: escaped(path),
                source,
            },
        })?;
        if !root.join("index.json").is_file() {
            return Err(SourceError::NotAnImage {
                what: escaped(path),
                why: "it is a directory without `index.json`, so it is no OCI layout".to_owned(),
            });
        }
        Ok(Self { root, choice })
    }

    /// Opens a file of the layout.
    fn file(&self, name: &str) -> Result<File, SourceError> {
        let what = || format!("`{name}` in {}", escaped(&self.root));
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => SourceError::NotFound { what: what() },
            _ => SourceError::Io { what: what(), source },
        };
        let path = self.root.join(name).canonicalize().map_err(failed)?;
        let malformed = |why: &str| SourceError::Malformed {
            what: what(),
            why: why.to_owned(),
        };
        if !path.starts_with(&self.root) {
            return Err(malformed("it is a link that leads out of the layout"));
        }
        // Asked before opening: to open a FIFO is to wait for its writer.
        if !path.is_file() {
            return Err(malformed("it is no regular file"));
        }
        File::open(path).map_err(failed)
    }
}

impl Documents for LayoutSource {
    fn document(&self, descriptor: &Descriptor, cap: u64) -> Result<Vec<u8>, SourceError> {
        let name = name_of(&BlobKey::Digest(descriptor.digest.clone()));
        read_document(self.file(&name)?, cap, &format!("`{name}`"))
    }
}

impl Source for LayoutSource {
    fn resolve(&self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError> {
        let index = self.file("index.json")?;
        let root = Root::Layout {
            bytes: read_document(index, limits.manifest_bytes, "`index.json`")?,
            choice: self.choice.clone(),
        };
        let walk = Walk {
            documents: self,
            platforms,
            limits,
        };
        let mut resolved = walk::resolve_root(&walk, root, &[])?;
        resolved.repository = saved::common_repository(&resolved.images);
        Ok(resolved)
    }

    fn blob(&self, key: &BlobKey, _: Option<&Descriptor>) -> Result<Box<dyn Read + Send>, SourceError> {
        Ok(Box::new(self.file(&name_of(key))?))
    }
}

/// The path of a blob. The grammar of digests has no `/` and no `..`.
fn name_of(key: &BlobKey) -> String {
    String::from_utf8_lossy(&saved::member_of(key)).into_owned()
}
