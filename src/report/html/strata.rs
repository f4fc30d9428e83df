//! One image as strata: its layers in order, as thick as they are large, and a line for each finding from the layer that
//! brought it to the one that hid it. Draws; what is drawn is decided by the report.

use super::page::Page;
use crate::report::sentences;
use crate::report::wire::{Image, Report, Status};
use crate::text;

/// The heights of the five thicknesses; `style.css` has them too.
const HEIGHTS: [usize; 5] = [40, 48, 58, 72, 90];

/// From this many bytes on, a layer is one step thicker.
const STEPS: [u64; 4] = [1 << 20, 10 << 20, 100 << 20, 1 << 30];

/// Lines of one image; more than this is a tangle. The rest is counted.
pub(super) const MOST_LANES: usize = 16;

/// Between two lines.
const LANE: usize = 24;

/// Room at the right of the lines.
const MARGIN: usize = 12;

/// The room that so many lines take at the right of the layers, in pixels.
pub(super) fn room(lanes: usize) -> usize {
    MARGIN + lanes * LANE + 8
}

/// One line: a finding, from a row to a row.
struct Lane {
    number: usize,
    class: &'static str,
    from: usize,
    to: usize,
    status: &'static str,
    is_hidden: bool,
}

/// Draws the image at `index`.
pub(super) fn draw(page: &mut Page, report: &Report, index: usize, image: &Image) {
    let lanes = lanes(report, index, image);
    let shown = lanes.len().min(MOST_LANES);
    let mut tops = vec![0];
    page.raw("<div class=\"strata\"><div class=\"w")
        .number(shown)
        .raw("\"><ol>");
    for layer in &image.layers {
        let thickness = STEPS.iter().filter(|step| layer.decoded_bytes >= **step).count();
        tops.push(tops[tops.len() - 1] + HEIGHTS[thickness]);
        page.raw(CLASSES[thickness])
            .element("<span class=\"n\">", &layer.ordinal.to_string(), "</span>");
        let by = layer
            .created_by
            .as_deref()
            .map_or("no history".to_owned(), super::super::instruction);
        page.raw("<span class=\"by\"><code title=\"")
            .text(&by)
            .raw("\">")
            .text(&by)
            .raw("</code>");
        let digest = layer
            .digest
            .as_ref()
            .map_or(String::new(), |digest| digest.to_string());
        let entries = if layer.entries == 1 { "entry" } else { "entries" };
        let line = layer.instruction.as_ref();
        let what = format!(
            "{} {entries}, {}{}",
            layer.entries,
            digest.get(..19).unwrap_or_default(),
            line.map_or(String::new(), |line| format!(", {}", line.place()))
        );
        page.element("<small class=\"quiet\">", &what, "</small></span>");
        page.element(
            "<span class=\"size\">",
            &text::bytes(layer.decoded_bytes),
            "</span></li>",
        );
    }
    // What stands in no layer has a row of its own below them all.
    tops.push(tops[tops.len() - 1] + HEIGHTS[0]);
    page.raw("<li class=\"h0\"><span class=\"n\"></span><span class=\"by\"><span>configuration, history and manifest</span>\
              <small class=\"quiet\">read by everyone who can pull the image</small></span><span class=\"size\"></span></li></ol>");
    lines(page, &lanes[..shown], &tops);
    page.raw("</div></div>");
    page.raw("<p class=\"key\">Base first. ● a finding, by its number · solid: a container sees it · dashed to ×: deleted or \
              overwritten there, <b>still recoverable</b> from where the line begins.");
    if lanes.len() > shown {
        page.raw(" ")
            .number(lanes.len() - shown)
            .raw(" more lines are not drawn; every finding is below.");
    }
    page.raw("</p>");
}

const CLASSES: [&str; 5] = [
    "<li class=\"h0\">",
    "<li class=\"h1\">",
    "<li class=\"h2\">",
    "<li class=\"h3\">",
    "<li class=\"h4\">",
];

fn lanes(report: &Report, index: usize, image: &Image) -> Vec<Lane> {
    let last = image.layers.len();
    // A history line stands at its own layer, though no layer holds it.
    let row = |ordinal: Option<usize>| match ordinal {
        Some(ordinal) => ordinal.saturating_sub(1).min(last),
        None => last,
    };
    let mut lanes: Vec<Lane> = Vec::new();
    for (finding, number) in report.findings.iter().zip(1..) {
        for occurrence in finding
            .occurrences
            .iter()
            .filter(|occurrence| occurrence.image == index)
        {
            let from = row(occurrence.origin.layer());
            let to = match occurrence.status.hidden_by() {
                Some(by) => row(Some(by)),
                None if matches!(occurrence.status, Status::Present) => last.saturating_sub(1).max(from),
                None => from,
            };
            let lane = Lane {
                number,
                class: super::severity_class(finding.severity),
                from,
                to,
                status: sentences::status_name(&occurrence.status),
                is_hidden: occurrence.status.hidden_by().is_some(),
            };
            let same = |other: &Lane| {
                (other.number, other.from, other.to, other.is_hidden) == (number, from, to, lane.is_hidden)
            };
            if !lanes.iter().any(same) {
                lanes.push(lane);
            }
        }
    }
    lanes
}

fn lines(page: &mut Page, lanes: &[Lane], tops: &[usize]) {
    let width = room(lanes.len());
    let height = tops[tops.len() - 1] + tops.len();
    page.raw("<svg width=\"")
        .number(width)
        .raw("\" height=\"")
        .number(height);
    page.raw("\" role=\"img\" aria-label=\"lines from the layer that brought each finding to the one that hid it; the list of \
              findings says the same\">");
    let middle = |row: usize| match (tops.get(row), tops.get(row + 1)) {
        // Each row has a border of a pixel below it.
        (Some(top), Some(bottom)) => (top + bottom) / 2,
        _ => 0,
    };
    for (lane, place) in lanes.iter().zip(0..) {
        let x = 20 + place * LANE;
        let (from, to) = (middle(lane.from), middle(lane.to));
        page.raw("<a href=\"#f")
            .number(lane.number)
            .raw("\" class=\"")
            .raw(lane.class)
            .raw("\"><title>finding ");
        page.number(lane.number)
            .raw(", ")
            .raw(lane.status)
            .raw("</title>");
        if to != from {
            page.raw("<line class=\"lane")
                .raw(if lane.is_hidden { " gone" } else { "" });
            page.raw("\" x1=\"")
                .number(x)
                .raw("\" x2=\"")
                .number(x)
                .raw("\" y1=\"")
                .number(from)
                .raw("\" y2=\"")
                .number(to);
            page.raw("\"/>");
        }
        page.raw("<circle class=\"dot\" r=\"9\" cx=\"")
            .number(x)
            .raw("\" cy=\"")
            .number(from)
            .raw("\"/>");
        page.raw("<text text-anchor=\"middle\" x=\"")
            .number(x)
            .raw("\" y=\"")
            .number(from + 4)
            .raw("\">");
        page.number(lane.number).raw("</text>");
        if lane.is_hidden {
            // Hidden by the layer that brought it: the mark stands beside the dot.
            let below = if to == from { to + 18 } else { to + 5 };
            page.raw("<text class=\"mark\" text-anchor=\"middle\" x=\"")
                .number(x)
                .raw("\" y=\"")
                .number(below)
                .raw("\">×</text>");
        }
        page.raw("</a>");
    }
    page.raw("</svg>");
}
