//! Challenges and token servers.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use layersift::oci::{Digest, media_type};
use layersift::source::SourceError;
use layersift::source::registry::{Pace, RegistryOptions, Session};

use super::{basic, named, options, password, read, root, root_error, source, with_login};
use crate::support::command::layersift;
use crate::support::scripted::{Framing, Reply, Repository, Request, Server};

fn repository() -> Repository {
    let mut repository = Repository::default();
    repository.manifest("1", media_type::OCI_MANIFEST, "{}");
    repository.blob("blob");
    repository
}

/// A registry that takes `Bearer secret-token-N` for every `N` that `valid` says, and challenges with `challenge`.
fn registry(challenge: String, valid: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let repository = repository();
    Server::start(move |request| {
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer secret-token-"));
        match token {
            _ if request.path == "/v2/" => Reply::new(401).header("WWW-Authenticate", &challenge),
            Some(token) if valid(token) => repository.reply(request),
            _ => Reply::new(401)
                .header("WWW-Authenticate", &challenge)
                .body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#),
        }
    })
}

fn bearer(realm: &str) -> String {
    format!(r#"Bearer realm="{realm}",service="registry.example.com",scope="repository:app:pull""#)
}

/// A token server that counts its tokens.
fn tokens() -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_| {
        let token = format!("secret-token-{}", count.fetch_add(1, Ordering::SeqCst));
        Reply::ok(format!(r#"{{"token":"{token}","expires_in":300}}"#))
    })
}

fn token_server(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (Server, Server) {
    let tokens = Server::start(answer);
    let registry = registry(bearer(&tokens.url("/token")), |_| true);
    (tokens, registry)
}

#[test]
fn a_token_is_fetched_once_and_used_for_everything() {
    let tokens = tokens();
    let registry = registry(bearer(&tokens.url("/token?x=1")), |_| true);
    let source = source(&registry, &options());
    root(&source).unwrap();
    root(&source).unwrap();
    read(&source, &Digest::of(b"blob"), None).unwrap();
    assert_eq!(
        tokens
            .requests()
            .iter()
            .map(|request| request.path.as_str())
            .collect::<Vec<_>>(),
        ["/token?x=1&service=registry.example.com&scope=repository%3Aapp%3Apull"]
    );
    tokens.assert_saw_no_credentials();
    let sent: Vec<_> = registry
        .requests()
        .iter()
        .map(|r| r.header("authorization").map(str::to_owned))
        .collect();
    let token = Some("Bearer secret-token-0".to_owned());
    assert_eq!(sent, [None, token.clone(), token.clone(), token]);
}

/// A registry of one repository that asks for a token of another realm, service or scope for each of its blobs, and
/// takes no other; `given` is the tokens that were given, by what was asked.
fn particular(realms: [String; 2], repository: &'static str, given: Given) -> Server {
    Server::start(move |request| {
        let Some((_, blob)) = request.path.split_once("sha256:") else {
            return Reply::new(404);
        };
        let number = BLOBS
            .iter()
            .position(|text| Digest::of(text.as_bytes()).encoded() == blob);
        let number = number.expect("a blob of ours");
        let realm = &realms[usize::from(number == 1)];
        let service = ["one", "two"][usize::from(number == 2)];
        let scope = ["pull", "pull,metadata"][usize::from(number == 3)];
        let challenge =
            format!(r#"Bearer realm="{realm}",service="{service}",scope="repository:{repository}:{scope}""#);
        let asked = format!(
            "{}?service={service}&scope=repository%3A{repository}%3A{}",
            realm.rsplit('/').next().unwrap(),
            scope.replace(',', "%2C")
        );
        let is_right = |value: &str| {
            let token = value.strip_prefix("Bearer ").expect("a token");
            given.lock().unwrap().get(token) == Some(&asked)
        };
        match request.header("authorization") {
            Some(value) if is_right(value) => Reply::ok(BLOBS[number]),
            _ => Reply::new(401).header("WWW-Authenticate", &challenge),
        }
    })
}

type Given = Arc<Mutex<HashMap<String, String>>>;

const BLOBS: [&str; 4] = ["plain", "other realm", "other service", "other scope"];

#[test]
fn a_token_is_kept_by_registry_repository_realm_service_and_scope() {
    let given = Given::default();
    let shared = Arc::clone(&given);
    let tokens = Server::start(move |request| {
        let mut given = shared.lock().unwrap();
        let token = format!("secret-token-{}", given.len());
        given.insert(token.clone(), request.path.trim_start_matches('/').to_owned());
        Reply::ok(format!(r#"{{"token":"{token}","expires_in":300}}"#))
    });
    let realms = || [tokens.url("/token"), tokens.url("/token-2")];
    let one = particular(realms(), "app", Arc::clone(&given));
    let other = particular(realms(), "app", Arc::clone(&given));
    let third = particular(realms(), "lib", Arc::clone(&given));
    let options = RegistryOptions {
        session: Some(Session::start(Pace::default()).unwrap()),
        ..options()
    };
    let all = [
        source(&one, &options),
        source(&other, &options),
        // Two repositories of one registry.
        named(&format!("{}/lib:1", third.host()), &options),
        named(&format!("{}/lib/more:1", third.host()), &options),
    ];
    for source in &all {
        for blob in BLOBS {
            // The first time it comes with the token for the blob before.
            for _ in 0..2 {
                let read = read(source, &Digest::of(blob.as_bytes()), None);
                assert_eq!(read.unwrap(), blob.as_bytes());
            }
        }
    }
    // Each was asked for once, and no source was given what another had been given.
    assert_eq!(tokens.requests().len(), all.len() * BLOBS.len());
    let shown = |server: &Server, repository: &str| -> BTreeSet<String> {
        let requests = server.requests();
        let of_repository = requests
            .iter()
            .filter(|request| request.path.starts_with(&format!("/v2/{repository}/blobs/")));
        of_repository
            .filter_map(|request| Some(request.header("authorization")?.to_owned()))
            .collect()
    };
    let shown = [
        shown(&one, "app"),
        shown(&other, "app"),
        shown(&third, "lib"),
        shown(&third, "lib/more"),
    ];
    for (at, tokens) in shown.iter().enumerate() {
        assert_eq!(tokens.len(), BLOBS.len());
        assert!(
            shown[at + 1..].iter().all(|others| tokens.is_disjoint(others)),
            "{shown:?}"
        );
    }
}

#[test]
fn the_login_goes_to_the_token_server_and_the_token_to_the_registry() {
    let tokens = tokens();
    let registry = registry(bearer(&tokens.url("/token")), |_| true);
    root(&source(&registry, &with_login())).unwrap();
    assert_eq!(
        tokens.requests()[0].header("authorization"),
        Some(basic().as_str())
    );
    assert!(
        registry
            .requests()
            .iter()
            .all(|request| request.header("authorization") != Some(&basic()))
    );
}

#[test]
fn many_downloads_share_one_new_token() {
    let tokens = tokens();
    let registry = registry(bearer(&tokens.url("/token")), |_| true);
    let source = source(&registry, &options());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| read(&source, &Digest::of(b"blob"), None).unwrap());
        }
    });
    assert_eq!(tokens.requests().len(), 1);
}

#[test]
fn an_expired_token_is_renewed_once() {
    let tokens = tokens();
    let least = Arc::new(AtomicUsize::new(0));
    let valid = Arc::clone(&least);
    let registry = registry(bearer(&tokens.url("/token")), move |token| {
        token.parse::<usize>().unwrap() >= valid.load(Ordering::SeqCst)
    });
    let source = source(&registry, &options());
    root(&source).unwrap();
    least.store(1, Ordering::SeqCst);
    root(&source).unwrap();
    assert_eq!(tokens.requests().len(), 2);
    // From here on no token is good: one try with the old, one with a new, and no loop.
    least.store(usize::MAX, Ordering::SeqCst);
    let before = registry.requests().len();
    let (error, text) = root_error(&source);
    assert!(matches!(error, SourceError::Refused { .. }), "{error:?}");
    assert!(text.contains("UNAUTHORIZED: authentication required"), "{text}");
    assert!(text.contains("no login for `127.0.0.1"), "{text}");
    assert!(registry.requests().len() - before <= 3);
}

#[test]
fn basic_is_answered_on_every_request_and_refused_once() {
    let repository = repository();
    let expected = Arc::new(Mutex::new(basic()));
    let accepted = Arc::clone(&expected);
    let server = Server::start(move |request| match request.header("authorization") {
        Some(value) if value == *accepted.lock().unwrap() => repository.reply(request),
        _ => Reply::new(401).header("WWW-Authenticate", r#"Basic realm="Registry""#),
    });
    let source_with = source(&server, &with_login());
    root(&source_with).unwrap();
    read(&source_with, &Digest::of(b"blob"), None).unwrap();
    assert_eq!(server.requests().len(), 3, "one challenge in all");

    let (_, text) = root_error(&source(&server, &options()));
    assert!(
        text.contains("it asks for a login; no login for `127.0.0.1"),
        "{text}"
    );

    *expected.lock().unwrap() = "Basic other".into();
    let before = server.requests().len();
    let (_, text) = root_error(&source(&server, &with_login()));
    assert!(text.contains("does not accept the login"), "{text}");
    assert_eq!(server.requests().len() - before, 2);
}

#[test]
fn a_login_is_read_from_the_docker_configuration() {
    let repository = repository();
    let server = Server::start(move |request| match request.header("authorization") {
        Some(value) if value == basic() => repository.reply(request),
        _ => Reply::new(401).header("WWW-Authenticate", "Basic"),
    });
    let directory = tempfile::tempdir().unwrap();
    let auth = basic().split_off("Basic ".len());
    let config = format!(
        r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}},"psFormat":"x"}}"#,
        server.host()
    );
    std::fs::write(directory.path().join("config.json"), config).unwrap();
    let stored = RegistryOptions {
        docker_config: Some(directory.path().to_owned()),
        ..options()
    };
    root(&source(&server, &stored)).unwrap();

    std::fs::write(
        directory.path().join("config.json"),
        format!("{{ {} ", password()),
    )
    .unwrap();
    let (_, text) = root_error(&source(&server, &stored));
    assert!(
        text.contains("config.json` was not used: it is not JSON"),
        "{text}"
    );
}

/// Options whose `config.json` holds a refresh token for `registry`.
fn with_identity(registry: &Server) -> (tempfile::TempDir, RegistryOptions) {
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        r#"{{"auths":{{"{}":{{"identitytoken":"{}"}}}}}}"#,
        registry.host(),
        password()
    );
    std::fs::write(directory.path().join("config.json"), config).unwrap();
    let options = RegistryOptions {
        docker_config: Some(directory.path().to_owned()),
        ..options()
    };
    (directory, options)
}

#[test]
fn an_identity_token_is_exchanged_by_a_form() {
    let (tokens, registry) =
        token_server(|_| Reply::ok(r#"{"access_token":"secret-token-a","refresh_token":"x"}"#));
    let (_directory, options) = with_identity(&registry);
    root(&source(&registry, &options)).unwrap();
    let request = &tokens.requests()[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/token")
    );
    assert_eq!(
        request.body,
        format!(
            "grant_type=refresh_token&client_id=layersift&refresh_token={}&service=registry.example.com&scope=repository%3Aapp%3Apull",
            password()
        )
    );
    assert_eq!(request.header("authorization"), None);
}

#[test]
fn a_refused_identity_token_is_neither_passed_on_nor_shown() {
    let other = Server::bind("127.0.0.2:0", |_| Reply::ok(r#"{"token":"secret-token-a"}"#));
    for target in [other.url("/token"), "/token?again".to_owned()] {
        let (tokens, registry) = token_server(move |_| Reply::redirect(&target));
        let (_directory, options) = with_identity(&registry);
        let (_, text) = root_error(&source(&registry, &options));
        assert!(text.contains("must answer itself"), "{text}");
        assert_eq!(tokens.requests().len(), 1);
    }
    assert_eq!(other.requests().len(), 0);

    let (_tokens, registry) = token_server(|_| {
        let message = format!("no: {}", password());
        Reply::new(401).body(format!(
            r#"{{"errors":[{{"code":"DENIED","message":"{message}"}}]}}"#
        ))
    });
    let (_directory, options) = with_identity(&registry);
    let (_, text) = root_error(&source(&registry, &options));
    assert!(text.contains("DENIED: no: ***"), "{text}");
}

#[test]
fn of_several_challenges_one_that_can_be_met_is_met() {
    let tokens = tokens();
    let both = format!(r#"Negotiate, Basic realm="r", {}"#, bearer(&tokens.url("/token")));
    let registry = registry(both, |_| true);
    root(&source(&registry, &with_login())).unwrap();

    // The realm cannot be had, so the login itself is sent.
    let repository = repository();
    let server = Server::start(move |request| match request.header("authorization") {
        Some(value) if value.starts_with("Basic") => repository.reply(request),
        _ => Reply::new(401)
            .header("WWW-Authenticate", r#"Bearer realm="ftp://x/""#)
            .header("WWW-Authenticate", r#"Basic realm="r""#),
    });
    root(&source(&server, &with_login())).unwrap();
}

#[test]
fn a_token_server_that_must_not_be_asked_is_not_asked() {
    for (realm, why) in [
        ("http://169.254.169.254/latest/api/token", "another site"),
        ("http://[::]:1/token", "another site"),
        ("http://10.255.255.1/token", "another site"),
        ("https://auth.example.com/token", "another site"),
        ("file:///etc/passwd", "not http or https"),
        ("http://someone:secret-token@127.0.0.1:1/", "holds a user name"),
        ("nonsense", "not a URL"),
    ] {
        let registry = registry(bearer(realm), |_| true);
        let (error, text) = root_error(&source(&registry, &with_login()));
        assert!(matches!(error, SourceError::Refused { .. }), "{realm}: {error:?}");
        assert!(text.contains(why), "{realm}: {text}");
        assert_eq!(registry.requests().len(), 1, "{realm}");
    }
    for header in [
        "",
        "Negotiate",
        "Bearer",
        r#"Bearer service="x""#,
        "Digest nonce=x",
    ] {
        let registry = registry(header.into(), |_| true);
        let (_, text) = root_error(&source(&registry, &with_login()));
        assert!(text.contains("no way to log in"), "{header}: {text}");
    }
}

#[test]
fn a_token_server_does_not_pass_the_login_on() {
    let other = Server::bind("127.0.0.2:0", |_| Reply::ok(r#"{"token":"secret-token-x"}"#));
    let target = other.url("/token");
    let (tokens, registry) = token_server(move |_| Reply::redirect(&target));
    let (_, text) = root_error(&source(&registry, &with_login()));
    assert!(text.contains("a token server must answer itself"), "{text}");
    assert_eq!(other.requests().len(), 0);
    assert_eq!(tokens.requests().len(), 1);

    let (_tokens, registry) = token_server(|request| match request.path.contains("again") {
        false => Reply::redirect("/token?again"),
        true => Reply::ok(r#"{"token":"secret-token-x"}"#),
    });
    assert!(
        root(&source(&registry, &with_login())).is_ok(),
        "its own redirect is followed"
    );
}

#[test]
fn every_form_of_a_token_answer_is_accepted() {
    for answer in [
        r#"{"token":"secret-token-a"}"#,
        r#"{"access_token":"secret-token-a"}"#,
        r#"{"token":"secret-token-a","access_token":"secret-token-b"}"#,
        r#"{"token":"secret-token-a","expires_in":0}"#,
        r#"{"token":"secret-token-a","expires_in":null,"issued_at":"nonsense"}"#,
    ] {
        let (tokens, registry) = token_server(move |_| Reply::ok(answer));
        let source = source(&registry, &options());
        root(&source).unwrap();
        root(&source).unwrap();
        assert_eq!(tokens.requests().len(), 1, "{answer}");
    }
}

#[test]
fn a_token_answer_that_is_none_is_a_named_error() {
    for answer in ["", "{}", "null", "<html>Sign in</html>", r#"{"token":"a b"}"#] {
        let (tokens, registry) = token_server(move |_| Reply::ok(answer));
        let (error, text) = root_error(&source(&registry, &with_login()));
        assert!(
            matches!(error, SourceError::Malformed { .. }),
            "{answer}: {error:?}"
        );
        assert!(text.contains("the token that `127.0.0.1"), "{answer}: {text}");
        assert_eq!(tokens.requests().len(), 1, "{answer}");
    }
    for framing in [Framing::Length, Framing::Chunked] {
        let (_tokens, registry) =
            token_server(move |_| Reply::ok(vec![b' '; 2_000_000]).framing(framing.clone()));
        let (error, _) = root_error(&source(&registry, &with_login()));
        assert!(matches!(error, SourceError::Limit { .. }), "{error:?}");
    }
}

#[test]
fn a_token_server_that_fails_is_tried_again_and_one_that_refuses_is_not() {
    let (tokens, registry) = token_server(|request| match request.nth {
        0..3 => Reply::new(500),
        _ => Reply::ok(r#"{"token":"secret-token-a"}"#),
    });
    root(&source(&registry, &options())).unwrap();
    assert_eq!(tokens.requests().len(), 4);

    let (tokens, registry) = token_server(|request| match request.nth {
        0 => Reply::new(429).header("Retry-After", "1"),
        _ => Reply::ok(r#"{"token":"secret-token-a"}"#),
    });
    root(&source(&registry, &options())).unwrap();
    assert_eq!(tokens.requests().len(), 2);

    for status in [400, 401, 403] {
        // It repeats what it was sent.
        let (tokens, registry) = token_server(move |request| {
            let sent = request.header("authorization").unwrap_or_default();
            let message = format!("no: {sent} {}", password());
            Reply::new(status).body(format!(
                r#"{{"errors":[{{"code":"DENIED","message":"{message}"}}]}}"#
            ))
        });
        let (_, text) = root_error(&source(&registry, &with_login()));
        assert!(text.contains("DENIED: no: Basic *** ***"), "{text}");
        assert_eq!(tokens.requests().len(), 1, "{status}");
    }
}

#[test]
fn a_password_is_not_given_to_several_registries() {
    let (one, other) = (
        registry("Basic".into(), |_| true),
        registry("Basic".into(), |_| true),
    );
    let targets = [
        format!("{}/app:1", one.host()),
        format!("docker://{}/app:1", other.host()),
    ];
    let login = ["--username", "someone", "--password-stdin"];
    let arguments = ["scan", &targets[0], &targets[1]].into_iter().chain(login);
    let run = layersift(arguments).stdin(password()).run().expect_code(2);
    assert!(
        run.stderr.contains(one.host()) && run.stderr.contains(other.host()),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("scan them one by one"), "{}", run.stderr);
    assert_eq!((one.requests().len(), other.requests().len()), (0, 0));

    let arguments = ["scan", &targets[0], &targets[0], "./absent.tar"]
        .into_iter()
        .chain(login);
    let run = layersift(arguments).stdin(password()).run();
    assert!(
        !run.stderr.contains("several") && !one.requests().is_empty(),
        "{}",
        run.stderr
    );
}
