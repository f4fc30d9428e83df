//! The contract of sources: the same image in, the same report out, whatever it is read from.

use layersift::report::wire;

use crate::support::command::{Layersift, layersift};
use crate::support::image::{Images, Packing, image, images};
use crate::support::registry::registry;
use crate::support::secrets::secrets;
use crate::support::tar::{directory, file, hard_link, symlink, whiteout};

fn app(packing: Packing) -> Images {
    let mut secrets = secrets(7);
    let (id, secret) = secrets.gcs_hmac_pair();
    let token = secrets.github_token();
    let key = secrets.private_key();
    images([image()
        .named("registry.example.com/acme/app:1.4")
        .layer([
            directory("usr/lib"),
            symlink("lib", "usr/lib"),
            file("usr/lib/token", format!("token={token}\n")),
        ])
        .created_by("COPY rootfs / # buildkit")
        .packed(packing)
        .layer([
            file(
                "root/.boto",
                format!("gs_access_key_id = {id}\ngs_secret_access_key = {secret}\n"),
            ),
            file("etc/ssl/server.key", &key).mode(0o600),
            hard_link("srv/server.key", "etc/ssl/server.key"),
        ])
        .created_by("COPY secrets / # buildkit")
        .packed(packing)
        .layer([
            whiteout("root/.boto"),
            whiteout("etc/ssl/server.key"),
            file("lib/token", ""),
        ])
        .created_by("RUN /bin/sh -c cleanup # buildkit")
        .packed(packing)
        .env(&format!("GITHUB_TOKEN={token}"))])
}

fn findings(run: Layersift) -> serde_json::Value {
    let run = run
        .arg("--format")
        .arg("json")
        .arg("--repository")
        .arg("acme/app")
        .run()
        .expect_code(1);
    let report: wire::Report = serde_json::from_slice(&run.stdout).expect("the report is of its own schema");
    assert!(report.coverage.complete, "{:#?}", report.coverage);
    assert!(report.findings.len() >= 3, "{:#?}", report.findings);
    serde_json::to_value(report.findings).unwrap()
}

#[test]
fn every_source_gives_the_same_findings() {
    for packing in [Packing::Gzip, Packing::Zstd, Packing::Plain] {
        let app = app(packing);
        let archive = |bytes: Vec<u8>| findings(layersift(["scan", "image.tar"]).file("image.tar", bytes));
        let expected = archive(app.oci_archive());
        assert_eq!(
            archive(app.containerd_archive()),
            expected,
            "containerd store, {packing:?}"
        );
        assert_eq!(
            archive(app.docker_archive()),
            expected,
            "docker save, {packing:?}"
        );
        assert_eq!(
            archive(app.podman_archive()),
            expected,
            "podman save, {packing:?}"
        );
        for (form, bytes) in [
            ("docker save", app.docker_archive()),
            ("containerd store", app.containerd_archive()),
            ("podman save", app.podman_archive()),
            ("OCI archive", app.oci_archive()),
        ] {
            assert_eq!(
                findings(layersift(["scan", "-"]).stdin(bytes)),
                expected,
                "{form} on stdin, {packing:?}"
            );
        }
        let layout = layersift(["scan", "layout"]);
        app.write_oci_layout(&layout.path("layout"));
        assert_eq!(findings(layout), expected, "OCI layout, {packing:?}");
        let tagged = layersift(["scan", &format!("oci:layout:{}", app.first_tag())]);
        app.write_oci_layout(&tagged.path("layout"));
        assert_eq!(findings(tagged), expected, "OCI layout by tag, {packing:?}");
        let registry = registry().start();
        registry.push(&app, "acme/app", "1.4");
        let pulled = layersift(["scan", &registry.reference("acme/app", "1.4")]);
        assert_eq!(findings(pulled), expected, "registry, {packing:?}");
    }
}

#[test]
fn compressions_and_members_agree() {
    let of =
        |packing| findings(layersift(["scan", "image.tar"]).file("image.tar", app(packing).oci_archive()));
    let expected = of(Packing::Plain);
    for packing in [
        Packing::Gzip,
        Packing::GzipMembers,
        Packing::Zstd,
        Packing::ZstdChunked,
    ] {
        assert_eq!(of(packing), expected, "{packing:?}");
    }
}

#[test]
fn the_number_of_threads_changes_no_byte_of_the_report() {
    let archive = app(Packing::Gzip).oci_archive();
    for format in ["json", "jsonl", "sarif", "human"] {
        let report = |jobs: &str| {
            let run = layersift(["scan", "image.tar", "--format", format, "--jobs", jobs]);
            run.file("image.tar", &archive).run().expect_code(1).stdout
        };
        assert_eq!(report("1"), report("8"), "{format}");
    }
}
