-- Policies of repositories are a document of all servers, sealed, because logins to other registries are in it.
INSERT INTO changes (topic, number) VALUES ('policies', 0);
