//! Layers that an earlier scan read are not read again, and the report is the same.

use std::fs;
use std::path::{Path, PathBuf};

use layersift::oci::Digest;

use crate::support::command::layersift;
use crate::support::image::{Image, image};
use crate::support::secrets::secrets;
use crate::support::tar::{file, whiteout};

/// An image with secrets in its layers, one of them deleted, and in its configuration.
fn planted() -> (Image, Vec<String>) {
    let mut secrets = secrets(7);
    let (id, key) = secrets.aws_pair();
    let token = secrets.github_token();
    let password = secrets.password(18);
    let image = image()
        .named("registry.example.com/app:1")
        .layer([
            file("srv/id", format!("aws_access_key_id = {id}\n")),
            file("srv/.env", format!("TOKEN={token}\nDB_PASSWORD={password}\n")),
        ])
        .layer([
            whiteout("srv/.env"),
            file("srv/key", format!("aws_secret_access_key = {key}\n")),
        ])
        .env(&format!("TOKEN={token}"));
    // The id of the pair is no secret, and reports show it.
    (image, vec![key, token, password])
}

fn scanned(layout: &Path, options: &[&str]) -> (Option<i32>, String, String) {
    let run = layersift(["scan", "--format", "json", "--min-confidence", "low"])
        .args(options)
        .arg(layout)
        .run();
    (run.code, run.text().to_owned(), run.stderr)
}

fn records(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "layer"))
        .collect()
}

/// Overwrites the blobs of all layers.
fn destroy_layers(image: &Image, layout: &Path) {
    for (_, blob) in image.layer_blobs() {
        let digest = Digest::of(&blob).to_string();
        let path = layout
            .join("blobs/sha256")
            .join(digest.trim_start_matches("sha256:"));
        assert_eq!(fs::read(&path).unwrap(), blob);
        fs::write(path, vec![b'x'; blob.len()]).unwrap();
    }
}

#[test]
fn a_layer_is_read_once_and_the_report_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, cache) = (folder.path().join("layout"), folder.path().join("a/cache"));
    let (image, planted) = planted();
    image.write_oci_layout(&layout);
    let with_cache = ["--cache", cache.to_str().unwrap()];

    let (code, plain, _) = scanned(&layout, &[]);
    assert_eq!(code, Some(1));
    let (_, first, stderr) = scanned(&layout, &with_cache);
    assert_eq!((first.as_str(), stderr.as_str()), (plain.as_str(), ""));
    assert_eq!(records(&cache).len(), 2);
    destroy_layers(&image, &layout);
    let (code, second, _) = scanned(&layout, &with_cache);
    assert_eq!(code, Some(1));
    assert_eq!(second, plain);

    for entry in fs::read_dir(&cache).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for secret in &planted {
            assert!(memchr::memmem::find(&bytes, secret.as_bytes()).is_none());
        }
    }
}

#[test]
fn other_rules_limits_and_keys_read_layers_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, cache) = (folder.path().join("layout"), folder.path().join("cache"));
    let (image, _) = planted();
    image.write_oci_layout(&layout);
    let rules = folder.path().join("rules.toml");
    fs::write(&rules, "[[override]]\nid = \"npm-token\"\nenabled = false\n").unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
    let with_cache = ["--cache", cache.to_str().unwrap()];
    let (code, ..) = scanned(&layout, &with_cache);
    assert_eq!(code, Some(1));
    destroy_layers(&image, &layout);
    for other in [
        ["--rules", rules.to_str().unwrap()],
        ["--limit", "archive-depth=3"],
        ["--fingerprint-key-file", key.to_str().unwrap()],
    ] {
        let (code, ..) = scanned(&layout, &[&with_cache[..], &other].concat());
        assert_eq!(
            code,
            Some(5),
            "{other:?}: the layers are not what their digests say"
        );
    }
    // And what could not be verified was not kept.
    assert_eq!(records(&cache).len(), 2);
}

#[test]
fn the_cache_is_bounded_and_can_be_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, cache) = (folder.path().join("layout"), folder.path().join("cache"));
    planted().0.write_oci_layout(&layout);
    let with_cache = ["--cache", cache.to_str().unwrap()];
    scanned(&layout, &with_cache);
    let kept = records(&cache);
    let most = kept
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .max()
        .unwrap();
    let (code, ..) = scanned(
        &layout,
        &[
            &with_cache[..],
            &["--clear-cache", "--limit", &format!("cache-bytes={most}")],
        ]
        .concat(),
    );
    assert_eq!(code, Some(1));
    assert_eq!(records(&cache).len(), 1);
    let run = layersift(["scan", "--clear-cache"]).arg(&layout).run();
    assert_eq!(run.code, Some(2));
}

#[test]
fn a_damaged_record_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, cache) = (folder.path().join("layout"), folder.path().join("cache"));
    planted().0.write_oci_layout(&layout);
    let with_cache = ["--cache", cache.to_str().unwrap()];
    let (_, first, _) = scanned(&layout, &with_cache);
    for path in records(&cache) {
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let (_, second, _) = scanned(&layout, &with_cache);
    assert_eq!(second, first);
}

#[test]
fn secrets_cannot_be_shown_from_a_cache() {
    let run = layersift(["scan", "--cache", "cache", "--show-secrets", "image.tar"]).run();
    assert_eq!(run.code, Some(2));
}
