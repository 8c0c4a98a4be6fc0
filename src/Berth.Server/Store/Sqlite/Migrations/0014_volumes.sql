-- Which machine has a volume: who uses it runs there. Without one until its first use.
CREATE TABLE volumes (
  name       TEXT PRIMARY KEY,
  node       TEXT,
  created_at INTEGER NOT NULL,
  creator    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
