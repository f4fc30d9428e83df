//! `layersift gate` and `layersift baseline`, as a build runs them: when they pass, when they fail, and that they fail closed.

use std::collections::BTreeMap;
use std::fs;

use layersift::oci::Digest;
use serde_json::{Value, json};

use crate::support::command::{Layersift, Run, layersift};
use crate::support::image::{Image, image, images, index};
use crate::support::registry::{Registry, registry};
use crate::support::scripted::{Reply, Repository, Server};
use crate::support::secrets::secrets;
use crate::support::tar::{file, whiteout};
use crate::support::{output_of, program};

/// A token for each number.
fn token(number: u64) -> String {
    secrets(7000 + number).github_token()
}

fn leak(number: u64) -> String {
    format!("token={}\n", token(number))
}

fn app() -> Image {
    image()
        .named("app:1")
        .layer([file("etc/os-release", "ID=test\n")])
}

/// `layersift gate image.tar`, where the image is this one.
fn gate(image: &Image) -> Layersift {
    layersift(["gate", "image.tar"]).file("image.tar", image.oci_archive())
}

fn report_of(command: Layersift, code: i32) -> Value {
    command.arg("--format").arg("json").run().expect_code(code).json()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn rules_of(findings: &Value) -> Vec<&str> {
    list(findings)
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect()
}

/// What a run wrote, without the breaks of its lines.
fn said(run: &Run) -> String {
    run.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fingerprint(report: &Value, index: usize) -> String {
    report["findings"][index]["fingerprint"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn entry(what: &str, expires: &str) -> String {
    format!("[[ignore]]\n{what}\nreason = 'revoked'\nowner = 'team-web'\nexpires = {expires}\n")
}

#[test]
fn a_gate_passes_what_is_clean_and_fails_what_leaks() {
    gate(&app()).run().expect_code(0);
    let run = gate(&app().layer([file("srv/a", leak(1))])).run().expect_code(1);
    assert!(
        run.stderr.contains("no `layersift.toml` here: the defaults hold"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_policy_is_found_in_the_folder_and_at_the_root_of_its_checkout() {
    let leaking = app().layer([file("srv/a", leak(1))]);
    let policy = "[gate]\nseverity = 'critical'\nlife = ['deleted']\n";
    let run = gate(&leaking).file("layersift.toml", policy).run().expect_code(0);
    assert!(!run.stderr.contains("defaults"), "{}", run.stderr);
    gate(&leaking).file("other.toml", policy).run().expect_code(1);
    gate(&leaking)
        .file("other.toml", policy)
        .arg("--policy=other.toml")
        .run()
        .expect_code(0);

    let run = layersift(["gate", "image.tar"]).file("image.tar", leaking.oci_archive());
    let (root, work) = (run.path("repository"), run.path("repository/deep/down"));
    std::fs::create_dir_all(root.join(".git")).unwrap();
    std::fs::create_dir_all(&work).unwrap();
    std::fs::write(root.join("layersift.toml"), policy).unwrap();
    std::fs::write(work.join("image.tar"), leaking.oci_archive()).unwrap();
    run.in_folder(&work).run().expect_code(0);
}

#[test]
fn a_policy_in_the_image_counts_for_nothing() {
    let entry = entry("rule = 'github-token'", "2999-01-01");
    let image = app()
        .layer([
            file("layersift.toml", &entry),
            file("srv/layersift.toml", "[gate]\nlife = ['deleted']\n"),
            file("srv/a", leak(1)),
        ])
        .label("layersift.ignore", "true");
    gate(&image).run().expect_code(1);
}

#[test]
fn a_wrong_policy_scans_nothing() {
    for (policy, line, said) in [
        ("[gate]\nseverty = 'high'\n", 2, "did you mean `severity`?"),
        ("[gate]\ninherited = 'skip'\n", 2, "expected `fail` or `warn`"),
        ("[[ignore]]\nrule = 'github-token'\n", 1, "needs `reason`"),
        (
            "[[ignore]]\nrule = 'no-such-rule'\nreason = 'r'\nowner = 'o'\nexpires = 2999-01-01\n",
            2,
            "no rule is called",
        ),
    ] {
        let run = gate(&app()).file("layersift.toml", policy).run().expect_code(2);
        assert!(run.stdout.is_empty(), "{}", run.text());
        let place = format!("layersift.toml:{line}: ");
        assert!(
            run.stderr.contains(&place) && run.stderr.contains(said),
            "{}",
            run.stderr
        );
    }
    let run = gate(&app()).arg("--policy=missing.toml").run().expect_code(2);
    assert!(
        run.stderr.contains("cannot read the policy `missing.toml`"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_entry_ignores_what_it_covers_until_it_expires() {
    let image = app().layer([file("srv/test/a", leak(1))]);
    let report = report_of(gate(&image), 1);
    let id = report["findings"][0]["rule"].as_str().unwrap().to_owned();
    let entries = [
        format!("fingerprint = '{}'", fingerprint(&report, 0)),
        format!("rule = '{id}'"),
        "path = 'srv/test/**'".to_owned(),
        "image = 'app'".to_owned(),
        format!("rule = '{id}'\npath = '**/a'\nimage = '*'"),
    ];
    for what in &entries {
        let ignored = report_of(gate(&image).file("layersift.toml", entry(what, "2999-01-01")), 0);
        assert_eq!(rules_of(&ignored["findings"]).len(), 0, "{what}");
        assert_eq!(list(&ignored["verdict"]["failing"]).len(), 0);

        let run = gate(&image)
            .file("layersift.toml", entry(what, "2020-01-01"))
            .run()
            .expect_code(1);
        assert!(
            said(&run).contains("expired on 2020-01-01: team-web renews or removes it"),
            "{}",
            run.text()
        );
    }
    // One that covers some of its places covers nothing of it.
    let copied = app().layer([file("srv/test/a", leak(1)), file("srv/b", leak(1))]);
    let run = gate(&copied)
        .file("layersift.toml", entry("path = 'srv/test/**'", "2999-01-01"))
        .run()
        .expect_code(1);
    assert!(
        said(&run).contains("covers no finding of this run"),
        "{}",
        run.text()
    );
    // An expired one fails a clean image too, and one for another image does not.
    gate(&app())
        .file("layersift.toml", entry("path = 'x'", "2020-01-01"))
        .run()
        .expect_code(1);
    gate(&app())
        .file("layersift.toml", entry("image = 'other'", "2020-01-01"))
        .run()
        .expect_code(0);
}

#[test]
fn a_baseline_names_what_is_known_and_holds_no_secret() {
    let before = app().layer([file("srv/a", leak(1))]);
    let run = layersift(["baseline", "image.tar"])
        .file("image.tar", before.oci_archive())
        .run()
        .expect_code(0);
    let baseline = run.text().to_owned();
    assert!(
        baseline.contains("layersift.baseline/1") && baseline.contains("srv/a"),
        "{baseline}"
    );
    assert!(
        !baseline.contains(&token(1)) && !baseline.contains(&token(1)[..12]),
        "{baseline}"
    );

    let known = |image: &Image| {
        gate(image)
            .file("known.json", &baseline)
            .arg("--baseline=known.json")
    };
    known(&before).run().expect_code(0);
    // Rebuilt, and moved: the same. With another: that one counts.
    let rebuilt = app().layer([file("x", "y")]).layer([file("srv/moved", leak(1))]);
    known(&rebuilt).run().expect_code(0);
    let report = report_of(known(&rebuilt.layer([file("srv/b", leak(2))])), 1);
    assert_eq!(list(&report["findings"]).len(), 1);
    // `scan` takes it too, and a policy names it.
    layersift(["scan", "image.tar", "--baseline=known.json"])
        .file("image.tar", before.oci_archive())
        .file("known.json", &baseline)
        .run()
        .expect_code(0);
    gate(&before)
        .file("known.json", &baseline)
        .file("layersift.toml", "[gate]\nbaseline = 'known.json'\n")
        .run()
        .expect_code(0);
    // What is gone is told.
    let run = known(&app()).run().expect_code(0);
    assert!(said(&run).contains("is not found any more"), "{}", run.text());
}

#[test]
fn a_baseline_of_another_scheme_key_or_version_is_an_error() {
    let image = app().layer([file("srv/a", leak(1))]);
    let write = |key: Option<&str>| {
        let command = layersift(["baseline", "image.tar"]).file("image.tar", image.oci_archive());
        let command = match key {
            Some(key) => command.env("LAYERSIFT_FINGERPRINT_KEY", key),
            None => command,
        };
        command.run().expect_code(0).text().to_owned()
    };
    let (key, other) = ("a key of 16 bytes", "another key of 16 bytes");
    let (plain, keyed) = (write(None), write(Some(key)));
    assert!(keyed.contains("lsk1") && !keyed.contains(key), "{keyed}");
    let newer = plain.replace("baseline/1", "baseline/2");
    let odd = plain.replace("\"findings\"", "\"finds\"");
    for (baseline, key, said) in [
        (
            &plain,
            Some(key),
            "of scheme `ls1`, and those of this run of `lsk1`",
        ),
        (&keyed, None, "of scheme `lsk1`, and those of this run of `ls1`"),
        (&keyed, Some(other), "made with another key"),
        (&newer, None, "its schema is `layersift.baseline/2`"),
        (&odd, None, "it is no baseline"),
        (&"{".to_owned(), None, "it is no baseline"),
    ] {
        let command = gate(&image)
            .file("known.json", baseline)
            .arg("--baseline=known.json");
        let command = match key {
            Some(key) => command.env("LAYERSIFT_FINGERPRINT_KEY", key),
            None => command,
        };
        let run = command.run().expect_code(2);
        assert!(
            run.stdout.is_empty() && run.stderr.contains(said),
            "{said}: {}",
            run.stderr
        );
        assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    }
    let command = gate(&image)
        .file("known.json", &keyed)
        .arg("--baseline=known.json");
    command.env("LAYERSIFT_FINGERPRINT_KEY", key).run().expect_code(0);
}

#[test]
fn a_baseline_outlives_the_name_of_a_rule() {
    let rule = |id: &str, formerly: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\ntitle = \"A\"\nseverity = \"high\"\nconfidence = \"high\"\n\
             literals = [\"acme_\"]\nregex = \"acme_[A-Z0-9]{{20}}\"\n{formerly}"
        )
    };
    let key = secrets(7100).characters(&["ABCDEFGHIJKLMNOPQRSTUVWXYZ"], 20);
    let image = app().layer([file("srv/a", format!("acme_{key}\n"))]);
    let run = |args: &[&str], rules: String, baseline: &str| {
        layersift(["--quiet"])
            .args(args)
            .args(["image.tar", "--rules=rules.toml"])
            .file("image.tar", image.oci_archive())
            .file("rules.toml", rules)
            .file("known.json", baseline)
            .run()
    };
    let baseline = run(&["baseline"], rule("acme-key", ""), "").expect_code(0);
    let gate = ["gate", "--baseline=known.json"];
    run(&gate, rule("acme-token", ""), baseline.text()).expect_code(1);
    let renamed = run(
        &gate,
        rule("acme-token", "formerly = [\"acme-key\"]\n"),
        baseline.text(),
    )
    .expect_code(0);
    assert!(
        !said(&renamed).contains("not found any more"),
        "{}",
        renamed.text()
    );
}

#[test]
fn a_base_is_proved_by_its_layers_or_is_none() {
    let base = image().named("base:1").layer([file("opt/base/key", leak(1))]);
    let own = || base.clone().named("app:1").layer([file("srv/a", leak(2))]);
    let with = |image: &Image, base: &Image, policy: &str| {
        gate(image)
            .file("base.tar", base.oci_archive())
            .file("layersift.toml", policy)
            .arg("--base=base.tar")
    };
    let warn = "[gate]\ninherited = 'warn'\n";
    // Listed, and counted or not as the policy says.
    let report = report_of(with(&own(), &base, ""), 1);
    assert_eq!(
        (
            list(&report["findings"]).len(),
            list(&report["verdict"]["failing"]).len()
        ),
        (2, 2)
    );
    let report = report_of(with(&own(), &base, warn), 1);
    assert_eq!(
        (
            list(&report["findings"]).len(),
            list(&report["verdict"]["failing"]).len()
        ),
        (2, 1)
    );
    let inherited = base.clone().named("app:1").layer([file("srv/a", "nothing")]);
    with(&inherited, &base, warn).run().expect_code(0);
    with(&inherited, &base, "").run().expect_code(1);
    // Copied into an own layer it is own.
    let copied = base.clone().named("app:1").layer([file("srv/a", leak(1))]);
    with(&copied, &base, warn).run().expect_code(1);
    // One that is not the beginning of the image, or is the image, is no base.
    let other = image()
        .named("base:1")
        .layer([file("opt/base/key", leak(1)), file("x", "y")]);
    let run = with(&inherited, &other, warn).run().expect_code(1);
    assert!(
        said(&run).contains("its layer 1 is not layer 1 of the image"),
        "{}",
        run.text()
    );
    let longer = inherited.clone().layer([file("z", "z")]);
    let run = with(&inherited, &longer, warn).run().expect_code(1);
    assert!(
        said(&run).contains("it has 3 layers, and the image 2"),
        "{}",
        run.text()
    );
    let run = with(&inherited, &inherited, warn).run().expect_code(1);
    assert!(said(&run).contains("it is the image itself"), "{}", run.text());
    // Stored in another way it is the same by its DiffIDs.
    let unpacked = base.clone().packed(crate::support::image::Packing::Plain);
    with(&inherited, &unpacked, warn).run().expect_code(0);
    // One that cannot be read fails closed.
    let run = gate(&app()).arg("--base=missing.tar").run().expect_code(4);
    assert!(
        said(&run).contains("the base image `missing.tar` could not be read"),
        "{}",
        run.text()
    );
}

#[test]
fn a_login_of_the_command_line_is_for_the_registry_of_the_target_alone() {
    for option in ["--base", "--since"] {
        let run = layersift([
            "gate",
            "registry.example.com/app:1",
            option,
            "other.example.com/base:1",
        ])
        .args(["--username", "robot", "--password-stdin"])
        .stdin("of no use")
        .run()
        .expect_code(2);
        assert!(
            run.stderr.contains("`--username` is for one registry"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn the_configuration_is_inherited_only_where_the_base_has_it_too() {
    let variable = format!("GITHUB_TOKEN={}", token(1));
    let base = image().named("base:1").layer([file("a", "b")]).env(&variable);
    let warn = "[gate]\ninherited = 'warn'\n";
    let with = |image: &Image| {
        gate(image)
            .file("base.tar", base.oci_archive())
            .file("layersift.toml", warn)
            .arg("--base=base.tar")
    };
    with(&base.clone().named("app:1").layer([file("c", "d")]))
        .run()
        .expect_code(0);
    let own = image()
        .named("app:1")
        .layer([file("a", "b")])
        .env(&format!("GITHUB_TOKEN={}", token(2)));
    with(&own.layer([file("c", "d")])).run().expect_code(1);
}

#[test]
fn a_diff_tells_what_is_new_fixed_and_unchanged() {
    let before = app()
        .named("app:1")
        .layer([file("srv/kept", leak(1))])
        .layer([file("srv/gone", leak(2))]);
    // The layer of the first token is rebuilt with another file: it is not new.
    let after = app()
        .named("app:2")
        .layer([file("srv/kept", leak(1)), file("srv/readme", "x")])
        .layer([file("srv/new", leak(3))]);
    let since = |after: &Image, policy: &str| {
        gate(after)
            .file("before.tar", before.oci_archive())
            .file("layersift.toml", policy)
            .arg("--since=before.tar")
    };
    let run = since(&after, "").run().expect_code(1);
    for words in ["1 new", "1 unchanged", "1 fixed"] {
        assert!(said(&run).contains(words), "{words}: {}", run.text());
    }
    let warn = "[gate]\nunchanged = 'warn'\n";
    let report = report_of(since(&after, warn), 1);
    assert_eq!(
        (
            list(&report["findings"]).len(),
            list(&report["verdict"]["failing"]).len()
        ),
        (2, 1)
    );
    // Deleted in a later layer is not fixed.
    let deleted = before
        .clone()
        .named("app:2")
        .layer([whiteout("srv/gone"), whiteout("srv/kept")]);
    let run = since(&deleted, warn).run().expect_code(0);
    assert!(
        said(&run).contains("2 unchanged") && said(&run).contains("0 fixed"),
        "{}",
        run.text()
    );
    let run = gate(&after).arg("--since=missing.tar").run().expect_code(5);
    assert!(
        said(&run).contains("the earlier image `missing.tar` could not be read"),
        "{}",
        run.text()
    );
}

#[test]
fn a_digest_is_compared_with_what_was_scanned() {
    let image = app();
    let report = report_of(gate(&image), 0);
    let manifest = report["images"][0]["manifest"].as_str().unwrap().to_owned();
    let config = report["images"][0]["image_id"].as_str().unwrap().to_owned();
    let other = Digest::of(b"other").to_string();
    let expect = |value: &str| gate(&image).arg(format!("--expect-digest={value}"));
    for (digest, of) in [(&manifest, "manifest"), (&config, "config")] {
        let run = expect(digest).run().expect_code(0);
        assert!(
            said(&run).contains(digest.as_str()) && said(&run).contains(of),
            "{}",
            run.text()
        );
    }
    let run = expect(&other).run().expect_code(1);
    assert!(
        said(&run).contains("is not what is expected") && said(&run).contains(&manifest),
        "{}",
        run.text()
    );
    for (text, code) in [
        (format!("{config}\n"), 0),
        (format!("{other}\n"), 1),
        (
            format!("{{\"containerimage.digest\":\"{manifest}\",\"image.name\":\"app:1\"}}"),
            0,
        ),
        (format!("app:1 {manifest}\nworker:1 {other}\n"), 0),
        (format!("app:1@{manifest}\n"), 0),
        (format!("worker:1 {manifest}\n"), 1),
        (
            format!(
                "The push refers to repository [docker.io/library/app]\nab: Pushed\n1: digest: {manifest} size: 528\n"
            ),
            0,
        ),
        (
            format!("The push refers to repository [docker.io/library/app]\n1: digest: {other} size: 528\n"),
            1,
        ),
        ("nothing here\n".to_owned(), 2),
        (format!("app:1 {manifest}\napp:1 {other}\n"), 2),
    ] {
        let run = gate(&image).file("said", &text).arg("--expect-digest=said").run();
        assert_eq!(run.code, Some(code), "{text}\n{}\n{}", run.text(), run.stderr);
    }
    expect("neither").run().expect_code(2);
}

#[test]
fn a_digest_that_the_registry_serves_no_more_fails() {
    let registry = registry().start();
    registry.push(&images([app()]), "team/app", "1");
    let reference = registry.reference("team/app", "1");
    let run = |args: &[&str], file: &str| -> Run {
        layersift(["gate", &reference])
            .file("said", file)
            .args(args)
            .run()
    };
    let report = run(&["--format=json"], "").expect_code(0).json();
    let digest = report["targets"][0]["digest"].as_str().unwrap().to_owned();
    let log = format!(
        "The push refers to repository [{}/team/app]\n1: digest: {digest} size: 1\n",
        registry.host()
    );
    run(&["--expect-digest=said"], &log).expect_code(0);
    // Somebody else pushes over it.
    registry.push(&images([app().layer([file("new", "x")])]), "team/app", "1");
    let failed = run(&["--expect-digest=said"], &log).expect_code(1);
    assert!(
        said(&failed).contains("is not what is expected"),
        "{}",
        failed.text()
    );
}

#[test]
fn earlier_content_is_out_of_reach_only_where_every_file_is_shown() {
    let base = image().named("base:1").layer([file("a", "b"), file("c", "d")]);
    let squashed = base
        .clone()
        .named("app:1")
        .layer([file("srv/a", "x"), whiteout("c")]);
    let with = |image: &Image| {
        gate(image)
            .file("base.tar", base.oci_archive())
            .arg("--base=base.tar")
            .arg("--squashed")
    };
    let passes = with(&squashed).run().expect_code(0);
    assert!(
        said(&passes).contains("every file of its one layer, above its base `base.tar`"),
        "{}",
        passes.text()
    );
    // As a stage leaves it: more layers, of which none hides another's.
    let staged = squashed.clone().layer([file("srv/b", "y")]);
    assert!(said(&with(&staged).run().expect_code(0)).contains("every file of its 2 layers"));
    // What the base had is in reach for everyone; without a proof of the base it is the image's own.
    let run = gate(&squashed).arg("--squashed").run().expect_code(1);
    assert!(
        said(&run).contains("layer 1 still has `c`, hidden by layer 2"),
        "{}",
        run.text()
    );
    let leaking = base
        .clone()
        .named("app:1")
        .layer([file("k", "1"), file("l", "2")])
        .layer([whiteout("k"), file("l", "3")]);
    let run = with(&leaking).run().expect_code(1);
    assert!(
        said(&run).contains("layer 2 still has `k` and 1 more of layer 2, hidden by layer 3"),
        "{}",
        run.text()
    );
    gate(&leaking)
        .file("layersift.toml", "[gate]\nsquashed = true\n")
        .run()
        .expect_code(1);
    let twice = base
        .clone()
        .named("app:1")
        .layer([file("k", leak(1)), file("k", "gone")]);
    let run = with(&twice).run().expect_code(1);
    assert!(
        said(&run).contains("which a later member of its archive replaces"),
        "{}",
        run.text()
    );
}

#[test]
fn what_was_not_read_never_passes() {
    let image = app().layer([file("srv/a", leak(1))]);
    let ignored = entry("path = 'srv/a'", "2999-01-01");
    let archive = image.oci_archive();
    let cut = &archive[..archive.len() - 4096];
    let run = layersift(["gate", "image.tar"])
        .file("image.tar", cut)
        .file("layersift.toml", &ignored)
        .run();
    assert!(matches!(run.code, Some(3..=5)), "{:?} {}", run.code, run.text());
    layersift(["gate", "missing.tar"])
        .file("layersift.toml", ignored)
        .run()
        .expect_code(3);
}

/// The images of one repository, each under its tag, as a correct registry serves them.
fn repository(tagged: &[(&str, &Image)]) -> Repository {
    let everything: Vec<Image> = tagged.iter().map(|(_, image)| (*image).clone()).collect();
    let mut repository = Repository::of(&images(everything));
    for (tag, image) in tagged {
        let alone = Repository::of(&images([(*image).clone()]));
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        repository.manifest(tag, media_type, alone.bytes("app/manifests/1"));
    }
    repository
}

#[test]
fn a_diff_reads_a_blob_that_both_images_have_once() {
    let shared = app().layer([file("srv/kept", leak(1))]);
    let before = shared.clone().layer([file("srv/gone", leak(2))]);
    let after = shared.layer([file("srv/new", leak(3))]);
    let repository = repository(&[("1", &before), ("2", &after)]);
    let server = Server::start(move |request| repository.reply(request));
    let (target, since) = (
        format!("{}/app:2", server.host()),
        format!("{}/app:1", server.host()),
    );
    let run = layersift(["gate", &target, "--since", &since, "--format=json"]).run();
    let report = run.expect_code(1).json();
    let changes = &report["verdict"]["changes"];
    assert_eq!((&changes["new"], &changes["unchanged"]), (&json!(1), &json!(1)));
    assert_eq!(list(&changes["fixed"]).len(), 1);
    assert_eq!(changes["fixed"][0]["place"], "srv/gone");
    assert_eq!(list(&changes["fixed"][0]["blobs"]).len(), 1);
    assert!(
        list(&report["images"]).len() == 1,
        "the earlier image is not in the report"
    );
    let mut read: BTreeMap<String, usize> = BTreeMap::new();
    for request in server.requests() {
        if request.method == "GET" && request.path.contains("/blobs/") {
            *read.entry(request.path).or_default() += 1;
        }
    }
    // Four layers and two configurations.
    assert_eq!(read.len(), 6, "{read:?}");
    assert!(read.values().all(|times| *times == 1), "{read:?}");
}

#[test]
fn other_tags_that_carry_a_leaking_blob_are_found_by_manifests_alone() {
    let leaking = app().layer([file("srv/a", leak(1))]);
    let images = [
        ("new", &leaking.clone().layer([file("x", "y")])),
        ("old", &leaking),
        ("clean", &app()),
        ("other", &leaking),
    ];
    let repository = repository(&images);
    let server = Server::start(move |request| match request.path.split('?').next() {
        Some("/v2/app/tags/list") => Reply::ok(r#"{"tags":["clean","gone","new","old","other"]}"#),
        _ => repository.reply(request),
    });
    let target = format!("{}/app:new", server.host());
    layersift(["gate", &target]).run().expect_code(1);
    let before = server.requests().len();
    let report = layersift([
        "gate",
        &target,
        "--also-tags=o*",
        "--also-tags=c*",
        "--format=json",
    ])
    .run()
    .expect_code(1)
    .json();
    let carriers = list(&report["verdict"]["carriers"]);
    let references: Vec<&str> = carriers
        .iter()
        .map(|it| it["reference"].as_str().unwrap())
        .collect();
    let host = server.host();
    assert_eq!(
        references,
        [format!("{host}/app:old"), format!("{host}/app:other")]
    );
    assert_eq!(
        carriers[0]["blobs"][0],
        report["images"][0]["layers"][1]["digest"]
    );
    // As much as the scan alone takes, the list, and a manifest for each tag that fits.
    let paths: Vec<String> = server.requests()[before..]
        .iter()
        .map(|it| it.path.clone())
        .collect();
    let of_tags = |path: &&String| path.contains("/tags/") || path.contains("/manifests/");
    assert_eq!(
        paths.iter().filter(of_tags).count(),
        before_documents(&server, before) + 4,
        "{paths:?}"
    );
    // A tag that cannot be read fails closed. Where nothing leaks there is nothing to look for.
    layersift(["gate", &target, "--also-tags=gone"])
        .run()
        .expect_code(5);
    let clean = format!("{host}/app:clean");
    layersift(["gate", &clean, "--also-tags=gone"])
        .run()
        .expect_code(0);
}

/// How many of the first requests were for manifests.
fn before_documents(server: &Server, count: usize) -> usize {
    let requests = server.requests();
    requests[..count]
        .iter()
        .filter(|it| it.path.contains("/manifests/"))
        .count()
}

#[test]
fn what_was_fixed_is_within_reach_while_another_tag_carries_it() {
    let registry = registry().start();
    let base = app();
    let leaking = base.clone().layer([file("srv/a", leak(1))]);
    let fixed = base.clone().layer([file("srv/a", "nothing")]);
    registry.push(&images([base]), "team/base", "1");
    registry.push(&images([leaking.clone()]), "team/app", "1");
    registry.push(&images([fixed]), "team/app", "2");
    let both = index("app:1", [leaking.clone(), leaking.platform("linux/arm64")]);
    registry.push(&both, "team/app", "kept");
    let reference = |tag: &str| registry.reference("team/app", tag);
    let run = |tags: &str| {
        layersift([
            "gate",
            &reference("2"),
            "--since",
            &reference("1"),
            "--squashed",
            "--base",
        ])
        .arg(registry.reference("team/base", "1"))
        .args(["--also-tags", tags, "--format=json"])
        .run()
    };
    let report = run("k*").expect_code(1).json();
    let carriers = list(&report["verdict"]["carriers"]);
    assert_eq!(carriers.len(), 2, "{carriers:?}");
    assert_eq!(carriers[1]["platform"]["architecture"], "arm64");
    let kinds: Vec<&str> = list(&report["verdict"]["remarks"])
        .iter()
        .map(|remark| remark["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["carried-elsewhere", "squashed"]);
    // The tag it was fixed from carries it too.
    assert_eq!(
        list(&run("*").expect_code(1).json()["verdict"]["carriers"]).len(),
        3
    );
    run("none*").expect_code(0);
}

/// Builds an image of a folder with buildah and pushes it.
fn build(registry: &Registry, folder: &std::path::Path, dockerfile: &str, repository: &str) {
    let reference = registry.reference(repository, "1");
    fs::write(folder.join("context/Dockerfile"), dockerfile).unwrap();
    let buildah = || {
        let mut command = program("buildah", "buildah");
        command.env("STORAGE_DRIVER", "vfs");
        command
            .arg("--root")
            .arg(folder.join("root"))
            .arg("--runroot")
            .arg(folder.join("run"));
        command
    };
    let mut bud = buildah();
    bud.args([
        "bud",
        "--quiet",
        "--isolation",
        "chroot",
        "--tls-verify=false",
        "-t",
        &reference,
    ]);
    output_of(bud.arg(folder.join("context")));
    output_of(buildah().args(["push", "--quiet", "--tls-verify=false", &reference]));
}

#[test]
fn a_base_that_buildah_names_is_believed_where_the_policy_trusts_it() {
    let registry = registry().start();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("context")).unwrap();
    fs::write(folder.path().join("context/key"), leak(1)).unwrap();
    fs::write(folder.path().join("context/own"), leak(2)).unwrap();
    let base = registry.reference("team/base", "1");
    build(
        &registry,
        folder.path(),
        "FROM scratch\nCOPY key /opt/key\n",
        "team/base",
    );
    build(
        &registry,
        folder.path(),
        &format!("FROM {base}\nCOPY Dockerfile /\n"),
        "team/app",
    );
    build(
        &registry,
        folder.path(),
        &format!("FROM {base}\nCOPY own /own\n"),
        "team/own",
    );

    let gate = |repository: &str, trusted: &str| {
        let policy = format!("[gate]\ninherited = 'warn'\n[base]\ntrusted = ['{trusted}']\n");
        layersift(["gate", &registry.reference(repository, "1"), "--format=json"])
            .file("layersift.toml", policy)
            .run()
    };
    let trusted = format!("{}/team/*", registry.host());
    let report = gate("team/app", &trusted).expect_code(0).json();
    let base = &report["verdict"]["bases"][0];
    assert_eq!(
        (&base["named_by"], &base["layers"]),
        (&json!("annotation"), &json!(1))
    );
    assert_eq!(base["proof"], "layer-digest");
    let judgement = &report["findings"][0]["judgement"];
    assert_eq!(
        (&judgement["counts"], &judgement["reasons"][1]["kind"]),
        (&json!(false), &json!("inherited"))
    );
    let report = gate("team/own", &trusted).expect_code(1).json();
    assert_eq!(
        (
            list(&report["findings"]).len(),
            list(&report["verdict"]["failing"]).len()
        ),
        (2, 1)
    );
    // Nobody vouches for it: it is not even asked.
    for other in ["docker.io/**", "base", "team/base"] {
        let report = gate("team/app", other).expect_code(1).json();
        assert!(list(&report["verdict"]["bases"]).is_empty());
        assert_eq!(report["verdict"]["remarks"][0]["kind"], "base-not-asked");
    }
}

#[test]
fn a_base_that_a_provenance_names_is_proved_by_its_layers() {
    let registry = registry().start();
    let base = app().layer([file("opt/key", leak(1))]);
    registry.push(&images([base.clone()]), "team/base", "1");
    registry.push(&images([app().layer([file("go", "x")])]), "team/golang", "1");
    let escaped = registry.host().replace(':', "%3A");
    let material =
        |name: &str| json!({ "uri": format!("pkg:docker/{escaped}/team/{name}@1?platform=linux%2Famd64") });
    let built = base.layer([file("srv/a", "x")]).attestation(
        "https://slsa.dev/provenance/v0.2",
        json!({ "materials": [material("golang"), material("base"), material("missing")] }),
    );
    registry.push(&images([built]), "team/app", "1");
    let policy = format!(
        "[gate]\ninherited = 'warn'\n[base]\ntrusted = ['{}/team/*']\n",
        registry.host()
    );
    let report = layersift(["gate", &registry.reference("team/app", "1"), "--format=json"])
        .file("layersift.toml", policy)
        .run()
        .expect_code(0)
        .json();
    let bases = list(&report["verdict"]["bases"]);
    assert_eq!((bases.len(), &bases[0]["named_by"]), (1, &json!("provenance")));
    assert!(bases[0]["name"].as_str().unwrap().contains("team/base"));
}

#[test]
fn a_layer_that_is_damaged_never_passes_however_it_is_ignored() {
    let registry = registry().start();
    let image = app().layer([file("srv/a", leak(1))]);
    registry.push(&images([image.clone()]), "team/app", "1");
    let ignored = entry("path = '**'", "2999-01-01");
    let gate = || {
        layersift(["gate", &registry.reference("team/app", "1"), "--format=json"])
            .file("layersift.toml", &ignored)
            .run()
    };
    let report = gate().expect_code(0).json();
    let suppressed = &report["suppressed"][0];
    assert_eq!(suppressed["by"]["owner"], "team-web");
    assert!(!report.to_string().contains(&token(1)));
    let digest = report["images"][0]["layers"][0]["digest"].as_str().unwrap();
    let path = registry.blob_file(&Digest::parse(digest).unwrap());
    fs::remove_file(path).unwrap();
    let report = gate().expect_code(4).json();
    assert_eq!(report["verdict"]["outcome"], "incomplete");
}

#[test]
fn opaque_content_fails_where_the_policy_says_so() {
    let mut zip = b"PK\x03\x04".to_vec();
    zip.extend([0; 40]);
    let image = app().layer([file("opt/app.zip", zip)]);
    gate(&image).run().expect_code(0);
    gate(&image)
        .file("layersift.toml", "[gate]\nopaque = 'warn'\n")
        .run()
        .expect_code(0);
    gate(&image)
        .file("layersift.toml", "[gate]\nopaque = 'fail'\n")
        .run()
        .expect_code(4);
}

#[test]
fn every_report_has_the_digests_of_manifest_and_configuration() {
    let image = app().layer([file("srv/a", leak(1))]);
    let run = gate(&image)
        .args([
            "--format=human=a.txt",
            "--format=json=a.json",
            "--format=jsonl=a.jsonl",
            "--format=sarif=a.sarif",
        ])
        .run()
        .expect_code(1);
    let read = |name: &str| fs::read_to_string(run.folder.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("a.json")).unwrap();
    for digest in [&report["images"][0]["manifest"], &report["images"][0]["image_id"]] {
        let digest = digest.as_str().unwrap();
        for name in ["a.txt", "a.json", "a.jsonl", "a.sarif"] {
            assert!(read(name).contains(digest), "{digest} is not in {name}");
        }
    }
}

#[test]
fn sarif_has_what_is_suppressed_when_asked_for() {
    let leaking = || {
        gate(&app().layer([file("srv/a", leak(31))]))
            .file("layersift.toml", entry("path = 'srv/**'", "2999-01-01"))
            .arg("--format=sarif")
    };
    let results = |command: Layersift| command.run().expect_code(0).json()["runs"][0]["results"].clone();
    assert_eq!(list(&results(leaking())).len(), 0);
    let shown = results(leaking().arg("--sarif-suppressed"));
    assert_eq!(list(&shown).len(), 1);
    assert_eq!(shown[0]["suppressions"][0]["kind"], "external");
    assert!(!shown.to_string().contains(&token(31)));
}

#[test]
fn what_a_policy_names_and_nobody_can_read_is_no_gap_in_the_scan() {
    let run = gate(&app()).arg("--base=./missing.tar").run().expect_code(4);
    let said = said(&run);
    assert!(
        said.ends_with("so far, but something that was asked for could not be read, see policy."),
        "{said}"
    );
    let page = gate(&app())
        .args(["--base=./missing.tar", "--format=markdown"])
        .run()
        .expect_code(4);
    assert!(
        page.text()
            .contains("Everything was scanned, but something that was asked for"),
        "{}",
        page.text()
    );
}
