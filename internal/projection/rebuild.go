package projection

import (
	"context"
	"fmt"

	"vitrine.example/internal/store"
)

// disposable are the tables that hold nothing but what logs say.
var disposable = []string{"projected_provenance", "projected_rebuilt", "projected_rebuild",
	"projected_artifact", "projected_release", "projected_subject", "projected_entry"}

// indexes are those of the disposable tables that serve pages alone. They are
// as the migrations 0009 and 0013 make them.
var indexes = []struct{ name, on string }{
	{"projected_entry_envelope", "projected_entry (envelope)"},
	{"projected_subject_sha256", "projected_subject (sha256)"},
	{"projected_release_envelope", "projected_release (envelope)"},
	{"projected_release_product", "projected_release (log_id, product, idx)"},
	{"projected_release_published", "projected_release (published)"},
	{"projected_artifact_sha256", "projected_artifact (sha256, log_id, idx)"},
	{"projected_rebuild_envelope", "projected_rebuild (envelope)"},
	{"projected_rebuild_released", "projected_rebuild (released, log_id, idx)"},
	{"projected_rebuild_finished", "projected_rebuild (finished)"},
	{"projected_rebuild_explanation", "projected_rebuild (explanation)"},
	{"projected_provenance_released", "projected_provenance (released, log_id, job, idx)"},
}

// bareFrom is the number of entries from which empty tables are filled without
// indexes: digests come in no order, and each would go to a page of its own.
const bareFrom = 50_000

// Empty reports whether nothing was ever submitted or projected here. Where the
// log has entries, the database is a new one.
func (p *Projection) Empty(ctx context.Context) (empty bool, err error) {
	err = p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		var n int64
		err := tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM projected_log WHERE next_idx > 0)
			+ (SELECT COUNT(*) FROM (SELECT 1 FROM submission LIMIT 1) AS one)`).Scan(&n)
		empty = n == 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking whether the database knows the log: %w", err)
	}
	return empty, nil
}

// Rebuild empties the tables; Run or Step then fills them again from the logs.
func (p *Projection) Rebuild(ctx context.Context) error {
	p.adding.Lock()
	defer p.adding.Unlock()
	all := p.all()
	for _, f := range all {
		f.step.Lock()
		defer f.step.Unlock()
		f.forget()
	}
	err := p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, t := range disposable {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+t); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE projected_log SET next_idx = 0, statements = 0, releases = 0`)
		return err
	})
	if err != nil {
		return fmt.Errorf("emptying the projection: %w", err)
	}
	for _, f := range all {
		if err := f.load(ctx); err != nil {
			return err
		}
		f.cursor = 0
	}
	p.Wake()
	return nil
}

// clear takes a log out of the tables.
func (p *Projection) clear(ctx context.Context, origin string) error {
	return p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, t := range disposable {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+t+
				" WHERE log_id = (SELECT id FROM projected_log WHERE origin = $1)", origin); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM projected_log WHERE origin = $1", origin)
		return err
	})
}

// bare drops the indexes where the tables are empty and a long log is to come.
func (p *Projection) bare(ctx context.Context, size int64) error {
	if size < bareFrom {
		return nil
	}
	for _, f := range p.all() {
		if next, _ := f.position(); next > 0 {
			return nil
		}
	}
	return p.index(ctx, false, func(name, _ string) string { return "DROP INDEX IF EXISTS " + name })
}

// settled makes the indexes, where they may be missing, once no log that is
// followed without trouble has more to fill in. A process that was killed while
// it filled the tables has left them without.
func (p *Projection) settled(ctx context.Context) error {
	p.mu.Lock()
	indexed := p.indexed
	p.mu.Unlock()
	if indexed {
		return nil
	}
	for _, f := range p.all() {
		f.mu.Lock()
		busy := f.problem == nil && f.seen.size-f.next >= batch
		f.mu.Unlock()
		if busy {
			return nil
		}
	}
	return p.index(ctx, true, func(name, on string) string { return "CREATE INDEX IF NOT EXISTS " + name + " ON " + on })
}

// index does something with all indexes, each in a transaction of its own: the
// node may be served, and what writes meanwhile waits.
func (p *Projection) index(ctx context.Context, have bool, do func(name, on string) string) error {
	for _, i := range indexes {
		err := p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, do(i.name, i.on))
			return err
		})
		if err != nil {
			return fmt.Errorf("index %s: %w", i.name, err)
		}
	}
	p.mu.Lock()
	p.indexed = have
	p.mu.Unlock()
	return nil
}
