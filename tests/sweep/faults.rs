//! What goes wrong around a sweep: helpers for logins, disks, pipes, clocks. Each is named, and the next sweep goes on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Counts, Place, fill, reasons};
use crate::support::registry::registry;
use crate::support::{program, sources};

/// A folder with a configuration that names a helper, and the helper.
fn helper(place: &Place, host: &str, script: &str) -> std::path::PathBuf {
    let folder = place.path("helper");
    std::fs::create_dir_all(&folder).unwrap();
    let config = json!({"credHelpers": {host: "ours"}});
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let program = folder.join("docker-credential-ours");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Fault 35. What hangs is `source::registry::helper::a_helper_that_hangs_is_ended_with_its_children`.
#[test]
fn fault_35_a_helper_that_is_no_use_is_named_and_the_next_sweep_reads_all() {
    let registry = registry().login("robot", "a-password").start();
    fill(&registry);
    let place = Place::new();
    let sweep = |script: &str| {
        let folder = helper(&place, &registry.host(), script);
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        place
            .command(&["sweep", &registry.host()])
            .env("PATH", &path)
            .arg("--docker-config")
            .arg(&folder)
            .run()
    };
    for script in [
        "kill -9 $$",
        "echo of-no-use",
        "head -c 200000 /dev/zero",
        "echo of-no-use; exit 3",
        r#"printf '{"Username":"robot","Secret":"another\\npassword"}'"#,
    ] {
        let run = sweep(script).expect_code(3);
        assert_eq!(reasons(&place), ["refused"], "{script}");
        assert!(!run.stderr.contains("of-no-use"), "{}", run.stderr);
    }
    sweep(r#"echo '{"Username":"robot","Secret":"a-password"}'"#).expect_code(1);
    assert_eq!(reasons(&place), [""; 0]);
}

/// Fault 36. That of a state is `a_full_disk_is_named_and_the_sweep_goes_on_when_there_is_room`.
#[test]
fn fault_36_reports_that_cannot_be_written_are_told_and_harm_no_state() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    place.sweep(&registry.host(), 1);
    let file = place.path("file");
    std::fs::write(&file, "").unwrap();
    let run = place
        .command(&["sweep", "report"])
        .arg(format!("--format=sarif={}/below", file.display()))
        .run()
        .expect_code(2);
    assert!(run.stderr.contains("below"), "{}", run.stderr);
    if Path::new("/dev/full").exists() {
        for words in [["sweep", "report"], ["sweep", "status"], ["query", "coverage"]] {
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_layersift"))
                .args(words)
                .arg("--state")
                .arg(place.state())
                .stdout(full)
                .stderr(Stdio::piped())
                .output()
                .unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
            assert!(stderr.contains("No space left"), "{stderr}");
        }
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_layersift"))
        .args(["sweep", &registry.host(), "--state"])
        .arg(place.state())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Nobody reads what it says in the end.
    drop(child.stdout.take());
    let code = child.wait().unwrap().code();
    assert!(matches!(code, Some(1 | 2)), "{code:?}");
    assert_eq!(place.report()["complete"], json!(true));
    assert_eq!(place.sweep(&registry.host(), 1).blobs, 0);
}

/// Hazard 155: what a state has of times is for people. Whichever way the clock was set, the next sweep does what it should.
#[test]
fn a_clock_that_was_set_forward_or_back_changes_nothing_but_stamps() {
    let registry = registry().start();
    fill(&registry);
    let steady = Place::new();
    steady.sweep(&registry.host(), 1);
    for stamp in [4_102_444_800_i64, 0, -5] {
        let place = Place::new();
        place.sweep(&registry.host(), 1);
        let set = |statement: &str| {
            let connection = rusqlite::Connection::open(place.state()).unwrap();
            connection.execute(statement, [stamp]).unwrap();
        };
        set("UPDATE sweep SET started_at = ?1, finished_at = ?1");
        let counts = place.sweep(&registry.host(), 1);
        assert_eq!((counts.manifests, counts.blobs), (0, 0), "{stamp}");
        // One that was begun in the future, or long ago, goes on.
        set("UPDATE sweep SET started_at = ?1, finished_at = NULL, status = 'scanning' WHERE id = 2");
        let run = place.command(&["sweep", &registry.host()]).run().expect_code(1);
        assert!(run.stderr.contains("going on"), "{}", run.stderr);
        assert_eq!(Counts::of(&run).blobs, 0);
        assert_eq!(place.report(), steady.report(), "{stamp}");
        assert!(place.query(&["moved"]).is_empty());
    }
}

/// Hazard 155: the clock on the wall is read for stamps, for dates that others wrote, and for nothing that waits.
#[test]
fn the_wall_clock_is_read_in_few_places() {
    let reads = sources()
        .into_iter()
        .filter(|(_, text)| text.contains("SystemTime::now"));
    let found: Vec<String> = reads.map(|(name, _)| name).collect();
    let allowed = [
        // The last day of an entry that is ignored.
        "src/cli/gate.rs",
        // Which record of a layer was used the longest ago: a wrong clock costs the wrong one.
        "src/scan/cache.rs",
        // The date of a `Retry-After`, which becomes a time to wait.
        "src/source/registry/transport.rs",
        // Stamps of sweeps.
        "src/sweep/journal.rs",
        // The end of a pause, for machines that share no other clock; never longer than was asked for.
        "src/sweep/queue/nats.rs",
    ];
    assert_eq!(found, allowed);
}

/// On a terminal a sweep shows how far it is; its summary stands alone in the end.
#[test]
fn a_terminal_is_shown_how_far_a_sweep_is_and_what_it_waits_for() {
    let registry = registry().start();
    fill(&registry);
    let place = Place::new();
    let sweep = format!(
        "{} sweep {} --rate 12 --state {}",
        env!("CARGO_BIN_EXE_layersift"),
        registry.host(),
        place.state().display()
    );
    // `script` is a terminal: what is written to it, moves of the cursor included, is what it writes.
    let output = program("script", "bsdutils")
        .args(["--quiet", "--return", "--command", &sweep, "/dev/null"])
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for part in [
        "lists",
        "manifests",
        "layers",
        "repositories, ",
        " tags, ",
        "/s), ",
        "wait for --rate",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("lists: 1 of"), "no lines besides: {shown}");
    let end = shown.rsplit("sweep 1: done").next().unwrap();
    assert_eq!(end.lines().count(), 5, "{end:?}");
    assert!(!end.contains('\u{1b}'), "{end:?}");
}
