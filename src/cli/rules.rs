//! `layersift rules`: what the rules are, whether those of a file are sound, and what they find in a file that is no
//! image. Writes no rule.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Cursor, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, anyhow, bail};

use super::args::{RulesArgs, RulesCommand, RulesTestArgs};
use super::exit::Exit;
use super::messages::Messages;
use super::scan::{load_rules, read_rules};
use crate::engine::{Matcher, Scratch};
use crate::finding::Reveal;
use crate::layer::{Claims, LayerCandidate, LayerReader, Silent};
use crate::limits::{Budget, Limits};
use crate::oci::Algorithm;
use crate::rules::{Confidence, Example, Part, Pattern, Rule, RuleSet};
use crate::text::escape;

pub(super) fn run(args: &RulesArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let (text, exit) = match &args.command {
        RulesCommand::List { rules } => (list(&load_rules(rules)?), Exit::Clean),
        RulesCommand::Show { id, rules } => (show(&load_rules(rules)?, id)?, Exit::Clean),
        RulesCommand::Check { files } => check(files, messages)?,
        RulesCommand::Test(args) => return test(args, messages),
    };
    print(&text)?;
    Ok(exit)
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to standard output")
}

/// One line for each rule.
fn list(rules: &RuleSet) -> String {
    let rules = rules.rules();
    let widest = rules.iter().map(|rule| rule.id.0.len()).max().unwrap_or(0);
    let mut text = String::new();
    for rule in rules {
        let (severity, confidence) = (rule.severity.to_string(), rule.confidence.to_string());
        let line = format!(
            "{:<widest$}  {severity:<8}  {confidence:<6}  {}",
            rule.id.0,
            escape(rule.title.as_bytes())
        );
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// All that a rule says.
fn show(rules: &RuleSet, id: &str) -> anyhow::Result<String> {
    let rule = rules.find(id).ok_or_else(|| {
        anyhow!(
            "there is no rule `{}`; `layersift rules list` names them",
            escape(id.as_bytes())
        )
    })?;
    let mut text = format!("{}: {}\n", rule.id, escape(rule.title.as_bytes()));
    let mut row = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {label:<12} {}", visible(value));
        }
    };
    row("description", &rule.description);
    row("severity", &rule.severity.to_string());
    row("confidence", &rule.confidence.to_string());
    row("value", &rule.kind.to_string());
    for former in &rule.formerly {
        row("formerly", &former.0);
    }
    for glob in &rule.paths {
        row("path", glob.glob());
    }
    for line in part(&rule.anchor) {
        row(&line.0, &line.1);
    }
    for companion in &rule.parts {
        let optional = if companion.optional { ", or without it" } else { "" };
        row(
            "goes with",
            &format!("{} within {} bytes{optional}", companion.name, companion.within),
        );
        for (label, value) in part(companion) {
            row(&format!("  {label}"), &value);
        }
    }
    row("revoke", &rule.revoke);
    for reference in &rule.references {
        row("reference", reference);
    }
    Ok(text)
}

/// A text of a rule as it stands in its file: backslashes are as they are, what a terminal would obey is not.
fn visible(text: &str) -> String {
    let shown = text.chars().map(|letter| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    });
    shown.collect()
}

fn part(part: &Part) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |label: &str, value: String| rows.push((label.to_owned(), value));
    let literals = part.literals.iter().map(|literal| {
        let text = String::from_utf8_lossy(&literal.text);
        format!(
            "`{text}`{}",
            if literal.ignore_case { " in any case" } else { "" }
        )
    });
    let literals: Vec<String> = literals.collect();
    if !literals.is_empty() {
        row("literals", literals.join(", "));
    }
    match &part.pattern {
        Pattern::Regex { source, .. } => row("regex", source.clone()),
        Pattern::Extractor(extractor) => row("extract", extractor.to_string()),
    }
    row("boundary", part.boundary.to_string());
    if let Some(context) = &part.context {
        let words: Vec<_> = context
            .any
            .iter()
            .map(|word| String::from_utf8_lossy(word))
            .collect();
        row("near", words.join(", "));
    }
    if let Some(bits) = part.entropy {
        row("entropy", format!("at least {bits} bits a byte"));
    }
    let checks: Vec<String> = part.checks.iter().map(ToString::to_string).collect();
    if !checks.is_empty() {
        row("checks", checks.join(", "));
    }
    rows
}

/// Loads the rules of `files` and tries each on its own examples.
fn check(files: &[PathBuf], messages: &Messages) -> anyhow::Result<(String, Exit)> {
    let rules = match files {
        [] => RuleSet::builtin(),
        files => RuleSet::load_only(&read_rules(files)?).map_err(|error| super::scan::listed(&error))?,
    };
    for note in rules.notes() {
        messages.warning(format!("{}:{}: {}", note.file, note.line, note.message));
    }
    let mut text = String::new();
    for rule in rules.rules().iter().filter(|rule| rule.is_slow()) {
        let _ = writeln!(
            text,
            "{}: no text leads to it, so it runs with `--slow-rules` only",
            rule.id
        );
    }
    let matcher = Matcher::new(Arc::new(rules));
    let mut wrong = 0;
    let mut tried = 0;
    for rule in matcher.rules().rules() {
        let examples = rule.examples.iter().map(|example| (example, true));
        let counter_examples = rule.counter_examples.iter().map(|example| (example, false));
        for (example, is_wanted) in examples.chain(counter_examples) {
            tried += 1;
            if let Some(complaint) = complaint(&matcher, rule, example, is_wanted)? {
                wrong += 1;
                let _ = writeln!(
                    text,
                    "{}: {complaint}: {}",
                    rule.id,
                    escape(example.template.as_bytes())
                );
            }
        }
    }
    let count = matcher.rules().rules().len();
    let _ = writeln!(
        text,
        "{count} rules are sound, {} of {tried} examples are as they should be",
        tried - wrong
    );
    Ok((text, if wrong == 0 { Exit::Clean } else { Exit::Usage }))
}

/// What is wrong with a rule by one of its examples.
fn complaint(
    matcher: &Matcher,
    rule: &Rule,
    example: &Example,
    is_wanted: bool,
) -> anyhow::Result<Option<String>> {
    /// Other seeds, other characters.
    const SEEDS: u64 = 4;
    for seed in 0..SEEDS {
        let text = example
            .expand(seed)
            .map_err(|error| anyhow!("an example of `{}`: {error}", rule.id))?;
        let path = example.path.as_deref().unwrap_or("example");
        let found = matches(matcher, rule, &text, path);
        match (is_wanted, found) {
            (true, None) => return Ok(Some("its example is not found".to_owned())),
            (false, Some(confidence)) if example.strict || confidence > Confidence::Low => {
                return Ok(Some(format!(
                    "its counter-example is found with {confidence} confidence"
                )));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// How sure `rule` is of what it finds in a file, where it finds something.
fn matches(matcher: &Matcher, rule: &Rule, text: &[u8], path: &str) -> Option<Confidence> {
    let found = matcher.scan_file(text, path.as_bytes(), &mut Scratch::default());
    let of_rule = |number: u32| matcher.rules().rules()[number as usize].id == rule.id;
    let found = found
        .iter()
        .filter(|candidate| candidate.part.is_none() && of_rule(candidate.rule));
    found.map(|candidate| candidate.confidence).max()
}

/// Prints what the rules find in files, as they would in a layer that has them.
fn test(args: &RulesTestArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let rules = if args.only {
        RuleSet::load_only(&read_rules(&args.rules)?).map_err(|error| super::scan::listed(&error))?
    } else {
        load_rules(&args.rules)?
    };
    for id in &args.rule {
        if rules.find(id).is_none() {
            bail!("there is no rule `{}`", escape(id.as_bytes()));
        }
    }
    let chosen: Vec<_> = args
        .rule
        .iter()
        .filter_map(|id| rules.find(id))
        .map(|rule| rule.id.clone())
        .collect();
    let rules = super::scan::chosen(rules, args.slow_rules, messages);
    let rules = rules.retain(|rule| chosen.is_empty() || chosen.contains(&rule.id));
    let matcher = Matcher::new(Arc::new(rules));
    let reveal = if args.show_secrets {
        Reveal::Plain
    } else {
        Reveal::Redacted
    };
    let mut exit = Exit::Clean;
    for path in &args.files {
        let (candidates, skips) = search(&matcher, path)?;
        let mut text = String::new();
        for found in candidates.iter().filter(|found| found.candidate.part.is_none()) {
            exit = Exit::Findings;
            text.push_str(&described(&matcher, path, found, reveal));
        }
        print(&text)?;
        for skip in skips {
            messages.warning(format!(
                "{}: {}",
                escape(path.as_os_str().as_encoded_bytes()),
                escape(skip.as_bytes())
            ));
        }
    }
    if exit == Exit::Clean {
        messages.note("nothing was found");
    }
    Ok(exit)
}

fn described(matcher: &Matcher, path: &Path, found: &LayerCandidate, reveal: Reveal) -> String {
    let rule = &matcher.rules().rules()[found.candidate.rule as usize];
    let place = escape(path.as_os_str().as_encoded_bytes());
    let (line, column) = (found.location.line, found.location.column);
    let evidence: Vec<String> = found.candidate.evidence.iter().map(ToString::to_string).collect();
    let evidence = match evidence.is_empty() {
        true => String::new(),
        false => format!(": {}", evidence.join(", ")),
    };
    let secret = found.candidate.text.shown(reveal);
    let confidence = found.candidate.confidence;
    format!(
        "{place}:{line}:{column}  {}  {secret}  {confidence}{evidence}\n",
        rule.id
    )
}

/// Searches a file as the only member of a layer.
fn search(matcher: &Matcher, path: &Path) -> anyhow::Result<(Vec<LayerCandidate>, Vec<String>)> {
    let name = escape(path.as_os_str().as_encoded_bytes());
    let unreadable = || format!("cannot read `{name}`");
    let file = File::open(path).with_context(unreadable)?;
    let metadata = file.metadata().with_context(unreadable)?;
    if !metadata.is_file() {
        bail!("`{name}` is no file; images are for `layersift scan`");
    }
    let size = metadata.len();
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    let member = path.to_string_lossy();
    let member = member.trim_start_matches(['/', '.']);
    if header.set_path(member).is_err() {
        // Too long for a header: the rules that look at paths look at the end of them.
        let name = path.file_name().unwrap_or_default();
        header.set_path(name).with_context(unreadable)?;
    }
    header.set_cksum();
    let padding = size.next_multiple_of(512) - size + 1024;
    let mut layer = Cursor::new(header.as_bytes().to_vec())
        .chain(file.take(size))
        .chain(std::io::repeat(0).take(padding));
    let limits = Limits::default();
    let budget = Budget::new(limits.in_flight_bytes);
    let pool = rayon::ThreadPoolBuilder::new()
        .build()
        .context("cannot start threads")?;
    let cancelled = AtomicBool::new(false);
    let claims = Claims {
        digest: Algorithm::Sha256,
        diff_id: None,
        size: None,
    };
    let record =
        LayerReader::new(matcher, &limits, &budget, &pool, &cancelled).read(&mut layer, claims, &Silent);
    let skips = record.skips.into_iter().map(|skip| skip.detail).collect();
    Ok((record.candidates, skips))
}
