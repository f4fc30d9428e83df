//! JSON: one document (`json`) or one record per line (`jsonl`), and reading both back. Does not choose the fields;
//! see [`super::wire`].

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

use crate::finding::{Report, Reveal};
use crate::policy::Verdict;
use crate::text;

use super::wire::{self, SCHEMA};
use super::{Reporter, Sink};

/// The whole report as one document.
#[derive(Clone, Copy, Debug)]
pub struct Json;

/// The report as records, one per line: `header`, `target`, `image`, `finding`, `suppressed`, `skip`, and `summary` last. A file
/// without its summary was cut.
#[derive(Clone, Copy, Debug)]
pub struct JsonLines;

impl Reporter for Json {
    fn write(
        &self,
        report: &Report,
        verdict: &Verdict,
        reveal: Reveal,
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        let report = wire::Report::new(report, verdict, reveal);
        sink.part("report.json", &mut |out| {
            write_pretty(&report, out)?;
            out.write_all(b"\n")
        })
    }
}

impl Reporter for JsonLines {
    fn write(
        &self,
        report: &Report,
        verdict: &Verdict,
        reveal: Reveal,
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        let records = records(wire::Report::new(report, verdict, reveal));
        sink.part("report.jsonl", &mut |out| {
            for record in &records {
                let mut serializer =
                    serde_json::Serializer::with_formatter(&mut *out, Printable(CompactFormatter));
                record.serialize(&mut serializer)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })
    }
}

/// Writes `value` indented, with every character escaped that a terminal would act on or hide.
pub(super) fn write_pretty<T: Serialize>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, Printable(PrettyFormatter::new()));
    Ok(value.serialize(&mut serializer)?)
}

/// Why a file is no report that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is neither a JSON document nor JSON lines of this tool's making.
    #[error("line {line}: not a report in `json` or `jsonl` form")]
    Form {
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// It does not say its schema, or says another one.
    #[error(
        "schema `{}` is not `{SCHEMA}`",
        text::escape(found.as_deref().unwrap_or("none").as_bytes())
    )]
    Schema {
        /// What it says.
        found: Option<String>,
    },
}

/// Reads a report of either form.
///
/// JSON lines without a summary give a report that is marked incomplete and interrupted, with whatever came before
/// the cut.
pub fn read(bytes: &[u8]) -> Result<wire::Report, ReadError> {
    /// The least that tells what a file is.
    #[derive(Deserialize)]
    struct Opening {
        schema: Option<String>,
    }
    let first_line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let lines = serde_json::from_slice::<Opening>(first_line);
    let (opening, is_lines) = match lines {
        Ok(opening) if first_line.len() + 1 < bytes.len() => (opening, true),
        _ => (serde_json::from_slice::<Opening>(bytes).map_err(form)?, false),
    };
    if opening.schema.as_deref() != Some(SCHEMA) {
        return Err(ReadError::Schema {
            found: opening.schema,
        });
    }
    if is_lines {
        read_lines(bytes)
    } else {
        serde_json::from_slice(bytes).map_err(form)
    }
}

fn form(source: serde_json::Error) -> ReadError {
    ReadError::Form {
        line: source.line(),
        source,
    }
}

/// One line of `jsonl`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Record {
    Header(Header),
    Target(wire::Target),
    Image(wire::Image),
    Finding(wire::Finding),
    Skip(wire::Skip),
    Summary(Summary),
    Suppressed(wire::Suppressed),
    /// A kind of record that a later version added.
    #[serde(other)]
    Other,
}

#[derive(Serialize, Deserialize)]
struct Header {
    schema: String,
    tool: wire::Tool,
    secrets: wire::Disclosure,
}

#[derive(Serialize, Deserialize)]
struct Summary {
    verdict: wire::Verdict,
    coverage: Totals,
    counters: wire::Counters,
}

/// The ledger without its skips, which have records of their own.
#[derive(Default, Serialize, Deserialize)]
struct Totals {
    seen_bytes: u64,
    scanned_bytes: u64,
    skipped_bytes: u64,
    #[serde(default, skip_serializing_if = "wire::is_zero")]
    expanded_bytes: u64,
    complete: bool,
}

fn records(report: wire::Report) -> Vec<Record> {
    let mut records = vec![Record::Header(Header {
        schema: report.schema,
        tool: report.tool,
        secrets: report.secrets,
    })];
    records.extend(report.targets.into_iter().map(Record::Target));
    records.extend(report.images.into_iter().map(Record::Image));
    records.extend(report.findings.into_iter().map(Record::Finding));
    records.extend(report.suppressed.into_iter().map(Record::Suppressed));
    records.extend(report.coverage.skips.into_iter().map(Record::Skip));
    records.push(Record::Summary(Summary {
        verdict: report.verdict,
        coverage: Totals {
            seen_bytes: report.coverage.seen_bytes,
            scanned_bytes: report.coverage.scanned_bytes,
            skipped_bytes: report.coverage.skipped_bytes,
            expanded_bytes: report.coverage.expanded_bytes,
            complete: report.coverage.complete,
        },
        counters: report.counters,
    }));
    records
}

fn read_lines(bytes: &[u8]) -> Result<wire::Report, ReadError> {
    let mut header = None;
    let mut summary = None;
    let (mut targets, mut images, mut findings, mut skips) = (vec![], vec![], vec![], vec![]);
    let mut suppressed = Vec::new();
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            // Lines behind a second header are of another report.
            Ok(Record::Header(_)) if header.is_some() => {
                return Err(ReadError::Form {
                    line: index + 1,
                    source: serde::de::Error::custom("a second header"),
                });
            }
            Ok(Record::Header(record)) if record.schema != SCHEMA => {
                return Err(ReadError::Schema {
                    found: Some(record.schema),
                });
            }
            Ok(Record::Header(record)) => header = Some(record),
            Ok(Record::Target(record)) => targets.push(record),
            Ok(Record::Image(record)) => images.push(record),
            Ok(Record::Finding(record)) => findings.push(record),
            Ok(Record::Skip(record)) => skips.push(record),
            Ok(Record::Summary(record)) => summary = Some(record),
            Ok(Record::Suppressed(record)) => suppressed.push(record),
            Ok(Record::Other) => {}
            // The line at which the writer was stopped.
            Err(error) if lines.peek().is_none() && error.is_eof() => {}
            Err(source) => {
                return Err(ReadError::Form {
                    line: index + 1,
                    source,
                });
            }
        }
    }
    let header = header.ok_or(ReadError::Schema { found: None })?;
    let summary = summary.unwrap_or_else(|| cut_summary(&findings));
    Ok(wire::Report {
        schema: header.schema,
        tool: header.tool,
        secrets: header.secrets,
        verdict: summary.verdict,
        targets,
        images,
        findings,
        suppressed,
        coverage: wire::Coverage {
            seen_bytes: summary.coverage.seen_bytes,
            scanned_bytes: summary.coverage.scanned_bytes,
            skipped_bytes: summary.coverage.skipped_bytes,
            expanded_bytes: summary.coverage.expanded_bytes,
            complete: summary.coverage.complete,
            skips,
        },
        counters: summary.counters,
    })
}

/// What is said of a report that was cut before its summary.
fn cut_summary(findings: &[wire::Finding]) -> Summary {
    use crate::policy::{Outcome, Policy};
    let policy = Policy::default();
    let outcome = if findings.is_empty() {
        Outcome::Incomplete
    } else {
        Outcome::IncompleteWithFindings
    };
    Summary {
        verdict: wire::Verdict {
            outcome: outcome.name().to_owned(),
            incomplete: true,
            interrupted: true,
            failing: findings
                .iter()
                .map(|finding| finding.fingerprint.clone())
                .collect(),
            min_confidence: policy.min_confidence,
            min_severity: policy.min_severity,
            left_out: Vec::new(),
            occurrences_left_out: 0,
            remarks: Vec::new(),
            bases: Vec::new(),
            changes: None,
            digests: Vec::new(),
            carriers: Vec::new(),
        },
        coverage: Totals::default(),
        counters: wire::Counters::default(),
    }
}

/// Escapes, besides what JSON asks for, every character that a terminal would act on or hide. What is read back is
/// the same.
struct Printable<F>(F);

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*);)+) => {$(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W, $($argument: $type),*) -> io::Result<()> {
            self.0.$name(writer, $($argument),*)
        }
    )+};
}

impl<F: Formatter> Formatter for Printable<F> {
    forward! {
        write_char_escape(escape: CharEscape);
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly every fragment; to look at each character of a large report takes longer than to write it.
        if fragment.bytes().all(|byte| byte.is_ascii() && byte != 0x7f) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((start, c)) = rest.char_indices().find(|(_, c)| text::is_unprintable(*c)) {
            writer.write_all(&rest.as_bytes()[..start])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[start + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}
