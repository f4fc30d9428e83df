//! Bytes of the kinds that layers hold, made from a seed, and what the machine says of a process. Holds nothing that is
//! copied from anywhere but the machine's own programs.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fs;

use layersift::rules::example::Rng;

/// Pieces, one after another, until there are so many bytes.
pub fn fill(size: usize, mut piece: impl FnMut() -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(size + 4096);
    while out.len() < size {
        out.extend(piece());
    }
    out.truncate(size);
    out
}

/// What `/usr/bin` has, over and over; random bytes where it has nothing.
pub fn elf_files(size: usize) -> Vec<u8> {
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
        Rng::new(2).bytes(1 << 20)
    } else {
        out
    };
    fill(size, || some.clone())
}

/// Identifiers with the words that names of secrets are made of among them, about as often as in real sources.
pub fn words(rng: &mut Rng) -> Vec<String> {
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

/// One line of a program.
pub fn line_of_source(words: &[String], rng: &mut Rng) -> Vec<u8> {
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

/// A piece of a line that has no end.
pub fn minified_piece(words: &[String], rng: &mut Rng) -> Vec<u8> {
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

/// One message of a catalogue of translations: long words, and letters that take two bytes.
pub fn line_of_messages(rng: &mut Rng) -> Vec<u8> {
    const SYLLABLES: [&str; 16] = [
        "ver", "ände", "rung", "schlüs", "sel", "über", "trag", "en", "ñor", "ción", "été", "ment", "gra",
        "ße", "pro", "zess",
    ];
    let mut word = || -> String { (0..2 + rng.below(3)).map(|_| SYLLABLES[rng.below(16)]).collect() };
    format!(
        "msgid \"{} {}\"\nmsgstr \"{} {} {}\"\n\n",
        word(),
        word(),
        word(),
        word(),
        word()
    )
    .into_bytes()
}

/// The most memory this process, or all its children, have had at once, in MB. Zero where the system does not tell.
pub fn peak_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1000
}

/// The median, and the first and the last decile, of figures.
pub fn spread(mut figures: Vec<f64>) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    let at = |share: usize| figures[(figures.len() - 1) * share / 10];
    (at(5), at(1), at(9))
}
