//! What a sweep writes down, step by step: each method is one transaction, and what it was told survives the process.
//! Asks no registry and reads no blob.

use std::collections::{BTreeMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _, Savepoint, params};

use crate::engine::Outline;
use crate::finding::{Finding, Origin, Report};
use crate::oci::Digest;
use crate::rules::{Confidence, Severity};

use super::job::{Place, Reading};
use super::state::{State, StateError};

/// A sweep that is being written.
pub(super) struct Journal {
    state: State,
    pub(super) sweep: i64,
    pub(super) ruleset: i64,
    /// The registries that the sweep is about, as SQLite takes a list.
    hosts: String,
}

/// A manifest that was not read yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) id: i64,
    pub(super) digest: String,
    /// Repositories that have it: host and name.
    pub(super) places: Vec<(String, String)>,
}

/// What a tag was seen to point at.
pub(super) struct SeenTag {
    pub(super) tag: String,
    pub(super) digest: Digest,
    /// When it was put there, in seconds since 1970, where the registry says so.
    pub(super) pushed: Option<i64>,
}

/// What was read of a manifest.
pub(super) struct ReadManifest<'r> {
    pub(super) id: i64,
    pub(super) kind: &'static str,
    pub(super) platform: Option<String>,
    pub(super) created: Option<&'r str>,
    pub(super) labels: BTreeMap<String, String>,
    /// What an index lists, with their platforms.
    pub(super) children: Vec<(String, Option<String>)>,
    /// Layers: digest, size, media type, whether a command made it.
    pub(super) layers: Vec<(String, u64, String, bool)>,
    pub(super) record: Vec<u8>,
    pub(super) complete: bool,
}

/// A layer that is to be read, in few bytes: there may be many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    pub(super) blob: i64,
    pub(super) size: u64,
}

/// A layer that is to be read.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) blob: i64,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) media_type: String,
}

/// What is known of a layer that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It could not be had.
    Lost,
    /// Nobody tried it.
    Unread,
}

/// An image that is to be assembled.
pub(super) struct Unassembled {
    pub(super) record: Vec<u8>,
    pub(super) layers: Vec<AssembledLayer>,
}

/// The record of a blob as it is kept.
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    /// The rules it was made with.
    pub(super) ruleset: i64,
}

/// A set of rules that records were made with.
pub(super) struct Rules {
    pub(super) hash: String,
    /// `None` where it is damaged.
    pub(super) outline: Option<Outline>,
}

pub(super) struct AssembledLayer {
    pub(super) blob: i64,
    pub(super) digest: String,
    /// Why it was not read.
    pub(super) failure: Option<String>,
}

/// What a sweep is about.
pub(super) struct Target<'t> {
    pub(super) scope: &'t str,
    pub(super) options: &'t str,
    /// The registries it speaks to. What others have is left alone.
    pub(super) hosts: &'t [String],
}

/// Whether an image that can be pulled from one of the registries in the JSON list `?2` has the blob `b`.
const HAS_BLOB: &str = "EXISTS (SELECT 1 FROM manifest_blob mb \
    JOIN repo_manifest rm ON rm.manifest_id = mb.manifest_id AND rm.gone_sweep IS NULL \
    JOIN repository p ON p.id = rm.repository_id JOIN registry r ON r.id = p.registry_id \
    WHERE mb.blob_id = b.id AND r.host IN (SELECT value FROM json_each(?2)))";

/// Whether a manifest `m` was not read with the rules `?1`.
const UNREAD: &str = "NOT EXISTS (SELECT 1 FROM image i WHERE i.manifest_id = m.id AND i.ruleset_id = ?1)";

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

type Result<T> = std::result::Result<T, StateError>;

impl Journal {
    /// Goes on with the last sweep of this scope, options and rules if it was not finished, or begins one. What failed
    /// before is tried again, and what was read with earlier rules that find the same in it counts as read.
    pub(super) fn begin(
        state: State,
        target: &Target<'_>,
        rules: &str,
        outline: &Outline,
    ) -> Result<(Self, bool)> {
        let mut state = state;
        let Target {
            scope,
            options,
            hosts,
        } = target;
        let hosts = serde_json::json!(hosts).to_string();
        let begin = |connection: &mut Connection| {
            let save = connection.savepoint()?;
            save.execute(
                "INSERT INTO ruleset(hash, version, outline) VALUES(?1, ?2, ?3) ON CONFLICT(hash) DO NOTHING",
                params![rules, env!("CARGO_PKG_VERSION"), packed(outline)?],
            )?;
            let ruleset: i64 = save.query_row("SELECT id FROM ruleset WHERE hash = ?1", [rules], |row| {
                row.get(0)
            })?;
            let last: Option<(i64, bool)> = save
                .query_row(
                    "SELECT id, scope = ?1 AND options = ?2 AND ruleset_id = ?3 AND status <> 'done' FROM sweep \
                     ORDER BY id DESC LIMIT 1",
                    params![scope, options, ruleset],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let (sweep, resumed) = match last {
                Some((sweep, true)) => (sweep, true),
                _ => {
                    save.execute(
                        "INSERT INTO sweep(scope, options, hosts, ruleset_id, status, started_at) \
                         VALUES(?1, ?2, ?3, ?4, 'enumerating', ?5)",
                        params![scope, options, hosts, ruleset, now()],
                    )?;
                    let sweep = save.last_insert_rowid();
                    // What a sweep that was given up had listed is of no use to this one.
                    save.execute("DELETE FROM tag_seen WHERE sweep_id <> ?1", [sweep])?;
                    (sweep, false)
                }
            };
            save.execute("DELETE FROM problem WHERE sweep_id = ?1", [sweep])?;
            save.execute(
                &format!(
                    "UPDATE scan SET state = 'pending', reason = NULL, why = NULL \
                     WHERE ruleset_id = ?1 AND state = 'failed' AND EXISTS (SELECT 1 FROM blob b WHERE b.id = scan.blob_id \
                       AND {HAS_BLOB})"
                ),
                params![ruleset, hosts],
            )?;
            carry(&save, ruleset, outline)?;
            save.execute(
                "DELETE FROM image WHERE ruleset_id = ?1 AND complete = 0",
                [ruleset],
            )?;
            save.execute(
                "UPDATE image SET assembled = 0 WHERE ruleset_id = ?1 AND whole = 0",
                [ruleset],
            )?;
            save.commit()?;
            Ok((sweep, ruleset, resumed))
        };
        let (sweep, ruleset, resumed) = begin(&mut state.connection).map_err(|error| state.failed(error))?;
        let journal = Self {
            state,
            sweep,
            ruleset,
            hosts,
        };
        Ok((journal, resumed))
    }

    /// The last sweep of a state, to enter what others read for it. Tries nothing again.
    ///
    /// *Errors*: [`StateError::OtherRules`], also where there was no sweep.
    pub(super) fn last(state: State, rules: &str) -> Result<Self> {
        let last: Option<(i64, i64, String, String)> = state
            .connection
            .query_row(
                "SELECT s.id, r.id, s.hosts, r.hash FROM sweep s JOIN ruleset r ON r.id = s.ruleset_id \
                 ORDER BY s.id DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .optional()
            .map_err(|error| state.failed(error))?;
        match last {
            Some((sweep, ruleset, hosts, hash)) if hash == rules => Ok(Self {
                state,
                sweep,
                ruleset,
                hosts,
            }),
            _ => Err(StateError::OtherRules {
                path: state.path().to_path_buf(),
            }),
        }
    }

    /// The number of a blob, and whether it is still to be read: `None` where it was, or belongs to no image.
    pub(super) fn wanted(&self, digest: &str) -> Result<Option<(i64, Wanted)>> {
        self.ask(|connection, _, ruleset| {
            connection
                .prepare_cached(
                    "SELECT b.id, s.state FROM blob b JOIN scan s ON s.blob_id = b.id AND s.ruleset_id = ?2 \
                     WHERE b.digest = ?1 AND s.state IN ('pending', 'failed')",
                )?
                .query_row(params![digest, ruleset], |row| {
                    let state: String = row.get(1)?;
                    let wanted = match state.as_str() {
                        "pending" => Wanted::Unread,
                        _ => Wanted::Lost,
                    };
                    Ok((row.get(0)?, wanted))
                })
                .optional()
        })
    }

    /// Begins what is never committed.
    pub(super) fn only_try(state: &State) -> Result<()> {
        state
            .connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|error| state.failed(error))
    }

    fn write<T>(&mut self, write: impl FnOnce(&Savepoint<'_>, i64, i64) -> rusqlite::Result<T>) -> Result<T> {
        let (sweep, ruleset) = (self.sweep, self.ruleset);
        let run = |connection: &mut Connection| {
            let save = connection.savepoint()?;
            let written = write(&save, sweep, ruleset)?;
            save.commit()?;
            Ok(written)
        };
        run(&mut self.state.connection).map_err(|error| self.state.failed(error))
    }

    fn ask<T>(&self, ask: impl FnOnce(&Connection, i64, i64) -> rusqlite::Result<T>) -> Result<T> {
        ask(&self.state.connection, self.sweep, self.ruleset).map_err(|error| self.state.failed(error))
    }

    /// Notes that something could not be had.
    pub(super) fn problem(&mut self, what: &str, reason: &str, why: &str) -> Result<()> {
        self.write(|save, sweep, _| note_problem(save, sweep, what, reason, why))
    }

    /// What kind of registry a host turned out to be.
    pub(super) fn kind(&self, host: &str) -> Result<Option<String>> {
        self.ask(|connection, _, _| {
            connection
                .query_row("SELECT kind FROM registry WHERE host = ?1", [host], |row| {
                    row.get(0)
                })
                .optional()
        })
    }

    /// Enters the repositories of a registry. Where the list is whole, those below `prefix` that it lacks are gone.
    pub(super) fn repositories(
        &mut self,
        host: &str,
        kind: &str,
        names: &[String],
        whole: Option<&str>,
    ) -> Result<()> {
        self.write(|save, sweep, _| {
            save.execute(
                "INSERT INTO registry(host, kind) VALUES(?1, ?2) ON CONFLICT(host) DO UPDATE SET kind = excluded.kind",
                params![host, kind],
            )?;
            let registry: i64 =
                save.query_row("SELECT id FROM registry WHERE host = ?1", [host], |row| row.get(0))?;
            let mut insert = save.prepare_cached(
                "INSERT INTO repository(registry_id, name, first_sweep, last_sweep) VALUES(?1, ?2, ?3, ?3) \
                 ON CONFLICT DO UPDATE SET last_sweep = excluded.last_sweep, gone_sweep = NULL",
            )?;
            for name in names {
                insert.execute(params![registry, name, sweep])?;
            }
            let Some(prefix) = whole else { return Ok(()) };
            let gone: Vec<i64> = save
                .prepare_cached(
                    "SELECT id FROM repository WHERE registry_id = ?1 AND last_sweep <> ?2 AND gone_sweep IS NULL \
                     AND substr(name, 1, length(?3)) = ?3",
                )?
                .query_map(params![registry, sweep, prefix], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for repository in gone {
                close_repository(save, repository, sweep)?;
            }
            Ok(())
        })
    }

    /// The number of a repository, if its tags are still to be read in this sweep.
    pub(super) fn unlisted(&self, host: &str, name: &str) -> Result<Option<i64>> {
        self.ask(|connection, sweep, _| {
            connection
                .prepare_cached(
                    "SELECT p.id FROM repository p JOIN registry r ON r.id = p.registry_id \
                     WHERE r.host = ?1 AND p.name = ?2 AND NOT EXISTS \
                     (SELECT 1 FROM repo_progress d WHERE d.sweep_id = ?3 AND d.repository_id = p.id)",
                )?
                .query_row(params![host, name, sweep], |row| row.get(0))
                .optional()
        })
    }

    /// The tags of a repository whose digests are known already in this sweep.
    pub(super) fn tags_seen(&self, repository: i64) -> Result<HashSet<String>> {
        self.ask(|connection, sweep, _| {
            connection
                .prepare_cached("SELECT tag FROM tag_seen WHERE sweep_id = ?1 AND repository_id = ?2")?
                .query_map(params![sweep, repository], |row| row.get(0))?
                .collect()
        })
    }

    /// Notes what some tags point at.
    pub(super) fn tags(&mut self, repository: i64, tags: &[SeenTag]) -> Result<()> {
        self.write(|save, sweep, _| {
            let mut insert = save.prepare_cached(
                "INSERT OR REPLACE INTO tag_seen(sweep_id, repository_id, tag, digest, pushed_at) \
                 VALUES(?1, ?2, ?3, ?4, ?5)",
            )?;
            for SeenTag { tag, digest, pushed } in tags {
                insert.execute(params![sweep, repository, tag, digest.to_string(), pushed])?;
            }
            Ok(())
        })
    }

    /// Makes intervals of what the tags of a repository point at now. Those that `listed` lacks are gone.
    pub(super) fn repository(
        &mut self,
        repository: i64,
        listed: &HashSet<String>,
        untagged: &[Digest],
    ) -> Result<()> {
        self.write(|save, sweep, _| {
            let seen: Vec<(String, String, Option<i64>)> = save
                .prepare_cached(
                    "SELECT tag, digest, pushed_at FROM tag_seen WHERE sweep_id = ?1 AND repository_id = ?2 ORDER BY tag",
                )?
                .query_map(params![sweep, repository], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for (tag, digest, pushed) in &seen {
                let live: Option<(i64, String)> = save
                    .prepare_cached(
                        "SELECT id, digest FROM tag_history WHERE repository_id = ?1 AND tag = ?2 AND to_sweep IS NULL",
                    )?
                    .query_row(params![repository, tag], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?;
                match live {
                    Some((id, known)) if known == *digest => {
                        save.prepare_cached(
                            "UPDATE tag_history SET last_sweep = ?2, pushed_at = coalesce(pushed_at, ?3) WHERE id = ?1",
                        )?
                        .execute(params![id, sweep, pushed])?;
                    }
                    other => {
                        if let Some((id, _)) = other {
                            save.prepare_cached("UPDATE tag_history SET to_sweep = ?2 WHERE id = ?1")?
                                .execute(params![id, sweep])?;
                        }
                        save.prepare_cached(
                            "INSERT INTO tag_history(repository_id, tag, digest, from_sweep, last_sweep, pushed_at) \
                             VALUES(?1, ?2, ?3, ?4, ?4, ?5)",
                        )?
                        .execute(params![repository, tag, digest, sweep, pushed])?;
                    }
                }
                has_manifest(save, repository, digest, sweep)?;
            }
            for digest in untagged {
                has_manifest(save, repository, &digest.to_string(), sweep)?;
            }
            let live: Vec<(i64, String)> = save
                .prepare_cached("SELECT id, tag FROM tag_history WHERE repository_id = ?1 AND to_sweep IS NULL")?
                .query_map([repository], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for (id, _) in live.iter().filter(|(_, tag)| !listed.contains(tag)) {
                save.prepare_cached("UPDATE tag_history SET to_sweep = ?2 WHERE id = ?1")?
                    .execute(params![id, sweep])?;
            }
            save.execute(
                "DELETE FROM tag_seen WHERE sweep_id = ?1 AND repository_id = ?2",
                params![sweep, repository],
            )?;
            Ok(())
        })
    }

    /// The tags that a repository was last seen with.
    pub(super) fn live_tags(&self, repository: i64) -> Result<HashSet<String>> {
        self.ask(|connection, sweep, _| {
            connection
                .prepare_cached(
                    "SELECT tag FROM tag_history WHERE repository_id = ?1 AND to_sweep IS NULL \
                     UNION SELECT tag FROM tag_seen WHERE repository_id = ?1 AND sweep_id = ?2",
                )?
                .query_map(params![repository, sweep], |row| row.get(0))?
                .collect()
        })
    }

    /// Notes that all that a repository has is known in this sweep.
    pub(super) fn listed(&mut self, repository: i64) -> Result<()> {
        self.write(|save, sweep, _| {
            save.execute(
                "INSERT OR IGNORE INTO repo_progress(sweep_id, repository_id) VALUES(?1, ?2)",
                params![sweep, repository],
            )?;
            Ok(())
        })
    }

    /// Manifests that a repository had, that no tag and no index of it leads to, and that this sweep has not met.
    pub(super) fn past(&self, repository: i64) -> Result<Vec<(i64, String)>> {
        self.ask(|connection, sweep, _| {
            connection
                .prepare_cached(
                    "SELECT m.id, m.digest FROM repo_manifest rm JOIN manifest m ON m.id = rm.manifest_id \
                     WHERE rm.repository_id = ?1 AND rm.gone_sweep IS NULL AND rm.last_sweep <> ?2 \
                     AND NOT EXISTS (SELECT 1 FROM tag_history t WHERE t.repository_id = ?1 AND t.digest = m.digest \
                       AND t.to_sweep IS NULL) \
                     AND NOT EXISTS (SELECT 1 FROM manifest_child c JOIN repo_manifest up ON up.manifest_id = c.parent_id \
                       WHERE c.child_id = m.id AND up.repository_id = ?1 AND up.gone_sweep IS NULL) ORDER BY m.digest",
                )?
                .query_map(params![repository, sweep], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

    /// The manifests that this sweep met, each with the repository it was met in and its number.
    pub(super) fn met(&self) -> Result<Vec<(i64, Place, Pending)>> {
        self.ask(|connection, sweep, _| {
            connection
                .prepare_cached(
                    "SELECT p.id, r.host, p.name, m.id, m.digest FROM repo_manifest rm \
                     JOIN manifest m ON m.id = rm.manifest_id JOIN repository p ON p.id = rm.repository_id \
                     JOIN registry r ON r.id = p.registry_id WHERE rm.last_sweep = ?1 AND rm.gone_sweep IS NULL \
                     ORDER BY p.id, m.id",
                )?
                .query_map([sweep], |row| {
                    let pending = Pending {
                        id: row.get(3)?,
                        digest: row.get(4)?,
                        places: Vec::new(),
                    };
                    let place = Place {
                        host: row.get(1)?,
                        repository: row.get(2)?,
                    };
                    Ok((row.get(0)?, place, pending))
                })?
                .collect()
        })
    }

    /// Notes that a repository has manifests that refer to others of it.
    pub(super) fn refers(&mut self, repository: i64, digests: &[Digest]) -> Result<()> {
        self.write(|save, sweep, _| {
            for digest in digests {
                has_manifest(save, repository, digest.as_str(), sweep)?;
            }
            Ok(())
        })
    }

    /// Notes whether a manifest is still in a repository.
    pub(super) fn still_there(&mut self, repository: i64, manifest: i64, there: bool) -> Result<()> {
        self.write(|save, sweep, _| {
            let change = match there {
                true => {
                    "UPDATE repo_manifest SET last_sweep = ?3 WHERE repository_id = ?1 AND manifest_id = ?2"
                }
                false => {
                    "UPDATE repo_manifest SET gone_sweep = ?3 WHERE repository_id = ?1 AND manifest_id = ?2"
                }
            };
            save.prepare_cached(change)?
                .execute(params![repository, manifest, sweep])?;
            Ok(())
        })
    }

    /// Gives each repository the manifests that its indexes list.
    pub(super) fn close_over_children(&mut self) -> Result<()> {
        self.write(|save, sweep, _| {
            // As deep as indexes are followed, and no deeper.
            for _ in 0..8 {
                let changed = save.execute(
                    "INSERT INTO repo_manifest(repository_id, manifest_id, first_sweep, last_sweep) \
                     SELECT rm.repository_id, c.child_id, ?1, ?1 FROM repo_manifest rm \
                     JOIN manifest_child c ON c.parent_id = rm.manifest_id \
                     LEFT JOIN repo_manifest known ON known.repository_id = rm.repository_id \
                       AND known.manifest_id = c.child_id \
                     WHERE rm.last_sweep = ?1 AND rm.gone_sweep IS NULL \
                       AND (known.last_sweep IS NULL OR known.last_sweep <> ?1 OR known.gone_sweep IS NOT NULL) \
                     ON CONFLICT DO UPDATE SET last_sweep = excluded.last_sweep, gone_sweep = NULL",
                    [sweep],
                )?;
                if changed == 0 {
                    break;
                }
            }
            Ok(())
        })
    }

    /// How many manifests of these registries are there and were not read with these rules, and the number of the last.
    pub(super) fn unread_manifests(&self) -> Result<(u64, i64)> {
        self.ask(|connection, _, ruleset| {
            connection
                .prepare_cached(&format!(
                    "SELECT count(*), coalesce(max(m.id), 0) FROM manifest m WHERE {UNREAD} AND EXISTS \
                     (SELECT 1 FROM repo_manifest rm JOIN repository p ON p.id = rm.repository_id \
                      JOIN registry r ON r.id = p.registry_id WHERE rm.manifest_id = m.id AND rm.gone_sweep IS NULL \
                      AND r.host IN (SELECT value FROM json_each(?2)))"
                ))?
                .query_row(params![ruleset, self.hosts], |row| {
                    Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
                })
        })
    }

    /// The next of these manifests behind the number `after`, at most `most`, and none behind the number `until`.
    pub(super) fn next_manifests(&self, after: i64, until: i64, most: usize) -> Result<Vec<Pending>> {
        self.ask(|connection, _, ruleset| {
            let mut pending: Vec<Pending> = Vec::new();
            let mut rows = connection.prepare_cached(&format!(
                "SELECT m.id, m.digest, r.host, p.name FROM manifest m \
                 JOIN repo_manifest rm ON rm.manifest_id = m.id AND rm.gone_sweep IS NULL \
                 JOIN repository p ON p.id = rm.repository_id JOIN registry r ON r.id = p.registry_id \
                 WHERE m.id > ?3 AND m.id <= ?4 AND {UNREAD} AND r.host IN (SELECT value FROM json_each(?2)) \
                 ORDER BY m.id, p.id",
            ))?;
            let mut rows = rows.query(params![ruleset, self.hosts, after, until])?;
            while let Some(row) = rows.next()? {
                let (id, digest, place) = (row.get(0)?, row.get(1)?, (row.get(2)?, row.get(3)?));
                let is_full = pending.len() == most;
                match pending.last_mut() {
                    Some(last) if last.id == id => last.places.push(place),
                    _ if is_full => break,
                    _ => pending.push(Pending {
                        id,
                        digest,
                        places: vec![place],
                    }),
                }
            }
            Ok(pending)
        })
    }

    /// The platform that an index gave a manifest.
    pub(super) fn platform(&self, manifest: i64) -> Result<Option<String>> {
        self.ask(|connection, _, _| {
            connection
                .prepare_cached("SELECT platform FROM manifest WHERE id = ?1")?
                .query_row([manifest], |row| row.get(0))
        })
    }

    /// Enters what was read of a manifest.
    pub(super) fn manifest(&mut self, read: &ReadManifest<'_>) -> Result<()> {
        self.write(|save, sweep, ruleset| {
            let label = |names: &[&str]| names.iter().find_map(|name| read.labels.get(*name));
            save.prepare_cached(
                "UPDATE manifest SET kind = ?2, platform = coalesce(?3, platform), created = ?4, source = ?5, authors = ?6 \
                 WHERE id = ?1",
            )?
            .execute(params![
                read.id,
                read.kind,
                read.platform,
                read.created,
                label(&["org.opencontainers.image.source"]),
                label(&["org.opencontainers.image.authors", "maintainer"]),
            ])?;
            for (digest, platform) in &read.children {
                save.prepare_cached(
                    "INSERT INTO manifest(digest, platform) VALUES(?1, ?2) ON CONFLICT(digest) DO UPDATE \
                     SET platform = coalesce(platform, excluded.platform)",
                )?
                .execute(params![digest, platform])?;
                save.prepare_cached(
                    "INSERT OR IGNORE INTO manifest_child(parent_id, child_id) \
                     SELECT ?1, id FROM manifest WHERE digest = ?2",
                )?
                .execute(params![read.id, digest])?;
                save.prepare_cached(
                    "INSERT INTO repo_manifest(repository_id, manifest_id, first_sweep, last_sweep) \
                     SELECT rm.repository_id, m.id, ?3, ?3 FROM repo_manifest rm JOIN manifest m ON m.digest = ?2 \
                     WHERE rm.manifest_id = ?1 AND rm.gone_sweep IS NULL \
                     ON CONFLICT DO UPDATE SET last_sweep = excluded.last_sweep, gone_sweep = NULL",
                )?
                .execute(params![read.id, digest, sweep])?;
            }
            save.prepare_cached("DELETE FROM manifest_blob WHERE manifest_id = ?1")?
                .execute([read.id])?;
            for (ord, (digest, size, media_type, runs)) in read.layers.iter().enumerate() {
                save.prepare_cached(
                    "INSERT INTO blob(digest, size, media_type, runs) VALUES(?1, ?2, ?3, ?4) \
                     ON CONFLICT(digest) DO NOTHING",
                )?
                .execute(params![digest, size.cast_signed(), media_type, runs])?;
                save.prepare_cached(
                    "INSERT INTO manifest_blob(manifest_id, ord, blob_id) SELECT ?1, ?2, id FROM blob WHERE digest = ?3",
                )?
                .execute(params![read.id, ord as i64 + 1, digest])?;
                save.prepare_cached(
                    "INSERT OR IGNORE INTO scan(blob_id, ruleset_id, state) \
                     SELECT id, ?2, 'pending' FROM blob WHERE digest = ?1",
                )?
                .execute(params![digest, ruleset])?;
            }
            save.prepare_cached(
                "INSERT OR REPLACE INTO image(manifest_id, ruleset_id, record, complete) VALUES(?1, ?2, ?3, ?4)",
            )?
            .execute(params![read.id, ruleset, read.record, read.complete])?;
            Ok(())
        })
    }

    /// The layers that were not read with these rules, and that a registry of this sweep has. Those that several images
    /// share come first, the most bytes saved first; then those that files were copied into, before what commands made.
    ///
    /// Layers of other registries are left to their own sweeps, and nobody waits for those of deleted images.
    pub(super) fn unread_layers(&self) -> Result<Vec<Unread>> {
        self.ask(|connection, _, ruleset| {
            connection
                .prepare_cached(&format!(
                    "SELECT b.id, b.size, \
                     (SELECT count(*) FROM manifest_blob mb WHERE mb.blob_id = b.id) AS shared \
                     FROM scan s JOIN blob b ON b.id = s.blob_id WHERE s.ruleset_id = ?1 AND s.state = 'pending' \
                     AND {HAS_BLOB} \
                     ORDER BY shared > 1 DESC, CASE WHEN shared > 1 THEN shared * b.size ELSE 0 END DESC, b.runs, b.size, \
                     b.digest",
                ))?
                .query_map(params![ruleset, self.hosts], |row| {
                    Ok(Unread {
                        blob: row.get(0)?,
                        size: row.get::<_, i64>(1)?.max(0).cast_unsigned(),
                    })
                })?
                .collect()
        })
    }

    /// What is known of a layer.
    pub(super) fn layer(&self, blob: i64) -> Result<Layer> {
        self.ask(|connection, _, _| {
            connection
                .prepare_cached("SELECT digest, size, media_type FROM blob WHERE id = ?1")?
                .query_row([blob], |row| {
                    Ok(Layer {
                        blob,
                        digest: row.get(0)?,
                        size: row.get::<_, i64>(1)?.max(0).cast_unsigned(),
                        media_type: row.get(2)?,
                    })
                })
        })
    }

    /// Repositories that a blob can be had from.
    pub(super) fn places(&self, blob: i64) -> Result<Vec<Place>> {
        self.ask(|connection, _, _| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT r.host, p.name FROM manifest_blob mb \
                     JOIN repo_manifest rm ON rm.manifest_id = mb.manifest_id AND rm.gone_sweep IS NULL \
                     JOIN repository p ON p.id = rm.repository_id JOIN registry r ON r.id = p.registry_id \
                     WHERE mb.blob_id = ?1 ORDER BY p.gone_sweep IS NOT NULL, p.id LIMIT 4",
                )?
                .query_map([blob], |row| {
                    Ok(Place {
                        host: row.get(0)?,
                        repository: row.get(1)?,
                    })
                })?
                .collect()
        })
    }

    /// Enters what was read of a blob.
    pub(super) fn read(&mut self, blob: i64, reading: &Reading) -> Result<()> {
        self.write(|save, sweep, ruleset| {
            let (reason, why) = reading.gap.as_ref().map(|(reason, why)| (reason, why)).unzip();
            save.prepare_cached(
                "UPDATE scan SET state = ?3, bytes_in = ?4, bytes_out = ?5, entries = ?6, reason = ?7, why = ?8, \
                 record_of = ?2 WHERE blob_id = ?1 AND ruleset_id = ?2",
            )?
            .execute(params![
                blob,
                ruleset,
                if reading.whole { "done" } else { "partial" },
                reading.bytes_in.cast_signed(),
                reading.bytes_out.cast_signed(),
                reading.entries.cast_signed(),
                reason,
                why,
            ])?;
            save.prepare_cached(
                "INSERT OR REPLACE INTO record(blob_id, ruleset_id, literals, record) VALUES(?1, ?2, ?3, ?4)",
            )?
            .execute(params![blob, ruleset, packed(&reading.literals)?, reading.record])?;
            // It may have been one before.
            save.prepare_cached(
                "DELETE FROM problem WHERE sweep_id = ?1 AND what = (SELECT 'layer ' || digest FROM blob WHERE id = ?2)",
            )?
            .execute(params![sweep, blob])?;
            reassemble(save, blob, ruleset)
        })
    }

    /// Enters that a blob could not be had, which is a problem of the sweep too.
    pub(super) fn lost(&mut self, blob: i64, digest: &str, reason: &str, why: &str) -> Result<()> {
        self.write(|save, sweep, ruleset| {
            save.prepare_cached(
                "UPDATE scan SET state = 'failed', bytes_in = 0, bytes_out = 0, entries = 0, reason = ?3, why = ?4 \
                 WHERE blob_id = ?1 AND ruleset_id = ?2",
            )?
            .execute(params![blob, ruleset, reason, why])?;
            note_problem(save, sweep, &format!("layer {digest}"), reason, why)?;
            reassemble(save, blob, ruleset)
        })
    }

    /// Images whose layers were all read, or tried, since they were last assembled. Those of one base come together.
    pub(super) fn unassembled(&self) -> Result<Vec<i64>> {
        self.ask(|connection, _, ruleset| {
            connection
                .prepare_cached(
                    "SELECT i.manifest_id FROM image i WHERE i.ruleset_id = ?1 AND i.assembled = 0 AND NOT EXISTS \
                     (SELECT 1 FROM manifest_blob mb JOIN scan s ON s.blob_id = mb.blob_id AND s.ruleset_id = ?1 \
                      WHERE mb.manifest_id = i.manifest_id AND s.state = 'pending') \
                     ORDER BY (SELECT blob_id FROM manifest_blob mb WHERE mb.manifest_id = i.manifest_id AND mb.ord = 1), \
                     i.manifest_id",
                )?
                .query_map([ruleset], |row| row.get(0))?
                .collect()
        })
    }

    /// The digest of a manifest.
    pub(super) fn digest(&self, manifest: i64) -> Result<String> {
        self.ask(|connection, _, _| {
            connection
                .prepare_cached("SELECT digest FROM manifest WHERE id = ?1")?
                .query_row([manifest], |row| row.get(0))
        })
    }

    /// What an image is assembled from.
    pub(super) fn parts(&self, manifest: i64) -> Result<Unassembled> {
        self.ask(|connection, _, ruleset| parts(connection, manifest, ruleset))
    }

    /// The record of a blob.
    pub(super) fn record(&self, blob: i64) -> Result<Option<Kept>> {
        self.ask(|connection, _, ruleset| record(connection, blob, ruleset))
    }

    /// The rules that a record was made with.
    pub(super) fn rules(&self, ruleset: i64) -> Result<Rules> {
        self.ask(|connection, _, _| rules(connection, ruleset))
    }

    /// Enters the findings of an image, in place of those it had.
    pub(super) fn assembled(&mut self, manifest: i64, report: &Report) -> Result<()> {
        self.write(|save, sweep, ruleset| {
            save.prepare_cached("DELETE FROM finding WHERE manifest_id = ?1 AND ruleset_id = ?2")?
                .execute(params![manifest, ruleset])?;
            for finding in &report.findings {
                let Some(identity) = finding.secret.identity() else { continue };
                let identity = crate::text::hex(identity);
                save.prepare_cached(
                    "INSERT INTO secret(identity, redacted, first_sweep) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
                )?
                .execute(params![identity, finding.secret.redacted(), sweep])?;
                let counts = counts(finding);
                for occurrence in &finding.occurrences {
                    let image = &report.images[occurrence.image];
                    let layer = occurrence.origin.layer().unwrap_or_default();
                    let created = layer.checked_sub(1).and_then(|index| image.layers.get(index)?.created.clone());
                    let mtime = match &occurrence.origin {
                        Origin::File { entry, .. } => Some(entry.mtime),
                        _ => None,
                    };
                    save.prepare_cached(
                        "INSERT INTO finding(secret_id, manifest_id, ruleset_id, rule, severity, confidence, counts, status, \
                         layer, place, line, offset, mtime, layer_created) \
                         SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14 FROM secret WHERE identity = ?1",
                    )?
                    .execute(params![
                        identity,
                        manifest,
                        ruleset,
                        finding.rule.0,
                        word(&finding.severity),
                        word(&finding.confidence),
                        counts,
                        occurrence.status.name(),
                        layer as i64,
                        format!("{}{}", place(&occurrence.origin), occurrence.within),
                        occurrence.location.line.cast_signed(),
                        occurrence.location.offset.cast_signed(),
                        mtime,
                        created,
                    ])?;
                }
            }
            let whole = report.images.iter().all(|image| image.complete);
            save.prepare_cached(
                "UPDATE image SET assembled = 1, whole = ?3 WHERE manifest_id = ?1 AND ruleset_id = ?2",
            )?
            .execute(params![manifest, ruleset, whole])?;
            Ok(())
        })
    }

    /// Whether the sweep came to its end before.
    pub(super) fn is_done(&self) -> Result<bool> {
        self.ask(|connection, sweep, _| {
            connection.query_row(
                "SELECT status = 'done' FROM sweep WHERE id = ?1",
                [sweep],
                |row| row.get(0),
            )
        })
    }

    /// Notes how far the sweep is.
    pub(super) fn status(&mut self, status: &str, requests: u64) -> Result<()> {
        self.write(|save, sweep, _| {
            save.execute(
                "UPDATE sweep SET status = ?2, requests = requests + ?3, \
                 finished_at = CASE WHEN ?2 = 'done' THEN ?4 END WHERE id = ?1",
                params![sweep, status, requests.cast_signed(), now()],
            )?;
            Ok(())
        })
    }
}

/// Whether a finding is at or above the thresholds of a scan.
pub(super) fn counts(finding: &Finding) -> bool {
    finding.confidence >= Confidence::Medium && finding.severity >= Severity::Medium
}

/// What an image is assembled from.
pub(super) fn parts(connection: &Connection, manifest: i64, ruleset: i64) -> rusqlite::Result<Unassembled> {
    let record = connection
        .prepare_cached("SELECT record FROM image WHERE manifest_id = ?1 AND ruleset_id = ?2")?
        .query_row(params![manifest, ruleset], |row| row.get(0))?;
    let layers = connection
        .prepare_cached(
            "SELECT b.id, b.digest, CASE s.state WHEN 'failed' THEN coalesce(s.why, 'it could not be read') \
             WHEN 'pending' THEN 'it was not read yet' END \
             FROM manifest_blob mb JOIN blob b ON b.id = mb.blob_id \
             JOIN scan s ON s.blob_id = b.id AND s.ruleset_id = ?2 WHERE mb.manifest_id = ?1 ORDER BY mb.ord",
        )?
        .query_map(params![manifest, ruleset], |row| {
            Ok(AssembledLayer {
                blob: row.get(0)?,
                digest: row.get(1)?,
                failure: row.get(2)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Unassembled { record, layers })
}

/// The record of a blob, whichever rules it was made with.
pub(super) fn record(connection: &Connection, blob: i64, ruleset: i64) -> rusqlite::Result<Option<Kept>> {
    connection
        .prepare_cached(
            "SELECT r.record, r.ruleset_id FROM scan s JOIN record r ON r.blob_id = s.blob_id AND r.ruleset_id = s.record_of \
             WHERE s.blob_id = ?1 AND s.ruleset_id = ?2",
        )?
        .query_row(params![blob, ruleset], |row| {
            Ok(Kept {
                bytes: row.get(0)?,
                ruleset: row.get(1)?,
            })
        })
        .optional()
}

/// A set of rules that records were made with.
pub(super) fn rules(connection: &Connection, ruleset: i64) -> rusqlite::Result<Rules> {
    connection
        .prepare_cached("SELECT hash, outline FROM ruleset WHERE id = ?1")?
        .query_row([ruleset], |row| {
            let outline: Vec<u8> = row.get(1)?;
            Ok(Rules {
                hash: row.get(0)?,
                outline: postcard::from_bytes(&outline).ok(),
            })
        })
}

/// Counts as read what earlier rules read whole and these would find the same in.
fn carry(save: &Savepoint<'_>, ruleset: i64, outline: &Outline) -> rusqlite::Result<()> {
    let earlier: Vec<i64> = save
        .prepare_cached("SELECT id FROM ruleset WHERE id <> ?1 ORDER BY id DESC")?
        .query_map([ruleset], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for earlier in earlier {
        let by = rules(save, earlier)?
            .outline
            .and_then(|known| outline.carried_from(&known));
        let Some(by) = by else { continue };
        let holds = |literals: &[u8]| postcard::from_bytes(literals).is_ok_and(|seen| by.holds_for(&seen));
        let carried: Vec<i64> = save
            .prepare_cached(
                "SELECT r.blob_id, r.literals FROM record r JOIN scan s ON s.blob_id = r.blob_id AND s.ruleset_id = ?2 \
                 WHERE r.ruleset_id = ?2 AND s.state = 'done' AND NOT EXISTS (SELECT 1 FROM scan n \
                   WHERE n.blob_id = r.blob_id AND n.ruleset_id = ?1 AND n.state IN ('done', 'partial'))",
            )?
            .query_map([ruleset, earlier], |row| {
                let blob: i64 = row.get(0)?;
                Ok(holds(row.get_ref(1)?.as_blob()?).then_some(blob))
            })?
            .filter_map(rusqlite::Result::transpose)
            .collect::<rusqlite::Result<_>>()?;
        let mut enter = save.prepare_cached(
            "INSERT OR REPLACE INTO scan(blob_id, ruleset_id, record_of, state, bytes_in, bytes_out, entries) \
             SELECT blob_id, ?1, ?2, state, bytes_in, bytes_out, entries FROM scan WHERE blob_id = ?3 AND ruleset_id = ?2",
        )?;
        for blob in carried {
            enter.execute([ruleset, earlier, blob])?;
        }
    }
    Ok(())
}

fn packed(value: &impl serde::Serialize) -> rusqlite::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn note_problem(
    save: &Savepoint<'_>,
    sweep: i64,
    what: &str,
    reason: &str,
    why: &str,
) -> rusqlite::Result<()> {
    save.execute(
        "INSERT INTO problem(sweep_id, what, reason, why) VALUES(?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET reason = excluded.reason, why = excluded.why",
        params![sweep, what, reason, why],
    )?;
    Ok(())
}

/// The images that have a blob are to be assembled again.
fn reassemble(save: &Savepoint<'_>, blob: i64, ruleset: i64) -> rusqlite::Result<()> {
    save.prepare_cached(
        "UPDATE image SET assembled = 0 WHERE ruleset_id = ?2 AND manifest_id IN \
         (SELECT manifest_id FROM manifest_blob WHERE blob_id = ?1)",
    )?
    .execute(params![blob, ruleset])?;
    Ok(())
}

fn close_repository(save: &Savepoint<'_>, repository: i64, sweep: i64) -> rusqlite::Result<()> {
    save.execute(
        "UPDATE repository SET gone_sweep = ?2 WHERE id = ?1",
        params![repository, sweep],
    )?;
    save.execute(
        "UPDATE tag_history SET to_sweep = ?2 WHERE repository_id = ?1 AND to_sweep IS NULL",
        params![repository, sweep],
    )?;
    save.execute(
        "UPDATE repo_manifest SET gone_sweep = ?2 WHERE repository_id = ?1 AND gone_sweep IS NULL",
        params![repository, sweep],
    )?;
    save.execute(
        "INSERT OR IGNORE INTO repo_progress(sweep_id, repository_id) VALUES(?2, ?1)",
        params![repository, sweep],
    )?;
    Ok(())
}

/// Notes that a repository has a manifest.
fn has_manifest(save: &Savepoint<'_>, repository: i64, digest: &str, sweep: i64) -> rusqlite::Result<()> {
    save.prepare_cached("INSERT INTO manifest(digest) VALUES(?1) ON CONFLICT DO NOTHING")?
        .execute([digest])?;
    save.prepare_cached(
        "INSERT INTO repo_manifest(repository_id, manifest_id, first_sweep, last_sweep) \
         SELECT ?1, id, ?3, ?3 FROM manifest WHERE digest = ?2 \
         ON CONFLICT DO UPDATE SET last_sweep = excluded.last_sweep, gone_sweep = NULL",
    )?
    .execute(params![repository, digest, sweep])?;
    Ok(())
}

/// A grade by its name in reports.
fn word(grade: &impl serde::Serialize) -> String {
    match serde_json::to_value(grade) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Where something stands, for people.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::File { path, .. } => format!("/{}", path.escaped()),
        Origin::Layer { region, path, .. } => match path {
            Some(path) => format!("{region} of /{}", path.escaped()),
            None => (*region).to_owned(),
        },
        Origin::Config { field, .. } => crate::text::escape(field.as_bytes()),
        Origin::Manifest { field } | Origin::Attestation { field, .. } => {
            format!("manifest {}", crate::text::escape(field.as_bytes()))
        }
    }
}
