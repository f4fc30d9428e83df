#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("report_json"), |bytes: &[u8]| run("report_json", bytes));
