//! What lines and a display of a sweep both need: how far a stage is, how long it takes, what is said once. Prints nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sweep::Stage;

/// What is said of a sweep that goes on.
pub(super) const RESUMED: &str = "going on with the sweep that was not done";

/// How long a stage goes on before it is told how long it takes.
const WARM: Duration = Duration::from_secs(10);

/// How far a stage is.
#[derive(Default)]
pub(super) struct Course {
    /// The stage, when it began, and how much of it was done then.
    begun: Option<(Stage, Instant, u64)>,
    pub(super) done: u64,
    pub(super) of: u64,
}

impl Course {
    /// Notes how far it is, and says whether the stage is another one than before.
    pub(super) fn go(&mut self, stage: Stage, done: u64, of: u64) -> bool {
        let is_new = self.stage() != Some(stage);
        if is_new {
            self.begun = Some((stage, Instant::now(), done));
        }
        (self.done, self.of) = (done, of);
        is_new
    }

    pub(super) fn stage(&self) -> Option<Stage> {
        self.begun.map(|(stage, _, _)| stage)
    }

    /// The time that is left, if it goes on as it went.
    pub(super) fn left(&self) -> Option<String> {
        let (_, begun, before) = self.begun?;
        let time = begun.elapsed();
        let done = self.done.checked_sub(before).filter(|done| *done > 0)?;
        if time < WARM || self.done >= self.of {
            return None;
        }
        let seconds = time.as_secs_f64() / done as f64 * (self.of - self.done) as f64;
        Some(spoken(seconds as u64))
    }
}

/// A time for people.
pub(super) fn spoken(seconds: u64) -> String {
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// Registries that were said to give no lists of their own.
#[derive(Default)]
pub(super) struct Plain(Mutex<BTreeSet<String>>);

impl Plain {
    /// What is to be said of one, the first time.
    pub(super) fn line(&self, host: &str, why: &str) -> Option<String> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.insert(host.to_owned()).then(|| {
            format!(
                "{host} gives names of tags only, so manifests without a tag are not known from it: {why}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_is_that_of_what_was_done_since_the_stage_began() {
        let mut course = Course::default();
        assert!(course.go(Stage::Layers, 100, 400));
        assert!(!course.go(Stage::Layers, 200, 400));
        assert_eq!(course.left(), None, "too early to tell");
        let (stage, begun, before) = course.begun.unwrap();
        course.begun = Some((stage, begun - Duration::from_secs(50), before));
        assert_eq!(course.left().unwrap(), "1 min");
        assert!(course.go(Stage::Images, 0, 5));
        assert_eq!(course.left(), None);
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        assert_eq!(
            [5, 89, 90, 5399, 5400].map(spoken),
            ["5 s", "89 s", "1 min", "89 min", "1 h"]
        );
    }

    #[test]
    fn a_registry_is_said_to_be_plain_once() {
        let plain = Plain::default();
        assert!(plain.line("registry.example.com", "not there").is_some());
        assert!(plain.line("registry.example.com", "not there").is_none());
    }
}
