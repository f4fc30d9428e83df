//! Many repositories: what a second sweep costs, and how much memory a long one takes. The numbers are small enough for every
//! run; the environment makes them those that are written down in `tests/README.md`.
#![expect(
    clippy::print_stdout,
    reason = "what was measured is for whoever runs it by hand"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layersift::oci::Digest;
use serde_json::{Value, json};

use super::{Counts, Place, reasons, token};
use crate::support::image::{Image, image, images};
use crate::support::registry::{Registry, registry};
use crate::support::scripted::{Reply, Request, Server};
use crate::support::tar::{Member, file, whiteout};

/// A number that the environment may set.
fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |number| number.parse().unwrap())
}

/// Files of an installed package of Debian: not many, and not large ones.
fn files_of(package: &str) -> Vec<Member> {
    let list = Path::new("/var/lib/dpkg/info").join(format!("{package}.list"));
    let text = std::fs::read_to_string(list).unwrap();
    let mut members = Vec::new();
    for path in text.lines().map(PathBuf::from) {
        let is_small = path
            .symlink_metadata()
            .is_ok_and(|found| found.is_file() && found.len() < 32 << 10);
        if is_small && let Ok(content) = std::fs::read(&path) {
            members.push(file(path.to_str().unwrap().trim_start_matches('/'), content));
        }
        if members.len() == 12 {
            break;
        }
    }
    members
}

/// Packages with files, in the order of their names.
fn packages() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/var/lib/dpkg/info")
        .expect("a Debian")
        .filter_map(|entry| {
            Some(
                entry
                    .unwrap()
                    .file_name()
                    .to_str()?
                    .strip_suffix(".list")?
                    .to_owned(),
            )
        })
        .collect();
    names.sort();
    names
}

fn layout(image: Image) -> BTreeMap<String, Vec<u8>> {
    images([image]).oci_layout()
}

/// The digests of the manifests a registry was given, and its repositories with their tags.
#[derive(Default)]
struct Fleet {
    manifests: BTreeSet<String>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
}

impl Fleet {
    fn store(&mut self, registry: &Registry, image: Image, repository: &str, tag: &str) -> String {
        let digest = registry.store(&layout(image), repository, tag);
        self.manifests.insert(digest.clone());
        let tags = self.tags.entry(repository.to_owned()).or_default();
        tags.insert(tag.to_owned(), digest.clone());
        digest
    }

    fn tags(&self) -> usize {
        self.tags.values().map(BTreeMap::len).sum()
    }
}

/// Two hundred repositories of real packages on four bases: three tags each, secrets in every tenth, deleted by a layer above
/// in every twentieth.
fn packages_of_debian(registry: &Registry) -> Fleet {
    let mut fleet = Fleet::default();
    let packages = packages();
    let bases: Vec<Vec<Member>> = ["base-files", "bash", "coreutils", "tar"]
        .into_iter()
        .map(files_of)
        .collect();
    let mut found = 0;
    for package in &packages {
        let files = files_of(package);
        if files.is_empty() || found == 200 {
            continue;
        }
        let name = format!(
            "debian/{}",
            package.replace(':', "-").replace('+', "p").to_lowercase()
        );
        for tag in ["1.0", "1.1", "latest"] {
            let built = image()
                .named("app:1")
                .layer(bases[found % 4].clone())
                .layer(files.clone())
                .layer([file("etc/version", format!("{package} {tag}"))]);
            let built = match (found % 10, found % 20) {
                (0, 0) => built
                    .layer([file("root/.netrc", format!("password {}\n", token(found as u64)))])
                    .layer([whiteout("root/.netrc")]),
                (0, _) => built.layer([file("srv/.env", format!("TOKEN={}\n", token(found as u64)))]),
                _ => built,
            };
            // The newest is what `latest` is, too.
            let built = if tag == "latest" {
                built.label("channel", "stable")
            } else {
                built
            };
            fleet.store(registry, built, &name, tag);
        }
        found += 1;
    }
    assert_eq!(found, 200, "there are packages enough");
    fleet
}

#[test]
fn of_two_hundred_repositories_a_second_sweep_asks_for_names_and_digests_alone() {
    let registry = registry().start();
    let mut fleet = packages_of_debian(&registry);
    let place = Place::new();
    let first = place.sweep(&registry.host(), 1);
    assert_eq!(first.manifests as usize, fleet.manifests.len(), "{first:?}");
    let findings = |place: &Place| {
        let report = place.report();
        let images = report["images"].as_array().unwrap().clone();
        assert_eq!(report["complete"], json!(true));
        // Packages bring findings of their own: keys that their tests use.
        let is_planted = |finding: &Value| finding["rule"].as_str().unwrap().contains("github");
        images
            .iter()
            .filter(|image| image["findings"].as_array().unwrap().iter().any(is_planted))
            .count()
    };
    assert_eq!(findings(&place), 60, "twenty repositories of three tags");

    // Tags that move, tags that go, and manifests that go with them.
    let repositories: Vec<String> = fleet.tags.keys().cloned().collect();
    let mut fetched = 0;
    for (number, name) in repositories.iter().enumerate() {
        match number % 20 {
            3 => {
                let moved = image()
                    .named("app:1")
                    .layer([file("etc/version", format!("{name} 2"))]);
                fleet.store(&registry, moved, name, "latest");
                fetched += 1;
            }
            7 | 11 => {
                std::fs::remove_dir_all(registry.tag_folder(name, "1.0")).unwrap();
                let digest = fleet.tags.get_mut(name).unwrap().remove("1.0").unwrap();
                if number % 20 == 11 {
                    registry.delete_manifest(name, &digest);
                    fleet.manifests.remove(&digest);
                }
            }
            _ => {}
        }
    }
    let second = place.sweep(&registry.host(), 1);
    assert_eq!(
        (second.manifests, second.layers),
        (fetched, fetched),
        "{second:?}"
    );
    // Each new manifest has a configuration of its own.
    assert_eq!(second.blobs, 2 * fetched, "{second:?}");
    assert_eq!(place.query(&["moved"]).len(), 30, "ten went on, twenty are gone");
    let third = place.sweep(&registry.host(), 1);
    assert_eq!(
        (third.manifests, third.blobs, third.layers),
        (0, 0, 0),
        "{third:?}"
    );
    // The list of repositories has two pages, that of tags one each.
    assert!(third.lists <= 200 + 2, "{third:?}");
    let known = fleet.manifests.len();
    assert!(third.digests as usize <= fleet.tags() + known, "{third:?}");
    // Tags, and what they left behind and is still there: twenty manifests.
    assert_eq!(third.digests as usize, fleet.tags() + 20, "{third:?}");
    assert_eq!(reasons(&place), [""; 0]);
    // Whoever sweeps it for the first time now finds the same in every image that a tag leads to.
    let fresh = Place::new();
    fresh.sweep(&registry.host(), 1);
    let tagged = |place: &Place| -> Vec<Value> {
        let report = place.report();
        let images = report["images"].as_array().unwrap().iter().cloned();
        images.filter(|image| image["tags"] != json!([])).collect()
    };
    assert_eq!(tagged(&place), tagged(&fresh));
}

/// `LAYERSIFT_TEST_REPOSITORIES=1000` for 20,000 tags.
#[test]
fn every_tag_of_many_repositories_is_listed_and_asked_for_once() {
    let registry = registry().start();
    let repositories = number("LAYERSIFT_TEST_REPOSITORIES", 40);
    let mut fleet = Fleet::default();
    for number in 0..repositories {
        let name = format!("team-{}/app-{number}", number % 20);
        for tag in 0..20 {
            // Five tags lead to each manifest.
            let text = format!("{} {}", number % 50, tag / 5);
            let built = image().named("app:1").layer([file("etc/version", text)]);
            fleet.store(&registry, built, &name, &format!("1.{tag}"));
        }
    }
    let place = Place::new();
    let begin = std::time::Instant::now();
    let first = place.sweep(&registry.host(), 0);
    let middle = std::time::Instant::now();
    let second = place.sweep(&registry.host(), 0);
    println!(
        "{repositories} repositories: {:?}, then {:?}",
        middle - begin,
        middle.elapsed()
    );
    println!("{first:?}, then {second:?}");
    let tags = 20 * repositories as u64;
    let pages = repositories as u64 + repositories.div_ceil(100) as u64 + 1;
    assert_eq!((first.digests, second.digests), (tags, tags));
    assert_eq!(first.manifests as usize, fleet.manifests.len());
    assert!(
        first.lists <= pages && second.lists <= pages,
        "{first:?} {second:?}"
    );
    assert_eq!((second.manifests, second.blobs), (0, 0));
    let status = place.command(&["sweep", "status", "--json"]).run().json();
    assert_eq!(status["tags"], json!(tags));
}

/// A Harbor of so many repositories with so many tags each, an image for each tag on one of ten bases.
struct Harbor {
    /// By digest, manifests and blobs.
    objects: HashMap<String, Vec<u8>>,
    /// Of each repository, the tags with their digests.
    tags: Vec<Vec<(String, String)>>,
}

impl Harbor {
    fn new(repositories: usize, tags: usize) -> Self {
        let mut harbor = Self {
            objects: HashMap::new(),
            tags: Vec::new(),
        };
        for repository in 0..repositories {
            let mut of_repository = Vec::new();
            for tag in 0..tags {
                let number = repository * tags + tag;
                let secret = match number % 100 {
                    0 => format!("TOKEN={}\n", token(number as u64)),
                    _ => "TOKEN=\n".to_owned(),
                };
                let built = image()
                    .named("app:1")
                    .layer([file("etc/base", format!("base {}", number % 10))])
                    .layer([file("srv/number", number.to_string()), file("srv/.env", secret)]);
                let layout = layout(built);
                let index: Value = serde_json::from_slice(&layout["index.json"]).unwrap();
                let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
                of_repository.push((format!("1.{tag}"), digest));
                for (path, bytes) in layout {
                    if let Some(hex) = path.strip_prefix("blobs/sha256/") {
                        harbor.objects.insert(format!("sha256:{hex}"), bytes);
                    }
                }
            }
            harbor.tags.push(of_repository);
        }
        harbor
    }

    fn reply(&self, request: &Request) -> Reply {
        const PAGE: usize = 100;
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let page: usize = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("page="))
            .map_or(1, |page| page.parse().unwrap());
        let paged = |items: Vec<Value>| {
            let next = (page * PAGE < items.len())
                .then(|| format!("<{path}?page_size=100&page={}>; rel=\"next\"", page + 1));
            let here: Vec<Value> = items.into_iter().skip((page - 1) * PAGE).take(PAGE).collect();
            let reply = Reply::ok(json!(here).to_string());
            match next {
                Some(next) => reply.header("Link", &next),
                None => reply,
            }
        };
        if path == "/api/v2.0/ping" {
            return Reply::ok("Pong");
        }
        if path == "/api/v2.0/repositories" {
            let names = (0..self.tags.len()).map(|number| json!({"name": format!("team/app-{number}")}));
            return paged(names.collect());
        }
        if let Some(number) = path
            .strip_prefix("/api/v2.0/projects/team/repositories/app-")
            .and_then(|rest| rest.strip_suffix("/artifacts"))
        {
            let tags = &self.tags[number.parse::<usize>().unwrap()];
            let artifact =
                |(tag, digest): &(String, String)| json!({"digest": digest, "tags": [{"name": tag}]});
            return paged(tags.iter().map(artifact).collect());
        }
        match path
            .rsplit('/')
            .next()
            .and_then(|digest| self.objects.get(digest))
        {
            Some(bytes) => Reply::ok(bytes.clone()),
            None => Reply::new(404),
        }
    }

    fn start(self) -> Server {
        Server::start(move |request| self.reply(request))
    }
}

#[test]
fn where_lists_give_digests_a_second_sweep_takes_less_than_a_fiftieth_of_the_requests() {
    let harbor = Harbor::new(4, 150);
    let digests: BTreeSet<String> = harbor
        .tags
        .iter()
        .flatten()
        .map(|(_, digest)| digest.clone())
        .collect();
    let server = harbor.start();
    let place = Place::new();
    place.sweep(server.host(), 1);
    let first = server.requests().len();
    let second = place.sweep(server.host(), 1);
    let asked = server.requests().len() - first;
    // Two pages of each repository, and one of repositories.
    assert_eq!(
        second,
        Counts {
            layers: 0,
            lists: 9,
            digests: 0,
            manifests: 0,
            blobs: 0
        }
    );
    assert!(asked * 50 < first, "{asked} after {first}");
    let report = place.report();
    let found: BTreeSet<String> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["digest"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, digests);
}

/// The most memory that a sweep of so many images takes, in KiB.
fn peak(images: usize) -> u64 {
    let server = Harbor::new(images / 50, 50).start();
    let place = Place::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_layersift"))
        .args(["sweep", server.host(), "--state"])
        .arg(place.state())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let code = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()) {
            peak = kib;
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(code, Some(1));
    let status = place.command(&["sweep", "status", "--json"]).run().json();
    assert_eq!(status["images"], json!(images));
    peak
}

/// `LAYERSIFT_TEST_IMAGES=10000` for the number of the hazard. What is held of each is a number; the arenas of the allocator
/// grow for a while.
#[test]
fn memory_does_not_grow_with_the_number_of_images() {
    let many = number("LAYERSIFT_TEST_IMAGES", 750);
    let (few, many) = ((many / 5, peak(many / 5)), (many, peak(many)));
    let grown = many.1.saturating_sub(few.1);
    println!(
        "{} KiB for {} images, {} KiB for {}",
        few.1, few.0, many.1, many.0
    );
    // Allocators take what they want in steps: what is below 12 MiB is noise.
    let bound = 12 * 1024 + (many.0 - few.0) as u64;
    assert!(
        grown < bound,
        "{grown} KiB more for {} images more",
        many.0 - few.0
    );
}

/// A manifest that is not what its digest says would be found out: the fixture is checked too.
#[test]
fn what_is_stored_is_served_as_it_was_made() {
    let registry = registry().start();
    let built = image().named("app:1").layer([file("x", "x")]);
    let digest = registry.store(&layout(built), "team/app", "1");
    assert!(Digest::parse(&digest).is_ok());
    let place = Place::new();
    place.sweep(&registry.reference("team/app", "1"), 0);
    assert_eq!(place.report()["images"][0]["digest"], json!(digest));
}
