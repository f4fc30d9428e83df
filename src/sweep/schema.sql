-- The state of a sweep. Digests are text: people open this file with tools of their own.
CREATE TABLE install(id INTEGER PRIMARY KEY CHECK(id = 1), key_check BLOB NOT NULL) STRICT;

CREATE TABLE registry(id INTEGER PRIMARY KEY, host TEXT NOT NULL UNIQUE, kind TEXT NOT NULL) STRICT;

-- `outline` is what tells which layers other rules need to read again.
CREATE TABLE ruleset(id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, version TEXT NOT NULL, outline BLOB NOT NULL) STRICT;

CREATE TABLE sweep(id INTEGER PRIMARY KEY, scope TEXT NOT NULL, options TEXT NOT NULL,
  hosts TEXT NOT NULL, -- of its registries, a list in JSON
  ruleset_id INTEGER NOT NULL REFERENCES ruleset(id),
  status TEXT NOT NULL CHECK(status IN ('enumerating', 'scanning', 'done')),
  started_at INTEGER NOT NULL, finished_at INTEGER, requests INTEGER NOT NULL DEFAULT 0) STRICT;

-- What could not be had in a sweep. A sweep that goes on tries again and forgets what it now had.
CREATE TABLE problem(sweep_id INTEGER NOT NULL REFERENCES sweep(id), what TEXT NOT NULL, reason TEXT NOT NULL,
  why TEXT NOT NULL, PRIMARY KEY(sweep_id, what)) STRICT, WITHOUT ROWID;

CREATE TABLE repository(id INTEGER PRIMARY KEY, registry_id INTEGER NOT NULL REFERENCES registry(id),
  name TEXT NOT NULL, first_sweep INTEGER NOT NULL, last_sweep INTEGER NOT NULL, gone_sweep INTEGER,
  UNIQUE(registry_id, name)) STRICT;

CREATE TABLE repo_progress(sweep_id INTEGER NOT NULL REFERENCES sweep(id),
  repository_id INTEGER NOT NULL REFERENCES repository(id), PRIMARY KEY(sweep_id, repository_id)) STRICT, WITHOUT ROWID;

-- Tags of a repository that is being listed. They become intervals when all of them are known.
CREATE TABLE tag_seen(sweep_id INTEGER NOT NULL, repository_id INTEGER NOT NULL, tag TEXT NOT NULL,
  digest TEXT NOT NULL, pushed_at INTEGER, PRIMARY KEY(sweep_id, repository_id, tag)) STRICT, WITHOUT ROWID;

-- From the sweep that saw a tag first at a digest to the one that saw it elsewhere or not at all.
CREATE TABLE tag_history(id INTEGER PRIMARY KEY, repository_id INTEGER NOT NULL REFERENCES repository(id),
  tag TEXT NOT NULL, digest TEXT NOT NULL, from_sweep INTEGER NOT NULL, to_sweep INTEGER, last_sweep INTEGER NOT NULL,
  pushed_at INTEGER) STRICT;
CREATE UNIQUE INDEX tag_live ON tag_history(repository_id, tag) WHERE to_sweep IS NULL;
CREATE INDEX tag_pred ON tag_history(repository_id, tag, to_sweep);
CREATE INDEX tag_from ON tag_history(from_sweep);
CREATE INDEX tag_to ON tag_history(to_sweep) WHERE to_sweep IS NOT NULL;
CREATE INDEX tag_digest ON tag_history(digest);

CREATE TABLE manifest(id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL DEFAULT 'unknown' CHECK(kind IN ('unknown', 'index', 'image', 'artifact')),
  platform TEXT, created TEXT, source TEXT, authors TEXT) STRICT;
CREATE TABLE manifest_child(parent_id INTEGER NOT NULL REFERENCES manifest(id),
  child_id INTEGER NOT NULL REFERENCES manifest(id), PRIMARY KEY(parent_id, child_id)) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_child_rev ON manifest_child(child_id);
CREATE TABLE repo_manifest(repository_id INTEGER NOT NULL REFERENCES repository(id),
  manifest_id INTEGER NOT NULL REFERENCES manifest(id), first_sweep INTEGER NOT NULL, last_sweep INTEGER NOT NULL,
  gone_sweep INTEGER, PRIMARY KEY(repository_id, manifest_id)) STRICT, WITHOUT ROWID;
CREATE INDEX repo_manifest_rev ON repo_manifest(manifest_id);

-- What was read of a manifest with one set of rules.
CREATE TABLE image(manifest_id INTEGER NOT NULL REFERENCES manifest(id), ruleset_id INTEGER NOT NULL REFERENCES ruleset(id),
  record BLOB NOT NULL, complete INTEGER NOT NULL, assembled INTEGER NOT NULL DEFAULT 0, whole INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(manifest_id, ruleset_id)) STRICT;
CREATE INDEX image_todo ON image(ruleset_id) WHERE assembled = 0;

CREATE TABLE blob(id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, media_type TEXT NOT NULL,
  runs INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE manifest_blob(manifest_id INTEGER NOT NULL REFERENCES manifest(id), ord INTEGER NOT NULL,
  blob_id INTEGER NOT NULL REFERENCES blob(id), PRIMARY KEY(manifest_id, ord)) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blob_rev ON manifest_blob(blob_id);

-- `record_of` are the rules that its record was made with: these, or earlier ones that find the same in it.
CREATE TABLE scan(blob_id INTEGER NOT NULL REFERENCES blob(id), ruleset_id INTEGER NOT NULL REFERENCES ruleset(id),
  record_of INTEGER REFERENCES ruleset(id),
  state TEXT NOT NULL CHECK(state IN ('pending', 'done', 'partial', 'failed')),
  bytes_in INTEGER, bytes_out INTEGER, entries INTEGER, reason TEXT, why TEXT, PRIMARY KEY(blob_id, ruleset_id)) STRICT,
  WITHOUT ROWID;
CREATE INDEX scan_todo ON scan(ruleset_id) WHERE state = 'pending';
-- Apart from the verdicts: most questions need no record. `literals` are those of its rules that stand in the layer.
CREATE TABLE record(blob_id INTEGER NOT NULL REFERENCES blob(id), ruleset_id INTEGER NOT NULL REFERENCES ruleset(id),
  literals BLOB NOT NULL, record BLOB NOT NULL, PRIMARY KEY(blob_id, ruleset_id)) STRICT;

CREATE TABLE secret(id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, redacted TEXT NOT NULL,
  first_sweep INTEGER NOT NULL) STRICT;
-- Findings of one image, assembled from its records. `layer` is 0 for its documents.
CREATE TABLE finding(id INTEGER PRIMARY KEY, secret_id INTEGER NOT NULL REFERENCES secret(id),
  manifest_id INTEGER NOT NULL REFERENCES manifest(id), ruleset_id INTEGER NOT NULL REFERENCES ruleset(id),
  rule TEXT NOT NULL, severity TEXT NOT NULL, confidence TEXT NOT NULL, counts INTEGER NOT NULL, status TEXT NOT NULL,
  layer INTEGER NOT NULL, place TEXT NOT NULL, line INTEGER NOT NULL, offset INTEGER NOT NULL, mtime INTEGER,
  layer_created TEXT) STRICT;
CREATE INDEX finding_secret ON finding(secret_id);
CREATE INDEX finding_manifest ON finding(manifest_id, ruleset_id);
