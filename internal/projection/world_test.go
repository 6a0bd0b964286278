package projection_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/fixture"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// memory is a log in memory that shows as much of itself as a test wants.
type memory struct {
	mu     sync.Mutex
	leaves [][]byte
	shown  int64
	fails  error // of every call
}

func (l *memory) Published(context.Context) (int64, time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shown, time.Unix(1_900_000_000, 0), l.fails
}

// Leaves gives at most three at a time, so that bundles have borders.
func (l *memory) Leaves(_ context.Context, index int64, n int) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails != nil {
		return nil, l.fails
	}
	if index >= l.shown {
		return nil, projection.ErrUnknown
	}
	return l.leaves[index:min(index+int64(n), index+3, l.shown)], nil
}

func (l *memory) show(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown = min(n, int64(len(l.leaves)))
}

func (l *memory) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = err
}

// told is which envelope is said to stand behind which entry.
type told struct {
	mu    sync.Mutex
	known map[string]digest.Digest
	fails error
}

func (s *told) Envelopes(_ context.Context, origin string, places []projection.Place) ([]digest.Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]digest.Digest, len(places))
	for i, p := range places {
		out[i] = s.known[fmt.Sprint(origin, p.Index, p.LeafHash)]
	}
	return out, s.fails
}

// one is told for one entry.
func (s *told) one(_ context.Context, origin string, index int64, leaf tlog.Hash) (digest.Digest, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.known[fmt.Sprint(origin, index, leaf)]
	return d, ok, s.fails
}

func (s *told) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = err
}

func (s *told) tell(origin string, index int64, leaf []byte, d digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[fmt.Sprint(origin, index, tlog.LeafHash(leaf))] = d
}

// late is an envelope that comes after its entry.
type late struct {
	origin string
	index  int64
	leaf   []byte
	bytes  []byte        // nil: they are there
	said   digest.Digest // what the source says
}

// world is three logs, one of them the own one, with all that may stand in them.
type world struct {
	content *content.Store
	logs    map[string]*memory
	keys    map[string][]key.Public
	told    *told
	late    []late
	own     []*statement.Envelope // to be noted in the journal
	ownKey  *key.Signer
	at      int // statements made
}

const own, alpha, beta = "own.example", "alpha.example", "beta.example"

func newWorld(t testing.TB) *world {
	t.Helper()
	c, err := content.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		content: c, told: &told{known: map[string]digest.Digest{}},
		logs: map[string]*memory{own: {}, alpha: {}, beta: {}}, keys: map[string][]key.Public{},
		ownKey: fixture.StatementKey(own, key.P256),
	}
	for i := range 3 {
		env := w.sign(t, w.ownKey)
		w.own = append(w.own, env)
		w.put(t, env.Bytes())
		w.add(own, w.leaf(t, env, w.ownKey))
		w.add(own, fmt.Append(nil, "noise ", i))
	}
	for _, origin := range []string{alpha, beta} {
		w.furnish(t, origin)
	}
	return w
}

// furnish fills another's log with good entries and with everything else.
func (w *world) furnish(t testing.TB, origin string) {
	t.Helper()
	mine := fixture.StatementKey(origin, key.Ed25519)
	second := fixture.StatementKey(origin+" second", key.P256)
	stranger := fixture.StatementKey("a stranger", key.P256)
	w.keys[origin] = []key.Public{mine.Public(), second.Public()}
	good := func(k *key.Signer) {
		env := w.sign(t, k)
		leaf := w.leaf(t, env, k)
		w.late = append(w.late, late{origin, w.add(origin, leaf), leaf, env.Bytes(), env.Digest()})
	}
	good(mine)
	w.add(origin, []byte("garbage"))
	w.add(origin, bytes.Repeat([]byte("{"), 60_000))
	w.add(origin, nil)
	good(second)
	good(stranger)
	w.add(origin, statement.CommitmentLeaf(digest.Of([]byte(origin))))
	w.add(origin, w.leaf(t, w.sign(t, mine), mine)) // whose statement never comes
	// A good statement is said to stand behind another's leaf.
	env, other := w.sign(t, mine), w.sign(t, mine)
	leaf := w.leaf(t, env, mine)
	w.late = append(w.late, late{origin, w.add(origin, leaf), leaf, other.Bytes(), other.Digest()})
	// Not a statement at all, and none that is held.
	leaf = w.leaf(t, w.sign(t, mine), mine)
	w.late = append(w.late, late{origin, w.add(origin, leaf), leaf, []byte("{}"), digest.Of([]byte("{}"))})
	leaf = w.leaf(t, w.sign(t, mine), mine)
	w.late = append(w.late, late{origin, w.add(origin, leaf), leaf, nil, digest.Of([]byte("nowhere"))})
	// The same entry twice.
	env = w.sign(t, mine)
	leaf = w.leaf(t, env, mine)
	for range 2 {
		w.late = append(w.late, late{origin, w.add(origin, leaf), leaf, env.Bytes(), env.Digest()})
	}
	good(second)
	// It ends as an entry with a known key does, and is none.
	w.add(origin, bytes.Replace(leaf, []byte("0.0.2"), []byte("0.0.9"), 1))
}

// rebuilding is a world in which others have built a release of the own log again.
func rebuilding(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	for _, origin := range []string{alpha, beta} {
		w.rebuilds(t, origin, fixture.StatementKey(origin, key.Ed25519))
	}
	w.all(t)
	return w
}

// rebuilds fills a log with what its owner says of a release of the own log, and
// with what cannot be read as that.
func (w *world) rebuilds(t testing.TB, origin string, k *key.Signer) {
	t.Helper()
	why := &statement.Evidence{MediaType: "application/json", Size: 3, SHA256: digest.Of([]byte(origin))}
	for i, said := range []fixture.Said{
		{Outcome: statement.Different, Detail: "one function", Explanation: why, Tries: 2},
		{Outcome: statement.Failed},
		{Outcome: statement.Identical},
	} {
		said.At = fixture.Epoch.Add(time.Duration(i) * time.Minute)
		envs := []*statement.Envelope{said.Sign(k, w.own[0])}
		if said.Outcome != statement.Failed { // something was made
			envs = append(envs, said.Provenance(k, w.own[0], "https://"+origin))
		}
		for _, env := range envs {
			leaf := w.leaf(t, env, k)
			w.late = append(w.late, late{origin, w.add(origin, leaf), leaf, env.Bytes(), env.Digest()})
		}
	}
	odd := *w.own[0].Statement()
	odd.PredicateType = statement.ProvenanceType // of another build type
	env, err := statement.Sign(&odd, k)
	if err != nil {
		t.Fatal(err)
	}
	leaf := w.leaf(t, env, k)
	w.late = append(w.late, late{origin, w.add(origin, leaf), leaf, env.Bytes(), env.Digest()})
}

func (w *world) sign(t testing.TB, k *key.Signer) *statement.Envelope {
	t.Helper()
	w.at++
	name := fmt.Sprintf("artifact-%d", w.at)
	return fixture.Release(k, "pkg:generic/app", fmt.Sprintf("1.0.%d", w.at), "", fixture.File{Name: name, Data: []byte(name)})
}

func (w *world) leaf(t testing.TB, env *statement.Envelope, k *key.Signer) []byte {
	t.Helper()
	leaf, err := env.Leaf(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func (w *world) add(origin string, leaf []byte) int64 {
	l := w.logs[origin]
	l.leaves = append(l.leaves, leaf)
	return int64(len(l.leaves)) - 1
}

func (w *world) put(t testing.TB, b []byte) {
	t.Helper()
	if _, err := w.content.Put(t.Context(), content.Public, bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatal(err)
	}
}

// arrive brings a late envelope.
func (w *world) arrive(t testing.TB, l late) {
	t.Helper()
	if l.bytes != nil {
		w.put(t, l.bytes)
	}
	w.told.tell(l.origin, l.index, l.leaf, l.said)
}

// all shows and brings everything.
func (w *world) all(t testing.TB) {
	t.Helper()
	for _, l := range w.logs {
		l.show(1 << 40)
	}
	for _, l := range w.late {
		w.arrive(t, l)
	}
}

// node is a database that follows a world.
type node struct {
	*projection.Projection
	w     *world
	db    *store.DB
	trust map[string]func() []key.Public
}

func (w *world) node(t testing.TB, db *store.DB) *node {
	t.Helper()
	n := &node{w: w, db: db, trust: map[string]func() []key.Public{}}
	for _, o := range []string{alpha, beta} {
		n.trust[o] = func() []key.Public { return w.keys[o] }
	}
	n.open(t)
	err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, env := range w.own {
			leaf, err := env.Leaf(w.ownKey.Public())
			if err != nil {
				return err
			}
			if err := n.Submitted(ctx, tx, tlog.LeafHash(leaf), env.Digest()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// open is what a process that starts does.
func (n *node) open(t testing.TB) {
	t.Helper()
	p, err := projection.New(t.Context(), projection.Options{
		DB: n.db, Content: n.w.content, Origin: own, Log: n.w.logs[own], Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Projection = p
}

func (n *node) follow(t testing.TB, origin string) {
	t.Helper()
	keys := func(context.Context) ([]key.Public, error) { return n.trust[origin](), nil }
	var source projection.Source = n.w.told
	if origin == beta {
		source = projection.EnvelopeFunc(n.w.told.one)
	}
	if err := n.Follow(t.Context(), origin, n.w.logs[origin], keys, source); err != nil {
		t.Fatal(err)
	}
}

// catch steps until nothing changes.
func (n *node) catch(t testing.TB) {
	t.Helper()
	for {
		took, err := n.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if took == 0 {
			return
		}
	}
}

// errLog is what a broken log says.
var errLog = errors.New("the disk of this log is on fire")
