//! Dockerfiles, and histories that may or may not be of them: a line that is told stands in the file.

use layersift::dockerfile::{Known, Source, locate};

use super::report::scanned;
use super::{Draw, Target};
use crate::support::image::image;
use crate::support::tar::file;

pub const DOCKERFILE: Target = Target {
    name: "dockerfile",
    body: dockerfile,
    seeds: || {
        [
            "FROM debian:12 AS base\nARG V=1\nRUN --mount=type=secret,id=a apt-get update && \\\n    echo $V\nFROM base\nCOPY --from=base --link a b\nENV A=b C=\"d e\"\nCMD [\"a\"]\n\0/bin/sh -c apt-get update && echo 1\nCOPY a b # buildkit\nENV A=b C=d e\n/bin/sh -c #(nop)  CMD [\"a\"]",
            "# escape=`\nFROM a\nRUN <<EOF sh\necho $A\nEOF\nCOPY <<\"A\" <<-B /c/\nx\nA\n\ty\n\tB\nONBUILD RUN x\n\0RUN /bin/sh -c echo",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    words: &[
        b"\nFROM ",
        b"\nRUN ",
        b"\nCOPY ",
        b"\nENV ",
        b"\nARG ",
        b" AS ",
        b"<<EOF\n",
        b"\nEOF\n",
        b"\\\n",
        b"# escape=`\n",
        b"${A:-b}",
        b"#(nop) ",
        b" # buildkit",
        b"|1 V=1 ",
        b"/bin/sh -c ",
        b"\0",
        b"\xef\xbb\xbf",
    ],
    longest: 2 * 1024,
};

/// The Dockerfile, a zero, and the lines of a history.
fn dockerfile(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (text, history) = text.split_once('\0').unwrap_or((&text, ""));
    let Ok(source) = Source::parse("Dockerfile", true, text) else {
        return;
    };
    let mut app = image().named("app:1");
    for (number, step) in history.lines().take(12).enumerate() {
        app = match number % 2 {
            0 => app
                .layer([file(format!("file-{number}"), "text\n")])
                .created_by(step),
            _ => app.history(step),
        };
    }
    let mut report = scanned(&app.docker_archive());
    let known = Known {
        source: Some(source),
        is_guess: Draw::of(bytes).below(2) == 0,
        provenances: Vec::new(),
    };
    locate(&mut report, &known);
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() as u64 + 1;
    for image in &report.images {
        let Some(dockerfile) = &image.dockerfile else {
            continue;
        };
        let mut behind = 0;
        for instruction in &dockerfile.instructions {
            assert!(instruction.first_line > behind, "instructions overlap");
            assert!(instruction.first_line <= instruction.last_line && instruction.last_line <= lines);
            assert!(instruction.first_column >= 1 && instruction.end_column >= 1);
            behind = instruction.last_line;
        }
        let made = image.layers.iter().filter_map(|layer| layer.made_by);
        let places = made.map(|made| made.instruction).chain(dockerfile.from);
        assert!(
            places
                .max()
                .is_none_or(|place| place < dockerfile.instructions.len()),
            "a layer of an instruction that is none"
        );
    }
}
