#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("docker_config"), |bytes: &[u8]| run("docker_config", bytes));
