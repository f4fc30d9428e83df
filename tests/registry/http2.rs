//! Fault 25: what HTTP/2 can do wrong.

use std::time::Duration;

use h2::Reason;
use layersift::oci::Digest;
use layersift::source::SourceError;
use layersift::source::registry::{RegistryOptions, RegistrySource};

use super::{named, noise, options, read, root, root_error};
use crate::support::http2::{Http2, Misdeed};
use crate::support::tls::{self, Authority};

const SIZE: usize = 200_000;
const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;

/// A registry and a client that trusts it.
struct Pair {
    server: Http2,
    source: RegistrySource,
    manifest: String,
    blob: Digest,
    _folder: tempfile::TempDir,
}

fn pair(delay: Duration, script: impl Fn(&str, usize) -> Misdeed + Send + Sync + 'static) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let blob = Digest::of(&noise(SIZE));
    let manifest = "/v2/app/manifests/1".to_owned();
    let objects = vec![
        ("/v2/".to_owned(), b"{}".to_vec()),
        (manifest.clone(), MANIFEST.to_vec()),
        (format!("/v2/app/blobs/{blob}"), noise(SIZE)),
    ];
    let server = Http2::start(
        tls::server(&authority.sign("127.0.0.1", false), None),
        delay,
        objects,
        move |path, nth| match path {
            "/v2/" => Misdeed::None,
            path => script(path, nth),
        },
    );
    let options = RegistryOptions {
        authorities: vec![authority.file(folder.path())],
        ..options()
    };
    Pair {
        source: named(&format!("{}/app:1", server.host()), &options),
        server,
        manifest,
        blob,
        _folder: folder,
    }
}

impl Pair {
    fn blob_starts(&self) -> Vec<Option<usize>> {
        self.server.starts(&format!("/v2/app/blobs/{}", self.blob))
    }
}

#[test]
fn everything_goes_over_one_connection() {
    let pair = pair(Duration::from_millis(200), |_, _| Misdeed::None);
    assert_eq!(root(&pair.source).unwrap().bytes, MANIFEST);
    assert!(read(&pair.source, &pair.blob, Some(SIZE)).unwrap() == noise(SIZE));
    assert_eq!(pair.server.connections(), 1);
    assert_eq!(pair.blob_starts(), [None]);
}

#[test]
fn a_stream_or_a_connection_that_is_given_up_is_tried_again() {
    let reasons = [
        Reason::NO_ERROR,
        Reason::PROTOCOL_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::REFUSED_STREAM,
        Reason::CANCEL,
        Reason::ENHANCE_YOUR_CALM,
    ];
    for reason in reasons {
        for misdeed in [Misdeed::Reset(reason, None), Misdeed::GoAway(reason, None)] {
            let pair = pair(
                Duration::ZERO,
                move |_, nth| if nth == 0 { misdeed } else { Misdeed::None },
            );
            assert_eq!(root(&pair.source).unwrap().bytes, MANIFEST, "{misdeed:?}");
            assert_eq!(pair.server.starts(&pair.manifest).len(), 2, "{misdeed:?}");
        }
        for misdeed in [
            Misdeed::Reset(reason, Some(10_000)),
            Misdeed::GoAway(reason, Some(10_000)),
        ] {
            let pair = pair(
                Duration::ZERO,
                move |_, nth| if nth == 0 { misdeed } else { Misdeed::None },
            );
            let bytes = read(&pair.source, &pair.blob, Some(SIZE));
            assert!(
                bytes.as_ref().is_ok_and(|bytes| *bytes == noise(SIZE)),
                "{misdeed:?}: {:?}",
                bytes.err()
            );
            assert_eq!(pair.blob_starts(), [None, Some(10_000)], "{misdeed:?}");
        }
    }
    let pair = pair(Duration::ZERO, |_, _| {
        Misdeed::Reset(Reason::INTERNAL_ERROR, None)
    });
    let (error, _) = root_error(&pair.source);
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error:?}");
    assert_eq!(pair.server.starts(&pair.manifest).len(), 5);
}

#[test]
fn a_flood_of_empty_frames_or_headers_is_ended() {
    let few = pair(Duration::ZERO, |_, _| Misdeed::EmptyFrames(20));
    assert_eq!(root(&few.source).unwrap().bytes, MANIFEST);
    // More than a client takes: an error that names the host, and no memory that grows.
    for misdeed in [Misdeed::EmptyFrames(100_000), Misdeed::Headers(1000)] {
        let flood = pair(Duration::ZERO, move |_, _| misdeed);
        let (error, text) = root_error(&flood.source);
        assert!(
            matches!(error, SourceError::Unreachable { .. }),
            "{misdeed:?}: {error:?}"
        );
        assert!(text.contains(flood.server.host()), "{misdeed:?}: {text}");
    }
}
