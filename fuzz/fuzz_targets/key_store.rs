#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("key_store"), |bytes: &[u8]| run("key_store", bytes));
