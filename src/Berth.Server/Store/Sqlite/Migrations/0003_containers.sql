-- A container's record is read and written as a whole, by one server: its columns are what must be unique.
CREATE TABLE containers (
  id       TEXT PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  document BLOB NOT NULL
) STRICT, WITHOUT ROWID;
