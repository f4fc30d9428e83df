//! `layersift scan-layer`: the layers of a shard into sealed records, a file each. Knows no state and asks for no list.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use super::args::{ReadArgs, ScanLayerArgs};
use super::exit::Exit;
use super::interrupt::Interrupt;
use super::messages::Messages;
use super::scan::{chosen, load_rules};
use super::sweep::{key_from_elsewhere, serve};
use super::work::Work;
use crate::layer::Silent;
use crate::oci::{Digest, Reference};
use crate::sweep::{Apart, Job, Metrics, Outcome, Place, Shard, Stage, Tell as _, Verdict, whole};
use crate::text;

/// What the names of records end with.
pub(super) const ENDING: &str = "layer";

pub(super) fn run(args: &ScanLayerArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let interrupt = Interrupt::default();
    let worker = worker(&args.read, &interrupt, messages)?;
    let terms = worker.terms();
    let mut jobs = match shard_file(args)? {
        Some(path) => Shard::read(&path, &terms)?.jobs,
        None => vec![one_layer(&args.target)?],
    };
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make `{}`", args.out.display()))?;
    let of = jobs.len();
    jobs.retain(|job| {
        let Ok(bytes) = std::fs::read(record_file(&args.out, &job.digest)) else {
            return true;
        };
        let known = Outcome::from_bytes(&bytes, &terms, &worker.sealer);
        !known.is_ok_and(|outcome| matches!(outcome.verdict, Verdict::Read(_)))
    });
    let known = of - jobs.len();
    if known > 0 {
        messages.note(format!("{known} of {of} layers were read before"));
    }
    let (mut read, mut lost) = (0, 0);
    let metrics = Metrics::new(&Silent);
    let _server = serve(&metrics, args.read.work.metrics)?;
    worker.read(jobs, &metrics, |outcome| {
        match &outcome.verdict {
            Verdict::Lost(loss) => {
                lost += 1;
                messages.warning(format!("layer {}: {}", outcome.digest, loss.why));
            }
            Verdict::Read(reading) => {
                read += 1;
                if let Some((_, why)) = &reading.gap {
                    messages.warning(format!("layer {}: {why}", outcome.digest));
                }
            }
            Verdict::Returned => return Ok(()),
        }
        metrics.step(Stage::Layers, (known + read + lost) as u64, of as u64);
        let path = record_file(&args.out, &outcome.digest);
        whole(&path, &outcome.to_bytes(&terms)).with_context(|| format!("cannot write `{}`", path.display()))
    })??;
    writeln!(
        std::io::stdout().lock(),
        "{read} layers read, {known} known, {lost} could not be had, {} left",
        of - known - read - lost
    )?;
    if let Some(signal) = interrupt.signal() {
        return Ok(Exit::Interrupted(signal));
    }
    Ok(match known + read == of {
        true => Exit::Clean,
        false => Exit::Incomplete,
    })
}

/// Whoever reads layers as the options ask for it, watched for signals.
pub(super) fn worker(args: &ReadArgs, interrupt: &Interrupt, messages: &Messages) -> anyhow::Result<Apart> {
    let rules = Arc::new(chosen(load_rules(&args.rules)?, false, messages));
    let key = key_from_elsewhere(args.fingerprint_key_file.as_deref())?;
    let work = Work::begin(&args.work, rules, key, interrupt)?;
    Ok(Apart {
        scan: work.scan,
        sealer: work.sealer,
        registry: work.registry,
        pace: work.pace,
        parallel: work.parallel,
        limits: work.limits,
        cancelled: Arc::clone(&interrupt.cancelled),
    })
}

/// The shard that is asked for; nothing where a layer is.
fn shard_file(args: &ScanLayerArgs) -> anyhow::Result<Option<PathBuf>> {
    let path = Path::new(&args.target);
    if path.is_dir() {
        let number = args.shard.ok_or_else(|| {
            anyhow!(
                "which shard of `{}`? Give --shard N or JOB_COMPLETION_INDEX",
                path.display()
            )
        })?;
        return Ok(Some(Shard::file(path, number)));
    }
    Ok(path.is_file().then(|| path.to_path_buf()))
}

/// A layer by the digest of its blob: `HOST/REPOSITORY@DIGEST`.
fn one_layer(target: &str) -> anyhow::Result<Job> {
    let shown = || crate::source::printable(target);
    let reference = Reference::parse(target)
        .map_err(|error| anyhow!(error.reason).context(format!("`{}` is no shard and no layer", shown())))?;
    let Some(digest) = reference.digest() else {
        bail!("`{}` is no shard and no layer: a layer has a digest", shown());
    };
    Ok(Job {
        digest: Digest::parse(digest).with_context(|| format!("`{}` is no layer", shown()))?,
        size: None,
        media_type: String::new(),
        places: vec![Place {
            host: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
        }],
    })
}

/// The file of a record.
fn record_file(folder: &Path, digest: &Digest) -> PathBuf {
    let name = text::escape(digest.as_str().as_bytes()).replace([':', '/', '\\'], "-");
    folder.join(format!("{name}.{ENDING}"))
}
