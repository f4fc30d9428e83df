//! Where reports go: whole or not at all, and errors that name the place.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use layersift::finding::Reveal;
use layersift::report::sink::is_closed_pipe;
use layersift::report::{Output, Sink};

fn write(sink: &mut dyn Sink, text: &str) -> io::Result<()> {
    sink.part("part.txt", &mut |out| out.write_all(text.as_bytes()))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_whole_and_stays_as_it_was_after_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let mut output = Output::path(&path, Reveal::Redacted);
    assert!(!output.is_divided());
    write(&mut output, "first").unwrap();
    write(&mut output, "second").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "second");

    let error = output
        .part("part.txt", &mut |out| {
            out.write_all(&[b'x'; 200_000])?;
            Err(io::Error::other("the source broke"))
        })
        .unwrap_err();
    assert!(error.to_string().contains("report.json"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    assert_eq!(
        names(folder.path()),
        ["report.json"],
        "nothing else is left behind"
    );
}

#[test]
fn a_file_that_shows_secrets_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    write(&mut Output::path(&path, Reveal::Redacted), "x").unwrap();
    assert_eq!(mode(&path) & 0o600, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    write(&mut Output::path(&path, Reveal::Plain), "x").unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_link_is_followed_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    write(&mut Output::path(&link, Reveal::Redacted), "new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
}

#[test]
fn a_folder_takes_one_file_per_part_and_no_name_leads_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("a/b/");
    let mut output = Output::path(&below, Reveal::Redacted);
    assert!(output.is_divided());
    output.part("one.sarif", &mut |out| out.write_all(b"1")).unwrap();
    output.part("two.sarif", &mut |out| out.write_all(b"2")).unwrap();
    assert_eq!(names(&below), ["one.sarif", "two.sarif"]);
    assert!(Output::path(folder.path(), Reveal::Redacted).is_divided());
    for name in ["../three", "c/three", "", "..", "."] {
        let error = output.part(name, &mut |out| out.write_all(b"3")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
    }
    assert_eq!(names(&below), ["one.sarif", "two.sarif"]);
}

#[test]
fn a_device_is_opened_in_place_and_a_full_one_is_an_error_that_names_it() {
    write(&mut Output::path(Path::new("/dev/null"), Reveal::Redacted), "x").unwrap();
    let error = write(&mut Output::path(Path::new("/dev/full"), Reveal::Redacted), "x").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(error.to_string(), "cannot write `/dev/full`");
    assert!(!is_closed_pipe(&error));
}

#[test]
fn a_named_pipe_is_written_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    write(&mut Output::path(&pipe, Reveal::Redacted), "through the pipe").unwrap();
    assert_eq!(reader.join().unwrap(), "through the pipe");
    assert_eq!(names(folder.path()), ["pipe"]);
}

#[test]
fn a_place_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/report.json");
    let error = write(&mut Output::path(&path, Reveal::Redacted), "x").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), format!("cannot write `{}`", path.display()));
}

#[test]
fn a_closed_pipe_is_told_apart() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = write(&mut Output::stream("standard output", Box::new(Closed)), "x").unwrap_err();
    assert!(is_closed_pipe(&error));
    assert_eq!(error.to_string(), "cannot write `standard output`");
}
