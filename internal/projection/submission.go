package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Submitted notes, in the transaction that precedes logging, that the envelope
// stands behind the leaf. The envelope must be durable in the content store
// before that transaction commits. Noting the same again does nothing.
func (p *Projection) Submitted(ctx context.Context, tx *store.Tx, leaf tlog.Hash, envelope digest.Digest) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO submission (leaf_hash, envelope) VALUES ($1, $2)
		ON CONFLICT (leaf_hash) DO NOTHING`, leaf[:], envelope[:])
	if err != nil {
		return fmt.Errorf("noting the submission of %s: %w", envelope, err)
	}
	return nil
}

// Pending returns the envelopes, at most limit, that were taken and of which
// it is not known that the log has them. Handing them to the log again is safe.
func (p *Projection) Pending(ctx context.Context, limit int) ([]digest.Digest, error) {
	var out []digest.Digest
	err := p.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT envelope FROM submission WHERE idx IS NULL
			ORDER BY leaf_hash LIMIT $1`, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			d, err := toDigest(b)
			if err != nil {
				return err
			}
			out = append(out, d)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("reading pending submissions: %w", err)
	}
	return out, nil
}

// settle notes that the log has the leaf.
func settle(ctx context.Context, tx *store.Tx, leaf tlog.Hash, index int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE submission SET idx = $1 WHERE leaf_hash = $2 AND idx IS NULL`, index, leaf[:])
	if err != nil {
		return fmt.Errorf("settling the submission: %w", err)
	}
	return nil
}

// envelopeOf returns which envelope stands behind a leaf, or ErrUnknown.
func (p *Projection) envelopeOf(ctx context.Context, leaf tlog.Hash) (digest.Digest, error) {
	var b []byte
	err := p.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT envelope FROM submission WHERE leaf_hash = $1`, leaf[:]).Scan(&b)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return digest.Digest{}, ErrUnknown
	} else if err != nil {
		return digest.Digest{}, fmt.Errorf("looking for the statement behind an entry: %w", err)
	}
	return toDigest(b)
}

func toDigest(b []byte) (digest.Digest, error) {
	var d digest.Digest
	if len(b) == 0 {
		return d, nil
	}
	if len(b) != digest.Size {
		return d, fmt.Errorf("a digest in the database has %d bytes, want %d: run `vitrine doctor`", len(b), digest.Size)
	}
	copy(d[:], b)
	return d, nil
}
