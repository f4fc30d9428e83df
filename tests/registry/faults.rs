//! What may go wrong between a client and a registry, each fault by its number, against a manifest, a configuration, a
//! blob, a token and a list of tags. Of each: what came, how often it was asked for and from which byte, and who saw a login.
//!
//! The faults that are about one of them only have tests of their own: 9 to 11 `logins`, 16 and 17 `redirects`
//! and `blobs`, 18 `blobs`, 20 `quotas`, 23 `manifests`, 25 `http2`, 26 `manifests`, 27 `certificates`, 32 `referrers`,
//! 30 and 31 `lists`, 33 `mirrors`.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use layersift::limits::Limits;
use layersift::oci::{Descriptor, Digest, PlatformSelector, Reference, media_type};
use layersift::source::registry::{self, RegistryOptions};
use layersift::source::walk::Documents as _;
use layersift::source::{Source as _, SourceError};
use serde_json::json;

use super::{basic, named, noise, options, read, root, source, with_login};
use crate::support::command::layersift;
use crate::support::image::{image, images};
use crate::support::scripted::{Framing, Reply, Repository, Request, Server};
use crate::support::tar::file;
use crate::support::tls::{self, Authority};

const MANIFEST: &str = r#"{"schemaVersion":2,"note":"a manifest"}"#;
const CONFIG: &str = r#"{"os":"linux","note":"a configuration"}"#;
const TAGS: &str = r#"{"name":"app","tags":["1","2"]}"#;
const TOKEN: &str = r#"{"token":"secret-token-0","note":"a token"}"#;
const TAGS_PATH: &str = "/v2/app/tags/list?n=1000";
const SIZE: usize = 300_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Manifest,
    Config,
    Blob,
    Tags,
    Token,
}

use Object::{Blob, Config, Manifest, Tags, Token};

const ALL: &[Object] = &[Manifest, Config, Blob, Tags, Token];
const DOCUMENTS: &[Object] = &[Manifest, Config, Tags, Token];
const STORED: &[Object] = &[Manifest, Config, Blob];

/// What comes of it, and by how many requests.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// What was wanted.
    Good(usize),
    /// Something else, for the caller to find out by its digest.
    Other(usize),
    /// An error of this reason.
    Failed(&'static str, usize),
}

use Outcome::{Failed, Good, Other};

type Fault = fn(&Request, Reply) -> Reply;

/// Fails the first time only.
fn once(request: &Request, reply: Reply, fault: fn(Reply) -> Reply) -> Reply {
    if request.nth == 0 { fault(reply) } else { reply }
}

fn half(mut reply: Reply) -> Reply {
    let half = reply.body_mut().len() / 2;
    reply.cut(half)
}

fn flip(mut reply: Reply, at: fn(usize) -> usize) -> Reply {
    let body = reply.body_mut();
    let at = at(body.len());
    body[at] ^= 1;
    reply
}

fn stated(mut reply: Reply, length: fn(u64) -> u64) -> Reply {
    let bytes = reply.body_mut().len() as u64;
    reply.framing(Framing::Stated(length(bytes)))
}

fn longer(mut reply: Reply) -> Reply {
    reply.body_mut().extend_from_slice(b" and more");
    reply
}

#[rustfmt::skip]
const FAULTS: &[(u8, &str, &[Object], Outcome, Fault)] = &[
    (1, "reset before the first byte", ALL, Good(2), |q, r| once(q, r, |r| r.cut(0))),
    (1, "reset after one byte", ALL, Good(2), |q, r| once(q, r, |r| r.cut(1))),
    (1, "reset in the middle", ALL, Good(2), |q, r| once(q, r, half)),
    (1, "reset instead of an answer", ALL, Good(2), |q, r| once(q, r, |_| Reply::raw(""))),
    (2, "closed in the middle, without a length", ALL, Good(2), |q, r| once(q, r, |r| half(r.framing(Framing::Close)))),
    (2, "closed at the end, without a length", ALL, Good(1), |_, r| r.framing(Framing::Close)),
    (3, "a length that is too short", STORED, Other(1), |_, r| stated(r, |length| length - 5)),
    (3, "a length that is too short", &[Token], Failed("malformed", 1), |_, r| stated(r, |length| length - 5)),
    (3, "a length that is too long", DOCUMENTS, Good(2), |q, r| once(q, r, |r| stated(r, |length| length + 5))),
    (3, "a length that is too long", &[Blob], Good(1), |_, r| stated(r, |length| length + 5)),
    (3, "two lengths", ALL, Good(2), |q, r| once(q, r, |_| Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"))),
    (3, "no length, but chunks", ALL, Good(1), |_, r| r.framing(Framing::Chunked)),
    (4, "a body that is too long", STORED, Other(1), |_, r| longer(r)),
    (4, "a body that is too long", &[Token], Failed("malformed", 1), |_, r| longer(r)),
    (5, "the first bit flipped", STORED, Other(1), |_, r| flip(r, |_| 0)),
    (5, "a bit in the middle flipped", STORED, Other(1), |_, r| flip(r, |length| length / 2)),
    (5, "the last bit flipped", STORED, Other(1), |_, r| flip(r, |length| length - 1)),
    (6, "a wrong digest header", ALL, Good(1), |_, r| r.header("Docker-Content-Digest", Digest::of(b"other").as_str())),
    (7, "a wrong body under the right header", STORED, Other(1), |_, mut r| {
        let digest = Digest::of(r.body_mut());
        Reply::ok(r#"{"another":1}"#).header("Docker-Content-Digest", digest.as_str())
    }),
    (8, "a stall behind the headers", ALL, Good(2), |q, r| once(q, r, |r| r.stall(0))),
    (8, "a stall in the middle", ALL, Good(2), |q, r| once(q, r, |r| r.stall(20))),
    (8, "a drip", ALL, Good(2), |q, r| once(q, r, |r| r.drip(1, Duration::from_millis(60)))),
    (12, "forbidden", ALL, Failed("refused", 1), |_, _| Reply::new(403)),
    (12, "missing", ALL, Failed("not-found", 1), |_, _| Reply::new(404)),
    (13, "429, wait a second", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(429).header("Retry-After", "1"))),
    (13, "429, wait until a date that is over", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(429).header("Retry-After", "Sat, 21 Nov 2020 10:00:00 GMT"))),
    (13, "429, wait for a day", ALL, Failed("registry-status", 1), |_, _| Reply::new(429).header("Retry-After", "86400")),
    (13, "429, wait for garbage", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(429).header("Retry-After", "soon"))),
    (13, "429 for ever", ALL, Failed("registry-status", 5), |_, _| Reply::new(429)),
    (14, "the last of a quota", ALL, Good(1), |_, r| r.header("ratelimit-remaining", "0;w=21600")),
    (15, "500 once", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(500))),
    (15, "502 once", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(502))),
    (15, "503 once", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(503))),
    (15, "504 once", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(504))),
    (15, "408 once", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(408))),
    (15, "499 once", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(499))),
    (15, "522 once", ALL, Good(2), |q, r| once(q, r, |_| Reply::new(522))),
    (15, "503 for ever", ALL, Failed("registry-status", 5), |_, _| Reply::new(503)),
    (16, "a redirect to itself", ALL, Failed("refused", 11), |q, _| Reply::redirect(&q.path)),
    (16, "a redirect to a file", ALL, Failed("refused", 1), |_, _| Reply::redirect("file:///etc/passwd")),
    (16, "a redirect to a metadata service", ALL, Failed("refused", 1), |_, _| Reply::redirect("http://169.254.169.254/")),
    (19, "another ETag for the rest", &[Blob], Good(2), |q, r| match q.nth {
        0 => half(r.header("ETag", "\"a\"")),
        _ => r.header("ETag", "\"b\""),
    }),
    (21, "an encoding of a document", DOCUMENTS, Failed("malformed", 1), |_, r| r.header("Content-Encoding", "gzip")),
    (21, "an encoding in name only", &[Blob], Good(1), |_, r| r.header("Content-Encoding", "zstd")),
    (21, "an encoding of a part in name only", &[Blob], Good(2), |q, r| once(q, r.header("Content-Encoding", "gzip"), half)),
    (22, "a media type with parameters", ALL, Good(1), |_, r| r.header("Content-Type", "application/json; charset=utf-8")),
    (22, "a web page", &[Manifest], Failed("not-an-image", 1), |_, _| Reply::ok("<html>").header("Content-Type", "text/html")),
    (22, "a web page", &[Token], Failed("malformed", 1), |_, _| Reply::ok("<html>").header("Content-Type", "text/html")),
    (26, "an endless header", ALL, Good(2), |q, r| once(q, r, |r| r.header("X-Long", &"x".repeat(1024 * 1024)))),
    (26, "a chunk without a size", ALL, Good(2), |q, r| once(q, r, |_| Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))),
];

#[test]
fn every_fault_has_the_outcome_it_should_have() {
    let rows = FAULTS
        .iter()
        .flat_map(|row| row.2.iter().map(move |object| (row, *object)));
    let rows: Vec<_> = rows.collect();
    let failures: Vec<String> = std::thread::scope(|scope| {
        // Most of them wait for something.
        let threads = rows.chunks(rows.len().div_ceil(16)).map(|rows| {
            scope.spawn(move || {
                let judged = rows.iter().map(|((number, name, _, expected, fault), object)| {
                    let outcome = strike(*object, *fault);
                    (outcome != *expected)
                        .then(|| format!("{number} {name}, {object:?}: {outcome:?}, not {expected:?}"))
                });
                judged.flatten().collect::<Vec<_>>()
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Fetches an object whose requests are answered by `fault`. Everything else is served as it should be, and every header
/// must have gone where it belongs.
fn strike(object: Object, fault: Fault) -> Outcome {
    let mut repository = Repository::default();
    let manifest = repository.manifest("1", media_type::OCI_MANIFEST, MANIFEST);
    let config = repository.blob(CONFIG);
    let blob = repository.blob(noise(SIZE));
    let struck = match object {
        Manifest => "/v2/app/manifests/1".to_owned(),
        Config => format!("/v2/app/blobs/{config}"),
        Blob => format!("/v2/app/blobs/{blob}"),
        Tags => TAGS_PATH.to_owned(),
        Token => "/token".to_owned(),
    };
    let tokens = Server::start(move |request| match object {
        Token => fault(request, Reply::ok(TOKEN)),
        _ => Reply::ok(TOKEN),
    });
    let challenge = format!(r#"Bearer realm="{}""#, tokens.url("/token"));
    let path = struck.clone();
    let server = Server::start(move |request| {
        if request.header("authorization") != Some("Bearer secret-token-0") {
            return Reply::new(401).header("WWW-Authenticate", &challenge);
        }
        let reply = match request.path == TAGS_PATH {
            true => Reply::ok(TAGS),
            false => repository.reply(request),
        };
        if request.path != path {
            return reply;
        }
        // The first request was for the challenge.
        let mut request = request.clone();
        request.nth -= 1;
        fault(&request, reply)
    });
    let source = source(&server, &with_login());
    let fetched: Result<(Vec<u8>, Digest), SourceError> = match object {
        Manifest | Token => root(&source).map(|root| (root.bytes, manifest)),
        Config => {
            let descriptor = Descriptor::new(media_type::OCI_CONFIG, config.clone(), CONFIG.len() as u64);
            source.document(&descriptor, 1 << 20).map(|bytes| (bytes, config))
        }
        Tags => {
            let reference = Reference::parse(&format!("{}/app", server.host())).unwrap();
            let listing = registry::tags(&reference, &with_login()).unwrap();
            match listing.failure {
                None => Ok((listing.names.join(" ").into_bytes(), Digest::of(b"1 2"))),
                Some(failure) => Err(failure),
            }
        }
        Blob => {
            let descriptor = Descriptor::new("", blob.clone(), SIZE as u64);
            let opened = source.blob(&layersift::oci::BlobKey::Digest(blob.clone()), Some(&descriptor));
            opened.and_then(|mut reader| {
                let mut bytes = Vec::new();
                match std::io::Read::read_to_end(&mut reader, &mut bytes) {
                    Ok(_) => Ok((bytes, blob)),
                    Err(error) => Err(*error.into_inner().unwrap().downcast().unwrap()),
                }
            })
        }
    };
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("authorization") != Some(&basic()))
    );
    let asked: Vec<Request> = match object {
        Token => tokens.requests(),
        _ => server
            .requests()
            .into_iter()
            .filter(|request| request.path == struck)
            .skip(1)
            .collect(),
    };
    assert!(
        tokens
            .requests()
            .iter()
            .all(|request| request.header("authorization") == Some(&basic()))
    );
    if object == Blob {
        // What arrived is not asked for again: each start is at or behind the one before.
        let starts: Vec<_> = asked
            .iter()
            .map(|request| request.from().unwrap_or_default())
            .collect();
        assert!(starts.is_sorted(), "{starts:?}");
    }
    match fetched {
        Ok((bytes, digest)) if Digest::of(&bytes) == digest => Good(asked.len()),
        Ok(_) => Other(asked.len()),
        Err(error) => {
            let text = error.with_causes();
            assert!(
                !text.contains("secret-token") && !text.contains(&basic()),
                "{text}"
            );
            Failed(error.reason(), asked.len())
        }
    }
}

#[test]
fn fault_24_a_child_that_cannot_be_had_leaves_the_others() {
    for status in [401, 403, 404] {
        let both = [
            image().layer([file("a", "b")]),
            image().platform("linux/arm64").layer([file("a", "c")]),
        ];
        let repository = Repository::of(&crate::support::image::index("app:1", both));
        let index: serde_json::Value = serde_json::from_slice(repository.bytes("app/manifests/1")).unwrap();
        let lost = format!(
            "/v2/app/manifests/{}",
            index["manifests"][1]["digest"].as_str().unwrap()
        );
        let server = Server::start(move |request| match request.path == lost {
            true => Reply::new(status),
            false => repository.reply(request),
        });
        let resolved = source(&server, &options()).resolve(&PlatformSelector::All, &Limits::default());
        let resolved = resolved.unwrap();
        assert_eq!(
            (resolved.images.len(), resolved.problems.len()),
            (1, 1),
            "{status}"
        );
        let run = layersift(["scan", &format!("{}/app:1", server.host())]).run();
        assert_eq!(run.code, Some(4), "{status}: {}", run.text());
    }
}

#[test]
fn fault_24_of_five_thousand_children_only_those_that_are_wanted_are_asked_for() {
    let mut repository = Repository::default();
    let wanted = repository.manifest("wanted", media_type::OCI_MANIFEST, MANIFEST);
    let child = |number: usize, digest: &str| {
        json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": MANIFEST.len(),
            "platform": {"os": "linux", "architecture": format!("made-up-{number}")}})
    };
    let children: Vec<_> = (0..5000)
        .map(|number| match number {
            2500 => child(number, wanted.as_str()),
            _ => child(number, Digest::of(&number.to_le_bytes()).as_str()),
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children});
    repository.manifest("1", media_type::OCI_INDEX, index.to_string());
    let server = Server::start(move |request| repository.reply(request));
    let platform = "linux/made-up-2500".parse().unwrap();
    let resolved = source(&server, &options())
        .resolve(&PlatformSelector::Only(vec![platform]), &Limits::default())
        .unwrap();
    assert_eq!(resolved.problems.len(), 0, "{:?}", resolved.problems);
    assert!(server.requests().len() <= 4, "{:?}", server.paths());
}

#[test]
fn fault_24_an_index_that_is_served_for_its_child_ends() {
    let mut repository = Repository::default();
    let child = Digest::of(b"a child");
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [
        {"mediaType": media_type::OCI_INDEX, "digest": child, "size": 7}]});
    repository.manifest("1", media_type::OCI_INDEX, index.to_string());
    let server = Server::start(move |request| match request.path.contains("sha256:") {
        true => Reply::ok(index.to_string()).header("Content-Type", media_type::OCI_INDEX),
        false => repository.reply(request),
    });
    let run = layersift(["scan", &format!("{}/app:1", server.host())]).run();
    assert!(matches!(run.code, Some(3 | 4)), "{:?} {}", run.code, run.text());
    assert!(server.requests().len() < 20, "{}", server.requests().len());
}

/// The same fault as a user meets it: what of an image cannot be had or is not what it should be decides the exit code.
#[test]
fn what_cannot_be_had_at_all_exits_3_and_what_is_missing_of_it_4() {
    let forbidden: fn(Reply) -> Reply = |_| Reply::new(403);
    let missing: fn(Reply) -> Reply = |_| Reply::new(404);
    let damaged: fn(Reply) -> Reply = |reply| flip(reply, |length| length / 2);
    for (name, fault, struck, code) in [
        ("forbidden", forbidden, "/manifests/1", 3),
        ("forbidden", forbidden, "/manifests/sha256:", 3),
        ("forbidden", forbidden, "/blobs/", 4),
        ("missing", missing, "/manifests/1", 3),
        ("missing", missing, "/manifests/sha256:", 3),
        ("missing", missing, "/blobs/", 4),
        // By a tag alone nothing says which document it should be.
        ("damaged", damaged, "/manifests/sha256:", 4),
        ("damaged", damaged, "/blobs/", 4),
    ] {
        let both = [
            image().layer([file("a", "b")]),
            image().platform("linux/arm64").layer([file("a", "b")]),
        ];
        let repository = Repository::of(&crate::support::image::index("app:1", both));
        let server = Server::start(move |request| {
            let reply = repository.reply(request);
            match request.path.contains(struck) {
                true => fault(reply),
                false => reply,
            }
        });
        let run = layersift(["scan", &format!("{}/app:1", server.host())]).run();
        assert!(
            run.code == Some(code),
            "{name} {struck}: {:?}\n{}\n{}",
            run.code,
            run.text(),
            run.stderr
        );
        server.assert_saw_no_credentials();
    }
}

#[test]
fn fault_27_a_connection_that_is_cut_under_tls_is_resumed() {
    let authority = Authority::new("tests");
    let folder = tempfile::tempdir().unwrap();
    let certificate = authority.sign("127.0.0.1", false);
    let mut repository = Repository::default();
    let digest = repository.blob(noise(SIZE));
    // Nothing of TLS tells that it was the end.
    let server = Server::tls(tls::server(&certificate, None), move |request| {
        let reply = repository.reply(request);
        if request.path.contains("/blobs/") {
            once(request, reply, half)
        } else {
            reply
        }
    });
    let trusting = RegistryOptions {
        authorities: vec![authority.file(folder.path())],
        ..options()
    };
    let bytes = read(&source(&server, &trusting), &digest, Some(SIZE)).unwrap();
    assert_eq!(Digest::of(&bytes), digest);
    let asked = server.requests();
    let starts: Vec<_> = asked
        .iter()
        .filter(|request| request.path.contains("/blobs/"))
        .map(Request::from)
        .collect();
    assert!(
        starts.len() == 2 && starts[0].is_none() && starts[1].is_some(),
        "{starts:?}"
    );
}

#[test]
fn fault_28_the_next_address_of_a_name_is_tried() {
    // The name has an address of either kind, and the server listens on one.
    let mut repository = Repository::default();
    repository.manifest("1", media_type::OCI_MANIFEST, MANIFEST);
    let server = Server::start(move |request| repository.reply(request));
    let port = server.host().rsplit(':').next().unwrap();
    root(&named(&format!("localhost:{port}/app:1"), &options())).unwrap();
}

#[test]
fn fault_29_a_proxy_that_refuses_is_named_and_is_not_asked_for_this_machine() {
    let proxy = Server::start(|_| Reply::new(407).header("Proxy-Authenticate", "Basic"));
    let run = layersift(["scan", "registry.example.com/app:1"])
        .env("HTTPS_PROXY", proxy.url(""))
        .run()
        .expect_code(3);
    assert!(
        run.stderr.contains("registry.example.com") && run.stderr.contains("proxy"),
        "{}",
        run.stderr
    );
    assert!(proxy.requests().iter().all(|request| request.method == "CONNECT"));
    proxy.assert_saw_no_credentials();

    let before = proxy.requests().len();
    let repository = Repository::of(&images([image()]));
    let server = Server::start(move |request| repository.reply(request));
    layersift(["scan", &format!("{}/app:1", server.host())])
        .env("HTTP_PROXY", proxy.url(""))
        .env("HTTPS_PROXY", proxy.url(""))
        .run()
        .expect_code(0);
    assert_eq!(proxy.requests().len(), before);
}

#[test]
fn fault_29_a_registry_is_reached_through_a_proxy_without_showing_it_the_login() {
    let authority = Authority::new("tests");
    let folder = tempfile::tempdir().unwrap();
    let certificate = authority.sign("registry.example.com", false);
    let repository = Repository::of(&images([image()]));
    let server = Server::tls(tls::server(&certificate, None), move |request| {
        match request.header("authorization") {
            Some(_) => repository.reply(request),
            None => Reply::new(401).header("WWW-Authenticate", "Basic realm=\"test\""),
        }
    });
    let proxy = Tunnel::to(server.host());
    let scan = |no_proxy: &str| {
        layersift(["scan", "registry.example.com/app:1", "--ca-cert"])
            .arg(authority.file(folder.path()).to_str().unwrap())
            .env("HTTPS_PROXY", format!("http://{}", proxy.address))
            .env("NO_PROXY", no_proxy)
            .env("LAYERSIFT_USERNAME_REGISTRY_EXAMPLE_COM", "someone")
            .env("LAYERSIFT_TOKEN_REGISTRY_EXAMPLE_COM", super::password())
            .run()
    };
    scan("other.example.com").expect_code(0);
    let heads = proxy.heads.lock().unwrap().clone();
    assert!(!heads.is_empty());
    for head in &heads {
        assert!(head.starts_with("CONNECT registry.example.com:443 "), "{head}");
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
    }
    // Past the proxy nobody is called so.
    scan(".example.com").expect_code(3);
    assert_eq!(proxy.heads.lock().unwrap().len(), heads.len());
}

/// A proxy that connects everybody with one server, whatever they ask for.
struct Tunnel {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tunnel = Self {
            address: listener.local_addr().unwrap().to_string(),
            heads: Arc::default(),
        };
        let (heads, server) = (Arc::clone(&tunnel.heads), server.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (heads, server) = (Arc::clone(&heads), server.clone());
                std::thread::spawn(move || carry(client.unwrap(), &server, &heads));
            }
        });
        tunnel
    }
}

fn carry(mut client: TcpStream, server: &str, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    let mut server = TcpStream::connect(server).unwrap();
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    // Either side may hang up first.
    let upwards = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upwards.join();
}

#[test]
fn fault_34_the_urls_of_a_layer_are_not_gone_to() {
    let recorder = Server::bind("127.0.0.2:0", |_| Reply::ok("{}"));
    for is_kept in [true, false] {
        let mut repository = Repository::default();
        let config = repository.blob(r#"{"os":"linux","architecture":"amd64"}"#);
        let layer = noise(1000);
        let digest = if is_kept {
            repository.blob(layer.clone())
        } else {
            Digest::of(&layer)
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::DOCKER_MANIFEST,
            "config": {"mediaType": media_type::DOCKER_CONFIG, "digest": config, "size": 37},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": digest,
                "size": layer.len(), "urls": [recorder.url("/layer"), "http://169.254.169.254/"]}],
        });
        repository.manifest("1", media_type::DOCKER_MANIFEST, manifest.to_string());
        let server = Server::start(move |request| repository.reply(request));
        let asking = source(&server, &with_login());
        let resolved = asking
            .resolve(&PlatformSelector::All, &Limits::default())
            .unwrap();
        assert_eq!(resolved.images[0].layers.len(), 1);
        assert_eq!(read(&asking, &digest, Some(layer.len())).is_ok(), is_kept);
        assert_eq!(recorder.requests().len(), 0);
    }
}

#[test]
fn the_options_of_these_tests_try_five_times() {
    // The numbers of the table depend on it.
    let RegistryOptions { limits, .. } = options();
    assert_eq!((limits.tries, limits.redirects), (5, 10));
}
