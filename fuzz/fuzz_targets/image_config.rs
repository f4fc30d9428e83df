#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("image_config"), |bytes: &[u8]| run("image_config", bytes));
