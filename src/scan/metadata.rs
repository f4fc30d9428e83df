//! The texts of an image that are in no layer: configuration, history, annotations, attestations.

use std::ops::Range;

use crate::engine::{Candidate, Matcher, Scratch};
use crate::finding::{MetadataUse, Origin};
use crate::oci::{ConfigField, History, Image, Statement};
use crate::text::Location;
use crate::text::chain::Chain;
use crate::text::context::{self, ContextLine};
use crate::text::lines::Tally;

/// A candidate in a text, and where.
pub(super) struct TextCandidate {
    pub(super) candidate: Candidate,
    pub(super) origin: Origin,
    pub(super) within: Chain,
    pub(super) used: MetadataUse,
    pub(super) location: Location,
    pub(super) companions: Vec<Location>,
    pub(super) context: Vec<ContextLine>,
}

/// How many bytes of text were searched, and what was found.
#[derive(Default)]
pub(super) struct Searched {
    pub(super) bytes: u64,
    pub(super) candidates: Vec<TextCandidate>,
}

/// Searches texts with one matcher.
pub(super) struct Texts<'a> {
    pub(super) matcher: &'a Matcher,
    pub(super) columns: usize,
    pub(super) scratch: Scratch,
}

impl Texts<'_> {
    /// Searches the configuration, the history and the annotations of an image.
    pub(super) fn of_image(&mut self, image: &Image) -> Searched {
        let mut searched = Searched::default();
        for field in &image.config.fields {
            let origin = Origin::Config {
                field: field.place.clone(),
                layer: layer_of(&field.place, &image.config.history),
            };
            self.search(&field.text, &origin, used(&field.place), &mut searched);
        }
        for ConfigField { place, text } in &image.fields {
            let origin = Origin::Manifest { field: place.clone() };
            self.search(text, &origin, MetadataUse::History, &mut searched);
        }
        searched
    }

    /// Searches an in-toto statement, or whatever else an attestation holds.
    pub(super) fn of_attestation(&mut self, bytes: &[u8], predicate_type: Option<&str>) -> Searched {
        let mut searched = Searched::default();
        let statement = Statement::parse(bytes)
            .map(|parsed| parsed.value)
            .unwrap_or_else(|_| Statement {
                predicate_type: None,
                fields: vec![ConfigField {
                    place: String::new(),
                    text: String::from_utf8_lossy(bytes).into_owned(),
                }],
            });
        let predicate_type = statement
            .predicate_type
            .as_deref()
            .or(predicate_type)
            .unwrap_or_default();
        for field in statement.fields {
            let origin = Origin::Attestation {
                predicate_type: predicate_type.to_owned(),
                field: field.place,
            };
            self.search(&field.text, &origin, MetadataUse::History, &mut searched);
        }
        searched
    }

    fn search(&mut self, text: &str, origin: &Origin, used: MetadataUse, searched: &mut Searched) {
        let text = text.as_bytes();
        searched.bytes += text.len() as u64;
        let found = self.matcher.scan_text(text, &mut self.scratch);
        let secrets: Vec<Range<u64>> = found
            .iter()
            .flat_map(|candidate| {
                std::iter::once(&candidate.at)
                    .chain(candidate.companions.iter().map(|companion| &companion.at))
            })
            .cloned()
            .collect();
        for candidate in found {
            searched.candidates.push(TextCandidate {
                origin: origin.clone(),
                within: Chain::default(),
                used,
                location: location(text, &candidate.at),
                companions: candidate
                    .companions
                    .iter()
                    .map(|companion| location(text, &companion.at))
                    .collect(),
                context: context::around(text, &candidate.at, &secrets, 0, self.columns),
                candidate,
            });
        }
    }
}

fn location(text: &[u8], at: &Range<u64>) -> Location {
    let (line, column, column_utf16) = Tally::of(&text[..at.start as usize], 0).position(0, at.start);
    Location {
        line,
        column,
        column_utf16,
        length: at.end - at.start,
        offset: at.start,
        file_offset: at.start,
    }
}

/// A container is started from `config`; everything else only tells how the image came to be.
fn used(place: &str) -> MetadataUse {
    if place == "config" || place.starts_with("config.") {
        MetadataUse::Effective
    } else {
        MetadataUse::History
    }
}

/// The ordinal of the layer that the step at `history[N]…` made, if it made one.
fn layer_of(place: &str, history: &[History]) -> Option<usize> {
    let number: usize = place.strip_prefix("history[")?.split_once(']')?.0.parse().ok()?;
    let step = history.get(number)?;
    (!step.empty_layer).then(|| history[..=number].iter().filter(|step| !step.empty_layer).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_entry_is_tied_to_the_layer_its_step_made() {
        let step = |empty_layer| History {
            empty_layer,
            ..History::default()
        };
        let history = [step(false), step(true), step(false)];
        assert_eq!(layer_of("history[0].created_by", &history), Some(1));
        assert_eq!(layer_of("history[1].created_by", &history), None);
        assert_eq!(layer_of("history[2].comment", &history), Some(2));
        assert_eq!(layer_of("history[3].comment", &history), None);
        assert_eq!(layer_of("config.Env", &history), None);
    }

    #[test]
    fn only_the_container_configuration_is_effective() {
        assert_eq!(used("config.Env"), MetadataUse::Effective);
        assert_eq!(used("container_config.Env"), MetadataUse::History);
        assert_eq!(used("history[0].created_by"), MetadataUse::History);
    }
}
