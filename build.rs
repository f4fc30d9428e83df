//! Parses `rules/*.toml` for `src/rules/builtin.rs` to embed, as trees, next to their text, and digests the sources, so that
//! two builds can be told apart. Checks nothing of the rules but that they are TOML: the tests do.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest as _, Sha256};

#[allow(dead_code, reason = "the loader reads what this only writes")]
#[path = "src/rules/load/tree.rs"]
mod tree;

fn main() -> io::Result<()> {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let rules = Path::new(&here).join("rules");
    println!("cargo::rerun-if-changed=rules");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!(
        "cargo::rustc-env=LAYERSIFT_SOURCES={}",
        digest_of_sources(Path::new(&here))?
    );

    let mut names = Vec::new();
    for entry in fs::read_dir(&rules)? {
        let name = entry?.file_name();
        let name = name.to_str().expect("names of rule files are ASCII").to_owned();
        if name.ends_with(".toml") {
            names.push(name);
        }
    }
    names.sort();

    let mut list = String::new();
    for name in &names {
        let path = rules.join(name);
        let text = fs::read_to_string(&path)?;
        let tree = tree_of(&text).map_err(|error| io::Error::other(format!("rules/{name}: {error}")))?;
        let tree_path = Path::new(&out).join(format!("{name}.tree"));
        fs::write(&tree_path, tree)?;
        list += &format!("({name:?}, include_str!({path:?}), include_bytes!({tree_path:?})),\n");
    }
    fs::write(Path::new(&out).join("rules.rs"), format!("&[{list}]"))
}

/// The digest of all that decides what is found, the rules apart: our sources and the versions of crates.
fn digest_of_sources(here: &Path) -> io::Result<String> {
    let mut files = vec![here.join("Cargo.lock")];
    // A crate that others depend on comes without.
    files.retain(|lock| lock.exists());
    let mut folders = vec![here.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    let named = |path: PathBuf| {
        (
            path.strip_prefix(here).map(Path::to_path_buf).unwrap_or_default(),
            path,
        )
    };
    let mut files: Vec<(PathBuf, PathBuf)> = files.into_iter().map(named).collect();
    files.sort();
    let mut digest = Sha256::new();
    for (name, path) in files {
        let content = fs::read(path)?;
        digest.update(format!("{}\0{}\0", name.display(), content.len()));
        digest.update(content);
    }
    Ok(digest.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn tree_of(text: &str) -> Result<Vec<u8>, String> {
    let document = toml::de::DeTable::parse(text).map_err(|error| error.to_string())?;
    postcard::to_allocvec(&tree::Fields::from(document.get_ref())).map_err(|error| error.to_string())
}
