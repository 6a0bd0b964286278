package gossip_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"vitrine.example/internal/gossip"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

const origin = "log.example"

var epoch = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

func signer(t testing.TB, name string) *tlog.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	s, err := tlog.NewSigner(name, tlog.Ed25519, ed25519.NewKeyFromSeed(seed[:]), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// history is a log of 64 entries; two of them differ from entry at on.
type history []xtlog.Hash

func newHistory(t testing.TB, name string, at int64) history {
	t.Helper()
	var h history
	for i := range int64(64) {
		entry := fmt.Sprint("entry ", i)
		if i >= at {
			entry += name
		}
		s, err := xtlog.StoredHashes(i, []byte(entry), h)
		if err != nil {
			t.Fatal(err)
		}
		h = append(h, s...)
	}
	return h
}

func (h history) ReadHashes(indexes []int64) (out []xtlog.Hash, err error) {
	for _, i := range indexes {
		out = append(out, h[i])
	}
	return out, nil
}

func (h history) signed(t testing.TB, s *tlog.Signer, size int64) *tlog.SignedCheckpoint {
	t.Helper()
	root, err := xtlog.TreeHash(size, h)
	if err != nil {
		t.Fatal(err)
	}
	c := &tlog.SignedCheckpoint{Checkpoint: tlog.Checkpoint{Origin: s.Name(), Size: size, Root: root}}
	sig, err := s.SignCheckpoint(c.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	c.Signatures = []tlog.Signature{sig}
	return c
}

// copied is what a node has of one log.
type copied struct {
	history
	mu     sync.Mutex
	newest *tlog.SignedCheckpoint
	key    tlog.Verifier
	refuse bool // gives no proofs
}

func (c *copied) set(n *tlog.SignedCheckpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = n
}

func (c *copied) Keys(_ context.Context, o string) ([]tlog.Verifier, error) {
	if o != origin {
		return nil, nil
	}
	return []tlog.Verifier{c.key}, nil
}

func (c *copied) Newest(context.Context) ([]*tlog.SignedCheckpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.newest == nil {
		return nil, nil
	}
	return []*tlog.SignedCheckpoint{c.newest}, nil
}

func (c *copied) Consistency(_ context.Context, _ string, from, to int64) (tlog.Hash, []tlog.Hash, error) {
	if c.refuse {
		return tlog.Hash{}, nil, errors.New("410 gone")
	}
	root, err := xtlog.TreeHash(from, c.history)
	if err != nil {
		return root, nil, err
	}
	path, err := xtlog.ProveTree(to, from, c.history)
	return root, path, err
}

type members struct {
	mu    sync.Mutex
	peers []gossip.Peer
}

func (m *members) Members(context.Context) ([]gossip.Peer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peers, nil
}

type node struct {
	*gossip.Gossip
	*copied
	members *members
	url     string
	told    chan string
}

func newNode(t *testing.T, db *store.DB, h history, size int64, set ...func(*gossip.Options)) *node {
	t.Helper()
	s := signer(t, origin)
	n := &node{copied: &copied{history: h, key: s.Verifier()}, members: &members{}, told: make(chan string, 100)}
	if size > 0 {
		n.set(h.signed(t, s, size))
	}
	o := gossip.Options{
		DB: db, Members: n.members, Logs: n.copied, Now: func() time.Time { return epoch }, Log: slog.New(slog.DiscardHandler),
		OnFork: func(o string, _ *tlog.Fork) { n.told <- o },
	}
	for _, f := range set {
		f(&o)
	}
	var err error
	n.Gossip, err = gossip.New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(n.Handler())
	t.Cleanup(srv.Close)
	n.url = srv.URL
	return n
}

func (n *node) meet(others ...*node) {
	for i, o := range others {
		n.members.peers = append(n.members.peers, gossip.Peer{Origin: fmt.Sprintf("peer-%d.example", i), URL: o.url})
	}
}

func (n *node) round(t testing.TB) {
	t.Helper()
	if err := n.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (n *node) forks(t testing.TB) []gossip.Kept {
	t.Helper()
	k, err := n.Open(context.Background(), origin)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func another(t *testing.T) *store.DB { return storetest.Open(t, storetest.SQLite(t)) }

// TestAForkReachesEveryone: two nodes have been shown two histories, a third
// none. One asks, and all have the same evidence, which verifies alone.
func TestAForkReachesEveryone(t *testing.T) {
	one, two := newHistory(t, "", 64), newHistory(t, " other", 3)
	for name, sizes := range map[string][2]int64{"one size": {9, 9}, "they are behind": {20, 8}, "they are behind, no power of two": {20, 11}} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				a, b, c := newNode(t, db, one, sizes[0]), newNode(t, another(t), two, sizes[1]), newNode(t, another(t), one, 0)
				a.meet(b, c)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { a.Run(ctx, make(chan time.Time)); close(done) }()
				for _, n := range []*node{a, b, c} {
					if got := <-n.told; got != origin {
						t.Errorf("told of %s", got)
					}
				}
				cancel()
				<-done
				want := a.forks(t)
				if len(want) != 1 {
					t.Fatalf("%d pieces of evidence, want 1", len(want))
				}
				for _, n := range []*node{b, c} {
					if got := n.forks(t); len(got) != 1 || got[0].Digest != want[0].Digest {
						t.Errorf("another node keeps %v, want %v", got, want)
					}
				}
				text, err := c.Evidence(t.Context(), want[0].Digest)
				if err != nil {
					t.Fatal(err)
				}
				f, err := tlog.ParseFork(text)
				if err == nil {
					err = f.Verify(signer(t, origin).Verifier())
				}
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestAViewAheadIsDecidedLater: what a member has is ahead of us, and
// contradicts us once our copy is as large.
func TestAViewAheadIsDecidedLater(t *testing.T) {
	one, two := newHistory(t, "", 64), newHistory(t, " other", 3)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a, b := newNode(t, db, one, 10), newNode(t, another(t), two, 30)
		a.meet(b)
		a.round(t)
		if n := len(a.forks(t)); n != 0 {
			t.Fatalf("%d pieces of evidence, want none yet", n)
		}
		b.set(nil) // it is not shown again
		a.set(one.signed(t, signer(t, origin), 40))
		a.round(t)
		if n := len(a.forks(t)); n != 1 {
			t.Fatalf("%d pieces of evidence, want 1", n)
		}
	})
}

func TestALogWithoutProofsIsUnresponsiveAndNotForked(t *testing.T) {
	one := newHistory(t, "", 64)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a, b := newNode(t, db, one, 30), newNode(t, another(t), newHistory(t, " other", 3), 10)
		a.refuse = true
		a.meet(b)
		a.round(t)
		if n := len(a.forks(t)); n != 0 {
			t.Errorf("%d pieces of evidence, want none", n)
		}
		tr := a.Troubles()
		if len(tr) != 1 || tr[0].Log != origin || !strings.Contains(tr[0].Error, "unresponsive") {
			t.Errorf("troubles %v, want that the log is unresponsive", tr)
		}
		a.refuse = false // the proof comes later, and the view was not forgotten
		b.set(nil)
		a.round(t)
		if n := len(a.forks(t)); n != 1 {
			t.Errorf("%d pieces of evidence, want 1", n)
		}
	})
}

// TestAPeerThatLiesIsNamed: nothing of what it says is kept.
func TestAPeerThatLiesIsNamed(t *testing.T) {
	one, two := newHistory(t, "", 64), newHistory(t, " other", 0)
	forged := two.signed(t, signer(t, origin), 9)
	forged.Signatures[0].Bytes[5] ^= 1
	evidence, err := tlog.NewSizeFork(one.signed(t, signer(t, origin), 9), forged)
	if err != nil {
		t.Fatal(err)
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"gigabytes": endless,
		"garbage":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{") },
		"redirect":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "/x"); w.WriteHeader(302) },
		"forged view": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/forks/" {
				fmt.Fprint(w, `{"forks":[]}`)
				return
			}
			fmt.Fprintf(w, `{"views":[%q]}`, forged.Marshal())
		},
		"forged evidence": func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/forks/":
				fmt.Fprintf(w, `{"forks":[{"digest":"%x","origin":%q,"kind":"size","found":"2030-05-01T12:00:00Z"}]}`, evidence.Digest(), origin)
			case "/gossip/views":
				fmt.Fprint(w, `{"views":[]}`)
			default:
				_, _ = w.Write(evidence.Marshal())
			}
		},
		"stalls": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			a := newNode(t, another(t), one, 9)
			srv := httptest.NewServer(h)
			t.Cleanup(srv.Close)
			a.members.peers = []gossip.Peer{{Origin: "liar.example", URL: srv.URL}}
			ctx := t.Context()
			if name == "stalls" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			if err := a.Round(ctx); err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
			if n := len(a.forks(t)); n != 0 {
				t.Errorf("%d pieces of evidence, want none", n)
			}
			if tr := a.Troubles(); len(tr) != 1 || tr[0].Peer != "liar.example" {
				t.Errorf("troubles %v, want the liar", tr)
			}
		})
	}
}

func TestPostedEvidenceIsJudgedAndBounded(t *testing.T) {
	one, two := newHistory(t, "", 64), newHistory(t, " other", 0)
	s, stranger := signer(t, origin), signer(t, "stranger.example")
	fork := func(s *tlog.Signer, size int64) *tlog.Fork {
		f, err := tlog.NewSizeFork(one.signed(t, s, size), two.signed(t, s, size))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a := newNode(t, db, one, 9)
		post := func(b []byte) int {
			res, err := http.Post(a.url+"/forks/", "text/plain", bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res.StatusCode
		}
		bad := fork(s, 5)
		bad.A.Signatures[0].Bytes[3] ^= 1
		for _, c := range []struct {
			name string
			body []byte
			want int
		}{
			{"evidence", fork(s, 5).Marshal(), 201}, {"the same again", fork(s, 5).Marshal(), 200},
			{"of an unknown log", fork(stranger, 5).Marshal(), 404}, {"forged", bad.Marshal(), 422},
			{"garbage", []byte("hello"), 400}, {"too long", make([]byte, tlog.MaxFork+1), 400},
		} {
			if got := post(c.body); got != c.want {
				t.Errorf("%s: answered %d, want %d", c.name, got, c.want)
			}
		}
		for i := int64(6); i < 6+gossip.MaxForks+5; i++ {
			if _, err := a.Keep(t.Context(), fork(s, i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(a.forks(t)); n != gossip.MaxForks {
			t.Errorf("%d pieces of evidence, want %d", n, gossip.MaxForks)
		}
		limited := false
		for range 200 {
			limited = limited || post([]byte("x")) == http.StatusTooManyRequests
		}
		if !limited {
			t.Error("a flood of 200 was not limited")
		}
	})
}

func TestAnAcceptedForkIsNotOpen(t *testing.T) {
	one, two := newHistory(t, "", 64), newHistory(t, " other", 0)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a, b := newNode(t, db, one, 9), newNode(t, another(t), two, 9)
		a.meet(b)
		a.round(t)
		d := a.forks(t)[0].Digest
		if err := a.Accept(t.Context(), d, ""); err == nil {
			t.Error("accepted without a reason")
		}
		if err := a.Accept(t.Context(), [32]byte{1}, "x"); !errors.Is(err, gossip.ErrNone) {
			t.Errorf("other evidence: %v, want %v", err, gossip.ErrNone)
		}
		if err := a.Accept(t.Context(), d, "restored from a backup"); err != nil {
			t.Fatal(err)
		}
		a.round(t) // seen again, it stays accepted
		if n := len(a.forks(t)); n != 0 {
			t.Errorf("%d open, want none", n)
		}
	})
}

// TestAnHonestLogIsNeverAccused: members lag and are asked in any order.
func TestAnHonestLogIsNeverAccused(t *testing.T) {
	h, s := newHistory(t, "", 64), signer(t, origin)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a, b, c := newNode(t, db, h, 0), newNode(t, another(t), h, 0), newNode(t, another(t), h, 0)
		nodes := []*node{a, b, c}
		a.meet(b, c)
		b.meet(a, c)
		c.meet(a, b)
		rapid.Check(t, func(rt *rapid.T) {
			for range 6 {
				n := nodes[rapid.IntRange(0, 2).Draw(rt, "node")]
				n.set(h.signed(t, s, rapid.Int64Range(1, 64).Draw(rt, "size")))
				nodes[rapid.IntRange(0, 2).Draw(rt, "asks")].round(t)
			}
			for _, n := range nodes {
				if k := n.forks(t); len(k) != 0 {
					rt.Fatalf("an honest log is accused: %v", k)
				}
			}
		})
		for _, n := range nodes {
			if tr := n.Troubles(); len(tr) != 0 {
				t.Errorf("an honest run leaves troubles: %v", tr)
			}
		}
	})
}
