//! From windows to candidates: asks for each hit of a literal which region it lies in, and looks for the rule's pattern
//! in that region alone. Does not decide across files or layers; see `scan`.
//!
//! Whether and what a hit leads to depends on the region and on [`REACH`](super::REACH) bytes around it, never on
//! where a window was cut. That is why hits are looked at one by one and not in groups.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use aho_corasick::AhoCorasick;
use globset::{GlobMatcher, GlobSet, GlobSetBuilder};
use regex_automata::meta::{Cache, Regex};
use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input, PatternID};
use sha2::{Digest as _, Sha256};

use super::assignment::{self, Assignment};
use super::checks::{self, Verdict};
use super::filter::Filter;
use super::outline::{LiteralSet, Outline, OutlinedRule, known_by};
use super::prefilter::{Hit, Prefilter};
use super::shape::{self, Shape};
use super::{Candidate, Companion, File, Place, Regions, Window, context, entropy, extract, pattern};
use crate::rules::{
    self, Boundary, Check, Confidence, Evidence, Literal, Part, Pattern, Rule, RuleSet, SecretKind,
};
use crate::text;

/// A compiled set of rules. Built once; shared by all threads.
///
/// *Cost*: a few milliseconds to build. Expressions are compiled when first needed, most of them never.
pub struct Matcher {
    rules: Arc<RuleSet>,
    prefilter: Prefilter,
    /// By literal: what it leads to.
    targets: Vec<Vec<Target>>,
    /// By rule.
    searches: Vec<RuleSearch>,
    /// By rule: what it is limited to and lets pass.
    filters: Vec<Option<Filter>>,
    /// Rules that no literal leads to.
    slow: Vec<usize>,
    /// Rules that the path of a file leads to, and the globs of all of them, compiled when first needed.
    by_path: Vec<usize>,
    paths: OnceLock<GlobSet>,
    /// By literal: whether it is a word in the name of a key.
    words: Vec<bool>,
    /// Rules that know what the key of their value is called.
    keys: Keys,
    /// Tells whose expressions a `Scratch` has caches for.
    identity: Arc<()>,
}

/// Buffers of one thread. Grows to what the largest window needed and to one cache for each expression that ran.
#[derive(Default)]
pub struct Scratch {
    hits: Vec<Hit>,
    nearby: Vec<Found>,
    caches: Vec<Option<Box<Buffers>>>,
    identity: Option<Arc<()>>,
    /// Literals that stood in a region since somebody took them, by their numbers in [`Matcher::outline`].
    pub seen: LiteralSet,
}

struct Buffers {
    cache: Cache,
    captures: Captures,
}

/// What a literal leads to: a rule's anchor, or one of its parts standing alone.
#[derive(Clone, Copy)]
struct Target {
    rule: usize,
    part: Option<u32>,
}

struct RuleSearch {
    /// The globs of the paths it is limited to, compiled when first needed.
    paths: OnceLock<Vec<GlobMatcher>>,
    anchor: Search,
    /// Next to an anchor.
    parts: Vec<Search>,
    /// Alone; `None` where that is no different.
    alone: Vec<Option<Search>>,
    /// The name of a key.
    name: Option<Search>,
    /// The value of a key whose name is known.
    value: Option<Search>,
}

/// The rules that know what the key of their value is called.
///
/// Hundreds of expressions in one are walked state by state for each byte of a key; a text that must stand in the key
/// leads to the one or two that may match.
#[derive(Default)]
struct Keys {
    /// The rules that some text leads to, by text.
    led: Vec<(Vec<u8>, usize)>,
    /// The texts, compiled when first needed.
    leads: OnceLock<AhoCorasick>,
    /// The rules that any key may be one of.
    others: Vec<usize>,
    /// The number of the first text: those before it are of literals.
    first: u32,
}

/// An expression that is compiled when first needed.
struct Search {
    /// Its place in [`Scratch::caches`].
    number: usize,
    /// Whether it may be walked. Names of keys are not: of what may stand before their last word there is no end.
    is_walked: bool,
    compiled: OnceLock<Compiled>,
}

struct Compiled {
    source: Box<str>,
    has_secret: bool,
    /// Walks the expression, where that can be done.
    shape: Option<Shape>,
    /// Where not, or where it takes too long.
    automaton: OnceLock<Automaton>,
}

struct Automaton {
    regex: Regex,
    /// The group that is the secret, where it is not the whole match.
    secret: Option<usize>,
}

/// Where an expression is looked for.
#[derive(Clone, Debug)]
struct Reach {
    span: Range<usize>,
    /// Where a match may begin at the latest. One that begins behind it may be found too.
    latest: usize,
}

impl Reach {
    /// A match that begins with the span.
    fn anchored(span: Range<usize>) -> Self {
        let latest = span.start;
        Self { span, latest }
    }

    /// A match anywhere in the span.
    fn within(span: Range<usize>) -> Self {
        let latest = span.end;
        Self { span, latest }
    }

    fn is_anchored(&self) -> bool {
        self.latest == self.span.start
    }
}

/// A match of a pattern, in offsets of the region's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) whole: Range<usize>,
    pub(super) secret: Range<usize>,
}

/// A region as far as the window shows it.
#[derive(Clone, Copy)]
struct Region<'a> {
    bytes: &'a [u8],
    /// Offset in the stream of the first byte.
    start: u64,
    number: u32,
}

impl Matcher {
    /// Compiles `rules`.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let mut numbers = 0;
        let mut search = |is_walked| {
            numbers += 1;
            Search {
                number: numbers - 1,
                is_walked,
                compiled: OnceLock::new(),
            }
        };
        let mut literals: Vec<Literal> = Vec::new();
        let mut known: HashMap<Literal, usize> = HashMap::new();
        let mut targets: Vec<Vec<Target>> = Vec::new();
        let mut searches = Vec::new();
        let (mut filters, mut slow, mut by_path) = (Vec::new(), Vec::new(), Vec::new());
        for (number, rule) in rules.rules().iter().enumerate() {
            let anchor = (None, &rule.anchor);
            let parts = (0_u32..).map(Some).zip(&rule.parts);
            for (part, shape) in std::iter::once(anchor).chain(parts) {
                for literal in &shape.literals {
                    let place = *known.entry(literal.clone()).or_insert_with(|| {
                        literals.push(literal.clone());
                        targets.push(Vec::new());
                        literals.len() - 1
                    });
                    targets[place].push(Target { rule: number, part });
                }
            }
            if rule.is_slow() {
                slow.push(number);
            } else if rule.is_by_path() {
                by_path.push(number);
            }
            filters.push(rule.filter.as_deref().map(Filter::new));
            searches.push(RuleSearch {
                paths: OnceLock::new(),
                anchor: search(true),
                parts: rule.parts.iter().map(|_| search(true)).collect(),
                alone: rule
                    .parts
                    .iter()
                    .map(|part| part.alone.as_ref().map(|_| search(true)))
                    .collect(),
                name: rule.anchor.key.as_ref().map(|_| search(false)),
                value: rule.anchor.key.as_ref().map(|_| search(true)),
            });
        }
        let mut keys = Keys::of(&rules);
        let mut words = vec![false; literals.len()];
        for text in assignment::words().filter(|_| !keys.is_empty()) {
            let literal = Literal {
                text,
                ignore_case: true,
            };
            let place = *known.entry(literal.clone()).or_insert_with(|| {
                literals.push(literal);
                targets.push(Vec::new());
                words.push(false);
                literals.len() - 1
            });
            words[place] = true;
        }
        keys.first = literals.len() as u32;
        Self {
            rules,
            prefilter: Prefilter::new(literals),
            targets,
            searches,
            filters,
            slow,
            by_path,
            paths: OnceLock::new(),
            words,
            keys,
            identity: Arc::new(()),
        }
    }

    /// The rules.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// What decides where these rules find something.
    pub fn outline(&self) -> Outline {
        let of_literal = |literal: &Literal| known_by(u8::from(literal.ignore_case), &literal.text);
        let literals = self.prefilter.literals().iter().map(of_literal);
        let of_keys = self.keys.led.iter().map(|(text, _)| known_by(2, text));
        let mut led: Vec<Vec<u32>> = vec![Vec::new(); self.rules.rules().len()];
        for (number, targets) in (0..).zip(&self.targets) {
            targets.iter().for_each(|target| led[target.rule].push(number));
        }
        for (number, (_, rule)) in (self.keys.first..).zip(&self.keys.led) {
            led[*rule].push(number);
        }
        let rules = self.rules.rules().iter().zip(led).enumerate();
        Outline {
            engine: rules::ENGINE.to_owned(),
            literals: literals.chain(of_keys).collect(),
            rules: rules
                .map(|(number, (rule, literals))| OutlinedRule {
                    id: rule.id.0.clone(),
                    digest: rule.digest(),
                    literals,
                    // Key stores are told by their first bytes.
                    is_everywhere: rule.is_slow()
                        || rule.is_by_path()
                        || self.keys.others.contains(&number)
                        || rule.anchor.checks.contains(&Check::KeyStore),
                })
                .collect(),
        }
    }

    /// Finds the candidates whose literal begins in `window.owned`, and adds them to `found`.
    ///
    /// One credential may be found from two literals, in two windows, or by two rules: when all windows are through,
    /// [`Matcher::settle`] makes one of them. Allocates nothing but candidates once `scratch` has grown.
    pub fn scan(
        &self,
        window: &Window<'_>,
        regions: &dyn Regions,
        scratch: &mut Scratch,
        found: &mut Vec<Candidate>,
    ) {
        if !scratch
            .identity
            .as_ref()
            .is_some_and(|identity| Arc::ptr_eq(identity, &self.identity))
        {
            scratch.caches.clear();
            scratch.seen = LiteralSet::default();
            scratch.identity = Some(self.identity.clone());
        }
        let offset = |at: u64| {
            usize::try_from(at.saturating_sub(window.start))
                .unwrap_or(usize::MAX)
                .min(window.bytes.len())
        };
        let owned = offset(window.owned.start)..offset(window.owned.end);
        let mut hits = std::mem::take(&mut scratch.hits);
        self.prefilter.find(window.bytes, owned, &mut hits);

        if !self.slow.is_empty() {
            self.scan_slowly(window, regions, scratch, found);
        }
        if !self.by_path.is_empty() {
            self.scan_by_path(window, regions, scratch, found);
        }
        let mut place: Option<Place> = None;
        let mut assigned = None;
        for &hit in &hits {
            let at = window.start + hit.at as u64;
            if !place.as_ref().is_some_and(|place| place.span.contains(&at)) {
                place = regions.at(at);
            }
            let Some(place) = &place else { continue };
            let span = offset(place.span.start)..offset(place.span.end);
            let literal = hit.at..hit.at + self.prefilter.literal(hit).text.len();
            // A literal across two regions is none.
            if literal.start < span.start || literal.end > span.end {
                continue;
            }
            let region = Region {
                bytes: &window.bytes[span.clone()],
                start: window.start + span.start as u64,
                number: place.region,
            };
            let literal = literal.start - span.start..literal.end - span.start;
            scratch.seen.insert(hit.literal);
            for &target in &self.targets[hit.literal as usize] {
                let mut attempt = Attempt {
                    matcher: self,
                    regions,
                    region,
                    target,
                    scratch,
                    found,
                };
                attempt.at(&literal);
            }
            if !self.words[hit.literal as usize] {
                continue;
            }
            // One name may hold several of the words.
            let form = assignment::Form::of(regions.path(region.number));
            let assignment = assignment::assignment(region.bytes, &literal, form)
                .filter(|found| assigned != Some(region.start + found.name.start as u64));
            let Some(assignment) = assignment else { continue };
            assigned = Some(region.start + assignment.name.start as u64);
            let key = assignment.key(region.bytes);
            for rule in self.keys.leading_from(&key, &mut scratch.seen) {
                if !self.is_called(rule, &key, scratch) {
                    continue;
                }
                let mut attempt = Attempt {
                    matcher: self,
                    regions,
                    region,
                    target: Target { rule, part: None },
                    scratch,
                    found,
                };
                attempt.value_of(&assignment);
            }
        }
        scratch.hits = hits;
    }

    /// Whether a rule knows a key of this name.
    fn is_called(&self, rule: usize, key: &[u8], scratch: &mut Scratch) -> bool {
        let (Some(name), Some(search)) = (&self.rules.rules()[rule].anchor.key, &self.searches[rule].name)
        else {
            return false;
        };
        let compiled = search.compiled_from(&name.names);
        let found = search.next(compiled, key, Reach::within(0..key.len()), &mut scratch.caches);
        found.is_some()
    }

    /// Runs the rules that no literal leads to over each region, from where the window's own part of it begins.
    fn scan_slowly(
        &self,
        window: &Window<'_>,
        regions: &dyn Regions,
        scratch: &mut Scratch,
        found: &mut Vec<Candidate>,
    ) {
        let end = window.start + window.bytes.len() as u64;
        let mut at = window.owned.start;
        while at < window.owned.end {
            let Some(place) = regions.at(at) else {
                // Nothing is of interest here; there may be further on.
                at = regions.next(at).max(at + 1);
                continue;
            };
            let from = place.span.start.max(window.start);
            let to = place.span.end.min(end);
            let region = Region {
                bytes: &window.bytes[(from - window.start) as usize..(to - window.start) as usize],
                start: from,
                number: place.region,
            };
            let own = (at - from) as usize..(window.owned.end.min(to) - from) as usize;
            for &rule in &self.slow {
                let mut attempt = Attempt {
                    matcher: self,
                    regions,
                    region,
                    target: Target { rule, part: None },
                    scratch,
                    found,
                };
                attempt.everywhere(&own);
            }
            at = to.max(at + 1);
        }
    }

    /// Runs the rules that only a path leads to over each small file that begins in the window.
    fn scan_by_path(
        &self,
        window: &Window<'_>,
        regions: &dyn Regions,
        scratch: &mut Scratch,
        found: &mut Vec<Candidate>,
    ) {
        let mut at = window.owned.start;
        while at < window.owned.end {
            let Some(place) = regions.at(at) else {
                at = regions.next(at).max(at + 1);
                continue;
            };
            at = place.span.end.max(at + 1);
            let path = regions.path(place.region);
            let length = place.span.end - place.span.start;
            if path.is_empty()
                || place.span.start < window.owned.start
                || length > WHOLE_FILE
                || !self.leads_by_path(path)
            {
                continue;
            }
            let from = (place.span.start - window.start) as usize;
            let region = Region {
                bytes: &window.bytes[from..window.bytes.len().min(from + length as usize)],
                start: place.span.start,
                number: place.region,
            };
            for &rule in &self.by_path {
                let mut attempt = Attempt {
                    matcher: self,
                    regions,
                    region,
                    target: Target { rule, part: None },
                    scratch,
                    found,
                };
                attempt.by_path(path);
            }
        }
    }

    /// Whether the path of a file leads to any rule.
    fn leads_by_path(&self, path: &[u8]) -> bool {
        let paths = self.paths.get_or_init(|| {
            let mut set = GlobSetBuilder::new();
            for &rule in &self.by_path {
                self.rules.rules()[rule].paths.iter().for_each(|glob| {
                    set.add(glob.clone());
                });
            }
            set.build()
                .expect("each of the globs was parsed, and a set of them is small")
        });
        paths.is_match_candidate(&relative(path))
    }

    /// Finds the candidates in a text that is no file.
    pub fn scan_text(&self, text: &[u8], scratch: &mut Scratch) -> Vec<Candidate> {
        self.scan_file(text, b"", scratch)
    }

    /// Finds the candidates in a text that is the whole of the file at `path`.
    pub fn scan_file(&self, text: &[u8], path: &[u8], scratch: &mut Scratch) -> Vec<Candidate> {
        let mut found = Vec::new();
        let span = 0..text.len() as u64;
        let window = Window {
            start: 0,
            bytes: text,
            owned: span.clone(),
        };
        let file = File {
            region: 0,
            path,
            span,
        };
        self.scan(&window, &file, scratch, &mut found);
        self.settle(&mut found);
        found
    }

    /// What a whole file that may be a key store is: a candidate of the first rule with the check
    /// [`Check::KeyStore`], or `None` where it holds no private key.
    ///
    /// Its text is a digest of the file, never a part of it. *Cost*: a pass over the file, and at most half a million
    /// blocks that are hashed for the passwords that are tried.
    pub fn key_store(&self, bytes: &[u8]) -> Option<Candidate> {
        let rules = self.rules.rules();
        let number = rules
            .iter()
            .position(|rule| rule.anchor.checks.contains(&Check::KeyStore))?;
        let Verdict::Pass(mut evidence) = checks::key_store(bytes) else {
            return None;
        };
        let digest = Sha256::digest(bytes);
        if checks::is_public_test_key(&digest.into()) {
            evidence.push(Evidence::PublicTestKey);
        }
        evidence.sort_unstable();
        Some(Candidate {
            at: 0..bytes.len() as u64,
            rule: number as u32,
            part: None,
            region: 0,
            text: format!("sha256:{}", text::hex(&digest)).into_bytes().into(),
            companions: Vec::new(),
            confidence: confidence(rules[number].confidence, &evidence, false),
            evidence,
        })
    }

    /// Sorts the candidates of one stream by place and removes those that say the same as another one.
    ///
    /// Where one text was matched by several rules, or is the other half of a pair, the most specific one stays:
    /// a whole credential before a half or a lone identifier; then that of a rule that is not generic; then one whose
    /// checksum, structure or other half was verified; then the rule with the longest literal inside the text, with the
    /// longest literal at all, of the higher severity, of the first id. Halves that stand alone are kept for every rule
    /// whose half they may be: which one it is shows when the other half is found, perhaps in another file. The
    /// private key inside a service account's document is told with the document.
    pub fn settle(&self, found: &mut Vec<Candidate>) {
        found.sort_by(|a, b| {
            (a.order(), Reverse(a.confidence), &a.evidence).cmp(&(
                b.order(),
                Reverse(b.confidence),
                &b.evidence,
            ))
        });
        found.dedup_by_key(|candidate| candidate.order());

        let mut claims: HashMap<(u64, u64), (Specificity, usize)> = HashMap::new();
        for (number, candidate) in found.iter().enumerate() {
            if candidate.part.is_some() {
                continue;
            }
            let specificity = self.specificity(candidate);
            let spans =
                std::iter::once(&candidate.at).chain(candidate.companions.iter().map(|half| &half.at));
            for span in spans {
                let claim = (specificity, number);
                claims
                    .entry((span.start, span.end))
                    .and_modify(|best| {
                        if claim.0 > best.0 {
                            *best = claim;
                        }
                    })
                    .or_insert(claim);
            }
        }
        let documents: Vec<Range<u64>> = found
            .iter()
            .filter(|candidate| {
                let rule = &self.rules.rules()[candidate.rule as usize];
                candidate.part.is_none() && rule.anchor.checks.contains(&Check::GcpServiceAccount)
            })
            .map(|candidate| candidate.at.clone())
            .collect();
        let is_told_with_its_document = |candidate: &Candidate| {
            let rule = &self.rules.rules()[candidate.rule as usize];
            let holds = |document: &Range<u64>| {
                document.start < candidate.at.start && candidate.at.end < document.end
            };
            rule.anchor.checks.contains(&Check::PrivateKey) && documents.iter().any(holds)
        };
        let mut number = 0;
        found.retain(|candidate| {
            number += 1;
            if is_told_with_its_document(candidate) {
                return false;
            }
            match claims.get(&(candidate.at.start, candidate.at.end)) {
                Some((claim, _)) if candidate.part.is_some() => !claim.whole,
                Some(&(_, best)) => best == number - 1,
                None => true,
            }
        });
    }

    fn specificity(&self, candidate: &Candidate) -> Specificity {
        let rule = &self.rules.rules()[candidate.rule as usize];
        let part = match candidate.part {
            None => &rule.anchor,
            Some(part) => &rule.parts[part as usize],
        };
        let has = |evidence| candidate.evidence.contains(&evidence);
        let text = candidate.text.expose();
        let longest = |inside: bool| {
            let stands = |literal: &&Literal| !inside || stands_in(text, literal);
            part.literals
                .iter()
                .filter(stands)
                .map(|literal| literal.text.len())
                .max()
                .unwrap_or(0)
        };
        Specificity {
            whole: candidate.part.is_none() && !has(Evidence::Unpaired),
            specific: !rule.generic,
            verified: has(Evidence::Checksum) || has(Evidence::Parsed) || has(Evidence::Paired),
            literal_inside: longest(true),
            literal: longest(false),
            severity: rule.severity,
            first: Reverse((candidate.rule, candidate.part)),
        }
    }
}

/// What [`Matcher::settle`] compares, field by field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity {
    whole: bool,
    specific: bool,
    verified: bool,
    literal_inside: usize,
    literal: usize,
    severity: rules::Severity,
    first: Reverse<(u32, Option<u32>)>,
}

fn stands_in(text: &[u8], literal: &Literal) -> bool {
    text.windows(literal.text.len())
        .any(|window| is_literal(window, literal))
}

fn is_literal(text: &[u8], literal: &Literal) -> bool {
    if literal.ignore_case {
        text.eq_ignore_ascii_case(&literal.text)
    } else {
        text == literal.text
    }
}

/// How sure it is that a match is a credential, from what the rule says and what was seen.
///
/// | evidence | effect |
/// | --- | --- |
/// | `checksum`, `parsed`, `paired` | high |
/// | `context`, `entropy`, `generic`, `path` | none: the rule demanded it and knows what it is worth |
/// | `encrypted`, `expired` | then one step lower each |
/// | a part that stands alone | then at most medium |
/// | `patterned`, `public-test-key`, `sample`, `test-mode`, `unpaired` | then low |
pub(super) fn confidence(rule: Confidence, evidence: &[Evidence], is_lone_part: bool) -> Confidence {
    let has = |any: &[Evidence]| any.iter().any(|one| evidence.contains(one));
    let mut confidence = rule;
    if has(&[Evidence::Checksum, Evidence::Parsed, Evidence::Paired]) {
        confidence = Confidence::High;
    }
    for lowering in [Evidence::Encrypted, Evidence::Expired] {
        if has(&[lowering]) {
            confidence = match confidence {
                Confidence::High => Confidence::Medium,
                Confidence::Medium | Confidence::Low => Confidence::Low,
            };
        }
    }
    if is_lone_part {
        confidence = confidence.min(Confidence::Medium);
    }
    if has(&[
        Evidence::Patterned,
        Evidence::Sample,
        Evidence::PublicTestKey,
        Evidence::TestMode,
        Evidence::Unpaired,
    ]) {
        confidence = Confidence::Low;
    }
    confidence
}

/// What led to a match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sought {
    /// What its key is called, which is all the context a rule can ask for.
    Name,
    Text,
}

/// One hit and one of the things it leads to.
struct Attempt<'a, 's> {
    matcher: &'a Matcher,
    regions: &'a dyn Regions,
    region: Region<'a>,
    target: Target,
    scratch: &'s mut Scratch,
    found: &'s mut Vec<Candidate>,
}

impl Attempt<'_, '_> {
    fn at(&mut self, literal: &Range<usize>) {
        let matcher = self.matcher;
        let rule = &matcher.rules.rules()[self.target.rule];
        let searches = &matcher.searches[self.target.rule];
        let (part, pattern, search) = match self.target.part {
            None => (&rule.anchor, &rule.anchor.pattern, &searches.anchor),
            Some(number) => {
                let n = number as usize;
                let part = &rule.parts[n];
                match (&part.alone, &searches.alone[n]) {
                    (Some(pattern), Some(search)) => (part, pattern, search),
                    _ => (part, &part.pattern, &searches.parts[n]),
                }
            }
        };
        match *pattern {
            Pattern::Extractor(extractor) => {
                if let Some(whole) = extract::extract(extractor, self.region.bytes, literal) {
                    let secret = whole.clone();
                    self.judge(rule, part, &Found { whole, secret }, Sought::Text);
                }
            }
            Pattern::Regex {
                max_bytes,
                lead: Some(lead),
                ..
            } => {
                let compiled = search.compiled(pattern);
                let begin = literal.start.saturating_sub(lead as usize);
                let end = literal.start.saturating_add(max_bytes as usize);
                if lead == 0 {
                    let touched = !compiled.has_secret
                        && !context::is_bounded_before(part.boundary, self.region.bytes, begin);
                    if touched {
                        return;
                    }
                }
                let mut from = begin;
                while from <= literal.start {
                    // Where nothing stands before the literal, the two are one place.
                    let reach = Reach {
                        span: from..end,
                        latest: literal.start,
                    };
                    let Some(found) = self.next(search, compiled, reach) else {
                        break;
                    };
                    // It holds this literal, or another hit will lead to it.
                    if found.whole.start > literal.start {
                        break;
                    }
                    from = found.whole.end;
                    if from >= literal.end {
                        self.judge(rule, part, &found, Sought::Text);
                    }
                }
            }
            Pattern::Regex {
                max_bytes,
                lead: None,
                ..
            } => {
                let compiled = search.compiled(pattern);
                let (before, after) = part.context.as_ref().map_or((0, 0), |context| {
                    (context.before as usize, context.after as usize)
                });
                // What has the literal behind it may lie that far before it, and the other way round.
                let begin = literal.start.saturating_sub(after + max_bytes as usize);
                let end = literal.end.saturating_add(before + max_bytes as usize);
                let mut from = begin;
                let latest = literal.end.saturating_add(before);
                while from <= latest {
                    let reach = Reach {
                        span: from..end,
                        latest,
                    };
                    let Some(found) = self.next(search, compiled, reach) else {
                        break;
                    };
                    from = found.whole.end;
                    if found.whole.start > latest {
                        break;
                    }
                    if from.saturating_add(after) >= literal.start {
                        self.judge(rule, part, &found, Sought::Text);
                    }
                }
            }
        }
    }

    /// The value of a key that is called as the rule says.
    fn value_of(&mut self, assignment: &Assignment) {
        let matcher = self.matcher;
        let rule = &matcher.rules.rules()[self.target.rule];
        let searches = &matcher.searches[self.target.rule];
        let (Some(key), Some(search)) = (&rule.anchor.key, &searches.value) else {
            return;
        };
        let compiled = search.compiled(&key.value);
        let first = self
            .next(search, compiled, Reach::anchored(assignment.first.clone()))
            .filter(|found| found.whole.end == assignment.first.end);
        // What has no boundary ends with the value.
        let is_whole =
            |found: &Found| rule.anchor.boundary != Boundary::None || found.whole.end == assignment.value.end;
        let found = first.or_else(|| {
            self.next(search, compiled, Reach::anchored(assignment.value.clone()))
                .filter(is_whole)
        });
        if let Some(mut found) = found {
            found.whole.start = assignment.name.start;
            self.judge(rule, &rule.anchor, &found, Sought::Name);
        }
    }

    /// What a file with such a path holds.
    fn by_path(&mut self, path: &[u8]) {
        let matcher = self.matcher;
        let rule = &matcher.rules.rules()[self.target.rule];
        let searches = &matcher.searches[self.target.rule];
        if !matches!(rule.anchor.pattern, Pattern::Regex { .. }) || !searches.is_limited_to(rule, path) {
            return;
        }
        let search = &searches.anchor;
        let compiled = search.compiled(&rule.anchor.pattern);
        let mut from = 0;
        while let Some(found) = self.next(search, compiled, Reach::within(from..self.region.bytes.len())) {
            from = found.whole.end;
            self.judge(rule, &rule.anchor, &found, Sought::Text);
        }
    }

    /// Whether a rule that knows what such a text looks like does not let it pass, such as for its checksum. Then no
    /// generic rule has anything to say of it.
    fn is_refused(&mut self, secret: &Range<usize>) -> bool {
        let matcher = self.matcher;
        let region = self.region.bytes;
        let mut hits = Vec::new();
        matcher
            .prefilter
            .find(&region[secret.clone()], 0..secret.len(), &mut hits);
        let targets = hits.iter().flat_map(|hit| {
            let targets = matcher.targets[hit.literal as usize].iter();
            targets.map(move |target| (secret.start + hit.at, target))
        });
        for (at, target) in targets {
            let rule = &matcher.rules.rules()[target.rule];
            let Pattern::Regex { lead: Some(lead), .. } = rule.anchor.pattern else {
                continue;
            };
            if target.part.is_some()
                || rule.generic
                || rule.anchor.context.is_some()
                || !rule.paths.is_empty()
            {
                continue;
            }
            let search = &matcher.searches[target.rule].anchor;
            let compiled = search.compiled(&rule.anchor.pattern);
            let begin = at.saturating_sub(lead as usize).max(secret.start);
            let found = self.next(search, compiled, Reach::within(begin..secret.end));
            let is_all = |found: &Found| found.secret == *secret;
            if found.is_some_and(|found| {
                is_all(&found) && verify(&rule.anchor, region, &found, Sought::Text).is_none()
            }) {
                return true;
            }
        }
        false
    }

    /// All matches that begin in `own`.
    fn everywhere(&mut self, own: &Range<usize>) {
        let matcher = self.matcher;
        let rule = &matcher.rules.rules()[self.target.rule];
        let search = &matcher.searches[self.target.rule].anchor;
        let Pattern::Regex { max_bytes, .. } = rule.anchor.pattern else {
            return;
        };
        let compiled = search.compiled(&rule.anchor.pattern);
        let end = own.end.saturating_add(max_bytes as usize);
        let mut from = own.start;
        while let Some(found) = self.next(search, compiled, Reach::within(from..end)) {
            if found.whole.start >= own.end {
                break;
            }
            from = found.whole.end;
            self.judge(rule, &rule.anchor, &found, Sought::Text);
        }
    }

    fn next(&mut self, search: &Search, compiled: &Compiled, reach: Reach) -> Option<Found> {
        search.next(compiled, self.region.bytes, reach, &mut self.scratch.caches)
    }

    /// From cheap to dear: what a match must pass to become a candidate.
    fn judge(&mut self, rule: &Rule, part: &Part, found: &Found, sought: Sought) {
        let at = self.region.span(&found.secret);
        // Two literals in one match, or in the context of it, lead to it one right after the other.
        let is_known = self.found.iter().rev().take(8).any(|candidate| {
            candidate.at == at
                && candidate.rule as usize == self.target.rule
                && candidate.part == self.target.part
        });
        if is_known {
            return;
        }
        let Some(mut evidence) = verify(part, self.region.bytes, found, sought) else {
            return;
        };
        if !rule.paths.is_empty() {
            let search = &self.matcher.searches[self.target.rule];
            if !search.is_limited_to(rule, self.regions.path(self.region.number)) {
                return;
            }
            evidence.push(Evidence::Path);
        }
        if rule.generic {
            evidence.push(Evidence::Generic);
            let (name, secret) = (
                &self.region.bytes[found.whole.start..found.secret.start],
                &self.region.bytes[found.secret.clone()],
            );
            if is_patterned(rule, secret) || pattern::is_of_its_name(name, secret) {
                evidence.push(Evidence::Patterned);
            }
        }
        if let Some(filter) = &self.matcher.filters[self.target.rule]
            && !filter.lets(self.region.bytes, found, self.regions.path(self.region.number))
        {
            return;
        }
        if rule.generic
            && (is_encoded_text(&self.region.bytes[found.secret.clone()]) || self.is_refused(&found.secret))
        {
            return;
        }
        let companions = match self.target.part {
            None => self.companions(rule, found, &mut evidence),
            Some(_) => Vec::new(),
        };
        evidence.sort_unstable();
        evidence.dedup();
        self.found.push(Candidate {
            at,
            rule: self.target.rule as u32,
            part: self.target.part,
            region: self.region.number,
            text: self.region.bytes[found.secret.clone()].to_vec().into(),
            companions,
            confidence: confidence(rule.confidence, &evidence, self.target.part.is_some()),
            evidence,
        });
    }

    /// The other halves of the credential around its anchor, and what that says about it.
    fn companions(&mut self, rule: &Rule, anchor: &Found, evidence: &mut Vec<Evidence>) -> Vec<Companion> {
        let mut companions = Vec::new();
        let mut is_complete = true;
        for (number, part) in (0_u32..).zip(&rule.parts) {
            match self.nearest(rule, number as usize, anchor) {
                Some((found, seen)) => {
                    evidence.extend(seen);
                    companions.push(Companion {
                        part: number,
                        at: self.region.span(&found.secret),
                        text: self.region.bytes[found.secret].to_vec().into(),
                    });
                }
                None => is_complete &= part.optional,
            }
        }
        if !companions.is_empty() && is_complete {
            evidence.push(Evidence::Paired);
        } else if rule.identifier {
            evidence.push(Evidence::Unpaired);
        }
        companions
    }

    /// The match of a part that is nearest to the anchor and passes; of two as near, the one behind it.
    fn nearest(&mut self, rule: &Rule, number: usize, anchor: &Found) -> Option<(Found, Vec<Evidence>)> {
        let part = &rule.parts[number];
        let matcher = self.matcher;
        let search = &matcher.searches[self.target.rule].parts[number];
        let within = part.within as usize;
        let region = self.region.bytes;
        let before = anchor.secret.start.saturating_sub(within)..anchor.secret.start;
        let after = anchor.secret.end..anchor.secret.end.saturating_add(within).min(region.len());

        let mut nearby = std::mem::take(&mut self.scratch.nearby);
        nearby.clear();
        self.all_in(part, search, before, &mut nearby);
        self.all_in(part, search, after, &mut nearby);
        nearby.sort_by_key(|found| {
            let is_before = found.secret.end <= anchor.secret.start;
            let gap = if is_before {
                anchor.secret.start - found.secret.end
            } else {
                found.secret.start - anchor.secret.end
            };
            (gap, is_before)
        });
        let nearest = nearby.iter().find_map(|found| {
            let evidence = verify(part, region, found, Sought::Text)?;
            (!self.is_anchor(rule, found)).then(|| (found.clone(), evidence))
        });
        self.scratch.nearby = nearby;
        nearest
    }

    /// All matches of a part in a span, in order, none beside the span.
    fn all_in(&mut self, part: &Part, search: &Search, span: Range<usize>, out: &mut Vec<Found>) {
        if let Pattern::Extractor(extractor) = part.pattern {
            let text = self.region.bytes;
            for literal in &part.literals {
                let length = literal.text.len();
                let places = text[span.clone()].windows(length).enumerate();
                for (at, _) in places.filter(|(_, window)| is_literal(window, literal)) {
                    let hit = span.start + at..span.start + at + length;
                    if let Some(whole) = extract::extract(extractor, text, &hit)
                        && span.start <= whole.start
                        && whole.end <= span.end
                    {
                        let secret = whole.clone();
                        out.push(Found { whole, secret });
                    }
                }
            }
            return;
        }
        let compiled = search.compiled(&part.pattern);
        let mut from = span.start;
        while let Some(found) = self.next(search, compiled, Reach::within(from..span.end)) {
            from = found.whole.end;
            out.push(found);
        }
    }

    /// Whether a half of a pair is itself an anchor, as an access id looks like part of a secret to some rules.
    fn is_anchor(&mut self, rule: &Rule, found: &Found) -> bool {
        let Pattern::Regex { .. } = &rule.anchor.pattern else {
            return false;
        };
        let matcher = self.matcher;
        let search = &matcher.searches[self.target.rule].anchor;
        let compiled = search.compiled(&rule.anchor.pattern);
        let anchor = self.next(search, compiled, Reach::within(found.secret.clone()));
        anchor.is_some_and(|anchor| {
            context::is_bounded(rule.anchor.boundary, self.region.bytes, &anchor.secret)
        })
    }
}

impl Keys {
    fn of(rules: &RuleSet) -> Self {
        let mut keys = Self::default();
        for (number, rule) in rules.rules().iter().enumerate() {
            let Some(key) = &rule.anchor.key else { continue };
            if key.leads.is_empty() {
                keys.others.push(number);
            }
            keys.led
                .extend(key.leads.iter().map(|lead| (lead.clone(), number)));
        }
        keys
    }

    fn is_empty(&self) -> bool {
        self.led.is_empty() && self.others.is_empty()
    }

    /// The rules that may know a key of this name, in order. The texts that lead to them are added to `seen`.
    fn leading_from(&self, key: &[u8], seen: &mut LiteralSet) -> Vec<usize> {
        let leads = self.leads.get_or_init(|| {
            let texts = self.led.iter().map(|(text, _)| text);
            AhoCorasick::new(texts).expect("names of keys are far below the limit of states")
        });
        let letters: Vec<u8> = key.iter().copied().filter(|byte| !b"_.".contains(byte)).collect();
        let found = leads.find_overlapping_iter(&letters);
        let led = found.map(|found| {
            seen.insert(self.first + found.pattern().as_u32());
            self.led[found.pattern().as_usize()].1
        });
        let mut rules: Vec<usize> = led.chain(self.others.iter().copied()).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

impl Region<'_> {
    fn span(&self, span: &Range<usize>) -> Range<u64> {
        self.start + span.start as u64..self.start + span.end as u64
    }
}

impl RuleSearch {
    /// Whether a file's path, with or without a leading slash, matches one of the rule's globs.
    fn is_limited_to(&self, rule: &Rule, path: &[u8]) -> bool {
        let path = relative(path);
        let globs = self
            .paths
            .get_or_init(|| rule.paths.iter().map(globset::Glob::compile_matcher).collect());
        globs.iter().any(|glob| glob.is_match_candidate(&path))
    }
}

/// A path as globs are held against it.
fn relative(path: &[u8]) -> globset::Candidate<'_> {
    globset::Candidate::from_bytes(path.strip_prefix(b"/").unwrap_or(path))
}

impl Search {
    fn compiled(&self, pattern: &Pattern) -> &Compiled {
        let Pattern::Regex { source, .. } = pattern else {
            unreachable!("only expressions are searched for");
        };
        self.compiled_from(source)
    }

    fn compiled_from(&self, source: &str) -> &Compiled {
        self.compiled.get_or_init(|| {
            let hir = rules::parse_regex(source).expect("the loader parsed it, or the tests did");
            let shape = self.is_walked.then(|| Shape::of(&hir)).flatten();
            Compiled {
                source: source.into(),
                has_secret: shape::has_secret(&hir),
                shape,
                automaton: OnceLock::new(),
            }
        })
    }

    fn next(
        &self,
        compiled: &Compiled,
        region: &[u8],
        mut reach: Reach,
        caches: &mut Vec<Option<Box<Buffers>>>,
    ) -> Option<Found> {
        reach.span.end = reach.span.end.min(region.len());
        if reach.span.start >= reach.span.end {
            return None;
        }
        if let Some(shape) = &compiled.shape
            && let Ok(found) = shape.find(region, reach.span.clone(), reach.latest)
        {
            return found;
        }
        self.ask(compiled.automaton(), region, &reach, caches)
    }

    fn ask(
        &self,
        automaton: &Automaton,
        region: &[u8],
        reach: &Reach,
        caches: &mut Vec<Option<Box<Buffers>>>,
    ) -> Option<Found> {
        if caches.len() <= self.number {
            caches.resize_with(self.number + 1, || None);
        }
        let buffers = caches[self.number].get_or_insert_with(|| {
            Box::new(Buffers {
                cache: automaton.regex.create_cache(),
                captures: automaton.regex.create_captures(),
            })
        });
        let anchored = if reach.is_anchored() {
            Anchored::Yes
        } else {
            Anchored::No
        };
        let input = Input::new(region).span(reach.span.clone()).anchored(anchored);
        let Some(secret) = automaton.secret else {
            let whole = automaton.regex.search_with(&mut buffers.cache, &input)?.range();
            return Some(Found {
                secret: whole.clone(),
                whole,
            });
        };
        automaton
            .regex
            .search_captures_with(&mut buffers.cache, &input, &mut buffers.captures);
        let whole = buffers.captures.get_match()?.range();
        let secret = buffers
            .captures
            .get_group(secret)
            .map_or_else(|| whole.clone(), |group| group.range());
        Some(Found { whole, secret })
    }
}

impl Compiled {
    fn automaton(&self) -> &Automaton {
        self.automaton.get_or_init(|| {
            let regex = rules::compile(&self.source).expect("the loader compiled it, or the tests did");
            let secret = regex.group_info().to_index(PatternID::ZERO, "secret");
            Automaton { regex, secret }
        })
    }
}

/// What was seen of a match that passes everything its part demands; `None` where it does not.
fn verify(part: &Part, region: &[u8], found: &Found, sought: Sought) -> Option<Vec<Evidence>> {
    let secret = &region[found.secret.clone()];
    if secret.is_empty() || !context::is_bounded(part.boundary, region, &found.secret) {
        return None;
    }
    if matches!(part.pattern, Pattern::Regex { .. })
        && (entropy::is_filler(secret) || checks::is_reference(secret))
    {
        return None;
    }
    let mut evidence = Vec::new();
    if let Some(context) = &part.context {
        if sought == Sought::Text && !context::has_word(context, region, &found.whole, &found.secret) {
            return None;
        }
        evidence.push(Evidence::Context);
    }
    if let Some(least) = part.entropy {
        if entropy::shannon(secret) < least {
            return None;
        }
        evidence.push(Evidence::Entropy);
    }
    for &check in &part.checks {
        let whole = match check {
            // The parameters of a query have no order.
            Check::AzureSas => context::query(region, &found.whole),
            _ => &region[found.whole.clone()],
        };
        match checks::run(check, secret, whole) {
            Verdict::Fail => return None,
            Verdict::Pass(seen) => evidence.extend(seen),
        }
    }
    if !part.samples.is_empty() && part.samples.contains(&Sha256::digest(secret).into()) {
        evidence.push(Evidence::Sample);
    }
    Some(evidence)
}

/// Whether a value that a generic rule found is more of a name or a sentence than a secret of the rule's kind.
fn is_patterned(rule: &Rule, secret: &[u8]) -> bool {
    match rule.kind {
        SecretKind::Generated => pattern::is_patterned(secret),
        SecretKind::Guessable => pattern::is_phrase(secret),
    }
}

/// Whether a text is base64 of text, which is told of as what it decodes to.
fn is_encoded_text(text: &[u8]) -> bool {
    checks::decode_base64(text).is_some_and(|decoded| {
        decoded.len() >= 8
            && decoded
                .iter()
                .all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r'))
    })
}

/// Bytes of a file that a rule which only a path leads to reads.
const WHOLE_FILE: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_that_knows_a_key_is_led_to() {
        let matcher = Matcher::new(Arc::new(RuleSet::builtin()));
        let names: Vec<(usize, Regex)> = (0..)
            .zip(matcher.rules.rules())
            .filter_map(|(number, rule)| {
                let names = &rule.anchor.key.as_ref()?.names;
                Some((number, rules::compile(names).unwrap()))
            })
            .collect();
        let mut known = 0;
        for (lead, _) in matcher.keys.led.iter().step_by(7) {
            let lead = String::from_utf8(lead.clone()).unwrap();
            let (first, last) = lead.split_at(lead.len() / 2);
            for key in [
                lead.clone(),
                format!("{lead}_api_key"),
                format!("my_{first}_{last}.x_token_2"),
                format!("{first}.{last}_client_secret"),
            ] {
                let led = matcher
                    .keys
                    .leading_from(key.as_bytes(), &mut LiteralSet::default());
                let knowing = names.iter().filter(|(_, regex)| regex.is_match(&key));
                for (number, _) in knowing {
                    known += 1;
                    assert!(led.contains(number), "{key}");
                }
            }
        }
        assert!(known > 100);
    }
}
