//! Archives from a stream, such as `docker save app | layersift scan -`: one pass, nothing on disk. Documents are
//! kept until the end, all other members are given out as they come, in whatever order.

use std::io::{self, BufReader, Cursor, Read};

use super::members::{self, Members, Names};
use super::saved::{self, Archive};
use super::{Problem, Resolved, SourceError, StreamBlob, StreamSource};
use crate::content::decode::{DecodeError, Decoder, Step};
use crate::limits::{LimitHit, Limits};
use crate::oci::{BlobKey, PlatformSelector};

/// An archive of images that is read once, compressed or not.
///
/// A member below `blobs` is named by its digest, any other one by its name; what a link points at keeps its own
/// name, and [`StreamSource::resolve`] names it so too.
pub struct ArchiveStream {
    /// How messages call it.
    name: String,
    choice: Option<String>,
    members: Members<Input>,
    names: Names<Held>,
    /// Bytes of documents kept.
    kept_bytes: u64,
    /// The largest document.
    document_bytes: u64,
    entries: usize,
    limits: Limits,
    problems: Vec<Problem>,
    is_over: bool,
}

type Input = BufReader<Decoded>;

/// What became of a member.
enum Held {
    Document(Vec<u8>),
    GivenOut,
}

impl ArchiveStream {
    /// Reads the first bytes of `input`, which messages call `name`, and finds out how it is compressed.
    ///
    /// *Errors*: [`SourceError::Io`] where nothing can be read.
    pub fn open(
        input: Box<dyn Read + Send>,
        name: &str,
        choice: Option<String>,
        limits: &Limits,
    ) -> Result<Self, SourceError> {
        let decoder = Decoder::open(input, limits).map_err(|error| SourceError::Io {
            what: name.to_owned(),
            source: io_error(error),
        })?;
        let input = BufReader::with_capacity(
            128 * 1024,
            Decoded {
                decoder,
                aside: Vec::new(),
            },
        );
        Ok(Self {
            name: name.to_owned(),
            choice,
            members: Members::new(input, members::skip_in_stream, limits),
            names: Names::new(),
            kept_bytes: 0,
            document_bytes: limits
                .manifest_bytes
                .max(limits.config_bytes)
                .max(limits.attestation_bytes),
            entries: 0,
            limits: limits.clone(),
            problems: Vec::new(),
            is_over: false,
        })
    }

    fn end(&mut self, problem: Option<Problem>) {
        self.is_over = true;
        self.problems.extend(problem);
        let (truncated, damaged) = (self.members.is_truncated(), self.members.is_damaged());
        let odd = saved::archive_problems(&self.names.duplicates, truncated, damaged);
        self.problems.extend(odd);
    }

    /// Reads the present member, of `size` bytes, into memory.
    fn whole(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        Body(&mut self.members).take(size).read_to_end(&mut body)?;
        Ok(body)
    }

    /// Reads the present member if it looks like a document. `None` leaves it as it is.
    fn small(&mut self, size: u64) -> io::Result<Option<Small>> {
        let looks_so = self.members.first_byte().is_some_and(|byte| begins_json(&[byte]));
        if !looks_so || size > self.document_bytes {
            return Ok(None);
        }
        if self.kept_bytes + size > KEPT_BYTES {
            self.problems.push(Problem {
                what: self.name.clone(),
                why: format!(
                    "it holds more than {} of documents; further ones were read as layers",
                    crate::text::bytes(KEPT_BYTES)
                ),
                reason: LimitHit::Document.name(),
            });
            // Told once: nothing fits from here on.
            self.document_bytes = 0;
            return Ok(None);
        }
        let body = self.whole(size)?;
        let is_document = begins_json(&body) && ends_json(&body);
        Ok(Some(if is_document {
            Small::Document(body)
        } else {
            Small::Other(body)
        }))
    }
}

enum Small {
    Document(Vec<u8>),
    /// It began like one.
    Other(Vec<u8>),
}

impl StreamSource for ArchiveStream {
    fn next_blob(&mut self) -> Result<Option<StreamBlob<'_>>, SourceError> {
        while !self.is_over {
            let member = match self.members.next() {
                Ok(Some(member)) => member,
                Ok(None) => {
                    self.end(None);
                    break;
                }
                Err(error) => {
                    let problem = broken(&self.name, &error);
                    self.end(Some(problem));
                    break;
                }
            };
            self.entries += 1;
            if self.entries > self.limits.entries {
                let problem = Problem {
                    what: self.name.clone(),
                    why: format!("it has more than {} members", self.limits.entries),
                    reason: LimitHit::Entries.name(),
                };
                self.end(Some(problem));
                break;
            }
            if !member.is_file() {
                self.names.link(&member.entry);
                continue;
            }
            let name = member.entry.path.as_bytes().to_vec();
            let size = member.entry.size;
            if !member.is_whole {
                self.problems.push(Problem {
                    what: format!("member `{}`", crate::text::escape(&name)),
                    why: "it is stored as a sparse file".to_owned(),
                    reason: "sparse-member",
                });
                continue;
            }
            // `1.0` beside every layer, for versions of Docker that nobody runs any more.
            if member.entry.path.file_name() == b"VERSION" && size <= 16 {
                continue;
            }
            let small = match self.small(size) {
                Ok(small) => small,
                // The archive ends here: the next round finds that out.
                Err(_) => continue,
            };
            let key = saved::key_of(&name);
            let body = match small {
                Some(Small::Document(body)) => {
                    self.kept_bytes += size;
                    self.names.file(&name, Held::Document(body));
                    continue;
                }
                Some(Small::Other(body)) => Some(body),
                None => None,
            };
            self.names.file(&name, Held::GivenOut);
            let reader: Box<dyn Read + Send + '_> = match body {
                Some(body) => Box::new(Cursor::new(body)),
                None => Box::new(Body(&mut self.members)),
            };
            let size = Some(size);
            return Ok(Some(StreamBlob { key, reader, size }));
        }
        Ok(None)
    }

    fn resolve(&mut self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError> {
        let not_an_image = |why: &str| SourceError::NotAnImage {
            what: self.name.clone(),
            why: why.to_owned(),
        };
        if self.is_over && self.members.is_empty() && self.problems.is_empty() {
            return Err(not_an_image("it is empty"));
        }
        if !self.members.is_tar() {
            return Err(not_an_image("it is no tar archive"));
        }
        let mut resolved = match saved::resolve(self, self.choice.as_deref(), platforms, limits) {
            Ok(resolved) => resolved,
            // What broke the stream says more than what is missing because of it.
            Err(error) => {
                return Err(match self.problems.first() {
                    Some(problem) => SourceError::Malformed {
                        what: self.name.clone(),
                        why: format!("{}, and {}", problem.why, error.with_causes()),
                    },
                    None => error,
                });
            }
        };
        resolved.problems.append(&mut self.problems);
        Ok(resolved)
    }

    fn document(&self, key: &BlobKey) -> Option<&[u8]> {
        match self.names.find(&saved::member_of(key))?.1 {
            Held::Document(bytes) => Some(bytes),
            Held::GivenOut => None,
        }
    }
}

impl Archive for ArchiveStream {
    fn label(&self) -> String {
        self.name.clone()
    }

    fn files(&self) -> Vec<&[u8]> {
        self.names.files()
    }

    fn name_of(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.names.find(name).map(|(name, _)| name.to_vec())
    }

    fn member(&self, name: &[u8], cap: u64) -> Result<Vec<u8>, SourceError> {
        let what = || format!("`{}` in {}", crate::text::escape(name), self.name);
        match self.names.find(name) {
            Some((_, Held::Document(bytes))) if bytes.len() as u64 <= cap => Ok(bytes.clone()),
            Some((_, Held::Document(_))) => Err(SourceError::Limit {
                what: what(),
                limit: LimitHit::Document,
            }),
            Some((_, Held::GivenOut)) => Err(SourceError::Malformed {
                what: what(),
                why: "it does not look like JSON".to_owned(),
            }),
            None => Err(SourceError::NotFound { what: what() }),
        }
    }
}

/// The body of the present member.
struct Body<'a>(&'a mut Members<Input>);

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read_body(out)
    }
}

/// The decompressed stream. What compression carries beside it (a gzip file name) belongs to the archive's
/// wrapping, not to an image, and is dropped.
struct Decoded {
    decoder: Decoder<Box<dyn Read + Send>>,
    aside: Vec<u8>,
}

impl Read for Decoded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.decoder.step(out, &mut self.aside).map_err(io_error)? {
                Step::Aside { .. } => self.aside.clear(),
                Step::Data(count) => return Ok(count),
                Step::End => return Ok(0),
            }
        }
    }
}

fn io_error(error: DecodeError) -> io::Error {
    match error {
        DecodeError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

fn broken(name: &str, error: &io::Error) -> Problem {
    Problem {
        what: name.to_owned(),
        why: format!("it could not be read to its end: {error}"),
        reason: "truncated",
    }
}

fn begins_json(bytes: &[u8]) -> bool {
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(first) => matches!(first, b'{' | b'[' | 0xEF),
        None => !bytes.is_empty(),
    }
}

fn ends_json(bytes: &[u8]) -> bool {
    // Bytes may follow a document, and hide in it what only some parsers see. An archive ends with zeros.
    bytes.last().is_some_and(|last| *last != 0)
}

/// Documents kept of one stream. 64 MiB: an attestation may have 40, all others are small.
const KEPT_BYTES: u64 = 64 * 1024 * 1024;
