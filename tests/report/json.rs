//! `json` and `jsonl`: they keep to the documented schema, and are read back as they were written.

use jsonschema::Validator;
use layersift::cli::show;
use layersift::finding::{Reveal, Status, Verification};
use layersift::policy::Policy;
use layersift::report::{Settings, json, wire};
use serde_json::Value;

use super::{contains, fixture, written};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../docs/report.schema.json")).unwrap()
}

/// Refuses what the schema does not name. Readers must not, since later versions add fields.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            // A record of `jsonl` adds `type` to an object that is defined elsewhere.
            let keyword = if object.contains_key("$ref") {
                "unevaluatedProperties"
            } else {
                "additionalProperties"
            };
            if object
                .get("properties")
                .is_some_and(|properties| properties["type"]["const"].is_null())
                && object.contains_key("required")
            {
                object.insert(keyword.to_owned(), Value::Bool(false));
            }
        }
        Value::Array(array) => array.iter_mut().for_each(close),
        _ => {}
    }
}

fn assert_valid(validator: &Validator, value: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn documents_keep_to_the_schema_and_name_no_other_field() {
    let mut schema = schema();
    close(&mut schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    for report in [
        fixture::sample(),
        fixture::clean(),
        fixture::unresolved(),
        fixture::every_shape(),
    ] {
        for reveal in [Reveal::Redacted, Reveal::Plain] {
            let value = serde_json::from_slice(&written("json", &report, reveal)).unwrap();
            assert_valid(&validator, &value);
        }
    }
    let mut more: Value =
        serde_json::from_slice(&written("json", &fixture::sample(), Reveal::Redacted)).unwrap();
    more["findings"][0]["occurrences"][0]["status"]["undocumented"] = Value::Null;
    assert!(
        !validator.is_valid(&more),
        "the closed schema lets other fields through"
    );
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let good: Value = serde_json::from_slice(&written("json", &fixture::sample(), Reveal::Redacted)).unwrap();
    assert!(validator.is_valid(&good));
    for (pointer, wrong) in [
        ("/schema", "layersift.report/2"),
        ("/findings/0/severity", "severe"),
        ("/findings/0/fingerprint", "ls1:0"),
        ("/findings/0/occurrences/0/status/name", "gone"),
        ("/findings/0/occurrences/0/origin/path", "root/.boto"),
        ("/images/0/layers/0/decoded_bytes", "1"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = Value::String(wrong.to_owned());
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
}

#[test]
fn each_line_is_a_record_of_the_schema() {
    let mut schema = schema();
    for keyword in ["type", "required", "properties"] {
        schema.as_object_mut().unwrap().remove(keyword);
    }
    schema["$ref"] = Value::String("#/$defs/record".to_owned());
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = written("jsonl", &fixture::every_shape(), Reveal::Plain);
    let kinds: Vec<String> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let value: Value = serde_json::from_slice(line).unwrap();
            assert_valid(&validator, &value);
            value["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds.first().unwrap(), "header");
    assert_eq!(kinds.last().unwrap(), "summary");
    for kind in ["target", "image", "finding", "skip"] {
        assert!(kinds.iter().any(|other| other == kind), "no {kind}");
    }
    assert!(text.ends_with(b"\n"));
}

#[test]
fn both_forms_are_read_back_as_written() {
    for report in [fixture::sample(), fixture::clean(), fixture::every_shape()] {
        for reveal in [Reveal::Redacted, Reveal::Plain] {
            let (judged, verdict) = Policy::default().judge(report.clone());
            let expected = wire::Report::new(&judged, &verdict, reveal);
            for format in ["json", "jsonl"] {
                let read = json::read(&written(format, &report, reveal)).unwrap();
                assert_eq!(read, expected, "{format}");
            }
        }
    }
}

#[test]
fn lines_cut_before_the_summary_are_incomplete_and_keep_their_findings() {
    let text = written("jsonl", &fixture::sample(), Reveal::Redacted);
    let summary = text[..text.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap();
    for end in [summary + 1, summary + 30] {
        let report = json::read(&text[..end]).unwrap();
        assert_eq!(report.findings.len(), 3);
        assert_eq!(report.verdict.outcome, "incomplete-with-findings");
        assert!(report.verdict.incomplete && report.verdict.interrupted);
        assert!(!report.coverage.complete);
    }
}

#[test]
fn fields_and_records_of_later_versions_are_passed_over() {
    let text = String::from_utf8(written("jsonl", &fixture::sample(), Reveal::Redacted)).unwrap();
    let expected = json::read(text.as_bytes()).unwrap();
    let more = text
        .replacen(
            "{\"type\":\"finding\",",
            "{\"type\":\"finding\",\"later\":[1],",
            1,
        )
        .replacen('\n', "\n{\"type\":\"omen\",\"text\":\"x\"}\n", 1);
    assert_eq!(json::read(more.as_bytes()).unwrap(), expected);
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let sarif = written("sarif", &fixture::sample(), Reveal::Redacted);
    let two = written("jsonl", &fixture::sample(), Reveal::Redacted).repeat(2);
    for (bytes, expected) in [
        (&two[..], "not a report"),
        (
            b"{\"schema\":\"layersift.report/9\"}",
            "schema `layersift.report/9` is not",
        ),
        (b"{}", "schema `none` is not"),
        (&sarif, "schema `none` is not"),
        (b"", "not a report"),
        (b"FROM debian\n", "not a report"),
        (b"{\"schema\":\"layersift.report/1\"}", "not a report"),
    ] {
        let error = json::read(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn text_that_a_terminal_would_act_on_is_escaped_in_json_and_means_the_same() {
    let mut report = fixture::sample();
    let hostile = "a\u{9b}31m\u{7f}\u{202e}\u{e0001}\u{feff}é漢😀";
    report.images[0].layers[0].created_by = Some(hostile.to_owned());
    for format in ["json", "jsonl", "sarif"] {
        let text = String::from_utf8(written(format, &report, Reveal::Redacted)).unwrap();
        for c in ['\u{9b}', '\u{7f}', '\u{202e}', '\u{e0001}', '\u{feff}'] {
            assert!(!text.contains(c), "{format} has {c:?}");
        }
        assert!(text.contains("é漢😀"), "{format}");
    }
    let read = json::read(&written("json", &report, Reveal::Redacted)).unwrap();
    assert_eq!(read.images[0].layers[0].created_by.as_deref(), Some(hostile));
}

#[test]
fn show_prints_one_finding_by_the_beginning_of_its_fingerprint() {
    let report = fixture::sample();
    let rules = fixture::notes();
    let settings = Settings {
        rules: &rules,
        width: 100,
        colour: false,
        sarif: Default::default(),
    };
    let fingerprint = &report.findings[0].fingerprint.0;
    let digits = fingerprint.strip_prefix("ls1:").unwrap();
    for format in ["json", "jsonl"] {
        let file = written(format, &report, Reveal::Plain);
        let show = |prefix: &str, reveal| show::show(&file, prefix, reveal, &settings);
        for prefix in [fingerprint.as_str(), &fingerprint[..12], digits, &digits[..6]] {
            let text = show(prefix, Reveal::Redacted).unwrap();
            assert!(text.contains(fingerprint), "{text}");
            assert!(text.contains("layer 3 `COPY ci/boto.cfg /root/.boto`"), "{text}");
            assert!(text.contains("> 4 │ gs_secret_access_key = "), "{text}");
            assert!(!contains(text.as_bytes(), report.findings[0].secret.expose()));
        }
        let plain = show(digits, Reveal::Plain).unwrap();
        assert!(contains(plain.as_bytes(), report.findings[0].secret.expose()));

        let error = show("ls1:", Reveal::Redacted).unwrap_err().to_string();
        assert!(error.starts_with("`ls1:` fits 3 findings: `ls1:"), "{error}");
        let error = show("ffffffffffff", Reveal::Redacted).unwrap_err().to_string();
        assert_eq!(error, "no finding of the report begins with `ffffffffffff`");
    }
}

#[test]
fn every_status_and_integrity_has_its_documented_name() {
    let report = fixture::every_shape();
    let value: Value = serde_json::from_slice(&written("json", &report, Reveal::Redacted)).unwrap();
    let occurrences = value["findings"][0]["occurrences"].as_array().unwrap();
    let expected: Vec<&str> = report.findings[0]
        .occurrences
        .iter()
        .map(|occurrence| Status::name(&occurrence.status))
        .collect();
    let names: Vec<&str> = occurrences
        .iter()
        .map(|o| o["status"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, expected);
    assert!(
        report.findings[0]
            .occurrences
            .iter()
            .any(|o| o.verification == Verification::Failed)
    );
    assert!(occurrences.iter().any(|o| o["integrity"] == "failed"));
    assert_eq!(value["findings"][0]["verification"]["state"], "not-attempted");
}
