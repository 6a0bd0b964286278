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
)

// Release is a projected release statement.
type Release struct {
	Origin            string // of the log
	Index             int64
	Statement         digest.Digest // of the envelope
	Key               digest.Digest // ID of the key that signed
	Count             int           // artifacts
	Bytes             int64         // of all artifacts
	statement.Release               // Artifacts is filled only for a single release
}

// Filter picks releases. The zero value picks the newest of the own log.
type Filter struct {
	Log      string        // origin; empty: the own log
	Product  string        // exactly
	Channel  string        // exactly
	Artifact digest.Digest // ships this file
	Before   int64         // index below this one; 0: no bound
	Limit    int           // at most MaxRows, which is the default
}

// limit returns how many rows are wanted.
func (f *Filter) limit() int {
	if f.Limit <= 0 || f.Limit > MaxRows {
		return MaxRows
	}
	return f.Limit
}

// Releases returns releases of one log that fit f, the latest entry first.
func (p *Projection) Releases(ctx context.Context, f Filter) ([]Release, error) {
	if f.Log == "" {
		f.Log = p.Origin
	}
	if f.Before <= 0 {
		f.Before = 1<<63 - 1
	}
	where := `WHERE l.origin = $1 AND r.idx < $2`
	args := []any{f.Log, f.Before}
	where, args = f.narrow(where, args)
	where += fmt.Sprintf(" ORDER BY r.idx DESC LIMIT $%d", len(args)+1)
	return p.list(ctx, where, append(args, f.limit()))
}

// narrow adds the conditions that hold for one log as for all.
func (f *Filter) narrow(where string, args []any) (string, []any) {
	add := func(cond string, v any) {
		args = append(args, v)
		where += fmt.Sprintf(" AND "+cond, len(args))
	}
	if f.Product != "" {
		add("r.product = $%d", f.Product)
	}
	if f.Channel != "" {
		add("r.channel = $%d", f.Channel)
	}
	if !f.Artifact.IsZero() {
		add(`EXISTS (SELECT 1 FROM projected_artifact AS a WHERE a.sha256 = $%d AND a.log_id = r.log_id AND a.idx = r.idx)`,
			f.Artifact[:])
	}
	return where, args
}

// Cursor is a place in the list of the releases of all logs.
type Cursor struct {
	Published time.Time // what the signer says
	Origin    string
	Index     int64
}

// AllReleases returns releases of all logs that fit f, by the time that their
// signers give, the latest first; f.Log and f.Before do not count. after is the
// last one that was seen; nil: from the first.
func (p *Projection) AllReleases(ctx context.Context, f Filter, after *Cursor) ([]Release, error) {
	where, args := `WHERE true`, []any(nil)
	if after != nil {
		where = `WHERE r.published <= $1 AND (r.published < $1 OR l.origin > $2 OR (l.origin = $2 AND r.idx < $3))`
		args = []any{after.Published.UnixMicro(), after.Origin, after.Index}
	}
	where, args = f.narrow(where, args)
	where += fmt.Sprintf(" ORDER BY r.published DESC, l.origin, r.idx DESC LIMIT $%d", len(args)+1)
	return p.list(ctx, where, append(args, f.limit()))
}

func (p *Projection) list(ctx context.Context, where string, args []any) (out []Release, err error) {
	err = p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		out, err = releases(ctx, tx, where, args...)
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
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		found, err := releases(ctx, tx, `WHERE r.envelope = $2 ORDER BY `+ownFirst+`, r.idx LIMIT 1`, p.Origin, envelope[:])
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrUnknown
		}
		r = found[0]
		r.Artifacts, err = artifacts(ctx, tx, r.Origin, r.Index)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", envelope, err)
	}
	return &r, nil
}

func releases(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Release, error) {
	rows, err := tx.QueryContext(ctx, `SELECT l.origin, r.idx, r.envelope, r.key_id, r.product, r.version, r.channel,
		r.seq, r.previous, r.published, r.notes, r.artifacts, r.bytes, r.source_kind, r.source_access, r.source_size,
		r.source_sha256, r.source_commit, r.source_uri
		FROM projected_release AS r JOIN projected_log AS l ON l.id = r.log_id `+where, args...)
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
	err := rows.Scan(&r.Origin, &r.Index, &env, &key, &r.Product, &r.Version, &r.Channel, &r.Seq, &previous,
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

func artifacts(ctx context.Context, tx *store.Tx, origin string, index int64) ([]statement.Artifact, error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, size, sha256, sbom_type, sbom_size, sbom_sha256
		FROM projected_artifact WHERE log_id = `+idOf+` AND idx = $2 ORDER BY pos`, origin, index)
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

// Counts returns how much of the own log is projected; [Projection.Logs] has the others.
func (p *Projection) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(statements), 0), COALESCE(MAX(releases), 0)
			FROM projected_log WHERE origin = $1`, p.Origin).Scan(&c.Statements, &c.Releases)
	})
	if err != nil {
		return c, fmt.Errorf("counting what is projected: %w", err)
	}
	return c, nil
}
