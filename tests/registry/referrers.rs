//! Artifacts that refer to an image: by the API, by the tag that stands in for it, page by page.

use layersift::limits::Limits;
use layersift::oci::{Digest, PlatformSelector, media_type};
use layersift::source::registry::RegistryOptions;
use layersift::source::{Resolved, Source as _};
use serde_json::{Value, json};

use super::{options, source};
use crate::support::command::layersift;
use crate::support::image::{image, images};
use crate::support::scripted::{Reply, Repository, Request, Server};
use crate::support::secrets::secrets;
use crate::support::tar::file;

/// An image with two artifacts, of which the second refers to the first.
struct Attached {
    repository: Repository,
    image: Digest,
    sbom: Value,
    signature: Value,
    secret: String,
}

fn attached() -> Attached {
    let image = image().named("app:1").layer([file("etc/one", "first")]);
    let mut repository = Repository::of(&images([image]));
    let root = repository.bytes("app/manifests/1").to_vec();
    let secret = secrets(11).github_token();
    let subject =
        json!({"mediaType": media_type::OCI_MANIFEST, "digest": Digest::of(&root), "size": root.len()});
    let sbom = artifact(&mut repository, &subject, &format!("{{\"token\": \"{secret}\"}}"));
    let signature = artifact(&mut repository, &sbom, "signed");
    Attached {
        repository,
        image: Digest::of(&root),
        sbom,
        signature,
        secret,
    }
}

fn artifact(repository: &mut Repository, subject: &Value, content: &str) -> Value {
    let blob = repository.blob(content);
    let empty = repository.blob("{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "application/vnd.example",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
        "layers": [{"mediaType": "application/vnd.example", "digest": blob, "size": content.len()}],
        "subject": subject,
    });
    let bytes = manifest.to_string();
    let digest = repository.manifest(
        Digest::of(bytes.as_bytes()).as_str(),
        media_type::OCI_MANIFEST,
        bytes.clone(),
    );
    json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": bytes.len(),
        "artifactType": "application/vnd.example"})
}

fn list(manifests: &[&Value]) -> String {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests}).to_string()
}

fn page(manifests: &[&Value]) -> Reply {
    Reply::ok(list(manifests)).header("Content-Type", media_type::OCI_INDEX)
}

fn wanting() -> RegistryOptions {
    RegistryOptions {
        referrers: true,
        ..options()
    }
}

fn resolve(server: &Server) -> (Resolved, Vec<&'static str>) {
    let source = source(server, &wanting());
    let resolved = source
        .resolve(&PlatformSelector::All, &Limits::default())
        .unwrap();
    let notes = source.notes().iter().map(|note| note.reason).collect();
    (resolved, notes)
}

/// A registry whose answers about referrers are those of `api`.
fn serve(repository: Repository, api: impl Fn(&Request, &str) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(
        move |request| match request.path.strip_prefix("/v2/app/referrers/") {
            Some(subject) => api(request, subject),
            None => repository.reply(request),
        },
    )
}

#[test]
fn what_refers_to_an_image_is_scanned_and_so_is_what_refers_to_that() {
    let Attached {
        repository,
        image,
        sbom,
        signature,
        secret,
    } = attached();
    let sbom_digest = sbom["digest"].as_str().unwrap().to_owned();
    let server = serve(repository, move |_, subject| match subject {
        subject if subject == image.as_str() => page(&[&sbom]),
        subject if subject == sbom_digest => page(&[&signature]),
        _ => page(&[]),
    });
    let (resolved, notes) = resolve(&server);
    assert!(resolved.problems.is_empty(), "{:?}", resolved.problems);
    assert_eq!(resolved.images.len(), 3);
    let kinds: Vec<_> = resolved
        .images
        .iter()
        .map(|image| image.artifact_type.as_deref())
        .collect();
    assert_eq!(
        kinds,
        [
            None,
            Some("application/vnd.example"),
            Some("application/vnd.example")
        ]
    );
    assert!(resolved.images.iter().all(|image| image.layers.len() == 1));
    assert_eq!(notes, ["no-referrers"], "nothing refers to the signature");

    let reference = format!("{}/app:1", server.host());
    let before = server.requests().len();
    let run = layersift(["scan", &reference, "--show-secrets"])
        .run()
        .expect_code(0);
    assert!(!run.text().contains(&secret));
    assert!(
        server.paths()[before..]
            .iter()
            .all(|path| !path.contains("referrers"))
    );
    let run = layersift(["scan", &reference, "--referrers", "--show-secrets"])
        .run()
        .expect_code(1);
    assert!(run.text().contains(&secret), "{}", run.text());
}

#[test]
fn a_registry_without_the_api_is_asked_for_the_tag() {
    for status in [400, 404, 405, 501] {
        let Attached {
            mut repository,
            image,
            sbom,
            ..
        } = attached();
        let tag = image.as_str().replace(':', "-");
        repository.manifest(&tag, media_type::OCI_INDEX, list(&[&sbom]));
        let server = serve(repository, move |_, _| Reply::new(status));
        let (resolved, notes) = resolve(&server);
        assert_eq!(
            (resolved.images.len(), resolved.problems.len()),
            (2, 0),
            "{status}"
        );
        assert_eq!(notes, ["no-referrers"], "{status}: of the SBOM");
        assert!(server.paths().contains(&format!("app/manifests/{tag}")));
    }
}

#[test]
fn that_nothing_refers_to_an_image_is_told() {
    for api in [|| Reply::new(404), || page(&[])] {
        let server = serve(attached().repository, move |_, _| api());
        let (resolved, notes) = resolve(&server);
        assert_eq!((resolved.images.len(), resolved.problems.len()), (1, 0));
        assert_eq!(notes, ["no-referrers"]);
    }
}

#[test]
fn a_list_is_read_page_by_page_at_the_registry_only() {
    let Attached {
        repository,
        image,
        sbom,
        signature,
        ..
    } = attached();
    let last = signature.clone();
    let server = serve(repository.clone(), move |_, subject| {
        match subject.split_once('?') {
            Some((_, "page=2")) => page(&[&last]),
            None if subject == image.as_str() => {
                let next = format!("</v2/app/referrers/{subject}?page=2>; rel=\"next\"");
                page(&[&sbom]).header("Link", &next)
            }
            _ => page(&[]),
        }
    });
    let (resolved, _) = resolve(&server);
    assert_eq!((resolved.images.len(), resolved.problems.len()), (3, 0));

    let other = Server::bind("127.0.0.2:0", |_| Reply::ok("{}"));
    for next in [
        other.url("/v2/app/referrers/x"),
        "/elsewhere".into(),
        "?same".into(),
    ] {
        let link = format!("<{next}>; rel=\"next\"");
        let server = serve(repository.clone(), move |_, _| page(&[]).header("Link", &link));
        let (resolved, _) = resolve(&server);
        assert_eq!(resolved.problems.len(), 1, "{next}: {:?}", resolved.problems);
        assert!(server.requests().len() < 10, "{next}");
    }
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn a_list_that_cannot_be_read_leaves_the_scan_incomplete() {
    type Api = fn() -> Reply;
    let broken: [(&str, Api, &str); 4] = [
        ("an error", || Reply::new(500), "registry-status"),
        ("forbidden", || Reply::new(403), "refused"),
        (
            "no index",
            || Reply::ok(r#"{"layers":[]}"#),
            "malformed-referrers",
        ),
        ("no JSON", || Reply::ok("<html>"), "malformed-referrers"),
    ];
    for (name, api, reason) in broken {
        let server = serve(attached().repository, move |_, _| api());
        let (resolved, _) = resolve(&server);
        let reasons: Vec<_> = resolved.problems.iter().map(|problem| problem.reason).collect();
        assert_eq!((resolved.images.len(), reasons), (1, vec![reason]), "{name}");
    }
}

#[test]
fn a_list_that_holds_too_much_is_given_up() {
    let Attached { repository, sbom, .. } = attached();
    let server = serve(repository, move |_, subject| {
        let (subject, number) = subject.split_once("?page=").unwrap_or((subject, "0"));
        let next: usize = number.parse::<usize>().unwrap() + 1;
        let link = format!("</v2/app/referrers/{subject}?page={next}>; rel=\"next\"");
        page(&[&sbom]).header("Link", &link)
    });
    let mut options = wanting();
    options.limits.referrers_bytes = 2000;
    let resolved = source(&server, &options)
        .resolve(&PlatformSelector::All, &Limits::default())
        .unwrap();
    let reasons: Vec<_> = resolved.problems.iter().map(|problem| problem.reason).collect();
    assert_eq!(reasons, ["document-size"]);
    assert!(server.requests().len() < 20, "{:?}", server.paths());
}
