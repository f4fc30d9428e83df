//! `layersift man [DIR]`: the command tree as manual pages in roff. Installs nothing.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::args::{Args, ManArgs};
use super::exit::Exit;

pub(super) fn run(args: &ManArgs) -> anyhow::Result<Exit> {
    match &args.folder {
        Some(folder) => write_all(folder)
            .with_context(|| format!("cannot write manual pages into `{}`", folder.display()))?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command())
                .render(&mut page)
                .and_then(|()| std::io::stdout().write_all(&page))
                .context("cannot write to standard output")?;
        }
    }
    Ok(Exit::Clean)
}

/// Writes `layersift.1` and a page for each command, `layersift-scan.1` and so on. Pages that are there are replaced.
fn write_all(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command(), folder)
}

/// The command tree without `help`, of which there is no page.
fn command() -> clap::Command {
    Args::command().disable_help_subcommand(true)
}
