-- Values are sealed (SecretKeys): what is here tells nothing without the key's file. key is the number of its line.
CREATE TABLE secrets (
  name       TEXT    PRIMARY KEY,
  version    INTEGER NOT NULL,
  key        INTEGER NOT NULL,
  sealed     BLOB    NOT NULL,
  length     INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  caller     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
