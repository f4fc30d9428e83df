//! What the fuzz targets run: one function from bytes to nothing for each parser and decoder, with the properties that
//! must hold for any input. Knows no fuzzer: libFuzzer drives the bodies (`fuzz_targets/`), and so do the tests of the
//! package, on a stable compiler (`tests/fuzz_bodies.rs`).
#![forbid(unsafe_code)]

pub mod bodies;
mod support;

use std::fs;
use std::path::Path;

use bodies::{TARGETS, Target};

/// Writes what a target starts from, before libFuzzer looks for it: its seeds into `corpus/TARGET`, its words into
/// `dictionaries/TARGET.dict`.
///
/// *Panics* where there is no target of that name, or the files cannot be written.
pub fn begin(name: &str) {
    let target = target(name);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (corpus, dictionaries) = (folder.join("corpus").join(name), folder.join("dictionaries"));
    fs::create_dir_all(&corpus).expect("the folder of the corpus can be made");
    fs::create_dir_all(&dictionaries).expect("the folder of dictionaries can be made");
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number:02}")), seed).expect("a seed can be written");
    }
    let line = |word: &&[u8]| {
        let bytes: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{bytes}\"\n")
    };
    let words: String = target.words.iter().map(line).collect();
    fs::write(dictionaries.join(format!("{name}.dict")), words).expect("the dictionary can be written");
}

/// Runs the body of a target.
///
/// *Panics* where there is no target of that name, or a property does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    (target(name).body)(bytes);
}

fn target(name: &str) -> &'static Target {
    let target = TARGETS.iter().find(|target| target.name == name);
    target.expect("the target has a row")
}
