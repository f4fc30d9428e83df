//! Expressions walked as they are written: a text, then so many bytes of a class, then another text. Compiles no automaton:
//! one for `[A-Za-z0-9]{20,4000}` has a state for each byte, megabytes for a rule and more for each thread.
//!
//! What matches, and which of several matches it is, is what an automaton for the same expression says: alternatives in
//! their order, and as many repetitions as possible, or as few where it is lazy. Where that takes too many attempts
//! nothing is said, and an automaton is asked.

use std::ops::Range;

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::matcher::Found;

/// An expression that can be walked.
#[derive(Debug)]
pub(super) struct Shape {
    items: Vec<Item>,
    /// What a match begins with.
    first: Set,
}

#[derive(Debug)]
enum Item {
    Bytes(Vec<u8>),
    Class {
        set: Set,
        least: usize,
        most: usize,
        is_greedy: bool,
        /// Whether what follows cannot begin with a member, so that only the whole run can be right.
        is_settled: bool,
    },
    /// The end of the secret.
    Close,
    Either(Vec<Vec<Item>>),
    Look(Look),
    /// The begin of the secret.
    Open,
    Repeat {
        items: Vec<Item>,
        least: u32,
        most: u32,
        is_greedy: bool,
    },
}

/// Too much was tried.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

/// What is tried for one match, in items and repetitions.
const STEPS: usize = 100_000;

/// Repetitions of a group, each of which is a few calls deep.
const REPETITIONS: u32 = 160;

impl Shape {
    /// `None` where the expression has something that is not walked: Unicode, or a long repetition of a group.
    pub(super) fn of(hir: &Hir) -> Option<Self> {
        let mut items = Vec::new();
        add(hir, &mut items, REPETITIONS)?;
        settle(&mut items);
        let (first, may_be_empty) = first(&items);
        (!may_be_empty).then_some(Self { items, first })
    }

    /// The first match in `span` of `bytes` that begins at `latest` at the latest; at the begin of the span where that is
    /// the same. Assertions see what is around the span.
    pub(super) fn find(
        &self,
        bytes: &[u8],
        span: Range<usize>,
        latest: usize,
    ) -> Result<Option<Found>, Exhausted> {
        let mut walk = Walk {
            bytes,
            end: span.end,
            steps: STEPS,
            open: None,
            secret: None,
            matched: 0,
        };
        let mut at = span.start;
        while at <= latest && at < span.end {
            if !self.first.has(bytes[at]) {
                at += 1;
                continue;
            }
            if let Some(&Item::Class { set, least, most, .. }) = self.items.first() {
                let run = walk.run_of(&set, at, most.min(least));
                if run < least {
                    // Nor does one begin within so short a run.
                    at += run + 1;
                    continue;
                }
            }
            let is_match = walk.walk(&self.items, at, &mut |walk, end| {
                walk.matched = end;
                true
            });
            if walk.steps == 0 {
                return Err(Exhausted);
            }
            if is_match {
                let whole = at..walk.matched;
                let secret = walk.secret.unwrap_or_else(|| whole.clone());
                return Ok(Some(Found { whole, secret }));
            }
            at += 1;
        }
        Ok(None)
    }
}

struct Walk<'b> {
    bytes: &'b [u8],
    end: usize,
    /// What may still be tried; at zero everything fails.
    steps: usize,
    open: Option<usize>,
    secret: Option<Range<usize>>,
    matched: usize,
}

/// What follows: whether it matches from a place on.
type Then<'t, 'b> = &'t mut dyn FnMut(&mut Walk<'b>, usize) -> bool;

impl<'b> Walk<'b> {
    fn walk(&mut self, items: &[Item], at: usize, then: Then<'_, 'b>) -> bool {
        if self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        let Some((item, rest)) = items.split_first() else {
            return then(self, at);
        };
        match item {
            Item::Bytes(text) => {
                self.bytes[at..self.end].starts_with(text) && self.walk(rest, at + text.len(), then)
            }
            &Item::Class {
                ref set,
                least,
                most,
                is_greedy,
                is_settled,
            } => {
                let run = self.run_of(set, at, most);
                if run < least {
                    false
                } else if is_settled {
                    self.walk(rest, at + run, then)
                } else if is_greedy {
                    (least..=run)
                        .rev()
                        .any(|count| self.walk(rest, at + count, &mut *then))
                } else {
                    (least..=run).any(|count| self.walk(rest, at + count, &mut *then))
                }
            }
            Item::Close => {
                let before = self.secret.clone();
                self.secret = self.open.map(|open| open..at);
                self.walk(rest, at, then) || {
                    self.secret = before;
                    false
                }
            }
            Item::Either(ways) => ways
                .iter()
                .any(|way| self.walk(way, at, &mut |walk, at| walk.walk(rest, at, &mut *then))),
            Item::Look(look) => self.sees(*look, at) && self.walk(rest, at, then),
            Item::Open => {
                let before = self.open.replace(at);
                self.walk(rest, at, then) || {
                    self.open = before;
                    false
                }
            }
            Item::Repeat { .. } => self.repeat(item, 0, at, rest, then),
        }
    }

    /// Goes on behind so many repetitions of a group.
    fn repeat(&mut self, group: &Item, count: u32, at: usize, rest: &[Item], then: Then<'_, 'b>) -> bool {
        let &Item::Repeat {
            ref items,
            least,
            most,
            is_greedy,
        } = group
        else {
            return false;
        };
        if count < least {
            let next: Then<'_, 'b> = &mut |walk, at| walk.repeat(group, count + 1, at, rest, &mut *then);
            return self.walk(items, at, next);
        }
        if !is_greedy && self.walk(rest, at, &mut *then) {
            return true;
        }
        if count < most {
            let next: Then<'_, 'b> = &mut |walk, at| walk.repeat(group, count + 1, at, rest, &mut *then);
            if self.walk(items, at, next) {
                return true;
            }
        }
        is_greedy && self.walk(rest, at, then)
    }

    /// How many members stand from `at` on, at most `most`.
    fn run_of(&self, set: &Set, at: usize, most: usize) -> usize {
        let rest = &self.bytes[at..self.end.min(at.saturating_add(most))];
        rest.iter().position(|&byte| !set.has(byte)).unwrap_or(rest.len())
    }

    fn sees(&self, look: Look, at: usize) -> bool {
        let before = at.checked_sub(1).map(|at| self.bytes[at]);
        let after = self.bytes.get(at).copied();
        let is_word =
            |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match look {
            Look::Start => before.is_none(),
            Look::End => after.is_none(),
            Look::StartLF => before.is_none_or(|byte| byte == b'\n'),
            Look::EndLF => after.is_none_or(|byte| byte == b'\n'),
            Look::WordAscii => is_word(before) != is_word(after),
            Look::WordAsciiNegate => is_word(before) == is_word(after),
            _ => false,
        }
    }
}

/// Adds the items of an expression, in which groups are repeated so often at most.
fn add(hir: &Hir, items: &mut Vec<Item>, most_repetitions: u32) -> Option<()> {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => match items.last_mut() {
            Some(Item::Bytes(text)) => text.extend_from_slice(&literal.0),
            _ => items.push(Item::Bytes(literal.0.to_vec())),
        },
        HirKind::Class(_) => items.push(class(Set::of(hir)?, 1, Some(1), true)),
        HirKind::Look(look) => {
            let is_known = matches!(
                look,
                Look::Start
                    | Look::End
                    | Look::StartLF
                    | Look::EndLF
                    | Look::WordAscii
                    | Look::WordAsciiNegate
            );
            items.push(is_known.then_some(Item::Look(*look))?);
        }
        HirKind::Repetition(Repetition {
            min,
            max,
            greedy,
            sub,
        }) => {
            if let Some(set) = Set::of(sub) {
                items.push(class(set, *min, *max, *greedy));
                return Some(());
            }
            let most = max.filter(|most| *most <= most_repetitions)?;
            let is_empty = sub.properties().minimum_len().is_none_or(|bytes| bytes == 0);
            if is_empty || has_secret(sub) && most > 1 {
                return None;
            }
            let mut inner = Vec::new();
            add(sub, &mut inner, most_repetitions / most.max(1))?;
            items.push(Item::Repeat {
                items: inner,
                least: *min,
                most,
                is_greedy: *greedy,
            });
        }
        HirKind::Capture(capture) => {
            let is_secret = capture.name.as_deref() == Some("secret");
            items.extend(is_secret.then_some(Item::Open));
            add(&capture.sub, items, most_repetitions)?;
            items.extend(is_secret.then_some(Item::Close));
        }
        HirKind::Concat(subs) => {
            for sub in subs {
                add(sub, items, most_repetitions)?;
            }
        }
        HirKind::Alternation(subs) => {
            let way = |sub: &Hir| {
                let mut way = Vec::new();
                add(sub, &mut way, most_repetitions).map(|()| way)
            };
            items.push(Item::Either(subs.iter().map(way).collect::<Option<_>>()?));
        }
    }
    Some(())
}

fn class(set: Set, least: u32, most: Option<u32>, is_greedy: bool) -> Item {
    Item::Class {
        set,
        least: least as usize,
        most: most.map_or(usize::MAX, |most| most as usize),
        is_greedy,
        is_settled: false,
    }
}

/// Whether an expression has a group that is the secret.
pub(super) fn has_secret(hir: &Hir) -> bool {
    let is_secret = match hir.kind() {
        HirKind::Capture(capture) => capture.name.as_deref() == Some("secret"),
        _ => false,
    };
    is_secret || hir.kind().subs().iter().any(has_secret)
}

/// Finds the classes that only a whole run of can be right.
fn settle(items: &mut [Item]) {
    for number in 0..items.len() {
        let (before, behind) = items.split_at_mut(number + 1);
        match &mut before[number] {
            Item::Class { set, is_settled, .. } => {
                let (follows, may_be_empty) = first(behind);
                *is_settled = !may_be_empty && !follows.meets(set);
            }
            Item::Either(ways) => ways.iter_mut().for_each(|way| settle(way)),
            Item::Repeat { items, .. } => settle(items),
            Item::Bytes(_) | Item::Close | Item::Look(_) | Item::Open => {}
        }
    }
}

/// What the items can begin with, and whether they can match nothing.
fn first(items: &[Item]) -> (Set, bool) {
    let mut all = Set::default();
    for item in items {
        let (set, may_be_empty) = match item {
            Item::Bytes(text) => {
                let mut set = Set::default();
                text.first().iter().for_each(|&&byte| set.add(byte..=byte));
                (set, text.is_empty())
            }
            Item::Class { set, least, .. } => (*set, *least == 0),
            Item::Close | Item::Look(_) | Item::Open => (Set::default(), true),
            Item::Either(ways) => ways
                .iter()
                .map(|way| first(way))
                .fold((Set::default(), false), |(all, any), (set, may_be_empty)| {
                    (all.with(&set), any | may_be_empty)
                }),
            Item::Repeat { items, least, .. } => (first(items).0, *least == 0),
        };
        all = all.with(&set);
        if !may_be_empty {
            return (all, false);
        }
    }
    (all, true)
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set([u64; 4]);

impl Set {
    /// The bytes of a class, or of a literal that is one byte.
    fn of(hir: &Hir) -> Option<Self> {
        let mut set = Self::default();
        match hir.kind() {
            HirKind::Literal(literal) => match *literal.0 {
                [byte] => set.add(byte..=byte),
                _ => return None,
            },
            HirKind::Class(Class::Bytes(class)) => {
                class
                    .iter()
                    .for_each(|range| set.add(range.start()..=range.end()));
            }
            _ => return None,
        }
        Some(set)
    }

    fn add(&mut self, range: std::ops::RangeInclusive<u8>) {
        for byte in range {
            self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
    }

    fn with(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(word, other)| *word |= other);
        self
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).any(|(word, other)| word & other != 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules;

    fn shape(source: &str) -> Option<Shape> {
        Shape::of(&rules::parse_regex(source).expect("an expression"))
    }

    /// What an automaton finds.
    fn expected(source: &str, bytes: &[u8], span: Range<usize>) -> Option<Found> {
        let regex = rules::compile(source).expect("an expression");
        let mut captures = regex.create_captures();
        let input = regex_automata::Input::new(bytes).span(span);
        regex.search_captures(&input, &mut captures);
        let whole = captures.get_match()?.range();
        let secret = captures.get_group_by_name("secret");
        let secret = secret.map_or_else(|| whole.clone(), |group| group.range());
        Some(Found { whole, secret })
    }

    fn expression() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[ab-]{1,3}",
            "\\[[a-c]{1,2}\\]",
            "\\[[a-c]{1,2}\\]\\{[0-2],[3-5]\\}\\??",
            "[ab][?*]\\??",
            Just("\\b".to_owned()),
            Just("^".to_owned()),
            Just("(?i:aB)".to_owned()),
        ];
        let expression = leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|items| items.concat()),
                proptest::collection::vec(inner.clone(), 1..4)
                    .prop_map(|ways| format!("(?:{})", ways.join("|"))),
                (inner.clone(), 0..2, 2..4, any::<bool>()).prop_map(|(inner, least, most, is_lazy)| {
                    format!("(?:{inner}){{{least},{most}}}{}", if is_lazy { "?" } else { "" })
                }),
            ]
        });
        (expression.clone(), expression.clone(), expression)
            .prop_map(|(before, secret, behind)| format!("{before}(?P<secret>{secret}){behind}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn a_walk_finds_what_an_automaton_finds(
            source in expression(),
            text in "[abAB c-]{0,24}",
            cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let Some(shape) = shape(&source) else { return Ok(()) };
            let bytes = text.as_bytes();
            let (one, other) = (cut.0.index(bytes.len() + 1), cut.1.index(bytes.len() + 1));
            for span in [0..bytes.len(), one.min(other)..one.max(other)] {
                let found = shape.find(bytes, span.clone(), span.end);
                prop_assert_eq!(found, Ok(expected(&source, bytes, span)), "{}", source);
            }
        }
    }

    #[test]
    fn almost_all_built_in_expressions_are_walked() {
        let rules = rules::RuleSet::builtin();
        let parts = rules
            .rules()
            .iter()
            .flat_map(|rule| std::iter::once(&rule.anchor).chain(&rule.parts));
        let sources: Vec<&str> = parts
            .filter_map(|part| match &part.pattern {
                rules::Pattern::Regex { source, .. } => Some(source.as_str()),
                rules::Pattern::Extractor(_) => None,
            })
            .collect();
        let others: Vec<_> = sources.iter().filter(|source| shape(source).is_none()).collect();
        assert!(others.len() * 50 <= sources.len(), "{others:#?}");
    }

    #[test]
    fn what_takes_too_many_attempts_is_left_to_an_automaton() {
        let shape = shape("(?:a{1,20}){1,20}b").unwrap();
        let bytes = [b'a'; 400];
        assert_eq!(shape.find(&bytes, 0..400, 0), Err(Exhausted));
        assert!(shape.find(b"aaab", 0..4, 0).unwrap().is_some());
    }

    #[test]
    fn a_match_begins_where_it_may_at_the_latest() {
        let shape = shape("[0-9]{4}").unwrap();
        assert_eq!(shape.find(b"ab 1234", 0..7, 2), Ok(None));
        assert!(shape.find(b"ab 1234", 0..7, 3).unwrap().is_some());
        // Three digits are too few, wherever among them it begins.
        assert_eq!(shape.find(b"123 12345", 0..9, 9).unwrap().unwrap().whole, 4..8);
    }
}
