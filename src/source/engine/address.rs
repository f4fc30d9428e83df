//! Where the engines of this machine are: environment, Docker's configuration and the usual sockets → addresses.
//! Connects to nothing.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::{EngineOptions, Program};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::text;

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// `host:port` on this machine, without TLS.
    Loopback(String),
    Socket(PathBuf),
}

impl Address {
    /// Parses what `DOCKER_HOST`, `CONTAINER_HOST` and contexts hold.
    ///
    /// *Errors*: why nothing is asked there. Another machine would be sent the name of an image in the clear, and
    /// its answer would be believed.
    fn parse(text: &str) -> Result<Self, Unusable> {
        let unusable = |why: &str| Unusable {
            address: printable(text),
            why: why.to_owned(),
        };
        match text.split_once("://") {
            Some(("unix", path)) if cfg!(unix) && path.starts_with('/') => Ok(Self::Socket(path.into())),
            Some(("unix", _)) if cfg!(unix) => Err(unusable("a socket needs its whole path")),
            Some(("tcp" | "http", rest)) => {
                let url = Url::parse(&format!("http://{rest}")).map_err(|_| unusable("it is no address"))?;
                let host = url.host_str().unwrap_or_default();
                let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
                if host != LOCALHOST && !literal.is_ok_and(|address| address.is_loopback()) {
                    return Err(unusable("only engines of this machine are asked"));
                }
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(unusable("it holds a user name"));
                }
                Ok(Self::Loopback(format!("{host}:{}", url.port().unwrap_or(2375))))
            }
            _ => Err(unusable("only Unix sockets and loopback addresses are asked")),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loopback(host) => write!(f, "tcp://{host}"),
            Self::Socket(path) => {
                let path = text::escape(path.as_os_str().as_encoded_bytes());
                write!(f, "unix://{path}")
            }
        }
    }
}

/// An address that is not spoken to.
#[derive(Debug, PartialEq, Eq)]
struct Unusable {
    address: String,
    why: String,
}

impl From<Unusable> for SourceError {
    fn from(Unusable { address, why }: Unusable) -> Self {
        Self::Engine {
            engine: format!("the engine at `{address}`"),
            why,
            kind: io::ErrorKind::Unsupported,
        }
    }
}

/// A place where an engine may be.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) program: Program,
    pub(super) address: Address,
}

impl Place {
    /// Whether somebody may listen here. What cannot be looked at (the folder of root's engine, say) is not there.
    pub(super) fn is_there(&self) -> bool {
        match &self.address {
            Address::Loopback(_) => true,
            Address::Socket(path) => path.exists(),
        }
    }
}

/// The places to look for the engine of `wanted`, for any engine where that is `None`, in the order of asking. One
/// that the user chose is the only one.
///
/// *Errors*: [`SourceError::Engine`] where the chosen one cannot be spoken to.
pub(super) fn places(wanted: Option<Program>, options: &EngineOptions) -> Result<Vec<Place>, SourceError> {
    Environment::of(options).places(wanted)
}

/// What of the environment counts.
#[derive(Debug, Default)]
struct Environment {
    docker_host: Option<String>,
    docker_context: Option<String>,
    docker_tls: bool,
    container_host: Option<String>,
    /// The folder of Docker's `config.json`.
    docker_config: Option<PathBuf>,
    home: Option<PathBuf>,
    /// Where sockets of engines without root are.
    runtime: Option<PathBuf>,
}

impl Environment {
    fn of(options: &EngineOptions) -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        if let Some(host) = &options.host {
            return Self {
                docker_host: Some(host.clone()),
                container_host: Some(host.clone()),
                ..Self::default()
            };
        }
        let home = std::env::home_dir();
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_tls: variable("DOCKER_TLS_VERIFY").is_some(),
            container_host: text("CONTAINER_HOST"),
            docker_config: options
                .docker_config
                .clone()
                .or_else(|| variable("DOCKER_CONFIG").map(PathBuf::from))
                .or_else(|| Some(home.as_ref()?.join(".docker"))),
            home,
            runtime: variable("XDG_RUNTIME_DIR").map(PathBuf::from),
        }
    }

    fn places(&self, wanted: Option<Program>) -> Result<Vec<Place>, SourceError> {
        let mut places = Vec::new();
        if wanted != Some(Program::Podman) {
            if let Some(address) = self.chosen_docker()? {
                return Ok(vec![Place {
                    program: Program::Docker,
                    address,
                }]);
            }
            let runtime = self.runtime.as_ref().map(|folder| folder.join("docker.sock"));
            let home = |path: &str| self.home.as_ref().map(|home| home.join(path));
            let sockets = [
                Some("/var/run/docker.sock".into()),
                runtime,
                home(".docker/run/docker.sock"),
                home(".docker/desktop/docker.sock"),
            ];
            places.extend(sockets.into_iter().flatten().map(|path| Place {
                program: Program::Docker,
                address: Address::Socket(path),
            }));
        }
        if wanted != Some(Program::Docker) {
            let sockets = match &self.container_host {
                Some(host) => vec![Address::parse(host)?],
                None => {
                    let runtime = self.runtime.as_ref();
                    let runtime = runtime.map(|folder| folder.join("podman/podman.sock"));
                    let sockets = [runtime, Some("/run/podman/podman.sock".into())];
                    sockets.into_iter().flatten().map(Address::Socket).collect()
                }
            };
            places.extend(sockets.into_iter().map(|address| Place {
                program: Program::Podman,
                address,
            }));
        }
        Ok(places)
    }

    /// What `DOCKER_HOST` or else Docker's current context says.
    fn chosen_docker(&self) -> Result<Option<Address>, SourceError> {
        let host = match &self.docker_host {
            Some(host) => host.clone(),
            None => match self.context()? {
                Some(host) => host,
                None => return Ok(None),
            },
        };
        let address = Address::parse(&host)?;
        match address {
            Address::Loopback(_) if self.docker_tls => Err(Unusable {
                address: address.to_string(),
                why: "it wants TLS (`DOCKER_TLS_VERIFY`)".to_owned(),
            }
            .into()),
            address => Ok(Some(address)),
        }
    }

    /// The address of Docker's current context, where it is not the default one.
    fn context(&self) -> Result<Option<String>, SourceError> {
        let Some(folder) = &self.docker_config else {
            return Ok(None);
        };
        let name = match &self.docker_context {
            Some(name) => Some(name.clone()),
            // A file that cannot be understood is told of where the login is looked for.
            None => read::<Config>(&folder.join("config.json"))
                .ok()
                .and_then(|config| config.current_context),
        };
        let Some(name) = name.filter(|name| !name.is_empty() && name != "default") else {
            return Ok(None);
        };
        let hash = Digest::of(name.as_bytes());
        let path = folder
            .join("contexts/meta")
            .join(hash.encoded())
            .join("meta.json");
        let broken = |why: String, kind| SourceError::Engine {
            engine: format!(
                "the engine of Docker's context `{}`",
                text::escape(name.as_bytes())
            ),
            why,
            kind,
        };
        let context: Context = read(&path).map_err(|error| broken(error.to_string(), error.kind()))?;
        if context.endpoints.docker.host.is_empty() {
            return Err(broken("it names no host".to_owned(), io::ErrorKind::InvalidData));
        }
        Ok(Some(context.endpoints.docker.host))
    }
}

/// What is read of Docker's `config.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    current_context: Option<String>,
}

/// What is read of a context's `meta.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(default)]
    host: String,
}

/// Reads a file of Docker's configuration.
fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<T> {
    let mut bytes = Vec::new();
    File::open(path)?.take(CONFIG_BYTES).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        // The error's own text may quote the file, which holds logins.
        let why = format!("line {} is not what it should be", error.line());
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

/// An address without what may be a login in it.
fn printable(text: &str) -> String {
    let safe = match text.rsplit_once('@') {
        Some((before, host)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{host}"),
            None => host.to_owned(),
        },
        None => text.to_owned(),
    };
    text::escape(safe.as_bytes())
}

/// The one name that means this machine.
pub(super) const LOCALHOST: &str = "localhost";

/// 1 MiB: a file of logins and plugins has a few kilobytes. What is beyond it is no JSON then.
const CONFIG_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn addresses(environment: &Environment, wanted: Option<Program>) -> Vec<String> {
        let places = environment.places(wanted).unwrap();
        places.iter().map(|place| place.address.to_string()).collect()
    }

    fn user() -> Environment {
        Environment {
            home: Some("/home/me".into()),
            runtime: Some("/run/user/7".into()),
            ..Environment::default()
        }
    }

    #[test]
    fn sockets_of_docker_come_before_those_of_podman() {
        let docker = [
            "unix:///var/run/docker.sock",
            "unix:///run/user/7/docker.sock",
            "unix:///home/me/.docker/run/docker.sock",
            "unix:///home/me/.docker/desktop/docker.sock",
        ];
        let podman = [
            "unix:///run/user/7/podman/podman.sock",
            "unix:///run/podman/podman.sock",
        ];
        assert_eq!(addresses(&user(), None), [&docker[..], &podman].concat());
        assert_eq!(addresses(&user(), Some(Program::Docker)), docker);
        assert_eq!(addresses(&user(), Some(Program::Podman)), podman);
    }

    #[test]
    fn a_chosen_engine_is_the_only_one() {
        let environment = Environment {
            docker_host: Some("unix:///a".to_owned()),
            container_host: Some("tcp://127.0.0.1:8080".to_owned()),
            ..user()
        };
        assert_eq!(addresses(&environment, None), ["unix:///a"]);
        assert_eq!(addresses(&environment, Some(Program::Docker)), ["unix:///a"]);
        let podman = addresses(&environment, Some(Program::Podman));
        assert_eq!(podman, ["tcp://127.0.0.1:8080"]);
    }

    #[test]
    fn the_current_context_is_followed_unless_something_else_was_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, document: serde_json::Value| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, document.to_string()).unwrap();
        };
        write("config.json", json!({ "currentContext": "mine" }));
        for (name, host) in [("mine", "unix:///mine"), ("other", "unix:///other")] {
            let hash = Digest::of(name.as_bytes());
            write(
                &format!("contexts/meta/{}/meta.json", hash.encoded()),
                json!({ "Name": name, "Endpoints": { "docker": { "Host": host, "SkipTLSVerify": false } } }),
            );
        }
        let mut environment = Environment {
            docker_config: Some(folder.path().to_owned()),
            ..user()
        };
        assert_eq!(addresses(&environment, None), ["unix:///mine"]);
        environment.docker_context = Some("other".to_owned());
        assert_eq!(addresses(&environment, None), ["unix:///other"]);
        environment.docker_context = Some("default".to_owned());
        assert_eq!(addresses(&environment, None).len(), 6);
        environment.docker_context = Some("gone".to_owned());
        let error = environment.places(None).unwrap_err().to_string();
        assert!(error.contains("Docker's context `gone`"), "{error}");
        environment.docker_host = Some("unix:///host".to_owned());
        assert_eq!(addresses(&environment, None), ["unix:///host"]);
    }

    #[test]
    fn only_sockets_and_loopback_are_spoken_to() {
        for (text, expected) in [
            ("unix:///run/docker.sock", "unix:///run/docker.sock"),
            ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
            ("tcp://127.0.0.1", "tcp://127.0.0.1:2375"),
            ("tcp://localhost:1", "tcp://localhost:1"),
            ("tcp://[::1]:2375", "tcp://[::1]:2375"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), expected);
        }
        for text in [
            "unix://relative",
            "tcp://10.0.0.1:2375",
            "tcp://localhost.example.com:2375",
            "tcp://127.0.0.1.example.com:2375",
            "tcp://someone:word@127.0.0.1:2375",
            "ssh://someone:word@host",
            "npipe:////./pipe/docker_engine",
            "fd://",
            "/run/docker.sock",
            "",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(!format!("{error:?}").contains("word"), "{error:?}");
        }
    }

    #[test]
    fn a_loopback_address_that_wants_tls_is_not_asked_without() {
        let environment = Environment {
            docker_host: Some("tcp://127.0.0.1:2376".to_owned()),
            docker_tls: true,
            ..user()
        };
        assert!(environment.places(None).is_err());
    }
}
