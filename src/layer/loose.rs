//! Keeps the loose git objects of a stream until it has passed, since only all of them together tell what commits call
//! each. Opens none of them; see [`super::nested`].

use std::collections::BTreeMap;

use crate::content::archive::Format;
use crate::content::git::{self, Loose};
use crate::limits::Limits;

use super::archives::{Body, Content};

/// Loose objects by the folder of their repository, up to a number of bytes.
#[derive(Default)]
pub(super) struct LooseObjects {
    most: u64,
    bytes: u64,
    repositories: BTreeMap<Vec<u8>, Vec<Object>>,
    /// Whether names are missing because there is more than is kept.
    is_over: bool,
}

struct Object {
    id: Vec<u8>,
    body: Body,
}

impl LooseObjects {
    pub(super) fn new(most: u64) -> Self {
        Self {
            most,
            bytes: 0,
            repositories: BTreeMap::new(),
            is_over: false,
        }
    }

    /// Keeps the file at `path` if it is a loose object and there is room; hands it back if not.
    pub(super) fn pass(&mut self, mut body: Body, path: &[u8]) -> Option<Body> {
        let is_object = body.format == Format::GitObject;
        let Some((repository, id)) = object_id(path).filter(|_| is_object) else {
            return Some(body);
        };
        let held = match body.content {
            Content::Whole(held) if self.bytes + body.size <= self.most => held,
            content => {
                self.is_over = true;
                body.content = content;
                return Some(body);
            }
        };
        self.bytes += body.size;
        body.content = Content::Whole(held.released());
        self.repositories
            .entry(repository.to_vec())
            .or_default()
            .push(Object { id, body });
        None
    }

    /// The objects with their names, repository by repository, and whether some are told by their ids only because there
    /// are too many.
    pub(super) fn named(self, limits: &Limits) -> (Vec<Body>, bool) {
        let mut bodies = Vec::new();
        let mut is_over = self.is_over;
        for objects in self.repositories.into_values() {
            let loose: Vec<Loose<'_>> = objects
                .iter()
                .map(|object| Loose {
                    id: &object.id,
                    bytes: match &object.body.content {
                        Content::Whole(held) => &held.bytes,
                        Content::None | Content::Pieces(_) => b"",
                    },
                })
                .collect();
            let (names, is_cut) = git::names(&loose, limits);
            is_over |= is_cut;
            for (object, name) in objects.into_iter().zip(names) {
                bodies.push(Body {
                    name: Some(name),
                    ..object.body
                });
            }
        }
        (bodies, is_over)
    }
}

/// The folder of a repository and the id that the rest of the path makes: `…/objects/` and two digits, a slash and 38 or 62.
fn object_id(path: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    let (folder, name) = (&path[..slash], &path[slash + 1..]);
    let start = folder.len().checked_sub(2)?;
    let (repository, first) = folder.split_at(start);
    let id = [first, name].concat();
    let is_id = matches!(id.len(), 40 | 64) && id.iter().all(u8::is_ascii_hexdigit);
    (is_id && repository.ends_with(b"objects/")).then_some((repository, id))
}
