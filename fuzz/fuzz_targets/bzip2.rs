#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("bzip2"), |bytes: &[u8]| run("bzip2", bytes));
