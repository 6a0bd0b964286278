package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// head is the newest state of a log on the disk.
type head struct {
	files      files
	size       int64 // integrated
	checkpoint *published
	cosigned   *published // the same, or older; nil where the log has no such file
}

func (h head) tree() *tree { return newTree(h.files, h.size, nil) }

// selfCheck reads checkpoint and tree state and makes sure that they agree with
// each other and with the newest tiles. It takes as long for a large log as for
// a small one.
func selfCheck(f files, v Verifier) (head, error) {
	h, err := quickCheck(f, v)
	if err != nil {
		return h, fmt.Errorf("opening the log %s: %w", f.dir, err)
	}
	return h, nil
}

func quickCheck(f files, v Verifier) (head, error) {
	h := head{files: f}
	ts, ok, err := f.treeState()
	if err != nil {
		return h, err
	}
	if h.checkpoint, err = f.readPublished(v); err != nil {
		return h, err
	}
	if h.cosigned, _, err = f.readCosigned(v); err != nil {
		return h, err
	}
	if !ok {
		if h.checkpoint != nil || h.cosigned != nil && h.cosigned.raw != nil {
			// Tessera would begin a new log here, under the old name.
			return h, fmt.Errorf("%w: there is a checkpoint but no %s: restore the whole directory, hidden files too", ErrDamaged, treeStateName)
		}
		return h, nil
	}
	h.size = ts.Size
	return h, h.check(tlog.Hash(ts.Root))
}

func (h head) check(root tlog.Hash) error {
	t := newTree(h.files, h.size, newTileCache(maxCachedTiles))
	if err := t.checkEdge(); err != nil {
		return err
	}
	if err := t.hasRoot(h.size, root); err != nil {
		return fmt.Errorf("%s: %w", treeStateName, err)
	}
	if h.cosigned != nil && h.cosigned.raw != nil {
		if err := t.hasRoot(h.cosigned.size, h.cosigned.root); err != nil {
			return fmt.Errorf("%s: %w", cosignedName, err)
		}
	}
	if h.checkpoint == nil {
		return nil
	}
	if err := t.hasRoot(h.checkpoint.size, h.checkpoint.root); err != nil {
		return fmt.Errorf("%s: %w", checkpointName, err)
	}
	return nil
}

// hasRoot makes sure that the tree had a root when it had size entries.
func (t *tree) hasRoot(size int64, root tlog.Hash) error {
	if size > t.size {
		return fmt.Errorf("%w: it says %d entries, but %d are there", ErrDamaged, size, t.size)
	}
	got, err := t.root(size)
	if err != nil {
		return fmt.Errorf("computing the root of %d entries: %w", size, err)
	}
	if got != root {
		return fmt.Errorf("%w: at %d entries the root is %v, but it says %v", ErrDamaged, size, got, root)
	}
	return nil
}

// fillStep is how many tiles of leaf hashes go into the database at once.
const fillStep = 16

// reconcile makes the database agree with the log: what the database knows as
// published must be there, and what it knows beyond that is taken from the log
// anew. Rows that the log has no entry for were reserved and never acknowledged.
func (l *Ledger) reconcile(ctx context.Context, t *tree) error {
	s, err := l.agreed(ctx, t)
	if err != nil {
		return fmt.Errorf("comparing the database with the log %s: %w", l.o.Dir, err)
	}
	if err := l.takeOver(ctx, s.size); err != nil {
		return fmt.Errorf("dropping reserved entries: %w", err)
	}
	for from := s.size; from < t.size; {
		to := min(t.size, (from/tlog.TileWidth+fillStep)*tlog.TileWidth)
		if err := l.fill(ctx, t, from, to); err != nil {
			return fmt.Errorf("reading entries %d to %d into the database: %w", from, to-1, err)
		}
		from = to
	}
	if n := t.size - s.size; n > 0 {
		l.o.Log.Info("read entries of the log into the database", "from", s.size, "entries", n)
	}
	return l.recordPublished(ctx)
}

// agreed returns the published state that the database knows, once the log has
// it too. Where rows are missing it returns the empty state, so that all are
// read again.
func (l *Ledger) agreed(ctx context.Context, t *tree) (state, error) {
	s, last, err := l.lastAgreed(ctx)
	if err != nil {
		return s, err
	}
	if s.origin != "" && s.origin != l.origin {
		return s, fmt.Errorf("%w: the database belongs to the log %q and this is %q: give it a database of its own", ErrDisagree, s.origin, l.origin)
	}
	if s.size > t.size {
		return s, fmt.Errorf("%w: the database knows %d published entries, the log has %d: the directory is older than the database; bring back the newer directory (going on would fork the log)", ErrDisagree, s.size, t.size)
	}
	if s.size == 0 {
		return state{}, nil
	}
	if err := t.hasRoot(s.size, s.root); err != nil {
		return s, fmt.Errorf("%w: another log was in this place when the database was written: %w", ErrDisagree, err)
	}
	if h, err := t.node(0, s.size-1); err != nil {
		return s, err
	} else if h != last {
		l.o.Log.Warn("the database lacks entries that it had; reading the whole log again", "origin", l.origin)
		return state{}, nil
	}
	return s, nil
}

// lastAgreed returns the recorded state and the leaf hash of its last entry.
func (l *Ledger) lastAgreed(ctx context.Context) (s state, last tlog.Hash, err error) {
	var hash []byte
	err = l.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		if s, err = getState(ctx, tx); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, "SELECT hash FROM ledger_entry WHERE idx = $1", s.size-1).Scan(&hash)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if len(hash) == hashSize {
		last = tlog.Hash(hash)
	}
	return s, last, err
}

// takeOver begins an epoch and deletes all rows from an index on. With
// PostgreSQL a transaction of a process that was killed may still be at work:
// it holds the row of ledger_state, so that this one comes after it and sees
// all that it wrote.
func (l *Ledger) takeOver(ctx context.Context, from int64) error {
	empty, epoch := tlog.EmptyRoot(), l.epoch
	err := l.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if l.epoch == 0 {
			err = tx.QueryRowContext(ctx, sqlTakeOver, l.origin, empty[:]).Scan(&epoch)
		} else { // ours since Open: see that it still is
			err = l.setState(ctx, tx, 0, empty)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM ledger_entry WHERE idx >= $1", from)
		return err
	})
	l.epoch = epoch
	return err
}

// fill writes the entries of the log from one index up to another, which lie
// in whole tiles but for the ends, into the database.
func (l *Ledger) fill(ctx context.Context, t *tree, from, to int64) error {
	var hashes []byte
	for at := from; at < to; {
		index := at / tlog.TileWidth
		hs, err := t.leafHashes(index)
		if err != nil {
			return err
		}
		end := min(to, (index+1)*tlog.TileWidth)
		for ; at < end; at++ {
			hashes = append(hashes, hs[at-index*tlog.TileWidth][:]...)
		}
	}
	return l.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := l.setState(ctx, tx, 0, tlog.EmptyRoot()); err != nil {
			return err
		}
		n, err := insertNew(ctx, tx, hashes, from)
		if err == nil && n < to-from {
			l.o.Log.Warn("the log has entries twice, which other programs must have written", "entries", to-from-n, "from", from)
		}
		return err
	})
}

// leafHashes returns the leaf hashes of a tile, which is full or the last, and
// checks a full one against the tile above.
func (t *tree) leafHashes(index int64) ([]tlog.Hash, error) {
	if widthAt(t.size, 0, index) == tlog.TileWidth {
		if err := t.checkTile(0, index); err != nil {
			return nil, err
		}
	}
	e, err := t.tile(0, index)
	if err != nil {
		return nil, err
	}
	return e.rows[0], nil
}
