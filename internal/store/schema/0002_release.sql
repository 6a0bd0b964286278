-- +goose Up

-- Names that releases have taken (internal/release, Admit). A row is written in
-- the transaction that precedes logging and never changes, but for idx, which
-- is NULL until the log has given an index. Without a channel, channel is the
-- empty text and seq is NULL.
CREATE TABLE release_claim (
    statement BLOB   NOT NULL PRIMARY KEY, -- digest of the envelope
    product   TEXT   NOT NULL,
    channel   TEXT   NOT NULL,
    seq       BIGINT,
    version   TEXT   NOT NULL,
    idx       BIGINT,
    UNIQUE (product, channel, seq),
    UNIQUE (product, channel, version)
);

-- Statements that were signed here, written before they are submitted, so that
-- the same release is submitted as the same statement after a crash. The
-- fingerprint covers what is released but not seq, previous and time.
CREATE TABLE release_draft (
    fingerprint BLOB NOT NULL PRIMARY KEY,
    statement   BLOB NOT NULL -- digest of the envelope, which is content
);

-- Digests of files that were hashed before. A row counts only while the file
-- has the same identity and the content store holds the digest.
CREATE TABLE release_file (
    path   BLOB   NOT NULL PRIMARY KEY, -- absolute, as bytes
    device BIGINT NOT NULL,
    inode  BIGINT NOT NULL,
    size   BIGINT NOT NULL,
    mtime  BIGINT NOT NULL, -- nanoseconds
    ctime  BIGINT NOT NULL, -- nanoseconds
    sha256 BLOB   NOT NULL,
    hashed BIGINT NOT NULL  -- microseconds
);

-- Snapshots of git commits that were made before.
CREATE TABLE release_snapshot (
    origin BLOB NOT NULL PRIMARY KEY, -- digest of snapshot format and commit
    sha256 BLOB NOT NULL
);
