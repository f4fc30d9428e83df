//! Where a result is: a relative URI and a region, complete as GitHub asks. Does not find files in a checkout.

use serde_sarif::sarif::{ArtifactContent, ArtifactLocation, Location, PhysicalLocation, Region};

use crate::finding::{self, Companion, Line, Occurrence, Origin, Secret};

use super::number;

/// What the URIs are relative to; named so that no viewer takes them for files of the repository.
pub(super) const BASE: &str = "IMAGEROOT";

/// A place in an image.
pub(super) struct Place<'a> {
    uri: String,
    location: &'a finding::Location,
    context: &'a [Line],
    /// What stands there, for where it ends. Only its lengths are used.
    secret: &'a Secret,
}

impl<'a> Place<'a> {
    pub(super) fn of(root: &str, occurrence: &'a Occurrence, secret: &'a Secret) -> Self {
        Self {
            uri: uri(root, &occurrence.origin),
            location: &occurrence.location,
            context: &occurrence.context,
            secret,
        }
    }

    pub(super) fn of_companion(root: &str, companion: &'a Companion) -> Self {
        Self {
            uri: uri(root, &companion.origin),
            location: &companion.location,
            context: &[],
            secret: &companion.secret,
        }
    }

    pub(super) fn location(&self) -> Location {
        let region = region(self.location, self.secret);
        Location {
            physical_location: Some(PhysicalLocation {
                artifact_location: Some(ArtifactLocation {
                    uri: Some(self.uri.clone()),
                    uri_base_id: Some(BASE.to_owned()),
                    ..Default::default()
                }),
                context_region: context_region(&region, self.context),
                region: Some(region),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

/// From the first character to behind the last. Without lines, the first character of the file: GitHub asks for all
/// four numbers.
fn region(location: &finding::Location, secret: &Secret) -> Region {
    let text = String::from_utf8_lossy(secret.expose());
    let (start_line, start_column) = match location.line {
        0 => (1, 1),
        line => (line, location.column_utf16.max(1)),
    };
    let breaks = text.bytes().filter(|byte| *byte == b'\n').count() as u64;
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    let last_units = last_line.encode_utf16().count() as u64;
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
