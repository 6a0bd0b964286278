package centre

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/gossip"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/witness"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// settleEvery is how often evidence is looked at where nothing happens: a log
// may be added to the witness after evidence about it was kept.
const settleEvery = 10 * time.Second

// heldFor begins the reason of a log that is paused because of evidence.
const heldFor = "fork evidence "

// ErrForked is returned where a log cannot go on because evidence is open.
var ErrForked = errors.New("the log has signed two histories: see `vitrine fork list`, and accept the evidence with a reason")

// followForks holds logs that have signed two histories, until ctx is done.
func (n *Node) followForks(ctx context.Context) {
	var next time.Time
	for {
		if now := time.Now(); now.After(next) {
			n.gossiping.lookUp(ctx)
			next = now.Add(circleInterval)
		}
		if err := n.settleForks(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("holding logs that have signed two histories", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-n.gossiping.wake:
		case <-time.After(settleEvery):
		}
	}
}

// settleForks makes true what has to be, whatever happened before: evidence of
// the witness is kept and passed on; evidence that the own log accepts is
// accepted; no log with other evidence is cosigned.
func (n *Node) settleForks(ctx context.Context) error {
	failed := n.keepWitnessed(ctx)
	n.gossiping.settle.Lock()
	defer n.gossiping.settle.Unlock()
	open, err := n.openForks(ctx)
	if err != nil {
		return errors.Join(failed, err)
	}
	for _, k := range open {
		accepted, err := n.acceptLogged(ctx, k)
		if err == nil && !accepted {
			err = n.hold(ctx, k)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("evidence %s: %w", digest.Digest(k.Digest), err))
		}
	}
	return failed
}

// openForks returns the evidence that no operator has accepted.
func (n *Node) openForks(ctx context.Context) ([]gossip.Kept, error) {
	all, err := n.gossip.List(ctx, "")
	return slices.DeleteFunc(all, func(k gossip.Kept) bool { return !k.Accepted.IsZero() }), err
}

// keepWitnessed keeps what the node's witness and its mirror have found.
func (n *Node) keepWitnessed(ctx context.Context) error {
	err := n.keepFound(ctx, n.witness)
	if n.pending != nil {
		err = errors.Join(err, n.keepFound(ctx, n.pending.Witness()))
	}
	return err
}

func (n *Node) keepFound(ctx context.Context, w *witness.Witness) error {
	var failed error
	err := eachWitnessed(ctx, w, func(s *witness.Status) (bool, error) {
		if !s.Forked {
			return true, nil
		}
		all, err := w.Evidence(ctx, s.Origin)
		if err != nil {
			return false, err
		}
		for _, e := range all {
			if e.Kind == witness.Fork && e.Accepted.IsZero() {
				failed = errors.Join(failed, n.keepEvidence(ctx, e))
			}
		}
		return true, nil
	})
	return errors.Join(failed, err)
}

func (n *Node) keepEvidence(ctx context.Context, e witness.Evidence) error {
	a, err := tlog.ParseCheckpoint(e.Cosigned)
	if err != nil {
		return fmt.Errorf("evidence of the witness about %s: %w", e.Origin, err)
	}
	b, err := tlog.ParseCheckpoint(e.Other)
	if err != nil {
		return fmt.Errorf("evidence of the witness about %s: %w", e.Origin, err)
	}
	f, err := tlog.NewSizeFork(a, b)
	if err != nil {
		return fmt.Errorf("evidence of the witness about %s: %w", e.Origin, err)
	}
	_, err = n.gossip.Keep(ctx, f)
	return err
}

// hold has the witness cosign nothing more of a log.
func (n *Node) hold(ctx context.Context, k gossip.Kept) error {
	if n.witness == nil {
		return nil
	}
	s, err := n.witness.Get(ctx, k.Origin)
	if errors.Is(err, witness.ErrUnknown) {
		return nil
	}
	if err != nil || s.Forked || s.Paused {
		return err
	}
	if k.Kind == tlog.ForkSize {
		if err := n.holdSize(ctx, k); err != nil {
			n.log.Warn("the witness does not see the fork by itself; the log is paused", "origin", k.Origin, "err", err)
		}
		if s, err = n.witness.Get(ctx, k.Origin); err != nil || s.Forked {
			return err
		}
	}
	return n.witness.Pause(ctx, k.Origin, heldFor+digest.Digest(k.Digest).String())
}

func (n *Node) holdSize(ctx context.Context, k gossip.Kept) error {
	text, err := n.gossip.Evidence(ctx, k.Digest)
	if err != nil {
		return err
	}
	f, err := tlog.ParseFork(text)
	if err != nil {
		return err
	}
	return n.witness.Hold(ctx, k.Origin, f.A.Marshal(), f.B.Marshal())
}

// admitFork checks that an acceptance is of evidence that is open here. What is
// in the log already may be submitted again.
func (n *Node) admitFork(ctx context.Context, env *statement.Envelope) error {
	st := env.Statement()
	if st.PredicateType != statement.ForkAcceptedType {
		return nil
	}
	f, err := st.ForkAccepted()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	d := st.Subject[0].SHA256()
	kept, err := n.gossip.List(ctx, f.Log)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(kept, func(k gossip.Kept) bool { return k.Digest == d && k.Origin == f.Log })
	if i < 0 {
		return fmt.Errorf("%w: %w: sha256:%s about %s", ErrInvalid, gossip.ErrNone, d, f.Log)
	}
	if err := n.namesSides(ctx, d, st.Subject[1:]); err != nil {
		return err
	}
	if kept[i].Accepted.IsZero() {
		return nil
	}
	_, err = n.projection.Statement(ctx, env.Digest())
	if errors.Is(err, projection.ErrUnknown) {
		return fmt.Errorf("%w: this evidence is accepted already, because: %s", ErrForbidden, kept[i].Reason)
	}
	return err
}

// namesSides checks the checkpoints that an acceptance names beside the evidence.
func (n *Node) namesSides(ctx context.Context, d digest.Digest, named []statement.Subject) error {
	if len(named) == 0 {
		return nil
	}
	sides, err := n.forkSides(ctx, d)
	if err != nil {
		return err
	}
	for i, s := range named {
		if s.SHA256() != sides[i] {
			return fmt.Errorf("%w: subject %d is not a checkpoint of that evidence", ErrInvalid, i+2)
		}
	}
	return nil
}

// forkSides names the two checkpoints of evidence that is kept.
func (n *Node) forkSides(ctx context.Context, d digest.Digest) (out [2]digest.Digest, err error) {
	text, err := n.gossip.Evidence(ctx, d)
	if err != nil {
		return out, err
	}
	f, err := tlog.ParseFork(text)
	if err != nil {
		return out, err
	}
	for i, s := range f.Sides() {
		out[i] = s
	}
	return out, nil
}

// applyFork does what an acceptance says, once it is published.
func (n *Node) applyFork(ctx context.Context, env *statement.Envelope) error {
	st := env.Statement()
	if st.PredicateType != statement.ForkAcceptedType {
		return nil
	}
	f, err := st.ForkAccepted()
	if err != nil {
		return err
	}
	n.gossiping.settle.Lock()
	defer n.gossiping.settle.Unlock()
	return n.accept(ctx, f, st.Subject[0].SHA256())
}

// acceptLogged accepts evidence where the own log says so: an earlier process
// may have ended between the two, and evidence may come back after the database
// was lost. Another pair may show the same lie then, so that this is known too.
func (n *Node) acceptLogged(ctx context.Context, k gossip.Kept) (bool, error) {
	f, err := n.saidAccepted(ctx, k.Origin, k.Digest)
	if f == nil && err == nil {
		var lie digest.Digest
		var ok bool
		if lie, ok, err = n.gossip.Lie(ctx, k.Digest); ok && err == nil {
			f, err = n.saidAccepted(ctx, k.Origin, lie)
		}
	}
	if f == nil || err != nil {
		return false, err
	}
	return true, n.accept(ctx, f, k.Digest)
}

// saidAccepted returns what the own log says to accept evidence about a log that has
// this digest, or one of the two checkpoints; nil where it says nothing.
func (n *Node) saidAccepted(ctx context.Context, origin string, d digest.Digest) (*statement.ForkAccepted, error) {
	said, err := n.projection.About(ctx, statement.ForkAcceptedType, d)
	if err != nil || len(said) == 0 {
		return nil, err
	}
	raw, _, err := n.content.ReadAll(ctx, said[0].Envelope, statement.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("the statement that accepts it: %w", err)
	}
	env, err := statement.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("the statement that accepts it: %w", err)
	}
	f, err := env.Statement().ForkAccepted()
	if err != nil || f.Log != origin {
		return nil, err
	}
	return f, nil
}

// accept resumes the log where nothing else is open, and only then notes that
// the evidence is accepted: where it is cut short, both are done again.
func (n *Node) accept(ctx context.Context, f *statement.ForkAccepted, d digest.Digest) error {
	open, err := n.gossip.Open(ctx, f.Log)
	if err != nil {
		return err
	}
	if len(open) == 0 || !slices.ContainsFunc(open, func(k gossip.Kept) bool { return k.Digest == d }) {
		return nil // it was accepted before
	}
	if len(open) == 1 {
		if err := n.letGo(ctx, f); err != nil {
			return err
		}
	}
	return n.gossip.Accept(ctx, d, f.Reason)
}

// letGo has the witness go on with a log, unless an operator paused it.
func (n *Node) letGo(ctx context.Context, f *statement.ForkAccepted) error {
	if n.pending != nil {
		switch s, err := n.pending.Witness().Get(ctx, f.Log); {
		case errors.Is(err, witness.ErrUnknown):
		case err != nil:
			return err
		case s.Forked:
			if err := n.pending.Witness().Resume(ctx, f.Log, f.Reason); err != nil {
				return err
			}
		}
	}
	if n.witness == nil {
		return nil
	}
	s, err := n.witness.Get(ctx, f.Log)
	switch {
	case errors.Is(err, witness.ErrUnknown):
		return nil
	case err != nil:
		return err
	case s.Paused && !strings.HasPrefix(s.Reason, heldFor):
		n.log.Warn("fork evidence is accepted; the log stays paused for another reason", "origin", f.Log, "reason", s.Reason)
		return nil
	case !s.Paused && !s.Forked:
		return nil
	}
	return n.witness.Resume(ctx, f.Log, f.Reason)
}

// mayResume refuses to go on with a log by any other way than accepting.
func (n *Node) mayResume(ctx context.Context, origin string) error {
	open, err := n.gossip.Open(ctx, origin)
	if err == nil && len(open) > 0 {
		err = fmt.Errorf("resuming %s: %w", origin, ErrForked)
	}
	return err
}
