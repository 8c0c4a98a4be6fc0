-- A trigger is read and written as a whole. seen is of clocks: the last time, in Unix microseconds, that was seen to;
-- it moves in the same transaction as the firing that is remembered, so that each time fires once.
CREATE TABLE triggers (
  name     TEXT    PRIMARY KEY,
  id       TEXT    NOT NULL UNIQUE,
  document BLOB    NOT NULL,
  seen     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The newest of each trigger. outcome is the number of the enumeration FiringOutcome; a test holds it still.
CREATE TABLE trigger_firings (
  seq     INTEGER PRIMARY KEY,
  owner   TEXT    NOT NULL,
  key     TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  outcome INTEGER NOT NULL,
  run     TEXT,
  detail  TEXT,
  UNIQUE (owner, key)
) STRICT;
CREATE INDEX trigger_firings_newest ON trigger_firings (owner, seq);

-- Files that were seen to, as they were then. One that changes is another one.
CREATE TABLE trigger_files (
  owner   TEXT    NOT NULL,
  path    TEXT    NOT NULL,
  mark    TEXT    NOT NULL,
  PRIMARY KEY (owner, path)
) STRICT, WITHOUT ROWID;
