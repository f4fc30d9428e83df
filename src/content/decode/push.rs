//! Drives decoders that are fed (deflate, bzip2, xz): bytes of the blob in, bytes of the stream straight into the
//! caller's buffer. Does not know where a stream begins; see the formats beside it.

use std::io::Read;

use super::Fault;
use super::input::Input;
use crate::limits::LimitHit;

/// A decoder of one stream that is given bytes and says how far it came.
pub(super) trait PushDecoder {
    /// Reads from the front of `input` and writes to the front of `out`; either may be of any size.
    fn push(&mut self, input: &[u8], out: &mut [u8]) -> Progress;
}

/// How far one push came. The counts hold whatever the outcome: bytes before damage are bytes.
pub(super) struct Progress {
    pub(super) consumed: u64,
    pub(super) written: u64,
    pub(super) outcome: Result<Outcome, Fault>,
}

/// Whether a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ended,
    GoesOn,
}

/// One stream on its way through a [`PushDecoder`].
pub(super) struct Stream<D> {
    decoder: D,
    /// How the stream ended, held back until the bytes written before are delivered.
    ended: Option<Result<(), Fault>>,
}

impl<D: PushDecoder> Stream<D> {
    pub(super) fn new(decoder: D) -> Self {
        Self { decoder, ended: None }
    }

    /// Makes it ready for the next stream, which `restart` prepares the decoder for.
    pub(super) fn restart(&mut self, restart: impl FnOnce(&mut D)) {
        restart(&mut self.decoder);
        self.ended = None;
    }

    /// Writes to the front of `out`, which is not empty, at least one byte; `None` once the stream has ended.
    pub(super) fn read<R: Read>(
        &mut self,
        input: &mut Input<R>,
        out: &mut [u8],
    ) -> Result<Option<usize>, Fault> {
        if let Some(ended) = self.ended.take() {
            return ended.map(|()| None);
        }
        loop {
            // At the end of the blob the decoder is asked once more: it may hold bytes back.
            let available = input.fill()?;
            let at_end = available.is_empty();
            let progress = self.decoder.push(available, out);
            let consumed = usize::try_from(progress.consumed).expect("no more than the input");
            let written = usize::try_from(progress.written).expect("no more than the output");
            input.consume(consumed);
            let ended = match progress.outcome {
                Ok(Outcome::Ended) => Some(Ok(())),
                Ok(Outcome::GoesOn) => None,
                Err(fault) => Some(Err(fault)),
            };
            if written > 0 {
                self.ended = ended;
                return Ok(Some(written));
            }
            match ended {
                Some(ended) => return ended.map(|()| None),
                None if at_end => return Err(Fault::Truncated),
                None if consumed == 0 => return Err(Fault::Corrupt("no progress".to_owned())),
                None => {}
            }
        }
    }
}

impl PushDecoder for flate2::Decompress {
    fn push(&mut self, input: &[u8], out: &mut [u8]) -> Progress {
        let (read, wrote) = (self.total_in(), self.total_out());
        let status = self.decompress(input, out, flate2::FlushDecompress::None);
        Progress {
            consumed: self.total_in() - read,
            written: self.total_out() - wrote,
            outcome: match status {
                Ok(flate2::Status::StreamEnd) => Ok(Outcome::Ended),
                Ok(_) => Ok(Outcome::GoesOn),
                Err(error) => Err(Fault::Corrupt(error.to_string())),
            },
        }
    }
}

impl PushDecoder for bzip2::Decompress {
    fn push(&mut self, input: &[u8], out: &mut [u8]) -> Progress {
        let (read, wrote) = (self.total_in(), self.total_out());
        let status = self.decompress(input, out);
        Progress {
            consumed: self.total_in() - read,
            written: self.total_out() - wrote,
            outcome: match status {
                Ok(bzip2::Status::StreamEnd) => Ok(Outcome::Ended),
                Ok(_) => Ok(Outcome::GoesOn),
                Err(error) => Err(Fault::Corrupt(error.to_string())),
            },
        }
    }
}

impl PushDecoder for liblzma::stream::Stream {
    fn push(&mut self, input: &[u8], out: &mut [u8]) -> Progress {
        use liblzma::stream::{Action, Error, Status};

        let (read, wrote) = (self.total_in(), self.total_out());
        let status = self.process(input, out, Action::Run);
        Progress {
            consumed: self.total_in() - read,
            written: self.total_out() - wrote,
            outcome: match status {
                Ok(Status::StreamEnd) => Ok(Outcome::Ended),
                Ok(_) => Ok(Outcome::GoesOn),
                Err(Error::MemLimit) => Err(Fault::Limit(LimitHit::ZstdWindow)),
                Err(error) => Err(Fault::Corrupt(error.to_string())),
            },
        }
    }
}
