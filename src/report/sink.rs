//! Where a report goes: a file replaced whole, a folder of parts, a pipe, memory. Does not know formats.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::finding::Reveal;

/// What a reporter writes its parts into.
pub trait Sink {
    /// Whether parts become files of their own. Where not, a reporter writes exactly one.
    fn is_divided(&self) -> bool;

    /// Writes one part. `name` is a plain file name with its ending; a sink that is not divided ignores it.
    ///
    /// *Errors*: those of `write` and of the place, which they name. After an error, a regular file is what it was
    /// before.
    fn part(&mut self, name: &str, write: WritePart<'_>) -> io::Result<()>;
}

/// Writes one part's bytes.
pub type WritePart<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// A sink outside of this process.
pub struct Output {
    place: Place,
    reveal: Reveal,
}

enum Place {
    Folder(PathBuf),
    Path(PathBuf),
    Stream(&'static str, Box<dyn Write>),
}

impl Output {
    /// A place in the file system: a folder where `path` ends in a separator or is one, which takes one file per
    /// part; else a file.
    ///
    /// A regular file is written beside its place and moved there when it is complete and on disk, so that no reader
    /// and no crash ever meets half of one. With [`Reveal::Plain`] it is for its owner alone (0600). A link is
    /// followed. Devices and pipes are opened in place.
    pub fn path(path: &Path, reveal: Reveal) -> Self {
        let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir();
        let place = if is_folder { Place::Folder } else { Place::Path };
        Self {
            place: place(path.to_path_buf()),
            reveal,
        }
    }

    /// A stream that is open already, such as standard output; `name` is for errors.
    pub fn stream(name: &'static str, stream: Box<dyn Write>) -> Self {
        Self {
            place: Place::Stream(name, stream),
            reveal: Reveal::Redacted,
        }
    }
}

impl Sink for Output {
    fn is_divided(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    fn part(&mut self, name: &str, write: WritePart<'_>) -> io::Result<()> {
        match &mut self.place {
            Place::Folder(folder) => {
                let path = folder.join(name);
                if path.file_name() != Some(name.as_ref()) {
                    let error = io::Error::new(io::ErrorKind::InvalidInput, "a part needs a plain file name");
                    return Err(at(&path, error));
                }
                fs::create_dir_all(&*folder).map_err(|error| at(folder, error))?;
                write_path(&path, self.reveal, write).map_err(|error| at(&path, error))
            }
            Place::Path(path) => write_path(path, self.reveal, write).map_err(|error| at(path, error)),
            Place::Stream(name, stream) => {
                buffered(stream, write).map_err(|error| at(Path::new(name), error))
            }
        }
    }
}

/// Whether whoever read the report went away: `layersift … | head` is no failure worth a message.
pub fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Keeps a report in memory, one entry per part.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    /// Name and bytes of each part, in order of writing.
    pub parts: Vec<(String, Vec<u8>)>,
    /// Whether it asks for one part per image.
    pub divided: bool,
}

impl Sink for Buffer {
    fn is_divided(&self) -> bool {
        self.divided
    }

    fn part(&mut self, name: &str, write: WritePart<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        self.parts.push((name.to_owned(), bytes));
        Ok(())
    }
}

/// Names the place of an error.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", crate::text::escape(self.place.as_os_str().as_encoded_bytes()))]
struct WriteError {
    place: PathBuf,
    #[source]
    source: io::Error,
}

fn at(place: &Path, source: io::Error) -> io::Error {
    io::Error::new(
        source.kind(),
        WriteError {
            place: place.to_path_buf(),
            source,
        },
    )
}

fn write_path(path: &Path, reveal: Reveal, write: WritePart<'_>) -> io::Result<()> {
    // `/dev/stdout` may lead to a regular file that the shell holds open; replacing that file would leave the
    // shell with the old one.
    let is_device = path.starts_with("/dev") || path.starts_with("/proc");
    match fs::metadata(path) {
        Ok(metadata) if is_device || !metadata.is_file() => {
            buffered(&mut OpenOptions::new().write(true).open(path)?, write)
        }
        Ok(_) => replace(&fs::canonicalize(path)?, reveal, write),
        Err(error) if error.kind() == io::ErrorKind::NotFound => replace(path, reveal, write),
        Err(error) => Err(error),
    }
}

fn replace(path: &Path, reveal: Reveal, write: WritePart<'_>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".layersift-").suffix(".tmp");
    #[cfg(unix)]
    if reveal == Reveal::Redacted {
        use std::os::unix::fs::PermissionsExt as _;
        // As any program makes a file; the umask takes its part. Without this the mode is 0600.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    if !folder.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "its folder does not exist",
        ));
    }
    // The error names the temporary file, which means nothing to whoever asked for another one.
    let mut file = builder
        .tempfile_in(folder)
        .map_err(|error| io::Error::from(error.kind()))?;
    buffered(file.as_file_mut(), write)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Makes the new name last. Only Unix can open a folder as a file.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn buffered(out: &mut dyn Write, write: WritePart<'_>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    let written = write(&mut out).and_then(|()| out.flush());
    // A buffer that is dropped tries to write its rest once more; after an error that could block or mix streams.
    let (_, _) = out.into_parts();
    written
}
