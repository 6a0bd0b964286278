package centre

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// stranger is a member that runs something of its own at a URL.
func stranger(t *testing.T, url string) statement.Member {
	t.Helper()
	s, err := key.Generate(key.P256, nil)
	check(t, err)
	k, err := key.NewSigner(s)
	check(t, err)
	l, err := key.Generate(key.Ed25519, nil)
	check(t, err)
	v, err := tlog.NewVerifier("127.0.0.1", tlog.Ed25519, l.Public())
	check(t, err)
	return statement.Member{
		Name: "Stranger", Origin: "127.0.0.1", URL: url, Country: "JP", Continent: "AS", Roles: []string{"centre"},
		Statement: []statement.MemberKey{{Key: string(k.Public().PEM())}}, Log: []statement.MemberKey{{Key: v.String()}},
	}
}

// firstList lists the node itself and others.
func firstList(t *testing.T, h *Handle, others ...statement.Member) *statement.Circle {
	t.Helper()
	at, err := h.Now(within(t))
	check(t, err)
	i := h.Info()
	own := statement.Member{Name: i.Name, Origin: i.Origin, URL: i.URL, Country: "DE", Continent: "EU", Roles: []string{"vendor"}}
	for _, k := range i.Statement {
		own.Statement = append(own.Statement, statement.MemberKey{Key: k})
	}
	for _, k := range i.Log {
		own.Log = append(own.Log, statement.MemberKey{Key: k})
	}
	return &statement.Circle{Name: "Programme", Version: 1, Published: at, Members: append([]statement.Member{own}, others...)}
}

// TestCircleOfHostilePeers: a member that lies, floods or sends elsewhere is
// named, changes nothing, and hinders nobody.
func TestCircleOfHostilePeers(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }
	reached := false
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = reached || r.URL.Path == "/elsewhere"
		answer(w, r)
	}))
	defer peer.Close()
	h := connect(t, newNode(t, InitOptions{URL: "https://vendor.example"}))
	n := h.local()
	var told []int64
	n.OnCircle(func(c *circle.Current) { told = append(told, c.Version) })
	if asked, err := h.SyncCircle(within(t)); err != nil || len(asked) != 0 {
		t.Fatalf("without a circle: %v, %v", asked, err)
	}
	c := firstList(t, h, stranger(t, peer.URL))
	d, _, err := h.Say(within(t), c.Subjects(), c)
	check(t, err)
	if len(told) != 1 || told[0] != 1 {
		t.Errorf("the hook was told %v", told)
	}
	before, err := n.circleFile(within(t))
	check(t, err)
	other := connect(t, newNode(t, InitOptions{URL: "https://other.example"}))
	foreign := firstList(t, other)
	_, _, err = other.Say(within(t), foreign.Subjects(), foreign)
	check(t, err)
	elsewhere, err := other.local().circleFile(within(t))
	check(t, err)
	for name, x := range map[string]struct {
		f       http.HandlerFunc
		problem string
	}{
		"no circle yet":  {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, ""},
		"garbage":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}\n")) }, "bundle"},
		"an error":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "500"},
		"a redirect":     {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "redirection"},
		"another circle": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(elsewhere.File) }, ""},
		"a flood": {func(w http.ResponseWriter, r *http.Request) {
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "too large"},
		"our own": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(before.File) }, ""},
	} {
		answer = x.f
		asked, err := h.SyncCircle(within(t))
		if err != nil || len(asked) != 1 || (asked[0].Problem == "") != (x.problem == "") || !strings.Contains(asked[0].Problem, x.problem) {
			t.Errorf("%s: %+v, %v", name, asked, err)
		}
		after, err := n.circleFile(within(t))
		if err != nil || string(after.File) != string(before.File) {
			t.Errorf("%s: the circle changed, %v", name, err)
		}
	}
	if reached {
		t.Error("a redirect was followed")
	}
	if len(told) != 1 {
		t.Errorf("the hook was told %v", told)
	}
	if err := h.MergeCircle(within(t), elsewhere); !errors.Is(err, circle.ErrOther) {
		t.Errorf("another circle: %v", err)
	}
	h2, err := h.Circle(within(t))
	if err != nil || h2.Root != d {
		t.Errorf("%v", err)
	}
}

// TestWhatANodeSaysOfItsCircle: what makes no sense is not logged.
func TestWhatANodeSaysOfItsCircle(t *testing.T) {
	h := connect(t, newNode(t, InitOptions{URL: "https://vendor.example"}))
	origin := h.Info().Origin
	say := func(subject []statement.Subject, p statement.Predicate) error {
		_, _, err := h.Say(within(t), subject, p)
		return err
	}
	c := firstList(t, h)
	about := func(d digest.Digest) []statement.Subject {
		return []statement.Subject{statement.NewSubject("Programme", d)}
	}
	agree := &statement.Consent{Circle: "Programme", Version: 1, Origin: origin, At: c.Published}
	if err := say(about(digest.Of(nil)), agree); !errors.Is(err, ErrForbidden) {
		t.Errorf("consent without a circle: %v", err)
	}
	without := firstList(t, h, stranger(t, "http://127.0.0.1"))
	without.Members = without.Members[1:]
	if err := say(without.Subjects(), without); !errors.Is(err, ErrInvalid) {
		t.Errorf("a list without its founder: %v", err)
	}
	d, _, err := h.Say(within(t), c.Subjects(), c)
	check(t, err)
	for name, x := range map[string]struct {
		subject []statement.Subject
		p       statement.Predicate
		kind    error
	}{
		"a second circle":        {c.Subjects(), &statement.Circle{Name: c.Name, Version: 1, Published: c.Published, Members: c.Members, Rule: statement.Rule{Consents: 1}}, ErrForbidden},
		"consent to nothing":     {about(digest.Of(nil)), agree, ErrInvalid},
		"consent of another":     {about(d), &statement.Consent{Circle: "Programme", Version: 1, Origin: "x.example", At: c.Published}, ErrForbidden},
		"leaving something else": {about(digest.Of(nil)), &statement.Leave{Circle: "Programme", Version: 1, Origin: origin, At: c.Published}, ErrInvalid},
		"a list on an unknown one": {about(digest.Of(nil)), func() statement.Predicate {
			p := digest.Of(nil)
			return &statement.Circle{Name: c.Name, Version: 2, Previous: &p, Published: c.Published, Members: c.Members}
		}(), ErrInvalid},
	} {
		if err := say(x.subject, x.p); !errors.Is(err, x.kind) {
			t.Errorf("%s: %v, want %v", name, err, x.kind)
		}
	}
	st, err := h.Status(within(t))
	if err != nil || st.Ledger.Sequenced != 1 {
		t.Errorf("%d entries in the log, %v", st.Ledger.Sequenced, err)
	}
}

// TestCircleOnPostgres: the circle is kept on the other engine, and told again
// to hooks after a restart.
func TestCircleOnPostgres(t *testing.T) {
	dir := newNode(t, InitOptions{})
	path := filepath.Join(dir, ConfigFile)
	b, err := os.ReadFile(path)
	check(t, err)
	text := strings.Replace(string(b), `#database = "vitrine.db"`, "database = "+tomlString(storetest.Postgres(t)), 1)
	check(t, os.WriteFile(path, []byte(text), 0o600))
	h := connect(t, dir)
	c := firstList(t, h)
	_, _, err = h.Say(within(t), c.Subjects(), c)
	check(t, err)
	check(t, h.Close(within(t)))
	n, err := Open(within(t), dir, quiet())
	check(t, err)
	told := 0
	n.OnCircle(func(*circle.Current) { told++ })
	if told != 1 {
		t.Errorf("after a restart the hook was told %d times", told)
	}
	check(t, n.Close(within(t)))
}

// TestInterruptedCircle: what was logged and not kept is kept when the node is
// opened again.
func TestInterruptedCircle(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	n := h.local()
	c := firstList(t, h)
	s, err := statement.New(c.Subjects(), c)
	check(t, err)
	env, err := statement.Sign(s, h.keys.statement)
	check(t, err)
	leaf, err := env.Leaf(h.keys.statement.Public())
	check(t, err)
	_, err = n.content.Put(t.Context(), "public", strings.NewReader(string(env.Bytes())), statement.MaxSize)
	check(t, err)
	check(t, n.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(n.noteCircle(ctx, tx, env), n.projection.Submitted(ctx, tx, tlog.LeafHash(leaf), env.Digest()))
	}))
	_, err = n.ledger.Add(within(t), leaf)
	check(t, err)
	check(t, h.Close(within(t)))

	n, err = Open(within(t), dir, quiet())
	check(t, err)
	done := make(chan struct{})
	n.OnCircle(func(*circle.Current) { close(done) })
	select {
	case <-done:
	case <-within(t).Done():
		t.Fatal("the circle was not kept")
	}
	said, err := circle.Store{DB: n.db}.Said(t.Context())
	for start := 0; err == nil && len(said) > 0 && start < 1000; start++ {
		check(t, pause(t.Context(), heldPause/10))
		said, err = circle.Store{DB: n.db}.Said(t.Context())
	}
	if err != nil || len(said) > 0 {
		t.Errorf("still to be said: %v, %v", said, err)
	}
	check(t, n.Close(within(t)))
}
