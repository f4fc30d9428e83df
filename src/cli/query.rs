//! `layersift query`: what a state knows, as a table, JSON or CSV. Sweeps nothing.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, anyhow, bail};

use super::args::{QueryArgs, QueryCommand, QueryFormat, QuerySecretArgs};
use super::exit::Exit;
use super::messages::Messages;
use super::sweep::{key, registry_options};
use crate::oci::{Digest, Reference};
use crate::source::SourceError;
use crate::source::registry;
use crate::sweep::State;
use crate::sweep::answer::{Carrier, Table};
use crate::text;
use crate::text::secret::Sealer;

/// Bytes of a secret that are read.
const SECRET_BYTES: u64 = 1024 * 1024;

pub(super) fn run(args: QueryArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let QueryArgs {
        command,
        state: path,
        format,
    } = args;
    let state = State::read(&path)?;
    let table = match command {
        QueryCommand::Coverage => state.coverage()?,
        QueryCommand::Image { name } => state.image(&name)?,
        QueryCommand::Moved { since } => state.moved(since)?,
        QueryCommand::New { since } => state.new_since(since)?,
        QueryCommand::Secret(secret) => return find(&state, &secret, format, messages),
    };
    print(&table, format)?;
    Ok(Exit::Clean)
}

/// Where a secret is, and what must be deleted for it to be gone.
fn find(
    state: &State,
    args: &QuerySecretArgs,
    format: QueryFormat,
    messages: &Messages,
) -> anyhow::Result<Exit> {
    let identity = match &args.name {
        Some(name) => state.secret(name)?.ok_or_else(|| {
            anyhow!(
                "no secret, or more than one, is called `{}`",
                text::escape(name.as_bytes())
            )
        })?,
        None => {
            let key = key(
                state.path(),
                args.fingerprint_key_file.as_deref(),
                false,
                messages,
            )?;
            let sealer = Sealer::keyed(key);
            if !state.is_of_key(&crate::sweep::key_check(&sealer))? {
                bail!("the state was made with another fingerprint key");
            }
            let mut value = Vec::new();
            std::io::stdin()
                .lock()
                .take(SECRET_BYTES)
                .read_to_end(&mut value)
                .context("cannot read the secret from standard input")?;
            let value = value.strip_suffix(b"\n").unwrap_or(&value);
            let value = value.strip_suffix(b"\r").unwrap_or(value);
            text::hex(&sealer.identity(value))
        }
    };
    let table = state.carriers(&identity)?;
    let removal = state.removal(&identity)?;
    print(&table, format)?;
    let live: Vec<&Carrier> = removal.iter().filter(|carrier| !carrier.is_blob).collect();
    if table.rows.is_empty() {
        messages.note("it is in no image of this state");
        return Ok(Exit::Clean);
    }
    if !live.is_empty() {
        messages.note("what must be deleted for it to be gone, besides the credential itself:");
        for carrier in live {
            messages.note(format!(
                "  {}/{}@{}",
                carrier.host, carrier.repository, carrier.digest
            ));
        }
    }
    let is_gone = match args.verify_gone {
        true => verify_gone(&removal, args, messages)?,
        false => table.rows.iter().all(|row| row[8] == "gone"),
    };
    Ok(match is_gone {
        true => Exit::Clean,
        false => Exit::Findings,
    })
}

/// Asks the registries whether manifests and blobs are gone.
fn verify_gone(removal: &[Carrier], args: &QuerySecretArgs, messages: &Messages) -> anyhow::Result<bool> {
    let options = registry_options(&args.registry, args.name.is_none())?;
    let mut is_gone = true;
    for carrier in removal {
        let Carrier {
            host,
            repository,
            digest,
            is_blob,
        } = carrier;
        let reference = Reference::parse(&format!("{host}/{repository}")).map_err(|error| anyhow!(error))?;
        let source = registry::open(&reference, &options)?;
        let asked = match is_blob {
            true => source.has_blob(&Digest::parse(digest)?),
            false => source.digest_of(digest).map(|_| true),
        };
        let kind = if *is_blob { "blob" } else { "manifest" };
        match asked {
            Err(SourceError::NotFound { .. }) => {
                messages.note(format!("gone: {kind} {host}/{repository}@{digest}"))
            }
            Ok(_) => {
                is_gone = false;
                messages.note(format!("still there: {kind} {host}/{repository}@{digest}"));
            }
            // Not known to be gone is not gone.
            Err(error) => {
                is_gone = false;
                messages.warning(format!(
                    "{kind} {host}/{repository}@{digest}: {}",
                    error.with_causes()
                ));
            }
        }
    }
    Ok(is_gone)
}

fn print(table: &Table, format: QueryFormat) -> anyhow::Result<()> {
    std::io::stdout()
        .write_all(rendered(table, format)?.as_bytes())
        .context("cannot write to standard output")
}

fn rendered(table: &Table, format: QueryFormat) -> anyhow::Result<String> {
    let mut out = String::new();
    match format {
        QueryFormat::Csv => {
            let cell = |text: &str| {
                // What a spreadsheet would take for a formula is none.
                let mark = if text.starts_with(['=', '+', '-', '@']) {
                    "'"
                } else {
                    ""
                };
                match text.contains([',', '"', '\n']) {
                    true => format!("\"{mark}{}\"", text.replace('"', "\"\"")),
                    false => format!("{mark}{text}"),
                }
            };
            out.push_str(&(table.columns.join(",") + "\n"));
            for row in &table.rows {
                let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
                out.push_str(&(cells.join(",") + "\n"));
            }
        }
        QueryFormat::Json => {
            let rows: Vec<serde_json::Map<String, serde_json::Value>> = table
                .rows
                .iter()
                .map(|row| {
                    let pairs = table.columns.iter().zip(row);
                    pairs
                        .map(|(column, text)| ((*column).to_owned(), text.as_str().into()))
                        .collect()
                })
                .collect();
            out = serde_json::to_string_pretty(&rows)? + "\n";
        }
        QueryFormat::Table => {
            let shown: Vec<Vec<String>> = table
                .rows
                .iter()
                .map(|row| row.iter().map(|text| short(text)).collect())
                .collect();
            let widths: Vec<usize> = (0..table.columns.len())
                .map(|column| {
                    let texts = shown.iter().map(|row| row[column].chars().count());
                    texts
                        .chain([table.columns[column].len()])
                        .max()
                        .unwrap_or_default()
                })
                .collect();
            let heads: Vec<String> = table.columns.iter().map(|&name| name.to_owned()).collect();
            for row in std::iter::once(&heads).chain(&shown) {
                let cells: Vec<String> = row
                    .iter()
                    .zip(&widths)
                    .map(|(text, width)| format!("{text:<width$}"))
                    .collect();
                out.push_str(cells.join("  ").trim_end());
                out.push('\n');
            }
        }
    }
    Ok(out)
}

/// A digest by its first digits, as people tell them apart; anything else as it is.
fn short(text: &str) -> String {
    match Digest::parse(text) {
        Ok(digest) => format!("{}:{}", digest.algorithm_name(), digest.short()),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        Table {
            columns: vec!["place", "digest"],
            rows: vec![vec![text.to_owned(), format!("sha256:{}", "0".repeat(64))]],
        }
    }

    #[test]
    fn a_formula_in_csv_is_text() {
        let second_line = |text: &str| {
            let csv = rendered(&table(text), QueryFormat::Csv).unwrap();
            csv.lines()
                .nth(1)
                .unwrap()
                .split(",sha256")
                .next()
                .unwrap()
                .to_owned()
        };
        assert_eq!(second_line("=1+1"), "'=1+1");
        assert_eq!(second_line("@SUM(1,\"2\")"), "\"'@SUM(1,\"\"2\"\")\"");
        assert_eq!(second_line("/srv/.env"), "/srv/.env");
    }

    #[test]
    fn digests_are_short_in_tables_alone() {
        let digits = "0".repeat(64);
        assert!(
            !rendered(&table("a"), QueryFormat::Table)
                .unwrap()
                .contains(&digits)
        );
        assert!(
            rendered(&table("a"), QueryFormat::Json)
                .unwrap()
                .contains(&digits)
        );
    }
}
