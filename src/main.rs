//! The `layersift` command: see the library's documentation for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    layersift::cli::run(std::env::args_os())
}
