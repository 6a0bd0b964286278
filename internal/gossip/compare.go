package gossip

import (
	"context"
	"errors"
	"fmt"

	"vitrine.example/tlog"
)

// compare compares what a member has seen of a log with what we have. Whatever
// cannot be decided yet is remembered.
func (g *Gossip) compare(ctx context.Context, peer string, c *tlog.SignedCheckpoint, newest map[string]*tlog.SignedCheckpoint) error {
	keys, err := g.o.Logs.Keys(ctx, c.Origin)
	if err != nil || len(keys) == 0 {
		return err // a log that we do not know is none of our business
	}
	if err := tlog.VerifyLog(c, keys...); err != nil {
		return fmt.Errorf("the view of %s: %w", c.Checkpoint, err)
	}
	decided, err := g.judge(ctx, peer, c, newest[c.Origin])
	if err != nil || decided {
		return err
	}
	return g.remember(ctx, peer, c)
}

// judge reports whether c and ours could be compared. It keeps evidence where
// they contradict each other.
func (g *Gossip) judge(ctx context.Context, peer string, c, ours *tlog.SignedCheckpoint) (decided bool, err error) {
	switch {
	case ours == nil || c.Size > ours.Size:
		return false, nil
	case c.Size == ours.Size && c.Root == ours.Root, c.Size == 0:
		return true, nil
	case c.Size == ours.Size:
		f, err := tlog.NewSizeFork(c, ours)
		if err != nil {
			return true, err
		}
		_, err = g.Keep(ctx, f)
		return true, err
	}
	root, path, err := g.o.Logs.Consistency(ctx, c.Origin, c.Size, ours.Size)
	if errors.Is(err, ErrNoCopy) {
		return true, nil // whoever has a copy will see it
	}
	if err != nil {
		// No proof, no verdict: the log or our copy of it is unresponsive.
		g.note(peer, c.Origin, fmt.Errorf("unresponsive: no consistency proof from %d to %d: %w", c.Size, ours.Size, err))
		return false, nil
	}
	g.note(peer, c.Origin, nil)
	if root == c.Root {
		return true, nil
	}
	f, err := tlog.NewGrowthFork(c, ours, tlog.ForkPath(c.Size, root, path))
	if err != nil {
		// Our own copy does not lead to our own checkpoint: nothing is shown.
		g.note(peer, c.Origin, fmt.Errorf("the proof of our copy from %d to %d does not hold: %w", c.Size, ours.Size, err))
		return false, nil
	}
	_, err = g.Keep(ctx, f)
	return true, err
}

// newest returns what this node has seen, by origin.
func (g *Gossip) newest(ctx context.Context) (map[string]*tlog.SignedCheckpoint, error) {
	all, err := g.o.Logs.Newest(ctx)
	if err != nil {
		return nil, fmt.Errorf("our own view: %w", err)
	}
	out := make(map[string]*tlog.SignedCheckpoint, len(all))
	for _, c := range all {
		out[c.Origin] = c
	}
	return out, nil
}

// decideAhead compares what was remembered and that our copies have reached.
func (g *Gossip) decideAhead(ctx context.Context, newest map[string]*tlog.SignedCheckpoint) error {
	var failed error
	for origin, ours := range newest {
		rows, err := g.reached(ctx, origin, ours.Size)
		if err != nil {
			return err
		}
		for _, a := range rows {
			decided, err := g.judge(ctx, a.peer, a.checkpoint, ours)
			if err == nil && decided {
				err = g.forget(ctx, a)
			}
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
