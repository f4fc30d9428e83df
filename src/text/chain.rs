//! The way from a file to the bytes something stands in: through members of archives, compressed streams and encoded
//! text. Says where, not how to get there; see [`crate::content`].

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::Name;
use super::{Lossless, escape};

/// One step into nested content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Link {
    /// A text that was decoded: `base64`, `utf-16le`, …
    Encoding(#[serde(with = "super::name")] Name),
    /// A member of an archive, by its name as stored.
    Member(Lossless),
    /// A stream that was decompressed: `gzip`, `xz`, …
    Stream(#[serde(with = "super::name")] Name),
}

/// Steps into nested content, the outermost first; empty for what stands in the file itself. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Link>", into = "Vec<Link>")]
pub struct Chain(Arc<[Link]>);

impl Chain {
    /// This way and one step more.
    pub fn then(&self, link: Link) -> Self {
        Self(self.0.iter().cloned().chain([link]).collect())
    }

    /// This way, and from its end the other.
    pub fn join(&self, further: &Self) -> Self {
        if further.is_empty() {
            return self.clone();
        }
        self.0.iter().chain(&*further.0).cloned().collect()
    }

    /// The steps.
    pub fn links(&self) -> &[Link] {
        &self.0
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the innermost member, if there is one: what the content is called there.
    pub fn member(&self) -> Option<&[u8]> {
        self.0.iter().rev().find_map(|link| match link {
            Link::Member(path) => Some(path.0.as_slice()),
            Link::Encoding(_) | Link::Stream(_) => None,
        })
    }
}

impl From<Vec<Link>> for Chain {
    fn from(links: Vec<Link>) -> Self {
        Self(links.into())
    }
}

impl From<Chain> for Vec<Link> {
    fn from(chain: Chain) -> Self {
        chain.0.to_vec()
    }
}

impl FromIterator<Link> for Chain {
    fn from_iter<I: IntoIterator<Item = Link>>(links: I) -> Self {
        Self(links.into_iter().collect())
    }
}

/// As it stands behind a path, escaped: `!/BOOT-INF/x`, `!(gzip)!/etc/key`.
impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for link in &*self.0 {
            match link {
                Link::Encoding(name) | Link::Stream(name) => write!(f, "!({name})")?,
                Link::Member(path) => write!(f, "!/{}", escape(&path.0))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_as_what_follows_a_path() {
        let chain = Chain::default()
            .then(Link::Stream("gzip"))
            .then(Link::Member("etc/a\nb".into()))
            .then(Link::Encoding("base64"));
        assert_eq!(chain.to_string(), "!(gzip)!/etc/a\\nb!(base64)");
        assert_eq!(chain.member(), Some(&b"etc/a\nb"[..]));
        assert_eq!(Chain::default().to_string(), "");
    }
}
