//! Holds the house to its plan: which module may import which, and where a crate, a printing macro or the
//! environment may be used. The tables are the plan; a new edge is a line here, for a reviewer to see.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Who may import whom. A module may always import itself and what is below it.
const IMPORTS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("text", &[]),
    ("oci", &["limits", "text"]),
    ("tar", &["limits"]),
    ("rules", &["limits", "text"]),
    // Not tar: regions reach the engine as plain spans.
    ("engine", &["rules", "limits", "text"]),
    ("content", &["tar", "limits"]),
    ("layer", &["engine", "content", "tar", "oci", "limits", "text"]),
    ("source", &["oci", "tar", "content", "limits", "text"]),
    ("finding", &["oci", "limits", "text", "rules"]),
    // Kinds and paths of members, as the path table has them.
    ("resolve", &["finding", "layer", "tar"]),
    (
        "scan",
        &[
            "limits", "text", "oci", "tar", "rules", "engine", "content", "layer", "source", "finding",
            "resolve",
        ],
    ),
    ("dockerfile", &["oci", "finding", "text"]),
    // Of rules, the ids and grades it compares with.
    ("policy", &["finding", "oci", "rules", "text"]),
    ("report", &["finding", "oci", "policy", "text", "rules"]),
    (
        "sweep",
        &[
            "limits", "text", "oci", "tar", "rules", "engine", "content", "layer", "source", "finding",
            "resolve", "scan", "policy",
        ],
    ),
    // It is given the bytes of a report, and speaks TLS as registries are spoken to.
    ("github", &["source", "text"]),
    (
        "cli",
        &[
            "limits",
            "text",
            "oci",
            "tar",
            "rules",
            "engine",
            "content",
            "layer",
            "source",
            "finding",
            "resolve",
            "scan",
            "dockerfile",
            "policy",
            "report",
            "sweep",
            "github",
        ],
    ),
];

/// What may be used in a few places only: a path or its end, and the modules that may.
const CAGES: &[(&str, &[&str])] = &[
    // Async stays at the network: everything else is plain threads.
    (
        "tokio",
        &[
            "source::network",
            "source::registry",
            "source::engine",
            "sweep",
            "github",
        ],
    ),
    (
        "reqwest",
        &["source::registry", "source::engine", "sweep", "github"],
    ),
    ("async_nats", &["sweep::queue::nats"]),
    ("futures_util", &["sweep::queue::nats"]),
    // One place that loses no byte of compressed data.
    ("bzip2", &["content"]),
    // An upload is compressed, not read.
    ("flate2", &["content", "github"]),
    ("liblzma", &["content"]),
    ("sevenz_rust2", &["content"]),
    // A stored record is compressed by us.
    ("zstd", &["content", "layer::stored"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    // Errors have types below the command line.
    ("anyhow", &["cli"]),
    // A library does not print, end the process or read the environment; proxies, credential helpers
    // and where engines are is what it is asked to read.
    ("print!", &["cli"]),
    ("println!", &["cli"]),
    ("eprint!", &["cli"]),
    ("eprintln!", &["cli"]),
    ("dbg!", &[]),
    ("process::exit", &["cli::exit"]),
    ("process::abort", &[]),
    ("env::args", &["cli"]),
    ("env::args_os", &["cli"]),
    ("env::var", &["cli", "source::registry"]),
    ("env::var_os", &["cli", "source::registry", "source::engine"]),
    ("env::vars", &["cli", "source::registry"]),
    ("env::vars_os", &["cli", "source::registry"]),
];

#[test]
fn modules_import_only_what_the_plan_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut complaints = Vec::new();
    let mut seen = 0;
    for path in rust_files(&root) {
        let module = module_of(path.strip_prefix(&root).unwrap());
        let source = fs::read_to_string(&path).unwrap();
        complaints.extend(check(&module, &source));
        seen += 1;
    }
    assert!(seen > 20, "reads the sources");
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_planted_violation_is_found() {
    for (module, source) in [
        ("engine", "use crate::tar::Region;"),
        ("engine::matcher", "use crate::{rules::RuleSet, tar};"),
        ("engine", "fn f() { crate::tar::framer::new() }"),
        ("engine::matcher", "use super::super::tar::Region;"),
        ("limits", "pub use crate::text::escape;"),
        ("unplanned", "use crate::text;"),
        ("scan", "use crate::unplanned::X;"),
        ("report::json", "use zstd::Encoder;"),
        ("report", "fn f() { flate2::Compression::fast(); }"),
        ("source::docker_archive", "use tokio::runtime::Runtime;"),
        ("layer", "fn f() { println!(\"x\") }"),
        ("layer", "fn f() { if true { std::process::exit(1) } }"),
        ("cli::run", "use std::process::{self, exit};"),
        ("layer", "use std::env; fn f() { env::var(\"HOME\"); }"),
        ("layer", "use std::{env::{self, var_os}, fs};"),
        ("layer", "#[cfg(test)] mod tests { } fn f() { dbg!(1) }"),
    ] {
        assert_eq!(check(module, source).len(), 1, "{module}: {source}");
    }
}

#[test]
fn what_is_allowed_or_no_import_passes() {
    for (module, source) in [
        ("engine", "use crate::rules::Rule; use crate::limits;"),
        ("engine::matcher", "use super::checks; use crate::engine::Window;"),
        ("content::decode", "use self::zstd::Zstd; use flate2::Decompress;"),
        (
            "cli",
            "fn f() { println!(\"{}\", std::env::var(\"HOME\").unwrap()) }",
        ),
        ("source::registry::auth", "use std::env::var_os; use tokio::time;"),
        (
            "layer",
            "//! crate::sweep\n/// println!(\"crate::cli\")\nconst A: &str = \"crate::cli\"; // crate::cli",
        ),
        ("layer", "const VERSION: &str = env!(\"CARGO_PKG_VERSION\");"),
        (
            "limits",
            "#[cfg(test)]\n#[allow(unused)]\nmod tests { use crate::text; fn f() { println!() } }",
        ),
        ("limits", "#[cfg(test)] use crate::text;"),
        ("content", "fn f() { let zstd = 1; my::zstd::open(zstd.clone()) }"),
    ] {
        assert_eq!(check(module, source), BTreeSet::new(), "{module}: {source}");
    }
}

/// What one file does that it may not.
fn check(module: &str, source: &str) -> BTreeSet<String> {
    let tokens: TokenStream = source.parse().expect("Rust");
    let mut paths = Vec::new();
    collect(tokens, &mut paths);

    let mut complaints = BTreeSet::new();
    let top = module.split("::").next().unwrap_or_default();
    let allowed = IMPORTS.iter().find(|(name, _)| *name == top);
    for path in &paths {
        let written = path.join("::");
        if let Some(imported) = imported_module(module, path)
            && imported != top
            && !allowed.is_some_and(|(_, allowed)| allowed.contains(&imported))
        {
            complaints.insert(format!("`{module}` may not import `{imported}` ({written})"));
        }
        for (caged, places) in CAGES {
            let is_let = places
                .iter()
                .any(|place| module == *place || module.starts_with(&format!("{place}::")));
            if !is_let && uses(path, caged) {
                complaints.insert(format!("`{module}` may not use `{caged}` ({written})"));
            }
        }
    }
    complaints
}

/// The top module that a path from within `module` leads to, if it leads to the crate's root at all.
fn imported_module<'a>(module: &str, path: &'a [String]) -> Option<&'a str> {
    let depth = module.split("::").count();
    let supers = path.iter().take_while(|segment| *segment == "super").count();
    let rest = match path.first()?.as_str() {
        "crate" => &path[1..],
        "super" if supers >= depth => &path[supers..],
        _ => return None,
    };
    // `use super::*` and `crate::LIMIT` name nothing that could be judged.
    rest.first()
        .map(String::as_str)
        .filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// Whether a path is the caged thing: a crate by its first segment, a macro or function by the segments in a row.
fn uses(path: &[String], caged: &str) -> bool {
    let caged: Vec<&str> = caged.split("::").collect();
    match caged.as_slice() {
        [name] if !name.ends_with('!') => path.len() > 1 && path[0] == *name,
        [name] => path.last().is_some_and(|last| last == name),
        _ => path.windows(caged.len()).any(|window| window == caged.as_slice()),
    }
}

/// Every path written in these tokens, groups of imports spelled out, tests left aside. The name of a macro call
/// ends with `!`. A `use` of a single name is a path of itself and nothing.
fn collect(tokens: TokenStream, paths: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = end_of_item(&tokens, at + 2);
            continue;
        }
        match &tokens[at] {
            TokenTree::Ident(ident) if *ident == "use" => {
                at = collect_path(&tokens, at + 1, &[], true, paths);
            }
            TokenTree::Ident(_) => at = collect_path(&tokens, at, &[], false, paths),
            // What is behind `::` was read with what is before it, or is a path from the root.
            TokenTree::Group(group) => {
                collect(group.stream(), paths);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Reads one path from `at` on, behind the segments in `prefix`; returns where it ends.
fn collect_path(
    tokens: &[TokenTree],
    mut at: usize,
    prefix: &[String],
    is_import: bool,
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    if is_separator(tokens, at) {
        at += 2;
    }
    while let Some(TokenTree::Ident(segment)) = tokens.get(at) {
        path.push(segment.to_string());
        at += 1;
        if !is_separator(tokens, at) {
            break;
        }
        at += 2;
    }
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if is_import && group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            for part in inner.split(|token| is_punct(Some(token), ',')) {
                collect_path(part, 0, &path, true, paths);
            }
            return at + 1;
        }
        Some(token) if is_punct(Some(token), '!') && !is_punct(tokens.get(at + 1), '=') => {
            if let Some(last) = path.last_mut() {
                last.push('!');
            }
            at += 1;
        }
        _ => {}
    }
    if is_import && path.len() == 1 {
        path.push(String::new());
    }
    paths.push(path);
    at
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')
}

/// Whether `#[cfg(test)]` stands here.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    is_punct(tokens.first(), '#')
        && matches!(tokens.get(1), Some(TokenTree::Group(group))
            if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// Where the item that begins at `at` ends: behind its braces or its semicolon.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let is_end = |token: &TokenTree| {
        matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
            || is_punct(Some(token), ';')
    };
    let length = tokens[at..].iter().position(is_end);
    length.map_or(tokens.len(), |length| at + length + 1)
}

/// The module that a file under `src` is. `tests.rs` is a part of no build but the tests'.
fn module_of(path: &Path) -> String {
    let mut module: Vec<String> = path
        .with_extension("")
        .iter()
        .map(|part| part.to_str().expect("a plain name").to_owned())
        .collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module.join("::")
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_os_string();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // The crate's roots name every module, and files of tests import what they like.
            let is_root = folder.ends_with("src") && (name == "lib.rs" || name == "main.rs");
            if !is_root && name != "tests.rs" {
                files.push(path);
            }
        }
    }
    files
}
