//! What GitHub answers → what it means and what to do. Does not ask anything.

use serde::Deserialize;

use super::Token;
use super::destination::Reader;
use crate::text;

/// The answer to an upload.
#[derive(Deserialize)]
pub(super) struct Accepted {
    pub(super) id: String,
}

/// How far an upload is.
#[derive(Deserialize)]
pub(super) struct Progress {
    /// `pending`, `complete` or `failed`.
    pub(super) processing_status: String,
    pub(super) errors: Option<Vec<String>>,
}

/// What GitHub made of one run.
#[derive(Deserialize)]
pub(super) struct Analysis {
    #[serde(default)]
    pub(super) category: String,
    #[serde(default)]
    pub(super) warning: String,
    #[serde(default)]
    pub(super) error: String,
}

/// An answer that is an error.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Complaint {
    pub(super) message: String,
}

/// An answer's text as it may be shown: escaped, without the token, at most [`MOST_SHOWN`] characters.
pub(super) fn shown(said: &str, token: &Token) -> String {
    let said = text::escape(said.replace(&token.0, "***").as_bytes());
    match said.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said,
    }
}

const MOST_SHOWN: usize = 600;

/// What an error answer means.
pub(super) fn refusal(status: u16, said: &str, reader: Option<Reader>) -> Option<String> {
    let said = said.to_lowercase();
    let told = REFUSALS
        .iter()
        .find(|(of, part, _)| *of == status && said.contains(part))
        .map(|(_, _, meaning)| (*meaning).to_owned())?;
    let is_about_rights = status == 403 && !said.contains("rate limit") && !said.contains("archived");
    Some(match reader {
        Some(Reader::Fork) if is_about_rights => FORK.to_owned(),
        Some(Reader::Dependabot) if is_about_rights => DEPENDABOT.to_owned(),
        _ => told,
    })
}

const FORK: &str = "this pull request comes from a fork, whose workflows get a token that only reads: skip the upload \
                    for forks and show the job summary, or upload in a `workflow_run` workflow (docs/ci.md)";

const DEPENDABOT: &str = "runs that Dependabot starts get a token that only reads on `push`: upload on `pull_request` \
                          instead";

/// Status, a part of the message in lower case, and what it means. The first that fits counts; an empty part fits all.
const REFUSALS: &[(u16, &str, &str)] = &[
    (
        400,
        "",
        "GitHub takes this for no SARIF file; `results`, `ruleId` and locations are what it needs",
    ),
    (
        401,
        "",
        "the token is not taken: it is wrong, has expired or was revoked",
    ),
    (
        403,
        "archived",
        "the repository is archived; alerts can only be changed once it is not",
    ),
    (
        403,
        "rate limit",
        "GitHub takes 1,000 calls an hour of one user or app, and fewer at a time: try again later",
    ),
    (
        403,
        "not accessible by integration",
        "the workflow's token may not write alerts: give the job `permissions: security-events: write` (and in a \
         private repository `contents: read`, `actions: read`); workflows of pull requests from forks never get it",
    ),
    (
        403,
        "not accessible by personal access token",
        "the token needs the permission `Code scanning alerts: write` for this repository",
    ),
    (
        403,
        "code security",
        "code scanning is off: a private repository needs GitHub Code Security, which is switched on in its settings",
    ),
    (
        403,
        "advanced security",
        "code scanning is off: a private repository needs GitHub Code Security, which is switched on in its settings",
    ),
    (
        403,
        "code scanning is not enabled",
        "code scanning is off: a private repository needs GitHub Code Security, which is switched on in its settings",
    ),
    (
        403,
        "saml",
        "the organisation asks for single sign-on: authorise the token for it",
    ),
    (
        403,
        "",
        "the token may not write alerts: it needs `security-events: write` in Actions, or the scope `security_events` \
         (`public_repo` for public repositories)",
    ),
    (
        404,
        "",
        "there is no such repository for this token: check `--github-repository`, and that the token may see it",
    ),
    (
        413,
        "",
        "the file is too large for GitHub: write one file per image, `--format sarif=DIR/`, or raise `--severity`",
    ),
    (
        422,
        "",
        "GitHub does not know the commit or the ref: push them first, or name others with `--commit` and `--ref`",
    ),
    (429, "", "too many calls: try again later"),
    (
        500,
        "",
        "GitHub has trouble: try again later, see githubstatus.com",
    ),
    (
        502,
        "",
        "GitHub has trouble: try again later, see githubstatus.com",
    ),
    (
        503,
        "",
        "GitHub's code scanning has trouble: try again later, see githubstatus.com",
    ),
    (
        504,
        "",
        "GitHub has trouble: try again later, see githubstatus.com",
    ),
];

/// What the errors of a failed processing mean.
pub(super) fn failure(errors: &[String]) -> Option<String> {
    let errors: Vec<String> = errors.iter().map(|error| error.to_lowercase()).collect();
    FAILURES
        .iter()
        .find(|(part, _)| errors.iter().any(|error| error.contains(part)))
        .map(|(_, meaning)| (*meaning).to_owned())
}

/// Whether all that went wrong is that the file says its scan did not finish.
pub(super) fn is_unfinished_scan(errors: &[String]) -> bool {
    matches!(errors, [only] if only.to_lowercase().starts_with(UNSUCCESSFUL))
}

const UNSUCCESSFUL: &str = "unsuccessful execution";

/// A part of an error in lower case, and what it means; those that say more come first.
const FAILURES: &[(&str, &str)] = &[
    (
        "multiple runs with the same category",
        "two runs have one tool and category: give each its own `automationDetails.id`, or upload one file per image",
    ),
    (
        "did not match the checkout uri scheme",
        "a location has a scheme such as `docker:` or `oci:`, or a colon in its first part: locations are relative \
         paths of the repository",
    ),
    (
        "an invalid uri was provided",
        "a location is no URI: spaces and other special characters of a path must be percent-encoded",
    ),
    (
        "expected artifact location",
        "a result's location names no file: each needs `physicalLocation.artifactLocation.uri`",
    ),
    (
        "expected at least one location",
        "a result has no location: each needs one with `physicalLocation.artifactLocation.uri`",
    ),
    (
        "too many logical alerts",
        "the repository has as many alerts as GitHub keeps: delete analyses that are no longer made, or raise \
         `--severity`",
    ),
    (
        "invalid security severity",
        "a rule's `security-severity` is no number from 0.0 to 10.0",
    ),
    (
        UNSUCCESSFUL,
        "the file says that its scan did not finish (`executionSuccessful` is false): GitHub notes the failed scan and \
         changes no alert; the other errors are what to look at",
    ),
    (
        "too many results",
        "GitHub takes 25,000 results of one run: raise `--severity` or `--min-confidence`",
    ),
    (
        "rejecting sarif",
        "the file is over one of GitHub's limits: 20 runs, 25,000 results and 25,000 rules of a run, 1,000 locations of \
         a result",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_error_is_explained_and_unknown_ones_are_not() {
        for (said, expected) in [
            (
                "rejecting SARIF, as there are more runs than allowed (21 > 20)",
                "20 runs",
            ),
            (
                "an invalid URI was provided as a SARIF location: parse \"file://a b\": invalid character",
                "percent-encoded",
            ),
            (
                "locationFromSarifResult: expected artifact location",
                "names no file",
            ),
            (
                "locationFromSarifResult: expected at least one location",
                "has no location",
            ),
            (
                "SARIF URI scheme \"debian\" did not match the checkout URI scheme \"file\"",
                "relative",
            ),
            (
                "rejecting delivery as the repository has too many logical alerts",
                "as many alerts",
            ),
            (
                "A delivery cannot contain multiple runs with the same category",
                "its own",
            ),
            ("unsuccessful execution", "did not finish"),
            (
                "could not convert rules: invalid security severity value, is not a number: x",
                "no number",
            ),
        ] {
            let explained = failure(&[said.to_owned()]);
            assert!(
                explained.as_ref().is_some_and(|text| text.contains(expected)),
                "{said}"
            );
        }
        assert_eq!(failure(&["something new".to_owned()]), None);
        assert_eq!(refusal(418, "I'm a teapot", None), None);
    }

    #[test]
    fn a_token_that_only_reads_is_told_by_whose_it_is() {
        let said = "Resource not accessible by integration";
        assert!(
            refusal(403, said, None)
                .unwrap()
                .contains("security-events: write")
        );
        assert!(refusal(403, said, Some(Reader::Fork)).unwrap().contains("fork"));
        assert!(
            refusal(403, said, Some(Reader::Dependabot))
                .unwrap()
                .contains("Dependabot")
        );
        let archived = refusal(403, "Repository was archived", Some(Reader::Fork)).unwrap();
        assert!(archived.contains("archived"), "{archived}");
        let limited = refusal(403, "API rate limit exceeded", Some(Reader::Fork)).unwrap();
        assert!(limited.contains("later"), "{limited}");
    }

    #[test]
    fn an_answer_cannot_show_the_token_or_speak_to_a_terminal() {
        let token = Token::new("ghs-token-of-a-test").unwrap();
        let said = shown("bad \u{1b}[2J ghs-token-of-a-test", &token);
        assert_eq!(said, "bad \\u{1b}[2J ***");
        assert_eq!(shown(&"x".repeat(5000), &token).chars().count(), MOST_SHOWN + 1);
        assert!(!format!("{token:?}").contains("ghs"));
    }
}
