#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("provenance"), |bytes: &[u8]| run("provenance", bytes));
