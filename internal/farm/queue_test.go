package farm_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/rebuild"
	"vitrine.example/statement"
)

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
		// It was not told that the last bytes were taken, and has more now.
		if err := q.Log(t.Context(), id, h.Epoch, int64(len(all))-5, append(all[len(all)-5:len(all):len(all)], "more"...)); err != nil {
			t.Error(err)
		}
		all = append(all, "more"...)
		if err := q.Log(t.Context(), id, h.Epoch, int64(len(all))+1, []byte("x")); !errors.Is(err, farm.ErrRefused) {
			t.Errorf("a gap is taken: %v", err)
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
			"not the artifact":      func(a *farm.Answer) { a.Result.Artifacts[0].Shipped = digest.Of([]byte("other")) },
			"not its name":          func(a *farm.Answer) { a.Result.Artifacts[0].Name = "../app" },
			"no artifact":           func(a *farm.Answer) { a.Result.Artifacts = nil },
			"identical, and is not": func(a *farm.Answer) { d := digest.Of([]byte("other")); a.Result.Artifacts[0].Rebuilt = &d },
			"no engine":             func(a *farm.Answer) { a.Attempt.Engine = "" },
			"an engine with spaces": func(a *farm.Answer) { a.Attempt.Engine = "my engine" },
			"a reason of its own":   func(a *farm.Answer) { *a = *trouble("mood") },
			"a detail of two lines": func(a *farm.Answer) { *a = *trouble(statement.ReasonTime); a.Attempt.Detail = "a\nb" },
			"nothing made":          func(a *farm.Answer) { a.Attempt.Output = digest.Digest{} },
			"needless explanation":  func(a *farm.Answer) { a.Report = []byte("{}") },
			"a long explanation":    func(a *farm.Answer) { a.Report = make([]byte, farm.MaxReport+1) },
		} {
			a := answer(statement.Identical)
			change(a)
			if err := q.Finish(t.Context(), id, h.Epoch, a); !errors.Is(err, farm.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if r := row(t, q, id); r.State != farm.Leased {
			t.Errorf("an answer that was refused ended the lease: %s", r.State)
		}
	})
}

// A lease that is given back is as if it had not been, but for the epoch.
func TestGivenBack(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		id := add(t, q, ask(1))
		h := take(t, q, "w")
		if err := q.Log(t.Context(), id, h.Epoch, 0, []byte("half a log")); err != nil {
			t.Fatal(err)
		}
		if err := q.Return(t.Context(), id, h.Epoch); err != nil {
			t.Fatal(err)
		}
		if err := q.Return(t.Context(), id, h.Epoch); !errors.Is(err, farm.ErrLost) {
			t.Errorf("given back twice: %v", err)
		}
		if r := row(t, q, id); r.State != farm.Waiting || r.Tries != 0 || r.LogSize != 0 {
			t.Errorf("row %+v", r)
		}
		if err := q.Finish(t.Context(), id, h.Epoch, answer(statement.Identical)); !errors.Is(err, farm.ErrLost) {
			t.Errorf("finished after it was given back: %v", err)
		}
		again := take(t, q, "x")
		if again == nil || again.Epoch != h.Epoch+1 {
			t.Fatalf("took %+v", again)
		}
		for epoch, want := range map[int64]string{again.Epoch: "x", h.Epoch: "", 99: ""} {
			who, err := q.Holder(t.Context(), id, epoch)
			if who != want || (want == "") != errors.Is(err, farm.ErrLost) {
				t.Errorf("epoch %d is held by %q, %v", epoch, who, err)
			}
		}
		finish(t, q, again, answer(statement.Identical))
		if who, err := q.Holder(t.Context(), id, again.Epoch); who != "x" || err != nil {
			t.Errorf("held by %q, %v", who, err)
		}
	})
}

// The clocks of workers and nodes may be any: what is kept can be said.
func TestClocksOfOthers(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		id := add(t, q, ask(1))
		for _, start := range []time.Time{time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)} {
			h := take(t, q, "w")
			c.pass(10 * time.Second)
			a := answer(statement.Different)
			a.Attempt.Started, a.Attempt.Finished = start, start.Add(8*time.Second)
			finish(t, q, h, a)
			c.pass(-time.Minute) // another node's
			if err := q.Hurry(t.Context(), id); err != nil && !errors.Is(err, farm.ErrState) {
				t.Fatal(err)
			}
		}
		out, err := q.Outcome(t.Context(), id)
		if err != nil || out.State != farm.Decided || len(out.Tried) != 2 {
			t.Fatalf("%+v, %v", out, err)
		}
		var said []rebuild.Said
		for _, try := range out.Tried {
			said = append(said, rebuild.Said{Attempt: &try.Attempt, Outcome: try.Outcome})
			if took := try.Attempt.Finished.Sub(try.Attempt.Started); took != 8*time.Second {
				t.Errorf("attempt %d took %s", try.N, took)
			}
		}
		if _, err := out.Result.Statement(&out.Order, said, nil); err != nil {
			t.Errorf("nothing can be said of it: %v", err)
		}
	})
}
