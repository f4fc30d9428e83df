//! Alerts on the lines that caused them: an image built by buildah from a Dockerfile of three stages, with secrets planted
//! in all the ways a build takes them in.

#![allow(
    clippy::print_stdout,
    reason = "the table is for whoever runs it with --nocapture"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::support::command::{Layersift, layersift};
use super::support::image::image;
use super::support::secrets::{Secrets, secrets};
use super::support::tar::{Member, archive, file};
use super::support::{output_of, program};

/// A Dockerfile on its way, and what was planted with it.
struct Plan {
    secrets: Secrets,
    lines: Vec<String>,
    /// What, its value, and the line that brings it.
    planted: Vec<(String, String, usize)>,
    context: Vec<(String, String)>,
}

impl Plan {
    fn line(&mut self, line: impl Into<String>) -> usize {
        self.lines.push(line.into());
        self.lines.len()
    }

    fn secret(&mut self) -> String {
        self.secrets.github_token()
    }

    /// A secret that the next line brings.
    fn plant(&mut self, what: &str) -> String {
        let secret = self.secret();
        self.planted
            .push((what.to_owned(), secret.clone(), self.lines.len() + 1));
        secret
    }

    /// A file of the context with a secret that the next line brings.
    fn planted_file(&mut self, name: &str, what: &str) -> String {
        let secret = self.plant(what);
        self.context
            .push((name.to_owned(), format!("# {name}\ntoken = {secret}\n")));
        name.to_owned()
    }
}

/// Three stages. `extra` is an instruction that has nothing to do with any secret.
fn plan(extra: Option<&str>) -> Plan {
    let mut plan = Plan {
        secrets: secrets(77),
        lines: Vec::new(),
        planted: Vec::new(),
        context: Vec::new(),
    };
    let p = &mut plan;
    p.line("# Three stages, and a secret wherever one can be.");
    p.line("FROM scratch AS tools");
    p.line("ADD rootfs.tar /");
    for number in 0..3 {
        let name = p.planted_file(
            &format!("tool{number}.ini"),
            "COPY in the stage that is continued",
        );
        p.line(format!("COPY {name} /opt/tools/{name}"));
    }
    p.line("");
    p.line("FROM tools AS build");
    let name = p.secret();
    p.context
        .push(("build.env".to_owned(), format!("TOKEN={name}\n")));
    p.line("COPY build.env /src/build.env");
    p.line("RUN mkdir -p /out \\");
    p.line("  # a comment inside");
    p.line(" && cp /src/build.env /out/app.env");
    p.line("");
    p.line("FROM tools");
    if let Some(extra) = extra {
        p.line(extra);
    }
    p.planted.push((
        "COPY --from of what another stage had".to_owned(),
        name,
        p.lines.len() + 1,
    ));
    p.line("COPY --from=build /out/app.env /srv/app.env");
    for number in 0..3 {
        let secret = p.plant("ENV");
        p.line(format!("ENV SERVICE{number}_TOKEN={secret}"));
    }
    let (first, second) = (
        p.plant("ENV, first of one line"),
        p.plant("ENV, second of one line"),
    );
    p.line(format!("ENV LEFT_TOKEN={first} RIGHT_TOKEN={second}"));
    let secret = p.plant("ENV over two lines");
    p.line("ENV MODE=production \\");
    p.line(format!("    DEPLOY_TOKEN=\"{secret}\""));
    for number in 0..2 {
        let secret = p.plant("LABEL");
        p.line(format!("LABEL org.example.token{number}=\"{secret}\""));
    }
    p.line("ARG TARGET=/srv/settings");
    p.line("WORKDIR $TARGET");
    let name = p.planted_file("relative.ini", "COPY to a relative path below a variable");
    p.line(format!("COPY {name} conf/"));
    let name = p.planted_file("owned.ini", "COPY --chown --chmod");
    p.line(format!("COPY --chown=7:7 {name} /etc/owned.ini"));
    for number in 0..4 {
        let name = p.planted_file(&format!("gone{number}.ini"), "COPY, deleted later");
        p.line(format!("COPY {name} /root/gone{number}.ini"));
    }
    for number in 0..2 {
        let name = p.planted_file(&format!("old{number}.ini"), "COPY, overwritten later");
        p.line(format!("COPY {name} /etc/config{number}.ini"));
    }
    let secret = p.plant("RUN that writes a file");
    p.line(format!(
        "RUN mkdir -p /var/app && echo 'token={secret}' > /var/app/written.ini"
    ));
    let secret = p.plant("RUN over several lines");
    p.line("RUN echo start > /var/app/log \\");
    p.line("");
    p.line("    # why not");
    p.line(format!("  && echo '{secret}' > /var/app/several.ini \\"));
    p.line("  && rm /var/app/log");
    let secret = p.plant("RUN that uses a token and writes nothing of it");
    p.line(format!("RUN echo 'Authorization: token {secret}' > /dev/null"));
    let (first, second) = (
        p.plant("two in one file, first"),
        p.plant("two in one file, second"),
    );
    p.context
        .push(("two.ini".to_owned(), format!("a={first}\nb={second}\n")));
    p.line("COPY two.ini /etc/two.ini");
    let name = p.planted_file("packed.ini", "ADD of an archive");
    let packed = p.context.pop().unwrap().1;
    p.context.push((name, String::new()));
    p.line("ADD packed.tar /opt/packed/");
    p.context.push(("packed.tar".to_owned(), packed));
    for number in 0..3 {
        let name = p.planted_file(&format!("folder/part{number}.ini"), "COPY of a folder");
        // One instruction brings all of them.
        let _ = name;
    }
    p.line("COPY folder /opt/folder");
    let name = p.planted_file("template.ini", "COPY with a wildcard");
    p.line("COPY templ*.ini /opt/wild/");
    let _ = name;
    p.context
        .push(("new.ini".to_owned(), "nothing = here\n".to_owned()));
    for number in 0..2 {
        p.line(format!("COPY new.ini /etc/config{number}.ini"));
    }
    p.line("RUN rm -f /root/gone0.ini /root/gone1.ini");
    p.line("RUN rm -f /root/gone2.ini /root/gone3.ini");
    let secret = p.plant("CMD");
    p.line(format!("CMD [\"/bin/sh\", \"-c\", \"echo --token {secret}\"]"));
    plan
}

/// Writes the repository and builds the image as an OCI layout beside it.
fn build(folder: &Path, plan: &Plan, layers: bool) -> PathBuf {
    let repository = folder.join("repository");
    fs::create_dir_all(&repository).unwrap();
    for (name, content) in &plan.context {
        let path = repository.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if name == "packed.tar" {
            fs::write(path, archive(&[file("inner/packed.ini", content.as_bytes())])).unwrap();
        } else {
            fs::write(path, content).unwrap();
        }
    }
    fs::write(repository.join("rootfs.tar"), rootfs()).unwrap();
    fs::write(repository.join("Dockerfile"), plan.lines.join("\n") + "\n").unwrap();
    let git = |arguments: &[&str]| output_of(Command::new("git").arg("-C").arg(&repository).args(arguments));
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    let buildah = |arguments: &[&str]| {
        output_of(
            program("buildah", "buildah")
                .current_dir(&repository)
                .arg("--root")
                .arg(folder.join("storage"))
                .arg("--runroot")
                .arg(folder.join("run"))
                .args(["--storage-driver", "vfs"])
                .args(arguments),
        );
    };
    let layers = format!("--layers={layers}");
    let build = ["build", "--isolation", "chroot", &layers, "-t", "app:1", "."];
    buildah(&build);
    buildah(&[
        "push",
        "-q",
        "app:1",
        &format!("oci:{}:app:1", folder.join("image").display()),
    ]);
    buildah(&["rmi", "--all", "--force"]);
    repository
}

/// A shell and what it needs, of this machine.
fn rootfs() -> Vec<u8> {
    let mut members: Vec<Member> = Vec::new();
    let mut libraries = std::collections::BTreeSet::new();
    for name in ["sh", "cp", "mkdir", "rm"] {
        let path = fs::canonicalize(format!("/bin/{name}")).unwrap();
        let linked = String::from_utf8(output_of(Command::new("ldd").arg(&path))).unwrap();
        libraries.extend(
            linked
                .split_whitespace()
                .filter(|word| word.starts_with('/'))
                .map(str::to_owned),
        );
        members.push(file(format!("bin/{name}"), fs::read(&path).unwrap()).mode(0o755));
    }
    for library in libraries {
        members.push(file(library.trim_start_matches('/'), fs::read(&library).unwrap()).mode(0o755));
    }
    members.push(file("var/keep", ""));
    archive(&members)
}

/// Scans the image in the repository; the JSON and the SARIF of the same run.
fn scan(repository: &Path, more: &[&str]) -> (Value, Value) {
    let image = format!("oci:{}", repository.parent().unwrap().join("image").display());
    let here = tempfile::tempdir().unwrap();
    let [json, sarif] = ["report.json", "report.sarif"].map(|name| here.path().join(name));
    let run = layersift(["scan", &image, "--dockerfile"])
        .arg(repository.join("Dockerfile"))
        .arg("--repository=registry.example.com/acme/app")
        .arg(format!("--format=json={}", json.display()))
        .arg(format!("--format=sarif={}", sarif.display()));
    let run = more
        .iter()
        .fold(run, |run, arg| run.arg(arg))
        .run()
        .expect_code(1);
    assert!(!run.stderr.contains("error"), "{}", run.stderr);
    [json, sarif]
        .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        .into()
}

/// The line of each alert with the secret it is about, by its redacted form.
fn alerts(sarif: &Value) -> Vec<(String, u64, String, String)> {
    let results = sarif["runs"][0]["results"].as_array().unwrap().iter();
    let told = results.map(|result| {
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "Dockerfile");
        (
            result["properties"]["secret"].as_str().unwrap().to_owned(),
            place["region"]["startLine"].as_u64().unwrap(),
            result["properties"]["dockerfileMapping"]
                .as_str()
                .unwrap()
                .to_owned(),
            result["partialFingerprints"]["primaryLocationLineHash"]
                .as_str()
                .unwrap()
                .to_owned(),
        )
    });
    told.collect()
}

fn redacted(secret: &str) -> String {
    layersift::finding::Secret::new(secret.as_bytes().to_vec()).redacted()
}

/// Compares the alerts with what was planted, and prints the table.
fn check(plan: &Plan, sarif: &Value, surely: bool) {
    let alerts = alerts(sarif);
    let mut wrong = 0;
    println!("{:>4} {:>5}  {:<11} what", "line", "alert", "certainty");
    for (what, secret, line) in &plan.planted {
        let found: Vec<_> = alerts
            .iter()
            .filter(|alert| alert.0 == redacted(secret))
            .collect();
        let [(_, at, certainty, _)] = found.as_slice() else {
            panic!("{} alerts for: {what}", found.len());
        };
        let is_right = *at == *line as u64;
        wrong += usize::from(!is_right);
        let mark = if is_right { "" } else { "   <- wrong" };
        println!("{line:>4} {at:>5}  {certainty:<11} {what}{mark}");
        if surely {
            assert!(["exact", "provenance"].contains(&certainty.as_str()), "{what}");
        }
    }
    assert!(plan.planted.len() >= 30);
    assert_eq!(alerts.len(), plan.planted.len());
    assert_eq!(wrong, 0);
}

#[test]
fn every_planted_secret_is_an_alert_on_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(None);
    let repository = build(folder.path(), &plan, true);
    let (json, sarif) = scan(&repository, &[]);
    check(&plan, &sarif, true);

    // What a later instruction deletes or replaces: added here, hidden there.
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let flows: Vec<&Value> = results
        .iter()
        .filter(|result| !result["codeFlows"].is_null())
        .collect();
    assert_eq!(flows.len(), 6);
    for result in flows {
        let text = result["message"]["text"].as_str().unwrap();
        assert!(
            text.contains(" on this line brings it and [Dockerfile line "),
            "{text}"
        );
        let steps = result["codeFlows"][0]["threadFlows"][0]["locations"]
            .as_array()
            .unwrap();
        let line = |step: &Value| {
            step["location"]["physicalLocation"]["region"]["startLine"]
                .as_u64()
                .unwrap()
        };
        assert!(line(&steps[0]) < line(&steps[1]));
        assert_eq!(
            line(&steps[1]),
            line(&serde_json::json!({"location": result["relatedLocations"][0]}))
        );
    }
    assert_eq!(json["images"][0]["dockerfile"]["mapping"], "history");
    for (_, secret, _) in &plan.planted {
        assert!(
            !sarif.to_string().contains(secret.as_str()),
            "the log shows a secret"
        );
        assert!(
            !json.to_string().contains(secret.as_str()),
            "the report shows a secret"
        );
    }
}

/// A metadata file as `docker buildx build --metadata-file` writes it, of the image that buildah built: a step for each
/// instruction of the image's stages that makes a layer, with its lines.
fn metadata_file(plan: &Plan, image: &Path) -> Value {
    let blob = |digest: &Value| -> Value {
        let (_, name) = digest.as_str().unwrap().split_once(':').unwrap();
        serde_json::from_slice(&fs::read(image.join("blobs/sha256").join(name)).unwrap()).unwrap()
    };
    let index: Value = serde_json::from_slice(&fs::read(image.join("index.json")).unwrap()).unwrap();
    let digest = &index["manifests"][0]["digest"];
    let layers = blob(digest)["layers"].as_array().unwrap().clone();

    // First and last line of each instruction that makes a layer, but for those of the stage that is left behind.
    let mut made: Vec<(usize, usize)> = Vec::new();
    let mut stage = 0;
    let mut begun = None;
    for (line, text) in (1..).zip(&plan.lines) {
        let is_filler = text.trim().is_empty() || text.trim_start().starts_with('#');
        if is_filler {
            continue;
        }
        let first = *begun.get_or_insert(line);
        if text.ends_with('\\') {
            continue;
        }
        begun = None;
        let word = plan.lines[first - 1].split(' ').next().unwrap();
        stage += usize::from(word == "FROM");
        if stage != 2 && ["ADD", "COPY", "RUN"].contains(&word) {
            made.push((first, line));
        }
    }
    assert_eq!(made.len(), layers.len());

    let steps: Vec<Value> = (0..=made.len())
        .map(|number| {
            let before: Vec<String> = (0..number)
                .skip(number.saturating_sub(1))
                .map(|before| format!("step{before}:0"))
                .collect();
            serde_json::json!({"id": format!("step{number}"), "op": {"Op": {"file": {}}}, "inputs": before})
        })
        .collect();
    let step = |number: usize| format!("step{}", number + 1);
    let locations: serde_json::Map<String, Value> = made
        .iter()
        .enumerate()
        .map(|(number, (first, last))| {
            let range = serde_json::json!({"start": {"line": first}, "end": {"line": last}});
            (
                step(number),
                serde_json::json!({"locations": [{"ranges": [range]}]}),
            )
        })
        .collect();
    let chains: serde_json::Map<String, Value> = (0..layers.len())
        .map(|number| {
            (
                format!("{}:0", step(number)),
                serde_json::json!([layers[..=number]]),
            )
        })
        .collect();
    let file = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        plan.lines.join("\n") + "\n",
    );
    serde_json::json!({
        "containerimage.digest": digest,
        "buildx.build.provenance": {
            "buildDefinition": {"internalParameters": {"buildConfig": {"llbDefinition": steps}}},
            "runDetails": {"metadata": {"buildkit_metadata": {
                "source": {"locations": locations, "infos": [{"filename": "Dockerfile", "data": file}]},
                "layers": chains,
            }}},
        },
    })
}

#[test]
fn a_metadata_file_of_the_build_leads_to_the_same_lines() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(None);
    let repository = build(folder.path(), &plan, true);
    let metadata = folder.path().join("build.json");
    let written = metadata_file(&plan, &folder.path().join("image"));
    fs::write(&metadata, written.to_string()).unwrap();
    let option = format!("--provenance={}", metadata.display());
    let (json, sarif) = scan(&repository, &[&option]);
    check(&plan, &sarif, true);
    assert_eq!(json["images"][0]["dockerfile"]["mapping"], "provenance");
}

#[test]
fn a_rebuild_with_an_unrelated_change_keeps_every_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let identities = |name: &str, plan: &Plan| {
        let folder = folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        let repository = build(&folder, plan, true);
        let (_, sarif) = scan(&repository, &[]);
        check(plan, &sarif, true);
        let mut identities: Vec<String> = alerts(&sarif).into_iter().map(|alert| alert.3).collect();
        identities.sort();
        (sarif["runs"][0]["automationDetails"]["id"].clone(), identities)
    };
    let before = identities("before", &plan(None));
    let after = identities("after", &plan(Some("RUN echo changed > /var/changed")));
    assert_eq!(before, after);
    let mut distinct = before.1.clone();
    distinct.dedup();
    assert_eq!(
        distinct.len(),
        before.1.len(),
        "two secrets of one line are two alerts"
    );
}

#[test]
fn a_stage_that_was_written_as_one_layer_still_leads_to_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(None);
    let repository = build(folder.path(), &plan, false);
    let (json, sarif) = scan(&repository, &[]);
    assert_eq!(json["images"][0]["layers"].as_array().unwrap().len(), 2);
    let alerts = alerts(&sarif);
    let (mut right, mut unknown) = (0, 0);
    for (what, secret, line) in &plan.planted {
        let Some((_, at, certainty, _)) = alerts.iter().find(|alert| alert.0 == redacted(secret)) else {
            // What the same layer deletes or replaces is not in it.
            assert!(what.ends_with("later"), "{what}");
            continue;
        };
        match certainty.as_str() {
            "none" => unknown += 1,
            _ => {
                assert_eq!(*at, *line as u64, "{what}: a wrong line");
                right += 1;
            }
        }
    }
    println!("{right} on their lines, {unknown} not known");
    assert!(right >= 20 && unknown <= 4, "{right} {unknown}");
}

#[test]
fn a_secret_of_a_tracked_file_is_an_alert_on_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(None);
    let repository = build(folder.path(), &plan, true);
    let image = format!("oci:{}", folder.path().join("image").display());
    let mut scan = Command::new(env!("CARGO_BIN_EXE_layersift"));
    scan.current_dir(&repository)
        .args(["scan", &image, "--format=sarif", "--sarif-location=file"]);
    let output = scan.output().unwrap();
    let sarif: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let of = |name: &str| {
        let result = results
            .iter()
            .find(|result| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == name);
        result.unwrap_or_else(|| panic!("no alert on {name}"))
    };
    let result = of("tool1.ini");
    assert_eq!(
        result["locations"][0]["physicalLocation"]["region"]["startLine"],
        2
    );
    let text = result["message"]["text"].as_str().unwrap();
    assert!(text.contains(" [Dockerfile line 5](1) brings it."), "{text}");
    // What is no file of the checkout stands at its instruction.
    of("Dockerfile");
}

#[test]
fn a_trigger_for_later_builds_is_an_alert_on_its_line() {
    let token = secrets(9200).github_token();
    let trigger = format!("ENV TOKEN={token}");
    // BuildKit keeps it in the configuration alone, others write it into the history too.
    for history in [None, Some(format!("/bin/sh -c #(nop)  ONBUILD {trigger}"))] {
        let mut image = image().named("base:1").layer([file("a", "nothing")]);
        image = image.created_by("COPY a /a # buildkit");
        if let Some(history) = &history {
            image = image.history(history);
        }
        let image = image.config("OnBuild", serde_json::json!([trigger]));
        let run = layersift(["scan", "app.tar", "--dockerfile=Dockerfile", "--format=sarif"])
            .file("app.tar", image.oci_archive())
            .file(
                "Dockerfile",
                format!("FROM scratch\nCOPY a /a\nONBUILD {trigger}\n"),
            )
            .run()
            .expect_code(1);
        let alerts = alerts(&run.json());
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        assert_eq!(alerts[0].1, 3, "{alerts:?}");
    }
}

#[test]
fn a_log_names_the_commit_of_its_dockerfile_and_no_login() {
    let run = |command: Layersift| {
        let sarif = command.run().expect_code(0).json();
        sarif["runs"][0]["versionControlProvenance"].clone()
    };
    let scan = || {
        layersift(["scan", "app.tar", "--dockerfile=Dockerfile", "--format=sarif"])
            .file(
                "app.tar",
                image().named("app:1").layer([file("a", "b")]).oci_archive(),
            )
            .file("Dockerfile", "FROM scratch\nCOPY a /a\n")
    };
    assert_eq!(run(scan()), Value::Null, "there is no repository");
    let command = scan();
    let git = |arguments: &[&str]| {
        let mut git = program("git", "git");
        git.arg("-C").arg(command.path("")).args(arguments);
        let identity = [("NAME", "a"), ("EMAIL", "a@example.com")];
        for (name, value) in identity {
            git.env(format!("GIT_AUTHOR_{name}"), value);
            git.env(format!("GIT_COMMITTER_{name}"), value);
        }
        String::from_utf8(output_of(&mut git)).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch=trunk"]);
    git(&["add", "Dockerfile"]);
    git(&["commit", "--quiet", "--message=a"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let remote = "https://user:password@git.example.com/acme/app.git";
    git(&["remote", "add", "origin", remote]);
    let known = run(command);
    assert_eq!(known[0]["repositoryUri"], "https://git.example.com/acme/app.git");
    assert_eq!(known[0]["revisionId"], commit);
    assert_eq!(known[0]["branch"], "trunk");
    // What Actions says goes before what git says.
    let known = run(scan()
        .env("GITHUB_SERVER_URL", "https://github.example.com")
        .env("GITHUB_REPOSITORY", "acme/app")
        .env("GITHUB_SHA", "a".repeat(40))
        .env("GITHUB_REF", "refs/pull/7/merge"));
    assert_eq!(known[0]["repositoryUri"], "https://github.example.com/acme/app");
    assert_eq!(known[0]["revisionId"], "a".repeat(40));
    assert_eq!(known[0]["branch"], Value::Null);
}

#[test]
fn a_dockerfile_that_cannot_be_used_is_told() {
    let broken = layersift(["scan", "app.tar", "--dockerfile=Dockerfile"])
        .file("app.tar", "")
        .file("Dockerfile", "FROM a\nPASSWORD hunter2hunter2\n")
        .run()
        .expect_code(2);
    for told in ["cannot use the Dockerfile `Dockerfile`", "line 2, column 1"] {
        assert!(broken.stderr.contains(told), "{}", broken.stderr);
    }
    assert!(!broken.stderr.contains("PASSWORD"), "{}", broken.stderr);
    let empty = layersift(["scan", "app.tar", "--provenance=p.json"])
        .file("app.tar", "")
        .file("p.json", "{}")
        .run()
        .expect_code(2);
    assert!(empty.stderr.contains("mode=max"), "{}", empty.stderr);
}
