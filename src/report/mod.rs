//! From a report and its verdict to text, JSON or SARIF. Does not decide anything and does not scan: it is given
//! values, and whatever it writes goes through a [`Sink`].
//!
//! | module | is |
//! |---|---|
//! | [`wire`] | the documented form of a report (`docs/report.md`), which JSON is and the text is drawn from |
//! | [`json`] | one document, or one line per record; and reading both back |
//! | [`human`] | the text for people |
//! | [`sarif`] | one run per image, for code scanning |
//! | [`gitlab`], [`junit`], [`markdown`] | what CI systems draw |
//! | [`html`] | a page to look at: the image as strata |
//! | [`sink`] | where it goes: a file replaced whole, a folder of parts, a pipe, memory |

pub mod gitlab;
pub mod html;
pub mod human;
pub mod json;
pub mod junit;
pub mod markdown;
mod markup;
pub mod sarif;
mod sentences;
pub mod sink;
pub mod wire;

use std::collections::BTreeMap;
use std::io;

use crate::finding::{Report, Reveal};
use crate::policy::Verdict;
use crate::rules::{Confidence, Rule, RuleId, RuleSet, Severity};

pub use sink::{Buffer, Output, Sink};

/// Writes reports of one format.
pub trait Reporter {
    /// Writes `report`, which [`Policy::judge`](crate::policy::Policy::judge) has filtered and concealed.
    ///
    /// The same report gives the same bytes. *Errors*: those of the sink alone.
    fn write(
        &self,
        report: &Report,
        verdict: &Verdict,
        reveal: Reveal,
        sink: &mut dyn Sink,
    ) -> io::Result<()>;
}

/// One format: a row of [`TABLE`].
#[derive(Clone, Copy)]
pub struct Format {
    /// What `--format` calls it.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub summary: &'static str,
    /// Makes its reporter.
    pub reporter: for<'a> fn(Settings<'a>) -> Box<dyn Reporter + 'a>,
}

/// Every format. A new one is a module with a [`Reporter`] and a row here.
pub const TABLE: &[Format] = &[
    Format {
        name: "gitlab",
        summary: "GitLab's secret detection report, schema 15.2",
        reporter: |settings| Box::new(gitlab::Gitlab(settings)),
    },
    Format {
        name: "html",
        summary: "one page to look at, without network or script: the image as strata",
        reporter: |settings| Box::new(html::Html(settings)),
    },
    Format {
        name: "human",
        summary: "text for people: findings, the layers drawn, what to do next",
        reporter: |settings| Box::new(human::Human(settings)),
    },
    Format {
        name: "json",
        summary: "one JSON document, schema `layersift.report/1`",
        reporter: |_| Box::new(json::Json),
    },
    Format {
        name: "jsonl",
        summary: "one JSON record per line, closed by a summary",
        reporter: |_| Box::new(json::JsonLines),
    },
    Format {
        name: "junit",
        summary: "JUnit XML, one suite per image",
        reporter: |_| Box::new(junit::Junit),
    },
    Format {
        name: "markdown",
        summary: "Markdown, the summary of a CI job",
        reporter: |settings| Box::new(markdown::Markdown(settings)),
    },
    Format {
        name: "sarif",
        summary: "SARIF 2.1.0, one run per image; into `DIR/`, one file per image",
        reporter: |settings| Box::new(sarif::Sarif(settings)),
    },
];

/// The format of this name.
pub fn format(name: &str) -> Option<&'static Format> {
    TABLE.iter().find(|format| format.name == name)
}

/// What a reporter is told besides the report.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// What is known of the rules.
    pub rules: &'a RuleNotes,
    /// Columns of a line of text; less than 20 counts as 20.
    pub width: usize,
    /// Whether text may be coloured. Colour never says what words do not.
    pub colour: bool,
    /// Where SARIF puts its results, and under which name.
    pub sarif: sarif::Options<'a>,
}

/// What reports say of rules, by id.
pub type RuleNotes = BTreeMap<RuleId, RuleNote>;

/// What reports say of a rule beyond what stands on its findings. It is the same whatever was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleNote {
    /// A few words.
    pub title: String,
    /// What it is and what it opens.
    pub description: String,
    /// What a live one opens.
    pub severity: Severity,
    /// How sure a match is before evidence moves it.
    pub confidence: Confidence,
    /// How to revoke one.
    pub revoke: String,
    /// Where the facts come from.
    pub references: Vec<String>,
}

impl From<&Rule> for RuleNote {
    fn from(rule: &Rule) -> Self {
        Self {
            title: rule.title.clone(),
            description: rule.description.clone(),
            severity: rule.severity,
            confidence: rule.confidence,
            revoke: rule.revoke.clone(),
            references: rule.references.clone(),
        }
    }
}

/// What reports say of `rules`.
pub fn notes(rules: &RuleSet) -> RuleNotes {
    rules
        .rules()
        .iter()
        .map(|rule| (rule.id.clone(), RuleNote::from(rule)))
        .collect()
}

/// An instruction as its author wrote it, without what builders add: `RUN rm -f /a` of
/// `RUN |1 V=2 /bin/sh -c rm -f /a # buildkit`; escaped.
///
/// Build arguments go with the rest of the prefix. The whole text stays in JSON.
fn instruction(created_by: &str) -> String {
    let text = created_by.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.strip_suffix("# buildkit").unwrap_or(&text).trim_end();
    let shown = if let Some((_, instruction)) = text.split_once("/bin/sh -c #(nop) ") {
        instruction.to_owned()
    } else {
        let is_step = text.starts_with("RUN ") || text.starts_with('|') || text.starts_with("/bin/sh -c ");
        match text.split_once("/bin/sh -c ") {
            Some((_, command)) if is_step => format!("RUN {command}"),
            _ => text.to_owned(),
        }
    };
    crate::text::escape(shown.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::instruction;

    #[test]
    fn instructions_lose_what_builders_add() {
        for (created_by, expected) in [
            (
                "RUN /bin/sh -c rm -f /root/.boto # buildkit",
                "RUN rm -f /root/.boto",
            ),
            ("RUN |2 A=1 B=two words /bin/sh -c make # buildkit", "RUN make"),
            ("|1 A=b /bin/sh -c make", "RUN make"),
            ("/bin/sh -c apt-get   update", "RUN apt-get update"),
            ("/bin/sh -c #(nop)  CMD [\"sh\"]", "CMD [\"sh\"]"),
            ("/bin/sh -c #(nop) COPY file:0f in /dst ", "COPY file:0f in /dst"),
            ("COPY a /b # buildkit", "COPY a /b"),
            ("CMD [\"/bin/sh -c x\"]", "CMD [\"/bin/sh -c x\"]"),
            ("", ""),
        ] {
            assert_eq!(instruction(created_by), expected);
        }
    }
}
