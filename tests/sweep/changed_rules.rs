//! Sweeps after the rules changed: which layers are read again, and that the report is that of a sweep from the start.

use super::{Counts, Place, fill};
use crate::support::command::Layersift;
use crate::support::registry::registry;

/// A sweep with a file of rules beside the built-in ones.
struct With<'p> {
    place: &'p Place,
    host: String,
    rules: &'static str,
}

impl With<'_> {
    fn command(&self, words: &[&str]) -> Layersift {
        let file = self.place.path("rules.toml");
        std::fs::write(&file, self.rules).unwrap();
        self.place.command(words).arg("--rules").arg(file)
    }

    #[track_caller]
    fn sweep(&self, code: i32) -> Counts {
        Counts::of(&self.command(&["sweep", &self.host]).run().expect_code(code))
    }

    fn report(&self) -> serde_json::Value {
        self.command(&["sweep", "report"]).run().json()
    }

    #[track_caller]
    fn would_read(&self) -> String {
        let run = self
            .command(&["sweep", "--dry-run", &self.host])
            .run()
            .expect_code(0);
        run.text().split(" by ").next().unwrap().to_owned()
    }
}

/// A rule for the beginning of what a built-in rule looks for by the same literal.
const SAME_LITERAL: &str = r#"
[[rule]]
id = "acme-token"
title = "Token of a company"
severity = "critical"
confidence = "high"
literals = ["ghp_"]
regex = '''ghp_[0-9A-Za-z]{16}'''
boundary = "none"
"#;

const NEW_LITERAL: &str = r#"
[[rule]]
id = "acme-name"
title = "Name of a system"
severity = "high"
confidence = "high"
literals = ["NAME=base"]
regex = '''NAME=(?P<secret>base)'''
"#;

const OVERRIDDEN: &str = r#"
[[override]]
id = "github-personal-access-token"
enabled = false
"#;

#[test]
fn a_rule_by_known_literals_reads_the_layers_again_where_they_stand() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let with = |rules| With {
        place: &place,
        host: registry.host(),
        rules,
    };
    let first = with("").sweep(1);
    let before = with("").report();
    // The tokens of two repositories stand in one layer each, and that of a third in a configuration.
    for rules in [SAME_LITERAL, OVERRIDDEN] {
        let changed = with(rules);
        assert_eq!(changed.would_read(), "would read 2 layers");
        let counts = changed.sweep(1);
        assert_eq!((counts.layers, counts.lists), (2, first.lists - 1), "{counts:?}");
        let fresh = Place::new();
        let from_the_start = With {
            place: &fresh,
            host: registry.host(),
            rules,
        };
        assert_eq!(from_the_start.sweep(1).layers, first.layers);
        assert!(changed.report() == from_the_start.report());
        assert!(changed.report() != before, "the change shows");
        assert_eq!(changed.sweep(1).layers, 0);
    }
    // What was read with the first rules is still there.
    assert_eq!(with("").sweep(1).layers, 0);
    assert!(with("").report() == before);
}

#[test]
fn a_rule_by_a_new_literal_reads_every_layer_again() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let first = place.sweep(&registry.host(), 1);
    let changed = With {
        place: &place,
        host: registry.host(),
        rules: NEW_LITERAL,
    };
    assert_eq!(
        changed.would_read(),
        format!("would read {} layers", first.layers)
    );
    assert_eq!(changed.sweep(1).layers, first.layers);
    let report = changed.report();
    let images = report["images"].as_array().unwrap();
    let with_the_name = |image: &&serde_json::Value| {
        let findings = image["findings"].as_array().unwrap();
        findings.iter().any(|finding| finding["rule"] == "acme-name")
    };
    // An index has no layers.
    let of_layers = images.iter().filter(|image| !image["platform"].is_null()).count();
    assert!(of_layers >= 20);
    assert_eq!(images.iter().filter(with_the_name).count(), of_layers);
}
