//! The `layersift` command: see the library's documentation for what it does.

use std::process::ExitCode;

/// musl's own has the system map and clear each larger piece of memory anew: a sixth of the time of a scan.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    layersift::cli::run(std::env::args_os())
}
