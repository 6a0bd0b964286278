package release

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
)

// Named is what a release statement claims, of a statement that was verified.
type Named struct {
	Statement digest.Digest // of the envelope
	Product   string
	Channel   string
	Version   string
	Seq       int64          // 0 without a channel
	Previous  *digest.Digest // of the release before it on the channel
}

// claimRows is how many claims go into one statement; the last ones go one by one.
const claimRows = 16

// AdmitAll is [Admit] for many releases, in the order of the log, by what their
// statements say. Where it returns [ErrConflict] nothing of the transaction may be
// kept: some of them have to be admitted one by one.
func AdmitAll(ctx context.Context, tx *store.Tx, all []Named) error {
	claims, err := unclaimed(ctx, tx, all)
	if err != nil {
		return err
	}
	for n := claimRows; n > 0; n /= claimRows {
		for ; len(claims) >= n; claims = claims[n:] {
			if err := insertClaims(ctx, tx, claims[:n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// slotName is a place on a channel.
type slotName struct {
	product, channel string
	seq              int64
}

// unclaimed returns the claims of the statements that have none yet, each of which
// follows the one before it on its channel.
func unclaimed(ctx context.Context, tx *store.Tx, all []Named) (out []claim, err error) {
	known, err := claimed(ctx, tx, all)
	if err != nil {
		return nil, err
	}
	fresh, seen := map[slotName]*claim{}, map[digest.Digest]bool{}
	for i, r := range all {
		if known[i] || seen[r.Statement] {
			continue
		}
		seen[r.Statement] = true
		c := claim{statement: r.Statement, product: r.Product, channel: r.Channel, seq: r.Seq, version: r.Version, index: -1}
		before := fresh[slotName{c.product, c.channel, c.seq - 1}]
		if before == nil || r.Previous == nil || *r.Previous != before.statement {
			if err := c.follows(ctx, tx, r.Previous); err != nil {
				return nil, err
			}
		}
		fresh[slotName{c.product, c.channel, c.seq}] = &c
		out = append(out, c)
	}
	return out, nil
}

// sqlClaimed takes any number of digests as one blob and numbers its parts from 0.
const sqlClaimed = `WITH RECURSIVE part(i) AS (
	SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM part WHERE i + 1 < CAST($2 AS BIGINT))
SELECT part.i FROM part CROSS JOIN release_claim AS c
WHERE c.statement = substr(CAST($1 AS blob), CAST(part.i * 32 + 1 AS INTEGER), 32)`

// claimed returns which statements have their claims.
func claimed(ctx context.Context, tx *store.Tx, all []Named) (known []bool, err error) {
	known = make([]bool, len(all))
	if len(all) == 0 {
		return known, nil
	}
	var digests []byte
	for _, r := range all {
		digests = append(digests, r.Statement[:]...)
	}
	rows, err := tx.QueryContext(ctx, sqlClaimed, digests, len(all))
	if err != nil {
		return nil, fmt.Errorf("reading what was released: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var i int64
		if err := rows.Scan(&i); err != nil {
			return nil, fmt.Errorf("reading what was released: %w", err)
		}
		known[i] = true
	}
	return known, rows.Err()
}

// insertClaims writes claims in one statement, all of them or ErrConflict.
func insertClaims(ctx context.Context, tx *store.Tx, claims []claim) error {
	var args []any
	for _, c := range claims {
		args = append(args, c.statement[:], c.product, c.channel, sql.NullInt64{Int64: c.seq, Valid: c.channel != ""}, c.version)
	}
	res, err := tx.ExecAgain(ctx, `INSERT INTO release_claim (statement, product, channel, seq, version) VALUES `+
		tx.Values(len(claims), 5)+` ON CONFLICT DO NOTHING`, args...)
	if err != nil {
		return fmt.Errorf("claiming names of releases: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != int64(len(claims)) {
		return errors.Join(fmt.Errorf("one of %d releases: %w", len(claims), ErrConflict), err)
	}
	return nil
}
