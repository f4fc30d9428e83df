//! Archives on disk: what `docker save`, Podman and Skopeo write, and tars of an OCI layout. The headers are read
//! once, with seeks; each blob is then read through a file handle of its own. Nothing is unpacked.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::members::{self, Members, Names};
use super::saved::{self, Archive};
use super::{Problem, Resolved, Source, SourceError};
use crate::limits::{LimitHit, Limits};
use crate::oci::{BlobKey, Descriptor, PlatformSelector};

/// An uncompressed archive of images.
#[derive(Debug)]
pub struct ArchiveSource {
    path: PathBuf,
    choice: Option<String>,
    names: Names<Place>,
    problems: Vec<Problem>,
}

/// Where the body of a member lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    size: u64,
    is_whole: bool,
}

impl ArchiveSource {
    /// Indexes the archive at `path`. Of several images, those called `choice` are meant, all where it is `None`.
    ///
    /// *Errors*: [`SourceError::NotAnImage`] where the file is no tar, or holds neither a document that lists images nor
    /// any part of one. *Cost*: one read and one seek per member.
    pub fn open(path: &Path, choice: Option<String>, limits: &Limits) -> Result<Self, SourceError> {
        let unreadable = |source| SourceError::Io {
            what: escaped(path),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        let mut members = Members::new(BufReader::new(file), members::skip_in_file, limits);
        let mut names = Names::new();
        let mut problems = Vec::new();
        let mut count = 0;
        while let Some(member) = members.next().map_err(unreadable)? {
            count += 1;
            if count > limits.entries {
                problems.push(Problem {
                    what: "the archive".to_owned(),
                    why: format!("it has more than {} members", limits.entries),
                    reason: LimitHit::Entries.name(),
                });
                break;
            }
            if member.is_file() {
                let place = Place {
                    offset: member.offset,
                    size: member.entry.size,
                    is_whole: member.is_whole,
                };
                names.file(member.entry.path.as_bytes(), place);
            } else {
                names.link(&member.entry);
            }
        }
        if !members.is_tar() || members.is_empty() {
            return Err(not_an_image(path, "it is no tar archive"));
        }
        let lists = ["manifest.json", "index.json", "repositories"];
        if !lists.iter().any(|name| names.has(name)) && !names.files().into_iter().any(saved::is_part) {
            return Err(not_an_image(path, saved::NO_LIST));
        }
        let odd = saved::archive_problems(&names.duplicates, members.is_truncated(), members.is_damaged());
        problems.extend(odd);
        Ok(Self {
            path: path.to_owned(),
            choice,
            names,
            problems,
        })
    }

    /// What wrote it, by its documents: `docker-archive` or `oci-archive`.
    pub fn kind(&self) -> &'static str {
        let is_layout = || self.names.files().iter().any(|name| name.starts_with(b"blobs/"));
        let is_docker = match self.names.has("index.json") {
            true => self.names.has("manifest.json") || self.names.has("repositories"),
            // It may end before its documents.
            false => self.names.has("manifest.json") || !is_layout(),
        };
        match is_docker {
            true => "docker-archive",
            false => "oci-archive",
        }
    }

    fn open_member(&self, name: &[u8]) -> Result<(Body, u64), SourceError> {
        let what = || format!("`{}` in {}", crate::text::escape(name), escaped(&self.path));
        let (_, place) = self
            .names
            .find(name)
            .ok_or_else(|| SourceError::NotFound { what: what() })?;
        if !place.is_whole {
            return Err(SourceError::Malformed {
                what: what(),
                why: "it is stored as a sparse file".to_owned(),
            });
        }
        let unreadable = |source| SourceError::Io { what: what(), source };
        let mut file = File::open(&self.path).map_err(unreadable)?;
        file.seek(SeekFrom::Start(place.offset)).map_err(unreadable)?;
        let body = Body {
            file,
            left: place.size,
        };
        Ok((body, place.size))
    }
}

impl Source for ArchiveSource {
    fn resolve(&self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError> {
        let mut resolved = saved::resolve(self, self.choice.as_deref(), platforms, limits)?;
        resolved.problems.extend(self.problems.iter().cloned());
        Ok(resolved)
    }

    fn blob(&self, key: &BlobKey, _: Option<&Descriptor>) -> Result<Box<dyn Read + Send>, SourceError> {
        let (body, _) = self.open_member(&saved::member_of(key))?;
        Ok(Box::new(body))
    }
}

impl Archive for ArchiveSource {
    fn label(&self) -> String {
        escaped(&self.path)
    }

    fn files(&self) -> Vec<&[u8]> {
        self.names.files()
    }

    fn name_of(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.names.find(name).map(|(name, _)| name.to_vec())
    }

    fn member(&self, name: &[u8], cap: u64) -> Result<Vec<u8>, SourceError> {
        let (body, size) = self.open_member(name)?;
        let what = || format!("`{}`", crate::text::escape(name));
        if size > cap {
            return Err(SourceError::Limit {
                what: what(),
                limit: LimitHit::Document,
            });
        }
        read_document(body, cap, &what())
    }
}

/// Reads a document to its end.
///
/// *Errors*: [`SourceError::Limit`] where it is longer than `cap`.
pub(super) fn read_document(reader: impl Read, cap: u64, what: &str) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    reader
        .take(cap.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| SourceError::Io {
            what: what.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > cap {
        return Err(SourceError::Limit {
            what: what.to_owned(),
            limit: LimitHit::Document,
        });
    }
    Ok(bytes)
}

fn not_an_image(path: &Path, why: &str) -> SourceError {
    SourceError::NotAnImage {
        what: escaped(path),
        why: why.to_owned(),
    }
}

/// A path as messages show it.
pub(super) fn escaped(path: &Path) -> String {
    format!("`{}`", crate::text::escape(path.as_os_str().as_encoded_bytes()))
}

/// The body of one member; an error where the file ends before it, since a short blob must not look whole.
struct Body {
    file: File,
    left: u64,
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(out.len(), |left| out.len().min(left));
        let count = self.file.read(&mut out[..room])?;
        if count == 0 && room > 0 {
            return Err(members::ends_within());
        }
        self.left -= count as u64;
        Ok(count)
    }
}
