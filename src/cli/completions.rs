//! `layersift completions SHELL`: the command tree as a script that the shell reads. Installs nothing.

use std::io::Write as _;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::args::{Args, CompletionsArgs};
use super::exit::Exit;

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "layersift", &mut script);
    std::io::stdout()
        .write_all(&script)
        .context("cannot write to standard output")?;
    Ok(Exit::Clean)
}
