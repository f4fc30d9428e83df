//! Archives inside layers, through the built program: what is in them is found, told with the way to it, and what
//! cannot be opened is named without failing the scan.

use layersift::report::wire::{self, Link};

use crate::support::command::layersift;
use crate::support::image::{Image, Packing, image};
use crate::support::packed::{Zipped, gzip, xz, zip, zip_of};
use crate::support::secrets::secrets;
use crate::support::tar::{archive, file, whiteout};

/// An ar archive with short names.
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            0,
            0,
            0,
            100_644,
            content.len()
        );
        bytes.extend(header.as_bytes());
        bytes.extend(*content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn token() -> String {
    secrets(4242).github_token()
}

/// A text with the token in its second line.
fn text() -> Vec<u8> {
    format!("# settings\ntoken = {}\n", token()).into_bytes()
}

fn one_file(path: &str, content: &[u8]) -> Image {
    image()
        .layer([file("etc/os-release", "ID=debian\n"), file(path, content)])
        .packed(Packing::Gzip)
}

fn scan_with(image: &Image, options: &[&str], code: i32) -> wire::Report {
    let run = layersift(["scan", "image.tar", "--format", "json"].iter().chain(options))
        .file("image.tar", image.docker_archive())
        .run()
        .expect_code(code);
    serde_json::from_slice(&run.stdout).expect("the report is of its own schema")
}

fn scan(image: &Image, code: i32) -> wire::Report {
    let report = scan_with(image, &[], code);
    let coverage = &report.coverage;
    assert_eq!(
        coverage.seen_bytes,
        coverage.scanned_bytes + coverage.skipped_bytes
    );
    report
}

/// The one place where the token is.
#[track_caller]
fn the_place(report: &wire::Report) -> &wire::Occurrence {
    let [finding] = report.findings.as_slice() else {
        panic!("expected one finding, there are {:#?}", report.findings);
    };
    let [occurrence] = finding.occurrences.as_slice() else {
        panic!("expected one place, there are {:#?}", finding.occurrences);
    };
    occurrence
}

/// What could not be opened: reason and detail.
fn opaque(report: &wire::Report) -> Vec<(&str, &str)> {
    report
        .coverage
        .skips
        .iter()
        .map(|skip| {
            assert_eq!(skip.kind, wire::SkipSort::Opaque, "{skip:?}");
            (skip.reason.as_str(), skip.detail.as_str())
        })
        .collect()
}

/// Scans an image that has `content` at `path` and holds the token once: the place as people read it.
#[track_caller]
fn place_of(path: &str, content: &[u8]) -> String {
    let report = scan(&one_file(path, content), 1);
    let occurrence = the_place(&report);
    assert_eq!(
        (occurrence.location.line, occurrence.location.column),
        (Some(2), Some(9)),
        "lines count in the innermost member"
    );
    assert_eq!(occurrence.location.offset, 19);
    assert_eq!(opaque(&report), []);
    assert!(report.coverage.expanded_bytes > 0);
    occurrence.place()
}

#[test]
fn a_key_in_a_jar_that_a_later_layer_deletes_has_its_way_and_its_life() {
    let jar = zip(&[
        ("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\n", true, 0),
        ("BOOT-INF/classes/application.properties", &text(), true, 0),
    ]);
    let image = one_file("opt/app.jar", &jar)
        .layer([whiteout("opt/app.jar")])
        .packed(Packing::Gzip);
    let report = scan(&image, 1);
    let occurrence = the_place(&report);
    assert_eq!(
        occurrence.place(),
        "opt/app.jar!/BOOT-INF/classes/application.properties"
    );
    assert_eq!(
        occurrence.within,
        [Link::Member {
            path: "BOOT-INF/classes/application.properties".into()
        }]
    );
    assert!(
        matches!(occurrence.status, wire::Status::Deleted { by: 2, .. }),
        "{:?}",
        occurrence.status
    );
    let json = serde_json::to_value(occurrence).unwrap();
    assert_eq!(
        json["within"].to_string(),
        r#"[{"kind":"member","path":{"text":"BOOT-INF/classes/application.properties"}}]"#
    );
    assert!(
        occurrence
            .context
            .iter()
            .any(|line| line.here && line.number == 2)
    );
    assert!(!occurrence.context.iter().any(|line| line.text.contains(&token())));
}

#[test]
fn every_kind_of_archive_is_opened() {
    let tar = archive(&[file("./etc/key", text())]);
    for (path, content, expected) in [
        ("old.tar.gz", gzip(&tar), "old.tar.gz!(gzip)!/etc/key"),
        ("old.tar", tar.clone(), "old.tar!/etc/key"),
        ("notes.gz", gzip(&text()), "notes.gz!(gzip)"),
        ("notes", xz(&gzip(&text())), "notes!(xz)!(gzip)"),
        (
            "wheels.zip",
            zip_of("a/p.whl", &zip_of("p/__init__.py", &text())),
            "wheels.zip!/a/p.whl!/p/__init__.py",
        ),
        (
            "var/cache/p.deb",
            ar(&[("debian-binary", b"2.0\n"), ("data.tar.xz", &xz(&tar))]),
            "var/cache/p.deb!/data.tar.xz!(xz)!/etc/key",
        ),
    ] {
        assert_eq!(place_of(path, &content), expected);
    }
}

/// The file as 7z packs it, with these options, beside files of its own kind.
fn seven_zip(content: &[u8], options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    std::fs::create_dir(folder.path().join("conf")).unwrap();
    write("conf/a.txt", "some other text\n".repeat(200).as_bytes());
    write("conf/app.yml", content);
    write("conf/empty", b"");
    let run = std::process::Command::new("7z")
        .args(["a", "-bd"])
        .args(options)
        .args(["out.7z", "conf"])
        .current_dir(folder.path())
        .output()
        .expect("tests/setup installs 7z");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    std::fs::read(folder.path().join("out.7z")).unwrap()
}

#[test]
fn a_7z_archive_is_opened_however_it_is_packed() {
    for options in [
        &[][..],
        &["-m0=lzma"],
        &["-m0=bzip2"],
        &["-m0=copy"],
        &["-m0=bcj", "-m1=lzma2"],
        &[
            "-m0=bcj2",
            "-m1=lzma:d23",
            "-m2=lzma:d19",
            "-m3=lzma:d19",
            "-mb0:1",
            "-mb0s1:2",
            "-mb0s2:3",
        ],
        &["-mhc=off"],
        &["-ms=off"],
        &["-md=64m"],
    ] {
        let archive = seven_zip(&text(), options);
        assert_eq!(
            place_of("srv/backup", &archive),
            "srv/backup!/conf/app.yml",
            "{options:?}"
        );
    }
}

/// A 7z archive whose headers were changed, with checksums that make them believed.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let header = || {
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let start = usize::try_from(number(12)?).ok()?.checked_add(32)?;
        let end = start.checked_add(usize::try_from(number(20)?).ok()?)?;
        bytes.get(start..end).map(crc32fast::hash)
    };
    if let Some(checksum) = header() {
        bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
    }
    let checksum = crc32fast::hash(&bytes[12..32]);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn a_7z_archive_that_cannot_be_opened_is_named() {
    for (options, reason) in [
        (&["-pword"][..], "encrypted-archive"),
        (&["-pword", "-mhe=on"], "encrypted-archive"),
        (&["-m0=ppmd"], "unsupported-archive"),
        // Says that it needs 512 MiB.
        (&["-mhc=off"], "zstd-window"),
    ] {
        let mut archive = seven_zip(&text(), options);
        if reason == "zstd-window" {
            let coder = archive
                .windows(3)
                .rposition(|coder| coder == [0x21, 0x21, 1])
                .unwrap();
            archive[coder + 3] = 36;
            archive = resealed(archive);
        }
        let report = scan(&one_file("srv/backup", &archive), 0);
        assert!(report.findings.is_empty());
        let reasons: Vec<&str> = opaque(&report).into_iter().map(|(reason, _)| reason).collect();
        assert_eq!(reasons, [reason], "{options:?}");
    }
}

#[test]
fn nothing_that_is_cut_or_changed_anywhere_makes_a_7z_archive_panic() {
    use std::io::Read as _;

    use layersift::content::archive::{Format, Members, Refusal, Source, Step, open};
    struct Sink(u64);
    impl Members for Sink {
        fn member(&mut self, _: Step<'_>, content: &mut dyn std::io::Read) -> std::io::Result<()> {
            // No more than a scan would let it expand to.
            self.0 += std::io::copy(&mut content.take(1 << 20), &mut std::io::sink())?;
            Ok(())
        }
        fn refused(&mut self, _: &[u8], _: Refusal) {}
    }
    let limits = layersift::limits::Limits::default();
    for options in [&[][..], &["-mhc=off", "-m0=lzma"], &["-m0=bzip2"]] {
        let whole = seven_zip(&text(), options);
        let try_out = |bytes: &[u8]| {
            let mut sink = Sink(0);
            let _ = open(Format::SevenZip, Source::Whole(bytes), &limits, &mut sink);
        };
        for length in 0..whole.len() {
            try_out(&whole[..length]);
        }
        for at in 6..whole.len() {
            for value in [0, 0x17, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                try_out(&resealed(bytes));
            }
        }
    }
}

#[test]
fn an_image_in_an_image_is_searched_down_to_its_files() {
    let inner = image()
        .named("inner:1")
        .layer([file("root/key", text())])
        .packed(Packing::Gzip);
    let blob = place_of("srv/inner.tar", &inner.docker_archive());
    assert!(
        blob.starts_with("srv/inner.tar!/") && blob.ends_with("!/root/key"),
        "{blob}"
    );
}

#[test]
fn what_an_archive_stores_as_it_is_is_told_once() {
    let stored = zip(&[("conf", &text(), false, 0)]);
    assert_eq!(place_of("a.zip", &stored), "a.zip!/conf");
    let deep = archive(&[file("b.zip", &stored)]);
    assert_eq!(place_of("a.tar", &deep), "a.tar!/b.zip!/conf");
    // What stands between the members is found as before.
    let mut behind = zip_of("conf", b"nothing");
    behind.extend(token().as_bytes());
    let report = scan(&one_file("a.zip", &behind), 1);
    assert_eq!(the_place(&report).place(), "a.zip");
}

#[test]
fn the_halves_of_a_key_are_joined_across_members_of_one_folder() {
    let (id, secret) = secrets(77).aws_pair();
    let archive = zip(&[
        (
            "conf/id",
            format!("aws_access_key_id = {id}\n").as_bytes(),
            true,
            0,
        ),
        (
            "conf/secret",
            format!("aws_secret_access_key = {secret}\n").as_bytes(),
            true,
            0,
        ),
    ]);
    let report = scan(&one_file("srv/backup.zip", &archive), 1);
    let occurrence = the_place(&report);
    assert_eq!(occurrence.place(), "srv/backup.zip!/conf/secret");
    assert_eq!(occurrence.companions[0].place(), "srv/backup.zip!/conf/id");
    assert_eq!(occurrence.confidence.to_string(), "high");
}

#[test]
fn reports_for_people_and_for_code_hosts_show_the_way() {
    let image = one_file("opt/app.jar", &zip_of("conf/x", &text()));
    let scan = |format: &str| {
        let run = layersift(["scan", "image.tar", "--format", format])
            .file("image.tar", image.docker_archive())
            .run()
            .expect_code(1);
        String::from_utf8(run.stdout).unwrap()
    };
    assert!(scan("human").contains("opt/app.jar!/conf/x:2:9"));
    let sarif = scan("sarif");
    assert!(sarif.contains("/opt/app.jar!/conf/x"), "{sarif}");
    assert!(
        sarif.contains("opt/app.jar\""),
        "the artifact is the file of the layer"
    );
    let report = scan("json");
    let value: serde_json::Value = serde_json::from_str(&report).unwrap();
    let fingerprint = value["findings"][0]["fingerprint"].as_str().unwrap().to_owned();
    let shown = layersift(["show", fingerprint.as_str(), "--in", "report.json"])
        .file("report.json", &report)
        .run()
        .expect_code(0);
    assert!(
        shown.text().contains("opt/app.jar!/conf/x:2:9"),
        "{}",
        shown.text()
    );
}

#[test]
fn what_takes_a_password_is_opaque_and_fails_only_a_strict_scan() {
    let archive = zip(&[
        ("secret/a", b"\x01\x02\x03", false, 1),
        ("secret/b", b"\x04\x05\x06", false, 1),
        ("open", b"text", true, 0),
    ]);
    let image = one_file("srv/locked.zip", &archive);
    let report = scan(&image, 0);
    assert_eq!(
        opaque(&report),
        [(
            "encrypted-archive",
            "`srv/locked.zip!/secret/a`: encrypted, and the same goes for 1 more member of it"
        )]
    );
    assert!(report.coverage.complete);
    let strict = scan_with(&image, &["--strict"], 4);
    assert!(strict.verdict.incomplete);
}

#[test]
fn what_is_damaged_is_searched_as_far_as_it_goes_and_named() {
    let mut noise = 1_u32;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    })
    .take(400_000)
    .collect();
    let whole = gzip(&archive(&[file("key", text()), file("noise", random)]));
    let report = scan(&one_file("cut.tgz", &whole[..whole.len() / 2]), 1);
    assert_eq!(the_place(&report).place(), "cut.tgz!(gzip)!/key");
    assert_eq!(
        opaque(&report),
        [("truncated-archive", "`cut.tgz`: it ends early")]
    );
    let report = scan(&one_file("bad.zip", b"PK\x03\x04 is all there is"), 0);
    assert_eq!(
        opaque(&report),
        [("malformed-archive", "`bad.zip`: it has no directory")]
    );
}

#[test]
fn a_name_makes_no_archive() {
    let report = scan(&one_file("opt/app.jar", &text()), 1);
    assert_eq!(the_place(&report).place(), "opt/app.jar");
    assert_eq!(opaque(&report), []);
    assert_eq!(report.coverage.expanded_bytes, 0);
}

#[test]
fn archives_in_archives_end_at_a_depth_that_is_named() {
    let mut nested = text();
    for level in 0..12 {
        nested = zip(&[(&format!("{level}.zip"), &nested, true, 0)]);
    }
    let report = scan(&one_file("deep.zip", &nested), 0);
    let skips = opaque(&report);
    assert_eq!(skips.len(), 1, "{skips:?}");
    assert_eq!(skips[0].0, "archive-depth");
    assert!(skips[0].1.starts_with("`deep.zip!/11.zip!/10.zip!/"), "{skips:?}");
}

#[test]
fn a_bomb_of_zips_in_zips_ends_and_is_named() {
    // 16 times 16 times 16 members of 8 MiB each: 32 GiB of zeros in a few KiB.
    let names: Vec<String> = (0..16).map(|number| format!("{number}.zip")).collect();
    let mut bomb = zip_of("0", &vec![0; 8 << 20]);
    for _ in 0..3 {
        let members: Vec<Zipped<'_>> = names
            .iter()
            .map(|name| (name.as_str(), bomb.as_slice(), true, 0))
            .collect();
        bomb = zip(&members);
    }
    assert!(bomb.len() < 200_000, "{}", bomb.len());
    let image = image().layer([file("42.zip", &bomb), file("z/key.gz", gzip(&text()))]);
    let report = scan(&image, 1);
    assert_eq!(the_place(&report).place(), "z/key.gz!(gzip)");
    assert_eq!(
        opaque(&report),
        [("archive-ratio", "`42.zip`: over the limit `archive-ratio`")]
    );
    assert!(report.coverage.expanded_bytes < 300 << 20);
}

#[test]
fn reports_of_nested_content_do_not_depend_on_the_number_of_threads() {
    let mut members = Vec::new();
    for number in 0..60 {
        let token = secrets(number).github_token();
        let content = match number % 4 {
            0 => gzip(format!("key {token}").as_bytes()),
            1 => zip_of("a/b", token.as_bytes()),
            2 => gzip(&archive(&[
                file("x", &token),
                file("y.gz", gzip(token.as_bytes())),
            ])),
            _ => b"PK\x03\x04 broken".to_vec(),
        };
        members.push(file(format!("f/{number}"), content));
    }
    let archive = image().layer(members).docker_archive();
    let scan = |jobs: &str| {
        layersift(["scan", "image.tar", "--format", "json", "--jobs", jobs])
            .file("image.tar", &archive)
            .run()
            .expect_code(1)
            .stdout
    };
    let one = scan("1");
    assert_eq!(one, scan("8"));
    let report: wire::Report = serde_json::from_slice(&one).unwrap();
    assert_eq!(report.findings.len(), 45);
    assert_eq!(report.coverage.skips.len(), 15);
}
