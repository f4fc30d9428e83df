#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layersift_fuzz::run("gzip", bytes));
