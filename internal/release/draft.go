package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/internal/strictjson"
	"vitrine.example/statement"
)

// fingerprint covers everything that is released, and nothing that differs from
// one run to the next: not the number and previous, which the node gives, not
// the time, and not the SBOMs, which a newer program may write otherwise.
func fingerprint(r *statement.Release) (digest.Digest, error) {
	c := *r
	c.Seq, c.Previous, c.Published = 0, nil, time.Time{}
	c.Artifacts = nil
	for _, a := range r.Artifacts {
		a.SBOM = nil
		c.Artifacts = append(c.Artifacts, a)
	}
	text, err := strictjson.Canonical(&c)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("fingerprint: %w", err)
	}
	return digest.Of(append([]byte("vitrine release draft 1\n"), text...)), nil
}

// prepare returns the statement to submit for rel: the one that was signed for
// it before, or a new one, which is durable before it is returned.
func (p *Publisher) prepare(ctx context.Context, rel *statement.Release, r Request) (*statement.Envelope, error) {
	fp, err := fingerprint(rel)
	if err != nil {
		return nil, err
	}
	place, err := p.place(ctx, fp, rel, r)
	if err != nil {
		return nil, err
	}
	if place.draft != nil {
		return place.draft, nil
	}
	env, err := p.sign(ctx, rel, place)
	if err != nil {
		return nil, err
	}
	return env, p.keepDraft(ctx, fp, env)
}

// draft returns the statement that was signed under fp before, nil where there
// is none or its bytes are gone.
func (p *Publisher) draft(ctx context.Context, fp digest.Digest) (*statement.Envelope, error) {
	d, err := p.lookup(ctx, `SELECT statement FROM release_draft WHERE fingerprint = $1`, fp[:])
	if err != nil || d.IsZero() {
		return nil, err
	}
	env, err := p.envelope(ctx, d)
	if errors.Is(err, content.ErrUnknown) || errors.Is(err, content.ErrCorrupt) {
		return nil, nil
	}
	return env, err
}

// envelope reads a statement of the content store.
func (p *Publisher) envelope(ctx context.Context, d digest.Digest) (*statement.Envelope, error) {
	raw, _, err := p.Content.ReadAll(ctx, d, statement.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("reading statement %s: %w", d, err)
	}
	return statement.Parse(raw)
}

// usable reports whether a draft can still be submitted: the key is the
// publisher's, the number is what was asked for and still the next one.
func usable(ctx context.Context, tx *store.Tx, draft *statement.Envelope, r Request, id digest.Digest) (bool, error) {
	rel, err := draft.Statement().Release()
	if err != nil {
		return false, err
	}
	if !fits(rel, r) || draft.KeyID() != id {
		return false, nil
	}
	c := claimOf(draft.Digest(), rel)
	err = c.free(ctx, tx)
	if err == nil {
		err = c.follows(ctx, tx, rel.Previous)
	}
	if errors.Is(err, ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// fits reports whether a statement has the place that was asked for.
func fits(rel *statement.Release, r Request) bool {
	return (r.Seq == 0 || r.Seq == rel.Seq) &&
		(r.Previous == nil || rel.Previous != nil && *r.Previous == *rel.Previous)
}

// sign makes the statement and stores it as public content.
func (p *Publisher) sign(ctx context.Context, rel *statement.Release, at place) (*statement.Envelope, error) {
	now, err := p.Now()
	if err != nil {
		return nil, fmt.Errorf("signing the release: %w", err)
	}
	out := *rel
	out.Seq, out.Previous, out.Published = at.seq, at.previous, now.UTC().Truncate(time.Second)
	s, err := statement.New(out.Subjects(), &out)
	if err != nil {
		return nil, err
	}
	env, err := statement.Sign(s, p.Signer)
	if err != nil {
		return nil, fmt.Errorf("signing the release: %w", err)
	}
	_, err = p.Content.Put(ctx, content.Public, bytes.NewReader(env.Bytes()), statement.MaxSize)
	return env, err
}

// keepDraft makes env the statement of fp. Where two publishers of the same
// release meet here the later one wins, but only one statement is admitted, and
// the other publisher then finds that one.
func (p *Publisher) keepDraft(ctx context.Context, fp digest.Digest, env *statement.Envelope) error {
	d := env.Digest()
	return p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO release_draft (fingerprint, statement) VALUES ($1, $2)
			ON CONFLICT (fingerprint) DO UPDATE SET statement = excluded.statement`, fp[:], d[:])
		if err != nil {
			return fmt.Errorf("keeping the signed statement: %w", err)
		}
		return nil
	})
}
