#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("zstd"), |bytes: &[u8]| run("zstd", bytes));
