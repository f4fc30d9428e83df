#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("dockerfile"), |bytes: &[u8]| run("dockerfile", bytes));
