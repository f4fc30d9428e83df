#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("tar_pax"), |bytes: &[u8]| run("tar_pax", bytes));
