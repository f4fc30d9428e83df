//! How long `layersift query secret` thinks about a state of 250,000 layers: where is this secret, and what must be deleted?
//!
//! `cargo bench --bench query` prints medians for a secret in one image, in a thousand, and in none. Without `--bench`, as
//! `cargo test` runs it, the state is a hundredth and it only shows that it still runs. Measures no reading of layers.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::env;
use std::path::Path;
use std::time::Instant;

use layersift::sweep::State;
use rusqlite::{Connection, params};

/// Repositories, images of each, layers of its own of each image, and findings of each.
const REPOSITORIES: u64 = 2_000;
const IMAGES: u64 = 30;
const OWN_LAYERS: u64 = 4;
const FINDINGS: u64 = 5;
/// Layers that the images of a repository share.
const SHARED_LAYERS: u64 = 5;

/// Milliseconds that an answer may take, where the program is optimised.
const MOST_MS: f64 = 50.0;

const ROUNDS: usize = 21;

fn main() {
    let is_measuring = env::args().any(|argument| argument == "--bench");
    let repositories = if is_measuring {
        REPOSITORIES
    } else {
        REPOSITORIES / 100
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("state.db");
    drop(State::open(&path, b"key").expect("a state can be made"));
    let begin = Instant::now();
    let layers = fill(&path, repositories).expect("a state can be filled");
    let size = std::fs::metadata(&path).map_or(0, |file| file.len());
    println!(
        "{layers} layers, {} images, {} findings, {} MiB, made in {:.1} s\n",
        repositories * IMAGES,
        repositories * IMAGES * FINDINGS,
        size >> 20,
        begin.elapsed().as_secs_f64()
    );
    println!(
        "{:<22} {:>8} {:>12} {:>12} {:>12}",
        "secret", "rows", "median ms", "slowest ms", "of it where"
    );
    let state = State::read(&path).expect("a state can be read");
    for (name, number) in [("in one image", 1), ("in a thousand", 0), ("in none", u64::MAX)] {
        let called = identity(number);
        let mut rows = 0;
        let mut first = 0.0;
        let mut times: Vec<f64> = (0..if is_measuring { ROUNDS } else { 1 })
            .map(|_| {
                let begin = Instant::now();
                let found = state.secret(&called).expect("a state can be asked");
                if let Some(identity) = found {
                    rows = state
                        .carriers(&identity)
                        .expect("a state can be asked")
                        .rows
                        .len();
                    first = begin.elapsed().as_secs_f64() * 1e3;
                    rows += state.removal(&identity).expect("a state can be asked").len();
                }
                begin.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{name:<22} {rows:>8} {:>12.2} {:>12.2} {first:>12.2}",
            times[times.len() / 2],
            times[times.len() - 1]
        );
        assert!((number == u64::MAX) == (rows == 0), "what is there is found");
        let median = times[times.len() / 2];
        assert!(cfg!(debug_assertions) || median < MOST_MS, "{median} ms");
    }
}

/// The identity of a secret: scattered, as keyed hashes are.
fn identity(number: u64) -> String {
    let scattered = number.wrapping_add(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{scattered:016x}{:016x}", scattered.rotate_left(17)).repeat(2)
}

fn digest(kind: u64, number: u64) -> String {
    format!("sha256:{}", identity(number.wrapping_mul(8) + kind))
}

/// Fills a state, and gives the number of its layers.
fn fill(path: &Path, repositories: u64) -> rusqlite::Result<u64> {
    let mut connection = Connection::open(path)?;
    let save = connection.transaction()?;
    save.execute_batch(
        "INSERT INTO registry(id, host, kind) VALUES(1, 'registry.example.com', 'oci'); \
         INSERT INTO ruleset(id, hash, version, outline) VALUES(1, 'rules', '1', x''); \
         INSERT INTO sweep(id, scope, options, hosts, ruleset_id, status, started_at) VALUES(1, '', '', '[]', 1, 'done', 0);",
    )?;
    let mut layers = 0;
    let mut layer = |digest: &str| -> rusqlite::Result<i64> {
        layers += 1;
        save.prepare_cached("INSERT INTO blob(digest, size, media_type) VALUES(?1, 1000000, 'layer')")?
            .execute([digest])?;
        let blob = save.last_insert_rowid();
        save.prepare_cached("INSERT INTO scan(blob_id, ruleset_id, state) VALUES(?1, 1, 'done')")?
            .execute([blob])?;
        Ok(blob)
    };
    // One secret is in a thousand images, the others in one each.
    save.prepare_cached("INSERT INTO secret(id, identity, redacted, first_sweep) VALUES(1, ?1, '…', 1)")?
        .execute([identity(0)])?;
    let mut image = 0_u64;
    for repository in 0..repositories {
        let name = format!("team-{}/app-{repository}", repository % 40);
        save.prepare_cached(
            "INSERT INTO repository(id, registry_id, name, first_sweep, last_sweep) VALUES(?1, 1, ?2, 1, 1)",
        )?
        .execute(params![repository.cast_signed() + 1, name])?;
        let mut shared = Vec::new();
        for number in 0..SHARED_LAYERS {
            shared.push(layer(&digest(1, repository * SHARED_LAYERS + number))?);
        }
        for tag in 0..IMAGES {
            image += 1;
            let manifest = digest(2, image);
            save.prepare_cached("INSERT INTO manifest(id, digest, kind) VALUES(?1, ?2, 'image')")?
                .execute(params![image.cast_signed(), manifest])?;
            save.prepare_cached(
                "INSERT INTO repo_manifest(repository_id, manifest_id, first_sweep, last_sweep) VALUES(?1, ?2, 1, 1)",
            )?
            .execute(params![repository.cast_signed() + 1, image.cast_signed()])?;
            save.prepare_cached(
                "INSERT INTO tag_history(repository_id, tag, digest, from_sweep, last_sweep) VALUES(?1, ?2, ?3, 1, 1)",
            )?
            .execute(params![
                repository.cast_signed() + 1,
                format!("1.{tag}"),
                manifest
            ])?;
            save.prepare_cached(
                "INSERT INTO image(manifest_id, ruleset_id, record, complete, assembled, whole) VALUES(?1, 1, x'00', 1, 1, 1)",
            )?
            .execute([image.cast_signed()])?;
            let mut of_image = shared.clone();
            for number in 0..OWN_LAYERS {
                of_image.push(layer(&digest(3, image * OWN_LAYERS + number))?);
            }
            for (at, blob) in of_image.iter().enumerate() {
                save.prepare_cached(
                    "INSERT INTO manifest_blob(manifest_id, ord, blob_id) VALUES(?1, ?2, ?3)",
                )?
                .execute(params![image.cast_signed(), at as i64 + 1, blob])?;
            }
            for number in 0..FINDINGS {
                let secret = if number == 0 && image.is_multiple_of((repositories * IMAGES / 1000).max(1)) {
                    1
                } else {
                    let secret = image * FINDINGS + number;
                    save.prepare_cached(
                        "INSERT INTO secret(identity, redacted, first_sweep) VALUES(?1, '…', 1)",
                    )?
                    .execute([identity(secret)])?;
                    save.last_insert_rowid()
                };
                save.prepare_cached(
                    "INSERT INTO finding(secret_id, manifest_id, ruleset_id, rule, severity, confidence, counts, status, layer, \
                     place, line, offset) VALUES(?1, ?2, 1, 'rule', 'high', 'high', 1, 'present', 6, '/srv/.env', 1, 1)",
                )?
                .execute(params![secret, image.cast_signed()])?;
            }
        }
    }
    // One that is in one image.
    save.execute(
        "UPDATE secret SET identity = ?1 WHERE id = (SELECT max(id) FROM secret)",
        [identity(1)],
    )?;
    save.commit()?;
    Ok(layers)
}
