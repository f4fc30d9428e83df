//! Questions to a state, answered by tables of text: where a secret is, which tags moved, what was not read. Asks no
//! registry, and knows no secret but by its keyed hash.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::Serialize;

use crate::scan::Scan;
use crate::scan::stored::StoredImage;
use crate::text::secret::Sealer;

use super::journal;
use super::run::{Kept, Records};
use super::state::{State, StateError};

/// Rows of text under names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The names of the columns.
    pub columns: Vec<&'static str>,
    /// As many texts as columns in each, safe to print.
    pub rows: Vec<Vec<String>>,
}

/// Something that must be deleted for a secret to be gone, or asked for to see that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carrier {
    /// `host[:port]`.
    pub host: String,
    /// The repository.
    pub repository: String,
    /// The digest of the manifest or the blob.
    pub digest: String,
    /// Whether it is a blob.
    pub is_blob: bool,
}

/// An image of a state, and what was found in it.
#[derive(Clone, Debug, Serialize)]
pub struct ImageFindings {
    /// `host/repository`.
    pub repository: String,
    /// Its manifest.
    pub digest: String,
    /// The tags that lead to it now.
    pub tags: Vec<String>,
    /// Its platform.
    pub platform: Option<String>,
    /// Where it says it is from (`org.opencontainers.image.source`).
    pub source: Option<String>,
    /// Whom it names (`org.opencontainers.image.authors`).
    pub authors: Option<String>,
    /// Whether all of it was read.
    pub complete: bool,
    /// What was found, in the order of severity and place.
    pub findings: Vec<FindingLine>,
    #[serde(skip)]
    manifest: i64,
}

/// One occurrence of a secret.
#[derive(Clone, Debug, Serialize)]
pub struct FindingLine {
    /// The name of the secret in this state: the same wherever it is.
    pub secret: String,
    /// What may be shown of it.
    pub redacted: String,
    /// The rule.
    pub rule: String,
    /// How bad.
    pub severity: String,
    /// How sure.
    pub confidence: String,
    /// Whether it is at or above the thresholds of a scan.
    pub counts: bool,
    /// What became of it.
    pub status: String,
    /// The layer, from 1; 0 for the image's documents.
    pub layer: i64,
    /// Where in it.
    pub place: String,
    /// The line, from 1; 0 where there is none.
    pub line: i64,
}

/// What could not be had.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: String,
    /// The stable name of the reason.
    pub reason: String,
    /// The cause for a person.
    pub why: String,
}

/// How far the last sweep is.
#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    /// Its number.
    pub sweep: i64,
    /// What it is about.
    pub scope: String,
    /// `enumerating`, `scanning` or `done`.
    pub status: String,
    /// Requests it sent.
    pub requests: i64,
    /// Repositories, tags, images that are there.
    pub repositories: i64,
    /// Tags.
    pub tags: i64,
    /// Images and artifacts.
    pub images: i64,
    /// Layers that were read.
    pub layers_read: i64,
    /// Layers that are to be read, and their bytes.
    pub layers_left: i64,
    /// Bytes of them.
    pub bytes_left: i64,
    /// Secrets that are somewhere.
    pub secrets: i64,
    /// What could not be had.
    pub problems: i64,
}

/// The digits of an identity that name a secret.
const NAME_DIGITS: usize = 32;

/// What the name of a secret begins with.
const NAME: &str = "lss1:";

/// The name of a secret by its identity in hex.
fn name(identity: &str) -> String {
    format!("{NAME}{}", &identity[..identity.len().min(NAME_DIGITS)])
}

/// The ruleset of the newest sweep: answers are by its rules.
const NEWEST: &str = "(SELECT ruleset_id FROM sweep ORDER BY id DESC LIMIT 1)";

/// The manifest of the digest `?1`, and what it lists if it is an index.
const LEAVES: &str = "top AS (SELECT id FROM manifest WHERE digest = ?1), \
    leaf AS (SELECT id FROM top UNION SELECT c.child_id FROM top JOIN manifest_child c ON c.parent_id = top.id)";

/// Whether an image that can be pulled has the blob of `s`.
const IS_THERE: &str = "EXISTS (SELECT 1 FROM manifest_blob mb JOIN repo_manifest rm ON rm.manifest_id = mb.manifest_id \
    AND rm.gone_sweep IS NULL WHERE mb.blob_id = s.blob_id)";

type Result<T> = std::result::Result<T, StateError>;

impl State {
    fn ask<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        ask(&self.connection).map_err(|error| self.failed(error))
    }

    fn table(&self, columns: &[&'static str], query: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Table> {
        let rows = self.ask(|connection| {
            connection
                .prepare_cached(query)?
                .query_map(values, |row| {
                    (0..columns.len()).map(|column| text(row, column)).collect()
                })?
                .collect()
        })?;
        Ok(Table {
            columns: columns.to_vec(),
            rows,
        })
    }

    /// The identity of the secret that is called so: `lss1:` and the beginning of its digits, enough to tell it from
    /// others; or the secret itself, as `sealer` knows it.
    ///
    /// *Errors*: of the database. `None` where no secret, or more than one, is called so.
    pub fn secret(&self, called: &str) -> Result<Option<String>> {
        let digits = called.strip_prefix(NAME).unwrap_or(called);
        if digits.len() < 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let found: Vec<String> = self.ask(|connection| {
            connection
                .prepare_cached(
                    "SELECT identity FROM secret WHERE identity >= ?1 AND identity < ?1 || 'g' LIMIT 2",
                )?
                .query_map([digits], |row| row.get(0))?
                .collect()
        })?;
        Ok(match <[String; 1]>::try_from(found) {
            Ok([identity]) => Some(identity),
            Err(_) => None,
        })
    }

    // `CROSS JOIN` keeps SQLite to this order: it knows nothing of how few images a secret is in, and would otherwise go
    // through every manifest there is. Rows are sorted here: SQLite would keep all of their text twice for it.

    /// Where a secret is or was: every repository, tag, manifest, platform, layer. `where` is `live` where a tag leads to
    /// it, `untagged` where none does and it can still be pulled by its digest, `gone` where the registry has it no more.
    pub fn carriers(&self, identity: &str) -> Result<Table> {
        const PUSHED: &str = "strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_at, 'unixepoch')";
        let row = format!(
            "r.host || '/' || p.name, coalesce(t.tag, ''), m.digest, coalesce(m.platform, ''), h.layer, h.place, h.rule, \
             h.status, CASE WHEN rm.gone_sweep IS NOT NULL THEN 'gone' \
               WHEN t.id IS NOT NULL AND t.to_sweep IS NULL THEN 'live' ELSE 'untagged' END, \
             coalesce(t.from_sweep, rm.first_sweep), coalesce(t.to_sweep, rm.last_sweep), \
             CASE WHEN t.pushed_at IS NULL THEN h.evidence WHEN h.evidence = '' THEN {PUSHED} \
               ELSE min(h.evidence, {PUSHED}) END"
        );
        let mut table = self.table(
            &[
                "repository",
                "tag",
                "manifest",
                "platform",
                "layer",
                "place",
                "rule",
                "status",
                "where",
                "first_sweep",
                "last_sweep",
                "oldest_evidence",
            ],
            &format!(
                "WITH hit AS MATERIALIZED (SELECT f.manifest_id, f.rule, f.status, f.layer, f.place, \
                   min(coalesce(f.layer_created, ''), coalesce(strftime('%Y-%m-%dT%H:%M:%SZ', f.mtime, 'unixepoch'), \
                     coalesce(f.layer_created, ''))) AS evidence \
                   FROM secret s JOIN finding f ON f.secret_id = s.id WHERE s.identity = ?1 AND f.ruleset_id = {NEWEST}) \
                 SELECT {row} FROM hit h CROSS JOIN manifest m ON m.id = h.manifest_id \
                 CROSS JOIN repo_manifest rm ON rm.manifest_id = m.id \
                 JOIN repository p ON p.id = rm.repository_id JOIN registry r ON r.id = p.registry_id \
                 LEFT JOIN tag_history t ON t.digest = m.digest AND t.repository_id = p.id \
                 UNION ALL \
                 SELECT {row} FROM hit h CROSS JOIN manifest_child c ON c.child_id = h.manifest_id \
                 CROSS JOIN manifest up ON up.id = c.parent_id CROSS JOIN tag_history t ON t.digest = up.digest \
                 CROSS JOIN repo_manifest rm ON rm.repository_id = t.repository_id AND rm.manifest_id = h.manifest_id \
                 JOIN manifest m ON m.id = h.manifest_id \
                 JOIN repository p ON p.id = rm.repository_id JOIN registry r ON r.id = p.registry_id"
            ),
            &[&identity],
        )?;
        let number = |text: &String| text.parse::<i64>().unwrap_or_default();
        table.rows.sort_by(|a, b| {
            (&a[..3], number(&a[4]), &a[5..7], number(&a[9]), a).cmp(&(
                &b[..3],
                number(&b[4]),
                &b[5..7],
                number(&b[9]),
                b,
            ))
        });
        table.rows.dedup();
        Ok(without_shadows(table))
    }

    /// What must be deleted for a secret to be gone: manifests that have it and indexes that list those, where they are
    /// still there; and the blobs it stands in, which a registry may keep after that.
    pub fn removal(&self, identity: &str) -> Result<Vec<Carrier>> {
        let hit = format!(
            "WITH hit AS MATERIALIZED (SELECT DISTINCT f.manifest_id AS id, f.layer FROM secret s \
               JOIN finding f ON f.secret_id = s.id WHERE s.identity = ?1 AND f.ruleset_id = {NEWEST})"
        );
        let queries = [
            format!(
                "{hit} SELECT r.host, p.name, m.digest, rm.gone_sweep IS NULL, b.digest FROM hit \
                 CROSS JOIN manifest m ON m.id = hit.id CROSS JOIN repo_manifest rm ON rm.manifest_id = hit.id \
                 JOIN repository p ON p.id = rm.repository_id JOIN registry r ON r.id = p.registry_id \
                 LEFT JOIN manifest_blob mb ON mb.manifest_id = hit.id AND mb.ord = hit.layer \
                 LEFT JOIN blob b ON b.id = mb.blob_id"
            ),
            format!(
                "{hit} SELECT r.host, p.name, m.digest, rm.gone_sweep IS NULL, NULL FROM hit \
                 CROSS JOIN manifest_child c ON c.child_id = hit.id CROSS JOIN manifest m ON m.id = c.parent_id \
                 CROSS JOIN repo_manifest rm ON rm.manifest_id = m.id \
                 JOIN repository p ON p.id = rm.repository_id JOIN registry r ON r.id = p.registry_id"
            ),
        ];
        self.ask(|connection| {
            let mut carriers = BTreeSet::new();
            for query in &queries {
                let mut rows = connection.prepare_cached(query)?;
                let mut rows = rows.query([identity])?;
                while let Some(row) = rows.next()? {
                    let carrier = |digest, is_blob| {
                        Ok::<_, rusqlite::Error>(Carrier {
                            host: row.get(0)?,
                            repository: row.get(1)?,
                            digest,
                            is_blob,
                        })
                    };
                    if row.get(3)? {
                        carriers.insert(carrier(row.get(2)?, false)?);
                    }
                    if let Some(blob) = row.get(4)? {
                        carriers.insert(carrier(blob, true)?);
                    }
                }
            }
            Ok(carriers.into_iter().collect())
        })
    }

    /// The tags that point elsewhere since a sweep, are new, or are gone, with the secrets that came and went by it.
    /// Without a sweep: since the one before the last.
    pub fn moved(&self, since: Option<i64>) -> Result<Table> {
        let moved: Vec<[String; 5]> = self.ask(|connection| {
            let since: i64 = match since {
                Some(since) => since,
                None => connection
                    .query_row("SELECT coalesce(max(id), 0) - 1 FROM sweep", [], |row| row.get(0))?,
            };
            connection
                .prepare_cached(
                    "SELECT r.host || '/' || p.name, n.tag, CASE WHEN o.id IS NULL THEN 'new' ELSE 'moved' END, \
                       coalesce(o.digest, ''), n.digest \
                     FROM tag_history n JOIN repository p ON p.id = n.repository_id JOIN registry r ON r.id = p.registry_id \
                     LEFT JOIN tag_history o ON o.repository_id = n.repository_id AND o.tag = n.tag \
                       AND o.to_sweep = n.from_sweep \
                     WHERE n.from_sweep > ?1 \
                     UNION ALL \
                     SELECT r.host || '/' || p.name, g.tag, 'deleted', g.digest, '' FROM tag_history g \
                     JOIN repository p ON p.id = g.repository_id JOIN registry r ON r.id = p.registry_id \
                     WHERE g.to_sweep > ?1 AND NOT EXISTS (SELECT 1 FROM tag_history n WHERE n.repository_id = g.repository_id \
                       AND n.tag = g.tag AND n.to_sweep IS NULL) AND NOT EXISTS (SELECT 1 FROM tag_history n \
                       WHERE n.repository_id = g.repository_id AND n.tag = g.tag AND n.from_sweep = g.to_sweep) \
                     ORDER BY 1, 2, 3",
                )?
                .query_map([since], |row| {
                    Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])
                })?
                .collect()
        })?;
        let mut rows = Vec::new();
        for [repository, tag, change, from, to] in moved {
            let (before, after) = (self.secrets_below(&from)?, self.secrets_below(&to)?);
            let names = |secrets: Vec<&String>| {
                let names: Vec<String> = secrets.into_iter().map(|secret| name(secret)).collect();
                names.join(" ")
            };
            let gained = names(after.difference(&before).collect());
            let lost = names(before.difference(&after).collect());
            rows.push(vec![repository, tag, change, from, to, gained, lost]);
        }
        Ok(Table {
            columns: vec!["repository", "tag", "change", "from", "to", "gained", "lost"],
            rows: rows
                .into_iter()
                .map(|row: Vec<String>| {
                    row.iter()
                        .map(|text| crate::text::escape(text.as_bytes()))
                        .collect()
                })
                .collect(),
        })
    }

    /// The secrets that count in a manifest or in what an index lists.
    fn secrets_below(&self, digest: &str) -> Result<BTreeSet<String>> {
        self.ask(|connection| {
            connection
                .prepare_cached(&format!(
                    "WITH {LEAVES} SELECT DISTINCT s.identity FROM leaf JOIN finding f ON f.manifest_id = leaf.id AND f.ruleset_id = {NEWEST} \
                     JOIN secret s ON s.id = f.secret_id WHERE f.counts"
                ))?
                .query_map([digest], |row| row.get(0))?
                .collect()
        })
    }

    /// What was found in one image: by `host/repository:tag`, `host/repository@digest` or a digest.
    pub fn image(&self, called: &str) -> Result<Table> {
        let digest = match called.rsplit_once('@') {
            Some((_, digest)) => digest.to_owned(),
            None => called.to_owned(),
        };
        let top: Option<String> = self.ask(|connection| {
            connection
                .prepare_cached(
                    "SELECT digest FROM manifest WHERE digest = ?1 UNION ALL \
                     SELECT t.digest FROM tag_history t JOIN repository p ON p.id = t.repository_id \
                     JOIN registry r ON r.id = p.registry_id \
                     WHERE r.host || '/' || p.name || ':' || t.tag = ?2 AND t.to_sweep IS NULL LIMIT 1",
                )?
                .query_row([&digest, called], |row| row.get(0))
                .optional()
        })?;
        self.table(
            &[
                "manifest",
                "platform",
                "secret",
                "redacted",
                "rule",
                "severity",
                "confidence",
                "status",
                "layer",
                "place",
                "line",
            ],
            &format!(
                "WITH {LEAVES} SELECT m.digest, coalesce(m.platform, ''), '{NAME}' || substr(s.identity, 1, {NAME_DIGITS}), s.redacted, \
                   f.rule, f.severity, f.confidence, f.status, f.layer, f.place, f.line \
                 FROM leaf JOIN manifest m ON m.id = leaf.id \
                 JOIN finding f ON f.manifest_id = m.id AND f.ruleset_id = {NEWEST} JOIN secret s ON s.id = f.secret_id \
                 ORDER BY 1, 9, 10, 11, f.offset, 5, 3"
            ),
            &[&top.unwrap_or_default()],
        )
    }

    /// The secrets that no sweep up to `since` had found, and where they are now.
    pub fn new_since(&self, since: i64) -> Result<Table> {
        self.table(
            &["secret", "redacted", "rule", "repository", "manifest", "place"],
            &format!(
                "SELECT DISTINCT '{NAME}' || substr(s.identity, 1, {NAME_DIGITS}), s.redacted, f.rule, \
                   r.host || '/' || p.name, m.digest, f.place FROM secret s \
                 JOIN finding f ON f.secret_id = s.id AND f.ruleset_id = {NEWEST} JOIN manifest m ON m.id = f.manifest_id \
                 JOIN repo_manifest rm ON rm.manifest_id = m.id AND rm.gone_sweep IS NULL \
                 JOIN repository p ON p.id = rm.repository_id JOIN registry r ON r.id = p.registry_id \
                 WHERE s.first_sweep > ?1 AND f.counts ORDER BY 4, 5, 6, 3, 1"
            ),
            &[&since],
        )
    }

    /// What was read and what was not: layers by their state, then everything that could not be had.
    pub fn coverage(&self) -> Result<Table> {
        let mut table = self.table(
            &["what", "state", "count", "bytes", "reason", "why"],
            &format!(
                "SELECT 'layers', s.state, count(*), coalesce(sum(b.size), 0), '', '' FROM scan s JOIN blob b ON b.id = s.blob_id \
                 WHERE s.ruleset_id = {NEWEST} GROUP BY s.state ORDER BY s.state"
            ),
            &[],
        )?;
        let partial = self.table(
            &["what", "state", "count", "bytes", "reason", "why"],
            &format!(
                "SELECT 'layer ' || b.digest, s.state, 1, b.size, coalesce(s.reason, ''), coalesce(s.why, '') \
                 FROM scan s JOIN blob b ON b.id = s.blob_id WHERE s.ruleset_id = {NEWEST} AND s.state IN ('partial', 'failed') \
                 ORDER BY b.digest"
            ),
            &[],
        )?;
        table.rows.extend(partial.rows);
        for missing in self.missing()? {
            if missing.what.starts_with("layer ") {
                continue;
            }
            let Missing { what, reason, why } = missing;
            table.rows.push(vec![
                what,
                "unread".to_owned(),
                "1".to_owned(),
                String::new(),
                reason,
                why,
            ]);
        }
        Ok(table)
    }

    /// What the last sweep could not have.
    pub fn missing(&self) -> Result<Vec<Missing>> {
        self.ask(|connection| {
            connection
                .prepare_cached(
                    "SELECT what, reason, why FROM problem WHERE sweep_id = (SELECT max(id) FROM sweep) ORDER BY what",
                )?
                .query_map([], |row| {
                    Ok(Missing {
                        what: text(row, 0)?,
                        reason: text(row, 1)?,
                        why: text(row, 2)?,
                    })
                })?
                .collect()
        })
    }

    /// How far the last sweep is; `None` where there was none.
    pub fn progress(&self) -> Result<Option<Progress>> {
        self.ask(|connection| {
            let number = |query: &str| -> rusqlite::Result<i64> {
                connection.prepare_cached(query)?.query_row([], |row| row.get(0))
            };
            let last: Option<(i64, String, String, i64)> = connection
                .query_row(
                    "SELECT id, scope, status, requests FROM sweep ORDER BY id DESC LIMIT 1",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )
                .optional()?;
            let Some((sweep, scope, status, requests)) = last else {
                return Ok(None);
            };
            let layers = |states: &str| {
                format!("SELECT count(*) FROM scan s WHERE s.ruleset_id = {NEWEST} AND s.state {states}")
            };
            Ok(Some(Progress {
                sweep,
                scope,
                status,
                requests,
                repositories: number("SELECT count(*) FROM repository WHERE gone_sweep IS NULL")?,
                tags: number("SELECT count(*) FROM tag_history WHERE to_sweep IS NULL")?,
                images: number(&format!("SELECT count(*) FROM image WHERE ruleset_id = {NEWEST}"))?,
                layers_read: number(&layers("IN ('done', 'partial')"))?,
                layers_left: number(&layers(&format!("= 'pending' AND {IS_THERE}")))?,
                bytes_left: number(&format!(
                    "SELECT coalesce(sum(b.size), 0) FROM scan s JOIN blob b ON b.id = s.blob_id \
                     WHERE s.ruleset_id = {NEWEST} AND s.state = 'pending' AND {IS_THERE}"
                ))?,
                secrets: number(&format!(
                    "SELECT count(DISTINCT secret_id) FROM finding WHERE counts AND ruleset_id = {NEWEST}"
                ))?,
                problems: number(
                    "SELECT count(*) FROM problem WHERE sweep_id = (SELECT max(id) FROM sweep)",
                )?,
            }))
        })
    }

    /// The images that can be pulled now, with their findings, by repository and digest. Those in which nothing was found
    /// and that were read whole are there too. `each` is given one at a time.
    pub fn images(&self, mut each: impl FnMut(ImageFindings)) -> Result<()> {
        self.ask(|connection| {
            let mut images = connection.prepare(&format!(
                "SELECT r.host || '/' || p.name, m.digest, m.platform, m.source, m.authors, i.assembled AND i.whole, m.id, p.id \
                 FROM image i JOIN manifest m ON m.id = i.manifest_id \
                 JOIN repo_manifest rm ON rm.manifest_id = m.id AND rm.gone_sweep IS NULL \
                 JOIN repository p ON p.id = rm.repository_id AND p.gone_sweep IS NULL JOIN registry r ON r.id = p.registry_id \
                 WHERE i.ruleset_id = {NEWEST} ORDER BY 1, 2"
            ))?;
            let mut rows = images.query([])?;
            while let Some(row) = rows.next()? {
                let (manifest, repository): (i64, i64) = (row.get(6)?, row.get(7)?);
                let tags = connection
                    .prepare_cached(
                        "SELECT DISTINCT t.tag FROM tag_history t WHERE t.repository_id = ?1 AND t.to_sweep IS NULL \
                         AND t.digest IN (SELECT digest FROM manifest WHERE id = ?2 UNION SELECT m.digest FROM manifest_child c \
                           JOIN manifest m ON m.id = c.parent_id WHERE c.child_id = ?2) ORDER BY t.tag",
                    )?
                    .query_map([repository, manifest], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                let findings = connection
                    .prepare_cached(&format!(
                        "SELECT s.identity, s.redacted, f.rule, f.severity, f.confidence, f.counts, f.status, f.layer, f.place, \
                           f.line FROM finding f JOIN secret s ON s.id = f.secret_id \
                         WHERE f.manifest_id = ?1 AND f.ruleset_id = {NEWEST} \
                         ORDER BY f.layer, f.place, f.offset, f.rule, s.identity"
                    ))?
                    .query_map([manifest], |row| {
                        let identity: String = row.get(0)?;
                        Ok(FindingLine {
                            secret: name(&identity),
                            redacted: row.get(1)?,
                            rule: row.get(2)?,
                            severity: row.get(3)?,
                            confidence: row.get(4)?,
                            counts: row.get(5)?,
                            status: row.get(6)?,
                            layer: row.get(7)?,
                            place: row.get(8)?,
                            line: row.get(9)?,
                        })
                    })?
                    .collect::<rusqlite::Result<_>>()?;
                each(ImageFindings {
                    repository: row.get(0)?,
                    digest: row.get(1)?,
                    platform: row.get(2)?,
                    source: row.get(3)?,
                    authors: row.get(4)?,
                    complete: row.get(5)?,
                    tags,
                    findings,
                    manifest,
                });
            }
            Ok(())
        })
    }

    /// Whether all that can be pulled now was read, and nothing that was asked for is missing.
    pub fn is_complete(&self) -> Result<bool> {
        self.ask(|connection| {
            connection.query_row(
                &format!(
                    "SELECT (SELECT status FROM sweep ORDER BY id DESC LIMIT 1) = 'done' AND NOT EXISTS \
                     (SELECT 1 FROM problem WHERE sweep_id = (SELECT max(id) FROM sweep)) AND NOT EXISTS \
                     (SELECT 1 FROM image i JOIN repo_manifest rm ON rm.manifest_id = i.manifest_id \
                      AND rm.gone_sweep IS NULL WHERE i.ruleset_id = {NEWEST} AND NOT (i.assembled AND i.whole AND i.complete))"
                ),
                [],
                |row| row.get(0),
            )
        })
    }

    /// Whether anything that counts is in what can be pulled now.
    pub fn has_findings(&self) -> Result<bool> {
        self.ask(|connection| {
            connection.query_row(
                &format!(
                    "SELECT EXISTS (SELECT 1 FROM finding f JOIN repo_manifest rm ON rm.manifest_id = f.manifest_id \
                     AND rm.gone_sweep IS NULL WHERE f.counts AND f.ruleset_id = {NEWEST})"
                ),
                [],
                |row| row.get(0),
            )
        })
    }

    /// An image of [`State::images`] with what was read of it, to be assembled by a scan of the same rules.
    pub fn stored(&self, image: &ImageFindings, scan: &Scan, sealer: &Sealer) -> Result<StoredImage> {
        let ruleset: i64 =
            self.ask(|connection| connection.query_row(&format!("SELECT {NEWEST}"), [], |row| row.get(0)))?;
        let parts = self.ask(|connection| journal::parts(connection, image.manifest, ruleset))?;
        let tag = image
            .tags
            .first()
            .map(|tag| format!(":{tag}"))
            .unwrap_or_default();
        let kept = KeptWith { state: self, ruleset };
        let mut stored = Records::new(scan, sealer).stored(&parts, &kept)?;
        stored.repository = image.repository.clone();
        stored.name = format!("{}{tag}@{}", image.repository, image.digest);
        Ok(stored)
    }
}

/// Records of a state that count for some rules.
struct KeptWith<'s> {
    state: &'s State,
    ruleset: i64,
}

impl Kept for KeptWith<'_> {
    fn record(&self, blob: i64) -> Result<Option<journal::Kept>> {
        self.state
            .ask(|connection| journal::record(connection, blob, self.ruleset))
    }
    fn rules(&self, ruleset: i64) -> Result<journal::Rules> {
        self.state.ask(|connection| journal::rules(connection, ruleset))
    }
}

/// A column as text that is safe to print.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(column)? {
        ValueRef::Null | ValueRef::Blob(_) => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        // Places and causes are escaped already, names of repositories and tags have a grammar.
        ValueRef::Text(text) => String::from_utf8_lossy(text)
            .chars()
            .filter(|c| !c.is_control())
            .collect(),
    })
}

/// Leaves out a manifest's row without a tag where one with a tag tells the same.
fn without_shadows(table: Table) -> Table {
    /// All but the tag, where it is, and since when.
    fn key(row: &[String]) -> (&String, &[String]) {
        (&row[0], &row[2..8])
    }
    let tagged = |row: &&Vec<String>| !row[1].is_empty();
    let has_tag: HashSet<_> = table.rows.iter().filter(tagged).map(|row| key(row)).collect();
    let is_live = |row: &&Vec<String>| row[8] == "live";
    let live: HashSet<_> = table.rows.iter().filter(is_live).map(|row| key(row)).collect();
    let rows = table.rows.iter().filter_map(|row| {
        if row[1].is_empty() && has_tag.contains(&key(row)) {
            return None;
        }
        let mut kept = row.clone();
        // The tag went on, and another one still leads there.
        if row[8] == "untagged" && live.contains(&key(row)) {
            kept[8] = "past".to_owned();
        }
        Some(kept)
    });
    Table {
        columns: table.columns,
        rows: rows.collect(),
    }
}
