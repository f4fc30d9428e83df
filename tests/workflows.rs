//! Workflows run with the keys of this repository: what they use is pinned, and what they may do is said.

use std::fs;
use std::path::Path;

/// Name and text of each file below `.github/workflows`.
fn workflows() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let named = files.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()));
    named.collect()
}

/// What is wrong with a workflow.
fn complaints(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    // Anything may stand behind `#`, and the tag of a pinned action does.
    let lines = || {
        text.lines()
            .map(|line| line.split(" #").next().unwrap_or_default().trim_end())
    };
    let top_level = |name: &str| lines().any(|line| line == name || line.starts_with(&format!("{name} ")));
    if !top_level("permissions:") {
        complaints.push("it does not say what it may do".to_owned());
    }
    if lines().any(|line| line.trim() == "permissions: write-all") {
        complaints.push("it may do everything".to_owned());
    }
    for line in lines() {
        let Some(action) = line.trim().trim_start_matches("- ").strip_prefix("uses:") else {
            continue;
        };
        let action = action.trim().trim_matches(['"', '\'']);
        let commit = action.rsplit_once('@').map_or("", |(_, commit)| commit);
        let is_pinned = commit.len() == 40
            && commit
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        // What is in this repository is of the same commit.
        if !is_pinned && !action.starts_with("./") {
            complaints.push(format!("`{action}` may change any day"));
        }
    }
    if lines().any(|line| line.contains("curl") && line.contains('|') && line.contains("sh")) {
        complaints.push("it runs what it downloads".to_owned());
    }
    // Text that others write, put into a script before the shell reads it.
    if lines().any(|line| line.contains("${{ github.event.") || line.contains("${{ github.head_ref")) {
        complaints.push("it runs what others write".to_owned());
    }
    complaints
}

#[test]
fn actions_are_pinned_and_permissions_are_said() {
    let workflows = workflows();
    assert!(workflows.len() >= 2, "reads the workflows");
    for (name, text) in workflows {
        assert_eq!(complaints(&text), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_not_pinned_is_seen() {
    let commit = "0123456789abcdef".repeat(3);
    let pinned = format!(
        "permissions:\n  contents: read\n  - uses: a/b@{} # v1\n  - uses: ./here\n",
        &commit[..40]
    );
    assert_eq!(complaints(&pinned), Vec::<String>::new());
    for text in [
        "permissions: {}\n    - uses: a/b@v1\n",
        "permissions: {}\n    - uses: a/b@0123456 # v1\n",
        "permissions: {}\n      uses: \"a/b\"\n",
        "permissions: write-all\n",
        "jobs:\n  a:\n    permissions: {}\n",
        "permissions: {}\n    - run: curl https://example.com/install | sh\n",
        "permissions: {}\n    - run: echo ${{ github.event.issue.title }}\n",
    ] {
        assert_eq!(complaints(text).len(), 1, "{text}");
    }
}
