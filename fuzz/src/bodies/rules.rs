//! Files of rules, in our format and in that of Gitleaks. Who writes them is trusted more than an image is, but a
//! mistake in one must not hang a scan.

use layersift::rules::{COMPILED_BYTES, Pattern, REACH, RuleSet, compile};

use super::Target;

pub const OURS: Target = Target {
    name: "rules_toml",
    body: loaded,
    seeds: || {
        let one = r#"
[[rule]]
id = "acme-token"
title = "Acme token"
description = "Opens Acme."
severity = "high"
confidence = "high"
literals = ["acme_"]
regex = '''acme_(?P<secret>[a-z0-9]{16,20})'''
boundary = "token"
entropy = 2.5
checks = ["not-placeholder"]
context = { any = ["acme"], before = 40 }
revoke = "nowhere"
references = ["https://example.com"]
covers = []
[[rule.example]]
text = "acme_{a-z0-9:16}"
[[rule.counter]]
text = "acme_{a-z0-9:15}"
[[rule.part]]
name = "secret"
literals = ["acmesecret"]
regex = '''[A-Za-z0-9/+]{40}'''
within = 200
"#;
        let change = "[[override]]\nid = \"acme-token\"\nseverity = \"low\"\n";
        vec![
            one.into(),
            [one, change].concat().into_bytes(),
            include_bytes!("../../../rules/astral.toml").to_vec(),
            include_bytes!("../../../rules/aws.toml").to_vec(),
        ]
    },
    words: &[
        b"[[rule]]\n",
        b"[[rule.part]]\n",
        b"[[rule.example]]\n",
        b"[[override]]\n",
        b"regex = '''",
        b"literals = [\"",
        b"{0,16384}",
        b"(?:",
        b"\\p{L}",
        b"{a-z:999999999}",
        b"{@jwt}",
        b"(?i)",
        b".*",
        b"within = ",
    ],
    longest: 4 * 1024,
};

pub const GITLEAKS: Target = Target {
    name: "rules_gitleaks",
    body: loaded,
    seeds: || {
        let text = r#"
title = "ours"
[extend]
useDefault = true
[[rules]]
id = "Acme Token"
description = "a token"
regex = '''(?i)acme_[a-z0-9]{16}'''
secretGroup = 0
entropy = 3.1
keywords = ["acme_"]
tags = ["x"]
[[rules.allowlists]]
condition = "AND"
regexes = ['''acme_x+''']
paths = ['''(^|/)test/''']
stopwords = ["example"]
regexTarget = "line"
[[rules]]
id = "slow"
regex = '''[a-z]{3}-[0-9]{9,}'''
path = '''\.env$'''
[allowlist]
paths = ['''vendor/.*''']
"#;
        vec![text.into()]
    },
    words: &[
        b"[[rules]]\n",
        b"[[rules.allowlists]]\n",
        b"[allowlist]\n",
        b"regex = '''",
        b"keywords = [\"",
        b"secretGroup = 9",
        b"(a|b|c)*",
        b"{1,1000}{1,1000}",
        b"(?:(?:(?:",
        b"\\b",
        b"[^\\x00-\\xff]",
        b"stopwords = [\"",
        b"condition = \"AND\"",
    ],
    longest: 4 * 1024,
};

fn loaded(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let files = [("rules.toml".to_owned(), text.to_owned())];
    let rules = match RuleSet::load_only(&files) {
        Ok(rules) => rules,
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                assert!(
                    problem.line >= 1 && problem.line <= text.lines().count() + 1,
                    "{problem:?}"
                );
                assert!(!problem.message.is_empty());
            }
            return;
        }
    };
    assert!(rules.rules().is_sorted_by(|one, other| one.id <= other.id));
    assert_eq!(
        RuleSet::load_only(&files)
            .map(|again| again.hash().to_owned())
            .ok()
            .as_deref(),
        Some(rules.hash())
    );
    for rule in rules.rules() {
        assert!(!rule.id.0.is_empty());
        for part in rule.parts.iter().chain([&rule.anchor]) {
            assert!(part.furthest() <= 2 * REACH, "`{}` looks too far", part.name);
            if let Pattern::Regex { source, .. } = &part.pattern {
                assert!(
                    compile(source).is_ok(),
                    "{source} was let in, and takes more than {COMPILED_BYTES} bytes"
                );
            }
        }
    }
}
