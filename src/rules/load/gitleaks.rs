//! Rules in the format of Gitleaks, which Betterleaks and Kingfisher read too → rules of ours. What cannot be said in our
//! terms is noted rule by rule, never dropped in silence.
//!
//! The keywords of that format stand anywhere in a file; ours must lead to the match. So a keyword counts where every
//! match holds one, else a text that every match holds is looked for in the expression itself, and a rule that has
//! neither is slow: its expression runs over every byte. *Source*: the configuration section of Gitleaks' README.

use regex_syntax::hir::{Capture, Class, Hir, HirKind, Repetition};

use super::{LITERAL_BYTES, Reader, Table, UNICODE, compile, has_unicode_class, parse_regex};
use crate::rules::lead;
use crate::rules::rule::{
    Allow, AllowTarget, Boundary, Filter, Literal, MAX_MATCH, Part, Pattern, Rule, SecretKind,
};
use crate::rules::{Confidence, RuleId, Severity};

/// Fields that change nothing of what is found.
const SILENT: &[&str] = &["tags", "title", "description", "minVersion", "version"];
const RULE_FIELDS: &[&str] = &[
    "id",
    "regex",
    "path",
    "secretGroup",
    "entropy",
    "keywords",
    "allowlist",
    "allowlists",
    "confidence",
    "severity",
];
const ALLOW_FIELDS: &[&str] = &["regexes", "regexTarget", "paths", "stopwords", "condition"];

/// Whether a file is in that format: its rules are called `rules`, ours `rule`.
pub(super) fn is_gitleaks(document: Table<'_>) -> bool {
    document.fields.has("rules") && !document.fields.has("rule")
}

impl Reader<'_> {
    /// The rules of a file in that format, and where each begins.
    pub(super) fn gitleaks(&mut self, document: Table<'_>) -> Vec<(Rule, usize)> {
        for (name, at) in names(document) {
            match name.as_str() {
                "rules" | "allowlist" | "allowlists" => {}
                "extend" => self.note(at, "`extend` is left out: what it names is not read; the built-in rules run beside these unless told otherwise"),
                name if SILENT.contains(&name) => {}
                name => self.note(at, format!("`{name}` is left out: it is not known here")),
            }
        }
        let everywhere = self.allows(document);
        let mut rules = Vec::new();
        for table in self.tables(document, "rules") {
            if let Some(mut rule) = self.gitleaks_rule(table) {
                let filter = rule.filter.get_or_insert_default();
                filter.allow.extend(everywhere.iter().cloned());
                rules.push((rule, table.at));
            }
        }
        rules
    }

    fn gitleaks_rule(&mut self, table: Table<'_>) -> Option<Rule> {
        let name = self.required(table, "id")?;
        let id = RuleId(slug(&name));
        if id.0.is_empty() {
            self.say(table.at("id"), "the id has neither a letter nor a digit", None);
            return None;
        }
        for (field, at) in names(table) {
            if !RULE_FIELDS.contains(&field.as_str()) && !SILENT.contains(&field.as_str()) {
                self.note(
                    at,
                    format!("`{field}` of `{name}` is left out: it cannot be expressed here"),
                );
            }
        }
        if table.field("regex").is_none() {
            self.note(
                table.at,
                format!("`{name}` is left out: it has no `regex`, and a path alone is no secret"),
            );
            return None;
        }
        let source = self.text(table, "regex")?;
        let at = table.at("regex");
        let hir = match parse_regex(&source) {
            Ok(hir) if !has_unicode_class(&hir) => hir,
            Err(reason) if reason != UNICODE => {
                let hint = super::hint_for(&reason);
                self.say(at, format!("`regex` is no expression: {reason}"), Some(hint));
                return None;
            }
            Ok(_) | Err(_) => {
                self.note(
                    at,
                    format!("`{name}` is left out: it has a Unicode class, and files are bytes"),
                );
                return None;
            }
        };
        let group = match table.field("secretGroup") {
            None => None,
            Some(_) => self.number(table, "secretGroup").filter(|group| *group > 0),
        };
        let group = group.or_else(|| (hir.properties().explicit_captures_len() > 0).then_some(1));
        let hir = with_secret(&hir, group);
        let (hir, is_clamped) = bounded(&hir);
        if is_clamped {
            self.note(
                at,
                format!("`{name}` has no bound: a match of it ends after {MAX_MATCH} bytes at the latest"),
            );
        }
        let max_bytes = hir.properties().maximum_len().unwrap_or(MAX_MATCH).min(MAX_MATCH);
        let source = hir.to_string();
        if hir.properties().minimum_len().is_none_or(|bytes| bytes == 0) {
            self.note(at, format!("`{name}` is left out: it matches the empty text"));
            return None;
        }
        if compile(&source).is_err() {
            self.note(at, format!("`{name}` is left out: it is too large when compiled"));
            return None;
        }
        let keywords = self.texts(table, "keywords");
        let literals = literals(&hir, &keywords);
        let lead = lead::lead(&hir, &literals);
        let literals = if lead.is_some() { literals } else { Vec::new() };
        let filter = Filter {
            path: self.expression(table, "path"),
            allow: self.allows(table),
        };
        let description = self.text(table, "description").unwrap_or_default();
        let title = match description.is_empty() {
            true => name.clone(),
            false => description.clone(),
        };
        Some(Rule {
            id,
            formerly: Vec::new(),
            title,
            description,
            provider: super::provider(self.file),
            severity: self.known_word(table, "severity").unwrap_or(Severity::High),
            confidence: self.known_word(table, "confidence").unwrap_or(Confidence::Medium),
            kind: SecretKind::Generated,
            identifier: false,
            generic: false,
            anchor: Part {
                name: "anchor".to_owned(),
                literals,
                pattern: Pattern::Regex {
                    source,
                    max_bytes: u32::try_from(max_bytes).unwrap_or(u32::MAX),
                    lead,
                },
                alone: None,
                key: None,
                // The expressions of that format see to it themselves.
                boundary: Boundary::None,
                context: None,
                entropy: self.entropy(table),
                checks: Vec::new(),
                samples: Vec::new(),
                within: 0,
                optional: false,
            },
            parts: Vec::new(),
            paths: Vec::new(),
            filter: Some(Box::new(filter)),
            revoke: String::new(),
            references: Vec::new(),
            covers: Vec::new(),
            examples: Vec::new(),
            counter_examples: Vec::new(),
        })
    }

    /// The `allowlist` and the `allowlists` of a rule or of the file.
    fn allows(&mut self, table: Table<'_>) -> Vec<Allow> {
        let mut tables: Vec<Table<'_>> = match table.field("allowlist") {
            Some((super::Value::Table(fields), at)) => vec![Table { fields, at }],
            _ => Vec::new(),
        };
        tables.extend(self.tables(table, "allowlists"));
        tables.into_iter().map(|table| self.allow(table)).collect()
    }

    fn allow(&mut self, table: Table<'_>) -> Allow {
        for (field, at) in names(table) {
            if !ALLOW_FIELDS.contains(&field.as_str()) && !SILENT.contains(&field.as_str()) {
                self.note(
                    at,
                    format!("`{field}` of an allowlist is left out: an image has none"),
                );
            }
        }
        let target = match self.text_or_empty(table, "regexTarget").as_str() {
            "match" => AllowTarget::Match,
            "line" => AllowTarget::Line,
            _ => AllowTarget::Secret,
        };
        let condition = self.text_or_empty(table, "condition").to_ascii_lowercase();
        let stopwords = self.texts(table, "stopwords").into_iter();
        Allow {
            regexes: self.expressions(table, "regexes"),
            target,
            paths: self.expressions(table, "paths"),
            stopwords: stopwords
                .map(|word| word.to_ascii_lowercase().into_bytes())
                .collect(),
            needs_all: matches!(condition.as_str(), "and" | "&&"),
        }
    }

    fn expressions(&mut self, table: Table<'_>, field: &str) -> Vec<String> {
        let sources = self.texts(table, field);
        let at = table.at(field);
        sources
            .into_iter()
            .filter(|source| self.is_expression(at, field, source))
            .collect()
    }

    fn expression(&mut self, table: Table<'_>, field: &str) -> Option<String> {
        table.field(field)?;
        let source = self.text(table, field)?;
        self.is_expression(table.at(field), field, &source)
            .then_some(source)
    }

    fn is_expression(&mut self, at: usize, field: &str, source: &str) -> bool {
        let problem = match parse_regex(source) {
            Err(reason) => Some(reason),
            Ok(_) => compile(source).err().map(|_| "it is too large".to_owned()),
        };
        if let Some(reason) = &problem {
            let hint = super::hint_for(reason);
            self.say(at, format!("`{field}` is no expression: {reason}"), Some(hint));
        }
        problem.is_none()
    }

    fn known_word<T: std::str::FromStr>(&mut self, table: Table<'_>, field: &str) -> Option<T> {
        table.field(field)?;
        self.text(table, field)?.to_ascii_lowercase().parse().ok()
    }

    fn text_or_empty(&mut self, table: Table<'_>, field: &str) -> String {
        match table.field(field) {
            None => String::new(),
            Some(_) => self.text(table, field).unwrap_or_default(),
        }
    }
}

fn names(table: Table<'_>) -> Vec<(String, usize)> {
    let fields = table.fields.iter();
    fields
        .map(|field| (field.name.to_string(), field.at as usize))
        .collect()
}

/// An id in our form: words of lower-case letters and digits, joined by hyphens.
fn slug(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").chars().take(80).collect()
}

/// The expression with the group of this number as `secret` and no other group.
fn with_secret(hir: &Hir, group: Option<u32>) -> Hir {
    rebuilt(hir, &mut |hir| match hir.kind() {
        HirKind::Capture(capture) => {
            let sub = with_secret(&capture.sub, group);
            Some(match Some(capture.index) == group {
                true => Hir::capture(Capture {
                    index: 1,
                    name: Some("secret".into()),
                    sub: Box::new(sub),
                }),
                false => sub,
            })
        }
        _ => None,
    })
}

/// The expression with a bound for every repetition, and whether one had none: together a match has at most
/// [`MAX_MATCH`] bytes.
fn bounded(hir: &Hir) -> (Hir, bool) {
    if hir
        .properties()
        .maximum_len()
        .is_some_and(|bytes| bytes <= MAX_MATCH)
    {
        return (hir.clone(), false);
    }
    let clamped = |most: u32| clamp(hir, most);
    // From generous to narrow: what is in front of an unbounded repetition has its share too.
    let bounds = [8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8];
    let fitting = bounds.into_iter().map(clamped).find(|hir| {
        let fits = hir
            .properties()
            .maximum_len()
            .is_some_and(|bytes| bytes <= MAX_MATCH);
        fits && compile(&hir.to_string()).is_ok()
    });
    (fitting.unwrap_or_else(|| clamped(4)), true)
}

fn clamp(hir: &Hir, most: u32) -> Hir {
    rebuilt(hir, &mut |hir| match hir.kind() {
        HirKind::Repetition(repetition) if repetition.max.is_none_or(|max| max > most) => {
            Some(Hir::repetition(Repetition {
                min: repetition.min,
                max: Some(most.max(repetition.min)),
                greedy: repetition.greedy,
                sub: Box::new(clamp(&repetition.sub, most)),
            }))
        }
        _ => None,
    })
}

/// The expression with each part that `replace` has something for replaced, from the outside in.
fn rebuilt(hir: &Hir, replace: &mut dyn FnMut(&Hir) -> Option<Hir>) -> Hir {
    if let Some(replaced) = replace(hir) {
        return replaced;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(rebuilt(&repetition.sub, replace)),
            ..repetition.clone()
        }),
        HirKind::Capture(capture) => Hir::capture(Capture {
            sub: Box::new(rebuilt(&capture.sub, replace)),
            ..capture.clone()
        }),
        HirKind::Concat(subs) => Hir::concat(subs.iter().map(|sub| rebuilt(sub, replace)).collect()),
        HirKind::Alternation(subs) => {
            Hir::alternation(subs.iter().map(|sub| rebuilt(sub, replace)).collect())
        }
    }
}

/// Texts of which every match holds one: the keywords, where that is so, else what the expression has of its own.
fn literals(hir: &Hir, keywords: &[String]) -> Vec<Literal> {
    let keywords = keywords.iter().map(|word| word.to_ascii_lowercase().into_bytes());
    let keywords: Vec<Literal> = keywords.map(any_case).collect();
    let all_fit = keywords
        .iter()
        .all(|literal| (2..=LITERAL_BYTES).contains(&literal.text.len()));
    if !keywords.is_empty() && all_fit && lead::lead(hir, &keywords).is_some() {
        return keywords;
    }
    let mut runs = Vec::new();
    collect(hir, &mut runs);
    let fitting = |runs: &Vec<Vec<u8>>| {
        let fit = runs.iter().all(|run| (3..=LITERAL_BYTES).contains(&run.len()));
        let literals: Vec<Literal> = runs.iter().cloned().map(any_case).collect();
        (fit && !runs.is_empty() && lead::lead(hir, &literals).is_some()).then_some(literals)
    };
    // Of several the longest is the rarest.
    runs.sort_by_key(|runs| std::cmp::Reverse(runs.iter().map(Vec::len).min()));
    runs.iter().find_map(fitting).unwrap_or_default()
}

fn any_case(text: Vec<u8>) -> Literal {
    Literal {
        text,
        ignore_case: true,
    }
}

/// Adds to `found` sets of texts, lower-case, each of which may be such that every match holds one of the set.
fn collect(hir: &Hir, found: &mut Vec<Vec<Vec<u8>>>) {
    match hir.kind() {
        HirKind::Capture(capture) => collect(&capture.sub, found),
        HirKind::Repetition(repetition) if repetition.min > 0 => collect(&repetition.sub, found),
        HirKind::Alternation(subs) => {
            let branches: Vec<Vec<Vec<Vec<u8>>>> = subs
                .iter()
                .map(|sub| {
                    let mut sets = Vec::new();
                    collect(sub, &mut sets);
                    sets
                })
                .collect();
            // The longest of each branch, together.
            let best = branches
                .iter()
                .map(|sets| sets.iter().max_by_key(|set| set.iter().map(Vec::len).min()));
            if let Some(best) = best.collect::<Option<Vec<_>>>() {
                found.push(best.into_iter().flatten().cloned().collect());
            }
        }
        HirKind::Literal(literal) => found.push(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Concat(subs) => {
            let mut run: Vec<u8> = Vec::new();
            for sub in subs {
                match fixed(sub) {
                    Some(bytes) => run.extend(bytes),
                    None => {
                        if !run.is_empty() {
                            found.push(vec![std::mem::take(&mut run)]);
                        }
                        collect(sub, found);
                    }
                }
            }
            if !run.is_empty() {
                found.push(vec![run]);
            }
        }
        _ => {}
    }
}

/// The one text, lower-case, that a part of an expression stands for, whatever its case.
fn fixed(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_ascii_lowercase()),
        HirKind::Capture(capture) => fixed(&capture.sub),
        HirKind::Concat(subs) => {
            let subs: Option<Vec<Vec<u8>>> = subs.iter().map(fixed).collect();
            Some(subs?.concat())
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut letters = class
                .ranges()
                .iter()
                .flat_map(|range| range.start()..=range.end());
            let first = letters.next()?.to_ascii_lowercase();
            letters
                .all(|letter| letter.to_ascii_lowercase() == first)
                .then(|| vec![first])
        }
        _ => None,
    }
}
