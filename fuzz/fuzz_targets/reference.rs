#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("reference"), |bytes: &[u8]| run("reference", bytes));
