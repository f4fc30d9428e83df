//! Mirrors: what they are asked and sent, and that a wrong or dead one costs nothing but a note.

use layersift::oci::Digest;
use layersift::source::Source as _;
use layersift::source::registry::RegistryOptions;

use super::{basic, noise, read, root, source, with_login};
use crate::support::command::layersift;
use crate::support::image::{image, images};
use crate::support::scripted::{Reply, Repository, Server};
use crate::support::secrets::secrets;
use crate::support::tar::file;

const SIZE: usize = 3_000_000;

fn repository() -> (Repository, Digest) {
    let mut repository = Repository::default();
    repository.manifest("1", layersift::oci::media_type::OCI_MANIFEST, "{}");
    let digest = repository.blob(noise(SIZE));
    (repository, digest)
}

/// A registry that wants a login for everything.
fn closed(repository: Repository) -> Server {
    Server::start(move |request| match request.header("authorization") {
        Some(value) if value == basic() => repository.reply(request),
        _ => Reply::new(401).header("WWW-Authenticate", "Basic"),
    })
}

fn with_mirrors<const N: usize>(registry: &Server, mirrors: [&str; N]) -> RegistryOptions {
    let mirrors = mirrors.map(|url| (registry.host().to_owned(), url.parse().unwrap()));
    RegistryOptions {
        mirrors: mirrors.to_vec(),
        ..with_login()
    }
}

/// The address of nobody.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_mirror_answers_for_its_registry_and_is_not_sent_its_login() {
    let (repository, digest) = repository();
    let (mirrored, open) = (repository.clone(), repository.clone());
    let mirror = Server::start(move |request| {
        let mut asked = request.clone();
        asked.path = request.path.replace("/v2/proxy/app/", "/v2/app/");
        // It would like to have the login.
        match request.header("authorization") {
            None if request.nth == 0 => Reply::new(401).header("WWW-Authenticate", "Basic"),
            _ => mirrored.reply(&asked),
        }
    });
    let registry = closed(repository);
    let asking = source(&registry, &with_mirrors(&registry, [&mirror.url("/proxy")]));
    assert!(
        root(&asking).is_ok(),
        "the registry answers what the mirror refuses"
    );
    mirror.assert_saw_no_credentials();
    let path = format!("proxy/app/manifests/1?ns={}", registry.host().replace(':', "%3A"));
    assert_eq!(mirror.paths(), [path]);
    assert!(
        asking.notes()[0].why.contains("it asks for a login"),
        "{:?}",
        asking.notes()
    );

    let mirror = Server::start(move |request| open.reply(request));
    let before = registry.requests().len();
    let asking = source(&registry, &with_mirrors(&registry, [&mirror.url("/")]));
    root(&asking).unwrap();
    assert!(read(&asking, &digest, Some(SIZE)).unwrap() == noise(SIZE));
    assert_eq!(registry.requests().len(), before, "the registry is not asked");
    assert_eq!(mirror.requests().len(), 2);
    assert!(asking.notes().is_empty());
    mirror.assert_saw_no_credentials();
}

#[test]
fn a_dead_mirror_is_told_once_and_the_next_one_is_asked() {
    let (repository, digest) = repository();
    let second = repository.clone();
    let second = Server::start(move |request| second.reply(request));
    let registry = closed(repository);
    let dead = nobody();
    let asking = source(&registry, &with_mirrors(&registry, [&dead, &second.url("")]));
    root(&asking).unwrap();
    read(&asking, &digest, Some(SIZE)).unwrap();
    let notes = asking.notes();
    assert_eq!((registry.requests().len(), notes.len()), (0, 1), "{notes:?}");
    assert_eq!(
        format!("the mirror `{}`", dead.trim_start_matches("http://")),
        notes[0].what
    );
    assert_eq!(notes[0].reason, "mirror");
}

#[test]
fn what_a_mirror_does_not_have_or_serves_wrong_comes_from_the_registry() {
    type Fault = fn() -> Reply;
    let faults: [(&str, Fault, &str); 5] = [
        ("missing", || Reply::new(404), "does not have"),
        ("failing", || Reply::new(503), "answered 503"),
        ("forbidden", || Reply::new(403), "refused access"),
        (
            "a page",
            || Reply::ok("<html>").header("Content-Type", "text/html"),
            "web page",
        ),
        (
            "away",
            || Reply::redirect("http://169.254.169.254/"),
            "is not followed",
        ),
    ];
    for (name, fault, why) in faults {
        let (repository, _) = repository();
        let mirror = Server::start(move |_| fault());
        let registry = closed(repository);
        let asking = source(&registry, &with_mirrors(&registry, [&mirror.url("")]));
        root(&asking).unwrap();
        let notes = asking.notes();
        assert!(
            notes.len() == 1 && notes[0].why.contains(why),
            "{name}: {notes:?}"
        );
        mirror.assert_saw_no_credentials();
    }
}

#[test]
fn a_transfer_that_a_mirror_breaks_off_goes_on_at_the_registry() {
    let (repository, digest) = repository();
    let mirrored = repository.clone();
    let mirror = Server::start(move |request| match request.from() {
        None => mirrored.reply(request).cut(SIZE / 2),
        Some(_) => Reply::new(500),
    });
    let registry = closed(repository);
    let asking = source(&registry, &with_mirrors(&registry, [&mirror.url("")]));
    assert!(read(&asking, &digest, Some(SIZE)).unwrap() == noise(SIZE));
    let starts: Vec<_> = registry.requests().iter().map(|request| request.from()).collect();
    assert_eq!(starts, [Some(SIZE / 2); 2], "the challenge, and the rest");
    assert_eq!(asking.notes().len(), 1);
}

#[test]
fn bytes_that_a_mirror_altered_are_read_again_and_the_report_says_so() {
    let token = secrets(7).github_token();
    let leaky = image().layer([file("root/.env", format!("TOKEN={token}\n"))]);
    let repository = Repository::of(&images([leaky]));
    let right = repository.clone();
    let registry = Server::start(move |request| repository.reply(request));
    for what in ["configuration", "layer", "nothing"] {
        let right = right.clone();
        let mirror = Server::start(move |request| {
            let mut reply = right.reply(request);
            let body = reply.body_mut();
            let is_altered = match what {
                "configuration" => body.windows(8).any(|word| word == b"\"rootfs\""),
                "layer" => body.starts_with(b"\x1f\x8b"),
                _ => false,
            };
            if is_altered {
                *body.last_mut().unwrap() ^= 1;
            }
            reply
        });
        let reference = format!("{}/app:1", registry.host());
        let mirrored = format!("{}={}", registry.host(), mirror.url(""));
        let before = registry.requests().len();
        let run = layersift(["scan", &reference, "--mirror", &mirrored, "--format", "json"]).run();
        let report = run.expect_code(1).json();
        let skips = report["coverage"]["skips"].as_array().unwrap();
        let told: Vec<_> = skips
            .iter()
            .map(|skip| (skip["kind"].as_str(), skip["reason"].as_str()))
            .collect();
        let altered = what != "nothing";
        let note = (Some("note"), Some("mirror"));
        assert_eq!(told, if altered { vec![note] } else { vec![] }, "{report:#}");
        assert_eq!(registry.requests().len() > before, altered);
        mirror.assert_saw_no_credentials();
    }
}
