package farm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// Decided returns the oldest order of a node that is decided and not yet said,
// after the order of that number; nil where there is none.
func (q *Queue) Decided(ctx context.Context, node string, after int64) (*Outcome, error) {
	var id int64
	err := q.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT id FROM farm_order WHERE node = $1 AND state = 2 AND id > $2 ORDER BY id LIMIT 1`, node, after).Scan(&id)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("looking for rebuilds to publish: %w", err)
	}
	return q.Outcome(ctx, id)
}

// Outcome reads all that there is to be said of an order.
func (q *Queue) Outcome(ctx context.Context, id int64) (*Outcome, error) {
	out := &Outcome{}
	err := q.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		*out = Outcome{}
		row, err := scanRow(tx.QueryRowContext(ctx, `SELECT `+rowColumns+` FROM farm_order WHERE id = $1`, id))
		if err != nil {
			return err
		}
		out.Row = *row
		var body, result, report []byte
		if err := tx.QueryRowContext(ctx, `SELECT body, result, report, envelope FROM farm_order WHERE id = $1`, id).Scan(&body, &result, &report, &out.Envelope); err != nil {
			return err
		}
		if err := decode(body, &out.Order, MaxOrder, "the order"); err != nil {
			return err
		}
		if result != nil {
			out.Result = &rebuild.Result{}
			if err := decode(result, out.Result, MaxResult, "the result"); err != nil {
				return err
			}
			out.Result.Explanation = report
		}
		out.Tried, err = tried(ctx, tx, id)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("rebuild %d: %w", id, ErrUnknown)
	} else if err != nil {
		return nil, fmt.Errorf("rebuild %d: %w", id, err)
	}
	return out, nil
}

func tried(ctx context.Context, tx *store.Tx, id int64) (out []Tried, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT n, epoch, worker, body, outcome, log_size FROM farm_attempt WHERE order_id = $1 ORDER BY n`, id)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t Tried
		var body []byte
		var outcome string
		if err := rows.Scan(&t.N, &t.Epoch, &t.Worker, &body, &outcome, &t.LogSize); err != nil {
			return nil, err
		}
		t.Outcome = statement.Outcome(outcome)
		if err := decode(body, &t.Attempt, MaxResult, "the attempt"); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// Draft keeps the signed statement of an order that is decided, and returns the
// one that is to be logged: the first that was given. A signature is not the
// same twice, so who signs and does not log may not sign another.
func (q *Queue) Draft(ctx context.Context, id int64, envelope []byte) (first []byte, err error) {
	err = q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE farm_order SET envelope = $1 WHERE id = $2 AND state = 2 AND envelope IS NULL`, envelope, id); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, `SELECT envelope FROM farm_order WHERE id = $1 AND state IN (2, 3) AND envelope IS NOT NULL`, id).Scan(&first)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrState
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keeping what is said of rebuild %d: %w", id, err)
	}
	return first, nil
}

// Redraft puts another signed statement in the place of one that can never be
// logged, because its key was retired before. The caller has made sure that the
// log did not take it; [ErrState] says that meanwhile there is another one.
func (q *Queue) Redraft(ctx context.Context, id int64, old, envelope []byte) error {
	err := q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		err := held(tx.ExecContext(ctx, `UPDATE farm_order SET envelope = $1 WHERE id = $2 AND state = 2 AND envelope = $3`, envelope, id, old))
		if errors.Is(err, ErrLost) {
			return ErrState
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("replacing what is said of rebuild %d: %w", id, err)
	}
	return nil
}

// Said notes where the statement stands in the node's log, and gives up what is
// then held elsewhere: logs and the explanation are content of the node.
func (q *Queue) Said(ctx context.Context, id, index int64) error {
	err := q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, err := tx.ExecContext(ctx, `UPDATE farm_order SET state = 3, idx = $1, report = NULL, changed = $2
			WHERE id = $3 AND state IN (2, 3) AND envelope IS NOT NULL`, index, q.Now().UnixMicro(), id)
		if err := held(r, err); errors.Is(err, ErrLost) {
			return ErrState
		} else if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM farm_log WHERE order_id = $1`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("noting that rebuild %d is published: %w", id, err)
	}
	return nil
}

// GiveUp ends an order that is not decided: nothing is said of it. Whoever
// builds it finds the lease lost.
func (q *Queue) GiveUp(ctx context.Context, id int64) error {
	return q.change(ctx, id, "giving up", `UPDATE farm_order SET state = 4, changed = $1 WHERE id = $2 AND state IN (0, 1)`)
}

// Hurry makes an order that waits due now.
func (q *Queue) Hurry(ctx context.Context, id int64) error {
	return q.change(ctx, id, "hurrying", `UPDATE farm_order SET ready = $1 WHERE id = $2 AND state = 0`)
}

// Prioritise changes the priority of an order that is not decided.
func (q *Queue) Prioritise(ctx context.Context, id, priority int64) error {
	return q.change(ctx, id, "moving", `UPDATE farm_order SET changed = $1, priority = $3 WHERE id = $2 AND state IN (0, 1)`, priority)
}

func (q *Queue) change(ctx context.Context, id int64, doing, query string, more ...any) error {
	err := q.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		err := held(tx.ExecContext(ctx, query, append([]any{q.Now().UnixMicro(), id}, more...)...))
		if !errors.Is(err, ErrLost) {
			return err
		}
		var state State
		err = tx.QueryRowContext(ctx, `SELECT state FROM farm_order WHERE id = $1`, id).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrUnknown
		} else if err != nil {
			return err
		}
		return fmt.Errorf("%w: it is %s", ErrState, state)
	})
	if err != nil {
		return fmt.Errorf("%s rebuild %d: %w", doing, id, err)
	}
	return nil
}

// Needs reports whether the lease is on an order that needs this content:
// a worker gets nothing else.
func (q *Queue) Needs(ctx context.Context, id, epoch int64) (*rebuild.Order, error) {
	var o rebuild.Order
	err := q.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		var body []byte
		err := tx.QueryRowContext(ctx, `SELECT body FROM farm_order WHERE id = $1 AND epoch = $2 AND state = 1`, id, epoch).Scan(&body)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrLost
		} else if err != nil {
			return err
		}
		return decode(body, &o, MaxOrder, "the order")
	})
	if err != nil {
		return nil, fmt.Errorf("rebuild %d: %w", id, err)
	}
	return &o, nil
}
