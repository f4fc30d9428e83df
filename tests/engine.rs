//! Images of a local engine: a real Podman, and engines that misbehave by a script.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use layersift::limits::Limits;
use layersift::oci::{Digest, PlatformSelector};
use layersift::report::wire::Report;
use layersift::source::engine::EngineOptions;
use layersift::source::{self, Access, OpenOptions, Opened, Provider, Resolved, SourceError};
use serde_json::json;

use crate::support::command::{Layersift, Run, layersift};
use crate::support::engine::{Answer, engine, podman};
use crate::support::image::{Images, image, images};
use crate::support::program;
use crate::support::registry::registry;
use crate::support::secrets::secrets;
use crate::support::tar::{self, file, whiteout};

const NAME: &str = "registry.example.com/acme/app:1.4";

/// An image that leaks; its second layer is the same as its first, as an export has it once and linked.
fn app(name: &str) -> Images {
    let mut secrets = secrets(11);
    let (id, secret) = secrets.gcs_hmac_pair();
    let token = secrets.github_token();
    let boto = format!("gs_access_key_id = {id}\ngs_secret_access_key = {secret}\n");
    images([image()
        .named(name)
        .layer([file("root/.boto", &boto)])
        .layer([file("root/.boto", &boto)])
        .layer([whiteout("root/.boto")])
        .env(&format!("GITHUB_TOKEN={token}"))])
}

fn report(run: &Run) -> Report {
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr))
}

fn scan(target: &str) -> Layersift {
    layersift(["scan", target, "--format", "json"])
}

/// An engine that has `archive` as its one image, under [`NAME`].
fn having(
    archive: Vec<u8>,
    export: impl Fn(Vec<u8>) -> Answer + Send + Sync + 'static,
) -> impl Fn(&str) -> Answer {
    let id = Digest::of(b"an image");
    let export_path = format!("/images/get?names={id}");
    move |path| {
        if path == format!("/images/{NAME}/json") {
            let digest = Digest::of(b"a manifest");
            let digests = [format!("registry.example.com/acme/app@{digest}")];
            let description = json!({ "Id": id, "RepoTags": [NAME], "RepoDigests": digests });
            Answer::Body(200, description.to_string().into_bytes())
        } else if path == export_path {
            export(archive.clone())
        } else {
            Answer::Body(404, br#"{"message":"No such image"}"#.to_vec())
        }
    }
}

#[test]
fn podman_gives_the_findings_of_the_archive() {
    let app = app(NAME);
    let podman = podman();
    podman.load(&app);
    let archive = scan("image.tar").file("image.tar", app.docker_archive());
    let expected = report(&archive.run().expect_code(1));
    assert_eq!(expected.findings.len(), 2, "{:#?}", expected.findings);

    let by_name = |target: &str, host: &str| scan(target).env(host, podman.host()).run().expect_code(1);
    let id = podman.inspect(NAME, "{{.Id}}");
    for (run, source) in [
        (by_name(NAME, "DOCKER_HOST"), "docker-daemon"),
        (
            by_name(&format!("docker-daemon:{NAME}"), "DOCKER_HOST"),
            "docker-daemon",
        ),
        (by_name(&format!("podman:{NAME}"), "CONTAINER_HOST"), "podman"),
        (by_name(&format!("podman:{id}"), "CONTAINER_HOST"), "podman"),
        (
            by_name(&format!("podman:sha256:{id}"), "CONTAINER_HOST"),
            "podman",
        ),
        (
            by_name(&format!("podman:{}", &id[..12]), "CONTAINER_HOST"),
            "podman",
        ),
    ] {
        let report = report(&run);
        assert_eq!(report.findings, expected.findings);
        assert!(report.coverage.complete, "{:#?}", report.coverage);
        assert_eq!(run.stderr, "");
        let target = &report.targets[0];
        assert_eq!(target.source, source);
        assert_eq!(target.repository, "registry.example.com/acme/app");
        let digest = podman.inspect(NAME, "{{.Digest}}");
        assert_eq!(target.digest.as_ref().map(Digest::as_str), Some(digest.as_str()));
        let image = &report.images[0];
        assert_eq!(image.names, [NAME]);
        assert_eq!(
            image.image_id.as_ref().map(ToString::to_string),
            Some(format!("sha256:{id}"))
        );
    }
}

#[test]
fn cat_prints_a_file_of_an_image_in_podman() {
    let podman = podman();
    podman.load(&images([image()
        .named(NAME)
        .layer([file("etc/one", "first")])
        .layer([file("etc/two", "second")])]));
    let cat = |layer: &str, path: &str| {
        layersift(["cat", NAME, "--layer", layer, path])
            .env("DOCKER_HOST", podman.host())
            .run()
    };
    assert_eq!(cat("1", "etc/one").expect_code(0).text(), "first");
    assert_eq!(cat("2", "etc/two").expect_code(0).text(), "second");
    let run = cat("2", "etc/one");
    assert!(
        run.stderr.contains("layer 2 has no file `etc/one`"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_image_is_found_under_the_name_podman_builds_it_by() {
    let podman = podman();
    podman.load(&app("localhost/app:1"));
    let run = scan("app:1")
        .env("DOCKER_HOST", podman.host())
        .run()
        .expect_code(1);
    assert_eq!(report(&run).targets[0].repository, "localhost/app");
}

#[test]
fn an_image_that_podman_does_not_have_comes_from_the_registry_without_a_word() {
    let podman = podman();
    let registry = registry().start();
    registry.push(&app(NAME), "acme/app", "1.4");
    let reference = registry.reference("acme/app", "1.4");
    let run = scan(&reference)
        .env("DOCKER_HOST", podman.host())
        .run()
        .expect_code(1);
    assert_eq!(run.stderr, "");
    assert_eq!(report(&run).targets[0].source, "registry");

    let run = scan(&reference)
        .arg("--from=engine")
        .env("DOCKER_HOST", podman.host())
        .run()
        .expect_code(3);
    let expected = format!(
        "image `{reference}` in the engine at `{}` was not found",
        podman.host()
    );
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
}

#[test]
fn from_decides_who_is_asked_and_a_prefix_does_so_too() {
    let registry = registry().start();
    registry.push(&app(NAME), "acme/app", "1.4");
    let reference = registry.reference("acme/app", "1.4");
    for target in [format!("docker://{reference}"), reference.clone()] {
        let engine = engine(|_| Answer::Silence);
        let run = scan(&target)
            .arg("--from=registry")
            .env("DOCKER_HOST", engine.host())
            .run()
            .expect_code(1);
        assert_eq!(engine.requests(), [""; 0]);
        assert_eq!(report(&run).targets[0].source, "registry");
    }
    let engine = engine(|_| Answer::Silence);
    scan(&reference)
        .arg("--config=layersift.toml")
        .file("layersift.toml", "[scan]\nfrom = \"registry\"\n")
        .env("DOCKER_HOST", engine.host())
        .run()
        .expect_code(1);
    assert_eq!(engine.requests(), [""; 0]);
    let run = scan(&reference).arg("--from=elsewhere").run().expect_code(2);
    assert!(
        run.stderr.contains("expected `engine` or `registry`"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_engine_that_fails_is_told_of_and_the_registry_is_asked() {
    let registry = registry().start();
    registry.push(&app(NAME), "acme/app", "1.4");
    let reference = registry.reference("acme/app", "1.4");
    let failing = engine(|_| Answer::Body(500, br#"{"message":"the \u001b[31mdisk is full"}"#.to_vec()));
    let hanging = engine(|_| Answer::Silence);
    let closing = engine(|_| Answer::Cut(Vec::new(), 0));
    let page = engine(|_| Answer::Body(200, b"<html>".to_vec()));
    for (engine, why) in [
        (&failing, "answered 500 to a request for image"),
        (&failing, "the \\u{1b}[31mdisk is full"),
        (&hanging, "it sent nothing for 2 s"),
        (&closing, "cannot reach the engine"),
        (&page, "cannot be understood"),
    ] {
        let run = scan(&reference)
            .env("DOCKER_HOST", engine.host())
            .run()
            .expect_code(1);
        let warning = run
            .stderr
            .lines()
            .find(|line| line.starts_with("warning: "))
            .expect(&run.stderr);
        assert!(warning.contains(why), "{}", run.stderr);
        assert!(warning.contains(&engine.host()), "{}", run.stderr);
        assert!(warning.ends_with("is read from: registry"), "{}", run.stderr);
        assert_eq!(report(&run).targets[0].source, "registry");
    }
}

#[test]
fn nobody_at_the_socket_is_told_of_and_no_socket_is_not() {
    let registry = registry().start();
    registry.push(&app(NAME), "acme/app", "1.4");
    let reference = registry.reference("acme/app", "1.4");
    assert_eq!(scan(&reference).run().expect_code(1).stderr, "");

    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("left.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let host = format!("unix://{}", socket.display());
    let run = scan(&reference).env("DOCKER_HOST", &host).run().expect_code(1);
    let expected = format!("warning: cannot reach the engine at `{host}`: nobody listens there");
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
}

#[test]
fn what_only_an_engine_can_give_is_an_error_without_one() {
    for target in ["docker-daemon:app:1", "podman:app:1"] {
        let run = scan(target)
            .env("CONTAINER_HOST", "unix:///nowhere/podman.sock")
            .run()
            .expect_code(3);
        assert!(
            run.stderr
                .contains("cannot reach an engine: there is none at `unix:///"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("hint: is it running?"), "{}", run.stderr);
    }
    let run = scan("docker-daemon:app:1")
        .env("DOCKER_HOST", "tcp://someone:word@192.0.2.1:2375")
        .run()
        .expect_code(3);
    assert!(
        run.stderr
            .contains("the engine at `tcp://192.0.2.1:2375`: only engines of this machine"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("hint: pipe the image: `docker save NAME | layersift scan -`"),
        "{}",
        run.stderr
    );
    let run = scan("docker-daemon:../containers/json").run().expect_code(3);
    assert!(
        run.stderr
            .contains("neither an image reference nor the id of an image"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_current_context_of_docker_is_the_engine_that_is_asked() {
    let engine = engine(having(app(NAME).docker_archive(), |archive| {
        Answer::Body(200, archive)
    }));
    let context = Digest::of(b"mine");
    let meta = json!({ "Name": "mine", "Endpoints": { "docker": { "Host": engine.host() } } });
    let run = scan(NAME)
        .env("DOCKER_HOST", "")
        .file("home/.docker/config.json", r#"{ "currentContext": "mine" }"#)
        .file(
            &format!("home/.docker/contexts/meta/{}/meta.json", context.encoded()),
            meta.to_string(),
        )
        .run()
        .expect_code(1);
    let target = &report(&run).targets[0];
    assert_eq!(target.source, "docker-daemon");
    assert_eq!(
        target.digest,
        Some(Digest::of(b"a manifest")),
        "as the engine says"
    );
}

#[test]
fn a_socket_that_may_not_be_opened_is_permission_denied() {
    let engine = engine(|_| Answer::Silence);
    let folder = engine.socket().parent().unwrap().to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(engine.socket(), fs::Permissions::from_mode(0o000)).unwrap();
    // Nothing is denied to root, who therefore asks as somebody else, with a program that everybody may run.
    let binary = folder.join("layersift");
    fs::copy(env!("CARGO_BIN_EXE_layersift"), &binary).unwrap();
    let mut command = match rustix::process::getuid().is_root() {
        true => {
            let mut command = program("setpriv", "util-linux");
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(&binary);
            command
        }
        false => program(binary.to_str().unwrap(), "layersift"),
    };
    let output = command
        .args(["scan", "--from=engine", "app:1"])
        .env_clear()
        .env("HOME", "/")
        .env("DOCKER_HOST", engine.host())
        .current_dir("/")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    let denied = format!(
        "cannot reach the engine at `{}`: permission denied",
        engine.host()
    );
    assert!(stderr.contains(&denied), "{stderr}");
    let hint = "hint: become a member of the group that owns the socket, or pipe: `docker save";
    assert!(stderr.contains(hint), "{stderr}");
    assert_eq!(engine.requests(), [""; 0]);
}

#[test]
fn a_failed_export_is_an_error_and_not_another_image_from_the_registry() {
    let engine = engine(having(Vec::new(), |_| {
        Answer::Body(500, br#"{"message":"open layer.tar: no such file"}"#.to_vec())
    }));
    let run = scan(NAME).env("DOCKER_HOST", engine.host()).run().expect_code(3);
    assert!(run.stderr.contains("answered 500"), "{}", run.stderr);
    assert!(
        run.stderr.contains("open layer.tar: no such file"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_export_that_breaks_off_is_incomplete_and_keeps_what_was_found() {
    // As no engine does it: documents first. Without them nothing of the image can be told.
    let mut members = app(NAME).containerd_members();
    members.reverse();
    let archive = tar::archive(&members);
    let end = archive.len() - 2048;
    let engine = engine(having(archive, move |archive| Answer::Cut(archive, end)));
    let run = scan(NAME).env("DOCKER_HOST", engine.host()).run().expect_code(5);
    let report = report(&run);
    assert!(!report.findings.is_empty());
    assert!(!report.coverage.complete);
}

#[test]
fn an_export_without_its_end_is_scanned_as_far_as_it_goes_and_told() {
    let archive = app(NAME).containerd_archive();
    let half = archive.len() / 2;
    let cut = engine(having(archive.clone(), move |archive| Answer::Cut(archive, half)));
    let run = scan(NAME).env("DOCKER_HOST", cut.host()).run().expect_code(5);
    assert!(
        run.text()
            .contains("could not be read to its end: cannot reach the engine at"),
        "{}",
        run.text()
    );

    // Docker ends an export that fails with its error, and the answer well.
    let told = engine(having(archive, move |archive| {
        let error = br#"{"errorDetail":{"message":"disk failed"}}"#;
        Answer::Body(200, [&archive[..half], error].concat())
    }));
    let run = scan(NAME).env("DOCKER_HOST", told.host()).run().expect_code(5);
    assert!(run.text().contains("\"incomplete\": true"), "{}", run.text());
}

fn options(host: String) -> OpenOptions {
    OpenOptions {
        engine: EngineOptions {
            host: Some(host),
            ..EngineOptions::default()
        },
        limits: Limits {
            idle_timeout: Duration::from_millis(300),
            engine_answer_timeout: Duration::from_millis(300),
            engine_export_timeout: Duration::from_millis(600),
            ..Limits::default()
        },
        from: Some(Provider::Engine),
        ..OpenOptions::default()
    }
}

/// Reads an image to its end.
fn drain(opened: Opened) -> Result<Resolved, SourceError> {
    let Access::Stream(mut stream) = opened.access else {
        panic!("an engine's export is a stream");
    };
    while let Some(mut blob) = stream.next_blob()? {
        let _ = blob.reader.read_to_end(&mut Vec::new());
    }
    stream.resolve(&PlatformSelector::All, &Limits::default())
}

#[test]
fn an_engine_that_hangs_is_given_up() {
    let archive = app(NAME).docker_archive();
    let half = archive.len() / 2;
    let silent = engine(|_| Answer::Silence);
    let no_export = engine(having(archive.clone(), |_| Answer::Silence));
    let stalled = engine(having(archive, move |archive| Answer::Stall(archive, half)));
    for (engine, wait) in [(silent, "0.3 s"), (no_export, "0.6 s"), (stalled, "0.3 s")] {
        let begun = Instant::now();
        let result = source::open(NAME, &options(engine.host())).and_then(drain);
        // What came before is kept, with a problem that makes the scan incomplete.
        let told = match result {
            Ok(resolved) => resolved
                .problems
                .iter()
                .map(|problem| problem.why.as_str())
                .collect(),
            Err(error) => error.with_causes(),
        };
        assert!(told.contains(&format!("it sent nothing for {wait}")), "{told}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_scan_that_is_ended_waits_for_no_export() {
    let engine = engine(having(Vec::new(), |_| Answer::Silence));
    let mut options = options(engine.host());
    options.limits.engine_export_timeout = Duration::from_secs(60);
    let opened = source::open(NAME, &options).unwrap();
    options.cancelled.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    let error = drain(opened).unwrap_err().to_string();
    assert!(error.contains("the scan was ended"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn nothing_is_exported_before_it_is_read() {
    let engine = engine(having(app(NAME).docker_archive(), |archive| {
        Answer::Body(200, archive)
    }));
    let opened = source::open(NAME, &options(engine.host())).unwrap();
    assert_eq!(engine.requests(), [format!("GET /images/{NAME}/json")]);
    let resolved = drain(opened).unwrap();
    assert_eq!(engine.requests().len(), 2);
    assert_eq!(resolved.images.len(), 1);
    assert_eq!(resolved.digest, Some(Digest::of(b"a manifest")));
}

#[test]
fn a_description_without_end_is_refused() {
    let engine = engine(|_| Answer::Body(200, vec![b' '; 9 << 20]));
    let error = source::open(NAME, &options(engine.host())).unwrap_err();
    assert!(matches!(error, SourceError::Limit { .. }), "{error}");
}

#[test]
fn an_id_that_is_no_digest_is_not_asked_for() {
    let engine = engine(|_| Answer::Body(200, br#"{"Id":"x&names=y"}"#.to_vec()));
    let opened = source::open(NAME, &options(engine.host())).unwrap();
    let error = drain(opened).unwrap_err();
    assert!(matches!(error, SourceError::Malformed { .. }), "{error}");
    assert_eq!(engine.requests().len(), 1);
}
