-- +goose Up

-- Evidence that logs have signed two histories (docs/spec/fork.md). Signed
-- texts, verified before they are kept.
CREATE TABLE fork_evidence (
    digest   BLOB   NOT NULL PRIMARY KEY,
    origin   TEXT   NOT NULL,
    evidence BLOB   NOT NULL,
    kind     TEXT   NOT NULL,
    found    BIGINT NOT NULL,
    accepted BIGINT,          -- when an operator accepted it; NULL until then
    reason   TEXT   NOT NULL  -- given with it
);
CREATE INDEX fork_evidence_origin ON fork_evidence (origin);

-- Checkpoints of logs that other members showed us and that are ahead of what
-- we have: compared when our copy has come as far.
CREATE TABLE fork_ahead (
    origin     TEXT   NOT NULL,
    peer       TEXT   NOT NULL,
    size       BIGINT NOT NULL,
    root       BLOB   NOT NULL,
    checkpoint BLOB   NOT NULL,
    PRIMARY KEY (origin, peer, size, root)
);
