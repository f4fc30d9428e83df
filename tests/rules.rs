//! The rules of `rules/`, each against its own examples: as they are, and as they stand in other files.

use std::sync::{Arc, LazyLock};

use layersift::engine::{Candidate, Matcher, Scratch};
use layersift::rules::{Confidence, Example, Rule, RuleSet};

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(Arc::new(RuleSet::builtin())));

/// What `rule` finds in a file.
fn found(rule: &Rule, text: &str, path: Option<&str>) -> Vec<Candidate> {
    let path = path.unwrap_or("app/config");
    let mut candidates = MATCHER.scan_file(text.as_bytes(), path.as_bytes(), &mut Scratch::default());
    candidates.retain(|candidate| MATCHER.rules().rules()[candidate.rule as usize].id == rule.id);
    candidates
}

fn expand(rule: &Rule, example: &Example, seed: u64) -> String {
    let text = example
        .expand(seed)
        .unwrap_or_else(|error| panic!("{}: {error}", rule.id));
    String::from_utf8(text).expect("examples are text")
}

/// The example as it stands in a shell script, a YAML block, a Windows file and, where it is one line, in JSON.
fn forms(text: &str) -> Vec<String> {
    let indented = text
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect::<String>();
    let mut forms = vec![
        text.to_owned(),
        format!("#!/bin/sh\nset -e\n{text}\nexec \"$@\"\n"),
        format!("settings:\n  file: |\n{indented}  mode: 0600\n"),
        text.replace('\n', "\r\n"),
    ];
    if !text.contains('\n') {
        let string = serde_json::to_string(text).expect("text has a JSON form");
        forms.push(format!(
            "{{\"Env\": [\"PATH=/usr/bin\", {string}], \"Cmd\": null}}"
        ));
        forms.push(format!("- {text}\n"));
        forms.push(format!("export {text}\n"));
    }
    forms
}

#[test]
fn every_example_is_found_in_every_form() {
    let mut missed = Vec::new();
    for rule in MATCHER.rules().rules() {
        for (number, example) in rule.examples.iter().enumerate() {
            for seed in 0..4 {
                let text = expand(rule, example, seed);
                for (form, text) in forms(&text).iter().enumerate() {
                    let candidates = found(rule, text, example.path.as_deref());
                    let best = candidates
                        .iter()
                        .max_by_key(|candidate| (candidate.part.is_none(), candidate.confidence));
                    let wanted = rule.confidence.min(Confidence::Medium);
                    let good = best.is_some_and(|best| {
                        best.part.is_none()
                            && (best.confidence >= wanted || example.expect.iter().any(lowers))
                            && example
                                .expect
                                .iter()
                                .all(|evidence| best.evidence.contains(evidence))
                    });
                    if !good {
                        missed.push(format!(
                            "{} example {number} form {form} seed {seed}: {best:?}\n{text}",
                            rule.id
                        ));
                    }
                }
            }
        }
    }
    assert!(
        missed.is_empty(),
        "{} misses\n{}",
        missed.len(),
        missed.join("\n")
    );
}

fn lowers(evidence: &layersift::rules::Evidence) -> bool {
    use layersift::rules::Evidence;
    matches!(
        evidence,
        Evidence::Encrypted | Evidence::Sample | Evidence::Unpaired
    )
}

#[test]
fn no_counter_example_is_found() {
    let mut wrong = Vec::new();
    for rule in MATCHER.rules().rules() {
        assert!(
            !rule.counter_examples.is_empty(),
            "{} has no counter-example",
            rule.id
        );
        for (number, counter) in rule.counter_examples.iter().enumerate() {
            for seed in 0..4 {
                let text = expand(rule, counter, seed);
                for candidate in found(rule, &text, counter.path.as_deref()) {
                    if counter.strict || candidate.confidence > Confidence::Low && candidate.part.is_none() {
                        wrong.push(format!(
                            "{} counter {number} seed {seed}: {candidate:?}\n{text}",
                            rule.id
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} found\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_half_that_stands_alone_waits_for_the_other() {
    let secret = Example {
        template: "{A-Za-z0-9+/:40}".to_owned(),
        path: None,
        expect: Vec::new(),
        strict: false,
    };
    let secret = String::from_utf8(secret.expand(1).expect("the template is good")).expect("it is text");
    let google = &["gcs-hmac-key"][..];
    let amazon = &["aws-access-key"][..];
    let either = &["aws-access-key", "gcs-hmac-key"][..];
    for (text, rules) in [
        (format!("gs_secret_access_key = {secret}"), google),
        (format!("GCS_SECRET={secret}"), google),
        (format!("\"hmac_secret_key\": \"{secret}\""), google),
        (format!("AWS_SECRET_ACCESS_KEY={secret}"), either),
        (format!("secret_key = {secret}"), either),
        (format!("'secretKey': '{secret}'"), either),
        (format!("S3_SECRET_KEY={secret}"), amazon),
        (format!("COMMIT_SECRET={secret}"), &[]),
        (format!("secret_key = {secret}A"), &[]),
    ] {
        let found = MATCHER.scan_text(text.as_bytes(), &mut Scratch::default());
        let mut ids: Vec<&str> = found
            .iter()
            .filter(|candidate| candidate.part.is_some())
            .map(|candidate| MATCHER.rules().rules()[candidate.rule as usize].id.0.as_str())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, rules, "{text}");
    }
}

#[test]
fn every_rule_says_what_to_do_and_where_it_is_from() {
    for rule in MATCHER.rules().rules() {
        assert!(
            rule.description.ends_with('.'),
            "{}: {}",
            rule.id,
            rule.description
        );
        assert!(!rule.revoke.is_empty() && !rule.covers.is_empty(), "{}", rule.id);
        assert!(
            rule.references
                .iter()
                .all(|reference| reference.starts_with("https://")),
            "{}",
            rule.id
        );
    }
}
