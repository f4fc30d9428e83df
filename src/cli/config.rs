//! `--config FILE`: options of `scan` in TOML. The command line wins over the file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use toml::Spanned;

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
    from: Option<Spanned<String>>,
    platform: Vec<Spanned<String>>,
    referrers: bool,
    rules: Vec<PathBuf>,
    slow_rules: bool,
    min_confidence: Option<Spanned<String>>,
    severity: Option<Spanned<String>>,
    status: Vec<Spanned<String>>,
    include: Vec<Spanned<String>>,
    exclude: Vec<Spanned<String>>,
    rule: Vec<Spanned<String>>,
    no_rule: Vec<Spanned<String>>,
    strict: bool,
    dockerfile: Option<PathBuf>,
    provenance: Vec<PathBuf>,
    sarif_location: Option<Spanned<String>>,
    category: Option<String>,
    insecure: Vec<Spanned<String>>,
    ca_cert: Vec<PathBuf>,
    docker_config: Option<PathBuf>,
    trusted_realm: Vec<Spanned<String>>,
    mirror: Vec<Spanned<String>>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    certs_dir: Option<PathBuf>,
    limit: Vec<Spanned<String>>,
    jobs: Option<usize>,
    cache: Option<PathBuf>,
}

/// Fills what the command line left open from the file it names.
pub(super) fn apply(args: &mut ScanArgs) -> anyhow::Result<()> {
    let Some(path) = args.config.clone() else {
        return Ok(());
    };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let line = line(&text, error.span().map_or(0, |span| span.start));
        anyhow!("{}:{line}: {}", path.display(), error.message())
    })?;
    let table = file.scan;
    let place = &Place {
        path: &path,
        text: &text,
    };
    if args.from.is_none() {
        args.from = table.from.map(|text| parse(&text, place, "from")).transpose()?;
    }
    fill(&mut args.platform, &table.platform, place, "platform")?;
    fill(&mut args.status, &table.status, place, "status")?;
    fill(&mut args.include, &table.include, place, "include")?;
    fill(&mut args.exclude, &table.exclude, place, "exclude")?;
    fill(&mut args.rule, &table.rule, place, "rule")?;
    fill(&mut args.no_rule, &table.no_rule, place, "no-rule")?;
    fill(&mut args.limit, &table.limit, place, "limit")?;
    let registry = &mut args.registry;
    fill(&mut registry.insecure, &table.insecure, place, "insecure")?;
    fill(
        &mut registry.trusted_realm,
        &table.trusted_realm,
        place,
        "trusted-realm",
    )?;
    fill(&mut registry.mirror, &table.mirror, place, "mirror")?;
    if args.min_confidence.is_none() {
        args.min_confidence = table
            .min_confidence
            .map(|text| parse(&text, place, "min-confidence"))
            .transpose()?;
    }
    if args.severity.is_none() {
        args.severity = table
            .severity
            .map(|text| parse(&text, place, "severity"))
            .transpose()?;
    }
    // A file names others relative to itself, so that it means the same from every folder.
    let folder = place.path.parent().unwrap_or(Path::new(""));
    let beside = |paths: Vec<PathBuf>| paths.into_iter().map(|path| folder.join(path)).collect();
    if args.rules.is_empty() {
        args.rules = beside(table.rules);
    }
    args.dockerfile = args
        .dockerfile
        .take()
        .or(table.dockerfile.map(|path| folder.join(path)));
    if args.provenance.is_empty() {
        args.provenance = beside(table.provenance);
    }
    args.category = args.category.take().or(table.category);
    if args.sarif_location.is_none() {
        let location = table
            .sarif_location
            .map(|text| parse(&text, place, "sarif-location"));
        args.sarif_location = location.transpose()?;
    }
    if registry.ca_cert.is_empty() {
        registry.ca_cert = beside(table.ca_cert);
    }
    if registry.docker_config.is_none() {
        registry.docker_config = table.docker_config.map(|path| folder.join(path));
    }
    if table.client_cert.is_some() != table.client_key.is_some() {
        bail!(
            "{}: `client-cert` and `client-key` need each other",
            place.path.display()
        );
    }
    if registry.client_cert.is_none() {
        registry.client_cert = table.client_cert.map(|path| folder.join(path));
        registry.client_key = table.client_key.map(|path| folder.join(path));
    }
    if registry.certs_dir.is_none() {
        registry.certs_dir = table.certs_dir.map(|path| folder.join(path));
    }
    args.referrers |= table.referrers;
    args.slow_rules |= table.slow_rules;
    args.strict |= table.strict;
    args.jobs = args.jobs.or(table.jobs);
    let cache = table.cache.map(|path| folder.join(path));
    args.cache = args.cache.take().or(cache.filter(|_| !args.show_secrets));
    Ok(())
}

/// The file, for messages.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

/// The line, from 1, of the byte at `offset`.
fn line(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

fn fill<T: FromStr>(
    option: &mut Vec<T>,
    texts: &[Spanned<String>],
    place: &Place<'_>,
    key: &str,
) -> anyhow::Result<()>
where
    T::Err: std::fmt::Display,
{
    if option.is_empty() {
        *option = texts
            .iter()
            .map(|text| parse(text, place, key))
            .collect::<anyhow::Result<_>>()?;
    }
    Ok(())
}

fn parse<T: FromStr>(text: &Spanned<String>, place: &Place<'_>, key: &str) -> anyhow::Result<T>
where
    T::Err: std::fmt::Display,
{
    let value = text.get_ref();
    value.parse().map_err(|error| {
        let line = line(place.text, text.span().start);
        let value = crate::text::escape(value.as_bytes());
        anyhow!(
            "{}:{line}: `{key}` cannot be `{value}`: {error}",
            place.path.display()
        )
    })
}
