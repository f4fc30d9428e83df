//! Everything layersift says on standard error. Nothing else writes there.
#![expect(clippy::print_stderr, reason = "the one place that does")]

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use super::args::{ColorChoice, OutputArgs};
use super::exit::Exit;

/// Writes errors, warnings and notes.
pub(super) struct Messages {
    quiet: bool,
    color: bool,
}

impl Messages {
    pub(super) fn new(output: &OutputArgs) -> Self {
        Self {
            quiet: output.quiet,
            color: colored(output.color, std::io::stderr().is_terminal()),
        }
    }

    /// Before it is known what was asked for.
    pub(super) fn plain() -> Self {
        Self {
            quiet: false,
            color: false,
        }
    }

    /// Prints an error with its causes, one line each, and a hint where there is a next step. Never silenced.
    pub(super) fn error(&self, error: &anyhow::Error) {
        eprintln!("{} {error}", self.label("error:", "31"));
        let mut last = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !last.contains(&cause) {
                eprintln!("  caused by: {cause}");
            }
            last = cause;
        }
        if let Some(hint) = error.chain().find_map(hint) {
            self.hint(hint);
        }
    }

    /// Whether only errors are wanted.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(super) fn hint(&self, text: impl Display) {
        eprintln!("{} {text}", self.label("hint:", "36"));
    }

    pub(super) fn warning(&self, text: impl Display) {
        if !self.quiet {
            eprintln!("{} {text}", self.label("warning:", "33"));
        }
    }

    pub(super) fn note(&self, text: impl Display) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Turns on what the program tells its developers.
    pub(super) fn trace(&self, verbose: u8) {
        let level = match verbose {
            0 => return,
            1 => "layersift=info",
            2 => "layersift=debug",
            _ => "layersift=trace",
        };
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(level))
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .try_init();
    }

    fn label(&self, text: &str, color: &str) -> String {
        if self.color {
            format!("\u{1b}[1;{color}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A next step for whoever meets this error.
fn hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use crate::policy::{baseline::BaselineError, digests::DigestError, file::PolicyError};
    if let Some(error) = error.downcast_ref::<crate::sweep::StateError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<PolicyError>() {
        return error.hint.clone();
    }
    let hint = error.downcast_ref::<BaselineError>().map(BaselineError::hint);
    if let Some(hint) = hint.or(error.downcast_ref::<DigestError>().map(DigestError::hint)) {
        return Some(hint.to_owned());
    }
    if let Some(error) = error.downcast_ref::<crate::github::UploadError>() {
        return error.hint();
    }
    error
        .downcast_ref::<crate::source::SourceError>()
        .and_then(crate::source::SourceError::hint)
}

/// Whether to use colour: as asked, else on terminals unless `NO_COLOR` is set (no-color.org).
pub(super) fn colored(choice: ColorChoice, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// Prints what clap says of a wrong command line, or the help that was asked for.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        ExitCode::SUCCESS
    }
}

/// Prints the version with the hash of the built-in rules: two reports of the same hash were made by the same means.
///
/// Not left to clap, which would want the text, and with it all rules, at the start of every command.
#[expect(clippy::print_stdout, reason = "what was asked for is no message")]
pub(super) fn version() -> ExitCode {
    let rules = crate::rules::RuleSet::builtin();
    println!("layersift {} (rules {})", env!("CARGO_PKG_VERSION"), rules.hash());
    ExitCode::SUCCESS
}

/// Panics say where they happened and nothing else: a panic's text could hold bytes of an image.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        eprintln!("error: internal error at `{place}`");
        eprintln!("hint: report it at {}/issues", env!("CARGO_PKG_REPOSITORY"));
    }));
}
