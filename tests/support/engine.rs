//! Engines on a Unix socket: a real Podman service with storage of its own, and one that answers by a script, down
//! to where the connection breaks.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::image::Images;
use super::{output_of, program};

/// A Podman service that ends with the test.
pub struct Podman {
    process: Child,
    folder: TempDir,
}

/// Starts a service without images and waits until it answers.
pub fn podman() -> Podman {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = fs::File::create(folder.path().join("log")).expect("a file can be made");
    let process = command(folder.path())
        .args(["system", "service", "--time=0"])
        .arg(address(&folder.path().join("podman.sock")))
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("podman starts");
    let podman = Podman { process, folder };
    let deadline = Instant::now() + Duration::from_secs(60);
    while UnixStream::connect(podman.socket()).is_err() {
        let log = || fs::read_to_string(podman.folder.path().join("log")).unwrap_or_default();
        assert!(Instant::now() < deadline, "podman does not answer:\n{}", log());
        thread::sleep(Duration::from_millis(50));
    }
    podman
}

impl Podman {
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("podman.sock")
    }

    /// The socket as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        address(&self.socket())
    }

    /// Loads images under the names they have.
    pub fn load(&self, images: &Images) {
        let archive = self.folder.path().join("image.tar");
        fs::write(&archive, images.docker_archive()).expect("a file can be written");
        output_of(
            command(self.folder.path())
                .arg("load")
                .arg("--input")
                .arg(archive),
        );
    }

    /// What `podman image inspect` says in this format.
    pub fn inspect(&self, name: &str, format: &str) -> String {
        let output =
            output_of(command(self.folder.path()).args(["image", "inspect", "--format", format, name]));
        String::from_utf8(output).expect("text").trim().to_owned()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Podman with its storage in `folder`, where nothing is mounted.
fn command(folder: &Path) -> Command {
    let mut command = program("podman", "podman");
    command
        .arg("--root")
        .arg(folder.join("storage"))
        .arg("--runroot")
        .arg(folder.join("run"))
        .args(["--storage-driver", "vfs"])
        .env("TMPDIR", folder);
    command
}

fn address(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

/// What a scripted engine does with a request.
#[derive(Clone)]
pub enum Answer {
    /// An answer with this status and body.
    Body(u16, Vec<u8>),
    /// A body of which only so many bytes are sent before the connection is closed.
    Cut(Vec<u8>, usize),
    /// A body of which only so many bytes are sent, and then nothing.
    Stall(Vec<u8>, usize),
    /// Nothing at all.
    Silence,
}

/// An engine that does what it is told to, until it is dropped.
pub struct Engine {
    folder: TempDir,
    seen: Arc<Mutex<Vec<String>>>,
}

/// Starts an engine that gives `answer` to each request for a path.
pub fn engine(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Engine {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listener = UnixListener::bind(folder.path().join("engine.sock")).expect("a socket");
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let engine = Engine {
        folder,
        seen: Arc::clone(&seen),
    };
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            thread::spawn(move || {
                // A client that goes away is part of many tests.
                let _ = serve(stream, &seen, &*answer);
            });
        }
    });
    engine
}

impl Engine {
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    /// The socket as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        address(&self.socket())
    }

    /// The requests so far, method and path.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn serve(stream: UnixStream, seen: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Answer) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        let request = request.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        seen.lock().expect("no panic").push(request.clone());
        let path = request.strip_prefix("GET ").expect("only GET is ever sent");
        match answer(path) {
            Answer::Body(status, body) => {
                write!(
                    writer,
                    "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                )?;
                writer.write_all(&body)?;
            }
            Answer::Cut(body, after) => {
                write!(writer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                write!(writer, "{:x}\r\n", body.len())?;
                return writer.write_all(&body[..after]);
            }
            Answer::Stall(body, after) => {
                write!(
                    writer,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                )?;
                writer.write_all(&body[..after])?;
                return reader.read_to_end(&mut Vec::new()).map(|_| ());
            }
            // Until the other side goes away.
            Answer::Silence => return reader.read_to_end(&mut Vec::new()).map(|_| ()),
        }
    }
}
