#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("sqlite"), |bytes: &[u8]| run("sqlite", bytes));
