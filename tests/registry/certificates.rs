//! TLS: whom the client believes, and to whom it shows who it is.

use std::path::Path;

use layersift::source::SourceError;
use layersift::source::registry::{ClientCertificate, RegistryOptions};

use super::{options, read, root, root_error, source};
use crate::support::scripted::{Reply, Repository, Server};
use crate::support::tls::{self, Authority, Certificate};

const HERE: &str = "127.0.0.1";

fn repository() -> Repository {
    let mut repository = Repository::default();
    repository.manifest("1", layersift::oci::media_type::OCI_MANIFEST, "{}");
    repository
}

fn serve(certificate: &Certificate, clients: Option<&Authority>) -> Server {
    let repository = repository();
    Server::tls(tls::server(certificate, clients), move |request| {
        repository.reply(request)
    })
}

fn trusting(authority: &Authority, folder: &Path) -> RegistryOptions {
    RegistryOptions {
        authorities: vec![authority.file(folder)],
        ..options()
    }
}

fn write(certificate: &Certificate, folder: &Path) -> ClientCertificate {
    let shown = ClientCertificate {
        certificate: folder.join("client.cert"),
        key: folder.join("client.key"),
    };
    std::fs::write(&shown.certificate, &certificate.pem).unwrap();
    std::fs::write(&shown.key, &certificate.key).unwrap();
    shown
}

#[test]
fn a_certificate_that_is_not_good_ends_it_at_once_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let trusting = trusting(&authority, folder.path());
    root(&source(&serve(&authority.sign(HERE, false), None), &trusting)).unwrap();
    for (name, certificate, why) in [
        ("expired", authority.sign(HERE, true), "expired"),
        (
            "wrong name",
            authority.sign("registry.example.com", false),
            "not valid for name",
        ),
        ("unknown authority", other.sign(HERE, false), "UnknownIssuer"),
        ("self-signed", tls::self_signed(HERE), "UnknownIssuer"),
    ] {
        let server = serve(&certificate, None);
        let (error, text) = root_error(&source(&server, &trusting));
        assert!(
            matches!(error, SourceError::Unreachable { .. }),
            "{name}: {error:?}"
        );
        assert!(
            text.contains(server.host()) && text.contains(why),
            "{name}: {text}"
        );
        assert_eq!(server.requests().len(), 0, "{name}");
    }
}

#[test]
fn a_client_certificate_is_shown_to_the_registry_that_asks_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let server = serve(&authority.sign(HERE, false), Some(&authority));
    let without = trusting(&authority, folder.path());
    let (error, _) = root_error(&source(&server, &without));
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 0);

    let shown = write(&authority.sign("someone", false), folder.path());
    let with = RegistryOptions {
        client_certificate: Some(shown.clone()),
        ..without.clone()
    };
    root(&source(&server, &with)).unwrap();

    for (certificate, key) in [(&shown.key, &shown.key), (&shown.certificate, &shown.certificate)] {
        let wrong = RegistryOptions {
            client_certificate: Some(ClientCertificate {
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            ..without.clone()
        };
        let reference = layersift::oci::Reference::parse(&format!("{}/app:1", server.host())).unwrap();
        let error = layersift::source::registry::open(&reference, &wrong).unwrap_err();
        assert!(error.to_string().contains("it holds no"), "{error}");
    }
}

#[test]
fn a_store_that_asks_for_a_certificate_is_not_shown_that_of_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let mut stored = Repository::default();
    let digest = stored.blob("the bytes of a layer");
    let certificate = authority.sign(HERE, false);
    let store = Server::tls(tls::server(&certificate, Some(&authority)), move |request| {
        stored.reply(request)
    });
    let target = format!("https://{}/v2/app/blobs/{digest}", store.host());
    let registry = Server::tls(
        tls::server(&certificate, Some(&authority)),
        move |request| match request.path.as_str() {
            "/v2/" => Reply::ok("{}"),
            _ => Reply::redirect(&target),
        },
    );
    let options = RegistryOptions {
        client_certificate: Some(write(&authority.sign("someone", false), folder.path())),
        ..trusting(&authority, folder.path())
    };
    assert!(read(&source(&registry, &options), &digest, None).is_err());
    assert_eq!((registry.requests().len(), store.requests().len()), (1, 0));
}

#[test]
fn the_folder_of_a_host_has_its_authority_and_its_client_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let server = serve(&authority.sign(HERE, false), Some(&authority));
    let options = RegistryOptions {
        certificates: Some(folder.path().to_owned()),
        ..options()
    };
    root_error(&source(&server, &options));
    let own = folder.path().join(server.host());
    std::fs::create_dir(&own).unwrap();
    authority.file(&own);
    let shown = write(&authority.sign("someone", false), &own);
    root(&source(&server, &options)).unwrap();

    let other = serve(&authority.sign(HERE, false), None);
    let (_, text) = root_error(&source(&other, &options));
    assert!(
        text.contains("UnknownIssuer"),
        "trusted for its own host only: {text}"
    );

    std::fs::remove_file(&shown.key).unwrap();
    let reference = layersift::oci::Reference::parse(&format!("{}/app:1", server.host())).unwrap();
    let error = layersift::source::registry::open(&reference, &options).unwrap_err();
    assert!(error.to_string().contains("client.key"), "{error}");
}
