//! A sweep on a terminal: its stage, how much there is of everything, how long it takes, and which limit it waits for.
//! Problems and notes stand above it and stay.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::course::{Course, Plain, RESUMED, spoken};
use super::style;
use crate::cli::messages::Messages;
use crate::layer::Progress;
use crate::source::registry::Session;
use crate::sweep::{Met, Stage, Tell};
use crate::text;

/// The time between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Three lines at the foot of a terminal, for as long as it lives.
pub(super) struct Live<'m> {
    messages: &'m Messages,
    plain: Plain,
    shown: Arc<Shown>,
    looking: Option<JoinHandle<()>>,
}

/// What is shown.
struct Shown {
    all: MultiProgress,
    stage: ProgressBar,
    totals: ProgressBar,
    waits: ProgressBar,
    course: Mutex<Course>,
    counts: Counts,
    sessions: Mutex<Vec<(String, Session)>>,
    is_over: AtomicBool,
}

#[derive(Default)]
struct Counts {
    repositories: AtomicU64,
    tags: AtomicU64,
    layers: AtomicU64,
    stored: AtomicU64,
    findings: AtomicU64,
}

impl<'m> Live<'m> {
    pub(super) fn new(messages: &'m Messages) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let line = |template: &str| {
            let bar = all.add(ProgressBar::no_length());
            bar.set_style(style(template));
            bar
        };
        let shown = Arc::new(Shown {
            stage: line("{prefix:<10} {wide_bar} {pos} of {len}{msg}"),
            totals: line("{msg}"),
            waits: line("{msg}"),
            all,
            course: Mutex::default(),
            counts: Counts::default(),
            sessions: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let looked = Arc::clone(&shown);
        let looking = std::thread::Builder::new()
            .name("display".to_owned())
            .spawn(move || looked.look(Instant::now()));
        Self {
            messages,
            plain: Plain::default(),
            shown,
            // Without it the display stands still while nothing is done; that is all.
            looking: looking.ok(),
        }
    }

    /// Says something above the display.
    fn above(&self, say: impl FnOnce()) {
        self.shown.all.suspend(say);
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.shown.is_over.store(true, Ordering::Relaxed);
        if let Some(looking) = self.looking.take() {
            looking.thread().unpark();
            let _ = looking.join();
        }
        for line in [&self.shown.stage, &self.shown.totals, &self.shown.waits] {
            line.finish_and_clear();
        }
    }
}

impl Shown {
    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what changes by itself, until the sweep is over.
    fn look(&self, begun: Instant) {
        while !self.is_over.load(Ordering::Relaxed) {
            let left = self.course().left();
            let left = left
                .map(|left| format!(", about {left} left"))
                .unwrap_or_default();
            self.stage.set_message(left);
            self.totals.set_message(self.counts.line(begun.elapsed()));
            let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            let waits: Vec<Waits> = sessions
                .iter()
                .map(|(host, session)| Waits::of(host, session))
                .collect();
            drop(sessions);
            self.waits.set_message(line_of(&waits));
            std::thread::park_timeout(LOOK_EVERY);
        }
    }
}

impl Counts {
    fn line(&self, time: Duration) -> String {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let stored = number(&self.stored);
        let speed = (stored as f64 / time.as_secs_f64().max(1.0)) as u64;
        format!(
            "{} repositories, {} tags, {} layers, {} ({}/s), {} findings, {}",
            number(&self.repositories),
            number(&self.tags),
            number(&self.layers),
            text::bytes(stored),
            text::bytes(speed),
            number(&self.findings),
            spoken(time.as_secs())
        )
    }
}

/// What a registry makes a sweep wait for.
struct Waits {
    host: String,
    /// Hosts that asked to be left alone, and for how long.
    held_back: Vec<(String, Duration)>,
    /// Requests that wait for their turn.
    in_line: u64,
    /// What is left of a quota, and what of it is left to others.
    pulls: Option<(u64, u64)>,
}

impl Waits {
    fn of(host: &str, session: &Session) -> Self {
        Self {
            host: host.to_owned(),
            held_back: session.held_back(),
            in_line: session.in_line(),
            pulls: session.pulls_left().map(|left| (left, session.pace().floor)),
        }
    }
}

/// What is waited for, in a line.
fn line_of(waits: &[Waits]) -> String {
    let mut parts = Vec::new();
    for Waits {
        host,
        held_back,
        in_line,
        pulls,
    } in waits
    {
        for (of_registry, time) in held_back {
            parts.push(format!(
                "{of_registry} asked to be left alone for {}",
                spoken(time.as_secs() + 1)
            ));
        }
        if *in_line > 0 {
            parts.push(format!("{in_line} requests to {host} wait for --rate"));
        }
        if let Some((left, floor)) = pulls {
            let kept = match floor {
                0 => String::new(),
                floor => format!(", {floor} are kept"),
            };
            parts.push(format!("{left} pulls of {host} left{kept}"));
        }
    }
    parts.join("; ")
}

impl Progress for Live<'_> {
    fn stored(&self, bytes: u64) {
        self.shown.counts.stored.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Tell for Live<'_> {
    fn step(&self, stage: Stage, done: u64, of: u64) {
        match stage {
            Stage::Lists => self.shown.counts.repositories.store(done, Ordering::Relaxed),
            Stage::Layers => self.shown.counts.layers.store(done, Ordering::Relaxed),
            Stage::Manifests | Stage::Images => {}
        }
        if self.shown.course().go(stage, done, of) {
            self.shown.stage.set_prefix(stage.name());
        }
        self.shown.stage.set_length(of);
        self.shown.stage.set_position(done);
    }

    fn met(&self, what: Met, count: u64) {
        let counts = &self.shown.counts;
        let total = match what {
            Met::Tags => &counts.tags,
            Met::Findings => &counts.findings,
        };
        total.fetch_add(count, Ordering::Relaxed);
    }

    fn speaks_to(&self, host: &str, session: &Session) {
        let mut sessions = self.shown.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.push((host.to_owned(), session.clone()));
    }

    fn problem(&self, what: &str, why: &str) {
        self.above(|| self.messages.warning(format!("{what}: {why}")));
    }

    fn plain(&self, host: &str, why: &str) {
        if let Some(line) = self.plain.line(host, why) {
            self.above(|| self.messages.note(line));
        }
    }

    fn resumed(&self) {
        self.above(|| self.messages.note(RESUMED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_named_with_its_limit() {
        let nothing = Waits {
            host: "a.example.com".to_owned(),
            held_back: Vec::new(),
            in_line: 0,
            pulls: None,
        };
        assert_eq!(line_of(&[nothing]), "");
        let much = Waits {
            host: "b.example.com".to_owned(),
            held_back: vec![("api.b.example.com".to_owned(), Duration::from_secs(11))],
            in_line: 3,
            pulls: Some((76, 20)),
        };
        let expected = "api.b.example.com asked to be left alone for 12 s; 3 requests to b.example.com wait for --rate; \
            76 pulls of b.example.com left, 20 are kept";
        assert_eq!(line_of(&[much]), expected);
    }
}
