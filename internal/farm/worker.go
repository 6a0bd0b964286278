package farm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
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

// Run builds until ctx ends. What is being built then is given back by silence:
// its lease runs out.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.Engine.Check(ctx); err != nil {
		return fmt.Errorf("the sandbox %s: %w", w.Engine.Name(), err)
	}
	if err := os.MkdirAll(w.Dir, 0o700); err != nil {
		return err
	}
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

// slot takes one order after the other.
func (w *Worker) slot(ctx context.Context) {
	idle := w.Idle
	if idle <= 0 {
		idle = 2 * time.Second
	}
	wait := idle
	for ctx.Err() == nil {
		h, err := w.Office.Take(ctx, w.Name)
		switch {
		case err != nil && ctx.Err() == nil:
			w.Log.Warn("no work can be had", "err", err)
			wait = min(2*wait, time.Minute)
		case h != nil:
			wait = idle
			w.build(ctx, h)
			continue
		case err == nil:
			wait = idle
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait)): // so that workers do not come all at once
		}
	}
}

// build builds one order and says what came of it.
func (w *Worker) build(ctx context.Context, h *Held) {
	log := w.Log.With("rebuild", h.ID, "epoch", h.Epoch)
	log.Info("building", "release", h.Order.Release)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dir, err := os.MkdirTemp(w.Dir, "order-*")
	if err != nil {
		log.Error("no directory to build in", "err", err)
		return
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			log.Error("removing what was built", "err", err)
		}
	}()
	l := &lease{w: w, h: h, log: log, lose: cancel, until: h.Until}
	if l.spool, err = newSpool(filepath.Join(dir, "log")); err != nil {
		log.Error("no file for the log", "err", err)
		return
	}
	defer l.spool.Close()
	keep := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { l.keep(ctx, keep) })
	answer := w.answer(ctx, l, dir)
	close(keep)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		log.Warn("not finished", "why", err)
		return
	}
	if err := l.finish(ctx, answer); err != nil {
		log.Warn("the outcome was not taken", "err", err)
		return
	}
	log.Info("built", "outcome", answer.Result.Outcome, "reason", answer.Attempt.Reason, "detail", answer.Attempt.Detail)
}

// answer runs the task and judges what came out.
func (w *Worker) answer(ctx context.Context, l *lease, dir string) *Answer {
	outDir, tmp := filepath.Join(dir, "out"), filepath.Join(dir, "tmp")
	started := w.Now().UTC().Truncate(time.Second)
	trouble := func(reason statement.Reason, err error) *Answer {
		return &Answer{Attempt: rebuild.Attempt{
			Engine: w.Engine.Name(), Started: started, Finished: later(w.Now(), started), Reason: reason, Detail: rebuild.OneLine(err.Error()),
		}}
	}
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

// lease is an order that is being built.
type lease struct {
	w     *Worker
	h     *Held
	log   *slog.Logger
	spool *spool
	lose  context.CancelCauseFunc

	mu    sync.Mutex
	now   Progress
	until time.Time
}

// progress is told by whoever works.
func (l *lease) progress(stage string, done, total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = Progress{stage, done, total}
}

// keep renews the lease and sends the log until done is closed. Where the lease
// is lost, or nobody could be asked before it ran out, it ends the work.
func (l *lease) keep(ctx context.Context, done <-chan struct{}) {
	step := min(max(time.Until(l.until)/4, 50*time.Millisecond), 15*time.Second)
	beat := time.NewTicker(step)
	defer beat.Stop()
	send := time.NewTicker(min(step, time.Second))
	defer send.Stop()
	for {
		var err error
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-send.C:
			err = l.send(ctx)
		case <-beat.C:
			err = l.renew(ctx)
		}
		if errors.Is(err, ErrLost) {
			l.lose(err)
			return
		}
		if err != nil && ctx.Err() == nil {
			l.log.Warn("the node cannot be told", "err", err)
			if time.Now().After(l.until) {
				l.lose(fmt.Errorf("%w: no node could be told in time", ErrLost))
				return
			}
		}
	}
}

func (l *lease) renew(ctx context.Context) error {
	l.mu.Lock()
	p := l.now
	l.mu.Unlock()
	asked := time.Now()
	until, err := l.w.Office.Renew(ctx, l.h.ID, l.h.Epoch, p)
	if err != nil {
		return err
	}
	// The node's clock may be another: how long it gave is what counts.
	if l.h.Until.IsZero() || until.After(l.h.Until) {
		l.until = asked.Add(until.Sub(l.h.Until))
	}
	if l.until.Before(asked.Add(time.Second)) {
		l.until = asked.Add(DefaultLease)
	}
	return nil
}

// send gives the log as far as it goes.
func (l *lease) send(ctx context.Context) error {
	for {
		start, data, err := l.spool.next()
		if err != nil || len(data) == 0 {
			return err
		}
		if err := l.w.Office.Log(ctx, l.h.ID, l.h.Epoch, start, data); err != nil {
			return err
		}
		l.spool.sent(start + int64(len(data)))
	}
}

// finish says the rest of the log and the answer. It tries as long as the lease
// lasts, and once more: only the node knows whether that is too late.
func (l *lease) finish(ctx context.Context, a *Answer) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := l.send(ctx)
		if err == nil {
			err = l.w.Office.Finish(ctx, l.h.ID, l.h.Epoch, a)
		}
		if err == nil || errors.Is(err, ErrLost) || ctx.Err() != nil || time.Now().After(l.until) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// shelf is the store of one order: the cache, and behind it the office.
type shelf struct {
	w   *Worker
	l   *lease
	dir string
	mu  sync.Mutex
}

// Open gives content that is checked against its digest while it is read.
func (s *shelf) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, content.Info, error) {
	size, ok := need(&s.l.h.Order, d)
	if !ok {
		return nil, content.Info{}, fmt.Errorf("%w: the order does not need %s", content.ErrUnknown, d)
	}
	info := content.Info{Digest: d, Size: size}
	if s.w.Cache == nil {
		r, err := s.fetch(ctx, d)
		if err != nil {
			return nil, info, err
		}
		return checked(r, d, size), info, nil
	}
	r, err := s.w.Cache.Get(ctx, d, size, func() (io.ReadCloser, error) { return s.fetch(ctx, d) })
	return r, info, err
}

func (s *shelf) fetch(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	return s.w.Office.Content(ctx, s.l.h.ID, s.l.h.Epoch, d)
}

// shipped puts a shipped artifact into a file, checked.
func (s *shelf) shipped(ctx context.Context, a rebuild.Shipped) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.dir, "shipped-"+a.SHA256.String())
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	r, _, err := s.Open(ctx, a.SHA256)
	if err != nil {
		return "", fmt.Errorf("the shipped %s: %w", a.Name, err)
	}
	defer r.Close()
	if err := fill(path, r); err != nil {
		return "", fmt.Errorf("the shipped %s: %w", a.Name, err)
	}
	return path, nil
}

// fill writes a whole file or none.
func fill(path string, r io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
