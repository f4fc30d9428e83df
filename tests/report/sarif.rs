//! `sarif`: valid by Microsoft's multitool with the GitHub rules on, by its JSON schema, and by the validator of
//! GitHub's upload action; and what no validator sees.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use layersift::finding::{
    Certainty, Chain, Dockerfile, Instruction, Link, MadeBy, Mapping, Occurrence, Origin, Report, Reveal,
    Secret, Status,
};
use layersift::policy::Policy;
use layersift::report::sarif::{Options, Standing, TrackedFiles, VersionControl};
use layersift::report::{Buffer, Settings, Sink as _, format};
use layersift::rules::{Confidence, Evidence, Severity};
use serde_json::Value;

use super::{fixture, properties, written};

fn sarif(report: &Report) -> Value {
    serde_json::from_slice(&written("sarif", report, Reveal::Redacted)).unwrap()
}

/// The logs that are validated: what users get, and what hostile images could do to it.
fn logs() -> Vec<(&'static str, Vec<u8>)> {
    let mut hostile = fixture::every_shape();
    properties::make_hostile(&mut hostile);
    [
        ("sample", fixture::sample()),
        ("clean", fixture::clean()),
        ("unresolved", fixture::unresolved()),
        ("every-shape", fixture::every_shape()),
        ("hostile", hostile),
        ("same-category", same_category()),
    ]
    .into_iter()
    .map(|(name, report)| (name, written("sarif", &report, Reveal::Redacted)))
    .chain([
        ("dockerfile", standing_at(Standing::Dockerfile, &with_lines())),
        ("file", standing_at(Standing::File, &with_lines())),
        ("image-with-lines", standing_at(Standing::Image, &with_lines())),
        ("no-lines", standing_at(Standing::Dockerfile, &without_lines())),
        ("suppressed", with_suppressed()),
    ])
    .collect()
}

const DOCKERFILE: &str =
    "FROM debian\nENV NPM_TOKEN=x\nCOPY ci/boto.cfg /root/.boto\nRUN rm -f /root/.boto\n";

/// The sample, its layers and variables tied to lines.
fn with_lines() -> Report {
    let mut report = fixture::sample();
    let lines: Vec<&str> = DOCKERFILE.lines().collect();
    for image in &mut report.images {
        image.dockerfile = Some(Dockerfile {
            path: "build files/Dockerfile".to_owned(),
            is_checked_out: true,
            mapping: Mapping::Provenance,
            note: None,
            from: Some(0),
            instructions: lines
                .iter()
                .zip(1..)
                .map(|(text, line)| Instruction {
                    keyword: text.split(' ').next().unwrap().to_owned(),
                    first_line: line,
                    last_line: line,
                    first_column: 1,
                    end_column: text.len() as u64 + 1,
                    text: (*text).to_owned(),
                })
                .collect(),
        });
        for (layer, instruction) in [(0, 0), (1, 0), (2, 2), (4, 3)] {
            image.layers[layer].made_by = made_by(instruction, Certainty::Exact);
        }
    }
    for occurrence in report
        .findings
        .iter_mut()
        .flat_map(|finding| &mut finding.occurrences)
    {
        occurrence.made_by = match &mut occurrence.origin {
            Origin::File { layer: 3, entry, .. } => {
                entry.sha256 = Some([3; 16]);
                made_by(2, Certainty::Exact)
            }
            Origin::Config { .. } => made_by(1, Certainty::Fuzzy),
            _ => None,
        };
    }
    report
}

/// A Dockerfile that does not belong to the image.
fn without_lines() -> Report {
    let mut report = with_lines();
    for image in &mut report.images {
        image.dockerfile.as_mut().unwrap().mapping = Mapping::None;
        image.layers.iter_mut().for_each(|layer| layer.made_by = None);
    }
    let occurrences = report
        .findings
        .iter_mut()
        .flat_map(|finding| &mut finding.occurrences);
    occurrences.for_each(|occurrence| occurrence.made_by = None);
    report
}

/// The sample under a policy, with what that suppresses and the repository of its Dockerfile.
fn with_suppressed() -> Vec<u8> {
    let (mut report, verdict) = super::under_a_policy();
    report.images = with_lines().images;
    let rules = fixture::notes();
    let version_control = VersionControl {
        repository: "https://git.example.com/acme/app".to_owned(),
        revision: Some("5".repeat(40)),
        branch: Some("main".to_owned()),
    };
    let settings = Settings {
        rules: &rules,
        width: 80,
        colour: false,
        sarif: Options {
            standing: Standing::Dockerfile,
            with_suppressed: true,
            version_control: Some(&version_control),
            ..Options::default()
        },
    };
    let mut buffer = Buffer::default();
    (format("sarif").unwrap().reporter)(settings)
        .write(&report, &verdict, Reveal::Redacted, &mut buffer)
        .unwrap();
    buffer.parts.swap_remove(0).1
}

#[test]
fn suppressed_results_are_there_when_asked_for_and_say_why() {
    let log: Value = serde_json::from_slice(&with_suppressed()).unwrap();
    let suppressed: Vec<&Value> = log["runs"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|run| run["results"].as_array().unwrap())
        .filter(|result| result.get("suppressions").is_some())
        .collect();
    assert!(!suppressed.is_empty(), "the fixture suppresses one");
    for result in suppressed {
        let suppression = &result["suppressions"][0];
        assert_eq!(suppression["kind"], "external");
        assert_eq!(suppression["status"], "accepted");
        let why = suppression["justification"].as_str().unwrap();
        assert!(
            why.contains("revoked in May") && why.contains("team-web"),
            "{why}"
        );
    }
}

#[test]
fn a_run_names_the_revision_its_dockerfile_is_of() {
    let log: Value = serde_json::from_slice(&with_suppressed()).unwrap();
    let details = &log["runs"][0]["versionControlProvenance"][0];
    assert_eq!(details["repositoryUri"], "https://git.example.com/acme/app");
    assert_eq!(details["revisionId"], "5".repeat(40));
    assert_eq!(details["branch"], "main");
    assert_eq!(details["mappedTo"]["uriBaseId"], "%SRCROOT%");
    // Without a Dockerfile nothing in the log is of a repository.
    let plain = sarif(&fixture::sample());
    assert!(plain["runs"][0].get("versionControlProvenance").is_none());
}

fn made_by(instruction: usize, certainty: Certainty) -> Option<MadeBy> {
    Some(MadeBy {
        instruction,
        certainty,
    })
}

fn standing_at(standing: Standing, report: &Report) -> Vec<u8> {
    let (report, verdict) = Policy::default().judge(report.clone());
    let tracked = TrackedFiles::from([([3; 16], "ci/boto.cfg".to_owned())]);
    let rules = fixture::notes();
    let settings = Settings {
        rules: &rules,
        width: 80,
        colour: false,
        sarif: Options {
            standing,
            category: Some("nightly/"),
            tracked: Some(&tracked),
            ..Options::default()
        },
    };
    let mut buffer = Buffer::default();
    (format("sarif").unwrap().reporter)(settings)
        .write(&report, &verdict, Reveal::Redacted, &mut buffer)
        .unwrap();
    buffer.parts.swap_remove(0).1
}

#[test]
fn results_stand_where_the_category_has_them() {
    let place = |standing, report: &Report, result: usize| {
        let log: Value = serde_json::from_slice(&standing_at(standing, report)).unwrap();
        let result = log["runs"][0]["results"][result].clone();
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap().to_owned();
        (uri, place["region"]["startLine"].as_u64().unwrap(), result)
    };
    let (uri, line, result) = place(Standing::Dockerfile, &with_lines(), 0);
    assert_eq!((uri.as_str(), line), ("build%20files/Dockerfile", 3));
    let text = result["message"]["text"].as_str().unwrap();
    assert!(
        text.contains(" The COPY on this line brings it and [Dockerfile line 4](1) only hides it. "),
        "{text}"
    );
    let related = &result["relatedLocations"][0];
    assert_eq!(
        (
            &related["id"],
            &related["physicalLocation"]["region"]["startLine"]
        ),
        (&1.into(), &4.into())
    );
    let flow = result["codeFlows"][0]["threadFlows"][0]["locations"]
        .as_array()
        .unwrap();
    assert_eq!(flow.len(), 2);

    let (_, line, result) = place(Standing::Dockerfile, &with_lines(), 1);
    assert_eq!(line, 2);
    let text = result["message"]["text"].as_str().unwrap();
    assert!(
        text.contains("most likely brings it (texts are alike, not the same)"),
        "{text}"
    );
    // Another text than the image's is not quoted.
    assert!(result["locations"][0]["physicalLocation"]["region"]["snippet"].is_null());

    let (uri, line, result) = place(Standing::File, &with_lines(), 0);
    assert_eq!((uri.as_str(), line), ("ci/boto.cfg", 4));
    assert_eq!(
        result["relatedLocations"][0]["physicalLocation"]["region"]["startLine"],
        3
    );
    let (uri, ..) = place(Standing::Image, &with_lines(), 0);
    assert_eq!(uri, "model-server/root/.boto");

    let (uri, line, result) = place(Standing::Dockerfile, &without_lines(), 0);
    assert_eq!((uri.as_str(), line), ("build%20files/Dockerfile", 1));
    let text = result["message"]["text"].as_str().unwrap();
    assert!(
        text.contains("Which instruction of this Dockerfile brings it is not known."),
        "{text}"
    );
    assert_eq!(result["properties"]["dockerfileMapping"], "none");
}

#[test]
fn a_category_of_ones_own_is_kept_apart_by_platform() {
    let log: Value = serde_json::from_slice(&standing_at(Standing::Image, &fixture::sample())).unwrap();
    let runs = log["runs"].as_array().unwrap().iter();
    let ids: Vec<&Value> = runs.map(|run| &run["automationDetails"]["id"]).collect();
    assert_eq!(ids, ["nightly/linux-amd64/", "nightly/linux-arm64/"]);
}

#[test]
fn a_line_of_a_member_is_not_taken_for_one_of_its_archive() {
    let mut report = fixture::sample();
    let member = Link::Member("etc/boto".into());
    for occurrence in &mut report.findings[0].occurrences {
        occurrence.within = Chain::default().then(member.clone());
    }
    let log = sarif(&report);
    let result = &log["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["region"]["startLine"], 1);
    assert!(place["contextRegion"].is_null());
    let text = result["message"]["text"].as_str().unwrap();
    assert!(text.contains(" It stands in line 4, column 24 there. "), "{text}");
}

/// Two targets of one repository.
fn same_category() -> Report {
    let mut report = fixture::sample();
    report.targets.push(report.targets[0].clone());
    let mut again = report.images[0].clone();
    again.target = 1;
    report.images.push(again);
    for finding in &mut report.findings {
        let copies: Vec<Occurrence> = finding
            .occurrences
            .iter()
            .filter(|occurrence| occurrence.image == 0)
            .map(|occurrence| Occurrence {
                image: 2,
                ..occurrence.clone()
            })
            .collect();
        finding.occurrences.extend(copies);
    }
    fixture::fill_layers(&mut report);
    report
}

#[test]
fn logs_have_no_error_and_no_warning_under_the_multitool_with_the_github_rules() {
    let folder = tools().join("multitool");
    let files = write_logs(&folder);
    let multitool = multitool_folder().join("Sarif.Multitool");
    let output = folder.join("problems.json");
    let policy = source("tests/sarif/github-policy.xml");
    let run = Command::new(multitool)
        .arg("validate")
        .args(&files)
        .args([
            "--rule-kind",
            "Sarif;Ghas",
            "--level",
            "Error;Warning",
            "--kind",
            "Fail",
        ])
        .args(["--log", "ForceOverwrite"])
        .arg("--config")
        .arg(policy)
        .arg("--output")
        .arg(&output)
        .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
        .output()
        .expect("the multitool was installed by `tools`");
    // Its exit code is 0 whatever it finds.
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let problems: Value = serde_json::from_slice(&std::fs::read(output).expect(&text)).unwrap();
    let problems = &problems["runs"][0];
    assert_eq!(problems["invocations"][0]["executionSuccessful"], true, "{text}");
    let broken: Vec<&Value> = problems["invocations"][0]["toolExecutionNotifications"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|notification| notification["level"] == "error")
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
    let unexpected: Vec<&Value> = problems["results"]
        .as_array()
        .unwrap()
        .iter()
        // The package names no repository yet, and no address is better than an invented one.
        .filter(|result| !(env!("CARGO_PKG_REPOSITORY").is_empty() && result["ruleId"] == "SARIF2005"))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}\n{text}");
    assert!(text.contains(&format!("{} files scanned", files.len())), "{text}");
}

#[test]
fn the_multitool_reports_what_is_wrong() {
    let folder = tools().join("wrong");
    std::fs::create_dir_all(&folder).unwrap();
    let text = String::from_utf8(written("sarif", &fixture::sample(), Reveal::Redacted)).unwrap();
    let file = folder.join("wrong.sarif");
    std::fs::write(
        &file,
        text.replace("\"uri\": \"model-server", "\"uri\": \"oci://model-server"),
    )
    .unwrap();
    let run = Command::new(multitool_folder().join("Sarif.Multitool"))
        .arg("validate")
        .arg(&file)
        .args(["--rule-kind", "Sarif;Ghas", "--config"])
        .arg(source("tests/sarif/github-policy.xml"))
        .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(text.contains("error GH1005"), "{text}");
}

#[test]
fn logs_keep_to_the_sarif_schema() {
    let schema = std::fs::read(multitool_folder().join("sarif-2.1.0.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(!validator.is_valid(&serde_json::json!({"version": "2.1.0", "runs": [{}]})));
    for (name, log) in logs() {
        let log: Value = serde_json::from_slice(&log).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&log)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn logs_pass_the_validator_of_the_upload_action() {
    let validate = |files: &[PathBuf]| -> Output {
        Command::new("node")
            .arg(source("tests/sarif/validate.js"))
            .arg(tools())
            .arg(multitool_folder().join("sarif-2.1.0.json"))
            .args(files)
            .output()
            .expect("node was run by `tools` already")
    };
    let folder = tools().join("npm");
    let run = validate(&write_logs(&folder));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    let wrong = folder.join("wrong.json");
    std::fs::write(&wrong, "{\"version\": \"2.1.0\", \"runs\": [{}]}").unwrap();
    assert!(!validate(&[wrong]).status.success());
}

#[test]
fn each_image_has_a_run_of_its_own_category() {
    let log = sarif(&same_category());
    let categories: Vec<&str> = log["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["automationDetails"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        categories,
        [
            "layersift/registry.example.com/acme/model-server/linux-amd64/",
            "layersift/registry.example.com/acme/model-server/linux-arm64/",
            "layersift/registry.example.com/acme/model-server/linux-amd64-2/",
        ]
    );
}

#[test]
fn a_divided_sink_gets_a_file_per_image_with_one_run_each() {
    let (report, verdict) = Policy::default().judge(same_category());
    let rules = fixture::notes();
    let settings = Settings {
        rules: &rules,
        width: 80,
        colour: false,
        sarif: Default::default(),
    };
    let mut buffer = Buffer {
        divided: true,
        ..Buffer::default()
    };
    assert!(buffer.is_divided());
    (format("sarif").unwrap().reporter)(settings)
        .write(&report, &verdict, Reveal::Redacted, &mut buffer)
        .unwrap();
    let names: Vec<&str> = buffer.parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "registry.example.com-acme-model-server_linux-amd64.sarif",
            "registry.example.com-acme-model-server_linux-arm64.sarif",
            "registry.example.com-acme-model-server_linux-amd64-2.sarif",
        ]
    );
    for (name, bytes) in &buffer.parts {
        let log: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(log["runs"].as_array().unwrap().len(), 1, "{name}");
    }
}

#[test]
fn the_deleted_key_names_both_layers_and_stands_at_its_path() {
    let log = sarif(&fixture::sample());
    let result = &log["runs"][0]["results"][0];
    let text = result["message"]["text"].as_str().unwrap();
    assert!(
        text.starts_with(
            "Google Cloud Storage HMAC key in /root/.boto (layer 3 of 8) of image \
             registry.example.com/acme/model-server can still be recovered although layer 5 deletes the file. Layer 3 \
             was created by: COPY ci/boto.cfg /root/.boto. Layer 5 was created by: RUN rm -f /root/.boto. Secret "
        ),
        "{text}"
    );
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "model-server/root/.boto");
    let region = &place["region"];
    let numbers =
        ["startLine", "startColumn", "endLine", "endColumn"].map(|name| region[name].as_u64().unwrap());
    assert_eq!(numbers, [4, 24, 4, 64]);
    assert_eq!(result["level"], "error");
    assert_eq!(log["runs"][0]["columnKind"], "utf16CodeUnits");
}

#[test]
fn layers_list_the_results_that_are_in_the_run() {
    let log = sarif(&fixture::sample());
    for run in log["runs"].as_array().unwrap() {
        let results: BTreeSet<&str> = run["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| result["fingerprints"]["layersift/v1"].as_str().unwrap())
            .collect();
        let layers = run["properties"]["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 8);
        let ids = |ordinal: usize, name: &str| -> Vec<&str> {
            let layer = &layers[ordinal - 1];
            assert_eq!(layer["ordinal"], ordinal);
            layer[name]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_str().unwrap())
                .collect()
        };
        assert_eq!(ids(3, "resultIds").len(), 1);
        assert_eq!(ids(3, "resultIds"), ids(5, "hides"));
        assert_eq!(ids(1, "resultIds"), [""; 0]);
        for ordinal in 1..=8 {
            for id in ids(ordinal, "resultIds") {
                assert!(results.contains(id), "layer {ordinal} lists {id}");
            }
        }
    }
}

#[test]
fn an_alert_keeps_its_identity_when_the_image_is_rebuilt() {
    let identity = |report: &Report| {
        let log = sarif(report);
        let result = &log["runs"][0]["results"][1];
        (
            log["runs"][0]["automationDetails"]["id"].clone(),
            result["ruleId"].clone(),
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone(),
            result["partialFingerprints"]["primaryLocationLineHash"].clone(),
        )
    };
    let before = fixture::sample();
    let hash = identity(&before).3;
    let (digits, number) = hash.as_str().unwrap().split_once(':').unwrap();
    assert!(
        digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()) && number == "1",
        "{hash}"
    );

    let mut after = before.clone();
    after.targets[0].name = "registry.example.com/acme/model-server:1.5".to_owned();
    after.targets[0].digest = None;
    after.images[0].manifest = None;
    for occurrence in &mut after.findings[1].occurrences {
        occurrence.location.line += 4;
        if let Origin::Config { field, .. } = &mut occurrence.origin {
            *field = field.replace("[3]", "[5]").replace("[11]", "[14]");
        }
    }
    assert_eq!(identity(&after), identity(&before));

    let mut other = before.clone();
    other.findings[1].repository = "registry.example.com/acme/other".to_owned();
    assert_ne!(identity(&other).3, identity(&before).3);
}

#[test]
fn incomplete_runs_are_not_successful_and_say_why() {
    let log = sarif(&fixture::every_shape());
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let reasons: Vec<&str> = invocation["toolExecutionNotifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|notification| notification["properties"]["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        ["encrypted", "trailing-bytes", "digest-mismatch", "interrupted"]
    );

    let complete = sarif(&fixture::sample());
    assert_eq!(complete["runs"][0]["invocations"][0]["executionSuccessful"], true);
    let unresolved = sarif(&fixture::unresolved());
    assert_eq!(
        unresolved["runs"][0]["invocations"][0]["executionSuccessful"],
        false
    );
    assert_eq!(unresolved["runs"][0]["results"].as_array().unwrap().len(), 0);
}

#[test]
fn results_beyond_githubs_limit_are_cut_from_the_least_severe_and_counted() {
    let mut report = fixture::clean();
    let severities = [Severity::Medium, Severity::Critical];
    report.findings = (0..25_010_u64)
        .map(|index| {
            let occurrence = Occurrence {
                image: 0,
                origin: fixture::file(1, "srv/keys", 0o600, 10),
                within: Chain::default(),
                status: Status::Present,
                location: fixture::at(index + 1, 1, 20),
                companions: Vec::new(),
                context: Vec::new(),
                confidence: Confidence::High,
                class: None,
                verification: layersift::finding::Verification::Verified,
                made_by: None,
            };
            let severity = severities[(index % 2) as usize];
            fixture::finding(
                "npm-token",
                "npm access token",
                (severity, Confidence::High),
                vec![Evidence::Checksum],
                format!("{index:020}").as_bytes(),
                vec![occurrence],
            )
        })
        .collect();
    // Counted in the text: reading 70 MB as values takes longer than writing them.
    let log = String::from_utf8(written("sarif", &report, Reveal::Redacted)).unwrap();
    let count = |text: &str| log.matches(text).count();
    assert_eq!(count("\"primaryLocationLineHash\": "), 25_000);
    assert_eq!(count("\"severity\": \"critical\""), 12_505);
    assert_eq!(count("\"severity\": \"medium\""), 12_495);
    assert_eq!(count("\"reason\": \"too-many-results\""), 1);
    assert_eq!(count("\"text\": \"10 more results are left out"), 1);
}

#[test]
fn more_runs_than_github_takes_are_told() {
    let mut report = fixture::clean();
    let image = report.images[0].clone();
    report.images = vec![image; 21];
    let log = sarif(&report);
    let notification = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
    assert_eq!(notification["properties"]["reason"], "too-many-runs");
}

#[test]
fn rules_say_the_same_whatever_was_found() {
    let rule = |report: &Report| sarif(report)["runs"][0]["tool"]["driver"]["rules"][0].clone();
    let before = rule(&fixture::sample());
    let mut other = fixture::sample();
    other.findings[0].secret = Secret::new(b"another secret of another length".to_vec());
    other.findings[0].severity = Severity::Medium;
    other.findings[0].title = "another title".to_owned();
    other.findings.truncate(1);
    assert_eq!(rule(&other), before);
    assert_eq!(before["properties"]["security-severity"], "9.5");
    assert_eq!(before["properties"]["precision"], "high");
    assert!(
        before["properties"]["tags"]
            .as_array()
            .unwrap()
            .contains(&"external/cwe/cwe-798".into())
    );
    assert!(
        before["help"]["markdown"]
            .as_str()
            .unwrap()
            .contains("--mount=type=secret")
    );
}

/// The folder of the installed validators. Installs them on first use, into `target/`.
fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sarif-validators");
        std::fs::create_dir_all(&folder).unwrap();
        let lock = std::fs::read(source("tests/sarif/package-lock.json")).unwrap();
        let installed = folder.join("installed-lock.json");
        if std::fs::read(&installed).is_ok_and(|bytes| bytes == lock) {
            return folder;
        }
        for name in ["package.json", "package-lock.json", ".npmrc"] {
            std::fs::copy(source("tests/sarif").join(name), folder.join(name)).unwrap();
        }
        let needed =
            "the SARIF validators need Node.js 18 or later with npm (Debian: `apt-get install nodejs npm`)";
        let node = Command::new("node").arg("--version").output();
        assert!(
            node.is_ok_and(|output| output.status.success()),
            "node is missing: {needed}"
        );
        let npm = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .output()
            .unwrap_or_else(|error| panic!("npm is missing ({error}): {needed}"));
        assert!(
            npm.status.success(),
            "`npm ci` failed, so the SARIF validators are not installed:\n{}",
            String::from_utf8_lossy(&npm.stderr)
        );
        make_executable(&folder.join(MULTITOOL).join("Sarif.Multitool"));
        std::fs::write(installed, lock).unwrap();
        folder
    })
}

const MULTITOOL: &str = if cfg!(target_os = "macos") {
    "node_modules/@microsoft/sarif-multitool-darwin"
} else {
    "node_modules/@microsoft/sarif-multitool-linux"
};

fn multitool_folder() -> PathBuf {
    tools().join(MULTITOOL)
}

/// Install scripts are off, so the one that does this did not run.
fn make_executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn write_logs(folder: &Path) -> Vec<PathBuf> {
    std::fs::create_dir_all(folder).unwrap();
    logs()
        .into_iter()
        .map(|(name, log)| {
            let file = folder.join(format!("{name}.sarif"));
            std::fs::write(&file, log).unwrap();
            file
        })
        .collect()
}
