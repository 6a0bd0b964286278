package gossip

import (
	"context"
	"crypto/sha256"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/tlog"
)

const (
	maxSame    = 4    // open evidence that shows one checkpoint to be off our history
	maxRepeats = 4096 // remembered, so as not to be fetched again
	maxParsed  = 4096 // pieces of evidence of which the checkpoints are remembered
)

// repeats reports whether evidence says nothing new: one checkpoint is in the
// history that we have ourselves, and evidence is kept that shows the other not to
// be. Each checkpoint that a log publishes makes one more such pair. Were all of
// them kept, anyone could make them without end, fill the places of a log, and
// have it held again whenever its operator has accepted what there is.
//
// Until an operator has accepted any, some are kept: members may have found one
// fork at the same moment, each in its own way.
func (g *Gossip) repeats(ctx context.Context, f *tlog.Fork) (bool, error) {
	newest, err := g.newest(ctx)
	if err != nil {
		return false, err
	}
	odd := g.odd(ctx, f, newest[f.Origin()])
	if odd == nil {
		return false, nil
	}
	kept, err := g.keptOf(ctx, odd)
	if err != nil {
		return false, err
	}
	open := 0
	for _, k := range kept {
		if o := g.odd(ctx, k.fork, newest[f.Origin()]); o == nil || !same(o, odd) {
			continue
		}
		if k.accepted {
			return true, nil
		}
		open++
	}
	return open >= maxSame, nil
}

// odd returns the checkpoint of evidence that is not of our history, where the
// other one is; nil where we cannot say.
func (g *Gossip) odd(ctx context.Context, f *tlog.Fork, newest *tlog.SignedCheckpoint) *tlog.SignedCheckpoint {
	switch {
	case newest == nil:
		return nil
	case g.ours(ctx, f.A, newest):
		return f.B
	case g.ours(ctx, f.B, newest):
		return f.A
	}
	return nil
}

// ours reports whether c is shown to be of our history.
func (g *Gossip) ours(ctx context.Context, c, newest *tlog.SignedCheckpoint) bool {
	switch {
	case c.Size == newest.Size:
		return c.Root == newest.Root
	case c.Size > newest.Size || c.Size == 0:
		return false
	}
	root, _, err := g.o.Logs.Consistency(ctx, c.Origin, c.Size, newest.Size)
	return err == nil && root == c.Root
}

func same(a, b *tlog.SignedCheckpoint) bool { return a.Size == b.Size && a.Root == b.Root }

type keptFork struct {
	fork     *tlog.Fork
	accepted bool
}

// keptOf returns the evidence that has a checkpoint, without its signatures. What was
// read once is remembered: anyone can have this asked, for each piece that they send.
func (g *Gossip) keptOf(ctx context.Context, c *tlog.SignedCheckpoint) (out []keptFork, err error) {
	all, err := g.List(ctx, c.Origin)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		f, err := g.sides(ctx, k.Digest)
		if err != nil {
			return nil, err
		}
		if same(f.A, c) || same(f.B, c) {
			out = append(out, keptFork{f, !k.Accepted.IsZero()})
		}
	}
	return out, nil
}

// sides returns evidence that is kept, with nothing but its two checkpoints.
func (g *Gossip) sides(ctx context.Context, d digest.Digest) (*tlog.Fork, error) {
	g.mu.Lock()
	f := g.parsed[d]
	g.mu.Unlock()
	if f != nil {
		return f, nil
	}
	text, err := g.Evidence(ctx, d)
	if err != nil {
		return nil, err
	}
	whole, err := tlog.ParseFork(text)
	if err != nil {
		return nil, fmt.Errorf("evidence in the database: %w", err)
	}
	bare := func(c *tlog.SignedCheckpoint) *tlog.SignedCheckpoint {
		return &tlog.SignedCheckpoint{Checkpoint: tlog.Checkpoint{Origin: c.Origin, Size: c.Size, Root: c.Root}}
	}
	f = &tlog.Fork{Kind: whole.Kind, A: bare(whole.A), B: bare(whole.B)}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.parsed) >= maxParsed {
		clear(g.parsed)
	}
	g.parsed[d] = f
	return f, nil
}

// Lie names the checkpoint of kept evidence that is not of our history, where the
// other one is (tlog.Fork.Sides); ok is false where we cannot say.
func (g *Gossip) Lie(ctx context.Context, d [sha256.Size]byte) (side [sha256.Size]byte, ok bool, err error) {
	f, err := g.sides(ctx, d)
	if err != nil {
		return side, false, err
	}
	newest, err := g.newest(ctx)
	if err != nil {
		return side, false, err
	}
	switch g.odd(ctx, f, newest[f.Origin()]) {
	case nil:
		return side, false, nil
	case f.A:
		return f.Sides()[0], true, nil
	default:
		return f.Sides()[1], true, nil
	}
}

// noteRepeat remembers what is not worth fetching again.
func (g *Gossip) noteRepeat(d digest.Digest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.repeat) >= maxRepeats {
		clear(g.repeat)
	}
	g.repeat[d] = true
}

func (g *Gossip) isRepeat(d digest.Digest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.repeat[d]
}
