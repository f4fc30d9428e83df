//! One image and its Dockerfile: which instruction made each layer and each text of the configuration. Joins what the
//! provenance says with what the history tells; the first is believed before the second.

use crate::finding::{Certainty, Dockerfile, MadeBy, Mapping, Origin};
use crate::oci::{Digest, History, Provenance};

use super::Known;
use super::align::{Alignment, align};
use super::history::Made;
use super::lines::{self, Embedded};
use super::parse::{Form, Source, Step};

/// What an image tells of its build.
pub(super) struct Build<'a> {
    pub(super) history: &'a [History],
    pub(super) provenance: Option<&'a Provenance>,
    pub(super) layers: &'a [Option<Digest>],
}

/// What is known of a text that holds a secret.
pub(super) struct TextFacts<'a> {
    /// The secret; `None` where its text was not kept.
    pub(super) secret: Option<&'a str>,
    /// The name before the `=` of its line.
    pub(super) name: Option<&'a str>,
    pub(super) line: u64,
}

/// An image's Dockerfile with what its instructions made.
pub(super) struct Tied {
    pub(super) dockerfile: Dockerfile,
    layers: Vec<Option<MadeBy>>,
    /// For each layer the steps that wrote it together, where there are several.
    groups: Vec<Vec<(usize, Certainty)>>,
    chain: Vec<Step>,
    /// The `FROM` of the base, where there is one.
    base: Option<usize>,
    history: Vec<Made>,
    alignment: Alignment,
    embedded: Option<Embedded>,
}

impl Tied {
    /// `None` where no Dockerfile is known.
    pub(super) fn new(known: &Known, build: &Build<'_>) -> Option<Self> {
        let source = known
            .source
            .clone()
            .or_else(|| build.provenance.and_then(lines::source))?;
        let embedded = build
            .provenance
            .and_then(|p| Embedded::new(p, &source, build.layers));
        let history: Vec<Made> = build.history.iter().map(Made::of).collect();
        let target = embedded.as_ref().and_then(|embedded| embedded.target.as_deref());
        let (stage, mut alignment) = best_stage(&source, &history, target)?;
        let (root, is_empty, chain) = source.chain(stage);
        let chain: Vec<Step> = chain.into_iter().cloned().collect();

        let is_provided = embedded
            .as_ref()
            .is_some_and(|e| e.layers.iter().any(Option::is_some));
        let is_aligned = alignment.belongs(known.is_guess);
        if !is_aligned {
            alignment = Alignment {
                steps: vec![None; history.len()],
                ..Alignment::default()
            };
        }
        let mapping = match (is_provided, is_aligned) {
            (true, _) => Mapping::Provenance,
            (false, true) => Mapping::History,
            (false, false) => Mapping::None,
        };
        let mut tied = Self {
            dockerfile: Dockerfile {
                path: source.path.clone(),
                is_checked_out: source.is_checked_out,
                mapping,
                note: note(mapping, &embedded, build),
                from: source.stages.get(stage).map(|stage| stage.from),
                instructions: source.instructions,
            },
            layers: vec![None; build.layers.len()],
            groups: vec![Vec::new(); build.layers.len()],
            chain,
            base: (!is_empty).then_some(root),
            history,
            alignment,
            embedded,
        };
        tied.by_history(build);
        if let Some(embedded) = &tied.embedded {
            for (layer, made_by) in tied.layers.iter_mut().zip(&embedded.layers) {
                *layer = made_by.or(*layer);
            }
        }
        Some(tied)
    }

    /// Ties layers to instructions by the entries that made them. buildah writes the layers of a stage as one, which is
    /// that of the last entry; those before say that they made none.
    fn by_history(&mut self, build: &Build<'_>) {
        let makes_layer = |entry: &History| !entry.empty_layer;
        if build.history.iter().filter(|entry| makes_layer(entry)).count() != self.layers.len() {
            return;
        }
        let mut begin = 0;
        let ends = build
            .history
            .iter()
            .enumerate()
            .filter(|(_, entry)| makes_layer(entry));
        for (layer, (end, _)) in ends.enumerate() {
            let writes: Vec<usize> = (begin..=end)
                .filter(|index| matches!(self.history[*index].keyword.as_str(), "ADD" | "COPY" | "RUN"))
                .collect();
            begin = end + 1;
            self.layers[layer] = match writes.as_slice() {
                [] => self.of_entry(end),
                [only] => self.of_entry(*only),
                several if several.iter().all(|entry| self.is_inherited(*entry)) => self.of_entry(end),
                several => {
                    let steps = several.iter().filter_map(|entry| self.alignment.steps[*entry]);
                    self.groups[layer] = steps.collect();
                    None
                }
            };
        }
    }

    fn is_inherited(&self, entry: usize) -> bool {
        self.alignment.inherited.is_some_and(|count| entry < count)
    }

    /// The instruction that an entry of the history tells of.
    fn of_entry(&self, entry: usize) -> Option<MadeBy> {
        match self.alignment.steps.get(entry).copied().flatten() {
            Some((step, certainty)) => Some(MadeBy {
                instruction: self.chain[step].instruction,
                certainty,
            }),
            None if self.is_inherited(entry) => self.of_base(),
            None => None,
        }
    }

    /// `FROM`, as sure as the first instruction behind it.
    fn of_base(&self) -> Option<MadeBy> {
        let first = self.alignment.steps.iter().flatten().next();
        Some(MadeBy {
            instruction: self.base?,
            certainty: first.map_or(Certainty::Fuzzy, |(_, certainty)| *certainty),
        })
    }

    /// The instruction that made a layer, by its ordinal.
    pub(super) fn layer(&self, ordinal: usize) -> Option<MadeBy> {
        self.layers.get(ordinal.checked_sub(1)?).copied().flatten()
    }

    /// The instruction that brought what stands at a place.
    pub(super) fn made_by(&self, origin: &Origin, text: &TextFacts<'_>) -> Option<MadeBy> {
        match origin {
            Origin::File { layer, path, .. } => self.layer(*layer).or_else(|| self.by_path(*layer, &path.0)),
            Origin::Layer { layer, path, .. } => {
                let by_path = |path| self.by_path(*layer, path);
                self.layer(*layer)
                    .or_else(|| path.as_ref().and_then(|path| by_path(&path.0)))
            }
            Origin::Config { field, .. } => match field.strip_prefix("history[") {
                Some(rest) => self.of_history(rest.split(']').next()?.parse().ok()?, text),
                None => self.of_setting(field, text),
            },
            Origin::Attestation { field, .. } => self.of_attestation(field, text),
            Origin::Manifest { .. } => None,
        }
    }

    /// Of several instructions that wrote one layer, the one that names the file.
    fn by_path(&self, layer: usize, path: &[u8]) -> Option<MadeBy> {
        let group = self.groups.get(layer.checked_sub(1)?)?;
        let path = format!("/{}", std::str::from_utf8(path).ok()?);
        let name = path.rsplit('/').next().filter(|name| name.len() > 2)?;
        let rank = |step: &Step| match &step.made {
            Form::Copy {
                sources,
                destinations,
            } => {
                let known = destinations.iter().filter_map(|destination| destination.text());
                let ranks = known.map(|to| {
                    let folder = to.trim_end_matches('/');
                    let is_below = path
                        .strip_prefix(folder)
                        .is_some_and(|rest| rest.starts_with('/'));
                    let names_it = sources.known().split([' ', '/']).any(|word| word == name);
                    match (to == path, is_below && names_it, is_below) {
                        (true, _, _) => 4,
                        (_, true, _) => 3,
                        (_, _, true) => 1,
                        _ => 0,
                    }
                });
                ranks.max().unwrap_or(0)
            }
            Form::Run(texts) => {
                let has = |what: &str| texts.iter().any(|text| text.contains(what));
                if has(&path) {
                    4
                } else if has(name) {
                    2
                } else {
                    0
                }
            }
            Form::Other { .. } => 0,
        };
        let mut ranked: Vec<(i32, usize)> = (group.iter().enumerate())
            .map(|(place, (step, _))| (rank(&self.chain[*step]), place))
            .filter(|(rank, _)| *rank > 0)
            .collect();
        ranked.sort_unstable();
        let (best, place) = ranked.pop()?;
        // Two that fit as well: the later one wrote what is there, unless all that is known is the folder.
        if best == 1 && !ranked.is_empty() {
            return None;
        }
        Some(MadeBy {
            instruction: self.chain[group[place].0].instruction,
            certainty: group[place].1.min(Certainty::Fuzzy),
        })
    }

    /// The instruction of a history entry, or the `ARG` whose value it repeats.
    fn of_history(&self, entry: usize, text: &TextFacts<'_>) -> Option<MadeBy> {
        let made_by = self.of_entry(entry)?;
        let own = &self.dockerfile.instructions.get(made_by.instruction)?.text;
        let argument = text
            .secret
            .filter(|secret| !own.contains(secret))
            .and_then(|secret| self.history[entry].argument_of(secret));
        let argument = argument.and_then(|name| self.last_step("ARG", |step| step.sets(name)));
        Some(MadeBy {
            instruction: argument.unwrap_or(made_by.instruction),
            ..made_by
        })
    }

    /// The instruction that set a field of the configuration.
    fn of_setting(&self, field: &str, text: &TextFacts<'_>) -> Option<MadeBy> {
        if self.dockerfile.mapping == Mapping::None {
            return None;
        }
        let name = field.split(['.', '[']).nth(1)?;
        let keyword = match name {
            "Cmd" => "CMD",
            "Entrypoint" => "ENTRYPOINT",
            "Env" => "ENV",
            "ExposedPorts" => "EXPOSE",
            "Healthcheck" => "HEALTHCHECK",
            "Labels" => "LABEL",
            "OnBuild" => "ONBUILD",
            "Shell" => "SHELL",
            "StopSignal" => "STOPSIGNAL",
            "User" => "USER",
            "Volumes" => "VOLUME",
            "WorkingDir" => "WORKDIR",
            _ => return None,
        };
        let folded = super::words::fold(text.secret.unwrap_or_default());
        let mut entries = self.history.iter().enumerate().rev();
        let told = entries
            .find(|(_, made)| made.keyword == keyword && !folded.is_empty() && made.body.contains(&folded));
        if let Some(made_by) = told.and_then(|(entry, _)| self.of_entry(entry)) {
            return Some(made_by);
        }
        let has_text = |step: &Step| {
            let instruction = &self.dockerfile.instructions[step.instruction].text;
            text.secret.is_some_and(|secret| instruction.contains(secret))
        };
        if let Some(instruction) = self.last_step(keyword, has_text) {
            return Some(MadeBy {
                instruction,
                certainty: Certainty::Exact,
            });
        }
        let name = text.name?;
        match self.last_step(keyword, |step| step.sets(name)) {
            Some(instruction) => Some(MadeBy {
                instruction,
                certainty: Certainty::Fuzzy,
            }),
            None if matches!(keyword, "ENV" | "LABEL") && told.is_none() => self.of_base(),
            None => None,
        }
    }

    fn of_attestation(&self, field: &str, text: &TextFacts<'_>) -> Option<MadeBy> {
        let embedded = self.embedded.as_ref()?;
        if field == "Dockerfile" {
            return embedded.at_line(text.line);
        }
        if let Some((_, name)) = field.rsplit_once("build-arg:") {
            let instruction = self.last_step("ARG", |step| step.sets(name))?;
            let certainty = if embedded.is_same {
                Certainty::Exact
            } else {
                Certainty::Fuzzy
            };
            return Some(MadeBy {
                instruction,
                certainty,
            });
        }
        let (_, step) = field.split_once("llbDefinition[")?;
        let step: usize = step.split(']').next()?.parse().ok()?;
        embedded.steps.get(step).copied().flatten()
    }

    fn last_step(&self, keyword: &str, is_it: impl Fn(&Step) -> bool) -> Option<usize> {
        let mut steps = self.chain.iter().rev().filter(|step| step.keyword == keyword);
        steps.find(|step| is_it(step)).map(|step| step.instruction)
    }
}

/// The stage that was built: the one asked for, or the one the history fits best. Of equals the last.
fn best_stage(source: &Source, history: &[Made], target: Option<&str>) -> Option<(usize, Alignment)> {
    let named = |index: &usize| {
        let name = source.stages[*index].name.as_deref();
        target.is_none_or(|target| name.is_some_and(|name| name.eq_ignore_ascii_case(target)))
    };
    let mut stages: Vec<usize> = (0..source.stages.len()).filter(named).collect();
    if stages.is_empty() {
        stages = (0..source.stages.len()).collect();
    }
    let aligned = stages
        .into_iter()
        .map(|stage| (stage, align(&source.chain(stage).2, history)));
    aligned.max_by_key(|(stage, alignment)| (alignment.score, *stage))
}

fn note(mapping: Mapping, embedded: &Option<Embedded>, build: &Build<'_>) -> Option<String> {
    let layers = build.layers.len();
    let made = build.history.iter().filter(|entry| !entry.empty_layer).count();
    match mapping {
        Mapping::None if embedded.is_some() => Some(
            "the image was built from another Dockerfile: its provenance embeds one with other instructions"
                .to_owned(),
        ),
        Mapping::None if build.history.is_empty() => Some(
            "the image tells nothing of how it was built: it has no history and no provenance".to_owned(),
        ),
        Mapping::None => Some("its instructions are not those of the image's history".to_owned()),
        Mapping::Provenance => (embedded.as_ref().is_some_and(|embedded| !embedded.is_same)).then(|| {
            "it is not quite the Dockerfile that the image was built from; lines were found by their text"
                .to_owned()
        }),
        Mapping::History => (made != layers).then(|| {
            format!("the history tells of {made} layers and the image has {layers}: its layers have no lines")
        }),
    }
}
