//! Where in a match a literal stands: how many bytes of a match can come before the first literal begins. Decides
//! nothing about whether a rule is good; see `load`.
//!
//! Every hit of a literal is looked at, so it is enough that each match is *certain* to hold one, at a place whose
//! distance from the match's begin is bounded. What cannot be shown within [`FUEL`] steps counts as not certain.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::Literal;

/// Steps after which an expression counts as too intricate. Real rules take a few hundred.
const FUEL: u32 = 50_000;

/// The most bytes of a match of `hir` that come before one of `literals` begins; `None` where a match need not hold
/// any of them.
pub(super) fn lead(hir: &Hir, literals: &[Literal]) -> Option<u32> {
    let mut search = Search { literals, fuel: FUEL };
    search.lead(&Rest::Node(hir, &Rest::End), 0)
}

/// What is left of an expression, front first.
#[derive(Clone, Copy)]
enum Rest<'a> {
    End,
    Node(&'a Hir, &'a Rest<'a>),
    Bytes(&'a [u8], &'a Rest<'a>),
    /// Text of any form and length: what follows the first round of a repetition.
    Opaque,
}

struct Search<'a> {
    literals: &'a [Literal],
    fuel: u32,
}

impl Search<'_> {
    fn lead(&mut self, rest: &Rest<'_>, before: u32) -> Option<u32> {
        let all: Vec<usize> = (0..self.literals.len()).collect();
        if self.begins(rest, &all, 0) {
            return Some(before);
        }
        self.fuel = self.fuel.checked_sub(1)?;
        match *rest {
            Rest::End | Rest::Opaque => None,
            Rest::Bytes(bytes, next) => match bytes.get(1..) {
                Some(tail) if !tail.is_empty() => self.lead(&Rest::Bytes(tail, next), before + 1),
                _ => self.lead(next, before + 1),
            },
            Rest::Node(hir, next) => match hir.kind() {
                HirKind::Capture(capture) => self.lead(&Rest::Node(&capture.sub, next), before),
                HirKind::Concat(subs) => self.lead_of_concat(subs, next, before),
                HirKind::Alternation(subs) => subs.iter().try_fold(0, |most, sub| {
                    Some(most.max(self.lead(&Rest::Node(sub, next), before)?))
                }),
                HirKind::Literal(literal) => self.lead(&Rest::Bytes(&literal.0, next), before),
                // A literal may stand in the first round of a repetition that cannot be left out.
                HirKind::Repetition(repetition) if repetition.min > 0 => {
                    let first = Rest::Node(&repetition.sub, &Rest::Opaque);
                    self.lead(&first, before)
                        .or_else(|| self.lead(next, before.checked_add(longest(hir)?)?))
                }
                _ => self.lead(next, before.checked_add(longest(hir)?)?),
            },
        }
    }

    fn lead_of_concat(&mut self, subs: &[Hir], next: &Rest<'_>, before: u32) -> Option<u32> {
        match subs {
            [] => self.lead(next, before),
            [first] => self.lead(&Rest::Node(first, next), before),
            [first, tail @ ..] => with_tail(tail, next, &mut |rest| {
                self.lead(&Rest::Node(first, rest), before)
            }),
        }
    }

    /// Whether every text of `rest` begins with the bytes from `at` on of one of the literals in `alive`.
    fn begins(&mut self, rest: &Rest<'_>, alive: &[usize], at: usize) -> bool {
        if alive.is_empty() || self.fuel == 0 {
            return false;
        }
        if alive.iter().any(|&n| self.literals[n].text.len() == at) {
            return true;
        }
        self.fuel -= 1;
        match *rest {
            Rest::End | Rest::Opaque => false,
            Rest::Bytes(bytes, next) => match bytes.split_first() {
                None => self.begins(next, alive, at),
                Some((&byte, tail)) => {
                    let alive = self.step(alive, at, byte);
                    self.begins(&Rest::Bytes(tail, next), &alive, at + 1)
                }
            },
            Rest::Node(hir, next) => match hir.kind() {
                HirKind::Empty | HirKind::Look(_) => self.begins(next, alive, at),
                HirKind::Literal(literal) => self.begins(&Rest::Bytes(&literal.0, next), alive, at),
                HirKind::Class(class) => self.class_begins(class, next, alive, at),
                HirKind::Capture(capture) => self.begins(&Rest::Node(&capture.sub, next), alive, at),
                HirKind::Concat(subs) => {
                    with_tail(subs, next, &mut |rest| {
                        Some(u32::from(self.begins(rest, alive, at)))
                    }) == Some(1)
                }
                HirKind::Alternation(subs) => subs
                    .iter()
                    .all(|sub| self.begins(&Rest::Node(sub, next), alive, at)),
                HirKind::Repetition(repetition) => {
                    let after = if repetition.max == Some(1) {
                        *next
                    } else {
                        Rest::Opaque
                    };
                    (repetition.min > 0 || self.begins(next, alive, at))
                        && self.begins(&Rest::Node(&repetition.sub, &after), alive, at)
                }
            },
        }
    }

    fn class_begins(&mut self, class: &Class, next: &Rest<'_>, alive: &[usize], at: usize) -> bool {
        let Class::Bytes(class) = class else { return false };
        let mut seen: Vec<Vec<usize>> = Vec::new();
        for range in class.ranges() {
            for byte in range.start()..=range.end() {
                let alive = self.step(alive, at, byte);
                if alive.is_empty() {
                    return false;
                }
                if !seen.contains(&alive) {
                    seen.push(alive);
                }
            }
        }
        !seen.is_empty() && seen.iter().all(|alive| self.begins(next, alive, at + 1))
    }

    fn step(&self, alive: &[usize], at: usize, byte: u8) -> Vec<usize> {
        alive
            .iter()
            .copied()
            .filter(|&n| {
                let literal = &self.literals[n];
                let byte = if literal.ignore_case {
                    byte.to_ascii_lowercase()
                } else {
                    byte
                };
                literal.text.get(at) == Some(&byte)
            })
            .collect()
    }
}

/// Calls `then` with `subs` put in front of `next`.
fn with_tail(subs: &[Hir], next: &Rest<'_>, then: &mut dyn FnMut(&Rest<'_>) -> Option<u32>) -> Option<u32> {
    match subs {
        [] => then(next),
        [init @ .., last] => with_tail(init, &Rest::Node(last, next), then),
    }
}

fn longest(hir: &Hir) -> Option<u32> {
    hir.properties()
        .maximum_len()
        .and_then(|bytes| u32::try_from(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead_in(regex: &str, literals: &[&str], ignore_case: bool) -> Option<u32> {
        let hir = super::super::load::parse_regex(regex).unwrap();
        let literals: Vec<Literal> = literals
            .iter()
            .map(|text| Literal {
                text: text.as_bytes().to_vec(),
                ignore_case,
            })
            .collect();
        lead(&hir, &literals)
    }

    #[test]
    fn a_literal_prefix_has_no_lead() {
        assert_eq!(lead_in("abc_[a-z]{4}", &["abc_"], false), Some(0));
        assert_eq!(lead_in("x[ab]c_[a-z]{4}", &["xac_", "xbc_"], false), Some(0));
        assert_eq!(lead_in("(?:abc|abd)_[a-z]{4}", &["abc", "abd_"], false), Some(0));
        assert_eq!(lead_in("(?i)password=.{4}", &["password"], true), Some(0));
        assert_eq!(lead_in("(?P<secret>abc_[a-z]{4})", &["abc"], false), Some(0));
    }

    #[test]
    fn what_may_precede_a_literal_is_counted_at_its_longest() {
        assert_eq!(lead_in("[a-z]{0,9}abc_", &["abc_"], false), Some(9));
        assert_eq!(lead_in("(?:x|yyy)-abc", &["abc"], false), Some(4));
        assert_eq!(lead_in("zzabc", &["abc"], false), Some(2));
        assert_eq!(lead_in("x(?:ab|cd){2}", &["ab", "cd"], false), Some(1));
    }

    #[test]
    fn a_match_without_the_literal_has_none() {
        assert_eq!(lead_in("[a-z]{9}", &["abc"], false), None);
        assert_eq!(lead_in("(?i)abc", &["abc"], false), None);
        assert_eq!(lead_in("(?:abc)?def", &["abc"], false), None);
        assert_eq!(lead_in("abc|def", &["abc"], false), None);
    }
}
