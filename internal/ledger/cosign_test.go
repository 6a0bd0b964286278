package ledger_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// cosigner cosigns everything with a key of its own, after a moment.
type cosigner struct{ *tlog.Signer }

func newCosigner(t testing.TB) cosigner {
	t.Helper()
	s, err := tlog.NewSigner("witness.example", tlog.Ed25519Cosignature, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32)),
		func() (time.Time, error) { return time.Now(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return cosigner{s}
}

func (c cosigner) Awaiting() string { return "the test" }

func (c cosigner) Cosign(_ context.Context, s *tlog.SignedCheckpoint, prove func(int64) ([]tlog.Hash, error)) (*tlog.SignedCheckpoint, error) {
	if _, err := prove(s.Size / 2); err != nil {
		return nil, err
	}
	time.Sleep(20 * time.Millisecond)
	sig, err := c.SignCheckpoint(s.Checkpoint)
	if err != nil {
		return nil, err
	}
	return &tlog.SignedCheckpoint{Checkpoint: s.Checkpoint, Signatures: append(append([]tlog.Signature{}, s.Signatures...), sig)}, nil
}

// Killed at any moment, between the log's own checkpoint and the cosigned one
// too, a log has a cosigned checkpoint on the disk that covers all that it
// acknowledged, and shows it when it is opened.
func TestKillCosigned(t *testing.T) {
	t.Parallel()
	storetest.URLs(t, func(t *testing.T, url string) {
		dir := filepath.Join(t.TempDir(), "log")
		acknowledged := map[string]int64{}
		last := int64(0)
		for round := range rounds {
			killed(t, dir, url, round, acknowledged, "cosigned")
			raw, err := os.ReadFile(filepath.Join(dir, "cosigned"))
			if err != nil {
				t.Fatal(err)
			}
			size := int64(0)
			if len(raw) > 0 {
				size = cosignedSize(t, raw)
			}
			for leaf, index := range acknowledged {
				if index >= size {
					t.Errorf("round %d: %s is acknowledged at %d, and %d entries are cosigned", round, leaf, index, size)
				}
			}
			if size < last {
				t.Errorf("round %d: the cosigned checkpoint went back from %d to %d", round, last, size)
			}
			last = size
		}
		if len(acknowledged) < rounds {
			t.Fatalf("only %d entries were acknowledged", len(acknowledged))
		}
		db := storetest.Open(t, url)
		o := options(t, dir, db)
		o.Cosigner = newCosigner(t)
		l := open(t, o)
		if raw, err := l.Checkpoint(t.Context()); err != nil || cosignedSize(t, raw) < last {
			t.Errorf("opened again, it shows %q, %v; %d entries were cosigned", raw, err, last)
		}
		closeLog(t, l)
		check(t, dir, db)
	})
}

// cosignedSize verifies a published checkpoint.
func cosignedSize(t testing.TB, raw []byte) int64 {
	t.Helper()
	c, err := tlog.ParseCheckpoint(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []tlog.Verifier{newSigner(t, 1).Verifier(), newCosigner(t).Verifier()} {
		if _, err := v.Verify(c); err != nil {
			t.Fatal(err)
		}
	}
	return c.Size
}

var _ ledger.Cosigner = cosigner{}
