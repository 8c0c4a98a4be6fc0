-- A run may owe two callbacks: slot 0 is its caller's, slot 1 its function's destination.
CREATE TABLE callbacks_by_slot (
  run       INTEGER NOT NULL,
  slot      INTEGER NOT NULL,
  target    TEXT    NOT NULL,
  host      TEXT    NOT NULL,
  body      BLOB    NOT NULL,
  attempt   INTEGER NOT NULL,
  first_due INTEGER NOT NULL,
  due       INTEGER NOT NULL,
  PRIMARY KEY (run, slot)
) STRICT;
INSERT INTO callbacks_by_slot SELECT run, 0, target, host, body, attempt, first_due, due FROM callbacks;
DROP TABLE callbacks;
ALTER TABLE callbacks_by_slot RENAME TO callbacks;
CREATE INDEX callbacks_due ON callbacks (due, host);

-- Ended runs whose end is yet to become a task of another function.
CREATE TABLE forwards (
  run      INTEGER PRIMARY KEY,
  function TEXT NOT NULL
) STRICT;
