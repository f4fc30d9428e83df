//! Two reports of one run → what is new, what is fixed, what is as it was.
//!
//! **Fixed** is said of a credential that was found in the earlier image and is nowhere in this one, below the thresholds
//! included, and only if this one was read to its end. That takes the earlier image's own findings, so its blobs are read where
//! this image does not have them; a blob that both have is read once. Whoever read less could not tell a key that is gone from
//! one that moved to a layer that was rebuilt. Credentials are compared by rule and value, not by fingerprint: a password that
//! was changed in its place is a new one.

use std::collections::HashSet;

use crate::finding::{Finding, Fingerprint, Report, Secret};
use crate::oci::Digest;
use crate::rules::{RuleId, Severity};

use super::Policy;
use super::squash::blobs_of;

/// The image before this one, as the same run read it.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// Its name; escaped.
    pub name: String,
    /// What the name pointed at.
    pub digest: Option<Digest>,
    /// Whether all of it was read.
    pub complete: bool,
    /// With the blobs that carry each.
    findings: Vec<(Finding, Vec<Digest>)>,
    known: HashSet<(RuleId, Secret)>,
}

/// What became of the findings of the earlier image.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The earlier image; escaped.
    pub name: String,
    /// What its name pointed at.
    pub digest: Option<Digest>,
    /// Whether all of it was read: if not, something may be called new that it had.
    pub complete: bool,
    /// Whether this image was read to its end: if not, nothing is called fixed.
    pub certain: bool,
    /// What is gone, at or above the thresholds.
    pub fixed: Vec<Gone>,
}

/// A finding of the earlier image that is nowhere in this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// Its rule.
    pub rule: RuleId,
    /// The rule's title.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// The first place it stood in; escaped.
    pub place: String,
    /// The blobs of the earlier image that carry it, sorted. Who has them has the secret still.
    pub blobs: Vec<Digest>,
}

impl Earlier {
    /// What a report says of one image, all filters aside.
    pub fn new(name: String, mut report: Report) -> Self {
        report.conceal();
        Self {
            name,
            digest: report.targets.iter().find_map(|target| target.digest.clone()),
            complete: !super::is_incomplete(&report, false),
            known: report.findings.iter().map(identity).collect(),
            findings: (report.findings.iter())
                .map(|finding| {
                    let blobs = blobs_of(&report, finding).into_iter().collect();
                    (finding.clone(), blobs)
                })
                .collect(),
        }
    }

    /// Whether it has the same credential.
    pub fn has(&self, finding: &Finding) -> bool {
        self.known.contains(&identity(finding))
    }
}

/// What became of the earlier image's findings in `now`, which no filter has gone over yet.
pub(super) fn changes(earlier: &Earlier, now: &Report, policy: &Policy) -> Changes {
    let certain = !super::is_incomplete(now, false);
    let here: HashSet<(RuleId, Secret)> = now.findings.iter().map(identity).collect();
    let gone = |finding: &Finding| certain && !here.contains(&identity(finding));
    let fixed = (earlier.findings.iter())
        .filter(|(finding, _)| policy.leaves_out(finding).is_none() && gone(finding))
        .map(|(finding, blobs)| Gone {
            fingerprint: finding.fingerprint.clone(),
            rule: finding.rule.clone(),
            title: finding.title.clone(),
            severity: finding.severity,
            place: super::place_of(finding),
            blobs: blobs.clone(),
        });
    Changes {
        name: earlier.name.clone(),
        digest: earlier.digest.clone(),
        complete: earlier.complete,
        certain,
        fixed: fixed.collect(),
    }
}

fn identity(finding: &Finding) -> (RuleId, Secret) {
    (finding.rule.clone(), finding.secret.clone())
}
