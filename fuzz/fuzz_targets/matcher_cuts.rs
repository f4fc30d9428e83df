#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("matcher_cuts"), |bytes: &[u8]| run("matcher_cuts", bytes));
