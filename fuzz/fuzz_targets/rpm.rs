#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("rpm"), |bytes: &[u8]| run("rpm", bytes));
