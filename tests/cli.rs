//! The commands that scan nothing, as a user runs them.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;

use crate::support::command::{Layersift, Run, layersift};
use crate::support::image::{image, images};
use crate::support::registry::registry;
use crate::support::scripted::{Reply, Server};
use crate::support::tar::file;
use crate::support::{output_of, program};

/// A password nobody has.
const PASSWORD: &str = "of no use";

/// The commands, and the long options of each, as `--help` says them.
fn command_tree() -> Vec<(String, Vec<String>)> {
    let help = layersift(["--help"]).run().expect_code(0);
    let commands = help
        .text()
        .split("Commands:\n")
        .nth(1)
        .expect("a list of commands");
    let commands = commands.split("\n\n").next().expect("it ends").lines();
    let named = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    named
        .filter(|name| !name.is_empty() && *name != "help")
        .map(|name| {
            let help = layersift([name, "--help"]).run().expect_code(0);
            let words = help.text().lines().map(str::trim_start);
            let options = words.filter(|line| line.starts_with('-')).filter_map(|line| {
                line.split([' ', ',', '.', '['])
                    .find(|word| word.starts_with("--"))
            });
            (name.to_owned(), options.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn every_shell_completes_every_command_and_option() {
    let tree = command_tree();
    assert!(
        tree.len() >= 7 && tree.iter().all(|(_, options)| options.len() >= 3),
        "{tree:?}"
    );
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = layersift(["completions", shell]).run().expect_code(0);
        for (command, options) in &tree {
            assert!(script.text().contains(command.as_str()), "{shell}: {command}");
            for option in options {
                // Fish has options without their dashes: `-l format`.
                let name = option.trim_start_matches('-');
                let written = if shell == "fish" {
                    format!("-l {name}")
                } else {
                    option.clone()
                };
                assert!(script.text().contains(&written), "{shell}: {command} {option}");
            }
        }
    }
    layersift(["completions", "nosuchshell"]).run().expect_code(2);
}

#[test]
fn bash_takes_its_completions_and_uses_them() {
    let script = layersift(["completions", "bash"]).run().expect_code(0);
    let path = script.folder.path().join("layersift.bash");
    std::fs::write(&path, &script.stdout).unwrap();
    output_of(program("bash", "bash").arg("-n").arg(&path));
    // What a user gets behind `layersift scan --min`.
    let complete = format!(
        "source '{}'; COMP_WORDS=(layersift scan --min); COMP_CWORD=2; \
         _layersift layersift --min scan; echo \"${{COMPREPLY[@]}}\"",
        path.display()
    );
    let completed = output_of(program("bash", "bash").args(["--norc", "-c", &complete]));
    assert_eq!(String::from_utf8(completed).unwrap(), "--min-confidence\n");
}

#[test]
fn there_is_a_manual_page_for_every_command_with_every_option() {
    let run = layersift(["man", "pages/man1"]).run().expect_code(0);
    assert!(run.stdout.is_empty());
    let page = |name: &str| {
        let path = run.folder.path().join("pages/man1").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let first = page("layersift.1");
    for (command, options) in command_tree() {
        let written = command.replace('-', "\\-");
        assert!(first.contains(&format!("layersift\\-{written}(1)")), "{command}");
        let page = page(&format!("layersift-{command}.1"));
        assert!(page.contains(".SH NAME"), "{command}");
        for option in options {
            let written = option.replace('-', "\\-");
            assert!(page.contains(&written), "{command}: {option}");
        }
    }
    let printed = layersift(["man"]).run().expect_code(0);
    assert_eq!(printed.text(), first);
}

#[test]
fn a_folder_for_manual_pages_that_cannot_be_made_is_named() {
    let run = layersift(["man", "taken/man1"])
        .file("taken", "")
        .run()
        .expect_code(2);
    assert!(
        run.stderr
            .starts_with("error: cannot write manual pages into `taken/man1`\n  caused by: "),
        "{}",
        run.stderr
    );
}

/// `login --check` of a host.
fn check(host: &str) -> Layersift {
    layersift(["login", "--check", host])
}

/// An entry of `auths`.
fn auth(user: &str, password: &str) -> String {
    let text = format!("{user}:{password}");
    format!(
        r#"{{"auth":"{}"}}"#,
        base64::engine::general_purpose::STANDARD.encode(text)
    )
}

/// Puts an executable file into the folder.
fn helper(command: Layersift, name: &str, script: &str) -> Layersift {
    let command = command.file(&format!("bin/{name}"), script);
    let path = command.path(format!("bin/{name}"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::join_paths([command.path("bin"), "/usr/bin".into(), "/bin".into()]).unwrap();
    command.env("PATH", path)
}

/// What it printed on both streams, with the folder as `~` and the host as `HOST`. No run may show the password.
#[track_caller]
fn told(run: &Run, host: &str) -> String {
    let told = format!("{}{}", run.text(), run.stderr);
    for secret in [
        PASSWORD.to_owned(),
        base64::engine::general_purpose::STANDARD.encode(PASSWORD),
    ] {
        assert!(!told.contains(&secret), "{told}");
    }
    let home = run.folder.path().join("home").display().to_string();
    told.replace(&home, "~")
        .replace(&run.folder.path().display().to_string(), ".")
        .replace(host, "HOST")
}

#[test]
fn a_login_is_checked_wherever_it_is_kept() {
    let registry = registry().login("robot", PASSWORD).start();
    let host = registry.host();
    let suffix = host.to_uppercase().replace(['.', ':'], "_");
    let config = |content: String| check(&host).file("home/.docker/config.json", content);
    let auths = format!(r#"{{"auths":{{"{host}":{}}}}}"#, auth("robot", PASSWORD));
    let answer =
        format!("#!/bin/sh\ncat >/dev/null; echo '{{\"Username\":\"robot\",\"Secret\":\"{PASSWORD}\"}}'\n");
    let cases = [
        (
            layersift([
                "login",
                "--check",
                &host,
                "--username",
                "robot",
                "--password-stdin",
            ])
            .stdin(format!("{PASSWORD}\n")),
            "user `robot` from `--username`",
        ),
        (
            check(&host)
                .env(&format!("LAYERSIFT_TOKEN_{suffix}"), PASSWORD)
                .env(&format!("LAYERSIFT_USERNAME_{suffix}"), "robot"),
            "user `robot` from `LAYERSIFT_TOKEN_127_0_0_1_PORT`",
        ),
        (config(auths.clone()), "user `robot` from `~/.docker/config.json`"),
        (
            check(&host)
                .file("podman.json", &auths)
                .env("REGISTRY_AUTH_FILE", "podman.json"),
            "user `robot` from `podman.json`",
        ),
        (
            check(&host).file("home/.config/containers/auth.json", &auths),
            "user `robot` from `~/.config/containers/auth.json`",
        ),
        (
            check(&host)
                .file("docker/config.json", &auths)
                .arg("--docker-config")
                .arg("docker"),
            "user `robot` from `docker/config.json`",
        ),
        (
            helper(
                config(format!(r#"{{"credHelpers":{{"{host}":"test"}}}}"#)),
                "docker-credential-test",
                &answer,
            ),
            "user `robot` from `docker-credential-test`, named in `~/.docker/config.json`",
        ),
        (
            helper(
                config(r#"{"credsStore":"test"}"#.into()),
                "docker-credential-test",
                &answer,
            ),
            "user `robot` from `docker-credential-test`, named in `~/.docker/config.json`",
        ),
    ];
    let port = host.rsplit(':').next().unwrap();
    for (command, login) in cases {
        let run = command.run().expect_code(0);
        let login = login.replace("PORT", port);
        assert_eq!(told(&run, &host), format!("HOST: ok\n  login   {login}\n"));
    }
}

#[test]
fn a_login_that_is_refused_or_missing_is_told_with_what_to_do() {
    let registry = registry().login("robot", PASSWORD).start();
    let host = registry.host();
    let run = check(&host).run().expect_code(3);
    insta::assert_snapshot!(told(&run, &host), @r"
    HOST: refused
      login   none was found
      answer  `HOST` refused access to the registry API: it asks for a login; no login for `HOST` was found
    hint: log in with `docker login` or `podman login`; `layersift login --help` lists where logins are looked for
    ");
    let wrong = format!(r#"{{"auths":{{"{host}":{}}}}}"#, auth("robot", "wrong"));
    let run = check(&host)
        .file("home/.docker/config.json", wrong)
        .run()
        .expect_code(3);
    insta::assert_snapshot!(told(&run, &host), @r"
    HOST: refused
      login   user `robot` from `~/.docker/config.json`
      answer  `HOST` refused access to the registry API: it does not accept the login
    hint: the login may be wrong or have expired: log in again where it is kept
    ");
    let store = check(&host).file("home/.docker/config.json", r#"{"credsStore":"nobody-has-this"}"#);
    let run = store.run().expect_code(3);
    insta::assert_snapshot!(told(&run, &host), @r"
    HOST: refused
      login   none was found
      answer  `HOST` refused access to the registry API: it asks for a login; the credential helper `docker-credential-nobody-has-this` is not installed
    hint: log in with `docker login` or `podman login`; `layersift login --help` lists where logins are looked for
    ");
}

#[test]
fn a_registry_that_lets_anyone_in_is_told_apart() {
    let registry = registry().start();
    let host = registry.host();
    let run = check(&host).run().expect_code(0);
    assert_eq!(
        told(&run, &host),
        "HOST: anonymous only\n  login   none was found\n"
    );
    let auths = format!(r#"{{"auths":{{"{host}":{}}}}}"#, auth("robot", PASSWORD));
    let run = check(&host)
        .file("home/.docker/config.json", auths)
        .run()
        .expect_code(0);
    assert_eq!(
        told(&run, &host),
        "HOST: anonymous only\n  login   user `robot` from `~/.docker/config.json`\n  \
         answer  the registry does not ask for a login, so it was not tried\n"
    );
}

#[test]
fn a_token_server_is_asked_without_a_repository() {
    let tokens = Server::start(|request| {
        let user = request.header("authorization").is_some();
        match (user, request.method.as_str()) {
            (true, _) => Reply::ok(r#"{"token":"for-robot"}"#),
            (false, "POST") => Reply::ok(r#"{"token":"for-identity"}"#),
            (false, _) => Reply::ok(r#"{"token":"for-anyone"}"#),
        }
    });
    let challenge = format!(r#"Bearer realm="{}",service="test""#, tokens.url("/token"));
    let registry = Server::start(move |request| match request.header("authorization") {
        Some("Bearer for-robot" | "Bearer for-identity" | "Bearer for-anyone") => Reply::ok("{}"),
        _ => Reply::new(401).header("WWW-Authenticate", &challenge),
    });
    let host = registry.host().to_owned();
    let config = |entry: &str| {
        let auths = format!(r#"{{"auths":{{"{host}":{entry}}}}}"#);
        check(&host)
            .file("home/.docker/config.json", auths)
            .run()
            .expect_code(0)
    };
    let run = check(&host).run().expect_code(0);
    assert_eq!(
        told(&run, &host),
        "HOST: anonymous only\n  login   none was found\n"
    );
    let run = config(&auth("robot", PASSWORD));
    assert_eq!(
        told(&run, &host),
        "HOST: ok\n  login   user `robot` from `~/.docker/config.json`\n"
    );
    let run = config(&format!(r#"{{"identitytoken":"{PASSWORD}"}}"#));
    assert_eq!(
        told(&run, &host),
        "HOST: ok\n  login   an identity token from `~/.docker/config.json`\n"
    );
    assert_eq!(
        tokens.paths(),
        ["/token?service=test", "/token?service=test", "/token"]
    );
    assert!(
        registry.paths().iter().all(|path| path == "/v2/"),
        "{:?}",
        registry.paths()
    );
}

#[test]
fn what_is_no_registry_is_not_taken_for_one() {
    let page = Server::start(|_| Reply::ok("<html>Sign in</html>").header("Content-Type", "text/html"));
    let missing = Server::start(|_| Reply::new(404));
    for (server, why) in [
        (
            &page,
            "the registry API cannot be understood: `HOST` answered with a web page",
        ),
        (&missing, "the registry API on `HOST` was not found"),
    ] {
        let run = check(server.host()).run().expect_code(3);
        assert_eq!(
            told(&run, server.host()),
            format!("HOST: failed\n  login   none was found\n  answer  {why}\n")
        );
    }
    let run = check("127.0.0.1:1").run().expect_code(3);
    assert!(
        run.text().starts_with("127.0.0.1:1: unreachable\n"),
        "{}",
        run.text()
    );
}

#[test]
fn a_host_that_is_none_is_not_asked_and_not_quoted() {
    for host in [
        format!("robot:{PASSWORD}@registry.example.com"),
        "registry.example.com/app".into(),
    ] {
        let run = check(&host).run().expect_code(2);
        assert!(
            run.stderr.starts_with("error: cannot check the login\n"),
            "{}",
            run.stderr
        );
        told(&run, &host);
    }
    layersift(["login", "registry.example.com"]).run().expect_code(2);
}

#[test]
fn an_authority_is_trusted_where_the_command_line_or_the_configuration_names_it() {
    let registry = registry().tls().start();
    registry.push(
        &images([image().named("app:1").layer([file("etc/one", "first")])]),
        "app",
        "1",
    );
    let (host, reference) = (registry.host(), registry.reference("app", "1"));
    let authority = std::fs::read(registry.authority()).unwrap();

    let run = check(&host).run().expect_code(3);
    assert!(told(&run, &host).starts_with("HOST: "), "{}", run.text());
    check(&host)
        .file("ca.crt", &authority)
        .arg("--ca-cert")
        .arg("ca.crt")
        .run()
        .expect_code(0);

    layersift(["scan", &reference]).run().expect_code(3);
    let trusting = layersift(["scan", &reference]).file("ca.crt", &authority);
    trusting.arg("--ca-cert").arg("ca.crt").run().expect_code(0);
    let configured = layersift(["scan", &reference, "--config", "ci/layersift.toml"])
        .file("ci/ca.crt", &authority)
        .file("ci/layersift.toml", "[scan]\nca-cert = [\"ca.crt\"]\n");
    configured.run().expect_code(0);
    let cat = layersift([
        "cat",
        &reference,
        "--layer",
        "1",
        "etc/one",
        "--ca-cert",
        "ca.crt",
    ]);
    let run = cat.file("ca.crt", &authority).run().expect_code(0);
    assert_eq!(run.text(), "first");
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_with_its_line_or_key() {
    for (content, why) in [
        (
            "[scan]\nseverity = \"high\"\nno-such-key = 1\n",
            "ci.toml:3: unknown field `no-such-key`",
        ),
        (
            "[scan]\nseverity = \"dire\"\n",
            "ci.toml:2: `severity` cannot be `dire`: expected one of",
        ),
        ("[scan\n", "ci.toml:1: "),
    ] {
        let run = layersift(["scan", "app.tar", "--config", "ci.toml"])
            .file("ci.toml", content)
            .run()
            .expect_code(2);
        let begin = format!("error: {why}");
        assert!(run.stderr.starts_with(&begin), "{}", run.stderr);
    }
}

#[test]
fn a_target_that_is_nothing_is_told_what_it_could_be() {
    let run = layersift(["scan", "Not An Image"]).run().expect_code(3);
    let told = "error: cannot scan `Not An Image`\n  caused by: `Not An Image` is no file, no directory and no \
                image reference: ";
    assert!(run.stderr.starts_with(told), "{}", run.stderr);
    assert!(
        run.stderr.contains("hint: an image is named like"),
        "{}",
        run.stderr
    );
}

#[test]
fn doctor_tells_what_a_machine_has_and_no_secret() {
    let command = helper(layersift(["doctor"]), "docker-credential-there", "#!/bin/sh\nexit 1\n")
        .file(
            "home/.docker/config.json",
            format!(
                r#"{{"auths":{{"https://index.docker.io/v1/":{},"token.example.com":{{"identitytoken":"{PASSWORD}"}},
                    "broken.example.com":{{"auth":"%"}},"left.example.com":{{}}}},
                    "credHelpers":{{"registry.example.com":"there"}},"credsStore":"missing"}}"#,
                auth("robot", PASSWORD)
            ),
        )
        .file("home/.config/containers/auth.json", "{")
        .env("XDG_RUNTIME_DIR", "/nonexistent/run")
        .env("LAYERSIFT_TOKEN_REGISTRY_EXAMPLE_COM", PASSWORD)
        .env("DOCKER_HOST", "tcp://127.0.0.1:2375")
        .env("HTTPS_PROXY", format!("http://robot:{PASSWORD}@proxy.example.com:3128"))
        .env("NO_PROXY", "localhost,.example.com");
    let only = command.path("bin");
    let run = command.env("PATH", only).run().expect_code(0);
    let told = told(&run, "no host");
    let (first, rest) = told.split_once("\nlimits\n").unwrap();
    insta::assert_snapshot!(of_any_machine(first), @r"
    layersift
      version  …
      rules  …
      system  …

    engines
      tcp://127.0.0.1:2375  Docker, not tried

    logins
      LAYERSIFT_TOKEN_REGISTRY_EXAMPLE_COM  set
      registry.example.com  from `docker-credential-there`, named in `~/.docker/config.json`
      any other registry  from `docker-credential-missing`, named in `~/.docker/config.json`
      broken.example.com  something that is no login from `~/.docker/config.json`
      docker.io  user `robot` from `~/.docker/config.json`
      token.example.com  an identity token from `~/.docker/config.json`
      /nonexistent/run/containers/auth.json  not there
      ~/.config/containers/auth.json  not used: it is not JSON of the expected form (line 1)

    credential helpers
      docker-credential-missing  missing: it is not on PATH
      docker-credential-there  ./bin/docker-credential-there

    proxies
      HTTPS_PROXY  http://***@proxy.example.com:3128
      NO_PROXY  localhost,.example.com

    TLS
      trusted roots  …
    ");
    assert!(
        rest.lines()
            .any(|line| line.split_whitespace().eq(["a", "manifest", "8.0", "MiB"])),
        "{rest}"
    );
    assert!(rest.ends_with("standard output  not a terminal, no colour, 100 columns\n  standard error   not a terminal, no colour\n"), "{rest}");
}

#[test]
fn doctor_has_nothing_to_tell_of_an_empty_machine() {
    let run = layersift(["doctor"])
        .env("PATH", "/nonexistent")
        .run()
        .expect_code(0);
    assert_eq!(run.stderr, "");
    let told = told(&run, "no host");
    let (first, _) = told.split_once("\nlimits\n").unwrap();
    insta::assert_snapshot!(of_any_machine(first), @r"
    layersift
      version  …
      rules  …
      system  …

    engines
      unix://./no-engine.sock  Docker, not there

    logins
      ~/.docker/config.json  not there
      ~/.config/containers/auth.json  not there

    credential helpers
      none

    proxies
      none

    TLS
      trusted roots  …
    ");
}

#[test]
fn doctor_tells_why_an_engine_is_not_asked() {
    let command = layersift(["doctor"]).env(
        "DOCKER_HOST",
        format!("tcp://robot:{PASSWORD}@engine.example.com"),
    );
    let run = command.run().expect_code(0);
    let told = told(&run, "no host");
    assert!(told.contains("only engines of this machine are asked"), "{told}");
}

/// What `doctor` told, without what differs between machines and versions.
fn of_any_machine(told: &str) -> String {
    let lines = told.lines().map(|line| {
        // The column depends on how long the path of the folder is.
        let Some((label, said)) = line.trim_start().split_once("  ") else {
            return line.to_owned();
        };
        let said = match label {
            "version" | "rules" | "system" | "trusted roots" => "…",
            // Whether this machine has an engine.
            "unix:///var/run/docker.sock" | "unix:///run/podman/podman.sock" => "…",
            _ => said.trim_start(),
        };
        format!("  {label}  {said}")
    });
    lines.collect::<Vec<_>>().join("\n")
}
