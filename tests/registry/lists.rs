//! Lists of tags and of repositories: how they go on, how they end, and what is in them that should not be.

use layersift::limits::Limits;
use layersift::oci::Reference;
use layersift::source::registry::{self, Listing, RegistryOptions};
use serde_json::{Value, json};

use super::{options, with_login};
use crate::support::command::layersift;
use crate::support::registry::registry as start;
use crate::support::scripted::{Reply, Request, Server};

fn tags(server: &Server, options: &RegistryOptions) -> Listing {
    let reference = Reference::parse(&format!("{}/app:ignored", server.host())).unwrap();
    registry::tags(&reference, options).unwrap()
}

fn failure(listing: &Listing) -> String {
    let failure = listing.failure.as_ref().expect("a failure");
    failure.with_causes()
}

/// A server that gives `page` for the first request of a list.
fn first(page: &Value) -> Server {
    let page = page.to_string();
    Server::start(move |_| Reply::ok(page.clone()))
}

/// A server whose first page leads on by `link`, and whose others are the last.
fn leading(link: &'static str) -> Server {
    Server::start(move |request| match request.path.as_str() {
        "/v2/app/tags/list?n=1000" => Reply::ok(r#"{"tags":["1"]}"#).header("Link", link),
        _ => Reply::ok(r#"{"tags":["2"]}"#),
    })
}

#[test]
fn fault_30_what_is_no_tag_is_left_out_and_counted() {
    let long = "x".repeat(129);
    let server =
        first(&json!({"tags": ["1", "v1.2_3-4", "", "a b", ".hidden", "a/b", "\u{1b}[2J", long, "1"]}));
    let listing = tags(&server, &options());
    assert_eq!(listing.names, ["1", "v1.2_3-4"]);
    assert_eq!(listing.invalid, 6);
    assert!(listing.failure.is_none());
}

#[test]
fn fault_30_no_tags_are_null_or_an_empty_list_but_not_a_missing_one() {
    for empty in [json!({"tags": null}), json!({"name": "app", "tags": []})] {
        let listing = tags(&first(&empty), &options());
        assert!(
            listing.names.is_empty() && listing.failure.is_none(),
            "{listing:?}"
        );
    }
    for wrong in [json!({}), json!({"tags": "1"}), json!({"tags": [1]}), json!([])] {
        let listing = tags(&first(&wrong), &options());
        assert!(failure(&listing).contains("expected form"), "{wrong}");
    }
}

#[test]
fn fault_30_pages_are_followed_at_the_registry_only() {
    for link in [
        "</v2/app/tags/list?last=1>; rel=\"next\"",
        "<list?last=1>; rel=next",
    ] {
        let listing = tags(&leading(link), &options());
        assert_eq!(listing.names, ["1", "2"], "{link}");
        assert!(listing.failure.is_none());
    }
    let elsewhere = Server::bind("127.0.0.2:0", |_| Reply::ok(r#"{"tags":["2"]}"#));
    let other: &'static str = Box::leak(format!("<{}>; rel=next", elsewhere.url("/v2/x")).into_boxed_str());
    for (link, why) in [
        (other, "somewhere else"),
        ("<http://169.254.169.254/v2/>; rel=next", "somewhere else"),
        ("</other>; rel=next", "somewhere else"),
    ] {
        let server = leading(link);
        let listing = tags(&server, &with_login());
        assert_eq!(listing.names, ["1"], "what was listed is kept");
        assert!(failure(&listing).contains(why), "{link}: {listing:?}");
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn fault_30_a_list_that_repeats_itself_ends() {
    let server = leading("</v2/app/tags/list?n=1000>; rel=next");
    let listing = tags(&server, &options());
    assert_eq!(listing.names, ["1"]);
    assert!(failure(&listing).contains("does not end"));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn fault_30_two_hundred_thousand_tags_on_one_page_are_read_and_too_many_are_told() {
    let names: Vec<String> = (0..200_000).map(|number| format!("v{number}")).collect();
    let page = json!({ "tags": names });
    let listing = tags(&first(&page), &options());
    assert_eq!((listing.names.len(), listing.invalid), (200_000, 0));
    let mut few = options();
    few.limits = Limits {
        names: 1000,
        ..few.limits
    };
    let listing = tags(&first(&page), &few);
    assert_eq!(listing.names.len(), 1000);
    assert!(failure(&listing).contains("`names`"), "{}", failure(&listing));
    few.limits.list_bytes = 1 << 20;
    assert!(failure(&tags(&first(&page), &few)).contains("`document-size`"));
}

#[test]
fn fault_31_a_catalog_that_is_not_there_or_without_end_is_told() {
    for (status, reason) in [
        (401, "refused"),
        (403, "refused"),
        (404, "not-found"),
        (405, "registry-status"),
    ] {
        let server = Server::start(move |_| Reply::new(status));
        let listing = registry::repositories(server.host(), &options()).unwrap();
        assert_eq!(listing.failure.as_ref().unwrap().reason(), reason, "{status}");
    }
    let endless = |request: &Request| {
        let next = format!("</v2/_catalog?last={}>; rel=next", request.path.len());
        let page = json!({"repositories": [format!("app{}", request.path.len())]});
        // Each page is the same one by another name.
        Reply::ok(page.to_string()).header("Link", &next)
    };
    let server = Server::start(endless);
    let listing = registry::repositories(server.host(), &options()).unwrap();
    assert!(failure(&listing).contains("does not end"));
    assert!(!listing.names.is_empty());
}

#[test]
fn a_list_can_be_given_to_a_scan() {
    use crate::support::image::{image, images};
    let registry = start().start();
    for (repository, tag) in [("team/app", "1"), ("team/app", "2"), ("base", "1")] {
        registry.push(&images([image()]), repository, tag);
    }
    let list = |name: &str| layersift(["list", name]).run().expect_code(0).text().to_owned();
    let host = registry.host();
    assert_eq!(list(&host), format!("{host}/base\n{host}/team/app\n"));
    let tags = list(&format!("{host}/team/app"));
    assert_eq!(tags, format!("{host}/team/app:1\n{host}/team/app:2\n"));
    let mut command = vec!["scan"];
    command.extend(tags.lines());
    layersift(command).run().expect_code(0);

    let run = layersift(["list", &format!("{host}/none")]).run().expect_code(3);
    assert!(
        run.stderr.contains(&format!("cannot list `{host}/none`")),
        "{}",
        run.stderr
    );
}

#[test]
fn a_list_that_breaks_off_prints_its_beginning_and_exits_4() {
    let server = leading("<http://127.0.0.2:9/v2/app>; rel=next");
    let run = layersift(["list", &format!("{}/app", server.host())])
        .run()
        .expect_code(4);
    assert_eq!(run.text(), format!("{}/app:1\n", server.host()));
    assert!(run.stderr.contains("these were the first 1"), "{}", run.stderr);
}
