-- Times are Unix microseconds, spans are microseconds. kind, state, reason and *_place are the numbers of the
-- enumerations RunKind, RunState, EndReason and BodyPlace; a test holds them still.

CREATE TABLE runs (
  seq               INTEGER PRIMARY KEY,
  id                TEXT    NOT NULL UNIQUE,
  kind              INTEGER NOT NULL,
  state             INTEGER NOT NULL,
  generation        INTEGER NOT NULL,
  attempts          INTEGER NOT NULL,
  cancel            INTEGER NOT NULL,
  caller            TEXT    NOT NULL,
  image             TEXT    NOT NULL,
  digest            TEXT    NOT NULL,
  spec              BLOB    NOT NULL,
  created_at        INTEGER NOT NULL,
  ready_at          INTEGER NOT NULL,
  started_at        INTEGER,
  ended_at          INTEGER,
  expires_at        INTEGER,
  reason            INTEGER,
  exit_code         INTEGER,
  signal            INTEGER,
  detail            TEXT,
  node              TEXT,
  cpu_user          INTEGER,
  cpu_system        INTEGER,
  peak_memory       INTEGER,
  bytes_in          INTEGER,
  bytes_out         INTEGER,
  queue_time        INTEGER NOT NULL,
  prepare_time      INTEGER NOT NULL,
  start_time        INTEGER NOT NULL,
  run_time          INTEGER NOT NULL,
  percent           REAL,
  progress          TEXT,
  input_place       INTEGER NOT NULL,
  input_length      INTEGER NOT NULL,
  result_place      INTEGER NOT NULL,
  result_length     INTEGER NOT NULL,
  result_expires_at INTEGER,
  -- When bodies are to be deleted; null when there are none (any more).
  bodies_due        INTEGER,
  last_event        INTEGER NOT NULL
) STRICT;

-- Partial, so that an ended run is in none of the indexes that are looked at all the time.
CREATE INDEX runs_queued   ON runs (ready_at, seq)  WHERE state = 0;
CREATE INDEX runs_active   ON runs (id)             WHERE state IN (1, 2);
CREATE INDEX runs_over_age ON runs (expires_at)     WHERE state = 0 AND expires_at IS NOT NULL;
CREATE INDEX runs_bodies   ON runs (bodies_due)     WHERE bodies_due IS NOT NULL;
CREATE INDEX runs_ended    ON runs (ended_at)       WHERE ended_at IS NOT NULL;

CREATE TABLE run_inputs  (run INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE run_results (run INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

-- Event 1 (accepted) is not here: it is told from the run itself.
CREATE TABLE run_events (
  run     INTEGER NOT NULL,
  number  INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  type    TEXT    NOT NULL,
  attempt INTEGER NOT NULL,
  detail  TEXT    NOT NULL,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_labels (
  name  TEXT    NOT NULL,
  value TEXT    NOT NULL,
  run   INTEGER NOT NULL,
  PRIMARY KEY (name, value, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_labels_run ON run_labels (run);

CREATE TABLE idempotency_keys (
  caller  TEXT    NOT NULL,
  key     TEXT    NOT NULL,
  run     INTEGER NOT NULL,
  request BLOB    NOT NULL,
  PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_run ON idempotency_keys (run);

-- The outbox: written with the end of the run, struck off when delivered or given up.
CREATE TABLE callbacks (
  run       INTEGER PRIMARY KEY,
  target    TEXT    NOT NULL,
  body      BLOB    NOT NULL,
  attempt   INTEGER NOT NULL,
  first_due INTEGER NOT NULL,
  due       INTEGER NOT NULL
) STRICT;
CREATE INDEX callbacks_due ON callbacks (due);
