package mirror_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

const mirrorName = "centre.example/mirror"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func signer(t testing.TB, name string, typ tlog.KeyType) *tlog.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	s, err := tlog.NewSigner(name, typ, ed25519.NewKeyFromSeed(seed[:]), func() (time.Time, error) { return time.Now(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a mirror on a database and a directory, which may have been used
// before.
func open(t testing.TB, db *store.DB, dir string, limits mirror.Limits) (*mirror.Mirror, *witness.Pending) {
	t.Helper()
	p, err := witness.NewPending(witness.Options{DB: db, Log: quiet, Limits: witness.Limits{PerSecond: 1e6, Burst: 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := mirror.New(t.Context(), mirror.Options{
		Dir: dir, DB: db, Pending: p, Signers: []*tlog.Signer{signer(t, mirrorName, tlog.Ed25519Cosignature)}, Limits: limits, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, p
}

func serve(t testing.TB, m *mirror.Mirror) string {
	t.Helper()
	s := httptest.NewServer(m.Handler())
	t.Cleanup(s.Close)
	return s.URL
}

// memLog is a log in memory; it is a mirror.Source.
type memLog struct {
	signer  *tlog.Signer
	mu      sync.Mutex
	entries [][]byte
	hashes  []tlog.Hash
	size    int64 // published
}

func newLog(t testing.TB, origin string) *memLog {
	return &memLog{signer: signer(t, origin, tlog.Ed25519)}
}

func (l *memLog) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	for _, i := range indexes {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

func (l *memLog) grow(n int, word string) *memLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		e := fmt.Appendf(nil, "%s %d", word, len(l.entries))
		h, err := xtlog.StoredHashes(int64(len(l.entries)), e, l)
		if err != nil {
			panic(err)
		}
		l.entries, l.hashes = append(l.entries, e), append(l.hashes, h...)
	}
	l.size = int64(len(l.entries))
	return l
}

func (l *memLog) checkpoint(size int64) *tlog.SignedCheckpoint {
	root := tlog.EmptyRoot()
	if size > 0 {
		var err error
		if root, err = xtlog.TreeHash(size, l); err != nil {
			panic(err)
		}
	}
	c := tlog.Checkpoint{Origin: l.signer.Name(), Size: size, Root: root}
	sig, err := l.signer.SignCheckpoint(c)
	if err != nil {
		panic(err)
	}
	return &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}
}

// Read implements mirror.Source.
func (l *memLog) Read(_ context.Context, path string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if path == "checkpoint" {
		return l.checkpoint(l.size).Marshal(), nil
	}
	t, err := tlog.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	if t.Level == tlog.EntriesLevel {
		var b []byte
		for _, e := range l.entries[t.Index*256:][:t.Width] {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
		}
		return b, nil
	}
	return xtlog.ReadTileData(xtlog.Tile{H: 8, L: t.Level, N: t.Index, W: t.Width}, l)
}

func add(t testing.TB, m *mirror.Mirror, l *memLog) {
	t.Helper()
	if err := m.Add(t.Context(), l.signer.Name(), []tlog.Verifier{l.signer.Verifier()}, ""); err != nil {
		t.Fatal(err)
	}
}

func pusher(l mirror.Source, url string, client *http.Client, t testing.TB) *mirror.Pusher {
	return mirror.NewPusher(l, client, quiet, mirror.Target{Name: "m", URL: url,
		Keys: []tlog.Verifier{signer(t, mirrorName, tlog.Ed25519Cosignature).Verifier()}})
}

// sound checks the copy from inside, and every byte of it from outside against
// the log.
func sound(t testing.TB, m *mirror.Mirror, url string, l *memLog) {
	t.Helper()
	if err := m.Check(t.Context(), l.signer.Name()); err != nil {
		t.Fatal(err)
	}
	read := mirror.Remote{URL: url + "/" + mirror.OriginHash(l.signer.Name()), Client: http.DefaultClient}
	raw, err := read.Read(t.Context(), "checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	cp, err := tlog.ParseCheckpoint(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range append(m.Verifiers(), l.signer.Verifier()) {
		if _, err := v.Verify(cp); err != nil {
			t.Fatalf("%s: %v", v.Name(), err)
		}
	}
	if want := l.checkpoint(cp.Size); cp.Root != want.Root || cp.Size != l.size {
		t.Fatalf("mirror checkpoint %s, the log has %s", cp.Checkpoint, l.checkpoint(l.size).Checkpoint)
	}
	for level := tlog.EntriesLevel; level < 3; level++ {
		n := cp.Size >> (8 * max(level, 0))
		for i := int64(0); i*256 < n; i++ {
			path := tlog.Tile{Level: level, Index: i, Width: int(min(n-i*256, 256))}.Path()
			got, err := read.Read(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := l.Read(t.Context(), path)
			if err != nil || string(got) != string(want) {
				t.Fatalf("%s differs from the log's, %v", path, err)
			}
		}
	}
}

// A log is pushed while it grows, by all kinds of steps.
func TestPush(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		m, _ := open(t, db, dir, mirror.Limits{})
		l := newLog(t, "log.example")
		add(t, m, l)
		url := serve(t, m)
		p := pusher(l, url, http.DefaultClient, t)
		for _, n := range []int{0, 1, 1, 253, 1, 1, 255, 9000, 7, 300} {
			l.grow(n, "entry")
			if err := p.Push(t.Context()); err != nil {
				t.Fatalf("at %d: %v", l.size, err)
			}
			sound(t, m, url, l)
		}
		if got := p.Progress()[0]; got.Size != l.size || got.Lag != 0 || got.Cosigned.IsZero() {
			t.Errorf("progress %+v", got)
		}
		again, _ := open(t, db, dir, mirror.Limits{})
		sound(t, again, serve(t, again), l)
		log, err := again.Log(l.signer.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int64{0, 255, 256, l.size - 1} {
			if b, err := log.Leaf(t.Context(), i); err != nil || string(b) != string(l.entries[i]) {
				t.Errorf("leaf %d: %q, %v", i, b, err)
			}
		}
		if _, err := log.Leaf(t.Context(), l.size); err == nil {
			t.Error("a leaf beyond the checkpoint was read")
		}
	})
}

// A mirror stays on the branch that it saw first, and says that there is another.
func TestFork(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m, pending := open(t, db, t.TempDir(), mirror.Limits{})
		a, b := newLog(t, "log.example").grow(600, "entry"), newLog(t, "log.example").grow(300, "entry")
		b.grow(300, "other")
		add(t, m, a)
		url := serve(t, m)
		if err := pusher(a, url, http.DefaultClient, t).Push(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := pusher(b, url, http.DefaultClient, t).Push(t.Context())
		if err == nil || !strings.Contains(err.Error(), "add-checkpoint") {
			t.Fatalf("another history was taken: %v", err)
		}
		sound(t, m, url, a)
		if forked, err := pending.Forked(t.Context(), "log.example"); err != nil || !forked {
			t.Errorf("the fork was not noticed: %v", err)
		}
	})
}

func proveTree(l *memLog, size, old int64) ([]tlog.Hash, error) { return xtlog.ProveTree(size, old, l) }

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
