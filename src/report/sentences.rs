//! What became of an occurrence, and what to do about it, in a sentence. Formats that have room for one sentence share it.

use super::wire::{Finding, Image, Occurrence, Origin, Status};

/// ``layer 3 `COPY a /b` ``, or the metadata of the image; not escaped for any markup.
pub(super) fn brought_by(image: &Image, occurrence: &Occurrence) -> String {
    match occurrence.origin.layer() {
        Some(layer) => layer_named(image, layer),
        None => "the metadata of the image".to_owned(),
    }
}

/// `added by` that, or where it stands that no layer brought.
pub(super) fn added(image: &Image, occurrence: &Occurrence) -> String {
    match occurrence.origin.layer() {
        Some(layer) => format!("added by {}", layer_named(image, layer)),
        None => "in the metadata of the image".to_owned(),
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

/// What to write where the instruction stands that brought it: `Dockerfile:12 COPY: leave the file out, …`. `None` where that
/// is not known.
pub(super) fn to_change(occurrence: &Occurrence) -> Option<String> {
    let instruction = occurrence.instruction.as_ref()?;
    let keyword = crate::text::escape(instruction.keyword.as_bytes());
    let what = change(&instruction.keyword, plain_path(occurrence));
    Some(format!("{} {keyword}: {what}", instruction.place()))
}

/// What to write in place of an instruction that brought a file of this path, or a value.
pub(super) fn change(keyword: &str, path: Option<&str>) -> String {
    let of_value = || mount_of(None).0;
    match keyword {
        "ADD" | "COPY" => format!(
            "leave the file out, and where a step needs it: {}",
            mount_of(path).0
        ),
        "ARG" | "ENV" | "LABEL" => format!("take the value out, and where a step needs it: {}", of_value()),
        "FROM" => "the base image brings it: rebuild that, or take another".to_owned(),
        "RUN" => format!(
            "let the step read the secret and write nothing of it: {}",
            of_value()
        ),
        _ => "take the value out, and give it to the running container".to_owned(),
    }
}

/// The path of the file, where it can be put into a command that people paste into a shell.
pub(super) fn plain_path(occurrence: &Occurrence) -> Option<&str> {
    let is_plain = |path: &&str| {
        !path.is_empty()
            && path.len() <= 80
            && path
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
    };
    match &occurrence.origin {
        Origin::File { path, .. } => std::str::from_utf8(&path.0).ok().filter(is_plain),
        _ => None,
    }
}

/// A mount for a file, or for a value, and the flag that goes with it.
pub(super) fn mount_of(path: Option<&str>) -> (String, String) {
    match path {
        Some(path) => {
            let name = path.rsplit('/').next().unwrap_or(path);
            let id = name.trim_start_matches(['.', '-']);
            let id = if id.is_empty() { "secret" } else { id };
            (
                format!("RUN --mount=type=secret,id={id},target=/{path} COMMAND"),
                format!("docker build --secret id={id},src=PATH_OUTSIDE_THE_CONTEXT ."),
            )
        }
        None => (
            "RUN --mount=type=secret,id=NAME,env=NAME COMMAND".to_owned(),
            "docker build --secret id=NAME,env=NAME .".to_owned(),
        ),
    }
}

/// Whether a finding counts and why, where there is more to it than the thresholds.
pub(super) fn judgement(finding: &Finding) -> Option<String> {
    let judgement = finding.judgement.as_ref().filter(|it| it.is_remarkable())?;
    let counts = if judgement.counts {
        "counts"
    } else {
        "does not count"
    };
    let reasons = judgement.reasons.iter();
    let reasons: Vec<&str> = reasons
        .filter(|reason| reason.kind != "thresholds")
        .map(|reason| reason.text.as_str())
        .collect();
    Some(match reasons.is_empty() {
        true => counts.to_owned(),
        false => format!("{counts}: {}", reasons.join("; ")),
    })
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
