-- +goose Up

-- Statements that the node took, written before they are logged: which
-- envelope stands behind a leaf. idx is NULL until the log has given an index;
-- such a row is handed to the log again when the node starts.
CREATE TABLE submission (
    leaf_hash BLOB   NOT NULL PRIMARY KEY,
    envelope  BLOB   NOT NULL,
    idx       BIGINT
);
CREATE INDEX submission_envelope ON submission (envelope);
CREATE INDEX submission_pending ON submission (leaf_hash) WHERE idx IS NULL;

-- Everything below is computed from the log and may be dropped at any time.
CREATE TABLE projected_state (
    id         BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    next_idx   BIGINT NOT NULL,
    statements BIGINT NOT NULL,
    releases   BIGINT NOT NULL
);

CREATE TABLE projected_entry (
    idx            BIGINT NOT NULL PRIMARY KEY,
    kind           TEXT   NOT NULL,
    leaf_hash      BLOB   NOT NULL,
    key_id         BLOB,
    envelope       BLOB,
    predicate_type TEXT   NOT NULL,
    problem        TEXT   NOT NULL
);
CREATE INDEX projected_entry_envelope ON projected_entry (envelope);

CREATE TABLE projected_subject (
    idx    BIGINT NOT NULL,
    pos    BIGINT NOT NULL,
    name   TEXT   NOT NULL,
    sha256 BLOB,
    PRIMARY KEY (idx, pos)
);
CREATE INDEX projected_subject_sha256 ON projected_subject (sha256);

CREATE TABLE projected_release (
    idx           BIGINT NOT NULL PRIMARY KEY,
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
    source_uri    TEXT   NOT NULL
);
CREATE INDEX projected_release_envelope ON projected_release (envelope);
CREATE INDEX projected_release_product ON projected_release (product, idx);

CREATE TABLE projected_artifact (
    idx         BIGINT NOT NULL,
    pos         BIGINT NOT NULL,
    name        TEXT   NOT NULL,
    size        BIGINT NOT NULL,
    sha256      BLOB   NOT NULL,
    sbom_type   TEXT   NOT NULL,
    sbom_size   BIGINT NOT NULL,
    sbom_sha256 BLOB,
    PRIMARY KEY (idx, pos)
);
CREATE INDEX projected_artifact_sha256 ON projected_artifact (sha256, idx);
