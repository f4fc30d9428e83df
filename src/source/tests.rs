//! One image in every form that tools write, read in every way there is; then what is broken or hostile.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::oci::media_type;

const NAME: &str = "registry.example.com/app:1.4";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Members of an archive, or files of a directory.
#[derive(Clone, Default)]
struct Files {
    list: Vec<(String, Member)>,
}

#[derive(Clone)]
enum Member {
    File(Vec<u8>),
    Hard(String),
    Symlink(String),
}

impl Files {
    fn file(&mut self, name: &str, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.list.push((name.to_owned(), Member::File(bytes.into())));
        self
    }

    fn symlink(&mut self, name: &str, to: &str) -> &mut Self {
        self.list.push((name.to_owned(), Member::Symlink(to.to_owned())));
        self
    }

    /// Adds a blob below `blobs` and returns its descriptor.
    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        self.file(&format!("blobs/sha256/{}", digest.encoded()), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn document(&mut self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, member) in &self.list {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(0);
            match member {
                Member::File(bytes) => {
                    header.set_size(bytes.len() as u64);
                    builder.append_data(&mut header, name, &bytes[..]).unwrap();
                }
                Member::Hard(to) => {
                    header.set_entry_type(tar::EntryType::Link);
                    builder.append_link(&mut header, name, to).unwrap();
                }
                Member::Symlink(to) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    builder.append_link(&mut header, name, to).unwrap();
                }
            }
        }
        builder.into_inner().unwrap()
    }

    fn directory(&self) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, member) in &self.list {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match member {
                Member::File(bytes) => std::fs::write(path, bytes).unwrap(),
                Member::Hard(_) => unreachable!("no layout has one"),
                Member::Symlink(to) => std::os::unix::fs::symlink(to, path).unwrap(),
            }
        }
        root
    }
}

/// The two layers of the image, as tars.
fn layers() -> [Vec<u8>; 2] {
    ["one", "two"].map(|name| Files::default().file(name, name.repeat(300)).tar())
}

fn config() -> Value {
    let ids = layers().map(|layer| Digest::of(&layer));
    json!({"os": "linux", "architecture": "amd64", "config": {"Env": ["NAME=value"]},
        "rootfs": {"type": "layers", "diff_ids": ids},
        "history": [{"created_by": "COPY one"}, {"created_by": "ENV", "empty_layer": true}, {"created_by": "COPY two"}]})
}

/// An OCI layout with an attestation; `annotations` are those that name its index.
fn layout(annotations: &Value) -> Files {
    let mut files = Files::default();
    files.file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let blobs: Vec<_> = layers()
        .iter()
        .map(|layer| files.blob(OCI_LAYER, layer))
        .collect();
    let config = files.document(media_type::OCI_CONFIG, &config());
    let mut image = files.document(
        media_type::OCI_MANIFEST,
        &json!({"config": config, "layers": blobs}),
    );
    image["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let statement = json!({"predicateType": "https://slsa.dev/provenance/v1", "predicate": {}});
    let mut statement = files.document("application/vnd.in-toto+json", &statement);
    statement["annotations"] = json!({"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"});
    let dummy = files.document(
        media_type::OCI_CONFIG,
        &json!({"os": "unknown", "architecture": "unknown"}),
    );
    let mut attestation = files.document(
        media_type::OCI_MANIFEST,
        &json!({"config": dummy, "layers": [statement]}),
    );
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]});
    let mut index = files.document(media_type::OCI_INDEX, &json!({"manifests": [image, attestation]}));
    index["annotations"] = annotations.clone();
    files.file(
        "index.json",
        json!({"schemaVersion": 2, "manifests": [index]}).to_string(),
    );
    files
}

/// What `docker save` writes with containerd's image store: a layout, with `manifest.json` for older readers.
fn containerd_archive() -> Files {
    let mut files =
        layout(&json!({"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "1.4"}));
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).encoded());
    let manifest = json!([{"Config": path(config().to_string().as_bytes()), "RepoTags": [NAME],
        "Layers": layers().map(|layer| path(&layer))}]);
    files.file("manifest.json", manifest.to_string());
    files
}

/// What `docker save` wrote before: a directory per layer.
fn classic_archive() -> Files {
    let mut files = Files::default();
    let [one, two] = layers();
    files
        .file("aa/VERSION", "1.0")
        .file("aa/json", r#"{"id":"aa"}"#)
        .file("aa/layer.tar", one);
    files
        .file("bb/json", r#"{"id":"bb","parent":"aa"}"#)
        .file("bb/layer.tar", two);
    let name = format!("{}.json", Digest::of(config().to_string().as_bytes()).encoded());
    files.file(&name, config().to_string());
    let manifest = json!([{"Config": name, "RepoTags": [NAME], "Layers": ["aa/layer.tar", "bb/layer.tar"]}]);
    files.file("manifest.json", manifest.to_string());
    files.file(
        "repositories",
        json!({"registry.example.com/app": {"1.4": "bb"}}).to_string(),
    );
    files
}

/// What Skopeo and Podman write: layers at the top, with links for older readers.
fn skopeo_archive() -> Files {
    let mut files = Files::default();
    for (layer, folder) in layers().iter().zip(["aa", "bb"]) {
        let name = format!("{}.tar", Digest::of(layer).encoded());
        files
            .file(&name, layer.clone())
            .symlink(&format!("{folder}/layer.tar"), &format!("../{name}"));
    }
    let name = format!("{}.json", Digest::of(config().to_string().as_bytes()).encoded());
    files.file(&name, config().to_string());
    let manifest = json!([{"Config": name, "RepoTags": [NAME], "Layers": ["aa/layer.tar", "bb/layer.tar"]}]);
    files.file("manifest.json", manifest.to_string());
    files
}

/// What was read of a target.
struct Read {
    resolved: Resolved,
    blobs: HashMap<BlobKey, Vec<u8>>,
    kind: &'static str,
}

impl Read {
    fn reasons(&self) -> Vec<&str> {
        self.resolved
            .problems
            .iter()
            .map(|problem| problem.reason)
            .collect()
    }

    /// The contents of the layers of image `number`, where they could be had.
    fn layers(&self, number: usize) -> Vec<Option<&Vec<u8>>> {
        let layers = &self.resolved.images[number].layers;
        layers.iter().map(|layer| self.blobs.get(&layer.blob)).collect()
    }

    fn names(&self) -> Vec<Vec<String>> {
        self.resolved
            .images
            .iter()
            .map(|image| image.names.clone())
            .collect()
    }
}

fn read(opened: Opened, platforms: &PlatformSelector) -> Result<Read, SourceError> {
    let limits = Limits::default();
    let mut blobs = HashMap::new();
    let keys = |resolved: &Resolved| -> Vec<BlobKey> {
        let of_image = |image: &Image| {
            let attestations = image
                .attestations
                .iter()
                .map(|attestation| attestation.blob.clone());
            let layers = image.layers.iter().map(|layer| layer.blob.clone());
            layers.chain(attestations).collect::<Vec<_>>()
        };
        resolved.images.iter().flat_map(of_image).collect()
    };
    let resolved = match opened.access {
        Access::Random(source) => {
            let resolved = source.resolve(platforms, &limits)?;
            for key in keys(&resolved) {
                let mut bytes = Vec::new();
                if source
                    .blob(&key, None)
                    .is_ok_and(|mut blob| blob.read_to_end(&mut bytes).is_ok())
                {
                    blobs.insert(key, bytes);
                }
            }
            resolved
        }
        Access::Stream(mut stream) => {
            while let Some(mut blob) = stream.next_blob()? {
                let mut bytes = Vec::new();
                if blob.reader.read_to_end(&mut bytes).is_ok() {
                    blobs.insert(blob.key, bytes);
                }
            }
            let resolved = stream.resolve(platforms, &limits)?;
            for key in keys(&resolved) {
                if let Some(document) = stream.document(&key) {
                    blobs.insert(key, document.to_vec());
                }
            }
            resolved
        }
    };
    Ok(Read {
        resolved,
        blobs,
        kind: opened.kind,
    })
}

fn from_disk(bytes: &[u8], choice: &str) -> Result<Read, SourceError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(bytes).unwrap();
    let target = format!("docker-archive:{}{choice}", file.path().to_str().unwrap());
    open(&target, &OpenOptions::default()).and_then(|opened| read(opened, &PlatformSelector::All))
}

fn from_stream(bytes: &[u8]) -> Result<Read, SourceError> {
    let input = Box::new(io::Cursor::new(bytes.to_vec()));
    let stream = ArchiveStream::open(input, "the stream", None, &Limits::default())?;
    let opened = Opened::new("stdin", Access::Stream(Box::new(stream)));
    read(opened, &PlatformSelector::All)
}

fn from_directory(files: &Files, choice: &str) -> Result<Read, SourceError> {
    let root = files.directory();
    let target = format!("oci:{}{choice}", root.path().to_str().unwrap());
    open(&target, &OpenOptions::default()).and_then(|opened| read(opened, &PlatformSelector::All))
}

/// Reads an archive from disk and as a stream.
fn both_ways(bytes: &[u8]) -> [Result<Read, SourceError>; 2] {
    [from_disk(bytes, ""), from_stream(bytes)]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_form_of_an_image_reads_the_same() {
    let named = layout(&json!({"org.opencontainers.image.ref.name": NAME}));
    let mut forms: BTreeMap<String, Read> = BTreeMap::new();
    forms.insert("directory".to_owned(), from_directory(&named, "").unwrap());
    for (form, files) in [
        ("oci archive", &named),
        ("containerd archive", &containerd_archive()),
        ("classic archive", &classic_archive()),
        ("skopeo archive", &skopeo_archive()),
    ] {
        let [disk, stream] = both_ways(&files.tar());
        forms.insert(form.to_owned(), disk.unwrap());
        forms.insert(format!("{form}, streamed"), stream.unwrap());
        forms.insert(
            format!("{form}, compressed"),
            from_disk(&gzip(&files.tar()), "").unwrap(),
        );
    }
    for (form, read) in &forms {
        assert_eq!(read.reasons(), Vec::<&str>::new(), "{form}");
        assert_eq!(read.names(), [[NAME]], "{form}");
        assert_eq!(
            read.resolved.repository.as_deref(),
            Some("registry.example.com/app"),
            "{form}"
        );
        let image = &read.resolved.images[0];
        let expected = layers();
        assert_eq!(
            read.layers(0),
            expected.iter().map(Some).collect::<Vec<_>>(),
            "{form}"
        );
        assert_eq!(
            image.image_id.as_ref().unwrap().0,
            Digest::of(config().to_string().as_bytes()),
            "{form}"
        );
        assert!(
            image.config.fields.iter().any(|field| field.text == "NAME=value"),
            "{form}"
        );
        let steps: Vec<_> = image
            .layers
            .iter()
            .map(|layer| layer.history.clone().unwrap().created_by.unwrap())
            .collect();
        assert_eq!(steps, ["COPY one", "COPY two"], "{form}");
        assert!(image.layers.iter().all(|layer| layer.diff_id.is_some()), "{form}");
        let attested = usize::from(!form.contains("classic") && !form.contains("skopeo"));
        assert_eq!(image.attestations.len(), attested, "{form}");
        assert!(
            image
                .attestations
                .iter()
                .all(|attestation| read.blobs.contains_key(&attestation.blob)),
            "{form}"
        );
    }
    assert_eq!(forms["containerd archive"].kind, "docker-archive");
    assert_eq!(forms["oci archive"].kind, "oci-archive");
    assert_eq!(forms["directory"].kind, "oci-layout");
}

#[test]
fn links_give_a_layer_one_key() {
    for read in both_ways(&skopeo_archive().tar()) {
        let read = read.unwrap();
        let names = layers().map(|layer| format!("{}.tar", Digest::of(&layer).encoded()));
        for (layer, name) in read.resolved.images[0].layers.iter().zip(names) {
            assert_eq!(layer.blob, BlobKey::Member(name.into_bytes()));
        }
    }
}

#[test]
fn images_that_only_manifest_json_lists_are_read_too() {
    let mut files = containerd_archive();
    let other = json!({"os": "linux", "architecture": "arm64"}).to_string();
    files.list.retain(|(name, _)| name != "manifest.json");
    files
        .file("other.json", other)
        .file("other.tar", layers()[0].clone());
    let listed = json!([{"Config": format!("blobs/sha256/{}", Digest::of(config().to_string().as_bytes()).encoded()),
        "RepoTags": ["registry.example.com/app:1.4", "app:latest"], "Layers": []},
        {"Config": "other.json", "RepoTags": ["other:1"], "Layers": ["other.tar"]}]);
    files.file("manifest.json", listed.to_string());
    for read in both_ways(&files.tar()) {
        let read = read.unwrap();
        assert_eq!(read.names(), [vec![NAME, "app:latest"], vec!["other:1"]]);
        assert_eq!(read.layers(1), [Some(&layers()[0])]);
        assert_eq!(read.reasons(), Vec::<&str>::new());
    }
}

#[test]
fn an_archive_without_manifest_json_is_read_by_its_parents() {
    let mut files = classic_archive();
    files
        .list
        .retain(|(name, _)| name != "manifest.json" && !name.ends_with(".json"));
    files.file(
        "bb/json",
        json!({"id": "bb", "parent": "aa", "os": "linux", "config": {"Env": ["OLD=1"]}}).to_string(),
    );
    files.list.retain(|(name, member)| {
        name != "bb/json" || matches!(member, Member::File(bytes) if bytes.len() > 40)
    });
    for read in both_ways(&files.tar()) {
        let read = read.unwrap();
        assert_eq!(read.layers(0), layers().iter().map(Some).collect::<Vec<_>>());
        assert_eq!(read.names(), [[NAME]]);
        assert!(
            read.resolved.images[0]
                .config
                .fields
                .iter()
                .any(|field| field.text == "OLD=1")
        );
    }
}

#[test]
fn one_of_several_images_can_be_chosen() {
    let mut files = classic_archive();
    let mut listed: Value = json!([{"Config": "x.json", "RepoTags": ["other:1"], "Layers": []}]);
    let Some((_, Member::File(manifest))) = files
        .list
        .iter()
        .find(|(name, _)| name == "manifest.json")
        .cloned()
    else {
        panic!("the archive has one");
    };
    let own: Value = serde_json::from_slice(&manifest).unwrap();
    listed
        .as_array_mut()
        .unwrap()
        .extend(own.as_array().unwrap().iter().cloned());
    files.list.retain(|(name, _)| name != "manifest.json");
    files
        .file("x.json", r#"{"os":"linux"}"#)
        .file("manifest.json", listed.to_string());
    let bytes = files.tar();
    assert_eq!(from_disk(&bytes, "").unwrap().names().len(), 2);
    assert_eq!(from_disk(&bytes, &format!(":{NAME}")).unwrap().names(), [[NAME]]);
    assert_eq!(
        from_disk(&bytes, ":docker.io/library/other:1").unwrap().names(),
        [["other:1"]]
    );
    assert!(matches!(
        from_disk(&bytes, ":nothing"),
        Err(SourceError::NotFound { .. })
    ));
    let named = layout(&json!({"org.opencontainers.image.ref.name": "1.4"}));
    assert_eq!(from_directory(&named, ":1.4").unwrap().names(), [["1.4"]]);
    assert!(matches!(
        from_directory(&named, ":2"),
        Err(SourceError::NotFound { .. })
    ));
}

#[test]
fn a_truncated_archive_gives_what_it_has() {
    let mut files = Files::default();
    let classic = classic_archive();
    // Documents first: an archive may have its members in any order.
    files.list.extend(
        classic
            .list
            .iter()
            .filter(|(name, _)| name.ends_with("json"))
            .cloned(),
    );
    files.list.extend(
        classic
            .list
            .iter()
            .filter(|(name, _)| name.ends_with("layer.tar"))
            .cloned(),
    );
    let whole = files.tar();
    let cut = &whole[..whole.len() - 1024 - 700];
    for read in both_ways(cut) {
        let read = read.unwrap();
        assert_eq!(read.reasons(), ["truncated"]);
        assert_eq!(read.layers(0), [Some(&layers()[0]), None]);
    }
    let packed = gzip(&whole);
    let read = from_stream(&packed[..packed.len() - 20]).unwrap();
    assert!(read.reasons().contains(&"truncated"), "{:?}", read.reasons());
}

#[test]
fn no_cut_makes_an_archive_look_complete() {
    let whole = containerd_archive().tar();
    let complete = from_stream(&whole).unwrap();
    for length in (0..whole.len() - 1024).step_by(512).chain([1, 700, 5000]) {
        for read in both_ways(&whole[..length]) {
            let Ok(read) = read else { continue };
            let has_all = read.resolved.images.len() == 1
                && read.layers(0).iter().all(Option::is_some)
                && read.layers(0).len() == complete.layers(0).len();
            assert!(
                has_all || !read.reasons().is_empty() || read.layers(0).contains(&None),
                "{length}"
            );
        }
    }
}

#[test]
fn of_two_members_with_one_name_the_last_counts() {
    let mut files = classic_archive();
    files.file("bb/layer.tar", "later");
    for read in both_ways(&files.tar()) {
        let read = read.unwrap();
        assert_eq!(read.reasons(), ["duplicate-member"]);
        assert_eq!(read.layers(0)[1].unwrap(), b"later");
    }
}

#[test]
fn links_that_lead_nowhere_give_no_layer() {
    for target in ["../../outside.tar", "layer.tar", "../cc/layer.tar", "/etc/passwd"] {
        let mut files = classic_archive();
        files.list.retain(|(name, _)| name != "bb/layer.tar");
        files.symlink("bb/layer.tar", target);
        for read in both_ways(&files.tar()) {
            let read = read.unwrap();
            assert_eq!(read.layers(0), [Some(&layers()[0]), None], "{target}");
        }
    }
}

#[test]
fn hard_links_are_followed() {
    let mut files = classic_archive();
    files.list.retain(|(name, _)| name != "bb/layer.tar");
    files
        .list
        .push(("bb/layer.tar".into(), Member::Hard("aa/layer.tar".into())));
    for read in both_ways(&files.tar()) {
        assert_eq!(read.unwrap().layers(0), [Some(&layers()[0]); 2]);
    }
}

#[test]
fn a_configuration_under_a_wrong_name_is_told() {
    let mut files = classic_archive();
    for (name, member) in &mut files.list {
        if name.len() == 69 {
            *member = Member::File(br#"{"os":"linux"}"#.to_vec());
        }
    }
    for read in both_ways(&files.tar()) {
        assert!(read.unwrap().reasons().contains(&"digest-mismatch"));
    }
}

#[test]
fn a_missing_configuration_leaves_the_layers() {
    let mut files = classic_archive();
    files.list.retain(|(name, _)| name.len() != 69);
    for read in both_ways(&files.tar()) {
        let read = read.unwrap();
        assert_eq!((read.reasons(), read.layers(0).len()), (vec!["not-found"], 2));
    }
}

#[test]
fn a_broken_layout_does_not_hide_what_manifest_json_lists() {
    let mut files = containerd_archive();
    for (name, member) in &mut files.list {
        if name == "index.json" {
            *member = Member::File(b"{".to_vec());
        }
    }
    for read in both_ways(&files.tar()) {
        let read = read.unwrap();
        assert_eq!((read.reasons(), read.layers(0).len()), (vec!["malformed"], 2));
    }
}

#[test]
fn blobs_of_a_layout_are_regular_files_inside_of_it() {
    let outside = tempfile::tempdir().unwrap();
    for inside in [true, false] {
        let mut files = layout(&json!({}));
        let blob = format!("blobs/sha256/{}", Digest::of(&layers()[0]).encoded());
        files.list.retain(|(name, _)| *name != blob);
        std::fs::write(outside.path().join("layer"), &layers()[0]).unwrap();
        if inside {
            files
                .file("elsewhere", layers()[0].clone())
                .symlink(&blob, "../../elsewhere");
        } else {
            files.symlink(&blob, outside.path().join("layer").to_str().unwrap());
        }
        let read = from_directory(&files, "").unwrap();
        assert_eq!(read.layers(0)[0].is_some(), inside);
    }
    let mut files = layout(&json!({}));
    let blob = format!("blobs/sha256/{}", Digest::of(&layers()[0]).encoded());
    files.list.retain(|(name, _)| *name != blob);
    files.file(&format!("{blob}/file"), "");
    assert_eq!(from_directory(&files, "").unwrap().layers(0)[0], None);
}

#[test]
fn documents_of_a_stream_are_bounded() {
    let mut files = Files::default();
    for number in 0..10 {
        files.file(
            &format!("blobs/{number}"),
            format!("[\"{}\"]", "x".repeat(8 << 20)),
        );
    }
    files.file("manifest.json", r#"[{"Config":"c","RepoTags":[],"Layers":[]}]"#);
    let mut stream = ArchiveStream::open(
        Box::new(io::Cursor::new(files.tar())),
        "it",
        None,
        &Limits::default(),
    )
    .unwrap();
    let mut given_out = 0;
    while let Some(mut blob) = stream.next_blob().unwrap() {
        given_out += io::copy(&mut blob.reader, &mut io::sink()).unwrap();
    }
    assert!(given_out > 15 << 20, "{given_out}");
}

#[test]
fn what_is_no_image_says_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("text"), "hello").unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("other.tar"), Files::default().file("a", "b").tar()).unwrap();
    std::fs::write(path("zip"), b"PK\x03\x04 and so on").unwrap();
    for (target, expected) in [
        (path("text"), "no tar archive"),
        (path("empty"), "it is empty"),
        (path("other.tar"), "neither `manifest.json` nor `index.json`"),
        (path("zip"), "no tar archive"),
        (path(""), "docker://NAME"),
    ] {
        // What an archive lacks is told when it is resolved: it may have ended early.
        let error = open(&target, &OpenOptions::default())
            .and_then(|opened| match opened.access {
                Access::Random(source) => source.resolve(&PlatformSelector::All, &Limits::default()),
                Access::Stream(mut stream) => stream.resolve(&PlatformSelector::All, &Limits::default()),
            })
            .unwrap_err();
        assert!(matches!(error, SourceError::NotAnImage { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    for target in [
        path("missing"),
        "./missing".to_owned(),
        "missing.tar.gz".to_owned(),
    ] {
        let error = open(&target, &OpenOptions::default()).unwrap_err();
        assert!(matches!(error, SourceError::NoSuchFile { .. }), "{error}");
    }
    for (bytes, expected) in [
        (&b""[..], "it is empty"),
        (b"hello", "no tar archive"),
        (&[0; 1024], "neither"),
    ] {
        let error = from_stream(bytes).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_name_that_is_printed_has_no_password() {
    let login = ["user", "word"].join(":");
    for scheme in ["docker://", ""] {
        // With a port it looks like a digest.
        for host in [
            "registry.example.com",
            "registry.example.com:5000",
            "localhost:5000",
        ] {
            let target = format!("{scheme}{login}@{host}/app:1");
            assert_eq!(printable(&target), format!("{scheme}{host}/app:1"));
        }
    }
    for (target, shown) in [("alpine", "alpine"), ("a\u{1b}[2J", "a\\u{1b}[2J"), ("-", "-")] {
        assert_eq!(printable(target), shown);
    }
    let pinned = format!("registry.example.com/app@{}", Digest::of(b""));
    assert_eq!(printable(&pinned), pinned);
    let short = format!("alpine@{}", Digest::of(b""));
    assert_eq!(printable(&short), short);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn damage_never_panics_and_never_looks_complete(at in 0usize..20_000, byte in 1u8..) {
        let mut bytes = classic_archive().tar();
        let at = at % bytes.len();
        bytes[at] ^= byte;
        let [disk, stream] = both_ways(&bytes);
        // What is read differs from the original in a byte, a name or not at all; both ways see the same.
        if let (Ok(disk), Ok(stream)) = (disk, stream) {
            proptest::prop_assert_eq!(disk.layers(0), stream.layers(0));
            proptest::prop_assert_eq!(disk.names(), stream.names());
        }
    }
}
