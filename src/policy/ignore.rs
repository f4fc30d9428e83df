//! Entries that say which findings are no concern, who says so, and until when. What stands in an image is never one.

use globset::{GlobBuilder, GlobMatcher};

use crate::finding::{Finding, Fingerprint, Occurrence, Report};
use crate::rules::RuleId;

use super::{Date, PathGlob};

/// One entry. It covers a finding where everything it names fits; at least one of the four is named.
#[derive(Clone, Debug)]
pub struct Ignore {
    /// The finding's name.
    pub fingerprint: Option<Fingerprint>,
    /// Its rule.
    pub rule: Option<RuleId>,
    /// A glob that fits every place the finding stands in.
    pub path: Option<PathGlob>,
    /// A glob that fits the repository, or a name, of every image it stands in.
    pub image: Option<ImageGlob>,
    /// Why it is no concern.
    pub reason: String,
    /// Who says so.
    pub owner: String,
    /// The last day on which the entry holds.
    pub expires: Date,
    /// Where the entry stands: `layersift.toml:12`.
    pub place: String,
}

impl Ignore {
    /// Whether the entry covers all of a finding. One place or image outside of it, and it does not: a key that was copied
    /// elsewhere is news.
    pub fn covers(&self, finding: &Finding, report: &Report) -> bool {
        let is_named = self
            .fingerprint
            .as_ref()
            .is_none_or(|fingerprint| finding.is_called(fingerprint))
            && self.rule.as_ref().is_none_or(|rule| *rule == finding.rule);
        // Places that were only counted cannot be compared.
        let places_known = finding.more_occurrences == 0;
        let fits_everywhere = |fits: &dyn Fn(&Occurrence) -> bool| {
            places_known && !finding.occurrences.is_empty() && finding.occurrences.iter().all(fits)
        };
        is_named
            && self
                .path
                .as_ref()
                .is_none_or(|glob| fits_everywhere(&|occurrence| glob.fits(&occurrence.origin)))
            && self
                .image
                .as_ref()
                .is_none_or(|glob| fits_everywhere(&|occurrence| glob.fits_image(report, occurrence.image)))
    }

    /// Whether an image of this report could be meant.
    pub(super) fn concerns(&self, report: &Report) -> bool {
        let image = self.image.as_ref();
        image.is_none_or(|glob| (0..report.images.len()).any(|index| glob.fits_image(report, index)))
    }

    /// Whether it holds no more.
    pub fn is_expired(&self, today: Date) -> bool {
        self.expires < today
    }

    /// What it names, for a person: `rule npm-token, path test/**`; escaped.
    pub fn subject(&self) -> String {
        let escape = |text: &str| crate::text::escape(text.as_bytes());
        let parts = [
            self.fingerprint
                .as_ref()
                .map(|it| format!("fingerprint {}", escape(&it.0))),
            self.rule.as_ref().map(|it| format!("rule {}", escape(&it.0))),
            self.path.as_ref().map(|it| format!("path {}", escape(it.text()))),
            self.image
                .as_ref()
                .map(|it| format!("image {}", escape(&it.text))),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// A glob over names of images: `registry/repository`, or a name with its tag. `*` stays within one part of the name.
#[derive(Clone, Debug)]
pub struct ImageGlob {
    text: String,
    matcher: GlobMatcher,
}

impl ImageGlob {
    /// Whether it fits a name.
    pub fn fits(&self, name: &str) -> bool {
        self.matcher.is_match(name)
    }

    /// A glob without a slash fits the last part of a name, whatever is before it.
    fn fits_image(&self, report: &Report, index: usize) -> bool {
        let Some(image) = report.images.get(index) else {
            return false;
        };
        let fits = |name: &str| {
            let last = name.rsplit('/').next().unwrap_or(name);
            self.fits(name) || !self.text.contains('/') && self.fits(last)
        };
        let target = report.targets.get(image.target);
        target.is_some_and(|target| fits(&target.repository) || fits(&target.name))
            || image.names.iter().any(|name| fits(name))
    }
}

impl std::str::FromStr for ImageGlob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| format!("it is no glob: {}", error.kind()))?;
        Ok(Self {
            text: text.to_owned(),
            matcher: glob.compile_matcher(),
        })
    }
}
