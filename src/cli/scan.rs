//! `layersift scan`.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use super::args::{OutputArgs, ScanArgs};
use super::checkout;
use super::config;
use super::exit::Exit;
use super::gate::Gating;
use super::interrupt::Interrupt;
use super::login;
use super::messages::{Messages, colored};
use super::progress::Bars;
use super::sweep;
use super::upload::Uploader;
use crate::dockerfile;
use crate::finding::{Fingerprinter, Report, Reveal};
use crate::limits::Limits;
use crate::oci::PlatformSelector;
use crate::policy::{Policy, Verdict};
use crate::report::sarif::{self, Standing};
use crate::report::sink::Sink as _;
use crate::report::{self, Format, Output, Settings};
use crate::rules::{LoadError, Rule, RuleId, RuleSet};
use crate::scan::{Cache, Scan, Target};
use crate::source::registry::RegistryOptions;
use crate::source::{self, OpenOptions, Opened, SourceError};

/// The environment variable that holds the key of fingerprints.
pub(super) const FINGERPRINT_KEY: &str = "LAYERSIFT_FINGERPRINT_KEY";

/// Columns of a report that is not read on a terminal.
const PLAIN_WIDTH: usize = 100;

pub(super) fn run(args: ScanArgs, output: &OutputArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let prepared = Prepared::new(args, messages)?;
    let gating = Gating::of_scan(&prepared)?;
    Ok(execute(prepared, gating, output, messages)?.exit)
}

/// What a run needs before it is known what will be asked of its report.
pub(super) struct Prepared {
    pub(super) args: ScanArgs,
    pub(super) rules: Arc<RuleSet>,
    pub(super) fingerprinter: Fingerprinter,
}

/// What a run gave.
pub(super) struct Executed {
    pub(super) report: Report,
    pub(super) exit: Exit,
}

impl Prepared {
    pub(super) fn new(mut args: ScanArgs, messages: &Messages) -> anyhow::Result<Self> {
        config::apply(&mut args)?;
        if args.format.is_empty() {
            args.format.push("human".to_owned());
        }
        Ok(Self {
            rules: Arc::new(chosen(load_rules(&args.rules)?, args.slow_rules, messages)),
            fingerprinter: fingerprinter(args.fingerprint_key_file.as_deref())?,
            args,
        })
    }
}

/// Scans, judges and writes the reports.
pub(super) fn execute(
    prepared: Prepared,
    gating: Gating,
    output: &OutputArgs,
    messages: &Messages,
) -> anyhow::Result<Executed> {
    let Prepared {
        args,
        rules,
        fingerprinter,
    } = prepared;
    let policy = policy(&args, &rules)?;
    let reveal = if args.show_secrets {
        Reveal::Plain
    } else {
        Reveal::Redacted
    };
    let mut sinks = sinks(&args.format, reveal)?;
    if args.github.is_given() && !args.upload {
        bail!("`--github-repository`, `--commit`, `--ref`, `--checkout` and `--wait` are for `--upload`");
    }
    // That it cannot be uploaded is better told before the scan than after it.
    let uploader = match args.upload {
        true => Some(Uploader::new(&args.github, &args.registry.ca_cert)?),
        false => None,
    };
    let known = checkout::known(&args)?;
    let standing = checkout::standing(&args);
    let interrupt = Interrupt::default();
    let limits = Limits::with(&args.limit);
    let options = open_options(&args, gating.other_images(), &limits, &interrupt)?;
    interrupt.watch(args.timeout)?;
    let cache = match &args.cache {
        Some(folder) => Some(cache(folder, args.clear_cache, &rules, &limits, &fingerprinter)?),
        None => None,
    };
    let mut scan = Scan::new(Arc::clone(&rules))
        .limits(limits)
        .platforms(if args.platform.is_empty() {
            PlatformSelector::All
        } else {
            PlatformSelector::Only(args.platform)
        })
        .fingerprinter(fingerprinter)
        .trace_hidden(gating.traces_hidden())
        .cancelled(Arc::clone(&interrupt.cancelled));
    if let Some(jobs) = args.jobs {
        scan = scan.jobs(jobs);
    }
    if let Some(cache) = cache {
        scan = scan.cache(cache);
    }
    let bars = (!output.quiet && std::io::stderr().is_terminal()).then(|| Arc::new(Bars::new()));
    if let Some(bars) = &bars {
        scan = scan.watch(Arc::clone(bars) as _);
    }
    let target = |target: &String| Target {
        name: source::printable(target),
        repository: args.repository.clone(),
        opened: open(target, &options, messages),
    };
    // The earlier image, if there is one, is a report of its own.
    let groups = [
        Some(&args.targets[..]),
        gating.earlier().map(std::slice::from_ref),
    ];
    let groups = groups.into_iter().flatten();
    let mut reports = scan
        .run_each(groups.map(|targets| targets.iter().map(target).collect()))?
        .into_iter();
    if let Some(bars) = &bars {
        bars.finish();
    }
    if let Some(error) = scan.cache_trouble() {
        messages.warning(format!("not everything was kept in the cache: {error}"));
    }
    let mut report = reports.next().expect("a report for each group");
    let located = dockerfile::locate(&mut report, &known);
    let (report, verdict) = gating.judge(&policy, report, reports.next(), &options, messages);
    tell_failures(&report, messages);
    checkout::tell(&report, &known, &located, messages);
    if sinks.iter().any(|(format, _)| format.name == "sarif") && args.category.is_none() {
        tell_nameless(&report, messages);
    }
    let is_one_log = |(format, sink): &(&Format, Output)| format.name == "sarif" && !sink.is_divided();
    if let Some(text) = sarif::too_many_runs(&report).filter(|_| sinks.iter().any(is_one_log)) {
        messages.warning(format!("the sarif report: {text}"));
    }
    let tracked = (standing == Standing::File).then(|| checkout::tracked(&report));
    let has_sarif = uploader.is_some() || sinks.iter().any(|(format, _)| format.name == "sarif");
    let version_control = has_sarif.then(checkout::version_control).flatten();
    let placing = sarif::Options {
        standing,
        category: args.category.as_deref(),
        tracked: tracked.as_ref(),
        with_suppressed: args.sarif_suppressed,
        version_control: version_control.as_ref(),
    };
    let notes = report::notes(&rules);
    let mut is_lost = false;
    for (format, sink) in &mut sinks {
        let settings = Settings {
            rules: &notes,
            width: terminal_width(),
            colour: colored(output.color, std::io::stdout().is_terminal()),
            sarif: placing,
        };
        let written = (format.reporter)(settings).write(&report, &verdict, reveal, sink);
        match written {
            // Whoever read the report has seen enough; the verdict stands.
            Err(error) if report::sink::is_closed_pipe(&error) => {}
            Ok(()) => {}
            // The others are written all the same: the scan need not be repeated for them.
            Err(error) => {
                let error = anyhow::Error::new(error);
                messages.error(&error.context(format!("cannot write the {} report", format.name)));
                is_lost = true;
            }
        }
    }
    if let Some(uploader) = uploader.filter(|_| interrupt.signal().is_none()) {
        let settings = Settings {
            rules: &notes,
            width: PLAIN_WIDTH,
            colour: false,
            sarif: sarif::Options {
                with_suppressed: false,
                ..placing
            },
        };
        is_lost |= !uploader.upload(&report, &verdict, settings, messages);
    }
    let exit = if is_lost {
        Exit::Usage
    } else {
        exit(&verdict, &interrupt)
    };
    Ok(Executed { report, exit })
}

/// The cache in a folder, with the key that its records are sealed with beside them.
fn cache(
    folder: &Path,
    clears: bool,
    rules: &RuleSet,
    limits: &Limits,
    fingerprinter: &Fingerprinter,
) -> anyhow::Result<Cache> {
    let open = || -> anyhow::Result<Cache> {
        Cache::make(folder)?;
        let key = sweep::key_in(folder)?;
        if clears {
            Cache::clear(folder)?;
        }
        Ok(Cache::new(folder, rules, limits, fingerprinter.sealer(&key)))
    };
    open().with_context(|| format!("cannot use the cache `{}`", folder.display()))
}

/// Opens a target, and says which sources were passed over for it.
pub(super) fn open(target: &str, options: &OpenOptions, messages: &Messages) -> Result<Opened, SourceError> {
    let opened = source::open(target, options)?;
    for error in &opened.passed_over {
        let (name, instead) = (source::printable(target), opened.kind);
        messages.warning(format!(
            "{}; `{name}` is read from: {instead}",
            error.with_causes()
        ));
        if let Some(hint) = error.hint() {
            messages.hint(hint);
        }
    }
    Ok(opened)
}

fn exit(verdict: &Verdict, interrupt: &Interrupt) -> Exit {
    match interrupt.signal() {
        Some(signal) => Exit::Interrupted(signal),
        None => verdict.outcome().into(),
    }
}

/// What could not be read at all is said on standard error too: the report may go to a file.
fn tell_failures(report: &Report, messages: &Messages) {
    for target in &report.targets {
        if let Some(failure) = &target.failure {
            messages.error(&anyhow!("{failure}").context(format!("cannot scan `{}`", target.name)));
            if let Some(hint) = &target.hint {
                messages.hint(hint);
            }
        }
    }
    if report.interrupted {
        messages.warning("the scan was ended before everything was read: the report is partial");
    }
}

/// Alerts of an image without a name would be taken for those of the next one.
fn tell_nameless(report: &Report, messages: &Messages) {
    for target in &report.targets {
        let is_hex = |name: &str| name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let name = target.repository.trim_start_matches("sha256:");
        if target.failure.is_none() && (name == target.source || is_hex(name)) {
            messages.warning(format!(
                "`{}` has no name that stays: in code scanning its alerts replace those of any other such image",
                target.name
            ));
            messages.hint("name it with `--repository` or `--category`");
        }
    }
}

/// The built-in rules and those of `files`.
pub(super) fn load_rules(files: &[PathBuf]) -> anyhow::Result<RuleSet> {
    RuleSet::load(&read_rules(files)?).map_err(|error| listed(&error))
}

/// The rules without slow ones, unless those are wanted. Says what of their files is not as it was meant.
pub(super) fn chosen(rules: RuleSet, slow: bool, messages: &Messages) -> RuleSet {
    for note in rules.notes() {
        messages.warning(format!("{}:{}: {}", note.file, note.line, note.message));
    }
    if slow || !rules.rules().iter().any(Rule::is_slow) {
        return rules;
    }
    for rule in rules.rules().iter().filter(|rule| rule.is_slow()) {
        messages.warning(format!(
            "the rule `{}` is left out: no text leads to it; `--slow-rules` runs it",
            rule.id
        ));
    }
    rules.retain(|rule| !rule.is_slow())
}

/// Name and text of files of rules.
pub(super) fn read_rules(files: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let read = files.iter().map(|path| {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the rules `{}`", path.display()))?;
        Ok((path.display().to_string(), text))
    });
    read.collect()
}

/// Everything that is wrong with rules, a line for each.
pub(super) fn listed(error: &LoadError) -> anyhow::Error {
    let mut text = error.to_string();
    for problem in &error.problems {
        text.push_str(&format!(
            "\n  {}:{}: {}",
            problem.file, problem.line, problem.message
        ));
        if let Some(hint) = &problem.hint {
            text.push_str(&format!("\n    hint: {hint}"));
        }
    }
    anyhow!(text)
}

fn policy(args: &ScanArgs, rules: &RuleSet) -> anyhow::Result<Policy> {
    let ids = |names: &[String]| {
        names
            .iter()
            .map(|name| match rules.find(name) {
                Some(rule) => Ok(rule.id.clone()),
                None => bail!("no rule is called `{}`", crate::text::escape(name.as_bytes())),
            })
            .collect::<anyhow::Result<Vec<RuleId>>>()
    };
    let default = Policy::default();
    Ok(Policy {
        min_confidence: args.min_confidence.unwrap_or(default.min_confidence),
        min_severity: args.severity.unwrap_or(default.min_severity),
        statuses: args.status.clone(),
        include: args.include.clone(),
        exclude: args.exclude.clone(),
        rules: ids(&args.rule)?,
        no_rules: ids(&args.no_rule)?,
        strict: args.strict,
    })
}

/// The formats asked for and where each goes.
fn sinks(formats: &[String], reveal: Reveal) -> anyhow::Result<Vec<(&'static Format, Output)>> {
    let mut to_stdout = 0;
    let mut sinks = Vec::new();
    for text in formats {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name, Some(path)),
            None => (text.as_str(), None),
        };
        let format = report::format(name).with_context(|| {
            let names: Vec<&str> = report::TABLE.iter().map(|format| format.name).collect();
            format!(
                "no format is called `{}` (there are {})",
                crate::text::escape(name.as_bytes()),
                names.join(", ")
            )
        })?;
        let sink = match path {
            Some("") => bail!("`--format {text}` names no file"),
            Some(path) => {
                let folder = Path::new(path).parent().filter(|_| !path.ends_with('/'));
                // Told before the scan rather than after it.
                if folder.is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
                    bail!(
                        "cannot write `{}`: its folder does not exist",
                        crate::text::escape(path.as_bytes())
                    );
                }
                Output::path(Path::new(path), reveal)
            }
            None => {
                to_stdout += 1;
                Output::stream("standard output", Box::new(std::io::stdout()))
            }
        };
        sinks.push((format, sink));
    }
    if to_stdout > 1 {
        bail!("two reports cannot both go to standard output: give one a file with `--format FORMAT=FILE`");
    }
    Ok(sinks)
}

/// `others` are images that are opened besides the targets.
fn open_options<'a>(
    args: &'a ScanArgs,
    others: impl Iterator<Item = &'a String>,
    limits: &Limits,
    interrupt: &Interrupt,
) -> anyhow::Result<OpenOptions> {
    if args.registry.username.is_some() {
        one_registry(args.targets.iter().chain(others))?;
    }
    let stdin = args.targets.iter().any(|target| target == "-");
    Ok(OpenOptions {
        registry: RegistryOptions {
            referrers: args.referrers,
            limits: limits.clone(),
            ..login::options(&args.registry, stdin)?
        },
        from: args.from,
        limits: limits.clone(),
        cancelled: Arc::clone(&interrupt.cancelled),
        ..OpenOptions::default()
    })
}

/// Refuses targets in several registries: the password would go to all of them.
fn one_registry<'a>(targets: impl Iterator<Item = &'a String>) -> anyhow::Result<()> {
    let registries: BTreeSet<String> = targets
        .filter_map(|target| source::registry_of(target))
        .map(|registry| format!("`{}`", crate::text::escape(registry.as_bytes())))
        .collect();
    if registries.len() > 1 {
        let registries: Vec<String> = registries.into_iter().collect();
        bail!(
            "`--username` is for one registry, and these images are in {}: {}; scan them one by one, or store the \
             logins with `docker login`",
            registries.len(),
            registries.join(", ")
        );
    }
    Ok(())
}

fn fingerprinter(file: Option<&Path>) -> anyhow::Result<Fingerprinter> {
    let key = match file {
        Some(path) => {
            let key = std::fs::read(path)
                .with_context(|| format!("cannot read the fingerprint key `{}`", path.display()))?;
            Some(key.trim_ascii_end().to_vec())
        }
        None => std::env::var_os(FINGERPRINT_KEY).map(|key| key.into_encoded_bytes()),
    };
    match key {
        None => Ok(Fingerprinter::unkeyed()),
        // A short key could be found by trying, and with it every secret that can be guessed.
        Some(key) if key.len() < 16 => bail!(
            "the fingerprint key has {} bytes, and needs 16 or more",
            key.len()
        ),
        Some(key) => Ok(Fingerprinter::keyed(key)),
    }
}

/// The columns of the terminal a report is read on, or a fixed number where it is none.
pub(super) fn terminal_width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(PLAIN_WIDTH, |(width, _)| usize::from(width.0))
}
