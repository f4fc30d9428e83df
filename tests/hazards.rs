//! What a hostile image must not bring about, through the built program: files that hide behind a mark that another
//! reader knows, scans without end or without a word, secrets that leave by another way than the report.
//! `tests/README.md` says which test stands for which hazard.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::support::command::{Run, layersift};
use crate::support::image::{Image, Packing, image, images, pack};
use crate::support::packed::{gzip, zip_of};
use crate::support::quine;
use crate::support::scripted::{Repository, Server};
use crate::support::secrets::secrets;
use crate::support::sources;
use crate::support::tar::{directory, file, hard_link, member, symlink, whiteout};

fn token() -> String {
    secrets(99).github_token()
}

/// An image of one layer that has a token.
fn leaky() -> Image {
    image()
        .named("app:1")
        .layer([file("etc/token", format!("token = {}\n", token()))])
}

fn scan(image: &Image, options: &[&str]) -> Run {
    layersift(["scan", "image.tar", "--format", "json"].iter().chain(options))
        .file("image.tar", image.docker_archive())
        .run()
}

/// The reasons of a report's skips, each with its kind.
fn skips(report: &Value) -> BTreeMap<String, String> {
    let skips = report["coverage"]["skips"].as_array().expect("a list");
    let text = |skip: &Value, field: &str| skip[field].as_str().expect("text").to_owned();
    skips
        .iter()
        .map(|skip| (text(skip, "reason"), text(skip, "kind")))
        .collect()
}

/// The one occurrence's status.
fn status(report: &Value) -> &str {
    report["findings"][0]["occurrences"][0]["status"]["name"]
        .as_str()
        .unwrap_or_else(|| panic!("no status in {report:#}"))
}

#[test]
fn whiteouts_of_overlayfs_hide_in_every_form() {
    let key = || file("srv/key", token());
    let attribute = |name: &str| format!("SCHILY.xattr.{name}");
    for (name, mark) in [
        ("device", member(b'3', "srv/key", "")),
        (
            "trusted",
            file("srv/key", "").record(&attribute("trusted.overlay.whiteout"), ""),
        ),
        (
            "user",
            file("srv/key", "").record(&attribute("user.overlay.whiteout"), "y"),
        ),
        (
            "opaque",
            directory("srv").record(&attribute("trusted.overlay.opaque"), "y"),
        ),
        (
            "user opaque",
            directory("srv").record(&attribute("user.overlay.opaque"), "y"),
        ),
    ] {
        let report = scan(&image().layer([key()]).layer([mark]), &[])
            .expect_code(1)
            .json();
        assert_eq!(status(&report), "deleted", "{name}");
    }
    for (name, mark) in [
        (
            "content",
            file("srv/other", "x").record(&attribute("user.overlay.whiteout"), "y"),
        ),
        (
            "not opaque",
            directory("srv").record(&attribute("user.overlay.opaque"), "x"),
        ),
        (
            "of another",
            directory("srv").record(&attribute("user.other.opaque"), "y"),
        ),
    ] {
        let report = scan(&image().layer([key()]).layer([mark]), &[])
            .expect_code(1)
            .json();
        assert_eq!(status(&report), "present", "{name}");
    }
}

#[test]
fn a_mark_in_a_hidden_place_hides_nothing_that_it_should_not() {
    for (name, mark) in [
        ("a bare prefix", file("srv/.wh.", "")),
        ("the directory itself", file("srv/.wh..", "")),
        ("its parent", file("srv/.wh...", "")),
        ("of a storage driver", directory("srv/.wh..wh.plnk")),
        ("another name", whiteout("srv/ke")),
    ] {
        let image = image().layer([file("srv/key", token())]).layer([mark]);
        let report = scan(&image, &[]).expect_code(1).json();
        assert_eq!(status(&report), "present", "{name}");
    }
}

#[test]
fn a_whiteout_with_content_is_searched() {
    let image = image()
        .layer([file("srv/key", "nothing")])
        .layer([file("srv/.wh.key", token())]);
    let report = scan(&image, &[]).expect_code(1).json();
    assert_eq!(status(&report), "unlisted");
}

#[test]
fn no_source_unpacks_an_archive() {
    let mut files = sources();
    files.retain(|(name, _)| !name.ends_with("tests.rs"));
    for (name, text) in &files {
        for call in [
            ".unpack(",
            ".unpack_in(",
            "fs::symlink(",
            "fs::hard_link(",
            "mknod(",
            "set_file_times(",
        ] {
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            assert!(!shipped.contains(call), "{name} calls {call}");
        }
    }
    let read = files.len();
    assert!(read > 50, "{read} files are not all of the source");
}

#[test]
fn each_limit_that_is_met_is_named_and_one_above_it_is_not() {
    let token = token();
    let two = || {
        image()
            .layer([file("etc/a", &token), file("etc/b", "b")])
            .layer([file("c", "c")])
    };
    // The archive that holds the image has members too.
    let many = || {
        image().layer((0..40).map(|number| file(format!("{number}"), if number == 0 { &token } else { "" })))
    };
    let nested = || {
        image().layer([
            file("a.zip", zip_of("b.zip", &zip_of("key", token.as_bytes()))),
            file("a", &token),
        ])
    };
    let attributes = || image().layer([file("a", &token).record("comment", "x".repeat(700))]);
    let lines = || image().layer([file("a", format!("{token}\n{}\n", secrets(1).github_token()))]);
    type Case<'a> = (&'a str, &'a str, &'a str, Image, &'a str);
    let links = || image().layer([file("a", &token), symlink("b", "c"), symlink("d", "e")]);
    let cases: [Case<'_>; 12] = [
        (
            "config-bytes=20",
            "config-bytes=1MiB",
            "document-size",
            two(),
            "incomplete",
        ),
        ("layers=1", "layers=2", "layers", two(), "incomplete"),
        ("entries=30", "entries=60", "entries", many(), "incomplete"),
        ("path-bytes=4", "path-bytes=5", "path", two(), "incomplete"),
        (
            "path-table-bytes=1",
            "path-table-bytes=1KiB",
            "path-table",
            two(),
            "incomplete",
        ),
        (
            "symlink-bytes=259",
            "symlink-bytes=260",
            "symlinks",
            links(),
            "incomplete",
        ),
        (
            "layer-bytes=2KiB",
            "layer-bytes=4KiB",
            "layer-bytes",
            two(),
            "incomplete",
        ),
        (
            "image-bytes=2KiB",
            "image-bytes=8KiB",
            "image-bytes",
            two(),
            "incomplete",
        ),
        (
            "tar-header-bytes=700",
            "tar-header-bytes=1KiB",
            "tar-header",
            attributes(),
            "incomplete",
        ),
        ("findings=1", "findings=2", "findings", lines(), "incomplete"),
        (
            "archive-depth=1",
            "archive-depth=2",
            "archive-depth",
            nested(),
            "opaque",
        ),
        (
            "findings-per-file=1",
            "findings-per-file=2",
            "findings-per-file",
            lines(),
            "note",
        ),
    ];
    for (met, room, reason, image, kind) in cases {
        let run = scan(&image, &["--limit", met]);
        let report = run.json();
        assert_eq!(
            skips(&report).get(reason).map(String::as_str),
            Some(kind),
            "{met}: {report:#}"
        );
        let is_incomplete = kind == "incomplete";
        assert_eq!(
            run.code.is_some_and(|code| code >= 4),
            is_incomplete,
            "{met}: {:?}",
            run.code
        );
        assert_eq!(
            report["coverage"]["complete"].as_bool(),
            Some(!is_incomplete),
            "{met}"
        );
        let run = scan(&image, &["--limit", room]).expect_code(1);
        assert!(!skips(&run.json()).contains_key(reason), "{room}");
    }
}

#[test]
fn a_limit_is_given_by_name_on_the_command_line_or_in_a_file() {
    let run = scan(&leaky(), &["--limit", "speed=1"]).expect_code(2);
    assert!(
        run.stderr.contains("no limit is called `speed`"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("layer-bytes"), "{}", run.stderr);
    let run = scan(&leaky(), &["--limit", "layer-bytes=much"]).expect_code(2);
    assert!(run.stderr.contains("a number of bytes"), "{}", run.stderr);
    let run = layersift(["scan", "image.tar", "--format", "json", "--config", "it.toml"])
        .file("image.tar", leaky().docker_archive())
        .file("it.toml", "[scan]\nlimit = [\"layer-bytes=1KiB\"]\n")
        .run()
        .expect_code(5);
    assert!(skips(&run.json()).contains_key("layer-bytes"));
}

#[test]
fn what_an_image_says_about_scanners_changes_nothing() {
    let token = token();
    let marks = [
        "gitleaks:allow",
        "nosec",
        "layersift:ignore",
        "noqa",
        "pragma: allowlist secret",
    ];
    let text: String = marks
        .iter()
        .map(|mark| format!("token = \"{token}\"  # {mark}\n"))
        .collect();
    let image = image().layer([
        file("app/settings.py", text),
        file("app/.gitleaksignore", "app/settings.py:github-token:1\n"),
        file("app/layersift.toml", "[scan]\nno-rule = [\"github-token\"]\n"),
        file("app/.layersiftignore", "**\n"),
        file("layersift.toml", "[scan]\nexclude = [\"**\"]\n"),
    ]);
    let report = scan(&image, &[]).expect_code(1).json();
    let places = report["findings"][0]["occurrences"].as_array().expect("a list");
    assert_eq!(places.len(), marks.len());
}

/// What a run leaves outside of the report: its folders before and after, by name and size.
fn listing(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be listed") {
            let entry = entry.expect("it can be listed");
            let metadata = entry.metadata().expect("it is there");
            if metadata.is_dir() {
                left.push(entry.path());
            }
            found.push((entry.path().display().to_string(), metadata.len()));
        }
    }
    found.sort();
    found
}

#[test]
fn nothing_of_an_image_is_written_to_disk_or_to_a_log() {
    let token = token();
    let image = image()
        .named("app:1")
        .env(&format!("TOKEN={token}"))
        .layer([
            file("etc/token", &token),
            file("etc/copy.zip", zip_of("inner/token", token.as_bytes())),
            file("etc/copy.gz", gzip(token.as_bytes())),
            file("etc/half", &token[..30]),
        ])
        .packed(Packing::Gzip);
    for format in ["human", "json", "jsonl", "sarif"] {
        let command = layersift(["-vvv", "scan", "image.tar", "--format", format])
            .file("image.tar", image.docker_archive())
            .env("RUST_LOG", "trace");
        let folder = command.path("");
        let before = listing(&folder);
        let run = command.run().expect_code(1);
        assert_eq!(before, listing(&folder), "{format}");
        for (name, text) in [("stdout", run.text()), ("stderr", &run.stderr)] {
            assert!(!text.contains(&token), "{format}: the token is in {name}");
            assert!(
                !text.contains(&token[4..24]),
                "{format}: half of the token is in {name}"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_arguments_of_a_process_hold_no_password() {
    // The password comes by standard input, and the process waits for it: so it can be looked at.
    let mut child = Command::new(env!("CARGO_BIN_EXE_layersift"))
        .args([
            "login",
            "--check",
            "127.0.0.1:1",
            "--username",
            "me",
            "--password-stdin",
        ])
        .env("LAYERSIFT_FINGERPRINT_KEY", "a key of the tests")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let password = secrets(7).password(20);
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&password.as_bytes()[..10]).expect("it reads");
    // They are there once it has become itself.
    let mut arguments = String::new();
    for _ in 0..500 {
        let bytes = std::fs::read(format!("/proc/{}/cmdline", child.id())).expect("it runs");
        arguments = String::from_utf8_lossy(&bytes).into_owned();
        if arguments.contains("--password-stdin") {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    stdin.write_all(&password.as_bytes()[10..]).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(arguments.contains("--password-stdin"), "{arguments}");
    assert!(!arguments.contains(&password[..10]), "{arguments}");
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains(&password));
    let help = layersift(["scan", "--help"]).run().expect_code(0);
    assert!(
        !help.text().contains("--password "),
        "no option takes a password itself"
    );
}

#[test]
fn a_layer_of_zeros_costs_time_alone() {
    // Scaled down from 10 GiB in 10 MB: the same ratio, of which nothing is kept.
    let zeros = vec![0; 2 << 20];
    let members: Vec<_> = (0..16)
        .map(|number| file(format!("zeros-{number}"), &zeros))
        .collect();
    let image = image()
        .layer(members)
        .layer([file("etc/token", token())])
        .packed(Packing::Gzip);
    let report = layersift(["scan", "image.tar", "--format", "json"])
        .file("image.tar", image.oci_archive())
        .run()
        .expect_code(1)
        .json();
    assert!(skips(&report).is_empty(), "{report:#}");
    assert_eq!(report["coverage"]["complete"], true);
}

#[test]
fn many_members_long_paths_and_a_huge_directory_are_within_limits() {
    let mut members: Vec<_> = (0..20_000)
        .map(|number| file(format!("many/f{number}"), ""))
        .collect();
    members.push(file(format!("{}key", "d/".repeat(30 << 10)), token()));
    members.extend((0..100).map(|number| symlink(&format!("links/{number}"), &format!("{}", number + 1))));
    members.push(hard_link("links/alias", "many/f1"));
    let report = scan(&image().layer(members), &[]).expect_code(1).json();
    assert!(skips(&report).is_empty(), "{report:#}");
    assert_eq!(status(&report), "present");
}

/// A gzip stream that holds itself is made by hand elsewhere; this one holds gzip in gzip, deeper than anyone packs.
#[test]
fn gzip_in_gzip_without_end_is_told_and_the_rest_is_scanned() {
    let mut nested = gzip(b"the end");
    for _ in 0..20 {
        nested = gzip(&nested);
    }
    let image = image().layer([file("a.gz", nested), file("token", token())]);
    let report = scan(&image, &[]).expect_code(1).json();
    assert_eq!(
        skips(&report).get("archive-depth").map(String::as_str),
        Some("opaque")
    );
    scan(&image, &["--strict"]).expect_code(5);
}

/// Each unpacks to itself, so there is always one more.
#[test]
fn archives_that_hold_themselves_end_at_a_depth_and_the_rest_is_scanned() {
    for (name, quine) in [("r.gz", quine::gzip()), ("r.zip", quine::zip())] {
        let mut unpacked = Vec::new();
        match name {
            "r.gz" => flate2::read::GzDecoder::new(&quine[..]).read_to_end(&mut unpacked),
            _ => flate2::read::DeflateDecoder::new(&quine[35..]).read_to_end(&mut unpacked),
        }
        .expect("it unpacks");
        assert_eq!(unpacked, quine, "{name}");

        let image = image().layer([file(name, quine), file("token", token())]);
        let report = scan(&image, &[]).expect_code(1).json();
        assert_eq!(
            skips(&report),
            BTreeMap::from([("archive-depth".to_owned(), "opaque".to_owned())]),
            "{name}"
        );
        scan(&image, &["--strict"]).expect_code(5);
    }
}

/// Two entries of a zip archive whose compressed bytes are the same.
#[test]
fn a_zip_whose_members_overlap_is_told_and_the_rest_is_scanned() {
    let plain = zip_of("a", &vec![b'x'; 100_000]);
    let directory = plain
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
        .expect("a directory");
    let end = plain
        .windows(4)
        .position(|four| four == b"PK\x05\x06")
        .expect("an end");
    let entry = &plain[directory..end];
    let mut bomb = plain[..directory].to_vec();
    let count = 1000_u16;
    for number in 0..count {
        let mut entry = entry.to_vec();
        entry[46] = b'a' + (number % 26) as u8;
        bomb.extend(entry);
    }
    let size = (bomb.len() - directory) as u32;
    bomb.extend(b"PK\x05\x06\0\0\0\0");
    bomb.extend(count.to_le_bytes());
    bomb.extend(count.to_le_bytes());
    bomb.extend(size.to_le_bytes());
    bomb.extend((directory as u32).to_le_bytes());
    bomb.extend([0; 2]);
    let image = image().layer([file("bomb.zip", bomb), file("token", token())]);
    let report = scan(&image, &[]).expect_code(1).json();
    let found = skips(&report);
    assert!(!found.is_empty(), "{report:#}");
    assert!(found.values().all(|kind| kind == "opaque"), "{found:?}");
    let expanded = report["coverage"]["expanded_bytes"].as_u64().expect("a number");
    // All of them would be 100 MB; it ends where more was read than the file holds.
    assert!(
        expanded < 60_000_000,
        "{expanded} bytes of a member that is there once"
    );
}

#[test]
fn a_pipe_that_closes_and_a_full_disk_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("image.tar"), leaky().docker_archive()).expect("it is written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_layersift"))
        .args(["scan", "image.tar", "--format", "json"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut first = [0; 1];
    stdout.read_exact(&mut first).expect("it writes");
    drop(stdout);
    let code = child.wait().expect("it ends").code();
    assert!(
        code == Some(1),
        "findings stay findings when nobody reads on: {code:?}"
    );
    if Path::new("/dev/full").exists() {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("it is there");
        let output = Command::new(env!("CARGO_BIN_EXE_layersift"))
            .args(["scan", "image.tar", "--format", "json"])
            .current_dir(folder.path())
            .stdout(full)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("cannot write"), "{said}");
    }
}

/// An OCI layout of one image with a token, whose documents are named by the digests `name` gives them.
fn layout(name: fn(&[u8]) -> (&'static str, String)) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut keep = |bytes: Vec<u8>, media_type: &str| {
        let (algorithm, encoded) = name(&bytes);
        let descriptor = json!({
            "mediaType": media_type, "digest": format!("{algorithm}:{encoded}"), "size": bytes.len(),
        });
        files.push((format!("layout/blobs/{algorithm}/{encoded}"), bytes));
        descriptor
    };
    let tar = leaky().layer_tars().next().expect("a layer").to_vec();
    let diff_id = layersift::oci::Digest::of(&tar);
    let layer = keep(tar, "application/vnd.oci.image.layer.v1.tar");
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id.as_str()]},
    });
    let config = keep(
        config.to_string().into_bytes(),
        "application/vnd.oci.image.config.v1+json",
    );
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": [layer]});
    let manifest = keep(manifest.to_string().into_bytes(), manifest_type);
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    files.push(("layout/index.json".into(), index.to_string().into_bytes()));
    files.push((
        "layout/oci-layout".into(),
        br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
    ));
    files
}

#[test]
fn digests_of_two_algorithms_are_verified_and_others_leave_the_scan_incomplete() {
    let scan = |files: Vec<(String, Vec<u8>)>| {
        let command = layersift(["scan", "./layout", "--format", "json"]);
        let command = files
            .into_iter()
            .fold(command, |command, (path, bytes)| command.file(&path, bytes));
        command.run()
    };
    let sha512: fn(&[u8]) -> (&'static str, String) = |bytes| {
        (
            "sha512",
            Sha512::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    };
    scan(layout(sha512)).expect_code(1);
    let mut changed = layout(sha512);
    changed[0].1[700] ^= 1;
    scan(changed).expect_code(5);
    let unknown = layout(|bytes| ("blake3", format!("{:064x}", bytes.len())));
    let run = scan(unknown);
    assert!(
        run.code.is_some_and(|code| code >= 4),
        "{:?} {}",
        run.code,
        run.text()
    );
    assert!(
        run.json()["findings"][0].is_object(),
        "it is searched all the same"
    );
}

#[test]
fn a_manifest_of_the_first_schema_is_no_clean_image() {
    let mut repository = Repository::of(&images([leaky()]));
    let secret = token();
    let config = json!({"id": "1", "config": {"Env": [format!("TOKEN={secret}")]}}).to_string();
    let manifest = json!({
        "schemaVersion": 1, "name": "app", "tag": "old", "architecture": "amd64",
        "fsLayers": [{"blobSum": layersift::oci::Digest::of(b"")}], "history": [{"v1Compatibility": config}],
    });
    for media_type in [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/json",
    ] {
        repository.manifest("old", media_type, manifest.to_string());
        let served = repository.clone();
        let server = Server::start(move |request| served.reply(request));
        let target = format!("{}/app:old", server.host());
        let run = layersift(["scan", &target, "--format", "json"]).run();
        assert!(
            run.code.is_some_and(|code| (3..=5).contains(&code)),
            "{media_type}: {:?}",
            run.code
        );
        assert!(
            run.text().contains("schema") || run.stderr.contains("schema"),
            "{media_type}: {}",
            run.text()
        );
    }
}

#[test]
fn what_a_layer_is_called_decides_nothing() {
    let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
    let tar = leaky().layer_tars().next().expect("a layer").to_vec();
    for (media_type, packing) in [
        (gzip, Packing::Zstd),
        (gzip, Packing::Plain),
        (zstd, Packing::Gzip),
        (
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            Packing::Gzip,
        ),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            Packing::Gzip,
        ),
        ("application/vnd.example.unknown", Packing::Zstd),
    ] {
        let image = image()
            .layer_tar(tar.clone())
            .stored_as(media_type, pack(&tar, packing));
        let run = layersift(["scan", "image.tar", "--format", "json"])
            .file("image.tar", image.oci_archive())
            .run()
            .expect_code(1);
        assert_eq!(status(&run.json()), "present", "{media_type} {packing:?}");
    }
}

/// What a lazily pulled layer ends with: an empty gzip member whose extra field says where its table is.
#[test]
fn a_table_of_contents_that_lies_moves_nothing() {
    let tar = leaky().layer_tars().next().expect("a layer").to_vec();
    let mut blob = pack(&tar, Packing::Gzip);
    blob.extend(b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0ffffffffffffffffSTARGZ");
    blob.extend(b"\x01\0\0\xff\xff\0\0\0\0\0\0\0\0");
    let image = image()
        .layer_tar(tar)
        .stored_as("application/vnd.oci.image.layer.v1.tar+gzip", blob);
    let run = layersift(["scan", "image.tar", "--format", "json"])
        .file("image.tar", image.oci_archive())
        .run()
        .expect_code(1);
    assert_eq!(status(&run.json()), "present");
}

/// The test servers refuse what could write; this is for a path of the program that no test takes.
#[test]
fn requests_that_could_write_are_made_in_two_places() {
    let writes = |line: &&str| {
        let line = line.trim_start();
        let is_method = ["POST", "PUT", "PATCH", "DELETE"]
            .iter()
            .any(|method| line.contains(&format!("Method::{method}")));
        let is_call = ["post", "put", "patch", "delete"]
            .iter()
            .any(|call| line.contains(&format!(".{call}(url")) || line.contains(&format!("client.{call}(")));
        is_method || is_call || line.contains("Method::from_bytes")
    };
    let mut found = Vec::new();
    for (name, text) in sources() {
        let lines = text.lines().filter(writes);
        found.extend(lines.map(|line| format!("{name}: {}", line.trim())));
    }
    let allowed = [
        // The upload of a report.
        "src/github/client.rs: Some(_) => Method::POST,",
        // A token is asked for.
        "src/source/registry/transport.rs: .post(url.clone())",
    ];
    assert_eq!(found, allowed);
}

/// The rows of the table in `tests/README.md`: number and what stands for it.
fn table() -> BTreeMap<usize, String> {
    let text = include_str!("README.md");
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = rows.filter_map(|row| {
        let mut cells = row.splitn(3, " | ");
        let number = cells
            .next()?
            .trim_start_matches(|letter: char| letter.is_ascii_uppercase());
        Some((number.parse().ok()?, cells.nth(1)?.to_owned()))
    });
    let mut table = BTreeMap::new();
    for (number, cell) in rows {
        assert!(
            table.insert(number, cell).is_none(),
            "row {number} is there twice"
        );
    }
    table
}

/// The files a test of this path may be in: `a::b::name` is in `a/b.rs`, `a/b/mod.rs` or `a/b/tests.rs`.
fn files_of(test: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules: Vec<&str> = test.split("::").collect();
    let modules = &modules[..modules.len() - 1];
    let folder = match modules.first() {
        Some(&"tests") => root.join(modules.join("/")),
        _ => root.join("src").join(modules.join("/")),
    };
    vec![
        folder.with_extension("rs"),
        folder.join("mod.rs"),
        folder.join("tests.rs"),
    ]
}

#[test]
fn every_hazard_has_a_test_that_exists_or_a_reason() {
    let table = table();
    assert_eq!(
        table.keys().copied().collect::<Vec<_>>(),
        (1..=155).collect::<Vec<_>>()
    );
    let security = include_str!("../SECURITY.md");
    for (number, cell) in table {
        let tests: Vec<&str> = cell
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.contains("::"))
            .collect();
        for test in &tests {
            let name = test.rsplit("::").next().expect("a name");
            let function = format!("fn {name}(");
            let texts = files_of(test)
                .into_iter()
                .filter_map(|file| std::fs::read_to_string(file).ok());
            let is_there = texts.into_iter().any(|text| text.contains(&function));
            assert!(is_there, "row {number}: there is no test `{test}`");
        }
        assert!(
            !tests.is_empty() || cell.contains("SECURITY.md"),
            "row {number} has neither test nor reason"
        );
        if cell.contains("SECURITY.md") {
            assert!(
                security.contains(&format!("hazard {number}")),
                "SECURITY.md says nothing of row {number}"
            );
        }
    }
}
