//! Signals and the time limit: both end a scan early and leave a report that says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::exit::{self, Exit};

/// Whether and why a scan is to end.
#[derive(Clone, Default)]
pub(super) struct Interrupt {
    /// Set once the scan is to end.
    pub(super) cancelled: Arc<AtomicBool>,
    signal: Arc<AtomicI32>,
}

impl Interrupt {
    /// Watches for signals, and for the end of a time if there is one.
    pub(super) fn watch(&self, timeout: Option<Duration>) -> anyhow::Result<()> {
        self.watch_signals().context("cannot watch for signals")?;
        match timeout {
            Some(limit) => self.after(limit).context("cannot start the clock of `--timeout`"),
            None => Ok(()),
        }
    }

    /// Watches SIGINT and SIGTERM. The first ends the scan and writes a partial report, the second ends the process.
    fn watch_signals(&self) -> std::io::Result<()> {
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        let this = self.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    if this.signal.swap(signal, Ordering::SeqCst) != 0 {
                        exit::now(Exit::Interrupted(signal));
                    }
                    this.cancelled.store(true, Ordering::SeqCst);
                }
            })?;
        Ok(())
    }

    /// Ends the scan after `limit`.
    fn after(&self, limit: Duration) -> std::io::Result<()> {
        let cancelled = Arc::clone(&self.cancelled);
        std::thread::Builder::new()
            .name("time limit".to_owned())
            .spawn(move || {
                std::thread::sleep(limit);
                cancelled.store(true, Ordering::SeqCst);
            })?;
        Ok(())
    }

    /// Whether a signal or the time limit ended it.
    pub(super) fn is_over(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// The signal that ended the scan, if one did.
    pub(super) fn signal(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }
}
