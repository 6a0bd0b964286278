// Package projection turns a node's log into tables that pages are read from.
//
// A [Projection] follows the published entries of the log in order
// ([Projection.Run]) and keeps what they say in tables: entries, subjects,
// releases, artifacts. A log entry holds only the record of a signature, so
// each is joined with its envelope from the content store, and the signature
// and the leaf are checked again before anything is believed.
//
// The tables are disposable: [Projection.Rebuild] empties them and they fill
// again from the log. What is not disposable is the journal of submissions
// ([Projection.Submitted]), which says which envelope stands behind a leaf.
//
// Promises: nothing is shown that is not under a published checkpoint; an
// entry whose envelope is unknown or does not fit is kept as exactly that, and
// never stops the ones behind it.
package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
)

// Timing and size of the steps in which the log is followed.
const (
	batch      = 4096                   // entries taken in one transaction
	batchBytes = 16 << 20               // of the statements among them
	pollEvery  = 250 * time.Millisecond // between looks at the log, unless woken
	maxPause   = 30 * time.Second       // between tries while something is broken
)

// ErrUnknown is returned where the log has no such statement, release or entry.
var ErrUnknown = errors.New("not in the log")

// Log is the published part of a log.
type Log interface {
	// Published returns how many entries the newest checkpoint covers.
	Published(ctx context.Context) (int64, error)
	// Leaf returns one of these entries.
	Leaf(ctx context.Context, index int64) ([]byte, error)
}

// Projection is safe for use by several goroutines.
type Projection struct {
	db      *store.DB
	content *content.Store
	log     Log
	logger  *slog.Logger
	wake    chan struct{}
	step    sync.Mutex // one step at a time

	mu      sync.Mutex
	next    int64 // first entry that is not projected yet
	problem error // of the last step
	moved   chan struct{}
}

// New returns a projection of log into db. Nothing happens before Run or Step.
func New(ctx context.Context, db *store.DB, c *content.Store, log Log, logger *slog.Logger) (*Projection, error) {
	p := &Projection{
		db: db, content: c, log: log, logger: logger,
		wake: make(chan struct{}, 1), moved: make(chan struct{}),
	}
	if err := p.load(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// Run follows the log until ctx is done. A step that fails is tried again with
// growing pauses; [Projection.Lag] shows it meanwhile.
func (p *Projection) Run(ctx context.Context) {
	pause := pollEvery
	for {
		n, err := p.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.logger.Error("projection stands still", "err", err, "again_in", pause)
			pause = min(2*pause, maxPause)
		default:
			pause = pollEvery
		}
		if err == nil && n > 0 && p.more(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-time.After(pause):
		}
	}
}

// more reports whether at least half a batch waits. Less is left to gather: a
// transaction for each checkpoint would be in the way of the log's own.
func (p *Projection) more(ctx context.Context) bool {
	next, published, err := p.Lag(ctx)
	return err == nil && published-next >= batch/2
}

// Wake makes Run look at the log now.
func (p *Projection) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Lag tells how far the projection is: the first entry that is not projected,
// how many are published, and what went wrong in the last step, if anything.
func (p *Projection) Lag(ctx context.Context) (next, published int64, err error) {
	published, err = p.log.Published(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the size of the log: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next, max(published, p.next), p.problem
}

// Await waits until the entry at index is projected or ctx is done.
func (p *Projection) Await(ctx context.Context, index int64) error {
	for {
		p.mu.Lock()
		next, moved := p.next, p.moved
		p.mu.Unlock()
		if next > index {
			return nil
		}
		p.Wake()
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for entry %d to be projected: %w", index, ctx.Err())
		case <-moved:
		}
	}
}

// Step projects the next published entries, at most one batch, and returns how
// many it took.
func (p *Projection) Step(ctx context.Context) (int64, error) {
	p.step.Lock()
	defer p.step.Unlock()
	n, next, err := p.advance(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problem = err
	if err == nil && next != p.next {
		p.next = next
		close(p.moved)
		p.moved = make(chan struct{})
	}
	return n, err
}

func (p *Projection) position() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// advance reads and checks outside the transaction, then writes in one.
func (p *Projection) advance(ctx context.Context) (n, next int64, err error) {
	published, err := p.log.Published(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the size of the log: %w", err)
	}
	from := p.position()
	to := min(published, from+batch)
	if to <= from {
		return 0, from, nil
	}
	facts, to, err := p.readAll(ctx, from, to)
	if err != nil {
		return 0, 0, err
	}
	err = p.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		var c Counts
		for i := range facts {
			if err := facts[i].write(ctx, tx, &c); err != nil {
				return fmt.Errorf("projecting entry %d: %w", facts[i].index, err)
			}
		}
		return advanceState(ctx, tx, to, c)
	})
	if err != nil {
		return 0, 0, err
	}
	return to - from, to, nil
}

// readAll looks at the entries from ≤ index < to, or at fewer where they are
// large, and returns where it stopped.
func (p *Projection) readAll(ctx context.Context, from, to int64) (facts []fact, end int64, err error) {
	bytes := 0
	for i := from; i < to; i++ {
		f, ok, err := p.read(ctx, i)
		if err != nil {
			return nil, 0, fmt.Errorf("projecting entry %d: %w", i, err)
		}
		if ok {
			facts = append(facts, f)
		}
		if bytes += f.size; bytes > batchBytes {
			return facts, i + 1, nil
		}
	}
	return facts, to, nil
}

// advanceState notes the position and what was added on the way to it.
func advanceState(ctx context.Context, tx *store.Tx, next int64, c Counts) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO projected_state (id, next_idx, statements, releases)
		VALUES (1, $1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET next_idx = excluded.next_idx,
			statements = projected_state.statements + excluded.statements,
			releases = projected_state.releases + excluded.releases`, next, c.Statements, c.Releases)
	if err != nil {
		return fmt.Errorf("noting the position: %w", err)
	}
	return nil
}

// load reads where an earlier process stopped.
func (p *Projection) load(ctx context.Context) error {
	var next int64
	err := p.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(next_idx), 0) FROM projected_state`).Scan(&next)
	})
	if err != nil {
		return fmt.Errorf("reading the position of the projection: %w", err)
	}
	p.mu.Lock()
	p.next = next
	p.mu.Unlock()
	return nil
}
