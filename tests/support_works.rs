//! Tests of the test images and the test registry: if other tools did not read them, they would prove nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use layersift::oci::Digest;
use serde_json::{Value, json};

use crate::support::command::layersift;
use crate::support::image::{Image, Packing, image, images, index};
use crate::support::registry::registry;
use crate::support::scripted::{Reply, Server};
use crate::support::secrets::secrets;
use crate::support::tar::{archive, directory, file, hard_link, opaque, symlink, verbatim, whiteout};
use crate::support::{output_of, program};

fn app() -> Image {
    image()
        .named("app:1.4")
        .layer([
            directory("root"),
            file("root/.boto", "first").mode(0o600).owner(1000, 1000),
        ])
        .layer([whiteout("root/.boto"), file("a".repeat(150), "long name")])
        .packed(Packing::GzipMembers)
        .env("MODE=production")
        .label("team", "platform")
        .history("CMD [\"app\"]")
}

/// What `skopeo` says about an image, `--config` or `--raw`.
fn inspect(what: &str, name: &str) -> Vec<u8> {
    output_of(program("skopeo", "skopeo").args([
        "--insecure-policy",
        "inspect",
        "--tls-verify=false",
        what,
        name,
    ]))
}

fn config(name: &str) -> Value {
    serde_json::from_slice(&inspect("--config", name)).unwrap()
}

#[test]
fn every_archive_is_read_by_skopeo() {
    let folder = tempfile::tempdir().unwrap();
    let expected: Value = serde_json::from_slice(&app().config_bytes()).unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let archives = [
        ("docker-archive", "docker.tar", app().docker_archive()),
        ("docker-archive", "podman.tar", app().podman_archive()),
        ("docker-archive", "containerd.tar", app().containerd_archive()),
        ("oci-archive", "oci.tar", app().oci_archive()),
    ];
    for (transport, name, bytes) in archives {
        fs::write(path(name), bytes).unwrap();
        let actual = config(&format!("{transport}:{}", path(name)));
        assert_eq!(actual["config"], expected["config"], "{name}");
        assert_eq!(actual["rootfs"], expected["rootfs"], "{name}");
        let copy = format!("dir:{}-copy", path(name));
        let from = format!("{transport}:{}", path(name));
        output_of(program("skopeo", "skopeo").args(["--insecure-policy", "copy", "-q", &from, &copy]));
    }
}

#[test]
fn a_docker_archive_holds_several_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.tar");
    let both = images([app(), app().named("other:2").layer([file("b", "")])]);
    for bytes in [both.docker_archive(), both.podman_archive()] {
        fs::write(&path, bytes).unwrap();
        for (name, layers) in [("app:1.4", 2), ("other:2", 3)] {
            let config = config(&format!("docker-archive:{}:{name}", path.display()));
            assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), layers);
        }
    }
}

#[test]
fn every_packing_is_unpacked_by_umoci_or_zstd() {
    let packings = [
        Packing::Gzip,
        Packing::GzipMembers,
        Packing::Plain,
        Packing::Zstd,
        Packing::ZstdChunked,
    ];
    for packing in packings {
        let app = image().layer([file("etc/app", "content")]).packed(packing);
        let folder = tempfile::tempdir().unwrap();
        if matches!(packing, Packing::Zstd | Packing::ZstdChunked) {
            // umoci 0.4 knows no zstd.
            let (_, blob) = app.layer_blobs().next().unwrap();
            let path = folder.path().join("layer.zst");
            fs::write(&path, blob).unwrap();
            let tar = output_of(program("zstd", "zstd").arg("-dc").arg(&path));
            assert_eq!(Some(tar.as_slice()), app.layer_tars().next(), "{packing:?}");
            continue;
        }
        let layout = folder.path().join("layout");
        app.write_oci_layout(&layout);
        let rootfs = unpack(&layout, "latest", folder.path());
        assert_eq!(
            fs::read(rootfs.join("etc/app")).unwrap(),
            b"content",
            "{packing:?}"
        );
    }
}

/// Unpacks an image with umoci and gives the root of its files.
fn unpack(layout: &Path, tag: &str, folder: &Path) -> std::path::PathBuf {
    let bundle = folder.join("bundle");
    let name = format!("{}:{tag}", layout.display());
    output_of(
        program("umoci", "umoci")
            .args(["unpack", "--rootless", "--image", &name])
            .arg(&bundle),
    );
    bundle.join("rootfs")
}

#[test]
fn whiteouts_and_links_mean_to_umoci_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let app = image()
        .layer([
            file("kept", "kept"),
            file("gone", "gone"),
            file("d/old", "old"),
            symlink("s", "kept"),
        ])
        .layer([
            whiteout("gone"),
            opaque("d"),
            file("d/new", "new"),
            hard_link("h", "d/new"),
        ]);
    app.write_oci_layout(&layout);
    let rootfs = unpack(&layout, "latest", folder.path());
    assert!(!rootfs.join("gone").exists() && !rootfs.join("d/old").exists());
    assert_eq!(fs::read(rootfs.join("s")).unwrap(), b"kept");
    assert_eq!(fs::read(rootfs.join("h")).unwrap(), b"new");
}

#[test]
fn a_member_is_what_a_test_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.tar");
    let lying = file("lying", "content")
        .patch(0, *b"L")
        .patch(148, *b"0000000\0")
        .keep_checksum();
    assert_eq!(&lying.bytes()[..5], b"Lying");
    assert_eq!(&lying.bytes()[148..156], b"0000000\0");
    let members = [
        file("x/".repeat(150) + "end", "content").record("comment", "a\nb"),
        verbatim(vec![0; 0]),
        file(b"bytes \xff", ""),
    ];
    fs::write(&path, archive(&members)).unwrap();
    let list = output_of(std::process::Command::new("tar").arg("-tf").arg(&path));
    let list = String::from_utf8_lossy(&list).into_owned();
    assert!(
        list.contains("x/x/end\n") && list.contains("bytes \\377\n"),
        "{list}"
    );
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    assert!(app().docker_archive() == app().docker_archive());
    assert!(app().oci_archive() == app().oci_archive());
    assert_eq!(secrets(7).gcs_hmac_pair(), secrets(7).gcs_hmac_pair());
    assert_ne!(secrets(7).gcs_hmac_pair(), secrets(8).gcs_hmac_pair());
    assert_eq!(secrets(1).github_token().len(), 40);
    assert_eq!(secrets(1).gcs_hmac_pair().0.len(), 61);
    assert_eq!(secrets(1).aws_pair().1.len(), 40);
}

#[test]
fn an_open_registry_gives_back_what_was_pushed() {
    let registry = registry().start();
    registry.push(&images([app()]), "team/app", "1.4");
    let name = format!("docker://{}", registry.reference("team/app", "1.4"));
    let manifest: Value = serde_json::from_slice(&inspect("--raw", &name)).unwrap();
    let blobs: Vec<_> = app()
        .layer_blobs()
        .map(|(_, blob)| Digest::of(&blob).to_string())
        .collect();
    let layers = manifest["layers"].as_array().unwrap();
    assert!(
        layers
            .iter()
            .map(|layer| layer["digest"].as_str().unwrap())
            .eq(blobs)
    );
    assert!(registry.blob_file(&Digest::of(&app().config_bytes())).is_file());
}

#[test]
fn an_index_with_attestations_survives_the_push() {
    let both = index(
        "app:2",
        [
            app(),
            app()
                .platform("linux/arm64")
                .attestation("https://slsa.dev/provenance/v0.2", json!({ "buildType": "test" })),
        ],
    );
    let registry = registry().start();
    registry.push(&both, "app", "2");
    let name = format!("docker://{}", registry.reference("app", "2"));
    let index: Value = serde_json::from_slice(&inspect("--raw", &name)).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 3);
    assert_eq!(
        manifests[2]["annotations"]["vnd.docker.reference.digest"],
        manifests[1]["digest"]
    );
}

#[test]
fn a_registry_with_login_and_tls_is_reached_with_both_only() {
    let registry = registry().login("robot", "of no use").tls().start();
    registry.push(&images([app()]), "app", "1");
    let authority = registry.authority();
    let name = format!("docker://{}", registry.reference("app", "1"));
    for (credentials, is_let_in) in [("robot:of no use", true), ("robot:wrong", false)] {
        let status = program("skopeo", "skopeo")
            .args([
                "--insecure-policy",
                "inspect",
                "--creds",
                credentials,
                "--cert-dir",
            ])
            .arg(authority.parent().unwrap())
            .arg(&name)
            .output()
            .unwrap()
            .status;
        assert_eq!(status.success(), is_let_in, "{credentials}");
    }
}

#[test]
fn the_command_runs_in_a_folder_of_its_own() {
    let run = layersift(["--version"])
        .file("in/side", "")
        .env("NAME", "value")
        .run();
    assert!(run.folder.path().join("in/side").is_file());
    run.expect_code(0);
}

/// What a server answers to a request to start an upload.
fn write_to(host: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    let request =
        "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[test]
#[should_panic(expected = "could write")]
fn a_scripted_server_refuses_what_could_write_and_fails_the_test() {
    let server = Server::start(|_| Reply::raw("HTTP/1.1 202 Accepted\r\n\r\n"));
    let answer = write_to(server.host());
    if !answer.contains(" 405 ") {
        std::mem::forget(server);
        panic!("it answered {answer}");
    }
}

#[test]
#[should_panic(expected = "could write")]
fn a_real_registry_fails_the_test_that_writes_to_it() {
    let registry = registry().start();
    let answer = write_to(&registry.host());
    assert!(answer.contains(" 202 "), "{answer}");
}
