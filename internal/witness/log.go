package witness

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Bounds of what is kept for a log.
const (
	MaxKeys   = 8        // verifier keys
	MaxNote   = 4 << 10  // bytes of the note, and of a reason
	MaxOrigin = 255      // bytes: an ML-DSA-44 cosignature holds no more
	maxPerDay = 86400000 // 1,000 a second
)

// Log is a log that the witness cosigns.
type Log struct {
	Origin string
	Keys   []tlog.Verifier // any of them may sign; of type Ed25519 or MLDSA44Cosignature
	Note   string          // for operators
	PerDay int64           // checkpoints it may have cosigned a day; 0 is the default of the witness
}

// Status is a log and how far it is.
type Status struct {
	Log
	Added      time.Time
	Size       int64
	Root       tlog.Hash
	Checkpoint []byte    // the newest cosigned; nil where there is none
	Cosigned   time.Time // when; zero where there is none
	Paused     bool      // by an operator
	Forked     bool      // there is evidence that no operator has accepted
	Reason     string    // given with the last pause or resumption
}

// OriginHash is the name of a log in the monitoring prefix, and its key in the
// database.
func OriginHash(origin string) [sha256.Size]byte { return sha256.Sum256([]byte(origin)) }

func (w *Witness) checkLog(l Log) error {
	if err := (tlog.Checkpoint{Origin: l.Origin, Root: tlog.EmptyRoot()}).Validate(); err != nil {
		return fmt.Errorf("origin %.80q: %w", l.Origin, err)
	}
	if len(l.Origin) > MaxOrigin {
		return fmt.Errorf("origin %.40q… has %d bytes, want at most %d", l.Origin, len(l.Origin), MaxOrigin)
	}
	if err := checkText("note", l.Note); err != nil {
		return err
	}
	if l.PerDay < 0 || l.PerDay > maxPerDay {
		return fmt.Errorf("%d checkpoints a day, want 0 to %d", l.PerDay, maxPerDay)
	}
	return w.checkKeys(l.Keys)
}

func (w *Witness) checkKeys(keys []tlog.Verifier) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return fmt.Errorf("%d verifier keys, want 1 to %d", len(keys), MaxKeys)
	}
	for i, k := range keys {
		if k.Type() != tlog.Ed25519 && k.Type() != tlog.MLDSA44Cosignature {
			return fmt.Errorf("key %s: %s is not the type of a log's key", k.Name(), k.Type())
		}
		for _, other := range keys[:i] {
			if k.SameKey(other) || k.Name() == other.Name() && k.KeyID() == other.KeyID() {
				return fmt.Errorf("key %s stands twice", k)
			}
		}
		for _, own := range w.Verifiers() {
			if k.SameKey(own) || k.Name() == own.Name() && k.KeyID() == own.KeyID() {
				return fmt.Errorf("key %s is the witness's own", k)
			}
		}
	}
	return nil
}

func checkText(what, s string) error {
	if len(s) > MaxNote || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fmt.Errorf("%s: want at most %d bytes of UTF-8 without NUL", what, MaxNote)
	}
	return nil
}

func formatKeys(keys []tlog.Verifier) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(k.String() + "\n")
	}
	return b.String()
}

// Add tells the witness of a log, from size 0. A log that is known with the same
// keys stays as it is; one that is known with other keys is refused
// ([ErrDifferent]), and so is one too many ([ErrFull]). Logs are never removed: a
// log that came back at size 0 could show two histories. Pause it instead. Once a
// witness has lost its state, logs that are added are paused: see [Witness.Adopt].
func (w *Witness) Add(ctx context.Context, l Log) error {
	_, err := w.add(ctx, l)
	return err
}

// add reports whether the log was new.
func (w *Witness) add(ctx context.Context, l Log) (added bool, err error) {
	if err := w.checkLog(l); err != nil {
		return false, fmt.Errorf("adding a log: %w", err)
	}
	h, root := OriginHash(l.Origin), tlog.EmptyRoot()
	paused, reason := w.cautious(), ""
	if paused {
		reason = reasonAfterLoss
	}
	err = w.update(ctx, func(ctx context.Context, tx *store.Tx) error {
		added = false
		r, err := readRow(ctx, tx, h)
		if err == nil {
			if r.vkeys != formatKeys(l.Keys) {
				return fmt.Errorf("%s: %w", l.Origin, ErrDifferent)
			}
			return nil
		} else if !errors.Is(err, ErrUnknown) {
			return err
		}
		var n int64
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM witness_log`).Scan(&n); err != nil {
			return err
		}
		if n >= int64(w.o.Limits.Logs) {
			return fmt.Errorf("%s: %w: %d are kept", l.Origin, ErrFull, n)
		}
		added = true
		_, err = tx.ExecContext(ctx, `INSERT INTO witness_log (origin_hash, origin, vkeys, note, per_day, added,
				size, root, checkpoint, grown, cosigned_at, paused, forked, reason)
			VALUES ($1, $2, $3, $4, $5, $6, 0, $7, NULL, 0, 0, $8, $9, $10)`,
			h[:], l.Origin, formatKeys(l.Keys), l.Note, l.PerDay, w.now(), root[:], paused, false, reason)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("adding a log: %w", err)
	}
	if added {
		w.o.Log.Info("log added to the witness", "origin", l.Origin, "paused", paused)
	}
	return added, nil
}

// SetKeys gives a known log other verifier keys (after a rotation). What was
// cosigned stays.
func (w *Witness) SetKeys(ctx context.Context, origin string, keys []tlog.Verifier) error {
	if err := w.checkKeys(keys); err != nil {
		return fmt.Errorf("changing the keys of %s: %w", origin, err)
	}
	return w.change(ctx, "changing the keys of", origin, `UPDATE witness_log SET vkeys = $2 WHERE origin_hash = $1`, formatKeys(keys))
}

// Pause stops cosigning a log until [Witness.Resume].
func (w *Witness) Pause(ctx context.Context, origin, reason string) error {
	if err := checkReason(reason); err != nil {
		return fmt.Errorf("pausing %s: %w", origin, err)
	}
	err := w.change(ctx, "pausing", origin, `UPDATE witness_log SET paused = $2, reason = $3 WHERE origin_hash = $1`, true, reason)
	if err == nil {
		w.o.Log.Warn("log paused", "origin", origin, "reason", reason)
	}
	return err
}

// Resume goes on cosigning a log that was paused or forked: an operator has seen
// the evidence there is, and accepts it for this reason.
func (w *Witness) Resume(ctx context.Context, origin, reason string) error {
	if err := checkReason(reason); err != nil {
		return fmt.Errorf("resuming %s: %w", origin, err)
	}
	h := OriginHash(origin)
	err := w.update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := execOne(ctx, tx, `UPDATE witness_log SET paused = $2, forked = $2, reason = $3 WHERE origin_hash = $1`, h[:], false, reason); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE witness_evidence SET accepted = $2
			WHERE origin_hash = $1 AND kind = 'fork' AND accepted IS NULL`, h[:], w.now())
		return err
	})
	if err != nil {
		return fmt.Errorf("resuming %s: %w", origin, err)
	}
	w.o.Log.Warn("log resumed", "origin", origin, "reason", reason)
	return nil
}

func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return errors.New("no reason given")
	}
	return checkText("reason", reason)
}

// change runs a query on the row of one log.
func (w *Witness) change(ctx context.Context, doing, origin, query string, args ...any) error {
	h := OriginHash(origin)
	err := w.update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return execOne(ctx, tx, query, append([]any{h[:]}, args...)...)
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w", doing, origin, err)
	}
	return nil
}

func execOne(ctx context.Context, tx *store.Tx, query string, args ...any) error {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrUnknown)
	}
	return nil
}

// Get returns one log, or [ErrUnknown].
func (w *Witness) Get(ctx context.Context, origin string) (s Status, err error) {
	err = w.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, err := readRow(ctx, tx, OriginHash(origin))
		if err != nil {
			return err
		}
		s, err = w.status(r)
		return err
	})
	if err != nil {
		return Status{}, fmt.Errorf("log %s: %w", origin, err)
	}
	return s, nil
}

// List returns up to limit logs after the one with this origin, in the order of
// the bytes of their origins.
func (w *Witness) List(ctx context.Context, after string, limit int) (out []Status, err error) {
	err = w.view(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT `+columns+` FROM witness_log WHERE origin > $1 ORDER BY origin LIMIT $2`, after, limit)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			r, err := scanRow(rows)
			if err != nil {
				return err
			}
			s, err := w.status(r)
			if err != nil {
				return err
			}
			out = append(out, s)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("listing the logs of the witness: %w", err)
	}
	return out, nil
}

// row is a row of witness_log.
type row struct {
	hash                        [sha256.Size]byte
	origin, vkeys, note, reason string
	perDay, added, size, grown  int64
	cosigned                    int64
	root                        tlog.Hash
	checkpoint                  []byte
	paused, forked              bool
}

const columns = `origin_hash, origin, vkeys, note, per_day, added, size, root, checkpoint, grown, cosigned_at, paused, forked, reason`

func scanRow(s interface{ Scan(...any) error }) (*row, error) {
	var r row
	var hash, root []byte
	if err := s.Scan(&hash, &r.origin, &r.vkeys, &r.note, &r.perDay, &r.added, &r.size, &root, &r.checkpoint,
		&r.grown, &r.cosigned, &r.paused, &r.forked, &r.reason); err != nil {
		return nil, err
	}
	if copy(r.hash[:], hash) != len(r.hash) || copy(r.root[:], root) != len(r.root) {
		return nil, fmt.Errorf("log %s: a hash in the database has the wrong length: %w", r.origin, store.ErrDamaged)
	}
	return &r, nil
}

func readRow(ctx context.Context, tx *store.Tx, h [sha256.Size]byte) (*row, error) {
	r, err := scanRow(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM witness_log WHERE origin_hash = $1`, h[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrUnknown
	}
	return r, err
}

func (w *Witness) status(r *row) (Status, error) {
	keys, err := w.keys.parse(r.vkeys)
	if err != nil {
		return Status{}, fmt.Errorf("log %s: %w", r.origin, err)
	}
	s := Status{
		Log:   Log{Origin: r.origin, Keys: keys, Note: r.note, PerDay: r.perDay},
		Added: time.UnixMicro(r.added).UTC(), Size: r.size, Root: r.root, Checkpoint: r.checkpoint,
		Paused: r.paused, Forked: r.forked, Reason: r.reason,
	}
	if r.cosigned != 0 {
		s.Cosigned = time.UnixMicro(r.cosigned).UTC()
	}
	return s, nil
}

// keyCache keeps parsed keys: parsing is dearer than verifying.
type keyCache struct {
	mu   sync.Mutex
	keys map[string][]tlog.Verifier
}

const maxCachedKeys = 4096

func (c *keyCache) parse(vkeys string) ([]tlog.Verifier, error) {
	c.mu.Lock()
	keys, ok := c.keys[vkeys]
	c.mu.Unlock()
	if ok {
		return keys, nil
	}
	for line := range strings.Lines(vkeys) {
		v, err := tlog.ParseVerifier(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("a key in the database: %w", err)
		}
		keys = append(keys, v)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= maxCachedKeys {
		c.keys = map[string][]tlog.Verifier{}
	}
	c.keys[vkeys] = keys
	return keys, nil
}
