//! `layersift baseline`: a scan whose findings are named in a file.

use std::io::Write as _;

use anyhow::Context as _;

use super::args::{BaselineArgs, OutputArgs};
use super::exit::Exit;
use super::gate::Gating;
use super::messages::Messages;
use super::scan::{self, Executed, Prepared};
use crate::finding::Reveal;
use crate::policy::Baseline;
use crate::report::{Output, Sink as _};

pub(super) fn run(args: BaselineArgs, output: &OutputArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let without_report = args.scan.format.is_empty();
    let mut prepared = Prepared::new(args.scan, messages)?;
    if without_report {
        prepared.args.format.clear();
    }
    let key = prepared.fingerprinter.key_name();
    let gating = Gating::of_scan(&prepared)?;
    let Executed { report, exit, .. } = scan::execute(prepared, gating, output, messages)?;
    let exit = match exit {
        Exit::Clean | Exit::Findings => Exit::Clean,
        Exit::Incomplete | Exit::IncompleteWithFindings => {
            messages.warning(
                "not everything was scanned: the baseline names what was found, and there may be more",
            );
            Exit::Incomplete
        }
        nothing => return Ok(nothing),
    };
    let text = Baseline::write(&report, key);
    match args.output {
        Some(path) => Output::path(&path, Reveal::Redacted)
            .part("baseline.json", &mut |out| out.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write `{}`", path.display()))?,
        None => std::io::stdout()
            .write_all(text.as_bytes())
            .context("cannot write to standard output")?,
    }
    Ok(exit)
}
