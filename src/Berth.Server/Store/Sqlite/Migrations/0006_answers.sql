-- How a program answered over HTTP: null for programs that don't.
ALTER TABLE runs ADD COLUMN http_status INTEGER;
ALTER TABLE runs ADD COLUMN content_type TEXT;
