//! Takes layers from a queue, reads them, and gives back what became of them. Knows no state: it may run anywhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::layer::{Claims, LayerRecord, Progress, Severeness};
use crate::oci::{Algorithm, BlobKey, Descriptor, Digest};
use crate::scan::stored::ReadLayer;
use crate::source::{Source, SourceError};
use crate::text;

use super::hosts::Hosts;
use super::job::{Job, Loss, Place, Reading, Verdict, survived};
use super::queue::{LayerQueue, Lease, QueueError};

/// How long an empty queue is waited on before the worker looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(200);

/// Reads layers.
pub(super) struct Reader<'r> {
    pub(super) hosts: &'r Hosts,
    pub(super) read: &'r ReadLayer<'r>,
    /// The hash of the rules it reads with.
    pub(super) rules: &'r str,
    /// Set once the worker is to stop.
    pub(super) cancelled: &'r AtomicBool,
}

/// Takes and reads layers until the queue is closed or the worker is to stop.
///
/// *Errors*: where the queue is of no use any more.
pub(super) fn work(
    queue: &dyn LayerQueue,
    reader: &Reader<'_>,
    progress: &dyn Progress,
) -> Result<(), QueueError> {
    while !reader.is_over() && !queue.is_closed() {
        let Some(lease) = queue.take(PATIENCE)? else {
            continue;
        };
        let verdict = held(&*lease, reader, progress);
        lease.finish(verdict)?;
    }
    Ok(())
}

/// Does something while so many threads take and read layers of a queue, which is closed in the end.
///
/// *Errors*: those of `act`, then the first of the threads.
pub(super) fn with_threads<T, E: From<QueueError>>(
    queue: &dyn LayerQueue,
    reader: &Reader<'_>,
    threads: usize,
    progress: &(dyn Progress + Sync),
    act: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let broken: Mutex<Option<QueueError>> = Mutex::default();
    let acted = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                if let Err(error) = work(queue, reader, progress) {
                    broken
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_or_insert(error);
                }
            });
        }
        let acted = act();
        queue.close();
        acted
    })?;
    match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error.into()),
        None => Ok(acted),
    }
}

/// Reads the layer of a lease, which is told now and then that it is being read, as long as it is.
fn held(lease: &dyn Lease, reader: &Reader<'_>, progress: &dyn Progress) -> Verdict {
    let moved = Moved {
        bytes: AtomicU64::new(0),
        to: progress,
    };
    let Some(every) = lease.beat() else {
        return reader.layer(lease.job(), &moved);
    };
    std::thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        let moved = &moved;
        scope.spawn(move || {
            let mut before = 0;
            while is_done.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let now = moved.bytes.load(Ordering::Relaxed);
                // Who hangs loses the layer to somebody else; who was asked to wait does not.
                if now != before || reader.is_held_back(lease.job()) {
                    lease.progress();
                }
                before = now;
            }
        });
        let verdict = reader.layer(lease.job(), moved);
        drop(done);
        verdict
    })
}

impl Reader<'_> {
    fn is_over(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Whether a registry of the job asked to be left alone for now.
    fn is_held_back(&self, job: &Job) -> bool {
        let hosts = job.places.iter().map(|place| place.host.as_str());
        hosts
            .filter_map(|host| self.hosts.host(host).ok())
            .any(|host| host.session.is_held_back())
    }

    /// Reads one layer from wherever it can be had.
    pub(super) fn layer(&self, job: &Job, progress: &dyn Progress) -> Verdict {
        let mut loss = Loss::lasting("not-found", "no repository has it any more");
        for place in &job.places {
            let read = survived(|| self.read_from(place, job, progress));
            if self.is_over() {
                return Verdict::Returned;
            }
            match read.and_then(|read| read) {
                Ok(reading) => return Verdict::Read(reading),
                Err(why) => loss = why,
            }
        }
        Verdict::Lost(loss)
    }

    /// Reads it from one repository. *Errors*: where it cannot be had there.
    fn read_from(&self, place: &Place, job: &Job, progress: &dyn Progress) -> Result<Reading, Loss> {
        let blob = self
            .hosts
            .source(&place.host, &place.repository)
            .and_then(|source| {
                let descriptor = job
                    .size
                    .map(|size| Descriptor::new(&job.media_type, job.digest.clone(), size));
                source.blob(&BlobKey::Digest(job.digest.clone()), descriptor.as_ref())
            });
        let mut blob = blob.map_err(|error| Loss {
            reason: error.reason().to_owned(),
            why: error.with_causes(),
            passing: may_pass(&error),
        })?;
        let claims = Claims {
            digest: job.digest.algorithm().unwrap_or(Algorithm::Sha256),
            diff_id: None,
            size: job.size,
        };
        let record = (self.read)(&mut *blob, claims, &Told(progress));
        self.judged(&job.digest, &record)
    }

    /// What a record is worth. *Errors*: where the blob did not come as it is.
    fn judged(&self, digest: &Digest, record: &LayerRecord) -> Result<Reading, Loss> {
        let skip = record
            .skips
            .iter()
            .find(|skip| skip.severeness == Severeness::Incomplete);
        if digest.algorithm().is_some() && record.digest != *digest {
            let passing = skip.filter(|_| !record.complete);
            return Err(match passing {
                Some(skip) => Loss {
                    passing: true,
                    ..Loss::lasting(skip.reason, &skip.detail)
                },
                None => Loss::lasting(
                    "digest-mismatch",
                    &format!(
                        "expected `{digest}`, read `{}` after {}",
                        record.digest,
                        text::counted(record.stored_bytes, "byte")
                    ),
                ),
            });
        }
        let packed = record
            .to_bytes(self.rules)
            .map_err(|error| Loss::lasting("internal", &error.to_string()))?;
        Ok(Reading {
            whole: skip.is_none() && record.complete,
            bytes_in: record.stored_bytes,
            bytes_out: record.decoded_bytes,
            entries: record.framing.entries,
            gap: skip.map(|skip| (skip.reason.to_owned(), skip.detail.clone())),
            record: packed,
            literals: record.seen.clone(),
        })
    }
}

/// Whether another worker, with a network and logins of its own, might have what this one could not.
fn may_pass(error: &SourceError) -> bool {
    matches!(
        error,
        SourceError::Io { .. }
            | SourceError::Refused { .. }
            | SourceError::Status { .. }
            | SourceError::Unreachable { .. }
            | SourceError::Unusable { .. }
    )
}

/// Counts what passes.
struct Moved<'m> {
    bytes: AtomicU64,
    to: &'m dyn Progress,
}

impl Progress for Moved<'_> {
    fn stored(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.to.stored(bytes);
    }
    fn decoded(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.to.decoded(bytes);
    }
}

/// Hands on how much was read.
struct Told<'t>(&'t dyn Progress);

impl Progress for Told<'_> {
    fn stored(&self, bytes: u64) {
        self.0.stored(bytes);
    }
    fn decoded(&self, bytes: u64) {
        self.0.decoded(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::layer::Silent;
    use crate::source::registry::{Pace, RegistryOptions};

    /// A registry that answers every request with the same few bytes.
    fn registry() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nblob");
            }
        });
        host
    }

    #[test]
    fn a_panic_over_a_layer_is_the_loss_of_that_layer() {
        let hosts = Hosts::new(RegistryOptions::default(), Pace::default());
        let cancelled = AtomicBool::new(false);
        let reader = Reader {
            hosts: &hosts,
            read: &|_, _, _| panic!("as the test asked"),
            rules: "",
            cancelled: &cancelled,
        };
        let place = |repository: &str| Place {
            host: registry(),
            repository: repository.to_owned(),
        };
        let job = Job {
            digest: Digest::of(b"blob"),
            size: Some(4),
            media_type: String::new(),
            places: vec![place("app"), place("copy")],
        };
        let Verdict::Lost(loss) = reader.layer(&job, &Silent) else {
            panic!("it was not read");
        };
        assert_eq!((&*loss.reason, loss.passing), ("panic", false));
    }
}
