//! `layersift show FINGERPRINT --in REPORT`: one finding of a report that was written before. Does not open the image
//! again; `layersift cat` does.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;

use super::args::{OutputArgs, ShowArgs};
use super::exit::Exit;
use super::messages::colored;
use super::scan::terminal_width;
use crate::finding::{Fingerprint, Reveal};
use crate::report::human;
use crate::report::json::{self, ReadError};
use crate::report::{self, Settings, wire};
use crate::rules::RuleSet;
use crate::text;

/// Prints the finding, its secrets redacted.
pub(super) fn run(args: &ShowArgs, output: &OutputArgs) -> anyhow::Result<Exit> {
    let name = args.report.display();
    let report = std::fs::read(&args.report).with_context(|| format!("cannot read the report `{name}`"))?;
    let mut stdout = std::io::stdout().lock();
    let rules = report::notes(&RuleSet::builtin());
    let settings = Settings {
        rules: &rules,
        width: terminal_width(),
        colour: colored(output.color, stdout.is_terminal()),
        sarif: Default::default(),
    };
    let text = show(&report, &args.fingerprint, Reveal::Redacted, &settings)
        .with_context(|| format!("cannot show a finding of `{name}`"))?;
    stdout
        .write_all(text.as_bytes())
        .context("cannot write to standard output")?;
    Ok(Exit::Clean)
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The report cannot be read.
    #[error("cannot read the report")]
    Read(#[source] ReadError),
    /// No finding of the report has a fingerprint that begins so.
    #[error("no finding of the report begins with `{}`", text::escape(prefix.as_bytes()))]
    NotFound {
        /// What was asked for.
        prefix: String,
    },
    /// Several do.
    #[error(
        "`{}` fits {} findings: {}",
        text::escape(prefix.as_bytes()),
        matches.len(),
        listed(matches)
    )]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// The fingerprints that begin so, each once, in order.
        matches: Vec<Fingerprint>,
    },
}

/// The text for the finding whose fingerprint begins with `prefix`, with or without its scheme (`ls1:`).
///
/// Secrets are redacted even where the report shows them, unless `reveal` says otherwise.
pub fn show(
    report: &[u8],
    prefix: &str,
    reveal: Reveal,
    settings: &Settings<'_>,
) -> Result<String, ShowError> {
    let mut report = json::read(report).map_err(ShowError::Read)?;
    if reveal == Reveal::Redacted {
        report.redact();
    }
    let findings = find(&report, prefix)?;
    let texts: Vec<String> = findings
        .into_iter()
        .map(|finding| human::render_finding(&report, finding, settings))
        .collect();
    Ok(texts.join("\n"))
}

/// The findings of the one fingerprint that begins with `prefix`.
fn find<'a>(report: &'a wire::Report, prefix: &str) -> Result<Vec<&'a wire::Finding>, ShowError> {
    let fits = |fingerprint: &Fingerprint| {
        let digits = fingerprint.0.split_once(':').map_or("", |(_, digits)| digits);
        fingerprint.0.starts_with(prefix) || digits.starts_with(prefix)
    };
    let findings: Vec<&wire::Finding> = report
        .findings
        .iter()
        .filter(|finding| fits(&finding.fingerprint))
        .collect();
    let mut matches: Vec<Fingerprint> = findings.iter().map(|f| f.fingerprint.clone()).collect();
    matches.sort();
    matches.dedup();
    let prefix = prefix.to_owned();
    match matches.len() {
        0 => Err(ShowError::NotFound { prefix }),
        1 => Ok(findings),
        _ => Err(ShowError::Ambiguous { prefix, matches }),
    }
}

fn listed(fingerprints: &[Fingerprint]) -> String {
    const MOST: usize = 10;
    let shown: Vec<String> = fingerprints
        .iter()
        .take(MOST)
        .map(|fingerprint| format!("`{}`", text::escape(fingerprint.0.as_bytes())))
        .collect();
    let more = fingerprints.len().saturating_sub(MOST);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}
