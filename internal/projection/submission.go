package projection

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"

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
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
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

// Taken reports whether a leaf was submitted, and it is not known yet that the
// log has it.
func (p *Projection) Taken(ctx context.Context, leaf tlog.Hash) (bool, error) {
	n := 0
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM submission WHERE leaf_hash = $1 AND idx IS NULL`, leaf[:]).Scan(&n)
	})
	if err != nil {
		return false, fmt.Errorf("reading the journal of submissions: %w", err)
	}
	return n > 0, nil
}

// settle notes that the log has the leaves that the journal did not know of.
func settle(ctx context.Context, tx *store.Tx, facts []fact) error {
	for i := range facts {
		if !facts[i].pending {
			continue
		}
		_, err := tx.ExecContext(ctx, `UPDATE submission SET idx = $1 WHERE leaf_hash = $2 AND idx IS NULL`,
			facts[i].index, facts[i].leafHash[:])
		if err != nil {
			return fmt.Errorf("settling the submission: %w", err)
		}
	}
	return nil
}

// sqlJournal takes any number of hashes as one blob, 32 bytes each, and numbers
// its parts from 0.
const sqlJournal = `WITH RECURSIVE part(i) AS (
	SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM part WHERE i + 1 < CAST($2 AS BIGINT))
SELECT part.i, s.envelope, s.idx IS NULL FROM part CROSS JOIN submission AS s
WHERE s.leaf_hash = substr(CAST($1 AS blob), CAST(part.i * 32 + 1 AS INTEGER), 32)`

// explain finds which envelopes are said to stand behind statements.
func (f *follow) explain(ctx context.Context, facts []fact) error {
	var which []int
	for i := range facts {
		if facts[i].kind == Statement {
			which = append(which, i)
		}
	}
	switch {
	case len(which) == 0:
		return nil
	case f.source == nil:
		return f.p.journal(ctx, facts, which)
	}
	places := make([]Place, len(which))
	for n, i := range which {
		places[n] = Place{facts[i].index, facts[i].leafHash}
	}
	said, err := f.source.Envelopes(ctx, f.origin, places)
	if err == nil && len(said) != len(places) {
		err = fmt.Errorf("%d answers to %d questions", len(said), len(places))
	}
	if err != nil {
		return fmt.Errorf("asking for the statements behind entries: %w", err)
	}
	for n, i := range which {
		facts[i].said = said[n]
	}
	return nil
}

// journal is explain for the own log, on all processors: at this time nothing else
// is to be done for the batch.
func (p *Projection) journal(ctx context.Context, facts []fact, which []int) error {
	n := runtime.GOMAXPROCS(0)
	parts := slices.Collect(slices.Chunk(which, (len(which)+n-1)/n))
	_, err := parallel(len(parts), func(i int) (bool, error) { return true, p.journalPart(ctx, facts, parts[i]) })
	if err != nil {
		return fmt.Errorf("looking for the statements behind entries: %w", err)
	}
	return nil
}

// journalPart looks for some of them.
func (p *Projection) journalPart(ctx context.Context, facts []fact, which []int) error {
	hashes := make([]byte, 0, len(which)*digest.Size)
	for _, i := range which {
		hashes = append(hashes, facts[i].leafHash[:]...)
	}
	return p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.QueryContext(ctx, sqlJournal, hashes, len(which))
		if err != nil {
			return err
		}
		defer rows.Close()
		var n int64
		var b sql.RawBytes
		var pending bool
		for rows.Next() {
			if err := rows.Scan(&n, &b, &pending); err != nil {
				return err
			}
			e := &facts[which[n]]
			e.pending = pending
			if e.said, err = toDigest(b); err != nil {
				return err
			}
		}
		return rows.Err()
	})
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
