//! What an archive holds, on disk or streamed: from `index.json`, `manifest.json` or `repositories` to images.
//! Documents are asked for by the names of members; no layer is opened.

use std::collections::HashSet;

use super::walk::{self, Documents, Root, Stored, Walk};
use super::{Problem, Resolved, SourceError};
use crate::limits::Limits;
use crate::oci::{
    self, BlobKey, Descriptor, Digest, Image, ImageConfig, ImageId, PlatformSelector, Reference, SavedImage,
};

/// An archive whose members can be named.
pub(super) trait Archive {
    /// How messages call it.
    fn label(&self) -> String;

    /// The names of all files in it, sorted.
    fn files(&self) -> Vec<&[u8]>;

    /// The name of the file that `name` leads to, links followed.
    fn name_of(&self, name: &[u8]) -> Option<Vec<u8>>;

    /// The content of the member `name`, links followed, as far as it is a document of at most `cap` bytes.
    fn member(&self, name: &[u8], cap: u64) -> Result<Vec<u8>, SourceError>;
}

/// How the blob in the member `name` is named: by its digest below `blobs`, by the member's name elsewhere. A
/// stream uses the same function when it gives the blob out, so both agree.
pub(super) fn key_of(name: &[u8]) -> BlobKey {
    let digest = std::str::from_utf8(name).ok().and_then(|name| {
        let (algorithm, encoded) = name.strip_prefix("blobs/")?.split_once('/')?;
        Digest::parse(&format!("{algorithm}:{encoded}")).ok()
    });
    digest.map_or_else(|| BlobKey::Member(name.to_vec()), BlobKey::Digest)
}

/// The member that holds the blob `key`.
pub(super) fn member_of(key: &BlobKey) -> Vec<u8> {
    match key {
        BlobKey::Digest(digest) => format!("blobs/{}/{}", digest.algorithm_name(), digest.encoded()).into(),
        BlobKey::Member(name) => name.clone(),
    }
}

/// The documents of an archive that is also a layout.
struct Blobs<'a>(&'a dyn Archive);

impl Documents for Blobs<'_> {
    fn document(&self, descriptor: &Descriptor, cap: u64) -> Result<Vec<u8>, SourceError> {
        self.0
            .member(&member_of(&BlobKey::Digest(descriptor.digest.clone())), cap)
    }
}

/// Finds the images of an archive, those called `choice` where it is given.
///
/// A layout in it goes first, for it has digests and attestations. Images that only `manifest.json` lists come
/// after, and its names are added to those the layout has too; `repositories` counts where there is neither.
///
/// *Errors*: where not one image can be told.
pub(super) fn resolve(
    archive: &dyn Archive,
    choice: Option<&str>,
    platforms: &PlatformSelector,
    limits: &Limits,
) -> Result<Resolved, SourceError> {
    let has = |name: &str| archive.name_of(name.as_bytes()).is_some();
    let walk = Walk {
        documents: &Blobs(archive),
        platforms,
        limits,
    };
    let mut failed: Option<SourceError> = None;
    let mut resolved = Resolved::default();
    if has(INDEX) {
        let layout = archive
            .member(INDEX.as_bytes(), limits.manifest_bytes)
            .and_then(|bytes| {
                // Docker's names are those of `manifest.json`. Where there is one, the choice is made at the end.
                let choice = choice.filter(|_| !has(MANIFEST)).map(str::to_owned);
                walk::resolve_root(&walk, Root::Layout { bytes, choice }, &[])
            });
        match layout {
            Ok(layout) => resolved = layout,
            Err(error) => failed = Some(error),
        }
    }
    let mut saved = Saved {
        archive,
        platforms,
        limits,
        resolved,
    };
    let listed = match (has(MANIFEST), has(INDEX), has(REPOSITORIES)) {
        (true, ..) => saved.listed(),
        (false, false, true) => saved.tagged(),
        (false, false, false) => Err(SourceError::NotAnImage {
            what: archive.label(),
            why: NO_LIST.to_owned(),
        }),
        (false, true, _) => Ok(()),
    };
    let mut resolved = saved.resolved;
    let errors: Vec<SourceError> = failed.into_iter().chain(listed.err()).collect();
    if resolved.images.is_empty()
        && !errors.is_empty()
        && choice.is_none()
        && !errors
            .iter()
            .any(|error| matches!(error, SourceError::NoSuchPlatform { .. }))
        && let Some(remains) = remains(&walk, archive)
    {
        resolved.images = remains.images;
        resolved.problems.extend(remains.problems);
        resolved.not_chosen.extend(remains.not_chosen);
    }
    for error in errors {
        if resolved.images.is_empty() {
            return Err(error);
        }
        let (why, reason) = match error {
            SourceError::NotAnImage { why, .. } => (
                format!("{why}, as one that ends early; what it does hold was scanned"),
                "missing-list",
            ),
            error => (error.with_causes(), error.reason()),
        };
        resolved.problems.push(Problem {
            what: "the archive".to_owned(),
            why,
            reason,
        });
    }
    if let Some(choice) = choice.filter(|_| has(MANIFEST) || !has(INDEX)) {
        resolved.images.retain(|image| is_chosen(image, choice));
        if resolved.images.is_empty() {
            return Err(SourceError::NotFound {
                what: format!("`{}` in this archive", crate::text::escape(choice.as_bytes())),
            });
        }
    }
    settle(&mut resolved, archive);
    Ok(resolved)
}

/// What an archive holds whose list of images is missing or broken, as a truncated one's is: `docker save` writes the
/// list last. Manifests are found by what they are. Blobs that none of them lists are put into one image without a
/// name, in no known order and with a layer missing, so that nothing is called present that may have been deleted.
///
/// `None` where no file has the name of a blob, a layer or a configuration.
fn remains(walk: &Walk<'_>, archive: &dyn Archive) -> Option<Resolved> {
    let mut documents: Vec<(BlobKey, Vec<u8>)> = Vec::new();
    let mut blobs = Vec::new();
    for name in archive.files().into_iter().filter(|name| is_part(name)) {
        let key = key_of(name);
        match archive.member(name, walk.limits.manifest_bytes) {
            Ok(bytes) if bytes.trim_ascii_start().starts_with(b"{") => documents.push((key, bytes)),
            _ => blobs.push(key),
        }
    }
    if documents.is_empty() && blobs.is_empty() {
        return None;
    }
    let mut resolved = Resolved::default();
    let manifests = documents.iter().filter_map(|(key, bytes)| {
        let BlobKey::Digest(digest) = key else { return None };
        let parsed = oci::Document::parse(bytes, None).ok()?;
        let is_manifest = parsed
            .value
            .manifest()
            .is_some_and(|manifest| !manifest.layers.is_empty());
        (is_manifest || parsed.value.index().is_some()).then(|| (digest.clone(), bytes.clone()))
    });
    for (digest, bytes) in manifests.take(walk.limits.manifests) {
        let root = Root::Document {
            bytes,
            media_type: None,
            digest: Some(digest),
        };
        if let Ok(found) = walk::resolve_root(walk, root, &[]) {
            resolved.problems.extend(found.problems);
            resolved.not_chosen.extend(found.not_chosen);
            for image in found.images {
                // An index and its manifests are all among the documents.
                if image.manifest.is_none()
                    || resolved
                        .images
                        .iter()
                        .all(|known| known.manifest != image.manifest)
                {
                    resolved.images.push(image);
                }
            }
        }
    }
    let is_used = |key: &BlobKey| {
        resolved.images.iter().any(|image| {
            let named = [image.manifest.as_ref(), image.image_id.as_ref().map(|id| &id.0)];
            matches!(key, BlobKey::Digest(digest) if named.contains(&Some(digest)))
                || image.layers.iter().any(|layer| layer.blob == *key)
                || image
                    .attestations
                    .iter()
                    .any(|attestation| attestation.blob == *key)
        })
    };
    blobs.retain(|key| !is_used(key));
    documents.retain(|(key, _)| !is_used(key));
    let over = blobs.len().saturating_sub(walk.limits.layers);
    blobs.truncate(walk.limits.layers);
    if over > 0 {
        resolved.problems.push(Problem {
            what: archive.label(),
            why: format!("{} beyond the limit", crate::text::counted(over as u64, "layer")),
            reason: crate::limits::LimitHit::Layers.name(),
        });
    }
    let fields = documents
        .iter()
        .flat_map(|(_, bytes)| oci::fields("config", bytes))
        .collect();
    if !blobs.is_empty() || !documents.is_empty() {
        blobs.push(BlobKey::Member(b"(the rest of the archive)".to_vec()));
        let stored = blobs.into_iter().map(|key| Stored {
            key,
            descriptor: None,
        });
        let (layers, _) = walk::align(stored.collect(), &ImageConfig::default(), "");
        resolved.images.push(Image {
            names: Vec::new(),
            platform: None,
            manifest: None,
            image_id: None,
            artifact_type: None,
            config: ImageConfig::default(),
            fields,
            layers,
            attestations: Vec::new(),
        });
    }
    Some(resolved)
}

/// Whether a member has a name that blobs, layers and configurations have, and nothing else.
pub(super) fn is_part(name: &[u8]) -> bool {
    if matches!(key_of(name), BlobKey::Digest(_)) || name.ends_with(b"/layer.tar") {
        return true;
    }
    let stem = name.strip_suffix(b".json").or_else(|| name.strip_suffix(b".tar"));
    stem.is_some_and(|stem| stem.len() == 64 && stem.iter().all(u8::is_ascii_hexdigit))
}

/// Names each blob by the member it really is in, and the repository if all names agree on one.
fn settle(resolved: &mut Resolved, archive: &dyn Archive) {
    let canonical = |key: &mut BlobKey| {
        if let Some(name) = archive.name_of(&member_of(key)) {
            *key = key_of(&name);
        }
    };
    for image in &mut resolved.images {
        image
            .layers
            .iter_mut()
            .for_each(|layer| canonical(&mut layer.blob));
        image
            .attestations
            .iter_mut()
            .for_each(|attestation| canonical(&mut attestation.blob));
    }
    resolved.repository = common_repository(&resolved.images);
    resolved.not_chosen.sort();
    resolved.not_chosen.dedup();
}

/// The repository that all names of all images are in.
pub(super) fn common_repository(images: &[Image]) -> Option<String> {
    let mut repositories = images
        .iter()
        .flat_map(|image| &image.names)
        // A bare tag, as layouts have it, is no name of a repository.
        .filter(|name| name.contains([':', '/']))
        .filter_map(|name| Reference::parse(name).ok())
        .map(|reference| reference.name());
    let first = repositories.next()?;
    repositories.all(|other| other == first).then_some(first)
}

fn is_chosen(image: &Image, choice: &str) -> bool {
    let same = |name: &String| name == choice || same_reference(name, choice);
    let digests = [
        image.manifest.as_ref(),
        image.image_id.as_ref().map(|image_id| &image_id.0),
    ];
    image.names.iter().any(same)
        || digests
            .into_iter()
            .flatten()
            .any(|digest| digest.as_str() == choice)
}

/// Whether two names mean the same: `app:1` is `docker.io/library/app:1`.
fn same_reference(one: &str, other: &str) -> bool {
    match (Reference::parse(one), Reference::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Reads the images that Docker's own documents list.
struct Saved<'a> {
    archive: &'a dyn Archive,
    platforms: &'a PlatformSelector,
    limits: &'a Limits,
    resolved: Resolved,
}

impl Saved<'_> {
    fn problem(&mut self, what: &str, why: impl Into<String>, reason: &'static str) {
        self.resolved.problems.push(Problem {
            what: what.to_owned(),
            why: why.into(),
            reason,
        });
    }

    /// The images of `manifest.json`.
    fn listed(&mut self) -> Result<(), SourceError> {
        let bytes = self
            .archive
            .member(MANIFEST.as_bytes(), self.limits.manifest_bytes)?;
        let parsed = SavedImage::parse_all(&bytes).map_err(|error| malformed(MANIFEST, &error))?;
        for oddity in &parsed.oddities {
            self.problem(&format!("`{MANIFEST}`"), oddity.to_string(), oddity.reason());
        }
        if parsed.value.len() > self.limits.manifests {
            let why = format!(
                "it lists {}",
                crate::text::counted(parsed.value.len() as u64, "image")
            );
            let limit = crate::limits::LimitHit::Manifests.name();
            self.problem(&format!("`{MANIFEST}`"), why, limit);
        }
        for image in parsed.value.iter().take(self.limits.manifests) {
            self.image(image);
        }
        Ok(())
    }

    fn image(&mut self, saved: &SavedImage) {
        let config = self.config(&saved.config);
        let same_id = |image: &&mut Image| config.id.is_some() && image.image_id == config.id;
        let mut known = false;
        for image in self.resolved.images.iter_mut().filter(same_id) {
            known = true;
            for name in &saved.names {
                if !image.names.iter().any(|other| same_reference(name, other)) {
                    walk::add_names(image, std::slice::from_ref(name));
                }
            }
        }
        if known {
            return;
        }
        let platform = config.value.platform.clone();
        let platform =
            Some(platform).filter(|platform| !platform.os.is_empty() || !platform.architecture.is_empty());
        if !self.platforms.wants(platform.as_ref()) {
            self.resolved.not_chosen.extend(platform);
            return;
        }
        let place = match saved.names.first() {
            Some(name) => format!("image `{}`", crate::text::escape(name.as_bytes())),
            None => format!(
                "image with the configuration `{}`",
                crate::text::escape(saved.config.as_bytes())
            ),
        };
        if saved.layers.len() > self.limits.layers {
            let why = format!(
                "it has {}",
                crate::text::counted(saved.layers.len() as u64, "layer")
            );
            self.problem(&place, why, crate::limits::LimitHit::Layers.name());
        }
        let mut fields = config.fields;
        let mut stored = Vec::new();
        for (position, name) in saved.layers.iter().take(self.limits.layers).enumerate() {
            fields.extend(self.layer_json(position, name));
            stored.push(Stored {
                key: BlobKey::Member(name.clone().into_bytes()),
                descriptor: None,
            });
        }
        let (layers, problem) = walk::align(stored, &config.value, &place);
        self.resolved.problems.extend(problem);
        self.resolved.images.push(Image {
            names: saved.names.clone(),
            platform,
            manifest: None,
            image_id: config.id,
            artifact_type: None,
            config: config.value,
            fields,
            layers,
            attestations: Vec::new(),
        });
    }

    fn config(&mut self, name: &str) -> Config {
        let what = format!("configuration `{}`", crate::text::escape(name.as_bytes()));
        let bytes = match self.archive.member(name.as_bytes(), self.limits.config_bytes) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(&what, error.with_causes(), error.reason());
                return Config::default();
            }
        };
        let id = Digest::of(&bytes);
        // Members of that form are named by their digest; a name of another form promises nothing.
        let stem = name.rsplit('/').next().unwrap_or(name).trim_end_matches(".json");
        let promised = Digest::parse(&format!("sha256:{stem}")).ok();
        if promised.is_some_and(|promised| promised != id) {
            let why = format!("its digest is `{id}`, not the one it is named by");
            self.problem(&what, why, "digest-mismatch");
        }
        match ImageConfig::parse(&bytes) {
            Ok(parsed) => {
                for oddity in &parsed.oddities {
                    self.problem(&what, oddity.to_string(), oddity.reason());
                }
                Config {
                    id: Some(ImageId(id)),
                    value: parsed.value,
                    fields: Vec::new(),
                }
            }
            Err(error) => {
                self.problem(&what, error.to_string(), "malformed-config");
                Config {
                    id: Some(ImageId(id)),
                    value: ImageConfig::default(),
                    fields: oci::fields("config", &bytes),
                }
            }
        }
    }

    /// The texts of the `json` that old versions of Docker read beside each layer.
    fn layer_json(&self, position: usize, layer: &str) -> Vec<oci::ConfigField> {
        let Some(folder) = layer.strip_suffix("/layer.tar") else {
            return Vec::new();
        };
        let name = format!("{folder}/json");
        let bytes = self.archive.member(name.as_bytes(), self.limits.config_bytes);
        let root = format!("layers[{position}].json");
        bytes.map_or_else(|_| Vec::new(), |bytes| oci::fields(&root, &bytes))
    }

    /// The images of `repositories`, whose layers are linked by the ids of their parents.
    fn tagged(&mut self) -> Result<(), SourceError> {
        let bytes = self
            .archive
            .member(REPOSITORIES.as_bytes(), self.limits.manifest_bytes)?;
        let tags = oci::repositories(&bytes).map_err(|error| malformed(REPOSITORIES, &error))?;
        let mut images: Vec<(String, SavedImage)> = Vec::new();
        for (name, id) in tags.into_iter().take(self.limits.manifests) {
            if let Some((_, image)) = images.iter_mut().find(|(known, _)| *known == id) {
                image.names.push(name);
                continue;
            }
            let mut layers = Vec::new();
            let mut seen = HashSet::new();
            let mut next = Some(id.clone());
            while let Some(layer) = next.take().filter(|layer| seen.insert(layer.clone())) {
                layers.push(format!("{layer}/layer.tar"));
                let json = self
                    .archive
                    .member(format!("{layer}/json").as_bytes(), self.limits.config_bytes);
                next = json.ok().and_then(|bytes| oci::parent_layer(&bytes));
                if layers.len() > self.limits.layers {
                    break;
                }
            }
            layers.reverse();
            let image = SavedImage {
                config: format!("{id}/json"),
                names: vec![name],
                layers,
            };
            images.push((id, image));
        }
        for (_, image) in &images {
            self.image(image);
        }
        Ok(())
    }
}

/// A configuration as far as it could be read.
#[derive(Default)]
struct Config {
    id: Option<ImageId>,
    value: ImageConfig,
    /// Its texts, where it is none.
    fields: Vec<oci::ConfigField>,
}

fn malformed(name: &str, error: &oci::DocumentError) -> SourceError {
    SourceError::Malformed {
        what: format!("`{name}`"),
        why: error.to_string(),
    }
}

/// What `duplicates` and the end of an archive say about it.
pub(super) fn archive_problems(duplicates: &[Vec<u8>], is_truncated: bool, is_damaged: bool) -> Vec<Problem> {
    let archive = |why: &str, reason| Problem {
        what: "the archive".to_owned(),
        why: why.to_owned(),
        reason,
    };
    let repeated = duplicates.iter().map(|name| Problem {
        what: format!("member `{}`", crate::text::escape(name)),
        why: "it is in the archive more than once; the last one was read".to_owned(),
        reason: "duplicate-member",
    });
    repeated
        .chain(is_truncated.then(|| archive("it ends within a member", "truncated")))
        .chain(is_damaged.then(|| archive("a header in it cannot be read", "tar-malformed-header")))
        .collect()
}

/// Why an archive is no image.
pub(super) const NO_LIST: &str = "it holds neither `manifest.json` nor `index.json`";
const INDEX: &str = "index.json";
const MANIFEST: &str = "manifest.json";
const REPOSITORIES: &str = "repositories";
