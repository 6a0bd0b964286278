-- +goose Up

-- What a node notes for itself of rebuilds (package farm, Docket). Not in the
-- queue's tables, because those may lie in a database that several nodes share.

-- Releases that are to be rebuilt here. id: of the order; 0 while something that
-- it needs is missing, -1 where it was said before this database was made.
CREATE TABLE docket_release (
    released BLOB     NOT NULL PRIMARY KEY, -- digest of the envelope
    origin   bytetext NOT NULL,             -- of the log that has it
    idx      BIGINT   NOT NULL,             -- where
    since    BIGINT   NOT NULL,             -- first seen
    id       BIGINT   NOT NULL
);
CREATE INDEX docket_release_wanted ON docket_release (idx, released) WHERE id = 0;

-- Signed provenances. A signature is not the same twice: the first one stays.
CREATE TABLE docket_draft (
    released BLOB   NOT NULL,
    run      BIGINT NOT NULL,
    envelope BLOB   NOT NULL,
    PRIMARY KEY (released, run)
);

-- What the own log says of rebuilds. All but acked is computed from the log.
CREATE TABLE docket_said (
    idx      BIGINT   NOT NULL PRIMARY KEY, -- in the own log
    released BLOB     NOT NULL,
    origin   bytetext NOT NULL,
    product  bytetext NOT NULL,
    version  TEXT     NOT NULL,
    outcome  TEXT     NOT NULL,
    detail   TEXT     NOT NULL,
    at       BIGINT   NOT NULL,
    streak   BIGINT   NOT NULL, -- so many releases of the product before this one, in a row, were identical
    acked    BIGINT   NOT NULL  -- when an operator acknowledged the alert; 0: nobody has
);
CREATE INDEX docket_said_product ON docket_said (origin, product, idx);
CREATE INDEX docket_said_released ON docket_said (released, idx);
