package farm_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/statement"
)

const node = "asia.example"

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func each(t *testing.T, f func(t *testing.T, q *farm.Queue, c *clock)) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		f(t, &farm.Queue{DB: db, Lease: time.Minute, Now: c.now}, c)
	})
}

// shipped is what is built.
var shipped = rebuild.Shipped{Name: "app", SHA256: digest.Of([]byte("app")), Size: 3}

func ask(n int) farm.Ask {
	return farm.Ask{
		Node: node, Origin: "vendor.example", Product: "pkg:generic/app", Version: fmt.Sprint(n),
		Order: rebuild.Order{Release: digest.Of(fmt.Append(nil, "release ", n)), Recipe: digest.Of([]byte("recipe")), Task: task(), Shipped: []rebuild.Shipped{shipped}},
	}
}

func task() rebuild.Task {
	return rebuild.Task{Limits: recipe.DefaultLimits(), Job: &recipe.Job{
		Kind: recipe.JobKind, Clock: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Hostname: "build", CPUs: 1,
		Env: []string{}, Root: []recipe.Layer{}, Inputs: []recipe.Placed{}, Files: []recipe.File{},
		Steps: []recipe.Step{{Run: []string{"/bin/true"}, Dir: "/"}}, Outputs: []string{"/out/app"},
	}}
}

func add(t *testing.T, q *farm.Queue, a farm.Ask) int64 {
	t.Helper()
	id, _, err := q.Add(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func take(t *testing.T, q *farm.Queue, worker string) *farm.Held {
	t.Helper()
	h, err := q.Take(t.Context(), worker)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answer is an attempt that made all outputs.
func answer(o statement.Outcome) *farm.Answer {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	out := digest.Of([]byte(o))
	if o == statement.Identical {
		out = shipped.SHA256
	}
	a := &farm.Answer{
		Attempt: rebuild.Attempt{Engine: "embedded", Started: start, Finished: start.Add(time.Second), Output: out},
		Result:  rebuild.Result{Outcome: o, Artifacts: []statement.RebuiltArtifact{{Name: shipped.Name, Shipped: shipped.SHA256, Rebuilt: &out, Outcome: o}}},
	}
	if o != statement.Identical {
		a.Report = []byte(`{"why":"it differs"}`)
	}
	return a
}

// trouble is an attempt that made nothing.
func trouble(r statement.Reason) *farm.Answer {
	a := answer(statement.Identical)
	a.Result, a.Report = rebuild.Result{}, nil
	a.Attempt.Reason, a.Attempt.Detail, a.Attempt.Output = r, "it went wrong", digest.Digest{}
	return a
}

func finish(t *testing.T, q *farm.Queue, h *farm.Held, a *farm.Answer) {
	t.Helper()
	if err := q.Finish(t.Context(), h.ID, h.Epoch, a); err != nil {
		t.Fatal(err)
	}
}

func row(t *testing.T, q *farm.Queue, id int64) farm.Row {
	t.Helper()
	out, err := q.Outcome(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return out.Row
}
