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

// Rebuild is a projected rebuild/v1: what the owner of a log says that came of
// building a release again. Whoever owns the log has signed it; whether it is
// so is for the reader.
type Rebuild struct {
	Origin      string // of the log
	Index       int64
	Statement   digest.Digest // of the envelope
	Release     digest.Digest // of the release's envelope
	Outcome     statement.Outcome
	Engine      string
	Job, Recipe digest.Digest // zero: none
	Attempts    int
	Flaky       bool
	Reason      statement.Reason // of the last attempt, as Detail and Finished
	Detail      string
	Finished    time.Time
	Explanation *statement.Evidence
	Log         *statement.Evidence // of the last attempt, without its type
	Provenance  digest.Digest       // of the envelope in the same log; zero: none
	Product     string              // as the release says; empty where it is not held here, as Version
	Version     string
	Artifacts   []statement.RebuiltArtifact
}

// rebuilding reads what a believed statement says of a rebuild. One that cannot
// be read is an entry like any other, and says nothing here.
func (e *fact) rebuilding(s *statement.Statement) {
	switch s.PredicateType {
	case statement.RebuildType:
		if r, err := s.Rebuild(); err == nil {
			e.rebuild = r
		}
	case statement.ProvenanceType:
		if p, err := s.Provenance(); err == nil {
			e.built = p
		}
	}
}

func (set *rowSet) addRebuild(log int64, f *fact, r *statement.Rebuild) {
	last := r.Attempts[len(r.Attempts)-1]
	var flaky int64
	if r.Flaky() {
		flaky = 1
	}
	var x statement.Evidence
	if r.Explanation != nil {
		x = *r.Explanation
	}
	var journal statement.Evidence
	if last.Log != nil {
		journal = *last.Log
	}
	set.rebuild.add(log, f.index, f.envelope[:], r.Release[:], string(r.Outcome), r.Engine, perhaps(r.Job), perhaps(r.Recipe),
		len(r.Attempts), flaky, string(last.Reason), text(last.Detail), last.Finished.UnixMicro(), text(x.MediaType), x.Size, null(x.SHA256),
		journal.Size, null(journal.SHA256))
	for i, a := range r.Artifacts {
		set.rebuilt.add(log, f.index, i, text(a.Name), a.Shipped[:], perhaps(a.Rebuilt), string(a.Outcome))
	}
}

func (set *rowSet) addProvenance(log int64, f *fact, p *statement.Provenance) {
	b := p.BuildDefinition
	set.provenance.add(log, f.index, f.envelope[:], perhaps(b.ExternalParameters.Release), b.InternalParameters.Job[:],
		b.InternalParameters.Engine, text(p.RunDetails.Builder.ID))
}

// perhaps is the column of a digest, NULL for none.
func perhaps(d *digest.Digest) any {
	if d == nil {
		return nil
	}
	return null(*d)
}

// RebuildFilter picks rebuilds.
type RebuildFilter struct {
	Release digest.Digest     // zero: of all
	Outcome statement.Outcome // empty: any
	Limit   int               // at most MaxRows, which is the default
}

// RebuildCursor is a place in the list of rebuilds.
type RebuildCursor struct {
	Finished time.Time // what the signer says
	Origin   string
	Index    int64
}

// Rebuilds returns what all followed logs say of rebuilds, by the time that
// their signers give, the latest first, without artifacts. after is the last one
// that was seen; nil: from the first.
func (p *Projection) Rebuilds(ctx context.Context, f RebuildFilter, after *RebuildCursor) (out []Rebuild, err error) {
	where, args := `WHERE true`, []any(nil)
	add := func(cond string, v any) {
		args = append(args, v)
		where += fmt.Sprintf(" AND "+cond, len(args))
	}
	if after != nil {
		where = `WHERE r.finished <= $1 AND (r.finished < $1 OR l.origin > $2 OR (l.origin = $2 AND r.idx < $3))`
		args = []any{after.Finished.UnixMicro(), after.Origin, after.Index}
	}
	if !f.Release.IsZero() {
		add("r.released = $%d", f.Release[:])
	}
	if f.Outcome != "" {
		add("r.outcome = $%d", string(f.Outcome))
	}
	if f.Limit <= 0 || f.Limit > MaxRows {
		f.Limit = MaxRows
	}
	where += fmt.Sprintf(" ORDER BY r.finished DESC, l.origin, r.idx DESC LIMIT $%d", len(args)+1)
	err = p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = rebuilds(ctx, tx, where, append(args, f.Limit)...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading rebuilds: %w", err)
	}
	return out, nil
}

// RebuildsOf returns the newest of what each followed log says of rebuilding a
// release, at most each of every log and most in all, with artifacts: by
// origin, and of a log the latest entry first. A log that says it a thousand
// times is asked no more than others.
func (p *Projection) RebuildsOf(ctx context.Context, release digest.Digest, each, most int) (out []Rebuild, err error) {
	err = p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = nil
		logs, err := dumpLogs(ctx, tx)
		for i := 0; err == nil && i < len(logs) && len(out) < most; i++ {
			var some []Rebuild
			some, err = rebuilds(ctx, tx, `WHERE r.released = $1 AND r.log_id = (SELECT id FROM projected_log WHERE origin = $2)
				ORDER BY r.idx DESC LIMIT $3`, release[:], logs[i].Log, min(each, most-len(out)))
			out = append(out, some...)
		}
		for i := 0; err == nil && i < len(out); i++ {
			out[i].Artifacts, err = rebuilt(ctx, tx, out[i].Origin, out[i].Index)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rebuilds of %s: %w", release, err)
	}
	return out, nil
}

// OneRebuild returns the rebuild with this statement, with artifacts, or [ErrUnknown].
func (p *Projection) OneRebuild(ctx context.Context, envelope digest.Digest) (*Rebuild, error) {
	return p.oneRebuild(ctx, "rebuild", `WHERE r.envelope = $2`, envelope)
}

// Explained returns the first rebuild that names an explanation, with
// artifacts, or [ErrUnknown]; one in the own log before others.
func (p *Projection) Explained(ctx context.Context, explanation digest.Digest) (*Rebuild, error) {
	return p.oneRebuild(ctx, "explanation", `WHERE r.explanation = $2`, explanation)
}

func (p *Projection) oneRebuild(ctx context.Context, what, where string, d digest.Digest) (*Rebuild, error) {
	var r Rebuild
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		found, err := rebuilds(ctx, tx, where+` ORDER BY `+ownFirst+`, r.idx LIMIT 1`, p.Origin, d[:])
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrUnknown
		}
		r = found[0]
		r.Artifacts, err = rebuilt(ctx, tx, r.Origin, r.Index)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", what, d, err)
	}
	return &r, nil
}

// provenanceOf is the newest provenance in the same log of the same release and job.
const provenanceOf = `(SELECT v.envelope FROM projected_provenance AS v WHERE v.released = r.released AND v.log_id = r.log_id
	AND v.job = r.job ORDER BY v.idx DESC LIMIT 1)`

func rebuilds(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Rebuild, error) {
	rows, err := tx.QueryContext(ctx, `SELECT l.origin, r.idx, r.envelope, r.released, r.outcome, r.engine, r.job, r.recipe,
		r.attempts, r.flaky, r.reason, r.detail, r.finished, r.explain_type, r.explain_size, r.explanation,
		r.log_bytes, r.build_log, `+provenanceOf+`,
		COALESCE((SELECT p.product FROM projected_release AS p WHERE p.envelope = r.released LIMIT 1), ''),
		COALESCE((SELECT p.version FROM projected_release AS p WHERE p.envelope = r.released LIMIT 1), '')
		FROM projected_rebuild AS r JOIN projected_log AS l ON l.id = r.log_id `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Rebuild
	for rows.Next() {
		r, err := scanRebuild(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func scanRebuild(rows *sql.Rows) (r Rebuild, err error) {
	var env, released, job, recipe, sum, journal, provenance []byte
	var flaky, finished int64
	var x, l statement.Evidence
	err = rows.Scan(&r.Origin, &r.Index, &env, &released, &r.Outcome, &r.Engine, &job, &recipe, &r.Attempts, &flaky,
		&r.Reason, &r.Detail, &finished, &x.MediaType, &x.Size, &sum, &l.Size, &journal, &provenance, &r.Product, &r.Version)
	if err != nil {
		return r, err
	}
	r.Flaky, r.Finished = flaky == 1, time.UnixMicro(finished).UTC()
	var errs [7]error
	r.Statement, errs[0] = toDigest(env)
	r.Release, errs[1] = toDigest(released)
	r.Job, errs[2] = toDigest(job)
	r.Recipe, errs[3] = toDigest(recipe)
	r.Provenance, errs[4] = toDigest(provenance)
	if sum != nil {
		x.SHA256, errs[5] = toDigest(sum)
		r.Explanation = &x
	}
	if journal != nil {
		l.SHA256, errs[6] = toDigest(journal)
		r.Log = &l
	}
	return r, errors.Join(errs[:]...)
}

func rebuilt(ctx context.Context, tx *store.Tx, origin string, index int64) (out []statement.RebuiltArtifact, err error) {
	err = query(ctx, tx, `SELECT name, shipped, rebuilt, outcome FROM projected_rebuilt WHERE log_id = `+idOf+` AND idx = $2 ORDER BY pos`,
		[]any{origin, index}, func(scan func(...any) error) error {
			var a statement.RebuiltArtifact
			var shipped, made []byte
			if err := scan(&a.Name, &shipped, &made, &a.Outcome); err != nil {
				return err
			}
			var err error
			if a.Shipped, err = toDigest(shipped); err == nil && made != nil {
				a.Rebuilt = new(digest.Digest)
				*a.Rebuilt, err = toDigest(made)
			}
			out = append(out, a)
			return err
		})
	return out, err
}
