//! What of a registry is swept, and what is said of the rest.

use serde_json::json;

use super::drivers::listing;
use super::{Counts, Place, base, fill, reasons};
use crate::support::image::images;
use crate::support::registry::registry;
use crate::support::scripted::Reply;
use crate::support::tar::file;

/// A registry that says when things were pushed: a tag and a manifest without one on two days of 2026.
fn dated() -> crate::support::scripted::Server {
    listing(|request, two| {
        let path = request.path.split('?').next().unwrap();
        Some(Reply::ok(match path {
            "/api/v2.0/repositories" => json!([{"name": "team/app"}]).to_string(),
            path if path.ends_with("/artifacts") => json!([
                {"digest": two.tagged, "push_time": "2026-01-10T00:00:00.000Z", "tags": [
                    {"name": "1", "push_time": "2026-01-10T00:00:00.000Z"},
                    {"name": "2", "push_time": "2026-03-10T00:00:00.000Z"},
                    {"name": "10", "push_time": "2026-02-10T00:00:00.000Z"},
                ]},
                {"digest": two.untagged, "push_time": "2026-02-10T10:00:00.000Z", "tags": null},
            ])
            .to_string(),
            _ => return None,
        }))
    })
}

#[test]
fn only_what_was_pushed_since_is_read_where_the_registry_says_when() {
    let server = dated();
    for (since, tags, images) in [
        ("2026-02-11", vec!["2"], 1),
        ("2026-02-10T10:00:00Z", vec!["2"], 2),
        ("2026-02-10", vec!["10", "2"], 2),
        ("2026-01-01T00:00:00+00:00", vec!["1", "10", "2"], 2),
    ] {
        let place = Place::new();
        let words = [
            "sweep",
            server.host(),
            "--kind",
            "harbor",
            "--pushed-since",
            since,
        ];
        place.command(&words).run().expect_code(i32::from(images == 2));
        let report = place.report();
        let found = report["images"].as_array().unwrap();
        assert_eq!(found.len(), images, "{since}: {report:#}");
        assert!(
            found.iter().any(|image| image["tags"] == json!(tags)),
            "{since}: {report:#}"
        );
        // When a tag was pushed is known for good.
        let connection = rusqlite::Connection::open(place.state()).unwrap();
        let pushed = "SELECT pushed_at FROM tag_history WHERE tag = '2'";
        let pushed: i64 = connection.query_row(pushed, [], |row| row.get(0)).unwrap();
        assert_eq!(pushed, 1_773_100_800);
    }
    let run = Place::new()
        .command(&["sweep", server.host(), "--pushed-since", "last week"])
        .run();
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("expected a date"), "{}", run.stderr);
}

#[test]
fn the_newest_tags_are_those_that_were_pushed_last() {
    let server = dated();
    let place = Place::new();
    let words = ["sweep", server.host(), "--kind", "harbor", "--newest", "1"];
    place.command(&words).run().expect_code(1);
    let report = place.report();
    let found = report["images"].as_array().unwrap();
    assert!(
        found.iter().any(|image| image["tags"] == json!(["2"])),
        "{report:#}"
    );
}

#[test]
fn repositories_and_tags_are_chosen_by_globs_and_expressions() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let words = [
        "sweep",
        &registry.host(),
        "--dry-run",
        "--repository",
        "regex:team/app-[13]",
        "--tag",
        "regex:[1-9]",
    ];
    let run = place.command(&words).run().expect_code(0);
    assert!(run.text().starts_with("would read 6 layers"), "{}", run.text());
    let words = [
        "sweep",
        &registry.host(),
        "--repository",
        "regex:team/app-[13]",
        "--repository",
        "*-5",
        "--tag",
        "1",
    ];
    let counts = Counts::of(&place.command(&words).run().expect_code(1));
    assert_eq!((counts.digests, counts.manifests), (3, 3));
    let run = place
        .command(&["sweep", &registry.host(), "--tag", "regex:("])
        .run();
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("no regular expression"), "{}", run.stderr);
}

#[test]
fn layers_that_are_too_large_are_named_and_the_rest_is_read() {
    let registry = registry().start();
    let noise: String = (0..40_000_u64)
        .map(|number| number.wrapping_mul(0x9e37_79b9).to_string())
        .collect();
    let built = base()
        .layer([file("srv/.env", format!("TOKEN={}\n", super::token(1)))])
        .layer([file("srv/model", noise)]);
    registry.push(&images([built]), "app", "1");
    let place = Place::new();
    let words = ["sweep", &registry.host(), "--max-layer", "100KiB"];
    let first = Counts::of(&place.command(&words).run().expect_code(5));
    assert_eq!(first.layers, 2);
    assert_eq!(reasons(&place), ["layer-size"]);
    let findings = place.report()["images"][0]["findings"].clone();
    assert_eq!(findings.as_array().unwrap().len(), 1);
    // Nothing more is asked for while the limit stands, and what it left is read once it does not.
    let again = Counts::of(&place.command(&words).run().expect_code(5));
    assert_eq!((again.layers, again.blobs), (0, 0));
    let all = place.sweep(&registry.host(), 1);
    assert_eq!((all.layers, all.manifests), (1, 0));
    assert_eq!(reasons(&place), [""; 0]);
}

#[test]
fn platforms_that_were_not_asked_for_are_not_fetched() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let target = format!("{}/team/app-9:1", registry.host());
    let words = ["sweep", &target, "--platform", "linux/amd64"];
    let counts = Counts::of(&place.command(&words).run().expect_code(0));
    assert_eq!(counts.manifests, 2, "the index and one of its two: {counts:?}");
    let counts = place.sweep(&target, 1);
    assert_eq!(counts.manifests, 1, "the other one: {counts:?}");
}

/// What there is to do is said in requests and bytes, and then it is what is done.
#[test]
fn a_dry_run_tells_the_requests_and_bytes_of_the_sweep() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let run = place
        .command(&["sweep", &registry.host(), "--dry-run"])
        .run()
        .expect_code(0);
    let said = run.text().to_owned();
    let done = place.command(&["sweep", &registry.host()]).run().expect_code(1);
    let counts = Counts::of(&done);
    let expected = format!(
        "would read {} layers by {} requests",
        counts.layers, counts.layers
    );
    assert!(said.starts_with(&expected), "{said}");
    // Lists and manifests take what they took in the trial.
    let rest = counts.lists + counts.digests + counts.manifests + (counts.blobs - counts.layers);
    assert!(
        said.contains(&format!(" {rest} requests for lists, digests, manifests")),
        "{said} {counts:?}"
    );
    let bytes = done.text().split('(').nth(1).unwrap().split(')').next().unwrap();
    assert!(said.contains(bytes), "{said}: {}", done.text());
}

/// What another registry has is not looked at, and so not given up.
#[test]
fn a_sweep_of_one_registry_leaves_the_layers_of_another_alone() {
    let (one, other) = (registry().start(), registry().start());
    for (registry, number) in [(&one, 1), (&other, 2)] {
        let built = base().layer([file("srv/.env", format!("TOKEN={}\n", super::token(number)))]);
        registry.push(&images([built]), "app", "1");
    }
    let place = Place::new();
    // The first is ended before it read any layer.
    let folder = place.path("plan");
    let command = place
        .command(&["plan", &one.host(), "--shards", "1"])
        .arg("--out");
    command.arg(&folder).run().expect_code(0);
    let counts = place.sweep(&other.host(), 5);
    assert_eq!(counts.layers, 2, "the base is of both: {counts:?}");
    assert_eq!(reasons(&place), [""; 0]);
    let status = place.command(&["sweep", "status", "--json"]).run().json();
    assert_eq!(
        (&status["layers_left"], &status["layers_read"]),
        (&json!(1), &json!(2))
    );
    let counts = place.sweep(&one.host(), 1);
    assert_eq!((counts.layers, counts.manifests), (1, 0), "{counts:?}");
    let images = place.report()["images"].clone();
    assert!(
        images
            .as_array()
            .unwrap()
            .iter()
            .all(|image| image["complete"] == json!(true)),
        "{images:#}"
    );
    assert_eq!(images.as_array().unwrap().len(), 2);
}

/// What of a deleted image was never read is not missed for ever.
#[test]
fn nobody_waits_for_the_layers_of_a_deleted_image() {
    let registry = registry().start();
    registry.push(&images([base()]), "app", "1");
    let built = images([base().layer([file("srv/x", "x")])]);
    registry.push(&built, "gone", "1");
    let place = Place::new();
    let command = place
        .command(&["plan", &registry.host(), "--shards", "1"])
        .arg("--out");
    command.arg(place.path("plan")).run().expect_code(0);
    std::fs::remove_dir_all(registry.tag_folder("gone", "1")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&built.oci_layout()["index.json"]).unwrap();
    registry.delete_manifest("gone", index["manifests"][0]["digest"].as_str().unwrap());
    for _ in 0..2 {
        place.sweep(&registry.host(), 0);
        assert_eq!(reasons(&place), [""; 0]);
    }
}

/// A registry that counts manifests, and says what is left of them with each answer.
#[test]
fn pulls_that_are_kept_for_others_are_not_taken() {
    let left = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(12));
    let counted = std::sync::Arc::clone(&left);
    let built: Vec<_> = (0..10)
        .map(|number| {
            let image = base().layer([file("srv/app", number.to_string())]);
            (format!("1.{number}"), images([image]).oci_layout())
        })
        .collect();
    let mut objects = std::collections::HashMap::new();
    let mut tags = std::collections::HashMap::new();
    for (tag, layout) in built {
        let index: serde_json::Value = serde_json::from_slice(&layout["index.json"]).unwrap();
        tags.insert(tag, index["manifests"][0]["digest"].as_str().unwrap().to_owned());
        objects.extend(layout.into_iter().filter_map(|(path, bytes)| {
            Some((format!("sha256:{}", path.strip_prefix("blobs/sha256/")?), bytes))
        }));
    }
    let server = crate::support::scripted::Server::start(move |request| {
        let path = request.path.split('?').next().unwrap();
        let last = path.rsplit('/').next().unwrap();
        let is_manifest = path.contains("/manifests/");
        let reply = match path {
            "/v2/_catalog" => Reply::ok(r#"{"repositories":["app"]}"#),
            "/v2/app/tags/list" => {
                let mut names: Vec<&String> = tags.keys().collect();
                names.sort();
                Reply::ok(json!({"name": "app", "tags": names}).to_string())
            }
            _ if request.method == "HEAD" => match tags.get(last) {
                Some(digest) => Reply::ok("").header("Docker-Content-Digest", digest),
                None => Reply::new(404),
            },
            _ => match objects.get(last) {
                Some(bytes) => Reply::ok(bytes.clone()),
                None => Reply::new(404),
            },
        };
        if !is_manifest {
            return reply;
        }
        // HEAD is free, and tells too.
        let taken = u64::from(request.method == "GET");
        let left = counted.fetch_sub(taken, std::sync::atomic::Ordering::SeqCst) - taken;
        reply
            .header("ratelimit-limit", "100;w=21600")
            .header("ratelimit-remaining", &format!("{left};w=21600"))
    });
    let place = Place::new();
    let words = ["sweep", server.host(), "--keep-pulls", "8", "--parallel", "1"];
    let run = place.command(&words).run().expect_code(4);
    assert_eq!(
        left.load(std::sync::atomic::Ordering::SeqCst),
        8,
        "four were taken"
    );
    assert!(
        run.stderr.contains("8 are to be left for others"),
        "{}",
        run.stderr
    );
    assert_eq!(Counts::of(&run).manifests, 4);
    // What was not taken is named, and neither is it taken later while nothing is left.
    assert_eq!(reasons(&place).len(), 6);
    let again = Counts::of(&place.command(&words).run().expect_code(4));
    assert_eq!((again.manifests, again.blobs), (0, 0));
    left.store(100, std::sync::atomic::Ordering::SeqCst);
    let rest = Counts::of(&place.command(&words).run().expect_code(0));
    assert_eq!(rest.manifests, 6, "none twice");
    assert_eq!(reasons(&place), [""; 0]);
}

/// What refers to an image is read once, and found when it comes later.
#[test]
fn what_refers_to_an_image_is_swept_where_that_is_asked_for() {
    let built = images([base()]).oci_layout();
    let index: serde_json::Value = serde_json::from_slice(&built["index.json"]).unwrap();
    let subject = index["manifests"][0].clone();
    let digest = subject["digest"].as_str().unwrap().to_owned();
    let mut objects = std::collections::HashMap::new();
    let mut put = |bytes: Vec<u8>| {
        let digest = layersift::oci::Digest::of(&bytes).to_string();
        objects.insert(digest.clone(), bytes.clone());
        (digest, bytes.len())
    };
    for (path, bytes) in &built {
        if path.starts_with("blobs/") {
            put(bytes.clone());
        }
    }
    let (blob, blob_size) = put(format!("TOKEN={}\n", super::token(4)).into_bytes());
    let (empty, empty_size) = put(b"{}".to_vec());
    let artifact = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.notes",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": empty_size},
        "layers": [{"mediaType": "text/plain", "digest": blob, "size": blob_size}], "subject": subject});
    let (referrer, referrer_size) = put(artifact.to_string().into_bytes());
    let is_there = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let there = std::sync::Arc::clone(&is_there);
    let tagged = digest.clone();
    let listed = referrer.clone();
    let server = crate::support::scripted::Server::start(move |request| {
        let path = request.path.split('?').next().unwrap();
        let last = path.rsplit('/').next().unwrap();
        if path.contains("/referrers/") {
            let has = last == tagged && there.load(std::sync::atomic::Ordering::SeqCst);
            let found = has.then(|| {
                json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": listed, "size": referrer_size,
                    "artifactType": "application/vnd.example.notes"})
            });
            let found: Vec<_> = found.into_iter().collect();
            let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": found});
            return Reply::ok(index.to_string());
        }
        match path {
            "/v2/_catalog" => Reply::ok(r#"{"repositories":["app"]}"#),
            "/v2/app/tags/list" => Reply::ok(r#"{"name":"app","tags":["1"]}"#),
            "/v2/app/manifests/1" => Reply::ok("").header("Docker-Content-Digest", &tagged),
            _ => match objects.get(last) {
                Some(bytes) => Reply::ok(bytes.clone()),
                None => Reply::new(404),
            },
        }
    });
    let place = Place::new();
    let words = ["sweep", server.host(), "--referrers"];
    let first = Counts::of(&place.command(&words).run().expect_code(0));
    // Whether it is Harbor, its repositories, their tags, what refers to the image.
    assert_eq!((first.lists, first.manifests), (4, 1), "{first:?}");
    // It comes after the image was read.
    is_there.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(
        place.sweep(server.host(), 0).lists,
        2,
        "nobody asks for it unless told to"
    );
    let second = Counts::of(&place.command(&words).run().expect_code(1));
    assert_eq!((second.manifests, second.layers), (1, 1), "{second:?}");
    let third = Counts::of(&place.command(&words).run().expect_code(1));
    assert_eq!((third.manifests, third.blobs), (0, 0), "{third:?}");
    let report = place.report();
    let leaking = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .find(|image| image["digest"] == json!(referrer));
    assert_eq!(
        leaking.unwrap()["findings"].as_array().unwrap().len(),
        1,
        "{report:#}"
    );
}
