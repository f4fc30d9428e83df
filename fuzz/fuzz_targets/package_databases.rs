#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("package_databases"), |bytes: &[u8]| run("package_databases", bytes));
