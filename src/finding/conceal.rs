//! Replaces secrets in the texts a report quotes from an image: instructions, context lines, paths. Does not touch
//! the findings' own values, which are [`Secret`]s and redact themselves.

use aho_corasick::{AhoCorasick, MatchKind};

use crate::text::Lossless;

use super::{Chain, Companion, FileClass, Link, Origin, Report, Secret, Tree};

/// Shorter secrets are left in texts: `root` as a password would cut every `/root` to pieces.
const LEAST_IN_TEXT: usize = 6;

/// Shorter secrets are left in paths, which people need to find the file. A path that holds a whole token is itself
/// the leak.
const LEAST_IN_PATH: usize = 16;

impl Report {
    /// Replaces every secret by its redacted form wherever else the report would show it.
    ///
    /// `RUN curl -H "Authorization: …"` is in the history as well as in the finding, and a token used as a file name
    /// is in every path. Whoever shows a report calls this first; [`crate::policy::Policy::judge`] does.
    pub fn conceal(&mut self) {
        let in_text = Concealer::new(self, LEAST_IN_TEXT);
        let in_path = Concealer::new(self, LEAST_IN_PATH);
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

struct Concealer {
    secrets: AhoCorasick,
    redacted: Vec<String>,
}

impl Concealer {
    fn new(report: &Report, least: usize) -> Self {
        let mut secrets: Vec<&Secret> = report
            .findings
            .iter()
            .flat_map(|finding| {
                let companions = finding.occurrences.iter().flat_map(|o| &o.companions);
                std::iter::once(&finding.secret).chain(companions.map(|companion| &companion.secret))
            })
            .filter(|secret| secret.expose().len() >= least)
            .collect();
        secrets.sort_unstable();
        secrets.dedup();
        Self {
            redacted: secrets.iter().map(|secret| secret.redacted()).collect(),
            secrets: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(secrets.iter().map(|secret| secret.expose()))
                .expect("the secrets of a report are far below the automaton's four billion states"),
        }
    }

    fn text(&self, text: &mut String) {
        if self.secrets.is_match(text.as_str()) {
            let replaced = self.secrets.replace_all_bytes(text.as_bytes(), &self.redacted);
            *text = String::from_utf8_lossy(&replaced).into_owned();
        }
    }

    fn path(&self, path: &mut Lossless) {
        if self.secrets.is_match(&path.0) {
            path.0 = self.secrets.replace_all_bytes(&path.0, &self.redacted);
        }
    }

    fn chain(&self, chain: &mut Chain) {
        let conceals = |link: &Link| matches!(link, Link::Member(path) if self.secrets.is_match(&path.0));
        if chain.links().iter().any(conceals) {
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
