-- +goose Up

-- The first version of the node's circle: its trust in all that follows.
CREATE TABLE circle_root (
    one       BIGINT NOT NULL PRIMARY KEY, -- always 1
    statement blob   NOT NULL              -- SHA-256 of the envelope
);

-- What counts in the circle: statements with one place in a log each.
CREATE TABLE circle_item (
    statement blob NOT NULL PRIMARY KEY,   -- SHA-256 of the envelope
    envelope  blob NOT NULL,
    proof     blob NOT NULL                -- a tlog-proof
);

-- What the node says of its circle, from before it is logged until it is kept.
CREATE TABLE circle_said (
    statement blob NOT NULL PRIMARY KEY    -- SHA-256 of the envelope
);
