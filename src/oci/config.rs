//! The image configuration: how a container starts, and how the image was built. Keeps every text of the
//! document, also of fields that no specification names; runs nothing and trusts no count.

use serde::{Deserialize, Serialize};

use super::fields::fields;
use super::json::{self, DocumentOddity, Json, Parsed, Reader};
use super::{DiffId, Digest, DocumentError, Platform};

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

impl ImageConfig {
    /// Reads an image configuration. A field of a wrong type is left out and noted, its text stays in `fields`.
    ///
    /// *Errors*: [`DocumentError::Malformed`] where the bytes are no JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Parsed<ImageConfig>, DocumentError> {
        let read = json::read(bytes).map_err(|reason| DocumentError::Malformed { reason })?;
        let json = &read.json;
        if !matches!(json, Json::Object(_)) {
            let reason = "it is JSON, but no object".to_owned();
            return Err(DocumentError::Malformed { reason });
        }
        let mut reader = Reader {
            oddities: read.oddities,
            ..Reader::default()
        };
        let rootfs = reader.last(json, "rootfs");
        let config = ImageConfig {
            platform: reader.platform(json),
            created: reader.text(json, "created"),
            diff_ids: rootfs.map(|rootfs| reader.diff_ids(rootfs)).unwrap_or_default(),
            history: reader.history(json),
            fields: fields("", bytes),
        };
        Ok(reader.finish(config, &[]))
    }

    /// Whether the document says anything that only an image configuration says: layers, or a platform.
    pub fn describes_image(&self) -> bool {
        !self.diff_ids.is_empty() || !self.platform.os.is_empty() || !self.platform.architecture.is_empty()
    }
}

impl Reader {
    /// The DiffIDs in their order; none at all where one is malformed, since the others would move to wrong layers.
    fn diff_ids(&mut self, rootfs: &Json) -> Vec<DiffId> {
        let items = self.last(rootfs, "diff_ids").map(Json::items).unwrap_or_default();
        let ids: Option<Vec<DiffId>> = items
            .iter()
            .map(|item| Digest::parse(item.text()?).ok().map(DiffId))
            .collect();
        if ids.is_none() {
            self.oddities.push(DocumentOddity::WrongType {
                place: "rootfs.diff_ids".into(),
            });
        }
        ids.unwrap_or_default()
    }

    fn history(&mut self, json: &Json) -> Vec<History> {
        let items = self.last(json, "history").map(Json::items).unwrap_or_default();
        items
            .iter()
            .map(|step| History {
                created: self.text(step, "created"),
                created_by: self.text(step, "created_by"),
                author: self.text(step, "author"),
                comment: self.text(step, "comment"),
                empty_layer: self.last(step, "empty_layer") == Some(&Json::Bool(true)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_keeps_platform_layers_and_history() {
        let id = format!("sha256:{}", "a".repeat(64));
        let json = format!(
            r#"{{"os":"linux","architecture":"arm","variant":"v7","created":"2024-01-01T00:00:00Z",
            "rootfs":{{"type":"layers","diff_ids":["{id}"]}},"config":{{"Env":["A=1"]}},
            "history":[{{"created_by":"x","empty_layer":true}},{{"created_by":"y"}}]}}"#
        );
        let parsed = ImageConfig::parse(json.as_bytes()).unwrap();
        let config = parsed.value;
        assert_eq!(config.platform.to_string(), "linux/arm/v7");
        assert_eq!(config.diff_ids[0].to_string(), id);
        assert_eq!(
            config
                .history
                .iter()
                .map(|step| step.empty_layer)
                .collect::<Vec<_>>(),
            [true, false]
        );
        assert!(
            config
                .fields
                .iter()
                .any(|field| field.place == "config.Env" && field.text == "A=1")
        );
        assert!(parsed.oddities.is_empty() && config.describes_image());
    }

    #[test]
    fn null_and_missing_fields_are_empty() {
        for json in [
            "{}",
            r#"{"config":null,"history":null,"rootfs":{"diff_ids":null},"os":null}"#,
        ] {
            let parsed = ImageConfig::parse(json.as_bytes()).unwrap();
            assert_eq!(
                (&parsed.value, parsed.oddities.len()),
                (&ImageConfig::default(), 0)
            );
            assert!(!parsed.value.describes_image());
        }
    }

    #[test]
    fn a_malformed_diff_id_moves_no_other_one() {
        let id = format!("sha256:{}", "a".repeat(64));
        let json = format!(r#"{{"rootfs":{{"diff_ids":["sha256:x","{id}"]}}}}"#);
        let parsed = ImageConfig::parse(json.as_bytes()).unwrap();
        assert!(parsed.value.diff_ids.is_empty());
        assert_eq!(parsed.oddities[0].reason(), "malformed-descriptor");
    }

    #[test]
    fn fields_of_wrong_types_stay_as_text() {
        let parsed = ImageConfig::parse(br#"{"os":["A=1"],"history":["B=2"],"rootfs":7}"#).unwrap();
        let texts: Vec<_> = parsed
            .value
            .fields
            .iter()
            .map(|field| field.text.as_str())
            .collect();
        assert_eq!(texts, ["A=1", "B=2"]);
        assert!(!parsed.oddities.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in r#"(\{"(os|history|rootfs|config|diff_ids)":|[\[\]{},0"a-]){0,24}"#) {
            let _ = ImageConfig::parse(text.as_bytes());
        }
    }
}
