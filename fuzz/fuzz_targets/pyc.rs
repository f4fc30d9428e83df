#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("pyc"), |bytes: &[u8]| run("pyc", bytes));
