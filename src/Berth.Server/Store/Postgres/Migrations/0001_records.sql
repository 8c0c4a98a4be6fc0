-- The same records as in the embedded store, with the same numbers in the same columns. What belongs to a run names it
-- by its id, so that one statement writes all of it. Times are Unix microseconds, spans are microseconds.

CREATE TABLE runs (
  id                text COLLATE "C" PRIMARY KEY,
  kind              bigint NOT NULL,
  state             bigint NOT NULL,
  generation        bigint NOT NULL,
  attempts          bigint NOT NULL,
  cancel            bigint NOT NULL,
  -- The server that has it under way; of no meaning while it waits.
  holder            text COLLATE "C" NOT NULL,
  -- The server that accepted it, and has its input where that is a file.
  origin            text COLLATE "C" NOT NULL,
  caller            text COLLATE "C" NOT NULL,
  image             text COLLATE "C" NOT NULL,
  digest            text COLLATE "C" NOT NULL,
  spec              bytea  NOT NULL,
  created_at        bigint NOT NULL,
  ready_at          bigint NOT NULL,
  started_at        bigint,
  ended_at          bigint,
  expires_at        bigint,
  reason            bigint,
  exit_code         bigint,
  signal            bigint,
  detail            text,
  node              text,
  cpu_user          bigint,
  cpu_system        bigint,
  peak_memory       bigint,
  bytes_in          bigint,
  bytes_out         bigint,
  queue_time        bigint NOT NULL,
  prepare_time      bigint NOT NULL,
  start_time        bigint NOT NULL,
  run_time          bigint NOT NULL,
  percent           double precision,
  progress          text,
  input_place       bigint NOT NULL,
  input_length      bigint NOT NULL,
  result_place      bigint NOT NULL,
  result_length     bigint NOT NULL,
  result_expires_at bigint,
  -- When bodies are to be deleted; null when there are none (any more).
  bodies_due        bigint,
  last_event        bigint NOT NULL,
  http_status       bigint,
  content_type      text,
  -- 1 where a failed task waits for somebody to decide what becomes of it.
  dead              bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02, fillfactor = 80);

-- Partial, so that an ended run is in none of the indexes that are looked at all the time.
CREATE INDEX runs_queued   ON runs (ready_at, id) WHERE state = 0;
CREATE INDEX runs_active   ON runs (id)           WHERE state IN (1, 2);
CREATE INDEX runs_over_age ON runs (expires_at)   WHERE state = 0 AND expires_at IS NOT NULL;
CREATE INDEX runs_bodies   ON runs (bodies_due)   WHERE bodies_due IS NOT NULL;
CREATE INDEX runs_ended    ON runs (ended_at)     WHERE ended_at IS NOT NULL;
CREATE INDEX runs_dead     ON runs (id)           WHERE dead = 1;

-- What programs read and write is rarely worth the time of compressing it.
CREATE TABLE run_inputs  (run text COLLATE "C" PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE run_results (run text COLLATE "C" PRIMARY KEY, body bytea NOT NULL);
ALTER TABLE run_inputs  ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE run_results ALTER COLUMN body SET STORAGE EXTERNAL;

-- Event 1 (accepted) is not here: it is told from the run itself.
CREATE TABLE run_events (
  run     text COLLATE "C" NOT NULL,
  number  bigint NOT NULL,
  at      bigint NOT NULL,
  type    text   NOT NULL,
  attempt bigint NOT NULL,
  detail  text   NOT NULL,
  PRIMARY KEY (run, number)
);

CREATE TABLE run_labels (
  name  text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  run   text COLLATE "C" NOT NULL,
  PRIMARY KEY (name, value, run)
);
CREATE INDEX run_labels_run ON run_labels (run);

CREATE TABLE idempotency_keys (
  caller  text COLLATE "C" NOT NULL,
  key     text COLLATE "C" NOT NULL,
  run     text COLLATE "C" NOT NULL,
  request bytea NOT NULL,
  PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_run ON idempotency_keys (run);

-- The outbox: written with the end of the run, struck off when delivered or given up. Slot 0 is the caller's, slot 1
-- the function's destination.
CREATE TABLE callbacks (
  run       text COLLATE "C" NOT NULL,
  slot      bigint NOT NULL,
  target    text   NOT NULL,
  host      text COLLATE "C" NOT NULL,
  body      bytea  NOT NULL,
  attempt   bigint NOT NULL,
  first_due bigint NOT NULL,
  due       bigint NOT NULL,
  -- The server that delivers it.
  holder    text COLLATE "C" NOT NULL,
  PRIMARY KEY (run, slot)
);
CREATE INDEX callbacks_due ON callbacks (holder, due, host);

-- Ended runs whose end is yet to become a task of another function.
CREATE TABLE forwards (
  run      text COLLATE "C" PRIMARY KEY,
  function text NOT NULL,
  -- The server that hands it on.
  holder   text COLLATE "C" NOT NULL
);

-- A container belongs to the server on whose machine it is.
CREATE TABLE containers (
  id       text COLLATE "C" PRIMARY KEY,
  name     text COLLATE "C" NOT NULL UNIQUE,
  holder   text COLLATE "C" NOT NULL,
  document bytea NOT NULL
);

CREATE TABLE functions (
  name     text COLLATE "C" PRIMARY KEY,
  document bytea NOT NULL
);

-- Values are sealed: what is here tells nothing without the keys' file. key is the number of its line.
CREATE TABLE secrets (
  name       text COLLATE "C" PRIMARY KEY,
  version    bigint NOT NULL,
  key        bigint NOT NULL,
  sealed     bytea  NOT NULL,
  length     bigint NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  caller     text   NOT NULL
);

-- seen: of a clock, the last time that was seen to; it moves in the same transaction as the firing.
CREATE TABLE triggers (
  name     text COLLATE "C" PRIMARY KEY,
  id       text COLLATE "C" NOT NULL UNIQUE,
  document bytea  NOT NULL,
  seen     bigint NOT NULL
);

CREATE TABLE trigger_firings (
  seq     bigserial PRIMARY KEY,
  owner   text COLLATE "C" NOT NULL,
  key     text COLLATE "C" NOT NULL,
  at      bigint NOT NULL,
  outcome bigint NOT NULL,
  run     text,
  detail  text,
  UNIQUE (owner, key)
);
CREATE INDEX trigger_firings_newest ON trigger_firings (owner, seq);

CREATE TABLE trigger_files (
  owner text COLLATE "C" NOT NULL,
  path  text COLLATE "C" NOT NULL,
  mark  text NOT NULL,
  PRIMARY KEY (owner, path)
);

-- Every server says by its beat that it is there. Nobody compares clocks: a beat that does not change for long enough
-- on the clock of the one who watches is a server that is lost.
CREATE TABLE servers (
  id      text COLLATE "C" PRIMARY KEY,
  name    text   NOT NULL,
  beat    bigint NOT NULL,
  version text   NOT NULL
);
