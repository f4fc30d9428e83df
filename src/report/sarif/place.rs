//! Where a result is: a relative URI and a region, complete as GitHub asks. Does not look into a checkout: what is tracked
//! there is given.

use std::collections::BTreeMap;

use serde_sarif::sarif::{ArtifactContent, ArtifactLocation, Location, PhysicalLocation, Region};

use crate::finding::{
    self, Certainty, Chain, Companion, Dockerfile, Line, Link, MadeBy, Occurrence, Origin, Secret,
};

use super::number;
use crate::text::secret::Extent;

/// What URIs of places in an image are relative to; named so that no viewer takes them for files of the repository.
pub(super) const IMAGE: &str = "IMAGEROOT";

/// What URIs of files of the checkout are relative to.
pub(super) const CHECKOUT: &str = "%SRCROOT%";

/// Files of the checkout by the first 128 bits of the SHA-256 of their content.
pub type TrackedFiles = BTreeMap<[u8; 16], String>;

/// Where a result stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// At the instruction of the Dockerfile.
    Dockerfile,
    /// At the file of the checkout that has the same content, or else at the instruction.
    File,
    /// At its path in the image.
    #[default]
    Image,
}

/// A place in an image.
pub(super) struct Place<'a> {
    uri: String,
    base: &'static str,
    location: &'a finding::Location,
    within: &'a Chain,
    context: &'a [Line],
    /// What stands there, for where it ends. Only its lengths are used.
    secret: &'a Secret,
}

impl<'a> Place<'a> {
    pub(super) fn of(root: &str, occurrence: &'a Occurrence, secret: &'a Secret) -> Self {
        Self {
            uri: uri(root, &occurrence.origin),
            base: IMAGE,
            location: &occurrence.location,
            within: &occurrence.within,
            context: &occurrence.context,
            secret,
        }
    }

    pub(super) fn of_companion(root: &str, companion: &'a Companion) -> Self {
        Self {
            uri: uri(root, &companion.origin),
            base: IMAGE,
            location: &companion.location,
            within: &companion.within,
            context: &[],
            secret: &companion.secret,
        }
    }

    /// The same place in the file of the checkout that has this content.
    pub(super) fn of_tracked(
        occurrence: &'a Occurrence,
        secret: &'a Secret,
        files: &TrackedFiles,
    ) -> Option<Self> {
        let Origin::File { entry, .. } = &occurrence.origin else {
            return None;
        };
        let path = files.get(&entry.sha256?)?;
        Some(Self {
            uri: encoded_path(path),
            base: CHECKOUT,
            ..Self::of("", occurrence, secret)
        })
    }

    pub(super) fn location(&self) -> Location {
        // The line is one of the innermost member; the artifact is the file that holds it.
        let is_nested = |link: &Link| matches!(link, Link::Member(_) | Link::Stream(_));
        let (region, context) = if self.within.links().iter().any(is_nested) {
            (region(&finding::Location::default(), self.secret), &[][..])
        } else {
            (region(self.location, self.secret), self.context)
        };
        Location {
            physical_location: Some(PhysicalLocation {
                artifact_location: Some(artifact(self.uri.clone(), self.base)),
                context_region: context_region(&region, context),
                region: Some(region),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

/// The place of an instruction: all of its lines, and its text where that is surely the image's own.
pub(super) fn instruction(dockerfile: &Dockerfile, made_by: MadeBy) -> Option<Location> {
    let found = dockerfile.instruction(made_by)?;
    let is_short = found.last_line - found.first_line < MOST_SNIPPET_LINES;
    // Another text than the image's may hold secrets that nobody has looked for.
    let is_shown = made_by.certainty == Certainty::Exact && is_short && !dockerfile.is_inherited(made_by);
    let snippet = is_shown.then(|| ArtifactContent {
        text: Some(found.text.clone()),
        ..Default::default()
    });
    Some(Location {
        physical_location: Some(PhysicalLocation {
            artifact_location: Some(artifact(encoded_path(&dockerfile.path), CHECKOUT)),
            region: Some(Region {
                start_line: Some(number(found.first_line)),
                start_column: Some(number(found.first_column)),
                end_line: Some(number(found.last_line)),
                end_column: Some(number(found.end_column)),
                snippet,
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// The beginning of a Dockerfile, for what no instruction is known of.
pub(super) fn beginning(dockerfile: &Dockerfile) -> Location {
    Location {
        physical_location: Some(PhysicalLocation {
            artifact_location: Some(artifact(encoded_path(&dockerfile.path), CHECKOUT)),
            region: Some(Region {
                start_line: Some(1),
                start_column: Some(1),
                end_line: Some(1),
                end_column: Some(2),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn artifact(uri: String, base: &str) -> ArtifactLocation {
    ArtifactLocation {
        uri: Some(uri),
        uri_base_id: Some(base.to_owned()),
        ..Default::default()
    }
}

/// A path of the checkout, percent-encoded.
fn encoded_path(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments
        .map(|segment| encoded_segment(segment.as_bytes()))
        .collect::<Vec<_>>()
        .join("/")
}

/// From the first character to behind the last. Without lines, the first character of the file: GitHub asks for all
/// four numbers.
fn region(location: &finding::Location, secret: &Secret) -> Region {
    let (start_line, start_column) = match location.line {
        0 => (1, 1),
        line => (line, location.column_utf16.max(1)),
    };
    let Extent { breaks, last_units } = secret.extent();
    let (end_line, end_column) = if location.line == 0 {
        (1, 2)
    } else if breaks == 0 {
        (start_line, start_column.saturating_add(last_units.max(1)))
    } else {
        (start_line.saturating_add(breaks), last_units + 1)
    };
    Region {
        start_line: Some(number(start_line)),
        start_column: Some(number(start_column)),
        end_line: Some(number(end_line)),
        end_column: Some(number(end_column)),
        ..Default::default()
    }
}

/// The lines around it, redacted as they are. SARIF asks that they enclose the region.
fn context_region(region: &Region, lines: &[Line]) -> Option<Region> {
    let (first, last) = (lines.first()?, lines.last()?);
    let (start, end) = (number(first.number), number(last.number));
    if Some(start) > region.start_line || Some(end) < region.end_line {
        return None;
    }
    let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    Some(Region {
        start_line: Some(start),
        end_line: Some(end),
        snippet: Some(ArtifactContent {
            text: Some(text.join("\n")),
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// `<last part of the repository>/<path>`, percent-encoded; for what is no file, a name that no file of a repository
/// has, without the numbers that change when an instruction is added above: the path is part of an alert's identity.
fn uri(root: &str, origin: &Origin) -> String {
    let mut uri = encoded_segment(root.as_bytes());
    let mut push = |path: &[u8]| {
        for segment in path
            .split(|byte| *byte == b'/')
            .filter(|segment| !segment.is_empty())
        {
            uri.push('/');
            uri.push_str(&encoded_segment(segment));
        }
    };
    let without_indexes = |field: &str| {
        let mut depth = 0_usize;
        field
            .chars()
            .filter(|c| match c {
                '[' => {
                    depth += 1;
                    false
                }
                ']' => {
                    depth = depth.saturating_sub(1);
                    false
                }
                _ => depth == 0,
            })
            .collect::<String>()
    };
    match origin {
        Origin::File { path, .. } => push(&path.0),
        Origin::Layer { region, path, .. } => {
            push(b"@layer");
            push(region.as_bytes());
            if let Some(path) = path {
                push(&path.0);
            }
        }
        Origin::Config { field, .. } => {
            push(b"@config");
            push(without_indexes(field).as_bytes());
        }
        Origin::Manifest { field } => {
            push(b"@manifest");
            push(without_indexes(field).as_bytes());
        }
        Origin::Attestation { field, .. } => {
            push(b"@attestation");
            push(without_indexes(field).as_bytes());
        }
    }
    uri
}

/// One segment: unreserved characters and `@` as they are, every other byte as `%XX`. A segment of dots alone would be
/// resolved away, encoded or not (RFC 3986, 6.2.2.2), and is shown by an underscore.
fn encoded_segment(segment: &[u8]) -> String {
    if matches!(segment, b"." | b"..") {
        return "_".repeat(segment.len());
    }
    let mut out = String::with_capacity(segment.len());
    for byte in segment {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                out.push(char::from(*byte))
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Lines of an instruction that are quoted.
const MOST_SNIPPET_LINES: u64 = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::EntryFacts;

    fn file(path: &[u8]) -> Origin {
        Origin::File {
            layer: 1,
            path: path.into(),
            entry: EntryFacts::default(),
        }
    }

    #[test]
    fn paths_become_relative_uris_of_plain_characters() {
        for (path, expected) in [
            (&b"root/.boto"[..], "app/root/.boto"),
            (b"a b/c:d", "app/a%20b/c%3Ad"),
            (b"../../etc//passwd", "app/__/__/etc/passwd"),
            (b"caf\xc3\xa9/\xff\x00", "app/caf%C3%A9/%FF%00"),
            (b"x%2e/[1]?#", "app/x%252e/%5B1%5D%3F%23"),
            (b"", "app"),
        ] {
            assert_eq!(uri("app", &file(path)), expected);
        }
    }

    #[test]
    fn metadata_has_a_name_that_outlives_new_instructions() {
        let field = |number| Origin::Config {
            field: format!("history[{number}].created_by"),
            layer: None,
        };
        assert_eq!(uri("app", &field(3)), "app/@config/history.created_by");
        assert_eq!(uri("app", &field(3)), uri("app", &field(12)));
    }

    #[test]
    fn regions_end_behind_the_secret_in_utf16_units() {
        let at = |line, column_utf16| finding::Location {
            line,
            column_utf16,
            ..Default::default()
        };
        let ends = |location, secret: &str| {
            let region = region(&location, &Secret::new(secret.into()));
            (
                region.start_line.unwrap(),
                region.start_column.unwrap(),
                region.end_line.unwrap(),
                region.end_column.unwrap(),
            )
        };
        assert_eq!(ends(at(3, 5), "abc"), (3, 5, 3, 8));
        assert_eq!(ends(at(3, 5), "a😀"), (3, 5, 3, 8));
        assert_eq!(ends(at(3, 5), "a\nbc\nd"), (3, 5, 5, 2));
        assert_eq!(ends(at(3, 5), ""), (3, 5, 3, 6));
        assert_eq!(ends(at(0, 0), "abc"), (1, 1, 1, 2));
        let far = i64::from(i32::MAX);
        assert_eq!(ends(at(u64::MAX, u64::MAX), "a\nb"), (far, far, far, 2));
    }
}
