package ledger

import (
	"context"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

const (
	sqlRange = "SELECT idx, hash FROM ledger_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx"
	sqlAt    = "SELECT idx FROM ledger_entry WHERE hash = $1"
)

// compareRows compares the rows of a bundle's entries, which begin at first,
// with their leaf hashes.
func (c *checker) compareRows(ctx context.Context, first int64, hashes []tlog.Hash) error {
	if c.db == nil || len(hashes) == 0 {
		return nil
	}
	return c.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows := make(map[int64]tlog.Hash, len(hashes))
		list, err := tx.QueryContext(ctx, sqlRange, first, first+int64(len(hashes)))
		if err != nil {
			return err
		}
		err = each(list, func() error {
			var ix int64
			var h []byte
			if err := list.Scan(&ix, &h); err != nil {
				return err
			}
			c.report.Entries++
			if len(h) != hashSize {
				c.fault("database: the row of entry %d has a hash of %d bytes", ix, len(h))
				return nil
			}
			rows[ix] = tlog.Hash(h)
			return nil
		})
		if err != nil {
			return err
		}
		return c.compareEach(ctx, tx, first, hashes, rows)
	})
}

func (c *checker) compareEach(ctx context.Context, tx *store.Tx, first int64, hashes []tlog.Hash, rows map[int64]tlog.Hash) error {
	for i, want := range hashes {
		ix := first + int64(i)
		got, ok := rows[ix]
		if ok && got == want {
			continue
		}
		if ok {
			c.fault("database: entry %d has the leaf hash %v there and %v in the log", ix, got, want)
			continue
		}
		if err := c.explainMissing(ctx, tx, ix, want); err != nil {
			return err
		}
	}
	return nil
}

// explainMissing tells an entry that stands in the log twice from one that has
// no row.
func (c *checker) explainMissing(ctx context.Context, tx *store.Tx, ix int64, h tlog.Hash) error {
	list, err := tx.QueryContext(ctx, sqlAt, h[:])
	if err != nil {
		return err
	}
	other := int64(-1)
	if err := each(list, func() error { return list.Scan(&other) }); err != nil {
		return err
	}
	if other < 0 {
		c.fault("database: entry %d has no row", ix)
		return nil
	}
	c.fault("entry %d is the same as entry %d", ix, other)
	return nil
}

// database checks what the rows say as a whole.
func (c *checker) database(ctx context.Context) error {
	if c.db == nil {
		return nil
	}
	return c.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		s, err := getState(ctx, tx)
		if err != nil {
			return err
		}
		if s.origin != "" && s.origin != c.report.Origin {
			c.fault("database: it belongs to the log %q", s.origin)
		}
		if err := c.compareState(s); err != nil {
			return err
		}
		var strange int64
		err = tx.QueryRowContext(ctx, "SELECT count(*) FROM ledger_entry WHERE idx < 0").Scan(&strange)
		if err != nil {
			return err
		}
		if strange > 0 {
			c.fault("database: %d rows have a negative index", strange)
		}
		return tx.QueryRowContext(ctx, "SELECT count(*) FROM ledger_entry WHERE idx >= $1", c.tree.size).Scan(&c.report.Reserved)
	})
}

// compareState compares what the database knows as published with the log,
// which may have grown since the checking began.
func (c *checker) compareState(s state) error {
	if s.size == 0 {
		return nil
	}
	ts, ok, err := c.files.treeState()
	if err != nil || !ok {
		return nil // begin told
	}
	if s.size > ts.Size {
		c.fault("database: it knows %d published entries, the log has %d: the log directory is older than the database", s.size, ts.Size)
		return nil
	}
	root, err := newTree(c.files, ts.Size, nil).root(s.size)
	if err != nil {
		c.fault("computing the root of %d entries: %v", s.size, err)
	} else if root != s.root {
		c.fault("database: it knows the root of %d entries as %v, the log has %v", s.size, s.root, root)
	}
	return nil
}
