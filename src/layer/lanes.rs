//! How many layers are read at a time, so that nobody hands on what he does better himself: what another core does it has
//! to fetch from memory first, while what was just decompressed is still in the cache.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::Budget;

/// The cores that are to be at work, and the readers that are.
///
/// What is counted is a hint and no bound: who enters does not wait, and who asks may be told what is no longer so.
pub(super) struct Lanes {
    count: usize,
    readers: AtomicUsize,
    /// Readers that may search at a time: of a sweep there are more than cores, most of which wait for the network.
    turns: Budget,
}

/// A reader, until this is dropped.
pub(super) struct Lane<'l>(&'l AtomicUsize);

/// A reader that searches, until this is dropped.
pub(super) struct Turn<'l>(&'l Budget);

impl Lanes {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            readers: AtomicUsize::new(0),
            turns: Budget::new(count as u64),
        }
    }

    /// One more layer is read.
    pub(super) fn enter(&self) -> Lane<'_> {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Lane(&self.readers)
    }

    /// Whether there is a reader for each core, so that nobody else could do what a reader has to give.
    pub(super) fn are_taken(&self) -> bool {
        self.readers.load(Ordering::Relaxed) >= self.count
    }

    /// Waits until one reader fewer than there are cores searches.
    pub(super) fn turn(&self) -> Turn<'_> {
        self.turns.take(1);
        Turn(&self.turns)
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.give(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_taken_while_there_is_a_reader_for_each_core() {
        let lanes = Lanes::new(2);
        let first = lanes.enter();
        assert!(!lanes.are_taken());
        let second = lanes.enter();
        assert!(lanes.are_taken());
        drop((first, second));
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
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    at_work.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=2).contains(&most.into_inner()));
    }
}
