//! Uploads to code scanning, against a server that answers as GitHub documents it.

use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use layersift::github::{
    self, Destination, Given, Package, Patience, Receipt, State, Surroundings, Token, UploadError,
};
use serde_json::{Value, json};

use crate::support::command::{Layersift, layersift};
use crate::support::image::image;
use crate::support::scripted::{Reply, Request, Server};
use crate::support::secrets::secrets;
use crate::support::tar::file;

const COMMIT: &str = "4cfa2f5e1f0a3f8b3a7cbb2e9f4b3d2c1a0f9e8d";
const ID: &str = "47177e22-5596-11eb-80a1-c1e54ef945c6";

/// Not one: it was never issued.
fn token() -> String {
    ["ghs", "never-issued-by-anyone"].join("_")
}

fn sarif(is_successful: bool) -> String {
    json!({
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "layersift"}},
            "automationDetails": {"id": "layersift/app/linux-amd64/"},
            "invocations": [{"executionSuccessful": is_successful}],
            "results": [],
        }],
    })
    .to_string()
}

fn destination(server: &Server, event: &'static str) -> Destination {
    let api = server.url("");
    let given = Given {
        repository: Some("acme/app".to_owned()),
        commit: Some(COMMIT.to_owned()),
        reference: Some("refs/heads/main".to_owned()),
        checkout: Some("/src".into()),
    };
    let around = Surroundings {
        variable: &|name| match name {
            "GITHUB_API_URL" => Some(api.clone()),
            "GITHUB_EVENT_PATH" => Some("/event.json".to_owned()),
            _ => None,
        },
        git: &|_| None,
        file: &|_| Some(event.as_bytes().to_vec()),
    };
    Destination::find(&given, around).unwrap()
}

fn upload(server: &Server, is_successful: bool) -> Result<Receipt, UploadError> {
    upload_of(server, is_successful, "{}")
}

fn upload_of(server: &Server, is_successful: bool, event: &'static str) -> Result<Receipt, UploadError> {
    let patience = Patience {
        pause: Duration::from_millis(2),
        wait: Duration::from_secs(2),
    };
    github::upload(
        &Package::of(sarif(is_successful).as_bytes()).unwrap(),
        &destination(server, event),
        &Token::new(&token()).unwrap(),
        patience,
        &[],
    )
}

fn accepted() -> Reply {
    let body = json!({"id": ID, "url": "https://api.example.com/elsewhere"});
    Reply::new(202).body(body.to_string())
}

fn complaint(status: u16, message: &str) -> Reply {
    let body = json!({"message": message, "documentation_url": "https://docs.example.com", "status": status.to_string()});
    Reply::new(status).body(body.to_string())
}

fn progress(status: &str, errors: Value) -> Reply {
    Reply::ok(json!({"processing_status": status, "analyses_url": null, "errors": errors}).to_string())
}

/// GitHub, which needs two questions to read a file and then ends with `last`.
fn github_that(last: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/repos/acme/app/code-scanning/sarifs") => accepted(),
        ("GET", path) if path.ends_with(ID) && path.contains("/sarifs/") => match request.nth {
            // One that asks too early may be told that there is no such upload.
            0 => complaint(404, "Not Found"),
            1 => progress("pending", Value::Null),
            _ => last(),
        },
        ("GET", path) if path.ends_with(&format!("/analyses?sarif_id={ID}")) => Reply::ok(
            json!([{"category": "layersift/app/linux-amd64", "warning": "12 results were ignored", "error": ""}])
                .to_string(),
        ),
        _ => Reply::new(500),
    }
    })
}

#[test]
fn an_upload_is_sent_as_documented_and_waited_for() {
    let server = github_that(|| progress("complete", Value::Null));
    let receipt = upload(&server, true).unwrap();
    assert_eq!(
        receipt,
        Receipt {
            id: ID.to_owned(),
            state: State::Processed,
            warnings: vec!["layersift/app/linux-amd64: 12 results were ignored".to_owned()],
        }
    );
    let requests = server.requests();
    let sent: Value = serde_json::from_str(&requests[0].body).unwrap();
    let gzip = base64::engine::general_purpose::STANDARD
        .decode(sent["sarif"].as_str().unwrap())
        .unwrap();
    let mut file = String::new();
    flate2::read::GzDecoder::new(&gzip[..])
        .read_to_string(&mut file)
        .unwrap();
    assert_eq!(file, sarif(true));
    let mut fields: Vec<_> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["checkout_uri", "commit_sha", "ref", "sarif", "tool_name"]
    );
    assert_eq!(
        (
            &sent["commit_sha"],
            &sent["ref"],
            &sent["checkout_uri"],
            &sent["tool_name"]
        ),
        (
            &json!(COMMIT),
            &json!("refs/heads/main"),
            &json!("file:///src"),
            &json!("layersift")
        )
    );
    for request in &requests {
        let authorization = request.header("authorization");
        assert_eq!(authorization, Some(format!("Bearer {}", token()).as_str()));
        assert_eq!(request.header("x-github-api-version"), Some("2022-11-28"));
    }
    assert_eq!(requests.len(), 5, "the upload, three questions, what was read");
}

#[test]
fn each_error_answer_is_told_with_what_to_do() {
    for (status, message, expected) in [
        (400, "Invalid SARIF. Missing runs", "no SARIF file"),
        (401, "Bad credentials", "expired"),
        (
            403,
            "Resource not accessible by integration",
            "security-events: write",
        ),
        (
            403,
            "Code Security must be enabled for this repository to use code scanning.",
            "switched on",
        ),
        (403, "Repository was archived so is read-only.", "archived"),
        (404, "Not Found", "--github-repository"),
        (413, "Payload too large", "too large"),
        (422, "No commit found for SHA", "push"),
        (429, "You have exceeded a secondary rate limit", "later"),
        (503, "Service unavailable", "later"),
    ] {
        let server = Server::start(move |_| complaint(status, message));
        let error = upload(&server, true).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&status.to_string()) && text.contains(message),
            "{text}"
        );
        let hint = error.hint().unwrap();
        assert!(hint.contains(expected), "{hint}");
        assert!(error.is_remote());
        let tries = if status == 429 || status == 503 { 3 } else { 1 };
        assert_eq!(server.requests().len(), tries, "{status}");
    }
}

#[test]
fn the_token_of_a_fork_is_explained() {
    let server = Server::start(|_| complaint(403, "Resource not accessible by integration"));
    let event = r#"{"pull_request": {"head": {"sha": "x", "repo": {"full_name": "someone/app"}}}}"#;
    let hint = upload_of(&server, true, event).unwrap_err().hint().unwrap();
    assert!(hint.contains("fork") && hint.contains("workflow_run"), "{hint}");
}

#[test]
fn what_fails_in_passing_is_tried_again() {
    for first in [
        || complaint(503, "Service unavailable"),
        || complaint(429, "slow down").header("Retry-After", "0"),
        || complaint(403, "You have exceeded a secondary rate limit").header("Retry-After", "0"),
        || accepted().cut(3),
    ] {
        let server = Server::start(
            move |request: &Request| match (request.method.as_str(), request.nth) {
                ("POST", 0) => first(),
                ("POST", _) => accepted(),
                _ if request.path.contains("/analyses") => Reply::ok("[]"),
                _ => progress("complete", Value::Null),
            },
        );
        assert_eq!(upload(&server, true).unwrap().state, State::Processed);
    }
}

#[test]
fn a_server_that_wants_a_long_wait_is_not_waited_for() {
    let server = Server::start(|_| complaint(429, "slow down").header("Retry-After", "3600"));
    let error = upload(&server, true).unwrap_err();
    assert!(
        matches!(error, UploadError::Refused { status: 429, .. }),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_failed_processing_is_explained() {
    let server = github_that(|| {
        let error = "SARIF URI scheme \"docker\" did not match the checkout URI scheme \"file\"";
        progress("failed", json!([error]))
    });
    let error = upload(&server, true).unwrap_err();
    assert!(
        error.to_string().contains("did not match the checkout"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("relative"), "{error}");
}

#[test]
fn a_scan_that_did_not_finish_is_no_failed_upload() {
    let unsuccessful = || progress("failed", json!(["unsuccessful execution"]));
    let server = github_that(unsuccessful);
    assert_eq!(upload(&server, false).unwrap().state, State::ScanFailed);
    // Where the file does not say so, or something else is wrong too, it is one.
    let server = github_that(unsuccessful);
    assert!(upload(&server, true).is_err());
    let server = github_that(|| progress("failed", json!(["unsuccessful execution", "rejecting SARIF"])));
    assert!(upload(&server, false).is_err());
}

#[test]
fn an_answer_cannot_lead_the_token_elsewhere_or_show_it() {
    let other = Server::start(|_| accepted());
    let elsewhere = other.url("/repos/acme/app/code-scanning/sarifs");
    let server = Server::start(move |_| complaint(307, "Moved").header("Location", &elsewhere));
    let error = upload(&server, true).unwrap_err();
    assert!(error.hint().unwrap().contains("moved"), "{error}");
    assert_eq!(other.requests().len(), 0);

    let server = Server::start(|request| {
        let authorization = request.header("authorization").unwrap();
        complaint(400, &format!("\u{1b}[2J no: {authorization}"))
    });
    let text = upload(&server, true).unwrap_err().to_string();
    assert!(
        text.contains("no: Bearer ***") && !text.contains('\u{1b}'),
        "{text}"
    );

    let server = Server::start(|_| Reply::new(202).body(json!({"id": "../../../user"}).to_string()));
    assert!(upload(&server, true).is_err());
    assert_eq!(server.requests().len(), 1, "its id is no part of a path");
}

#[test]
fn what_is_not_read_in_time_is_left_to_github() {
    let server = Server::start(|request| match request.method.as_str() {
        "POST" => accepted(),
        _ => progress("pending", Value::Null),
    });
    assert_eq!(upload(&server, true).unwrap().state, State::Pending);
}

/// The command, in a workflow's environment.
fn in_workflow(command: Layersift, server: &Server) -> Layersift {
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_API_URL", server.url(""))
        .env("GITHUB_REPOSITORY", "acme/app")
        .env("GITHUB_SHA", COMMIT)
        .env("GITHUB_REF", "refs/heads/main")
        .env("GITHUB_TOKEN", token())
}

#[test]
fn the_command_uploads_a_file() {
    let server = github_that(|| progress("complete", Value::Null));
    let command = in_workflow(layersift(["upload", "report.sarif"]), &server);
    let run = command.file("report.sarif", sarif(true)).run().expect_code(0);
    assert!(
        run.stderr
            .contains("warning: GitHub says: layersift/app/linux-amd64: 12 results were ignored")
            && run
                .stderr
                .contains("uploaded 0 results for refs/heads/main of acme/app at 4cfa2f5e1f0a"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains(&token()));
}

#[test]
fn the_exit_code_says_how_far_it_got() {
    let refusing = Server::start(|_| complaint(403, "Resource not accessible by integration"));
    let command = in_workflow(layersift(["upload", "report.sarif"]), &refusing);
    let run = command.file("report.sarif", sarif(true)).run().expect_code(3);
    assert!(
        run.stderr.contains("hint: the workflow's token may not"),
        "{}",
        run.stderr
    );

    let unfinished = github_that(|| progress("failed", json!(["unsuccessful execution"])));
    let command = in_workflow(layersift(["upload", "report.sarif"]), &unfinished);
    let run = command.file("report.sarif", sarif(false)).run().expect_code(4);
    assert!(run.stderr.contains("closes none"), "{}", run.stderr);

    let busy = Server::start(|_| accepted());
    let command = in_workflow(layersift(["upload", "--wait", "0s", "report.sarif"]), &busy);
    command.file("report.sarif", sarif(true)).run().expect_code(0);

    let silent = Server::start(|_| Reply::new(500));
    for command in [
        in_workflow(layersift(["upload", "report.sarif"]), &silent).env("GITHUB_TOKEN", ""),
        in_workflow(layersift(["upload", "report.sarif"]), &silent).env("GITHUB_TOKEN", "two words"),
        in_workflow(layersift(["upload", "missing.sarif"]), &silent),
        in_workflow(
            layersift(["upload", "report.sarif", "--ref", "refs/heads/main"]),
            &silent,
        ),
        in_workflow(layersift(["upload", "report.sarif"]), &silent).env("GITHUB_REF", "main"),
    ] {
        command.file("report.sarif", sarif(true)).run().expect_code(2);
    }
    assert_eq!(silent.requests().len(), 0, "what is wrong here is not sent");
}

#[test]
fn a_scan_uploads_each_image_and_never_a_secret() {
    let server = Server::start(|request: &Request| match request.method.as_str() {
        "POST" => accepted(),
        _ if request.path.contains("/analyses") => Reply::ok("[]"),
        _ => progress("complete", Value::Null),
    });
    let (id, secret) = secrets(7).gcs_hmac_pair();
    let boto = format!("[Credentials]\ngs_access_key_id = {id}\ngs_secret_access_key = {secret}\n");
    let image = image().layer([file("root/.boto", boto)]);
    let scan = |args: &[&str]| {
        let args = ["scan", "image.tar", "--show-secrets", "--quiet"]
            .iter()
            .chain(args);
        in_workflow(layersift(args), &server).file("image.tar", image.docker_archive())
    };
    let run = scan(&["--upload"]).run().expect_code(1);
    assert!(
        run.text().contains(&secret),
        "the report on standard output shows it"
    );
    let sent: Value = serde_json::from_str(&server.requests()[0].body).unwrap();
    let gzip = base64::engine::general_purpose::STANDARD
        .decode(sent["sarif"].as_str().unwrap())
        .unwrap();
    let mut file = String::new();
    flate2::read::GzDecoder::new(&gzip[..])
        .read_to_string(&mut file)
        .unwrap();
    assert!(file.contains("gcs-hmac-key") && !file.contains(&secret));

    // The scan stands, and that GitHub did not get it is told by the exit code.
    let refusing = Server::start(|_| complaint(403, "Resource not accessible by integration"));
    let run = in_workflow(layersift(["scan", "image.tar", "--upload"]), &refusing)
        .file("image.tar", image.docker_archive())
        .run()
        .expect_code(2);
    assert!(
        run.text().contains("gcs-hmac-key") && run.stderr.contains("security-events"),
        "{}",
        run.stderr
    );
    let before = scan(&["--upload"]).env("GITHUB_TOKEN", "").run().expect_code(2);
    assert!(before.stdout.is_empty(), "told before the scan");
    scan(&["--wait", "0s"]).run().expect_code(2);
}

#[test]
fn one_log_of_more_images_than_github_takes_is_told() {
    let scan = |format: &str| {
        let targets = vec!["image.tar"; 21];
        layersift(["scan", "--format", format].iter().chain(&targets))
            .file(
                "image.tar",
                image().named("app:1").layer([file("a", "b")]).docker_archive(),
            )
            .run()
            .expect_code(0)
            .stderr
    };
    let told = scan("sarif=all.sarif");
    assert!(
        told.contains("21 runs, and GitHub takes 20") && told.contains("sarif=DIR/"),
        "{told}"
    );
    assert!(!scan("sarif=all/").contains("runs"));
}
