//! `layersift rules`, and rules in the format of Gitleaks.

use crate::support::command::{Run, layersift};
use crate::support::image::image;
use crate::support::secrets::secrets;
use crate::support::tar::file;

/// Rules as a house that uses Gitleaks has them.
const HOUSE: &str = r#"
title = "house rules"
[extend]
useDefault = true

[[rules]]
id = "Acme Deploy_Token"
description = "Acme deploy token"
regex = '''(?i)\b(acme_dt_[a-z0-9]{24})(?:[\x60'"\s;]|\\[nr]|$)'''
entropy = 3.0
keywords = ["ACME_DT_"]
tags = ["deploy"]
  [[rules.allowlists]]
  regexTarget = "line"
  regexes = ['''^# example''']

[[rules]]
id = "widget-password"
regex = '''widget[^\n]*password\s*=\s*"([^"]+)"'''
secretGroup = 1
keywords = ["password"]

[[rules]]
id = "house-id"
regex = '''\b[0-9]{3}-[A-Z]{6}-[0-9]{9}\b'''

[[rules]]
id = "by-path"
path = '''\.p12$'''

[allowlist]
paths = ['''vendor/''']
stopwords = ["sesame"]
"#;

fn token() -> String {
    format!(
        "{}_dt_{}",
        "acme",
        secrets(7).characters(&["abcdefghijklmnopqrstuvwxyz", "0123456789"], 24)
    )
}

/// A file with a token, one in a comment, two passwords of which one is allowed, and an id.
fn house_file() -> String {
    let token = token();
    let id = ["123", "ABCDEF", "123456789"].join("-");
    let password = secrets(8).password(20);
    format!(
        "TOKEN=\"{token}\"\n# example {token}\nwidget x password = \"open-{password}\"\n\
         widget y password = \"sesame-{password}\"\n {id} \n"
    )
}

fn try_on_house_file(args: &[&str]) -> Run {
    let all = ["rules", "test", "--only", "--rules", "house.toml", "app.conf"];
    layersift(all.iter().chain(args))
        .file("house.toml", HOUSE)
        .file("app.conf", house_file())
        .run()
}

/// The lines and rules that were found.
fn found(run: &Run) -> Vec<(String, String)> {
    let lines = run.text().lines();
    let pairs = lines.map(|line| {
        let mut words = line.split_whitespace();
        let place = words.next().unwrap();
        (
            place.split(':').nth(1).unwrap().to_owned(),
            words.next().unwrap().to_owned(),
        )
    });
    pairs.collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(line, rule)| ((*line).to_owned(), (*rule).to_owned()))
        .collect()
}

#[test]
fn rules_of_gitleaks_find_what_they_are_for_and_let_pass_what_they_allow() {
    let run = try_on_house_file(&[]).expect_code(1);
    assert_eq!(
        found(&run),
        pairs(&[("1", "acme-deploy-token"), ("3", "widget-password")])
    );
    assert!(!run.text().contains(&token()), "secrets are redacted");
    let run = try_on_house_file(&["--slow-rules", "--show-secrets"]).expect_code(1);
    let expected = [
        ("1", "acme-deploy-token"),
        ("3", "widget-password"),
        ("5", "house-id"),
    ];
    assert_eq!(found(&run), pairs(&expected));
    assert!(run.text().contains(&token()));
    assert!(
        !run.text().contains(&format!("\"{}", token())),
        "the group is the secret, not the match"
    );
}

#[test]
fn what_cannot_be_said_of_rules_of_gitleaks_is_told_with_its_line() {
    let run = layersift(["rules", "check", "house.toml"])
        .file("house.toml", HOUSE)
        .run()
        .expect_code(0);
    for (line, said) in [
        (3, "`extend` is left out"),
        (19, "`widget-password` has no bound"),
        (27, "`by-path` is left out"),
    ] {
        let said = format!("house.toml:{line}: {said}");
        assert!(run.stderr.contains(&said), "{said}\n{}", run.stderr);
    }
    assert!(
        run.text().contains("house-id: no text leads to it"),
        "{}",
        run.text()
    );
    let run = try_on_house_file(&[]);
    assert!(
        run.stderr.contains("the rule `house-id` is left out"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_image_is_scanned_with_rules_of_gitleaks_too() {
    let archive = image()
        .named("app:1")
        .layer([
            file("etc/app.conf", house_file()),
            file("vendor/app.conf", house_file()),
        ])
        .docker_archive();
    let run = layersift(["scan", "-", "--rules", "house.toml", "--format", "json"])
        .file("house.toml", HOUSE)
        .stdin(archive)
        .run()
        .expect_code(1);
    let report = run.json();
    let findings = report["findings"].as_array().unwrap();
    // The built-in rules know nothing of what that file lets pass.
    let findings = || {
        findings
            .iter()
            .filter(|finding| finding["rule"] != "named-password")
    };
    let rules: Vec<&str> = findings()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules.len(), 2, "{rules:?}");
    for rule in ["acme-deploy-token", "widget-password"] {
        assert!(rules.contains(&rule), "{rules:?}");
    }
    for finding in findings() {
        for occurrence in finding["occurrences"].as_array().unwrap() {
            assert_eq!(
                occurrence["origin"]["path"]["text"], "etc/app.conf",
                "what is vendored is allowed"
            );
        }
    }
}

#[test]
fn an_expression_that_cannot_be_bounded_or_read_is_an_error_with_its_line() {
    for (rules, line, said) in [
        (
            "[[rules]]\nid = \"a\"\nregex = '''(?!x)y'''\n",
            3,
            "is no expression",
        ),
        (
            "[[rules]]\nid = \"a\"\nregex = '''abc(?=x)'''\n",
            3,
            "hint: every expression runs in linear time",
        ),
        (
            "[[rules]]\nid = \"a\"\nregex = '''abc'''\n[rules.allowlist]\nregexes = ['''a(b''']\n",
            5,
            "hint: the syntax is that of",
        ),
        (
            "[[rule]]\nid = \"a\"\ntitle = \"A\"\nseverity = \"low\"\nconfidence = \"low\"\nliterals = [\"abc\"]\nregex = '''abc\\pL'''\n",
            7,
            "hint: write the ranges of bytes",
        ),
        ("[[rules]]\nregex = '''abc'''\n", 1, "`id` is missing"),
        (
            "[[rules]]\nid = \"a\"\nregex = '''abc'''\nkeywords = 7\n",
            4,
            "`keywords` takes",
        ),
        (
            "[[rule]]\nid = \"a\"\ntitle = \"A\"\nseverity = \"low\"\nconfidence = \"low\"\nliterals = [\"abc\"]\nregex = \"abc.*\"\n",
            7,
            "has no bound",
        ),
    ] {
        for command in [
            &["rules", "check", "r.toml"][..],
            &["scan", "-", "--rules", "r.toml"],
        ] {
            let run = layersift(command).file("r.toml", rules).run().expect_code(2);
            assert!(
                run.stderr.contains(&format!("r.toml:{line}: ")) && run.stderr.contains(said),
                "{}",
                run.stderr
            );
        }
    }
}

#[test]
fn a_rule_of_gitleaks_with_a_unicode_class_is_left_out_and_told() {
    let rules = "[[rules]]\nid = \"a\"\nregex = '''acme\\pL{8}'''\n\n[[rules]]\nid = \"b\"\nregex = '''acme_[0-9]{8}'''\n";
    let run = layersift(["rules", "check", "r.toml"])
        .file("r.toml", rules)
        .run()
        .expect_code(0);
    assert!(
        run.stderr
            .contains("r.toml:3: `a` is left out: it has a Unicode class"),
        "{}",
        run.stderr
    );
    assert!(run.text().starts_with("1 rule"), "{}", run.text());
}

#[test]
fn a_file_changes_severity_and_confidence_of_a_rule_or_turns_it_off() {
    let list = |changes: &str| {
        let run = layersift(["rules", "list", "--rules", "r.toml"])
            .file("r.toml", changes)
            .run()
            .expect_code(0);
        let lines = run
            .text()
            .lines()
            .map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<String>>()
    };
    let with = list("[[override]]\nid = \"gcs-hmac-key\"\nseverity = \"low\"\nconfidence = \"medium\"\n");
    assert!(with.contains(&"gcs-hmac-key low medium".to_owned()));
    let without = list("[[override]]\nid = \"gcs-hmac-key\"\nenabled = false\n");
    assert_eq!(without.len() + 1, with.len());
    assert!(!without.iter().any(|line| line.starts_with("gcs-hmac-key ")));
    layersift(["rules", "check", "r.toml"])
        .file("r.toml", "[[override]]\nid = \"gcs-hmac-key\"\nenabled = false\n")
        .run()
        .expect_code(0);
    let run = layersift(["rules", "list", "--rules", "r.toml"])
        .file("r.toml", "\n[[override]]\nid = \"no-such\"\n")
        .run()
        .expect_code(2);
    assert!(
        run.stderr
            .contains("r.toml:3: there is no rule `no-such` to override"),
        "{}",
        run.stderr
    );
}

#[test]
fn rules_are_listed_and_shown() {
    let run = layersift(["rules", "list"]).run().expect_code(0);
    let count = layersift::rules::RuleSet::builtin().rules().len();
    assert_eq!(run.text().lines().count(), count);
    let run = layersift(["rules", "show", "gcs-hmac-key"]).run().expect_code(0);
    for said in ["GOOG", "goes with", "secret", "revoke", "gcloud storage hmac"] {
        assert!(run.text().contains(said), "{said}: {}", run.text());
    }
    let run = layersift(["rules", "show", "none"]).run().expect_code(2);
    assert!(run.stderr.contains("there is no rule `none`"), "{}", run.stderr);
}

#[test]
fn the_built_in_rules_are_as_their_examples_say() {
    let run = layersift(["rules", "check"]).run().expect_code(0);
    assert!(run.text().contains("rules are sound"), "{}", run.text());
}

#[test]
fn a_rule_that_does_not_find_its_example_is_told() {
    let rule = |counter: &str| {
        format!(
            "[[rule]]\nid = \"acme\"\ntitle = \"A\"\nseverity = \"high\"\nconfidence = \"high\"\nliterals = [\"acme_\"]\n\
             regex = \"acme_[A-Z0-9]{{20}}\"\n[[rule.example]]\ntext = \"acme_{{A-Z0-9:20}}\"\n\
             [[rule.counter]]\ntext = \"acme_{{A-Z0-9:{counter}}}\"\n"
        )
    };
    layersift(["rules", "check", "r.toml"])
        .file("r.toml", rule("19"))
        .run()
        .expect_code(0);
    let run = layersift(["rules", "check", "r.toml"])
        .file("r.toml", rule("20"))
        .run()
        .expect_code(2);
    assert!(
        run.text()
            .contains("acme: its counter-example is found with high confidence"),
        "{}",
        run.text()
    );
}

#[test]
fn a_file_is_searched_as_a_layer_would_be() {
    let (id, secret) = secrets(11).gcs_hmac_pair();
    let boto = format!("[Credentials]\ngs_access_key_id = {id}\ngs_secret_access_key = {secret}\n");
    let run = layersift(["rules", "test", "--rule", "gcs-hmac-key", ".boto"])
        .file(".boto", boto)
        .run()
        .expect_code(1);
    assert!(
        run.text().starts_with(".boto:2:20  gcs-hmac-key"),
        "{}",
        run.text()
    );
    assert!(run.text().contains("paired"), "{}", run.text());
    let run = layersift(["rules", "test", "clean"])
        .file("clean", "nothing")
        .run()
        .expect_code(0);
    assert_eq!((run.text(), run.stderr.as_str()), ("", "nothing was found\n"));
    let run = layersift(["rules", "test", "none"]).run().expect_code(2);
    assert!(run.stderr.contains("cannot read `none`"), "{}", run.stderr);
}
