//! Bytes that arrive on the network's threads → a blocking [`Read`] on another. Starts and retries nothing itself.
//!
//! What was received and not yet read is bounded in bytes: a slow reader holds the network back.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::runtime::Runtime;
use crate::source::SourceError;

/// Bytes of one blob that wait to be read.
const CAPACITY: usize = 1024 * 1024;

/// The two ends of a new bridge. `runtime` lives until the reader is gone.
pub(in crate::source) fn bridge() -> (Writer, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(CAPACITY));
    (
        Writer {
            sender,
            room: Arc::clone(&room),
        },
        Receiver { receiver, room },
    )
}

/// The network's end.
pub(in crate::source) struct Writer {
    sender: mpsc::UnboundedSender<Message>,
    room: Arc<Semaphore>,
}

enum Message {
    Bytes(Bytes),
    End,
    Failed(SourceError),
}

/// Nobody reads any more.
#[derive(Debug)]
pub(in crate::source) struct Gone;

impl Writer {
    /// Hands `bytes` over once there is room for them.
    pub(in crate::source) async fn write(&self, mut bytes: Bytes) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(CAPACITY));
            let needed = u32::try_from(piece.len()).expect("a piece is at most CAPACITY");
            self.room.acquire_many(needed).await.map_err(|_| Gone)?.forget();
            self.sender.send(Message::Bytes(piece)).map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Ends the stream well. A writer that is dropped without it, as in a panic, is an error to the reader.
    pub(in crate::source) fn finish(self) {
        let _ = self.sender.send(Message::End);
    }

    /// Ends the stream with an error.
    pub(in crate::source) fn fail(self, error: SourceError) {
        let _ = self.sender.send(Message::Failed(error));
    }
}

/// The reader's end before it is tied to the task that feeds it.
pub(in crate::source) struct Receiver {
    receiver: mpsc::UnboundedReceiver<Message>,
    room: Arc<Semaphore>,
}

impl Receiver {
    /// Ties the stream to the task that feeds it: dropping the reader ends that task.
    pub(in crate::source) fn into_reader(self, task: AbortHandle, runtime: Arc<Runtime>) -> BlobReader {
        BlobReader {
            current: Bytes::new(),
            receiver: self.receiver,
            room: self.room,
            task,
            _runtime: runtime,
            end: None,
        }
    }
}

/// The bytes of a blob as they arrive.
pub(in crate::source) struct BlobReader {
    current: Bytes,
    receiver: mpsc::UnboundedReceiver<Message>,
    room: Arc<Semaphore>,
    task: AbortHandle,
    _runtime: Arc<Runtime>,
    /// How the stream ended: well, or not.
    end: Option<bool>,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.current.is_empty() {
            match self.end {
                Some(true) => return Ok(0),
                // A caller that reads on after an error must not take the blob for complete.
                Some(false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => {}
            }
            match self.receiver.blocking_recv() {
                Some(Message::Bytes(bytes)) => self.current = bytes,
                Some(Message::End) => self.end = Some(true),
                Some(Message::Failed(error)) => {
                    self.end = Some(false);
                    return Err(io::Error::other(error));
                }
                None => self.end = Some(false),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        self.room.add_permits(count);
        Ok(count)
    }
}

impl Drop for BlobReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn feed<F>(body: impl FnOnce(Writer) -> F) -> BlobReader
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Runtime::start().unwrap();
        let (writer, receiver) = bridge();
        let task = runtime.spawn(body(writer));
        receiver.into_reader(task, runtime)
    }

    #[test]
    fn what_is_written_is_read_whatever_the_sizes() {
        let expected: Vec<u8> = (0..3 * CAPACITY + 17).map(|n| (n % 251) as u8).collect();
        let bytes = Bytes::from(expected.clone());
        let mut reader = feed(|writer| async move {
            writer.write(bytes.slice(..5)).await.unwrap();
            writer.write(Bytes::new()).await.unwrap();
            writer.write(bytes.slice(5..)).await.unwrap();
            writer.finish();
        });
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == expected);
    }

    #[test]
    fn a_slow_reader_holds_the_writer_back() {
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        let mut reader = feed(|writer| async move {
            for _ in 0..100 {
                writer.write(Bytes::from(vec![0; CAPACITY / 10])).await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
            }
            writer.finish();
        });
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(written.load(Ordering::SeqCst), 10, "one capacity's worth");
        assert_eq!(
            io::copy(&mut reader, &mut io::sink()).unwrap() as usize,
            100 * (CAPACITY / 10) - 1
        );
    }

    #[test]
    fn an_error_is_not_an_end() {
        let mut reader = feed(|writer| async move {
            writer.write(Bytes::from_static(b"abc")).await.unwrap();
            writer.fail(SourceError::NotFound { what: "x".into() });
        });
        let mut read = Vec::new();
        let error = reader.read_to_end(&mut read).unwrap_err();
        assert_eq!(
            (read.as_slice(), error.to_string().as_str()),
            (&b"abc"[..], "x was not found")
        );
        assert!(reader.read(&mut [0]).is_err(), "still an error");
    }

    #[test]
    fn a_writer_that_is_lost_is_an_error_too() {
        let mut reader = feed(|writer| async move {
            writer.write(Bytes::from_static(b"abc")).await.unwrap();
        });
        let mut read = Vec::new();
        let error = reader.read_to_end(&mut read).unwrap_err();
        assert_eq!(
            (read.as_slice(), error.kind()),
            (&b"abc"[..], io::ErrorKind::UnexpectedEof)
        );
    }

    #[test]
    fn dropping_the_reader_ends_the_writer() {
        struct OnDrop(std::sync::mpsc::Sender<()>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (ended, end) = std::sync::mpsc::channel();
        let mut reader = feed(|writer| async move {
            let _ended = OnDrop(ended);
            while writer.write(Bytes::from(vec![0; CAPACITY])).await.is_ok() {}
        });
        reader.read_exact(&mut [0]).unwrap();
        drop(reader);
        end.recv_timeout(Duration::from_secs(5)).unwrap();
    }
}
