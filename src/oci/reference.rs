//! Names of images in registries.

/// The name of an image: `registry/repository[:tag][@digest]`, normalised as Docker does
/// (`alpine` is `docker.io/library/alpine:latest`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference(oci_client::Reference);

/// Why a text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct ReferenceError {
    /// The text, escaped.
    pub text: String,
    /// What is wrong.
    pub reason: String,
}

impl Reference {
    /// Parses and normalises a reference.
    ///
    /// *Errors*: [`ReferenceError`] where the text is outside of distribution-spec's grammar.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        text.parse()
            .map(Self)
            .map_err(|error: oci_client::ParseError| ReferenceError {
                text: crate::text::escape(text.as_bytes()),
                reason: error.to_string(),
            })
    }

    /// The registry's host and port, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The repository.
    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The tag, where it has one.
    pub fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    /// The digest, where it has one.
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// `registry/repository`, without tag and digest: what fingerprints are bound to.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry(), self.repository())
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.whole())
    }
}
