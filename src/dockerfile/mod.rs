//! From a Dockerfile, an image's history and BuildKit's provenance to the lines that made a layer, a variable or a label.
//! Reads no file and guesses no line: where nothing ties an instruction to a layer, there is no instruction.
//!
//! A provenance of `mode=max` says outright which lines made which layer. Without one the history is compared with the
//! instructions: from the end, since what the base image did comes first, and each with a stated
//! [`Certainty`](crate::finding::Certainty).

mod align;
mod documents;
mod history;
mod lines;
mod parse;
#[cfg(test)]
mod tests;
mod tied;
mod words;

use crate::finding::{Mapping, Report};
use crate::oci::{Digest, Provenance};

pub use parse::{ParseError, Source};
use tied::{Build, TextFacts, Tied};

/// What is known of a build besides the image.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The Dockerfile of the checkout.
    pub source: Option<Source>,
    /// Whether it was found rather than named, so that it may well be of another image.
    pub is_guess: bool,
    /// Provenances from files.
    pub provenances: Vec<Provenance>,
}

/// What came of locating.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// Whether one of [`Known::provenances`] is about one of the images.
    pub uses_provenance: bool,
    /// Why the Dockerfile could not be tied to an image, or with which reservation, by the place of the image; escaped.
    pub notes: Vec<(usize, String)>,
}

/// Ties layers and occurrences of every image to the instructions that made them.
///
/// To be called before [`Report::conceal`], which replaces the secrets in the texts of instructions and of histories. A
/// Dockerfile that was only found, and does not belong to an image, is left out of it without a word.
pub fn locate(report: &mut Report, known: &Known) -> Located {
    let mut located = Located::default();
    for (index, image) in report.images.iter_mut().enumerate() {
        let layers: Vec<Option<Digest>> = image.layers.iter().map(|layer| layer.digest.clone()).collect();
        let about = |provenance: &&Provenance| lines::is_about(provenance, image.manifest.as_ref(), &layers);
        let from_file = known.provenances.iter().find(about);
        located.uses_provenance |= from_file.is_some();
        let build = Build {
            history: &image.build.history,
            provenance: from_file.or_else(|| image.build.provenances.iter().find(about)),
            layers: &layers,
        };
        let Some(tied) = Tied::new(known, &build) else {
            continue;
        };
        if tied.dockerfile.mapping == Mapping::None && known.is_guess {
            continue;
        }
        located
            .notes
            .extend(tied.dockerfile.note.clone().map(|note| (index, note)));
        for layer in &mut image.layers {
            layer.made_by = tied.layer(layer.ordinal);
        }
        for finding in &mut report.findings {
            let mut occurrences = finding
                .occurrences
                .iter_mut()
                .filter(|o| o.image == index)
                .peekable();
            if occurrences.peek().is_none() {
                continue;
            }
            let secret = finding.secret.known().map(String::from_utf8_lossy);
            for occurrence in occurrences {
                // The name of a variable stands at the beginning of its line.
                let line = occurrence.context.iter().find(|line| line.here);
                let text = TextFacts {
                    secret: secret.as_deref(),
                    name: line
                        .and_then(|line| line.text.split_once('='))
                        .map(|(name, _)| name),
                    line: occurrence.location.line,
                };
                occurrence.made_by = tied.made_by(&occurrence.origin, &text);
            }
        }
        image.dockerfile = Some(tied.dockerfile);
    }
    located
}
