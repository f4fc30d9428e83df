#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("tar_framer"), |bytes: &[u8]| run("tar_framer", bytes));
