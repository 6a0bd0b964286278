package centre

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// membership is the circle that a node belongs to, as it knows it.
type membership struct {
	mu      sync.Mutex
	history *circle.History // nil: none
	hooks   []func(*circle.Current)
}

// OnCircle calls f with the list in force, now and whenever it changes; not
// where the node belongs to no circle. Calls come one at a
// time; f must be quick and must not ask the node for its circle.
func (n *Node) OnCircle(f func(*circle.Current)) {
	n.circle.mu.Lock()
	defer n.circle.mu.Unlock()
	n.circle.hooks = append(n.circle.hooks, f)
	if h := n.circle.history; h != nil {
		f(h.Current)
	}
}

// Circle returns the history of the node's circle, or [circle.ErrNone].
func (n *Node) Circle(context.Context) (*circle.History, error) {
	n.circle.mu.Lock()
	defer n.circle.mu.Unlock()
	if n.circle.history == nil {
		return nil, circle.ErrNone
	}
	return n.circle.history, nil
}

// loadCircle reads what is kept.
func (n *Node) loadCircle(ctx context.Context) error {
	h, err := circle.Store{DB: n.db}.Load(ctx)
	if errors.Is(err, circle.ErrNone) {
		return nil
	}
	n.circle.history = h
	return err
}

// MergeCircle adds statements to the node's circle; a node that has none gets
// the one that begins with root.
func (n *Node) MergeCircle(ctx context.Context, root digest.Digest, items []proof.Logged) error {
	n.circle.mu.Lock()
	defer n.circle.mu.Unlock()
	h, changed, err := circle.Store{DB: n.db}.Merge(ctx, root, items)
	if err != nil || !changed {
		return err
	}
	n.circle.history = h
	n.log.Info("the circle has changed", "circle", h.Current.Name, "version", h.Current.Version, "statements", len(h.Used))
	for _, f := range n.circle.hooks {
		f(h.Current)
	}
	return nil
}

// isCircleKind reports whether a predicate is about circles.
func isCircleKind(t string) bool {
	return t == statement.CircleType || t == statement.ConsentType || t == statement.LeaveType
}

// admitCircle checks that what the node says of its circle makes sense: that it
// may say it at all, and that it does not contradict itself. Others would refuse
// it anyway, but what is logged is logged for ever.
func (n *Node) admitCircle(ctx context.Context, env *statement.Envelope) error {
	st := env.Statement()
	h, err := n.Circle(ctx)
	if err != nil && !errors.Is(err, circle.ErrNone) {
		return err
	}
	switch st.PredicateType {
	case statement.CircleType:
		c, err := st.Circle()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return n.admitProposal(h, env, c)
	case statement.ConsentType:
		c, err := st.Consent()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		v, err := n.about(h, st, c.Origin)
		if err != nil {
			return err
		}
		return n.once(h, v.Statement, v.Circle.Version)
	case statement.LeaveType:
		l, err := st.Leave()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		_, err = n.about(h, st, l.Origin)
		return err
	}
	return nil
}

// admitProposal checks a list that the node proposes.
func (n *Node) admitProposal(h *circle.History, env *statement.Envelope, c *statement.Circle) error {
	for i := range c.Members {
		if err := circle.CheckMember(&c.Members[i]); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if c.Version == 1 {
		if h != nil && h.Root != env.Digest() {
			return fmt.Errorf("%w: this node belongs to the circle %s already: propose its next version", ErrForbidden, h.Current.Name)
		}
		for _, m := range c.Members {
			if m.Origin == n.cfg.origin {
				return nil
			}
		}
		return fmt.Errorf("%w: the founder %s is not among the members", ErrInvalid, n.cfg.origin)
	}
	if h == nil {
		return fmt.Errorf("%w: this node belongs to no circle: join one first", ErrForbidden)
	}
	for _, v := range h.Versions {
		if v.Statement != *c.Previous {
			continue
		}
		if v.States[n.cfg.origin] != circle.Confirmed {
			return fmt.Errorf("%w: %s is no confirmed member of version %d", ErrForbidden, n.cfg.origin, v.Circle.Version)
		}
		return n.once(h, env.Digest(), c.Version)
	}
	return fmt.Errorf("%w: the version before, sha256:%s, is not known here", ErrInvalid, c.Previous)
}

// about finds the list that the node speaks of, and checks that it may.
func (n *Node) about(h *circle.History, st *statement.Statement, origin string) (*circle.Version, error) {
	if origin != n.cfg.origin {
		return nil, fmt.Errorf("%w: it speaks for %s, and this node is %s", ErrForbidden, origin, n.cfg.origin)
	}
	if h == nil {
		return nil, fmt.Errorf("%w: this node knows no circle: join one first", ErrForbidden)
	}
	d := st.Subject[0].SHA256()
	for _, v := range h.Versions {
		if v.Statement == d {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%w: the circle has no version sha256:%s", ErrInvalid, d)
}

// once refuses a second list of one version: agreeing with two of them is
// evidence against the node for ever.
func (n *Node) once(h *circle.History, d digest.Digest, version int64) error {
	for _, v := range h.Versions {
		if v.Circle.Version != version || v.Statement == d {
			continue
		}
		for _, c := range v.Consents {
			if c.Origin == n.cfg.origin {
				return fmt.Errorf("%w: this node agreed with another version %d already, sha256:%s", ErrForbidden, version, v.Statement)
			}
		}
	}
	return nil
}

// keepCircle adds what the node itself has said, with its place in the log.
func (n *Node) keepCircle(ctx context.Context, env *statement.Envelope, r release.Receipt) error {
	p, err := tlog.ParseProof(r.Proof)
	if err != nil {
		return fmt.Errorf("keeping the circle: %w", err)
	}
	root := env.Digest()
	if h, err := n.Circle(ctx); err == nil {
		root = h.Root
	}
	if err := n.MergeCircle(ctx, root, []proof.Logged{{Envelope: env, Proof: p}}); err != nil {
		return err
	}
	return circle.Store{DB: n.db}.Kept(ctx, env.Digest())
}

// noteCircle notes what the node is about to say of its circle.
func (n *Node) noteCircle(ctx context.Context, tx *store.Tx, env *statement.Envelope) error {
	if !isCircleKind(env.Statement().PredicateType) {
		return nil
	}
	return circle.Say(ctx, tx, env.Digest())
}

// resumeCircle finishes what an earlier process was about to say. Logged
// already or not: submitting it again gives it its one place.
func (n *Node) resumeCircle(ctx context.Context) {
	said, err := circle.Store{DB: n.db}.Said(ctx)
	if err != nil && ctx.Err() == nil {
		n.log.Error("looking for what was to be said of the circle", "err", err)
	}
	for _, d := range said {
		raw, _, err := n.content.ReadAll(ctx, d, statement.MaxSize)
		if err == nil {
			_, err = n.Submit(ctx, raw)
		}
		if err != nil && ctx.Err() == nil {
			n.log.Error("a statement of the circle could not be finished", "sha256", d, "err", err)
		}
	}
}
