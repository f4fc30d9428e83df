//! A Dockerfile's text into stages and steps with their lines. Does not know images; what a variable is worth is told by
//! [`super::words`].

use std::collections::BTreeMap;
use std::ops::Range;

use parse_dockerfile as parser;

use crate::finding::Instruction;

use super::documents::masked;
use super::words::{Pattern, Variables, fold, fold_command};

/// Why a Dockerfile cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It has more lines or bytes than is read.
    #[error("it has {bytes} bytes, more than {MOST_BYTES} are not read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is no Dockerfile.
    #[error("line {line}, column {column}: {reason}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The parser's words, without any text of the file.
        reason: String,
    },
}

/// A Dockerfile that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is: relative to the root of the checkout, or as its provenance names it.
    pub path: String,
    /// Whether it is a file of the checkout.
    pub is_checked_out: bool,
    pub(super) text: String,
    pub(super) instructions: Vec<Instruction>,
    pub(super) stages: Vec<Stage>,
}

/// One stage.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) name: Option<String>,
    /// The stage it continues.
    pub(super) parent: Option<usize>,
    /// Whether it begins with nothing.
    pub(super) is_empty: bool,
    /// Its `FROM`.
    pub(super) from: usize,
    pub(super) steps: Vec<Step>,
}

/// One instruction of a stage, in the forms in which a history may tell of it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// By its place in [`Source::instructions`].
    pub(super) instruction: usize,
    pub(super) keyword: String,
    pub(super) made: Form,
}

/// What an instruction looks like in a history.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// `COPY`, `ADD`: the sources, and the destination as written and from the root.
    Copy {
        sources: Pattern,
        destinations: Vec<Pattern>,
    },
    /// `RUN`: any of these texts.
    Run(Vec<String>),
    /// Everything else: any of these texts, and the names it sets.
    Other { texts: Vec<Pattern>, names: Vec<String> },
}

impl Step {
    /// Whether it writes files.
    pub(super) fn writes(&self) -> bool {
        matches!(self.made, Form::Copy { .. } | Form::Run(_))
    }

    /// Whether it sets the variable, label or argument of this name.
    pub(super) fn sets(&self, name: &str) -> bool {
        matches!(&self.made, Form::Other { names, .. } if names.iter().any(|own| own == name))
    }
}

impl Source {
    /// Reads a Dockerfile.
    ///
    /// *Errors*: [`ParseError`]. *Limits*: 4 MiB.
    pub fn parse(path: &str, is_checked_out: bool, text: &str) -> Result<Self, ParseError> {
        if text.len() > MOST_BYTES {
            return Err(ParseError::TooLarge { bytes: text.len() });
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (masked, documents) = masked(text);
        let parsed = parser::parse(&masked).map_err(|error| ParseError::Syntax {
            line: error.line(),
            column: error.column(),
            reason: reason(&error),
        })?;
        let escape = parsed.parser_directives.escape.as_ref();
        let escape = escape.map_or('\\', |directive| directive.value.value);
        let lines = LineStarts::of(text);
        let starts: Vec<usize> = parsed.instructions.iter().map(start).collect();
        let instructions = (parsed.instructions.iter().enumerate())
            .map(|(index, instruction)| {
                let next = starts.get(index + 1).copied().unwrap_or(text.len());
                let documents = documents
                    .iter()
                    .find(|documents| (starts[index]..next).contains(&documents.start));
                described(text, &lines, keyword(instruction), starts[index]..next, documents)
            })
            .collect();
        let mut source = Self {
            path: path.to_owned(),
            is_checked_out,
            text: text.to_owned(),
            instructions,
            stages: Vec::new(),
        };
        source.read_stages(&parsed.instructions, escape);
        source.add_documents(&documents, &starts);
        Ok(source)
    }

    fn read_stages(&mut self, instructions: &[parser::Instruction<'_>], escape: char) {
        let mut ends: Vec<Variables> = Vec::new();
        let mut variables = Variables::new(escape);
        for (index, instruction) in instructions.iter().enumerate() {
            if let parser::Instruction::From(from) = instruction {
                if !self.stages.is_empty() {
                    ends.push(std::mem::replace(&mut variables, Variables::new(escape)));
                }
                let image = from.image.value.as_ref();
                let parent = self.stages.iter().position(|stage| {
                    let name = stage.name.as_deref();
                    name.is_some_and(|name| name.eq_ignore_ascii_case(image))
                });
                if let Some(parent) = parent.and_then(|parent| ends.get(parent)) {
                    variables = parent.clone();
                }
                self.stages.push(Stage {
                    name: from.as_.as_ref().map(|(_, name)| name.value.to_string()),
                    parent,
                    is_empty: image == "scratch",
                    from: index,
                    steps: Vec::new(),
                });
                continue;
            }
            // What stands before the first stage is for the `FROM` lines alone.
            if let Some(stage) = self.stages.last_mut() {
                stage.steps.push(Step {
                    instruction: index,
                    keyword: keyword(instruction).to_owned(),
                    made: match instruction {
                        parser::Instruction::Onbuild(_) => trigger(&self.instructions[index].text),
                        _ => form(instruction, &mut variables),
                    },
                });
            }
        }
    }

    /// Histories have a command with its documents behind it.
    fn add_documents(&mut self, documents: &[Range<usize>], starts: &[usize]) {
        for document in documents {
            let Some(instruction) = starts.iter().rposition(|start| *start < document.start) else {
                continue;
            };
            let text = fold(self.text.get(document.clone()).unwrap_or_default());
            let steps = self.stages.iter_mut().flat_map(|stage| &mut stage.steps);
            for step in steps.filter(|step| step.instruction == instruction) {
                if let Form::Run(commands) = &mut step.made {
                    commands
                        .iter_mut()
                        .for_each(|command| command.push_str(&format!(" {text}")));
                }
            }
        }
    }

    /// The steps whose results an image of this stage has, those of the stages it continues first, and the `FROM` that
    /// brings the base.
    pub(super) fn chain(&self, stage: usize) -> (usize, bool, Vec<&Step>) {
        let mut stages = Vec::new();
        let mut at = Some(stage);
        // A parent stands before its child, so that this ends.
        while let Some(stage) = at.and_then(|index| self.stages.get(index)) {
            stages.push(stage);
            at = stage.parent;
        }
        let root = stages.last().expect("a stage that is asked for is there");
        let steps = stages.iter().rev().flat_map(|stage| &stage.steps).collect();
        (root.from, root.is_empty, steps)
    }

    /// The instruction that stands on a line.
    pub(super) fn at_line(&self, line: u64) -> Option<usize> {
        let holds =
            |instruction: &Instruction| (instruction.first_line..=instruction.last_line).contains(&line);
        self.instructions.iter().position(holds)
    }

    /// For each instruction the one of `other` with the same text, where there are as many of it in both.
    pub(super) fn counterparts(&self, other: &Source) -> Vec<Option<usize>> {
        type Places = (Vec<usize>, Vec<usize>);
        let mut places: BTreeMap<(&str, String), Places> = BTreeMap::new();
        let key = |instruction: &Instruction| fold(&instruction.text);
        for (index, instruction) in self.instructions.iter().enumerate() {
            places
                .entry((&instruction.keyword, key(instruction)))
                .or_default()
                .0
                .push(index);
        }
        for (index, instruction) in other.instructions.iter().enumerate() {
            places
                .entry((&instruction.keyword, key(instruction)))
                .or_default()
                .1
                .push(index);
        }
        let mut counterparts = vec![None; self.instructions.len()];
        for (own, others) in places
            .into_values()
            .filter(|(own, others)| own.len() == others.len())
        {
            for (own, other) in own.into_iter().zip(others) {
                counterparts[own] = Some(other);
            }
        }
        counterparts
    }
}

/// The parser's message, without the place, which is told apart, and without the words of the file it quotes.
fn reason(error: &parser::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    crate::text::escape(text.split('\'').next().unwrap_or_default().trim().as_bytes())
}

/// Where lines begin.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect())
    }

    /// Line and column of a byte, both from 1, the column in UTF-16 code units.
    fn position(&self, text: &str, at: usize) -> (u64, u64) {
        let line = self.0.partition_point(|start| *start <= at);
        let start = self.0[line.saturating_sub(1)];
        let units = text
            .get(start..at)
            .map_or(0, |before| before.encode_utf16().count());
        (line as u64, units as u64 + 1)
    }
}

/// An instruction goes up to the next one, without the blank lines and comments between; `documents` are its own.
fn described(
    text: &str,
    lines: &LineStarts,
    keyword: &str,
    span: Range<usize>,
    documents: Option<&Range<usize>>,
) -> Instruction {
    let (start, next) = (span.start, span.end);
    let mut end = start;
    let mut at = start;
    for line in text[span].split_inclusive('\n') {
        let trimmed = line.trim();
        let is_document = documents.is_some_and(|documents| documents.contains(&at));
        if at == start || is_document || !(trimmed.is_empty() || trimmed.starts_with('#')) {
            end = at + line.trim_end().len();
        }
        at += line.len();
    }
    let end = end.min(next);
    let ((first_line, first_column), (last_line, end_column)) =
        (lines.position(text, start), lines.position(text, end));
    Instruction {
        keyword: keyword.to_owned(),
        first_line,
        last_line,
        first_column,
        end_column,
        text: text[start..end].to_owned(),
    }
}

fn form(instruction: &parser::Instruction<'_>, variables: &mut Variables) -> Form {
    use parser::Instruction as I;
    let texts =
        |variables: &Variables, text: &str| vec![variables.expanded(text), Pattern::literal(&fold(text))];
    match instruction {
        I::Add(add) => copy(&add.src, &add.dest.value, variables),
        I::Copy(copied) => copy(&copied.src, &copied.dest.value, variables),
        I::Run(run) => Form::Run(commands(run)),
        I::Arg(arg) => {
            let names = names(&arg.arguments.value, true);
            let made = texts(variables, &arg.arguments.value);
            names.iter().for_each(|name| variables.argument(name));
            Form::Other { texts: made, names }
        }
        I::Env(env) => {
            let text = &env.arguments.value;
            let made = texts(variables, text);
            let names = names(text, false);
            variables.environment(text);
            Form::Other { texts: made, names }
        }
        I::Label(label) => Form::Other {
            texts: texts(variables, &label.arguments.value),
            names: names(&label.arguments.value, false),
        },
        I::Workdir(workdir) => {
            let written = variables.expanded(&workdir.arguments.value);
            let absolute = variables.absolute(&workdir.arguments.value);
            variables.enter(&absolute);
            Form::Other {
                texts: vec![
                    written,
                    absolute,
                    Pattern::literal(&fold(&workdir.arguments.value)),
                ],
                names: Vec::new(),
            }
        }
        I::Cmd(cmd) => command(&cmd.arguments),
        I::Entrypoint(entrypoint) => command(&entrypoint.arguments),
        I::Expose(expose) => listed(expose.arguments.iter().map(|word| &*word.value), variables),
        I::Shell(shell) => listed(shell.arguments.iter().map(|word| &*word.value), variables),
        I::User(user) => listed([&*user.arguments.value], variables),
        I::Stopsignal(signal) => listed([&*signal.arguments.value], variables),
        I::Maintainer(maintainer) => listed([&*maintainer.name.value], variables),
        I::Volume(volume) => match &volume.arguments {
            parser::JsonOrStringArray::Json(words) => {
                listed(words.value.iter().map(|word| &*word.value), variables)
            }
            parser::JsonOrStringArray::String(words) => {
                listed(words.iter().map(|word| &*word.value), variables)
            }
        },
        // Compared by its keyword, and by what words it shares.
        _ => listed([""], variables),
    }
}

/// What stands behind `ONBUILD`, as it is written: it is kept for the builds of others.
fn trigger(text: &str) -> Form {
    let body = text.split_once(char::is_whitespace).map_or("", |(_, body)| body);
    Form::Other {
        texts: vec![Pattern::literal(&fold_command(body))],
        names: Vec::new(),
    }
}

fn listed<'w>(words: impl IntoIterator<Item = &'w str>, variables: &Variables) -> Form {
    let text: Vec<&str> = words.into_iter().collect();
    Form::Other {
        texts: vec![variables.expanded(&text.join(" "))],
        names: Vec::new(),
    }
}

fn command(command: &parser::Command<'_>) -> Form {
    let text = match command {
        parser::Command::Exec(words) => {
            let words: Vec<&str> = words.value.iter().map(|word| &*word.value).collect();
            fold(&words.join(" "))
        }
        parser::Command::Shell(text) => fold_command(text.value),
        _ => String::new(),
    };
    Form::Other {
        texts: vec![Pattern::literal(&text)],
        names: Vec::new(),
    }
}

/// The texts that builders write for a `RUN`.
fn commands(run: &parser::RunInstruction<'_>) -> Vec<String> {
    match &run.arguments {
        parser::Command::Exec(words) => {
            let words: Vec<&str> = words.value.iter().map(|word| &*word.value).collect();
            // buildah keeps the list as it is written.
            vec![fold(&words.join(" ")), fold(&format!("[{}]", words.join(", ")))]
        }
        parser::Command::Shell(command) => {
            let mut texts = vec![fold_command(command.value)];
            if let [document] = &*run.here_docs {
                // BuildKit runs a lone document as the script itself.
                texts.push(fold(&document.value));
            }
            if !run.here_docs.is_empty() {
                let bodies: Vec<&str> = run.here_docs.iter().map(|document| &*document.value).collect();
                let delimiters = command.value.split("<<").skip(1).map(|word| {
                    let word = word.trim_start_matches('-');
                    word.split_whitespace()
                        .next()
                        .unwrap_or_default()
                        .trim_matches(['"', '\''])
                });
                let mut whole = command.value.to_owned();
                for (body, delimiter) in bodies.iter().zip(delimiters) {
                    whole.push_str(&format!("\n{body}{delimiter}"));
                }
                texts.push(fold(&whole));
            }
            texts
        }
        _ => Vec::new(),
    }
}

fn copy(sources: &[parser::Source<'_>], destination: &str, variables: &Variables) -> Form {
    let words: Vec<Pattern> = (sources.iter())
        .map(|source| match source {
            parser::Source::Path(path) => variables.expanded(&path.value),
            // The name of the document is not kept by the parser; histories have it, and nothing of the text.
            _ => Pattern::any_after("<<"),
        })
        .collect();
    Form::Copy {
        sources: Pattern::joined(words),
        destinations: vec![variables.expanded(destination), variables.absolute(destination)],
    }
}

/// The names that `NAME=value NAME=value` or `NAME value` sets.
fn names(text: &str, several: bool) -> Vec<String> {
    let words = super::words::split(text);
    let name = |word: &String| word.split_once('=').map(|(name, _)| fold(name));
    match words.first() {
        Some(first) if !first.contains('=') && !several => vec![fold(first)],
        _ if several => words
            .iter()
            .map(|word| name(word).unwrap_or_else(|| fold(word)))
            .collect(),
        _ => words.iter().filter_map(name).collect(),
    }
}

fn start(instruction: &parser::Instruction<'_>) -> usize {
    use parser::Instruction as I;
    match instruction {
        I::Add(i) => i.add.span.start,
        I::Arg(i) => i.arg.span.start,
        I::Cmd(i) => i.cmd.span.start,
        I::Copy(i) => i.copy.span.start,
        I::Entrypoint(i) => i.entrypoint.span.start,
        I::Env(i) => i.env.span.start,
        I::Expose(i) => i.expose.span.start,
        I::From(i) => i.from.span.start,
        I::Healthcheck(i) => i.healthcheck.span.start,
        I::Label(i) => i.label.span.start,
        I::Maintainer(i) => i.maintainer.span.start,
        I::Onbuild(i) => i.onbuild.span.start,
        I::Run(i) => i.run.span.start,
        I::Shell(i) => i.shell.span.start,
        I::Stopsignal(i) => i.stopsignal.span.start,
        I::User(i) => i.user.span.start,
        I::Volume(i) => i.volume.span.start,
        I::Workdir(i) => i.workdir.span.start,
        _ => 0,
    }
}

fn keyword(instruction: &parser::Instruction<'_>) -> &'static str {
    use parser::Instruction as I;
    match instruction {
        I::Add(_) => "ADD",
        I::Arg(_) => "ARG",
        I::Cmd(_) => "CMD",
        I::Copy(_) => "COPY",
        I::Entrypoint(_) => "ENTRYPOINT",
        I::Env(_) => "ENV",
        I::Expose(_) => "EXPOSE",
        I::From(_) => "FROM",
        I::Healthcheck(_) => "HEALTHCHECK",
        I::Label(_) => "LABEL",
        I::Maintainer(_) => "MAINTAINER",
        I::Onbuild(_) => "ONBUILD",
        I::Run(_) => "RUN",
        I::Shell(_) => "SHELL",
        I::Stopsignal(_) => "STOPSIGNAL",
        I::User(_) => "USER",
        I::Volume(_) => "VOLUME",
        I::Workdir(_) => "WORKDIR",
        _ => "",
    }
}

/// 4 MiB: a larger Dockerfile is none.
const MOST_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(String, u64, u64)> {
        let source = Source::parse("Dockerfile", true, text).unwrap();
        let instructions = source.instructions.into_iter();
        instructions
            .map(|instruction| (instruction.keyword, instruction.first_line, instruction.last_line))
            .collect()
    }

    #[test]
    fn an_instruction_ends_with_its_continuations_and_documents() {
        let text = "# syntax=docker/dockerfile:1\n\nFROM a AS b\nRUN x \\\n  # why\n  && y\n\n# note\n\
                    COPY <<A <<B /etc/\none\n# two\nA\nthree\nB\nRUN <<EOF\nset -e\n\nEOF\nCMD [\"x\"]\n";
        let expected = [
            ("FROM", 3, 3),
            ("RUN", 4, 6),
            ("COPY", 9, 14),
            ("RUN", 15, 18),
            ("CMD", 19, 19),
        ];
        let expected = expected.map(|(keyword, first, last)| (keyword.to_owned(), first, last));
        assert_eq!(lines(text), expected);
    }

    #[test]
    fn a_document_inside_of_a_command_belongs_to_it() {
        let text = "FROM a\nRUN cat <<E > /x\n# no\nCOPY a b\n\nE\n# note\nCMD x\n";
        let expected = [("FROM", 1, 1), ("RUN", 2, 6), ("CMD", 8, 8)];
        assert_eq!(
            lines(text),
            expected.map(|(k, first, last)| (k.to_owned(), first, last))
        );
    }

    #[test]
    fn the_escape_directive_moves_the_continuations() {
        let text = "# escape=`\nFROM a\nRUN dir C:\\ `\n  && x\r\nENV A=b\r\n";
        let expected = [("FROM", 2, 2), ("RUN", 3, 4), ("ENV", 5, 5)];
        assert_eq!(
            lines(text),
            expected.map(|(k, first, last)| (k.to_owned(), first, last))
        );
    }

    #[test]
    fn what_is_no_dockerfile_is_told_with_its_line() {
        for text in [
            "",
            "hello there\n",
            "FROM a\nNONSENSE b\n",
            "FROM a\nRUN <<EOF\nx\n",
        ] {
            let error = Source::parse("Dockerfile", true, text).unwrap_err();
            assert!(error.to_string().starts_with("line "), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_every_span_is_in_the_text(
            text in "(FROM a|RUN |COPY |<<E|E\n|ENV |[A$={}x\"' \\\\#\n`-]|é){0,30}"
        ) {
            if let Ok(source) = Source::parse("f", true, &format!("FROM a\n{text}")) {
                let count = source.text.lines().count() as u64;
                for instruction in &source.instructions {
                    proptest::prop_assert!(instruction.first_line <= instruction.last_line);
                    proptest::prop_assert!(instruction.last_line <= count.max(1));
                }
            }
        }
    }
}
