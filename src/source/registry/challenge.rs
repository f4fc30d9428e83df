//! `WWW-Authenticate` headers → the ways a registry accepts credentials. Decides nothing about whom to trust.

use http_auth::{ChallengeParser, ChallengeRef};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One way to authenticate that a registry offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with every request (RFC 7617).
    Basic,
    /// A token from a token server. *Source*: distribution, token authentication.
    Bearer(Bearer),
}

/// What a Bearer challenge says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bearer {
    /// The URL of the token server, as sent.
    pub(super) realm: String,
    /// The name of the registry at its token server.
    pub(super) service: Option<String>,
    /// What the token is to allow.
    pub(super) scope: Option<String>,
}

/// The challenges of an answer in their order. Those of other schemes, and what cannot be parsed, are left out.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE).iter().take(MAX_HEADERS) {
        let Ok(value) = value.to_str() else {
            continue;
        };
        // A challenge that cannot be parsed ends its header only; those before it stand.
        found.extend(
            ChallengeParser::new(value)
                .map_while(Result::ok)
                .filter_map(|c| known(&c)),
        );
    }
    found
}

fn known(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    if challenge.scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !challenge.scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let parameter = |name: &str| {
        let mut values = challenge
            .params
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.to_unescaped())
    };
    Some(Challenge::Bearer(Bearer {
        realm: parameter("realm")?,
        service: parameter("service"),
        scope: parameter("scope").filter(|scope| !scope.is_empty()),
    }))
}

/// Headers looked at; the rest cannot matter.
const MAX_HEADERS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn parse(values: &[&str]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        challenges(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer(Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        })
    }

    #[test]
    fn a_bearer_challenge_is_read_with_its_quoted_commas() {
        let token = "https://auth.example.com/token";
        assert_eq!(
            parse(&[
                r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull,push""#
            ]),
            [bearer(
                token,
                Some("registry.example.com"),
                Some("repository:a/b:pull,push")
            )]
        );
        assert_eq!(
            parse(&[r#"bearer REALM="https://auth.example.com/token", scope="""#]),
            [bearer(token, None, None)]
        );
        assert_eq!(parse(&[r#"Bearer realm="a\"b""#]), [bearer("a\"b", None, None)]);
    }

    #[test]
    fn several_challenges_are_read_from_one_header_or_many() {
        let token = "https://auth.example.com/token";
        let both = [Challenge::Basic, bearer(token, None, None)];
        assert_eq!(
            parse(&[r#"Basic realm="r", Bearer realm="https://auth.example.com/token""#]),
            both
        );
        assert_eq!(
            parse(&[
                r#"Basic realm="r""#,
                r#"Bearer realm="https://auth.example.com/token""#
            ]),
            both
        );
        assert_eq!(
            parse(&["Negotiate dG9rZW4=", r#"Digest nonce="x""#, "Basic"]),
            [Challenge::Basic]
        );
    }

    #[test]
    fn a_challenge_without_a_realm_is_left_out() {
        assert_eq!(
            parse(&[r#"Bearer service="x""#, "Bearer", "", ",,,", "=", "Bearer realm="]),
            []
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(value in "[ -~]{0,200}") {
            let _ = parse(&[&value]);
        }
    }
}
