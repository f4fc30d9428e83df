//! One sweep from its lists to its last assembled image. Keeps nothing in memory that a restart would need.

mod apart;
mod layers;

pub use apart::{MergeError, Merged};
pub(super) use layers::DEATHS;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::Carried;
use crate::finding::Report;
use crate::layer::stored::StoredError;
use crate::layer::{LayerRecord, Progress};
use crate::limits::Limits;
use crate::oci::{
    self, Algorithm, Descriptor, Digest, Document, Image, ImageConfig, Platform, PlatformSelector, Reference,
};
use crate::scan::stored::{ImageRecord, StoredImage};
use crate::scan::{Scan, ScanError};
use crate::source::SourceError;
use crate::source::registry::{self, Counts, Pace, RegistryOptions, RegistrySource, Session};
use crate::source::walk::{self, Documents, Walk};
use crate::text::{self, secret::Sealer};

use super::drivers::{Contents, Driver, Kind, Tagged};
use super::hosts::{Host, Hosts};
use super::job::{Loss, Place, survived};
use super::journal::{self, Journal, Pending, ReadManifest, SeenTag, Target, Unassembled, Unread};
use super::queue::{QueueError, QueueOptions};
use super::scope::{Choice, Scope};
use super::state::{State, StateError};

/// Records that are kept at hand while images are assembled: base layers are in many.
const RECORDS_AT_HAND: usize = 64;

/// Manifests that are known at a time, of those that are to be read.
const MANIFESTS_AT_HAND: usize = 1000;

/// Tags whose digests are asked for between two writes.
const TAGS_A_WRITE: usize = 50;

/// A sweep that is ready to run.
pub struct Sweep {
    /// What to sweep.
    pub scopes: Vec<Scope>,
    /// What of it.
    pub choice: Choice,
    /// How layers are scanned. Its fingerprints must be keyed.
    pub scan: Scan,
    /// Seals what is stored: the fingerprinter's own.
    pub sealer: Sealer,
    /// The limits of the scan.
    pub limits: Limits,
    /// How registries are spoken to.
    pub registry: RegistryOptions,
    /// What they are.
    pub kind: Kind,
    /// How much of them is asked.
    pub pace: Pace,
    /// Requests and downloads at a time, for each registry.
    pub parallel: usize,
    /// Where layers are put for others to read; nothing where they are read here.
    pub queue: Option<QueueOptions>,
    /// Whether manifests that no tag leads to any more are looked for.
    pub recheck: bool,
    /// Whether it is asked, for each manifest, what refers to it: signatures, SBOMs.
    pub referrers: bool,
    /// Ends the sweep soon after it is set.
    pub cancelled: Arc<AtomicBool>,
}

/// Why a sweep ended that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A registry cannot be spoken to at all: a wrong name, a file that cannot be read.
    #[error("cannot sweep")]
    Registry(#[source] SourceError),
    /// The queue cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// No threads.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What a sweep does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reads lists and asks for digests.
    Lists,
    /// Reads manifests and configurations.
    Manifests,
    /// Reads layers.
    Layers,
    /// Puts findings together.
    Images,
}

impl Stage {
    /// What it is called on a line of progress.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lists => "lists",
            Self::Manifests => "manifests",
            Self::Layers => "layers",
            Self::Images => "images",
        }
    }
}

/// What a sweep meets on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// Findings that count, in an image that was put together.
    Findings,
    /// Tags that are swept.
    Tags,
}

/// Is told how far a sweep is. Called from several threads.
pub trait Tell: Progress {
    /// Something was done: so many of so many, as far as is known.
    fn step(&self, stage: Stage, done: u64, of: u64) {
        let _ = (stage, done, of);
    }
    /// So many more were met.
    fn met(&self, what: Met, count: u64) {
        let _ = (what, count);
    }
    /// A registry is spoken to by way of this session.
    fn speaks_to(&self, host: &str, session: &Session) {
        let _ = (host, session);
    }
    /// Something could not be had.
    fn problem(&self, what: &str, why: &str) {
        let _ = (what, why);
    }
    /// A registry did not give lists of its own: what no tag leads to is not known from it. Told for each repository.
    fn plain(&self, host: &str, why: &str) {
        let _ = (host, why);
    }
    /// A sweep goes on that was begun before.
    fn resumed(&self) {}
}

impl Tell for crate::layer::Silent {}

/// Whether a sweep came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It did.
    Done,
    /// It was asked to stop.
    Stopped,
}

/// What a sweep did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its number in the state.
    pub sweep: i64,
    /// Whether it came to its end.
    pub halt: Halt,
    /// Whether it went on with one that had not.
    pub resumed: bool,
    /// Requests sent, by what they were for.
    pub counts: Counts,
    /// Layers that were read.
    pub layers: u64,
    /// Bytes of them as stored.
    pub stored_bytes: u64,
    /// Layers that are still to be read, and their bytes: all of them, where nothing was to be done.
    pub left: (u64, u64),
    /// How much could not be had.
    pub problems: u64,
}

/// Why a repository is swept.
enum Asked {
    /// Some of its images were named.
    Images(BTreeSet<String>),
    /// Its registry listed it.
    Listed,
    /// It was named itself.
    Named,
}

/// One registry, for as long as the sweep runs.
struct Site {
    driver: Box<dyn Driver>,
    host: Arc<Host>,
}

struct Run<'s> {
    sweep: &'s Sweep,
    journal: Mutex<Journal>,
    hosts: Hosts,
    sites: BTreeMap<String, Site>,
    tell: &'s dyn Tell,
    problems: AtomicU64,
    layers: AtomicU64,
    stored_bytes: AtomicU64,
}

/// The key check of a state: what tells whether a key is the one it was made with.
pub fn key_check(sealer: &Sealer) -> [u8; 32] {
    sealer.identity(b"layersift state")
}

impl Sweep {
    /// Opens the state of this sweep.
    ///
    /// *Errors*: those of [`State::open`].
    pub fn open(&self, path: &std::path::Path) -> Result<State, StateError> {
        State::open(path, &key_check(&self.sealer))
    }

    /// Sweeps. Where `only_try` is set, lists and manifests are read, no layer is, and nothing is written.
    ///
    /// *Errors*: where the state cannot be written, or a registry cannot be spoken to at all. What a registry does not
    /// give is a problem of the summary.
    pub fn run(&self, state: State, only_try: bool, tell: &dyn Tell) -> Result<Summary, SweepError> {
        if only_try {
            Journal::only_try(&state)?;
        }
        let (run, resumed) = self.start(state, tell)?;
        run.lists()?;
        run.documents()?;
        let mut left = (0, 0);
        if only_try {
            let layers = run.unread_layers()?;
            left = (layers.len() as u64, layers.iter().map(|layer| layer.size).sum());
        } else {
            run.layers()?;
            run.images()?;
        }
        let halt = match self.cancelled.load(Ordering::Relaxed) {
            true => Halt::Stopped,
            false => Halt::Done,
        };
        run.end(halt, resumed, left)
    }

    /// Begins a sweep, or goes on with one, and says whether it does.
    fn start<'s>(&'s self, state: State, tell: &'s dyn Tell) -> Result<(Run<'s>, bool), SweepError> {
        let hosts: BTreeSet<&str> = self.scopes.iter().map(Scope::host).collect();
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        let scopes: Vec<String> = self.scopes.iter().map(Scope::to_string).collect();
        let target = Target {
            scope: &scopes.join(" "),
            options: &self.choice.text(),
            hosts: &hosts,
        };
        let (journal, resumed) =
            Journal::begin(state, &target, self.scan.rules().hash(), &self.scan.outline())?;
        if resumed {
            tell.resumed();
        }
        let names = hosts;
        let hosts = Hosts::new(self.registry.clone(), self.pace);
        let mut sites = BTreeMap::new();
        for name in &names {
            let host = hosts.host(name).map_err(SweepError::Registry)?;
            tell.speaks_to(name, &host.session);
            // What it turned out to be is not asked again.
            let known = journal.kind(name)?.and_then(|kind| kind.parse().ok());
            let kind = match self.kind {
                Kind::Auto => known.unwrap_or(Kind::Auto),
                kind => kind,
            };
            let driver = kind.driver(name, &host.options);
            sites.insert(name.clone(), Site { driver, host });
        }
        let mut run = self.run_of(journal, tell);
        run.hosts = hosts;
        run.sites = sites;
        Ok((run, resumed))
    }

    /// A run that speaks to nobody yet.
    fn run_of<'s>(&'s self, journal: Journal, tell: &'s dyn Tell) -> Run<'s> {
        Run {
            sweep: self,
            journal: Mutex::new(journal),
            hosts: Hosts::new(self.registry.clone(), self.pace),
            sites: BTreeMap::new(),
            tell,
            problems: AtomicU64::new(0),
            layers: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
        }
    }
}

impl Run<'_> {
    fn journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how far the sweep came.
    fn end(&self, halt: Halt, resumed: bool, left: (u64, u64)) -> Result<Summary, SweepError> {
        let counts = self.hosts.counts();
        let status = match halt {
            Halt::Done => "done",
            Halt::Stopped => "scanning",
        };
        let mut journal = self.journal();
        journal.status(status, counts.all())?;
        Ok(Summary {
            sweep: journal.sweep,
            halt,
            resumed,
            counts,
            layers: self.layers.load(Ordering::Relaxed),
            stored_bytes: self.stored_bytes.load(Ordering::Relaxed),
            left,
            problems: self.problems.load(Ordering::Relaxed),
        })
    }

    /// The layers that are to be read in this sweep.
    fn unread_layers(&self) -> Result<Vec<Unread>, StateError> {
        let mut layers = self.journal().unread_layers()?;
        if let Some(most) = self.sweep.choice.max_layer {
            let (small, large) = layers.into_iter().partition(|layer| layer.size <= most);
            layers = small;
            let large: Vec<Unread> = large;
            for layer in large {
                let layer = self.journal().layer(layer.blob)?;
                let size = text::counted(layer.size, "byte");
                let why = format!("it has {size}, and --max-layer is {most}");
                self.lost(&layer, &Loss::lasting("layer-size", &why))?;
            }
        }
        Ok(layers)
    }

    fn is_over(&self) -> bool {
        self.sweep.cancelled.load(Ordering::Relaxed)
    }

    fn problem(&self, what: &str, reason: &str, why: &str) -> Result<(), StateError> {
        self.problems.fetch_add(1, Ordering::Relaxed);
        self.tell.problem(what, why);
        self.journal().problem(what, reason, why)
    }

    fn failed(&self, what: &str, error: &SourceError) -> Result<(), StateError> {
        self.problem(what, error.reason(), &error.with_causes())
    }

    /// Does the same with many things, several at a time. The first error ends it.
    fn each<T: Sync>(
        &self,
        items: &[T],
        act: impl Fn(&T) -> Result<(), StateError> + Sync,
    ) -> Result<(), StateError> {
        let next = AtomicU64::new(0);
        let broken: Mutex<Option<StateError>> = Mutex::new(None);
        let is_broken = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..self.sweep.parallel.max(1).min(items.len()) {
                scope.spawn(|| {
                    while !self.is_over() && !is_broken.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed) as usize;
                        let Some(item) = items.get(number) else { break };
                        if let Err(error) = act(item) {
                            is_broken.store(true, Ordering::Relaxed);
                            broken
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .get_or_insert(error);
                        }
                    }
                });
            }
        });
        match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Reads all lists: repositories, their tags, what these point at.
    fn lists(&self) -> Result<(), SweepError> {
        let mut wanted: BTreeMap<(String, String), Asked> = BTreeMap::new();
        for scope in &self.sweep.scopes {
            if self.is_over() {
                return Ok(());
            }
            let site = &self.sites[scope.host()];
            let host = scope.host().to_owned();
            match scope {
                Scope::Image {
                    repository,
                    reference,
                    ..
                } => {
                    self.journal().repositories(
                        &host,
                        site.driver.kind(),
                        std::slice::from_ref(repository),
                        None,
                    )?;
                    let of_repository = wanted
                        .entry((host, repository.clone()))
                        .or_insert_with(|| Asked::Images(BTreeSet::new()));
                    if let Asked::Images(references) = of_repository {
                        references.insert(reference.clone());
                    }
                }
                Scope::Namespace { prefix, .. } => {
                    let listing = site
                        .driver
                        .repositories(prefix, &site.host.options)
                        .map_err(SweepError::Registry)?;
                    let mut names = listing.names;
                    names.retain(|name| name.starts_with(prefix.as_str()));
                    if let Some(error) = &listing.failure {
                        self.failed(&format!("the repositories of {host}"), error)?;
                    }
                    if listing.invalid > 0 {
                        let names = text::counted(listing.invalid, "name");
                        let why = format!("{names} that no image can be asked for by");
                        self.problem(&format!("names of {host}"), "invalid-names", &why)?;
                    }
                    let whole = listing.failure.is_none().then_some(prefix.as_str());
                    self.journal()
                        .repositories(&host, site.driver.kind(), &names, whole)?;
                    names.retain(|name| self.sweep.choice.wants_repository(name));
                    for name in names {
                        wanted.entry((host.clone(), name)).or_insert(Asked::Listed);
                    }
                }
                Scope::Repository { repository, .. } => {
                    self.journal().repositories(
                        &host,
                        site.driver.kind(),
                        std::slice::from_ref(repository),
                        None,
                    )?;
                    wanted.insert((host, repository.clone()), Asked::Named);
                }
            }
        }
        let repositories: Vec<_> = wanted.into_iter().collect();
        let done = AtomicU64::new(0);
        self.each(&repositories, |((host, name), asked)| {
            match survived(|| self.repository(host, name, asked)) {
                Ok(listed) => listed?,
                Err(loss) => self.problem(&format!("{host}/{name}"), &loss.reason, &loss.why)?,
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            self.tell.step(Stage::Lists, done, repositories.len() as u64);
            Ok(())
        })?;
        Ok(())
    }

    /// Reads the tags of one repository, or looks for some of them only.
    fn repository(&self, host: &str, name: &str, asked: &Asked) -> Result<(), StateError> {
        let Some(repository) = self.journal().unlisted(host, name)? else {
            return Ok(());
        };
        let what = format!("{host}/{name}");
        let site = &self.sites[host];
        let source = match self.hosts.source(host, name) {
            Ok(source) => source,
            Err(error) => return self.failed(&what, &error),
        };
        let is_named = match asked {
            Asked::Images(references) => return self.images_of(&what, repository, &source, references),
            Asked::Listed => false,
            Asked::Named => true,
        };
        let contents = match site.driver.contents(name, &site.host.options) {
            Ok(contents) => contents,
            Err(error) => return self.failed(&what, &error),
        };
        let Contents {
            tags,
            untagged,
            invalid,
            failure,
            plain_because,
        } = contents;
        if let Some(why) = plain_because {
            self.tell.plain(host, &why.with_causes());
        }
        if invalid > 0 {
            let names = text::counted(invalid, "name");
            let why = format!("{names} that no image can be asked for by");
            self.problem(&format!("tags of {what}"), "invalid-names", &why)?;
        }
        let wants = |pushed| self.sweep.choice.wants_pushed(pushed);
        let untagged: Vec<Digest> = untagged
            .into_iter()
            .filter_map(|manifest| wants(manifest.pushed).then_some(manifest.digest))
            .collect();
        let is_whole = match failure {
            None => true,
            // Registries say so of a repository whose tags were all deleted. Its manifests may still be there.
            Some(SourceError::NotFound { .. }) if tags.is_empty() && !is_named => true,
            Some(error) => {
                self.failed(&what, &error)?;
                false
            }
        };
        let Some(vanished) = self.digests(&what, repository, &source, &tags)? else {
            return Ok(());
        };
        if !is_whole {
            // What is listed is read; what is not listed is not taken for deleted.
            let mut journal = self.journal();
            let all = journal.live_tags(repository)?;
            return journal.repository(repository, &all, &untagged);
        }
        let listed = tags.into_iter().map(|tag| tag.name);
        let listed = listed.filter(|tag| !vanished.contains(tag)).collect();
        self.journal().repository(repository, &listed, &untagged)?;
        if self.sweep.recheck && !self.recheck(&what, repository, &source)? {
            return Ok(());
        }
        self.journal().listed(repository)
    }

    /// Asks for the manifests that no tag leads to any more, and says whether the sweep goes on.
    fn recheck(&self, what: &str, repository: i64, source: &RegistrySource) -> Result<bool, StateError> {
        let mut asked = HashSet::new();
        // With an index goes what it lists, which is then asked for itself.
        for _ in 0..=self.sweep.limits.index_depth {
            let mut past = self.journal().past(repository)?;
            past.retain(|(manifest, _)| asked.insert(*manifest));
            if past.is_empty() {
                break;
            }
            for (manifest, digest) in past {
                if self.is_over() {
                    return Ok(false);
                }
                match source.digest_of(&digest) {
                    Ok(_) => self.journal().still_there(repository, manifest, true)?,
                    Err(SourceError::NotFound { .. }) => {
                        self.journal().still_there(repository, manifest, false)?;
                    }
                    Err(error) => self.failed(&format!("{what}@{digest}"), &error)?,
                }
            }
        }
        Ok(true)
    }

    /// Asks what the wanted tags point at, and writes it down. Gives the tags that vanished meanwhile; nothing where the
    /// sweep is over.
    fn digests(
        &self,
        what: &str,
        repository: i64,
        source: &RegistrySource,
        tags: &[Tagged],
    ) -> Result<Option<HashSet<String>>, StateError> {
        let seen = self.journal().tags_seen(repository)?;
        let mut vanished = HashSet::new();
        let mut found: Vec<SeenTag> = Vec::new();
        let mut asked = 0;
        for Tagged { name, digest, pushed } in self.sweep.choice.wanted(tags) {
            if seen.contains(name) {
                continue;
            }
            if self.is_over() {
                self.journal().tags(repository, &found)?;
                return Ok(None);
            }
            asked += 1;
            let digest = match digest {
                Some(digest) => Ok(digest.clone()),
                None => self.digest(source, what, name),
            };
            match digest {
                Ok(digest) => found.push(SeenTag {
                    tag: name.clone(),
                    digest,
                    pushed: *pushed,
                }),
                Err(SourceError::NotFound { .. }) => _ = vanished.insert(name.clone()),
                Err(error) => self.failed(&format!("{what}:{name}"), &error)?,
            }
            if found.len() >= TAGS_A_WRITE {
                self.journal().tags(repository, &found)?;
                found.clear();
            }
        }
        self.journal().tags(repository, &found)?;
        self.tell.met(Met::Tags, asked);
        Ok(Some(vanished))
    }

    /// What a tag points at: by HEAD, or by its manifest where the registry does not say.
    fn digest(&self, source: &RegistrySource, what: &str, tag: &str) -> Result<Digest, SourceError> {
        if let Some(digest) = source.digest_of(tag)? {
            return Ok(digest);
        }
        let host = what.split('/').next().unwrap_or_default();
        let name = format!("{what}:{tag}");
        let reference = Reference::parse(&name).map_err(|error| SourceError::NoTarget {
            what: format!("`{name}`"),
            why: error.reason,
        })?;
        let options = &self.sites[host].host.options;
        Ok(registry::open(&reference, options)?
            .fetch_root(self.sweep.limits.manifest_bytes)?
            .digest)
    }

    /// Enters single images of a repository.
    fn images_of(
        &self,
        what: &str,
        repository: i64,
        source: &RegistrySource,
        references: &BTreeSet<String>,
    ) -> Result<(), StateError> {
        let mut tags = Vec::new();
        let mut untagged = Vec::new();
        let mut is_whole = true;
        for reference in references {
            if self.is_over() {
                return Ok(());
            }
            if let Ok(digest) = Digest::parse(reference) {
                untagged.push(digest);
                continue;
            }
            match self.digest(source, what, reference) {
                Ok(digest) => tags.push(SeenTag {
                    tag: reference.clone(),
                    digest,
                    pushed: None,
                }),
                Err(error) => {
                    is_whole = false;
                    self.failed(&format!("{what}:{reference}"), &error)?;
                }
            }
        }
        let mut journal = self.journal();
        journal.tags(repository, &tags)?;
        // The other tags of the repository were not asked for: nothing is known of them.
        let listed = journal.live_tags(repository)?;
        journal.repository(repository, &listed, &untagged)?;
        match is_whole {
            true => journal.listed(repository),
            false => Ok(()),
        }
    }

    /// Reads manifests, and what refers to them where that is asked for.
    fn documents(&self) -> Result<(), SweepError> {
        self.manifests()?;
        if !self.sweep.referrers {
            return Ok(());
        }
        let mut asked = HashSet::new();
        // What refers to something may be referred to itself.
        for _ in 0..=self.sweep.limits.index_depth {
            let mut met = self.journal().met()?;
            met.retain(|(repository, _, pending)| asked.insert((*repository, pending.id)));
            if met.is_empty() || self.is_over() {
                break;
            }
            self.each(&met, |(repository, place, manifest)| {
                self.referrers(*repository, place, &manifest.digest)
            })?;
            self.manifests()?;
        }
        Ok(())
    }

    /// Enters what refers to a manifest.
    fn referrers(&self, number: i64, place: &Place, digest: &str) -> Result<(), StateError> {
        let Ok(digest) = Digest::parse(digest) else {
            return Ok(());
        };
        let Place { host, repository } = place;
        let cap = self.sweep.limits.manifest_bytes;
        let asked = self.hosts.source(host, repository);
        match asked.and_then(|source| source.referrers_of(&digest, cap)) {
            Ok(found) => self.journal().refers(number, &found),
            Err(error) => self.failed(&format!("the referrers of {host}/{repository}@{digest}"), &error),
        }
    }

    /// Reads manifests until no index leads to further ones.
    fn manifests(&self) -> Result<(), SweepError> {
        let failed: Mutex<HashSet<i64>> = Mutex::default();
        let done = AtomicU64::new(0);
        for _ in 0..=self.sweep.limits.index_depth {
            self.journal().close_over_children()?;
            let (unread, until) = self.journal().unread_manifests()?;
            let of = done.load(Ordering::Relaxed) + unread;
            let (mut after, mut is_any) = (0, false);
            loop {
                let mut pending = self.journal().next_manifests(after, until, MANIFESTS_AT_HAND)?;
                let Some(last) = pending.last() else { break };
                after = last.id;
                {
                    let failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    pending.retain(|manifest| !failed.contains(&manifest.id));
                }
                if self.is_over() {
                    return Ok(());
                }
                is_any |= !pending.is_empty();
                self.each(&pending, |manifest| {
                    if !self.manifest(manifest)? {
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .insert(manifest.id);
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    self.tell.step(Stage::Manifests, done, of.max(done));
                    Ok(())
                })?;
            }
            if !is_any {
                break;
            }
        }
        Ok(())
    }

    /// Reads one manifest, and says whether that is settled.
    fn manifest(&self, pending: &Pending) -> Result<bool, StateError> {
        let platform = self.journal().platform(pending.id)?;
        if let (PlatformSelector::Only(_), Some(platform)) = (&self.sweep.choice.platforms, &platform) {
            let platform: Option<Platform> = platform.parse().ok();
            if !self.sweep.choice.platforms.wants(platform.as_ref()) {
                return Ok(false);
            }
        }
        let mut last = None;
        for (host, name) in &pending.places {
            if !self.sites.contains_key(host) {
                continue;
            }
            let what = format!("{host}/{name}@{}", pending.digest);
            match survived(|| self.read_manifest(host, name, pending)) {
                Ok(Ok(read)) => {
                    self.journal().manifest(&read)?;
                    return Ok(true);
                }
                Ok(Err(error)) => last = Some((what, error.reason().to_owned(), error.with_causes())),
                Err(loss) => last = Some((what, loss.reason, loss.why)),
            }
            if self.is_over() {
                return Ok(false);
            }
        }
        if let Some((what, reason, why)) = last {
            self.problem(&what, &reason, &why)?;
        }
        Ok(false)
    }

    fn read_manifest(
        &self,
        host: &str,
        name: &str,
        pending: &Pending,
    ) -> Result<ReadManifest<'static>, SourceError> {
        let source = self.hosts.source(host, name)?;
        let malformed = |why: String| SourceError::Malformed {
            what: format!("manifest `{}`", pending.digest),
            why,
        };
        let digest = Digest::parse(&pending.digest).map_err(|error| malformed(error.to_string()))?;
        let descriptor = Descriptor::new("", digest.clone(), 0);
        let bytes = source.manifest(&descriptor, self.sweep.limits.manifest_bytes)?;
        let mut hasher = oci::Hasher::new(digest.algorithm().unwrap_or(Algorithm::Sha256));
        hasher.update(&bytes);
        let actual = hasher.finish();
        if actual != digest {
            return Err(SourceError::DigestMismatch {
                expected: digest.to_string(),
                actual: actual.to_string(),
                read: bytes.len() as u64,
            });
        }
        let parsed = Document::parse(&bytes, None).map_err(|error| malformed(error.to_string()))?;
        let mut children = Vec::new();
        if let Some(index) = parsed.value.index() {
            let of = |descriptor: &Descriptor| {
                let platform = descriptor
                    .platform
                    .as_ref()
                    .filter(|platform| !platform.is_unknown());
                (descriptor.digest.to_string(), platform.map(ToString::to_string))
            };
            children = index.manifests.iter().map(of).collect();
        }
        let is_index = parsed.value.manifest().is_none();
        let (image, problems) = match is_index {
            true => (index_of(&digest, &bytes), Vec::new()),
            false => {
                let walk = Walk {
                    documents: &*source,
                    platforms: &PlatformSelector::All,
                    limits: &self.sweep.limits,
                };
                let root = walk::Root::Document {
                    bytes,
                    media_type: None,
                    digest: Some(digest.clone()),
                };
                let resolved = walk::resolve_root(&walk, root, &[])?;
                let image = resolved.images.into_iter().next();
                (
                    image.ok_or_else(|| malformed("it holds no image".to_owned()))?,
                    resolved.problems,
                )
            }
        };
        // What is lost by a problem that passes is read again in the next sweep.
        let record = self.sweep.scan.image_record(&image, problems);
        let kind = match (is_index, &image.artifact_type) {
            (true, _) => "index",
            (false, Some(_)) => "artifact",
            (false, None) => "image",
        };
        let runs: HashMap<usize, bool> = image
            .layers
            .iter()
            .filter_map(|layer| {
                let by = layer.history.as_ref()?.created_by.as_deref()?;
                Some((
                    layer.ordinal - 1,
                    by.starts_with("RUN") || !by.contains("#(nop)") && by.starts_with("/bin/sh"),
                ))
            })
            .collect();
        let layers = record.layers.iter().enumerate().map(|(index, layer)| {
            let runs = runs.get(&index).copied().unwrap_or_default();
            (
                layer.digest.to_string(),
                layer.size,
                layer.media_type.clone(),
                runs,
            )
        });
        let packed = record
            .to_bytes(self.sweep.scan.rules().hash())
            .map_err(|error| malformed(error.to_string()))?;
        Ok(ReadManifest {
            id: pending.id,
            kind,
            platform: record.platform(),
            created: None,
            labels: record.labels.clone(),
            children,
            layers: layers.collect(),
            complete: record.is_complete(),
            record: packed,
        })
    }

    /// Puts together the findings of every image whose layers were read since the last time.
    fn images(&self) -> Result<(), SweepError> {
        if self.is_over() {
            return Ok(());
        }
        let todo = self.journal().unassembled()?;
        let mut records = Records::new(&self.sweep.scan, &self.sweep.sealer);
        for (number, manifest) in todo.iter().enumerate() {
            if self.is_over() {
                break;
            }
            match survived(|| self.image(*manifest, &mut records)) {
                Ok(report) => self.journal().assembled(*manifest, &report?)?,
                // It stays to be put together, and counts as not read until it is.
                Err(loss) => {
                    let digest = self.journal().digest(*manifest)?;
                    self.problem(&format!("image {digest}"), &loss.reason, &loss.why)?;
                }
            }
            self.tell
                .step(Stage::Images, number as u64 + 1, todo.len() as u64);
        }
        Ok(())
    }

    /// The findings of one image.
    fn image(&self, manifest: i64, records: &mut Records<'_>) -> Result<Report, StateError> {
        let parts = self.journal().parts(manifest)?;
        let stored = records.stored(&parts, &*self.journal())?;
        let mut report = self.sweep.scan.assemble(vec![stored]);
        report.conceal();
        let counting = report.findings.iter().filter(|finding| journal::counts(finding));
        self.tell.met(Met::Findings, counting.count() as u64);
        Ok(report)
    }
}

/// What keeps records.
pub(super) trait Kept {
    /// The record of a blob.
    fn record(&self, blob: i64) -> Result<Option<journal::Kept>, StateError>;
    /// The rules that a record was made with.
    fn rules(&self, ruleset: i64) -> Result<journal::Rules, StateError>;
}

impl Kept for Journal {
    fn record(&self, blob: i64) -> Result<Option<journal::Kept>, StateError> {
        Self::record(self, blob)
    }
    fn rules(&self, ruleset: i64) -> Result<journal::Rules, StateError> {
        Self::rules(self, ruleset)
    }
}

/// Records of layers, kept for the next image that has them.
pub(super) struct Records<'s> {
    scan: &'s Scan,
    sealer: &'s Sealer,
    at_hand: HashMap<i64, Arc<LayerRecord>>,
    /// By the number of earlier rules: their hash, and how what they found holds for those of the scan.
    earlier: HashMap<i64, (String, Option<Carried>)>,
}

impl<'s> Records<'s> {
    /// Records that are read with the rules of `scan`, or with earlier ones that find the same.
    pub(super) fn new(scan: &'s Scan, sealer: &'s Sealer) -> Self {
        Self {
            scan,
            sealer,
            at_hand: HashMap::new(),
            earlier: HashMap::new(),
        }
    }

    /// An image with what was read of its layers, without a name.
    pub(super) fn stored(
        &mut self,
        parts: &Unassembled,
        kept: &impl Kept,
    ) -> Result<StoredImage, StateError> {
        let image = ImageRecord::from_bytes(&parts.record, self.scan.rules().hash(), self.sealer);
        let mut layers = HashMap::new();
        let mut unread = HashMap::new();
        for layer in &parts.layers {
            let Ok(digest) = Digest::parse(&layer.digest) else {
                continue;
            };
            if let Some(why) = &layer.failure {
                unread.insert(digest, why.clone());
                continue;
            }
            match self.record(layer.blob, kept)? {
                Some(record) => {
                    layers.insert(digest, record);
                }
                None => {
                    unread.insert(digest, "its record in the state is damaged".to_owned());
                }
            }
        }
        let image = match image {
            Ok(image) => image,
            // Nothing is known of it but that something was.
            Err(error) => ImageRecord::damaged(error.to_string()),
        };
        Ok(StoredImage {
            repository: String::new(),
            name: String::new(),
            image: Arc::new(image),
            layers,
            unread,
        })
    }

    /// The record of a blob; `None` where it is damaged.
    fn record(&mut self, blob: i64, kept: &impl Kept) -> Result<Option<Arc<LayerRecord>>, StateError> {
        if self.at_hand.len() > RECORDS_AT_HAND {
            self.at_hand.clear();
        }
        if let Some(record) = self.at_hand.get(&blob) {
            return Ok(Some(Arc::clone(record)));
        }
        let Some(stored) = kept.record(blob)? else {
            return Ok(None);
        };
        let ours = self.scan.rules().hash();
        let record = match LayerRecord::from_bytes(&stored.bytes, ours, self.sealer) {
            Err(StoredError::Foreign) => self.carried(&stored, kept)?,
            read => read.ok(),
        };
        let record = record.map(Arc::new);
        if let Some(record) = &record {
            self.at_hand.insert(blob, Arc::clone(record));
        }
        Ok(record)
    }

    /// A record that was made with earlier rules, as those of the scan would have made it.
    fn carried(
        &mut self,
        stored: &journal::Kept,
        kept: &impl Kept,
    ) -> Result<Option<LayerRecord>, StateError> {
        if !self.earlier.contains_key(&stored.ruleset) {
            let rules = kept.rules(stored.ruleset)?;
            let by = rules
                .outline
                .and_then(|known| self.scan.outline().carried_from(&known));
            self.earlier.insert(stored.ruleset, (rules.hash, by));
        }
        let (hash, by) = &self.earlier[&stored.ruleset];
        let record = LayerRecord::from_bytes(&stored.bytes, hash, self.sealer).ok();
        Ok(record
            .zip(by.as_ref())
            .and_then(|(record, by)| record.carried(by)))
    }
}

/// The texts of an index, as an image without layers.
fn index_of(digest: &Digest, bytes: &[u8]) -> Image {
    Image {
        names: Vec::new(),
        platform: None,
        manifest: Some(digest.clone()),
        image_id: None,
        artifact_type: None,
        config: ImageConfig::default(),
        fields: oci::fields("index", bytes),
        layers: Vec::new(),
        attestations: Vec::new(),
    }
}
