//! An HTTP/2 server on loopback, for what only HTTP/2 can do wrong. It records which parts were asked for and by how
//! many connections, and fails the test on any request that could write; whatever is like HTTP/1.1 is the business of `scripted`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Request, Response};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// How an answer goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Misdeed {
    /// Not at all.
    None,
    /// Empty frames before the body.
    EmptyFrames(usize),
    /// The connection is given up, after so many bytes of the body where there are headers at all.
    GoAway(Reason, Option<usize>),
    /// Further headers.
    Headers(usize),
    /// The stream is reset, after so many bytes of the body where there are headers at all.
    Reset(Reason, Option<usize>),
}

/// What the server does with the request for a path that came after so many others for it.
type Script = dyn Fn(&str, usize) -> Misdeed + Send + Sync;

/// A server that ends with its last reference.
pub struct Http2 {
    host: String,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    /// What there is, by path.
    objects: Vec<(String, Vec<u8>)>,
    script: Box<Script>,
    /// Path and `Range` of each request.
    seen: Mutex<Vec<(String, Option<usize>)>>,
    connections: AtomicUsize,
    /// Requests of other methods than those that read.
    writes: Mutex<Vec<String>>,
    /// Before the settings are sent.
    delay: Duration,
}

impl Http2 {
    pub fn start(
        mut tls: ServerConfig,
        delay: Duration,
        objects: Vec<(String, Vec<u8>)>,
        script: impl Fn(&str, usize) -> Misdeed + Send + Sync + 'static,
    ) -> Self {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            objects,
            script: Box::new(script),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            writes: Mutex::default(),
            delay,
        });
        let served = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(acceptor.clone(), stream, Arc::clone(&served)));
            }
        });
        Self {
            host,
            shared,
            _runtime: runtime,
        }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where each request for `path` started.
    pub fn starts(&self, path: &str) -> Vec<Option<usize>> {
        let seen = self.shared.seen.lock().unwrap();
        let of_path = seen.iter().filter(|(seen, _)| seen == path);
        of_path.map(|(_, from)| *from).collect()
    }

    /// Connections over which a request came.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let writes = self.shared.writes.lock().unwrap();
            assert!(writes.is_empty(), "{writes:?} could write");
        }
    }
}

/// Serves one connection. A client that goes away is part of many tests.
async fn connection(acceptor: TlsAcceptor, stream: TcpStream, shared: Arc<Shared>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    tokio::time::sleep(shared.delay).await;
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let (leave, mut leaving) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            request = connection.accept() => match request {
                Some(Ok((request, respond))) => {
                    tokio::spawn(answer(request, respond, Arc::clone(&shared), leave.clone()));
                }
                _ => return,
            },
            Some(reason) = leaving.recv() => connection.abrupt_shutdown(reason),
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    shared: Arc<Shared>,
    leave: mpsc::UnboundedSender<Reason>,
) {
    let path = request.uri().path().to_owned();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let write = format!("{} {path}", request.method());
        shared.writes.lock().unwrap().push(write);
    }
    let range = request
        .headers()
        .get("range")
        .and_then(|value| value.to_str().ok());
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let nth = {
        let mut seen = shared.seen.lock().unwrap();
        let nth = seen.iter().filter(|(seen, _)| *seen == path).count();
        seen.push((path.clone(), from));
        nth
    };
    let misdeed = (shared.script)(&path, nth);
    match misdeed {
        Misdeed::Reset(reason, None) => return respond.send_reset(reason),
        Misdeed::GoAway(reason, None) => return leave.send(reason).unwrap_or_default(),
        _ => {}
    }
    let Some((_, whole)) = shared.objects.iter().find(|(known, _)| *known == path) else {
        let missing = Response::builder().status(404).body(()).unwrap();
        let _ = respond.send_response(missing, true);
        return;
    };
    let mut response = Response::builder().header("content-length", whole.len() - from.unwrap_or(0));
    if let Some(from) = from {
        let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
        response = response.status(206).header("content-range", range);
    }
    if let Misdeed::Headers(count) = misdeed {
        for n in 0..count {
            response = response.header(format!("x-{n}"), "x".repeat(1000));
        }
    }
    let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), false) else {
        return;
    };
    let body = &whole[from.unwrap_or(0)..];
    match misdeed {
        Misdeed::Reset(_, Some(after)) | Misdeed::GoAway(_, Some(after)) => {
            let _ = stream.send_data(Bytes::copy_from_slice(&body[..after]), false);
            // What is queued goes with the stream, so it has to be on its way first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            match misdeed {
                Misdeed::GoAway(reason, _) => leave.send(reason).unwrap_or_default(),
                Misdeed::Reset(reason, _) => stream.send_reset(reason),
                _ => {}
            }
            return;
        }
        Misdeed::EmptyFrames(count) => {
            for _ in 0..count {
                let _ = stream.send_data(Bytes::new(), false);
            }
        }
        _ => {}
    }
    let _ = stream.send_data(Bytes::copy_from_slice(body), true);
}
