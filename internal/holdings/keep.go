package holdings

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// load reads how much is kept, and wants again what was passed over.
func (h *Holdings) load(ctx context.Context) error {
	var used [2]int64
	err := h.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(envelope_size), 0) AS BIGINT), CAST(COALESCE(SUM(content_size), 0) AS BIGINT)
			FROM holding_log`).Scan(&used[kindEnvelope], &used[kindContent]); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE holding_item SET state = 0, next_try = 0 WHERE state = 2`)
		return err
	})
	h.room.used = used
	return err
}

// keep notes that an item is held, in one transaction with what it names.
func (h *Holdings) keep(ctx context.Context, l *log, it *item, now time.Time, got *found) error {
	if it.since.IsZero() {
		it.since = now
	}
	it.asked++
	var envelope []byte
	if got.env != nil {
		envelope = got.info.Digest[:]
	}
	if err := h.settle(ctx, l, it, now, envelope, got.info.Size, named(got.env)); err != nil {
		return err
	}
	h.room.fill(it.kind, got.info.Size)
	if got.env != nil && h.o.Arrived != nil {
		h.o.Arrived(ctx, l.origin, it.index)
	}
	return nil
}

// have notes that content is held here already, whoever brought it.
func (h *Holdings) have(ctx context.Context, l *log, it *item, in content.Info) error {
	if in.Class != content.Public || in.Size != it.size {
		return h.passOver(ctx, l, it)
	}
	now := h.o.Now().UTC()
	if it.since.IsZero() {
		it.since = now
	}
	return h.settle(ctx, l, it, now, nil, 0, nil)
}

// settle writes that an item is held, of which size bytes are new.
func (h *Holdings) settle(ctx context.Context, l *log, it *item, now time.Time, envelope []byte, size int64, names []evidence) error {
	places, err := json.Marshal(it.places)
	if err != nil {
		return err
	}
	err = h.notes.update(ctx, func(ctx context.Context, tx *store.Tx) error {
		err := one(tx.ExecContext(ctx, `UPDATE holding_item SET state = 1, envelope = $1, since = $2, asked = $3, places = $4,
			arrived = $5, size = CASE WHEN kind = 0 THEN $6 ELSE size END,
			stage = CASE WHEN stage = 2 THEN 3 WHEN stage = 1 THEN 0 ELSE stage END
			WHERE log_id = $7 AND idx = $8 AND kind = $9 AND sha256 = $10 AND state = 0`,
			envelope, it.since.UnixMicro(), it.asked, string(places), now.UnixMicro(), size,
			l.id, it.index, it.kind, it.sha256[:]))
		if err != nil {
			return err
		}
		count := `UPDATE holding_log SET content_size = content_size + $1 WHERE id = $2`
		if it.kind == kindEnvelope {
			count = `UPDATE holding_log SET held = held + 1, envelope_size = envelope_size + $1 WHERE id = $2`
		}
		if err := one(tx.ExecContext(ctx, count, size, l.id)); err != nil {
			return err
		}
		for _, e := range names {
			if err := want(ctx, tx, l.id, it.index, e, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("noting what is held: %w", err)
	}
	return nil
}

// evidence is content that a release names.
type evidence struct {
	sha256 digest.Digest
	size   int64
}

// named lists the public content that a release names: artifacts, SBOMs and recipe,
// and the source only where it is public.
func named(env *statement.Envelope) (out []evidence) {
	if env == nil {
		return nil
	}
	r, err := env.Statement().Release()
	if err != nil {
		return nil // it is about something else
	}
	for _, a := range r.Artifacts {
		out = append(out, evidence{a.SHA256, a.Size})
		if a.SBOM != nil {
			out = append(out, evidence{a.SBOM.SHA256, a.SBOM.Size})
		}
	}
	if r.Recipe != nil {
		out = append(out, evidence{r.Recipe.SHA256, r.Recipe.Size})
	}
	if r.Source != nil && content.Class(r.Source.Access) == content.Public {
		out = append(out, evidence{r.Source.SHA256, r.Source.Size})
	}
	return out
}

// want takes content down, once for each log.
func want(ctx context.Context, tx *store.Tx, id, index int64, e evidence, now time.Time) error {
	var n int64
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM holding_item WHERE log_id = $1 AND sha256 = $2 AND kind = 1`,
		id, e.sha256[:]).Scan(&n)
	if err != nil || n > 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO holding_item (log_id, idx, kind, sha256, size, state, stage, since, asked, next_try, places, arrived)
		VALUES ($1, $2, 1, $3, $4, 0, 0, 0, 0, $5, '', 0)`, id, index, e.sha256[:], e.size, now.UnixMicro())
	return err
}
