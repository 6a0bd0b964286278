package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Kind says what a log entry holds.
type Kind string

// The kinds of entries.
const (
	Statement  Kind = "statement"  // the record of a statement's signature
	Commitment Kind = "commitment" // 32 bytes that mean nothing to strangers
	Other      Kind = "other"      // not written by this program's rules
)

// Problems of a statement's entry, as pages show them.
const (
	problemUnknown = "the statement behind this entry is not held here"
	problemCorrupt = "the stored statement does not match its digest"
	problemForeign = "the stored statement does not belong to this entry"
)

// fact is what one log entry says, checked.
type fact struct {
	index    int64
	kind     Kind
	leafHash tlog.Hash
	key      digest.Digest
	envelope digest.Digest // zero: not known
	stmt     *statement.Statement
	release  *statement.Release
	problem  string
	size     int // bytes of the statement
}

// read looks at one entry. ok is false for entries that no row is kept of.
func (p *Projection) read(ctx context.Context, index int64) (f fact, ok bool, err error) {
	raw, err := p.log.Leaf(ctx, index)
	if err != nil {
		return f, false, fmt.Errorf("reading the entry: %w", err)
	}
	leaf, err := statement.ParseLeaf(raw)
	if err != nil {
		return f, false, nil // kind Other: the log itself is all there is to show
	}
	f = fact{index: index, kind: Commitment, leafHash: tlog.LeafHash(raw)}
	if leaf.Kind != statement.LeafStatement {
		return f, true, nil
	}
	f.kind, f.key = Statement, leaf.Key.ID()
	return f, true, p.join(ctx, &f, raw, leaf)
}

// join finds the envelope behind an entry and believes it only where its
// signature and its leaf are those of the entry.
func (p *Projection) join(ctx context.Context, f *fact, raw []byte, leaf statement.Leaf) error {
	d, err := p.envelopeOf(ctx, f.leafHash)
	if errors.Is(err, ErrUnknown) {
		f.problem = problemUnknown
		return nil
	} else if err != nil {
		return err
	}
	b, _, err := p.content.ReadAll(ctx, d, statement.MaxSize)
	switch {
	case errors.Is(err, content.ErrUnknown):
		f.problem = problemUnknown
		return nil
	case errors.Is(err, content.ErrCorrupt), errors.Is(err, content.ErrTooLarge):
		f.problem = problemCorrupt
		return nil
	case err != nil:
		return fmt.Errorf("reading the statement %s: %w", d, err)
	}
	env, err := statement.Parse(b)
	if err != nil || env.Verify(leaf.Key) != nil {
		f.problem = problemForeign
		return nil
	}
	if again, err := env.Leaf(leaf.Key); err != nil || string(again) != string(raw) {
		f.problem = problemForeign
		return nil
	}
	f.envelope, f.stmt, f.size = d, env.Statement(), len(b)
	if f.stmt.PredicateType == statement.ReleaseType {
		if f.release, err = f.stmt.Release(); err != nil {
			f.problem = problemForeign
		}
	}
	return nil
}

// write puts the fact into the tables and adds to c; again, it does nothing.
func (f *fact) write(ctx context.Context, tx *store.Tx, c *Counts) error {
	var predicate string
	if f.stmt != nil {
		predicate = f.stmt.PredicateType
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO projected_entry
		(idx, kind, leaf_hash, key_id, envelope, predicate_type, problem)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (idx) DO NOTHING`,
		f.index, string(f.kind), f.leafHash[:], null(f.key), null(f.envelope), text(predicate), f.problem)
	if err != nil {
		return fmt.Errorf("writing the entry: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if err := settle(ctx, tx, f.leafHash, f.index); err != nil {
		return err
	}
	if f.stmt == nil {
		return nil
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
		if _, err := tx.ExecContext(ctx, `INSERT INTO projected_subject (idx, pos, name, sha256)
			VALUES ($1, $2, $3, $4)`, f.index, i, text(name), null(sum)); err != nil {
			return fmt.Errorf("writing subject %d: %w", i, err)
		}
	}
	if f.release != nil {
		c.Releases++
		return f.writeRelease(ctx, tx, f.release)
	}
	return nil
}

func (f *fact) writeRelease(ctx context.Context, tx *store.Tx, r *statement.Release) error {
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
	_, err := tx.ExecContext(ctx, `INSERT INTO projected_release
		(idx, envelope, key_id, product, version, channel, seq, previous, published, notes, artifacts, bytes,
		 source_kind, source_access, source_size, source_sha256, source_commit, source_uri)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		f.index, f.envelope[:], f.key[:], text(r.Product), text(r.Version), text(r.Channel), r.Seq, null(previous),
		r.Published.UnixMicro(), text(r.Notes), len(r.Artifacts), bytes,
		text(src.Kind), text(src.Access), src.Size, null(src.SHA256), text(src.Commit), text(src.URI))
	if err != nil {
		return fmt.Errorf("writing the release: %w", err)
	}
	for i, a := range r.Artifacts {
		var sbom statement.Evidence
		if a.SBOM != nil {
			sbom = *a.SBOM
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO projected_artifact
			(idx, pos, name, size, sha256, sbom_type, sbom_size, sbom_sha256)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			f.index, i, text(a.Name), a.Size, a.SHA256[:], text(sbom.MediaType), sbom.Size, null(sbom.SHA256)); err != nil {
			return fmt.Errorf("writing artifact %d: %w", i, err)
		}
	}
	return nil
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
