-- People, their keys and sessions, and what was changed by whom. Times are milliseconds since 1970 (UTC).

CREATE TABLE users (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- What is written into runs, gates and the audit. Never changes and is never used again.
    name          TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    display_name  TEXT,
    email         TEXT,
    role          TEXT    NOT NULL,
    -- argon2id in PHC form; none for who signs in elsewhere or by key only.
    password      TEXT,
    -- Who they are at an identity provider: its issuer and their subject there.
    oidc_issuer   TEXT,
    oidc_subject  TEXT,
    disabled      INTEGER NOT NULL DEFAULT 0,
    -- The row stays for its name. Nothing else of the person does.
    deleted       INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL,
    seen_at_ms    INTEGER,
    UNIQUE (oidc_issuer, oidc_subject)
) STRICT;

CREATE TABLE keys (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user          INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL,
    -- sha256 of the key: it has 256 bits of chance, so nothing slower is needed.
    hash          BLOB    NOT NULL UNIQUE,
    -- What it begins with, to tell keys apart in lists.
    prefix        TEXT    NOT NULL,
    -- The most that it may, however much its user may.
    role          TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    used_at_ms    INTEGER
) STRICT;

CREATE INDEX keys_by_user ON keys (user);

CREATE TABLE sessions (
    -- sha256 of the cookie's value.
    hash          BLOB    NOT NULL PRIMARY KEY,
    user          INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The key that was signed in with, if it was one: the session may what the key may, and goes with it.
    key           INTEGER REFERENCES keys (id) ON DELETE CASCADE,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user);
CREATE INDEX sessions_by_key ON sessions (key);

CREATE TABLE audit (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms      INTEGER NOT NULL,
    -- Who: a user's name, or `trigger:ID`, or `system`.
    actor      TEXT    NOT NULL,
    -- With what: `session`, `key:PREFIX`, or empty.
    via        TEXT    NOT NULL,
    -- What was done, as `thing.verb`.
    action     TEXT    NOT NULL,
    -- To what.
    target     TEXT    NOT NULL,
    -- More, as JSON. Never a secret.
    detail     TEXT    NOT NULL,
    request_id TEXT,
    address    TEXT
) STRICT;

CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_target ON audit (target, id);

-- Answers that were given to requests with an Idempotency-Key, so that the same request gets the same answer.
CREATE TABLE idempotency (
    actor         TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    -- sha256 of method, path and body: another request with the same key is refused.
    request       BLOB    NOT NULL,
    -- Empty while the request is being carried out, and for ever if the server ended meanwhile.
    status        INTEGER,
    content_type  TEXT,
    body          BLOB,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (created_at_ms);
