//! Opens an archive or a compressed stream that was found inside a file: bytes in, members out. Recognises by content,
//! never by name; searches nothing, writes nothing, and opens no member of a member: see `layer` for that.
//!
//! tar is recognised but not opened here: its regions are what the whole layer is framed by already.

mod ar;
mod cpio;
mod format;
mod rpm;
mod seven_zip;
mod stream;
#[cfg(test)]
mod tests;
mod zip;

pub use format::Format;
pub(in crate::content) use stream::Inflated;

use std::io::{self, Read};

use crate::content::{git, pyc, sqlite};
use crate::limits::{LimitHit, Limits};

/// What bytes an archive is read from.
pub enum Source<'s> {
    /// All of it, in memory.
    Whole(&'s [u8]),
    /// From its first byte on, once.
    Once(&'s mut dyn Read),
}

impl Source<'_> {
    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Once(reader) => *reader,
        }
    }

    /// All of it, for what cannot be read from front to back.
    fn whole(&self) -> Result<&[u8], OpenError> {
        match self {
            Self::Whole(bytes) => Ok(bytes),
            Self::Once(_) => Err(Refusal::Limit(LimitHit::RandomAccess).into()),
        }
    }
}

/// One step into an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'n> {
    /// A member, by its name as stored.
    Member(&'n [u8]),
    /// The stream that was compressed: `gzip`, `xz`, …
    Stream(&'static str),
    /// One of many versions of a file: a name that ends with a colon and the path, and which commit it is first in, by
    /// age.
    Version(&'n [u8], u32),
}

/// Is given what an archive holds, in the order of the archive.
pub trait Members {
    /// A member and its content, of which as much is read as is wanted; the rest is passed over. An error ends the
    /// opening of the archive and is handed back by [`open`] as [`OpenError::Content`].
    fn member(&mut self, step: Step<'_>, content: &mut dyn Read) -> io::Result<()>;

    /// A member that cannot be opened, or not to its end; the next ones can.
    fn refused(&mut self, name: &[u8], refusal: Refusal);
}

/// Why an archive or a member cannot be opened. What could be read before was given to [`Members`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It takes a password.
    #[error("encrypted")]
    Encrypted,
    /// A limit was met.
    #[error("over the limit `{0}`")]
    Limit(LimitHit),
    /// It is not what its first bytes promise.
    #[error("{0}")]
    Malformed(String),
    /// It ends early.
    #[error("it ends early")]
    Truncated,
    /// The format or the method is known but not supported.
    #[error("{0} is not supported")]
    Unsupported(String),
}

impl Refusal {
    /// The stable name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted-archive",
            Self::Limit(limit) => limit.name(),
            Self::Malformed(_) => "malformed-archive",
            Self::Truncated => "truncated-archive",
            Self::Unsupported(_) => "unsupported-archive",
        }
    }

    pub(in crate::content) fn malformed(what: &str) -> Self {
        Self::Malformed(what.to_owned())
    }
}

/// Why opening ended before the end of the archive.
#[derive(Debug)]
pub enum OpenError {
    /// The source could not be read on, or [`Members::member`] did not want to.
    Content(io::Error),
    /// The archive itself.
    Refused(Refusal),
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Opens an archive of this format and hands its members over. A key store has none.
///
/// Bytes behind the end of the archive are not read. Names longer than [`Limits::path_bytes`] end the archive.
/// *Errors*: [`OpenError::Refused`] where the archive cannot be opened, or not to its end.
pub fn open(
    format: Format,
    mut source: Source<'_>,
    limits: &Limits,
    members: &mut dyn Members,
) -> Result<(), OpenError> {
    match format {
        Format::Ar => ar::open(source.reader(), limits, members),
        Format::Compressed(codec) => stream::open(codec, source, limits, members),
        Format::Cpio => cpio::open(source.reader(), limits, members),
        Format::GitObject => git::open_object(source.reader(), members),
        Format::GitPack => git::open_pack(source.whole()?, limits, members),
        Format::KeyStore => Ok(()),
        Format::Pyc => pyc::open(source.whole()?, members),
        Format::Rpm => rpm::open(source.reader(), members),
        Format::SevenZip => seven_zip::open(source.whole()?, limits, members),
        Format::Sqlite => sqlite::open(source.whole()?, limits, members),
        Format::Tar => unreachable!("tar archives are framed, not opened"),
        Format::Unsupported(name) => Err(Refusal::Unsupported(name.to_owned()).into()),
        Format::Zip => zip::open(source.whole()?, limits, members),
        Format::Zlib => stream::open_zlib(source.reader(), members),
    }
}

/// A source that is read once, with the difference between its end and an error.
struct Input<'s>(&'s mut dyn Read);

impl Input<'_> {
    /// Reads as much of `out` as there is.
    fn fill(&mut self, out: &mut [u8]) -> Result<usize, OpenError> {
        let mut filled = 0;
        while filled < out.len() {
            match self.0.read(&mut out[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(OpenError::Content(error)),
            }
        }
        Ok(filled)
    }

    /// Reads all of `out`.
    fn exact(&mut self, out: &mut [u8]) -> Result<(), OpenError> {
        if self.fill(out)? < out.len() {
            return Err(Refusal::Truncated.into());
        }
        Ok(())
    }

    /// Reads a name of a length that the archive says, `most` at most.
    fn name(&mut self, length: u64, most: u64) -> Result<Vec<u8>, OpenError> {
        if length > most {
            return Err(Refusal::malformed("a name is too long").into());
        }
        let mut name = vec![0; length as usize];
        self.exact(&mut name)?;
        Ok(name)
    }

    /// Passes over bytes.
    fn skip(&mut self, count: u64) -> Result<(), OpenError> {
        let skipped =
            io::copy(&mut (&mut *self.0).take(count), &mut io::sink()).map_err(OpenError::Content)?;
        if skipped < count {
            return Err(Refusal::Truncated.into());
        }
        Ok(())
    }

    /// Hands over the next `length` bytes as a member, whatever it reads of them.
    fn member(&mut self, name: &[u8], length: u64, members: &mut dyn Members) -> Result<(), OpenError> {
        let mut content = (&mut *self.0).take(length);
        members
            .member(Step::Member(name), &mut content)
            .map_err(OpenError::Content)?;
        let left = content.limit();
        self.skip(left)
    }
}
