package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// place is where a release goes.
type place struct {
	draft    *statement.Envelope // signed before; nothing to do
	seq      int64
	previous *digest.Digest
}

// place finds the statement that was made for this release before, or else the
// number that the release gets.
func (p *Publisher) place(ctx context.Context, fp digest.Digest, rel *statement.Release, r Request) (place, error) {
	released, err := p.released(ctx, fp, rel, r)
	if released != nil || err != nil {
		return place{draft: released}, err
	}
	draft, err := p.draft(ctx, fp)
	if err != nil {
		return place{}, err
	}
	var out place
	err = p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		if draft != nil {
			ok, err := usable(ctx, tx, draft, r, p.Signer.Public().ID())
			if err != nil {
				return err
			}
			if ok {
				out = place{draft: draft}
				return nil
			}
		}
		return out.find(ctx, tx, rel, r)
	})
	return out, err
}

// foresee refuses a place that was asked for and cannot be had, before anything
// is read. What it lets pass is looked at again once everything is known: whether
// a version that is there is the same release, only its digests tell.
func (p *Publisher) foresee(ctx context.Context, rel *statement.Release, r Request) error {
	if r.Seq == 0 && r.Previous == nil {
		return nil
	}
	return p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		have, err := claimOfVersion(ctx, tx, rel.Product, rel.Channel, rel.Version)
		switch {
		case err != nil:
			return err
		case have == nil:
			return new(place).find(ctx, tx, rel, r)
		case r.Seq != 0 && r.Seq != have.seq:
			return fmt.Errorf("%s: %w: it is seq %d already, not %d: %s", have.name(), ErrConflict, have.seq, r.Seq, have)
		case r.Previous != nil:
			return have.follows(ctx, tx, r.Previous)
		}
		return nil
	})
}

// released returns the statement that has the version already, nil where there
// is none. It must say the same as rel; otherwise the error says what differs.
func (p *Publisher) released(ctx context.Context, fp digest.Digest, rel *statement.Release, r Request) (*statement.Envelope, error) {
	var have *claim
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		have, err = claimOfVersion(ctx, tx, rel.Product, rel.Channel, rel.Version)
		return err
	})
	if have == nil || err != nil {
		return nil, err
	}
	env, err := p.envelope(ctx, have.statement)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s: %w", have.name(), ErrConflict, have, err)
	}
	said, err := env.Statement().Release()
	if err != nil {
		return nil, err
	}
	if same, err := fingerprint(said); err != nil || same != fp {
		return nil, errors.Join(fmt.Errorf("%s: %w: %s: it differs in %s", have.name(), ErrConflict, have, differences(said, rel)), err)
	}
	if !fits(said, r) {
		return nil, fmt.Errorf("%s: %w: it is seq %d with previous %s already: %s", have.name(), ErrConflict, said.Seq, shown(said.Previous), have)
	}
	return env, nil
}

// differences names what two releases of one version do not agree on.
func differences(a, b *statement.Release) string {
	var list []string
	theirs := make(map[string]statement.Artifact, len(a.Artifacts))
	for _, x := range a.Artifacts {
		theirs[x.Name] = x
	}
	for _, x := range b.Artifacts {
		if t, ok := theirs[x.Name]; !ok || t.SHA256 != x.SHA256 {
			list = append(list, fmt.Sprintf("artifact %q", x.Name))
		}
		delete(theirs, x.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		list = append(list, fmt.Sprintf("artifact %q (missing now)", name))
	}
	if (a.Source == nil) != (b.Source == nil) || a.Source != nil && *a.Source != *b.Source {
		list = append(list, "source")
	}
	if a.Notes != b.Notes {
		list = append(list, "notes")
	}
	const most = 8
	if len(list) > most {
		list = append(list[:most], "and more")
	}
	return strings.Join(list, ", ")
}

// find picks the number after the newest of the channel, and refuses any other.
func (p *place) find(ctx context.Context, tx *store.Tx, rel *statement.Release, r Request) error {
	c := claim{product: rel.Product, channel: rel.Channel, version: rel.Version, seq: r.Seq}
	if err := c.free(ctx, tx); err != nil || rel.Channel == "" {
		return err
	}
	last, err := newestClaim(ctx, tx, rel.Product, rel.Channel)
	if err != nil {
		return err
	}
	if last != nil {
		p.seq, p.previous = last.seq+1, &last.statement
	} else {
		p.seq = 1
	}
	return p.check(c, last, r)
}

// check compares what was asked for with what is the only possibility.
func (p *place) check(c claim, last *claim, r Request) error {
	newest := "has no release yet"
	if last != nil {
		newest = fmt.Sprintf("has seq %d as its newest (version %q, %s)", last.seq, last.version, last)
	}
	switch {
	case r.Seq != 0 && r.Seq != p.seq:
		return fmt.Errorf("seq: %d is %w: channel %s of %s %s: use %d, or leave seq out",
			r.Seq, ErrSequence, c.channel, c.product, newest, p.seq)
	case r.Previous != nil && p.previous == nil:
		return fmt.Errorf("previous: %s is %w: channel %s of %s %s: leave previous out",
			r.Previous, ErrSequence, c.channel, c.product, newest)
	case r.Previous != nil && *r.Previous != *p.previous:
		return fmt.Errorf("previous: %s is %w: channel %s of %s %s: use that statement, or leave previous out",
			r.Previous, ErrSequence, c.channel, c.product, newest)
	}
	return nil
}
