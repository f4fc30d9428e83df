//! What a provenance says of lines, for the layers of one image and the Dockerfile of a checkout. Believes a provenance only
//! as far as its digests are those of the image.

use std::collections::HashMap;

use crate::finding::{Certainty, MadeBy};
use crate::oci::{BuildStep, Digest, Provenance};

use super::parse::Source;

/// Whether a provenance is about the image: it names the manifest, or made one of the layers.
pub(super) fn is_about(
    provenance: &Provenance,
    manifest: Option<&Digest>,
    layers: &[Option<Digest>],
) -> bool {
    if manifest.is_some_and(|manifest| provenance.subjects.contains(manifest)) {
        return true;
    }
    // A base is shared by many images.
    let made = owners(provenance);
    layers
        .iter()
        .flatten()
        .any(|layer| made.get(layer).is_some_and(|owner| !owner.is_base))
}

/// The Dockerfile it embeds.
pub(super) fn source(provenance: &Provenance) -> Option<Source> {
    let file = provenance.sources.first()?;
    let name = if file.name.is_empty() {
        "Dockerfile"
    } else {
        &file.name
    };
    let name = crate::text::escape(name.as_bytes());
    Source::parse(&name, false, &file.text).ok()
}

/// The step that made a layer.
struct Owner<'a> {
    step: &'a BuildStep,
    is_base: bool,
}

/// Which step made which layer. *Source*: BuildKit's provenance: a chain is base to step, so the last layer is the step's
/// own, unless a step before has it already. `COPY --link` makes its layer apart and merges it in a step of the same lines.
fn owners(provenance: &Provenance) -> HashMap<&Digest, Owner<'_>> {
    let mut owners: HashMap<&Digest, Owner<'_>> = HashMap::new();
    let (sources, made): (Vec<&BuildStep>, Vec<&BuildStep>) =
        provenance.steps.iter().partition(|step| step.is_source);
    for step in sources {
        for digest in step.chains.iter().flatten() {
            owners.entry(digest).or_insert(Owner { step, is_base: true });
        }
    }
    for step in made.into_iter().filter(|step| !step.lines.is_empty()) {
        for digest in step.chains.iter().filter_map(|chain| chain.last()) {
            owners.entry(digest).or_insert(Owner { step, is_base: false });
        }
    }
    owners
}

/// A provenance's lines as instructions of the Dockerfile that reports show.
#[derive(Debug)]
pub(super) struct Embedded {
    own: Source,
    counterparts: Vec<Option<usize>>,
    certainty: Certainty,
    pub(super) layers: Vec<Option<MadeBy>>,
    pub(super) steps: Vec<Option<MadeBy>>,
    /// The stage that was built, by name.
    pub(super) target: Option<String>,
    /// Whether the embedded Dockerfile and the shown one are the same.
    pub(super) is_same: bool,
}

impl Embedded {
    pub(super) fn new(provenance: &Provenance, shown: &Source, layers: &[Option<Digest>]) -> Option<Self> {
        let own = source(provenance)?;
        let lines =
            |text: &str| -> Vec<String> { text.lines().map(|line| line.trim_end().to_owned()).collect() };
        let is_same = lines(&own.text) == lines(&shown.text);
        let counterparts = if is_same {
            (0..own.instructions.len()).map(Some).collect()
        } else {
            own.counterparts(shown)
        };
        let certainty = if is_same {
            Certainty::Exact
        } else {
            Certainty::Fuzzy
        };
        let mut embedded = Self {
            own,
            counterparts,
            certainty,
            layers: Vec::new(),
            steps: Vec::new(),
            target: provenance.target.clone(),
            is_same,
        };
        embedded.steps = provenance
            .steps
            .iter()
            .map(|step| embedded.of_step(step))
            .collect();
        let owners = owners(provenance);
        let by_digest = |layer: &Option<Digest>| embedded.of_step(owners.get(layer.as_ref()?)?.step);
        embedded.layers = layers.iter().map(by_digest).collect();
        let is_any = layers.iter().flatten().any(|layer| owners.contains_key(layer));
        if !is_any {
            embedded.layers = embedded.by_position(provenance, &owners, layers.len());
        }
        Some(embedded)
    }

    /// The layers of an image that was written with another compression than the builder's, so that digests differ: the
    /// longest chain of the last step is as long as the image.
    fn by_position(
        &self,
        provenance: &Provenance,
        owners: &HashMap<&Digest, Owner<'_>>,
        count: usize,
    ) -> Vec<Option<MadeBy>> {
        let last = provenance.steps.iter().rev().find(|step| !step.chains.is_empty());
        let chain = last.and_then(|step| step.chains.iter().find(|chain| chain.len() == count));
        let positional = |digest: &Digest| {
            let made_by = self.of_step(owners.get(digest)?.step)?;
            Some(MadeBy {
                certainty: Certainty::Positional,
                ..made_by
            })
        };
        match chain {
            Some(chain) => chain.iter().map(positional).collect(),
            None => vec![None; count],
        }
    }

    fn of_step(&self, step: &BuildStep) -> Option<MadeBy> {
        let (_, line, _) = step.lines.iter().find(|(source, _, _)| *source == 0)?;
        self.at_line(*line)
    }

    /// The instruction on a line of the embedded Dockerfile.
    pub(super) fn at_line(&self, line: u64) -> Option<MadeBy> {
        let own = self.own.at_line(line)?;
        Some(MadeBy {
            instruction: self.counterparts.get(own).copied().flatten()?,
            certainty: self.certainty,
        })
    }
}
