//! Where images come from. A source gives documents and blobs as they are stored, unverified; it interprets no
//! layer and keeps nothing on disk.
//!
//! Two shapes: a [`Source`] answers in any order (registries, layouts, archives on disk); a [`StreamSource`] gives
//! each blob once, in the order it arrives (standard input, an engine's export).

mod docker_archive;
pub mod engine;
mod error;
mod interruptible;
mod members;
mod network;
mod oci_layout;
pub mod registry;
mod saved;
mod stream;
#[cfg(test)]
mod tests;
pub mod walk;

pub use docker_archive::ArchiveSource;
pub use error::SourceError;
pub use oci_layout::LayoutSource;
pub use stream::ArchiveStream;

use std::fs::File;
use std::io::{self, Cursor, IsTerminal as _, Read};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use interruptible::Interruptible;

use crate::content::decode::Codec;
use crate::limits::Limits;
use crate::oci::{BlobKey, Descriptor, Digest, Image, Platform, PlatformSelector, Reference};

/// A source that can be asked for any blob at any time.
pub trait Source: Send + Sync {
    /// Finds out what the target is: its images, platforms, attestations.
    ///
    /// *Errors*: where nothing of the target can be told. What can be had although something else cannot is in
    /// [`Resolved::problems`].
    fn resolve(&self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError>;

    /// Opens one blob. Bytes are as stored, usually compressed, and unverified: the caller checks digest and size.
    ///
    /// `descriptor` is what the manifest says of it. The reader may block on the network; dropping it ends the
    /// transfer.
    fn blob(
        &self,
        key: &BlobKey,
        descriptor: Option<&Descriptor>,
    ) -> Result<Box<dyn Read + Send>, SourceError>;

    /// How many blobs may be read at the same time.
    fn parallel(&self) -> usize {
        4
    }

    /// Tells the source that what it gave last as `key` was not what the digest says. True where it can be had from
    /// elsewhere, so that opening it once more is worth it.
    fn distrust(&self, _key: &BlobKey) -> bool {
        false
    }

    /// What has come up so far that lost nothing and should be in the report: a mirror that failed, a warning of the
    /// registry.
    fn notes(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// A source that can be read once, from its beginning to its end.
pub trait StreamSource: Send {
    /// The next blob that is not a small document, or `None` at the end of the stream. The blob before it must have
    /// been read to its end; what was not read of it is skipped.
    fn next_blob(&mut self) -> Result<Option<StreamBlob<'_>>, SourceError>;

    /// What the stream held, once it is at its end (or broke: then what can be told from the part that was read).
    fn resolve(&mut self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError>;

    /// A small document that was kept in memory instead of being given out as a blob.
    fn document(&self, key: &BlobKey) -> Option<&[u8]>;
}

/// A blob of a stream.
pub struct StreamBlob<'a> {
    /// How the stream names it; [`Resolved`] uses the same key, links already followed.
    pub key: BlobKey,
    /// The bytes as stored.
    pub reader: Box<dyn Read + Send + 'a>,
    /// Their number, where the stream says so.
    pub size: Option<u64>,
}

/// What a target turned out to be.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// `registry/repository` without tag and digest, where the target has such a name.
    pub repository: Option<String>,
    /// The digest of the index, where the target is one.
    pub index: Option<Digest>,
    /// What the target's name pointed at when it was resolved: an index or a manifest.
    pub digest: Option<Digest>,
    /// The images of the chosen platforms, and artifacts.
    pub images: Vec<Image>,
    /// Platforms that were not chosen.
    pub not_chosen: Vec<Platform>,
    /// What could not be had: each makes the scan incomplete.
    pub problems: Vec<Problem>,
}

/// Something of a target that could not be read.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What: `manifest sha256:… (linux/arm64)`.
    pub what: String,
    /// Why not, for a person.
    pub why: String,
    /// A stable name: `digest-mismatch`, `document-size`, `not-found`, `ambiguous-manifest`, …
    pub reason: &'static str,
}

/// A source that is ready to be read.
pub struct Opened {
    /// Which kind of source it is: `registry`, `docker-daemon`, `podman`, `docker-archive`, `oci-layout`,
    /// `oci-archive`, `stdin`.
    pub kind: &'static str,
    /// How it can be read.
    pub access: Access,
    /// Why sources that should have been asked before this one were not.
    pub passed_over: Vec<SourceError>,
}

impl Opened {
    fn new(kind: &'static str, access: Access) -> Self {
        Self {
            kind,
            access,
            passed_over: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What opening a source needs to know.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Caps on what is read while opening.
    pub limits: Limits,
    /// How registries are spoken to.
    pub registry: registry::RegistryOptions,
    /// How engines of this machine are found. Its limits and its flag are those of these options.
    pub engine: engine::EngineOptions,
    /// Who gives an image that has no prefix; `None` for an engine that has it, else its registry.
    pub from: Option<Provider>,
    /// Ends the wait for a pipe that sends nothing, soon after it is set.
    pub cancelled: Arc<AtomicBool>,
}

/// Who gives an image that has no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// An engine of this machine.
    Engine,
    /// The registry in its name.
    Registry,
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "engine" => Ok(Self::Engine),
            "registry" => Ok(Self::Registry),
            _ => Err("expected `engine` or `registry`".to_owned()),
        }
    }
}

/// A kind of source, as help and documentation list it.
pub struct Row {
    /// The name in reports.
    pub kind: &'static str,
    /// What a target begins with to be read as this kind.
    pub prefix: &'static str,
    /// How a target of this kind is written.
    pub form: &'static str,
    /// One line about it.
    pub description: &'static str,
    open: fn(&str, &OpenOptions) -> Result<Opened, SourceError>,
}

/// Every kind of source. A target without a prefix is recognised by what it is; see [`open`].
pub const TABLE: &[Row] = &[
    Row {
        kind: "registry",
        prefix: "docker://",
        form: "docker://REFERENCE",
        description: "an image in a registry, pulled without an engine",
        open: open_registry,
    },
    Row {
        kind: "docker-daemon",
        prefix: "docker-daemon:",
        form: "docker-daemon:NAME",
        description: "an image of the Docker engine on this machine, exported by it",
        open: |target, options| open_engine(target, Some(engine::Program::Docker), options),
    },
    Row {
        kind: "podman",
        prefix: "podman:",
        form: "podman:NAME",
        description: "an image of Podman on this machine, exported by its service",
        open: |target, options| open_engine(target, Some(engine::Program::Podman), options),
    },
    Row {
        kind: "docker-archive",
        prefix: "docker-archive:",
        form: "docker-archive:PATH[:NAME]",
        description: "a file written by `docker save` or `podman save`",
        open: open_archive,
    },
    Row {
        kind: "oci-archive",
        prefix: "oci-archive:",
        form: "oci-archive:PATH[:NAME]",
        description: "a tar of an OCI image layout",
        open: open_archive,
    },
    Row {
        kind: "oci-layout",
        prefix: "oci:",
        form: "oci:PATH[:NAME|@DIGEST]",
        description: "a directory that is an OCI image layout",
        open: open_layout,
    },
    Row {
        kind: "stdin",
        prefix: "-",
        form: "-",
        description: "an archive on standard input, compressed or not",
        open: open_stdin,
    },
];

/// Opens what `target` names: by its prefix of [`TABLE`]; `-` as standard input; an existing directory as a layout,
/// an existing file as an archive; anything else as a reference. That is the image of this name in an engine of this
/// machine, where one answers and has it, or else in its registry; [`OpenOptions::from`] decides it.
///
/// An engine that cannot be asked is passed over, and [`Opened::passed_over`] says so. One that has the image and
/// then fails is an error: what the registry has under that name may be another image.
///
/// An archive on disk that is compressed is read as a stream, once from its beginning to its end.
///
/// *Errors*: [`SourceError::NotAnImage`] where a file or directory is something else, [`SourceError::NoSuchFile`]
/// where a path does not exist, [`SourceError::NoTarget`] where a target is neither a path nor a reference.
pub fn open(target: &str, options: &OpenOptions) -> Result<Opened, SourceError> {
    if target == "-" {
        return open_stdin(target, options);
    }
    let mut prefixed = TABLE.iter().filter(|row| row.kind != "stdin");
    if let Some(row) = prefixed.find(|row| target.starts_with(row.prefix)) {
        return (row.open)(&target[row.prefix.len()..], options);
    }
    let path = Path::new(target);
    // Who says where it is from says that it is an image.
    if options.from.is_some() && !is_path(target) {
        return open_reference(target, options);
    }
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => open_layout(target, options).map_err(|error| match error {
            SourceError::NotAnImage { what, why } => SourceError::NotAnImage {
                what,
                why: format!("{why}; write `docker://NAME` if an image of that name is meant"),
            },
            error => error,
        }),
        Ok(_) => open_archive(target, options),
        Err(_) if is_path(target) => Err(SourceError::NoSuchFile {
            what: docker_archive::escaped(path),
        }),
        Err(_) => open_reference(target, options),
    }
}

/// The registry, `host[:port]`, that [`open`] would ask for `target`; `None` where it is something else.
pub fn registry_of(target: &str) -> Option<String> {
    let prefix = TABLE.iter().find(|row| row.kind == "registry")?.prefix;
    let others = TABLE.iter().filter(|row| row.kind != "registry");
    let name = match target.strip_prefix(prefix) {
        Some(name) => name,
        None if others.clone().any(|row| target.starts_with(row.prefix)) => return None,
        None if is_path(target) || Path::new(target).exists() => return None,
        None => target,
    };
    Some(Reference::parse(name).ok()?.registry().to_owned())
}

/// `target` as it may be printed: escaped, and without the `user:password@` that some write before a host.
pub fn printable(target: &str) -> String {
    let (scheme, rest) = target.split_once("://").map_or(("", target), |(_, rest)| {
        target.split_at(target.len() - rest.len())
    });
    let host = rest.split('/').next().unwrap_or(rest);
    // In `name@sha256:…` the sign is behind the last slash, or what follows it is a digest. A host with a port has the
    // shape of one too, of an algorithm that nobody knows.
    let is_digest = |after: &str| Digest::parse(after).is_ok_and(|digest| digest.algorithm().is_some());
    let secret = match host.rsplit_once('@') {
        Some((user, after)) if !is_digest(after) && rest.len() > host.len() => user.len() + 1,
        _ => 0,
    };
    crate::text::escape(format!("{scheme}{}", &rest[secret..]).as_bytes())
}

fn open_reference(target: &str, options: &OpenOptions) -> Result<Opened, SourceError> {
    let asked = match options.from {
        Some(Provider::Engine) => return open_engine(target, None, options),
        Some(Provider::Registry) => engine::Asked::default(),
        None => {
            let within = options.limits.engine_answer_timeout;
            engine::ask(target, None, within, &engine_options(options))
        }
    };
    let opened = match asked.found {
        Some(found) => found,
        None => open_registry(target, options)?,
    };
    Ok(Opened {
        passed_over: asked.failures,
        ..opened
    })
}

fn open_engine(
    target: &str,
    program: Option<engine::Program>,
    options: &OpenOptions,
) -> Result<Opened, SourceError> {
    engine::open(target, program, &engine_options(options))
}

fn engine_options(options: &OpenOptions) -> engine::EngineOptions {
    let docker_config = options.engine.docker_config.clone();
    engine::EngineOptions {
        host: options.engine.host.clone(),
        docker_config: docker_config.or_else(|| options.registry.docker_config.clone()),
        limits: options.limits.clone(),
        cancelled: Arc::clone(&options.cancelled),
    }
}

fn open_registry(target: &str, options: &OpenOptions) -> Result<Opened, SourceError> {
    let reference = Reference::parse(target).map_err(|error| SourceError::NoTarget {
        what: format!("`{}`", printable(target)),
        why: error.reason,
    })?;
    let options = registry::RegistryOptions {
        limits: options.limits.clone(),
        ..options.registry.clone()
    };
    Ok(Opened::new(
        "registry",
        Access::Random(Box::new(registry::open(&reference, &options)?)),
    ))
}

fn open_archive(target: &str, options: &OpenOptions) -> Result<Opened, SourceError> {
    let (path, choice) = split_choice(target);
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SourceError::NoSuchFile {
            what: docker_archive::escaped(path),
        },
        _ => SourceError::Io {
            what: docker_archive::escaped(path),
            source,
        },
    };
    let not_an_image = |why: &str| SourceError::NotAnImage {
        what: docker_archive::escaped(path),
        why: why.to_owned(),
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(not_an_image(
            "it is a directory; write `oci:PATH` for an OCI layout",
        ));
    }
    let mut head = Vec::new();
    Read::by_ref(&mut file)
        .take(512)
        .read_to_end(&mut head)
        .map_err(unreadable)?;
    if head.is_empty() {
        return Err(not_an_image("it is empty"));
    }
    let is_compressed = Codec::of(&head) != Codec::Plain;
    // A pipe or a device has no second reading.
    if is_compressed || !metadata.is_file() {
        let file: Box<dyn Read + Send> = if metadata.is_file() {
            Box::new(file)
        } else {
            Box::new(Interruptible::new(file, Arc::clone(&options.cancelled)))
        };
        let input = Box::new(Cursor::new(head).chain(file));
        let name = docker_archive::escaped(path);
        let stream = ArchiveStream::open(input, &name, choice.map(str::to_owned), &options.limits)?;
        return Ok(Opened::new("docker-archive", Access::Stream(Box::new(stream))));
    }
    if !members::begins_archive(&head, &options.limits) {
        return Err(not_an_image("it is no tar archive"));
    }
    let archive = ArchiveSource::open(path, choice.map(str::to_owned), &options.limits)?;
    Ok(Opened::new(archive.kind(), Access::Random(Box::new(archive))))
}

fn open_layout(target: &str, _: &OpenOptions) -> Result<Opened, SourceError> {
    let (path, choice) = split_choice(target);
    let layout = LayoutSource::open(path, choice.map(str::to_owned))?;
    Ok(Opened::new("oci-layout", Access::Random(Box::new(layout))))
}

fn open_stdin(_: &str, options: &OpenOptions) -> Result<Opened, SourceError> {
    const NAME: &str = "standard input";
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(SourceError::NotAnImage {
            what: NAME.to_owned(),
            why: "it is a terminal; write `docker save IMAGE | layersift scan -`".to_owned(),
        });
    }
    let input = Interruptible::new(stdin, Arc::clone(&options.cancelled));
    let stream = ArchiveStream::open(Box::new(input), NAME, None, &options.limits)?;
    Ok(Opened::new("stdin", Access::Stream(Box::new(stream))))
}

/// Splits `PATH:NAME` and `PATH@DIGEST`. A path that exists as it stands has no such suffix.
fn split_choice(target: &str) -> (&Path, Option<&str>) {
    if Path::new(target).exists() {
        return (Path::new(target), None);
    }
    // The name may have colons of its own, as `registry.example.com:443/app:1` has.
    let splits = target
        .match_indices([':', '@'])
        .map(|(at, _)| target.split_at(at));
    let mut existing = splits.filter(|(path, _)| Path::new(path).exists());
    match existing.next() {
        Some((path, choice)) => (Path::new(path), Some(&choice[1..])),
        None => (Path::new(target), None),
    }
}

/// Whether a target that does not exist was meant as a path.
fn is_path(target: &str) -> bool {
    if target.ends_with('/') {
        return true;
    }
    let endings = [".tar", ".tgz", ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2"];
    target.starts_with(['/', '.', '~']) || endings.iter().any(|ending| target.ends_with(ending))
}

/// The two shapes of a source.
pub enum Access {
    /// Any blob at any time.
    Random(Box<dyn Source>),
    /// Each blob once.
    Stream(Box<dyn StreamSource>),
}
