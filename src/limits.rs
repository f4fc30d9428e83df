//! Every cap of a scan in one place: its unit, its default, why it is there, and what happens beyond it.
//!
//! A limit never cuts in silence: whoever meets one records a [`LimitHit`], which becomes a named skip in the
//! report and, where bytes of the image were not read, an incomplete scan.

use std::fmt;
use std::str::FromStr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// The caps of one scan. Two scans in one process may use different ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a manifest, an index or a `manifest.json`. 8 MiB: distribution-spec asks implementations to
    /// expect manifests of at least 4 MB. Larger ones are refused ([`LimitHit::Document`]).
    pub manifest_bytes: u64,
    /// Bytes of an image configuration. 8 MiB, as for manifests ([`LimitHit::Document`]).
    pub config_bytes: u64,
    /// Bytes of an in-toto attestation. 40 MiB is what BuildKit allows for one ([`LimitHit::Document`]).
    pub attestation_bytes: u64,
    /// Layers of one manifest. Runtimes stop at about 128; 1,024 leaves room ([`LimitHit::Layers`]).
    pub layers: usize,
    /// Nesting of indexes. Two is the most seen in practice, four is allowed ([`LimitHit::IndexDepth`]).
    pub index_depth: usize,
    /// Descriptors reached from one target ([`LimitHit::Manifests`]).
    pub manifests: usize,
    /// Bytes of the extended header (PAX, GNU long name) of one tar member. 1 MiB is what Go accepts; the
    /// excess is scanned raw and the layer marked ambiguous ([`LimitHit::TarHeader`]).
    pub tar_header_bytes: u64,
    /// Data runs of one sparse member ([`LimitHit::SparseRuns`]).
    pub sparse_runs: usize,
    /// Members of one layer ([`LimitHit::Entries`]).
    pub entries: usize,
    /// Bytes of one path; longer ones are cut for display and resolution ([`LimitHit::Path`]).
    pub path_bytes: usize,
    /// Bytes of the table of the paths of one layer. 192 MiB: five million files of ordinary names take 120. Members
    /// beyond it have no path ([`LimitHit::PathTable`]).
    pub path_table_bytes: u64,
    /// Bytes of the symbolic links of one image that are kept to follow paths, 128 and both names for each. 64 MiB: some
    /// 300,000 links, where images of several GB have 20,000. Those beyond it are not followed ([`LimitHit::Symlinks`]).
    pub symlink_bytes: u64,
    /// Decompressed bytes of one layer ([`LimitHit::LayerBytes`]).
    pub layer_bytes: u64,
    /// Decompressed bytes of one image; the images of a target share theirs ([`LimitHit::ImageBytes`]).
    pub image_bytes: u64,
    /// Base-two logarithm of the largest zstd window, and of the memory for an xz dictionary. 27 (128 MiB) is
    /// what zstd itself accepts by default ([`LimitHit::ZstdWindow`]).
    pub zstd_window_log: u32,
    /// Bytes of one gzip header field that are handed over at a time, 64 KiB at most; the next ones follow, so
    /// none is lost.
    pub gzip_field_bytes: usize,
    /// Bytes of an archive inside a layer that is held in memory because its directory stands at its end, or because
    /// it stands in another one. 64 MiB: nearly all jars and wheels; larger ones, if they cannot be read from
    /// front to back, are opaque ([`LimitHit::RandomAccess`]).
    pub archive_bytes: u64,
    /// Bytes of archives that wait to be opened or are being opened, over all layers of a scan. Only readers wait. 32 MiB: a
    /// larger one is held when it is the only one.
    pub archives_in_flight_bytes: u64,
    /// Steps into nested content: a member and a decompressed stream are one each. 8: a package in an image in an
    /// archive takes six; deeper content is searched as it stands ([`LimitHit::ArchiveDepth`]).
    pub archive_depth: usize,
    /// Members of one file of a layer, over all archives in it ([`LimitHit::ArchiveMembers`]).
    pub archive_members: u64,
    /// Bytes that the archives of one layer may expand to ([`LimitHit::ArchiveBytes`]).
    pub archive_expanded_bytes: u64,
    /// How many times its own size a file may expand to, once it is past
    /// [`Limits::archive_ratio_from_bytes`]. Deflate reaches 1,032 to 1 at most, real archives a tenth of it
    /// ([`LimitHit::ArchiveRatio`]).
    pub archive_ratio: u64,
    /// Expanded bytes of one file below which any ratio is fine.
    pub archive_ratio_from_bytes: u64,
    /// Entries of git trees, and commits, that are kept of one pack or of the loose objects of one layer. 4,000,000 take
    /// 32 MB; repositories of ten years have a tenth of it. Beyond it objects are told by their ids
    /// ([`LimitHit::GitNames`]).
    pub git_tree_entries: usize,
    /// Bytes of loose git objects that are kept of one layer until their commits are known. 16 MiB, compressed; those
    /// beyond it are opened at once and told by their ids ([`LimitHit::GitNames`]).
    pub git_objects_bytes: u64,
    /// Findings of one rule in one file; the rest is counted ([`LimitHit::FindingsPerFile`]).
    pub findings_per_file: usize,
    /// Findings of one image; the rest is counted ([`LimitHit::Findings`]).
    pub findings: usize,
    /// Bytes of encoded text that are decoded in one window of a layer, over all levels. 8 MiB, eight times what is new
    /// in a window: text shrinks when it is decoded, so only compressed data gets there; the rest is searched as it is
    /// ([`LimitHit::EncodedText`]).
    pub encoded_bytes: usize,
    /// Encodings inside each other that are looked through. Four: a Helm release in a Kubernetes Secret is base64 of
    /// base64, and holds files in base64 again; one more for what quotes it.
    pub encoding_depth: usize,
    /// Bytes of a file with a candidate that is compared with what its package brought. 4 MiB: a file is put together
    /// in memory if it spans windows; larger ones keep their confidence, and their class says so.
    pub compared_file_bytes: u64,
    /// Bytes of one package database. 32 MiB: apk keeps one file for a whole system, a few MB in large images. The
    /// files of a larger one count as nobody's ([`LimitHit::PackageDatabase`]).
    pub package_database_bytes: u64,
    /// Files that packages claim, in one layer. 2,000,000 take 64 MB; large images have 200,000. Those beyond it count
    /// as nobody's ([`LimitHit::PackageClaims`]).
    pub package_claims: usize,
    /// Columns of one line of context around a finding.
    pub snippet_columns: usize,
    /// Time to establish a TCP connection.
    pub connect_timeout: Duration,
    /// Time without a byte after which a transfer counts as dead.
    pub idle_timeout: Duration,
    /// Tries of one request, the first included.
    pub tries: u32,
    /// The longest `Retry-After` that is waited for; beyond it the blob is incomplete.
    pub retry_after: Duration,
    /// Redirects followed for one request. Ten, as in Go and curl.
    pub redirects: usize,
    /// Downloads at a time from one host.
    pub downloads_per_host: usize,
    /// Bytes of one page of a list of tags or repositories. 32 MiB: registries without pages send all names at once.
    pub list_bytes: u64,
    /// Names of one list. A million, in about 100 MB.
    pub names: usize,
    /// Bytes of the list of what refers to one manifest, over all its pages, which are kept until all are read. 64 MiB:
    /// an entry takes some 300 bytes, so there is room for 200,000 ([`LimitHit::Document`]).
    pub referrers_bytes: u64,
    /// Bytes of a token answer.
    pub token_bytes: u64,
    /// Bytes of an error answer that are read.
    pub error_bytes: u64,
    /// Time for an engine to say whether it has an image that no source was named for. 2 s: a socket answers at
    /// once, and the registry is waiting.
    pub engine_answer_timeout: Duration,
    /// Time until the first byte of an engine's export. 10 min: Docker writes the whole image to its own disk first.
    pub engine_export_timeout: Duration,
    /// Bytes of decompressed data in flight between readers and the matcher, over all layers of a scan.
    pub in_flight_bytes: u64,
    /// Bytes of a folder of records of layers (`--cache`). 1 GiB: a record has some 20 bytes for each file of its layer.
    /// Beyond it the records go that were not used for the longest time.
    pub cache_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: 8 * MIB,
            config_bytes: 8 * MIB,
            attestation_bytes: 40 * MIB,
            layers: 1024,
            index_depth: 4,
            manifests: 10_000,
            tar_header_bytes: MIB,
            sparse_runs: 100_000,
            entries: 5_000_000,
            path_bytes: 64 * KIB as usize,
            path_table_bytes: 192 * MIB,
            symlink_bytes: 64 * MIB,
            layer_bytes: 64 * GIB,
            image_bytes: 256 * GIB,
            zstd_window_log: 27,
            gzip_field_bytes: 64 * KIB as usize,
            archive_bytes: 64 * MIB,
            archives_in_flight_bytes: 32 * MIB,
            archive_depth: 8,
            archive_members: 1_000_000,
            archive_expanded_bytes: 8 * GIB,
            archive_ratio: 1000,
            archive_ratio_from_bytes: 256 * MIB,
            git_tree_entries: 4_000_000,
            git_objects_bytes: 16 * MIB,
            findings_per_file: 100,
            findings: 50_000,
            encoded_bytes: 8 * MIB as usize,
            encoding_depth: 4,
            compared_file_bytes: 4 * MIB,
            package_database_bytes: 32 * MIB,
            package_claims: 2_000_000,
            snippet_columns: 120,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            tries: 5,
            retry_after: Duration::from_secs(300),
            redirects: 10,
            downloads_per_host: 4,
            list_bytes: 32 * MIB,
            names: 1_000_000,
            referrers_bytes: 64 * MIB,
            token_bytes: MIB,
            error_bytes: 64 * KIB,
            engine_answer_timeout: Duration::from_secs(2),
            engine_export_timeout: Duration::from_secs(600),
            in_flight_bytes: 12 * MIB,
            cache_bytes: GIB,
        }
    }
}

/// One cap as a person gives it: `NAME=VALUE`, the name that of the field with `-` for `_`. Sizes may have a unit
/// (`KiB`, `MiB`, `GiB`), times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    name: String,
    value: u64,
}

/// Why a text is no [`Setting`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such cap.
    #[error("no limit is called `{name}` (there are {})", known.join(", "))]
    Name {
        /// What was given.
        name: String,
        /// All there are.
        known: Vec<&'static str>,
    },
    /// The value is no number, zero, or more than the cap can hold.
    #[error("`{name}` takes {wanted}")]
    Value {
        /// Which cap.
        name: &'static str,
        /// What it takes.
        wanted: &'static str,
    },
}

impl FromStr for Setting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let mut limits = Limits::default();
        let mut slots = limits.slots();
        let Some((name, slot)) = slots.iter_mut().find(|(known, _)| *known == name) else {
            return Err(SettingError::Name {
                name: name.escape_default().to_string(),
                known: slots.iter().map(|(name, _)| *name).collect(),
            });
        };
        let wanted = match slot {
            Slot::Bytes(_) => "a number of bytes of at least 1, with KiB, MiB or GiB behind it or nothing",
            Slot::Count(_) | Slot::Small(_) => "a whole number of at least 1",
            Slot::Time(_) => "a whole number of seconds of at least 1",
        };
        let units = [("KiB", KIB), ("MiB", MIB), ("GiB", GIB)];
        let unit = units.into_iter().find(|(unit, _)| value.ends_with(unit));
        let (digits, factor) = match (unit, &slot) {
            (Some((unit, factor)), Slot::Bytes(_) | Slot::Count(_)) => {
                (&value[..value.len() - unit.len()], factor)
            }
            _ => (value, 1),
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = is_number.then(|| digits.parse::<u64>().ok()).flatten();
        let value = value
            .and_then(|value| value.checked_mul(factor))
            .filter(|value| *value > 0);
        let value = value.filter(|value| slot.put(*value));
        value
            .map(|value| Self {
                name: (*name).to_owned(),
                value,
            })
            .ok_or(SettingError::Value { name, wanted })
    }
}

/// Where a cap is kept.
enum Slot<'a> {
    Bytes(&'a mut u64),
    Count(&'a mut usize),
    Small(&'a mut u32),
    Time(&'a mut Duration),
}

impl Slot<'_> {
    /// Sets it, where it can hold the value.
    fn put(&mut self, value: u64) -> bool {
        match self {
            Self::Bytes(slot) => **slot = value,
            Self::Count(slot) => match usize::try_from(value) {
                Ok(value) => **slot = value,
                Err(_) => return false,
            },
            // Tries, and logarithms of zstd, whose largest is 31.
            Self::Small(slot) if value < 32 => **slot = value as u32,
            Self::Small(_) => return false,
            Self::Time(slot) => **slot = Duration::from_secs(value),
        }
        true
    }
}

impl Limits {
    /// The usual caps but for these; of two settings of one the later counts.
    pub fn with(settings: &[Setting]) -> Self {
        let mut limits = Self::default();
        for setting in settings {
            limits.set(setting);
        }
        limits
    }

    /// Sets one cap.
    pub fn set(&mut self, setting: &Setting) {
        for (name, mut slot) in self.slots() {
            if name == setting.name {
                slot.put(setting.value);
            }
        }
    }

    fn slots(&mut self) -> Vec<(&'static str, Slot<'_>)> {
        use Slot::{Bytes, Count, Small, Time};
        vec![
            ("archive-bytes", Bytes(&mut self.archive_bytes)),
            ("archive-depth", Count(&mut self.archive_depth)),
            ("archive-expanded-bytes", Bytes(&mut self.archive_expanded_bytes)),
            ("archive-members", Bytes(&mut self.archive_members)),
            ("archive-ratio", Bytes(&mut self.archive_ratio)),
            (
                "archive-ratio-from-bytes",
                Bytes(&mut self.archive_ratio_from_bytes),
            ),
            (
                "archives-in-flight-bytes",
                Bytes(&mut self.archives_in_flight_bytes),
            ),
            ("attestation-bytes", Bytes(&mut self.attestation_bytes)),
            ("cache-bytes", Bytes(&mut self.cache_bytes)),
            ("compared-file-bytes", Bytes(&mut self.compared_file_bytes)),
            ("config-bytes", Bytes(&mut self.config_bytes)),
            ("connect-timeout", Time(&mut self.connect_timeout)),
            ("downloads-per-host", Count(&mut self.downloads_per_host)),
            ("encoded-bytes", Count(&mut self.encoded_bytes)),
            ("encoding-depth", Count(&mut self.encoding_depth)),
            ("engine-answer-timeout", Time(&mut self.engine_answer_timeout)),
            ("engine-export-timeout", Time(&mut self.engine_export_timeout)),
            ("entries", Count(&mut self.entries)),
            ("error-bytes", Bytes(&mut self.error_bytes)),
            ("findings", Count(&mut self.findings)),
            ("findings-per-file", Count(&mut self.findings_per_file)),
            ("git-objects-bytes", Bytes(&mut self.git_objects_bytes)),
            ("git-tree-entries", Count(&mut self.git_tree_entries)),
            ("gzip-field-bytes", Count(&mut self.gzip_field_bytes)),
            ("idle-timeout", Time(&mut self.idle_timeout)),
            ("image-bytes", Bytes(&mut self.image_bytes)),
            ("in-flight-bytes", Bytes(&mut self.in_flight_bytes)),
            ("index-depth", Count(&mut self.index_depth)),
            ("layer-bytes", Bytes(&mut self.layer_bytes)),
            ("layers", Count(&mut self.layers)),
            ("list-bytes", Bytes(&mut self.list_bytes)),
            ("manifest-bytes", Bytes(&mut self.manifest_bytes)),
            ("manifests", Count(&mut self.manifests)),
            ("names", Count(&mut self.names)),
            ("package-claims", Count(&mut self.package_claims)),
            ("package-database-bytes", Bytes(&mut self.package_database_bytes)),
            ("path-bytes", Count(&mut self.path_bytes)),
            ("path-table-bytes", Bytes(&mut self.path_table_bytes)),
            ("redirects", Count(&mut self.redirects)),
            ("referrers-bytes", Bytes(&mut self.referrers_bytes)),
            ("retry-after", Time(&mut self.retry_after)),
            ("snippet-columns", Count(&mut self.snippet_columns)),
            ("sparse-runs", Count(&mut self.sparse_runs)),
            ("symlink-bytes", Bytes(&mut self.symlink_bytes)),
            ("tar-header-bytes", Bytes(&mut self.tar_header_bytes)),
            ("token-bytes", Bytes(&mut self.token_bytes)),
            ("tries", Small(&mut self.tries)),
            ("zstd-window-log", Small(&mut self.zstd_window_log)),
        ]
    }
}

/// Which cap was met. The name in reports is the kebab-case form of the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitHit {
    /// The archives of a layer expand to more bytes than allowed.
    ArchiveBytes,
    /// Archives are nested deeper than allowed.
    ArchiveDepth,
    /// The archives of a file have more members than allowed.
    ArchiveMembers,
    /// The archives of a file expand to more than its size explains.
    ArchiveRatio,
    /// A JSON document is larger than allowed.
    Document,
    /// A part of a layer holds more encoded text than is decoded.
    EncodedText,
    /// A layer has more members than allowed.
    Entries,
    /// An image has more findings than allowed.
    Findings,
    /// One file has more findings of one rule than allowed.
    FindingsPerFile,
    /// A git repository has more trees or loose objects than are kept to name its blobs.
    GitNames,
    /// A gzip header field is longer than allowed.
    GzipField,
    /// An image decompresses to more bytes than allowed.
    ImageBytes,
    /// Indexes are nested deeper than allowed.
    IndexDepth,
    /// A layer decompresses to more bytes than allowed.
    LayerBytes,
    /// A manifest names more layers than allowed.
    Layers,
    /// A target reaches more manifests than allowed.
    Manifests,
    /// A registry lists more names than allowed.
    Names,
    /// Packages of a layer claim more files than allowed.
    PackageClaims,
    /// A package database is larger than allowed.
    PackageDatabase,
    /// A path is longer than allowed.
    Path,
    /// The paths of a layer take more bytes than allowed.
    PathTable,
    /// An archive that must be held in memory to be read is larger than allowed.
    RandomAccess,
    /// A sparse member has more data runs than allowed.
    SparseRuns,
    /// The symbolic links of an image take more bytes than allowed.
    Symlinks,
    /// The extended header of a tar member is larger than allowed.
    TarHeader,
    /// A zstd frame asks for a larger window than allowed.
    ZstdWindow,
}

impl LimitHit {
    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArchiveBytes => "archive-bytes",
            Self::ArchiveDepth => "archive-depth",
            Self::ArchiveMembers => "archive-members",
            Self::ArchiveRatio => "archive-ratio",
            Self::Document => "document-size",
            Self::EncodedText => "encoded-text",
            Self::Entries => "entries",
            Self::Findings => "findings",
            Self::FindingsPerFile => "findings-per-file",
            Self::GitNames => "git-names",
            Self::GzipField => "gzip-field",
            Self::ImageBytes => "image-bytes",
            Self::IndexDepth => "index-depth",
            Self::LayerBytes => "layer-bytes",
            Self::Layers => "layers",
            Self::Manifests => "manifests",
            Self::Names => "names",
            Self::PackageClaims => "package-claims",
            Self::PackageDatabase => "package-database",
            Self::Path => "path",
            Self::PathTable => "path-table",
            Self::RandomAccess => "needs-random-access",
            Self::SparseRuns => "sparse-runs",
            Self::Symlinks => "symlinks",
            Self::TarHeader => "tar-header",
            Self::ZstdWindow => "zstd-window",
        }
    }
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bytes that may be in flight between the readers and the matcher.
///
/// Readers take bytes before they hand a window over and are the only ones that ever wait; a finished window
/// gives its bytes back. A request larger than the whole budget is granted once nothing else is in flight, so
/// no size of window can wait for ever.
#[derive(Debug)]
pub struct Budget {
    total: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Self {
            total,
            used: Mutex::new(0),
            freed: Condvar::new(),
        }
    }

    /// Takes `bytes`, waiting until they are free.
    pub fn take(&self, bytes: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used > 0 && *used + bytes > self.total {
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
    }

    /// Takes `bytes` that may be more than are free, without waiting: for who has something to hand over first.
    pub fn take_at_once(&self, bytes: u64) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
    }

    /// Gives `bytes` back.
    pub fn give(&self, bytes: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(bytes);
        self.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cap_has_a_name_and_is_set_by_it() {
        // The fields as the derived text has them, so that none is forgotten.
        let default = format!("{:?}", Limits::default());
        let fields = default.split(['{', ',']).filter_map(|part| part.split_once(": "));
        let fields: Vec<String> = fields.map(|(field, _)| field.trim().replace('_', "-")).collect();
        assert_eq!(fields.len(), Limits::default().slots().len());
        for field in fields {
            let setting: Setting = format!("{field}=9").parse().expect("a cap");
            let mut limits = Limits::default();
            limits.set(&setting);
            let changed = format!("{limits:?}");
            assert!(
                changed.contains(&format!("{}: 9", field.replace('-', "_"))),
                "{field}"
            );
            limits.set(&setting);
            assert_eq!(format!("{limits:?}"), changed);
        }
    }

    #[test]
    fn values_have_units_where_they_are_sizes() {
        let set = |text: &str| {
            let mut limits = Limits::default();
            limits.set(&text.parse().expect("a setting"));
            limits
        };
        assert_eq!(set("layer-bytes=2GiB").layer_bytes, 2 * GIB);
        assert_eq!(set("path-bytes=1KiB").path_bytes, 1024);
        assert_eq!(set("idle-timeout=5").idle_timeout, Duration::from_secs(5));
        for wrong in [
            "",
            "layer-bytes",
            "layer-bytes=",
            "layer-bytes=0",
            "layer-bytes=-1",
            "layer-bytes=+1",
            "layer-bytes=1.5GiB",
            "layer-bytes=99999999999GiB",
            "tries=1GiB",
            "zstd-window-log=32",
            "nothing=1",
        ] {
            assert!(wrong.parse::<Setting>().is_err(), "{wrong}");
        }
    }
}
