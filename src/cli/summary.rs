//! Summaries of a state for people: which images that can be pulled have secrets, and where. Asks the state nothing.

use std::collections::BTreeMap;
use std::io::{self, Write};

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use crate::sweep::answer::{ImageFindings, Missing};
use crate::text;

/// The one style sheet of the page. Nothing else may be loaded or run.
const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;\
background:#fff}table{border-collapse:collapse;width:100%}th,td{border:1px solid #c4c4c4;padding:.25rem .5rem;text-align:left;\
vertical-align:top;overflow-wrap:anywhere}th{background:#f2f2f2}code{font-size:.9em}\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}th{background:#262626}th,td{border-color:#4a4a4a}}";

/// For a browser: a page without scripts, grouped by where images say they are from, or by repository.
pub(super) fn html(out: &mut impl Write, images: &[ImageFindings], missing: &[Missing]) -> io::Result<()> {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    let mut groups: BTreeMap<&str, Vec<&ImageFindings>> = BTreeMap::new();
    for image in images.iter().filter(|image| counts(image)) {
        let group = image.source.as_deref().unwrap_or(&image.repository);
        groups.entry(group).or_default().push(image);
    }
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{hash}'\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>Secrets in images</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>Secrets in images</h1>\n<p>{} of {} images that can be pulled have secrets; {} things were not \
         read.</p>\n",
        groups.values().map(Vec::len).sum::<usize>(),
        images.len(),
        missing.len()
    )?;
    for (group, images) in groups {
        write!(
            out,
            "<h2>{}</h2>\n<table>\n<thead><tr><th>image</th><th>tags</th><th>secret</th><th>rule</th><th>status</th>\
             <th>layer</th><th>place</th></tr></thead>\n<tbody>\n",
            shown(group)
        )?;
        for image in images {
            let tags = match image.tags.is_empty() {
                true => "no tag leads to it any more".to_owned(),
                false => image.tags.join(", "),
            };
            for finding in image.findings.iter().filter(|finding| finding.counts) {
                writeln!(
                    out,
                    "<tr><td><code>{}@{}</code></td><td>{}</td><td><code>{}</code> {}</td><td>{}</td><td>{}</td><td>{}</td>\
                     <td><code>{}</code></td></tr>",
                    shown(&image.repository),
                    shown(&image.digest),
                    shown(&tags),
                    shown(&finding.secret),
                    shown(&finding.redacted),
                    shown(&finding.rule),
                    shown(&finding.status),
                    finding.layer,
                    shown(&finding.place)
                )?;
            }
        }
        writeln!(out, "</tbody>\n</table>")?;
    }
    if !missing.is_empty() {
        writeln!(out, "<h2>Not read</h2>\n<ul>")?;
        for Missing { what, reason, why } in missing {
            let (what, reason, why) = (shown(what), shown(reason), shown(why));
            writeln!(out, "<li><code>{what}</code>: {reason}: {why}</li>")?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "</body>\n</html>")
}

/// Whether an image has findings at or above the thresholds of a scan.
fn counts(image: &ImageFindings) -> bool {
    image.findings.iter().any(|finding| finding.counts)
}

/// Text as it may stand between tags: that of images cannot end it.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text::escape(text.as_bytes()).chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            c => shown.push(c),
        }
    }
    shown
}

/// For a ticket or a wiki.
pub(super) fn markdown(
    out: &mut impl Write,
    images: &[ImageFindings],
    missing: &[Missing],
) -> io::Result<()> {
    let cell = |text: &str| text.replace('|', "\\|").replace('`', "'");
    let with: Vec<&ImageFindings> = images
        .iter()
        .filter(|image| image.findings.iter().any(|finding| finding.counts))
        .collect();
    writeln!(out, "# Secrets in images\n")?;
    writeln!(
        out,
        "{} of {} images that can be pulled have secrets; {} things were not read.",
        with.len(),
        images.len(),
        missing.len()
    )?;
    for image in with {
        let tags = match image.tags.is_empty() {
            true => "no tag leads to it any more".to_owned(),
            false => image.tags.join(", "),
        };
        writeln!(out, "\n## {}@{}\n", cell(&image.repository), image.digest)?;
        writeln!(out, "Tags: {}.", cell(&tags))?;
        for (name, value) in [("Source", &image.source), ("Authors", &image.authors)] {
            if let Some(value) = value {
                writeln!(out, "{name}: `{}`.", cell(&text::escape(value.as_bytes())))?;
            }
        }
        writeln!(
            out,
            "\n| secret | rule | status | layer | place |\n|---|---|---|---|---|"
        )?;
        for finding in image.findings.iter().filter(|finding| finding.counts) {
            writeln!(
                out,
                "| `{}` {} | {} | {} | {} | `{}` |",
                finding.secret,
                cell(&finding.redacted),
                cell(&finding.rule),
                finding.status,
                finding.layer,
                cell(&finding.place)
            )?;
        }
    }
    if !missing.is_empty() {
        writeln!(out, "\n## Not read\n")?;
        for Missing { what, reason, why } in missing {
            writeln!(out, "- `{}`: {reason}: {}", cell(what), cell(why))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_image_ends_nothing_on_the_page() {
        let hostile = "</code><script>alert('x')</script>\u{1b}[31m & \"";
        let missing = [Missing {
            what: hostile.to_owned(),
            reason: "malformed".to_owned(),
            why: hostile.to_owned(),
        }];
        let mut page = Vec::new();
        html(&mut page, &[], &missing).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
        assert_eq!(page.matches("</code>").count(), 1, "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
    }
}
