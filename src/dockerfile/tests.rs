//! What locating an image's layers comes to, from history and provenance to lines.

use crate::finding::{
    BuildFacts, Certainty, ImageSummary, LayerSummary, Mapping, Report, Scheme, Verification,
};
use crate::oci::{Digest, History, Provenance};

use super::{Known, Source, locate};

/// An image with these layers and this history.
fn report(layers: &[Digest], history: Vec<History>, provenances: Vec<Provenance>) -> Report {
    let layers = layers.iter().enumerate().map(|(index, digest)| LayerSummary {
        ordinal: index + 1,
        digest: Some(digest.clone()),
        diff_id: None,
        compression: String::new(),
        stored_bytes: 0,
        decoded_bytes: 0,
        entries: 0,
        created_by: None,
        created: None,
        made_by: None,
        verification: Verification::Verified,
        findings: Vec::new(),
        hides: Vec::new(),
    });
    Report {
        version: String::new(),
        rule_set: String::new(),
        scheme: Scheme::Ls1,
        targets: Vec::new(),
        images: vec![ImageSummary {
            target: 0,
            names: Vec::new(),
            platform: None,
            manifest: None,
            image_id: None,
            artifact_type: None,
            created: None,
            base_claims: Vec::new(),
            hidden: None,
            layers: layers.collect(),
            build: BuildFacts { history, provenances },
            dockerfile: None,
            complete: true,
        }],
        findings: Vec::new(),
        coverage: Default::default(),
        counters: Default::default(),
        interrupted: false,
    }
}

/// `+` begins an entry that made a layer.
fn history(entries: &[&str]) -> Vec<History> {
    let entry = |text: &&str| History {
        created_by: Some(text.trim_start_matches('+').to_owned()),
        empty_layer: !text.starts_with('+'),
        ..History::default()
    };
    entries.iter().map(entry).collect()
}

fn source(text: &str) -> Source {
    Source::parse("Dockerfile", true, text).unwrap()
}

/// The lines of the layers: `4` exact, `4?` fuzzy, `4~` positional, `-` not known.
fn lines(report: &Report) -> String {
    let image = &report.images[0];
    let shown = image.layers.iter().map(|layer| {
        let dockerfile = image.dockerfile.as_ref();
        let found = layer
            .made_by
            .and_then(|made_by| Some((dockerfile?.instruction(made_by)?, made_by.certainty)));
        match found {
            Some((instruction, Certainty::Exact)) => format!("{}", instruction.first_line),
            Some((instruction, Certainty::Fuzzy)) => format!("{}?", instruction.first_line),
            Some((instruction, Certainty::Positional)) => format!("{}~", instruction.first_line),
            None => "-".to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// By the history alone.
fn by_history(dockerfile: &str, entries: &[&str]) -> String {
    let history = history(entries);
    let count = history.iter().filter(|entry| !entry.empty_layer).count();
    let layers: Vec<Digest> = (0..count).map(|index| Digest::of(&[index as u8])).collect();
    let mut report = report(&layers, history, Vec::new());
    let known = Known {
        source: Some(source(dockerfile)),
        ..Known::default()
    };
    locate(&mut report, &known);
    lines(&report)
}

const HASH: &str = "619b31c3f1b34954f5d5bfcf2bc4fe2f";

#[test]
fn every_builders_history_gives_the_same_lines() {
    let dockerfile = "ARG TAG=3\nFROM base:$TAG\nARG V=1\nENV HOME=/srv\nCOPY --chown=1:1 a.txt $HOME/\n\
                      # why\nRUN make V=$V \\\n  # inside\n  && true\nADD x.tgz /opt\nCMD [\"sh\", \"-c\", \"x\"]\n";
    let base = [
        "+/bin/sh -c #(nop) ADD file:0f in / ",
        "/bin/sh -c #(nop)  CMD [\"bash\"]",
    ];
    let file = |to: &str| format!("+/bin/sh -c #(nop) COPY --chown=1:1 file:{HASH} in {to} ");
    let (copied, added) = (
        file("/srv/"),
        format!("+/bin/sh -c #(nop) ADD file:{HASH} in /opt "),
    );
    for (name, entries) in [
        (
            "BuildKit",
            vec![
                "ARG V=1",
                "ENV HOME=/srv",
                "+COPY --chown=1:1 a.txt /srv/ # buildkit",
                "+RUN |1 V=1 /bin/sh -c make V=$V   && true # buildkit",
                "+ADD x.tgz /opt # buildkit",
                "CMD [\"sh\" \"-c\" \"x\"]",
            ],
        ),
        (
            "classic",
            vec![
                "/bin/sh -c #(nop)  ARG V=1",
                "/bin/sh -c #(nop)  ENV HOME=/srv",
                &copied,
                "+|1 V=1 /bin/sh -c make V=$V   && true",
                &added,
                "/bin/sh -c #(nop)  CMD [\"sh\" \"-c\" \"x\"]",
            ],
        ),
        (
            "buildah",
            vec![
                "/bin/sh -c #(nop) ARG V=1",
                "/bin/sh -c #(nop) ENV HOME=/srv",
                &copied,
                "+|1 V=1 /bin/sh -c make V=$V   && true|unsetLabel=true",
                &added,
                "/bin/sh -c #(nop) CMD [\"sh\", \"-c\", \"x\"]",
            ],
        ),
        (
            "kaniko",
            vec![
                "+COPY --chown=1:1 a.txt $HOME/",
                "+RUN make V=$V   && true",
                "+ADD x.tgz /opt",
            ],
        ),
    ] {
        let entries: Vec<&str> = base.into_iter().chain(entries).collect();
        // The base's layer is that of the `FROM`.
        let expected = if name == "kaniko" {
            "2? 5? 7 10"
        } else {
            "2 5 7 10"
        };
        assert_eq!(by_history(dockerfile, &entries), expected, "{name}");
    }
}

#[test]
fn what_the_base_did_the_same_way_is_not_mapped() {
    let entries = [
        "+RUN /bin/sh -c make",
        "+COPY a /a",
        "+RUN /bin/sh -c make",
        "+COPY a /a",
    ];
    assert_eq!(
        by_history("FROM base\nRUN make\nCOPY a /a\n", &entries),
        "1 1 2 3"
    );
}

#[test]
fn what_triggers_of_the_base_brought_is_of_the_base() {
    // The instructions of a base's `ONBUILD` stand in the history before one's own, as if they were these.
    for (dockerfile, entries, expected) in [
        (
            "FROM base\nCOPY b /b\n",
            &[
                "+ADD rootfs.tar /",
                "ONBUILD COPY a /a",
                "+COPY a /a",
                "+RUN /bin/sh -c make",
                "+COPY b /b",
            ][..],
            "1 1 1 2",
        ),
        (
            "FROM base\nCOPY . /app\n",
            &["+ADD rootfs.tar /", "+COPY . /app", "+COPY . /app"],
            "1 1 2",
        ),
        // One's own is for the builds of others, and makes no layer.
        (
            "FROM base\nONBUILD COPY a /a\nCOPY b /b\n",
            &["+ADD rootfs.tar /", "ONBUILD COPY a /a", "+COPY b /b"],
            "1 3",
        ),
        (
            "FROM base\nONBUILD COPY a /a\nCOPY b /b\n",
            &["+ADD rootfs.tar /", "+COPY b /b"],
            "1 3",
        ),
        (
            "FROM base\nONBUILD COPY a /a\n",
            &[
                "+ADD rootfs.tar /",
                "+COPY a /a",
                "/bin/sh -c #(nop)  ONBUILD COPY a /a",
            ],
            "1 1",
        ),
    ] {
        assert_eq!(
            by_history(dockerfile, entries),
            expected,
            "{dockerfile}{entries:?}"
        );
    }
}

#[test]
fn a_stage_continues_another_and_other_stages_are_left_alone() {
    let dockerfile = "FROM base AS common\nCOPY a /a\nFROM common AS build\nRUN make all\nFROM common\n\
                      COPY --from=build /out /app\n";
    assert_eq!(
        by_history(dockerfile, &["+FROM x", "+COPY a /a", "+COPY /out /app"]),
        "1 2 6"
    );
    // Built with `--target build`.
    assert_eq!(
        by_history(dockerfile, &["+FROM x", "+COPY a /a", "+RUN /bin/sh -c make all"]),
        "1 2 4"
    );
}

#[test]
fn changed_instructions_are_fuzzy_or_positional_and_strange_ones_unknown() {
    let dockerfile =
        "FROM base\nRUN apt-get install -y curl git make\nRUN ./configure\nCOPY a /a\nRUN rm /a\n";
    for (entries, expected) in [
        (
            [
                "+RUN apt-get install -y curl git",
                "+RUN ./configure",
                "+COPY a /a",
                "+RUN rm /a",
            ],
            "2? 3 4 5",
        ),
        (
            [
                "+RUN apt-get install -y curl git make",
                "+RUN setup.sh --all",
                "+COPY a /a",
                "+RUN rm /a",
            ],
            "2 3~ 4 5",
        ),
        (
            [
                "+RUN apt-get install -y curl git make",
                "+ADD b /b",
                "+COPY a /a",
                "+RUN rm /a",
            ],
            "2 - 4 5",
        ),
        (["+RUN a", "+RUN b", "+COPY c /d", "+ADD e /f"], "- - - -"),
    ] {
        assert_eq!(by_history(dockerfile, &entries), expected, "{entries:?}");
    }
}

#[test]
fn documents_and_shells_are_recognised() {
    let dockerfile = "FROM base\nSHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN <<EOF\nset -e\nmake\nEOF\n\
                      COPY <<EOF /etc/x\nhello\nEOF\nRUN cat <<A <<B > /y\none\nA\ntwo\nB\n";
    let entries = [
        "SHELL [/bin/bash -o pipefail -c]",
        "+RUN /bin/bash -o pipefail -c set -e\nmake\n # buildkit",
        "+COPY <<EOF /etc/x # buildkit",
        "+RUN /bin/bash -o pipefail -c cat <<A <<B > /y\none\nA\ntwo\nB # buildkit",
    ];
    assert_eq!(by_history(dockerfile, &entries), "3 7 10");
}

#[test]
fn a_history_of_another_length_gives_layers_no_lines() {
    let layers = [Digest::of(b"1"), Digest::of(b"2")];
    let mut report = report(&layers, history(&["+COPY a /a"]), Vec::new());
    let known = Known {
        source: Some(source("FROM scratch\nCOPY a /a\n")),
        ..Known::default()
    };
    let located = locate(&mut report, &known);
    assert_eq!(lines(&report), "- -");
    assert!(
        located.notes[0].1.contains("1 layers and the image has 2"),
        "{located:?}"
    );
}

#[test]
fn a_guess_that_does_not_belong_leaves_no_trace() {
    let layers = [Digest::of(b"1")];
    let mut known = Known {
        source: Some(source("FROM debian\nCMD [\"bash\"]\n")),
        is_guess: true,
        ..Known::default()
    };
    let entries = ["+ADD rootfs.tar /", "CMD [\"bash\"]"];
    let mut image = report(&layers, history(&entries), Vec::new());
    assert_eq!(locate(&mut image, &known), Default::default());
    assert!(image.images[0].dockerfile.is_none());
    // Named, and of another image: said, and no line.
    known.is_guess = false;
    known.source = Some(source("FROM debian\nRUN make\nRUN make install\n"));
    let located = locate(&mut image, &known);
    assert_eq!((lines(&image).as_str(), located.notes.len()), ("-", 1));
    assert_eq!(
        image.images[0].dockerfile.as_ref().unwrap().mapping,
        Mapping::None
    );
}

/// What BuildKit v0.23.2 wrote for the three stages that its provenance embeds.
fn real() -> (Vec<Digest>, Vec<History>, Vec<Vec<Provenance>>) {
    let image: serde_json::Value =
        serde_json::from_str(include_str!("../../testdata/buildkit/image.json")).unwrap();
    let layers = image["layers"].as_array().unwrap().iter();
    let provenances = [
        include_str!("../../testdata/buildkit/provenance-v1.json"),
        include_str!("../../testdata/buildkit/provenance-v0.2.json"),
    ];
    (
        layers
            .map(|digest| Digest::parse(digest.as_str().unwrap()).unwrap())
            .collect(),
        serde_json::from_value(image["history"].clone()).unwrap(),
        provenances
            .map(|json| Provenance::parse_all(json.as_bytes()).unwrap())
            .to_vec(),
    )
}

const REAL_LINES: &str = "4 5 6 22 23 24 25 31 32 37";

#[test]
fn a_real_provenance_of_either_version_tells_every_line() {
    let (layers, history, provenances) = real();
    for provenance in provenances {
        let text = provenance[0].sources[0].text.clone();
        let mut by_provenance = report(&layers, Vec::new(), provenance);
        assert_eq!(locate(&mut by_provenance, &Known::default()), Default::default());
        assert_eq!(lines(&by_provenance), REAL_LINES);
        assert_eq!(
            by_provenance.images[0].dockerfile.as_ref().unwrap().mapping,
            Mapping::Provenance
        );
        // The history of the same build leads to the same lines.
        let mut by_history = report(&layers, history.clone(), Vec::new());
        let known = Known {
            source: Some(source(&text)),
            ..Known::default()
        };
        locate(&mut by_history, &known);
        assert_eq!(lines(&by_history), REAL_LINES);
    }
}

#[test]
fn a_dockerfile_that_moved_on_is_searched_for_the_same_instructions() {
    let (layers, _, provenances) = real();
    let text = &provenances[0][0].sources[0].text;
    let moved = format!(
        "# one\n# two\n{}",
        text.replace("COPY settings.ini /etc/base.ini", "COPY other.ini /etc/base.ini")
    );
    let mut image = report(&layers, Vec::new(), provenances[0].clone());
    let known = Known {
        source: Some(source(&moved)),
        ..Known::default()
    };
    let located = locate(&mut image, &known);
    assert_eq!(lines(&image), "6? - 8? 24? 25? 26? 27? 33? 34? 39?");
    assert!(located.notes[0].1.contains("not quite"), "{located:?}");
}

#[test]
fn a_provenance_of_another_image_says_nothing() {
    let (_, _, provenances) = real();
    let layers = [Digest::of(b"1")];
    let mut image = report(&layers, Vec::new(), Vec::new());
    let known = Known {
        provenances: provenances[0].clone(),
        ..Known::default()
    };
    let located = locate(&mut image, &known);
    assert!(!located.uses_provenance && image.images[0].dockerfile.is_none());
}

#[test]
fn an_image_written_with_another_compression_is_mapped_by_position() {
    let (layers, _, mut provenances) = real();
    let manifest = Digest::of(b"manifest");
    provenances[0][0].subjects = vec![manifest.clone()];
    let others: Vec<Digest> = (0..layers.len())
        .map(|index| Digest::of(&[index as u8]))
        .collect();
    let mut image = report(&others, Vec::new(), provenances[0].clone());
    image.images[0].manifest = Some(manifest);
    locate(&mut image, &Known::default());
    assert_eq!(lines(&image), "4~ 5~ 6~ 22~ 23~ 24~ 25~ 31~ 32~ 37~");
}
