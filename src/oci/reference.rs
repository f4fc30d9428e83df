//! Names of images in registries, by the grammar of the distribution project. Asks no registry.
//!
//! A crate reads them by one expression over Unicode, which takes 90 ms and megabytes to compile: most of what a small
//! scan took. The tests hold this to it.

/// The name of an image: `registry/repository[:tag][@digest]`, normalised as Docker does
/// (`alpine` is `docker.io/library/alpine:latest`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
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
        Self::read(text).map_err(|reason| ReferenceError {
            text: crate::text::escape(text.as_bytes()),
            reason: reason.to_owned(),
        })
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let (text, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err("no digest of a known algorithm and its length stands behind the `@`");
        }
        let host_end = if text.starts_with('[') {
            text.find('/').unwrap_or_default()
        } else {
            0
        };
        // A port is followed by a slash, a tag by none.
        let repository_start = text.rfind('/').unwrap_or_default().max(host_end);
        let (name, tag) = match text[repository_start..].find(':') {
            Some(colon) => {
                let (name, tag) = text.split_at(repository_start + colon);
                (name, Some(&tag[1..]))
            }
            None => (text, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("a tag has at most 128 letters, digits, dots, hyphens and underscores");
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
            _ => (None, name),
        };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err("a repository is written in lower case");
        }
        let is_path = path.split('/').all(is_component);
        if !is_path || !registry.is_none_or(|host| is_host(host) || is_ipv6(host) || is_component(host)) {
            return Err("it is not of the form `registry/repository:tag@digest`");
        }
        let registry = match registry {
            None | Some("index.docker.io") => "docker.io",
            Some(registry) => registry,
        };
        let repository = match registry == "docker.io" && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        if repository.len() > REPOSITORY_BYTES {
            return Err("a repository has at most 255 bytes");
        }
        let tag = tag.or(digest.is_none().then_some("latest"));
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The registry's host and port, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where it has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where it has one.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// `registry/repository`, without tag and digest: what fingerprints are bound to.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry(), self.repository())
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// distribution-spec, pulling manifests: clients may limit host and repository to 255 bytes together; Docker limits
/// the repository.
const REPOSITORY_BYTES: usize = 255;

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text
            .bytes()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

/// `sha256:` and the like, with as many hex digits as the algorithm has.
fn is_digest(text: &str) -> bool {
    let digits = match text.split_once(':') {
        Some(("sha256", hex)) => (hex, 64),
        Some(("sha384", hex)) => (hex, 96),
        Some(("sha512", hex)) => (hex, 128),
        _ => return false,
    };
    digits.0.len() == digits.1 && digits.0.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`: one component of a repository.
fn is_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().next_back()];
    let is_joined =
        |join: &str| matches!(join, "" | "." | "_" | "__") || join.bytes().all(|byte| byte == b'-');
    ends.iter().all(|end| end.is_some_and(is_plain))
        && text
            .split(|character: char| character.is_ascii() && is_plain(character as u8))
            .all(is_joined)
}

/// Labels of letters, digits and inner hyphens, joined by dots, and perhaps a port.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    is_port(port) && host.split('.').all(is_label)
}

/// `[address]` or `[address]:port`.
fn is_ipv6(text: &str) -> bool {
    let Some((address, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    address.parse::<std::net::Ipv6Addr>().is_ok()
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            "[::1]",
            "[::1]:5000",
        ] {
            let error = Reference::parse(text).expect_err(text).to_string();
            assert!(!error.contains('\u{1b}'), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_grammar_is_that_of_the_distribution_project(
            host in prop_oneof![Just("".to_owned()), "[a-cA-C.:0-9_-]{1,8}/", Just("localhost/".to_owned()), "[a-c]{1,3}[.][a-c]{1,3}(:[0-9]{1,4})?/"],
            path in prop_oneof!["[a-cA_./-]{0,8}", "[a-c0-9]{1,3}((__|[._]|-{1,3})[a-c0-9]{1,2}){0,2}(/[a-c]{1,3}){0,2}"],
            tag in prop_oneof![Just("".to_owned()), ":[a-zA-Z0-9._@:-]{0,6}", ":[a-z0-9]{127,130}"],
            digest in prop_oneof![Just("".to_owned()), "@sha256:[0-9a-fA-F]{63,65}", "@sha512:[0-9a-f]{128}", "@[a-z0-9+:]{0,50}"],
        ) {
            let text = format!("{host}{path}{tag}{digest}");
            let ours = Reference::parse(&text).ok();
            let theirs: Option<oci_client::Reference> = text.parse().ok();
            // It takes `Acme/api` for a host and a repository, and then gives both as the repository.
            let theirs = theirs.filter(|it| !it.repository().bytes().any(|byte| byte.is_ascii_uppercase()));
            prop_assert_eq!(ours.map(|it| it.to_string()), theirs.map(|it| it.whole()));
        }
    }
}
