//! The documents of an image, and the names of images.

use std::str::FromStr as _;

use layersift::oci::{
    ConfigField, Descriptor, Digest, Document, DocumentError, ImageConfig, Platform, Reference, SavedImage,
    Statement, decode_base64, fields, parent_layer, repositories,
};
use layersift::source::printable;
use serde_json::json;

use super::Target;

pub const MANIFEST: Target = Target {
    name: "manifest",
    body: manifest,
    seeds: manifests,
    words: WORDS,
    longest: 4 * 1024,
};

pub const CONFIG: Target = Target {
    name: "image_config",
    body: config,
    seeds: || {
        let config = json!({
            "created": "2024-01-01T00:00:00Z", "architecture": "amd64", "os": "linux",
            "config": {"Env": ["PATH=/bin", "TOKEN=x"], "Labels": {"a": "b"}, "Cmd": ["sh", "-c", "true"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(b"layer").as_str()]},
            "history": [{"created_by": "RUN true", "empty_layer": true}, {"created_by": "COPY a /"}],
        });
        let odd = br#"{"Config":{"env":["A=1"]},"config":{"Env":"x"},"rootfs":{"diff_ids":[1,null,"sha256:00"]}} tail"#;
        vec![written(&config), odd.to_vec(), b"{}".to_vec()]
    },
    words: WORDS,
    longest: 4 * 1024,
};

pub const PROVENANCE: Target = Target {
    name: "provenance",
    body: provenance,
    seeds: || {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {"metadata": {"https://mobyproject.org/buildkit@v1#metadata": {"source": {"infos": [
                {"filename": "Dockerfile", "data": "RlJPTSBzY3JhdGNoCkNPUFkgYSAvCg=="}
            ]}}}, "args": {"build-arg:TOKEN": "x"}},
        });
        let payload = base64_of(&written(&statement));
        let envelope =
            json!({"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": []});
        let bundle = json!({"dsseEnvelope": envelope});
        vec![written(&statement), written(&envelope), written(&bundle)]
    },
    words: WORDS,
    longest: 4 * 1024,
};

pub const SAVED: Target = Target {
    name: "saved_image",
    body: saved,
    seeds: || {
        vec![
            written(&json!([{"Config": "a.json", "RepoTags": ["app:1"], "Layers": ["b/layer.tar"]}])),
            written(&json!({"app": {"latest": "0123"}})),
            written(&json!({"id": "0123", "parent": "4567"})),
        ]
    },
    words: WORDS,
    longest: 2048,
};

pub const REFERENCE: Target = Target {
    name: "reference",
    body: reference,
    seeds: || {
        [
            "alpine".to_owned(),
            "registry.example.com:5000/team/app:1.4".to_owned(),
            format!("localhost/app:1@{}", digest(b"")),
            "[::1]:5000/app".to_owned(),
            "https://user:password@host/app@x".to_owned(),
            "linux/arm64/v8".to_owned(),
            digest(b"").to_string(),
        ]
        .map(String::into_bytes)
        .to_vec()
    },
    words: &[
        b"sha256:",
        b"sha512:",
        b"@",
        b":",
        b"/",
        b"[::1]",
        b"..",
        b"docker.io",
        b"%2f",
        b"localhost:5000",
    ],
    longest: 400,
};

const WORDS: &[&[u8]] = &[
    b"\"mediaType\":",
    b"\"schemaVersion\":2",
    b"\"manifests\":[",
    b"\"layers\":[",
    b"\"config\":{",
    b"\"digest\":\"sha256:",
    b"\"size\":",
    b"\"Size\":-1",
    b"\"annotations\":{",
    b"\"data\":\"",
    b"\"urls\":[",
    b"\"subject\":{",
    b"\"fsLayers\":[",
    b"\"payload\":\"",
    b"\"dsseEnvelope\":{",
    b"application/vnd.oci.image.index.v1+json",
    b"application/vnd.oci.image.manifest.v1+json",
    b"9223372036854775808",
    b"1e400",
    b"\\ud800",
    b"\\u0000",
    b"\xef\xbb\xbf",
    b"null",
    b"[[[[[[[[",
    b"\"Env\":[",
    b"\"history\":[",
    b"\"rootfs\":{",
    b"\"diff_ids\":[",
    b"\"RepoTags\":[",
    b"\"Layers\":[",
];

fn digest(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

fn written(json: &serde_json::Value) -> Vec<u8> {
    json.to_string().into_bytes()
}

fn base64_of(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

fn manifests() -> Vec<Vec<u8>> {
    let descriptor =
        |kind: &str| json!({"mediaType": kind, "digest": digest(kind.as_bytes()).as_str(), "size": 7});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
        "subject": descriptor("application/vnd.oci.image.manifest.v1+json"),
        "annotations": {"org.opencontainers.image.source": "https://example.com"},
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(b"a").as_str(), "size": 1,
             "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(b"b").as_str(), "size": 2,
             "artifactType": "application/vnd.example.sbom",
             "platform": {"os": "unknown", "architecture": "unknown"},
             "annotations": {"vnd.docker.reference.digest": digest(b"a").as_str()}, "data": "YQ=="},
        ],
    });
    let both = br#"{"layers":[{"digest":"sha256:0","size":-1}],"manifests":[{"Digest":"x","digest":"y"}],"layers":[]}"#;
    let old = json!({"schemaVersion": 1, "fsLayers": [{"blobSum": digest(b"").as_str()}], "history": []});
    vec![written(&manifest), written(&index), both.to_vec(), written(&old)]
}

fn manifest(bytes: &[u8]) {
    let types = [
        None,
        Some("application/vnd.oci.image.index.v1+json"),
        Some("application/vnd.docker.distribution.manifest.v2+json"),
    ];
    for content_type in types {
        let parsed = match Document::parse(bytes, content_type) {
            Ok(parsed) => parsed,
            Err(DocumentError::Malformed { reason }) => {
                assert!(reason.len() < 300, "the reason quotes the document");
                continue;
            }
            Err(DocumentError::Schema1) => continue,
        };
        assert!(parsed.oddities.is_sorted(), "oddities come in order");
        assert!(parsed.value.manifest().is_some() || parsed.value.index().is_some());
        if let Some(manifest) = parsed.value.manifest() {
            let all = manifest
                .layers
                .iter()
                .chain(&manifest.config)
                .chain(&manifest.subject);
            all.for_each(descriptor);
            assert!(manifest.layers.len() <= bytes.len());
        }
        if let Some(index) = parsed.value.index() {
            index.manifests.iter().chain(&index.subject).for_each(descriptor);
            assert!(index.manifests.len() <= bytes.len());
        }
    }
    bounded(&fields("manifest", bytes), bytes);
}

/// A descriptor names its blob by the grammar, whatever the document says.
fn descriptor(descriptor: &Descriptor) {
    let digest = descriptor.digest.as_str();
    assert_eq!(Digest::parse(digest).ok().as_ref(), Some(&descriptor.digest));
    assert!(!digest.contains(['/', '\\', '\0']) && !digest.contains(".."));
}

fn config(bytes: &[u8]) {
    if let Ok(parsed) = ImageConfig::parse(bytes) {
        assert!(parsed.oddities.is_sorted());
        let config = &parsed.value;
        assert!(config.history.len() <= bytes.len() && config.diff_ids.len() <= bytes.len());
        bounded(&config.fields, bytes);
    }
    bounded(&fields("config", bytes), bytes);
}

fn provenance(bytes: &[u8]) {
    if let Ok(parsed) = Statement::parse(bytes) {
        assert!(parsed.oddities.is_sorted());
        bounded(&parsed.value.fields, bytes);
    }
    // The payload of an envelope is a document itself.
    let payload = std::str::from_utf8(bytes).ok().and_then(decode_base64);
    assert!(payload.is_none_or(|payload| payload.len() <= bytes.len()));
}

fn saved(bytes: &[u8]) {
    if let Ok(parsed) = SavedImage::parse_all(bytes) {
        assert!(parsed.oddities.is_sorted() && parsed.value.len() <= bytes.len());
    }
    let tags = repositories(bytes).unwrap_or_default();
    assert!(tags.len() <= bytes.len());
    assert!(parent_layer(bytes).is_none_or(|parent| !parent.is_empty()));
}

/// Texts of a document are not much more than the document, and have a place.
fn bounded(fields: &[ConfigField], bytes: &[u8]) {
    let texts: usize = fields.iter().map(|field| field.text.len()).sum();
    // A text may be given as it stands, decoded, and with the key it stands under; a byte that is not UTF-8 takes three.
    assert!(
        texts <= 16 * bytes.len() + 64,
        "{texts} bytes of text from {}",
        bytes.len()
    );
    assert!(fields.len() <= bytes.len() + 2);
    assert!(
        fields
            .iter()
            .all(|field| !field.place.is_empty() && !field.text.trim().is_empty())
    );
}

fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.as_str(), text);
        assert_eq!(format!("{}:{}", digest.algorithm_name(), digest.encoded()), text);
        assert!(!text.contains(['/', '\0', '%', ' ']) && text.is_ascii());
    }
    if let Ok(reference) = Reference::parse(text) {
        let shown = reference.to_string();
        let again = Reference::parse(&shown).expect("what is shown can be read");
        assert_eq!(again.to_string(), shown);
        assert_eq!(
            (again.registry(), again.repository(), again.tag(), again.digest()),
            (
                reference.registry(),
                reference.repository(),
                reference.tag(),
                reference.digest()
            )
        );
        let repository = reference.repository();
        assert!(
            !repository.contains("..")
                && !repository.contains("//")
                && !repository.contains(['?', '#', '%', '\\'])
        );
        assert!(repository.is_ascii() && !repository.starts_with('/'));
        assert!(!reference.registry().contains(['/', '@', '?', '#', ' ']));
    }
    if let Ok(platform) = Platform::from_str(text) {
        let shown = platform.to_string();
        assert!(!shown.chars().any(layersift::text::is_unprintable));
        // What is printable and no command is shown as it was written.
        let is_odd = |character: char| character == '\\' || layersift::text::is_unprintable(character);
        if !text.contains(is_odd) && !text.contains("::") && !text.contains("##[") {
            assert_eq!(Platform::from_str(&shown).ok(), Some(platform));
        }
    }
    let name = printable(text);
    assert!(!name.chars().any(layersift::text::is_unprintable));
    // `user:password@host/path` shows no password.
    if let Some(rest) = text.strip_prefix("https://")
        && rest.contains('/')
        && !rest.contains("hunter2hunter2")
    {
        let user = format!("https://somebody:hunter2hunter2@{rest}");
        assert!(!printable(&user).contains("hunter2hunter2"), "{user:?}");
    }
}
