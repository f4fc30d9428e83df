#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("planted_secret"), |bytes: &[u8]| run("planted_secret", bytes));
