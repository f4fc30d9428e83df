//! One run: targets in, a [`Report`] out. Joins sources, layers and findings; prints nothing and decides nothing.
//!
//! ```text
//! target ─ source ─▶ blobs ─ layer ─▶ records ┐
//!             └────▶ images ─ metadata ───────┴─ resolve, assemble ─▶ Report
//! ```

mod assemble;
mod cache;
mod classify;
mod gather;
pub mod member;
mod metadata;
mod pairs;
pub mod stored;

pub use cache::Cache;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::{Candidate, Matcher, Outline};
use crate::finding::{Fingerprinter, Report};
use crate::layer::{LayerReader, LayerRecord, Progress};
use crate::limits::{Budget, Limits};
use crate::oci::{Digest, PlatformSelector};
use crate::rules::{Rule, RuleSet, SecretKind};
use crate::source::{Access, Opened, SourceError};
use crate::text::secret::{Nature, Sealer};

/// How to scan. Every knob has a default that hides nothing.
pub struct Scan {
    matcher: Matcher,
    limits: Limits,
    jobs: usize,
    platforms: PlatformSelector,
    fingerprinter: Fingerprinter,
    sealer: Option<Sealer>,
    cache: Option<Cache>,
    traces_hidden: bool,
    cancelled: Arc<AtomicBool>,
    watch: Arc<dyn Watch>,
}

/// One target of a run, opened or not.
pub struct Target {
    /// As it is to be named in the report: without userinfo, escaped.
    pub name: String,
    /// The name fingerprints are bound to, if it is not to be taken from the image.
    pub repository: Option<String>,
    /// The source, or why there is none.
    pub opened: Result<Opened, SourceError>,
}

/// Is told how far a run is. Called from several threads.
pub trait Watch: Progress {
    /// A target begins.
    fn target(&self, name: &str) {
        let _ = name;
    }
    /// So many blobs of so many bytes as stored will be read; `None` where the sizes are not known.
    fn planned(&self, blobs: usize, bytes: Option<u64>) {
        let _ = (blobs, bytes);
    }
    /// A blob was read.
    fn blob_done(&self) {}
}

impl Watch for crate::layer::Silent {}

/// Why a scan cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The threads could not be started.
    #[error("cannot start {jobs} matching threads")]
    Threads {
        /// How many were wanted.
        jobs: usize,
        /// Why not.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
}

impl Scan {
    /// A scan with `rules`, as many matching threads as there are cores, all platforms, and fingerprints without a key.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self {
            matcher: Matcher::new(rules),
            limits: Limits::default(),
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            platforms: PlatformSelector::All,
            fingerprinter: Fingerprinter::unkeyed(),
            sealer: None,
            cache: None,
            traces_hidden: false,
            cancelled: Arc::default(),
            watch: Arc::new(crate::layer::Silent),
        }
    }

    /// Uses other limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Keeps so many cores at work, at least one. As many layers at most are read at a time.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// Scans only these platforms of an index.
    pub fn platforms(mut self, platforms: PlatformSelector) -> Self {
        self.platforms = platforms;
        self
    }

    /// Names findings by this scheme.
    pub fn fingerprinter(mut self, fingerprinter: Fingerprinter) -> Self {
        self.fingerprinter = fingerprinter;
        self
    }

    /// Seals every secret as soon as its layer was read, so that records which were stored can be assembled with fresh
    /// ones. The report cannot show secrets then; all else in it is the same. `sealer` is one of the fingerprinter's.
    pub fn sealer(mut self, sealer: Sealer) -> Self {
        self.sealer = Some(sealer);
        self
    }

    /// Takes the records of layers from here where they are there, and puts others there: those of blobs that a source
    /// gives by their digests. Secrets are sealed, as for [`Scan::sealer`]: short ones are then hidden in quotes of other
    /// findings only where they stand as words ([`crate::text::conceal`]).
    pub fn cache(mut self, cache: Cache) -> Self {
        self.sealer = Some(cache.sealer().clone());
        self.cache = Some(cache);
        self
    }

    /// Why something could not be put into the cache, the first time.
    pub fn cache_trouble(&self) -> Option<std::io::Error> {
        self.cache.as_ref()?.trouble()
    }

    /// Finds out of every file whether a container shows it ([`ImageSummary::hidden`](crate::finding::ImageSummary::hidden)).
    /// *Cost*: a few look-ups and some hundred bytes for each file of the image.
    pub fn trace_hidden(mut self, traces: bool) -> Self {
        self.traces_hidden = traces;
        self
    }

    /// Ends soon after `cancelled` is set; what was found until then is reported as partial.
    pub fn cancelled(mut self, cancelled: Arc<AtomicBool>) -> Self {
        self.cancelled = cancelled;
        self
    }

    /// Tells `watch` how far it is.
    pub fn watch(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watch = watch;
        self
    }

    /// Seals a record, where this scan seals.
    fn sealed(&self, mut record: LayerRecord) -> LayerRecord {
        if let Some(sealer) = &self.sealer {
            record.seal(sealer, &|candidate| nature(self.rules(), candidate));
        }
        record
    }

    fn pool(&self) -> Result<rayon::ThreadPool, ScanError> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.jobs)
            .thread_name(|number| format!("match-{number}"))
            .build()
            .map_err(|source| ScanError::Threads {
                jobs: self.jobs,
                source,
            })
    }

    /// The rules in force.
    pub fn rules(&self) -> &RuleSet {
        self.matcher.rules()
    }

    /// What of the rules decides which layers need not be read again after they changed.
    pub fn outline(&self) -> Outline {
        self.matcher.outline()
    }

    /// Scans all targets. What goes wrong with a target or a layer is in the report, a panic included; what was found
    /// before is kept.
    ///
    /// *Errors*: only where no thread can be started. *Cost*: each distinct blob is read once, whatever the number of
    /// images, platforms and targets that have it.
    pub fn run(&self, targets: Vec<Target>) -> Result<Report, ScanError> {
        let mut reports = self.run_each([targets])?;
        Ok(reports.pop().expect("a report for each group"))
    }

    /// Scans several groups of targets, with a report for each. A blob that several groups have is read once, and counts in
    /// each of their reports.
    ///
    /// *Errors* and *cost*: as for [`run`](Self::run).
    pub fn run_each(&self, groups: impl IntoIterator<Item = Vec<Target>>) -> Result<Vec<Report>, ScanError> {
        let pool = self.pool()?;
        let budget = Budget::new(self.limits.in_flight_bytes);
        let reader = LayerReader::new(&self.matcher, &self.limits, &budget, &pool, &self.cancelled);
        // Records of blobs whose digest was verified, shared by all targets.
        let mut known: HashMap<Digest, Arc<LayerRecord>> = HashMap::new();
        let groups = groups.into_iter();
        Ok(groups
            .map(|targets| self.run_group(targets, &reader, &mut known))
            .collect())
    }

    fn run_group(
        &self,
        targets: Vec<Target>,
        reader: &LayerReader<'_>,
        known: &mut HashMap<Digest, Arc<LayerRecord>>,
    ) -> Report {
        let mut assembler = assemble::Assembler::new(self);
        for target in targets {
            self.watch.target(&target.name);
            let opened = match target.opened {
                Ok(opened) => opened,
                Err(error) => {
                    assembler.failed(&target.name, target.repository, "", &error);
                    continue;
                }
            };
            let kind = opened.kind;
            let repository = target.repository.clone();
            // A panic in one target is an error of ours, and no reason to lose the others.
            let added = catch_unwind(AssertUnwindSafe(|| {
                let gathered = match opened.access {
                    Access::Random(source) => self.gather(&*source, reader, known),
                    Access::Stream(mut stream) => self.gather_stream(&mut *stream, reader),
                };
                gathered.map(|gathered| assembler.add(&target.name, repository, kind, &gathered))
            }));
            match added {
                Ok(Ok(())) => {}
                Ok(Err(error)) => assembler.failed(&target.name, target.repository, kind, &error),
                Err(_) => assembler.panicked(&target.name),
            }
        }
        assembler.finish(self.cancelled.load(Ordering::Relaxed))
    }
}

/// What the text of a candidate is.
pub fn nature(rules: &RuleSet, candidate: &Candidate) -> Nature {
    match rules.rules().get(candidate.rule as usize) {
        Some(Rule { identifier: true, .. }) if candidate.part.is_none() => Nature::Identifier,
        Some(Rule {
            kind: SecretKind::Generated,
            ..
        }) => Nature::Generated,
        _ => Nature::Guessable,
    }
}
