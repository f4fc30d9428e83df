#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("secret_checks"), |bytes: &[u8]| run("secret_checks", bytes));
