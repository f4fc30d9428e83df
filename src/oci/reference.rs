//! Names of images in registries.

/// The name of an image: `registry/repository[:tag][@digest]`, normalised as Docker does
/// (`alpine` is `docker.io/library/alpine:latest`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    inner: oci_client::Reference,
    /// The registry as `[address]` or `[address]:port`, which the grammar of `inner` does not know.
    ipv6: Option<String>,
}

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
        let error = |reason: String| ReferenceError {
            text: crate::text::escape(text.as_bytes()),
            reason,
        };
        let (ipv6, rest) = match split_ipv6(text) {
            Some((registry, rest)) => (Some(registry.to_owned()), format!("localhost/{rest}")),
            None => (None, text.to_owned()),
        };
        let inner: oci_client::Reference = rest
            .parse()
            .map_err(|reason: oci_client::ParseError| error(reason.to_string()))?;
        // The parser takes `Acme/api` for a host and a repository, and then gives both as the repository.
        if inner.repository().bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(error("a repository is written in lower case".to_owned()));
        }
        Ok(Self { inner, ipv6 })
    }

    /// The registry's host and port, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        self.ipv6.as_deref().unwrap_or_else(|| self.inner.registry())
    }

    /// The repository.
    pub fn repository(&self) -> &str {
        self.inner.repository()
    }

    /// The tag, where it has one.
    pub fn tag(&self) -> Option<&str> {
        self.inner.tag()
    }

    /// The digest, where it has one.
    pub fn digest(&self) -> Option<&str> {
        self.inner.digest()
    }

    /// `registry/repository`, without tag and digest: what fingerprints are bound to.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry(), self.repository())
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = self.inner.whole();
        match (&self.ipv6, whole.split_once('/')) {
            (Some(registry), Some((_, rest))) => write!(f, "{registry}/{rest}"),
            _ => f.write_str(&whole),
        }
    }
}

/// Splits `[address]/rest` or `[address]:port/rest` before `rest`.
fn split_ipv6(text: &str) -> Option<(&str, &str)> {
    let (registry, rest) = text.split_once('/')?;
    let (address, port) = registry.strip_prefix('[')?.split_once(']')?;
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let valid = address.parse::<std::net::Ipv6Addr>().is_ok()
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    valid.then_some((registry, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_normalised_as_docker_does() {
        for (text, registry, repository, tag) in [
            ("alpine", "docker.io", "library/alpine", Some("latest")),
            ("acme/api:1.4", "docker.io", "acme/api", Some("1.4")),
            ("docker.io/acme/api", "docker.io", "acme/api", Some("latest")),
            (
                "index.docker.io/acme/api",
                "docker.io",
                "acme/api",
                Some("latest"),
            ),
            ("localhost/api", "localhost", "api", Some("latest")),
            ("localhost:5000/api:v1", "localhost:5000", "api", Some("v1")),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000", "a/b", Some("latest")),
            (
                "registry.example.com:443/a/b:T_1.0-x",
                "registry.example.com:443",
                "a/b",
                Some("T_1.0-x"),
            ),
            ("[::1]:5000/api:v1", "[::1]:5000", "api", Some("v1")),
            ("[2001:db8::1]/a/b", "[2001:db8::1]", "a/b", Some("latest")),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.registry(), registry, "{text}");
            assert_eq!(reference.repository(), repository, "{text}");
            assert_eq!(reference.tag(), tag, "{text}");
            assert_eq!(
                Reference::parse(&reference.to_string()).unwrap(),
                reference,
                "{text}"
            );
        }
    }

    #[test]
    fn a_digest_is_kept_with_and_without_a_tag() {
        for (name, tag) in [
            ("registry.example.com/a", None),
            ("registry.example.com/a:1", Some("1")),
        ] {
            let reference = Reference::parse(&format!("{name}@sha256:{HEX}")).unwrap();
            assert_eq!(reference.digest(), Some(format!("sha256:{HEX}").as_str()));
            assert_eq!(reference.tag(), tag);
            assert_eq!(reference.name(), "registry.example.com/a");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_without_raw_control_characters() {
        for text in [
            "",
            "Acme/API",
            "Acme/api",
            "a b",
            "a:",
            "a@sha256:12",
            "../a",
            "a/\u{1b}[2J",
            "registry.example.com/",
            "[::1/a",
            "[x]/a",
        ] {
            let error = Reference::parse(text).expect_err(text).to_string();
            assert!(!error.contains('\u{1b}'), "{error}");
        }
    }
}
