//! Parses `rules/*.toml` for `src/rules/builtin.rs` to embed, as trees, next to their text. Checks nothing of them but that
//! they are TOML: the tests do.

use std::path::Path;
use std::{env, fs, io};

#[allow(dead_code, reason = "the loader reads what this only writes")]
#[path = "src/rules/load/tree.rs"]
mod tree;

fn main() -> io::Result<()> {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let rules = Path::new(&here).join("rules");
    println!("cargo::rerun-if-changed=rules");
    println!("cargo::rerun-if-changed=src/rules/load/tree.rs");

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

fn tree_of(text: &str) -> Result<Vec<u8>, String> {
    let document = toml::de::DeTable::parse(text).map_err(|error| error.to_string())?;
    postcard::to_allocvec(&tree::Fields::from(document.get_ref())).map_err(|error| error.to_string())
}
