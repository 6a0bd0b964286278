package holdings_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/fixture"
	"vitrine.example/internal/holdings"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// TestHolds: all statements of a log come, from its node or from another's
// mirror; entries of other kinds are left alone; each arrival is told once.
func TestHolds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t)
		w.bytes = 0 // statements only
		w.add(statement.CommitmentLeaf(digest.Of([]byte("x"))), nil)
		w.add([]byte("junk"), nil)
		for i := range 600 {
			index := w.release(t, fmt.Sprint(i))
			path, p := envelopePath(index), w.a
			if i%3 == 0 {
				path, p = mirrorPath(index), w.b
			}
			p.give(path, w.envs[index].Bytes())
		}
		h, c := w.node(t, db)
		steps(t, h)
		s := status(t, h)
		if s.Statements != 600 || s.Held != 600 || s.Looked != 602 || s.Missing() != 0 || s.PassedOver != 600 {
			t.Errorf("%+v", s)
		}
		found, err := h.Digests(t.Context(), alpha, 0, 1000)
		check(t, err)
		for i, env := range w.envs {
			if env == nil {
				continue
			}
			if found[int64(i)] != env.Digest() {
				t.Fatalf("entry %d: %s, want %s", i, found[int64(i)], env.Digest())
			}
			if _, err := c.ReadPublic(t.Context(), env.Digest(), statement.MaxSize); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(w.arrived)
		if len(found) != 600 || len(slices.Compact(w.arrived)) != 600 || len(w.arrived) != 600 {
			t.Errorf("%d found, %d arrived", len(found), len(w.arrived))
		}
		for _, p := range append(w.a.paths(), w.b.paths()...) {
			if len(p) > 9 && p[:9] == "/content/" {
				t.Fatalf("%s was asked for although no content is wanted", p)
			}
		}
		if _, err := h.Envelope(t.Context(), alpha, 1); !errors.Is(err, holdings.ErrUnknown) {
			t.Errorf("the envelope of junk: %v", err)
		}
	})
}

// TestWrongAnswers: nothing that does not fit is kept, whatever it is, and who
// gave it is asked again; when it gives the right one, that is kept.
func TestWrongAnswers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t)
		w.limits.Request, w.limits.PerLog = 300*time.Millisecond, 8
		w.bytes = 0
		other := fixture.Release(w.key, "pkg:generic/other", "1", "", fixture.File{Name: "f", Data: []byte("x")})
		forged := fixture.Release(fixture.StatementKey("a stranger", key.P256), "pkg:generic/alpha", "1", "", fixture.File{Name: "f", Data: []byte("x")})
		stop := make(chan struct{})
		t.Cleanup(func() { close(stop) })
		cases := []struct {
			name, want string
			serve      http.HandlerFunc
		}{
			{"another's envelope", "wrong", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(other.Bytes()) }},
			{"of another key", "wrong", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(forged.Bytes()) }},
			{"gigabytes", "wrong", endless},
			{"nothing", "wrong", func(http.ResponseWriter, *http.Request) {}},
			{"a redirection", "unreachable", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }},
			{"an error", "refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }},
			{"gone", "absent", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }},
			{"a stall", "unreachable", func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write([]byte(`{"payload":"`))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-stop:
				}
			}},
			{"cut short", "unreachable", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				_, _ = w.Write([]byte("{"))
			}},
		}
		for i, c := range cases {
			if index := w.release(t, fmt.Sprint(i)); index != int64(i) {
				t.Fatal(index)
			}
			w.a.on(envelopePath(int64(i)), c.serve)
		}
		h, c := w.node(t, db)
		late := w.now.Add(w.after)
		for w.now.Before(late.Add(2 * time.Hour)) {
			steps(t, h)
			w.now = w.now.Add(11 * time.Second)
			if w.now.After(late.Add(2*time.Minute - w.after)) {
				w.now = w.now.Add(2 * time.Hour)
			}
		}
		missing, err := h.Withheld(t.Context(), alpha, 100)
		check(t, err)
		if len(missing) != len(cases) {
			t.Fatalf("%d withheld, want all %d: %+v", len(missing), len(cases), missing)
		}
		for i, m := range missing {
			if m.From[0].URL != w.a.url+"/" || m.From[0].Answer != cases[i].want {
				t.Errorf("%s: %+v, want %s", cases[i].name, m.From, cases[i].want)
			}
		}
		if s := status(t, h); s.Held != 0 {
			t.Errorf("%+v", s)
		}
		for _, env := range w.envs {
			if slices.Contains(stored(t, c), env.Digest().String()) {
				t.Errorf("%s is stored", env.Digest())
			}
		}
		for i, env := range w.envs {
			w.a.give(envelopePath(int64(i)), env.Bytes())
		}
		for range 20 {
			w.now = w.now.Add(time.Hour)
			steps(t, h)
		}
		if s := status(t, h); s.Held != int64(len(cases)) || s.Withheld != 0 {
			t.Errorf("after the right answers: %+v", s)
		}
	})
}

// TestWithheld: what nobody gives is reported after its deadline, once, and once
// more when it comes, through a refusing log and a restart too.
func TestWithheld(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t)
		gone, there := w.release(t, "1"), w.release(t, "2")
		w.a.give(envelopePath(there), w.envs[there].Bytes()) // but not its file
		h, _ := w.node(t, db)
		began := w.now
		for w.now.Before(began.Add(w.after - 2*time.Hour)) {
			steps(t, h)
			w.now = w.now.Add(30 * time.Minute)
		}
		if n := len(w.reports(t)); n != 0 {
			t.Fatalf("%d reports before the deadline", n)
		}
		w.refuse = errors.New("the clock ran backwards")
		w.now = began.Add(w.after + time.Minute)
		steps(t, h)
		w.now = w.now.Add(time.Hour)
		h, c := w.node(t, db) // another process
		w.mu.Lock()
		w.refuse = nil
		w.mu.Unlock()
		for range 48 {
			w.now = w.now.Add(30 * time.Minute)
			steps(t, h)
		}
		var told []statement.WithheldItem
		before := len(w.reports(t))
		for _, r := range w.reports(t) {
			told = append(told, r.Items...)
		}
		if len(told) != 2 {
			t.Fatalf("told of %+v, want one statement and one file", told)
		}
		stmt, file := told[0], told[1]
		if stmt.Kind != statement.ItemStatement || stmt.Index != gone || !stmt.Since.Equal(began.Truncate(time.Second)) ||
			stmt.Asked < 5 || len(stmt.From) != 2 || stmt.From[0].Answer != "absent" || !stmt.Arrived.IsZero() {
			t.Errorf("%+v", stmt)
		}
		if want := digest.Of([]byte("file 2")); file.Kind != statement.ItemContent || file.Index != there || file.SHA256 != want {
			t.Errorf("%+v, want %s", file, want)
		}
		if s := status(t, h); s.Withheld != 2 || s.Missing() != 1 {
			t.Errorf("%+v", s)
		}
		m, err := h.Withheld(t.Context(), alpha, 10)
		check(t, err)
		if len(m) != 2 || m[0].Report != w.said[0].Digest() {
			t.Errorf("%+v", m)
		}

		w.b.give(mirrorPath(gone), w.envs[gone].Bytes())
		w.b.give("/content/"+file.SHA256.String(), []byte("file 2"))
		for range 48 {
			w.now = w.now.Add(30 * time.Minute)
			steps(t, h)
		}
		var came int
		for _, r := range w.reports(t)[before:] {
			for _, it := range r.Items {
				if came++; it.Arrived.IsZero() {
					t.Errorf("%+v", it)
				}
			}
		}
		if came != 2 {
			t.Errorf("%d arrivals were told, want 2", came)
		}
		if s := status(t, h); s.Withheld != 0 || s.Missing() != 0 {
			t.Errorf("%+v", s)
		}
		check(t, c.Check(t.Context(), file.SHA256))
	})
}

// TestManyWithheld: a log that gives nothing does not fill the node's own.
func TestManyWithheld(t *testing.T) {
	w := newWorld(t)
	for i := range 300 {
		w.release(t, fmt.Sprint(i))
	}
	h, _ := w.node(t, storetest.Open(t, storetest.SQLite(t)))
	for range 60 {
		steps(t, h)
		w.now = w.now.Add(30 * time.Minute)
	}
	seen := map[int64]bool{}
	all := w.reports(t)
	for i, r := range all {
		for _, it := range r.Items {
			seen[it.Index] = true
		}
		if i > 0 && r.At.Sub(all[i-1].At) < time.Minute-time.Second {
			t.Errorf("report %d comes %s after the one before", i, r.At.Sub(all[i-1].At))
		}
	}
	if len(seen) != 300 || len(all) > 5 {
		t.Errorf("%d reports of %d items", len(all), len(seen))
	}
}

// TestRestart: a process that ends in the middle loses nothing, and the next
// asks for nothing that is held.
func TestRestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t)
		w.bytes = 0
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		given := make(chan struct{}, 1000)
		for i := range 300 {
			index := w.release(t, fmt.Sprint(i))
			w.a.on(envelopePath(index), func(r http.ResponseWriter, _ *http.Request) {
				_, _ = r.Write(w.envs[index].Bytes())
				if given <- struct{}{}; len(given) == 100 {
					stop()
				}
			})
		}
		h, _ := w.node(t, db)
		h.Run(ctx) // until it is stopped
		before := map[string]bool{}
		found, err := h.Digests(t.Context(), alpha, 0, 300)
		check(t, err)
		for i := range found {
			before[envelopePath(i)] = true
		}
		asked := len(w.a.paths())
		if len(found) == 0 || len(found) == 300 {
			t.Fatalf("%d are held in the middle", len(found))
		}
		h, _ = w.node(t, db)
		for range 10 {
			steps(t, h)
			w.now = w.now.Add(time.Minute)
		}
		if s := status(t, h); s.Held != 300 || s.Statements != 300 {
			t.Errorf("%+v", s)
		}
		for _, p := range w.a.paths()[asked:] {
			if before[p] {
				t.Errorf("%s was asked for again", p)
			}
		}
	})
}

// TestContent: files come whole or not at all, within the room that there is,
// and a source that is not public is never asked for.
func TestContent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t)
		w.bytes = 100_000
		w.limits.Request = time.Second
		good := fixture.File{Name: "good", Data: make([]byte, 70_000)}
		more := fixture.File{Name: "more", Data: make([]byte, 50_000)} // too much with the first
		long := fixture.File{Name: "long", Data: []byte("long")}
		bad := fixture.File{Name: "bad", Data: []byte("bad")}
		secret := fixture.File{Name: "secret", Data: []byte("secret")}
		first := w.release(t, "1", good)
		w.a.give(envelopePath(first), w.envs[first].Bytes())
		for _, f := range []fixture.File{good, more, secret} {
			w.a.give("/content/"+f.Digest().String(), f.Data)
		}
		w.a.on("/content/"+long.Digest().String(), endless)
		w.a.give("/content/"+bad.Digest().String(), []byte("b@d"))
		h, c := w.node(t, db)
		steps(t, h)
		second := w.log1(t, withSource(t, w.key, secret, long, more, bad))
		w.a.give(envelopePath(second), w.envs[second].Bytes())
		steps(t, h)
		s := status(t, h)
		if s.Held != 2 || s.Content != 2 || s.PassedOver != 1 {
			t.Errorf("%+v", s)
		}
		for _, x := range []struct {
			f    fixture.File
			have bool
		}{{good, true}, {more, false}, {long, false}, {bad, false}, {secret, false}} {
			if _, err := c.Stat(x.f.Digest()); (err == nil) != x.have || err != nil && !errors.Is(err, content.ErrUnknown) {
				t.Errorf("%s: %v", x.f.Name, err)
			}
			if asked := slices.Contains(w.a.paths(), "/content/"+x.f.Digest().String()); asked != (x.f.Name != "secret" && x.f.Name != "more") {
				t.Errorf("%s: asked for: %t", x.f.Name, asked)
			}
		}
		w.bytes = 1 << 20 // there is more room
		h, c = w.node(t, db)
		steps(t, h)
		check(t, c.Check(t.Context(), more.Digest()))
		if s := status(t, h); s.PassedOver != 0 || s.Content != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// withSource is a release whose source belongs into a reading room.
func withSource(t testing.TB, k *key.Signer, source fixture.File, files ...fixture.File) *statement.Envelope {
	t.Helper()
	env := fixture.Release(k, "pkg:generic/alpha", "2", "", files...)
	r, err := env.Statement().Release()
	check(t, err)
	r.Source = &statement.Source{Kind: "directory", Access: "room", Size: int64(len(source.Data)), SHA256: source.Digest()}
	s, err := statement.New(r.Subjects(), r)
	check(t, err)
	env, err = statement.Sign(s, k)
	check(t, err)
	return env
}
