//! Why an upload did not come about. Texts hold no token, and of an answer only what is escaped and cut.

/// Why a file was not uploaded, or not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// GitHub took the file and could not read it.
    #[error("GitHub could not process the file: {}", errors.join("; "))]
    Failed {
        /// What it says, escaped and cut.
        errors: Vec<String>,
        /// What that means.
        explanation: Option<String>,
    },
    /// Something that an upload needs was not given and is not known.
    #[error("it is not known {what}")]
    NotGiven {
        /// ``which commit the image was built from``.
        what: &'static str,
        /// Where it can be said.
        hint: &'static str,
    },
    /// The file is not what GitHub reads.
    #[error("the file is not SARIF that GitHub takes: {why}")]
    NotSarif {
        /// What is wrong with it.
        why: String,
    },
    /// GitHub answered with an error.
    #[error("GitHub answered {status} to {request}: {said}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// `the upload`, `the question how far it is`.
        request: &'static str,
        /// What it says, escaped and cut.
        said: String,
        /// What that means.
        explanation: Option<String>,
    },
    /// The file is over one of GitHub's limits.
    #[error("the file has {count} {what}, and GitHub takes {most}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        count: u64,
        /// How much is taken.
        most: u64,
        /// What to do.
        hint: &'static str,
    },
    /// GitHub cannot be reached.
    #[error("cannot reach `{host}`: {why}")]
    Unreachable {
        /// The host.
        host: String,
        /// What went wrong, without any URL.
        why: String,
    },
    /// A value that was given or found cannot be used.
    #[error("{what} cannot be used: {why}")]
    Unusable {
        /// Which value.
        what: String,
        /// Why not.
        why: String,
    },
}

impl UploadError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { explanation, .. } | Self::Refused { explanation, .. } => explanation.clone(),
            Self::NotGiven { hint, .. } | Self::TooMuch { hint, .. } => Some((*hint).to_owned()),
            Self::Unreachable { .. } => Some(
                "`layersift doctor` shows proxies and certificates; GITHUB_API_URL names another server"
                    .to_owned(),
            ),
            Self::NotSarif { .. } | Self::Unusable { .. } => None,
        }
    }

    /// Whether GitHub said no or could not be asked, rather than the command line being wrong.
    pub fn is_remote(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. } | Self::Refused { .. } | Self::Unreachable { .. }
        )
    }
}
