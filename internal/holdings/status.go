package holdings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// Status tells how much of what a log names is held.
type Status struct {
	Origin     string    `json:"origin"`
	Published  int64     `json:"published"`         // entries that are mirrored, as last seen
	Looked     int64     `json:"looked"`            // of these, entries looked at
	Statements int64     `json:"statements"`        // of these, entries of statements
	Held       int64     `json:"held"`              // of these, with their statement
	Content    int64     `json:"content"`           // files that are wanted
	Bytes      int64     `json:"bytes"`             // of statements and content fetched
	PassedOver int64     `json:"passedOver"`        // no room, or not public here
	Withheld   int64     `json:"withheld"`          // missing after their deadline
	Since      time.Time `json:"since,omitzero"`    // when the oldest that is missing was first asked for
	Problem    string    `json:"problem,omitempty"` // of the last step
}

// Missing is how many statements are not held.
func (s *Status) Missing() int64 { return s.Statements - s.Held }

// Status returns one log, or [ErrUnknown].
func (h *Holdings) Status(ctx context.Context, origin string) (s Status, err error) {
	l, err := h.known(ctx, origin)
	if err != nil {
		return s, err
	}
	s.Origin = origin
	err = h.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		var since sql.NullInt64
		return errors.Join(
			tx.QueryRowContext(ctx, `SELECT next_idx, statements, held, envelope_size + content_size FROM holding_log WHERE id = $1`,
				l.id).Scan(&s.Looked, &s.Statements, &s.Held, &s.Bytes),
			tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM holding_item WHERE log_id = $1 AND kind = 1 AND state = 0`, l.id).Scan(&s.Content),
			tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM holding_item WHERE log_id = $1 AND state = 2`, l.id).Scan(&s.PassedOver),
			tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM holding_item WHERE log_id = $1 AND stage IN (1, 2) AND stage > 0`, l.id).Scan(&s.Withheld),
			tx.QueryRowContext(ctx, `SELECT MIN(since) FROM holding_item WHERE log_id = $1 AND kind IN (0, 1) AND state = 0 AND since > 0`, l.id).Scan(&since),
			func() error { s.Since = fromMicro(since.Int64); return nil }(),
		)
	})
	if err != nil {
		return s, fmt.Errorf("counting what is held of %s: %w", origin, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Published = max(l.size, s.Looked)
	if err := errors.Join(l.problem[:]...); err != nil {
		s.Problem = err.Error()
	} else if !h.room.free() {
		s.Problem = "there is no room for more statements"
	}
	return s, nil
}

// free reports whether another statement may be kept.
func (r *room) free() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used[kindEnvelope]+statement.MaxSize <= r.limits[kindEnvelope]
}

// List returns all logs that members have.
func (h *Holdings) List(ctx context.Context) ([]Status, error) {
	out := []Status{}
	for _, origin := range h.origins() {
		s, err := h.Status(ctx, origin)
		if errors.Is(err, ErrUnknown) {
			continue
		} else if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// known is log, or ErrUnknown.
func (h *Holdings) known(ctx context.Context, origin string) (*log, error) {
	l, err := h.log(ctx, origin)
	if err == nil && l == nil {
		err = fmt.Errorf("log %.80q: %w", origin, ErrUnknown)
	}
	return l, err
}

// Missing is something that nobody gave by its deadline.
type Missing struct {
	Kind   string                    `json:"kind"` // statement.ItemStatement or ItemContent
	Index  int64                     `json:"index"`
	SHA256 digest.Digest             `json:"sha256"` // of a statement its leaf hash
	Since  time.Time                 `json:"since"`
	Asked  int64                     `json:"asked"`
	From   []statement.WithheldPlace `json:"from"`
	Report digest.Digest             `json:"report,omitzero"` // the statement that says so; zero: not yet
}

// Withheld returns what is withheld of a log, by index, limit at most.
func (h *Holdings) Withheld(ctx context.Context, origin string, limit int) ([]Missing, error) {
	l, err := h.known(ctx, origin)
	if err != nil {
		return nil, err
	}
	var all []item
	err = h.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		all, err = items(ctx, tx, `log_id = $1 AND stage IN (1, 2) AND stage > 0 ORDER BY idx, kind, sha256 LIMIT $2`, l.id, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is withheld of %s: %w", origin, err)
	}
	out := make([]Missing, 0, len(all))
	for _, it := range all {
		out = append(out, Missing{it.word(), it.index, it.sha256, it.since, it.asked, it.places, it.report})
	}
	return out, nil
}

// Digests returns the digests of the envelopes behind entries from ≤ index < to
// of a log, by index; those that are not held are left out.
func (h *Holdings) Digests(ctx context.Context, origin string, from, to int64) (map[int64]digest.Digest, error) {
	out := map[int64]digest.Digest{}
	err := h.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		clear(out)
		rows, err := tx.QueryContext(ctx, `SELECT i.idx, i.envelope FROM holding_item AS i JOIN holding_log AS l ON l.id = i.log_id
			WHERE l.origin = $1 AND i.idx >= $2 AND i.idx < $3 AND i.kind = 0 AND i.state = 1`, origin, from, to)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var index int64
			var b []byte
			if err := rows.Scan(&index, &b); err != nil {
				return err
			}
			if len(b) != digest.Size {
				return fmt.Errorf("a digest of %d bytes: %w", len(b), store.ErrDamaged)
			}
			out[index] = digest.Digest(b)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is held of %s: %w", origin, err)
	}
	return out, nil
}

// Envelope returns the envelope behind an entry, or [ErrUnknown].
func (h *Holdings) Envelope(ctx context.Context, origin string, index int64) ([]byte, error) {
	found, err := h.Digests(ctx, origin, index, index+1)
	if err != nil {
		return nil, err
	}
	d, ok := found[index]
	if !ok {
		return nil, fmt.Errorf("the statement behind entry %d of %.80q: %w", index, origin, ErrUnknown)
	}
	return h.o.Content.ReadPublic(ctx, d, statement.MaxSize)
}
