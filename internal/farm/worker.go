package farm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/sandbox"
	"vitrine.example/statement"
)

// Worker builds what an office has to be built.
type Worker struct {
	Name      string
	Office    Office
	Engine    sandbox.Engine
	Explainer rebuild.Explainer // nil: nothing is explained
	Dir       string            // for what is being built; emptied by Run
	Cache     *Cache            // nil: everything is fetched each time
	Slots     int               // how much is built at once; default 1
	Idle      time.Duration     // how long to wait where there is nothing to do; default 2 s
	Now       func() time.Time
	Log       *slog.Logger
}

// Run builds until ctx ends, and then gives back what is being built.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.Engine.Check(ctx); err != nil {
		return fmt.Errorf("the sandbox %s: %w", w.Engine.Name(), err)
	}
	if err := os.MkdirAll(w.Dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockDir(w.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	left, err := filepath.Glob(filepath.Join(w.Dir, "order-*"))
	if err != nil {
		return err
	}
	for _, dir := range left { // of a worker that was killed
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing what an earlier run left: %w", err)
		}
	}
	var wg sync.WaitGroup
	for range max(w.Slots, 1) {
		wg.Go(func() { w.slot(ctx) })
	}
	wg.Wait()
	return nil
}

// lockDir keeps a second worker out of a directory: it would remove what the
// first one builds.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another worker uses the directory %s: %w", dir, err), f.Close())
	}
	return func() { _ = f.Close() }, nil // and with it the lock
}

// slot takes one order after the other.
func (w *Worker) slot(ctx context.Context) {
	idle := w.Idle
	if idle <= 0 {
		idle = 2 * time.Second
	}
	wait := idle
	for ctx.Err() == nil {
		asked := time.Now()
		h, err := w.Office.Take(ctx, w.Name)
		switch {
		case err != nil && ctx.Err() == nil:
			w.Log.Warn("no work can be had", "err", err)
			wait = min(2*wait, time.Minute)
		case h != nil:
			wait = idle
			if w.build(ctx, h, asked) {
				continue
			}
		case err == nil:
			wait = idle
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait)): // so that workers do not come all at once
		}
	}
}

// build builds one order and says what came of it. It is false where the
// trouble is this machine's own.
func (w *Worker) build(ctx context.Context, h *Held, taken time.Time) bool {
	log := w.Log.With("rebuild", h.ID, "epoch", h.Epoch)
	log.Info("building", "release", h.Order.Release)
	l, ctx := w.hold(ctx, h, taken, log)
	defer l.lose(nil)
	keep, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.renewing(keep) })
	answer := w.inDir(ctx, l, func() { wg.Go(func() { l.sending(keep) }) })
	stop()
	wg.Wait()
	switch cause := context.Cause(ctx); {
	case answer == nil && errors.Is(cause, ErrLost):
		log.Warn("stopped", "why", cause)
	case answer == nil:
		l.giveBack(ctx)
	default:
		log.Info("built", "outcome", answer.Result.Outcome, "reason", answer.Attempt.Reason, "detail", answer.Attempt.Detail)
		return answer.Attempt.Reason != statement.ReasonEngine
	}
	return true
}

// inDir builds in a directory of its own, and tells the node. The answer is what
// it took; nil where it took none. opened is called once there is a log.
func (w *Worker) inDir(ctx context.Context, l *lease, opened func()) *Answer {
	dir, err := os.MkdirTemp(w.Dir, "order-*")
	if err != nil {
		return l.finish(ctx, w.trouble(time.Time{}, statement.ReasonEngine, err))
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			l.log.Error("removing what was built", "err", err)
		}
	}()
	if l.spool, err = newSpool(filepath.Join(dir, "log")); err != nil {
		return l.finish(ctx, w.trouble(time.Time{}, statement.ReasonEngine, err))
	}
	defer l.closeSpool()
	opened()
	a := w.answer(ctx, l, dir)
	if ctx.Err() != nil {
		return nil
	}
	return l.finish(ctx, a)
}

// trouble is the answer where nothing came of it.
func (w *Worker) trouble(started time.Time, reason statement.Reason, err error) *Answer {
	if started.IsZero() {
		started = w.Now().UTC().Truncate(time.Second)
	}
	return &Answer{Attempt: rebuild.Attempt{
		Engine: w.Engine.Name(), Started: started, Finished: later(w.Now(), started), Reason: reason, Detail: rebuild.OneLine(err.Error()),
	}}
}

// answer runs the task and judges what came out.
func (w *Worker) answer(ctx context.Context, l *lease, dir string) *Answer {
	outDir, tmp := filepath.Join(dir, "out"), filepath.Join(dir, "tmp")
	started := w.Now().UTC().Truncate(time.Second)
	trouble := func(reason statement.Reason, err error) *Answer { return w.trouble(started, reason, err) }
	for _, d := range []string{outDir, tmp} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return trouble(statement.ReasonEngine, err)
		}
	}
	shelf := &shelf{w: w, l: l, dir: tmp}
	r := &rebuild.Runner{Engine: w.Engine, Store: shelf, Now: w.Now, Dir: tmp, Progress: l.progress}
	try, err := r.Run(ctx, &l.h.Order.Task, l.spool, outDir)
	if err != nil {
		return trouble(statement.ReasonEngine, err)
	}
	try.Finished = later(try.Finished, try.Started)
	if !try.OK() {
		return &Answer{Attempt: *try}
	}
	l.progress(rebuild.StageCompare, 0, -1)
	j := &rebuild.Judge{Shipped: shelf.shipped, Explainer: w.Explainer, Dir: tmp}
	res, err := j.Judge(ctx, &l.h.Order, try, outDir, l.h.Order.Private)
	if err != nil {
		return trouble(statement.ReasonArtifact, err)
	}
	a := &Answer{Attempt: *try, Result: *res, Report: res.Explanation}
	if len(a.Report) > MaxReport {
		return trouble(statement.ReasonArtifact, fmt.Errorf("the explanation has %d bytes, at most %d are allowed", len(a.Report), MaxReport))
	}
	a.Result.Explanation = nil
	return a
}

// later is t, or start where the clock ran backwards between them.
func later(t, start time.Time) time.Time {
	if t = t.UTC().Truncate(time.Second); t.Before(start) {
		return start
	}
	return t
}
