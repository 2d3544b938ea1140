-- Where is deployed, and what was deployed there. Times are milliseconds since 1970 (UTC).

CREATE TABLE environments (
    -- What the provider knows it by: it never changes, and is never used again.
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    -- The pipeline that it belongs to; empty: all.
    workflow_id   TEXT    NOT NULL,
    provider      TEXT    NOT NULL,
    region        TEXT    NOT NULL,
    -- As JSON. Secrets are in the vault, under `environments/ID/NAME`.
    config        TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    -- What came of the last test of its connection, as JSON.
    last_test     TEXT,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE deployments (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    environment TEXT    NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    -- `deploy` or `rollback`.
    kind        TEXT    NOT NULL,
    -- What the provider calls it; none until it has answered.
    deploy_id   TEXT,
    image       TEXT    NOT NULL,
    -- `in_progress` is written before the provider is asked, so that what a crash interrupts is not forgotten.
    status      TEXT    NOT NULL,
    message     TEXT    NOT NULL,
    -- Where it can be reached.
    endpoint    TEXT,
    -- Who, and by which run.
    actor       TEXT    NOT NULL,
    run         TEXT,
    at_ms       INTEGER NOT NULL,
    ended_at_ms INTEGER
) STRICT;

CREATE INDEX deployments_by_environment ON deployments (environment, id);
