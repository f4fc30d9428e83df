//! Whoever builds an image writes its names, instructions and paths. None of them may leave its field.

use layersift::finding::{Chain, Link, Occurrence, Origin, Report, Reveal, Secret};
use layersift::oci::Platform;
use layersift::policy::Policy;
use layersift::report::{json, wire};
use layersift::text::Lossless;
use proptest::prelude::*;
use serde_json::Value;

use super::{fixture, written};

const HOSTILE: [&str; 28] = [
    "\x1b[2J\x1b]0;title\x07",
    "\u{9b}31m",
    "\0",
    "\r\n",
    "\n::stop-commands::x",
    "::set-output name=a::b",
    "  ::error::x",
    "##[add-matcher]x",
    "\u{202e}txt.exe",
    "\u{2066}\u{2069}",
    "\u{200b}\u{feff}\u{ad}",
    "\u{2028}\u{2029}\u{85}",
    "\u{e0041}\u{e007f}",
    "\"}],\"runs\":[{",
    "'\\\"\\\\",
    "\\u001b[31m",
    "[text](1)",
    "[click](javascript:alert(1))",
    "{0} {1}",
    "{{0}}",
    "${VAR} {}",
    "<script>alert(1)</script>&amp;",
    "`rm -rf /`",
    "%0A%25::warning::",
    "../../../etc/passwd",
    "debian:12 oci://x",
    "漢字 é e\u{301} 😀",
    "",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(&HOSTILE[..]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[ -~]{0,40}",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        text().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..12),
        Just(b"/".to_vec()),
    ];
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

/// Puts `texts` and `paths` in turn into every field that an image, a registry or a command line fills.
fn fill(report: &mut Report, texts: &[String], paths: &[Vec<u8>]) {
    let mut texts = texts.iter().cycle().cloned();
    let mut text = move || texts.next().unwrap();
    let mut paths = paths.iter().cycle().cloned();
    let mut path = move || Lossless(paths.next().unwrap());
    for target in &mut report.targets {
        target.name = text();
        target.repository = text();
        target.failure = target.failure.as_ref().map(|_| text());
    }
    for image in &mut report.images {
        image.names = vec![text()];
        image.created = Some(text());
        image.artifact_type = image.artifact_type.as_ref().map(|_| text());
        image.platform = image.platform.as_ref().map(|_| Platform {
            os: text(),
            architecture: text(),
            variant: Some(text()),
            os_version: Some(text()),
        });
        for layer in &mut image.layers {
            layer.compression = text();
            layer.created_by = Some(text());
            layer.created = Some(text());
        }
    }
    for finding in &mut report.findings {
        finding.title = text();
        finding.repository = text();
        finding.identifier = Some(text());
        finding.secret = Secret::new(path().0);
        for Occurrence {
            origin,
            within,
            companions,
            context,
            ..
        } in &mut finding.occurrences
        {
            fill_origin(origin, &mut text, &mut path);
            *within = Chain::default()
                .then(Link::Stream("gzip"))
                .then(Link::Member(path()));
            for companion in companions {
                companion.part = text();
                companion.secret = Secret::new(path().0);
                fill_origin(&mut companion.origin, &mut text, &mut path);
            }
            for line in context {
                line.text = text();
            }
        }
    }
    for skip in &mut report.coverage.skips {
        skip.place = text();
        skip.detail = text();
    }
}

fn fill_origin(
    origin: &mut Origin,
    text: &mut dyn FnMut() -> String,
    new_path: &mut dyn FnMut() -> Lossless,
) {
    match origin {
        Origin::File { path, .. } | Origin::Layer { path: Some(path), .. } => *path = new_path(),
        Origin::Layer { path: None, .. } => {}
        Origin::Config { field, .. } | Origin::Manifest { field } => *field = text(),
        Origin::Attestation {
            predicate_type,
            field,
        } => {
            *predicate_type = text();
            *field = text();
        }
    }
}

/// The worst of it in one report, for validators that are too slow to run often.
pub(crate) fn make_hostile(report: &mut Report) {
    let texts: Vec<String> = HOSTILE.iter().map(|text| format!("{text}x")).collect();
    let paths: Vec<Vec<u8>> = HOSTILE
        .iter()
        .map(|text| [text.as_bytes(), b"\xff/\xfe\x1b"].concat())
        .collect();
    fill(report, &texts, &paths);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn hostile_text_stays_in_its_field(
        texts in prop::collection::vec(text(), 23..24),
        paths in prop::collection::vec(path(), 7..8),
    ) {
        let mut report = fixture::every_shape();
        fill(&mut report, &texts, &paths);
        let (judged, verdict) = Policy::default().judge(report.clone());

        for reveal in [Reveal::Redacted, Reveal::Plain] {
            let expected = wire::Report::new(&judged, &verdict, reveal);
            for format in ["json", "jsonl"] {
                let bytes = written(format, &report, reveal);
                assert_printable(&bytes);
                prop_assert_eq!(&json::read(&bytes).unwrap(), &expected);
            }
        }

        let bytes = written("sarif", &report, Reveal::Redacted);
        assert_printable(&bytes);
        assert_sarif_holds(&serde_json::from_slice(&bytes).unwrap(), &judged);

        for reveal in [Reveal::Redacted, Reveal::Plain] {
            let bytes = written("human", &report, reveal);
            assert_printable(&bytes);
            for line in String::from_utf8(bytes).unwrap().lines() {
                prop_assert!(!line.trim_start().starts_with("::"), "a command: {}", line);
                prop_assert!(!line.contains("##["), "a command: {}", line);
            }
        }
    }
}

/// Nothing that a terminal acts on or hides, but the end of a line.
fn assert_printable(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    if let Some(c) = text
        .chars()
        .find(|c| *c != '\n' && layersift::text::is_unprintable(*c))
    {
        panic!("{c:?} in {text}");
    }
}

fn assert_sarif_holds(log: &Value, report: &Report) {
    let runs = log["runs"].as_array().unwrap();
    assert_eq!(
        runs.len(),
        report.images.len() + 1,
        "the other target has no image"
    );
    for (index, (run, image)) in runs.iter().zip(&report.images).enumerate() {
        for (layer, expected) in run["properties"]["layers"]
            .as_array()
            .unwrap()
            .iter()
            .zip(&image.layers)
        {
            assert_eq!(layer["createdBy"].as_str(), expected.created_by.as_deref());
            assert_eq!(layer["compression"].as_str().unwrap(), expected.compression);
        }
        let expected: Vec<&layersift::finding::Finding> = report
            .findings
            .iter()
            .filter(|finding| finding.occurrences.iter().any(|o| o.image == index))
            .collect();
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), expected.len());
        for (result, finding) in results.iter().zip(expected) {
            assert_eq!(result["ruleId"].as_str().unwrap(), finding.rule.0);
            assert_eq!(
                result["properties"]["identifier"].as_str(),
                finding.identifier.as_deref()
            );
            let occurrences = result["properties"]["occurrences"].clone();
            let occurrences: Vec<wire::Occurrence> = serde_json::from_value(occurrences).unwrap();
            for occurrence in finding.occurrences.iter().filter(|o| o.image == index) {
                assert!(occurrences.contains(&wire::Occurrence::new(occurrence, None, Reveal::Redacted)));
            }
            for location in result["locations"]
                .as_array()
                .unwrap()
                .iter()
                .chain(result["relatedLocations"].as_array().into_iter().flatten())
            {
                let uri = location["physicalLocation"]["artifactLocation"]["uri"]
                    .as_str()
                    .unwrap();
                assert_relative(uri);
            }
        }
    }
}

/// A path of plain characters that is relative however it is read.
fn assert_relative(uri: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@%/".contains(&byte);
    assert!(uri.bytes().all(is_plain), "{uri}");
    for segment in uri.split('/') {
        assert!(!matches!(segment, "" | "." | ".."), "{uri}");
    }
    for (at, _) in uri.match_indices('%') {
        let digits = uri.get(at + 1..at + 3).unwrap_or_default();
        assert!(
            digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit()),
            "{uri}"
        );
    }
}
