#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("saved_image"), |bytes: &[u8]| run("saved_image", bytes));
