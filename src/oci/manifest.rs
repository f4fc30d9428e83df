//! Manifests and indexes, OCI and Docker schema 2 in one. Reads what runtimes read and notes what they would
//! disagree on; follows no descriptor.

use serde::Serialize;

use super::json::{self, DocumentOddity, Json, Parsed, Reader};
use super::media_type::{Claim, claim};
use super::{Annotations, Descriptor, Digest, Platform};

/// An image manifest. *Source*: image-spec `manifest.md`; Docker schema 2 has the same shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The document's own media type, empty where it has none.
    pub media_type: String,
    /// The kind of artifact, where it is not an image.
    pub artifact_type: Option<String>,
    /// The configuration. `None` in an artifact manifest of the drafts before image-spec 1.1.
    pub config: Option<Descriptor>,
    /// The layers, base first; the `blobs` of a draft artifact manifest.
    pub layers: Vec<Descriptor>,
    /// The manifest this one is attached to.
    pub subject: Option<Descriptor>,
    /// Free text of the builder.
    pub annotations: Annotations,
}

/// An image index or Docker manifest list. *Source*: image-spec `image-index.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Index {
    /// The document's own media type, empty where it has none.
    pub media_type: String,
    /// The kind of artifact, where it is not an image.
    pub artifact_type: Option<String>,
    /// The manifests and nested indexes it lists.
    pub manifests: Vec<Descriptor>,
    /// The manifest this one is attached to.
    pub subject: Option<Descriptor>,
    /// Free text of the builder.
    pub annotations: Annotations,
}

/// What a registry or a layout serves as a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Both readings of a document that has `manifests` as well as `layers` or `config` (CVE-2021-41190).
    Ambiguous(Box<Manifest>, Index),
    /// An index.
    Index(Index),
    /// A manifest.
    Manifest(Box<Manifest>),
}

/// Why a document is not a manifest or an index.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The bytes are not JSON of the expected shape.
    #[error("not a manifest or an index: {reason}")]
    Malformed {
        /// What the parser says; holds no text of the document.
        reason: String,
    },
    /// A Docker schema 1 manifest.
    #[error("a Docker schema 1 manifest, which no current registry or engine writes")]
    Schema1,
}

impl Document {
    /// Reads a manifest or an index. What it is, its content decides; `content_type` (of the HTTP answer or the
    /// descriptor) only where the content is silent.
    ///
    /// *Errors*: [`DocumentError::Malformed`] where it is neither, [`DocumentError::Schema1`] where it is what
    /// came before both. *Cost*: a tree of the whole document; the caller caps its bytes.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Parsed<Document>, DocumentError> {
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
        let media_type = reader.text(json, "mediaType").unwrap_or_default();
        let served = content_type.map_or(Claim::Other, claim);
        let stated = claim(&media_type);

        let has = |reader: &mut Reader, key| reader.all(json, key).iter().any(|value| !value.is_empty());
        let lists_layers =
            has(&mut reader, "layers") | has(&mut reader, "config") | has(&mut reader, "blobs");
        let lists_manifests = has(&mut reader, "manifests");
        let lists_old_layers = has(&mut reader, "fsLayers");
        let is_old = lists_old_layers || reader.last(json, "schemaVersion") == Some(&Json::Unsigned(1));
        if is_old && !lists_layers && !lists_manifests {
            return Err(DocumentError::Schema1);
        }
        if lists_old_layers {
            reader.oddities.push(DocumentOddity::MediaTypeConflict);
            reader.old_layers(json);
        }
        let content = match (lists_layers, lists_manifests) {
            (true, true) => None,
            (true, false) => Some(Claim::Manifest),
            (false, true) => Some(Claim::Index),
            // An empty index, or a manifest of nothing: only a media type can tell.
            (false, false) => match (stated, served) {
                (Claim::Index | Claim::Manifest, _) => Some(stated),
                (_, Claim::Index | Claim::Manifest) => Some(served),
                _ => {
                    let reason = "it lists neither manifests nor layers".to_owned();
                    return Err(DocumentError::Malformed { reason });
                }
            },
        };
        let is_kind = |kind: Claim| matches!(kind, Claim::Index | Claim::Manifest | Claim::Schema1);
        let conflict = |kind: Claim| is_kind(kind) && content.is_some_and(|content| content != kind);
        if conflict(stated) || conflict(served) {
            reader.oddities.push(DocumentOddity::MediaTypeConflict);
        }

        let document = match content {
            Some(Claim::Manifest) => Document::Manifest(Box::new(reader.manifest(json, media_type))),
            Some(_) => Document::Index(reader.index(json, media_type)),
            None => Document::Ambiguous(
                Box::new(reader.manifest(json, media_type.clone())),
                reader.index(json, media_type),
            ),
        };
        let mut named: Vec<Descriptor> = Vec::new();
        if let Some(manifest) = document.manifest() {
            named.extend(manifest.config.iter().chain(&manifest.layers).cloned());
        }
        if let Some(index) = document.index() {
            named.extend(index.manifests.iter().cloned());
        }
        Ok(reader.finish(document, &named))
    }

    /// The document read as a manifest, where it can be.
    pub fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Ambiguous(manifest, _) | Self::Manifest(manifest) => Some(manifest),
            Self::Index(_) => None,
        }
    }

    /// The document read as an index, where it can be.
    pub fn index(&self) -> Option<&Index> {
        match self {
            Self::Ambiguous(_, index) | Self::Index(index) => Some(index),
            Self::Manifest(_) => None,
        }
    }
}

impl Reader {
    fn manifest(&mut self, json: &Json, media_type: String) -> Manifest {
        let mut layers = self.descriptors(json, "layers");
        layers.extend(self.descriptors(json, "blobs"));
        Manifest {
            media_type,
            artifact_type: self.text(json, "artifactType"),
            config: self.one_descriptor(json, "config"),
            layers,
            subject: self.one_descriptor(json, "subject"),
            annotations: self.annotations(json),
        }
    }

    fn index(&mut self, json: &Json, media_type: String) -> Index {
        Index {
            media_type,
            artifact_type: self.text(json, "artifactType"),
            manifests: self.descriptors(json, "manifests"),
            subject: self.one_descriptor(json, "subject"),
            annotations: self.annotations(json),
        }
    }

    /// The descriptors of the last array called `key`; those of earlier ones become alternatives.
    fn descriptors(&mut self, json: &Json, key: &'static str) -> Vec<Descriptor> {
        let mut descriptors = Vec::new();
        for value in self.all(json, key) {
            if !matches!(value, Json::Array(_)) {
                self.oddities
                    .push(DocumentOddity::WrongType { place: key.into() });
                continue;
            }
            self.alternatives.append(&mut descriptors);
            for (position, item) in value.items().iter().enumerate() {
                descriptors.extend(self.descriptor(item, &format!("{key}[{position}]")));
            }
        }
        descriptors
    }

    fn one_descriptor(&mut self, json: &Json, key: &'static str) -> Option<Descriptor> {
        let mut descriptor = None;
        for value in self.all(json, key) {
            // A referrer is not a part of what it refers to: another `subject` is no other reading of the image.
            let earlier = descriptor.take().filter(|_| key != "subject");
            self.alternatives.extend(earlier);
            descriptor = self.descriptor(value, key);
        }
        descriptor
    }

    fn descriptor(&mut self, json: &Json, place: &str) -> Option<Descriptor> {
        let mut digests: Vec<Digest> = self
            .all(json, "digest")
            .into_iter()
            .filter_map(|value| Digest::parse(value.text()?).ok())
            .collect();
        let Some(digest) = digests.pop() else {
            let place = place.to_owned();
            self.oddities.push(DocumentOddity::MalformedDescriptor { place });
            return None;
        };
        let size = self.last(json, "size").and_then(size);
        if size.is_none() {
            self.oddities
                .push(DocumentOddity::MalformedSize { place: place.into() });
        }
        let urls = self.last(json, "urls").map(Json::items).unwrap_or_default();
        let media_type = self.text(json, "mediaType").unwrap_or_default();
        let descriptor = Descriptor {
            urls: urls
                .iter()
                .filter_map(|url| url.text().map(str::to_owned))
                .collect(),
            annotations: self.annotations(json),
            data: self.text(json, "data"),
            platform: self
                .last(json, "platform")
                .map(|platform| self.platform(platform)),
            artifact_type: self.text(json, "artifactType"),
            ..Descriptor::new(&media_type, digest, size.unwrap_or(0))
        };
        let others = digests.into_iter().map(|digest| Descriptor {
            digest,
            data: None,
            ..descriptor.clone()
        });
        self.alternatives.extend(others);
        Some(descriptor)
    }

    /// The platform that an object says it is for; a configuration has the same fields at its top.
    pub(super) fn platform(&mut self, json: &Json) -> Platform {
        Platform {
            os: self.text(json, "os").unwrap_or_default(),
            architecture: self.text(json, "architecture").unwrap_or_default(),
            variant: self.text(json, "variant").filter(|variant| !variant.is_empty()),
            os_version: self
                .text(json, "os.version")
                .filter(|version| !version.is_empty()),
        }
    }

    fn annotations(&mut self, json: &Json) -> Annotations {
        let mut annotations = Annotations::new();
        for value in self.all(json, "annotations") {
            for (key, value) in value.members() {
                if let Some(text) = value.text() {
                    annotations.insert(key.clone(), text.to_owned());
                }
            }
        }
        annotations
    }

    /// Layers that a reader of Docker schema 1 would see in a document that is also a newer one.
    fn old_layers(&mut self, json: &Json) {
        let layers = self.last(json, "fsLayers").map(Json::items).unwrap_or_default();
        for layer in layers {
            let digest = self.last(layer, "blobSum").and_then(Json::text);
            let digest = digest.and_then(|digest| Digest::parse(digest).ok());
            self.alternatives
                .extend(digest.map(|digest| Descriptor::new("", digest, 0)));
        }
    }
}

/// Sizes are signed 64-bit integers in Go: what does not fit one is no size.
fn size(json: &Json) -> Option<u64> {
    match json {
        Json::Unsigned(size) => i64::try_from(*size).ok().map(|_| *size),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::media_type::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
    use super::*;

    fn digest(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    /// `{"digest": …, "size": 1}` with 64 times `letter`.
    fn item(letter: char) -> String {
        format!(r#"{{"digest":"{}","size":1}}"#, digest(letter))
    }

    fn parse(json: &str, content_type: Option<&str>) -> Parsed<Document> {
        Document::parse(json.as_bytes(), content_type).unwrap()
    }

    #[test]
    fn content_decides_what_a_document_is() {
        let manifest = format!(r#"{{"config":{},"layers":[{}]}}"#, item('a'), item('b'));
        let index = format!(r#"{{"manifests":[{}]}}"#, item('a'));
        for content_type in [None, Some("application/json"), Some("text/plain; charset=utf-8")] {
            let parsed = parse(&manifest, content_type);
            assert!(matches!(parsed.value, Document::Manifest(_)) && parsed.oddities.is_empty());
            let parsed = parse(&index, content_type);
            assert!(matches!(parsed.value, Document::Index(_)) && parsed.oddities.is_empty());
        }
        let parsed = parse(&manifest, Some(OCI_INDEX));
        assert!(matches!(parsed.value, Document::Manifest(_)));
        assert_eq!(parsed.oddities, [DocumentOddity::MediaTypeConflict]);
        // OCI and Docker manifests are one kind: registries convert the header but not the body.
        assert!(parse(&manifest, Some(DOCKER_MANIFEST)).oddities.is_empty());
    }

    #[test]
    fn a_document_of_both_kinds_gives_both_readings() {
        let json = format!(r#"{{"manifests":[{}],"layers":[{}]}}"#, item('a'), item('b'));
        for content_type in [None, Some(OCI_INDEX), Some(OCI_MANIFEST)] {
            let parsed = parse(&json, content_type);
            assert_eq!(parsed.value.index().unwrap().manifests.len(), 1);
            assert_eq!(parsed.value.manifest().unwrap().layers.len(), 1);
        }
    }

    #[test]
    fn null_and_empty_arrays_are_not_a_second_kind() {
        let json = format!(
            r#"{{"manifests":null,"config":{},"layers":null,"urls":[]}}"#,
            item('a')
        );
        let parsed = parse(&json, None);
        assert!(matches!(parsed.value, Document::Manifest(_)) && parsed.oddities.is_empty());
        let empty = parse(r#"{"manifests":[]}"#, Some(OCI_INDEX));
        assert!(matches!(empty.value, Document::Index(index) if index.manifests.is_empty()));
        assert!(Document::parse(br#"{"manifests":[]}"#, None).is_err());
    }

    #[test]
    fn the_last_of_equal_keys_wins_and_the_others_are_told() {
        let (a, b, c) = (item('a'), item('b'), item('c'));
        let parsed = parse(
            &format!(r#"{{"layers":[{a}],"Layers":[{b}],"layers":[{c}]}}"#),
            None,
        );
        let layers = &parsed.value.manifest().unwrap().layers;
        assert_eq!(
            layers
                .iter()
                .map(|layer| layer.digest.as_str())
                .collect::<Vec<_>>(),
            [digest('c')]
        );
        let others: Vec<_> = parsed
            .alternatives
            .iter()
            .map(|other| other.digest.as_str())
            .collect();
        assert_eq!(others, [digest('a'), digest('b')]);
        assert_eq!(
            parsed.oddities,
            [
                DocumentOddity::CaseVariantKey { key: "layers" },
                DocumentOddity::DuplicateKey {
                    place: "the document".into()
                },
            ]
        );
    }

    #[test]
    fn two_digests_of_one_descriptor_are_both_told() {
        let json = format!(
            r#"{{"layers":[{{"digest":"{}","Digest":"{}","size":1}}]}}"#,
            digest('a'),
            digest('b')
        );
        let parsed = parse(&json, None);
        assert_eq!(
            parsed.value.manifest().unwrap().layers[0].digest.as_str(),
            digest('b')
        );
        assert_eq!(parsed.alternatives[0].digest.as_str(), digest('a'));
    }

    #[test]
    fn sizes_that_are_none_are_told_and_never_believed() {
        for size in [
            "-1",
            "1.5",
            "1e9",
            "\"12\"",
            "99999999999999999999",
            "9223372036854775808",
            "null",
            "[]",
        ] {
            let json = format!(r#"{{"layers":[{{"digest":"{}","size":{size}}}]}}"#, digest('a'));
            let parsed = parse(&json, None);
            assert_eq!(parsed.value.manifest().unwrap().layers[0].size, 0, "{size}");
            let place = "layers[0]".to_owned();
            assert_eq!(
                parsed.oddities,
                [DocumentOddity::MalformedSize { place }],
                "{size}"
            );
        }
        let json = format!(
            r#"{{"layers":[{{"digest":"{}","size":9223372036854775807}}]}}"#,
            digest('a')
        );
        assert!(parse(&json, None).oddities.is_empty());
    }

    #[test]
    fn a_descriptor_without_digest_does_not_take_the_others_with_it() {
        for broken in [
            "null",
            "7",
            "{}",
            r#"{"digest":"sha256:../../x"}"#,
            r#"{"digest":["a"]}"#,
        ] {
            let json = format!(r#"{{"layers":[{broken},{}]}}"#, item('b'));
            let parsed = parse(&json, None);
            assert_eq!(parsed.value.manifest().unwrap().layers.len(), 1, "{broken}");
            let place = "layers[0]".to_owned();
            assert!(
                parsed
                    .oddities
                    .contains(&DocumentOddity::MalformedDescriptor { place }),
                "{broken}"
            );
        }
    }

    #[test]
    fn schema_1_is_recognised() {
        for json in [
            r#"{"schemaVersion":1,"fsLayers":[{"blobSum":"x"}],"history":[{"v1Compatibility":"{}"}]}"#,
            r#"{"schemaVersion":1,"name":"a"}"#,
            r#"{"FsLayers":[{}]}"#,
        ] {
            let error = Document::parse(json.as_bytes(), None).unwrap_err();
            assert!(matches!(error, DocumentError::Schema1), "{json}");
        }
    }

    #[test]
    fn schema_1_layers_inside_of_a_newer_manifest_are_told() {
        let json = format!(
            r#"{{"layers":[{}],"fsLayers":[{{"blobSum":"{}"}}]}}"#,
            item('a'),
            digest('b')
        );
        let parsed = parse(&json, None);
        assert_eq!(parsed.alternatives[0].digest.as_str(), digest('b'));
        assert_eq!(parsed.oddities, [DocumentOddity::MediaTypeConflict]);
    }

    #[test]
    fn bytes_behind_a_manifest_are_told() {
        let parsed = parse(&format!(r#"{{"layers":[{}]}} {{}}"#, item('a')), None);
        assert_eq!(parsed.oddities, [DocumentOddity::TrailingBytes { count: 3 }]);
    }

    #[test]
    fn unknown_media_types_and_artifacts_are_kept() {
        let json = format!(
            r#"{{"mediaType":"application/x-new","artifactType":"application/x-model","blobs":[{}],"subject":{}}}"#,
            item('a'),
            item('b')
        );
        let parsed = parse(&json, None);
        let manifest = parsed.value.manifest().unwrap();
        assert_eq!(manifest.artifact_type.as_deref(), Some("application/x-model"));
        assert_eq!((manifest.config.is_none(), manifest.layers.len()), (true, 1));
        assert_eq!(manifest.subject.as_ref().unwrap().digest.as_str(), digest('b'));
        assert!(parsed.oddities.is_empty());
    }

    #[test]
    fn what_is_no_document_is_malformed() {
        for bytes in [
            "",
            "[]",
            "null",
            "{}",
            "<!DOCTYPE html>",
            "{\"layers\":{}}",
            "{\"a\":1}",
        ] {
            let error = Document::parse(bytes.as_bytes(), None);
            assert!(matches!(error, Err(DocumentError::Malformed { .. })), "{bytes}");
        }
    }
}
