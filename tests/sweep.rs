//! Sweeps of whole registries: what is asked of them, what survives a kill, what the state answers.

mod changed_rules;
mod drivers;
mod faults;
mod filters;
mod scale;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{Layersift, Run, layersift};
use crate::support::image::{Image, image, images, index};
use crate::support::registry::{Registry, registry};
use crate::support::scripted::{Reply, Repository, Request, Server};
use crate::support::secrets::secrets;
use crate::support::tar::{file, whiteout};

/// A folder with a state and its key.
pub(crate) struct Place(TempDir);

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("state.db.key"), KEY).unwrap();
        Self(folder)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.path().join("state.db")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Layersift {
        layersift(words).arg("--state").arg(self.state())
    }

    #[track_caller]
    pub(crate) fn sweep(&self, target: &str, code: i32) -> Counts {
        Counts::of(&self.command(&["sweep", target]).run().expect_code(code))
    }

    /// A folder with a login for a registry, as `docker login` leaves it.
    pub(crate) fn login(&self, host: &str, user: &str, password: &str) -> PathBuf {
        let folder = self.path("login");
        std::fs::create_dir_all(&folder).unwrap();
        let auth = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("{user}:{password}"),
        );
        let config = json!({"auths": {host: {"auth": auth}}});
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        folder
    }

    pub(crate) fn report(&self) -> Value {
        self.command(&["sweep", "report"]).run().json()
    }

    #[track_caller]
    pub(crate) fn query(&self, words: &[&str]) -> Vec<BTreeMap<String, String>> {
        let run = self.command(&["query", "--format", "json"]).args(words).run();
        serde_json::from_value(run.json()).unwrap()
    }
}

/// What a sweep said it did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) layers: u64,
    pub(crate) lists: u64,
    pub(crate) digests: u64,
    pub(crate) manifests: u64,
    pub(crate) blobs: u64,
}

impl Counts {
    #[track_caller]
    pub(crate) fn of(run: &Run) -> Self {
        let before = |word: &str| -> u64 {
            let text = run.text().replace([',', ':'], " ");
            let words: Vec<&str> = text.split_whitespace().collect();
            let at = words.iter().position(|found| *found == word);
            let at = at.unwrap_or_else(|| panic!("no `{word}` in {}\n{}", run.text(), run.stderr));
            words[at - 1].parse().unwrap()
        };
        Self {
            layers: before("layers"),
            lists: before("lists"),
            digests: before("digests"),
            manifests: before("manifests"),
            blobs: before("blobs"),
        }
    }
}

pub(crate) fn token(number: u64) -> String {
    secrets(5000 + number).github_token()
}

pub(crate) fn base() -> Image {
    image().named("app:1").layer([
        file("etc/os-release", "NAME=base\n"),
        file("usr/lib/x", "x".repeat(9000)),
    ])
}

/// Ten repositories on one base: clean ones, a leak, a deleted leak, one in the configuration, one in a platform.
pub(crate) fn fill(registry: &Registry) {
    for number in 0..10_u64 {
        let name = format!("team/app-{number}");
        for tag in ["1", "2"] {
            let built = base().layer([file("srv/app", format!("{number} {tag}"))]);
            let built = match number {
                3 => built.layer([file("srv/.env", format!("TOKEN={}\n", token(3)))]),
                5 => built
                    .layer([file("root/.netrc", format!("password {}\n", token(5)))])
                    .layer([whiteout("root/.netrc")]),
                7 => built.env(&format!("GITHUB_TOKEN={}", token(7))),
                _ => built,
            };
            let built = match number {
                9 => {
                    let leaking = built
                        .clone()
                        .platform("linux/arm64")
                        .layer([file("srv/.env", format!("TOKEN={}\n", token(3)))]);
                    index("app:1", [built, leaking])
                }
                _ => images([built]),
            };
            registry.push(&built, &name, tag);
        }
    }
}

#[test]
fn a_second_sweep_asks_for_lists_and_digests_and_nothing_else() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let first = place.sweep(&registry.host(), 1);
    assert_eq!((first.lists, first.digests), (12, 20), "{first:?}");
    // One base, 20 of their own, 2 + 2 leaks, 2 whiteouts that are one blob, the leaks of arm64 that are those of amd64.
    assert_eq!(
        first.manifests, 24,
        "an index and two images for each tag of one repository: {first:?}"
    );
    let report = place.report();
    let second = place.sweep(&registry.host(), 1);
    let nothing = Counts {
        layers: 0,
        lists: 11,
        digests: 20,
        manifests: 0,
        blobs: 0,
    };
    assert_eq!(second, nothing);
    assert_eq!(place.report(), report);
    let findings: Vec<&str> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|image| !image["findings"].as_array().unwrap().is_empty())
        .map(|image| image["repository"].as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    assert_eq!(
        findings,
        [
            "app-3", "app-3", "app-5", "app-5", "app-7", "app-7", "app-9", "app-9"
        ]
    );
    let state = std::fs::read(place.state()).unwrap();
    for number in [3, 5, 7] {
        assert!(memchr::memmem::find(&state, token(number).as_bytes()).is_none());
    }
    // Where is this one? In two repositories, in every tag of them.
    let run = place
        .command(&["query", "secret", "--value-stdin", "--format", "json"])
        .stdin(format!("{}\n", token(3)))
        .run()
        .expect_code(1);
    let rows: Vec<BTreeMap<String, String>> = serde_json::from_value(run.json()).unwrap();
    let places: Vec<(&str, &str, &str)> = rows
        .iter()
        .map(|row| {
            let name = row["repository"].rsplit('/').next().unwrap();
            (name, row["tag"].as_str(), row["where"].as_str())
        })
        .collect();
    assert_eq!(
        places,
        [
            ("app-3", "1", "live"),
            ("app-3", "2", "live"),
            ("app-9", "1", "live"),
            ("app-9", "2", "live")
        ]
    );
    assert!(rows.iter().all(|row| row["place"] == "/srv/.env"), "{rows:?}");
}

#[test]
fn findings_of_a_sweep_are_those_of_a_scan() {
    let registry = registry().start();
    let (id, key) = secrets(1).aws_pair();
    let built = base()
        .env(&format!("AWS_ACCESS_KEY_ID={id}"))
        .layer([file("srv/creds", format!("aws_secret_access_key = {key}\n"))])
        .layer([file("srv/.env", format!("TOKEN={}\n", token(1)))])
        .layer([whiteout("srv/.env")]);
    registry.push(&images([built]), "app", "1");
    let reference = registry.reference("app", "1");
    let place = Place::new();
    place.sweep(&reference, 1);
    let folder = place.0.path().join("sarif");
    place
        .command(&["sweep", "report"])
        .arg(format!("--format=sarif={}/", folder.display()))
        .run()
        .expect_code(1);
    let written: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(written.len(), 1);
    let swept: Value = serde_json::from_slice(&std::fs::read(&written[0]).unwrap()).unwrap();
    let scanned = layersift(["scan", &reference, "--from", "registry", "--format", "sarif"])
        .arg("--fingerprint-key-file")
        .arg(place.0.path().join("state.db.key"))
        .run()
        .expect_code(1)
        .json();
    let results = |sarif: &Value| sarif["runs"][0]["results"].clone();
    assert_eq!(
        results(&swept).as_array().unwrap().len(),
        results(&scanned).as_array().unwrap().len()
    );
    let told = |sarif: &Value| -> Vec<Value> {
        let results = results(sarif);
        results
            .as_array()
            .unwrap()
            .iter()
            .map(|result| {
                json!([
                    result["ruleId"],
                    result["partialFingerprints"],
                    result["locations"]
                ])
            })
            .collect()
    };
    assert_eq!(told(&swept), told(&scanned));
}

#[test]
fn a_leak_that_a_tag_left_behind_is_pointed_out() {
    let registry = registry().start();
    let leaking = base().layer([file("srv/.env", format!("TOKEN={}\n", token(1)))]);
    registry.push(&images([leaking]), "app", "1");
    let place = Place::new();
    place.sweep(&registry.host(), 1);
    registry.push(
        &images([base().layer([file("srv/.env", "TOKEN=\n")])]),
        "app",
        "1",
    );
    // The tag is clean, the manifest is still there.
    place.sweep(&registry.host(), 1);
    let moved = place.query(&["moved"]);
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert_eq!((&*moved[0]["change"], &*moved[0]["gained"]), ("moved", ""));
    let secret = moved[0]["lost"].clone();
    assert!(secret.starts_with("lss1:"), "{moved:?}");
    let carriers = place.query(&["secret", &secret]);
    assert_eq!(carriers.len(), 1);
    assert_eq!(
        (&*carriers[0]["where"], &*carriers[0]["tag"]),
        ("untagged", "1"),
        "{carriers:?}"
    );
    let run = place
        .command(&["query", "secret", &secret, "--verify-gone"])
        .run()
        .expect_code(1);
    assert!(run.stderr.contains("still there: manifest"), "{}", run.stderr);
    assert!(run.stderr.contains("still there: blob"), "{}", run.stderr);
    let image = place.query(&["image", &moved[0]["from"]]);
    assert_eq!(image.len(), 1, "{image:?}");
    // Once it is deleted, the next sweep says so.
    registry.delete_manifest("app", &moved[0]["from"]);
    place.sweep(&registry.host(), 0);
    let carriers = place.query(&["secret", &secret]);
    assert_eq!(&*carriers[0]["where"], "gone", "{carriers:?}");
}

#[test]
fn a_deleted_tag_ends_and_another_that_cannot_be_listed_does_not() {
    let registry = registry().start();
    for tag in ["1", "2"] {
        registry.push(&images([base().layer([file("a", tag)])]), "app", tag);
    }
    let place = Place::new();
    place.sweep(&registry.host(), 0);
    std::fs::remove_dir_all(registry.tag_folder("app", "2")).unwrap();
    place.sweep(&registry.host(), 0);
    let moved = place.query(&["moved"]);
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert_eq!((&*moved[0]["tag"], &*moved[0]["change"]), ("2", "deleted"));
}

/// Everything a killed sweep went on to must be what one that was not killed says.
#[test]
fn a_sweep_that_is_killed_anywhere_goes_on_to_the_same_report() {
    let registry = registry().start();
    fill(&registry);
    let whole = Place::new();
    whole.sweep(&registry.host(), 1);
    let expected = whole.report();
    let kills: u32 = std::env::var("LAYERSIFT_TEST_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let mut done = 0;
    let mut cut_short = 0;
    let mut random = secrets(77);
    while done < kills {
        let place = Place::new();
        loop {
            let mut child = Command::new(env!("CARGO_BIN_EXE_layersift"))
                .args(["sweep", &registry.host(), "--jobs", "1", "--state"])
                .arg(place.state())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let milliseconds: u64 = random.characters(&["0123456789"], 4).parse().unwrap();
            std::thread::sleep(Duration::from_millis(milliseconds / 5));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            done += 1;
            cut_short += u32::from(place.state().exists());
            if done >= kills {
                break;
            }
        }
        place.sweep(&registry.host(), 1);
        assert_eq!(place.report(), expected, "after {done} kills");
    }
    assert!(cut_short > 0, "some kills meet a state");
}

#[test]
fn an_interrupted_sweep_says_so_and_goes_on() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    // A request every half second: it cannot be done before it is ended.
    let run = place
        .command(&["sweep", &registry.host(), "--rate", "4", "--timeout", "2s"])
        .run();
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(run.text().contains("not done"), "{}", run.text());
    let run = place.command(&["sweep", &registry.host()]).run().expect_code(1);
    assert!(run.stderr.contains("going on"), "{}", run.stderr);
}

#[test]
fn a_second_sweep_at_the_same_time_is_refused() {
    let place = Place::new();
    let lock = std::fs::File::create(place.0.path().join("state.db.lock")).unwrap();
    lock.lock().unwrap();
    let run = place.command(&["sweep", "127.0.0.1:1"]).run().expect_code(2);
    assert!(run.stderr.contains("another sweep is using"), "{}", run.stderr);
}

#[test]
fn a_dry_run_says_what_there_is_to_read_and_writes_nothing() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let run = place
        .command(&["sweep", "--dry-run", &registry.host()])
        .run()
        .expect_code(0);
    assert!(run.text().starts_with("would read 2"), "{}", run.text());
    assert!(!place.state().exists());
    place.sweep(&format!("{}/team/app-1", registry.host()), 0);
    let before = std::fs::read(place.state()).unwrap();
    let run = place
        .command(&["sweep", "--dry-run", &registry.host()])
        .run()
        .expect_code(0);
    assert!(run.text().starts_with("would read "), "{}", run.text());
    assert_eq!(std::fs::read(place.state()).unwrap().len(), before.len());
}

#[test]
fn only_what_is_chosen_is_read() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let counts = Counts::of(
        &place
            .command(&[
                "sweep",
                &registry.host(),
                "--repository",
                "team/app-[1-4]",
                "--newest",
                "1",
            ])
            .run()
            .expect_code(1),
    );
    assert_eq!((counts.digests, counts.manifests), (4, 4));
    // Tags that were left out are not taken for deleted ones.
    let all = place.sweep(&registry.host(), 1);
    assert_eq!(all.manifests, 20, "{all:?}");
    assert!(place.query(&["moved"]).iter().all(|row| row["change"] == "new"));
}

/// A registry whose answers are those of `answer` where that gives one, of a repository `app` elsewhere.
fn scripted(answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let leak = base().layer([file("srv/.env", format!("TOKEN={}\n", token(1)))]);
    let repository = Repository::of(&images([leak]));
    Server::start(move |request| {
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        answer(request).unwrap_or_else(|| match path.as_str() {
            "/v2/_catalog" => Reply::ok(r#"{"repositories":["app"]}"#),
            "/v2/app/tags/list" => Reply::ok(r#"{"name":"app","tags":["1"]}"#),
            _ => repository.reply(request),
        })
    })
}

pub(crate) fn reasons(place: &Place) -> Vec<String> {
    let missing = place.report()["missing"].clone();
    let missing = missing.as_array().unwrap();
    missing
        .iter()
        .map(|missing| missing["reason"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_registry_that_loops_its_pages_is_read_once_and_said_to_be_incomplete() {
    let server = scripted(|request| {
        request.path.starts_with("/v2/_catalog").then(|| {
            Reply::ok(r#"{"repositories":["app"]}"#).header("Link", "</v2/_catalog?n=1000>; rel=\"next\"")
        })
    });
    let place = Place::new();
    place.sweep(server.host(), 5);
    assert_eq!(reasons(&place), ["malformed"]);
}

#[test]
fn lists_that_are_null_are_empty_and_invalid_names_are_counted() {
    let server = scripted(|request| match request.path.split('?').next() {
        Some("/v2/_catalog") => Some(Reply::ok(r#"{"repositories":["app","none","../x","UPPER"]}"#)),
        Some("/v2/none/tags/list") => Some(Reply::ok(r#"{"name":"none","tags":null}"#)),
        _ => None,
    });
    let place = Place::new();
    place.sweep(server.host(), 5);
    assert_eq!(reasons(&place), ["invalid-names"]);
}

#[test]
fn a_repository_without_tags_is_empty_unless_it_was_named() {
    let server = scripted(|request| {
        request
            .path
            .starts_with("/v2/_catalog")
            .then(|| Reply::ok(r#"{"repositories":["app","gone"]}"#))
    });
    let place = Place::new();
    place.sweep(server.host(), 1);
    assert_eq!(reasons(&place), [""; 0]);
    assert_eq!(place.report()["images"].as_array().unwrap().len(), 1);
    place.sweep(&format!("{}/gone", server.host()), 5);
    assert_eq!(reasons(&place), ["not-found"]);
}

#[test]
fn an_image_that_vanishes_while_it_is_read_is_named_and_the_others_are_read() {
    let server = scripted(|request| {
        let path = request.path.split('?').next().unwrap_or_default();
        let digest = format!("sha256:{}", "0".repeat(64));
        match (request.method.as_str(), path) {
            (_, "/v2/app/tags/list") => Some(Reply::ok(r#"{"name":"app","tags":["1","2"]}"#)),
            ("HEAD", "/v2/app/manifests/2") => Some(Reply::ok("").header("Docker-Content-Digest", &digest)),
            _ => None,
        }
    });
    let place = Place::new();
    place.sweep(server.host(), 5);
    assert_eq!(reasons(&place), ["not-found"]);
    assert_eq!(place.report()["images"].as_array().unwrap().len(), 1);
}

#[test]
fn a_list_that_fails_is_no_deletion() {
    let place = Place::new();
    let failing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_failing = std::sync::Arc::clone(&failing);
    let server = scripted(move |request| {
        let fails =
            is_failing.load(std::sync::atomic::Ordering::SeqCst) && request.path.contains("/tags/list");
        fails.then(|| Reply::new(403).body(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#))
    });
    place.sweep(server.host(), 1);
    failing.store(true, std::sync::atomic::Ordering::SeqCst);
    place.sweep(server.host(), 5);
    assert_eq!(place.query(&["moved"]), [], "nothing moved");
    assert_eq!(place.report()["images"].as_array().unwrap().len(), 1);
}

#[test]
fn a_login_that_expires_half_way_is_told_and_the_next_sweep_reads_the_rest() {
    let blobs = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let refused = std::sync::Arc::clone(&blobs);
    let server = scripted(move |request| {
        let refuses = refused.load(std::sync::atomic::Ordering::SeqCst) && request.path.contains("/blobs/");
        refuses.then(|| Reply::new(401).body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"expired"}]}"#))
    });
    let place = Place::new();
    place.sweep(server.host(), 4);
    assert!(!reasons(&place).is_empty());
    blobs.store(false, std::sync::atomic::Ordering::SeqCst);
    place.sweep(server.host(), 1);
    assert_eq!(reasons(&place), [""; 0]);
}

#[test]
fn a_blob_of_another_digest_is_not_believed() {
    let server = scripted(|request| {
        let is_layer = request.path.contains("/blobs/") && request.method == "GET";
        is_layer.then(|| Reply::ok("something else"))
    });
    let place = Place::new();
    let run = place.command(&["sweep", server.host()]).run();
    assert_eq!(run.code, Some(4), "{}", run.stderr);
}

#[test]
fn the_page_and_the_text_of_a_state_name_every_leak_and_no_secret() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    place.sweep(&registry.host(), 1);
    let report = place.report();
    for format in ["html", "markdown"] {
        let run = place
            .command(&["sweep", "report", "--format", format])
            .run()
            .expect_code(1);
        for image in report["images"].as_array().unwrap() {
            let leaks = !image["findings"].as_array().unwrap().is_empty();
            let digest = image["digest"].as_str().unwrap();
            assert_eq!(run.text().contains(digest), leaks, "{format}: {digest}");
        }
        for number in [3, 5, 7] {
            assert!(!run.text().contains(&token(number)), "{format}");
        }
    }
}

/// A limit on the size of files stands for a disk that is full.
#[test]
fn a_full_disk_is_named_and_the_sweep_goes_on_when_there_is_room() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1200; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_layersift"))
        .args(["sweep", &registry.host(), "--state"])
        .arg(place.state())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("cannot use the state"), "{stderr}");
    let run = place.command(&["sweep", &registry.host()]).run().expect_code(1);
    assert!(run.stderr.contains("going on"), "{}", run.stderr);
    let whole = Place::new();
    whole.sweep(&registry.host(), 1);
    assert_eq!(place.report(), whole.report());
}

#[test]
fn an_address_for_numbers_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let place = Place::new();
    let run = place
        .command(&["sweep", "127.0.0.1:1", "--metrics", &port])
        .run()
        .expect_code(2);
    assert!(
        run.stderr.contains(&format!("127.0.0.1:{port}")),
        "{}",
        run.stderr
    );
}
