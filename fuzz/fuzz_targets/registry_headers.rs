#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("registry_headers"), |bytes: &[u8]| run("registry_headers", bytes));
