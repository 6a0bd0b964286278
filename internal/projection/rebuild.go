package projection

import (
	"context"
	"errors"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// disposable are the tables that hold nothing but what the log says.
var disposable = []string{
	`DELETE FROM projected_artifact`,
	`DELETE FROM projected_release`,
	`DELETE FROM projected_subject`,
	`DELETE FROM projected_entry`,
	`DELETE FROM projected_state`,
}

// Empty reports whether nothing was ever submitted or projected here. Where the
// log has entries, the database is a new one.
func (p *Projection) Empty(ctx context.Context) (empty bool, err error) {
	err = p.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		var n int64
		err := tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM projected_state)
			+ (SELECT COUNT(*) FROM (SELECT 1 FROM submission LIMIT 1) AS one)`).Scan(&n)
		empty = n == 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking whether the database knows the log: %w", err)
	}
	return empty, nil
}

// Rebuild empties the tables; Run or Step then fills them again from the log.
func (p *Projection) Rebuild(ctx context.Context) error {
	p.step.Lock()
	defer p.step.Unlock()
	err := p.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, q := range disposable {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("emptying the projection: %w", err)
	}
	if err := p.load(ctx); err != nil {
		return err
	}
	p.Wake()
	return nil
}

// Recover fills the journal of submissions from the content store, for a
// database that was lost: every public document there that is a statement
// signed by one of keys is noted. It returns how many it found.
func (p *Projection) Recover(ctx context.Context, keys []key.Public) (int, error) {
	found := 0
	err := p.content.Walk(ctx, func(info content.Info) error {
		if info.Class != content.Public || info.Size > statement.MaxSize {
			return nil
		}
		b, _, err := p.content.ReadAll(ctx, info.Digest, statement.MaxSize)
		if errors.Is(err, content.ErrCorrupt) || errors.Is(err, content.ErrUnknown) {
			return nil // doctor reports it
		} else if err != nil {
			return fmt.Errorf("reading %s: %w", info.Digest, err)
		}
		leaf, ok := leafOf(b, keys)
		if !ok {
			return nil
		}
		found++
		return p.recover(ctx, leaf, info.Digest)
	})
	if err != nil {
		return found, fmt.Errorf("looking through the content store: %w", err)
	}
	return found, nil
}

// recover notes a statement, if it is not noted, as one that may be in the log
// or not: idx -1 keeps it from being submitted anew without anybody's wish.
func (p *Projection) recover(ctx context.Context, leaf tlog.Hash, d digest.Digest) error {
	return p.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO submission (leaf_hash, envelope, idx) VALUES ($1, $2, -1)
			ON CONFLICT (leaf_hash) DO NOTHING`, leaf[:], d[:])
		return err
	})
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
