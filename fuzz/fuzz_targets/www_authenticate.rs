#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("www_authenticate"), |bytes: &[u8]| run("www_authenticate", bytes));
