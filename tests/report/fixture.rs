//! Reports as values, built in code. No credential here was ever issued: their random parts are computed.

use layersift::finding::{
    Area, BuildFacts, Chain, Companion, Counters, Coverage, DeletedBy, EntryFacts, FileClass, Finding,
    Fingerprinter, ImageSummary, LayerSummary, Line, Location, MetadataUse, Occurrence, Origin, Package,
    PackageState, PackageSystem, Report, Scheme, Secret, Skip, SkipKind, Status, TargetSummary, Tree,
    Verification,
};
use layersift::oci::{DiffId, Digest, ImageId, Platform};
use layersift::report::{RuleNote, RuleNotes};
use layersift::rules::{Confidence, Evidence, RuleId, SecretKind, Severity};

pub(crate) const LOW_RULE: &str = "generic-assignment";
const REPOSITORY: &str = "registry.example.com/acme/model-server";

/// `length` characters of `alphabet` that look random and are the same every time.
pub(crate) fn random(alphabet: &str, length: usize, seed: u64) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            alphabet[(state >> 33) as usize % alphabet.len()]
        })
        .collect()
}

const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const MIXED: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Every secret of a report, companions too.
pub(crate) fn secrets(report: &Report) -> Vec<Vec<u8>> {
    report
        .findings
        .iter()
        .flat_map(|finding| {
            let companions = finding.occurrences.iter().flat_map(|o| &o.companions);
            std::iter::once(&finding.secret).chain(companions.map(|companion| &companion.secret))
        })
        .map(|secret| secret.expose().to_vec())
        .collect()
}

/// What the reports of the tests know of the rules; the built-in rules may change without changing these.
pub(crate) fn notes() -> RuleNotes {
    let note = |title: &str, description: &str, severity, confidence, revoke: &str| RuleNote {
        title: title.to_owned(),
        description: description.to_owned(),
        severity,
        confidence,
        revoke: revoke.to_owned(),
        references: vec!["https://docs.example.com/credentials".to_owned()],
    };
    [
        (
            "gcs-hmac-key",
            note(
                "Google Cloud Storage HMAC key",
                "Access id and secret of an HMAC key. Whoever has both can read and write the buckets of its account.",
                Severity::Critical,
                Confidence::High,
                "`gcloud storage hmac update ACCESS_ID --deactivate`, then `gcloud storage hmac delete ACCESS_ID`.",
            ),
        ),
        (
            "npm-token",
            note(
                "npm access token",
                "A token of the npm registry. It can install private packages and, if it may, publish.",
                Severity::High,
                Confidence::High,
                "`npm token revoke ID`, with the id that `npm token list` gives.",
            ),
        ),
        (
            "private-key",
            note(
                "Private key",
                "A private key that parses.",
                Severity::High,
                Confidence::High,
                "Replace the key pair wherever its public key is trusted.",
            ),
        ),
    ]
    .into_iter()
    .map(|(id, note)| (RuleId(id.to_owned()), note))
    .collect()
}

fn modified_package() -> FileClass {
    FileClass {
        tree: Tree::Package {
            package: Package {
                system: PackageSystem::Dpkg,
                name: "acme-tls".to_owned(),
                version: Some("1.2-3".to_owned()),
                is_open: true,
            },
            state: PackageState::Modified,
        },
        area: Area::Ordinary,
    }
}

/// Two platforms of one image: a key that a later layer deletes, a token in the environment and in the history, a
/// private key that is replaced and stays in a copy, and a guess of low confidence.
pub(crate) fn sample() -> Report {
    let mut report = Report {
        version: "0.1.0".to_owned(),
        rule_set: Digest::of(b"rules").to_string(),
        scheme: Scheme::Ls1,
        targets: vec![TargetSummary {
            name: format!("{REPOSITORY}:1.4"),
            source: "registry".to_owned(),
            repository: REPOSITORY.to_owned(),
            digest: Some(Digest::of(b"index")),
            index: Some(Digest::of(b"index")),
            failure: None,
            hint: None,
            not_chosen: vec!["windows/amd64".parse().unwrap()],
        }],
        images: vec![image("linux/amd64"), image("linux/arm64")],
        findings: Vec::new(),
        coverage: coverage(),
        counters: Counters {
            blobs: 14,
            stored_bytes: 161_061_273,
            entries: 18_204,
            unused_blobs: 0,
            low_confidence: 1,
        },
        interrupted: false,
    };
    report.findings = vec![hmac_key(), npm_token(), private_key(), guess()];
    fill_layers(&mut report);
    report
}

/// The same with nothing found.
pub(crate) fn clean() -> Report {
    let mut report = sample();
    report.findings.clear();
    report.counters.low_confidence = 0;
    report.coverage.skips.clear();
    report.coverage.scanned_bytes = report.coverage.seen_bytes;
    report.coverage.skipped_bytes = 0;
    fill_layers(&mut report);
    report
}

fn image(platform: &str) -> ImageSummary {
    let steps = [
        ("gzip", 77_900_000, "ADD rootfs.tar.xz / # buildkit"),
        (
            "gzip",
            141_000_000,
            "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends python3 python3-pip gcc # buildkit",
        ),
        ("gzip", 2_560, "COPY ci/boto.cfg /root/.boto # buildkit"),
        (
            "gzip",
            88_123_392,
            "RUN /bin/sh -c gsutil cp gs://acme-models/base.onnx /srv/model/ # buildkit",
        ),
        ("gzip", 1_536, "RUN /bin/sh -c rm -f /root/.boto # buildkit"),
        ("zstd", 18_432, "COPY etc/ssl /etc/ssl # buildkit"),
        (
            "zstd",
            4_096,
            "RUN /bin/sh -c install -m 600 /run/secrets/tls.key /etc/ssl/private/server.key # buildkit",
        ),
        ("zstd", 0, "WORKDIR /srv"),
    ];
    ImageSummary {
        target: 0,
        names: vec![format!("{REPOSITORY}:1.4")],
        platform: Some(platform.parse::<Platform>().unwrap()),
        manifest: Some(Digest::of(platform.as_bytes())),
        image_id: Some(ImageId(Digest::of(format!("{platform} config").as_bytes()))),
        artifact_type: None,
        created: Some("2026-01-31T10:04:11Z".to_owned()),
        base_claims: Vec::new(),
        hidden: None,
        layers: steps
            .iter()
            .enumerate()
            .map(|(index, (compression, decoded_bytes, created_by))| LayerSummary {
                ordinal: index + 1,
                digest: Some(Digest::of(created_by.as_bytes())),
                diff_id: Some(DiffId(Digest::of(format!("{created_by} tar").as_bytes()))),
                compression: (*compression).to_owned(),
                stored_bytes: decoded_bytes / 3 + 120,
                decoded_bytes: *decoded_bytes,
                entries: 1 + decoded_bytes / 40_000,
                created_by: Some((*created_by).to_owned()),
                created: Some("2026-01-31T10:04:11Z".to_owned()),
                made_by: None,
                verification: Verification::Verified,
                findings: Vec::new(),
                hides: Vec::new(),
            })
            .collect(),
        build: BuildFacts::default(),
        dockerfile: None,
        complete: true,
    }
}

fn hmac_key() -> Finding {
    let id = format!("{}{}", ["GO", "OG"].concat(), random(UPPER, 57, 1));
    let secret = random(MIXED, 40, 2);
    let context = [
        (1, "[Credentials]".to_owned(), false),
        (2, "# used by the model download".to_owned(), false),
        (
            3,
            format!("gs_access_key_id = {}", Secret::new(id.clone().into())),
            false,
        ),
        (
            4,
            format!("gs_secret_access_key = {}", Secret::new(secret.clone().into())),
            true,
        ),
        (5, "[Boto]".to_owned(), false),
    ];
    let occurrence = |image| Occurrence {
        image,
        origin: file(3, "root/.boto", 0o600, 412),
        within: Chain::default(),
        status: Status::Deleted {
            by: 5,
            how: DeletedBy::Whiteout,
        },
        location: at(4, 24, 40),
        companions: vec![Companion {
            part: "id".to_owned(),
            secret: Secret::new(id.clone().into_bytes()),
            origin: file(3, "root/.boto", 0o600, 412),
            within: Chain::default(),
            location: at(3, 20, 61),
        }],
        context: lines(&context),
        confidence: Confidence::High,
        class: None,
        verification: Verification::Verified,
        made_by: None,
    };
    finding(
        "gcs-hmac-key",
        "Google Cloud Storage HMAC key",
        (Severity::Critical, Confidence::High),
        vec![Evidence::Entropy, Evidence::Paired, Evidence::Path],
        secret.as_bytes(),
        vec![occurrence(0), occurrence(1)],
    )
}

fn npm_token() -> Finding {
    let token = format!("{}{}", ["npm", "_"].concat(), random(MIXED, 36, 3));
    let place = |field: &str, layer, status| Occurrence {
        image: 0,
        origin: Origin::Config {
            field: field.to_owned(),
            layer,
        },
        within: Chain::default(),
        status,
        location: at(1, 11, token.len() as u64),
        companions: Vec::new(),
        context: lines(&[(
            1,
            format!("NPM_TOKEN={}", Secret::new(token.clone().into())),
            true,
        )]),
        confidence: Confidence::High,
        class: None,
        verification: Verification::Verified,
        made_by: None,
    };
    finding(
        "npm-token",
        "npm access token",
        (Severity::High, Confidence::High),
        vec![Evidence::Checksum],
        token.as_bytes(),
        vec![
            place("config.Env[3]", None, Status::Metadata(MetadataUse::Effective)),
            place(
                "history[11].created_by",
                None,
                Status::Metadata(MetadataUse::History),
            ),
        ],
    )
}

fn private_key() -> Finding {
    let (begin, end) = (
        ["-----BEGIN ", "PRIVATE KEY-----"].concat(),
        ["-----END ", "PRIVATE KEY-----"].concat(),
    );
    let body: Vec<String> = (0..3).map(|line| random(MIXED, 64, 10 + line)).collect();
    let pem = format!("{begin}\n{}\n{end}\n", body.join("\n"));
    let place = |layer, path: &str, status| Occurrence {
        image: 0,
        origin: file(layer, path, 0o644, pem.len() as u64),
        within: Chain::default(),
        status,
        location: at(1, 1, pem.len() as u64),
        companions: Vec::new(),
        context: lines(&[(1, "-----BEGIN …".to_owned(), true)]),
        confidence: Confidence::High,
        class: Some(modified_package()),
        verification: Verification::Verified,
        made_by: None,
    };
    finding(
        "private-key",
        "Private key",
        (Severity::High, Confidence::High),
        vec![Evidence::Parsed],
        pem.as_bytes(),
        vec![
            place(6, "etc/ssl/private/server.key", Status::Overwritten { by: 7 }),
            place(6, "etc/ssl/private/server.key.bak", Status::Present),
        ],
    )
}

fn guess() -> Finding {
    let value = random(MIXED, 20, 4);
    finding(
        LOW_RULE,
        "Assignment of something random",
        (Severity::Medium, Confidence::Low),
        vec![Evidence::Entropy],
        value.as_bytes(),
        vec![Occurrence {
            image: 0,
            origin: file(2, "usr/share/doc/python3/examples/demo.cfg", 0o644, 1_000),
            within: Chain::default(),
            status: Status::Present,
            location: at(7, 9, 20),
            companions: Vec::new(),
            context: Vec::new(),
            confidence: Confidence::Low,
            class: None,
            verification: Verification::Verified,
            made_by: None,
        }],
    )
}

pub(crate) fn finding(
    rule: &str,
    title: &str,
    (severity, confidence): (Severity, Confidence),
    evidence: Vec<Evidence>,
    secret: &[u8],
    occurrences: Vec<Occurrence>,
) -> Finding {
    let rule = RuleId(rule.to_owned());
    Finding {
        fingerprint: Fingerprinter::unkeyed().fingerprint(
            &rule,
            REPOSITORY,
            SecretKind::Generated,
            &Secret::new(secret.to_vec()),
            "",
        ),
        former_fingerprints: Vec::new(),
        rule,
        title: title.to_owned(),
        severity,
        confidence,
        evidence,
        repository: REPOSITORY.to_owned(),
        secret: Secret::new(secret.to_vec()),
        identifier: None,
        occurrences,
        more_occurrences: 0,
    }
}

pub(crate) fn file(layer: usize, path: &str, mode: u32, size: u64) -> Origin {
    Origin::File {
        layer,
        path: path.into(),
        entry: EntryFacts {
            mode,
            uid: 0,
            gid: 0,
            mtime: 1_769_853_851,
            size,
            sha256: None,
        },
    }
}

pub(crate) fn at(line: u64, column: u64, length: u64) -> Location {
    Location {
        line,
        column,
        column_utf16: column,
        length,
        offset: 512 + line * 40 + column,
        file_offset: line * 40 + column,
    }
}

fn lines(lines: &[(u64, String, bool)]) -> Vec<Line> {
    lines
        .iter()
        .map(|(number, text, here)| Line {
            number: *number,
            text: text.clone(),
            here: *here,
        })
        .collect()
}

fn coverage() -> Coverage {
    Coverage {
        seen_bytes: 307_051_016,
        scanned_bytes: 307_051_016,
        skipped_bytes: 0,
        expanded_bytes: 0,
        skips: vec![
            Skip {
                kind: SkipKind::Opaque,
                reason: "encrypted",
                place: "opt/app/vendor/bundle.zip in layer 2".to_owned(),
                bytes: Some(18_322),
                detail: "3 members need a password; their compressed bytes were searched".to_owned(),
                image: Some(0),
            },
            Skip {
                kind: SkipKind::Note,
                reason: "trailing-bytes",
                place: "layer 4".to_owned(),
                bytes: Some(1_024),
                detail: "bytes behind the end of the archive, searched".to_owned(),
                image: Some(0),
            },
        ],
    }
}

/// What the scan does: each layer lists its findings and those it hides.
pub(crate) fn fill_layers(report: &mut Report) {
    for (index, image) in report.images.iter_mut().enumerate() {
        for layer in &mut image.layers {
            layer.findings.clear();
            layer.hides.clear();
            for finding in &report.findings {
                let mut here = finding.occurrences.iter().filter(|o| o.image == index);
                let mut also = here.clone();
                if here.any(|o| o.origin.layer() == Some(layer.ordinal)) {
                    layer.findings.push(finding.fingerprint.clone());
                }
                if also.any(|o| o.status.hidden_by() == Some(layer.ordinal)) {
                    layer.hides.push(finding.fingerprint.clone());
                }
            }
        }
    }
}

/// A target that could not be resolved, and nothing else.
pub(crate) fn unresolved() -> Report {
    let mut report = clean();
    report.images.clear();
    report.coverage = Coverage::default();
    report.counters = Counters::default();
    let target = &mut report.targets[0];
    (target.digest, target.index) = (None, None);
    target.not_chosen.clear();
    target.failure = Some("the registry answered 404 (manifest unknown)".to_owned());
    report
}

/// Every status, origin, removal and integrity there is, in one finding; an image that was not read to its end.
pub(crate) fn every_shape() -> Report {
    let mut report = sample();
    let deleted = |how| Status::Deleted { by: 5, how };
    let bare = |layer, path: Option<&str>| Origin::Layer {
        layer,
        region: "tar-header",
        path: path.map(Into::into),
    };
    let config = |field: &str, layer| Origin::Config {
        field: field.to_owned(),
        layer,
    };
    let places = [
        (file(1, "a", 0o644, 10), Status::Present, Verification::Verified),
        (
            file(2, "b", 0o4755, 10),
            Status::Overwritten { by: 2 },
            Verification::Unverified,
        ),
        (
            file(2, "c", 0, 10),
            Status::Overwritten { by: 4 },
            Verification::Failed,
        ),
        (
            file(3, "d", 0o600, 10),
            deleted(DeletedBy::Whiteout),
            Verification::Verified,
        ),
        (
            file(3, "e/f", 0o600, 10),
            deleted(DeletedBy::Opaque),
            Verification::Verified,
        ),
        (
            file(3, "g/h", 0o600, 10),
            deleted(DeletedBy::ReplacedParent),
            Verification::Verified,
        ),
        (
            file(4, "i", 0o600, 10),
            Status::Unknown { unread: 6 },
            Verification::Verified,
        ),
        (bare(4, None), Status::Unlisted, Verification::Verified),
        (bare(4, Some("j")), Status::Unlisted, Verification::Verified),
        (
            config("config.Env[0]", None),
            Status::Metadata(MetadataUse::Effective),
            Verification::Verified,
        ),
        (
            config("history[2].created_by", Some(2)),
            Status::Metadata(MetadataUse::History),
            Verification::Verified,
        ),
        (
            Origin::Manifest {
                field: "index.manifests[0].annotations".to_owned(),
            },
            Status::Metadata(MetadataUse::History),
            Verification::Verified,
        ),
        (
            Origin::Attestation {
                predicate_type: "https://slsa.dev/provenance/v1".to_owned(),
                field: "predicate.buildDefinition.externalParameters".to_owned(),
            },
            Status::Metadata(MetadataUse::History),
            Verification::Verified,
        ),
    ];
    let finding = &mut report.findings[0];
    let model = finding.occurrences[0].clone();
    finding.occurrences = places
        .into_iter()
        .map(|(origin, status, verification)| Occurrence {
            origin,
            status,
            verification,
            made_by: None,
            ..model.clone()
        })
        .collect();
    finding.occurrences[7].location.line = 0;
    finding.identifier = Some("an identifier".to_owned());
    finding.more_occurrences = 40;
    report.images[0].complete = false;
    report.images[0].layers[5].verification = Verification::Failed;
    report.images[1].platform = None;
    report.images[1].artifact_type = Some("application/vnd.example.chart".to_owned());
    report.targets.push(unresolved().targets.remove(0));
    report.coverage.skips.push(Skip {
        kind: SkipKind::Incomplete,
        reason: "digest-mismatch",
        place: "layer 6".to_owned(),
        bytes: None,
        detail: "the blob has another digest than the manifest says".to_owned(),
        image: Some(0),
    });
    report.interrupted = true;
    fill_layers(&mut report);
    report
}
