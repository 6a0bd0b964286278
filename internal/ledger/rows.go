package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// The queries take any number of hashes as one blob, 32 bytes each, and number
// its parts from 0: a text of its own for each number of rows would have to be
// parsed again each time.
const (
	parts = `WITH RECURSIVE part(i) AS (
	SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM part WHERE i + 1 < CAST($2 AS BIGINT))
`
	sqlLookup = parts + `
SELECT part.i, e.idx FROM part CROSS JOIN ledger_entry AS e
WHERE e.hash = substr(CAST($1 AS blob), CAST(part.i * 32 + 1 AS INTEGER), 32)`

	sqlReserve = parts + `
INSERT INTO ledger_entry (hash, idx)
SELECT substr(CAST($1 AS blob), CAST(part.i * 32 + 1 AS INTEGER), 32), CAST($3 AS BIGINT) + part.i FROM part WHERE true
ON CONFLICT (hash) DO NOTHING`

	// The row is locked before anything else is written, so that nobody takes
	// the log over while a transaction of ours is not finished.
	sqlSetState = `
UPDATE ledger_state SET
	size = CASE WHEN size < CAST($1 AS BIGINT) THEN CAST($1 AS BIGINT) ELSE size END,
	root = CASE WHEN size < CAST($1 AS BIGINT) THEN CAST($2 AS blob) ELSE root END
WHERE id = 1 AND epoch = $3`

	sqlTakeOver = `
INSERT INTO ledger_state (id, origin, size, root, epoch) VALUES (1, $1, 0, $2, 1)
ON CONFLICT (id) DO UPDATE SET epoch = ledger_state.epoch + 1
RETURNING epoch`
)

// reserve finds which entries the database knows and writes down the others
// under the indexes from next on, in one transaction. With it goes what is
// published, so that a crash leaves little to read again.
func (l *Ledger) reserve(ctx context.Context, batch []*call, next int64) (fresh, known []*call, err error) {
	p := l.signed.Load()
	err = l.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := l.setState(ctx, tx, p.size, p.root); err != nil {
			return err
		}
		found, err := lookup(ctx, tx, batch)
		if err != nil {
			return err
		}
		fresh, known = split(batch, found)
		return insert(ctx, tx, hashesOf(fresh), next)
	})
	return fresh, known, err
}

// split parts a batch into what is new and what the database knows.
func split(batch []*call, found map[tlog.Hash]int64) (fresh, known []*call) {
	for _, c := range batch {
		ix, ok := found[c.hash]
		if !ok {
			fresh = append(fresh, c)
			continue
		}
		c.index, c.duplicate, c.sequenced = ix, true, c.start
		known = append(known, c)
	}
	return fresh, known
}

func lookup(ctx context.Context, tx *store.Tx, batch []*call) (map[tlog.Hash]int64, error) {
	found := make(map[tlog.Hash]int64)
	if len(batch) == 0 {
		return found, nil
	}
	rows, err := tx.QueryContext(ctx, sqlLookup, hashesOf(batch), len(batch))
	if err != nil {
		return nil, err
	}
	err = each(rows, func() error {
		var i, ix int64
		if err := rows.Scan(&i, &ix); err != nil {
			return err
		}
		found[batch[i].hash] = ix
		return nil
	})
	return found, err
}

// each calls f for each row and closes them.
func each(rows *sql.Rows, f func() error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// insert writes hashes under the indexes from next on. One that is there
// already is an error: nobody else writes this table.
func insert(ctx context.Context, tx *store.Tx, hashes []byte, next int64) error {
	n, err := insertNew(ctx, tx, hashes, next)
	if err != nil {
		return err
	}
	if want := int64(len(hashes) / 32); n != want {
		return fmt.Errorf("%w: %d of %d new entries were in the database: another program writes it", ErrDisagree, want-n, want)
	}
	return nil
}

// insertNew writes hashes under the indexes from next on, except those that are
// there, and returns how many it wrote.
func insertNew(ctx context.Context, tx *store.Tx, hashes []byte, next int64) (int64, error) {
	if len(hashes) == 0 {
		return 0, nil
	}
	res, err := tx.ExecContext(ctx, sqlReserve, hashes, len(hashes)/32, next)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// lookup returns the indexes of those calls that the database knows.
func (l *Ledger) lookup(ctx context.Context, calls []*call) (found map[tlog.Hash]int64, err error) {
	err = l.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		found, err = lookup(ctx, tx, calls)
		return err
	})
	return found, err
}

// Find returns the index of an entry by its leaf hash, or [ErrUnknown] where
// no published checkpoint covers it.
func (l *Ledger) Find(ctx context.Context, h tlog.Hash) (int64, error) {
	p := l.published.Load()
	found, err := l.lookup(ctx, []*call{{hash: h}})
	if err != nil {
		return 0, fmt.Errorf("finding an entry: %w", err)
	}
	ix, ok := found[h]
	if !ok || ix >= p.size {
		return 0, ErrUnknown
	}
	return ix, nil
}

// state is the row of ledger_state.
type state struct {
	origin string
	size   int64
	root   tlog.Hash
	epoch  int64
}

// getState returns a zero state where there is none.
func getState(ctx context.Context, tx *store.Tx) (state, error) {
	var s state
	var root []byte
	err := tx.QueryRowContext(ctx, "SELECT origin, size, root, epoch FROM ledger_state WHERE id = 1").Scan(&s.origin, &s.size, &root, &s.epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return s, nil
	} else if err != nil {
		return s, err
	}
	if len(root) != len(s.root) {
		return s, fmt.Errorf("%w: its root has %d bytes", ErrDisagree, len(root))
	}
	copy(s.root[:], root)
	return s, nil
}

// setState notes that size entries are published; it never goes back. It fails
// where another process has taken the log over.
func (l *Ledger) setState(ctx context.Context, tx *store.Tx, size int64, root tlog.Hash) error {
	res, err := tx.ExecContext(ctx, sqlSetState, size, root[:], l.epoch)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: another process has opened a log with this database since", ErrDisagree)
	}
	return err
}

// recordPublished writes how much is under a signed checkpoint, which is final,
// published or not.
func (l *Ledger) recordPublished(ctx context.Context) error {
	p := l.signed.Load()
	var s state
	err := l.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		s, err = getState(ctx, tx)
		return err
	})
	if err != nil || p == nil || s.size >= p.size {
		return err
	}
	return l.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return l.setState(ctx, tx, p.size, p.root)
	})
}
