//! A report and what a gate asks for → the same report without what is ignored or known, and for each finding that stays whether
//! it counts and why. Reads nothing and knows no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;

use crate::finding::{Finding, Fingerprint, Report};

use super::base::{self, NamedBase};
use super::since::{self, Earlier};
use super::{
    Baseline, Date, Ignore, Judgement, Policy, Reason, ReasonKind, Remark, RemarkKind, StatusName,
    Suppressed, SuppressedBy, Verdict, Weight,
};

/// What a gate asks for beyond the filters of a [`Policy`].
#[derive(Clone, Debug)]
pub struct Gate {
    /// The statuses that count; empty for all.
    pub life: Vec<StatusName>,
    /// What follows from findings that stand in the proven base image alone.
    pub inherited: Treatment,
    /// What follows from findings that the earlier image had.
    pub unchanged: Treatment,
    /// Whether every file above the proven base must be one that a container shows.
    pub squashed: bool,
    /// What is no concern.
    pub ignores: Vec<Ignore>,
    /// What is known.
    pub baseline: Option<Baseline>,
    /// The day on which it is judged.
    pub today: Date,
}

/// What follows from something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Treatment {
    /// It counts.
    #[default]
    Fail,
    /// It is told, and does not count.
    Warn,
}

/// What was read besides the target.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Images that were named as bases.
    pub bases: Vec<NamedBase>,
    /// The image before this one.
    pub earlier: Option<Earlier>,
    /// What is to be said already.
    pub remarks: Vec<Remark>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            life: Vec::new(),
            inherited: Treatment::Fail,
            unchanged: Treatment::Fail,
            squashed: false,
            ignores: Vec::new(),
            baseline: None,
            // No entry has expired: there is none.
            today: Date::of_unix(0),
        }
    }
}

impl Gate {
    /// Judges a report: the filters of `policy` first, then what is ignored or known, then what counts.
    ///
    /// An entry or a baseline is used where it covers a finding, shown or not. Of a report that is incomplete nothing is
    /// said to be gone.
    pub fn judge(&self, policy: &Policy, report: Report, facts: &Facts) -> (Report, Verdict) {
        let mut remarks = facts.remarks.clone();
        let bases = base::prove_all(&report, &facts.bases, &mut remarks);
        let marks = self.marks(&report, facts, &bases);
        let all: BTreeSet<Fingerprint> = (report.findings.iter())
            .flat_map(|finding| std::iter::once(&finding.fingerprint).chain(&finding.former_fingerprints))
            .cloned()
            .collect();
        self.tell_ignores(&report, &marks, &mut remarks);
        let changes = facts
            .earlier
            .as_ref()
            .map(|earlier| since::changes(earlier, &report, policy));

        let (mut report, mut verdict) = policy.judge(report);
        self.tell_baseline(&report, &all, verdict.incomplete, &mut remarks);
        for finding in std::mem::take(&mut report.findings) {
            let mark = marks.get(&finding.fingerprint).copied().unwrap_or_default();
            match self.suppressed_by(&finding, mark) {
                Some(by) => verdict.suppressed.push(Suppressed { finding, by }),
                None => report.findings.push(finding),
            }
        }
        super::prune_layers(&mut report);
        verdict.judgements = (report.findings.iter())
            .map(|finding| {
                let mark = marks.get(&finding.fingerprint).copied().unwrap_or_default();
                self.judgement(policy, finding, mark, &bases, facts.earlier.as_ref())
            })
            .collect();
        verdict.failing = (0..report.findings.len())
            .filter(|index| verdict.judgements[*index].counts)
            .collect();
        if self.squashed {
            remarks.extend(super::squash::unsquashed(&report, &bases));
        }
        verdict.bases = bases;
        verdict.changes = changes;
        verdict.remark(remarks);
        (report, verdict)
    }

    fn marks(
        &self,
        report: &Report,
        facts: &Facts,
        bases: &[base::ProvedBase],
    ) -> HashMap<Fingerprint, Mark> {
        let mark = |finding: &Finding| {
            let covering = |expired: bool| {
                let covers =
                    |entry: &Ignore| entry.is_expired(self.today) == expired && entry.covers(finding, report);
                self.ignores.iter().position(covers)
            };
            Mark {
                ignored: covering(false),
                expired: covering(true),
                inherited: base::inherited_from(finding, bases)
                    .and_then(|base| bases.iter().position(|other| std::ptr::eq(other, base))),
                is_unchanged: facts.earlier.as_ref().is_some_and(|earlier| earlier.has(finding)),
            }
        };
        let findings = report.findings.iter();
        findings
            .map(|finding| (finding.fingerprint.clone(), mark(finding)))
            .collect()
    }

    fn suppressed_by(&self, finding: &Finding, mark: Mark) -> Option<SuppressedBy> {
        if let Some(entry) = mark.ignored.and_then(|index| self.ignores.get(index)) {
            return Some(SuppressedBy::Ignore {
                entry: entry.place.clone(),
                reason: entry.reason.clone(),
                owner: entry.owner.clone(),
                expires: entry.expires,
            });
        }
        let baseline = self.baseline.as_ref()?;
        let mut names = std::iter::once(&finding.fingerprint).chain(&finding.former_fingerprints);
        let is_known = names.any(|name| baseline.findings.contains_key(name));
        is_known.then(|| SuppressedBy::Baseline {
            file: baseline.file.clone(),
        })
    }

    fn judgement(
        &self,
        policy: &Policy,
        finding: &Finding,
        mark: Mark,
        bases: &[base::ProvedBase],
        earlier: Option<&Earlier>,
    ) -> Judgement {
        let mut counts = true;
        let mut reasons = vec![super::at_or_above(policy, finding)];
        let is_counted =
            |name: &str| self.life.is_empty() || self.life.iter().any(|life| life.to_string() == name);
        if !(finding.occurrences.iter()).any(|occurrence| is_counted(occurrence.status.name())) {
            counts = false;
            let lives: BTreeSet<&str> = (finding.occurrences.iter())
                .map(|occurrence| occurrence.status.name())
                .collect();
            let lives: Vec<&str> = lives.into_iter().collect();
            reasons.push(Reason {
                kind: ReasonKind::Life,
                text: format!("the policy does not count what is {}", lives.join(" or ")),
            });
        }
        if let Some(base) = mark.inherited.and_then(|index| bases.get(index)) {
            counts &= self.inherited == Treatment::Fail;
            let what_follows = match self.inherited {
                Treatment::Fail => "which counts",
                Treatment::Warn => "which the policy only warns of",
            };
            reasons.push(Reason {
                kind: ReasonKind::Inherited,
                text: format!(
                    "all of it comes from the base image `{}`, {what_follows}",
                    base.name
                ),
            });
        }
        if let Some(earlier) = earlier {
            let (kind, text) = if mark.is_unchanged {
                counts &= self.unchanged == Treatment::Fail;
                let what_follows = match self.unchanged {
                    Treatment::Fail => "which counts all the same",
                    Treatment::Warn => "which the policy only warns of",
                };
                let text = format!("`{}` had it already, {what_follows}", earlier.name);
                (ReasonKind::Unchanged, text)
            } else {
                (ReasonKind::New, format!("`{}` did not have it", earlier.name))
            };
            reasons.push(Reason { kind, text });
        }
        if let Some(entry) = mark.expired.and_then(|index| self.ignores.get(index)) {
            reasons.push(Reason {
                kind: ReasonKind::IgnoreExpired,
                text: format!(
                    "the entry at `{}` that ignored it expired on {}",
                    entry.place, entry.expires
                ),
            });
        }
        Judgement { counts, reasons }
    }

    /// Entries that have expired, and those that cover nothing. One for images that are not in this run is not spoken of.
    fn tell_ignores(&self, report: &Report, marks: &HashMap<Fingerprint, Mark>, remarks: &mut Vec<Remark>) {
        let used: BTreeSet<usize> = marks.values().filter_map(|mark| mark.ignored).collect();
        for (index, entry) in self.ignores.iter().enumerate() {
            if !entry.concerns(report) {
                continue;
            }
            let escape = |text: &str| crate::text::escape(text.as_bytes());
            let (place, subject) = (&entry.place, entry.subject());
            if entry.is_expired(self.today) {
                remarks.push(Remark {
                    weight: Weight::Fails,
                    kind: RemarkKind::IgnoreExpired,
                    text: format!(
                        "{place}: the entry for {subject} expired on {}: {} renews or removes it",
                        entry.expires,
                        escape(&entry.owner)
                    ),
                });
            } else if !used.contains(&index)
                && !report
                    .findings
                    .iter()
                    .any(|finding| entry.covers(finding, report))
            {
                remarks.push(Remark {
                    weight: Weight::Note,
                    kind: RemarkKind::IgnoreUnused,
                    text: format!("{place}: the entry for {subject} covers no finding of this run"),
                });
            }
        }
    }

    /// Findings of the baseline that are gone. Those of other repositories are not spoken of.
    fn tell_baseline(
        &self,
        report: &Report,
        all: &BTreeSet<Fingerprint>,
        incomplete: bool,
        remarks: &mut Vec<Remark>,
    ) {
        let Some(baseline) = self.baseline.as_ref().filter(|_| !incomplete) else {
            return;
        };
        let mut gone: BTreeMap<&str, Vec<&Fingerprint>> = BTreeMap::new();
        for (fingerprint, known) in &baseline.findings {
            let is_of_run = (report.targets.iter()).any(|target| target.repository == known.repository);
            if is_of_run && !all.contains(fingerprint) {
                gone.entry(&known.rule.0).or_default().push(fingerprint);
            }
        }
        for (rule, fingerprints) in gone {
            for fingerprint in fingerprints {
                remarks.push(Remark {
                    weight: Weight::Note,
                    kind: RemarkKind::BaselineStale,
                    text: format!(
                        "{}: {} ({}) is not found any more: write the baseline again",
                        baseline.file,
                        crate::text::escape(fingerprint.0.as_bytes()),
                        crate::text::escape(rule.as_bytes())
                    ),
                });
            }
        }
    }
}

/// What is known of a finding before the filters.
#[derive(Clone, Copy, Default)]
struct Mark {
    /// The entry that covers it.
    ignored: Option<usize>,
    /// One that did.
    expired: Option<usize>,
    /// The base that all of it stands in.
    inherited: Option<usize>,
    /// Whether the earlier image had it.
    is_unchanged: bool,
}

impl FromStr for Treatment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(Self::Fail),
            "warn" => Ok(Self::Warn),
            _ => Err("expected `fail` or `warn`".to_owned()),
        }
    }
}
