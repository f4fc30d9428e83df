//! What the tests are made with: images built in code, fake secrets, a registry, and the command under test.
//! Asserts nothing about layersift; see the files beside it.

pub mod command;
#[cfg(unix)]
pub mod engine;
pub mod http2;
pub mod image;
pub mod nats;
pub mod packed;
pub mod quine;
pub mod registry;
pub mod scripted;
pub mod secrets;
pub mod tar;
pub mod tls;
pub mod tokens;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that a test needs, by its name and the Debian package that has it. Fails the test where it is missing.
pub fn program(name: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian has some of them where only root's PATH looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    let Some(found) = found else {
        panic!("this test needs `{name}`: install the Debian package `{package}`, or run tests/setup");
    };
    let mut command = Command::new(found);
    command.stdin(Stdio::null());
    command
}

/// The files of layersift itself, in order: `src/…` and the text of each.
pub fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be listed") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let name = path.strip_prefix(root).expect("it is below");
            files.push((name.display().to_string(), text));
        }
    }
    files.sort();
    files
}

/// Runs a command to its end and gives what it wrote to its standard output. Fails the test where it fails.
pub fn output_of(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
