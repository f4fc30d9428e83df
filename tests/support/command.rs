//! Runs the built `layersift` in a folder of its own, with an environment that has nothing of the caller's in it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

/// A command line to be run.
pub struct Layersift {
    command: assert_cmd::Command,
    folder: TempDir,
}

/// What a run gave.
pub struct Run {
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
    /// The folder it ran in, with the files it wrote.
    pub folder: TempDir,
}

/// The command with these arguments. It has two minutes.
pub fn layersift(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Layersift {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = folder.path().join("home");
    let temporary = folder.path().join("tmp");
    for made in [&home, &temporary] {
        fs::create_dir(made).expect("a folder can be made");
    }
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_layersift"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("TMPDIR", temporary)
        // A machine may run an engine of its own. This one is not there.
        .env(
            "DOCKER_HOST",
            format!("unix://{}/no-engine.sock", folder.path().display()),
        )
        .env("LC_ALL", "C.UTF-8")
        .current_dir(folder.path())
        .timeout(Duration::from_secs(120))
        .args(args);
    Layersift { command, folder }
}

impl Layersift {
    /// Puts a file into the folder first.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Runs it in this folder.
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it these bytes on its standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.command.write_stdin(bytes);
        self
    }

    /// A path in the folder it runs in.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Run {
        let output = self.command.output().expect("the command starts");
        Run {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
            folder: self.folder,
        }
    }
}

impl Run {
    /// What it wrote to its standard output, where that is text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("the report is UTF-8")
    }

    /// What it wrote to its standard output, where that is JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}\n{}", self.text(), self.stderr))
    }

    /// Fails the test where the exit code is another one, and shows what it wrote.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        );
        self
    }
}
