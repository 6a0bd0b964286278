package centre

import (
	"context"
	"errors"
	"fmt"

	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/web"
	"vitrine.example/tlog"
)

// Proof implements [web.Proofs]: an entry of another's log in this node's copy,
// under the checkpoint that witnesses have cosigned, else under the mirror's.
func (n *Node) Proof(ctx context.Context, origin string, index int64) (*tlog.Proof, error) {
	if n.mirror == nil {
		return nil, fmt.Errorf("proving entry %d of %s: %w: this node is no mirror", index, origin, mirror.ErrUnknown)
	}
	l, err := n.mirror.Log(origin)
	if err != nil {
		return nil, err
	}
	if cp := n.cosigned.of(origin); cp != nil {
		p, err := l.ProofUnder(ctx, index, cp)
		if err == nil {
			return p, nil
		}
		n.log.Debug("an entry cannot be proved under a member's checkpoint", "log", origin, "index", index, "err", err)
	}
	return l.Proof(ctx, index)
}

// shownQueue is the queue where this node has anything built, by itself or by
// workers elsewhere; nil elsewhere.
func (n *Node) shownQueue() *farm.Queue {
	if len(n.cfg.Rebuild) == 0 && n.cfg.FarmListen == "" {
		return nil
	}
	return n.Queue()
}

// jobPages shows a queue of rebuilds on the pages; nil where there is none.
func (n *Node) jobPages(q *farm.Queue) web.Jobs {
	if q == nil {
		return nil
	}
	return jobPages{n, q}
}

type jobPages struct {
	n *Node
	q *farm.Queue
}

// List implements [web.Jobs].
func (j jobPages) List(ctx context.Context, before int64, limit int) ([]farm.Row, error) {
	return j.q.List(ctx, before, nil, limit)
}

// Alerts implements [web.Jobs].
func (j jobPages) Alerts(ctx context.Context) ([]web.Alert, error) {
	all, err := j.n.Alerts(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]web.Alert, len(all))
	for i := range all {
		out[i] = web.Alert{Release: all[i].Release, Text: AlertText(&all[i])}
	}
	return out, nil
}

// Job implements [web.Jobs].
func (j jobPages) Job(ctx context.Context, id int64) (*web.Job, error) {
	out, err := j.q.Outcome(ctx, id)
	if err != nil {
		return nil, err
	}
	open, err := j.public(ctx, out)
	return &web.Job{Row: out.Row, Tried: out.Tried, Open: open}, err
}

// public reports whether anyone may read the source of what is built: a log
// quotes it. Of a release that is not known here nothing is shown.
func (j jobPages) public(ctx context.Context, out *farm.Outcome) (bool, error) {
	r, err := j.n.projection.Release(ctx, out.Release)
	if errors.Is(err, projection.ErrUnknown) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return r.Source == nil || content.Class(r.Source.Access) == content.Public, nil
}

// Log implements [web.Jobs].
func (j jobPages) Log(ctx context.Context, id, from int64) ([]byte, error) {
	return j.q.ReadLog(ctx, id, 0, from)
}
