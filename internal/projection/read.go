package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// MaxRows bounds what one query returns.
const MaxRows = 200

// Entry is a projected log entry.
type Entry struct {
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

// Release is a projected release statement.
type Release struct {
	Index             int64
	Statement         digest.Digest // of the envelope
	Key               digest.Digest // ID of the key that signed
	Count             int           // artifacts
	Bytes             int64         // of all artifacts
	statement.Release               // Artifacts is filled only for a single release
}

// Filter picks releases. The zero value picks the newest of all.
type Filter struct {
	Product  string        // exactly
	Channel  string        // exactly
	Artifact digest.Digest // ships this file
	Before   int64         // index below this one; 0: no bound
	Limit    int           // at most MaxRows, which is the default
}

// Entries returns the projected entries with from <= index < to, in order;
// entries of kind Other have none.
func (p *Projection) Entries(ctx context.Context, from, to int64) ([]Entry, error) {
	var out []Entry
	err := p.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = entries(ctx, tx, `WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3`, from, to, MaxRows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading entries %d to %d: %w", from, to, err)
	}
	return out, nil
}

// Entry returns one projected entry with its subjects, or [ErrUnknown].
func (p *Projection) Entry(ctx context.Context, index int64) (Entry, error) {
	return p.entry(ctx, fmt.Sprintf("entry %d", index), `WHERE idx = $1`, index)
}

// Statement returns the first entry of the statement with this envelope, or [ErrUnknown].
func (p *Projection) Statement(ctx context.Context, envelope digest.Digest) (Entry, error) {
	return p.entry(ctx, "statement "+envelope.String(), `WHERE envelope = $1 ORDER BY idx LIMIT 1`, envelope[:])
}

func (p *Projection) entry(ctx context.Context, what, where string, args ...any) (Entry, error) {
	var e Entry
	err := p.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		found, err := entries(ctx, tx, where, args...)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrUnknown
		}
		e = found[0]
		e.Subjects, err = subjects(ctx, tx, e.Index)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", what, err)
	}
	return e, nil
}

func entries(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Entry, error) {
	rows, err := tx.QueryContext(ctx, `SELECT idx, kind, leaf_hash, key_id, envelope, predicate_type, problem
		FROM projected_entry `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		var e Entry
		var leaf, key, env []byte
		if err := rows.Scan(&e.Index, (*string)(&e.Kind), &leaf, &key, &env, &e.PredicateType, &e.Problem); err != nil {
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

func subjects(ctx context.Context, tx *store.Tx, index int64) ([]Subject, error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, sha256 FROM projected_subject WHERE idx = $1 ORDER BY pos`, index)
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

// Releases returns releases that fit f, newest first.
func (p *Projection) Releases(ctx context.Context, f Filter) ([]Release, error) {
	if f.Limit <= 0 || f.Limit > MaxRows {
		f.Limit = MaxRows
	}
	if f.Before <= 0 {
		f.Before = 1<<63 - 1
	}
	var out []Release
	err := p.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if f.Artifact.IsZero() {
			out, err = releases(ctx, tx, `WHERE ($1 = '' OR product = $1) AND ($2 = '' OR channel = $2) AND idx < $3
				ORDER BY idx DESC LIMIT $4`, f.Product, f.Channel, f.Before, f.Limit)
			return err
		}
		out, err = releases(ctx, tx, `WHERE ($1 = '' OR product = $1) AND ($2 = '' OR channel = $2) AND idx < $3
			AND idx IN (SELECT idx FROM projected_artifact WHERE sha256 = $5)
			ORDER BY idx DESC LIMIT $4`, f.Product, f.Channel, f.Before, f.Limit, f.Artifact[:])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading releases: %w", err)
	}
	return out, nil
}

// Release returns the release with this statement, artifacts included, or [ErrUnknown].
func (p *Projection) Release(ctx context.Context, envelope digest.Digest) (*Release, error) {
	var r Release
	err := p.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		found, err := releases(ctx, tx, `WHERE envelope = $1 ORDER BY idx LIMIT 1`, envelope[:])
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrUnknown
		}
		r = found[0]
		r.Artifacts, err = artifacts(ctx, tx, r.Index)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", envelope, err)
	}
	return &r, nil
}

func releases(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Release, error) {
	rows, err := tx.QueryContext(ctx, `SELECT idx, envelope, key_id, product, version, channel, seq, previous,
		published, notes, artifacts, bytes, source_kind, source_access, source_size, source_sha256,
		source_commit, source_uri FROM projected_release `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Release
	for rows.Next() {
		r, err := scanRelease(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func scanRelease(rows *sql.Rows) (Release, error) {
	var r Release
	var env, key, previous, sum []byte
	var published int64
	var src statement.Source
	err := rows.Scan(&r.Index, &env, &key, &r.Product, &r.Version, &r.Channel, &r.Seq, &previous,
		&published, &r.Notes, &r.Count, &r.Bytes, &src.Kind, &src.Access, &src.Size, &sum, &src.Commit, &src.URI)
	if err != nil {
		return r, err
	}
	r.Release.Published = time.UnixMicro(published).UTC()
	var errs [4]error
	r.Statement, errs[0] = toDigest(env)
	r.Key, errs[1] = toDigest(key)
	src.SHA256, errs[2] = toDigest(sum)
	if previous != nil {
		var d digest.Digest
		d, errs[3] = toDigest(previous)
		r.Previous = &d
	}
	if src.Kind != "" {
		r.Source = &src
	}
	return r, errors.Join(errs[:]...)
}

func artifacts(ctx context.Context, tx *store.Tx, index int64) ([]statement.Artifact, error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, size, sha256, sbom_type, sbom_size, sbom_sha256
		FROM projected_artifact WHERE idx = $1 ORDER BY pos`, index)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []statement.Artifact
	for rows.Next() {
		var a statement.Artifact
		var sbom statement.Evidence
		var sum, sbomSum []byte
		if err := rows.Scan(&a.Name, &a.Size, &sum, &sbom.MediaType, &sbom.Size, &sbomSum); err != nil {
			return nil, err
		}
		if a.SHA256, err = toDigest(sum); err != nil {
			return nil, err
		}
		if sbomSum != nil {
			if sbom.SHA256, err = toDigest(sbomSum); err != nil {
				return nil, err
			}
			a.SBOM = &sbom
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// Counts tells how much is projected.
type Counts struct {
	Statements int64 // whose envelope is known and checked
	Releases   int64
}

// Counts returns how much is projected.
func (p *Projection) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	err := p.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(statements), 0), COALESCE(MAX(releases), 0)
			FROM projected_state`).Scan(&c.Statements, &c.Releases)
	})
	if err != nil {
		return c, fmt.Errorf("counting what is projected: %w", err)
	}
	return c, nil
}
