//! Docker credential helpers: a program's name and a registry → the login it holds. Shows nothing of what a helper
//! prints, since that may be the secret.
//!
//! *Source*: docker-credential-helpers, the `get` command: the server on standard input, JSON on standard output.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::credentials::Held;

/// Time for one answer: some helpers ask a cloud, none should ask a person.
const TIME: Duration = Duration::from_secs(30);

/// Bytes of an answer; tokens of clouds have a few thousand.
const OUTPUT: u64 = 64 * 1024;

/// What the names of helpers begin with.
pub(super) const PREFIX: &str = "docker-credential-";

/// The program of the helper that a configuration calls `name`.
pub(super) fn program(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Asks `docker-credential-NAME` for the login of `server`. `None` where it has none; an error says what went wrong
/// and quotes nothing.
pub(super) fn ask(name: &str, server: &str) -> Result<Option<Held>, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err("the configuration names a credential helper that cannot be one".into());
    }
    let program = program(name);
    run(OsStr::new(&program), server, TIME).map_err(|why| format!("the credential helper `{program}` {why}"))
}

fn run(program: &OsStr, server: &str, time: Duration) -> Result<Option<Held>, String> {
    // The protocol is made of lines.
    if server.is_empty() || server.chars().any(char::is_control) {
        return Err("was not asked: the name of the registry holds control characters".into());
    }
    let deadline = Instant::now() + time;
    let mut command = Command::new(program);
    command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "is not installed".to_owned(),
        _ => format!("cannot be started: {error}"),
    })?;
    let mut child = Running { child, reaped: false };
    if let Some(mut input) = child.child.stdin.take() {
        // One that does not read its input may still answer.
        let _ = input.write_all(format!("{server}\n").as_bytes());
    }
    let output = child.child.stdout.take().expect("it is piped");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(OUTPUT + 1).read_to_end(&mut bytes);
        let _ = sender.send(read.map(|_| bytes));
    });
    let late = || format!("gave no answer within {} s", time.as_secs_f32());
    let bytes = receiver
        .recv_timeout(time)
        .map_err(|_| late())?
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > OUTPUT {
        return Err("printed more than 64 KiB".into());
    }
    let status = loop {
        match child.child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => {
                child.reaped = true;
                break status;
            }
            None if Instant::now() >= deadline => return Err(late()),
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    if !status.success() {
        // What helpers say where they simply have nothing.
        return match String::from_utf8_lossy(&bytes).contains("credentials not found") {
            true => Ok(None),
            false => Err(format!("failed ({status})")),
        };
    }
    parse(&bytes)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Held>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(default)]
        username: String,
        #[serde(default)]
        secret: String,
    }
    let Answer { username, secret } =
        serde_json::from_slice(bytes).map_err(|_| "printed something that is not an answer".to_owned())?;
    Ok((!secret.is_empty()).then(|| Held::of(username, secret)))
}

/// A child that is ended with everything it started when nobody waits for it any more.
struct Running {
    child: Child,
    /// Whether its end was seen: from then on its number may belong to another process.
    reaped: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        #[cfg(unix)]
        if let Ok(id) = i32::try_from(self.child.id())
            && let Some(group) = rustix::process::Pid::from_raw(id)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::credentials::Credentials;
    use super::*;

    /// Runs a helper that is the shell script `body`.
    fn script(body: &str, time: Duration) -> Result<Option<Held>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker-credential-test");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // A thread of another test that forks right now holds the script open for writing for a moment.
        for _ in 0..50 {
            match run(path.as_os_str(), "registry.example.com", time) {
                Err(why) if why.contains("Text file busy") => thread::sleep(Duration::from_millis(10)),
                result => return result,
            }
        }
        panic!("the script stays busy");
    }

    fn soon(body: &str) -> Result<Option<Held>, String> {
        script(body, Duration::from_secs(10))
    }

    #[test]
    fn a_helper_is_given_the_registry_and_its_answer_is_read() {
        let answer = r#"read server; test "$1" = get && echo "{\"ServerURL\":\"x\",\"Username\":\"$server\",\"Secret\":\"s\"}""#;
        let expected = Credentials {
            username: "registry.example.com".into(),
            password: "s".into(),
        };
        assert_eq!(soon(answer), Ok(Some(Held::Password(expected))));
        assert_eq!(
            soon(r#"echo '{"Username":"<token>","Secret":"s"}'"#),
            Ok(Some(Held::Identity("s".into())))
        );
        let multiline = soon(r#"printf '{"Username":"u","Secret":"a\\nb"}'"#).unwrap();
        assert!(matches!(multiline, Some(Held::Password(held)) if held.password == "a\nb"));
    }

    #[test]
    fn a_helper_without_a_login_is_no_error() {
        assert_eq!(
            soon("echo credentials not found in native keychain; exit 1"),
            Ok(None)
        );
        assert_eq!(soon("echo '{}'"), Ok(None));
    }

    #[test]
    fn what_a_broken_helper_prints_is_not_shown() {
        for (body, why) in [
            ("echo of-no-use; echo of-no-use >&2; exit 3", "failed"),
            ("echo of-no-use", "not an answer"),
            ("exit 0", "not an answer"),
            (
                r#"printf '{"Username":"u","Secret":"of-no-use"'"#,
                "not an answer",
            ),
            ("kill -9 $$", "failed"),
            ("exec yes of-no-use", "more than 64 KiB"),
        ] {
            let error = soon(body).unwrap_err();
            assert!(error.contains(why), "{body}: {error}");
            assert!(!error.contains("of-no-use"), "{error}");
        }
        let error = run(OsStr::new("docker-credential-nobody-has-this"), "host", TIME).unwrap_err();
        assert_eq!(error, "is not installed");
    }

    /// Whether a process has ended and waits for its parent, which in a container may never come.
    fn is_zombie(id: rustix::process::Pid) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero())).is_ok_and(|stat| {
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim().starts_with('Z'))
        })
    }

    #[test]
    fn a_helper_that_hangs_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        for body in ["wait", "exit 0"] {
            // The child writes its number, so that its end can be seen.
            let pid = folder.path().join("pid");
            let body = format!("sleep 60 & echo $! > '{}'; {body}", pid.display());
            let error = script(&body, Duration::from_millis(500)).unwrap_err();
            assert!(error.contains("no answer within"), "{body}: {error}");
            let id: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
            let id = rustix::process::Pid::from_raw(id).unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            while rustix::process::test_kill_process(id).is_ok() && !is_zombie(id) {
                assert!(Instant::now() < deadline, "{body}: the child lives on");
                thread::sleep(Duration::from_millis(10));
            }
        }
        let error = script("exec >&-; sleep 60", Duration::from_millis(500)).unwrap_err();
        assert!(
            error.contains("no answer within"),
            "one that closes its output: {error}"
        );
    }

    #[test]
    fn neither_a_name_nor_a_registry_can_inject_anything() {
        for name in ["", "../x", "a b", "a/b", "a;b", "a\nb", "ä"] {
            assert!(
                ask(name, "host").unwrap_err().contains("cannot be one"),
                "{name:?}"
            );
        }
        for server in ["", "a\nb", "a\rb", "a\0b"] {
            assert!(run(OsStr::new("sh"), server, TIME).is_err(), "{server:?}");
        }
    }
}
