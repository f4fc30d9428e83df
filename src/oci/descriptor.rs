//! Descriptors: what a manifest or an index says of a blob. *Source*: image-spec `descriptor.md`.

use serde::{Deserialize, Serialize};

use super::{Digest, Platform};

/// Annotations in the order of the document. Values are free text and are scanned.
pub type Annotations = std::collections::BTreeMap<String, String>;

/// A reference to a blob: its type, digest and size, and what else the document says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type: a hint only, the bytes decide. Empty where the document has none.
    #[serde(default)]
    pub media_type: String,
    /// The digest of the blob as stored.
    pub digest: Digest,
    /// The size of the blob in bytes, as claimed. Nothing is ever allocated by it.
    #[serde(default)]
    pub size: u64,
    /// Where else the blob may be had. Never fetched unless asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free text of the builder.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The blob itself, base64, where the document embeds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The platform, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The kind of artifact, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor of nothing but a digest and a size.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }
}
