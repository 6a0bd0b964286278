package farm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"vitrine.example/statement"
)

// graceLeases is how many leases long a worker goes on while no node can be told.
// A node that comes back soon finds the order as it was, unless it gave it to
// somebody else; what it is told then counts for nothing.
const graceLeases = 10

// returnTimeout bounds how long a worker that stops waits for the node.
const returnTimeout = 5 * time.Second

// lease is an order that is being built.
type lease struct {
	w     *Worker
	h     *Held
	log   *slog.Logger
	lose  context.CancelCauseFunc
	spool *spool     // nil where there was no disk for it
	turn  sync.Mutex // of who sends the log

	mu    sync.Mutex
	now   Progress
	heard time.Time     // when the node was asked that answered last
	lasts time.Duration // how long the lease lasts from then
}

// hold begins to hold an order that was taken by a call at that time. The
// context ends with the lease.
func (w *Worker) hold(ctx context.Context, h *Held, taken time.Time, log *slog.Logger) (*lease, context.Context) {
	ctx, lose := context.WithCancelCause(ctx)
	lasts := time.Duration(h.Lasts) * time.Millisecond
	if lasts <= 0 || lasts > maxLease {
		lasts = DefaultLease
	}
	return &lease{w: w, h: h, log: log, lose: lose, heard: taken, lasts: lasts}, ctx
}

// maxLease is longer than any that a node gives.
const maxLease = 24 * time.Hour

// progress is told by whoever works.
func (l *lease) progress(stage string, done, total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = Progress{stage, done, total}
}

// renewing renews the lease until ctx ends. Where the lease is lost, or nobody
// could be told for too long, it ends the work.
func (l *lease) renewing(ctx context.Context) {
	for wait := l.step(); sleep(ctx, wait); {
		err := l.renew(ctx)
		wait = l.step()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrLost):
			l.lose(err)
			return
		case err != nil && !time.Now().Before(l.end()):
			l.lose(fmt.Errorf("%w: no node could be told for %s", ErrLost, time.Since(l.heard).Round(time.Second)))
			return
		case err != nil:
			l.log.Warn("no node can be told", "err", err)
			wait = min(wait, 2*time.Second)
		}
	}
}

// step is how often a lease is renewed.
func (l *lease) step() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return min(max(l.lasts/4, 20*time.Millisecond), 15*time.Second)
}

// end is when the worker gives up by itself.
func (l *lease) end() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard.Add(graceLeases * l.lasts)
}

func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, l.end())
	defer cancel()
	l.mu.Lock()
	p := l.now
	l.mu.Unlock()
	asked := time.Now()
	lasts, err := l.w.Office.Renew(ctx, l.h.ID, l.h.Epoch, p)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = asked // the node counts from when it heard it, which was later
	if lasts > 0 && lasts <= maxLease {
		l.lasts = lasts
	}
	return nil
}

// sending sends the log as it grows, until ctx ends. What does not go is sent
// again, and at the end by finish.
func (l *lease) sending(ctx context.Context) {
	for sleep(ctx, min(l.step(), time.Second)) {
		if err := l.send(ctx); err != nil && ctx.Err() == nil {
			l.log.Debug("the log cannot be sent", "err", err)
		}
	}
}

// send gives the log as far as it goes.
func (l *lease) send(ctx context.Context) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	for l.spool != nil {
		start, data, err := l.spool.next()
		if err != nil || len(data) == 0 {
			return err
		}
		if err := l.w.Office.Log(ctx, l.h.ID, l.h.Epoch, start, data); err != nil {
			return err
		}
		l.spool.sent(start + int64(len(data)))
	}
	return nil
}

// closeSpool ends the log; who sends it sends no more.
func (l *lease) closeSpool() {
	l.turn.Lock()
	defer l.turn.Unlock()
	if err := l.spool.Close(); err != nil {
		l.log.Error("closing the log", "err", err)
	}
	l.spool = nil
}

// finish says the rest of the log and the answer, while the lease is renewed. It
// returns what the node took, nil where the lease was lost. An answer that the
// node refuses is itself an end: without one the order would be built for ever.
func (l *lease) finish(ctx context.Context, a *Answer) *Answer {
	refused := false
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := l.send(ctx)
		if err == nil || errors.Is(err, ErrRefused) {
			err = l.w.Office.Finish(ctx, l.h.ID, l.h.Epoch, a)
		}
		switch {
		case err == nil:
			return a
		case errors.Is(err, ErrLost):
			l.lose(err)
			return nil
		case errors.Is(err, ErrRefused) && !refused:
			refused, wait = true, 0
			a = l.w.trouble(a.Attempt.Started, statement.ReasonEngine, fmt.Errorf("the node does not take the answer: %w", err))
		case errors.Is(err, ErrRefused):
			l.lose(fmt.Errorf("%w: the node takes no answer: %w", ErrLost, err))
			return nil
		default:
			l.log.Warn("the outcome cannot be told", "err", err)
		}
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// giveBack gives the lease back where the worker stops.
func (l *lease) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), returnTimeout)
	defer cancel()
	if err := l.w.Office.Return(ctx, l.h.ID, l.h.Epoch); err != nil {
		l.log.Warn("not given back: the lease runs out by itself", "err", err)
		return
	}
	l.log.Info("given back")
}

// sleep is false where ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
