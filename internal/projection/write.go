package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// errMoved says that somebody else has changed the tables of a log.
var errMoved = errors.New("another process has moved the projection of this log; it is read again")

// write puts a batch into the tables, in one transaction with the position.
func (f *follow) write(ctx context.Context, b *read) error {
	err := f.p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		c, err := insert(ctx, tx, f.id, b.facts)
		if err != nil {
			return err
		}
		if f.source == nil {
			if err := settle(ctx, tx, b.facts); err != nil {
				return err
			}
		}
		return f.moveState(ctx, tx, b, c)
	})
	if errors.Is(err, errMoved) {
		err = errors.Join(err, f.load(ctx))
	}
	if err != nil {
		return fmt.Errorf("projecting entries %d to %d: %w", b.from, b.end-1, err)
	}
	return nil
}

// moveState notes the position and what was added on the way to it.
func (f *follow) moveState(ctx context.Context, tx *store.Tx, b *read, c Counts) error {
	res, err := tx.ExecContext(ctx, `UPDATE projected_log SET next_idx = $1, statements = statements + $2,
		releases = releases + $3 WHERE id = $4 AND next_idx = $5`, b.end, c.Statements, c.Releases, f.id, b.from)
	if err != nil {
		return fmt.Errorf("noting the position: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(errMoved, err)
	}
	return nil
}

// rows are gathered for one table: one statement for each row would spend its
// time on the way to the database.
type rows struct {
	table   string
	columns []string
	args    []any
}

// rowsAtOnce is how many rows go into one statement; the last ones go one by
// one, so that there are two texts for each table.
const rowsAtOnce = 16

func (r *rows) add(values ...any) { r.args = append(r.args, values...) }

func (r *rows) write(ctx context.Context, tx *store.Tx) error {
	args := r.args
	for _, n := range []int{rowsAtOnce, 1} {
		var err error
		if args, err = r.writeBy(ctx, tx, n, args); err != nil {
			return fmt.Errorf("writing %s: %w", r.table, err)
		}
	}
	return nil
}

// writeBy writes n rows at a time and returns what is left.
func (r *rows) writeBy(ctx context.Context, tx *store.Tx, n int, args []any) (left []any, err error) {
	n *= len(r.columns)
	if len(args) < n {
		return args, nil
	}
	insert, err := tx.PrepareContext(ctx, r.text(tx, n/len(r.columns)))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	for ; len(args) >= n; args = args[n:] {
		if _, err := insert.ExecContext(ctx, args[:n]...); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// text is the statement for n rows.
func (r *rows) text(tx *store.Tx, n int) string {
	return "INSERT INTO " + r.table + " (" + strings.Join(r.columns, ", ") + ") VALUES " + tx.Values(n, len(r.columns))
}

// rowSet is what a batch writes.
type rowSet struct{ entry, subject, release, artifact, rebuild, rebuilt, provenance rows }

// all are the tables in the order in which they are written.
func (set *rowSet) all() []*rows {
	return []*rows{&set.entry, &set.subject, &set.release, &set.artifact, &set.rebuild, &set.rebuilt, &set.provenance}
}

func newRowSet() *rowSet {
	columns := func(s string) []string { return strings.Fields(s) }
	return &rowSet{
		entry: rows{table: "projected_entry", columns: columns(
			"log_id idx kind leaf_hash key_id envelope predicate_type problem again")},
		subject: rows{table: "projected_subject", columns: columns("log_id idx pos name sha256")},
		release: rows{table: "projected_release", columns: columns(
			`log_id idx envelope key_id product version channel seq previous published notes artifacts bytes
			source_kind source_access source_size source_sha256 source_commit source_uri`)},
		artifact: rows{table: "projected_artifact", columns: columns(
			"log_id idx pos name size sha256 sbom_type sbom_size sbom_sha256")},
		rebuild: rows{table: "projected_rebuild", columns: columns(
			`log_id idx envelope released outcome engine job recipe attempts flaky reason detail finished
			explain_type explain_size explanation log_bytes build_log`)},
		rebuilt:    rows{table: "projected_rebuilt", columns: columns("log_id idx pos name shipped rebuilt outcome")},
		provenance: rows{table: "projected_provenance", columns: columns("log_id idx envelope released job engine builder")},
	}
}

// insert writes facts that have no rows yet, and returns what they add.
func insert(ctx context.Context, tx *store.Tx, log int64, facts []fact) (c Counts, err error) {
	set := newRowSet()
	for i := range facts {
		set.add(log, &facts[i], &c)
	}
	for _, r := range set.all() {
		if err := r.write(ctx, tx); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (set *rowSet) add(log int64, f *fact, c *Counts) {
	var predicate string
	if f.stmt != nil {
		predicate = f.stmt.PredicateType
	}
	set.entry.add(log, f.index, string(f.kind), f.leafHash[:], null(f.key), null(f.envelope), text(predicate), f.problem, f.again())
	if f.stmt == nil {
		return
	}
	c.Statements++
	for i, s := range f.stmt.Subject {
		var sum digest.Digest
		if d, err := digest.Parse(s.Digest["sha256"]); err == nil {
			sum = d
		}
		name := s.Name
		if name == "" {
			name = s.URI
		}
		set.subject.add(log, f.index, i, text(name), null(sum))
	}
	if f.release != nil {
		c.Releases++
		set.addRelease(log, f, f.release)
	}
	if f.rebuild != nil {
		set.addRebuild(log, f, f.rebuild)
	}
	if f.built != nil {
		set.addProvenance(log, f, f.built)
	}
}

func (set *rowSet) addRelease(log int64, f *fact, r *statement.Release) {
	var previous digest.Digest
	if r.Previous != nil {
		previous = *r.Previous
	}
	var bytes int64
	for _, a := range r.Artifacts {
		bytes += a.Size
	}
	var src statement.Source
	if r.Source != nil {
		src = *r.Source
	}
	set.release.add(log, f.index, f.envelope[:], f.key[:], text(r.Product), text(r.Version), text(r.Channel), r.Seq,
		null(previous), r.Published.UnixMicro(), text(r.Notes), len(r.Artifacts), bytes,
		text(src.Kind), text(src.Access), src.Size, null(src.SHA256), text(src.Commit), text(src.URI))
	for i, a := range r.Artifacts {
		var sbom statement.Evidence
		if a.SBOM != nil {
			sbom = *a.SBOM
		}
		set.artifact.add(log, f.index, i, text(a.Name), a.Size, a.SHA256[:], text(sbom.MediaType), sbom.Size, null(sbom.SHA256))
	}
}

// null is the column of a digest, NULL for none.
func null(d digest.Digest) any {
	if d.IsZero() {
		return nil
	}
	return d[:]
}

// text is s as both engines can keep it: PostgreSQL has no NUL in a text.
func text(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }
