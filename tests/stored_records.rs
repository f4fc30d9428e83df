//! Records whose secrets were sealed give the findings that fresh ones give.

use std::sync::Arc;

use layersift::finding::{Fingerprinter, Report};
use layersift::oci::PlatformSelector;
use layersift::policy::Policy;
use layersift::rules::RuleSet;
use layersift::scan::{Scan, Target};
use layersift::source::{self, OpenOptions};
use proptest::prelude::*;

use crate::support::image::{Image, image, images};
use crate::support::secrets::secrets;
use crate::support::tar::{file, whiteout};

fn scan(archive: &std::path::Path, fingerprinter: &Fingerprinter, sealed: bool) -> Report {
    let mut scan = Scan::new(Arc::new(RuleSet::builtin()))
        .jobs(1)
        .platforms(PlatformSelector::All)
        .fingerprinter(fingerprinter.clone());
    if sealed {
        scan = scan.sealer(fingerprinter.sealer(b"of this store"));
    }
    let report = scan
        .run(vec![Target {
            name: "app".to_owned(),
            repository: Some("registry.example.com/app".to_owned()),
            opened: source::open(archive.to_str().unwrap(), &OpenOptions::default()),
        }])
        .unwrap();
    Policy::default().judge(report).0
}

/// What a person would compare: everything but the bytes of secrets.
fn told(report: &Report) -> String {
    format!("{report:#?}")
}

/// An image whose secrets stand apart, are deleted, repeated, encoded, in its configuration and its history.
fn planted(seed: u64, choices: &[u8]) -> Image {
    let mut secrets = secrets(seed);
    let (id, key) = secrets.aws_pair();
    let token = secrets.github_token();
    let password = secrets.password(14);
    let pem = secrets.private_key();
    let mut image = image().named("app:1");
    for (number, choice) in choices.iter().enumerate() {
        let path = format!("srv/{number}/.env");
        image = match choice % 9 {
            0 => image.layer([file(&path, format!("aws_access_key_id = {id}\n"))]),
            1 => image.layer([file(&path, format!("aws_secret_access_key = {key}\n"))]),
            2 => image.layer([file(
                &path,
                format!("# {token}\nTOKEN={token}\nDB_PASSWORD={password}\n"),
            )]),
            3 => image.layer([whiteout("srv/0/.env")]),
            4 => image.layer([file("root/.ssh/id_rsa", pem.clone())]),
            5 => image.env(&format!("AWS_ACCESS_KEY_ID={id}")),
            6 => image
                .layer([file("srv/settings.py", format!("DB_PASSWORD = '{password}'\n"))])
                .created_by(&format!("RUN echo DB_PASSWORD={password} > /srv/settings.py")),
            7 => image.layer([file(
                format!("srv/{token}/x"),
                format!("AWS_SECRET_ACCESS_KEY={key}"),
            )]),
            _ => image.history(&format!(
                "RUN curl -H 'Authorization: token {token}' https://example.com"
            )),
        };
    }
    image.layer([file("etc/os-release", "NAME=x\n")])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn findings_of_sealed_records_are_those_of_fresh_ones(
        seed in 0_u64..1000,
        choices in prop::collection::vec(any::<u8>(), 1..7),
        keyed in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("image.tar");
        std::fs::write(&archive, images([planted(seed, &choices)]).oci_archive()).unwrap();
        let fingerprinter = if keyed {
            Fingerprinter::keyed(b"a key".to_vec())
        } else {
            Fingerprinter::unkeyed()
        };
        let fresh = scan(&archive, &fingerprinter, false);
        let sealed = scan(&archive, &fingerprinter, true);
        prop_assert_eq!(told(&fresh), told(&sealed));
    }
}

#[test]
fn what_is_planted_is_found_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    std::fs::write(
        &archive,
        images([planted(7, &[0, 1, 2, 3, 4, 5, 6, 7, 8])]).oci_archive(),
    )
    .unwrap();
    let report = scan(&archive, &Fingerprinter::unkeyed(), true);
    assert!(report.findings.len() >= 4, "{:#?}", report.findings);
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.secret.identity().is_some())
    );
}
