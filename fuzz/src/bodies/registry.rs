//! What registries, token servers and credential helpers answer, and what a login file holds.

use std::time::{Duration, SystemTime};

use layersift::source::registry::User;
use layersift::source::registry::fuzzing::{
    challenges, continues, docker_config, helper_answer, next_page, retry_after, token,
};
use url::Url;

use super::{Target, contains};

pub const CHALLENGE: Target = Target {
    name: "www_authenticate",
    body: challenge,
    seeds: || {
        [
            r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull""#,
            r#"Basic realm="r", Bearer realm="https://auth.example.com/token""#,
            r#"bearer REALM="a\"b", scope="""#,
            "Negotiate dG9rZW4=",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    words: &[
        b"Bearer ",
        b"Basic ",
        b"realm=\"",
        b"service=\"",
        b"scope=\"",
        b"\\\"",
        b", ",
        b"error=\"invalid_token\"",
    ],
    longest: 1024,
};

pub const HEADERS: Target = Target {
    name: "registry_headers",
    body: headers,
    seeds: || {
        [
            "</v2/app/tags/list?n=100&last=z>; rel=\"next\"",
            "<https://registry.example.com/v2/_catalog?last=b>; rel=next",
            "bytes 10-99/100",
            "120",
            "Wed, 21 Oct 2015 07:28:00 GMT",
            r#"{"token":"abc","expires_in":300,"access_token":"def"}"#,
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    words: &[
        b">; rel=\"next\"",
        b"<//",
        b"</v2/",
        b"</../",
        b"@",
        b"bytes ",
        b"/*",
        b"18446744073709551615",
        b"\"expires_in\":",
        b"\"token\":\"",
        b"1e308",
    ],
    longest: 1024,
};

pub const DOCKER_CONFIG: Target = Target {
    name: "docker_config",
    body: config,
    seeds: || {
        [
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"},"registry.example.com":{"username":"u","password":"p"}}}"#,
            r#"{"auths":{"registry.example.com/team":{"identitytoken":"t"}},"credsStore":"desktop"}"#,
            r#"{"credHelpers":{"registry.example.com":"ecr-login"},"auths":{"registry.example.com":{}}}"#,
            r#"{"ServerURL":"https://registry.example.com","Username":"<token>","Secret":"s"}"#,
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    words: &[
        b"\"auths\":{",
        b"\"auth\":\"",
        b"\"identitytoken\":\"",
        b"\"credHelpers\":{",
        b"\"credsStore\":\"",
        b"\"Username\":\"",
        b"\"Secret\":\"",
        b"registry.example.com",
        b"https://",
        b"/v1/",
    ],
    longest: 2048,
};

fn challenge(bytes: &[u8]) {
    let found = challenges(bytes);
    assert!(found.len() <= bytes.len());
    for [realm, service, scope] in found.into_iter().flatten() {
        let realm = realm.expect("a challenge without a realm is none");
        let texts = [&realm, &service.unwrap_or_default(), &scope.unwrap_or_default()];
        let length: usize = texts.iter().map(|text| text.len()).sum();
        assert!(length <= bytes.len());
        // Nothing that could end a header or a line of a log.
        assert!(!texts.iter().any(|text| text.contains(['\r', '\n', '\0'])));
    }
}

fn headers(bytes: &[u8]) {
    let page = Url::parse("https://registry.example.com/v2/app/tags/list").expect("it is a URL");
    if let Some(next) = next_page(&page, bytes) {
        assert_eq!(next.origin(), page.origin(), "a list leads elsewhere");
        assert!(next.path().starts_with("/v2/") && next.username().is_empty() && next.password().is_none());
    }
    // A part that goes on somewhere else would be put together wrongly.
    assert!(!(continues(bytes, 10, Some(100)) && continues(bytes, 11, Some(100))));
    assert!(!(continues(bytes, 10, Some(100)) && continues(bytes, 10, Some(101))));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let long = retry_after(text, SystemTime::UNIX_EPOCH);
        let late = retry_after(text, SystemTime::UNIX_EPOCH + Duration::from_secs(60));
        assert_eq!(long.is_some(), late.is_some());
        assert!(late <= long);
    }
    let lifetime = token(bytes);
    assert!(
        lifetime.is_none_or(|time| (Duration::from_secs(54)..=Duration::from_secs(86_400)).contains(&time))
    );
}

fn config(bytes: &[u8]) {
    if let Some(login) = helper_answer(bytes) {
        assert!(!login.secret.is_empty() && login.secret.len() <= bytes.len());
    }
    for repository in ["", "team/app", "a/../b", "team"] {
        let Some((logins, login)) = docker_config(bytes, "registry.example.com", repository) else {
            return;
        };
        assert!(logins.len() <= bytes.len());
        if let Some(login) = login {
            assert!(login.secret.len() <= bytes.len() && login.username.len() <= bytes.len());
            // What is shown of logins is not their secret, unless somebody wrote it elsewhere too.
            let elsewhere = |known: &layersift::source::registry::KnownLogin| {
                let user = match &known.user {
                    User::Named(name) => name.as_str(),
                    _ => "",
                };
                let origin = format!("{:?}", known.origin);
                user.contains(&login.secret)
                    || known
                        .registry
                        .as_ref()
                        .is_some_and(|name| name.contains(&login.secret))
                    || origin.contains(&login.secret)
            };
            if login.secret.len() >= 12 && login.secret.is_ascii() && !logins.iter().any(elsewhere) {
                assert!(!contains(
                    format!("{logins:?}").as_bytes(),
                    login.secret.as_bytes()
                ));
            }
        }
    }
}
