-- The event log, its projection, and the plugins' own stores.
-- Times are milliseconds since 1970 (UTC).

-- One row a run. All of it but the id follows from the events; it is kept so that lists need not replay them, and is
-- updated in the transaction that appends.
CREATE TABLE runs (
    id             TEXT    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL,
    file           TEXT,
    created_at_ms  INTEGER NOT NULL,
    finished_at_ms INTEGER,
    outcome        TEXT,
    undecided      INTEGER NOT NULL DEFAULT 0,
    cancelling     INTEGER NOT NULL DEFAULT 0,
    next_seq       INTEGER NOT NULL,
    status         TEXT    NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN outcome IS NOT NULL THEN 'finished'
            WHEN cancelling <> 0 THEN 'cancelling'
            WHEN undecided > 0 THEN 'waiting'
            ELSE 'running'
        END
    ) VIRTUAL
) STRICT;

CREATE INDEX runs_by_creation ON runs (created_at_ms DESC, id DESC);
CREATE INDEX runs_unfinished ON runs (created_at_ms, id) WHERE outcome IS NULL;
CREATE INDEX runs_by_name ON runs (name, outcome, finished_at_ms DESC);

-- The facts. `seq` counts from 1 without gaps; `body` is the event's stored form, which carries its own version.
CREATE TABLE events (
    run  TEXT    NOT NULL REFERENCES runs (id),
    seq  INTEGER NOT NULL,
    body TEXT    NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- What plugins keep between runs. Keys are bytes, so that no character in them means anything to SQL.
CREATE TABLE plugin_state (
    plugin TEXT NOT NULL,
    key    BLOB NOT NULL,
    value  BLOB NOT NULL,
    PRIMARY KEY (plugin, key)
) STRICT, WITHOUT ROWID;
