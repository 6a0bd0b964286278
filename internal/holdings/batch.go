package holdings

import (
	"context"
	"sync"

	"vitrine.example/internal/store"
)

// maxBatch is how many items are noted in one transaction.
const maxBatch = 64

// batcher has what several fetchers want to note written in one transaction: each
// waits for the disk, and they wait together. One of them writes for all.
type batcher struct {
	db *store.DB

	mu      sync.Mutex
	waiting []*noting
	busy    bool
}

// noting is a change that somebody waits for.
type noting struct {
	ctx  context.Context
	do   func(context.Context, *store.Tx) error
	done chan error
}

// update makes a change, alone or with others. Where one of several fails, each is
// made again by itself, so that nobody fails by another's.
func (b *batcher) update(ctx context.Context, do func(context.Context, *store.Tx) error) error {
	n := &noting{ctx, do, make(chan error, 1)}
	b.mu.Lock()
	b.waiting = append(b.waiting, n)
	lead := !b.busy
	b.busy = true
	b.mu.Unlock()
	for lead {
		b.mu.Lock()
		batch := b.waiting[:min(len(b.waiting), maxBatch)]
		b.waiting = b.waiting[len(batch):]
		lead = len(batch) > 0
		b.busy = lead
		b.mu.Unlock()
		b.write(batch)
	}
	return <-n.done
}

func (b *batcher) write(batch []*noting) {
	if len(batch) > 1 {
		// Whoever leads may be given up by its own caller; the others are not.
		err := b.db.Update(context.WithoutCancel(batch[0].ctx), func(ctx context.Context, tx *store.Tx) error {
			for _, n := range batch {
				if err := n.do(ctx, tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			for _, n := range batch {
				n.done <- nil
			}
			return
		}
	}
	for _, n := range batch {
		n.done <- b.db.Update(n.ctx, n.do)
	}
}
