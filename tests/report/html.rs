//! The page, in a browser: headless Chromium reads it as people's browsers would.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use layersift::finding::{Report, Reveal};
use sha2::{Digest as _, Sha256};

use super::{fixture, properties, written};
use crate::support::{output_of, program};

fn page(report: &Report) -> String {
    String::from_utf8(written("html", report, Reveal::Plain)).unwrap()
}

/// How many elements of each name there are.
fn elements(page: &str) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (place, _) in page.match_indices('<') {
        let name = page[place + 1..]
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap();
        if !name.is_empty() {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
}

/// What Chromium makes of a page, as markup.
fn in_browser(page: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("report.html"), page).unwrap();
    browse(folder.path(), &["--dump-dom"])
}

fn browse(folder: &Path, arguments: &[&str]) -> String {
    let mut chromium = program("chromium", "chromium");
    chromium
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(arguments)
        .arg(format!("file://{}/report.html", folder.display()));
    String::from_utf8(output_of(&mut chromium)).unwrap()
}

#[test]
fn a_page_allows_its_own_style_and_nothing_else() {
    for report in [
        fixture::sample(),
        fixture::clean(),
        fixture::unresolved(),
        fixture::every_shape(),
    ] {
        let page = page(&report);
        let style = page
            .split("<style>")
            .nth(1)
            .unwrap()
            .split("</style>")
            .next()
            .unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
        // Plus and slash of base64 stand as they are.
        let policy =
            format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'");
        assert!(
            page.contains(&format!("content=\"{policy}\"")),
            "{}",
            &page[..400]
        );
        for absent in ["<script", " style=", "http:", "url(", "@import", "src="] {
            assert!(!page.contains(absent), "{absent}");
        }
    }
}

#[test]
fn names_that_try_to_be_markup_are_text_in_a_browser() {
    let plain = fixture::every_shape();
    let mut hostile = plain.clone();
    properties::make_hostile(&mut hostile);
    let (plain, hostile) = (page(&plain), page(&hostile));
    // Less what a hostile report has more or fewer of: lines of context, notes of a file's class.
    let mut allowed = elements(&plain);
    let seen = elements(&hostile);
    for name in seen.keys() {
        assert!(allowed.remove(name).is_some(), "<{name}> is new");
    }
    let dom = in_browser(&hostile);
    let after = elements(&dom);
    for name in [
        "script",
        "img",
        "iframe",
        "b",
        "i",
        "plaintext",
        "title",
        "style",
        "article",
        "li",
    ] {
        // Browsers add nothing and lose nothing.
        assert_eq!(after.get(name), seen.get(name), "<{name}>");
    }
    assert!(
        !dom.chars()
            .any(|c| c != '\n' && layersift::text::is_unprintable(c))
    );
}

#[test]
fn a_page_has_every_layer_and_a_line_to_what_hid_a_finding() {
    let page = page(&fixture::sample());
    assert_eq!(
        page.matches("<li class=").count(),
        2 * (8 + 1),
        "two platforms, and their metadata"
    );
    assert_eq!(
        page.matches("class=\"lane gone\"").count(),
        3,
        "a key twice, an overwritten one once"
    );
    for part in [
        "id=\"f1\"",
        "href=\"#f1\"",
        "still recoverable",
        "COPY ci/boto.cfg /root/.boto",
        "linux/arm64",
        "windows/amd64",
        "encrypted",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn a_browser_draws_it_in_light_dark_narrow_and_on_paper() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("report.html"), page(&fixture::sample())).unwrap();
    let shot = folder.path().join("page.png");
    let mut sizes = Vec::new();
    for more in [
        &["--window-size=1200,2400"][..],
        &["--window-size=1200,2400", "--force-dark-mode"],
        &["--window-size=500,3000"],
    ] {
        let mut arguments = more.to_vec();
        let to = format!("--screenshot={}", shot.display());
        arguments.push(&to);
        browse(folder.path(), &arguments);
        sizes.push(std::fs::metadata(&shot).unwrap().len());
    }
    assert!(sizes.iter().all(|size| *size > 20_000), "{sizes:?}");
    let to = format!("--print-to-pdf={}", folder.path().join("page.pdf").display());
    browse(folder.path(), &[&to]);
    assert!(std::fs::metadata(folder.path().join("page.pdf")).unwrap().len() > 10_000);
    if let Some(kept) = std::env::var_os("KEEP_PAGE") {
        std::fs::write(kept, page(&fixture::sample())).unwrap();
    }
}
