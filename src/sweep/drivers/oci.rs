//! Registries that speak distribution-spec and nothing more: names of repositories, names of tags. Cannot name what no
//! tag leads to.

use super::Driver;

/// A registry at `host[:port]`.
pub(super) struct PlainOci {
    pub(super) host: String,
}

impl Driver for PlainOci {
    fn kind(&self) -> &'static str {
        "oci"
    }

    fn host(&self) -> &str {
        &self.host
    }
}
