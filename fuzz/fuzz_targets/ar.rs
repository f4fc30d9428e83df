#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("ar"), |bytes: &[u8]| run("ar", bytes));
