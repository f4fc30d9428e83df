//! Platforms, and the choice among those of an index.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an image runs on. *Source*: image-spec `image-index.md`, `platform`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`, …
    #[serde(default)]
    pub os: String,
    /// `amd64`, `arm64`, …
    #[serde(default)]
    pub architecture: String,
    /// `v7`, `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// A Windows build number.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

impl Platform {
    /// Whether this is BuildKit's `unknown/unknown`, which marks attestations.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |text: &str| {
            crate::text::escape(if text.is_empty() {
                b"unknown"
            } else {
                text.as_bytes()
            })
        };
        write!(f, "{}/{}", or_unknown(&self.os), or_unknown(&self.architecture))?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(f, "/{}", crate::text::escape(variant.as_bytes())),
            _ => Ok(()),
        }
    }
}

/// Which platforms of an index are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PlatformSelector {
    /// Every one: the default, since a secret in any of them ships.
    #[default]
    All,
    /// Those named, as `os/arch[/variant]`; a missing variant matches any.
    Only(Vec<Platform>),
}

impl PlatformSelector {
    /// Whether `platform` is wanted. An image that names no platform always is.
    pub fn wants(&self, platform: Option<&Platform>) -> bool {
        match (self, platform) {
            (Self::All, _) | (_, None) => true,
            (Self::Only(wanted), Some(platform)) => wanted.iter().any(|wanted| {
                wanted.os == platform.os
                    && wanted.architecture == platform.architecture
                    && (wanted.variant.is_none() || wanted.variant == platform.variant)
            }),
        }
    }
}

impl std::str::FromStr for Platform {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let variant = parts.next();
        let is_empty = os.is_empty() || architecture.is_empty() || variant.is_some_and(str::is_empty);
        if is_empty || parts.next().is_some() {
            return Err(format!(
                "`{}` is not a platform (expected `os/arch` or `os/arch/variant`)",
                crate::text::escape(text.as_bytes())
            ));
        }
        Ok(Self {
            os: os.into(),
            architecture: architecture.into(),
            variant: variant.map(Into::into),
            os_version: None,
        })
    }
}
