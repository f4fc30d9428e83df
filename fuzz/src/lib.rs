//! What the fuzz targets run: one function from bytes to nothing for each parser and decoder, with the properties that
//! must hold for any input. Knows no fuzzer: libFuzzer drives the bodies (`fuzz_targets/`), and so do the tests of the
//! package, on a stable compiler (`tests/fuzz_bodies.rs`).
#![forbid(unsafe_code)]

pub mod bodies;
mod support;

/// The body of a target.
///
/// *Panics* where there is none of that name, or where a property does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let target = bodies::TARGETS.iter().find(|target| target.name == name);
    (target.expect("the target has a row").body)(bytes);
}
