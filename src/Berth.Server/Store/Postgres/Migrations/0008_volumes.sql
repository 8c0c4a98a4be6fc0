-- Which machine has a volume: who uses it runs there. Without one until its first use.
CREATE TABLE volumes (
  name       text COLLATE "C" PRIMARY KEY,
  node       text COLLATE "C",
  created_at bigint NOT NULL,
  creator    text NOT NULL
);
INSERT INTO changes (topic, number) VALUES ('volumes', 0);
