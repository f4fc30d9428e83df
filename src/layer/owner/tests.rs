use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const MOST: usize = 1000;

/// What `path` holds according to the databases, with its owner.
fn who(databases: &[(&str, &str)], path: &str, content: &str) -> Vec<(String, Compared)> {
    let mut ownership = Ownership::default();
    for (path, text) in databases {
        ownership.read(path.as_bytes(), text.as_bytes(), MOST);
    }
    ownership.settle();
    let content = ContentDigest::of(content.as_bytes());
    ownership
        .claims(path.as_bytes())
        .map(|(owner, promise)| {
            let name = String::from_utf8_lossy(&owner.name).into_owned();
            let version = String::from_utf8_lossy(&owner.version).into_owned();
            (
                format!("{name} {version}").trim_end().to_owned(),
                content.compare(promise),
            )
        })
        .collect()
}

/// The same package in each kind of database, by the name of the file.
fn rpm_databases() -> [(&'static str, Vec<u8>); 3] {
    [
        // Made by rpm 4.18 from a package of three files and a link; all tables but `Packages` dropped, pages of 1 KiB,
        // so that the header spans several.
        (
            "rpmdb.sqlite",
            include_bytes!("../../../testdata/rpmdb.sqlite").to_vec(),
        ),
        // That header, put in by the functions of rpm 4.18 between two others that were taken out again.
        (
            "Packages.db",
            include_bytes!("../../../testdata/rpm-packages.db").to_vec(),
        ),
        // That header and the highest number, loaded with the tools of Berkeley DB 5.3 into pages of 512 bytes; rpm 4.18
        // reads it.
        (
            "Packages",
            include_bytes!("../../../testdata/rpm-packages.bdb").to_vec(),
        ),
    ]
}

#[test]
fn an_rpm_database_promises_the_files_of_a_package() {
    for (name, database) in rpm_databases() {
        for place in ["var/lib/rpm", "usr/lib/sysimage/rpm", "rootfs/var/lib/rpm"] {
            let ownership = Ownership::of(format!("{place}/{name}").as_bytes(), &database, MOST);
            let root = place.strip_suffix("/var/lib/rpm").map_or("", |_| "rootfs/");
            let claims = |path: &str, content: &str| -> Vec<(String, Compared)> {
                let content = ContentDigest::of(content.as_bytes());
                let path = format!("{root}{path}");
                let claims = ownership.claims(path.as_bytes());
                claims
                    .map(|(owner, promise)| {
                        assert_eq!((owner.system, owner.is_open), (System::Rpm, true));
                        let name = [&owner.name[..], b" ", &owner.version].concat();
                        (String::from_utf8(name).unwrap(), content.compare(promise))
                    })
                    .collect()
            };
            let owned = |compared| one("harbour-keys 1.2-3", compared);
            assert_eq!(
                claims("usr/share/harbour/test/key.pem", "published\n"),
                owned(Compared::Same),
                "{name}"
            );
            assert_eq!(
                claims("usr/share/harbour/test/key.pem", "mine\n"),
                owned(Compared::Different)
            );
            assert_eq!(
                claims("etc/harbour/harbour.conf", "default\n"),
                owned(Compared::Same)
            );
            assert_eq!(claims("usr/share/harbour/test/link.pem", ""), []);
            assert_eq!(claims("usr/share/harbour/test", ""), []);
        }
    }
}

/// Pages of one value that lead to each other, and slots that lead to one blob.
#[test]
fn an_rpm_database_that_leads_in_circles_ends() {
    let [_, (_, mut ndb), (_, mut berkeley)] = rpm_databases();
    let slot = ndb[32..48].to_vec();
    for place in ndb[32..4096].chunks_exact_mut(16) {
        place.copy_from_slice(&slot);
    }
    let ownership = Ownership::of(b"var/lib/rpm/Packages.db", &ndb, MOST);
    assert!((1..100).contains(&ownership.packages.len()));

    let next = |page: usize| page * 512 + 16..page * 512 + 20;
    let overflow: Vec<usize> = (1..8).filter(|page| berkeley[page * 512 + 25] == 7).collect();
    assert!(overflow.len() > 2);
    for page in overflow {
        berkeley[next(page)].copy_from_slice(&(page as u32).to_le_bytes());
    }
    let ownership = Ownership::of(b"var/lib/rpm/Packages", &berkeley, MOST);
    assert!(ownership.claims.len() <= 4);
}

proptest! {
    #[test]
    fn a_damaged_rpm_database_is_read_as_far_as_it_goes(
        database in 0_usize..3, at in 0_usize..7120, byte: u8, length in 0_usize..7121,
    ) {
        let (name, mut database) = rpm_databases()[database].clone();
        let at = at % database.len();
        database[at] = byte;
        let path = format!("var/lib/rpm/{name}");
        let ownership = Ownership::of(path.as_bytes(), &database[..length.min(database.len())], MOST);
        prop_assert!(ownership.claims.len() <= 4);
    }
}

fn one(owner: &str, compared: Compared) -> Vec<(String, Compared)> {
    vec![(owner.to_owned(), compared)]
}

fn md5(content: &str) -> String {
    hex(&md5::Md5::digest(content))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record_hash(content: &str) -> String {
    format!("sha256={}", URL_SAFE_NO_PAD.encode(Sha256::digest(content)))
}

#[test]
fn dpkg_sums_promise_the_files_of_a_package() {
    let sums = format!(
        "{}  usr/share/doc/x/copyright\n{}  lib/x.so\n",
        md5("a"),
        md5("b")
    );
    let databases = [("var/lib/dpkg/info/libx1:amd64.md5sums", sums.as_str())];
    assert_eq!(
        who(&databases, "usr/share/doc/x/copyright", "a"),
        one("libx1", Compared::Same)
    );
    assert_eq!(
        who(&databases, "usr/share/doc/x/copyright", "b"),
        one("libx1", Compared::Different)
    );
    assert_eq!(
        who(&databases, "usr/lib/x.so", "b"),
        one("libx1", Compared::Same),
        "merged /usr"
    );
    assert_eq!(who(&databases, "srv/x.so", "b"), []);
    let distroless = [("var/lib/dpkg/status.d/libx1.md5sums", sums.as_str())];
    assert_eq!(
        who(&distroless, "usr/share/doc/x/copyright", "a"),
        one("libx1", Compared::Same)
    );
}

#[test]
fn dpkg_status_promises_configuration_files() {
    let status = format!(
        "Package: empty\nVersion: 1\nStatus: install ok installed\n\nPackage: x\nStatus: install ok installed\n\
         Version: 2.1-1\nConffiles:\n /etc/x/x.conf {}\n /etc/x/old {} obsolete\nDescription: x\n /etc/no {}\n",
        md5("conf"),
        md5("old"),
        md5("no")
    );
    let databases = [("var/lib/dpkg/status", status.as_str())];
    assert_eq!(
        who(&databases, "etc/x/x.conf", "conf"),
        one("x 2.1-1", Compared::Same)
    );
    assert_eq!(
        who(&databases, "etc/x/old", "new"),
        one("x 2.1-1", Compared::Different)
    );
    assert_eq!(who(&databases, "etc/no", "no"), [], "a description is no list");
}

#[test]
fn apk_promises_files_by_sha1() {
    let sha1 = |content: &str| STANDARD.encode(sha1::Sha1::digest(content));
    let installed = format!(
        "C:Q1xyz=\nP:musl\nV:1.2.5-r0\nF:lib\nR:ld-musl.so.1\na:0:0:755\nZ:Q1{}\nR:bare\nF:etc\nM:0:0:1777\nR:motd\nZ:Q1{}\n\n\
         P:other\nV:2\nF:etc\nR:other\nZ:Q1{}\n",
        sha1("ld"),
        sha1("motd"),
        sha1("other")
    );
    for place in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
        let databases = [(place, installed.as_str())];
        assert_eq!(
            who(&databases, "lib/ld-musl.so.1", "ld"),
            one("musl 1.2.5-r0", Compared::Same)
        );
        assert_eq!(
            who(&databases, "etc/motd", "changed"),
            one("musl 1.2.5-r0", Compared::Different)
        );
        assert_eq!(
            who(&databases, "lib/bare", "?"),
            one("musl 1.2.5-r0", Compared::NoHash)
        );
        assert_eq!(
            who(&databases, "etc/other", "other"),
            one("other 2", Compared::Same)
        );
    }
}

#[test]
fn a_python_record_promises_files_below_its_folder() {
    let record = format!(
        "twisted/test/key.pem,{},3\r\n\"odd,\"\"name.py\",{},1\n../../bin/trial,{},5\n\
         twisted/__pycache__/x.cpython-312.pyc,,\ntwisted-24.3.0.dist-info/RECORD,,\n",
        record_hash("key"),
        record_hash("odd"),
        record_hash("trial")
    );
    let databases = [("opt/venv/lib/twisted-24.3.0.dist-info/RECORD", record.as_str())];
    let owner = "twisted 24.3.0";
    assert_eq!(
        who(&databases, "opt/venv/lib/twisted/test/key.pem", "key"),
        one(owner, Compared::Same)
    );
    assert_eq!(
        who(&databases, "opt/venv/lib/odd,\"name.py", "odd"),
        one(owner, Compared::Same)
    );
    assert_eq!(
        who(&databases, "opt/bin/trial", "other"),
        one(owner, Compared::Different)
    );
    // As `pip install --target` leaves it.
    assert_eq!(
        who(&databases, "opt/venv/lib/bin/trial", "trial"),
        one(owner, Compared::Same)
    );
    assert_eq!(
        who(
            &databases,
            "opt/venv/lib/twisted/__pycache__/x.cpython-312.pyc",
            ""
        ),
        []
    );
}

#[test]
fn an_egg_lists_files_without_hashes() {
    let databases = [(
        "usr/lib/python3/dist-packages/six-1.16.0.egg-info/installed-files.txt",
        "../six.py\n../__pycache__/six.cpython-311.pyc\nPKG-INFO\n",
    )];
    assert_eq!(
        who(&databases, "usr/lib/python3/dist-packages/six.py", "x"),
        one("six 1.16.0", Compared::NoHash)
    );
    assert_eq!(
        who(
            &databases,
            "usr/lib/python3/dist-packages/__pycache__/six.cpython-311.pyc",
            "x"
        ),
        []
    );
}

#[test]
fn a_root_below_a_folder_has_its_own_databases() {
    let sums = format!("{}  etc/a\n", md5("a"));
    let databases = [("rootfs/var/lib/dpkg/info/a.md5sums", sums.as_str())];
    assert_eq!(who(&databases, "rootfs/etc/a", "a"), one("a", Compared::Same));
    assert_eq!(who(&databases, "etc/a", "a"), []);
    let lookalike = [("myvar/lib/dpkg/info/a.md5sums", sums.as_str())];
    assert_eq!(
        who(&lookalike, "myetc/a", "a"),
        [],
        "a folder's name ends with it only"
    );
}

#[test]
fn two_packages_may_claim_one_path() {
    let (a, b) = (format!("{}  etc/a\n", md5("a")), format!("{}  etc/a\n", md5("b")));
    let databases = [
        ("var/lib/dpkg/info/a.md5sums", a.as_str()),
        ("var/lib/dpkg/info/b.md5sums", b.as_str()),
    ];
    let mut claims = who(&databases, "etc/a", "b");
    claims.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        claims,
        [
            ("a".to_owned(), Compared::Different),
            ("b".to_owned(), Compared::Same)
        ]
    );
}

#[test]
fn the_licence_of_a_package_is_read() {
    let metadata = |fields: &str| {
        let mut ownership = Ownership::default();
        let text =
            format!("Metadata-Version: 2.1\nName: x\n{fields}\n\nLicense: MIT, says the description\n");
        ownership.read(b"lib/x-1.dist-info/METADATA", text.as_bytes(), MOST);
        ownership.is_open(b"lib/x-1.dist-info")
    };
    assert!(metadata("License-Expression: Apache-2.0"));
    assert!(metadata("License: MIT"));
    assert!(metadata("Classifier: License :: OSI Approved"));
    assert!(metadata("Classifier: License :: OSI Approved :: BSD License\r"));
    assert!(!metadata("Summary: no licence"));
    assert!(!metadata("License: Proprietary, Acme Corp."));
    assert!(!metadata("License: MIT\nClassifier: Private :: Do Not Upload"));

    let is_open = |licence: &str| {
        let mut ownership = Ownership::default();
        let text = format!("P:x\nV:1\nL:{licence}\nF:etc\nR:x\n\n");
        ownership.read(b"lib/apk/db/installed", text.as_bytes(), MOST);
        ownership.settle();
        ownership.claims(b"etc/x").all(|(owner, _)| owner.is_open)
    };
    assert!(is_open("MIT AND GPL-2.0-or-later"));
    assert!(!is_open("custom"));
    assert!(!is_open(""));
}

#[test]
fn claims_beyond_the_limit_are_counted() {
    let record: String = (0..10)
        .map(|number| format!("f{number},{},1\n", record_hash("x")))
        .collect();
    let mut ownership = Ownership::default();
    ownership.read(b"a-1.dist-info/RECORD", record.as_bytes(), 4);
    assert_eq!((ownership.claims.len(), ownership.over()), (4, 6));
    let mut other = Ownership::default();
    other.read(b"b-1.dist-info/RECORD", record.as_bytes(), MOST);
    other.append(ownership, 12);
    assert_eq!((other.claims.len(), other.over()), (12, 6 + 2));
    other.settle();
    assert_eq!(other.claims(b"f0").count(), 2);
}

proptest! {
    #[test]
    fn no_database_makes_it_panic(text in "[\\PC\n,:\"FRZPQ12 ]{0,200}", kind in 0..6_usize) {
        let place = [
            "lib/apk/db/installed", "var/lib/dpkg/status", "var/lib/dpkg/info/x.md5sums",
            "var/lib/dpkg/status.d/x", "x-1.dist-info/RECORD", "x.egg-info/installed-files.txt",
        ][kind];
        who(&[(place, &text)], "x", "x");
    }

    #[test]
    fn what_a_record_lists_is_found_whatever_its_name(names in prop::collection::btree_set("[a-zA-Z0-9 ,\"._é-]{1,12}", 1..20)) {
        let names: Vec<String> = names.into_iter().filter(|name| !name.trim_matches('.').is_empty() && name.trim_end() == name).collect();
        let record: String = names.iter()
            .map(|name| format!("\"{}\",{},1\n", name.replace('"', "\"\""), record_hash(name)))
            .collect();
        for name in &names {
            prop_assert_eq!(
                who(&[("lib/a-1.dist-info/RECORD", &record)], &format!("lib/{name}"), name),
                one("a 1", Compared::Same)
            );
        }
    }
}
