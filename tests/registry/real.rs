//! Debian's `docker-registry`: open, with a login, with tokens, with TLS.

use std::io::Read as _;

use layersift::limits::Limits;
use layersift::oci::{Digest, Hasher, PlatformSelector, Reference};
use layersift::source::registry::{self, Credentials, RegistryOptions};
use layersift::source::{Resolved, Source};
use serde_json::json;

use super::{named, options, root_error};
use crate::support::image::{Image, image, images, index};
use crate::support::registry::{Registry, registry as start};
use crate::support::tar::file;

fn app() -> Image {
    image()
        .named("app:1")
        .layer([file("etc/one", "first")])
        .layer([file("etc/two", "second")])
}

/// Resolves and reads everything, and checks each digest.
fn read_all(source: &dyn Source) -> Resolved {
    let resolved = source
        .resolve(&PlatformSelector::All, &Limits::default())
        .unwrap();
    assert!(resolved.problems.is_empty(), "{:?}", resolved.problems);
    for layer in resolved.images.iter().flat_map(|image| &image.layers) {
        let descriptor = layer.descriptor.as_ref().unwrap();
        let mut reader = source.blob(&layer.blob, Some(descriptor)).unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        let mut hasher = Hasher::new(descriptor.digest.algorithm().unwrap());
        hasher.update(&bytes);
        assert_eq!(hasher.finish(), descriptor.digest);
        assert_eq!(bytes.len() as u64, descriptor.size);
    }
    resolved
}

fn login(password: &str) -> RegistryOptions {
    RegistryOptions {
        credentials: Some(Credentials {
            username: "robot".into(),
            password: password.into(),
        }),
        ..options()
    }
}

fn is_let_in(registry: &Registry, options: &RegistryOptions) -> bool {
    let source = named(&registry.reference("app", "1"), options);
    source.resolve(&PlatformSelector::All, &Limits::default()).is_ok()
}

#[test]
fn an_image_is_read_from_an_open_registry() {
    let registry = start().start();
    registry.push(&images([app()]), "team/app", "1");
    let reference = registry.reference("team/app", "1");
    let resolved = read_all(&named(&reference, &options()));
    assert_eq!(resolved.repository, Some(format!("{}/team/app", registry.host())));
    assert_eq!(resolved.images.len(), 1);
    assert_eq!(resolved.images[0].names, [reference]);
    assert_eq!(resolved.images[0].layers.len(), 2);
    let pinned = format!("{}/team/app@{}", registry.host(), resolved.digest.unwrap());
    read_all(&named(&pinned, &options()));

    let (_, text) = root_error(&named(&registry.reference("team/app", "2"), &options()));
    assert_eq!(
        text,
        format!("manifest `2` on `{}` was not found", registry.host())
    );
}

#[test]
fn every_platform_of_an_index_is_read_with_its_attestations() {
    let both = index(
        "app:1",
        [
            app(),
            app()
                .platform("linux/arm64")
                .attestation("https://slsa.dev/provenance/v0.2", json!({ "buildType": "test" })),
        ],
    );
    let registry = start().start();
    registry.push(&both, "app", "1");
    let resolved = read_all(&named(&registry.reference("app", "1"), &options()));
    assert_eq!(resolved.images.len(), 2);
    assert!(resolved.index.is_some());
    assert_eq!(resolved.images[1].attestations.len(), 1);
}

#[test]
fn a_login_is_needed_where_it_is_asked_for() {
    let registry = start().login("robot", "of no use").start();
    registry.push(&images([app()]), "app", "1");
    read_all(&named(&registry.reference("app", "1"), &login("of no use")));
    assert!(!is_let_in(&registry, &options()));
    assert!(!is_let_in(&registry, &login("wrong")));
}

#[test]
fn a_token_is_fetched_where_the_registry_sends_for_one() {
    let registry = start().login("robot", "of no use").tokens().start();
    registry.push(&images([app()]), "team/app", "1");
    let reference = registry.reference("team/app", "1");
    let before = registry.tokens().requests().len();
    read_all(&named(&reference, &login("of no use")));
    let asked = registry.tokens().requests();
    assert_eq!(asked.len() - before, 1, "one token is enough for everything");
    let scope = &asked.last().unwrap().path;
    assert!(scope.contains("pull") && !scope.contains("push"), "{scope}");

    let listed = registry::tags(&Reference::parse(&reference).unwrap(), &login("of no use")).unwrap();
    assert_eq!(listed.names, ["1"]);
    let listed = registry::repositories(&registry.host(), &login("of no use")).unwrap();
    assert_eq!(listed.names, ["team/app"], "{:?}", listed.failure);
    for options in [options(), login("wrong")] {
        let (error, text) = root_error(&named(&reference, &options));
        assert_eq!(error.reason(), "refused", "{text}");
        let listed = registry::repositories(&registry.host(), &options).unwrap();
        assert_eq!(listed.failure.unwrap().reason(), "refused");
    }
}

#[test]
fn a_certificate_counts_only_with_its_authority() {
    let registry = start().tls().login("robot", "of no use").start();
    registry.push(&images([app()]), "app", "1");
    let trusting = RegistryOptions {
        authorities: vec![registry.authority()],
        ..login("of no use")
    };
    read_all(&named(&registry.reference("app", "1"), &trusting));
    assert!(!is_let_in(&registry, &login("of no use")));
    let other = tempfile::NamedTempFile::new().unwrap();
    let without = RegistryOptions {
        authorities: vec![other.path().to_owned()],
        ..options()
    };
    let reference = Reference::parse(&registry.reference("app", "1")).unwrap();
    let error = registry::open(&reference, &without).unwrap_err();
    assert!(error.to_string().contains("it holds no certificate"), "{error}");
}

#[test]
fn a_blob_that_the_registry_lost_or_damaged_is_noticed() {
    let registry = start().start();
    registry.push(&images([app()]), "app", "1");
    let source = named(&registry.reference("app", "1"), &options());
    let resolved = read_all(&source);
    let layers = &resolved.images[0].layers;
    let digest = |n: usize| layers[n].descriptor.as_ref().unwrap().digest.clone();

    let file = registry.blob_file(&digest(0));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let mut read = Vec::new();
    source
        .blob(&layers[0].blob, None)
        .unwrap()
        .read_to_end(&mut read)
        .unwrap();
    assert_ne!(Digest::of(&read), digest(0), "what came is what is given");

    std::fs::remove_file(registry.blob_file(&digest(1))).unwrap();
    let error = source.blob(&layers[1].blob, None).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("was not found"), "{error}");
}
