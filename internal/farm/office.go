package farm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/rebuild"
)

// Office is where a worker gets its work: [Local] or a [Client].
type Office interface {
	// Take leases an order; nil where there is none.
	Take(ctx context.Context, worker string) (*Held, error)
	// Renew keeps the lease, and returns for how long; [ErrLost] where it is another's.
	Renew(ctx context.Context, id, epoch int64, p Progress) (time.Duration, error)
	// Log appends to the log of the lease; [ErrRefused] where that can never be taken.
	Log(ctx context.Context, id, epoch, start int64, data []byte) error
	// Finish ends the lease; [ErrRefused] where the answer can never be taken.
	Finish(ctx context.Context, id, epoch int64, a *Answer) error
	// Return gives the lease back, so that somebody else may have it at once.
	Return(ctx context.Context, id, epoch int64) error
	// Content opens what the order of the lease needs. Whoever reads checks the
	// digest and the size.
	Content(ctx context.Context, id, epoch int64, d digest.Digest) (io.ReadCloser, error)
}

// Local is the office of the node itself.
type Local struct {
	Queue *Queue
	Store *content.Store
	// Fetch, where not nil, tries to get content that the store lacks.
	Fetch func(ctx context.Context, d digest.Digest, size int64) error
}

// Take is [Queue.Take].
func (l *Local) Take(ctx context.Context, worker string) (*Held, error) {
	return l.Queue.Take(ctx, worker)
}

// Renew is [Queue.Renew].
func (l *Local) Renew(ctx context.Context, id, epoch int64, p Progress) (time.Duration, error) {
	return l.Queue.Renew(ctx, id, epoch, p)
}

// Log is [Queue.Log].
func (l *Local) Log(ctx context.Context, id, epoch, start int64, data []byte) error {
	return l.Queue.Log(ctx, id, epoch, start, data)
}

// Finish is [Queue.Finish].
func (l *Local) Finish(ctx context.Context, id, epoch int64, a *Answer) error {
	return l.Queue.Finish(ctx, id, epoch, a)
}

// Return is [Queue.Return].
func (l *Local) Return(ctx context.Context, id, epoch int64) error {
	return l.Queue.Return(ctx, id, epoch)
}

// errNeedless is the answer to who asks for more than the order needs.
var errNeedless = errors.New("the order does not need it")

// Content opens content of the store, whatever its access class: the lease is
// the right to it.
func (l *Local) Content(ctx context.Context, id, epoch int64, d digest.Digest) (io.ReadCloser, error) {
	o, err := l.Queue.Needs(ctx, id, epoch)
	if err != nil {
		return nil, err
	}
	size, ok := need(o, d)
	if !ok {
		return nil, fmt.Errorf("rebuild %d: %s: %w", id, d, errNeedless)
	}
	r, _, err := l.Store.Open(ctx, d)
	if err != nil && l.Fetch != nil {
		if fetchErr := l.Fetch(ctx, d, size); fetchErr != nil {
			return nil, fmt.Errorf("%w; %w", err, fetchErr)
		}
		r, _, err = l.Store.Open(ctx, d)
	}
	return r, err
}

// need is the size of content, where an order needs it.
func need(o *rebuild.Order, d digest.Digest) (int64, bool) {
	if i := slices.IndexFunc(o.Shipped, func(s rebuild.Shipped) bool { return s.SHA256 == d }); i >= 0 {
		return o.Shipped[i].Size, true
	}
	if o.Task.Job == nil {
		return 0, false
	}
	for _, c := range o.Task.Job.Needs() {
		if c.SHA256 == d {
			return c.Size, true
		}
	}
	return 0, false
}
