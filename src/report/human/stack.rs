//! Draws the layers of an image as they are stacked, with the findings at their layer and an arrow to the layer that
//! hid them. Does not draw an image in which there is nothing to point at; see the caller.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::{instruction, wire};
use crate::text;

use super::page::{Ink, Page, fit, left, right};

/// Which findings, by number, stand where in one image.
#[derive(Default)]
pub(super) struct Places {
    /// By layer.
    found: BTreeMap<usize, BTreeSet<usize>>,
    /// By the layer that hides them.
    hidden: BTreeMap<usize, BTreeSet<usize>>,
    /// From a layer to the one that hides what stands there.
    arcs: BTreeMap<(usize, usize), BTreeSet<usize>>,
    /// By layer and finding, the names of the files.
    names: BTreeMap<(usize, usize), BTreeSet<String>>,
    /// Outside of the layers: field and number.
    metadata: BTreeSet<(String, usize)>,
}

impl Places {
    pub(super) fn of(report: &wire::Report, image: usize) -> Self {
        let mut places = Self::default();
        for (index, finding) in report.findings.iter().enumerate() {
            let number = index + 1;
            for occurrence in finding.occurrences.iter().filter(|o| o.image == image) {
                let in_layer = match &occurrence.origin {
                    wire::Origin::File { layer, .. } | wire::Origin::Layer { layer, .. } => Some(*layer),
                    _ => None,
                };
                let Some(layer) = in_layer else {
                    places.metadata.insert((occurrence.place(), number));
                    continue;
                };
                places.found.entry(layer).or_default().insert(number);
                let place = occurrence.place();
                let name = place.rsplit('/').next().unwrap_or_default().to_owned();
                places.names.entry((layer, number)).or_default().insert(name);
                if let Some(by) = occurrence.status.hidden_by() {
                    places.hidden.entry(by).or_default().insert(number);
                    if by > layer {
                        places.arcs.entry((layer, by)).or_default().insert(number);
                    }
                }
            }
        }
        places
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.metadata.is_empty()
    }

    fn found(&self, layer: usize) -> usize {
        self.found.get(&layer).map_or(0, BTreeSet::len)
    }

    fn hides(&self, layer: usize) -> usize {
        self.hidden.get(&layer).map_or(0, BTreeSet::len)
    }

    fn label(&self, layer: usize) -> String {
        let mut parts = Vec::new();
        if let Some(found) = self.found.get(&layer) {
            let mut text = numbers(found);
            // Where it is the only one, there is room for its name.
            if let Some(only) = found.first().filter(|_| found.len() == 1) {
                let names = self.names.get(&(layer, *only)).into_iter().flatten();
                for (index, name) in names.enumerate() {
                    text.push_str(if index == 0 { " " } else { ", " });
                    text.push_str(name);
                }
            }
            parts.push(text);
        }
        if let Some(hidden) = self.hidden.get(&layer) {
            parts.push(format!("hides {}", numbers(hidden)));
        }
        parts.join(", ")
    }
}

/// Draws the stack, top layer first. On a narrow page it is a list instead.
pub(super) fn draw(page: &mut Page, image: &wire::Image, places: &Places) {
    let rows = rows(image, places);
    let lanes = lanes(places);
    let gutter = if lanes.is_empty() { 1 } else { 2 * lanes.len() + 1 };
    // box borders and the columns of numbers, then room for an instruction and a label
    let spare = page.width().saturating_sub(FIXED + gutter + 1);
    if spare < 34 {
        list(page, &rows, places);
    } else {
        let label = (spare / 3).clamp(12, 48);
        drawing(page, &rows, places, &lanes, (spare - label, label));
    }
    for (field, number) in &places.metadata {
        page.flow(
            2,
            6,
            &[
                (Ink::Dim, "metadata  "),
                (Ink::Bold, &format!("[{number}] ")),
                (Ink::Plain, field),
            ],
        );
    }
}

/// One row: a layer, or several in which there is nothing.
struct Row<'a> {
    first: usize,
    last: usize,
    bytes: u64,
    layer: Option<&'a wire::Layer>,
}

fn rows<'a>(image: &'a wire::Image, places: &Places) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    let mut quiet: Vec<&'a wire::Layer> = Vec::new();
    let flush = |rows: &mut Vec<Row<'a>>, quiet: &mut Vec<&'a wire::Layer>| {
        if let [first, .., last] = quiet[..]
            && quiet.len() >= LEAST_FOLDED
        {
            rows.push(Row {
                first: last.ordinal,
                last: first.ordinal,
                bytes: quiet
                    .iter()
                    .fold(0, |sum, layer| sum.saturating_add(layer.decoded_bytes)),
                layer: None,
            });
        } else {
            rows.extend(quiet.iter().map(|layer| Row::of(layer)));
        }
        quiet.clear();
    };
    for layer in image.layers.iter().rev() {
        let is_quiet = places.found(layer.ordinal) == 0
            && places.hides(layer.ordinal) == 0
            && layer.integrity != wire::Integrity::Failed;
        if is_quiet {
            quiet.push(layer);
        } else {
            flush(&mut rows, &mut quiet);
            rows.push(Row::of(layer));
        }
    }
    flush(&mut rows, &mut quiet);
    rows
}

impl<'a> Row<'a> {
    fn of(layer: &'a wire::Layer) -> Self {
        Self {
            first: layer.ordinal,
            last: layer.ordinal,
            bytes: layer.decoded_bytes,
            layer: Some(layer),
        }
    }

    fn name(&self) -> String {
        if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}–{}", self.first, self.last)
        }
    }

    fn text(&self) -> String {
        match self.layer {
            Some(layer) => {
                let failed = if layer.integrity == wire::Integrity::Failed {
                    "NOT VERIFIED "
                } else {
                    ""
                };
                match &layer.created_by {
                    Some(created_by) => format!("{failed}{}", instruction(created_by)),
                    None => format!("{failed}(the history does not say)"),
                }
            }
            None => format!("{} layers without findings", self.last - self.first + 1),
        }
    }

    fn ink(&self, places: &Places) -> Ink {
        if places.found(self.first) > 0 {
            Ink::Bold
        } else if self.layer.is_some() {
            Ink::Plain
        } else {
            Ink::Dim
        }
    }
}

/// Gives each arc a lane beside the box, short ones inside. Arcs beyond the last lane are told by the labels alone.
fn lanes(places: &Places) -> Vec<Vec<(usize, usize)>> {
    let mut arcs: Vec<(usize, usize)> = places.arcs.keys().copied().collect();
    arcs.sort_by_key(|(from, by)| (by - from, *from));
    let mut lanes: Vec<Vec<(usize, usize)>> = Vec::new();
    for (from, by) in arcs {
        let is_free = |lane: &Vec<(usize, usize)>| lane.iter().all(|(f, b)| by < *f || *b < from);
        match lanes.iter().position(is_free) {
            Some(index) => lanes[index].push((from, by)),
            None if lanes.len() < MOST_LANES => lanes.push(vec![(from, by)]),
            None => {}
        }
    }
    lanes
}

fn drawing(
    page: &mut Page,
    rows: &[Row<'_>],
    places: &Places,
    lanes: &[Vec<(usize, usize)>],
    (text_width, label_width): (usize, usize),
) {
    let border = |l: &str, m: &str, r: &str| {
        let dashes = |count: usize| "─".repeat(count + 2);
        format!(
            "  {l}{}{m}{}{m}{}{m}{}{m}{}{r}",
            dashes(NUMBER),
            dashes(SIZE),
            dashes(COUNT),
            dashes(COUNT),
            dashes(text_width)
        )
    };
    let counted = |count: usize| {
        if count == 0 {
            "·".to_owned()
        } else {
            count.to_string()
        }
    };
    page.line(&[(Ink::Dim, &border("┌", "┬", "┐"))]);
    let head = format!(
        "  │ {} │ {} │ {} │ {} │ {} │",
        right("layer", NUMBER),
        right("size", SIZE),
        right("found", COUNT),
        right("hides", COUNT),
        left("made by (base at the bottom)", text_width)
    );
    page.line(&[(Ink::Dim, &head)]);
    page.line(&[(Ink::Dim, &border("├", "┼", "┤"))]);
    for row in rows {
        let is_one = row.layer.is_some();
        let number = right(&row.name(), NUMBER);
        let size = right(&text::bytes(row.bytes), SIZE);
        let found = right(&counted(if is_one { places.found(row.first) } else { 0 }), COUNT);
        let hides = right(&counted(if is_one { places.hides(row.first) } else { 0 }), COUNT);
        let made_by = left(&row.text(), text_width);
        let ink = row.ink(places);
        let label = if is_one {
            places.label(row.first)
        } else {
            String::new()
        };
        let label_ink = if places.found(row.first) > 0 && is_one {
            Ink::Red
        } else {
            Ink::Cyan
        };
        page.line(&[
            (Ink::Dim, "  │ "),
            (ink, &number),
            (Ink::Dim, " │ "),
            (ink, &size),
            (Ink::Dim, " │ "),
            (ink, &found),
            (Ink::Dim, " │ "),
            (ink, &hides),
            (Ink::Dim, " │ "),
            (ink, &made_by),
            (Ink::Dim, " │"),
            (Ink::Cyan, &gutter(row, lanes)),
            (Ink::Plain, " "),
            (label_ink, &fit(&label, label_width)),
        ]);
    }
    page.line(&[(Ink::Dim, &border("└", "┴", "┘"))]);
}

/// The part of every arc that passes or touches one row.
fn gutter(row: &Row<'_>, lanes: &[Vec<(usize, usize)>]) -> String {
    if lanes.is_empty() {
        return " ".to_owned();
    }
    let mut cells = vec![' '; 2 * lanes.len() + 1];
    let mut reach = 0;
    let mut is_hider = false;
    for (index, lane) in lanes.iter().enumerate() {
        for (from, by) in lane {
            let at = 2 * index + 2;
            if *by == row.first || *from == row.last {
                cells[at] = if *by == row.first { '┐' } else { '┘' };
                is_hider |= *by == row.first;
                reach = reach.max(at);
            } else if *from < row.first && row.last < *by {
                cells[at] = '│';
            }
        }
    }
    for (at, cell) in cells.iter_mut().enumerate().take(reach) {
        *cell = match *cell {
            '│' => '┼',
            '┐' => '┬',
            '┘' => '┴',
            _ if at == 0 && is_hider => '◀',
            _ => '─',
        };
    }
    cells.into_iter().collect()
}

fn list(page: &mut Page, rows: &[Row<'_>], places: &Places) {
    for row in rows {
        let text = format!("{} ({})", row.text(), text::bytes(row.bytes));
        page.labelled(0, 6, &row.name(), &[(row.ink(places), &text)]);
        if row.layer.is_none() {
            continue;
        }
        if let Some(found) = places.found.get(&row.first) {
            page.flow(6, 8, &[(Ink::Red, &format!("found {}", numbers(found)))]);
        }
        for ((from, _), hidden) in places.arcs.iter().filter(|((_, by), _)| *by == row.first) {
            let text = format!("hides {} of layer {from}", numbers(hidden));
            page.flow(6, 8, &[(Ink::Cyan, &text)]);
        }
    }
}

fn numbers(numbers: &BTreeSet<usize>) -> String {
    let shown: String = numbers
        .iter()
        .take(MOST_NUMBERS)
        .map(|n| format!("[{n}]"))
        .collect();
    match numbers.len().saturating_sub(MOST_NUMBERS) {
        0 => shown,
        more => format!("{shown}+{more}"),
    }
}

const NUMBER: usize = 5;
const SIZE: usize = 10;
const COUNT: usize = 5;
/// Columns of a row that are not instruction, gutter or label.
const FIXED: usize = 2 + NUMBER + SIZE + 2 * COUNT + 3 * 5 + 1;
/// Fewer layers in a row without findings are shown each.
const LEAST_FOLDED: usize = 4;
/// More lanes would leave no room for the instructions.
const MOST_LANES: usize = 6;
/// Findings named in one label.
const MOST_NUMBERS: usize = 6;
