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
    let local = Place::new();
    local.sweep(server.host(), 1);
    assert_same(&place, &local);
}

#[test]
fn a_layer_that_two_workers_wait_for_is_read_once() {
    let server = slow(|_, _| None);
    let queue = nats().start();
    let place = Place::new();
    let _workers = [worker(&queue), worker(&queue), worker(&queue)];
    sweep(&place, server.host(), &queue).run().expect_code(1);
    assert_eq!(blobs(&server), 2, "two layers: {:?}", server.paths());
    let local = Place::new();
    local.sweep(server.host(), 1);
    assert_same(&place, &local);
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
    let local = Place::new();
    local.sweep(server.host(), 1);
    assert_same(&place, &local);
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
    let local = Place::new();
    local.sweep(server.host(), 1);
    assert_same(&place, &local);
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
    let local = Place::new();
    local.sweep(server.host(), 1);
    assert_same(&place, &local);
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
    let with = |command: &mut Command, user: &str, password: &str| {
        start(
            command
                .args(["--queue", &queue.url(), "--queue-ca"])
                .arg(queue.authority())
                .env("LAYERSIFT_FINGERPRINT_KEY", KEY)
                .env("LAYERSIFT_QUEUE_USER", user)
                .env("LAYERSIFT_QUEUE_PASSWORD", password),
        )
    };
    let layersift = || Command::new(env!("CARGO_BIN_EXE_layersift"));
    let place = Place::new();
    let coordinator = with(
        layersift()
            .args(["sweep", server.host(), "--lease", "1s", "--state"])
            .arg(place.state()),
        "coordinator",
        "the-coordinators",
    );
    let refused = with(layersift().arg("worker"), "worker", "a-wrong-one");
    assert_eq!(refused.code(), Some(3));
    let _worker = with(layersift().arg("worker"), "worker", "the-workers");
    assert_eq!(coordinator.code(), Some(1));
    let local = Place::new();
    local.sweep(server.host(), 1);
    assert_same(&place, &local);
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
