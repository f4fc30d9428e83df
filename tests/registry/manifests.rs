//! Documents: tags, digests, media types, caps, and answers that are none.

use std::time::{Duration, Instant};

use layersift::limits::{LimitHit, Limits};
use layersift::oci::{Descriptor, Digest, PlatformSelector, media_type};
use layersift::source::registry::RegistryOptions;
use layersift::source::walk::Documents as _;
use layersift::source::{Source as _, SourceError};

use super::{named, options, root, root_error, source};
use crate::support::scripted::{Framing, Reply, Repository, Request, Server};

const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;

fn repository() -> Repository {
    let mut repository = Repository::default();
    repository.manifest("1", media_type::OCI_MANIFEST, MANIFEST);
    repository
}

/// A server whose manifest is answered by `fault` where that has an answer.
fn faulty(fault: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let repository = repository();
    Server::start(move |request| {
        let fault = if request.path == "/v2/" {
            None
        } else {
            fault(request)
        };
        fault.unwrap_or_else(|| repository.reply(request))
    })
}

#[test]
fn a_tag_is_pinned_to_the_digest_of_its_bytes() {
    // The digest that the header claims is another one.
    let server = faulty(|_| {
        let reply = Reply::ok(MANIFEST).header(
            "Content-Type",
            "application/vnd.oci.image.manifest.v1+json; charset=x",
        );
        Some(reply.header("Docker-Content-Digest", Digest::of(b"other").as_str()))
    });
    let root = root(&source(&server, &options())).unwrap();
    assert_eq!(root.bytes, MANIFEST);
    assert_eq!(root.digest, Digest::of(MANIFEST));
    assert_eq!(root.media_type.as_deref(), Some(media_type::OCI_MANIFEST));
    assert_eq!(server.paths(), ["app/manifests/1"]);
    let request = &server.requests()[0];
    let accept = request.header("accept").unwrap();
    assert_eq!(accept.split(',').count(), 6);
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    server.assert_saw_no_credentials();
}

#[test]
fn a_digest_wins_over_a_tag_and_is_held_to() {
    let server = faulty(|_| None);
    let digest = Digest::of(MANIFEST);
    let pinned = format!("{}/app:other@{digest}", server.host());
    assert_eq!(root(&named(&pinned, &options())).unwrap().digest, digest);
    assert_eq!(server.paths(), [format!("app/manifests/{digest}")]);

    let liar = faulty(|_| Some(Reply::ok(r#"{"schemaVersion":2,"manifests":[]}"#)));
    let pinned = format!("{}/app@{digest}", liar.host());
    let resolved = named(&pinned, &options()).resolve(&PlatformSelector::All, &Limits::default());
    assert!(
        matches!(resolved, Err(SourceError::DigestMismatch { read: 34, .. })),
        "{resolved:?}"
    );
}

#[test]
fn a_document_over_the_cap_is_refused_by_its_name_however_it_is_framed() {
    for framing in [Framing::Length, Framing::Chunked, Framing::Close] {
        let over = framing.clone();
        let server = faulty(move |_| Some(Reply::ok(vec![b' '; 8 * 1024 * 1024 + 1]).framing(over.clone())));
        let (error, _) = root_error(&source(&server, &options()));
        assert!(
            matches!(
                error,
                SourceError::Limit {
                    limit: LimitHit::Document,
                    ..
                }
            ),
            "{framing:?}: {error:?}"
        );
        assert_eq!(server.paths().len(), 1, "{framing:?}: not tried again");
    }
    let exact = Limits::default().manifest_bytes as usize;
    let server = faulty(move |_| Some(Reply::ok(vec![b' '; exact]).framing(Framing::Chunked)));
    assert_eq!(root(&source(&server, &options())).unwrap().bytes.len(), exact);
}

#[test]
fn a_web_page_is_not_a_manifest() {
    let server = faulty(|_| {
        Some(Reply::ok("<!doctype html><title>Sign in</title>").header("Content-Type", "text/html"))
    });
    let (error, text) = root_error(&source(&server, &options()));
    assert!(matches!(error, SourceError::NotAnImage { .. }), "{error:?}");
    assert!(text.contains("web page"), "{text}");
}

#[test]
fn a_missing_manifest_names_itself_and_its_registry() {
    let server = faulty(|_| Some(Reply::new(404).body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#)));
    let (error, text) = root_error(&source(&server, &options()));
    assert!(matches!(error, SourceError::NotFound { .. }), "{error:?}");
    assert_eq!(text, format!("manifest `1` on `{}` was not found", server.host()));
    assert_eq!(server.paths().len(), 1);
}

#[test]
fn a_failure_that_passes_is_tried_again_and_one_that_stays_is_not() {
    for status in [408, 429, 499, 500, 502, 503, 504, 522] {
        let server = faulty(move |request| (request.nth < 4).then(|| Reply::new(status)));
        assert!(root(&source(&server, &options())).is_ok(), "{status}");
        assert_eq!(server.paths().len(), 5, "{status}");
    }
    let server = faulty(|_| Some(Reply::new(503).body("\u{1b}[2J<b>busy</b>")));
    let (error, text) = root_error(&source(&server, &options()));
    assert!(
        matches!(error, SourceError::Status { status: 503, .. }),
        "{error:?}"
    );
    assert_eq!(server.paths().len(), 5, "{text}");
    for status in [400, 405, 410, 418, 501] {
        let server = faulty(move |_| Some(Reply::new(status)));
        let (error, _) = root_error(&source(&server, &options()));
        assert!(
            matches!(error, SourceError::Status { status: s, .. } if s == status),
            "{error:?}"
        );
        assert_eq!(server.paths().len(), 1, "{status}");
    }
}

#[test]
fn what_a_registry_says_of_an_error_is_shown_escaped() {
    let server = faulty(|_| {
        Some(Reply::new(403).body(r#"{"errors":[{"code":"DENIED","message":"\u001b[31mno\nway\u202e"}]}"#))
    });
    let (error, text) = root_error(&source(&server, &options()));
    assert!(matches!(error, SourceError::Refused { .. }), "{error:?}");
    assert!(text.contains(r"DENIED: \u{1b}[31mno\nway\u{202e}"), "{text}");
}

#[test]
fn retry_after_is_waited_for_up_to_the_limit() {
    let server = faulty(|request| (request.nth < 1).then(|| Reply::new(429).header("Retry-After", "1")));
    let started = Instant::now();
    root(&source(&server, &options())).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));

    let server = faulty(|_| Some(Reply::new(429).header("Retry-After", "86400")));
    let started = Instant::now();
    let (error, text) = root_error(&source(&server, &options()));
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(
        matches!(error, SourceError::Status { status: 429, .. }),
        "{error:?}"
    );
    assert!(text.contains("asks to wait 86400 s"), "{text}");
    assert_eq!(server.paths().len(), 1);

    for value in ["soon", "", "Sat, 21 Nov 2020 10:00:00 GMT", "-1"] {
        let server =
            faulty(move |request| (request.nth < 1).then(|| Reply::new(429).header("Retry-After", value)));
        assert!(root(&source(&server, &options())).is_ok(), "{value}");
    }
}

#[test]
fn a_document_that_breaks_off_is_read_again() {
    for after in [0, 1, MANIFEST.len() - 1] {
        let server = faulty(move |request| (request.nth < 2).then(|| Reply::ok(MANIFEST).cut(after)));
        assert_eq!(root(&source(&server, &options())).unwrap().bytes, MANIFEST);
        assert_eq!(server.paths().len(), 3);
    }
    let server = faulty(|request| (request.nth < 2).then(|| Reply::raw("")));
    assert_eq!(root(&source(&server, &options())).unwrap().bytes, MANIFEST);
}

#[test]
fn a_server_that_stalls_is_given_up_after_the_idle_time() {
    let options = RegistryOptions {
        limits: Limits {
            tries: 2,
            idle_timeout: Duration::from_millis(200),
            connect_timeout: Duration::from_millis(200),
            ..options().limits
        },
        ..options()
    };
    let server = faulty(|_| Some(Reply::ok(MANIFEST).stall(3)));
    let started = Instant::now();
    let (error, text) = root_error(&source(&server, &options));
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error:?}");
    assert!(text.contains("next to nothing"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(server.paths().len(), 2);

    let server = faulty(|_| Some(Reply::ok(vec![b' '; 100]).drip(1, Duration::from_millis(50))));
    let (_, text) = root_error(&source(&server, &options));
    assert!(text.contains("next to nothing"), "a drip is a stall: {text}");
}

#[test]
fn answers_outside_of_http_are_errors_without_panics() {
    let huge = format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(1024 * 1024)
    );
    for raw in [
        "220 smtp.example.com ready\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        &huge,
    ] {
        let raw = raw.to_owned();
        let shown = raw.chars().take(60).collect::<String>();
        let server = faulty(move |_| Some(Reply::raw(raw.clone())));
        let (error, _) = root_error(&source(&server, &options()));
        assert!(
            matches!(error, SourceError::Unreachable { .. }),
            "{shown:?}: {error:?}"
        );
    }
}

#[test]
fn interim_answers_and_trailers_are_read_past() {
    for raw in [
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: y\r\n\r\n",
    ] {
        let server = faulty(move |_| Some(Reply::raw(raw)));
        assert_eq!(
            root(&source(&server, &options())).unwrap().bytes,
            b"{}",
            "{raw:?}"
        );
    }
}

#[test]
fn an_encoding_that_was_not_asked_for_is_an_error() {
    for encoding in ["gzip", "zstd, gzip", "x\u{7f}y"] {
        let server = faulty(move |_| Some(Reply::ok(MANIFEST).header("Content-Encoding", encoding)));
        let (error, _) = root_error(&source(&server, &options()));
        // hyper refuses the last one itself.
        assert!(
            matches!(
                error,
                SourceError::Malformed { .. } | SourceError::Unreachable { .. }
            ),
            "{error:?}"
        );
    }
    let server = faulty(|_| Some(Reply::ok(MANIFEST).header("Content-Encoding", "identity")));
    assert!(root(&source(&server, &options())).is_ok());
}

#[test]
fn documents_are_fetched_where_registries_keep_them() {
    let mut repository = repository();
    let config = repository.blob("{}");
    let child = repository.manifest("2", media_type::OCI_INDEX, "{ }");
    let server = Server::start(move |request| repository.reply(request));
    let source = source(&server, &options());
    let config_descriptor = Descriptor::new(media_type::OCI_CONFIG, config.clone(), 2);
    let child_descriptor = Descriptor::new(media_type::DOCKER_INDEX, child.clone(), 3);
    assert_eq!(source.document(&config_descriptor, 10).unwrap(), b"{}");
    assert_eq!(source.manifest(&child_descriptor, 10).unwrap(), b"{ }");
    assert!(matches!(
        source.manifest(&child_descriptor, 2),
        Err(SourceError::Limit { .. })
    ));
    let (blob, manifest) = (format!("app/blobs/{config}"), format!("app/manifests/{child}"));
    assert_eq!(server.paths(), [blob, manifest.clone(), manifest]);
}

#[test]
fn nobody_listening_is_an_error_that_names_the_host() {
    let host = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let (error, text) = root_error(&named(&format!("{host}/app"), &options()));
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error:?}");
    assert!(text.starts_with(&format!("cannot reach `{host}`: ")), "{text}");
}
