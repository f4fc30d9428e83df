//! What must hold for every rule: found up to the very end of its region, never across it, and wherever windows are cut.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::rules::example::Rng;
use crate::rules::{Rule, RuleId, RuleSet};

/// Rules of every shape, for a provider that does not exist.
const RULES: &str = r##"
[[rule]]
id = "acme-key"
title = "Key with a prefix"
severity = "high"
confidence = "high"
literals = ["acme_"]
regex = '''acme_[A-Z0-9]{20}'''
samples = ["c7d48e35f7d9e3a8d16c1b0c14d1ce3c5bcfc2ab4b4c4a1d9c8b5e7f00112233"]
[[rule.example]]
text = "key: acme_{A-Z0-9:20}"

[[rule]]
id = "acme-named"
title = "Value behind a name"
severity = "low"
confidence = "medium"
literals = [{ text = "acme", ignore_case = true }]
regex = '''(?i)[a-z_]{0,20}acme[a-z_]{0,20}["' ]{0,3}[:=]["' ]{0,3}(?P<secret>[a-z0-9_]{16,40})'''
entropy = 2.5
[[rule.example]]
text = "MY_ACME_SECRET = '{a-z0-9:32}'"
expect = ["entropy"]

[[rule]]
id = "acme-shape"
title = "Shape with a word nearby"
severity = "medium"
confidence = "medium"
literals = [{ text = "frobnicate", ignore_case = true }]
regex = '''[0-9A-F]{32}'''
context = { any = ["frobnicate"], before = 60, after = 20 }
[[rule.example]]
text = "Frobnicate with {0-9A-F:32}"
expect = ["context"]
[[rule.example]]
text = "{0-9A-F:32} # FROBNICATE"

[[rule]]
id = "acme-pair"
title = "Id and secret"
severity = "critical"
confidence = "high"
identifier = true
literals = ["QZID"]
regex = '''QZID[A-Z0-9]{12}'''
[[rule.part]]
name = "secret"
within = 100
regex = '''[A-Za-z0-9/+]{40}'''
boundary = "base64"
literals = ["qz_secret"]
alone_regex = '''qz_secret["' ]{0,3}[:=]["' ]{0,3}(?P<secret>[A-Za-z0-9/+]{40})'''
entropy = 3.0
[[rule.part]]
name = "session-token"
within = 200
optional = true
regex = '''session=(?P<secret>[a-z]{20})'''
[[rule.example]]
text = "id QZID{A-Z0-9:12}\nqz_secret = {A-Za-z0-9/+:40}\nsession={a-z:20}"
expect = ["paired"]
[[rule.example]]
text = "id QZID{A-Z0-9:12}\n"
expect = ["unpaired"]

[[rule]]
id = "acme-block"
title = "Block"
severity = "high"
confidence = "high"
literals = ["-----BEGIN ACME"]
extract = "pem"
boundary = "none"
[[rule.example]]
text = "-----{~BEGIN ACME} KEY-----\n{A-Za-z0-9+/:64}\n-----END ACME KEY-----"

[[rule]]
id = "acme-object"
title = "Object"
severity = "high"
confidence = "high"
literals = ['"acme_account"']
extract = "json-object"
boundary = "none"
[[rule.example]]
text = '{{"a": {{"type": "acme_account", "key": "{a-z:20}"}}}}'

[[rule]]
id = "acme-file"
title = "Line of a file"
severity = "medium"
confidence = "medium"
paths = ["**/.acmepass"]
literals = ["acmehost:"]
regex = '''acmehost:(?P<secret>[a-z0-9]{8,40})'''
[[rule.example]]
text = "acmehost:{a-z0-9:12}\n"
path = "root/.acmepass"
expect = ["path"]
"##;

static ALL: LazyLock<Matcher> = LazyLock::new(|| {
    let mine = [("tests/acme.toml".to_owned(), RULES.to_owned())];
    let rules = RuleSet::load(&mine).unwrap_or_else(|error| panic!("{:#?}", error.problems));
    Matcher::new(Arc::new(rules))
});

static ACME: LazyLock<Matcher> = LazyLock::new(|| {
    let mine = [("tests/acme.toml".to_owned(), RULES.to_owned())];
    Matcher::new(Arc::new(
        RuleSet::load_only(&mine).expect("the rules of the tests are good"),
    ))
});

/// Regions that touch each other, with paths.
#[derive(Clone, Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    regions: Vec<(Range<u64>, String)>,
}

impl Stream {
    fn push(&mut self, bytes: &[u8], path: &str) {
        let start = self.bytes.len() as u64;
        self.bytes.extend(bytes);
        self.regions
            .push((start..self.bytes.len() as u64, path.to_owned()));
    }

    fn scan(&self, matcher: &Matcher, windows: &[Range<usize>]) -> Vec<Candidate> {
        let mut scratch = Scratch::default();
        let mut found = Vec::new();
        for owned in windows {
            let shown = owned.start.saturating_sub(REACH)..(owned.end + REACH).min(self.bytes.len());
            let window = Window {
                start: shown.start as u64,
                bytes: &self.bytes[shown],
                owned: owned.start as u64..owned.end as u64,
            };
            matcher.scan(&window, self, &mut scratch, &mut found);
        }
        matcher.settle(&mut found);
        found
    }

    fn scan_whole(&self, matcher: &Matcher) -> Vec<Candidate> {
        let whole = 0..self.bytes.len();
        self.scan(matcher, std::slice::from_ref(&whole))
    }
}

impl Regions for Stream {
    fn at(&self, offset: u64) -> Option<Place> {
        let region = self.regions.iter().position(|(span, _)| span.contains(&offset))?;
        Some(Place {
            region: region as u32,
            span: self.regions[region].0.clone(),
        })
    }
    fn path(&self, region: u32) -> &[u8] {
        self.regions[region as usize].1.as_bytes()
    }
}

fn examples(matcher: &Matcher) -> impl Iterator<Item = (&Rule, Vec<u8>, String, Vec<Evidence>)> {
    matcher.rules().rules().iter().flat_map(|rule| {
        rule.examples.iter().flat_map(move |example| {
            (0..3).map(move |seed| {
                let text = example
                    .expand(seed)
                    .unwrap_or_else(|error| panic!("{}: {error}", rule.id));
                (
                    rule,
                    text,
                    example.path.clone().unwrap_or_default(),
                    example.expect.clone(),
                )
            })
        })
    })
}

fn ids(matcher: &Matcher, found: &[Candidate]) -> Vec<String> {
    found
        .iter()
        .map(|candidate| matcher.rules().rules()[candidate.rule as usize].id.0.clone())
        .collect()
}

fn of_rule<'a>(matcher: &Matcher, rule: &RuleId, found: &'a [Candidate]) -> Vec<&'a Candidate> {
    found
        .iter()
        .filter(|candidate| &matcher.rules().rules()[candidate.rule as usize].id == rule)
        .collect()
}

fn scan(text: &str) -> Vec<Candidate> {
    ACME.scan_text(text.as_bytes(), &mut Scratch::default())
}

fn characters(class: &str, count: usize, seed: u64) -> String {
    String::from_utf8(Rng::new(seed).characters(class, count)).expect("classes are ASCII")
}

#[test]
fn every_example_is_found_up_to_the_end_of_its_region_with_other_regions_directly_around_it() {
    let mut missed = Vec::new();
    for (rule, text, path, expect) in examples(&ALL) {
        let mut alone = Stream::default();
        alone.push(&text, &path);
        let alone = alone.scan_whole(&ALL);
        let has_all = |candidate: &&Candidate| expect.iter().all(|one| candidate.evidence.contains(one));
        if !of_rule(&ALL, &rule.id, &alone)
            .into_iter()
            .any(|candidate| has_all(&candidate))
        {
            missed.push(format!(
                "{}: {alone:?}\n{}",
                rule.id,
                String::from_utf8_lossy(&text)
            ));
        }

        let mut embedded = Stream::default();
        embedded.push(b"0123456789abcdefABCDEF", "");
        embedded.push(&text, &path);
        embedded.push(b"0123456789abcdefABCDEF", "");
        let shift = 22;
        let expected: Vec<Candidate> = alone
            .into_iter()
            .map(|mut candidate| {
                candidate.at = candidate.at.start + shift..candidate.at.end + shift;
                candidate.region = 1;
                for half in &mut candidate.companions {
                    half.at = half.at.start + shift..half.at.end + shift;
                }
                candidate
            })
            .collect();
        assert_eq!(embedded.scan_whole(&ALL), expected, "{}", rule.id);
    }
    assert!(
        missed.is_empty(),
        "{} misses\n{}",
        missed.len(),
        missed.join("\n")
    );
}

#[test]
fn a_match_across_two_regions_is_none() {
    for (rule, text, path, _) in examples(&ACME) {
        let mut whole = Stream::default();
        whole.push(&text, &path);
        for candidate in whole.scan_whole(&ACME) {
            let cut = (candidate.at.start + candidate.at.end) as usize / 2;
            let mut halves = Stream::default();
            halves.push(&text[..cut], &path);
            halves.push(&text[cut..], &path);
            let found = halves.scan_whole(&ACME);
            assert!(
                found.iter().all(|found| found.at != candidate.at),
                "{}: {found:?}",
                rule.id
            );
        }
    }
}

/// Regions made of examples of all rules, noise and single literals.
fn streams() -> impl Strategy<Value = Stream> {
    let examples: Vec<(Vec<u8>, String)> = examples(&ALL).map(|(_, text, path, _)| (text, path)).collect();
    let literals: Vec<Vec<u8>> = ALL
        .rules()
        .rules()
        .iter()
        .flat_map(|rule| rule.anchor.literals.iter().map(|literal| literal.text.clone()))
        .collect();
    let piece = prop_oneof![
        4 => prop::sample::select(examples.clone()).prop_map(|(text, _)| text),
        2 => prop::sample::select(literals),
        2 => prop::collection::vec(any::<u8>(), 0..60),
        2 => "[ \n=:_\"'a-z]{0,12}".prop_map(String::into_bytes),
        1 => (0_usize..6000).prop_map(|count| b"lorem ipsum\n".repeat(count)),
    ];
    let path = prop_oneof![
        Just(String::new()),
        prop::sample::select(examples).prop_map(|(_, path)| path)
    ];
    let region = (prop::collection::vec(piece, 1..8), path);
    prop::collection::vec(region, 1..6).prop_map(|regions| {
        let mut stream = Stream::default();
        for (pieces, path) in regions {
            stream.push(&pieces.concat(), &path);
        }
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn windows_find_what_the_whole_stream_shows(
        stream in streams(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.bytes.len() + 1)).collect();
        cuts.extend([0, stream.bytes.len()]);
        cuts.sort_unstable();
        let windows: Vec<Range<usize>> = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        prop_assert_eq!(stream.scan(&ALL, &windows), stream.scan_whole(&ALL));
    }

    #[test]
    fn candidates_lie_in_their_regions_and_hold_their_bytes(stream in streams()) {
        for candidate in stream.scan_whole(&ALL) {
            let region = &stream.regions[candidate.region as usize].0;
            let halves = candidate.companions.iter().map(|half| (&half.at, &half.text));
            for (at, text) in halves.chain([(&candidate.at, &candidate.text)]) {
                prop_assert!(region.start <= at.start && at.end <= region.end);
                prop_assert_eq!(&stream.bytes[at.start as usize..at.end as usize], text.expose());
            }
        }
    }
}

#[test]
fn a_window_cut_at_every_byte_finds_each_credential_once() {
    let mut stream = Stream::default();
    for (_, text, path, _) in examples(&ACME) {
        stream.push(&text, &path);
    }
    let whole = stream.scan_whole(&ACME);
    assert!(whole.len() >= 20, "{whole:?}");
    for cut in 0..=stream.bytes.len() {
        assert_eq!(
            stream.scan(&ACME, &[0..cut, cut..stream.bytes.len()]),
            whole,
            "cut at {cut}"
        );
    }
}

#[test]
fn the_nearest_half_that_is_no_anchor_wins() {
    let (first, second) = (characters("A-Za-z0-9", 40, 1), characters("A-Za-z0-9", 40, 2));
    let id = format!("QZID{}", characters("A-Z0-9", 12, 3));
    let other = format!("QZID{}", characters("A-Z0-9", 12, 4));

    for (text, nearest) in [
        (format!("{first}  {id} {second}"), &second),
        (format!("{first} {id}  {second}"), &first),
        (format!("{first} {id} {second}"), &second),
        (format!("{id} {other} {first}"), &first),
    ] {
        let found = scan(&text);
        assert_eq!(found[0].text.expose(), id.as_bytes(), "{text}");
        assert_eq!(found[0].companions.len(), 1);
        assert_eq!(found[0].companions[0].text.expose(), nearest.as_bytes(), "{text}");
        assert_eq!(found[0].evidence, [Evidence::Entropy, Evidence::Paired]);
        assert_eq!(found[0].confidence, Confidence::High);
    }
}

#[test]
fn a_half_that_is_another_anchor_is_passed_over() {
    let rules = "[[rule]]\nid = \"alike\"\ntitle = \"Id and secret of one shape\"\nseverity = \"high\"\n\
        confidence = \"medium\"\nidentifier = true\nliterals = [\"QW\"]\nregex = \"QW[A-Z0-9]{14}\"\n\
        [[rule.part]]\nname = \"secret\"\nwithin = 60\nregex = \"[A-Z0-9]{16}\"\n";
    let rules = RuleSet::load_only(&[("alike.toml".to_owned(), rules.to_owned())]).expect("a good rule");
    let [one, two] = [1, 2].map(|seed| format!("QW{}", characters("A-Z0-9", 14, seed)));
    let secret = format!("XX{}", characters("A-Z0-9", 14, 3));
    let matcher = Matcher::new(Arc::new(rules));
    let found = matcher.scan_text(
        format!("{one} {two} {secret}").as_bytes(),
        &mut Scratch::default(),
    );
    let halves: Vec<&[u8]> = found
        .iter()
        .map(|candidate| candidate.companions[0].text.expose())
        .collect();
    assert_eq!(halves, [secret.as_bytes(), secret.as_bytes()]);
}

#[test]
fn an_identifier_without_its_half_is_kept_with_low_confidence() {
    let id = format!("QZID{}", characters("A-Z0-9", 12, 3));
    let far = format!("{id}{}{}", " ".repeat(101), characters("A-Za-z0-9", 40, 1));
    for text in [id, far] {
        let found = scan(&text);
        assert_eq!(ids(&ACME, &found), ["acme-pair"]);
        assert_eq!(found[0].evidence, [Evidence::Unpaired]);
        assert_eq!(found[0].confidence, Confidence::Low);
    }
}

#[test]
fn a_half_alone_waits_to_be_paired_and_one_in_a_pair_is_not_told_twice() {
    let secret = characters("A-Za-z0-9", 40, 1);
    let found = scan(&format!("qz_secret = {secret}"));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].part, found[0].confidence),
        (Some(0), Confidence::Medium)
    );
    assert_eq!(found[0].text.expose(), secret.as_bytes());

    let found = scan(&format!(
        "QZID{} qz_secret = {secret}",
        characters("A-Z0-9", 12, 3)
    ));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].part, None);
}

#[test]
fn a_rule_with_its_literal_in_the_text_beats_one_with_a_name_before_it() {
    let key = format!("acme_{}", characters("A-Z0-9", 20, 1));
    let found = scan(&format!("acme_token = {key}"));
    assert_eq!(ids(&ACME, &found), ["acme-key"]);
    assert_eq!(found[0].text.expose(), key.as_bytes());
}

#[test]
fn a_rule_of_some_paths_is_silent_elsewhere() {
    let text = format!("acmehost:{}\n", characters("a-z0-9", 12, 1));
    for (path, count) in [
        ("root/.acmepass", 1),
        ("/root/.acmepass", 1),
        (".acmepass", 1),
        ("root/acmepass", 0),
        ("", 0),
    ] {
        let mut stream = Stream::default();
        stream.push(text.as_bytes(), path);
        assert_eq!(stream.scan_whole(&ACME).len(), count, "{path}");
    }
}

#[test]
fn filler_and_documented_samples_are_not_sure() {
    assert_eq!(scan(&format!("acme_{}", "X".repeat(20))), []);

    let sample = format!("acme_{}", characters("A-Z0-9", 20, 9));
    let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(sample.as_bytes()).into();
    let rules = RULES.replace(
        "c7d48e35f7d9e3a8d16c1b0c14d1ce3c5bcfc2ab4b4c4a1d9c8b5e7f00112233",
        &crate::text::hex(&digest),
    );
    let rules = RuleSet::load_only(&[("acme.toml".to_owned(), rules)]).expect("only a digest was replaced");
    let found = Matcher::new(Arc::new(rules)).scan_text(sample.as_bytes(), &mut Scratch::default());
    assert_eq!(found[0].evidence, [Evidence::Sample]);
    assert_eq!(found[0].confidence, Confidence::Low);
}

#[test]
fn one_scratch_serves_several_matchers() {
    let mut scratch = Scratch::default();
    let key = format!("acme_{}", characters("A-Z0-9", 20, 1));
    for matcher in [&*ALL, &*ACME, &*ALL] {
        let found = matcher.scan_text(key.as_bytes(), &mut scratch);
        assert!(ids(matcher, &found).contains(&"acme-key".to_owned()));
    }
}

/// What `earlier` finds in a text, in the numbers of later rules, where that is what these find by their outline; `None`
/// where the text is to be read again.
fn carried(earlier: &Matcher, by: &Carried, (text, path): (&[u8], &str)) -> Option<Vec<Candidate>> {
    let mut scratch = Scratch::default();
    let mut found = earlier.scan_file(text, path.as_bytes(), &mut scratch);
    by.holds_for(&scratch.seen).then_some(())?;
    for candidate in &mut found {
        candidate.rule = by
            .rule(candidate.rule)
            .expect("no literal of its rule stands there");
    }
    Some(found)
}

#[test]
fn what_other_rules_found_is_what_is_found_where_no_literal_of_a_changed_rule_stands() {
    let texts: Vec<(Vec<u8>, String)> = examples(&ALL)
        .step_by(91)
        .map(|(_, text, path, _)| (text, path))
        .collect();
    let (mut held, mut again) = (0, 0);
    for rule in ALL.rules().rules().iter().step_by(61) {
        let fewer = Matcher::new(Arc::new(ALL.rules().clone().retain(|one| one.id != rule.id)));
        let own = rule.examples.iter().map(|example| {
            let text = example.expand(0).expect("it is a good template");
            (text, example.path.clone().unwrap_or_default())
        });
        let texts: Vec<(Vec<u8>, String)> = own.chain(texts.iter().cloned()).collect();
        for (earlier, later) in [(&*ALL, &fewer), (&fewer, &*ALL)] {
            let Some(by) = later.outline().carried_from(&earlier.outline()) else {
                again += texts.len();
                continue;
            };
            for (text, path) in &texts {
                let Some(found) = carried(earlier, &by, (text, path)) else {
                    again += 1;
                    continue;
                };
                held += 1;
                let expected = later.scan_file(text, path.as_bytes(), &mut Scratch::default());
                assert_eq!(
                    found,
                    expected,
                    "{} in {:?}",
                    rule.id,
                    String::from_utf8_lossy(text)
                );
            }
        }
    }
    assert!(held > 300 && again > 30, "{held} held, {again} read again");
}

#[test]
fn everything_is_read_again_for_a_literal_or_an_engine_that_was_not_there_before() {
    let with = |more: &str| {
        let head = "[[rule]]\nid = 'acme-new'\ntitle = 'New'\nseverity = 'high'\nconfidence = 'high'\n";
        let rules = RuleSet::load_only(&[("acme.toml".to_owned(), format!("{RULES}{head}{more}"))]);
        Matcher::new(Arc::new(rules.expect("the rule is good")))
    };
    let earlier = ACME.outline();
    let carried_to = |more: &str| with(more).outline().carried_from(&earlier);

    let by =
        carried_to("literals = ['acme_']\nregex = '''acme_[a-f]{20}'''\n").expect("the literal was there");
    assert_eq!(
        carried(&ACME, &by, (b"nothing of interest", "")),
        Some(Vec::new())
    );
    assert_eq!(carried(&ACME, &by, (b"an acme_ here", "")), None);
    assert!(carried_to("literals = ['acmx_']\nregex = '''acmx_[a-f]{20}'''\n").is_none());

    let mut other = ACME.outline();
    assert!(earlier.carried_from(&other).is_some());
    other.engine.push('x');
    assert!(earlier.carried_from(&other).is_none());
}

#[test]
fn evidence_moves_confidence_as_the_table_says() {
    use Confidence::{High, Low, Medium};
    for (rule, evidence, is_lone, expected) in [
        (Medium, &[][..], false, Medium),
        (Low, &[Evidence::Checksum], false, High),
        (Low, &[Evidence::Parsed, Evidence::Encrypted], false, Medium),
        (High, &[Evidence::Encrypted, Evidence::Expired], false, Low),
        (High, &[], true, Medium),
        (
            Low,
            &[Evidence::Context, Evidence::Entropy, Evidence::Path],
            false,
            Low,
        ),
        (High, &[Evidence::Checksum, Evidence::Sample], false, Low),
        (High, &[Evidence::TestMode], false, Low),
        (High, &[Evidence::PublicTestKey, Evidence::Parsed], false, Low),
        (High, &[Evidence::Unpaired], false, Low),
    ] {
        assert_eq!(
            matcher::confidence(rule, evidence, is_lone),
            expected,
            "{rule:?} {evidence:?} {is_lone}"
        );
    }
}
