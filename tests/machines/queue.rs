//! With a queue on Debian's `nats-server`: whoever dies, and whenever, the state ends as that of a sweep on one machine.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::assert_same;
use crate::support::command::{Layersift, Run};
use crate::support::image::images;
use crate::support::nats::{Nats, nats};
use crate::support::registry::registry;
use crate::support::scripted::{Reply, Repository, Request, Server};
use crate::support::tar::file;
use crate::support::tls::{Authority, Certificate};
use crate::sweep::{KEY, Place, base, fill, reasons, token};

/// Long enough for anything here to happen.
const LONG: Duration = Duration::from_secs(60);

/// A process that is killed with the test.
struct Process(Child);

impl Process {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn code(mut self) -> Option<i32> {
        let until = Instant::now() + LONG;
        while Instant::now() < until {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(command: &mut Command) -> Process {
    let log = std::env::var_os("LAYERSIFT_TEST_LOG").is_some();
    let stderr = if log { Stdio::inherit() } else { Stdio::null() };
    Process(command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap())
}

/// A worker that reads one layer at a time.
fn worker(queue: &Nats) -> Process {
    start(
        Command::new(env!("CARGO_BIN_EXE_layersift"))
            .args([
                "worker",
                "--jobs",
                "1",
                "--parallel",
                "1",
                "--queue",
                &queue.url(),
            ])
            .env("LAYERSIFT_FINGERPRINT_KEY", KEY),
    )
}

/// A sweep that coordinates, in the background.
fn coordinator(place: &Place, target: &str, queue: &Nats) -> Process {
    start(
        Command::new(env!("CARGO_BIN_EXE_layersift"))
            .args([
                "sweep",
                target,
                "--lease",
                "1s",
                "--queue",
                &queue.url(),
                "--state",
            ])
            .arg(place.state()),
    )
}

/// A sweep that coordinates, to its end.
fn sweep(place: &Place, target: &str, queue: &Nats) -> Layersift {
    place.command(&["sweep", target, "--lease", "1s", "--queue", &queue.url()])
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The state is that of a sweep on this machine alone.
#[track_caller]
fn is_as_local(place: &Place, target: &str) {
    let local = Place::new();
    local.sweep(target, 1);
    assert_same(place, &local);
}

/// How many layers a state waits for.
fn layers_left(place: &Place) -> i64 {
    let run = place.command(&["sweep", "status", "--json"]).run();
    match run.code {
        Some(0) => run.json()["layers_left"].as_i64().unwrap(),
        _ => 0,
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// A registry with one image, whose answers for blobs of layers are those of `answer` where that gives one: it is told
/// the right one.
fn slow(answer: impl Fn(&Request, &Reply) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let leak = base().layer([file("srv/.env", format!("TOKEN={}\n", token(1)))]);
    let repository = Repository::of(&images([leak]));
    Server::start(move |request| {
        let is_blob = request.method == "GET" && request.path.contains("/blobs/");
        let reply = repository.reply(request);
        // The configuration is read by the sweep itself.
        let answered = match is_blob && !is_json(&reply) {
            true => answer(request, &reply),
            false => None,
        };
        answered.unwrap_or_else(|| match request.path.split('?').next() {
            Some("/v2/_catalog") => Reply::ok(r#"{"repositories":["app"]}"#),
            Some("/v2/app/tags/list") => Reply::ok(r#"{"name":"app","tags":["1"]}"#),
            _ => reply,
        })
    })
}

fn is_json(reply: &Reply) -> bool {
    let mut reply = reply.clone();
    reply.body_mut().first() == Some(&b'{')
}

/// The requests for layers so far.
fn blobs(server: &Server) -> usize {
    let requests = server.requests();
    let blobs = requests
        .iter()
        .filter(|request| request.method == "GET" && request.path.contains("/blobs/"));
    // One is for the configuration.
    blobs.count().saturating_sub(1)
}

#[test]
fn two_workers_make_the_state_of_a_sweep() {
    let registry = registry().start();
    fill(&registry);
    let local = Place::new();
    local.sweep(&registry.host(), 1);
    let queue = nats().start();
    let _workers = [worker(&queue), worker(&queue)];
    let place = Place::new();
    sweep(&place, &registry.host(), &queue).run().expect_code(1);
    assert_same(&place, &local);
    // The next one has nothing for anybody.
    sweep(&place, &registry.host(), &queue).run().expect_code(1);
}

#[test]
fn a_killed_coordinator_finds_what_was_read_without_it_and_nothing_on_the_queue_is_secret() {
    let password = "a-password-nobody-has";
    let registry = registry().login("robot", password).start();
    fill(&registry);
    let place = Place::new();
    let login = place.login(&registry.host(), "robot", password);
    let auth = std::fs::read_to_string(login.join("config.json")).unwrap();
    let auth: serde_json::Value = serde_json::from_str(&auth).unwrap();
    let auth = auth["auths"][registry.host()]["auth"].as_str().unwrap();
    let queue = nats().start();
    let with_login = |command: &mut Command| start(command.arg("--docker-config").arg(&login));
    let mut coordinator = with_login(
        Command::new(env!("CARGO_BIN_EXE_layersift"))
            .args([
                "sweep",
                &registry.host(),
                "--lease",
                "1s",
                "--queue",
                &queue.url(),
                "--state",
            ])
            .arg(place.state()),
    );
    until("layers wait", || {
        layers_left(&place) > 20 && has(&queue.kept(), "application/vnd.oci")
    });
    std::thread::sleep(Duration::from_millis(300));
    coordinator.kill();
    let jobs = queue.kept();
    let worker = with_login(
        Command::new(env!("CARGO_BIN_EXE_layersift"))
            .args(["worker", "--idle", "3s", "--queue", &queue.url()])
            .env("LAYERSIFT_FINGERPRINT_KEY", KEY),
    );
    assert_eq!(worker.code(), Some(0));
    let outcomes = queue.kept();
    assert!(outcomes.len() > jobs.len());
    for kept in [jobs, outcomes] {
        for secret in [password, auth, KEY, &token(3), &token(5), &token(7)] {
            assert!(!has(&kept, secret));
        }
    }
    // Nobody reads any more: all is there.
    let end = sweep(&place, &registry.host(), &queue)
        .arg("--docker-config")
        .arg(&login);
    end.run().expect_code(1);
    let local = Place::new();
    let command = local.command(&["sweep", &registry.host()]);
    command.arg("--docker-config").arg(&login).run().expect_code(1);
    assert_same(&place, &local);
}

#[test]
fn a_worker_that_is_killed_in_the_middle_of_a_layer_is_replaced() {
    let hangs = Arc::new(AtomicBool::new(true));
    let is_hanging = Arc::clone(&hangs);
    let server = slow(move |_, reply| {
        is_hanging
            .load(Ordering::SeqCst)
            .then(|| reply.clone().stall(100))
    });
    let queue = nats().start();
    let place = Place::new();
    let coordinator = coordinator(&place, server.host(), &queue);
    let mut first = worker(&queue);
    until("a layer is being read", || blobs(&server) > 0);
    first.kill();
    hangs.store(false, Ordering::SeqCst);
    let _second = worker(&queue);
    assert_eq!(coordinator.code(), Some(1));
    is_as_local(&place, server.host());
}

#[test]
fn a_layer_that_two_workers_wait_for_is_read_once() {
    let server = slow(|_, _| None);
    let queue = nats().start();
    let place = Place::new();
    let _workers = [worker(&queue), worker(&queue), worker(&queue)];
    sweep(&place, server.host(), &queue).run().expect_code(1);
    assert_eq!(blobs(&server), 2, "two layers: {:?}", server.paths());
    is_as_local(&place, server.host());
}

#[test]
fn a_layer_that_kills_every_worker_is_given_up_and_the_others_are_read() {
    let poison = Arc::new(AtomicBool::new(true));
    let is_poison = Arc::clone(&poison);
    let met = Arc::new(AtomicUsize::new(0));
    let meets = Arc::clone(&met);
    let leak = base().layer([file("srv/.env", format!("TOKEN={}\n", token(1)))]);
    let layout = images([leak]).oci_layout();
    let smallest = layout
        .iter()
        .filter(|(path, bytes)| path.starts_with("blobs/") && bytes.first() != Some(&b'{'))
        .min_by_key(|(_, bytes)| bytes.len());
    let poisoned = smallest.unwrap().0.rsplit('/').next().unwrap().to_owned();
    let server = slow(move |request, reply| {
        if !is_poison.load(Ordering::SeqCst) || !request.path.ends_with(&poisoned) {
            return None;
        }
        meets.fetch_add(1, Ordering::SeqCst);
        Some(reply.clone().stall(100))
    });
    let queue = nats().start();
    let place = Place::new();
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Whoever meets it dies.
        scope.spawn(|| {
            let mut seen = 0;
            let mut running = worker(&queue);
            while !end.load(Ordering::SeqCst) {
                if met.load(Ordering::SeqCst) > seen {
                    seen = met.load(Ordering::SeqCst);
                    running.kill();
                    running = worker(&queue);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let run = sweep(&place, server.host(), &queue)
            .args(["--max-deaths", "2"])
            .run();
        end.store(true, Ordering::SeqCst);
        assert_eq!(run.code, Some(4), "{}", run.stderr);
        assert!(
            run.stderr.contains("2 workers that read it died"),
            "{}",
            run.stderr
        );
    });
    assert_eq!(met.load(Ordering::SeqCst), 2);
    assert_eq!(reasons(&place), ["poisoned"]);
    assert_eq!(layers_left(&place), 0);
    poison.store(false, Ordering::SeqCst);
    place.sweep(server.host(), 1);
    assert_eq!(reasons(&place), [""; 0]);
    let local = Place::new();
    local.sweep(server.host(), 1);
    assert_eq!(place.report(), local.report());
}

#[test]
fn a_server_that_is_killed_and_started_again_loses_nothing() {
    let server = slow(|request, _| {
        let nth = request.nth;
        (nth == 0).then(|| Reply::new(503).header("Retry-After", "1"))
    });
    let mut queue = nats().start();
    let place = Place::new();
    let coordinator = coordinator(&place, server.host(), &queue);
    let _worker = worker(&queue);
    until("a layer is being read", || blobs(&server) > 0);
    queue.kill();
    std::thread::sleep(Duration::from_millis(500));
    queue.restart();
    assert_eq!(coordinator.code(), Some(1));
    is_as_local(&place, server.host());
}

#[test]
fn a_server_that_lost_everything_is_given_it_again() {
    let server = slow(|_, _| None);
    let mut queue = nats().start();
    let place = Place::new();
    let coordinator = coordinator(&place, server.host(), &queue);
    until("layers wait", || has(&queue.kept(), "application/vnd.oci"));
    queue.kill();
    std::fs::remove_dir_all(queue.store()).unwrap();
    queue.restart();
    let _worker = worker(&queue);
    assert_eq!(coordinator.code(), Some(1));
    is_as_local(&place, server.host());
}

#[test]
fn a_registry_that_asks_one_worker_to_wait_is_left_alone_by_all() {
    let start = Arc::new(std::sync::Mutex::new(None::<Instant>));
    let first = Arc::clone(&start);
    let early = Arc::new(AtomicUsize::new(0));
    let too_early = Arc::clone(&early);
    let pause = Duration::from_secs(4);
    let server = slow(move |_, _| {
        let mut first = first.lock().unwrap();
        match *first {
            None => {
                *first = Some(Instant::now());
                Some(Reply::new(429).header("Retry-After", &pause.as_secs().to_string()))
            }
            Some(since) => {
                if since.elapsed() < pause - Duration::from_millis(500) {
                    too_early.fetch_add(1, Ordering::SeqCst);
                }
                None
            }
        }
    });
    let queue = nats().start();
    let place = Place::new();
    let coordinator = coordinator(&place, server.host(), &queue);
    let _first = worker(&queue);
    until("one is asked to wait", || start.lock().unwrap().is_some());
    std::thread::sleep(Duration::from_millis(300));
    // There is a layer for it.
    let _second = worker(&queue);
    assert_eq!(coordinator.code(), Some(1));
    assert!(start.lock().unwrap().unwrap().elapsed() >= pause);
    assert_eq!(early.load(Ordering::SeqCst), 0);
    is_as_local(&place, server.host());
}

#[test]
fn a_record_over_the_limit_of_a_message_arrives() {
    let registry = registry().start();
    let names = (0..2000).map(|number| file(format!("usr/share/{}", token(number)), "x"));
    registry.push(&images([base().layer(names.collect::<Vec<_>>())]), "app", "1");
    let local = Place::new();
    local.command(&["sweep", &registry.host()]).run();
    let queue = nats().max_payload(16 << 10).start();
    let _worker = worker(&queue);
    let place = Place::new();
    sweep(&place, &registry.host(), &queue).run();
    assert_same(&place, &local);
    let connection = rusqlite::Connection::open(place.state()).unwrap();
    let largest = connection.query_row("SELECT max(length(record)) FROM record", [], |row| {
        row.get::<_, i64>(0)
    });
    assert!(largest.unwrap() > 16 << 10);
}

/// The roles of `docs/machines.md`.
fn roles() -> String {
    let text = include_str!("../../docs/machines.md");
    let users = text
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    users
        .replace("$COORDINATOR_PASSWORD", "the-coordinators")
        .replace("$WORKER_PASSWORD", "the-workers")
}

#[test]
fn a_sweep_and_a_worker_need_no_more_than_the_rights_of_their_roles() {
    let server = slow(|_, _| None);
    let queue = nats().max_payload(8 << 10).users(&roles()).tls().start();
    works_with_logins(&server, &queue, |command, role| {
        let (user, password) = match role {
            Role::Coordinator => ("coordinator", "the-coordinators"),
            Role::Stranger => ("worker", "a-wrong-one"),
            Role::Worker => ("worker", "the-workers"),
        };
        command
            .env("LAYERSIFT_QUEUE_USER", user)
            .env("LAYERSIFT_QUEUE_PASSWORD", password);
    });
}

/// Who logs in.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Coordinator,
    /// Whom the queue must not let in.
    Stranger,
    Worker,
}

/// A sweep and a worker that log in as `login` has it do their work, and a stranger is not let in.
#[track_caller]
fn works_with_logins(server: &Server, queue: &Nats, login: impl Fn(&mut Command, Role)) {
    let with = |command: &mut Command, role: Role| {
        command
            .args(["--queue", &queue.url()])
            .env("LAYERSIFT_FINGERPRINT_KEY", KEY);
        if queue.url().starts_with("tls:") {
            command.arg("--queue-ca").arg(queue.authority());
        }
        login(command, role);
        start(command)
    };
    let layersift = || Command::new(env!("CARGO_BIN_EXE_layersift"));
    let place = Place::new();
    let coordinator = with(
        layersift()
            .args(["sweep", server.host(), "--lease", "1s", "--state"])
            .arg(place.state()),
        Role::Coordinator,
    );
    let refused = with(layersift().arg("worker"), Role::Stranger);
    assert_eq!(refused.code(), Some(3));
    let _worker = with(layersift().arg("worker"), Role::Worker);
    assert_eq!(coordinator.code(), Some(1));
    is_as_local(&place, server.host());
}

#[test]
fn a_server_that_asks_for_certificates_is_shown_one() {
    let server = slow(|_, _| None);
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let queue = nats().tls().certificates_of(&ours.file(folder.path())).start();
    let write = |name: &str, certificate: Certificate| {
        let (pem, key) = (
            folder.path().join(format!("{name}.pem")),
            folder.path().join(format!("{name}.key")),
        );
        std::fs::write(&pem, certificate.pem).unwrap();
        std::fs::write(&key, certificate.key).unwrap();
        (pem, key)
    };
    let good = write("worker", ours.sign("worker.example.com", false));
    let wrong = write("stranger", others.sign("worker.example.com", false));
    works_with_logins(&server, &queue, |command, role| {
        let (pem, key) = if role == Role::Stranger { &wrong } else { &good };
        command.arg("--queue-cert").arg(pem).arg("--queue-key").arg(key);
    });
}

/// A JSON Web Token as NATS has them: claims of `of`, signed by `by`.
fn token_of(by: &nkeys::KeyPair, of: &nkeys::KeyPair, claims: serde_json::Value) -> String {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let head = serde_json::json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let body = serde_json::json!({"jti": "test", "iat": 1_700_000_000, "iss": by.public_key(), "sub": of.public_key(),
        "name": "test", "nats": claims});
    let text = format!(
        "{}.{}",
        encode(head.to_string().as_bytes()),
        encode(body.to_string().as_bytes())
    );
    let signature = by.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", encode(&signature))
}

/// A server whose users an operator's accounts vouch for, as `nsc` sets it up.
#[test]
fn a_credentials_file_lets_a_sweep_and_a_worker_in() {
    let server = slow(|_, _| None);
    let operator = nkeys::KeyPair::new_operator();
    let account = |jetstream: i64| {
        let key = nkeys::KeyPair::new_account();
        let claims = serde_json::json!({"type": "account", "version": 2, "limits": {"subs": -1, "data": -1, "payload": -1,
            "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1, "mem_storage": jetstream,
            "disk_storage": jetstream, "streams": jetstream, "consumer": jetstream}});
        let token = token_of(&operator, &key, claims);
        (key, token)
    };
    let (ours, ours_token) = account(-1);
    let (system, system_token) = account(0);
    let operator_token = token_of(
        &operator,
        &operator,
        serde_json::json!({"type": "operator", "version": 2, "system_account": system.public_key()}),
    );
    let queue = nats()
        .users(&format!(
            "operator: \"{operator_token}\"\nsystem_account: {}\nresolver: MEMORY\n\
             resolver_preload {{ {}: \"{ours_token}\", {}: \"{system_token}\" }}\n",
            system.public_key(),
            ours.public_key(),
            system.public_key()
        ))
        .start();
    let folder = tempfile::tempdir().unwrap();
    let credentials = |name: &str, by: &nkeys::KeyPair| {
        let user = nkeys::KeyPair::new_user();
        let claims = serde_json::json!({"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1,
            "payload": -1});
        let token = token_of(by, &user, claims);
        let path = folder.path().join(format!("{name}.creds"));
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed().unwrap()
        );
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = credentials("worker", &ours);
    let wrong = credentials("stranger", &nkeys::KeyPair::new_account());
    works_with_logins(&server, &queue, |command, role| {
        let path = if role == Role::Stranger { &wrong } else { &good };
        command.arg("--queue-creds").arg(path);
    });
}

#[test]
fn a_queue_that_cannot_be_used_is_named_and_no_password_is() {
    let place = Place::new();
    let server = slow(|_, _| None);
    let told = |run: &Run, words: &[&str]| {
        for word in words {
            assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
        }
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", free.local_addr().unwrap());
    drop(free);
    let run = place
        .command(&["sweep", server.host(), "--queue", &url])
        .run()
        .expect_code(3);
    told(&run, &["cannot use the queue at"]);
    let run = place
        .command(&[
            "sweep",
            server.host(),
            "--queue",
            "nats://me:a-password@127.0.0.1",
        ])
        .run()
        .expect_code(3);
    told(&run, &["can be read by others"]);
    assert!(!run.stderr.contains("a-password"), "{}", run.stderr);
    let run = place
        .command(&["sweep", server.host(), "--queue", &url])
        .env("LAYERSIFT_QUEUE_TOKEN", "a-token")
        .env("LAYERSIFT_QUEUE_USER", "me")
        .run()
        .expect_code(2);
    told(&run, &["LAYERSIFT_QUEUE_TOKEN"]);
    assert!(!run.stderr.contains("a-token"), "{}", run.stderr);
    assert!(
        Path::new(&place.state()).exists(),
        "lists and manifests were read"
    );
}
