//! The image configuration: how a container starts, and how the image was built.

use serde::{Deserialize, Serialize};

use super::{DiffId, Platform};

/// One step of an image's history. *Source*: image-spec `config.md`, `history`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, as the document says (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the step made no layer.
    #[serde(default)]
    pub empty_layer: bool,
}

/// What layersift reads of an image configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// The platform the image says it is for.
    pub platform: Platform,
    /// When the image was made, as the document says (RFC 3339).
    pub created: Option<String>,
    /// The DiffIDs of the layers, base first.
    pub diff_ids: Vec<DiffId>,
    /// The steps, oldest first.
    pub history: Vec<History>,
    /// Every text of the document, by its place: environment, command, labels, and fields nobody knows.
    pub fields: Vec<ConfigField>,
}

/// One text of a configuration and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigField {
    /// The place, as `config.Env`, `config.Labels`, `config.Cmd`, `history[3].created_by`, `author`.
    pub place: String,
    /// The text as it is to be scanned: `KEY=value` for an environment variable or a label.
    pub text: String,
}
