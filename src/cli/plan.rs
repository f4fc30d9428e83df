//! `layersift plan`: lists and manifests into a state, and the layers that are to be read into shards. Reads no layer.

use std::io::Write as _;

use anyhow::Context as _;

use super::args::PlanArgs;
use super::exit::Exit;
use super::interrupt::Interrupt;
use super::messages::Messages;
use super::progress::teller;
use super::sweep::{prepared, serve};
use crate::sweep::{Metrics, Shard, SweepError};
use crate::text;

pub(super) fn run(args: PlanArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let interrupt = Interrupt::default();
    let sweep = prepared(&args.run, true, &interrupt, messages)?;
    let state = sweep.open(&args.run.state)?;
    let told = teller(messages);
    let metrics = Metrics::new(&*told);
    let _server = serve(&metrics, args.run.work.metrics)?;
    let planned = sweep.plan(state, &metrics);
    drop(metrics);
    drop(told);
    let (summary, jobs) = match planned {
        Ok(planned) => planned,
        Err(SweepError::Registry(error)) => return Err(anyhow::Error::new(error).context("cannot plan")),
        Err(error) => return Err(error.into()),
    };
    if let Some(signal) = interrupt.signal() {
        return Ok(Exit::Interrupted(signal));
    }
    if interrupt.is_over() {
        messages.warning("the plan was ended before it was done; the same command goes on with it");
        return Ok(Exit::Incomplete);
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make `{}`", args.out.display()))?;
    let terms = sweep.terms();
    for shard in Shard::deal(jobs, args.shards) {
        shard.write(&args.out, &terms)?;
    }
    writeln!(
        std::io::stdout().lock(),
        "{} layers to read, {}, in {} shards; lists and manifests took {} requests",
        summary.left.0,
        text::bytes(summary.left.1),
        args.shards,
        summary.counts.all()
    )?;
    Ok(match summary.problems {
        0 => Exit::Clean,
        _ => Exit::Incomplete,
    })
}
