//! What sweeps, workers and readers of shards take from the same options: a scan whose records are kept, and how registries
//! are spoken to. Reads no layer.

use std::sync::Arc;
use std::time::Duration;

use super::args::WorkArgs;
use super::interrupt::Interrupt;
use super::login;
use crate::finding::Fingerprinter;
use crate::limits::Limits;
use crate::rules::RuleSet;
use crate::scan::Scan;
use crate::source::registry::{Pace, RegistryOptions};
use crate::text::secret::Sealer;

/// What is needed to read layers.
pub(super) struct Work {
    pub(super) scan: Scan,
    pub(super) sealer: Sealer,
    pub(super) limits: Limits,
    pub(super) registry: RegistryOptions,
    pub(super) pace: Pace,
    pub(super) parallel: usize,
}

impl Work {
    /// As the options ask for it, from now on watched for signals and for the end of its time.
    pub(super) fn begin(
        args: &WorkArgs,
        rules: Arc<RuleSet>,
        key: Vec<u8>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let limits = Limits::with(&args.limit);
        let (mut scan, sealer) = scan_with(rules, &limits, key, interrupt);
        if let Some(jobs) = args.jobs {
            scan = scan.jobs(jobs);
        }
        let registry = RegistryOptions {
            limits: limits.clone(),
            ..login::options(&args.registry, false)?
        };
        interrupt.watch(args.timeout)?;
        Ok(Self {
            scan,
            sealer,
            registry,
            pace: Pace {
                apart: args
                    .rate
                    .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate)),
                floor: 0,
            },
            parallel: args.parallel.unwrap_or(limits.downloads_per_host),
            limits,
        })
    }
}

/// A scan whose records can be kept, and what seals them.
pub(super) fn scan_with(
    rules: Arc<RuleSet>,
    limits: &Limits,
    key: Vec<u8>,
    interrupt: &Interrupt,
) -> (Scan, Sealer) {
    let fingerprinter = Fingerprinter::keyed(key.clone());
    let sealer = fingerprinter.sealer(&key);
    let scan = Scan::new(rules)
        .limits(limits.clone())
        .fingerprinter(fingerprinter)
        .sealer(sealer.clone())
        .cancelled(Arc::clone(&interrupt.cancelled));
    (scan, sealer)
}
