#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("git_pack"), |bytes: &[u8]| run("git_pack", bytes));
