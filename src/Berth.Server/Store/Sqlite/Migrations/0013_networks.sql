-- A network is read and written as a whole. Its name may be given again, its id never.
CREATE TABLE networks (
  id       TEXT PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  document BLOB NOT NULL
) STRICT, WITHOUT ROWID;
