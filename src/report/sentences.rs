//! What became of an occurrence, in a sentence. Formats that have room for one sentence share it.

use super::wire::{Image, Occurrence, Status};

/// ``layer 3 `COPY a /b` ``, or the metadata of the image; not escaped for any markup.
pub(super) fn brought_by(image: &Image, occurrence: &Occurrence) -> String {
    match occurrence.origin.layer() {
        Some(layer) => layer_named(image, layer),
        None => "the metadata of the image".to_owned(),
    }
}

/// What a reader must know: whether it is still there, and who can have it.
pub(super) fn fate(image: &Image, occurrence: &Occurrence) -> String {
    let origin = occurrence.origin.layer().unwrap_or_default();
    match &occurrence.status {
        Status::Present => "visible in every container".to_owned(),
        Status::Deleted { by, .. } => format!(
            "deleted by {}; still recoverable from layer {origin}",
            layer_named(image, *by)
        ),
        Status::Overwritten { by } => format!(
            "overwritten by {}; still recoverable from layer {origin}",
            layer_named(image, *by)
        ),
        Status::Metadata => "given to every container".to_owned(),
        Status::History => "no container gets it; everyone who can pull the image can read it".to_owned(),
        Status::Unlisted => "no container shows these bytes; they are in the layer".to_owned(),
        Status::Unknown { unread } => {
            format!("not known, because layer {unread} could not be read")
        }
    }
}

fn layer_named(image: &Image, ordinal: usize) -> String {
    let layer = image.layers.iter().find(|layer| layer.ordinal == ordinal);
    match layer.and_then(|layer| layer.created_by.as_deref()) {
        Some(created_by) => format!("layer {ordinal}, {}", super::instruction(created_by)),
        None => format!("layer {ordinal}"),
    }
}

/// The name of a status.
pub(super) fn status_name(status: &Status) -> &'static str {
    match status {
        Status::Deleted { .. } => "deleted",
        Status::History => "history",
        Status::Metadata => "metadata",
        Status::Overwritten { .. } => "overwritten",
        Status::Present => "present",
        Status::Unknown { .. } => "unknown",
        Status::Unlisted => "unlisted",
    }
}

/// `registry.example.com/app:1 linux/amd64`.
pub(super) fn subject(report: &super::wire::Report, image: &Image) -> String {
    let target = report.targets.get(image.target);
    let name = target.map_or("image", |target| target.name.as_str());
    match &image.platform {
        Some(platform) => format!("{name} {platform}"),
        None => name.to_owned(),
    }
}
