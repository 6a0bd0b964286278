-- +goose Up

-- Releases that are to be built again, and what came of it (package farm).
-- state: 0 waiting, 1 leased, 2 decided, 3 said in the log, 4 given up by an operator.
-- epoch: counts the leases; who comes with an older one is too late.
CREATE TABLE farm_order (
    id        BIGINT   NOT NULL PRIMARY KEY,
    node      bytetext NOT NULL, -- origin of the node that asked and says the outcome
    released  BLOB     NOT NULL, -- digest of the release's envelope
    origin    bytetext NOT NULL, -- of the log that has the release
    product   TEXT     NOT NULL,
    version   TEXT     NOT NULL,
    run       BIGINT   NOT NULL, -- 1, or more where an operator asked again
    body      BLOB     NOT NULL, -- JSON of the order
    priority  BIGINT   NOT NULL, -- larger is sooner
    state     BIGINT   NOT NULL,
    ready     BIGINT   NOT NULL, -- not before
    tries     BIGINT   NOT NULL, -- attempts that ended
    epoch     BIGINT   NOT NULL,
    worker    TEXT     NOT NULL, -- of the newest lease
    until     BIGINT   NOT NULL, -- its end, where state is 1
    stage     TEXT     NOT NULL, -- what it does, as last heard
    done      BIGINT   NOT NULL,
    total     BIGINT   NOT NULL, -- -1: not known
    started   BIGINT   NOT NULL, -- of the newest lease
    log_size  BIGINT   NOT NULL, -- bytes of its log
    outcome   TEXT     NOT NULL, -- of the newest attempt; '' before
    result    BLOB,              -- JSON of it
    report    BLOB,              -- explanation of it
    envelope  BLOB,              -- what is said, signed; the first to be written stays
    idx       BIGINT,            -- its index in the log of the node
    added     BIGINT   NOT NULL,
    changed   BIGINT   NOT NULL,
    UNIQUE (node, released, run)
);
CREATE INDEX farm_order_due ON farm_order (priority, id) WHERE state < 2;
CREATE INDEX farm_order_decided ON farm_order (node, id) WHERE state = 2;

CREATE TABLE farm_attempt (
    order_id BIGINT NOT NULL,
    n        BIGINT NOT NULL, -- from 1
    epoch    BIGINT NOT NULL,
    worker   TEXT   NOT NULL,
    body     BLOB   NOT NULL, -- JSON of the attempt
    outcome  TEXT   NOT NULL,
    log_size BIGINT NOT NULL,
    PRIMARY KEY (order_id, n)
);

CREATE TABLE farm_log (
    order_id BIGINT NOT NULL,
    epoch    BIGINT NOT NULL,
    start    BIGINT NOT NULL, -- offset of the first byte
    data     BLOB   NOT NULL,
    PRIMARY KEY (order_id, epoch, start)
);
