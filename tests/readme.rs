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
    for row in layersift::source::TABLE {
        assert!(README.contains(row.form), "`{}` is missing", row.form);
    }
    for format in layersift::report::TABLE {
        assert!(
            README.contains(&format!("`{}`", format.name)),
            "`{}` is missing",
            format.name
        );
    }
}
