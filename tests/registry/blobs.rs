//! Blobs: resuming, parts, stalls, and what may go wrong on the way.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use layersift::limits::Limits;
use layersift::oci::{BlobKey, Digest};
use layersift::source::Source as _;
use layersift::source::registry::RegistryOptions;

use super::{basic, noise, options, password, read, source, with_login};
use crate::support::scripted::{Framing, Reply, Repository, Request, Server};

const SIZE: usize = 3_000_000;

/// A repository with one blob, and the blob.
fn repository() -> (Repository, Digest, Vec<u8>) {
    repository_of(SIZE)
}

fn repository_of(size: usize) -> (Repository, Digest, Vec<u8>) {
    let bytes = noise(size);
    let mut repository = Repository::default();
    let digest = repository.blob(bytes.clone());
    (repository, digest, bytes)
}

/// Reads the blob from a server that `fault` makes fail, and returns the server.
fn download(fault: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Server {
    let (repository, digest, bytes) = repository();
    let server = Server::start(move |request| match request.path.as_str() {
        "/v2/" => Reply::ok("{}"),
        _ => fault(request, repository.reply(request)),
    });
    let read = read(&source(&server, &options()), &digest, Some(SIZE)).unwrap();
    assert!(read == bytes, "{} of {} bytes", read.len(), bytes.len());
    server
}

/// Where each request started.
fn starts(server: &Server) -> Vec<Option<usize>> {
    server.requests().iter().map(Request::from).collect()
}

#[test]
fn a_blob_is_read_in_one_request() {
    for framing in [Framing::Length, Framing::Chunked, Framing::Close] {
        let server = download(move |_, reply| reply.framing(framing.clone()));
        assert_eq!(starts(&server), [None]);
        assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
    }
}

#[test]
fn a_blob_that_breaks_off_ten_times_costs_no_byte_twice() {
    let size = 13_000_000;
    let piece = size / 11 + 1;
    let (repository, digest, bytes) = repository_of(size);
    let server = Server::start(move |request| repository.reply(request).cut(piece));
    assert!(read(&source(&server, &options()), &digest, Some(size)).unwrap() == bytes);
    let starts = starts(&server);
    // What the client received before a break is never asked for again: each request starts where the last ended.
    let expected: Vec<_> = (0..11).map(|n| (n > 0).then_some(n * piece)).collect();
    assert_eq!(starts, expected);
}

#[test]
fn a_break_anywhere_is_resumed() {
    for after in [0, 1, SIZE / 2, SIZE - 1] {
        let server = download(move |request, reply| match request.nth {
            0 => reply.cut(after),
            _ => reply,
        });
        assert_eq!(starts(&server), [None, (after > 0).then_some(after)], "{after}");
    }
}

#[test]
fn a_close_that_ends_the_body_early_is_resumed() {
    let server = download(|request, reply| match request.nth {
        0 => reply.framing(Framing::Close).cut(1000),
        _ => reply,
    });
    assert_eq!(starts(&server), [None, Some(1000)]);
}

#[test]
fn a_stall_is_resumed() {
    let server = download(|request, reply| match request.nth {
        0 => reply.stall(70_000),
        _ => reply,
    });
    assert_eq!(starts(&server), [None, Some(70_000)]);
}

#[test]
fn a_server_without_ranges_sends_again_and_nothing_is_delivered_twice() {
    let (whole, _, _) = repository();
    let server = download(move |request, _| {
        let mut request = request.clone();
        request.headers.clear();
        match request.nth {
            0 => whole.reply(&request).cut(SIZE / 2),
            _ => whole.reply(&request),
        }
    });
    assert_eq!(starts(&server), [None, Some(SIZE / 2)]);
}

#[test]
fn a_part_that_is_not_the_one_asked_for_is_not_taken() {
    type Wrong = fn(Reply) -> Reply;
    let other: [(&str, Wrong); 9] = [
        ("wrong start", |_| part("bytes 7-2999999/3000000")),
        ("wrong total", |_| part("bytes 1500000-2999998/2999999")),
        ("short of the end", |_| part("bytes 1500000-2000000/3000000")),
        ("no range", |_| Reply::new(206).body(noise(SIZE))),
        ("two ranges", |_| {
            part("bytes 1500000-2999999/3000000").header("Content-Range", "bytes 0-1/2")
        }),
        ("multipart", |_| {
            Reply::new(206)
                .header("Content-Type", "multipart/byteranges; boundary=b")
                .body("--b")
        }),
        ("416", |_| Reply::new(416)),
        ("501", |_| Reply::new(501)),
        ("garbage", |_| part("bytes -/-")),
    ];
    for (name, wrong) in other {
        let server = download(move |request, reply| match request.from() {
            None if request.nth == 0 => reply.cut(SIZE / 2),
            None => reply,
            Some(_) => wrong(reply),
        });
        assert_eq!(starts(&server), [None, Some(SIZE / 2), None], "{name}");
    }
}

fn part(range: &str) -> Reply {
    Reply::new(206).header("Content-Range", range).body(noise(SIZE))
}

#[test]
fn the_rest_is_asked_for_at_the_registry_not_at_the_signed_url() {
    let (repository, digest, bytes) = repository();
    // Each signed URL works once and does not cover a Range header.
    let used = Arc::new(AtomicUsize::new(0));
    let store = Server::start(move |request| {
        let mut bare = request.clone();
        bare.path = request.path.split('?').next().unwrap().to_owned();
        match (request.nth, request.from(), used.fetch_add(1, Ordering::SeqCst)) {
            (0, None, 0) => repository.reply(&bare).cut(SIZE / 2),
            (0, None, _) => repository.reply(&bare),
            _ => Reply::new(403).body("<Error><Code>AccessDenied</Code></Error>"),
        }
    });
    let target = store.url(&format!("/v2/app/blobs/{digest}"));
    let registry = Server::start(move |request| match request.path.as_str() {
        "/v2/" => Reply::ok("{}"),
        _ => Reply::redirect(format!("{target}?signature={}", request.nth)),
    });
    let read = read(&source(&registry, &options()), &digest, Some(SIZE)).unwrap();
    assert!(read == bytes);
    assert_eq!(starts(&registry), [None, Some(SIZE / 2), None]);
    store.assert_saw_no_credentials();
}

#[test]
fn a_login_that_expires_in_the_middle_is_renewed_once() {
    let (repository, digest, bytes) = repository();
    let server = Server::start(move |request| {
        let challenge = Reply::new(401).header("WWW-Authenticate", "Basic");
        match request.header("authorization") {
            _ if request.path == "/v2/" => Reply::ok("{}"),
            None => challenge,
            Some(_) if request.nth == 1 => repository.reply(request).cut(SIZE / 2),
            Some(_) => repository.reply(request),
        }
    });
    assert!(read(&source(&server, &with_login()), &digest, Some(SIZE)).unwrap() == bytes);
    assert_eq!(starts(&server), [None, None, Some(SIZE / 2)]);
    assert!(
        server
            .requests()
            .iter()
            .skip(1)
            .all(|request| request.header("authorization") == Some(&basic()))
    );
}

#[test]
fn a_blob_that_never_gets_further_is_given_up() {
    let (repository, digest, _) = repository();
    let server = Server::start(move |request| match (request.path.as_str(), request.from()) {
        ("/v2/", _) => Reply::ok("{}"),
        (_, None) => repository.reply(request).cut(1000),
        _ => repository.reply(request).cut(0),
    });
    let error = read(&source(&server, &with_login()), &digest, Some(SIZE)).unwrap_err();
    assert!(error.starts_with("cannot reach `127.0.0.1"), "{error}");
    assert!(!error.contains(&password()));
    assert_eq!(starts(&server).len(), 5);
}

#[test]
fn a_blob_that_differs_from_its_size_is_delivered_as_it_is() {
    // Verifying is the caller's part; what came must reach it, also where it is wrong.
    for length in [0, 10, 5000] {
        let server = Server::start(move |request| match request.path.as_str() {
            "/v2/" => Reply::ok("{}"),
            _ => Reply::ok(noise(length)),
        });
        let digest = Digest::of(b"");
        let bytes = read(&source(&server, &options()), &digest, Some(100)).unwrap();
        assert_eq!(bytes, noise(length));
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_length_that_is_stated_wrong_is_survived() {
    let (repository, digest, bytes) = repository();
    let server = Server::start(move |request| match request.path.as_str() {
        "/v2/" => Reply::ok("{}"),
        _ => repository
            .reply(request)
            .framing(Framing::Stated(SIZE as u64 + 10)),
    });
    let error = read(&source(&server, &options()), &digest, Some(SIZE)).map(|read| read == bytes);
    // The blob is complete by its descriptor, so the rest that never comes is not missed.
    assert_eq!(error, Ok(true));
}

#[test]
fn a_missing_or_forbidden_blob_is_an_error_before_any_byte() {
    for status in [403, 404, 410, 451] {
        let server = Server::start(move |request| match request.path.as_str() {
            "/v2/" => Reply::ok("{}"),
            _ => Reply::new(status),
        });
        let source = source(&server, &options());
        assert!(
            source.blob(&BlobKey::Digest(Digest::of(b"x")), None).is_err(),
            "{status}"
        );
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[test]
fn a_wrong_content_encoding_does_not_matter_where_the_size_is_right() {
    let server = download(|_, reply| reply.header("Content-Encoding", "gzip"));
    assert_eq!(starts(&server), [None]);

    let server = Server::start(move |request| match request.path.as_str() {
        "/v2/" => Reply::ok("{}"),
        _ => Reply::ok(noise(10)).header("Content-Encoding", "gzip"),
    });
    let error = read(&source(&server, &options()), &Digest::of(b"x"), Some(100)).unwrap_err();
    assert!(error.contains("Content-Encoding `gzip`"), "{error}");
}

#[test]
fn no_more_blobs_are_open_at_a_time_than_allowed() {
    let (repository, digest, bytes) = repository();
    let server = Server::start(move |request| repository.reply(request));
    let options = RegistryOptions {
        limits: Limits {
            downloads_per_host: 1,
            ..options().limits
        },
        ..options()
    };
    let source = source(&server, &options);
    let mut first = source.blob(&BlobKey::Digest(digest.clone()), None).unwrap();
    first.read_exact(&mut [0; 10]).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| read(&source, &digest, None).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(server.requests().len(), 1, "the second waits");
        drop(first);
        assert!(second.join().unwrap() == bytes);
    });
    for _ in 0..5 {
        // A permit is given back however a download ends.
        assert!(
            source
                .blob(&BlobKey::Digest(Digest::of(b"missing")), None)
                .is_err()
        );
        drop(source.blob(&BlobKey::Digest(digest.clone()), None).unwrap());
    }
}

#[test]
fn a_reader_outlives_its_source() {
    let (repository, digest, bytes) = repository();
    let server = Server::start(move |request| repository.reply(request));
    let mut reader = source(&server, &options())
        .blob(&BlobKey::Digest(digest.clone()), None)
        .unwrap();
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert!(read == bytes);
}
