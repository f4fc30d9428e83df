//! How far a sweep is, where nobody looks at a terminal: a line now and then, and one for each problem.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::course::{Course, Plain, RESUMED};
use crate::cli::messages::Messages;
use crate::layer::Progress;
use crate::sweep::{Stage, Tell};
use crate::text;

/// The time between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How far a sweep is, a line now and then.
pub(super) struct Lines<'m> {
    messages: &'m Messages,
    stored: AtomicU64,
    plain: Plain,
    last: Mutex<Last>,
}

/// What the last line was about.
struct Last {
    course: Course,
    told: Instant,
}

impl<'m> Lines<'m> {
    pub(super) fn new(messages: &'m Messages) -> Self {
        Self {
            messages,
            stored: AtomicU64::new(0),
            plain: Plain::default(),
            last: Mutex::new(Last {
                course: Course::default(),
                told: Instant::now(),
            }),
        }
    }

    fn tell(&self, last: &mut Last) {
        let Some(stage) = last.course.stage() else { return };
        last.told = Instant::now();
        let mut line = format!("{}: {} of {}", stage.name(), last.course.done, last.course.of);
        let stored = self.stored.load(Ordering::Relaxed);
        if stage == Stage::Layers && stored > 0 {
            line.push_str(&format!(", {}", text::bytes(stored)));
        }
        if let Some(left) = last.course.left() {
            line.push_str(&format!(", about {left} left"));
        }
        self.messages.note(line);
    }
}

impl Progress for Lines<'_> {
    fn stored(&self, bytes: u64) {
        self.stored.fetch_add(bytes, Ordering::Relaxed);
        // A large layer takes long: who waits wants to see that it goes on.
        if let Ok(mut last) = self.last.try_lock()
            && last.told.elapsed() >= LINE_EVERY
        {
            self.tell(&mut last);
        }
    }
}

impl Tell for Lines<'_> {
    fn step(&self, stage: Stage, done: u64, of: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = last.course.go(stage, done, of);
        if is_new || last.told.elapsed() >= LINE_EVERY || done >= of {
            self.tell(&mut last);
        }
    }

    fn problem(&self, what: &str, why: &str) {
        self.messages.warning(format!("{what}: {why}"));
    }

    fn plain(&self, host: &str, why: &str) {
        if let Some(line) = self.plain.line(host, why) {
            self.messages.note(line);
        }
    }

    fn resumed(&self) {
        self.messages.note(RESUMED);
    }
}
