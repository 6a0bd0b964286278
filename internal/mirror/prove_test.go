package mirror_test

import (
	"errors"
	"net/http"
	"testing"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// TestProofs: every entry of a copy is proved under the mirror checkpoint and
// under smaller ones of the log; nothing under what is not mirrored, and nothing
// under another history.
func TestProofs(t *testing.T) {
	m, _ := open(t, storetest.Open(t, storetest.SQLite(t)), t.TempDir(), mirror.Limits{})
	l := newLog(t, "log.example")
	add(t, m, l)
	c, err := m.Log(l.signer.Name())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Proof(t.Context(), 0); !errors.Is(err, mirror.ErrUnknown) {
		t.Errorf("of an empty copy: %v", err)
	}
	p := pusher(l, serve(t, m), http.DefaultClient, t)
	l.grow(700, "entry")
	if err := p.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{1, 2, 255, 256, 257, 512, 699, 700} {
		cp := l.checkpoint(size)
		for _, i := range []int64{0, size / 2, size - 1} {
			got, err := c.ProofUnder(t.Context(), i, cp)
			if err != nil {
				t.Fatalf("entry %d under %d: %v", i, size, err)
			}
			if err := got.VerifyInclusion(tlog.LeafHash(l.entries[i])); err != nil {
				t.Errorf("entry %d under %d: %v", i, size, err)
			}
		}
		if _, err := c.ProofUnder(t.Context(), size, cp); !errors.Is(err, mirror.ErrUnknown) {
			t.Errorf("entry %d under %d: %v", size, size, err)
		}
	}
	got, err := c.Proof(t.Context(), 699)
	if err != nil || len(got.Checkpoint.Signatures) != 2 {
		t.Errorf("under the mirror checkpoint: %v, want the signatures of log and mirror", err)
	}
	if _, err := c.ProofUnder(t.Context(), -1, l.checkpoint(700)); !errors.Is(err, mirror.ErrUnknown) {
		t.Errorf("entry -1: %v", err)
	}
	other := newLog(t, "log.example").grow(700, "another history")
	if got, err := c.ProofUnder(t.Context(), 5, other.checkpoint(600)); err == nil {
		t.Errorf("under another history: %+v", got)
	}
	l.grow(5, "entry")
	if _, err := c.ProofUnder(t.Context(), 5, l.checkpoint(705)); !errors.Is(err, mirror.ErrUnknown) {
		t.Errorf("beyond the copy: %v", err)
	}
}
