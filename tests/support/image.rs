//! Container images built in code and written in every form that layersift reads. The same calls give the same
//! bytes. Does not check what is asked for: an image may be as wrong as a test wants it.
//!
//! ```ignore
//! let app = image()
//!     .named("app:1.4")
//!     .layer([file("root/.boto", secret)])
//!     .layer([whiteout("root/.boto")])
//!     .env("MODE=production");
//! fs::write("app.tar", app.docker_archive());
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use layersift::oci::Digest;
use serde_json::{Value, json};

use super::tar::{self, Member, directory, file, symlink};

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    /// Members of 1,000 bytes each.
    GzipMembers,
    Plain,
    Zstd,
    /// As tools write zstd:chunked: two frames and a skippable frame behind them.
    ZstdChunked,
}

/// An image, on its way and finished.
#[derive(Clone)]
pub struct Image {
    name: String,
    platform: String,
    layers: Vec<Layer>,
    history: Vec<Value>,
    /// `config` of the image configuration, by field.
    config: Value,
    annotations: Value,
    attestations: Vec<(String, Vec<u8>)>,
    edit: Option<fn(&mut Value)>,
}

#[derive(Clone)]
struct Layer {
    tar: Vec<u8>,
    packing: Packing,
    /// Instead of the tar, packed.
    blob: Option<(String, Vec<u8>)>,
    created_by: String,
}

/// An image for linux/amd64 without a layer, named `app:latest`.
pub fn image() -> Image {
    Image {
        name: "app:latest".to_owned(),
        platform: "linux/amd64".to_owned(),
        layers: Vec::new(),
        history: Vec::new(),
        config: json!({}),
        annotations: json!({}),
        attestations: Vec::new(),
        edit: None,
    }
}

impl Image {
    /// Sets its name: `app:1.4`.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Adds a layer, gzip unless [`packed`](Self::packed) says otherwise, and its line of history.
    pub fn layer(self, members: impl IntoIterator<Item = Member>) -> Self {
        let members: Vec<Member> = members.into_iter().collect();
        self.layer_tar(tar::archive(&members))
    }

    /// Adds a layer that is these bytes when decompressed.
    pub fn layer_tar(mut self, tar: Vec<u8>) -> Self {
        let created_by = format!("RUN step {}", self.layers.len() + 1);
        self.history.push(json!({ "created_by": created_by }));
        self.layers.push(Layer {
            tar,
            packing: Packing::Gzip,
            blob: None,
            created_by,
        });
        self
    }

    /// Compresses the layer added last in another way.
    pub fn packed(mut self, packing: Packing) -> Self {
        self.last_layer().packing = packing;
        self
    }

    /// Stores the layer added last as these bytes, under this media type.
    pub fn stored_as(mut self, media_type: &str, blob: Vec<u8>) -> Self {
        self.last_layer().blob = Some((media_type.to_owned(), blob));
        self
    }

    /// What created the layer added last.
    pub fn created_by(mut self, text: &str) -> Self {
        self.last_layer().created_by = text.to_owned();
        let last = self.history.last_mut().expect("added with the layer");
        last["created_by"] = text.into();
        self
    }

    /// Adds a line of history without a layer.
    pub fn history(mut self, created_by: &str) -> Self {
        self.history
            .push(json!({ "created_by": created_by, "empty_layer": true }));
        self
    }

    /// Adds an environment variable, `NAME=value`.
    pub fn env(mut self, variable: &str) -> Self {
        let env = self.config.as_object_mut().expect("an object").entry("Env");
        let env = env.or_insert_with(|| json!([])).as_array_mut().expect("a list");
        env.push(variable.into());
        self
    }

    /// Adds a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.config["Labels"][key] = value.into();
        self
    }

    /// Sets a field of `config`: `Cmd`, `Entrypoint`, `Healthcheck`.
    pub fn config(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    /// Adds an annotation to the manifest.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations[key] = value.into();
        self
    }

    /// Sets the platform: `linux/arm64` or `linux/arm/v7`.
    pub fn platform(mut self, platform: &str) -> Self {
        self.platform = platform.to_owned();
        self
    }

    /// Adds an in-toto statement about the image, as BuildKit stores it: a manifest beside it in the index.
    pub fn attestation(mut self, predicate_type: &str, predicate: Value) -> Self {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": predicate_type,
            "subject": [],
            "predicate": predicate,
        });
        self.attestations
            .push((predicate_type.to_owned(), encode(&statement)));
        self
    }

    /// Changes the finished image configuration in any way.
    pub fn edited(mut self, edit: fn(&mut Value)) -> Self {
        self.edit = Some(edit);
        self
    }

    /// As [`Images::docker_archive`].
    pub fn docker_archive(&self) -> Vec<u8> {
        images([self.clone()]).docker_archive()
    }

    /// As [`Images::podman_archive`].
    pub fn podman_archive(&self) -> Vec<u8> {
        images([self.clone()]).podman_archive()
    }

    /// As [`Images::containerd_archive`].
    pub fn containerd_archive(&self) -> Vec<u8> {
        images([self.clone()]).containerd_archive()
    }

    /// As [`Images::oci_archive`].
    pub fn oci_archive(&self) -> Vec<u8> {
        images([self.clone()]).oci_archive()
    }

    /// As [`Images::write_oci_layout`].
    pub fn write_oci_layout(&self, folder: &Path) {
        images([self.clone()]).write_oci_layout(folder);
    }

    /// The image configuration, as it is stored.
    pub fn config_bytes(&self) -> Vec<u8> {
        let diff_ids = self.layers.iter().map(|layer| Digest::of(&layer.tar).to_string());
        let (os, architecture, variant) = self.platform_parts();
        let mut config = json!({
            "created": "2024-01-01T00:00:00Z",
            "architecture": architecture,
            "os": os,
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids.collect::<Vec<_>>() },
            "history": self.history,
        });
        if let Some(variant) = variant {
            config["variant"] = variant.into();
        }
        if let Some(edit) = self.edit {
            edit(&mut config);
        }
        encode(&config)
    }

    /// The decompressed layers, base first.
    pub fn layer_tars(&self) -> impl Iterator<Item = &[u8]> {
        self.layers.iter().map(|layer| layer.tar.as_slice())
    }

    /// The layers as they are stored in layouts and registries, base first, with their media types.
    pub fn layer_blobs(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.layers.iter().map(Layer::blob)
    }

    fn last_layer(&mut self) -> &mut Layer {
        self.layers.last_mut().expect("a layer was added before")
    }

    fn platform_parts(&self) -> (&str, &str, Option<&str>) {
        let mut parts = self.platform.split('/');
        let os = parts.next().unwrap_or_default();
        (os, parts.next().unwrap_or_default(), parts.next())
    }

    /// The descriptor of its manifest, with its platform; the blobs go into the layout.
    fn store(&self, layout: &mut Layout) -> Value {
        let config = layout.blob("application/vnd.oci.image.config.v1+json", self.config_bytes());
        let layers = self
            .layer_blobs()
            .map(|(media_type, blob)| layout.blob(&media_type, blob));
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers.collect::<Vec<_>>(),
        });
        if self.annotations != json!({}) {
            manifest["annotations"] = self.annotations.clone();
        }
        let mut descriptor = layout.blob(MANIFEST, encode(&manifest));
        let (os, architecture, variant) = self.platform_parts();
        descriptor["platform"] = json!({ "architecture": architecture, "os": os });
        if let Some(variant) = variant {
            descriptor["platform"]["variant"] = variant.into();
        }
        descriptor
    }

    /// The descriptor of the manifest that holds its attestations (BuildKit's attestation storage).
    fn store_attestations(&self, of: &Value, layout: &mut Layout) -> Value {
        let digests = self
            .attestations
            .iter()
            .map(|(_, bytes)| Digest::of(bytes).to_string());
        let config = json!({
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": digests.collect::<Vec<_>>() },
        });
        let config = layout.blob("application/vnd.oci.image.config.v1+json", encode(&config));
        let layers = self.attestations.iter().map(|(predicate_type, bytes)| {
            let mut descriptor = layout.blob("application/vnd.in-toto+json", bytes.clone());
            descriptor["annotations"]["in-toto.io/predicate-type"] = predicate_type.as_str().into();
            descriptor
        });
        let layers: Vec<Value> = layers.collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        });
        let mut descriptor = layout.blob(MANIFEST, encode(&manifest));
        descriptor["annotations"] = json!({
            "vnd.docker.reference.digest": of["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        });
        descriptor["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        descriptor
    }
}

impl Layer {
    fn blob(&self) -> (String, Vec<u8>) {
        if let Some(blob) = &self.blob {
            return blob.clone();
        }
        let suffix = match self.packing {
            Packing::Gzip | Packing::GzipMembers => "+gzip",
            Packing::Plain => "",
            Packing::Zstd | Packing::ZstdChunked => "+zstd",
        };
        let media_type = format!("application/vnd.oci.image.layer.v1.tar{suffix}");
        (media_type, pack(&self.tar, self.packing))
    }
}

/// Several images that are written together.
#[derive(Clone)]
pub struct Images {
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    name: String,
    images: Vec<Image>,
    /// Whether an index is written even for one image.
    is_index: bool,
}

impl Entry {
    fn tag(&self) -> &str {
        self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag)
    }
}

/// Images that each stand for themselves.
pub fn images(images: impl IntoIterator<Item = Image>) -> Images {
    let entry = |image: Image| Entry {
        name: image.name.clone(),
        is_index: !image.attestations.is_empty(),
        images: vec![image],
    };
    Images {
        entries: images.into_iter().map(entry).collect(),
    }
}

/// One image of several platforms: an index named `name`.
pub fn index(name: &str, images: impl IntoIterator<Item = Image>) -> Images {
    Images {
        entries: vec![Entry {
            name: name.to_owned(),
            images: images.into_iter().collect(),
            is_index: true,
        }],
    }
}

impl Images {
    /// What `docker save` wrote before version 25: a folder for each layer with a `layer.tar` in it, and
    /// `manifest.json` last.
    pub fn docker_archive(&self) -> Vec<u8> {
        tar::archive(&self.docker_members())
    }

    /// The members of [`docker_archive`](Self::docker_archive), to be changed.
    pub fn docker_members(&self) -> Vec<Member> {
        let mut archive = DockerArchive::default();
        for image in self.each() {
            let mut layers = Vec::new();
            for (id, layer) in chain_ids(image).zip(&image.layers) {
                archive.add(&id, || directory(&id));
                archive.text(&format!("{id}/VERSION"), b"1.0");
                archive.text(&format!("{id}/json"), &encode(&json!({ "id": id })));
                archive.text(&format!("{id}/layer.tar"), &layer.tar);
                layers.push(format!("{id}/layer.tar"));
            }
            archive.config(image, &layers);
        }
        archive.finish()
    }

    /// What `podman save` and `skopeo copy` write: `<DiffID>.tar` for each layer, once, with links to it in folders
    /// for old readers.
    pub fn podman_archive(&self) -> Vec<u8> {
        tar::archive(&self.podman_members())
    }

    /// The members of [`podman_archive`](Self::podman_archive), to be changed.
    pub fn podman_members(&self) -> Vec<Member> {
        let mut archive = DockerArchive::default();
        for image in self.each() {
            let mut layers = Vec::new();
            for (id, layer) in chain_ids(image).zip(&image.layers) {
                let stored = format!("{}.tar", Digest::of(&layer.tar).encoded());
                archive.text(&stored, &layer.tar);
                archive.text(&format!("{id}/VERSION"), b"1.0");
                let link = format!("{id}/layer.tar");
                archive.add(&link, || symlink(&link, &format!("../{stored}")));
                archive.text(&format!("{id}/json"), &encode(&json!({ "id": id })));
                layers.push(stored);
            }
            archive.config(image, &layers);
        }
        archive.finish()
    }

    /// What `docker save` writes from version 25 on: an OCI layout in a tar, with a `manifest.json` whose layers are
    /// blobs, compressed as the containerd store has them.
    pub fn containerd_archive(&self) -> Vec<u8> {
        tar::archive(&self.containerd_members())
    }

    /// The members of [`containerd_archive`](Self::containerd_archive), to be changed.
    pub fn containerd_members(&self) -> Vec<Member> {
        let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).encoded());
        let manifests = self.each().map(|image| {
            let layers = image.layer_blobs().map(|(_, bytes)| blob(&bytes));
            json!({
                "Config": blob(&image.config_bytes()),
                "RepoTags": [image.name],
                "Layers": layers.collect::<Vec<_>>(),
            })
        });
        let manifest = encode(&Value::Array(manifests.collect()));
        let mut members = self.oci_members();
        members.push(file("manifest.json", manifest));
        members
    }

    /// An OCI layout in a tar.
    pub fn oci_archive(&self) -> Vec<u8> {
        tar::archive(&self.oci_members())
    }

    /// The members of [`oci_archive`](Self::oci_archive), to be changed.
    pub fn oci_members(&self) -> Vec<Member> {
        let mut members = vec![directory("blobs"), directory("blobs/sha256")];
        let files = self.oci_layout();
        members.extend(files.iter().map(|(path, bytes)| file(path, bytes)));
        members
    }

    /// Writes an OCI layout into a folder, which is made.
    pub fn write_oci_layout(&self, folder: &Path) {
        for (path, bytes) in self.oci_layout() {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder can be made");
            fs::write(path, bytes).expect("a file can be written");
        }
    }

    /// The files of an OCI layout, by path (image-spec `image-layout.md`).
    pub fn oci_layout(&self) -> BTreeMap<String, Vec<u8>> {
        let mut layout = Layout::default();
        let mut manifests = Vec::new();
        for entry in &self.entries {
            let mut descriptors = Vec::new();
            let mut attestations = Vec::new();
            for image in &entry.images {
                let descriptor = image.store(&mut layout);
                if !image.attestations.is_empty() {
                    attestations.push(image.store_attestations(&descriptor, &mut layout));
                }
                descriptors.push(descriptor);
            }
            descriptors.append(&mut attestations);
            let mut top = match entry.is_index {
                true => layout.blob(INDEX, encode(&index_of(descriptors))),
                false => descriptors.remove(0),
            };
            top["annotations"] = json!({
                "io.containerd.image.name": entry.name,
                "org.opencontainers.image.ref.name": entry.tag(),
            });
            manifests.push(top);
        }
        let mut files = layout.files;
        files.insert("index.json".to_owned(), encode(&index_of(manifests)));
        files.insert(
            "oci-layout".to_owned(),
            encode(&json!({ "imageLayoutVersion": "1.0.0" })),
        );
        files
    }

    /// The tag of the first image, by which a layout names it.
    pub fn first_tag(&self) -> &str {
        self.entries[0].tag()
    }

    fn each(&self) -> impl Iterator<Item = &Image> {
        self.entries.iter().flat_map(|entry| &entry.images)
    }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The blobs of an OCI layout.
#[derive(Default)]
struct Layout {
    files: BTreeMap<String, Vec<u8>>,
}

impl Layout {
    /// Stores a blob and describes it.
    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = Digest::of(&bytes);
        let descriptor = json!({
            "mediaType": media_type, "digest": digest.as_str(), "size": bytes.len(),
        });
        self.files
            .insert(format!("blobs/sha256/{}", digest.encoded()), bytes);
        descriptor
    }
}

/// The members of a Docker archive, each once.
#[derive(Default)]
struct DockerArchive {
    members: Vec<(String, Member)>,
    manifests: Vec<Value>,
}

impl DockerArchive {
    fn add(&mut self, path: &str, member: impl FnOnce() -> Member) {
        if self.members.iter().all(|(known, _)| known != path) {
            self.members.push((path.to_owned(), member()));
        }
    }

    fn text(&mut self, path: &str, bytes: &[u8]) {
        self.add(path, || file(path, bytes));
    }

    fn config(&mut self, image: &Image, layers: &[String]) {
        let config = image.config_bytes();
        let path = format!("{}.json", Digest::of(&config).encoded());
        self.text(&path, &config);
        self.manifests
            .push(json!({ "Config": path, "RepoTags": [image.name], "Layers": layers }));
    }

    fn finish(mut self) -> Vec<Member> {
        let manifest = encode(&Value::Array(std::mem::take(&mut self.manifests)));
        self.text("manifest.json", &manifest);
        self.members.into_iter().map(|(_, member)| member).collect()
    }
}

/// A name for each layer that depends on the layers below it.
fn chain_ids(image: &Image) -> impl Iterator<Item = String> {
    image.layers.iter().scan(String::new(), |parent, layer| {
        let chain = format!("{parent}{}{}", Digest::of(&layer.tar), layer.created_by);
        *parent = Digest::of(chain.as_bytes()).encoded().to_owned();
        Some(parent.clone())
    })
}

fn index_of(manifests: Vec<Value>) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

fn encode(document: &Value) -> Vec<u8> {
    serde_json::to_vec(document).expect("a document of texts")
}

/// Compresses a tar.
pub fn pack(tar: &[u8], packing: Packing) -> Vec<u8> {
    let gzip = |part: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(part).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let zstd = |part: &[u8]| zstd::encode_all(part, 3).expect("memory takes it");
    match packing {
        Packing::Gzip => gzip(tar),
        Packing::GzipMembers => tar.chunks(1000).flat_map(gzip).collect(),
        Packing::Plain => tar.to_vec(),
        Packing::Zstd => zstd(tar),
        Packing::ZstdChunked => {
            let (first, second) = tar.split_at(tar.len() / 2);
            let contents = zstd(br#"{"version":1,"entries":[]}"#);
            let length = u32::try_from(contents.len()).expect("a short text");
            let skippable = [&[0x50, 0x2a, 0x4d, 0x18], &length.to_le_bytes()[..], &contents];
            [zstd(first), zstd(second), skippable.concat()].concat()
        }
    }
}
