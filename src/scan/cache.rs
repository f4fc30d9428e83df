//! Records of layers in a folder, so that a layer is read once and not again for the next image that has it. Holds no
//! secret, and nothing that was not verified against its digest.
//!
//! A record is named by the digest of its layer and by all it depends on besides: the rules, the version, the limits and
//! the key its secrets are sealed with. What was made otherwise is another file, which ages and goes.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::layer::{LayerRecord, Severeness};
use crate::limits::Limits;
use crate::oci::Digest;
use crate::rules::RuleSet;
use crate::text::{self, secret::Sealer};

/// Tells tools that make backups to pass the folder over. *Source*: the Cache Directory Tagging Specification.
const TAG: (&str, &str) = ("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");

/// What files of records end in.
const ENDING: &str = "layer";

/// Records of layers in a folder.
pub struct Cache {
    folder: PathBuf,
    /// What records depend on besides their layers.
    terms: String,
    sealer: Sealer,
    most_bytes: u64,
    trouble: Mutex<Option<io::Error>>,
}

impl Cache {
    /// Makes the folder of a cache, if it is not there, for its owner only.
    ///
    /// *Errors*: it cannot be made or written to.
    pub fn make(folder: &Path) -> io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        // What has something else in it may be worth a backup.
        if std::fs::read_dir(folder)?.next().is_none() {
            std::fs::write(folder.join(TAG.0), TAG.1)?;
        }
        Ok(())
    }

    /// The cache in a folder that was made, for scans with these rules and limits. `sealer` is one of the fingerprinter's.
    pub fn new(folder: &Path, rules: &RuleSet, limits: &Limits, sealer: Sealer) -> Self {
        let key = text::hex(&sealer.identity(b"layersift cache"));
        let same = Limits {
            cache_bytes: 0,
            ..limits.clone()
        };
        Self {
            folder: folder.to_owned(),
            terms: format!("{}\n{key}\n{same:?}", rules.hash()),
            sealer,
            most_bytes: limits.cache_bytes,
            trouble: Mutex::default(),
        }
    }

    /// Removes all records of a cache, whatever they were made with, and says how many.
    ///
    /// *Errors*: the folder cannot be read, or a file cannot be removed.
    pub fn clear(folder: &Path) -> io::Result<usize> {
        let records = records(folder)?;
        for record in &records {
            std::fs::remove_file(&record.path)?;
        }
        Ok(records.len())
    }

    /// Why something could not be kept, the first time.
    pub fn trouble(&self) -> Option<io::Error> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// What is known of a layer. A record that is damaged is as good as none.
    pub(super) fn record(&self, digest: &Digest) -> Option<LayerRecord> {
        let path = self.path(digest);
        let bytes = std::fs::read(&path).ok()?;
        let record = LayerRecord::from_bytes(&bytes, &self.terms, &self.sealer).ok()?;
        if record.digest != *digest {
            return None;
        }
        // The oldest go first. Where that cannot be noted, it was not used for that long.
        if let Ok(file) = std::fs::File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(record)
    }

    /// Keeps a sealed record, if it is of this digest and lacks nothing.
    pub(super) fn keep(&self, digest: &Digest, record: &LayerRecord) {
        let is_whole = |record: &LayerRecord| {
            let is_lost = |severeness| severeness == Severeness::Incomplete;
            record.complete && !record.skips.iter().any(|skip| is_lost(skip.severeness))
        };
        if record.digest != *digest || !is_whole(record) {
            return;
        }
        let kept = match record.to_bytes(&self.terms) {
            Ok(bytes) if bytes.len() as u64 > self.most_bytes => Ok(()),
            Ok(bytes) => self.write(digest, &bytes).and_then(|()| self.trim()),
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = kept {
            self.trouble
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
    }

    /// Whoever reads meanwhile sees all of a record or none.
    fn write(&self, digest: &Digest, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".").tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        file.persist(self.path(digest))?;
        Ok(())
    }

    /// Removes what was used the longest ago until the rest is within the bound.
    fn trim(&self) -> io::Result<()> {
        let mut records = records(&self.folder)?;
        records.sort_by_key(|record| record.used);
        let mut bytes: u64 = records.iter().map(|record| record.bytes).sum();
        for record in records {
            if bytes <= self.most_bytes {
                break;
            }
            bytes -= record.bytes;
            match std::fs::remove_file(record.path) {
                // Somebody else did.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = Sha256::digest(format!("{digest}\n{}", self.terms));
        self.folder.join(format!("{}.{ENDING}", text::hex(&name)))
    }
}

struct Kept {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

fn records(folder: &Path) -> io::Result<Vec<Kept>> {
    let mut records = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_record = path.extension().is_some_and(|ending| ending == ENDING);
        // One that is gone by now is none.
        if let Some(metadata) = entry.metadata().ok().filter(|_| is_record) {
            records.push(Kept {
                path,
                bytes: metadata.len(),
                used: metadata.modified()?,
            });
        }
    }
    Ok(records)
}
