-- +goose Up

-- Where each leaf stands in the node's own log. A row is written before the
-- leaf goes to the log, with the index that it will get; what stands at or
-- beyond ledger_state.size may still change (internal/ledger/DESIGN.md).
CREATE TABLE ledger_entry (
    hash BLOB   NOT NULL PRIMARY KEY, -- RFC 6962 leaf hash
    idx  BIGINT NOT NULL UNIQUE
);

-- How much of the log is known to be published: its size and root. Each process
-- that opens the log takes the next epoch; one with an older epoch writes nothing.
CREATE TABLE ledger_state (
    id     BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    origin TEXT   NOT NULL,
    size   BIGINT NOT NULL,
    root   BLOB   NOT NULL,
    epoch  BIGINT NOT NULL
);
