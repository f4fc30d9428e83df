//! The name of a repository or of a registry → the tags or the repositories it lists. Reads no image, and keeps what was
//! listed before a failure.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use super::RegistryOptions;
use super::client::{Client, Wanted};
use super::credentials::Account;
use crate::limits::{LimitHit, Limits};
use crate::oci::Reference;
use crate::source::SourceError;

/// What a registry listed.
#[derive(Debug, Default)]
pub struct Listing {
    /// The names, sorted, each once.
    pub names: Vec<String>,
    /// How many names were left out because no image can be asked for by them.
    pub invalid: u64,
    /// Why there may be more than these.
    pub failure: Option<SourceError>,
}

/// Lists the tags of the repository of `reference`, whose own tag does not matter.
///
/// *Errors*: where the registry's name is not a host, a file of `options` cannot be read, or the machine gives no
/// threads. What the registry does wrong is [`Listing::failure`]. *Cost*: one request for each page. *Source*:
/// distribution-spec, "Listing Tags".
pub fn tags(reference: &Reference, options: &RegistryOptions) -> Result<Listing, SourceError> {
    let account = Account::new(reference.registry(), reference.repository());
    let name = reference.name();
    list(account, &Wanted::Tags, options, |tag| {
        Reference::parse(&format!("{name}:{tag}")).is_ok_and(|parsed| parsed.tag() == Some(tag))
    })
}

/// Lists the repositories of the registry `host[:port]` that the login may see.
///
/// *Errors* and *cost* as for [`tags`]. Large public registries have no such list. *Source*: the catalog of the Docker
/// registry's HTTP API V2, which distribution-spec reserves as `_catalog`.
pub fn repositories(registry: &str, options: &RegistryOptions) -> Result<Listing, SourceError> {
    let account = Account::new(registry, "");
    let registry = account.registry.clone();
    list(account, &Wanted::Catalog, options, |repository| {
        Reference::parse(&format!("{registry}/{repository}"))
            .is_ok_and(|parsed| parsed.tag() == Some("latest") && parsed.digest().is_none())
    })
}

/// A page of tags. Registries give `null` where there is none; where the field is missing it is another document.
#[derive(Deserialize)]
struct Tags {
    #[serde(deserialize_with = "Option::deserialize")]
    tags: Option<Vec<String>>,
}

/// A page of repositories.
#[derive(Deserialize)]
struct Catalog {
    #[serde(deserialize_with = "Option::deserialize")]
    repositories: Option<Vec<String>>,
}

fn list(
    account: Account,
    wanted: &Wanted,
    options: &RegistryOptions,
    is_valid: impl Fn(&str) -> bool,
) -> Result<Listing, SourceError> {
    let limits: &Limits = &options.limits;
    let client = Client::for_account(account, options, &Arc::default())?;
    let runtime = super::runtime(options)?;
    let mut listing = Listing::default();
    let mut seen = HashSet::new();
    let read = client.pages(wanted, limits.list_bytes, |bytes| {
        let page = match wanted {
            Wanted::Catalog => serde_json::from_slice(&bytes).map(|page: Catalog| page.repositories),
            _ => serde_json::from_slice(&bytes).map(|page: Tags| page.tags),
        };
        let page = page.map_err(|error| SourceError::Malformed {
            what: wanted.to_string(),
            // The text of the error could repeat what the registry sent.
            why: format!("it is not JSON of the expected form (line {})", error.line()),
        })?;
        for name in page.unwrap_or_default() {
            if !is_valid(&name) {
                listing.invalid += 1;
            } else if seen.len() >= limits.names {
                return Err(SourceError::Limit {
                    what: wanted.to_string(),
                    limit: LimitHit::Names,
                });
            } else if seen.insert(name.clone()) {
                listing.names.push(name);
            }
        }
        Ok(())
    });
    let failure = runtime.block_on(read).err();
    listing.failure = failure;
    // Registries keep to no order, whatever they promise.
    listing.names.sort_unstable();
    Ok(listing)
}
