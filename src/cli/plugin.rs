//! `docker layersift`: the Docker command line runs programs named `docker-NAME`, asks them what they are, and hands its own
//! arguments on. Turns those into layersift's. `push` scans the image in Docker's engine as `gate` does, and hands over to
//! `docker push` where it passes. Does not watch the engine in between: whoever moves the tag meanwhile pushes something else.
//!
//! *Source*: docker/cli, `cli-plugins`: the argument `docker-cli-plugin-metadata`, version 0.1.0 of its answer, and
//! `DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND`.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, anyhow, bail};
use clap::CommandFactory as _;
use serde_json::json;

use super::args::{Args, GateArgs, OutputArgs};
use super::exit::Exit;
use super::gate;
use super::messages::Messages;
use crate::oci::Reference;
use crate::source::TABLE;

/// What is asked for.
pub(super) enum Call {
    /// A command of layersift: its arguments, program name first.
    Command(Vec<OsString>),
    /// What the plugin is.
    Metadata,
    /// Completions, of which there are none this way.
    Nothing,
    /// The arguments of `gate`, after which the image is pushed.
    Push(Vec<OsString>),
}

/// The name Docker looks for.
const PROGRAM: &str = "docker-layersift";

/// The name of the command, which Docker hands on too.
const NAME: &str = "layersift";

/// Reads the arguments, program name first. *Errors*: where Docker was given options of its own, which decide what another
/// engine than the one of its environment would do.
pub(super) fn call(mut arguments: Vec<OsString>) -> anyhow::Result<Call> {
    let program = arguments.first().map(Path::new).and_then(Path::file_stem);
    if program != Some(OsStr::new(PROGRAM)) {
        return Ok(Call::Command(arguments));
    }
    let mut rest = arguments.split_off(1);
    let first = |rest: &[OsString]| rest.first().and_then(|first| first.to_str()).map(str::to_owned);
    match first(&rest).as_deref() {
        Some("docker-cli-plugin-metadata") => return Ok(Call::Metadata),
        Some("__complete" | "__completeNoDesc") => return Ok(Call::Nothing),
        Some(NAME) => {
            rest.remove(0);
        }
        // `docker help layersift`.
        Some("help") if rest.get(1).is_some_and(|name| name == NAME) => {
            rest.remove(1);
        }
        Some(option) if option.starts_with('-') && rest.iter().any(|argument| argument == NAME) => {
            let option = crate::text::escape(option.as_bytes());
            bail!(
                "`docker {option} layersift`: options of Docker are not taken; choose the engine with DOCKER_HOST or \
                 DOCKER_CONTEXT, and write layersift's options behind `layersift`"
            );
        }
        _ => {}
    }
    let with = |command: &[&str], rest: Vec<OsString>| -> Vec<OsString> {
        let command = std::iter::once(&NAME).chain(command).map(OsString::from);
        command.chain(rest).collect()
    };
    Ok(match first(&rest).as_deref() {
        None if rest.is_empty() => Call::Command(with(&["--help"], rest)),
        Some("push") => Call::Push(with(&["gate"], rest.split_off(1))),
        Some("-h" | "--help" | "-V" | "--version" | "help") => Call::Command(with(&[], rest)),
        Some(name) if Args::command().find_subcommand(name).is_some() => Call::Command(with(&[], rest)),
        _ => Call::Command(with(&["scan"], rest)),
    })
}

/// Says what the plugin is.
pub(super) fn metadata() -> ExitCode {
    let metadata = json!({
        "SchemaVersion": "0.1.0",
        "Vendor": env!("CARGO_PKG_NAME"),
        "Version": concat!("v", env!("CARGO_PKG_VERSION")),
        "ShortDescription": "Find secrets in every layer of an image",
        "URL": env!("CARGO_PKG_REPOSITORY"),
    });
    // Docker, which alone asks, takes no answer for no plugin.
    let written = writeln!(std::io::stdout(), "{metadata}");
    if written.is_ok() { Exit::Clean } else { Exit::Usage }.into()
}

/// Scans the image in Docker's engine, and pushes it where that passes.
pub(super) fn push(mut args: GateArgs, output: &OutputArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let [image] = &mut args.scan.targets[..] else {
        bail!("`docker layersift push` takes one image");
    };
    let pushed = image.clone();
    let is_prefixed = TABLE.iter().any(|row| pushed.starts_with(row.prefix));
    if is_prefixed || args.scan.from.is_some() || Reference::parse(&pushed).is_err() {
        let name = crate::text::escape(pushed.as_bytes());
        bail!("`docker layersift push` takes the name of an image in Docker's engine, and `{name}` is none");
    }
    *image = format!("docker-daemon:{pushed}");
    match gate::run(args, output, messages)? {
        Exit::Clean => hand_over(&pushed),
        exit => {
            let name = crate::text::escape(pushed.as_bytes());
            messages.error(&anyhow!("`{name}` was not pushed: the gate did not pass"));
            Ok(exit)
        }
    }
}

/// Becomes `docker push`: its exit code is the command's.
fn hand_over(image: &str) -> anyhow::Result<Exit> {
    let docker = std::env::var_os("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND").filter(|it| !it.is_empty());
    let mut command = Command::new(docker.unwrap_or_else(|| "docker".into()));
    command.args(["push", image]);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        Err(command.exec()).context("cannot run `docker push`")
    }
    #[cfg(not(unix))]
    {
        let status = command.status().context("cannot run `docker push`")?;
        Ok(if status.success() {
            Exit::Clean
        } else {
            Exit::Unresolved
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The call as words, with what becomes of them.
    fn told(line: &str) -> String {
        let arguments = line.split(' ').map(OsString::from).collect();
        let words = |arguments: Vec<OsString>| {
            let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ")
        };
        match call(arguments) {
            Err(error) => format!("error: {error}").chars().take(40).collect(),
            Ok(Call::Command(arguments)) => words(arguments),
            Ok(Call::Metadata) => "metadata".to_owned(),
            Ok(Call::Nothing) => "nothing".to_owned(),
            Ok(Call::Push(arguments)) => format!("push {}", words(arguments)),
        }
    }

    #[test]
    fn what_docker_hands_on_becomes_a_command() {
        for (line, expected) in [
            ("layersift scan app", "layersift scan app"),
            ("/usr/bin/layersift push app", "/usr/bin/layersift push app"),
            ("docker-layersift docker-cli-plugin-metadata", "metadata"),
            ("/a/docker-layersift layersift app:1", "layersift scan app:1"),
            (
                "docker-layersift layersift --strict app:1",
                "layersift scan --strict app:1",
            ),
            ("docker-layersift layersift gate app:1", "layersift gate app:1"),
            ("docker-layersift layersift layersift", "layersift scan layersift"),
            ("docker-layersift layersift --help", "layersift --help"),
            ("docker-layersift layersift", "layersift --help"),
            ("docker-layersift help layersift gate", "layersift help gate"),
            ("docker-layersift app:1", "layersift scan app:1"),
            (
                "docker-layersift layersift push --strict app:1",
                "push layersift gate --strict app:1",
            ),
            ("docker-layersift __complete layersift a", "nothing"),
            (
                "docker-layersift --context far layersift app",
                "error: `docker --context layersift`: opt",
            ),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }
}
