-- A node is read and written as a whole.
CREATE TABLE nodes (
  name     TEXT PRIMARY KEY,
  document BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Each lets one node join once. hash is the SHA-256 of its secret. A spent one is kept until its end, to say who had it.
CREATE TABLE node_tokens (
  id         TEXT    PRIMARY KEY,
  hash       TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  caller     TEXT    NOT NULL,
  used_by    TEXT
) STRICT, WITHOUT ROWID;
