//! Where people work: the action, the plugin of Docker, the hook, the template of GitLab and the recipes of `docs/ci.md`, run as
//! their hosts run them. What would be fetched from a release comes from loopback; builders that are no part of these tests are
//! scripts that write what the builder writes. No host itself is asked.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::engine::podman;
use crate::support::image::{Image, image, images};
use crate::support::scripted::{Reply, Server};
use crate::support::secrets::secrets;
use crate::support::tar::file;
use crate::support::{output_of, program};

const BINARY: &str = env!("CARGO_BIN_EXE_layersift");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn clean() -> Image {
    image()
        .named("app:1")
        .layer([file("etc/os-release", "ID=test\n")])
}

fn leaking() -> Image {
    let token = secrets(9100).github_token();
    clean().layer([file("srv/a", format!("token={token}\n"))])
}

/// A folder to work in, with programs of its own before those of the machine.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for name in ["bin", "home", "work"] {
            fs::create_dir(desk.path(name)).unwrap();
        }
        desk
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(path), content).unwrap();
        self
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Puts a script onto the PATH.
    fn script(&self, name: &str, script: &str) -> &Self {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/usr/bin/env bash\nset -eu\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Puts layersift onto the PATH under this name.
    fn layersift(&self, name: &str) -> &Self {
        symlink(BINARY, self.path("bin").join(name)).unwrap();
        self
    }

    /// A command in the folder `work`, with nothing of the caller's environment.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("HOME", self.path("home"))
            .env("DOCKER_HOST", "unix:///no-engine.sock")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.path("work"));
        command
    }

    /// A script as a CI system runs it.
    fn bash(&self, script: &str) -> Command {
        let mut command = self.command("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        command
    }
}

#[track_caller]
fn expect_code(mut command: Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{}\nstderr:\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A release on loopback: its binary is a script that runs the layersift under test.
fn release() -> (Server, String) {
    let script = format!("#!/bin/sh\nexec '{BINARY}' \"$@\"\n");
    let sum = Sha256::digest(&script);
    let sum = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    let server = Server::start(move |request| match request.path.as_str() {
        path if path.starts_with("/v9.9.9/layersift-") => Reply::ok(script.clone()),
        _ => Reply::new(404),
    });
    (server, sum)
}

/// A step of the action: its environment and its script, with the inputs put in.
struct Step {
    env: Vec<(String, String)>,
    run: String,
}

/// The steps of `action.yml`, read line by line: the file is ours, and kept this simple.
fn steps(inputs: &[(&str, &str)]) -> Vec<Step> {
    let text = read("action.yml");
    let (declared, runs) = text.split_once("\nruns:\n").unwrap();
    let value = |expression: &str| -> String {
        let name = expression
            .trim_start_matches("${{ inputs.")
            .trim_end_matches(" }}");
        let declared = declared
            .split(&format!("\n  {name}:\n"))
            .nth(1)
            .unwrap_or_else(|| panic!("`{expression}` is no input"));
        let own = declared.lines().take_while(|line| line.starts_with("    "));
        let default = own
            .filter_map(|line| line.trim().strip_prefix("default: "))
            .next();
        let given = inputs.iter().find(|(given, _)| *given == name);
        let value = given.map(|(_, value)| *value).or(default).unwrap_or_default();
        value.trim_matches('"').to_owned()
    };
    let mut steps: Vec<Step> = Vec::new();
    for line in runs.lines() {
        let (name, rest) = line.trim().split_once(": ").unwrap_or((line.trim(), ""));
        match name {
            "- name" => steps.push(Step {
                env: Vec::new(),
                run: String::new(),
            }),
            "run" => steps.last_mut().unwrap().run = rest.trim_matches('\'').to_owned(),
            name if rest.starts_with("${{ inputs.") => {
                let step = steps.last_mut().unwrap();
                step.env.push((name.to_owned(), value(rest)));
            }
            _ => {}
        }
    }
    steps
}

/// Runs the action as GitHub's runner does: each step in its turn, with what the steps before wrote.
struct Action {
    desk: Desk,
    release: (Server, String),
    /// The lines of `ci/checksums`.
    checksums: String,
}

impl Action {
    fn new(image: &Image) -> Self {
        let (desk, release) = (Desk::new(), release());
        desk.write("work/image.tar", image.oci_archive());
        fs::create_dir_all(desk.path("action/ci")).unwrap();
        for name in ["ci/fetch", "ci/scan"] {
            fs::copy(root().join(name), desk.path("action").join(name)).unwrap();
        }
        let targets = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
        let lines = targets.map(|target| format!("v9.9.9 {} layersift-{target}\n", release.1));
        Self {
            desk,
            checksums: lines.concat(),
            release,
        }
    }

    #[track_caller]
    fn run(&self, inputs: &[(&str, &str)], code: i32) -> Output {
        let output = self.ended(inputs);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        output
    }

    /// What the last step that ran ended with.
    fn ended(&self, inputs: &[(&str, &str)]) -> Output {
        self.desk
            .write("action/ci/checksums", format!("# a comment\n{}", self.checksums));
        let mut last = None;
        for step in steps(inputs) {
            let added = self.desk.text("github-path");
            let path = std::env::var("PATH").unwrap_or_default();
            let mut command = self.desk.bash(&step.run);
            command
                .env("PATH", format!("{}:{path}", added.trim().replace('\n', ":")))
                .env("GITHUB_ACTION_PATH", self.desk.path("action"))
                .env("GITHUB_PATH", self.desk.path("github-path"))
                .env("GITHUB_OUTPUT", self.desk.path("output"))
                .env("GITHUB_STEP_SUMMARY", self.desk.path("summary"))
                .env("RUNNER_TEMP", self.desk.path("home"))
                .env("LAYERSIFT_RELEASES", self.release.0.url("").trim_end_matches('/'))
                .envs(step.env);
            let output = command.output().unwrap();
            let is_last = !output.status.success();
            last = Some(output);
            if is_last {
                break;
            }
        }
        last.expect("there are steps")
    }
}

#[test]
fn the_action_passes_a_clean_image_and_leaves_sarif_and_a_summary() {
    let action = Action::new(&clean());
    action.run(&[("image", "image.tar")], 0);
    let sarif: Value = serde_json::from_str(&action.desk.text("work/layersift.sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 0);
    assert_eq!(action.desk.text("output"), "sarif=layersift.sarif\nexit-code=0\n");
    assert!(action.desk.text("summary").contains("No secrets were found"));
    assert!(
        action
            .release
            .0
            .paths()
            .iter()
            .any(|path| path.starts_with("/v9.9.9/layersift-"))
    );
}

#[test]
fn the_action_fails_where_layersift_does() {
    let action = Action::new(&leaking());
    let image = ("image", "image.tar");
    action.run(&[image, ("sarif", "a b.sarif"), ("category", "nightly")], 1);
    let sarif: Value = serde_json::from_str(&action.desk.text("work/a b.sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 1);
    assert_eq!(sarif["runs"][0]["automationDetails"]["id"], "nightly/");
    assert!(action.desk.text("output").ends_with("exit-code=1\n"));
    assert!(action.desk.text("summary").contains("1 secret was found"));
    // Findings may pass.
    action.run(&[image, ("fail-on-findings", "false")], 0);
    action.run(
        &[
            image,
            (
                "arguments",
                "--severity\ncritical\n--no-rule=github-personal-access-token",
            ),
        ],
        0,
    );
    // What was not scanned never does.
    let whole = leaking().oci_archive();
    action.desk.write("work/image.tar", &whole[..whole.len() / 2]);
    let ended = action.ended(&[image, ("fail-on-findings", "false")]);
    let code = ended.status.code().unwrap();
    assert!([3, 4, 5].contains(&code), "{}", said(&ended));
    let written = action.desk.text("output");
    assert!(written.ends_with(&format!("exit-code={code}\n")), "{written}");
}

#[test]
fn the_action_takes_no_input_for_a_part_of_its_script() {
    let action = Action::new(&clean());
    for hostile in [
        "$(touch pwned)",
        "`touch pwned`",
        "x; touch pwned",
        "\"; touch pwned #",
        "--help",
    ] {
        action.run(&[("image", hostile)], 3);
    }
    for (input, code) in [
        ("dockerfile", 2),
        ("category", 0),
        ("provenance", 2),
        ("arguments", 4),
    ] {
        action.run(&[("image", "image.tar"), (input, "$(touch pwned)")], code);
    }
    for (input, value) in [
        ("command", "rules"),
        ("fail-on-findings", "no"),
        ("sarif", "a\nexit-code=0"),
        ("image", ""),
    ] {
        // The first of two of a name counts.
        let output = action.run(&[(input, value), ("image", "image.tar")], 2);
        assert!(said(&output).contains("::error::the input "), "{}", said(&output));
    }
    assert!(!action.desk.path("work/pwned").exists());
}

#[test]
fn the_action_runs_nothing_that_is_not_what_its_checksum_says() {
    let mut action = Action::new(&clean());
    let image = ("image", "image.tar");
    let (good, bad) = (action.release.1.clone(), "0".repeat(64));
    let sums = std::mem::take(&mut action.checksums);
    // Nothing is known, or no checksum is.
    let output = action.run(&[image], 2);
    assert!(
        said(&output).contains("::error::no release to fetch"),
        "{}",
        said(&output)
    );
    let output = action.run(&[image, ("version", "v9.9.9")], 2);
    assert!(
        said(&output).contains("::error::no checksum for"),
        "{}",
        said(&output)
    );
    assert!(action.release.0.paths().is_empty(), "nothing was fetched");
    let output = action.run(&[image, ("version", "../x"), ("sha256", &good)], 2);
    assert!(said(&output).contains("no release to fetch"), "{}", said(&output));
    // Another file than the one that was expected.
    let output = action.run(&[image, ("version", "v9.9.9"), ("sha256", &bad)], 2);
    assert!(
        said(&output).contains("is not what was expected"),
        "{}",
        said(&output)
    );
    assert_eq!(action.desk.text("github-path"), "");
    action.checksums = sums.replace(&good, &bad);
    action.run(&[image], 2);
    // A release that is not there.
    let output = action.run(&[image, ("version", "v9.9.8"), ("sha256", &good)], 2);
    assert!(said(&output).contains("cannot fetch"), "{}", said(&output));
    action.run(&[image, ("version", "v9.9.9"), ("sha256", &good)], 0);
}

#[test]
fn the_action_puts_no_expression_into_a_script() {
    let text = read("action.yml");
    let runs: Vec<&str> = text
        .lines()
        .filter(|line| line.trim().starts_with("run:"))
        .collect();
    assert_eq!(
        runs.len(),
        text.matches("shell: bash").count(),
        "each script has a shell"
    );
    assert!(runs.iter().all(|line| !line.contains("${{")), "{runs:?}");
    assert!(
        !text.contains("uses:"),
        "an action of others would have to be pinned"
    );
    // Every input is used.
    let (declared, _) = text.split_once("\noutputs:\n").unwrap();
    let (_, declared) = declared.split_once("\ninputs:\n").unwrap();
    let names = declared.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.strip_suffix(':')?;
        (!name.starts_with(' ')).then_some(name)
    });
    for name in names {
        assert!(text.contains(&format!("${{{{ inputs.{name} }}}}")), "{name}");
    }
}

#[test]
fn examples_pin_what_they_use() {
    for (path, text) in [
        ("docs/ci.md", read("docs/ci.md")),
        ("README.md", read("README.md")),
    ] {
        for line in text.lines().filter(|line| line.contains("uses:")) {
            let commit = line.split_once('@').map_or("", |(_, commit)| commit);
            let commit = commit.split_whitespace().next().unwrap_or_default();
            let is_pinned = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            // Of this repository no commit is known before it is made.
            assert!(is_pinned || commit == "COMMIT", "{path}: {line}");
        }
    }
}

/// The plugin of Docker, and a `docker` that says what it was told.
fn plugin() -> Desk {
    let desk = Desk::new();
    desk.layersift("docker-layersift").script(
        "docker",
        "printf '%s\\n' \"$@\" > ../told; exit ${DOCKER_ENDS_WITH:-0}",
    );
    desk
}

#[test]
fn docker_is_told_what_the_plugin_is() {
    let desk = plugin();
    let mut command = desk.command(desk.path("bin/docker-layersift"));
    command.arg("docker-cli-plugin-metadata");
    let metadata: Value = serde_json::from_slice(&expect_code(command, 0).stdout).unwrap();
    assert_eq!(metadata["SchemaVersion"], "0.1.0");
    assert_eq!(metadata["Vendor"], "layersift");
    assert!(metadata["ShortDescription"].is_string());
}

#[test]
fn docker_layersift_scans_an_image() {
    let desk = plugin();
    desk.write("work/image.tar", leaking().oci_archive());
    let plugin = |arguments: &[&str], code| {
        let mut command = desk.command(desk.path("bin/docker-layersift"));
        command.arg("layersift").args(arguments);
        said(&expect_code(command, code))
    };
    assert!(plugin(&["image.tar"], 1).contains("srv/a"));
    assert!(plugin(&["gate", "image.tar"], 1).contains("the defaults hold"));
    assert!(plugin(&[], 0).contains("Usage:"));
    assert!(plugin(&["--version"], 0).contains("layersift "));
}

#[test]
fn docker_layersift_pushes_only_what_passes() {
    let podman = podman();
    podman.load(&images([clean()]));
    let desk = plugin();
    let push = |arguments: &[&str], code| {
        let _ = fs::remove_file(desk.path("told"));
        let mut command = desk.command(desk.path("bin/docker-layersift"));
        command
            .args(["layersift", "push"])
            .args(arguments)
            .env("DOCKER_HOST", podman.host())
            .env("DOCKER_ENDS_WITH", "7");
        let said = said(&expect_code(command, code));
        (said, desk.text("told"))
    };
    // What `docker push` ends with is what the command ends with.
    let (_, told) = push(&["app:1"], 7);
    assert_eq!(told, "push\napp:1\n");
    podman.load(&images([leaking()]));
    let (said, told) = push(&["app:1"], 1);
    assert!(said.contains("`app:1` was not pushed"), "{said}");
    assert_eq!(told, "");
    // The options of `gate` hold.
    let (_, told) = push(&["--no-rule", "github-personal-access-token", "app:1"], 7);
    assert_eq!(told, "push\napp:1\n");
    // What is not there, or is no name of an image in the engine, is not pushed.
    let (_, told) = push(&["other:1"], 3);
    assert_eq!(told, "");
    for wrong in ["oci-archive:app.tar", "podman:app:1", "-", "--from=registry"] {
        let (said, told) = push(
            &[wrong, "app:1"][..if wrong.starts_with("--") { 2 } else { 1 }],
            2,
        );
        assert!(said.contains("docker layersift push"), "{said}");
        assert_eq!(told, "");
    }
    let (said, told) = push(&["app:1", "app:2"], 2);
    assert!(said.contains("takes one image"), "{said}");
    assert_eq!(told, "");
}

#[test]
fn the_hook_fails_where_the_gate_does() {
    let text = read(".pre-commit-hooks.yaml");
    let field = |name: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter_map(|line| line.trim_start_matches("- ").trim().strip_prefix(name));
        lines.map(|value| value.trim().to_owned()).collect()
    };
    for required in ["id:", "name:", "entry:", "language:"] {
        assert_eq!(field(required).len(), 2, "{required}");
    }
    assert!(field("pass_filenames:").iter().all(|value| value == "false"));
    let desk = Desk::new();
    desk.layersift("layersift")
        .write("work/clean.tar", clean().oci_archive())
        .write("work/leaking.tar", leaking().oci_archive());
    for entry in field("entry:") {
        expect_code(desk.bash(&format!("{entry} clean.tar")), 0);
        expect_code(desk.bash(&format!("{entry} leaking.tar")), 1);
    }
}

/// The commands of `name` in `ci/gitlab.yml`, as YAML means them.
fn gitlab(name: &str) -> Vec<String> {
    let text = read("ci/gitlab.yml");
    let (_, job) = text.split_once("\n---\n").unwrap();
    let (_, list) = job.split_once(&format!("\n  {name}:\n")).unwrap();
    let lines = list.lines().take_while(|line| line.starts_with("    "));
    lines
        .filter_map(|line| line.trim().strip_prefix("- "))
        .map(
            |command| match command.strip_prefix('\'').and_then(|it| it.strip_suffix('\'')) {
                Some(quoted) => quoted.replace("''", "'"),
                None => command.to_owned(),
            },
        )
        .collect()
}

#[test]
fn the_template_of_gitlab_fails_where_the_gate_does_and_keeps_the_reports() {
    for (image, command, code) in [
        (clean(), "gate", 0),
        (leaking(), "gate", 1),
        (leaking(), "scan", 1),
    ] {
        let (server, sum) = release();
        let desk = Desk::new();
        desk.write("work/image.tar", image.oci_archive());
        let job = |commands: &[String], sum: &str| {
            let mut job = desk.bash(&commands.join("\n"));
            job.env("LAYERSIFT_IMAGE", "image.tar")
                .env("LAYERSIFT_COMMAND", command)
                .env("LAYERSIFT_VERSION", "v9.9.9")
                .env("LAYERSIFT_SHA256", sum)
                .env("LAYERSIFT_RELEASES", server.url("").trim_end_matches('/'))
                .env("CI_REGISTRY", "registry.example.com")
                .env("CI_REGISTRY_USER", "job")
                .env("CI_REGISTRY_PASSWORD", "p w\"d")
                .env("CI_COMMIT_SHA", "c".repeat(40));
            job
        };
        let output = expect_code(job(&gitlab("script"), &"0".repeat(64)), 1);
        assert!(!desk.path("work/layersift.json").exists(), "{}", said(&output));
        expect_code(job(&gitlab("script"), &sum), code);
        expect_code(job(&gitlab("after_script"), &sum), 0);
        let report: Value = serde_json::from_str(&desk.text("work/gl-secret-detection-report.json")).unwrap();
        let found = report["vulnerabilities"].as_array().unwrap();
        assert_eq!(found.len(), code as usize);
        for vulnerability in found {
            assert_eq!(vulnerability["location"]["commit"]["sha"], "c".repeat(40));
        }
        assert!(desk.text("work/layersift.xml").starts_with("<?xml"));
    }
}

/// The lines of the shell blocks of `docs/ci.md` that use this program.
fn recipes(program: &str) -> Vec<String> {
    let text = read("docs/ci.md");
    let blocks = text.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    lines
        .filter(|line| line.starts_with(&format!("{program} ")))
        .map(str::to_owned)
        .collect()
}

#[test]
fn recipes_for_builders_pass_what_is_clean_and_fail_what_leaks() {
    // What a builder writes; each script holds the recipe to the options that the builder has.
    let docker = r#"
case "$*" in
    'buildx build --provenance mode=max --output type=oci,dest=- .') cat "$IMAGES/oci.tar" ;;
    'save app') cat "$IMAGES/docker.tar" ;;
    *) exit 64 ;;
esac"#;
    let executor = r#"
case "$*" in
    '--context . --no-push --tar-path app.tar --destination registry.example.com/acme/app:1')
        cp "$IMAGES/docker.tar" app.tar ;;
    *) exit 64 ;;
esac"#;
    for (image, code) in [(clean(), 0), (leaking(), 1)] {
        let desk = Desk::new();
        desk.layersift("layersift")
            .script("docker", docker)
            .script("executor", executor)
            .write("home/oci.tar", image.oci_archive())
            .write("home/docker.tar", image.docker_archive());
        let mut ran = 0;
        for line in recipes("docker").into_iter().chain(recipes("executor")) {
            if line.contains("--expect-digest") {
                continue;
            }
            let mut command = desk.bash(&line);
            command.env("IMAGES", desk.path("home"));
            expect_code(command, code);
            // A builder that breaks is no clean image.
            if line.contains(" | ") {
                let mut command = desk.bash(&line);
                command.env("IMAGES", "/nowhere");
                let ended = command.output().unwrap().status.code().unwrap();
                assert!(ended > 1, "{line}: {ended}");
            }
            ran += 1;
        }
        assert_eq!(ran, 3);
    }
}

#[test]
fn the_recipe_for_buildah_builds_and_scans() {
    let desk = Desk::new();
    let storage = desk.path("home/storage");
    let real = program("buildah", "buildah").get_program().to_owned();
    desk.layersift("layersift").script(
        "buildah",
        &format!(
            "exec '{}' --storage-driver vfs --root '{}' --runroot '{}' \"$@\"",
            real.display(),
            storage.join("root").display(),
            storage.join("run").display()
        ),
    );
    let [recipe] = &recipes("buildah")
        .into_iter()
        .filter(|line| !line.contains("--expect-digest"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("there is one recipe for buildah");
    };
    desk.write("work/Dockerfile", "FROM scratch\nCOPY a /srv/a\n")
        .write("work/a", "nothing\n");
    expect_code(desk.bash(recipe), 0);
    fs::remove_file(desk.path("work/app.tar")).unwrap();
    desk.write("work/a", format!("token={}\n", secrets(9101).github_token()));
    expect_code(desk.bash(recipe), 1);
}

#[test]
fn recipes_after_a_push_compare_what_the_builder_wrote() {
    let served = clean();
    let repository = crate::support::scripted::Repository::of(&images([served]));
    let digest = format!(
        "sha256:{}",
        Sha256::digest(repository.bytes("app/manifests/1"))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    let server = Server::start(move |request| repository.reply(request));
    let name = format!("{}/app:1", server.host());
    let docker = r#"
case "$*" in
    "buildx build --push --metadata-file build.json --tag $IMAGE .")
        printf '{"containerimage.digest":"%s","image.name":"%s"}' "$DIGEST" "$IMAGE" > build.json ;;
    "push $IMAGE")
        printf 'The push refers to repository [%s]\n1: digest: %s size: 524\n' "${IMAGE%:1}" "$DIGEST" ;;
    *) exit 64 ;;
esac"#;
    let other =
        r#"[[ $* == *"digest.txt"* && $* == *"$IMAGE"* ]] || exit 64; printf '%s' "$DIGEST" > digest.txt"#;
    let desk = Desk::new();
    desk.layersift("layersift")
        .script("docker", docker)
        .script("buildah", other)
        .script("executor", other);
    let mut ran = 0;
    for builder in ["docker", "buildah", "executor"] {
        for line in recipes(builder) {
            if !line.contains("--expect-digest") {
                continue;
            }
            for (digest, code) in [(digest.clone(), 0), (format!("sha256:{}", "1".repeat(64)), 1)] {
                let mut command = desk.bash(&line);
                command.env("IMAGE", &name).env("DIGEST", digest);
                expect_code(command, code);
            }
            ran += 1;
        }
    }
    assert_eq!(ran, 4);
}

#[test]
fn the_image_of_layersift_is_its_binary_alone() {
    let text = read("Dockerfile");
    assert!(text.lines().any(|line| line == "FROM scratch"));
    let desk = Desk::new();
    fs::create_dir(desk.path("work/dist")).unwrap();
    desk.write(
        "work/dist/layersift-x86_64-unknown-linux-musl",
        "stands in for the binary",
    )
    .write("work/dist/other", "not for the image")
    .write("work/Dockerfile", &text)
    .write("work/.dockerignore", read(".dockerignore"));
    let storage = desk.path("home/storage");
    let buildah = || {
        let mut command = program("buildah", "buildah");
        command
            .args(["--storage-driver", "vfs", "--root"])
            .arg(storage.join("root"))
            .arg("--runroot")
            .arg(storage.join("run"))
            .current_dir(desk.path("work"));
        command
    };
    output_of(buildah().args(["build", "--quiet", "--tag", "layersift", "."]));
    output_of(buildah().args(["push", "--quiet", "layersift", "oci-archive:../app.tar:layersift"]));
    let mut scan = desk.command(BINARY);
    scan.args(["scan", "--format", "json", "../app.tar"]);
    let report: Value = serde_json::from_slice(&expect_code(scan, 0).stdout).unwrap();
    let layers = report["images"][0]["layers"].as_array().unwrap();
    let entries: u64 = layers
        .iter()
        .map(|layer| layer["entries"].as_u64().unwrap())
        .sum();
    assert_eq!((layers.len(), entries), (1, 1), "{report}");
    let inspected = output_of(buildah().args(["inspect", "--type", "image", "layersift"]));
    let inspected: Value = serde_json::from_slice(&inspected).unwrap();
    let config = &inspected["OCIv1"]["config"];
    assert_eq!(config["Entrypoint"][0], "/layersift");
    assert_eq!(config["User"], "65532:65532");
}

#[test]
fn scripts_are_clean_under_shellcheck() {
    let mut shellcheck = program("shellcheck", "shellcheck");
    output_of(shellcheck.current_dir(root()).args(["ci/fetch", "ci/scan"]));
}
