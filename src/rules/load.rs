//! Reads rules from TOML and refuses what is wrong with file, line and hint. Does not expand examples: see
//! [`super::example`].
//!
//! All problems of all files are collected, so that a writer of rules mends them in one round.

mod bounds;
mod gitleaks;
mod key;
mod tree;

use std::collections::HashMap;
use std::io::Write as _;
use std::ops::Range;
use std::str::FromStr;

use regex_syntax::hir::{Class, Hir, HirKind};
use sha2::{Digest as _, Sha256};
use toml::de::DeTable;

use super::rule::{Context, Example, Extractor, Literal, MAX_MATCH, Part, Pattern, REACH, Rule, RuleSet};
use super::{Confidence, Evidence, RuleId, Severity, builtin, example, lead};
use bounds::Bounds;
use key::Key;
use tree::{Fields, Value};

/// Everything wrong with a set of rules.
#[derive(Debug, thiserror::Error)]
#[error("{} in the rules", if self.problems.len() == 1 { "a problem".to_owned() } else { format!("{} problems", self.problems.len()) })]
pub struct LoadError {
    /// The problems in order of file and line.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl RuleSet {
    /// The built-in rules and those of `files` (name and text). A rule of a file replaces a built-in one of its id.
    ///
    /// *Errors*: every problem of every file, in order of file and line. *Cost*: expressions of built-in rules are
    /// parsed but not compiled; those of `files` are compiled once to see that they keep to [`COMPILED_BYTES`].
    pub fn load(files: &[(String, String)]) -> Result<Self, LoadError> {
        let mut problems = Vec::new();
        let builtin = Batch::read(
            builtin::FILES
                .iter()
                .map(|&(file, text, tree)| Source::parsed(file, text, tree)),
            Origin::BuiltIn,
            &mut problems,
        );
        let user = Batch::read(
            files.iter().map(|(file, text)| Source::new(file, text)),
            Origin::User,
            &mut problems,
        );
        if !problems.is_empty() {
            return Err(LoadError { problems });
        }
        let overrides = user.overrides;
        let mut rules = user.rules;
        let replaced: Vec<RuleId> = rules.iter().map(|rule| rule.id.clone()).collect();
        rules.extend(
            builtin
                .rules
                .into_iter()
                .filter(|rule| !replaced.contains(&rule.id)),
        );
        overrides
            .iter()
            .for_each(|change| change.apply(&mut rules, &mut problems));
        match problems.is_empty() {
            true => Ok(Self::of(rules, user.notes)),
            false => Err(LoadError { problems }),
        }
    }

    /// The rules of `files` without the built-in ones, as for [`RuleSet::load`].
    pub fn load_only(files: &[(String, String)]) -> Result<Self, LoadError> {
        let mut problems = Vec::new();
        let files = files.iter().map(|(file, text)| Source::new(file, text));
        let mut batch = Batch::read(files, Origin::User, &mut problems);
        let overrides = std::mem::take(&mut batch.overrides);
        let builtin = (!overrides.is_empty()).then(Self::builtin);
        for change in &overrides {
            let is_own = batch.rules.iter().any(|rule| rule.id.0 == change.id);
            let is_builtin = builtin
                .as_ref()
                .is_some_and(|rules| rules.find(&change.id).is_some());
            // What it changes of the built-in rules is left out with them.
            if is_own || !is_builtin {
                change.apply(&mut batch.rules, &mut problems);
            }
        }
        if problems.is_empty() {
            Ok(Self::of(batch.rules, batch.notes))
        } else {
            Err(LoadError { problems })
        }
    }

    /// The built-in rules.
    pub fn builtin() -> Self {
        Self::load(&[]).expect("the built-in rules are checked by the tests")
    }

    fn of(mut rules: Vec<Rule>, notes: Vec<Problem>) -> Self {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let mut set = Self {
            rules,
            hash: String::new(),
            notes,
        };
        set.rehash();
        set
    }

    pub(super) fn rehash(&mut self) {
        let mut canon = Canon(Vec::new());
        canon.text(ENGINE);
        canon.count(self.rules.len());
        let mut digest = Sha256::new();
        for rule in &self.rules {
            canon.rule(rule);
            // All rules at once are half a megabyte of fresh memory.
            digest.update(&canon.0);
            canon.0.clear();
        }
        digest.update(&canon.0);
        self.hash = format!("sha256:{}", crate::text::hex(&digest.finalize()));
    }
}

/// What searches with rules: the version, and a digest of the sources it is built of. What was found by one build is not
/// taken for what another one would find.
pub const ENGINE: &str = concat!(env!("CARGO_PKG_VERSION"), " ", env!("LAYERSIFT_SOURCES"));

/// The most memory a compiled expression may take. A class of characters repeated [`MAX_MATCH`] times fits.
pub const COMPILED_BYTES: usize = 8 * 1024 * 1024;

/// Nesting of groups in an expression; deeper ones are refused before they can use up the stack.
const NESTING: u32 = 64;

/// Bytes of a literal: the prefilter reads a window's owned bytes and so many more.
const LITERAL_BYTES: usize = 128;

const RULE_FIELDS: &[&str] = &[
    "id",
    "title",
    "description",
    "severity",
    "confidence",
    "kind",
    "formerly",
    "covers",
    "revoke",
    "references",
    "paths",
    "identifier",
    "generic",
    "part",
    "example",
    "counter",
    "key",
    "key_names",
    "key_words",
    "value",
    "literals",
    "regex",
    "extract",
    "boundary",
    "entropy",
    "checks",
    "samples",
    "context",
];
const PART_FIELDS: &[&str] = &[
    "name",
    "within",
    "optional",
    "key",
    "key_names",
    "key_words",
    "literals",
    "regex",
    "extract",
    "alone_regex",
    "boundary",
    "entropy",
    "checks",
    "samples",
    "context",
];
const OVERRIDE_FIELDS: &[&str] = &["id", "severity", "confidence", "enabled"];
const CONTEXT_FIELDS: &[&str] = &["any", "before", "after"];
const LITERAL_FIELDS: &[&str] = &["text", "ignore_case"];
const EXAMPLE_FIELDS: &[&str] = &["text", "path", "expect"];
const COUNTER_FIELDS: &[&str] = &["text", "path", "strict"];

/// Parses an expression as all rules mean it: over bytes, without Unicode classes.
pub(crate) fn parse_regex(source: &str) -> Result<Hir, String> {
    regex_syntax::ParserBuilder::new()
        .utf8(false)
        .unicode(false)
        .nest_limit(NESTING)
        .build()
        .parse(source)
        .map_err(|error| match error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => match error.kind() {
                regex_syntax::hir::ErrorKind::UnicodeNotAllowed => UNICODE.to_owned(),
                kind => kind.to_string(),
            },
            error => error.to_string(),
        })
}

/// Why an expression with a class such as `\pL` is none here.
const UNICODE: &str = "it has a Unicode class, and files are bytes";

/// What to write instead of what is no expression.
fn hint_for(reason: &str) -> String {
    let hint = match reason {
        UNICODE => "write the ranges of bytes: `[A-Za-z\\x80-\\xff]`",
        _ if reason.contains("look-around") => {
            "every expression runs in linear time: write what may follow as part of it, and mark the secret with a group"
        }
        _ if reason.contains("backreferences") => {
            "every expression runs in linear time: write both texts out"
        }
        _ => "the syntax is that of the `regex` crate; between ''' and ''' TOML changes nothing",
    };
    hint.to_owned()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    BuiltIn,
    User,
}

/// What a file changes of a rule that is not its own.
struct Override {
    id: String,
    severity: Option<Severity>,
    confidence: Option<Confidence>,
    enabled: bool,
    /// Where it stands.
    problem: Problem,
}

impl Override {
    fn apply(&self, rules: &mut Vec<Rule>, problems: &mut Vec<Problem>) {
        let Some(at) = rules.iter().position(|rule| rule.id.0 == self.id) else {
            problems.push(self.problem.clone());
            return;
        };
        if !self.enabled {
            rules.remove(at);
            return;
        }
        let rule = &mut rules[at];
        rule.severity = self.severity.unwrap_or(rule.severity);
        rule.confidence = self.confidence.unwrap_or(rule.confidence);
    }
}

/// The rules of files of one origin.
struct Batch {
    rules: Vec<Rule>,
    overrides: Vec<Override>,
    notes: Vec<Problem>,
}

impl Batch {
    fn read<'a>(
        files: impl Iterator<Item = Source<'a>>,
        origin: Origin,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        let mut notes: Vec<Problem> = Vec::new();
        let mut overrides = Vec::new();
        // By id, the file that has it, its text, and the place in it: lines are counted where one is told.
        let mut places: HashMap<String, (&str, &str, usize)> = HashMap::new();
        for (mut reader, found) in read(&files.collect::<Vec<_>>(), origin) {
            for (rule, at) in found {
                for id in std::iter::once(&rule.id).chain(&rule.formerly) {
                    match places.get(&id.0) {
                        Some((file, text, other)) => {
                            let hint = format!("it is taken at {file}:{}", line(text, *other));
                            reader.say(at, format!("the id `{id}` is used twice"), Some(hint));
                        }
                        None => {
                            places.insert(id.0.clone(), (reader.file, reader.text, at));
                        }
                    }
                }
                rules.push(rule);
            }
            reader.problems.sort_by_key(|problem| problem.line);
            problems.append(&mut reader.problems);
            reader.notes.sort_by_key(|note| note.line);
            notes.append(&mut reader.notes);
            overrides.append(&mut reader.overrides);
        }
        Self {
            rules,
            overrides,
            notes,
        }
    }
}

/// What one file holds: its rules and where each begins.
type ReadFile<'a> = (Reader<'a>, Vec<(Rule, usize)>);

/// Threads that read files of rules. More gain little: one file takes a hundredth of all of them.
const THREADS: usize = 4;

/// Reads files, in their order, on as many threads as there are processors: with the built-in rules, parsing them and
/// their expressions is most of what a small scan takes.
fn read<'a>(files: &[Source<'a>], origin: Origin) -> Vec<ReadFile<'a>> {
    let read_one = |&Source { file, text, tree }: &Source<'a>| {
        let mut reader = Reader {
            file,
            text,
            tree,
            origin,
            problems: Vec::new(),
            notes: Vec::new(),
            overrides: Vec::new(),
            #[cfg(test)]
            worked_out: Vec::new(),
        };
        let rules = reader.file();
        (reader, rules)
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS);
    if threads == 1 || files.len() < threads {
        return files.iter().map(read_one).collect();
    }
    let share = files.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let started: Vec<_> = files
            .chunks(share)
            .map(|files| scope.spawn(move || files.iter().map(read_one).collect::<Vec<_>>()))
            .collect();
        started
            .into_iter()
            .flat_map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

/// A file of rules.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a str,
    text: &'a str,
    /// What it is parsed to, where the build script did that.
    tree: Option<&'a [u8]>,
}

impl<'a> Source<'a> {
    fn new(file: &'a str, text: &'a str) -> Self {
        let tree = None;
        Self { file, text, tree }
    }

    fn parsed(file: &'a str, text: &'a str, tree: &'a [u8]) -> Self {
        let tree = Some(tree);
        Self { file, text, tree }
    }
}

/// Reads one file.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    tree: Option<&'a [u8]>,
    origin: Origin,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
    overrides: Vec<Override>,
    /// What `bounds` may list.
    #[cfg(test)]
    worked_out: Vec<(u64, Bounds)>,
}

/// A table and where it begins.
#[derive(Clone, Copy)]
struct Table<'a> {
    fields: &'a Fields<'a>,
    at: usize,
}

impl<'a> Table<'a> {
    fn field(&self, name: &str) -> Option<(&'a Value<'a>, usize)> {
        let placed = self.fields.find(name)?;
        Some((&placed.value, placed.at as usize))
    }

    /// Where a field stands, or the table where it is missing.
    fn at(&self, name: &str) -> usize {
        self.field(name).map_or(self.at, |(_, at)| at)
    }
}

/// The line that a byte is in.
fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
}

impl<'a> Reader<'a> {
    fn line(&self, at: usize) -> usize {
        line(self.text, at)
    }

    fn say(&mut self, at: usize, message: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: self.line(at),
            message: message.into(),
            hint,
        });
    }

    /// Keeps what whoever uses the file should know.
    fn note(&mut self, at: usize, message: impl Into<String>) {
        self.notes.push(Problem {
            file: self.file.to_owned(),
            line: self.line(at),
            message: message.into(),
            hint: None,
        });
    }

    fn parse(&mut self) -> Option<Fields<'a>> {
        if let Some(tree) = self.tree {
            return Some(postcard::from_bytes(tree).expect("the build script wrote it"));
        }
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(0, |span: Range<usize>| span.start);
            self.say(at, format!("not valid TOML: {}", error.message()), None);
        }
        errors.is_empty().then(|| Fields::from(document.get_ref()))
    }

    fn file(&mut self) -> Vec<(Rule, usize)> {
        let Some(fields) = self.parse() else {
            return Vec::new();
        };
        let document = Table {
            fields: &fields,
            at: 0,
        };
        if self.origin == Origin::User && gitleaks::is_gitleaks(document) {
            return self.gitleaks(document);
        }
        self.known_fields(document, &["rule", "override"], "a rules file");
        for table in self.tables(document, "override") {
            self.change(table);
        }
        self.tables(document, "rule")
            .into_iter()
            .filter_map(|table| Some((self.rule(table)?, table.at)))
            .collect()
    }

    fn change(&mut self, table: Table<'_>) {
        self.known_fields(table, OVERRIDE_FIELDS, "an override");
        let severity = self.word(table, "severity");
        let confidence = self.word(table, "confidence");
        let enabled = table.field("enabled").is_none() || self.flag(table, "enabled");
        let Some(id) = self.required(table, "id") else {
            return;
        };
        let problem = Problem {
            file: self.file.to_owned(),
            line: self.line(table.at("id")),
            message: format!("there is no rule `{id}` to override"),
            hint: Some("`layersift rules list` names them".to_owned()),
        };
        self.overrides.push(Override {
            id,
            severity,
            confidence,
            enabled,
            problem,
        });
    }

    fn rule(&mut self, table: Table<'_>) -> Option<Rule> {
        self.known_fields(table, RULE_FIELDS, "a rule");
        let before = self.problems.len();

        let id = self.required(table, "id");
        if let Some(id) = id.as_deref() {
            self.check_id(table.at("id"), id);
        }
        let title = self.required(table, "title");
        let severity: Option<Severity> = self.required_word(table, "severity");
        let confidence: Option<Confidence> = self.required_word(table, "confidence");
        let description = self.built_in_text(table, "description");
        let revoke = self.built_in_text(table, "revoke");
        let formerly = self.texts(table, "formerly");
        for former in &formerly {
            self.check_id(table.at("formerly"), former);
        }
        let identifier = self.flag(table, "identifier");
        let generic = self.flag(table, "generic");

        let mut anchor = self.part(table, Role::Anchor);
        let mut parts = Vec::new();
        for part in self.tables(table, "part") {
            self.known_fields(part, PART_FIELDS, "a part");
            parts.extend(self.part(part, Role::Companion));
        }
        if identifier && parts.iter().all(|part| part.optional) {
            let hint = "add a `[[rule.part]]` that is not optional, or remove `identifier`".to_owned();
            self.say(
                table.at("identifier"),
                "an identifier needs a part that makes it a leak",
                Some(hint),
            );
        }
        if let Some(anchor) = &mut anchor {
            "anchor".clone_into(&mut anchor.name);
            self.check_reach(table, anchor, &parts);
        }

        let examples = self.examples(table, "example", EXAMPLE_FIELDS);
        let counter_examples = self.examples(table, "counter", COUNTER_FIELDS);
        if self.origin == Origin::BuiltIn && examples.is_empty() {
            self.say(
                table.at,
                "the rule has no example",
                Some("add a `[[rule.example]]`".to_owned()),
            );
        }
        let paths = self.globs(table);
        let kind = self.word(table, "kind").unwrap_or_default();
        let covers = self.texts(table, "covers");
        let references = self.texts(table, "references");

        if self.problems.len() > before {
            return None;
        }
        Some(Rule {
            id: RuleId(id?),
            formerly: formerly.into_iter().map(RuleId).collect(),
            title: title?,
            description: description.unwrap_or_default(),
            provider: provider(self.file),
            severity: severity?,
            confidence: confidence?,
            kind,
            identifier,
            generic,
            anchor: anchor?,
            parts,
            paths,
            filter: None,
            revoke: revoke.unwrap_or_default(),
            references,
            covers,
            examples,
            counter_examples,
        })
    }

    fn part(&mut self, table: Table<'_>, role: Role) -> Option<Part> {
        let key = self.key(table);
        let leading = key.as_ref().filter(|_| !table.fields.has("value"));
        let literals = match leading {
            Some(key) => key.literals(),
            None => self.literals(table),
        };
        let has_field = |name: &str| table.fields.has(name);
        let is_read = role == Role::Anchor && has_field("value") && !has_field("literals");
        let leads = ["key", "key_names", "key_words", "literals", "paths"]
            .into_iter()
            .any(has_field);
        if role == Role::Anchor && !leads {
            let hint = "without a text that leads to it, the expression would have to run over every byte"
                .to_owned();
            self.say(table.at, "the rule has no `literals`", Some(hint));
        }
        if role == Role::Companion && leading.is_some() && literals.is_empty() {
            let hint =
                "only the anchor is found by its name alone: say what such a key begins with".to_owned();
            self.say(table.at, "no text leads to the key of the part", Some(hint));
        }
        let context = self.context(table);
        let has_alone = table.fields.has("alone_regex");
        let led_by = if has_alone { &[][..] } else { &literals };
        let name = match (&key, role) {
            (Some(key), Role::Anchor) => self.key_name(table, key),
            _ => None,
        };
        let pattern = match &name {
            Some(name) if is_read => Some(name.value.clone()),
            _ => self.pattern(table, leading, led_by, context.as_ref()),
        };
        let alone = if has_alone {
            let source = self.text(table, "alone_regex");
            source.and_then(|source| self.regex(table, "alone_regex", source, &literals, context.as_ref()))
        } else {
            None
        };
        if has_alone && literals.is_empty() {
            self.say(
                table.at("alone_regex"),
                "`alone_regex` without `literals`",
                Some("a half that is found alone needs literals that lead to it".to_owned()),
            );
        }
        let (label, within) = match role {
            Role::Anchor => (Some(String::new()), Some(0)),
            Role::Companion => (self.required(table, "name"), self.number(table, "within")),
        };
        if role == Role::Companion && within.is_none() && !table.fields.has("within") {
            self.say(
                table.at,
                "the part has no `within`",
                Some("say how many bytes from the anchor it may lie".to_owned()),
            );
        }
        let boundary = self.word(table, "boundary").unwrap_or_default();
        let entropy = self.entropy(table);
        let checks = self.words(table, "checks");
        let samples = self.samples(table);
        let optional = self.flag(table, "optional");
        Some(Part {
            name: label?,
            literals,
            pattern: pattern?,
            alone,
            key: name,
            boundary,
            context,
            entropy,
            checks,
            samples,
            within: within?,
            optional,
        })
    }

    fn pattern(
        &mut self,
        table: Table<'_>,
        key: Option<&Key>,
        literals: &[Literal],
        context: Option<&Context>,
    ) -> Option<Pattern> {
        match (table.fields.has("regex"), table.fields.has("extract")) {
            (true, false) => {
                let source = self.text(table, "regex")?;
                let source = match key {
                    // What is no expression by itself is told of as it stands.
                    Some(key) if self.origin == Origin::BuiltIn || parse_regex(&source).is_ok() => {
                        key.before(&source)
                    }
                    _ => source,
                };
                self.regex(table, "regex", source, literals, context)
            }
            (false, true) => {
                if !table.fields.has("literals") {
                    let hint = "`extract` begins at a literal".to_owned();
                    self.say(table.at("extract"), "`extract` without `literals`", Some(hint));
                }
                self.word::<Extractor>(table, "extract").map(Pattern::Extractor)
            }
            (true, true) => {
                self.say(
                    table.at("extract"),
                    "both `regex` and `extract`",
                    Some("keep one of them".to_owned()),
                );
                None
            }
            (false, false) => {
                self.say(table.at, "neither `regex` nor `extract`", None);
                None
            }
        }
    }

    fn regex(
        &mut self,
        table: Table<'_>,
        field: &str,
        source: String,
        literals: &[Literal],
        context: Option<&Context>,
    ) -> Option<Pattern> {
        if self.origin == Origin::BuiltIn
            && let Some(Bounds { max_bytes, lead }) = Bounds::known(&source, literals)
        {
            return Some(Pattern::Regex {
                source,
                max_bytes,
                lead,
            });
        }
        let at = table.at(field);
        let hir = match parse_regex(&source) {
            Ok(hir) => hir,
            Err(reason) => {
                let hint = hint_for(&reason);
                self.say(at, format!("`{field}` is no expression: {reason}"), Some(hint));
                return None;
            }
        };
        if has_unicode_class(&hir) {
            let hint = "expressions are over bytes: write the ASCII ranges".to_owned();
            self.say(at, format!("`{field}` has a Unicode class"), Some(hint));
            return None;
        }
        let groups = group_names(&hir);
        if !groups.is_empty() && !groups.iter().any(|name| name.as_deref() == Some("secret")) {
            let hint = "name the group `(?P<secret>…)`, or write `(?:…)` where the whole match is the secret"
                .to_owned();
            self.say(
                at,
                format!("`{field}` has groups and none is `secret`"),
                Some(hint),
            );
        }
        if hir.properties().minimum_len().is_none_or(|bytes| bytes == 0) {
            self.say(at, format!("`{field}` matches the empty text"), None);
            return None;
        }
        let max_bytes = match hir.properties().maximum_len() {
            Some(bytes) if bytes <= MAX_MATCH => u32::try_from(bytes).ok()?,
            Some(bytes) => {
                let hint = format!("a match may have {MAX_MATCH} bytes");
                self.say(
                    at,
                    format!("a match of `{field}` can have {bytes} bytes"),
                    Some(hint),
                );
                return None;
            }
            None => {
                let hint =
                    format!("bound it, as `{{0,200}}` instead of `*`; a match may have {MAX_MATCH} bytes");
                self.say(at, format!("`{field}` has no bound"), Some(hint));
                return None;
            }
        };
        if self.origin == Origin::User && compile(&source).is_err() {
            let hint = "use smaller repetitions".to_owned();
            self.say(at, format!("`{field}` is too large when compiled"), Some(hint));
            return None;
        }
        let lead = lead::lead(&hir, literals);
        if lead.is_none() && !literals.is_empty() && !context.is_some_and(|context| led_by(context, literals))
        {
            let hint =
                "every match, or each of its `context` words, must hold one of the literals".to_owned();
            self.say(
                at,
                format!("`{field}` can match without any of the `literals`"),
                Some(hint),
            );
        }
        #[cfg(test)]
        self.worked_out
            .push((bounds::key(&source, literals), Bounds { max_bytes, lead }));
        Some(Pattern::Regex {
            source,
            max_bytes,
            lead,
        })
    }

    fn literals(&mut self, table: Table<'_>) -> Vec<Literal> {
        let mut literals = Vec::new();
        for (value, at) in self.items(table, "literals") {
            let (text, ignore_case) = match value {
                Value::Text(text) => (text.to_string(), false),
                Value::Table(fields) => {
                    let literal = Table { fields, at };
                    self.known_fields(literal, LITERAL_FIELDS, "a literal");
                    let Some(text) = self.required(literal, "text") else {
                        continue;
                    };
                    (text, self.flag(literal, "ignore_case"))
                }
                other => {
                    self.wrong_type(
                        at,
                        "literals",
                        "texts or `{ text = …, ignore_case = true }`",
                        other,
                    );
                    continue;
                }
            };
            if !(2..=LITERAL_BYTES).contains(&text.len()) {
                let hint = format!("a literal has 2 to {LITERAL_BYTES} bytes");
                self.say(
                    at,
                    format!("the literal `{text}` has {} bytes", text.len()),
                    Some(hint),
                );
                continue;
            }
            let mut text = text.into_bytes();
            if ignore_case {
                text.make_ascii_lowercase();
            }
            literals.push(Literal { text, ignore_case });
        }
        literals
    }

    fn context(&mut self, table: Table<'_>) -> Option<Context> {
        let (value, at) = table.field("context")?;
        let Value::Table(fields) = value else {
            self.wrong_type(at, "context", "a table", value);
            return None;
        };
        let context = Table { fields, at };
        self.known_fields(context, CONTEXT_FIELDS, "a context");
        let any = self.texts(context, "any");
        if any.is_empty() || any.iter().any(String::is_empty) {
            self.say(at, "the context has no word in `any`", None);
        }
        Some(Context {
            any: any
                .into_iter()
                .map(|word| word.to_ascii_lowercase().into_bytes())
                .collect(),
            before: self.number(context, "before").unwrap_or(0),
            after: self.number(context, "after").unwrap_or(0),
        })
    }

    /// Refuses a rule that looks further than the windows overlap.
    fn check_reach(&mut self, table: Table<'_>, anchor: &Part, parts: &[Part]) {
        let companions = parts
            .iter()
            .map(|part| part.within as usize + part.margin())
            .max()
            .unwrap_or(0);
        let furthest = parts
            .iter()
            .map(|part| part.furthest() + part.margin())
            .chain([anchor.furthest() + anchor.margin().max(companions)])
            .max()
            .unwrap_or(0);
        if furthest > REACH {
            let hint =
                format!("at most {REACH} bytes: shorten `within`, `before`, `after` or the expression");
            self.say(
                table.at,
                format!("the rule looks {furthest} bytes around a literal"),
                Some(hint),
            );
        }
    }

    fn samples(&mut self, table: Table<'_>) -> Vec<[u8; 32]> {
        let mut samples = Vec::new();
        for text in self.texts(table, "samples") {
            match sha256_from_hex(&text) {
                Some(digest) => samples.push(digest),
                None => {
                    let hint = "write the SHA-256 of the value in 64 lower-case hex digits".to_owned();
                    self.say(table.at("samples"), "a sample is no SHA-256", Some(hint));
                }
            }
        }
        samples
    }

    fn globs(&mut self, table: Table<'_>) -> Vec<globset::Glob> {
        let mut globs = Vec::new();
        for text in self.texts(table, "paths") {
            match globset::GlobBuilder::new(&text).literal_separator(true).build() {
                Ok(glob) => globs.push(glob),
                Err(error) => {
                    self.say(
                        table.at("paths"),
                        format!("`{text}` is no glob: {}", error.kind()),
                        None,
                    );
                }
            }
        }
        globs
    }

    fn examples(&mut self, table: Table<'_>, field: &str, fields: &[&str]) -> Vec<Example> {
        let mut examples = Vec::new();
        for example in self.tables(table, field) {
            self.known_fields(example, fields, "an example");
            let Some(template) = self.required(example, "text") else {
                continue;
            };
            // Of ours the tests see to it.
            if self.origin == Origin::User
                && let Err(error) = example::Template::parse(&template)
            {
                self.say(
                    example.at("text"),
                    format!("the example does not parse: {error}"),
                    None,
                );
            }
            examples.push(Example {
                template,
                path: self.text(example, "path"),
                expect: self.words::<Evidence>(example, "expect"),
                strict: self.flag(example, "strict"),
            });
        }
        examples
    }

    fn entropy(&mut self, table: Table<'_>) -> Option<f32> {
        let (value, at) = table.field("entropy")?;
        let bits = match value {
            Value::Float(bits) => Some(*bits),
            Value::Integer(bits) => bits.map(|bits| bits as f32),
            _ => None,
        };
        match bits {
            Some(bits) if (0.0..=8.0).contains(&bits) => Some(bits),
            _ => {
                self.say(
                    at,
                    "`entropy` is no number from 0 to 8",
                    Some("bits per byte".to_owned()),
                );
                None
            }
        }
    }

    fn check_id(&mut self, at: usize, id: &str) {
        let word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if id.len() > 80 || !id.split('-').all(word) {
            let hint = "lower-case words and digits joined by hyphens, at most 80 bytes".to_owned();
            self.say(at, format!("`{id}` is no id"), Some(hint));
        }
    }

    // What follows reads single fields and complains about their type.

    fn known_fields(&mut self, table: Table<'_>, known: &[&str], what: &str) {
        for field in table.fields.iter() {
            let name: &str = &field.name;
            if !known.contains(&name) {
                let hint = match closest(name, known) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("it has: {}", known.join(", ")),
                };
                self.say(
                    field.at as usize,
                    format!("{what} has no field `{name}`"),
                    Some(hint),
                );
            }
        }
    }

    fn wrong_type(&mut self, at: usize, field: &str, wanted: &str, value: &Value<'_>) {
        self.say(
            at,
            format!("`{field}` takes {wanted}, not {}", value.kind()),
            None,
        );
    }

    fn text(&mut self, table: Table<'_>, field: &str) -> Option<String> {
        let (value, at) = table.field(field)?;
        if let Value::Text(text) = value {
            return Some(text.to_string());
        }
        self.wrong_type(at, field, "a text", value);
        None
    }

    fn required(&mut self, table: Table<'_>, field: &str) -> Option<String> {
        if !table.fields.has(field) {
            self.say(table.at, format!("the field `{field}` is missing"), None);
        }
        let text = self.text(table, field)?;
        if text.is_empty() {
            self.say(table.at(field), format!("`{field}` is empty"), None);
        }
        Some(text)
    }

    /// A text that only the built-in rules must have.
    fn built_in_text(&mut self, table: Table<'_>, field: &str) -> Option<String> {
        match self.origin {
            Origin::BuiltIn => self.required(table, field),
            Origin::User => self.text(table, field),
        }
    }

    fn flag(&mut self, table: Table<'_>, field: &str) -> bool {
        match table.field(field) {
            None => false,
            Some((Value::Boolean(flag), _)) => *flag,
            Some((value, at)) => {
                self.wrong_type(at, field, "true or false", value);
                false
            }
        }
    }

    fn number(&mut self, table: Table<'_>, field: &str) -> Option<u32> {
        let (value, at) = table.field(field)?;
        let number = match value {
            Value::Integer(integer) => *integer,
            _ => None,
        };
        // Also keeps sums of several such numbers far from an overflow.
        if number.is_none_or(|number| number as usize > REACH) {
            self.say(at, format!("`{field}` is no number of bytes up to {REACH}"), None);
            return None;
        }
        number
    }

    fn word<T: FromStr<Err = String>>(&mut self, table: Table<'_>, field: &str) -> Option<T> {
        let text = self.text(table, field)?;
        self.parse_word(table.at(field), field, &text)
    }

    fn required_word<T: FromStr<Err = String>>(&mut self, table: Table<'_>, field: &str) -> Option<T> {
        let text = self.required(table, field)?;
        self.parse_word(table.at(field), field, &text)
    }

    fn words<T: FromStr<Err = String>>(&mut self, table: Table<'_>, field: &str) -> Vec<T> {
        let mut words = Vec::new();
        for (value, at) in self.items(table, field) {
            match value {
                Value::Text(text) => words.extend(self.parse_word(at, field, text)),
                value => self.wrong_type(at, field, "texts", value),
            }
        }
        words
    }

    fn parse_word<T: FromStr<Err = String>>(&mut self, at: usize, field: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(word) => Some(word),
            Err(expected) => {
                self.say(at, format!("`{field}` does not know `{text}`"), Some(expected));
                None
            }
        }
    }

    fn texts(&mut self, table: Table<'_>, field: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for (value, at) in self.items(table, field) {
            match value {
                Value::Text(text) => texts.push(text.to_string()),
                value => self.wrong_type(at, field, "texts", value),
            }
        }
        texts
    }

    fn items<'t>(&mut self, table: Table<'t>, field: &str) -> Vec<(&'t Value<'t>, usize)> {
        match table.field(field) {
            None => Vec::new(),
            Some((Value::List(items), _)) => {
                items.iter().map(|item| (&item.value, item.at as usize)).collect()
            }
            Some((value, at)) => {
                self.wrong_type(at, field, "a list", value);
                Vec::new()
            }
        }
    }

    fn tables<'t>(&mut self, table: Table<'t>, field: &str) -> Vec<Table<'t>> {
        let mut tables = Vec::new();
        for (value, at) in self.items(table, field) {
            match value {
                Value::Table(fields) => tables.push(Table { fields, at }),
                value => self.wrong_type(at, field, "tables", value),
            }
        }
        tables
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Anchor,
    Companion,
}

/// Compiles an expression as all rules mean it. *Errors*: it does not parse or takes more than [`COMPILED_BYTES`].
pub fn compile(source: &str) -> Result<regex_automata::meta::Regex, Box<regex_automata::meta::BuildError>> {
    builder().build(source).map_err(Box::new)
}

fn builder() -> regex_automata::meta::Builder {
    let mut builder = regex_automata::meta::Builder::new();
    builder
        .configure(
            regex_automata::meta::Config::new()
                .utf8_empty(false)
                .nfa_size_limit(Some(COMPILED_BYTES))
                .hybrid_cache_capacity(512 * 1024),
        )
        .syntax(
            regex_automata::util::syntax::Config::new()
                .unicode(false)
                .utf8(false)
                .nest_limit(NESTING),
        );
    builder
}

fn has_unicode_class(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Class(Class::Unicode(_))) || hir.kind().subs().iter().any(has_unicode_class)
}

fn group_names(hir: &Hir) -> Vec<Option<String>> {
    let mut names: Vec<Option<String>> = hir.kind().subs().iter().flat_map(group_names).collect();
    if let HirKind::Capture(capture) = hir.kind() {
        names.push(capture.name.as_deref().map(str::to_owned));
    }
    names
}

/// Whether each word of a context holds one of the literals, so that looking around the literals finds the match.
fn led_by(context: &Context, literals: &[Literal]) -> bool {
    context.any.iter().all(|word| {
        literals.iter().any(|literal| {
            literal.ignore_case
                && word
                    .windows(literal.text.len())
                    .any(|window| window == literal.text)
        })
    })
}

fn sha256_from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit))
        .collect();
    bytes.try_into().ok().filter(|_| text.len() == 64)
}

/// The name of a file without folders and ending.
fn provider(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.strip_suffix(".toml").unwrap_or(name).to_owned()
}

/// The known word at most two edits away.
fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .copied()
        .map(|known| (edits(word, known), known))
        .filter(|&(edits, _)| edits <= 2)
        .min()
        .map(|(_, known)| known)
}

fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl Rule {
    /// Tells whether two rules of the same name find the same, whatever else is said of them.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let mut canon = Canon(Vec::new());
        canon.search(self);
        let digest = Sha256::digest(&canon.0);
        *digest.first_chunk().expect("the digest is longer")
    }
}

/// The canonical form of rules, as it is hashed. Every text comes with its length, every list with its count, so
/// that no two sets of rules look alike.
struct Canon(Vec<u8>);

impl Canon {
    fn rule(&mut self, rule: &Rule) {
        self.text(&rule.id.0);
        for texts in [&rule.references, &rule.covers] {
            self.texts(texts.iter());
        }
        self.texts(rule.formerly.iter().map(|id| &id.0));
        for text in [&rule.title, &rule.description, &rule.provider, &rule.revoke] {
            self.text(text);
        }
        self.search(rule);
    }

    /// What decides which candidates there are.
    fn search(&mut self, rule: &Rule) {
        self.text(rule.severity);
        self.text(rule.confidence);
        self.text(rule.kind);
        self.text(rule.identifier);
        self.text(rule.generic);
        self.texts(rule.paths.iter().map(|glob| glob.glob()));
        self.text(format_args!("{:?}", rule.filter));
        self.part(&rule.anchor);
        self.count(rule.parts.len());
        for part in &rule.parts {
            self.part(part);
        }
    }

    fn part(&mut self, part: &Part) {
        self.text(&part.name);
        self.count(part.literals.len());
        for literal in &part.literals {
            self.bytes(&literal.text);
            self.text(literal.ignore_case);
        }
        self.pattern(Some(&part.pattern));
        self.pattern(part.alone.as_ref());
        self.pattern(part.key.as_ref().map(|key| &key.value));
        self.text(part.key.as_ref().map_or("-", |key| &key.names));
        self.text(part.boundary);
        match &part.context {
            None => self.text("-"),
            Some(context) => {
                self.count(context.any.len());
                for word in &context.any {
                    self.bytes(word);
                }
                self.text(context.before);
                self.text(context.after);
            }
        }
        self.text(part.entropy.map_or(0, f32::to_bits));
        self.texts(part.checks.iter());
        self.count(part.samples.len());
        for sample in &part.samples {
            self.bytes(sample);
        }
        self.text(part.within);
        self.text(part.optional);
    }

    fn pattern(&mut self, pattern: Option<&Pattern>) {
        match pattern {
            None => self.text("-"),
            Some(Pattern::Regex { source, .. }) => self.text(format_args!("regex {source}")),
            Some(Pattern::Extractor(extractor)) => self.text(format_args!("extract {extractor}")),
        }
    }

    fn texts<T: std::fmt::Display>(&mut self, texts: impl ExactSizeIterator<Item = T>) {
        self.count(texts.len());
        for text in texts {
            self.text(text);
        }
    }

    fn text(&mut self, text: impl std::fmt::Display) {
        let start = self.0.len();
        self.count(0);
        let _ = write!(self.0, "{text}");
        let count = self.0.len() - start - size_of::<u64>();
        self.0[start..start + size_of::<u64>()].copy_from_slice(&(count as u64).to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Boundary, Check};

    const GOOD: &str = r#"
[[rule]]
id = "acme-key"
title = "Acme key"
severity = "high"
confidence = "high"
literals = ["acme_"]
regex = '''acme_[A-Z0-9]{20}'''
"#;

    #[test]
    fn bounds_of_built_in_expressions_are_those_that_are_worked_out() {
        let mut worked_out = std::collections::BTreeMap::new();
        let files: Vec<Source<'_>> = builtin::FILES
            .iter()
            .map(|&(file, text, _)| Source::new(file, text))
            .collect();
        for (reader, _) in read(&files, Origin::User) {
            assert_eq!(reader.problems, [], "{}", reader.file);
            worked_out.extend(reader.worked_out);
        }
        bounds::tests::compare(&worked_out);
    }

    fn load(text: &str) -> Result<RuleSet, Vec<(usize, String)>> {
        let files = [("rules/acme.toml".to_owned(), text.to_owned())];
        RuleSet::load_only(&files).map_err(|error| {
            error
                .problems
                .into_iter()
                .map(|problem| (problem.line, problem.message))
                .collect()
        })
    }

    fn problems(replace: &str, with: &str) -> Vec<(usize, String)> {
        assert!(GOOD.contains(replace), "the test replaces nothing");
        load(&GOOD.replace(replace, with)).expect_err("the rule is wrong")
    }

    #[test]
    fn a_key_leads_to_its_value_however_it_is_written() {
        let rule = |key: &str| {
            let text = GOOD.replace("literals = [\"acme_\"]", key);
            load(&text.replace("acme_[A-Z0-9]{20}", "[A-Z0-9]{20}"))
        };
        let rules =
            rule("key = [\"acme\"]\nkey_words = [\"token\", \"key\"]\nkey_names = [\"x.acme\"]").unwrap();
        let anchor = &rules.rules()[0].anchor;
        let texts: Vec<&[u8]> = anchor.literals.iter().map(|literal| &literal.text[..]).collect();
        assert_eq!(texts, [&b"acme"[..], b"x.acme"]);
        let Pattern::Regex { source, .. } = &anchor.pattern else {
            panic!("a key has an expression")
        };
        let regex = compile(source).unwrap();
        let value = "QWERTYUIOP1234567890";
        for (before, is_key) in [
            ("ACME_API_KEY=", true),
            ("acme.prod.token: \"", true),
            ("\"acme\": {\"token\": \"", true),
            ("acme:\n  region: x\n  token: ", false),
            ("acme:\n  token: ", true),
            ("{\"name\": \"ACME_TOKEN\", \"value\": \"", true),
            ("X.ACME=", true),
            ("xyacme=", false),
            ("ACME_COMMIT=", false),
            ("TOKEN=", false),
        ] {
            assert_eq!(
                regex.is_match(format!("{before}{value}").as_bytes()),
                is_key,
                "{before}"
            );
        }
        for (wrong, message) in [
            (
                "value = \"[a-z]{4}\"\nliterals = [\"acme\"]",
                "`value` without a key",
            ),
            ("key = []", "`key` is empty"),
            ("key = [\"a\"]", "`a` cannot lead to a key"),
            (
                "key = [\"acme\"]\nliterals = [\"acme\"]",
                "both a key and `literals`",
            ),
        ] {
            let problems = rule(wrong).unwrap_err();
            assert!(
                problems.iter().any(|(_, said)| said == message),
                "{wrong}: {problems:?}"
            );
        }
    }

    #[test]
    fn a_good_rule_loads_and_takes_its_provider_from_the_file() {
        let rules = load(GOOD).unwrap();
        let rule = &rules.rules()[0];
        assert_eq!(rule.provider, "acme");
        assert!(matches!(
            rule.anchor.pattern,
            Pattern::Regex {
                max_bytes: 25,
                lead: Some(0),
                ..
            }
        ));
    }

    #[test]
    fn all_problems_are_told_with_their_lines() {
        let text = "[[rule]]\nid = \"A\"\ntitle = \"t\"\nseverity = \"bad\"\nentropi = 3\nregex = \"a+\"\n";
        let found = load(text).unwrap_err();
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 1, 2, 4, 5, 6], "{found:?}");
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_one_that_was_meant() {
        let files = [("f".to_owned(), GOOD.replace("title", "titel"))];
        let error = RuleSet::load_only(&files).unwrap_err();
        let hints: Vec<_> = error
            .problems
            .iter()
            .filter_map(|problem| problem.hint.clone())
            .collect();
        assert_eq!(hints, ["did you mean `title`?"]);
    }

    #[test]
    fn expressions_that_cannot_be_used_are_refused() {
        for (regex, message) in [
            ("acme_(", "no expression"),
            (r"acme_\pL", "no expression"),
            (r"acme_(?u:\w)", "Unicode class"),
            ("acme_[A-Z]+", "no bound"),
            ("acme_[A-Z]{20000}", "can have 20005 bytes"),
            ("acme_([A-Z]{20})", "none is `secret`"),
            ("(?:acme_)?[A-Z]{20}", "without any of the `literals`"),
            ("(?:acme_)?", "empty text"),
        ] {
            let found = problems("acme_[A-Z0-9]{20}", regex);
            assert!(
                found
                    .iter()
                    .any(|(line, said)| *line == 8 && said.contains(message)),
                "{regex}: {found:?}"
            );
        }
    }

    #[test]
    fn literals_must_be_there_and_have_two_bytes() {
        assert!(
            problems(r#"literals = ["acme_"]"#, "")[0]
                .1
                .contains("no `literals`")
        );
        assert!(problems(r#"["acme_"]"#, r#"["a"]"#)[0].1.contains("has 1 bytes"));
    }

    #[test]
    fn an_identifier_needs_a_part() {
        let found = load(&format!("{GOOD}identifier = true\n")).unwrap_err();
        assert!(found[0].1.contains("needs a part"));
    }

    #[test]
    fn an_id_is_used_once_also_as_a_former_one() {
        let second = GOOD.replace("acme-key", "acme-token");
        let found = load(&format!("{GOOD}{GOOD}")).unwrap_err();
        assert_eq!(found, [(10, "the id `acme-key` is used twice".to_owned())]);
        let found = load(&format!("{GOOD}{second}formerly = [\"acme-key\"]\n")).unwrap_err();
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn words_that_do_not_exist_are_refused() {
        for field in [
            "checks = [\"no-such\"]",
            "boundary = \"wall\"",
            "kind = \"odd\"",
            "extract = \"zip\"",
        ] {
            assert!(load(&format!("{GOOD}{field}\n")).is_err(), "{field}");
        }
        assert!(load(&format!("{GOOD}samples = [\"00ff\"]\n")).is_err());
        assert!(load(&format!("{GOOD}[[rule.example]]\ntext = \"{{\"\n")).is_err());
    }

    #[test]
    fn a_rule_that_looks_further_than_windows_overlap_is_refused() {
        let part = "[[rule.part]]\nname = \"secret\"\nwithin = 20470\nregex = '''[a-z]{8}'''\n";
        assert!(
            load(&format!("{GOOD}{part}")).unwrap_err()[0]
                .1
                .contains("looks 20503 bytes")
        );
        assert!(load(&format!("{GOOD}{}", part.replace("20470", "2000"))).is_ok());
    }

    #[test]
    fn a_literal_in_the_context_leads_to_a_match_without_it() {
        let shape = GOOD.replace("acme_[A-Z0-9]{20}", "[A-Z0-9]{20}");
        assert!(load(&shape).is_err());
        let context = "context = { any = [\"acme_\"], before = 50 }\n";
        assert!(
            load(&format!("{shape}{context}")).is_err(),
            "the context ignores case, the literal does not"
        );
        let folded = shape.replace(r#"["acme_"]"#, r#"[{ text = "ACME", ignore_case = true }]"#);
        assert!(load(&format!("{folded}{context}")).is_ok());
    }

    #[test]
    fn the_hash_tells_rule_sets_apart_and_does_not_depend_on_order() {
        let second = GOOD.replace("acme-key", "acme-token");
        let one = load(&format!("{GOOD}{second}")).unwrap();
        let other = load(&format!("{second}{GOOD}")).unwrap();
        assert_eq!(one.hash(), other.hash());
        let mut hashes = vec![one.hash().to_owned(), load(GOOD).unwrap().hash().to_owned()];
        for line in [
            "entropy = 3.0",
            "boundary = \"none\"",
            "paths = [\"*.x\"]",
            "checks = [\"not-hex\"]",
        ] {
            hashes.push(load(&format!("{GOOD}{line}\n")).unwrap().hash().to_owned());
        }
        let all = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
        assert_eq!(
            one.retain(|rule| rule.id.0 == "acme-key").hash(),
            load(GOOD).unwrap().hash()
        );
    }

    #[test]
    fn the_built_in_rules_load_and_their_expressions_compile() {
        let rules = RuleSet::load(&[])
            .map_err(|error| format!("{:#?}", error.problems))
            .unwrap();
        for rule in rules.rules() {
            for part in std::iter::once(&rule.anchor).chain(&rule.parts) {
                for pattern in std::iter::once(&part.pattern).chain(&part.alone) {
                    if let Pattern::Regex { source, .. } = pattern {
                        assert!(compile(source).is_ok(), "{}: {source}", rule.id);
                    }
                }
            }
            for example in rule.examples.iter().chain(&rule.counter_examples) {
                example
                    .expand(1)
                    .unwrap_or_else(|error| panic!("{}: {error}", rule.id));
            }
        }
    }

    #[test]
    fn a_rule_of_a_file_replaces_the_built_in_one_of_its_id() {
        let builtin = RuleSet::builtin();
        let Some(rule) = builtin.rules().first() else {
            return;
        };
        let text = GOOD.replace("acme-key", &rule.id.0);
        let rules = RuleSet::load(&[("mine.toml".to_owned(), text)]).unwrap();
        assert_eq!(rules.rules().len(), builtin.rules().len());
        assert_eq!(rules.find(&rule.id.0).unwrap().title, "Acme key");
    }

    #[test]
    fn the_list_of_fields_names_every_field_and_word() {
        let readme = include_str!("../../rules/README.md");
        let fields = [
            RULE_FIELDS,
            PART_FIELDS,
            CONTEXT_FIELDS,
            LITERAL_FIELDS,
            EXAMPLE_FIELDS,
            COUNTER_FIELDS,
        ];
        let mut words: Vec<String> = fields.concat().into_iter().map(str::to_owned).collect();
        let lists = [
            "".parse::<Check>().err(),
            "".parse::<Boundary>().err(),
            "".parse::<Evidence>().err(),
        ];
        for list in lists.into_iter().flatten() {
            words.extend(list.split('`').skip(1).step_by(2).map(str::to_owned));
        }
        words.retain(|word| {
            ![
                format!("`{word}`"),
                format!("{word} = "),
                format!("[[rule.{word}]]"),
            ]
            .iter()
            .any(|form| readme.contains(form))
        });
        assert!(words.is_empty(), "not in rules/README.md: {words:?}");
    }
}
