//! Amazon ECR by distribution-spec, with the login that `aws ecr get-login-password` gives, which is valid for twelve
//! hours: names of repositories, names of tags. Its own API, which names untagged manifests and times, wants requests that
//! are signed with AWS's keys; that is left to `aws`, whose lists are swept as a file of references.

use super::Driver;

/// A registry at `ACCOUNT.dkr.ecr.REGION.amazonaws.com`.
pub(super) struct Ecr {
    pub(super) host: String,
}

impl Driver for Ecr {
    fn kind(&self) -> &'static str {
        "ecr"
    }

    fn host(&self) -> &str {
        &self.host
    }
}
