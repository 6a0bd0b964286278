-- +goose Up

-- How far a witness has come, to compare with what it keeps outside of the
-- database (internal/witness, DESIGN.md): one row for each node's directory.
CREATE TABLE witness_state (
    id        BLOB    NOT NULL PRIMARY KEY, -- of the file in the directory
    growths   BIGINT  NOT NULL, -- how often any log was cosigned at a larger size
    behind    BOOLEAN NOT NULL, -- this database was found to be older than what was signed
    recovered BIGINT  NOT NULL, -- when an operator recovered it; 0: never
    reason    TEXT    NOT NULL  -- given with that
);
