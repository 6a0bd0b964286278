package farm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine.example/internal/farm"
	"vitrine.example/internal/sandbox"
	"vitrine.example/statement"
)

// What a build says and makes comes to the node, whole.
func TestWorkerBuilds(t *testing.T) {
	c := newCentre(t, time.Minute)
	said := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16+1)
	var inputs atomic.Value
	e := engine{func(_ context.Context, job *sandbox.Job, log io.Writer, outDir string) (sandbox.Result, error) {
		b, err := os.ReadFile(job.Inputs[0].File)
		inputs.Store(string(b))
		if _, err2 := log.Write(said); err != nil || err2 != nil {
			return sandbox.Result{}, errors.Join(err, err2)
		}
		return makes(outDir, "hello")
	}}
	cache, err := farm.OpenCache(t.TempDir(), 1<<20)
	check(t, err)
	worker(t, client(t, "w", c), e, func(w *farm.Worker) { w.Cache, w.Slots = cache, 2 })
	same, other := c.order(1, "hello", c.put("an input")), c.order(2, "other", c.put("an input"))
	if out := c.decided(same); out.Row.Outcome != statement.Identical || out.Tried[0].Worker != "w" || out.Tried[0].LogSize != int64(len(said)) {
		t.Errorf("outcome %+v", out.Row)
	}
	if got := c.log(same); !bytes.Equal(got, said) {
		t.Errorf("%d bytes of log, want %d", len(got), len(said))
	}
	c.put("other") // what was shipped; without it nothing can be compared
	if err := c.queue.Hurry(t.Context(), other); err != nil && !errors.Is(err, farm.ErrState) {
		t.Fatal(err)
	}
	out := c.decided(other)
	if out.Row.Outcome != statement.Different || out.Result == nil || !bytes.Contains(out.Result.Explanation, []byte("nothing here looks inside")) {
		t.Errorf("outcome %+v", out.Row)
	}
	if inputs.Load() != "an input" {
		t.Errorf("the build was given %q", inputs.Load())
	}
}

// A node that is away for several leases finds its order built, once.
func TestNodeAwayForAWhile(t *testing.T) {
	const lease = 500 * time.Millisecond
	c := newCentre(t, lease)
	running, go1 := make(chan struct{}), make(chan struct{})
	e := engine{func(ctx context.Context, _ *sandbox.Job, log io.Writer, outDir string) (sandbox.Result, error) {
		close(running)
		for i := range 300 {
			if i == 200 {
				<-go1
			}
			if _, err := fmt.Fprintln(log, "line", i); err != nil {
				return sandbox.Result{}, err
			}
		}
		if ctx.Err() != nil {
			return sandbox.Result{Reason: sandbox.Cancelled}, nil
		}
		return makes(outDir, "hello")
	}}
	worker(t, client(t, "w", c), e)
	id := c.order(1, "hello")
	<-running
	c.stop()
	time.Sleep(2 * lease) // longer than a lease: nobody else is there to take it
	close(go1)
	time.Sleep(lease)
	c.serve()
	out := c.decided(id)
	if out.Row.Outcome != statement.Identical || len(out.Tried) != 1 || out.Epoch != 1 {
		t.Errorf("outcome %+v, attempts %+v", out.Row, out.Tried)
	}
	if got := c.log(id); bytes.Count(got, []byte("\n")) != 300 || !bytes.HasSuffix(got, []byte("line 299\n")) {
		t.Errorf("the log has %d lines", bytes.Count(got, []byte("\n")))
	}
}

// away is an office that gives work and is not heard of again.
type away struct {
	farm.Office
	gone atomic.Bool
}

var errAway = errors.New("nobody there")

func (a *away) Take(ctx context.Context, w string) (*farm.Held, error) {
	if a.gone.Load() {
		return nil, errAway
	}
	h, err := a.Office.Take(ctx, w)
	a.gone.Store(h != nil)
	return h, err
}
func (*away) Renew(context.Context, int64, int64, farm.Progress) (time.Duration, error) {
	return 0, errAway
}
func (*away) Log(context.Context, int64, int64, int64, []byte) error { return errAway }

// A worker that can tell nobody for long stops.
func TestNodeAwayForGood(t *testing.T) {
	c := newCentre(t, 50*time.Millisecond)
	stopped := make(chan error, 1)
	e := engine{func(ctx context.Context, _ *sandbox.Job, log io.Writer, _ string) (sandbox.Result, error) {
		_, err := log.Write([]byte("nobody reads this"))
		<-ctx.Done()
		stopped <- errors.Join(err, context.Cause(ctx))
		return sandbox.Result{Reason: sandbox.Cancelled}, nil
	}}
	id := c.order(1, "hello")
	worker(t, &away{Office: &farm.Local{Queue: c.queue, Store: c.store}}, e)
	if err := <-stopped; !errors.Is(err, farm.ErrLost) {
		t.Errorf("stopped for %v", err)
	}
	if h, err := c.queue.Take(t.Context(), "x"); err != nil || h == nil || h.ID != id || h.Epoch != 2 {
		t.Errorf("took %+v, %v", h, err)
	}
}

// waits is an engine that builds until it is stopped.
func waits() (e engine, running chan struct{}, stopped chan error) {
	running, stopped = make(chan struct{}, 9), make(chan error, 9)
	return engine{func(ctx context.Context, _ *sandbox.Job, _ io.Writer, _ string) (sandbox.Result, error) {
		running <- struct{}{}
		<-ctx.Done()
		stopped <- context.Cause(ctx)
		return sandbox.Result{Reason: sandbox.Cancelled}, nil
	}}, running, stopped
}

func TestLeaseIsLost(t *testing.T) {
	c := newCentre(t, time.Second)
	e, running, stopped := waits()
	worker(t, client(t, "w", c), e)
	id := c.order(1, "hello")
	<-running
	check(t, c.queue.GiveUp(t.Context(), id))
	if err := <-stopped; !errors.Is(err, farm.ErrLost) {
		t.Errorf("stopped for %v", err)
	}
	if s := c.state(id); s != farm.GivenUp {
		t.Errorf("the order is %s", s)
	}
	c.order(2, "hello")
	<-running // it goes on with another
}

func TestAWorkerThatStopsGivesBack(t *testing.T) {
	c := newCentre(t, time.Minute)
	e, running, stopped := waits()
	_, stop := worker(t, client(t, "w", c), e)
	id := c.order(1, "hello")
	<-running
	stop()
	<-stopped
	out, err := c.queue.Outcome(t.Context(), id)
	if err != nil || out.State != farm.Waiting || len(out.Tried) != 0 {
		t.Errorf("outcome %+v, %v", out.Row, err)
	}
}

func TestEngineThatCannot(t *testing.T) {
	c := newCentre(t, time.Minute)
	var runs atomic.Int64
	worker(t, client(t, "w", c), engine{func(_ context.Context, _ *sandbox.Job, _ io.Writer, outDir string) (sandbox.Result, error) {
		if runs.Add(1) == 1 {
			return sandbox.Result{}, errors.New("no\nnamespace")
		}
		return makes(outDir, "hello")
	}})
	id := c.order(1, "hello")
	until(t, "an attempt", func() bool { return row(t, c.queue, id).Tries == 1 })
	check(t, c.queue.Hurry(t.Context(), id))
	out := c.decided(id)
	if out.Row.Outcome != statement.Identical || len(out.Tried) != 2 || out.Tried[0].Attempt.Reason != statement.ReasonEngine || out.Tried[0].Attempt.Detail != "no namespace" {
		t.Errorf("attempts %+v", out.Tried)
	}
}

// strict refuses the first answer.
type strict struct {
	farm.Office
	asked atomic.Int64
}

func (s *strict) Finish(ctx context.Context, id, epoch int64, a *farm.Answer) error {
	if s.asked.Add(1) == 1 {
		return fmt.Errorf("%w: not like this", farm.ErrRefused)
	}
	return s.Office.Finish(ctx, id, epoch, a)
}

// An answer that is refused is an end all the same.
func TestAnswerThatIsRefused(t *testing.T) {
	c := newCentre(t, time.Minute)
	id := c.order(1, "hello")
	worker(t, &strict{Office: &farm.Local{Queue: c.queue, Store: c.store}}, engine{func(_ context.Context, _ *sandbox.Job, _ io.Writer, outDir string) (sandbox.Result, error) {
		return makes(outDir, "hello")
	}})
	until(t, "an attempt", func() bool { return row(t, c.queue, id).Tries == 1 })
	out, err := c.queue.Outcome(t.Context(), id)
	if err != nil || out.Tried[0].Attempt.Reason != statement.ReasonEngine || !strings.Contains(out.Tried[0].Attempt.Detail, "not like this") {
		t.Errorf("attempts %+v, %v", out.Tried, err)
	}
}

// What a killed worker left is removed, and a second one is kept out.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "order-1", "out")
	check(t, os.MkdirAll(old, 0o700))
	check(t, os.WriteFile(filepath.Join(old, "app"), nil, 0o400))
	c := newCentre(t, time.Minute)
	e, running, _ := waits()
	w, _ := worker(t, client(t, "w", c), e, func(w *farm.Worker) { w.Dir = dir })
	c.order(1, "hello")
	<-running
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
	second := *w
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another worker uses") {
		t.Errorf("a second worker: %v", err)
	}
}

// A build that says more than may be kept is not ended for it.
func TestEndlessLog(t *testing.T) {
	c := newCentre(t, time.Minute)
	chunk := bytes.Repeat([]byte("all work and no play\n"), 50_000)
	worker(t, &farm.Local{Queue: c.queue, Store: c.store}, engine{func(_ context.Context, _ *sandbox.Job, log io.Writer, outDir string) (sandbox.Result, error) {
		for range farm.MaxLog/len(chunk) + 3 {
			if n, err := log.Write(chunk); err != nil || n != len(chunk) {
				return sandbox.Result{}, fmt.Errorf("%d, %w", n, err)
			}
		}
		return makes(outDir, "hello")
	}})
	id := c.order(1, "hello")
	out := c.decided(id)
	if out.Row.Outcome != statement.Identical || out.LogSize != farm.MaxLog {
		t.Errorf("outcome %+v", out.Row)
	}
	b, err := c.queue.ReadLog(t.Context(), id, 0, farm.MaxLog-100)
	if err != nil || !bytes.HasSuffix(b, []byte("the rest is left out\n")) {
		t.Errorf("the log ends with %q, %v", b, err)
	}
}
