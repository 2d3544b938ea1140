-- Where a run stands is told with each append, no longer counted; runs wait in groups, at gates, and take requests.

DROP INDEX runs_by_creation;
ALTER TABLE runs DROP COLUMN status;
ALTER TABLE runs DROP COLUMN undecided;
ALTER TABLE runs DROP COLUMN cancelling;
ALTER TABLE runs ADD COLUMN status TEXT NOT NULL DEFAULT 'running';
UPDATE runs SET status = 'finished' WHERE outcome IS NOT NULL;
-- The run that it is a sub-run of, and who began it.
ALTER TABLE runs ADD COLUMN parent TEXT;
ALTER TABLE runs ADD COLUMN started_by TEXT;
-- The group in which it takes turns, how many may go on at once, and whether its turn has come.
ALTER TABLE runs ADD COLUMN turn_group TEXT;
ALTER TABLE runs ADD COLUMN turn_limit INTEGER;
ALTER TABLE runs ADD COLUMN turn_taken INTEGER NOT NULL DEFAULT 0;

CREATE INDEX runs_by_creation ON runs (created_at_ms DESC, id DESC);
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX runs_by_group ON runs (turn_group) WHERE turn_group IS NOT NULL AND outcome IS NULL;

-- The gates that are open: what follows from the events, kept for lists and for whoever wakes what is due.
CREATE TABLE gates (
    run        TEXT    NOT NULL REFERENCES runs (id),
    step       TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    prompt     TEXT,
    approvers  TEXT    NOT NULL,
    quorum     INTEGER NOT NULL,
    opened_ms  INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    due_ms     INTEGER NOT NULL,
    votes      TEXT    NOT NULL,
    PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;

CREATE INDEX gates_by_due ON gates (due_ms);

-- What people ask of runs (a vote, a cancel, a decision), until whoever carries the run out has answered. `answer` is why it
-- was refused; empty where it was done.
CREATE TABLE requests (
    id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run    TEXT    NOT NULL REFERENCES runs (id),
    at_ms  INTEGER NOT NULL,
    by     TEXT    NOT NULL,
    body   TEXT    NOT NULL,
    answer TEXT
) STRICT;

CREATE INDEX requests_open ON requests (run, id) WHERE answer IS NULL;
