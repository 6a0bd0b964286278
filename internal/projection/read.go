package projection

import (
	"context"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// MaxRows bounds what one query returns.
const MaxRows = 200

// idOf is the number of the log whose origin is the first argument.
const idOf = `(SELECT id FROM projected_log WHERE origin = $1)`

// Entry is a projected log entry.
type Entry struct {
	Origin        string // of the log
	Index         int64
	Kind          Kind
	LeafHash      tlog.Hash
	Key           digest.Digest // of a statement: the ID of the key that signed
	Envelope      digest.Digest // of a statement; zero where it is not known
	PredicateType string        // empty where the statement is not known
	Subjects      []Subject     // of a single entry
	Problem       string        // why the statement cannot be shown; empty: it was checked
}

// Subject is what a statement speaks of.
type Subject struct {
	Name   string
	SHA256 digest.Digest // zero where the statement names no sha256
}

// Entries returns the projected entries of the own log with from <= index < to,
// in order; entries of kind Other have none.
func (p *Projection) Entries(ctx context.Context, from, to int64) ([]Entry, error) {
	return p.EntriesOf(ctx, p.Origin, from, to)
}

// EntriesOf is Entries for any log.
func (p *Projection) EntriesOf(ctx context.Context, origin string, from, to int64) ([]Entry, error) {
	var out []Entry
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = entries(ctx, tx, `WHERE l.origin = $1 AND e.idx >= $2 AND e.idx < $3 ORDER BY e.idx LIMIT $4`,
			origin, from, to, MaxRows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading entries %d to %d of %s: %w", from, to, origin, err)
	}
	return out, nil
}

// Entry returns one projected entry of the own log with its subjects, or [ErrUnknown].
func (p *Projection) Entry(ctx context.Context, index int64) (Entry, error) {
	return p.EntryOf(ctx, p.Origin, index)
}

// EntryOf is Entry for any log.
func (p *Projection) EntryOf(ctx context.Context, origin string, index int64) (Entry, error) {
	return p.entry(ctx, fmt.Sprintf("entry %d", index), `WHERE l.origin = $1 AND e.idx = $2`, origin, index)
}

// ownFirst orders what stands in several logs: own log, others by origin. Its
// one argument is the own origin.
const ownFirst = `CASE WHEN l.origin = $1 THEN 0 ELSE 1 END, l.origin`

// Statement returns the first entry of the statement with this envelope, that in
// the own log if there is one, or [ErrUnknown].
func (p *Projection) Statement(ctx context.Context, envelope digest.Digest) (Entry, error) {
	return p.entry(ctx, "statement "+envelope.String(),
		`WHERE e.envelope = $2 ORDER BY `+ownFirst+`, e.idx LIMIT 1`, p.Origin, envelope[:])
}

// Places returns where the statement with this envelope stands, in all logs, at
// most [MaxRows] of them, the own log first.
func (p *Projection) Places(ctx context.Context, envelope digest.Digest) ([]Entry, error) {
	var out []Entry
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = entries(ctx, tx, `WHERE e.envelope = $2 ORDER BY `+ownFirst+`, e.idx LIMIT $3`,
			p.Origin, envelope[:], MaxRows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("statement %s: %w", envelope, err)
	}
	return out, nil
}

func (p *Projection) entry(ctx context.Context, what, where string, args ...any) (Entry, error) {
	var e Entry
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		found, err := entries(ctx, tx, where, args...)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrUnknown
		}
		e = found[0]
		e.Subjects, err = subjects(ctx, tx, e.Origin, e.Index)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", what, err)
	}
	return e, nil
}

func entries(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Entry, error) {
	rows, err := tx.QueryContext(ctx, `SELECT l.origin, e.idx, e.kind, e.leaf_hash, e.key_id, e.envelope,
		e.predicate_type, e.problem FROM projected_entry AS e JOIN projected_log AS l ON l.id = e.log_id `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		var e Entry
		var leaf, key, env []byte
		if err := rows.Scan(&e.Origin, &e.Index, (*string)(&e.Kind), &leaf, &key, &env, &e.PredicateType, &e.Problem); err != nil {
			return nil, err
		}
		hash, err := toDigest(leaf)
		if err == nil {
			e.LeafHash = tlog.Hash(hash)
			e.Key, err = toDigest(key)
		}
		if err == nil {
			e.Envelope, err = toDigest(env)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

func subjects(ctx context.Context, tx *store.Tx, origin string, index int64) ([]Subject, error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, sha256 FROM projected_subject
		WHERE log_id = `+idOf+` AND idx = $2 ORDER BY pos`, origin, index)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Subject
	for rows.Next() {
		var s Subject
		var sum []byte
		if err := rows.Scan(&s.Name, &sum); err != nil {
			return nil, err
		}
		if s.SHA256, err = toDigest(sum); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}
