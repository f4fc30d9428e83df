//! The case the tool exists for: a key that one layer brings and a later one takes away, in every disguise.

use layersift::report::wire;
use serde_json::json;

use crate::support::command::{Run, layersift};
use crate::support::image::{Image, Packing, image};
use crate::support::secrets::secrets;
use crate::support::tar::{directory, file, opaque, whiteout};

/// The image every case begins with.
fn base() -> Image {
    image()
        .named("codecov/upload:1.2")
        .layer([directory("root"), file("etc/os-release", "ID=debian\n")])
        .created_by("COPY rootfs / # buildkit")
        .packed(Packing::Gzip)
}

/// A `.boto` file with a generated key, and the key's two halves.
fn boto() -> (String, String, String) {
    let (id, secret) = secrets(2021).gcs_hmac_pair();
    let text = format!("[Credentials]\ngs_access_key_id = {id}\ngs_secret_access_key = {secret}\n");
    (text, id, secret)
}

fn scan(image: &Image, code: i32) -> wire::Report {
    let run = layersift(["scan", "image.tar", "--format", "json"])
        .file("image.tar", image.docker_archive())
        .run()
        .expect_code(code);
    report(&run)
}

fn report(run: &Run) -> wire::Report {
    serde_json::from_slice(&run.stdout).expect("the report is of its own schema")
}

/// The one finding of a report, which must be the key.
#[track_caller]
fn the_key(report: &wire::Report) -> &wire::Finding {
    let [finding] = report.findings.as_slice() else {
        panic!("expected one finding, there are {:#?}", report.findings);
    };
    assert_eq!(finding.rule.0, "gcs-hmac-key");
    finding
}

#[test]
fn a_deleted_key_is_one_finding_that_names_both_layers() {
    let (text, id, secret) = boto();
    let image = base()
        .layer([file("root/.boto", &text).mode(0o600)])
        .created_by("COPY .boto /root/.boto # buildkit")
        .packed(Packing::Gzip)
        .layer([whiteout("root/.boto")])
        .created_by("RUN /bin/sh -c rm /root/.boto # buildkit")
        .packed(Packing::Gzip);
    let report = scan(&image, 1);
    let finding = the_key(&report);
    assert_eq!(finding.severity.to_string(), "critical");
    assert_eq!(finding.confidence.to_string(), "high");
    assert_eq!(finding.identifier.as_deref(), Some(id.as_str()));
    let [occurrence] = finding.occurrences.as_slice() else {
        panic!("{:#?}", finding.occurrences)
    };
    let json = serde_json::to_value(occurrence).unwrap();
    assert_eq!(json["origin"]["layer"], 2, "{json:#}");
    assert_eq!(json["origin"]["path"]["text"], "root/.boto", "{json:#}");
    assert_eq!(json["status"]["name"], "deleted", "{json:#}");
    assert_eq!(json["status"]["by"], 3, "{json:#}");
    assert_eq!(
        (
            json["location"]["line"].as_u64(),
            json["location"]["length"].as_u64()
        ),
        (Some(3), Some(40))
    );
    assert_eq!(
        report.images[0].layers[1].created_by.as_deref(),
        Some("COPY .boto /root/.boto # buildkit")
    );
    assert_eq!(report.images[0].layers[1].findings, [finding.fingerprint.clone()]);
    assert_eq!(report.images[0].layers[2].hides, [finding.fingerprint.clone()]);
    assert!(report.coverage.complete);
    assert_eq!(
        report.coverage.seen_bytes,
        report.coverage.scanned_bytes + report.coverage.skipped_bytes
    );
    let whole = serde_json::to_string(&report).unwrap();
    assert!(!whole.contains(&secret), "the secret is in the report");
}

#[test]
fn every_way_to_hide_a_file_is_seen_through() {
    let (text, ..) = boto();
    let with_key = || base().layer([directory("root"), file("root/.boto", &text)]);
    for (name, image, status, by) in [
        (
            "deleted",
            with_key().layer([whiteout("root/.boto")]),
            "deleted",
            Some(3),
        ),
        (
            "parent deleted",
            with_key().layer([whiteout("root")]),
            "deleted",
            Some(3),
        ),
        (
            "overwritten",
            with_key().layer([file("root/.boto", "[Credentials]\n")]),
            "overwritten",
            Some(3),
        ),
        (
            "opaque",
            with_key().layer([directory("root"), opaque("root")]),
            "deleted",
            Some(3),
        ),
        (
            "parent replaced",
            with_key().layer([file("root", "no directory\n")]),
            "deleted",
            Some(3),
        ),
        (
            "later",
            with_key().layer([file("x", "")]).layer([whiteout("root/.boto")]),
            "deleted",
            Some(4),
        ),
        (
            "still there",
            with_key().layer([file("root/.profile", "")]),
            "present",
            None,
        ),
    ] {
        let report = scan(&image, 1);
        let json = serde_json::to_value(&the_key(&report).occurrences).unwrap();
        assert_eq!(json[0]["status"]["name"], status, "{name}: {json:#}");
        assert_eq!(json[0]["status"]["by"].as_u64(), by, "{name}: {json:#}");
        assert_eq!(json[0]["origin"]["layer"], 2, "{name}");
    }
}

#[test]
fn a_moved_file_is_one_finding_with_both_places() {
    let (text, ..) = boto();
    let image = base()
        .layer([file("root/.boto", &text)])
        .layer([whiteout("root/.boto"), file("opt/boto.cfg", &text)]);
    let report = scan(&image, 1);
    let json = serde_json::to_value(&the_key(&report).occurrences).unwrap();
    let places: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|at| {
            (
                at["origin"]["path"]["text"].as_str().unwrap(),
                at["status"]["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(places, [("root/.boto", "deleted"), ("opt/boto.cfg", "present")]);
}

#[test]
fn a_key_in_metadata_alone_is_found() {
    let (_, id, secret) = boto();
    let both = format!("GS_ACCESS_KEY_ID={id} GS_SECRET_ACCESS_KEY={secret}");
    let provenance = json!({"buildDefinition": {"externalParameters": {"request": {"args": {
        "build-arg:GS_ACCESS_KEY_ID": id, "build-arg:GS_SECRET_ACCESS_KEY": secret }}}}});
    for (name, image) in [
        (
            "env",
            base()
                .env(&format!("GS_ACCESS_KEY_ID={id}"))
                .env(&format!("GS_SECRET_ACCESS_KEY={secret}")),
        ),
        (
            "history",
            base().history(&format!("RUN |2 {both} /bin/sh -c ./fetch # buildkit")),
        ),
        ("annotation", base().annotation("org.example.build", &both)),
        ("label", base().label("build", &both)),
        (
            "cmd",
            base().config("Cmd", json!(["/bin/sh", "-c", format!("{both} ./fetch")])),
        ),
        (
            "provenance",
            base().attestation("https://slsa.dev/provenance/v1", provenance),
        ),
    ] {
        let run = layersift(["scan", "image.tar", "--format", "json"])
            .file("image.tar", image.oci_archive())
            .run()
            .expect_code(1);
        let report = report(&run);
        let finding = the_key(&report);
        assert!(finding.identifier.is_some(), "{name}: {finding:#?}");
    }
}

#[test]
fn halves_in_the_environment_and_in_a_file_are_one_finding() {
    let (_, id, secret) = boto();
    let image = base()
        .layer([file(
            "root/.boto",
            format!("[Credentials]\ngs_secret_access_key = {secret}\n"),
        )])
        .layer([whiteout("root/.boto")])
        .env(&format!("GS_ACCESS_KEY_ID={id}"));
    let report = scan(&image, 1);
    let finding = the_key(&report);
    assert_eq!(finding.identifier.as_deref(), Some(id.as_str()));
    let companion = serde_json::to_value(&finding.occurrences[0].companions).unwrap();
    assert_eq!(companion[0]["origin"]["field"], "config.Env", "{companion:#}");
}

#[test]
fn squashed_and_multi_stage_images_are_clean() {
    let squashed = base().layer([directory("root"), file("usr/bin/upload", "#!/bin/sh\n")]);
    let multi_stage = base()
        .layer([file("usr/bin/upload", "#!/bin/sh\n")])
        .created_by("COPY --from=build /out/upload /usr/bin/upload # buildkit");
    for image in [squashed, multi_stage] {
        let report = scan(&image, 0);
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        assert!(report.coverage.complete);
    }
}

/// The image of the README. Made once, kept in `testdata`, so that a newcomer has something to scan.
fn readme_image() -> Image {
    let (text, ..) = boto();
    base()
        .layer([file(
            "usr/local/bin/upload",
            "#!/bin/sh\nexec gsutil cp \"$1\" gs://uploads/\n",
        )
        .mode(0o755)])
        .created_by("COPY upload /usr/local/bin/upload # buildkit")
        .packed(Packing::Gzip)
        .layer([
            directory("root").mode(0o700),
            file("root/.boto", &text).mode(0o600).mtime(1_612_049_051),
        ])
        .created_by("COPY ci/boto.cfg /root/.boto # buildkit")
        .packed(Packing::Gzip)
        .layer([whiteout("root/.boto")])
        .created_by("RUN /bin/sh -c rm -f /root/.boto # buildkit")
        .packed(Packing::Gzip)
}

#[test]
#[ignore = "writes testdata/codecov.tar, which is kept"]
fn write_the_image_of_the_readme() {
    std::fs::write("testdata/codecov.tar", readme_image().containerd_archive()).unwrap();
}
