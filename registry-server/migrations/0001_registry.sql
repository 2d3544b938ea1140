-- The registry: who owns what, what is published, what was pushed, and what was done by whom.
-- Times are milliseconds since 1970 (UTC). A digest is text, `sha256:` and hex. A version is a row of `releases`, and nothing
-- else makes one.

-- Who.

CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    admin         INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL
) STRICT;

-- `verified_at_ms`: since when the operator vouches for who owns it.
CREATE TABLE namespaces (
    name           TEXT    NOT NULL PRIMARY KEY,
    created_at_ms  INTEGER NOT NULL,
    verified_at_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE owners (
    namespace   TEXT    NOT NULL REFERENCES namespaces (name),
    user        INTEGER NOT NULL REFERENCES users (id),
    added_at_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, user)
) STRICT, WITHOUT ROWID;

CREATE INDEX owners_by_user ON owners (user);

-- Whose signatures a namespace's releases may carry. A revoked key stays, so that it is not added again by mistake.
CREATE TABLE publisher_keys (
    namespace     TEXT    NOT NULL REFERENCES namespaces (name),
    key           TEXT    NOT NULL,
    added_at_ms   INTEGER NOT NULL,
    revoked_at_ms INTEGER,
    reason        TEXT,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;

-- Of a token's secret only the hash is here. `user` is who it belongs to; one that a trusted publisher was given belongs to
-- nobody, and names its one namespace. `namespaces` is a JSON list; NULL: all that its user owns.
CREATE TABLE tokens (
    id              TEXT    NOT NULL PRIMARY KEY,
    user            INTEGER REFERENCES users (id),
    name            TEXT    NOT NULL,
    sha256          TEXT    NOT NULL,
    actions         TEXT    NOT NULL,
    namespaces      TEXT,
    created_at_ms   INTEGER NOT NULL,
    expires_at_ms   INTEGER NOT NULL,
    last_used_at_ms INTEGER,
    CHECK (user IS NOT NULL OR namespaces IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_by_user ON tokens (user);
CREATE INDEX tokens_by_expiry ON tokens (expires_at_ms);

-- Which workloads may publish to a namespace: an issuer, and what its tokens must claim (a JSON object of texts).
CREATE TABLE trusted_publishers (
    id          INTEGER PRIMARY KEY,
    namespace   TEXT    NOT NULL REFERENCES namespaces (name),
    issuer      TEXT    NOT NULL,
    claims      TEXT    NOT NULL,
    added_at_ms INTEGER NOT NULL,
    UNIQUE (namespace, issuer, claims)
) STRICT;

-- Tokens of issuers that were exchanged, until they expire by themselves.
CREATE TABLE used_jtis (
    issuer        TEXT    NOT NULL,
    jti           TEXT    NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (issuer, jti)
) STRICT, WITHOUT ROWID;

-- What was pushed: one package is one repository, whether or not a plugin is in it.

CREATE TABLE packages (
    id            INTEGER PRIMARY KEY,
    namespace     TEXT    NOT NULL REFERENCES namespaces (name),
    name          TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    UNIQUE (namespace, name)
) STRICT;

CREATE TABLE manifests (
    package       INTEGER NOT NULL REFERENCES packages (id),
    digest        TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    artifact_type TEXT,
    subject       TEXT,
    -- A JSON object of texts.
    annotations   TEXT    NOT NULL,
    body          BLOB    NOT NULL,
    pushed_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (package, digest)
) STRICT;

CREATE INDEX manifests_by_subject ON manifests (package, subject, digest) WHERE subject IS NOT NULL;

-- What a manifest needs: blobs, and for an index other manifests. Whatever is named here is not deleted.
CREATE TABLE manifest_parts (
    package  INTEGER NOT NULL,
    manifest TEXT    NOT NULL,
    part     TEXT    NOT NULL,
    PRIMARY KEY (package, manifest, part),
    FOREIGN KEY (package, manifest) REFERENCES manifests (package, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_parts_by_part ON manifest_parts (part);

-- Who pushed or mounted a blob lately: nobody may delete what another has just pushed.
CREATE TABLE pushes (
    blob      TEXT    NOT NULL,
    namespace TEXT    NOT NULL,
    at_ms     INTEGER NOT NULL,
    PRIMARY KEY (blob, namespace)
) STRICT, WITHOUT ROWID;

CREATE INDEX pushes_by_time ON pushes (at_ms);

-- The versions among them never move.
CREATE TABLE tags (
    package       INTEGER NOT NULL REFERENCES packages (id),
    tag           TEXT    NOT NULL,
    manifest      TEXT    NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (package, tag),
    FOREIGN KEY (package, manifest) REFERENCES manifests (package, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX tags_by_manifest ON tags (package, manifest);

-- What is published.

-- `line` is the line of the index; the columns beside it are what lists and searches ask for. `descriptor` is what the
-- component said when it was asked to describe itself.
CREATE TABLE releases (
    id              INTEGER PRIMARY KEY,
    package         INTEGER NOT NULL REFERENCES packages (id),
    version         TEXT    NOT NULL,
    manifest        TEXT    NOT NULL,
    digest          TEXT    NOT NULL,
    size            INTEGER NOT NULL,
    kinds           TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    published_at_ms INTEGER NOT NULL,
    line            TEXT    NOT NULL,
    descriptor      TEXT    NOT NULL,
    -- The digest of its README's Markdown.
    readme          TEXT,
    UNIQUE (package, version),
    FOREIGN KEY (package, manifest) REFERENCES manifests (package, digest)
) STRICT;

CREATE INDEX releases_by_manifest ON releases (package, manifest);
CREATE INDEX releases_by_digest ON releases (digest, status);
CREATE INDEX releases_by_time ON releases (published_at_ms DESC);

-- What a page shows, as sanitised HTML: the README, and a JSON object with the documentation of each step type.
CREATE TABLE pages (
    release INTEGER NOT NULL PRIMARY KEY REFERENCES releases (id),
    readme  TEXT,
    docs    TEXT    NOT NULL
) STRICT;

-- The index documents as they are served. `serial` is the one at which it became what it is.
CREATE TABLE documents (
    package INTEGER NOT NULL PRIMARY KEY REFERENCES packages (id),
    body    TEXT    NOT NULL,
    etag    TEXT    NOT NULL,
    digest  TEXT    NOT NULL,
    bin     TEXT    NOT NULL,
    serial  INTEGER NOT NULL
) STRICT;

CREATE INDEX documents_by_bin ON documents (bin);

-- The snapshot. What is signed follows from this and from the registry's key, so no signature is kept.
CREATE TABLE snapshot (
    id            INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    serial        INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

INSERT INTO snapshot VALUES (1, 0, 0);

-- One bin of each id is current; the others stay a while for those who read between two publications.
CREATE TABLE bins (
    digest        TEXT NOT NULL PRIMARY KEY,
    bin           TEXT NOT NULL,
    body          TEXT NOT NULL,
    retired_at_ms INTEGER
) STRICT;

CREATE UNIQUE INDEX bins_current ON bins (bin) WHERE retired_at_ms IS NULL;
CREATE INDEX bins_retired ON bins (retired_at_ms) WHERE retired_at_ms IS NOT NULL;

-- The market: one row for each package with a release that may be used, and for each native entry, which is an entry of an
-- imported index: searchable, not installable here. It is made anew with whatever it says; the latest has the greatest id.
-- `facets` is one `facet=value` a line; `native` is the entry's page as JSON.
CREATE TABLE market (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT    NOT NULL UNIQUE,
    package         INTEGER UNIQUE REFERENCES packages (id),
    release         INTEGER REFERENCES releases (id),
    native          TEXT,
    facets          TEXT    NOT NULL,
    downloads       INTEGER NOT NULL DEFAULT 0,
    published_at_ms INTEGER NOT NULL,
    CHECK ((package IS NULL) = (release IS NULL) AND (package IS NULL) = (native IS NOT NULL))
) STRICT;

CREATE INDEX market_by_downloads ON market (downloads DESC, name);
CREATE INDEX market_by_time ON market (published_at_ms DESC, name);
CREATE INDEX market_natives ON market (id) WHERE native IS NOT NULL;

-- Under the market's ids. `facets` holds a word for each facet and value, which no typed word is.
CREATE VIRTUAL TABLE market_search USING fts5 (
    name, steps, keywords, summary, readme, facets,
    content = '', contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 2",
    prefix = '1 2 3'
);

-- The words that there are, for whoever mistyped one.
CREATE VIRTUAL TABLE market_words USING fts5vocab (market_search, row);

-- Who provides a step type.
CREATE TABLE market_steps (
    step  TEXT    NOT NULL,
    entry INTEGER NOT NULL REFERENCES market (id) ON DELETE CASCADE,
    PRIMARY KEY (step, entry)
) STRICT, WITHOUT ROWID;

CREATE INDEX market_steps_by_entry ON market_steps (entry);

-- Who needs a plugin, which is named as text: it may be in another registry.
CREATE TABLE market_needs (
    needed TEXT    NOT NULL,
    entry  INTEGER NOT NULL REFERENCES market (id) ON DELETE CASCADE,
    PRIMARY KEY (needed, entry)
) STRICT, WITHOUT ROWID;

CREATE INDEX market_needs_by_entry ON market_needs (entry);

-- `day` counts from 1970-01-01.
CREATE TABLE downloads (
    release INTEGER NOT NULL REFERENCES releases (id),
    day     INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (release, day)
) STRICT, WITHOUT ROWID;

-- What was done.

CREATE TABLE audit (
    id        INTEGER PRIMARY KEY,
    at_ms     INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    token     TEXT,
    ip        TEXT,
    action    TEXT    NOT NULL,
    namespace TEXT,
    subject   TEXT    NOT NULL,
    detail    TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX audit_by_namespace ON audit (namespace, id);

CREATE TABLE notices (
    id      INTEGER PRIMARY KEY,
    user    INTEGER NOT NULL REFERENCES users (id),
    at_ms   INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    words   TEXT    NOT NULL
) STRICT;

CREATE INDEX notices_by_user ON notices (user, id);

-- Work for later. One row for each kind and payload; `leased_until_ms` is set while somebody does it, so that work whose doer
-- died is done again.
CREATE TABLE jobs (
    kind            TEXT    NOT NULL,
    payload         TEXT    NOT NULL DEFAULT '',
    run_at_ms       INTEGER NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    leased_until_ms INTEGER,
    last_error      TEXT,
    PRIMARY KEY (kind, payload)
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_by_time ON jobs (run_at_ms);
