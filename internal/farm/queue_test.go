package farm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

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

func ask(n int) farm.Ask {
	return farm.Ask{
		Node: node, Origin: "vendor.example", Product: "pkg:generic/app", Version: fmt.Sprint(n),
		Order: rebuild.Order{Release: digest.Of(fmt.Append(nil, "release ", n)), Recipe: digest.Of([]byte("recipe")), Task: task()},
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
	a := &farm.Answer{
		Attempt: rebuild.Attempt{Engine: "embedded", Started: start, Finished: start.Add(time.Second), Output: out},
		Result:  rebuild.Result{Outcome: o, Artifacts: []statement.RebuiltArtifact{{Name: "app", Shipped: digest.Of([]byte("app")), Rebuilt: &out, Outcome: o}}},
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

func TestFromAskingToSaying(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		if h := take(t, q, "w"); h != nil {
			t.Errorf("took %+v of nothing", h)
		}
		id := add(t, q, ask(1))
		if again, added, err := q.Add(t.Context(), ask(1)); again != id || added || err != nil {
			t.Errorf("asked again: %d, %v, %v", again, added, err)
		}
		h := take(t, q, "w")
		if h == nil || h.ID != id || h.Epoch != 1 || h.Order.Release != ask(1).Order.Release || !h.Until.Equal(c.now().Add(time.Minute)) {
			t.Fatalf("took %+v", h)
		}
		if other := take(t, q, "x"); other != nil {
			t.Errorf("taken twice: %+v", other)
		}
		c.pass(50 * time.Second)
		if _, err := q.Renew(t.Context(), id, 1, farm.Progress{Stage: "rebuild-run", Done: 3, Total: -1}); err != nil {
			t.Fatal(err)
		}
		c.pass(50 * time.Second)
		if other := take(t, q, "x"); other != nil {
			t.Error("a lease that was renewed is taken")
		}
		if r := row(t, q, id); r.State != farm.Leased || r.Worker != "w" || r.Progress != (farm.Progress{Stage: "rebuild-run", Done: 3, Total: -1}) {
			t.Errorf("row %+v", r)
		}
		if got, err := q.Decided(t.Context(), node, 0); got != nil || err != nil {
			t.Errorf("decided already: %+v, %v", got, err)
		}
		finish(t, q, h, answer(statement.Identical))
		finish(t, q, h, answer(statement.Identical)) // it did not hear the answer
		if got, err := q.Decided(t.Context(), "europe.example", 0); got != nil || err != nil {
			t.Errorf("somebody else's: %+v, %v", got, err)
		}
		out, err := q.Decided(t.Context(), node, 0)
		if err != nil || out == nil || out.ID != id || out.Row.Outcome != statement.Identical || len(out.Tried) != 1 || out.Result == nil || out.Tried[0].Worker != "w" {
			t.Fatalf("decided %+v, %v", out, err)
		}
		if _, err := q.Draft(t.Context(), id, []byte("first")); err != nil {
			t.Fatal(err)
		}
		if first, err := q.Draft(t.Context(), id, []byte("second")); err != nil || string(first) != "first" {
			t.Errorf("signed again: %q, %v", first, err)
		}
		for range 2 {
			if err := q.Said(t.Context(), id, 7); err != nil {
				t.Fatal(err)
			}
		}
		if r := row(t, q, id); r.State != farm.Said || r.Index != 7 {
			t.Errorf("row %+v", r)
		}
		if got, err := q.Decided(t.Context(), node, 0); got != nil || err != nil {
			t.Errorf("said, and still to be said: %+v, %v", got, err)
		}
		a := ask(1)
		a.Again = true
		if again := add(t, q, a); again == id || row(t, q, again).Run != 2 {
			t.Errorf("asked again: %d, %+v", again, row(t, q, again))
		}
	})
}

// What a worker says after its lease is nothing.
func TestTooLate(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		id := add(t, q, ask(1))
		old := take(t, q, "slow")
		if err := q.Log(t.Context(), id, old.Epoch, 0, []byte("old")); err != nil {
			t.Fatal(err)
		}
		c.pass(61 * time.Second)
		h := take(t, q, "quick")
		if h == nil || h.Epoch != 2 {
			t.Fatalf("took %+v", h)
		}
		lost := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, farm.ErrLost) {
				t.Errorf("%s: %v, want %v", what, err, farm.ErrLost)
			}
		}
		_, err := q.Renew(t.Context(), id, old.Epoch, farm.Progress{})
		lost("renew", err)
		lost("log", q.Log(t.Context(), id, old.Epoch, 3, []byte("more")))
		lost("finish", q.Finish(t.Context(), id, old.Epoch, answer(statement.Different)))
		_, err = q.Needs(t.Context(), id, old.Epoch)
		lost("content", err)
		finish(t, q, h, answer(statement.Identical))
		lost("finish, after somebody else did", q.Finish(t.Context(), id, old.Epoch, answer(statement.Different)))
		out, err := q.Outcome(t.Context(), id)
		if err != nil || len(out.Tried) != 2 || out.Tried[0].Attempt.Reason != statement.ReasonLost || out.Tried[1].Outcome != statement.Identical {
			t.Errorf("attempts %+v, %v", out.Tried, err)
		}
	})
}

func TestRetries(t *testing.T) {
	tests := map[string]struct {
		answers []*farm.Answer
		tries   int
		outcome statement.Outcome
	}{
		"identical":             {[]*farm.Answer{answer(statement.Identical)}, 1, statement.Identical},
		"different twice":       {[]*farm.Answer{answer(statement.Different), answer(statement.Different)}, 2, statement.Different},
		"flaky":                 {[]*farm.Answer{answer(statement.Different), answer(statement.Identical)}, 2, statement.Identical},
		"explained twice":       {[]*farm.Answer{answer(statement.Explained), answer(statement.Explained)}, 2, statement.Explained},
		"fails twice":           {[]*farm.Answer{trouble(statement.ReasonExited), trouble(statement.ReasonExited)}, 2, statement.Failed},
		"fails, then identical": {[]*farm.Answer{trouble(statement.ReasonTime), answer(statement.Identical)}, 2, statement.Identical},
		"no recipe":             {[]*farm.Answer{trouble(statement.ReasonRecipe)}, 1, statement.Failed},
		"inputs come late":      {[]*farm.Answer{trouble(statement.ReasonInputs), trouble(statement.ReasonInputs), trouble(statement.ReasonInputs), answer(statement.Identical)}, 4, statement.Identical},
		"inputs never come":     {[]*farm.Answer{trouble(statement.ReasonInputs), trouble(statement.ReasonInputs), trouble(statement.ReasonInputs), trouble(statement.ReasonInputs), trouble(statement.ReasonInputs), trouble(statement.ReasonInputs)}, 6, statement.Failed},
	}
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		n := 0
		for name, tt := range tests {
			n++
			id := add(t, q, ask(n))
			for i, a := range tt.answers {
				c.pass(2 * time.Hour)
				h := take(t, q, "w")
				if h == nil {
					t.Fatalf("%s: nothing to take for attempt %d", name, i+1)
				}
				finish(t, q, h, a)
			}
			r := row(t, q, id)
			if r.State != farm.Decided || int(r.Tries) != tt.tries || r.Outcome != tt.outcome {
				t.Errorf("%s: %s after %d tries, %s", name, r.State, r.Tries, r.Outcome)
			}
		}
	})
}

// A retry for trouble waits, and longer each time.
func TestRetriesWait(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		add(t, q, ask(1))
		finish(t, q, take(t, q, "w"), trouble(statement.ReasonInputs))
		if h := take(t, q, "w"); h != nil {
			t.Error("tried again at once")
		}
		c.pass(4 * time.Second)
		h := take(t, q, "w")
		if h == nil {
			t.Fatal("not tried again")
		}
		finish(t, q, h, trouble(statement.ReasonInputs))
		c.pass(4 * time.Second)
		if h := take(t, q, "w"); h != nil {
			t.Error("did not wait longer")
		}
		if err := q.Hurry(t.Context(), h.ID); err != nil {
			t.Fatal(err)
		}
		if h := take(t, q, "w"); h == nil {
			t.Error("hurried, and not due")
		}
	})
}

func TestOrderOfOrders(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		first, second := add(t, q, ask(1)), add(t, q, ask(2))
		a := ask(3)
		a.Priority = 5
		urgent, last := add(t, q, a), add(t, q, ask(4))
		if err := q.Prioritise(t.Context(), last, 9); err != nil {
			t.Fatal(err)
		}
		if err := q.GiveUp(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int64{last, urgent, first} {
			if h := take(t, q, "w"); h == nil || h.ID != want {
				t.Errorf("took %+v, want %d", h, want)
			}
		}
		if h := take(t, q, "w"); h != nil {
			t.Errorf("took %+v", h)
		}
		if err := q.GiveUp(t.Context(), second); !errors.Is(err, farm.ErrState) {
			t.Errorf("given up twice: %v", err)
		}
		if err := q.GiveUp(t.Context(), 99); !errors.Is(err, farm.ErrUnknown) {
			t.Errorf("no such order: %v", err)
		}
		if err := q.GiveUp(t.Context(), first); err != nil { // somebody builds it
			t.Fatal(err)
		}
		if err := q.Finish(t.Context(), first, 1, answer(statement.Identical)); !errors.Is(err, farm.ErrLost) {
			t.Errorf("finished after it was given up: %v", err)
		}
		n, err := q.Counts(t.Context())
		if err != nil || n[farm.Leased] != 2 || n[farm.GivenUp] != 2 {
			t.Errorf("counts %v, %v", n, err)
		}
		all, err := q.List(t.Context(), 0, nil, 3)
		if err != nil || len(all) != 3 || all[0].ID != last {
			t.Errorf("list %v, %v", all, err)
		}
		one := ask(2).Order.Release
		if some, err := q.List(t.Context(), 0, &one, 3); err != nil || len(some) != 1 || some[0].ID != second {
			t.Errorf("list %v, %v", some, err)
		}
	})
}

func TestRefusedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		a := ask(1)
		a.Order.Task = rebuild.Task{}
		a.Refused, a.Detail = statement.ReasonRecipe, "the release has\nno recipe"
		id := add(t, q, a)
		if h := take(t, q, "w"); h != nil {
			t.Errorf("took %+v", h)
		}
		out, err := q.Decided(t.Context(), node, 0)
		if err != nil || out == nil || out.ID != id || out.Row.Outcome != statement.Failed || out.Result != nil || len(out.Tried) != 1 ||
			out.Tried[0].Attempt.Reason != statement.ReasonRecipe || out.Tried[0].Attempt.Detail != "the release has no recipe" {
			t.Errorf("decided %+v, %v", out, err)
		}
	})
}

func TestLog(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		id := add(t, q, ask(1))
		h := take(t, q, "w")
		var all []byte
		for i := range 200 {
			chunk := bytes.Repeat([]byte{byte(i)}, 1000+i)
			for range 1 + i%2 { // half of them twice
				if err := q.Log(t.Context(), id, h.Epoch, int64(len(all)), chunk); err != nil {
					t.Fatal(err)
				}
			}
			all = append(all, chunk...)
		}
		if err := q.Log(t.Context(), id, h.Epoch, int64(len(all))+1, []byte("x")); err == nil {
			t.Error("a gap is taken")
		}
		if err := q.Log(t.Context(), id, h.Epoch, farm.MaxLog, []byte("x")); err == nil {
			t.Error("more than the bound is taken")
		}
		for _, from := range []int{0, 1, 999, 5000, 77_777, len(all) - 1, len(all)} {
			var got []byte
			for {
				data, err := q.ReadLog(t.Context(), id, 0, int64(from+len(got)))
				if err != nil {
					t.Fatal(err)
				}
				if len(data) == 0 {
					break
				}
				got = append(got, data...)
			}
			if !bytes.Equal(got, all[from:]) {
				t.Errorf("from %d: %d bytes, want %d", from, len(got), len(all)-from)
			}
		}
		if r := row(t, q, id); r.LogSize != int64(len(all)) {
			t.Errorf("size %d, want %d", r.LogSize, len(all))
		}
	})
}

func TestAnswersThatSayTwoThings(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		id := add(t, q, ask(1))
		h := take(t, q, "w")
		for name, change := range map[string]func(a *farm.Answer){
			"no outcome":            func(a *farm.Answer) { a.Result.Outcome = "" },
			"a word of its own":     func(a *farm.Answer) { a.Result.Outcome = "perfect" },
			"failed without reason": func(a *farm.Answer) { a.Result.Outcome = statement.Failed },
			"reason and result":     func(a *farm.Answer) { a.Attempt.Reason = statement.ReasonTime },
			"ends before it starts": func(a *farm.Answer) { a.Attempt.Finished = a.Attempt.Started.Add(-time.Second) },
			"a long explanation":    func(a *farm.Answer) { a.Report = make([]byte, farm.MaxReport+1) },
		} {
			a := answer(statement.Identical)
			change(a)
			if err := q.Finish(t.Context(), id, h.Epoch, a); err == nil || errors.Is(err, farm.ErrLost) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if r := row(t, q, id); r.State != farm.Leased {
			t.Errorf("an answer that was refused ended the lease: %s", r.State)
		}
	})
}

// Whatever workers do and whenever they come: no order is lost, of each one
// thing is said, and who was told that its answer counts has its attempt kept.
func TestLaw(t *testing.T) {
	// One engine: the other has every query in the tests above.
	db := storetest.Open(t, storetest.SQLite(t))
	c := &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	q := &farm.Queue{DB: db, Lease: time.Minute, Now: c.now}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		var leases []*farm.Held
		counted := map[int64]int{} // answers that were taken
		asked := map[int64]bool{}
		ctx := context.Background()
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				n++
				id, _, err := q.Add(ctx, ask(n))
				if err != nil {
					t.Fatal(err)
				}
				asked[id] = true
			},
			"take": func(t *rapid.T) {
				h, err := q.Take(ctx, "w")
				if err != nil {
					t.Fatal(err)
				}
				if h == nil {
					return
				}
				for _, l := range leases {
					if l.ID == h.ID && l.Epoch >= h.Epoch {
						t.Fatalf("epoch %d of %d after %d", h.Epoch, h.ID, l.Epoch)
					}
				}
				leases = append(leases, h)
			},
			"pass": func(t *rapid.T) { c.pass(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second) },
			"finish": func(t *rapid.T) {
				if len(leases) == 0 {
					return
				}
				h := leases[rapid.IntRange(0, len(leases)-1).Draw(t, "lease")]
				a := rapid.SampledFrom([]*farm.Answer{answer(statement.Identical), answer(statement.Different), trouble(statement.ReasonExited), trouble(statement.ReasonInputs)}).Draw(t, "answer")
				before := tries(t, q, h.ID)
				err := q.Finish(ctx, h.ID, h.Epoch, a)
				switch after := tries(t, q, h.ID); {
				case err == nil && after == before+1:
					counted[h.ID]++
				case err == nil && after == before: // it had answered already
				case errors.Is(err, farm.ErrLost) && after == before:
				default:
					t.Fatalf("%d tries, then %d: %v", before, after, err)
				}
			},
			"say": func(t *rapid.T) {
				out, err := q.Decided(ctx, node, 0)
				if err != nil {
					t.Fatal(err)
				}
				if out == nil {
					return
				}
				first, err := q.Draft(ctx, out.ID, fmt.Append(nil, "said ", out.ID))
				if err != nil || string(first) != fmt.Sprint("said ", out.ID) {
					t.Fatalf("%q, %v", first, err)
				}
				if err := q.Said(ctx, out.ID, out.ID); err != nil {
					t.Fatal(err)
				}
			},
		})
		// In the end everybody is well, and all is said.
		for range 1000 {
			c.pass(2 * time.Hour)
			h, err := q.Take(ctx, "well")
			if err != nil {
				t.Fatal(err)
			}
			if h == nil {
				break
			}
			if err := q.Finish(ctx, h.ID, h.Epoch, answer(statement.Identical)); err != nil {
				t.Fatal(err)
			}
			counted[h.ID]++
		}
		for id := range asked {
			out, err := q.Outcome(ctx, id)
			if err != nil || out.State < farm.Decided {
				t.Fatalf("order %d is lost: %+v, %v", id, out, err)
			}
			kept := 0
			for i, try := range out.Tried {
				if try.N != int64(i)+1 {
					t.Fatalf("attempt %d is number %d", i+1, try.N)
				}
				if try.Attempt.Reason != statement.ReasonLost {
					kept++
				}
			}
			if kept != counted[id] {
				t.Fatalf("order %d: %d answers were taken, %d are kept", id, counted[id], kept)
			}
		}
	})
}

func tries(t *rapid.T, q *farm.Queue, id int64) int {
	out, err := q.Outcome(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Tried)
}

// Many take at once: nothing is taken twice.
func TestManyTakeAtOnce(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		const orders = 60
		for n := range orders {
			add(t, q, ask(n))
		}
		var mu sync.Mutex
		taken := map[int64]int{}
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for {
					h, err := q.Take(context.Background(), fmt.Sprint("w", w))
					if errors.Is(err, store.ErrBusy) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					if h == nil {
						return
					}
					mu.Lock()
					taken[h.ID]++
					mu.Unlock()
					if err := q.Finish(context.Background(), h.ID, h.Epoch, answer(statement.Identical)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for id, n := range taken {
			if n != 1 {
				t.Errorf("%d was taken %d times", id, n)
			}
		}
		if len(taken) != orders {
			t.Errorf("%d orders were taken, want %d", len(taken), orders)
		}
	})
}
