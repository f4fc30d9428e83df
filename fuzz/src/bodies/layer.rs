//! A whole layer, from its stored bytes to its record, with whatever is nested in it.

use std::io::Read;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use layersift::layer::{Claims, LayerReader, LayerRecord, Severeness, Silent};
use layersift::limits::{Budget, Limits};
use layersift::oci::{Algorithm, Digest};

use super::engine::{MATCHER, examples};
use super::{Pieces, Target, decode, tar};
use crate::support::packed;
use crate::support::secrets::secrets;
use crate::support::tar::{archive, file};

pub const LAYER: Target = Target {
    name: "layer",
    body: layer,
    seeds: layers,
    words: &[
        b"\x1f\x8b\x08\0",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18\x04\0\0\0",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"!<arch>\n",
        b"070701",
        b"ustar\x0000",
        b"\xfd7zXZ\0",
        b"BZh9\x31\x41\x59\x26\x53\x59",
        b"path=",
        b"-----BEGIN ",
        b"\xff\xfe",
    ],
    longest: 16 * 1024,
};

/// Small enough that a bomb is over in a moment.
pub(super) static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    layer_bytes: 8 << 20,
    image_bytes: 16 << 20,
    archive_bytes: 4 << 20,
    archive_expanded_bytes: 8 << 20,
    archive_ratio_from_bytes: 1 << 20,
    archive_members: 1000,
    encoded_bytes: 1 << 20,
    entries: 10_000,
    ..Limits::default()
});

static POOL: LazyLock<rayon::ThreadPool> = LazyLock::new(|| {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
    pool.build().expect("a thread can be started")
});

fn layers() -> Vec<Vec<u8>> {
    let mut fake = secrets(3);
    let token = fake.github_token();
    let text = format!("token = {token}\n");
    let zip = packed::zip_of("app.properties", text.as_bytes());
    let nested = archive(&[
        file("app/.env", format!("GITHUB_TOKEN={token}\n")),
        file("app/app.jar", &zip),
        file(
            "srv/backup.tar.gz",
            packed::gzip(&archive(&[file("app.jar", &zip)])),
        ),
        file("srv/data.xz", packed::xz(text.as_bytes())),
        file("srv/data.zst", decode::zstd_frame(text.as_bytes(), 3)),
        file(
            "var/lib/dpkg/info/a.md5sums",
            "d41d8cd98f00b204e9800998ecf8427e  app/.env\n",
        ),
    ]);
    let few = examples().into_iter().take(3);
    let mut seeds: Vec<Vec<u8>> = few.map(|text| archive(&[file("config", text)])).collect();
    seeds.extend([
        packed::gzip(&nested),
        decode::zstd_frame(&nested, 1),
        nested,
        text.into_bytes(),
    ]);
    seeds.extend(tar::archives());
    seeds
}

fn layer(bytes: &[u8]) {
    let whole = read(&mut &bytes[..]);
    check(&whole, bytes);
    let pieces = read(&mut Pieces::of(bytes));
    assert_eq!(
        told(&pieces),
        told(&whole),
        "the record depends on how the blob arrives"
    );
}

fn read(blob: &mut (dyn Read + Send)) -> LayerRecord {
    let budget = Budget::new(LIMITS.in_flight_bytes);
    let cancelled = AtomicBool::new(false);
    let claims = Claims {
        digest: Algorithm::Sha256,
        diff_id: None,
        size: None,
    };
    LayerReader::new(&MATCHER, &LIMITS, &budget, &POOL, &cancelled).read(blob, claims, &Silent)
}

fn check(record: &LayerRecord, bytes: &[u8]) {
    assert_eq!(
        record.digest,
        Digest::of(bytes),
        "the blob was not read to its end"
    );
    assert_eq!(record.stored_bytes, bytes.len() as u64);
    assert_eq!(
        record.searched_bytes, record.decoded_bytes,
        "the ledger does not add up"
    );
    assert_eq!(record.framing.entries, record.paths.len() as u64);
    // A window more than the limit may have been decoded when it is met.
    assert!(record.decoded_bytes <= LIMITS.layer_bytes + (2 << 20));
    assert!(record.expanded_bytes <= LIMITS.archive_expanded_bytes + (2 << 20));
    for skip in &record.skips {
        assert_ne!(skip.reason, "panic", "{skip:?}");
        assert!(!skip.detail.is_empty());
    }
    let lost = record
        .skips
        .iter()
        .any(|skip| skip.severeness == Severeness::Incomplete);
    assert!(record.complete || lost, "incomplete, and no skip says so");
    for found in &record.candidates {
        assert!(
            found
                .entry
                .is_none_or(|entry| (entry as usize) < record.paths.len())
        );
        assert!(found.location.line >= 1 && found.location.column >= 1);
        assert_eq!(found.companions.len(), found.candidate.companions.len());
        for line in &found.context {
            assert!(!line.text.chars().any(layersift::text::is_unprintable));
        }
    }
}

/// Everything of a record that must not depend on chance.
fn told(record: &LayerRecord) -> String {
    let mut rows = record.paths.rows();
    let paths: Vec<String> = std::iter::from_fn(|| rows.read().map(|row| format!("{row:?}"))).collect();
    format!(
        "{} {} {:?} {:?} {:#?} {:#?} {} {} {:?} {:?}",
        record.diff_id.0,
        record.decoded_bytes,
        record.codec,
        record.framing,
        record.candidates,
        record.skips,
        record.aside_bytes,
        record.expanded_bytes,
        record.complete,
        paths
    )
}
