package holdings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// What an item is, and how it stands with it (schema/0010_fetch.sql).
const (
	kindEnvelope = 0
	kindContent  = 1

	wanted = 0
	held   = 1
	passed = 2

	stageLate     = 1
	stageReported = 2
	stageCame     = 3
)

// lookBundles is how many entry bundles are looked at in one step.
const lookBundles = 4

// log is a log whose statements are held.
type log struct {
	origin string
	id     int64
	src    Log

	mu      sync.Mutex
	size    int64     // published, as last seen
	next    int64     // first entry that was not looked at
	problem [3]error  // of statements, content, reports
	silent  time.Time // no report before
}

// log returns a log, which is put into the tables where it is new; nil where it
// is not mirrored yet.
func (h *Holdings) log(ctx context.Context, origin string) (*log, error) {
	h.mu.Lock()
	l := h.logs[origin]
	h.mu.Unlock()
	if l != nil {
		return l, nil
	}
	src, err := h.o.Open(origin)
	if errors.Is(err, ErrUnknown) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	l = &log{origin: origin, src: src}
	err = h.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO holding_log (id, origin, next_idx, statements, held, envelope_size, content_size)
			SELECT COALESCE(MAX(id), 0) + 1, CAST($1 AS bytetext), 0, 0, 0, 0, 0 FROM holding_log WHERE true
			ON CONFLICT (origin) DO NOTHING`, origin); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT id, next_idx FROM holding_log WHERE origin = $1`, origin).Scan(&l.id, &l.next)
	})
	if err != nil {
		return nil, fmt.Errorf("reading how far the log %s is: %w", origin, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if have := h.logs[origin]; have != nil {
		return have, nil
	}
	h.logs[origin] = l
	return l, nil
}

// stepStatements looks at new entries and asks for statements.
func (h *Holdings) stepStatements(ctx context.Context, origin string) (n int, err error) {
	l, err := h.log(ctx, origin)
	if l == nil || err != nil {
		return 0, err
	}
	defer func() { l.fail(kindEnvelope, err) }()
	looked, err := h.look(ctx, l)
	if err != nil {
		return 0, err
	}
	asked, err := h.askDue(ctx, l, kindEnvelope)
	return looked + asked, err
}

// stepReport says what is withheld. It takes as long as the own log does, which
// may wait for others.
func (h *Holdings) stepReport(ctx context.Context, origin string) (int, error) {
	l, err := h.log(ctx, origin)
	if l == nil || err != nil {
		return 0, err
	}
	return h.report(ctx, l), nil
}

// stepContent asks for content.
func (h *Holdings) stepContent(ctx context.Context, origin string) (n int, err error) {
	l, err := h.log(ctx, origin)
	if l == nil || err != nil {
		return 0, err
	}
	defer func() { l.fail(kindContent, err) }()
	return h.askDue(ctx, l, kindContent)
}

func (l *log) fail(kind int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem[kind] = err
}

// look takes down the statements' entries that are new.
func (h *Holdings) look(ctx context.Context, l *log) (int, error) {
	size, err := l.src.Published(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the size of the log: %w", err)
	}
	l.mu.Lock()
	l.size = size
	next := l.next
	l.mu.Unlock()
	from := next
	var rows []any
	for range lookBundles {
		if next >= size {
			break
		}
		entries, err := l.src.Bundle(next / tlog.TileWidth)
		if err != nil {
			return 0, fmt.Errorf("reading the log: %w", err)
		}
		skip := int(next % tlog.TileWidth)
		if len(entries) <= skip {
			return 0, fmt.Errorf("bundle %d of the log has %d entries", next/tlog.TileWidth, len(entries))
		}
		for i, raw := range entries[skip:] {
			if leaf, err := statement.ParseLeaf(raw); err == nil && leaf.Kind == statement.LeafStatement {
				hash := tlog.LeafHash(raw)
				rows = append(rows, next+int64(i), hash[:])
			}
		}
		next += int64(len(entries) - skip)
	}
	if next == from {
		return 0, nil
	}
	err = h.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE holding_log SET next_idx = $1, statements = statements + $2
			WHERE id = $3 AND next_idx = $4`, next, int64(len(rows)/2), l.id, from)
		if err := one(res, err); err != nil {
			return err
		}
		return insertEnvelopes(ctx, tx, l.id, rows)
	})
	if err != nil {
		return 0, fmt.Errorf("taking down what the log names: %w", err)
	}
	l.mu.Lock()
	l.next = next
	l.mu.Unlock()
	return int(next - from), nil
}

// insertRows is how many rows go into one statement of SQL.
const insertRows = 128

// insertEnvelopes writes rows of index and leaf hash.
func insertEnvelopes(ctx context.Context, tx *store.Tx, id int64, rows []any) error {
	for len(rows) > 0 {
		n := min(len(rows)/2, insertRows)
		var q strings.Builder
		q.WriteString(`INSERT INTO holding_item (log_id, idx, kind, sha256, size, state, stage, since, asked, next_try, places, arrived) VALUES `)
		for i := range n {
			if i > 0 {
				q.WriteByte(',')
			}
			fmt.Fprintf(&q, "($1, $%d, 0, $%d, 0, 0, 0, 0, 0, 0, '', 0)", 2*i+2, 2*i+3)
		}
		if _, err := tx.ExecContext(ctx, q.String(), append([]any{id}, rows[:2*n]...)...); err != nil {
			return err
		}
		rows = rows[2*n:]
	}
	return nil
}

// errMoved says that another process works on the same tables.
var errMoved = errors.New("the tables have changed meanwhile")

// one wants exactly one row to be changed.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = errMoved
	}
	return err
}
