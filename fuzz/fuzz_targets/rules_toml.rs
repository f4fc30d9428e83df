#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("rules_toml"), |bytes: &[u8]| run("rules_toml", bytes));
