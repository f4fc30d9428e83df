//! The lines of a Dockerfile in a result: which instruction brought the secret, which one only hides it. Says how sure that
//! is, and that it is not known where it is not.

use serde_json::json;
use serde_sarif::sarif::{CodeFlow, Location, ThreadFlow, ThreadFlowLocation};

use crate::finding::{Certainty, Dockerfile, ImageSummary, MadeBy, Mapping, Occurrence, Status};

use super::{checked_out, display, message, place};

/// The instructions of one occurrence.
pub(super) struct Lines<'a> {
    /// The Dockerfile, where it is a file of the checkout.
    pub(super) dockerfile: Option<&'a Dockerfile>,
    added: Option<MadeBy>,
    hidden: Option<MadeBy>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(image: &'a ImageSummary, occurrence: &Occurrence) -> Self {
        let by = occurrence.status.hidden_by().and_then(|by| by.checked_sub(1));
        let hiding = by.and_then(|index| image.layers.get(index));
        Self {
            dockerfile: checked_out(image),
            added: occurrence.made_by,
            hidden: hiding.and_then(|layer| layer.made_by),
        }
    }

    /// Where the result stands: at the instruction that brought it, or, where that is not known, at the `FROM` of the
    /// stage. A file that is not the image's has no better line than its first.
    pub(super) fn primary(&self, dockerfile: &Dockerfile) -> Location {
        let known = self
            .added
            .and_then(|made_by| place::instruction(dockerfile, made_by));
        known.unwrap_or_else(|| {
            let from = dockerfile.from.filter(|_| dockerfile.mapping != Mapping::None);
            let from = from.map(|instruction| MadeBy {
                instruction,
                certainty: Certainty::Positional,
            });
            from.and_then(|from| place::instruction(dockerfile, from))
                .unwrap_or_else(|| place::beginning(dockerfile))
        })
    }

    /// The sentences about the instructions, with links, and the locations these lead to, whose ids count from 1.
    pub(super) fn told(&self, occurrence: &Occurrence, is_at_instruction: bool) -> (String, Vec<Location>) {
        let Some(dockerfile) = self.dockerfile else {
            return (String::new(), Vec::new());
        };
        let mut related = Vec::new();
        let mut link = |made_by: MadeBy, text: &str| -> Option<String> {
            let location = place::instruction(dockerfile, made_by)?;
            let line = dockerfile.instruction(made_by)?.first_line;
            related.push(Location {
                message: Some(message(text.to_owned())),
                ..location
            });
            Some(format!("[Dockerfile line {line}]({})", related.len()))
        };
        let mut text = match (self.added, is_at_instruction) {
            (Some(made_by), true) => {
                let keyword = self.keyword(made_by);
                match (dockerfile.is_inherited(made_by), made_by.certainty) {
                    (true, _) => " The base image that this line names brings it".to_owned(),
                    (false, Certainty::Exact) => format!(" The {keyword} on this line brings it"),
                    (false, Certainty::Fuzzy) => {
                        format!(
                            " The {keyword} on this line most likely brings it (texts are alike, not the same)"
                        )
                    }
                    (false, Certainty::Positional) => {
                        format!(" The {keyword} on this line most likely brings it (by its position alone)")
                    }
                }
            }
            (None, true) => " Which instruction of this Dockerfile brings it is not known".to_owned(),
            (Some(made_by), false) => match link(made_by, &self.adds(occurrence)) {
                Some(link) => format!(" {link} brings it{}", reservation(made_by)),
                None => String::new(),
            },
            (None, false) => String::new(),
        };
        if let Some(hidden) = self.hidden.filter(|hidden| Some(*hidden) != self.added)
            && let Some(link) = link(hidden, &self.hides(occurrence))
        {
            let joined = if text.is_empty() { " " } else { " and " };
            text.push_str(&format!("{joined}{link} only hides it{}", reservation(hidden)));
        }
        if !text.is_empty() {
            text.push('.');
        }
        (text, related)
    }

    /// The life of the file: added here, hidden there. Only where both are known.
    pub(super) fn life(&self, occurrence: &Occurrence) -> Option<CodeFlow> {
        let dockerfile = self.dockerfile?;
        let (added, hidden) = (self.added?, self.hidden?);
        if added == hidden {
            return None;
        }
        let steps = [(added, self.adds(occurrence)), (hidden, self.hides(occurrence))];
        let mut locations = Vec::new();
        for (order, (made_by, text)) in steps.into_iter().enumerate() {
            locations.push(ThreadFlowLocation {
                location: Some(Location {
                    message: Some(message(text)),
                    ..place::instruction(dockerfile, made_by)?
                }),
                execution_order: Some(order as i64 + 1),
                importance: Some(json!("essential")),
                ..Default::default()
            });
        }
        let place = display(&occurrence.origin, &occurrence.within);
        Some(CodeFlow {
            message: Some(message(format!("Life of {place} across the image layers."))),
            properties: None,
            thread_flows: vec![ThreadFlow::builder().locations(locations).build()],
        })
    }

    /// How the line was found.
    pub(super) fn mapping(&self) -> &'static str {
        match (self.dockerfile, self.added) {
            (Some(dockerfile), Some(made_by)) => match (dockerfile.mapping, made_by.certainty) {
                (Mapping::Provenance, Certainty::Exact) => "provenance",
                (_, certainty) => certainty.name(),
            },
            _ => "none",
        }
    }

    fn keyword(&self, made_by: MadeBy) -> &str {
        let instruction = self
            .dockerfile
            .and_then(|dockerfile| dockerfile.instruction(made_by));
        instruction.map_or("instruction", |instruction| &instruction.keyword)
    }

    fn adds(&self, occurrence: &Occurrence) -> String {
        let place = display(&occurrence.origin, &occurrence.within);
        let keyword = self.added.map_or("instruction", |made_by| self.keyword(made_by));
        match occurrence.origin.layer() {
            Some(layer) => format!("Layer {layer} ({keyword}) brings {place}."),
            None => format!("This {keyword} brings {place}."),
        }
    }

    fn hides(&self, occurrence: &Occurrence) -> String {
        let place = display(&occurrence.origin, &occurrence.within);
        let keyword = self.hidden.map_or("instruction", |made_by| self.keyword(made_by));
        let layer = occurrence.origin.layer().unwrap_or_default();
        match &occurrence.status {
            Status::Deleted { by, .. } => {
                format!(
                    "Layer {by} ({keyword}) only marks {place} as deleted. Layer {layer} still has the file."
                )
            }
            Status::Overwritten { by } => {
                format!(
                    "Layer {by} ({keyword}) only puts another {place} above. Layer {layer} still has the file."
                )
            }
            _ => String::new(),
        }
    }
}

fn reservation(made_by: MadeBy) -> &'static str {
    match made_by.certainty {
        Certainty::Exact => "",
        Certainty::Fuzzy => " (most likely: the texts are alike)",
        Certainty::Positional => " (most likely: by its position)",
    }
}
