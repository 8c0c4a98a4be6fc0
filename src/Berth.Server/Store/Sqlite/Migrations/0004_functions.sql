-- A function is read and written as a whole, its revisions with it: there are few of them.
CREATE TABLE functions (
  name     TEXT PRIMARY KEY,
  document BLOB NOT NULL
) STRICT, WITHOUT ROWID;
