//! `layersift upload FILE`, and `scan --upload`. Looks into the environment and asks git; what is sent, and what GitHub
//! answers, is `github`'s.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow};

use super::args::{GithubArgs, UploadArgs};
use super::exit::Exit;
use super::login::printable;
use super::messages::Messages;
use crate::finding::{Report, Reveal};
use crate::github::{
    self, Destination, Given, Package, Patience, Receipt, State, Surroundings, Token, UploadError,
};
use crate::policy::Verdict;
use crate::report::{self, Buffer, Settings};

/// Bytes of a SARIF file that are read: fifty times what GitHub takes compressed.
const FILE_BYTES: u64 = 512 * 1024 * 1024;

/// Bytes of a workflow's event that are read.
const EVENT_BYTES: u64 = 32 * 1024 * 1024;

/// The variables that may hold the token, in the order of GitHub's own command line.
const TOKENS: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];

pub(super) fn run(args: &UploadArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let name = printable(&args.file);
    let file = read(&args.file, FILE_BYTES).with_context(|| format!("cannot read `{name}`"))?;
    let package = Package::of(&file).with_context(|| format!("cannot upload `{name}`"))?;
    let uploader = Uploader::new(&args.github, &args.ca_cert)?;
    let receipt = uploader
        .send(&package, messages)
        .with_context(|| format!("cannot upload `{name}` to `{}`", uploader.destination.repository))?;
    Ok(match receipt.state {
        State::Processed => Exit::Clean,
        State::Pending if uploader.patience.wait.is_zero() => Exit::Clean,
        State::Pending | State::ScanFailed => Exit::Incomplete,
    })
}

/// Everything an upload needs but its file.
pub(super) struct Uploader {
    destination: Destination,
    token: Token,
    patience: Patience,
    authorities: Vec<PathBuf>,
}

impl Uploader {
    /// *Errors*: where the token, or something else that is needed, is missing or of no use.
    pub(super) fn new(args: &GithubArgs, authorities: &[PathBuf]) -> anyhow::Result<Self> {
        let token = token().context("cannot upload to GitHub")?;
        let checkout = args.checkout.as_ref().map(std::path::absolute).transpose();
        let given = Given {
            repository: args.github_repository.clone(),
            commit: args.commit.clone(),
            reference: args.reference.clone(),
            checkout: checkout.context("cannot use `--checkout`")?,
        };
        let around = Surroundings {
            variable: &|name| std::env::var(name).ok(),
            git: &git,
            file: &|path| read(Path::new(path), EVENT_BYTES).ok(),
        };
        let default = Patience::default();
        Ok(Self {
            destination: Destination::find(&given, around).context("cannot upload to GitHub")?,
            token,
            patience: Patience {
                wait: args.wait.unwrap_or(default.wait),
                ..default
            },
            authorities: authorities.to_vec(),
        })
    }

    /// Uploads a SARIF log of each image, redacted whatever the other reports show. Says what went wrong; `false` where
    /// something did.
    pub(super) fn upload(
        &self,
        report: &Report,
        verdict: &Verdict,
        settings: Settings<'_>,
        messages: &Messages,
    ) -> bool {
        let mut logs = Buffer {
            divided: true,
            ..Buffer::default()
        };
        let sarif = report::format("sarif").expect("there is such a format");
        (sarif.reporter)(settings)
            .write(report, verdict, Reveal::Redacted, &mut logs)
            .expect("memory takes all that is written");
        let mut is_taken = true;
        for (name, log) in &logs.parts {
            let sent = Package::of(log)
                .map_err(anyhow::Error::new)
                .and_then(|package| Ok(self.send(&package, messages)?));
            if let Err(error) = sent {
                messages.error(&error.context(format!(
                    "cannot upload `{name}` to `{}`",
                    self.destination.repository
                )));
                is_taken = false;
            }
        }
        is_taken
    }

    fn send(&self, package: &Package, messages: &Messages) -> Result<Receipt, UploadError> {
        let Destination {
            repository,
            commit,
            reference,
            ..
        } = &self.destination;
        if package.is_unfinished {
            messages.warning(
                "the scan did not finish (`executionSuccessful` is false): GitHub notes a failed scan, makes no alerts of \
                 its results and closes none",
            );
        }
        let receipt = github::upload(
            package,
            &self.destination,
            &self.token,
            self.patience,
            &self.authorities,
        )?;
        for warning in &receipt.warnings {
            messages.warning(format!("GitHub says: {warning}"));
        }
        let count = match package.results {
            1 => "1 result".to_owned(),
            count => format!("{count} results"),
        };
        let about = format!("{count} for {reference} of {repository} at {}", &commit[..12]);
        messages.note(match receipt.state {
            State::Processed => format!("uploaded {about}"),
            State::Pending => format!(
                "uploaded {about}; GitHub has not read it yet (upload {})",
                receipt.id
            ),
            State::ScanFailed => format!("uploaded {about}; GitHub notes that the scan did not finish"),
        });
        Ok(receipt)
    }
}

/// The token of the environment.
fn token() -> anyhow::Result<Token> {
    let name = TOKENS
        .into_iter()
        .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let Some(name) = name else {
        return Err(UploadError::NotGiven {
            what: "which token to use",
            hint: "set GH_TOKEN or GITHUB_TOKEN (in Actions: `env: GITHUB_TOKEN: ${{ github.token }}`)",
        }
        .into());
    };
    std::env::var(name)
        .ok()
        .and_then(|value| Token::new(&value))
        .ok_or_else(|| {
            anyhow!("`{name}` holds no token: it has spaces or other characters that no token has")
        })
}

/// The first line git prints, where there is a git and it succeeds.
pub(super) fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    let line = line.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(std::io::Error::other(format!(
            "it is larger than {}",
            crate::text::bytes(most)
        )));
    }
    Ok(bytes)
}
