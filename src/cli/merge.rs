//! `layersift merge`: records that were read elsewhere into the state of their sweep. Asks no registry.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::args::MergeArgs;
use super::exit::Exit;
use super::interrupt::Interrupt;
use super::messages::Messages;
use super::progress::teller;
use super::scan::{chosen, load_rules};
use super::scan_layer::ENDING;
use super::sweep::{exit, key};
use super::work::scan_with;
use crate::limits::Limits;
use crate::source::registry::{Pace, RegistryOptions};
use crate::sweep::{Choice, Kind, MergeError, Outcome, State, Sweep};
use crate::text;

pub(super) fn run(args: &MergeArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let rules = Arc::new(chosen(load_rules(&args.rules)?, false, messages));
    let limits = Limits::with(&args.limit);
    // A state that is not there is not made here: what would be entered belongs to none of its sweeps.
    drop(State::read(&args.state)?);
    let key = key(&args.state, args.fingerprint_key_file.as_deref(), false, messages)?;
    let interrupt = Interrupt::default();
    let (scan, sealer) = scan_with(rules, &limits, key, &interrupt);
    interrupt.watch(None)?;
    let sweep = Sweep {
        scopes: Vec::new(),
        choice: Choice::new(&[], &[]).map_err(|why| anyhow::anyhow!(why))?,
        scan,
        sealer,
        limits,
        registry: RegistryOptions::default(),
        kind: Kind::Auto,
        pace: Pace::default(),
        parallel: 1,
        queue: None,
        recheck: false,
        referrers: false,
        cancelled: Arc::clone(&interrupt.cancelled),
    };
    let terms = sweep.terms();
    let files = files(&args.paths)?;
    let mut refused = 0;
    let outcomes = files.iter().filter_map(|path| {
        let outcome = std::fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| {
                Outcome::from_bytes(&bytes, &terms, &sweep.sealer).map_err(|error| error.to_string())
            });
        match outcome {
            Ok(outcome) => Some(Ok::<_, Infallible>(outcome)),
            Err(why) => {
                refused += 1;
                let path = text::escape(path.as_os_str().as_encoded_bytes());
                messages.warning(format!("refused `{path}`: {why}"));
                None
            }
        }
    });
    let told = teller(messages);
    let merged = sweep.merge(sweep.open(&args.state)?, outcomes, &*told);
    drop(told);
    let merged = match merged {
        Ok(merged) => merged,
        Err(MergeError::Outcomes(never)) => match never {},
        Err(MergeError::Sweep(error)) => return Err(error.into()),
    };
    writeln!(
        std::io::stdout().lock(),
        "{} layers merged, {} could not be had, {} known, {refused} refused, {} left",
        merged.layers,
        merged.lost,
        merged.known,
        merged.left
    )?;
    if let Some(signal) = interrupt.signal() {
        return Ok(Exit::Interrupted(signal));
    }
    let told = exit(&State::read(&args.state)?)?;
    Ok(match (refused, told) {
        (0, told) => told,
        (_, Exit::Findings | Exit::IncompleteWithFindings) => Exit::IncompleteWithFindings,
        _ => Exit::Incomplete,
    })
}

/// The files that are named, and those of records in folders that are, by their names.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let unreadable = || format!("cannot read `{}`", path.display());
        match path.is_dir() {
            true => {
                let mut of_folder = Vec::new();
                for entry in std::fs::read_dir(path).with_context(unreadable)? {
                    let path = entry.with_context(unreadable)?.path();
                    let ending = path.extension().map(Path::new);
                    if ending == Some(Path::new(ENDING)) {
                        of_folder.push(path);
                    } else if path.is_dir() {
                        of_folder.extend(self::files(std::slice::from_ref(&path))?);
                    }
                }
                of_folder.sort();
                files.extend(of_folder);
            }
            false => files.push(path.clone()),
        }
    }
    Ok(files)
}
