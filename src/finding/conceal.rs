//! Replaces secrets in the texts a report quotes from an image: instructions, context lines, paths. Does not touch
//! the findings' own values, which are [`Secret`]s and redact themselves.

use std::collections::BTreeSet;

use crate::text::Lossless;
use crate::text::conceal::{Concealer, LEAST_IN_PATH, LEAST_IN_TEXT};

use super::{Chain, Companion, FileClass, Link, Origin, Report, Secret, Tree};

impl Report {
    /// Replaces every secret by its redacted form wherever else the report would show it.
    ///
    /// `RUN curl -H "Authorization: …"` is in the history as well as in the finding, and a token used as a file name
    /// is in every path. Whoever shows a report calls this first; [`crate::policy::Policy::judge`] does.
    pub fn conceal(&mut self) {
        let in_text = Places(of(self, LEAST_IN_TEXT));
        let in_path = Places(of(self, LEAST_IN_PATH));
        for layer in self.images.iter_mut().flat_map(|image| &mut image.layers) {
            if let Some(created_by) = &mut layer.created_by {
                in_text.text(created_by);
            }
        }
        for hidden in self
            .images
            .iter_mut()
            .flat_map(|image| &mut image.hidden)
            .flatten()
        {
            in_path.path(&mut hidden.example);
        }
        for image in &mut self.images {
            let history = image.build.history.iter_mut();
            for text in history.flat_map(|step| [&mut step.created_by, &mut step.comment, &mut step.author]) {
                text.iter_mut().for_each(|text| in_text.text(text));
            }
            let sources = image.build.provenances.iter_mut().flat_map(|p| &mut p.sources);
            sources.for_each(|source| in_text.text(&mut source.text));
            if let Some(dockerfile) = &mut image.dockerfile {
                let instructions = dockerfile.instructions.iter_mut();
                instructions.for_each(|instruction| in_text.text(&mut instruction.text));
            }
        }
        for occurrence in self.findings.iter_mut().flat_map(|f| &mut f.occurrences) {
            in_path.origin(&mut occurrence.origin);
            in_path.chain(&mut occurrence.within);
            for Companion { origin, within, .. } in &mut occurrence.companions {
                in_path.origin(origin);
                in_path.chain(within);
            }
            if let Some(FileClass {
                tree: Tree::Package { package, .. },
                ..
            }) = &mut occurrence.class
            {
                in_text.text(&mut package.name);
                package
                    .version
                    .iter_mut()
                    .for_each(|version| in_text.text(version));
            }
            for line in &mut occurrence.context {
                in_text.text(&mut line.text);
            }
        }
        for skip in &mut self.coverage.skips {
            in_path.text(&mut skip.place);
            in_path.text(&mut skip.detail);
        }
    }
}

/// Of all that a report names.
fn of(report: &Report, least: usize) -> Concealer {
    let secrets: BTreeSet<&Secret> = report
        .findings
        .iter()
        .flat_map(|finding| {
            let companions = finding.occurrences.iter().flat_map(|o| &o.companions);
            std::iter::once(&finding.secret).chain(companions.map(|companion| &companion.secret))
        })
        .collect();
    Concealer::new(secrets, least)
}

struct Places(Concealer);

impl Places {
    fn text(&self, text: &mut String) {
        self.0.text(text);
    }

    fn path(&self, path: &mut Lossless) {
        if let Some(concealed) = self.0.concealed(&path.0) {
            path.0 = concealed;
        }
    }

    fn chain(&self, chain: &mut Chain) {
        if chain.member().is_some() {
            *chain = (chain.links().iter().cloned())
                .map(|mut link| {
                    if let Link::Member(path) = &mut link {
                        self.path(path);
                    }
                    link
                })
                .collect();
        }
    }

    fn origin(&self, origin: &mut Origin) {
        match origin {
            Origin::File { path, .. } | Origin::Layer { path: Some(path), .. } => self.path(path),
            Origin::Layer { path: None, .. } => {}
            Origin::Config { field, .. } | Origin::Manifest { field } | Origin::Attestation { field, .. } => {
                self.text(field);
            }
        }
    }
}
