#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("zip"), |bytes: &[u8]| run("zip", bytes));
