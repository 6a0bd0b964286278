package farm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/store"
	"vitrine.example/internal/strictjson"
	"vitrine.example/statement"
)

func (q *Queue) lease() time.Duration {
	if q.Lease <= 0 {
		return DefaultLease
	}
	return q.Lease
}

// Add asks for a rebuild. Asked for again, it returns the order that there is,
// and false.
func (q *Queue) Add(ctx context.Context, a Ask) (id int64, added bool, err error) {
	if a.Refused != "" && a.Order.Task.Job == nil {
		a.Order.Task.Limits = recipe.DefaultLimits() // nobody will use them
	}
	body, err := encode(&a.Order, MaxOrder, "the order")
	if err != nil {
		return 0, false, err
	}
	if a.Node == "" || a.Order.Release.IsZero() || len(a.Order.Shipped) == 0 {
		return 0, false, errors.New("a rebuild needs a node, a release and its artifacts")
	}
	err = q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		id, added = 0, false
		run := int64(1)
		var state State
		err := tx.QueryRowContext(ctx, `SELECT id, run, state FROM farm_order WHERE node = $1 AND released = $2 ORDER BY run DESC LIMIT 1`,
			a.Node, a.Order.Release[:]).Scan(&id, &run, &state)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case !a.Again || state < Decided:
			return nil
		default:
			run++
		}
		if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) + 1 FROM farm_order`).Scan(&id); err != nil {
			return err
		}
		now := q.Now().UnixMicro()
		_, err = tx.ExecContext(ctx, `INSERT INTO farm_order (id, node, released, origin, product, version, run, body, priority, state,
			ready, tries, epoch, worker, until, stage, done, total, started, log_size, outcome, added, changed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, 0, 0, '', 0, '', 0, -1, 0, 0, '', $10, $10)`,
			id, a.Node, a.Order.Release[:], a.Origin, a.Product, a.Version, run, body, a.Priority, now)
		if err != nil {
			return err
		}
		added = true
		if a.Refused == "" {
			return nil
		}
		return q.refuse(ctx, tx, id, a)
	})
	if err != nil {
		return 0, false, fmt.Errorf("asking for a rebuild: %w", err)
	}
	return id, added, nil
}

// refuse decides an order that nobody can build.
func (q *Queue) refuse(ctx context.Context, tx *store.Tx, id int64, a Ask) error {
	now := q.Now().UTC().Truncate(time.Second)
	try := rebuild.Attempt{Started: now, Finished: now, Reason: a.Refused, Detail: line(a.Detail)}
	if err := keepAttempt(ctx, tx, id, 1, 0, "", &try, statement.Failed, 0); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE farm_order SET state = 2, tries = 1, outcome = $1 WHERE id = $2`, string(statement.Failed), id)
	return err
}

// Take leases the order that is due: the one of the highest priority, of these
// the oldest. It returns nil where there is none.
func (q *Queue) Take(ctx context.Context, worker string) (*Held, error) {
	if worker == "" || len(worker) > MaxWorker {
		return nil, fmt.Errorf("a worker's name has %d bytes, want 1 to %d", len(worker), MaxWorker)
	}
	var h *Held
	err := q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		h = nil
		now := q.Now()
		if err := q.reap(ctx, tx, now); err != nil {
			return err
		}
		var id, epoch int64
		var body []byte
		err := tx.QueryRowContext(ctx, `SELECT id, epoch, body FROM farm_order WHERE state = 0 AND ready <= $1
			ORDER BY priority DESC, id LIMIT 1`+tx.SkipLocked(), now.UnixMicro()).Scan(&id, &epoch, &body)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		until := now.Add(q.lease())
		_, err = tx.ExecContext(ctx, `UPDATE farm_order SET state = 1, epoch = $1, worker = $2, until = $3, stage = '', done = 0, total = -1,
			started = $4, log_size = 0, changed = $4 WHERE id = $5`, epoch+1, worker, until.UnixMicro(), now.UnixMicro(), id)
		if err != nil {
			return err
		}
		h = &Held{ID: id, Epoch: epoch + 1, Until: until.UTC(), Lasts: q.lease().Milliseconds()}
		return decode(body, &h.Order, MaxOrder, "the order")
	})
	if err != nil {
		return nil, fmt.Errorf("taking a rebuild: %w", err)
	}
	return h, nil
}

// reap ends the leases that ran out: each is an attempt that was lost.
func (q *Queue) reap(ctx context.Context, tx *store.Tx, now time.Time) error {
	rows, err := tx.QueryContext(ctx, `SELECT id, tries, epoch, worker, started, log_size FROM farm_order
		WHERE state = 1 AND until < $1 ORDER BY id LIMIT 64`, now.UnixMicro())
	if err != nil {
		return err
	}
	type late struct {
		id, tries, epoch, started, size int64
		worker                          string
	}
	var all []late
	for rows.Next() {
		var l late
		if err := rows.Scan(&l.id, &l.tries, &l.epoch, &l.worker, &l.started, &l.size); err != nil {
			return errors.Join(err, rows.Close())
		}
		all = append(all, l)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, l := range all {
		try := rebuild.Attempt{
			Started: seconds(l.started), Finished: now.UTC().Truncate(time.Second), Reason: statement.ReasonLost,
			Detail: line("worker " + l.worker + " was not heard of again"),
		}
		if try.Finished.Before(try.Started) {
			try.Finished = try.Started // this node's clock is behind the other's
		}
		if err := q.end(ctx, tx, l.id, l.tries+1, l.epoch, l.worker, &try, nil, l.size, now); err != nil {
			return err
		}
	}
	return nil
}

// Renew says that the worker is alive and what it does, and returns how long the
// lease lasts from now on.
func (q *Queue) Renew(ctx context.Context, id, epoch int64, p Progress) (time.Duration, error) {
	err := q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := q.Now()
		until := now.Add(q.lease())
		return held(tx.ExecContext(ctx, `UPDATE farm_order SET until = $1, stage = $2, done = $3, total = $4, changed = $5
			WHERE id = $6 AND epoch = $7 AND state = 1`, until.UnixMicro(), line(p.Stage), p.Done, p.Total, now.UnixMicro(), id, epoch))
	})
	if err != nil {
		return 0, fmt.Errorf("renewing the lease on rebuild %d: %w", id, err)
	}
	return q.lease(), nil
}

// Log appends to the log of a lease. What is there already is not taken again: a
// worker that was not told so gives the same bytes once more, and perhaps with
// more behind them. A chunk that leaves a gap is refused.
func (q *Queue) Log(ctx context.Context, id, epoch, start int64, data []byte) error {
	if len(data) == 0 || len(data) > MaxChunk || start < 0 || start > MaxLog-int64(len(data)) {
		return fmt.Errorf("log of rebuild %d: %w: %d bytes at %d: want 1 to %d, and %d in all", id, ErrRefused, len(data), start, MaxChunk, MaxLog)
	}
	err := q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		var size int64
		err := tx.QueryRowContext(ctx, `SELECT log_size FROM farm_order WHERE id = $1 AND epoch = $2 AND state = 1`, id, epoch).Scan(&size)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrLost
		case err != nil:
			return err
		case start+int64(len(data)) <= size:
			return nil
		case start > size:
			return fmt.Errorf("%w: %d bytes are there, and the next begin at %d", ErrRefused, size, start)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO farm_log (order_id, epoch, start, data) VALUES ($1, $2, $3, $4)`, id, epoch, size, data[size-start:]); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE farm_order SET log_size = $1 WHERE id = $2`, start+int64(len(data)), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("log of rebuild %d: %w", id, err)
	}
	return nil
}

// held is ErrLost where nothing was changed.
func held(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		err = ErrLost
	}
	return err
}

func encode(v any, limit int, what string) ([]byte, error) {
	b, err := strictjson.Canonical(v)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", what, err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrRefused, what, len(b), limit)
	}
	return b, nil
}

func decode(b []byte, v any, limit int, what string) error {
	if err := strictjson.Unmarshal(b, v, strictjson.Limits{Size: limit}); err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

func seconds(micro int64) time.Time { return time.UnixMicro(micro).UTC().Truncate(time.Second) }
