package mldsa44_test

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"filippo.io/mldsa"

	"vitrine.example/internal/mldsa44"
	"vitrine.example/tlog"
)

func newKey(t testing.TB, p mldsa.Parameters, n uint64) *mldsa.PrivateKey {
	t.Helper()
	k, err := mldsa.NewPrivateKey(p, binary.BigEndian.AppendUint64(make([]byte, 24), n))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What is signed here, the other implementation verifies, whatever key and message.
func TestVerifiedByTheOther(t *testing.T) {
	for n := range uint64(100) {
		k := newKey(t, mldsa.MLDSA44(), n)
		s, err := mldsa44.New(k)
		if err != nil {
			t.Fatal(err)
		}
		if !k.PublicKey().Equal(s.Public()) {
			t.Fatal("another public key")
		}
		message := bytes.Repeat([]byte{byte(n)}, int(n*n))
		sig, err := s.Sign(nil, message, crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		if err := mldsa.Verify(k.PublicKey(), message, sig, nil); err != nil {
			t.Errorf("key %d: %v", n, err)
		}
		if mldsa.Verify(k.PublicKey(), append(message, 0), sig, nil) == nil {
			t.Errorf("key %d: verifies on another message", n)
		}
		again, err := s.Sign(nil, message, nil)
		if err != nil || bytes.Equal(again, sig) {
			t.Errorf("key %d: not randomized (%v)", n, err)
		}
	}
}

func TestRefused(t *testing.T) {
	if _, err := mldsa44.New(newKey(t, mldsa.MLDSA65(), 0)); err == nil {
		t.Error("a key of other parameters is taken")
	}
	s, err := mldsa44.New(newKey(t, mldsa.MLDSA44(), 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(nil, make([]byte, 32), crypto.SHA256); err == nil {
		t.Error("a hash is signed")
	}
}

// A cosigner with it makes the same cosignatures as one without, from several
// goroutines.
func TestCosigns(t *testing.T) {
	k := newKey(t, mldsa.MLDSA44(), 7)
	fast, err := mldsa44.New(k)
	if err != nil {
		t.Fatal(err)
	}
	now := func() (time.Time, error) { return time.Unix(1_900_000_000, 0), nil }
	a, err := tlog.NewSigner("w.example", tlog.MLDSA44Cosignature, fast, now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tlog.NewSigner("w.example", tlog.MLDSA44Cosignature, k, now)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for n := range int64(16) {
		work.Go(func() {
			c := tlog.Checkpoint{Origin: "log.example", Size: n + 1, Root: tlog.LeafHash([]byte{byte(n)})}
			sig, err := a.SignCheckpoint(c)
			if err != nil {
				t.Error(err)
				return
			}
			at, err := b.Verifier().Verify(&tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}})
			if err != nil || at.Unix() != 1_900_000_000 {
				t.Errorf("%v, %v", at, err)
			}
		})
	}
	work.Wait()
}

func BenchmarkSign(b *testing.B) {
	k := newKey(b, mldsa.MLDSA44(), 1)
	s, err := mldsa44.New(k)
	if err != nil {
		b.Fatal(err)
	}
	for name, signer := range map[string]crypto.Signer{"circl, checked": s, "filippo.io": k} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := signer.Sign(nil, []byte("message"), crypto.Hash(0)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
