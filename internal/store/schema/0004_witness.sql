-- +goose Up

-- Logs that the node cosigns, and how far (internal/witness). size and root are
-- those of the newest checkpoint that was cosigned; they change in one statement
-- that names their old values, before the cosignature leaves the house.
CREATE TABLE witness_log (
    origin_hash BLOB     NOT NULL PRIMARY KEY, -- SHA-256 of the origin
    origin      bytetext NOT NULL UNIQUE,
    vkeys       TEXT     NOT NULL, -- one a line
    note        TEXT     NOT NULL, -- for operators
    per_day     BIGINT   NOT NULL, -- checkpoints that it may have cosigned; 0 is the default
    added       BIGINT   NOT NULL,
    size        BIGINT   NOT NULL,
    root        BLOB     NOT NULL,
    checkpoint  BLOB,              -- with the log's signatures and ours; NULL until one was cosigned
    grown       BIGINT   NOT NULL, -- how often size has changed
    cosigned_at BIGINT   NOT NULL, -- 0 until then
    paused      BOOLEAN  NOT NULL,
    forked      BOOLEAN  NOT NULL, -- there is evidence that no operator has accepted
    reason      TEXT     NOT NULL  -- given with the last pause or resumption
);

-- The last checkpoints cosigned for each log, without our signatures: a ring.
CREATE TABLE witness_view (
    origin_hash BLOB   NOT NULL,
    slot        BIGINT NOT NULL,
    size        BIGINT NOT NULL,
    root        BLOB   NOT NULL,
    checkpoint  BLOB   NOT NULL,
    PRIMARY KEY (origin_hash, slot)
);
CREATE INDEX witness_view_size ON witness_view (origin_hash, size);

-- What logs have signed that cannot be true together (kind 'fork'), or that was
-- sent with a proof that does not hold (kind 'suspect'). Signed texts.
CREATE TABLE witness_evidence (
    origin_hash BLOB   NOT NULL,
    digest      BLOB   NOT NULL, -- of kind and what the two checkpoints say
    kind        TEXT   NOT NULL,
    size        BIGINT NOT NULL, -- of b
    root        BLOB   NOT NULL, -- of b
    a           BLOB   NOT NULL, -- what was cosigned
    b           BLOB   NOT NULL,
    seen        BIGINT NOT NULL, -- when
    accepted    BIGINT,          -- when an operator has seen it; NULL until then
    PRIMARY KEY (origin_hash, digest)
);
CREATE INDEX witness_evidence_size ON witness_evidence (origin_hash, size);
