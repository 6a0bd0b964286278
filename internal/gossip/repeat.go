package gossip

import (
	"context"
	"errors"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

const (
	maxSame    = 4    // open evidence that shows one checkpoint to be off our history
	maxRepeats = 4096 // remembered, so as not to be fetched again
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

// keptOf reads the evidence that has a checkpoint.
func (g *Gossip) keptOf(ctx context.Context, c *tlog.SignedCheckpoint) (out []keptFork, err error) {
	err = g.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT evidence, CASE WHEN accepted IS NULL THEN 0 ELSE 1 END FROM fork_evidence WHERE origin = $1`, c.Origin)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var text []byte
			var accepted int64
			if err := rows.Scan(&text, &accepted); err != nil {
				return err
			}
			f, err := tlog.ParseFork(text)
			if err != nil {
				return fmt.Errorf("evidence in the database: %w", err)
			}
			if same(f.A, c) || same(f.B, c) {
				out = append(out, keptFork{f, accepted == 1})
			}
		}
		return rows.Err()
	})
	return out, err
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
