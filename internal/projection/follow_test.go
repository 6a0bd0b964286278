package projection_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/internal/fixture"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
)

// TestOneDump: whatever comes first, on either engine, after restarts, rebuilds,
// changes of keys and logs that were dropped and taken up again, the tables say
// the same in the end.
func TestOneDump(t *testing.T) {
	w := rebuilding(t)
	first := w.node(t, storetest.Open(t, storetest.SQLite(t)))
	first.follow(t, alpha)
	first.follow(t, beta)
	first.catch(t)
	want := dump(t, first.Projection)
	for _, part := range []string{"not held here", "does not belong", "not one of those", `"commitment"`, "pkg:generic/app", `"provenance":`, "one function"} {
		if !strings.Contains(want, part) {
			t.Errorf("the dump lacks %q:\n%s", part, want)
		}
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := w.node(t, db)
		rapid.Check(t, func(r *rapid.T) {
			n.disturb(t, r)
			w.all(t)
			n.catch(t)
			if got := dump(t, n.Projection); got != want {
				r.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if err := n.Rebuild(t.Context()); err != nil {
				r.Fatal(err)
			}
			n.catch(t)
			if got := dump(t, n.Projection); got != want {
				r.Errorf("rebuilt\n%s\nwant\n%s", got, want)
			}
		})
	})
}

// disturb lets things happen in any order and ends with both logs followed.
func (n *node) disturb(t *testing.T, r *rapid.T) {
	n.open(t)
	if err := n.Rebuild(t.Context()); err != nil {
		r.Fatal(err)
	}
	for _, l := range n.w.logs {
		l.show(0)
	}
	n.w.told.known = map[string]digest.Digest{}
	origins := []string{alpha, beta}
	followed := map[string]bool{}
	for range rapid.IntRange(0, 40).Draw(r, "acts") {
		origin := rapid.SampledFrom(origins).Draw(r, "log")
		switch rapid.IntRange(0, 9).Draw(r, "act") {
		case 0:
			n.open(t)
			followed = map[string]bool{}
		case 1:
			n.follow(t, origin)
			followed[origin] = true
		case 2:
			if err := n.Drop(t.Context(), origin); err != nil {
				r.Fatal(err)
			}
			followed[origin] = false
		case 3:
			some := n.w.keys[origin][:rapid.IntRange(0, 2).Draw(r, "keys")]
			n.trust[origin] = func() []key.Public { return some }
		case 4:
			n.w.arrive(t, rapid.SampledFrom(n.w.late).Draw(r, "late"))
		case 5:
			l := rapid.SampledFrom(n.w.late).Draw(r, "hint")
			if err := n.Arrived(t.Context(), l.origin, l.index); err != nil && !errors.Is(err, projection.ErrUnknown) {
				r.Fatal(err)
			}
		case 6:
			if err := n.Rebuild(t.Context()); err != nil {
				r.Fatal(err)
			}
		default:
			l := n.w.logs[rapid.SampledFrom([]string{own, alpha, beta}).Draw(r, "grows")]
			l.show(l.shown + rapid.Int64Range(0, 4).Draw(r, "by"))
			if _, err := n.Step(t.Context()); err != nil && !strings.Contains(err.Error(), "lost or hidden") {
				r.Fatal(err)
			}
		}
	}
	for _, origin := range origins {
		n.trust[origin] = func() []key.Public { return n.w.keys[origin] }
		if !followed[origin] {
			n.follow(t, origin)
		}
	}
}

// TestHostileLog: what stands in another's log is shown as what it is.
func TestHostileLog(t *testing.T) {
	w := newWorld(t)
	w.all(t)
	n := w.node(t, storetest.Open(t, storetest.SQLite(t)))
	n.follow(t, alpha)
	n.catch(t)
	for index, problem := range map[int64]string{
		0: "", 4: "", 5: "not one of those", 6: "", 7: "not held here", 8: "does not belong", 9: "does not belong",
		10: "not held here", 11: "", 12: "", 13: "",
	} {
		e, err := n.EntryOf(t.Context(), alpha, index)
		if err != nil || e.Origin != alpha || !strings.Contains(e.Problem, problem) || (problem == "") != (e.Problem == "") {
			t.Errorf("entry %d: %+v, %v, want problem %q", index, e, err, problem)
		}
	}
	for _, index := range []int64{1, 2, 3, 14} {
		if e, err := n.EntryOf(t.Context(), alpha, index); !errors.Is(err, projection.ErrUnknown) {
			t.Errorf("entry %d: %+v, %v, want none", index, e, err)
		}
	}
	s, err := n.LogState(t.Context(), alpha)
	if err != nil || s.Statements != 5 || s.Releases != 5 || s.Missing != 4 || s.Behind() != 0 || s.Problem != nil {
		t.Errorf("state: %+v, %v", s, err)
	}
	if c, err := n.Counts(t.Context()); err != nil || c.Statements != 3 {
		t.Errorf("own log: %+v, %v", c, err)
	}
}

// TestBadLogStopsNoOther: logs that fail, hide what they showed, or whose helpers
// fail, are named, and the others go on.
func TestBadLogStopsNoOther(t *testing.T) {
	w := newWorld(t)
	w.all(t)
	n := w.node(t, storetest.Open(t, storetest.SQLite(t)))
	n.follow(t, alpha)
	n.follow(t, beta)
	w.logs[alpha].fail(errLog)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	done := make(chan struct{})
	run, end := context.WithCancel(ctx)
	go func() { n.Run(run); close(done) }()
	await := func(what string, ok func(projection.State) bool, origin string) {
		t.Helper()
		for {
			s, err := n.LogState(ctx, origin)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if ok(s) {
				return
			}
			n.Wake()
			time.Sleep(5 * time.Millisecond)
		}
	}
	whole := func(s projection.State) bool {
		return s.Projected == int64(len(w.logs[beta].leaves)) && s.Problem == nil
	}
	await("a good log beside a bad one", whole, beta)
	await("the bad one", func(s projection.State) bool { return errors.Is(s.Problem, errLog) && s.Projected == 0 }, alpha)
	w.logs[alpha].fail(nil)
	await("the bad one, mended", whole, alpha)
	w.logs[alpha].show(3)
	await("a log that lost entries", func(s projection.State) bool { return s.Problem != nil }, alpha)
	if err := n.Drop(ctx, alpha); err != nil {
		t.Fatal(err)
	}
	if _, err := n.LogState(ctx, alpha); !errors.Is(err, projection.ErrUnknown) {
		t.Errorf("a dropped log: %v", err)
	}
	end()
	<-done
	if strings.Contains(dump(t, n.Projection), alpha) {
		t.Error("a dropped log is in the tables")
	}
}

// TestBadHelpers: where nobody can say which statement or which keys, the log
// stands still by itself and loses nothing.
func TestBadHelpers(t *testing.T) {
	w := newWorld(t)
	w.all(t)
	n := w.node(t, storetest.Open(t, storetest.SQLite(t)))
	n.follow(t, alpha)
	n.follow(t, beta)
	w.told.fail(errLog)
	for range 3 {
		if _, err := n.Step(t.Context()); !errors.Is(err, errLog) {
			t.Fatalf("a step: %v", err)
		}
	}
	for origin, want := range map[string]int64{own: 6, alpha: 0, beta: 0} {
		s, err := n.LogState(t.Context(), origin)
		if err != nil || s.Projected != want || errors.Is(s.Problem, errLog) != (want == 0) {
			t.Errorf("%s: %+v, %v", origin, s, err)
		}
	}
	w.told.fail(nil)
	n.catch(t)
	if s, err := n.LogState(t.Context(), beta); err != nil || s.Statements != 5 || s.Problem != nil {
		t.Errorf("mended: %+v, %v", s, err)
	}
	keys := func(context.Context) ([]key.Public, error) { return nil, errLog }
	if err := n.Follow(t.Context(), alpha, w.logs[alpha], keys, w.told); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Step(t.Context()); !errors.Is(err, errLog) {
		t.Errorf("no keys: %v", err)
	}
	if s, err := n.LogState(t.Context(), alpha); err != nil || s.Statements != 5 {
		t.Errorf("without an answer nothing is taken away: %+v, %v", s, err)
	}
}

// TestLate: the lag of a log is how long its oldest entry waits that is not shown.
func TestLate(t *testing.T) {
	w := newWorld(t)
	w.all(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	db := storetest.Open(t, storetest.SQLite(t))
	p, err := projection.New(t.Context(), projection.Options{
		DB: db, Content: w.content, Origin: own, Log: w.logs[own], Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := func(context.Context) ([]key.Public, error) { return w.keys[alpha], nil }
	if err := p.Follow(t.Context(), alpha, w.logs[alpha], keys, w.told); err != nil {
		t.Fatal(err)
	}
	w.told.fail(errLog)
	w.logs[alpha].show(2)
	for _, after := range []time.Duration{0, 5 * time.Second, 7 * time.Second} {
		now = now.Add(after)
		_, _ = p.Step(t.Context()) // fails
		w.logs[alpha].show(9)
	}
	s, err := p.LogState(t.Context(), alpha)
	if err != nil || s.Late != 12*time.Second || s.Behind() != 9 {
		t.Errorf("behind: %+v, %v", s, err)
	}
	w.told.fail(nil)
	stepAll(t, p, func() {})
	if s, err = p.LogState(t.Context(), alpha); err != nil || s.Late != 0 || s.Behind() != 0 {
		t.Errorf("not behind: %+v, %v", s, err)
	}
}

// TestKeysComeAndGo: a statement is shown as long as its key is trusted.
func TestKeysComeAndGo(t *testing.T) {
	w := newWorld(t)
	w.all(t)
	n := w.node(t, storetest.Open(t, storetest.SQLite(t)))
	trusted := []key.Public{}
	n.trust[alpha] = func() []key.Public { return trusted }
	n.follow(t, alpha)
	stranger := fixture.StatementKey("a stranger", key.P256).Public()
	for _, c := range []struct {
		keys []key.Public
		want int64
	}{
		{nil, 0},
		{w.keys[alpha], 5},
		{w.keys[alpha][1:], 2},
		{[]key.Public{stranger}, 1},
		{append(w.keys[alpha], stranger), 6},
		{nil, 0},
	} {
		trusted = c.keys
		n.catch(t)
		s, err := n.LogState(t.Context(), alpha)
		if err != nil || s.Statements != c.want || s.Releases != c.want {
			t.Errorf("with %d keys: %+v, %v, want %d statements", len(c.keys), s, err, c.want)
		}
	}
}

// TestDumpFindsDifferences: a row that is changed by hand changes the dump, so
// that equal dumps mean something.
func TestDumpFindsDifferences(t *testing.T) {
	w := rebuilding(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := w.node(t, db)
		n.follow(t, alpha)
		n.catch(t)
		before := dump(t, n.Projection)
		for _, change := range []string{
			`UPDATE projected_log SET releases = releases + 1`,
			`UPDATE projected_entry SET problem = 'x' WHERE idx = 0`,
			`UPDATE projected_subject SET name = 'x' WHERE idx = 0`,
			`UPDATE projected_release SET notes = 'x' WHERE idx = 0`,
			`UPDATE projected_release SET source_size = 1 WHERE idx = 0`,
			`UPDATE projected_artifact SET sbom_size = 1 WHERE idx = 0`,
			`UPDATE projected_rebuild SET flaky = 1 - flaky`,
			`UPDATE projected_rebuild SET detail = 'x'`,
			`UPDATE projected_rebuilt SET outcome = 'x'`,
			`UPDATE projected_provenance SET builder = 'x'`,
		} {
			if err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.ExecContext(ctx, change)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if dump(t, n.Projection) == before {
				t.Errorf("%s: the dump is the same", change)
			}
			if err := n.Rebuild(t.Context()); err != nil {
				t.Fatal(err)
			}
			n.catch(t)
			if after := dump(t, n.Projection); after != before {
				t.Errorf("%s, rebuilt:\n%s\nwant\n%s", change, after, before)
			}
		}
		if err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM projected_entry WHERE idx = 0`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := n.Dump(t.Context(), new(bytes.Buffer)); err == nil {
			t.Error("rows without their entry were dumped without a word")
		}
	})
}
