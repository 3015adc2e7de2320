-- Problems, their immutable versions, imports of packages and what they check.

CREATE TABLE problems (
    id                UUID PRIMARY KEY,
    slug              TEXT NOT NULL,
    title             TEXT NOT NULL,
    -- `lower(title || ' ' || slug)`, lower-cased by us, because SQLite only knows ASCII.
    search            TEXT NOT NULL,
    visibility        TEXT NOT NULL CHECK (visibility IN ('draft', 'private', 'public')),
    tags              TEXT NOT NULL,
    difficulty        BIGINT NOT NULL,
    owner_id          UUID NOT NULL,
    authors           TEXT NOT NULL,
    -- The `uuid` of the package it was made from.
    package_id        TEXT,
    -- 0 = none.
    published_version BIGINT NOT NULL DEFAULT 0,
    last_version      BIGINT NOT NULL DEFAULT 0,
    version           BIGINT NOT NULL,
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    deleted_at        TIMESTAMPTZ
);
-- A deleted problem gives its slug free.
CREATE UNIQUE INDEX problems_slug ON problems (slug) WHERE deleted_at IS NULL;
CREATE INDEX problems_order ON problems (slug, id);
CREATE INDEX problems_package ON problems (owner_id, package_id);
CREATE INDEX problems_deleted ON problems (deleted_at);

CREATE TABLE problem_tags (
    problem_id UUID NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
    tag        TEXT NOT NULL,
    PRIMARY KEY (tag, problem_id)
);
CREATE INDEX problem_tags_problem ON problem_tags (problem_id);

CREATE TABLE versions (
    problem_id    UUID NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
    version       BIGINT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('verifying', 'verified', 'rejected')),
    -- NULL while it is being found.
    time_limit_us BIGINT,
    manifest      TEXT NOT NULL,
    -- What of the manifest every list shows.
    summary       TEXT NOT NULL,
    digest        TEXT NOT NULL,
    import_id     UUID NOT NULL,
    test_count    BIGINT NOT NULL,
    sample_count  BIGINT NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (problem_id, version)
);

CREATE TABLE statements (
    problem_id UUID NOT NULL,
    version    BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    language   TEXT NOT NULL,
    title      TEXT NOT NULL,
    html       TEXT NOT NULL,
    markdown   TEXT NOT NULL,
    PRIMARY KEY (problem_id, version, position),
    FOREIGN KEY (problem_id, version) REFERENCES versions (problem_id, version) ON DELETE CASCADE
);

CREATE TABLE imports (
    id         UUID PRIMARY KEY,
    problem_id UUID NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
    version    BIGINT NOT NULL,
    user_id    UUID NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('verifying', 'succeeded', 'failed')),
    publish    BOOLEAN NOT NULL,
    findings   TEXT NOT NULL,
    -- Rises with every change; also what concurrent results of checks queue on.
    revision   BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    done_at    TIMESTAMPTZ
);
CREATE INDEX imports_user ON imports (user_id, created_at, id);
CREATE INDEX imports_problem ON imports (problem_id);

CREATE TABLE checks (
    id           UUID PRIMARY KEY,
    import_id    UUID NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    position     BIGINT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('solution', 'input_validator', 'outputs')),
    file         TEXT NOT NULL,
    -- What the judge runs and what must come of it.
    spec         TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'requested', 'done')),
    -- The time limit it was requested with; 0 = none.
    limit_us     BIGINT NOT NULL,
    -- The results of single tests.
    runs         TEXT NOT NULL,
    actual       TEXT NOT NULL,
    passed       BOOLEAN NOT NULL,
    cpu_time_us  BIGINT NOT NULL,
    memory_bytes BIGINT NOT NULL,
    message      TEXT NOT NULL
);
CREATE INDEX checks_import ON checks (import_id, position);

-- Which versions need an object.
CREATE TABLE object_refs (
    digest     TEXT NOT NULL,
    problem_id UUID NOT NULL,
    version    BIGINT NOT NULL,
    PRIMARY KEY (digest, problem_id, version),
    FOREIGN KEY (problem_id, version) REFERENCES versions (problem_id, version) ON DELETE CASCADE
);
CREATE INDEX object_refs_version ON object_refs (problem_id, version);

-- Objects that are about to be needed: written before the version that names them.
CREATE TABLE object_pins (
    digest     TEXT NOT NULL,
    pin_id     UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (digest, pin_id)
);
CREATE INDEX object_pins_pin ON object_pins (pin_id);
