#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("git_object"), |bytes: &[u8]| run("git_object", bytes));
