//! `layersift.toml` → what a gate asks for. A key nobody knows, and a value that cannot be, is an error with its line: a gate
//! that skipped what it does not understand would pass by a slip of the pen. Reads no file itself, and none from an image.

use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::finding::{Fingerprint, Scheme};
use crate::rules::{Confidence, RuleId, Severity};

use super::{Date, Ignore, ImageGlob, StatusName, Treatment};

/// What a policy file says.
#[derive(Clone, Debug, Default)]
pub struct PolicyFile {
    /// The least severity that counts.
    pub min_severity: Option<Severity>,
    /// The least confidence that counts.
    pub min_confidence: Option<Confidence>,
    /// The statuses that count; empty for all.
    pub life: Vec<StatusName>,
    /// What follows from findings that stand in the proven base image alone.
    pub inherited: Treatment,
    /// What follows from findings that the earlier image had.
    pub unchanged: Treatment,
    /// What follows from content that could not be opened.
    pub opaque: Option<Treatment>,
    /// Whether every file above the proven base must be one that a container shows.
    pub squashed: bool,
    /// The baseline, relative to the file.
    pub baseline: Option<String>,
    /// Base images.
    pub bases: Vec<String>,
    /// Repositories that may be asked, and believed, where the image names one as its base.
    pub trusted: Vec<ImageGlob>,
    /// What is no concern.
    pub ignores: Vec<Ignore>,
}

/// What is wrong with a policy file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct PolicyError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong; escaped.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    gate: GateTable,
    base: BaseTable,
    ignore: Vec<Spanned<IgnoreTable>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct GateTable {
    severity: Option<Spanned<String>>,
    confidence: Option<Spanned<String>>,
    life: Vec<Spanned<String>>,
    inherited: Option<Spanned<String>>,
    unchanged: Option<Spanned<String>>,
    opaque: Option<Spanned<String>>,
    squashed: bool,
    baseline: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct BaseTable {
    images: Vec<String>,
    trusted: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct IgnoreTable {
    fingerprint: Option<Spanned<String>>,
    rule: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    image: Option<Spanned<String>>,
    reason: Option<Spanned<String>>,
    owner: Option<Spanned<String>>,
    expires: Option<Spanned<toml::Value>>,
}

/// What a file is read for: its entries must fit the run.
#[derive(Clone, Copy)]
pub struct Run<'r> {
    /// How the run makes fingerprints.
    pub scheme: Scheme,
    /// The rule of a name, old names included.
    pub rule: &'r dyn Fn(&str) -> Option<RuleId>,
}

impl PolicyFile {
    /// Reads the policy `text` of the file `name`.
    ///
    /// *Errors*: the first mistake, with its line.
    pub fn parse(name: &str, text: &str, run: Run<'_>) -> Result<Self, PolicyError> {
        let source = Source { name, text };
        let file: File = toml::from_str(text).map_err(|error| {
            let message = crate::text::escape(error.message().as_bytes());
            let hint = hint(&message);
            source.error(error.span().map_or(0, |span| span.start), message, hint)
        })?;
        let gate = file.gate;
        Ok(Self {
            min_severity: source.optional("severity", gate.severity.as_ref())?,
            min_confidence: source.optional("confidence", gate.confidence.as_ref())?,
            life: source.list("life", &gate.life)?,
            inherited: source
                .optional("inherited", gate.inherited.as_ref())?
                .unwrap_or_default(),
            unchanged: source
                .optional("unchanged", gate.unchanged.as_ref())?
                .unwrap_or_default(),
            opaque: source.optional("opaque", gate.opaque.as_ref())?,
            squashed: gate.squashed,
            baseline: gate.baseline,
            bases: file.base.images,
            trusted: source.list("trusted", &file.base.trusted)?,
            ignores: file
                .ignore
                .into_iter()
                .map(|entry| source.ignore(entry, run))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// The file, for messages.
struct Source<'s> {
    name: &'s str,
    text: &'s str,
}

impl Source<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    fn error(&self, offset: usize, message: String, hint: Option<String>) -> PolicyError {
        PolicyError {
            file: self.name.to_owned(),
            line: self.line(offset),
            message,
            hint,
        }
    }

    fn parsed<T: FromStr>(&self, key: &str, value: &Spanned<String>) -> Result<T, PolicyError>
    where
        T::Err: std::fmt::Display,
    {
        value.get_ref().parse().map_err(|error| {
            let text = crate::text::escape(value.get_ref().as_bytes());
            let message = format!("`{key}` cannot be `{text}`: {error}");
            self.error(value.span().start, message, None)
        })
    }

    fn optional<T: FromStr>(
        &self,
        key: &str,
        value: Option<&Spanned<String>>,
    ) -> Result<Option<T>, PolicyError>
    where
        T::Err: std::fmt::Display,
    {
        value.map(|value| self.parsed(key, value)).transpose()
    }

    fn list<T: FromStr>(&self, key: &str, values: &[Spanned<String>]) -> Result<Vec<T>, PolicyError>
    where
        T::Err: std::fmt::Display,
    {
        values.iter().map(|value| self.parsed(key, value)).collect()
    }

    fn ignore(&self, entry: Spanned<IgnoreTable>, run: Run<'_>) -> Result<Ignore, PolicyError> {
        let start = entry.span().start;
        let entry = entry.into_inner();
        let missing = |key: &str, hint: &str| {
            let message = format!("an `[[ignore]]` entry needs `{key}`");
            self.error(start, message, Some(hint.to_owned()))
        };
        let told = |key: &str, value: Option<Spanned<String>>, hint: &str| {
            let value = value.map(Spanned::into_inner);
            value
                .filter(|text| !text.trim().is_empty())
                .ok_or_else(|| missing(key, hint))
        };
        let reason = told("reason", entry.reason, "say why the finding is no concern")?;
        let owner = told("owner", entry.owner, "name who answers for it")?;
        let expires = entry.expires.ok_or_else(|| {
            missing(
                "expires",
                "give the last day it holds, such as `expires = 2027-01-31`",
            )
        })?;
        let expires = date(expires.get_ref()).ok_or_else(|| {
            let message = "`expires` is no date".to_owned();
            let hint = Some("write a day, such as `expires = 2027-01-31`".to_owned());
            self.error(expires.span().start, message, hint)
        })?;
        if let (None, None, None, None) = (&entry.fingerprint, &entry.rule, &entry.path, &entry.image) {
            let hint = "name what it is for: `fingerprint`, `rule`, `path`, `image`, or several of them";
            let message = "an `[[ignore]]` entry that names nothing would ignore everything".to_owned();
            return Err(self.error(start, message, Some(hint.to_owned())));
        }
        Ok(Ignore {
            fingerprint: entry
                .fingerprint
                .map(|text| self.fingerprint(&text, run.scheme))
                .transpose()?,
            rule: entry
                .rule
                .map(|id| {
                    (run.rule)(id.get_ref()).ok_or_else(|| {
                        let text = crate::text::escape(id.get_ref().as_bytes());
                        let hint = Some("`layersift rules list` prints them".to_owned());
                        self.error(id.span().start, format!("no rule is called `{text}`"), hint)
                    })
                })
                .transpose()?,
            path: self.optional("path", entry.path.as_ref())?,
            image: self.optional("image", entry.image.as_ref())?,
            reason,
            owner,
            expires,
            place: format!("{}:{}", self.name, self.line(start)),
        })
    }

    fn fingerprint(&self, text: &Spanned<String>, scheme: Scheme) -> Result<Fingerprint, PolicyError> {
        let shown = crate::text::escape(text.get_ref().as_bytes());
        let is_hex = |digits: &str| {
            digits.len() == 32
                && digits
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        match text.get_ref().split_once(':') {
            Some((name, digits)) if name == scheme.name() && is_hex(digits) => {
                Ok(Fingerprint(text.get_ref().clone()))
            }
            Some((name @ ("ls1" | "lsk1"), digits)) if is_hex(digits) => Err(self.error(
                text.span().start,
                format!(
                    "the fingerprint is of scheme `{name}`, and those of this run of `{}`",
                    scheme.name()
                ),
                Some("the scheme is `lsk1` with a fingerprint key and `ls1` without".to_owned()),
            )),
            _ => Err(self.error(
                text.span().start,
                format!("`{shown}` is no fingerprint"),
                Some("copy the whole of it from a report: `ls1:` and 32 digits".to_owned()),
            )),
        }
    }
}

/// A TOML date, with or without a time, or the same as text.
fn date(value: &toml::Value) -> Option<Date> {
    match value {
        toml::Value::Datetime(datetime) => Date::parse(&datetime.date?.to_string()),
        toml::Value::String(text) => Date::parse(text),
        _ => None,
    }
}

/// The name that an unknown one was most likely meant to be.
fn hint(message: &str) -> Option<String> {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| message.starts_with("unknown field"))?;
    let known: Vec<&str> = names.collect();
    let nearest = known.iter().min_by_key(|name| distance(unknown, name))?;
    if distance(unknown, nearest) <= 2 {
        return Some(format!("did you mean `{nearest}`?"));
    }
    Some(format!("the keys that may stand here: `{}`", known.join("`, `")))
}

/// How many characters must be inserted, removed or replaced to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PolicyFile, PolicyError> {
        let rule = |name: &str| (name == "npm-token").then(|| RuleId(name.to_owned()));
        let run = Run {
            scheme: Scheme::Ls1,
            rule: &rule,
        };
        PolicyFile::parse("layersift.toml", text, run)
    }

    #[test]
    fn every_key_is_read() {
        let file = parse(
            "[gate]\nseverity = 'high'\nconfidence = 'high'\nlife = ['present', 'deleted']\ninherited = 'warn'\n\
             unchanged = 'warn'\nopaque = 'fail'\nsquashed = true\nbaseline = 'known.json'\n\
             [base]\nimages = ['debian:12']\ntrusted = ['docker.io/library/*']\n\
             [[ignore]]\nrule = 'npm-token'\npath = 'test/**'\nimage = '**/app'\n\
             fingerprint = 'ls1:00000000000000000000000000000000'\nreason = 'r'\nowner = 'o'\nexpires = 2026-01-31\n\
             [[ignore]]\nrule = 'npm-token'\nreason = 'r'\nowner = 'o'\nexpires = '2026-02-01'\n",
        )
        .unwrap();
        assert_eq!(file.min_severity, Some(Severity::High));
        assert_eq!(file.min_confidence, Some(Confidence::High));
        assert_eq!(file.life.len(), 2);
        assert_eq!(
            (file.inherited, file.unchanged),
            (Treatment::Warn, Treatment::Warn)
        );
        assert_eq!(file.opaque, Some(Treatment::Fail));
        assert!(file.squashed);
        assert_eq!(file.baseline.as_deref(), Some("known.json"));
        assert_eq!(file.bases, ["debian:12"]);
        assert!(file.trusted[0].fits("docker.io/library/debian"));
        assert!(!file.trusted[0].fits("docker.io/library/debian/more"));
        assert_eq!(file.ignores[0].place, "layersift.toml:13");
        assert_eq!(file.ignores[1].expires.to_string(), "2026-02-01");
        assert_eq!(
            file.ignores[0].subject(),
            "fingerprint ls1:00000000000000000000000000000000, rule npm-token, path test/**, image **/app"
        );
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_was_meant() {
        let entry = "[[ignore]]\nrule = 'npm-token'\n";
        for (text, line, message, hint) in [
            (
                "[gate]\nseverty = 'high'\n",
                2,
                "unknown field `severty`",
                "did you mean `severity`?",
            ),
            ("\n[gaet]\n", 2, "unknown field `gaet`", "did you mean `gate`?"),
            (
                "[gate]\nnonsense = 1\n",
                2,
                "unknown field",
                "the keys that may stand here: `severity`, ",
            ),
            (
                "[gate]\nseverity = 'grave'\n",
                2,
                "`severity` cannot be `grave`: expected one of",
                "",
            ),
            (
                "[gate]\nlife = ['present',\n 'gone']\n",
                3,
                "`life` cannot be `gone`",
                "",
            ),
            ("[gate]\ninherited = 'skip'\n", 2, "expected `fail` or `warn`", ""),
            ("[gate]\nsquashed = 'yes'\n", 2, "invalid type", ""),
            ("[gate\n", 1, "", ""),
            (
                &format!("{entry}owner = 'o'\nexpires = 2026-01-01\n"),
                1,
                "needs `reason`",
                "say why",
            ),
            (
                &format!("{entry}reason = ' '\nowner = 'o'\nexpires = 2026-01-01\n"),
                1,
                "needs `reason`",
                "",
            ),
            (
                &format!("{entry}reason = 'r'\nexpires = 2026-01-01\n"),
                1,
                "needs `owner`",
                "",
            ),
            (
                &format!("{entry}reason = 'r'\nowner = 'o'\n"),
                1,
                "needs `expires`",
                "the last day",
            ),
            (
                &format!("{entry}reason = 'r'\nowner = 'o'\nexpires = 'never'\n"),
                5,
                "is no date",
                "write a day",
            ),
            (
                &format!("{entry}until = 2026-01-01\n"),
                3,
                "unknown field `until`",
                "",
            ),
            (
                "[[ignore]]\nreason = 'r'\nowner = 'o'\nexpires = 2026-01-01\n",
                1,
                "would ignore everything",
                "name what",
            ),
            (
                "[[ignore]]\nrule = 'nmp-token'\nreason = 'r'\nowner = 'o'\nexpires = 2026-01-01\n",
                2,
                "no rule is called `nmp-token`",
                "rules list",
            ),
            (
                "[[ignore]]\nfingerprint = 'lsk1:00000000000000000000000000000000'\nreason = 'r'\nowner = 'o'\nexpires \
                 = 2026-01-01\n",
                2,
                "is of scheme `lsk1`, and those of this run of `ls1`",
                "with a fingerprint key",
            ),
            (
                "[[ignore]]\nfingerprint = 'ls1:00'\nreason = 'r'\nowner = 'o'\nexpires = 2026-01-01\n",
                2,
                "`ls1:00` is no fingerprint",
                "copy the whole",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (error.file.as_str(), error.line),
                ("layersift.toml", line),
                "{text}: {error}"
            );
            assert!(error.message.contains(message), "{text}: {error}");
            let told = error.hint.unwrap_or_default();
            assert!(told.contains(hint), "{text}: {told}");
        }
    }
}
