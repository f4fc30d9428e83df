//! What an error of ours costs that nobody has found yet: the layer or the target it happens in, and a word about it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use layersift::finding::{Fingerprinter, SkipKind};
use layersift::layer::Progress;
use layersift::limits::Limits;
use layersift::oci::{BlobKey, Descriptor, PlatformSelector};
use layersift::rules::RuleSet;
use layersift::scan::{Scan, Target};
use layersift::source::registry::{Pace, RegistryOptions};
use layersift::source::{self, Access, OpenOptions, Opened, Resolved, Source, SourceError};
use layersift::sweep::{Choice, Halt, Kind, Met, Scope, State, Sweep, Tell};

use crate::registry::noise;
use crate::support::image::{Packing, image, images};
use crate::support::registry::registry;
use crate::support::secrets::secrets;
use crate::support::tar::file;

fn token() -> String {
    format!("token = {}\n", secrets(98).github_token())
}

/// A source that breaks down where it is told to, and otherwise is the one it stands for.
struct Faulty {
    inner: Box<dyn Source>,
    /// In `resolve`, or else in the first blob behind so many bytes.
    place: Option<usize>,
}

impl Source for Faulty {
    fn resolve(&self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError> {
        assert!(self.place.is_some(), "as the test asked");
        self.inner.resolve(platforms, limits)
    }

    fn blob(
        &self,
        key: &BlobKey,
        descriptor: Option<&Descriptor>,
    ) -> Result<Box<dyn io::Read + Send>, SourceError> {
        let left = self.place.unwrap_or_default();
        self.inner
            .blob(key, descriptor)
            .map(|inner| Box::new(Breaking { inner, left }) as Box<_>)
    }
}

struct Breaking {
    inner: Box<dyn io::Read + Send>,
    left: usize,
}

impl io::Read for Breaking {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        assert!(self.left > 0, "as the test asked");
        let room = self.left.min(out.len());
        let count = self.inner.read(&mut out[..room])?;
        self.left -= count;
        Ok(count)
    }
}

#[test]
fn a_fault_of_ours_in_one_target_costs_no_finding_of_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let filler = file("filler", vec![b'\n'; 8 * 1024 * 1024]);
    let app = image()
        .layer([file("first", token()), filler, file("last", token())])
        .packed(Packing::Plain);
    app.write_oci_layout(folder.path());
    let target = |name: &str, place: Option<Option<usize>>| {
        let opened = source::open(
            &format!("oci:{}", folder.path().display()),
            &OpenOptions::default(),
        );
        let opened = opened.map(|opened| Opened {
            access: match (opened.access, place) {
                (Access::Random(inner), Some(place)) => Access::Random(Box::new(Faulty { inner, place })),
                (access, _) => access,
            },
            ..opened
        });
        Target {
            name: name.to_owned(),
            repository: None,
            opened,
        }
    };
    let targets = vec![
        target("no-image", Some(None)),
        target("half-a-layer", Some(Some(4 * 1024 * 1024))),
        target("sound", None),
    ];
    let report = Scan::new(Arc::new(RuleSet::builtin()))
        .run(targets)
        .expect("threads start");
    let panics: Vec<&str> = (report.coverage.skips.iter())
        .filter(|skip| skip.reason == "panic" && skip.kind == SkipKind::Incomplete)
        .map(|skip| skip.place.as_str())
        .collect();
    assert_eq!(panics.len(), 2, "{panics:?}");
    assert!(panics.contains(&"no-image"), "{panics:?}");
    assert!(
        panics.iter().any(|place| place.starts_with("layer 1 ")),
        "{panics:?}"
    );
    assert_eq!(report.findings.len(), 1);
    // `first` of the layer that broke off, and both of the sound one.
    assert_eq!(report.findings[0].occurrences.len(), 3);
}

/// Is told how far a sweep is, and breaks down over the first list of tags, every large layer, or the first image, until it
/// is mended.
#[derive(Default)]
struct Breakdown {
    in_list: AtomicBool,
    in_layer: AtomicBool,
    in_image: AtomicBool,
}

impl Progress for Breakdown {
    fn stored(&self, bytes: u64) {
        let breaks = bytes > 4096 && self.in_layer.load(Ordering::SeqCst);
        assert!(!breaks, "as the test asked");
    }
}

impl Tell for Breakdown {
    fn met(&self, what: Met, _count: u64) {
        let breaks = match what {
            Met::Tags => self.in_list.swap(false, Ordering::SeqCst),
            Met::Findings => self.in_image.swap(false, Ordering::SeqCst),
        };
        assert!(!breaks, "as the test asked");
    }
}

#[test]
fn a_fault_of_ours_in_one_image_of_a_sweep_costs_no_other_and_is_made_good_by_the_next() {
    let registry = registry().start();
    let names = ["one", "two", "three"];
    for (number, name) in names.into_iter().enumerate() {
        let token = format!("token = {}\n", secrets(number as u64).github_token());
        let layer = match name {
            "one" => vec![file("app.conf", token), file("noise", noise(300_000))],
            _ => vec![file("app.conf", token)],
        };
        let app = images([image().layer(layer)]);
        registry.store(&app.oci_layout(), name, "1");
    }
    let fingerprinter = Fingerprinter::keyed(b"a key".to_vec());
    let sealer = fingerprinter.sealer(b"a key");
    let sweep = Sweep {
        scopes: names
            .map(|name| {
                let tagged = registry.reference(name, "1");
                let (repository, _) = tagged.rsplit_once(':').expect("it has a tag");
                Scope::parse(repository).expect("a scope")
            })
            .to_vec(),
        choice: Choice::new(&[], &[]).expect("no patterns"),
        scan: Scan::new(Arc::new(RuleSet::builtin()))
            .fingerprinter(fingerprinter)
            .sealer(sealer.clone()),
        sealer,
        limits: Limits::default(),
        registry: RegistryOptions::default(),
        kind: Kind::Auto,
        pace: Pace::default(),
        parallel: 1,
        queue: None,
        recheck: false,
        referrers: false,
        cancelled: Arc::default(),
    };
    for breakdown in [
        Breakdown {
            in_list: true.into(),
            ..Breakdown::default()
        },
        Breakdown {
            in_layer: true.into(),
            ..Breakdown::default()
        },
        Breakdown {
            in_image: true.into(),
            ..Breakdown::default()
        },
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        let run = || {
            let state = sweep.open(&path).expect("a state");
            let summary = sweep.run(state, false, &breakdown).expect("it comes to its end");
            assert_eq!(summary.halt, Halt::Done);
            let state = State::read(&path).expect("a state");
            let missing = state.missing().expect("readable");
            let reasons: Vec<String> = missing.into_iter().map(|missing| missing.reason).collect();
            let mut findings = 0;
            let images = state.images(|image| findings += image.findings.len());
            images.expect("readable");
            (reasons, state.is_complete().expect("readable"), findings)
        };
        assert_eq!(run(), (vec!["panic".to_owned()], false, 2));
        breakdown.in_layer.store(false, Ordering::SeqCst);
        assert_eq!(run(), (vec![], true, 3));
    }
}
