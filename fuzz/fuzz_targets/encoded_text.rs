#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("encoded_text"), |bytes: &[u8]| run("encoded_text", bytes));
