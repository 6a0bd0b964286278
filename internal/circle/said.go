package circle

import (
	"context"
	"errors"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
)

// Say notes, in the transaction that precedes logging, that the node says
// something of its circle. Until [Store.Kept] it is among what [Store.Said] returns, so
// that a crash between logging and keeping loses nothing.
func Say(ctx context.Context, tx *store.Tx, d digest.Digest) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO circle_said (statement) VALUES ($1) ON CONFLICT (statement) DO NOTHING`, d[:])
	if err != nil {
		return fmt.Errorf("noting a statement of the circle: %w", err)
	}
	return nil
}

// Kept notes that what the node has said is in the circle.
func (s Store) Kept(ctx context.Context, d digest.Digest) error {
	return s.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM circle_said WHERE statement = $1`, d[:]); err != nil {
			return fmt.Errorf("noting a statement of the circle: %w", err)
		}
		return nil
	})
}

// Said returns what was to be said and is not known to be kept.
func (s Store) Said(ctx context.Context) (out []digest.Digest, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT statement FROM circle_said ORDER BY statement LIMIT 64`)
		if err != nil {
			return fmt.Errorf("reading what was to be said of the circle: %w", err)
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			var d digest.Digest
			if copy(d[:], b) != len(d) {
				return fmt.Errorf("reading what was to be said of the circle: %d bytes", len(b))
			}
			out = append(out, d)
		}
		return rows.Err()
	})
	return out, err
}
