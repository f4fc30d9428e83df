//! From windows to candidates.

use std::sync::Arc;

use super::{Candidate, Regions, Window};
use crate::rules::RuleSet;

/// A compiled set of rules. Built once; shared by all threads.
pub struct Matcher {
    rules: Arc<RuleSet>,
}

/// Buffers of one thread.
#[derive(Default)]
pub struct Scratch {}

impl Matcher {
    /// Compiles `rules`.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self { rules }
    }

    /// The rules.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Finds the candidates whose literal begins in `window.owned`, and adds them to `found` in order of their place.
    ///
    /// One credential may be found from two literals in two windows: the caller removes equal candidates.
    pub fn scan(
        &self,
        window: &Window<'_>,
        regions: &dyn Regions,
        scratch: &mut Scratch,
        found: &mut Vec<Candidate>,
    ) {
        let _ = (window, regions, scratch, found);
    }

    /// Finds the candidates in a text that is one region.
    pub fn scan_text(&self, text: &[u8], scratch: &mut Scratch) -> Vec<Candidate> {
        let mut found = Vec::new();
        let whole = 0..text.len() as u64;
        self.scan(
            &Window {
                start: 0,
                bytes: text,
                owned: whole.clone(),
            },
            &super::Whole(whole),
            scratch,
            &mut found,
        );
        found.sort_by_key(Candidate::order);
        found.dedup_by_key(|candidate| candidate.order());
        found
    }
}
