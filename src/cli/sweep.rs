//! `layersift sweep`: sweeps, says how far it is, and writes what a state holds as reports.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;

use super::args::{
    OutputArgs, RegistryArgs, SweepArgs, SweepCommand, SweepReportArgs, SweepRunArgs, SweepStatusArgs,
};
use super::exit::Exit;
use super::interrupt::Interrupt;
use super::login;
use super::messages::{Messages, colored};
use super::progress::teller;
use super::queue::queue_options;
use super::scan::{FINGERPRINT_KEY, chosen, load_rules, terminal_width};
use super::summary;
use super::work::Work;
use crate::finding::{Fingerprinter, Reveal};
use crate::oci::PlatformSelector;
use crate::policy::Policy;
use crate::report::{self, Output, Settings, sarif};
use crate::scan::Scan;
use crate::source::registry::{Pace, RegistryOptions};
use crate::sweep::answer::{ImageFindings, Missing};
use crate::sweep::{Choice, Halt, Metrics, QueueOptions, Scope, Server, State, Summary, Sweep, SweepError};
use crate::text;
use crate::text::secret::Sealer;

/// Bytes of a key that is made here.
const KEY_BYTES: usize = 32;

pub(super) fn run(args: SweepArgs, output: &OutputArgs, messages: &Messages) -> anyhow::Result<Exit> {
    match args.command {
        Some(SweepCommand::Report(report)) => write_report(&report, output, messages),
        Some(SweepCommand::Status(status)) => print_status(&status),
        None => sweep(args, messages),
    }
}

fn sweep(args: SweepArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let queue = match &args.queue {
        None => None,
        Some(server) => Some(QueueOptions {
            lease: args.lease,
            deaths: args.max_deaths,
            replicas: args.queue_replicas,
            ..queue_options(server, &args.queue_login)?
        }),
    };
    let SweepArgs {
        dry_run, run: args, ..
    } = args;
    if dry_run && !args.state.exists() {
        messages.note("there is no state yet: everything would be read");
    }
    let interrupt = Interrupt::default();
    let sweep = Sweep {
        queue,
        ..prepared(&args, !dry_run, &interrupt, messages)?
    };
    let state = match dry_run && !args.state.exists() {
        true => State::in_memory(&crate::sweep::key_check(&sweep.sealer)),
        false => sweep.open(&args.state),
    };
    let state = state?;
    if state.is_on_a_network() {
        messages.note(
            "the state is on a network file system: it is written more slowly there; a local one is better",
        );
    }
    let told = teller(messages);
    let metrics = Metrics::new(&*told);
    let _server = serve(&metrics, args.work.metrics)?;
    let swept = sweep.run(state, dry_run, &metrics);
    // What was shown is gone before the summary stands there.
    drop(metrics);
    drop(told);
    let summary = match swept {
        Ok(summary) => summary,
        Err(SweepError::Registry(error)) => return Err(anyhow::Error::new(error).context("cannot sweep")),
        Err(SweepError::Queue(error)) => return Err(anyhow::Error::new(error).context("cannot sweep")),
        Err(error) => return Err(error.into()),
    };
    let mut out = std::io::stdout().lock();
    if dry_run {
        writeln!(
            out,
            "would read {} layers by {} requests, {}; it took {} requests for lists, digests, manifests and configurations, \
             which the sweep repeats",
            summary.left.0,
            summary.left.0,
            text::bytes(summary.left.1),
            summary.counts.all()
        )?;
        return Ok(match summary.problems {
            0 => Exit::Clean,
            _ => Exit::Incomplete,
        });
    }
    let state = State::read(&args.state)?;
    tell(&mut out, &state, &summary)?;
    if let Some(signal) = interrupt.signal() {
        return Ok(Exit::Interrupted(signal));
    }
    if summary.halt == Halt::Stopped {
        messages.warning("the sweep was ended before it was done; the same command goes on with it");
        return Ok(match state.has_findings()? {
            true => Exit::IncompleteWithFindings,
            false => Exit::Incomplete,
        });
    }
    exit(&state)
}

/// A sweep as the options ask for it, watched for signals.
pub(super) fn prepared(
    args: &SweepRunArgs,
    may_make_key: bool,
    interrupt: &Interrupt,
    messages: &Messages,
) -> anyhow::Result<Sweep> {
    let scopes = scopes(&args.targets)?;
    let rules = Arc::new(chosen(load_rules(&args.rules)?, false, messages));
    let key = key(
        &args.state,
        args.fingerprint_key_file.as_deref(),
        may_make_key,
        messages,
    )?;
    let mut choice = Choice::new(&args.repository, &args.tag).map_err(|why| anyhow!(why))?;
    choice.newest = args.newest;
    choice.pushed_since = args.pushed_since;
    choice.max_layer = args.max_layer;
    if !args.platform.is_empty() {
        choice.platforms = PlatformSelector::Only(args.platform.clone());
    }
    let Work {
        scan,
        sealer,
        limits,
        registry,
        pace,
        parallel,
    } = Work::begin(&args.work, rules, key, interrupt)?;
    Ok(Sweep {
        scopes,
        choice,
        scan,
        sealer,
        limits,
        registry,
        kind: args.kind,
        pace: Pace {
            floor: args.keep_pulls,
            ..pace
        },
        parallel,
        queue: None,
        recheck: !args.no_recheck,
        referrers: args.referrers,
        cancelled: Arc::clone(&interrupt.cancelled),
    })
}

/// What a state says of what it holds.
pub(super) fn exit(state: &State) -> anyhow::Result<Exit> {
    let images = state.progress()?.map_or(0, |progress| progress.images);
    Ok(match (state.is_complete()?, state.has_findings()?) {
        (true, false) => Exit::Clean,
        (true, true) => Exit::Findings,
        (false, true) => Exit::IncompleteWithFindings,
        (false, false) if images == 0 => Exit::Unresolved,
        (false, false) => Exit::Incomplete,
    })
}

fn tell(out: &mut impl std::io::Write, state: &State, summary: &Summary) -> anyhow::Result<()> {
    let Some(progress) = state.progress()? else {
        return Ok(());
    };
    let counts = summary.counts;
    writeln!(
        out,
        "sweep {}: {}",
        summary.sweep,
        match summary.halt {
            Halt::Done => "done",
            Halt::Stopped => "not done",
        }
    )?;
    writeln!(
        out,
        "  {} repositories, {} tags, {} images",
        progress.repositories, progress.tags, progress.images
    )?;
    writeln!(
        out,
        "  {} layers read now ({}), {} in all, {} left",
        summary.layers,
        text::bytes(summary.stored_bytes),
        progress.layers_read,
        progress.layers_left
    )?;
    writeln!(
        out,
        "  {} requests: {} lists, {} digests, {} manifests, {} blobs",
        counts.all(),
        counts.lists,
        counts.heads,
        counts.manifests,
        counts.blobs
    )?;
    writeln!(
        out,
        "  {}, {} not read",
        text::counted(progress.secrets.cast_unsigned(), "secret"),
        text::counted(progress.problems.cast_unsigned(), "thing")
    )?;
    Ok(())
}

/// The targets, those in files included.
fn scopes(targets: &[String]) -> anyhow::Result<Vec<Scope>> {
    let mut scopes = Vec::new();
    for target in targets {
        let texts = match Path::new(target).is_file() {
            true => std::fs::read_to_string(target).with_context(|| format!("cannot read `{target}`"))?,
            false => target.clone(),
        };
        let lines = texts.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            scopes.push(Scope::parse(line)?);
        }
    }
    if scopes.is_empty() {
        bail!("there is nothing to sweep");
    }
    scopes.sort();
    scopes.dedup();
    Ok(scopes)
}

/// The key of a state: as given, or beside it, where it is made with the state.
pub(super) fn key(
    state: &Path,
    file: Option<&Path>,
    may_make: bool,
    messages: &Messages,
) -> anyhow::Result<Vec<u8>> {
    let given = given_key(file)?;
    let beside = {
        let mut name = state.as_os_str().to_owned();
        name.push(".key");
        PathBuf::from(name)
    };
    let key = match given {
        Some(key) => key,
        None => match std::fs::read(&beside) {
            Ok(key) => key,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot read the key `{}`", beside.display()));
            }
            Err(_) if state.exists() => bail!(
                "the key of the state is missing: `{}` is not there, and neither --fingerprint-key-file nor {} is given",
                beside.display(),
                FINGERPRINT_KEY
            ),
            Err(_) => {
                let key = made_key()?;
                if may_make {
                    write_key(&beside, &key)
                        .with_context(|| format!("cannot write the key `{}`", beside.display()))?;
                    messages.note(format!(
                        "made the key `{}`: keep it with the state, and away from who may read the state only",
                        beside.display()
                    ));
                }
                key
            }
        },
    };
    long_enough(&key)
}

/// The key in a folder; one is made where there is none.
pub(super) fn key_in(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let path = folder.join("key");
    match std::fs::read(&path) {
        Ok(key) => long_enough(&key),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = made_key()?;
            match write_key(&path, &key) {
                // Another scan was faster.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    long_enough(&std::fs::read(&path)?)
                }
                written => written.map(|()| key).map_err(Into::into),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// The key of a sweep that is elsewhere.
pub(super) fn key_from_elsewhere(file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let key = given_key(file)?.ok_or_else(|| {
        anyhow!("the key of the sweep is missing: give --fingerprint-key-file or {FINGERPRINT_KEY}")
    })?;
    long_enough(&key)
}

fn given_key(file: Option<&Path>) -> anyhow::Result<Option<Vec<u8>>> {
    Ok(match file {
        Some(path) => Some(
            std::fs::read(path)
                .with_context(|| format!("cannot read the fingerprint key `{}`", path.display()))?,
        ),
        None => std::env::var_os(FINGERPRINT_KEY).map(|key| key.into_encoded_bytes()),
    })
}

fn long_enough(key: &[u8]) -> anyhow::Result<Vec<u8>> {
    let key = key.trim_ascii_end().to_vec();
    if key.len() < 16 {
        bail!(
            "the fingerprint key has {} bytes, and needs 16 or more",
            key.len()
        );
    }
    Ok(key)
}

fn made_key() -> anyhow::Result<Vec<u8>> {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; KEY_BYTES];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow!("this machine gives no random bytes"))?;
    Ok(text::hex(&bytes).into_bytes())
}

fn write_key(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(key)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Answers who asks for numbers, where that was asked for.
pub(super) fn serve(metrics: &Metrics<'_>, address: Option<SocketAddr>) -> anyhow::Result<Option<Server>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let server = metrics
        .serve(address)
        .with_context(|| format!("cannot answer at `{address}`"))?;
    Ok(Some(server))
}

fn print_status(args: &SweepStatusArgs) -> anyhow::Result<Exit> {
    let state = State::read(&args.state)?;
    let progress = state
        .progress()?
        .ok_or_else(|| anyhow!("nothing was swept yet"))?;
    let text = serde_json::to_string_pretty(&progress)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{text}")?;
    } else {
        let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)?;
        for (name, value) in values {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writeln!(out, "{:<14} {value}", name.replace('_', " "))?;
        }
    }
    Ok(Exit::Clean)
}

/// The summary of a state: what can be pulled now and what is in it.
#[derive(Serialize)]
struct Document<'d> {
    schema: &'static str,
    version: &'static str,
    complete: bool,
    images: &'d [ImageFindings],
    missing: &'d [Missing],
}

fn write_report(args: &SweepReportArgs, output: &OutputArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let state = State::read(&args.state)?;
    let mut images = Vec::new();
    state.images(|image| images.push(image))?;
    let missing = state.missing()?;
    let (name, folder) = match args.format.split_once('=') {
        Some((name, folder)) => (name, Some(folder)),
        None => (args.format.as_str(), None),
    };
    let mut out = std::io::stdout().lock();
    match (name, folder) {
        ("json", None) => {
            let document = Document {
                schema: "layersift.sweep/1",
                version: env!("CARGO_PKG_VERSION"),
                complete: state.is_complete()?,
                images: &images,
                missing: &missing,
            };
            serde_json::to_writer_pretty(&mut out, &document)?;
            writeln!(out)?;
        }
        ("html", None) => summary::html(&mut out, &images, &missing)?,
        ("markdown", None) => summary::markdown(&mut out, &images, &missing)?,
        ("sarif", Some(folder)) => {
            let rules = Arc::new(chosen(load_rules(&args.rules)?, false, messages));
            let key = key(&args.state, args.fingerprint_key_file.as_deref(), false, messages)?;
            let fingerprinter = Fingerprinter::keyed(key.clone());
            let sealer = fingerprinter.sealer(&key);
            if !state.is_of_key(&crate::sweep::key_check(&sealer))? {
                bail!("the state was made with another fingerprint key");
            }
            let scan = Scan::new(Arc::clone(&rules))
                .fingerprinter(fingerprinter)
                .sealer(sealer.clone());
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{folder}`"))?;
            for image in &images {
                write_sarif(image, &state, &scan, &sealer, Path::new(folder), output)?;
            }
        }
        _ => bail!(
            "`{}` is none of html, json, markdown, sarif=DIR/",
            text::escape(args.format.as_bytes())
        ),
    }
    exit(&state)
}

fn write_sarif(
    image: &ImageFindings,
    state: &State,
    scan: &Scan,
    sealer: &Sealer,
    folder: &Path,
    output: &OutputArgs,
) -> anyhow::Result<()> {
    let report = scan.assemble(vec![state.stored(image, scan, sealer)?]);
    let (report, verdict) = Policy::default().judge(report);
    let notes = report::notes(scan.rules());
    let settings = Settings {
        rules: &notes,
        width: terminal_width(),
        colour: colored(output.color, false) && std::io::stdout().is_terminal(),
        sarif: sarif::Options::default(),
    };
    let format = report::format("sarif").expect("the format is in the table");
    let digest = image.digest.replace(':', "-");
    let file = format!("{}@{digest}.sarif", image.repository.replace(['/', ':'], "_"));
    let mut sink = Output::path(&folder.join(file), Reveal::Redacted);
    (format.reporter)(settings)
        .write(&report, &verdict, Reveal::Redacted, &mut sink)
        .context("cannot write the sarif report")
}

/// How registries are spoken to, for questions that ask them.
pub(super) fn registry_options(args: &RegistryArgs, is_taken: bool) -> anyhow::Result<RegistryOptions> {
    login::options(args, is_taken)
}
