// Package projectiontest makes a small node for tests: a real log, database and
// content store in a temporary directory, with a projection over them. Only
// tests import it.
package projectiontest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/fixture"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Origin is the name of a node's log.
const Origin = "log.example"

// Node is a small node.
type Node struct {
	Dir        string
	DB         *store.DB
	Content    *content.Store
	Ledger     *ledger.Ledger
	Log        *tlog.Signer
	Key        *key.Signer // of statements
	Projection *projection.Projection
}

// published is the ledger as a projection sees it.
type published struct{ *ledger.Ledger }

// Published implements projection.Log.
func (p published) Published(ctx context.Context) (int64, time.Time, error) {
	s, err := p.Status(ctx)
	return s.Published, s.At, err
}

// New makes a node on SQLite. Its projection does not run by itself: call Step.
func New(t testing.TB) *Node {
	t.Helper()
	return On(t, storetest.SQLite(t))
}

// On makes a node on the database at a URL.
func On(t testing.TB, url string) *Node {
	t.Helper()
	seed := sha256.Sum256([]byte("log"))
	log, err := tlog.NewSigner(Origin, tlog.Ed25519, ed25519.NewKeyFromSeed(seed[:]), nil)
	check(t, err)
	n := &Node{Dir: t.TempDir(), Log: log, Key: fixture.StatementKey("vendor", key.P256), DB: storetest.Open(t, url)}
	n.Content, err = content.Open(filepath.Join(n.Dir, "content"))
	check(t, err)
	n.Ledger, err = ledger.Open(t.Context(), ledger.Options{
		Dir: filepath.Join(n.Dir, "log"), DB: n.DB, Signer: log, Log: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		check(t, n.Ledger.Close(ctx))
	})
	n.Reopen(t)
	return n
}

// Published returns the log as a projection sees it.
func (n *Node) Published() projection.Log { return published{n.Ledger} }

// Options are those of the node's projection over a log.
func (n *Node) Options(log projection.Log) projection.Options {
	return projection.Options{
		DB: n.DB, Content: n.Content, Origin: Origin, Log: log, Logger: slog.New(slog.DiscardHandler),
	}
}

// Reopen makes a new projection, as a process that starts again does.
func (n *Node) Reopen(t testing.TB) {
	t.Helper()
	var err error
	n.Projection, err = projection.New(t.Context(), n.Options(n.Published()))
	check(t, err)
}

// Catch steps until the projection has seen all that is published.
func (n *Node) Catch(t testing.TB) {
	t.Helper()
	for {
		took, err := n.Projection.Step(t.Context())
		check(t, err)
		if took == 0 {
			return
		}
	}
}

// Submit stores, notes and logs a statement as a node does, and returns its index.
func (n *Node) Submit(t testing.TB, env *statement.Envelope) int64 {
	t.Helper()
	ctx := t.Context()
	leaf, err := env.Leaf(n.Key.Public())
	check(t, err)
	n.Put(t, content.Public, env.Bytes())
	check(t, n.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return n.Projection.Submitted(ctx, tx, tlog.LeafHash(leaf), env.Digest())
	}))
	return n.Add(t, leaf)
}

// Add logs an entry whatever it is.
func (n *Node) Add(t testing.TB, entry []byte) int64 {
	t.Helper()
	e, err := n.Ledger.Add(t.Context(), entry)
	check(t, err)
	return e.Index
}

// Put stores content.
func (n *Node) Put(t testing.TB, c content.Class, b []byte) digest.Digest {
	t.Helper()
	info, err := n.Content.Put(t.Context(), c, bytes.NewReader(b), int64(len(b)))
	check(t, err)
	return info.Digest
}

// Sign makes the envelope of a release.
func (n *Node) Sign(t testing.TB, r *statement.Release) *statement.Envelope {
	t.Helper()
	var subjects []statement.Subject
	for _, a := range r.Artifacts {
		subjects = append(subjects, statement.Subject{Name: a.Name, Digest: map[string]string{"sha256": a.SHA256.String()}})
	}
	s, err := statement.New(subjects, r)
	check(t, err)
	env, err := statement.Sign(s, n.Key)
	check(t, err)
	return env
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
