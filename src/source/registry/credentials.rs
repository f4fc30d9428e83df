//! Where a login comes from: what the caller gave, the configuration files of Docker and Podman, and the credential
//! helpers those name. Sends it nowhere.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::{environment, helper};

/// A user name and its password or access token. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// A secret that lets somebody in. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// A refresh token, which only a token server takes.
    Identity(String),
    Password(Credentials),
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

impl Held {
    /// The secret that belongs to `username`; `<token>` marks one that only a token server takes, as helpers do.
    pub(super) fn of(username: String, secret: String) -> Self {
        match username.as_str() {
            "<token>" => Self::Identity(secret),
            _ => Self::Password(Credentials {
                username,
                password: secret,
            }),
        }
    }

    fn user(&self) -> User {
        match self {
            Self::Identity(_) => User::IdentityToken,
            Self::Password(credentials) => User::Named(credentials.username.clone()),
        }
    }
}

/// Where a login is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// With whoever called: [`super::RegistryOptions::credentials`].
    Caller,
    /// In an environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// In a configuration file of Docker or Podman.
    File {
        /// The file.
        path: PathBuf,
    },
    /// With a credential helper.
    Helper {
        /// The program.
        program: String,
        /// The file that names it.
        path: PathBuf,
    },
}

/// Whose login it is, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// Whoever the token was given to: `identitytoken`.
    IdentityToken,
    /// The user of this name.
    Named(String),
    /// The helper that knows was not asked.
    Unasked,
    /// What is stored is no login.
    Unreadable,
}

/// A login as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLogin {
    /// The registry it is for, perhaps with a path; `None` where it is for every registry that has none of its own.
    pub registry: Option<String>,
    /// Where it is kept.
    pub origin: Origin,
    /// Whose it is.
    pub user: User,
}

/// What was found for a registry.
#[derive(Debug, Default)]
pub(super) struct Login {
    pub(super) held: Option<Held>,
    /// Where `held` comes from.
    pub(super) origin: Option<Origin>,
    /// Why there may be none, for the message of a refusal.
    pub(super) note: Option<String>,
}

impl Login {
    /// That there would be one, had it been of use.
    pub(super) fn unusable(note: String) -> Self {
        Self {
            note: Some(note),
            ..Self::default()
        }
    }

    /// The login as it may be shown.
    pub(super) fn known(&self, registry: &str) -> Option<KnownLogin> {
        Some(KnownLogin {
            registry: Some(registry.to_owned()),
            origin: self.origin.clone()?,
            user: self.held.as_ref()?.user(),
        })
    }
}

/// The names under which a registry's login may be stored.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// `registry.example.com:5000`, or `docker.io`.
    pub(super) registry: String,
    /// Empty where the registry itself is meant.
    pub(super) repository: String,
}

impl Account {
    /// A repository of a registry. Every name of Docker Hub's is `docker.io`.
    pub(super) fn new(registry: &str, repository: &str) -> Self {
        Self {
            registry: match registry {
                "index.docker.io" | "registry-1.docker.io" => "docker.io".into(),
                registry => registry.into(),
            },
            repository: repository.into(),
        }
    }

    /// What access is asked for, for messages.
    pub(super) fn wanted(&self) -> String {
        match self.repository.as_str() {
            "" => "the registry API".to_owned(),
            repository => format!("`{repository}`"),
        }
    }

    /// The keys that apply, the most special first: repository, its parents, the host.
    fn keys(&self) -> Vec<String> {
        let mut path = format!("{}/{}", self.registry, self.repository);
        let mut keys = vec![path.clone()];
        while let Some(end) = path.rfind('/') {
            path.truncate(end);
            keys.push(path.clone());
        }
        keys
    }

    /// How helpers call the registry.
    fn server(&self) -> String {
        match self.registry.as_str() {
            "docker.io" => "https://index.docker.io/v1/".into(),
            registry => registry.into(),
        }
    }
}

/// Looks for the login of `account` in the environment, then in `directory`'s `config.json`, or in the user's files where
/// none is named. The first that has one counts.
pub(super) fn stored(account: &Account, directory: Option<&Path>) -> Login {
    if let Some(login) = environment::login(&account.registry) {
        return login;
    }
    let mut notes = Vec::new();
    for path in files(directory) {
        let login = match DockerConfig::read(&path) {
            Ok(Some(config)) => config.login(account),
            Ok(None) => continue,
            Err(why) => {
                let path = crate::text::escape(path.as_os_str().as_encoded_bytes());
                notes.push(format!("`{path}` was not used: {why}"));
                continue;
            }
        };
        if login.held.is_some() {
            return login;
        }
        notes.extend(login.note);
    }
    for note in &notes {
        tracing::warn!("{note}");
    }
    Login {
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        ..Login::default()
    }
}

/// A file that may keep logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginFile {
    /// The file.
    pub path: PathBuf,
    /// What it keeps, `None` where there is no such file, or why it is not used.
    pub logins: Result<Option<Vec<KnownLogin>>, String>,
}

/// The files in which logins are looked for, in that order, and what they keep. Asks no helper.
pub(super) fn listed(directory: Option<&Path>) -> Vec<LoginFile> {
    files(directory)
        .into_iter()
        .map(|path| LoginFile {
            logins: DockerConfig::read(&path).map(|config| Some(config?.listed())),
            path,
        })
        .collect()
}

fn files(directory: Option<&Path>) -> Vec<PathBuf> {
    match directory {
        Some(directory) => vec![directory.join("config.json")],
        None => user_files(),
    }
}

/// The files of Docker and Podman, in the order of looking. *Source*: `containers-auth.json(5)`.
fn user_files() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        return vec![file.into()];
    }
    let home = std::env::home_dir();
    let docker = variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(home.as_ref()?.join(".docker")));
    let config = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(home.as_ref()?.join(".config")));
    let containers = |folder: PathBuf| folder.join("containers").join("auth.json");
    [
        docker.map(|folder| folder.join("config.json")),
        variable("XDG_RUNTIME_DIR").map(PathBuf::from).map(containers),
        config.map(containers),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is read of Docker's `config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DockerConfig {
    /// Where it was read.
    #[serde(skip)]
    path: PathBuf,
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    /// The helper for a registry.
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    /// The helper for every other registry.
    #[serde(default)]
    creds_store: String,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry")
    }
}

impl DockerConfig {
    /// Reads the file. `None` where there is none; the error says why a file is not used and quotes nothing of it.
    fn read(path: &Path) -> Result<Option<Self>, String> {
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        writable_by_anyone(&file)?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_FILE + 1), &mut bytes)
            .map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MAX_FILE {
            return Err("it is larger than 1 MiB".into());
        }
        Ok(Some(Self {
            path: path.to_owned(),
            ..Self::parse(&bytes)?
        }))
    }

    /// Reads its bytes; where they come from is not known then.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes)
            .map_err(|error| format!("it is not JSON of the expected form (line {})", error.line()))
    }

    /// The login of `account`: of its helper, of the store, of the file.
    fn login(&self, account: &Account) -> Login {
        let mut note = None;
        if let Some(helper) = self.helper(account) {
            match helper::ask(helper, &account.server()) {
                Ok(None) => {}
                Ok(held) => {
                    return Login {
                        held,
                        origin: Some(self.helper_origin(helper)),
                        note: None,
                    };
                }
                Err(why) => note = Some(why),
            }
        }
        let login = self.written(account);
        Login {
            note: login.note.or(note),
            ..login
        }
    }

    fn helper(&self, account: &Account) -> Option<&str> {
        let own = self
            .cred_helpers
            .iter()
            .find(|(registry, _)| normalised(registry) == account.registry);
        let helper = own.map_or(&self.creds_store, |(_, helper)| helper);
        Some(helper.as_str()).filter(|helper| !helper.is_empty())
    }

    /// The login that stands in the file itself.
    pub(super) fn written(&self, account: &Account) -> Login {
        for key in account.keys() {
            let entry = self.auths.iter().find(|(stored, _)| normalised(stored) == key);
            let Some((_, entry)) = entry else {
                continue;
            };
            if entry.is_empty() {
                // `docker login` with a store leaves an empty entry behind.
                continue;
            }
            let held = entry.held();
            let note = held.is_none().then(|| {
                format!(
                    "the login stored for `{}` cannot be read",
                    crate::text::escape(key.as_bytes())
                )
            });
            return Login {
                held,
                origin: Some(self.own_origin()),
                note,
            };
        }
        Login::default()
    }

    /// Every login the file keeps or names a helper for.
    pub(super) fn listed(&self) -> Vec<KnownLogin> {
        let helped = |registry: Option<&String>, helper: &str| KnownLogin {
            registry: registry.map(|registry| normalised(registry)),
            origin: self.helper_origin(helper),
            user: User::Unasked,
        };
        let helpers = self.cred_helpers.iter();
        let helpers = helpers.map(|(registry, helper)| helped(Some(registry), helper));
        let store = (!self.creds_store.is_empty()).then(|| helped(None, &self.creds_store));
        let written = self.auths.iter().filter(|(_, entry)| !entry.is_empty());
        let written = written.map(|(registry, entry)| KnownLogin {
            registry: Some(normalised(registry)),
            origin: self.own_origin(),
            user: entry.held().map_or(User::Unreadable, |held| held.user()),
        });
        helpers.chain(store).chain(written).collect()
    }

    fn own_origin(&self) -> Origin {
        Origin::File {
            path: self.path.clone(),
        }
    }

    fn helper_origin(&self, helper: &str) -> Origin {
        Origin::Helper {
            program: helper::program(helper),
            path: self.path.clone(),
        }
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.auth.is_empty() && self.username.is_empty() && self.identitytoken.is_empty()
    }

    fn held(&self) -> Option<Held> {
        match self.identitytoken.is_empty() {
            true => self.credentials().map(Held::Password),
            false => Some(Held::Identity(self.identitytoken.clone())),
        }
    }

    fn credentials(&self) -> Option<Credentials> {
        if self.auth.is_empty() {
            return Some(Credentials {
                username: self.username.clone(),
                password: self.password.clone(),
            });
        }
        let lenient = GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let text = String::from_utf8(lenient.decode(self.auth.trim()).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Credentials {
            username: username.to_owned(),
            // Some tools pad the text with NULs.
            password: password.trim_end_matches('\0').to_owned(),
        })
    }
}

/// A key of the file as host and path: `https://index.docker.io/v1/` is `docker.io`.
fn normalised(key: &str) -> String {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key)
        .trim_end_matches('/');
    let key = key
        .strip_suffix("/v1")
        .or_else(|| key.strip_suffix("/v2"))
        .unwrap_or(key);
    let (host, path) = key
        .split_once('/')
        .map_or((key, None), |(host, path)| (host, Some(path)));
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    };
    match path {
        Some(path) => format!("{host}/{path}"),
        None => host.to_owned(),
    }
}

#[cfg(unix)]
fn writable_by_anyone(file: &std::fs::File) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o002 != 0 => {
            Err("everyone may write to it".into())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(not(unix))]
fn writable_by_anyone(_: &std::fs::File) -> Result<(), String> {
    Ok(())
}

/// Bytes of the file that are read.
const MAX_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn account(registry: &str, repository: &str) -> Account {
        Account {
            registry: registry.into(),
            repository: repository.into(),
        }
    }

    fn encoded(text: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(text)
    }

    fn login(config: &str, account: &Account) -> Option<(String, String)> {
        let config: DockerConfig = serde_json::from_str(config).unwrap();
        match config.login(account).held? {
            Held::Password(credentials) => Some((credentials.username, credentials.password)),
            Held::Identity(token) => Some(("<token>".into(), token)),
        }
    }

    #[test]
    fn every_spelling_of_a_host_finds_its_login() {
        let hub = account("docker.io", "library/alpine");
        let own = account("registry.example.com:5000", "team/app");
        for (key, account) in [
            ("https://index.docker.io/v1/", &hub),
            ("docker.io", &hub),
            ("registry-1.docker.io", &hub),
            ("registry.example.com:5000", &own),
            ("https://registry.example.com:5000", &own),
            ("https://registry.example.com:5000/v2/", &own),
            ("http://registry.example.com:5000/v1", &own),
        ] {
            let config = format!(r#"{{"auths":{{"{key}":{{"auth":"{}"}}}}}}"#, encoded("me:p:w"));
            assert_eq!(
                login(&config, account),
                Some(("me".into(), "p:w".into())),
                "{key}"
            );
            let other = self::account("registry.example.com", "team/app");
            assert_eq!(
                login(&config, &other),
                None,
                "{key}: another port is another registry"
            );
        }
    }

    #[test]
    fn the_longest_path_wins() {
        let config = format!(
            r#"{{"auths":{{"registry.example.com":{{"auth":"{}"}},"registry.example.com/team":{{"auth":"{}"}}}}}}"#,
            encoded("host:1"),
            encoded("team:2")
        );
        let user = |repository| {
            login(&config, &account("registry.example.com", repository))
                .unwrap()
                .0
        };
        assert_eq!(user("team/app"), "team");
        assert_eq!(user("team/app/deep"), "team");
        assert_eq!(user("teams/app"), "host");
        assert_eq!(user("app"), "host");
    }

    #[test]
    fn odd_entries_are_understood_or_named() {
        let of = |entry: &str| {
            let config = format!(r#"{{"auths":{{"registry.example.com":{entry}}}}}"#);
            let config: DockerConfig = serde_json::from_str(&config).unwrap();
            config.login(&account("registry.example.com", "app"))
        };
        let password = |entry: &str| match of(entry).held {
            Some(Held::Password(credentials)) => Some(credentials.password),
            Some(Held::Identity(token)) => Some(format!("identity {token}")),
            None => None,
        };
        assert_eq!(
            password(r#"{"auth":"","identitytoken":"t"}"#),
            Some("identity t".into())
        );
        assert_eq!(
            password(&format!(r#"{{"auth":"{}"}}"#, encoded("me:pw\0\0"))),
            Some("pw".into())
        );
        assert_eq!(
            password(&format!(
                r#"{{"auth":"{}"}}"#,
                encoded("me:pw1").trim_end_matches('=')
            )),
            Some("pw1".into())
        );
        assert_eq!(
            password(r#"{"username":"me","password":"pw"}"#),
            Some("pw".into())
        );
        assert!(
            of("{}").note.is_none(),
            "an empty entry is what a store leaves behind"
        );
        for broken in [
            r#"{"auth":"%%%"}"#.to_owned(),
            format!(r#"{{"auth":"{}"}}"#, encoded("no colon")),
        ] {
            let login = of(&broken);
            assert_eq!(login.held, None);
            assert!(login.note.is_some(), "{broken}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_everyone_may_write_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(
            &path,
            format!(
                r#"{{"auths":{{"registry.example.com":{{"auth":"{}"}}}}}}"#,
                encoded("a:b")
            ),
        )
        .unwrap();
        let account = account("registry.example.com", "app");
        assert!(stored(&account, Some(directory.path())).held.is_some());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let login = stored(&account, Some(directory.path()));
        assert_eq!(login.held, None);
        assert!(login.note.unwrap().ends_with("everyone may write to it"));
    }

    #[test]
    fn a_helper_of_a_registry_comes_before_the_store() {
        let config: DockerConfig = serde_json::from_str(
            r#"{"credsStore":"store","credHelpers":{"registry.example.com":"own","https://index.docker.io/v1/":"hub"}}"#,
        )
        .unwrap();
        let helper = |registry| config.helper(&account(registry, "app"));
        assert_eq!(helper("registry.example.com"), Some("own"));
        assert_eq!(helper("docker.io"), Some("hub"));
        assert_eq!(helper("evil-registry.example.com"), Some("store"));
        assert_eq!(helper("registry.example.com.evil.net"), Some("store"));
        assert_eq!(
            account("docker.io", "app").server(),
            "https://index.docker.io/v1/"
        );
        assert_eq!(
            account("registry.example.com:5000", "app").server(),
            "registry.example.com:5000"
        );
    }

    #[test]
    fn a_helper_that_fails_is_named_and_the_file_still_counts() {
        let config = format!(
            r#"{{"credsStore":"nobody-has-this","auths":{{"registry.example.com":{{"auth":"{}"}}}}}}"#,
            encoded("me:pw")
        );
        let config: DockerConfig = serde_json::from_str(&config).unwrap();
        assert!(
            config
                .login(&account("registry.example.com", "app"))
                .held
                .is_some()
        );
        let login = config.login(&account("other.example.com", "app"));
        assert_eq!(login.held, None);
        let note = login.note.unwrap();
        assert_eq!(
            note,
            "the credential helper `docker-credential-nobody-has-this` is not installed"
        );
    }

    #[test]
    fn credentials_do_not_show_themselves() {
        let credentials = Credentials {
            username: "someone".into(),
            password: "something".into(),
        };
        assert_eq!(format!("{credentials:?}"), "Credentials");
    }
}
