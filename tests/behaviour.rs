//! What the built program does, from its options to its reports, on images that are as they should be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use layersift::oci::Digest;
use layersift::rules::RuleSet;
use layersift::scan::{Scan, Target};
use layersift::source::{self, OpenOptions};
use serde_json::{Value, json};

use crate::support::command::{Layersift, layersift};
use crate::support::image::{Image, Packing, image, images, index, pack};
use crate::support::program;
use crate::support::registry::registry;
use crate::support::secrets::{Secrets, secrets};
use crate::support::tar::{self, Member, directory, file, hard_link, symlink, verbatim, whiteout};

/// A token for each number.
fn token(number: u64) -> String {
    secrets(1000 + number).github_token()
}

fn leak(number: u64) -> String {
    format!("token={}\n", token(number))
}

fn app() -> Image {
    image().named("app:1")
}

/// The JSON report of a run on `image.tar`.
#[track_caller]
fn report(command: Layersift, code: i32) -> Value {
    command.arg("--format").arg("json").run().expect_code(code).json()
}

fn archive(bytes: impl AsRef<[u8]>) -> Layersift {
    layersift(["scan", "image.tar"]).file("image.tar", bytes)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn findings(report: &Value) -> &[Value] {
    list(&report["findings"])
}

/// Every occurrence's place: the path, the region or the field.
fn places(report: &Value) -> Vec<String> {
    let occurrences = findings(report)
        .iter()
        .flat_map(|finding| list(&finding["occurrences"]));
    let mut places: Vec<String> = occurrences
        .map(|occurrence| {
            let origin = &occurrence["origin"];
            let names = [&origin["path"]["text"], &origin["field"], &origin["region"]];
            names
                .into_iter()
                .find_map(Value::as_str)
                .unwrap_or_else(|| panic!("{origin}"))
                .to_owned()
        })
        .collect();
    places.sort();
    places
}

/// The text of all parts, in one.
fn concatenated<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    parts.into_iter().collect::<Vec<_>>().concat()
}

mod targets {
    use super::*;

    #[test]
    fn every_platform_is_scanned_unless_one_is_chosen() {
        let both = index(
            "app:1",
            [
                app().layer([file("etc/motd", "hello\n")]),
                app().platform("linux/arm64").layer([file("etc/token", leak(1))]),
            ],
        );
        let archive = || archive(both.oci_archive());
        let all = report(archive(), 1);
        assert_eq!(list(&all["images"]).len(), 2);
        assert_eq!(places(&all), ["etc/token"]);
        let amd = report(archive().arg("--platform").arg("linux/amd64"), 0);
        assert!(
            amd["targets"][0]["not_chosen"].to_string().contains("arm64"),
            "{amd:#}"
        );
        assert_eq!(amd["verdict"]["incomplete"], false);
        let arm = report(archive().arg("--platform").arg("linux/arm64"), 1);
        assert_eq!(list(&arm["images"]).len(), 1);
        let two = report(
            archive()
                .arg("--platform")
                .arg("linux/arm64")
                .arg("--platform")
                .arg("linux/amd64"),
            1,
        );
        assert_eq!(list(&two["images"]).len(), 2);
    }

    #[test]
    fn an_attestation_is_scanned_with_its_platform() {
        let provenance = json!({ "buildDefinition": { "externalParameters": { "request": { "args": {
            "build-arg:GH_TOKEN": token(2) }}}}});
        let both = index(
            "app:1",
            [
                app().layer([file("etc/motd", "hello\n")]),
                app()
                    .platform("linux/arm64")
                    .layer([file("etc/motd", "hello, arm\n")])
                    .attestation("https://slsa.dev/provenance/v1", provenance),
            ],
        );
        let registry = registry().start();
        registry.push(&both, "app", "1");
        for scan in [
            &|| archive(both.oci_archive()),
            &|| layersift(["scan", "-"]).stdin(both.oci_archive()),
            &|| layersift(["scan", &registry.reference("app", "1")]),
        ] as [&dyn Fn() -> Layersift; 3]
        {
            let all = report(scan(), 1);
            assert_eq!(
                findings(&all)[0]["occurrences"][0]["origin"]["kind"],
                "attestation",
                "{all:#}"
            );
            report(scan().arg("--platform").arg("linux/amd64"), 0);
            report(scan().arg("--platform").arg("linux/arm64"), 1);
        }
    }

    /// A layout of one manifest with this configuration and this blob.
    fn artifact(config: (&str, &[u8]), blob: (&str, &[u8])) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut store = |media_type: &str, bytes: &[u8]| {
            let digest = Digest::of(bytes);
            files.insert(format!("blobs/sha256/{}", digest.encoded()), bytes.to_vec());
            json!({ "mediaType": media_type, "digest": digest.as_str(), "size": bytes.len() })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": store(config.0, config.1),
            "layers": [store(blob.0, blob.1)],
        });
        let manifest = store(
            "application/vnd.oci.image.manifest.v1+json",
            manifest.to_string().as_bytes(),
        );
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        files.insert("index.json".to_owned(), index.to_string().into_bytes());
        files.insert(
            "oci-layout".to_owned(),
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
        );
        files
    }

    #[test]
    fn what_is_no_image_is_scanned_as_blobs() {
        let chart = pack(&tar::archive(&[file("app/values.yaml", leak(3))]), Packing::Gzip);
        let wasm = concatenated([
            &b"\0asm\x01\0\0\0\0\x30\x07secrets"[..],
            leak(4).as_bytes(),
            &[0; 600],
        ]);
        for (config, blob, place) in [
            (
                (
                    "application/vnd.cncf.helm.config.v1+json",
                    &br#"{"name":"app","version":"0.1.0"}"#[..],
                ),
                ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", &chart[..]),
                "app/values.yaml",
            ),
            (
                ("application/vnd.oci.empty.v1+json", b"{}"),
                ("text/plain", leak(5).as_bytes()),
                "blob",
            ),
            (
                ("application/vnd.wasm.config.v0+json", b"{}"),
                ("application/wasm", &wasm),
                "blob",
            ),
            (
                (
                    "application/vnd.cncf.helm.config.v1+json",
                    leak(6)
                        .replace("token=", "{\"token\":\"")
                        .replace('\n', "\"}")
                        .as_bytes(),
                ),
                ("application/octet-stream", b"nothing here"),
                "config.token",
            ),
        ] {
            let files = artifact(config, blob);
            let members: Vec<Member> = files.iter().map(|(path, bytes)| file(path, bytes)).collect();
            let bytes = tar::archive(&members);
            let layout = files
                .iter()
                .fold(layersift(["scan", "layout"]), |command, (path, bytes)| {
                    command.file(&format!("layout/{path}"), bytes)
                });
            for command in [
                layout,
                archive(&bytes),
                layersift(["scan", "-"]).stdin(bytes.clone()),
            ] {
                let found = report(command, 1);
                assert_eq!(places(&found), [place], "{config:?}: {found:#}");
                assert_eq!(found["images"][0]["artifact_type"], config.0);
                assert_eq!(found["verdict"]["incomplete"], false);
            }
        }
    }

    #[test]
    fn several_images_of_one_archive_are_told_apart() {
        let base = || image().layer([file("etc/base", "base\n")]);
        let both = images([
            base().named("one:1").layer([file("etc/one", leak(1))]),
            base().named("two:1").layer([file("etc/two", leak(2))]),
        ]);
        for bytes in [
            both.docker_archive(),
            both.oci_archive(),
            both.containerd_archive(),
        ] {
            let found = report(archive(&bytes), 1);
            assert_eq!(list(&found["images"]).len(), 2);
            assert_eq!(findings(&found).len(), 2);
            assert_eq!(found["counters"]["blobs"], 3, "{:#}", found["counters"]);
        }
        let one =
            layersift(["scan", "docker-archive:image.tar:two:1"]).file("image.tar", both.docker_archive());
        assert_eq!(places(&report(one, 1)), ["etc/two"]);
    }

    #[test]
    fn a_layer_that_several_targets_have_is_read_once() {
        let base = || image().layer([file("etc/base", leak(9))]);
        let first = base().named("one:1").layer([file("a", "a")]);
        let second = base().named("two:1").layer([file("b", "b")]);
        let found = report(
            layersift(["scan", "one.tar", "two.tar"])
                .file("one.tar", first.oci_archive())
                .file("two.tar", second.oci_archive()),
            1,
        );
        assert_eq!(found["counters"]["blobs"], 3);
        assert_eq!(findings(&found).len(), 2, "each repository has its own");
        // Members of the same name in two archives are not the same layer.
        let mut sizes = 0;
        let mut command = layersift(["scan", "one.tar", "two.tar"]);
        for (name, content) in [("one.tar", "a".repeat(600)), ("two.tar", "b".repeat(1600))] {
            let layer = tar::archive(&[file("x", content)]);
            sizes += layer.len() as u64;
            let manifest = json!([{ "Config": "c.json", "RepoTags": null, "Layers": ["layer.tar"] }]);
            let members = [
                file("layer.tar", layer),
                file("c.json", "{}"),
                file("manifest.json", manifest.to_string()),
            ];
            command = command.file(name, tar::archive(&members));
        }
        let found = report(command, 0);
        assert_eq!(found["counters"]["blobs"], 2);
        assert!(
            found["coverage"]["seen_bytes"].as_u64().unwrap() >= sizes,
            "{:#}",
            found["coverage"]
        );
    }

    #[test]
    fn a_layer_of_100_000_files_is_scanned() {
        let mut layer = Vec::new();
        for number in 0..100_000 {
            layer.extend(file(format!("srv/{}/{number}", number % 100), "").bytes());
        }
        layer.extend(file("srv/last", leak(1)).bytes());
        layer.resize(layer.len() + 1024, 0);
        let found = report(archive(app().layer_tar(layer).oci_archive()), 1);
        assert_eq!(places(&found), ["srv/last"]);
        assert_eq!(found["counters"]["entries"], 100_001);
        assert_eq!(found["verdict"]["incomplete"], false);
    }
}

mod filters {
    use super::*;

    /// One token in a file, one in a file that was deleted, one in the environment, and an AWS pair.
    fn mixed() -> Vec<u8> {
        let (id, secret) = secrets(77).aws_pair();
        app()
            .layer([
                file("etc/token", leak(1)),
                file("root/token", leak(2)),
                file(
                    "root/.aws/credentials",
                    format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"),
                ),
            ])
            .layer([whiteout("root/token")])
            .env(&format!("GH_TOKEN={}", token(3)))
            .docker_archive()
    }

    const ALL: [&str; 4] = ["config.Env", "etc/token", "root/.aws/credentials", "root/token"];

    #[test]
    fn each_filter_hides_what_it_says_and_counts_it() {
        for (args, shown, filter) in [
            (&["--status", "deleted"][..], &["root/token"][..], "status"),
            (
                &["--status", "present", "--status", "metadata"],
                &[ALL[0], ALL[1], ALL[2]],
                "status",
            ),
            (&["--status", "unknown"], &[], "status"),
            (&["--include", "root/**"], &[ALL[2], ALL[3]], "path"),
            (&["--include", "token"], &[ALL[1], ALL[3]], "path"),
            (&["--exclude", "/root/**"], &[ALL[0], ALL[1]], "path"),
            (&["--exclude", "config.Env*"], &[ALL[1], ALL[2], ALL[3]], "path"),
            (&["--rule", "aws-access-key"], &[ALL[2]], "rule"),
            (
                &["--no-rule", "aws-access-key"],
                &[ALL[0], ALL[1], ALL[3]],
                "rule",
            ),
        ] {
            let command = args
                .iter()
                .fold(archive(mixed()), |command, arg| command.arg(arg));
            let found = report(command, i32::from(!shown.is_empty()));
            let mut shown_here = places(&found);
            shown_here.retain(|place| ALL.contains(&place.as_str()));
            assert_eq!(shown_here, shown, "{args:?}");
            let left_out = list(&found["verdict"]["left_out"])
                .iter()
                .find(|entry| entry["filter"] == filter);
            let left_out = left_out.unwrap_or_else(|| panic!("{args:?}: {:#}", found["verdict"]));
            assert_eq!(left_out["findings"], 4 - shown.len(), "{args:?}");
            assert_eq!(found["verdict"]["incomplete"], false);
        }
        assert_eq!(places(&report(archive(mixed()), 1)), ALL);
    }

    #[test]
    fn levels_hide_what_is_below_them_and_say_how_much() {
        let uri = format!(
            "DATABASE_URL=postgres://app:{}@localhost/app\n",
            secrets(4).password(14)
        );
        let image = app()
            .layer([file("etc/token", leak(1)), file("etc/env", uri)])
            .docker_archive();
        let all = report(
            archive(&image)
                .arg("--min-confidence")
                .arg("low")
                .arg("--severity")
                .arg("low"),
            1,
        );
        assert!(findings(&all).len() >= 2, "{all:#}");
        for option in ["--min-confidence", "--severity"] {
            let levels = ["low", "medium", "high", "critical"];
            let field = option.trim_start_matches("--").trim_start_matches("min-");
            for (number, level) in levels
                .iter()
                .enumerate()
                .filter(|(_, level)| field == "severity" || **level != "critical")
            {
                let other = if field == "severity" {
                    "--min-confidence"
                } else {
                    "--severity"
                };
                let command = archive(&image).arg(option).arg(level).arg(other).arg("low");
                let expected = findings(&all)
                    .iter()
                    .filter(|finding| {
                        levels.iter().position(|name| finding[field] == *name).unwrap() >= number
                    })
                    .count();
                let found = report(command, i32::from(expected > 0));
                assert_eq!(findings(&found).len(), expected, "{option} {level}");
                let left_out: u64 = list(&found["verdict"]["left_out"])
                    .iter()
                    .filter_map(|entry| entry["findings"].as_u64())
                    .sum();
                assert_eq!(left_out as usize, findings(&all).len() - expected);
            }
        }
    }

    #[test]
    fn a_text_says_what_the_filters_hid() {
        let run = archive(mixed())
            .arg("--status")
            .arg("deleted")
            .run()
            .expect_code(1);
        assert!(run.text().contains("3 findings by `--status`"), "{}", run.text());
    }

    #[test]
    fn a_config_file_says_what_options_say_and_options_win() {
        let config = "[scan]\nstatus = [\"deleted\"]\nno-rule = [\"aws-access-key\"]\nrules = [\"own.toml\"]\njobs = 1\n";
        let own = "[[rule]]\nid = \"motd\"\ntitle = \"A greeting\"\nseverity = \"high\"\nconfidence = \"high\"\nliterals = [\"greeting-\"]\nregex = 'greeting-[a-z]{8}'\n";
        let command = || {
            archive(mixed())
                .file("conf/it.toml", config)
                .file("conf/own.toml", own)
                .arg("--config")
                .arg("conf/it.toml")
        };
        assert_eq!(places(&report(command(), 1)), ["root/token"]);
        assert_eq!(
            places(&report(command().arg("--status").arg("metadata"), 1)),
            ["config.Env"]
        );
    }
}

mod ends {
    use super::*;

    /// Runs in `folder` with a pipe as its input.
    fn start(folder: &std::path::Path, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_layersift"))
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The beginning of an archive whose only layer has a token and then never ends.
    fn endless() -> Vec<u8> {
        let huge = 4 << 30;
        let mut layer = file("etc/token", leak(1)).bytes();
        layer.extend(file("var/huge", "").claim_size(huge).bytes());
        file("0/layer.tar", layer).claim_size(huge).bytes()
    }

    fn end(child: Child) -> (Option<i32>, Value, String) {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let report =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        (output.status.code(), report, stderr)
    }

    #[test]
    fn a_time_limit_ends_a_pipe_that_never_does() {
        let folder = tempfile::tempdir().unwrap();
        let args = ["scan", "-", "--format", "json", "--timeout", "1s"];
        let mut silent = start(folder.path(), &args);
        let held_open = silent.stdin.take();
        let (code, report, stderr) = end(silent);
        drop(held_open);
        assert_eq!(code, Some(4), "{report:#}\n{stderr}");
        assert_eq!(report["verdict"]["interrupted"], true);
        assert_eq!(report["verdict"]["incomplete"], true);

        let mut begun = start(folder.path(), &args);
        let mut pipe = begun.stdin.take().unwrap();
        pipe.write_all(&endless()).unwrap();
        let (code, report, stderr) = end(begun);
        drop(pipe);
        assert_eq!(code, Some(5), "{report:#}\n{stderr}");
        assert_eq!(report["verdict"]["interrupted"], true);
        assert_eq!(places(&report), ["etc/token"]);
    }

    #[test]
    fn a_signal_leaves_a_report_of_what_was_found() {
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            let folder = tempfile::tempdir().unwrap();
            let mut child = start(folder.path(), &["scan", "-", "--format", "json"]);
            let mut pipe = child.stdin.take().unwrap();
            let (sent, has_begun) = std::sync::mpsc::channel();
            let sender = thread::spawn(move || {
                pipe.write_all(&endless()).unwrap();
                // Far more than a pipe holds: once it is through, the program reads, and listens to signals.
                for number in 0.. {
                    if pipe.write_all(&[b'x'; 64 * 1024]).is_err() {
                        break;
                    }
                    if number == 32 {
                        sent.send(()).unwrap();
                    }
                    if number > 32 {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            });
            has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
            let killed = Command::new("sh")
                .arg("-c")
                .arg(format!("kill -{signal} {}", child.id()))
                .status()
                .unwrap();
            assert!(killed.success());
            let (ended, report, stderr) = end(child);
            sender.join().unwrap();
            assert_eq!(ended, Some(code), "{stderr}");
            assert_eq!(report["verdict"]["interrupted"], true);
            assert_eq!(report["verdict"]["incomplete"], true);
            assert_eq!(places(&report), ["etc/token"], "{report:#}");
            assert!(
                stderr.contains("warning: the scan was ended before everything was read"),
                "{stderr}"
            );
        }
    }
}

mod output {
    use super::*;

    #[test]
    fn quiet_says_errors_only() {
        let bytes = app().layer([file("etc/token", leak(1))]).docker_archive();
        let run = layersift(["scan", "image.tar", "none.tar", "--quiet"])
            .file("image.tar", &bytes)
            .run()
            .expect_code(5);
        assert_eq!(run.stderr.lines().count(), 3, "{}", run.stderr);
        let run = archive(&bytes).arg("-q").run().expect_code(1);
        assert_eq!(run.stderr, "");
        let run = archive(&bytes).run().expect_code(1);
        assert_eq!(run.stderr, "", "no progress where nobody looks");
    }

    #[test]
    fn colour_is_for_terminals_and_can_be_refused() {
        let bytes = app().layer([file("etc/token", leak(1))]).docker_archive();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("image.tar"), &bytes).unwrap();
        let on_terminal = |no_color: Option<&str>, args: &str| {
            let line = format!("{} scan -q image.tar {args}", env!("CARGO_BIN_EXE_layersift"));
            let mut script = program("script", "bsdutils");
            script
                .args(["-qec", &line, "/dev/null"])
                .current_dir(folder.path())
                .env_remove("NO_COLOR")
                .env("TERM", "xterm");
            if let Some(value) = no_color {
                script.env("NO_COLOR", value);
            }
            String::from_utf8(script.output().unwrap().stdout).unwrap()
        };
        assert!(on_terminal(None, "").contains("\u{1b}["));
        assert!(
            on_terminal(Some(""), "").contains("\u{1b}["),
            "an empty NO_COLOR says nothing"
        );
        for plain in [on_terminal(Some("1"), ""), on_terminal(None, "--color never")] {
            assert!(
                plain.contains("github-personal-access-token") && !plain.contains('\u{1b}'),
                "{plain}"
            );
        }
        assert!(!archive(&bytes).run().text().contains('\u{1b}'));
        assert!(
            archive(&bytes)
                .arg("--color")
                .arg("always")
                .env("NO_COLOR", "1")
                .run()
                .text()
                .contains("\u{1b}[")
        );
    }

    #[test]
    fn reports_replace_files_whole_and_leave_nothing_else() {
        let bytes = app().layer([file("etc/token", leak(1))]).docker_archive();
        let command = [
            "human=a.txt",
            "json=a.json",
            "jsonl=a.jsonl",
            "sarif=a.sarif",
            "sarif=parts/",
            "human",
        ]
        .iter()
        .fold(archive(&bytes), |command, format| {
            command.arg("--format").arg(format)
        });
        let run = command
            .file("a.json", "what was here before")
            .run()
            .expect_code(1);
        let mut names: Vec<String> = fs::read_dir(run.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "a.json",
                "a.jsonl",
                "a.sarif",
                "a.txt",
                "home",
                "image.tar",
                "parts",
                "tmp"
            ]
        );
        assert_eq!(fs::read_dir(run.folder.path().join("tmp")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(run.folder.path().join("parts")).unwrap().count(), 1);
        let read = |name: &str| fs::read_to_string(run.folder.path().join(name)).unwrap();
        assert_eq!(read("a.txt"), run.text());
        serde_json::from_str::<Value>(&read("a.json")).unwrap();
        serde_json::from_str::<Value>(&read("a.sarif")).unwrap();
        assert!(
            read("a.jsonl")
                .lines()
                .all(|line| serde_json::from_str::<Value>(line).is_ok())
        );
    }

    /// An image with a secret of every kind of place, and the secrets.
    fn leaky() -> (Image, Vec<String>) {
        let mut secrets: Secrets = secrets(404);
        let (hmac_id, hmac) = secrets.gcs_hmac_pair();
        let tokens: Vec<String> = (0..6).map(|_| secrets.github_token()).collect();
        let passwords: Vec<String> = (0..3).map(|_| secrets.password(22)).collect();
        let key = secrets.private_key();
        let uri = format!("postgres://app:{}@db.example.com/app", passwords[0]);
        let image = app()
            .layer([
                file("etc/token", format!("one={}\ntwo={}\n", tokens[0], tokens[0])),
                file("etc/uri", format!("{uri}\n# the same in a comment: {uri} {}\n", passwords[0])),
                file("etc/server.key", &key),
                file(format!("srv/{}", tokens[5]), "a secret for a name\n"),
                file("root/.boto", format!("gs_access_key_id = {hmac_id}\ngs_secret_access_key = {hmac}\n# {hmac}\n")),
            ])
            .created_by(&format!("RUN |2 GH_TOKEN={} URL={uri} /bin/sh -c make # buildkit", tokens[1]))
            .layer([whiteout("root/.boto")])
            .history(&format!("ENV DATABASE_URL=mysql://root:{}@db.example.com/x", passwords[1]))
            .env(&format!("GH_TOKEN={}", tokens[2]))
            .env(&format!("CACHE=redis://:{}@cache.example.com:6379/0", passwords[2]))
            .label("org.example.token", &tokens[3])
            .attestation(
                "https://slsa.dev/provenance/v1",
                json!({ "buildDefinition": { "externalParameters": { "request": { "args": { "build-arg:T": tokens[4] }}}}}),
            );
        let lines = key
            .lines()
            .filter(|line| !line.starts_with('-'))
            .map(str::to_owned);
        (image, [vec![hmac], tokens, passwords, lines.collect()].concat())
    }

    /// Fails where twelve characters of a secret in a row are in `text`.
    #[track_caller]
    fn tells_nothing(label: &str, text: &[u8], secrets: &[String]) {
        let windows: BTreeSet<&[u8]> = text.windows(12).collect();
        for secret in secrets {
            for part in secret.as_bytes().windows(12) {
                assert!(
                    !windows.contains(part),
                    "{label} shows {secret:?}:\n{}",
                    String::from_utf8_lossy(text)
                );
            }
        }
    }

    #[test]
    fn no_output_has_a_secret_in_it() {
        let (image, secrets) = leaky();
        let registry = registry().login("robot", &secrets[7]).start();
        registry.push(&images([image.clone()]), "app", "1");
        let pulled = layersift([
            "scan",
            &registry.reference("app", "1"),
            "--username",
            "robot",
            "--password-stdin",
        ])
        .stdin(secrets[7].clone());
        for command in [archive(image.oci_archive()), pulled] {
            let run = [
                "json=it.json",
                "jsonl=it.jsonl",
                "sarif=it.sarif",
                "sarif=parts/",
                "human",
            ]
            .iter()
            .fold(command.arg("-vvv"), |command, format| {
                command.arg("--format").arg(format)
            })
            .arg("--min-confidence=low")
            .arg("--severity=low")
            .run()
            .expect_code(1);
            tells_nothing("the text", &run.stdout, &secrets);
            tells_nothing("standard error", run.stderr.as_bytes(), &secrets);
            let mut reports = vec!["it.json".into(), "it.jsonl".into(), "it.sarif".into()];
            for part in fs::read_dir(run.folder.path().join("parts")).unwrap() {
                reports.push(format!("parts/{}", part.unwrap().file_name().to_str().unwrap()));
            }
            for name in reports {
                tells_nothing(&name, &fs::read(run.folder.path().join(&name)).unwrap(), &secrets);
            }
            let report: Value =
                serde_json::from_slice(&fs::read(run.folder.path().join("it.json")).unwrap()).unwrap();
            assert!(findings(&report).len() >= 10, "{:#}", report["findings"]);
            for finding in findings(&report) {
                let shown = layersift([
                    "show",
                    finding["fingerprint"].as_str().unwrap(),
                    "--in",
                    "it.json",
                ])
                .file("it.json", report.to_string())
                .run()
                .expect_code(0);
                tells_nothing("show", &shown.stdout, &secrets);
            }
        }
    }

    #[test]
    fn secrets_are_shown_on_demand_and_to_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let run = archive(app().layer([file("etc/token", leak(1))]).docker_archive())
            .arg("--show-secrets")
            .arg("--format=json=it.json")
            .arg("--format=human")
            .run()
            .expect_code(1);
        assert!(run.text().contains(&token(1)), "{}", run.text());
        let path = run.folder.path().join("it.json");
        assert!(fs::read_to_string(&path).unwrap().contains(&token(1)));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_version_names_the_rules() {
        let run = layersift(["--version"]).run().expect_code(0);
        let hash = RuleSet::builtin().hash().to_owned();
        assert_eq!(
            run.text(),
            format!("layersift {} (rules {hash})\n", env!("CARGO_PKG_VERSION"))
        );
        let report = report(archive(app().layer([file("a", "b")]).docker_archive()), 0);
        assert_eq!(report["tool"]["rule_set"], hash);
    }

    /// `layersift scan --help` and the others, as they are kept in `testdata/help`.
    #[test]
    fn the_help_is_as_it_was() {
        let renew = std::env::var_os("UPDATE_GOLDEN").is_some();
        for (name, args) in [
            ("layersift", &["--help"][..]),
            ("baseline", &["baseline", "--help"]),
            ("cat", &["cat", "--help"]),
            ("completions", &["completions", "--help"]),
            ("doctor", &["doctor", "--help"]),
            ("gate", &["gate", "--help"]),
            ("list", &["list", "--help"]),
            ("login", &["login", "--help"]),
            ("man", &["man", "--help"]),
            ("merge", &["merge", "--help"]),
            ("plan", &["plan", "--help"]),
            ("query", &["query", "--help"]),
            ("query-secret", &["query", "secret", "--help"]),
            ("rules", &["rules", "--help"]),
            ("rules-check", &["rules", "check", "--help"]),
            ("rules-test", &["rules", "test", "--help"]),
            ("scan", &["scan", "--help"]),
            ("scan-layer", &["scan-layer", "--help"]),
            ("show", &["show", "--help"]),
            ("sweep", &["sweep", "--help"]),
            ("sweep-report", &["sweep", "report", "--help"]),
            ("upload", &["upload", "--help"]),
            ("worker", &["worker", "--help"]),
        ] {
            let run = layersift(args).run().expect_code(0);
            let path =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/help/{name}.txt"));
            if renew {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &run.stdout).unwrap();
            }
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                kept == run.text(),
                "testdata/help/{name}.txt differs; look at it, then run with UPDATE_GOLDEN=1:\n{}",
                run.text()
            );
            let wide = run.text().lines().find(|line| line.chars().count() > 120);
            assert_eq!(wide, None, "a line too wide to read");
        }
        let commands = layersift(["--help"]).run();
        let listed = commands
            .text()
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            // A long description goes on in further lines.
            .filter(|line| !line.starts_with("   "));
        let names: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(
            names,
            [
                "baseline",
                "cat",
                "completions",
                "doctor",
                "gate",
                "list",
                "login",
                "man",
                "merge",
                "plan",
                "query",
                "rules",
                "scan",
                "scan-layer",
                "show",
                "sweep",
                "upload",
                "worker",
                "help"
            ],
            "each has its help here"
        );
    }
}

mod evidence {
    use super::*;

    /// Two findings, one of a file that was deleted.
    fn two() -> Vec<u8> {
        app()
            .layer([
                file("etc/token", leak(1)),
                file("root/token", format!("# {}\n\n{}", "x".repeat(300), leak(2))),
            ])
            .layer([whiteout("root/token")])
            .docker_archive()
    }

    #[test]
    fn show_finds_by_the_beginning_of_a_fingerprint() {
        let json = report(archive(two()), 1);
        let jsonl = archive(two()).arg("--format=jsonl").run().expect_code(1).stdout;
        let first = findings(&json)[0]["fingerprint"].as_str().unwrap();
        let show = |prefix: &str, text: &[u8]| {
            layersift(["show", prefix, "--in", "it.json"])
                .file("it.json", text)
                .run()
        };
        for text in [json.to_string().as_bytes(), &jsonl] {
            for prefix in [first, &first[..12], first.strip_prefix("ls1:").unwrap()] {
                let run = show(prefix, text).expect_code(0);
                assert!(
                    run.text().contains(first) && run.text().contains("added by"),
                    "{}",
                    run.text()
                );
            }
            let run = show("ls1:", text).expect_code(2);
            assert!(
                run.stderr.contains("`ls1:` fits 2 findings: `ls1:"),
                "{}",
                run.stderr
            );
            let run = show("ls1:00zz", text).expect_code(2);
            assert!(
                run.stderr
                    .contains("no finding of the report begins with `ls1:00zz`"),
                "{}",
                run.stderr
            );
        }
        for (text, says) in [
            (&b"{}"[..], "cannot"),
            (b"", "cannot"),
            (b"hello", "cannot"),
            (b"{\"schema\":\"other/9\"}", "cannot"),
        ] {
            let run = show("ls1", text).expect_code(2);
            assert!(
                run.stderr.starts_with("error: ") && run.stderr.contains(says),
                "{}",
                run.stderr
            );
        }
        let run = layersift(["show", "ls1", "--in", "none.json"])
            .run()
            .expect_code(2);
        assert!(
            run.stderr.contains("cannot read the report `none.json`"),
            "{}",
            run.stderr
        );
    }

    #[test]
    fn cat_prints_a_deleted_file_byte_for_byte() {
        let content = concatenated([
            leak(1).as_bytes(),
            b"\0\xff\x1b[31m\r\nno newline at the end",
            &[7; 5000],
        ]);
        let image = app()
            .layer([file("etc/base", "base\n")])
            .layer([
                directory("root"),
                file("root/secret file", &content),
                hard_link("root/link", "root/secret file"),
            ])
            .layer([whiteout("root/secret file")]);
        let cat = |target: &str, layer: &str, path: &str| {
            layersift(["cat", target, "--layer", layer, path])
                .file("image.tar", image.docker_archive())
                .file("oci.tar", image.clone().oci_archive())
                .run()
        };
        for target in ["image.tar", "oci.tar"] {
            for path in ["root/secret file", "/root/secret file", "./root//secret file"] {
                assert!(
                    cat(target, "2", path).expect_code(0).stdout == content,
                    "{target} {path}"
                );
            }
        }
        let registry = registry().start();
        registry.push(&images([image.clone()]), "app", "1");
        assert!(
            cat(&registry.reference("app", "1"), "2", "root/secret file")
                .expect_code(0)
                .stdout
                == content
        );
        for (target, layer, path, code, says) in [
            (
                "image.tar",
                "3",
                "root/secret file",
                2,
                "layer 3 has no file `root/secret file`",
            ),
            ("image.tar", "4", "root/secret file", 2, "the image has 3 layers"),
            ("image.tar", "0", "root/secret file", 2, "the image has 3 layers"),
            ("image.tar", "two", "root/secret file", 2, "invalid value 'two'"),
            (
                "none.tar",
                "1",
                "x",
                3,
                "there is no file or directory `none.tar`",
            ),
            ("-", "1", "x", 2, "save the stream to a file first"),
        ] {
            let run = cat(target, layer, path).expect_code(code);
            assert!(
                run.stderr.starts_with("error: ") && run.stderr.contains(says),
                "{}",
                run.stderr
            );
            assert!(run.stdout.is_empty());
        }
    }

    #[test]
    fn cat_asks_for_the_platform_where_there_are_several() {
        let both = index(
            "app:1",
            [
                app().layer([file("a", "amd\n")]),
                app().platform("linux/arm64").layer([file("a", "arm\n")]),
            ],
        );
        let cat = |args: &[&str]| {
            let command =
                layersift(["cat", "image.tar", "--layer", "1", "a"]).file("image.tar", both.oci_archive());
            args.iter().fold(command, |command, arg| command.arg(arg)).run()
        };
        let run = cat(&[]).expect_code(2);
        assert!(
            run.stderr.contains("linux/amd64, linux/arm64") && run.stderr.contains("--platform"),
            "{}",
            run.stderr
        );
        assert_eq!(cat(&["--platform", "linux/arm64"]).expect_code(0).text(), "arm\n");
    }
}

mod fingerprints {
    use super::*;

    fn fingerprint(command: Layersift) -> String {
        let report = report(command, 1);
        assert_eq!(findings(&report).len(), 1, "{report:#}");
        findings(&report)[0]["fingerprint"].as_str().unwrap().to_owned()
    }

    fn built(tag: &str, lower: &str, before: &str) -> Image {
        image()
            .named(&format!("registry.example.com/acme/app:{tag}"))
            .layer([file("etc/base", lower)])
            .layer([file("etc/token", format!("{before}{}", leak(1)))])
    }

    #[test]
    fn a_rebuild_keeps_them() {
        let first = fingerprint(archive(built("1", "a", "").docker_archive()));
        for again in [
            built("2", "a", ""),
            built("1", "another base", ""),
            built("1", "a", "# moved\n# down\n"),
            built("1", "a", "").layer([whiteout("etc/token")]),
        ] {
            assert_eq!(fingerprint(archive(again.docker_archive())), first);
        }
        assert!(first.starts_with("ls1:"));
        let other = built("1", "a", "").named("registry.example.com/acme/other:1");
        assert_ne!(
            fingerprint(archive(other.docker_archive())),
            first,
            "bound to the repository"
        );
    }

    #[test]
    fn a_registry_and_an_archive_agree_on_them() {
        let registry = registry().start();
        registry.push(&images([built("1", "a", "")]), "acme/app", "1");
        let pulled = layersift([
            "scan",
            &registry.reference("acme/app", "1"),
            "--repository",
            "acme/app",
        ]);
        let saved = archive(built("1", "a", "").docker_archive())
            .arg("--repository")
            .arg("acme/app");
        assert_eq!(fingerprint(pulled), fingerprint(saved));
    }

    #[test]
    fn a_key_makes_others_and_says_so() {
        let bytes = built("1", "a", "").docker_archive();
        let key = |text: &str| {
            archive(&bytes)
                .file("key", text)
                .arg("--fingerprint-key-file")
                .arg("key")
        };
        let (one, other) = ("a key of no use to anybody", "another key of no use to anybody");
        let keyed = fingerprint(key(one));
        assert!(keyed.starts_with("lsk1:"));
        assert_eq!(report(key(one), 1)["tool"]["fingerprint_scheme"], "lsk1");
        assert_eq!(fingerprint(key(&format!("{one}\n"))), keyed, "editors end lines");
        assert_eq!(
            fingerprint(archive(&bytes).env("LAYERSIFT_FINGERPRINT_KEY", one)),
            keyed
        );
        assert_ne!(fingerprint(key(other)), keyed);
        assert_ne!(fingerprint(archive(&bytes))[4..], keyed[5..]);
    }
}

/// Bytes of a layer that are the content of no file.
mod carriers {
    use super::*;

    /// The region that the one finding of `layer` is in, and its status.
    fn region(image: Image) -> (String, String) {
        let found = report(archive(image.oci_archive()), 1);
        assert_eq!(findings(&found).len(), 1, "{found:#}");
        let occurrence = &findings(&found)[0]["occurrences"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&occurrence["origin"]["region"]),
            text(&occurrence["status"]["name"]),
        )
    }

    fn gzip_with_comment(tar: &[u8], comment: &str) -> Vec<u8> {
        let builder = flate2::GzBuilder::new().comment(comment);
        let mut packed = Vec::new();
        builder
            .read(tar, flate2::Compression::default())
            .read_to_end(&mut packed)
            .unwrap();
        packed
    }

    #[test]
    fn a_secret_in_none_of_the_files_is_found_and_named_by_where_it_is() {
        let secret = leak(1);
        let secret = secret.trim_end();
        let long = format!("{}/{secret}", "d/".repeat(60));
        let plain = tar::archive(&[file("a", "nothing")]);
        let mut padded = file("a", "nothing").bytes();
        padded[512 + 20..512 + 20 + secret.len()].copy_from_slice(secret.as_bytes());
        let tail = [&plain[..], &[0; 512], secret.as_bytes(), &[0; 700]].concat();
        let second = [
            pack(&plain, Packing::Gzip),
            pack(&[&[0; 512], secret.as_bytes()].concat(), Packing::Gzip),
        ]
        .concat();
        let length = u32::try_from(secret.len()).unwrap();
        let skippable = [
            pack(&plain, Packing::Zstd),
            [
                &[0x50, 0x2a, 0x4d, 0x18],
                &length.to_le_bytes()[..],
                secret.as_bytes(),
            ]
            .concat(),
        ]
        .concat();
        let trailing = [pack(&plain, Packing::Gzip), [b"\n", secret.as_bytes()].concat()].concat();
        let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
        let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
        let stored = |media_type: &str, blob: Vec<u8>, tar: &[u8]| {
            app().layer_tar(tar.to_vec()).stored_as(media_type, blob)
        };
        let second_tar = [&plain[..], &[0; 512], secret.as_bytes()].concat();
        for (name, image, expected) in [
            (
                "PAX record",
                app().layer([file("a", "b").record("comment", secret)]),
                "tar-extension",
            ),
            ("link name", app().layer([symlink("a", secret)]), "tar-header"),
            (
                "long link name",
                app().layer([symlink("a", &long)]),
                "tar-extension",
            ),
            ("padding", app().layer([verbatim(padded)]), "tar-padding"),
            ("tail", app().layer_tar(tail), "tar-tail"),
            (
                "gzip comment",
                stored(gzip, gzip_with_comment(&plain, secret), &plain),
                "gzip-comment",
            ),
            (
                "second gzip member",
                stored(gzip, second, &second_tar),
                "tar-tail",
            ),
            (
                "skippable frame",
                stored(zstd, skippable, &plain),
                "skippable-frame",
            ),
            ("trailing bytes", stored(gzip, trailing, &plain), "trailing-bytes"),
        ] {
            assert_eq!(
                region(image),
                (expected.to_owned(), "unlisted".to_owned()),
                "{name}"
            );
        }
        let whiteout = app().layer([file("a", "x")]).layer([file(".wh.a", secret)]);
        assert_eq!(region(whiteout).1, "unlisted", "whiteout");
        let opaque = app().layer([directory("d"), file("d/.wh..wh..opq", secret)]);
        assert_eq!(region(opaque).1, "unlisted", "opaque marker");
    }
}

/// Promise 2 of the design: a rule's token that ends where a block ends, with a name right behind it that would
/// continue it, is found all the same.
#[test]
fn a_token_that_ends_at_a_block_boundary_is_found_for_every_rule() {
    let rules = Arc::new(RuleSet::builtin());
    let mut layer = Vec::new();
    let mut expected = Vec::new();
    for (number, rule) in rules.rules().iter().enumerate() {
        for (place, example) in rule.examples.iter().enumerate() {
            let text = example.expand(number as u64).unwrap();
            let text = text.trim_ascii_end();
            let fill = text.len().next_multiple_of(512) - text.len();
            let path = format!(
                "r{number}-{place}/{}",
                example.path.as_deref().unwrap_or("app/config")
            );
            layer.extend(file(&path, [&vec![b'\n'; fill][..], text].concat()).bytes());
            // A name and a content that would go on with a token of any alphabet.
            layer.extend(
                file(
                    format!("aB3cD4eF5/{number}-{place}-abcdef0123456789ABCDEF"),
                    "Zz9Yy8Xx7",
                )
                .bytes(),
            );
            expected.push((rule.id.clone(), path));
        }
    }
    layer.resize(layer.len() + 1024, 0);
    assert!(expected.len() >= 60);
    for packing in [Packing::Plain, Packing::Gzip] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.tar");
        fs::write(
            &path,
            app().layer_tar(layer.clone()).packed(packing).oci_archive(),
        )
        .unwrap();
        let target = Target {
            name: "image.tar".to_owned(),
            repository: None,
            opened: source::open(path.to_str().unwrap(), &OpenOptions::default()),
        };
        let report = Scan::new(Arc::clone(&rules)).run(vec![target]).unwrap();
        assert!(report.coverage.is_complete(), "{:?}", report.coverage);
        let found: BTreeSet<(&str, String)> = report
            .findings
            .iter()
            .flat_map(|finding| {
                finding
                    .occurrences
                    .iter()
                    .map(move |occurrence| (finding, occurrence))
            })
            .filter_map(|(finding, occurrence)| match &occurrence.origin {
                layersift::finding::Origin::File { path, .. } => {
                    Some((finding.rule.0.as_str(), path.escaped()))
                }
                _ => None,
            })
            .collect();
        let missed: Vec<_> = expected
            .iter()
            .filter(|(rule, path)| !found.contains(&(rule.0.as_str(), path.clone())))
            .collect();
        assert!(
            missed.is_empty(),
            "{} of {} missed: {missed:#?}",
            missed.len(),
            expected.len()
        );
    }
}
