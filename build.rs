//! Lists `rules/*.toml` for `src/rules/builtin.rs` to embed. Does not read them.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let rules = Path::new(&here).join("rules");
    println!("cargo::rerun-if-changed=rules");

    let mut names = Vec::new();
    for entry in fs::read_dir(&rules)? {
        let name = entry?.file_name();
        let name = name.to_str().expect("names of rule files are ASCII").to_owned();
        if name.ends_with(".toml") {
            names.push(name);
        }
    }
    names.sort();

    let list: String = names
        .iter()
        .map(|name| format!("({name:?}, include_str!({:?})),\n", rules.join(name)))
        .collect();
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("rules.rs"), format!("&[{list}]"))
}
