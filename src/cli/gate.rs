//! `layersift gate`: a scan, and what a policy asks of it. Reads the files and images that the policy names; what follows from
//! them is decided in [`crate::policy`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use super::args::{GateArgs, OutputArgs};
use super::exit::Exit;
use super::messages::Messages;
use super::scan::{self, Prepared};
use crate::finding::Report;
use crate::limits::Limits;
use crate::oci::{Digest, PlatformSelector, Reference};
use crate::policy::base::{self, BaseImage, NamedBase};
use crate::policy::digests::{self, Expected};
use crate::policy::file::Run;
use crate::policy::{
    Baseline, Carrier, Date, Earlier, Facts, Gate, ImageGlob, NamedBy, Policy, PolicyFile, Remark,
    RemarkKind, Treatment, Verdict, Weight, squash,
};
use crate::source::{self, Access, OpenOptions, SourceError, registry};

/// The name of a policy.
const POLICY: &str = "layersift.toml";

pub(super) fn run(args: GateArgs, output: &OutputArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let GateArgs {
        policy,
        base,
        since,
        expect_digest,
        squashed,
        also_tags,
        scan,
    } = args;
    let mut prepared = Prepared::new(scan, messages)?;
    let gating = Gating::of_gate(policy, &mut prepared)?;
    let mut gating = gating.unwrap_or_else(|| {
        messages.note(format!("no `{POLICY}` here: the defaults hold"));
        Gating::default()
    });
    gating.is_gate = true;
    gating.take_baseline(&prepared)?;
    gating.bases.splice(0..0, base);
    gating.since = since;
    gating.gate.squashed |= squashed;
    gating.also_tags = also_tags;
    gating.expected = expected(&expect_digest)?;
    let without_name = gating
        .expected
        .iter()
        .find(|expected| expected.reference.is_none());
    if let Some(expected) = without_name.filter(|_| prepared.args.targets.len() > 1) {
        bail!(
            "`{}` does not say of which of the {} targets it is: give a list of `reference digest`",
            expected.place,
            prepared.args.targets.len()
        );
    }
    Ok(scan::execute(prepared, gating, output, messages)?.exit)
}

/// What is asked of a report, and what must be read for it.
#[derive(Default)]
pub(super) struct Gating {
    gate: Gate,
    bases: Vec<String>,
    trusted: Vec<ImageGlob>,
    /// Whether it is a gate that asks, and not a scan with a baseline.
    is_gate: bool,
    since: Option<String>,
    expected: Vec<Expected>,
    /// Globs of tags in which to look for what leaks.
    also_tags: Vec<ImageGlob>,
    /// The baseline that the policy names.
    baseline: Option<PathBuf>,
}

impl Gating {
    /// What `scan` asks for: a baseline, where one is named.
    pub(super) fn of_scan(prepared: &Prepared) -> anyhow::Result<Self> {
        let mut gating = Self::default();
        gating.take_baseline(prepared)?;
        Ok(gating)
    }

    /// What the policy asks for; `None` where there is none. Thresholds go where the command line's are, which win.
    fn of_gate(file: Option<PathBuf>, prepared: &mut Prepared) -> anyhow::Result<Option<Self>> {
        let (path, name) = match (file, find_policy()) {
            (Some(path), _) => {
                let name = crate::text::escape(path.display().to_string().as_bytes());
                (path, name)
            }
            (None, Some(path)) => (path, POLICY.to_owned()),
            (None, None) => return Ok(None),
        };
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read the policy `{name}`"))?;
        let rules = &prepared.rules;
        let rule = |id: &str| rules.find(id).map(|rule| rule.id.clone());
        let run = Run {
            scheme: prepared.fingerprinter.scheme(),
            rule: &rule,
        };
        let file = PolicyFile::parse(&name, &text, run)?;
        let args = &mut prepared.args;
        args.severity = args.severity.or(file.min_severity);
        args.min_confidence = args.min_confidence.or(file.min_confidence);
        args.strict |= file.opaque == Some(Treatment::Fail);
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Some(Self {
            gate: Gate {
                life: file.life,
                inherited: file.inherited,
                unchanged: file.unchanged,
                squashed: file.squashed,
                ignores: file.ignores,
                baseline: None,
                today: today(),
            },
            bases: file.bases,
            trusted: file.trusted,
            is_gate: true,
            since: None,
            expected: Vec::new(),
            also_tags: Vec::new(),
            baseline: file.baseline.map(|baseline| folder.join(baseline)),
        }))
    }

    /// Reads the baseline of the command line, or else of the policy.
    fn take_baseline(&mut self, prepared: &Prepared) -> anyhow::Result<()> {
        let Some(path) = prepared.args.baseline.as_ref().or(self.baseline.as_ref()) else {
            return Ok(());
        };
        // A baseline of the policy is told by its name: the folder is of this machine.
        let shown = match &prepared.args.baseline {
            Some(path) => path.display().to_string(),
            None => path.file_name().unwrap_or_default().display().to_string(),
        };
        let name = crate::text::escape(shown.as_bytes());
        let cannot_use = || format!("cannot use the baseline `{name}`");
        let text = std::fs::read_to_string(path).with_context(cannot_use)?;
        let fingerprinter = &prepared.fingerprinter;
        let key = fingerprinter.key_name();
        let read = Baseline::read(&name, &text, fingerprinter.scheme(), key.as_deref());
        self.gate.baseline = Some(read.with_context(cannot_use)?);
        Ok(())
    }

    /// The image before the target, which is scanned in the same run.
    pub(super) fn earlier(&self) -> Option<&String> {
        self.since.as_ref()
    }

    /// The images that are opened besides the targets, as far as somebody named them here.
    pub(super) fn other_images(&self) -> impl Iterator<Item = &String> {
        self.bases.iter().chain(&self.since)
    }

    /// Whether it matters of every file if a container shows it.
    pub(super) fn traces_hidden(&self) -> bool {
        self.gate.squashed
    }

    /// Judges a report with what else was read, and reads what the policy names besides.
    pub(super) fn judge(
        &self,
        policy: &Policy,
        report: Report,
        earlier: Option<Report>,
        options: &OpenOptions,
        messages: &Messages,
    ) -> (Report, Verdict) {
        let mut facts = Facts::default();
        for name in &self.bases {
            facts
                .bases
                .push(named_base(name, NamedBy::User, options, messages));
        }
        self.claimed_bases(&report, &mut facts, options, messages);
        if let (Some(name), Some(report)) = (&self.since, earlier) {
            let name = source::printable(name);
            match report.targets.iter().find_map(|target| target.failure.clone()) {
                Some(failure) => facts.remarks.push(Remark {
                    weight: Weight::Incomplete,
                    kind: RemarkKind::EarlierUnreadable,
                    text: format!("the earlier image `{name}` could not be read: {failure}"),
                }),
                None => facts.earlier = Some(Earlier::new(name, report)),
            }
        }
        let (compared, differing) = digests::compare(&report, &self.expected);
        facts.remarks.extend(differing);
        let (report, mut verdict) = self.gate.judge(policy, report, &facts);
        verdict.digests = compared;
        if !self.also_tags.is_empty() {
            self.look_in_tags(&report, &mut verdict, options);
        }
        (report, verdict)
    }

    /// Looks for the blobs that leak in the other tags of the repositories they were found in.
    fn look_in_tags(&self, report: &Report, verdict: &mut Verdict, options: &OpenOptions) {
        let blobs: BTreeSet<Digest> = squash::leaking(report, verdict).into_keys().collect();
        let own: BTreeSet<&Digest> = (report.targets.iter())
            .flat_map(|target| [target.digest.as_ref(), target.index.as_ref()])
            .flatten()
            .collect();
        let mut repositories = BTreeMap::new();
        for target in report.targets.iter().filter(|target| target.source == "registry") {
            if let Ok(reference) = Reference::parse(&target.repository) {
                repositories.insert(target.repository.as_str(), reference);
            }
        }
        let unread = |what: &str, why: String| Remark {
            weight: Weight::Incomplete,
            kind: RemarkKind::TagsUnread,
            text: format!("{} could not be read: {why}", source::printable(what)),
        };
        let mut remarks = Vec::new();
        if repositories.is_empty() {
            let why = "no target is in a registry".to_owned();
            remarks.push(unread("other tags", why));
        }
        for (name, reference) in repositories {
            if blobs.is_empty() {
                continue;
            }
            let wants = |tag: &str| self.also_tags.iter().any(|glob| glob.fits(tag));
            match registry::carriers(&reference, &options.registry, &blobs, &wants) {
                Err(error) => remarks.push(unread(name, error.with_causes())),
                Ok(carriers) => {
                    let failures = carriers.failures.iter();
                    remarks.extend(failures.map(|(what, error)| unread(what, error.with_causes())));
                    // A tag of what was scanned is no other image.
                    let others = carriers
                        .found
                        .into_iter()
                        .filter(|found| !own.contains(&found.root));
                    verdict.carriers.extend(others.map(|found| Carrier {
                        reference: source::printable(&format!("{name}:{}", found.tag)),
                        digest: found.root,
                        manifest: found.manifest,
                        platform: found.platform,
                        blobs: found.blobs,
                    }));
                }
            }
        }
        if self.gate.squashed && !verdict.carriers.is_empty() {
            remarks.push(Remark {
                weight: Weight::Fails,
                kind: RemarkKind::CarriedElsewhere,
                text: format!(
                    "earlier content is within reach: {} other manifests carry blobs that leak",
                    verdict.carriers.len()
                ),
            });
        }
        verdict.remark(remarks);
    }
}

impl Gating {
    /// Reads the bases that images name themselves, of repositories that the policy trusts. No other registry is asked: an image
    /// could name anything, and what it names would pass for somebody else's layers.
    fn claimed_bases(&self, report: &Report, facts: &mut Facts, options: &OpenOptions, messages: &Messages) {
        let mut seen = BTreeSet::new();
        let own: BTreeSet<String> = (report.targets.iter())
            .filter_map(|target| source::registry_of(&target.name))
            .collect();
        // What the command line shows to the registry of the targets is for no other.
        let mut elsewhere = options.clone();
        elsewhere.registry.credentials = None;
        elsewhere.registry.client_certificate = None;
        for claim in report.images.iter().flat_map(|image| &image.base_claims) {
            let name = claim.pinned();
            if !seen.insert(name.clone()) {
                continue;
            }
            let repository = claim.reference.name();
            if self.trusted.iter().any(|glob| glob.fits(&repository)) {
                let by = claim.by.into();
                let is_own = own.contains(claim.reference.registry());
                let options = if is_own { options } else { &elsewhere };
                let mut base = named_base(&name, by, options, messages);
                // A registry may have deleted what a digest names. Under the tag is something else then, or the same layers.
                if base.images.is_err() && claim.digest.is_some() {
                    base = named_base(&claim.reference.to_string(), by, options, messages);
                }
                facts.bases.push(base);
            } else if self.is_gate && self.bases.is_empty() {
                facts.remarks.push(base::not_asked(&source::printable(&name)));
            }
        }
    }
}

/// Reads the documents of a base image; of its layers nothing.
fn named_base(name: &str, by: NamedBy, options: &OpenOptions, messages: &Messages) -> NamedBase {
    let read = || -> Result<Vec<BaseImage>, SourceError> {
        let limits = Limits::default();
        let platforms = PlatformSelector::All;
        let resolved = match scan::open(name, options, messages)?.access {
            Access::Random(source) => source.resolve(&platforms, &limits)?,
            Access::Stream(mut stream) => {
                while stream.next_blob()?.is_some() {}
                stream.resolve(&platforms, &limits)?
            }
        };
        Ok(resolved.images.iter().map(BaseImage::from).collect())
    };
    NamedBase {
        name: source::printable(name),
        by,
        images: read().map_err(|error| error.with_causes()),
    }
}

/// The policy of this folder, or else of the root of its git checkout.
fn find_policy() -> Option<PathBuf> {
    let here = PathBuf::from(POLICY);
    if here.is_file() {
        return Some(here);
    }
    let folder = std::env::current_dir().ok()?;
    let root = folder.ancestors().find(|folder| folder.join(".git").exists())?;
    Some(root.join(POLICY)).filter(|path| path.is_file())
}

/// What `--expect-digest` says: digests as they are, and those in files.
fn expected(values: &[String]) -> anyhow::Result<Vec<Expected>> {
    let mut expected = Vec::new();
    for value in values {
        if let Some(digest) = digests::digest(value) {
            expected.push(Expected {
                reference: None,
                digest,
                place: "--expect-digest".to_owned(),
            });
            continue;
        }
        let name = crate::text::escape(value.as_bytes());
        let text = std::fs::read_to_string(value)
            .with_context(|| format!("`{name}` is neither a digest nor a file that can be read"))?;
        expected.extend(digests::read(value, &text)?);
    }
    Ok(expected)
}

/// The day it is, in UTC.
fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Date::of_unix(since.map_or(0, |since| since.as_secs()))
}
