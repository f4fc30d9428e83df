//! Who is at work, so that nobody hands on what he can do as well himself: what another core does it has to fetch from
//! memory first, while what was just decompressed is still in the cache.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::Budget;

/// Tasks that may wait while a core has something to do, so that it finds the next one when it is done.
const QUEUED: usize = 4;

/// How many threads are to be at work at a time, and how many are.
///
/// What is counted is a hint and no bound: who enters does not wait, and who asks may be told what is no longer so.
pub(super) struct Lanes {
    count: usize,
    readers: AtomicUsize,
    tasks: AtomicUsize,
    /// Readers that may search at a time: of a sweep there are more than cores, most of which wait for the network.
    turns: Budget,
}

/// A thread at work or a task for one, until this is dropped.
#[derive(Debug)]
pub(super) struct Lane<'l>(&'l AtomicUsize);

impl Lanes {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            readers: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            turns: Budget::new(count as u64),
        }
    }

    /// One more layer is read.
    pub(super) fn reader(&self) -> Lane<'_> {
        Lane::enter(&self.readers)
    }

    /// One more task is given to another thread.
    pub(super) fn task(&self) -> Lane<'_> {
        Lane::enter(&self.tasks)
    }

    /// Waits until one reader fewer than there are cores searches.
    pub(super) fn turn(&self) -> Turn<'_> {
        self.turns.take(1);
        Turn(&self.turns)
    }

    /// Whether a reader does better to do itself what it has to give: there is a reader for each core, or what was given
    /// keeps the other cores at work for a while.
    pub(super) fn are_taken(&self) -> bool {
        let free = self.count.saturating_sub(self.readers.load(Ordering::Relaxed));
        free == 0 || self.tasks.load(Ordering::Relaxed) >= free + QUEUED
    }
}

impl<'l> Lane<'l> {
    fn enter(count: &'l AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

/// A reader that searches, until this is dropped.
pub(super) struct Turn<'l>(&'l Budget);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.give(1);
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gives_away_what_keeps_the_other_cores_at_work() {
        let lanes = Lanes::new(3);
        let reader = lanes.reader();
        let tasks: Vec<Lane<'_>> =
            std::iter::from_fn(|| (!lanes.are_taken()).then(|| lanes.task())).collect();
        assert_eq!(tasks.len(), 2 + QUEUED);
        drop(tasks);
        assert!(!lanes.are_taken());
        let others = [lanes.reader(), lanes.reader()];
        assert!(lanes.are_taken());
        drop((reader, others));
        assert!(!lanes.are_taken());
    }

    #[test]
    fn no_more_readers_search_at_a_time_than_there_are_cores() {
        let lanes = Lanes::new(2);
        let (at_work, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _turn = lanes.turn();
                    most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    at_work.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=2).contains(&most.into_inner()));
    }

    #[test]
    fn with_one_core_a_reader_does_all_itself() {
        let lanes = Lanes::new(1);
        let _reader = lanes.reader();
        assert!(lanes.are_taken());
    }
}
