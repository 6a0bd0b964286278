package witness

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Bounds of the evidence kept for a log, of each kind.
const (
	MaxForks    = 32
	MaxSuspects = 32
)

// Kind says what evidence shows.
type Kind string

// The kinds of evidence.
const (
	// Fork: the log has signed two trees of one size. It cannot be honest.
	Fork Kind = "fork"
	// Suspect: a checkpoint that the log has signed came with a proof that does
	// not hold. Whoever sent it may have made the proof; the log is not to blame
	// until the tree has grown to that size with another root.
	Suspect Kind = "suspect"
)

// Evidence is two checkpoints with the log's signatures.
type Evidence struct {
	Kind     Kind
	Origin   string
	Cosigned []byte // what was cosigned, or (Fork) passed all checks to be cosigned
	Other    []byte
	Seen     time.Time
	Accepted time.Time // when an operator resumed the log; zero until then
}

// Evidence returns what is kept about a log, oldest first.
func (w *Witness) Evidence(ctx context.Context, origin string) (out []Evidence, err error) {
	h := OriginHash(origin)
	err = w.view(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT kind, a, b, seen, accepted FROM witness_evidence WHERE origin_hash = $1 ORDER BY seen, size`, h[:])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			e := Evidence{Origin: origin}
			var seen int64
			var accepted sql.NullInt64
			if err := rows.Scan(&e.Kind, &e.Cosigned, &e.Other, &seen, &accepted); err != nil {
				return err
			}
			e.Seen = time.UnixMicro(seen).UTC()
			if accepted.Valid {
				e.Accepted = time.UnixMicro(accepted.Int64).UTC()
			}
			out = append(out, e)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("evidence about %s: %w", origin, err)
	}
	return out, nil
}

// judge looks at a checkpoint that the log has signed and that was refused, and
// keeps it where it contradicts what was cosigned, or may once the log has grown.
func (w *Witness) judge(ctx context.Context, r *row, c *tlog.SignedCheckpoint, refused error) {
	var a []byte
	var found []Evidence
	err := w.view(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		a, err = contradicted(ctx, tx, r, c)
		return err
	})
	f, _ := errors.AsType[*refusal](refused)
	switch {
	case err != nil:
	case a != nil:
		err = w.update(ctx, func(ctx context.Context, tx *store.Tx) error {
			found = nil
			_, err := w.keepFork(ctx, tx, r, a, c, w.now(), &found)
			return err
		})
	case f != nil && f.status == http.StatusUnprocessableEntity && c.Size > r.size && r.checkpoint != nil && w.rates.take(r, false, w.o.Now()) == nil:
		err = w.update(ctx, func(ctx context.Context, tx *store.Tx) error {
			found = nil
			// The log may have grown to that size since the row was read.
			a, err := contradicted(ctx, tx, r, c)
			if err != nil {
				return err
			}
			if a != nil {
				_, err = w.keepFork(ctx, tx, r, a, c, w.now(), &found)
				return err
			}
			return w.keepSuspect(ctx, tx, r, c, w.now())
		})
	}
	if err != nil {
		w.o.Log.Error("keeping evidence", "origin", c.Origin, "size", c.Size, "err", err)
		return
	}
	w.tell(found)
}

// tell tells whoever wants to know of forks that are kept.
func (w *Witness) tell(found []Evidence) {
	for _, e := range found {
		if w.o.OnFork != nil {
			w.o.OnFork(e.Origin, e)
		}
	}
}

// contradicted returns the cosigned checkpoint of the same size and another
// root, or nil. Those that have left the ring are forgotten.
func contradicted(ctx context.Context, tx *store.Tx, r *row, c *tlog.SignedCheckpoint) ([]byte, error) {
	var a []byte
	err := tx.QueryRowContext(ctx, `SELECT checkpoint FROM witness_view
		WHERE origin_hash = $1 AND size = $2 AND root <> $3 LIMIT 1`, r.hash[:], c.Size, c.Root[:]).Scan(&a)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return a, err
}

// judgeSuspects compares a checkpoint that is about to be cosigned with what
// came earlier under its size. It reports whether the log must not be cosigned.
func (w *Witness) judgeSuspects(ctx context.Context, tx *store.Tx, r *row, c *tlog.SignedCheckpoint, now int64, found *[]Evidence) (bool, error) {
	others, err := suspects(ctx, tx, r, c)
	if err != nil {
		return false, err
	}
	held := false
	for _, b := range others { // all of them, so that an operator sees and accepts them at once
		other, err := tlog.ParseCheckpoint(b)
		if err != nil {
			return false, fmt.Errorf("evidence in the database: %w", err)
		}
		forked, err := w.keepFork(ctx, tx, r, c.Marshal(), other, now, found)
		if err != nil {
			return false, err
		}
		held = held || forked
	}
	return held, nil
}

// suspects returns what was kept under the size of c with another root.
func suspects(ctx context.Context, tx *store.Tx, r *row, c *tlog.SignedCheckpoint) (out [][]byte, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT b FROM witness_evidence
		WHERE origin_hash = $1 AND size = $2 AND root <> $3 AND kind = 'suspect'`, r.hash[:], c.Size, c.Root[:])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, rows.Err()
}

// keepFork keeps two trees of one size and holds the log. It reports false where
// an operator has accepted this very fork.
func (w *Witness) keepFork(ctx context.Context, tx *store.Tx, r *row, a []byte, b *tlog.SignedCheckpoint, now int64, found *[]Evidence) (bool, error) {
	first, err := tlog.ParseCheckpoint(a)
	if err != nil {
		return false, fmt.Errorf("a checkpoint in the database: %w", err)
	}
	digest := evidenceDigest(Fork, first.Checkpoint, b.Checkpoint)
	var accepted sql.NullInt64
	err = tx.QueryRowContext(ctx, `SELECT accepted FROM witness_evidence WHERE origin_hash = $1 AND digest = $2`, r.hash[:], digest[:]).Scan(&accepted)
	switch {
	case err == nil:
		return !accepted.Valid, nil
	case !errors.Is(err, sql.ErrNoRows):
		return false, err
	}
	if err := execOne(ctx, tx, `UPDATE witness_log SET forked = $2 WHERE origin_hash = $1`, r.hash[:], true); err != nil {
		return false, err
	}
	w.o.Log.Error("a log has signed two histories: it is not cosigned any more", "origin", r.origin, "size", b.Size)
	w.metrics.evidence.WithLabelValues(string(Fork)).Inc()
	*found = append(*found, Evidence{Kind: Fork, Origin: r.origin, Cosigned: a, Other: b.Marshal(), Seen: time.UnixMicro(now).UTC()})
	n, err := countEvidence(ctx, tx, r, Fork)
	if err != nil || n >= MaxForks {
		return true, err
	}
	return true, insertEvidence(ctx, tx, r, Fork, digest, a, b, now)
}

// keepSuspect keeps the newest of a kind that anyone can send.
func (w *Witness) keepSuspect(ctx context.Context, tx *store.Tx, r *row, c *tlog.SignedCheckpoint, now int64) error {
	digest := evidenceDigest(Suspect, tlog.Checkpoint{}, c.Checkpoint)
	var seen int64
	err := tx.QueryRowContext(ctx, `SELECT seen FROM witness_evidence WHERE origin_hash = $1 AND digest = $2`, r.hash[:], digest[:]).Scan(&seen)
	if !errors.Is(err, sql.ErrNoRows) {
		return err // it is kept already
	}
	n, err := countEvidence(ctx, tx, r, Suspect)
	if err != nil {
		return err
	}
	if n >= MaxSuspects {
		if _, err := tx.ExecContext(ctx, `DELETE FROM witness_evidence WHERE origin_hash = $1 AND digest =
			(SELECT digest FROM witness_evidence WHERE origin_hash = $1 AND kind = 'suspect' ORDER BY seen LIMIT 1)`, r.hash[:]); err != nil {
			return err
		}
	}
	w.metrics.evidence.WithLabelValues(string(Suspect)).Inc()
	return insertEvidence(ctx, tx, r, Suspect, digest, r.checkpoint, c, now)
}

func countEvidence(ctx context.Context, tx *store.Tx, r *row, k Kind) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM witness_evidence WHERE origin_hash = $1 AND kind = $2`, r.hash[:], string(k)).Scan(&n)
	return n, err
}

func insertEvidence(ctx context.Context, tx *store.Tx, r *row, k Kind, digest [sha256.Size]byte, a []byte, b *tlog.SignedCheckpoint, now int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO witness_evidence (origin_hash, digest, kind, size, root, a, b, seen, accepted)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)`,
		r.hash[:], digest[:], string(k), b.Size, b.Root[:], a, b.Marshal(), now)
	return err
}

// evidenceDigest names a contradiction by sizes and roots alone, so that the
// same one with other extension lines or signatures is not kept twice.
func evidenceDigest(k Kind, a, b tlog.Checkpoint) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s %d %x %d %x", k, a.Size, a.Root[:], b.Size, b.Root[:]))
}
