package release_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
	"vitrine.example/statement"
)

const product = "pkg:generic/example/tool"

// world is a node without its log: database, content, key, and a list instead.
type world struct {
	db      *store.DB
	content *content.Store
	log     *list
	pub     *release.Publisher
}

// each runs f with an empty world on every engine.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { f(t, newWorld(t, db)) })
}

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	c, err := content.Open(filepath.Join(t.TempDir(), "content"))
	if err != nil {
		t.Fatal(err)
	}
	signer := newSigner(t)
	w := &world{db: db, content: c, log: &list{db: db, key: signer.Public()}}
	w.pub = &release.Publisher{DB: db, Content: c, Signer: signer, Submit: w.log, Now: ticking()}
	return w
}

func newSigner(t testing.TB) *key.Signer {
	t.Helper()
	private, err := key.Generate(key.P256, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := key.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ticking is a clock that never says the same twice, with a fraction of a
// second and a zone that must not get into a statement.
func ticking() func() (time.Time, error) {
	var mu sync.Mutex
	now := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	return func() (time.Time, error) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now, nil
	}
}

// list stands for the log of a node: it admits, then appends.
type list struct {
	db     *store.DB
	key    key.Public
	before func() error // called first
	after  func() error // called when the statement is in the list
	mu     sync.Mutex
	leaves []digest.Digest
}

func (l *list) Submit(ctx context.Context, raw []byte) (release.Receipt, error) {
	if l.before != nil {
		if err := l.before(); err != nil {
			return release.Receipt{}, err
		}
	}
	env, err := statement.Parse(raw)
	if err == nil && !l.key.IsZero() {
		err = env.Verify(l.key)
	}
	if err != nil {
		return release.Receipt{}, err
	}
	err = l.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return release.Admit(ctx, tx, env) })
	if err != nil {
		return release.Receipt{}, err
	}
	r := l.add(env.Digest())
	if l.after != nil {
		return r, l.after()
	}
	return r, nil
}

func (l *list) add(d digest.Digest) release.Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, have := range l.leaves {
		if have == d {
			return release.Receipt{Index: int64(i), Duplicate: true}
		}
	}
	l.leaves = append(l.leaves, d)
	return release.Receipt{Index: int64(len(l.leaves) - 1)}
}

// file writes n bytes that differ from seed to seed.
func file(t testing.TB, path string, seed uint64, n int) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, noise(seed, n), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func publish(t testing.TB, w *world, r release.Request) *release.Published {
	t.Helper()
	out, err := w.pub.Publish(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// refused publishes what must be refused, for the reason want and with all the
// words in it, and nothing may be in the log.
func refused(t *testing.T, w *world, r release.Request, want error, words ...string) {
	t.Helper()
	had := len(w.log.leaves)
	_, err := w.pub.Publish(t.Context(), r)
	if err == nil {
		t.Fatal("it was released")
	}
	if want != nil && !errors.Is(err, want) {
		t.Errorf("error %q is not %q", err, want)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("error %q is more than a line", err)
	}
	if len(w.log.leaves) != had {
		t.Error("something was logged")
	}
}

// same fails unless both are one statement at one index, and the second knew it.
func same(t *testing.T, first, second *release.Published) {
	t.Helper()
	if !bytes.Equal(first.Envelope.Bytes(), second.Envelope.Bytes()) {
		t.Errorf("statement %s, then %s", first.Envelope.Digest(), second.Envelope.Digest())
	}
	if first.Index != second.Index || !second.Duplicate {
		t.Errorf("index %d, then %d (duplicate: %v)", first.Index, second.Index, second.Duplicate)
	}
}

// bytesRead counts what read calls of this process gave so far.
func bytesRead(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if _, err := fmt.Sscanf(string(b), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

var program struct {
	once sync.Once
	data []byte
	err  error
}

// goProgram returns a real Go binary.
func goProgram(t testing.TB) []byte {
	t.Helper()
	program.once.Do(func() {
		dir := t.TempDir()
		text := "package main\n\nfunc main() { println(\"tool\") }\n"
		program.err = errors.Join(
			os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o644),
			os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.org/tool\n\ngo 1.22\n"), 0o644))
		cmd := exec.Command("go", "build", "-trimpath", "-o", "out", ".")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			program.err = errors.Join(program.err, fmt.Errorf("go build: %w: %s", err, out))
			return
		}
		program.data, program.err = os.ReadFile(filepath.Join(dir, "out"))
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.data
}
