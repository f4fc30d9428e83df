//! From a report to a verdict: which findings count, what was left out, and whether enough was read to judge.
//! Does not know exit codes; `cli` gives each [`Outcome`] its number.
//!
//! A [`Policy`] filters what is shown. A [`Gate`] judges what is left: what the policy [`mod@file`] or a [`baseline`] takes out, what
//! comes from a proven [`base`], what is new [`since`] an earlier image.

pub mod base;
pub mod baseline;
mod date;
pub mod digests;
pub mod file;
mod gate;
mod ignore;
mod judgement;
pub mod since;
pub mod squash;

pub use base::{NamedBase, NamedBy, ProvedBase};
pub use baseline::Baseline;
pub use date::Date;
pub use file::PolicyFile;
pub use gate::{Facts, Gate, Treatment};
pub use ignore::{Ignore, ImageGlob};
pub use judgement::{Judgement, Reason, ReasonKind, Remark, RemarkKind, Suppressed, SuppressedBy, Weight};
pub use since::{Changes, Earlier};
pub use squash::Carrier;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use globset::{Candidate, GlobBuilder, GlobMatcher};

use crate::finding::{Finding, Occurrence, Origin, Report, SkipKind, Status, Verification};
use crate::rules::{Confidence, RuleId, Severity};

/// What a finding must be like to be shown and to count. Empty lists ask for nothing.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The least confidence. `medium` by default: a shape that other things have too is no reason to fail a build.
    pub min_confidence: Confidence,
    /// The least severity; `medium` by default.
    pub min_severity: Severity,
    /// The statuses. By default every one: what a later layer deleted, what stands in metadata and what no runtime
    /// shows can all be had by whoever can pull the image.
    pub statuses: Vec<StatusName>,
    /// Paths one of which must match.
    pub include: Vec<PathGlob>,
    /// Paths none of which may match.
    pub exclude: Vec<PathGlob>,
    /// The only rules that count.
    pub rules: Vec<RuleId>,
    /// Rules that do not.
    pub no_rules: Vec<RuleId>,
    /// Whether content that was searched raw but could not be opened makes the scan incomplete.
    pub strict: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_confidence: Confidence::Medium,
            min_severity: Severity::Medium,
            statuses: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            rules: Vec::new(),
            no_rules: Vec::new(),
            strict: false,
        }
    }
}

/// What a policy says of a report.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The findings that fail it, by their place in [`Report::findings`].
    pub failing: Vec<usize>,
    /// Whether something was not read or not verified, or the run was ended before its time.
    pub incomplete: bool,
    /// Whether no target could be resolved, so that nothing was scanned.
    pub unresolved: bool,
    /// Findings that a filter left out, by the first filter that did. None is listed with 0.
    pub left_out: Vec<LeftOut>,
    /// Occurrences that a filter left out of findings that stayed.
    pub occurrences_left_out: u64,
    /// The least confidence that counted.
    pub min_confidence: Confidence,
    /// The least severity that counted.
    pub min_severity: Severity,
    /// Whether opaque content counted as incomplete.
    pub strict: bool,
    /// For each finding of the report, in its order: whether it counts, and why.
    pub judgements: Vec<Judgement>,
    /// Findings that were ignored or known and are not in the report.
    pub suppressed: Vec<Suppressed>,
    /// What there is to say besides, the heaviest first.
    pub remarks: Vec<Remark>,
    /// The base images that were proved, by image.
    pub bases: Vec<ProvedBase>,
    /// What became of the earlier image's findings, where one was named.
    pub changes: Option<Changes>,
    /// The digests that were compared.
    pub digests: Vec<digests::Compared>,
    /// Other tags that carry a blob which leaks.
    pub carriers: Vec<Carrier>,
}

/// How many findings a filter left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Which filter.
    pub filter: Filter,
    /// How many.
    pub findings: u64,
}

/// One reason to leave a finding out, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filter {
    /// `--rule`, `--no-rule`.
    Rule,
    /// `--min-confidence`.
    MinConfidence,
    /// `--severity`.
    Severity,
    /// `--status`.
    Status,
    /// `--include`, `--exclude`.
    Path,
}

/// The verdict in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything was scanned and nothing counts.
    Clean,
    /// Everything was scanned and something counts.
    Findings,
    /// Not everything was scanned; nothing so far.
    Incomplete,
    /// Not everything was scanned, and something counts.
    IncompleteWithFindings,
    /// No target could be resolved.
    Unresolved,
}

impl Policy {
    /// Judges a report, and takes out of it what the filters leave out, so that every format shows the same.
    ///
    /// An occurrence goes where its status or its path is not wanted; a finding goes with its last occurrence. The
    /// lists of the layers follow. What went is counted in the verdict. Secrets are replaced in the texts the report
    /// quotes from the image ([`Report::conceal`]) before any of them is forgotten.
    pub fn judge(&self, mut report: Report) -> (Report, Verdict) {
        report.conceal();
        let mut counts = [0_u64; Filter::ALL.len()];
        let mut occurrences_left_out = 0;
        report.findings.retain_mut(|finding| {
            if let Some(filter) = self.leaves_out(finding) {
                counts[filter as usize] += 1;
                return false;
            }
            let before = finding.occurrences.len();
            finding.occurrences.retain(|occurrence| self.wants(occurrence));
            occurrences_left_out += (before - finding.occurrences.len()) as u64;
            true
        });
        prune_layers(&mut report);
        let verdict = Verdict {
            failing: (0..report.findings.len()).collect(),
            incomplete: is_incomplete(&report, self.strict),
            // Of a run that was ended, nobody knows what would have been resolved.
            unresolved: !report.interrupted
                && !report.targets.is_empty()
                && report.targets.iter().all(|target| target.failure.is_some()),
            left_out: Filter::ALL
                .into_iter()
                .zip(counts)
                .filter(|(_, findings)| *findings > 0)
                .map(|(filter, findings)| LeftOut { filter, findings })
                .collect(),
            occurrences_left_out,
            min_confidence: self.min_confidence,
            min_severity: self.min_severity,
            strict: self.strict,
            judgements: (report.findings.iter())
                .map(|finding| Judgement {
                    counts: true,
                    reasons: vec![at_or_above(self, finding)],
                })
                .collect(),
            suppressed: Vec::new(),
            remarks: Vec::new(),
            bases: Vec::new(),
            changes: None,
            digests: Vec::new(),
            carriers: Vec::new(),
        };
        (report, verdict)
    }

    fn leaves_out(&self, finding: &Finding) -> Option<Filter> {
        let named = |rules: &[RuleId]| rules.contains(&finding.rule);
        if named(&self.no_rules) || (!self.rules.is_empty() && !named(&self.rules)) {
            return Some(Filter::Rule);
        }
        if finding.confidence < self.min_confidence {
            return Some(Filter::MinConfidence);
        }
        if finding.severity < self.min_severity {
            return Some(Filter::Severity);
        }
        let occurrences = &finding.occurrences;
        if occurrences.iter().any(|occurrence| self.wants(occurrence)) {
            None
        } else if occurrences
            .iter()
            .any(|occurrence| self.wants_status(&occurrence.status))
        {
            Some(Filter::Path)
        } else {
            Some(Filter::Status)
        }
    }

    fn wants(&self, occurrence: &Occurrence) -> bool {
        self.wants_status(&occurrence.status) && self.wants_path(&occurrence.origin)
    }

    fn wants_status(&self, status: &Status) -> bool {
        self.statuses.is_empty() || self.statuses.iter().any(|name| name.0 == status.name())
    }

    fn wants_path(&self, origin: &Origin) -> bool {
        if self.include.is_empty() && self.exclude.is_empty() {
            return true;
        }
        let candidate = Candidate::from_bytes(path_of(origin));
        let matches = |globs: &[PathGlob]| globs.iter().any(|glob| glob.0.is_match_candidate(&candidate));
        (self.include.is_empty() || matches(&self.include)) && !matches(&self.exclude)
    }
}

impl Verdict {
    /// Adds remarks. One about what could not be read makes the verdict incomplete.
    pub fn remark(&mut self, remarks: impl IntoIterator<Item = Remark>) {
        self.remarks.extend(remarks);
        self.remarks.sort();
        self.remarks.dedup();
        self.incomplete |= (self.remarks.iter()).any(|remark| remark.weight == Weight::Incomplete);
    }

    /// The verdict in a word.
    pub fn outcome(&self) -> Outcome {
        let fails = (self.remarks.iter()).any(|remark| remark.weight == Weight::Fails);
        match (
            self.unresolved,
            self.incomplete,
            self.failing.is_empty() && !fails,
        ) {
            (true, ..) => Outcome::Unresolved,
            (_, true, true) => Outcome::Incomplete,
            (_, true, false) => Outcome::IncompleteWithFindings,
            (_, false, true) => Outcome::Clean,
            (_, false, false) => Outcome::Findings,
        }
    }
}

impl Outcome {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Findings => "findings",
            Self::Incomplete => "incomplete",
            Self::IncompleteWithFindings => "incomplete-with-findings",
            Self::Unresolved => "unresolved",
        }
    }
}

impl Filter {
    const ALL: [Self; 5] = [
        Self::Rule,
        Self::MinConfidence,
        Self::Severity,
        Self::Status,
        Self::Path,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::MinConfidence => "min-confidence",
            Self::Severity => "severity",
            Self::Status => "status",
            Self::Path => "path",
        }
    }
}

/// The name of a status, as `--status` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusName(&'static str);

impl StatusName {
    /// Every name, as [`Status::name`] gives them.
    pub const ALL: [&'static str; 7] = [
        "present",
        "overwritten",
        "deleted",
        "metadata",
        "history",
        "unlisted",
        "unknown",
    ];
}

impl fmt::Display for StatusName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for StatusName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|name| *name == text)
            .map(Self)
            .ok_or_else(|| format!("expected one of `{}`", Self::ALL.join("`, `")))
    }
}

/// A glob over paths in an image, which have no leading slash; one in the glob is ignored. `*` stays within a folder,
/// `**` does not; a glob without a slash matches a name in any folder. Of metadata, the name of the field
/// (`config.Env`) stands for the path.
#[derive(Clone, Debug)]
pub struct PathGlob(GlobMatcher);

impl PathGlob {
    /// Whether it fits the place of an occurrence.
    pub fn fits(&self, origin: &Origin) -> bool {
        self.0.is_match_candidate(&Candidate::from_bytes(path_of(origin)))
    }

    /// The glob as it is matched.
    pub fn text(&self) -> &str {
        self.0.glob().glob()
    }
}

/// A text that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not a path glob", crate::text::escape(self.text.as_bytes()))]
pub struct PathGlobError {
    /// The text.
    pub text: String,
    /// Why not.
    #[source]
    pub source: globset::Error,
}

impl FromStr for PathGlob {
    type Err = PathGlobError;
    fn from_str(text: &str) -> Result<Self, PathGlobError> {
        let glob = match text.strip_prefix('/') {
            Some(rooted) => rooted.to_owned(),
            None if text.contains('/') => text.to_owned(),
            None => format!("**/{text}"),
        };
        GlobBuilder::new(&glob)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map(|glob| Self(glob.compile_matcher()))
            .map_err(|source| PathGlobError {
                text: text.to_owned(),
                source,
            })
    }
}

/// What a path glob is compared with: the path, or of metadata the field.
fn path_of(origin: &Origin) -> &[u8] {
    match origin {
        Origin::File { path, .. } | Origin::Layer { path: Some(path), .. } => &path.0,
        Origin::Layer { region, .. } => region.as_bytes(),
        Origin::Config { field, .. } | Origin::Manifest { field } | Origin::Attestation { field, .. } => {
            field.as_bytes()
        }
    }
}

/// The first place of a finding, escaped.
fn place_of(finding: &Finding) -> String {
    let first = finding.occurrences.first();
    first.map_or_else(String::new, |occurrence| {
        let path = path_of(&occurrence.origin);
        format!("{}{}", crate::text::escape(path), occurrence.within)
    })
}

/// Why a finding that no filter left out counts.
fn at_or_above(policy: &Policy, finding: &Finding) -> Reason {
    Reason {
        kind: ReasonKind::Thresholds,
        text: format!(
            "{} severity and {} confidence are at or above {} and {}",
            finding.severity, finding.confidence, policy.min_severity, policy.min_confidence
        ),
    }
}

fn is_incomplete(report: &Report, strict: bool) -> bool {
    report.interrupted
        || !report.coverage.is_complete()
        || report.targets.iter().any(|target| target.failure.is_some())
        || report.images.iter().any(|image| {
            !image.complete
                || image
                    .layers
                    .iter()
                    .any(|layer| layer.verification == Verification::Failed)
        })
        || (strict
            && report
                .coverage
                .skips
                .iter()
                .any(|skip| skip.kind == SkipKind::Opaque))
}

/// Takes from the layers' lists what no remaining occurrence stands for.
fn prune_layers(report: &mut Report) {
    let mut found = HashSet::new();
    let mut hidden = HashSet::new();
    for finding in &report.findings {
        for occurrence in &finding.occurrences {
            let place = |layer| (occurrence.image, layer, &finding.fingerprint);
            found.extend(occurrence.origin.layer().map(place));
            hidden.extend(occurrence.status.hidden_by().map(place));
        }
    }
    for (index, image) in report.images.iter_mut().enumerate() {
        for layer in &mut image.layers {
            let ordinal = layer.ordinal;
            layer
                .findings
                .retain(|fingerprint| found.contains(&(index, ordinal, fingerprint)));
            layer
                .hides
                .retain(|fingerprint| hidden.contains(&(index, ordinal, fingerprint)));
        }
    }
}
