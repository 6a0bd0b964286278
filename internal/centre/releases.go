package centre

import (
	"context"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/projection"
)

// followPatience is how long a look at the releases waits for the newest.
const followPatience = 10 * time.Second

// Releases returns published releases that fit f, the newest first, at most
// [projection.MaxRows] of them, without their artifacts.
func (h *Handle) Releases(ctx context.Context, f projection.Filter) ([]projection.Release, error) {
	p, err := h.projection(ctx)
	if err != nil {
		return nil, err
	}
	return p.Releases(ctx, f)
}

// Release returns the release with this statement, or [projection.ErrUnknown].
func (h *Handle) Release(ctx context.Context, envelope digest.Digest) (*projection.Release, error) {
	p, err := h.projection(ctx)
	if err != nil {
		return nil, err
	}
	return p.Release(ctx, envelope)
}

// projection returns the tables of the pages: those of the node that was opened
// here, when they have followed its log, else as the process that holds the
// node has left them.
func (h *Handle) projection(ctx context.Context) (*projection.Projection, error) {
	if n := h.local(); n != nil {
		wait, cancel := context.WithTimeout(ctx, followPatience)
		defer cancel()
		if err := n.whole(wait); err != nil {
			return nil, err
		}
		if _, err := n.follow(wait, nil); err != nil && ctx.Err() == nil && wait.Err() == nil {
			return nil, err
		}
		return n.projection, ctx.Err()
	}
	db, c, err := h.stores()
	if err != nil {
		return nil, fmt.Errorf("reaching the node %s: %w", h.dir, err)
	}
	return projection.New(ctx, projection.Options{DB: db, Content: c, Origin: h.cfg.origin}) // only read, never run
}
