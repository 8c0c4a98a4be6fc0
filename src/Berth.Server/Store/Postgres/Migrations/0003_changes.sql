-- What every server holds in memory, by topic: a number that rises with each change. Who writes has to know the newest
-- one, and who finds another one reads the records again.
CREATE TABLE changes (
  topic  text COLLATE "C" PRIMARY KEY,
  number bigint NOT NULL
);
INSERT INTO changes (topic, number) VALUES ('functions', 0), ('secrets', 0), ('triggers', 0);
