//! `--config FILE`: options of `scan` in TOML. The command line wins over the file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;

use super::args::ScanArgs;

/// The file: a table `[scan]` whose keys are the long options.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    scan: ScanTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ScanTable {
    platform: Vec<String>,
    referrers: bool,
    rules: Vec<PathBuf>,
    min_confidence: Option<String>,
    severity: Option<String>,
    status: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    rule: Vec<String>,
    no_rule: Vec<String>,
    strict: bool,
    insecure: Vec<String>,
    trusted_realm: Vec<String>,
    mirror: Vec<String>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    certs_dir: Option<PathBuf>,
    jobs: Option<usize>,
}

/// Fills what the command line left open from the file it names.
pub(super) fn apply(args: &mut ScanArgs) -> anyhow::Result<()> {
    let Some(path) = args.config.clone() else {
        return Ok(());
    };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].lines().count().max(1));
        anyhow!("{}:{line}: {}", path.display(), error.message())
    })?;
    let table = file.scan;
    fill(&mut args.platform, &table.platform, &path, "platform")?;
    fill(&mut args.status, &table.status, &path, "status")?;
    fill(&mut args.include, &table.include, &path, "include")?;
    fill(&mut args.exclude, &table.exclude, &path, "exclude")?;
    fill(&mut args.rule, &table.rule, &path, "rule")?;
    fill(&mut args.no_rule, &table.no_rule, &path, "no-rule")?;
    fill(&mut args.insecure, &table.insecure, &path, "insecure")?;
    fill(
        &mut args.trusted_realm,
        &table.trusted_realm,
        &path,
        "trusted-realm",
    )?;
    fill(&mut args.mirror, &table.mirror, &path, "mirror")?;
    if args.min_confidence.is_none() {
        args.min_confidence = table
            .min_confidence
            .map(|text| parse(&text, &path, "min-confidence"))
            .transpose()?;
    }
    if args.severity.is_none() {
        args.severity = table
            .severity
            .map(|text| parse(&text, &path, "severity"))
            .transpose()?;
    }
    // A file names others relative to itself, so that it means the same from every folder.
    let folder = path.parent().unwrap_or(Path::new(""));
    if table.client_cert.is_some() != table.client_key.is_some() {
        bail!(
            "{}: `client-cert` and `client-key` need each other",
            path.display()
        );
    }
    if args.client_cert.is_none() {
        args.client_cert = table.client_cert.map(|file| folder.join(file));
        args.client_key = table.client_key.map(|file| folder.join(file));
    }
    if args.certs_dir.is_none() {
        args.certs_dir = table.certs_dir.map(|certificates| folder.join(certificates));
    }
    if args.rules.is_empty() {
        args.rules = table.rules.iter().map(|rules| folder.join(rules)).collect();
    }
    args.referrers |= table.referrers;
    args.strict |= table.strict;
    args.jobs = args.jobs.or(table.jobs);
    Ok(())
}

fn fill<T: FromStr>(option: &mut Vec<T>, texts: &[String], path: &Path, key: &str) -> anyhow::Result<()>
where
    T::Err: std::fmt::Display,
{
    if option.is_empty() {
        *option = texts
            .iter()
            .map(|text| parse(text, path, key))
            .collect::<anyhow::Result<_>>()?;
    }
    Ok(())
}

fn parse<T: FromStr>(text: &str, path: &Path, key: &str) -> anyhow::Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| anyhow!("{}: `{key}`: `{text}`: {error}", path.display()))
}
