#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("layer"), |bytes: &[u8]| run("layer", bytes));
