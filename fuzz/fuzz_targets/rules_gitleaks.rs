#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("rules_gitleaks"), |bytes: &[u8]| run("rules_gitleaks", bytes));
