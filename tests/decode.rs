//! Asks real compressors what layersift's decoders must be able to read.

use std::io::Write;
use std::process::{Command, Stdio};

use layersift::content::decode::{AsideKind, Codec, Decoder, Step};
use layersift::limits::Limits;

use crate::support::image::{Packing, image};
use crate::support::tar::file;
use crate::support::{output_of, program};

/// What a program makes of `input`.
fn filter(mut command: Command, args: &[&str], input: &[u8]) -> Vec<u8> {
    let command = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

/// The stream and the kinds of what came beside it. Fails on any error.
fn decode(blob: &[u8]) -> (Codec, Vec<u8>, Vec<AsideKind>) {
    let mut decoder = Decoder::open(blob, &Limits::default()).unwrap();
    let (mut stream, mut asides) = (Vec::new(), Vec::new());
    let (mut out, mut aside) = (vec![0; 100_000], Vec::new());
    loop {
        match decoder.step(&mut out, &mut aside).unwrap() {
            Step::Aside { kind, last: true } => asides.push(kind),
            Step::Aside { .. } => {}
            Step::Data(count) => stream.extend_from_slice(&out[..count]),
            Step::End => return (decoder.codec(), stream, asides),
        }
    }
}

fn text() -> Vec<u8> {
    (0..200_000_u32)
        .flat_map(|line| format!("line {}\n", line.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

#[test]
fn what_real_compressors_write_is_read() {
    let text = text();
    let cases: [(&str, &str, &[&str], Codec); 9] = [
        ("gzip", "gzip", &["-c"], Codec::Gzip),
        ("gzip", "gzip", &["-c1"], Codec::Gzip),
        ("pigz", "pigz", &["-c", "-p4"], Codec::Gzip),
        ("pigz", "pigz", &["-c", "-p4", "-i", "-b128"], Codec::Gzip),
        ("zstd", "zstd", &["-c", "-T2"], Codec::Zstd),
        ("zstd", "zstd", &["-c", "-12", "--long=27"], Codec::Zstd),
        ("zstd", "zstd", &["-c", "--no-check", "--fast=5"], Codec::Zstd),
        ("xz", "xz-utils", &["-c", "-T2", "--block-size=500KiB"], Codec::Xz),
        ("bzip2", "bzip2", &["-c"], Codec::Bzip2),
    ];
    for (name, package, args, codec) in cases {
        let blob = filter(program(name, package), args, &text);
        let twice = [&blob[..], &blob].concat();
        for (blob, times) in [(&blob, 1), (&twice, 2)] {
            let (actual, stream, asides) = decode(blob);
            assert_eq!(actual, codec, "{name} {args:?}");
            assert!(stream == text.repeat(times), "{name} {args:?}");
            assert_eq!(asides, [], "{name} {args:?}");
        }
    }
}

#[test]
fn what_gzip_reads_despite_what_is_behind_it_is_read() {
    let text = text();
    let blob = filter(program("gzip", "gzip"), &["-c"], &text);
    for (tail, expected) in [(&[0; 1000][..], vec![]), (b"garbage", vec![AsideKind::Trailing])] {
        let blob = [&blob[..], tail].concat();
        // It warns of garbage, with exit code 2, after it has written all.
        let script = ["-c", "gzip -dc; test $? -ne 1"];
        assert!(filter(Command::new("sh"), &script, &blob) == text);
        let (_, stream, asides) = decode(&blob);
        assert!(stream == text);
        assert_eq!(asides, expected);
    }
}

#[test]
fn several_zstd_frames_are_read_as_zstd_does() {
    let text = text();
    let frames: Vec<u8> = text
        .chunks(300_000)
        .flat_map(|chunk| filter(program("zstd", "zstd"), &["-c"], chunk))
        .collect();
    assert!(filter(program("zstd", "zstd"), &["-dc"], &frames) == text);
    assert!(decode(&frames).1 == text);
}

#[test]
fn a_chunked_layer_made_by_skopeo_is_the_same_tar() {
    let folder = tempfile::tempdir().unwrap();
    let app = image()
        .layer([file("a", text()), file("b", "content")])
        .packed(Packing::Plain);
    app.write_oci_layout(&folder.path().join("from"));
    output_of(
        program("skopeo", "skopeo")
            .current_dir(&folder)
            .args(["--insecure-policy", "copy", "--quiet", "--dest-compress"])
            .args([
                "--dest-compress-format",
                "zstd:chunked",
                "oci:from:latest",
                "dir:to",
            ]),
    );
    let to = folder.path().join("to");
    let manifest = std::fs::read(to.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let blob = std::fs::read(to.join(layer.trim_start_matches("sha256:"))).unwrap();

    let (codec, stream, asides) = decode(&blob);
    assert_eq!(codec, Codec::Zstd);
    assert!(app.layer_tars().eq([stream.as_slice()]));
    assert!(!asides.is_empty() && asides.iter().all(|kind| *kind == AsideKind::SkippableFrame));
}
