package centre

import (
	"context"
	"io"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/projection"
)

// projectionOptions are those of the projection that follows the own log.
func (n *Node) projectionOptions() projection.Options {
	return projection.Options{
		DB: n.db, Content: n.content, Origin: n.cfg.origin, Log: publishedLog{n.ledger}, Logger: n.log, Now: time.Now,
	}
}

// publishedLog is the ledger as the projection sees it.
type publishedLog struct{ *ledger.Ledger }

// Published implements projection.Log.
func (l publishedLog) Published(ctx context.Context) (int64, time.Time, error) {
	s, err := l.Status(ctx)
	return s.Published, s.At, err
}

// Dump writes all that the node's tables say ([projection.Projection.Dump]).
func (h *Handle) Dump(ctx context.Context, w io.Writer) error {
	p, err := h.projection(ctx)
	if err != nil {
		return err
	}
	return p.Dump(ctx, w)
}
