//! Repositories of the real git in layers, through the built program: what was committed once is found, with commit
//! and path, whatever git or a later layer did to it since.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use layersift::report::wire;

use crate::support::command::layersift;
use crate::support::image::{Image, image};
use crate::support::packed::{gzip, zip_of};
use crate::support::secrets::secrets;
use crate::support::tar::{Member, archive, file, whiteout};
use crate::support::{output_of, program};

/// A repository that git works on.
struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    fn new(format: &str) -> Self {
        let repository = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        repository.git(&["init", "-q", "-b", "main", &format!("--object-format={format}")]);
        repository
    }

    fn command(&self) -> Command {
        let mut git = program("git", "git");
        git.current_dir(self.folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_DATE", "1700000000 +0000")
            .env("GIT_COMMITTER_DATE", "1700000000 +0000")
            .args([
                "-c",
                "user.name=A",
                "-c",
                "user.email=a@example.com",
                "-c",
                "gc.auto=0",
            ]);
        git
    }

    fn git(&self, args: &[&str]) -> String {
        let output = output_of(self.command().args(args));
        String::from_utf8(output).unwrap().trim().to_owned()
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Commits everything and says which commit that is.
    fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Its `.git`, as files of a layer below `folder`.
    fn members(&self, folder: &str) -> Vec<Member> {
        files(&self.folder.path().join(".git"))
            .into_iter()
            .map(|(path, content)| file(format!("{folder}/{path}"), content))
            .collect()
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut waiting: Vec<PathBuf> = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn token(number: u64) -> String {
    secrets(number).github_token()
}

fn scan(image: &Image) -> wire::Report {
    let run = layersift(["scan", "image.tar", "--format", "json"])
        .file("image.tar", image.docker_archive())
        .run()
        .expect_code(1);
    let report: wire::Report = serde_json::from_slice(&run.stdout).expect("the report is of its own schema");
    let skips = report.coverage.skips.iter();
    let skips: Vec<_> = skips.filter(|skip| skip.reason != "git-versions").collect();
    assert!(skips.is_empty(), "{skips:?}");
    report
}

/// All places of all findings, but for the logs: those have the messages once more.
fn places(report: &wire::Report) -> Vec<String> {
    let occurrences = report.findings.iter().flat_map(|finding| &finding.occurrences);
    let mut places: Vec<String> = occurrences.map(wire::Occurrence::place).collect();
    places.retain(|place| !place.contains(".git/logs/"));
    places.sort();
    places
}

/// A settings file that deltas are made of.
fn settings(token: &str, version: usize) -> String {
    let mut text: String = (0..200)
        .map(|line| format!("setting_{line} = {}\n", line * 7 % 31))
        .collect();
    text += &format!("version = {version}\ntoken = {token}\n");
    text
}

/// A repository whose history had a token in `conf/app.ini` from its second commit on, until its fourth.
fn with_history(format: &str) -> (Repository, String, String) {
    let repository = Repository::new(format);
    repository.write("conf/app.ini", settings("none", 0));
    repository.write("conf/other.ini", settings("none", 1));
    repository.commit("begin");
    repository.write("conf/app.ini", settings(&token(1), 2));
    let leaked = repository.commit("add the token");
    repository.write("README", "words\n");
    repository.commit("words");
    fs::remove_file(repository.folder.path().join("conf/app.ini")).unwrap();
    repository.commit("remove the token");
    let blob = repository.git(&["rev-parse", &format!("{leaked}:conf/app.ini")]);
    (repository, leaked, blob)
}

#[test]
fn a_key_that_was_committed_is_found_loose_and_packed_with_commit_and_path() {
    for format in ["sha1", "sha256"] {
        let (repository, commit, blob) = with_history(format);
        let (first, rest) = blob.split_at(2);
        let report = scan(&image().layer(repository.members("srv/app/.git")));
        assert_eq!(
            places(&report),
            [format!(
                "srv/app/.git/objects/{first}/{rest}!/{commit}:conf/app.ini"
            )]
        );
        let location = report.findings[0].occurrences[0].location;
        assert_eq!((location.line, location.column), (Some(202), Some(9)));
        for repack in [
            &["repack", "-adfq"][..],
            &["-c", "repack.useDeltaBaseOffset=false", "repack", "-adfq"],
        ] {
            repository.git(repack);
            let packs = repository.members("srv/app/.git");
            let image = image().layer(packs).layer([whiteout("srv/app/.git")]);
            let report = scan(&image);
            let places = places(&report);
            assert_eq!(places.len(), 1, "{places:?}");
            assert!(
                places[0].starts_with("srv/app/.git/objects/pack/pack-"),
                "{places:?}"
            );
            assert!(
                places[0].ends_with(&format!(".pack!/{commit}:conf/app.ini")),
                "{places:?}"
            );
            let occurrence = &report.findings[0].occurrences[0];
            assert!(
                matches!(occurrence.status, wire::Status::Deleted { by: 2, .. }),
                "{:?}",
                occurrence.status
            );
        }
    }
}

#[test]
fn amended_commits_messages_tags_and_what_was_only_staged_are_found() {
    let repository = Repository::new("sha1");
    repository.write("a", "a\n");
    let message = repository.commit(&format!("use token {}", token(2)));
    repository.git(&["tag", "-a", "-m", &format!("with {}", token(3)), "v1"]);
    let tag = repository.git(&["rev-parse", "v1"]);
    repository.write(".env", format!("TOKEN={}\n", token(4)));
    let amended = repository.commit("settings");
    repository.write(".env", "TOKEN=\n");
    repository.git(&["add", "-A"]);
    repository.git(&["commit", "-q", "--amend", "-m", "settings"]);
    repository.write("staged", token(5));
    repository.git(&["add", "-A"]);
    let staged = repository.git(&["rev-parse", ":staged"]);
    let loose = |id: &str, name: &str| format!("a.git/objects/{}/{}!/{name}", &id[..2], &id[2..]);
    let dotenv = repository.git(&["rev-parse", &format!("{amended}:.env")]);
    let mut expected = vec![
        loose(&message, &message),
        loose(&tag, &tag),
        loose(&dotenv, &format!("{amended}:.env")),
        loose(&staged, &staged),
    ];
    expected.sort();
    assert_eq!(
        places(&scan(&image().layer(repository.members("a.git")))),
        expected
    );

    // What no branch reaches any more stays loose, what one does is packed.
    repository.git(&[
        "-c",
        "gc.reflogExpire=now",
        "-c",
        "gc.cruftPacks=false",
        "gc",
        "-q",
    ]);
    let report = scan(&image().layer(repository.members("a.git")));
    let found = places(&report);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(
        found
            .iter()
            .any(|place| place.ends_with(&format!(".pack!/{message}"))),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|place| place.ends_with(&format!(".pack!/{tag}"))),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|place| place.ends_with(&format!("!/{amended}:.env"))),
        "{found:?}"
    );
}

#[test]
fn rules_that_live_in_a_file_see_the_path_of_the_commit() {
    let repository = Repository::new("sha1");
    let password = secrets(6).password(20);
    repository.write("root/.pgpass", format!("db.acme.test:5432:app:app:{password}\n"));
    let commit = repository.commit("password");
    let loose = scan(&image().layer(repository.members("app/.git")));
    assert!(places(&loose)[0].ends_with(&format!("!/{commit}:root/.pgpass")));
    repository.git(&["repack", "-adq"]);
    let packed = scan(&image().layer(repository.members("app/.git")));
    assert!(places(&packed)[0].ends_with(&format!(".pack!/{commit}:root/.pgpass")));
}

#[test]
fn repositories_in_archives_and_archives_in_repositories_are_opened() {
    let (repository, commit, blob) = with_history("sha1");
    let object = format!("objects/{}/{}", &blob[..2], &blob[2..]);
    let backup = gzip(&archive(&repository.members("app/.git")));
    let report = scan(&image().layer([file("backup.tgz", backup)]));
    assert_eq!(
        places(&report),
        [format!(
            "backup.tgz!(gzip)!/app/.git/{object}!/{commit}:conf/app.ini"
        )]
    );
    let repository = Repository::new("sha1");
    repository.write("lib/a.zip", zip_of("x/key", token(7).as_bytes()));
    let commit = repository.commit("archive");
    repository.git(&["gc", "-q"]);
    let found = places(&scan(&image().layer(repository.members("a.git"))));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with(&format!(".pack!/{commit}:lib/a.zip!/x/key")),
        "{found:?}"
    );
}

#[test]
fn of_many_versions_that_hold_a_key_the_first_is_told() {
    let repository = Repository::new("sha1");
    repository.write("a.ini", settings("none", 0));
    repository.commit("begin");
    let mut commits = Vec::new();
    for version in 1..5 {
        repository.write("a.ini", settings(&token(8), version));
        commits.push(repository.commit("change"));
    }
    repository.git(&["repack", "-adfq"]);
    let report = scan(&image().layer(repository.members("a.git")));
    let found = places(&report);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with(&format!("!/{}:a.ini", commits[0])),
        "{found:?}"
    );
    let [skip] = report.coverage.skips.as_slice() else {
        panic!("it is said that there are more: {:?}", report.coverage.skips)
    };
    assert_eq!(
        (skip.kind, skip.reason.as_str()),
        (wire::SkipSort::Note, "git-versions")
    );
    assert!(
        skip.detail.starts_with("rules match 3 more times"),
        "{}",
        skip.detail
    );
}
