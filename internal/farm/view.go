package farm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

const rowColumns = `id, node, released, origin, product, version, run, priority, state, ready, tries, epoch, worker, until,
	stage, done, total, started, log_size, outcome, idx, added, changed`

// MaxRows bounds what List returns at once.
const MaxRows = 500

// scanRow reads the columns of rowColumns.
func scanRow(s interface{ Scan(...any) error }) (*Row, error) {
	var r Row
	var released []byte
	var outcome string
	var index sql.NullInt64
	var ready, until, started, added, changed int64
	err := s.Scan(&r.ID, &r.Node, &released, &r.Origin, &r.Product, &r.Version, &r.Run, &r.Priority, &r.State, &ready, &r.Tries, &r.Epoch,
		&r.Worker, &until, &r.Progress.Stage, &r.Progress.Done, &r.Progress.Total, &started, &r.LogSize, &outcome, &index, &added, &changed)
	if err != nil {
		return nil, err
	}
	if len(released) != digest.Size {
		return nil, fmt.Errorf("a digest of %d bytes", len(released))
	}
	copy(r.Release[:], released)
	r.Ready, r.Until, r.Started, r.Added, r.Changed = at(ready), at(until), at(started), at(added), at(changed)
	r.Outcome, r.Index = statement.Outcome(outcome), -1
	if index.Valid {
		r.Index = index.Int64
	}
	return &r, nil
}

func at(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}

// List returns orders, the newest first: those below an id, or all where that is
// 0; of one release, or of all where it is nil.
func (q *Queue) List(ctx context.Context, before int64, release *digest.Digest, limit int) (out []Row, err error) {
	where, args := "id < $1", []any{before}
	if before <= 0 {
		args[0] = int64(1) << 62
	}
	if release != nil {
		where, args = where+" AND released = $2", append(args, release[:])
	}
	args = append(args, min(max(limit, 1), MaxRows))
	err = q.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM farm_order WHERE %s ORDER BY id DESC LIMIT $%d`, rowColumns, where, len(args)), args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			r, err := scanRow(rows)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, *r)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("listing rebuilds: %w", err)
	}
	return out, nil
}

// Counts says how many orders are in each state.
func (q *Queue) Counts(ctx context.Context) (map[State]int64, error) {
	out := map[State]int64{}
	err := q.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		clear(out)
		rows, err := tx.QueryContext(ctx, `SELECT state, COUNT(*) FROM farm_order GROUP BY state`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var s State
			var n int64
			if err := rows.Scan(&s, &n); err != nil {
				return errors.Join(err, rows.Close())
			}
			out[s] = n
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("counting rebuilds: %w", err)
	}
	return out, nil
}

// ReadLog returns up to MaxChunk bytes of the log of a lease, from an offset on;
// epoch 0 means the newest lease. It is empty at the end, and after the outcome
// was published.
func (q *Queue) ReadLog(ctx context.Context, id, epoch, from int64) (data []byte, err error) {
	err = q.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		data = nil
		if epoch == 0 {
			err := tx.QueryRowContext(ctx, `SELECT epoch FROM farm_order WHERE id = $1`, id).Scan(&epoch)
			if errors.Is(err, sql.ErrNoRows) {
				return ErrUnknown
			} else if err != nil {
				return err
			}
		}
		rows, err := tx.QueryContext(ctx, `SELECT start, data FROM farm_log WHERE order_id = $1 AND epoch = $2 AND start >=
			(SELECT COALESCE(MAX(start), 0) FROM farm_log WHERE order_id = $1 AND epoch = $2 AND start <= $3) ORDER BY start LIMIT 256`,
			id, epoch, from)
		if err != nil {
			return err
		}
		for rows.Next() && len(data) < MaxChunk {
			var start int64
			var chunk []byte
			if err := rows.Scan(&start, &chunk); err != nil {
				return errors.Join(err, rows.Close())
			}
			if skip := from + int64(len(data)) - start; skip < int64(len(chunk)) {
				data = append(data, chunk[max(skip, 0):]...)
			}
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("log of rebuild %d: %w", id, err)
	}
	return data[:min(len(data), MaxChunk)], nil
}

// line makes a text of others fit to be kept: one line, bounded, valid.
func line(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(strings.ReplaceAll(s, "\x00", " ")), " "), "\uFFFD")
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return s
}
