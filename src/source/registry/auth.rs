//! A registry's challenge → the `Authorization` header that answers it. Sends no credential to a token server it
//! has not judged, and shows none in any message.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::RegistryOptions;
use super::address::{self, Reach};
use super::challenge::{Bearer, Challenge};
use super::credentials::{self, Account, Credentials, Held, KnownLogin, Login, Origin};
use super::native::Shown;
use super::retry::Fault;
use super::transport::{self, Document, Form, Request, Transport};
use crate::source::SourceError;

/// Answers the challenges of one registry for one repository.
#[derive(Debug)]
pub(super) struct Auth {
    account: Account,
    given: Option<Credentials>,
    docker_config: Option<PathBuf>,
    trusted_realms: Vec<String>,
    token_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    login: Option<Login>,
    /// What the last challenge was answered with.
    standing: Option<Standing>,
    tokens: HashMap<Bearer, Token>,
    /// What was given for the login where no challenge asks for it.
    exchanged: Option<Token>,
}

#[derive(Clone, Debug)]
enum Standing {
    Basic(HeaderValue),
    Bearer(Bearer),
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    header: HeaderValue,
    until: Instant,
}

impl Auth {
    pub(super) fn new(account: Account, options: &RegistryOptions) -> Self {
        Self {
            account,
            given: options.credentials.clone(),
            docker_config: options.docker_config.clone(),
            trusted_realms: options.trusted_realms.clone(),
            token_bytes: options.limits.token_bytes,
            state: Mutex::default(),
        }
    }

    /// The header that answered the last challenge, while it is valid.
    pub(super) async fn standing(&self) -> Option<HeaderValue> {
        self.state.lock().await.standing()
    }

    /// The header of a login by name and password for lists that do not ask for it, in the form that they take.
    ///
    /// *Errors*: where the login is to be exchanged for a token, and is not taken.
    pub(super) async fn unasked(
        &self,
        transport: &Transport,
        service: &Url,
        shown: Shown,
    ) -> Result<Option<HeaderValue>, Fault> {
        if shown == Shown::OnDemand {
            return Ok(None);
        }
        let mut state = self.state.lock().await;
        if state.login.is_none() {
            state.login = Some(self.login().await);
        }
        let held = state.login.as_ref().and_then(|login| login.held.as_ref());
        let Some(Held::Password(login)) = held else {
            return Ok(None);
        };
        Ok(match shown {
            Shown::OnDemand => None,
            Shown::Password => Some(basic(login)),
            Shown::Token => sensitive(&format!("Bearer {}", login.password)),
            Shown::Exchanged(path) => {
                let token = match state.exchanged.clone().filter(Token::is_valid) {
                    Some(token) => token,
                    None => self.exchange(transport, service, path, login).await?,
                };
                let header = token.header.clone();
                state.exchanged = Some(token);
                Some(header)
            }
        })
    }

    /// Asks for a token at a path of the service, with the login in JSON. *Source*: Docker Hub API, "Create access token".
    async fn exchange(
        &self,
        transport: &Transport,
        service: &Url,
        path: &str,
        login: &Credentials,
    ) -> Result<Token, Fault> {
        let mut url = service.clone();
        url.set_path(path);
        let body = serde_json::json!({"identifier": login.username, "secret": login.password});
        let form = Form {
            body: body.to_string(),
            media_type: "application/json",
            secret: login.password.clone(),
        };
        self.ask_for_token(transport, url, None, Some(form), Reach::Named)
            .await
    }

    /// The header that answers `challenges`, which came for a request that carried `sent`.
    ///
    /// *Errors*: where no challenge can be answered, with the reason of the first that could not.
    pub(super) async fn answer(
        &self,
        transport: &Transport,
        registry: &Url,
        challenges: &[Challenge],
        sent: Option<&HeaderValue>,
    ) -> Result<HeaderValue, Fault> {
        // Held over the request to the token server: of many downloads whose token expired, one asks for a new one.
        let mut state = self.state.lock().await;
        if let Some(standing) = state.standing().filter(|standing| Some(standing) != sent) {
            return Ok(standing);
        }
        state.tokens.retain(|_, token| Some(&token.header) != sent);
        if state.login.is_none() {
            state.login = Some(self.login().await);
        }
        let held = state.login.as_ref().and_then(|login| login.held.clone());

        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer(bearer) => Some(bearer),
            Challenge::Basic => None,
        });
        let failed = match bearer {
            Some(bearer) => match self
                .token(transport, registry, bearer, held.as_ref(), &mut state)
                .await
            {
                Ok(header) => return Ok(header),
                Err(Fault::Lasting(error)) => Some(error),
                Err(passing) => return Err(passing),
            },
            None => None,
        };
        if let Some(Held::Password(login)) = &held
            && challenges.contains(&Challenge::Basic)
        {
            let header = basic(login);
            if Some(&header) == sent {
                return Err(self.refused(registry, "it does not accept the login", &state));
            }
            state.standing = Some(Standing::Basic(header.clone()));
            return Ok(header);
        }
        Err(match failed {
            Some(error) => self.explained(error, &state).into(),
            None if challenges.is_empty() => {
                self.refused(registry, "it offers no way to log in that is known here", &state)
            }
            None => self.refused(registry, "it asks for a login", &state),
        })
    }

    /// Adds to an error that access was refused what is known of our own login.
    pub(super) async fn explain(&self, error: SourceError) -> SourceError {
        let state = self.state.lock().await;
        self.explained(error, &state)
    }

    /// The login that answers challenges, as it may be shown, and why there may be none.
    pub(super) async fn known(&self) -> (Option<KnownLogin>, Option<String>) {
        let mut state = self.state.lock().await;
        if state.login.is_none() {
            state.login = Some(self.login().await);
        }
        let login = state.login.as_ref().expect("looked for above");
        (login.known(&self.account.registry), login.note.clone())
    }

    fn refused(&self, registry: &Url, why: &str, state: &State) -> Fault {
        let error = transport::refused(registry, &self.account.wanted(), why);
        self.explained(error, state).into()
    }

    fn explained(&self, error: SourceError, state: &State) -> SourceError {
        let hint = match &state.login {
            Some(Login { note: Some(note), .. }) => note.clone(),
            Some(Login { held: None, .. }) => format!("no login for `{}` was found", self.account.registry),
            _ => return error,
        };
        match error {
            SourceError::Refused { host, what, why } => SourceError::Refused {
                host,
                what,
                why: format!("{why}; {hint}"),
            },
            other => other,
        }
    }

    async fn login(&self) -> Login {
        if let Some(credentials) = &self.given {
            return Login {
                held: Some(Held::Password(credentials.clone())),
                origin: Some(Origin::Caller),
                note: None,
            };
        }
        let (account, directory) = (self.account.clone(), self.docker_config.clone());
        tokio::task::spawn_blocking(move || credentials::stored(&account, directory.as_deref()))
            .await
            .unwrap_or_default()
    }

    /// The token that answers `bearer`: a valid one if there is one, or a new one.
    async fn token(
        &self,
        transport: &Transport,
        registry: &Url,
        bearer: &Bearer,
        held: Option<&Held>,
        state: &mut State,
    ) -> Result<HeaderValue, Fault> {
        let token = match state.tokens.get(bearer).filter(|token| token.is_valid()) {
            Some(token) => token.clone(),
            None => self.fetch(transport, registry, bearer, held).await?,
        };
        let header = token.header.clone();
        state.tokens.insert(bearer.clone(), token);
        state.standing = Some(Standing::Bearer(bearer.clone()));
        Ok(header)
    }

    async fn fetch(
        &self,
        transport: &Transport,
        registry: &Url,
        bearer: &Bearer,
        held: Option<&Held>,
    ) -> Result<Token, Fault> {
        let (mut url, reach) = self.realm(transport, registry, bearer)?;
        let (mut authorization, mut form) = (None, None);
        match held {
            Some(Held::Identity(token)) => form = Some(self.refresh(bearer, token)),
            _ => self.add_question(&mut url.query_pairs_mut(), bearer),
        }
        if let Some(Held::Password(login)) = held {
            authorization = Some(basic(login));
        }
        self.ask_for_token(transport, url, authorization, form, reach)
            .await
    }

    async fn ask_for_token(
        &self,
        transport: &Transport,
        url: Url,
        authorization: Option<HeaderValue>,
        form: Option<Form>,
        reach: Reach,
    ) -> Result<Token, Fault> {
        let request = Request {
            head: false,
            what: format!("a token for {}", self.account.wanted()),
            url,
            accept: Some("application/json"),
            authorization,
            form,
            from: None,
            reach,
            redirects: None,
        };
        let asked = Instant::now();
        let answer = transport.send(&request).await?;
        if !answer.response.status().is_success() {
            return Err(transport.failure(answer, &request).await);
        }
        let host = answer.host.clone();
        let document = Document {
            what: &request.what,
            cap: self.token_bytes,
        };
        let bytes = transport
            .document(answer, document, |bytes| parse(bytes, asked).is_some())
            .await?;
        parse(&bytes, asked).ok_or_else(|| {
            SourceError::Malformed {
                what: format!("the token that `{host}` gave"),
                why: "it is not JSON with a `token`".into(),
            }
            .into()
        })
    }

    /// The body that exchanges a refresh token. *Source*: distribution, OAuth2 token authentication.
    fn refresh(&self, bearer: &Bearer, token: &str) -> Form {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", "layersift")
            .append_pair("refresh_token", token);
        self.add_question(&mut pairs, bearer);
        Form {
            body: pairs.finish(),
            media_type: "application/x-www-form-urlencoded",
            secret: token.to_owned(),
        }
    }

    /// Adds for whom the token is and what it is to allow.
    fn add_question<T: url::form_urlencoded::Target>(
        &self,
        pairs: &mut url::form_urlencoded::Serializer<'_, T>,
        bearer: &Bearer,
    ) {
        if let Some(service) = &bearer.service {
            pairs.append_pair("service", service);
        }
        for scope in self.scopes(bearer) {
            pairs.append_pair("scope", &scope);
        }
    }

    /// Judges the address of a token server.
    fn realm(
        &self,
        transport: &Transport,
        registry: &Url,
        bearer: &Bearer,
    ) -> Result<(Url, Reach), SourceError> {
        let refuse = |why: &str| transport::refused(registry, &self.account.wanted(), why);
        let realm: Url = bearer
            .realm
            .parse()
            .map_err(|_| refuse("the address of its token server is not a URL"))?;
        if !matches!(realm.scheme(), "http" | "https") || !realm.has_host() {
            return Err(refuse("the address of its token server is not http or https"));
        }
        let host = transport::host(&realm);
        if !realm.username().is_empty() || realm.password().is_some() {
            return Err(refuse(&format!(
                "the address of its token server `{host}` holds a user name"
            )));
        }
        if realm.scheme() == "http" && registry.scheme() == "https" {
            return Err(refuse(&format!("its token server `{host}` is not https")));
        }
        let chosen = self
            .trusted_realms
            .iter()
            .any(|trusted| trusted.eq_ignore_ascii_case(&host) || Some(trusted.as_str()) == realm.host_str());
        let both_here = address::is_loopback(&realm) && address::is_loopback(registry);
        if !chosen && !both_here && !address::same_site(registry, &realm) {
            return Err(refuse(&format!(
                "its token server `{host}` is on another site; if that is as it should be, allow it with `--trusted-realm {host}`"
            )));
        }
        let reach = match realm.origin() == registry.origin() || chosen {
            true => Reach::Named,
            false if transport.is_local(registry) => Reach::Local,
            false => Reach::Internet,
        };
        address::check(&realm, reach)
            .map_err(|error| refuse(&format!("its token server `{host}` is not asked: {error}")))?;
        Ok((realm, reach))
    }

    /// The scopes to ask for: those of the challenge, less whatever would allow to write.
    fn scopes(&self, bearer: &Bearer) -> Vec<String> {
        let Some(scope) = &bearer.scope else {
            // Who asks for no repository only wants to know whether the login is good.
            let repository = Some(&self.account.repository).filter(|repository| !repository.is_empty());
            return repository
                .map(|repository| format!("repository:{repository}:pull"))
                .into_iter()
                .collect();
        };
        let scopes = scope.split(' ').filter(|scope| !scope.is_empty());
        scopes.filter_map(readable).collect()
    }
}

/// A scope without the actions that write. `*` is all of them, so pulling is asked for in its place.
fn readable(scope: &str) -> Option<String> {
    // The name may hold a colon (a port), so the actions are what follows the last one.
    let (resource, actions) = scope.rsplit_once(':')?;
    if !resource.starts_with("repository:") {
        return Some(scope.to_owned());
    }
    let mut kept: Vec<&str> = Vec::new();
    for action in actions.split(',') {
        let action = if action == "*" { "pull" } else { action };
        if !matches!(action, "push" | "delete" | "") && !kept.contains(&action) {
            kept.push(action);
        }
    }
    (!kept.is_empty()).then(|| format!("{resource}:{}", kept.join(",")))
}

impl State {
    fn standing(&self) -> Option<HeaderValue> {
        match self.standing.as_ref()? {
            Standing::Basic(header) => Some(header.clone()),
            Standing::Bearer(bearer) => {
                let token = self.tokens.get(bearer)?;
                token.is_valid().then(|| token.header.clone())
            }
        }
    }
}

impl Token {
    /// For how long it is sent, from when it was asked for.
    pub(super) fn lifetime(&self, asked: Instant) -> Duration {
        self.until.duration_since(asked)
    }

    fn is_valid(&self) -> bool {
        self.until > Instant::now()
    }
}

fn basic(login: &Credentials) -> HeaderValue {
    let text = format!("{}:{}", login.username, login.password);
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
    sensitive(&text).expect("base64 is a header value")
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Reads a token server's answer; `asked` is when it was asked.
pub(super) fn parse(bytes: &[u8], asked: Instant) -> Option<Token> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<serde_json::Value>,
    }
    let answer: Answer = serde_json::from_slice(bytes).ok()?;
    let filled = |token: Option<String>| token.filter(|token| !token.is_empty());
    let token = filled(answer.token).or_else(|| filled(answer.access_token))?;
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    // A token without a lifetime is valid for a minute at least, and never taken for valid longer than a day.
    let seconds = answer.expires_in.and_then(|value| value.as_f64()).unwrap_or(60.0);
    let lifetime = Duration::from_secs_f64(seconds.clamp(60.0, 86_400.0));
    Some(Token {
        header: sensitive(&format!("Bearer {token}"))?,
        until: asked + lifetime.mul_f64(0.9),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm(registry: &str, realm: &str) -> Result<Reach, String> {
        let account = Account {
            registry: "registry".into(),
            repository: "app".into(),
        };
        let options = RegistryOptions {
            trusted_realms: vec!["chosen.example.net".into()],
            ..RegistryOptions::default()
        };
        let registry: Url = registry.parse().unwrap();
        let transport = Transport::new(&options, &registry).unwrap();
        let auth = Auth::new(account, &options);
        let bearer = Bearer {
            realm: realm.into(),
            service: None,
            scope: None,
        };
        auth.realm(&transport, &registry, &bearer)
            .map(|(_, reach)| reach)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_token_servers_people_use_are_trusted() {
        for (registry, server) in [
            ("https://registry-1.docker.io/", "https://auth.docker.io/token"),
            ("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth"),
            ("https://ghcr.io/", "https://ghcr.io/token"),
            ("https://quay.io/", "https://quay.io/v2/auth"),
            ("https://registry.example.com/", "https://auth.example.com/token"),
            (
                "https://registry.example.com/",
                "https://chosen.example.net/token",
            ),
            ("http://localhost:5000/", "http://127.0.0.1:5001/token"),
            ("http://127.0.0.1:5000/", "https://127.0.0.1:5001/token"),
            ("https://10.0.0.1/", "https://10.0.0.1:8443/token"),
        ] {
            assert!(realm(registry, server).is_ok(), "{registry} {server}");
        }
    }

    #[test]
    fn no_other_token_server_is() {
        for (server, why) in [
            ("http://auth.example.com/token", "not https"),
            ("https://attacker.example.net/token", "another site"),
            ("https://registry.example.com.attacker.net/", "another site"),
            ("https://user:pw@registry.example.com/token", "user name"),
            ("https://169.254.169.254/latest", "another site"),
            ("https://127.0.0.1/token", "another site"),
            ("https://[::]/token", "another site"),
            ("https://localhost/token", "another site"),
            ("file:///etc/passwd", "not http or https"),
            ("/token", "not a URL"),
            ("", "not a URL"),
        ] {
            let error = realm("https://registry.example.com/", server).unwrap_err();
            assert!(error.contains(why), "{server}: {error}");
            assert!(!error.contains("pw"), "{error}");
        }
    }

    #[test]
    fn a_token_server_on_a_private_address_needs_a_registry_on_one() {
        assert_eq!(
            realm("https://registry.example.com/", "https://auth.example.com/"),
            Ok(Reach::Internet)
        );
        assert_eq!(
            realm("http://localhost:5000/", "http://localhost:5001/"),
            Ok(Reach::Local)
        );
        assert_eq!(
            realm("http://localhost:5000/", "http://localhost:5000/"),
            Ok(Reach::Named)
        );
    }

    #[test]
    fn scopes_that_write_are_not_asked_for() {
        for (asked, expected) in [
            ("repository:a/b:pull", Some("repository:a/b:pull")),
            ("repository:a/b:pull,push,delete", Some("repository:a/b:pull")),
            ("repository:a/b:*", Some("repository:a/b:pull")),
            (
                "repository:host:5000/b:metadata_read,pull",
                Some("repository:host:5000/b:metadata_read,pull"),
            ),
            ("repository:a/b:push", None),
            ("registry:catalog:*", Some("registry:catalog:*")),
            ("nonsense", None),
        ] {
            assert_eq!(readable(asked).as_deref(), expected, "{asked}");
        }
    }

    #[test]
    fn a_token_answer_is_read_or_refused_as_a_whole() {
        let now = Instant::now();
        let token = |text: &str| parse(text.as_bytes(), now);
        let value = |text: &str| token(text).unwrap().header.to_str().unwrap().to_owned();
        assert_eq!(value(r#"{"token":"t"}"#), "Bearer t");
        assert_eq!(value(r#"{"access_token":"a"}"#), "Bearer a");
        assert_eq!(value(r#"{"token":"","access_token":"a"}"#), "Bearer a");
        assert_eq!(value(r#"{"token":"t","access_token":"a"}"#), "Bearer t");
        for bad in [
            "",
            "null",
            "{}",
            "<html>",
            r#"{"token":""}"#,
            r#"{"token":"a\r\nX: y"}"#,
            r#"{"token":7}"#,
        ] {
            assert!(token(bad).is_none(), "{bad}");
        }
        let lifetime = |text: &str| (token(text).unwrap().until - now).as_secs();
        assert_eq!(lifetime(r#"{"token":"t"}"#), 54);
        assert_eq!(lifetime(r#"{"token":"t","expires_in":0}"#), 54);
        assert_eq!(lifetime(r#"{"token":"t","expires_in":-1}"#), 54);
        assert_eq!(lifetime(r#"{"token":"t","expires_in":300}"#), 270);
        assert_eq!(lifetime(r#"{"token":"t","expires_in":1e300}"#), 77_760);
        assert_eq!(lifetime(r#"{"token":"t","expires_in":"soon"}"#), 54);
    }
}
