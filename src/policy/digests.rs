//! What a build said it pushed → whether that is what was scanned: digests from the command line, from lists, and from the
//! files and logs that builders leave. Asks no registry: it compares what the scan resolved.

use crate::finding::{ImageSummary, Report};
use crate::oci::{Digest, Reference};

use super::{Remark, RemarkKind, Weight};

/// A digest that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The image it is expected of; `None` for whatever is scanned.
    pub reference: Option<Reference>,
    /// The digest of an index, a manifest or a configuration.
    pub digest: Digest,
    /// Where it is said: `release.txt:3`, `--expect-digest`; escaped.
    pub place: String,
}

/// A digest that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The target, by its place in [`Report::targets`].
    pub target: usize,
    /// What was expected.
    pub expected: Digest,
    /// Where it is said; escaped.
    pub place: String,
    /// What it is the digest of: `index`, `manifest`, `config`; `None` where it is none of the target's.
    pub of: Option<&'static str>,
}

/// Why a text says no digest.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// It has none in any form that is known.
    #[error("`{place}` names no digest")]
    None {
        /// The file; escaped.
        place: String,
    },
    /// It says two digests of the same image.
    #[error("`{first}` and `{second}` expect different digests of the same image")]
    Conflict {
        /// Where the one stands.
        first: String,
        /// Where the other stands.
        second: String,
    },
}

impl DigestError {
    /// What to write.
    pub fn hint(&self) -> &'static str {
        "give a digest, or a file: lines of `reference digest`, the output of `docker push`, what `docker buildx build \
         --metadata-file`, `--iidfile` or `podman push --digestfile` wrote"
    }
}

/// Reads a digest of an algorithm that is known. `app:1` is one by its grammar.
pub fn digest(text: &str) -> Option<Digest> {
    Digest::parse(text)
        .ok()
        .filter(|digest| digest.algorithm().is_some())
}

/// Reads the digests that the text of a file says: a lone digest (an iidfile, a digest file), lines of `reference digest` or
/// `reference@digest`, a build's metadata in JSON, or a log with the lines of `docker push` and BuildKit.
///
/// A log may say several digests of one image, the last of which counts; in a list that is a mistake.
///
/// *Errors*: where it says none, or contradicts itself.
pub fn read(file: &str, text: &str) -> Result<Vec<Expected>, DigestError> {
    let place = crate::text::escape(file.as_bytes());
    let mut expected = Vec::new();
    if let Some(digest) = digest(text.trim()) {
        return Ok(vec![Expected {
            reference: None,
            digest,
            place,
        }]);
    }
    if let Ok(serde_json::Value::Object(metadata)) = serde_json::from_str(text) {
        metadata_of(&metadata, &place, &mut expected);
    } else if let Some(listed) = list(text, &place)? {
        expected = listed;
    } else {
        log(text, &place, &mut expected);
    }
    if expected.is_empty() {
        return Err(DigestError::None { place });
    }
    Ok(expected)
}

/// `reference digest` or `reference@digest` in every line that is not empty and no comment; `None` where a line is something else.
fn list(text: &str, place: &str) -> Result<Option<Vec<Expected>>, DigestError> {
    let mut listed: Vec<Expected> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, digest) = match words.as_slice() {
            [name, digest] => (*name, *digest),
            [pinned] => match pinned.split_once('@') {
                Some(split) => split,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let (Ok(reference), Some(digest)) = (Reference::parse(name), self::digest(digest)) else {
            return Ok(None);
        };
        let said = Expected {
            reference: Some(reference),
            digest,
            place: format!("{place}:{}", index + 1),
        };
        if let Some(other) = listed.iter().find(|other| other.reference == said.reference)
            && other.digest != said.digest
        {
            return Err(DigestError::Conflict {
                first: other.place.clone(),
                second: said.place,
            });
        }
        listed.push(said);
    }
    // BuildKit's lines look like comments.
    Ok(Some(listed).filter(|listed| !listed.is_empty()))
}

/// What BuildKit's metadata file says: one build, or by target those of a bake.
fn metadata_of(
    metadata: &serde_json::Map<String, serde_json::Value>,
    place: &str,
    expected: &mut Vec<Expected>,
) {
    let text = |key: &str| metadata.get(key).and_then(serde_json::Value::as_str);
    // What was pushed; without a push there is the configuration alone.
    let digest = text("containerimage.digest").or_else(|| text("containerimage.config.digest"));
    if let Some(digest) = digest.and_then(self::digest) {
        let names = text("image.name").unwrap_or_default();
        let references: Vec<Reference> = names
            .split(',')
            .filter_map(|name| Reference::parse(name.trim()).ok())
            .collect();
        let mut add = |reference| {
            expected.push(Expected {
                reference,
                digest: digest.clone(),
                place: place.to_owned(),
            });
        };
        if references.is_empty() {
            add(None);
        }
        references.into_iter().map(Some).for_each(add);
        return;
    }
    for value in metadata.values() {
        if let serde_json::Value::Object(target) = value
            && target.contains_key("containerimage.digest")
        {
            metadata_of(target, place, expected);
        }
    }
}

/// The lines that builders print when they push.
///
/// `docker push`: `The push refers to repository [REPOSITORY]`, then `TAG: digest: DIGEST size: N`. BuildKit: `pushing manifest for
/// REFERENCE@DIGEST`. The lines may have a time or the number of a step before them.
fn log(text: &str, place: &str, expected: &mut Vec<Expected>) {
    let mut repository: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some((_, rest)) = line.split_once("The push refers to repository [") {
            repository = rest.split(']').next();
        }
        let said = if let Some((before, after)) = line.split_once(": digest: ") {
            let tag = before.split_whitespace().next_back().unwrap_or_default();
            let digest = after.split_whitespace().next().unwrap_or_default();
            let name = repository.map(|repository| format!("{repository}:{tag}"));
            Some((name, digest))
        } else {
            line.split_once("pushing manifest for ").and_then(|(_, rest)| {
                let (name, digest) = rest.split_whitespace().next()?.split_once('@')?;
                Some((Some(name.to_owned()), digest))
            })
        };
        let Some((name, digest)) = said else {
            continue;
        };
        let Some(digest) = self::digest(digest) else {
            continue;
        };
        let reference = name.and_then(|name| Reference::parse(&name).ok());
        // Pushed again: what was there before is gone.
        expected.retain(|other: &Expected| other.reference != reference || reference.is_none());
        expected.push(Expected {
            reference,
            digest,
            place: format!("{place}:{}", index + 1),
        });
    }
}

/// Compares what is expected with what each target turned out to be. A target of which nothing is expected fails, and so does one
/// that is something else.
pub fn compare(report: &Report, expected: &[Expected]) -> (Vec<Compared>, Vec<Remark>) {
    let mut compared = Vec::new();
    let mut remarks = Vec::new();
    if expected.is_empty() {
        return (compared, remarks);
    }
    let fails = |kind, text| Remark {
        weight: Weight::Fails,
        kind,
        text,
    };
    for (index, target) in report.targets.iter().enumerate() {
        if target.failure.is_some() {
            continue;
        }
        let images: Vec<&ImageSummary> = (report.images.iter())
            .filter(|image| image.target == index)
            .collect();
        let mut names: Vec<Reference> = images
            .iter()
            .flat_map(|image| &image.names)
            .chain([&target.name])
            .filter_map(|name| Reference::parse(name).ok())
            .collect();
        // A target that is a prefixed reference.
        names.extend(
            target
                .name
                .split_once("://")
                .and_then(|(_, name)| Reference::parse(name).ok()),
        );
        let meant: Vec<&Expected> = (expected.iter())
            .filter(|expected| {
                let reference = expected.reference.as_ref();
                reference.is_none_or(|reference| names.iter().any(|name| is_same(name, reference)))
            })
            .collect();
        if meant.is_empty() {
            let text = format!(
                "no digest is expected for `{}`, so nobody knows if it is right",
                target.name
            );
            remarks.push(fails(RemarkKind::DigestMissing, text));
            continue;
        }
        let mut covered: Vec<bool> = vec![false; images.len()];
        for expected in &meant {
            let of = identify(report, index, &expected.digest);
            for (image, covered) in images.iter().zip(&mut covered) {
                *covered |= match of {
                    Some("config") => image.image_id.as_ref().is_some_and(|id| id.0 == expected.digest),
                    Some("manifest") if target.digest.as_ref() != Some(&expected.digest) => {
                        image.manifest.as_ref() == Some(&expected.digest)
                    }
                    Some(_) => true,
                    None => false,
                };
            }
            compared.push(Compared {
                target: index,
                expected: expected.digest.clone(),
                place: expected.place.clone(),
                of,
            });
        }
        let places: Vec<String> = meant
            .iter()
            .map(|expected| format!("`{}` ({})", expected.digest, expected.place))
            .collect();
        if !meant
            .iter()
            .any(|expected| identify(report, index, &expected.digest).is_some())
        {
            let text = format!(
                "`{}` is not what is expected, {}: it is {}",
                target.name,
                places.join(", "),
                described(report, index)
            );
            remarks.push(fails(RemarkKind::DigestDiffers, text));
        } else if covered.contains(&false) {
            let others: Vec<String> = images
                .iter()
                .zip(&covered)
                .filter(|(_, covered)| !**covered)
                .map(|(image, _)| match (&image.platform, &image.manifest) {
                    (Some(platform), Some(digest)) => format!("{platform} (`{digest}`)"),
                    (Some(platform), None) => platform.to_string(),
                    (None, Some(digest)) => format!("`{digest}`"),
                    (None, None) => "an image without a digest".to_owned(),
                })
                .collect();
            let text = format!(
                "`{}` has more than what is expected, {}: {}",
                target.name,
                places.join(", "),
                others.join(", ")
            );
            remarks.push(fails(RemarkKind::DigestDiffers, text));
        }
    }
    (compared, remarks)
}

/// Whether two names are of the same image, digests aside.
fn is_same(a: &Reference, b: &Reference) -> bool {
    a.name() == b.name() && a.tag() == b.tag()
}

/// What of a target has this digest.
fn identify(report: &Report, target: usize, digest: &Digest) -> Option<&'static str> {
    let summary = report.targets.get(target)?;
    if summary.index.as_ref() == Some(digest) {
        return Some("index");
    }
    let mut images = report.images.iter().filter(|image| image.target == target);
    if summary.digest.as_ref() == Some(digest)
        || images
            .clone()
            .any(|image| image.manifest.as_ref() == Some(digest))
    {
        return Some("manifest");
    }
    images
        .any(|image| image.image_id.as_ref().is_some_and(|id| id.0 == *digest))
        .then_some("config")
}

/// The digests of a target, for a person.
fn described(report: &Report, target: usize) -> String {
    let mut parts = Vec::new();
    let summary = report.targets.get(target);
    if let Some(index) = summary.and_then(|summary| summary.index.as_ref()) {
        parts.push(format!("index `{index}`"));
    }
    for image in report.images.iter().filter(|image| image.target == target) {
        parts.extend(
            image
                .manifest
                .as_ref()
                .map(|digest| format!("manifest `{digest}`")),
        );
        parts.extend(image.image_id.as_ref().map(|id| format!("config `{}`", id.0)));
    }
    if parts.is_empty() {
        "something without a digest".to_owned()
    } else {
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> String {
        Digest::of(&[number]).to_string()
    }

    /// Each as `reference digest`, `*` for any.
    fn said(text: &str) -> Vec<String> {
        let read = read("said", text).unwrap();
        let shown = read.iter().map(|expected| {
            let reference = expected.reference.as_ref();
            let reference = reference.map_or_else(|| "*".to_owned(), ToString::to_string);
            format!("{reference} {}", expected.digest)
        });
        shown.collect()
    }

    #[test]
    fn every_form_that_builders_leave_is_read() {
        let (a, b) = (digest(1), digest(2));
        let any = vec![format!("* {a}")];
        let app = vec![format!("registry.example.com/app:1 {a}")];
        assert_eq!(said(&a), any);
        assert_eq!(said(&format!("{a}\n")), any);
        assert_eq!(
            said(&format!("# releases\n\nregistry.example.com/app:1 {a}\n")),
            app
        );
        assert_eq!(said(&format!("registry.example.com/app:1@{a}\n")), app);
        // docker push, in a CI log with times before its lines, and pushed twice.
        let push = |digest: &str| {
            format!(
                "10:00 The push refers to repository [registry.example.com/app]\n10:00 5f70bf18a086: Pushed\n\
                 10:01 1: digest: {digest} size: 1234\n"
            )
        };
        assert_eq!(said(&push(&a)), app);
        assert_eq!(said(&format!("{}{}", push(&b), push(&a))), app);
        // BuildKit.
        let buildkit = format!("#9 pushing manifest for registry.example.com/app:1@{a} 0.1s done\n#9 DONE\n");
        assert_eq!(said(&buildkit), app);
        // Metadata of one build, of one that was not pushed, and of a bake.
        let one =
            format!(r#"{{"containerimage.digest":"{a}","image.name":"registry.example.com/app:1,app:2"}}"#);
        assert_eq!(
            said(&one),
            [app[0].clone(), format!("docker.io/library/app:2 {a}")]
        );
        assert_eq!(said(&format!(r#"{{"containerimage.config.digest":"{a}"}}"#)), any);
        let bake = format!(
            r#"{{"buildx.build.warnings":[],"x":{{"containerimage.digest":"{a}","image.name":"a:1"}},
            "y":{{"containerimage.digest":"{b}","image.name":"b:1"}}}}"#
        );
        assert_eq!(
            said(&bake),
            [
                format!("docker.io/library/a:1 {a}"),
                format!("docker.io/library/b:1 {b}")
            ]
        );
    }

    #[test]
    fn what_says_no_digest_or_two_is_refused() {
        let (a, b) = (digest(1), digest(2));
        for text in [
            "",
            "latest: Pulling from app\n",
            "{}",
            "app:1\n",
            "sha256:00\n",
            "1: digest: none size: 1",
        ] {
            assert!(
                matches!(read("said", text), Err(DigestError::None { .. })),
                "{text}"
            );
        }
        let text = format!("app:1 {a}\n\napp:1 {b}\n");
        let error = read("said", &text).unwrap_err().to_string();
        assert_eq!(
            error,
            "`said:1` and `said:3` expect different digests of the same image"
        );
    }
}
