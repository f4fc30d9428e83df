//! A real registry on a loopback port: Debian's `docker-registry` with a folder of its own, ended with the test, which it
//! fails if anything wrote to it but what images are made with. Faults are not its business; a registry that misbehaves is written in code.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

use super::image::Images;
use super::scripted::Server;
use super::{output_of, program, tokens};

/// A running registry.
pub struct Registry {
    process: Child,
    folder: TempDir,
    port: u16,
    login: Option<(String, String)>,
    is_tls: bool,
    /// The server it sends its users to.
    tokens: Option<Server>,
}

/// What a registry shall be like.
#[derive(Default)]
pub struct Setup {
    login: Option<(String, String)>,
    is_tls: bool,
    has_tokens: bool,
}

/// An open registry without TLS, unless told otherwise.
pub fn registry() -> Setup {
    Setup::default()
}

impl Setup {
    /// Asks for a user and a password (`WWW-Authenticate: Basic`).
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Sends whoever has the login to a server of its own for a token (`WWW-Authenticate: Bearer`).
    pub fn tokens(mut self) -> Self {
        self.has_tokens = true;
        self
    }

    /// Speaks TLS, with a certificate of an authority of its own; see [`Registry::authority`].
    pub fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Starts it and waits until it answers.
    pub fn start(self) -> Registry {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if self.is_tls {
            write_certificates(folder.path());
        }
        if let Some((user, password)) = &self.login {
            let line = output_of(program("htpasswd", "apache2-utils").args(["-Bbn", user, password]));
            fs::write(folder.path().join("htpasswd"), line).expect("a file can be written");
        }
        let tokens = self.has_tokens.then(|| {
            let (user, password) = self.login.clone().expect("tokens are for a login");
            tokens::server(user, password, &folder.path().join("tokens.pem"))
        });
        // Between looking for a port and taking it another process may be faster: try again.
        for _ in 0..5 {
            if let Some((process, port)) = self.try_start(folder.path(), tokens.as_ref()) {
                return Registry {
                    process,
                    folder,
                    port,
                    login: self.login,
                    is_tls: self.is_tls,
                    tokens,
                };
            }
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("the registry does not start:\n{log}");
    }

    fn try_start(&self, folder: &Path, tokens: Option<&Server>) -> Option<(Child, u16)> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let config = folder.join("config.yml");
        fs::write(&config, self.config(folder, port, tokens)).expect("a file can be written");
        let log = fs::File::create(folder.join("log")).expect("a file can be made");
        let mut process = program("docker-registry", "docker-registry")
            .arg("serve")
            .arg(&config)
            .env_clear()
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the registry starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if process.try_wait().expect("a child").is_some() {
                return None;
            }
            if answers(port) {
                return Some((process, port));
            }
            thread::sleep(Duration::from_millis(20));
        }
        end(&mut process);
        None
    }

    fn config(&self, folder: &Path, port: u16, tokens: Option<&Server>) -> String {
        let folder = folder.display();
        let mut config = format!(
            "version: 0.1\n\
             log: {{ level: warn }}\n\
             storage: {{ filesystem: {{ rootdirectory: '{folder}/storage' }} }}\n\
             http:\n  addr: 127.0.0.1:{port}\n  secret: of-no-use\n"
        );
        if self.is_tls {
            config +=
                &format!("  tls: {{ certificate: '{folder}/server.pem', key: '{folder}/server.key' }}\n");
        }
        if let Some(tokens) = tokens {
            let realm = tokens.url("/token");
            config += &format!(
                "auth: {{ token: {{ realm: '{realm}', service: test, issuer: tests, \
                 rootcertbundle: '{folder}/tokens.pem' }} }}\n"
            );
        } else if self.login.is_some() {
            config += &format!("auth: {{ htpasswd: {{ realm: test, path: '{folder}/htpasswd' }} }}\n");
        }
        config
    }
}

impl Registry {
    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A reference to what was pushed here: `127.0.0.1:PORT/repository:tag`.
    pub fn reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.host())
    }

    /// The server that gives its tokens. Only with [`Setup::tokens`].
    pub fn tokens(&self) -> &Server {
        self.tokens.as_ref().expect("a registry with tokens")
    }

    /// The PEM file of the authority that signed its certificate. Only with [`Setup::tls`].
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority").join("ca.crt")
    }

    /// Pushes the first of `images`, with every platform and attestation of its index and every digest as it is.
    pub fn push(&self, images: &Images, repository: &str, tag: &str) {
        let layout = tempfile::tempdir().expect("a temporary folder");
        images.write_oci_layout(layout.path());
        let from = format!("oci:{}:{}", layout.path().display(), images.first_tag());
        let mut skopeo = program("skopeo", "skopeo");
        skopeo
            .args([
                "--insecure-policy",
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
            ])
            .arg("--dest-cert-dir")
            .arg(self.authority().parent().expect("in a folder"))
            .arg(format!("--dest-tls-verify={}", self.is_tls));
        match &self.login {
            Some((user, password)) => skopeo.arg("--dest-creds").arg(format!("{user}:{password}")),
            None => skopeo.arg("--dest-no-creds"),
        };
        let to = format!("docker://{}", self.reference(repository, tag));
        output_of(skopeo.arg(from).arg(to));
    }

    /// Puts an image, as an OCI layout, where the registry keeps what was pushed, and gives the digest of its manifest. Takes
    /// no time to speak of: for registries with many images.
    pub fn store(&self, layout: &BTreeMap<String, Vec<u8>>, repository: &str, tag: &str) -> String {
        let root = self.folder.path().join("storage/docker/registry/v2");
        let write = |path: PathBuf, bytes: &[u8]| {
            if !path.exists() {
                fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
                fs::write(path, bytes).expect("a file can be written");
            }
        };
        let below = root.join("repositories").join(repository);
        for (path, bytes) in layout {
            let Some(digest) = path.strip_prefix("blobs/sha256/") else {
                continue;
            };
            write(
                root.join(format!("blobs/sha256/{}/{digest}/data", &digest[..2])),
                bytes,
            );
            let document: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
            let is_manifest = document.is_some_and(|document| {
                document.get("layers").is_some() || document.get("manifests").is_some()
            });
            let folder = if is_manifest {
                "_manifests/revisions"
            } else {
                "_layers"
            };
            let link = below.join(folder).join(format!("sha256/{digest}/link"));
            write(link, format!("sha256:{digest}").as_bytes());
        }
        let index: serde_json::Value = serde_json::from_slice(&layout["index.json"]).expect("an index");
        let digest = index["manifests"][0]["digest"]
            .as_str()
            .expect("a digest")
            .to_owned();
        let tags = below.join("_manifests/tags").join(tag);
        let _ = fs::remove_file(tags.join("current/link"));
        write(tags.join("current/link"), digest.as_bytes());
        write(
            tags.join("index").join(digest.replace(':', "/")).join("link"),
            digest.as_bytes(),
        );
        digest
    }

    /// Deletes a manifest from a repository behind the registry's back.
    pub fn delete_manifest(&self, repository: &str, digest: &str) {
        let repositories = self.folder.path().join("storage/docker/registry/v2/repositories");
        let revisions = repositories.join(repository).join("_manifests/revisions");
        fs::remove_dir_all(revisions.join(digest.replace(':', "/"))).expect("it is there");
    }

    /// The folder of a tag, without which there is no such tag.
    pub fn tag_folder(&self, repository: &str, tag: &str) -> PathBuf {
        let repositories = self.folder.path().join("storage/docker/registry/v2/repositories");
        repositories.join(repository).join("_manifests/tags").join(tag)
    }

    /// The file in which it keeps a blob, to be damaged or removed behind its back.
    pub fn blob_file(&self, digest: &layersift::oci::Digest) -> PathBuf {
        let hex = digest.encoded();
        let blobs = "storage/docker/registry/v2/blobs";
        let folder = format!("{blobs}/{}/{}/{hex}", digest.algorithm_name(), &hex[..2]);
        self.folder.path().join(folder).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        end(&mut self.process);
        if !thread::panicking() {
            let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
            for line in String::from_utf8_lossy(&log).lines() {
                assert!(only_reads(line), "{line} could write");
            }
        }
    }
}

/// Whether a line of the log is of a request that leaves everything as it is, or of what images are pushed with:
/// `HOST - - [TIME] "METHOD PATH HTTP/1.1" STATUS BYTES "REFERER" "AGENT"`.
fn only_reads(line: &str) -> bool {
    let parts: Vec<&str> = line.split('"').collect();
    let [_, request, _, _, _, agent, _] = parts[..] else {
        return true;
    };
    let reads = request.starts_with("GET ") || request.starts_with("HEAD ");
    let pushes = agent.starts_with("skopeo/") || agent.starts_with("Buildah/");
    !request.contains(" HTTP/") || reads || pushes
}

fn end(process: &mut Child) {
    // It may have ended by itself; that is no failure of the test that is over.
    let _ = process.kill();
    let _ = process.wait();
}

/// Whether anything speaks HTTP, or TLS, there. Go answers plain text on a TLS port with a 400 of HTTP/1.0.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let request = b"GET /v2/ HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
    let mut answer = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.write_all(request).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer == *b"HTTP"
}

/// An authority and a certificate for the loopback address: a certificate that signs itself is refused by rustls.
pub(super) fn write_certificates(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("a certificate");

    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(names).expect("two names");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");

    fs::create_dir(folder.join("authority")).expect("a folder can be made");
    for (name, pem) in [
        ("authority/ca.crt", authority.pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        fs::write(folder.join(name), pem).expect("a file can be written");
    }
}
