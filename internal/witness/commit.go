package witness

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"vitrine.example/internal/store"
)

// commits lets requests that come together share a transaction, and so a sync of
// the disk: while one transaction is being committed, the next gathers.
type commits struct {
	coming atomic.Int64 // requests that are being signed and will want a commit

	mu      sync.Mutex
	waiting []*commit
	busy    bool
}

// commit is the part of one request. run may be called several times; it reports
// whether a log has grown.
type commit struct {
	run  func(context.Context, *store.Tx) (grown bool, err error)
	done chan error
}

const (
	maxBatch      = 64
	commitTimeout = time.Minute
	gather        = 500 * time.Microsecond // to wait for requests that are being signed
)

// commit runs f in a durable transaction, perhaps with those of others. Where
// ctx ends before, f may take effect all the same.
func (w *Witness) commit(ctx context.Context, f func(context.Context, *store.Tx) (bool, error)) error {
	c := &commit{f, make(chan error, 1)}
	w.commits.mu.Lock()
	w.commits.waiting = append(w.commits.waiting, c)
	lead := !w.commits.busy
	w.commits.busy = true
	w.commits.mu.Unlock()
	if lead {
		go w.commitAll(context.WithoutCancel(ctx))
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitAll works until nothing waits.
func (w *Witness) commitAll(ctx context.Context) {
	for {
		if w.commits.coming.Load() > 0 {
			time.Sleep(gather) // a transaction and a sync for each would cost all of them more
		}
		w.commits.mu.Lock()
		n := min(len(w.commits.waiting), maxBatch)
		batch := w.commits.waiting[:n:n]
		w.commits.waiting = w.commits.waiting[n:]
		w.commits.busy = n > 0
		w.commits.mu.Unlock()
		if n == 0 {
			return
		}
		w.commitBatch(ctx, batch)
	}
}

// commitBatch commits together, or else one by one: what is wrong with one
// request is not the fault of others.
func (w *Witness) commitBatch(ctx context.Context, batch []*commit) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err := w.commitTogether(ctx, batch)
	for _, c := range batch {
		if err != nil && len(batch) > 1 {
			c.done <- w.commitTogether(ctx, []*commit{c})
		} else {
			c.done <- err
		}
	}
}

// commitTogether commits, and counts the growths inside the database and outside.
func (w *Witness) commitTogether(ctx context.Context, batch []*commit) error {
	var growths int64
	err := w.update(ctx, func(ctx context.Context, tx *store.Tx) error {
		growths = 0
		for _, c := range batch {
			grown, err := c.run(ctx, tx)
			if err != nil {
				return err
			}
			if grown {
				growths++
			}
		}
		return w.move(ctx, tx, growths)
	})
	if errors.Is(err, ErrState) {
		w.lose()
		return w.trusted()
	}
	if err != nil {
		return err
	}
	return w.counted(growths)
}
