//! A scripted HTTP/1.1 server on loopback, with TLS or without: each request is answered by a function, down to where
//! the connection breaks. It records every request and fails the test on any that could write.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use layersift::oci::Digest;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::image::Images;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// How many requests for this path came before it.
    pub nth: usize,
}

impl Request {
    /// Whether it leaves everything as it is. A token may be asked for by a form, or by the login in JSON of Docker Hub's
    /// own lists; GitHub may be sent an upload. A registry is sent neither.
    fn only_reads(&self) -> bool {
        let (path, is_json) = (
            self.path.as_str(),
            self.header("content-type") == Some("application/json"),
        );
        match self.method.as_str() {
            "CONNECT" | "GET" | "HEAD" => self.body.is_empty(),
            "POST" if path.starts_with("/repos/") => path.ends_with("/code-scanning/sarifs"),
            "POST" if path == "/v2/auth/token" => is_json && self.body.starts_with("{\"identifier\":"),
            "POST" => path == "/token" && self.body.starts_with("grant_type=refresh_token&"),
            _ => false,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.as_str())
    }

    /// The first byte asked for.
    pub fn from(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?;
        Some(range.parse().unwrap())
    }
}

/// How a body's end is marked.
#[derive(Clone, Debug)]
pub enum Framing {
    Chunked,
    /// By closing the connection.
    Close,
    Length,
    /// By a length that is not the body's.
    Stated(u64),
}

/// An answer, and how it goes wrong.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
    then: Then,
    /// Whether the body is left out, its length told.
    is_head: bool,
}

#[derive(Clone, Debug)]
enum Then {
    /// The connection stays open for another request.
    Continue,
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// So many bytes of the body are sent at a time, with a pause after each.
    Drip(usize, Duration),
    /// The bytes are written as they are, in place of an answer.
    Raw,
    /// Nothing more comes after so many bytes of the body; the connection stays open.
    Stall(usize),
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
            then: Then::Continue,
            is_head: false,
        }
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200).body(body)
    }

    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let mut reply = Self::new(0).body(bytes);
        reply.then = Then::Raw;
        reply
    }

    pub fn redirect(to: impl Into<String>) -> Self {
        Self::new(307).header("Location", &to.into())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.then = Then::Cut(after);
        self
    }

    pub fn stall(mut self, after: usize) -> Self {
        self.then = Then::Stall(after);
        self
    }

    pub fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.then = Then::Drip(bytes, pause);
        self
    }

    /// The body, to be changed.
    pub fn body_mut(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    /// Writes the answer; `false` where the connection is to be closed.
    fn write(&self, stream: &mut dyn Write, stopped: &AtomicBool) -> io::Result<bool> {
        if let Then::Raw = self.then {
            stream.write_all(&self.body)?;
            return Ok(false);
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.framing {
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Close => head.push_str("Connection: close\r\n"),
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", self.body.len())),
            Framing::Stated(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        if self.is_head {
            return Ok(true);
        }
        let sent = match self.then {
            Then::Cut(after) | Then::Stall(after) => &self.body[..after.min(self.body.len())],
            _ => &self.body[..],
        };
        let (pieces, pause) = match self.then {
            Then::Drip(bytes, pause) => (bytes, pause),
            _ => (64 * 1024, Duration::ZERO),
        };
        for piece in sent.chunks(pieces) {
            match self.framing {
                Framing::Chunked => {
                    stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                    stream.write_all(piece)?;
                    stream.write_all(b"\r\n")?;
                }
                _ => stream.write_all(piece)?,
            }
            thread::sleep(pause);
        }
        match self.then {
            Then::Cut(_) => return Ok(false),
            Then::Stall(_) => {
                while !stopped.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(5));
                }
                return Ok(false);
            }
            _ => {}
        }
        if let Framing::Chunked = self.framing {
            stream.write_all(b"0\r\n\r\n")?;
        }
        Ok(!matches!(self.framing, Framing::Close | Framing::Stated(_)))
    }
}

/// A server that runs until it is dropped.
pub struct Server {
    host: String,
    seen: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server whose requests `answer` answers.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::bind("127.0.0.1:0", answer)
    }

    /// The same, on another address of loopback.
    pub fn bind(address: &str, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(address, None, answer)
    }

    /// The same, with TLS.
    pub fn tls(
        config: impl Into<Arc<ServerConfig>>,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen("127.0.0.1:0", Some(config.into()), answer)
    }

    fn listen(
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let server = Self {
            host: listener.local_addr().unwrap().to_string(),
            seen: Arc::default(),
            stopped: Arc::default(),
        };
        let (seen, stopped) = (Arc::clone(&server.seen), Arc::clone(&server.stopped));
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (seen, stopped, answer) = (Arc::clone(&seen), Arc::clone(&stopped), Arc::clone(&answer));
                let tls = tls.clone();
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    // A client that goes away is part of many tests.
                    let _ = match tls {
                        None => serve(stream, &seen, &stopped, &*answer),
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            serve(StreamOwned::new(connection, stream), &seen, &stopped, &*answer)
                        }
                    };
                });
            }
        });
        server
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// The requests so far, but for the one that finds out whether the server speaks TLS.
    pub fn requests(&self) -> Vec<Request> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|request| request.path != "/v2/")
            .cloned()
            .collect()
    }

    /// The paths of the requests so far, without `/v2/`.
    pub fn paths(&self) -> Vec<String> {
        let requests = self.requests();
        requests
            .iter()
            .map(|request| request.path.trim_start_matches("/v2/").to_owned())
            .collect()
    }

    /// Fails where any request carried a header that only its registry may see.
    pub fn assert_saw_no_credentials(&self) {
        for request in self.seen.lock().unwrap().iter() {
            for name in [
                "authorization",
                "cookie",
                "referer",
                "proxy-authorization",
                "x-registry-auth",
            ] {
                assert_eq!(request.header(name), None, "{name} for {}", request.path);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.host);
        if !thread::panicking() {
            for request in self.seen.lock().unwrap().iter() {
                assert!(request.only_reads(), "{request:?} could write");
            }
        }
    }
}

/// A connection that can be ended on our side.
trait Connection: io::Read + Write {
    fn socket(&self) -> &TcpStream;

    /// Says that nothing more comes, so that what the client still sends can be read.
    fn end(&mut self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
    }
}

impl Connection for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Connection for StreamOwned<ServerConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

fn serve(
    stream: impl Connection,
    seen: &Mutex<Vec<Request>>,
    stopped: &AtomicBool,
    answer: &dyn Fn(&Request) -> Reply,
) -> io::Result<()> {
    stream.socket().set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
                None => break,
            }
        }
        let length = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let request = {
            let mut seen = seen.lock().unwrap();
            let request = Request {
                nth: seen.iter().filter(|earlier| earlier.path == path).count(),
                method,
                path,
                headers,
                body: String::from_utf8(body).unwrap(),
            };
            seen.push(request.clone());
            request
        };
        // No script makes up for it: the test fails when the server ends.
        let mut reply = match request.only_reads() {
            true => answer(&request),
            false => Reply::new(405).framing(Framing::Close),
        };
        reply.is_head = request.method == "HEAD";
        if !reply.write(reader.get_mut(), stopped)? {
            let _ = reader.get_mut().end();
            // What the client still sends is read, or its loss would reset the connection and take the answer along.
            let pause = Some(Duration::from_millis(200));
            reader.get_ref().socket().set_read_timeout(pause)?;
            let _ = io::copy(&mut reader, &mut io::sink());
            return Ok(());
        }
    }
}

/// A repository `app` as a correct registry serves it.
#[derive(Clone, Default)]
pub struct Repository {
    /// By path, less `/v2/`.
    objects: HashMap<String, (String, Vec<u8>)>,
}

impl Repository {
    /// Everything of `images`, the first of them under the tag `1`.
    pub fn of(images: &Images) -> Self {
        let mut repository = Self::default();
        let layout = images.oci_layout();
        for (_, bytes) in layout.iter().filter(|(path, _)| path.starts_with("blobs/")) {
            repository.blob(bytes.clone());
            // What it is called does not matter: what names a manifest by its digest says what it is.
            let digest = Digest::of(bytes);
            repository.manifest(digest.as_str(), "", bytes.clone());
        }
        let index: serde_json::Value = serde_json::from_slice(&layout["index.json"]).unwrap();
        let first = &index["manifests"][0];
        let text = |key: &str| first[key].as_str().unwrap().to_owned();
        let path = format!("blobs/{}", text("digest").replace(':', "/"));
        repository.manifest("1", &text("mediaType"), layout[&path].clone());
        repository
    }

    /// Adds a blob and returns its digest.
    pub fn blob(&mut self, bytes: impl Into<Vec<u8>>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let octets = "application/octet-stream".to_owned();
        self.objects
            .insert(format!("app/blobs/{digest}"), (octets, bytes));
        digest
    }

    /// Adds a manifest under its digest and `tag`, and returns its digest.
    pub fn manifest(&mut self, tag: &str, media_type: &str, bytes: impl Into<Vec<u8>>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        for name in [tag, digest.as_str()] {
            let object = (media_type.to_owned(), bytes.clone());
            self.objects.insert(format!("app/manifests/{name}"), object);
        }
        digest
    }

    /// What is kept at `path`, less `/v2/`.
    pub fn bytes(&self, path: &str) -> &[u8] {
        &self.objects[path].1
    }

    /// The correct answer to `request`.
    pub fn reply(&self, request: &Request) -> Reply {
        if request.path == "/v2/" {
            return Reply::ok("{}");
        }
        let path = request.path.split('?').next().unwrap_or_default();
        let Some((media_type, bytes)) = self.objects.get(path.trim_start_matches("/v2/")) else {
            return Reply::new(404).body(r#"{"errors":[{"code":"NAME_UNKNOWN","message":"unknown"}]}"#);
        };
        match request.from() {
            Some(from) if from < bytes.len() => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                Reply::new(206)
                    .header("Content-Range", &range)
                    .body(&bytes[from..])
            }
            Some(_) => Reply::new(416).header("Content-Range", &format!("bytes */{}", bytes.len())),
            None => Reply::ok(bytes.clone()).header("Content-Type", media_type),
        }
    }
}
