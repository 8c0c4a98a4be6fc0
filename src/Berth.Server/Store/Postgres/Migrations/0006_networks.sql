-- A network is read and written as a whole. Its name may be given again, its id never.
CREATE TABLE networks (
  id       text COLLATE "C" PRIMARY KEY,
  name     text COLLATE "C" NOT NULL UNIQUE,
  document bytea NOT NULL
);
INSERT INTO changes (topic, number) VALUES ('networks', 0);
