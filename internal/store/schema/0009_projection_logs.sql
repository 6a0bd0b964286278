-- +goose Up

-- The projection follows many logs into the same tables. All of it is computed
-- from logs, so that nothing has to be carried over; the journal of submissions
-- stays as it is.
DROP TABLE projected_artifact;
DROP TABLE projected_release;
DROP TABLE projected_subject;
DROP TABLE projected_entry;
DROP TABLE projected_state;

-- Logs that are followed, and how far. id is a short name within this database
-- alone: nothing that is shown or dumped depends on it.
CREATE TABLE projected_log (
    id         BIGINT   NOT NULL PRIMARY KEY,
    origin     bytetext NOT NULL UNIQUE,
    next_idx   BIGINT   NOT NULL,
    statements BIGINT   NOT NULL,
    releases   BIGINT   NOT NULL,
    key_ids    BLOB     NOT NULL -- of the statement keys that were trusted last, 32 bytes each, in order
);

-- again: 0 settled; 1 the statement is not held, look again now and then;
-- 2 look again now.
CREATE TABLE projected_entry (
    log_id         BIGINT NOT NULL,
    idx            BIGINT NOT NULL,
    kind           TEXT   NOT NULL,
    leaf_hash      BLOB   NOT NULL,
    key_id         BLOB,
    envelope       BLOB,
    predicate_type TEXT   NOT NULL,
    problem        TEXT   NOT NULL,
    again          BIGINT NOT NULL,
    PRIMARY KEY (log_id, idx)
);
CREATE INDEX projected_entry_again ON projected_entry (log_id, again, idx) WHERE again > 0;

CREATE TABLE projected_subject (
    log_id BIGINT NOT NULL,
    idx    BIGINT NOT NULL,
    pos    BIGINT NOT NULL,
    name   TEXT   NOT NULL,
    sha256 BLOB,
    PRIMARY KEY (log_id, idx, pos)
);

CREATE TABLE projected_release (
    log_id        BIGINT NOT NULL,
    idx           BIGINT NOT NULL,
    envelope      BLOB   NOT NULL,
    key_id        BLOB   NOT NULL,
    product       TEXT   NOT NULL,
    version       TEXT   NOT NULL,
    channel       TEXT   NOT NULL,
    seq           BIGINT NOT NULL,
    previous      BLOB,
    published     BIGINT NOT NULL,
    notes         TEXT   NOT NULL,
    artifacts     BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    source_kind   TEXT   NOT NULL,
    source_access TEXT   NOT NULL,
    source_size   BIGINT NOT NULL,
    source_sha256 BLOB,
    source_commit TEXT   NOT NULL,
    source_uri    TEXT   NOT NULL,
    PRIMARY KEY (log_id, idx)
);

CREATE TABLE projected_artifact (
    log_id      BIGINT NOT NULL,
    idx         BIGINT NOT NULL,
    pos         BIGINT NOT NULL,
    name        TEXT   NOT NULL,
    size        BIGINT NOT NULL,
    sha256      BLOB   NOT NULL,
    sbom_type   TEXT   NOT NULL,
    sbom_size   BIGINT NOT NULL,
    sbom_sha256 BLOB,
    PRIMARY KEY (log_id, idx, pos)
);

-- The program drops these while it fills empty tables, and makes them again.
CREATE INDEX projected_entry_envelope ON projected_entry (envelope);
CREATE INDEX projected_subject_sha256 ON projected_subject (sha256);
CREATE INDEX projected_release_envelope ON projected_release (envelope);
CREATE INDEX projected_release_product ON projected_release (log_id, product, idx);
CREATE INDEX projected_release_published ON projected_release (published);
CREATE INDEX projected_artifact_sha256 ON projected_artifact (sha256, log_id, idx);
