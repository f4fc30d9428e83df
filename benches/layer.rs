//! How fast one layer becomes a record, by how it is compressed and by how its bytes are cut into files, next to a
//! floor that decompresses it, computes both of its digests and looks for the literals of all rules, on the same number of
//! threads.
//!
//! `cargo bench --bench layer [-- BLOB …]` prints the ratio of processor time, median and spread of interleaved runs.
//! BLOB is a layer of one's own, as it is stored. Without `--bench` it only shows that it still runs. Reads no image and
//! writes no report.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod measured;

use std::cell::Cell;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use std::{env, fs};

use layersift::content::decode::{Decoder, Step};
use layersift::engine::{Matcher, Place, Regions, Scratch, Window};
use layersift::layer::{Claims, LayerReader, Silent};
use layersift::limits::{Budget, Limits};
use layersift::oci::{Algorithm, Hasher};
use layersift::rules::RuleSet;
use layersift::rules::example::Rng;

use measured::{fill, line_of_messages, line_of_source, minified_piece, peak_megabytes, spread, words};

/// Threads that match, as on the machine that the bars are for.
const JOBS: usize = 2;

fn main() {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let is_measuring = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| !argument.starts_with("--"));
    let (size, rounds) = if is_measuring { (96 << 20, 7) } else { (1 << 20, 1) };

    let matcher = Matcher::new(Arc::new(RuleSet::builtin()));
    println!("wall MB/s of decompressed bytes, median (deciles) of {rounds} rounds, {JOBS} jobs\n");
    println!(
        "{:<26} {:>20} {:>20} {:>20} {:>8}",
        "layer", "floor", "read", "read / floor", "peak MB"
    );
    for (name, blob) in blobs(&arguments, size) {
        let mut floors = Vec::new();
        let mut reads = Vec::new();
        for _ in 0..rounds {
            floors.push(timed(|| floor(&matcher, &blob)));
            reads.push(timed(|| read(&matcher, &blob)));
        }
        let ratios = floors
            .iter()
            .zip(&reads)
            .map(|(floor, read)| floor / read)
            .collect();
        println!(
            "{name:<26} {:>20} {:>20} {:>20} {:>8}",
            shown(floors, 0),
            shown(reads, 0),
            shown(ratios, 2),
            peak_megabytes()
        );
    }
}

fn shown(figures: Vec<f64>, digits: usize) -> String {
    let (median, low, high) = spread(figures);
    format!("{median:.digits$} ({low:.digits$}..{high:.digits$})")
}

/// Megabytes a second of what `run` says it decompressed.
fn timed(run: impl FnOnce() -> u64) -> f64 {
    let begin = Instant::now();
    let bytes = run();
    bytes as f64 / begin.elapsed().as_secs_f64() / 1e6
}

/// What cannot be left out: the bytes of the decompressed stream, as they are told from both digests and from a pass for
/// literals. Hashes on a thread of its own, as a layer does.
fn floor(matcher: &Matcher, blob: &[u8]) -> u64 {
    const WINDOW: usize = 1 << 20;
    struct Nowhere(Cell<u64>);
    impl Regions for Nowhere {
        fn at(&self, _offset: u64) -> Option<Place> {
            self.0.set(self.0.get() + 1);
            None
        }
        fn next(&self, _offset: u64) -> u64 {
            u64::MAX
        }
        fn path(&self, _region: u32) -> &[u8] {
            b""
        }
    }
    let (to_hash, hashed) = std::sync::mpsc::sync_channel::<Arc<Vec<u8>>>(16);
    let (to_search, searched) = std::sync::mpsc::sync_channel::<Arc<Vec<u8>>>(16);
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            let mut stored = Hasher::new(Algorithm::Sha256);
            stored.update(blob);
            let mut decoded = Hasher::new(Algorithm::Sha256);
            for piece in hashed {
                decoded.update(&piece);
            }
            std::hint::black_box((stored.finish(), decoded.finish()));
        });
        scope.spawn(move || {
            let (mut scratch, mut found) = (Scratch::default(), Vec::new());
            let nowhere = Nowhere(Cell::new(0));
            for piece in searched {
                let window = Window {
                    start: 0,
                    bytes: &piece,
                    owned: 0..piece.len() as u64,
                };
                matcher.scan(&window, &nowhere, &mut scratch, &mut found);
            }
        });
        let mut decoder = Decoder::open(blob, &Limits::default())
            .expect("the blob begins")
            .without_checksum();
        let (mut bytes, mut aside) = (0, Vec::new());
        let mut piece = vec![0; WINDOW];
        let mut filled = 0;
        loop {
            let step = decoder
                .step(&mut piece[filled..], &mut aside)
                .expect("the blob is whole");
            match step {
                Step::Data(count) => {
                    bytes += count as u64;
                    filled += count;
                }
                Step::Aside { .. } => aside.clear(),
                Step::End => {}
            }
            if filled == WINDOW || step == Step::End {
                piece.truncate(filled);
                let full = Arc::new(std::mem::replace(&mut piece, vec![0; WINDOW]));
                to_hash.send(Arc::clone(&full)).expect("the hasher lives");
                to_search.send(full).expect("the search lives");
                filled = 0;
            }
            if step == Step::End {
                return bytes;
            }
        }
    })
}

fn read(matcher: &Matcher, blob: &[u8]) -> u64 {
    let limits = Limits::default();
    let budget = Budget::new(limits.in_flight_bytes);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(JOBS)
        .build()
        .expect("threads start");
    let cancelled = AtomicBool::new(false);
    let reader = LayerReader::new(matcher, &limits, &budget, &pool, &cancelled);
    let claims = Claims {
        digest: Algorithm::Sha256,
        diff_id: Some(Algorithm::Sha256),
        size: Some(blob.len() as u64),
    };
    let record = reader.read(&mut &*blob, claims, &Silent);
    assert!(record.complete, "{:?}", record.skips);
    record.decoded_bytes
}

fn blobs(files: &[String], size: usize) -> Vec<(String, Vec<u8>)> {
    if !files.is_empty() {
        let read =
            |file: &String| fs::read(file).unwrap_or_else(|error| panic!("cannot read `{file}`: {error}"));
        return files.iter().map(|file| (file.clone(), read(file))).collect();
    }
    let mut rng = Rng::new(1);
    let words = words(&mut rng);
    let text = fill(size, || match rng.below(4) {
        0 => minified_piece(&words, &mut rng),
        1 => line_of_messages(&mut rng),
        _ => line_of_source(&words, &mut rng),
    });
    let large = tar(&text, 4 << 20);
    let small = tar(&text, 512);
    vec![
        ("plain, files of 4 MiB".to_owned(), large.clone()),
        ("gzip, files of 4 MiB".to_owned(), gzip(&large)),
        ("zstd, files of 4 MiB".to_owned(), zstd(&large)),
        ("gzip, files of 512 bytes".to_owned(), gzip(&small)),
    ]
}

/// A tar archive of the same bytes, cut into files.
fn tar(bytes: &[u8], each: usize) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (number, content) in bytes.chunks(each).enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let path = format!("srv/app/{}/{number}.txt", number / 1000);
        builder
            .append_data(&mut header, path, content)
            .expect("memory can be written");
    }
    builder.into_inner().expect("memory can be written")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory can be written")
}
