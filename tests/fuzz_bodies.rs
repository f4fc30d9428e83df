//! The bodies of the fuzz targets, driven on any compiler: by their seeds, by regressions, and by a second of mutations.
//! libFuzzer goes further: see `fuzz/README.md`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/src/bodies/mod.rs"]
mod bodies;

use bodies::{TARGETS, Target};
use layersift::content::archive::{Format, Members, Refusal, Source, Step, open};
use layersift::limits::Limits;
use layersift::rules::example::Rng;

/// How long each target is driven: a second, or what `FUZZ_SECONDS` says. The same inputs come first on every machine;
/// how many follow depends on it.
fn time() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    seconds.map_or(Duration::from_millis(900), |seconds| {
        Duration::from_secs(seconds.parse().expect("a number of seconds"))
    })
}

fn fuzz() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Inputs that once failed: `fuzz/seeds/TARGET/`.
fn regressions(target: &Target) -> Vec<Vec<u8>> {
    let Ok(folder) = fs::read_dir(fuzz().join("seeds").join(target.name)) else {
        return Vec::new();
    };
    let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Another input, by one to four changes.
fn mutated(seeds: &[Vec<u8>], target: &Target, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.below(seeds.len())].clone();
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len() + 1);
        match rng.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'\n', b'/'][rng.below(8)],
            2 => bytes.truncate(at),
            3 => {
                let length = rng.below(17);
                let noise = rng.bytes(length);
                bytes.splice(at..at, noise);
            }
            4 => {
                let end = at + rng.below(bytes.len() - at + 1);
                bytes.drain(at..end);
            }
            5 => {
                let end = at + rng.below((bytes.len() - at).min(1024) + 1);
                let copy = bytes[at..end].to_vec();
                let to = rng.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            6 => {
                let other = &seeds[rng.below(seeds.len())];
                let from = rng.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let word = target.words[rng.below(target.words.len())];
                let end = match rng.below(2) {
                    0 => at,
                    _ => (at + word.len()).min(bytes.len()),
                };
                bytes.splice(at..end, word.iter().copied());
            }
        }
    }
    bytes.truncate(target.longest);
    bytes
}

#[expect(clippy::print_stdout, reason = "how far it came is what one wants to read")]
fn drive(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let (begun, time) = (Instant::now(), time());
    let mut driven = 0_u64;
    let seeds = (target.seeds)();
    let mut rng = Rng::new(1);
    let mut inputs: Vec<Vec<u8>> = seeds.iter().cloned().chain(regressions(target)).collect();
    inputs.reverse();
    loop {
        let input = match inputs.pop() {
            Some(input) => input,
            None if begun.elapsed() >= time => break,
            None => mutated(&seeds, target, &mut rng),
        };
        if catch_unwind(AssertUnwindSafe(|| (target.body)(&input))).is_err() {
            let place = std::env::temp_dir().join(format!("layersift-{name}.input"));
            fs::write(&place, &input).unwrap();
            panic!("`{name}` fails for {} ({} bytes)", place.display(), input.len());
        }
        driven += 1;
    }
    println!("{name}: {driven} inputs");
}

/// A test for each target, so that they run side by side and fail by name.
macro_rules! driven {
    ($($name:ident)*) => {
        mod holds {
            $(#[test]
            fn $name() {
                super::drive(stringify!($name));
            })*
        }

        const DRIVEN: &[&str] = &[$(stringify!($name)),*];
    };
}

driven! {
    ar
    bzip2
    cpio
    docker_archive
    docker_config
    dockerfile
    encoded_text
    git_object
    git_pack
    gzip
    image_config
    key_store
    layer
    manifest
    matcher_cuts
    package_databases
    planted_secret
    provenance
    pyc
    reference
    registry_headers
    report_json
    rpm
    rules_gitleaks
    rules_toml
    saved_image
    secret_checks
    seven_zip
    sqlite
    tar_framer
    tar_pax
    tar_sparse
    terminal_text
    www_authenticate
    xz
    zip
    zstd
}

#[test]
fn every_target_is_driven_here_and_by_the_fuzzer() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "two targets of one name");
    let driven: BTreeSet<String> = DRIVEN.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(targets, driven);
    let files = fs::read_dir(fuzz().join("fuzz_targets")).unwrap();
    let files: BTreeSet<String> = files
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(targets, files);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &targets {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name} is not built"
        );
        let file = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(
            file.contains(&format!(
                "begin(\"{name}\"), |bytes: &[u8]| run(\"{name}\", bytes)"
            )),
            "{name} runs something else"
        );
    }
}

#[test]
fn seeds_are_what_they_should_be() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty() && !target.words.is_empty(), "{}", target.name);
        for seed in seeds {
            assert!(
                seed.len() <= 64 * 1024,
                "{}: a seed of {} bytes",
                target.name,
                seed.len()
            );
        }
    }
}

/// What a seed that stands for its format holds; a seed that is refused at its head would start nowhere.
#[derive(Default)]
struct Counted {
    members: usize,
    bytes: usize,
}

impl Members for Counted {
    fn member(&mut self, _step: Step<'_>, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        self.members += 1;
        self.bytes += bytes.len();
        Ok(())
    }

    fn refused(&mut self, name: &[u8], refusal: Refusal) {
        panic!("{}: {refusal}", name.escape_ascii());
    }
}

#[test]
fn a_seed_of_a_format_that_holds_members_opens_to_its_end() {
    for (name, members, bytes) in [
        ("git_pack", 3, 100),
        ("pyc", 1, 60),
        ("seven_zip", 1, 4),
        ("sqlite", 1, 700),
    ] {
        let target = TARGETS.iter().find(|target| target.name == name).unwrap();
        let mut counted = (target.seeds)().into_iter().filter_map(|seed| {
            let format = Format::of(&seed[..seed.len().min(Format::HEAD_BYTES)])?;
            let mut counted = Counted::default();
            open(format, Source::Whole(&seed), &Limits::default(), &mut counted).ok()?;
            Some((counted.members, counted.bytes))
        });
        assert!(
            counted.any(|(held, read)| held >= members && read >= bytes),
            "no seed of {name} holds {members} members of {bytes} bytes"
        );
    }
}
