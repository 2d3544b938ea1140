-- Pipelines that were deployed. Times are milliseconds since 1970 (UTC).

CREATE TABLE workflows (
    name          TEXT    NOT NULL PRIMARY KEY,
    -- The newest version.
    version       INTEGER NOT NULL,
    dialect       TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    updated_by    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workflow_versions (
    name          TEXT    NOT NULL REFERENCES workflows (name) ON DELETE CASCADE,
    version       INTEGER NOT NULL,
    -- sha256 of the text.
    digest        TEXT    NOT NULL,
    yaml          TEXT    NOT NULL,
    -- Which pipeline of it, where it has several.
    pipeline      TEXT,
    created_by    TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    message       TEXT,
    PRIMARY KEY (name, version)
) STRICT;

-- The last number that a name's versions were given. It outlives the pipeline: runs tell a version by its number, so no two texts may
-- ever have the same.
CREATE TABLE workflow_numbers (
    name TEXT    NOT NULL PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
