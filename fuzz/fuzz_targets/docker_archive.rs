#![no_main]

use layersift_fuzz::{begin, run};

libfuzzer_sys::fuzz_target!(init: begin("docker_archive"), |bytes: &[u8]| run("docker_archive", bytes));
