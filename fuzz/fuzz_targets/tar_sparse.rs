#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("tar_sparse"), |bytes: &[u8]| run("tar_sparse", bytes));
