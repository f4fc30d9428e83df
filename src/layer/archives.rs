//! Picks the files of a tar stream that are archives, as the stream passes. Looks at their first bytes only, and opens
//! nothing; see [`super::nested`].

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::content::archive::Format;
use crate::limits::Budget;

/// Pieces of a large file that may wait to be opened. A piece is what one step of decompression gave, 1 MiB at most.
const BACKLOG: usize = 4;

/// A file that is an archive.
pub(super) struct Body {
    /// The member of the tar stream.
    pub(super) entry: u32,
    /// Its size as the tar header says.
    pub(super) size: u64,
    pub(super) format: Format,
    pub(super) content: Content,
    /// What the one member of it is called, where that is known from elsewhere.
    pub(super) name: Option<Vec<u8>>,
}

/// The bytes of a file.
pub(super) enum Content {
    /// Too many, and not to be read from front to back.
    None,
    /// As they pass, for a thread that reads them at once: nothing else goes on while it does not.
    Pieces(Receiver<Vec<u8>>),
    /// All of them; fewer than the header says where the stream ends early.
    Whole(Held),
}

/// Bytes in memory that a budget knows of, until they are dropped.
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    taken: u64,
    budget: Option<Arc<Budget>>,
}

impl Held {
    /// The bytes, without the budget knowing of them any more.
    pub(super) fn released(mut self) -> Self {
        Self {
            bytes: std::mem::take(&mut self.bytes),
            taken: 0,
            budget: None,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give(self.taken);
        }
    }
}

/// Picks archives out of a stream.
pub(super) struct Picker {
    /// Larger files are not held.
    most: u64,
    /// What is taken from before a file is held. Waits, so it is for readers only.
    budget: Option<Arc<Budget>>,
    /// Whether larger files are passed on in pieces.
    pieces: bool,
    /// Files whose content is still to come, or has begun.
    waiting: VecDeque<Expected>,
    head: Vec<u8>,
    taking: Taking,
    found: Vec<Body>,
}

/// A file of the stream.
struct Expected {
    entry: u32,
    /// Where its content lies; of a sparse file, its first run of data.
    span: Range<u64>,
    is_sparse: bool,
}

/// What is done with the file that is passing.
enum Taking {
    /// Its first bytes decide.
    Head,
    Hold(Format, Held),
    Nothing,
    Send(SyncSender<Vec<u8>>),
}

impl Picker {
    /// For a layer: what waits to be opened is taken from `budget`, and files over `most` bytes are passed on in pieces.
    pub(super) fn of_layer(most: u64, budget: Arc<Budget>) -> Self {
        Self {
            budget: Some(budget),
            pieces: true,
            ..Self::of_member(most)
        }
    }

    /// For a tar archive inside a layer, where files over `most` bytes are not opened.
    pub(super) fn of_member(most: u64) -> Self {
        Self {
            most,
            budget: None,
            pieces: false,
            waiting: VecDeque::new(),
            head: Vec::new(),
            taking: Taking::Head,
            found: Vec::new(),
        }
    }

    /// Says where the content of a member lies. In the order of the stream, before its bytes come.
    pub(super) fn expect(&mut self, entry: u32, span: Range<u64>) {
        self.waiting.push_back(Expected {
            entry,
            span,
            is_sparse: false,
        });
    }

    /// As [`Picker::expect`], for the first run of a sparse file. Archives in those are told, but not opened: nothing
    /// that writes archives leaves holes in them.
    pub(super) fn expect_sparse(&mut self, entry: u32, span: Range<u64>) {
        self.waiting.push_back(Expected {
            entry,
            span,
            is_sparse: true,
        });
    }

    /// Takes the next bytes of the stream, which begin at `offset`.
    pub(super) fn take(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        while let Some(expected) = self.waiting.front() {
            let span = expected.span.clone();
            if span.start >= end {
                return;
            }
            let from = span.start.max(offset) - offset;
            let to = span.end.clamp(offset, end) - offset;
            self.piece(&bytes[from as usize..to as usize]);
            if span.end > end {
                return;
            }
            self.end_file();
            self.waiting.pop_front();
        }
    }

    /// Ends the stream: what was held of a file that it cuts off is told.
    pub(super) fn end(&mut self) {
        self.end_file();
        self.waiting.clear();
    }

    /// The archives that were found since the last time.
    pub(super) fn found(&mut self) -> Vec<Body> {
        std::mem::take(&mut self.found)
    }

    fn piece(&mut self, mut piece: &[u8]) {
        let Some(Expected { span, .. }) = self.waiting.front() else {
            return;
        };
        let size = span.end - span.start;
        if let Taking::Head = self.taking {
            let wanted = size.min(Format::HEAD_BYTES as u64) as usize;
            if self.head.is_empty() && piece.len() >= wanted {
                self.decide(Format::of(&piece[..wanted]));
            } else {
                let count = piece.len().min(wanted - self.head.len());
                self.head.extend_from_slice(&piece[..count]);
                if self.head.len() < wanted {
                    return;
                }
                let head = std::mem::take(&mut self.head);
                self.decide(Format::of(&head));
                self.push(&head);
                self.head = head;
                piece = &piece[count..];
            }
        }
        self.push(piece);
    }

    fn decide(&mut self, format: Option<Format>) {
        self.taking = Taking::Nothing;
        let (Some(format), Some(expected)) = (format, self.waiting.front()) else {
            return;
        };
        let (entry, size) = (expected.entry, expected.span.end - expected.span.start);
        let content = if expected.is_sparse {
            Content::None
        } else if size <= self.most {
            match &self.budget {
                // What was found is handed over after this piece: to wait for its bytes now would be to wait for ever.
                Some(budget) if !self.found.is_empty() => budget.take_at_once(size),
                Some(budget) => budget.take(size),
                None => {}
            }
            let held = Held {
                bytes: Vec::with_capacity(size as usize),
                taken: size,
                budget: self.budget.clone(),
            };
            self.taking = Taking::Hold(format, held);
            return;
        } else if self.pieces && format.is_sequential() {
            let (sender, receiver) = sync_channel(BACKLOG);
            self.taking = Taking::Send(sender);
            Content::Pieces(receiver)
        } else {
            Content::None
        };
        self.found.push(Body {
            entry,
            size,
            format,
            content,
            name: None,
        });
    }

    fn push(&mut self, piece: &[u8]) {
        match &mut self.taking {
            Taking::Hold(_, held) => held.bytes.extend_from_slice(piece),
            Taking::Send(sender) => {
                // Whoever reads may have had enough.
                if sender.send(piece.to_vec()).is_err() {
                    self.taking = Taking::Nothing;
                }
            }
            Taking::Head | Taking::Nothing => {}
        }
    }

    fn end_file(&mut self) {
        self.head.clear();
        if let Taking::Hold(format, content) = std::mem::replace(&mut self.taking, Taking::Head)
            && let Some(Expected { entry, span, .. }) = self.waiting.front()
        {
            self.found.push(Body {
                entry: *entry,
                size: span.end - span.start,
                format,
                content: Content::Whole(content),
                name: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_large_archive_right_behind_a_small_one_waits_for_nothing() {
        let stream = [&b"PK\x03\x04"[..], &[0; 996], b"PK\x03\x04", &[0; 8996]].concat();
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let budget = Arc::new(Budget::new(5000));
            let mut picker = Picker::of_layer(20_000, Arc::clone(&budget));
            picker.expect(0, 0..1000);
            picker.expect(1, 1000..10_000);
            picker.take(0, &stream);
            let sizes: Vec<u64> = picker.found().iter().map(|body| body.size).collect();
            // All is given back: who comes next does not wait either.
            budget.take(5000);
            sender.send(sizes)
        });
        let found = receiver.recv_timeout(Duration::from_secs(20));
        assert_eq!(found, Ok(vec![1000, 9000]));
    }
}
