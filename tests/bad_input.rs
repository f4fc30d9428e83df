//! What is wrong, damaged or not there: each case has its exit code, a message that says what was tried, and a report
//! with whatever was found before.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use layersift::oci::Digest;
use serde_json::{Value, json};

use crate::support::command::{Layersift, Run, layersift};
use crate::support::image::{Image, Images, Packing, image, images, index};
use crate::support::registry::registry;
use crate::support::secrets::secrets;
use crate::support::tar::{self, directory, file};

/// What the images here leak.
fn token() -> String {
    secrets(31).github_token()
}

/// A text that neither compresses away nor looks like a secret.
fn filler(bytes: usize) -> String {
    let mut secrets = secrets(5);
    let mut text = String::new();
    while text.len() < bytes {
        text += &secrets.characters(&["abcdefghijklmnopqrstuvwxyz"], 7);
        text.push(' ');
    }
    text
}

/// Two layers; the first has the token and then much text, the second only text.
fn app() -> Image {
    image()
        .named("app:1")
        .layer([
            file("etc/token", format!("token={}\n", token())),
            file("usr/share/text", filler(60_000)),
        ])
        .layer([file("etc/motd", format!("hello\n{}", filler(3_000)))])
}

fn clean() -> Image {
    image().named("clean:1").layer([file("etc/motd", "hello\n")])
}

/// The run with a JSON report on standard output and a text for people in `report.txt`.
fn both(command: Layersift) -> Run {
    command
        .arg("--format")
        .arg("json")
        .arg("--format")
        .arg("human=report.txt")
        .run()
}

/// The JSON report of a run that must end with `code`, with messages and both reports as they must always be.
#[track_caller]
fn report(command: Layersift, code: i32) -> Value {
    let run = both(command).expect_code(code);
    well_said(&run.stderr);
    let text = fs::read_to_string(run.folder.path().join("report.txt")).unwrap();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    let report = run.json();
    assert_eq!(report["verdict"]["incomplete"], code >= 3, "{report:#}");
    if code >= 3 {
        let reasons = reasons(&report);
        let failures: Vec<&str> = list(&report["targets"])
            .filter_map(|target| target["failure"].as_str())
            .collect();
        assert!(
            !reasons.is_empty() || !failures.is_empty(),
            "incomplete without a reason: {report:#}"
        );
        for said in reasons.iter().map(String::as_str) {
            assert!(text.contains(said), "the text does not say {said:?}:\n{text}");
        }
        let end = text.trim_end().rsplit("\n\n").next().unwrap();
        assert!(
            end.contains("INCOMPLETE") || end.contains("NOTHING SCANNED"),
            "{text}"
        );
    }
    report
}

/// Every line is an error, a cause, a hint or a warning; none is there twice, none can command a terminal.
#[track_caller]
fn well_said(stderr: &str) {
    let mut seen = Vec::new();
    for line in stderr.lines() {
        let kinds = ["error: ", "  caused by: ", "hint: ", "warning: "];
        let text = kinds.iter().find_map(|kind| line.strip_prefix(kind));
        let text = text.unwrap_or_else(|| panic!("what is this line? {line:?}\n{stderr}"));
        assert!(
            !text.trim().is_empty() && !text.chars().any(char::is_control),
            "{line:?}"
        );
        assert!(!text.ends_with('.'), "{line:?}");
        assert!(!seen.contains(&text), "said twice: {line:?}\n{stderr}");
        seen.push(text);
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

/// The reasons why the scan is incomplete.
fn reasons(report: &Value) -> Vec<String> {
    list(&report["coverage"]["skips"])
        .filter(|skip| skip["kind"] == "incomplete")
        .map(|skip| skip["reason"].as_str().unwrap().to_owned())
        .collect()
}

/// Whether the token is among the findings.
fn has_token(report: &Value) -> bool {
    list(&report["findings"]).any(|finding| finding["rule"] == "github-personal-access-token")
}

/// How far the bytes of the first occurrence of the first finding can be trusted.
fn integrity(report: &Value) -> &str {
    report["findings"][0]["occurrences"][0]["integrity"]
        .as_str()
        .unwrap()
}

fn archive(bytes: impl AsRef<[u8]>) -> Layersift {
    layersift(["scan", "image.tar"]).file("image.tar", bytes)
}

fn layout(files: &BTreeMap<String, Vec<u8>>) -> Layersift {
    files
        .iter()
        .fold(layersift(["scan", "layout"]), |command, (path, bytes)| {
            command.file(&format!("layout/{path}"), bytes)
        })
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The digest of the one manifest or index of a layout.
fn root_of(files: &BTreeMap<String, Vec<u8>>) -> String {
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

/// Changes the one manifest of a layout, so that its digest is right again.
fn edit_manifest(files: &mut BTreeMap<String, Vec<u8>>, edit: impl FnOnce(&mut Value)) {
    let old = files.remove(&blob_path(&root_of(files))).unwrap();
    let mut manifest: Value = serde_json::from_slice(&old).unwrap();
    edit(&mut manifest);
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::of(&bytes).to_string();
    let mut index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    index["manifests"][0]["digest"] = digest.as_str().into();
    index["manifests"][0]["size"] = bytes.len().into();
    files.insert("index.json".to_owned(), serde_json::to_vec(&index).unwrap());
    files.insert(blob_path(&digest), bytes);
}

fn manifest_of(files: &BTreeMap<String, Vec<u8>>) -> Value {
    serde_json::from_slice(&files[&blob_path(&root_of(files))]).unwrap()
}

/// Where `part` stands in `bytes`.
fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .expect("it is there")
}

/// Where the blobs of `app()` and its documents are, by what they are.
fn pieces(files: &BTreeMap<String, Vec<u8>>) -> [(&'static str, String); 3] {
    let manifest = manifest_of(files);
    let digest = |value: &Value| blob_path(value["digest"].as_str().unwrap());
    [
        ("layer", digest(&manifest["layers"][0])),
        ("config", digest(&manifest["config"])),
        ("manifest", blob_path(&root_of(files))),
    ]
}

mod targets {
    use super::*;

    #[track_caller]
    fn refused(target: &str, says: &[&str]) {
        refused_by(layersift(["scan", target]), says);
    }

    /// Fails with 3 and says each of `says`, in messages and in both reports.
    #[track_caller]
    fn refused_by(command: Layersift, says: &[&str]) {
        let run = both(command).expect_code(3);
        well_said(&run.stderr);
        let report = run.json();
        assert_eq!(report["verdict"]["outcome"], "unresolved");
        assert_eq!(report["verdict"]["incomplete"], true);
        let failure = report["targets"][0]["failure"].as_str().unwrap();
        assert!(run.stderr.starts_with("error: cannot scan `"), "{}", run.stderr);
        assert!(
            run.stderr.contains(&format!("  caused by: {failure}\n")),
            "{}",
            run.stderr
        );
        for said in says {
            assert!(
                run.stderr.contains(said),
                "it does not say {said:?}: {}",
                run.stderr
            );
        }
        let text = fs::read_to_string(run.folder.path().join("report.txt")).unwrap();
        assert!(
            text.contains("FAILED") && text.contains("NOTHING SCANNED"),
            "{text}"
        );
        assert!(!text.contains("()"), "{text}");
    }

    #[test]
    fn what_is_no_reference_is_told_how_targets_are_written() {
        for target in ["Upper/Case:1", "two words", "app:bad:tag", "app@sha256:short", ""] {
            refused(
                target,
                &[
                    "is no file, no directory and no image reference",
                    "hint: an image is named like",
                ],
            );
        }
        refused("\u{1b}[31mred", &["`\\u{1b}[31mred`"]);
    }

    #[test]
    fn a_password_in_a_target_is_not_repeated() {
        let password = secrets(3).password(20);
        let run = both(layersift([
            "scan",
            &format!("someone:{password}@registry.invalid/app:1"),
        ]));
        assert!(!run.stderr.contains(&password), "{}", run.stderr);
        assert!(!run.text().contains(&password), "{}", run.text());
    }

    #[test]
    fn a_host_that_is_not_there_is_named() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        refused(
            &format!("127.0.0.1:{port}/app:1"),
            &[
                &format!("cannot reach `127.0.0.1:{port}`"),
                "refused",
                "hint: check",
            ],
        );
        refused(
            "registry.invalid/app:1",
            &["cannot reach `registry.invalid`", "hint: check the name"],
        );
    }

    #[test]
    fn a_path_that_is_not_there_is_no_image_of_a_registry() {
        for target in [
            "image.tar",
            "./image",
            "/no/such/image",
            "folder/",
            "docker-archive:image",
            "oci:image",
            "x.tar.gz",
        ] {
            refused(
                target,
                &["there is no file or directory `", "hint: check the path"],
            );
        }
    }

    #[test]
    fn what_is_no_image_is_told_what_one_is() {
        let hint = "hint: expected a Docker archive (`docker save`)";
        let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &[7; 2000]].concat();
        let other = tar::archive(&[file("readme.txt", "no image\n"), directory("src")]);
        for (name, bytes, says) in [
            ("text", b"hello\n".to_vec(), "it is no tar archive"),
            ("empty", Vec::new(), "it is empty"),
            ("image.png", png, "it is no tar archive"),
            (
                "zeros",
                vec![0; 10_240],
                "neither `manifest.json` nor `index.json`",
            ),
            ("other.tar", other, "neither `manifest.json` nor `index.json`"),
        ] {
            refused_by(
                layersift(["scan", name]).file(name, &bytes),
                &[name, "is not a container image", says, hint],
            );
            refused_by(
                layersift(["scan", "-"]).stdin(bytes),
                &["standard input is not a container image", says, hint],
            );
        }
        refused_by(
            layersift(["scan", "folder"]).file("folder/x", ""),
            &[
                "`folder` is not a container image: it is a directory without `index.json`",
                hint,
            ],
        );
        refused_by(
            layersift(["scan", "docker-archive:folder"]).file("folder/x", ""),
            &["it is a directory"],
        );
        refused_by(
            layersift(["scan", "docker-archive:image.tar:other:2"]).file("image.tar", app().docker_archive()),
            &["`other:2`", "was not found"],
        );
    }

    #[test]
    fn a_login_that_is_missing_or_wrong_is_said_and_the_right_one_works() {
        let password = secrets(8).password(16);
        let registry = registry().login("robot", &password).start();
        registry.push(&images([app()]), "team/app", "1");
        let reference = registry.reference("team/app", "1");
        refused(
            &reference,
            &["refused access", "hint: log in with `docker login`"],
        );
        let login = |given: &str| {
            layersift(["scan", &reference, "--username", "robot", "--password-stdin"])
                .stdin(format!("{given}\n"))
        };
        refused_by(login("wrong"), &["refused access", "hint: log in"]);
        let report = report(login(&password), 1);
        assert!(has_token(&report));
    }

    #[test]
    fn a_repository_or_tag_that_is_not_there_is_named() {
        let registry = registry().start();
        registry.push(&images([app()]), "team/app", "1");
        for (repository, tag) in [("team/app", "2"), ("team/other", "1")] {
            refused(
                &registry.reference(repository, tag),
                &["was not found", "hint: check the spelling and the tag"],
            );
        }
    }

    #[test]
    fn no_platform_that_was_chosen_lists_those_there_are() {
        let both = index("app:1", [app(), app().platform("linux/arm64")]);
        let run = layersift(["scan", "image.tar", "--platform", "windows/amd64"])
            .file("image.tar", both.oci_archive());
        refused_by(
            run,
            &[
                "only linux/amd64, linux/arm64",
                "hint: choose one of these with --platform",
            ],
        );
    }

    #[test]
    fn a_target_that_fails_does_not_keep_the_others_from_being_scanned() {
        let with_findings = layersift(["scan", "none.tar", "image.tar", "text"])
            .file("image.tar", app().docker_archive())
            .file("text", "hello");
        let found = report(with_findings, 5);
        assert!(has_token(&found));
        let failed: Vec<bool> = list(&found["targets"])
            .map(|target| target["failure"].is_string())
            .collect();
        assert_eq!(failed, [true, false, true]);
        report(
            layersift(["scan", "clean.tar", "none.tar"]).file("clean.tar", clean().docker_archive()),
            4,
        );
        let run = both(layersift(["scan", "none.tar", "text"]).file("text", "hello")).expect_code(3);
        well_said(&run.stderr.replacen("hint:", "hint: first", 1));
        assert_eq!(
            run.stderr.matches("error: cannot scan").count(),
            2,
            "{}",
            run.stderr
        );
    }
}

mod cut {
    use super::*;

    /// Cuts `archive` in many places, and expects the token wherever `found_from` bytes are left.
    fn everywhere(form: &str, archive: &[u8], found_from: usize, ends: usize) {
        for step in 1..8 {
            // Never at the border of a block: that may be the end of an archive.
            let cut = ends * step / 8 / 512 * 512 + 300;
            let bytes = &archive[..cut];
            let label = format!("{form}, {cut} of {} bytes", archive.len());
            let expected = if cut >= found_from { 5 } else { 4 };
            let mut found = Vec::new();
            for command in [super::archive(bytes), layersift(["scan", "-"]).stdin(bytes)] {
                let run = both(command.arg("--repository").arg("app"));
                well_said(&run.stderr);
                let report = run.json();
                if expected == 5 {
                    assert_eq!(run.code, Some(5), "{label}: {report:#}");
                    assert!(has_token(&report), "{label}: {report:#}");
                } else {
                    assert!(matches!(run.code, Some(3..=5)), "{label}: {report:#}");
                }
                assert_eq!(report["verdict"]["incomplete"], true, "{label}");
                if run.code != Some(3) {
                    let reasons = reasons(&report);
                    assert!(
                        reasons
                            .iter()
                            .any(|reason| ["truncated", "missing-list"].contains(&reason.as_str())),
                        "{label}: {reasons:?}"
                    );
                }
                let fingerprints: Vec<Value> = list(&report["findings"])
                    .map(|finding| finding["fingerprint"].clone())
                    .collect();
                found.push(fingerprints);
            }
            assert_eq!(found[0], found[1], "{label}: the file and the stream differ");
        }
    }

    #[test]
    fn an_archive_that_ends_early_gives_what_it_had() {
        let app = images([app()]);
        for (form, bytes) in [
            ("docker save", app.docker_archive()),
            ("podman save", app.podman_archive()),
        ] {
            let found_from = position(&bytes, token().as_bytes()) + token().len() + 1024;
            everywhere(form, &bytes, found_from, bytes.len() - 2048);
        }
        for (form, bytes) in [
            ("OCI archive", app.oci_archive()),
            ("containerd store", app.containerd_archive()),
        ] {
            let (_, layer) = super::app().layer_blobs().next().unwrap();
            let found_from = position(&bytes, &layer) + layer.len() / 2;
            everywhere(form, &bytes, found_from, position(&bytes, b"index.json"));
        }
    }

    #[test]
    fn a_key_whose_life_nobody_knows_is_not_called_present() {
        let app = images([app()]);
        let bytes = app.docker_archive();
        let report = report(
            super::archive(&bytes[..position(&bytes, b"manifest.json") - 400]),
            5,
        );
        assert!(has_token(&report));
        assert_eq!(
            report["findings"][0]["occurrences"][0]["status"]["name"], "unknown",
            "{report:#}"
        );
    }

    #[test]
    fn a_configuration_without_its_list_is_searched_too() {
        let app = images([image()
            .named("app:1")
            .layer([file("a", "b")])
            .env(&format!("GH_TOKEN={}", token()))]);
        let bytes = app.docker_archive();
        let cut = position(&bytes, b"manifest.json") - 100;
        assert!(has_token(&report(super::archive(&bytes[..cut]), 5)));
    }

    #[test]
    fn a_compressed_archive_that_ends_early_gives_what_it_had() {
        // Zstd gives nothing of a block that is not whole, and a block has 128 KiB.
        let app = app().layer([file("usr/share/more", filler(400_000))]);
        for packing in [Packing::Gzip, Packing::Zstd] {
            let packed = crate::support::image::pack(&app.docker_archive(), packing);
            let found = report(super::archive(&packed[..packed.len() * 2 / 3]), 5);
            assert!(has_token(&found));
        }
    }

    #[test]
    fn an_archive_without_its_list_of_images_is_scanned_all_the_same() {
        let mut members = images([app()]).oci_members();
        members.truncate(members.len() - 2);
        let report = report(super::archive(tar::archive(&members)), 5);
        assert!(has_token(&report), "{report:#}");
        assert_eq!(
            report["images"][0]["layers"].as_array().unwrap().len(),
            2,
            "the manifest is known by what it is"
        );
    }
}

mod damage {
    use super::*;

    /// Changes one letter of `blob` so that it stays what it is: JSON, or a tar.
    fn flip(kind: &str, blob: &mut [u8]) {
        let part: &[u8] = match kind {
            "layer" => b"usr/share/text",
            "config" => b"RUN step",
            _ => b"note-here",
        };
        let at = position(blob, part);
        blob[at + 2] ^= 1;
    }

    fn plain() -> Images {
        let app = image()
            .named("app:1")
            .layer([
                file("etc/token", format!("token={}\n", token())),
                file("usr/share/text", "x"),
            ])
            .packed(Packing::Plain)
            .annotation("org.example.note", "note-here");
        images([app])
    }

    #[test]
    fn one_wrong_byte_anywhere_is_noticed_and_costs_no_finding() {
        let files = plain().oci_layout();
        for (kind, path) in pieces(&files) {
            let mut damaged = files.clone();
            flip(kind, damaged.get_mut(&path).unwrap());
            let found = report(layout(&damaged), 5);
            assert!(has_token(&found), "{kind}: {found:#}");
            assert!(
                reasons(&found).iter().any(|reason| reason == "digest-mismatch"),
                "{kind}: {found:#}"
            );
            assert_eq!(
                integrity(&found),
                if kind == "layer" { "failed" } else { "verified" },
                "{kind}"
            );
            let members: Vec<_> = damaged.iter().map(|(path, bytes)| file(path, bytes)).collect();
            for command in [
                archive(tar::archive(&members)),
                layersift(["scan", "-"]).stdin(tar::archive(&members)),
            ] {
                let found = report(command, 5);
                assert!(has_token(&found), "{kind}: {found:#}");
                assert!(
                    reasons(&found).iter().any(|reason| reason == "digest-mismatch"),
                    "{kind}: {found:#}"
                );
            }
        }
    }

    #[test]
    fn a_registry_that_damages_what_it_keeps_is_noticed() {
        for (kind, path) in pieces(&plain().oci_layout()) {
            let registry = registry().start();
            registry.push(&plain(), "app", "1");
            let digest = path.trim_start_matches("blobs/").replace('/', ":");
            let kept = registry.blob_file(&Digest::parse(&digest).unwrap());
            let mut bytes = fs::read(&kept).unwrap();
            flip(kind, &mut bytes);
            fs::write(&kept, bytes).unwrap();
            let found = report(layersift(["scan", &registry.reference("app", "1")]), 5);
            assert!(has_token(&found), "{kind}: {found:#}");
            assert!(
                reasons(&found).iter().any(|reason| reason == "digest-mismatch"),
                "{kind}: {found:#}"
            );
        }
    }

    #[test]
    fn a_clean_image_that_is_damaged_does_not_pass() {
        let files = images([clean().packed(Packing::Plain)]).oci_layout();
        let mut damaged = files.clone();
        let path = pieces(&files)[0].1.clone();
        let at = position(&damaged[&path], b"hello");
        damaged.get_mut(&path).unwrap()[at] ^= 1;
        report(layout(&damaged), 4);
    }

    #[test]
    fn sizes_that_lie_are_noticed() {
        for (by, says) in [(1, "fewer"), (-1, "more"), (1_000_000, "fewer"), (-200, "more")] {
            let mut files = images([app()]).oci_layout();
            edit_manifest(&mut files, |manifest| {
                let size = manifest["layers"][0]["size"].as_i64().unwrap();
                manifest["layers"][0]["size"] = (size + by).into();
            });
            let found = report(layout(&files), 5);
            assert!(has_token(&found), "{by}: {found:#}");
            assert!(
                reasons(&found).iter().any(|reason| reason == "size-mismatch"),
                "{by}: {found:#}"
            );
            let detail = list(&found["coverage"]["skips"])
                .find(|skip| skip["reason"] == "size-mismatch")
                .unwrap();
            assert!(
                detail["detail"].as_str().unwrap().contains(says),
                "{by}: {detail}"
            );
        }
    }

    #[test]
    fn a_diff_id_that_lies_is_noticed() {
        let app = app().edited(|config| {
            config["rootfs"]["diff_ids"][0] = Digest::of(b"something else").to_string().into();
        });
        for bytes in [app.docker_archive(), app.oci_archive()] {
            let found = report(archive(&bytes), 5);
            assert!(has_token(&found));
            assert_eq!(reasons(&found), ["diff-id-mismatch"]);
            assert_eq!(integrity(&found), "failed");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_the_rest_is_scanned() {
        let files = images([app()]).oci_layout();
        let manifest = manifest_of(&files);
        for (what, digest) in [
            ("layer 2", &manifest["layers"][1]["digest"]),
            ("configuration", &manifest["config"]["digest"]),
        ] {
            let mut without = files.clone();
            without.remove(&blob_path(digest.as_str().unwrap()));
            let members: Vec<_> = without.iter().map(|(path, bytes)| file(path, bytes)).collect();
            let tar = tar::archive(&members);
            for command in [
                layout(&without),
                archive(&tar),
                layersift(["scan", "-"]).stdin(tar.clone()),
            ] {
                let found = report(command, 5);
                assert!(has_token(&found), "{what}: {found:#}");
                let skip = &found["coverage"]["skips"][0];
                assert!(
                    skip["place"].as_str().unwrap().starts_with(what),
                    "{what}: {found:#}"
                );
            }
        }
        // What a layer that is not there did to the file, nobody knows.
        let mut without = files.clone();
        without.remove(&blob_path(manifest["layers"][1]["digest"].as_str().unwrap()));
        let found = report(layout(&without), 5);
        assert_eq!(
            found["findings"][0]["occurrences"][0]["status"]["name"],
            "unknown"
        );
    }

    #[test]
    fn what_cannot_be_decompressed_is_named_and_the_rest_is_scanned() {
        let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
        let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
        let tar = tar::archive(&[file("a", filler(50_000))]);
        let mut corrupt = crate::support::image::pack(&tar, Packing::Gzip);
        let middle = corrupt.len() / 2;
        corrupt[middle..middle + 40].fill(0xff);
        let whole = crate::support::image::pack(&tar, Packing::Zstd);
        let lz4 = [
            &[0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7][..],
            filler(500).as_bytes(),
        ]
        .concat();
        for (name, media_type, blob, reason) in [
            ("lz4", gzip, lz4, "unsupported-compression"),
            ("corrupt gzip", gzip, corrupt, "corrupt-compression"),
            ("cut zstd", zstd, whole[..whole.len() - 9].to_vec(), "truncated"),
            (
                "encrypted",
                "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
                filler(900).into_bytes(),
                "encrypted-layer",
            ),
        ] {
            let image = app().layer_tar(tar.clone()).stored_as(media_type, blob);
            for command in [
                archive(image.oci_archive()),
                layersift(["scan", "-"]).stdin(image.oci_archive()),
            ] {
                let found = report(command, 5);
                assert!(has_token(&found), "{name}");
                assert!(
                    reasons(&found).iter().any(|given| given == reason),
                    "{name}: {:?}",
                    reasons(&found)
                );
                let place = list(&found["coverage"]["skips"])
                    .find(|skip| skip["reason"] == reason)
                    .unwrap();
                assert!(
                    place["place"].as_str().unwrap().starts_with("layer 3"),
                    "{name}: {place}"
                );
            }
        }
    }
}

mod documents {
    use super::*;

    #[test]
    fn a_manifest_over_the_limit_is_named() {
        let huge = app().annotation("org.example.text", &filler(9 * 1024 * 1024));
        let both = images([huge, clean()]);
        let layout = layersift(["scan", "layout"]);
        both.write_oci_layout(&layout.path("layout"));
        let found = report(layout, 4);
        assert_eq!(reasons(&found).len(), 1, "{:?}", reasons(&found));
        assert_eq!(found["images"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_index_that_lists_itself_or_one_thing_twice_ends() {
        let mut files = images([app()]).oci_layout();
        let child = root_of(&files);
        let size = files[&blob_path(&child)].len();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let circle = Digest::of(b"an index that lists itself").to_string();
        let index_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": index_type, "manifests": [
            { "mediaType": media_type, "digest": child, "size": size },
            { "mediaType": media_type, "digest": child, "size": size },
            { "mediaType": index_type, "digest": circle, "size": 0 },
        ]});
        let index = serde_json::to_vec(&index).unwrap();
        files.insert(blob_path(&circle), index.clone());
        let duplicates = json!({ "schemaVersion": 2, "manifests": [
            { "mediaType": media_type, "digest": child, "size": size },
            { "mediaType": media_type, "digest": child, "size": size },
        ]});
        files.insert("index.json".to_owned(), serde_json::to_vec(&duplicates).unwrap());
        let found = report(layout(&files), 1);
        assert_eq!(found["images"].as_array().unwrap().len(), 1);
        assert_eq!(found["counters"]["blobs"], 2);
        files.insert("index.json".to_owned(), index);
        let found = report(layout(&files), 5);
        assert!(has_token(&found));
    }

    #[test]
    fn a_platform_that_is_missing_does_not_keep_the_others_from_being_scanned() {
        let arm = clean().platform("linux/arm64");
        for (first, code) in [(app(), 5), (clean().layer([file("x", "y")]), 4)] {
            let mut files = index("app:1", [first, arm.clone()]).oci_layout();
            let top = manifest_of(&files);
            let gone = top["manifests"][1]["digest"].as_str().unwrap();
            files.remove(&blob_path(gone));
            let found = report(layout(&files), code);
            assert_eq!(reasons(&found), ["not-found"]);
            let place = found["coverage"]["skips"][0]["place"].as_str().unwrap();
            assert!(place.contains("linux/arm64"), "{place}");
        }
    }

    #[test]
    fn documents_that_are_not_json_are_named() {
        for (form, mut files) in [
            ("manifest", images([app()]).oci_layout()),
            ("config", images([app()]).oci_layout()),
        ] {
            let (_, path) = pieces(&files)
                .into_iter()
                .find(|(kind, _)| *kind == form)
                .unwrap();
            files.insert(path, b"<html>sign in</html>".to_vec());
            let run = both(layout(&files));
            well_said(&run.stderr);
            assert_eq!(
                run.code,
                Some(if form == "manifest" { 3 } else { 5 }),
                "{form}: {}",
                run.text()
            );
        }
        let mut members = images([app()]).docker_members();
        members.pop();
        members.push(file("manifest.json", "[{\"Config\": "));
        let found = report(archive(tar::archive(&members)), 5);
        assert!(has_token(&found), "the layers are there: {found:#}");
    }

    #[test]
    fn names_from_an_image_cannot_command_a_terminal() {
        let mut members = images([app()]).docker_members();
        members.pop();
        let manifest = json!([{ "Config": "\u{1b}]0;x\u{7}.json", "RepoTags": ["a\u{1b}[2J:1"], "Layers": ["\u{1b}[1m/layer.tar"] }]);
        members.push(file("manifest.json", manifest.to_string()));
        report(archive(tar::archive(&members)), 4);
    }
}

mod usage {
    use super::*;

    /// Ends with 2 before anything is scanned, and says each of `says`.
    #[track_caller]
    fn wrong(command: Layersift, says: &[&str]) {
        let run = command
            .file("image.tar", app().docker_archive())
            .run()
            .expect_code(2);
        assert!(run.stdout.is_empty(), "{}", run.text());
        for said in says {
            assert!(
                run.stderr.contains(said),
                "it does not say {said:?}: {}",
                run.stderr
            );
        }
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }

    fn scan<'a>(args: impl IntoIterator<Item = &'a str>) -> Layersift {
        args.into_iter()
            .fold(layersift(["scan", "image.tar"]), Layersift::arg)
    }

    #[test]
    fn options_that_are_wrong_name_themselves_and_what_would_be_right() {
        wrong(layersift(["scan"]), &["TARGET"]);
        wrong(layersift(["scam"]), &["unrecognized subcommand 'scam'", "scan"]);
        for (args, says) in [
            (&["--nope"][..], &["--nope"][..]),
            (
                &["--format", "xml"],
                &[
                    "no format is called `xml`",
                    "gitlab, html, human, json, jsonl, junit, markdown, sarif",
                ],
            ),
            (&["--format", "json="], &["names no file"]),
            (
                &["--format", "json", "--format", "sarif"],
                &["cannot both go to standard output"],
            ),
            (
                &["--format", "json=no/such/folder/x.json"],
                &["`no/such/folder/x.json`", "its folder does not exist"],
            ),
            (&["--rule", "nope"], &["no rule is called `nope`"]),
            (&["--no-rule", "nope"], &["no rule is called `nope`"]),
            (&["--severity", "nope"], &["'nope'", "--severity", "critical"]),
            (
                &["--min-confidence", "nope"],
                &["'nope'", "--min-confidence", "medium"],
            ),
            (&["--status", "nope"], &["'nope'", "--status", "deleted"]),
            (&["--include", "["], &["--include", "not a path glob"]),
            (&["--platform", "nope"], &["not a platform", "os/arch"]),
            (&["--timeout", "soon"], &["'soon'", "`90s`"]),
            (&["--jobs", "0"], &["'0'", "from 1"]),
            (&["--username", "someone"], &["--password-stdin"]),
            (
                &["--rules", "none.toml"],
                &["cannot read the rules `none.toml`", "No such file"],
            ),
            (
                &["--config", "none.toml"],
                &["cannot read `none.toml`", "No such file"],
            ),
            (
                &["--fingerprint-key-file", "none.key"],
                &["cannot read the fingerprint key `none.key`", "No such file"],
            ),
        ] {
            wrong(scan(args.iter().copied()), says);
        }
        let short = scan(["--fingerprint-key-file", "short"]).file("short", "abc");
        wrong(short, &["the fingerprint key has 3 bytes, and needs 16 or more"]);
    }

    #[test]
    fn files_that_are_wrong_are_named_with_the_line() {
        let with = |option: &str, text: &str| scan([option, "it.toml"]).file("it.toml", text);
        wrong(with("--rules", "\n[[rule]]\nid = 3\n"), &["it.toml:3: `id`"]);
        wrong(with("--rules", "[[rule]]\n\nid = [\n"), &["it.toml:3"]);
        wrong(
            with("--config", "[scan]\n\nnope = 1\n"),
            &["it.toml:3: unknown field `nope`"],
        );
        wrong(
            with("--config", "[scan]\nseverity = \"bad\"\n"),
            &["it.toml:2: `severity` cannot be `bad`", "critical"],
        );
        wrong(
            with("--config", "[scan]\nrule = [\n  \"nope\",\n]\n"),
            &["no rule is called `nope`"],
        );
        wrong(
            with("--config", "[scan]\nstatus = [\n  \"present\",\n  \"gone\",\n]\n"),
            &["it.toml:4: `status` cannot be `gone`"],
        );
        wrong(
            with("--config", "[scan]\njobs = \"two\"\n"),
            &["it.toml:2: invalid type"],
        );
    }

    #[test]
    fn a_report_that_cannot_be_written_is_no_success_and_the_others_are_written() {
        let run = scan([
            "--format",
            "json=/dev/full",
            "--format",
            "sarif=it.sarif",
            "--format",
            "human",
        ])
        .file("image.tar", app().docker_archive())
        .run()
        .expect_code(2);
        well_said(&run.stderr);
        assert!(
            run.stderr
                .contains("error: cannot write the json report\n  caused by: cannot write `/dev/full`\n"),
            "{}",
            run.stderr
        );
        assert!(run.text().contains("1 finding"));
        assert!(run.folder.path().join("it.sarif").is_file());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let command = scan(["--format", "json=closed/it.json"]).file("image.tar", app().docker_archive());
        let closed = command.path("closed");
        fs::create_dir(&closed).unwrap();
        if fs::metadata(&closed).unwrap().uid() == 0 {
            // Root may write everywhere.
            return;
        }
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        let run = command.run().expect_code(2);
        assert!(
            run.stderr.contains("closed/it.json") && !run.stderr.contains(".tmp"),
            "{}",
            run.stderr
        );
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn a_reader_that_goes_away_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.tar");
        fs::write(&path, app().docker_archive()).unwrap();
        for format in ["human", "json", "jsonl", "sarif"] {
            let mut child = start(&path, format);
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{format}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
        }
    }

    fn start(path: &Path, format: &str) -> std::process::Child {
        Command::new(env!("CARGO_BIN_EXE_layersift"))
            .args(["scan", "--format", format])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}
