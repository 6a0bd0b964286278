package web_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/gossip"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// known are the keys of logs by origin. It is nobody's copy and nobody's member.
type known map[string]*tlog.Signer

func (k known) Keys(_ context.Context, origin string) ([]tlog.Verifier, error) {
	if s, ok := k[origin]; ok {
		return []tlog.Verifier{s.Verifier()}, nil
	}
	return nil, nil
}

func (k known) Newest(context.Context) ([]*tlog.SignedCheckpoint, error) { return nil, nil }

func (k known) Consistency(context.Context, string, int64, int64) (tlog.Hash, []tlog.Hash, error) {
	return tlog.Hash{}, nil, gossip.ErrNoCopy
}

func (k known) Members(context.Context) ([]gossip.Peer, error) { return nil, nil }

func forkOf(t *testing.T, s *tlog.Signer, size int64) *tlog.Fork {
	t.Helper()
	var both [2]*tlog.SignedCheckpoint
	for i := range both {
		c := tlog.Checkpoint{Origin: s.Name(), Size: size, Root: tlog.LeafHash(fmt.Appendf(nil, "history %d", i))}
		sig, err := s.SignCheckpoint(c)
		if err != nil {
			t.Fatal(err)
		}
		both[i] = &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}
	}
	f, err := tlog.NewSizeFork(both[0], both[1])
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestForkedLogsAreWarnedOf: every page about a log that has signed two
// histories says so; an acceptance is told with its reason; others' pages are quiet.
func TestForkedLogsAreWarnedOf(t *testing.T) {
	s, theirs, _ := twoLogs(t)
	own := s.o.Info.Origin
	keys := known{}
	for _, origin := range []string{own, other} {
		seed := sha256.Sum256([]byte(origin))
		k, err := tlog.NewSigner(origin, tlog.Ed25519, ed25519.NewKeyFromSeed(seed[:]), nil)
		if err != nil {
			t.Fatal(err)
		}
		keys[origin] = k
	}
	g, err := gossip.New(gossip.Options{
		DB: storetest.Open(t, storetest.SQLite(t)), Members: keys, Logs: keys, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.o.Forks = g
	s.build(t)
	base, rel := "/logs/"+digest.Of([]byte(other)).String(), s.release.Digest().String()
	ownPages := []string{"/", "/log", "/log/0", "/release/" + rel, "/statement/" + rel, "/releases", "/forks", "/nothing"}
	otherPages := []string{base, base + "/0", "/logs", "/release/" + theirs.Digest().String(), "/statement/" + theirs.Digest().String(), "/releases?log=all"}
	shows := func(text string, want bool, pages ...string) {
		t.Helper()
		for _, p := range pages {
			body := s.do("GET", p).Body.String()
			if strings.Contains(body, text) != want {
				t.Errorf("%s: %q shown: %t, want %t", p, text, !want, want)
			}
			if err := wellFormed(body); err != nil {
				t.Errorf("%s: %v", p, err)
			}
		}
	}
	const alarm = `role="alert"`
	shows(alarm, false, append(ownPages, otherPages...)...)
	shows("no evidence here", true, "/forks")

	theirFork := forkOf(t, keys[other], 7)
	if fresh, err := g.Keep(t.Context(), theirFork); err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	shows(alarm, true, otherPages...)
	shows("asia.example/&lt;i&gt;log", true, otherPages...)
	shows(alarm, false, ownPages...)
	shows("vitrine log verify-fork", true, "/forks")
	shows(digest.Digest(theirFork.Digest()).String(), true, "/forks")
	if ready := s.do("GET", "/readyz"); ready.Code != 200 || !strings.HasPrefix(ready.Body.String(), "ready\nfork evidence about \"asia.example") {
		t.Errorf("readyz: %d %s", ready.Code, ready.Body)
	}

	if _, err := g.Keep(t.Context(), forkOf(t, keys[own], 3)); err != nil {
		t.Fatal(err)
	}
	shows("The log of this node, <code>"+own, true, append(ownPages, otherPages...)...)

	if err := g.Accept(t.Context(), theirFork.Digest(), "two <b>machines"); err != nil {
		t.Fatal(err)
	}
	shows("two &lt;b&gt;machines", true, otherPages...)
	shows("two &lt;b&gt;machines", true, "/forks")
	if body := s.do("GET", "/forks").Body.String(); strings.Index(body, `id="f-`+digest.Digest(theirFork.Digest()).String()) < strings.Index(body, "<code>"+own+"</code></h2>") {
		t.Error("what is accepted stands before what is open")
	}
}
