//! Redirects: who is followed where, and which headers go along.

use layersift::oci::media_type;
use layersift::source::SourceError;

use super::{basic, options, read, root, root_error, source, with_login};
use crate::support::scripted::{Reply, Repository, Server};

fn store() -> (Repository, layersift::oci::Digest) {
    let mut repository = Repository::default();
    let digest = repository.blob("the bytes of a layer");
    (repository, digest)
}

#[test]
fn credentials_go_to_the_exact_scheme_host_and_port_only() {
    let (repository, digest) = store();
    for address in ["127.0.0.1:0", "127.0.0.2:0"] {
        let repository = repository.clone();
        let other = Server::bind(address, move |request| repository.reply(request));
        let target = other.url(&format!("/v2/app/blobs/{digest}?X-Amz-Signature=s"));
        let registry = Server::start(move |request| match request.header("authorization") {
            _ if request.path == "/v2/" => Reply::ok("{}"),
            Some(_) => Reply::redirect(&target),
            None => Reply::new(401).header("WWW-Authenticate", r#"Basic realm="r""#),
        });
        let bytes = read(&source(&registry, &with_login()), &digest, Some(20)).unwrap();
        assert_eq!(bytes, b"the bytes of a layer");
        let basic = basic();
        let sent: Vec<_> = registry
            .requests()
            .iter()
            .map(|r| r.header("authorization").map(str::to_owned))
            .collect();
        assert_eq!(sent, [None, Some(basic)], "first without, then with");
        assert_eq!(other.requests().len(), 1);
        other.assert_saw_no_credentials();
    }
}

#[test]
fn a_store_that_refuses_authorization_is_not_sent_any() {
    let (repository, digest) = store();
    let other = Server::start(move |request| match request.header("authorization") {
        Some(_) => Reply::new(400),
        None => repository.reply(request),
    });
    let target = other.url(&format!("/v2/app/blobs/{digest}"));
    let registry = Server::start(move |request| match request.header("authorization") {
        _ if request.path == "/v2/" => Reply::ok("{}"),
        Some(_) => Reply::redirect(&target),
        None => Reply::new(401).header("WWW-Authenticate", "Basic"),
    });
    assert!(read(&source(&registry, &with_login()), &digest, None).is_ok());
}

#[test]
fn a_redirect_to_the_registry_itself_keeps_the_login() {
    let (repository, digest) = store();
    let moved = digest.clone();
    let registry = Server::start(move |request| match request.header("authorization") {
        _ if request.path == "/v2/" => Reply::ok("{}"),
        None => Reply::new(401).header("WWW-Authenticate", "Basic"),
        Some(_) if !request.path.contains('?') => Reply::redirect(format!("/v2/app/blobs/{moved}?moved")),
        Some(_) => repository.reply(request),
    });
    assert!(read(&source(&registry, &with_login()), &digest, None).is_ok());
}

#[test]
fn ten_redirects_are_followed_and_eleven_are_not() {
    let hops = |last: usize| {
        let server = Server::start(move |request| {
            if request.path == "/v2/" {
                return Reply::ok("{}");
            }
            let hop: usize = request
                .path
                .strip_prefix("/hop/")
                .map_or(0, |hop| hop.parse().unwrap());
            match hop < last {
                true => Reply::redirect(format!("/hop/{}", hop + 1)),
                false => Reply::ok("{}").header("Content-Type", media_type::OCI_MANIFEST),
            }
        });
        let result = root(&source(&server, &options()));
        (result, server.requests().len())
    };
    assert!(hops(10).0.is_ok());
    let (result, requests) = hops(11);
    assert!(matches!(result, Err(SourceError::Refused { .. })), "{result:?}");
    assert_eq!(requests, 11);
    let (result, requests) = hops(usize::MAX);
    assert!(result.is_err());
    assert_eq!(requests, 11);
}

#[test]
fn redirects_to_other_schemes_or_forbidden_addresses_are_refused() {
    for (location, why) in [
        ("file:///etc/passwd", "other than http or https"),
        ("data:application/json,{}", "other than http or https"),
        ("ftp://example.com/", "other than http or https"),
        (
            "http://169.254.169.254/latest/meta-data?Signature=s",
            "address is private",
        ),
        ("http://[fe80::1]/", "address is private"),
        ("http://0.0.0.0:1/", "address is private"),
        ("http://user:secret-token@127.0.0.1:1/", "holds a user name"),
        ("http://[", "not a URL"),
        ("http://:80/", "not a URL"),
    ] {
        let registry = Server::start(move |request| match request.path.as_str() {
            "/v2/" => Reply::ok("{}"),
            _ => Reply::redirect(location),
        });
        let (error, text) = root_error(&source(&registry, &options()));
        assert!(
            matches!(error, SourceError::Refused { .. }),
            "{location}: {error:?}"
        );
        assert!(text.contains(why), "{location}: {text}");
        assert_eq!(registry.requests().len(), 1, "{location}");
    }
}

#[test]
fn a_signed_url_that_fails_is_never_shown() {
    let other = Server::start(|_| {
        Reply::new(404).body("<Error><SignatureProvided>secret-token</SignatureProvided></Error>")
    });
    let target = other.url("/x?X-Amz-Signature=secret-token");
    let registry = Server::start(move |request| match request.path.as_str() {
        "/v2/" => Reply::ok("{}"),
        _ => Reply::redirect(&target),
    });
    let (error, _) = root_error(&source(&registry, &options()));
    assert!(matches!(error, SourceError::NotFound { .. }), "{error:?}");

    let nobody = "http://127.0.0.1:1/x?X-Amz-Signature=secret-token";
    let registry = Server::start(move |request| match request.path.as_str() {
        "/v2/" => Reply::ok("{}"),
        _ => Reply::redirect(nobody),
    });
    let (_, text) = root_error(&source(&registry, &options()));
    assert!(text.contains("127.0.0.1:1"), "{text}");
}
