#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("gzip"), |bytes: &[u8]| run("gzip", bytes));
