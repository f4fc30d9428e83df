//! `layersift worker`: reads layers for the sweeps that coordinate on a queue, until it is told to stop. Keeps nothing.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::args::WorkerArgs;
use super::exit::Exit;
use super::interrupt::Interrupt;
use super::messages::Messages;
use super::queue::queue_options;
use super::scan_layer;
use super::sweep::serve;
use crate::layer::Progress;
use crate::sweep::{ApartError, Metrics, Tell};
use crate::text;

pub(super) fn run(args: &WorkerArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let interrupt = Interrupt::default();
    let worker = scan_layer::worker(&args.read, &interrupt, messages)?;
    let queue = queue_options(&args.queue, &args.queue_login)?;
    let bytes = Bytes::default();
    let metrics = Metrics::new(&bytes);
    let _server = serve(&metrics, args.read.work.metrics)?;
    let layers = match worker.serve(queue, args.idle, &metrics) {
        Ok(layers) => layers,
        Err(ApartError::Queue(error)) => return Err(anyhow::Error::new(error).context("cannot work")),
        Err(error) => return Err(error.into()),
    };
    writeln!(
        std::io::stdout().lock(),
        "{layers} layers read, {}",
        text::bytes(bytes.0.load(Ordering::Relaxed))
    )?;
    // To be told to stop is how a worker ends.
    Ok(Exit::Clean)
}

/// Counts what was read.
#[derive(Default)]
struct Bytes(AtomicU64);

impl Progress for Bytes {
    fn stored(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Tell for Bytes {}
