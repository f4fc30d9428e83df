#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("terminal_text"), |bytes: &[u8]| run("terminal_text", bytes));
