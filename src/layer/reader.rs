//! Reads one layer from its first to its last byte.

use std::collections::HashSet;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use crate::content::decode::{AsideKind, Codec, DecodeError, Decoder, Step};
use crate::engine::{Candidate, LiteralSet, Matcher, Scratch};
use crate::limits::{Budget, LimitHit, Limits};
use crate::oci::{Algorithm, DiffId, Digest};
use crate::tar::Oddity;
use crate::text;

use super::archives::{Body, Content, Picker};
use super::hasher::{Digests, Hashing, Piece, Tee};
use super::lanes::Lanes;
use super::loose::LooseObjects;
use super::merge::{Examined, Merger, examine};
use super::nested::{self, Inner, Openings};
use super::record::{Carrier, LayerCandidate, LayerRecord, LayerSkip, Severeness};
use super::window::{BufferPool, Cut, Framed, WINDOW, Windower};

/// Is told how far a layer is. Called from reader threads.
pub trait Progress: Send + Sync {
    /// So many bytes as stored were read.
    fn stored(&self, bytes: u64) {
        let _ = bytes;
    }
    /// So many decompressed bytes were handed to the matcher.
    fn decoded(&self, bytes: u64) {
        let _ = bytes;
    }
    /// So many bytes were decompressed. Says whether [`Limits::image_bytes`] leaves room for more.
    fn has_room(&self, bytes: u64) -> bool {
        let _ = bytes;
        true
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}

/// What all layers of a scan are read with.
pub struct LayerReader<'a> {
    pub(super) matcher: &'a Matcher,
    pub(super) limits: &'a Limits,
    budget: &'a Budget,
    /// Of archives; apart from that of windows, so that who holds one cannot wait for the other in a circle.
    archives: Arc<Budget>,
    pool: &'a rayon::ThreadPool,
    lanes: Lanes,
    pub(super) cancelled: &'a AtomicBool,
    pub(super) buffers: Arc<BufferPool>,
    scratches: Mutex<Vec<Scratch>>,
}

/// What the documents say of a blob, as far as it decides how it is read.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    /// The algorithm of the blob's digest.
    pub digest: Algorithm,
    /// The algorithm of its DiffID, where one is known: it then stands for the checksums inside the compression.
    pub diff_id: Option<Algorithm>,
    /// The size of the blob. One byte more is read to see that there is none.
    pub size: Option<u64>,
}

impl<'a> LayerReader<'a> {
    /// A reader of layers that matches in `pool` and stops soon after `cancelled` is set.
    pub fn new(
        matcher: &'a Matcher,
        limits: &'a Limits,
        budget: &'a Budget,
        pool: &'a rayon::ThreadPool,
        cancelled: &'a AtomicBool,
    ) -> Self {
        Self {
            matcher,
            limits,
            budget,
            archives: Arc::new(Budget::new(limits.archives_in_flight_bytes)),
            pool,
            lanes: Lanes::new(pool.current_num_threads()),
            cancelled,
            buffers: Arc::default(),
            scratches: Mutex::default(),
        }
    }

    /// Reads a blob to its end and says what is in it.
    ///
    /// Never fails: what goes wrong on the way is a skip of the record, and what was found before it is kept. Memory:
    /// about 8 MiB for the layer itself, and what the scan's budget allows in flight.
    pub fn read(&self, blob: &mut (dyn Read + Send), claims: Claims, progress: &dyn Progress) -> LayerRecord {
        let merger = Mutex::new(Merger::new(self.limits));
        let openings = Mutex::new(Openings::new(self.limits));
        let _lane = self.lanes.enter();
        let diff_id = claims.diff_id.unwrap_or(Algorithm::Sha256);
        let hashing = Hashing::new(&self.lanes, claims.digest, diff_id);
        let (read, framed, stored_bytes) = std::thread::scope(|scope| {
            scope.spawn(|| hashing.run());
            let limit = claims.size.map_or(u64::MAX, |size| size.saturating_add(1));
            let mut pass = Pass {
                reader: self,
                merger: &merger,
                openings: &openings,
                opened: 0,
                loose: LooseObjects::new(self.limits.git_objects_bytes),
                threads: scope,
                hashing: &hashing,
                progress,
                skips: Vec::new(),
                asides: Vec::new(),
                aside_bytes: 0,
                seen: LiteralSet::default(),
                decoded_bytes: 0,
                codec: Codec::Plain,
                is_covered: claims.diff_id.is_some(),
                ended: false,
            };
            let mut tee = Tee::new(blob, &hashing, limit);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                self.pool.in_place_scope(|tasks| pass.run(&mut tee, tasks))
            }));
            hashing.end();
            let framed = outcome.unwrap_or_else(|_| {
                pass.ended = false;
                pass.lose(
                    "panic",
                    None,
                    "an internal error ended the reading of this layer".to_owned(),
                );
                Framed::default()
            });
            (pass.outcome(), framed, tee.count)
        });
        let digests = hashing.finish();
        let merged = merger.into_inner().unwrap_or_else(PoisonError::into_inner);
        let opened = openings.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut record = record(self.matcher, read, framed, merged, stored_bytes, digests);
        add_opened(&mut record, opened);
        record
    }

    pub(super) fn search(&self, cut: &Cut, merger: &Mutex<Merger<'_>>) {
        let scratch = self
            .scratches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut scratch = scratch.unwrap_or_default();
        let examined = catch_unwind(AssertUnwindSafe(|| {
            examine(cut, self.matcher, &mut scratch, self.limits)
        }));
        let examined = examined.unwrap_or_else(|_| Examined::lost(cut));
        {
            let mut merger = merger.lock().unwrap_or_else(PoisonError::into_inner);
            merger.add(examined);
            merger.seen.append(&mut scratch.seen);
        }
        self.scratches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(scratch);
    }
}

/// One layer on its way.
struct Pass<'r, 'a, 't, 'e> {
    reader: &'r LayerReader<'a>,
    merger: &'r Mutex<Merger<'a>>,
    openings: &'r Mutex<Openings<'a>>,
    /// Archives that were given to be opened.
    opened: u64,
    /// Files that are opened when all of the layer has passed.
    loose: LooseObjects,
    threads: &'t Scope<'t, 'e>,
    hashing: &'r Hashing<'r>,
    progress: &'r dyn Progress,
    skips: Vec<LayerSkip>,
    asides: Vec<LayerCandidate>,
    aside_bytes: u64,
    /// Literals that stood beside the stream.
    seen: LiteralSet,
    decoded_bytes: u64,
    codec: Codec,
    /// Whether a DiffID covers the content.
    is_covered: bool,
    ended: bool,
}

impl<'r: 't, 'a: 'r, 't> Pass<'r, 'a, 't, '_> {
    fn run<'scope>(
        &mut self,
        tee: &mut Tee<'_, &mut (dyn Read + Send)>,
        tasks: &rayon::Scope<'scope>,
    ) -> Framed
    where
        'r: 'scope,
    {
        let limits = self.reader.limits;
        let bodies = Picker::of_layer(limits.archive_bytes, Arc::clone(&self.reader.archives));
        let mut windower = Windower::tar(&self.reader.buffers, limits, bodies);
        if let Err(error) = self.decode(tee, &mut windower, tasks) {
            self.lose_to(&error, tee);
        }
        windower.end_bodies();
        self.open_archives(&mut windower, tasks);
        let (objects, is_over) = std::mem::take(&mut self.loose).named(limits);
        for body in objects {
            self.open(body, tasks);
        }
        if is_over {
            self.skips.push(LayerSkip {
                severeness: Severeness::Opaque,
                reason: LimitHit::GitNames.name(),
                bytes: None,
                detail: "loose git objects beyond the limit are told by their ids only".to_owned(),
            });
        }
        let (cut, framed) = windower.finish();
        self.hand_over(cut, tasks);
        framed
    }

    fn decode<'scope>(
        &mut self,
        tee: &mut Tee<'_, &mut (dyn Read + Send)>,
        windower: &mut Windower,
        tasks: &rayon::Scope<'scope>,
    ) -> Result<(), DecodeError>
    where
        'r: 'scope,
    {
        let mut told = 0;
        let mut aside: Option<(AsideKind, Windower)> = None;
        let mut piece = Vec::new();
        let mut decoder = Decoder::open(&mut *tee, self.reader.limits)?;
        if self.is_covered {
            decoder = decoder.without_checksum();
        }
        self.codec = decoder.codec();
        loop {
            let step = decoder.step(windower.space(), &mut piece)?;
            let stored = decoder.inner().count;
            self.progress.stored(stored - told);
            told = stored;
            match step {
                Step::Data(count) => {
                    self.decoded_bytes += count as u64;
                    windower.advance(count);
                    self.open_archives(windower, tasks);
                    if windower.is_full() {
                        let cut = windower.cut();
                        self.hand_over(cut, tasks);
                    }
                    if self.decoded_bytes > self.reader.limits.layer_bytes {
                        return Err(DecodeError::Limit(LimitHit::LayerBytes));
                    }
                    if !self.progress.has_room(count as u64) {
                        return Err(DecodeError::Limit(LimitHit::ImageBytes));
                    }
                }
                Step::Aside { kind, last } => {
                    self.aside_bytes += piece.len() as u64;
                    let (_, windows) = aside.get_or_insert_with(|| {
                        (kind, Windower::flat(&self.reader.buffers, Carrier::Aside(kind)))
                    });
                    feed(windows, &piece, &mut |cut| self.search_aside(cut));
                    piece.clear();
                    if last && let Some((_, windows)) = aside.take() {
                        let (cut, _) = windows.finish();
                        self.search_aside(cut);
                    }
                }
                Step::End => {
                    self.ended = true;
                    return Ok(());
                }
            }
            // Behind the step, not before it: what arrived is searched.
            if self.reader.cancelled.load(Ordering::Relaxed) {
                self.lose(
                    "interrupted",
                    None,
                    "the scan was ended before the layer was read".to_owned(),
                );
                return Ok(());
            }
        }
    }

    /// Has the archives opened that have passed since the last time.
    fn open_archives<'scope>(&mut self, windower: &mut Windower, tasks: &rayon::Scope<'scope>)
    where
        'r: 'scope,
    {
        for body in windower.bodies() {
            let path = windower.path(body.entry);
            if let Some(body) = self.loose.pass(body, &path) {
                self.open(body, tasks);
            }
        }
    }

    fn open<'scope>(&mut self, body: Body, tasks: &rayon::Scope<'scope>)
    where
        'r: 'scope,
    {
        let (reader, openings, number) = (self.reader, self.openings, self.opened);
        self.opened += 1;
        if let Content::Pieces(_) = body.content {
            // It waits for what this thread reads, which no task of the pool may do.
            self.threads
                .spawn(move || nested::open(reader, number, body, openings));
        } else {
            tasks.spawn(move |_| nested::open(reader, number, body, openings));
        }
    }

    /// Has a window hashed and searched: by others where cores are free, else here, while its bytes are in the cache.
    /// Waits for bytes of the budget or for a turn: only readers ever wait.
    fn hand_over<'scope>(&self, cut: Cut, tasks: &rayon::Scope<'scope>)
    where
        'r: 'scope,
    {
        let (reader, merger) = (self.reader, self.merger);
        self.progress.decoded(cut.fresh.len() as u64);
        let piece = Piece::Decoded(Arc::clone(&cut.buffer), cut.fresh.clone());
        self.hashing.add(piece);
        if reader.lanes.are_taken() {
            let _turn = reader.lanes.turn();
            reader.search(&cut, merger);
            return;
        }
        reader.budget.take(WINDOW as u64);
        tasks.spawn(move |_| {
            let _given_back = GiveBack(reader.budget);
            reader.search(&cut, merger);
        });
    }

    /// Bytes beside the stream are few: they are searched where they are met. Each window of them counts its own lines.
    fn search_aside(&mut self, mut cut: Cut) {
        cut.index = 0;
        let merger = Mutex::new(Merger::new(self.reader.limits));
        self.reader.search(&cut, &merger);
        let mut merger = merger.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.seen.append(&mut merger.seen);
        if self.asides.len() < self.reader.limits.findings {
            self.asides
                .extend(settled(self.reader.matcher, merger.candidates));
        }
    }

    fn lose(&mut self, reason: &'static str, bytes: Option<u64>, detail: String) {
        self.skips.push(LayerSkip {
            severeness: Severeness::Incomplete,
            reason,
            bytes,
            detail,
        });
    }

    /// Notes why the layer was not decompressed to its end, and reads the rest of the blob for its digest.
    fn lose_to(&mut self, error: &DecodeError, tee: &mut Tee<'_, &mut (dyn Read + Send)>) {
        let reason = match error {
            DecodeError::Corrupt { .. } => "corrupt-compression",
            DecodeError::Io(_) => "unreadable-blob",
            DecodeError::Limit(limit) => limit.name(),
            DecodeError::Truncated { .. } => "truncated",
            DecodeError::Unsupported(_) => "unsupported-compression",
        };
        let mut detail = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            detail = format!("{detail}: {error}");
            cause = error.source();
        }
        let mut rest = 0;
        if !matches!(error, DecodeError::Io(_)) {
            let mut block = vec![0; 64 * 1024];
            while !self.reader.cancelled.load(Ordering::Relaxed) {
                match tee.read(&mut block) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => rest += count as u64,
                }
            }
        }
        self.lose(reason, Some(rest).filter(|rest| *rest > 0), detail);
    }

    /// Ends the pass; the hasher ends when its last sender, which is here, is gone.
    fn outcome(self) -> Outcome {
        Outcome {
            skips: self.skips,
            asides: self.asides,
            aside_bytes: self.aside_bytes,
            seen: self.seen,
            decoded_bytes: self.decoded_bytes,
            codec: self.codec,
            ended: self.ended,
        }
    }
}

/// What is left of a pass when its tasks are done.
struct Outcome {
    skips: Vec<LayerSkip>,
    asides: Vec<LayerCandidate>,
    aside_bytes: u64,
    seen: LiteralSet,
    decoded_bytes: u64,
    codec: Codec,
    ended: bool,
}

fn record(
    matcher: &Matcher,
    mut read: Outcome,
    framed: Framed,
    mut merged: Merger<'_>,
    stored_bytes: u64,
    digests: Option<Digests>,
) -> LayerRecord {
    let mut skip = |severeness, reason, bytes, detail: String| {
        read.skips.push(LayerSkip {
            severeness,
            reason,
            bytes,
            detail,
        });
    };
    let (digest, diff_id) = match digests {
        Some(digests) => (digests.stored, digests.decoded),
        None => {
            read.ended = false;
            let detail = "an internal error ended the hashing of this layer".to_owned();
            skip(Severeness::Incomplete, "panic", None, detail);
            (Digest::of(b""), DiffId(Digest::of(b"")))
        }
    };
    for (oddity, offset) in framed.oddities {
        let (severeness, reason, what) = oddity_text(oddity);
        skip(
            severeness,
            reason,
            None,
            format!("{what}, at offset {offset} of the uncompressed layer"),
        );
    }
    if merged.lost_bytes > 0 {
        let detail = "an internal error ended the search of a part of this layer".to_owned();
        skip(Severeness::Incomplete, "panic", Some(merged.lost_bytes), detail);
    }
    for (over, limit) in [
        (framed.entries_over, LimitHit::Entries),
        (framed.paths_over, LimitHit::PathTable),
    ] {
        if over > 0 {
            let detail = format!(
                "no path and no life is known of {} beyond the limit",
                text::counted(over, "member")
            );
            skip(Severeness::Incomplete, limit.name(), None, detail);
        }
    }
    if framed.paths_cut > 0 {
        let detail = format!(
            "a path or a link that is longer than is kept was cut in {}, whose life may be another",
            text::counted(framed.paths_cut, "member")
        );
        skip(Severeness::Incomplete, LimitHit::Path.name(), None, detail);
    }
    if merged.over > 0 {
        let detail = format!(
            "dropped {} beyond the limit",
            text::counted(merged.over, "candidate")
        );
        skip(Severeness::Incomplete, LimitHit::Findings.name(), None, detail);
    }
    if merged.partial_windows > 0 {
        let detail = format!(
            "more encoded text than is decoded stands in {} of this layer; it was searched as it stands",
            text::counted(merged.partial_windows, "part")
        );
        skip(Severeness::Opaque, LimitHit::EncodedText.name(), None, detail);
    }
    if merged.more_in_file > 0 {
        let detail = format!(
            "a rule matches {} in a file in which it matches often",
            text::counted(merged.more_in_file, "more time")
        );
        skip(Severeness::Note, LimitHit::FindingsPerFile.name(), None, detail);
    }
    let mut bodies = std::mem::take(&mut merged.bodies);
    bodies.ownership.settle();
    for path in &bodies.too_large {
        let detail = format!(
            "the package database `{}` is larger than is read; its files count as nobody's",
            text::escape(path)
        );
        skip(Severeness::Note, LimitHit::PackageDatabase.name(), None, detail);
    }
    if bodies.ownership.over() > 0 {
        let detail = format!(
            "packages claim {} beyond the limit, told as nobody's",
            text::counted(bodies.ownership.over(), "file")
        );
        skip(Severeness::Note, LimitHit::PackageClaims.name(), None, detail);
    }
    let mut candidates = settled(matcher, std::mem::take(&mut merged.candidates));
    if !framed.framing.is_tar {
        for candidate in &mut candidates {
            candidate.carrier = Carrier::Blob;
        }
    }
    candidates.append(&mut read.asides);
    merged.seen.append(&mut read.seen);
    LayerRecord {
        digest,
        stored_bytes,
        diff_id,
        decoded_bytes: read.decoded_bytes,
        searched_bytes: read.decoded_bytes - merged.lost_bytes,
        codec: read.codec,
        complete: read.ended,
        framing: framed.framing,
        paths: framed.paths,
        candidates,
        ownership: bodies.ownership,
        contents: bodies.contents,
        more_candidates: merged.more_in_file,
        aside_bytes: read.aside_bytes,
        expanded_bytes: 0,
        skips: read.skips,
        seen: merged.seen,
    }
}

/// Adds what the archives of the layer gave.
fn add_opened(record: &mut LayerRecord, mut opened: Openings<'_>) {
    let mut skip = |severeness, reason, detail: String| {
        record.skips.push(LayerSkip {
            severeness,
            reason,
            bytes: None,
            detail,
        });
    };
    for opaque in opened.opaque {
        let row = record.paths.row(opaque.entry);
        let path = row.map(|row| row.path).unwrap_or_default();
        let detail = format!("`{}{}`: {}", text::escape(&path), opaque.within, opaque.why);
        skip(Severeness::Opaque, opaque.reason, detail);
    }
    for (reason, count) in opened.more_opaque {
        let detail = format!("{} in this layer", text::counted(count, "more place"));
        skip(Severeness::Opaque, reason, detail);
    }
    if opened.interrupted {
        let detail = "the scan was ended before all archives in the layer were searched".to_owned();
        skip(Severeness::Incomplete, "interrupted", detail);
    }
    if opened.lost_bytes > 0 {
        let detail = "an internal error ended the search of archives in this layer".to_owned();
        skip(Severeness::Incomplete, "panic", detail);
    }
    if opened.over > 0 {
        let detail = format!(
            "dropped {} in archives beyond the limit",
            text::counted(opened.over, "candidate")
        );
        skip(Severeness::Incomplete, LimitHit::Findings.name(), detail);
    }
    if opened.more_in_file > 0 {
        let detail = format!(
            "a rule matches {} in a member of an archive in which it matches often",
            text::counted(opened.more_in_file, "more time")
        );
        skip(Severeness::Note, LimitHit::FindingsPerFile.name(), detail);
    }
    if opened.more_versions > 0 {
        let detail = format!(
            "rules match {} in later versions of files in git history, told by the first version that has it",
            text::counted(opened.more_versions, "more time")
        );
        skip(Severeness::Note, "git-versions", detail);
    }
    if opened.partial_windows > 0 {
        let detail = format!(
            "encoded text was not all decoded in {} of archives",
            text::counted(opened.partial_windows, "place")
        );
        skip(Severeness::Opaque, LimitHit::EncodedText.name(), detail);
    }
    record.contents.append(&mut opened.contents);
    let inner = Inner::of(&opened.candidates);
    record.candidates.retain(|found| !inner.has(found));
    record.candidates.append(&mut opened.candidates);
    record.more_candidates += opened.more_in_file;
    record.expanded_bytes = opened.expanded_bytes;
    record.seen.append(&mut opened.seen);
}

/// The candidates of one stream that say something of their own, in order of their place.
pub(super) fn settled(matcher: &Matcher, mut located: Vec<LayerCandidate>) -> Vec<LayerCandidate> {
    let mut candidates: Vec<Candidate> = located.iter().map(|located| located.candidate.clone()).collect();
    matcher.settle(&mut candidates);
    let stays: HashSet<_> = candidates.iter().map(Candidate::order).collect();
    located.retain(|located| stays.contains(&located.candidate.order()));
    located.sort_by_key(|located| located.candidate.order());
    located.dedup_by_key(|located| located.candidate.order());
    located
}

/// Writes `piece` to the windower, cutting windows as they fill.
pub(super) fn feed(windows: &mut Windower, mut piece: &[u8], search: &mut dyn FnMut(Cut)) {
    while !piece.is_empty() {
        let space = windows.space();
        let count = space.len().min(piece.len());
        space[..count].copy_from_slice(&piece[..count]);
        windows.advance(count);
        piece = &piece[count..];
        if windows.is_full() {
            search(windows.cut());
        }
    }
}

/// Gives a window's bytes back even if its search panics.
struct GiveBack<'a>(&'a Budget);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        self.0.give(WINDOW as u64);
    }
}

pub(super) fn oddity_text(oddity: Oddity) -> (Severeness, &'static str, &'static str) {
    use Severeness::{Incomplete, Note};
    match oddity {
        Oddity::AmbiguousKind => (
            Note,
            "tar-ambiguous-kind",
            "a member is a file by one of its names and a directory by another",
        ),
        Oddity::AmbiguousNumber => (
            Note,
            "tar-ambiguous-number",
            "a number in a header is read in two ways",
        ),
        Oddity::AmbiguousSparse => (
            Note,
            "tar-ambiguous-sparse",
            "the holes of a file are told in two ways",
        ),
        Oddity::BodyOfBodiless => (
            Note,
            "tar-body-of-bodiless",
            "a member that can have no content declares a size",
        ),
        Oddity::ConcatenatedArchive => (Note, "tar-concatenated", "a second archive follows the first"),
        Oddity::DanglingExtension => (Note, "tar-dangling-extension", "an extended header has no member"),
        Oddity::DuplicateExtension => (
            Note,
            "tar-duplicate-extension",
            "two extended headers give one field",
        ),
        Oddity::EmptyExtension => (
            Note,
            "tar-empty-extension",
            "an extended header gives an empty field",
        ),
        Oddity::GlobalOverride => (
            Note,
            "tar-global-override",
            "a global header carries a path or a size",
        ),
        Oddity::MalformedExtension => (
            Incomplete,
            "tar-malformed-extension",
            "an extended header cannot be read",
        ),
        Oddity::MalformedHeader => (Incomplete, "tar-malformed-header", "a header cannot be read"),
        Oddity::MixedLongNames => (
            Note,
            "tar-mixed-long-names",
            "two extended headers disagree on a name",
        ),
        Oddity::NulInName => (Note, "tar-nul-in-name", "a name goes on behind a NUL byte"),
        Oddity::OversizeExtension => (Incomplete, "tar-header", "an extended header is over the limit"),
        Oddity::OversizeSparseMap => (Incomplete, "sparse-runs", "a sparse map is over the limit"),
        Oddity::PaddedExtension => (
            Note,
            "tar-padded-extension",
            "bytes fill the block of an extended header",
        ),
        Oddity::SolarisExtension => (
            Note,
            "tar-solaris-extension",
            "a member is an extended header to some readers",
        ),
        Oddity::StrayFields => (
            Note,
            "tar-stray-fields",
            "a header has fields that its format has not",
        ),
        Oddity::TrailingData => (Note, "tar-trailing-data", "bytes follow the end of the archive"),
        Oddity::Truncated => (Incomplete, "tar-truncated", "the archive ends within a member"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::owner::ContentDigest;
    use super::*;
    use crate::rules::RuleSet;

    /// A rule of the tests' own, so that no change of the built-in ones moves them.
    pub(in crate::layer) const RULE: &str = r#"
        [[rule]]
        id = "test-token"
        title = "Test token"
        description = "A token of the tests."
        severity = "high"
        confidence = "high"
        literals = ["tok_"]
        regex = '''tok_[a-z0-9]{16}'''
        revoke = "nothing"
        references = ["https://example.com"]
        covers = []
        [[rule.example]]
        text = "tok_{a-z0-9:16}"
        [[rule.counter]]
        text = "tok_{a-z0-9:15}"
    "#;

    const TOKEN: &str = "tok_0123456789abcdef";

    fn read(blob: &[u8], jobs: usize) -> LayerRecord {
        read_within(&Limits::default(), blob, jobs)
    }

    fn read_within(limits: &Limits, blob: &[u8], jobs: usize) -> LayerRecord {
        let rules = RuleSet::load(&[("tests.toml".to_owned(), RULE.to_owned())]).expect("the rule is right");
        let rules = rules.retain(|rule| rule.id.0 == "test-token");
        let matcher = Matcher::new(Arc::new(rules));
        let budget = Budget::new(limits.in_flight_bytes);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(jobs)
            .build()
            .expect("threads start");
        let cancelled = AtomicBool::new(false);
        let reader = LayerReader::new(&matcher, limits, &budget, &pool, &cancelled);
        let claims = Claims {
            digest: Algorithm::Sha256,
            diff_id: None,
            size: None,
        };
        let record = reader.read(&mut &blob[..], claims, &super::super::Silent);
        assert_eq!(
            record.digest,
            Digest::of(blob),
            "the blob was not read to its end"
        );
        record
    }

    fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, path, content.as_slice())
                .expect("the archive can be written");
        }
        builder.into_inner().expect("the archive can be ended")
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory can be written");
        encoder.finish().expect("memory can be written")
    }

    fn paths(record: &LayerRecord) -> Vec<(String, u64, u64)> {
        let path = |found: &LayerCandidate| {
            let row = found
                .entry
                .and_then(|entry| record.paths.row(entry))
                .expect("it is in a file");
            String::from_utf8_lossy(&row.path).into_owned()
        };
        record
            .candidates
            .iter()
            .map(|found| (path(found), found.location.line, found.location.column))
            .collect()
    }

    #[test]
    fn a_token_is_found_in_its_file_on_its_line() {
        let text = format!("one\ntwo\n  token = {TOKEN}\n");
        let stream = tar(&[("etc/empty", Vec::new()), ("etc/config", text.into_bytes())]);
        let record = read(&gzip(&stream), 2);
        assert_eq!(paths(&record), [("etc/config".to_owned(), 3, 11)]);
        assert_eq!(record.diff_id.0, Digest::of(&stream));
        assert_eq!(
            (record.codec, record.complete, record.searched_bytes),
            (Codec::Gzip, true, stream.len() as u64)
        );
        assert_eq!(record.skips, []);
    }

    #[test]
    fn a_panic_in_hashing_costs_the_digests_and_nothing_else() {
        let mut content = format!("token = {TOKEN}\nbreak down in hasher\n").into_bytes();
        content.resize(20 << 20, b'.');
        let rules = RuleSet::load(&[("tests.toml".to_owned(), RULE.to_owned())]).expect("the rule is right");
        let matcher = Matcher::new(Arc::new(rules.retain(|rule| rule.id.0 == "test-token")));
        let (limits, cancelled) = (Limits::default(), AtomicBool::new(false));
        let budget = Budget::new(limits.in_flight_bytes);
        let claims = Claims {
            digest: Algorithm::Sha256,
            diff_id: None,
            size: None,
        };
        for jobs in [1, 4] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(jobs)
                .build()
                .expect("threads start");
            let reader = LayerReader::new(&matcher, &limits, &budget, &pool, &cancelled);
            let blob = tar(&[("a", content.clone())]);
            let record = reader.read(&mut &blob[..], claims, &super::super::Silent);
            assert!(!record.complete);
            let reasons: Vec<&str> = record.skips.iter().map(|skip| skip.reason).collect();
            assert_eq!(reasons, ["panic"], "{:?}", record.skips);
            assert_eq!(paths(&record), [("a".to_owned(), 1, 9)]);
        }
    }

    #[test]
    fn lines_and_columns_run_on_through_windows() {
        // Lines of 100 bytes over 5 MiB, with a token in every 9973rd.
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for line in 1..=52_000_u64 {
            let token = if line % 9973 == 0 { TOKEN } else { "" };
            if !token.is_empty() {
                expected.push(("big.txt".to_owned(), line, 7));
            }
            text.extend_from_slice(format!("{:<99}\n", format!("value={token}")).as_bytes());
        }
        let record = read(&tar(&[("a", b"x\ny".to_vec()), ("big.txt", text)]), 4);
        assert_eq!(paths(&record), expected);
    }

    #[test]
    fn a_token_that_ends_with_its_block_does_not_run_into_the_next_header() {
        let mut content = vec![b' '; 512 - TOKEN.len()];
        content.extend_from_slice(TOKEN.as_bytes());
        let record = read(&tar(&[("a", content), ("0123", Vec::new())]), 1);
        assert_eq!(record.candidates.len(), 1);
    }

    #[test]
    fn bytes_beside_files_are_searched_and_named() {
        let carriers = |blob: &[u8]| -> Vec<&str> {
            read(blob, 1)
                .candidates
                .iter()
                .map(|found| found.carrier.name())
                .collect()
        };
        let mut padding = tar(&[("a", b"x".to_vec())]);
        padding[600..600 + TOKEN.len()].copy_from_slice(TOKEN.as_bytes());
        assert_eq!(carriers(&padding), ["tar-padding"]);
        let mut tail = tar(&[("a", b"x".to_vec())]);
        tail.extend_from_slice(TOKEN.as_bytes());
        assert_eq!(carriers(&tail), ["tar-tail"]);
        assert_eq!(carriers(&tar(&[(TOKEN, Vec::new())])), ["tar-header"]);
        let mut commented = flate2::GzBuilder::new()
            .comment(TOKEN)
            .write(Vec::new(), flate2::Compression::fast());
        commented
            .write_all(&tar(&[("a", Vec::new())]))
            .expect("memory can be written");
        assert_eq!(
            carriers(&commented.finish().expect("memory can be written")),
            ["gzip-comment"]
        );
        assert_eq!(carriers(format!("no tar, but {TOKEN}").as_bytes()), ["blob"]);
    }

    #[test]
    fn package_databases_beyond_a_limit_are_told() {
        let sums: String = (0..100)
            .map(|number| format!("{number:032x}  etc/{number}\n"))
            .collect();
        let layer = tar(&[("var/lib/dpkg/info/a.md5sums", sums.into_bytes())]);
        let reasons = |limits: Limits| -> Vec<&str> {
            let skips = read_within(&limits, &layer, 1).skips;
            assert!(skips.iter().all(|skip| skip.severeness == Severeness::Note));
            skips.iter().map(|skip| skip.reason).collect()
        };
        assert_eq!(reasons(Limits::default()), Vec::<&str>::new());
        let few = Limits {
            package_claims: 99,
            ..Limits::default()
        };
        assert_eq!(reasons(few), ["package-claims"]);
        let small = Limits {
            package_database_bytes: 1000,
            ..Limits::default()
        };
        assert_eq!(reasons(small), ["package-database"]);
    }

    #[test]
    fn what_was_found_before_the_damage_is_kept() {
        let mut noise = 1_u64;
        let random: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        })
        .take(3 << 20)
        .collect();
        let whole = gzip(&tar(&[("token", TOKEN.as_bytes().to_vec()), ("noise", random)]));
        let record = read(&whole[..whole.len() / 2], 2);
        assert_eq!(paths(&record).len(), 1);
        assert!(!record.complete);
        assert!(
            record.skips.iter().any(|skip| skip.reason == "truncated"),
            "{:?}",
            record.skips
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_is_found_does_not_depend_on_threads_or_compression(
            sizes in prop::collection::vec(0..700_000_usize, 1..9), every in 3_000..200_000_usize,
        ) {
            let files: Vec<(String, Vec<u8>)> = sizes.iter().enumerate().map(|(number, size)| {
                let mut content = vec![b'.'; *size];
                for at in (number..size.saturating_sub(TOKEN.len())).step_by(every) {
                    content[at..at + TOKEN.len()].copy_from_slice(TOKEN.as_bytes());
                }
                (format!("file-{number}"), content)
            }).collect();
            let expected: usize =
                files.iter().map(|(_, content)| content.windows(TOKEN.len()).filter(|at| *at == TOKEN.as_bytes()).count()).sum();
            let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(path, content)| (path.as_str(), content.clone())).collect();
            let stream = tar(&files);
            let plain = read(&stream, 1);
            let packed = read(&gzip(&stream), 4);
            prop_assert_eq!(plain.candidates.len() as u64 + plain.more_candidates, expected as u64);
            prop_assert_eq!(paths(&plain), paths(&packed));
            prop_assert_eq!(&plain.diff_id, &packed.diff_id);
            // However windows cut a file, its hashes are those of the whole.
            for record in [&plain, &packed] {
                for entry in record.candidates.iter().filter_map(|candidate| candidate.entry) {
                    let whole = ContentDigest::of(&files[entry as usize].1);
                    prop_assert_eq!(record.contents.get(&entry), Some(&whole));
                }
            }
        }
    }
}
