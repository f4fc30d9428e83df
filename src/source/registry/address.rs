//! Where a request may go: classes of addresses, sites of host names, and a resolver that holds connections to
//! both. Sends nothing itself.
//!
//! A registry tells its clients where to fetch a token and a blob, so it could point them at the services of the
//! network they run in. What may be reached depends on who named the host: the user, or an answer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How far a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Reach {
    /// Public addresses only: token servers of a public registry.
    Internet,
    /// Public and private addresses: redirects of a public registry. Object stores often have a private address
    /// inside of a company.
    Network,
    /// Loopback too: whatever a registry on a local address names.
    Local,
    /// Any address: the host the user named.
    Named,
}

impl Reach {
    fn allows(self, class: Class) -> bool {
        match class {
            Class::Public => true,
            Class::Private => self >= Self::Network,
            Class::Loopback => self >= Self::Local,
            Class::Special => self >= Self::Named,
        }
    }
}

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Loopback,
    Private,
    Public,
    /// Link-local (clouds serve instance credentials there), unspecified, multicast, reserved.
    Special,
}

/// The class of `address`. IPv4 inside of IPv6 is judged as IPv4.
pub(super) fn class(address: IpAddr) -> Class {
    // The metadata services that are not link-local: AWS over IPv6, Alibaba Cloud.
    const METADATA: [IpAddr; 2] = [
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
        IpAddr::V4(std::net::Ipv4Addr::new(100, 100, 100, 200)),
    ];
    let address = unwrapped(address);
    if METADATA.contains(&address) {
        return Class::Special;
    }
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [127, ..] => Class::Loopback,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Class::Private,
            [0, ..] | [169, 254, ..] | [224..=255, ..] => Class::Special,
            _ => Class::Public,
        },
        IpAddr::V6(v6) if v6.is_loopback() => Class::Loopback,
        IpAddr::V6(v6) if v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local() => {
            Class::Special
        }
        IpAddr::V6(v6) if v6.is_unique_local() => Class::Private,
        IpAddr::V6(_) => Class::Public,
    }
}

/// The IPv4 address inside of a mapped (`::ffff:0:0/96`) or translated (`64:ff9b::/96`, RFC 6052) one.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    match v6.octets() {
        [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => IpAddr::from([a, b, c, d]),
        _ => address.to_canonical(),
    }
}

/// The address a URL names literally.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

/// Whether the host of `url` is this machine by its name or its literal address.
pub(super) fn is_loopback(url: &Url) -> bool {
    match literal(url) {
        Some(address) => class(address) == Class::Loopback,
        None => url.host_str().is_some_and(|name| {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }),
    }
}

/// Whether two hosts belong to one site: the same host, or names under one registrable domain
/// (`registry.example.com` and `auth.example.com`, but not two tenants of a hosting domain).
pub(super) fn same_site(one: &Url, other: &Url) -> bool {
    let (Some(one), Some(other)) = (one.host_str(), other.host_str()) else {
        return false;
    };
    if one == other {
        return true;
    }
    match (psl::domain_str(one), psl::domain_str(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// What the names looked up so far turned out to be: true while every address of a name was local.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<HashMap<String, bool>>>);

impl Seen {
    fn note(&self, name: &str, local: bool) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One public address ever makes a name public, or a name that alternates could have both rights.
        *names.entry(name.to_owned()).or_insert(true) &= local;
    }

    /// Whether `url`'s host is on a loopback or private address. False where that is not known, as behind a proxy.
    pub(super) fn is_local(&self, url: &Url) -> bool {
        match literal(url) {
            Some(address) => matches!(class(address), Class::Loopback | Class::Private),
            None if is_loopback(url) => true,
            None => {
                let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                url.host_str()
                    .and_then(|name| names.get(name))
                    .copied()
                    .unwrap_or(false)
            }
        }
    }
}

/// Resolves names by the system's rules and leaves out the addresses that are out of reach, so that a name which
/// points at a forbidden address cannot be connected to, whatever it pointed at a moment ago.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) reach: Reach,
    pub(super) seen: Seen,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, seen) = (self.reach, self.seen.clone());
        Box::pin(async move {
            let name = name.as_str();
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            let local = addresses
                .iter()
                .all(|address| matches!(class(address.ip()), Class::Loopback | Class::Private));
            seen.note(name, local);
            let allowed: Vec<SocketAddr> = addresses
                .into_iter()
                .filter(|address| reach.allows(class(address.ip())))
                .collect();
            if allowed.is_empty() {
                return Err(OutOfReach.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A host has only addresses that a request like this one must not go to.
#[derive(Debug, thiserror::Error)]
#[error("its address is private, and a public registry must not send clients there")]
pub(super) struct OutOfReach;

/// Checks a URL whose host is a literal address; names are checked when they are resolved.
pub(super) fn check(url: &Url, reach: Reach) -> Result<(), OutOfReach> {
    match literal(url) {
        Some(address) if !reach.allows(class(address)) => Err(OutOfReach),
        None if is_loopback(url) && !reach.allows(Class::Loopback) => Err(OutOfReach),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn every_spelling_of_a_forbidden_address_is_recognised() {
        for text in [
            "http://169.254.169.254/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://2852039166/",
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://100.100.100.200/",
            "http://255.255.255.255/",
        ] {
            assert!(check(&url(text), Reach::Local).is_err(), "{text}");
            assert!(check(&url(text), Reach::Named).is_ok(), "{text}");
        }
        for text in [
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://localhost:1/",
            "http://a.localhost./",
        ] {
            assert!(check(&url(text), Reach::Network).is_err(), "{text}");
            assert!(check(&url(text), Reach::Local).is_ok(), "{text}");
        }
        for text in [
            "http://10.1.2.3/",
            "http://172.31.0.1/",
            "http://192.168.0.1/",
            "http://[fd12::1]/",
        ] {
            assert!(check(&url(text), Reach::Internet).is_err(), "{text}");
            assert!(check(&url(text), Reach::Network).is_ok(), "{text}");
        }
        for text in [
            "http://172.32.0.1/",
            "http://192.0.2.1/",
            "http://[2001:db8::1]/",
            "http://example.com/",
        ] {
            assert!(check(&url(text), Reach::Internet).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_site_is_a_registrable_domain() {
        let same = |one: &str, other: &str| {
            same_site(
                &url(&format!("https://{one}/")),
                &url(&format!("https://{other}/")),
            )
        };
        assert!(same("registry.example.com", "auth.example.com"));
        assert!(same("example.com", "auth.example.com"));
        assert!(same("registry.example.co.uk", "auth.example.co.uk"));
        assert!(!same("example.co.uk", "attacker.co.uk"));
        assert!(!same("registry.example.com", "registry.example.com.attacker.net"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
        assert!(same("10.0.0.1", "10.0.0.1"));
        assert!(
            !same("one.github.io", "other.github.io"),
            "tenants of a hosting domain"
        );
    }

    #[test]
    fn a_name_is_local_only_while_all_its_answers_are() {
        let seen = Seen::default();
        let host = url("https://registry.internal.example/");
        assert!(!seen.is_local(&host), "unknown");
        seen.note("registry.internal.example", true);
        assert!(seen.is_local(&host));
        seen.note("registry.internal.example", false);
        seen.note("registry.internal.example", true);
        assert!(!seen.is_local(&host), "it alternates");
    }
}
