//! How fast the matcher reads different kinds of bytes, one thread, next to the floor of one `memchr` over them.
//!
//! `cargo bench --bench engine [-- RULES.toml …]` prints medians and spreads of the built-in rules and those of the
//! files. Without `--bench`, as `cargo test` runs it, it only shows that it still runs. Measures no decompression and
//! no tar.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod measured;

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs};

use layersift::engine::{Candidate, File, Matcher, Place, REACH, Regions, Scratch, Window};
use layersift::rules::RuleSet;
use layersift::rules::example::Rng;

use measured::{elf_files, fill, line_of_messages, line_of_source, minified_piece, spread, words};

const WINDOW: usize = 1024 * 1024;

/// Rules of a small set, to see what the others cost.
const FEW: usize = 60;

fn main() {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let is_measuring = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| !argument.starts_with("--"));
    let (size, rounds) = if is_measuring {
        (48 * WINDOW, 9)
    } else {
        (WINDOW, 1)
    };

    let files: Vec<(String, String)> = arguments
        .into_iter()
        .map(|file| {
            let text =
                fs::read_to_string(&file).unwrap_or_else(|error| panic!("cannot read `{file}`: {error}"));
            (file, text)
        })
        .collect();
    let rules = RuleSet::load(&files).unwrap_or_else(|error| panic!("{:#?}", error.problems));

    let kept = Cell::new(0);
    let few = rules.clone().retain(|_| {
        kept.set(kept.get() + 1);
        kept.get() <= FEW
    });
    let few = Matcher::new(Arc::new(few));
    let begin = Instant::now();
    let matcher = Matcher::new(Arc::new(rules));
    println!(
        "{} rules, built in {:.1} ms",
        matcher.rules().rules().len(),
        begin.elapsed().as_secs_f64() * 1e3
    );
    println!(
        "MB/s of windows of 1 MiB, median (first..last decile) of {rounds} rounds; hits and candidates per MB\n"
    );
    println!(
        "{:<14} {:>20} {:>20} {:>20} {:>20} {:>8} {:>8}",
        "corpus", "memchr", "literals only", "60 rules", "all", "hits", "found"
    );

    for (name, corpus) in corpora(&matcher, size) {
        let mut scratch = Scratch::default();
        let mut found: Vec<Candidate> = Vec::new();
        let floor = measure(rounds, &corpus, |window| {
            black_box(memchr::memchr_iter(0xF7, black_box(window.bytes)).count());
        });
        let nowhere = Nowhere(Cell::new(0));
        let literals = measure(rounds, &corpus, |window| {
            matcher.scan(window, &nowhere, &mut scratch, &mut found)
        });
        let whole = File {
            region: 0,
            path: b"",
            span: 0..corpus.len() as u64,
        };
        let all = measure(rounds, &corpus, |window| {
            found.clear();
            matcher.scan(window, &whole, &mut scratch, &mut found);
        });
        let mut other = Scratch::default();
        let with_few = measure(rounds, &corpus, |window| {
            found.clear();
            few.scan(window, &whole, &mut other, &mut found);
        });
        let mut count = 0;
        measure(1, &corpus, |window| {
            found.clear();
            matcher.scan(window, &whole, &mut scratch, &mut found);
            count += found.len();
        });
        let per_mb = |count: f64| count / (corpus.len() as f64 / 1e6);
        println!(
            "{name:<14} {floor:>20} {literals:>20} {with_few:>20} {all:>20} {:>8.0} {:>8.1}",
            per_mb(nowhere.0.get() as f64 / rounds as f64),
            per_mb(count as f64)
        );
    }
}

/// Has no region anywhere: counts the hits, and nothing is done about them.
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

/// The rate over each window by itself: a window takes about a millisecond, so on a busy machine most of them are not
/// interrupted, and the median is that of a quiet one.
fn measure(rounds: usize, corpus: &[u8], mut run: impl FnMut(&Window<'_>)) -> String {
    let mut rates = Vec::new();
    for _ in 0..rounds {
        for begin in (0..corpus.len()).step_by(WINDOW) {
            let owned = begin..(begin + WINDOW).min(corpus.len());
            let shown = owned.start.saturating_sub(REACH)..(owned.end + REACH).min(corpus.len());
            let window = Window {
                start: shown.start as u64,
                bytes: &corpus[shown],
                owned: owned.start as u64..owned.end as u64,
            };
            let begin = Instant::now();
            run(&window);
            rates.push(owned.len() as f64 / begin.elapsed().as_secs_f64() / 1e6);
        }
    }
    let (median, low, high) = spread(rates);
    format!("{median:.0} ({low:.0}..{high:.0})")
}

fn corpora(matcher: &Matcher, size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut rng = Rng::new(1);
    let words = words(&mut rng);
    let source = fill(size, || line_of_source(&words, &mut rng));
    let minified = fill(size, || minified_piece(&words, &mut rng));
    let messages = fill(size, || line_of_messages(&mut rng));
    let random = fill(size, || rng.bytes(4096));
    let literals: Vec<Vec<u8>> = matcher
        .rules()
        .rules()
        .iter()
        .flat_map(|rule| &rule.anchor.literals)
        .map(|literal| literal.text.clone())
        .collect();
    let dense = fill(size, || match literals.len() {
        0 => b"no rules ".to_vec(),
        count => [&literals[rng.below(count)], &b"=\n"[..]].concat(),
    });
    vec![
        ("source text", source),
        ("ELF files", elf_files(size)),
        ("minified", minified),
        ("messages", messages),
        ("random bytes", random),
        ("zeros", vec![0; size]),
        ("literals only", dense),
    ]
}
