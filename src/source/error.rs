//! Why a source cannot give something.

use std::io;

/// Why a target or a blob cannot be had. Texts hold no token, no signed URL and no unescaped byte of an answer.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Bytes do not have the digest they were asked by.
    #[error("digest mismatch: expected `{expected}`, read `{actual}` after {read} bytes")]
    DigestMismatch {
        /// The digest asked for.
        expected: String,
        /// The digest of what came.
        actual: String,
        /// How much came.
        read: u64,
    },
    /// An engine of this machine cannot be asked.
    #[error("cannot reach {engine}: {why}")]
    Engine {
        /// Which engine: ``the engine at `unix:///run/docker.sock` ``.
        engine: String,
        /// What went wrong, without any URL.
        why: String,
        /// Its kind.
        kind: io::ErrorKind,
    },
    /// Reading failed.
    #[error("cannot read {what}")]
    Io {
        /// What was read.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A limit was met.
    #[error("{what} is over the limit `{limit}`")]
    Limit {
        /// What is too large.
        what: String,
        /// Which limit.
        limit: crate::limits::LimitHit,
    },
    /// A document is not what it should be.
    #[error("{what} cannot be understood: {why}")]
    Malformed {
        /// Which document.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The target is there but is no image.
    #[error("{what} is not a container image: {why}")]
    NotAnImage {
        /// What it is.
        what: String,
        /// Why not.
        why: String,
    },
    /// The target's name is of no kind that is known.
    #[error("{what} is no file, no directory and no image reference: {why}")]
    NoTarget {
        /// The name.
        what: String,
        /// Why it is no reference.
        why: String,
    },
    /// A path leads nowhere.
    #[error("there is no file or directory {what}")]
    NoSuchFile {
        /// The path.
        what: String,
    },
    /// Every platform there is was left out.
    #[error("no image is of the chosen platform, there is only {offered}")]
    NoSuchPlatform {
        /// The platforms there are.
        offered: String,
    },
    /// It is not there.
    #[error("{what} was not found")]
    NotFound {
        /// What was looked for, and where.
        what: String,
    },
    /// The registry refuses access.
    #[error("`{host}` refused access to {what}: {why}")]
    Refused {
        /// The registry.
        host: String,
        /// What was asked for.
        what: String,
        /// What it said, escaped and cut.
        why: String,
    },
    /// The registry answered with an error.
    #[error("`{host}` answered {status} to a request for {what}: {why}")]
    Status {
        /// The registry.
        host: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What it said, escaped and cut.
        why: String,
    },
    /// The host cannot be reached.
    #[error("cannot reach `{host}`: {why}")]
    Unreachable {
        /// The host.
        host: String,
        /// What went wrong, without any URL.
        why: String,
    },
    /// What the caller gave is of no use: a target, the name of a registry.
    #[error("{what} cannot be used: {why}")]
    Unusable {
        /// What was given.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl SourceError {
    /// What whoever meets the error can do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::DigestMismatch { .. } => "the registry or a proxy altered it; try again, or pull by digest",
            Self::Engine {
                kind: io::ErrorKind::PermissionDenied,
                ..
            } => {
                "become a member of the group that owns the socket, or pipe: `docker save NAME | layersift scan -`"
            }
            Self::Engine {
                kind: io::ErrorKind::Unsupported,
                ..
            } => "pipe the image: `docker save NAME | layersift scan -`",
            Self::Engine { .. } => "is it running? `--from registry` asks the registry alone",
            Self::Limit { .. } => "an image that needs this is unusual; nothing of the document was used",
            Self::Malformed { .. } => {
                "pull or save the image again; a proxy that asks to sign in looks like this too"
            }
            Self::NotAnImage { .. } => {
                "expected a Docker archive (`docker save`), an OCI layout or archive, or a registry reference"
            }
            Self::NoTarget { .. } => {
                "an image is named like `registry.example.com/app:1.4`, in lower case; a file by its path, such as `./image.tar`"
            }
            Self::NoSuchFile { .. } => "check the path, and the folder it begins at",
            Self::NoSuchPlatform { .. } => "choose one of these with --platform, or leave it out to scan all",
            Self::NotFound { .. } => {
                "check the spelling and the tag; a private repository may look absent without a login"
            }
            Self::Refused { .. } => "log in with `docker login`, or check that the account may pull it",
            Self::Status { status: 429, .. } => {
                "the registry limits pulls: wait, or log in for a higher limit"
            }
            Self::Unreachable { why, .. } if why.contains("certificate: Expired") => {
                "whoever runs the registry must renew its certificate; check the clock of this machine too"
            }
            Self::Unreachable { why, .. } if why.contains("certificate") => {
                "`--ca-cert FILE` trusts the authority of a registry of your own, `--certs-dir` those of several"
            }
            Self::Unreachable { .. } => {
                "check the name and the network (`layersift doctor` shows proxies and certificates); a file needs its path, such as `./image.tar`"
            }
            Self::Io { .. } | Self::Status { .. } | Self::Unusable { .. } => return None,
        };
        Some(hint.to_owned())
    }

    /// The stable name of the reason, as a [`super::Problem`] gives it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::DigestMismatch { .. } => "digest-mismatch",
            Self::Engine { .. } => "engine",
            Self::Io { .. } => "unreadable",
            Self::Limit { limit, .. } => limit.name(),
            Self::Malformed { .. } | Self::NoTarget { .. } => "malformed",
            Self::NotAnImage { .. } => "not-an-image",
            Self::NoSuchFile { .. } | Self::NoSuchPlatform { .. } | Self::NotFound { .. } => "not-found",
            Self::Refused { .. } => "refused",
            Self::Status { .. } => "registry-status",
            Self::Unreachable { .. } => "unreachable",
            Self::Unusable { .. } => "unusable",
        }
    }

    /// The message with those of its causes, on one line.
    pub fn with_causes(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}
