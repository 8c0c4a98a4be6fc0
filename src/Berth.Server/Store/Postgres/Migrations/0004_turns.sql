-- What is served first among waiting runs: the lowest rank, which is the highest priority; each caller in turn.
ALTER TABLE runs ADD COLUMN rank bigint NOT NULL DEFAULT 0;
CREATE INDEX runs_turns ON runs (rank, caller, ready_at, id) WHERE state = 0;
