package ledger

import (
	"errors"
	"sync"
	"time"

	"vitrine.example/tlog"
)

// call is one distinct entry under way and everybody who waits for it. The
// fields below done are written before done is closed, and read after.
type call struct {
	hash  tlog.Hash
	leaf  []byte
	start time.Time
	done  chan struct{}

	index     int64
	duplicate bool      // the database knew it
	sequenced time.Time // when it got its index
	err       error
}

// inbox holds the entries under way: those that wait for the sequencer in
// order, and all of them by leaf hash, so that the same entry has one call.
type inbox struct {
	mu      sync.Mutex
	byHash  map[tlog.Hash]*call
	queue   []*call
	bytes   int // of all leaves under way
	waiting int // callers
	closed  bool
	wake    chan struct{} // the queue is no longer empty, or full enough, or closed
	enough  int           // entries that make a batch
}

func (b *inbox) init(enough int) {
	b.enough = enough
	b.byHash = make(map[tlog.Hash]*call)
	b.wake = make(chan struct{}, 1)
}

// join returns the call of a leaf and whether it was under way already.
func (b *inbox) join(h tlog.Hash, leaf []byte) (c *call, joined bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false, ErrClosed
	}
	if c, ok := b.byHash[h]; ok {
		b.waiting++
		return c, true, nil
	}
	if len(b.byHash) >= maxWaiting || b.bytes+len(leaf) > maxWaitingBytes {
		return nil, false, ErrBusy
	}
	c = &call{hash: h, leaf: leaf, start: time.Now(), done: make(chan struct{})}
	b.byHash[h] = c
	b.queue = append(b.queue, c)
	b.bytes += len(leaf)
	b.waiting++
	if n := len(b.queue); n == 1 || n == b.enough {
		b.signal()
	}
	return c, false, nil
}

func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// left notes that a caller waits no more.
func (b *inbox) left() {
	b.mu.Lock()
	b.waiting--
	b.mu.Unlock()
}

func (b *inbox) callers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// queued returns how many entries wait for the sequencer, and whether no more come.
func (b *inbox) queued() (n int, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue), b.closed
}

// underWay returns how many distinct entries are not finished.
func (b *inbox) underWay() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.byHash)
}

// take removes up to n entries from the front of the queue.
func (b *inbox) take(n int) []*call {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, len(b.queue))
	batch := b.queue[:n:n]
	b.queue = b.queue[n:]
	if len(b.queue) == 0 {
		b.queue = nil // let the array go
	}
	return batch
}

// finish tells everybody who waits for these calls how they ended. A call that
// ended before stays as it is.
func (b *inbox) finish(calls []*call, err error) {
	ended := make([]*call, 0, len(calls))
	b.mu.Lock()
	for _, c := range calls {
		if b.byHash[c.hash] != c {
			continue
		}
		delete(b.byHash, c.hash)
		b.bytes -= len(c.leaf)
		c.err = err
		ended = append(ended, c)
	}
	b.mu.Unlock()
	for _, c := range ended {
		close(c.done)
	}
}

// close refuses further entries. It reports false where that was so before.
func (b *inbox) close() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.closed = true
	b.signal()
	return true
}

// failAll fails whatever is left.
func (b *inbox) failAll(err error) {
	b.mu.Lock()
	rest := make([]*call, 0, len(b.byHash))
	for _, c := range b.byHash {
		rest = append(rest, c)
	}
	b.queue = nil
	b.mu.Unlock()
	b.finish(rest, err)
}

// result is what a caller of Add gets from a finished call.
func (c *call) result(joined bool) (Entry, error) {
	if c.err != nil {
		return Entry{}, c.err
	}
	return Entry{Index: c.index, Duplicate: c.duplicate || joined}, nil
}

// outcome names how a call ended, for the metrics.
func outcome(e Entry, err error) string {
	switch {
	case err == nil && e.Duplicate:
		return "duplicate"
	case err == nil:
		return "new"
	case errors.Is(err, ErrBusy):
		return "busy"
	}
	return "failed"
}
