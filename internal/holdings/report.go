package holdings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// report says what is withheld of a log, and what came after all. It returns how
// many items it spoke of. What goes wrong keeps nobody from fetching.
func (h *Holdings) report(ctx context.Context, l *log) int {
	h.reporting.Lock()
	defer h.reporting.Unlock()
	now := h.o.Now()
	l.mu.Lock()
	silent := now.Before(l.silent)
	l.mu.Unlock()
	if silent {
		return 0
	}
	n, err := h.say(ctx, l)
	if ctx.Err() != nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.problem[2] = err; err != nil {
		h.o.Log.Error("what is withheld cannot be reported", "origin", l.origin, "err", err)
	}
	if err != nil || n > 0 {
		l.silent = now.Add(h.o.Limits.Reports)
	}
	return n
}

// say finishes what an earlier process began, and makes the next report. The
// envelope is durable, and so is that its items are in it, before it is logged:
// submitting it again gives it its one place.
func (h *Holdings) say(ctx context.Context, l *log) (int, error) {
	if err := h.finish(ctx); err != nil {
		return 0, err
	}
	var all []item
	err := h.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		all, err = items(ctx, tx, `log_id = $1 AND stage IN (1, 3) AND stage > 0 ORDER BY idx, kind, sha256 LIMIT $2`, l.id, statement.MaxWithheld)
		return err
	})
	if err != nil || len(all) == 0 {
		return 0, err
	}
	env, err := h.o.Reporter.Sign(ctx, reportOf(l.origin, all, h.o.Now()))
	if err != nil {
		return 0, fmt.Errorf("signing it: %w", err)
	}
	if _, err := h.o.Content.Put(ctx, content.Public, bytes.NewReader(env.Bytes()), statement.MaxSize); err != nil {
		return 0, err
	}
	d := env.Digest()
	err = h.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for i := range all {
			it := &all[i]
			if err := one(tx.ExecContext(ctx, `UPDATE holding_item SET stage = stage + 1, report = $1
				WHERE log_id = $2 AND idx = $3 AND kind = $4 AND sha256 = $5 AND stage = $6`,
				d[:], l.id, it.index, it.kind, it.sha256[:], it.stage)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO holding_report (envelope, made) VALUES ($1, $2)`, d[:], h.o.Now().UnixMicro())
		return err
	})
	if errors.Is(err, errMoved) {
		return 0, nil // one of them came just now; the next step tells
	} else if err != nil {
		return 0, fmt.Errorf("noting the report: %w", err)
	}
	h.o.Log.Warn("a log names what nobody gives, or gave it late: reported", "origin", l.origin, "items", len(all), "sha256", d)
	return len(all), h.finish(ctx)
}

// reportOf puts a report together.
func reportOf(origin string, all []item, now time.Time) *statement.Withheld {
	w := &statement.Withheld{Origin: origin, At: now.UTC().Truncate(time.Second)}
	for _, it := range all {
		x := statement.WithheldItem{
			Kind: it.word(), Index: it.index, SHA256: it.sha256,
			Since: it.since.Truncate(time.Second), Asked: it.asked, From: it.places,
		}
		if it.stage == stageCame {
			x.Arrived = it.arrived.Truncate(time.Second)
		}
		w.Items = append(w.Items, x)
	}
	return w
}

// word is what a statement calls the kind of an item.
func (it *item) word() string {
	if it.kind == kindContent {
		return statement.ItemContent
	}
	return statement.ItemStatement
}

// finish logs the reports that are signed.
func (h *Holdings) finish(ctx context.Context) error {
	var open []digest.Digest
	err := h.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		open = nil
		rows, err := tx.QueryContext(ctx, `SELECT envelope FROM holding_report ORDER BY made, envelope LIMIT 16`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			if len(b) != digest.Size {
				return fmt.Errorf("a digest of %d bytes: %w", len(b), store.ErrDamaged)
			}
			open = append(open, digest.Digest(b))
		}
		return rows.Err()
	})
	if err != nil {
		return fmt.Errorf("reading which reports are to be logged: %w", err)
	}
	for _, d := range open {
		raw, err := h.o.Content.ReadPublic(ctx, d, statement.MaxSize)
		if err != nil {
			return fmt.Errorf("reading the report %s: %w", d, err)
		}
		if err := h.o.Reporter.Submit(ctx, raw); err != nil {
			return fmt.Errorf("logging the report %s: %w", d, err)
		}
		err = h.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM holding_report WHERE envelope = $1`, d[:])
			return err
		})
		if err != nil {
			return fmt.Errorf("noting that the report %s is logged: %w", d, err)
		}
	}
	return nil
}
