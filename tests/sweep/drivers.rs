//! Lists that registries have of their own, answered by hand in the form their documentation gives: tags with digests, and
//! manifests that no tag leads to. The services themselves are asked nothing.

use serde_json::{Value, json};

use super::{Counts, Place, base, reasons, token};
use crate::support::image::{Image, images};
use crate::support::scripted::{Reply, Repository, Request, Server};
use crate::support::tar::file;

/// Two images, and the manifests of both by their digests: the answers of a registry whose lists are its own.
pub(super) struct Two {
    repository: Repository,
    pub(super) tagged: String,
    pub(super) untagged: String,
}

fn two() -> Two {
    let of = |image: Image| {
        let layout = images([image.clone()]).oci_layout();
        let index: Value = serde_json::from_slice(&layout["index.json"]).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        (layout, digest)
    };
    let leaking = base().layer([file("srv/.env", format!("TOKEN={}\n", token(1)))]);
    let (_, untagged) = of(leaking.clone());
    let (clean, tagged) = of(base());
    let mut repository = Repository::of(&images([leaking]));
    for (_, bytes) in clean.iter().filter(|(path, _)| path.starts_with("blobs/")) {
        repository.blob(bytes.clone());
        let digest = layersift::oci::Digest::of(bytes);
        repository.manifest(digest.as_str(), "", bytes.clone());
    }
    Two {
        repository,
        tagged,
        untagged,
    }
}

/// A registry whose own lists are as `lists` says, by path and query. The repository is `team/app`; what no tag leads to has
/// a secret.
pub(super) fn listing(lists: impl Fn(&Request, &Two) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let two = two();
    Server::start(move |request| {
        if let Some(reply) = lists(request, &two) {
            return reply;
        }
        let mut plain = request.clone();
        plain.path = plain.path.replacen("/v2/team/app/", "/v2/app/", 1);
        two.repository.reply(&plain)
    })
}

/// What a sweep of a registry of this kind finds, and another one.
#[track_caller]
fn swept(
    kind: &str,
    target: &str,
    lists: impl Fn(&str, &Two) -> Option<String> + Send + Sync + 'static,
) -> (Place, Counts, Counts) {
    let server = listing(
        move |request, two| match (request.method.as_str(), request.path.as_str()) {
            // What a tag points at, where the lists do not say it.
            ("HEAD", "/v2/team/app/manifests/1") => {
                Some(Reply::ok("").header("Docker-Content-Digest", &two.tagged))
            }
            (_, path) => lists(path, two).map(Reply::ok),
        },
    );
    let place = Place::new();
    let target = format!("{}{target}", server.host());
    let sweep = || {
        let command = place.command(&["sweep", &target, "--kind", kind]);
        Counts::of(&command.run().expect_code(1))
    };
    let (first, second) = (sweep(), sweep());
    (place, first, second)
}

/// Untagged manifests are found, and a second sweep needs nothing but lists.
#[track_caller]
fn is_swept(kind: &str, target: &str, lists: impl Fn(&str, &Two) -> Option<String> + Send + Sync + 'static) {
    let (place, first, second) = swept(kind, target, lists);
    assert_eq!((first.digests, first.manifests), (0, 2), "{first:?}");
    has_both(&place, &first, &second);
}

#[track_caller]
fn has_both(place: &Place, first: &Counts, second: &Counts) {
    assert_eq!(
        (second.digests, second.manifests, second.blobs),
        (first.digests, 0, 0),
        "{second:?}"
    );
    // What kind of registry it is was found out the first time.
    assert!(second.lists <= first.lists);
    let report = place.report();
    let tags: Vec<&Value> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| &image["tags"])
        .collect();
    assert_eq!(tags.len(), 2, "{report:#}");
    let leaking = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .find(|image| !image["findings"].as_array().unwrap().is_empty());
    assert_eq!(leaking.unwrap()["tags"], json!([]), "no tag leads to it");
    assert_eq!(reasons(place), [""; 0]);
}

#[test]
fn harbor_is_asked_for_its_artifacts() {
    is_swept("auto", "", |path, two| {
        match path {
        "/api/v2.0/ping" => Some("Pong".to_owned()),
        "/api/v2.0/repositories?page_size=100" => {
            Some(json!([{"name": "team/app", "artifact_count": 2, "new": {}}]).to_string())
        }
        "/api/v2.0/projects/team/repositories/app/artifacts?page_size=100&with_tag=true" => Some(
            json!([
                {"digest": two.tagged, "type": "IMAGE", "tags": [{"name": "1", "push_time": "2026-01-01T00:00:00Z"}]},
                {"digest": two.untagged, "type": "IMAGE", "tags": null, "references": null},
            ])
            .to_string(),
        ),
        _ => None,
    }
    });
}

#[test]
fn google_is_asked_for_the_map_of_its_manifests() {
    is_swept("google", "/team/", |path, two| match path {
        "/v2/team/tags/list" => {
            Some(json!({"name": "team", "child": ["app"], "manifest": {}, "tags": []}).to_string())
        }
        "/v2/team/app/tags/list" => Some(
            json!({"name": "team/app", "child": [], "tags": ["1"], "manifest": {
                &two.tagged: {"tag": ["1"], "imageSizeBytes": "100", "timeUploadedMs": "1500000000000"},
                &two.untagged: {"tag": [], "imageSizeBytes": "100", "timeUploadedMs": 1_500_000_000_000_u64},
            }})
            .to_string(),
        ),
        _ => None,
    });
}

#[test]
fn azure_is_asked_for_its_manifests() {
    is_swept("azure", "", |path, two| match path {
        path if path.starts_with("/v2/_catalog") => Some(json!({"repositories": ["team/app"]}).to_string()),
        "/acr/v1/team/app/_manifests?n=100" => Some(
            json!({"registry": "x.example.com", "imageName": "team/app", "manifests": [
                {"digest": two.tagged, "imageSize": 100, "tags": ["1"], "changeableAttributes": {}},
                {"digest": two.untagged, "imageSize": 100},
            ]})
            .to_string(),
        ),
        _ => None,
    });
}

/// These list no untagged manifests: what a tag left behind is asked for by its digest.
#[track_caller]
fn tags_are_listed_with_digests(
    kind: &str,
    lists: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static,
) {
    let (place, first, second) = swept(kind, "/team/", move |path, two| lists(path, &two.untagged));
    assert_eq!((first.digests, first.manifests), (0, 1), "{first:?}");
    assert_eq!(
        (second.digests, second.manifests, second.blobs),
        (0, 0, 0),
        "{second:?}"
    );
    assert_eq!(place.report()["images"][0]["tags"], json!(["1"]));
    assert_eq!(reasons(&place), [""; 0]);
}

#[test]
fn gitlab_is_asked_for_tags_with_digests() {
    tags_are_listed_with_digests("gitlab", |path, digest| {
        match path {
        path if path.starts_with("/v2/_catalog") => Some(json!({"repositories": ["team/app"]}).to_string()),
        "/gitlab/v1/repositories/team/app/tags/list/?n=1000" => Some(
            json!([{"name": "1", "digest": digest, "config_digest": digest, "media_type": "x", "size_bytes": 5,
                "created_at": "2026-01-01T00:00:00.000Z"}])
            .to_string(),
        ),
        _ => None,
    }
    });
}

#[test]
fn quay_is_asked_page_by_page() {
    tags_are_listed_with_digests("quay", |path, digest| {
        match path {
        "/api/v1/repository?public=true&private=true&namespace=team" => {
            Some(json!({"repositories": [{"namespace": "team", "name": "app", "is_public": true}], "next_page": "a b"}).to_string())
        }
        "/api/v1/repository?public=true&private=true&namespace=team&next_page=a+b" => {
            Some(json!({"repositories": []}).to_string())
        }
        "/api/v1/repository/team/app/tag/?limit=100&onlyActiveTags=true&page=1" => Some(
            json!({"tags": [{"name": "1", "manifest_digest": digest, "start_ts": 1_700_000_000}], "page": 1,
                "has_additional": false})
            .to_string(),
        ),
        _ => None,
    }
    });
}

fn catalog(path: &str) -> Option<String> {
    path.starts_with("/v2/_catalog")
        .then(|| json!({"repositories": ["team/app"]}).to_string())
}

#[test]
fn gitea_is_asked_for_packages_and_what_tags_point_at() {
    let (place, first, second) = swept("gitea", "", |path, two| {
        let package = |name: &str, version: &str| {
            json!({"id": 1, "owner": {"login": "team"}, "type": "container", "name": name, "version": version,
                "created_at": "2026-01-01T00:00:00Z"})
        };
        match path {
            "/api/v1/packages/team?type=container&q=app&page=1&limit=50" => {
                // A page that is full has another one behind it.
                let mut page = vec![package("app", "1"), package("app", &two.untagged)];
                page.resize(50, package("app-of-others", "1"));
                Some(json!(page).to_string())
            }
            "/api/v1/packages/team?type=container&q=app&page=2&limit=50" => Some("[]".to_owned()),
            path => catalog(path),
        }
    });
    assert_eq!((first.digests, first.manifests), (1, 2), "{first:?}");
    has_both(&place, &first, &second);
}

#[test]
fn artifactory_is_asked_for_the_files_below_an_image() {
    is_swept("artifactory", "", |path, two| {
        match path {
        "/artifactory/api/repositories?packageType=docker" => Some(
            json!([
                {"key": "team", "type": "LOCAL", "packageType": "Docker", "url": "https://example.com/artifactory/team"},
                {"key": "all", "type": "VIRTUAL", "packageType": "Docker"},
            ])
            .to_string(),
        ),
        "/artifactory/api/docker/team/v2/_catalog?n=1000" => {
            Some(json!({"repositories": ["app"]}).to_string())
        }
        "/artifactory/api/storage/team/app?list&deep=1&listFolders=0" => {
            let modified = "2026-01-01T00:00:00.000Z";
            let sha2 = two.tagged.trim_start_matches("sha256:");
            Some(
                json!({"uri": "https://example.com/artifactory/api/storage/team/app", "created": modified, "files": [
                    {"uri": "/1/manifest.json", "size": 500, "lastModified": modified, "folder": false, "sha1": "x",
                        "sha2": sha2},
                    {"uri": format!("/1/sha256__{sha2}"), "size": "500", "lastModified": modified, "folder": "false"},
                    {"uri": format!("/{}/manifest.json", two.untagged), "size": "500", "lastModified": modified,
                        "folder": "false", "sha1": "x", "sha2": two.untagged.trim_start_matches("sha256:")},
                    {"uri": "/deeper/2/manifest.json", "size": "500", "lastModified": modified, "folder": "false"},
                ]})
                .to_string(),
            )
        }
        _ => None,
    }
    });
}

#[test]
fn nexus_is_asked_for_components_and_their_checksums() {
    is_swept("nexus", "", |path, two| {
        let component = |version: &str, digest: &str, token: Value| {
            json!({"items": [
                {"id": "a", "repository": "docker", "format": "docker", "group": null, "name": "team/app", "version": version,
                    "assets": [{"downloadUrl": "x", "path": format!("v2/team/app/manifests/{version}"), "format": "docker",
                        "checksum": {"sha1": "x", "sha256": digest.trim_start_matches("sha256:")},
                        "lastModified": "2026-01-01T00:00:00.000+00:00"}]},
                {"id": "b", "format": "docker", "name": "team/app-of-others", "version": "9", "assets": []},
            ], "continuationToken": token})
            .to_string()
        };
        match path {
            "/service/rest/v1/search?format=docker&name=team%2Fapp" => {
                Some(component("1", &two.tagged, json!("a b")))
            }
            "/service/rest/v1/search?format=docker&name=team%2Fapp&continuationToken=a+b" => {
                Some(component(&two.untagged, &two.untagged, json!(null)))
            }
            path => catalog(path),
        }
    });
}

#[test]
fn zot_is_asked_by_a_query() {
    tags_are_listed_with_digests("zot", |path, digest| match path.split_once("?query=") {
        Some(("/v2/_zot/ext/search", query)) => {
            let query: String = url::form_urlencoded::parse(format!("q={query}").as_bytes())
                .map(|(_, value)| value.into_owned())
                .collect();
            assert!(query.contains("repo:\"team/app\""), "{query}");
            assert!(query.contains("offset:0"), "{query}");
            Some(
                json!({"data": {"ImageList": {"Results": [{"Tag": "1", "Digest": digest}, {"Tag": "", "Digest": digest}]}}})
                    .to_string(),
            )
        }
        _ => catalog(path),
    });
}

/// A search that is not there, or that knows the query no more, leaves the tags.
#[test]
fn lists_that_a_registry_does_not_give_are_said_and_its_tags_are_swept() {
    for answer in [
        Reply::new(404),
        Reply::ok(r#"{"errors":[{"message":"unknown field"}],"data":null}"#),
    ] {
        let server = listing(move |request, _| {
            let path = request.path.split('?').next().unwrap();
            match path {
                "/v2/_catalog" => Some(Reply::ok(r#"{"repositories":["team/app"]}"#)),
                "/v2/_zot/ext/search" => Some(answer.clone()),
                "/v2/team/app/tags/list" => Some(Reply::ok(r#"{"name":"team/app","tags":["1"]}"#)),
                _ => None,
            }
        });
        let place = Place::new();
        let run = place
            .command(&["sweep", server.host(), "--kind", "zot"])
            .run()
            .expect_code(1);
        assert!(run.stderr.contains("gives names of tags only"), "{}", run.stderr);
        assert_eq!(Counts::of(&run).digests, 1);
        assert_eq!(reasons(&place), [""; 0]);
    }
}

#[test]
fn a_list_of_its_own_that_fails_is_no_deletion() {
    let is_gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let gone = std::sync::Arc::clone(&is_gone);
    let server = listing(move |request, two| {
        let path = request.path.as_str();
        match path.split('?').next().unwrap() {
            "/api/v2.0/repositories" => Some(Reply::ok(json!([{"name": "team/app"}]).to_string())),
            path if path.ends_with("/artifacts") => {
                Some(match gone.load(std::sync::atomic::Ordering::SeqCst) {
                    true => Reply::new(404),
                    false => Reply::ok(
                        json!([{"digest": two.tagged, "tags": [{"name": "1"}]}, {"digest": two.untagged}])
                            .to_string(),
                    ),
                })
            }
            _ => None,
        }
    });
    let place = Place::new();
    let sweep = || place.command(&["sweep", server.host(), "--kind", "harbor"]);
    sweep().run().expect_code(1);
    is_gone.store(true, std::sync::atomic::Ordering::SeqCst);
    sweep().run().expect_code(5);
    assert_eq!(reasons(&place), ["unusable"]);
    assert!(place.query(&["moved"]).is_empty());
    assert_eq!(place.report()["images"].as_array().unwrap().len(), 2);
}

/// Packages of a user, with the token of the login; GitHub's next pages are below numbers.
#[test]
fn github_is_asked_for_versions_with_a_token() {
    let password = "a-classic-token";
    let server = listing(move |request, two| {
        let is_api = request.path.starts_with("/api/v3/");
        if is_api && request.header("authorization") != Some(&format!("Bearer {password}")) {
            return Some(Reply::new(401).body(r#"{"message":"Requires authentication"}"#));
        }
        let version = |digest: &str, tags: &[&str]| {
            json!({"id": 1, "name": digest, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z",
                "metadata": {"package_type": "container", "container": {"tags": tags}}})
        };
        match request.path.as_str() {
            "/api/v3/users/team/packages?package_type=container&per_page=100" => Some(Reply::ok(
                json!([{"id": 1, "name": "app", "package_type": "container"}]).to_string(),
            )),
            "/api/v3/users/team/packages/container/app/versions?per_page=100" => Some(
                Reply::ok(json!([version(&two.tagged, &["1"])]).to_string()).header(
                    "Link",
                    "</api/v3/user/7/packages/container/app/versions?page=2>; rel=\"next\"",
                ),
            ),
            "/api/v3/user/7/packages/container/app/versions?page=2" => {
                Some(Reply::ok(json!([version(&two.untagged, &[])]).to_string()))
            }
            path if path.starts_with("/api/v3/") => Some(Reply::new(404).body(r#"{"message":"Not Found"}"#)),
            _ => None,
        }
    });
    let place = Place::new();
    let target = format!("{}/team/", server.host());
    let login = place.login(server.host(), "someone", password);
    let sweep = || {
        let command = place
            .command(&["sweep", &target, "--kind", "github"])
            .arg("--docker-config");
        Counts::of(&command.arg(&login).run().expect_code(1))
    };
    let first = sweep();
    assert_eq!((first.digests, first.manifests), (0, 2), "{first:?}");
    has_both(&place, &first, &sweep());
}

/// A token for the login where there is one, and nothing but the lists where there is none.
#[test]
fn docker_hub_is_asked_with_a_token_for_the_login_or_without_one() {
    let password = "a-personal-access-token";
    for has_login in [true, false] {
        let server = listing(move |request, two| {
            let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
            if path == "/v2/auth/token" {
                let asked: Value = serde_json::from_str(&request.body).unwrap();
                assert_eq!(asked, json!({"identifier": "someone", "secret": password}));
                return Some(Reply::ok(r#"{"access_token":"of-ten-minutes"}"#));
            }
            if path.starts_with("/v2/namespaces/") {
                let shown = request.header("authorization");
                assert_eq!(shown, has_login.then_some("Bearer of-ten-minutes"));
            }
            let page = |next: bool, results: Value| {
                let next = next.then(|| format!("https://hub.example.com{path}?page=2"));
                Some(Reply::ok(
                    json!({"count": 2, "next": next, "previous": null, "results": results}).to_string(),
                ))
            };
            match (path, query) {
                ("/v2/namespaces/team/repositories", "page_size=100&page=1") => page(
                    false,
                    json!([{"name": "app", "namespace": "team", "status": 1, "is_private": true}]),
                ),
                ("/v2/namespaces/team/repositories/app/tags", "page_size=100&page=1") => page(
                    true,
                    json!([{"name": "1", "digest": two.tagged, "tag_last_pushed": "2026-01-01T00:00:00.123456Z",
                        "images": [{"architecture": "amd64", "digest": two.tagged, "last_pushed": null}]}]),
                ),
                // An old one, whose digest the list does not have.
                ("/v2/namespaces/team/repositories/app/tags", "page_size=100&page=2") => {
                    page(false, json!([{"name": "2", "images": []}]))
                }
                ("/v2/team/app/manifests/2", _) if request.method == "HEAD" => {
                    Some(Reply::ok("").header("Docker-Content-Digest", &two.untagged))
                }
                _ => None,
            }
        });
        let place = Place::new();
        let login = place.login(server.host(), "someone", password);
        let target = format!("{}/team/", server.host());
        let command = place
            .command(&["sweep", &target, "--kind", "hub"])
            .arg("--docker-config");
        let folder = if has_login { login } else { place.path("none") };
        let run = command.arg(folder).run().expect_code(1);
        assert_eq!((Counts::of(&run).digests, Counts::of(&run).manifests), (1, 2));
        assert_eq!(reasons(&place), [""; 0]);
    }
}

#[test]
fn owners_and_namespaces_must_be_named_where_a_registry_lists_nothing_else() {
    let server = listing(|_, _| None);
    for (kind, hint) in [
        ("github", "HOST/OWNER/"),
        ("google", "HOST/PROJECT/"),
        ("hub", "docker.io/NAMESPACE/"),
    ] {
        let place = Place::new();
        let run = place
            .command(&["sweep", server.host(), "--kind", kind])
            .run()
            .expect_code(3);
        assert!(run.stderr.contains(hint), "{kind}: {}", run.stderr);
    }
}

/// Amazon's registry is asked as any other, with the password of twelve hours.
#[test]
fn ecr_is_asked_for_names_page_by_page_with_the_login_of_its_tools() {
    let password = "a-long-password-of-twelve-hours";
    let auth = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("AWS:{password}"),
    );
    let basic = format!("Basic {auth}");
    let server = listing(move |request, _| {
        if request.header("authorization") != Some(&basic) {
            return Some(
                Reply::new(401)
                    .header(
                        "WWW-Authenticate",
                        "Basic realm=\"https://registry.example.com/\",service=\"ecr\"",
                    )
                    .body("Not Authorized"),
            );
        }
        match request.path.as_str() {
            "/v2/_catalog?n=1000" => Some(
                Reply::ok(r#"{"repositories":["gone"]}"#)
                    .header("Link", "</v2/_catalog?last=b3BhcXVl&n=1000>; rel=\"next\""),
            ),
            "/v2/_catalog?last=b3BhcXVl&n=1000" => Some(Reply::ok(r#"{"repositories":["team/app"]}"#)),
            "/v2/team/app/tags/list?n=1000" => Some(Reply::ok(r#"{"name":"team/app","tags":["1"]}"#)),
            _ => None,
        }
    });
    let place = Place::new();
    let login = place.login(server.host(), "AWS", password);
    let command = place
        .command(&["sweep", server.host(), "--kind", "ecr"])
        .arg("--docker-config");
    command.arg(&login).run().expect_code(1);
    assert_eq!(place.report()["images"][0]["tags"], json!(["1"]));
    // What `aws ecr list-images` names is swept as a file of references.
    let two = two();
    let list = place.path("untagged");
    std::fs::write(
        &list,
        format!("# of team/app\n{}/team/app@{}\n", server.host(), two.tagged),
    )
    .unwrap();
    let command = place.command(&["sweep", "--kind", "ecr"]).arg("--docker-config");
    command.arg(&login).arg(&list).run().expect_code(1);
    assert_eq!(place.report()["images"].as_array().unwrap().len(), 2);
}
