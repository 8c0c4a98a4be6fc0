-- Where the others reach a server; empty for nowhere. A server that left keeps its row: records name it.
ALTER TABLE servers ADD COLUMN address text NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN gone bigint NOT NULL DEFAULT 0;

-- What all servers must have alike, sealed with a key of the file secrets.key: here it tells nothing by itself.
CREATE TABLE cluster_keys (
  name   text COLLATE "C" PRIMARY KEY,
  key    bigint NOT NULL,
  sealed bytea  NOT NULL
);

-- Files that were each server's own, as a whole.
CREATE TABLE documents (
  name text COLLATE "C" PRIMARY KEY,
  body bytea NOT NULL
);

-- Which change of all nodes a record is of; a node that was removed keeps its number, with an empty document.
ALTER TABLE nodes ADD COLUMN number bigint NOT NULL DEFAULT 1;
INSERT INTO changes (topic, number) VALUES ('nodes', 1), ('tokens', 0);
