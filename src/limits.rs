//! Every cap of a scan in one place: its unit, its default, why it is there, and what happens beyond it.
//!
//! A limit never cuts in silence: whoever meets one records a [`LimitHit`], which becomes a named skip in the
//! report and, where bytes of the image were not read, an incomplete scan.

use std::fmt;
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
    /// Decompressed bytes of one layer ([`LimitHit::LayerBytes`]).
    pub layer_bytes: u64,
    /// Decompressed bytes of one image ([`LimitHit::ImageBytes`]).
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
    /// Bytes of archives that wait to be opened or are being opened, over all layers of a scan. Only readers wait.
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
            layer_bytes: 64 * GIB,
            image_bytes: 256 * GIB,
            zstd_window_log: 27,
            gzip_field_bytes: 64 * KIB as usize,
            archive_bytes: 64 * MIB,
            archives_in_flight_bytes: 64 * MIB,
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
            token_bytes: MIB,
            error_bytes: 64 * KIB,
            engine_answer_timeout: Duration::from_secs(2),
            engine_export_timeout: Duration::from_secs(600),
            in_flight_bytes: 24 * MIB,
        }
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
    /// An archive that must be held in memory to be read is larger than allowed.
    RandomAccess,
    /// A sparse member has more data runs than allowed.
    SparseRuns,
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
            Self::RandomAccess => "needs-random-access",
            Self::SparseRuns => "sparse-runs",
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

    /// Gives `bytes` back.
    pub fn give(&self, bytes: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(bytes);
        self.freed.notify_all();
    }
}
