CREATE TABLE nodes (
  name     text COLLATE "C" PRIMARY KEY,
  document bytea NOT NULL
);

-- Each lets one node join once. hash is the SHA-256 of its secret. A spent one is kept until its end, to say who had it.
CREATE TABLE node_tokens (
  id         text COLLATE "C" PRIMARY KEY,
  hash       text   NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  caller     text   NOT NULL,
  used_by    text
);
