//! How fast the matcher reads different kinds of bytes, one thread, next to the floor of one `memchr` over them.
//!
//! `cargo bench --bench engine [-- RULES.toml …]` prints medians and spreads of the built-in rules and those of the
//! files. Without `--bench`, as `cargo test` runs it, it only shows that it still runs. Measures no decompression and
//! no tar.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs};

use layersift::engine::{Candidate, File, Matcher, Place, REACH, Regions, Scratch, Window};
use layersift::rules::RuleSet;
use layersift::rules::example::Rng;

const WINDOW: usize = 1024 * 1024;

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
        "{:<14} {:>20} {:>20} {:>20} {:>8} {:>8}",
        "corpus", "memchr", "literals only", "all", "hits", "found"
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
        let mut count = 0;
        measure(1, &corpus, |window| {
            found.clear();
            matcher.scan(window, &whole, &mut scratch, &mut found);
            count += found.len();
        });
        let per_mb = |count: f64| count / (corpus.len() as f64 / 1e6);
        println!(
            "{name:<14} {floor:>20} {literals:>20} {all:>20} {:>8.0} {:>8.1}",
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
    rates.sort_by(f64::total_cmp);
    let at = |share: usize| rates[(rates.len() - 1) * share / 10];
    format!("{:.0} ({:.0}..{:.0})", at(5), at(1), at(9))
}

fn corpora(matcher: &Matcher, size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut rng = Rng::new(1);
    let words = words(&mut rng);
    let source = fill(size, || line_of_source(&words, &mut rng));
    let minified = fill(size, || minified_piece(&words, &mut rng));
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
        ("random bytes", random),
        ("zeros", vec![0; size]),
        ("literals only", dense),
    ]
}

fn fill(size: usize, mut piece: impl FnMut() -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(size + 4096);
    while out.len() < size {
        out.extend(piece());
    }
    out.truncate(size);
    out
}

/// What `/usr/bin` has, over and over; random bytes where it has nothing.
fn elf_files(size: usize) -> Vec<u8> {
    let mut names: Vec<_> = fs::read_dir("/usr/bin")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    names.sort();
    let mut out = Vec::new();
    for name in names {
        if let Ok(bytes) = fs::read(&name)
            && bytes.starts_with(b"\x7fELF")
        {
            out.extend(bytes);
        }
        if out.len() >= size {
            break;
        }
    }
    let some = if out.is_empty() {
        Rng::new(2).bytes(WINDOW)
    } else {
        out
    };
    fill(size, || some.clone())
}

/// Identifiers with the words that names of secrets are made of among them, about as often as in real sources.
fn words(rng: &mut Rng) -> Vec<String> {
    const SYLLABLES: [&str; 24] = [
        "get", "set", "value", "node", "list", "index", "count", "self", "name", "type", "str", "buf", "len",
        "ctx", "err", "map", "file", "path", "data", "read", "write", "user", "time", "line",
    ];
    let mut words: Vec<String> = (0..600)
        .map(|_| format!("{}_{}", SYLLABLES[rng.below(24)], SYLLABLES[rng.below(24)]))
        .collect();
    words.extend(["token", "password", "secret", "key", "auth", "credential"].map(str::to_owned));
    words
}

fn line_of_source(words: &[String], rng: &mut Rng) -> Vec<u8> {
    let indent = " ".repeat(4 * rng.below(4));
    let [a, b, c] = [0; 3].map(|_| &words[rng.below(words.len())]);
    match rng.below(4) {
        0 => format!("{indent}let {a} = {b}({c}, {});\n", rng.below(1000)),
        1 => format!("{indent}if {a}.{b} != \"{c}\" {{\n"),
        2 => format!("{indent}// the {a} of {b} is {c} unless it is not\n"),
        _ => format!("{indent}return {a} + {b}[{c}]\n}}\n"),
    }
    .into_bytes()
}

fn minified_piece(words: &[String], rng: &mut Rng) -> Vec<u8> {
    let letter = |rng: &mut Rng| char::from(b'a' + rng.below(26) as u8);
    let (a, b, c) = (letter(rng), letter(rng), letter(rng));
    let word = &words[rng.below(words.len())];
    match rng.below(4) {
        0 => format!(
            "function {a}({b},{c}){{return {b}.{word}({c},{})}}",
            rng.below(99)
        ),
        1 => format!("var {a}={b}?{c}:void 0,{b}=\"{word}\";"),
        2 => format!("{a}.exports={{{word}:{b},{c}:!0}},"),
        _ => format!("n.d(t,\"{a}\",(function(){{return {b}}}));"),
    }
    .into_bytes()
}
