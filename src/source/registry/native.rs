//! The lists that some registries have besides those of distribution-spec: a path → the pages behind it. Knows none of
//! their forms.

use std::sync::Arc;

use super::RegistryOptions;
use super::client::Client;
use super::credentials::Account;
use crate::source::SourceError;
use crate::source::network::Runtime;

/// How the login of a registry is shown to what answers its lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// Once it is asked for.
    #[default]
    OnDemand,
    /// User and password, unasked: who shows none is shown less.
    Password,
    /// The password as a token (`Authorization: Bearer`), unasked.
    Token,
    /// A token that is given at this path for user and password, unasked.
    Exchanged(&'static str),
}

/// Pages of one list. With a hundred entries on each that is a million.
const MAX_PAGES: usize = 10_000;

/// The lists of one registry, asked for with the login for one of its repositories, or for none.
#[derive(Debug)]
pub struct NativeLists {
    client: Client,
    runtime: Arc<Runtime>,
    cap: u64,
}

impl NativeLists {
    /// Prepares to ask. No request is made yet.
    ///
    /// *Errors*: where the registry's name is not a host, or a file of `options` cannot be read.
    pub fn open(
        host: &str,
        repository: &str,
        shown: Shown,
        options: &RegistryOptions,
    ) -> Result<Self, SourceError> {
        Self::of(host, Account::new(host, repository), shown, options)
    }

    /// Prepares to ask another host than the registry, `service`, which is shown the login of the registry.
    ///
    /// *Errors*: as [`NativeLists::open`].
    pub fn elsewhere(
        service: &str,
        host: &str,
        shown: Shown,
        options: &RegistryOptions,
    ) -> Result<Self, SourceError> {
        Self::of(service, Account::new(host, ""), shown, options)
    }

    fn of(
        service: &str,
        account: Account,
        shown: Shown,
        options: &RegistryOptions,
    ) -> Result<Self, SourceError> {
        Ok(Self {
            client: Client::for_lists(service, account, shown, options)?,
            runtime: super::runtime(options)?,
            cap: options.limits.list_bytes,
        })
    }

    /// The page at a path and query of the registry, and those that its `Link` headers lead to: `take` is given each.
    ///
    /// *Errors*: those of `take`, and a list that does not end.
    pub fn pages(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let mut at = path.to_owned();
        let mut seen = std::collections::HashSet::from([at.clone()]);
        loop {
            let (bytes, next) = self.runtime.block_on(self.client.native(&at, self.cap))?;
            take(&bytes)?;
            match next {
                None => return Ok(()),
                Some(next) if seen.len() < MAX_PAGES && seen.insert(next.clone()) => at = next,
                Some(_) => {
                    return Err(SourceError::Malformed {
                        what: format!("the list `{}`", path.split('?').next().unwrap_or_default()),
                        why: "it does not end".to_owned(),
                    });
                }
            }
        }
    }
}
