//! What an image says of the image it was built FROM: its annotations, and the provenance that its builder attached. These are
//! claims of whoever made the image; nothing here is proof, and nobody is asked.

use serde::Deserialize;

use super::{Digest, Image, Reference};

/// An image that another one names as its base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseClaim {
    /// Its name, with a tag where one is given.
    pub reference: Reference,
    /// The digest of its manifest or index, where one is given.
    pub digest: Option<Digest>,
    /// Where it is said.
    pub by: ClaimedBy,
}

/// Where a base is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimedBy {
    /// `org.opencontainers.image.base.name` and `.digest`. *Source*: image-spec `annotations.md`.
    Annotation,
    /// The materials of a SLSA provenance, `mode=min` too. It names the images of all stages.
    Provenance,
}

impl BaseClaim {
    /// The reference by which the base is asked for: pinned where the claim has a digest, since tags move.
    pub fn pinned(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.reference.name()),
            None => self.reference.to_string(),
        }
    }
}

/// The bases that an image names: by its annotations, then by its attestations. Each once.
pub fn claims<'a>(image: &Image, attestations: impl IntoIterator<Item = &'a [u8]>) -> Vec<BaseClaim> {
    let annotation = |name: &str| {
        let annotations = image
            .fields
            .iter()
            .filter(|field| field.place.ends_with("annotations"));
        annotations
            .filter_map(|field| field.text.split_once('='))
            .find(|(key, _)| key.strip_prefix("org.opencontainers.image.base.") == Some(name))
            .map(|(_, value)| value)
    };
    let mut claims = Vec::new();
    if let Some(reference) = annotation("name").and_then(|name| Reference::parse(name).ok()) {
        claims.push(BaseClaim {
            reference,
            digest: annotation("digest").and_then(|digest| Digest::parse(digest).ok()),
            by: ClaimedBy::Annotation,
        });
    }
    for bytes in attestations {
        let Ok(statement) = serde_json::from_slice::<Statement>(bytes) else {
            continue;
        };
        let Predicate {
            materials,
            build_definition,
        } = statement.predicate;
        let listed = materials
            .into_iter()
            .chain(build_definition.resolved_dependencies);
        for claim in listed
            .take(MOST_MATERIALS)
            .filter_map(|material| material.claim())
        {
            if !claims.contains(&claim) {
                claims.push(claim);
            }
        }
    }
    claims
}

/// As much of an in-toto statement as names images. *Source*: SLSA provenance v0.2 (`materials`) and v1
/// (`resolvedDependencies`).
#[derive(Deserialize)]
struct Statement {
    #[serde(default)]
    predicate: Predicate,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Predicate {
    materials: Vec<Material>,
    build_definition: BuildDefinition,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BuildDefinition {
    resolved_dependencies: Vec<Material>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Material {
    uri: String,
    digest: std::collections::BTreeMap<String, String>,
}

impl Material {
    /// The image that a package URL names: `pkg:docker/debian@12?platform=linux%2Famd64`. *Source*: purl-spec, type `docker`.
    fn claim(&self) -> Option<BaseClaim> {
        let url = self.uri.strip_prefix("pkg:docker/")?;
        let name = url.split(['?', '#']).next().unwrap_or(url);
        let (name, version) = match name.rsplit_once('@') {
            Some((name, version)) => (decoded(name), decoded(version)),
            None => (decoded(name), String::new()),
        };
        let tag = match Digest::parse(&version) {
            Ok(_) => "",
            Err(_) => version.as_str(),
        };
        let reference = match tag {
            "" => Reference::parse(&name),
            tag => Reference::parse(&format!("{name}:{tag}")),
        };
        let listed = self.digest.get("sha256").map(|hex| format!("sha256:{hex}"));
        Some(BaseClaim {
            reference: reference.ok()?,
            digest: Digest::parse(listed.as_deref().unwrap_or(&version)).ok(),
            by: ClaimedBy::Provenance,
        })
    }
}

/// A text without its percent escapes; those that are none, or no text, stay.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes
            .get(at + 1..at + 3)
            .filter(|_| *byte == b'%')
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Materials that are looked at. A build has a few.
const MOST_MATERIALS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn from_statement(json: &str) -> Vec<String> {
        let image = crate::oci::Image {
            names: Vec::new(),
            platform: None,
            manifest: None,
            image_id: None,
            artifact_type: None,
            config: crate::oci::ImageConfig::default(),
            fields: Vec::new(),
            layers: Vec::new(),
            attestations: Vec::new(),
        };
        let claims = claims(&image, [json.as_bytes()]);
        claims.iter().map(BaseClaim::pinned).collect()
    }

    #[test]
    fn materials_of_both_versions_name_images() {
        let hex = "0".repeat(64);
        let materials = format!(
            r#"[{{"uri":"pkg:docker/debian@12?platform=linux%2Famd64","digest":{{"sha256":"{hex}"}}}},
            {{"uri":"pkg:docker/registry.example.com%3A5000/team/base@1.2"}},
            {{"uri":"pkg:docker/debian@12?platform=linux%2Famd64","digest":{{"sha256":"{hex}"}}}},
            {{"uri":"https://git.example.com/a.git"}},{{"uri":"pkg:docker/UPPER@1"}},{{}}]"#
        );
        let expected = [
            format!("docker.io/library/debian@sha256:{hex}"),
            "registry.example.com:5000/team/base:1.2".to_owned(),
        ];
        assert_eq!(
            from_statement(&format!(r#"{{"predicate":{{"materials":{materials}}}}}"#)),
            expected
        );
        let second =
            format!(r#"{{"predicate":{{"buildDefinition":{{"resolvedDependencies":{materials}}}}}}}"#);
        assert_eq!(from_statement(&second), expected);
        for other in ["{", "{}", r#"{"predicate":{"materials":7}}"#, "[]"] {
            assert!(from_statement(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn percent_escapes_that_are_none_stay() {
        for (text, expected) in [
            ("a%2Fb", "a/b"),
            ("%", "%"),
            ("%zz%2", "%zz%2"),
            ("%ff", "%ff"),
            ("", ""),
        ] {
            assert_eq!(decoded(text), expected);
        }
    }
}
