//! The documents of image-spec and distribution-spec as typed values. No I/O happens here.

mod config;
mod descriptor;
mod digest;
mod manifest;
pub mod media_type;
mod platform;
mod reference;

pub use config::{ConfigField, History, ImageConfig};
pub use descriptor::{Annotations, Descriptor};
pub use digest::{Algorithm, DiffId, Digest, DigestError, Hasher, ImageId};
pub use manifest::{Document, DocumentError, Index, Manifest};
pub use platform::{Platform, PlatformSelector};
pub use reference::{Reference, ReferenceError};
mod image;
pub use image::{Attestation, BlobKey, Image, Layer};
