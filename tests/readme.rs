//! The README says what the program does: its first command is run, and what it shows is compared.

use std::path::Path;

use crate::support::command::layersift;

const README: &str = include_str!("../README.md");

/// The text of the fenced block behind `heading`.
fn block<'r>(fence: &str, after: &str) -> &'r str {
    let rest = &README[README
        .find(after)
        .unwrap_or_else(|| panic!("the README says {after:?}"))..];
    let begin = rest.find(fence).expect("a block follows") + fence.len();
    rest[begin..].split("\n```").next().expect("the block ends")
}

#[test]
fn the_first_command_prints_what_the_readme_shows() {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/codecov.tar");
    let run = layersift(["scan", "testdata/codecov.tar"])
        .file("testdata/codecov.tar", std::fs::read(archive).unwrap())
        .run()
        .expect_code(1);
    let mut lines = run.text().lines();
    for shown in block("```text\n", "prints the finding")
        .lines()
        .filter(|line| !line.trim().is_empty() && line.trim() != "…")
    {
        assert!(
            lines.any(|line| line == shown),
            "the README shows a line that is not there (or not in order): {shown:?}\n{}",
            run.text()
        );
    }
}

#[test]
fn the_readme_lists_the_exit_codes_the_help_lists() {
    let help = layersift(["scan", "--help"]).run().expect_code(0);
    for code in ["0", "1", "2", "3", "4", "5"] {
        let row = format!("| `{code}` |");
        assert!(
            README.contains(&row),
            "the README has no row for exit code {code}"
        );
        assert!(
            help.text().contains(&format!("\n  {code}  ")),
            "the help has no line for exit code {code}"
        );
    }
}

#[test]
fn every_source_and_format_is_in_the_readme() {
    // In a table, `|` is written with a backslash.
    let readme = README.replace("\\|", "|");
    for row in layersift::source::TABLE {
        assert!(readme.contains(row.form), "`{}` is missing", row.form);
    }
    for format in layersift::report::TABLE {
        assert!(
            README.contains(&format!("`{}`", format.name)),
            "`{}` is missing",
            format.name
        );
    }
}

#[test]
fn the_readme_names_every_command() {
    let help = layersift(["--help"]).run().expect_code(0);
    let commands = help
        .text()
        .split("Commands:\n")
        .nth(1)
        .expect("a list of commands");
    let named = commands.lines().take_while(|line| !line.is_empty());
    let named = named.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut seen = 0;
    for command in named.filter(|name| !name.is_empty() && *name != "help") {
        assert!(
            README.contains(&format!("layersift {command} ")),
            "`{command}` is missing"
        );
        seen += 1;
    }
    assert!(seen >= 7);
}

/// `docs/rules.md`, made from the rules. Renewed with UPDATE_GOLDEN=1.
#[test]
fn the_table_of_rules_is_made_from_the_rules() {
    let rules = layersift::rules::RuleSet::builtin();
    let mut text = String::from(
        "# Rules\n\nMade from [rules/](../rules) by the tests; `layersift rules show ID` prints all of one.\n\n\
         | rule | finds | severity | confidence |\n|---|---|---|---|\n",
    );
    for rule in rules.rules() {
        let title = rule.title.replace('|', "\\|");
        text.push_str(&format!(
            "| `{}` | {title} | {} | {} |\n",
            rule.id, rule.severity, rule.confidence
        ));
    }
    text.push_str("\n## Formats without a rule of their own\n\n| format | why |\n|---|---|\n");
    let left: toml::Table = include_str!("../rules/catalogue/not-covered.toml")
        .parse()
        .unwrap();
    for entry in left["entry"].as_array().unwrap() {
        let field = |name: &str| entry[name].as_str().unwrap().replace('|', "\\|");
        text.push_str(&format!("| `{}` | {} |\n", field("id"), field("reason")));
        let covered = rules
            .rules()
            .iter()
            .any(|rule| rule.covers.contains(&field("id")));
        assert!(!covered, "`{}` has a rule", field("id"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/rules.md is not of these rules: run with UPDATE_GOLDEN=1"
    );
    let count = format!("| rules | {} |", rules.rules().len());
    assert!(
        README.contains(&count),
        "the README's number of rules is not {}",
        rules.rules().len()
    );
}
