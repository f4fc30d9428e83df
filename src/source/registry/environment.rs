//! Logins in environment variables, one for each registry: a registry's name → the names of its variables, and what they
//! hold. Reads no variable that is not named after the registry.

use super::credentials::{Held, Login, Origin};

/// What the name of a variable that holds a password or an access token begins with.
pub(super) const TOKEN: &str = "LAYERSIFT_TOKEN_";

/// What the name of a variable that holds a user name begins with.
const USERNAME: &str = "LAYERSIFT_USERNAME_";

/// Who logs in where no variable says it. Registries that take access tokens do not ask whose they are.
const ANYONE: &str = "token";

/// The login that the environment has for `registry`, `host[:port]` with `docker.io` for Docker Hub.
pub(super) fn login(registry: &str) -> Option<Login> {
    let suffix = suffix(registry)?;
    let variable = format!("{TOKEN}{suffix}");
    let token = read(&variable)?;
    let username = format!("{USERNAME}{suffix}");
    let username = match read(&username) {
        None => ANYONE.to_owned(),
        Some(Ok(name)) => name,
        Some(Err(why)) => return Some(Login::unusable(format!("`{username}` was not used: {why}"))),
    };
    Some(match token {
        Ok(token) => Login {
            held: Some(Held::of(username, token)),
            origin: Some(Origin::Environment { variable }),
            note: None,
        },
        Err(why) => Login::unusable(format!("`{variable}` was not used: {why}")),
    })
}

/// The variables that hold a login for some registry, in order.
pub(super) fn variables() -> Vec<String> {
    let mut names: Vec<String> = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(TOKEN))
        .collect();
    names.sort();
    names
}

/// The value of a variable, without the line end that a shell may have left there. `None` where it is not set or empty.
fn read(variable: &str) -> Option<Result<String, &'static str>> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
    Some(match value.into_string() {
        Ok(value) => Ok(value.trim_end_matches(['\r', '\n']).to_owned()),
        Err(_) => Err("it is not UTF-8"),
    })
}

/// How variables call a registry: in upper case, `_` for each `.` and `:`, `__` for each `-`. `None` for names that could
/// be taken for another registry's, whose token they must not get, and for addresses in brackets.
fn suffix(registry: &str) -> Option<String> {
    let (host, port) = match registry.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    // Between labels that neither begin nor end with `-`, a run of `_` can be read in one way only.
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Or else `10.0.0:1` were `10.0.0.1`.
    let is_name = !host.rsplit('.').next().is_some_and(is_number);
    let is_address = host.parse::<std::net::Ipv4Addr>().is_ok();
    if !host.split('.').all(is_label) || !(is_name || is_address) || !port.is_none_or(is_number) {
        return None;
    }
    let registry = registry.to_ascii_uppercase();
    Some(registry.replace('-', "__").replace(['.', ':'], "_"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_variable_is_called_like_its_registry() {
        for (registry, expected) in [
            ("docker.io", Some("DOCKER_IO")),
            ("Registry.example.com", Some("REGISTRY_EXAMPLE_COM")),
            ("registry.example.com:5000", Some("REGISTRY_EXAMPLE_COM_5000")),
            ("my-registry.example.com", Some("MY__REGISTRY_EXAMPLE_COM")),
            ("xn--bcher-kva.example", Some("XN____BCHER__KVA_EXAMPLE")),
            ("localhost:5000", Some("LOCALHOST_5000")),
            ("10.0.0.1", Some("10_0_0_1")),
            ("10.0.0:1", None),
            ("localhost.5000", None),
            ("a-.example.com", None),
            ("-a.example.com", None),
            ("a..example.com", None),
            ("a_b.example.com", None),
            ("registry.example.com:", None),
            ("registry.example.com:80:80", None),
            ("[::1]:5000", None),
            ("", None),
        ] {
            assert_eq!(suffix(registry).as_deref(), expected, "{registry}");
        }
    }

    proptest! {
        #[test]
        fn no_two_registries_share_a_variable(names in prop::collection::vec("[a-b1.:-]{1,6}", 2..200)) {
            let mut taken: HashMap<String, String> = HashMap::new();
            for name in names {
                if let Some(suffix) = suffix(&name) {
                    let other = taken.entry(suffix).or_insert_with(|| name.clone());
                    prop_assert_eq!(&*other, &name);
                }
            }
        }
    }
}
