//! Media types this crate knows by name. A media type is a hint: magic bytes decide what a blob is.

/// What kind of document or blob a media type claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// An image manifest, OCI or Docker schema 2.
    Manifest,
    /// An image index or Docker manifest list.
    Index,
    /// An image configuration.
    Config,
    /// A file-system layer, whatever its compression.
    Layer,
    /// A layer encrypted by ocicrypt.
    EncryptedLayer,
    /// A Docker schema 1 manifest.
    Schema1,
    /// An in-toto statement.
    InToto,
    /// Anything else.
    Other,
}

/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Docker schema 2 manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What `media_type` claims. Parameters (`; charset=…`) are ignored.
pub fn claim(media_type: &str) -> Claim {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    match media_type {
        OCI_MANIFEST | DOCKER_MANIFEST => Claim::Manifest,
        OCI_INDEX | DOCKER_INDEX => Claim::Index,
        OCI_CONFIG | DOCKER_CONFIG => Claim::Config,
        "application/vnd.in-toto+json" => Claim::InToto,
        "application/vnd.docker.distribution.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v1+prettyjws" => Claim::Schema1,
        _ if is_layer(media_type) && media_type.ends_with("+encrypted") => Claim::EncryptedLayer,
        _ if is_layer(media_type) => Claim::Layer,
        _ => Claim::Other,
    }
}

fn is_layer(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.")
}
