//! Values that are apart from their names or in pieces, through the built program: rows of the real SQLite, constants
//! of the real Python.

use std::fs;
use std::io::{self, Read};
use std::process::Command;

use layersift::content::archive::{self, Format, Members, OpenError, Refusal, Source, Step};
use layersift::limits::Limits;
use layersift::report::wire;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::command::layersift;
use crate::support::image::{Image, image};
use crate::support::output_of;
use crate::support::program;
use crate::support::secrets::secrets;
use crate::support::tar::{file, whiteout};

fn scan(image: &Image) -> wire::Report {
    let run = layersift(["scan", "image.tar", "--format", "json"])
        .file("image.tar", image.docker_archive())
        .run()
        .expect_code(1);
    let report: wire::Report = serde_json::from_slice(&run.stdout).expect("the report is of its own schema");
    assert_eq!(report.coverage.skips, []);
    report
}

fn places(report: &wire::Report) -> Vec<String> {
    let occurrences = report.findings.iter().flat_map(|finding| &finding.occurrences);
    let mut places: Vec<String> = occurrences.map(wire::Occurrence::place).collect();
    places.sort();
    places
}

/// A database that `script` makes of an open connection `db`; `value` is what it is given.
fn database(script: &str, value: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let script = format!(
        "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], isolation_level=None)\nvalue = sys.argv[2]\n{script}\ndb.close()\n"
    );
    output_of(
        program("python3", "python3")
            .args(["-c", &script])
            .arg(&path)
            .arg(value),
    );
    fs::read(path).unwrap()
}

#[test]
fn a_key_across_overflow_pages_is_found_whole_and_once() {
    let key = secrets(11).private_key();
    for encoding in ["UTF-8", "UTF-16le", "UTF-16be"] {
        // The key begins at the end of what fits into the page of its row.
        let script = format!(
            "db.execute('PRAGMA page_size = 512')\ndb.execute(\"PRAGMA encoding = '{encoding}'\")\n\
             db.execute('CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT, body TEXT)')\n\
             db.executemany('INSERT INTO notes VALUES (?, ?, ?)', [(n, 'plain', 'word ' * n) for n in range(1, 200)])\n\
             db.execute('INSERT INTO notes VALUES (?, ?, ?)', (777, 'key', 'word ' * 400 + chr(10) + value))"
        );
        let content = database(&script, &key);
        let image = image()
            .layer([file("var/lib/app.db", &content)])
            .layer([whiteout("var/lib/app.db")]);
        let report = scan(&image);
        let found = places(&report);
        assert_eq!(found.len(), 1, "{encoding}: {found:?}");
        assert!(
            found[0].starts_with("var/lib/app.db!/notes/") && found[0].ends_with("777"),
            "{found:?}"
        );
    }
}

#[test]
fn a_value_is_told_by_its_column_and_not_again_as_bytes() {
    let token = secrets(12).github_token();
    // In the bytes the next column follows without a gap.
    let script = "db.execute('CREATE TABLE logins (id INTEGER PRIMARY KEY, \"api token\" TEXT, owner TEXT)')\n\
                  db.execute('INSERT INTO logins VALUES (?, ?, ?)', (5, value, 'somebody'))";
    let report = scan(&image().layer([file("srv/a.db", database(script, &token))]));
    assert_eq!(places(&report), ["srv/a.db!/logins/5"]);
    // What was deleted is still in the bytes.
    let script =
        format!("{script}\ndb.execute('PRAGMA secure_delete = 0')\ndb.execute('DELETE FROM logins')");
    let text = format!("{token} ");
    let report = scan(&image().layer([file("srv/a.db", database(&script, &text))]));
    assert_eq!(places(&report), ["srv/a.db"]);
}

/// What a module of settings looks like; the values come from `secrets`.
fn module(value: &str) -> String {
    format!(
        "import os\nHARBOUR_API_TOKEN = '{value}'\n\
         class Config:\n    HARBOUR_API_TOKEN = '{value}'\n\
         def connect(app, client):\n    app.config['HARBOUR_API_TOKEN'] = '{value}'\n    \
         app.harbour_api_token = '{value}'\n    \
         return client(harbour_user='somebody', harbour_api_token='{value}')\n\
         LOGIN = dict(list({{'harbour_user': os.name, 'harbour_api_token': '{value}'}}.items()))\n"
    )
}

#[test]
fn constants_of_compiled_modules_are_found_by_their_names() {
    let (id, secret) = secrets(13).aws_pair();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("settings.py");
    let module = format!(
        "class Config:\n    AWS_ACCESS_KEY_ID = '{id}'\n    REGION = 'eu-west-1'\n    AWS_SECRET_ACCESS_KEY = '{secret}'\n"
    );
    fs::write(&source, module).unwrap();
    let mut compile = program("python3", "python3");
    output_of(compile.args(["-m", "compileall", "-q", "-b"]).arg(&source));
    let compiled = fs::read(folder.path().join("settings.pyc")).unwrap();
    let report = scan(&image().layer([file("app/settings.pyc", &compiled)]));
    let [finding] = report.findings.as_slice() else {
        panic!("one pair is one finding: {:?}", places(&report))
    };
    assert_eq!(places(&report), ["app/settings.pyc!(pyc)"]);
    assert_eq!(
        finding.occurrences[0].companions[0].place(),
        "app/settings.pyc!(pyc)"
    );
}

/// Every version that is here compiles the same module: the names that its constants get.
#[test]
fn every_version_of_python_that_is_here_names_its_constants() {
    let value = "Zq81mPx02Lr7";
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("settings.py");
    fs::write(&source, module(value)).unwrap();
    let mut seen = 0;
    for minor in ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"] {
        let target = folder.path().join(format!("{minor}.pyc"));
        let script =
            "import py_compile, sys; py_compile.compile(sys.argv[1], cfile=sys.argv[2], doraise=True)";
        let ran = Command::new(format!("python{minor}"))
            .args(["-c", script])
            .arg(&source)
            .arg(&target)
            .output();
        if !ran.is_ok_and(|output| output.status.success()) {
            continue;
        }
        seen += 1;
        let text = layersift::content::pyc::assignments(&fs::read(&target).unwrap()).unwrap();
        let mut lines: Vec<&str> = std::str::from_utf8(&text).unwrap().lines().collect();
        lines.sort_unstable();
        let expected = [
            format!("HARBOUR_API_TOKEN = '{value}'"),
            format!("harbour_api_token = '{value}'"),
            "harbour_user = 'somebody'".to_owned(),
        ];
        assert_eq!(lines, expected, "Python {minor}");
    }
    assert!(seen > 0, "no Python is here");
}

/// Counts what comes out, and ends what is beyond all measure.
struct Counted(u64);

impl Members for Counted {
    fn member(&mut self, _: Step<'_>, content: &mut dyn Read) -> io::Result<()> {
        self.0 += io::copy(content, &mut io::sink())?;
        Ok(())
    }

    fn refused(&mut self, _: &[u8], _: Refusal) {}
}

#[test]
fn what_real_tools_wrote_and_somebody_changed_ends_and_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("settings.py");
    fs::write(&source, module("Zq81mPx02Lr7")).unwrap();
    output_of(
        program("python3", "python3")
            .args(["-m", "compileall", "-q", "-b"])
            .arg(&source),
    );
    let git = |args: &[&str]| {
        let mut git = program("git", "git");
        let git = git
            .current_dir(folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        output_of(
            git.args(["-c", "user.name=A", "-c", "user.email=a@example.com"])
                .args(args),
        );
    };
    git(&["init", "-q"]);
    for version in 0..6 {
        fs::write(
            &source,
            format!("{}VERSION = {version}\n", module("Zq81mPx02Lr7").repeat(4)),
        )
        .unwrap();
        git(&["add", "settings.py"]);
        git(&["commit", "-q", "-m", "change"]);
    }
    git(&["repack", "-adfq"]);
    let packs = fs::read_dir(folder.path().join(".git/objects/pack")).unwrap();
    let mut packs = packs.map(|entry| entry.unwrap().path());
    let pack = packs
        .find(|path| path.extension().is_some_and(|kind| kind == "pack"))
        .unwrap();
    let rows = "db.execute('PRAGMA page_size = 512')\ndb.execute('CREATE TABLE t (a, b)')\n\
                db.executemany('INSERT INTO t VALUES (?, ?)', [(n, value * n) for n in range(90)])";
    let inputs = [
        fs::read(pack).unwrap(),
        fs::read(folder.path().join("settings.pyc")).unwrap(),
        database(rows, "word "),
    ];
    for input in inputs {
        let format = Format::of(&input[..512.min(input.len())]).unwrap();
        let flips = proptest::collection::vec((12..1_000_000_usize, any::<u8>()), 1..12);
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::with_cases(200)
        });
        let outcome = runner.run(&(flips, 0..input.len()), |(flips, cut)| {
            let mut bytes = input.clone();
            for (at, byte) in flips {
                let at = 12 + at % (bytes.len() - 12);
                bytes[at] = byte;
            }
            if cut % 4 == 0 {
                bytes.truncate(cut);
            }
            let mut counted = Counted(0);
            let opened = archive::open(format, Source::Whole(&bytes), &Limits::default(), &mut counted);
            prop_assert!(!matches!(opened, Err(OpenError::Content(_))) || format == Format::GitPack);
            prop_assert!(counted.0 < 4 << 20, "{}", counted.0);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{format:?}: {error}"));
    }
}
