//! The databases of package managers.

use layersift::layer::owner::Ownership;

use super::Target;

pub const DATABASES: Target = Target {
    name: "package_databases",
    body: databases,
    seeds: || {
        [
            "C:Q1pGvWZJ0cTl1GZZKjh0S1cFhQ0W8=\nP:musl\nV:1.2.5-r0\nL:MIT\nF:lib\nR:ld-musl.so.1\na:0:0:755\nZ:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n",
            "Package: base-files\nStatus: install ok installed\nVersion: 12\nConffiles:\n /etc/issue d41d8cd98f00b204e9800998ecf8427e\n /etc/old 00000000000000000000000000000000 obsolete\nLicense: MIT\n\n",
            "d41d8cd98f00b204e9800998ecf8427e  usr/share/doc/a\n",
            "app/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\"a,b.py\",,\n../../../bin/app,,\n",
            "Metadata-Version: 2.1\nName: app\nLicense: Apache-2.0\nClassifier: License :: OSI Approved :: MIT License\n\nText\n",
            "../app/__init__.py\n../app/__pycache__/__init__.pyc\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    words: &[
        b"\nF:",
        b"\nR:",
        b"\nZ:Q1",
        b"\nZ:Q2",
        b"\n\n",
        b"Package: ",
        b"Conffiles:\n ",
        b" obsolete\n",
        b"sha256=",
        b"../",
        b"\"\"",
        b"License: ",
        b"\x00",
    ],
    longest: 4 * 1024,
};

const PATHS: [&[u8]; 8] = [
    b"lib/apk/db/installed",
    b"var/lib/dpkg/status",
    b"var/lib/dpkg/status.d/base",
    b"var/lib/dpkg/info/base:amd64.md5sums",
    b"rootfs/var/lib/dpkg/info/.md5sums",
    b"usr/lib/python3/dist-packages/app-1.0.dist-info/RECORD",
    b"usr/lib/python3/dist-packages/app-1.0.dist-info/METADATA",
    b"usr/lib/python3/dist-packages/app-1.0.egg-info/installed-files.txt",
];

fn databases(bytes: &[u8]) {
    for path in PATHS {
        let all = Ownership::of(path, bytes, usize::MAX);
        assert_eq!(all.over(), 0);
        for claimed in [
            &b"usr/share/doc/a"[..],
            b"lib/ld-musl.so.1",
            b"etc/issue",
            b"",
            b"../bin/app",
        ] {
            let claims = all.claims(claimed).count();
            assert!(claims <= bytes.len(), "{claims} claims");
        }
        let none = Ownership::of(path, bytes, 0);
        assert!(none.over() <= bytes.len() as u64 + 1, "more claims than bytes");
        assert_eq!(none.claims(b"usr/share/doc/a").count(), 0);
    }
}
