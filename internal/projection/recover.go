package projection

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// recoverBatch is how many documents are looked at between two transactions.
const recoverBatch = 1024

// Recover fills the journal of submissions from the content store, for a
// database that was lost: every public document there that is a statement
// signed by one of keys is noted. It returns how many were not known before;
// what the journal knows is not read.
func (p *Projection) Recover(ctx context.Context, keys []key.Public) (int, error) {
	found := 0
	batches := make(chan []digest.Digest)
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		defer close(batches)
		return p.walk(ctx, batches)
	})
	work.Go(func() error { // while the next ones are listed
		for some := range batches {
			n, err := p.recover(ctx, some, keys)
			if found += n; err != nil {
				return err
			}
		}
		return nil
	})
	if err := work.Wait(); err != nil {
		return found, fmt.Errorf("looking through the content store: %w", err)
	}
	return found, nil
}

// walk gives the digests of what may be statements, some at a time.
func (p *Projection) walk(ctx context.Context, batches chan<- []digest.Digest) error {
	var some []digest.Digest
	give := func() error {
		if len(some) == 0 {
			return nil
		}
		select {
		case batches <- some:
			some = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := p.Content.Walk(ctx, func(info content.Info) error {
		if info.Class != content.Public || info.Size > statement.MaxSize {
			return nil
		}
		if some = append(some, info.Digest); len(some) < recoverBatch {
			return nil
		}
		return give()
	})
	if err != nil {
		return err
	}
	return give()
}

// sqlNoted takes digests as one blob, as sqlJournal does.
const sqlNoted = `WITH RECURSIVE part(i) AS (
	SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM part WHERE i + 1 < CAST($2 AS BIGINT))
SELECT part.i FROM part
WHERE EXISTS (SELECT 1 FROM submission AS s
	WHERE s.envelope = substr(CAST($1 AS blob), CAST(part.i * 32 + 1 AS INTEGER), 32))`

// recover looks at some documents and notes those that are statements, as ones
// that may be in the log or not: idx -1 keeps them from being submitted anew
// without anybody's wish.
func (p *Projection) recover(ctx context.Context, some []digest.Digest, keys []key.Public) (int, error) {
	if len(some) == 0 {
		return 0, nil
	}
	noted, err := p.noted(ctx, some)
	if err != nil {
		return 0, err
	}
	leaves := make([]tlog.Hash, len(some))
	statements := make([]bool, len(some))
	_, err = parallel(len(some), func(i int) (bool, error) {
		if noted[i] {
			return true, nil
		}
		b, err := p.Content.ReadPublic(ctx, some[i], statement.MaxSize)
		if errors.Is(err, content.ErrCorrupt) || errors.Is(err, content.ErrUnknown) {
			return true, nil // doctor reports it
		} else if err != nil {
			return false, fmt.Errorf("reading %s: %w", some[i], err)
		}
		leaves[i], statements[i] = leafOf(b, keys)
		return true, nil
	})
	found := trueOnes(statements)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return len(found), p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, i := range found {
			if _, err := tx.ExecContext(ctx, `INSERT INTO submission (leaf_hash, envelope, idx) VALUES ($1, $2, -1)
				ON CONFLICT (leaf_hash) DO NOTHING`, leaves[i][:], some[i][:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// trueOnes returns the places of what is true.
func trueOnes(all []bool) (out []int) {
	for i, b := range all {
		if b {
			out = append(out, i)
		}
	}
	return out
}

// noted returns which envelopes the journal knows.
func (p *Projection) noted(ctx context.Context, some []digest.Digest) ([]bool, error) {
	var hashes []byte
	for _, d := range some {
		hashes = append(hashes, d[:]...)
	}
	out := make([]bool, len(some))
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return query(ctx, tx, sqlNoted, []any{hashes, len(some)}, func(scan func(...any) error) error {
			var i int64
			if err := scan(&i); err != nil {
				return err
			}
			out[i] = true
			return nil
		})
	})
	return out, err
}

// leafOf returns the leaf hash of b where it is a statement signed by one of keys.
func leafOf(b []byte, keys []key.Public) (tlog.Hash, bool) {
	env, err := statement.Parse(b)
	if err != nil {
		return tlog.Hash{}, false
	}
	for _, k := range keys {
		if env.KeyID() != k.ID() || env.Verify(k) != nil {
			continue
		}
		if leaf, err := env.Leaf(k); err == nil {
			return tlog.LeafHash(leaf), true
		}
	}
	return tlog.Hash{}, false
}
