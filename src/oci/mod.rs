//! The documents of image-spec and distribution-spec as typed values. No I/O happens here.

mod base;
mod buildkit;
mod config;
mod descriptor;
mod digest;
mod fields;
mod image;
mod json;
mod manifest;
pub mod media_type;
mod platform;
mod provenance;
mod reference;
mod saved;

pub use base::{BaseClaim, ClaimedBy, claims};
pub use buildkit::{BuildStep, Provenance, SourceFile};
pub use config::{ConfigField, History, ImageConfig};
pub use descriptor::{Annotations, Descriptor};
pub use digest::{Algorithm, DiffId, Digest, DigestError, Hasher, ImageId};
pub use fields::{decode_base64, fields};
pub use image::{Attestation, BlobKey, Image, Layer};
pub use json::{DocumentOddity, Parsed};
pub use manifest::{Document, DocumentError, Index, Manifest};
pub use platform::{Platform, PlatformSelector};
pub use provenance::Statement;
pub use reference::{Reference, ReferenceError};
pub use saved::{SavedImage, parent_layer, repositories};
