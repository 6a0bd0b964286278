-- +goose Up

-- Copies of other organisations' logs (internal/mirror). size, root and
-- checkpoint are the mirror checkpoint, with the log's signatures and ours; next
-- is the first entry that is not on the disk. Both only grow.
CREATE TABLE mirror_log (
    origin_hash BLOB     NOT NULL PRIMARY KEY, -- SHA-256 of the origin
    origin      bytetext NOT NULL UNIQUE,
    added       BIGINT   NOT NULL,
    next_entry  BIGINT   NOT NULL,
    bytes       BIGINT   NOT NULL, -- of the entries
    size        BIGINT   NOT NULL,
    checkpoint  BLOB,              -- NULL until there is one
    signed_at   BIGINT   NOT NULL  -- 0 until then
);

-- The key that authenticates tickets: one row.
CREATE TABLE mirror_secret (
    id     BIGINT NOT NULL PRIMARY KEY,
    secret BLOB   NOT NULL
);

-- Pending checkpoints: the tables of migration 4 with another name, because the
-- same code fills them.
CREATE TABLE pending_log (
    origin_hash BLOB     NOT NULL PRIMARY KEY,
    origin      bytetext NOT NULL UNIQUE,
    vkeys       TEXT     NOT NULL,
    note        TEXT     NOT NULL,
    per_day     BIGINT   NOT NULL,
    added       BIGINT   NOT NULL,
    size        BIGINT   NOT NULL,
    root        BLOB     NOT NULL,
    checkpoint  BLOB,
    grown       BIGINT   NOT NULL,
    cosigned_at BIGINT   NOT NULL,
    paused      BOOLEAN  NOT NULL,
    forked      BOOLEAN  NOT NULL,
    reason      TEXT     NOT NULL
);

CREATE TABLE pending_view (
    origin_hash BLOB   NOT NULL,
    slot        BIGINT NOT NULL,
    size        BIGINT NOT NULL,
    root        BLOB   NOT NULL,
    checkpoint  BLOB   NOT NULL,
    PRIMARY KEY (origin_hash, slot)
);
CREATE INDEX pending_view_size ON pending_view (origin_hash, size);

CREATE TABLE pending_evidence (
    origin_hash BLOB   NOT NULL,
    digest      BLOB   NOT NULL,
    kind        TEXT   NOT NULL,
    size        BIGINT NOT NULL,
    root        BLOB   NOT NULL,
    a           BLOB   NOT NULL,
    b           BLOB   NOT NULL,
    seen        BIGINT NOT NULL,
    accepted    BIGINT,
    PRIMARY KEY (origin_hash, digest)
);
CREATE INDEX pending_evidence_size ON pending_evidence (origin_hash, size);
