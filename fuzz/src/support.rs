//! What the tests of the package build their inputs with, for the seeds.
#![allow(dead_code, reason = "made for all tests, not only for seeds")]

#[path = "../../tests/support/image.rs"]
pub mod image;
#[path = "../../tests/support/packed.rs"]
pub mod packed;
#[path = "../../tests/support/secrets.rs"]
pub mod secrets;
#[path = "../../tests/support/tar.rs"]
pub mod tar;
