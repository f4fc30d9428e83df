//! What an error of ours costs that nobody has found yet: the layer or the target it happens in, and a word about it.

use std::io;
use std::sync::Arc;

use layersift::finding::SkipKind;
use layersift::limits::Limits;
use layersift::oci::{BlobKey, Descriptor, PlatformSelector};
use layersift::rules::RuleSet;
use layersift::scan::{Scan, Target};
use layersift::source::{self, Access, OpenOptions, Opened, Resolved, Source, SourceError};

use crate::support::image::{Packing, image};
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
