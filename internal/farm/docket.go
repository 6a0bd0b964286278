package farm

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

// Docket is what a node notes for itself: which releases it wants rebuilt, what
// it has signed and not logged yet, and what its log says of rebuilds. It lies
// in the node's own database, also where the queue does not.
type Docket struct {
	DB  *store.DB
	Now func() time.Time
}

// Wanted is a release that is to be rebuilt.
type Wanted struct {
	Release digest.Digest
	Origin  string // of the log that has it
	Index   int64
	Since   time.Time // first seen
}

// SaidBefore is the order of a release that was said before the database was made.
const SaidBefore = -1

// See notes releases; those that are noted already stay as they are.
func (d *Docket) See(ctx context.Context, list []Wanted) error {
	err := d.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := d.Now().UnixMicro()
		for _, w := range list {
			_, err := tx.ExecContext(ctx, `INSERT INTO docket_release (released, origin, idx, since, id) VALUES ($1, $2, $3, $4, 0)
				ON CONFLICT (released) DO NOTHING`, w.Release[:], w.Origin, w.Index, now)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("noting releases to rebuild: %w", err)
	}
	return nil
}

// Wanted returns releases that have no order, in the order of their logs, those
// behind after; nil: from the first.
func (d *Docket) Wanted(ctx context.Context, after *Wanted, limit int) (out []Wanted, err error) {
	index, released := int64(-1), []byte{}
	if after != nil {
		index, released = after.Index, after.Release[:]
	}
	err = d.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT released, origin, idx, since FROM docket_release
			WHERE id = 0 AND (idx > $1 OR (idx = $1 AND released > $2)) ORDER BY idx, released LIMIT $3`, index, released, limit)
		if err != nil {
			return err
		}
		for rows.Next() {
			var w Wanted
			var b []byte
			var since int64
			if err := rows.Scan(&b, &w.Origin, &w.Index, &since); err != nil {
				return errors.Join(err, rows.Close())
			}
			copy(w.Release[:], b)
			w.Since = at(since)
			out = append(out, w)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("looking for releases to rebuild: %w", err)
	}
	return out, nil
}

// Ordered notes the order of a release.
func (d *Docket) Ordered(ctx context.Context, release digest.Digest, id int64) error {
	err := d.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE docket_release SET id = $1 WHERE released = $2`, id, release[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("noting the rebuild of %s: %w", release, err)
	}
	return nil
}

// Draft keeps a signed provenance, and returns the one that is to be logged: the
// first that was given.
func (d *Docket) Draft(ctx context.Context, release digest.Digest, run int64, envelope []byte) (first []byte, err error) {
	err = d.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO docket_draft (released, run, envelope) VALUES ($1, $2, $3)
			ON CONFLICT (released, run) DO NOTHING`, release[:], run, envelope)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT envelope FROM docket_draft WHERE released = $1 AND run = $2`, release[:], run).Scan(&first)
	})
	if err != nil {
		return nil, fmt.Errorf("keeping the provenance of %s: %w", release, err)
	}
	return first, nil
}

// Redraft puts a draft in the place of one that can never be logged.
func (d *Docket) Redraft(ctx context.Context, release digest.Digest, run int64, old, envelope []byte) error {
	err := d.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return held(tx.ExecContext(ctx, `UPDATE docket_draft SET envelope = $1 WHERE released = $2 AND run = $3 AND envelope = $4`,
			envelope, release[:], run, old))
	})
	if err != nil {
		return fmt.Errorf("replacing the provenance of %s: %w", release, err)
	}
	return nil
}

// Spoken is one rebuild statement of the own log.
type Spoken struct {
	Index   int64             `json:"index"` // in the own log
	Release digest.Digest     `json:"release"`
	Origin  string            `json:"origin"`
	Product string            `json:"product"`
	Version string            `json:"version"`
	Outcome statement.Outcome `json:"outcome"`
	Detail  string            `json:"detail,omitzero"`
	At      time.Time         `json:"at"`
	// Streak is how many releases of the product before this one were identical,
	// in a row.
	Streak int64 `json:"streak"`
}

// Heard notes a statement of the own log; they must come in order.
func (d *Docket) Heard(ctx context.Context, s *Spoken) error {
	err := d.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		streak, err := streak(ctx, tx, s)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO docket_said (idx, released, origin, product, version, outcome, detail, at, streak, acked)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0) ON CONFLICT (idx) DO NOTHING`,
			s.Index, s.Release[:], s.Origin, s.Product, line(s.Version), string(s.Outcome), line(s.Detail), s.At.UnixMicro(), streak)
		s.Streak = streak
		return err
	})
	if err != nil {
		return fmt.Errorf("noting what entry %d says: %w", s.Index, err)
	}
	return nil
}

// maxStreak bounds how far back is counted.
const maxStreak = 1000

// streak counts the releases before one that were identical in a row, each by
// its newest run. A later run has that of the first one.
func streak(ctx context.Context, tx *store.Tx, s *Spoken) (n int64, err error) {
	if s.Product == "" {
		return 0, nil
	}
	err = tx.QueryRowContext(ctx, `SELECT streak FROM docket_said WHERE released = $1 AND idx < $2 ORDER BY idx LIMIT 1`,
		s.Release[:], s.Index).Scan(&n)
	if !errors.Is(err, sql.ErrNoRows) {
		return n, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT released, outcome FROM docket_said
		WHERE origin = $1 AND product = $2 AND idx < $3 ORDER BY idx DESC LIMIT $4`, s.Origin, s.Product, s.Index, maxStreak)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	seen := map[digest.Digest]bool{}
	for rows.Next() {
		var b []byte
		var outcome string
		if err := rows.Scan(&b, &outcome); err != nil {
			return 0, err
		}
		var r digest.Digest
		copy(r[:], b)
		switch {
		case seen[r]:
			continue
		case statement.Outcome(outcome) != statement.Identical:
			return n, nil
		}
		seen[r] = true
		n++
	}
	return n, rows.Err()
}

// LastHeard is the index of the newest statement that was noted; -1 before the first.
func (d *Docket) LastHeard(ctx context.Context) (index int64, err error) {
	err = d.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(idx), -1) FROM docket_said`).Scan(&index)
	})
	if err != nil {
		return 0, fmt.Errorf("reading what was said of rebuilds: %w", err)
	}
	return index, nil
}

const spokenColumns = `s.idx, s.released, s.origin, s.product, s.version, s.outcome, s.detail, s.at, s.streak`

// Spoken returns what the own log says of a release, in order.
func (d *Docket) Spoken(ctx context.Context, release digest.Digest) ([]Spoken, error) {
	return d.spoken(ctx, `WHERE s.released = $1 ORDER BY s.idx`, release[:])
}

// Alerts returns releases that are not identical though the ones before were,
// the newest first. An alert ends when a later run of the release is identical,
// or an operator acknowledges it.
func (d *Docket) Alerts(ctx context.Context) ([]Spoken, error) {
	return d.spoken(ctx, `WHERE s.streak > 0 AND s.outcome <> $1 AND s.acked = 0 AND NOT EXISTS
		(SELECT 1 FROM docket_said AS o WHERE o.released = s.released AND o.idx > s.idx) ORDER BY s.idx DESC LIMIT 500`,
		string(statement.Identical))
}

func (d *Docket) spoken(ctx context.Context, where string, args ...any) (out []Spoken, err error) {
	err = d.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT `+spokenColumns+` FROM docket_said AS s `+where, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var s Spoken
			var b []byte
			var outcome string
			var when int64
			if err := rows.Scan(&s.Index, &b, &s.Origin, &s.Product, &s.Version, &outcome, &s.Detail, &when, &s.Streak); err != nil {
				return errors.Join(err, rows.Close())
			}
			copy(s.Release[:], b)
			s.Outcome, s.At = statement.Outcome(outcome), at(when)
			out = append(out, s)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("reading what was said of rebuilds: %w", err)
	}
	return out, nil
}

// Acknowledge ends the alert about the statement at an index: an operator has
// seen it. [ErrUnknown] says that there is no such alert.
func (d *Docket) Acknowledge(ctx context.Context, index int64) error {
	err := d.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		var acked int64
		err := tx.QueryRowContext(ctx, `SELECT acked FROM docket_said WHERE idx = $1 AND streak > 0 AND outcome <> $2`,
			index, string(statement.Identical)).Scan(&acked)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrUnknown
		} else if err != nil || acked != 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE docket_said SET acked = $1 WHERE idx = $2`, d.Now().UnixMicro(), index)
		return err
	})
	if err != nil {
		return fmt.Errorf("acknowledging the alert of entry %d: %w", index, err)
	}
	return nil
}
