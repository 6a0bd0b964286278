package holdings_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine.example/internal/content"
	"vitrine.example/internal/fixture"
	"vitrine.example/internal/holdings"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

const alpha, beta, own = "alpha.example", "beta.example", "own.example"

// memory is a mirrored log.
type memory struct {
	mu      sync.Mutex
	entries [][]byte
}

func (m *memory) Published(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.entries)), nil
}

func (m *memory) Bundle(i int64) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := min(int(i*tlog.TileWidth), len(m.entries))
	return m.entries[from:min(from+tlog.TileWidth, len(m.entries))], nil
}

// peer is a node that answers what it is told to.
type peer struct {
	url string

	mu    sync.Mutex
	serve map[string]http.HandlerFunc
	asked []string
}

func newPeer(t testing.TB) *peer {
	t.Helper()
	p := &peer{serve: map[string]http.HandlerFunc{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.URL.Path)
		f := p.serve[r.URL.Path]
		p.mu.Unlock()
		if f == nil {
			http.NotFound(w, r)
			return
		}
		f(w, r)
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

func (p *peer) on(path string, f http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve[path] = f
}

func (p *peer) give(path string, b []byte) {
	p.on(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) })
}

func (p *peer) paths() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// world is a log alpha, its node and another member's, and a node that holds.
type world struct {
	key     *key.Signer
	log     *memory
	a, b    *peer
	envs    []*statement.Envelope // by index; nil where no statement stands
	dir     string
	now     time.Time
	after   time.Duration
	bytes   int64
	limits  holdings.Limits
	arrived []int64

	mu     sync.Mutex
	refuse error
	said   []*statement.Envelope
	signer *key.Signer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return &world{
		key: fixture.StatementKey("alpha", key.P256), signer: fixture.StatementKey("own", key.Ed25519),
		log: &memory{}, a: newPeer(t), b: newPeer(t), dir: t.TempDir(),
		now: time.Date(2030, 1, 1, 0, 0, 0, 5000, time.UTC), after: 24 * time.Hour, bytes: 1 << 20,
		limits: holdings.Limits{Request: 2 * time.Second},
	}
}

func envelopePath(i int64) string { return fmt.Sprintf("/envelope/%d", i) }

func mirrorPath(i int64) string {
	h := sha256.Sum256([]byte(alpha))
	return "/mirror/" + hex.EncodeToString(h[:]) + envelopePath(i)
}

// add logs an entry.
func (w *world) add(entry []byte, env *statement.Envelope) int64 {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.entries = append(w.log.entries, entry)
	w.envs = append(w.envs, env)
	return int64(len(w.envs)) - 1
}

// release logs a release of files, which nobody serves yet.
func (w *world) release(t testing.TB, version string, files ...fixture.File) int64 {
	t.Helper()
	if len(files) == 0 {
		files = []fixture.File{{Name: "f", Data: []byte("file " + version)}}
	}
	return w.log1(t, fixture.Release(w.key, "pkg:generic/alpha", version, "", files...))
}

func (w *world) log1(t testing.TB, env *statement.Envelope) int64 {
	t.Helper()
	leaf, err := env.Leaf(w.key.Public())
	check(t, err)
	return w.add(leaf, env)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Sign implements holdings.Reporter.
func (w *world) Sign(_ context.Context, p *statement.Withheld) (*statement.Envelope, error) {
	s, err := statement.New(p.Subjects(), p)
	if err != nil {
		return nil, err
	}
	return statement.Sign(s, w.signer)
}

// Submit implements holdings.Reporter.
func (w *world) Submit(_ context.Context, raw []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	env, err := statement.Parse(raw)
	if err == nil {
		w.said = append(w.said, env)
	}
	return err
}

// reports returns what was said, in the order of time.
func (w *world) reports(t testing.TB) (out []*statement.Withheld) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, env := range w.said {
		check(t, env.Verify(w.signer.Public()))
		p, err := env.Statement().Withheld()
		check(t, err)
		out = append(out, p)
	}
	return out
}

// node opens a node that holds what alpha's log names.
func (w *world) node(t testing.TB, db *store.DB) (*holdings.Holdings, *content.Store) {
	t.Helper()
	c, err := content.Open(w.dir)
	check(t, err)
	h, err := holdings.New(t.Context(), holdings.Options{
		DB: db, Content: c, Origin: own, Client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("a redirection")
		}},
		Open: func(origin string) (holdings.Log, error) {
			if origin != alpha {
				return nil, fmt.Errorf("%s: %w", origin, holdings.ErrUnknown)
			}
			return w.log, nil
		},
		Agent: "test", Reporter: w, WithheldAfter: w.after, ContentBytes: w.bytes, Limits: w.limits,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
		Arrived: func(_ context.Context, origin string, index int64) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if origin == alpha {
				w.arrived = append(w.arrived, index)
			}
		},
	})
	check(t, err)
	h.SetMembers([]holdings.Member{{Origin: own, URL: "http://127.0.0.1:1"}, {Origin: beta, URL: w.b.url}, {Origin: alpha, URL: w.a.url + "/"}})
	return h, c
}

// steps goes on until there is nothing to do at the time it is.
func steps(t testing.TB, h *holdings.Holdings) {
	t.Helper()
	for range 1000 {
		n, err := h.Step(t.Context())
		check(t, err)
		if n == 0 {
			return
		}
	}
	t.Fatal("there is always more to do")
}

func status(t testing.TB, h *holdings.Holdings) holdings.Status {
	t.Helper()
	s, err := h.Status(t.Context(), alpha)
	check(t, err)
	return s
}

// stored lists what is in the content store.
func stored(t testing.TB, c *content.Store) (out []string) {
	t.Helper()
	check(t, c.Walk(t.Context(), func(i content.Info) error {
		out = append(out, i.Digest.String())
		return nil
	}))
	return out
}

// endless answers gigabytes.
func endless(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.Copy(w, io.LimitReader(zeros{}, 8<<30))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	copy(p, strings.Repeat("0", 4096))
	return len(p), nil
}
