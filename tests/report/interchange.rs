//! The formats of CI systems: read back, with names that try to get out of their field.

use layersift::finding::{Report, Reveal};
use serde_json::{Value, json};

use super::{fixture, properties, written};

/// What GitLab's schema asks of the fields that are written.
fn gitlab_schema() -> Value {
    let time = json!({"type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}$"});
    let tool = json!({
        "type": "object",
        "required": ["id", "name", "version", "vendor"],
        "properties": {"vendor": {"type": "object", "required": ["name"]}},
    });
    json!({
        "type": "object",
        "required": ["version", "scan", "vulnerabilities"],
        "additionalProperties": false,
        "properties": {
            "version": {"const": "15.2.4"},
            "scan": {
                "type": "object",
                "required": ["analyzer", "scanner", "type", "start_time", "end_time", "status"],
                "properties": {
                    "analyzer": tool,
                    "scanner": tool,
                    "type": {"const": "secret_detection"},
                    "start_time": time,
                    "end_time": time,
                    "status": {"enum": ["success", "failure"]},
                },
            },
            "vulnerabilities": {"type": "array", "items": {
                "type": "object",
                "required": ["id", "identifiers", "location"],
                "properties": {
                    "id": {"type": "string", "minLength": 1},
                    "severity": {"enum": ["Info", "Unknown", "Low", "Medium", "High", "Critical"]},
                    "raw_source_code_extract": false,
                    "identifiers": {"type": "array", "minItems": 1, "items": {
                        "type": "object",
                        "required": ["type", "name", "value"],
                    }},
                    "location": {
                        "type": "object",
                        "required": ["commit"],
                        "properties": {
                            "commit": {"type": "object", "required": ["sha"]},
                            "file": {"type": "string"},
                            "start_line": {"type": "integer", "minimum": 1},
                        },
                    },
                },
            }},
        },
    })
}

fn hostile() -> Report {
    let mut report = fixture::every_shape();
    properties::make_hostile(&mut report);
    report
}

fn reports() -> [Report; 5] {
    [
        fixture::sample(),
        fixture::clean(),
        fixture::unresolved(),
        fixture::every_shape(),
        hostile(),
    ]
}

#[test]
fn gitlab_reports_have_the_fields_gitlab_asks_for() {
    let validator = jsonschema::validator_for(&gitlab_schema()).unwrap();
    for report in reports() {
        let document: Value = serde_json::from_slice(&written("gitlab", &report, Reveal::Plain)).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    let sample: Value =
        serde_json::from_slice(&written("gitlab", &fixture::sample(), Reveal::Redacted)).unwrap();
    assert_eq!(sample["scan"]["start_time"], "2026-01-31T10:04:11");
    let location = &sample["vulnerabilities"][0]["location"];
    assert_eq!(
        (&location["file"], &location["start_line"]),
        (&json!("root/.boto"), &json!(4))
    );
    let incomplete: Value =
        serde_json::from_slice(&written("gitlab", &fixture::every_shape(), Reveal::Redacted)).unwrap();
    assert_eq!(incomplete["scan"]["status"], "failure");
}

/// The elements of a document, by a reader that takes nothing but well-formed XML of the kind that is written here.
fn elements(xml: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = xml
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>")
        .unwrap();
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "{}", &rest[..start]);
        let end = start + rest[start..].find('>').unwrap();
        let tag = &rest[start + 1..end];
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None => {
                let name = tag.split([' ', '/']).next().unwrap().to_owned();
                assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{tag}");
                assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
                names.push(name.clone());
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
    names
}

#[test]
fn junit_is_well_formed_and_counts_what_it_has() {
    for report in reports() {
        let xml = String::from_utf8(written("junit", &report, Reveal::Plain)).unwrap();
        let names = elements(&xml);
        let count = |name: &str| names.iter().filter(|element| *element == name).count();
        let total = format!(
            "<testsuites name=\"layersift\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
            count("testcase"),
            count("failure"),
            count("error"),
            count("skipped")
        );
        assert!(xml.contains(&total), "{total}");
        for name in &names {
            let known = [
                "testsuites",
                "testsuite",
                "testcase",
                "failure",
                "error",
                "skipped",
                "system-out",
            ];
            assert!(known.contains(&name.as_str()), "{name}");
        }
        assert!(
            xml.chars()
                .all(|c| c == '\n' || !layersift::text::is_unprintable(c))
        );
    }
    let names =
        elements(&String::from_utf8(written("junit", &fixture::unresolved(), Reveal::Redacted)).unwrap());
    assert!(
        names.contains(&"error".to_owned()),
        "what was not scanned is no passed suite"
    );
}

#[test]
fn markdown_keeps_hostile_names_in_their_cells() {
    let sample = String::from_utf8(written("markdown", &fixture::sample(), Reveal::Redacted)).unwrap();
    let hostile = String::from_utf8(written("markdown", &hostile(), Reveal::Plain)).unwrap();
    for page in [&sample, &hostile] {
        for row in page.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(row.matches('|').count(), 6, "{row}");
        }
        for line in page.lines() {
            assert!(
                line.is_empty()
                    || ["## layersift", "**", "|", "- ", "<details>", "</details>"]
                        .iter()
                        .any(|start| line.starts_with(start)),
                "{line}"
            );
            for (place, _) in line.match_indices('<') {
                let tags = [
                    "<code>",
                    "</code>",
                    "<br>",
                    "<details>",
                    "</details>",
                    "<summary>",
                    "</summary>",
                ];
                assert!(tags.iter().any(|tag| line[place..].starts_with(tag)), "{line}");
            }
            assert!(!line.contains("](") && !line.contains("!["), "{line}");
            assert!(!line.chars().any(layersift::text::is_unprintable), "{line:?}");
        }
    }
}

#[test]
fn formats_that_are_sent_around_never_show_a_secret() {
    let report = fixture::sample();
    for format in ["gitlab", "html", "junit", "markdown"] {
        let text = written(format, &report, Reveal::Plain);
        for secret in fixture::secrets(&report) {
            assert!(!super::contains(&text, &secret), "{format}");
        }
    }
}
