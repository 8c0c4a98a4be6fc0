-- 1 where a failed task waits for somebody to decide what becomes of it.
ALTER TABLE runs ADD COLUMN dead INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_dead ON runs (id) WHERE dead = 1;
