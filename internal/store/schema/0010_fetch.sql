-- +goose Up

-- What mirrored logs name, and whether it is held here (package holdings).
CREATE TABLE holding_log (
    id            BIGINT   NOT NULL PRIMARY KEY,
    origin        bytetext NOT NULL UNIQUE,
    next_idx      BIGINT   NOT NULL, -- first entry that was not looked at
    statements    BIGINT   NOT NULL, -- entries below it behind which one stands
    held          BIGINT   NOT NULL, -- of these, statements held
    envelope_size BIGINT   NOT NULL, -- bytes of these
    content_size  BIGINT   NOT NULL  -- bytes of content that was fetched
);

-- kind: 0 the envelope behind an entry, 1 public content that a release names.
-- state: 0 wanted, 1 held, 2 passed over (no room, or of another access class).
-- stage: 0 nothing to say, 1 late and not reported, 2 reported as withheld,
-- 3 came after its report, 4 that is reported too.
CREATE TABLE holding_item (
    log_id   BIGINT NOT NULL,
    idx      BIGINT NOT NULL,
    kind     BIGINT NOT NULL,
    sha256   BLOB   NOT NULL, -- of an envelope its leaf hash, else of the content
    size     BIGINT NOT NULL, -- as the release says; of an envelope 0 until it is held
    state    BIGINT NOT NULL,
    stage    BIGINT NOT NULL,
    envelope BLOB,            -- digest, of an envelope that is held
    since    BIGINT NOT NULL, -- when it was first asked for; 0: never
    asked    BIGINT NOT NULL,
    next_try BIGINT NOT NULL,
    places   TEXT   NOT NULL, -- who was asked, JSON
    arrived  BIGINT NOT NULL, -- 0: it did not
    report   BLOB,            -- digest of the envelope of the newest report
    PRIMARY KEY (log_id, idx, kind, sha256)
);
CREATE INDEX holding_item_due ON holding_item (log_id, kind, next_try) WHERE state = 0;
CREATE INDEX holding_item_stage ON holding_item (log_id, stage, idx) WHERE stage > 0;
CREATE INDEX holding_item_passed ON holding_item (log_id) WHERE state = 2;
CREATE INDEX holding_item_content ON holding_item (log_id, sha256) WHERE kind = 1;

-- Reports that were signed and are perhaps not logged yet.
CREATE TABLE holding_report (
    envelope BLOB   NOT NULL PRIMARY KEY,
    made     BIGINT NOT NULL
);
