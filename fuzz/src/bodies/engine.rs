//! The matcher: what it finds depends neither on how a stream is cut into windows nor on what stands next to a file.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use layersift::engine::checks::{self, Verdict};
use layersift::engine::{Candidate, Matcher, Place, REACH, Regions, Scratch, Window};
use layersift::rules::{Check, RuleSet};

use super::{Draw, Target};

pub const CUTS: Target = Target {
    name: "matcher_cuts",
    body: cuts,
    seeds: examples,
    words: &[
        b"password=",
        b"token: ",
        b"-----BEGIN ",
        b"PRIVATE KEY-----",
        b"\\n",
        b"://user:",
        b"@host/",
        b"eyJ",
        b"\"client_secret\":",
        b"Authorization: Basic ",
        b"\r\n",
    ],
    longest: 8 * 1024,
};

pub const CHECKS: Target = Target {
    name: "secret_checks",
    body: checked,
    seeds: examples,
    words: &[
        b"-----BEGIN RSA ",
        b"-----BEGIN OPENSSH ",
        b"-----BEGIN PGP ",
        b"PRIVATE KEY-----\n",
        b"-----END ",
        b"openssh-key-v1\0",
        b"MII",
        b"eyJhbGciOi",
        b"\\n",
        b"xxxxxxxx",
        b"EXAMPLE",
        b"${",
        b"changeme",
        b"0000000000000000",
    ],
    longest: 4 * 1024,
};

pub(super) static MATCHER: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(Arc::new(RuleSet::builtin())));

/// The checks that the built-in rules name.
static CHECKED: LazyLock<Vec<Check>> = LazyLock::new(|| {
    let parts = MATCHER.rules().rules().iter();
    let parts = parts.flat_map(|rule| rule.parts.iter().chain([&rule.anchor]));
    let mut checks: Vec<Check> = parts.flat_map(|part| part.checks.iter().copied()).collect();
    checks.sort_by_key(|check| format!("{check:?}"));
    checks.dedup();
    checks
});

/// A text for every rule, a few of them in each.
pub(super) fn examples() -> Vec<Vec<u8>> {
    let rules = MATCHER.rules().rules().iter();
    let texts = rules.filter_map(|rule| rule.examples.first()?.expand(11).ok());
    let texts: Vec<Vec<u8>> = texts.filter(|text| text.len() < 4096).collect();
    texts.chunks(8).map(|texts| texts.join(&b"\n"[..])).collect()
}

/// A stream cut into files: the odd ones have a path that rules ask for.
struct Files(Vec<Range<u64>>);

const PATHS: [&[u8]; 5] = [
    b"",
    b"root/.aws/credentials",
    b"app/.env",
    b"root/.npmrc",
    b"src/main.py",
];

impl Regions for Files {
    fn at(&self, offset: u64) -> Option<Place> {
        let region = self.0.iter().position(|span| span.contains(&offset))?;
        Some(Place {
            region: region as u32,
            span: self.0[region].clone(),
        })
    }

    fn path(&self, region: u32) -> &[u8] {
        PATHS[region as usize % PATHS.len()]
    }
}

fn cuts(bytes: &[u8]) {
    let mut draw = Draw::of(bytes);
    let stream = stretched(bytes, &mut draw);
    let length = stream.len();
    let files = Files(pieces(length, 1 + draw.below(4), &mut draw));
    let mut scratch = Scratch::default();

    let all = 0..length as u64;
    let whole = scan(&stream, &files, std::slice::from_ref(&all), &mut scratch);
    for candidate in &whole {
        let span = &files.0[candidate.region as usize];
        let halves = candidate.companions.iter().map(|half| (&half.at, &half.text));
        for (at, text) in halves.chain([(&candidate.at, &candidate.text)]) {
            assert!(span.start <= at.start && at.start < at.end && at.end <= span.end);
            assert_eq!(&stream[at.start as usize..at.end as usize], text.expose());
        }
    }

    let windows = pieces(length, 2 + draw.below(4), &mut draw);
    assert_eq!(
        scan(&stream, &files, &windows, &mut scratch),
        whole,
        "cut at {windows:?}"
    );

    let mut apart = Vec::new();
    for (region, span) in (0..).zip(&files.0) {
        let text = &stream[span.start as usize..span.end as usize];
        let mut found = MATCHER.scan_file(text, files.path(region), &mut scratch);
        for candidate in &mut found {
            candidate.region = region;
            let halves = candidate.companions.iter_mut().map(|half| &mut half.at);
            for at in halves.chain([&mut candidate.at]) {
                *at = at.start + span.start..at.end + span.start;
            }
        }
        apart.extend(found);
    }
    assert_eq!(
        apart, whole,
        "a file is searched otherwise among others: {:?}",
        files.0
    );
}

/// The input with a stretch of nothing somewhere, so that a window does not always show all of it.
fn stretched(bytes: &[u8], draw: &mut Draw) -> Vec<u8> {
    let (before, behind) = bytes.split_at(draw.below(bytes.len() + 1));
    let filler = match draw.below(3) {
        0 => 0,
        1 => draw.below(300),
        _ => draw.below(2 * REACH),
    };
    [before, &vec![b'\n'; filler], behind].concat()
}

/// `0..length` in about so many parts, none of them empty.
fn pieces(length: usize, count: usize, draw: &mut Draw) -> Vec<Range<u64>> {
    let mut cuts: Vec<u64> = (1..count).map(|_| draw.below(length + 1) as u64).collect();
    cuts.extend([0, length as u64]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

fn scan(stream: &[u8], files: &Files, windows: &[Range<u64>], scratch: &mut Scratch) -> Vec<Candidate> {
    let mut found = Vec::new();
    for owned in windows {
        let start = owned.start.saturating_sub(REACH as u64);
        let end = (owned.end + REACH as u64).min(stream.len() as u64);
        let window = Window {
            start,
            bytes: &stream[start as usize..end as usize],
            owned: owned.clone(),
        };
        MATCHER.scan(&window, files, scratch, &mut found);
    }
    MATCHER.settle(&mut found);
    found
}

fn checked(bytes: &[u8]) {
    let mut draw = Draw::of(bytes);
    let (start, end) = (draw.below(bytes.len() + 1), draw.below(bytes.len() + 1));
    let part = &bytes[start.min(end)..start.max(end)];
    for check in CHECKED.iter().copied() {
        for secret in [bytes, part] {
            let verdict = checks::run(check, secret, bytes);
            if let Verdict::Pass(evidence) = &verdict {
                assert!(evidence.len() < 8, "{check:?} gives {evidence:?}");
            }
            assert_eq!(
                checks::run(check, secret, bytes),
                verdict,
                "{check:?} depends on the time"
            );
        }
        changed(check, bytes, &mut draw);
    }
    checks::is_placeholder(bytes);
}

/// A checksum that holds does not hold any more with another letter.
fn changed(check: Check, token: &[u8], draw: &mut Draw) {
    let is_checksum = matches!(
        check,
        Check::Crc32Base62 | Check::Crc32HexBe | Check::Crc32HexLe | Check::Bech32 | Check::Base58Check
    );
    let letters = token
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if !is_checksum || !letters || token.is_empty() || checks::run(check, token, token) == Verdict::Fail {
        return;
    }
    let mut other = token.to_vec();
    let at = draw.below(other.len());
    other[at] = match other[at] {
        b'_' => return,
        b'2' => b'3',
        _ => b'2',
    };
    assert_eq!(
        checks::run(check, &other, &other),
        Verdict::Fail,
        "{check:?} does not see a change"
    );
}
