-- What begins runs by itself, what came of it, and pipelines of templates. Times are milliseconds since 1970 (UTC).

CREATE TABLE triggers (
    -- 128 bits of chance: it is the address that webhooks are sent to.
    id                TEXT    NOT NULL PRIMARY KEY,
    workflow          TEXT    NOT NULL,
    name              TEXT    NOT NULL,
    -- JSON. What signs a webhook's requests is in the vault, as `triggers/ID`.
    spec              TEXT    NOT NULL,
    enabled           INTEGER NOT NULL DEFAULT 1,
    -- Of a schedule: when it comes next.
    next_ms           INTEGER,
    -- Of a webhook whose secret was changed: until when the one before is taken, which is in the vault as `triggers/ID.before`.
    before_until_ms   INTEGER,
    created_by        TEXT    NOT NULL,
    created_at_ms     INTEGER NOT NULL
) STRICT;

CREATE INDEX triggers_by_workflow ON triggers (workflow, created_at_ms, id);
CREATE INDEX triggers_by_time ON triggers (next_ms) WHERE enabled = 1 AND next_ms IS NOT NULL;

-- One row for each request and each time. It is there before the answer is, and before the run is begun.
CREATE TABLE deliveries (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    trigger_id    TEXT    NOT NULL REFERENCES triggers (id) ON DELETE CASCADE,
    at_ms         INTEGER NOT NULL,
    -- The sender's id for it, or the time that it was for.
    key           TEXT    NOT NULL,
    -- sha256 of what was signed: a request that is sent again under another id is the same one.
    seal          BLOB,
    event         TEXT    NOT NULL,
    -- `accepted` until its run was begun, then `started`; or `filtered`, `skipped`, `refused`, `failed`.
    status        TEXT    NOT NULL,
    reason        TEXT,
    -- The id of its run, chosen before the run is begun: it is begun under it, so never twice.
    run           TEXT,
    title         TEXT,
    inputs        TEXT,
    -- The run whose end it waits for.
    after_run     TEXT,
    redelivery_of INTEGER,
    -- Kept for some days, so that it can be taken as if it came once more.
    headers       TEXT,
    body          BLOB,
    UNIQUE (trigger_id, key)
) STRICT;

CREATE UNIQUE INDEX deliveries_by_seal ON deliveries (trigger_id, seal) WHERE seal IS NOT NULL;
CREATE INDEX deliveries_by_trigger ON deliveries (trigger_id, id);
CREATE INDEX deliveries_to_begin ON deliveries (id) WHERE status = 'accepted';
CREATE INDEX deliveries_with_body ON deliveries (at_ms) WHERE body IS NOT NULL;

CREATE TABLE sequence_templates (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL,
    -- The whole template, as JSON.
    body          TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE sequences (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL,
    description   TEXT,
    use_count     INTEGER NOT NULL DEFAULT 0,
    used_at_ms    INTEGER,
    created_by    TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE sequence_steps (
    sequence   INTEGER NOT NULL REFERENCES sequences (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    -- A template that is used is not deleted.
    template   INTEGER NOT NULL REFERENCES sequence_templates (id) ON DELETE RESTRICT,
    on_failure TEXT    NOT NULL,
    PRIMARY KEY (sequence, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX sequence_steps_by_template ON sequence_steps (template);

-- Which runs are of which sequence. They stay when it is deleted.
CREATE TABLE sequence_runs (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sequence      INTEGER NOT NULL,
    -- The id of the run that carries it out, chosen before that is begun.
    run           TEXT    NOT NULL UNIQUE,
    -- The steps as they were, as JSON.
    steps         TEXT    NOT NULL,
    triggered_by  TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    -- How it ended, once that was seen.
    status        TEXT
) STRICT;

CREATE INDEX sequence_runs_by_sequence ON sequence_runs (sequence, id);
CREATE INDEX sequence_runs_open ON sequence_runs (id) WHERE status IS NULL;
