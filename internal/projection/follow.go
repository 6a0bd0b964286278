package projection

import (
	"context"
	"fmt"
	"sync"
	"time"

	"vitrine.example/internal/store"
)

// Timing and size of the steps in which a log is followed.
const (
	batch      = 4096                   // entries taken in one transaction
	batchBytes = 16 << 20               // of entries, and of statements, among them
	pollEvery  = 250 * time.Millisecond // between looks at the log, unless woken
	againEvery = 10 * time.Second       // between looks at entries without statements
	maxPause   = 30 * time.Second       // between tries while something is broken
)

// follow is one log that is followed.
type follow struct {
	p      *Projection
	origin string
	log    Log
	keys   Keys   // nil: whichever key the entry names
	source Source // nil: the journal of submissions
	id     int64  // in the tables
	known  known
	wake   chan struct{}

	stop context.CancelFunc // of run; nil where it does not run
	done chan struct{}

	step   sync.Mutex // one step at a time
	trust  trust
	ahead  *ahead // the batch that is read while another is written
	cursor int64  // first entry that is looked at again

	mu      sync.Mutex
	next    int64 // first entry that is not projected yet
	seen    seen
	problem error // of the last step
	moved   chan struct{}
}

func newFollow(p *Projection, origin string, log Log, keys Keys, source Source) *follow {
	return &follow{
		p: p, origin: origin, log: log, keys: keys, source: source,
		wake: make(chan struct{}, 1), moved: make(chan struct{}),
	}
}

// load finds the log in the tables, or puts it there, and reads where an
// earlier process stopped.
func (f *follow) load(ctx context.Context) error {
	var id, next int64
	var ids []byte
	err := f.p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO projected_log (id, origin, next_idx, statements, releases, key_ids)
			SELECT COALESCE(MAX(id), 0) + 1, CAST($1 AS bytetext), 0, 0, 0, CAST($2 AS blob) FROM projected_log WHERE true
			ON CONFLICT (origin) DO NOTHING`, f.origin, []byte{}); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT id, next_idx, key_ids FROM projected_log WHERE origin = $1`,
			f.origin).Scan(&id, &next, &ids)
	})
	if err != nil {
		return fmt.Errorf("reading the position of the projection: %w", err)
	}
	if f.id != id { // it stays when tables are made again, while others read it
		f.id = id
	}
	f.trust.ids = ids
	f.mu.Lock()
	f.next = next
	f.mu.Unlock()
	return nil
}

// run follows the log until ctx is done.
func (f *follow) run(ctx context.Context) {
	pause := pollEvery
	var looked time.Time
	for {
		again := f.p.Now().Sub(looked) >= againEvery
		n, err := f.once(ctx, again)
		switch {
		case ctx.Err() != nil:
			f.drain()
			return
		case err != nil:
			f.p.Logger.Error("projection stands still", "log", f.origin, "err", err, "again_in", pause)
			pause = min(2*pause, maxPause)
		default:
			pause = pollEvery
			if again {
				looked = f.p.Now()
			}
		}
		if err == nil && n > 0 && f.more() {
			continue
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-f.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// end stops run and waits for it.
func (f *follow) end() {
	if f.stop != nil {
		f.stop()
		<-f.done
	}
	f.drain()
}

// drain waits for the batch that is read ahead and forgets it.
func (f *follow) drain() {
	f.step.Lock()
	defer f.step.Unlock()
	f.forget()
}

func (f *follow) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// more reports whether at least half a batch waits. Less is left to gather: a
// transaction for each checkpoint would be in the way of the log's own.
func (f *follow) more() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen.size-f.next >= batch/2
}

// position returns how far the log is projected, and what is closed when that
// changes.
func (f *follow) position() (next int64, moved <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next, f.moved
}

// once takes one step and notes what came of it. Entries that lacked their
// statement are looked at where the log has nothing new, all of them or only
// those of which it is known that something has changed.
func (f *follow) once(ctx context.Context, all bool) (int64, error) {
	f.step.Lock()
	defer f.step.Unlock()
	n, err := f.advance(ctx)
	if err == nil && n == 0 {
		n, err = f.lookAgain(ctx, all)
	}
	if err == nil && n == 0 {
		err = f.p.settled(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problem = err
	return n, err
}

// look asks the log how far it is.
func (f *follow) look(ctx context.Context) (size int64, err error) {
	size, at, err := f.log.Published(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the size of the log: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen.note(size, at, f.next, f.p.Now())
	if size < f.next {
		return 0, fmt.Errorf("the log shows %d entries and had %d: whoever serves it has lost or hidden some", size, f.next)
	}
	return size, nil
}

// reach notes that everything below next is projected.
func (f *follow) reach(next int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = next
	f.seen.passed(next)
	close(f.moved)
	f.moved = make(chan struct{})
}

// advance reads and checks outside the transaction, then writes in one. While
// it writes, the next batch is read.
func (f *follow) advance(ctx context.Context) (int64, error) {
	if err := f.retrust(ctx); err != nil {
		return 0, err
	}
	size, err := f.look(ctx)
	if err != nil {
		return 0, err
	}
	from, _ := f.position()
	if size <= from {
		return 0, nil
	}
	if err := f.p.bare(ctx, size); err != nil {
		return 0, err
	}
	b, err := f.take(ctx, from, min(size, from+batch))
	if err != nil {
		return 0, err
	}
	select {
	case f.p.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-f.p.turn }()
	if size-b.end >= batch/2 {
		f.readAhead(ctx, b.end, min(size, b.end+batch))
	}
	if err := f.write(ctx, b); err != nil {
		return 0, err
	}
	f.reach(b.end)
	return b.end - b.from, nil
}
