//! Images of a Docker or Podman engine on this machine, by the Docker Engine API: a name → its export, as a stream.
//! Reads only, and nothing is written to disk here; an engine may write the export to its own.
//!
//! `address` knows where engines are, `client` asks one. What an engine says of an image (names, digests) is
//! believed; the layers of its export are verified like any others.

mod address;
mod client;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use self::address::Place;
use self::client::{Client, Description};
use super::{Access, ArchiveStream, Opened, Resolved, SourceError, StreamBlob, StreamSource};
use crate::limits::Limits;
use crate::oci::{BlobKey, Digest, PlatformSelector, Reference};

/// How engines are found and asked.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// The one engine to ask, as `DOCKER_HOST` has it; `None` for what the environment, Docker's current context and
    /// the usual sockets say.
    pub host: Option<String>,
    /// The folder of Docker's `config.json`; `None` for the user's.
    pub docker_config: Option<PathBuf>,
    /// Time-outs, sizes.
    pub limits: Limits,
    /// Once it is set, an export that has not begun is not waited for.
    pub cancelled: Arc<AtomicBool>,
}

/// The programs whose engines are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Docker, and what speaks its API where Docker is expected.
    Docker,
    /// Podman, by its service.
    Podman,
}

impl Program {
    /// The kind of source in reports.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Docker => "docker-daemon",
            Self::Podman => "podman",
        }
    }
}

/// What the engines said to the question for an image.
#[derive(Debug, Default)]
pub struct Asked {
    /// The image, from the first engine that has it.
    pub found: Option<Opened>,
    /// Engines that are there and could not be asked.
    pub failures: Vec<SourceError>,
    /// Engines that do not have it, for messages.
    pub without: Vec<String>,
    /// Where no engine is, for messages.
    pub absent: Vec<String>,
}

/// A place where an engine is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whose engine it would be.
    pub program: Program,
    /// As `DOCKER_HOST` has it, escaped.
    pub address: String,
    /// Whether there is a socket; `None` for a port, which would have to be connected to.
    pub is_there: Option<bool>,
}

/// The places where an engine is looked for, in the order of asking. Connects to none of them.
///
/// *Errors*: [`SourceError::Engine`] where the one that the user chose cannot be spoken to.
pub fn endpoints(options: &EngineOptions) -> Result<Vec<Endpoint>, SourceError> {
    let places = address::places(None, options)?;
    let endpoints = places.into_iter().map(|place| Endpoint {
        program: place.program,
        address: place.address.to_string(),
        is_there: match place.address {
            address::Address::Loopback(_) => None,
            address::Address::Socket(_) => Some(place.is_there()),
        },
    });
    Ok(endpoints.collect())
}

/// Opens the image `target` of the engine of `program`, or of any engine. It is exported when it is read first.
///
/// *Errors*: [`SourceError::NotFound`] where no engine has it, [`SourceError::Engine`] where none can be asked,
/// [`SourceError::Unusable`] where `target` is neither a reference nor the id of an image.
pub fn open(target: &str, program: Option<Program>, options: &EngineOptions) -> Result<Opened, SourceError> {
    if spellings(target).is_empty() {
        return Err(SourceError::Unusable {
            what: format!("`{}`", super::printable(target)),
            why: "it is neither an image reference nor the id of an image".to_owned(),
        });
    }
    let asked = ask(target, program, options.limits.idle_timeout, options);
    if let Some(found) = asked.found {
        return Ok(found);
    }
    if let Some(failure) = asked.failures.into_iter().next() {
        return Err(failure);
    }
    if asked.without.is_empty() {
        return Err(SourceError::Engine {
            engine: "an engine".to_owned(),
            why: format!("there is none at `{}`", asked.absent.join("`, `")),
            kind: io::ErrorKind::NotFound,
        });
    }
    Err(SourceError::NotFound {
        what: format!(
            "image `{}` in {}",
            super::printable(target),
            asked.without.join(" and ")
        ),
    })
}

/// Asks the engine of `program`, or every engine in turn, for the image `target`. Each has the time `within` to
/// answer.
pub fn ask(target: &str, program: Option<Program>, within: Duration, options: &EngineOptions) -> Asked {
    let mut asked = Asked::default();
    let spellings = spellings(target);
    if spellings.is_empty() {
        return asked;
    }
    let places = match address::places(program, options) {
        Ok(places) => places,
        Err(error) => {
            asked.failures.push(error);
            return asked;
        }
    };
    for place in places {
        if !place.is_there() {
            asked.absent.push(place.address.to_string());
            continue;
        }
        match ask_one(&place, &spellings, within, options) {
            Ok(Ok(stream)) => {
                let kind = program.unwrap_or(place.program).kind();
                asked.found = Some(Opened::new(kind, Access::Stream(Box::new(stream))));
                break;
            }
            Ok(Err(engine)) => asked.without.push(engine),
            Err(error) => asked.failures.push(error),
        }
    }
    asked
}

/// The image, or the name of the engine that does not have it.
fn ask_one(
    place: &Place,
    spellings: &[Spelling],
    within: Duration,
    options: &EngineOptions,
) -> Result<Result<EngineStream, String>, SourceError> {
    let client = Client::new(&place.address, options)?;
    for spelling in spellings {
        if let Some(image) = client.describe(&spelling.asked, within)? {
            return Ok(Ok(EngineStream {
                client,
                image,
                reference: spelling.reference.clone(),
                limits: options.limits.clone(),
                archive: None,
            }));
        }
    }
    Ok(Err(client.engine().to_owned()))
}

/// A name under which an engine may have an image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spelling {
    asked: String,
    /// `None` where it is asked for by its id.
    reference: Option<Reference>,
}

/// The names to ask for, most likely first; none where `target` is neither a reference nor an id. They have no
/// character that means something in a URL.
fn spellings(target: &str) -> Vec<Spelling> {
    let id = Spelling {
        asked: target.to_owned(),
        reference: None,
    };
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let encoded = target.strip_prefix("sha256:").unwrap_or(target);
    if encoded.len() == 64 && is_hex(encoded) {
        return vec![id];
    }
    let named = |text: &str| {
        let reference = Reference::parse(text).ok()?;
        Some(Spelling {
            asked: reference.to_string(),
            reference: Some(reference),
        })
    };
    let Some(given) = named(target) else {
        return Vec::new();
    };
    let mut spellings = vec![given];
    // What Podman builds as `app` is `localhost/app`, which its Docker API finds by its whole name only.
    let has_registry = target
        .split_once('/')
        .is_some_and(|(first, _)| first == "localhost" || first.contains(['.', ':']));
    if !has_registry {
        spellings.extend(named(&format!("localhost/{target}")));
    }
    if target.len() >= 12 && is_hex(target) {
        spellings.push(id);
    }
    spellings
}

/// An image that an engine has. Nothing is exported before the first blob is asked for.
struct EngineStream {
    client: Client,
    image: Description,
    reference: Option<Reference>,
    limits: Limits,
    archive: Option<ArchiveStream>,
}

impl EngineStream {
    /// The manifest or index that the image was pulled or pushed by under the name asked for, as the engine says.
    fn digest(&self) -> Option<Digest> {
        let digests = self.image.digests();
        let mut digests = digests.iter().filter_map(|text| Reference::parse(text).ok());
        let found = match &self.reference {
            Some(reference) => match reference.digest() {
                Some(pinned) => return Digest::parse(pinned).ok(),
                None => digests.find(|found| found.name() == reference.name()),
            },
            None => digests.next(),
        };
        Digest::parse(found?.digest()?).ok()
    }
}

impl StreamSource for EngineStream {
    fn next_blob(&mut self) -> Result<Option<StreamBlob<'_>>, SourceError> {
        let archive = match self.archive.take() {
            Some(archive) => archive,
            None => {
                let export = self.client.export(&self.image)?;
                ArchiveStream::open(export, "the engine's export", None, &self.limits)?
            }
        };
        self.archive.insert(archive).next_blob()
    }

    fn resolve(&mut self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError> {
        let digest = self.digest();
        let Some(archive) = &mut self.archive else {
            return Err(SourceError::Engine {
                engine: self.client.engine().to_owned(),
                why: "nothing was read".to_owned(),
                kind: io::ErrorKind::Interrupted,
            });
        };
        let mut resolved = archive.resolve(platforms, limits)?;
        // What is exported by its id may come without its names.
        let mut names = self.image.tags();
        names.truncate(NAMES);
        if names.is_empty() {
            names.extend(self.reference.as_ref().map(Reference::to_string));
        }
        let unnamed = resolved.images.iter_mut().filter(|image| image.names.is_empty());
        unnamed.for_each(|image| image.names.clone_from(&names));
        if let Some(reference) = &self.reference {
            resolved.repository = Some(reference.name());
        }
        resolved.digest = digest.or(resolved.digest);
        Ok(resolved)
    }

    fn document(&self, key: &BlobKey) -> Option<&[u8]> {
        self.archive.as_ref()?.document(key)
    }
}

/// Names of one image that are listed. 100: build machines tag each build of an image that never changes.
const NAMES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str) -> Vec<String> {
        spellings(target)
            .into_iter()
            .map(|spelling| spelling.asked)
            .collect()
    }

    #[test]
    fn short_names_are_also_looked_for_where_podman_keeps_what_it_builds() {
        assert_eq!(
            asked("app"),
            ["docker.io/library/app:latest", "localhost/app:latest"]
        );
        assert_eq!(
            asked("acme/app:1"),
            ["docker.io/acme/app:1", "localhost/acme/app:1"]
        );
        assert_eq!(asked("localhost/app:1"), ["localhost/app:1"]);
        assert_eq!(
            asked("registry.example.com/app"),
            ["registry.example.com/app:latest"]
        );
        assert_eq!(asked("host:5000/app:1"), ["host:5000/app:1"]);
    }

    #[test]
    fn ids_are_asked_for_as_they_are() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(asked(&id), [id.as_str()]);
        let whole = format!("sha256:{id}");
        assert_eq!(asked(&whole), [whole.as_str()]);
        assert_eq!(asked(&id[..12]).last().unwrap(), &id[..12]);
    }

    #[test]
    fn what_would_mean_something_in_a_url_is_asked_nowhere() {
        for target in [
            "",
            "../containers/json",
            "app?all=1",
            "app#x",
            "a%2fb",
            "app:1/../..",
            "a b",
        ] {
            assert_eq!(asked(target), [""; 0], "{target}");
        }
    }
}
