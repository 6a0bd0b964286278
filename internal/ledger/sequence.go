package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"

	"vitrine.example/tlog"
)

const (
	// pipelined is how many batches may be between the database and their indexes.
	pipelined = 4
	// recordAfter is how long the log must be idle before the published size is
	// recorded for its own sake; otherwise it goes with the next batch.
	recordAfter = time.Second
)

// sequence is the one goroutine that gives indexes. It takes what is queued,
// reserves the leaf hashes under the indexes that they will get, and hands them
// to Tessera in this order; see DESIGN.md, "Order of writes".
func (l *Ledger) sequence() {
	defer close(l.idle)
	s := sequencer{l: l, next: l.sequenced.Load(), slots: make(chan struct{}, pipelined)}
	for s.nextBatch() {
		err := s.repair()
		switch batch := l.inbox.take(l.o.BatchSize); {
		case len(batch) == 0:
		case err != nil:
			l.inbox.finish(batch, err)
		default:
			s.run(batch)
		}
	}
	s.running.Wait()
	if err := s.repair(); err != nil {
		l.o.Log.Warn("the log closes unrepaired; opening it repairs it", "err", err)
	}
}

// sequencer is the state of sequence.
type sequencer struct {
	l       *Ledger
	next    int64     // index of the next new entry
	started time.Time // of the last batch
	slots   chan struct{}
	running sync.WaitGroup

	pace pace

	mu   sync.Mutex
	lost []*call // whose batch failed: repair finds out whether they are in the log
	why  error   // why the first of them failed
}

// nextBatch waits until a batch is due: when it is full, or at the time that
// due says. Where the log must be repaired first, it is due in any case. It
// reports false when there will be no more.
func (s *sequencer) nextBatch() bool {
	l := s.l
	quiet := time.NewTimer(recordAfter)
	defer quiet.Stop()
	for {
		n, closed := l.inbox.queued()
		wait := time.Until(s.due())
		broken := l.broken.Load()
		switch {
		case l.ctx.Err() != nil, closed && n == 0:
			return false
		case n >= l.o.BatchSize, (n > 0 || broken) && wait <= 0, closed:
			s.started = time.Now()
			return true
		}
		var due <-chan time.Time
		if n > 0 || broken {
			due = time.After(wait)
		}
		select {
		case <-l.ctx.Done():
		case <-l.inbox.wake:
		case <-due:
		case <-quiet.C:
			if err := l.recordPublished(l.ctx); err != nil {
				l.o.Log.Warn("recording the published size", "err", err)
			}
		}
	}
}

// run reserves a batch and hands its new entries to Tessera.
func (s *sequencer) run(batch []*call) {
	l := s.l
	fresh, known, err := l.reserve(l.ctx, batch, s.next)
	if err != nil {
		// A commit may have been done although it failed.
		l.broken.Store(true)
		l.inbox.finish(batch, fmt.Errorf("reserving entries: %w", err))
		return
	}
	l.waiters.add(known)
	l.wakeWatcher()
	if len(fresh) == 0 {
		return
	}
	first := s.next
	s.next += int64(len(fresh))
	s.slots <- struct{}{}
	futures := make([]tessera.IndexFuture, len(fresh))
	for i, c := range fresh {
		futures[i] = l.appender.Add(l.ctx, tessera.NewEntry(c.leaf))
	}
	started := s.started
	s.running.Go(func() {
		s.settle(fresh, futures, first, started)
		<-s.slots
	})
}

// settle waits for the indexes of a batch. They must be those foreseen;
// otherwise the sequencer stops to repair what it noted.
func (s *sequencer) settle(calls []*call, futures []tessera.IndexFuture, first int64, started time.Time) {
	l := s.l
	var failed error
	for i, c := range calls {
		ix, err := futures[i]()
		c.index, c.sequenced = int64(ix.Index), time.Now()
		if err == nil && c.index != first+int64(i) {
			err = fmt.Errorf("it gave index %d and not %d", c.index, first+int64(i))
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("appending to the log %s: %w", l.o.Dir, err)
		}
	}
	if failed != nil {
		s.lose(calls, failed)
		return
	}
	s.pace.note(time.Since(started))
	l.raiseSequenced(first + int64(len(calls)))
	l.waiters.add(calls)
	l.wakeWatcher()
}

// lose notes calls for repair.
func (s *sequencer) lose(calls []*call, why error) {
	s.l.o.Log.Error("appending to the log", "entries", len(calls), "err", why)
	s.mu.Lock()
	s.lost = append(s.lost, calls...)
	if s.why == nil {
		s.why = why
	}
	s.mu.Unlock()
	s.l.broken.Store(true)
	s.l.inbox.signal()
}

// raiseSequenced notes that the log has n entries at least.
func (l *Ledger) raiseSequenced(n int64) {
	for {
		old := l.sequenced.Load()
		if n <= old || l.sequenced.CompareAndSwap(old, n) {
			return
		}
	}
}

// repair does nothing unless something went other than foreseen. Then it waits
// for the batches under way, brings the database up to what the log has, and
// tells the callers whose batch failed what became of their entries.
func (s *sequencer) repair() error {
	l := s.l
	if !l.broken.Load() {
		return nil
	}
	s.running.Wait()
	lost, why := s.takeLost()
	if err := l.reread(l.ctx); err != nil {
		err = fmt.Errorf("repairing the log after an error: %w", err)
		l.o.Log.Error("repairing the log", "err", err)
		l.inbox.finish(lost, why)
		return err
	}
	s.next = l.sequenced.Load()
	l.broken.Store(false)
	return s.comfort(lost, why)
}

func (s *sequencer) takeLost() ([]*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost, why := s.lost, s.why
	s.lost, s.why = nil, nil
	return lost, why
}

// comfort lets callers wait whose entries are in the log after all, and tells
// the others why theirs are not.
func (s *sequencer) comfort(lost []*call, why error) error {
	if len(lost) == 0 {
		return nil
	}
	found, err := s.l.lookup(s.l.ctx, lost)
	if err != nil {
		s.l.inbox.finish(lost, why)
		return err
	}
	var there, gone []*call
	for _, c := range lost {
		ix, ok := found[c.hash]
		if !ok {
			gone = append(gone, c)
			continue
		}
		c.index = ix
		there = append(there, c)
	}
	s.l.waiters.add(there)
	s.l.inbox.finish(gone, why)
	return nil
}

// reread brings the database up to the log as it is on the disk.
func (l *Ledger) reread(ctx context.Context) error {
	ts, ok, err := l.files.treeState()
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: %s is gone", ErrDamaged, l.files.path(treeStateName))
	}
	if err := l.reconcile(ctx, newTree(l.files, ts.Size, nil)); err != nil {
		return err
	}
	l.raiseSequenced(ts.Size)
	if l.sequenced.Load() != ts.Size {
		return errors.Join(ErrDamaged, fmt.Errorf("the log shrank from %d entries to %d", l.sequenced.Load(), ts.Size))
	}
	return nil
}

// hashesOf returns the leaf hashes of calls, one after the other.
func hashesOf(calls []*call) []byte {
	b := make([]byte, 0, len(calls)*len(tlog.Hash{}))
	for _, c := range calls {
		b = append(b, c.hash[:]...)
	}
	return b
}
