//! A blocking pipe → a reader that gives up soon after it is told to. Does not close the pipe: the thread that waits for
//! it ends with the process, or when the pipe does.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Reads `input` on a thread of its own, which begins with the first read.
pub(super) struct Interruptible<R> {
    /// Until the first read.
    input: Option<R>,
    blocks: Option<Receiver<io::Result<Vec<u8>>>>,
    block: Vec<u8>,
    /// What of the block was read.
    taken: usize,
    cancelled: Arc<AtomicBool>,
}

/// Bytes of a block. As many as three wait to be read.
const BLOCK: usize = 256 * 1024;

impl<R: Read + Send + 'static> Interruptible<R> {
    /// A reader of `input` that fails soon after `cancelled` is set.
    pub(super) fn new(input: R, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            input: Some(input),
            blocks: None,
            block: Vec::new(),
            taken: 0,
            cancelled,
        }
    }

    fn start(&mut self, mut input: R) -> io::Result<()> {
        let (sender, receiver) = sync_channel(2);
        std::thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || {
                loop {
                    let mut block = vec![0; BLOCK];
                    let read = match input.read(&mut block) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        read => read,
                    };
                    let is_last = !matches!(read, Ok(1..));
                    let sent = sender.send(read.map(|count| {
                        block.truncate(count);
                        block
                    }));
                    if is_last || sent.is_err() {
                        return;
                    }
                }
            })?;
        self.blocks = Some(receiver);
        Ok(())
    }

    /// Waits for the next block. An empty one is the end.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        const PATIENCE: Duration = Duration::from_millis(50);
        if let Some(input) = self.input.take() {
            self.start(input)?;
        }
        let Some(blocks) = &self.blocks else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                // Not `Interrupted`: that asks to be tried again.
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the scan was ended before everything arrived",
                ));
            }
            match blocks.recv_timeout(PATIENCE) {
                Ok(block) => return block,
                Err(RecvTimeoutError::Timeout) => {}
                // The thread sent the end, or an error, before.
                Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
            }
        }
    }
}

impl<R: Read + Send + 'static> Read for Interruptible<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.taken == self.block.len() {
            self.block = self.next()?;
            self.taken = 0;
        }
        let left = &self.block[self.taken..];
        let count = left.len().min(out.len());
        out[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose other end sends nothing and stays open.
    struct Silent;

    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_secs(3600));
            Ok(0)
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 17).map(|n| (n % 251) as u8).collect();
        let mut read = Vec::new();
        Interruptible::new(io::Cursor::new(bytes.clone()), Arc::default())
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn a_silent_pipe_is_left_when_the_scan_ends() {
        let cancelled = Arc::new(AtomicBool::new(false));
        let mut reader = Interruptible::new(Silent, Arc::clone(&cancelled));
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            cancelled.store(true, Ordering::Relaxed);
        });
        let error = reader.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
