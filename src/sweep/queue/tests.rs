//! What every queue must do, asked of the one in memory and of the one on Debian's `nats-server`.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::job::{Job, Loss, POISONED, Place, Verdict};
use super::super::terms::Terms;
use super::nats::{Nats, QueueOptions};
use super::{LayerQueue, Local, Put};
use crate::oci::Digest;
use crate::text::secret::Sealer;

/// A lease that runs out while a test waits for it; those that do not have [`LONG`] ones.
const LEASE: Duration = Duration::from_secs(1);
const DEATHS: u32 = 2;
const PARALLEL: usize = 2;

/// Long enough for a lease to run out and for what follows from it.
const LONG: Duration = Duration::from_secs(10);

struct Server(Child, tempfile::TempDir);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server(max_payload: usize) -> (Server, String) {
    let folder = tempfile::tempdir().unwrap();
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let config = folder.path().join("nats.conf");
    let store = folder.path().join("store");
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", max_file_store: 2GB }}\nmax_payload: {max_payload}\n",
        store.display()
    );
    std::fs::write(&config, text).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let process = Command::new("nats-server")
        // Debian keeps it where only root's PATH looks.
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .or_else(|_| {
            Command::new("/usr/sbin/nats-server")
                .arg("--config")
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        })
        .expect(
            "this test needs `nats-server`: install the Debian package `nats-server`, or run tests/setup",
        );
    let until = Instant::now() + LONG;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "the server does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    (Server(process, folder), format!("nats://127.0.0.1:{port}"))
}

/// A queue on a server of its own, with the registries of [`job`].
fn on_nats(max_payload: usize, lease: Duration) -> (Nats, Server) {
    let (server, url) = server(max_payload);
    let terms = Terms {
        rules: "rules".to_owned(),
        key: "key".to_owned(),
        limits: "limits".to_owned(),
    };
    let options = QueueOptions {
        lease,
        deaths: DEATHS,
        ..QueueOptions::at(&url)
    };
    let sealer = Sealer::keyed(b"a key".to_vec());
    let hosts = vec!["one.example.com".to_owned(), "two.example.com:5000".to_owned()];
    let queue = Nats::lead(options, terms, sealer, Arc::default(), hosts, PARALLEL).unwrap();
    (queue, server)
}

/// Asks the same of both.
fn both(lease: Duration, ask: impl Fn(&dyn LayerQueue)) {
    ask(&Local::new(PARALLEL, DEATHS));
    let (queue, _server) = on_nats(1 << 20, lease);
    ask(&queue);
}

fn job(number: u64, host: &str) -> Job {
    Job {
        digest: Digest::of(&number.to_le_bytes()),
        size: Some(number),
        media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
        places: vec![Place {
            host: host.to_owned(),
            repository: "app".to_owned(),
        }],
    }
}

fn loss(why: &str) -> Verdict {
    Verdict::Lost(Loss::lasting("not-found", why))
}

/// Takes until there is something.
fn take(queue: &dyn LayerQueue) -> Box<dyn super::Lease + '_> {
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        if let Some(lease) = queue.take(Duration::from_millis(50)).unwrap() {
            return lease;
        }
    }
    panic!("there is nothing to take");
}

fn outcome(queue: &dyn LayerQueue) -> Box<dyn super::Delivery + '_> {
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        if let Some(delivery) = queue.outcome(Duration::from_millis(50)).unwrap() {
            return delivery;
        }
    }
    panic!("there is no outcome");
}

fn is_empty(queue: &dyn LayerQueue) -> bool {
    queue.take(Duration::from_millis(50)).unwrap().is_none()
}

#[test]
fn a_layer_is_there_once_until_it_came_back() {
    both(LONG, |queue| {
        let layer = job(1, "one.example.com");
        assert_eq!(queue.put(&layer).unwrap(), Put::Accepted);
        assert_eq!(queue.put(&layer).unwrap(), Put::AlreadyThere, "it waits");
        let lease = take(queue);
        assert_eq!(lease.job(), &layer);
        assert_eq!(queue.put(&layer).unwrap(), Put::AlreadyThere, "it is being read");
        assert!(is_empty(queue), "nobody else gets it");
        lease.finish(loss("gone")).unwrap();
        let delivery = outcome(queue);
        assert_eq!(delivery.outcome().digest, layer.digest);
        assert_eq!(delivery.outcome().verdict, loss("gone"));
        delivery.settle().unwrap();
        assert!(queue.outcome(Duration::from_millis(50)).unwrap().is_none());
        assert_eq!(queue.put(&layer).unwrap(), Put::Accepted, "it may be put again");
        // What comes of it now is no repetition, though it is the same.
        take(queue).finish(loss("gone")).unwrap();
        assert_eq!(outcome(queue).outcome().verdict, loss("gone"));
    });
}

#[test]
fn no_registry_has_more_readers_than_it_is_allowed() {
    both(LONG, |queue| {
        for number in 1..=3 {
            queue.put(&job(number, "one.example.com")).unwrap();
        }
        queue.put(&job(4, "two.example.com:5000")).unwrap();
        let leases: Vec<_> = (0..3).map(|_| take(queue)).collect();
        let of_one = |lease: &dyn super::Lease| lease.job().host() == "one.example.com";
        assert_eq!(leases.iter().filter(|lease| of_one(&***lease)).count(), PARALLEL);
        assert!(is_empty(queue));
        let mut leases = leases;
        let at = leases.iter().position(|lease| of_one(&**lease)).unwrap();
        leases.remove(at).finish(loss("gone")).unwrap();
        let third = take(queue);
        assert_eq!(third.job().host(), "one.example.com");
        for lease in leases.into_iter().chain([third]) {
            lease.finish(loss("gone")).unwrap();
        }
        for _ in 0..4 {
            outcome(queue).settle().unwrap();
        }
    });
}

#[test]
fn a_layer_whose_reader_died_is_read_by_another_and_given_up_when_that_dies_too() {
    both(LEASE, |queue| {
        let layer = job(1, "one.example.com");
        queue.put(&layer).unwrap();
        drop(take(queue));
        let second = take(queue);
        assert_eq!(second.job(), &layer);
        drop(second);
        // Whoever waits for layers has the server look at it.
        let until = Instant::now() + LONG;
        let delivery = loop {
            assert!(is_empty(queue), "it is not handed out a third time");
            if let Some(delivery) = queue.outcome(Duration::from_millis(50)).unwrap() {
                break delivery;
            }
            assert!(Instant::now() < until, "it is not given up");
        };
        assert_eq!(delivery.outcome().digest, layer.digest);
        match &delivery.outcome().verdict {
            Verdict::Lost(loss) => assert_eq!((&*loss.reason, loss.passing), (POISONED, false)),
            other => panic!("{other:?}"),
        }
        delivery.settle().unwrap();
        assert_eq!(queue.put(&layer).unwrap(), Put::Accepted, "nothing of it is left");
    });
}

#[test]
fn a_reader_that_says_so_keeps_its_layer() {
    both(LEASE, |queue| {
        queue.put(&job(1, "one.example.com")).unwrap();
        let lease = take(queue);
        let until = Instant::now() + LEASE * 3;
        while Instant::now() < until {
            lease.progress();
            assert!(is_empty(queue));
        }
        lease.finish(loss("gone")).unwrap();
        outcome(queue).settle().unwrap();
    });
}

#[test]
fn an_outcome_that_was_not_entered_comes_again() {
    both(LEASE, |queue| {
        queue.put(&job(1, "one.example.com")).unwrap();
        take(queue).finish(loss("gone")).unwrap();
        drop(outcome(queue));
        let again = outcome(queue);
        assert_eq!(again.outcome().verdict, loss("gone"));
        again.settle().unwrap();
    });
}

#[test]
fn outcomes_over_the_limit_of_a_message_arrive_whole_and_leave_nothing() {
    // Random, so that it is not packed into little.
    let mut sealer = Vec::new();
    for number in 0..4000_u32 {
        sealer.extend(
            crate::text::hex(&Sealer::keyed(b"k".to_vec()).identity(&number.to_le_bytes())).into_bytes(),
        );
    }
    let long = String::from_utf8(sealer).unwrap();
    let (queue, _server) = on_nats(16 << 10, LONG);
    let queue: &dyn LayerQueue = &queue;
    for _ in 0..2 {
        queue.put(&job(1, "one.example.com")).unwrap();
        take(queue).finish(loss(&long)).unwrap();
        let delivery = outcome(queue);
        assert_eq!(delivery.outcome().verdict, loss(&long));
        delivery.settle().unwrap();
    }
}

#[test]
fn a_second_sweep_of_the_same_key_is_refused_until_the_first_is_gone() {
    let (first, server) = on_nats(1 << 20, LEASE);
    let url = {
        let config = std::fs::read_to_string(server.1.path().join("nats.conf")).unwrap();
        let address = config.split('"').nth(1).unwrap().to_owned();
        format!("nats://{address}")
    };
    let lead = || {
        let options = QueueOptions {
            lease: LEASE,
            ..QueueOptions::at(&url)
        };
        let terms = Terms {
            rules: "rules".to_owned(),
            key: "key".to_owned(),
            limits: "limits".to_owned(),
        };
        Nats::lead(
            options,
            terms,
            Sealer::keyed(Vec::new()),
            Arc::default(),
            Vec::new(),
            1,
        )
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(lead);
        while !second.is_finished() {
            // Who coordinates looks for outcomes, and renews its key while it does.
            assert!(first.outcome(Duration::from_millis(50)).unwrap().is_none());
        }
        let error = second.join().unwrap().err().expect("it is refused").to_string();
        assert!(error.contains("another sweep"), "{error}");
    });
    // Stopped, it renews nothing any more. Awake again, it finds that somebody took it over, and clears nothing of theirs.
    let second = lead().unwrap();
    let error = first
        .outcome(Duration::from_millis(50))
        .err()
        .expect("it leads no more");
    assert!(error.to_string().contains("took it over"), "{error}");
    first.close();
    std::thread::sleep(LEASE / 2);
    assert!(second.outcome(Duration::from_millis(50)).unwrap().is_none());
}
