//! The description of a rule in a log: the same whatever was found, so that uploads agree. Never holds a match.

use serde_json::json;
use serde_sarif::sarif::{
    MultiformatMessageString, PropertyBag, ReportingConfiguration, ReportingDescriptor,
};

use crate::finding::Finding;
use crate::report::RuleNote;
use crate::rules::{Confidence, Severity};

use super::{cut, level};

/// Describes the rule of `finding`. A rule nothing is known of is described by the finding's title.
pub(super) fn descriptor(finding: &Finding, note: Option<&RuleNote>) -> ReportingDescriptor {
    let title = note.map_or(finding.title.as_str(), |note| note.title.as_str());
    let title = if title.is_empty() { &finding.rule.0 } else { title };
    let title = crate::text::escape(title.as_bytes());
    let description = match note.map(|note| note.description.as_str()) {
        Some(description) if !description.is_empty() => description.to_owned(),
        _ => format!("{title}."),
    };
    let revoke = match note.map(|note| note.revoke.as_str()) {
        Some(revoke) if !revoke.is_empty() => revoke.to_owned(),
        _ => "Revoke it where it was issued.".to_owned(),
    };
    let severity = note.map_or(finding.severity, |note| note.severity);
    let confidence = note.map_or(finding.confidence, |note| note.confidence);
    let help = format!("{description} {WHY} How to revoke: {revoke} {REBUILD}");
    let markdown = format!(
        "# {title} in a container image\n\n{description}\n\n## Why deleting it does not help\n\n{WHY}\n\n\
         ## What to do\n\n1. Revoke it: {revoke}\n2. {REBUILD}\n\n   ```dockerfile\n   \
         # a file, instead of COPY\n   RUN --mount=type=secret,id=NAME,target=/PATH COMMAND\n   # a value, instead of \
         ENV or ARG\n   RUN --mount=type=secret,id=NAME,env=NAME COMMAND\n   ```\n\n3. Push the rebuilt image, and delete \
         every tag and digest of the old one from the registry: the alert names the image.\n"
    );
    let mut descriptor = ReportingDescriptor::builder()
        .id(finding.rule.0.clone())
        .name(pascal_case(&finding.rule.0))
        .short_description(plain(&cut(
            &format!("{title} in a container image."),
            MOST_DESCRIPTION,
        )))
        .full_description(plain(&cut(&description, MOST_DESCRIPTION)))
        .help(
            MultiformatMessageString::builder()
                .text(help)
                .markdown(markdown)
                .build(),
        )
        .default_configuration(ReportingConfiguration {
            level: Some(json!(level(severity))),
            ..Default::default()
        })
        .properties(properties(severity, confidence))
        .build();
    descriptor.help_uri = note.and_then(|note| note.references.first().cloned());
    descriptor
}

fn properties(severity: Severity, confidence: Confidence) -> PropertyBag {
    // Over 9.0 is critical, from 7.0 high, from 4.0 medium. A text: GitHub refuses numbers.
    let score = match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    };
    let precision = confidence.to_string();
    let tags = [
        "security",
        "secret",
        "container",
        "external/cwe/cwe-798",
        "external/cwe/cwe-538",
    ];
    PropertyBag {
        tags: Some(tags.map(str::to_owned).to_vec()),
        additional_properties: [
            ("precision".to_owned(), json!(precision)),
            ("security-severity".to_owned(), json!(score)),
        ]
        .into(),
    }
}

fn plain(text: &str) -> MultiformatMessageString {
    MultiformatMessageString::builder().text(text).build()
}

/// `GcsHmacKey` of `gcs-hmac-key`.
fn pascal_case(id: &str) -> String {
    id.split('-')
        .flat_map(|word| {
            let mut chars = word.chars();
            chars
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(chars)
        })
        .take(255)
        .collect()
}

const WHY: &str = "Every layer of an image is stored and pulled on its own. A later layer that deletes or replaces a \
                   file only hides it; the layer that brought it can still be read by everyone who can pull the image.";
const REBUILD: &str = "Rebuild the image without it, giving it to the build as a secret mount, which never becomes part of a layer.";
/// GitHub's limit for descriptions, in characters, less one for the mark of the cut.
const MOST_DESCRIPTION: usize = 1023;
