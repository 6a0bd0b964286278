package centre

import (
	"context"
	"errors"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/web"
	"vitrine.example/tlog"
)

// Standing implements [web.Standing]: whose cosignatures stand under the newest
// checkpoint of a log, and who mirrors it as far as this node knows.
func (n *Node) Standing(ctx context.Context, origin string) (out []web.Cosigner, err error) {
	raw, err := n.newestCheckpoint(ctx, origin)
	if err != nil || raw == nil {
		return nil, err
	}
	c, err := tlog.ParseCheckpoint(raw)
	if err != nil {
		return nil, err
	}
	h, err := n.Circle(ctx)
	if err != nil && !errors.Is(err, circle.ErrNone) {
		return nil, err
	}
	if h != nil {
		out = cosigners(h.Current, c)
	}
	if origin == n.cfg.origin {
		for _, p := range n.Pushes() {
			out = append(out, web.Cosigner{Name: mirrorName(p.Name), Kind: web.AsMirror, Size: p.Size, At: p.Cosigned})
		}
		return out, nil
	}
	s, err := n.mirror.Get(ctx, origin)
	if err == nil && s.Size > 0 {
		out = append(out, web.Cosigner{Name: mirrorName(n.cfg.origin), Kind: web.AsMirror, Size: s.Size, At: s.Signed})
	}
	return out, err
}

// newestCheckpoint returns what is published of the own log, or mirrored of
// another's; nil where there is nothing yet.
func (n *Node) newestCheckpoint(ctx context.Context, origin string) ([]byte, error) {
	if origin == n.cfg.origin {
		b, err := n.ledger.Checkpoint(ctx)
		if errors.Is(err, ledger.ErrUnknown) {
			return nil, nil
		}
		return b, err
	}
	if n.mirror == nil {
		return nil, nil
	}
	b, err := n.mirror.Checkpoint(origin)
	if errors.Is(err, mirror.ErrUnknown) {
		return nil, nil
	}
	return b, err
}

// cosigners are the members whose witness has signed a checkpoint, each once.
// Keys that are in use no more count too: what they signed they have seen.
func cosigners(c *circle.Current, p *tlog.SignedCheckpoint) (out []web.Cosigner) {
	for _, m := range c.Members {
		if m.State != circle.Confirmed {
			continue
		}
		for _, k := range m.Witness {
			v, err := tlog.ParseVerifier(k.Key)
			if err != nil {
				continue
			}
			at, err := v.Verify(p)
			if err == nil && !at.IsZero() {
				out = append(out, web.Cosigner{Name: v.Name(), Kind: web.AsWitness, Size: p.Size, At: at})
				break
			}
		}
	}
	return out
}
