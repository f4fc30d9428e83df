#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("cpio"), |bytes: &[u8]| run("cpio", bytes));
