//! A real queue on a loopback port: Debian's `nats-server` with a folder of its own, ended with the test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::program;
use super::registry::write_certificates;

/// A running server.
pub struct Nats {
    process: Option<Child>,
    folder: TempDir,
    port: u16,
    is_tls: bool,
}

/// What a server shall be like.
#[derive(Default)]
pub struct Setup {
    config: String,
    is_tls: bool,
    /// Whose certificates users must show.
    users_of: Option<PathBuf>,
}

/// A server that anybody may use, unless told otherwise.
pub fn nats() -> Setup {
    Setup::default()
}

impl Setup {
    /// Takes no larger messages.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.config += &format!("max_payload: {bytes}\n");
        self
    }

    /// Has these users, in the words of its configuration.
    pub fn users(mut self, users: &str) -> Self {
        self.config += users;
        self
    }

    /// Speaks TLS, with a certificate of an authority of its own; see [`Nats::authority`].
    pub fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Asks for a certificate that the authority in this PEM file signed. Only with [`Setup::tls`].
    pub fn certificates_of(mut self, authority: &Path) -> Self {
        self.users_of = Some(authority.to_owned());
        self
    }

    /// Starts it and waits until it answers.
    pub fn start(self) -> Nats {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let mut config = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", max_file_store: 2GB }}\n{}",
            folder.path().join("store").display(),
            self.config
        );
        if self.is_tls {
            write_certificates(folder.path());
            let folder = folder.path().display();
            let users = match &self.users_of {
                Some(authority) => format!(", ca_file: \"{}\", verify: true", authority.display()),
                None => String::new(),
            };
            config += &format!(
                "tls {{ cert_file: \"{folder}/server.pem\", key_file: \"{folder}/server.key\"{users} }}\n"
            );
        }
        fs::write(folder.path().join("nats.conf"), config).expect("a file can be written");
        let mut server = Nats {
            process: None,
            folder,
            port,
            is_tls: self.is_tls,
        };
        server.restart();
        server
    }
}

impl Nats {
    /// `nats://127.0.0.1:PORT`, or with `tls`.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "tls" } else { "nats" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The PEM file of the authority that signed its certificate. Only with [`Setup::tls`].
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority").join("ca.crt")
    }

    /// Where it keeps messages.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it, on the same port, with what it kept.
    pub fn restart(&mut self) {
        self.kill();
        let log = fs::File::create(self.folder.path().join("log")).expect("a file can be made");
        let process = program("nats-server", "nats-server")
            .arg("--config")
            .arg(self.folder.path().join("nats.conf"))
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("the server does not start:\n{log}");
    }

    /// All that it keeps, as bytes.
    pub fn kept(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        read_all(&self.store(), &mut bytes);
        bytes
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_all(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => read_all(&path, bytes),
            // A file that went while it was looked at is not kept.
            false => bytes.extend(fs::read(path).unwrap_or_default()),
        }
    }
}
