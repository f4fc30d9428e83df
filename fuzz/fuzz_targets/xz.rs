#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("xz"), |bytes: &[u8]| run("xz", bytes));
