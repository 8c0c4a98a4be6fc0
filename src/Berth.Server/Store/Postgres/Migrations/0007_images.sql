-- Names in repositories that all servers have alike: tags, and manifests by their digest. gone: 1 where it was deleted,
-- which the others have to hear of too. number: which change of all names it is of.
CREATE TABLE images (
  repository text COLLATE "C" NOT NULL,
  name       text COLLATE "C" NOT NULL,
  digest     text COLLATE "C" NOT NULL,
  size       bigint NOT NULL,
  at         bigint NOT NULL,
  gone       bigint NOT NULL,
  number     bigint NOT NULL,
  PRIMARY KEY (repository, name)
);
CREATE INDEX images_number ON images (number);
INSERT INTO changes (topic, number) VALUES ('images', 0);
