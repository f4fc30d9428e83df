//! How far a sweep or a worker is, as numbers for Prometheus, over HTTP. Answers one path, and tells no name of anything.
//!
//! *Source*: the text format 0.0.4 of Prometheus's exposition formats.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::layer::Progress;

use super::run::{Met, Stage, Tell};
use crate::source::registry::Session;

/// 8 KiB: a request is read no further.
const REQUEST_BYTES: usize = 8 << 10;

/// How long whoever asks may take: others wait behind it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Numbers of a run. Hands on what it is told.
pub struct Metrics<'t> {
    numbers: Arc<Numbers>,
    to: &'t dyn Tell,
}

#[derive(Default)]
struct Numbers {
    /// How much of how much, by stage.
    stages: Mutex<BTreeMap<&'static str, (u64, u64)>>,
    stored: AtomicU64,
    decoded: AtomicU64,
    problems: AtomicU64,
    findings: AtomicU64,
    tags: AtomicU64,
}

/// Answers until it is dropped.
pub struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl<'t> Metrics<'t> {
    /// Numbers that begin at nothing.
    pub fn new(to: &'t dyn Tell) -> Self {
        Self {
            numbers: Arc::default(),
            to,
        }
    }

    /// Answers who asks at this address.
    ///
    /// *Errors*: where it is taken, or not of this machine.
    pub fn serve(&self, address: SocketAddr) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        let server = Server {
            address: listener.local_addr()?,
            over: Arc::default(),
        };
        let (numbers, over) = (Arc::clone(&self.numbers), Arc::clone(&server.over));
        std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    // Who goes away before it has its answer does not want it.
                    let _ = stream.and_then(|stream| answer(stream, &numbers));
                }
            })?;
        Ok(server)
    }
}

impl Server {
    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread, which then ends.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
    }
}

impl Progress for Metrics<'_> {
    fn stored(&self, bytes: u64) {
        self.numbers.stored.fetch_add(bytes, Ordering::Relaxed);
        self.to.stored(bytes);
    }
    fn decoded(&self, bytes: u64) {
        self.numbers.decoded.fetch_add(bytes, Ordering::Relaxed);
        self.to.decoded(bytes);
    }
}

impl Tell for Metrics<'_> {
    fn step(&self, stage: Stage, done: u64, of: u64) {
        self.numbers.step(stage, done, of);
        self.to.step(stage, done, of);
    }
    fn met(&self, what: Met, count: u64) {
        let total = match what {
            Met::Findings => &self.numbers.findings,
            Met::Tags => &self.numbers.tags,
        };
        total.fetch_add(count, Ordering::Relaxed);
        self.to.met(what, count);
    }
    fn speaks_to(&self, host: &str, session: &Session) {
        self.to.speaks_to(host, session);
    }
    fn problem(&self, what: &str, why: &str) {
        self.numbers.problems.fetch_add(1, Ordering::Relaxed);
        self.to.problem(what, why);
    }
    fn plain(&self, host: &str, why: &str) {
        self.to.plain(host, why);
    }
    fn resumed(&self) {
        self.to.resumed();
    }
}

impl Numbers {
    fn step(&self, stage: Stage, done: u64, of: u64) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.insert(stage.name(), (done, of));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of_stages = |number: fn(&(u64, u64)) -> u64| -> Vec<(String, u64)> {
            let samples = stages.iter();
            samples
                .map(|(stage, numbers)| (format!("{{stage=\"{stage}\"}}"), number(numbers)))
                .collect()
        };
        family(
            "layersift_done",
            "gauge",
            "What was done of each stage of the sweep.",
            &of_stages(|(done, _)| *done),
        );
        family(
            "layersift_known",
            "gauge",
            "What is to be done of each stage, as far as is known.",
            &of_stages(|(_, of)| *of),
        );
        let one = |number: &AtomicU64| [(String::new(), number.load(Ordering::Relaxed))];
        family(
            "layersift_stored_bytes_total",
            "counter",
            "Bytes of layers read, as stored.",
            &one(&self.stored),
        );
        family(
            "layersift_decoded_bytes_total",
            "counter",
            "Bytes of layers searched.",
            &one(&self.decoded),
        );
        family(
            "layersift_tags_total",
            "counter",
            "Tags that were swept.",
            &one(&self.tags),
        );
        family(
            "layersift_findings_total",
            "counter",
            "Findings that count, in images that were put together.",
            &one(&self.findings),
        );
        family(
            "layersift_problems_total",
            "counter",
            "What could not be had.",
            &one(&self.problems),
        );
        text
    }
}

fn answer(mut stream: TcpStream, numbers: &Numbers) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES {
        match stream.read(&mut piece)? {
            0 => break,
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let (status, body) = match request.starts_with(b"GET /metrics ") {
        true => ("200 OK", numbers.text()),
        false => ("404 Not Found", "there is /metrics\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Silent;

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn numbers_are_told_to_who_asks_and_to_who_is_behind() {
        let metrics = Metrics::new(&Silent);
        let server = metrics.serve("127.0.0.1:0".parse().unwrap()).unwrap();
        metrics.stored(5);
        metrics.stored(6);
        metrics.step(Stage::Layers, 3, 7);
        metrics.problem("layer", "gone");
        metrics.met(Met::Tags, 4);
        metrics.met(Met::Findings, 2);
        let answer = ask(server.address(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for line in [
            "layersift_done{stage=\"layers\"} 3",
            "layersift_known{stage=\"layers\"} 7",
            "layersift_stored_bytes_total 11",
            "layersift_problems_total 1",
            "layersift_tags_total 4",
            "layersift_findings_total 2",
        ] {
            assert!(answer.lines().any(|found| found == line), "{line}: {answer}");
        }
        // Every line is a comment or a name with a number, and every name has its type said.
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        for line in body.lines().filter(|line| !line.starts_with('#')) {
            let (name, number) = line.split_once(' ').unwrap();
            number.parse::<u64>().unwrap();
            let name = name.split('{').next().unwrap();
            assert!(body.contains(&format!("# TYPE {name} ")), "{line}");
        }
        assert!(ask(server.address(), "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(ask(server.address(), "\r\n\r\n").starts_with("HTTP/1.1 404"));
        let address = server.address();
        drop(server);
        // Its thread ends by itself.
        let is_free = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            metrics.serve(address).is_ok()
        });
        assert!(is_free, "the address is free again");
    }
}
