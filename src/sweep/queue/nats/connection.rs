//! How the server is reached: where it is, who one is, and that nobody listens. Takes no password from a URL: those stand in
//! process lists.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, ServerAddr};
use tokio::runtime::Runtime;
use url::{Host, Url};

use super::super::QueueError;
use crate::source::registry::{self, ClientCertificate};

/// The time for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How a queue is spoken to.
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// Its address, `nats://HOST[:PORT]` or `tls://HOST[:PORT]`; several with commas between them.
    pub server: String,
    /// Who one is.
    pub login: Option<QueueLogin>,
    /// Certificates (PEM) that are trusted besides the system's.
    pub authorities: Vec<PathBuf>,
    /// The certificate to show.
    pub certificate: Option<ClientCertificate>,
    /// Whether it may be spoken to without TLS though it is on another machine.
    pub plain: bool,
    /// The time after which a layer whose reader is not heard of is somebody else's.
    pub lease: Duration,
    /// Readers that may die over a layer before it is given up.
    pub deaths: u32,
    /// Servers of a cluster that keep each message.
    pub replicas: usize,
}

/// Who one is to a queue.
#[derive(Clone)]
pub enum QueueLogin {
    /// The text of a credentials file: a JWT and the seed that goes with it.
    Credentials(String),
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
}

impl fmt::Debug for QueueLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueLogin")
    }
}

impl QueueOptions {
    /// A queue without a login, as it is used where nothing else is said.
    pub fn at(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            login: None,
            authorities: Vec::new(),
            certificate: None,
            plain: false,
            lease: Duration::from_secs(60),
            deaths: 3,
            replicas: 1,
        }
    }

    /// The servers.
    ///
    /// *Errors*: where the address is none, holds a password, or is that of another machine and has no TLS.
    fn servers(&self) -> Result<(Vec<ServerAddr>, bool), QueueError> {
        let mut servers = Vec::new();
        let mut tls = !self.authorities.is_empty() || self.certificate.is_some();
        for text in self.server.split(',').map(str::trim) {
            let wrong = |why: &str| QueueError::Server {
                server: shown(text),
                why: why.to_owned(),
            };
            let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
            if !url.username().is_empty() || url.password().is_some() {
                return Err(wrong(
                    "a login in an address can be read by others; give it in the environment or in a credentials file",
                ));
            }
            match url.scheme() {
                "nats" => {}
                "tls" => tls = true,
                other => return Err(wrong(&format!("`{other}` is none of nats, tls"))),
            }
            let is_here = match url.host() {
                // Of schemes that are not the web's, addresses are parsed as names.
                Some(Host::Domain(name)) => {
                    name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
                }
                Some(Host::Ipv4(ip)) => ip.is_loopback(),
                Some(Host::Ipv6(ip)) => ip.is_loopback(),
                None => return Err(wrong("it names no host")),
            };
            tls |= !is_here && !self.plain;
            let server = text.parse();
            servers.push(server.map_err(|error: std::io::Error| wrong(&error.to_string()))?);
        }
        Ok((servers, tls))
    }
}

/// Threads for the connection.
pub(super) fn runtime(options: &QueueOptions) -> Result<Arc<Runtime>, QueueError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("queue")
        .enable_all()
        .build();
    runtime.map(Arc::new).map_err(|error| QueueError::Server {
        server: shown(&options.server),
        why: format!("no threads: {error}"),
    })
}

/// Connects. A connection that breaks later is made again for as long as it takes.
pub(super) async fn connect(options: &QueueOptions) -> Result<Context, QueueError> {
    let wrong = |why: String| QueueError::Server {
        server: shown(&options.server),
        why,
    };
    let (servers, tls) = options.servers()?;
    let mut connection = ConnectOptions::new()
        .name("layersift")
        .connection_timeout(CONNECT)
        .require_tls(tls)
        .event_callback(async |event| tracing::debug!(%event, "the connection to the queue"));
    let config = registry::tls(&options.authorities, options.certificate.as_ref());
    let mut config = config.map_err(|error| wrong(error.with_causes()))?;
    config.alpn_protocols.clear();
    connection = connection.tls_client_config(config);
    connection = match &options.login {
        None => connection,
        Some(QueueLogin::Credentials(text)) => connection
            .credentials(text)
            // What is wrong with it may be told by repeating it.
            .map_err(|_| wrong("the credentials file is none".to_owned()))?,
        Some(QueueLogin::Password { user, password }) => {
            connection.user_and_password(user.clone(), password.clone())
        }
        Some(QueueLogin::Token(token)) => connection.token(token.clone()),
    };
    let client = connection
        .connect(servers)
        .await
        .map_err(|error| wrong(with_causes(&error)))?;
    Ok(jetstream::new(client))
}

/// An address as it may be printed: without a login.
pub(super) fn shown(address: &str) -> String {
    let servers = address.split(',').map(|server| {
        let server = server.rsplit('@').next().unwrap_or_default();
        crate::text::escape(server.as_bytes())
    });
    servers.collect::<Vec<_>>().join(",")
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        for (server, expected) in [
            ("nats://127.0.0.1:4222", false),
            ("nats://localhost", false),
            ("nats://[::1]:4222", false),
            ("tls://127.0.0.1", true),
            ("nats://queue.example.com:4222", true),
            ("nats://127.0.0.1,nats://queue.example.com", true),
        ] {
            let (servers, tls) = QueueOptions::at(server).servers().unwrap();
            assert_eq!(tls, expected, "{server}");
            assert!(!servers.is_empty());
        }
        let plain = QueueOptions {
            plain: true,
            ..QueueOptions::at("nats://queue.example.com")
        };
        assert!(!plain.servers().unwrap().1);
    }

    #[test]
    fn a_login_in_an_address_is_refused_and_not_repeated() {
        let password = "a-password-nobody-has";
        for server in [
            format!("nats://user:{password}@127.0.0.1"),
            format!("nats://{password}@127.0.0.1"),
        ] {
            let error = QueueOptions::at(&server).servers().unwrap_err().to_string();
            assert!(!error.contains(password), "{error}");
        }
        for server in ["http://127.0.0.1", "127.0.0.1:4222", "nats://", ""] {
            assert!(QueueOptions::at(server).servers().is_err(), "{server}");
        }
    }
}
