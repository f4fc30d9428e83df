//! The file that holds what sweeps found: opened, checked, locked, made where it is missing. Asks it nothing; see
//! [`super::journal`] and [`super::answer`].

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// What the file says it is: `file` names it by this.
const APPLICATION: i32 = 0x4c53_5750;

/// The version of [`SCHEMA`]. A file of a newer one is refused; of an older one there is none yet.
const VERSION: i32 = 1;

/// 4 MiB of a state that is written are kept at hand, so that a long sweep takes hardly more memory than a short one. What
/// is written is seldom looked at again, and then the system has it.
const WRITER_CACHE: u64 = 4 << 20;

/// 64 MiB of a state that is read: questions are short.
const READER_CACHE: u64 = 64 << 20;

/// 1 GiB of a state that is read, as far as it is mapped.
const MAPPED_BYTES: u64 = 1 << 30;

const SCHEMA: &str = include_str!("schema.sql");

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database refuses something: a full disk, a damaged file.
    #[error("cannot use the state `{}`", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The file cannot be opened or made.
    #[error("cannot open the state `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another sweep writes it.
    #[error("another sweep is using the state `{}`", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It is not there.
    #[error("there is no state `{}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A newer layersift wrote it.
    #[error("the state `{}` is of version {found}, and this layersift knows version {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The version that is known.
        known: i32,
    },
    /// It is a file of something else.
    #[error("`{}` is no state of layersift", path.display())]
    NotAState {
        /// The file.
        path: PathBuf,
    },
    /// Its last sweep was made with other rules, or there was none.
    #[error("the state `{}` has no sweep with these rules and this version of layersift as its last", path.display())]
    OtherRules {
        /// The file.
        path: PathBuf,
    },
    /// It was made with another key.
    #[error("the state `{}` was made with another fingerprint key", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
}

impl StateError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Locked { .. } => "wait for it, or use another file with `--state`",
            Self::Missing { .. } => "`layersift sweep TARGET --state FILE` makes one",
            Self::Newer { .. } => "use the layersift that wrote it, or a newer one",
            Self::NotAState { .. } => "name the file that `--state` was given in the sweep",
            Self::OtherRules { .. } => "use the layersift and the `--rules` of `plan`",
            Self::WrongKey { .. } => {
                "give the key of the first sweep: the file STATE.key beside the state, or --fingerprint-key-file"
            }
            Self::Database { .. } | Self::Io { .. } => return None,
        })
    }
}

/// How SQLite keeps what is not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    /// In a log that readers read along with, by memory that processes share.
    Ahead,
    /// In a copy of what was there before: slower, and needs no memory that is shared.
    Rollback,
}

impl Log {
    /// What the file system of a file allows. *Source*: SQLite, "Write-Ahead Logging": all processes must be on one machine,
    /// and a log does not work over a network.
    fn of(path: &Path) -> Self {
        match is_on_a_network(path) {
            true => Self::Rollback,
            false => Self::Ahead,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ahead => "WAL",
            Self::Rollback => "DELETE",
        }
    }
}

/// An open state.
pub struct State {
    /// The connection.
    pub(super) connection: Connection,
    path: PathBuf,
    log: Log,
    /// Held while this process may write.
    _lock: Option<File>,
}

impl State {
    /// Opens a state to write, and makes it where it is missing. `key_check` tells the key that its secrets are sealed
    /// with. The file is for its owner alone.
    ///
    /// *Errors*: where another process writes it, where it is of a newer version, of another key, or something else.
    pub fn open(path: &Path, key_check: &[u8]) -> Result<Self, StateError> {
        Self::open_with(path, key_check, Log::of)
    }

    fn open_with(path: &Path, key_check: &[u8], log: fn(&Path) -> Log) -> Result<Self, StateError> {
        let io = |source| StateError::Io {
            path: path.to_path_buf(),
            source,
        };
        let lock = private(&beside(path, "lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::Locked {
                    path: path.to_path_buf(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        drop(private(path).map_err(io)?);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| database(path, error))?;
        let mut state = Self {
            connection,
            path: path.to_path_buf(),
            log: log(path),
            _lock: Some(lock),
        };
        state.prepare(key_check)?;
        Ok(state)
    }

    /// A state in memory that is gone with the process.
    ///
    /// *Errors*: where SQLite cannot be used at all.
    pub fn in_memory(key_check: &[u8]) -> Result<Self, StateError> {
        let path = PathBuf::from(":memory:");
        let connection = Connection::open_in_memory().map_err(|error| database(&path, error))?;
        let mut state = Self {
            connection,
            path,
            log: Log::Ahead,
            _lock: None,
        };
        state.prepare(key_check)?;
        Ok(state)
    }

    /// Opens a state to read, while a sweep may write it.
    ///
    /// *Errors*: as [`State::open`]; also where it is not there.
    pub fn read(path: &Path) -> Result<Self, StateError> {
        if !path.is_file() {
            return Err(StateError::Missing {
                path: path.to_path_buf(),
            });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .or_else(|_| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
            .map_err(|error| database(path, error))?;
        let state = Self {
            connection,
            path: path.to_path_buf(),
            log: Log::of(path),
            _lock: None,
        };
        state.check()?;
        // Questions go here and there in a large file. To map it is quicker than to read each page, on this machine's disks.
        let mapped = match state.log {
            Log::Ahead => MAPPED_BYTES,
            Log::Rollback => 0,
        };
        state.run(&format!(
            "PRAGMA query_only = ON; PRAGMA busy_timeout = 10000; PRAGMA cache_size = -{}; PRAGMA mmap_size = {mapped};",
            READER_CACHE >> 10
        ))?;
        Ok(state)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is on a file system of another machine, where it is written with more care and more slowly.
    pub fn is_on_a_network(&self) -> bool {
        self.log == Log::Rollback
    }

    /// Whether secrets of this state were sealed with the key of this check.
    pub fn is_of_key(&self, key_check: &[u8]) -> Result<bool, StateError> {
        let stored: Vec<u8> = self
            .connection
            .query_row("SELECT key_check FROM install", [], |row| row.get(0))
            .map_err(|error| self.failed(error))?;
        Ok(stored == key_check)
    }

    pub(super) fn failed(&self, source: rusqlite::Error) -> StateError {
        database(&self.path, source)
    }

    fn prepare(&mut self, key_check: &[u8]) -> Result<(), StateError> {
        self.connection
            .busy_timeout(Duration::from_secs(10))
            .map_err(|error| database(&self.path, error))?;
        let is_new = self.is_empty()?;
        if !is_new {
            self.check()?;
        }
        // FULL: a verdict that was told must survive a power cut.
        self.run(&format!(
            "PRAGMA journal_mode = {}; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
             PRAGMA cache_size = -{};",
            self.log.name(),
            WRITER_CACHE >> 10
        ))?;
        if is_new {
            let path = self.path.clone();
            let make = |connection: &mut Connection| {
                let transaction = connection.transaction()?;
                transaction.execute_batch(SCHEMA)?;
                transaction.execute("INSERT INTO install(id, key_check) VALUES(1, ?1)", [key_check])?;
                transaction.pragma_update(None, "application_id", APPLICATION)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
                transaction.commit()
            };
            make(&mut self.connection).map_err(|error| database(&path, error))?;
        }
        if !self.is_of_key(key_check)? {
            return Err(StateError::WrongKey {
                path: self.path.clone(),
            });
        }
        Ok(())
    }

    fn is_empty(&self) -> Result<bool, StateError> {
        let count: i64 = self
            .connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(|error| match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::NotADatabase) => StateError::NotAState {
                    path: self.path.clone(),
                },
                _ => self.failed(error),
            })?;
        Ok(count == 0)
    }

    fn check(&self) -> Result<(), StateError> {
        let path = || self.path.clone();
        let number = |pragma: &str| -> Result<i32, StateError> {
            self.connection
                .pragma_query_value(None, pragma, |row| row.get(0))
                .map_err(|error| match error.sqlite_error_code() {
                    Some(rusqlite::ErrorCode::NotADatabase) => StateError::NotAState { path: path() },
                    _ => self.failed(error),
                })
        };
        if number("application_id")? != APPLICATION {
            return Err(StateError::NotAState { path: path() });
        }
        match number("user_version")? {
            VERSION => Ok(()),
            found => Err(StateError::Newer {
                path: path(),
                found,
                known: VERSION,
            }),
        }
    }

    fn run(&self, text: &str) -> Result<(), StateError> {
        self.connection
            .execute_batch(text)
            .map_err(|error| self.failed(error))
    }
}

fn database(path: &Path, source: rusqlite::Error) -> StateError {
    StateError::Database {
        path: path.to_path_buf(),
        source,
    }
}

/// `path.ending`, whatever endings it has.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Whether a file is on a file system of another machine, as far as this one says.
#[cfg(target_os = "linux")]
fn is_on_a_network(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|system| is_of_a_network(system.f_type as u32))
}

#[cfg(not(target_os = "linux"))]
fn is_on_a_network(_path: &Path) -> bool {
    false
}

/// Whether a type of file system is one over a network. *Source*: Linux, `include/uapi/linux/magic.h`, statfs(2).
#[cfg(target_os = "linux")]
fn is_of_a_network(kind: u32) -> bool {
    matches!(
        kind,
        0x0000_517b // SMB
            | 0x0000_564c // NCP
            | 0x0000_6969 // NFS
            | 0x00c3_6400 // Ceph
            | 0x0102_1997 // 9p
            | 0x0116_1970 // GFS2
            | 0x0bd0_0bd0 // Lustre
            | 0x5346_414f // AFS
            | 0x6573_5546 // FUSE: sshfs, s3fs, and local ones that cannot be told from them
            | 0x6b41_4653 // AFS of the kernel
            | 0x7375_7245 // Coda
            | 0x7461_636f // OCFS2
            | 0xfe53_4d42 // SMB 2
            | 0xff53_4d42 // CIFS
    )
}

/// Opens a file that only its owner may read, and makes it where it is missing.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn a_second_writer_is_refused_and_a_reader_is_not() {
        let folder = folder();
        let path = folder.path().join("state.db");
        let first = State::open(&path, b"key").unwrap();
        assert!(matches!(
            State::open(&path, b"key"),
            Err(StateError::Locked { .. })
        ));
        State::read(&path).unwrap();
        drop(first);
        State::open(&path, b"key").unwrap();
    }

    #[test]
    fn a_state_of_another_key_version_or_kind_is_refused() {
        let folder = folder();
        let path = folder.path().join("state.db");
        drop(State::open(&path, b"key").unwrap());
        assert!(matches!(
            State::open(&path, b"other"),
            Err(StateError::WrongKey { .. })
        ));
        let connection = Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "user_version", VERSION + 1)
            .unwrap();
        drop(connection);
        for result in [State::open(&path, b"key"), State::read(&path)] {
            assert!(matches!(
                result,
                Err(StateError::Newer {
                    found: 2,
                    known: 1,
                    ..
                })
            ));
        }
        let text = folder.path().join("notes.txt");
        std::fs::write(
            &text,
            "not a database, but long enough to be told from an empty one".repeat(20),
        )
        .unwrap();
        assert!(matches!(
            State::open(&text, b"key"),
            Err(StateError::NotAState { .. })
        ));
        assert!(matches!(State::read(&text), Err(StateError::NotAState { .. })));
        let none = folder.path().join("none.db");
        assert!(matches!(State::read(&none), Err(StateError::Missing { .. })));
    }

    fn pragma(connection: &Connection, name: &str) -> String {
        let value = connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        match value.unwrap() {
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_state_on_a_network_has_no_log_that_processes_share_and_loses_nothing_either() {
        let folder = folder();
        let path = folder.path().join("state.db");
        let far = State::open_with(&path, b"key", |_| Log::Rollback).unwrap();
        assert!(far.is_on_a_network());
        assert_eq!(pragma(&far.connection, "journal_mode"), "delete");
        assert_eq!(pragma(&far.connection, "synchronous"), "Integer(2)", "FULL");
        assert!(!folder.path().join("state.db-wal").exists());
        let reader = State::read(&path).unwrap();
        assert!(reader.is_of_key(b"key").unwrap());
        drop((far, reader));
        // Copied to this machine, it has one.
        let near = State::open_with(&path, b"key", |_| Log::Ahead).unwrap();
        assert!(!near.is_on_a_network());
        assert_eq!(pragma(&near.connection, "journal_mode"), "wal");
        assert_eq!(pragma(&near.connection, "synchronous"), "Integer(2)", "FULL");
        drop(near);
        let far = State::open_with(&path, b"key", |_| Log::Rollback).unwrap();
        assert_eq!(pragma(&far.connection, "journal_mode"), "delete");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_systems_of_other_machines_are_told_from_local_ones() {
        for (kind, is_far) in [
            (0x6969, true),
            (0xff53_4d42, true),
            (0xef53, false),
            (0x794c_7630, false),
            (0x0102_1994, false),
        ] {
            assert_eq!(is_of_a_network(kind), is_far, "{kind:x}");
        }
        assert!(!is_on_a_network(folder().path()));
    }

    #[cfg(unix)]
    #[test]
    fn its_files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder();
        let path = folder.path().join("state.db");
        let _state = State::open(&path, b"key").unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
            assert_eq!(mode, 0, "{:?}", entry.file_name());
        }
    }
}
