//! Progress: of a scan two bars on a terminal and nothing otherwise, of a sweep a display or lines.

mod course;
mod lines;
mod live;

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::messages::Messages;
use crate::layer::Progress;
use crate::scan::Watch;
use crate::sweep::Tell;

/// Two bars: bytes read as stored, and bytes searched.
pub(super) struct Bars {
    read: ProgressBar,
    searched: ProgressBar,
    _both: indicatif::MultiProgress,
}

impl Bars {
    /// Bars on standard error. They vanish when they are finished.
    pub(super) fn new() -> Self {
        let both = indicatif::MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let read = both.add(ProgressBar::no_length());
        read.set_style(style(
            "reading   {bytes:>10} of {total_bytes} {wide_bar} {bytes_per_sec} {msg}",
        ));
        let searched = both.add(ProgressBar::no_length());
        searched.set_style(style("searching {bytes:>10} {spinner} {bytes_per_sec}"));
        searched.enable_steady_tick(Duration::from_millis(200));
        Self {
            read,
            searched,
            _both: both,
        }
    }

    pub(super) fn finish(&self) {
        self.read.finish_and_clear();
        self.searched.finish_and_clear();
    }
}

/// Whoever is told how far a sweep is: a display where somebody looks, lines where not.
pub(super) fn teller(messages: &Messages) -> Box<dyn Tell + '_> {
    match !messages.is_quiet() && std::io::stderr().is_terminal() {
        true => Box::new(live::Live::new(messages)),
        false => Box::new(lines::Lines::new(messages)),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress for Bars {
    fn stored(&self, bytes: u64) {
        self.read.inc(bytes);
    }

    fn decoded(&self, bytes: u64) {
        self.searched.inc(bytes);
    }
}

impl Watch for Bars {
    fn target(&self, name: &str) {
        self.read.set_message(name.to_owned());
    }

    fn planned(&self, blobs: usize, bytes: Option<u64>) {
        let _ = blobs;
        if let Some(bytes) = bytes {
            self.read.set_length(self.read.position() + bytes);
        }
    }
}
