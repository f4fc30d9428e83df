//! Puts the halves of a credential together that do not stand together: a key id in the environment, its secret in a
//! file, or each in a layer of its own.

use std::collections::{HashMap, HashSet};

use crate::engine::Candidate;
use crate::finding::{Companion, Line, Location, Occurrence, Origin, Secret, Status, Verification};
use crate::rules::{Confidence, Evidence, Rule, RuleSet};
use crate::text::Lossless;
use crate::text::chain::{Chain, Link};
use crate::text::context::ContextLine;

use super::classify::Standing;

/// A candidate at one place of one image.
pub(super) struct Sighting<'r> {
    pub(super) image: usize,
    pub(super) candidate: &'r Candidate,
    pub(super) origin: Origin,
    pub(super) within: Chain,
    pub(super) status: Status,
    pub(super) location: Location,
    pub(super) companions: &'r [Location],
    pub(super) context: &'r [ContextLine],
    pub(super) verification: Verification,
    /// What the image knows of the file, where it is in one.
    pub(super) standing: Option<Standing>,
}

/// An occurrence of a credential whose halves are together.
pub(super) struct Hit {
    pub(super) rule: u32,
    pub(super) secret: Secret,
    pub(super) identifier: Option<Secret>,
    pub(super) evidence: Vec<Evidence>,
    pub(super) occurrence: Occurrence,
    /// Whether its file is published content.
    pub(super) is_published: bool,
    /// Whether it is half of a credential whose other half was not found.
    is_lone: bool,
}

/// Joins the sightings of one image.
///
/// An id that stands alone although it is paired elsewhere is no leak of its own and is dropped; a secret that stands
/// alone although it is paired elsewhere is one more occurrence. A half that may be of several rules is of the one whose
/// other half is there; what stays alone is reported once, as what it most likely is.
pub(super) fn join(rules: &RuleSet, sightings: Vec<Sighting<'_>>) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut lone_ids = Vec::new();
    let mut lone_secrets = Vec::new();
    let mut paired = HashSet::new();
    for sighting in sightings {
        let Some(rule) = rules.rules().get(sighting.candidate.rule as usize) else {
            continue;
        };
        match (sighting.candidate.part, main_part(rule)) {
            (None, Some(main)) if rule.identifier => {
                match sighting
                    .candidate
                    .companions
                    .iter()
                    .position(|companion| companion.part as usize == main)
                {
                    Some(place) => {
                        paired.insert((sighting.candidate.rule, sighting.candidate.text.clone()));
                        hits.push(together(rule, &sighting, place));
                    }
                    None => lone_ids.push(sighting),
                }
            }
            (Some(_), Some(_)) if rule.identifier => lone_secrets.push(sighting),
            _ => hits.push(whole(rule, &sighting)),
        }
    }
    let known: HashSet<(u32, Secret)> = hits.iter().map(|hit| (hit.rule, hit.secret.clone())).collect();
    lone_ids.retain(|id| !paired.contains(&(id.candidate.rule, id.candidate.text.clone())));
    let mut used = HashSet::new();
    for secret in lone_secrets {
        let rule = &rules.rules()[secret.candidate.rule as usize];
        let is_known = known.contains(&(secret.candidate.rule, secret.candidate.text.clone()));
        let is_main = secret.candidate.part.map(|part| part as usize) == main_part(rule);
        let id = (!is_known && is_main)
            .then(|| {
                let mine = lone_ids
                    .iter()
                    .filter(|id| id.candidate.rule == secret.candidate.rule);
                // The first of equals, so that the order of layers decides and not chance.
                mine.rev().max_by_key(|id| nearness(id, &secret))
            })
            .flatten();
        if let Some(id) = id {
            used.insert((id.candidate.rule, id.candidate.text.clone()));
        }
        let mut hit = apart(&secret, id);
        hit.is_lone = id.is_none() && !is_known;
        hits.push(hit);
    }
    lone_ids.retain(|id| !used.contains(&(id.candidate.rule, id.candidate.text.clone())));
    hits.extend(
        lone_ids
            .iter()
            .map(|id| whole(&rules.rules()[id.candidate.rule as usize], id)),
    );
    drop_rival_halves(rules, &mut hits);
    hits
}

/// Of several readings of one lone half keeps the best; none of them where the same bytes are part of a whole credential.
fn drop_rival_halves(rules: &RuleSet, hits: &mut Vec<Hit>) {
    type Place = (Origin, Chain, u64, u64);
    let place = |hit: &Hit| -> Place {
        let location = hit.occurrence.location;
        let occurrence = &hit.occurrence;
        (
            occurrence.origin.clone(),
            occurrence.within.clone(),
            location.offset,
            location.length,
        )
    };
    // A whole credential outranks any half; then confidence, then severity, then the first rule.
    let rank = |hit: &Hit| {
        let severity = rules.rules().get(hit.rule as usize).map(|rule| rule.severity);
        (
            !hit.is_lone,
            hit.occurrence.confidence,
            severity,
            std::cmp::Reverse(hit.rule),
        )
    };
    let mut ranked: Vec<&Hit> = hits.iter().collect();
    ranked.sort_by_key(|hit| rank(hit));
    let best: HashMap<Place, u32> = ranked.into_iter().map(|hit| (place(hit), hit.rule)).collect();
    hits.retain(|hit| !hit.is_lone || best.get(&place(hit)) == Some(&hit.rule));
}

/// What the identifier of a pair is called in reports.
const ID: &str = "id";

/// The part that makes an identifier a credential.
fn main_part(rule: &Rule) -> Option<usize> {
    rule.parts.iter().position(|part| !part.optional)
}

/// The nearest thing two halves have in common, which says how likely they belong together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Image,
    Layer,
    Directory,
    Place,
}

fn nearness(a: &Sighting<'_>, b: &Sighting<'_>) -> Nearness {
    match (&a.origin, &b.origin) {
        (
            Origin::File { layer, path, .. },
            Origin::File {
                layer: other_layer,
                path: other,
                ..
            },
        ) => {
            if path == other && a.within == b.within {
                Nearness::Place
            } else if directory(path, &a.within) == directory(other, &b.within) {
                Nearness::Directory
            } else if layer == other_layer {
                Nearness::Layer
            } else {
                Nearness::Image
            }
        }
        (Origin::Config { field, .. }, Origin::Config { field: other, .. }) if field == other => {
            Nearness::Place
        }
        (
            Origin::Config { .. } | Origin::Manifest { .. },
            Origin::Config { .. } | Origin::Manifest { .. },
        ) => Nearness::Directory,
        _ => Nearness::Image,
    }
}

/// The path of the innermost file without its last part, and the archives it is in.
fn directory<'a>(path: &'a Lossless, within: &'a Chain) -> (Option<&'a Lossless>, &'a [Link], &'a [u8]) {
    let of = |path: &'a [u8]| &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)];
    let links = within.links();
    match links
        .iter()
        .enumerate()
        .rev()
        .find_map(|(number, link)| match link {
            Link::Member(member) => Some((number, member)),
            Link::Encoding(_) | Link::Stream(_) => None,
        }) {
        Some((number, member)) => (Some(path), &links[..number], of(&member.0)),
        None => (None, &[], of(&path.0)),
    }
}

/// A sighting that is a finding as it is.
fn whole(rule: &Rule, sighting: &Sighting<'_>) -> Hit {
    let companions = companions(rule, sighting, None);
    hit(
        sighting,
        sighting.candidate.text.clone(),
        None,
        sighting.location,
        companions,
    )
}

/// An id with its secret next to it: the secret's place counts.
fn together(rule: &Rule, sighting: &Sighting<'_>, main: usize) -> Hit {
    let candidate = sighting.candidate;
    let mut companions = companions(rule, sighting, Some(main));
    companions.insert(
        0,
        Companion {
            part: ID.to_owned(),
            secret: candidate.text.clone(),
            origin: sighting.origin.clone(),
            within: sighting.within.clone(),
            location: sighting.location,
        },
    );
    let location = sighting
        .companions
        .get(main)
        .copied()
        .unwrap_or(sighting.location);
    let secret = candidate.companions[main].text.clone();
    hit(
        sighting,
        secret,
        Some(candidate.text.clone()),
        location,
        companions,
    )
}

/// A secret that stands alone, with the id that goes with it where there is one.
fn apart(secret: &Sighting<'_>, id: Option<&Sighting<'_>>) -> Hit {
    let companions = id
        .map(|id| Companion {
            part: ID.to_owned(),
            secret: id.candidate.text.clone(),
            origin: id.origin.clone(),
            within: id.within.clone(),
            location: id.location,
        })
        .into_iter()
        .collect();
    let identifier = id.map(|id| id.candidate.text.clone());
    let mut hit = hit(
        secret,
        secret.candidate.text.clone(),
        identifier,
        secret.location,
        companions,
    );
    if let Some(id) = id {
        hit.evidence.retain(|evidence| *evidence != Evidence::Unpaired);
        hit.evidence.push(Evidence::Paired);
        hit.evidence.sort_unstable();
        let doubtful = |sighting: &Sighting<'_>| sighting.candidate.evidence.contains(&Evidence::Sample);
        hit.occurrence.confidence = match nearness(id, secret) {
            _ if doubtful(id) || doubtful(secret) => Confidence::Low,
            Nearness::Place | Nearness::Directory => Confidence::High,
            Nearness::Layer | Nearness::Image => Confidence::Medium.max(hit.occurrence.confidence),
        };
    }
    hit
}

fn companions(rule: &Rule, sighting: &Sighting<'_>, without: Option<usize>) -> Vec<Companion> {
    let candidate = sighting.candidate;
    candidate
        .companions
        .iter()
        .zip(sighting.companions)
        .enumerate()
        .filter(|(place, _)| Some(*place) != without)
        .map(|(_, (companion, location))| Companion {
            part: rule
                .parts
                .get(companion.part as usize)
                .map(|part| part.name.clone())
                .unwrap_or_default(),
            secret: companion.text.clone(),
            origin: sighting.origin.clone(),
            within: sighting.within.clone(),
            location: *location,
        })
        .collect()
}

fn hit(
    sighting: &Sighting<'_>,
    secret: Secret,
    identifier: Option<Secret>,
    location: Location,
    companions: Vec<Companion>,
) -> Hit {
    // Context is told relative to the line of the candidate itself, which for a pair is that of the id.
    let line = |delta: i64| sighting.location.line.saturating_add_signed(delta);
    Hit {
        rule: sighting.candidate.rule,
        secret,
        identifier,
        evidence: sighting.candidate.evidence.clone(),
        occurrence: Occurrence {
            image: sighting.image,
            origin: sighting.origin.clone(),
            within: sighting.within.clone(),
            status: sighting.status.clone(),
            location,
            companions,
            context: sighting
                .context
                .iter()
                .map(|context| Line {
                    number: line(context.delta),
                    text: context.text.clone(),
                    here: line(context.delta) == location.line,
                })
                .collect(),
            confidence: sighting.candidate.confidence,
            class: sighting.standing.as_ref().map(|standing| standing.class.clone()),
            verification: sighting.verification,
            made_by: None,
        },
        is_published: sighting
            .standing
            .as_ref()
            .is_some_and(|standing| standing.is_published),
        is_lone: false,
    }
}
