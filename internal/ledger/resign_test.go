package ledger_test

import (
	"path/filepath"
	"testing"
	"time"

	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// A log whose key was exchanged shows the new key's signature as soon as it is
// opened: those who cosign it trust that alone, and have to confirm what it was
// opened with before it grows.
func TestAnotherKeySignsAtOnce(t *testing.T) {
	t.Parallel()
	o := options(t, filepath.Join(t.TempDir(), "log"), storetest.Open(t, storetest.SQLite(t)))
	o.Signer, o.Cosigner, o.Renew = newSigner(t, 1), newCosigner(t), time.Hour
	l := open(t, o)
	if _, err := l.Add(t.Context(), []byte("an entry")); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	old := newSigner(t, 1).Verifier()
	o.Signer, o.Earlier = newSigner(t, 2), []tlog.Verifier{old}
	l = open(t, o)
	if err := l.AwaitConfirmed(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.ParseCheckpoint(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newSigner(t, 2).Verifier().Verify(c); err != nil || c.Size != 1 {
		t.Errorf("what is shown has %d entries and is not signed with the new key: %v", c.Size, err)
	}
	if e, err := l.Add(t.Context(), []byte("another")); err != nil || e.Index != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	closeLog(t, l)
}
