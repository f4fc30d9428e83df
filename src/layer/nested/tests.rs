use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::reader::tests::RULE;
use super::*;
use crate::engine::Matcher;
use crate::layer::{Claims, LayerRecord, Silent};
use crate::limits::{Budget, Limits};
use crate::oci::Algorithm;
use crate::rules::RuleSet;

fn token(number: usize) -> String {
    // Digits that follow no pattern, or the checks would take it for a placeholder.
    let scattered = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("tok_{scattered:016x}")
}

fn read(blob: &[u8], limits: &Limits, jobs: usize) -> LayerRecord {
    let rules = RuleSet::load(&[("tests.toml".to_owned(), RULE.to_owned())]).expect("the rule is right");
    let rules = rules.retain(|rule| rule.id.0 == "test-token");
    let matcher = Matcher::new(Arc::new(rules));
    let budget = Budget::new(limits.in_flight_bytes);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build()
        .expect("threads start");
    let cancelled = AtomicBool::new(false);
    let reader = LayerReader::new(&matcher, limits, &budget, &pool, &cancelled);
    let claims = Claims {
        digest: Algorithm::Sha256,
        diff_id: None,
        size: None,
    };
    reader.read(&mut &blob[..], claims, &Silent)
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, path, content.as_slice())
            .expect("the archive can be written");
    }
    builder.into_inner().expect("the archive can be ended")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2_encoder();
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

fn flate2_encoder() -> flate2::write::GzEncoder<Vec<u8>> {
    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast())
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(length)
    .collect()
}

fn places(record: &LayerRecord) -> Vec<(String, u64)> {
    let candidates = record.candidates.iter();
    candidates
        .map(|found| {
            let row = found.entry.and_then(|entry| record.paths.row(entry));
            let path = row.map(|row| row.path.into_owned()).unwrap_or_default();
            let path = String::from_utf8_lossy(&path).into_owned();
            (format!("{path}{}", found.within), found.location.offset)
        })
        .collect()
}

fn reasons(record: &LayerRecord) -> Vec<&'static str> {
    record.skips.iter().map(|skip| skip.reason).collect()
}

/// A `.tar.gz` with tokens in front of, between and behind content that does not compress.
fn large() -> Vec<u8> {
    let file = |number: usize| {
        let mut content = noise(900_000);
        content[899_999] = b' ';
        content.extend_from_slice(token(number).as_bytes());
        (format!("d/{number}"), content)
    };
    gzip(&tar(&[file(1), file(2), file(3)]))
}

#[test]
fn a_file_too_large_to_hold_is_opened_while_it_passes() {
    let blob = tar(&[
        ("first.gz".to_owned(), gzip(token(7).as_bytes())),
        ("large.tgz".to_owned(), large()),
        ("last.gz".to_owned(), gzip(token(8).as_bytes())),
    ]);
    let expected = vec![
        ("first.gz!(gzip)".to_owned(), 0),
        ("large.tgz!(gzip)!/d/1".to_owned(), 900_000),
        ("large.tgz!(gzip)!/d/2".to_owned(), 900_000),
        ("large.tgz!(gzip)!/d/3".to_owned(), 900_000),
        ("last.gz!(gzip)".to_owned(), 0),
    ];
    for archive_bytes in [Limits::default().archive_bytes, 100_000] {
        let limits = Limits {
            archive_bytes,
            archives_in_flight_bytes: archive_bytes,
            ..Limits::default()
        };
        for jobs in [1, 4] {
            let record = read(&blob, &limits, jobs);
            assert_eq!(places(&record), expected);
            assert_eq!(record.skips, []);
            assert!(record.expanded_bytes > 2_700_000);
        }
    }
}

#[test]
fn a_large_file_whose_layer_ends_within_it_ends_too() {
    let blob = tar(&[("large.tgz".to_owned(), large())]);
    let limits = Limits {
        archive_bytes: 100_000,
        ..Limits::default()
    };
    let record = read(&blob[..2_000_000], &limits, 1);
    assert_eq!(
        places(&record),
        [
            ("large.tgz!(gzip)!/d/1".to_owned(), 900_000),
            ("large.tgz!(gzip)!/d/2".to_owned(), 900_000)
        ]
    );
    // Of the layer, and of the file in it.
    assert_eq!(reasons(&record), ["tar-truncated", "truncated-archive"]);
}

#[test]
fn a_directory_at_the_end_of_a_large_file_is_out_of_reach() {
    let mut archive = b"PK\x03\x04".to_vec();
    archive.resize(200_000, b' ');
    archive.extend_from_slice(token(1).as_bytes());
    let limits = Limits {
        archive_bytes: 100_000,
        ..Limits::default()
    };
    let record = read(&tar(&[("a.zip".to_owned(), archive)]), &limits, 1);
    assert_eq!(places(&record).len(), 1);
    assert_eq!(reasons(&record), ["needs-random-access"]);
}

#[test]
fn nested_archives_share_the_memory_that_one_file_may_take() {
    // Each level holds what is in it: three levels of 60,000 bytes and more.
    let mut inner = b"PK\x03\x04".to_vec();
    inner.extend_from_slice(&noise(60_000));
    let middle = tar(&[("b.zip".to_owned(), inner)]);
    let blob = tar(&[("a.tar.gz".to_owned(), gzip(&middle))]);
    for (archive_bytes, reason) in [(50_000, "needs-random-access"), (1 << 20, "malformed-archive")] {
        let limits = Limits {
            archive_bytes,
            ..Limits::default()
        };
        assert_eq!(reasons(&read(&blob, &limits, 1)), [reason]);
    }
}

#[test]
fn a_file_that_expands_beyond_all_measure_is_stopped_and_the_next_is_not() {
    let mut zeros = token(1).into_bytes();
    zeros.resize(8 << 20, 0);
    zeros.extend_from_slice(token(2).as_bytes());
    let blob = tar(&[
        ("bomb.gz".to_owned(), gzip(&gzip(&zeros))),
        ("z.gz".to_owned(), gzip(token(3).as_bytes())),
    ]);
    let limits = Limits {
        archive_ratio: 10,
        archive_ratio_from_bytes: 4 << 20,
        ..Limits::default()
    };
    let record = read(&blob, &limits, 2);
    assert_eq!(reasons(&record), ["archive-ratio"]);
    let expected = [
        ("bomb.gz!(gzip)!(gzip)".to_owned(), 0),
        ("z.gz!(gzip)".to_owned(), 0),
    ];
    assert_eq!(places(&record), expected);
    assert!(record.expanded_bytes < 7 << 20, "{}", record.expanded_bytes);
}

#[test]
fn a_layer_that_expands_to_all_it_may_says_which_files_it_left() {
    let files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|number| {
            let mut content = vec![b'.'; 100_000];
            content.extend_from_slice(token(number).as_bytes());
            (format!("{number}.gz"), gzip(&content))
        })
        .collect();
    let blob = tar(&files);
    let limits = Limits {
        archive_expanded_bytes: 1_000_000,
        ..Limits::default()
    };
    let one = read(&blob, &limits, 1);
    let many = read(&blob, &limits, 8);
    assert_eq!(places(&one), places(&many));
    assert_eq!(one.skips, many.skips);
    assert_eq!(places(&one).len(), 10);
    assert_eq!(reasons(&one), ["archive-bytes"; 30]);
}

#[test]
fn members_beyond_the_limit_end_the_file() {
    let files: Vec<(String, Vec<u8>)> = (0..9).map(|number| (number.to_string(), vec![b'x'])).collect();
    let blob = tar(&[("many.tgz".to_owned(), gzip(&tar(&files)))]);
    let limits = Limits {
        archive_members: 5,
        ..Limits::default()
    };
    assert_eq!(reasons(&read(&blob, &limits, 1)), ["archive-members"]);
}

#[test]
fn first_bytes_that_come_in_pieces_are_told_as_well() {
    // Compressed with a flush behind every few bytes, so that each step of decompression gives a few.
    let inner = tar(&[("k".to_owned(), token(5).into_bytes())]);
    let stream = tar(&[
        ("a.tar".to_owned(), inner),
        ("b.gz".to_owned(), gzip(token(6).as_bytes())),
    ]);
    let mut encoder = flate2_encoder();
    for piece in stream.chunks(3) {
        encoder.write_all(piece).expect("memory can be written");
        encoder.flush().expect("memory can be written");
    }
    let blob = encoder.finish().expect("memory can be written");
    let record = read(&blob, &Limits::default(), 1);
    let expected = [("a.tar!/k".to_owned(), 0), ("b.gz!(gzip)".to_owned(), 0)];
    assert_eq!(places(&record), expected);
}

#[test]
fn what_cannot_be_opened_is_listed_up_to_a_number_and_counted_beyond_it() {
    let broken = |number: usize| (format!("{number}.zip"), b"PK\x03\x04".to_vec());
    let inner: Vec<(String, Vec<u8>)> = (0..1100).map(broken).collect();
    let mut files: Vec<(String, Vec<u8>)> = (0..30).map(broken).collect();
    files.push(("many.tar".to_owned(), tar(&inner)));
    let record = read(&tar(&files), &Limits::default(), 2);
    assert_eq!(record.skips.len(), 1001);
    let last = record.skips.last().expect("there are many");
    assert_eq!(last.severeness, Severeness::Opaque);
    assert_eq!(last.detail, "130 more places in this layer");
}

#[test]
fn what_stands_between_the_members_of_a_tar_archive_is_told_of_the_archive() {
    let mut inner = tar(&[("k".to_owned(), b"x".to_vec())]);
    inner[600..620].copy_from_slice(token(9).as_bytes());
    let blob = tar(&[("a.tgz".to_owned(), gzip(&inner))]);
    let record = read(&blob, &Limits::default(), 1);
    assert_eq!(places(&record), [("a.tgz!(gzip)".to_owned(), 600)]);
    assert_eq!(record.candidates[0].location.line, 0);
}

/// A zip archive of stored members.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let sizes = [0, content.len() as u32, content.len() as u32]
            .map(u32::to_le_bytes)
            .concat();
        let common = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &sizes,
            &[name.len() as u8, 0, 0, 0],
        ]
        .concat();
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &common, &[0; 10]].concat());
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        bytes.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), content].concat());
    }
    let ends = [directory.len() as u32, bytes.len() as u32]
        .map(u32::to_le_bytes)
        .concat();
    let count = members.len() as u8;
    bytes.extend(directory);
    bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &[count, 0, count, 0], &ends, &[0, 0]].concat());
    bytes
}

#[test]
fn a_fault_of_ours_costs_what_it_happens_in_and_is_told() {
    let secret = |number| format!("key = {}\n", token(number)).into_bytes();
    let innermost = zip(&[("note", b"break down in archive"), ("lost", &secret(1))]);
    let outer = zip(&[
        ("before", &secret(2)),
        ("inner.gz", &gzip(&innermost)),
        ("behind", &secret(3)),
    ]);
    let files = [
        ("first".to_owned(), secret(4)),
        // Deflated, so that only what is inside asks for it.
        ("app.jar.gz".to_owned(), gzip(&outer)),
        ("last".to_owned(), secret(5)),
    ];
    let record = read(&tar(&files), &Limits::default(), 2);
    let found: Vec<String> = places(&record).into_iter().map(|(place, _)| place).collect();
    for place in ["first", "/before", "/behind", "last"] {
        assert!(
            found.iter().any(|found| found.ends_with(place)),
            "{place}: {found:?}"
        );
    }
    assert!(!found.iter().any(|found| found.ends_with("lost")), "{found:?}");
    let told =
        |skip: &crate::layer::LayerSkip| skip.reason == "panic" && skip.severeness == Severeness::Incomplete;
    assert!(record.skips.iter().any(told), "{:?}", record.skips);
}

#[test]
fn a_fault_in_a_window_costs_that_window_and_is_told() {
    let secret = |number| format!("key = {}\n", token(number)).into_bytes();
    let files = [
        ("first".to_owned(), secret(1)),
        ("far".to_owned(), vec![b'\n'; 12 * 1024 * 1024]),
        ("fault".to_owned(), b"break down in window".to_vec()),
        ("further".to_owned(), vec![b'\n'; 12 * 1024 * 1024]),
        ("last".to_owned(), secret(2)),
    ];
    let record = read(&tar(&files), &Limits::default(), 2);
    let found: Vec<String> = places(&record).into_iter().map(|(place, _)| place).collect();
    assert_eq!(found, ["first", "last"]);
    let told = record
        .skips
        .iter()
        .find(|skip| skip.reason == "panic")
        .expect("it is told");
    assert_eq!(told.severeness, Severeness::Incomplete);
    let lost = told.bytes.expect("the amount is told");
    assert!((1..12 * 1024 * 1024).contains(&lost), "{lost} bytes");
}
