//! Registries that speak distribution-spec and nothing more: names of repositories, names of tags. Cannot name what no
//! tag leads to.

use super::{Contents, Driver, Tagged};
use crate::oci::Reference;
use crate::source::SourceError;
use crate::source::registry::{self, Listing, RegistryOptions};

/// A registry at `host[:port]`.
pub(in crate::sweep) struct PlainOci {
    pub(in crate::sweep) host: String,
}

impl Driver for PlainOci {
    fn kind(&self) -> &'static str {
        "oci"
    }

    fn repositories(&self, _prefix: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
        registry::repositories(&self.host, options)
    }

    fn contents(&self, repository: &str, options: &RegistryOptions) -> Result<Contents, SourceError> {
        let name = format!("{}/{repository}", self.host);
        let reference = Reference::parse(&name).map_err(|error| SourceError::NoTarget {
            what: format!("`{}`", crate::source::printable(&name)),
            why: error.reason,
        })?;
        let listing = registry::tags(&reference, options)?;
        let tagged = |name| Tagged { name, digest: None };
        Ok(Contents {
            tags: listing.names.into_iter().map(tagged).collect(),
            untagged: Vec::new(),
            invalid: listing.invalid,
            failure: listing.failure,
        })
    }
}
