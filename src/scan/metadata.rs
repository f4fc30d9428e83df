//! The texts of an image that are in no layer: configuration, history, annotations, attestations. They are searched as
//! files are; which of them a container is started from decides what a finding in them is worth.

use serde::{Deserialize, Serialize};

use crate::finding::{MetadataUse, Origin};
use crate::layer::{LayerCandidate, LayerSkip, SearchedText, TextReader, stored};
use crate::oci::{ConfigField, History, Image, Provenance, Statement};
use crate::rules::RuleSet;
use crate::text;
use crate::text::secret::Sealer;

/// A candidate in a text, and where.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct TextCandidate {
    pub(super) found: LayerCandidate,
    pub(super) origin: Origin,
    pub(super) used: MetadataUse,
}

/// How many bytes of text were searched, what was found, and what was not searched or decoded, with its place.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Searched {
    pub(super) bytes: u64,
    pub(super) lost_bytes: u64,
    pub(super) candidates: Vec<TextCandidate>,
    pub(super) skips: Vec<(String, LayerSkip)>,
}

/// All that was found in the texts of one image.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct ImageTexts {
    pub(super) metadata: Searched,
    pub(super) attested: Vec<Searched>,
    /// How it was built. Not stored: it tells of sources at length.
    #[serde(skip)]
    pub(super) provenances: Vec<Provenance>,
}

impl ImageTexts {
    /// Replaces every secret by its sealed form.
    pub(super) fn seal(&mut self, sealer: &Sealer, rules: &RuleSet) {
        let mut found: Vec<&mut LayerCandidate> = self.candidates().collect();
        stored::seal_all(&mut found, sealer, &|candidate| super::nature(rules, candidate));
    }

    /// Ties what was read to the key it was sealed with.
    pub(super) fn adopt(&mut self, sealer: &Sealer) {
        self.candidates().for_each(|found| stored::adopt(found, sealer));
    }

    fn candidates(&mut self) -> impl Iterator<Item = &mut LayerCandidate> {
        let searched = std::iter::once(&mut self.metadata).chain(&mut self.attested);
        searched.flat_map(|searched| {
            searched
                .candidates
                .iter_mut()
                .map(|candidate| &mut candidate.found)
        })
    }
}

/// Searches texts with one matcher.
pub(super) struct Texts<'a>(pub(super) TextReader<'a>);

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
        searched.bytes += text.len() as u64;
        let SearchedText {
            candidates,
            lost_bytes,
            skips,
        } = self.0.search(text.as_bytes());
        searched.lost_bytes += lost_bytes;
        searched
            .skips
            .extend(skips.into_iter().map(|skip| (place(origin), skip)));
        let candidates = candidates.into_iter().map(|found| TextCandidate {
            found,
            origin: origin.clone(),
            used,
        });
        searched.candidates.extend(candidates);
    }
}

/// A text as the ledger names it.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::Config { field, .. } => format!("configuration `{}`", text::escape(field.as_bytes())),
        Origin::Manifest { field } => format!("manifest `{}`", text::escape(field.as_bytes())),
        Origin::Attestation { field, .. } => format!("attestation `{}`", text::escape(field.as_bytes())),
        Origin::File { .. } | Origin::Layer { .. } => unreachable!("it is in no layer"),
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
