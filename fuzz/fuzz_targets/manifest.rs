#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("manifest"), |bytes: &[u8]| run("manifest", bytes));
