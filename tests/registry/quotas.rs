//! Quotas and warnings: what a registry says beside its answers.

use layersift::oci::{Digest, media_type};
use layersift::source::registry::RegistryOptions;
use layersift::source::{Source as _, SourceError};

use super::{options, root, root_error, source};
use crate::support::command::layersift;
use crate::support::image::{image, images};
use crate::support::scripted::{Reply, Repository, Request, Server};

const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;

/// A registry that counts, whose answer to HEAD is that of `head`.
fn metered(head: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (Server, RegistryOptions) {
    let mut repository = Repository::default();
    repository.manifest("1", media_type::OCI_MANIFEST, MANIFEST);
    let server = Server::start(move |request| match request.method.as_str() {
        "HEAD" => head(request),
        _ => repository.reply(request),
    });
    let options = RegistryOptions {
        metered: vec![server.host().to_owned()],
        ..options()
    };
    (server, options)
}

fn methods(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let named = |request: &Request| {
        format!(
            "{} {}",
            request.method,
            request.path.trim_start_matches("/v2/app/")
        )
    };
    requests.iter().map(named).collect()
}

fn pinned(digest: &Digest) -> Reply {
    Reply::ok(MANIFEST)
        .header("Docker-Content-Digest", digest.as_str())
        .header("ratelimit-remaining", "76;w=21600")
}

#[test]
fn a_tag_is_asked_for_by_head_first_where_manifests_are_counted() {
    let digest = Digest::of(MANIFEST);
    let (server, options) = metered({
        let digest = digest.clone();
        move |_| pinned(&digest)
    });
    assert_eq!(root(&source(&server, &options)).unwrap().digest, digest);
    assert_eq!(
        methods(&server),
        ["HEAD manifests/1".to_owned(), format!("GET manifests/{digest}")]
    );
}

#[test]
fn a_head_that_is_no_use_costs_nothing_but_itself() {
    type Head = fn(&Request) -> Reply;
    let heads: [(&str, Head, usize); 6] = [
        ("not allowed", |_| Reply::new(405), 2),
        ("missing", |_| Reply::new(404), 2),
        ("without a digest", |_| Reply::ok(MANIFEST), 2),
        (
            "a digest that is none",
            |_| Reply::ok("").header("Docker-Content-Digest", "sha256:x"),
            2,
        ),
        (
            "the digest of something else",
            |_| pinned(&Digest::of(b"other")),
            3,
        ),
        (
            "busy, then well",
            |request| match request.nth {
                0 => Reply::new(503),
                _ => pinned(&Digest::of(MANIFEST)),
            },
            3,
        ),
    ];
    for (name, head, requests) in heads {
        let (server, options) = metered(head);
        assert_eq!(
            root(&source(&server, &options)).unwrap().bytes,
            MANIFEST,
            "{name}"
        );
        assert_eq!(methods(&server).len(), requests, "{name}: {:?}", methods(&server));
    }
}

#[test]
fn a_quota_that_is_used_up_is_told_and_not_run_into() {
    let (server, options) = metered(|_| Reply::ok("").header("ratelimit-remaining", "0;w=21600"));
    let (error, text) = root_error(&source(&server, &options));
    assert!(
        matches!(error, SourceError::Status { status: 429, .. }),
        "{error:?}"
    );
    assert!(
        text.contains("none of the pulls it allows in 360 min is left"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("higher limit"));
    assert_eq!(methods(&server), ["HEAD manifests/1"]);
}

#[test]
fn warnings_of_the_registry_reach_the_report_once_and_escaped() {
    let repository = Repository::of(&images([image().named("app:1")]));
    let server = Server::start(move |request| {
        let reply = repository.reply(request);
        reply
            .header("Warning", r#"299 - "this name goes away""#)
            .header("Warning", "299 - \"red\\\\ \u{9b}31m\"")
            .header("Warning", r#"199 - "not for people""#)
    });
    let asking = source(&server, &options());
    root(&asking).unwrap();
    root(&asking).unwrap();
    let whys: Vec<_> = asking.notes().into_iter().map(|note| note.why).collect();
    assert_eq!(whys, [r"red\\ \u{9b}31m", "this name goes away"]);

    let run = layersift(["scan", &format!("{}/app:1", server.host())])
        .run()
        .expect_code(0);
    assert_eq!(
        run.text().matches("this name goes away").count(),
        1,
        "{}",
        run.text()
    );
}

#[test]
fn a_store_that_is_redirected_to_has_no_warnings_to_give() {
    let store = Server::start(|_| Reply::ok(MANIFEST).header("Warning", r#"299 - "look here""#));
    let target = store.url("/x");
    let registry = Server::start(move |request| match request.path.as_str() {
        "/v2/" => Reply::ok("{}"),
        _ => Reply::redirect(&target),
    });
    let asking = source(&registry, &options());
    root(&asking).unwrap();
    assert!(asking.notes().is_empty());
}
