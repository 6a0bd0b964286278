package ledger_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"path/filepath"
	"testing"
	"time"

	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// Another Cosigner is asked for what is published already, without waiting until
// the log grows or its cosignatures are due to be renewed.
func TestNewCosignerIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	o := options(t, filepath.Join(t.TempDir(), "log"), storetest.Open(t, storetest.SQLite(t)))
	o.Cosigner, o.Renew = newCosigner(t), time.Hour
	l := open(t, o)
	if _, err := l.Add(t.Context(), []byte("an entry")); err != nil {
		t.Fatal(err)
	}
	s, err := tlog.NewSigner("other.example", tlog.Ed25519Cosignature, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32)),
		func() (time.Time, error) { return time.Now(), nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetCosigner(cosigner{s}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for err := tlog.ErrNotSigned; err != nil; time.Sleep(5 * time.Millisecond) {
		raw, bad := l.Checkpoint(t.Context())
		if bad != nil {
			t.Fatal(bad)
		}
		c, bad := tlog.ParseCheckpoint(raw)
		if bad != nil {
			t.Fatal(bad)
		}
		if ctx.Err() != nil {
			t.Fatal("the other cosigner was not asked")
		}
		_, err = s.Verifier().Verify(c)
	}
}
