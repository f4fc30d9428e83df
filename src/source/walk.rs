//! From a root document to images: follows indexes and manifests by digest, verifies every document and ties
//! attestations to their images. Shared by all sources that serve documents by digest; opens no layer and never
//! follows the `urls` of a descriptor.

use std::collections::{HashMap, HashSet};

use super::{Problem, Resolved, SourceError};
use crate::limits::{LimitHit, Limits};
use crate::oci::media_type::{Claim, claim};
use crate::oci::{
    self, Attestation, BlobKey, ConfigField, Descriptor, Digest, Document, DocumentOddity, Hasher, Image,
    ImageConfig, ImageId, Layer, Manifest, Platform, PlatformSelector,
};
use crate::text;

/// Serves documents by their descriptor.
pub trait Documents {
    /// The bytes of the document that `descriptor` names, as stored: unverified, and whatever size it claims.
    ///
    /// *Errors*: [`SourceError::Limit`] where they are more than `cap`; others where they cannot be had. An
    /// implementation does not compare digests: bytes that are wrong are still scanned.
    fn document(&self, descriptor: &Descriptor, cap: u64) -> Result<Vec<u8>, SourceError>;

    /// The same for what an index lists: registries keep manifests and indexes apart from blobs, whatever media
    /// type they have.
    fn manifest(&self, descriptor: &Descriptor, cap: u64) -> Result<Vec<u8>, SourceError> {
        self.document(descriptor, cap)
    }

    /// The indexes, of at most `cap` bytes each, that together list what refers to the manifest `digest`; `None` where
    /// that is not kept or not wanted.
    fn referrers(&self, _digest: &Digest, _cap: u64) -> Result<Option<Vec<Vec<u8>>>, SourceError> {
        Ok(None)
    }
}

/// Where a walk begins.
#[derive(Clone, Debug)]
pub enum Root {
    /// A document that was fetched by a name.
    Document {
        /// Its bytes.
        bytes: Vec<u8>,
        /// The Content-Type it came with.
        media_type: Option<String>,
        /// The digest it was asked by, which it must have.
        digest: Option<Digest>,
    },
    /// The `index.json` of a layout: a list of roots rather than an image. *Source*: image-spec `image-layout.md`.
    Layout {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Which of them is wanted, by `org.opencontainers.image.ref.name`, full name or digest; all where `None`.
        choice: Option<String>,
    },
}

/// What a walk needs besides its root.
pub struct Walk<'a> {
    /// Serves the documents below the root.
    pub documents: &'a dyn Documents,
    /// Which platforms are wanted.
    pub platforms: &'a PlatformSelector,
    /// Caps on documents, depth and number.
    pub limits: &'a Limits,
}

/// Finds the images below `root`, which the source knows by `names`.
///
/// Every document is held to its digest and size. One that does not match is a [`Problem`]; it is followed only
/// where nothing else was found, otherwise its texts are kept as an image without layers. A child that cannot be
/// read is a [`Problem`] and not an error of the others.
///
/// An attestation manifest is tied to the image it names; one of a platform that was not chosen is left out with
/// it, one of no known image becomes an artifact of its own. So does whatever has no image configuration, and
/// whatever refers to an image without being listed with it.
///
/// *Errors*: where not one image could be told. An empty index is no error.
/// *Limits*: [`LimitHit::Document`], [`LimitHit::IndexDepth`], [`LimitHit::Layers`], [`LimitHit::Manifests`], each
/// a problem of that name. *Source*: image-spec `image-index.md`, `manifest.md`; BuildKit's attestation storage.
pub fn resolve_root(walk: &Walk<'_>, root: Root, names: &[String]) -> Result<Resolved, SourceError> {
    let mut walker = Walker::new(walk, names);
    let context = Context {
        names: names.to_vec(),
        ..Context::default()
    };
    match root {
        Root::Document {
            bytes,
            media_type,
            digest,
        } => {
            let actual = Digest::of(&bytes);
            let expected = digest.unwrap_or_else(|| actual.clone());
            let media_type = media_type.unwrap_or_default();
            let descriptor = Descriptor::new(&media_type, expected, bytes.len() as u64);
            // Nothing else can be found below a root that does not match: it is followed, and the problem stays.
            walker.verify(&descriptor, &bytes, &describe("document", &descriptor));
            walker.resolved.digest = Some(descriptor.digest.clone());
            walker.visited.insert(descriptor.digest.clone());
            walker.follow(&Node {
                descriptor,
                bytes,
                context,
            });
        }
        Root::Layout { bytes, choice } => walker.layout(&bytes, choice.as_deref(), &context)?,
    }
    walker.finish()
}

/// What a document inherits from those above it.
#[derive(Clone, Debug, Default)]
struct Context {
    depth: usize,
    names: Vec<String>,
    /// What the index says of this descriptor.
    fields: Vec<ConfigField>,
}

/// A document that was read, and how the walk came to it.
struct Node {
    descriptor: Descriptor,
    bytes: Vec<u8>,
    context: Context,
}

/// An attestation manifest that waits for its image.
struct Pending {
    target: Option<Digest>,
    image: Image,
}

struct Walker<'a> {
    walk: &'a Walk<'a>,
    resolved: Resolved,
    visited: HashSet<Digest>,
    /// Manifests of platforms that were not chosen.
    left_out: HashSet<Digest>,
    pending: Vec<Pending>,
    /// Documents whose bytes do not have the digest they were asked by.
    doubtful: Vec<Node>,
    /// Documents of which only the text is of use.
    unread: Vec<Image>,
    first_error: Option<SourceError>,
    descriptors: usize,
    names: &'a [String],
    /// Whether what is visited refers to something that was found before.
    referring: bool,
}

impl<'a> Walker<'a> {
    fn new(walk: &'a Walk<'a>, names: &'a [String]) -> Self {
        Self {
            walk,
            resolved: Resolved::default(),
            visited: HashSet::new(),
            left_out: HashSet::new(),
            pending: Vec::new(),
            doubtful: Vec::new(),
            unread: Vec::new(),
            first_error: None,
            descriptors: 0,
            names,
            referring: false,
        }
    }

    fn problem(&mut self, what: &str, reason: &'static str, why: impl Into<String>) {
        let why = why.into();
        if self.first_error.is_none() {
            self.first_error = Some(SourceError::Malformed {
                what: what.to_owned(),
                why: why.clone(),
            });
        }
        self.resolved.problems.push(Problem {
            what: what.to_owned(),
            why,
            reason,
        });
    }

    fn failed(&mut self, what: &str, error: SourceError) {
        self.resolved.problems.push(Problem {
            what: what.to_owned(),
            why: error.with_causes(),
            reason: error.reason(),
        });
        self.first_error.get_or_insert(error);
    }

    fn odd(&mut self, what: &str, oddities: &[DocumentOddity]) {
        for oddity in oddities {
            self.problem(what, oddity.reason(), oddity.to_string());
        }
    }

    fn layout(&mut self, bytes: &[u8], choice: Option<&str>, context: &Context) -> Result<(), SourceError> {
        let what = "`index.json`";
        let malformed = |why: String| SourceError::Malformed {
            what: what.to_owned(),
            why,
        };
        let parsed = Document::parse(bytes, Some(oci::media_type::OCI_INDEX))
            .map_err(|error| malformed(error.to_string()))?;
        let index = parsed.value.index().cloned();
        let index = index.ok_or_else(|| malformed("it lists no manifests".to_owned()))?;
        self.odd(what, &parsed.oddities);
        let mut listed = Listed::new(index.manifests, parsed.alternatives, &parsed.oddities);
        if let Some(choice) = choice {
            listed
                .descriptors
                .retain(|(_, descriptor)| is_named(descriptor, choice));
            if listed.descriptors.is_empty() {
                return Err(SourceError::NotFound {
                    what: format!("`{}` in this layout", crate::text::escape(choice.as_bytes())),
                });
            }
        }
        if let [(_, only)] = listed.descriptors.as_slice() {
            self.resolved.digest = Some(only.digest.clone());
        }
        self.children(listed, oci::fields("index", bytes), context);
        Ok(())
    }

    /// Reads what `descriptor` names and follows it.
    fn visit(&mut self, descriptor: &Descriptor, context: &Context) {
        let what = describe("manifest", descriptor);
        self.descriptors += 1;
        if self.descriptors > self.walk.limits.manifests {
            // Told once: ten thousand further problems would say nothing more.
            if self.descriptors == self.walk.limits.manifests + 1 {
                self.limit(&what, LimitHit::Manifests);
            }
            return;
        }
        if self.visited.contains(&descriptor.digest) {
            self.name_again(&descriptor.digest, &context.names);
            return;
        }
        let platform = known(descriptor.platform.as_ref());
        if !self.walk.platforms.wants(platform.as_ref()) {
            self.left_out.insert(descriptor.digest.clone());
            self.resolved.not_chosen.extend(platform);
            return;
        }
        self.visited.insert(descriptor.digest.clone());
        if is_blob(&descriptor.media_type) {
            self.resolved.images.push(bare_blob(descriptor, context));
            return;
        }
        let Some(document) = self.load(descriptor, Kind::Manifest, &what) else {
            return;
        };
        let node = Node {
            descriptor: descriptor.clone(),
            bytes: document.bytes,
            context: context.clone(),
        };
        if document.verified {
            self.follow(&node);
        } else {
            self.doubtful.push(node);
        }
    }

    /// Reads a document as a manifest, an index or both, and follows them.
    fn follow(&mut self, node: &Node) {
        let Node {
            descriptor,
            bytes,
            context,
        } = node;
        let content_type = Some(descriptor.media_type.as_str()).filter(|media_type| !media_type.is_empty());
        let parsed = match Document::parse(bytes, content_type) {
            Ok(parsed) => parsed,
            Err(error) => {
                let reason = match error {
                    oci::DocumentError::Malformed { .. } => "malformed-manifest",
                    oci::DocumentError::Schema1 => "schema-1",
                };
                self.problem(&describe("document", descriptor), reason, error.to_string());
                self.unread.push(text_only(node));
                return;
            }
        };
        let what = describe("document", descriptor);
        self.odd(&what, &parsed.oddities);
        if matches!(parsed.value, Document::Ambiguous(..)) {
            let why = "it is a manifest and an index at once; both readings were followed";
            self.problem(&what, "ambiguous-manifest", why);
        }
        if let Some(manifest) = parsed.value.manifest() {
            self.manifest(node, manifest, &parsed.alternatives);
        }
        if let Some(index) = parsed.value.index() {
            if context.depth >= self.walk.limits.index_depth {
                self.limit(&what, LimitHit::IndexDepth);
                self.unread.push(text_only(node));
                return;
            }
            if context.depth == 0 && self.resolved.digest.as_ref() == Some(&descriptor.digest) {
                self.resolved.index = Some(descriptor.digest.clone());
            }
            let alternatives = match parsed.value.manifest() {
                Some(_) => Vec::new(),
                None => parsed.alternatives.clone(),
            };
            let listed = Listed::new(index.manifests.clone(), alternatives, &parsed.oddities);
            let below = Context {
                depth: context.depth + 1,
                ..context.clone()
            };
            self.children(listed, oci::fields("index", bytes), &below);
        }
    }

    /// Visits what an index lists, images before attestations.
    ///
    /// What the index says of one descriptor goes to that one. What it says of itself goes to the first image below
    /// it: a copy for each of ten thousand would say it no better.
    fn children(&mut self, mut listed: Listed, texts: Vec<ConfigField>, context: &Context) {
        let mut shared = context.fields.clone();
        let mut own: HashMap<String, Vec<ConfigField>> = HashMap::new();
        for field in texts {
            match entry_of(&field.place).filter(|_| listed.aligned) {
                Some(entry) => own.entry(entry.to_owned()).or_default().push(field),
                None => shared.push(field),
            }
        }
        let before = (self.resolved.images.len(), self.pending.len());
        // Stable: among themselves, images keep the order of the index.
        listed
            .descriptors
            .sort_by_key(|(_, descriptor)| is_attestation(descriptor));
        for (position, descriptor) in &listed.descriptors {
            if is_attestation(descriptor) && target(descriptor).is_some_and(|of| self.left_out.contains(&of))
            {
                continue;
            }
            let of_entry = own.remove(&format!("index.manifests[{position}]"));
            let below = Context {
                names: names(descriptor, &context.names),
                fields: of_entry.unwrap_or_default(),
                ..context.clone()
            };
            self.visit(descriptor, &below);
        }
        let first = match self.resolved.images.get_mut(before.0) {
            Some(image) => Some(image),
            None => self.pending.get_mut(before.1).map(|pending| &mut pending.image),
        };
        match first {
            Some(image) => image.fields.extend(shared),
            None if shared.is_empty() => {}
            None => {
                let mut image = nameless(context);
                image.fields.extend(shared);
                self.unread.push(image);
            }
        }
    }

    fn manifest(&mut self, node: &Node, manifest: &Manifest, alternatives: &[Descriptor]) {
        let Node {
            descriptor,
            bytes,
            context,
        } = node;
        if let Some(target) = attested(descriptor, manifest).filter(|_| !self.referring) {
            self.attestation(node, manifest, target);
            return;
        }
        let mut image = Image {
            manifest: Some(descriptor.digest.clone()),
            platform: known(descriptor.platform.as_ref()),
            ..nameless(context)
        };
        image.fields.extend(context.fields.iter().cloned());
        image.fields.extend(oci::fields("manifest", bytes));
        let mut blobs: Vec<&Descriptor> = manifest.layers.iter().collect();
        self.configure(&mut image, manifest, &mut blobs);
        if image.platform.is_none() {
            image.platform = known(Some(&image.config.platform));
            if !self.walk.platforms.wants(image.platform.as_ref()) {
                self.left_out.insert(descriptor.digest.clone());
                self.resolved.not_chosen.extend(image.platform);
                return;
            }
        }
        for other in alternatives {
            match claim(&other.media_type) {
                Claim::Index | Claim::Manifest => self.visit(other, context),
                Claim::Config => image.fields.extend(self.texts(other, "config")),
                _ => blobs.push(other),
            }
        }
        self.layers(&mut image, &blobs);
        self.resolved.images.push(image);
    }

    /// Loads the configuration, or finds that the manifest is of something other than an image.
    fn configure<'m>(&mut self, image: &mut Image, manifest: &'m Manifest, blobs: &mut Vec<&'m Descriptor>) {
        let kind = |config: &Descriptor| {
            let media_type = Some(&config.media_type).filter(|media_type| !media_type.is_empty());
            manifest.artifact_type.as_ref().or(media_type).cloned()
        };
        let Some(config) = &manifest.config else {
            let unknown = || "application/vnd.unknown".to_owned();
            image.artifact_type = Some(manifest.artifact_type.clone().unwrap_or_else(unknown));
            return;
        };
        let what = describe("configuration", config);
        let is_image = claim(&config.media_type) == Claim::Config;
        let may_be_image = manifest
            .layers
            .iter()
            .any(|layer| matches!(claim(&layer.media_type), Claim::EncryptedLayer | Claim::Layer));
        if !is_image && config.size > self.walk.limits.config_bytes {
            image.artifact_type = kind(config);
            blobs.push(config);
            return;
        }
        let loaded = if is_image || may_be_image {
            self.load(config, Kind::Blob, &what)
        } else {
            // The configuration of an artifact may be anything, and a stream gives what is no document out as a blob.
            let loaded = self
                .walk
                .documents
                .document(config, self.walk.limits.config_bytes);
            loaded.ok().map(|bytes| Loaded {
                verified: self.verify(config, &bytes, &what),
                bytes,
            })
        };
        let parsed = loaded.as_ref().map(|loaded| ImageConfig::parse(&loaded.bytes));
        match parsed {
            Some(Ok(parsed)) if is_image || (may_be_image && parsed.value.describes_image()) => {
                self.odd(&what, &parsed.oddities);
                image.image_id = Some(ImageId(config.digest.clone()));
                image.config = parsed.value;
            }
            Some(Ok(parsed)) => {
                image.artifact_type = kind(config);
                image
                    .fields
                    .extend(parsed.value.fields.into_iter().map(|field| ConfigField {
                        place: format!("config.{}", field.place),
                        ..field
                    }));
            }
            Some(Err(error)) if is_image => {
                self.problem(&what, "malformed-config", error.to_string());
                image.image_id = Some(ImageId(config.digest.clone()));
                let bytes = loaded.map(|loaded| loaded.bytes).unwrap_or_default();
                image.fields.extend(oci::fields("config", &bytes));
            }
            None if is_image => image.image_id = Some(ImageId(config.digest.clone())),
            _ => {
                image.artifact_type = kind(config);
                blobs.push(config);
            }
        }
    }

    fn layers(&mut self, image: &mut Image, blobs: &[&Descriptor]) {
        let place = image.manifest.as_ref().map(|digest| format!("manifest {digest}"));
        let place = place.unwrap_or_else(|| "image".to_owned());
        if blobs.len() > self.walk.limits.layers {
            let layers = text::counted(blobs.len() as u64, "layer");
            self.limit(&format!("{place} with {layers}"), LimitHit::Layers);
        }
        let blobs = &blobs[..blobs.len().min(self.walk.limits.layers)];
        for (position, blob) in blobs.iter().enumerate() {
            if claim(&blob.media_type) == Claim::EncryptedLayer {
                let what = format!("layer {} ({})", position + 1, blob.digest);
                self.problem(&what, "encrypted-layer", "it is encrypted, and no key is known");
            }
        }
        let stored: Vec<Stored> = blobs
            .iter()
            .map(|blob| Stored {
                key: BlobKey::Digest(blob.digest.clone()),
                descriptor: Some((*blob).clone()),
            })
            .collect();
        let (layers, problem) = align(stored, &image.config, &place);
        self.resolved.problems.extend(problem);
        image.layers = layers;
    }

    fn attestation(&mut self, node: &Node, manifest: &Manifest, target: Option<Digest>) {
        if target
            .as_ref()
            .is_some_and(|target| self.left_out.contains(target))
        {
            return;
        }
        let digest = &node.descriptor.digest;
        let mut image = nameless(&node.context);
        image.manifest = Some(digest.clone());
        image.fields.extend(node.context.fields.iter().cloned());
        image.fields.extend(oci::fields("attestation", &node.bytes));
        let dummy = manifest.config.iter().filter(|config| config.size > EMPTY_BYTES);
        for config in dummy {
            image.fields.extend(self.texts(config, "attestation.config"));
        }
        let config_type = manifest.config.as_ref().map(|config| config.media_type.clone());
        image.artifact_type = manifest.artifact_type.clone().or(config_type);
        image.attestations = manifest
            .layers
            .iter()
            .map(|blob| Attestation {
                manifest: Some(digest.clone()),
                blob: BlobKey::Digest(blob.digest.clone()),
                descriptor: blob.clone(),
                predicate_type: blob.annotations.get("in-toto.io/predicate-type").cloned(),
            })
            .collect();
        self.pending.push(Pending { target, image });
    }

    /// The texts of a document that is only searched.
    fn texts(&mut self, descriptor: &Descriptor, root: &str) -> Vec<ConfigField> {
        let what = describe("document", descriptor);
        let loaded = self.load(descriptor, Kind::Blob, &what);
        loaded.map_or_else(Vec::new, |loaded| oci::fields(root, &loaded.bytes))
    }

    fn limit(&mut self, what: &str, limit: LimitHit) {
        let error = SourceError::Limit {
            what: what.to_owned(),
            limit,
        };
        self.resolved.problems.push(Problem {
            what: what.to_owned(),
            why: format!("it is over the limit `{limit}`"),
            reason: limit.name(),
        });
        self.first_error.get_or_insert(error);
    }

    /// Reads a document, from the descriptor itself where it embeds it.
    fn load(&mut self, descriptor: &Descriptor, kind: Kind, what: &str) -> Option<Loaded> {
        let cap = match kind {
            Kind::Blob => self.walk.limits.config_bytes,
            Kind::Manifest => self.walk.limits.manifest_bytes,
        };
        if let Some(data) = &descriptor.data {
            let embedded = oci::decode_base64(data)
                .filter(|bytes| digest_like(&descriptor.digest, bytes).as_ref() == Some(&descriptor.digest));
            if let Some(bytes) = embedded {
                let verified = self.verify(descriptor, &bytes, what);
                return Some(Loaded { bytes, verified });
            }
            let why =
                "the data embedded in its descriptor is not what the digest says; the blob itself was read";
            self.problem(what, "digest-mismatch", why);
        }
        if descriptor.size > cap {
            self.limit(what, LimitHit::Document);
            return None;
        }
        let served = match kind {
            Kind::Blob => self.walk.documents.document(descriptor, cap),
            Kind::Manifest => self.walk.documents.manifest(descriptor, cap),
        };
        match served {
            Ok(bytes) if bytes.len() as u64 > cap => {
                self.limit(what, LimitHit::Document);
                None
            }
            Ok(bytes) => {
                let verified = self.verify(descriptor, &bytes, what);
                Some(Loaded { bytes, verified })
            }
            Err(error) => {
                self.failed(what, error);
                None
            }
        }
    }

    /// Compares `bytes` with what `descriptor` says of them. `false` where their digest is another one.
    fn verify(&mut self, descriptor: &Descriptor, bytes: &[u8], what: &str) -> bool {
        let read = bytes.len() as u64;
        if descriptor.size != read && descriptor.size != 0 {
            let says = text::counted(descriptor.size, "byte");
            let why = format!("its descriptor says {says}, it has {read}");
            self.problem(what, "size-mismatch", why);
        }
        let Some(actual) = digest_like(&descriptor.digest, bytes) else {
            let algorithm = descriptor.digest.algorithm_name();
            let why = format!("digests of the algorithm `{algorithm}` cannot be verified");
            self.problem(what, "digest-unverifiable", why);
            return true;
        };
        if actual == descriptor.digest {
            return true;
        }
        let error = SourceError::DigestMismatch {
            expected: descriptor.digest.to_string(),
            actual: actual.to_string(),
            read,
        };
        self.failed(what, error);
        false
    }

    /// Gives an image that was already found a further name.
    fn name_again(&mut self, digest: &Digest, names: &[String]) {
        for image in &mut self.resolved.images {
            if image.manifest.as_ref() == Some(digest) {
                add_names(image, names);
            }
        }
    }

    fn finish(mut self) -> Result<Resolved, SourceError> {
        let doubtful = std::mem::take(&mut self.doubtful);
        let nothing_else = self.resolved.images.is_empty();
        for node in doubtful {
            if nothing_else {
                self.follow(&node);
            } else {
                self.unread.push(text_only(&node));
            }
        }
        for pending in std::mem::take(&mut self.pending) {
            self.tie(pending);
        }
        self.referrers();
        // What a wrong document led to may be wrong too. It is not given a second chance.
        let still_doubtful = std::mem::take(&mut self.doubtful);
        self.unread.extend(still_doubtful.iter().map(text_only));
        self.resolved.not_chosen.sort();
        self.resolved.not_chosen.dedup();
        if self.resolved.images.is_empty() {
            if let Some(error) = self.first_error {
                return Err(error);
            }
            if !self.resolved.not_chosen.is_empty() {
                let offered: Vec<String> = self.resolved.not_chosen.iter().map(Platform::to_string).collect();
                return Err(SourceError::NoSuchPlatform {
                    offered: offered.join(", "),
                });
            }
        }
        self.resolved.images.append(&mut self.unread);
        Ok(self.resolved)
    }

    /// Visits what refers to the images found, and what refers to that.
    fn referrers(&mut self) {
        self.referring = true;
        let mut asked = HashSet::new();
        let context = Context {
            names: self.names.to_vec(),
            ..Context::default()
        };
        for _ in 0..self.walk.limits.index_depth {
            let index = self.resolved.index.iter();
            let manifests = self
                .resolved
                .images
                .iter()
                .filter_map(|image| image.manifest.as_ref());
            let mut subjects: Vec<Digest> = index.chain(manifests).cloned().collect();
            subjects.retain(|subject| asked.insert(subject.clone()));
            if subjects.is_empty() {
                return;
            }
            for subject in &subjects {
                self.referrers_of(subject, &context);
            }
        }
        let mut manifests = self
            .resolved
            .images
            .iter()
            .filter_map(|image| image.manifest.as_ref());
        if manifests.any(|manifest| !asked.contains(manifest)) {
            self.limit("what refers to the referrers", LimitHit::IndexDepth);
        }
    }

    fn referrers_of(&mut self, subject: &Digest, context: &Context) {
        let what = format!("the referrers of {subject}");
        let pages = match self
            .walk
            .documents
            .referrers(subject, self.walk.limits.manifest_bytes)
        {
            Ok(pages) => pages.unwrap_or_default(),
            Err(error) => return self.failed(&what, error),
        };
        for page in pages {
            // Told by its shape: nothing else than an index is a list, whatever header it came with.
            let parsed = Document::parse(&page, None);
            let index = parsed.as_ref().ok().and_then(|parsed| parsed.value.index());
            let Some(index) = index else {
                self.problem(
                    &what,
                    "malformed-referrers",
                    "the registry gave something other than an index",
                );
                continue;
            };
            let listed = Listed::new(index.manifests.clone(), Vec::new(), &[]);
            self.children(listed, oci::fields("index", &page), context);
        }
    }

    fn tie(&mut self, pending: Pending) {
        let Pending { target, mut image } = pending;
        if target
            .as_ref()
            .is_some_and(|target| self.left_out.contains(target))
        {
            return;
        }
        let mut targets = self
            .resolved
            .images
            .iter_mut()
            .filter(|other| target.is_some() && other.manifest == target);
        let Some(first) = targets.next() else {
            image.layers = image
                .attestations
                .drain(..)
                .enumerate()
                .map(|(position, attestation)| Layer {
                    ordinal: position + 1,
                    blob: attestation.blob,
                    descriptor: Some(attestation.descriptor),
                    diff_id: None,
                    history: None,
                })
                .collect();
            self.resolved.images.push(image);
            return;
        };
        first.attestations.append(&mut image.attestations);
        first.fields.append(&mut image.fields);
    }
}

/// The descriptors of an index with their places in it.
struct Listed {
    descriptors: Vec<(usize, Descriptor)>,
    /// Whether the places are those of the document: not where it has a malformed descriptor or equal keys.
    aligned: bool,
}

impl Listed {
    fn new(manifests: Vec<Descriptor>, alternatives: Vec<Descriptor>, oddities: &[DocumentOddity]) -> Self {
        Self {
            descriptors: manifests.into_iter().chain(alternatives).enumerate().collect(),
            aligned: oddities.is_empty(),
        }
    }
}

/// `index.manifests[3]` of `index.manifests[3].annotations`.
fn entry_of(place: &str) -> Option<&str> {
    let rest = place.strip_prefix("index.manifests[")?;
    let end = place.len() - rest.len() + rest.find(']')? + 1;
    place.get(..end)
}

/// Where a document is kept.
#[derive(Clone, Copy)]
enum Kind {
    Blob,
    Manifest,
}

struct Loaded {
    bytes: Vec<u8>,
    verified: bool,
}

/// A layer as a source holds it, before configuration and history are laid beside it.
pub(super) struct Stored {
    pub(super) key: BlobKey,
    pub(super) descriptor: Option<Descriptor>,
}

/// Numbers layers from the base and gives each its DiffID and its step, where the counts agree.
pub(super) fn align(stored: Vec<Stored>, config: &ImageConfig, place: &str) -> (Vec<Layer>, Option<Problem>) {
    let count = stored.len();
    let steps: Vec<_> = config.history.iter().filter(|step| !step.empty_layer).collect();
    let same_ids = config.diff_ids.len() == count;
    let same_steps = steps.len() == count;
    let problem = (!same_ids && !config.diff_ids.is_empty()).then(|| Problem {
        what: place.to_owned(),
        why: format!(
            "the configuration lists {}, there are {count}",
            text::counted(config.diff_ids.len() as u64, "layer")
        ),
        reason: "layer-count",
    });
    let layers = stored
        .into_iter()
        .enumerate()
        .map(|(position, stored)| Layer {
            ordinal: position + 1,
            blob: stored.key,
            descriptor: stored.descriptor,
            diff_id: config.diff_ids.get(position).filter(|_| same_ids).cloned(),
            history: steps
                .get(position)
                .filter(|_| same_steps)
                .map(|step| (*step).clone()),
        })
        .collect();
    (layers, problem)
}

/// Adds the names that the image does not have yet.
pub(super) fn add_names(image: &mut Image, names: &[String]) {
    for name in names {
        if !image.names.contains(name) {
            image.names.push(name.clone());
        }
    }
}

/// The digest of `bytes` by the algorithm of `expected`; `None` where it cannot be computed.
pub(super) fn digest_like(expected: &Digest, bytes: &[u8]) -> Option<Digest> {
    let mut hasher = Hasher::new(expected.algorithm()?);
    hasher.update(bytes);
    Some(hasher.finish())
}

fn describe(kind: &str, descriptor: &Descriptor) -> String {
    match known(descriptor.platform.as_ref()) {
        Some(platform) => format!("{kind} {} ({platform})", descriptor.digest),
        None => format!("{kind} {}", descriptor.digest),
    }
}

/// The platform, where it says one.
fn known(platform: Option<&Platform>) -> Option<Platform> {
    let platform = platform.filter(|platform| !platform.is_unknown());
    platform
        .filter(|platform| !platform.os.is_empty() || !platform.architecture.is_empty())
        .cloned()
}

/// The names a layout gives to what it lists. *Source*: image-spec `annotations.md`; containerd's image store
/// writes the full name beside the tag.
fn names(descriptor: &Descriptor, inherited: &[String]) -> Vec<String> {
    let full = descriptor.annotations.get("io.containerd.image.name");
    let name = full.or_else(|| descriptor.annotations.get(REF_NAME));
    match name.filter(|name| name.len() <= NAME_BYTES) {
        Some(name) if !inherited.contains(name) => [inherited, std::slice::from_ref(name)].concat(),
        _ => inherited.to_vec(),
    }
}

fn is_named(descriptor: &Descriptor, choice: &str) -> bool {
    let named = |key: &str| descriptor.annotations.get(key).is_some_and(|name| name == choice);
    named(REF_NAME) || named("io.containerd.image.name") || descriptor.digest.as_str() == choice
}

fn is_attestation(descriptor: &Descriptor) -> bool {
    let typed = descriptor.annotations.get(REFERENCE_TYPE);
    typed.is_some_and(|kind| kind == "attestation-manifest")
        || descriptor.platform.as_ref().is_some_and(Platform::is_unknown)
}

/// The image that an attestation's descriptor says it is about.
fn target(descriptor: &Descriptor) -> Option<Digest> {
    let digest = descriptor.annotations.get("vnd.docker.reference.digest")?;
    Digest::parse(digest).ok()
}

/// Whether a manifest is an attestation, and of what. An image that has a `subject` stays an image.
fn attested(descriptor: &Descriptor, manifest: &Manifest) -> Option<Option<Digest>> {
    let is_image = manifest
        .layers
        .iter()
        .any(|layer| matches!(claim(&layer.media_type), Claim::EncryptedLayer | Claim::Layer));
    let subject = manifest.subject.as_ref().map(|subject| subject.digest.clone());
    let in_toto = manifest
        .layers
        .iter()
        .any(|layer| claim(&layer.media_type) == Claim::InToto);
    let typed = descriptor.annotations.contains_key(REFERENCE_TYPE)
        || manifest.artifact_type.as_deref() == Some("application/vnd.docker.attestation.manifest.v1+json");
    let is_attestation = !is_image && (typed || in_toto || subject.is_some());
    is_attestation.then(|| target(descriptor).or(subject))
}

/// Whether an index lists a blob instead of a document.
fn is_blob(media_type: &str) -> bool {
    match claim(media_type) {
        Claim::EncryptedLayer | Claim::InToto | Claim::Layer => true,
        Claim::Config | Claim::Index | Claim::Manifest | Claim::Schema1 => false,
        Claim::Other => !media_type.is_empty() && !media_type.contains("json"),
    }
}

fn nameless(context: &Context) -> Image {
    Image {
        names: context.names.clone(),
        platform: None,
        manifest: None,
        image_id: None,
        artifact_type: None,
        config: ImageConfig::default(),
        fields: Vec::new(),
        layers: Vec::new(),
        attestations: Vec::new(),
    }
}

fn text_only(node: &Node) -> Image {
    let mut image = nameless(&node.context);
    image.manifest = Some(node.descriptor.digest.clone());
    image.platform = known(node.descriptor.platform.as_ref());
    image.fields.extend(node.context.fields.iter().cloned());
    image.fields.extend(oci::fields("manifest", &node.bytes));
    image
}

fn bare_blob(descriptor: &Descriptor, context: &Context) -> Image {
    let mut image = nameless(context);
    image.fields.extend(context.fields.iter().cloned());
    image.platform = known(descriptor.platform.as_ref());
    image.artifact_type = Some(descriptor.media_type.clone());
    image.layers = vec![Layer {
        ordinal: 1,
        blob: BlobKey::Digest(descriptor.digest.clone()),
        descriptor: Some(descriptor.clone()),
        diff_id: None,
        history: None,
    }];
    image
}

const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Longer than any reference can be. A longer name is scanned, but names nothing.
const NAME_BYTES: usize = 1024;
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// The empty configuration is `{}`. *Source*: image-spec `manifest.md#guidance-for-an-empty-descriptor`.
const EMPTY_BYTES: u64 = 2;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::{Value, json};

    use super::*;
    use crate::oci::media_type::{OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};

    const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

    /// Documents in memory, with a note of which were asked for.
    #[derive(Default)]
    struct Store {
        held: HashMap<Digest, Vec<u8>>,
        asked: RefCell<Vec<Digest>>,
    }

    impl Documents for Store {
        fn document(&self, descriptor: &Descriptor, _: u64) -> Result<Vec<u8>, SourceError> {
            self.asked.borrow_mut().push(descriptor.digest.clone());
            let held = self.held.get(&descriptor.digest);
            held.cloned().ok_or_else(|| SourceError::NotFound {
                what: descriptor.digest.to_string(),
            })
        }
    }

    impl Store {
        fn put(&mut self, media_type: &str, document: &Value) -> Value {
            let bytes = document.to_string().into_bytes();
            let digest = Digest::of(&bytes);
            let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
            self.held.insert(digest, bytes);
            descriptor
        }

        /// An image of one layer for `platform`, whose manifest is annotated with the platform.
        fn image(&mut self, platform: &str) -> Value {
            let (os, architecture) = platform.split_once('/').unwrap();
            let config = self.put(
                OCI_CONFIG,
                &json!({"os": os, "architecture": architecture, "rootfs": {"diff_ids": [id(platform)]},
                    "config": {"Env": [format!("FOR={platform}")]},
                    "history": [{"created_by": "ENV", "empty_layer": true}, {"created_by": "COPY"}]}),
            );
            let manifest =
                json!({"config": config, "layers": [blob(TAR, platform)], "annotations": {"for": platform}});
            let mut descriptor = self.put(OCI_MANIFEST, &manifest);
            descriptor["platform"] = json!({"os": os, "architecture": architecture});
            descriptor
        }

        fn attestation(&mut self, of: &Value) -> Value {
            let layer = blob("application/vnd.in-toto+json", &of.to_string());
            let config = self.put(OCI_CONFIG, &json!({"os": "unknown", "architecture": "unknown"}));
            let mut descriptor = self.put(OCI_MANIFEST, &json!({"config": config, "layers": [layer]}));
            descriptor["platform"] = json!({"os": "unknown", "architecture": "unknown"});
            descriptor["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": of["digest"]});
            descriptor
        }

        fn resolve(&self, root: &Value, platforms: &PlatformSelector) -> Result<Resolved, SourceError> {
            let walk = Walk {
                documents: self,
                platforms,
                limits: &Limits::default(),
            };
            let root = Root::Document {
                bytes: root.to_string().into_bytes(),
                media_type: None,
                digest: None,
            };
            resolve_root(&walk, root, &["app:1".to_owned()])
        }

        fn all(&self, root: &Value) -> Resolved {
            self.resolve(root, &PlatformSelector::All).unwrap()
        }
    }

    fn id(seed: &str) -> Digest {
        Digest::of(seed.as_bytes())
    }

    fn blob(media_type: &str, seed: &str) -> Value {
        json!({"mediaType": media_type, "digest": id(&format!("blob of {seed}")), "size": 10})
    }

    fn reasons(resolved: &Resolved) -> Vec<&str> {
        resolved.problems.iter().map(|problem| problem.reason).collect()
    }

    fn digest(descriptor: &Value) -> Digest {
        Digest::parse(descriptor["digest"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn an_index_gives_its_images_in_order_with_their_attestations() {
        let mut store = Store::default();
        let (amd64, arm64) = (store.image("linux/amd64"), store.image("linux/arm64"));
        let (of_arm64, of_amd64) = (store.attestation(&arm64), store.attestation(&amd64));
        let root = json!({"mediaType": OCI_INDEX, "manifests": [of_arm64, amd64, arm64, of_amd64],
            "annotations": {"note": "index"}});
        let resolved = store.all(&root);
        assert!(resolved.problems.is_empty(), "{:?}", resolved.problems);
        let platforms: Vec<_> = resolved
            .images
            .iter()
            .map(|image| image.platform.clone().unwrap().to_string())
            .collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        for (image, descriptor) in resolved.images.iter().zip([&amd64, &arm64]) {
            assert_eq!(image.manifest, Some(digest(descriptor)));
            assert_eq!(image.names, ["app:1"]);
            assert_eq!(image.attestations.len(), 1);
            assert_eq!(
                image.layers[0].history.as_ref().unwrap().created_by.as_deref(),
                Some("COPY")
            );
            assert!(image.layers[0].diff_id.is_some() && image.artifact_type.is_none());
            assert!(
                image
                    .fields
                    .iter()
                    .any(|field| field.place == "manifest.annotations")
            );
        }
        assert_eq!(resolved.index, Some(Digest::of(root.to_string().as_bytes())));
        let notes = resolved.images.iter().flat_map(|image| &image.fields);
        assert_eq!(notes.filter(|field| field.text == "note=index").count(), 1);
    }

    #[test]
    fn attestations_go_with_a_platform_that_was_not_chosen() {
        let mut store = Store::default();
        let (amd64, arm64) = (store.image("linux/amd64"), store.image("linux/arm64"));
        let attestation = store.attestation(&arm64);
        let root = json!({"manifests": [attestation, amd64, arm64]});
        let only = PlatformSelector::Only(vec!["linux/amd64".parse().unwrap()]);
        let resolved = store.resolve(&root, &only).unwrap();
        assert_eq!((resolved.images.len(), resolved.problems.len()), (1, 0));
        assert_eq!(resolved.not_chosen, ["linux/arm64".parse().unwrap()]);
        assert!(!store.asked.borrow().contains(&digest(&attestation)));
        let none = PlatformSelector::Only(vec!["linux/s390x".parse().unwrap()]);
        let error = store.resolve(&root, &none).unwrap_err();
        assert!(error.to_string().contains("linux/amd64, linux/arm64"), "{error}");
    }

    #[test]
    fn the_platform_of_a_lone_manifest_is_that_of_its_configuration() {
        let mut store = Store::default();
        let manifest = store.image("linux/amd64");
        let root: Value = serde_json::from_slice(&store.held[&digest(&manifest)]).unwrap();
        assert_eq!(
            store.all(&root).images[0].platform,
            Some("linux/amd64".parse().unwrap())
        );
        let other = PlatformSelector::Only(vec!["linux/arm64".parse().unwrap()]);
        assert!(matches!(
            store.resolve(&root, &other),
            Err(SourceError::NoSuchPlatform { .. })
        ));
    }

    #[test]
    fn an_attestation_of_an_unknown_image_becomes_an_artifact() {
        let mut store = Store::default();
        let image = store.image("linux/amd64");
        let stray = store.attestation(&json!({"digest": id("nobody")}));
        let resolved = store.all(&json!({"manifests": [image, stray]}));
        assert_eq!(resolved.images.len(), 2);
        assert_eq!(resolved.images[1].layers.len(), 1);
        assert!(resolved.images[1].artifact_type.is_some());
    }

    #[test]
    fn a_referrer_is_tied_by_its_subject() {
        let mut store = Store::default();
        let image = store.image("linux/amd64");
        let empty = store.put("application/vnd.oci.empty.v1+json", &json!({}));
        let referrer = store.put(
            OCI_MANIFEST,
            &json!({"artifactType": "application/vnd.example.sbom", "config": empty, "subject": image,
                "layers": [blob("application/spdx+json", "sbom")]}),
        );
        let resolved = store.all(&json!({"manifests": [referrer, image]}));
        assert_eq!(
            (resolved.images.len(), resolved.images[0].attestations.len()),
            (1, 1)
        );
    }

    #[test]
    fn a_child_that_is_missing_is_a_problem_and_no_error() {
        let mut store = Store::default();
        let (amd64, arm64) = (store.image("linux/amd64"), store.image("linux/arm64"));
        store.held.remove(&digest(&arm64));
        let root = json!({"manifests": [amd64, arm64]});
        let resolved = store.all(&root);
        assert_eq!(
            (resolved.images.len(), reasons(&resolved)),
            (1, vec!["not-found"])
        );
        assert!(resolved.problems[0].what.contains("linux/arm64"));
        store.held.clear();
        assert!(matches!(
            store.resolve(&root, &PlatformSelector::All),
            Err(SourceError::NotFound { .. })
        ));
    }

    #[test]
    fn a_document_with_another_digest_keeps_its_text_and_is_not_followed() {
        let mut store = Store::default();
        let (amd64, arm64) = (store.image("linux/amd64"), store.image("linux/arm64"));
        let altered = json!({"layers": [blob(TAR, "evil")], "annotations": {"k": "v"}}).to_string();
        store.held.insert(digest(&arm64), altered.into_bytes());
        let resolved = store.all(&json!({"manifests": [amd64, arm64]}));
        assert_eq!(reasons(&resolved), ["size-mismatch", "digest-mismatch"]);
        assert!(resolved.images[1].layers.is_empty());
        assert!(resolved.images[1].fields.iter().any(|field| field.text == "k=v"));
        // Alone, it is all there is.
        let resolved = store.all(&json!({"manifests": [arm64]}));
        assert_eq!(resolved.images[0].layers.len(), 1);
        assert!(reasons(&resolved).contains(&"digest-mismatch"));
    }

    #[test]
    fn a_root_with_another_digest_is_followed_and_told() {
        let mut store = Store::default();
        let manifest = store.image("linux/amd64");
        let walk = Walk {
            documents: &store,
            platforms: &PlatformSelector::All,
            limits: &Limits::default(),
        };
        let root = Root::Document {
            bytes: store.held[&digest(&manifest)].clone(),
            media_type: Some(OCI_MANIFEST.to_owned()),
            digest: Some(id("another")),
        };
        let resolved = resolve_root(&walk, root, &[]).unwrap();
        assert_eq!(
            (reasons(&resolved), resolved.images.len()),
            (vec!["digest-mismatch"], 1)
        );
    }

    #[test]
    fn a_configuration_that_cannot_be_had_leaves_the_layers() {
        let mut store = Store::default();
        let config = json!({"mediaType": OCI_CONFIG, "digest": id("gone"), "size": 5});
        let root = json!({"config": config, "layers": [blob(TAR, "a")]});
        let resolved = store.all(&root);
        assert_eq!(
            (reasons(&resolved), resolved.images[0].layers.len()),
            (vec!["not-found"], 1)
        );
        store.held.insert(id("gone"), b"KEY=v".to_vec());
        let resolved = store.all(&root);
        assert_eq!(reasons(&resolved), ["digest-mismatch", "malformed-config"]);
        assert!(
            resolved.images[0]
                .fields
                .iter()
                .any(|field| field.text == "KEY=v")
        );
    }

    #[test]
    fn what_has_no_image_configuration_is_an_artifact() {
        let mut store = Store::default();
        let chart = store.put(
            "application/vnd.cncf.helm.config.v1+json",
            &json!({"name": "chart", "x": "y"}),
        );
        let content = blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "chart");
        let resolved = store.all(&json!({"config": chart, "layers": [content]}));
        let image = &resolved.images[0];
        assert_eq!(
            image.artifact_type.as_deref(),
            Some("application/vnd.cncf.helm.config.v1+json")
        );
        assert_eq!(image.layers.len(), 1);
        assert!(
            image
                .fields
                .iter()
                .any(|field| field.place == "config.x" && field.text == "x=y")
        );
        assert!(resolved.problems.is_empty());
        // A configuration that is no JSON is a blob like the others.
        store.held.insert(digest(&chart), b"\0\0\0".to_vec());
        let root = json!({"config": {"mediaType": "application/x-toml", "digest": digest(&chart), "size": 0}, "layers": []});
        assert_eq!(store.all(&root).images[0].layers.len(), 1);
    }

    #[test]
    fn a_configuration_of_unknown_type_below_layers_is_read_if_it_describes_an_image() {
        let mut store = Store::default();
        let config = store.put(
            "application/json",
            &json!({"os": "linux", "architecture": "amd64"}),
        );
        let resolved = store.all(&json!({"config": config, "layers": [blob(TAR, "a")]}));
        assert!(resolved.images[0].artifact_type.is_none());
        assert_eq!(resolved.images[0].platform, Some("linux/amd64".parse().unwrap()));
    }

    #[test]
    fn embedded_data_is_verified_before_it_is_used() {
        use base64::Engine as _;
        let mut store = Store::default();
        let mut image = store.image("linux/amd64");
        let bytes = store.held[&digest(&image)].clone();
        let encode = |bytes: &[u8]| json!(base64::engine::general_purpose::STANDARD.encode(bytes));
        image["data"] = encode(b"{\"annotations\":{\"hidden\":\"text\"}}");
        let resolved = store.all(&json!({"manifests": [image]}));
        assert_eq!(
            (reasons(&resolved), resolved.images[0].layers.len()),
            (vec!["digest-mismatch"], 1)
        );
        assert!(
            resolved.images[0]
                .fields
                .iter()
                .any(|field| field.text.contains("hidden"))
        );
        image["data"] = encode(&bytes);
        store.held.remove(&digest(&image));
        assert!(store.all(&json!({"manifests": [image]})).problems.is_empty());
    }

    #[test]
    fn encrypted_layers_are_told_and_counted() {
        let mut store = Store::default();
        let config = store.put(OCI_CONFIG, &json!({"os": "linux"}));
        let layers = json!([blob(TAR, "a"), blob(&format!("{TAR}+gzip+encrypted"), "b")]);
        let resolved = store.all(&json!({"config": config, "layers": layers}));
        assert_eq!(
            (reasons(&resolved), resolved.images[0].layers.len()),
            (vec!["encrypted-layer"], 2)
        );
    }

    #[test]
    fn both_readings_of_an_ambiguous_document_are_followed() {
        let mut store = Store::default();
        let image = store.image("linux/amd64");
        let config = store.put(OCI_CONFIG, &json!({"os": "linux"}));
        let root =
            json!({"manifests": [image], "config": config, "layers": [blob(TAR, "x"), blob(TAR, "y")]});
        let resolved = store.all(&root);
        let layers: Vec<_> = resolved.images.iter().map(|image| image.layers.len()).collect();
        assert_eq!(layers, [2, 1]);
        assert!(reasons(&resolved).contains(&"ambiguous-manifest"));
    }

    #[test]
    fn nesting_and_cycles_end() {
        let mut store = Store::default();
        let mut descriptor = store.image("linux/amd64");
        for depth in 0..10 {
            let index = json!({"manifests": [descriptor], "annotations": {"depth": depth.to_string()}});
            descriptor = store.put(OCI_INDEX, &index);
        }
        let image = store.image("linux/arm64");
        let resolved = store.all(&json!({"manifests": [descriptor, image]}));
        assert_eq!(reasons(&resolved), ["index-depth"]);
        // Only a store that lies can hold a cycle.
        let looped = json!({"mediaType": OCI_INDEX, "digest": id("loop"), "size": 0});
        let index = json!({"manifests": [looped, image]}).to_string().into_bytes();
        store.held.insert(id("loop"), index);
        let resolved = store.all(&json!({"manifests": [looped]}));
        assert_eq!(
            resolved
                .images
                .iter()
                .filter(|image| !image.layers.is_empty())
                .count(),
            1
        );
    }

    #[test]
    fn one_problem_tells_that_there_are_too_many_manifests() {
        let store = Store::default();
        let limits = Limits {
            manifests: 3,
            ..Limits::default()
        };
        let walk = Walk {
            documents: &store,
            platforms: &PlatformSelector::All,
            limits: &limits,
        };
        let many: Vec<_> = (0..50).map(|n| blob(TAR, &n.to_string())).collect();
        let root = Root::Document {
            bytes: json!({"manifests": many}).to_string().into_bytes(),
            media_type: None,
            digest: None,
        };
        let resolved = resolve_root(&walk, root, &[]).unwrap();
        assert_eq!(
            (resolved.images.len(), reasons(&resolved)),
            (3, vec!["manifests"])
        );
    }

    #[test]
    fn counts_that_disagree_give_no_layer_a_wrong_step() {
        let config = ImageConfig {
            diff_ids: vec![crate::oci::DiffId(id("a"))],
            history: vec![crate::oci::History::default(); 3],
            ..ImageConfig::default()
        };
        for count in [0, 2, 5] {
            let stored = (0..count).map(|n| Stored {
                key: BlobKey::Member(vec![n]),
                descriptor: None,
            });
            let (layers, problem) = align(stored.collect(), &config, "image");
            assert!(
                layers
                    .iter()
                    .all(|layer| layer.diff_id.is_none() && layer.history.is_none())
            );
            assert_eq!(problem.unwrap().reason, "layer-count");
        }
    }

    #[test]
    fn an_empty_index_is_complete() {
        let resolved = Store::default().all(&json!({"mediaType": OCI_INDEX, "manifests": []}));
        assert!(resolved.images.is_empty() && resolved.problems.is_empty());
        let resolved = Store::default().all(&json!({"mediaType": OCI_INDEX, "annotations": {"a": "b"}}));
        assert_eq!(resolved.images[0].fields[0].text, "a=b");
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        let store = Store::default();
        for root in [json!({"schemaVersion": 1, "fsLayers": []}), json!([]), json!({})] {
            let error = store.resolve(&root, &PlatformSelector::All).unwrap_err();
            assert!(matches!(error, SourceError::Malformed { .. }), "{error}");
        }
    }

    #[test]
    fn a_layout_lists_roots_with_their_names() {
        let mut store = Store::default();
        let (mut one, mut two) = (store.image("linux/amd64"), store.image("linux/arm64"));
        one["annotations"] = json!({REF_NAME: "1.4"});
        two["annotations"] = json!({REF_NAME: "2", "io.containerd.image.name": "registry.example.com/app:2"});
        let mut again = one.clone();
        again["annotations"] = json!({REF_NAME: "stable"});
        let bytes = json!({"manifests": [one, two, again]}).to_string().into_bytes();
        let walk = Walk {
            documents: &store,
            platforms: &PlatformSelector::All,
            limits: &Limits::default(),
        };
        let layout = |choice: Option<&str>| {
            let root = Root::Layout {
                bytes: bytes.clone(),
                choice: choice.map(str::to_owned),
            };
            resolve_root(&walk, root, &[])
        };
        let names = |choice| -> Vec<Vec<String>> {
            layout(choice)
                .unwrap()
                .images
                .into_iter()
                .map(|image| image.names)
                .collect()
        };
        assert_eq!(
            names(None),
            [vec!["1.4", "stable"], vec!["registry.example.com/app:2"]]
        );
        assert_eq!(names(Some("2")), [vec!["registry.example.com/app:2"]]);
        assert_eq!(
            names(Some(digest(&two).as_str())),
            [vec!["registry.example.com/app:2"]]
        );
        assert!(matches!(layout(Some("3")), Err(SourceError::NotFound { .. })));
        assert_eq!(layout(Some("2")).unwrap().digest, Some(digest(&two)));
    }
}
