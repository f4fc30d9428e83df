//! `layersift doctor`: what layersift finds on this machine and would use. Sends nothing, asks no credential helper and
//! judges nothing: it always succeeds.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;

use super::args::OutputArgs;
use super::exit::Exit;
use super::login::{described, printable};
use super::messages::colored;
use super::scan::terminal_width;
use crate::limits::Limits;
use crate::rules::RuleSet;
use crate::source::engine::{self, EngineOptions, Program};
use crate::source::registry::{self, Inventory, RegistryOptions, TrustedRoots};
use crate::text;

/// A label and what there is to say.
type Row = (String, String);

pub(super) fn run(output: &OutputArgs) -> anyhow::Result<Exit> {
    let inventory = registry::inventory(&RegistryOptions::default());
    let mut page = String::new();
    for (title, rows) in [
        ("layersift", program()),
        ("engines", engines()),
        ("logins", logins(&inventory)),
        ("credential helpers", helpers(&inventory)),
        ("proxies", proxies(&inventory)),
        ("TLS", vec![roots(inventory.roots)]),
        ("limits", limits(&Limits::default())),
        ("terminal", terminal(output)),
    ] {
        write_section(&mut page, title, rows);
    }
    std::io::stdout()
        .write_all(page.as_bytes())
        .context("cannot write to standard output")?;
    Ok(Exit::Clean)
}

/// A title and its rows, labels in a column of their own.
fn write_section(page: &mut String, title: &str, rows: Vec<Row>) {
    if !page.is_empty() {
        page.push('\n');
    }
    page.push_str(&format!("{title}\n"));
    let column = rows.iter().map(|(label, _)| label.chars().count()).max();
    let column = column.unwrap_or_default();
    for (label, said) in rows {
        page.push_str(format!("  {label:<column$}  {said}").trim_end());
        page.push('\n');
    }
}

fn row(label: impl Into<String>, said: impl ToString) -> Row {
    (label.into(), said.to_string())
}

fn program() -> Vec<Row> {
    let rules = RuleSet::builtin();
    vec![
        row("version", env!("CARGO_PKG_VERSION")),
        row(
            "rules",
            format!("{} built in, hash {}", rules.rules().len(), rules.hash()),
        ),
        row(
            "system",
            format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH),
        ),
    ]
}

fn engines() -> Vec<Row> {
    let endpoints = match engine::endpoints(&EngineOptions::default()) {
        Ok(endpoints) => endpoints,
        Err(error) => return vec![row("none", error.with_causes())],
    };
    let rows = endpoints.into_iter().map(|endpoint| {
        let program = match endpoint.program {
            Program::Docker => "Docker",
            Program::Podman => "Podman",
        };
        let presence = match endpoint.is_there {
            None => "not tried",
            Some(true) => "there",
            Some(false) => "not there",
        };
        row(endpoint.address, format!("{program}, {presence}"))
    });
    rows.collect()
}

fn logins(inventory: &Inventory) -> Vec<Row> {
    let mut rows: Vec<Row> = inventory
        .variables
        .iter()
        .map(|variable| row(text::escape(variable.as_bytes()), "set"))
        .collect();
    for file in &inventory.files {
        let path = printable(&file.path);
        match &file.logins {
            Err(why) => rows.push(row(path, format!("not used: {why}"))),
            Ok(None) => rows.push(row(path, "not there")),
            Ok(Some(logins)) if logins.is_empty() => rows.push(row(path, "no login")),
            Ok(Some(logins)) => rows.extend(logins.iter().map(|login| {
                let registry = login.registry.as_deref().unwrap_or("any other registry");
                row(text::escape(registry.as_bytes()), described(login))
            })),
        }
    }
    rows
}

fn helpers(inventory: &Inventory) -> Vec<Row> {
    let rows: Vec<Row> = inventory
        .helpers
        .iter()
        .map(|helper| {
            let said = match (&helper.path, helper.is_named) {
                (None, _) => "missing: it is not on PATH".to_owned(),
                (Some(path), true) => printable(path),
                (Some(path), false) => format!("{}, which no file names", printable(path)),
            };
            row(text::escape(helper.program.as_bytes()), said)
        })
        .collect();
    or_none(rows)
}

fn proxies(inventory: &Inventory) -> Vec<Row> {
    let rows = inventory.proxies.iter();
    or_none(rows.map(|proxy| row(proxy.variable, &proxy.value)).collect())
}

fn or_none(rows: Vec<Row>) -> Vec<Row> {
    match rows.is_empty() {
        true => vec![row("none", "")],
        false => rows,
    }
}

fn roots(roots: TrustedRoots) -> Row {
    let said = match roots {
        TrustedRoots::Bundled(count) => format!("{count} that are built in: the system has none"),
        TrustedRoots::System(count) => format!("{count} of the system"),
    };
    row("trusted roots", said)
}

fn limits(limits: &Limits) -> Vec<Row> {
    // No `..`: whoever adds a limit is to be reminded of this list.
    let Limits {
        manifest_bytes,
        config_bytes,
        attestation_bytes,
        layers,
        index_depth,
        manifests,
        tar_header_bytes,
        sparse_runs,
        entries,
        path_bytes,
        path_table_bytes,
        symlink_bytes,
        layer_bytes,
        image_bytes,
        zstd_window_log,
        gzip_field_bytes,
        archive_bytes,
        archives_in_flight_bytes,
        archive_depth,
        archive_members,
        git_tree_entries,
        git_objects_bytes,
        archive_expanded_bytes,
        archive_ratio,
        archive_ratio_from_bytes,
        findings_per_file,
        findings,
        encoded_bytes,
        encoding_depth,
        compared_file_bytes,
        package_database_bytes,
        package_claims,
        snippet_columns,
        connect_timeout,
        engine_answer_timeout,
        engine_export_timeout,
        idle_timeout,
        tries,
        retry_after,
        redirects,
        downloads_per_host,
        list_bytes,
        names,
        referrers_bytes,
        token_bytes,
        error_bytes,
        in_flight_bytes,
        cache_bytes,
    } = *limits;
    let size = |label, bytes: u64| row(label, text::bytes(bytes));
    let time = |label, time: Duration| row(label, format!("{} s", time.as_secs_f32()));
    vec![
        size("an image, decompressed", image_bytes),
        size("a layer, decompressed", layer_bytes),
        row("layers of an image", layers),
        row("members of a layer", entries),
        size("a path", path_bytes as u64),
        size("the paths of a layer", path_table_bytes),
        size("the symbolic links of an image", symlink_bytes),
        size("a tar header", tar_header_bytes),
        row("data runs of a sparse file", sparse_runs),
        size("a gzip header field at a time", gzip_field_bytes as u64),
        size("a zstd window, an xz dictionary", 1 << zstd_window_log.min(63)),
        size("a manifest", manifest_bytes),
        size("a configuration", config_bytes),
        size("an attestation", attestation_bytes),
        row("manifests of a target", manifests),
        row("indexes inside of indexes", index_depth),
        size("archives of a layer, expanded", archive_expanded_bytes),
        row(
            "a file's archives, expanded to its size",
            format!(
                "{archive_ratio} to 1 beyond {}",
                text::bytes(archive_ratio_from_bytes)
            ),
        ),
        size("an archive in memory", archive_bytes),
        row("archives inside of archives", archive_depth),
        row("members of a file's archives", archive_members),
        row("entries of git trees for names", git_tree_entries),
        size("loose git objects of a layer in memory", git_objects_bytes),
        row("findings of an image", findings),
        row("findings of a rule in a file", findings_per_file),
        size("encoded text of 1 MiB, decoded", encoded_bytes as u64),
        row("encodings inside of encodings", encoding_depth),
        size("a file compared with its package", compared_file_bytes),
        size("a package database", package_database_bytes),
        row("files that packages of a layer claim", package_claims),
        row("columns of a line of context", snippet_columns),
        time("time to connect", connect_timeout),
        time("time without a byte", idle_timeout),
        time("time for an engine to answer", engine_answer_timeout),
        time("time for an engine to begin an export", engine_export_timeout),
        time("time a registry may ask to wait", retry_after),
        row("tries of a request", tries),
        row("redirects of a request", redirects),
        row("downloads from a host at a time", downloads_per_host),
        size("a page of a list of names", list_bytes),
        row("names of a list", names),
        size("a list of what refers to a manifest", referrers_bytes),
        size("the answer of a token server", token_bytes),
        size("the answer to a failed request", error_bytes),
        size("decompressed data in memory", in_flight_bytes),
        size("archives in memory", archives_in_flight_bytes),
        size("a folder of records of layers", cache_bytes),
    ]
}

fn terminal(output: &OutputArgs) -> Vec<Row> {
    let stream = |is_terminal: bool| {
        let kind = if is_terminal {
            "a terminal"
        } else {
            "not a terminal"
        };
        let colour = if colored(output.color, is_terminal) {
            "coloured"
        } else {
            "no colour"
        };
        format!("{kind}, {colour}")
    };
    let stdout = std::io::stdout().is_terminal();
    vec![
        row(
            "standard output",
            format!("{}, {} columns", stream(stdout), terminal_width()),
        ),
        row("standard error", stream(std::io::stderr().is_terminal())),
    ]
}
