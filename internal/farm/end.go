package farm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// Finish ends a lease with what the worker found. Said again it changes nothing.
func (q *Queue) Finish(ctx context.Context, id, epoch int64, a *Answer) error {
	if err := a.check(); err != nil {
		return fmt.Errorf("the end of rebuild %d: %w: %w", id, ErrRefused, err)
	}
	err := q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		var tries, started, size int64
		var worker string
		var body []byte
		err := tx.QueryRowContext(ctx, `SELECT tries, worker, started, log_size, body FROM farm_order WHERE id = $1 AND epoch = $2 AND state = 1`,
			id, epoch).Scan(&tries, &worker, &started, &size, &body)
		if errors.Is(err, sql.ErrNoRows) {
			return ended(ctx, tx, id, epoch)
		} else if err != nil {
			return err
		}
		var o rebuild.Order
		if err := decode(body, &o, MaxOrder, "the order"); err != nil {
			return err
		}
		now := q.Now()
		try := a.Attempt
		try.Started, try.Finished = placed(&try, seconds(started), now)
		if err := a.fits(&o, &try); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return q.end(ctx, tx, id, tries+1, epoch, worker, &try, a, size, now)
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
	if err := notBefore(ctx, tx, id, try); err != nil {
		return err
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

// placed puts an attempt into the time of the node: it began when it was leased
// at the earliest, and lasted as long as the worker says. A worker's clock may be
// any; the attempts of one order follow each other (docs/spec/rebuild.md).
func placed(try *rebuild.Attempt, leased, now time.Time) (started, finished time.Time) {
	started, now = leased, now.UTC().Truncate(time.Second)
	finished = started.Add(try.Finished.Sub(try.Started))
	if finished.After(now) {
		finished = now
	}
	if finished.Before(started) {
		finished = started // this node's clock is behind the other's
	}
	return started, finished
}

// notBefore moves an attempt behind the beginning of the one before it, which a
// node with another clock may have leased.
func notBefore(ctx context.Context, tx *store.Tx, id int64, try *rebuild.Attempt) error {
	var body []byte
	err := tx.QueryRowContext(ctx, `SELECT body FROM farm_attempt WHERE order_id = $1 ORDER BY n DESC LIMIT 1`, id).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return err
	}
	var last rebuild.Attempt
	if err := decode(body, &last, MaxResult, "the attempt"); err != nil {
		return err
	}
	if late := last.Started.Sub(try.Started); late > 0 {
		try.Started, try.Finished = try.Started.Add(late), try.Finished.Add(late)
	}
	return nil
}

// Return gives a lease back, as if nobody had taken it: the worker is told to
// stop. Its log is forgotten.
func (q *Queue) Return(ctx context.Context, id, epoch int64) error {
	err := q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := q.Now().UnixMicro()
		err := held(tx.ExecContext(ctx, `UPDATE farm_order SET state = 0, ready = $1, until = 0, stage = '', log_size = 0, changed = $1
			WHERE id = $2 AND epoch = $3 AND state = 1`, now, id, epoch))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM farm_log WHERE order_id = $1 AND epoch = $2`, id, epoch)
		return err
	})
	if err != nil {
		return fmt.Errorf("giving rebuild %d back: %w", id, err)
	}
	return nil
}

// Holder is the worker that has or had a lease; [ErrLost] where there was none.
func (q *Queue) Holder(ctx context.Context, id, epoch int64) (worker string, err error) {
	err = q.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT worker FROM farm_order WHERE id = $1 AND epoch = $2`, id, epoch).Scan(&worker)
		if errors.Is(err, sql.ErrNoRows) {
			err = tx.QueryRowContext(ctx, `SELECT worker FROM farm_attempt WHERE order_id = $1 AND epoch = $2`, id, epoch).Scan(&worker)
		}
		if errors.Is(err, sql.ErrNoRows) {
			return ErrLost
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("rebuild %d: %w", id, err)
	}
	return worker, nil
}
