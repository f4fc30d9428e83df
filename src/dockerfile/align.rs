//! Ties the steps of a stage to the entries of a history: the order of both is kept, what the base image brought comes
//! first and is tied to nothing. Compares texts; trusts no count.

use std::collections::HashMap;

use crate::finding::Certainty;

use super::history::Made;
use super::parse::{Form, Step};

/// Which step made which entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Alignment {
    /// For each entry of the history the step, by its place in the chain.
    pub(super) steps: Vec<Option<(usize, Certainty)>>,
    /// How many entries the base image brought, where that is known.
    pub(super) inherited: Option<usize>,
    pub(super) score: i64,
    /// Steps that write files and whose texts agree.
    pub(super) exact_writes: usize,
    /// Other steps whose texts agree.
    pub(super) exact_others: usize,
    /// Steps that every builder tells of, and how many of them are tied to an entry.
    pub(super) expected: usize,
    pub(super) found: usize,
}

impl Alignment {
    /// Whether the steps are those of the image. A guess needs more: short files are alike.
    pub(super) fn belongs(&self, is_guess: bool) -> bool {
        let is_most = self.found * 2 >= self.expected;
        let exact = self.exact_writes + self.exact_others;
        if is_guess {
            is_most && self.exact_writes >= 1 && exact >= 2
        } else {
            is_most && exact >= 1 && (self.exact_writes >= 1 || self.expected == 0)
        }
    }
}

/// Aligns the steps of a stage with a history. Cost: the product of both lengths; beyond [`MOST_PAIRS`] nothing is tied.
pub(super) fn align(steps: &[&Step], history: &[Made]) -> Alignment {
    let mut alignment = Alignment {
        steps: vec![None; history.len()],
        expected: steps.iter().filter(|step| step.writes()).count(),
        ..Alignment::default()
    };
    let (rows, columns) = (steps.len() + 1, history.len() + 1);
    if steps.is_empty() || rows.saturating_mul(columns) > MOST_PAIRS {
        return alignment;
    }
    let matches = matched(steps, history);
    let at = |row: usize, column: usize| row * columns + column;
    let mut best = vec![0_i64; rows * columns];
    for row in 1..rows {
        let missing = cost_of_missing(steps[row - 1]);
        best[at(row, 0)] = best[at(row - 1, 0)] - missing;
        for column in 1..columns {
            let skips_step = best[at(row - 1, column)] - missing;
            let skips_entry = best[at(row, column - 1)] - COST_OF_ENTRY;
            let pairs = matches
                .get(&(row - 1, column - 1))
                .map(|(score, _)| best[at(row - 1, column - 1)] + score);
            best[at(row, column)] = skips_step.max(skips_entry).max(pairs.unwrap_or(i64::MIN));
        }
    }
    alignment.score = best[at(rows - 1, columns - 1)];
    // From the end, so that of equals the latest entry is taken: what the base image did looks the same at times.
    let (mut row, mut column) = (rows - 1, columns - 1);
    let mut is_tied = vec![false; steps.len()];
    while row > 0 && column > 0 {
        let here = best[at(row, column)];
        if let Some((score, certainty)) = matches.get(&(row - 1, column - 1))
            && best[at(row - 1, column - 1)] + score == here
        {
            alignment.steps[column - 1] = Some((row - 1, *certainty));
            is_tied[row - 1] = true;
            (row, column) = (row - 1, column - 1);
        } else if best[at(row, column - 1)] - COST_OF_ENTRY == here {
            column -= 1;
        } else {
            row -= 1;
        }
    }
    fill_gaps(&mut alignment, steps, history, &mut is_tied);
    for (step, certainty) in alignment.steps.iter().flatten() {
        match (certainty, steps[*step].writes()) {
            (Certainty::Exact, true) => alignment.exact_writes += 1,
            (Certainty::Exact, false) => alignment.exact_others += 1,
            _ => {}
        }
    }
    alignment.found = steps
        .iter()
        .zip(&is_tied)
        .filter(|(step, tied)| step.writes() && **tied)
        .count();
    // Where the first steps are not found, what stands before the first entry may be theirs.
    let first_tied = is_tied.iter().position(|tied| *tied);
    let leads = |first: usize| !steps[..first].iter().any(|step| step.writes());
    alignment.inherited = first_tied
        .filter(|first| leads(*first))
        .and_then(|_| alignment.steps.iter().position(Option::is_some));
    alignment
}

/// Pairs that may be one, with their scores.
fn matched(steps: &[&Step], history: &[Made]) -> HashMap<(usize, usize), (i64, Certainty)> {
    let mut matches = HashMap::new();
    for (row, step) in steps.iter().enumerate() {
        for (column, made) in history.iter().enumerate() {
            if step.keyword == made.keyword
                && let Some(found) = compare(step, made)
            {
                matches.insert((row, column), found);
            }
        }
    }
    matches
}

fn compare(step: &Step, made: &Made) -> Option<(i64, Certainty)> {
    let exact = |writes| Some((if writes { 12 } else { 7 }, Certainty::Exact));
    let fuzzy = |alike: f64| (alike >= LEAST_ALIKE).then_some(((alike * 6.0) as i64, Certainty::Fuzzy));
    match &step.made {
        Form::Run(texts) => {
            if texts.iter().any(|text| is_command(&made.body, text)) {
                return exact(true);
            }
            fuzzy(
                texts
                    .iter()
                    .map(|text| alike(text, &made.body))
                    .fold(0.0, f64::max),
            )
        }
        Form::Copy {
            sources,
            destinations,
        } => {
            let path = |path: &str| match path.trim_end_matches('/') {
                "" => "/".to_owned(),
                path => path.to_owned(),
            };
            let to = path(&made.destination);
            let same_destination = destinations.iter().any(|destination| match destination.text() {
                Some(text) => path(&text) == to,
                None => destination.is_telling() && destination.matches(&made.destination),
            });
            let same_sources = made.sources.as_ref().map(|made| sources.matches(made));
            match (same_destination, same_sources) {
                (true, None | Some(true)) => exact(true),
                (true, Some(false)) => Some((5, Certainty::Fuzzy)),
                (false, Some(true)) if sources.is_telling() => Some((4, Certainty::Fuzzy)),
                (false, _) => None,
            }
        }
        Form::Other { texts, .. } => {
            if texts
                .iter()
                .any(|text| text.is_telling() && text.matches(&made.body))
            {
                return exact(false);
            }
            let alike = texts
                .iter()
                .map(|text| alike(&text.known(), &made.body))
                .fold(0.0, f64::max);
            // The lists of `CMD` are written with commas, without, and with the shell's own words.
            if alike > 0.99 { exact(false) } else { fuzzy(alike) }
        }
    }
}

/// Whether a history's text is this command, behind a shell, build arguments, or nothing.
fn is_command(made: &str, command: &str) -> bool {
    if command.is_empty() {
        return false;
    }
    // buildah tells the labels it does not want behind the command.
    let made = made.split("|unsetLabel").next().unwrap_or_default().trim_end();
    let Some(before) = made.strip_suffix(command) else {
        return false;
    };
    let before = before.trim_end();
    let last = before.rsplit(' ').next().unwrap_or_default();
    before.is_empty() || before.starts_with('|') || last.starts_with('-') || last.starts_with('/')
}

/// How many words two texts share, from 0 to 1.
fn alike(a: &str, b: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        let words = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty());
        words.take(MOST_WORDS).map(str::to_owned).collect()
    };
    let (a, b) = (words(a), words(b));
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    a.iter().for_each(|word| *counts.entry(word).or_default() += 1);
    let mut shared = 0;
    for word in &b {
        if let Some(count) = counts.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    2.0 * f64::from(shared) / (a.len() + b.len()) as f64
}

/// Between two pairs, as many steps as entries of the same keywords are one another, whatever their texts.
fn fill_gaps(alignment: &mut Alignment, steps: &[&Step], history: &[Made], is_tied: &mut [bool]) {
    let mut tied: Vec<(usize, usize)> = (alignment.steps.iter().enumerate())
        .filter_map(|(column, pair)| Some((pair.as_ref()?.0, column)))
        .collect();
    tied.push((steps.len(), history.len()));
    for pair in tied.windows(2) {
        let ((row, column), (next_row, next_column)) = (pair[0], pair[1]);
        let writes = |keyword: &str| matches!(keyword, "ADD" | "COPY" | "RUN");
        let rows: Vec<usize> = (row + 1..next_row)
            .filter(|row| writes(&steps[*row].keyword))
            .collect();
        let columns: Vec<usize> = (column + 1..next_column)
            .filter(|column| writes(&history[*column].keyword))
            .collect();
        let is_same = rows.len() == columns.len()
            && rows
                .iter()
                .zip(&columns)
                .all(|(row, column)| steps[*row].keyword == history[*column].keyword);
        if is_same {
            for (row, column) in rows.into_iter().zip(columns) {
                alignment.steps[column] = Some((row, Certainty::Positional));
                is_tied[row] = true;
            }
        }
    }
}

/// A step that writes files leaves an entry with every builder; others do with most.
fn cost_of_missing(step: &Step) -> i64 {
    match step.keyword.as_str() {
        "ARG" | "ONBUILD" => 0,
        _ if step.writes() => 4,
        _ => 1,
    }
}

const COST_OF_ENTRY: i64 = 1;
/// Half of the words: a changed package list is still the same instruction, two installations of different things are not.
const LEAST_ALIKE: f64 = 0.6;
/// Words of an instruction that are compared.
const MOST_WORDS: usize = 2_000;
/// 4 million: 2,000 instructions and as many entries, far beyond what any builder takes.
const MOST_PAIRS: usize = 4_000_000;
