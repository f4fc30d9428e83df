//! Searches a text that stands in no layer, such as an environment variable, a label or an attestation, as the files of
//! a layer are searched: in windows, and with what is encoded in it. Knows nothing of the document it is from.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::engine::{Matcher, Scratch};
use crate::limits::{LimitHit, Limits};
use crate::tar::RegionKind;
use crate::text;

use super::merge::{Examined, Merger, examine};
use super::reader::{feed, settled};
use super::record::{Carrier, LayerCandidate, LayerSkip, Severeness};
use super::window::{BufferPool, Cut, Windower};

/// Searches texts, one after the other.
pub struct TextReader<'a> {
    matcher: &'a Matcher,
    limits: &'a Limits,
    buffers: Arc<BufferPool>,
    scratch: Scratch,
}

/// What a text gave.
#[derive(Debug, Default)]
pub struct SearchedText {
    /// Its candidates in order of their place, which counts from its begin.
    pub candidates: Vec<LayerCandidate>,
    /// How many of its bytes were not searched: none, unless the search of a window broke off.
    pub lost_bytes: u64,
    /// What was not searched or decoded.
    pub skips: Vec<LayerSkip>,
}

impl<'a> TextReader<'a> {
    /// A reader that searches with `matcher`.
    pub fn new(matcher: &'a Matcher, limits: &'a Limits) -> Self {
        Self {
            matcher,
            limits,
            buffers: Arc::default(),
            scratch: Scratch::default(),
        }
    }

    /// Searches a text and what is encoded in it, within the limits that one file of a layer has.
    pub fn search(&mut self, text: &[u8]) -> SearchedText {
        let mut merger = Merger::new(self.limits);
        let mut windows = Windower::flat(&self.buffers, Carrier::Tar(RegionKind::Body));
        feed(&mut windows, text, &mut |cut| self.window(&cut, &mut merger));
        let (cut, _) = windows.finish();
        self.window(&cut, &mut merger);
        let mut searched = SearchedText {
            lost_bytes: merger.lost_bytes,
            ..SearchedText::default()
        };
        let mut skip = |severeness, reason, bytes, detail: String| {
            searched.skips.push(LayerSkip {
                severeness,
                reason,
                bytes,
                detail,
            });
        };
        if merger.lost_bytes > 0 {
            let detail = "an internal error ended the search of a part of it".to_owned();
            skip(Severeness::Incomplete, "panic", Some(merger.lost_bytes), detail);
        }
        if merger.partial_windows > 0 {
            let detail =
                "it holds more encoded text than is decoded; it was searched as it stands".to_owned();
            skip(Severeness::Opaque, LimitHit::EncodedText.name(), None, detail);
        }
        if merger.over > 0 {
            let detail = format!(
                "dropped {} beyond the limit",
                text::counted(merger.over, "candidate")
            );
            skip(Severeness::Incomplete, LimitHit::Findings.name(), None, detail);
        }
        if merger.more_in_file > 0 {
            let detail = format!(
                "a rule matches {} in a text in which it matches often",
                text::counted(merger.more_in_file, "more time")
            );
            skip(Severeness::Note, LimitHit::FindingsPerFile.name(), None, detail);
        }
        searched.candidates = settled(self.matcher, merger.candidates);
        searched
    }

    fn window(&mut self, cut: &Cut, merger: &mut Merger<'_>) {
        let scratch = &mut self.scratch;
        let examined = catch_unwind(AssertUnwindSafe(|| {
            examine(cut, self.matcher, scratch, self.limits)
        }));
        merger.add(examined.unwrap_or_else(|_| {
            self.scratch = Scratch::default();
            Examined::lost(cut)
        }));
    }
}
