#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("seven_zip"), |bytes: &[u8]| run("seven_zip", bytes));
