package quorum_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/mldsa"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/quorum"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

const origin = "log.example"

var quiet = slog.New(slog.DiscardHandler)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cosignKey(t testing.TB, name string, typ tlog.KeyType) *tlog.Signer {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	var k crypto.Signer = ed25519.NewKeyFromSeed(sum[:])
	if typ == tlog.MLDSA44Cosignature {
		ml, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), sum[:])
		check(t, err)
		k = ml
	}
	s, err := tlog.NewSigner(name, typ, k, func() (time.Time, error) { return time.Now(), nil })
	check(t, err)
	return s
}

func logKey(t testing.TB) *tlog.Signer {
	t.Helper()
	s, err := tlog.NewSigner(origin, tlog.Ed25519, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)), nil)
	check(t, err)
	return s
}

// served is a witness at a URL that can be put out of service.
type served struct {
	name string
	key  tlog.Verifier
	url  string
	down atomic.Bool
	asks atomic.Int64
}

// ours serves a witness of this program, with one key.
func ours(t testing.TB, name string, typ tlog.KeyType) *served {
	t.Helper()
	s := cosignKey(t, name, typ)
	w, err := witness.New(witness.Options{
		DB: storetest.Open(t, storetest.SQLite(t)), Signers: []*tlog.Signer{s}, Log: quiet,
		Limits: witness.Limits{PerSecond: 1e6, Burst: 1e6},
	})
	check(t, err)
	check(t, w.Add(t.Context(), witness.Log{Origin: origin, Keys: []tlog.Verifier{logKey(t).Verifier()}}))
	return serveAs(t, name, s.Verifier(), w.Handler())
}

func serveAs(t testing.TB, name string, key tlog.Verifier, h http.Handler) *served {
	t.Helper()
	out := &served{name: strings.ReplaceAll(name, "/", "-"), key: key}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out.asks.Add(1)
		if out.down.Load() {
			http.Error(w, "out of service", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	out.url = srv.URL
	return out
}

// policy asks for k of the witnesses.
func policy(t testing.TB, k int, ws ...*served) *tlog.Policy {
	t.Helper()
	var b, names strings.Builder
	for _, w := range ws {
		fmt.Fprintf(&b, "witness %s %s %s\n", w.name, w.key, w.url)
		names.WriteString(" " + w.name)
	}
	fmt.Fprintf(&b, "group G %d%s\nquorum G\n", k, names.String())
	p, err := tlog.ParsePolicy([]byte(b.String()))
	check(t, err)
	return p
}

func newQuorum(t testing.TB, p *tlog.Policy) *quorum.Quorum {
	t.Helper()
	q, err := quorum.New(quorum.Options{Log: logKey(t).Verifier(), Policy: p, Logger: quiet, Wait: time.Second})
	check(t, err)
	t.Cleanup(q.Close)
	return q
}

func openLog(t testing.TB, dir, db string, c ledger.Cosigner) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), ledger.Options{
		Dir: dir, DB: storetest.Open(t, db), Signer: logKey(t), Log: quiet, Cosigner: c,
		Patience: time.Second, Renew: 500 * time.Millisecond,
	})
	check(t, err)
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t testing.TB, l *ledger.Ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	check(t, l.Close(ctx))
}

// until waits for something that must come.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for range 2000 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came: %s", what)
}

func withLog(t testing.TB, p *tlog.Policy) *tlog.Policy {
	t.Helper()
	q := *p
	q.Logs = []tlog.PolicyLog{{Key: logKey(t).Verifier()}}
	return &q
}

// cosigned fails the test unless what is published meets the policy.
func cosigned(t testing.TB, l *ledger.Ledger, p *tlog.Policy) *tlog.SignedCheckpoint {
	t.Helper()
	raw, err := l.Checkpoint(t.Context())
	check(t, err)
	c, err := tlog.ParseCheckpoint(raw)
	check(t, err)
	_, err = withLog(t, p).Check(c)
	check(t, err)
	return c
}

// What is acknowledged is cosigned; without a quorum nothing newer is shown, and
// all of it once the witnesses are back, in the same process or the next.
func TestPublishesOnlyWhatAQuorumCosigned(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, db string) {
		a, b, c := ours(t, "a.example/witness", tlog.Ed25519Cosignature), ours(t, "b.example/witness", tlog.MLDSA44Cosignature), ours(t, "c.example/witness", tlog.Ed25519Cosignature)
		c.down.Store(true)
		p := policy(t, 2, a, b, c)
		dir := filepath.Join(t.TempDir(), "log")
		l := openLog(t, dir, db, newQuorum(t, p))
		for i := range 3 {
			e, err := l.Add(t.Context(), fmt.Appendf(nil, "leaf %d", i))
			check(t, err)
			if s := cosigned(t, l, p); s.Size <= e.Index {
				t.Fatalf("entry %d is acknowledged, and %d are cosigned", e.Index, s.Size)
			}
		}
		raw, err := l.Proof(t.Context(), 1)
		check(t, err)
		proof, err := tlog.ParseProof(raw)
		check(t, err)
		check(t, proof.VerifyInclusion(tlog.LeafHash([]byte("leaf 1"))))
		if _, err := withLog(t, p).Check(proof.Checkpoint); err != nil {
			t.Errorf("the proof does not meet the policy: %v", err)
		}
		b.down.Store(true)
		_, err = l.Add(t.Context(), []byte("leaf 3"))
		if !errors.Is(err, ledger.ErrUnpublished) || !strings.Contains(err.Error(), "sequenced, awaiting 2 of 3 witnesses") || !strings.Contains(err.Error(), "b.example-witness") {
			t.Errorf("with one of three witnesses: %v", err)
		}
		s, err := l.Status(t.Context())
		check(t, err)
		if s.Sequenced != 4 || s.Published != 3 || s.Awaiting == "" {
			t.Errorf("status %+v", s)
		}
		if _, err := l.Leaf(t.Context(), 3); !errors.Is(err, ledger.ErrUnknown) {
			t.Errorf("an entry that nobody cosigned is shown: %v", err)
		}
		closeLog(t, l)
		l = openLog(t, dir, db, newQuorum(t, p))
		if s := cosigned(t, l, p); s.Size != 3 {
			t.Errorf("opened again, it shows %d entries, want 3", s.Size)
		}
		b.down.Store(false)
		until(t, "the fourth entry", func() bool { return cosigned(t, l, p).Size == 4 })
		closeLog(t, l)
		r, err := ledger.Check(t.Context(), dir, logKey(t).Verifier(), nil, nil)
		check(t, err)
		if len(r.Faults) > 0 || r.Size != 4 {
			t.Errorf("check: %+v", r)
		}
	})
}

// A new log opens although nobody cosigns its first checkpoint, shows none, and
// publishes by itself when they do. Its cosignatures are renewed.
func TestStartsUnwitnessed(t *testing.T) {
	a := ours(t, "a.example/witness", tlog.Ed25519Cosignature)
	a.down.Store(true)
	p := policy(t, 1, a)
	dir, db := filepath.Join(t.TempDir(), "log"), storetest.SQLite(t)
	l := openLog(t, dir, db, newQuorum(t, p))
	for _, path := range []string{"/checkpoint", "/tile/0/000.p/1", "/proof/0"} {
		rec := httptest.NewRecorder()
		l.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != http.StatusNotFound {
			t.Errorf("%s: status %d before anything is published", path, rec.Code)
		}
	}
	closeLog(t, l)
	l = openLog(t, dir, db, newQuorum(t, p)) // what Tessera has signed meanwhile is not published by that
	if _, err := l.Checkpoint(t.Context()); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("opened again, it shows a checkpoint: %v", err)
	}
	a.down.Store(false)
	until(t, "the first checkpoint", func() bool { _, err := l.Checkpoint(t.Context()); return err == nil })
	first := cosigned(t, l, p)
	until(t, "renewed cosignatures", func() bool {
		return !bytes.Equal(cosigned(t, l, p).Marshal(), first.Marshal())
	})
}

// Another policy counts for the next checkpoint, and what is published stays so.
func TestSetCosigner(t *testing.T) {
	a, b := ours(t, "a.example/witness", tlog.Ed25519Cosignature), ours(t, "b.example/witness", tlog.Ed25519Cosignature)
	l := openLog(t, filepath.Join(t.TempDir(), "log"), storetest.SQLite(t), nil)
	_, err := l.Add(t.Context(), []byte("leaf 0"))
	check(t, err)
	a.down.Store(true)
	check(t, l.SetCosigner(newQuorum(t, policy(t, 1, a))))
	if _, err := l.Add(t.Context(), []byte("leaf 1")); !errors.Is(err, ledger.ErrUnpublished) {
		t.Errorf("nobody cosigned it: %v", err)
	}
	if s, err := l.Status(t.Context()); err != nil || s.Published != 1 {
		t.Errorf("status %+v, %v", s, err)
	}
	p := policy(t, 1, b)
	check(t, l.SetCosigner(newQuorum(t, p)))
	_, err = l.Add(t.Context(), []byte("leaf 1"))
	check(t, err)
	cosigned(t, l, p)
}

// Witnesses that lie, flood or stall are named, and delay nobody.
func TestHostileWitnesses(t *testing.T) {
	other := cosignKey(t, "other.example/w", tlog.Ed25519Cosignature)
	release := make(chan struct{})
	sign := func(w http.ResponseWriter, r *http.Request, s *tlog.Signer) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		q, err := tlog.ParseAddCheckpoint(b.Bytes())
		if err != nil {
			t.Error(err)
			return
		}
		sig, err := s.SignCheckpoint(q.Checkpoint.Checkpoint)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = w.Write(sig.Marshal())
	}
	conflict := func(n int64) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", tlog.SizeType)
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write(tlog.FormatSize(n))
		}
	}
	for _, tt := range []struct {
		name, want string
		h          http.HandlerFunc
	}{
		{"other-key", "another key", func(w http.ResponseWriter, r *http.Request) { sign(w, r, other) }},
		{"garbage", "reading its cosignatures", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello\n")) }},
		{"gigabytes", "more than", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}},
		{"stalls", "deadline exceeded", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server would not see that we have gone
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}},
		{"redirects", "not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}},
		{"ahead", "only 2 are signed here", conflict(1 << 40)},
		{"same-size", "tells the same", conflict(0)},
		{"untyped", "Content-Type", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) }},
		{"unknown", "does not know this log", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no\x1b[31m", http.StatusNotFound) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := serveAs(t, tt.name, cosignKey(t, "bad.example/w", tlog.Ed25519Cosignature).Verifier(), tt.h)
			good := ours(t, "good.example/w", tlog.Ed25519Cosignature)
			q := newQuorum(t, policy(t, 1, bad, good))
			l := openLog(t, filepath.Join(t.TempDir(), "log"), storetest.SQLite(t), q)
			for i := range 2 {
				_, err := l.Add(t.Context(), fmt.Appendf(nil, "leaf %d", i))
				check(t, err)
			}
			until(t, "the witness is named: "+tt.want, func() bool {
				s := q.Status()[0]
				return s.Names[0] == tt.name && !s.Since.IsZero() && strings.Contains(s.Error, tt.want)
			})
			s := q.Status()
			if strings.Contains(s[0].Error, "\x1b") || s[1].Error != "" {
				t.Errorf("status %+v", s)
			}
		})
	}
	close(release)
}

// Damage of the file of the published checkpoint is found.
func TestCheckFindsTheCosignedFile(t *testing.T) {
	a := ours(t, "a.example/witness", tlog.Ed25519Cosignature)
	dir := filepath.Join(t.TempDir(), "log")
	l := openLog(t, dir, storetest.SQLite(t), newQuorum(t, policy(t, 1, a)))
	_, err := l.Add(t.Context(), []byte("leaf 0"))
	check(t, err)
	closeLog(t, l)
	check(t, os.WriteFile(filepath.Join(dir, "cosigned"), []byte("hello\n"), 0o644))
	r, err := ledger.Check(t.Context(), dir, logKey(t).Verifier(), nil, nil)
	check(t, err)
	if len(r.Faults) != 1 || !strings.Contains(r.Faults[0], "cosigned") {
		t.Errorf("faults %q", r.Faults)
	}
	_, err = ledger.Open(t.Context(), ledger.Options{Dir: dir, DB: storetest.Open(t, storetest.SQLite(t)), Signer: logKey(t), Log: quiet})
	if !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("opening: %v", err)
	}
}
