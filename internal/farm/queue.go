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
	if a.Node == "" || a.Order.Release.IsZero() {
		return 0, false, errors.New("a rebuild needs a node and a release")
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
		h = &Held{ID: id, Epoch: epoch + 1, Until: until.UTC()}
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

// Renew says that the worker is alive and what it does.
func (q *Queue) Renew(ctx context.Context, id, epoch int64, p Progress) (until time.Time, err error) {
	err = q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := q.Now()
		until = now.Add(q.lease()).UTC()
		return held(tx.ExecContext(ctx, `UPDATE farm_order SET until = $1, stage = $2, done = $3, total = $4, changed = $5
			WHERE id = $6 AND epoch = $7 AND state = 1`, until.UnixMicro(), line(p.Stage), p.Done, p.Total, now.UnixMicro(), id, epoch))
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("renewing the lease on rebuild %d: %w", id, err)
	}
	return until, nil
}

// Log appends to the log of a lease. A chunk that is there already, whole, is no
// error, so that it may be given again; one that leaves a gap is.
func (q *Queue) Log(ctx context.Context, id, epoch, start int64, data []byte) error {
	if len(data) == 0 || len(data) > MaxChunk || start < 0 || start+int64(len(data)) > MaxLog {
		return fmt.Errorf("log of rebuild %d: %d bytes at %d: want 1 to %d, and %d in all", id, len(data), start, MaxChunk, MaxLog)
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
		case start != size:
			return fmt.Errorf("%d bytes are there, and the next begin at %d", size, start)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO farm_log (order_id, epoch, start, data) VALUES ($1, $2, $3, $4)`, id, epoch, start, data); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE farm_order SET log_size = $1 WHERE id = $2`, size+int64(len(data)), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("log of rebuild %d: %w", id, err)
	}
	return nil
}

// Finish ends a lease with what the worker found. Said again it changes nothing.
func (q *Queue) Finish(ctx context.Context, id, epoch int64, a *Answer) error {
	if err := a.check(); err != nil {
		return fmt.Errorf("the end of rebuild %d: %w", id, err)
	}
	err := q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		var tries, size int64
		var worker string
		err := tx.QueryRowContext(ctx, `SELECT tries, worker, log_size FROM farm_order WHERE id = $1 AND epoch = $2 AND state = 1`,
			id, epoch).Scan(&tries, &worker, &size)
		if errors.Is(err, sql.ErrNoRows) {
			return ended(ctx, tx, id, epoch)
		} else if err != nil {
			return err
		}
		return q.end(ctx, tx, id, tries+1, epoch, worker, &a.Attempt, a, size, q.Now())
	})
	if err != nil {
		return fmt.Errorf("the end of rebuild %d: %w", id, err)
	}
	return nil
}

// ended is no error where this lease has ended with an answer already: the
// worker did not hear that it was taken.
func ended(ctx context.Context, tx *store.Tx, id, epoch int64) error {
	var body []byte
	err := tx.QueryRowContext(ctx, `SELECT body FROM farm_attempt WHERE order_id = $1 AND epoch = $2`, id, epoch).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrLost
	} else if err != nil {
		return err
	}
	var try rebuild.Attempt
	if err := decode(body, &try, MaxResult, "the attempt"); err != nil {
		return err
	}
	if try.Reason == statement.ReasonLost {
		return ErrLost
	}
	return nil
}

// end keeps an attempt and decides what becomes of the order. a is nil where the
// worker was lost.
func (q *Queue) end(ctx context.Context, tx *store.Tx, id, n, epoch int64, worker string, try *rebuild.Attempt, a *Answer, size int64, now time.Time) error {
	outcome := statement.Failed
	var result, report []byte
	if a != nil && try.OK() {
		outcome, report = a.Result.Outcome, a.Report
		var err error
		if result, err = encode(&a.Result, MaxResult, "the result"); err != nil {
			return err
		}
	}
	if err := keepAttempt(ctx, tx, id, n, epoch, worker, try, outcome, size); err != nil {
		return err
	}
	state, ready := Decided, now
	if wait, again := retry(outcome, try.Reason, n); again {
		state, ready = Waiting, now.Add(wait)
	}
	_, err := tx.ExecContext(ctx, `UPDATE farm_order SET state = $1, ready = $2, tries = $3, outcome = $4, result = $5, report = $6,
		until = 0, stage = '', changed = $7 WHERE id = $8`,
		int64(state), ready.UnixMicro(), n, string(outcome), result, report, now.UnixMicro(), id)
	return err
}

// retry says whether an order is tried again after its nth attempt, and when.
func retry(o statement.Outcome, r statement.Reason, n int64) (wait time.Duration, again bool) {
	switch {
	case o == statement.Identical:
		return 0, false
	case o == statement.Failed && troubled(r):
		wait = time.Second << min(2*n, 12) // 4 s to about an hour
		if r == statement.ReasonLost {
			wait = 0 // somebody else is probably well
		}
		return wait, n < TriesTroubled
	case r == statement.ReasonRecipe || r == statement.ReasonCancelled:
		return 0, false
	}
	return 0, n < TriesFailed
}

// troubled are the reasons that lie outside the build.
func troubled(r statement.Reason) bool {
	switch r {
	case statement.ReasonLost, statement.ReasonInputs, statement.ReasonArtifact, statement.ReasonEngine, statement.ReasonKilled:
		return true
	}
	return false
}

func keepAttempt(ctx context.Context, tx *store.Tx, id, n, epoch int64, worker string, try *rebuild.Attempt, o statement.Outcome, size int64) error {
	body, err := encode(try, MaxResult, "the attempt")
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO farm_attempt (order_id, n, epoch, worker, body, outcome, log_size) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		id, n, epoch, worker, body, string(o), size)
	return err
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
		return nil, fmt.Errorf("%s has %d bytes, at most %d are allowed", what, len(b), limit)
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
