//! Without a broker: a plan, its shards read apart, their records merged.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{assert_same, dump};
use crate::support::command::{Layersift, layersift};
use crate::support::image::images;
use crate::support::registry::registry;
use crate::support::tar::file;
use crate::sweep::{KEY, Place, base, fill, token};

const SHARDS: usize = 3;

impl Place {
    fn plan(&self) -> PathBuf {
        self.path("plan")
    }

    fn records(&self) -> PathBuf {
        self.path("records")
    }

    /// `scan-layer` with the key of the place and its folder of records.
    fn scan_layer(&self, target: &Path) -> Layersift {
        layersift(["scan-layer"])
            .arg(target)
            .arg("--out")
            .arg(self.records())
            .arg("--fingerprint-key-file")
            .arg(self.path("state.db.key"))
    }

    /// `plan` of a registry into the folder of the place.
    fn plan_of(&self, host: &str, shards: usize) -> Layersift {
        self.command(&["plan", host, "--shards", &shards.to_string()])
            .arg("--out")
            .arg(self.plan())
    }

    fn merge(&self) -> Layersift {
        self.command(&["merge"]).arg(self.records())
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_plan_its_shards_and_a_merge_give_the_state_of_a_sweep() {
    let login = |command: Layersift| {
        command
            .args(["--username", "robot", "--password-stdin"])
            .stdin("a-password-nobody-has\n")
    };
    let registry = registry().login("robot", "a-password-nobody-has").start();
    fill(&registry);
    let local = Place::new();
    login(local.command(&["sweep", &registry.host()]))
        .run()
        .expect_code(1);

    let place = Place::new();
    login(place.plan_of(&registry.host(), SHARDS))
        .run()
        .expect_code(0);
    let shards = files(&place.plan());
    assert_eq!(shards.len(), SHARDS);
    let mut layers = 0;
    for shard in &shards {
        let text = std::fs::read_to_string(shard).unwrap();
        assert!(!text.contains("a-password") && !text.contains("robot"), "{text}");
        assert!(!text.contains(KEY), "{text}");
        layers += text.lines().count() - 1;
    }
    assert!(layers > 20, "{layers}");
    // Each on a machine of its own, by the number that Kubernetes gives it.
    for number in 0..SHARDS {
        let shard = place
            .scan_layer(&place.plan())
            .env("JOB_COMPLETION_INDEX", number.to_string());
        login(shard).run().expect_code(0);
    }
    let again = login(place.scan_layer(&shards[0])).run().expect_code(0);
    assert!(again.text().starts_with("0 layers read"), "{}", again.text());
    let records = files(&place.records());
    assert_eq!(records.len(), layers);
    for record in &records {
        let bytes = std::fs::read(record).unwrap();
        for number in [3, 5, 7] {
            assert!(memchr::memmem::find(&bytes, token(number).as_bytes()).is_none());
        }
    }
    let run = place.merge().run().expect_code(1);
    assert!(
        run.text().starts_with(&format!("{layers} layers merged")),
        "{}",
        run.text()
    );
    assert_same(&place, &local);
    let before = std::fs::read(place.state()).unwrap();
    let run = place.merge().run().expect_code(1);
    let expected = format!("0 layers merged, 0 could not be had, {layers} known, 0 refused, 0 left\n");
    assert_eq!(run.text(), expected);
    assert_eq!(
        std::fs::read(place.state()).unwrap(),
        before,
        "not a byte of the state changed"
    );
}

#[test]
fn a_merge_of_a_part_is_incomplete_and_the_next_one_ends_it() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    place.plan_of(&registry.host(), 2).run().expect_code(0);
    let shard = |number: &str| place.scan_layer(&place.plan()).args(["--shard", number]);
    shard("0").run().expect_code(0);
    let code = place.merge().run().code;
    assert!(matches!(code, Some(4 | 5)), "{code:?}");
    shard("1").run().expect_code(0);
    place.merge().run().expect_code(1);
    // A sweep of the same finds everything done.
    let local = Place::new();
    local.sweep(&registry.host(), 1);
    assert_same(&place, &local);
    let run = shard("2").run().expect_code(2);
    assert!(run.stderr.contains("shard-00002"), "{}", run.stderr);
}

#[test]
fn records_that_are_damaged_or_of_other_terms_are_named_and_refused() {
    let registry = registry().start();
    let leak = base().layer([file("srv/.env", format!("TOKEN={}\n", token(1)))]);
    registry.push(&images([leak]), "app", "1");
    let place = Place::new();
    place.plan_of(&registry.host(), 1).run().expect_code(0);
    let shard = Place::shard_of(&place);
    let layer = |line: usize| -> String {
        let text = std::fs::read_to_string(&shard).unwrap();
        let job: Value = serde_json::from_str(text.lines().nth(line).unwrap()).unwrap();
        format!("{}/app@{}", registry.host(), job["digest"].as_str().unwrap())
    };
    // One with rules of its own, by its digest, since the shard is refused.
    let rules = place.path("rules.toml");
    let rule = "[[rules]]\nid = \"acme-token\"\nregex = 'acme_[0-9]{20}'\nkeywords = [\"acme_\"]\n";
    std::fs::write(&rules, rule).unwrap();
    let others = |target: String| place.scan_layer(Path::new(&target)).arg("--rules").arg(&rules);
    let run = others(shard.display().to_string()).run().expect_code(2);
    assert!(run.stderr.contains("other rules"), "{}", run.stderr);
    others(layer(1)).run().expect_code(0);
    // One with another key, and one with other limits.
    let key = place.path("other.key");
    std::fs::write(&key, "fedcba9876543210fedcba9876543210").unwrap();
    let other_key = |target: &str| {
        layersift(["scan-layer", target, "--out"])
            .arg(place.path("of-another-key"))
            .arg("--fingerprint-key-file")
            .arg(&key)
    };
    let run = other_key(shard.to_str().unwrap()).run().expect_code(2);
    assert!(run.stderr.contains("another fingerprint key"), "{}", run.stderr);
    other_key(&layer(2)).run().expect_code(0);
    let run = place
        .scan_layer(&shard)
        .args(["--limit", "entries=5"])
        .run()
        .expect_code(2);
    assert!(run.stderr.contains("other limits"), "{}", run.stderr);

    let merge = || place.merge().arg(place.path("of-another-key"));
    let run = merge().run();
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(run.stderr.contains("other rules"), "{}", run.stderr);
    assert!(run.stderr.contains("another fingerprint key"), "{}", run.stderr);
    assert!(
        run.text().contains("0 layers merged") && run.text().contains("2 refused"),
        "{}",
        run.text()
    );

    // A damaged one is named, and read again by the next run.
    std::fs::remove_dir_all(place.records()).unwrap();
    place.scan_layer(&shard).run().expect_code(0);
    let records = files(&place.records());
    let mut bytes = std::fs::read(&records[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&records[0], bytes).unwrap();
    let run = place.merge().run();
    assert!(matches!(run.code, Some(4 | 5)), "{}", run.stderr);
    let name = records[0].file_name().unwrap().to_str().unwrap();
    assert!(
        run.stderr.contains(name) && run.stderr.contains("damaged"),
        "{}",
        run.stderr
    );
    place.scan_layer(&shard).run().expect_code(0);
    place.merge().run().expect_code(1);
    let local = Place::new();
    local.sweep(&registry.host(), 1);
    assert_same(&place, &local);
}

#[test]
fn a_layer_that_cannot_be_had_is_merged_as_such_until_it_can() {
    let registry = registry().start();
    registry.push(&images([base().layer([file("a", "x")])]), "app", "1");
    let place = Place::new();
    place.plan_of(&registry.host(), 1).run().expect_code(0);
    let shard = Place::shard_of(&place);
    let text = std::fs::read_to_string(&shard).unwrap();
    let job: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    let digest = layersift::oci::Digest::parse(job["digest"].as_str().unwrap()).unwrap();
    let blob = registry.blob_file(&digest);
    let away = place.path("away");
    std::fs::rename(&blob, &away).unwrap();
    place.scan_layer(&shard).run().expect_code(4);
    place.merge().run().expect_code(4);
    let before = dump(&place);
    place.merge().run().expect_code(4);
    assert_eq!(dump(&place), before);
    std::fs::rename(&away, &blob).unwrap();
    place.scan_layer(&shard).run().expect_code(0);
    place.merge().run().expect_code(0);
    let local = Place::new();
    local.sweep(&registry.host(), 0);
    assert_same(&place, &local);
}

/// What the manifest for Kubernetes runs, as it stands there but for its paths.
#[test]
fn the_jobs_for_kubernetes_run_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/kubernetes.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let jobs: Vec<&str> = text.split("\n---\n").skip(1).collect();
    assert_eq!(jobs.len(), 3);
    let registry = registry().start();
    registry.push(&images([base()]), "app", "1");
    let place = Place::new();
    let run = |job: &str, index: Option<usize>| {
        let line = job.lines().find_map(|line| line.trim().strip_prefix("args: "));
        let args: Vec<String> = serde_json::from_str(line.unwrap()).unwrap();
        let args = args.into_iter().map(|arg| {
            arg.replace("registry.example.com", &registry.host())
                .replace("/sweep/state.db", place.state().to_str().unwrap())
                .replace("/sweep", place.path("").to_str().unwrap())
                .replace("/key/key", place.path("state.db.key").to_str().unwrap())
                .replace("/login", place.path("").to_str().unwrap())
        });
        let command = layersift(args);
        match index {
            Some(index) => command.env("JOB_COMPLETION_INDEX", index.to_string()),
            None => command,
        }
        .run()
        .expect_code(0)
    };
    std::fs::write(place.path("config.json"), "{}").unwrap();
    run(jobs[0], None);
    let completions = jobs[1]
        .lines()
        .find_map(|line| line.trim().strip_prefix("completions: "));
    let completions: usize = completions.unwrap().parse().unwrap();
    assert_eq!(files(&place.plan()).len(), completions);
    assert!(jobs[1].contains("completionMode: Indexed"));
    assert!(
        !jobs[1].contains("state.db"),
        "who reads layers has no use for the state"
    );
    for index in 0..completions {
        run(jobs[1], Some(index));
    }
    run(jobs[2], None);
    for job in &jobs {
        for line in [
            "restartPolicy: Never",
            "runAsNonRoot: true",
            "readOnlyRootFilesystem: true",
        ] {
            assert!(job.contains(line), "{line}");
        }
    }
    let local = Place::new();
    local.sweep(&registry.host(), 0);
    assert_same(&place, &local);
}

impl Place {
    fn shard_of(place: &Self) -> PathBuf {
        place.plan().join("shard-00000.jsonl")
    }
}
