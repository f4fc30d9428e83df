//! How long the program itself takes for a generated image: from an archive, from standard input, from a registry on
//! loopback, and from one that sends 40 MB a second, next to `gzip -dc` of the same layers one after the other.
//!
//! `cargo bench --bench end_to_end [-- IMAGE.tar 'PEER=command {}' …]` prints ratios of interleaved runs, their spread and
//! peak memory. IMAGE.tar is an OCI archive of one's own; a peer is any command, `{}` stands for the archive. Without
//! `--bench` it only shows that it still runs. Compares no findings: a peer may do less.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod measured;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, thread};

use layersift::oci::Digest;
use layersift::rules::example::Rng;

use measured::{fill, line_of_messages, line_of_source, minified_piece, spread, words};

/// Bytes a second of the slow registry.
const SLOW: f64 = 40e6;

fn main() {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let is_measuring = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| !argument.starts_with("--"));
    let (size, rounds) = if is_measuring {
        (200 << 20, 5)
    } else {
        (1 << 20, 1)
    };

    let folder = tempfile::tempdir().expect("a folder for the image");
    let (peers, images): (Vec<String>, Vec<String>) =
        arguments.into_iter().partition(|argument| argument.contains('='));
    let image = match images.first() {
        Some(file) => Image::open(Path::new(file)),
        None => Image::generate(folder.path(), size),
    };
    let registry = Registry::start(&image, None);
    let slow = Registry::start(&image, Some(SLOW));

    println!(
        "median (deciles) of {rounds} interleaved runs; ratios are to `gzip -dc` of the layers in the same round\n"
    );
    println!(
        "{:<24} {:>22} {:>22} {:>9}",
        "", "wall", "processor time", "peak MB"
    );
    let archive = image.archive.display().to_string();
    let scan = |target: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layersift"));
        command.args(["scan", "--quiet", "--format", "json=/dev/null", target]);
        command
    };
    let mut rows: BTreeMap<String, Vec<Run>> = BTreeMap::new();
    let mut ends = Vec::new();
    for _ in 0..rounds {
        let floor = image.gunzip();
        let mut add = |name: &str, run: Run| {
            let ratio = Run {
                wall: run.wall / floor.wall,
                processor: run.processor / floor.processor.max(0.01),
                ..run
            };
            rows.entry(name.to_owned()).or_default().push(ratio);
        };
        add("archive", measure(&mut scan(&archive), None));
        add("standard input", measure(&mut scan("-"), Some(&image.archive)));
        add(
            "registry",
            measure(scan(&registry.image()).args(["--insecure", &registry.host]), None),
        );
        for peer in &peers {
            let (name, command) = peer.split_once('=').expect("peers have an equals sign");
            let mut words = command.split_whitespace();
            let mut command = Command::new(words.next().expect("a peer has a command"));
            command.args(words.map(|word| word.replace("{}", &archive)));
            add(name, measure(&mut command, None));
        }
        let begun = Instant::now();
        let run = measure(scan(&slow.image()).args(["--insecure", &slow.host]), None);
        let sent = slow
            .last_sent
            .lock()
            .expect("no thread panics")
            .expect("the image was sent");
        ends.push(run.wall / sent.duration_since(begun).as_secs_f64());
    }
    for (name, runs) in rows {
        let figures = |of: fn(&Run) -> f64| {
            let (median, low, high) = spread(runs.iter().map(of).collect());
            format!("{median:.2} ({low:.2}..{high:.2})")
        };
        let peak = runs
            .iter()
            .map(|run| run.peak_megabytes)
            .max()
            .unwrap_or_default();
        println!(
            "{name:<24} {:>22} {:>22} {peak:>9}",
            figures(|run| run.wall),
            figures(|run| run.processor)
        );
    }
    let (median, low, high) = spread(ends);
    println!("\nend of the scan / end of a download at 40 MB/s: {median:.3} ({low:.3}..{high:.3})");
}

/// What one run of a command took.
struct Run {
    wall: f64,
    processor: f64,
    peak_megabytes: u64,
}

fn measure(command: &mut Command, input: Option<&Path>) -> Run {
    let input = input.map_or_else(Stdio::null, |file| {
        File::open(file).expect("the archive is there").into()
    });
    let before = children_seconds();
    let begin = Instant::now();
    let mut child = command
        .stdin(input)
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_megabytes = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak_megabytes = peak_megabytes.max(kilobytes.unwrap_or_default() / 1000);
        if let Some(ended) = child.try_wait().expect("it is a child of ours") {
            break ended;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let wall = begin.elapsed().as_secs_f64();
    // Findings are no failure of a scan.
    assert!(
        ended.code().is_some_and(|code| code <= 1 || code >= 100),
        "{command:?}: {ended}"
    );
    Run {
        wall,
        processor: children_seconds() - before,
        peak_megabytes,
    }
}

/// Processor time of all children that have ended. Zero where the system does not tell.
fn children_seconds() -> f64 {
    /// Of `USER_HZ`, which is 100 wherever there is a `/proc`.
    const TICK: f64 = 0.01;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    // cutime and cstime, the 16th and 17th field; the first two are gone.
    let ticks = behind_name.split_whitespace().skip(13).take(2);
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() * TICK
}

/// An OCI archive, and its parts as a registry has them.
struct Image {
    archive: PathBuf,
    manifest: Vec<u8>,
    blobs: BTreeMap<String, Vec<u8>>,
    layers: Vec<String>,
}

impl Image {
    fn open(archive: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut entries = tar::Archive::new(File::open(archive).expect("the archive is there"));
        for entry in entries.entries().expect("it is a tar archive") {
            let mut entry = entry.expect("it is a tar archive");
            let path = entry.path().expect("paths are text").display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("the archive is whole");
            files.insert(path, bytes);
        }
        let json = |bytes: &[u8]| -> serde_json::Value { serde_json::from_slice(bytes).expect("it is JSON") };
        let digest =
            |value: &serde_json::Value| value["digest"].as_str().expect("descriptors have one").to_owned();
        let file = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
        let manifest = files[&file(&digest(&json(&files["index.json"])["manifests"][0]))].clone();
        let layers = json(&manifest)["layers"]
            .as_array()
            .expect("it is of one platform")
            .iter()
            .map(digest)
            .collect();
        Self {
            archive: archive.to_owned(),
            manifest,
            layers,
            blobs: files
                .into_iter()
                .filter_map(|(path, bytes)| Some((path.strip_prefix("blobs/")?.replace('/', ":"), bytes)))
                .collect(),
        }
    }

    /// Three layers, one of them with most of the bytes, as usual.
    fn generate(folder: &Path, size: usize) -> Self {
        let mut rng = Rng::new(3);
        let words = words(&mut rng);
        let (mut blobs, mut layers, mut diff_ids, mut ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let descriptor = |kind: &str, bytes: &[u8]| {
            let (digest, size) = (Digest::of(bytes), bytes.len());
            format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{size}}}"#)
        };
        for share in [8, 4, 1] {
            let text = fill(size / 13 * share, || match rng.below(4) {
                0 => minified_piece(&words, &mut rng),
                1 => line_of_messages(&mut rng),
                _ => line_of_source(&words, &mut rng),
            });
            let files = text.chunks(40_000).enumerate();
            let layer = archive(files.map(|(number, text)| (format!("srv/{share}/{number}"), text)));
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(&layer).expect("memory can be written");
            let blob = encoder.finish().expect("memory can be written");
            layers.push(descriptor("layer.v1.tar+gzip", &blob));
            diff_ids.push(format!("\"{}\"", Digest::of(&layer)));
            ids.push(Digest::of(&blob).to_string());
            blobs.push(blob);
        }
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
            descriptor("config.v1+json", config.as_bytes()),
            layers.join(",")
        );
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            descriptor("manifest.v1+json", manifest.as_bytes())
        );
        blobs.extend([config.into_bytes(), manifest.clone().into_bytes()]);
        let mut files = vec![
            (
                "oci-layout".to_owned(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
            ),
            ("index.json".to_owned(), index.into_bytes()),
        ];
        files.extend(blobs.into_iter().map(|blob| {
            let path = format!("blobs/{}", Digest::of(&blob).to_string().replace(':', "/"));
            (path, blob)
        }));
        let path = folder.join("image.tar");
        fs::write(
            &path,
            archive(files.iter().map(|(path, bytes)| (path.clone(), bytes.as_slice()))),
        )
        .expect("the folder can be written");
        Self::open(&path)
    }

    /// The layers through `gzip -dc`, one after the other; those that are not gzip through nothing.
    fn gunzip(&self) -> Run {
        let mut sum = Run {
            wall: 0.0,
            processor: 0.0,
            peak_megabytes: 0,
        };
        let file = tempfile::NamedTempFile::new().expect("a file for the layer");
        for layer in self
            .layers
            .iter()
            .map(|digest| &self.blobs[digest])
            .filter(|layer| layer.starts_with(&[0x1f, 0x8b]))
        {
            fs::write(file.path(), layer).expect("the file can be written");
            let run = measure(Command::new("gzip").arg("-dc"), Some(file.path()));
            sum.wall += run.wall;
            sum.processor += run.processor;
        }
        sum
    }
}

fn archive<'b>(files: impl Iterator<Item = (String, &'b [u8])>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, path, content)
            .expect("memory can be written");
    }
    builder.into_inner().expect("memory can be written")
}

/// A registry that serves one image over plain HTTP.
struct Registry {
    host: String,
    /// When the last piece of the largest layer was handed to the system.
    last_sent: Arc<Mutex<Option<Instant>>>,
}

impl Registry {
    fn start(image: &Image, bytes_per_second: Option<f64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let host = listener.local_addr().expect("it is bound").to_string();
        let last_sent = Arc::new(Mutex::new(None));
        let mut answers: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (digest, bytes) in &image.blobs {
            answers.insert(format!("/v2/bench/blobs/{digest}"), bytes.clone());
        }
        for name in ["latest".to_owned(), Digest::of(&image.manifest).to_string()] {
            answers.insert(format!("/v2/bench/manifests/{name}"), image.manifest.clone());
        }
        answers.insert("/v2/".to_owned(), b"{}".to_vec());
        let answers = Arc::new(answers);
        // One line for all connections.
        let line = Arc::new(Mutex::new(Instant::now()));
        let sent = Arc::clone(&last_sent);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, line, sent) = (Arc::clone(&answers), Arc::clone(&line), Arc::clone(&sent));
                thread::spawn(move || {
                    serve(
                        &stream,
                        &answers,
                        bytes_per_second.map(|rate| (rate, &*line)),
                        &sent,
                    )
                });
            }
        });
        Self { host, last_sent }
    }

    fn image(&self) -> String {
        format!("{}/bench:latest", self.host)
    }
}

/// Answers the requests of one connection until it ends.
fn serve(
    stream: &TcpStream,
    answers: &BTreeMap<String, Vec<u8>>,
    line: Option<(f64, &Mutex<Instant>)>,
    last_sent: &Mutex<Option<Instant>>,
) -> Option<()> {
    const PIECE: usize = 64 * 1024;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let request = lines.next()?.ok()?;
        let path = request.split(' ').nth(1)?.to_owned();
        while !lines.next()?.ok()?.is_empty() {}
        let kind = match path.contains("/manifests/") {
            true => "application/vnd.oci.image.manifest.v1+json",
            false => "application/octet-stream",
        };
        let empty = Vec::new();
        let (status, body) = match answers.get(&path) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", &empty),
        };
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .ok()?;
        if request.starts_with("HEAD") {
            continue;
        }
        for piece in body.chunks(PIECE) {
            if let Some((rate, line)) = line {
                let due = {
                    let mut free = line.lock().ok()?;
                    *free = (*free).max(Instant::now()) + Duration::from_secs_f64(piece.len() as f64 / rate);
                    *free
                };
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            stream.write_all(piece).ok()?;
        }
        *last_sent.lock().ok()? = Some(Instant::now());
    }
}
