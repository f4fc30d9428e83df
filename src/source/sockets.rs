//! Where the engine of this machine may listen: environment, Docker's contexts and the usual paths → addresses in the
//! order of trying. Connects to none of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What of the environment names an engine. Empty variables count as absent.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `CONTAINER_HOST`, which is Podman's.
    pub container_host: Option<String>,
    /// `DOCKER_CONFIG`.
    pub docker_config: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where engines without root listen.
    pub runtime_folder: Option<PathBuf>,
    /// The home folder.
    pub home: Option<PathBuf>,
}

/// An address at which an engine may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As it is written: `unix:///var/run/docker.sock`, `tcp://127.0.0.1:2375`.
    pub address: String,
    /// Who says so: `DOCKER_HOST`, ``the context `lab` ``, `the usual path of Docker`.
    pub named_by: String,
}

/// What stands at the path of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Absent,
    /// Something that is no socket.
    NotASocket,
    /// A socket. Whether an engine listens, and to whom, is not known.
    Socket,
    /// It cannot be told: a folder on the way may not be read.
    Unknown,
}

impl Endpoint {
    /// The path of the socket, where the address is one.
    pub fn path(&self) -> Option<&Path> {
        let path = self.address.strip_prefix("unix://")?;
        Some(Path::new(path))
    }

    /// What stands at [`Endpoint::path`]; `None` where the address is another kind.
    pub fn presence(&self) -> Option<Presence> {
        let path = self.path()?;
        Some(match std::fs::metadata(path) {
            Ok(metadata) if is_socket(&metadata) => Presence::Socket,
            Ok(_) => Presence::NotASocket,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Presence::Absent,
            Err(_) => Presence::Unknown,
        })
    }
}

/// The endpoints in the order of trying, each address once. What Docker's own client would use comes first:
/// `DOCKER_HOST`, the chosen context, its usual path. *Source*: Docker's documentation of contexts.
pub fn endpoints(surroundings: &Surroundings) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let mut add = |address: String, named_by: String| {
        if !endpoints.iter().any(|endpoint| endpoint.address == address) {
            endpoints.push(Endpoint { address, named_by });
        }
    };
    if let Some(host) = &surroundings.docker_host {
        add(host.clone(), "DOCKER_HOST".to_owned());
    }
    for (name, host) in contexts(surroundings) {
        add(
            host,
            format!("the context `{}`", crate::text::escape(name.as_bytes())),
        );
    }
    if let Some(host) = &surroundings.container_host {
        add(host.clone(), "CONTAINER_HOST".to_owned());
    }
    for (path, engine) in usual(surroundings) {
        add(
            format!("unix://{}", path.display()),
            format!("the usual path of {engine}"),
        );
    }
    endpoints
}

fn usual(surroundings: &Surroundings) -> Vec<(PathBuf, &'static str)> {
    let runtime = surroundings.runtime_folder.as_deref();
    let home = surroundings.home.as_deref();
    let below = |folder: Option<&Path>, path: &str| folder.map(|folder| folder.join(path));
    [
        (Some("/var/run/docker.sock".into()), "Docker"),
        (below(runtime, "docker.sock"), "Docker without root"),
        (below(home, ".docker/run/docker.sock"), "Docker Desktop"),
        (
            below(home, ".docker/desktop/docker.sock"),
            "Docker Desktop on Linux",
        ),
        (below(runtime, "podman/podman.sock"), "Podman without root"),
        (Some("/run/podman/podman.sock".into()), "Podman"),
    ]
    .into_iter()
    .filter_map(|(path, engine)| Some((path?, engine)))
    .collect()
}

/// Names and hosts of Docker's contexts: the chosen one first, then the others by name.
fn contexts(surroundings: &Surroundings) -> Vec<(String, String)> {
    let folder = surroundings
        .docker_config
        .clone()
        .or_else(|| Some(surroundings.home.as_ref()?.join(".docker")));
    let Some(folder) = folder else {
        return Vec::new();
    };
    let mut contexts = BTreeMap::new();
    let entries = std::fs::read_dir(folder.join("contexts").join("meta"));
    for entry in entries.into_iter().flatten().flatten().take(MAX_CONTEXTS) {
        if let Some(context) = read::<Context>(&entry.path().join("meta.json"))
            && let Some(docker) = context.endpoints.docker
            && !docker.host.is_empty()
        {
            contexts.insert(context.name, docker.host);
        }
    }
    let chosen = surroundings
        .docker_context
        .clone()
        .or_else(|| Some(read::<Config>(&folder.join("config.json"))?.current_context));
    let chosen = chosen.and_then(|name| contexts.remove_entry(&name));
    chosen.into_iter().chain(contexts).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    current_context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<Docker>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Docker {
    #[serde(default)]
    host: String,
}

/// A file of Docker's. `None` where it is not there or not what it should be.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_FILE)
        .read_to_end(&mut bytes)
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(unix)]
fn is_socket(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type())
}

#[cfg(not(unix))]
fn is_socket(_: &std::fs::Metadata) -> bool {
    false
}

/// Bytes of a file that are read; the rest would make it no JSON, so it is not used.
const MAX_FILE: u64 = 1024 * 1024;

/// Contexts that are read. Nobody has so many; a folder with more may not be Docker's.
const MAX_CONTEXTS: usize = 100;

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn context(folder: &Path, name: &str, host: &str) {
        let folder = folder.join("contexts/meta").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let json = format!(
            r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
        );
        std::fs::write(folder.join("meta.json"), json).unwrap();
    }

    #[test]
    fn what_docker_would_use_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        context(folder.path(), "lab", "ssh://lab.example.com");
        context(folder.path(), "near", "unix:///near.sock");
        context(folder.path(), "same", "unix:///var/run/docker.sock");
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"near"}"#).unwrap();
        let mut surroundings = Surroundings {
            docker_config: Some(folder.path().to_owned()),
            runtime_folder: Some("/run/user/1000".into()),
            ..Surroundings::default()
        };
        let addresses = |surroundings: &Surroundings| -> Vec<String> {
            let endpoints = endpoints(surroundings);
            endpoints.into_iter().map(|endpoint| endpoint.address).collect()
        };
        let usual = [
            "unix:///run/user/1000/docker.sock",
            "unix:///run/user/1000/podman/podman.sock",
            "unix:///run/podman/podman.sock",
        ];
        let contexts = [
            "unix:///near.sock",
            "ssh://lab.example.com",
            "unix:///var/run/docker.sock",
        ];
        assert_eq!(addresses(&surroundings), [&contexts[..], &usual].concat());

        surroundings.docker_context = Some("lab".into());
        assert_eq!(addresses(&surroundings)[0], "ssh://lab.example.com");
        surroundings.docker_host = Some("tcp://127.0.0.1:2375".into());
        assert_eq!(addresses(&surroundings)[0], "tcp://127.0.0.1:2375");
    }

    #[test]
    fn broken_contexts_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        context(folder.path(), "empty", "");
        let broken = folder.path().join("contexts/meta/broken");
        std::fs::create_dir_all(&broken).unwrap();
        std::fs::write(broken.join("meta.json"), "{").unwrap();
        std::fs::write(folder.path().join("contexts/meta/file"), "").unwrap();
        let surroundings = Surroundings {
            docker_config: Some(folder.path().to_owned()),
            ..Surroundings::default()
        };
        assert_eq!(contexts(&surroundings), []);
    }

    #[test]
    fn a_path_is_told_from_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Endpoint {
            address: format!("unix://{}", folder.path().join(name).display()),
            named_by: String::new(),
        };
        let _listener = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(at("socket").presence(), Some(Presence::Socket));
        assert_eq!(at("file").presence(), Some(Presence::NotASocket));
        assert_eq!(at("missing").presence(), Some(Presence::Absent));
        let other = Endpoint {
            address: "tcp://127.0.0.1:2375".into(),
            named_by: String::new(),
        };
        assert_eq!(other.presence(), None);
    }
}
