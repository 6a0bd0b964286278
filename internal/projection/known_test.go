package projection_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"vitrine.example/internal/fixture"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// TestManyOfOneKey: a key that has signed much gets a table, with which signatures
// are checked as strictly as before.
func TestManyOfOneKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t)
		k := fixture.StatementKey(alpha+" second", key.P256)
		env := w.sign(t, k)
		w.put(t, env.Bytes())
		enter := func(e *statement.Envelope) int64 {
			leaf := w.leaf(t, e, k)
			at := w.add(alpha, leaf)
			w.told.tell(alpha, at, leaf, e.Digest())
			return at
		}
		first := enter(env)
		for range 2000 {
			enter(env)
		}
		forged := enter(w.forge(t, k))
		last := enter(env)
		w.all(t)
		n := w.node(t, db)
		n.follow(t, alpha)
		n.catch(t)
		for _, c := range []struct {
			at      int64
			problem bool
		}{{first, false}, {first + 1999, false}, {forged, true}, {last, false}} {
			e, err := n.EntryOf(t.Context(), alpha, c.at)
			if err != nil || (e.Problem != "") != c.problem || e.Envelope.IsZero() != c.problem {
				t.Errorf("entry %d: %+v, %v", c.at, e, err)
			}
		}
	})
}

// forge makes a statement that bears the signature of another one of the same key.
func (w *world) forge(t *testing.T, k *key.Signer) *statement.Envelope {
	t.Helper()
	a, b := w.sign(t, k), w.sign(t, k)
	text := func(e *statement.Envelope) []byte { return []byte(base64.StdEncoding.EncodeToString(e.Signature())) }
	forged, err := statement.Parse(bytes.Replace(a.Bytes(), text(a), text(b), 1))
	if err != nil || bytes.Equal(forged.Bytes(), a.Bytes()) {
		t.Fatal("not forged", err)
	}
	w.put(t, forged.Bytes())
	return forged
}
