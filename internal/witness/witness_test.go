package witness_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"filippo.io/mldsa"
	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

const witnessName = "witness.example/w"

func realTime() (time.Time, error) { return time.Now(), nil }

// signers makes the keys of a witness from a word.
func signers(t testing.TB, seed string, now func() (time.Time, error)) []*tlog.Signer {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	ml, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var out []*tlog.Signer
	for typ, key := range map[tlog.KeyType]crypto.Signer{
		tlog.Ed25519Cosignature: ed25519.NewKeyFromSeed(sum[:]), tlog.MLDSA44Cosignature: ml,
	} {
		s, err := tlog.NewSigner(witnessName, typ, key, now)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func options(t testing.TB, db *store.DB) witness.Options {
	return witness.Options{
		DB: db, Signers: signers(t, "witness", realTime), Log: quiet,
		Limits: witness.Limits{PerSecond: 1e6, Burst: 1e6},
	}
}

func newWitness(t testing.TB, o witness.Options) *witness.Witness {
	t.Helper()
	w, err := witness.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// testLog is a log in memory, of which there can be several histories.
type testLog struct {
	origin string
	signer *tlog.Signer
	hashes []tlog.Hash
	size   int64
}

func newLog(t testing.TB, origin string) *testLog {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tlog.NewSigner(origin, tlog.Ed25519, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &testLog{origin: origin, signer: s}
}

func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

// grow adds entries.
func (l *testLog) grow(n int64, entry string) *testLog {
	for range n {
		h, err := xtlog.StoredHashes(l.size, fmt.Appendf(nil, "%s %d", entry, l.size), l)
		if err != nil {
			panic(err)
		}
		l.hashes, l.size = append(l.hashes, h...), l.size+1
	}
	return l
}

// fork returns another history: l up to a size, then other entries.
func (l *testLog) fork(at, size int64, entry string) *testLog {
	f := *l
	f.size = at
	f.hashes = append([]tlog.Hash(nil), l.hashes[:stored(at)]...)
	return f.grow(size-at, entry)
}

// stored is how many hashes a tree of n entries has.
func stored(n int64) int64 {
	if n == 0 {
		return 0
	}
	return xtlog.StoredHashCount(n)
}

func (l *testLog) root(size int64) tlog.Hash {
	if size == 0 {
		return tlog.EmptyRoot()
	}
	h, err := xtlog.TreeHash(size, l)
	if err != nil {
		panic(err)
	}
	return h
}

func (l *testLog) checkpoint(size int64) *tlog.SignedCheckpoint {
	c := tlog.Checkpoint{Origin: l.origin, Size: size, Root: l.root(size)}
	sig, err := l.signer.SignCheckpoint(c)
	if err != nil {
		panic(err)
	}
	return &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}
}

// request makes a request whose proof is good where there is one.
func (l *testLog) request(old, size int64) *tlog.AddCheckpoint {
	q := &tlog.AddCheckpoint{Old: old, Checkpoint: l.checkpoint(size)}
	if old > 0 && old < size {
		p, err := xtlog.ProveTree(size, old, l)
		if err != nil {
			panic(err)
		}
		q.Proof = p
	}
	return q
}

func (l *testLog) log() witness.Log {
	return witness.Log{Origin: l.origin, Keys: []tlog.Verifier{l.signer.Verifier()}, Note: "a test"}
}

func addLog(t testing.TB, w *witness.Witness, l *testLog) *testLog {
	t.Helper()
	if err := w.Add(t.Context(), l.log()); err != nil {
		t.Fatal(err)
	}
	return l
}

// ask sends a request to the handler itself.
func ask(w *witness.Witness, method, path string, body string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec
}

func post(w *witness.Witness, q *tlog.AddCheckpoint) *httptest.ResponseRecorder {
	return ask(w, http.MethodPost, "/add-checkpoint", string(q.Marshal()))
}

func wants(t *testing.T, rec *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if rec.Code != status || !strings.Contains(rec.Body.String(), body) {
		t.Fatalf("status %d, %.200q; want %d, %q", rec.Code, rec.Body, status, body)
	}
}

func each(t *testing.T, f func(t *testing.T, w *witness.Witness, o witness.Options)) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := options(t, db)
		f(t, newWitness(t, o), o)
	})
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
