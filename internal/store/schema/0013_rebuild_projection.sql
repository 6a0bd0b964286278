-- +goose Up

-- What was said of building releases again, by every log that is followed. All
-- of it is computed from logs.
CREATE TABLE projected_rebuild (
    log_id       BIGINT NOT NULL,
    idx          BIGINT NOT NULL,
    envelope     BLOB   NOT NULL,
    released     BLOB   NOT NULL, -- digest of the release's envelope
    outcome      TEXT   NOT NULL,
    engine       TEXT   NOT NULL,
    job          BLOB,
    recipe       BLOB,
    attempts     BIGINT NOT NULL,
    flaky        BIGINT NOT NULL, -- 1: the attempts do not agree
    reason       TEXT   NOT NULL, -- of the last attempt, as detail and finished
    detail       TEXT   NOT NULL,
    finished     BIGINT NOT NULL,
    explain_type TEXT   NOT NULL,
    explain_size BIGINT NOT NULL,
    explanation  BLOB,
    log_bytes    BIGINT NOT NULL, -- of the build log of the last attempt
    build_log    BLOB,
    PRIMARY KEY (log_id, idx)
);

CREATE TABLE projected_rebuilt (
    log_id  BIGINT NOT NULL,
    idx     BIGINT NOT NULL,
    pos     BIGINT NOT NULL,
    name    TEXT   NOT NULL,
    shipped BLOB   NOT NULL,
    rebuilt BLOB,
    outcome TEXT   NOT NULL,
    PRIMARY KEY (log_id, idx, pos)
);

-- Provenances of jobs; of others there is no more than the entry.
CREATE TABLE projected_provenance (
    log_id   BIGINT NOT NULL,
    idx      BIGINT NOT NULL,
    envelope BLOB   NOT NULL,
    released BLOB,
    job      BLOB   NOT NULL,
    engine   TEXT   NOT NULL,
    builder  TEXT   NOT NULL,
    PRIMARY KEY (log_id, idx)
);

-- The program drops these while it fills empty tables, and makes them again.
CREATE INDEX projected_rebuild_envelope ON projected_rebuild (envelope);
CREATE INDEX projected_rebuild_released ON projected_rebuild (released, log_id, idx);
CREATE INDEX projected_rebuild_finished ON projected_rebuild (finished);
CREATE INDEX projected_rebuild_explanation ON projected_rebuild (explanation);
CREATE INDEX projected_provenance_released ON projected_provenance (released, log_id, job, idx);

-- Entries that were projected before these tables were there are looked at again.
UPDATE projected_entry SET again = 2
    WHERE predicate_type IN ('https://vitrine.example/rebuild/v1', 'https://slsa.dev/provenance/v1');
